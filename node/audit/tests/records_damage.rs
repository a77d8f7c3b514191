//! Flipped bits in segments and index, cut, missing and swapped segments: identical, repaired and said, or missing and said,
//! and whole again once what is missing was fetched again. Never silent, never a refusal to start.
#![allow(clippy::print_stdout, reason = "the counts are part of what the test says")]

mod record_model;

use artel_audit::files::Files;
use artel_audit::index::{Found, SledStore};
use artel_audit::memory::MemoryDisk;
use artel_audit::os::OsFiles;
use artel_audit::records::{Notice, RecordStore, Records};
use record_model::{
    AUTHORS, FEDERATION, FRAMES, Harm, Model, RECORDS, TestIndex, author, frame, frame_at, frame_of, live,
    open,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// How many bits are flipped in each segment, spread evenly over it.
const PLACES: u64 = 150;

/// A store that was fed and closed.
fn closed() -> (MemoryDisk, Arc<TestIndex>, Model) {
    let (disk, index, mut model) = (MemoryDisk::new(), Arc::new(TestIndex::default()), Model::default());
    let mut opened = open(&disk, &index).expect("a new store");
    assert_eq!(live(&mut opened.store, &mut model, 21, 20), 0);
    // The last segment is full of what is wanted: no prune comes after it.
    for at in 40..FRAMES - 4 {
        model.append(&mut opened.store, &[(0, at), (2, at)]).expect("kept");
    }
    opened.store.feed().expect("fed");
    model.adopt(&opened.store.reader());
    (disk.copy(), index.after_crash(0), model)
}

fn segments(disk: &MemoryDisk) -> Vec<(String, u64)> {
    let segments: Vec<_> = disk.files().into_iter().filter(|(path, _)| path.ends_with(".seg")).collect();
    assert!(segments.len() > 4, "{segments:?}");
    segments
}

/// The records that are there; each of them with the bytes that it had.
fn held(reader: &Records) -> BTreeSet<(usize, u64)> {
    let mut held = BTreeSet::new();
    for (at, seq) in (0..AUTHORS).flat_map(|at| (0..RECORDS).map(move |seq| (at, seq))) {
        if let Some(bytes) = reader.frame(&author(at), seq) {
            assert_eq!(bytes, frame_of(at, seq).bytes, "author {at}, record {seq}");
            held.insert((at, seq));
        }
    }
    held
}

#[derive(Debug, Default)]
struct Counts {
    identical: u32,
    repaired: u32,
    missing: u32,
    pruned_again: u32,
}

/// Opens a damaged directory, reads everything, has the index built again, fetches what is missing, and looks once more.
fn judge(disk: &MemoryDisk, index: &Arc<TestIndex>, model: &Model, path: &str, counts: &mut Counts) {
    let mut opened = open(disk, index).unwrap_or_else(|e| panic!("{path}: refused: {e}"));
    let reader = opened.store.reader();
    let found = held(&reader);
    let mut notices = opened.notices;
    notices.extend(reader.take_notices());
    opened.store.feed().unwrap_or_else(|e| panic!("{path}: {e}"));
    notices.extend(reader.take_notices());
    let said = notices.iter().any(|notice| notice.to_string().contains(path));
    let lost: Vec<_> = model.kept.difference(&found).copied().collect();
    assert!(said || lost.is_empty(), "{path}: {lost:?} are missing, and nobody says so: {notices:?}");
    // Only what was pruned can come back, when what said so was damaged.
    let back: Vec<_> = found.difference(&model.kept).copied().collect();
    assert!(back.iter().all(|(at, seq)| said && *seq < model.floor(*at)), "{path}: {back:?} are back");
    // After the repair nobody says that something is held which cannot be read.
    let after = held(&reader);
    assert!(after.iter().all(|record| reader.has(&author(record.0), record.1)));
    let claimed = (0..AUTHORS).flat_map(|at| (0..RECORDS).map(move |seq| (at, seq)));
    let claimed: BTreeSet<_> = claimed.filter(|(at, seq)| reader.has(&author(*at), *seq)).collect();
    assert_eq!(claimed, after, "{path}: what is said to be held is held");
    assert_eq!(reader.take_notices(), [], "{path}: found once, not again");
    let lost: Vec<_> = model.kept.difference(&after).copied().collect();
    match (lost.is_empty(), said) {
        (true, false) => counts.identical += 1,
        (true, true) => counts.repaired += 1,
        (false, _) => counts.missing += 1,
    }
    counts.pruned_again += u32::from(!back.is_empty());
    let again: BTreeSet<(usize, usize)> = lost.iter().map(|(at, seq)| (*at, frame_at(*seq))).collect();
    for (at, which) in again {
        opened.store.append(vec![frame(at, which)]).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    for at in 0..AUTHORS {
        opened.store.prune(&author(at), model.floor(at)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    model.check(&reader);
    drop(opened.store);
    model.check(&open(disk, index).expect("opens again").store.reader());
    // What nobody reads any more, or a frame that says what was pruned, is found damaged only now.
    let opened = open(disk, &Arc::default()).expect("opens without its index");
    let found = held(&opened.store.reader());
    let said = opened.notices.iter().any(|notice| matches!(notice, Notice::Damaged { .. }));
    assert!(model.kept.is_subset(&found), "{path}: lost with the index");
    assert!(
        found.iter().all(|record| model.kept.contains(record) || said),
        "{path}: back, and nobody says so"
    );
}

#[test]
fn a_flipped_bit_in_a_segment_is_never_silent() {
    let (disk, index, model) = closed();
    let (mut with_index, mut without) = (Counts::default(), Counts::default());
    let mut places = 0;
    for (path, len) in segments(&disk) {
        let bits = (0..PLACES).map(|place| place * (len * 8) / PLACES + place * 13 % 8);
        // Every bit of the head too.
        for bit in bits.chain((0..512 * 8).step_by(67)) {
            for (index, counts) in [(index.after_crash(0), &mut with_index), (Arc::default(), &mut without)] {
                let damaged = disk.copy();
                assert!(damaged.flip(&path, bit.min(len * 8 - 1)));
                judge(&damaged, &index, &model, &path, counts);
                places += 1;
            }
        }
    }
    println!("{places} places; with the index: {with_index:?}; without: {without:?}");
    assert!(places > 1500 && with_index.missing > 300 && without.missing > 300);
    assert!(with_index.repaired > 100, "heads are repaired");
}

#[test]
fn a_cut_segment_is_never_silent() {
    let (disk, index, model) = closed();
    let mut counts = Counts::default();
    for (path, len) in segments(&disk) {
        for cut in (0..len).step_by(97) {
            for index in [index.after_crash(0), Arc::default()] {
                let damaged = disk.copy();
                let bytes = disk.contents(&path).expect("there");
                damaged.put(&path, &bytes[..cut as usize]);
                judge_cut(&damaged, &index, &model, &path, &mut counts);
            }
        }
    }
    println!("{counts:?}");
    assert!(counts.missing > 100);
}

/// A cut between two frames of the last segment, with the index lost, cannot be told from a shorter life.
fn judge_cut(disk: &MemoryDisk, index: &Arc<TestIndex>, model: &Model, path: &str, counts: &mut Counts) {
    let is_lost = index.pairs().is_empty();
    if is_lost {
        let opened = open(disk, index).unwrap_or_else(|e| panic!("{path}: refused: {e}"));
        let found = held(&opened.store.reader());
        assert!(found.iter().all(|record| model.kept.contains(record) || record.1 < model.floor(record.0)));
        counts.missing += u32::from(!model.kept.is_subset(&found));
        return;
    }
    let mut opened = open(disk, index).unwrap_or_else(|e| panic!("{path}: refused: {e}"));
    let reader = opened.store.reader();
    let before = held(&reader);
    opened.store.feed().expect("built again");
    let mut notices = opened.notices;
    notices.extend(reader.take_notices());
    let lost = model.kept.difference(&before).count();
    assert!(lost == 0 || !notices.is_empty(), "{path}: {lost} records are missing, and nobody says so");
    let after = held(&reader);
    let claimed = (0..AUTHORS).flat_map(|at| (0..RECORDS).map(move |seq| (at, seq)));
    let claimed: BTreeSet<_> = claimed.filter(|(at, seq)| reader.has(&author(*at), *seq)).collect();
    assert_eq!(claimed, after, "{path}");
    counts.missing += u32::from(lost > 0);
}

#[test]
fn missing_and_swapped_segments_are_said_and_what_they_held_is_asked_for_again() {
    let (disk, index, model) = closed();
    let paths: Vec<String> = segments(&disk).into_iter().map(|(path, _)| path).collect();
    let mut counts = Counts::default();
    for (at, path) in paths.iter().enumerate() {
        let missing = disk.copy();
        missing.take(path);
        let opened = open(&missing, &index.after_crash(0)).expect("opens");
        let said = opened.notices.iter().any(|n| matches!(n, Notice::IndexRebuilt { .. }));
        assert!(said, "{path}: {:?}", opened.notices);
        let found = held(&opened.store.reader());
        assert!(found.iter().all(|record| model.kept.contains(record) || record.1 < model.floor(record.0)));
        let other = &paths[(at + 1) % paths.len()];
        for index in [index.after_crash(0), Arc::default()] {
            let swapped = disk.copy();
            swapped.put(path, &disk.contents(other).expect("there"));
            judge(&swapped, &index, &model, path, &mut counts);
        }
    }
    println!("{counts:?}");
    assert!(counts.missing > 4);
}

#[test]
fn a_damaged_or_lost_pair_of_the_index_loses_nothing() {
    let (disk, index, model) = closed();
    let pairs = index.pairs();
    let (mut at_start, mut later, mut unseen) = (0, 0, 0);
    for (tree, key, _) in &pairs {
        for harm in [Harm::Damaged, Harm::Lost] {
            let (disk, index) = (disk.copy(), index.after_crash(0));
            index.harm(*tree, key, harm);
            let mut opened = open(&disk, &index).expect("opens");
            let rebuilt =
                |notices: &[Notice]| notices.iter().any(|n| matches!(n, Notice::IndexRebuilt { .. }));
            let reader = opened.store.reader();
            let found = held(&reader);
            opened.store.feed().expect("built again");
            if rebuilt(&opened.notices) {
                at_start += 1;
                assert_eq!(found, model.kept);
            } else if rebuilt(&reader.take_notices()) {
                later += 1;
            } else {
                unseen += 1;
                assert_eq!(found, model.kept, "{harm:?} in tree {tree}");
            }
            model.check(&reader);
        }
    }
    println!("{} pairs: {at_start} found at the start, {later} later, {unseen} did not matter", pairs.len());
    assert!(at_start > 5 && later > 100 && unseen <= 2, "{at_start}, {later}, {unseen}");
}

/// Opens sled as a node does, and the records over it.
fn open_with_sled(dir: &Path) -> (RecordStore, Vec<Notice>, Found) {
    let path = dir.join("records/index");
    let (mut store, mut found) = SledStore::open(&path).expect("opens");
    if found == Found::Kept && store.check().is_err() {
        drop(store);
        SledStore::move_aside(&path).expect("moved");
        (store, found) = SledStore::open(&path).expect("opens");
    }
    let files: Arc<dyn Files> = Arc::new(OsFiles::new(dir));
    let opened =
        RecordStore::open(files, Arc::new(store), FEDERATION, record_model::limits()).expect("opens");
    (opened.store, opened.notices, found)
}

#[test]
fn a_flipped_bit_in_sleds_file_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(dir.path().join("records")).expect("made");
    let mut model = Model::default();
    let (mut store, notices, _) = open_with_sled(dir.path());
    assert_eq!(notices, []);
    assert_eq!(live(&mut store, &mut model, 21, 20), 0);
    store.feed().expect("fed");
    model.check(&store.reader());
    drop(store);
    let index = dir.path().join("records/index");
    let whole = std::fs::read(index.join("db")).expect("read");
    let used = whole.iter().rposition(|b| *b != 0).expect("not empty") + 1;
    let (places, mut kept) = (40, 0);
    for place in 0..=places {
        let copy = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(copy.path().join("records/index")).expect("made");
        for entry in std::fs::read_dir(dir.path().join("records")).expect("read") {
            let path = entry.expect("read").path();
            if path.is_file() {
                let name = path.file_name().expect("a name");
                std::fs::copy(&path, copy.path().join("records").join(name)).expect("copied");
            }
        }
        std::fs::copy(index.join("conf"), copy.path().join("records/index/conf")).expect("copied");
        let mut bytes = whole.clone();
        // One copy stays as it is.
        if place < places {
            bytes[place * used / places] ^= 1 << (place % 8);
        }
        std::fs::write(copy.path().join("records/index/db"), bytes).expect("written");
        let (store, notices, found) = open_with_sled(copy.path());
        let rebuilt = notices.iter().any(|n| matches!(n, Notice::IndexRebuilt { .. }));
        // sled may also come up with an older state, which passes its check, but not the store's.
        assert!(found == Found::Kept || rebuilt, "place {place}: {notices:?}");
        assert!(place < places || !rebuilt, "without damage: {notices:?}");
        kept += u32::from(!rebuilt);
        model.check(&store.reader());
    }
    println!("{places} places, {kept} times the index was kept");
    assert!(kept > 0 && kept < places as u32);
}
