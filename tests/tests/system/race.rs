//! Many agents racing for many tasks, also while the node is killed and started again: each task has one winner, one
//! receipt, one payment, and nothing that was acknowledged is gone.

use crate::{amount, artel, fresh};
use artel_audit::os::OsFiles;
use artel_audit::verify::{self, Outcome};
use artel_tests::agent::{claim, claim_next, task};
use artel_tests::ledger::{sums, units};
use artel_tests::wait::{self, DEADLINE, until_within};
use artel_tests::{Agent, Answer, Node, Place, Request, all_pages, receipt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// How many agents race.
const AGENTS: usize = 64;
/// For how many tasks.
const TASKS: usize = 1_000;
/// A task's reward in credits.
const REWARD: u64 = 2;

/// What the node acknowledged to the agents.
#[derive(Default)]
struct Heard {
    /// By task and epoch: who was told that it holds the lease.
    leases: BTreeMap<(String, u64), String>,
    /// By task: who was told that its result is in, under which epoch, as which journal entry.
    results: BTreeMap<String, (String, u64, u64)>,
}

type Shared = Arc<(Place, Mutex<Heard>, Vec<String>)>;

#[test]
fn sixty_four_agents_race_for_a_thousand_tasks_and_each_has_one_winner() {
    race(&[]);
}

#[test]
fn a_killed_node_spoils_no_race() {
    race(&[TASKS / 4, TASKS / 2, TASKS * 3 / 4]);
}

/// Runs a race in which the node is killed and started again each time so many results are acknowledged.
fn race(kills: &[usize]) {
    let dir = fresh();
    let up = || {
        // A lease that was granted in an answer nobody heard runs out, and another agent gets the task.
        let up = artel().up(dir.path()).set("log", "warn");
        if kills.is_empty() { up.start() } else { up.set("lease_ms", 6_000).set("lapses_max", 100).start() }
    };
    let mut node = up();
    let agents: Vec<Agent> =
        (0..AGENTS).map(|i| Agent::enroll(&node, &format!("racer {i}"), &["race"])).collect();
    let dids: Vec<String> = agents.iter().map(|agent| agent.did.clone()).collect();
    let tasks = post_all(&node);
    let shared: Shared = Arc::new((Place::default(), Mutex::default(), tasks));
    shared.0.set(node.address());
    let started = Instant::now();
    let racers: Vec<_> = agents
        .into_iter()
        .enumerate()
        .map(|(i, agent)| {
            let shared = shared.clone();
            // Half of them run for the very same task at the same time, the others take what the node gives.
            let run = if i % 2 == 0 { race_by_id } else { race_for_next };
            std::thread::spawn(move || run(agent, &shared))
        })
        .collect();
    for kill in kills {
        until_within(4 * DEADLINE, "the next kill's moment", || (done(&shared) >= *kill).then_some(()));
        shared.0.gone();
        node.kill();
        node = up();
        shared.0.set(node.address());
    }
    for racer in racers {
        racer.join().expect("no racer saw anything wrong");
    }
    println!("{TASKS} tasks, {AGENTS} agents, {} kills: {:?}", kills.len(), started.elapsed());
    let heard = shared.1.lock().expect("no racer panicked");
    check(&node, &heard, &shared.2, &dids, kills.is_empty());
    let peer_id = node.ready()["peer_id"].as_str().expect("a peer id").to_owned();
    assert_eq!(node.stop().code, Some(0));
    check_log(dir.path(), &peer_id);
}

fn post_all(node: &Node) -> Vec<String> {
    let mut operator = node.operator();
    let mut ids = Vec::new();
    while ids.len() < TASKS {
        let first = ids.len();
        let steps: Vec<Value> = (first..TASKS.min(first + 100))
            .map(|i| json!({"name": format!("step {i}"), "task": task(&format!("race {i}"), &["race"], REWARD)}))
            .collect();
        let run = operator.post("/v1/runs", &json!({"name": "race", "steps": steps})).is(201);
        let path = format!("/v1/runs/{}/steps", run["run_id"].as_str().expect("an id"));
        let steps = all_pages(&mut operator, &path);
        ids.extend(steps.iter().map(|step| step["step_id"].as_str().expect("an id").to_owned()));
    }
    assert_eq!(ids.len(), TASKS);
    ids
}

fn done(shared: &Shared) -> usize {
    shared.1.lock().expect("no racer panicked").results.len()
}

/// Claims every task by its id, in the same order as the others do.
fn race_by_id(mut agent: Agent, shared: &Shared) {
    for id in &shared.2 {
        let answer = shared.0.send(&mut agent.http, &claim(id));
        match (answer.status, answer.code().as_str()) {
            (200, _) => hand_in(&mut agent, shared, answer.json(), false),
            // Taken, done, or this agent let it lapse while the node was away.
            (409, "task_taken" | "task_not_open" | "finished") | (403, "barred") => None,
            _ => panic!("a claim of {id}: {answer:?}"),
        };
    }
    race_for_next(agent, shared);
}

/// Takes the best task there is until all are done.
fn race_for_next(mut agent: Agent, shared: &Shared) {
    let end = Instant::now() + 6 * DEADLINE;
    let mut lease = None;
    while done(shared) < shared.2.len() {
        assert!(Instant::now() < end, "{} of {} tasks are done", done(shared), shared.2.len());
        lease = match lease {
            Some(lease) => hand_in(&mut agent, shared, lease, true),
            None => next(&shared.0.send(&mut agent.http, &claim_next(500))),
        };
    }
    assert!(lease.is_none(), "a lease of a task that is done already: {lease:?}");
}

fn next(answer: &Answer) -> Option<Value> {
    match answer.status {
        200 => Some(answer.json()),
        204 => None,
        _ => panic!("a claim of the next task: {answer:?}"),
    }
}

/// Notes a lease, hands the result in until that is acknowledged, notes that too. Answers with the next lease.
fn hand_in(agent: &mut Agent, shared: &Shared, lease: Value, then: bool) -> Option<Value> {
    let id = lease["task_id"].as_str().expect("an id").to_owned();
    let epoch = lease["epoch"].as_u64().expect("an epoch");
    let earlier =
        shared.1.lock().expect("no racer panicked").leases.insert((id.clone(), epoch), agent.did.clone());
    assert!(
        earlier.is_none_or(|who| who == agent.did),
        "two agents were told that they hold {id}, epoch {epoch}"
    );
    let body = json!({"epoch": epoch, "output": {"by": agent.did}, "claim_next": then});
    let answer = shared.0.send(&mut agent.http, &Request::post(&format!("/v1/tasks/{id}/submit"), &body));
    if answer.status == 409 && answer.code() == "stale_epoch" {
        // The lease ran out while the node was away: somebody else does it.
        return None;
    }
    let answer = answer.is(200);
    let entry = answer["acknowledgement"]["entry"].as_u64().expect("an entry");
    let mut heard = shared.1.lock().expect("no racer panicked");
    let earlier = heard.results.insert(id.clone(), (agent.did.clone(), epoch, entry));
    assert_eq!(earlier, None, "{id} was taken in twice");
    answer.get("next").filter(|next| !next.is_null()).cloned()
}

/// Everything that was acknowledged is there, once.
fn check(node: &Node, heard: &Heard, tasks: &[String], agents: &[String], undisturbed: bool) {
    let mut operator = node.operator();
    let peer_id = node.ready()["peer_id"].as_str().expect("a peer id");
    let all = all_pages(&mut operator, "/v1/tasks?status=any");
    let ids: BTreeSet<&str> = all.iter().map(|task| task["task_id"].as_str().expect("an id")).collect();
    assert_eq!(ids, tasks.iter().map(String::as_str).collect(), "the tasks that were posted, each once");
    let mut paid_by_task = 0;
    for task in &all {
        let id = task["task_id"].as_str().expect("an id");
        assert_eq!(task["status"], "accepted", "{task}");
        let (winner, epoch, entry) = &heard.results[id];
        assert_eq!(task["assigned_agent_id"], *winner, "{id}");
        let proven = receipt::check(&operator.get(&format!("/v1/tasks/{id}/receipt")).is(200), peer_id);
        assert_eq!((&proven.agent, proven.epoch, proven.submitted), (winner, *epoch, *entry), "{id}");
        assert!(units(&task["paid"]) > 0, "{task}");
        paid_by_task += units(&task["paid"]);
        if undisturbed {
            assert_eq!((&task["epoch"], &task["lapses"]), (&json!(1), &json!(0)), "{task}");
        }
    }
    check_events(node, tasks, heard);
    check_money(node, agents, paid_by_task);
}

/// The events say the same: one grant for each lease that was told of, one acceptance for each task.
fn check_events(node: &Node, tasks: &[String], heard: &Heard) {
    let mut operator = node.operator();
    let mut granted: BTreeMap<(String, u64), String> = BTreeMap::new();
    let mut accepted: BTreeMap<String, u32> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = operator.get(&format!("/v1/events?limit=200{after}")).is(200);
        let items = page["items"].as_array().expect("items").clone();
        for event in &items {
            let id = || event["data"]["task_id"].as_str().expect("a task").to_owned();
            match event["event_name"].as_str().expect("a name") {
                "xyn.task.claimed" => {
                    let lease = (id(), event["data"]["epoch"].as_u64().expect("an epoch"));
                    let who = event["data"]["agent_id"].as_str().expect("an agent").to_owned();
                    assert_eq!(granted.insert(lease.clone(), who), None, "{lease:?} was granted twice");
                }
                "xyn.task.accepted" => *accepted.entry(id()).or_default() += 1,
                _ => {}
            }
        }
        let Some(cursor) = page["next_cursor"].as_str().filter(|_| !items.is_empty()) else { break };
        after = format!("&after={cursor}");
    }
    for (lease, who) in &heard.leases {
        assert_eq!(granted.get(lease), Some(who), "{lease:?} was told of and is not there");
    }
    assert_eq!(accepted, tasks.iter().map(|id| (id.clone(), 1)).collect(), "each task is accepted once");
}

