//! What home holds itself to when it takes a submission in, under its own signature. Signed where the answer is made,
//! never by the driver, and by a library that takes half the time of the protocol's own: every submission costs one.

use artel_federation::effect::Receipt;
use artel_protocol::codec;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey, Signature, signed_bytes};
use aws_lc_rs::signature::Ed25519KeyPair;

/// The domain of its signature.
pub const DOMAIN: &str = "acknowledgement";

/// The node's hand: its key, ready to sign acknowledgements.
pub struct Hand(Ed25519KeyPair);

impl Hand {
    /// The hand of a key.
    pub fn new(key: &SecretKey) -> Self {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.to_pkcs8_der());
        Hand(pair.expect("every key has this form"))
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let signature = self.0.sign(message);
        Signature(signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes"))
    }
}

/// Signs the acknowledgement of a submission.
///
/// The signature is the node's, over `signed_bytes("acknowledgement", federation, payload)`, that is over
/// `"artel/1/acknowledgement" ‖ 00 ‖ federation id (32) ‖ payload`. The payload is 101 bytes in the one encoding:
///
/// | field | bytes |
/// |---|---|
/// | step id | 16 |
/// | epoch | `u32`, 4 |
/// | agent's key | `01 ‖ 32` |
/// | the submission's commitment, as its public entry names it | 32 |
/// | journal index of the `Submitted` entry | `u64`, 8 |
/// | when it was taken in, by home's wall clock | `u64` milliseconds, 8 |
///
/// The commitment opens with what else stands in the answer: the salt, the output's digest and the artifacts'. So the
/// agent sees that its own result was taken in, and may show the acknowledgement to others without the result.
///
/// The same submission always gets the same bytes and, Ed25519 being deterministic, the same signature.
pub fn acknowledge(receipt: &Receipt, hand: &Hand, federation: &FederationId) -> Signature {
    hand.sign(&acknowledged_bytes(receipt, federation))
}

/// Whether a home's signature acknowledges a submission.
pub fn is_acknowledged(
    receipt: &Receipt,
    signature: &Signature,
    home: &NodeId,
    federation: &FederationId,
) -> bool {
    home.key().verify(&acknowledged_bytes(receipt, federation), signature).is_ok()
}

fn acknowledged_bytes(receipt: &Receipt, federation: &FederationId) -> Vec<u8> {
    let payload = codec::encode(&(
        receipt.step,
        receipt.epoch,
        receipt.agent,
        receipt.result,
        receipt.submitted,
        receipt.submitted_at,
    ));
    signed_bytes(DOMAIN, federation, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::commitment::{Opening, Salt};
    use artel_federation::fact::Authority;
    use artel_protocol::id::{Digest, Epoch, RunId};
    use artel_protocol::key::AgentId;
    use artel_protocol::time::Wall;

    /// By hand, as a stranger reads the table.
    #[test]
    fn a_stranger_can_check_the_signature_from_the_answer_alone() {
        let (home, agent) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]).public());
        let federation = FederationId([3; 32]);
        let artifacts = vec![Digest::of(b"file")];
        let opening = Opening { salt: Salt([6; 16]), output: Digest::of(b"{}"), artifacts };
        let receipt = Receipt {
            step: RunId::new(Wall(5), [4; 9]).step(0),
            epoch: Epoch(2),
            agent: AgentId(agent),
            result: opening.result(),
            opening,
            authority: Authority::Session,
            submitted: 77,
            submitted_at: Wall(1_800_000_000_000),
            verdict: None,
            next: None,
        };
        let signature = acknowledge(&receipt, &Hand::new(&home), &federation);
        let mut bytes = b"artel/1/acknowledgement\0".to_vec();
        bytes.extend([3; 32]);
        let head = bytes.len();
        bytes.extend(receipt.step.bytes());
        bytes.extend(receipt.epoch.0.to_le_bytes());
        bytes.push(1);
        bytes.extend(agent.bytes());
        bytes.extend(receipt.result.0);
        bytes.extend(receipt.submitted.to_le_bytes());
        bytes.extend(receipt.submitted_at.0.to_le_bytes());
        assert_eq!(bytes.len() - head, 101);
        assert_eq!(home.public().verify(&bytes, &signature), Ok(()));
        assert_eq!(signature, home.sign(&bytes), "whichever library signs");
        assert!(is_acknowledged(&receipt, &signature, &NodeId(home.public()), &federation));
        let other = Receipt { submitted: 78, ..receipt };
        assert!(!is_acknowledged(&other, &signature, &NodeId(home.public()), &federation));
        *bytes.last_mut().expect("bytes") ^= 1;
        assert!(home.public().verify(&bytes, &signature).is_err());
    }
}
