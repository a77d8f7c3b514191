//! What callers hold on to beside single tasks: repeats under a key, waiting for events, pages, correlation, artifacts.

use crate::{artel, fresh};
use artel_protocol::id::Digest;
use artel_tests::agent::{post, task};
use artel_tests::{Agent, Request, all_pages};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[test]
fn a_post_repeated_under_its_key_finds_the_first_also_after_a_restart() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let request = |key: &str, title: &str| {
        Request::post("/v1/tasks", &task(title, &["text"], 1)).header("idempotency-key", key)
    };
    let mut operator = node.operator();
    let first = operator.send(&request("one", "a")).is(201)["task_id"].clone();
    assert_eq!(operator.send(&request("one", "a")).is(201)["task_id"], first);
    operator.send(&request("one", "b")).refused(409, "idempotency_conflict");
    assert_ne!(operator.send(&request("two", "a")).is(201)["task_id"], first);
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let free = Request::post("/v1/tasks", &task("a", &["text"], 0)).header("idempotency-key", "one");
    assert_ne!(agent.http.send(&free).is(201)["task_id"], first, "keys are each caller's own");
    let run = json!({"name": "r", "steps": [{"name": "s", "task": task("t", &["text"], 1)}]});
    let run = Request::post("/v1/runs", &run).header("idempotency-key", "a-run");
    let posted = operator.send(&run).is(201)["run_id"].clone();
    assert_eq!(operator.send(&run).is(201)["run_id"], posted);
    let before = all_pages(&mut operator, "/v1/tasks?status=any").len();
    node.kill();

    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    assert_eq!(operator.send(&request("one", "a")).is(201)["task_id"], first);
    assert_eq!(operator.send(&run).is(201)["run_id"], posted);
    operator.send(&request("one", "b")).refused(409, "idempotency_conflict");
    assert_eq!(all_pages(&mut operator, "/v1/tasks?status=any").len(), before);
}

#[test]
fn a_submission_repeated_gets_the_same_answer() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let id = post(&mut node.operator(), &task("one", &["text"], 1));
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let first = agent.does(&id, &json!({"n": 1}));
    let mut again = agent.submit(&id, 1, &json!({"n": 1})).is(200);
    again["correlation_id"] = first["correlation_id"].clone();
    assert_eq!(again, first);
    agent.submit(&id, 1, &json!({"n": 2})).refused(409, "already_submitted");
}

#[test]
fn whoever_waits_for_events_is_woken_by_the_next_one() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let mut after = String::new();
    loop {
        let page = operator.get(&format!("/v1/events?limit=200{after}")).is(200);
        if page["items"].as_array().expect("items").is_empty() {
            break;
        }
        after = format!("&after={}", page["next_cursor"].as_str().expect("there is always a cursor"));
    }
    let waits = Instant::now();
    let nothing = operator.get(&format!("/v1/events?wait_ms=200{after}")).is(200);
    assert_eq!(nothing["items"], json!([]));
    assert!(waits.elapsed() >= Duration::from_millis(200), "it waited");
    let (path, mut waiter) =
        (format!("/v1/events?wait_ms=30000&event_name=xyn.task.available{after}"), node.operator());
    let waiting = std::thread::spawn(move || (waiter.get(&path).is(200), Instant::now()));
    let id = post(&mut operator, &task("news", &["text"], 1));
    let (page, woken) = waiting.join().expect("no panic");
    assert_eq!(page["items"][0]["data"]["task_id"], id, "{page}");
    assert!(woken.elapsed() < Duration::from_secs(25), "it did not wait out its time");
    let event = &page["items"][0];
    for field in [
        "event_id",
        "event_name",
        "occurred_at",
        "env_id",
        "actor",
        "correlation_id",
        "run_id",
        "step_id",
        "resource",
        "data",
    ] {
        assert!(event.get(field).is_some(), "{field} is missing: {event}");
    }
    let one = operator.get(&format!("/v1/events/{}", event["event_id"].as_str().expect("an id"))).is(200);
    assert_eq!(one["data"], event["data"]);
}

#[test]
fn pages_go_through_all_once_and_bad_pages_are_refused() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let posted: BTreeSet<String> =
        (0..23).map(|i| post(&mut operator, &task(&format!("t{i}"), &["text"], 1))).collect();
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let page = operator.get(&format!("/v1/tasks?limit=5{cursor}")).is(200);
        for item in page["items"].as_array().expect("items") {
            assert!(seen.insert(item["task_id"].as_str().expect("an id").to_owned()), "an item came twice");
        }
        pages += 1;
        assert!(page.get("next_cursor").is_some(), "next_cursor is always there");
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((seen, pages), (posted, 5));
    for bad in ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "colour=red"] {
        let answer = operator.get(&format!("/v1/tasks?{bad}"));
        assert!([400, 422].contains(&answer.status), "{bad}: {answer:?}");
        assert!(!answer.code().is_empty());
    }
}

#[test]
fn a_correlation_id_goes_in_and_out_and_into_the_log() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let request = Request::post("/v1/tasks", &task("t", &["text"], 1)).header("x-correlation-id", "trace-42");
    let answer = operator.send(&request);
    assert_eq!(answer.header("x-correlation-id"), Some("trace-42"));
    assert_eq!(answer.is(201)["correlation_id"], "trace-42");
    let own = operator.get("/v1/tasks");
    let made = own.header("x-correlation-id").expect("one is made where none came").to_owned();
    assert_eq!(own.is(200)["correlation_id"], json!(made));
    let entries = artel_tests::wait::until("the index", || {
        let answer = operator.get("/v1/audit/entries?correlation=trace-42");
        Some(answer).filter(|a| a.status == 200).map(|a| a.json()).filter(|page| page["items"] != json!([]))
    });
    let kinds: Vec<_> =
        entries["items"].as_array().expect("items").iter().map(|e| e["kind"].clone()).collect();
    assert!(kinds.contains(&json!("RunPosted")), "{kinds:?}");
}

