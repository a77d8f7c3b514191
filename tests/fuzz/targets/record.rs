//! Frames of records: what is accepted is written the same and holds every record's proof; what is made of the entries of
//! any journal is accepted.
#![no_main]

use artel_protocol::codec::{self, Frame};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{NodeId, SecretKey, Signature};
use artel_protocol::log::{Checkpoint, Class, Hash, Leaf, Origin, SignedCheckpoint, Subtree, subset, tree};
use artel_protocol::record::{Record, Records};
use libfuzzer_sys::fuzz_target;

/// The federation of the vectors, so that their frames are not foreign.
fn home() -> FederationId {
    FederationId(Digest::of(b"a federation for vectors").0)
}

fn every_record_is_proven(records: &Records) {
    for record in records.records() {
        let proof = records.proof_of(record.public_seq).expect("it is there");
        let included = proof.verify(&record.leaf().hash()).expect("it stands there");
        assert_eq!(
            (included.index(), included.checkpoint()),
            (record.index, records.checkpoint().checkpoint())
        );
    }
}

/// A journal with an entry for each byte, which says whether it is public, whether it is wanted and what its body is; and
/// the frame of those that are both.
fn made(data: &[u8]) -> Option<Records> {
    let (mut leaves, mut records, mut public_seq) = (Vec::new(), Vec::new(), 0);
    for (byte, index) in data.iter().zip(0..) {
        let class = if byte & 1 == 1 { Class::Public } else { Class::Private };
        let (salt, body) = ([*byte; 16], vec![*byte; usize::from(byte >> 5)]);
        let leaf = Leaf::commit(class, public_seq, &salt, &body);
        if byte & 3 == 3 {
            records.push(Record { index, public_seq, salt, body });
        }
        public_seq = leaf.next_public_seq();
        leaves.push(leaf.hash());
    }
    let secret = SecretKey::from_seed(&[7; 32]);
    let origin = Origin::new(home(), NodeId(secret.public()), 0);
    let checkpoint =
        Checkpoint::new(origin, leaves.len() as u64, tree::root_of(&leaves)).expect("a plain checkpoint");
    let signed = SignedCheckpoint::sign(checkpoint, &secret).expect("its own key");
    let positions: Vec<u64> = records.iter().map(|record| record.index).collect();
    let read = |at: Subtree| -> Result<Hash, tree::Error> {
        let start = (at.index << at.level) as usize;
        Ok(tree::root_of(&leaves[start..start + (1 << at.level)]))
    };
    let proof = subset::prove(&positions, leaves.len() as u64, read).ok()?;
    Some(Records::new(&signed, records, proof).expect("all of it is sound"))
}

fuzz_target!(|data: &[u8]| {
    if let Ok(records) = Records::check(data, &home()) {
        assert_eq!(records.bytes(), data);
        let payload = Frame::parse(data).expect("it was one").payload;
        let (checkpoint, signature, held, proof) =
            codec::decode::<(Checkpoint, Signature, Vec<Record>, Vec<Hash>)>(payload).expect("it was one");
        let signed = SignedCheckpoint::check(checkpoint, signature).expect("it was signed");
        assert_eq!(Records::new(&signed, held, proof).as_ref(), Ok(&records));
        every_record_is_proven(&records);
    }
    if let Some(records) = made(&data[..data.len().min(48)]) {
        assert_eq!(Records::check(records.bytes(), &home()).as_ref(), Ok(&records));
        every_record_is_proven(&records);
    }
});
