//! The witness table: for each journal the newest size and root that this node has cosigned or accepted, synced before anybody
//! hears of it. With it the node never signs two histories of one journal, across restarts and power losses.
//!
//! `records/witness` is a head of 16 bytes and entries behind one another, each written twice, so that a damaged byte loses
//! none. It is written anew when most of it is old, after any failure, and at every start. Where entries were lost all the
//! same, `records/witness.lost` says so until [`WitnessTable::made_up`].

use super::error::Error;
use super::segment::RECORDS_DIR;
use crate::files::{self, Access, File, Files};
use crate::frame::Bytes;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::{Hash, Origin};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The file of the table.
pub const WITNESS_FILE: &str = "records/witness";

/// The file that stands beside the table while entries of it are lost; what is in it is for people.
pub const WITNESS_LOST_FILE: &str = "records/witness.lost";

const LOST_TEXT: &[u8] =
    b"entries of records/witness were lost: what this node cosigned is to be made up for first\n";

/// The most journals that are remembered (8,192). At the limit a new one is refused: forgetting an old one would let its
/// node show us another history.
pub const WITNESS_ORIGINS_MAX: usize = 8192;

/// The most bytes of a checkpoint's text (4 KiB): its node's own signature and a dozen cosignatures.
pub const WITNESS_NOTE_BYTES_MAX: usize = 4 << 10;

/// How many bytes of old entries are let stand beside as many that count (1 MiB). Less, and the table is written anew more
/// often.
const OLD_BYTES: u64 = 1 << 20;

const MAGIC: &[u8; 8] = b"ARTELWIT";
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 16;

/// `len u32 ‖ crc u32` before an entry's payload.
const FRONT_BYTES: usize = 8;

/// `sequence u64 ‖ size u64 ‖ root32 ‖ federation32 ‖ node32 ‖ incarnation u32`, before the note.
const FIXED_BYTES: usize = 8 + 8 + 32 + 32 + 32 + 4;

const PAYLOAD_BYTES_MAX: usize = FIXED_BYTES + WITNESS_NOTE_BYTES_MAX;

/// The most bytes of both copies of an entry.
const ENTRY_BYTES_MAX: u64 = 2 * (FRONT_BYTES + PAYLOAD_BYTES_MAX) as u64;

/// The most bytes that are read: twice what a full table has, and what stands beside it.
const FILE_BYTES_MAX: u64 = WITNESS_ORIGINS_MAX as u64 * 2 * ENTRY_BYTES_MAX + 2 * OLD_BYTES;

/// What is remembered of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Its size.
    pub size: u64,
    /// Its root at this size.
    pub root: Hash,
    /// The signed checkpoint.
    pub note: String,
}

/// Why a checkpoint is not remembered. Nothing of it may be signed or believed.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// A larger size is known.
    #[error("size {} of this journal is known", known.size)]
    Older {
        /// What is known.
        known: Witnessed,
    },
    /// Another root of this size is known: together they are proof of a fork.
    #[error("another root of size {} of this journal is known", known.size)]
    Fork {
        /// What is known.
        known: Witnessed,
    },
    /// There are [`WITNESS_ORIGINS_MAX`] journals already.
    #[error("{WITNESS_ORIGINS_MAX} journals are remembered, which is the limit")]
    TooManyOrigins,
    /// The checkpoint's text has a control character, which no signed note has.
    #[error("the checkpoint is not a signed note")]
    NotANote,
    /// The checkpoint's text is too long.
    #[error("a checkpoint of {bytes} bytes, at most {WITNESS_NOTE_BYTES_MAX} are allowed")]
    NoteTooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The disk said no. What was remembered before is remembered still.
    #[error(transparent)]
    Disk(#[from] Error),
}

/// What was found when the table was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessNotice {
    /// Bytes were damaged, or a second copy was not finished, but every entry is there: each stands twice.
    Repaired {
        /// How many bytes.
        bytes: u64,
    },
    /// Entries were lost: of some journal an older size may stand there now, or none. Until what others hold was fetched no
    /// journal may be cosigned: [`WitnessTable::is_lost`].
    Lost {
        /// How many entries at least, old ones too.
        entries: u64,
    },
    /// Entries were lost at an earlier start, and it was not made up for yet.
    StillLost,
    /// The last entry was not written whole; nobody was told that it is remembered.
    TailCut {
        /// How many bytes.
        bytes: u64,
    },
}

