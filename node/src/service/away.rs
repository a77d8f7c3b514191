//! Tasks of other homes: this node's agents claim, keep and hand them in here, and this node takes it there. What is won and
//! what is handed in is in this node's journal before the agent hears of it, or home does.

use super::asking::Said;
use super::claiming::claim_next;
use super::convert;
use super::inner::{NodeService, now};
use super::refusal::{bug, of_home, of_rules, of_visit};
use super::tasks::{check_skills, claim_next_here};
use crate::neighbours::{Introduction, Neighbours, NotFetched, Offer as Heard, Own, VisitError};
use artel_federation::away::{Engagement, ends_a_result};
use artel_federation::effect as rules;
use artel_federation::fact::{Abroad, Authority, Undertaken};
use artel_federation::input::{Word, Work};
use artel_federation::visit::message::{Act, Told};
use artel_federation::visit::warrant::act_text;
use artel_federation::{Reply, Request};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::time::Wall;
use artel_web::types::List;
use artel_web::types::auth::SignedStatement;
use artel_web::types::task::{Lease, Offer, OfferQuery, Renewed, Requirements, SubmitRequest, Submitted};
use artel_web::{Call, Code, Problem};
use std::sync::Arc;

/// How many of an agent's leases elsewhere are asked for an artifact that it names. It knows its digest from one of them.
const LEASES_ASKED_MAX: usize = 8;

/// The longest term of a lease that is taken from a home, in milliseconds (an hour, as a home of ours may have): for three
/// terms it holds one of the agent's leases, whatever becomes of it.
const LEASE_MS_MAX: u32 = 3_600_000;

/// The longest promise of a verdict that is taken from a home, in milliseconds (seven days): a timer stands for each.
const VERDICT_MS_MAX: u32 = 7 * 24 * 3_600_000;

/// `GET /v1/offers`, by home and task.
pub(super) fn offers(service: &NodeService, query: &OfferQuery) -> Result<List<Offer>, Problem> {
    let after = super::page::key(&query.page, cursor)?;
    let limit = query.page.limit as usize;
    let neighbours = service.parts().neighbours.as_ref();
    let mut heard = neighbours
        .map(|neighbours| neighbours.offers(after, query.capability.as_ref(), limit + 1))
        .unwrap_or_default();
    let more = heard.len() > limit;
    heard.truncate(limit);
    let next_cursor =
        heard.last().filter(|_| more).map(|offer| format!("{}/{}", offer.home, offer.offered.step));
    Ok(List { items: heard.into_iter().map(shown).collect(), next_cursor })
}

fn cursor(text: &str) -> Result<(NodeId, StepId), &'static str> {
    let wrong = "not a place in the list of offers";
    let (home, step) = text.split_once('/').ok_or(wrong)?;
    Ok((NodeId::from_did(home).map_err(|_| wrong)?, StepId::parse(step).map_err(|_| wrong)?))
}

fn shown(heard: Heard) -> Offer {
    let offered = heard.offered;
    Offer {
        home: heard.home,
        task_id: offered.step,
        epoch: offered.epoch,
        requirements: Requirements {
            capabilities: offered.skills,
            level: offered.level_min.map(convert::level),
        },
        complexity: convert::complexity(offered.complexity),
        reward: offered.reward,
        deadline: offered.deadline,
        offered_at: heard.at,
        heard_at: heard.heard,
        heard_from: heard.from,
        terms: offered.terms,
    }
}

fn neighbours(service: &NodeService) -> Result<&Neighbours, Problem> {
    service.parts().neighbours.as_ref().ok_or_else(|| {
        Problem::new(Code::HomeUnreachable, "this node has no neighbours; start it with --listen or --join")
    })
}

/// The other home that a claim of a task goes to: the one that the agent names, or that was heard to offer it. A task of this
/// node's own is never another's, whoever says so.
pub(super) async fn home_of(
    service: &NodeService,
    call: &Call,
    named: Option<NodeId>,
    id: StepId,
) -> Result<Option<NodeId>, Problem> {
    let me = service.parts().identity.node;
    if let Some(home) = named {
        return Ok((home != me).then_some(home));
    }
    let Some(home) = service.parts().neighbours.as_ref().and_then(|known| known.home_of(&id)) else {
        return Ok(None);
    };
    let here = service.look(call, move |view, _| view.step(&id).is_some()).await?;
    Ok((!here).then_some(home))
}

/// A lease of another home, and what that home is told of the agent that holds it.
pub(super) struct Held {
    engagement: Arc<Engagement>,
    introduction: Introduction,
}

