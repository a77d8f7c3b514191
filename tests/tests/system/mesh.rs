//! Nodes that do not trust each other, as real processes: who is let in, and that everybody comes to hold everybody's
//! records, whoever was down when they were made.

use crate::{artel, fresh};
use artel_tests::mesh::{LISTEN, admitted, held, items, joining, listening, until};
use artel_tests::{Node, wait};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Sooner than neighbours ask each other anyway, which they do every half minute: whatever comes within it was gossiped, or
/// asked for at once. How long it takes on a quiet machine (five seconds would be too long) `artel bench sync` measures.
const GOSSIP: Duration = Duration::from_secs(20);

pub fn founder(data: &Path) -> Node {
    listening(&artel(), data).start()
}

pub fn member(data: &Path, invitation: &str) -> Node {
    joining(&artel(), data, invitation).start()
}

pub fn invite(data: &Path, uses: u32) -> String {
    artel_tests::mesh::invite(&artel(), data, uses)
}

/// Whether somebody does not let a node in for this reason.
fn refused(node: &Node, code: &str) -> bool {
    items(node, "/v1/peers")
        .iter()
        .any(|peer| peer["reason"].as_str().is_some_and(|why| why.starts_with(code)))
}

pub fn post(node: &Node, count: usize) {
    let step = |i: usize| json!({"name": format!("s{i}"), "task": {"title": "t", "requirements": {"capabilities": ["nobody"]}, "input": {}}});
    for from in (0..count).step_by(200) {
        let steps: Vec<Value> = (from..count.min(from + 200)).map(step).collect();
        node.operator().post("/v1/runs", &json!({"name": "many", "inputs": {}, "steps": steps})).is(201);
    }
}

#[test]
fn three_nodes_hold_each_others_records_also_when_one_was_down() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    let first = founder(a.path());
    let invitation = invite(a.path(), 2);
    let second = member(b.path(), &invitation);
    let third = member(c.path(), &invitation);
    until("all are admitted", || admitted(&first) == 2 && admitted(&second) >= 1 && admitted(&third) >= 1);
    post(&first, 50);
    wait::until_within(GOSSIP, "offers by gossip", || {
        let all = held(&second, first.peer_id()) >= 50 && held(&third, first.peer_id()) >= 50;
        all.then_some(())
    });
    until("each of each", || held(&second, third.peer_id()) > 0 && held(&third, second.peer_id()) > 0);

    let gone = third.peer_id().to_owned();
    assert_eq!(third.stop().code, Some(0));
    post(&first, 1_000);
    let third = artel().up(c.path()).arg("--listen").arg(LISTEN).start();
    assert_eq!(third.peer_id(), gone);
    wait::until_within(GOSSIP, "what was missed", || (held(&third, first.peer_id()) >= 1_050).then_some(()));

    // The log of each verifies, offline, with what it keeps of others beside it.
    drop((first, second, third));
    for data in [a.path(), b.path(), c.path()] {
        let verified = artel().run(["audit", "verify", data.to_str().expect("UTF-8"), "--json"]).json();
        assert_eq!(verified["sound"], true, "{verified}");
    }
}

#[test]
fn a_newcomer_gets_the_whole_history_through_whoever_has_it() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    let first = founder(a.path());
    let second = member(b.path(), &invite(a.path(), 1));
    until("it is let in", || admitted(&second) == 1);
    post(&first, 300);
    until("it holds all", || held(&second, first.peer_id()) >= 300);
    let (founder_id, invitation) = (first.peer_id().to_owned(), invite(b.path(), 1));
    // The founder is away: a member lets the newcomer in, and gives it what the founder said.
    assert_eq!(first.stop().code, Some(0));
    let third = member(c.path(), &invitation);
    until("it is let in by a member", || admitted(&third) == 1);
    until("it holds what others keep", || {
        held(&third, &founder_id) >= 300 && held(&third, second.peer_id()) > 0
    });
}

#[test]
fn an_open_federation_lets_in_whoever_asks_a_founder() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    std::fs::write(a.path().join("config.toml"), "open = true\n").expect("written");
    let first = founder(a.path());
    let made = artel().run(["invite", "--json", "--data", a.path().to_str().expect("UTF-8")]).json();
    let door = made["invitation"].as_str().expect("an invitation");
    // More than any number of uses: there is no secret in it that could be spent.
    let (second, third) = (member(b.path(), door), member(c.path(), door));
    until("both are let in", || admitted(&first) == 2 && admitted(&second) == 2 && admitted(&third) == 2);
    post(&second, 3);
    until("and heard", || held(&first, second.peer_id()) >= 3 && held(&third, second.peer_id()) >= 3);
    // Only a founder opens the door.
    let theirs = artel().run(["invite", "--json", "--data", b.path().to_str().expect("UTF-8")]);
    assert_eq!(theirs.code, Some(1), "{theirs:?}");
    // Who was expelled does not come back by it.
    let peers = items(&first, "/v1/peers");
    let row = peers.iter().find(|peer| peer["peer_id"] == third.peer_id()).expect("a neighbour");
    let expel = format!("/v1/nodes/{}/expel", row["node_id"].as_str().expect("a did"));
    first.operator().post(&expel, &json!({"reason": "a test"})).is(200);
    until("it is told why", || refused(&third, "node_expelled"));
    assert_eq!(third.stop().code, Some(0));
    let third = artel().up(c.path()).arg("--listen").arg(LISTEN).arg("--join").arg(door).start();
    until("it is refused still", || refused(&third, "node_expelled"));
}

#[test]
fn a_node_that_was_alone_finds_the_others_when_they_appear() {
    let (a, b) = (fresh(), fresh());
    let first = founder(a.path());
    let invitation = invite(a.path(), 1);
    let listening = first.listening()[0].clone();
    assert_eq!(first.stop().code, Some(0));
    let second = member(b.path(), &invitation);
    assert_eq!(admitted(&second), 0, "nobody is there");
    // The founder comes back where the invitation says.
    let first = artel().up(a.path()).arg("--listen").arg(listening).start();
    until("it joins late", || admitted(&second) == 1 && admitted(&first) == 1);
    post(&second, 3);
    until("and is heard", || held(&first, second.peer_id()) >= 3);
}

#[test]
fn a_stranger_and_an_expelled_node_are_not_let_in() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    let first = founder(a.path());
    let invitation = invite(a.path(), 1);
    let second = member(b.path(), &invitation);
    until("it is let in", || admitted(&second) == 1);
    // The one use is spent.
    let third = member(c.path(), &invitation);
    until("it is refused", || refused(&third, "invitation_spent"));
    assert_eq!(admitted(&third), 0);
    let did =
        items(&first, "/v1/nodes").iter().find(|node| node["status"] == "member").expect("one")["node_id"]
            .clone();
    let expel = format!("/v1/nodes/{}/expel", did.as_str().expect("a did"));
    first.operator().post(&expel, &json!({"reason": "a test"})).is(200);
    until("it is sent away at once", || admitted(&first) == 0);
    until("and told why", || refused(&second, "node_expelled"));
    assert_eq!(second.stop().code, Some(0));
    let second = artel().up(b.path()).arg("--listen").arg(LISTEN).start();
    until("it is refused", || refused(&second, "node_expelled"));
    assert_eq!(admitted(&second), 0);
}
