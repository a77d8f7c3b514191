//! What is private stands in no file of a data directory in clear, artifacts' bytes excepted.

use crate::{artel, fresh};
use artel_tests::agent::task;
use artel_tests::http::Request;
use artel_tests::{Agent, wait};
use serde_json::json;
use std::fs;
use std::path::Path;

/// Every file below a directory with its bytes.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            // One that went meanwhile holds nothing.
            found.extend(fs::read(&path).ok().map(|bytes| (path.display().to_string(), bytes)));
        }
    }
    found
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn what_is_private_stands_in_no_file_in_clear() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let mut post = task("marker-of-the-title", &["text"], 1);
    post["description"] = json!("marker-of-the-description");
    post["input"] = json!({"said": "marker-of-the-input"});
    let posted = operator.send(&Request::post("/v1/tasks", &post)).is(201);
    let id = posted["task_id"].as_str().expect("an id").to_owned();
    let run = posted["run_id"].as_str().expect("an id").replace('-', "");
    let lease = agent.claim(&id).is(200);
    let output = json!({"said": "marker-of-the-output"});
    agent.submit(&id, lease["epoch"].as_u64().expect("an epoch"), &output).is(200);
    let meant = json!({"name": "marker-of-the-name", "kind": "file", "content_type": "text/plain"});
    operator.send(&Request::post("/v1/artifacts", &meant)).is(201);

    // The index keeps the run under its id, which is no secret.
    let run: Vec<u8> =
        (0..16).map(|i| u8::from_str_radix(&run[2 * i..2 * i + 2], 16).expect("hex")).collect();
    wait::until("the closed run in the index's files", || {
        files(&dir.path().join("index")).iter().any(|(_, bytes)| holds(bytes, &run)).then_some(())
    });
    assert_eq!(node.stop().code, Some(0));
    for (file, bytes) in files(dir.path()) {
        let found = String::from_utf8_lossy(&bytes).contains("marker-of-the-");
        assert!(!found, "{file} holds what is private, in clear");
    }
}
