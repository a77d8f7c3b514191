//! The heads that this node said lately, and who cosigned which. In memory alone: what was lost with a process is cosigned
//! again with the next head.

use artel_protocol::key::NodeId;
use artel_protocol::log::{Cosignature, SignedCheckpoint};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How many heads are kept, the newest. A cosignature takes a round trip and a sync; one of a head that is older than these
/// is not taken any more.
const HEADS_MAX: usize = 8;

/// How many cosignatures of a head are served. Each is a line of some 250 bytes in what `/log/checkpoint` serves, and a note may have
/// 64 lines.
pub(super) const WITNESSES_MAX: usize = 32;

/// How many witnesses are remembered with the last head that each cosigned, and how many cosignatures of a head are kept. Above the
/// neighbours that a node can have, so that whoever was one before is shown as behind, and whoever is to draw a lot is heard.
const REMEMBERED_MAX: usize = 256;

/// For how long a cosigned head is served although a newer checkpoint without a cosignature is there. Shorter, and a busy
/// node never serves a cosigned one; longer, and what is served is older than it need be where witnesses are gone.
const SERVED_FOR: Duration = Duration::from_secs(5);

/// A head that was said.
pub(super) struct Said {
    checkpoint: SignedCheckpoint,
    frame: Bytes,
    at: Instant,
    by: BTreeMap<NodeId, Cosignature>,
    /// Who was asked directly, and when last.
    reminded: BTreeMap<NodeId, Instant>,
}

/// A witness of this node's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witness {
    /// The node.
    pub node: NodeId,
    /// The size of the newest head that it cosigned.
    pub size: u64,
    /// When, by its own clock, in seconds since the Unix epoch.
    pub at_s: u64,
}

/// The newest heads, and the witnesses.
#[derive(Default)]
pub(super) struct Cosignatures {
    said: VecDeque<Said>,
    last: BTreeMap<NodeId, Witness>,
}

impl Said {
    /// A head that is about to be said, and its frame.
    pub fn new(checkpoint: SignedCheckpoint, frame: Bytes) -> Self {
        Said { checkpoint, frame, at: Instant::now(), by: BTreeMap::new(), reminded: BTreeMap::new() }
    }
}

impl Cosignatures {
    /// The newest head that was said.
    pub fn newest(&self) -> Option<SignedCheckpoint> {
        self.said.back().map(|said| said.checkpoint.clone())
    }

    /// Notes that a head was said.
    pub fn say(&mut self, said: Said) {
        self.said.push_back(said);
        while self.said.len() > HEADS_MAX {
            self.said.pop_front();
        }
    }

    /// Keeps a cosignature; says whether it is one of a head that is kept and there was room. The first of a witness counts, so that
    /// nobody chooses among several.
    pub fn keep(&mut self, witness: NodeId, cosignature: Cosignature) -> bool {
        let checkpoint = *cosignature.checkpoint();
        let mut of = self.said.iter_mut();
        let Some(said) = of.find(|said| *said.checkpoint.checkpoint() == checkpoint) else { return false };
        if said.by.len() >= REMEMBERED_MAX && !said.by.contains_key(&witness) {
            return false;
        }
        let now = Witness { node: witness, size: checkpoint.size(), at_s: cosignature.at_s() };
        said.by.entry(witness).or_insert(cosignature);
        if self.last.len() < REMEMBERED_MAX || self.last.contains_key(&witness) {
            let last = self.last.entry(witness).or_insert(now);
            if last.size <= now.size {
                *last = now;
            }
        }
        true
    }

    /// The first cosignature of a witness, of the heads that are kept, behind an entry.
    pub fn first_behind(&self, entry: u64, by: &NodeId) -> Option<&Cosignature> {
        let behind = self.said.iter().filter(|said| said.checkpoint.size() > entry);
        behind.filter_map(|said| said.by.get(by)).next()
    }

    /// The newest head's frame, and those of `up` that have not cosigned it and were not asked yet, once it is old enough; or where
    /// that was so long ago, who were asked, too.
    pub fn remind(
        &mut self,
        after: Duration,
        again: Option<Duration>,
        up: &[NodeId],
    ) -> Option<(Bytes, Vec<NodeId>)> {
        let said = self.said.back_mut().filter(|said| said.at.elapsed() >= after)?;
        let is_due = |peer: &&NodeId| match said.reminded.get(peer) {
            None => true,
            Some(at) => again.is_some_and(|pause| at.elapsed() >= pause),
        };
        let late = up.iter().filter(|peer| !said.by.contains_key(peer));
        let peers: Vec<NodeId> = late.filter(is_due).copied().collect();
        said.reminded.extend(peers.iter().map(|peer| (*peer, Instant::now())));
        Some((said.frame.clone(), peers))
    }

    /// A neighbour has gone: when it comes again it is asked again.
    pub fn forget_reminder(&mut self, peer: &NodeId) {
        if let Some(said) = self.said.back_mut() {
            said.reminded.remove(peer);
        }
    }

    /// What `/log/checkpoint` serves: the newest checkpoint with the cosignatures that it has; where it has none, the newest
    /// cosigned head of the last seconds.
    pub fn serve(&self, newest: SignedCheckpoint) -> SignedCheckpoint {
        let cosigned = |said: &&Said| !said.by.is_empty();
        let of_newest = |said: &&Said| *said.checkpoint.checkpoint() == *newest.checkpoint();
        let mut latest = self.said.iter().rev();
        let said = latest.clone().filter(cosigned).find(of_newest);
        let Some(said) =
            said.or_else(|| latest.find(|said| cosigned(said) && said.at.elapsed() < SERVED_FOR))
        else {
            return newest;
        };
        let mut note = said.checkpoint.clone();
        for cosignature in said.by.values().take(WITNESSES_MAX) {
            note = note.with(cosignature.line()).expect("fewer lines than a note may have");
        }
        note
    }