/// The lease of another home that an agent means, one whose result was judged lately among them. A step of this node is never
/// another home's, whatever that one says.
pub(super) async fn lease_of(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    (id, epoch): (StepId, Epoch),
) -> Result<Option<Held>, Problem> {
    if service.parts().neighbours.is_none() {
        return Ok(None);
    }
    let look = move |view: artel_federation::view::View<'_>, _| {
        let (here, away) = (view.step(&id).is_some(), view.away());
        let known = away.of(&me, &id, epoch).or_else(|| away.concluded_of(&me, &id, epoch));
        let engagement = known.filter(|_| !here)?.clone();
        Some(Held { engagement, introduction: Introduction::of(view, &me)? })
    };
    service.look(call, look).await
}

/// The lease, where nothing was handed in under it: a result is not taken back with its lease.
fn still_held(service: &NodeService, call: &Call, engagement: &Engagement) -> Result<Abroad, Problem> {
    match engagement.result {
        None => Ok(engagement.lease),
        Some(_) => {
            let message = "a result was handed in under this lease and stands; it is brought to its home until there is a verdict";
            Err(service.refuse(call, Problem::new(Code::StaleEpoch, message)))
        }
    }
}

/// A claim of one task of another home.
pub(super) async fn claim(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    (home, id): (NodeId, StepId),
    signed: Option<SignedStatement>,
) -> Result<Lease, Problem> {
    let lease = claim_at(service, call, me, home, Act::Claim(id), signed).await?;
    lease.ok_or_else(|| of_home("not_found", "this home offers no such task".into()))
}

/// A claim at another home; what was won is written down before the agent hears of it.
pub(super) async fn claim_at(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    home: NodeId,
    act: Act,
    signed: Option<SignedStatement>,
) -> Result<Option<Lease>, Problem> {
    let introduction = has_room(service, call, me, Some(home)).await?;
    let own = own(service, call, (home, me), &act, signed).await?;
    let neighbours = neighbours(service)?;
    let told = neighbours.visit_as(&home, (me, introduction), act.clone(), own).await;
    if let (Act::Claim(step), Ok(Told::Refused { code, .. })) = (&act, &told) {
        neighbours.not_open(&home, step, code);
    }
    won(service, call, me, own, (home, told)).await
}

/// No home is asked for a lease that the agent may not hold, or of which this node would take on no more; what a home is told of an
/// agent that may.
pub(super) async fn has_room(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    home: Option<NodeId>,
) -> Result<Introduction, Problem> {
    let looked = service.look(call, move |view, _| {
        let has_room = view.agent(&me).is_some_and(|agent| view.free_leases(agent) > 0);
        let full = view.away().is_full_for(&me, home.as_ref());
        (Introduction::of(view, &me).filter(|_| has_room), full)
    });
    match looked.await? {
        (_, Some(full)) => Err(service.refuse(call, of_rules(full.refusal()))),
        (Some(introduction), None) => Ok(introduction),
        (None, None) => Err(service.refuse(call, Problem::of(Code::CapacityFull))),
    }
}

/// What an agent has by a home's answer to its claim.
pub(super) async fn won(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    own: Own,
    (home, told): Said,
) -> Result<Option<Lease>, Problem> {
    match told {
        Ok(Told::Leased(lease)) => undertake(service, call, me, home, own, *lease).await.map(Some),
        Ok(Told::Nothing) => Ok(None),
        Ok(Told::Refused { code, message }) => Err(of_home(&code, message)),
        Ok(_) => Err(dishonest(service, call, neighbours(service)?.dishonest(&home))),
        Err(error @ VisitError::Dishonest(_)) => Err(dishonest(service, call, error)),
        Err(error) => Err(of_visit(error)),
    }
}

/// A home's answer is none: that is counted.
fn dishonest(service: &NodeService, call: &Call, error: VisitError) -> Problem {
    service.refuse(call, of_visit(error))
}

/// Writes down what was won, or gives it back.
async fn undertake(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    home: NodeId,
    own: Own,
    lease: rules::Lease,
) -> Result<Lease, Problem> {
    let (step, epoch) = (lease.step, lease.epoch);
    let won = Undertaken {
        lease: Abroad { home, step, epoch },
        agent: me,
        authority: if own.is_some() { Authority::Own } else { Authority::Delegated },
        granted: lease.index,
        lease_ms: lease.lease_ms.clamp(1, LEASE_MS_MAX),
        verdict_within_ms: lease.verdict_within_ms.min(VERDICT_MS_MAX),
    };
    // The agent renews by the term that stands here.
    let lease = rules::Lease { lease_ms: won.lease_ms, ..lease };
    match service.ask(call, Request::Undertake(Box::new(won))).await {
        Ok(_) => Ok(Lease { home: Some(home), ..convert::lease(lease) }),
        Err(problem) => {
            let neighbours = neighbours(service)?.clone();
            // The rules refuse so what no honest home grants.
            let problem = match problem.code {
                Code::Invalid => dishonest(service, call, neighbours.dishonest(&home)),
                _ => problem,
            };
            tokio::spawn(async move { neighbours.give_back(home, me, (step, epoch)).await });
            Err(problem)
        }
    }
}

