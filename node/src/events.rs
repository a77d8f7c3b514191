//! What happened here, as events: the newest stay in memory in the journal's order, and whoever waits is woken once
//! they are synced. An event is read from its entry; older ones are read from the journal.

mod abroad;
mod offer;

pub use offer::Offer;

use crate::news::News;
use artel_federation::fact::{
    AdmittedBy, Authority, Came, End, Entry, Judgement, Lie, Poster, Revoker, Verdict, Witnessing,
};
use artel_federation::run::{Run, RunStatus};
use artel_federation::view::View;
use artel_federation::{Fact, Json};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// How many entries stay in memory. Older ones are read from the journal.
const KEPT_ENTRIES: usize = 16_384;

/// How many bytes stay in memory, as [`ENTRY_BYTES`] and bodies add up.
const KEPT_BYTES: usize = 8 << 20;

/// What an entry takes up beside its body.
const ENTRY_BYTES: usize = 256;

/// The most bytes of an output that travels with the event of its acceptance. A longer one is fetched.
pub const EVENT_OUTPUT_BYTES_MAX: usize = 1_024;

/// One journal entry with what its event needs beside it.
#[derive(Clone)]
pub struct Kept {
    /// The entry's journal index.
    pub index: u64,
    entries: Arc<Vec<Entry>>,
    at: usize,
    /// Its share of its frame, which stays in memory as long as one of its entries does.
    bytes: usize,
    /// Who posted the run that it is about.
    pub poster: Option<Poster>,
    /// The output that a verdict accepted, where it is short; for those who may see it.
    pub output: Option<Json>,
    /// What is offered, where it is an offer.
    pub offer: Option<Arc<Offer>>,
}

impl Kept {
    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.entries[self.at]
    }
}

/// The newest events and the position up to which everything is synced.
pub struct Events {
    kept: RwLock<Ring>,
    synced: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Kept>,
    bytes: usize,
    /// Of the offers among them, those that stand.
    open: BTreeMap<StepId, Arc<Offer>>,
}

impl Ring {
    /// Keeps a frame's entries; `closed` are the runs that its commit brought to their end.
    fn keep(&mut self, frame: &News, closed: &BTreeMap<RunId, &Run>, view: View<'_>) {
        let bytes = ENTRY_BYTES + frame.bytes / frame.entries.len().max(1);
        let find = |id: RunId| closed.get(&id).copied().or_else(|| view.run(&id));
        let mut last: Option<&Run> = None;
        for (at, entry) in frame.entries.iter().enumerate() {
            let run = match (about(&entry.fact).0, last) {
                (Some(id), Some(run)) if run.id == id => Some(run),
                (Some(id), _) => find(id),
                (None, _) => None,
            };
            last = run.or(last);
            let offer = self.offer_of(&entry.fact, run);
            let bytes = bytes + offer.as_ref().map_or(0, |offer| offer.title.len());
            let kept = Kept {
                index: frame.first_index + at as u64,
                entries: frame.entries.clone(),
                at,
                bytes,
                poster: run.map(|run| run.poster),
                output: run.and_then(|run| accepted_output(&entry.fact, run)),
                offer,
            };
            self.bytes += bytes;
            self.entries.push_back(kept);
        }
    }

    /// What an entry offers. One that takes a step or ends it is the end of its offer.
    fn offer_of(&mut self, fact: &Fact, run: Option<&Run>) -> Option<Arc<Offer>> {
        let (step, offer) = match fact {
            Fact::Offered(f) => (f.step, run.and_then(|run| Offer::of(f, run))),
            Fact::Granted(f) => (f.step, None),
            Fact::StepEnded(f) => (f.step, None),
            _ => return None,
        };
        let before = match &offer {
            Some(offer) => self.open.insert(step, Arc::clone(offer)),
            None => self.open.remove(&step),
        };
        before.inspect(|before| before.ends());
        offer
    }

    fn forget_oldest(&mut self) {
        while self.entries.len() > KEPT_ENTRIES || self.bytes > KEPT_BYTES && self.entries.len() > 1 {
            let old = self.entries.pop_front().expect("not empty");
            self.bytes -= old.bytes;
            if let (Fact::Offered(f), Some(offer)) = (&old.entry().fact, &old.offer)
                && self.open.get(&f.step).is_some_and(|open| Arc::ptr_eq(open, offer))
            {
                self.open.remove(&f.step);
            }
        }
    }
}

