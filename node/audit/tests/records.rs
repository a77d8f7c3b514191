//! What the record store answers: kept, known, pruned, over a cap; marks and holes; pages; and a plain model beside random lives.

mod record_model;

use artel_audit::files::Files;
use artel_audit::memory::MemoryDisk;
use artel_audit::records::{
    Error, HOLES_MAX, Item, Kept, Limits, Mark, NewFrame, Notice, RecordStore, Scanned, scan,
};
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;
use proptest::prelude::*;
use record_model::{AUTHORS, FEDERATION, FRAMES, Model, TestIndex, author, frame, limits, live, open};
use std::collections::BTreeSet;
use std::sync::Arc;

fn new_store() -> (MemoryDisk, Arc<TestIndex>, RecordStore) {
    let (disk, index) = (MemoryDisk::new(), Arc::new(TestIndex::default()));
    let opened = open(&disk, &index).expect("a new store");
    assert_eq!(opened.notices, []);
    (disk, index, opened.store)
}

fn with_limits(limits: Limits) -> RecordStore {
    let files: Arc<dyn Files> = Arc::new(MemoryDisk::new());
    RecordStore::open(files, Arc::new(TestIndex::default()), FEDERATION, limits).expect("a new store").store
}

/// A frame of one record.
fn lone(public_seq: u64) -> NewFrame {
    let items = vec![Item { public_seq, index: public_seq }];
    NewFrame { origin: author(0), topic: 0, bytes: b"lone".to_vec(), items }
}

#[test]
fn marks_jump_over_a_hole_once_it_is_filled() {
    let (_, _, mut store) = new_store();
    let records = store.reader();
    assert_eq!(records.mark(&author(0)), Mark::default());
    // Record 6, then 0, 1, 2 and 4, then 3.
    assert_eq!(store.append(vec![frame(0, 3)]).expect("kept"), [Kept::New]);
    assert_eq!(records.holes(&author(0), 9), [0..6]);
    assert_eq!((records.mark(&author(0)).next, records.mark(&author(0)).last), (0, Some(6)));
    assert_eq!(store.append(vec![frame(0, 0)]).expect("kept"), [Kept::New]);
    assert_eq!(records.holes(&author(0), 9), [3..4, 5..6]);
    assert_eq!(records.holes(&author(0), 1).first(), Some(&(3..4)));
    assert_eq!(records.holes(&author(0), 1).len(), 1);
    assert_eq!(store.append(vec![frame(0, 1)]).expect("kept"), [Kept::New]);
    assert_eq!(records.holes(&author(0), 9), [5..6]);
    assert_eq!((records.mark(&author(0)).next, records.mark(&author(0)).records), (5, 6));
    assert!(records.has(&author(0), 6) && !records.has(&author(0), 7) && !records.has(&author(1), 6));
}

/// More of them than are looked up at once, some in the index and some not, between each other.
#[test]
fn pages_of_the_index_and_of_what_it_lacks_fit_together() {
    let (_, _, mut store) = new_store();
    let appended = |store: &mut RecordStore, all: Vec<u64>| {
        for some in all.chunks(64) {
            let frames = some.iter().map(|seq| lone(*seq)).collect();
            assert!(store.append(frames).expect("kept").iter().all(|kept| *kept == Kept::New));
        }
    };
    appended(&mut store, (0..600).filter(|seq| seq % 2 == 0).collect());
    store.feed().expect("fed");
    appended(&mut store, (0..1_200).filter(|seq| seq % 2 == 1 && seq % 3 > 0).collect());
    let records = store.reader();
    let held: Vec<u64> = (0..1_200).filter(|seq| records.has(&author(0), *seq)).collect();
    assert_eq!(held.len(), 300 + 400);
    for from in [0, 1, 3, 511, 599, 700] {
        let (frames, next) = records.frames(&author(0), from, usize::MAX / 2);
        assert_eq!(frames.len(), held.iter().filter(|seq| **seq >= from).count(), "from {from}");
        assert_eq!(next, 1_200);
    }
}

