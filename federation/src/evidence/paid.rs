//! What homes paid, by their own public records: each payment is an IOU of the home's to the agent. It is no evidence and weighs
//! nothing; an agent's own node shows it what it has elsewhere. So half of the room is that node's own agents', whom nobody crowds out;
//! the other half is whose payment comes first.
//!
//! Sums alone, so that journals may come in any order: a home's journal that was cut goes on in another one.

use super::PAID_ROWS_MAX;
use crate::fact::{Account, Cause, Fact};
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::key::{AgentId, NodeId};
use std::collections::BTreeMap;

/// By home, of which there are no more than journals are read, and by home and agent of those that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Paid {
    homes: BTreeMap<NodeId, Sums>,
    kept: BTreeMap<(NodeId, AgentId), Sums>,
}

/// What was paid, and what of it was taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
struct Sums {
    paid: u64,
    recalled: u64,
}

impl Sums {
    fn add(&mut self, more: Sums) {
        self.paid = self.paid.saturating_add(more.paid);
        self.recalled = self.recalled.saturating_add(more.recalled);
    }

    /// No home takes back more than it paid.
    fn left(self) -> Credits {
        Credits(self.paid.saturating_sub(self.recalled))
    }
}

impl Paid {
    /// Keeps what a home pays an agent of this node, where there is room.
    pub fn keep(&mut self, home: NodeId, agent: AgentId) {
        if self.kept.len() < PAID_ROWS_MAX {
            self.kept.entry((home, agent)).or_default();
        }
    }

    /// Reads the next entry of a home's journal.
    pub fn hear(&mut self, home: NodeId, fact: &Fact) {
        match fact {
            Fact::Transfer(f) if f.cause == Cause::Payment => {
                for leg in &f.legs {
                    if let (Account::Agent(agent), Ok(paid)) = (leg.account, u64::try_from(leg.units)) {
                        self.add(home, agent, Sums { paid, recalled: 0 });
                    }
                }
            }
            Fact::Refuted(f) => self.add(home, f.agent, Sums { paid: 0, recalled: f.recalled.0 }),
            _ => {}
        }
    }

    fn add(&mut self, home: NodeId, agent: AgentId, sums: Sums) {
        self.homes.entry(home).or_default().add(sums);
        let has_room = self.kept.len() < PAID_ROWS_MAX / 2;
        match self.kept.get_mut(&(home, agent)) {
            Some(kept) => kept.add(sums),
            None if has_room => drop(self.kept.insert((home, agent), sums)),
            None => {}
        }
    }

    /// What a home paid an agent whose payments are kept.
    pub fn to(&self, home: &NodeId, agent: &AgentId) -> Credits {
        self.kept.get(&(*home, *agent)).copied().unwrap_or_default().left()
    }

    /// What a home paid in all.
    pub fn by(&self, home: &NodeId) -> Credits {
        self.homes.get(home).copied().unwrap_or_default().left()
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
        for (home, of) in [(1, 7), (1, 8), (2, 7)] {
            paid.keep(node(home), agent(of));
        }
        for (home, fact) in [
            (1, payment(7, 60)),
            (1, payment(8, 30)),
            (2, payment(7, 5)),
            (1, payment(7, 40)),
            (1, refuted(8, 10)),
            (2, refuted(7, 1)),
            (1, payment(9, 50)),
        ] {
            paid.hear(node(home), &fact);
        }
        assert_eq!(paid.to(&node(1), &agent(7)), Credits(100), "what went back to the poster is no payment");
        assert_eq!(paid.to(&node(1), &agent(8)), Credits(20));
        assert_eq!(paid.to(&node(1), &agent(9)), Credits(50), "whoever it is, while there is room");
        assert_eq!(
            (paid.by(&node(1)), paid.by(&node(2)), paid.by(&node(3))),
            (Credits(170), Credits(4), Credits(0))
        );
        paid.hear(node(2), &refuted(7, 6));
        assert_eq!(paid.to(&node(2), &agent(7)), Credits(0), "no home takes back more than it paid");
    }

    #[test]
    fn what_is_no_payment_is_none_and_others_take_half_of_the_room() {
        let mut paid = Paid::default();
        let leg = Leg { account: Account::Agent(agent(1)), units: 9 };
        for cause in [Cause::Escrow, Cause::Refund] {
            paid.hear(node(1), &Fact::Transfer(Transfer { cause, step: step(), legs: vec![leg] }));
        }
        assert_eq!(paid, Paid::default());
        let numbered = |n: u32| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            AgentId(PublicKey::from_bytes(key))
        };
        let some = Sums { paid: 10, recalled: 0 };
        (0..=PAID_ROWS_MAX as u32 / 2).for_each(|n| paid.add(node(1), numbered(n), some));
        assert_eq!(paid.kept.len(), PAID_ROWS_MAX / 2);
        paid.keep(node(1), agent(1));
        paid.hear(node(1), &payment(1, 10));
        assert_eq!(paid.to(&node(1), &agent(1)), Credits(10), "an agent of this node has its place");
        (0..=PAID_ROWS_MAX as u32).for_each(|n| paid.keep(node(2), numbered(n)));
        assert_eq!(paid.kept.len(), PAID_ROWS_MAX);
    }

    #[test]
    fn the_same_payments_add_up_to_the_same_in_any_order() {
        // The journal in which a payment stands was cut, and it is taken back in the next one.
        let facts = [payment(7, 60), refuted(7, 20), payment(7, 5)];
        let sums = [[0, 1, 2], [1, 0, 2], [2, 1, 0]].map(|order| {
            let mut paid = Paid::default();
            paid.keep(node(1), agent(7));
            order.iter().for_each(|at| paid.hear(node(1), &facts[*at]));
            paid
        });
        assert!(sums[0] == sums[1] && sums[1] == sums[2]);
        assert_eq!(sums[0].to(&node(1), &agent(7)), Credits(45));
    }
}
