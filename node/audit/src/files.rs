//! The one small interface through which the journal reaches files: what it needs of a disk, and nothing more.
//!
//! Paths are relative to the data directory, with `/` between the parts. Two disks exist: [`crate::os`] and [`crate::memory`].
//! Whatever is not synced may be lost, in part and in any order; a name is durable only after [`Files::sync_dir`].

use std::io;
use std::sync::Arc;

/// A disk, seen from one data directory.
pub trait Files: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// What the disk says; `NotFound` for a missing file unless it is to be made.
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn File>>;

    /// The names of the files and directories in `dir`, sorted. The data directory itself is `""`.
    ///
    /// # Errors
    /// What the disk says; `NotFound` for a missing directory.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a directory (mode 0700) unless it is there. Its parent must be there.
    ///
    /// # Errors
    /// What the disk says.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Gives a file another name in one step, in place of whatever bore that name.
    ///
    /// # Errors
    /// What the disk says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the disk says.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// What the disk says.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Takes the exclusive lock that `path` stands for, making the file if need be; dropping the answer frees it.
    ///
    /// # Errors
    /// `WouldBlock` when somebody else holds it.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>>;

    /// The permission bits of a file, such as `0o600`.
    ///
    /// # Errors
    /// What the disk says.
    fn mode(&self, path: &str) -> io::Result<u32>;
}

/// A lock that is held until it is dropped.
pub trait Lock: Send + Sync {}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For reading; the file must be there.
    Read,
    /// For reading and writing; the file must be there.
    Write,
    /// For reading and writing; made empty (mode 0600) if it is not there.
    WriteOrNew,
    /// For reading and writing: a new, empty file (mode 0600) in place of whatever bore the name. It is another file than
    /// the one before, so that an error that the old one met is not met again.
    Fresh,
}

/// An open file. All calls name their place, so a file can be read on one thread while another appends to it.
pub trait File: Send + Sync {
    /// The length in bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at most `bytes.len()` bytes from `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the disk says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// What the disk says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable (`fdatasync`). After an error nobody knows what is on the disk, and a second
    /// try would tell nothing: the file must not be trusted any more.
    ///
    /// # Errors
    /// What the disk says.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or lengthens it with zeros.
    ///
    /// # Errors
    /// What the disk says.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// The most bytes written in one piece when a file is filled with zeros. Larger only costs memory.
const ZEROS: usize = 1 << 20;

/// Fills a file with zeros from its start, so that a later write changes no length and finds its blocks there.
///
/// # Errors
/// What the disk says.
pub fn fill_with_zeros(file: &dyn File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS.min(bytes as usize)];
    let mut at = 0;
    while at < bytes {
        let piece = (bytes - at).min(zeros.len() as u64);
        file.write_at(&zeros[..piece as usize], at)?;
        at += piece;
    }
    Ok(())
}

/// Reads as many bytes from `offset` as there are, at most `bytes.len()`, and says how many.
///
/// # Errors
/// What the disk says.
pub fn read_up_to(file: &dyn File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

/// Reads exactly `bytes.len()` bytes from `offset`.
///
/// # Errors
/// `UnexpectedEof` when the file is shorter, else what the disk says.
pub fn read_exact_at(file: &dyn File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    if read_up_to(file, bytes, offset)? == bytes.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Errors
/// `FileTooLarge` for a longer one, else what the disk says.
pub fn read_whole(files: &dyn Files, path: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = files.open(path, Access::Read)?;
    let len = file.len()?;
    if len > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; len as usize];
    let read = read_up_to(file.as_ref(), &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes a file so that it is there whole and durable or not at all: a new file beside it, synced, renamed, the
/// directory synced.
///
/// # Errors
/// What the disk says; the file itself is then what it was, or already the new one.
pub fn replace(files: &dyn Files, path: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = format!("{path}.tmp");
    let file = files.open(&beside, Access::Fresh)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    files.rename(&beside, path)?;
    files.sync_dir(dir_of(path))
}

/// The directory part of a path.
pub fn dir_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Whether an error says that there is no room left, which can heal by itself, other than a failing disk.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
