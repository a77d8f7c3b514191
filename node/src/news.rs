//! What the driver tells of the journal to those who follow it: the events that readers wait for, and the index.

use artel_federation::{ClosedRun, Entry};
use std::sync::Arc;

/// One synced frame with the runs that ended by it.
#[derive(Clone)]
pub struct News {
    /// The journal index of its first entry.
    pub first_index: u64,
    /// Its entries, in order.
    pub entries: Arc<Vec<Entry>>,
    /// How many bytes their bodies have.
    pub bytes: usize,
    /// The runs that are over by it.
    pub closed: Vec<Arc<ClosedRun>>,
}
