//! The one encoding (bincode 2, fixed-width little-endian integers) and the outer frame around every value.
//!
//! A decoder accepts only bytes that it would write itself, and uses all of them. Nothing else in Artel names bincode's
//! functions, so that another encoding is one file's work.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
pub use bincode::{Decode, Encode};

/// The most bytes that one encoded value may have, in bytes. Larger, and one frame could make us reserve more memory
/// than a peer paid for; smaller, and a step's output (at most [`crate::limits::OUTPUT_BYTES_MAX`]) would not fit.
pub const VALUE_BYTES_MAX: usize = 4 << 20;

/// Why bytes are not a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end early, name an unknown variant or break a type's own rule.
    #[error("malformed bytes: {0}")]
    Malformed(String),
    /// Bytes are left over behind the value.
    #[error("{extra} bytes left over behind the value")]
    TrailingBytes {
        /// How many bytes were not used.
        extra: usize,
    },
    /// The bytes decode, but we would have written others.
    #[error("not in canonical form")]
    NotCanonical,
    /// The value is larger than [`VALUE_BYTES_MAX`].
    #[error("value of more than {VALUE_BYTES_MAX} bytes")]
    TooLarge,
}

const CONFIG: Configuration<LittleEndian, Fixint, Limit<VALUE_BYTES_MAX>> = bincode::config::standard()
    .with_fixed_int_encoding()
    .with_little_endian()
    .with_limit::<VALUE_BYTES_MAX>();

/// Encodes a value into the one form it has.
///
/// # Panics
/// Never for our own types: their encoders have no failing case.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, CONFIG).expect("our encoders have no failing case")
}

/// The room that a buffer gets before an encoding is written into it, in bytes. Most entries fit, so that most buffers
/// are taken once; larger, and small values waste it.
const USUAL_BYTES: usize = 512;

/// Appends a value's encoding to `out`.
pub fn encode_into<T: Encode>(value: &T, out: &mut Vec<u8>) {
    out.reserve(USUAL_BYTES.saturating_sub(out.len()));
    bincode::encode_into_std_write(value, out, CONFIG).expect("writing to a vector cannot fail");
}

/// Decodes a value from bytes of unknown origin: exactly the bytes that [`encode`] would write, and all of them.
///
/// # Errors
/// [`Error`], each case as it says.
pub fn decode<T: Encode + Decode<()>>(bytes: &[u8]) -> Result<T, Error> {
    let (value, used) = decode_within::<T>(bytes)?;
    if used < bytes.len() {
        return Err(Error::TrailingBytes { extra: bytes.len() - used });
    }
    if encode(&value) != bytes {
        return Err(Error::NotCanonical);
    }
    Ok(value)
}

/// Decodes under a limit that is at most twice the bytes that are there: a length that somebody only claims reserves
/// no more than that (decision 19).
fn decode_within<T: Decode<()>>(bytes: &[u8]) -> Result<(T, usize), Error> {
    macro_rules! by_size {
        ($($limit:literal)*) => {
            match bytes.len() {
                $(0..=$limit => bincode::decode_from_slice(bytes, CONFIG_LARGE.with_limit::<{ 2 * $limit }>()),)*
                ..=VALUE_BYTES_MAX => bincode::decode_from_slice(bytes, CONFIG),
                _ => return Err(Error::TooLarge),
            }
        };
    }
    // The first limits overlap on purpose: the smallest that fits is taken.
    #[allow(clippy::match_overlapping_arm)]
    let decoded = by_size!(64 256 1_024 4_096 16_384 65_536 262_144 1_048_576);
    decoded.map_err(|e| Error::Malformed(format!("{e:?}")))
}

/// Decodes bytes that we wrote ourselves and whose integrity is already proven (a check sum, a digest).
///
/// # Errors
/// [`Error`], except that a second form of the same value is not looked for.
pub fn decode_own<T: Decode<()>>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let (value, used) =
        bincode::decode_from_slice(bytes, CONFIG).map_err(|e| Error::Malformed(format!("{e:?}")))?;
    match bytes.len() - used {
        0 => Ok(value),
        extra => Err(Error::TrailingBytes { extra }),
    }
}

