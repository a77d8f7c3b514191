//! Tells neighbours what became public here: follows the synced journal, gathers for a moment, and says each topic's
//! entries as frames of records under one checkpoint.

use super::evidence::{Public, of_interest};
use super::shared::Shared;
use artel_audit::Reader;
use artel_audit::public::{Frames, RECORDS_BYTES};
use artel_federation::exchange::topic_of;
use artel_federation::interest::Interest;
use artel_federation::{Entry, Fact};
use artel_protocol::log::Class;
use artel_protocol::record::Records;
use artel_protocol::topic::Topic;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long entries are gathered into frames (decision 4). Each frame costs a signature, and each listener a check, a sync and
/// a message; longer, and an offer is heard of later.
const GATHER: Duration = Duration::from_millis(100);

/// For how long entries are gathered while many become public. A frame costs each member about a millisecond of a core whatever is
/// in it, so at a hundred offers a second four frames instead of ten cost each offer a third less. Longer, and less than half of
/// the half second is left in which all members hear of an offer.
const GATHER_BUSY: Duration = Duration::from_millis(250);

/// From how many public entries in a second on they are many: eight within [`GATHER`]. A lone task makes six in all. Fewer, and its
/// verdict waits longer than it must.
const BUSY_PER_SECOND: u64 = 80;

/// With how many entries of the journal a round is full, whatever else comes: its frames are full as well, and later they would
/// come to others all at once.
const ROUND_ENTRIES: u64 = 2_048;

/// How many entries are read at once.
const STRIDE: u64 = 1_024;

/// Publishes what follows the first `next` entries, until the node ends. What stands before is fetched by those who lack it.
pub(super) async fn run(shared: Arc<Shared>, mut next: u64) {
    let mut synced = shared.events.watch();
    // When much was read last.
    let mut busy: Option<Instant> = None;
    while synced.changed().await.is_ok() {
        let gathering = busy.take().filter(|at| at.elapsed() < GATHER).map_or(GATHER, |_| GATHER_BUSY);
        tokio::time::sleep(GATHER).await;
        if gathering > GATHER && *synced.borrow() < next + ROUND_ENTRIES {
            tokio::time::sleep(gathering - GATHER).await;
        }
        if let Err(error) = shared.handle.checkpoint().await {
            // Nothing is lost: the next round begins at the same entry.
            tracing::debug!(%error, "no checkpoint to publish under");
            continue;
        }
        let reader = shared.reader.get();
        let end = reader.checkpoint().size();
        if end <= next {
            // The journal was opened again, or nothing new stands under the checkpoint.
            next = next.min(end);
            continue;
        }
        let (from, me, listened) = (next, shared.me, !shared.up().is_empty());
        let read = tokio::task::spawn_blocking(move || between(&reader, from, end, listened)).await;
        let Read { heard, frames, public, agents_changed } = match read {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                tracing::error!(%error, "public entries cannot be read");
                continue;
            }
            Err(_) => return,
        };
        if agents_changed {
            shared.following.agents_changed.notify_one();
        }
        let is_busy = is_busy(public.len() as u64, gathering);
        shared.evidence.hear_own(me, (from, end), public);
        heard.iter().for_each(|(_, fact)| shared.homes.hear_own(me.node(), fact));
        shared.exchange().hear(me.node(), heard.iter().map(|(index, fact)| (*index, fact)));
        if !heard.is_empty() {
            shared.dismiss_strangers().await;
        }
        for (topic, records) in frames {
            let said = shared.mesh.publish(topic, Bytes::copy_from_slice(records.bytes())).await;
            if let Err(error) = said {
                tracing::debug!(%error, ?topic, "records were not gossiped; they will be fetched");
            }
        }
        next = end;
        busy = is_busy.then(Instant::now);
    }
}

/// Whether so many entries that became public within this time are many.
fn is_busy(public: u64, within: Duration) -> bool {
    public * 1_000 >= BUSY_PER_SECOND * within.as_millis() as u64
}

type Heard = Vec<(u64, Fact)>;

/// What was read of the own journal.
#[derive(Default)]
struct Read {
    /// Of membership and of silent homes.
    heard: Heard,
    /// All that is public, as frames by topic.
    frames: Vec<(Topic, Records)>,
    /// All that is public, for the evidence in it.
    public: Vec<Public>,
    /// Other agents, or other skills, may be here than before.
    agents_changed: bool,
}

/// What this node's own entries say of membership and of silent homes, where somebody listens all that is public as frames by topic, and all of
/// it for its evidence.
fn between(reader: &Reader, from: u64, end: u64, listened: bool) -> Result<Read, artel_audit::Error> {
    let (mut read, mut open) = (Read::default(), Frames::default());
    let mut index = from;
    while index < end {
        let stride: Vec<u64> = (index..end.min(index + STRIDE)).collect();
        let (entries, next) = reader.some(&stride, RECORDS_BYTES)?;
        index = next.unwrap_or(index + stride.len() as u64);
        for stored in entries {
            if stored.leaf.class() != Class::Public {
                read.agents_changed |= Interest::may_change_with(&stored.body);
                continue;
            }
            let decoded = Entry::decode(&stored.body);
            let body_bytes = stored.body.len();
            read.public.push(of_interest(stored.leaf.public_seq(), stored.index, stored.body));
            let Ok(entry) = decoded else { continue };
            if let Some(topic) = topic_of(&entry.fact).filter(|_| listened)
                && let Some(full) = open.add(topic, stored.index, body_bytes)
            {
                read.frames.push((topic, reader.records(&full)?));
            }
            if matches!(entry.fact, Fact::Admitted(_) | Fact::Expelled(_) | Fact::Unanswered(_)) {
                read.heard.push((stored.index, entry.fact));
            }
        }
    }
    for (topic, positions) in open.rest() {
        read.frames.push((topic, reader.records(&positions)?));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_task_is_not_many_entries_and_a_hundred_offers_a_second_are() {
        for (public, within, many) in [
            (0, GATHER, false),
            (7, GATHER, false),
            (8, GATHER, true),
            (19, GATHER_BUSY, false),
            (20, GATHER_BUSY, true),
        ] {
            assert_eq!(is_busy(public, within), many, "{public} within {within:?}");
        }
    }
}
