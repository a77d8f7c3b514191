//! A witness's judgement of another journal's head: whether it continues the newest one that is remembered, what has to be
//! asked before that can be said, and what proves a lie. The shell remembers, synced, before it cosigns.

use artel_protocol::id::FederationId;
use artel_protocol::log::{Hash, SignedCheckpoint, consistency};
use artel_protocol::record::{Record, Records};
use artel_protocol::witness::{Contradiction, Fraud, Head, Placed};

/// What becomes of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is the first of its journal, or continues the one that is remembered: it is to be remembered and cosigned.
    Continues,
    /// It is the one that is remembered.
    Known,
    /// It is older than the one that is remembered.
    Stale,
    /// Its proof begins elsewhere: its node has to prove that it continues this size.
    Ask(u64),
    /// It proves that its node has lied.
    Lie(Box<Fraud>),
}

/// Judges a head, given the newest checkpoint of its journal that is remembered.
pub fn judge(remembered: Option<&SignedCheckpoint>, head: &Head) -> Judgement {
    let Some(known) = remembered else { return Judgement::Continues };
    let new = head.checkpoint();
    match new.size().cmp(&known.size()) {
        std::cmp::Ordering::Less => Judgement::Stale,
        std::cmp::Ordering::Equal if new.root() == known.root() => Judgement::Known,
        std::cmp::Ordering::Equal => {
            let contradiction = Contradiction::TwoRoots { one: known.into(), other: new.into() };
            Judgement::Lie(lie(contradiction, &known.origin().federation()))
        }
        std::cmp::Ordering::Greater
            if head.old() == known.size() && head.continues(&known.root()).is_ok() =>
        {
            Judgement::Continues
        }
        std::cmp::Ordering::Greater => Judgement::Ask(known.size()),
    }
}

/// Judges a node's answer to [`Judgement::Ask`]: the root that it says its journal had at the remembered size, and the proof
/// that the head continues it. `None` where the answer proves nothing, which is suspicion and no more.
pub fn judge_answer(
    known: &SignedCheckpoint,
    head: &SignedCheckpoint,
    root: &Hash,
    proof: &[Hash],
) -> Option<Judgement> {
    consistency::verify(known.size(), root, head.size(), &head.root(), proof).ok()?;
    if *root == known.root() {
        return Some(Judgement::Continues);
    }
    let (earlier, later) = (known.into(), head.into());
    let contradiction = Contradiction::Rewritten { earlier, later, root: *root, proof: proof.to_vec() };
    Some(Judgement::Lie(lie(contradiction, &known.origin().federation())))
}

/// Compares records of a journal that are held with others of the same journal: another leaf of one entry proves a lie.
pub fn compare(held: &Records, new: &Records) -> Option<Box<Fraud>> {
    if held.origin() != new.origin() {
        return None;
    }
    let other = |record: &Record| {
        let at = held.records().binary_search_by_key(&record.index, |held| held.index).ok()?;
        let before = &held.records()[at];
        if before.leaf() == record.leaf() {
            return None;
        }
        Some((record.index, placed(held, before)?, placed(new, record)?))
    };
    let (index, one, other) = new.records().iter().find_map(other)?;
    Some(lie(Contradiction::TwoLeaves { index, one, other }, &held.origin().federation()))
}

fn placed(records: &Records, record: &Record) -> Option<Placed> {
    let proof = records.proof_of(record.public_seq)?.hashes().to_vec();
    Some(Placed { leaf: record.leaf().hash(), proof, head: records.checkpoint().into() })
}

/// The proof that two things which one node signed cannot both be so.
pub(crate) fn lie(contradiction: Contradiction, federation: &FederationId) -> Box<Fraud> {
    let fraud = Fraud::prove(contradiction, federation);
    Box::new(fraud.expect("both are signed, of one journal of this federation, and contradict each other"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};
    use artel_protocol::log::tree::{self, leaf_hash, root_of};
    use artel_protocol::log::{Checkpoint, Origin, Subtree};

    /// The leaves of a journal that a clone goes on with from an entry on.
    fn leaves(size: u64, clone_from: u64) -> Vec<Hash> {
        (0..size)
            .map(|i| leaf_hash(&[i, u64::from(i >= clone_from)].map(u64::to_be_bytes).concat()))
            .collect()
    }

    fn signed(leaves: &[Hash]) -> SignedCheckpoint {
        let secret = SecretKey::from_seed(&[7; 32]);
        let origin = Origin::new(FederationId([3; 32]), NodeId(secret.public()), 0);
        let plain = Checkpoint::new(origin, leaves.len() as u64, root_of(leaves)).expect("plain");
        SignedCheckpoint::sign(plain, &secret).expect("its own key")
    }

    fn proof(leaves: &[Hash], old: u64) -> Vec<Hash> {
        let read = |at: Subtree| {
            let start = (at.index << at.level) as usize;
            Ok::<_, tree::Error>(root_of(&leaves[start..start + (1 << at.level)]))
        };
        consistency::prove(old, leaves.len() as u64, read).expect("within the tree")
    }

    fn head(leaves: &[Hash], old: u64) -> Head {
        Head::new(signed(leaves), old, proof(leaves, old))
    }

    #[test]
    fn what_continues_is_cosigned_and_what_does_not_is_asked_about_or_proves_a_lie() {
        let (honest, clone) = (leaves(20, 99), leaves(20, 10));
        let known = signed(&honest[..12]);
        let judged = |head: &Head| judge(Some(&known), head);
        assert_eq!(judge(None, &head(&clone, 3)), Judgement::Continues, "the first one is taken as it is");
        assert_eq!(judged(&head(&honest, 12)), Judgement::Continues);
        assert_eq!(judged(&head(&honest[..12], 5)), Judgement::Known);
        assert_eq!(judged(&head(&honest[..11], 5)), Judgement::Stale);
        assert_eq!(judged(&head(&honest, 5)), Judgement::Ask(12));
        assert_eq!(
            judged(&head(&clone, 12)),
            Judgement::Ask(12),
            "another root of size 12, perhaps by mistake"
        );
        assert!(matches!(judged(&head(&clone[..12], 5)), Judgement::Lie(_)));
    }

    #[test]
    fn an_answer_settles_it_or_says_nothing() {
        let (honest, clone) = (leaves(20, 99), leaves(20, 10));
        let known = signed(&honest[..12]);
        let answer = |head: &[Hash], old: &[Hash], proven: &[Hash]| {
            judge_answer(&known, &signed(head), &root_of(&old[..12]), &proof(proven, 12))
        };
        assert_eq!(answer(&honest, &honest, &honest), Some(Judgement::Continues));
        let Some(Judgement::Lie(fraud)) = answer(&clone, &clone, &clone) else { panic!("a lie") };
        assert_eq!(fraud.origin(), known.origin());
        assert_eq!(answer(&clone, &honest, &clone), None);
        assert_eq!(answer(&clone, &clone, &honest), None);
        assert_eq!(answer(&honest, &clone, &honest), None);
    }
}
