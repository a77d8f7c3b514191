//! What neighbours that were asked for more of a journal lack of it. One that leaves something out may lie, or have damage; what
//! two lack is likely gone everywhere.

use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use std::collections::BTreeMap;

/// Of how many journals it is remembered at once (some 200 bytes each). At the limit the one that comes first is forgotten: its
/// neighbours are asked again.
const JOURNALS_MAX: usize = 1_024;

/// How many neighbours have to say it. Of others' word it is not remembered.
const WITNESSES: usize = 2;

/// For each journal, who has nothing of it below which number.
#[derive(Debug, Default)]
pub(super) struct Lacks(BTreeMap<Origin, BTreeMap<NodeId, u64>>);

impl Lacks {
    /// A neighbour has nothing of a journal below a number. The numbers below which records are missing by one's word, and by
    /// that of two.
    pub fn hear(&mut self, origin: Origin, by: NodeId, before: u64) -> (u64, Option<u64>) {
        if !self.0.contains_key(&origin) && self.0.len() >= JOURNALS_MAX {
            self.0.pop_first();
        }
        let said = self.0.entry(origin).or_default();
        if said.len() < WITNESSES || said.contains_key(&by) {
            said.insert(by, before);
        }
        let agreed = (said.len() >= WITNESSES).then(|| said.values().min().copied()).flatten();
        (before, agreed)
    }

    /// Nothing of a journal is missing, or it was given up.
    pub fn forget(&mut self, origin: &Origin) {
        self.0.remove(origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::PublicKey;

    fn node(n: u32) -> NodeId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        NodeId(PublicKey::from_bytes(key))
    }

    fn journal(n: u32) -> Origin {
        Origin::new(FederationId([1; 32]), node(n), 0)
    }

    #[test]
    fn what_two_lack_is_agreed_and_nobody_counts_twice() {
        let mut lacks = Lacks::default();
        assert_eq!(lacks.hear(journal(1), node(7), 50), (50, None));
        assert_eq!(lacks.hear(journal(1), node(7), 60), (60, None), "the same neighbour again");
        assert_eq!(lacks.hear(journal(1), node(8), 90), (90, Some(60)));
        assert_eq!(lacks.hear(journal(1), node(9), 10), (10, Some(60)), "a third is not remembered");
        lacks.forget(&journal(1));
        assert_eq!(lacks.hear(journal(1), node(8), 90), (90, None));
    }

    #[test]
    fn of_more_journals_than_there_are_places_the_first_is_forgotten() {
        let mut lacks = Lacks::default();
        for n in 0..=JOURNALS_MAX as u32 {
            lacks.hear(journal(n), node(7), 5);
        }
        assert_eq!(lacks.0.len(), JOURNALS_MAX);
    }
}
