//! Notices to agents: over HTTP page by page until they are marked read, on a socket as they happen. Both are read from
//! the journal's synced entries, the newest from memory, older ones through the index.
//!
//! A cursor is the journal index of the last entry of which everything was told, and behind a point four bytes that belong to
//! the agent: a client that mixes its agents' cursors up is told so. Of an entry's notices only the last bears its index, and the
//! others that of the entry before: whoever was cut between them is told them all again. That a lease is about to run out is no entry:
//! it is told behind all others while it is true, with the cursor of the last of them.

use super::events;
use super::inner::{NodeService, now};
use super::page::bad_cursor;
use super::refusal::{bug, of_index};
use super::telling::{Looked, Page, Seen};
use crate::events::{Kept, Recent, agent_of};
use crate::index::Term;
use crate::notices::{Place, Wanted, is_of_credential, is_own, is_passing, kinds_of};
use artel_federation::Fact;
use artel_federation::view::View;
use artel_protocol::id::Digest;
use artel_protocol::key::AgentId;
use artel_protocol::time::Wall;
use artel_web::types::notice::{Gap, MarkRead, Marked, NoticeKind, NoticeQuery, Notifications, Told};
use artel_web::{Attendance, Call, Code, Principal, Problem};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How many entries one call looks at in the journal. A page that is then not full says where to go on.
const LOOKED_AT_MAX: usize = 2_000;

/// How long a credential is trusted to stand where the clock says that it has ended: it is asked again then.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The longest that a credential is not asked about (a day): a timer that is set for months is no use.
const ASK_AFTER_MAX_MS: u64 = 24 * 3_600_000;

/// Entries that may be told of, where the look for the next ones begins, and whether there may be some now.
struct Found {
    entries: Vec<Seen>,
    next: u64,
    is_all: bool,
    /// Where the stretch begins of which only the agent's own was looked for, while that goes on.
    behind: Option<u64>,
    gap: Option<Gap>,
    /// Whether the agent may have another credential or other skills since.
    is_changed: bool,
}

/// The cursor of an agent's notices of an entry.
pub(super) fn cursor(me: &AgentId, index: u64) -> String {
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
    let page = Page { me, wanted: &wanted, read: service.parts().marks.get(&me) };
    let mut looked = page.of_entries(service, call, found.entries).await?;
    let mut items = std::mem::take(&mut looked.items);
    if found.is_all {
        items.extend(looked.expiring().map(|lease| page.of_lease(lease, looked.at, found.next)));
    }
    let read_up_to = page.read.map(|read| cursor(&me, read));
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
        // Not the journal's own size: of what it has beyond this the index may know nothing yet.
        let end = end.min(service.parts().events.size());
        let terms = [Term::Agent(&me)];
        let found = service.parts().index.search(&terms, from, LOOKED_AT_MAX).map_err(of_index)?;
        let places: Vec<u64> =
            found.into_iter().filter(|index| (from..end).contains(index)).take(LOOKED_AT_MAX).collect();
        let more = places.last().copied().filter(|_| places.len() == LOOKED_AT_MAX);
        let (entries, unread) = events::read(service, &places)?;
        let own = entries.into_iter().filter(|(_, entry)| is_own(&entry.fact, &me));
        let mut entries: Vec<Seen> = own.map(Seen::read).collect();
        let next = unread.or(more.map(|last| last + 1));
        if entries.len() > limit {
            entries.truncate(limit);
            let next = entries.last().map_or(from, |seen| seen.index + 1);
            return Ok(Found { entries, next, is_all: false, behind: None, gap: None, is_changed: true });
        }
        let (is_all, next) = (next.is_none(), next.unwrap_or(end));
        Ok(Found { entries, next, is_all, behind: None, gap: None, is_changed: true })
    };
    service.blocking(read).await
}

