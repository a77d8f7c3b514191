//! Redo before the verdict, as real processes: what an agent of another node says that a module put out is run again by a third
//! node. Who lies is rejected, who ran it never is.

use crate::{artel, fresh};
use artel_protocol::id::Digest;
use artel_tests::mesh::{admitted, held, invite, items, joining, listening, until};
use artel_tests::wait;
use artel_tests::{Agent, Node, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

/// Puts out what it was given.
const ECHO: &[u8] = include_bytes!("../../../node/runner/tests/guests/echo.wasm");

/// Fails unless it is given the files `empty` and `data.txt`.
const FILES: &[u8] = include_bytes!("../../../node/runner/tests/guests/files.wasm");

/// A module without a start.
const STARTLESS: &[u8] = b"\0asm\x01\0\0\0";

/// How many tasks a newcomer gets at most until one of its results is drawn, seven of ten as a rule: 25 times undrawn happens
/// once in 10^13.
const TASKS_MAX: usize = 25;

/// A home, the worker's node and a third one.
struct Three {
    dirs: [TempDir; 3],
    nodes: Vec<Node>,
    module: String,
}

impl Three {
    /// `redo` says which of them run steps again.
    fn start(redo: [bool; 3]) -> Self {
        Three::start_with(redo, 1, "")
    }

    /// Each invitation lets in so many; `denied` says which steps the third one does not run for others.
    fn start_with(redo: [bool; 3], uses: u32, denied: &str) -> Self {
        let dirs = [fresh(), fresh(), fresh()];
        // Offers are open to all at once: who comes first is another test's matter.
        let home = listening(&artel(), dirs[0].path()).set("window_ms", 0);
        let home = home.set("log", "warn").set("redo", redo[0]).start();
        let first = invite(&artel(), dirs[0].path(), uses);
        let second = if uses == 1 { invite(&artel(), dirs[0].path(), 1) } else { first.clone() };
        let join = |n: usize| {
            let node = joining(&artel(), dirs[n].path(), if n == 1 { &first } else { &second });
            let denied = if n == 2 { denied } else { "" };
            node.set("log", "warn").set("redo", redo[n]).set("redo_deny", denied).start()
        };
        let nodes = vec![home, join(1), join(2)];
        until("all are admitted", || nodes.iter().all(|node| admitted(node) == 2));
        let module = Digest::of(ECHO).to_string();
        let three = Three { dirs, nodes, module };
        three.put(ECHO, "echo.wasm", "module");
        three
    }

    /// Puts an artifact at home.
    fn put(&self, bytes: &[u8], name: &str, kind: &str) -> String {
        let digest = Digest::of(bytes).to_string();
        let put = Request::new("PUT", &format!("/v1/artifacts/{digest}?name={name}&kind={kind}"));
        let answer = self.nodes[0]
            .operator()
            .send(&put.header("content-type", "application/octet-stream").body(bytes));
        assert!(answer.status == 200 || answer.status == 201, "{}", answer.text());
        digest
    }

    fn post(&self, input: &Value) -> String {
        self.post_for(&self.module, input)
    }

    fn post_for(&self, module: &str, input: &Value) -> String {
        let task = json!({
            "title": "echo", "requirements": {"capabilities": ["text"]}, "reward": 1, "input": input,
            "runner": {"kind": "wasm", "module": module},
        });
        let id = artel_tests::agent::post(&mut self.nodes[0].operator(), &task);
        until("the offer is heard", || {
            items(&self.nodes[1], "/v1/offers").iter().any(|offer| offer["task_id"] == id.as_str())
        });
        id
    }

    /// The verdict on the first submission of a task.
    fn verdict(&self, task: &str) -> Value {
        wait::until("it is judged", || {
            let shown = self.nodes[0].operator().get(&format!("/v1/tasks/{task}")).is(200);
            let verdict = shown["submissions"][0]["verdict"].clone();
            verdict.is_object().then_some(verdict)
        })
    }

    /// What home's journal says of the runs of a task, oldest first: who ran it and what it came to.
    fn runs(&self, task: &str) -> Vec<(Value, Value)> {
        let mut all = items(&self.nodes[0], "/v1/audit/entries?kind=Redone&limit=200");
        all.sort_by_key(|entry| entry["index"].as_u64());
        let of_task = all.iter().filter(|entry| entry["fact"]["task_id"] == task);
        of_task.map(|entry| (entry["fact"]["by"].clone(), entry["fact"]["came"].clone())).collect()
    }

    /// Home's entries of the lots of a task.
    fn lots(&self, task: &str) -> Vec<Value> {
        let all = items(&self.nodes[0], "/v1/audit/entries?kind=Lot&limit=200");
        all.into_iter().filter(|entry| entry["fact"]["task_id"] == task).collect()
    }

    /// How many milliseconds passed between home's entries of a task's first submission and of its verdict.
    fn judged_after(&self, task: &str) -> i64 {
        let at = |kind: &str| {
            let entries = items(&self.nodes[0], &format!("/v1/audit/entries?kind={kind}&limit=200"));
            let of_task = entries.iter().filter(|entry| entry["fact"]["task_id"] == task);
            let first = of_task.min_by_key(|entry| entry["index"].as_u64()).expect("an entry");
            let time = first["at"].as_str().expect("a time");
            // HH:MM:SS.mmm of the day.
            let number = |from: usize, to: usize| time[from..to].parse::<i64>().expect("digits");
            ((number(11, 13) * 60 + number(14, 16)) * 60 + number(17, 19)) * 1_000 + number(20, 23)
        };
        (at("Verdict") - at("Submitted")).rem_euclid(24 * 3_600_000)
    }

    fn did(&self, n: usize) -> Value {
        let key = artel_protocol::key::PublicKey::from_peer_id(self.nodes[n].peer_id());
        json!(key.expect("a peer id").did())
    }

    /// Has a liar of the second node hand in lies until one is drawn; gives that task, and how its lie was judged.
    fn lie(&self) -> (String, Value) {
        self.lie_of(&self.module)
    }

    fn lie_of(&self, module: &str) -> (String, Value) {
        let mut liar = Agent::delegate(&self.nodes[1], "liar", &["text"]);
        for n in 0..TASKS_MAX {
            let task = self.post_for(module, &json!({"n": n}));
            liar.does(&task, &json!({"got": "a lie"}));
            let verdict = self.verdict(&task);
            if !self.runs(&task).is_empty() {
                return (task, verdict);
            }
            assert_eq!(verdict["accepted"], true, "what is not drawn is taken: {verdict}");
        }
        panic!("none of {TASKS_MAX} was drawn");
    }
}

#[test]
fn a_lie_is_rejected_by_two_runs_and_work_that_was_done_never_is() {
    let three = Three::start([true; 3]);
    let (task, verdict) = three.lie();
    assert_eq!((&verdict["accepted"], &verdict["check"]), (&json!(false), &json!("redo")), "{verdict}");
    let wanted = [(three.did(2), json!("other")), (three.did(0), json!("other"))];
    assert_eq!(three.runs(&task), wanted, "a third node says so first, then home itself");
    let redoing = items(&three.nodes[2], "/v1/audit/entries?kind=Redoing");
    assert!(!redoing.is_empty(), "the third node has written down that it was asked");
    assert_eq!(
        items(&three.nodes[1], "/v1/audit/entries?kind=Redoing"),
        [] as [Value; 0],
        "the worker's never is"
    );

    // The lie's step is open again; whoever runs its module is believed each time.
    let key = three.dirs[1].path().join("honest.pem");
    enroll(&three.nodes[1], &key);
    let inputs = [json!({"b": 1.50, "a": [1, 2]}), json!("ünï"), json!(null), json!(7)];
    let posted = inputs.iter().cycle().take(TASKS_MAX).map(|input| three.post(input));
    let mut same = 0;
    for (n, task) in std::iter::once(task.clone()).chain(posted).enumerate() {
        work(&three.nodes[1], &key);
        until("it is accepted", || {
            three.nodes[0].operator().get(&format!("/v1/tasks/{task}")).is(200)["status"] == "accepted"
        });
        same += three.runs(&task).iter().filter(|(_, came)| came == "same").count();
        if n >= inputs.len() && same > 0 {
            break;
        }
    }
    assert!(same > 0, "none of {TASKS_MAX} was drawn");
    let agents = items(&three.nodes[0], "/v1/agents");
    let honest = agents.iter().find(|agent| agent["agent_name"] == "honest").expect("known");
    assert_eq!(honest["rejected"].as_u64().unwrap_or(0), 0, "{honest}");
}

#[test]
fn where_no_other_node_runs_it_home_does_and_where_nobody_can_the_result_is_taken() {
    let three = Three::start([true, true, false]);
    let (task, verdict) = three.lie();
    assert_eq!((&verdict["accepted"], &verdict["check"]), (&json!(false), &json!("redo")), "{verdict}");
    let other = (three.did(0), json!("other"));
    assert_eq!(three.runs(&task), [other.clone(), other], "home alone runs it twice");

    let three = Three::start([false; 3]);
    let (task, verdict) = three.lie();
    assert_eq!(verdict["accepted"], true, "{verdict}");
    assert_eq!(three.runs(&task), [(Value::Null, json!("inconclusive"))], "and the record says so");
}

/// Who invents the result of a step that nobody can run is not believed because nobody can.
#[test]
fn a_result_of_a_step_that_cannot_run_is_a_lie() {
    let three = Three::start([true; 3]);
    let module = three.put(STARTLESS, "startless.wasm", "module");
    let (task, verdict) = three.lie_of(&module);
    assert_eq!((&verdict["accepted"], &verdict["check"]), (&json!(false), &json!("redo")), "{verdict}");
    assert_eq!(three.runs(&task), [(three.did(2), json!("other")), (three.did(0), json!("other"))]);
}

#[test]
fn who_came_in_with_the_worker_s_node_is_not_asked_and_who_does_not_allow_it_does_not_run_it() {
    for (uses, denied) in [(2, ""), (1, "skill=text")] {
        let three = Three::start_with([true; 3], uses, denied);
        let (task, verdict) = three.lie();
        assert_eq!((&verdict["accepted"], &verdict["check"]), (&json!(false), &json!("redo")), "{verdict}");
        let other = (three.did(0), json!("other"));
        assert_eq!(three.runs(&task), [other.clone(), other], "home alone runs it: {uses} {denied}");
        let redoing = items(&three.nodes[2], "/v1/audit/entries?kind=Redoing");
        assert_eq!(redoing, [] as [Value; 0], "nothing was written down for it");
    }
}

/// Nobody let it in, since everybody may enroll: it is looked at like another node's, by its home alone.
#[test]
fn who_enrolled_itself_at_home_is_found_out_there() {
    let three = Three::start([true; 3]);
    let mut liar = Agent::enroll(&three.nodes[0], "liar at home", &["text"]);
    let drawn = (0..TASKS_MAX).find_map(|n| {
        let task = three.post(&json!({"n": n}));
        liar.does(&task, &json!({"got": "a lie"}));
        let verdict = three.verdict(&task);
        (!three.runs(&task).is_empty()).then_some((task, verdict))
    });
    let (task, verdict) = drawn.expect("one is drawn");
    assert_eq!((&verdict["accepted"], &verdict["check"]), (&json!(false), &json!("redo")), "{verdict}");
    let other = (three.did(0), json!("other"));
    assert_eq!(three.runs(&task), [other.clone(), other]);
}

/// Home, the worker's node and three that witness: each lot names these three, and whoever has home's records can check it.
#[test]
fn every_lot_names_three_real_witnesses_and_is_checked_offline() {
    let dirs = [fresh(), fresh(), fresh(), fresh(), fresh()];
    let home = listening(&artel(), dirs[0].path()).set("log", "warn").start();
    let mut nodes = vec![home];
    for dir in &dirs[1..] {
        // An invitation each, so that nobody is the worker's node's kin.
        let invitation = invite(&artel(), dirs[0].path(), 1);
        nodes.push(joining(&artel(), dir.path(), &invitation).set("log", "warn").start());
    }
    until("all are admitted", || nodes.iter().all(|node| admitted(node) == 4));
    let mut three = Three { dirs: [fresh(), fresh(), fresh()], nodes, module: Digest::of(ECHO).to_string() };
    three.put(ECHO, "echo.wasm", "module");
    let may_draw: BTreeSet<String> =
        (2..5).map(|n| three.did(n).as_str().expect("a did").to_owned()).collect();
    let key = dirs[1].path().join("honest.pem");
    enroll(&three.nodes[1], &key);
    let (mut seen, mut waits, mut whole) = (BTreeSet::new(), Vec::new(), 0);
    for n in 0..TASKS_MAX {
        let task = three.post(&json!({"n": n}));
        work(&three.nodes[1], &key);
        assert_eq!(three.verdict(&task)["accepted"], true);
        let lots = items(&three.nodes[0], "/v1/audit/entries?kind=Lot&limit=200");
        let lot = lots.iter().find(|entry| entry["fact"]["task_id"] == task.as_str()).expect("a lot");
        let (fact, entry) = (&lot["fact"], lot["index"].as_u64().expect("a number"));
        assert_eq!(lot["public"], true);
        let witnesses = fact["witnesses"].as_array().expect("a list");
        let named: BTreeSet<String> =
            witnesses.iter().map(|one| one["node"].as_str().expect("a did").to_owned()).collect();
        assert!(
            named.is_subset(&may_draw) && named.len() == witnesses.len(),
            "not home nor the worker's: {fact}"
        );
        let submitted = fact["submitted"].as_u64().expect("a number");
        // On a machine that is busy for seconds one may be late, and is asked no more for a while.
        let sizes: Vec<u64> = witnesses.iter().filter_map(|one| one["size"].as_u64()).collect();
        assert!(!sizes.is_empty(), "somebody has drawn it: {fact}");
        let covers = |size: &u64| submitted < *size && *size <= entry;
        assert!(sizes.iter().all(covers), "what was cosigned covers the submission: {fact}");
        whole += usize::from(named == may_draw && sizes.len() == 3);
        let drawn = fact["drawn"] == true;
        assert_eq!(drawn, !three.runs(&task).is_empty());
        waits.push((drawn, three.judged_after(&task)));
        seen.insert(drawn);
        if seen.len() == 2 && n >= 5 {
            break;
        }
    }
    assert_eq!(seen.len(), 2, "some are drawn and some are not");
    assert!(whole > 0, "all three have drawn at least one of them");
    println!("whether it was drawn, and after how many milliseconds it was judged: {waits:?}");
    let lots = waits.len() as u64;
    // A witness that goes draws no more, and holds up nothing: the others do.
    drop(three.nodes.pop().expect("the last").stop());
    until("it is gone", || admitted(&three.nodes[0]) == 3);
    let task = three.post(&json!("fewer"));
    work(&three.nodes[1], &key);
    assert_eq!(three.verdict(&task)["accepted"], true);
    let last = items(&three.nodes[0], "/v1/audit/entries?kind=Lot&limit=200");
    let last = last.iter().find(|entry| entry["fact"]["task_id"] == task.as_str()).expect("a lot");
    let left = last["fact"]["witnesses"].as_array().expect("a list");
    assert!((1..=2).contains(&left.len()), "{last}");
    // Another node has these records, too.
    let made = {
        let all = items(&three.nodes[0], "/v1/audit/entries?limit=200");
        all.iter().filter(|entry| entry["public"] == true).count() as u64
    };
    until("it holds them all", || held(&three.nodes[2], three.nodes[0].peer_id()) >= made);
    three.nodes.drain(..).for_each(|node| drop(node.stop()));
    for dir in [&dirs[0], &dirs[2]] {
        let path = dir.path().to_str().expect("UTF-8");
        let verified = artel().run(["audit", "verify", path, "--json"]).json();
        let wanted = json!({"good": lots + 1, "unwitnessed": 0, "unchecked": 0, "wrong": []});
        assert_eq!((&verified["sound"], &verified["lots"]), (&json!(true), &wanted), "{verified}");
    }
}

/// Home dies while it waits for a witness that does not answer. It asks again when it is back, and as nobody is there draws itself.
#[test]
fn a_lot_that_was_open_when_home_died_falls_after_its_next_start() {
    let mut three = Three::start([true; 3]);
    let mut agent = Agent::delegate(&three.nodes[1], "worker", &["text"]);
    let task = three.post(&json!({"n": 1}));
    signal(&three.nodes[2], "-STOP");
    agent.does(&task, &json!({"got": "a lie"}));
    assert_eq!(three.lots(&task), [] as [Value; 0], "its witness says nothing");
    three.nodes.remove(0).kill();
    let home = listening(&artel(), three.dirs[0].path()).set("log", "warn").start();
    three.nodes.insert(0, home);
    let verdict = three.verdict(&task);
    let [lot] = &three.lots(&task)[..] else { panic!("it falls once") };
    assert_eq!(lot["fact"]["witnesses"], json!([]), "nobody was there to draw");
    // What is not drawn is taken; a lie that is, is found at home alone.
    assert_eq!(verdict["accepted"] == true, lot["fact"]["drawn"] == false, "{verdict}");
    let by: BTreeSet<String> = three.runs(&task).iter().map(|(by, _)| by.to_string()).collect();
    assert!(by.is_empty() || by == BTreeSet::from([three.did(0).to_string()]), "{by:?}");
    signal(&three.nodes[2], "-CONT");
}

#[test]
fn a_witness_that_says_nothing_is_left_out_by_name_and_the_verdict_comes_all_the_same() {
    let three = Three::start([true; 3]);
    let mut agent = Agent::delegate(&three.nodes[1], "worker", &["text"]);
    let task = three.post(&json!({"n": 1}));
    signal(&three.nodes[2], "-STOP");
    agent.does(&task, &json!({"got": "a lie"}));
    three.verdict(&task);
    signal(&three.nodes[2], "-CONT");
    let [lot] = &three.lots(&task)[..] else { panic!("it falls once") };
    let silent = json!([{"node": three.did(2), "size": null, "at_s": null}]);
    assert_eq!(lot["fact"]["witnesses"], silent);
    let waited = three.judged_after(&task);
    assert!((5_000..60_000).contains(&waited), "it was waited for, and not for ever: {waited} ms");
}

/// Nobody is there to draw: home does, at once, and runs it itself.
#[test]
fn a_lone_home_draws_at_once_and_says_that_nobody_witnessed() {
    let dir = fresh();
    let home = listening(&artel(), dir.path()).set("log", "warn").start();
    let three =
        Three { dirs: [fresh(), fresh(), fresh()], nodes: vec![home], module: Digest::of(ECHO).to_string() };
    three.put(ECHO, "echo.wasm", "module");
    let key = dir.path().join("honest.pem");
    enroll(&three.nodes[0], &key);
    let mut waits = Vec::new();
    for n in 0..5 {
        let task = json!({
            "title": "echo", "requirements": {"capabilities": ["text"]}, "reward": 1, "input": n,
            "runner": {"kind": "wasm", "module": three.module},
        });
        let task = artel_tests::agent::post(&mut three.nodes[0].operator(), &task);
        work(&three.nodes[0], &key);
        assert_eq!(three.verdict(&task)["accepted"], true);
        waits.push(three.judged_after(&task));
    }
    println!("judged after so many milliseconds: {waits:?}");
    for lot in items(&three.nodes[0], "/v1/audit/entries?kind=Lot") {
        assert_eq!(lot["fact"]["witnesses"], json!([]), "{lot}");
    }
    three.nodes.into_iter().for_each(|node| drop(node.stop()));
    let verified = artel().run(["audit", "verify", dir.path().to_str().expect("UTF-8"), "--json"]).json();
    assert_eq!(verified["lots"], json!({"good": 5, "unwitnessed": 5, "unchecked": 0, "wrong": []}));
}

#[test]
fn a_run_is_given_the_files_that_the_input_names() {
    // Once a neighbour's sandbox, which fetches them, and once home's own.
    for redo in [[false, false, true], [true, false, false]] {
        let three = Three::start(redo);
        let module = three.put(FILES, "files.wasm", "module");
        let (empty, data) = (three.put(b"", "empty", "input"), three.put(b"0123456789", "data.txt", "input"));
        let input = json!({"artifacts": {"empty": empty, "data.txt": data}});
        let key = three.dirs[1].path().join("honest.pem");
        enroll(&three.nodes[1], &key);
        let drawn = (0..TASKS_MAX).find_map(|_| {
            let task = three.post_for(&module, &input);
            work(&three.nodes[1], &key);
            assert_eq!(three.verdict(&task)["accepted"], true);
            three.runs(&task).pop()
        });
        let by = redo.iter().position(|redo| *redo).expect("one of them");
        assert_eq!(drawn, Some((three.did(by), json!("same"))));
    }
}

/// Has a node's process stop for a while, or go on.
fn signal(node: &Node, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &node.pid().to_string()]).status();
    assert!(sent.expect("there is such a program").success());
}

