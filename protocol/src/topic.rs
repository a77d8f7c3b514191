//! Gossip topics: what a node hears of. Offers are spread over shards by skill, so that nobody must hear of work that none
//! of its agents can do.

use crate::id::{Digest, FederationId};
use crate::skill::Skill;

/// How many shards offers are spread over. Fixed: who disagrees about it does not hear the other.
pub const SHARDS: u8 = 16;

/// One topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Who belongs to the federation.
    Agents,
    /// What is evidence: grants, submissions, verdicts, payments.
    Trust,
    /// The newest checkpoint of each journal.
    Heads,
    /// Offers whose smallest skill falls into this shard, 0 to 15.
    Tasks(
        /// The shard.
        u8,
    ),
}

impl Topic {
    /// The topic of an offer with these required skills: the first byte of SHA-256 of the smallest skill's name, modulo
    /// [`SHARDS`]; 0 where none is required.
    pub fn of_offer(skills: &[Skill]) -> Topic {
        let smallest = skills.iter().map(Skill::name).min();
        Topic::Tasks(smallest.map_or(0, |name| Digest::of(name.as_bytes()).0[0] % SHARDS))
    }

    /// All topics.
    pub fn all() -> impl Iterator<Item = Topic> {
        [Topic::Agents, Topic::Trust, Topic::Heads].into_iter().chain((0..SHARDS).map(Topic::Tasks))
    }

    /// The topic's name in a federation.
    pub fn name(&self, federation: &FederationId) -> String {
        match self {
            Topic::Agents => format!("artel/1/{federation}/agents"),
            Topic::Trust => format!("artel/1/{federation}/trust"),
            Topic::Heads => format!("artel/1/{federation}/heads"),
            Topic::Tasks(shard) => format!("artel/1/{federation}/tasks/{shard}"),
        }
    }

    /// Its number, for files and counts: 0 agents, 1 trust, 2 heads, 16 and more the shards.
    pub fn number(&self) -> u8 {
        match self {
            Topic::Agents => 0,
            Topic::Trust => 1,
            Topic::Heads => 2,
            Topic::Tasks(shard) => 16 + shard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_offer_has_the_shard_of_its_smallest_skill() {
        let skills =
            |names: &[&str]| names.iter().map(|n| Skill::parse(n).expect("a skill")).collect::<Vec<_>>();
        assert_eq!(Topic::of_offer(&[]), Topic::Tasks(0));
        let text = Topic::of_offer(&skills(&["text"]));
        assert_eq!(text, Topic::Tasks(Digest::of(b"text").0[0] % 16));
        assert_eq!(
            Topic::of_offer(&skills(&["zebra", "text@3"])),
            text,
            "whatever the version and the order"
        );
    }

    #[test]
    fn every_topic_has_a_name_and_number_of_its_own() {
        let federation = FederationId([0xab; 32]);
        let names: BTreeSet<String> = Topic::all().map(|topic| topic.name(&federation)).collect();
        let numbers: BTreeSet<u8> = Topic::all().map(|topic| topic.number()).collect();
        assert_eq!((names.len(), numbers.len()), (19, 19));
        assert!(names.contains(&format!("artel/1/{}/tasks/15", "ab".repeat(32))));
    }
}
