//! Agents: what everybody sees of one, what it sees of itself, its record, its work and what it earned.

use super::convert;
use super::inner::{NodeService, now};
use super::page::{self, WALK_RUNS, WALKS_MAX};
use super::refusal::{bug, of_index};
use crate::index::{Index, NotReady};
use artel_federation::evidence::{Book, Tally, Viewer};
use artel_federation::fact::{Account, Judgement, Outcome, Poster};
use artel_federation::input::Profile;
use artel_federation::member;
use artel_federation::redo;
use artel_federation::run::Run;
use artel_federation::view::View;
use artel_federation::{Entry, Fact, Reply, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use artel_web::types::agent::{
    Agent, AgentPatch, AgentQuery, Contribution, Earnings, OwnAgent, Reputation, Work, WorkOutcome,
};
use artel_web::types::{List, Page};
use artel_web::{Call, Code, Problem};
use std::collections::{BTreeMap, BTreeSet};

/// How many agents one look at the state walks over at most, so that no list holds the driver up for long.
const WALK_AGENTS: usize = 1_024;

/// What those of these agents call themselves that are known here.
pub(super) async fn names(
    service: &NodeService,
    call: &Call,
    agents: BTreeSet<AgentId>,
) -> Result<BTreeMap<AgentId, String>, Problem> {
    let look = move |view: View<'_>, _| {
        let known = agents.iter().filter_map(|agent| view.agent(agent));
        known.map(|agent| (agent.id, agent.name.clone())).collect()
    };
    service.look(call, look).await
}

/// `GET /v1/agents`.
pub(super) async fn list(
    service: &NodeService,
    call: &Call,
    query: AgentQuery,
) -> Result<List<Agent>, Problem> {
    let mut after = page::key(&query.page, AgentId::from_did)?;
    let limit = query.page.limit as usize;
    let mut items = Vec::new();
    for _ in 0..WALKS_MAX {
        let (capability, room, now) = (query.capability.clone(), limit - items.len(), now());
        let walk = move |view: View<'_>, _| {
            let (mut found, mut last) = (Vec::new(), None);
            for agent in view.agents(after).take(WALK_AGENTS) {
                last = Some(agent.id);
                if capability
                    .as_ref()
                    .is_none_or(|wanted| agent.skills.iter().any(|skill| skill.meets(wanted)))
                {
                    found.push(convert::agent(agent, now));
                }
                if found.len() == room {
                    break;
                }
            }
            (found, last.filter(|last| view.agents(Some(*last)).next().is_some()))
        };
        let (found, more) = service.look(call, walk).await?;
        items.extend(found);
        after = more;
        if after.is_none() || items.len() >= limit {
            break;
        }
    }
    Ok(List { items, next_cursor: after.map(|agent| agent.to_string()) })
}

/// `GET /v1/agents/{did}`.
pub(super) async fn get(service: &NodeService, call: &Call, id: AgentId) -> Result<Agent, Problem> {
    with(service, call, id, |_, agent| convert::agent(agent, now())).await
}

/// `GET /v1/agents/me`.
pub(super) async fn own(service: &NodeService, call: &Call, me: AgentId) -> Result<OwnAgent, Problem> {
    with(service, call, me, own_of).await
}

/// An agent with what the view adds to it.
pub(super) fn own_of(view: View<'_>, agent: &artel_federation::member::Agent) -> OwnAgent {
    let (leases, balance) = (view.leases(&agent.id).len(), view.balance(Account::Agent(agent.id)));
    convert::own_agent(agent, leases, balance, now())
}

async fn with<T: Send + 'static>(
    service: &NodeService,
    call: &Call,
    id: AgentId,
    read: impl FnOnce(View<'_>, &artel_federation::member::Agent) -> T + Send + 'static,
) -> Result<T, Problem> {
    let found = service.look(call, move |view, _| view.agent(&id).map(|agent| read(view, agent))).await?;
    found.ok_or_else(|| Problem::new(Code::NotFound, "no such agent is enrolled here"))
}

/// `PATCH /v1/agents/me/config`.
pub(super) async fn configure(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    patch: AgentPatch,
) -> Result<OwnAgent, Problem> {
    let profile = with(service, call, me, move |_, agent| Profile {
        name: patch.agent_name.unwrap_or_else(|| agent.name.clone()),
        skills: patch.capabilities.unwrap_or_else(|| agent.skills.clone()),
        metadata: patch.metadata.as_ref().map_or_else(|| agent.metadata.clone(), convert::rules_json),
        capacity: Some(patch.capacity.unwrap_or(agent.capacity)),
    });
    service.ask(call, Request::Configure(profile.await?)).await?;
    own(service, call, me).await
}

/// `POST /v1/agents/{did}/revoke`.
pub(super) async fn revoke(service: &NodeService, call: &Call, id: AgentId) -> Result<Agent, Problem> {
    match service.ask(call, Request::RevokeAgent(id)).await? {
        Reply::Agent(agent) => Ok(convert::agent(&agent, now())),
        _ => Err(bug("a revocation got another reply")),
    }
}