/// A page of kept entries.
pub enum Recent {
    /// These, and the index after the last one looked at.
    Here(Vec<Kept>, u64),
    /// The journal has to be read: what is kept begins at this index.
    Older(u64),
}

impl Events {
    /// Nothing yet, with this many entries synced.
    pub fn new(synced: u64) -> Self {
        Events { kept: RwLock::default(), synced: watch::Sender::new(synced) }
    }

    /// Keeps the entries of synced frames.
    pub fn publish(&self, news: &[News], view: View<'_>) {
        // A run that ended may have left the rules' memory by the same commit.
        let closed = news
            .iter()
            .flat_map(|frame| &frame.closed)
            .filter_map(|closed| closed.run())
            .map(|run| (run.id, run.as_ref()))
            .collect();
        let mut ring = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for frame in news {
            ring.keep(frame, &closed, view);
        }
        ring.forget_oldest();
    }

    /// The journal was opened again at this size and may hold what was never published: all of it is read from there.
    pub fn begin_again(&self, size: u64) {
        let mut ring = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        *ring = Ring::default();
        self.synced(size);
    }

    /// Wakes those who wait: everything before `size` is synced.
    pub fn synced(&self, size: u64) {
        self.synced.send_if_modified(|old| std::mem::replace(old, size) != size);
    }

    /// The number of synced entries.
    pub fn size(&self) -> u64 {
        *self.synced.borrow()
    }

    /// A watch on the number of synced entries.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.synced.subscribe()
    }

    /// Up to `limit` kept entries from index `from` on that `wanted` says yes to.
    pub fn from(&self, from: u64, limit: usize, mut wanted: impl FnMut(&Kept) -> bool) -> Recent {
        let ring = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let synced = *self.synced.borrow();
        let first = ring.entries.front().map_or(synced, |kept| kept.index);
        if from < first {
            return Recent::Older(first);
        }
        let mut found = Vec::new();
        let mut next = from.max(first);
        let skip = ring.entries.partition_point(|kept| kept.index < next);
        for kept in ring.entries.iter().skip(skip) {
            if found.len() == limit || kept.index >= synced {
                break;
            }
            next = kept.index + 1;
            if wanted(kept) {
                found.push(kept.clone());
            }
        }
        Recent::Here(found, next)
    }
}

/// The output that a verdict accepted, where it is short enough to travel with the event.
pub fn accepted_output(fact: &Fact, run: &Run) -> Option<Json> {
    let Fact::Verdict(verdict) = fact else { return None };
    let accepted = matches!(verdict.judgement, Judgement::Accepted { .. });
    let output = run.steps.get(verdict.step.index())?.output.as_ref()?;
    (accepted && output.len() <= EVENT_OUTPUT_BYTES_MAX).then(|| output.clone())
}

/// The run and step that a fact is about.
pub fn about(fact: &Fact) -> (Option<RunId>, Option<StepId>) {
    let step = match fact {
        Fact::Offered(f) => f.step,
        Fact::Granted(f) => f.step,
        Fact::Unused(f) | Fact::Released(f) | Fact::Lapsed(f) | Fact::Withdrawn(f) => f.step,
        Fact::Submitted(f) => f.step,
        Fact::Output(f) => f.step,
        Fact::Findings(f) => f.step,
        Fact::Drawn(f) => f.step,
        Fact::Lot(f) => f.step,
        Fact::Redone(f) | Fact::Unsettled(f) => f.step,
        Fact::Verdict(f) => f.step,
        Fact::StepEnded(f) => f.step,
        Fact::Transfer(f) => f.step,
        Fact::Refuted(f) => f.step,
        Fact::Recalled(f) => f.step,
        Fact::RunPosted(f) => return (Some(f.run), None),
        Fact::RunEnded(f) => return (Some(f.run), None),
        Fact::CancelAsked(f) => return (Some(f.run), f.step),
        Fact::ArtifactStored(f) => return (f.run.or(f.step.map(|s| s.run())), f.step),
        Fact::Emitted(f) => return (f.run, None),
        _ => return (None, None),
    };
    (Some(step.run()), Some(step))
}

