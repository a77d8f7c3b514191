//! Others' records at their limit: a node that has used up its share of another one's disk is kept and heard there all the same.

use crate::mesh::{invite, member, post};
use crate::{artel, fresh};
use artel_audit::os::OsFiles;
use artel_audit::records::{Item, Kept, Limits, NewFrame};
use artel_node::neighbours::open_store;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;
use artel_tests::Node;
use artel_tests::mesh::{admitted, held, items, listening, until};
use std::path::Path;
use std::sync::Arc;

/// How large the records are that fill the share: as long as there is room for them the large ones, then the smaller.
const FRAME_BYTES: [usize; 3] = [64 << 10, 4 << 10, 256];

/// How many offers a node then makes.
const OFFERS: u64 = 5;

fn node_id(node: &Node) -> NodeId {
    NodeId(PublicKey::from_peer_id(node.peer_id()).expect("a peer id"))
}

/// Fills what a stopped node keeps of another one up to its share, as one that has made records for long; they are of a later
/// journal, so that their numbers are free.
fn fill(dir: &Path, of: NodeId) -> u64 {
    let files = Arc::new(OsFiles::new(dir));
    let federation = artel_audit::verify::directory(files.clone()).expect("a journal").origin.federation();
    let mut store = open_store(dir, files, federation).expect("its records");
    let frame = |seq, bytes| NewFrame {
        origin: Origin::new(federation, of, 1),
        topic: 0,
        bytes: vec![7; bytes],
        items: vec![Item { public_seq: seq, index: seq }],
    };
    let mut seq = 0;
    for bytes in FRAME_BYTES {
        while store.append(vec![frame(seq, bytes)]).expect("written")[0] == Kept::New {
            seq += 1;
        }
    }
    store.feed().expect("fed");
    seq
}

/// How many bytes a founder with this interest keeps of a home that has used up its share there and then makes offers of a kind
/// that no agent of the founder's could work on. They are kept, and the oldest give way.
fn kept_of_a_home_with_much(interest: &str) -> u64 {
    let (a, b) = (fresh(), fresh());
    let set = format!("interest={interest}");
    let founder = |data| listening(&artel(), data).arg("--set").arg(&set).start();
    let first = founder(a.path());
    let home = member(b.path(), &invite(a.path(), 1));
    until("it is let in", || admitted(&first) == 1 && held(&first, home.peer_id()) > 0);
    assert_eq!(first.stop().code, Some(0));
    let filled = fill(a.path(), node_id(&home));
    assert!(filled * (FRAME_BYTES[0] as u64) > Limits::default().author_bytes_max / 10 * 9);
    let first = founder(a.path());
    until("they meet again", || admitted(&first) == 1);
    let before = held(&first, home.peer_id());
    post(&home, OFFERS as usize);
    until("its offers are on the board", || items(&first, "/v1/offers").len() as u64 == OFFERS);
    until("and kept", || held(&first, home.peer_id()) >= before + OFFERS);
    assert_eq!(first.stop().code, Some(0));
    let files = Arc::new(OsFiles::new(a.path()));
    let federation = artel_audit::verify::directory(files.clone()).expect("a journal").origin.federation();
    let records = open_store(a.path(), files, federation).expect("its records").reader();
    let marks = records.marks_of(&node_id(&home));
    assert!(marks[1].1.floor > 0 && marks[1].1.next == filled, "the oldest gave way: {marks:?}");
    marks.iter().map(|(_, mark)| mark.bytes).sum()
}

#[test]
fn a_home_that_has_used_up_its_share_elsewhere_is_still_kept_and_heard_there() {
    let kept = kept_of_a_home_with_much("all");
    let share = Limits::default().author_bytes_max;
    assert!((share / 2..=share).contains(&kept), "{kept} of {share}");
}

#[test]
fn of_a_home_whose_work_nobody_here_could_do_less_than_half_a_share_is_kept() {
    let kept = kept_of_a_home_with_much("own");
    let share = Limits::default().author_bytes_max;
    assert!((share / 4..share / 2).contains(&kept), "{kept} of {share}");
}
