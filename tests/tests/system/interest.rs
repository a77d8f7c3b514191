//! A node that follows the offers of its own agents alone: others' reach it all the same, once, and it holds what everybody holds.

use crate::mesh::{founder, invite, member, post};
use crate::{artel, fresh};
use artel_tests::Node;
use artel_tests::agent::Agent;
use artel_tests::mesh::{admitted, held, items, joining, until};
use serde_json::json;

/// How many offers are made at a time.
const OFFERS: usize = 600;

/// What so many of them take at least, in each of their copies.
const OFFERS_BYTES: u64 = OFFERS as u64 * 100;

/// The bytes of a lane that a node has received.
fn received(node: &Node, lane: &str) -> u64 {
    node.operator().get("/v1/traffic").is(200)["lanes"][lane]["received"].as_u64().expect("a number")
}

#[test]
fn offers_that_nobody_here_could_take_come_once_and_those_for_a_new_agent_by_gossip() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    let home = founder(a.path());
    let all = member(b.path(), &invite(a.path(), 1));
    let own = joining(&artel(), c.path(), &invite(a.path(), 1)).env("ARTEL_INTEREST", "own").start();
    until("all are admitted", || admitted(&home) == 2 && admitted(&own) >= 1 && admitted(&all) >= 1);
    let followed = |node: &Node| node.operator().get("/v1/traffic").is(200)["offers_followed"].clone();
    until("what concerns everybody is followed", || followed(&own) == json!([0]));
    assert_eq!(followed(&all).as_array().map(Vec::len), Some(16));

    // What `post` asks for is in shard 3.
    let (before, fetched) = (received(&own, "gossip"), received(&own, "sync"));
    post(&home, OFFERS);
    until("everybody holds the same", || {
        let of = |node: &Node| held(node, home.peer_id());
        of(&all) >= OFFERS as u64 && of(&own) == of(&all)
    });
    assert!(received(&all, "gossip") > OFFERS_BYTES);
    assert!(received(&own, "gossip") - before < OFFERS_BYTES / 2, "offers came by gossip");
    assert!(received(&own, "sync") - fetched > OFFERS_BYTES, "offers were not fetched");
    until("they are on the board", || items(&own, "/v1/offers?limit=200").len() == 200);

    Agent::enroll(&own, "hand", &["nobody"]);
    until("its shard is followed", || followed(&own) == json!([0, 3]));
    let before = received(&own, "gossip");
    post(&home, OFFERS);
    until("offers come by gossip", || received(&own, "gossip") - before > OFFERS_BYTES);
}
