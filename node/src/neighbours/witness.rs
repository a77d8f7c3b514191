//! Witnessing others' journals: heads, answers and records that come in are judged by the rules (`artel_federation::watch`),
//! remembered on disk, and only then cosigned.

use super::frauds::act_on;
use super::refusals::Reason;
use super::remembered::{Table, Taken};
use super::shared::Shared;
use crate::clock::wall;
use artel_federation::watch::{Answered, Heard, Quarantine};
use artel_federation::witness::compare;
use artel_mesh::{RequestError, Verdict};
use artel_protocol::continuity::Shown;
use artel_protocol::key::NodeId;
use artel_protocol::log::{Cosignature, Origin, SignedCheckpoint};
use artel_protocol::record::Records;
use artel_protocol::witness::{Cosigned, Fraud, Head};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a node may take to show that its journal continues. Longer, and one that hangs is never suspected of anything.
pub(super) const ASK_WAIT: Duration = Duration::from_secs(5);

/// How many frames that are held are compared with one that comes in. An honest frame overlaps two or three.
const COMPARED_MAX: usize = 16;

// Heads.

/// Judges a head that gossip brought.
pub(super) async fn hear_head(shared: &Arc<Shared>, from: NodeId, data: &[u8]) -> Verdict {
    let head = match Head::check(data, &shared.me.federation()) {
        Ok(head) => head,
        Err(error) => {
            tracing::debug!(%error, %from, "a head that does not hold");
            return shared.refuse_gossip(Reason::from(&error));
        }
    };
    let origin = head.checkpoint().origin();
    if origin.node() == shared.me.node() {
        say_if_not_ours(shared, &head).await;
        return shared.refuse_gossip(Reason::Known);
    }
    if !shared.exchange().is_member(&origin.node()) {
        // It may be one by records that this node has not fetched yet.
        shared.want_from(from);
        return shared.refuse_gossip(Reason::Unwanted);
    }
    match take_head(shared, head).await {
        Some((Heard::Newest, cosigned)) => {
            if let Some(cosigned) = cosigned {
                tokio::spawn(send_cosigned(shared.clone(), origin.node(), cosigned));
            }
            Verdict::Accept
        }
        Some((Heard::Ask, _)) if shared.watch().quarantine(&origin.node()).is_none() => Verdict::Accept,
        Some((Heard::Old, _)) => shared.refuse_gossip(Reason::Known),
        Some((Heard::Full, _)) => shared.refuse_gossip(Reason::Unwanted),
        _ => shared.refuse_gossip(Reason::Quarantined),
    }
}

/// Answers a neighbour that shows its own head: with the cosignature, or with nothing where it has to be asked first or comes
/// too soon. Of one neighbour one head is judged at a time: the others are said with the next one.
pub(super) async fn asked_to_cosign(shared: &Arc<Shared>, from: NodeId, data: &[u8]) -> Option<Bytes> {
    let Some(_turn) = Turn::take(shared, from) else { return Some(Bytes::new()) };
    let head = Head::check(data, &shared.me.federation()).ok()?;
    if head.checkpoint().origin().node() != from || !shared.exchange().is_member(&from) {
        return None;
    }
    let cosigned = take_head(shared, head).await.and_then(|(_, cosigned)| cosigned);
    Some(cosigned.map(|cosigned| cosigned.to_frame().into()).unwrap_or_default())
}

/// A neighbour's turn to have a head judged, given back when it is dropped.
struct Turn<'a> {
    shared: &'a Shared,
    of: NodeId,
}

impl<'a> Turn<'a> {
    fn take(shared: &'a Shared, of: NodeId) -> Option<Self> {
        shared.showing().insert(of).then_some(Turn { shared, of })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.shared.showing().remove(&self.of);
    }
}

