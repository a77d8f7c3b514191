//! The lot of a submission (decision 12): whether it is redone, and by whom, follows from the first cosignatures of its home's
//! journal behind it, by witnesses that its digest fixes. Home can choose neither, and whoever has its records computes the same.

use super::{draws, place};
use crate::fact::{Lot, Witnessing};
use crate::input::Now;
use artel_protocol::codec::encode_into;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_protocol::log::{Checkpoint, Cosignature, Origin, Witness};

/// How many witnesses draw. With fewer, home needs fewer friends to choose; with more, a verdict waits for the slowest of more.
pub const WITNESSES: usize = 3;

/// How long home waits for their cosignatures, in milliseconds; who has not cosigned by then is left out by name. A head is said
/// once a second at the most, and takes a round trip and a sync: shorter, and a busy witness is left out; longer, and a witness that
/// went away holds up every verdict by it.
pub const WITNESS_WAIT_MS: u64 = 5_000;

/// Why a lot is not what its witnesses drew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Wrong {
    /// More witnesses than draw, home among them, or not in the order that the submission's digest gives.
    #[error("its witnesses are not in the submission's order")]
    Order,
    /// A cosignature of a checkpoint that does not cover the submission.
    #[error("a cosignature is older than the submission")]
    Older,
    /// A cosignature that the witness did not make.
    #[error("a cosignature does not hold")]
    Cosignature,
    /// The lot is not what the cosignatures give.
    #[error("the lot does not follow from the cosignatures")]
    Lot,
    /// It was drawn by another lot, or not drawn by this one.
    #[error("what was drawn does not follow from the lot")]
    Drawn,
}

/// The witnesses that a submission's digest fixes among those that may be asked: the [`WITNESSES`] with the least places.
pub fn pick(submission: &Digest, mut eligible: Vec<NodeId>) -> Vec<NodeId> {
    eligible.sort_by_key(|node| place(submission, node));
    eligible.dedup();
    eligible.truncate(WITNESSES);
    eligible
}

/// The lot that witnesses' cosignatures give: SHA-256 of `artel/1/lot ‖ 0 ‖ the submission's digest (32) ‖ list of (key ‖ signature)`,
/// of those that have cosigned. Nothing where none has.
pub fn drawn_by(submission: &Digest, witnesses: &[Witnessing]) -> Option<Digest> {
    let signed = witnesses.iter().filter_map(|one| Some((one.node, one.cosigned.as_ref()?.signature)));
    let signed: Vec<_> = signed.collect();
    if signed.is_empty() {
        return None;
    }
    let mut bytes = b"artel/1/lot\0".to_vec();
    encode_into(&(submission, signed), &mut bytes);
    Some(Digest::of(&bytes))
}

/// The lot where no witness has cosigned, from the entropy of the input that says so: SHA-256 of `artel/1/redo ‖ 0 ‖ entropy (32) ‖
/// step (16) ‖ epoch u32`. It is home's own word.
pub(super) fn own(now: &Now, step: StepId, epoch: Epoch) -> Digest {
    let mut bytes = b"artel/1/redo\0".to_vec();
    encode_into(&(now.entropy, step, epoch), &mut bytes);
    Digest::of(&bytes)
}

impl Lot {
    /// Whether witnesses drew it, and not home alone.
    pub fn is_witnessed(&self) -> bool {
        self.witnesses.iter().any(|one| one.cosigned.is_some())
    }

    /// Checks all that follows from the submission's digest without looking at a signature.
    ///
    /// # Errors
    /// [`Wrong`], each case as it says.
    pub fn follows_from(&self, submission: &Digest, home: &NodeId) -> Result<(), Wrong> {
        let places: Vec<Digest> = self.witnesses.iter().map(|one| place(submission, &one.node)).collect();
        let in_order = places.windows(2).all(|pair| pair[0] < pair[1]);
        let is_home = self.witnesses.iter().any(|one| one.node == *home);
        if places.len() > WITNESSES || !in_order || is_home {
            return Err(Wrong::Order);
        }
        let mut cosigned = self.witnesses.iter().filter_map(|one| one.cosigned.as_ref());
        if cosigned.any(|cosigned| cosigned.size <= self.submitted) {
            return Err(Wrong::Older);
        }
        if drawn_by(submission, &self.witnesses).is_some_and(|lot| lot != self.lot) {
            return Err(Wrong::Lot);
        }
        if draws(&self.lot, self.rate) != self.drawn { Err(Wrong::Drawn) } else { Ok(()) }
    }