/// The agent that a fact is about.
pub fn agent_of(fact: &Fact) -> Option<AgentId> {
    match fact {
        Fact::Enrolled(f) => Some(f.agent),
        Fact::Configured(f) => Some(f.agent),
        Fact::Rotated(f) => Some(f.agent),
        Fact::Revoked(f) => Some(f.agent),
        Fact::DelegationEnded(f) => Some(f.agent),
        Fact::Granted(f) => Some(f.agent),
        Fact::Unused(f) | Fact::Released(f) | Fact::Lapsed(f) | Fact::Withdrawn(f) => Some(f.agent),
        Fact::Submitted(f) => Some(f.agent),
        Fact::Drawn(f) => Some(f.agent),
        Fact::Lot(f) => Some(f.agent),
        Fact::Redone(f) | Fact::Unsettled(f) => Some(f.agent),
        Fact::Verdict(f) => Some(f.agent),
        Fact::Refuted(f) => Some(f.agent),
        Fact::ArtifactStored(f) => poster_agent(f.by),
        Fact::RunPosted(f) => poster_agent(f.poster),
        Fact::CancelAsked(f) => poster_agent(f.by),
        Fact::Refused(f) => poster_agent(f.who),
        other => abroad::agent_of(other),
    }
}

fn poster_agent(poster: Poster) -> Option<AgentId> {
    match poster {
        Poster::Operator => None,
        Poster::Agent(agent) => Some(agent),
    }
}

/// How a node lied, in a word for programs; the same as in a proof's listing.
pub fn lie_text(lie: Lie) -> &'static str {
    match lie {
        Lie::TwoRoots => "two_roots",
        Lie::TwoLeaves => "two_leaves",
        Lie::Rewritten => "rewritten",
    }
}

/// The other node that a fact is about.
pub fn node_of(fact: &Fact) -> Option<NodeId> {
    match fact {
        Fact::Admitted(f) => Some(f.node),
        Fact::Expelled(f) => Some(f.node),
        Fact::FraudProven(f) => Some(f.node),
        Fact::Redone(f) | Fact::Unsettled(f) => f.by,
        other => abroad::node_of(other),
    }
}

/// Who did it: the operator, an agent, or the node itself.
pub fn actor(fact: &Fact) -> String {
    match fact {
        Fact::Expelled(_) | Fact::Invited(_) | Fact::InvitationEnded(_) => "operator".into(),
        Fact::Admitted(f) if f.by == AdmittedBy::Operator => "operator".into(),
        Fact::Revoked(f) if f.by == Revoker::Operator => "operator".into(),
        Fact::RunPosted(f) => artel_federation::effect::poster_text(&f.poster),
        Fact::CancelAsked(f) => artel_federation::effect::poster_text(&f.by),
        Fact::ArtifactStored(f) => artel_federation::effect::poster_text(&f.by),
        Fact::Emitted(f) => artel_federation::effect::poster_text(&f.by),
        Fact::Verdict(_) | Fact::Lapsed(_) | Fact::Refuted(_) => "system".into(),
        other => agent_of(other).map_or_else(|| "system".into(), |agent| agent.to_string()),
    }
}

/// An event's name: what happened behind the prefix that the operator chose, or the name that an event was emitted with.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    prefix: &'a str,
    rest: &'a str,
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix, self.rest)
    }
}

impl Name<'_> {
    /// Whether somebody may mean it by this: the whole name, or what is behind the prefix.
    pub fn is_called(&self, text: &str) -> bool {
        text == self.rest || text.strip_prefix(self.prefix) == Some(self.rest)
    }
}