/// `GET /v1/agents/{did}/reputation`.
pub(super) async fn reputation(
    service: &NodeService,
    call: &Call,
    id: AgentId,
) -> Result<Reputation, Problem> {
    let look = move |view: View<'_>, _| {
        view.agent(&id).map(|agent| {
            let member::Agent { accepted, rejected, lapsed, refuted, .. } = *agent;
            let accepted = accepted.saturating_sub(refuted);
            (agent.standing.clone(), Tally { accepted, rejected, lapsed })
        })
    };
    let (own, now) = (service.look(call, look).await?, now());
    let here = own.as_ref().map(|(_, tally)| *tally).unwrap_or_default();
    let own = own.as_ref().map(|(standing, tally)| (standing, *tally));
    let node = service.parts().identity.node;
    let seen = match &service.parts().neighbours {
        Some(neighbours) => neighbours.view(&id, own, now),
        // Alone, there is no other evidence.
        None => own.map(|own| {
            let alone = Viewer { node, founders: &[], liars: &BTreeSet::new() };
            Book::default().view_with(alone, &id, Some(own), now)
        }),
    };
    let seen = seen.ok_or_else(|| Problem::new(Code::NotFound, "no such agent is known here"))?;
    Ok(convert::reputation(id, here, seen, now))
}

/// `GET /v1/agents/{did}/history`: how its leases ended, newest first; the agent's own, or the operator's to read.
pub(super) async fn history(
    service: &NodeService,
    call: &Call,
    id: AgentId,
    page: Page,
) -> Result<List<Work>, Problem> {
    if !service.viewer(call).await?.may_be(&id) {
        let message = "an agent's history is shown to itself and the operator; its reputation to everybody";
        return Err(Problem::new(Code::Forbidden, message));
    }
    let before = page::key(&page, str::parse::<u64>)?;
    let (rows, next) = work(service, id, before, page.limit as usize).await?;
    let steps = steps_of(service, call, rows.iter().map(|(_, step, _)| *step)).await?;
    let items = rows.iter().filter_map(|(entry, id, fact)| ended(*entry, *id, fact, steps.get(id)));
    Ok(List { items: items.collect(), next_cursor: next })
}

/// A page of an agent's ended leases, newest first, and where the next one begins.
async fn work(
    service: &NodeService,
    id: AgentId,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<(u64, StepId, Entry)>, Option<String>), Problem> {
    let read = move |service: &NodeService| {
        let mut rows = service.parts().index.work(&id, before, limit + 1).map_err(of_index)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|(entry, _)| entry.to_string());
        let entries = rows.into_iter().map(|(entry, step)| Ok((entry, step, service.entry(entry)?)));
        Ok((entries.collect::<Result<Vec<_>, Problem>>()?, next))
    };
    service.blocking(read).await
}

/// What an agent's work says of its step.
struct Done {
    title: String,
    reward: Credits,
    paid: Credits,
    granted_at: Option<u64>,
    /// Verdicts by their entries: what a check found stands here, not in the public entry.
    verdicts: Vec<(u64, Outcome)>,
}

fn done(run: &Run, id: StepId) -> Option<Done> {
    let step = run.steps.get(id.index())?;
    let task = &step.spec.task;
    Some(Done {
        title: task.title.clone(),
        reward: task.reward,
        paid: step.paid,
        granted_at: step.granted_at,
        verdicts: step.handed.iter().filter_map(|handed| handed.verdict.clone()).collect(),
    })
}

/// What is known of these steps, from the rules' memory or the index.
async fn steps_of(
    service: &NodeService,
    call: &Call,
    steps: impl Iterator<Item = StepId>,
) -> Result<BTreeMap<StepId, Done>, Problem> {
    let ids: Vec<StepId> = steps.collect();
    let look = move |view: View<'_>, _| {
        let (mut found, mut missing) = (BTreeMap::new(), Vec::new());
        for id in ids {
            match view.run(&id.run()).map(|run| done(run, id)) {
                Some(known) => found.extend(known.map(|known| (id, known))),
                None => missing.push(id),
            }
        }
        (found, missing)
    };
    let (mut found, missing) = service.look(call, look).await?;
    if missing.is_empty() {
        return Ok(found);
    }
    let closed = move |index: &Index| {
        let known =
            missing.into_iter().map(|id| Ok((id, index.run(&id.run())?.and_then(|run| done(&run, id)))));
        known.collect::<Result<Vec<_>, NotReady>>()
    };
    let closed = service.indexed(closed).await?;
    found.extend(closed.into_iter().filter_map(|(id, known)| Some((id, known?))));
    Ok(found)
}