fn enroll(node: &Node, key: &Path) {
    let key = key.to_str().expect("UTF-8");
    artel().run(["key", "new", key]).ok();
    let profile = ["--name", "honest", "--capability", "text", "--delegate"];
    artel().run(["agent", "enroll", "--node", node.url(), "--key", key].iter().chain(&profile)).ok();
}

fn work(node: &Node, key: &Path) {
    let key = key.to_str().expect("UTF-8");
    let arguments =
        ["work", "--node", node.url(), "--key", key, "--capability", "text", "--once", "--allow", "any"];
    let worked = artel().run(arguments);
    assert_eq!(worked.code, Some(0), "{worked:?}");
}

#[test]
fn a_lie_that_is_found_after_its_verdict_is_taken_back_everywhere_and_stays_accepted() {
    // Nobody runs anything again, so that the lie is accepted.
    let mut three = Three::start([false, false, false]);
    let mut liar = Agent::delegate(&three.nodes[1], "liar", &["text"]);
    let lied = three.post(&json!({"n": 1}));
    liar.does(&lied, &json!({"got": "a lie"}));
    assert_eq!(three.verdict(&lied)["accepted"], true);
    let key = three.dirs[1].path().join("worker.key");
    let honest = three.post(&json!({"n": 2}));
    enroll(&three.nodes[1], &key);
    work(&three.nodes[1], &key);
    assert_eq!(three.verdict(&honest)["accepted"], true);
    let shown = three.nodes[0].operator().get(&format!("/v1/tasks/{honest}")).is(200);
    let worker = shown["submissions"][0]["agent_id"].clone();
    let worker = worker.as_str().expect("a did").to_owned();
    until("the third node counts both", || {
        [&liar.did, &worker].iter().all(|did| {
            let path = format!("/v1/agents/{did}/reputation");
            let answer = three.nodes[2].operator().get(&path);
            answer.status == 200 && answer.json()["receipts_micro"].as_u64().is_some_and(|count| count > 0)
        })
    });
    let balance = |node: &Node| {
        let accounts = items(node, "/v1/ledger/accounts");
        accounts.iter().find(|row| row["agent_id"] == liar.did.as_str()).map(|row| row["balance"].clone())
    };
    assert!(balance(&three.nodes[0]).is_some());

    // Its home now has a sandbox. The runs are closed, and the node has started again.
    let home_did = three.did(0);
    let home = three.nodes.remove(0);
    assert_eq!(home.stop().code, Some(0));
    let home = listening(&artel(), three.dirs[0].path()).set("log", "warn").set("redo", true).start();
    until("they meet again", || admitted(&home) == 2);
    let redo = |task: &str| {
        let dir = three.dirs[0].path().to_str().expect("UTF-8");
        artel().run(["audit", "redo", task, "--json", "--data", dir]).json()["state"].clone()
    };
    assert_eq!((redo(&lied), redo(&lied)), (json!("refuted"), json!("refuted")));
    let refuted = items(&home, "/v1/audit/entries?kind=Refuted");
    assert_eq!(refuted.len(), 1, "once: {refuted:?}");
    assert_eq!(redo(&honest), "same", "{}", home.operator().get(&format!("/v1/tasks/{honest}")).is(200));
    let shown = home.operator().get(&format!("/v1/tasks/{lied}")).is(200);
    assert_eq!((&shown["status"], balance(&home)), (&json!("accepted"), None));
    let history = items(&home, &format!("/v1/agents/{}/history", liar.did));
    assert_eq!(history[0]["outcome"], "refuted", "{history:?}");
    until("the third node counts it no more, and the honest one still", || {
        let count = |did: &str| {
            let path = format!("/v1/agents/{did}/reputation");
            three.nodes[1].operator().get(&path).is(200)["receipts_micro"].clone()
        };
        count(&liar.did) == 0 && count(&worker) != 0
    });
    // Whoever lied is told at its own node, once.
    let mut refuted = Vec::new();
    until("its worker is told", || {
        let answer = liar.http.get("/v1/notifications?type=refuted");
        refuted = answer.json()["items"].as_array().cloned().unwrap_or_default();
        answer.status == 200 && !refuted.is_empty()
    });
    assert_eq!((refuted.len(), &refuted[0]["data"]["task_id"]), (1, &json!(lied)), "{refuted:?}");
    assert_eq!(refuted[0]["data"]["home"], home_did);
    let verified =
        artel().run(["audit", "verify", three.dirs[0].path().to_str().expect("UTF-8"), "--json"]).json();
    assert_eq!(verified["sound"], true, "{verified}");
}
