//! `--watch` into a pipe: a line for each change, and an end at Ctrl-C.

use crate::{artel, fresh};
use artel_tests::agent::{self, Agent};
use artel_tests::{Shell, Typed};
use serde_json::json;

/// The next line that says something of a task.
fn line_of(typed: &mut Typed, task: &str, status: &str) -> String {
    loop {
        let line = typed.line().unwrap_or_else(|| panic!("it ended before {task} was {status}"));
        if line.contains(&format!("task={task}")) && line.contains(&format!("status={status}")) {
            return line;
        }
    }
}

#[test]
fn each_change_of_a_list_is_a_line() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let shell = Shell::new(&artel(), dir.path());
    let mut typed = shell.types("exec artel task list --status any --watch --data ./node");
    let task = agent::post(&mut node.operator(), &agent::task("seen", &[], 1));
    assert!(!line_of(&mut typed, &task, "available").contains('\u{1b}'), "no escape in a pipe");
    Agent::enroll(&node, "ada", &[]).does(&task, &json!({}));
    assert!(line_of(&mut typed, &task, "accepted").contains("title=seen"));
    let metrics = node.operator().get("/metrics");
    let heard = r#"artel_http_requests_total{method="get",route="/v1/events",class="2xx"} "#;
    let heard = String::from_utf8_lossy(&metrics.body)
        .lines()
        .find_map(|line| line.strip_prefix(heard)?.parse().ok());
    assert!(heard.is_some_and(|heard: u64| heard > 0), "it heard of it by events");
    let done = typed.interrupt();
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn a_status_is_watched_by_whoever_asks() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let shell = Shell::new(&artel(), dir.path());
    let mut typed = shell.types("ARTEL_TOKEN=bad exec artel status --watch --data ./node");
    assert!(typed.line().expect("a line").contains("health=ok"));
    agent::post(&mut node.operator(), &agent::task("seen", &[], 1));
    assert!(typed.line().expect("the log grew").contains("log entries="));
    assert_eq!(typed.interrupt().code, Some(0));
}

#[test]
fn what_is_gone_is_told_as_an_object_too() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let shell = Shell::new(&artel(), dir.path());
    let task = agent::post(&mut node.operator(), &agent::task("taken", &[], 1));
    let mut typed = shell.types("exec artel task list --watch --json --data ./node");
    let seen: serde_json::Value = serde_json::from_str(&typed.line().expect("a line")).expect("JSON");
    assert_eq!((&seen["gone"], &seen["item"]["task_id"]), (&json!(false), &json!(task)), "{seen}");
    Agent::enroll(&node, "ada", &[]).does(&task, &json!({}));
    loop {
        let seen: serde_json::Value = serde_json::from_str(&typed.line().expect("a line")).expect("JSON");
        if seen["gone"] == json!(true) {
            assert_eq!(seen["item"]["task_id"], json!(task));
            break;
        }
    }
    assert_eq!(typed.interrupt().code, Some(0));
}

/// The next line, without what is said of a post that went well.
fn line_behind_the_post(typed: &mut Typed) -> String {
    let line = typed.line().expect("a line");
    if line.starts_with("posted ") { typed.line().expect("a line") } else { line }
}

#[test]
fn who_waits_for_a_skill_that_nobody_has_is_told() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let gone = Agent::enroll(&node, "ben", &["rust@2"]).did;
    Agent::enroll(&node, "ada", &["text@2"]);
    let shell = Shell::new(&artel(), dir.path());
    let post =
        "exec artel task post --title wait --data ./node --watch 2>&1 --capability text@1 --capability";
    let told_of = |skill: &str| {
        let mut typed = shell.types(&format!("{post} {skill}"));
        line_behind_the_post(&mut typed)
    };
    assert!(told_of("rust@2").contains("xyn.task.available"), "ben has it");
    let told = told_of("rust@3");
    assert!(told.contains("has the skill rust@3;") && told.ends_with("artel agent list"), "{told}");
    node.operator().post(&format!("/v1/agents/{gone}/revoke"), &json!({})).is(200);
    assert!(told_of("rust@2").contains("has the skill rust@2;"), "ben was let go");
    // What a node has in memory of its events begins anew with it, so it answers with nothing at once, and not after a while.
    node.stop().ok();
    let node = artel().up(&dir.path().join("node")).start();
    assert!(told_of("text@2").contains("xyn.task.available"), "nobody has waited long");
    let events = node.operator().get("/v1/events?event_name=task.available&limit=200").is(200);
    let offered = events["items"].as_array().expect("a list").len();
    assert_eq!(offered, 4, "one page has what was before the start and what came after it: {events}");
}
