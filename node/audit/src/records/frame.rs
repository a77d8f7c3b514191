//! A frame on disk: `len u32 ‖ crc u32 ‖ payload ‖ len u32`, all numbers little-endian, the CRC32C over `segment number u32 ‖
//! offset u32 ‖ len ‖ payload`. The length behind it lets a segment be read from its end; the place in the check sum makes
//! what an author wrote into a record no frame anywhere.
//!
//! Payload: `01 ‖ topic u8 ‖ node32 ‖ incarnation u32 ‖ count u16 ‖ (public_seq u64 ‖ index u64) each ‖ bytes` is a record frame,
//! `02 ‖ node32 ‖ incarnation u32 ‖ below u64` says that an author's records below that number were pruned.

use super::{ITEMS_MAX, Item, NewFrame, RECORD_BYTES_MAX};
use crate::frame::Bytes;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;

const RECORD: u8 = 1;
const FLOOR: u8 = 2;

/// Length and check sum.
pub(crate) const FRONT_BYTES: usize = 8;

/// What stands around a payload.
const AROUND_BYTES: usize = FRONT_BYTES + 4;

const RECORD_HEAD_BYTES: usize = 2 + 32 + 4 + 2;
const FLOOR_BYTES: usize = 1 + 32 + 4 + 8;
const PAYLOAD_BYTES_MAX: usize = RECORD_HEAD_BYTES + ITEMS_MAX * 16 + RECORD_BYTES_MAX;

/// The smallest frame: nothing shorter is looked at.
pub(crate) const FRAME_BYTES_MIN: usize = AROUND_BYTES + FLOOR_BYTES;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    Record { origin: Origin, topic: u8, items: Vec<Item>, bytes: &'a [u8] },
    Floor { origin: Origin, below: u64 },
}

/// The bytes on disk of a record frame.
pub(crate) fn record_bytes(frame: &NewFrame) -> usize {
    AROUND_BYTES + RECORD_HEAD_BYTES + frame.items.len() * 16 + frame.bytes.len()
}

/// The bytes on disk of a floor.
pub(crate) const FLOOR_FRAME_BYTES: usize = AROUND_BYTES + FLOOR_BYTES;

/// Frames of one write, from some place of a segment on.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    segment: u32,
    offset: u32,
}

impl<'a> Writer<'a> {
    /// Begins with an empty buffer, which will be written at `offset`.
    pub fn new(out: &'a mut Vec<u8>, segment: u32, offset: u32) -> Self {
        out.clear();
        Writer { out, segment, offset }
    }

    /// Adds a record frame; answers its offset in the segment.
    pub fn record(&mut self, frame: &NewFrame) -> u32 {
        self.frame(|out| {
            out.extend_from_slice(&[RECORD, frame.topic]);
            put_author(out, &frame.origin);
            out.extend_from_slice(&(frame.items.len() as u16).to_le_bytes());
            for item in &frame.items {
                out.extend_from_slice(&item.public_seq.to_le_bytes());
                out.extend_from_slice(&item.index.to_le_bytes());
            }
            out.extend_from_slice(&frame.bytes);
        })
    }

    pub fn floor(&mut self, origin: &Origin, below: u64) -> u32 {
        self.frame(|out| {
            out.push(FLOOR);
            put_author(out, origin);
            out.extend_from_slice(&below.to_le_bytes());
        })
    }

    /// Adds a frame that was read elsewhere.
    pub fn payload(&mut self, payload: &[u8]) -> u32 {
        self.frame(|out| out.extend_from_slice(payload))
    }

    fn frame(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let at = self.out.len();
        let offset = self.offset + at as u32;
        self.out.extend_from_slice(&[0; FRONT_BYTES]);
        put(self.out);
        let len = ((self.out.len() - at - FRONT_BYTES) as u32).to_le_bytes();
        let crc = check_sum(self.segment, offset, &self.out[at + FRONT_BYTES..]);
        self.out[at..at + 4].copy_from_slice(&len);
        self.out[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        self.out.extend_from_slice(&len);
        offset
    }
}

fn put_author(out: &mut Vec<u8>, origin: &Origin) {
    out.extend_from_slice(origin.node().key().bytes());
    out.extend_from_slice(&origin.incarnation().to_le_bytes());
}

fn check_sum(segment: u32, offset: u32, payload: &[u8]) -> u32 {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&segment.to_le_bytes());
    place[4..8].copy_from_slice(&offset.to_le_bytes());
    place[8..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), payload)
}

