//! Names of things: nodes and agents are Ed25519 keys, a federation is its genesis digest, runs and steps are UUIDs.
//!
//! A step's id is its run's id with the step's number (1 to 200) in the last byte, which is 0 in a run's id: whoever
//! holds a step id holds the run id, without a table.

use crate::codec::{Decode, Encode};
use crate::time::Wall;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Why text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not 64 hex digits (with or without `sha256:` for a digest).
    #[error("not a digest: want 64 hex digits")]
    Digest,
    /// Not a UUID in its usual text form.
    #[error("not a UUID")]
    Uuid,
    /// A UUID of the other kind: a run id ends in 00, a step id in 01 to c8.
    #[error("a UUID, but not of this kind of thing")]
    Kind,
}

/// SHA-256 of some bytes; printed as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// Reads 64 hex digits, with or without `sha256:` before them.
    ///
    /// # Errors
    /// [`Error::Digest`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(hex, &mut bytes).map_err(|_| Error::Digest)?;
        Ok(Digest(bytes))
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"sha256:0000000000000000000000000000000000000000000000000000000000000000";
        write_hex(&self.0, &mut text[7..]);
        f.write_str(ascii(&text))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A federation: the digest of its genesis record. Printed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct FederationId(pub [u8; 32]);

impl FederationId {
    /// The federation that a genesis record founds, from the record's encoding:
    /// `SHA-256("artel/1/genesis" ‖ 00 ‖ record)`.
    pub fn of_genesis(record: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(b"artel/1/genesis\0").chain_update(record);
        FederationId(hash.finalize().into())
    }

    /// Reads 64 hex digits.
    ///
    /// # Errors
    /// [`Error::Digest`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        Digest::parse(text).map(|d| FederationId(d.0))
    }
}

impl fmt::Display for FederationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for FederationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Sixteen bytes in a UUID's text form.
pub fn uuid(bytes: &[u8; 16]) -> String {
    ascii(&uuid_text(bytes)).to_owned()
}

fn uuid_text(bytes: &[u8; 16]) -> [u8; 36] {
    let mut text = [b'-'; 36];
    write_hex(&bytes[..4], &mut text[..8]);
    write_hex(&bytes[4..6], &mut text[9..13]);
    write_hex(&bytes[6..8], &mut text[14..18]);
    write_hex(&bytes[8..10], &mut text[19..23]);
    write_hex(&bytes[10..], &mut text[24..]);
    text
}

/// Writes two hex digits a byte into `text`, which has room for exactly these.
fn write_hex(bytes: &[u8], text: &mut [u8]) {
    hex::encode_to_slice(bytes, text).expect("two places a byte");
}

/// Text that was written here, in ASCII. Ids are printed several times in every answer, so they are put together in
/// place and not by a formatter.
pub(crate) fn ascii(text: &[u8]) -> &str {
    std::str::from_utf8(text).expect("ASCII is UTF-8")
}

fn uuid_parse(text: &str) -> Result<[u8; 16], Error> {
    let t = text.as_bytes();
    if t.len() != 36 || [8, 13, 18, 23].iter().any(|&i| t[i] != b'-') {
        return Err(Error::Uuid);
    }
    let hex: Vec<u8> = t.iter().copied().filter(|&b| b != b'-').collect();
    let mut bytes = [0; 16];
    hex::decode_to_slice(&hex, &mut bytes).map_err(|_| Error::Uuid)?;
    Ok(bytes)
}

/// A UUID version 7 (RFC 9562): 48 bits of milliseconds, then randomness; the last byte is left 0.
fn uuid_v7(at: Wall, entropy: [u8; 9]) -> [u8; 16] {
    let mut b = [0; 16];
    b[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
    b[6..15].copy_from_slice(&entropy);
    b[6] = 0x70 | b[6] & 0x0f;
    b[8] = 0x80 | b[8] & 0x3f;
    b
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, last byte $last:pat) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
        pub struct $name([u8; 16]);

        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                let bytes = <[u8; 16]>::decode(decoder)?;
                match bytes[15] {
                    $last => Ok($name(bytes)),
                    #[allow(unreachable_patterns)]
                    _ => Err(DecodeError::Other(concat!("not the id of a ", stringify!($name)))),
                }
            }
        }

        bincode::impl_borrow_decode!($name);

        impl $name {
            /// The sixteen bytes, in the order in which they are printed.
            pub fn bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ascii(&uuid_text(&self.0)))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ascii(&uuid_text(&self.0)))
            }
        }
    };
}

uuid_id!(
    /// A run.
    RunId, last byte 0
);
uuid_id!(
    /// A step of a run; a task is an offered step and bears the same id.
    StepId, last byte 1..=200
);
uuid_id!(
    /// An artifact's entry; its bytes are named by their digest.
    ArtifactId, last byte _
);
uuid_id!(
    /// An open enrollment.
    EnrollmentId, last byte _
);

