//! What witnesses say: what reads is written the same, a question bounds its answer; and of two histories of any journal, a
//! proof is made exactly where they differ.
#![no_main]

use artel_protocol::continuity::{Ask, SIZES_MAX, Shown};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::{Checkpoint, Hash, Origin, SignedCheckpoint, tree};
use artel_protocol::witness::{Contradiction, Cosigned, Error, Fraud, Head, Signed};
use libfuzzer_sys::fuzz_target;

/// The federation of the vectors, so that their messages are not foreign.
fn home() -> FederationId {
    FederationId(Digest::of(b"a federation for vectors").0)
}

fn origin() -> Origin {
    Origin::new(home(), NodeId(SecretKey::from_seed(&[7; 32]).public()), 0)
}

/// The head of a journal with an entry for each byte.
fn head(entries: &[u8]) -> Signed {
    let leaves: Vec<Hash> = entries.iter().map(|entry| tree::leaf_hash(&[*entry])).collect();
    let plain =
        Checkpoint::new(origin(), leaves.len() as u64, tree::root_of(&leaves)).expect("a plain checkpoint");
    (&SignedCheckpoint::sign(plain, &SecretKey::from_seed(&[7; 32])).expect("its own key")).into()
}

fn two_histories(one: &[u8], other: &[u8]) {
    let contradiction = Contradiction::TwoRoots { one: head(one), other: head(other) };
    match Fraud::prove(contradiction, &home()) {
        Ok(fraud) => {
            assert!(one.len() == other.len() && one != other);
            assert_eq!(Fraud::read(&fraud.to_frame()), Ok(fraud));
        }
        Err(error) => {
            assert_eq!(error, Error::NoContradiction);
            assert!(one.len() != other.len() || one == other);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(head) = Head::check(data, &home()) {
        assert_eq!(head.to_frame(), data);
    }
    if let Ok(cosigned) = Cosigned::check(data, &home()) {
        assert_eq!(cosigned.to_frame(), data);
    }
    if let Ok(fraud) = Fraud::read(data) {
        assert_eq!(fraud.to_frame(), data);
        assert_eq!(Fraud::check(data, &fraud.origin().federation()), Ok(fraud));
    }
    if let Ok(ask) = Ask::check(data, &home()) {
        assert_eq!(ask.to_frame(), data);
        assert!((1..=SIZES_MAX).contains(&ask.sizes().len()) && ask.sizes().is_sorted());
    }
    // The question of the vectors, so that their answer is reached.
    let vectors = Origin::new(home(), origin().node(), 3);
    let asked = Ask::new(vectors, vec![5, 12]).expect("two, rising");
    if let Ok(shown) = Shown::check(data, &asked) {
        assert_eq!(shown.to_frame(), data);
        assert_eq!(shown.from().len(), asked.sizes().len());
    }
    let (one, other) = data[..data.len().min(64)].split_at(data.len().min(64) / 2);
    two_histories(one, other);
});
