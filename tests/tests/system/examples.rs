//! Every example of every `--help`, typed word for word at a shell, against a real node with all that it names. Only what
//! no test can fix is put in: ports, ids, digests.

use crate::{artel, fresh};
use artel_node::cli::examples::ALL;
use artel_tests::agent::{self, Agent, key_of};
use artel_tests::mesh::{LISTEN, invite, until};
use artel_tests::{Done, Node, Shell, wait};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// A module that says back what it was given.
const ECHO: &[u8] = include_bytes!("../../../node/runner/tests/guests/echo.wasm");
/// Where the examples' node answers.
const URL: &str = "http://127.0.0.1:7433";
/// What the examples call a task, a run, an artifact, an agent, a node, an invitation, an invitation's text.
const TASK: &str = "01981f5e-0000-7000-8000-000000000001";
const RUN: &str = "01981f5e-0000-7000-8000-000000000000";
const ARTIFACT: &str = "01981f5e-0000-7000-8000-00000000000a";
const AGENT: &str = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
const NODE: &str = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH";
const INVITED: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
const INVITATION: &str = "artel-invitation-1:AbCd";

/// A directory with all that the examples name.
struct World {
    dir: tempfile::TempDir,
    node: Node,
    shell: Shell,
    /// An agent beside the one of `agent.pem`.
    other: Agent,
    /// How many tasks were made.
    made: u64,
}

impl World {
    fn new() -> Self {
        let dir = fresh();
        let at = |name: &str| dir.path().join(name);
        let stopped = artel().up(&at("stopped-node")).start();
        stopped.stop();
        fs::write(at("stopped-node/config.toml"), "http = \"127.0.0.1:0\"").expect("written");
        fs::remove_file(at("stopped-node/recovery.key")).expect("moved elsewhere");
        let node = artel().up(&at("node")).arg("--listen").arg(LISTEN).start();
        fs::write(at("report.html"), "<p>well</p>").expect("written");
        fs::write(at("task.json"), json!({"title": "t", "requirements": {"capabilities": []}, "reward": 0, "complexity": "simple", "input": {}}).to_string()).expect("written");
        fs::write(at("run.json"), run_of_the_help()).expect("written");
        script(&at("count-words.sh"), "#!/bin/sh\ncat > /dev/null\necho '{\"words\":3}'\n");
        fs::write(
            at("agent_step.py"),
            "import json, sys\nstep = json.load(sys.stdin)\nprint(json.dumps({'title': step['title']}))\n",
        )
        .expect("written");
        fs::write(at("liar.fraud"), a_fraud()).expect("written");
        fs::create_dir(at("src")).expect("made");
        fs::write(at("src/a.txt"), "one two three\n").expect("written");
        let shell = Shell::new(&artel(), dir.path()).with("ARTEL_HTTP", "127.0.0.1:0");
        let other = Agent::enroll(&node, "other", &[]);
        let mut world = World { dir, node, shell, other, made: 0 };
        world.types("artel key new agent.pem");
        // More entries than the highest that an example names.
        (0..3).for_each(|_| drop(world.finished_task()));
        // Whoever asks for a proof has it under a checkpoint on disk; a copy made before the next one would end earlier.
        world.types("artel audit prove 12 --data ./node > 12.tlog-proof");
        let copied =
            Command::new("cp").args(["-r", "node", "copy-of-node"]).current_dir(world.dir.path()).status();
        assert!(copied.expect("cp runs").success());
        world
    }

    #[track_caller]
    fn types(&self, line: &str) -> Done {
        let done = self.shell.types(line).wait();
        assert_eq!(done.code, Some(0), "{line}\n{}\n{}", done.stdout, done.stderr);
        done
    }

    fn task(&mut self, skills: &[&str]) -> String {
        self.made += 1;
        let task = agent::task(&format!("task {}", self.made), skills, 1);
        agent::post(&mut self.node.operator(), &task)
    }

    fn finished_task(&mut self) -> String {
        let task = self.task(&[]);
        self.other.does(&task, &json!({"words": 3}));
        task
    }

    /// A task that a worker ran in the sandbox.
    fn task_of_a_module(&mut self) -> String {
        fs::write(self.dir.path().join("echo.wasm"), ECHO).expect("written");
        let put = self
            .types("artel artifact put echo.wasm --type application/wasm --kind module --data ./node --json");
        let mut task = agent::task("echo", &["echo"], 0);
        task["runner"] = json!({"kind": "wasm", "module": put.json()["sha256"]});
        let task = agent::post(&mut self.node.operator(), &task);
        self.types(
            "artel key new echo.pem && artel work --key echo.pem --capability echo --once --data ./node",
        );
        task
    }