/// One payment for each task, to whom the receipts say; all accounts sum to zero.
fn check_money(node: &Node, agents: &[String], paid_by_task: i64) {
    let mut operator = node.operator();
    let totals = sums(&mut operator);
    assert_eq!((totals.agents, totals.operator, totals.escrow), (paid_by_task, -paid_by_task, 0));
    let paid = wait::until("the index", || {
        let mut paid: BTreeSet<String> = BTreeSet::new();
        for did in agents {
            for work in all_pages(&mut operator, &format!("/v1/agents/{did}/history")) {
                if work["outcome"] == "accepted" {
                    let id = work["task_id"].as_str().expect("an id").to_owned();
                    assert!(paid.insert(id.clone()), "{id} was paid twice");
                }
            }
        }
        (paid.len() >= TASKS).then_some(paid)
    });
    assert_eq!(paid.len(), TASKS);
}

/// The stopped node's journal verifies with nothing but its files.
pub fn check_log(dir: &Path, peer_id: &str) {
    let report = verify::directory(Arc::new(OsFiles::new(dir))).expect("there is a journal");
    assert_eq!(report.outcome, Outcome::Sound);
    assert_eq!(report.origin.node().key().peer_id(), peer_id);
    assert_eq!(report.past_checkpoint, 0, "a stop signs everything");
    assert_eq!(report.bodies_sealed, 0, "all bodies open with the directory's own keys");
    assert!(report.entries > 0);
    println!("log: {} entries, {} public, sound", report.entries, report.public);
}

/// The suite's own numbers, so that a longer race is one variable away.
#[test]
#[ignore = "longer than the suite's own races: ARTEL_TEST_RACES says how many"]
fn many_races_with_kills_at_other_moments() {
    for i in 0..amount("ARTEL_TEST_RACES", 3) {
        race(&[50 + 37 * i, 400 + 61 * i, 700 + 29 * i]);
    }
}