/// How a lease ended, by the entry that says so.
fn ended(entry: u64, id: StepId, ended: &Entry, step: Option<&Done>) -> Option<Work> {
    let found = || step.and_then(|step| step.verdicts.iter().find(|(index, _)| *index == entry));
    let (epoch, outcome, quality, feedback) = match &ended.fact {
        Fact::Released(f) => (f.epoch, WorkOutcome::Released, None, None),
        Fact::Lapsed(f) => (f.epoch, WorkOutcome::Lapsed, None, None),
        Fact::Refuted(f) => {
            let feedback = format!(
                "{}: run again, it came to another result; {} went back",
                redo::CHECK,
                f.recalled.decimal()
            );
            (f.epoch, WorkOutcome::Refuted, None, Some(feedback))
        }
        Fact::Verdict(f) => match (&f.judgement, found()) {
            (Judgement::Accepted { quality, .. }, _) => {
                (f.epoch, WorkOutcome::Accepted, Some(*quality), None)
            }
            (Judgement::Rejected { .. }, Some((_, Outcome::Rejected { check, findings }))) => {
                (f.epoch, WorkOutcome::Rejected, None, Some(format!("{check}: {findings}")))
            }
            (Judgement::Rejected { check, .. }, _) => {
                (f.epoch, WorkOutcome::Rejected, None, Some(check.clone()))
            }
        },
        _ => return None,
    };
    let accepted = outcome == WorkOutcome::Accepted;
    Some(Work {
        task_id: id,
        run_id: id.run(),
        epoch,
        title: step.map(|step| step.title.clone()),
        outcome,
        quality_score: quality,
        feedback,
        paid: step.filter(|_| accepted).map_or(Credits::ZERO, |step| step.paid),
        at: ended.at,
        entry,
    })
}

/// `GET /v1/agents/me/earnings`.
pub(super) async fn earnings(service: &NodeService, call: &Call, me: AgentId) -> Result<Earnings, Problem> {
    let in_escrow = in_escrow(service, call, me).await?;
    let earnings = with(service, call, me, move |view, agent| Earnings {
        agent_id: agent.id,
        total_earnings: Credits(agent.earned_units),
        balance: convert::credits(view.balance(Account::Agent(agent.id))),
        in_escrow,
        tasks_paid: agent.accepted,
        multiplier_percent: agent.standing.assess(now()).level.multiplier_tenths() as u32 * 10,
    });
    earnings.await
}

/// What an agent set aside for the open tasks that it posted. This walks through the whole book, a piece at a time and
/// one caller at a time, so that nobody can keep the driver busy with it.
async fn in_escrow(service: &NodeService, call: &Call, me: AgentId) -> Result<Credits, Problem> {
    let _turn = service.0.walking.lock().await;
    let (mut sum, mut after) = (0_u64, None);
    loop {
        let walk = move |view: View<'_>, _| {
            let (mut units, mut last) = (0_u64, None);
            for run in view.runs(after).take(WALK_RUNS) {
                last = Some(run.id);
                if run.poster == Poster::Agent(me) {
                    units += run.steps.iter().map(|step| step.escrow.0).sum::<u64>();
                }
            }
            (units, last)
        };
        let (units, last) = service.look(call, walk).await?;
        sum += units;
        after = last;
        if after.is_none() {
            return Ok(Credits(sum));
        }
    }
}

/// `GET /v1/agents/me/contributions`: what was paid, newest first.
pub(super) async fn contributions(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    page: Page,
) -> Result<List<Contribution>, Problem> {
    let before = page::key(&page, str::parse::<u64>)?;
    let (rows, next_cursor) = work(service, me, before, page.limit as usize).await?;
    let steps = steps_of(service, call, rows.iter().map(|(_, step, _)| *step)).await?;
    let read = move |service: &NodeService| {
        let paid = rows.iter().filter_map(|(entry, id, verdict)| {
            payment(service, *entry, *id, verdict, steps.get(id)).transpose()
        });
        paid.collect::<Result<Vec<_>, Problem>>()
    };
    Ok(List { items: service.blocking(read).await?, next_cursor })
}

/// A payment by its verdict; nothing for an entry that is none.
fn payment(
    service: &NodeService,
    entry: u64,
    id: StepId,
    verdict: &Entry,
    step: Option<&Done>,
) -> Result<Option<Contribution>, Problem> {
    let Fact::Verdict(judged) = &verdict.fact else { return Ok(None) };
    let Judgement::Accepted { quality, .. } = judged.judgement else { return Ok(None) };
    let Some(step) = step else { return Ok(None) };
    let granted = step.granted_at.ok_or_else(|| bug("an accepted step was never granted"))?;
    let Fact::Granted(grant) = service.entry(granted)?.fact else {
        return Err(bug("a grant stands elsewhere"));
    };
    Ok(Some(Contribution {
        task_id: id,
        run_id: id.run(),
        epoch: judged.epoch,
        base_reward: step.reward,
        quality_score: quality,
        reputation_level: convert::level(grant.level),
        paid: step.paid,
        at: verdict.at,
        entry,
    }))
}