/// The bytes of the whole frame that a length field speaks of, if it can be one.
pub(crate) fn whole_bytes(len: [u8; 4]) -> Option<usize> {
    let len = u32::from_le_bytes(len) as usize;
    (FLOOR_BYTES..=PAYLOAD_BYTES_MAX).contains(&len).then_some(AROUND_BYTES + len)
}

/// The payload of the frame that begins here, if it is whole and in its place.
pub(crate) fn open(bytes: &[u8], segment: u32, offset: u32) -> Option<&[u8]> {
    let len = *bytes.first_chunk()?;
    let frame = bytes.get(..whole_bytes(len)?)?;
    let (front, rest) = frame.split_first_chunk::<FRONT_BYTES>()?;
    let (payload, behind) = rest.split_last_chunk::<4>()?;
    let whole = *behind == len && check_sum(segment, offset, payload).to_le_bytes() == front[4..];
    whole.then_some(payload)
}

/// What a payload says; `None` for one that nobody here writes.
pub(crate) fn parse(payload: &[u8], federation: FederationId) -> Option<Payload<'_>> {
    let mut rest = Bytes(payload);
    let author = |rest: &mut Bytes<'_>| {
        let node = NodeId(PublicKey::from_bytes(*rest.array()?));
        Some(Origin::new(federation, node, rest.u32()?))
    };
    match rest.array()? {
        [RECORD] => {
            let [topic] = *rest.array()?;
            let origin = author(&mut rest)?;
            let count = u16::from_le_bytes(*rest.array()?);
            let mut items = Vec::with_capacity(usize::from(count).min(ITEMS_MAX));
            for _ in 0..count {
                items.push(Item { public_seq: rest.u64()?, index: rest.u64()? });
            }
            let fits = are_in_order(&items) && rest.0.len() <= RECORD_BYTES_MAX;
            fits.then_some(Payload::Record { origin, topic, items, bytes: rest.0 })
        }
        [FLOOR] => {
            let (origin, below) = (author(&mut rest)?, rest.u64()?);
            rest.0.is_empty().then_some(Payload::Floor { origin, below })
        }
        _ => None,
    }
}

/// Whether a frame may have these items.
pub(crate) fn are_in_order(items: &[Item]) -> bool {
    let ascend = items.windows(2).all(|w| w[0].public_seq < w[1].public_seq && w[0].index < w[1].index);
    let numbers = items.last().is_some_and(|last| last.public_seq < u64::MAX);
    ascend && numbers && items.len() <= ITEMS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (NewFrame, Vec<u8>) {
        let origin = Origin::new(FederationId([2; 32]), NodeId(PublicKey::from_bytes([3; 32])), 4);
        let items = vec![Item { public_seq: 5, index: 9 }, Item { public_seq: 7, index: 12 }];
        let frame = NewFrame { origin, topic: 6, bytes: b"shown".to_vec(), items };
        let mut out = Vec::new();
        assert_eq!(Writer::new(&mut out, 8, 512).record(&frame), 512);
        assert_eq!(out.len(), record_bytes(&frame));
        (frame, out)
    }

    #[test]
    fn a_frame_reads_back_and_only_in_its_place() {
        let (frame, bytes) = sample();
        let payload = open(&bytes, 8, 512).expect("whole");
        let Some(Payload::Record { origin, topic, items, bytes: shown }) =
            parse(payload, FederationId([2; 32]))
        else {
            panic!("a record frame");
        };
        assert_eq!((origin, topic, items, shown), (frame.origin, frame.topic, frame.items, &frame.bytes[..]));
        assert_eq!(open(&bytes, 9, 512), None);
        assert_eq!(open(&bytes, 8, 513), None);
        let mut out = Vec::new();
        Writer::new(&mut out, 8, 512).floor(&frame.origin, 7);
        assert_eq!(out.len(), FLOOR_FRAME_BYTES);
        let payload = open(&out, 8, 512).expect("whole");
        let floor = parse(payload, FederationId([2; 32]));
        assert_eq!(floor, Some(Payload::Floor { origin: frame.origin, below: 7 }));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (_, bytes) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&changed, 8, 512).is_none(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|cut| open(&bytes[..cut], 8, 512).is_none()));
    }
}
