//! Reputation across nodes, as real processes: what agents did at several homes, computed anew from the records that other
//! nodes keep, to the same integer; and what is missing, forged or not provable changes nothing.

use crate::liar::Liar;
use crate::{artel, fresh};
use artel_audit::os::OsFiles;
use artel_audit::records::{self, NewFrame, Scanned};
use artel_federation::evidence::Viewer;
use artel_federation::{Entry, Fact};
use artel_protocol::log::{Checkpoint, Hash, SignedCheckpoint};
use artel_protocol::record::Records;
use artel_protocol::summary::{Said, Scored};
use artel_protocol::sync::marks_digest;
use artel_protocol::witness::{Contradiction, Fraud};
use artel_tests::agent::task;
use artel_tests::mesh::{admitted, held, invite, items, joining, listening, until};
use artel_tests::node::Up;
use artel_tests::{Agent, Node};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A task's reward in credits.
const REWARD: u64 = 2;

/// A founder and two nodes that joined it, with agents on the second and the third one that have worked at the others.
struct World {
    dirs: [TempDir; 3],
    nodes: Vec<Node>,
    /// The agent of the second node, which worked at the first and at the third one.
    ada: String,
    dids: [String; 3],
}

impl World {
    fn start() -> Self {
        let dirs = [fresh(), fresh(), fresh()];
        // Offers are open to all at once: who comes first is another test's matter.
        let set = |up: Up| up.set("log", "warn").set("window_ms", 0).start();
        let founder = set(listening(&artel(), dirs[0].path()));
        let invitation = invite(&artel(), dirs[0].path(), 2);
        let join = |n: usize| set(joining(&artel(), dirs[n].path(), &invitation));
        let nodes = vec![founder, join(1), join(2)];
        until("all are admitted", || nodes.iter().all(|node| admitted(node) == 2));
        let mut ada = Agent::delegate(&nodes[1], "ada", &["text"]);
        let mut bob = Agent::delegate(&nodes[2], "bob", &["text"]);
        // Two of ada's at the founder, one of bob's there, which gives his node a weight, and one of ada's at his node.
        for n in 0..2 {
            work(&nodes[0], &nodes[1], &mut ada, &format!("first {n}"));
        }
        work(&nodes[0], &nodes[2], &mut bob, "second");
        work(&nodes[2], &nodes[1], &mut ada, "third");
        let dids = std::array::from_fn(|n| did_of(nodes[n].peer_id()));
        World { dirs, nodes, ada: ada.did.clone(), dids }
    }

    /// Waits until each node holds the others' records to their ends.
    fn until_all_is_held(&self) {
        let made = |node: &Node| {
            let all = items(node, "/v1/audit/entries?limit=200");
            all.iter().filter(|entry| entry["public"] == true).count() as u64
        };
        until("all hold all", || {
            self.nodes.iter().all(|of| {
                let (made, name) = (made(of), of.peer_id().to_owned());
                self.nodes.iter().all(|node| node.peer_id() == of.peer_id() || held(node, &name) == made)
            })
        });
    }

    fn stop(&mut self) {
        self.nodes.drain(..).for_each(|node| drop(node.stop()));
    }

    fn recompute(&self, data: &Path, viewer: &str) -> Value {
        let data = data.to_str().expect("UTF-8");
        let arguments = ["reputation", "recompute", &self.ada, "--data", data, "--viewer", viewer, "--json"];
        artel().run(arguments).json()
    }
}

/// Does a task of `home` as an agent of another node.
fn work(home: &Node, away: &Node, agent: &mut Agent, title: &str) {
    let posted = home.operator().post("/v1/tasks", &task(title, &["text"], REWARD)).is(201);
    let id = posted["task_id"].as_str().expect("an id").to_owned();
    until("the offer is heard", || {
        items(away, "/v1/offers").iter().any(|offer| offer["task_id"] == id.as_str())
    });
    agent.claim(&id).is(200);
    let done = agent.submit(&id, 1, &json!({"by": agent.did})).is(200);
    assert_eq!(done["receipt"]["accepted"], true, "{done}");
}

