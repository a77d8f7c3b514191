//! Evidence: what the public records of all journals say of agents, and what one viewer makes of it (decision 12).
//!
//! Records come in as they stand in their journals, each journal in its own order and the journals in any; `pairs.rs` puts
//! the records of a receipt together, `book.rs` adds receipts up by agent and home, `view.rs` weighs them for a viewer. It
//! takes nobody's word: whoever feeds it has checked that a record stands in its author's journal.

mod before;
mod book;
mod gaps;
mod hearsay;
mod lost;
mod paid;
mod pairs;
mod receipt;
mod refutable;
mod view;

pub use before::{FifthForm, SixthForm};
pub use book::{Book, Tally};
pub use hearsay::{Checks, Hearsay, Saying, Taken};
pub use pairs::Half;
pub use receipt::{Lapse, Learnt, LeftOut, Receipt};
pub use view::{Comparing, Part, View, Viewer};

/// How many journals are read, sixteen of a node at most. Those that come when so many are read are not: then the marks say so,
/// and nothing is compared.
pub const JOURNALS_MAX: usize = 1_024;

/// How many rows, an agent at a home by one node each, are kept (at most 1.1 KiB a row). A receipt that would need one more is lost.
pub const ROWS_MAX: usize = 65_536;

/// How many of these may be one home's. Larger, and a few homes that name agents without end use up the rows of all; smaller,
/// and a home with more agents than so many is not compared.
pub const ROWS_EACH: usize = 8_192;

/// How many pairs of nodes are counted that have settled something with each other. A receipt of a further one is lost.
pub const SETTLED_MAX: usize = 65_536;

/// Of how many agents, each at a home, what that paid is kept (some 150 bytes each); half of them are this node's own agents' alone. Of a
/// further one it is not shown.
pub const PAID_ROWS_MAX: usize = 65_536;

/// How many submissions of one journal may wait for their verdicts (some 200 bytes each). At the limit the oldest goes, which
/// is the same one for every reader.
pub const OPEN_MAX: usize = 4_096;

/// How many of a home's newest acceptances of work done elsewhere may still be refuted (some 180 bytes each, 96 MiB of all journals together). Larger, and journals
/// without end take that much of each reader; smaller, and a busy home's mismatch that is found days later changes nobody's book.
pub const REFUTABLE_MAX: usize = 512;

/// How many submissions before it a journal's submission is compared with, so that a step's epoch counts once.
pub const RECENT_MAX: usize = 1_024;

/// How many `HandedIn` of one journal may wait for the home's records (some 300 bytes each). At the limit that journal's
/// oldest is forgotten: most wait for a home that will never answer. A receipt is lost where home has answered after all.
pub const HANDED_MAX: usize = 16_384;

/// How many `HandedIn` may wait in all. At the limit the oldest is forgotten of the journal that has most.
pub const HANDED_TOTAL_MAX: usize = 262_144;

/// How many judged submissions of one home may wait for the worker's node's record (some 400 bytes each). At the limit the
/// oldest is forgotten. A receipt is lost where that record comes after all.
pub const WAITING_MAX: usize = 16_384;

/// How many judged submissions may wait in all. At the limit the oldest is forgotten of the home that has most.
pub const WAITING_TOTAL_MAX: usize = 65_536;

/// Of how many other nodes is remembered that something between them and a node was forgotten. Of more it is remembered that
/// it was somebody.
pub const LOST_EACH: usize = 64;

/// How many pairs of a home and a worker's node are known between which a receipt was lost. With more nothing is compared.
pub const UNSURE_MAX: usize = 1_024;