/// Entries that may concern an agent who is there: from memory what happened lately, from the journal what is its own.
async fn found(service: &NodeService, me: AgentId, wanted: &Wanted) -> Result<Found, Problem> {
    let mut is_changed = false;
    let takes = |kept: &Kept| {
        let fact = &kept.entry().fact;
        is_changed |=
            (is_of_credential(fact) || matches!(fact, Fact::Configured(_))) && agent_of(fact) == Some(me);
        (is_own(fact, &me) || is_passing(fact)) && kinds_of(fact).iter().any(|kind| wanted.takes(*kind))
    };
    let passing = wanted.takes(NoticeKind::TaskAvailable) || wanted.takes(NoticeKind::System);
    let gap = |from_entry, to_entry| passing.then_some(Gap { from_entry, to_entry });
    match service.parts().events.from(wanted.from, wanted.limit, takes) {
        Recent::Here(kept, next) => {
            let is_all = kept.len() < wanted.limit;
            let entries = kept.iter().map(Seen::of).collect();
            let gap = wanted.behind.and_then(|behind| gap(behind, wanted.from));
            Ok(Found { entries, next, is_all, behind: None, gap, is_changed })
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
    /// Until when the credential stands, in milliseconds of the wall clock, as it was asked last: asked again when that is over, or it
    /// may have changed.
    until: AtomicU64,
}

pub(super) fn attend(service: &NodeService, call: &Call) -> Attending {
    let place = match call.principal {
        Principal::Agent { id, .. } => Some(service.0.followers.enter(id)),
        _ => None,
    };
    Attending(Arc::new(Inner {
        service: service.clone(),
        call: call.clone(),
        place,
        until: AtomicU64::new(0),
    }))
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
        let Found { entries, next, is_all, behind, gap, is_changed } =
            found(&self.service, me, wanted).await?;
        let parts = self.service.parts();
        let page = Page { me, wanted, read: parts.marks.get(&me) };
        let known = place.follower.skills(parts.handle.mono()).filter(|_| !is_changed);
        let offers = known.and_then(|skills| Some((page.of_offers(&entries, &skills)?, skills)));
        let (items, skills) = match offers {
            Some(offers) => offers,
            None => {
                let Looked { mut items, skills, leases, at } =
                    page.of_entries(&self.service, &self.call, entries).await?;
                // Behind all that happened before: what is told of a lease goes on behind it.
                if is_all {
                    let expiring = place.follower.leases(wanted, &leases, at);
                    items.extend(expiring.iter().map(|lease| page.of_lease(lease, at, next)));
                }
                (items, skills)
            }
        };
        let is_wanted = place.follower.told(wanted, (next, behind), skills, is_all);
        Ok(if is_wanted { Told { items, gap } } else { Told::default() })
    }

    fn until(&self) -> Wall {
        Wall(self.until.load(Ordering::Relaxed))
    }

    /// What there is to tell by now; nothing where nothing is due.
    async fn looked(&self, place: &Place) -> Result<Option<Told>, Problem> {
        let me = place.follower.agent;
        loop {
            if place.follower.takes_change() || self.until() <= now() {
                let stands = match self.stands_until(me).await {
                    Ok(stands) => stands,
                    Err(problem) if is_last(&problem) => return Err(problem),
                    // The journal cannot be written, or too much is asked at once: that passes.
                    Err(_) => Wall(now().0 + ASK_AGAIN.as_millis() as u64),
                };
                self.until.store(stands.0, Ordering::Relaxed);
            }
            place.follower.leases_again(self.service.parts().handle.mono());
            let Some(wanted) = place.follower.due() else { return Ok(None) };
            match self.told(me, place, &wanted).await {
                Ok(told) if !told.items.is_empty() || told.gap.is_some() => return Ok(Some(told)),
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
        }
    }

    /// Waits until something may be due.
    async fn woken(&self, place: &Place) {
        let stands_ms =
            self.until().0.saturating_sub(now().0).clamp(ASK_AGAIN.as_millis() as u64, ASK_AFTER_MAX_MS);
        let ends = Instant::now() + Duration::from_millis(stands_ms);
        let mono = self.service.parts().handle.mono();
        let leases = place.follower.leases_again(mono).map(|again| again.since_ms(mono));
        let due = leases.map_or(ends, |ms| ends.min(Instant::now() + Duration::from_millis(ms)));
        let woken = tokio::time::timeout_at(due, place.follower.woken.notified()).await;
        if woken.is_err() && due == ends {
            self.until.store(0, Ordering::Relaxed);
        }
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
        loop {
            // What is idle for long holds little: looking has a box of its own while it lasts.
            if let Some(told) = Box::pin(self.0.looked(place)).await? {
                return Ok(told);
            }
            self.0.woken(place).await;
        }
    }
}
