//! The disk under a data directory: room, kind of file system, and how long it takes to make a few bytes durable. Each
//! acknowledgement of the node waits for such a sync.

use artel_web::types::doctor::{Check, Finding};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Below this no room is left for the journal's next segment and the one that is made ahead of it, 64 MiB each.
const FREE_BYTES_LEAST: u64 = 128 << 20;

/// Below this the operator should look: a day's work of a busy node.
const FREE_BYTES_GOOD: u64 = 2 << 30;

/// The share of names (inodes) below which the operator should look, in percent.
const FREE_NAMES_PERCENT: u64 = 2;

/// What is written for each sync: a page, as a small commit is.
const PROBE_BYTES: usize = 4_096;

/// The most syncs that are measured. Fewer, and one hiccup is the middle; more only wears the disk.
const PROBES_MAX: usize = 33;

/// For how long they are measured at the most.
const PROBES_FOR: Duration = Duration::from_secs(2);

/// Above this a sync is slow: a node does some hundred acknowledged acts a second at the most, one after the other.
const SYNC_SLOW: Duration = Duration::from_millis(10);

/// Below this no disk was asked: a flash drive's own memory takes longer.
const SYNC_TOO_FAST: Duration = Duration::from_micros(15);

/// The file that is written for it. It comes and goes; one that a kill left is written over.
const PROBE: &str = "doctor.probe";

/// Room, kind and speed of the disk under a directory that is there.
pub(super) fn look(dir: &Path) -> Vec<Finding> {
    vec![space(dir), kind(dir), speed(dir)]
}

fn space(dir: &Path) -> Finding {
    let there = match rustix::fs::statvfs(dir) {
        Ok(there) => there,
        Err(error) => {
            let summary = format!("the room on the disk cannot be told: {}", io::Error::from(error));
            return Finding::unknown(Check::DiskSpace, summary);
        }
    };
    let free = there.f_bavail.saturating_mul(there.f_frsize);
    let names = (there.f_files > 0).then(|| there.f_favail.saturating_mul(100) / there.f_files);
    judge_space(free, names, dir).with(format!("{} free", bytes(free)))
}

fn judge_space(free: u64, names_percent: Option<u64>, dir: &Path) -> Finding {
    let make_room =
        || format!("free some space on the disk of {}; artifacts are in its blobs/", dir.display());
    if free < FREE_BYTES_LEAST {
        let summary = format!("too little room for the journal's next segments, {}", bytes(FREE_BYTES_LEAST));
        return Finding::fail(Check::DiskSpace, summary, make_room());
    }
    if names_percent.is_some_and(|percent| percent < FREE_NAMES_PERCENT) {
        let advice =
            "remove files from that disk that are not the node's, or make a file system with more inodes";
        return Finding::warn(Check::DiskSpace, "the disk has hardly a name (inode) left", advice);
    }
    if free < FREE_BYTES_GOOD {
        let summary = format!("less than {} is left; the journal is never pruned", bytes(FREE_BYTES_GOOD));
        return Finding::warn(Check::DiskSpace, summary, make_room());
    }
    Finding::ok(Check::DiskSpace, "there is room")
}

fn kind(dir: &Path) -> Finding {
    match rustix::fs::statfs(dir) {
        Ok(there) => judge_kind(there.f_type as u64 & 0xffff_ffff),
        Err(error) => {
            let summary = format!("the file system cannot be told: {}", io::Error::from(error));
            Finding::unknown(Check::FileSystem, summary)
        }
    }
}

/// Judges by the numbers of statfs(2).
fn judge_kind(magic: u64) -> Finding {
    let move_it =
        "put the data directory on a disk of this machine (ext4, xfs, btrfs) and name it with --data";
    let (name, why) = match magic {
        0xef53 => ("ext4", None),
        0x5846_5342 => ("xfs", None),
        0x9123_683e => ("btrfs", None),
        0x2fc1_2fc1 => ("zfs", None),
        0xf2f5_2010 => ("f2fs", None),
        0x794c_7630 => ("overlay", Some("a container's own file system is gone with the container")),
        0x0102_1994 | 0x8584_58f6 => ("tmpfs", Some("it is memory: everything is gone with the power")),
        0x6969 => {
            ("nfs", Some("locks and syncs are another machine's, which may promise more than it keeps"))
        }
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => {
            ("smb", Some("locks and syncs are another machine's, which may promise more than it keeps"))
        }
        0x0102_1997 => ("9p", Some("locks and syncs are the host's, which may promise more than it keeps")),
        0x6573_5546 => ("fuse", Some("a program stands between the node and the disk, and may not sync")),
        0x4d44 | 0x2011_bab0 => {
            let summary = "this file system has no modes: whoever can read it reads the keys";
            return Finding::fail(Check::FileSystem, summary, move_it).with("fat");
        }
        other => {
            let summary = "a file system that is not known here";
            return Finding::unknown(Check::FileSystem, summary).with(format!("type {other:#x}"));
        }
    };
    match why {
        None => Finding::ok(Check::FileSystem, "a file system that keeps what it syncs").with(name),
        Some(why) => Finding::warn(Check::FileSystem, why, move_it).with(name),
    }
}

