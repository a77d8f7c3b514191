//! How many sockets there are, in all, without a caller yet, and of each agent; and what ended those that are gone.

use crate::problem::{Code, Problem};
use crate::service::Principal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most sockets that one agent has at a time. One carries many calls, so a few are enough for an agent on several
/// machines; many would let one agent use up the others' connections.
const SOCKETS_PER_AGENT_MAX: u32 = 16;

/// Of the connections that there may be, as many in a hundred may be sockets: the rest stays for calls over HTTP, which come
/// and go.
const SOCKETS_PER_CENT: usize = 75;

/// The most sockets of strangers that have not said yet who they are. Each lives for a few seconds; more of them would let
/// strangers take what agents need.
const UNKNOWN_MAX: u32 = 256;

/// The reason of a socket that its peer has closed.
pub(super) const BY_PEER: &str = "closed_by_peer";

/// The sockets of one server.
#[derive(Debug)]
pub(crate) struct Census {
    most: u32,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: u32,
    unknown: u32,
    agents: HashMap<[u8; 32], u32>,
    refused: u64,
    ended: HashMap<&'static str, u64>,
}

/// A counted socket; dropping it counts it out.
#[derive(Debug)]
pub(crate) struct Place {
    census: Arc<Census>,
    /// Whose it is, once that is known.
    owner: Option<Owner>,
}

#[derive(Debug, Clone, Copy)]
enum Owner {
    Operator,
    Agent([u8; 32]),
}

fn owner(principal: &Principal) -> Option<Owner> {
    match principal {
        Principal::Anonymous => None,
        Principal::Operator => Some(Owner::Operator),
        Principal::Agent { id, .. } => Some(Owner::Agent(*id.key().bytes())),
    }
}

impl Census {
    /// Nobody yet, on a server of so many connections.
    pub fn new(connections_max: usize) -> Arc<Self> {
        let most = u32::try_from(connections_max * SOCKETS_PER_CENT / 100).unwrap_or(u32::MAX).max(1);
        Arc::new(Census { most, counts: Mutex::default() })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a socket in, of this principal or of a stranger.
    ///
    /// # Errors
    /// [`Code::TooManySockets`].
    pub fn enter(self: &Arc<Self>, principal: Option<&Principal>) -> Result<Place, Problem> {
        let mut counts = self.counts();
        let owner = principal.and_then(owner);
        let entered = if counts.open >= self.most { Err(too_many()) } else { counts.enter(owner) };
        if entered.is_err() {
            counts.refused += 1;
        }
        entered?;
        counts.open += 1;
        drop(counts);
        Ok(Place { census: Arc::clone(self), owner })
    }

    /// Counts an end, by a word from a fixed list.
    pub fn ended(&self, reason: &'static str) {
        *self.counts().ended.entry(reason).or_default() += 1;
    }

    /// How many are open, how many of them without a caller yet, how many were refused so far, and how many the node has ended
    /// (a peer that closes is not among them).
    pub fn seen(&self) -> [(&'static str, u64); 4] {
        let counts = self.counts();
        let ended =
            counts.ended.iter().filter(|(reason, _)| **reason != BY_PEER).map(|(_, count)| count).sum();
        [
            ("open WebSockets", counts.open.into()),
            ("WebSockets of strangers", counts.unknown.into()),
            ("refused WebSockets", counts.refused),
            ("ended WebSockets", ended),
        ]
    }
}

impl Counts {
    fn enter(&mut self, owner: Option<Owner>) -> Result<(), Problem> {
        let (count, most) = match owner {
            Some(Owner::Operator) => return Ok(()),
            Some(Owner::Agent(key)) => (self.agents.entry(key).or_default(), SOCKETS_PER_AGENT_MAX),
            None => (&mut self.unknown, UNKNOWN_MAX),
        };
        if *count >= most {
            return Err(too_many());
        }
        *count += 1;
        Ok(())
    }

    fn leave(&mut self, owner: Option<Owner>) {
        match owner {
            Some(Owner::Operator) => {}
            None => self.unknown -= 1,
            Some(Owner::Agent(key)) => {
                let Some(count) = self.agents.get_mut(&key) else { return };
                *count -= 1;
                if *count == 0 {
                    self.agents.remove(&key);
                }
            }
        }
    }
}

fn too_many() -> Problem {
    Problem::edge(Code::TooManySockets).retry_after(1)
}

impl Place {
    /// A stranger has said who it is.
    ///
    /// # Errors
    /// [`Code::TooManySockets`] where this agent has as many as it may; then it stays a stranger's.
    pub fn known(&mut self, principal: &Principal) -> Result<(), Problem> {
        let owner = owner(principal);
        let mut counts = self.census.counts();
        counts.enter(owner)?;
        counts.leave(self.owner);
        self.owner = owner;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.census.counts();
        counts.open -= 1;
        counts.leave(self.owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::{AgentId, SecretKey};

    fn agent(seed: u8) -> Principal {
        Principal::Agent { id: AgentId(SecretKey::from_seed(&[seed; 32]).public()), serial: 1 }
    }

    #[test]
    fn one_agent_cannot_have_the_others_sockets() {
        let census = Census::new(4_096);
        let places: Vec<Place> =
            (0..SOCKETS_PER_AGENT_MAX).map(|_| census.enter(Some(&agent(1))).expect("room")).collect();
        assert_eq!(census.enter(Some(&agent(1))).expect_err("full").code, Code::TooManySockets);
        let other = census.enter(Some(&agent(2))).expect("another agent has its own");
        drop(places);
        drop(other);
        assert_eq!(census.seen().map(|(_, count)| count), [0, 0, 1, 0]);
        assert!(census.counts().agents.is_empty(), "nobody is remembered who is gone");
    }

    #[test]
    fn strangers_have_few_and_no_longer_count_as_such_once_they_are_known() {
        let census = Census::new(1_000_000);
        let mut places: Vec<Place> = (0..UNKNOWN_MAX).map(|_| census.enter(None).expect("room")).collect();
        assert!(census.enter(None).is_err());
        let operator = census.enter(Some(&Principal::Operator)).expect("the operator is no stranger");
        places[0].known(&agent(1)).expect("room");
        let unknown = u64::from(UNKNOWN_MAX);
        assert_eq!(census.seen().map(|(_, count)| count), [unknown + 1, unknown - 1, 1, 0]);
        census.enter(None).expect("one place is free");
        drop((places, operator));
        census.ended("silent");
        census.ended(BY_PEER);
        assert_eq!(census.seen().map(|(_, count)| count), [0, 0, 1, 1]);
    }

    #[test]
    fn calls_over_http_keep_their_share() {
        let census = Census::new(8);
        let places: Vec<Place> =
            (0..6).map(|_| census.enter(Some(&Principal::Operator)).expect("room")).collect();
        assert!(census.enter(Some(&Principal::Operator)).is_err());
        drop(places);
    }
}
