//! Retention: an author at its limit gives up its oldest records, a full store those of whoever takes most, and holes that nobody
//! fills are given up where much is held behind them.

mod record_model;

use artel_audit::index::KvStore;
use artel_audit::memory::MemoryDisk;
use artel_audit::records::{Item, Kept, Limits, NewFrame, RecordStore};
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::{JOURNALS_OF_NODE_MAX, Origin};
use record_model::{FEDERATION, TestIndex};
use std::sync::Arc;

/// What a frame of [`one`] takes.
const ONE: u64 = 8 + 40 + 16 + 4 + 4;

/// A share of 40 of them, and room for ten such authors.
const LIMITS: Limits = Limits {
    author_bytes_max: 40 * ONE,
    store_bytes_max: 400 * ONE,
    authors_max: 1_000,
    segment_bytes: 4 << 10,
};

fn origin(node: u8, incarnation: u32) -> Origin {
    Origin::new(FEDERATION, NodeId(PublicKey::from_bytes([node; 32])), incarnation)
}

/// A frame of one record.
fn one(origin: Origin, public_seq: u64) -> NewFrame {
    let items = vec![Item { public_seq, index: public_seq }];
    NewFrame { origin, topic: 0, bytes: b"lone".to_vec(), items }
}

fn opened(disk: &MemoryDisk, index: &Arc<TestIndex>) -> RecordStore {
    let index: Arc<dyn KvStore> = index.clone();
    RecordStore::open(Arc::new(disk.clone()), index, FEDERATION, LIMITS).expect("opens").store
}

fn new_store() -> RecordStore {
    opened(&MemoryDisk::new(), &Arc::default())
}

/// Keeps a frame, and lets older ones give way to it as long as that helps.
fn keep(store: &mut RecordStore, frame: NewFrame) -> Kept {
    loop {
        let kept = store.append(vec![frame.clone()]).expect("answered")[0];
        let Some(node) = store.who_gives_way(&frame, |_| false).filter(|_| kept == Kept::OverCap) else {
            return kept;
        };
        store.give_up_oldest(&node).expect("given up");
    }
}

#[test]
fn an_author_at_its_limit_gives_up_its_oldest_and_its_newest_are_kept() {
    let (disk, index) = (MemoryDisk::new(), Arc::default());
    let mut store = opened(&disk, &index);
    let author = origin(1, 0);
    for seq in 0..500 {
        assert_eq!(keep(&mut store, one(author, seq)), Kept::New, "{seq}");
        let mark = store.reader().mark(&author);
        assert!(mark.bytes <= LIMITS.author_bytes_max && store.bytes() == mark.bytes);
        assert!(seq < 40 || mark.records >= 30, "three quarters of its share stay: {mark:?}");
        assert_eq!((mark.next, mark.floor + mark.records), (seq + 1, seq + 1));
    }
    assert_eq!(keep(&mut store, one(author, 3)), Kept::Pruned);
    let mark = store.reader().mark(&author);
    drop(store);
    for index in [index, Arc::default()] {
        assert_eq!(opened(&disk, &index).reader().mark(&author), mark);
    }
}

#[test]
fn all_journals_of_a_node_have_one_share_and_the_oldest_gives_way() {
    let (disk, index) = (MemoryDisk::new(), Arc::default());
    let mut store = opened(&disk, &index);
    for incarnation in 0..3 {
        // A start changes nothing.
        drop(store);
        store = opened(&disk, &index);
        for seq in 0..30 {
            assert_eq!(keep(&mut store, one(origin(1, incarnation), seq)), Kept::New);
        }
    }
    let marks: Vec<u64> = (0..3).map(|n| store.reader().mark(&origin(1, n)).records).collect();
    assert!(store.bytes() <= LIMITS.author_bytes_max && marks[0] == 0 && marks[2] == 30, "{marks:?}");
    assert_eq!(keep(&mut store, one(origin(1, JOURNALS_OF_NODE_MAX - 1), 0)), Kept::New);
    for incarnation in [JOURNALS_OF_NODE_MAX, u32::MAX] {
        assert_eq!(keep(&mut store, one(origin(1, incarnation), 0)), Kept::OverCap);
    }
    assert_eq!(keep(&mut store, one(origin(2, 0), 0)), Kept::New);
}

