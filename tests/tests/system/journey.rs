//! The journey of a task, from enrollment to a receipt that is checked with nothing but the protocol.

use crate::{artel, fresh};
use artel_protocol::id::Digest;
use artel_tests::agent::{post, task};
use artel_tests::ledger::{sums, units};
use artel_tests::{Agent, all_pages, receipt, wait};
use serde_json::json;

#[test]
fn a_task_goes_from_post_to_a_receipt_that_proves_itself() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let peer_id = node.ready()["peer_id"].as_str().expect("a peer id").to_owned();
    let mut operator = node.operator();
    let mut agent = Agent::enroll(&node, "ada", &["text", "count@2"]);
    let me = agent.http.get("/v1/agents/me").is(200);
    assert_eq!(me["agent_id"], agent.did);
    assert_eq!(me["capabilities"], json!(["count@2", "text"]));
    assert_eq!((&me["reputation_score"], &me["reputation_level"]), (&json!(50.0), &json!("novice")));

    let id = post(&mut operator, &task("count words", &["text"], 10));
    let posted = operator.get(&format!("/v1/tasks/{id}")).is(200);
    assert_eq!(posted["status"], "available");
    assert_eq!(sums(&mut operator).escrow, 20_000_000, "the highest level's multiplier is set aside");

    let lease = agent.claim(&id).is(200);
    assert_eq!(lease["input"], json!({"title": "count words"}));
    assert_eq!(operator.get(&format!("/v1/tasks/{id}")).is(200)["status"], "claimed");
    let output = json!({"words": 2});
    let answer = agent.submit(&id, lease["epoch"].as_u64().expect("an epoch"), &output).is(200);
    assert_eq!(answer["acknowledgement"]["agent_id"], agent.did);
    assert_eq!(answer["receipt"]["accepted"], true, "{answer}");

    let done = operator.get(&format!("/v1/tasks/{id}")).is(200);
    assert_eq!((&done["status"], &done["output"]), (&json!("accepted"), &output));
    let shown = operator.get(&format!("/v1/tasks/{id}/receipt")).is(200);
    assert!(shown.to_string().contains(r#""authority":"session""#), "it says on whose authority: {shown}");
    let proven = receipt::check(&operator.get(&format!("/v1/tasks/{id}/receipt")).is(200), &peer_id);
    assert_eq!(
        (proven.task.as_str(), proven.agent.as_str(), proven.epoch),
        (id.as_str(), agent.did.as_str(), 1)
    );
    assert_eq!(proven.quality, Some(100));
    assert_eq!(
        answer["acknowledgement"]["entry"], proven.submitted,
        "what was acknowledged is what stands there"
    );

    let acknowledged = &answer["acknowledgement"];
    assert_eq!(acknowledged["output_digest"], proven.output.to_string());
    assert_eq!(proven.output, Digest::of(output.to_string().as_bytes()), "and it is what was handed in");
    let record = agent.http.get(&format!("/v1/tasks/{id}/receipt")).is(200);
    let told = record["submitted"]["fact"].to_string();
    assert_eq!(record["submitted"]["fact"]["result"], acknowledged["result"]);
    assert!(!told.contains(&proven.output.hex()), "the public part holds nothing to try guesses on: {told}");

    let earned = agent.http.get("/v1/agents/me/earnings").is(200);
    assert_eq!(units(&earned["total_earnings"]), 10_000_000, "base, quality 100, a novice");
    let after = sums(&mut operator);
    assert_eq!((after.operator, after.agents, after.escrow), (-10_000_000, 10_000_000, 0));
    let paid = wait::until("the index, which trails behind", || {
        Some(all_pages(&mut agent.http, "/v1/agents/me/contributions")).filter(|paid| !paid.is_empty())
    });
    assert_eq!(paid.len(), 1);
    assert_eq!(paid[0]["task_id"], id);
}

#[test]
fn a_changed_byte_in_a_receipt_is_seen() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let peer_id = node.ready()["peer_id"].as_str().expect("a peer id").to_owned();
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let id = post(&mut node.operator(), &task("one", &["text"], 1));
    agent.does(&id, &json!({}));
    let good = node.operator().get(&format!("/v1/tasks/{id}/receipt")).is(200);
    receipt::check(&good, &peer_id);
    for field in ["body", "salt", "leaf", "proof"] {
        let mut bad = good.clone();
        let text = bad["verdict"][field].as_str().expect("text").to_owned();
        let at = text.len() / 2;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        bad["verdict"][field] = json!(format!("{}{other}{}", &text[..at], &text[at + 1..]));
        let seen = std::panic::catch_unwind(|| receipt::check(&bad, &peer_id));
        assert!(seen.is_err(), "a changed {field} was not seen");
    }
    for (field, other) in
        [("salt", json!("AAAAAAAAAAAAAAAAAAAAAA==")), ("artifacts", json!([Digest::of(b"more").to_string()]))]
    {
        let mut bad = good.clone();
        bad["opening"][field] = other;
        let seen = std::panic::catch_unwind(|| receipt::check(&bad, &peer_id));
        assert!(seen.is_err(), "another {field} was not seen");
    }
    let other = artel_tests::agent::key_of("another node").public().peer_id();
    assert!(std::panic::catch_unwind(|| receipt::check(&good, &other)).is_err(), "another node's name");
}

#[test]
fn steps_wait_for_what_they_need_and_get_its_output() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let step =
        |name: &str, needs: &[&str]| json!({"name": name, "needs": needs, "task": task(name, &["text"], 1)});
    let run = json!({
        "name": "diamond",
        "inputs": {"all": true},
        "steps": [step("cut", &[]), step("left", &["cut"]), step("right", &["cut"]), step("merge", &["left", "right"])],
    });
    let run = operator.post("/v1/runs", &run).is(201);
    let run_id = run["run_id"].as_str().expect("an id").to_owned();
    let mut order = Vec::new();
    while let Some(lease) = Some(agent.claim_next(0)).filter(|a| a.status == 200).map(|a| a.json()) {
        let name = lease["name"].as_str().expect("a name").to_owned();
        assert_eq!(lease["inputs"], json!({"all": true}));
        if name == "merge" {
            assert_eq!(lease["needs"], json!({"left": {"by": "left"}, "right": {"by": "right"}}));
        }
        let id = lease["task_id"].as_str().expect("an id").to_owned();
        agent.submit(&id, lease["epoch"].as_u64().expect("an epoch"), &json!({"by": name})).is(200);
        order.push(name);
    }
    assert_eq!(order.first().map(String::as_str), Some("cut"));
    assert_eq!(order.last().map(String::as_str), Some("merge"));
    assert_eq!(order.len(), 4);
    let run = operator.get(&format!("/v1/runs/{run_id}")).is(200);
    assert_eq!(run["status"], "completed");
    assert_eq!(run["progress"], json!({"steps": 4, "completed": 4, "running": 0, "ended": 0}));
}
