//! Steps in the sandbox, end to end: a module is put, a task names it, a worker runs it, home takes the result.

use crate::{artel, fresh};
use artel_protocol::id::Digest;
use artel_runner::{Error, Module, Options, Outcome, Runner, Step, Walls, testing};
use artel_tests::mesh::{invite, items, joining, listening, until};
use artel_tests::node::Up;
use artel_tests::{Client, Done, Node, Request};
use serde_json::{Value, json};
use std::path::Path;

/// Reads its input and puts it out; with "fail" in it, ends with status 7. Built by clang from the C beside it.
const ECHO: &[u8] = include_bytes!("../../../node/runner/tests/guests/echo.wasm");

/// A node all of whose agents are its operator's own: what they hand in is judged at once.
fn own(dir: &Path) -> Up {
    artel().up(dir).set("redo_enrolled", false)
}

fn put_module(client: &mut Client) -> String {
    let digest = Digest::of(ECHO).to_string();
    let put = Request::new("PUT", &format!("/v1/artifacts/{digest}?name=echo.wasm&kind=module"));
    let answer = client.send(&put.header("content-type", "application/wasm").body(ECHO));
    assert!(answer.status == 200 || answer.status == 201, "{}", answer.text());
    digest
}

fn post(node: &Node, module: &str, input: &Value) -> String {
    let task = json!({
        "title": "echo", "requirements": {"capabilities": ["text"]}, "reward": 1, "input": input,
        "runner": {"kind": "wasm", "module": module},
    });
    artel_tests::agent::post(&mut node.operator(), &task)
}

/// A new agent's worker that does one task.
fn work(node: &Node, keys: &Path, more: &[&str]) -> Done {
    work_at(node.url(), keys, more)
}

fn work_at(url: &str, keys: &Path, more: &[&str]) -> Done {
    let key = keys.join(format!("{}.pem", std::fs::read_dir(keys).expect("a directory").count()));
    let key = key.to_str().expect("UTF-8");
    artel().run(["key", "new", key]).ok();
    let fixed = ["work", "--node", url, "--key", key, "--capability", "text", "--once", "--json"];
    artel().run(fixed.iter().chain(more))
}

#[test]
fn a_task_with_a_module_is_run_in_the_sandbox_and_its_result_accepted() {
    let (dir, keys) = (fresh(), fresh());
    let node = own(dir.path()).start();
    let module = put_module(&mut node.operator());
    let task = post(&node, &module, &json!({"n": 1}));
    let worker = work(&node, keys.path(), &[]);
    assert_eq!(worker.code, Some(0), "{worker:?}");
    let shown = node.operator().get(&format!("/v1/tasks/{task}")).is(200);
    assert_eq!(shown["status"], "accepted", "{shown}");
    assert_eq!(shown["output"]["got"], json!({"input": {"n": 1}, "needs": {}, "artifacts": {}}));
    assert_eq!(shown["runner"], json!({"kind": "wasm", "module": module}));
    // Its log is an artifact of the submission.
    let log = shown["submissions"][0]["artifacts"][0].as_str().expect("a log").to_owned();
    let text = node.operator().get(&format!("/v1/artifacts/{log}"));
    assert!(text.text().starts_with("step with 1 argument read "), "{}", text.text());

    // The node comes back from its journal with a task that has a runner.
    let open = post(&node, &module, &json!(2));
    assert_eq!(node.stop().code, Some(0));
    let node = own(dir.path()).start();
    let worker = work(&node, keys.path(), &["--allow", &format!("module={module},kind=wasm,skill=text")]);
    assert_eq!(worker.code, Some(0), "{worker:?}");
    assert_eq!(node.operator().get(&format!("/v1/tasks/{open}")).is(200)["status"], "accepted");
}

#[test]
fn what_another_step_left_is_handed_on_by_its_digest() {
    let (dir, keys) = (fresh(), fresh());
    let node = own(dir.path()).start();
    let module = put_module(&mut node.operator());
    let step = |name: &str, needs: Value| {
        json!({"name": name, "needs": needs, "task": {
            "title": name, "requirements": {"capabilities": ["text"]}, "input": {},
            "runner": {"kind": "wasm", "module": module},
        }})
    };
    let run = json!({"name": "two", "inputs": {}, "steps": [step("first", json!([])), step("second", json!(["first"]))]});
    let run = node.operator().post("/v1/runs", &run).is(201);
    for _ in 0..2 {
        let worker = work(&node, keys.path(), &[]);
        assert_eq!(worker.code, Some(0), "{worker:?}");
    }
    let id = run["run_id"].as_str().expect("an id");
    let tasks = node.operator().get(&format!("/v1/tasks?status=any&run_id={id}")).is(200);
    let second = tasks["items"].as_array().expect("items").iter().find(|task| task["name"] == "second");
    let second = second.and_then(|task| task["task_id"].as_str()).expect("the second step");
    let shown = node.operator().get(&format!("/v1/tasks/{second}")).is(200);
    let got = &shown["output"]["got"];
    assert_eq!(got["needs"]["first"]["got"]["input"], json!({}), "{shown}");
    let (name, path) =
        got["artifacts"].as_object().and_then(|map| map.iter().next()).expect("the first one's log");
    assert_eq!((name.len(), path), (64, &json!(format!("artifacts/{name}"))));
}