    /// Who witnesses this journal, by key.
    pub fn witnesses(&self) -> Vec<Witness> {
        self.last.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::log::{Checkpoint, Hash, Origin};

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn head(size: u64) -> SignedCheckpoint {
        let origin = Origin::new(FederationId([3; 32]), NodeId(key(1).public()), 0);
        let plain = Checkpoint::new(origin, size, Hash([size as u8; 32])).expect("plain");
        SignedCheckpoint::sign(plain, &key(1)).expect("its own key")
    }

    fn say(all: &mut Cosignatures, size: u64) {
        all.say(Said::new(head(size), Bytes::new()));
    }

    fn cosign(all: &mut Cosignatures, size: u64, by: u8) -> bool {
        let made = Cosignature::sign(head(size).checkpoint(), &key(by), 1_800_000_000).expect("a plain time");
        all.keep(NodeId(key(by).public()), made)
    }

    fn lines(note: &SignedCheckpoint) -> usize {
        note.note().signatures().len()
    }

    #[test]
    fn the_newest_checkpoint_is_served_with_its_cosignatures_or_the_last_one_that_has_some() {
        let mut all = Cosignatures::default();
        assert_eq!(all.serve(head(3)), head(3));
        say(&mut all, 3);
        assert!(cosign(&mut all, 3, 2) && cosign(&mut all, 3, 4) && cosign(&mut all, 3, 2));
        let served = all.serve(head(3));
        assert_eq!((served.size(), lines(&served)), (3, 3));
        say(&mut all, 5);
        assert_eq!(all.serve(head(5)).size(), 3, "the newer one has no cosignature yet");
        assert!(cosign(&mut all, 5, 2));
        assert_eq!((all.serve(head(5)).size(), lines(&all.serve(head(5)))), (5, 2));
        for said in &mut all.said {
            said.at -= SERVED_FOR;
        }
        assert_eq!(all.serve(head(6)), head(6), "not for ever");
    }

    #[test]
    fn cosignatures_and_heads_are_bounded_and_witnesses_are_behind() {
        let mut all = Cosignatures::default();
        assert!(!cosign(&mut all, 3, 2), "of a head that was never said");
        (1..=HEADS_MAX as u64 + 1).for_each(|size| say(&mut all, size));
        assert!(!cosign(&mut all, 1, 2), "too old");
        assert!(
            (0..100).all(|by| cosign(&mut all, 4, 100 + by)),
            "more than are served: any of them may draw"
        );
        assert!((0..100).all(|by| all.first_behind(3, &NodeId(key(100 + by).public())).is_some()));
        let served = all.serve(head(4)).to_string();
        assert_eq!(served.lines().filter(|line| line.starts_with('—')).count(), 1 + WITNESSES_MAX);
        assert!(cosign(&mut all, 4, 100), "a later one of the same");
        assert!(cosign(&mut all, 9, 2) && cosign(&mut all, 5, 2));
        let sizes: BTreeMap<NodeId, u64> = all.witnesses().iter().map(|w| (w.node, w.size)).collect();
        assert_eq!(sizes[&NodeId(key(2).public())], 9, "the newest of a witness counts");
        assert_eq!(sizes[&NodeId(key(101).public())], 4);
    }

    #[test]
    fn the_first_cosignature_behind_an_entry_counts_whatever_comes_later() {
        let mut all = Cosignatures::default();
        [3, 5, 7].into_iter().for_each(|size| say(&mut all, size));
        let by = |seed: u8| NodeId(key(seed).public());
        let first = |all: &Cosignatures, entry, seed| {
            all.first_behind(entry, &by(seed)).map(|one| one.checkpoint().size())
        };
        assert!(cosign(&mut all, 3, 2) && cosign(&mut all, 7, 2));
        assert_eq!([first(&all, 2, 2), first(&all, 3, 2), first(&all, 7, 2)], [Some(3), Some(7), None]);
        assert_eq!(first(&all, 2, 4), None);
        // Of the same head once more, at another moment.
        let again = Cosignature::sign(head(7).checkpoint(), &key(2), 1_900_000_000).expect("a plain time");
        assert!(all.keep(by(2), again));
        assert_eq!(all.first_behind(3, &by(2)).map(Cosignature::at_s), Some(1_800_000_000));
    }

    #[test]
    fn who_has_not_cosigned_is_reminded_once() {
        let mut all = Cosignatures::default();
        let up: Vec<NodeId> = [2, 4].map(|seed| NodeId(key(seed).public())).to_vec();
        say(&mut all, 3);
        assert!(all.remind(Duration::from_secs(60), None, &up).is_none(), "it may come by itself");
        assert!(cosign(&mut all, 3, 2));
        let reminded = |all: &mut Cosignatures| all.remind(Duration::ZERO, None, &up).expect("old enough").1;
        assert_eq!(reminded(&mut all), [up[1]]);
        assert_eq!(reminded(&mut all), []);
        all.forget_reminder(&up[1]);
        assert_eq!(reminded(&mut all), [up[1]], "it came again");
        let again =
            |all: &mut Cosignatures, pause| all.remind(Duration::ZERO, Some(pause), &up).expect("said").1;
        assert_eq!(again(&mut all, Duration::from_secs(60)), [], "not so soon");
        assert_eq!(again(&mut all, Duration::ZERO), [up[1]], "somebody waits for it");
        assert!(cosign(&mut all, 3, 4));
        assert_eq!(again(&mut all, Duration::ZERO), []);
    }
}