    fn run(&mut self) -> String {
        let steps = [json!({"name": "a", "task": agent::task("a", &[], 0)})];
        let run = json!({"name": "one step", "inputs": {}, "steps": steps});
        self.node.operator().post("/v1/runs", &run).is(201)["run_id"].as_str().expect("an id").to_owned()
    }

    fn finished_run(&mut self) -> String {
        let run = self.run();
        let steps = self.node.operator().get(&format!("/v1/runs/{run}/steps")).is(200);
        let task = steps["items"][0]["step_id"].as_str().expect("an id").to_owned();
        self.other.does(&task, &json!({}));
        run
    }

    /// Makes what an example names, and puts its name in.
    fn prepare(&mut self, line: &str) -> String {
        let mut line = line.replace(URL, self.node.url()).replace("/7434", "/0");
        let first = |words: &str| line_begins(&line, words);
        let is_done = first("task show") || first("task watch");
        let (needs_fresh_key, needs_token) = (first("work"), !first("agent enroll") && !first("key"));
        if line.contains(TASK) {
            let task = match line_begins(&line, "audit redo") {
                true => self.task_of_a_module(),
                false if is_done => self.finished_task(),
                false => self.task(&[]),
            };
            if first("task submit") {
                self.types(&format!("artel agent enroll --key agent.pem --data ./node && artel task claim {task} --key agent.pem --data ./node"));
            }
            line = line.replace(TASK, &task);
        } else if line.contains("agent.pem") && needs_fresh_key {
            // A worker says when it has enrolled.
            self.types("rm -f agent.pem agent.pem.token && artel key new agent.pem");
        } else if line.contains("agent.pem") && needs_token {
            self.types("artel agent enroll --key agent.pem --data ./node");
        }
        if line_begins(&line, "task claim") {
            self.task(&[]);
        }
        if line.contains(RUN) {
            let run = if line_begins(&line, "run watch") { self.finished_run() } else { self.run() };
            line = line.replace(RUN, &run);
        }
        if line.contains("artel artifact get") {
            self.types("touch empty && artel artifact put empty --data ./node");
            let put = self.types("artel artifact put report.html --data ./node --json").json();
            line = line.replace(ARTIFACT, put["artifact_id"].as_str().expect("an id"));
        }
        if line.contains(NODE) {
            let stranger = match line.contains("recompute") {
                true => artel_protocol::key::NodeId(
                    artel_node::data::read_key(&self.dir.path().join("node/node.key"))
                        .expect("a key")
                        .public(),
                ),
                false => artel_protocol::key::NodeId(key_of("a node").public()),
            };
            line = line.replace(NODE, &stranger.to_string());
        }
        if line.contains(INVITED) {
            self.types("artel invite --data ./node");
            let listed = self.types("artel invite list --data ./node --json").json();
            let live = listed["items"].as_array().expect("a list").iter().find(|one| one["status"] == "live");
            line = line.replace(INVITED, live.expect("one is live")["digest"].as_str().expect("a digest"));
        }
        if line.contains(INVITATION) {
            line = line.replace(INVITATION, &invite(&artel(), self.node.data(), 1));
        }
        if line.contains("new.pem") {
            self.types("rm -f new.pem");
        }
        line.replace(AGENT, &self.other.did).replace("| man -l -", "| cat")
    }

    /// Types an example and sees it end well; what goes on for ever is seen at work and ended by Ctrl-C.
    fn example(&mut self, example: &str) {
        let line = self.prepare(example);
        if line_begins(&line, "task post") && line.contains("--watch") {
            let typed = self.shell.types(&line);
            let mut worker = Agent::enroll(&self.node, "words", &["words"]);
            let posted = wait::until("the task", || {
                let open = self.node.operator().get("/v1/tasks?status=available&capability=words").is(200);
                open["items"][0]["task_id"].as_str().map(str::to_owned)
            });
            worker.does(&posted, &json!({}));
            assert_eq!(typed.wait().code, Some(0), "{line}");
            return;
        }
        if !goes_on(&line) {
            self.types(&line);
            return;
        }
        // The shell becomes the command, so that Ctrl-C has one to end. A worker tells on stderr what it does, a node logs there.
        let heard = if line_begins(&line, "up") { "2>/dev/null" } else { "2>&1" };
        let mut typed = self.shell.types(&format!("exec {line} {heard}"));
        let mut seen = typed.line();
        while line_begins(&line, "work")
            && seen.as_ref().is_some_and(|seen| !seen.contains("waits for tasks"))
        {
            seen = typed.line();
        }
        assert!(seen.is_some(), "{line}: it ended at once: {:?}", typed.wait());
        if line.contains("--exec") {
            let skills: &[&str] = if line.contains("--capability") { &["text"] } else { &[] };
            let task = self.task(skills);
            until("the worker did a task", || {
                self.node.operator().get(&format!("/v1/tasks/{task}")).is(200)["status"] == "accepted"
            });
        }
        let done = typed.interrupt();
        assert_eq!(done.code, Some(0), "{line}: {seen:?}\n{}", done.stdout);
    }
}

