//! Evidence: what the public records of all journals say of agents, and what one viewer makes of it (decision 12).
//!
//! Records come in as they stand in their journals, each journal in its own order and the journals in any; `pairs.rs` puts
//! the records of a receipt together, `book.rs` adds receipts up by agent and home, `view.rs` weighs them for a viewer. It
//! takes nobody's word: whoever feeds it has checked that a record stands in its author's journal.

mod book;
mod gaps;
mod pairs;
mod receipt;
mod view;

pub use book::{Book, Tally};
pub use pairs::Half;
pub use receipt::{Lapse, Learnt, LeftOut, Receipt};
pub use view::{Part, View, Viewer};

/// How many journals are read, sixteen of a node at most. Those that come when so many are read are not: then the marks say so,
/// and nothing is compared.
pub const JOURNALS_MAX: usize = 1_024;

/// How many rows, an agent at a home each, are kept (at most 2 KiB a row). Receipts that would need one more are left out.
pub const ROWS_MAX: usize = 65_536;

/// How many pairs of nodes are counted that have settled something with each other.
pub const SETTLED_MAX: usize = 65_536;

/// How many submissions of one journal may wait for their verdicts (some 200 bytes each). At the limit the oldest goes, which
/// is the same one for every reader.
pub const OPEN_MAX: usize = 4_096;

/// How many submissions before it a journal's submission is compared with, so that a step's epoch counts once.
pub const RECENT_MAX: usize = 1_024;

/// How many `HandedIn` of one journal may wait for the home's records (some 150 bytes each). At the limit that journal is not
/// read on until others have come.
pub const HANDED_MAX: usize = 16_384;

/// How many `HandedIn` may wait in all. At the limit a journal with [`HANDED_EACH`] waiting is not read on.
pub const HANDED_TOTAL_MAX: usize = 262_144;

/// How many `HandedIn` of a journal may wait even when all together are too many.
pub const HANDED_EACH: usize = 64;

/// How many judged submissions of one home may wait for the worker's node's record. At the limit the oldest is left out, and
/// nothing is compared any more: another reader may have had that record in time.
pub const WAITING_MAX: usize = 16_384;

/// How many may wait in all (some 250 bytes each). At the limit the oldest of the home with most goes, likewise: a home that
/// names others' records without end takes no place from those that do not.
pub const WAITING_TOTAL_MAX: usize = 65_536;

/// How many pieces that are dated ahead of the clock are kept until their time has come.
pub const AHEAD_MAX: usize = 4_096;
