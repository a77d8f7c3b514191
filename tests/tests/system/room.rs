//! A home that has little room for artifacts: a result that does not fit leaves none of its own there, and takes none from
//! the next one.

use crate::{artel, fresh};
use artel_protocol::id::Digest;
use artel_tests::agent::{post, task};
use artel_tests::mesh::{admitted, invite, joining, listening, until};
use artel_tests::{Agent, Request};
use serde_json::{Value, json};
use std::path::Path;

/// More than half of what a home with a megabyte keeps of other nodes' agents (three quarters of it).
const LARGE_BYTES: usize = 600_000;

#[test]
fn a_result_that_finds_no_room_leaves_nothing_and_the_next_one_is_taken() {
    let (a, b) = (fresh(), fresh());
    let home = listening(&artel(), a.path()).set("artifact_quota_mb", 1).start();
    let away = joining(&artel(), b.path(), &invite(&artel(), a.path(), 1)).start();
    until("both are admitted", || admitted(&home) == 1 && admitted(&away) == 1);
    let names = ["one", "two"];
    for name in names {
        post(&mut home.operator(), &task(name, &["text"], 1));
    }
    let mut ada = Agent::delegate(&away, "ada", &["text"]);
    let lease = ada.claim_next(20_000).is(200);
    let large: Vec<String> = names.iter().map(|name| stored(&mut ada, name, LARGE_BYTES)).collect();
    let answer = submit(&mut ada, &lease, &large);
    assert!(answer["acknowledgement"].is_null(), "{answer}");
    assert_eq!(kept(a.path()), 0, "neither of the two stays");
    let mut eve = Agent::delegate(&away, "eve", &["text"]);
    let lease = eve.claim_next(20_000).is(200);
    let small = vec![stored(&mut eve, "small", 1_000)];
    let answer = submit(&mut eve, &lease, &small);
    assert_eq!(answer["receipt"]["accepted"], true, "{answer}");
    assert_eq!(kept(a.path()), 1);
}

/// Puts bytes that begin with a name at the agent's own node; says their digest.
fn stored(agent: &mut Agent, name: &str, bytes: usize) -> String {
    let bytes: Vec<u8> = name.bytes().cycle().take(bytes).collect();
    let digest = Digest::of(&bytes).to_string();
    let request = Request::new("PUT", &format!("/v1/artifacts/{digest}")).body(bytes);
    agent.http.send(&request.header("content-type", "application/octet-stream")).is(201);
    digest
}

fn submit(agent: &mut Agent, lease: &Value, artifacts: &[String]) -> Value {
    let path = format!("/v1/tasks/{}/submit", lease["task_id"].as_str().expect("an id"));
    agent.http.post(&path, &json!({"epoch": lease["epoch"], "output": {}, "artifacts": artifacts})).json()
}

/// How many artifacts lie in a data directory.
fn kept(data: &Path) -> usize {
    let folders = std::fs::read_dir(data.join("blobs/sha256")).expect("a directory");
    folders.map(|folder| std::fs::read_dir(folder.expect("read").path()).expect("a directory").count()).sum()
}
