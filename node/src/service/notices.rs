//! Notices to agents: over HTTP page by page until they are marked read, on a socket as they happen. Both are read from
//! the journal's synced entries, the newest from memory, older ones through the index.
//!
//! A cursor is the journal index of the last entry of which everything was told, and behind a point four bytes that belong to
//! the agent: a client that mixes its agents' cursors up is told so. Of an entry's notices only the last bears its index, and the
//! others that of the entry before: whoever was cut between them is told them all again.

use super::inner::{NodeService, now};
use super::page::bad_cursor;
use super::refusal::{bug, of_index};
use super::shown::Viewer;
use super::{convert, events};
use crate::events::{self as journal, Recent};
use crate::index::Term;
use crate::notices::{Place, Wanted, is_own, is_passing, kinds_of};
use artel_federation::Fact;
use artel_federation::fact::{Entry, Judgement, Verdict};
use artel_federation::view::View;
use artel_protocol::id::{Digest, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use artel_web::types::notice::{Gap, MarkRead, Marked, Notice, NoticeKind, NoticeQuery, Notifications, Told};
use artel_web::{Attendance, Call, Code, Principal, Problem};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// How many entries one call looks at in the journal. A page that is then not full says where to go on.
const LOOKED_AT_MAX: usize = 2_000;

/// How long a credential is trusted to stand where the clock says that it has ended: it is asked again then.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The longest that a credential is not asked about (a day): a timer that is set for months is no use.
const ASK_AFTER_MAX_MS: u64 = 24 * 3_600_000;

/// An entry and where it stands.
type Indexed = (u64, Entry);

/// Entries that may be told of, where the look for the next ones begins, and whether there may be some now.
struct Found {
    entries: Vec<Indexed>,
    next: u64,
    is_all: bool,
    /// Where the stretch begins of which only the agent's own was looked for, while that goes on.
    behind: Option<u64>,
    gap: Option<Gap>,
}

/// The cursor of an agent's notices of an entry.
fn cursor(me: &AgentId, index: u64) -> String {
    format!("{index}.{}", mark_of(me))
}

/// Four bytes of the agent's own.
fn mark_of(me: &AgentId) -> String {
    let digest = Digest::of(&[&b"artel notice cursor"[..], me.key().bytes()].concat());
    digest.hex()[..8].to_owned()
}

/// Reads a cursor: the index of the entry that was told last.
fn index_of(service: &NodeService, me: &AgentId, text: &str) -> Result<u64, Problem> {
    let (index, mark) = text.split_once('.').ok_or_else(bad_cursor)?;
    let index: u64 = index.parse().map_err(|_| bad_cursor())?;
    if mark != mark_of(me) {
        return Err(Problem::of(Code::CursorForeign));
    }
    if index >= *service.parts().events.watch().borrow() {
        return Err(Problem::of(Code::CursorAhead));
    }
    Ok(index)
}

/// Where a look for notices begins: behind a cursor, or behind what is read.
fn begin(service: &NodeService, me: &AgentId, after: Option<&str>) -> Result<u64, Problem> {
    match after {
        Some("now") => Ok(*service.parts().events.watch().borrow()),
        Some(cursor) => Ok(index_of(service, me, cursor)? + 1),
        None => Ok(service.parts().marks.get(me).map_or(0, |read| read + 1)),
    }
}

fn wanted(from: u64, query: NoticeQuery) -> Wanted {
    Wanted { from, kinds: query.kinds, behind: None, limit: query.limit as usize, wish: 0 }
}

/// `GET /v1/notifications`: those of the agent itself, which are kept.
pub(super) async fn list(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    query: NoticeQuery,
) -> Result<Notifications, Problem> {
    let from = begin(service, &me, query.after.as_deref())?;
    let wanted = wanted(from, query);
    let found = kept(service, me, from, u64::MAX, wanted.limit).await?;
    let (items, _) = told(service, call, me, &wanted, found.entries).await?;
    let read_up_to = service.parts().marks.get(&me).map(|read| cursor(&me, read));
    let next_cursor = (!found.is_all).then(|| cursor(&me, found.next - 1));
    Ok(Notifications { items, next_cursor, read_up_to })
}

/// `POST /v1/notifications/mark-read`. Whether the credential stands is the rules' to say.
pub(super) async fn mark_read(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    mark: MarkRead,
) -> Result<Marked, Problem> {
    service.viewer(call).await?;
    let index = match mark.up_to.as_str() {
        "now" => service.parts().events.watch().borrow().checked_sub(1).ok_or_else(bad_cursor)?,
        cursor => index_of(service, &me, cursor)?,
    };
    match service.parts().marks.mark(&me, index).await {
        Ok(read) => Ok(Marked { read_up_to: cursor(&me, read) }),
        Err(error) => {
            tracing::error!(%error, "a mark of what was read cannot be written");
            Err(Problem::of(Code::Internal))
        }
    }
}

/// Entries about an agent itself in `from..end`, from the index and the journal.
async fn kept(
    service: &NodeService,
    me: AgentId,
    from: u64,
    end: u64,
    limit: usize,
) -> Result<Found, Problem> {
    let read = move |service: &NodeService| {
        let end = end.min(service.reader().size());
        let terms = [Term::Agent(&me)];
        let found = service.parts().index.search(&terms, from, LOOKED_AT_MAX).map_err(of_index)?;
        let places: Vec<u64> =
            found.into_iter().filter(|index| (from..end).contains(index)).take(LOOKED_AT_MAX).collect();
        let more = places.last().copied().filter(|_| places.len() == LOOKED_AT_MAX);
        let (mut entries, unread) = events::read(service, &places)?;
        entries.retain(|(_, entry)| is_own(&entry.fact, &me));
        let next = unread.or(more.map(|last| last + 1));
        if entries.len() > limit {
            entries.truncate(limit);
            let next = entries.last().map_or(from, |(index, _)| index + 1);
            return Ok(Found { entries, next, is_all: false, behind: None, gap: None });
        }
        Ok(Found { entries, next: next.unwrap_or(end), is_all: next.is_none(), behind: None, gap: None })
    };
    service.blocking(read).await
}

/// Entries that may concern an agent who is there: from memory what happened lately, from the journal what is its own.
async fn found(service: &NodeService, me: AgentId, wanted: &Wanted) -> Result<Found, Problem> {
    let takes = |kept: &journal::Kept| {
        let fact = &kept.entry().fact;
        (is_own(fact, &me) || is_passing(fact)) && kinds_of(fact).iter().any(|kind| wanted.takes(*kind))
    };
    let passing = wanted.takes(NoticeKind::TaskAvailable) || wanted.takes(NoticeKind::System);
    let gap = |from_entry, to_entry| passing.then_some(Gap { from_entry, to_entry });
    match service.parts().events.from(wanted.from, wanted.limit, takes) {
        Recent::Here(kept, next) => {
            let is_all = kept.len() < wanted.limit;
            let entries = kept.iter().map(|kept| (kept.index, kept.entry().clone())).collect();
            let gap = wanted.behind.and_then(|behind| gap(behind, wanted.from));
            Ok(Found { entries, next, is_all, behind: None, gap })
        }
        Recent::Older(first) => {
            let mut found = kept(service, me, wanted.from, first, wanted.limit).await?;
            let behind = wanted.behind.unwrap_or(wanted.from);
            if found.is_all {
                found.gap = gap(behind, first);
                (found.next, found.is_all) = (first, false);
            } else {
                found.behind = Some(behind);
            }
            Ok(found)
        }
    }
}

/// The notices of entries, by one look at the state: titles, payments, the agent's record as it is now. The credential is judged
/// in the same look.
async fn told(
    service: &NodeService,
    call: &Call,
    me: AgentId,
    wanted: &Wanted,
    entries: Vec<Indexed>,
) -> Result<(Vec<Notice>, Vec<Skill>), Problem> {
    let read = service.parts().marks.get(&me);
    let wanted = wanted.clone();
    // What has left the rules' memory is in the index.
    let steps: BTreeSet<StepId> =
        entries.iter().filter_map(|(_, entry)| journal::about(&entry.fact).1).collect();
    let closed = closed(service, call, steps).await?;
    let look = move |view: View<'_>, viewer: Viewer| {
        let skills = match viewer {
            Viewer::Agent(me) => view.agent(&me).map_or_else(Vec::new, |agent| agent.skills.clone()),
            Viewer::Operator => Vec::new(),
        };
        let mut items: Vec<Notice> = Vec::new();
        for (index, entry) in &entries {
            if !sees(&entry.fact, &me, &skills, view) {
                continue;
            }
            let first = items.len();
            for kind in kinds_of(&entry.fact).iter().filter(|kind| wanted.takes(**kind)) {
                let Some(data) = data(*kind, &entry.fact, &me, (view, &closed)) else { continue };
                items.push(Notice {
                    kind: *kind,
                    cursor: cursor(&me, *index),
                    at: entry.at,
                    correlation_id: entry.correlation.clone(),
                    read: read.is_some_and(|read| *index <= read),
                    data: convert::value(&data),
                });
            }
            // Whoever goes on behind one of them is told the rest, too.
            if let Some((_, others)) = items[first..].split_last_mut() {
                for notice in others {
                    notice.cursor = cursor(&me, index.saturating_sub(1));
                }
            }
        }
        (items, skills)
    };
    service.look(call, look).await
}

