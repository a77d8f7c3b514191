//! Error numbers of WASI preview 1, those that we answer.

/// Why a call did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Errno {
    Acces = 2,
    Badf = 8,
    Exist = 20,
    Fault = 21,
    Fbig = 22,
    Ilseq = 25,
    Inval = 28,
    Isdir = 31,
    Mfile = 33,
    Nametoolong = 37,
    Noent = 44,
    Nospc = 51,
    Nosys = 52,
    Notdir = 54,
    Notsock = 57,
    Notsup = 58,
    Perm = 63,
    Rofs = 69,
    Spipe = 70,
    Notcapable = 76,
}
