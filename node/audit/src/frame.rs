//! A frame: all entries of one input, with a length and a check sum around them, replayed whole or not at all.
//!
//! `len u32 ‖ crc32c(len ‖ payload) u32 ‖ payload`; the payload is `first_index u64 ‖ public_seq u64 ‖ commit_start u64 ‖
//! count u32` and then its entries. All numbers are little-endian. A public entry is `01 ‖ 00000000 ‖ len u32 ‖ salt16 ‖
//! body`. A private one is `00 ‖ key_id u32 ‖ nonce24 ‖ commitment32 ‖ len u32 ‖ sealed(salt16 ‖ body)`: the commitment
//! stands in the clear so that leaves can be made without the key, and still after the key was erased.

use crate::keys::{KeyId, KeyRing, NONCE_BYTES, TAG_BYTES};
use artel_protocol::log::leaf::{LEAF_BYTES, LEAF_VERSION, SALT_BYTES};
use artel_protocol::log::{Class, Leaf, Origin};
use rand::Rng;

/// The most bytes of a frame's payload (4 MiB): a step's output and input fit many times. Whoever reads a frame reserves
/// this much at most, whatever its length field says.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// The bytes before a frame's payload: length and check sum.
pub const FRAME_HEAD_BYTES: usize = 8;

/// The bytes of a payload before its entries.
const PAYLOAD_HEAD_BYTES: usize = 28;

/// An entry to be written. A private body is sealed under the active data key; a public one stands in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Whether the body is shown.
    pub class: Class,
    /// The fact, in the caller's own encoding.
    pub body: Vec<u8>,
}

impl NewEntry {
    /// The most bytes that the entry takes up in a frame.
    pub(crate) fn bytes_max(&self) -> usize {
        1 + 4 + NONCE_BYTES + 32 + 4 + SALT_BYTES + self.body.len() + TAG_BYTES
    }
}

/// How a private body is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The data key.
    pub key_id: KeyId,
    /// Its nonce.
    pub nonce: [u8; NONCE_BYTES],
    /// SHA-256 of salt and body.
    pub commitment: [u8; 32],
}

/// An entry as it stands in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Its place in the journal.
    pub index: u64,
    /// How many public entries stand before it.
    pub public_seq: u64,
    /// How it is sealed; `None` for a public entry.
    pub seal: Option<Seal>,
    pub(crate) bytes: &'a [u8],
}

/// An entry whose body was opened and agrees with its leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the journal.
    pub index: u64,
    /// What stands for it in the tree.
    pub leaf: Leaf,
    /// The salt before the body.
    pub salt: [u8; SALT_BYTES],
    /// The fact, in the caller's own encoding.
    pub body: Vec<u8>,
}

/// A frame that was read and whose check sum holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The first entry's index.
    pub first_index: u64,
    /// How many public entries stand before the frame.
    pub public_seq: u64,
    /// The index of the first entry of the commit that the frame was written in.
    pub commit_start: u64,
    /// The entries.
    pub entries: Vec<Stored<'a>>,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is 0, too large or more than what is there.
    #[error("a frame's length is wrong")]
    Length,
    /// The check sum is another.
    #[error("a frame's check sum is wrong")]
    CheckSum,
    /// The check sum holds, but nobody writes such a frame.
    #[error("a frame is malformed")]
    Malformed,
}

/// Why an entry cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    NoKey(KeyId),
    /// The bytes do not open under the key, or not to what the leaf commits to.
    Damaged,
}

/// Where the frames of a commit begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub index: u64,
    pub public_seq: u64,
    pub commit_start: u64,
}

/// Appends one frame to `out` and its leaves to `leaves`.
pub(crate) fn write(
    place: Place,
    entries: &[NewEntry],
    origin: &SealContext,
    ring: &KeyRing,
    entropy: &mut dyn Rng,
    out: &mut Vec<u8>,
    leaves: &mut Vec<Leaf>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
    out.extend_from_slice(&place.index.to_le_bytes());
    out.extend_from_slice(&place.public_seq.to_le_bytes());
    out.extend_from_slice(&place.commit_start.to_le_bytes());
    let count = u32::try_from(entries.len()).expect("a frame is bounded in bytes, and no entry is empty");
    out.extend_from_slice(&count.to_le_bytes());
    let mut public_seq = place.public_seq;
    for (index, entry) in (place.index..).zip(entries) {
        let mut random = [0; SALT_BYTES + NONCE_BYTES];
        let sealed = entry.class == Class::Private;
        let wanted = if sealed { random.len() } else { SALT_BYTES };
        entropy.fill_bytes(&mut random[..wanted]);
        let (salt, nonce) = random.split_first_chunk::<SALT_BYTES>().expect("the salt comes first");
        let nonce: &[u8; NONCE_BYTES] = nonce.try_into().expect("the nonce is the rest");
        let leaf = Leaf::commit(entry.class, public_seq, salt, &entry.body);
        let key_id = if sealed { ring.active() } else { KeyId(0) };
        out.push(entry.class as u8);
        out.extend_from_slice(&key_id.0.to_le_bytes());
        if sealed {
            out.extend_from_slice(nonce);
            out.extend_from_slice(leaf.commitment());
        }
        let len = SALT_BYTES + entry.body.len() + if sealed { TAG_BYTES } else { 0 };
        out.extend_from_slice(&(len as u32).to_le_bytes());
        let text = out.len();
        out.extend_from_slice(salt);
        out.extend_from_slice(&entry.body);
        if sealed {
            ring.seal(nonce, &origin.of_entry(index, key_id), out, text);
        }
        public_seq = leaf.next_public_seq();
        leaves.push(leaf);
    }
    let len = (out.len() - start - FRAME_HEAD_BYTES) as u32;
    let crc = check_sum(len, &out[start + FRAME_HEAD_BYTES..]);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + FRAME_HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// The length that a frame's head gives; `None` when no frame has it.
pub(crate) fn payload_len(head: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*head.first_chunk()?) as usize;
    (PAYLOAD_HEAD_BYTES..=FRAME_BYTES_MAX).contains(&len).then_some(len)
}

