//! Power loss, a failing disk and a full disk at every write and sync point of a fixed life.
#![allow(clippy::print_stdout, reason = "the counts are part of what the test says")]

mod common;

use artel_audit::memory::{Fault, MemoryDisk, Plan};
use artel_audit::{Error, Fate, Notice};
use common::{Model, open};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const COMMITS: u64 = 24;

/// The points of the fixed life on a healthy disk.
fn points() -> u64 {
    common::lived(COMMITS).0.points()
}

/// Lives until the planned fault or the end; answers the disk and the model.
fn live_with(plan: Plan, seed: u64) -> (MemoryDisk, Model, Result<(), Error>) {
    let disk = MemoryDisk::with_seed(seed);
    disk.plan(plan);
    let mut model = Model::default();
    let ended = match open(&disk, 10) {
        Ok(mut opened) => model.live(&mut opened.journal, COMMITS),
        Err(error) => Err(error),
    };
    (disk, model, ended)
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_loss_at_any_point() {
    let points = points();
    println!("{points} points");
    let mut spare = false;
    for from in 0..points {
        let plan = Plan { fault: Fault::Crash, from, count: 1 };
        let (disk, before, _) = live_with(plan, from);
        for seed in 0..4 {
            let found = disk.after_crash(seed);
            spare |= common::spares(&found) > 0;
            let mut model = before.clone();
            let mut opened =
                open(&found, 100 + seed).unwrap_or_else(|e| panic!("point {from}, seed {seed}: {e}"));
            model.check_and_adopt(&opened);
            model.live(&mut opened.journal, 3).expect("a healthy disk");
            drop(opened);
            let again = open(&found.after_crash(seed), 200).expect("opens again");
            model.check_and_adopt(&again);
        }
    }
    assert!(spare, "zeros that were made ahead were found");
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_loss_while_opening_after_a_power_loss() {
    let points = points();
    for from in (0..points).step_by(5) {
        let plan = Plan { fault: Fault::Crash, from, count: 1 };
        let (disk, before, _) = live_with(plan, from);
        let recovery = {
            let found = disk.after_crash(from);
            let _opened = open(&found, 100).expect("opens");
            found.points()
        };
        for second in 0..recovery {
            let found = disk.after_crash(from);
            found.plan(Plan { fault: Fault::Crash, from: second, count: 1 });
            assert!(open(&found, 100).is_err(), "point {second} of opening");
            for seed in 0..3 {
                let mut model = before.clone();
                let found = found.after_crash(seed);
                common::spares(&found);
                let opened = open(&found, 101)
                    .unwrap_or_else(|e| panic!("point {from}, then {second}, seed {seed}: {e}"));
                model.check_and_adopt(&opened);
            }
        }
    }
}

#[test]
fn a_failing_disk_loses_nothing_acknowledged_and_keeps_nothing_gone() {
    let points = points();
    for from in 0..points {
        let plan = Plan { fault: Fault::Eio, from, count: 1 };
        let (disk, mut model, ended) = live_with(plan, from);
        disk.heal();
        if ended.is_ok() {
            // Only what is allowed to fail without harm, such as giving back zeros, may pass unseen.
            model.unknown.clear();
        }
        let mut opened = open(&disk, 100).unwrap_or_else(|e| panic!("point {from}: {e}"));
        model.check_and_adopt(&opened);
        model.live(&mut opened.journal, 4).expect("a healthy disk");
        drop(opened);
        for seed in 0..4 {
            let mut model = model.clone();
            let opened = open(&disk.after_crash(seed), 200)
                .unwrap_or_else(|e| panic!("point {from}, seed {seed}: {e}"));
            model.check_and_adopt(&opened);
        }
    }
}

#[test]
fn a_full_disk_heals_by_itself_and_keeps_nothing_gone() {
    let points = points();
    for (from, count) in (0..points).flat_map(|from| [(from, 1), (from, 3), (from, 40)]) {
        let plan = Plan { fault: Fault::Full, from, count };
        let (disk, mut model, ended) = live_with(plan, from + count);
        disk.heal();
        if let Err(error) = &ended {
            assert!(error.is_full() || matches!(error, Error::Poisoned(_)), "point {from}: {error}");
        }
        let mut opened = open(&disk, 100).unwrap_or_else(|e| panic!("point {from}+{count}: {e}"));
        model.check_and_adopt(&opened);
        model.live(&mut opened.journal, 4).expect("a healthy disk");
        drop(opened);
        for seed in 0..3 {
            let mut model = model.clone();
            let opened = open(&disk.after_crash(seed), 200)
                .unwrap_or_else(|e| panic!("point {from}+{count}, seed {seed}: {e}"));
            model.check_and_adopt(&opened);
        }
    }
}

#[test]
fn a_disk_that_fills_up_is_written_again_once_there_is_room() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk, 1).expect("a new journal");
    let mut model = Model::default();
    model.live(&mut opened.journal, 3).expect("room");
    let used: u64 = disk.files().iter().map(|(_, len)| len).sum();
    disk.set_capacity(Some(used + 200));
    let before = model.acknowledged.len();
    model.live(&mut opened.journal, 60).expect("a full disk is only a refusal");
    let full = model.acknowledged.len();
    disk.set_capacity(None);
    model.live(&mut opened.journal, 10).expect("room again");
    assert!(
        full < before + 180 && model.acknowledged.len() > full,
        "{before} {full} {}",
        model.acknowledged.len()
    );
    let mut again = open(&disk.after_crash(3), 2).expect("opens");
    model.check_and_adopt(&again);
    model.live(&mut again.journal, 1).expect("room");
}