#[test]
fn a_frame_that_is_held_is_not_written_again() {
    let (disk, _, mut store) = new_store();
    assert_eq!(store.append(vec![frame(0, 0), frame(0, 0)]).expect("kept"), [Kept::New, Kept::Known]);
    let points = disk.points();
    assert_eq!(store.append(vec![frame(0, 0)]).expect("known"), [Kept::Known]);
    assert_eq!(disk.points(), points, "nothing was written");
    assert_eq!(store.append(Vec::new()).expect("nothing"), []);
}

#[test]
fn an_append_costs_one_write_and_one_sync() {
    let (disk, _, mut store) = new_store();
    store.append(vec![frame(0, 0)]).expect("kept");
    let points = disk.points();
    store.append((1..5).map(|at| frame(0, at)).collect()).expect("kept");
    assert_eq!(disk.points(), points + 2);
}

#[test]
fn a_frame_with_some_known_records_is_kept_and_both_are_answered_once() {
    let (_, _, mut store) = new_store();
    let both = NewFrame {
        bytes: b"both".to_vec(),
        items: (5..8).map(|n| Item { public_seq: n, index: n }).collect(),
        ..lone(0)
    };
    assert_eq!(store.append(vec![lone(6), both]).expect("kept"), [Kept::New; 2]);
    let records = store.reader();
    assert_eq!(records.mark(&author(0)).records, 3);
    let (frames, next) = records.frames(&author(0), 0, 1 << 20);
    assert_eq!((frames, next), (vec![b"both".to_vec(), b"lone".to_vec()], 8));
    assert_eq!(records.frames(&author(0), 6, 1 << 20).0.len(), 2);
    assert_eq!(records.frames(&author(0), 8, 1 << 20), (vec![], 8));
}

#[test]
fn one_frame_is_answered_even_if_it_is_too_large() {
    let (_, _, mut store) = new_store();
    store.append(vec![frame(0, 0), frame(0, 1), frame(0, 2)]).expect("kept");
    let (frames, next) = store.reader().frames(&author(0), 0, 0);
    assert_eq!((frames.len(), next), (1, 3), "no place between the frames of a commit");
    let (frames, next) = store.reader().frames(&author(0), 0, 900);
    assert_eq!((frames.len(), next), (2, 5), "between two commits there is one");
}

/// A frame is read from the first number that was asked for, not from its own first one.
#[test]
fn an_answer_goes_on_at_what_was_asked_for() {
    let (_, _, mut store) = new_store();
    let ten = |first: u64| NewFrame {
        bytes: vec![7; 400],
        items: (first..first + 10).map(|n| Item { public_seq: n, index: n }).collect(),
        ..lone(0)
    };
    store.append(vec![ten(0), ten(10)]).expect("kept");
    let records = store.reader();
    for fed in [false, true] {
        let asked = |bytes_max| records.frames_in(&author(0), &[2..3, 15..16], bytes_max);
        assert_eq!(asked(0), (vec![ten(0).bytes], 15), "fed: {fed}");
        assert_eq!(asked(1 << 20).1, 16, "fed: {fed}");
        store.feed().expect("fed");
    }
}

#[test]
fn caps_of_author_store_and_authors_hold() {
    let lone_bytes = 8 + 40 + 16 + 4 + 4;
    let caps = |author: u64, store: u64, authors: u64| {
        let limits = Limits {
            author_bytes_max: author * lone_bytes,
            store_bytes_max: store * lone_bytes,
            authors_max: authors,
            ..Limits::default()
        };
        let mut store = with_limits(limits);
        let other = |seq: u64, at: usize| NewFrame { origin: author_of(at), ..lone(seq) };
        let frames = vec![other(0, 0), other(1, 0), other(0, 1), other(0, 2)];
        let kept = store.append(frames).expect("answered");
        let bytes: u64 = store.reader().marks().iter().map(|(_, mark)| mark.bytes).sum();
        assert_eq!(store.bytes(), bytes);
        kept
    };
    use Kept::{New, OverCap};
    assert_eq!(caps(9, 9, 9), [New, New, New, New]);
    assert_eq!(caps(1, 9, 9), [New, OverCap, OverCap, New], "two lives of a node have one share");
    assert_eq!(caps(9, 3, 9), [New, New, New, OverCap]);
    assert_eq!(caps(9, 9, 2), [New, New, New, OverCap]);
}