impl fmt::Display for WitnessNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WitnessNotice::Repaired { bytes } => {
                write!(
                    f,
                    "{WITNESS_FILE}: {bytes} bytes were damaged or unfinished; every entry was there a second time and was written anew"
                )
            }
            WitnessNotice::Lost { entries } => write!(
                f,
                "{WITNESS_FILE}: {entries} entries are damaged and lost; fetch the newest heads from others before cosigning"
            ),
            WitnessNotice::StillLost => write!(
                f,
                "{WITNESS_FILE}: entries were lost at an earlier start; fetch the newest heads from others before cosigning"
            ),
            WitnessNotice::TailCut { bytes } => {
                write!(f, "{WITNESS_FILE}: {bytes} bytes at its end are no whole entry and were cut")
            }
        }
    }
}

/// The table of what was cosigned. There is one.
pub struct WitnessTable {
    files: Arc<dyn Files>,
    known: BTreeMap<Origin, Witnessed>,
    /// The file and where the next entry goes; `None` when the table must be written anew.
    file: Option<(Arc<dyn File>, u64)>,
    sequence: u64,
    /// Whether entries were lost that nothing was made up for yet.
    lost: bool,
    /// The bytes of the entries that count.
    live: u64,
    /// [`OLD_BYTES`], or less in tests.
    old_bytes: u64,
}

