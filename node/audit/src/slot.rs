//! The two checkpoint slots: the last signed sizes and roots, written in turns, so that one is always whole.
//!
//! `checkpoint.a` and `.b`: `magic8 ‖ format u32 ‖ sequence u64 ‖ public_seq u64 ‖ note_len u32 ‖ signed note`, zeros, and a
//! CRC32C in the last 4 of 1,024 bytes. The one with the higher sequence counts. A checkpoint leaves the node only after a
//! slot that holds it, or a later one, was synced.

use crate::error::{Error, Notice};
use crate::files::{self, Access, File, Files};
use crate::frame::Bytes;
use artel_protocol::log::{Origin, SignedCheckpoint};
use std::io;
use std::sync::Arc;

/// The names of the slots.
pub const SLOT_FILES: [&str; 2] = ["checkpoint.a", "checkpoint.b"];

/// The bytes of a slot: a note of one signature has about 430, the head 32.
pub const SLOT_BYTES: usize = 1024;

const MAGIC: &[u8; 8] = b"ARTELCKP";
const FORMAT: u32 = 1;

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Rises with every write.
    pub sequence: u64,
    /// How many public entries the checkpoint covers.
    pub public_seq: u64,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl Slot {
    /// The slot's bytes.
    ///
    /// # Panics
    /// Never for a checkpoint with the node's own signature alone, which is far shorter than a slot.
    pub fn to_bytes(&self) -> Vec<u8> {
        let note = self.checkpoint.to_string();
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.public_seq.to_le_bytes());
        bytes.extend_from_slice(&(note.len() as u32).to_le_bytes());
        bytes.extend_from_slice(note.as_bytes());
        assert!(bytes.len() <= SLOT_BYTES - 4, "a note of one signature fits a slot");
        bytes.resize(SLOT_BYTES - 4, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a slot and checks its signature.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() != SLOT_BYTES {
            return Err(format!("a checkpoint slot has {SLOT_BYTES} bytes, this one has {}", bytes.len()));
        }
        let (text, crc) = bytes.split_at(SLOT_BYTES - 4);
        if crc != crc32c::crc32c(text).to_le_bytes() {
            return Err("the checkpoint slot is damaged".into());
        }
        Self::parse_checked(text).ok_or_else(|| "the checkpoint slot is malformed".to_owned())?
    }

    fn parse_checked(text: &[u8]) -> Option<Result<Self, String>> {
        let mut rest = Bytes(text);
        if rest.array()? != MAGIC || rest.u32()? != FORMAT {
            return None;
        }
        let (sequence, public_seq, len) = (rest.u64()?, rest.u64()?, rest.u32()?);
        let note = std::str::from_utf8(rest.take(len as usize)?).ok()?;
        if rest.0.iter().any(|b| *b != 0) {
            return None;
        }
        let slot = SignedCheckpoint::parse(note).map(|checkpoint| Slot { sequence, public_seq, checkpoint });
        Some(slot.map_err(|e| format!("its checkpoint is not good: {e}")))
    }
}

/// The slots of an open journal, and which of them is to be written next.
pub(crate) struct Slots {
    files: Arc<dyn Files>,
    handles: [Option<Arc<dyn File>>; 2],
    /// The slot that holds the newest checkpoint.
    newest: usize,
    /// What it holds.
    current: Slot,
}

/// What was found in the slots of a directory.
pub(crate) enum Found {
    /// Neither file is there.
    Nothing,
    /// The newest usable one, its number, and what is wrong with the other.
    Usable(Box<Slot>, usize, Option<Notice>),
}

/// Reads both slots of a journal.
pub(crate) fn load(files: &dyn Files, origin: Option<&Origin>) -> Result<Found, Error> {
    let mut usable: Option<(Slot, usize)> = None;
    let mut wrong: Vec<(&str, String)> = Vec::new();
    let mut missing = 0;
    for (at, file) in SLOT_FILES.into_iter().enumerate() {
        let bytes = match files::read_whole(files, file, SLOT_BYTES as u64 * 2) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                missing += 1;
                wrong.push((file, "the checkpoint slot is missing".into()));
                continue;
            }
            Err(e) if e.kind() == io::ErrorKind::FileTooLarge => {
                wrong.push((file, "the file is too long for a checkpoint slot".into()));
                continue;
            }
            Err(e) => return Err(Error::io(file, "read")(e)),
        };
        match Slot::parse(&bytes) {
            Err(what) => wrong.push((file, what)),
            Ok(slot) if origin.is_some_and(|o| *o != slot.checkpoint.origin()) => {
                let what = format!("it belongs to another journal, {}", slot.checkpoint.origin());
                return Err(Error::damaged(file, what));
            }
            Ok(slot) if usable.as_ref().is_none_or(|(other, _)| other.sequence < slot.sequence) => {
                usable = Some((slot, at));
            }
            Ok(_) => (),
        }
    }
    match usable {
        Some((slot, at)) => {
            let notice = wrong.pop().map(|(file, what)| Notice::SlotDamaged { file: file.into(), what });
            Ok(Found::Usable(Box::new(slot), at, notice))
        }
        None if missing == 2 => Ok(Found::Nothing),
        None => {
            let (file, what) = wrong.swap_remove(0);
            let other = wrong.pop().map_or(String::new(), |(file, what)| format!(", and {file}: {what}"));
            Err(Error::damaged(file, format!("{what}{other}")))
        }
    }
}

