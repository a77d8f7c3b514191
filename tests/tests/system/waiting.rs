//! Claims that wait at other nodes' homes: one request for one task, won when it is posted, and ended when nobody waits any more.

use crate::{artel, fresh};
use artel_tests::agent::{post, task};
use artel_tests::mesh::{admitted, invite, items, joining, listening, until};
use artel_tests::wait::until_within;
use artel_tests::{Agent, Node};
use serde_json::{Value, json};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long an agent of these tests waits at its own node, in milliseconds.
const WAIT_MS: u32 = 20_000;

/// Sooner than a wait at a home ends by itself, which is after eight seconds.
const WELL_BEFORE: Duration = Duration::from_secs(6);

/// A home and a node that joined it.
struct Two {
    _dirs: [TempDir; 2],
    home: Node,
    away: Node,
}

impl Two {
    fn start() -> Self {
        let dirs = [fresh(), fresh()];
        let home = listening(&artel(), dirs[0].path()).set("log", "warn").start();
        let invitation = invite(&artel(), dirs[0].path(), 1);
        let away = joining(&artel(), dirs[1].path(), &invitation).set("log", "warn").start();
        until("they have met", || admitted(&home) == 1 && admitted(&away) == 1);
        Two { _dirs: dirs, home, away }
    }

    /// Has an agent of the other node wait, and waits until its claim waits at home: home has written it down, then.
    fn wait(&self, mut agent: Agent) -> JoinHandle<(Agent, Option<Value>, Instant)> {
        let did = agent.did.clone();
        let waiting = std::thread::spawn(move || {
            let answer = agent.claim_next(WAIT_MS);
            let lease = (answer.status == 200).then(|| answer.json());
            (agent, lease, Instant::now())
        });
        until("its claim waits at home", || {
            items(&self.home, "/v1/agents").iter().any(|known| known["agent_id"] == did.as_str())
        });
        waiting
    }
}

/// How many direct requests of a kind a node has dealt with.
fn asked(node: &Node, kind: &str) -> u64 {
    node.operator().get("/v1/traffic").is(200)["requests"][kind].as_u64().unwrap_or(0)
}

fn claims_waiting(node: &Node) -> u64 {
    node.operator().get("/v1/traffic").is(200)["claims_waiting"].as_u64().expect("a number")
}

#[test]
fn who_waits_elsewhere_has_the_task_when_it_is_posted_and_each_act_is_one_request() {
    let two = Two::start();
    let visits = || asked(&two.home, "visit");
    let waiting = two.wait(Agent::delegate(&two.away, "ada", &["text"]));
    assert_eq!(visits(), 1, "one request");
    let posted = Instant::now();
    let first = post(&mut two.home.operator(), &task("one", &["text"], 2));
    let (mut agent, lease, at) = waiting.join().expect("no panic");
    println!("from the post to the agent of another node: {:?}", at.duration_since(posted));
    let lease = lease.expect("it was waited for");
    assert_eq!(lease["task_id"], first.as_str());
    assert_eq!(visits(), 1, "and its answer brought the task: nothing was asked again");
    // A result and the next task are one request, too.
    let second = post(&mut two.home.operator(), &task("two", &["text"], 2));
    let body = json!({"epoch": lease["epoch"], "output": {}, "claim_next": true});
    let done = agent.http.post(&format!("/v1/tasks/{first}/submit"), &body).is(200);
    assert_eq!((&done["next"]["task_id"], &done["receipt"]["accepted"]), (&json!(second), &json!(true)));
    assert_eq!(visits(), 2);
    // And so is a claim by its name.
    agent.submit(&second, 1, &json!({})).is(200);
    let third = post(&mut two.home.operator(), &task("three", &["text"], 2));
    until("the offer is heard", || {
        items(&two.away, "/v1/offers").iter().any(|offer| offer["task_id"] == third.as_str())
    });
    assert_eq!(visits(), 3);
    agent.claim(&third).is(200);
    agent.http.post(&format!("/v1/tasks/{third}/renew"), &json!({"epoch": 1})).is(200);
    agent.http.post(&format!("/v1/tasks/{third}/release"), &json!({"epoch": 1})).is(200);
    assert_eq!(visits(), 6);
    assert_eq!(asked(&two.home, "enough"), 0, "no wait was left behind");
}

#[test]
fn who_has_something_else_waits_elsewhere_no_longer() {
    let two = Two::start();
    let waiting = two.wait(Agent::delegate(&two.away, "ada", &["text"]));
    let own = post(&mut two.away.operator(), &task("at its own node", &["text"], 2));
    let (_ada, lease, _) = waiting.join().expect("no panic");
    assert_eq!(lease.expect("its own node's offers win at once")["task_id"], own.as_str());
    until_within(WELL_BEFORE, "home is told, and its wait ends", || {
        (asked(&two.home, "enough") == 1 && claims_waiting(&two.home) == 0).then_some(())
    });
    let id = post(&mut two.home.operator(), &task("for others", &["text"], 2));
    let mut bob = Agent::enroll(&two.home, "bob", &["text"]);
    bob.claim(&id).is(200);
}

#[test]
fn what_waits_for_a_node_that_is_gone_wins_nothing() {
    let two = Two::start();
    let waiting = {
        let mut agent = Agent::delegate(&two.away, "ada", &["text"]);
        let did = agent.did.clone();
        let waiting =
            std::thread::spawn(move || agent.http.try_send(&artel_tests::agent::claim_next(WAIT_MS)));
        until("its claim waits at home", || {
            items(&two.home, "/v1/agents").iter().any(|known| known["agent_id"] == did.as_str())
        });
        waiting
    };
    let Two { home, away, _dirs } = two;
    assert_eq!(claims_waiting(&home), 1);
    away.kill();
    until_within(WELL_BEFORE, "its wait ends with the connection", || {
        (claims_waiting(&home) == 0).then_some(())
    });
    let id = post(&mut home.operator(), &task("for others", &["text"], 2));
    Agent::enroll(&home, "bob", &["text"]).claim(&id).is(200);
    assert!(waiting.join().expect("no panic").is_err(), "its node was killed");
}

/// A claim waits at two homes at once; of a third one the worker's node hears by gossip.
#[test]
fn an_offer_of_any_home_reaches_who_waits() {
    let dirs = [fresh(), fresh(), fresh(), fresh()];
    let mut nodes = vec![listening(&artel(), dirs[0].path()).set("log", "warn").start()];
    let invitation = invite(&artel(), dirs[0].path(), 3);
    for dir in &dirs[1..] {
        nodes.push(joining(&artel(), dir.path(), &invitation).set("log", "warn").start());
    }
    until("all have met", || nodes.iter().all(|node| admitted(node) == 3));
    let mut agent = Agent::delegate(&nodes[0], "ada", &["text"]);
    for home in nodes[1..].iter().chain(&nodes[1..]) {
        let waiting = std::thread::spawn(move || {
            let answer = agent.claim_next(WAIT_MS);
            (agent, answer)
        });
        until("its claim waits at two of three", || nodes[1..].iter().map(claims_waiting).sum::<u64>() == 2);
        let id = post(&mut home.operator(), &task("anywhere", &["text"], 2));
        let (returned, answer) = waiting.join().expect("no panic");
        agent = returned;
        assert_eq!(answer.is(200)["task_id"], id.as_str());
        agent.submit(&id, 1, &json!({})).is(200);
        until("it waits nowhere", || nodes[1..].iter().all(|home| claims_waiting(home) == 0));
    }
}
