//! `artel demo`: a real job on a real directory, proven at the end, also when an agent is killed in the middle.

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
    assert_eq!(
        (&outcome["log"]["sound"], &outcome["log"]["on_disk"]["sound"]),
        (&json!(true), &json!(true)),
        "{outcome}"
    );
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

#[test]
fn the_demo_ends_well_with_everything_proven() {
    let outcome = demo(&[]);
    assert_eq!(outcome["agents"].as_array().map(Vec::len), Some(4));
    assert!(outcome["killed"].is_null(), "{outcome}");
}

#[test]
fn an_agent_killed_in_the_middle_spoils_no_demo() {
    let outcome = demo(&["--kill-one"]);
    assert!(outcome["killed"].is_string(), "{outcome}");
}

#[test]
fn a_directory_that_is_not_there_is_said_so() {
    let done = artel().run(["demo", "/no/such/directory", "--once"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("/no/such/directory"), "{}", done.stderr);
}
