//! What agents are told of themselves and their work. A notice is read from a journal entry, when it is told, or follows from the
//! clock; only up to where an agent has read is kept, in a small file beside the journal.

mod expiring;
mod followers;
mod marks;
mod what;

pub use expiring::{Warned, is_expiring};
pub use followers::{Followers, Place, Wanted};
pub use marks::{MARKS_MAX, Marks};
pub use what::{is_of_credential, is_own, is_passing, kinds_of};
