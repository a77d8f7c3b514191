//! The segment that is made ahead of time, so that no commit waits for 64 MiB of zeros.

use crate::error::Error;
use crate::files::Files;
use crate::segment::{SpareFile, spare_path};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Numbers the spares of this process. A journal that was opened again must never meet the file that a helper of the
/// journal before it is still making.
static NUMBER: AtomicU64 = AtomicU64::new(0);

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
        let path = spare_path(NUMBER.fetch_add(1, Ordering::Relaxed));
        let spare = SpareFile::create(self.files.as_ref(), path.clone(), self.bytes).inspect_err(|_| {
            // A full disk needs the room; opening removes it otherwise.
            let _ = self.files.remove(&path);
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