/// `POST /v1/tasks/{id}/renew` at another home.
pub(super) async fn renew(
    service: &NodeService,
    call: &Call,
    held: Held,
    signed: Option<SignedStatement>,
) -> Result<Renewed, Problem> {
    let lease = still_held(service, call, &held.engagement)?;
    let act = Act::Renew { step: lease.step, epoch: lease.epoch };
    match keep(service, held, act, signed).await? {
        Told::Renewed { expires } => {
            hear(service, lease, Word::Renewed).await;
            Ok(Renewed { task_id: lease.step, epoch: lease.epoch, expires_at: expires })
        }
        _ => Err(dishonest(service, call, neighbours(service)?.dishonest(&lease.home))),
    }
}

/// `POST /v1/tasks/{id}/release` at another home.
pub(super) async fn release(
    service: &NodeService,
    call: &Call,
    held: Held,
    signed: Option<SignedStatement>,
) -> Result<(), Problem> {
    let lease = still_held(service, call, &held.engagement)?;
    let act = Act::Release { step: lease.step, epoch: lease.epoch };
    keep(service, held, act, signed).await?;
    hear(service, lease, Word::Over("released".into())).await;
    Ok(())
}

/// Asks home about a lease that the agent holds. Where home says that it is over, it is.
async fn keep(
    service: &NodeService,
    Held { engagement, introduction }: Held,
    act: Act,
    signed: Option<SignedStatement>,
) -> Result<Told, Problem> {
    let (lease, visiting) = (engagement.lease, (engagement.agent, introduction));
    let own = statement_time(signed.as_ref())?.zip(signed.map(|signed| signed.signature));
    match neighbours(service)?.visit_as(&lease.home, visiting, act, own).await.map_err(of_visit)? {
        Told::Refused { code, message } => {
            if matches!(code.as_str(), "stale_epoch" | "finished" | "not_found") {
                hear(service, lease, Word::Over(code.clone())).await;
            }
            Err(of_home(&code, message))
        }
        told => Ok(told),
    }
}

async fn hear(service: &NodeService, lease: Abroad, word: Word) {
    let principal = artel_federation::Principal::Node(lease.home);
    let request = Request::Hear { lease, word };
    if let Err(unavailable) = service.parts().handle.ask(principal, None, request).await {
        tracing::warn!(%unavailable, step = %lease.step, "what a home said could not be written down");
    }
}

/// `POST /v1/tasks/{id}/submit` for another home: into the outbox, and from there to home at once. Home may give the next task
/// in the same answer; no other home is asked for one unless the agent waits for it.
pub(super) async fn submit(
    service: &NodeService,
    call: &Call,
    Held { engagement, introduction }: Held,
    request: SubmitRequest,
) -> Result<Submitted, Problem> {
    let me = engagement.agent;
    let SubmitRequest { epoch, output, artifacts, claim_next: wanted, signed, acknowledge: _ } = request;
    if let Some(claim) = &wanted {
        check_skills(service, call, me, claim.agent_capabilities.clone()).await?;
    }
    let own = statement_time(signed.as_ref())?.zip(signed.map(|signed| signed.signature));
    let output = convert::rules_json(&output);
    let work = Work {
        step: engagement.lease.step,
        epoch,
        output: output.clone(),
        artifacts: artifacts.clone(),
        own,
    };
    let engagement = match service.ask(call, Request::HandIn(work)).await? {
        Reply::HandedIn(engagement) => engagement,
        _ => return Err(bug("a result got another reply")),
    };
    let neighbours = neighbours(service)?;
    let next = wanted.as_ref().map(|_| 0);
    let handed = (&*engagement, introduction);
    let told = neighbours.hand_in(handed, (output, artifacts), (own, next)).await;
    let mut submitted = answer(service, call, &engagement, own, told).await?;
    if submitted.next.is_none()
        && let Some(claim) = wanted
    {
        let elsewhere = claim.home.is_some_and(|home| home != service.parts().identity.node);
        let next = match claim.wait_ms {
            0 if elsewhere => Ok(None),
            0 => claim_next_here(service, call, 0).await,
            _ => claim_next(service, neighbours, call, me, claim).await,
        };
        submitted.next =
            next.or_else(|problem| if may_come_later(&problem) { Ok(None) } else { Err(problem) })?;
    }
    Ok(submitted)
}

/// What stands against a next task and not against the result that asked for it.
fn may_come_later(problem: &Problem) -> bool {
    matches!(problem.code, Code::CapacityFull | Code::TooManyWaiting)
}