/// An event's name; nothing where an entry is no event of its own.
pub fn name<'a>(fact: &'a Fact, prefix: &'a str) -> Option<Name<'a>> {
    let rest = match fact {
        Fact::Genesis(_) => "federation.founded",
        Fact::Started(_) => "node.started",
        Fact::Joined(_) => "federation.joined",
        Fact::Admitted(_) => "node.admitted",
        Fact::Expelled(_) => "node.expelled",
        Fact::FraudProven(_) => "node.fraud_proven",
        Fact::Enrolled(_) => "agent.enrolled",
        Fact::Configured(_) => "agent.configured",
        Fact::Rotated(_) => "agent.token_rotated",
        Fact::Revoked(_) => "agent.revoked",
        Fact::DelegationEnded(_) => "agent.delegation_ended",
        Fact::RunPosted(_) => "run.created",
        Fact::RunEnded(f) => match f.status {
            RunStatus::Completed => "run.completed",
            RunStatus::Cancelled => "run.cancelled",
            _ => "run.failed",
        },
        Fact::CancelAsked(_) => "run.cancel_asked",
        Fact::Offered(_) => "task.available",
        Fact::Granted(_) => "task.claimed",
        Fact::Released(_) => "task.released",
        Fact::Lapsed(_) => "task.lapsed",
        Fact::Submitted(_) => "task.submitted",
        Fact::Drawn(_) => "task.drawn",
        Fact::Lot(f) => {
            if f.drawn {
                "task.drawn"
            } else {
                "task.not_drawn"
            }
        }
        Fact::Redone(_) | Fact::Unsettled(_) => "task.redone",
        Fact::Refuted(_) => "task.refuted",
        Fact::Verdict(f) => match f.judgement {
            Judgement::Accepted { .. } => "task.accepted",
            Judgement::Rejected { .. } => "task.rejected",
        },
        Fact::StepEnded(f) => match f.end {
            End::Cancelled => "task.cancelled",
            End::NeedFailed => "task.skipped",
            _ => "task.failed",
        },
        Fact::ArtifactStored(_) => "artifact.created",
        Fact::Emitted(f) => return Some(Name { prefix: "", rest: &f.name }),
        Fact::Output(_) | Fact::Findings(_) | Fact::Transfer(_) | Fact::Recalled(_) | Fact::Refused(_) => {
            return None;
        }
        Fact::Invited(_) | Fact::InvitationEnded(_) => return None,
        other => abroad::name(other)?,
    };
    Some(Name { prefix, rest })
}