impl WitnessTable {
    /// Opens the table; what is in the file is written anew, since it may be in the kernel's cache only.
    ///
    /// # Errors
    /// [`Error::Io`], when the disk says no, [`Error::Format`] for a table that a later version wrote.
    pub fn open(files: Arc<dyn Files>) -> Result<(Self, Vec<WitnessNotice>), Error> {
        files.create_dir(RECORDS_DIR).map_err(Error::io(RECORDS_DIR, "create"))?;
        files.sync_dir("").map_err(Error::io(RECORDS_DIR, "make durable the name of"))?;
        let mut table = WitnessTable {
            files,
            known: BTreeMap::new(),
            file: None,
            sequence: 0,
            lost: false,
            live: 0,
            old_bytes: OLD_BYTES,
        };
        let bytes = match files::read_whole(table.files.as_ref(), WITNESS_FILE, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io(WITNESS_FILE, "read")(e)),
        };
        let mut notices = Vec::new();
        if !bytes.is_empty() {
            notices = table.read(&bytes)?;
            if notices.iter().any(|notice| matches!(notice, WitnessNotice::Lost { .. })) {
                // First: what is written anew has no sign of the damage any more.
                files::replace(table.files.as_ref(), WITNESS_LOST_FILE, LOST_TEXT)
                    .map_err(Error::io(WITNESS_LOST_FILE, "write"))?;
                table.lost = true;
            }
            table.rewrite(None)?;
        }
        if !table.lost {
            table.lost = is_there(table.files.as_ref(), WITNESS_LOST_FILE)?;
            notices.extend(table.lost.then_some(WitnessNotice::StillLost));
        }
        Ok((table, notices))
    }

    /// Whether entries were lost, at this start or an earlier one, so that an older size of a journal may stand here than this
    /// node cosigned, or none.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Notes, durably, that what others hold was fetched since entries were lost.
    ///
    /// # Errors
    /// [`Error::Io`]; then they are lost still.
    pub fn made_up(&mut self) -> Result<(), Error> {
        if self.lost {
            match self.files.remove(WITNESS_LOST_FILE) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(WITNESS_LOST_FILE, "remove")(e));
                }
                // It may have been removed before, and its name not been made durable.
                _ => {}
            }
            let synced = self.files.sync_dir(RECORDS_DIR);
            synced.map_err(Error::io(RECORDS_DIR, "make durable the names in"))?;
            self.lost = false;
        }
        Ok(())
    }

    /// Remembers a journal's newest size and root, durably. What is known already is well.
    ///
    /// # Errors
    /// [`WitnessError`]; then the table is what it was.
    pub fn remember(
        &mut self,
        origin: Origin,
        size: u64,
        root: Hash,
        note: &str,
    ) -> Result<(), WitnessError> {
        match self.known.get(&origin) {
            Some(known) if known.size > size => return Err(WitnessError::Older { known: known.clone() }),
            Some(known) if known.size == size && known.root != root => {
                return Err(WitnessError::Fork { known: known.clone() });
            }
            Some(known) if known.size == size => return Ok(()),
            None if self.known.len() >= WITNESS_ORIGINS_MAX => return Err(WitnessError::TooManyOrigins),
            _ => (),
        }
        if note.len() > WITNESS_NOTE_BYTES_MAX {
            return Err(WitnessError::NoteTooLarge { bytes: note.len() });
        }
        // So no note has bytes in it that could be taken for an entry: a length has zeros.
        if note.bytes().any(|b| b < b' ' && b != b'\n') {
            return Err(WitnessError::NotANote);
        }
        let witnessed = Witnessed { size, root, note: note.to_owned() };
        self.store(origin, &witnessed)?;
        self.live += entry_bytes(&witnessed);
        if let Some(old) = self.known.insert(origin, witnessed) {
            self.live -= entry_bytes(&old);
        }
        Ok(())
    }

    /// What is remembered of a journal.
    pub fn get(&self, origin: &Origin) -> Option<&Witnessed> {
        self.known.get(origin)
    }

    /// Everything that is remembered, by journal.
    pub fn all(&self) -> impl Iterator<Item = (&Origin, &Witnessed)> {
        self.known.iter()
    }

    fn store(&mut self, origin: Origin, witnessed: &Witnessed) -> Result<(), Error> {
        let (file, at) = match self.file.take() {
            Some((file, at)) if at < self.live * 2 + self.old_bytes => (file, at),
            _ => return self.rewrite(Some((origin, witnessed))),
        };
        let mut entry = Vec::new();
        put_entry(&mut entry, self.sequence, &origin, witnessed);
        // After an error nobody knows what is in the file, so it is not used again: it stays taken.
        file.write_at(&entry, at).map_err(Error::io(WITNESS_FILE, "write"))?;
        file.sync_data().map_err(Error::io(WITNESS_FILE, "sync"))?;
        self.sequence += 1;
        self.file = Some((file, at + entry.len() as u64));
        Ok(())
    }

    /// Writes the whole table anew, with what is to be remembered now.
    fn rewrite(&mut self, new: Option<(Origin, &Witnessed)>) -> Result<(), Error> {
        let mut bytes = head().to_vec();
        let mut sequence = 0;
        let old = self.known.iter().filter(|(origin, _)| new.as_ref().is_none_or(|(new, _)| new != *origin));
        for (origin, witnessed) in old.chain(new.as_ref().map(|(origin, witnessed)| (origin, *witnessed))) {
            put_entry(&mut bytes, sequence, origin, witnessed);
            sequence += 1;
        }
        files::replace(self.files.as_ref(), WITNESS_FILE, &bytes)
            .map_err(Error::io(WITNESS_FILE, "write"))?;
        self.sequence = sequence;
        // The table is durable; if it cannot be opened, the next entry makes another.
        let opened = self.files.open(WITNESS_FILE, Access::Write).ok();
        self.file = opened.map(|file| (file, bytes.len() as u64));
        Ok(())
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Vec<WitnessNotice>, Error> {
        let mut damaged = 0;
        let mut at = HEAD_BYTES.min(bytes.len());
        if bytes[..at] != head() {
            if let Some(format) = format_of(&bytes[..at]).filter(|format| *format != FORMAT) {
                return Err(Error::Format { file: WITNESS_FILE.into(), format });
            }
            damaged += at as u64;
        }
        // What nobody finished is the last thing in the file; everything before it was synced.
        let (mut copies, mut broken_from): (BTreeMap<u64, u32>, Option<usize>) = (BTreeMap::new(), None);
        while at < bytes.len() {
            let Some((entry, len)) = Entry::parse(&bytes[at..]) else {
                broken_from.get_or_insert(at);
                at += 1;
                continue;
            };
            damaged += broken_from.take().map_or(0, |from| (at - from) as u64);
            *copies.entry(entry.sequence).or_default() += 1;
            self.take_up(entry);
            at += len;
        }
        Ok(notices(&copies, damaged, broken_from.map_or(0, |from| (bytes.len() - from) as u64)))
    }

    fn take_up(&mut self, entry: Entry) {
        let known = self.known.get(&entry.origin);
        if known.is_none_or(|known| known.size < entry.witnessed.size) {
            self.live += entry_bytes(&entry.witnessed);
            if let Some(old) = self.known.insert(entry.origin, entry.witnessed) {
                self.live -= entry_bytes(&old);
            }
        }
    }
}