/// What of a step is told of: its title and what was paid.
struct Brief {
    title: String,
    paid: artel_protocol::amount::Credits,
}

/// Of those of these steps that have left the rules' memory.
async fn closed(
    service: &NodeService,
    call: &Call,
    steps: BTreeSet<StepId>,
) -> Result<BTreeMap<StepId, Brief>, Problem> {
    if steps.is_empty() {
        return Ok(BTreeMap::new());
    }
    let missing = service.look(call, move |view, _| {
        steps.into_iter().filter(|step| view.step(step).is_none()).collect::<Vec<_>>()
    });
    let missing = missing.await?;
    if missing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read = move |index: &crate::index::Index| {
        let mut found = BTreeMap::new();
        for step in missing {
            let run = index.run(&step.run())?;
            if let Some(step_of) = run.as_ref().and_then(|run| run.steps.get(step.index())) {
                let (title, paid) = (step_of.spec.task.title.clone(), step_of.paid);
                found.insert(step, Brief { title, paid });
            }
        }
        Ok(found)
    };
    service.indexed(read).await
}

/// Whether a passing entry concerns an agent, and every entry of its own does.
fn sees(fact: &Fact, me: &AgentId, skills: &[Skill], view: View<'_>) -> bool {
    match fact {
        Fact::Offered(offer) => {
            // What is not on offer any more is no news; neither is what the agent posted and may not take.
            let open = view.step(&offer.step).filter(|(_, step)| step.epoch < offer.epoch);
            let may = open.is_some_and(|(run, step)| {
                run.poster != artel_federation::fact::Poster::Agent(*me) || step.spec.task.poster_may_claim
            });
            may && offer.skills.iter().all(|asked| skills.iter().any(|skill| skill.meets(asked)))
        }
        _ => true,
    }
}

