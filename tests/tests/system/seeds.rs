//! The samples that the seeds print, as they stand there: nervix.md's claim, xyn-seed.md §44 and §45's routes and shapes,
//! under `/v1` and under `/api/v1`.

use crate::{artel, fresh};
use artel_tests::agent::{post, task};
use artel_tests::{Agent, Client, Request, wait};
use serde_json::{Value, json};

/// nervix.md, "Agent → Platform": the claim's body.
const CLAIM_BODY: &str = r#"
  {
    "estimated_duration": 3600,
    "agent_capabilities": ["coding", "research"]
  }
"#;

#[track_caller]
fn has(what: &str, object: &Value, fields: &[&str]) {
    for field in fields {
        assert!(object.get(field).is_some(), "{what} has no {field}: {object}");
    }
}

/// UUIDs as the seed wants them: 36 characters, four hyphens.
#[track_caller]
fn is_uuid(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let hyphens: Vec<_> = text.match_indices('-').map(|(i, _)| i).collect();
    assert_eq!((text.len(), hyphens.as_slice()), (36, &[8, 13, 18, 23][..]), "{value} is no UUID");
}

#[track_caller]
fn is_time(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    assert!(
        text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z'),
        "{value} is no ISO-8601 UTC time"
    );
}

#[test]
fn the_claim_of_the_federations_seed_works_when_pasted() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut agent = Agent::enroll(&node, "pasted", &["coding", "research", "writing"]);
    let id = post(&mut node.operator(), &task("Build REST API", &["coding"], 50));
    let request = Request::new("POST", &format!("/v1/tasks/{id}/claim"))
        .header("content-type", "application/json")
        .body(CLAIM_BODY);
    let lease = agent.http.send(&request).is(200);
    has("a lease", &lease, &["task_id", "epoch", "expires_at", "input", "needs", "artifacts"]);
    agent.submit(&id, 1, &json!({"done": true})).is(200);
    post(&mut node.operator(), &task("another", &["coding"], 50));
    let next =
        Request::new("POST", "/v1/tasks/claim").header("content-type", "application/json").body(CLAIM_BODY);
    agent.http.send(&next).is(200);
}

#[test]
fn the_routes_of_the_event_seed_answer_in_its_shapes_under_both_prefixes() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let mut announced = Vec::new();
    for prefix in ["/v1", "/api/v1"] {
        health(&mut operator, prefix);
        let run = runs(&mut operator, prefix);
        events(&mut operator, prefix, &run);
        artifacts(&mut operator, prefix, &run);
        announced.push((prefix, announced_artifact(&mut operator, prefix)));
        errors(&mut operator, prefix);
    }
    assert_eq!(node.stop().code, Some(0));
    let node = artel().up(dir.path()).start();
    operator.move_to(node.address());
    for (prefix, before) in announced {
        let path = format!("{prefix}/artifacts/{}", before["artifact_id"].as_str().expect("an id"));
        let mut after = wait::until("the index", || {
            let answer = operator.get(&path);
            (answer.status != 503).then(|| answer.is(200))
        });
        after["correlation_id"] = before["correlation_id"].clone();
        assert_eq!(after, before, "the announced id stays for good");
        assert_eq!(operator.get(&format!("{path}/download")).body, b"in two steps");
    }
}

fn health(operator: &mut Client, prefix: &str) {
    let health = operator.get(&format!("{prefix}/health")).is(200);
    has("health", &health, &["status", "version", "uptime_seconds", "now", "correlation_id"]);
    assert_eq!(health["status"], "ok");
    assert!(health["uptime_seconds"].is_u64());
    is_time(&health["now"]);
}

/// §45.4's RunCreateRequest, and the Run, its list, its steps and its cancel.
fn runs(operator: &mut Client, prefix: &str) -> String {
    let request = json!({"name": "from the seed", "blueprint_ref": null, "inputs": {"any": ["JSON", 1]}, "priority": 0});
    let run = operator.post(&format!("{prefix}/runs"), &request).is(201);
    let fields = [
        "run_id",
        "name",
        "status",
        "created_at",
        "started_at",
        "completed_at",
        "actor",
        "correlation_id",
        "inputs",
        "outputs",
        "error",
    ];
    has("a run", &run, &fields);
    is_uuid(&run["run_id"]);
    is_time(&run["created_at"]);
    assert_eq!(run["inputs"], json!({"any": ["JSON", 1]}));
    let bare = operator.post(&format!("{prefix}/runs"), &json!({"name": "the least"})).is(201);
    assert_eq!(bare["inputs"], json!({}), "the default");

    let with_step = json!({"name": "with a step", "steps": [{"name": "one", "task": task("one", &["none-has-this"], 1)}]});
    let with_step = operator.post(&format!("{prefix}/runs"), &with_step).is(201);
    let id = with_step["run_id"].as_str().expect("an id").to_owned();
    let list = operator.get(&format!("{prefix}/runs?limit=2")).is(200);
    has("a list", &list, &["items", "next_cursor", "correlation_id"]);
    has("a run in a list", &list["items"][0], &fields[..4]);
    let shown = operator.get(&format!("{prefix}/runs/{id}")).is(200);
    assert_eq!(shown["name"], "with a step");
    let steps = operator.get(&format!("{prefix}/runs/{id}/steps")).is(200);
    let step = &steps["items"][0];
    let step_fields = [
        "step_id",
        "run_id",
        "name",
        "status",
        "started_at",
        "completed_at",
        "logs_artifact_id",
        "inputs",
        "outputs",
        "error",
    ];
    has("a step", step, &step_fields);
    is_uuid(&step["step_id"]);
    assert_eq!(step["status"], "created");
    let step_id = step["step_id"].as_str().expect("an id");
    has("a step", &operator.get(&format!("{prefix}/runs/{id}/steps/{step_id}")).is(200), &step_fields);
    let cancelled = operator.send(&Request::new("POST", &format!("{prefix}/runs/{id}/cancel"))).is(200);
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    id
}