fn did_of(peer_id: &str) -> String {
    artel_protocol::key::PublicKey::from_peer_id(peer_id).expect("a peer id").did()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (path, into) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            std::fs::create_dir_all(&into).expect("a directory");
            copy(&path, &into);
        } else if path.is_file() {
            std::fs::copy(&path, &into).expect("a copy");
        }
    }
}

#[test]
fn two_nodes_compute_an_agents_score_from_the_same_records_to_the_same_integer() {
    let mut world = World::start();
    world.until_all_is_held();
    // As each node shows it while it runs: the founder's two, and one of the third node's.
    let shown = |n: usize| {
        let path = format!("/v1/agents/{}/reputation", world.ada);
        world.nodes[n].operator().get(&path).is(200)
    };
    until("each node has read all", || {
        (0..3).all(|n| shown(n)["homes"].as_array().is_some_and(|h| h.len() == 2))
    });
    let live: Vec<Value> = (0..3).map(shown).collect();
    world.stop();
    let copies = [fresh(), fresh(), fresh()];
    (0..3).for_each(|n| copy(world.dirs[n].path(), copies[n].path()));
    // A node that comes back knows the same, whether it wrote its book down or reads all records again.
    let book = world.dirs[0].path().join("evidence");
    for is_lost in [false, true] {
        assert!(book.is_file());
        if is_lost {
            std::fs::remove_file(&book).expect("removed");
        }
        let back = listening(&artel(), world.dirs[0].path()).set("log", "warn").start();
        let path = format!("/v1/agents/{}/reputation", world.ada);
        until("it has read all", || {
            let answer = back.operator().get(&path);
            answer.status == 200 && answer.json()["homes"] == live[0]["homes"]
        });
        drop(back.stop());
    }
    for (n, viewer) in world.dids.iter().enumerate() {
        let seen: Vec<Value> = (0..3).map(|of| world.recompute(copies[of].path(), viewer)).collect();
        for other in &seen[1..] {
            for key in ["score", "lower", "receipts_micro", "heads", "homes", "receipts", "level", "whole"] {
                assert_eq!(seen[0][key], other[key], "{key} as node {n} sees it");
            }
        }
        let own = &seen[n];
        assert_eq!(own["whole"], true);
        assert_eq!(live[n]["receipts_micro"], own["receipts_micro"], "a running node says the same");
        assert_eq!(live[n]["homes"], own["homes"]);
    }
    // What each home weighs: the founder's in full, the third node's by what was settled with it. The third node's own is full.
    let weights = |viewer: usize| -> Vec<u64> {
        let seen = world.recompute(world.dirs[0].path(), &world.dids[viewer]);
        [0, 2]
            .map(|home| {
                let homes = seen["homes"].as_array().expect("a list").clone();
                let found = homes.into_iter().find(|row| row["home"] == world.dids[home].as_str());
                found.expect("both homes")["weight_eighths"].as_u64().expect("a number")
            })
            .to_vec()
    };
    assert_eq!(weights(0), [8, 1], "the founder settled one with the third node");
    assert_eq!(weights(1), [8, 1], "as did the second");
    assert_eq!(weights(2), [8, 8]);
    let seen = world.recompute(world.dirs[1].path(), &world.dids[2]);
    let receipts = seen["receipts"].as_array().expect("a list");
    assert_eq!(receipts.len(), 3, "{seen}");
    for receipt in receipts {
        assert_eq!(
            (&receipt["proofs"], &receipt["outcome"]),
            (&json!("hold"), &json!("on_time")),
            "{receipt}"
        );
        assert_eq!(receipt["handed_in"]["node"], world.dids[1].as_str(), "{receipt}");
    }
}

