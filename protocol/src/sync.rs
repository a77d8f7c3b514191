//! What neighbours say on a `sync` stream: what each has of whom, and what it wants of it.
//!
//! One side asks, the other answers: first a digest, since mostly all is equal; then lists; then frames of records, as they
//! were made. Gossip is a hint, this is the truth: whatever gossip lost is found here.

use crate::codec::{self, Decode, Encode, FRAME_HEAD_BYTES, Frame};
use crate::holes::Holes;
use crate::id::Digest;
use crate::log::Origin;
use crate::record;

/// The most journals that a list of marks names. Who knows of more leaves out nodes' older journals before newer ones; larger
/// federations reconcile sets instead.
pub const MARKS_MAX: usize = 4_096;

/// The most bytes of the payload of a message on a `sync` stream that is no frame of records: a full list of marks, and no
/// more. Larger, and a peer's word would reserve more than any list takes; smaller, and a full list would not pass.
pub const MESSAGE_BYTES_MAX: usize = 8 + MARKS_MAX * MARK_BYTES;

/// What one mark takes: origin and number.
const MARK_BYTES: usize = 32 + 33 + 4 + 8;

/// The version that we write.
const VERSION: u16 = 1;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a value, or not in its one form.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// No message of this kind or version is known here.
    #[error("no message of kind {kind:#06x} and version {version} is known")]
    Unknown {
        /// The kind.
        kind: u16,
        /// The version.
        version: u16,
    },
    /// A message of more bytes than its kind may have.
    #[error("a message of {bytes} bytes is larger than any of its kind")]
    Size {
        /// Its payload's bytes.
        bytes: usize,
    },
    /// A list that is too long, or not ascending by origin, each once.
    #[error("not a list of marks")]
    Marks,
    /// Ranges that are too many, empty, of numbers that no journal has, or not ascending with something between them.
    #[error("not a list of holes")]
    Holes,
}

/// Up to where somebody holds the records of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Mark {
    /// Whose journal.
    pub origin: Origin,
    /// The first number that is not held: all before it are, or were given up as too old.
    pub next: u64,
}

/// The digest of a list of marks, ascending by origin: equal ones need no lists.
pub fn marks_digest(marks: &[Mark]) -> Digest {
    let mut bytes = b"artel/1/marks\0".to_vec();
    codec::encode_into(&marks, &mut bytes);
    Digest::of(&bytes)
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What do you have? My own marks have this digest.
    Ask(Digest),
    /// Yours are mine.
    Same,
    /// My marks, ascending by origin.
    Marks(Vec<Mark>),
    /// Send me the records of this journal from `mark.next` on.
    Want(Mark),
    /// Send me these records of a journal, and no others.
    Holes(Holes),
    /// A frame of records, not checked yet.
    Records(Vec<u8>),
    /// That is all of what was wanted that I have; `next` is the first number that I do not hold or did not send. Of holes:
    /// whatever of them is below `next` and did not come is not had.
    End {
        /// The number.
        next: u64,
    },
}

/// The kinds of messages, by number.
mod kind {
    pub const ASK: u16 = 0x0120;
    pub const SAME: u16 = 0x0121;
    pub const MARKS: u16 = 0x0122;
    pub const WANT: u16 = 0x0123;
    pub const END: u16 = 0x0124;
    pub const HOLES: u16 = 0x0125;
}

impl Message {
    /// The message's bytes: one frame, which says its own length.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Message::Ask(digest) => Frame::append(kind::ASK, VERSION, digest, &mut out),
            Message::Same => Frame::append(kind::SAME, VERSION, &(), &mut out),
            Message::Marks(marks) => Frame::append(kind::MARKS, VERSION, marks, &mut out),
            Message::Want(mark) => Frame::append(kind::WANT, VERSION, mark, &mut out),
            Message::Holes(holes) => Frame::append(kind::HOLES, VERSION, &holes.to_encode(), &mut out),
            Message::End { next } => Frame::append(kind::END, VERSION, next, &mut out),
            Message::Records(bytes) => out.extend_from_slice(bytes),
        }
        out
    }

    /// How many bytes follow a head that was read from a stream, before any of them is read.
    ///
    /// # Errors
    /// [`Error::Unknown`] and [`Error::Size`]: the stream is of no use any more.
    pub fn payload_len(head: &[u8; FRAME_HEAD_BYTES]) -> Result<usize, Error> {
        let [k0, k1, v0, v1, len @ ..] = head;
        let (kind, version) = (u16::from_le_bytes([*k0, *k1]), u16::from_le_bytes([*v0, *v1]));
        check_size(kind, version, u32::from_le_bytes(*len) as usize)
    }

    /// Reads a message. A frame of records is only recognised; [`record::Records::check`] checks it.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let Frame { kind, version, payload } = Frame::parse(bytes)?;
        check_size(kind, version, payload.len())?;
        match (kind, version) {
            (kind::ASK, VERSION) => Ok(Message::Ask(codec::decode(payload)?)),
            (kind::SAME, VERSION) => {
                codec::decode::<()>(payload)?;
                Ok(Message::Same)
            }
            (kind::MARKS, VERSION) => {
                let marks = codec::decode::<Vec<Mark>>(payload)?;
                let ascending = marks.windows(2).all(|pair| pair[0].origin < pair[1].origin);
                if ascending && marks.len() <= MARKS_MAX {
                    Ok(Message::Marks(marks))
                } else {
                    Err(Error::Marks)
                }
            }
            (kind::WANT, VERSION) => Ok(Message::Want(codec::decode(payload)?)),
            (kind::HOLES, VERSION) => {
                Holes::of_encoded(codec::decode(payload)?).map(Message::Holes).ok_or(Error::Holes)
            }
            (kind::END, VERSION) => Ok(Message::End { next: codec::decode(payload)? }),
            (record::KIND, _) => Ok(Message::Records(bytes.to_vec())),
            _ => Err(Error::Unknown { kind, version }),
        }
    }
}

