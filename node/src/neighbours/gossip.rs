//! What gossip brings: checked once, judged, passed on or not, and kept.

use super::frauds;
use super::refusals::Reason;
use super::shared::Shared;
use super::witness;
use artel_federation::exchange::Judgement;
use artel_mesh::{MessageId, Verdict};
use artel_protocol::codec::Frame;
use artel_protocol::key::NodeId;
use artel_protocol::record::{KIND, Records};
use artel_protocol::summary;
use artel_protocol::topic::Topic;
use artel_protocol::witness::{FRAUD_KIND, HEAD_KIND};
use bytes::Bytes;
use std::sync::Arc;

/// Judges a message and does what follows from it.
pub(super) async fn hear(shared: Arc<Shared>, (id, topic): (MessageId, Topic), from: NodeId, data: Bytes) {
    let verdict = match Frame::parse(&data).map(|frame| frame.kind) {
        Ok(KIND) => records(&shared, topic, from, &data).await,
        Ok(HEAD_KIND) if topic == Topic::Heads => witness::hear_head(&shared, from, &data).await,
        Ok(FRAUD_KIND) if topic == Topic::Heads => frauds::hear(&shared, from, &data).await,
        // No honest node says them elsewhere.
        Ok(HEAD_KIND | FRAUD_KIND) => shared.refuse_gossip(Reason::Misplaced),
        Ok(summary::KIND) if topic == Topic::Trust => shared.summaries.hear(&shared, &data),
        Ok(summary::KIND) => shared.refuse_gossip(Reason::Misplaced),
        // A kind of a later version is passed on unread.
        Ok(_) => Verdict::Accept,
        Err(error) => shared.refuse_gossip(Reason::from(&error)),
    };
    // The mesh has ended; so has what it would do.
    let _ = shared.mesh.verdict(id, &from, verdict).await;
}

async fn records(shared: &Arc<Shared>, topic: Topic, from: NodeId, data: &[u8]) -> Verdict {
    let records = match Records::check(data, &shared.me.federation()) {
        Ok(records) => records,
        Err(error) => {
            tracing::debug!(%error, %from, "gossip that does not hold");
            return shared.refuse_gossip(Reason::from(&error));
        }
    };
    if !witness::may_take(shared, &records).await {
        return shared.refuse_gossip(Reason::Quarantined);
    }
    let (judged, lacks) = {
        let exchange = shared.exchange();
        (exchange.judge(Some(topic), &records), exchange.lacks_before(&records))
    };
    match judged {
        Judgement::Keep => {
            if lacks {
                shared.fill_hole(records.origin().node(), from);
            }
            shared.keeper.offer(records, from);
            Verdict::Accept
        }
        Judgement::Known => shared.refuse_gossip(Reason::Known),
        Judgement::Unwanted => {
            // Its author may be a member by records that this node has not fetched yet.
            shared.want_from(from);
            shared.refuse_gossip(Reason::Unwanted)
        }
        Judgement::Wrong(what) => {
            tracing::debug!(what, %from, "gossip that no honest node sends");
            shared.refuse_gossip(Reason::Entry)
        }
    }
}
