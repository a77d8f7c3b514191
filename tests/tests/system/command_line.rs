//! The command line as a person uses it: a whole journey without a line of HTTP.

use crate::mesh::{founder, invite, member};
use crate::{artel, fresh};
use artel_tests::agent::{Agent, post, task};
use artel_tests::{Done, wait};
use serde_json::{Value, json};
use std::path::Path;

fn run(args: &[&str], data: &Path) -> Done {
    let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    all.extend(["--json".into(), "--data".into(), data.display().to_string()]);
    artel().run(all)
}

#[test]
fn a_task_is_posted_done_by_a_command_and_paid() {
    let dir = fresh();
    let keys = fresh();
    let node = artel().up(dir.path()).start();
    let key = keys.path().join("agent.pem");
    let key = key.to_str().expect("UTF-8");
    let made = artel().run(["key", "new", key, "--json"]).json();
    let did = made["did"].as_str().expect("a did").to_owned();
    assert_eq!(
        run(&["status"], dir.path()).json()["federation_id"],
        node.federation(),
        "status finds the node by its directory"
    );
    let posted = run(
        &[
            "task",
            "post",
            "--title",
            "say it back",
            "--capability",
            "text",
            "--reward",
            "1.5",
            "--input",
            r#"{"hello":"world"}"#,
        ],
        dir.path(),
    )
    .json();
    let id = posted["task_id"].as_str().expect("an id").to_owned();
    let worker = artel().run([
        "work",
        "--key",
        key,
        "--node",
        node.url(),
        "--name",
        "echo",
        "--capability",
        "text",
        "--exec",
        "cat",
        "--once",
        "--json",
    ]);
    assert_eq!(worker.code, Some(0), "{worker:?}");
    let shown = run(&["task", "show", &id], dir.path()).json();
    assert_eq!(
        (&shown["status"], &shown["output"]["input"]),
        (&json!("accepted"), &json!({"hello": "world"})),
        "{shown}"
    );
    assert_eq!(shown["assigned_agent_id"], did);
    let ledger = run(&["ledger", "show"], dir.path());
    assert!(ledger.ok().contains("1.5"), "{ledger:?}");
    let agents = run(&["agent", "list"], dir.path()).json();
    assert_eq!(agents["items"][0]["agent_id"], did, "{agents}");
    let reputation = run(&["reputation", "show", &did], dir.path()).json();
    assert_eq!(reputation["accepted"], 1, "{reputation}");
    let entries: Value = wait::until("the index", || {
        let shown = run(&["audit", "show", "--kind", "Verdict"], dir.path());
        (shown.code == Some(0)).then(|| shown.json()).filter(|page| page["items"] != json!([]))
    });
    assert_eq!(entries["items"][0]["kind"], "Verdict");
    let checkpoint = run(&["audit", "checkpoint"], dir.path()).json();
    assert!(
        checkpoint["checkpoint"]
            .as_str()
            .expect("a note")
            .starts_with(&format!("artel/{}", node.federation()))
    );
    assert_eq!(
        run(&["audit", "verify"], dir.path()).json()["sound"],
        true,
        "a running node's directory verifies too"
    );
    run(&["audit", "rebuild"], dir.path()).failed_saying(&["stop it first"]);
    assert_eq!(node.stop().code, Some(0));
    run(&["audit", "rebuild"], dir.path()).ok();
    let node = artel().up(dir.path()).start();
    wait::until("the index, built anew", || {
        let shown = run(&["audit", "show", "--kind", "Verdict"], dir.path());
        (shown.code == Some(0)).then(|| shown.json()).filter(|page| page["items"] != json!([]))
    });
    assert_eq!(run(&["task", "show", &id], dir.path()).json()["status"], "accepted");
    drop(node);
}

#[test]
fn a_command_that_fails_gives_its_task_back() {
    let dir = fresh();
    let keys = fresh();
    let node = artel().up(dir.path()).start();
    let key = keys.path().join("agent.pem");
    let key = key.to_str().expect("UTF-8");
    artel().run(["key", "new", key]).ok();
    let posted = run(&["task", "post", "--title", "t", "--capability", "text"], dir.path()).json();
    let id = posted["task_id"].as_str().expect("an id");
    for exec in ["exit 3", "echo no JSON"] {
        let worker = artel().run([
            "work",
            "--key",
            key,
            "--node",
            node.url(),
            "--capability",
            "text",
            "--exec",
            exec,
            "--once",
        ]);
        assert_eq!(worker.code, Some(1), "{exec}: {worker:?}");
        let shown = run(&["task", "show", id], dir.path()).json();
        if exec == "exit 3" {
            assert_eq!((&shown["status"], &shown["attempts"]), (&json!("available"), &json!(0)), "{shown}");
        }
        artel().run(["key", "new", &format!("{key}.second")]);
        std::fs::rename(format!("{key}.second"), key).expect("another agent goes on");
        let _ = std::fs::remove_file(format!("{key}.token"));
    }
}

#[test]
fn an_agent_sees_at_its_own_node_what_became_of_its_work_elsewhere() {
    let (a, b, files) = (fresh(), fresh(), fresh());
    let home = founder(a.path());
    let away = member(b.path(), &invite(a.path(), 1));
    let mut agent = Agent::delegate(&away, "traveller", &["far"]);
    let token = files.path().join("token");
    std::fs::write(&token, &agent.token).expect("written");
    let ledger = || {
        let token = token.to_str().expect("UTF-8");
        artel().run(["ledger", "show", "--node", away.url(), "--token-file", token, "--json"]).json()
    };
    assert_eq!(ledger()["elsewhere"], json!([]), "nothing is invented");
    let task = post(&mut home.operator(), &task("say it there", &["far"], 1));
    let lease = wait::until("the offer", || {
        let answer = agent.claim_next(1_000);
        (answer.status == 200).then(|| answer.json())
    });
    agent.submit(&task, lease["epoch"].as_u64().expect("an epoch"), &json!({})).is(200);
    let seen = wait::until("the receipt", || {
        let seen = ledger()["elsewhere"].clone();
        (seen[0]["accepted"] == 1).then_some(seen)
    });
    assert_eq!(seen[0]["home"], home.operator().get("/v1/auth/verify").is(200)["node_id"], "{seen}");
}

#[test]
fn wrong_use_is_told_from_failure_and_a_missing_node_from_both() {
    let dir = fresh();
    assert_eq!(artel().run(["nonsense"]).code, Some(2));
    assert_eq!(artel().run(["task", "show"]).code, Some(2));
    assert_eq!(artel().run(["task", "list"]).code, Some(2), "no node is named");
    let away = artel().run(["task", "list", "--node", "http://127.0.0.1:1"]);
    away.failed_saying(&["no answer", "artel up"]);
    let nobody = artel().run(["status", "--data", dir.path().to_str().expect("UTF-8")]);
    assert_ne!(nobody.code, Some(0));
    let version = artel().run(["version", "--json"]).json();
    assert!(version["version"].is_string(), "{version}");
    for help in [["up", "--help"], ["audit", "--help"], ["work", "--help"]] {
        assert!(artel().run(help).ok().contains("Examples:"));
    }
}