fn author_of(at: usize) -> Origin {
    author(at)
}

#[test]
fn room_comes_back_when_an_author_is_pruned() {
    let mut store = with_limits(Limits { author_bytes_max: 3000, ..limits() });
    let mut held = 0;
    for at in 0..FRAMES {
        held += usize::from(store.append(vec![frame(0, at)]).expect("answered") == [Kept::New]);
    }
    assert!((5..15).contains(&held), "{held}");
    store.prune(&author(0), 500).expect("pruned");
    assert_eq!(
        (store.bytes(), store.reader().mark(&author(0))),
        (0, Mark { floor: 500, next: 500, ..Mark::default() })
    );
    assert_eq!(store.append(vec![frame(0, 0)]).expect("answered"), [Kept::Pruned]);
    assert_eq!(store.append(vec![lone(501)]).expect("answered"), [Kept::New]);
    store.prune(&author(0), 3).expect("nothing to do");
    assert_eq!(store.reader().mark(&author(0)).next, 500);
}

#[test]
fn holes_are_bounded_and_what_fills_one_is_always_kept() {
    let (_, _, mut store) = new_store();
    let seqs: Vec<u64> = (0..=HOLES_MAX as u64).map(|n| n * 2 + 1).collect();
    let mut kept = Vec::new();
    for some in seqs.chunks(500) {
        kept.extend(store.append(some.iter().map(|seq| lone(*seq)).collect()).expect("answered"));
    }
    assert!(kept[..HOLES_MAX].iter().all(|kept| *kept == Kept::New));
    assert_eq!(kept[HOLES_MAX..], [Kept::Sparse]);
    assert_eq!(
        store.append(vec![lone(2), lone(*seqs.last().expect("some"))]).expect("answered"),
        [Kept::New; 2]
    );
    assert_eq!(store.reader().mark(&author(0)).next, 0);
}

#[test]
fn what_nobody_may_give_is_refused_whole() {
    let (_, _, mut store) = new_store();
    let refused = |store: &mut RecordStore, wrong: NewFrame| {
        let error = store.append(vec![lone(0), wrong]).expect_err("refused");
        assert!(!store.reader().has(&author(0), 0));
        error
    };
    let items = |pairs: &[(u64, u64)]| NewFrame {
        items: pairs
            .iter()
            .map(|(public_seq, index)| Item { public_seq: *public_seq, index: *index })
            .collect(),
        ..lone(0)
    };
    let many: Vec<(u64, u64)> = (0..1025).map(|n| (n, n)).collect();
    for wrong in [&[][..], &[(1, 1), (1, 2)], &[(1, 1), (2, 1)], &[(2, 1), (1, 2)], &[(u64::MAX, 1)], &many] {
        assert!(matches!(refused(&mut store, items(wrong)), Error::Items), "{:?}", wrong.first());
    }
    let large = NewFrame { bytes: vec![0; (4 << 20) + 1], ..lone(1) };
    assert!(matches!(refused(&mut store, large), Error::FrameTooLarge { .. }));
    let origin = Origin::new(FederationId([9; 32]), NodeId(PublicKey::from_bytes([1; 32])), 0);
    assert!(matches!(refused(&mut store, NewFrame { origin, ..lone(1) }), Error::ForeignFrame(_)));
    let large = |seq| NewFrame { bytes: vec![0; 4 << 20], ..lone(seq) };
    let error = store.append(vec![large(1), large(2)]).expect_err("refused");
    assert!(matches!(error, Error::AppendTooLarge { .. }));
    assert_eq!(store.append(vec![large(1)]).expect("fits"), [Kept::New]);
}

#[test]
fn another_federations_segments_are_refused_by_name() {
    let (disk, _, mut store) = new_store();
    store.append(vec![lone(0)]).expect("kept");
    drop(store);
    let files: Arc<dyn Files> = Arc::new(disk);
    let index = Arc::new(TestIndex::default());
    let opened = RecordStore::open(files.clone(), index, FederationId([9; 32]), limits());
    let error = opened.map(|_| ()).expect_err("refused").to_string();
    assert!(error.starts_with("records/0000000000000001.seg belongs to federation 0202"), "{error}");
    assert!(scan(files, FederationId([9; 32])).expect("listed").any(|scanned| scanned.is_err()));
}