/// What an event says beside what it is about. Inputs and outputs are not in it: they are fetched by those who may.
pub fn data(fact: &Fact) -> Value {
    match fact {
        Fact::Offered(f) => json!({
            "task_id": f.step.to_string(),
            "reward": number(f.reward),
            "complexity": f.complexity.name(),
            "capabilities": f.skills.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "deadline": f.deadline.iso8601(),
            "epoch": f.epoch.0,
            "terms": f.terms.to_string(),
        }),
        Fact::Granted(f) => json!({
            "task_id": f.step.to_string(),
            "agent_id": f.agent.to_string(),
            "epoch": f.epoch.0,
            "level": f.level.name(),
            "authority": authority(f.authority),
        }),
        Fact::Unused(f) | Fact::Released(f) | Fact::Lapsed(f) | Fact::Withdrawn(f) => {
            json!({"task_id": f.step.to_string(), "agent_id": f.agent.to_string(), "epoch": f.epoch.0})
        }
        Fact::Submitted(f) => json!({
            "task_id": f.step.to_string(),
            "agent_id": f.agent.to_string(),
            "epoch": f.epoch.0,
            "result": f.result.to_string(),
            "authority": authority(f.authority),
            "late": f.late,
            "handed_in": f.handed_at.map(|at| abroad::handed_at(&at)),
        }),
        Fact::Verdict(f) => json!(verdict(f)),
        Fact::StepEnded(f) => json!({"task_id": f.step.to_string(), "reason": end_code(f.end)}),
        Fact::RunPosted(f) => json!({"name": f.name, "steps": f.steps.len()}),
        Fact::RunEnded(f) => json!({"status": run_status(f.status)}),
        Fact::CancelAsked(f) => json!({"task_id": f.step.map(|s| s.to_string())}),
        Fact::Enrolled(f) => json!({
            "agent_id": f.agent.to_string(),
            "agent_name": f.name,
            "capabilities": f.skills.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "delegated_until": f.delegation.map(|d| d.until.iso8601()),
        }),
        Fact::Configured(f) => {
            json!({"agent_id": f.agent.to_string(), "agent_name": f.name, "capacity": f.capacity})
        }
        Fact::Rotated(f) => {
            json!({"agent_id": f.agent.to_string(), "serial": f.serial, "expires_at": f.expires.iso8601()})
        }
        Fact::Revoked(f) => json!({"agent_id": f.agent.to_string(), "serial": f.serial}),
        Fact::DelegationEnded(f) => json!({"agent_id": f.agent.to_string(), "before": f.before.iso8601()}),
        Fact::ArtifactStored(f) => json!({
            "artifact_id": f.artifact.to_string(),
            "sha256": f.digest.to_string(),
            "byte_length": f.bytes,
            "name": f.name,
            "kind": f.kind,
        }),
        Fact::Started(f) => {
            json!({"boot": f.boot, "version": f.version, "configuration": f.configuration.to_string()})
        }
        Fact::Genesis(f) => json!({"name": f.name, "federation_id": f.id().to_string()}),
        Fact::Joined(f) => json!({"name": f.genesis.name, "federation_id": f.genesis.id().to_string()}),
        Fact::Admitted(f) => {
            let (by, invitation) = admitted_by(&f.by);
            json!({"node_id": f.node.to_string(), "admitted_by": by, "invitation": invitation})
        }
        Fact::Expelled(f) => json!({"node_id": f.node.to_string(), "reason": f.reason}),
        Fact::FraudProven(f) => {
            json!({"node_id": f.node.to_string(), "lie": lie_text(f.lie), "proof": f.proof.to_string()})
        }
        Fact::Invited(f) => json!({
            "invitation": f.invitation.to_string(),
            "until": f.until.iso8601(),
            "uses": f.uses,
        }),
        Fact::InvitationEnded(f) => json!({"invitation": f.invitation.to_string()}),
        Fact::Emitted(f) => serde_json::from_slice(f.data.bytes()).unwrap_or(Value::Null),
        Fact::Transfer(f) => json!({
            "task_id": f.step.to_string(),
            "cause": cause(f.cause),
            "legs": f.legs.iter().map(|leg| json!({"account": account(&leg.account), "units": leg.units})).collect::<Vec<_>>(),
        }),
        Fact::Output(f) => {
            json!({"task_id": f.step.to_string(), "epoch": f.epoch.0, "output_digest": f.output.digest().to_string()})
        }
        Fact::Findings(f) => {
            json!({"task_id": f.step.to_string(), "epoch": f.epoch.0, "findings": f.findings})
        }
        Fact::Drawn(f) => json!({
            "task_id": f.step.to_string(),
            "agent_id": f.agent.to_string(),
            "epoch": f.epoch.0,
            "rate_per_mille": f.rate,
            "lot": f.lot.to_string(),
        }),
        Fact::Lot(f) => json!({
            "task_id": f.step.to_string(),
            "agent_id": f.agent.to_string(),
            "epoch": f.epoch.0,
            "submitted": f.submitted,
            "rate_per_mille": f.rate,
            "lot": f.lot.to_string(),
            "drawn": f.drawn,
            "witnesses": f.witnesses.iter().map(witnessing).collect::<Vec<_>>(),
        }),
        Fact::Redone(f) | Fact::Unsettled(f) => json!({
            "task_id": f.step.to_string(),
            "agent_id": f.agent.to_string(),
            "epoch": f.epoch.0,
            "by": f.by.map(|node| node.to_string()),
            "came": came(&f.came),
            "profile": f.profile.map(|profile| profile.to_string()),
        }),
        Fact::Refuted(f) => json!({
            "task_id": f.step.to_string(),
            "agent_id": f.agent.to_string(),
            "epoch": f.epoch.0,
            "verdict": f.verdict,
            "other": f.other.to_string(),
            "profile": f.profile.to_string(),
            "recalled": number(f.recalled),
        }),
        Fact::Refused(f) => {
            json!({"who": artel_federation::effect::poster_text(&f.who), "code": f.code, "count": f.count})
        }
        other => abroad::data(other),
    }
}

/// What the event of a verdict says: one of every four entries of a busy node, so it is also written without a [`Value`].
#[derive(Serialize)]
pub struct VerdictSaid<'a> {
    agent_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'a str>,
    epoch: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality_score: Option<u8>,
    task_id: String,
}

/// What the event of a verdict says.
pub fn verdict(verdict: &Verdict) -> VerdictSaid<'_> {
    let (quality_score, check) = match &verdict.judgement {
        Judgement::Accepted { quality, .. } => (Some(*quality), None),
        Judgement::Rejected { check } => (None, Some(check.as_str())),
    };
    VerdictSaid {
        agent_id: verdict.agent.to_string(),
        check,
        epoch: verdict.epoch.0,
        quality_score,
        task_id: verdict.step.to_string(),
    }
}

