//! What agents of this node have under way at other homes, as the fold has it.

use crate::commitment::{Opening, Salt};
use crate::fact::{
    Abroad, Acknowledged, Authority, Concluded, HandedIn, Judgement, LetGo, Outgoing, RefutedAway,
    Unanswered, Undertaken,
};
use crate::options::{CONCLUDED_MAX, ENGAGEMENTS_MAX, ENGAGEMENTS_OF_AGENT_MAX, ENGAGEMENTS_OF_HOME_MAX};
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::time::Wall;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A lease at another home, until its result is judged or it is over.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Engagement {
    /// The lease.
    pub lease: Abroad,
    /// Who holds it.
    pub agent: AgentId,
    /// On whose authority it was claimed.
    pub authority: Authority,
    /// The index of home's `Granted` entry in its journal.
    pub granted: u64,
    /// The lease's term in milliseconds.
    pub lease_ms: u32,
    /// Within which time after a submission home promises a verdict, in milliseconds.
    pub verdict_within_ms: u32,
    /// When it was won, by this node's wall clock.
    pub won: Wall,
    /// The private half of a result, its salt and its commitment, until the public one behind it.
    outgoing: Option<(Salt, Digest)>,
    /// The result, once it was handed in.
    pub result: Option<Handed>,
}

impl Engagement {
    fn named(&self) -> (AgentId, StepId, Epoch) {
        (self.agent, self.lease.step, self.lease.epoch)
    }
}

/// A result that was handed in for another home.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Handed {
    /// The journal index of the `HandedIn` entry; the `Outgoing` one stands right before it.
    pub index: u64,
    /// When.
    pub at: Wall,
    /// The commitment.
    pub result: Digest,
    /// Its salt.
    pub salt: Salt,
    /// The index of home's `Submitted` entry in its journal, once home acknowledged it.
    pub acknowledged: Option<u64>,
    /// Whether it was said that home is silent.
    pub unanswered: bool,
    /// The index of home's `Verdict` entry in its journal, once that was heard.
    pub judged: Option<u64>,
    /// What home was heard to pay for it, once home has accepted it.
    pub accepted: Option<Credits>,
}

/// All of them, by lease.
#[derive(Debug, Clone, Default)]
pub struct Engagements {
    all: BTreeMap<Abroad, Arc<Engagement>>,
    /// The last ones whose result was judged, oldest first: an agent whose answer was lost hands the same in again.
    concluded: VecDeque<Arc<Engagement>>,
    /// Derived: the leases that each agent holds, its results not among them.
    held: BTreeMap<AgentId, BTreeSet<Abroad>>,
    /// Derived: each lease by what its agent knows of it.
    leases_of: BTreeMap<(AgentId, StepId, Epoch), Abroad>,
    /// Derived: how many there are of each home and of each agent.
    of_home: BTreeMap<NodeId, usize>,
    of_agent: BTreeMap<AgentId, usize>,
}

/// Where there is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are as many as there may be.
    All,
    /// As many as one home may have.
    Home,
    /// As many as one agent may have.
    Agent,
}

impl Engagements {
    pub(crate) fn from_rows(rows: Vec<Engagement>, concluded: Vec<Engagement>) -> Self {
        let concluded = concluded.into_iter().map(Arc::new).collect();
        let mut engagements = Engagements { concluded, ..Engagements::default() };
        rows.into_iter().for_each(|row| engagements.insert(row));
        engagements
    }

    fn insert(&mut self, engagement: Engagement) {
        if engagement.result.is_none() {
            self.held.entry(engagement.agent).or_default().insert(engagement.lease);
        }
        self.leases_of.insert(engagement.named(), engagement.lease);
        *self.of_home.entry(engagement.lease.home).or_default() += 1;
        *self.of_agent.entry(engagement.agent).or_default() += 1;
        self.all.insert(engagement.lease, Arc::new(engagement));
    }

    /// Why an agent may not take on one more lease: of a home, or of any.
    pub fn is_full_for(&self, agent: &AgentId, home: Option<&NodeId>) -> Option<Full> {
        let count = |of: Option<&usize>| of.copied().unwrap_or_default();
        if self.all.len() >= ENGAGEMENTS_MAX {
            Some(Full::All)
        } else if count(self.of_agent.get(agent)) >= ENGAGEMENTS_OF_AGENT_MAX {
            Some(Full::Agent)
        } else {
            home.filter(|home| count(self.of_home.get(home)) >= ENGAGEMENTS_OF_HOME_MAX).map(|_| Full::Home)
        }
    }

    /// The homes of which no further lease is taken on.
    pub fn full_homes(&self) -> impl Iterator<Item = &NodeId> {
        let full = self.of_home.iter().filter(|(_, count)| **count >= ENGAGEMENTS_OF_HOME_MAX);
        full.map(|(home, _)| home)
    }

    /// An agent's lease, whichever home it is of: an agent names step and epoch.
    pub fn of(&self, agent: &AgentId, step: &StepId, epoch: Epoch) -> Option<&Arc<Engagement>> {
        self.leases_of.get(&(*agent, *step, epoch)).and_then(|lease| self.all.get(lease))
    }

    /// The same where its result was judged lately and the lease is no more among these.
    pub fn concluded_of(&self, agent: &AgentId, step: &StepId, epoch: Epoch) -> Option<&Arc<Engagement>> {
        self.concluded.iter().rev().find(|engagement| engagement.named() == (*agent, *step, epoch))
    }

    /// What home paid for a result that it accepted lately and has not refuted since, and whose it was.
    pub fn accepted(&self, lease: &Abroad) -> Option<(AgentId, Credits)> {
        let known = self.concluded.iter().rev().find(|engagement| engagement.lease == *lease)?;
        known.result.as_ref()?.accepted.map(|paid| (known.agent, paid))
    }