#[test]
fn a_closed_store_is_opened_without_reading_its_frames() {
    let (disk, index, mut store) = new_store();
    let mut model = Model::default();
    assert_eq!(live(&mut store, &mut model, 1, 20), 0);
    store.feed().expect("fed");
    drop(store);
    let (points, calls) = (disk.points(), index.calls());
    let opened = open(&disk, &index).expect("opens");
    assert_eq!(opened.notices, []);
    assert_eq!(
        (disk.points(), index.calls()),
        (points + 2, calls),
        "two directories were synced, nothing else"
    );
    model.check(&opened.store.reader());
}

#[test]
fn an_index_that_is_missing_or_anothers_is_built_again_and_said() {
    let (disk, index, mut store) = new_store();
    let mut model = Model::default();
    assert_eq!(live(&mut store, &mut model, 2, 25), 0);
    store.feed().expect("fed");
    drop(store);
    let rebuilt = |notices: &[Notice]| notices.iter().any(|n| matches!(n, Notice::IndexRebuilt { .. }));
    let lost = Arc::new(TestIndex::default());
    let opened = open(&disk, &lost).expect("opens");
    assert!(rebuilt(&opened.notices), "{:?}", opened.notices);
    model.check(&opened.store.reader());
    drop(opened);
    // The index of a store that went on elsewhere: it knows segments that are not here.
    let (old, went_on) = (disk.copy(), disk);
    let mut opened = open(&went_on, &lost).expect("opens");
    assert_eq!(live(&mut opened.store, &mut model.clone(), 3, 25), 0);
    opened.store.feed().expect("fed");
    let mut opened = open(&old, &lost).expect("opens");
    assert!(rebuilt(&opened.notices), "{:?}", opened.notices);
    model.check(&opened.store.reader());
    assert_eq!(live(&mut opened.store, &mut model, 4, 9), 0);
    model.check(&opened.store.reader());
    drop(index);
}

#[test]
fn pruned_segments_are_freed_and_the_files_stay_small() {
    let (disk, index, mut store) = new_store();
    let mut model = Model::default();
    for round in 0..FRAMES / 4 {
        for at in 0..AUTHORS {
            model
                .append(
                    &mut store,
                    &[(at, round * 4), (at, round * 4 + 1), (at, round * 4 + 2), (at, round * 4 + 3)],
                )
                .expect("kept");
            if at != 1 {
                model.prune(&mut store, at, (round as u64 * 10).saturating_sub(20)).expect("pruned");
            }
        }
        let files: u64 =
            disk.files().iter().filter(|(path, _)| path.starts_with("records/")).map(|(_, len)| len).sum();
        let bound = 2 * store.bytes() + 2 * (3 << 10) + 2048;
        assert!(files <= bound, "round {round}: {files} bytes in files, {} held", store.bytes());
    }
    model.check(&store.reader());
    drop(store);
    for index in [index, Arc::new(TestIndex::default())] {
        model.check(&open(&disk, &index).expect("opens").store.reader());
    }
}

#[test]
fn a_scan_sees_every_frame_that_is_held_and_changes_nothing() {
    let (disk, _, mut store) = new_store();
    let mut model = Model::default();
    assert_eq!(live(&mut store, &mut model, 5, 25), 0);
    let points = disk.points();
    let seen = |disk: &MemoryDisk| {
        let (mut seen, mut floors) = (BTreeSet::new(), [0; AUTHORS]);
        let files: Arc<dyn Files> = Arc::new(disk.clone());
        for scanned in scan(files, FEDERATION).expect("listed") {
            match scanned.expect("read") {
                Scanned::Frame { origin, items, bytes, topic } => {
                    let at = (0..AUTHORS).find(|at| author(*at) == origin).expect("one of ours");
                    for item in items {
                        let wanted = record_model::frame_of(at, item.public_seq);
                        assert!(
                            wanted.bytes == bytes && wanted.topic == topic && wanted.items.contains(&item)
                        );
                        seen.insert((at, item.public_seq));
                    }
                }
                Scanned::Floor { origin, below } => {
                    let at = (0..AUTHORS).find(|at| author(*at) == origin).expect("one of ours");
                    floors[at] = below.max(floors[at]);
                }
                Scanned::Notice(notice) => panic!("{notice}"),
            }
        }
        seen.retain(|(at, seq)| *seq >= floors[*at]);
        seen
    };
    assert_eq!(seen(&disk), model.check(&store.reader()));
    assert_eq!(disk.points(), points, "nothing was written");
    // A writer is in the middle of a frame.
    let (path, _) = disk.files().into_iter().rfind(|(path, _)| path.ends_with(".seg")).expect("a segment");
    let bytes = disk.contents(&path).expect("there");
    let half = disk.copy();
    half.put(&path, &[&bytes[..], &[7; 30]].concat());
    assert_eq!(seen(&half), seen(&disk));
    assert_eq!(scan(Arc::new(MemoryDisk::new()), FEDERATION).expect("no directory").count(), 0);
}

