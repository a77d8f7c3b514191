//! `artel demo`: a real job of several nodes on a real directory, proven at the end, also when an agent, a node or the home is
//! killed in the middle.

use crate::{artel, fresh};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A small tree: three languages, one pair of duplicates, one string that looks like a secret.
fn tree(dir: &Path) {
    fs::create_dir(dir.join("src")).expect("a directory");
    for i in 0..40 {
        fs::write(dir.join(format!("src/part{i}.rs")), format!("//! Part {i}.\nfn f{i}() {{}}\n"))
            .expect("a file");
    }
    fs::write(dir.join("a.py"), "print('one')\n").expect("a file");
    fs::write(dir.join("b.py"), "print('one')\n").expect("a file");
    // Put together here, so that no scanner takes this file for the leak.
    let secret = format!("key = \"{}{}\"\n", "AKIA", "IOSFODNN7EXAMPLQ");
    fs::write(dir.join("leak.toml"), secret).expect("a file");
}

#[track_caller]
fn demo(more: &[&str]) -> Value {
    let dir = fresh();
    tree(dir.path());
    let out = fresh();
    let (path, out_path) = (dir.path().to_str().expect("UTF-8"), out.path().to_str().expect("UTF-8"));
    let mut args = vec!["demo", path, "--once", "--json", "--out", out_path];
    args.extend(more);
    let outcome = artel().run(args).json();
    assert_eq!(outcome["ok"], true, "{outcome}");
    assert_eq!(outcome["receipts"]["verified"], outcome["tasks"], "{outcome}");
    for node in outcome["nodes"].as_array().expect("nodes") {
        let sound = if node["killed"] == true { Value::Null } else { json!(true) };
        assert_eq!(
            (&node["log"]["sound"], &node["log"]["on_disk"]["sound"]),
            (&sound, &json!(true)),
            "{outcome}"
        );
        assert_eq!(node["traffic"].is_null(), node["killed"] == true, "{node}");
    }
    assert_eq!(outcome["log"], outcome["nodes"][0]["log"]);
    let report = &outcome["report"];
    assert_eq!((&report["files"], &report["duplicate_groups"]), (&json!(43), &json!(1)), "{report}");
    assert!(report["secrets"].as_u64() >= Some(1), "{report}");
    let html = fs::read_to_string(report["html"].as_str().expect("a file")).expect("the page");
    assert!(
        html.contains("leak.toml") && !html.contains("IOSFODNN7EXAMPLQ"),
        "a leak is named and not repeated"
    );
    assert!(!html.contains("src=\"http") && !html.contains("href=\"http"), "the page is self-contained");
    let json: Value =
        serde_json::from_str(&fs::read_to_string(report["json"].as_str().expect("a file")).expect("JSON"))
            .expect("JSON");
    assert!(json.is_object());
    let agents = outcome["agents"].as_array().expect("agents");
    let tasks: u64 = agents.iter().map(|agent| agent["tasks"].as_u64().expect("a count")).sum();
    assert_eq!(json!(tasks), outcome["tasks"], "each task is somebody's: {outcome}");
    outcome
}

/// That every result of another node's agent is in that node's log, too.
#[track_caller]
fn all_are_paired(outcome: &Value) {
    let receipts = &outcome["receipts"];
    assert_eq!(receipts["with_their_record"], receipts["of_other_nodes"], "{outcome}");
}

#[test]
fn the_demo_ends_well_with_everything_proven() {
    let outcome = demo(&[]);
    let names = |list: &Value, name: &str| -> Vec<String> {
        list.as_array()
            .expect("a list")
            .iter()
            .map(|of| of[name].as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(names(&outcome["nodes"], "name"), ["home", "node-2", "node-3"]);
    let at = names(&outcome["agents"], "node");
    assert_eq!(at, ["home", "node-2", "node-3", "home", "node-2", "node-3", "home"]);
    all_are_paired(&outcome);
    for agent in outcome["agents"].as_array().expect("agents") {
        let own = agent["node"].as_str().expect("a node");
        assert!(agent["reputations"][own]["final_score"].is_number(), "its own node knows it: {agent}");
    }
    let blob = |at: usize, way: &str| outcome["nodes"][at]["traffic"]["lanes"]["blob"][way].as_u64();
    assert!(blob(0, "sent") > blob(0, "received"), "chunks and modules leave the home: {outcome}");
    assert!(outcome["killed"].is_null() && outcome["killed_node"].is_null(), "{outcome}");
}

#[test]
fn one_node_alone_does_it_too() {
    let outcome = demo(&["--nodes", "1"]);
    assert_eq!(outcome["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(outcome["receipts"]["of_other_nodes"], 0, "{outcome}");
}

#[test]
fn an_agent_killed_in_the_middle_spoils_no_demo() {
    let outcome = demo(&["--kill-one"]);
    assert!(outcome["killed"].is_string(), "{outcome}");
    all_are_paired(&outcome);
}

#[test]
fn a_node_killed_in_the_middle_spoils_no_demo() {
    let outcome = demo(&["--kill-node"]);
    let killed = outcome["killed_node"].as_str().expect("a node");
    let nodes = outcome["nodes"].as_array().expect("nodes");
    let marked = nodes.iter().filter(|node| node["killed"] == true);
    assert_eq!(marked.map(|node| node["name"].as_str()).collect::<Vec<_>>(), [Some(killed)], "{outcome}");
}

#[test]
fn the_home_killed_and_restarted_in_the_middle_spoils_no_demo() {
    let outcome = demo(&["--kill-home"]);
    assert_eq!(outcome["home_restarted"], true, "{outcome}");
    all_are_paired(&outcome);
}

#[test]
fn where_a_wall_of_the_sandbox_is_missing_the_demo_says_so_and_runs_nothing() {
    let dir = fresh();
    tree(dir.path());
    // A stack that is too small for the limit that a step needs: a wall that cannot go up.
    let script = "ulimit -s 1900; exec \"$0\" demo \"$1\" --once --json";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .args([artel().path(), dir.path()])
        .output()
        .expect("sh runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no step can be run here: the rlimits wall is missing here"), "{said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"), "{said}");
}

#[test]
fn a_directory_that_is_not_there_is_said_so() {
    let done = artel().run(["demo", "/no/such/directory", "--once"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("/no/such/directory"), "{}", done.stderr);
}
