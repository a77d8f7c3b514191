//! Disks that are full or read-only, under a running node and before its start. The disk is a small one in memory; where
//! this machine lets nobody mount one, the tests that need it say so and prove nothing. That the journal survives every
//! full write point is shown in node/audit on a simulated disk, everywhere.

use crate::{artel, fresh};
use artel_tests::agent::{post, task};
use artel_tests::{Agent, Client, Disk, Node, Request, wait};
use serde_json::{Value, json};
use std::fs;

/// A small disk, or a line that says that there is none.
fn disk(bytes: u64) -> Option<Disk> {
    let disk = Disk::new(bytes);
    if disk.is_none() {
        println!("not tried: this machine lets nobody mount a disk in memory");
    }
    disk
}

/// The operator of a node whose directory stands on a disk.
fn operator(disk: &Disk, node: &Node) -> Client {
    let token = fs::read_to_string(disk.seen().join("node/operator.token")).expect("the operator's token");
    Client::new(node.address()).with_bearer(token.trim())
}

#[test]
fn a_full_disk_refuses_by_code_loses_nothing_and_heals_by_itself() {
    let Some(disk) = disk(40 << 20) else { return };
    let node = disk.program(&artel()).up(&disk.path().join("node")).start();
    let mut operator = operator(&disk, &node);
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let held = post(&mut operator, &task("held", &["text"], 1));
    agent.claim(&held).is(200);
    disk.fill(0);
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
    // Reads say why there is no answer, and not that the node stops.
    let mut artifact = Request::new("PUT", &format!("/v1/artifacts/sha256:{}", "0".repeat(64)));
    artifact = artifact.body("bytes");
    for read in [Request::get("/v1/tasks?limit=1"), Request::get(&format!("/v1/tasks/{held}")), artifact] {
        operator.send(&read).refused(503, "journal_unavailable");
    }
    assert_eq!(operator.get("/v1/health").is(200)["status"], "degraded");
    assert_eq!(operator.get("/readyz").status, 503);

    disk.free();
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
    let remote = artel().run(["audit", "verify", node.url(), "--json"]).json();
    assert_eq!(remote["sound"], true, "{remote}");
    // What is over is listed from the index, which a full disk may have stopped; it comes back by itself.
    wait::until("a list of exactly what was taken in", || {
        operator.get("/v1/tasks?status=any").json()["items"].as_array()?;
        let all = artel_tests::all_pages(&mut operator, "/v1/tasks?status=any");
        let mut listed: Vec<_> =
            all.iter().map(|task| task["task_id"].as_str().expect("an id").to_owned()).collect();
        listed.sort_unstable();
        (listed == ids).then_some(())
    });
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_first_start_on_a_full_disk_is_no_hindrance_to_the_next_one() {
    let Some(disk) = disk(64 << 20) else { return };
    let program = disk.program(&artel());
    let mut refused = 0;
    // From no room at all to room for the first files, a page at a time: each stops at another one.
    for pages in 0..10 {
        let dir = disk.path().join("node");
        disk.fill(pages * (4 << 10));
        let done = program.up(&dir).fail();
        println!("{pages} pages: {}", done.stderr.trim());
        done.failed_saying(&["No space left"]);
        refused += 1;
        disk.free();
        let node = program.up(&dir).start();
        let verified = operator(&disk, &node).get("/v1/auth/verify").is(200);
        assert_eq!(verified["principal"], "operator");
        assert_eq!(node.stop().code, Some(0));
        fs::remove_dir_all(disk.seen().join("node")).expect("removed");
    }
    assert_eq!(refused, 10);
}

#[test]
fn a_full_disk_at_the_start_is_named_or_no_hindrance_and_nothing_is_lost() {
    let Some(disk) = disk(64 << 20) else { return };
    let (program, dir) = (disk.program(&artel()), disk.path().join("node"));
    let node = program.up(&dir).start();
    let id = post(&mut operator(&disk, &node), &task("kept", &["text"], 1));
    assert_eq!(node.stop().code, Some(0));
    disk.fill(0);
    // A stopped node leaves spare room in its journal, which a start needs little of: either is right, silence is not.
    let mut up = program.up(&dir).try_start();
    if let Ok(node) = up {
        assert_eq!(operator(&disk, &node).get(&format!("/v1/tasks/{id}")).is(200)["status"], "available");
        println!("the start found room in what it had");
        up = Err(node.stop());
    }
    let done = up.err().expect("it ended");
    if done.code != Some(0) {
        done.failed_saying(&["No space left"]);
    }
    disk.free();
    let node = program.up(&dir).start();
    assert_eq!(operator(&disk, &node).get(&format!("/v1/tasks/{id}")).is(200)["status"], "available");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_read_only_disk_is_refused_with_what_to_do() {
    let Some(disk) = disk(64 << 20) else { return };
    let (program, dir) = (disk.program(&artel()), disk.path().join("node"));
    disk.read_only(true);
    let done = program.up(&dir).fail();
    println!("{}", done.stderr.trim());
    done.failed_saying(&[&dir.display().to_string(), "Read-only file system", "writable", "--data"]);
    disk.read_only(false);
    let node = program.up(&dir).start();
    let id = post(&mut operator(&disk, &node), &task("kept", &["text"], 1));
    assert_eq!(node.stop().code, Some(0));
    disk.read_only(true);
    let done = program.up(&dir).fail();
    println!("{}", done.stderr.trim());
    done.failed_saying(&["lock", "Read-only file system", "writable", "--data"]);
    disk.read_only(false);
    let node = program.up(&dir).start();
    assert_eq!(operator(&disk, &node).get(&format!("/v1/tasks/{id}")).is(200)["status"], "available");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_file_in_the_directorys_place_is_named() {
    let dir = fresh();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").expect("a file");
    for data in [file.clone(), file.join("below")] {
        let done = artel().up(&data).fail();
        done.failed_saying(&[&data.display().to_string(), "a file is in the way", "--data"]);
    }
    assert_eq!(fs::read(&file).expect("still there"), b"not a directory");
}
