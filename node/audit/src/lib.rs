//! The journal: append-only segments as the truth, one sync for all who wait, checkpoint slots, snapshots, and the
//! transparency log over all of it. Beside it, in [`records`], what other nodes' journals said in public.
//!
//! Nothing here knows what an entry means, what time it is, or which disk it is on.

pub mod archive;
pub mod bench;
mod commit;
mod derived;
mod error;
pub mod files;
mod frame;
pub mod heap;
pub mod index;
mod journal;
mod keys;
pub mod memory;
mod open;
pub mod os;
pub mod public;
mod reader;
pub mod records;
mod saved;
mod scan;
mod segment;
mod shared;
mod slot;
mod snapshot;
pub mod source;
mod spare;
pub mod verify;

pub use commit::{Appended, Commit, Failed, Fate, Released};
pub use error::{Error, Notice};
pub use frame::{Entry, FRAME_BYTES_MAX, NewEntry};
pub use journal::{Journal, Options, SLOT_INTERVAL_MS, SegmentSizes, Signer};
pub use keys::{DATA_KEY_FILE, KeyId, KeyRing, RingError};
pub use open::{Opened, SavedState, origin_of};
pub use reader::Reader;
pub use saved::saved_state;
pub use scan::COMMIT_BYTES_MAX;
pub use segment::{JOURNAL_DIR, SEGMENT_HEAD_BYTES};
pub use slot::{SLOT_FILES, Slot};
pub use snapshot::{SNAPSHOTS_DIR, STATE_BYTES_MAX, SnapshotJob};
pub use spare::SpareJob;
