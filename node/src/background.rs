//! One thread for what takes long and may wait: segments made ahead, snapshots. The driver never waits for it but at the
//! node's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// How many jobs may wait. One that is not taken comes again.
const JOBS_MAX: usize = 2;

/// How far its work stands back where all cores are busy, as `nice` counts: a snapshot is a burst of some ten milliseconds, which
/// whoever waits for an answer would wait for too. At 19 snapshots would not keep up with a busy journal, whose tail the next
/// start has to fold.
const NICE: i32 = 10;

/// Says that something is being done for as long as it lives.
pub struct Busy(Arc<AtomicBool>);

impl Busy {
    /// Begins, unless it is being done already.
    pub fn begin(flag: &Arc<AtomicBool>) -> Option<Self> {
        (!flag.swap(true, Ordering::AcqRel)).then(|| Busy(flag.clone()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread for what takes long and may wait: segments made ahead, snapshots.
pub struct Background {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says when no thread can be had.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, receiver) = sync_channel::<Job>(JOBS_MAX);
        let work = move || {
            // Elsewhere it would be the whole process that stands back.
            if cfg!(target_os = "linux")
                && let Err(error) = rustix::process::nice(NICE)
            {
                tracing::debug!(%error, "what may wait is done as if it might not");
            }
            receiver.into_iter().for_each(|job| job());
        };
        let thread = std::thread::Builder::new().name("background".into()).spawn(work)?;
        Ok(Background { jobs, thread })
    }

    /// Whether the job was taken; where there is enough to do already it was not, and comes again.
    pub fn take(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.jobs.try_send(Box::new(job)).is_ok()
    }

    /// Waits for the end of what is being done.
    pub fn end(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the background thread ended in a panic");
        }
    }
}
