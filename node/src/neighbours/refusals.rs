//! What neighbours sent and this node refused, counted by protocol and reason; and which reasons no honest node gives: these cost
//! whoever gave them score, in gossip by the verdict, elsewhere by this node's word to the mesh, until it is sent away.

use super::patience::Slow;
use super::shared::Shared;
use artel_federation::visit::message as visit;
use artel_mesh::{Lane, Verdict};
use artel_protocol::key::NodeId;
use artel_protocol::{codec, hello, record, summary, sync, witness};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many reasons of one protocol are counted. All of them are from closed lists, this one and the rules' codes, which are
/// shorter: nothing that a peer says becomes one.
const REASONS_MAX: usize = 128;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $wrong:literal;)*) => {
        /// Why something was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)*];

            /// Its stable name.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$variant => $text,)* }
            }

            /// Whether no honest node gives it.
            pub fn is_wrong(self) -> bool {
                match self { $(Reason::$variant => $wrong,)* }
            }
        }
    };
}

reasons! {
    /// No value, not in its one form, or larger than any of its kind.
    Malformed = "malformed", true;
    /// Of a version that is not spoken here, or of a kind that has no place there.
    Version = "version", true;
    /// Of another federation.
    Foreign = "foreign", true;
    /// A signature or a proof that does not hold.
    Proof = "proof", true;
    /// Entries that no honest node makes, or says there.
    Entry = "entry", true;
    /// On a topic that does not carry it.
    Misplaced = "misplaced", true;
    /// An answer where a question is wanted, what nobody asked for, or more than one stream may have.
    Turn = "turn", true;
    /// Other bytes than those that the digest names.
    Bytes = "bytes", true;
    /// Of a kind that is not known here: a later version may know it.
    Kind = "kind", false;
    /// Known and well-formed, but not answered here and now.
    Declined = "declined", false;
    /// Made too far from this node's clock.
    Clock = "clock", false;
    /// Sooner after the one before than is passed on.
    Pace = "pace", false;
    /// Held already, older than what is known, or this node's own.
    Known = "known", false;
    /// About a node that is no member by what is known here, or whose share is used up.
    Unwanted = "unwanted", false;
    /// About a node that lied, or is suspected of it.
    Quarantined = "quarantined", false;
    /// Beyond the places that a neighbour has.
    Places = "places", false;
    /// Slower than any should be.
    Slow = "slow", false;
}

impl From<&codec::Error> for Reason {
    fn from(_: &codec::Error) -> Self {
        Reason::Malformed
    }
}

impl From<&record::Error> for Reason {
    fn from(error: &record::Error) -> Self {
        match error {
            record::Error::Codec(_) | record::Error::Size { .. } => Reason::Malformed,
            record::Error::Unknown { .. } => Reason::Version,
            record::Error::Foreign => Reason::Foreign,
            record::Error::Checkpoint(_) | record::Error::Tree(_) => Reason::Proof,
            record::Error::Order { .. } => Reason::Entry,
        }
    }
}

impl From<&witness::Error> for Reason {
    fn from(error: &witness::Error) -> Self {
        match error {
            witness::Error::Codec(_) | witness::Error::Size => Reason::Malformed,
            witness::Error::Unknown { .. } => Reason::Version,
            witness::Error::Foreign => Reason::Foreign,
            witness::Error::Checkpoint(_)
            | witness::Error::Cosignature(_)
            | witness::Error::Tree(_)
            | witness::Error::NoContradiction => Reason::Proof,
        }
    }
}

impl From<&summary::Error> for Reason {
    fn from(error: &summary::Error) -> Self {
        match error {
            summary::Error::Codec(_)
            | summary::Error::Size { .. }
            | summary::Error::Marks
            | summary::Error::Scores => Reason::Malformed,
            summary::Error::Unknown { .. } => Reason::Version,
            summary::Error::Foreign => Reason::Foreign,
            summary::Error::Signature => Reason::Proof,
        }
    }
}

impl From<&sync::Error> for Reason {
    fn from(error: &sync::Error) -> Self {
        match error {
            sync::Error::Codec(_) | sync::Error::Size { .. } | sync::Error::Marks | sync::Error::Holes => {
                Reason::Malformed
            }
            sync::Error::Unknown { .. } => Reason::Version,
        }
    }
}

impl From<&visit::Error> for Reason {
    fn from(error: &visit::Error) -> Self {
        match error {
            visit::Error::Codec(_) | visit::Error::Bounds(_) | visit::Error::NotJson { .. } => {
                Reason::Malformed
            }
            visit::Error::Unknown { .. } => Reason::Version,
        }
    }
}

impl From<&hello::Error> for Reason {
    fn from(error: &hello::Error) -> Self {
        match error {
            hello::Error::Codec(_) | hello::Error::Kind(_) | hello::Error::Bound(_) => Reason::Malformed,
            hello::Error::Version(_) => Reason::Version,
            hello::Error::OtherFederation(_) => Reason::Foreign,
            hello::Error::OtherNode(_) | hello::Error::Signature => Reason::Proof,
            hello::Error::Clock(_) => Reason::Clock,
        }
    }
}

