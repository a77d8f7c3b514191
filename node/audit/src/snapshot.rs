//! Snapshots: the caller's state at one size of the journal, with what is needed to go on from there without reading what
//! stands before it.
//!
//! `snapshots/<size, 20 digits>.snap`: `magic8 ‖ format u32 ‖ federation32 ‖ node32 ‖ incarnation u32 ‖ size u64 ‖ public_seq u64 ‖
//! peaks (32 each, one a bit of the size) ‖ segment u64 ‖ offset u64 ‖ segments u32 ‖ (first_index u64 ‖ bytes u64) each ‖ key_id
//! u32 ‖ nonce24 ‖ state_len u64 ‖ sealed state ‖ SHA-256 of all before`. None is written beyond a synced slot; two are kept.

use crate::derived::Derived;
use crate::error::Error;
use crate::files::{self, Files};
use crate::frame::{Bytes, SealContext};
use crate::keys::{KeyId, KeyRing, NONCE_BYTES, TAG_BYTES};
use crate::scan::Position;
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::{CompactRange, Hash, Origin};
use std::sync::Arc;

/// The directory of the snapshots.
pub const SNAPSHOTS_DIR: &str = "snapshots";

/// The most bytes of a state (1 GiB): a snapshot is read into memory at start. With more, none is written and start-up
/// reads on from the last one.
pub const STATE_BYTES_MAX: u64 = 1 << 30;

/// How many snapshots are kept: the newest, one in case that is damaged, and two more from which who trails behind the journal can
/// go on.
const KEPT: usize = 4;

const MAGIC: &[u8; 8] = b"ARTELSNP";
const FORMAT: u32 = 1;
const DIGEST_BYTES: usize = 32;
const LEN_BYTES: usize = 8;

/// More than any snapshot has: the state, and room for a head with many segments.
const FILE_BYTES_MAX: u64 = STATE_BYTES_MAX + (64 << 20);

/// The path of the snapshot at this size.
pub fn path(size: u64) -> String {
    format!("{SNAPSHOTS_DIR}/{size:020}.snap")
}

/// The size in a snapshot's file name; `None` for any other name.
pub fn size_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".snap")?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// What a snapshot says of the journal at its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub origin: Origin,
    pub range: CompactRange,
    pub public_seq: u64,
    /// The segment and the byte at which the next entry's frame begins.
    pub segment: u64,
    pub offset: u64,
    /// All segments up to there, with the bytes that each had in use.
    pub segments: Vec<(u64, u64)>,
}

impl Head {
    pub fn position(&self) -> Position {
        Position {
            segment: self.segment,
            offset: self.offset,
            index: self.range.size(),
            public_seq: Some(self.public_seq),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.origin.federation().0);
        bytes.extend_from_slice(self.origin.node().key().bytes());
        bytes.extend_from_slice(&self.origin.incarnation().to_le_bytes());
        bytes.extend_from_slice(&self.range.size().to_le_bytes());
        bytes.extend_from_slice(&self.public_seq.to_le_bytes());
        self.range.peaks().iter().for_each(|peak| bytes.extend_from_slice(&peak.0));
        bytes.extend_from_slice(&self.segment.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for (first, used) in &self.segments {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&used.to_le_bytes());
        }
        bytes
    }
}

/// A snapshot that was read and whose digest holds. Its peaks are proven only by the root that the journal's tail leads to.
pub(crate) struct Snapshot {
    pub head: Head,
    key_id: KeyId,
    nonce: [u8; NONCE_BYTES],
    /// The whole file but its digest, and where the sealed state begins in it.
    bytes: Vec<u8>,
    sealed_at: usize,
}

