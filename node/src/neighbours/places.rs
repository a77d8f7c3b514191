//! Places for what neighbours have this node do: of each kind, a few that are each neighbour's own, and a common pool of which
//! nobody gets more than a share. Who holds all that it can get, alone or with others, leaves everybody else a place.

use artel_protocol::key::NodeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many places there are. In all they are `common`, and `own` for each neighbour, of which there are at most as many as
/// the mesh has connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// How many are each neighbour's own.
    pub own: usize,
    /// How many one neighbour may hold, its own among them.
    pub each: usize,
    /// How many there are for all, beside their own.
    pub common: usize,
}

/// Places of one kind; a cheap clone.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    sizes: Sizes,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by: BTreeMap<NodeId, usize>,
    common: usize,
}

/// A place of a neighbour; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    of: NodeId,
}

impl Places {
    /// All free.
    pub fn new(sizes: Sizes) -> Self {
        Places(Arc::new(Pool { sizes, held: Mutex::default() }))
    }

    /// A place for a neighbour; none where it has its share, or its own are taken and the common ones, too.
    pub fn take(&self, of: NodeId) -> Option<Place> {
        let Sizes { own, each, common } = self.0.sizes;
        let mut held = self.0.held();
        let has = held.by.get(&of).copied().unwrap_or_default();
        let is_common = has >= own;
        if has >= each || (is_common && held.common >= common) {
            return None;
        }
        held.by.insert(of, has + 1);
        held.common += usize::from(is_common);
        Some(Place { pool: self.0.clone(), of })
    }
}

impl Pool {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.pool.held();
        let Some(has) = held.by.remove(&self.of) else { return };
        held.common -= usize::from(has > self.pool.sizes.own);
        if has > 1 {
            held.by.insert(self.of, has - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn node(seed: u8) -> NodeId {
        NodeId(SecretKey::from_seed(&[seed; 32]).public())
    }

    #[test]
    fn nobody_gets_more_than_a_share_and_all_together_leave_everybody_a_place() {
        let places = Places::new(Sizes { own: 2, each: 8, common: 12 });
        let mut held: Vec<Place> = Vec::new();
        for seed in 1..=4 {
            held.extend((0..16).map_while(|_| places.take(node(seed))));
            assert_eq!(held.len(), [8, 16, 18, 20][usize::from(seed) - 1], "the third finds its own alone");
        }
        let honest = (places.take(node(9)), places.take(node(9)), places.take(node(9)));
        assert!(honest.0.is_some() && honest.1.is_some() && honest.2.is_none());
        drop(held.remove(0));
        assert!(places.take(node(9)).is_some(), "a common one is free");
    }

    #[test]
    fn what_is_given_back_is_forgotten() {
        let places = Places::new(Sizes { own: 1, each: 3, common: 2 });
        for _ in 0..3 {
            let held: Vec<Place> = (0..5).map_while(|_| places.take(node(1))).collect();
            assert_eq!((held.len(), places.0.held().common), (3, 2));
            drop(held);
            let left = places.0.held();
            assert_eq!((left.by.len(), left.common), (0, 0));
        }
    }
}