/// Something that is refused on a stream, and why.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Fault {
    pub reason: Reason,
    what: String,
}

impl Fault {
    pub fn new(reason: Reason, what: impl Into<String>) -> Self {
        Fault { reason, what: what.into() }
    }
}

impl Reason {
    /// Why a stream ended with an error; nothing where it merely broke, or this node is at fault.
    pub fn of_stream(error: &anyhow::Error) -> Option<Reason> {
        error.chain().find_map(Reason::of_link)
    }

    fn of_link(link: &(dyn Error + 'static)) -> Option<Reason> {
        if let Some(fault) = link.downcast_ref::<Fault>() {
            return Some(fault.reason);
        }
        if link.is::<Slow>() {
            return Some(Reason::Slow);
        }
        let of_message = link.downcast_ref::<sync::Error>().map(Reason::from);
        of_message.or_else(|| link.downcast_ref::<visit::Error>().map(Reason::from))
    }
}

/// How often something was refused, by protocol and reason.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Lane, BTreeMap<String, u64>>>);

impl Refusals {
    /// Counts one more.
    pub fn count(&self, lane: Lane, reason: &str) {
        let mut all = self.all();
        let of_lane = all.entry(lane).or_default();
        if let Some(count) = of_lane.get_mut(reason) {
            *count += 1;
        } else if of_lane.len() < REASONS_MAX {
            of_lane.insert(reason.to_owned(), 1);
        }
    }

    /// All counts, as `<protocol>_<reason>`.
    pub fn counts(&self) -> Vec<(String, u64)> {
        let all = self.all();
        let named = |lane: &Lane, reason: &str| format!("{}_{reason}", lane.name());
        let counts = all.iter().flat_map(|(lane, of)| of.iter().map(move |(reason, n)| (*lane, reason, *n)));
        counts.map(|(lane, reason, count)| (named(&lane, reason), count)).collect()
    }

    /// All counts of one protocol, by reason.
    pub fn of(&self, lane: Lane) -> BTreeMap<String, u64> {
        self.all().get(&lane).cloned().unwrap_or_default()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Lane, BTreeMap<String, u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Counts what gossip brought and this node refuses; the verdict on it.
    pub fn refuse_gossip(&self, reason: Reason) -> Verdict {
        self.refusals.count(Lane::Gossip, reason.name());
        if reason.is_wrong() { Verdict::Reject } else { Verdict::Ignore }
    }

    /// Counts what a neighbour said and this node refuses; what no honest node says costs the neighbour score.
    pub async fn refuse(&self, lane: Lane, by: &NodeId, reason: Reason) {
        self.refusals.count(lane, reason.name());
        if reason.is_wrong() {
            tracing::debug!(%by, lane = lane.name(), reason = reason.name(), "a neighbour says what no honest node says");
            // The mesh may have ended, and every connection with it.
            let _ = self.mesh.blame(by).await;
        }
    }

    /// Counts why a stream of a neighbour ended early, where that is its doing.
    pub async fn refuse_stream(&self, lane: Lane, by: &NodeId, error: &anyhow::Error) {
        if let Some(reason) = Reason::of_stream(error) {
            self.refuse(lane, by, reason).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_stream_that_ends_early_has_the_reason_of_its_error() {
        let fault = Fault::new(Reason::Turn, "an answer where a question was wanted");
        for (error, reason) in [
            (anyhow::Error::from(fault), Some(Reason::Turn)),
            (Slow.into(), Some(Reason::Slow)),
            (sync::Error::Marks.into(), Some(Reason::Malformed)),
            (sync::Error::Holes.into(), Some(Reason::Malformed)),
            (sync::Error::Unknown { kind: 1, version: 2 }.into(), Some(Reason::Version)),
            (visit::Error::Bounds("the name").into(), Some(Reason::Malformed)),
            (std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into(), None),
        ] {
            assert_eq!(Reason::of_stream(&error), reason, "{error:#}");
            assert_eq!(
                Reason::of_stream(&Err::<(), _>(error).context("further up").expect_err("it is one")),
                reason
            );
        }
    }

    #[test]
    fn counts_have_names_and_are_bounded() {
        let refusals = Refusals::default();
        refusals.count(Lane::Sync, Reason::Slow.name());
        refusals.count(Lane::Sync, Reason::Slow.name());
        refusals.count(Lane::Direct, "forbidden");
        assert_eq!(refusals.counts(), [("direct_forbidden".into(), 1), ("sync_slow".into(), 2)]);
        (0..2 * REASONS_MAX).for_each(|n| refusals.count(Lane::Blob, &n.to_string()));
        assert_eq!(refusals.counts().len(), 2 + REASONS_MAX);
    }
}
