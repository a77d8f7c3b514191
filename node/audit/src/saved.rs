//! Earlier states, for those who fold beside the journal: an index that is behind begins at the newest one that it has
//! not passed, not at the first entry.

use crate::files::Files;
use crate::keys::KeyRing;
use crate::open::SavedState;
use crate::snapshot::{self, SNAPSHOTS_DIR, Snapshot};
use artel_protocol::log::Origin;

/// The newest state of a snapshot whose size is at most `size_max`; nothing where there is none that can be read. A
/// damaged snapshot is passed over here: opening the journal is what speaks of it.
pub fn saved_state(files: &dyn Files, origin: &Origin, ring: &KeyRing, size_max: u64) -> Option<SavedState> {
    let names = files.list(SNAPSHOTS_DIR).ok()?;
    let mut sizes: Vec<u64> = names.iter().filter_map(|name| snapshot::size_of(name)).collect();
    sizes.sort_unstable();
    let read = |size: u64| {
        let snapshot = Snapshot::read(files, &snapshot::path(size)).ok()?;
        let fits = snapshot.head.range.size() == size && snapshot.head.origin == *origin;
        let (_, bytes) = snapshot.open(ring).ok()?;
        fits.then_some(SavedState { size, bytes })
    };
    sizes.into_iter().rev().filter(|size| *size <= size_max).find_map(read)
}
