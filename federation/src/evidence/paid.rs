//! What homes paid, by their own public records: each payment is an IOU of the home's to the agent. It is no evidence and weighs
//! nothing; an agent's own node shows it what it has elsewhere.

use super::{ROWS_EACH, ROWS_MAX};
use crate::fact::{Account, Cause, Fact};
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::key::{AgentId, NodeId};
use std::collections::BTreeMap;

/// By home and agent, as many as rows of evidence; what an agent beyond that is paid is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Paid {
    homes: BTreeMap<NodeId, BTreeMap<AgentId, Credits>>,
    count: u64,
}

impl Paid {
    /// Reads the next entry of a home's journal.
    pub fn hear(&mut self, home: NodeId, fact: &Fact) {
        match fact {
            Fact::Transfer(f) if f.cause == Cause::Payment => {
                for leg in &f.legs {
                    if let (Account::Agent(agent), Ok(units)) = (leg.account, u64::try_from(leg.units)) {
                        self.add(home, agent, Credits(units));
                    }
                }
            }
            Fact::Refuted(f) => {
                if let Some(paid) = self.homes.get_mut(&home).and_then(|agents| agents.get_mut(&f.agent)) {
                    *paid = Credits(paid.0.saturating_sub(f.recalled.0));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, home: NodeId, agent: AgentId, paid: Credits) {
        let agents = self.homes.entry(home).or_default();
        let has_room = agents.len() < ROWS_EACH && self.count < ROWS_MAX as u64;
        if !agents.contains_key(&agent) {
            if !has_room {
                return;
            }
            self.count += 1;
        }
        let sum = agents.entry(agent).or_default();
        *sum = Credits(sum.0.saturating_add(paid.0));
    }

    /// What a home paid an agent.
    pub fn to(&self, home: &NodeId, agent: &AgentId) -> Credits {
        self.homes.get(home).and_then(|agents| agents.get(agent)).copied().unwrap_or_default()
    }

    /// What a home paid in all.
    pub fn by(&self, home: &NodeId) -> Credits {
        let sums = self.homes.get(home).into_iter().flat_map(BTreeMap::values);
        Credits(sums.fold(0, |all, sum| all.saturating_add(sum.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Leg, Refuted, Transfer};
    use crate::ledger;
    use artel_protocol::id::{Digest, Epoch, RunId, StepId};
    use artel_protocol::key::PublicKey;
    use artel_protocol::time::Wall;

    fn node(n: u8) -> NodeId {
        NodeId(PublicKey::from_bytes([n; 32]))
    }

    fn agent(n: u8) -> AgentId {
        AgentId(PublicKey::from_bytes([n; 32]))
    }

    fn step() -> StepId {
        RunId::new(Wall(1), [1; 9]).step(0)
    }

    fn payment(to: u8, units: u64) -> Fact {
        let paid = ledger::payment(step(), Credits(100), agent(to), Credits(units));
        Fact::Transfer(paid.expect("something was set aside"))
    }

    fn refuted(of: u8, recalled: u64) -> Fact {
        Fact::Refuted(Refuted {
            step: step(),
            epoch: Epoch(1),
            agent: agent(of),
            submitted: 1,
            verdict: 3,
            judged: Wall(1),
            late: false,
            quality: None,
            other: Digest::of(b"other"),
            profile: Digest::of(b"profile"),
            recalled: Credits(recalled),
        })
    }

    #[test]
    fn payments_add_up_by_home_and_agent_and_what_was_taken_back_is_none() {
        let mut paid = Paid::default();
        for (home, fact) in [
            (1, payment(7, 60)),
            (1, payment(8, 30)),
            (2, payment(7, 5)),
            (1, payment(7, 40)),
            (1, refuted(8, 10)),
            (2, refuted(8, 10)),
        ] {
            paid.hear(node(home), &fact);
        }
        assert_eq!(paid.to(&node(1), &agent(7)), Credits(100), "what went back to the poster is no payment");
        assert_eq!(paid.to(&node(1), &agent(8)), Credits(20));
        assert_eq!(
            (paid.by(&node(1)), paid.by(&node(2)), paid.by(&node(3))),
            (Credits(120), Credits(5), Credits(0))
        );
        paid.hear(node(2), &refuted(7, 6));
        assert_eq!(paid.to(&node(2), &agent(7)), Credits(0), "no home takes back more than it paid");
    }

    #[test]
    fn what_is_no_payment_and_whom_there_is_no_room_for_is_left_out() {
        let mut paid = Paid::default();
        let leg = Leg { account: Account::Agent(agent(1)), units: 9 };
        for cause in [Cause::Escrow, Cause::Refund] {
            paid.hear(node(1), &Fact::Transfer(Transfer { cause, step: step(), legs: vec![leg] }));
        }
        assert_eq!(paid, Paid::default());
        for n in 0..=ROWS_EACH as u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_le_bytes());
            paid.add(node(1), AgentId(PublicKey::from_bytes(key)), Credits(1));
        }
        assert_eq!(paid.by(&node(1)), Credits(ROWS_EACH as u64));
    }
}