/// Judges a member's head and does what follows from it; the cosignature where it is the newest one of a neighbour.
async fn take_head(shared: &Arc<Shared>, head: Head) -> Option<(Heard, Option<Cosigned>)> {
    let origin = head.checkpoint().origin();
    if shared.watch().quarantine(&origin.node()) == Some(Quarantine::Proven) {
        return None;
    }
    let on_disk = shared.clone();
    let judged = tokio::task::spawn_blocking(move || {
        let mut table = on_disk.remembered.table();
        begin_where_records_end(&on_disk, &origin);
        let mut heard = on_disk.watch().hear(&head);
        if heard == Heard::Newest && table.must_show(&origin) {
            heard = must_show(&on_disk, head.checkpoint());
        }
        let newest = heard == Heard::Newest;
        let cosigned = newest.then(|| cosign(&on_disk, &mut table, (head.checkpoint(), false))).flatten();
        (heard, cosigned)
    });
    let (heard, cosigned) = judged.await.ok()?;
    match &heard {
        Heard::Lie(fraud) => act_on(shared, (**fraud).clone()).await,
        Heard::Ask => drop(tokio::spawn(ask(shared.clone(), origin))),
        Heard::Full => tracing::warn!(%origin, "too many journals are watched; this one is not"),
        Heard::Newest | Heard::Old => {}
    }
    Some((heard, cosigned))
}

/// Where nothing is known of a journal but its records, what these end in is what its heads must continue.
fn begin_where_records_end(shared: &Shared, origin: &Origin) {
    let is_known = shared.watch().known(origin).is_some();
    if is_known {
        return;
    }
    if let Some(last) = last_of_records(shared, origin) {
        shared.watch().restore(last);
    }
}

/// The checkpoint that the records of a journal end in.
fn last_of_records(shared: &Shared, origin: &Origin) -> Option<SignedCheckpoint> {
    let last = shared.records.mark(origin).next.checked_sub(1)?;
    let records = Records::check(&shared.records.frame(origin, last)?, &origin.federation()).ok()?;
    Some(records.checkpoint().clone())
}

/// The newest head of a journal of which the table may have lost an entry: what is known may be older than what was cosigned, so
/// its node is asked to show that it continues what others hold as well.
fn must_show(shared: &Shared, head: &SignedCheckpoint) -> Heard {
    let last = last_of_records(shared, &head.origin());
    let mut watch = shared.watch();
    let lie = last.and_then(|last| watch.see(&last)).or_else(|| watch.see(head));
    lie.map_or(Heard::Ask, Heard::Lie)
}

/// Remembers a checkpoint that was judged the newest, durably, and cosigns it where its node is a neighbour. Others' is
/// compared and no more: a sync for each head of each node would cost a large federation more than it is worth.
fn cosign(
    shared: &Shared,
    table: &mut Table,
    (checkpoint, shown): (&SignedCheckpoint, bool),
) -> Option<Cosigned> {
    let origin = checkpoint.origin();
    let taken = if shared.up().contains(&origin.node()) {
        shared.remembered.take(table, (checkpoint, shown), Instant::now())
    } else {
        Ok(Taken::Later)
    };
    match taken {
        Ok(taken) => {
            shared.watch().accept(checkpoint);
            if taken == Taken::Later {
                return None;
            }
        }
        Err(error) => {
            tracing::error!(%error, %origin, "a checkpoint cannot be remembered, so it is not cosigned");
            return None;
        }
    }
    let cosignature = Cosignature::sign(checkpoint.checkpoint(), &shared.key, wall().0 / 1_000);
    cosignature.map(Cosigned::new).map_err(|error| tracing::error!(%error, "no cosignature can be made")).ok()
}

/// Notes that a neighbour had nothing more to give, where that counts.
pub(super) fn fetched_from(shared: &Arc<Shared>, peer: NodeId) {
    if shared.remembered.wants_fetches() {
        let shared = shared.clone();
        tokio::task::spawn_blocking(move || shared.remembered.fetched_from(peer));
    }
}

async fn send_cosigned(shared: Arc<Shared>, to: NodeId, cosigned: Cosigned) {
    if let Err(error) = shared.mesh.request(&to, cosigned.to_frame().into(), ASK_WAIT).await {
        tracing::debug!(%to, %error, "a cosignature was not taken; its node asks again with a later head");
    }
}

/// A head under this node's own key that is not in its journal: somebody else runs with a copy of the directory.
async fn say_if_not_ours(shared: &Arc<Shared>, head: &Head) {
    let (reader, checkpoint) = (shared.reader.get(), head.checkpoint().clone());
    let ours = tokio::task::spawn_blocking(move || {
        checkpoint.size() <= reader.size()
            && reader.root(checkpoint.size()).is_ok_and(|root| root == checkpoint.root())
    });
    if !ours.await.unwrap_or(true) {
        tracing::error!(
            size = head.checkpoint().size(),
            "another process signs with this node's key: stop one of the two"
        );
    }
}

// Questions.

