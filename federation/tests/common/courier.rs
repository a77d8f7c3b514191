//! The referee's part for work at other homes: each lease has one way, and what was sent stands in the journal before.

use artel_federation::commitment::Opening;
use artel_federation::fact::Abroad;
use artel_federation::{Entry, Fact};
use artel_protocol::id::Digest;
use artel_protocol::key::AgentId;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq)]
enum At {
    Held,
    Packed(Digest),
    HandedIn { acknowledged: bool, unanswered: bool },
}

#[derive(Default)]
pub struct Courier {
    leases: BTreeMap<Abroad, (AgentId, At)>,
}

fn rule(holds: bool, says: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(says) }
}

impl Courier {
    /// How many leases elsewhere an agent holds.
    pub fn held_by(&self, agent: AgentId) -> usize {
        self.leases.values().filter(|(who, at)| *who == agent && *at == At::Held).count()
    }

    fn at(&mut self, lease: &Abroad) -> Result<&mut (AgentId, At), &'static str> {
        self.leases.get_mut(lease).ok_or("an unknown lease elsewhere")
    }

    pub fn read(&mut self, entry: &Entry) -> Result<(), &'static str> {
        match &entry.fact {
            Fact::Undertaken(f) => {
                rule(self.leases.insert(f.lease, (f.agent, At::Held)).is_none(), "a lease is taken on once")
            }
            Fact::Outgoing(f) => {
                let (_, at) = self.at(&f.lease)?;
                rule(*at == At::Held, "only what is held is handed in")?;
                let opening =
                    Opening { salt: f.salt, output: f.output.digest(), artifacts: f.artifacts.clone() };
                *at = At::Packed(opening.result());
                Ok(())
            }
            Fact::HandedIn(f) => {
                let (agent, at) = self.at(&f.lease)?;
                rule(
                    *agent == f.agent && *at == At::Packed(f.result),
                    "what is said opens to what was packed",
                )?;
                *at = At::HandedIn { acknowledged: false, unanswered: false };
                Ok(())
            }
            Fact::Acknowledged(f) => match self.at(&f.lease)? {
                (_, At::HandedIn { acknowledged, .. }) => {
                    rule(!std::mem::replace(acknowledged, true), "a result is acknowledged once")
                }
                _ => Err("only what was handed in is acknowledged"),
            },
            Fact::Unanswered(f) => match self.at(&f.lease)? {
                (_, At::HandedIn { unanswered, .. }) => {
                    rule(!std::mem::replace(unanswered, true), "a silence is said once")
                }
                _ => Err("only what was handed in is unanswered"),
            },
            Fact::Concluded(f) => {
                let handed_in = matches!(self.at(&f.lease)?, (_, At::HandedIn { .. }));
                self.leases.remove(&f.lease);
                rule(handed_in, "only what was handed in is judged")
            }
            Fact::LetGo(f) => {
                let over = match self.at(&f.lease)? {
                    (_, At::HandedIn { acknowledged, .. }) => !*acknowledged || f.code == "unheard",
                    (_, at) => *at == At::Held,
                };
                self.leases.remove(&f.lease);
                rule(over, "what home has acknowledged is kept until it is judged, or for seven days")
            }
            _ => Ok(()),
        }
    }
}
