//! Others' records: frames that somebody verified before, kept in segments of their own, synced before they are called kept,
//! with an index that can be built again at any time; and the table of what this node has cosigned.
//!
//! Nothing here knows what a record means. A record that is lost to damage is missing and said so: its author's other
//! readers have it still, and it is asked for again. So damage never stops a start.

mod author;
mod error;
mod feed;
mod frame;
pub mod frauds;
mod lacks;
mod place;
mod prune;
mod reader;
mod recover;
mod retain;
mod scan;
mod segment;
mod shared;
mod state;
mod store;
mod walk;
pub mod witness;

pub use author::Mark;
pub use error::{Error, Notice};
pub use reader::Records;
pub use scan::{Scan, Scanned, scan};
pub use segment::RECORDS_DIR;
pub use store::{Opened, RecordStore};

use artel_protocol::log::Origin;

/// The most items of a frame: those of one commit and topic. More, and a page of the index is a single frame's.
pub const ITEMS_MAX: usize = 1024;

/// The most bytes of a frame (4 MiB), as for a frame of the journal. Whoever reads one reserves this much at most.
pub const RECORD_BYTES_MAX: usize = 4 << 20;

/// The most bytes of one [`RecordStore::append`] on disk (8 MiB): what is written at once and held in memory for it.
pub const APPEND_BYTES_MAX: usize = 8 << 20;

/// The most holes of one author (4,096): each costs some 24 bytes for as long as it is open. A frame that would open one
/// more is not kept; whoever fetches in order opens none.
pub const HOLES_MAX: usize = 4096;

/// The most holes of all authors together (262,144, some 6 MiB).
pub const HOLES_TOTAL_MAX: usize = 1 << 18;

/// The most items that wait in memory for the index (4,096, some 400 KiB). More only lengthen a start after a crash.
pub const TAIL_ITEMS_MAX: usize = 4096;

/// One record of a frame: a public entry's two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Its number among its author's public entries.
    pub public_seq: u64,
    /// Its index in its author's journal.
    pub index: u64,
}

/// A frame to be kept. Whoever makes one has verified it: nothing of it is looked into here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFrame {
    /// The journal that its records are entries of.
    pub origin: Origin,
    /// What it is about, in the caller's own numbers.
    pub topic: u8,
    /// The frame, in the caller's own encoding; at most [`RECORD_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// Its records, ascending in both numbers: at least one, at most [`ITEMS_MAX`].
    pub items: Vec<Item>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// It was written and is durable.
    New,
    /// All of its records are durable already; it was not written.
    Known,
    /// All of its records are held or were pruned, and at least one was; it was not written.
    Pruned,
    /// Its author, the store or the number of journals is at its limit, or it is of a journal too many of its author; it was
    /// not written. [`RecordStore::who_gives_way`] says whose oldest records would make room.
    OverCap,
    /// It would open one hole too many ([`HOLES_MAX`], [`HOLES_TOTAL_MAX`]); it was not written. What lies before it is to
    /// be fetched first.
    Sparse,
}

/// How much a store may hold. Bytes are those of frames with at least one record that is wanted, with what stands around
/// them on disk. After a prune the files have at most twice that and two segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one author, a node with all its journals (64 MiB: some 50,000 lone records). At the limit its oldest go. Larger, and
    /// fewer authors fill the store.
    pub author_bytes_max: u64,
    /// Of all (4 GiB).
    pub store_bytes_max: u64,
    /// Journals that a mark is held for (65,536): each costs some 250 bytes of memory.
    pub authors_max: u64,
    /// Of a segment (16 MiB), at most 64 MiB. Larger ones are freed later; smaller ones are more files. A larger append
    /// gets a segment of its own size.
    pub segment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            author_bytes_max: 64 << 20,
            store_bytes_max: 4 << 30,
            authors_max: 1 << 16,
            segment_bytes: 16 << 20,
        }
    }
}