/// The payload's length, if a message of this kind may have it.
fn check_size(kind: u16, version: u16, bytes: usize) -> Result<usize, Error> {
    let most = match kind {
        record::KIND => record::FRAME_BYTES_MAX - FRAME_HEAD_BYTES,
        kind::ASK..=kind::HOLES => MESSAGE_BYTES_MAX,
        _ => return Err(Error::Unknown { kind, version }),
    };
    if bytes > most { Err(Error::Size { bytes }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FederationId;
    use crate::key::{NodeId, SecretKey};

    fn mark(n: u8, next: u64) -> Mark {
        let node = NodeId(SecretKey::from_seed(&[n; 32]).public());
        Mark { origin: Origin::new(FederationId([1; 32]), node, n.into()), next }
    }

    fn ascending(count: u32) -> Vec<Mark> {
        let origin = |n| Origin::new(FederationId([1; 32]), mark(1, 0).origin.node(), n);
        (0..count).map(|n| Mark { origin: origin(n), next: n.into() }).collect()
    }

    #[test]
    fn every_message_reads_back_and_says_its_length() {
        let marks = ascending(3);
        for message in [
            Message::Ask(marks_digest(&marks)),
            Message::Same,
            Message::Marks(marks),
            Message::Marks(vec![]),
            Message::Want(mark(2, 77)),
            Message::Holes(Holes::new(mark(2, 0).origin, vec![3..4, 9..200]).expect("ascending")),
            Message::End { next: 9 },
        ] {
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes), Ok(message));
            let (head, payload) = bytes.split_first_chunk().expect("a head");
            assert_eq!(Message::payload_len(head), Ok(payload.len()));
        }
    }

    #[test]
    fn an_equal_state_costs_less_than_a_hundred_bytes() {
        let asked = Message::Ask(marks_digest(&ascending(1_000))).encode();
        assert!(asked.len() + Message::Same.encode().len() <= 100);
        assert_ne!(marks_digest(&ascending(2)), marks_digest(&ascending(3)));
    }

    #[test]
    fn lists_out_of_order_too_long_and_unknown_messages_are_refused() {
        let full = Message::Marks(ascending(MARKS_MAX as u32));
        let bytes = full.encode();
        assert_eq!(bytes.len(), FRAME_HEAD_BYTES + MESSAGE_BYTES_MAX);
        assert_eq!(Message::decode(&bytes), Ok(full));
        let longer = Message::Marks(ascending(MARKS_MAX as u32 + 1)).encode();
        assert!(matches!(Message::decode(&longer), Err(Error::Size { .. })));
        let mut backwards = ascending(3);
        backwards.reverse();
        assert_eq!(Message::decode(&Message::Marks(backwards).encode()), Err(Error::Marks));
        let twice = Message::Marks(vec![mark(1, 1), mark(1, 2)]);
        assert_eq!(Message::decode(&twice.encode()), Err(Error::Marks));
        let holes = |ranges: &[(u64, u64)]| {
            let mut bytes = Vec::new();
            Frame::append(kind::HOLES, VERSION, &(mark(1, 0).origin, ranges.to_vec()), &mut bytes);
            bytes
        };
        assert!(matches!(Message::decode(&holes(&[(3, 4), (9, 200)])), Ok(Message::Holes(_))));
        for bad in [&[][..], &[(4, 4)], &[(3, 4), (4, 5)], &[(9, 10), (3, 4)], &[(3, u64::MAX)]] {
            assert_eq!(Message::decode(&holes(bad)), Err(Error::Holes), "{bad:?}");
        }
        let mut unknown = Message::Same.encode();
        unknown[2] = 9;
        assert_eq!(Message::decode(&unknown), Err(Error::Unknown { kind: kind::SAME, version: 9 }));
        let head = |kind: u16, len: u32| {
            let mut head = [0; FRAME_HEAD_BYTES];
            head[..2].copy_from_slice(&kind.to_le_bytes());
            head[4..].copy_from_slice(&len.to_le_bytes());
            head
        };
        assert!(matches!(Message::payload_len(&head(7, 0)), Err(Error::Unknown { .. })));
        assert!(matches!(Message::payload_len(&head(kind::MARKS, u32::MAX)), Err(Error::Size { .. })));
        assert!(matches!(Message::payload_len(&head(record::KIND, 65_536)), Err(Error::Size { .. })));
    }

    #[test]
    fn a_head_and_a_whole_message_are_judged_alike() {
        let most = record::FRAME_BYTES_MAX - FRAME_HEAD_BYTES;
        for (kind, bytes, fits) in [
            (record::KIND, most, true),
            (record::KIND, most + 1, false),
            (kind::MARKS, MESSAGE_BYTES_MAX + 1, false),
            (kind::HOLES + 1, 0, false),
        ] {
            let mut message = [&kind.to_le_bytes()[..], &[1, 0], &(bytes as u32).to_le_bytes()].concat();
            message.resize(FRAME_HEAD_BYTES + bytes, 0);
            let head = message.first_chunk().expect("a head");
            assert_eq!(Message::payload_len(head).is_ok(), fits, "{kind:#06x} of {bytes}");
            assert_eq!(Message::decode(&message).is_ok(), fits, "{kind:#06x} of {bytes}");
        }
    }
}