#[test]
fn whoever_has_an_answer_finds_its_work_at_once() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let listed = |http: &mut artel_tests::http::Client, path: &str| {
        let answer = http.get(path);
        (answer.status == 200).then(|| answer.json()["items"].as_array().expect("items").len())
    };
    artel_tests::wait::until("the index", || listed(&mut operator, "/v1/audit/entries?kind=Genesis"));
    for done in 1..=20 {
        let id = post(&mut operator, &task("t", &["text"], 1));
        let lease = agent.claim(&id).is(200);
        agent.submit(&id, lease["epoch"].as_u64().expect("an epoch"), &json!({})).is(200);
        let history = format!("/v1/agents/{}/history", agent.did);
        assert_eq!(listed(&mut operator, &history), Some(done));
        let entries = listed(&mut operator, &format!("/v1/audit/entries?task={id}")).expect("an answer");
        assert!(entries >= 4, "offer, grant, submission and verdict: {entries}");
        assert!(operator.get(&format!("/v1/tasks/{id}")).is(200)["status"] == "accepted");
    }
}

#[test]
fn an_artifact_is_named_by_its_bytes_and_read_in_parts() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let bytes: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let digest = Digest::of(&bytes).to_string();
    let put = |digest: &str| {
        Request::new("PUT", &format!("/v1/artifacts/{digest}?name=table.bin"))
            .header("content-type", "application/x-table")
            .body(bytes.clone())
    };
    let stored = operator.send(&put(&digest)).is(201);
    assert_eq!((&stored["sha256"], &stored["byte_length"]), (&json!(digest), &json!(300_000)));
    assert_eq!(operator.get(&format!("/v1/artifacts/{digest}")).body, bytes);
    let part =
        operator.send(&Request::get(&format!("/v1/artifacts/{digest}")).header("range", "bytes=1000-1999"));
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[1000..2000]));
    let other = Digest::of(b"something else").to_string();
    operator.send(&put(&other)).refused(422, "digest_mismatch");
    assert_eq!(operator.get(&format!("/v1/artifacts/{other}")).status, 404, "nothing of it stays");
    let id = stored["artifact_id"].as_str().expect("an id");
    assert_eq!(operator.get(&format!("/v1/artifacts/{id}/download")).body, bytes);

    let announced = json!({"name": "later", "kind": "report", "content_type": "text/plain", "byte_length": 5, "sha256": Digest::of(b"later").to_string()});
    let announced = operator.post("/v1/artifacts", &announced).is(201);
    let url = announced["upload_url"].as_str().expect("where the bytes go").to_owned();
    let path = url.strip_prefix(node.url()).unwrap_or(&url).to_owned();
    operator.send(&Request::new("PUT", &path).body("later")).is(201);
    let id = announced["artifact_id"].as_str().expect("an id");
    assert_eq!(operator.get(&format!("/v1/artifacts/{id}/download")).body, b"later");
    let listed: Vec<Value> = all_pages(&mut operator, "/v1/artifacts");
    assert_eq!(listed.len(), 2);
}

#[test]
fn too_many_enrollments_and_requests_are_told_when_to_come_back() {
    let dir = fresh();
    let node = artel().up(dir.path()).set("enrollments_per_minute", 3).set("requests_per_second", 5).start();
    let mut agent = Agent::enroll(&node, "first", &["text"]);
    let ask = json!({"agent_name": "next", "public_key": artel_tests::agent::key_of("next").public().did()});
    let mut answers = (0..4).map(|_| node.anonymous().post("/v1/enroll", &ask));
    let refused = answers.find(|answer| answer.status != 201).expect("three in a minute, no more");
    refused.refused(429, "rate_limited");
    let after: u64 =
        refused.header("retry-after").and_then(|text| text.parse().ok()).expect("when to come back");
    assert!((1..=60).contains(&after), "{after}");
    let refused = (0..200).map(|_| agent.http.get("/v1/agents/me")).find(|answer| answer.status != 200);
    let refused = refused.expect("five a second, no more");
    refused.refused(429, "rate_limited");
    assert!(refused.header("retry-after").is_some());
    node.operator().get("/v1/tasks").is(200);
}

#[test]
fn logs_are_json_lines_that_name_the_request_and_no_secret() {
    let dir = fresh();
    let node = artel().up(dir.path()).set("log", "debug").start();
    let mut agent = Agent::enroll(&node, "logged", &["text"]);
    let id = post(
        &mut node.operator(),
        &json!({"title": "t", "requirements": {"capabilities": ["text"]}, "input": {"private": "a-payload-that-is-nobodys"}}),
    );
    let request = Request::get(&format!("/v1/tasks/{id}")).header("x-correlation-id", "trace-in-the-log");
    node.operator().send(&request).is(200);
    agent.does(&id, &json!({"private": "a-result-that-is-nobodys"}));
    let secrets = [
        node.operator_token(),
        agent.token.clone(),
        "a-payload-that-is-nobodys".into(),
        "a-result-that-is-nobodys".into(),
    ];
    let stopped = node.stop();
    assert_eq!(stopped.code, Some(0));
    let lines: Vec<Value> = stopped
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(lines.iter().any(|line| line.to_string().contains("ready")), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("trace-in-the-log"), "no line names the request: {}", stopped.stderr);
    for line in &lines {
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    for secret in secrets {
        assert!(!stopped.stderr.contains(&secret), "a secret or payload is in the log");
    }
}