fn check_sum(len: u32, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), payload)
}

impl<'a> Frame<'a> {
    /// Reads the frame at the front of `bytes`, and says how many bytes it has.
    ///
    /// # Errors
    /// [`FrameError`], each case as it says.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), FrameError> {
        let len = payload_len(bytes).ok_or(FrameError::Length)?;
        let end = FRAME_HEAD_BYTES + len;
        let payload = bytes.get(FRAME_HEAD_BYTES..end).ok_or(FrameError::Length)?;
        let crc = u32::from_le_bytes(bytes[4..8].try_into().expect("4 of at least 8 bytes"));
        if crc != check_sum(len as u32, payload) {
            return Err(FrameError::CheckSum);
        }
        let frame = parse_payload(payload).ok_or(FrameError::Malformed)?;
        Ok((frame, end))
    }

    /// The index that the next frame must begin with.
    pub fn next_index(&self) -> u64 {
        self.first_index.saturating_add(self.entries.len() as u64)
    }
}

fn parse_payload(payload: &[u8]) -> Option<Frame<'_>> {
    let mut rest = Bytes(payload);
    let (first_index, public_seq, commit_start) = (rest.u64()?, rest.u64()?, rest.u64()?);
    let count = rest.u32()?;
    if commit_start > first_index || count == 0 {
        return None;
    }
    first_index.checked_add(u64::from(count))?;
    let mut entries = Vec::with_capacity((count as usize).min(payload.len() / 16));
    let mut seq = public_seq;
    for offset in 0..u64::from(count) {
        let class = Class::try_from(rest.array::<1>()?[0]).ok()?;
        let key_id = KeyId(rest.u32()?);
        let seal = match (class, key_id) {
            (Class::Public, KeyId(0)) => None,
            (Class::Public, _) | (Class::Private, KeyId(0)) => return None,
            (Class::Private, key_id) => {
                Some(Seal { key_id, nonce: *rest.array()?, commitment: *rest.array()? })
            }
        };
        let len = rest.u32()? as usize;
        let bytes = rest.take(len)?;
        let least = SALT_BYTES + if seal.is_some() { TAG_BYTES } else { 0 };
        if bytes.len() < least {
            return None;
        }
        let stored = Stored { index: first_index + offset, public_seq: seq, seal, bytes };
        seq = seq.checked_add(u64::from(class == Class::Public))?;
        entries.push(stored);
    }
    let frame = Frame { first_index, public_seq, commit_start, entries };
    rest.0.is_empty().then_some(frame)
}

impl Stored<'_> {
    /// The entry's leaf. For a private entry it rests on the commitment in the frame, which [`Stored::open`] checks.
    pub fn leaf(&self) -> Leaf {
        match &self.seal {
            None => {
                let (salt, body) = self.bytes.split_first_chunk().expect("checked when the frame was read");
                Leaf::commit(Class::Public, self.public_seq, salt, body)
            }
            Some(seal) => private_leaf(self.public_seq, &seal.commitment),
        }
    }

    /// How many public entries stand before the next entry.
    pub(crate) fn public_seq_after(&self) -> u64 {
        self.public_seq + u64::from(self.seal.is_none())
    }

    /// Opens the body.
    pub(crate) fn open(&self, origin: &SealContext, ring: &KeyRing) -> Result<Entry, OpenError> {
        let leaf = self.leaf();
        let opened;
        let text = match &self.seal {
            None => self.bytes,
            Some(seal) if !ring.holds(seal.key_id) => return Err(OpenError::NoKey(seal.key_id)),
            Some(seal) => {
                let context = origin.of_entry(self.index, seal.key_id);
                opened =
                    (ring.open(seal.key_id, &seal.nonce, &context, self.bytes)).ok_or(OpenError::Damaged)?;
                &opened
            }
        };
        let (salt, body) = text.split_first_chunk().ok_or(OpenError::Damaged)?;
        if self.seal.is_some() && !leaf.opens_with(salt, body) {
            return Err(OpenError::Damaged);
        }
        Ok(Entry { index: self.index, leaf, salt: *salt, body: body.to_vec() })
    }
}