/// Asks about everything that is to be shown since a while.
pub(super) fn ask_what_is_due(shared: &Arc<Shared>) {
    let due = {
        let (mut watch, now) = (shared.watch(), shared.mono());
        watch.end_old_suspicion(now);
        watch.due(now)
    };
    for origin in due.into_iter().filter(|origin| shared.up().contains(&origin.node())) {
        tokio::spawn(ask(shared.clone(), origin));
    }
}

/// Asks a journal's node to show that it continues what is known of it. One that cannot be reached, or is busy, is asked later;
/// one that refuses or answers wrongly is suspected until it answers.
async fn ask(shared: Arc<Shared>, origin: Origin) {
    let node = origin.node();
    if !shared.up().contains(&node) {
        return;
    }
    let Some(question) = shared.watch().ask(&origin, shared.mono()) else { return };
    let answer = match shared.mesh.request(&node, question.to_frame().into(), ASK_WAIT).await {
        Ok(data) => Shown::check(&data, &question).map_err(|error| error.to_string()),
        Err(RequestError::Refused) => Err(RequestError::Refused.to_string()),
        Err(error) => return tracing::debug!(%origin, %error, "a node could not be asked about its journal"),
    };
    let shown = match answer {
        Ok(shown) => shown,
        Err(error) => {
            tracing::warn!(%origin, error, "a node does not show that its journal continues; it is suspected");
            return shared.watch().refused(&origin, shared.mono());
        }
    };
    // It may have been expelled since it was asked: nobody else is cosigned than a member.
    if !shared.exchange().is_member(&node) {
        return;
    }
    let on_disk = shared.clone();
    let judged = tokio::task::spawn_blocking(move || {
        let mut table = on_disk.remembered.table();
        let answered = on_disk.watch().answered(&question, &shown, on_disk.mono());
        let cosigned = match &answered {
            Answered::Newest(checkpoint) => cosign(&on_disk, &mut table, (checkpoint, true)),
            _ => None,
        };
        (answered, cosigned)
    });
    match judged.await {
        Ok((_, Some(cosigned))) => send_cosigned(shared, node, cosigned).await,
        Ok((Answered::Lie(fraud), _)) => act_on(&shared, *fraud).await,
        Ok((Answered::Wrong, _)) => {
            tracing::warn!(%origin, "a node shows wrongly that its journal continues; it is suspected");
        }
        _ => {}
    }
}

// Records.

/// Looks at records of a member for what contradicts all that is known; says whether they may be taken.
pub(super) async fn may_take(shared: &Arc<Shared>, records: &Records) -> bool {
    let node = records.origin().node();
    if shared.watch().quarantine(&node) == Some(Quarantine::Proven) {
        return false;
    }
    if !shared.exchange().is_member(&node) {
        // What is not kept needs no comparing.
        return true;
    }
    let seen = shared.watch().see(records.checkpoint());
    let fraud = match seen {
        Some(fraud) => Some(fraud),
        None => {
            let (shared, records) = (shared.clone(), records.clone());
            tokio::task::spawn_blocking(move || differs_from_held(&shared, &records)).await.ok().flatten()
        }
    };
    if let Some(fraud) = fraud {
        act_on(shared, *fraud).await;
    }
    shared.watch().quarantine(&node).is_none()
}

/// Compares records with those that are held of the same entries.
fn differs_from_held(shared: &Shared, records: &Records) -> Option<Box<Fraud>> {
    let origin = records.origin();
    let (mut compared, mut next) = (0, 0);
    for record in records.records() {
        if record.public_seq < next || !shared.records.has(&origin, record.public_seq) {
            continue;
        }
        let held = shared.records.frame(&origin, record.public_seq)?;
        if held == records.bytes() || compared == COMPARED_MAX {
            return None;
        }
        compared += 1;
        let held = Records::check(&held, &origin.federation()).ok()?;
        if let Some(fraud) = compare(&held, records) {
            return Some(fraud);
        }
        next = held.records().last().map_or(0, |last| last.public_seq + 1);
    }
    None
}

/// Compares records with what is held, from the thread that has just kept some: of two frames that came at once, neither was
/// held when the other was looked at.
pub(super) fn look_again(shared: &Arc<Shared>, runtime: &tokio::runtime::Handle, records: &Records) {
    if let Some(fraud) = differs_from_held(shared, records) {
        let shared = shared.clone();
        runtime.spawn(async move { act_on(&shared, *fraud).await });
    }
}