#[test]
fn a_record_that_is_gone_or_proves_nothing_takes_its_receipt_along_and_no_other() {
    let mut world = World::start();
    world.until_all_is_held();
    world.stop();
    let dir = world.dirs[2].path();
    let whole = world.recompute(dir, &world.dids[0]);
    let all = list(&whole, "receipts");
    assert_eq!(all.len(), 3, "{whole}");
    let frames = frames(dir);
    let places = |frame: &NewFrame| -> BTreeSet<(String, u64)> {
        frame.items.iter().map(|item| (frame.origin.to_string(), item.index)).collect()
    };
    let (mut runs, mut losses) = (0, 0);
    for (n, frame) in frames.iter().enumerate() {
        let others = frames.iter().enumerate().filter(|(other, _)| *other != n);
        let elsewhere: BTreeSet<_> = others.flat_map(|(_, frame)| places(frame)).collect();
        let gone: BTreeSet<_> = places(frame).difference(&elsewhere).cloned().collect();
        let left: Vec<&Value> = all.iter().filter(|receipt| places_of(receipt).is_disjoint(&gone)).collect();
        losses += usize::from(left.len() < all.len());
        let mut forged = frames.clone();
        let middle = frame.bytes.len() / 2;
        forged[n].bytes[middle] ^= 1;
        let deleted: Vec<NewFrame> = frames
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != n)
            .map(|(_, frame)| frame.clone())
            .collect();
        for (kept, is_forged) in [(forged, true), (deleted, false)] {
            runs += 1;
            let copied = fresh();
            copy(dir, copied.path());
            rewrite(copied.path(), kept);
            let seen = world.recompute(copied.path(), &world.dids[0]);
            let told = list(&seen, "refused").iter().any(|row| {
                row["what"].as_str().is_some_and(|what| what.starts_with("a frame of records does not hold"))
            });
            assert_eq!(told, is_forged, "{seen}");
            // Weights may differ: a receipt that is gone was settled with somebody.
            let verdicts = |rows: &[Value]| -> BTreeSet<String> {
                rows.iter().map(|row| format!("{} {}", row["origin"], row["verdict"])).collect()
            };
            let seen_left = verdicts(&list(&seen, "receipts"));
            let idle =
                list(&seen, "left_out").into_iter().filter(|row| row["proofs"] == "hold").collect::<Vec<_>>();
            let seen_all: BTreeSet<_> = seen_left.union(&verdicts(&idle)).cloned().collect();
            assert_eq!(
                seen_all,
                verdicts(&left.iter().map(|row| (*row).clone()).collect::<Vec<_>>()),
                "{seen}"
            );
            if !settles(frame) {
                assert_eq!((&seen["score"], &seen["lower"]), (&whole["score"], &whole["lower"]));
            }
        }
    }
    println!(
        "{} frames, {losses} of them held a part of a receipt that counted; {runs} directories",
        frames.len()
    );
    assert!(losses >= 3 && runs > 2 * losses);
}

