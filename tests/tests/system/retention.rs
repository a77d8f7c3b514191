//! Others' records at their limit: a node that has used up its share of another one's disk is kept and heard there all the same.

use crate::mesh::{founder, invite, member, post};
use crate::{artel, fresh};
use artel_audit::os::OsFiles;
use artel_audit::records::{Item, Kept, Limits, Mark, NewFrame};
use artel_node::neighbours::open_store;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;
use artel_tests::Node;
use artel_tests::mesh::{admitted, held, items, joining, listening, until};
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

/// What a stopped node holds of another one, by journal.
fn marks(dir: &Path, of: NodeId) -> Vec<(Origin, Mark)> {
    let files = Arc::new(OsFiles::new(dir));
    let federation = artel_audit::verify::directory(files.clone()).expect("a journal").origin.federation();
    open_store(dir, files, federation).expect("its records").reader().marks_of(&of)
}

fn bytes(marks: &[(Origin, Mark)]) -> u64 {
    marks.iter().map(|(_, mark)| mark.bytes).sum()
}

#[test]
fn a_home_that_has_used_up_its_share_elsewhere_is_still_kept_and_heard_there() {
    let (a, b) = (fresh(), fresh());
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
    let marks = marks(a.path(), node_id(&home));
    assert!(bytes(&marks) <= Limits::default().author_bytes_max, "{marks:?}");
    assert!(marks[1].1.floor > 0 && marks[1].1.next == filled, "the oldest gave way: {marks:?}");
}

#[test]
fn of_a_member_whose_work_nobody_here_could_do_half_a_share_is_kept() {
    let (a, b, c, d) = (fresh(), fresh(), fresh(), fresh());
    let first = founder(a.path());
    let home = member(b.path(), &invite(a.path(), 1));
    let of_home = node_id(&home);
    let follow = |interest: &str, data: &Path| {
        let up = joining(&artel(), data, &invite(a.path(), 1)).env("ARTEL_INTEREST", interest);
        let node = up.start();
        until("it holds what home has said", || held(&node, home.peer_id()) > 0);
        assert_eq!(node.stop().code, Some(0));
        fill(data, of_home);
        listening(&artel(), data).env("ARTEL_INTEREST", interest).start()
    };
    let (own, all) = (follow("own", c.path()), follow("all", d.path()));
    until("all have met again", || admitted(&home) == 3);
    let before = held(&home, home.peer_id());
    post(&home, OFFERS as usize);
    for node in [&own, &all] {
        until("its offers are kept", || held(node, home.peer_id()) >= before + OFFERS);
    }
    for node in [own, all, home, first] {
        assert_eq!(node.stop().code, Some(0));
    }
    let (own, all) = (bytes(&marks(c.path(), of_home)), bytes(&marks(d.path(), of_home)));
    let share = Limits::default().author_bytes_max;
    assert!(own <= share / 2 && all > share / 2, "{own} and {all} of {share}");
}
