//! What may be wrong with a node and the machine under it, and what to do about each: a running node examines itself, and
//! a directory can be examined while none runs on it. Everything here looks; nothing is changed but a small file that
//! comes and goes, with which the disk is measured.
//!
//! What waits on the outside has a time limit, runs on no thread that a node needs, and runs once at a time.

mod clock;
mod directory;
mod disk;
mod machine;
mod mesh;
mod offline;
mod ports;
mod running;
mod walls;

pub use clock::Difference;
pub use offline::examine as examine_directory;
pub use running::{Patient, examine};

use crate::background::Busy;
use artel_web::types::doctor::{Check, Finding};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long the disk may take with all that is asked of it. Longer, and whoever waits for the findings thinks that the
/// node hangs; shorter, and a busy disk is called a dead one.
const DISK_WAIT: Duration = Duration::from_secs(10);

/// What examining costs is paid once at a time, and what cannot change is found once.
#[derive(Default)]
pub struct Doctor {
    /// A look at the disk has not ended. It may never end: a disk that hangs holds its thread.
    at_disk: Arc<AtomicBool>,
    walls: walls::Walls,
    /// Held by the one who examines.
    turn: tokio::sync::Mutex<()>,
}

impl Doctor {
    /// Runs what may wait for a disk on a thread of its own; where it does not come back in time, that is a finding.
    async fn at_disk(&self, work: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Vec<Finding> {
        let Some(busy) = Busy::begin(&self.at_disk) else {
            return vec![hangs("the disk has still not answered what was asked of it before")];
        };
        let work = tokio::task::spawn_blocking(move || {
            let found = work();
            drop(busy);
            found
        });
        match tokio::time::timeout(DISK_WAIT, work).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => vec![Finding::unknown(Check::DiskSpace, "the disk could not be looked at")],
            Err(_) => vec![hangs(&format!("the disk does not answer within {} s", DISK_WAIT.as_secs()))],
        }
    }
}

fn hangs(summary: &str) -> Finding {
    let advice = "see the kernel's log (dmesg) for the disk, and whether a network file system is away";
    Finding::fail(Check::DiskSpace, summary, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_web::types::doctor::FindingStatus;

    #[tokio::test]
    async fn a_disk_that_hangs_holds_one_thread_and_is_told() {
        let doctor = Doctor::default();
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let _held = Busy::begin(&doctor.at_disk).expect("nobody else looks");
        let found = doctor
            .at_disk(move || {
                let _ = held.recv();
                Vec::new()
            })
            .await;
        assert_eq!((found.len(), found[0].status), (1, FindingStatus::Fail), "{found:?}");
        assert!(let_go.send(()).is_err(), "what would wait as well was not begun");
    }

    #[test]
    fn the_operators_document_tells_every_check() {
        let operations = include_str!("../../OPERATIONS.md");
        for check in Check::ALL {
            assert!(operations.contains(&format!("| `{check}` |")), "{check}");
        }
    }
}