impl Slots {
    /// Writes the first slots of a journal.
    pub fn create(files: Arc<dyn Files>, checkpoint: SignedCheckpoint) -> Result<Self, Error> {
        let mut slots = Slots {
            files,
            handles: [None, None],
            newest: 1,
            current: Slot { sequence: 0, public_seq: 0, checkpoint: checkpoint.clone() },
        };
        slots.write(checkpoint.clone(), 0)?;
        slots.write(checkpoint, 0)?;
        Ok(slots)
    }

    /// Goes on from what [`load`] found.
    pub fn resume(files: Arc<dyn Files>, current: Slot, newest: usize) -> Self {
        Slots { files, handles: [None, None], newest, current }
    }

    /// The checkpoint in the newest synced slot.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.current.checkpoint
    }

    /// Writes a checkpoint into the older slot and syncs it. After an error the slot's file is not written again: the next
    /// attempt replaces it.
    pub fn write(&mut self, checkpoint: SignedCheckpoint, public_seq: u64) -> Result<(), Error> {
        let slot = Slot { sequence: self.current.sequence + 1, public_seq, checkpoint };
        let at = 1 - self.newest;
        let bytes = slot.to_bytes();
        match self.handles[at].take() {
            Some(file) => {
                file.write_at(&bytes, 0).map_err(Error::io(SLOT_FILES[at], "write"))?;
                file.sync_data().map_err(Error::io(SLOT_FILES[at], "sync"))?;
                self.handles[at] = Some(file);
            }
            None => {
                files::replace(self.files.as_ref(), SLOT_FILES[at], &bytes)
                    .map_err(Error::io(SLOT_FILES[at], "write"))?;
                let opened = self.files.open(SLOT_FILES[at], Access::Write);
                self.handles[at] = Some(opened.map_err(Error::io(SLOT_FILES[at], "open"))?);
            }
        }
        self.newest = at;
        self.current = slot;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Fault, MemoryDisk, Plan};
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};
    use artel_protocol::log::{Checkpoint, tree};

    fn signed(size: u64) -> SignedCheckpoint {
        let secret = SecretKey::from_seed(&[1; 32]);
        let origin = Origin::new(FederationId([2; 32]), NodeId(secret.public()), 0);
        let checkpoint = Checkpoint::new(origin, size, tree::leaf_hash(b"root")).expect("not empty");
        SignedCheckpoint::sign(checkpoint, &secret).expect("our key")
    }

    fn newest(disk: &MemoryDisk) -> u64 {
        match load(disk, None).expect("one slot is good") {
            Found::Usable(slot, _, _) => slot.checkpoint.size(),
            Found::Nothing => 0,
        }
    }

    #[test]
    fn every_flipped_bit_of_a_slot_is_found() {
        let slot = Slot { sequence: 5, public_seq: 3, checkpoint: signed(9) };
        let bytes = slot.to_bytes();
        assert_eq!(Slot::parse(&bytes), Ok(slot));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Slot::parse(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_crash_at_any_point_leaves_the_last_or_the_next_checkpoint() {
        for point in 0..40 {
            let disk = MemoryDisk::new();
            let mut slots = Slots::create(Arc::new(disk.clone()), signed(1)).expect("created");
            let from = disk.points() + point;
            disk.plan(Plan { fault: Fault::Crash, from, count: 1 });
            let synced = (2..9).take_while(|size| slots.write(signed(*size), 0).is_ok()).last().unwrap_or(1);
            for seed in 0..20 {
                let found = newest(&disk.after_crash(seed));
                assert!((synced..=synced + 1).contains(&found), "{found} after {synced}");
            }
        }
    }

    #[test]
    fn a_slot_that_failed_is_replaced_not_written_again() {
        for fault in [Fault::Eio, Fault::Full] {
            for point in 0..6 {
                let disk = MemoryDisk::with_seed(point);
                let mut slots = Slots::create(Arc::new(disk.clone()), signed(1)).expect("created");
                slots.write(signed(2), 0).expect("written");
                let from = disk.points() + point;
                disk.plan(Plan { fault, from, count: 1 });
                let failed = (3..6).find(|size| slots.write(signed(*size), 0).is_err()).unwrap_or(3);
                disk.heal();
                slots.write(signed(9), 0).expect("healed");
                assert!(failed < 9);
                for seed in 0..10 {
                    assert_eq!(newest(&disk.after_crash(seed)), 9);
                }
            }
        }
    }
}
