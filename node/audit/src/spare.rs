//! The segment that is made ahead of time, so that no commit waits for 64 MiB of zeros.

use crate::error::Error;
use crate::files::{File, Files};
use crate::segment;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Default)]
enum State {
    #[default]
    None,
    Making,
    Ready(Arc<dyn File>, u64),
}

/// Whether a spare segment is ready.
#[derive(Default, Clone)]
pub(crate) struct Spare(Arc<Mutex<State>>);

impl Spare {
    /// The spare, if one is ready and has room for this many bytes.
    pub fn take(&self, bytes: u64) -> Option<Arc<dyn File>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *state) {
            State::Ready(file, len) if len >= bytes => Some(file),
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
        let file = segment::create_spare(self.files.as_ref(), self.bytes)?;
        *self.spare.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Ready(file, self.bytes);
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