impl Snapshot {
    /// Reads a snapshot, or says what is wrong with it.
    pub fn read(files: &dyn Files, path: &str) -> Result<Self, String> {
        let mut bytes =
            files::read_whole(files, path, FILE_BYTES_MAX).map_err(|e| format!("cannot be read: {e}"))?;
        let Some((text, digest)) = bytes.split_last_chunk::<DIGEST_BYTES>() else {
            return Err("the snapshot is cut".into());
        };
        if Digest::of(text).0 != *digest {
            return Err("the snapshot is damaged".into());
        }
        bytes.truncate(bytes.len() - DIGEST_BYTES);
        Self::parse(bytes).ok_or_else(|| "the snapshot is malformed".to_owned())
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let mut rest = Bytes(&bytes);
        if rest.array()? != MAGIC || rest.u32()? != FORMAT {
            return None;
        }
        let federation = FederationId(*rest.array()?);
        let node = NodeId(PublicKey::from_bytes(*rest.array()?));
        let origin = Origin::new(federation, node, rest.u32()?);
        let (size, public_seq) = (rest.u64()?, rest.u64()?);
        let mut peaks = Vec::new();
        for _ in 0..size.count_ones() {
            peaks.push(Hash(*rest.array()?));
        }
        let range = CompactRange::from_peaks(size, &peaks).ok()?;
        let (segment, offset) = (rest.u64()?, rest.u64()?);
        let mut segments = Vec::new();
        for _ in 0..rest.u32()? {
            segments.push((rest.u64()?, rest.u64()?));
        }
        let head = Head { origin, range, public_seq, segment, offset, segments };
        let (key_id, nonce) = (KeyId(rest.u32()?), *rest.array()?);
        let len = rest.u64()?;
        let (whole, sealed_at) = (len == rest.0.len() as u64, bytes.len() - rest.0.len());
        whole.then_some(Snapshot { head, key_id, nonce, bytes, sealed_at })
    }

    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Opens the state, or says why not.
    pub fn open(mut self, ring: &KeyRing) -> Result<(Head, Vec<u8>), String> {
        if !ring.holds(self.key_id) {
            return Err(format!(
                "it is sealed under data key {}, which data.key does not hold",
                self.key_id.0
            ));
        }
        let context = SealContext::new(&self.head.origin).of_state(self.head.range.size(), self.key_id);
        self.bytes.drain(..self.sealed_at);
        ring.open_in_place(self.key_id, &self.nonce, &context, &mut self.bytes)
            .ok_or_else(|| "its state does not open under its data key".to_owned())?;
        Ok((self.head, self.bytes))
    }
}

/// A snapshot to be written, on any thread: it owns what it needs, and the journal goes on meanwhile.
pub struct SnapshotJob {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) derived: Arc<Derived>,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) head: Head,
    pub(crate) nonce: [u8; NONCE_BYTES],
}

impl SnapshotJob {
    /// The size of the journal that the state must be of.
    pub fn size(&self) -> u64 {
        self.head.range.size()
    }

    /// Writes the snapshot with this state, durably, and removes all but the newest few.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Io`]; the older snapshots are then still there.
    pub fn run(self, state: &[u8]) -> Result<(), Error> {
        self.run_with(state.len(), |bytes| bytes.extend_from_slice(state))
    }

    /// The same with the state that `encode` appends, which is about `bytes_about` long: a large one is written only once.
    ///
    /// # Errors
    /// As [`SnapshotJob::run`].
    pub fn run_with(self, bytes_about: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let bytes = self.to_bytes(bytes_about, encode)?;
        // What is derived from before the snapshot is not looked at when the journal is opened from it.
        self.derived.sync()?;
        let path = path(self.size());
        if let Err(cause) = files::replace(self.files.as_ref(), &path, &bytes) {
            let _ = self.files.remove(&format!("{path}.tmp"));
            return Err(Error::io(path, "write")(cause));
        }
        self.remove_old()
    }

    fn to_bytes(&self, bytes_about: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<u8>, Error> {
        let key = self.ring.active();
        let mut bytes = self.head.to_bytes();
        bytes.reserve(bytes_about + 128);
        bytes.extend_from_slice(&key.0.to_le_bytes());
        bytes.extend_from_slice(&self.nonce);
        let len_at = bytes.len();
        bytes.extend_from_slice(&[0; LEN_BYTES]);
        let from = bytes.len();
        encode(&mut bytes);
        let len = (bytes.len() - from) as u64;
        if len > STATE_BYTES_MAX {
            return Err(Error::TooLarge { what: "a state", bytes: len, bytes_max: STATE_BYTES_MAX });
        }
        bytes[len_at..from].copy_from_slice(&(len + TAG_BYTES as u64).to_le_bytes());
        let context = SealContext::new(&self.head.origin).of_state(self.size(), key);
        self.ring.seal(&self.nonce, &context, &mut bytes, from);
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(&digest.0);
        Ok(bytes)
    }

    fn remove_old(&self) -> Result<(), Error> {
        let names = self.files.list(SNAPSHOTS_DIR).map_err(Error::io(SNAPSHOTS_DIR, "list"))?;
        let mut sizes: Vec<u64> = names.iter().filter_map(|name| size_of(name)).collect();
        sizes.sort_unstable();
        let old = sizes.len().saturating_sub(KEPT);
        for size in &sizes[..old] {
            let path = path(*size);
            self.files.remove(&path).map_err(Error::io(path, "remove"))?;
        }
        Ok(())
    }
}