fn private_leaf(public_seq: u64, commitment: &[u8; 32]) -> Leaf {
    let mut bytes = [0; LEAF_BYTES];
    bytes[0] = LEAF_VERSION;
    bytes[1] = Class::Private as u8;
    bytes[2..10].copy_from_slice(&public_seq.to_be_bytes());
    bytes[10..].copy_from_slice(commitment);
    Leaf::parse(&bytes).expect("the form is ours")
}

/// What a sealed thing is bound to: the journal it stands in, and its place and key there.
#[derive(Clone)]
pub(crate) struct SealContext([u8; 36 + 32]);

impl SealContext {
    pub fn new(origin: &Origin) -> Self {
        let mut bytes = [0; 68];
        bytes[..32].copy_from_slice(&origin.federation().0);
        bytes[32..64].copy_from_slice(origin.node().key().bytes());
        bytes[64..].copy_from_slice(&origin.incarnation().to_le_bytes());
        SealContext(bytes)
    }

    /// `"artel/1/entry" ‖ federation ‖ node ‖ incarnation ‖ index ‖ class ‖ key_id`.
    fn of_entry(&self, index: u64, key: KeyId) -> [u8; 13 + 68 + 13] {
        let mut bytes = [0; 94];
        bytes[..13].copy_from_slice(b"artel/1/entry");
        bytes[13..81].copy_from_slice(&self.0);
        bytes[81..89].copy_from_slice(&index.to_le_bytes());
        bytes[89] = Class::Private as u8;
        bytes[90..].copy_from_slice(&key.0.to_le_bytes());
        bytes
    }

    /// `"artel/1/state" ‖ federation ‖ node ‖ incarnation ‖ size ‖ key_id`.
    pub fn of_state(&self, size: u64, key: KeyId) -> Vec<u8> {
        let mut bytes = b"artel/1/state".to_vec();
        bytes.extend_from_slice(&self.0);
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&key.0.to_le_bytes());
        bytes
    }
}

/// A reader of little-endian fields; `None` when the bytes end.
pub(crate) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(front)
    }

    pub fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(|b| u32::from_le_bytes(*b))
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(|b| u64::from_le_bytes(*b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn context() -> SealContext {
        let node = NodeId(SecretKey::from_seed(&[1; 32]).public());
        SealContext::new(&Origin::new(FederationId([2; 32]), node, 3))
    }

    fn sample(ring: &KeyRing) -> (Vec<u8>, Vec<Leaf>) {
        let place = Place { index: 10, public_seq: 4, commit_start: 9 };
        let entry = |class, body: &[u8]| NewEntry { class, body: body.to_vec() };
        let entries =
            [entry(Class::Public, b"shown"), entry(Class::Private, b"kept"), entry(Class::Public, b"")];
        let (mut out, mut leaves) = (Vec::new(), Vec::new());
        let mut entropy = StdRng::seed_from_u64(5);
        write(place, &entries, &context(), ring, &mut entropy, &mut out, &mut leaves);
        (out, leaves)
    }

    fn ring() -> KeyRing {
        KeyRing::generate(&mut StdRng::seed_from_u64(4))
    }

    #[test]
    fn a_frame_reads_back_with_the_same_leaves() {
        let (bytes, leaves) = sample(&ring());
        let (frame, len) = Frame::parse(&bytes).expect("just written");
        assert_eq!(
            (len, frame.first_index, frame.commit_start, frame.next_index()),
            (bytes.len(), 10, 9, 13)
        );
        let read: Vec<Leaf> = frame.entries.iter().map(Stored::leaf).collect();
        assert_eq!(read, leaves);
        let seqs: Vec<u64> = leaves.iter().map(Leaf::public_seq).collect();
        assert_eq!(seqs, [4, 5, 5]);
        let bodies: Vec<Vec<u8>> =
            (frame.entries.iter()).map(|e| e.open(&context(), &ring()).expect("our key").body).collect();
        assert_eq!(bodies, [b"shown".to_vec(), b"kept".to_vec(), vec![]]);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (bytes, _) = sample(&ring());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&changed).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(Frame::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_sealed_body_needs_its_key_and_its_place() {
        let (bytes, leaves) = sample(&ring());
        assert!(!bytes.windows(4).any(|w| w == b"kept"));
        let (frame, _) = Frame::parse(&bytes).expect("just written");
        let private = frame.entries[1];
        assert_eq!(private.leaf(), leaves[1], "the leaf needs no key");
        let mut other = ring();
        other.rotate(&mut StdRng::seed_from_u64(6));
        other.erase(KeyId(1));
        assert_eq!(private.open(&context(), &other), Err(OpenError::NoKey(KeyId(1))));
        let foreign = KeyRing::generate(&mut StdRng::seed_from_u64(7));
        assert_eq!(private.open(&context(), &foreign), Err(OpenError::Damaged));
        let moved = Stored { index: 12, ..private };
        assert_eq!(moved.open(&context(), &ring()), Err(OpenError::Damaged));
    }
}
