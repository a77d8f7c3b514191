//! Claims of other nodes' agents that wait at this home for the next task: so many of each neighbour and in all, and ended early
//! where their node says that they need not wait, or is gone.

use super::places::{Place, Places, Sizes};
use artel_protocol::key::{AgentId, NodeId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How many claims wait. One that finds no place is decided at once instead. A neighbour's are half of what it may have asked
/// at once, so that its results and renewals always get through; all together are a third of what the rules let wait, so that
/// this home's own agents do.
pub(super) const PLACES: Sizes = Sizes { own: 16, each: 128, common: 2_048 };

/// Whose claim, brought by which node.
type Of = (NodeId, AgentId);

/// The claims that wait.
#[derive(Debug)]
pub(super) struct Waits {
    places: Places,
    waiting: Mutex<BTreeMap<Of, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    count: usize,
    enough: watch::Sender<()>,
}

/// One that waits; dropped, it waits no more.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    waits: &'a Waits,
    of: Of,
    enough: watch::Receiver<()>,
    _place: Place,
}

impl Default for Waits {
    fn default() -> Self {
        Waits { places: Places::new(PLACES), waiting: Mutex::default() }
    }
}

impl Waits {
    /// Has a claim wait; nothing where there is no place for it.
    pub fn begin(&self, of: Of) -> Option<Wait<'_>> {
        let place = self.places.take(of.0)?;
        let mut waiting = self.waiting();
        let entry = waiting.entry(of).or_insert_with(|| Waiting { count: 0, enough: watch::channel(()).0 });
        entry.count += 1;
        Some(Wait { waits: self, of, enough: entry.enough.subscribe(), _place: place })
    }

    /// The agent need not wait any more.
    pub fn end(&self, of: &Of) {
        if let Some(waiting) = self.waiting().get(of) {
            waiting.enough.send_replace(());
        }
    }

    /// How many wait now.
    pub fn count(&self) -> usize {
        self.waiting().values().map(|waiting| waiting.count).sum()
    }

    /// Held for a look.
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Of, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait<'_> {
    /// Waits until the agent need not wait any more.
    pub async fn enough(&mut self) {
        // The sender lives as long as a claim of this agent waits.
        let _ = self.enough.changed().await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waits.waiting();
        let Some(entry) = waiting.get_mut(&self.of) else { return };
        entry.count -= 1;
        if entry.count == 0 {
            waiting.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;
    use std::time::Duration;

    fn of(node: u8, agent: u8) -> Of {
        let key = |n: u8| SecretKey::from_seed(&[n; 32]).public();
        (NodeId(key(node)), AgentId(key(agent)))
    }

    async fn is_enough(wait: &mut Wait<'_>) -> bool {
        tokio::time::timeout(Duration::ZERO, wait.enough()).await.is_ok()
    }

    #[tokio::test]
    async fn the_nodes_word_ends_what_waits_and_nothing_later() {
        let waits = Waits::default();
        let begin = |node, agent| waits.begin(of(node, agent)).expect("room");
        let (mut one, mut two, mut other, mut elsewhere) =
            (begin(1, 7), begin(1, 7), begin(1, 8), begin(2, 7));
        waits.end(&of(1, 7));
        assert!(is_enough(&mut one).await && is_enough(&mut two).await);
        let mut later = begin(1, 7);
        for wait in [&mut later, &mut other, &mut elsewhere] {
            assert!(!is_enough(wait).await);
        }
        assert_eq!(waits.count(), 5);
        drop((one, two, later, other, elsewhere));
        assert!(waits.waiting().is_empty());
        waits.end(&of(1, 7));
    }

    #[test]
    fn one_neighbour_has_so_many_and_leaves_its_other_requests_room() {
        let waits = Waits::default();
        let held: Vec<_> = (0..=255).map_while(|agent| waits.begin(of(1, agent))).collect();
        assert_eq!(held.len(), PLACES.each);
        assert!(2 * held.len() <= super::super::requests::PLACES.each);
        assert!(waits.begin(of(2, 1)).is_some(), "others have theirs");
    }
}
