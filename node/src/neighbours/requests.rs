//! Direct requests of neighbours, by the kind of their frame. What there is no room for is not refused: its asker hears that
//! this node is busy, for who refuses a question about its journal is suspected.

use super::places::{Places, Sizes};
use super::refusals::Reason;
use super::shared::Shared;
use super::{frauds, heads, home, redo, witness};
use artel_federation::redo::message::{REDO_KIND, Redo};
use artel_federation::visit::message::{ENOUGH_KIND, Enough, VISIT_KIND, Visit};
use artel_mesh::limits::DIRECT_IN_FLIGHT_MAX;
use artel_mesh::{Answer, Lane};
use artel_protocol::codec::Frame;
use artel_protocol::id::FederationId;
use artel_protocol::key::NodeId;
use artel_protocol::sync::Message;
use artel_protocol::{continuity, witness as said};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many requests are dealt with at once, claims that wait among them. Who asks a further one hears that this node is busy; the
/// mesh bounds how many bytes one neighbour has under way.
pub(super) const PLACES: Sizes = Sizes { own: 16, each: DIRECT_IN_FLIGHT_MAX, common: 4_096 };

/// Deals with a request beside whatever else happens.
pub(super) fn take(shared: &Arc<Shared>, places: &Places, (from, data, answer): (NodeId, Bytes, Answer)) {
    let Some(place) = places.take(from) else {
        // Dropped, its answer says that this node is busy.
        return shared.refusals.count(Lane::Direct, Reason::Places.name());
    };
    let shared = shared.clone();
    tokio::spawn(async move {
        shared.asked.count(Frame::parse(&data).ok().map(|frame| frame.kind));
        let response = respond(&shared, from, &data, &answer).await;
        // Whoever has the answer may ask again at once.
        drop(place);
        match response {
            Response::Said(said) => answer.send(said),
            Response::Refused => {
                let reason = refusal(&data, &shared.me.federation());
                tracing::debug!(%from, reason = reason.name(), "a request was refused");
                // Counted before the asker hears it.
                shared.refuse(Lane::Direct, &from, reason).await;
                answer.refuse();
            }
            // It is dropped.
            Response::Busy => {}
        }
    });
}

/// How many requests were dealt with, by what they are; with the questions on exchanges' streams.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<BTreeMap<&'static str, u64>>);

impl Asked {
    fn count(&self, kind: Option<u16>) {
        let name = match kind {
            Some(said::HEAD_KIND) => "head",
            Some(said::COSIGNED_KIND) => "cosigned",
            Some(said::FRAUD_KIND) => "fraud",
            Some(continuity::ASK_KIND) => "continuity",
            Some(REDO_KIND) => "redo",
            Some(VISIT_KIND) => "visit",
            Some(ENOUGH_KIND) => "enough",
            _ => "other",
        };
        self.count_one(name);
    }

    /// Counts what a neighbour asks on a stream of an exchange.
    pub fn count_on_sync(&self, question: &Message) {
        match question {
            Message::Ask(_) => self.count_one("sync_ask"),
            Message::Want(_) => self.count_one("sync_want"),
            Message::Holes(_) => self.count_one("sync_holes"),
            // They are no questions.
            Message::Same | Message::Marks(_) | Message::Records(_) | Message::End { .. } => {}
        }
    }

    fn count_one(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    /// All of them; what never came is not among them.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }
}

/// What becomes of a request.
pub(super) enum Response {
    /// This is the answer.
    Said(Bytes),
    /// It is not done.
    Refused,
    /// This node cannot say now; it may be asked again.
    Busy,
}

async fn respond(shared: &Arc<Shared>, from: NodeId, data: &[u8], asker: &Answer) -> Response {
    let said = match Frame::parse(data).map(|frame| frame.kind) {
        Ok(continuity::ASK_KIND) => return heads::show(shared, data).await,
        Ok(kind) => answer_to(shared, from, (kind, data), asker).await,
        Err(_) => None,
    };
    said.map_or(Response::Refused, Response::Said)
}

/// What is answered; nothing refuses the request.
async fn answer_to(
    shared: &Arc<Shared>,
    from: NodeId,
    (kind, data): (u16, &[u8]),
    asker: &Answer,
) -> Option<Bytes> {
    match kind {
        said::HEAD_KIND => witness::asked_to_cosign(shared, from, data).await,
        said::COSIGNED_KIND => heads::cosigned(shared, from, data),
        said::FRAUD_KIND => frauds::told(shared, data).await,
        REDO_KIND => redo::answer(shared, from, data).await.map(Bytes::from),
        VISIT_KIND => home::answer(shared, from, data, asker).await.map(Bytes::from),
        ENOUGH_KIND => home::enough(shared, from, data).map(Bytes::from),
        _ => None,
    }
}

/// Why a request was refused: looked for again where it was, so that those that are answered are checked once.
fn refusal(data: &[u8], federation: &FederationId) -> Reason {
    let frame = match Frame::parse(data) {
        Ok(frame) => frame,
        Err(error) => return Reason::from(&error),
    };
    let wrong = match frame.kind {
        said::HEAD_KIND => said::Head::check(data, federation).err().map(|error| Reason::from(&error)),
        said::COSIGNED_KIND => {
            said::Cosigned::check(data, federation).err().map(|error| Reason::from(&error))
        }
        said::FRAUD_KIND => said::Fraud::check(data, federation).err().map(|error| Reason::from(&error)),
        continuity::ASK_KIND => {
            continuity::Ask::check(data, federation).err().map(|error| Reason::from(&error))
        }
        REDO_KIND => Redo::read(data).err().map(|error| Reason::from(&error)),
        VISIT_KIND => Visit::read(data).err().map(|error| Reason::from(&error)),
        ENOUGH_KIND => Enough::read(data).err().map(|error| Reason::from(&error)),
        _ => Some(Reason::Kind),
    };
    wrong.unwrap_or(Reason::Declined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_has_a_reason() {
        let federation = FederationId([7; 32]);
        let frame = |kind: u16, version: u16, payload: &[u8]| {
            let len = u32::try_from(payload.len()).expect("small").to_le_bytes();
            [&kind.to_le_bytes()[..], &version.to_le_bytes(), &len, payload].concat()
        };
        for (data, reason) in [
            (b"cut".to_vec(), Reason::Malformed),
            (frame(VISIT_KIND, 1, b"no visit"), Reason::Malformed),
            (frame(VISIT_KIND, 9, b""), Reason::Version),
            (frame(ENOUGH_KIND, 1, b"nobody"), Reason::Malformed),
            (frame(REDO_KIND, 1, b"no redo"), Reason::Malformed),
            (frame(said::HEAD_KIND, 9, b""), Reason::Version),
            (frame(continuity::ASK_KIND, 1, b""), Reason::Malformed),
            (frame(0x0fff, 1, b"of a later version"), Reason::Kind),
        ] {
            assert_eq!(refusal(&data, &federation), reason, "{data:?}");
        }
    }
}