#[test]
fn an_input_names_the_artifacts_that_its_step_gets() {
    let (dir, keys) = (fresh(), fresh());
    let node = own(dir.path()).start();
    let module = put_module(&mut node.operator());
    let task = post(&node, &module, &json!({"artifacts": {"a b.wasm": module, "other": module}}));
    let worker = work(&node, keys.path(), &[]);
    assert_eq!(worker.code, Some(0), "{worker:?}");
    let shown = node.operator().get(&format!("/v1/tasks/{task}")).is(200);
    let wanted = json!({"a b.wasm": "artifacts/a b.wasm", "other": "artifacts/other"});
    assert_eq!(shown["output"]["got"]["artifacts"], wanted, "{shown}");
    // What is of another form is an input like any other.
    let task = post(&node, &module, &json!({"artifacts": ["x"]}));
    assert_eq!(work(&node, keys.path(), &[]).code, Some(0));
    let shown = node.operator().get(&format!("/v1/tasks/{task}")).is(200);
    assert_eq!(shown["output"]["got"]["artifacts"], json!({}), "{shown}");
    let missing = format!("sha256:{}", "0".repeat(64));
    for (named, why) in [
        (json!({"../up": module}), "not one path component"),
        (json!({"": module}), "not one path component"),
        (json!({"a": missing}), "an artifact: "),
        (json!({"a": "sha256:no"}), "an artifact: "),
        (
            (0..65).map(|n| (n.to_string(), json!(module))).collect::<serde_json::Map<_, _>>().into(),
            "more than 64 artifacts",
        ),
    ] {
        let task = post(&node, &module, &json!({"artifacts": named}));
        let worker = work(&node, keys.path(), &[]);
        assert_eq!(worker.code, Some(1), "{worker:?}");
        assert!(worker.stderr.contains("given back") && worker.stderr.contains(why), "{why}: {worker:?}");
        node.operator().post(&format!("/v1/tasks/{task}/cancel"), &json!({})).is(200);
    }
}

#[test]
fn a_worker_lets_its_node_act_for_it_unless_it_is_told_not_to() {
    let (dir, keys) = (fresh(), fresh());
    let node = own(dir.path()).start();
    let module = put_module(&mut node.operator());
    for (more, key, delegates) in [(&[][..], "0.pem", true), (&["--no-delegate"], "2.pem", false)] {
        post(&node, &module, &json!(1));
        let worker = work(&node, keys.path(), more);
        assert_eq!(worker.code, Some(0), "{worker:?}");
        let key = keys.path().join(key);
        let show = ["agent", "show", "--json", "--node", node.url(), "--key", key.to_str().expect("UTF-8")];
        let agent = artel().run(show).json();
        assert_eq!(agent["delegated_until"].is_string(), delegates, "{agent}");
    }
}

#[test]
fn a_task_of_another_home_is_run_where_that_is_allowed_and_else_left_alone() {
    let (dirs, keys) = ([fresh(), fresh()], fresh());
    let home = listening(&artel(), dirs[0].path()).start();
    let away = joining(&artel(), dirs[1].path(), &invite(&artel(), dirs[0].path(), 1));
    let away = away.set("redo_enrolled", false).start();
    let module = put_module(&mut home.operator());
    let there = post(&home, &module, &json!({"artifacts": {"self": module}}));
    until("the offer is heard", || {
        items(&away, "/v1/offers").iter().any(|offer| offer["task_id"] == there.as_str())
    });
    let shown = || home.operator().get(&format!("/v1/tasks/{there}")).is(200);
    // Without rules, the worker waits for a task of its own node.
    let own = std::thread::scope(|scope| {
        let (url, keys) = (away.url().to_owned(), keys.path());
        let working = scope.spawn(move || work_at(&url, keys, &[]));
        until("it waits", || {
            // The page counts anew where something has happened.
            artel_tests::agent::post(
                &mut away.operator(),
                &json!({"title": "for nobody", "requirements": {"capabilities": ["none"]}}),
            );
            claims_waiting(&away) == 1
        });
        put_module(&mut away.operator());
        let own = post(&away, &module, &json!(1));
        let worker = working.join().expect("it ends");
        assert_eq!(worker.code, Some(0), "{worker:?}");
        own
    });
    assert_eq!(away.operator().get(&format!("/v1/tasks/{own}")).is(200)["status"], "accepted");
    assert_eq!((&shown()["status"], &shown()["epoch"]), (&json!("available"), &json!(0)), "{}", shown());
    let rule = format!("home={},kind=wasm", did_of(home.peer_id()));
    let worker = work(&away, keys.path(), &["--allow", &rule]);
    assert_eq!(worker.code, Some(0), "{worker:?}");
    until("home has judged it", || shown()["status"] == "accepted");
    assert_eq!(shown()["output"]["got"]["artifacts"], json!({"self": "artifacts/self"}));
}