/// §45.3's EmitEventRequest, and the Event and its list.
fn events(operator: &mut Client, prefix: &str, run: &str) {
    let request = json!({
        "event_name": "xyn.report.ready",
        "resource": {"type": "report", "id": "42"},
        "data": {"free": {"form": true}},
        "run_id": null,
        "step_id": null,
    });
    let fields = [
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
    ];
    let event = operator.post(&format!("{prefix}/events"), &request).is(201);
    has("an event", &event, &fields);
    is_uuid(&event["event_id"]);
    is_time(&event["occurred_at"]);
    assert_eq!((&event["resource"], &event["data"]), (&request["resource"], &request["data"]));
    let id = event["event_id"].as_str().expect("an id");
    let shown = operator.get(&format!("{prefix}/events/{id}")).is(200);
    assert_eq!(shown["event_name"], "xyn.report.ready");
    let list = operator.get(&format!("{prefix}/events?limit=50")).is(200);
    has("a list", &list, &["items", "next_cursor"]);
    has("an event in a list", &list["items"][0], &fields);
    let of_run = operator.get(&format!("{prefix}/events?run_id={run}")).is(200);
    let of_run = of_run["items"].as_array().expect("items");
    assert!(of_run.iter().all(|event| event["run_id"] == run) && !of_run.is_empty(), "{of_run:?}");
    let named = operator.get(&format!("{prefix}/events?event_name=xyn.report.ready")).is(200);
    let named = named["items"].as_array().expect("items");
    assert!(named.iter().all(|event| event["event_name"] == "xyn.report.ready") && !named.is_empty());
}

/// §45.5's Artifact.
const ARTIFACT_FIELDS: &[&str] = &[
    "artifact_id",
    "name",
    "kind",
    "content_type",
    "byte_length",
    "created_at",
    "created_by",
    "run_id",
    "step_id",
    "sha256",
    "metadata",
];

/// §45.5's ArtifactCreateRequest with its content (pattern 1), and the Artifact.
fn artifacts(operator: &mut Client, prefix: &str, run: &str) {
    let direct = json!({
        "name": "report.txt", "kind": "report", "content_type": "text/plain", "byte_length": 5, "run_id": null,
        "step_id": null, "metadata": {"by": prefix}, "content": "aGVsbG8=",
    });
    let stored = operator.post(&format!("{prefix}/artifacts"), &direct).is(201);
    has("an artifact", &stored, ARTIFACT_FIELDS);
    is_uuid(&stored["artifact_id"]);
    assert_eq!((&stored["kind"], &stored["metadata"]), (&json!("report"), &json!({"by": prefix})));
    let id = stored["artifact_id"].as_str().expect("an id");
    let bytes = operator.get(&format!("{prefix}/artifacts/{id}/download"));
    assert_eq!((bytes.status, bytes.body.as_slice()), (200, &b"hello"[..]));
    assert!(bytes.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{bytes:?}");
    has("an artifact", &operator.get(&format!("{prefix}/artifacts/{id}")).is(200), ARTIFACT_FIELDS);
    let list = operator.get(&format!("{prefix}/artifacts?limit=50")).is(200);
    has("a list", &list, &["items", "next_cursor"]);
    assert!(operator.get(&format!("{prefix}/artifacts?run_id={run}")).is(200)["items"].is_array());
}

/// §45.5's pattern 2: the artifact is announced, then its bytes are put where the answer says. It is one artifact
/// throughout.
fn announced_artifact(operator: &mut Client, prefix: &str) -> Value {
    let request =
        json!({"name": format!("two steps {prefix}"), "kind": "report", "content_type": "text/plain"});
    let announced = operator.post(&format!("{prefix}/artifacts"), &request).is(201);
    has("an announced artifact", &announced, ARTIFACT_FIELDS);
    is_uuid(&announced["artifact_id"]);
    let url = announced["upload_url"].as_str().expect("where the bytes go");
    let stored = operator.send(&Request::new("PUT", url).body("in two steps")).is(201);
    has("an artifact", &stored, ARTIFACT_FIELDS);
    assert_eq!(stored["artifact_id"], announced["artifact_id"], "{announced} became {stored}");
    let id = stored["artifact_id"].as_str().expect("an id");
    operator.get(&format!("{prefix}/artifacts/{id}")).is(200)
}

/// §45.7's error shape.
fn errors(operator: &mut Client, prefix: &str) {
    let answer = operator.get(&format!("{prefix}/runs/01890a5d-ac96-774b-bcce-b302099a8000"));
    let error = answer.is(404);
    assert!(error["error"]["code"].is_string() && error["error"]["message"].is_string(), "{error}");
    has("an error", &error["error"], &["details"]);
    assert_eq!(error["correlation_id"].as_str(), answer.header("x-correlation-id"));
}
