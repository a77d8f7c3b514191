//! What gossip brings: checked once, judged, passed on or not, and kept.

use super::frauds;
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
        Ok(HEAD_KIND | FRAUD_KIND) => Verdict::Reject,
        Ok(summary::KIND) if topic == Topic::Trust => shared.summaries.hear(&shared, &data),
        Ok(summary::KIND) => Verdict::Reject,
        // A kind of a later version is passed on unread.
        Ok(_) => Verdict::Accept,
        Err(_) => Verdict::Reject,
    };
    // The mesh has ended; so has what it would do.
    let _ = shared.mesh.verdict(id, &from, verdict).await;
}

async fn records(shared: &Arc<Shared>, topic: Topic, from: NodeId, data: &[u8]) -> Verdict {
    let records = match Records::check(data, &shared.me.federation()) {
        Ok(records) => records,
        Err(error) => {
            tracing::debug!(%error, %from, "gossip that does not hold");
            return Verdict::Reject;
        }
    };
    if !witness::may_take(shared, &records).await {
        return Verdict::Ignore;
    }
    let (judged, lacks) = {
        let exchange = shared.exchange();
        (exchange.judge(Some(topic), &records), exchange.lacks_before(&records))
    };
    match judged {
        Judgement::Keep => {
            if lacks {
                shared.want_from(from);
            }
            shared.keeper.offer(records, from);
            Verdict::Accept
        }
        Judgement::Known => Verdict::Ignore,
        Judgement::Unwanted => {
            // Its author may be a member by records that this node has not fetched yet.
            shared.want_from(from);
            Verdict::Ignore
        }
        Judgement::Wrong(what) => {
            tracing::debug!(what, %from, "gossip that no honest node sends");
            Verdict::Reject
        }
    }
}
