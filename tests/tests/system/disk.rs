//! A disk that fills up under a running node. The disk is a small one in memory, mounted in a namespace of the node's own;
//! where this machine gives no such namespace the test says so and proves nothing. That the journal survives every full
//! write point is shown in node/audit on a simulated disk, everywhere.

use crate::{artel, fresh};
use artel_tests::agent::task;
use artel_tests::{Agent, Client, Request, wait};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// Mounts a disk of 40 MiB on the first argument and runs the node on it in the same process.
const SCRIPT: &str = r#"mount -t tmpfs -o size=40m tmpfs "$1" && exec "$2" up --data "$1" --http 127.0.0.1:0 --json --end-with-stdin"#;

fn namespaces_are_given() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    tried.is_ok_and(|done| done.status.success())
}

#[test]
fn a_full_disk_refuses_by_code_loses_nothing_and_heals_by_itself() {
    if !namespaces_are_given() {
        println!("not tried: this machine gives no mount namespace");
        return;
    }
    let dir = fresh();
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", SCRIPT, "sh"]).arg(dir.path()).arg(artel().path());
    let node = artel().up_by(command, dir.path());
    // The node's disk, seen from here.
    let disk = PathBuf::from(format!("/proc/{}/root{}", node.pid(), dir.path().display()));
    let token =
        fs::read_to_string(disk.join("operator.token")).expect("the operator's token").trim().to_owned();
    let mut operator = Client::new(node.address()).with_bearer(&token);
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let held = artel_tests::agent::post(&mut operator, &task("held", &["text"], 1));
    agent.claim(&held).is(200);
    fill(&disk);
    let large = |i: usize| {
        let mut task = task(&format!("large {i}"), &["text"], 0);
        task["input"] = json!("x".repeat(200 << 10));
        Request::post("/v1/tasks", &task)
    };
    let mut posted = Vec::new();
    let refused = loop {
        let answer = operator.send(&large(posted.len()));
        if answer.status != 201 {
            break answer;
        }
        posted.push(answer.json()["task_id"].as_str().expect("an id").to_owned());
        assert!(posted.len() < 1_000, "the disk never fills up");
    };
    refused.refused(503, "journal_unavailable");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    agent.submit(&held, 1, &json!({})).refused(503, "journal_unavailable");
    assert_eq!(operator.get("/v1/health").is(200)["status"], "degraded");
    assert_eq!(operator.get("/readyz").status, 503);

    fs::remove_file(disk.join("filler")).expect("room again");
    let answer = wait::until("the node, healed", || {
        let answer = agent.submit(&held, 1, &json!({}));
        (answer.status != 503).then_some(answer)
    });
    answer.is(200);
    for id in &posted {
        let shown: Value = operator.get(&format!("/v1/tasks/{id}")).is(200);
        assert_eq!(shown["status"], "available", "{shown}");
    }
    assert_eq!(operator.get(&format!("/v1/tasks/{held}")).is(200)["status"], "accepted");
    let mut ids: Vec<String> = posted.into_iter().chain([held]).collect();
    ids.sort_unstable();
    // What is over is listed from the index, which trails behind.
    wait::until("a list of exactly what was taken in", || {
        let all = artel_tests::all_pages(&mut operator, "/v1/tasks?status=any");
        let mut listed: Vec<_> =
            all.iter().map(|task| task["task_id"].as_str().expect("an id").to_owned()).collect();
        listed.sort_unstable();
        (listed == ids).then_some(())
    });
    let remote = artel().run(["audit", "verify", node.url(), "--json"]).json();
    assert_eq!(remote["sound"], true, "{remote}");
    assert_eq!(node.stop().code, Some(0));
}

/// Fills a disk to its last byte.
fn fill(disk: &std::path::Path) {
    let mut file = fs::File::create(disk.join("filler")).expect("a file");
    for size in [1 << 20, 4 << 10, 1] {
        let block = vec![7; size];
        while file.write_all(&block).is_ok() {}
    }
}