#[test]
fn readers_see_whole_frames_while_segments_come_and_go() {
    let (_, _, mut store) = new_store();
    let done = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    let read = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (records, done) = (store.reader(), &done);
                scope.spawn(move || {
                    let mut read = 0;
                    while !done.load(order) {
                        for at in 0..AUTHORS {
                            let mark = records.mark(&author(at));
                            let (frames, next) = records.frames(&author(at), mark.floor, 4000);
                            assert!(next >= mark.floor);
                            read += frames.len();
                            for seq in mark.floor..mark.next {
                                let Some(bytes) = records.frame(&author(at), seq) else {
                                    continue;
                                };
                                assert_eq!(bytes, record_model::frame_of(at, seq).bytes);
                                read += 1;
                            }
                        }
                    }
                    read
                })
            })
            .collect();
        let mut model = Model::default();
        for at in 0..FRAMES {
            for author_at in 0..AUTHORS {
                model.append(&mut store, &[(author_at, at)]).expect("a healthy disk");
                if at % 3 == 2 {
                    model.prune(&mut store, author_at, at as u64 * 2 - 4).expect("a healthy disk");
                }
            }
        }
        done.store(true, order);
        let read = readers.into_iter().map(|reader| reader.join().expect("no panic")).sum::<usize>();
        assert_eq!(store.take_notices(), [], "nobody took a moved frame for a damaged one");
        model.check(&store.reader());
        read
    });
    assert!(read > 100, "{read}");
}

#[derive(Debug, Clone)]
enum Act {
    Append(Vec<(usize, usize)>),
    Prune(usize, u64),
    Feed,
    Reopen,
    PowerLoss(u64),
    LoseIndex,
}

fn act() -> impl Strategy<Value = Act> {
    let frames = prop::collection::vec((0..AUTHORS, 0..FRAMES), 1..6);
    prop_oneof![
        12 => frames.prop_map(Act::Append),
        2 => (0..AUTHORS, 0_u64..160).prop_map(|(at, below)| Act::Prune(at, below)),
        2 => Just(Act::Feed),
        1 => Just(Act::Reopen),
        1 => any::<u64>().prop_map(Act::PowerLoss),
        1 => Just(Act::LoseIndex),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_life_holds_what_a_plain_model_holds(acts in prop::collection::vec(act(), 1..40)) {
        let (mut disk, mut index, mut store) = new_store();
        let mut model = Model::default();
        for act in acts {
            match act {
                Act::Append(which) => model.append(&mut store, &which).expect("a healthy disk"),
                Act::Prune(at, below) => model.prune(&mut store, at, below).expect("a healthy disk"),
                Act::Feed => store.feed().expect("a healthy disk"),
                Act::Reopen => {
                    drop(store);
                    store = open(&disk, &index).expect("opens").store;
                }
                Act::PowerLoss(seed) => {
                    (disk, index) = (disk.after_crash(seed), index.after_crash(seed));
                    store = open(&disk, &index).expect("opens").store;
                }
                Act::LoseIndex => {
                    index = Arc::new(TestIndex::default());
                    store = open(&disk, &index).expect("opens").store;
                }
            }
            let held = model.check(&store.reader());
            let kept = model.kept.iter().filter(|(at, seq)| *seq >= model.floor(*at));
            prop_assert_eq!(held, kept.copied().collect());
        }
    }
}