    /// Checks all of it: given the journal that it stands in and the SHA-256 of its `Submitted` entry's body. What it says of the
    /// roots is held against the journal by whoever has it.
    ///
    /// # Errors
    /// [`Wrong`], each case as it says.
    pub fn verify(&self, submission: &Digest, journal: &Origin) -> Result<(), Wrong> {
        self.follows_from(submission, &journal.node())?;
        for Witnessing { node, cosigned } in &self.witnesses {
            let Some(cosigned) = cosigned else { continue };
            let checkpoint = Checkpoint::new(*journal, cosigned.size, cosigned.root);
            let key = Witness { federation: journal.federation(), node: *node }.note_key();
            checkpoint
                .ok()
                .and_then(|checkpoint| {
                    Cosignature::check(&checkpoint, &key, cosigned.at_s, cosigned.signature).ok()
                })
                .ok_or(Wrong::Cosignature)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Cosigned;
    use artel_protocol::id::{FederationId, RunId};
    use artel_protocol::key::{AgentId, SecretKey, Signature};
    use artel_protocol::log::Hash;
    use artel_protocol::time::Wall;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 32])
    }

    fn node(n: u8) -> NodeId {
        NodeId(key(n).public())
    }

    fn journal() -> Origin {
        Origin::new(FederationId([3; 32]), node(1), 0)
    }

    fn submission() -> Digest {
        Digest::of(b"a submission")
    }

    fn seed_of(node_id: &NodeId) -> u8 {
        (2..=9).find(|n| node(*n) == *node_id).expect("one of these")
    }

    fn cosigned(by: &NodeId, size: u64, at_s: u64) -> Cosigned {
        let root = Hash([size as u8; 32]);
        let checkpoint = Checkpoint::new(journal(), size, root).expect("plain");
        let made = Cosignature::sign(&checkpoint, &key(seed_of(by)), at_s).expect("a plain time");
        Cosigned { size, root, at_s, signature: made.signature() }
    }

    /// A lot over entry 11, of three of nodes 2 to 9, of which the second has not cosigned.
    fn lot() -> Lot {
        let picked = pick(&submission(), (2..=9).map(node).collect());
        let witnesses: Vec<Witnessing> = picked
            .iter()
            .enumerate()
            .map(|(n, node)| Witnessing {
                node: *node,
                cosigned: (n != 1).then(|| cosigned(node, 12 + n as u64, 1_800_000_000)),
            })
            .collect();
        let lot = drawn_by(&submission(), &witnesses).expect("two have cosigned");
        Lot {
            step: RunId::new(Wall(1), [7; 9]).step(0),
            epoch: Epoch(1),
            agent: AgentId(key(20).public()),
            submitted: 11,
            rate: 700,
            witnesses,
            drawn: draws(&lot, 700),
            lot,
        }
    }

    #[test]
    fn the_submission_fixes_three_of_those_that_may_be_asked_or_all_of_fewer() {
        let all: Vec<NodeId> = (2..=9).map(node).collect();
        let picked = pick(&submission(), all.clone());
        let mut turned = all.clone();
        turned.reverse();
        turned.push(all[0]);
        assert_eq!((picked.len(), &pick(&submission(), turned)), (WITNESSES, &picked));
        let rest = all.iter().filter(|node| !picked.contains(node));
        let last = place(&submission(), &picked[2]);
        assert!(rest.into_iter().all(|node| place(&submission(), node) > last));
        assert_ne!(pick(&Digest::of(b"another"), all.clone()), picked);
        assert_eq!(pick(&submission(), all[..2].to_vec()).len(), 2);
        assert_eq!(pick(&submission(), vec![]), []);
    }

    #[test]
    fn a_lot_that_its_witnesses_drew_holds_and_any_other_does_not() {
        assert_eq!(lot().verify(&submission(), &journal()), Ok(()));
        let wrong = |change: &dyn Fn(&mut Lot)| {
            let mut lot = lot();
            change(&mut lot);
            lot.verify(&submission(), &journal()).expect_err("it was changed")
        };
        assert_eq!(wrong(&|lot| lot.witnesses.swap(0, 1)), Wrong::Order);
        assert_eq!(wrong(&|lot| lot.witnesses[1] = lot.witnesses[0]), Wrong::Order);
        assert_eq!(wrong(&|lot| lot.witnesses[1].node = node(1)), Wrong::Order);
        assert_eq!(wrong(&|lot| lot.submitted = 12), Wrong::Older);
        assert_eq!(wrong(&|lot| lot.lot = Digest::of(b"chosen")), Wrong::Lot);
        assert_eq!(wrong(&|lot| lot.witnesses.truncate(2)), Wrong::Lot, "a word that home does not like");
        assert_eq!(wrong(&|lot| lot.drawn = !lot.drawn), Wrong::Drawn);
        let with = |change: fn(&mut Cosigned)| {
            wrong(&|lot| {
                let first = lot.witnesses[0].cosigned.as_mut().expect("it has cosigned");
                change(first);
                lot.lot = drawn_by(&submission(), &lot.witnesses).expect("two have cosigned");
                lot.drawn = draws(&lot.lot, lot.rate);
            })
        };
        assert_eq!(with(|cosigned| cosigned.signature = Signature([9; 64])), Wrong::Cosignature);
        assert_eq!(with(|cosigned| cosigned.at_s += 1), Wrong::Cosignature);
        assert_eq!(with(|cosigned| cosigned.size += 1), Wrong::Cosignature);
        assert!(lot().verify(&Digest::of(b"another"), &journal()).is_err(), "of another submission");
        let elsewhere = Origin::new(FederationId([3; 32]), node(1), 1);
        assert_eq!(lot().verify(&submission(), &elsewhere), Err(Wrong::Cosignature));
    }

    #[test]
    fn a_witness_that_cosigns_later_draws_another_lot() {
        let mut later = lot();
        let node = later.witnesses[0].node;
        later.witnesses[0].cosigned = Some(cosigned(&node, 12, 1_800_000_001));
        assert_ne!(drawn_by(&submission(), &later.witnesses), Some(lot().lot));
        later.witnesses.iter_mut().for_each(|one| one.cosigned = None);
        assert_eq!(drawn_by(&submission(), &later.witnesses), None, "nobody has drawn it");
        assert!(lot().is_witnessed() && !later.is_witnessed());
    }
}