/// The most steps in a run (decision 19). The number must fit the last byte of a step's id.
pub const RUN_STEPS_MAX: usize = 200;

impl RunId {
    /// A new run's id from the moment and nine random bytes.
    pub fn new(at: Wall, entropy: [u8; 9]) -> Self {
        RunId(uuid_v7(at, entropy))
    }

    /// The id of the run's step number `index`, counted from 0.
    ///
    /// # Panics
    /// When `index` is not below [`RUN_STEPS_MAX`].
    pub fn step(&self, index: usize) -> StepId {
        assert!(index < RUN_STEPS_MAX, "a run has at most {RUN_STEPS_MAX} steps");
        let mut bytes = self.0;
        bytes[15] = index as u8 + 1;
        StepId(bytes)
    }

    /// Reads a run's id.
    ///
    /// # Errors
    /// [`Error::Uuid`] or [`Error::Kind`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bytes = uuid_parse(text)?;
        if bytes[15] != 0 { Err(Error::Kind) } else { Ok(RunId(bytes)) }
    }
}

impl StepId {
    /// The run that the step belongs to.
    pub fn run(&self) -> RunId {
        let mut bytes = self.0;
        bytes[15] = 0;
        RunId(bytes)
    }

    /// The step's number in its run, counted from 0.
    pub fn index(&self) -> usize {
        usize::from(self.0[15]).saturating_sub(1)
    }

    /// Reads a step's id.
    ///
    /// # Errors
    /// [`Error::Uuid`] or [`Error::Kind`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bytes = uuid_parse(text)?;
        if !(1..=RUN_STEPS_MAX).contains(&usize::from(bytes[15])) {
            Err(Error::Kind)
        } else {
            Ok(StepId(bytes))
        }
    }
}

impl ArtifactId {
    /// A new artifact's id from the moment and nine random bytes.
    pub fn new(at: Wall, entropy: [u8; 9]) -> Self {
        ArtifactId(uuid_v7(at, entropy))
    }
    /// Reads an artifact's id.
    ///
    /// # Errors
    /// [`Error::Uuid`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        uuid_parse(text).map(ArtifactId)
    }
}

impl EnrollmentId {
    /// A new enrollment's id from the moment and nine random bytes.
    pub fn new(at: Wall, entropy: [u8; 9]) -> Self {
        EnrollmentId(uuid_v7(at, entropy))
    }
    /// Reads an enrollment's id.
    ///
    /// # Errors
    /// [`Error::Uuid`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        uuid_parse(text).map(EnrollmentId)
    }
}

/// A lease's fencing token: rises with every grant of a step, starts at 1, and is never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Epoch {
        Epoch(self.0.checked_add(1).expect("lapses are limited, so epochs end long before 32 bits"))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_id_names_its_run() {
        let run = RunId::new(Wall(1_771_588_800_123), [7; 9]);
        assert_eq!(run.to_string(), "019c7aeb-ce7b-7707-8707-070707070700");
        let step = run.step(41);
        assert_eq!((step.run(), step.index()), (run, 41));
        assert_eq!(StepId::parse(&step.to_string()), Ok(step));
        assert_eq!(StepId::parse(&run.to_string()), Err(Error::Kind));
        assert_eq!(RunId::parse(&step.to_string()), Err(Error::Kind));
    }

    #[test]
    fn bytes_of_the_other_kind_do_not_decode() {
        let run = RunId::new(Wall(1), [7; 9]);
        let (run_bytes, step_bytes) = (crate::codec::encode(&run), crate::codec::encode(&run.step(0)));
        assert_eq!(crate::codec::decode::<RunId>(&run_bytes), Ok(run));
        assert!(crate::codec::decode::<StepId>(&run_bytes).is_err());
        assert!(crate::codec::decode::<RunId>(&step_bytes).is_err());
    }

    #[test]
    fn only_the_usual_text_is_a_uuid() {
        for text in [
            "",
            "019c7b1a447b77078707070707070700",
            "019c7b1a-447b-7707-8707-07070707070g",
            "é19c7b1a-447b-7707-8707-0707070707",
        ] {
            assert_eq!(RunId::parse(text), Err(Error::Uuid), "{text}");
        }
    }

    #[test]
    fn digests_read_with_and_without_their_algorithm() {
        let d = Digest::of(b"artel");
        assert_eq!(Digest::parse(&d.to_string()), Ok(d));
        assert_eq!(Digest::parse(&d.hex()), Ok(d));
        assert_eq!(Digest::parse("sha256:00"), Err(Error::Digest));
    }
}
