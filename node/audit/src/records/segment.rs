//! Segments of records: `records/<number, 16 digits>.seg`, from 1 on. A head of one sector, `magic8 ‖ format u32 ‖ federation32 ‖
//! number u32 ‖ before_end u32`, zeros, and a CRC32C in its last 4 bytes; then frames to the end of the file.
//!
//! Segments grow; they are not filled with zeros ahead. Nobody waits for a record as for an acknowledgement, a filled
//! segment costs every byte twice, and a store of small segments that come and go would hold mostly zeros.

use super::error::Error;
use crate::files::{self, Access, File, Files};
use artel_protocol::id::FederationId;
use std::io;
use std::sync::Arc;

/// The directory of others' records.
pub const RECORDS_DIR: &str = "records";

/// The bytes of a segment's head: one sector, so that no frame shares a sector with it.
pub(crate) const HEAD_BYTES: u32 = 512;

const MAGIC: &[u8; 8] = b"ARTELREC";

const FORMAT: u32 = 1;

/// A new segment before it has its name.
pub(crate) const NEW_FILE: &str = "records/new.tmp";

/// The path of a segment.
pub(crate) fn path(number: u32) -> String {
    format!("{RECORDS_DIR}/{number:016}.seg")
}

/// The number in a segment's file name; `None` for any other name.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok().filter(|number| *number > 0) } else { None }
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub federation: FederationId,
    pub number: u32,
    /// Where the segment with the number before it ends. What stands behind that was never called kept; it may be in the
    /// kernel's cache only, so it is not read.
    pub before_end: u32,
}

/// What is wrong with a head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    Damaged,
    Format(u32),
}

impl Head {
    pub fn to_bytes(self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..44].copy_from_slice(&self.federation.0);
        bytes[44..48].copy_from_slice(&self.number.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.before_end.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let bytes: &[u8; HEAD_BYTES as usize] = bytes.try_into().map_err(|_| HeadError::Damaged)?;
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        if &bytes[..8] != MAGIC || u32_at(508) != crc32c::crc32c(&bytes[..508]) {
            return Err(HeadError::Damaged);
        }
        if u32_at(8) != FORMAT {
            return Err(HeadError::Format(u32_at(8)));
        }
        Ok(Head {
            federation: FederationId(bytes[12..44].try_into().expect("32 bytes")),
            number: u32_at(44),
            before_end: u32_at(48),
        })
    }

    /// Reads the head of the segment with this number. A head that names another number is as good as damaged.
    pub fn read(file: &dyn File, number: u32) -> io::Result<Result<Self, HeadError>> {
        let mut bytes = [0; HEAD_BYTES as usize];
        let read = files::read_up_to(file, &mut bytes, 0)?;
        let head = Head::parse(&bytes[..read]);
        Ok(head.and_then(|head| if head.number == number { Ok(head) } else { Err(HeadError::Damaged) }))
    }
}

/// Why a segment was not made.
pub(crate) struct CreateError {
    pub error: Error,
    /// The file bears its name already, though perhaps not durably.
    pub named: Option<Arc<dyn File>>,
}

/// Makes a segment that begins with `frames`, and gives it its name once all of it is durable.
pub(crate) fn create(files: &dyn Files, head: Head, frames: &[u8]) -> Result<Arc<dyn File>, CreateError> {
    let path = path(head.number);
    let made = write_new(files, head, frames).and_then(|file| {
        files.rename(NEW_FILE, &path)?;
        Ok(file)
    });
    let file = made.map_err(|cause| {
        // A full disk needs the room; opening removes it otherwise.
        let _ = files.remove(NEW_FILE);
        CreateError { error: Error::io(&path, "create")(cause), named: None }
    })?;
    match files.sync_dir(RECORDS_DIR) {
        Ok(()) => Ok(file),
        Err(cause) => {
            let error = Error::io(path, "make durable the name of")(cause);
            Err(CreateError { error, named: Some(file) })
        }
    }
}

fn write_new(files: &dyn Files, head: Head, frames: &[u8]) -> io::Result<Arc<dyn File>> {
    let file = files.open(NEW_FILE, Access::Fresh)?;
    file.write_at(&head.to_bytes(), 0)?;
    if !frames.is_empty() {
        file.write_at(frames, u64::from(HEAD_BYTES))?;
    }
    file.sync_data()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_head_is_found() {
        let head = Head { federation: FederationId([2; 32]), number: 77, before_end: 900 };
        assert_eq!(Head::parse(&head.to_bytes()), Ok(head));
        for bit in 0..HEAD_BYTES as usize * 8 {
            let mut bytes = head.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::parse(&bytes), Err(HeadError::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn only_sixteen_digits_name_a_segment() {
        assert_eq!(number_of("0000000000000042.seg"), Some(42));
        for name in
            ["42.seg", "new.tmp", "0000000000000000.seg", "0000000000000042.seg.bak", "+000000000000042.seg"]
        {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}
