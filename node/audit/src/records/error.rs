//! Why records cannot be kept, and what was found damaged or put right.

use super::{APPEND_BYTES_MAX, ITEMS_MAX, RECORD_BYTES_MAX};
use crate::index::IndexError;
use artel_protocol::id::FederationId;
use std::fmt;
use std::io;

/// Why the record store cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no. The store can be used on: what failed is not held, and the next call goes to another file.
    #[error("cannot {doing} {file}: {cause}")]
    Io {
        /// The file, relative to the data directory.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the disk said.
        cause: io::Error,
    },
    /// The index said no.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A frame without items, with too many, or with items out of order.
    #[error("a frame has 1 to {ITEMS_MAX} items, ascending in both numbers")]
    Items,
    /// A frame that is too large.
    #[error("a frame of {bytes} bytes, at most {RECORD_BYTES_MAX} are allowed")]
    FrameTooLarge {
        /// Its bytes.
        bytes: u64,
    },
    /// Too much for one append.
    #[error("an append of {bytes} bytes, at most {APPEND_BYTES_MAX} are allowed")]
    AppendTooLarge {
        /// Its bytes on disk.
        bytes: u64,
    },
    /// A frame of another federation.
    #[error("a record of federation {0} does not belong here")]
    ForeignFrame(FederationId),
    /// A segment of another federation.
    #[error("{file} belongs to federation {federation}; move it elsewhere")]
    ForeignFile {
        /// The segment.
        file: String,
        /// Whose it is.
        federation: FederationId,
    },
    /// A segment that a later version wrote.
    #[error("{file} has format {format}, which is not known here")]
    Format {
        /// The segment.
        file: String,
        /// Its format.
        format: u32,
    },
    /// An author more than [`super::Limits::authors_max`].
    #[error("marks of {0} authors are held, which is the limit")]
    TooManyAuthors(u64),
    /// Every segment number was used.
    #[error("there are no segment numbers left")]
    NoNumbers,
}

impl Error {
    pub(crate) fn io(file: impl Into<String>, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        let file = file.into();
        move |cause| Error::Io { file, doing, cause }
    }

    /// Whether the disk was full, which can heal by itself.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Io { cause, .. } if crate::files::is_full(cause))
    }
}

/// Something that was found, and that the operator should hear of. Records that are missing are asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The end of the last segment holds no whole frames: an append that was cut short, never called kept, or damage.
    TailCut {
        /// The segment.
        file: String,
        /// Where it begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
    /// Frames past the index were written again into a new segment: they may have been in the kernel's cache only.
    TailKept {
        /// The segment they were found in.
        file: String,
        /// How many.
        frames: u64,
    },
    /// A stretch of a segment holds no whole frames; its records are missing.
    Damaged {
        /// The segment.
        file: String,
        /// Where it begins.
        offset: u64,
        /// How long it is.
        bytes: u64,
    },
    /// A segment, or the rest of one, cannot be read; its records are missing.
    Unreadable {
        /// The segment.
        file: String,
        /// From where on.
        offset: u64,
        /// What the disk said.
        what: String,
    },
    /// A segment's head was damaged and was written again; its frames were used.
    HeadRepaired {
        /// The segment.
        file: String,
    },
    /// The index was built again from the segments.
    IndexRebuilt {
        /// Why.
        why: String,
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
            Notice::TailCut { file, offset, bytes } => write!(
                f,
                "{file}: {bytes} bytes at its end, from byte {offset} on, hold no whole frames and were cut: \
                 an append that was not finished, or damage"
            ),
            Notice::TailKept { file, frames } => {
                write!(f, "{file}: {frames} frames stood past the index; they were written again")
            }
            Notice::Damaged { file, offset, bytes } => write!(
                f,
                "{file}: {bytes} bytes from byte {offset} on are damaged; the records there are missing and asked for again"
            ),
            Notice::Unreadable { file, offset, what } => write!(
                f,
                "{file}: cannot be read from byte {offset} on ({what}); the records there are missing and asked for again"
            ),
            Notice::HeadRepaired { file } => {
                write!(f, "{file}: its head was damaged and was written again")
            }
            Notice::IndexRebuilt { why } => {
                write!(f, "the index of the records was built again from their segments: {why}")
            }
            Notice::LeftoverRemoved { file } => {
                write!(f, "{file} was left over from something unfinished and was removed")
            }
            Notice::UnknownFile { file } => write!(f, "{file} does not belong here and was left alone"),
        }
    }
}