#[test]
fn after_a_failing_disk_the_journal_does_nothing_until_it_is_opened_again() {
    // Offsets, hashes, the segment's write and its sync.
    for (point, fate) in [Fate::Gone, Fate::Gone, Fate::Unknown, Fate::Unknown].into_iter().enumerate() {
        let disk = MemoryDisk::new();
        let mut journal = open(&disk, 1).expect("a new journal").journal;
        let _ = journal.commit(letters(b"0", 50)).expect("a healthy disk");
        plan(&disk, Fault::Eio, point as u64);
        assert_eq!(
            journal.commit(letters(b"x", 50)).expect_err("a failing disk").fate,
            fate,
            "point {point}"
        );
        let before = disk.points();
        let mut commit = letters(b"y", 50);
        commit.hold(());
        let failed = journal.commit(commit).expect_err("it must be opened again");
        assert!(matches!(failed.error, Error::Poisoned(_)), "point {point}: {}", failed.error);
        assert_eq!((failed.fate, failed.withheld), (Fate::Gone, vec![()]));
        assert!(journal.checkpoint().is_err() && journal.snapshot().is_err());
        assert_eq!(disk.points(), before, "nothing was written");
    }
}

/// Several lives one after the other, each with its own faults at its own points, and mostly a power loss between them.
fn lives(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut disk = MemoryDisk::with_seed(seed);
    let mut model = Model::default();
    for life in 0..6 {
        for _ in 0..random.random_range(0..3) {
            let fault = [Fault::Crash, Fault::Eio, Fault::Full][random.random_range(0..3)];
            let (from, count) = (random.random_range(0..120), random.random_range(1..4));
            disk.plan(Plan { fault, from, count });
        }
        // As a node does: when the journal says so, open it again, a few times.
        for attempt in 0..3 {
            let Ok(mut opened) = open(&disk, seed ^ (life * 16 + attempt)) else {
                continue;
            };
            model.check_and_adopt(&opened);
            if model.live(&mut opened.journal, random.random_range(1..12)).is_ok() {
                break;
            }
        }
        disk = if random.random_range(0..4) > 0 || disk.crashed() {
            disk.after_crash(seed + life)
        } else {
            disk
        };
        disk.heal();
    }
    let opened = open(&disk, 9_999).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    model.check_and_adopt(&opened);
}

#[test]
fn many_lives_with_any_faults_lose_nothing_acknowledged() {
    for seed in 0..300 {
        lives(seed);
    }
}

/// A commit of public frames, one entry each: the letter, so many times.
fn letters(letters: &[u8], len: usize) -> artel_audit::Commit<()> {
    let mut commit = artel_audit::Commit::new();
    for letter in letters {
        commit.frame(vec![artel_audit::NewEntry {
            class: artel_protocol::log::Class::Public,
            body: vec![*letter; len],
        }]);
    }
    commit
}

fn letters_of(opened: &artel_audit::Opened) -> Vec<u8> {
    let frames = common::frames_of(&opened.journal.reader());
    frames.into_iter().flatten().map(|e| e.body[0]).collect()
}

fn plan(disk: &MemoryDisk, fault: Fault, points_from_now: u64) {
    let from = disk.points() + points_from_now;
    disk.plan(Plan { fault, from, count: 1 });
}

#[test]
fn frames_of_a_refused_commit_never_come_back_behind_a_later_one() {
    for seed in 0..60 {
        let disk = MemoryDisk::with_seed(seed);
        let mut journal = open(&disk, 1).expect("a new journal").journal;
        let _ = journal.commit(letters(b"0", 50)).expect("a healthy disk");
        // The third point is the segment's write: offsets and hashes come before it.
        plan(&disk, Fault::Full, 2);
        assert_eq!(journal.commit(letters(b"xy", 50)).expect_err("full").fate, Fate::Gone);
        // Whatever happens next happens in a new segment.
        plan(&disk, Fault::Crash, seed % 16);
        let acknowledged = journal.commit(letters(b"z", 50)).is_ok();
        for after in 0..20 {
            let found = letters_of(&open(&disk.after_crash(after), 2).expect("opens"));
            assert!(
                found == *b"0z" || found == *b"0" && !acknowledged,
                "{}",
                String::from_utf8_lossy(&found)
            );
        }
    }
}

#[test]
fn frames_behind_an_incomplete_one_never_come_back_behind_a_later_one() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    let _ = journal.commit(letters(b"0", 700)).expect("a healthy disk");
    journal.checkpoint().expect("a healthy disk");
    plan(&disk, Fault::Crash, 3);
    assert_eq!(journal.commit(letters(b"xy", 700)).expect_err("power loss").fate, Fate::Unknown);
    let mut cut = 0;
    for seed in 0..200 {
        let found = disk.after_crash(seed);
        let mut opened = open(&found, 2).expect("opens");
        let before = letters_of(&opened);
        assert!(b"0xy".starts_with(&before), "{}", String::from_utf8_lossy(&before));
        cut += u32::from(opened.notices.iter().any(|n| matches!(n, Notice::TailCut { .. })));
        let _ = opened.journal.commit(letters(b"z", 700)).expect("a healthy disk");
        let after = letters_of(&open(&found.after_crash(seed), 3).expect("opens"));
        assert_eq!(after, [&before[..], b"z"].concat(), "seed {seed}");
    }
    assert!(cut > 20, "{cut} of 200 power losses left an incomplete commit");
}
