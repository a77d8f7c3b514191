//! How many sockets there are, in all, without a caller yet, and of each agent; and what ended those that are gone.

use crate::caller;
use crate::problem::{Code, Problem};
use crate::service::Principal;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Of the connections that there may be, as many in a hundred may be sockets: the rest stays for calls over HTTP, which come
/// and go.
const SOCKETS_PER_CENT: usize = 75;

/// The most sockets of strangers that have not said yet who they are. Each lives for a few seconds; more of them would let
/// strangers take what agents need.
const UNKNOWN_MAX: u32 = 256;

/// The reason of a socket that its peer has closed.
pub(super) const BY_PEER: &str = "closed_by_peer";
/// How many of them may come from one address (an IPv6 /64 counts as one; loopback, where a proxy may stand, has no bound of its
/// own). With more, a few addresses would hold them all.
const UNKNOWN_PER_ADDRESS_MAX: u32 = 16;

/// The sockets of one server.
#[derive(Debug)]
pub(crate) struct Census {
    most: u32,
    most_of_agent: u32,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: u32,
    unknown: u32,
    /// Of the strangers, how many come from where.
    strangers: HashMap<IpAddr, u32>,
    agents: HashMap<[u8; 32], u32>,
    refused: u64,
    ended: HashMap<&'static str, u64>,
}

/// A counted socket; dropping it counts it out.
#[derive(Debug)]
pub(crate) struct Place {
    census: Arc<Census>,
    owner: Owner,
}

/// Whose a socket is.
#[derive(Debug, Clone, Copy)]
enum Owner {
    /// Of somebody at this address who has not said it yet.
    Stranger(IpAddr),
    Operator,
    Agent([u8; 32]),
}

fn owner(principal: &Principal, remote: IpAddr) -> Owner {
    match principal {
        Principal::Anonymous => Owner::Stranger(caller::network(remote)),
        Principal::Operator => Owner::Operator,
        Principal::Agent { id, .. } => Owner::Agent(*id.key().bytes()),
    }
}

impl Census {
    /// Nobody yet, on a server of so many connections, of which one agent may have so many as sockets.
    pub fn new(connections_max: usize, most_of_agent: u32) -> Arc<Self> {
        let most = u32::try_from(connections_max * SOCKETS_PER_CENT / 100).unwrap_or(u32::MAX).max(1);
        Arc::new(Census { most, most_of_agent, counts: Mutex::default() })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a socket in, of this principal at this address.
    ///
    /// # Errors
    /// [`Code::TooManySockets`].
    pub fn enter(self: &Arc<Self>, principal: &Principal, remote: IpAddr) -> Result<Place, Problem> {
        let mut counts = self.counts();
        let owner = owner(principal, remote);
        let entered =
            if counts.open >= self.most { Err(too_many()) } else { counts.enter(owner, self.most_of_agent) };
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
    fn enter(&mut self, owner: Owner, most_of_agent: u32) -> Result<(), Problem> {
        let (count, most) = match owner {
            Owner::Operator => return Ok(()),
            Owner::Agent(key) => (self.agents.entry(key).or_default(), most_of_agent),
            Owner::Stranger(_) if self.unknown >= UNKNOWN_MAX => return Err(too_many()),
            Owner::Stranger(remote) => {
                let most = if remote.is_loopback() { UNKNOWN_MAX } else { UNKNOWN_PER_ADDRESS_MAX };
                (self.strangers.entry(remote).or_default(), most)
            }
        };
        if *count >= most {
            return Err(too_many());
        }
        *count += 1;
        self.unknown += u32::from(matches!(owner, Owner::Stranger(_)));
        Ok(())
    }

    fn leave(&mut self, owner: Owner) {
        match owner {
            Owner::Operator => {}
            Owner::Stranger(remote) => {
                self.unknown -= 1;
                count_out(&mut self.strangers, &remote);
            }
            Owner::Agent(key) => count_out(&mut self.agents, &key),
        }
    }
}

/// One less; nobody is remembered who has none.
fn count_out<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(key);
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
    pub fn known(&mut self, principal: &Principal, remote: IpAddr) -> Result<(), Problem> {
        let owner = owner(principal, remote);
        let mut counts = self.census.counts();
        counts.enter(owner, self.census.most_of_agent)?;
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
    use std::net::Ipv4Addr;

    const MOST: u32 = 16;
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn agent(seed: u8) -> Principal {
        Principal::Agent { id: AgentId(SecretKey::from_seed(&[seed; 32]).public()), serial: 1 }
    }

    #[test]
    fn one_agent_cannot_have_the_others_sockets() {
        let census = Census::new(4_096, MOST);
        let places: Vec<Place> = (0..MOST).map(|_| census.enter(&agent(1), HERE).expect("room")).collect();
        assert_eq!(census.enter(&agent(1), HERE).expect_err("full").code, Code::TooManySockets);
        let other = census.enter(&agent(2), HERE).expect("another agent has its own");
        drop(places);
        drop(other);
        assert_eq!(census.seen().map(|(_, count)| count), [0, 0, 1, 0]);
        assert!(census.counts().agents.is_empty(), "nobody is remembered who is gone");
    }

    #[test]
    fn strangers_have_few_and_no_longer_count_as_such_once_they_are_known() {
        let census = Census::new(1_000_000, MOST);
        let mut places: Vec<Place> =
            (0..UNKNOWN_MAX).map(|_| census.enter(&Principal::Anonymous, HERE).expect("room")).collect();
        assert!(census.enter(&Principal::Anonymous, HERE).is_err());
        let operator = census.enter(&Principal::Operator, HERE).expect("the operator is no stranger");
        places[0].known(&agent(1), HERE).expect("room");
        let unknown = u64::from(UNKNOWN_MAX);
        assert_eq!(census.seen().map(|(_, count)| count), [unknown + 1, unknown - 1, 1, 0]);
        census.enter(&Principal::Anonymous, HERE).expect("one place is free");
        drop((places, operator));
        census.ended("silent");
        census.ended(BY_PEER);
        assert_eq!(census.seen().map(|(_, count)| count), [0, 0, 1, 1]);
    }

    #[test]
    fn one_address_cannot_have_all_places_of_strangers() {
        let census = Census::new(1_000_000, MOST);
        let enter = |remote: &str| census.enter(&Principal::Anonymous, remote.parse().expect("an address"));
        let mut places: Vec<Place> =
            (0..UNKNOWN_PER_ADDRESS_MAX).map(|n| enter(&format!("2001:db8::{n:x}")).expect("room")).collect();
        assert_eq!(enter("2001:db8::ffff").expect_err("its /64 is full").code, Code::TooManySockets);
        let others = [enter("2001:db8:0:1::1"), enter("192.0.2.1")];
        assert!(others.iter().all(Result::is_ok), "others have places");
        let remote = "2001:db8::1".parse().expect("an address");
        places[0].known(&agent(1), remote).expect("room");
        places.push(enter("2001:db8::ffff").expect("one place is free"));
        drop((places, others));
        assert!(census.counts().strangers.is_empty() && census.counts().unknown == 0);
    }

    #[test]
    fn calls_over_http_keep_their_share() {
        let census = Census::new(8, MOST);
        let places: Vec<Place> =
            (0..6).map(|_| census.enter(&Principal::Operator, HERE).expect("room")).collect();
        assert!(census.enter(&Principal::Operator, HERE).is_err());
        drop(places);
    }
}
