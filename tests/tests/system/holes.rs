//! Single records that are lost in a store: its node finds out by itself, and fetches these alone.

use crate::mesh::{founder, invite, member, post};
use crate::{artel, fresh};
use artel_node::bench::loss;
use artel_protocol::key::PublicKey;
use artel_tests::Node;
use artel_tests::mesh::{LISTEN, admitted, held, until};
use serde_json::Value;
use std::path::Path;

/// How many records there are, and how many of them are lost.
const RECORDS: usize = 2_000;
const LOST: usize = 100;

/// What all that is said on exchanges' streams may take with each neighbour until they are there again: a seventh of what fetching on
/// from the first one takes. On a machine that stands still for seconds each neighbour may be asked for the same.
const BYTES_MAX: u64 = 50_000;

fn did(node: &Node) -> String {
    PublicKey::from_peer_id(node.peer_id()).expect("a peer id").did()
}

fn again(data: &Path) -> Node {
    artel().up(data).arg("--listen").arg(LISTEN).start()
}

fn traffic(node: &Node) -> Value {
    node.operator().get("/v1/traffic").is(200)
}

/// Loses records of `of` at a stopped node, starts it, and waits until it has them again. What it received and sent.
fn loses_and_fetches(data: &Path, of: (&str, &str), from: &[&Node]) -> u64 {
    let (did, peer_id) = of;
    let holes_at = |node: &&Node| traffic(node)["requests"]["sync_holes"].as_u64().unwrap_or_default();
    let holes = || from.iter().map(holes_at).sum::<u64>();
    let asked = holes();
    let lost = loss::lose(data, &[did.to_owned()], LOST).expect("a store");
    assert_eq!(lost[0].len(), LOST);
    let node = again(data);
    until("it asks for what it lacks", || holes() > asked);
    until("all is held again", || held(&node, peer_id) >= RECORDS as u64);
    let bytes = &traffic(&node)["lanes"]["sync"];
    let bytes = bytes["received"].as_u64().expect("a count") + bytes["sent"].as_u64().expect("a count");
    assert_eq!(node.stop().code, Some(0));
    let verified = artel().run(["audit", "verify", data.to_str().expect("UTF-8"), "--json"]).json();
    assert_eq!(verified["sound"], true, "{verified}");
    bytes
}

#[test]
fn a_node_that_lost_single_records_fetches_these_alone_from_its_neighbours() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    let author = founder(a.path());
    let invitation = invite(a.path(), 2);
    let (loser, keeper) = (member(b.path(), &invitation), member(c.path(), &invitation));
    post(&author, RECORDS);
    let peer_id = author.peer_id().to_owned();
    let of = (&*did(&author), &*peer_id);
    for node in [&loser, &keeper] {
        until("all is held", || held(node, &peer_id) >= RECORDS as u64);
    }
    until("they have met", || admitted(&keeper) == 2 && admitted(&loser) == 2);
    assert_eq!(loser.stop().code, Some(0));
    let bytes = loses_and_fetches(b.path(), of, &[&author, &keeper]);
    println!("{LOST} scattered of {RECORDS} from their author and who keeps them: {bytes} bytes");
    assert!(bytes < 2 * BYTES_MAX, "{bytes}");

    assert_eq!(author.stop().code, Some(0));
    let bytes = loses_and_fetches(b.path(), of, &[&keeper]);
    println!("{LOST} scattered of {RECORDS} from who keeps them: {bytes} bytes");
    assert!(bytes < BYTES_MAX, "{bytes}");
}