/// How many claims wait at a node, as its page says.
fn claims_waiting(node: &Node) -> usize {
    let page = node.operator().send(&Request::get("/")).text().to_owned();
    let behind = page.split("claims waiting").nth(1).expect("the page counts them");
    let digits = behind.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
    digits.expect("a number").parse().expect("a number")
}

fn did_of(peer_id: &str) -> String {
    artel_protocol::key::PublicKey::from_peer_id(peer_id).expect("a peer id").did()
}

#[test]
fn what_fails_or_may_not_run_goes_back_with_its_reason() {
    let (dir, keys) = (fresh(), fresh());
    let node = own(dir.path()).start();
    let module = put_module(&mut node.operator());
    let task = post(&node, &module, &json!("fail"));
    let released = |worker: Done, wanted: &[&str]| {
        assert_eq!(worker.code, Some(1), "{worker:?}");
        assert!(wanted.iter().all(|part| worker.stderr.contains(part)), "{wanted:?}: {worker:?}");
        let shown = node.operator().get(&format!("/v1/tasks/{task}")).is(200);
        assert_eq!(shown["status"], "available", "{shown}");
    };
    released(work(&node, keys.path(), &[]), &["given back", "exit status 7", "asked to fail"]);
    released(
        work(&node, keys.path(), &["--deny", "any"]),
        &["given back", "the policy of this worker does not allow"],
    );
    let other = format!("module=sha256:{}", "0".repeat(64));
    let denied = work(&node, keys.path(), &["--allow", &other]);
    assert_eq!(denied.code, Some(1), "{denied:?}");
    work(&node, keys.path(), &["--allow", "all"]).misused_saying(&["no rule"]);
}

#[test]
fn a_post_whose_module_is_not_here_is_refused() {
    let dir = fresh();
    let node = own(dir.path()).start();
    let with = |runner: Value| json!({"title": "t", "runner": runner});
    let module = format!("sha256:{}", "0".repeat(64));
    let mut operator = node.operator();
    operator
        .post("/v1/tasks", &with(json!({"kind": "wasm", "module": module})))
        .refused(404, "artifact_missing");
    operator.post("/v1/tasks", &with(json!({"kind": "wasm"}))).refused(422, "invalid");
    operator.post("/v1/tasks", &with(json!({"kind": "container"}))).refused(422, "runner_unavailable");
}

#[test]
fn a_wall_that_is_missing_is_named_and_nothing_is_claimed() {
    let (dir, keys) = (fresh(), fresh());
    let node = own(dir.path()).start();
    let module = put_module(&mut node.operator());
    let task = post(&node, &module, &json!(1));
    let key = keys.path().join("agent.pem");
    artel().run(["key", "new", key.to_str().expect("UTF-8")]).ok();
    // A stack that is too small for the limit that a step needs: a wall that cannot go up.
    let script = "ulimit -s 1900; exec \"$0\" work --node \"$1\" --key \"$2\" --capability text --once";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(artel().path())
        .args([node.url(), key.to_str().expect("UTF-8")])
        .output()
        .expect("sh runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the rlimits wall is missing here"), "{said}");
    assert_eq!(node.operator().get(&format!("/v1/tasks/{task}")).is(200)["status"], "available");
}

/// The program brings an allocator of its own, which calls the kernel now and then as no other does: five compilations of sixty
/// died of that once.
#[tokio::test]
async fn the_program_s_allocator_stays_inside_the_walls() {
    let runner =
        Runner::start(Options { program: Some(artel().path().to_owned()), ..Options::default() }).await;
    let runner = runner.expect("it starts");
    for i in 0..60 {
        // A section that nobody reads makes it another module.
        let module = Module::new([ECHO, &[0, 2, 1, i]].concat());
        let outcome = runner.run(Step::new(module, "{}")).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{i}: {outcome:?}");
    }
}

/// The tests of the runner take walls away through a program of their own. This one does not let them.
#[tokio::test]
async fn the_program_takes_no_wall_away() {
    let options = || Options { program: Some(artel().path().to_owned()), ..Options::default() };
    let runner = Runner::start(options()).await.expect("with all walls it starts, and they hold");
    assert_eq!(runner.walls(), Walls::ALL);
    for (wanted, blind) in [(Walls::NONE, Walls::NONE), (Walls::ALL, Walls::ALL)] {
        let error =
            Runner::start(testing::with_walls(options(), wanted, blind)).await.expect_err("it must not");
        let refused = "it died while its walls went up (exit status 3)";
        assert!(matches!(&error, Error::Process(why) if why == refused), "{error}");
    }
}
