//! Keys and signatures: Ed25519 with strict checks, the same function everywhere; PKCS#8 PEM files that OpenSSL and
//! Python's `cryptography` read and write; `did:key` for agents and nodes; the libp2p peer id of the same key.

use crate::codec::{Decode, Encode};
use crate::id::{FederationId, ascii};
use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signer, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

/// The tag that stands before every key and signature in our encoding, so that others can come: 1 is Ed25519.
pub const ALGORITHM_ED25519: u8 = 1;

/// The multicodec of an Ed25519 public key (`0xed`, as an unsigned varint), which opens every `did:key`.
const MULTICODEC_ED25519: [u8; 2] = [0xed, 0x01];

/// What every `did:key` in base58 begins with.
const DID_HEAD: &[u8] = b"did:key:z";

/// The digits of an Ed25519 key and its multicodec in base58: always as many, since the multicodec comes first.
const DID_DIGITS: usize = 47;

/// The bytes of a `did:key`.
const DID_BYTES: usize = DID_HEAD.len() + DID_DIGITS;

/// A libp2p peer id of an Ed25519 key: identity multihash (`00 24`) of the protobuf `{1: Ed25519, 2: key}`.
const PEER_ID_HEAD: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Why something is not a key or not a signature by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a `did:key` of an Ed25519 key.
    #[error("not a did:key of an Ed25519 key (want did:key:z6Mk…)")]
    Did,
    /// Not the peer id of an Ed25519 key.
    #[error("not a peer id of an Ed25519 key (want 12D3Koo…)")]
    PeerId,
    /// The bytes are no point of the curve, or one of small order.
    #[error("not a usable Ed25519 public key")]
    WeakKey,
    /// Not a PKCS#8 PEM file with an Ed25519 private key.
    #[error("not a PKCS#8 PEM file with an Ed25519 private key")]
    Pem,
    /// The signature is not this key's over these bytes.
    #[error("signature does not verify")]
    BadSignature,
}

/// The 32 bytes of an Ed25519 public key, encoded as `01 ‖ key`. Whether they are a usable key shows when it is read
/// from text or used; an id in a record names somebody whether or not they exist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 bytes without a look at them.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        PublicKey(bytes)
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Takes 32 bytes that are a point of the curve and not of small order.
    ///
    /// # Errors
    /// [`Error::WeakKey`].
    pub fn checked(bytes: [u8; 32]) -> Result<Self, Error> {
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(PublicKey(bytes)),
            _ => Err(Error::WeakKey),
        }
    }

    /// Checks a signature strictly (RFC 8032, no small-order points, no second form of a signature).
    ///
    /// # Errors
    /// [`Error::BadSignature`], also for a key that is none.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| Error::BadSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature).map_err(|_| Error::BadSignature)
    }

    /// The key as `did:key:z6Mk…`.
    pub fn did(&self) -> String {
        ascii(&self.did_text()).to_owned()
    }

    fn did_text(&self) -> [u8; DID_BYTES] {
        let mut text = [0; DID_BYTES];
        let (head, digits) = text.split_at_mut(DID_HEAD.len());
        head.copy_from_slice(DID_HEAD);
        write_base58(&self.0, digits);
        text
    }

    /// Reads `did:key:z6Mk…` and checks the key.
    ///
    /// # Errors
    /// [`Error::Did`] or [`Error::WeakKey`].
    pub fn from_did(did: &str) -> Result<Self, Error> {
        let encoded = did.strip_prefix(ascii(DID_HEAD)).filter(|e| e.len() < 64).ok_or(Error::Did)?;
        let bytes = bs58::decode(encoded).into_vec().map_err(|_| Error::Did)?;
        let key = bytes.strip_prefix(&MULTICODEC_ED25519).ok_or(Error::Did)?;
        Self::checked(key.try_into().map_err(|_| Error::Did)?)
    }

    /// The libp2p peer id of the key, `12D3Koo…`.
    pub fn peer_id(&self) -> String {
        let mut bytes = PEER_ID_HEAD.to_vec();
        bytes.extend_from_slice(&self.0);
        bs58::encode(bytes).into_string()
    }

    /// Reads a libp2p peer id and checks the key in it.
    ///
    /// # Errors
    /// [`Error::PeerId`] or [`Error::WeakKey`].
    pub fn from_peer_id(text: &str) -> Result<Self, Error> {
        if text.len() > 64 {
            return Err(Error::PeerId);
        }
        let bytes = bs58::decode(text).into_vec().map_err(|_| Error::PeerId)?;
        let key = bytes.strip_prefix(&PEER_ID_HEAD).ok_or(Error::PeerId)?;
        Self::checked(key.try_into().map_err(|_| Error::PeerId)?)
    }
}

/// Writes [`MULTICODEC_ED25519`] and a key in Bitcoin's base58. Five digits at a time: an agent's did stands in every
/// answer about its work, and digit by digit takes five times as long.
fn write_base58(key: &[u8; 32], digits: &mut [u8]) {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    const FIVE_DIGITS: u64 = 58u64.pow(5);
    // The last five digits first.
    let mut fives = [0; DID_DIGITS.div_ceil(5)];
    fives[0] = u64::from(u16::from_be_bytes(MULTICODEC_ED25519));
    for word in key.chunks_exact(4) {
        let mut carry = u64::from(u32::from_be_bytes(word.try_into().expect("four bytes")));
        for five in &mut fives {
            carry += *five << 32;
            *five = carry % FIVE_DIGITS;
            carry /= FIVE_DIGITS;
        }
    }
    for (five, digits) in fives.into_iter().zip(digits.rchunks_mut(5)) {
        let mut rest = five;
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(rest % 58) as usize];
            rest /= 58;
        }
    }
}

