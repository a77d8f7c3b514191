//! `artel doctor`: a node that runs, one that does not, and what is said where something is broken.

use crate::mesh::{founder, invite, member};
use crate::{artel, fresh};
use artel_tests::mesh::until;
use artel_tests::{Done, Node};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn examine(data: &Path) -> Done {
    artel().run(["doctor", "--json", "--data", data.to_str().expect("UTF-8")])
}

/// One finding of what a command or a node said.
fn finding(said: &Value, check: &str) -> Value {
    let items = said["items"].as_array().expect("a list");
    items.iter().find(|item| item["check"] == check).unwrap_or_else(|| panic!("no {check}: {said}")).clone()
}

fn of_done(done: &Done, check: &str) -> Value {
    finding(&serde_json::from_str(done.stdout.trim_end()).expect("JSON"), check)
}

fn status(node: &Node, check: &str) -> String {
    let said = node.operator().get("/v1/doctor").is(200);
    finding(&said, check)["status"].as_str().expect("a status").to_owned()
}

/// A node that ran once on a directory whose ports are nobody's.
fn ran_once(dir: &Path) {
    artel().up(dir).start().stop();
    fs::write(dir.join("config.toml"), "http = \"127.0.0.1:0\"\n").expect("written");
}

#[test]
fn two_nodes_see_each_other_and_say_so() {
    let (a, b) = (fresh(), fresh());
    let first = founder(a.path());
    for check in ["reachability", "neighbours", "clock_beside", "witnesses"] {
        assert_eq!(status(&first, check), "unknown", "{check}: nothing is invented where nobody is");
    }
    let second = member(b.path(), &invite(a.path(), 1));
    until("the one that was dialled is reached", || status(&first, "reachability") == "ok");
    until("both clocks were compared", || {
        status(&first, "clock_beside") == "ok" && status(&second, "clock_beside") == "ok"
    });
    until("each is witnessed", || {
        status(&first, "witnesses") == "ok" && status(&second, "witnesses") == "ok"
    });
    let said = examine(a.path());
    assert_eq!(said.code, Some(0), "{said:?}");
    let reached = of_done(&said, "reachability")["value"].as_str().expect("an address").to_owned();
    assert!(first.listening().contains(&reached), "{reached} of {:?}", first.listening());
    let listed = said.json()["items"].as_array().expect("a list").len();
    assert_eq!(listed, 20, "each check once: {said:?}");
    for check in ["http", "mesh", "journal", "index", "walls", "quarantine", "clock"] {
        assert_eq!(of_done(&said, check)["status"], "ok", "{check}: {said:?}");
    }
    // The findings are the operator's.
    first.anonymous().get("/v1/doctor").is(401);
}

#[test]
fn a_directory_is_examined_while_no_node_runs_on_it() {
    let dir = fresh();
    ran_once(dir.path());
    let whole = examine(dir.path());
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert!(!dir.path().join("doctor.probe").exists(), "the measurement leaves nothing");
    let key = dir.path().join("node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("chmod");
    let open = examine(dir.path());
    assert_eq!((open.code, &of_done(&open, "directory")["status"]), (Some(1), &"fail".into()), "{open:?}");
    assert!(of_done(&open, "directory")["advice"].as_str().expect("advice").contains("chmod 600"));
    assert!(open.stderr.contains("does not work"), "{open:?}");
    let told = artel().run(["doctor", "--data", dir.path().to_str().expect("UTF-8")]);
    assert!(told.stdout.contains("→ ") && !told.stdout.contains('\u{1b}'), "no colour in a pipe: {told:?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("chmod");
    fs::write(dir.path().join("config.toml"), "lease_m = 5\nhttp = \"127.0.0.1:0\"").expect("written");
    let wrong = examine(dir.path());
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(of_done(&wrong, "configuration")["advice"].as_str().expect("advice").contains("lease_ms"));
}

#[test]
fn whoever_holds_the_port_is_named() {
    let dir = fresh();
    ran_once(dir.path());
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = taken.local_addr().expect("an address");
    fs::write(dir.path().join("config.toml"), format!("http = \"{at}\"\n")).expect("written");
    let said = examine(dir.path());
    let http = of_done(&said, "http");
    assert_eq!((said.code, &http["status"]), (Some(1), &"fail".into()), "{said:?}");
    let me = format!("process {} (", std::process::id());
    assert!(http["summary"].as_str().expect("a sentence").contains(&me), "{http}");
    drop(taken);
    assert_eq!(of_done(&examine(dir.path()), "http")["status"], "ok");
}

#[test]
fn a_node_that_cannot_be_asked_is_told_from_one_that_is_away() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let url = dir.path().join("http.url");
    fs::write(&url, "http://127.0.0.1:1\n").expect("written");
    let silent = examine(dir.path());
    let found = of_done(&silent, "node");
    assert_eq!((silent.code, &found["status"]), (Some(1), &"fail".into()), "{silent:?}");
    assert!(found["summary"].as_str().expect("a sentence").contains("cannot be asked"), "{found}");
    node.stop();
    let away = examine(dir.path());
    assert_eq!(of_done(&away, "node")["status"], "ok", "{away:?}");
}
