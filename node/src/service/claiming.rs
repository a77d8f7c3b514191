//! A claim of the next task by an agent of this node: what is offered here, what other homes offer, and while neither has anything
//! a wait here and there.

use super::asking::{Asking, Said};
use super::away::{claim_at, has_room, won};
use super::inner::NodeService;
use super::tasks::{claim_next_here, next_lease};
use crate::neighbours::Neighbours;
use artel_federation::Request;
use artel_federation::input::ClaimNext;
use artel_federation::visit::message::Act;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::skill::Skill;
use artel_web::types::task::{ClaimRequest, Lease};
use artel_web::{Call, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a claim of the next task that does not wait gives homes to answer.
const ANSWERS_WAIT: Duration = Duration::from_secs(2);

/// A claim of the next task, of this node's own or of another home: those that were heard to offer something are asked, and while
/// none has anything the agent waits here and at a few of them.
pub(super) async fn claim_next(
    service: &NodeService,
    neighbours: &Neighbours,
    call: &Call,
    me: AgentId,
    claim: ClaimRequest,
) -> Result<Option<Lease>, Problem> {
    let until = Instant::now() + Duration::from_millis(u64::from(claim.wait_ms));
    match claim.home {
        Some(home) if home == service.parts().identity.node => {
            return claim_next_here(service, call, claim.wait_ms).await;
        }
        Some(home) => {
            let act = Act::ClaimNext { wait_ms: claim.wait_ms };
            return claim_at(service, call, me, home, act, claim.signed).await;
        }
        None => {}
    }
    let delegated = service.look(call, move |view, _| {
        let agent = view.agent(&me).filter(|agent| agent.delegation.is_some());
        // Where no further lease of another home is taken on, none is asked for one.
        let agent = agent.filter(|_| view.away().is_full_for(&me, None).is_none());
        agent.map(|agent| (agent.skills.clone(), view.away().full_homes().copied().collect::<BTreeSet<_>>()))
    });
    let Some((skills, full)) = delegated.await? else {
        return claim_next_here(service, call, claim.wait_ms).await;
    };
    let (mut board, mut ups) = (neighbours.offers_changed(), neighbours.came_up());
    let (mut asking, mut tried) = (Asking::new(neighbours, me), BTreeMap::new());
    let answers_until = until.max(Instant::now() + ANSWERS_WAIT);
    let mut others_from = Instant::now();
    loop {
        board.mark_unchanged();
        ups.mark_unchanged();
        loop {
            let offering =
                untried(neighbours, &skills, &tried, |home| full.contains(home) || asking.is_with(home));
            let Some((home, news)) = offering.first().copied() else { break };
            if asking.is_full() || Instant::now() >= answers_until {
                break;
            }
            // What is offered here meanwhile comes first.
            if let Some(lease) = claim_next_here(service, call, 0).await? {
                return Ok(Some(lease));
            }
            has_room(service, call, me, None).await?;
            tried.insert(home, news);
            // Where no other home is to be asked it waits there right away: one request. Meanwhile it waits here, too.
            if let Some(wait) = asking.may_wait(until).filter(|_| offering.len() == 1) {
                others_from = asking.wait_at(home, wait);
                continue;
            }
            if let Some(said) = asking.ask(home).await
                && let Some(lease) = next_of(service, call, me, said).await
            {
                return Ok(Some(lease));
            }
        }
        let (mut is_first, mut turn) = (true, Some(others_from));
        while others_from <= Instant::now() {
            let Some(wait) = asking.may_wait(until) else {
                turn = None;
                break;
            };
            let mut homes = neighbours.homes_to_wait_at(&me, &skills);
            homes.retain(|home| !full.contains(home));
            let Some(home) = asking.next_to_wait_at(&homes) else {
                turn = asking.next_turn(&homes);
                break;
            };
            if std::mem::take(&mut is_first) {
                if let Some(lease) = claim_next_here(service, call, 0).await? {
                    return Ok(Some(lease));
                }
                has_room(service, call, me, None).await?;
            }
            asking.wait_at(home, wait);
        }
        let end = if asking.is_empty() { until } else { answers_until };
        let left = end.saturating_duration_since(Instant::now());
        let wait_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let (full, mut said) = (asking.is_full(), None);
        let with = asking.homes();
        let news = async {
            while full || untried(neighbours, &skills, &tried, |home| with.contains(home)).is_empty() {
                if board.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let turn = async {
            match turn {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let mut is_woken = false;
        let enough = async {
            tokio::select! {
                answer = asking.next() => said = Some(answer),
                () = news => {}
                () = turn => {}
                Ok(()) = ups.changed() => {}
            }
            is_woken = true;
        };
        let reply = service.ask_until(call, Request::ClaimNext(ClaimNext { wait_ms }), enough).await;
        let lease = reply.and_then(next_lease);
        match (said, lease) {
            // The wait here ended by itself: its time is over, or this node is stopping and no wait begins any more.
            (None, Ok(None)) if !is_woken => return Ok(None),
            (Some(said), Ok(None)) => {
                if let Some(lease) = next_of(service, call, me, said).await {
                    return Ok(Some(lease));
                }
            }
            (said, lease) => {
                said.into_iter().for_each(|said| asking.give_back(said));
                if let Some(lease) = lease? {
                    return Ok(Some(lease));
                }
            }
        }
        if Instant::now() >= end {
            return Ok(None);
        }
    }
}

/// The next task, where a home gave one.
async fn next_of(service: &NodeService, call: &Call, me: AgentId, said: Said) -> Option<Lease> {
    let home = said.0;
    match won(service, call, me, None, said).await {
        Ok(lease) => lease,
        Err(problem) => {
            tracing::debug!(%home, %problem, "a home gave no task");
            None
        }
    }
}

/// Homes that offer what an agent may take, have had news since they were tried, and are not being asked: where a claim waits,
/// home gives it what it offers meanwhile.
fn untried(
    neighbours: &Neighbours,
    skills: &[Skill],
    tried: &BTreeMap<NodeId, u64>,
    is_asked: impl Fn(&NodeId) -> bool,
) -> Vec<(NodeId, u64)> {
    let mut homes = neighbours.homes_for(skills);
    homes.retain(|(home, news)| tried.get(home) != Some(news) && !is_asked(home));
    homes
}
