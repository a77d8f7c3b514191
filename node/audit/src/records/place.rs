//! Where things lie: positions in the segments and places of frames, and the keys and values that the index holds of them.
//! Keys are big-endian, so that they sort; values too.

use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;

use crate::index::Tree;

/// Author ‖ → floor, mark and counts.
pub(crate) const AUTHORS: Tree = Tree(1);
/// Author ‖ start of a run of records behind a hole → its end.
pub(crate) const RUNS: Tree = Tree(2);
/// Author ‖ the first of some numbers in a row that are read from one frame → its place, and the number behind the last.
pub(crate) const PLACES: Tree = Tree(3);
/// Segment → the bytes of its live frames.
pub(crate) const SEGMENTS: Tree = Tree(4);
/// One key → the format of the index, and whose it is.
pub(crate) const META: Tree = Tree(5);

/// The version of the index's keys and values. An index of another one is built again.
pub(crate) const INDEX_FORMAT: u32 = 2;

/// The bytes of an author's key: key ‖ incarnation.
pub(crate) const AUTHOR_BYTES: usize = 36;

/// A place between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub segment: u32,
    pub offset: u32,
}

impl Position {
    /// As the index keeps it; 0 is the start of everything, since segments are numbered from 1 on.
    pub fn pack(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }

    pub fn unpack(packed: u64) -> Self {
        Position { segment: (packed >> 32) as u32, offset: packed as u32 }
    }
}

/// Where the frame of a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub segment: u32,
    pub offset: u32,
    /// The frame's bytes on disk.
    pub len: u32,
    /// The highest record that is read from this frame: with it the frame goes.
    pub last: u64,
}

impl Place {
    pub fn is_in(&self, segment: u32, offset: u32) -> bool {
        (self.segment, self.offset) == (segment, offset)
    }
}

/// Records with numbers in a row that are read from one frame: from a start that is told beside it up to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub end: u64,
    pub place: Place,
}

impl Stretch {
    pub fn to_bytes(self) -> Vec<u8> {
        let Place { segment, offset, len, last } = self.place;
        let mut bytes = Vec::with_capacity(28);
        for number in [segment, offset, len] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for number in [last, self.end] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = Fields(bytes);
        let place = Place { segment: rest.u32()?, offset: rest.u32()?, len: rest.u32()?, last: rest.u64()? };
        let stretch = Stretch { end: rest.u64()?, place };
        rest.end(stretch)
    }
}

/// The stretches of the numbers of records that are read from one frame, ascending, each with its start.
pub(crate) fn stretches(records: &[u64]) -> impl Iterator<Item = (u64, u64)> + '_ {
    records.chunk_by(|before, next| before + 1 == *next).map(|row| (row[0], row[row.len() - 1] + 1))
}

pub(crate) fn author_key(origin: &Origin) -> Vec<u8> {
    let mut key = Vec::with_capacity(AUTHOR_BYTES + 8);
    key.extend_from_slice(origin.node().key().bytes());
    key.extend_from_slice(&origin.incarnation().to_be_bytes());
    key
}

/// The key of one of an author's numbers.
pub(crate) fn numbered_key(origin: &Origin, number: u64) -> Vec<u8> {
    let mut key = author_key(origin);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

pub(crate) fn parse_author(key: &[u8], federation: FederationId) -> Option<Origin> {
    let (node, incarnation) = key.split_first_chunk()?;
    let incarnation = u32::from_be_bytes(incarnation.try_into().ok()?);
    Some(Origin::new(federation, NodeId(PublicKey::from_bytes(*node)), incarnation))
}

/// The author and the number of a [`numbered_key`].
pub(crate) fn parse_numbered(key: &[u8], federation: FederationId) -> Option<(Origin, u64)> {
    let (author, number) = key.split_last_chunk()?;
    Some((parse_author(author, federation)?, u64::from_be_bytes(*number)))
}

/// A reader of big-endian fields; `None` when the bytes end.
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The value, if all bytes were used.
    pub fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
