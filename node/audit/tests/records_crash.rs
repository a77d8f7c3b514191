//! Power loss, a failing disk and a full disk at every write and sync point of a fixed life of the record store, with an
//! index that is there, behind, or lost.
#![allow(clippy::print_stdout, reason = "the counts are part of what the test says")]

mod record_model;

use artel_audit::memory::{Fault, MemoryDisk, Plan};
use artel_audit::records::{Kept, Notice, Records};
use record_model::{AUTHORS, Model, TestIndex, author, frame, live, open};
use std::sync::Arc;

const STEPS: u64 = 25;
const SEED: u64 = 11;

struct Lived {
    disk: MemoryDisk,
    index: Arc<TestIndex>,
    model: Model,
    /// The reader of the store as it was at the end, if it was opened.
    reader: Option<Records>,
    failed: u64,
}

/// Lives until the planned fault and on. A store that cannot be opened is opened again.
fn live_with(plans: &[Plan], seed: u64, fails_at: Option<u64>) -> Lived {
    let (disk, index) = (MemoryDisk::with_seed(seed), Arc::new(TestIndex::default()));
    plans.iter().for_each(|plan| disk.plan(*plan));
    if let Some(call) = fails_at {
        index.fail_at(call);
    }
    let mut model = Model::default();
    let mut failed = 0;
    for _ in 0..50 {
        let Ok(mut opened) = open(&disk, &index) else {
            failed += 1;
            continue;
        };
        failed += live(&mut opened.store, &mut model, SEED, STEPS);
        let reader = Some(opened.store.reader());
        return Lived { disk, index, model, reader, failed };
    }
    Lived { disk, index, model, reader: None, failed }
}

fn points() -> u64 {
    let lived = live_with(&[], 0, None);
    assert_eq!(lived.failed, 0);
    lived.disk.points()
}

/// The index as it may be found: as far as it came, or lost.
fn indexes(lived: &Lived, seed: u64) -> [Arc<TestIndex>; 2] {
    [lived.index.after_crash(seed), Arc::default()]
}

/// Opens what a power loss left, checks it, lives on, loses power again and checks again.
fn check_after(lived: &Lived, seed: u64) -> Vec<Notice> {
    let mut said = Vec::new();
    for (index, is_lost) in indexes(lived, seed).into_iter().zip([false, true]) {
        let (found, mut model) = (lived.disk.after_crash(seed), lived.model.clone());
        let mut opened = open(&found, &index).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        // A power loss alone never makes an index useless.
        let rebuilt = opened
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::IndexRebuilt { why } if why != "it was empty"));
        assert!(is_lost || !rebuilt, "seed {seed}: {:?}", opened.notices);
        model.adopt(&opened.store.reader());
        assert_eq!(live(&mut opened.store, &mut model, seed, 4), 0);
        model.check(&opened.store.reader());
        said.append(&mut opened.notices);
        drop(opened);
        for index in [index.after_crash(seed), Arc::default()] {
            let again = open(&found.after_crash(seed), &index).expect("opens again");
            model.check(&again.store.reader());
        }
    }
    said
}

#[test]
fn nothing_kept_is_lost_by_a_power_loss_at_any_point() {
    let points = points();
    let (mut cut, mut kept) = (0, 0);
    for from in 0..points {
        let lived = live_with(&[Plan { fault: Fault::Crash, from, count: 1 }], from, None);
        assert!(lived.failed > 0, "point {from}");
        for seed in 0..4 {
            let said = check_after(&lived, seed);
            let damaged =
                said.iter().any(|n| matches!(n, Notice::Damaged { .. } | Notice::Unreadable { .. }));
            let torn_in_the_middle = said.iter().any(|n| matches!(n, Notice::IndexRebuilt { .. }));
            assert!(!damaged || torn_in_the_middle, "point {from}, seed {seed}: {said:?}");
            cut += said.iter().filter(|n| matches!(n, Notice::TailCut { .. })).count();
            kept += said.iter().filter(|n| matches!(n, Notice::TailKept { .. })).count();
        }
    }
    println!("{points} points, {} recoveries, {cut} ends cut, {kept} ends kept", points * 8);
    assert!(points > 100 && cut > 20 && kept > 100);
}