#[test]
fn in_a_full_store_whoever_takes_most_gives_way_but_keeps_half_of_its_share() {
    let mut store = new_store();
    let fill = |store: &mut RecordStore, nodes: std::ops::Range<u8>, count| {
        let seqs = nodes.flat_map(|node| (0..count).map(move |seq| (node, seq)));
        seqs.map(|(node, seq)| keep(store, one(origin(node, 0), seq)))
            .filter(|kept| *kept == Kept::New)
            .count()
    };
    assert_eq!(fill(&mut store, 1..10, 40), 9 * 40);
    assert_eq!(fill(&mut store, 10..14, 20), 80, "the largest gave way");
    let records = |store: &RecordStore, node| store.reader().mark(&origin(node, 0)).records;
    assert!((1..14).all(|node| records(&store, node) >= 20));
    let fitted = fill(&mut store, 14..60, 20);
    assert!(fitted < 46 * 20 && store.bytes() <= LIMITS.store_bytes_max, "{fitted}");
    assert!((1..14).all(|node| records(&store, node) >= 20), "nobody has less than half of its share left");
}

#[test]
fn a_hole_that_two_lack_is_given_up_only_where_much_is_held_behind_it() {
    let mut store = new_store();
    let (author, one_says, other_says) = (origin(1, 0), origin(8, 0).node(), origin(9, 0).node());
    for seq in 100..109 {
        assert_eq!(keep(&mut store, one(author, seq)), Kept::New);
        for by in [one_says, other_says] {
            assert_eq!(store.lacks(&author, by, 100).expect("looked"), None, "{seq}");
        }
    }
    assert_eq!(keep(&mut store, one(author, 109)), Kept::New);
    assert_eq!(store.lacks(&author, other_says, 101).expect("looked"), Some(100), "what both lack");
    store.prune(&author, 100).expect("given up");
    assert_eq!((store.reader().mark(&author).next, store.reader().mark(&author).floor), (110, 100));
    assert_eq!(store.lacks(&author, one_says, 100).expect("looked"), None, "nothing is missing");
    // What later journals of its node take counts too: they would give way after it.
    let older = origin(2, 0);
    for seq in 0..10 {
        assert_eq!(keep(&mut store, one(origin(2, 1), seq)), Kept::New);
    }
    assert_eq!(keep(&mut store, one(older, 7)), Kept::New);
    assert_eq!(store.lacks(&older, one_says, 7).expect("looked"), None);
    assert_eq!(store.lacks(&older, other_says, 7).expect("looked"), Some(7));
}

#[test]
fn by_one_neighbours_word_alone_less_is_held_than_whoever_has_no_room_or_interest_keeps() {
    let mut store = new_store();
    let (author, by) = (origin(1, 0), origin(8, 0).node());
    for seq in 100..113 {
        assert_eq!(keep(&mut store, one(author, seq)), Kept::New);
        assert_eq!(store.lacks(&author, by, 100).expect("looked"), None, "{seq}");
    }
    assert_eq!(keep(&mut store, one(author, 113)), Kept::New);
    assert_eq!(store.lacks(&author, by, 100).expect("looked"), Some(100));
}

#[test]
fn of_a_node_that_nobody_is_interested_in_half_a_share_is_kept_and_enough_to_begin_after_it() {
    let mut store = new_store();
    let author = origin(1, 0);
    let mut least = u64::MAX;
    for seq in 0..200 {
        assert_eq!(keep(&mut store, one(author, seq)), Kept::New);
        if store.is_more_than_distant(&author.node()) {
            store.give_up_distant(&author.node()).expect("given up");
            least = least.min(store.reader().mark(&author).records);
        }
        let mark = store.reader().mark(&author);
        assert!(mark.records <= 20 && mark.next == seq + 1, "{mark:?}");
    }
    assert_eq!(least, 15);
    // Whoever comes later and gets no more than that reads on after it, by one neighbour's word.
    let mut later = new_store();
    for seq in 200 - least..200 {
        assert_eq!(keep(&mut later, one(author, seq)), Kept::New);
    }
    let lacked = later.lacks(&author, origin(8, 0).node(), 200 - least).expect("looked");
    assert_eq!(lacked, Some(200 - least));
}

#[test]
fn in_a_full_store_those_that_nobody_is_interested_in_give_way_first() {
    let mut store = new_store();
    for (node, count) in (1..11).map(|node| (node, 40)) {
        (0..count).for_each(|seq| assert_eq!(keep(&mut store, one(origin(node, 0), seq)), Kept::New));
    }
    let frame = one(origin(20, 0), 0);
    let distant = origin(4, 0).node();
    assert_eq!(store.who_gives_way(&frame, |node| *node == distant), Some(distant));
    store.give_up_oldest(&distant).expect("given up");
    store.give_up_oldest(&distant).expect("given up");
    (0..20).for_each(|seq| assert_eq!(keep(&mut store, one(origin(20, 0), seq)), Kept::New));
    // What is left to it is as much as any node keeps.
    assert_ne!(store.who_gives_way(&one(origin(21, 0), 0), |node| *node == distant), Some(distant));
}
