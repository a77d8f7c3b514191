//! The segment that is made ahead of time, so that no commit waits for 64 MiB of zeros, and no start after a crash.
//!
//! `journal/spare-<number, 20 digits>.tmp` is one in the making. Once all its zeros are durable it is named `.zeros`, and is
//! nothing else as long as it has that name; so the next start uses it. It loses the name, durably, before a byte of it is written.

use crate::error::Error;
use crate::files::{self, Access, File, Files};
use crate::segment::{JOURNAL_DIR, NEW_FILE};
use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Numbers the spares of this process, none like one that was found. A journal that was opened again must never meet the file
/// that a helper of the journal before it is still making.
static NUMBER: AtomicU64 = AtomicU64::new(0);

const PREFIX: &str = "spare-";
const MAKING: &str = ".tmp";
const READY: &str = ".zeros";

/// The number and the ending of a spare's file name; `None` for any other name.
pub(crate) fn parts(name: &str) -> Option<(u64, &str)> {
    let (digits, ending) = name.strip_prefix(PREFIX)?.split_at_checked(20)?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && [MAKING, READY].contains(&ending);
    if plain { Some((digits.parse().ok()?, ending)) } else { None }
}

fn path(number: u64, ending: &str) -> String {
    format!("{JOURNAL_DIR}/{PREFIX}{number:020}{ending}")
}

/// A segment that was made ahead of time: all zeros, durable, without a head.
pub(crate) struct SpareFile {
    file: Arc<dyn File>,
    path: String,
    bytes: u64,
}

impl SpareFile {
    fn create(files: &dyn Files, number: u64, bytes: u64) -> Result<Self, Error> {
        let (making, ready) = (path(number, MAKING), path(number, READY));
        let file = files.open(&making, Access::Fresh).map_err(Error::io(&making, "create"))?;
        files::fill_with_zeros(file.as_ref(), bytes).map_err(Error::io(&making, "allocate"))?;
        file.sync_data().map_err(Error::io(&making, "sync"))?;
        files.rename(&making, &ready).map_err(Error::io(&making, "rename"))?;
        Ok(SpareFile { file, path: ready, bytes })
    }

    fn open(files: &dyn Files, path: String) -> io::Result<Self> {
        let file = files.open(&path, Access::Write)?;
        let bytes = file.len()?;
        Ok(SpareFile { file, path, bytes })
    }

    /// Makes it a segment in the making, which may be written.
    pub fn begin(self, files: &dyn Files) -> io::Result<Arc<dyn File>> {
        files.rename(&self.path, NEW_FILE).inspect_err(|_| {
            // A full disk needs the room; opening removes it otherwise.
            let _ = files.remove(&self.path);
        })?;
        files.sync_dir(JOURNAL_DIR)?;
        Ok(self.file)
    }
}

#[derive(Default)]
enum State {
    #[default]
    None,
    Making,
    Ready(SpareFile),
}

/// Whether a spare segment is ready.
#[derive(Default, Clone)]
pub(crate) struct Spare(Arc<Mutex<State>>);

impl Spare {
    /// Takes over a spare of so many bytes that was ready when the journal was last open, and removes all others.
    pub fn find(files: &dyn Files, bytes: RangeInclusive<u64>) -> Result<Self, Error> {
        let mut found = None;
        for name in files.list(JOURNAL_DIR).map_err(Error::io(JOURNAL_DIR, "list"))? {
            let Some((number, ending)) = parts(&name) else { continue };
            NUMBER.fetch_max(number.saturating_add(1), Ordering::Relaxed);
            let path = path(number, ending);
            if ending == READY && found.is_none() {
                // One that cannot be opened is none.
                found =
                    SpareFile::open(files, path.clone()).ok().filter(|spare| bytes.contains(&spare.bytes));
                if found.is_some() {
                    continue;
                }
            }
            match files.remove(&path) {
                // The helper of a journal that is gone may have just renamed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(Error::io(path, "remove"))?,
            }
        }
        Ok(Spare(Arc::new(Mutex::new(found.map_or(State::None, State::Ready)))))
    }

    /// The spare, if one is ready and has room for this many bytes.
    pub fn take(&self, bytes: u64) -> Option<SpareFile> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *state) {
            State::Ready(spare) if spare.bytes >= bytes => Some(spare),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The work that makes one, unless one is ready or being made.
    pub fn job(&self, files: Arc<dyn Files>, bytes: u64) -> Option<SpareJob> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::None) {
            return None;
        }
        *state = State::Making;
        Some(SpareJob { files, bytes, spare: self.clone() })
    }
}

/// The making of a spare segment, on any thread. Dropped unrun, it can be asked for again.
pub struct SpareJob {
    files: Arc<dyn Files>,
    bytes: u64,
    spare: Spare,
}

impl SpareJob {
    /// Makes the spare segment.
    ///
    /// # Errors
    /// [`Error::Io`]; the journal then makes its next segment itself.
    pub fn run(self) -> Result<(), Error> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let spare = SpareFile::create(self.files.as_ref(), number, self.bytes).inspect_err(|_| {
            // A full disk needs the room; opening removes it otherwise.
            let _ = self.files.remove(&path(number, MAKING));
        })?;
        *self.spare.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Ready(spare);
        Ok(())
    }
}

impl Drop for SpareJob {
    fn drop(&mut self) {
        let mut state = self.spare.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Making) {
            *state = State::None;
        }
    }
}