/// What a notice says; nothing where there is nothing to say.
fn data(
    kind: NoticeKind,
    fact: &Fact,
    me: &AgentId,
    (view, closed): (View<'_>, &BTreeMap<StepId, Brief>),
) -> Option<Value> {
    let brief = |step: &StepId| match view.step(step) {
        Some((_, found)) => Some((found.spec.task.title.clone(), found.paid)),
        None => closed.get(step).map(|brief| (brief.title.clone(), brief.paid)),
    };
    let mut data = journal::data(fact);
    match (kind, fact) {
        (NoticeKind::Reputation, Fact::Verdict(verdict)) => return Some(reputation(verdict, me, view)),
        (NoticeKind::Earning, Fact::Verdict(verdict)) => {
            let (title, paid) = brief(&verdict.step)?;
            if paid == artel_protocol::amount::Credits::ZERO {
                return None;
            }
            data = json!({"task_id": verdict.step.to_string(), "epoch": verdict.epoch.0, "title": title});
            data["amount"] = journal::number(paid);
        }
        (NoticeKind::Quality, Fact::Verdict(verdict)) => {
            data["accepted"] = json!(matches!(verdict.judgement, Judgement::Accepted { .. }));
            data["title"] = json!(brief(&verdict.step).map(|(title, _)| title));
        }
        (NoticeKind::System, _) => {
            data["event"] = json!(journal::name(fact, "").map(|name| name.to_string()));
        }
        _ => {
            if let (_, Some(step)) = journal::about(fact) {
                data["title"] = json!(brief(&step).map(|(title, _)| title));
            }
        }
    }
    Some(data)
}

/// An agent's record as it is now.
fn reputation(verdict: &Verdict, me: &AgentId, view: View<'_>) -> Value {
    let mut data = json!({"task_id": verdict.step.to_string(), "epoch": verdict.epoch.0});
    if let Some(agent) = view.agent(me) {
        let now = convert::agent(agent, now());
        data["reputation_score"] = serde_json::to_value(now.reputation_score).unwrap_or(Value::Null);
        data["reputation_level"] = serde_json::to_value(now.reputation_level).unwrap_or(Value::Null);
        data["total_tasks_completed"] = json!(now.total_tasks_completed);
    }
    data
}

impl NodeService {
    /// Wakes those who are there to be told, as entries are synced; until the journal's news end.
    pub async fn tell_who_follows(self) {
        let (followers, events) = (Arc::clone(&self.0.followers), Arc::clone(&self.parts().events));
        drop(self);
        followers.run(events).await;
    }
}

/// A caller who stays.
#[derive(Clone)]
pub struct Attending(Arc<Inner>);

struct Inner {
    service: NodeService,
    call: Call,
    /// An agent's place; the operator has none, since nothing changes that credential.
    place: Option<Place>,
}

pub(super) fn attend(service: &NodeService, call: &Call) -> Attending {
    let place = match call.principal {
        Principal::Agent { id, .. } => Some(service.0.followers.enter(id)),
        _ => None,
    };
    Attending(Arc::new(Inner { service: service.clone(), call: call.clone(), place }))
}

impl Inner {
    /// When the credential ends, where it still stands.
    async fn stands_until(&self, me: AgentId) -> Result<Wall, Problem> {
        let look = move |view: View<'_>, _| view.agent(&me).map(|agent| agent.expires);
        let expires = self.service.look(&self.call, look).await?;
        let expires = expires.ok_or_else(|| bug("an agent whose credential stands is not there"))?;
        if expires <= now() { Err(Problem::of(Code::TokenExpired)) } else { Ok(expires) }
    }

    async fn told(&self, me: AgentId, place: &Place, wanted: &Wanted) -> Result<Told, Problem> {
        let Found { entries, next, is_all, behind, gap } = found(&self.service, me, wanted).await?;
        let (items, skills) = told(&self.service, &self.call, me, wanted, entries).await?;
        place.follower.told(wanted, (next, behind), skills, is_all);
        Ok(Told { items, gap })
    }
}

/// Whether a refusal says that a credential does not stand, or that nothing can be told at all.
fn is_last(problem: &Problem) -> bool {
    !matches!(
        problem.code,
        Code::JournalUnavailable | Code::OutcomeUnknown | Code::Overloaded | Code::IndexOpening
    )
}

impl Attendance for Attending {
    async fn begin(&self, query: NoticeQuery) -> Result<(), Problem> {
        let (Some(place), service) = (&self.0.place, &self.0.service) else {
            return Err(Problem::of(Code::AgentsOnly));
        };
        let from = begin(service, &place.follower.agent, query.after.as_deref())?;
        place.follower.begin(wanted(from, query));
        Ok(())
    }

    fn end(&self) {
        self.0.place.iter().for_each(|place| place.follower.end());
    }

    async fn next(&self) -> Result<Told, Problem> {
        let Some(place) = &self.0.place else { return pending().await };
        let me = place.follower.agent;
        let mut until = now();
        // What is idle for long holds little: what it asks has a box of its own while it is asked.
        loop {
            if place.follower.takes_change() || until <= now() {
                until = match Box::pin(self.0.stands_until(me)).await {
                    Ok(until) => until,
                    Err(problem) if is_last(&problem) => return Err(problem),
                    // The journal cannot be written, or too much is asked at once: that passes.
                    Err(_) => Wall(now().0 + ASK_AGAIN.as_millis() as u64),
                };
            }
            if let Some(wanted) = place.follower.due() {
                match Box::pin(self.0.told(me, place, &wanted)).await {
                    Ok(told) if !told.items.is_empty() || told.gap.is_some() => return Ok(told),
                    Ok(_) => {}
                    Err(problem) => {
                        place.follower.failed();
                        if is_last(&problem) {
                            return Err(problem);
                        }
                        tracing::debug!(%problem, "notices cannot be read; they are tried again");
                        tokio::time::sleep(ASK_AGAIN).await;
                    }
                }
                continue;
            }
            let left = until.0.saturating_sub(now().0).min(ASK_AFTER_MAX_MS);
            let ends = tokio::time::sleep(Duration::from_millis(left).max(ASK_AGAIN));
            tokio::select! {
                () = place.follower.woken.notified() => {}
                () = ends => until = Wall(0),
            }
        }
    }
}