/// What the agent is told of its result. Where home has not taken it in, it is in the outbox and is brought again: without
/// an acknowledgement the agent hears that it waits. Only what the agent must know is a refusal: that it is over, or that its own
/// signature does not hold.
async fn answer(
    service: &NodeService,
    call: &Call,
    engagement: &Engagement,
    own: Own,
    told: Result<Told, VisitError>,
) -> Result<Submitted, Problem> {
    let handed_in = engagement.result.as_ref().map(|handed| handed.index);
    let mut submitted = Submitted { acknowledgement: None, handed_in, receipt: None, next: None };
    match told {
        Ok(Told::Submitted { receipt, signature }) => {
            let verdict = receipt.verdict.as_ref();
            submitted.receipt =
                verdict.map(|judged| convert::verdict(judged.index, &judged.outcome, judged.paid));
            submitted.acknowledgement = Some(convert::acknowledgement(&receipt, Some(signature)));
            if let Some(next) = receipt.next {
                let (step, home) = (next.step, engagement.lease.home);
                match undertake(service, call, engagement.agent, home, None, *next).await {
                    Ok(lease) => submitted.next = Some(lease),
                    // The result was taken all the same.
                    Err(problem) => tracing::debug!(%home, %step, %problem, "a next task was not taken on"),
                }
            }
            Ok(submitted)
        }
        Ok(Told::Refused { code, message })
            if ends_a_result(&code)
                || own.is_some() && matches!(code.as_str(), "bad_statement" | "bad_signature") =>
        {
            Err(of_home(&code, message))
        }
        Ok(Told::Refused { code, message }) => {
            tracing::info!(home = %engagement.lease.home, code, why = message, "a result is refused for now and waits");
            Ok(submitted)
        }
        Ok(_) => {
            neighbours(service)?.dishonest(&engagement.lease.home);
            Ok(submitted)
        }
        Err(error) => {
            // It is in the outbox, and brought again until home answers.
            tracing::info!(home = %engagement.lease.home, %error, "a result waits for its home");
            Ok(submitted)
        }
    }
}

/// Fetches an artifact that the caller's work for another home needs, where its home has it.
pub(super) async fn fetch_artifact(
    service: &NodeService,
    call: &Call,
    digest: Digest,
) -> Result<Option<u64>, Problem> {
    let (Some(neighbours), artel_web::Principal::Agent { id: me, .. }) =
        (&service.parts().neighbours, call.principal)
    else {
        return Ok(None);
    };
    let held = move |view: artel_federation::view::View<'_>, _| {
        view.away().held_by(&me).take(LEASES_ASKED_MAX).copied().collect::<Vec<_>>()
    };
    let mut unreachable = None;
    for lease in service.look(call, held).await? {
        match neighbours.fetch(&lease.home, (lease.step, lease.epoch), digest).await {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(NotFetched::NoRoom) => {
                let message = "this node has no room for what your task needs; ask its operator";
                return Err(Problem::new(Code::ArtifactQuota, message));
            }
            Err(NotFetched::Unreachable) => unreachable = Some(VisitError::Unreachable(lease.home)),
            Err(NotFetched::Dishonest) => unreachable = Some(VisitError::Dishonest(lease.home)),
            Err(NotFetched::Other(_)) => {}
        }
    }
    // It may be there, when its home is back; to say that there is none would have the agent give the task back.
    unreachable.map_or(Ok(None), |error| Err(of_visit(error)))
}

/// The agent's own signature over an act, where it came with one, checked before it is sent.
async fn own(
    service: &NodeService,
    call: &Call,
    (home, me): (NodeId, AgentId),
    act: &Act,
    signed: Option<SignedStatement>,
) -> Result<Own, Problem> {
    let Some(signed) = signed else { return Ok(None) };
    let at = statement_time(Some(&signed))?.unwrap_or_else(now);
    let skills = service.look(call, move |view, _| view.agent(&me).map(|agent| agent.skills.clone()));
    let identity = artel_federation::Identity { node: home, ..service.parts().identity };
    let wanted = act_text(&identity, &me, &skills.await?.unwrap_or_default(), act, at);
    if signed.statement != wanted.as_bytes() {
        let message = format!("the signed statement must be exactly this text: {wanted:?}");
        return Err(service.refuse(call, Problem::new(Code::BadStatement, message)));
    }
    Ok(Some((at, signed.signature)))
}

/// The moment in a statement's last line.
fn statement_time(signed: Option<&SignedStatement>) -> Result<Option<Wall>, Problem> {
    let Some(signed) = signed else { return Ok(None) };
    let text = std::str::from_utf8(&signed.statement).unwrap_or_default();
    let line = text.lines().last().and_then(|line| line.strip_prefix("at: "));
    let at = line.and_then(|at| artel_web::types::parse_time(at).ok());
    let message = "the signed statement ends with a line \"at: \" and a time, as 2026-02-20T12:00:00.000Z";
    at.map(Some).ok_or_else(|| Problem::new(Code::BadStatement, message))
}