fn is_there(files: &dyn Files, path: &str) -> Result<bool, Error> {
    match files.open(path, Access::Read) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io(path, "open")(e)),
    }
}

/// Says what became of the entries, from how many copies of each were found.
fn notices(copies: &BTreeMap<u64, u32>, damaged: u64, at_end: u64) -> Vec<WitnessNotice> {
    let mut notices = Vec::new();
    let last = copies.last_key_value().map(|(sequence, _)| *sequence);
    let lost = last.map_or(u64::from(damaged + at_end > 0), |last| last + 1 - copies.len() as u64);
    // No more than one entry is ever unfinished.
    let lost = if at_end > ENTRY_BYTES_MAX { lost.max(1) } else { lost };
    if lost > 0 {
        notices.push(WitnessNotice::Lost { entries: lost });
    }
    // One copy of the last entry is whole: the bytes behind it are the other one, damaged or unfinished.
    let is_single = copies.last_key_value().is_some_and(|(_, count)| *count < 2);
    let repaired = if is_single { damaged + at_end } else { damaged };
    if repaired > 0 {
        notices.push(WitnessNotice::Repaired { bytes: repaired });
    }
    if at_end > 0 && !is_single {
        notices.push(WitnessNotice::TailCut { bytes: at_end });
    }
    notices
}

fn head() -> [u8; HEAD_BYTES] {
    let mut bytes = [0; HEAD_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn format_of(head: &[u8]) -> Option<u32> {
    let (text, crc) = head.split_last_chunk::<4>()?;
    let whole = text.starts_with(MAGIC) && crc32c::crc32c(text).to_le_bytes() == *crc;
    if whole { Some(u32::from_le_bytes(text[8..].try_into().ok()?)) } else { None }
}

/// The bytes of an entry, both copies.
fn entry_bytes(witnessed: &Witnessed) -> u64 {
    (2 * (FRONT_BYTES + FIXED_BYTES + witnessed.note.len())) as u64
}

fn put_entry(out: &mut Vec<u8>, sequence: u64, origin: &Origin, witnessed: &Witnessed) {
    let mut payload = sequence.to_le_bytes().to_vec();
    payload.extend_from_slice(&witnessed.size.to_le_bytes());
    payload.extend_from_slice(&witnessed.root.0);
    payload.extend_from_slice(&origin.federation().0);
    payload.extend_from_slice(origin.node().key().bytes());
    payload.extend_from_slice(&origin.incarnation().to_le_bytes());
    payload.extend_from_slice(witnessed.note.as_bytes());
    let len = (payload.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&len), &payload).to_le_bytes();
    for _ in 0..2 {
        out.extend_from_slice(&len);
        out.extend_from_slice(&crc);
        out.extend_from_slice(&payload);
    }
}

struct Entry {
    sequence: u64,
    origin: Origin,
    witnessed: Witnessed,
}

impl Entry {
    /// Reads one copy of an entry, and says how long it is.
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut rest = Bytes(bytes);
        let (len, crc) = (rest.u32()?, rest.u32()?);
        if !(FIXED_BYTES..=PAYLOAD_BYTES_MAX).contains(&(len as usize)) {
            return None;
        }
        let payload = rest.take(len as usize)?;
        if crc != crc32c::crc32c_append(crc32c::crc32c(&len.to_le_bytes()), payload) {
            return None;
        }
        let mut rest = Bytes(payload);
        let (sequence, size, root) = (rest.u64()?, rest.u64()?, Hash(*rest.array()?));
        let (federation, node) =
            (FederationId(*rest.array()?), NodeId(PublicKey::from_bytes(*rest.array()?)));
        let origin = Origin::new(federation, node, rest.u32()?);
        let note = std::str::from_utf8(rest.0).ok()?.to_owned();
        let witnessed = Witnessed { size, root, note };
        Some((Entry { sequence, origin, witnessed }, FRONT_BYTES + len as usize))
    }
}

#[cfg(test)]
#[path = "witness_test.rs"]
mod tests;
