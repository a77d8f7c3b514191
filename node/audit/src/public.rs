//! What strangers get of a journal: its public entries as records, under the newest checkpoint that may be shown.

use crate::error::Error;
use crate::frame::Entry;
use crate::reader::Reader;
use artel_protocol::log::{Class, subset};
use artel_protocol::record::{Record, Records};
use std::collections::BTreeMap;
use std::ops::Range;

/// How many bytes of records go into one frame (48 KiB). The rest of what a frame may have is left to the proof, which takes
/// 4 KiB for neighbours and, for leaves as scattered as they can be, less than 32 bytes for each byte of entries between.
pub const RECORDS_BYTES: usize = 48 << 10;

/// How many records go into one frame that is made here: as scattered as they can be, their proof still fits beside them.
pub const RECORDS_MAX: usize = 256;

/// What a record takes up beside its body: index, number, salt and the length of the body.
pub const RECORD_HEAD_BYTES: usize = 40;

/// The most bytes of a proof that a gap between two ranges of records costs, for each time that its length can be halved: a node of
/// the tree on either side.
const JUMP_BYTES: usize = 2 * 32;

/// How many entries are read at once on the way through the journal; fewer for a short range, since few are wanted there.
const STRIDE: u64 = 512;
const STRIDE_MIN: u64 = 8;

/// Public entries that go into frames of records, those of each topic into frames of their own.
#[derive(Debug)]
pub struct Frames<T> {
    open: BTreeMap<T, Frame>,
}

/// The entries of a topic that go into its next frame.
#[derive(Debug, Default)]
struct Frame {
    positions: Vec<u64>,
    bytes: usize,
}

impl<T: Ord> Default for Frames<T> {
    fn default() -> Self {
        Frames { open: BTreeMap::new() }
    }
}

impl<T: Ord> Frames<T> {
    /// Adds an entry; where it does not fit into its topic's frame any more, hands out what is there and begins with it.
    pub fn add(&mut self, topic: T, index: u64, body_bytes: usize) -> Option<Vec<u64>> {
        let frame = self.open.entry(topic).or_default();
        let bytes = RECORD_HEAD_BYTES + body_bytes;
        let is_full = frame.positions.len() == RECORDS_MAX || frame.bytes + bytes > RECORDS_BYTES;
        let full = (is_full && !frame.positions.is_empty()).then(|| {
            frame.bytes = 0;
            std::mem::take(&mut frame.positions)
        });
        frame.positions.push(index);
        frame.bytes += bytes;
        full
    }

    /// The frames that are not full.
    pub fn rest(self) -> impl Iterator<Item = (T, Vec<u64>)> {
        self.open.into_iter().map(|(topic, frame)| (topic, frame.positions))
    }
}

impl Reader {
    /// Public entries, by ascending index, as one frame of records.
    ///
    /// # Errors
    /// [`Error::Beyond`] while no checkpoint that covers them was released, [`Error::Records`] when they are none that may
    /// travel together, else as [`Reader::entry`].
    pub fn records(&self, positions: &[u64]) -> Result<Records, Error> {
        let (entries, _) = self.some(positions, usize::MAX)?;
        self.framed(entries)
    }

    /// A frame of the records from number `public_seq` on, as many as go into one; `None` where the newest checkpoint covers
    /// no such record.
    ///
    /// # Errors
    /// As [`Reader::records`].
    pub fn records_from(&self, public_seq: u64) -> Result<Option<Records>, Error> {
        let all = public_seq..u64::MAX;
        self.records_in(std::slice::from_ref(&all))
    }

    /// The same of those records alone whose numbers are in one of these ranges, ascending.
    ///
    /// # Errors
    /// As [`Reader::records`].
    pub fn records_in(&self, ranges: &[Range<u64>]) -> Result<Option<Records>, Error> {
        let end = self.checkpoint().size();
        let (mut found, mut bytes): (Vec<Entry>, usize) = (Vec::new(), 0);
        for range in ranges {
            let mut index = self.index_of_public(range.start, end)?;
            if let Some(last) = found.last() {
                bytes += JUMP_BYTES * (index - last.index).ilog2() as usize;
            }
            let (stride, mut left) = ((range.end - range.start).clamp(STRIDE_MIN, STRIDE), true);
            while index < end && left {
                let positions: Vec<u64> = (index..end.min(index + stride)).collect();
                let (entries, next) = self.some(&positions, RECORDS_BYTES)?;
                index = next.unwrap_or(index + positions.len() as u64);
                for entry in entries.into_iter().filter(|entry| entry.leaf.class() == Class::Public) {
                    left = entry.leaf.public_seq() < range.end;
                    if !left {
                        break;
                    }
                    bytes += RECORD_HEAD_BYTES + entry.body.len();
                    if bytes > RECORDS_BYTES && !found.is_empty() || found.len() == RECORDS_MAX {
                        return self.framed(found).map(Some);
                    }
                    found.push(entry);
                }
            }
        }
        if found.is_empty() { Ok(None) } else { self.framed(found).map(Some) }
    }

    /// The first entry before `end` with this number or a higher one among the public ones before it, by halving: the
    /// numbers rise with the entries.
    fn index_of_public(&self, public_seq: u64, end: u64) -> Result<u64, Error> {
        let (mut low, mut high) = (0, end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.leaf(middle)?.public_seq() < public_seq {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn framed(&self, entries: Vec<Entry>) -> Result<Records, Error> {
        let checkpoint = self.checkpoint();
        let size = checkpoint.size();
        if let Some(entry) = entries.iter().find(|entry| entry.index >= size) {
            return Err(Error::Beyond { wanted: entry.index, size });
        }
        let placed: Vec<_> = entries.iter().map(|entry| (entry.index, entry.leaf.hash())).collect();
        let positions: Vec<u64> = placed.iter().map(|(at, _)| *at).collect();
        let proof = self.checked(size, |root, read| {
            let proof = subset::prove(&positions, size, read)?;
            let holds = subset::verify(&placed, size, &proof, &root).is_ok();
            Ok(holds.then_some(proof))
        })?;
        let record = |entry: Entry| Record {
            index: entry.index,
            public_seq: entry.leaf.public_seq(),
            salt: entry.salt,
            body: entry.body,
        };
        Ok(Records::new(&checkpoint, entries.into_iter().map(record).collect(), proof)?)
    }
}