impl Encode for PublicKey {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (ALGORITHM_ED25519, self.0).encode(encoder)
    }
}

impl<C> Decode<C> for PublicKey {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        tagged(decoder).map(PublicKey)
    }
}

bincode::impl_borrow_decode!(PublicKey);

/// Reads the algorithm tag and then the bytes that belong to it.
fn tagged<const N: usize, D: Decoder>(decoder: &mut D) -> Result<[u8; N], DecodeError> {
    match u8::decode(decoder)? {
        ALGORITHM_ED25519 => <[u8; N]>::decode(decoder),
        _ => Err(DecodeError::Other("unknown key algorithm")),
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ascii(&self.did_text()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An Ed25519 signature, encoded as `01 ‖ 64 bytes`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Encode for Signature {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (ALGORITHM_ED25519, self.0).encode(encoder)
    }
}

impl<C> Decode<C> for Signature {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        tagged(decoder).map(Signature)
    }
}

bincode::impl_borrow_decode!(Signature);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

macro_rules! key_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub PublicKey);

        impl $name {
            /// Reads a `did:key` and checks the key.
            ///
            /// # Errors
            /// [`Error::Did`] or [`Error::WeakKey`].
            pub fn from_did(did: &str) -> Result<Self, Error> {
                PublicKey::from_did(did).map($name)
            }
            /// The key.
            pub fn key(&self) -> &PublicKey {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

key_id!(
    /// An agent: a key that may claim work. Printed as its `did:key`.
    AgentId
);
key_id!(
    /// A node: the key of its libp2p peer id. Printed as its `did:key`.
    NodeId
);

/// A private key. Its bytes are wiped when it is dropped and never printed.
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed, which must come from the operating system's randomness.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        SecretKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs exactly these bytes.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }

    /// The key as a PKCS#8 version 1 PEM file, the form that OpenSSL and `cryptography` write.
    ///
    /// # Panics
    /// Never: a fixed-size key always has a PEM form.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).expect("a fixed-size key has a PEM form")
    }

    /// Reads a PKCS#8 PEM file (RFC 8410, version 1, or 2 with the matching public key).
    ///
    /// # Errors
    /// [`Error::Pem`].
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim_ascii_start())
            .map(SecretKey)
            .map_err(|_| Error::Pem)
    }

    /// The key in PKCS#8 DER, for libraries that take it so.
    ///
    /// # Panics
    /// Never: a fixed-size key always has a DER form.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let pair = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        pair.to_pkcs8_der().expect("a fixed-size key has a DER form").to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().did())
    }
}

/// The bytes that a signature over our own encoding covers:
/// `"artel/1/" ‖ domain ‖ 0 ‖ federation id (32) ‖ payload`. A domain names one use and is never used for another.
pub fn signed_bytes(domain: &str, federation: &FederationId, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + domain.len() + 33 + payload.len());
    bytes.extend_from_slice(b"artel/1/");
    bytes.extend_from_slice(domain.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&federation.0);
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::id::Digest;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    #[test]
    fn a_key_has_one_did_and_one_peer_id() {
        let public = key().public();
        assert!(public.did().starts_with("did:key:z6Mk"));
        assert!(public.peer_id().starts_with("12D3Koo"));
        assert_eq!(PublicKey::from_did(&public.did()), Ok(public));
        assert_eq!(PublicKey::from_peer_id(&public.peer_id()), Ok(public));
    }

    /// The example of the did:key specification, whose peer id libp2p prints as below.
    #[test]
    fn the_did_key_example_reads() {
        let did = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
        assert_eq!(PublicKey::from_did(did).map(|k| k.did()), Ok(did.into()));
        for bad in [
            "",
            "did:key:",
            "did:key:z",
            "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
            &did[..40],
        ] {
            assert!(PublicKey::from_did(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_did_is_written_as_the_base58_library_writes_it() {
        for n in 0..=255 {
            for key in [[n; 32], Digest::of(&[n]).0] {
                let bytes = [MULTICODEC_ED25519.as_slice(), &key].concat();
                let written = format!("did:key:z{}", bs58::encode(bytes).into_string());
                assert_eq!(PublicKey::from_bytes(key).did(), written);
            }
        }
    }

    #[test]
    fn small_order_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::checked(identity), Err(Error::WeakKey));
    }

    #[test]
    fn pem_reads_back_and_is_version_1() {
        let pem = key().to_pem();
        assert_eq!(pem.len(), 119, "the length of OpenSSL's own file");
        assert_eq!(SecretKey::from_pem(&pem).map(|k| k.public()), Ok(key().public()));
        assert_eq!(SecretKey::from_pem("nonsense").map(|k| k.public()), Err(Error::Pem));
    }

    #[test]
    fn any_changed_bit_spoils_a_signature() {
        let (message, signature) = (b"artel".to_vec(), key().sign(b"artel"));
        assert_eq!(key().public().verify(&message, &signature), Ok(()));
        for bit in 0..512 {
            let mut bad = signature;
            bad.0[bit / 8] ^= 1 << (bit % 8);
            assert!(key().public().verify(&message, &bad).is_err(), "bit {bit}");
        }
        assert!(key().public().verify(b"arteL", &signature).is_err());
    }

    #[test]
    fn keys_and_signatures_carry_their_algorithm() {
        let bytes = codec::encode(&key().public());
        assert_eq!((bytes.len(), bytes[0]), (33, 1));
        let mut other = bytes.clone();
        other[0] = 2;
        assert!(codec::decode::<PublicKey>(&other).is_err());
        assert_eq!(codec::decode::<PublicKey>(&bytes), Ok(key().public()));
    }

    #[test]
    fn a_secret_key_prints_only_its_public_half() {
        let seed = hex::encode([7; 32]);
        assert!(!format!("{:?}", key()).contains(&seed[..16]));
    }
}