#[test]
fn nothing_kept_is_lost_by_a_power_loss_while_opening_after_a_power_loss() {
    let mut tried = 0;
    for from in (0..points()).step_by(4) {
        let lived = live_with(&[Plan { fault: Fault::Crash, from, count: 1 }], from, None);
        for lose_index in [false, true] {
            let index_of = |seed| indexes(&lived, seed)[usize::from(lose_index)].clone();
            let recovery = {
                let found = lived.disk.after_crash(from);
                let _opened = open(&found, &index_of(from)).expect("opens");
                found.points()
            };
            for second in 0..recovery {
                let (found, index) = (lived.disk.after_crash(from), index_of(from));
                found.plan(Plan { fault: Fault::Crash, from: second, count: 1 });
                let _ = open(&found, &index);
                assert!(found.crashed(), "point {second} of opening");
                for seed in 0..2 {
                    let opened = open(&found.after_crash(seed), &index.after_crash(seed));
                    let opened =
                        opened.unwrap_or_else(|e| panic!("point {from}, then {second}, seed {seed}: {e}"));
                    lived.model.check(&opened.store.reader());
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} second recoveries");
    assert!(tried > 300);
}

/// A fault that passes: the store goes on by itself, and what it kept before, meanwhile and after survives.
fn passes(plans: impl Iterator<Item = Plan>) -> (u64, u64) {
    let (mut lives, mut failed) = (0, 0);
    for plan in plans {
        let lived = live_with(&[plan], plan.from, None);
        failed += lived.failed;
        lives += 1;
        lived.disk.heal();
        let reader = lived.reader.as_ref().unwrap_or_else(|| panic!("{plan:?}: never opened"));
        lived.model.check(reader);
        for seed in 0..3 {
            check_after(&lived, seed);
        }
        // A process that died and was started again finds what the kernel's cache holds; then power goes.
        let mut model = lived.model.clone();
        let opened = open(&lived.disk, &lived.index).unwrap_or_else(|e| panic!("{plan:?}: {e}"));
        model.adopt(&opened.store.reader());
        drop(opened);
        for seed in 0..3 {
            for index in [lived.index.after_crash(seed), Arc::default()] {
                model.check(&open(&lived.disk.after_crash(seed), &index).expect("opens").store.reader());
            }
        }
    }
    (lives, failed)
}

#[test]
fn a_failing_disk_loses_nothing_kept_and_holds_nothing_refused() {
    let points = points();
    let (lives, failed) = passes((0..points).map(|from| Plan { fault: Fault::Eio, from, count: 1 }));
    println!("{lives} lives, {failed} calls failed");
    assert!(failed * 10 > lives * 7, "nearly every point is one that a call fails at");
}

#[test]
fn a_disk_that_fails_for_a_while_loses_nothing_kept() {
    let plans = (0..points()).step_by(3).flat_map(|from| [3, 11].map(|count| (from, count)));
    let (lives, failed) = passes(plans.map(|(from, count)| Plan { fault: Fault::Eio, from, count }));
    println!("{lives} lives, {failed} calls failed");
    assert!(failed > lives);
}

#[test]
fn a_full_disk_heals_by_itself() {
    let plans = (0..points()).flat_map(|from| [1, 3, 40].map(|count| (from, count)));
    let (lives, failed) = passes(plans.map(|(from, count)| Plan { fault: Fault::Full, from, count }));
    println!("{lives} lives, {failed} calls failed");
    assert!(failed > lives);
}

#[test]
fn an_index_that_fails_at_any_call_loses_nothing_kept() {
    let calls = live_with(&[], 0, None).index.calls();
    for call in 0..calls {
        let lived = live_with(&[], call, Some(call));
        assert!(lived.failed > 0, "call {call}");
        lived.model.check(lived.reader.as_ref().expect("opened"));
        for seed in 0..4 {
            check_after(&lived, seed);
        }
    }
    println!("{calls} calls");
    assert!(calls > 15);
}

#[test]
fn a_refused_frame_never_comes_back_behind_a_later_one() {
    for (seed, fault) in (0..60).flat_map(|seed| [(seed, Fault::Full), (seed, Fault::Eio)]) {
        for point in 0..2 {
            let (disk, index) = (MemoryDisk::with_seed(seed), Arc::new(TestIndex::default()));
            let mut store = open(&disk, &index).expect("a new store").store;
            store.append(vec![frame(0, 0)]).expect("a healthy disk");
            disk.plan(Plan { fault, from: disk.points() + point, count: 1 });
            // Often the first two frames are written whole, and the third is not.
            store.append(vec![frame(1, 0), frame(1, 1), frame(1, 2)]).expect_err("refused");
            // As long as the first of them, so that the second would follow it.
            let kept = store.append(vec![frame(1, 4)]).expect("the next file");
            assert_eq!(kept, [Kept::New]);
            assert_eq!(frame(1, 4).bytes.len(), frame(1, 0).bytes.len());
            for after in 0..4 {
                for index in [index.after_crash(after), Arc::default()] {
                    let opened = open(&disk.after_crash(after), &index).expect("opens");
                    let reader = opened.store.reader();
                    assert!(reader.has(&author(0), 0) && reader.has(&author(1), 10));
                    assert!((0..10).all(|seq| !reader.has(&author(1), seq)), "{fault:?}, seed {seed}");
                }
            }
        }
    }
}

#[test]
fn what_only_the_kernel_holds_is_never_relied_on() {
    for (seed, point) in (0..12).flat_map(|seed| (0..9).map(move |point| (seed, point))) {
        let (disk, index) = (MemoryDisk::with_seed(seed), Arc::new(TestIndex::default()));
        let mut store = open(&disk, &index).expect("a new store").store;
        store.append(vec![frame(0, 0)]).expect("a healthy disk");
        store.feed().expect("fed");
        // Its sync fails: what was written can be read until power goes.
        disk.plan(Plan { fault: Fault::Eio, from: disk.points() + 1, count: 1 });
        store.append(vec![frame(1, 0), frame(1, 1)]).expect_err("a failing disk");
        drop(store);
        // Another process finds it, while the disk fails once more.
        disk.plan(Plan { fault: Fault::Eio, from: disk.points() + point, count: 1 });
        drop(open(&disk, &index));
        let rebuilt = Arc::new(TestIndex::default());
        let first = open(&disk, &rebuilt).expect("opens");
        let held = first.store.reader().has(&author(1), 0);
        drop(first);
        for after in 0..8 {
            for index in [rebuilt.after_crash(after), Arc::default()] {
                let opened = open(&disk.after_crash(after), &index).expect("opens");
                let reader = opened.store.reader();
                assert!(reader.frame(&author(0), 0).is_some());
                assert_eq!(reader.frame(&author(1), 0).is_some(), held, "seed {seed}, point {point}");
                assert_eq!(reader.has(&author(1), 0), held);
            }
        }
    }
}

#[test]
fn what_a_process_kept_that_followed_one_on_a_failing_disk_is_not_lost() {
    for from in 0..points() {
        // Everything fails until the process dies. The next one finds what the kernel's cache holds, names too.
        let lived = live_with(&[Plan { fault: Fault::Eio, from, count: 1 << 40 }], from, None);
        lived.disk.heal();
        let mut model = lived.model.clone();
        let mut opened = open(&lived.disk, &lived.index).unwrap_or_else(|e| panic!("point {from}: {e}"));
        model.adopt(&opened.store.reader());
        for at in 0..3 {
            model.append(&mut opened.store, &[(at, 50), (at, 53)]).expect("a healthy disk");
        }
        drop(opened);
        for seed in 0..6 {
            for index in [lived.index.after_crash(seed), Arc::default()] {
                model.check(&open(&lived.disk.after_crash(seed), &index).expect("opens").store.reader());
            }
        }
    }
}

#[test]
fn what_was_pruned_stays_pruned_when_the_segment_that_says_so_goes() {
    let mut opened_with_it = 0;
    for point in 0..40 {
        let (disk, index) = (MemoryDisk::new(), Arc::new(TestIndex::default()));
        let mut store = open(&disk, &index).expect("a new store").store;
        let mut model = Model::default();
        for at in 0..6 {
            model.append(&mut store, &[(0, at)]).expect("a healthy disk");
        }
        model.prune(&mut store, 0, 15).expect("a healthy disk");
        for at in 0..12 {
            model.append(&mut store, &[(1, at)]).expect("a healthy disk");
        }
        for at in 0..12 {
            model.append(&mut store, &[(2, at)]).expect("a healthy disk");
        }
        // The floor of author 0 stands among frames of author 1, and nothing can be copied.
        disk.plan(Plan { fault: Fault::Full, from: disk.points() + point, count: 200 });
        let done = model.prune(&mut store, 1, 30);
        disk.heal();
        drop(store);
        let opened = open(&disk, &index).expect("opens");
        assert_eq!(opened.store.reader().mark(&author(0)).floor, 15, "point {point}");
        model.check(&opened.store.reader());
        opened_with_it += u32::from(done.is_err());
        drop(opened);
        // Opening freed what it could.
        let opened = open(&disk, &index).expect("opens");
        assert_eq!(opened.notices, [], "point {point}");
        drop(opened);
        model.check(&open(&disk, &Arc::default()).expect("opens").store.reader());
        assert_eq!(open(&disk, &Arc::default()).expect("opens").store.reader().mark(&author(0)).floor, 15);
    }
    assert!(opened_with_it > 3);
}

#[test]
fn a_long_prune_that_is_cut_short_is_finished_by_the_next_start() {
    use artel_audit::records::{Item, NewFrame};
    let lone = |seq: u64| {
        let items = vec![Item { public_seq: seq, index: seq }];
        NewFrame { origin: author(0), topic: 0, bytes: b"lone".to_vec(), items }
    };
    let mut cut_short = 0;
    for call in 0..8 {
        let (disk, index) = (MemoryDisk::new(), Arc::new(TestIndex::default()));
        let mut store = open(&disk, &index).expect("a new store").store;
        store.append((0..1500).map(lone).collect()).expect("a healthy disk");
        store.feed().expect("fed");
        let each = store.bytes() / 1500;
        index.fail_at(index.calls() + call);
        let done = store.prune(&author(0), 1400);
        cut_short += u32::from(done.is_err());
        for seed in 0..6 {
            let opened = open(&disk.after_crash(seed), &index.after_crash(seed)).expect("opens");
            let mark = opened.store.reader().mark(&author(0));
            let came_through = mark.floor == 1400;
            assert!(came_through || done.is_err() && mark.floor == 0);
            assert_eq!(mark.records, if came_through { 100 } else { 1500 });
            assert_eq!((mark.bytes, opened.store.bytes()), (mark.records * each, mark.records * each));
        }
        // And by the process itself.
        store.prune(&author(0), 1400).expect("the index works again");
        let mark = store.reader().mark(&author(0));
        assert_eq!((mark.floor, mark.records, mark.bytes), (1400, 100, 100 * each));
    }
    assert!(cut_short >= 4, "{cut_short}");
}

#[test]
fn many_lives_with_any_faults_lose_nothing_kept() {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut disk, mut index) = (MemoryDisk::with_seed(seed), Arc::new(TestIndex::default()));
        let mut model = Model::default();
        for life in 0..6 {
            for _ in 0..random.random_range(0..3) {
                let fault = [Fault::Crash, Fault::Eio, Fault::Full][random.random_range(0..3)];
                let (from, count) = (random.random_range(0..80), random.random_range(1..4));
                disk.plan(Plan { fault, from, count });
            }
            // What opening only tries may be what power was lost at.
            if let Ok(mut opened) = open(&disk, &index)
                && !disk.crashed()
            {
                model.adopt(&opened.store.reader());
                live(&mut opened.store, &mut model, seed * 8 + life, random.random_range(1..12));
            }
            if random.random_range(0..4) > 0 || disk.crashed() {
                (disk, index) = (disk.after_crash(seed + life), index.after_crash(seed + life));
            }
            if random.random_range(0..5) == 0 {
                index = Arc::default();
            }
            disk.heal();
        }
        let opened = open(&disk, &index).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        model.adopt(&opened.store.reader());
        assert!(opened.store.reader().marks().len() <= AUTHORS);
    }
}
