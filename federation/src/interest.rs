//! What a node follows of others' offers: the shards in which work for its agents may be offered. Membership, evidence and
//! heads concern every member and are followed by all; nobody's book may depend on what its node is interested in.

use crate::fact::Kind;
use crate::member::Agent;
use artel_protocol::skill::Skill;
use artel_protocol::topic::{SHARDS, Topic};
use std::collections::BTreeSet;

/// What an operator wants followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// All shards.
    All,
    /// Those that agents which are enrolled here could work in, and those of further skills.
    Own(Vec<Skill>),
}

impl Interest {
    /// Reads `all`, `own`, or skills that are followed beside those of the agents that are enrolled here.
    ///
    /// # Errors
    /// The word that is no skill, or one that stands beside `all`.
    pub fn read(words: &[String]) -> Result<Self, String> {
        match words {
            [all] if all == "all" => Ok(Interest::All),
            [own] if own == "own" => Ok(Interest::Own(Vec::new())),
            [] => Err("want all, own, or skills".into()),
            skills => {
                let read = |word: &String| match word.as_str() {
                    "all" | "own" => Err(format!("{word} stands alone")),
                    word => Skill::parse(word).map_err(|error| format!("{word:?}: {error}")),
                };
                skills.iter().map(read).collect::<Result<_, _>>().map(Interest::Own)
            }
        }
    }

    /// The shards that are followed for the sake of these agents. An offer's shard is that of one of the skills that it
    /// requires, and an agent that may claim it has all of them; what requires none is in the first.
    pub fn shards<'a>(&self, agents: impl IntoIterator<Item = &'a Agent>) -> BTreeSet<u8> {
        let Interest::Own(further) = self else { return (0..SHARDS).collect() };
        let works_here = |agent: &&Agent| agent.guest.is_none() && agent.revoked.is_none();
        let mut shards: BTreeSet<u8> = further.iter().map(shard_of).collect();
        shards.insert(0);
        for agent in agents.into_iter().filter(works_here) {
            shards.extend(agent.skills.iter().map(shard_of));
            if shards.len() == usize::from(SHARDS) {
                break;
            }
        }
        shards
    }

    /// Whether an entry of the own journal may say that other agents, or other skills, are here than before.
    pub fn may_change_with(body: &[u8]) -> bool {
        let number = body.first_chunk().map(|number| u16::from_le_bytes(*number));
        number.and_then(Kind::of).is_some_and(|kind| matches!(kind, Kind::Enrolled | Kind::Configured))
    }
}

fn shard_of(skill: &Skill) -> u8 {
    match Topic::of_offer(std::slice::from_ref(skill)) {
        Topic::Tasks(shard) => shard,
        _ => unreachable!("an offer's topic is a shard"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Revoker;
    use artel_protocol::key::{AgentId, NodeId, PublicKey};
    use artel_protocol::time::Wall;

    fn skills(names: &[&str]) -> Vec<Skill> {
        names.iter().map(|name| Skill::parse(name).expect("a skill")).collect()
    }

    fn agent(names: &[&str]) -> Agent {
        let nobody = Agent::new(AgentId(PublicKey::from_bytes([7; 32])), Wall(0));
        Agent { skills: skills(names), capacity: 1, serial: 1, ..nobody }
    }

    #[test]
    fn an_agent_hears_of_every_offer_that_it_could_claim() {
        let able = agent(&["text", "vision@2", "zeta"]);
        let followed = Interest::Own(Vec::new()).shards([&able]);
        for required in [&[][..], &["text"], &["vision", "zeta"], &["text@1", "vision", "zeta"]] {
            let Topic::Tasks(shard) = Topic::of_offer(&skills(required)) else { panic!("a shard") };
            assert!(followed.contains(&shard), "{required:?}");
        }
        assert!(followed.len() <= 4);
    }

    #[test]
    fn whoever_does_not_work_here_has_nothing_followed_and_further_skills_are() {
        let gone = Agent { revoked: Some(Revoker::Operator), ..agent(&["text"]) };
        let node = NodeId(PublicKey::from_bytes([9; 32]));
        let guest = Agent { guest: Some(crate::member::Guest { node, warrant: None }), ..agent(&["text"]) };
        assert_eq!(Interest::Own(Vec::new()).shards([&gone, &guest]), BTreeSet::from([0]));
        let further = Interest::Own(skills(&["text"])).shards([]);
        assert_eq!(further, BTreeSet::from([0, shard_of(&skills(&["text"])[0])]));
        assert_eq!(Interest::All.shards([]).len(), usize::from(SHARDS));
    }

    #[test]
    fn what_an_operator_writes_is_read_and_nothing_else() {
        let read =
            |words: &[&str]| Interest::read(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["all"]), Ok(Interest::All));
        assert_eq!(read(&["own"]), Ok(Interest::Own(Vec::new())));
        assert_eq!(read(&["text", "vision@2"]), Ok(Interest::Own(skills(&["text", "vision@2"]))));
        for wrong in [&[][..], &["own", "text"], &["all", "own"], &["no such skill!"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
