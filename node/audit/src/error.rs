//! What can go wrong, and what was found and put right: every error names the file, every repair is said.

use std::fmt;
use std::io;

/// Why the journal cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("cannot {doing} {file}: {cause}")]
    Io {
        /// The file, relative to the data directory.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the disk said.
        cause: io::Error,
    },
    /// A file is not what was written. Nothing was changed.
    #[error("{file}: {what}; {help}")]
    Damaged {
        /// The file, relative to the data directory.
        file: String,
        /// What is wrong, and where.
        what: String,
        /// What the operator can do.
        help: &'static str,
    },
    /// A commit, a frame or a state is larger than its limit.
    #[error("{what} of {bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its bytes.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// An entry, a size or a tile that the journal does not have (yet).
    #[error("the journal has {size} entries, not {wanted}")]
    Beyond {
        /// What was asked for.
        wanted: u64,
        /// How many synced entries there are.
        size: u64,
    },
    /// A body is sealed under a data key that is not in the ring.
    #[error("entry {index} is sealed under data key {key_id}, which data.key does not hold")]
    NoKey {
        /// The entry.
        index: u64,
        /// The key.
        key_id: u32,
    },
    /// An earlier failure left open what is on the disk: open the journal again.
    #[error("the journal is closed after a failure ({0}); it must be opened again")]
    Poisoned(String),
    /// A question about the tree that has no answer.
    #[error(transparent)]
    Tree(#[from] artel_protocol::log::tree::Error),
    /// Entries that may not travel together as records.
    #[error(transparent)]
    Records(#[from] artel_protocol::record::Error),
    /// The signing key is not the one in the journal's origin.
    #[error(transparent)]
    Checkpoint(#[from] artel_protocol::log::checkpoint::Error),
}

/// What to do about a file that cannot be repaired from what else is there.
pub(crate) const RESTORE: &str = "nothing was changed: put this file back from a copy, or restore the whole directory as a new incarnation";

impl Error {
    pub(crate) fn io(file: impl Into<String>, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        let file = file.into();
        move |cause| Error::Io { file, doing, cause }
    }

    pub(crate) fn damaged(file: impl Into<String>, what: impl Into<String>) -> Error {
        Error::Damaged { file: file.into(), what: what.into(), help: RESTORE }
    }

    /// Whether the disk was full, which can heal by itself.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Io { cause, .. } if crate::files::is_full(cause))
    }
}

/// Something that was found and dealt with without loss, and that the operator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An incomplete commit at the very end, never acknowledged, was cut.
    TailCut {
        /// The segment.
        file: String,
        /// Where the cut is, in bytes.
        offset: u64,
        /// The index that the next entry gets.
        index: u64,
    },
    /// Whole frames past the last checkpoint were kept, written again and synced.
    TailKept {
        /// The segment they were found in.
        file: String,
        /// The first of the entries.
        index: u64,
        /// How many entries.
        entries: u64,
    },
    /// A checkpoint slot could not be used; the other one was.
    SlotDamaged {
        /// The slot.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A snapshot could not be used and was put aside.
    SnapshotDamaged {
        /// The snapshot.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A snapshot stands beyond the newest usable checkpoint slot and was put aside.
    SnapshotAhead {
        /// The snapshot.
        file: String,
    },
    /// Snapshots are there but none could be used: everything is read from the first entry on.
    FromGenesis,
    /// Files derived from the segments were wrong or short and were written again.
    DerivedRebuilt {
        /// Which.
        file: String,
        /// From which entry on.
        index: u64,
    },
    /// A file left over from something unfinished was removed.
    LeftoverRemoved {
        /// The file.
        file: String,
    },
    /// A file that does not belong there was left alone.
    UnknownFile {
        /// The file.
        file: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::TailCut { file, offset, index } => write!(
                f,
                "{file}: an incomplete commit at byte {offset} was cut; it was never acknowledged; the next entry is {index}"
            ),
            Notice::TailKept { file, index, entries } => write!(
                f,
                "{file}: {entries} entries from {index} on stood past the last checkpoint; they were kept and written again"
            ),
            Notice::SlotDamaged { file, what } => {
                write!(f, "{file}: {what}; the other checkpoint slot was used, and this one is written anew")
            }
            Notice::SnapshotDamaged { file, what } => {
                write!(f, "{file}: {what}; it was put aside and an older state was used")
            }
            Notice::SnapshotAhead { file } => {
                write!(f, "{file} stands beyond the newest usable checkpoint and was put aside")
            }
            Notice::FromGenesis => {
                f.write_str("no snapshot could be used: the state was built from the first entry on")
            }
            Notice::DerivedRebuilt { file, index } => {
                write!(
                    f,
                    "{file} did not agree with the segments and was written again from entry {index} on"
                )
            }
            Notice::LeftoverRemoved { file } => {
                write!(f, "{file} was left over from something unfinished and was removed")
            }
            Notice::UnknownFile { file } => write!(f, "{file} does not belong here and was left alone"),
        }
    }
}
