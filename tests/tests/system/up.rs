//! `artel up`: what it says when it is ready, what a stop and a start keep, and that a directory has one process.

use crate::{artel, fresh};
use artel_protocol::id::FederationId;
use artel_protocol::key::PublicKey;
use artel_tests::agent::{post, task};
use artel_tests::{Agent, Request};
use serde_json::json;

#[test]
fn the_ready_line_says_who_and_where() {
    let dir = fresh();
    let node = artel().up(dir.path()).arg("--listen").arg("/ip4/127.0.0.1/tcp/0").start();
    let ready = node.ready().as_object().expect("an object");
    let mut fields: Vec<_> = ready.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["data_dir", "event", "federation_id", "http_url", "listen_addrs", "operator_token_file", "peer_id"]
    );
    assert_eq!(ready["event"], "ready");
    let [address] = &node.listening()[..] else { panic!("one address: {ready:?}") };
    assert!(address.starts_with("/ip4/127.0.0.1/tcp/") && !address.ends_with("/0"), "{address}");
    assert_eq!(ready["data_dir"], json!(dir.path()));
    PublicKey::from_peer_id(ready["peer_id"].as_str().expect("text")).expect("a peer id");
    assert_eq!(node.federation().len(), 64);
    FederationId::parse(node.federation()).expect("64 hex digits");
    assert_ne!(node.address().port(), 0, "the port that was given");
    assert_eq!(node.anonymous().get("/v1/health").is(200)["status"], "ok");
    assert_eq!(node.anonymous().get("/readyz").status, 200);
    node.operator().get("/v1/auth/verify").is(200);
}

#[test]
fn a_stopped_node_ends_well_and_goes_on_where_it_was() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let (federation, peer) = (node.federation().to_owned(), node.ready()["peer_id"].clone());
    let operator_token = node.operator_token();
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let done = post(&mut node.operator(), &task("done before", &["text"], 3));
    agent.does(&done, &json!({"n": 1}));
    let held = post(&mut node.operator(), &task("held over the stop", &["text"], 5));
    let epoch = agent.claim(&held).is(200)["epoch"].as_u64().expect("an epoch");
    let open = post(&mut node.operator(), &task("open over the stop", &["text"], 7));
    let stopped = node.stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(!stopped.stderr.contains("panicked"), "{}", stopped.stderr);

    let node = artel().up(dir.path()).start();
    assert_eq!(node.federation(), federation);
    assert_eq!(node.ready()["peer_id"], peer);
    assert_eq!(node.operator_token(), operator_token);
    agent.http.move_to(node.address());
    let verified = agent.http.get("/v1/auth/verify").is(200);
    assert_eq!(verified["agent_id"], agent.did, "the old token is good");
    assert_eq!(node.operator().get(&format!("/v1/tasks/{done}")).is(200)["status"], "accepted");
    agent.submit(&held, epoch, &json!({"n": 2})).is(200);
    agent.does(&open, &json!({"n": 3}));
    let earned = agent.http.get("/v1/agents/me/earnings").is(200);
    assert_eq!(earned["tasks_paid"], 3, "{earned}");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_second_process_is_kept_off_the_directory() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let second = artel().up(dir.path()).fail();
    second.failed_saying(&["in use by another artel process", &dir.path().display().to_string()]);
    assert_eq!(node.anonymous().get("/v1/health").status, 200, "the first one is not disturbed");
    node.kill();
    let again = artel().up(dir.path()).start();
    assert_eq!(again.anonymous().get("/v1/health").status, 200, "a killed process leaves no lock behind");
}

#[test]
fn a_stop_ends_waiting_requests_and_takes_no_new_ones() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut agent = Agent::enroll(&node, "waiting", &["text"]);
    let waiter = std::thread::spawn(move || agent.http.try_send(&artel_tests::agent::claim_next(30_000)));
    // The wait stands once the node has taken the request in: it is told by the node's own counters or, failing that, by
    // the stop's answer below, which is one of three whatever the order.
    node.anonymous().send(&Request::get("/v1/health")).is(200);
    let started = std::time::Instant::now();
    let stopped = node.stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(started.elapsed().as_secs() < 25, "the stop did not wait out a waiting claim");
    match waiter.join().expect("no panic") {
        Ok(answer) => assert!([204, 503].contains(&answer.status), "{answer:?}"),
        Err(cut) => {
            assert!(cut.kind() != std::io::ErrorKind::WouldBlock, "the socket was left hanging: {cut}")
        }
    }
}