    /// Those that were judged lately, oldest first.
    pub fn concluded(&self) -> impl ExactSizeIterator<Item = &Arc<Engagement>> {
        self.concluded.iter()
    }

    /// All of them, by lease.
    pub fn all(&self) -> impl ExactSizeIterator<Item = &Arc<Engagement>> {
        self.all.values()
    }

    /// One of them.
    pub fn get(&self, lease: &Abroad) -> Option<&Engagement> {
        self.all.get(lease).map(AsRef::as_ref)
    }

    /// The leases that an agent holds and has handed nothing in for.
    pub fn held_by<'a>(&'a self, agent: &AgentId) -> impl Iterator<Item = &'a Abroad> + use<'a> {
        self.held.get(agent).into_iter().flatten()
    }

    /// How many those are.
    pub fn live_leases(&self, agent: &AgentId) -> u32 {
        self.held.get(agent).map_or(0, |leases| leases.len() as u32)
    }

    pub(crate) fn undertaken(&mut self, f: &Undertaken, at: Wall) -> Result<(), String> {
        let known = self.all.contains_key(&f.lease);
        if known || self.leases_of.contains_key(&(f.agent, f.lease.step, f.lease.epoch)) {
            return Err(format!("lease {} of step {} was undertaken before", f.lease.epoch, f.lease.step));
        }
        self.insert(Engagement {
            lease: f.lease,
            agent: f.agent,
            authority: f.authority,
            granted: f.granted,
            lease_ms: f.lease_ms,
            verdict_within_ms: f.verdict_within_ms,
            won: at,
            outgoing: None,
            result: None,
        });
        Ok(())
    }

    fn change(&mut self, lease: &Abroad) -> Result<&mut Engagement, String> {
        let known = self.all.get_mut(lease).map(Arc::make_mut);
        known.ok_or_else(|| {
            format!("there is no lease {} of step {} at {}", lease.epoch, lease.step, lease.home)
        })
    }

    pub(crate) fn outgoing(&mut self, f: &Outgoing) -> Result<(), String> {
        let opening = Opening { salt: f.salt, output: f.output.digest(), artifacts: f.artifacts.clone() };
        self.change(&f.lease)?.outgoing = Some((f.salt, opening.result()));
        Ok(())
    }

    pub(crate) fn handed_in(&mut self, f: &HandedIn, (at, index): (Wall, u64)) -> Result<(), String> {
        let engagement = self.change(&f.lease)?;
        let salt = match engagement.outgoing.take() {
            Some((salt, result)) if result == f.result && engagement.result.is_none() => salt,
            _ => {
                return Err(format!(
                    "what stands before it does not open the result of step {}",
                    f.lease.step
                ));
            }
        };
        if engagement.agent != f.agent {
            return Err(format!("{} does not hold the lease of step {}", f.agent, f.lease.step));
        }
        let result = f.result;
        engagement.result = Some(Handed {
            index,
            at,
            result,
            salt,
            acknowledged: None,
            unanswered: false,
            judged: None,
            accepted: None,
        });
        self.unhold(&f.agent, &f.lease);
        Ok(())
    }

    fn handed(&mut self, lease: &Abroad) -> Result<&mut Handed, String> {
        let handed = self.change(lease)?.result.as_mut();
        handed.ok_or_else(|| format!("nothing was handed in for step {} at {}", lease.step, lease.home))
    }

    pub(crate) fn acknowledged(&mut self, f: &Acknowledged) -> Result<(), String> {
        self.handed(&f.lease)?.acknowledged = Some(f.submitted);
        Ok(())
    }

    pub(crate) fn unanswered(&mut self, f: &Unanswered) -> Result<(), String> {
        self.handed(&f.lease)?.unanswered = true;
        Ok(())
    }

    pub(crate) fn conclude(&mut self, f: &Concluded) -> Result<(), String> {
        let handed = self.handed(&f.lease)?;
        handed.judged = Some(f.verdict);
        let is_accepted = matches!(f.judgement, Judgement::Accepted { .. });
        handed.accepted = is_accepted.then_some(f.paid.unwrap_or_default());
        let engagement = self.remove(&f.lease)?;
        if self.concluded.len() == CONCLUDED_MAX {
            self.concluded.pop_front();
        }
        self.concluded.push_back(engagement);
        Ok(())
    }

    /// A result that was refuted is not remembered any longer: whoever hands it in again holds nothing.
    pub(crate) fn refuted(&mut self, f: &RefutedAway) -> Result<(), String> {
        let known = self.concluded.iter().position(|it| it.lease == f.lease && it.agent == f.agent);
        let known = known.ok_or_else(|| format!("no result of step {} was judged lately", f.lease.step))?;
        self.concluded.remove(known);
        Ok(())
    }

    pub(crate) fn let_go(&mut self, f: &LetGo) -> Result<(), String> {
        self.remove(&f.lease).map(drop)
    }

    fn remove(&mut self, lease: &Abroad) -> Result<Arc<Engagement>, String> {
        self.change(lease)?;
        let engagement = self.all.remove(lease).expect("it was just there");
        self.leases_of.remove(&engagement.named());
        one_less(&mut self.of_home, lease.home);
        one_less(&mut self.of_agent, engagement.agent);
        self.unhold(&engagement.agent, lease);
        Ok(engagement)
    }

    fn unhold(&mut self, agent: &AgentId, lease: &Abroad) {
        if let Some(leases) = self.held.get_mut(agent) {
            leases.remove(lease);
            if leases.is_empty() {
                self.held.remove(agent);
            }
        }
    }
}

fn one_less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}