#[test]
fn summaries_are_compared_at_equal_heads_and_a_forged_one_is_flagged() {
    let mut world = World::start();
    world.until_all_is_held();
    until("every node has compared what every other says", || {
        world
            .nodes
            .iter()
            .enumerate()
            .all(|(n, node)| (0..3).filter(|of| *of != n).all(|of| checks(node, &world.dids[of]).0 > 0))
    });
    for (n, node) in world.nodes.iter().enumerate() {
        for of in (0..3).filter(|of| *of != n) {
            assert_eq!(checks(node, &world.dids[of]).1, 0, "nobody has said what is not true");
        }
    }
    // The third node's operator makes it say that ada is a little better than she is.
    drop(world.nodes.pop().expect("the third").stop());
    let (dir, now) = (world.dirs[2].path(), artel_node::clock::wall());
    let found = artel_node::recompute::read(Arc::new(OsFiles::new(dir)), now).expect("a directory");
    let founder = &world.nodes[0];
    let peer = artel_protocol::key::NodeId(
        artel_protocol::key::PublicKey::from_peer_id(founder.peer_id()).expect("a peer id"),
    );
    let liar = Liar::join(dir, &found.me, (peer, &founder.listening()[0]));
    let say = |more: u32| {
        let (at, marks) = (artel_node::clock::wall(), found.book.marks());
        let liars = found.liars();
        let viewer = Viewer::new(found.me.node(), &found.genesis, &liars);
        let agents = found.book.agents_after(Bound::Unbounded);
        let mut scores: Vec<Scored> = agents.filter_map(|who| found.book.scored(viewer, who, at)).collect();
        scores[0].lower += more;
        liar.say(Said { viewer: found.me, at, heads: marks_digest(&marks), marks, scores })
    };
    let before = checks(founder, &world.dids[2]);
    until("the truth is compared", || {
        say(0);
        checks(founder, &world.dids[2]).0 > before.0
    });
    assert_eq!(checks(founder, &world.dids[2]).1, 0);
    until("the forged one is flagged", || {
        say(1);
        checks(founder, &world.dids[2]).1 == 1
    });
    until("the second node has it by the founder's gossip", || {
        checks(&world.nodes[1], &world.dids[2]).1 == 1
    });
    // It changes nothing but that count.
    let path = format!("/v1/agents/{}/reputation", world.ada);
    let shown = founder.operator().get(&path).is(200);
    let own = world.recompute(dir, &world.dids[0]);
    assert_eq!(shown["receipts_micro"], own["receipts_micro"]);
}

/// How many summaries of a node another one has compared, and how many were not what the records say.
fn checks(holder: &Node, of: &str) -> (u64, Value) {
    let journals = items(holder, "/v1/journals?limit=200");
    let found = journals.iter().find(|journal| journal["node_id"] == of).expect("it is held");
    (found["summaries"]["checked"].as_u64().expect("a number"), found["summaries"]["wrong"].clone())
}

#[test]
fn what_a_home_bore_out_counts_no_more_once_it_is_proven_a_liar() {
    let mut world = World::start();
    world.until_all_is_held();
    let weight = |node: &Node, home: &str| {
        let path = format!("/v1/agents/{}/reputation", world.ada);
        let shown = node.operator().get(&path).is(200);
        let homes = list(&shown, "homes");
        let found = homes.iter().find(|row| row["home"] == home)?;
        Some((found["weight_eighths"].as_u64()?, shown["receipts_micro"].as_u64()?))
    };
    let third = world.dids[2].clone();
    let heard = |n: usize| weight(&world.nodes[n], &third).is_some_and(|(weight, _)| weight == 1);
    until("its one receipt counts a little", || heard(0) && heard(1));
    let before = weight(&world.nodes[0], &third).expect("it is known").1;
    // The third node's operator signs two histories, and shows them to the founder.
    drop(world.nodes.pop().expect("the third").stop());
    let (dir, now) = (world.dirs[2].path(), artel_node::clock::wall());
    let me = artel_node::recompute::read(Arc::new(OsFiles::new(dir)), now).expect("a directory").me;
    let key = artel_node::data::read_key(&dir.join("node.key")).expect("the node's key");
    let signed = |root| {
        let plain = Checkpoint::new(me, 99, Hash([root; 32])).expect("plain");
        (&SignedCheckpoint::sign(plain, &key).expect("its own key")).into()
    };
    let lie = Contradiction::TwoRoots { one: signed(1), other: signed(2) };
    let fraud = Fraud::prove(lie, &me.federation()).expect("a lie");
    let founder = &world.nodes[0];
    let peer = artel_protocol::key::NodeId(
        artel_protocol::key::PublicKey::from_peer_id(founder.peer_id()).expect("a peer id"),
    );
    let liar = Liar::join(dir, &me, (peer, &founder.listening()[0]));
    liar.until_admitted();
    // It is sent away before it is answered, or after.
    let _ = liar.ask(&fraud.to_frame());
    until("both hold the proof, and its receipt counts no more", || {
        (0..2).all(|n| weight(&world.nodes[n], &third).is_some_and(|(weight, _)| weight == 0))
    });
    let after = weight(founder, &third).expect("it is known").1;
    assert!(after < before, "{after} of {before}");
    // They hold the same proof, so they compare what they say, and nobody is flagged.
    let since = [checks(&world.nodes[0], &world.dids[1]).0, checks(&world.nodes[1], &world.dids[0]).0];
    until("they have compared what they say since", || {
        checks(&world.nodes[0], &world.dids[1]).0 > since[0]
            && checks(&world.nodes[1], &world.dids[0]).0 > since[1]
    });
    for (n, of) in [(0, 1), (1, 0)] {
        assert_eq!(checks(&world.nodes[n], &world.dids[of]).1, 0, "what {of} says is true");
    }
    world.stop();
    // Offline, from what each of the two has on disk, to the same integer; each says why the receipt is left out.
    for viewer in &world.dids[..2] {
        let seen = [0, 1].map(|of| world.recompute(world.dirs[of].path(), viewer));
        for key in ["score", "lower", "receipts_micro", "heads", "homes", "receipts", "liars"] {
            assert_eq!(seen[0][key], seen[1][key], "{key}");
        }
        assert_eq!(seen[0]["liars"], json!([{"node": third, "kind": "two_roots"}]));
        let homes: BTreeSet<String> =
            list(&seen[0], "receipts").iter().map(|row| row["home"].to_string()).collect();
        assert_eq!(homes, BTreeSet::from([json!(world.dids[0]).to_string()]), "{}", seen[0]);
        let left_out = list(&seen[0], "left_out");
        let why = left_out.iter().find(|row| row["home"] == third.as_str()).expect("it is told");
        assert_eq!(why["why"], "there is proof that home has signed two histories", "{why}");
    }
    assert_eq!(world.recompute(world.dirs[0].path(), &world.dids[0])["receipts_micro"], after);
}