fn speed(dir: &Path) -> Finding {
    match measure(dir) {
        Ok(took) => judge_speed(took),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => Finding::fail(
            Check::DiskSync,
            "nothing can be written: the disk is full",
            "free some space there",
        ),
        Err(error) => {
            let advice = format!("give this user the right to write into {}", dir.display());
            Finding::fail(Check::DiskSync, format!("nothing can be written there: {error}"), advice)
        }
    }
}

fn judge_speed(mut took: Vec<Duration>) -> Finding {
    took.sort_unstable();
    let Some(middle) = took.get(took.len() / 2).copied() else {
        return Finding::unknown(Check::DiskSync, "no sync ended in time");
    };
    let value = format!("p50 {:.2} ms of {} syncs", middle.as_secs_f64() * 1e3, took.len());
    let found = if middle > SYNC_SLOW {
        let advice = "a solid-state disk of its own, or a controller with a battery; \
                      see what else writes there (iostat -x)";
        Finding::warn(
            Check::DiskSync,
            "the disk is slow to sync, and each acknowledgement waits for it",
            advice,
        )
    } else if middle < SYNC_TOO_FAST {
        let advice = "look whether the disk or the virtual machine ignores syncs: what was acknowledged may be \
                      gone with the power";
        Finding::warn(Check::DiskSync, "syncs come back sooner than any disk can keep them", advice)
    } else {
        Finding::ok(Check::DiskSync, "the disk syncs in good time")
    };
    found.with(value)
}

/// The small file, removed again when it goes out of sight.
struct Probe(PathBuf);

impl Drop for Probe {
    fn drop(&mut self) {
        // What cannot be removed is written over the next time.
        let _ = fs::remove_file(&self.0);
    }
}

/// How long each sync took, written as the journal writes: over blocks that the file has already.
fn measure(dir: &Path) -> io::Result<Vec<Duration>> {
    let probe = Probe(dir.join(PROBE));
    let file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe.0)?;
    file.write_all_at(&[0; PROBE_BYTES], 0)?;
    file.sync_all()?;
    let (begun, mut took) = (Instant::now(), Vec::new());
    while took.len() < PROBES_MAX && begun.elapsed() < PROBES_FOR {
        let one = Instant::now();
        file.write_all_at(&[took.len() as u8 + 1; PROBE_BYTES], 0)?;
        file.sync_data()?;
        took.push(one.elapsed());
    }
    Ok(took)
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut shown = count as f64;
    let mut unit = 0;
    while shown >= 1_024.0 && unit + 1 < UNITS.len() {
        shown /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{shown:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_web::types::doctor::FindingStatus::{Fail, Ok, Unknown, Warn};

    #[test]
    fn room_is_judged_before_the_journal_needs_it() {
        for (free, names, wanted) in [
            (FREE_BYTES_LEAST - 1, None, Fail),
            (FREE_BYTES_LEAST, None, Warn),
            (FREE_BYTES_GOOD, None, Ok),
            (FREE_BYTES_GOOD, Some(1), Warn),
            (FREE_BYTES_GOOD, Some(2), Ok),
        ] {
            assert_eq!(judge_space(free, names, Path::new("/d")).status, wanted, "{free} {names:?}");
        }
    }

    #[test]
    fn a_file_system_that_forgets_or_shows_the_keys_is_told() {
        for (magic, wanted) in
            [(0xef53, Ok), (0x0102_1994, Warn), (0x6969, Warn), (0x4d44, Fail), (0x1234, Unknown)]
        {
            assert_eq!(judge_kind(magic).status, wanted, "{magic:#x}");
        }
    }

    #[test]
    fn the_middle_sync_counts() {
        let ms = |all: &[u64]| all.iter().map(|us| Duration::from_micros(*us)).collect::<Vec<_>>();
        for (took, wanted) in [
            (ms(&[900, 1_000, 90_000]), Ok),
            (ms(&[11_000]), Warn),
            (ms(&[1, 2, 3]), Warn),
            (ms(&[]), Unknown),
        ] {
            assert_eq!(judge_speed(took.clone()).status, wanted, "{took:?}");
        }
        assert!(
            judge_speed(ms(&[1_500, 1_000, 2_000]))
                .value
                .is_some_and(|value| value.starts_with("p50 1.50 ms"))
        );
    }

    #[test]
    fn a_measurement_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let took = measure(dir.path()).expect("writes");
        assert!(!took.is_empty() && took.len() <= PROBES_MAX);
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 0);
        assert_eq!(speed(&dir.path().join("nowhere")).status, Fail);
    }

    #[test]
    fn bytes_are_told_in_a_fitting_unit() {
        assert_eq!([bytes(7), bytes(1 << 20), bytes(5 << 30)], ["7 B", "1.0 MiB", "5.0 GiB"]);
    }
}
