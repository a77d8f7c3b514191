//! What was passed over of journals, since nobody had it any more: a digest of each such journal's gaps, so that two readers see
//! whether they have read the same.

use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::summary;
use artel_protocol::sync::Mark;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The gaps of all journals that have any; at most one digest for each journal that is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Gaps(BTreeMap<Origin, Digest>);

impl Gaps {
    /// Adds one to those of a journal, which come in their order.
    pub fn add(&mut self, origin: Origin, gap: Range<u64>) {
        let before = self.0.entry(origin).or_default();
        *before = summary::gap(before, gap.start, gap.end);
    }

    /// Whether nothing was passed over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digest of what was read up to these marks, by whoever holds proofs against these nodes.
    pub fn heads(&self, marks: &[Mark], liars: &BTreeSet<NodeId>) -> Digest {
        let gaps: Vec<(Origin, Digest)> = self.0.iter().map(|(origin, digest)| (*origin, *digest)).collect();
        summary::heads(marks, &gaps, liars)
    }
}