fn list(shown: &Value, key: &str) -> Vec<Value> {
    shown[key].as_array().expect("a list").clone()
}

/// The entries that a receipt is made of.
fn places_of(receipt: &Value) -> BTreeSet<(String, u64)> {
    let origin = |value: &Value| value["origin"].as_str().expect("an origin").to_owned();
    let index = |value: &Value| value.as_u64().expect("an index");
    BTreeSet::from([
        (origin(receipt), index(&receipt["submitted"])),
        (origin(receipt), index(&receipt["verdict"])),
        (origin(&receipt["handed_in"]), index(&receipt["handed_in"]["entry"])),
    ])
}

/// Whether a frame holds a part of anybody's receipt. What another agent's receipts settled between two nodes is in the weights of
/// this one's.
fn settles(frame: &NewFrame) -> bool {
    let records = Records::check(&frame.bytes, &frame.origin.federation()).expect("a kept frame");
    records.records().iter().any(|record| {
        let fact = Entry::decode(&record.body).expect("an entry").fact;
        matches!(fact, Fact::HandedIn(_) | Fact::Submitted(_) | Fact::Verdict(_))
    })
}

/// The frames that a directory keeps of others.
pub fn frames(dir: &Path) -> Vec<NewFrame> {
    let files = Arc::new(OsFiles::new(dir));
    let origin = artel_audit::verify::directory(files.clone()).expect("a journal").origin;
    let scanned = records::scan(files, origin.federation()).expect("segments");
    let frame = |scanned| match scanned {
        Ok(Scanned::Frame { origin, topic, items, bytes }) => Some(NewFrame { origin, topic, items, bytes }),
        Ok(_) => None,
        Err(error) => panic!("{error}"),
    };
    scanned.filter_map(frame).collect()
}

/// Makes a directory keep these frames of others and nothing else. The store looks into none of them.
fn rewrite(dir: &Path, frames: Vec<NewFrame>) {
    std::fs::remove_dir_all(dir.join("records")).expect("they were there");
    let files = Arc::new(OsFiles::new(dir));
    let federation = frames[0].origin.federation();
    let mut store = artel_node::neighbours::open_store(dir, files, federation).expect("an empty store");
    store.append(frames).expect("written");
}