/// A witness of a lot: up to which size it cosigned, and when by its own clock; nothing where it did not in time.
fn witnessing(one: &Witnessing) -> Value {
    let said = one.cosigned.as_ref();
    json!({"node": one.node.to_string(), "size": said.map(|said| said.size), "at_s": said.map(|said| said.at_s)})
}

/// On what a node was let in, as a stable word, and the invitation where it was one.
pub fn admitted_by(by: &AdmittedBy) -> (&'static str, Option<String>) {
    match by {
        AdmittedBy::Open => ("open", None),
        AdmittedBy::Invitation(digest) => ("invitation", Some(digest.to_string())),
        AdmittedBy::Operator => ("operator", None),
    }
}

/// On whose authority an agent's act stands, as a stable word.
fn authority(authority: Authority) -> &'static str {
    match authority {
        Authority::Session => "session",
        Authority::Delegated => "delegated",
        Authority::Own => "own",
    }
}

/// What a run came to, as a stable word.
fn came(came: &Came) -> &'static str {
    match came {
        Came::Same => "same",
        Came::Other(_) => "other",
        Came::Inconclusive => "inconclusive",
    }
}

/// Why a step ended, as a stable code.
pub fn end_code(end: End) -> &'static str {
    match end {
        End::AttemptsSpent => "attempts_spent",
        End::LapsesSpent => "lapses_spent",
        End::DeadlinePassed => "deadline_passed",
        End::NeedFailed => "need_failed",
        End::Cancelled => "cancelled",
        End::ReleasesSpent => "releases_spent",
    }
}

/// A run's status, as it stands in answers.
pub fn run_status(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Created => "created",
        RunStatus::Running => "running",
        RunStatus::Completed => "completed",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
    }
}

/// An account, in text.
pub fn account(account: &artel_federation::fact::Account) -> String {
    use artel_federation::fact::Account;
    match account {
        Account::Operator => "operator".into(),
        Account::Agent(agent) => agent.to_string(),
        Account::Escrow(step) => format!("escrow:{step}"),
        Account::Poster(step) => format!("poster:{step}"),
    }
}

fn cause(cause: artel_federation::fact::Cause) -> &'static str {
    use artel_federation::fact::Cause;
    match cause {
        Cause::Escrow => "escrow",
        Cause::Payment => "payment",
        Cause::Refund => "refund",
    }
}

/// An amount as an exact JSON number.
pub fn number(amount: artel_protocol::amount::Credits) -> Value {
    serde_json::from_str(&amount.decimal()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::commitment::Salt;
    use artel_federation::fact::RunEnded;
    use artel_federation::{ClosedRun, Federation, Identity, Options};
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};
    use artel_protocol::time::Wall;

    #[test]
    fn a_run_that_left_the_rules_memory_by_its_own_commit_keeps_its_poster() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let poster = Poster::Agent(AgentId(key));
        let run = Arc::new(Run {
            id: RunId::new(Wall(1), [1; 9]),
            poster,
            name: String::new(),
            inputs: Json::new(*b"{}"),
            priority: 0,
            correlation: None,
            created: Wall(0),
            posted_at: 0,
            post_key: None,
            steps: Vec::new(),
            attempts_max: 1,
            lapses_max: 1,
            salt: Salt([0; 16]),
            cancelled: false,
            ended: Some(Wall(0)),
            trimmed: false,
        });
        let frame = |first_index, closed| {
            let fact = Fact::RunEnded(RunEnded { run: run.id, status: RunStatus::Completed });
            let entries = Arc::new(vec![Entry { at: Wall(0), correlation: None, fact }]);
            News { first_index, entries, bytes: 64, closed }
        };
        // Rules that know of no run: it has left their memory.
        let identity = Identity { node: NodeId(key), federation: FederationId([0; 32]) };
        let rules = Federation::new(identity, Options::default());
        let events = Events::new(0);
        events.publish(
            &[frame(0, Vec::new()), frame(1, vec![Arc::new(ClosedRun::new(run.clone()))])],
            rules.view(),
        );
        events.synced(2);
        let Recent::Here(found, 2) = events.from(0, 9, |_| true) else { panic!("both are kept") };
        assert_eq!(found.iter().map(|kept| kept.poster).collect::<Vec<_>>(), [Some(poster); 2]);
    }
}
