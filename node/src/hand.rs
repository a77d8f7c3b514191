//! What home holds itself to when it takes a submission in, under its own signature. Signed where the answer is made,
//! never by the driver, and by a library that takes half the time of the protocol's own: every submission costs one. A worker's
//! node checks it with the same library, to the protocol's own answer.

use artel_federation::effect::Receipt;
use artel_protocol::codec;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey, SecretKey, Signature, signed_bytes};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

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
    holds(home.key(), &acknowledged_bytes(receipt, federation), signature)
}

/// Whether a signature holds: what [`PublicKey::verify`] answers, in three quarters of its time where it does.
///
/// Both libraries compute `[S]B - [k]A`, compare its bytes with those of R, and refuse an S that is not below the group's order
/// (RFC 8032, 5.1.7). The quick one alone takes a key or an R of small order, so it is not asked about those; and what it refuses
/// the other one judges.
fn holds(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let (r, _) = signature.0.split_first_chunk().expect("R is the first half");
    let may_be_quick = !has_small_order(key.bytes()) && !has_small_order(r);
    may_be_quick && is_quickly_found_good(key, message, signature) || key.verify(message, signature).is_ok()
}

fn is_quickly_found_good(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    UnparsedPublicKey::new(&ED25519, key.bytes()).verify(message, &signature.0).is_ok()
}

/// Whether 32 bytes are one of the eight points of small order, in whichever of its forms: five values of y, two of them with the
/// prime added, each with either sign of x.
fn has_small_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

/// The y of these points, little end first: 0, 1, −1, the two of order eight, and 0 and 1 with the prime added.
const SMALL_ORDER: [[u8; 32]; 7] = [
    near(0, 0, 0),
    near(1, 0, 0),
    near(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    near(0xed, 0xff, 0x7f),
    near(0xee, 0xff, 0x7f),
];

const fn near(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut y = [between; 32];
    (y[0], y[31]) = (first, last);
    y
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

    /// What both libraries and the two together say of a signature.
    fn said(key: &PublicKey, message: &[u8], signature: &Signature) -> (bool, bool, bool) {
        let quick = is_quickly_found_good(key, message, signature);
        (quick, key.verify(message, signature).is_ok(), holds(key, message, signature))
    }

    #[test]
    fn a_signature_holds_by_both_libraries_and_with_any_bit_changed_by_none() {
        let secret = SecretKey::from_seed(&[7; 32]);
        let (key, signature) = (secret.public(), secret.sign(b"artel"));
        assert_eq!(said(&key, b"artel", &signature), (true, true, true));
        for bit in 0..512 {
            let mut bad = signature;
            bad.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(said(&key, b"artel", &bad), (false, false, false), "bit {bit}");
        }
        // The same S once more around the group.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let (mut again, mut carry) = (signature, 0);
        for (byte, add) in again.0[32..].iter_mut().zip(order.expect("hex")) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(said(&key, b"artel", &again), (false, false, false));
    }

    /// With such a key `[k]A` is one of eight points, for some messages the neutral one: then `[S]B` is R.
    #[test]
    fn keys_of_small_order_are_refused_that_the_quick_library_takes() {
        // The scalar of a key, computed with other code, and the key.
        let s = hex::decode("ade1807345ca227a245f01b2d72081541a2d055c48a8288a4e7e4c4bca392808").expect("hex");
        let r = *SecretKey::from_seed(&[7; 32]).public().bytes();
        let mut taken = 0;
        for (y, sign) in SMALL_ORDER.iter().flat_map(|y| [(y, 0), (y, 0x80)]) {
            let mut point = *y;
            point[31] |= sign;
            assert!(has_small_order(&point) && PublicKey::checked(point).is_err());
            let key = PublicKey::from_bytes(point);
            for (r, s) in [(r, s.as_slice()), (near(1, 0, 0), &[0; 32])] {
                let signature = Signature(*[r.as_slice(), s].concat().first_chunk().expect("64 bytes"));
                for message in 0..64_u8 {
                    let (quick, strict, both) = said(&key, &[message], &signature);
                    assert!(!strict && !both, "{point:?} {r:?} {message}");
                    taken += usize::from(quick);
                }
            }
        }
        assert!(taken > 100, "the quick library takes {taken} of them, so they say something");
    }

    /// `S = k·a`, so `[S]B - [k]A` is the neutral element, computed from the secret scalar with other code.
    #[test]
    fn an_r_of_small_order_is_refused_that_the_quick_library_takes() {
        let key = SecretKey::from_seed(&[7; 32]).public();
        let s = hex::decode("8d2b85e7c9e8ba9a8f21e2af4e0f87b39fea8d50a53b6a3fa56a43e04a20140c").expect("hex");
        let signature = Signature(*[near(1, 0, 0).as_slice(), &s].concat().first_chunk().expect("64 bytes"));
        assert_eq!(said(&key, b"artel", &signature), (true, false, false));
    }
}
