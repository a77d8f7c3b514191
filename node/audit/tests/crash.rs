//! Power loss, a failing disk and a full disk at every write and sync point of a fixed life.
#![allow(clippy::print_stdout, reason = "the counts are part of what the test says")]

mod common;

use artel_audit::memory::{Fault, MemoryDisk, Plan};
use artel_audit::{Error, Fate};
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
    for from in 0..points {
        let plan = Plan { fault: Fault::Crash, from, count: 1 };
        let (disk, before, _) = live_with(plan, from);
        for seed in 0..4 {
            let found = disk.after_crash(seed);
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
                let opened = open(&found.after_crash(seed), 101)
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
fn after_an_unknown_commit_the_journal_does_nothing_until_it_is_opened_again() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk, 1).expect("a new journal");
    let mut model = Model::default();
    model.live(&mut opened.journal, 2).expect("a healthy disk");
    let from = disk.points();
    disk.plan(Plan { fault: Fault::Eio, from, count: 1000 });
    assert!(model.live(&mut opened.journal, 1).is_err());
    disk.heal();
    let mut commit = artel_audit::Commit::new();
    commit.frame(common::inputs(0).remove(0));
    commit.hold("effect");
    let failed = opened.journal.commit(commit).expect_err("poisoned");
    assert!(matches!(failed.error, Error::Poisoned(_)));
    assert_eq!((failed.fate, failed.withheld), (Fate::Gone, vec!["effect"]));
    assert!(opened.journal.checkpoint().is_err());
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
        disk = if random.random_range(0..4) > 0 || disk.crashed() { disk.after_crash(seed + life) } else { disk };
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

#[test]
fn frames_of_a_refused_commit_never_come_back_behind_a_later_one() {
    let public = |body: &[u8]| {
        vec![artel_audit::NewEntry {
            class: artel_protocol::log::Class::Public,
            body: body.to_vec(),
        }]
    };
    for seed in 0..60 {
        let disk = MemoryDisk::with_seed(seed);
        let mut journal = open(&disk, 1).expect("a new journal").journal;
        let mut commit: artel_audit::Commit<()> = artel_audit::Commit::new();
        commit.frame(public(&[b'0'; 50]));
        let _ = journal.commit(commit).expect("a healthy disk");
        // The third point is the segment's write: offsets and hashes come before it.
        let from = disk.points() + 2;
        disk.plan(Plan {
            fault: Fault::Full,
            from,
            count: 1,
        });
        let mut refused: artel_audit::Commit<()> = artel_audit::Commit::new();
        refused.frame(public(&[b'x'; 50]));
        refused.frame(public(&[b'y'; 50]));
        assert_eq!(journal.commit(refused).expect_err("full").fate, Fate::Gone);
        let from = disk.points() + 3;
        disk.plan(Plan {
            fault: Fault::Crash,
            from,
            count: 1,
        });
        let mut last: artel_audit::Commit<()> = artel_audit::Commit::new();
        last.frame(public(&[b'z'; 50]));
        assert_eq!(journal.commit(last).expect_err("power loss").fate, Fate::Unknown);
        for after in 0..20 {
            let found = open(&disk.after_crash(after), 2).expect("opens").journal.reader();
            let bodies: Vec<u8> = common::frames_of(&found).into_iter().flatten().map(|e| e.body[0]).collect();
            assert!(bodies == *b"0" || bodies == *b"0z", "{}", String::from_utf8_lossy(&bodies));
        }
    }
}
