//! The keys of posts that may be repeated (Idempotency-Key), each for a day. Agents and the operator have a book each, and
//! an agent its share of theirs, so that nobody's keys shut others out.

use crate::fact::{PostKey, Poster};
use crate::options::{AGENT_POST_KEYS_MAX, POST_KEY_MS, POST_KEYS_MAX};
use artel_protocol::id::{Digest, RunId};
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use std::collections::{BTreeMap, VecDeque};

/// A post that may be repeated: the run it made, the digest of its body, and when.
pub(crate) type PostMemory = (RunId, Digest, Wall);

/// A memory as it stands in a snapshot.
pub(crate) type PostRow = (Wall, Poster, Digest, RunId, Digest);

/// Why a key cannot be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The agent's own share is.
    Share,
    /// The whole book is.
    Book,
}

/// The keys remembered.
#[derive(Debug, Default)]
pub(crate) struct PostKeys {
    memory: BTreeMap<(Poster, Digest), PostMemory>,
    operators: VecDeque<(Wall, Poster, Digest)>,
    agents: VecDeque<(Wall, Poster, Digest)>,
    by_agent: BTreeMap<AgentId, VecDeque<Wall>>,
}

impl PostKeys {
    pub fn get(&self, poster: Poster, key: &Digest) -> Option<&PostMemory> {
        self.memory.get(&(poster, *key))
    }

    /// Whether one more key of this poster can be remembered. A memory whose day is over makes room for the next.
    pub fn check_room(&self, poster: Poster, now: Wall) -> Result<(), Full> {
        let full = |len: usize, oldest: Option<&Wall>, max: usize| {
            len >= max && oldest.is_some_and(|at| now.since_ms(*at) <= POST_KEY_MS)
        };
        if let Poster::Agent(agent) = poster
            && let Some(own) = self.by_agent.get(&agent)
            && full(own.len(), own.front(), AGENT_POST_KEYS_MAX)
        {
            return Err(Full::Share);
        }
        let order = if poster == Poster::Operator { &self.operators } else { &self.agents };
        if full(order.len(), order.front().map(|(at, ..)| at), POST_KEYS_MAX) {
            return Err(Full::Book);
        }
        Ok(())
    }

    /// Remembers a post, and forgets those whose day is over.
    pub fn remember(&mut self, (poster, key): (Poster, PostKey), run: RunId, at: Wall) {
        self.forget_old(at);
        self.insert((at, poster, key.key, run, key.body));
    }

    /// Enters a memory behind the others.
    pub fn insert(&mut self, (at, poster, key, run, body): PostRow) {
        match poster {
            Poster::Operator => self.operators.push_back((at, poster, key)),
            Poster::Agent(agent) => {
                self.agents.push_back((at, poster, key));
                self.by_agent.entry(agent).or_default().push_back(at);
            }
        }
        self.memory.insert((poster, key), (run, body, at));
    }

    /// All memories, oldest first in either book.
    pub fn rows(&self) -> Vec<PostRow> {
        let row = |(at, poster, key): &(_, _, _)| {
            let (run, body, _) = self.memory.get(&(*poster, *key))?;
            Some((*at, *poster, *key, *run, *body))
        };
        self.operators.iter().chain(&self.agents).filter_map(row).collect()
    }

    fn forget_old(&mut self, now: Wall) {
        for order in [&mut self.operators, &mut self.agents] {
            while let Some((at, poster, key)) = order.front().copied() {
                if now.since_ms(at) <= POST_KEY_MS {
                    break;
                }
                order.pop_front();
                // A key posted anew after its day has a younger memory, which stays.
                if self.memory.get(&(poster, key)).is_some_and(|(_, _, then)| *then == at) {
                    self.memory.remove(&(poster, key));
                }
                let Poster::Agent(agent) = poster else { continue };
                let own = self.by_agent.get_mut(&agent).expect("both tell of the same keys");
                own.pop_front();
                if own.is_empty() {
                    self.by_agent.remove(&agent);
                }
            }
        }
    }
}