const CONFIG_LARGE: Configuration<LittleEndian, Fixint> =
    bincode::config::standard().with_fixed_int_encoding().with_little_endian();

/// Appends the encoding of a value that may be larger than [`VALUE_BYTES_MAX`]: a part of our own snapshot.
pub fn encode_large_into<T: Encode>(value: &T, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, CONFIG_LARGE).expect("writing to a vector cannot fail");
}

/// Decodes what [`encode_large_into`] wrote, from bytes whose integrity is already proven.
///
/// # Errors
/// [`Error`] when they are no such value, or bytes are left over.
pub fn decode_large<T: Decode<()>>(bytes: &[u8]) -> Result<T, Error> {
    let (value, used) =
        bincode::decode_from_slice(bytes, CONFIG_LARGE).map_err(|e| Error::Malformed(format!("{e:?}")))?;
    match bytes.len() - used {
        0 => Ok(value),
        extra => Err(Error::TrailingBytes { extra }),
    }
}

/// The bytes of a frame's head: kind, version, length.
pub const FRAME_HEAD_BYTES: usize = 8;

/// One framed value: `kind u16 ‖ version u16 ‖ len u32 ‖ payload`, little-endian. An unknown kind can be passed on unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is; numbers are never reused.
    pub kind: u16,
    /// The payload's version.
    pub version: u16,
    /// The payload's own encoding.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads one frame that takes up all of `bytes`.
    ///
    /// # Errors
    /// [`Error`] when the head is cut, or the length is not what is there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (head, payload) = bytes
            .split_at_checked(FRAME_HEAD_BYTES)
            .ok_or_else(|| Error::Malformed("frame head cut".into()))?;
        let kind = u16::from_le_bytes([head[0], head[1]]);
        let version = u16::from_le_bytes([head[2], head[3]]);
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        match payload.len().cmp(&len) {
            std::cmp::Ordering::Less => Err(Error::Malformed("frame payload cut".into())),
            std::cmp::Ordering::Greater => Err(Error::TrailingBytes { extra: payload.len() - len }),
            std::cmp::Ordering::Equal => Ok(Frame { kind, version, payload }),
        }
    }

    /// Appends `kind`, `version` and a value's encoding as one frame.
    pub fn append<T: Encode>(kind: u16, version: u16, value: &T, out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(USUAL_BYTES);
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        encode_into(value, out);
        let len = u32::try_from(out.len() - start - FRAME_HEAD_BYTES).expect("values are bounded");
        out[start + 4..start + FRAME_HEAD_BYTES].copy_from_slice(&len.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_form() {
        let bytes = encode(&(7u16, vec![1u8, 2]));
        assert_eq!(bytes, [7, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(decode::<(u16, Vec<u8>)>(&bytes), Ok((7, vec![1, 2])));
    }

    #[test]
    fn leftover_and_missing_bytes_are_refused() {
        let mut bytes = encode(&7u64);
        bytes.push(0);
        assert_eq!(decode::<u64>(&bytes), Err(Error::TrailingBytes { extra: 1 }));
        assert!(matches!(decode::<u64>(&bytes[..7]), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_length_beyond_the_bytes_reserves_nothing() {
        let bytes = encode(&u64::MAX);
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(Error::Malformed(_))));
    }

    #[test]
    fn frames_use_all_bytes() {
        let mut out = Vec::new();
        Frame::append(3, 1, &9u32, &mut out);
        assert_eq!(out, [3, 0, 1, 0, 4, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(Frame::parse(&out).map(|f| (f.kind, f.version, f.payload.len())), Ok((3, 1, 4)));
        assert!(Frame::parse(&out[..11]).is_err());
        out.push(0);
        assert_eq!(Frame::parse(&out), Err(Error::TrailingBytes { extra: 1 }));
    }
}