fn line_begins(line: &str, words: &str) -> bool {
    line.strip_prefix("artel ").is_some_and(|rest| rest == words || rest.starts_with(&format!("{words} ")))
}

/// Whether a command goes on until it is stopped.
fn goes_on(line: &str) -> bool {
    let tails = line_begins(line, "event tail") && !line.contains("--until-quiet");
    let works = line_begins(line, "work") && !line.contains("--once");
    let watches = line.contains("--watch") && !line_begins(line, "task post");
    tails || works || watches || line_begins(line, "up")
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

/// The run that the help of `run start` shows.
fn run_of_the_help() -> String {
    let notes = ALL.iter().find(|examples| examples.of == "run start").expect("it has examples").notes;
    notes.strip_prefix("run.json:").expect("the file is shown").to_owned()
}

/// A proof of fraud of the golden vectors.
fn a_fraud() -> Vec<u8> {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../protocol/vectors/witness.json")).expect("JSON");
    let hex = vectors["frauds"][0]["bytes"].as_str().expect("hex");
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// Types all examples of the commands that begin with one of these words.
fn all_of(words: &[&str]) {
    let mut world = World::new();
    let mut seen = 0;
    for examples in ALL.iter().filter(|examples| words.contains(&first_word(examples.of))) {
        for line in examples.lines {
            // A node has its directory to itself.
            if line_begins(line, "up") && line.contains("./node") {
                world.in_a_place_of_its_own(line);
            } else {
                world.example(line);
            }
            seen += 1;
        }
    }
    assert!(seen >= words.len(), "each of {words:?} has an example");
}

impl World {
    /// Starts a node on `./node` where there is none yet.
    fn in_a_place_of_its_own(&mut self, example: &str) {
        let (line, dir) = (self.prepare(example), fresh());
        let shell = Shell::new(&artel(), dir.path()).with("ARTEL_HTTP", "127.0.0.1:0");
        let mut typed = shell.types(&format!("exec {line} 2>/dev/null"));
        let seen = typed.line().unwrap_or_else(|| panic!("{line}: it ended at once"));
        assert!(seen.contains("ready"), "{line}: {seen}");
        assert_eq!(typed.interrupt().code, Some(0), "{line}");
    }
}

fn first_word(of: &str) -> &str {
    of.split(' ').next().unwrap_or_default()
}

/// The groups below, each of which has a world of its own.
const GROUPS: &[&[&str]] = &[NODES, WORKERS, TASKS, LOGS, BENCHES, DEMOS];
const NODES: &[&str] = &["up", "status", "doctor", "invite", "node", "peers"];
const WORKERS: &[&str] = &["key", "agent", "work", "reputation", "ledger"];
const TASKS: &[&str] = &["task", "run", "event", "artifact"];
const LOGS: &[&str] = &["audit", "completions", "man", "version"];
const BENCHES: &[&str] = &["bench"];
const DEMOS: &[&str] = &["", "demo"];

#[test]
fn no_command_is_left_out() {
    for examples in ALL {
        let times = GROUPS.iter().filter(|group| group.contains(&first_word(examples.of))).count();
        assert_eq!(times, 1, "{:?}", examples.of);
    }
}

#[test]
fn of_nodes_work() {
    all_of(NODES);
}

#[test]
fn of_workers_work() {
    all_of(WORKERS);
}

#[test]
fn of_tasks_work() {
    all_of(TASKS);
}

#[test]
fn of_logs_work() {
    all_of(LOGS);
}

#[test]
fn of_benches_work() {
    all_of(BENCHES);
}

#[test]
fn of_the_demo_work() {
    all_of(DEMOS);
}
