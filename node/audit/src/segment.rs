//! Segment files: their names, their heads, and how a new one comes to be.
//!
//! `journal/<first index, 20 digits>.seg` begins with a head of one sector, `magic8 ‖ format u32 ‖ federation32 ‖ node32 ‖
//! incarnation u32 ‖ first_index u64`, zeros, and a CRC32C in its last 4 bytes; frames follow, then zeros to the end. A
//! segment is filled, synced and only then given its name, so that a file with a segment's name always has a whole head.

use crate::error::Error;
use crate::files::{self, Access, File, Files};
use crate::spare::SpareFile;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;
use std::io;
use std::sync::Arc;

/// The directory of the segments.
pub const JOURNAL_DIR: &str = "journal";

/// The bytes of a segment's head: one sector, so that no frame shares a sector with it.
pub const SEGMENT_HEAD_BYTES: u64 = 512;

const MAGIC: &[u8; 8] = b"ARTELSEG";

/// The version of heads and frames that is written and read.
pub const SEGMENT_FORMAT: u32 = 1;

/// A new segment before it has its name.
pub(crate) const NEW_FILE: &str = "journal/new.tmp";

/// The path of the segment that begins with this entry.
pub fn path(first_index: u64) -> String {
    format!("{JOURNAL_DIR}/{first_index:020}.seg")
}

/// The index in a segment's file name; `None` for any other name.
pub fn index_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The journal that the segment belongs to.
    pub origin: Origin,
    /// Its first entry.
    pub first_index: u64,
}

impl Head {
    /// The head's bytes.
    pub fn to_bytes(self) -> [u8; SEGMENT_HEAD_BYTES as usize] {
        let mut bytes = [0; SEGMENT_HEAD_BYTES as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&SEGMENT_FORMAT.to_le_bytes());
        bytes[12..44].copy_from_slice(&self.origin.federation().0);
        bytes[44..76].copy_from_slice(self.origin.node().key().bytes());
        bytes[76..80].copy_from_slice(&self.origin.incarnation().to_le_bytes());
        bytes[80..88].copy_from_slice(&self.first_index.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a head.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(bytes: &[u8; SEGMENT_HEAD_BYTES as usize]) -> Result<Self, String> {
        if &bytes[..8] != MAGIC {
            return Err("not a journal segment".into());
        }
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        if u32_at(508) != crc32c::crc32c(&bytes[..508]) {
            return Err("the head of the segment is damaged".into());
        }
        if u32_at(8) != SEGMENT_FORMAT {
            return Err(format!("segment format {} is not known here", u32_at(8)));
        }
        let array = |at: usize| bytes[at..at + 32].try_into().expect("32 bytes");
        let node = NodeId(PublicKey::from_bytes(array(44)));
        Ok(Head {
            origin: Origin::new(FederationId(array(12)), node, u32_at(76)),
            first_index: u64::from_le_bytes(bytes[80..88].try_into().expect("8 bytes")),
        })
    }
}

/// Opens a segment by the index in its name and checks its head against it.
pub(crate) fn open(
    files: &dyn Files,
    first_index: u64,
    origin: Option<&Origin>,
    access: Access,
) -> Result<(Arc<dyn File>, Head), Error> {
    let path = path(first_index);
    let file = files.open(&path, access).map_err(Error::io(&path, "open"))?;
    let mut bytes = [0; SEGMENT_HEAD_BYTES as usize];
    let read = files::read_up_to(file.as_ref(), &mut bytes, 0).map_err(Error::io(&path, "read"))?;
    if read < bytes.len() {
        return Err(Error::damaged(path, format!("the file is cut: it has {read} bytes")));
    }
    let head = Head::parse(&bytes).map_err(|what| Error::damaged(&path, what))?;
    if origin.is_some_and(|origin| *origin != head.origin) {
        return Err(Error::damaged(path, format!("it belongs to another journal, {}", head.origin)));
    }
    if head.first_index != first_index {
        let what = format!("it was renamed: it begins with entry {}", head.first_index);
        return Err(Error::damaged(path, what));
    }
    Ok((file, head))
}

/// Why a segment was not made.
pub(crate) struct CreateError {
    pub error: Error,
    /// The file bears a segment's name already, though perhaps not durably: nothing may be appended to the segment before
    /// it until the journal was opened again.
    pub named: bool,
}

/// Makes a segment of at least `bytes` bytes that begins with `frames`, and gives it its name once all of it is durable.
/// A spare that was made ahead is used when it is given.
pub(crate) fn create(
    files: &dyn Files,
    head: Head,
    bytes: u64,
    frames: &[u8],
    spare: Option<SpareFile>,
) -> Result<Arc<dyn File>, CreateError> {
    let path = path(head.first_index);
    let zeros = match spare {
        Some(spare) => spare.begin(files),
        None => zeros(files, bytes.max(SEGMENT_HEAD_BYTES + frames.len() as u64)),
    };
    let file = zeros
        .and_then(|file| fill(file, head, frames))
        .and_then(|file| files.rename(NEW_FILE, &path).map(|()| file))
        .map_err(|cause| {
            // A full disk needs the room; that a half-made file stays would do no other harm.
            let _ = files.remove(NEW_FILE);
            let error = Error::io(&path, "create")(cause);
            CreateError { error, named: false }
        })?;
    match files.sync_dir(JOURNAL_DIR) {
        Ok(()) => Ok(file),
        Err(cause) => {
            let error = Error::io(path, "make durable the name of")(cause);
            Err(CreateError { error, named: true })
        }
    }
}

fn zeros(files: &dyn Files, bytes: u64) -> io::Result<Arc<dyn File>> {
    let file = files.open(NEW_FILE, Access::Fresh)?;
    files::fill_with_zeros(file.as_ref(), bytes)?;
    Ok(file)
}

fn fill(file: Arc<dyn File>, head: Head, frames: &[u8]) -> io::Result<Arc<dyn File>> {
    file.write_at(&head.to_bytes(), 0)?;
    if !frames.is_empty() {
        file.write_at(frames, SEGMENT_HEAD_BYTES)?;
    }
    file.sync_data()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    #[test]
    fn every_flipped_bit_of_a_head_is_found() {
        let node = NodeId(SecretKey::from_seed(&[1; 32]).public());
        let head = Head { origin: Origin::new(FederationId([2; 32]), node, 3), first_index: 77 };
        assert_eq!(Head::parse(&head.to_bytes()), Ok(head));
        for bit in 0..SEGMENT_HEAD_BYTES as usize * 8 {
            let mut bytes = head.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Head::parse(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn only_twenty_digits_name_a_segment() {
        assert_eq!(index_of("00000000000000000042.seg"), Some(42));
        for name in ["42.seg", "new.tmp", "00000000000000000042.seg.bak", "+0000000000000000042.seg"] {
            assert_eq!(index_of(name), None, "{name}");
        }
    }
}
