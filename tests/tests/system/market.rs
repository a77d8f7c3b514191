//! The market across nodes, as real processes: agents anywhere take what one home offers, each task has one winner, one pair
//! of records and one payment, whoever is killed on the way.

use crate::{artel, fresh};
use artel_tests::agent::{claim_next, post, submit, task};
use artel_tests::ledger::{sums, units};
use artel_tests::mesh::{admitted, invite, items, joining, listening, until};
use artel_tests::wait::{DEADLINE, until_within};
use artel_tests::{Agent, Answer, Client, Node, Place, Request, all_pages, receipt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;

/// How many agents race: some at home, the others at two other nodes.
const AGENTS: usize = 32;
/// For how many tasks of one home.
const TASKS: usize = 1_000;
/// A task's reward in credits.
const REWARD: u64 = 2;

/// A home and two nodes that joined it.
struct Three {
    dirs: [TempDir; 3],
    nodes: Vec<Node>,
}

impl Three {
    fn start(lease_ms: u64) -> Self {
        let dirs = [fresh(), fresh(), fresh()];
        let up = |n: usize| listening(&artel(), dirs[n].path()).set("log", "warn").set("lease_ms", lease_ms);
        let home = up(0).set("lapses_max", 200).start();
        let invitation = invite(&artel(), dirs[0].path(), 2);
        let join = |n: usize| joining(&artel(), dirs[n].path(), &invitation).set("log", "warn").start();
        let nodes = vec![home, join(1), join(2)];
        until("all are admitted", || nodes.iter().all(|node| admitted(node) == 2));
        Three { dirs, nodes }
    }
}

#[test]
fn an_agent_of_another_node_does_a_task_and_both_nodes_have_it_in_their_logs() {
    let three = Three::start(60_000);
    let (home, away) = (&three.nodes[0], &three.nodes[1]);
    let mut agent = Agent::delegate(away, "ada", &["text"]);
    let posted = home.operator().post("/v1/tasks", &task("say it back", &["text"], REWARD)).is(201);
    let id = posted["task_id"].as_str().expect("an id").to_owned();
    until("the offer is heard", || {
        items(away, "/v1/offers").iter().any(|offer| offer["task_id"] == id.as_str())
    });
    let lease = agent.claim(&id).is(200);
    assert_eq!(lease["home"], home.ready()["peer_id"].as_str().map(did_of).expect("a did"), "{lease}");
    assert_eq!(agent.claim(&id).is(200)["epoch"], lease["epoch"], "asked again, it hears the same");
    agent.http.post(&format!("/v1/tasks/{id}/renew"), &json!({"epoch": lease["epoch"]})).is(200);
    let done = agent.submit(&id, 1, &json!({"by": "ada"})).is(200);
    assert!(
        done["receipt"]["accepted"] == true && done["acknowledgement"]["signature"].is_string(),
        "{done}"
    );
    assert_eq!(home.operator().get(&format!("/v1/tasks/{id}")).is(200)["status"], "accepted");
    check_pair(&three, &id);
    // Home knows it as a guest and owes it; its own node has let go of the lease.
    let agents = items(home, "/v1/agents");
    assert!(agents.iter().any(|known| known["agent_id"] == agent.did.as_str()), "{agents:?}");
    let again = agent.submit(&id, 1, &json!({"by": "ada"})).is(200);
    for part in ["acknowledgement", "receipt", "handed_in"] {
        assert_eq!(again[part], done[part], "the same again, judged as it is");
    }
    agent.submit(&id, 1, &json!({"by": "eve"})).refused(409, "already_submitted");
    // What it won, how it was judged and what it earned it is told at its own node.
    let told = notices_until(&mut agent, "earning");
    let kinds: Vec<&str> = told.iter().filter_map(|notice| notice["type"].as_str()).collect();
    assert_eq!(kinds, ["lease_granted", "quality", "earning"], "{told:?}");
    for notice in &told {
        let data = &notice["data"];
        assert_eq!(
            (&data["home"], &data["task_id"], &data["epoch"]),
            (&lease["home"], &json!(id), &json!(1))
        );
    }
    assert_eq!(
        (&told[1]["data"]["accepted"], &told[1]["data"]["quality_score"]),
        (&json!(true), &json!(100))
    );
    assert_eq!(told[2]["data"]["amount"], REWARD, "a novice has the base reward");
}

#[test]
fn an_agent_whose_task_is_cancelled_at_another_home_is_told_at_its_own_node() {
    let three = Three::start(60_000);
    let mut agent = Agent::delegate(&three.nodes[1], "ada", &["text"]);
    let posted = three.nodes[0].operator().post("/v1/tasks", &task("in vain", &["text"], REWARD)).is(201);
    let id = posted["task_id"].as_str().expect("an id").to_owned();
    let lease = next(&agent.claim_next(20_000)).expect("it is offered");
    assert_eq!(lease["task_id"], id.as_str());
    three.nodes[0].operator().post(&format!("/v1/tasks/{id}/cancel"), &json!({})).is(200);
    agent.http.post(&format!("/v1/tasks/{id}/renew"), &json!({"epoch": 1})).refused(409, "finished");
    let told = notices_until(&mut agent, "lease_ended");
    let data = &told.last().expect("one")["data"];
    assert_eq!((&data["home"], &data["reason"]), (&lease["home"], &json!("finished")), "{told:?}");
}

/// An agent's notices at its node, once there is one of this type.
fn notices_until(agent: &mut Agent, kind: &str) -> Vec<Value> {
    let mut found = Vec::new();
    until("the notice is there", || {
        let answer = agent.http.get("/v1/notifications");
        found = answer.json()["items"].as_array().cloned().unwrap_or_default();
        answer.status == 200 && found.iter().any(|notice| notice["type"] == kind)
    });
    found
}

/// The answer may have been lost: the agent's node may have been killed, and home have done much since.
#[test]
fn the_same_result_again_gets_the_same_answer_and_the_same_next_task() {
    let mut three = Three::start(60_000);
    let mut agent = Agent::delegate(&three.nodes[1], "ada", &["text"]);
    let mut operator = three.nodes[0].operator();
    let ids = ["one", "two"].map(|title| post(&mut operator, &task(title, &["text"], REWARD)));
    until("the offers are heard", || items(&three.nodes[1], "/v1/offers").len() == 2);
    let lease = next(&agent.claim_next(20_000)).expect("it is offered");
    let path = format!("/v1/tasks/{}/submit", lease["task_id"].as_str().expect("an id"));
    let body = json!({"epoch": lease["epoch"], "output": {"n": 1}, "claim_next": true});
    let done = agent.http.post(&path, &body).is(200);
    assert!(done["receipt"]["accepted"] == true && done["next"]["task_id"] != lease["task_id"], "{done}");
    three.nodes.remove(1).kill();
    let up = listening(&artel(), three.dirs[1].path()).set("log", "warn").start();
    three.nodes.insert(1, up);
    agent.http.move_to(three.nodes[1].address());
    until("they have met again", || admitted(&three.nodes[1]) == 2);
    let again = agent.http.post(&path, &body).is(200);
    assert_eq!((&again["acknowledgement"], &again["receipt"]), (&done["acknowledgement"], &done["receipt"]));
    assert_eq!(
        (&again["next"]["task_id"], &again["next"]["epoch"]),
        (&done["next"]["task_id"], &done["next"]["epoch"])
    );
    // The run leaves home's memory: so many others end.
    let step = |i: usize| json!({"name": format!("step {i}"), "task": task("nobody does it", &["never"], 1)});
    let run = json!({"name": "long", "steps": (0..200).map(step).collect::<Vec<_>>()});
    for _ in 0..artel_federation::options::RECENT_STEPS / 200 + 1 {
        let posted = operator.post("/v1/runs", &run).is(201);
        operator
            .post(&format!("/v1/runs/{}/cancel", posted["run_id"].as_str().expect("an id")), &json!({}))
            .is(200);
    }
    let body = json!({"epoch": lease["epoch"], "output": {"n": 1}});
    let late = agent.http.post(&path, &body).is(200);
    assert_eq!((&late["acknowledgement"], &late["receipt"]), (&done["acknowledgement"], &done["receipt"]));
    assert!(ids.contains(&lease["task_id"].as_str().expect("an id").to_owned()));
}

/// An agent that got no answer hands the same in again while the first is still on its way to home.
#[test]
fn the_same_result_twice_at_once_gets_the_same_answer_twice() {
    let three = Three::start(60_000);
    let mut agent = Agent::delegate(&three.nodes[1], "ada", &["text"]);
    let mut operator = three.nodes[0].operator();
    for n in 0..10 {
        let id = post(&mut operator, &task("twice", &["text"], REWARD));
        let lease = next(&agent.claim_next(20_000)).expect("it is offered");
        assert_eq!(lease["task_id"], id.as_str());
        let (address, token) = (three.nodes[1].address(), &agent.token);
        let hand_in = || {
            let mut http = Client::new(address).with_bearer(token);
            http.send(&submit(&id, 1, &json!({"n": n}))).is(200)
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(hand_in);
            (hand_in(), other.join().expect("no panic"))
        });
        assert!(one["acknowledgement"].is_object() && one["receipt"].is_object(), "{one}");
        for part in ["acknowledgement", "receipt", "handed_in"] {
            assert_eq!(one[part], other[part]);
        }
    }
}

#[test]
fn what_is_handed_in_while_home_is_away_is_there_when_it_is_back() {
    let mut three = Three::start(60_000);
    let mut agent = Agent::delegate(&three.nodes[1], "ada", &["text"]);
    let posted = three.nodes[0].operator().post("/v1/tasks", &task("patience", &["text"], REWARD)).is(201);
    let id = posted["task_id"].as_str().expect("an id").to_owned();
    let lease = next(&agent.claim_next(20_000)).expect("it is offered");
    assert_eq!(lease["task_id"], id.as_str());
    let listens = three.nodes[0].listening()[0].clone();
    three.nodes.remove(0).kill();
    until("it is seen to be gone", || admitted(&three.nodes[0]) == 1);
    // Nobody can say now that there is no such artifact: the agent is to try again, and not to give the task back.
    let input = format!("/v1/artifacts/{}", artel_protocol::id::Digest::of(b"input"));
    agent.http.send(&Request::get(&input)).refused(503, "home_unreachable");
    let done = agent.submit(&id, 1, &json!({"n": 1})).is(200);
    assert!(done["acknowledgement"].is_null() && done["handed_in"].is_number(), "{done}");
    // The worker's node goes down, too: the outbox is in its journal.
    three.nodes.remove(0).kill();
    let away = listening(&artel(), three.dirs[1].path()).start();
    let home = artel().up(three.dirs[0].path()).arg("--listen").arg(listens).start();
    until("the result is brought", || {
        home.operator().get(&format!("/v1/tasks/{id}")).is(200)["status"] == "accepted"
    });
    until("and its verdict heard", || {
        let concluded = items(&away, "/v1/audit/entries?kind=Concluded");
        concluded.iter().any(|entry| entry["fact"]["task_id"] == id.as_str())
    });
}

#[test]
fn artifacts_go_both_ways_and_to_the_lease_holder_alone() {
    let three = Three::start(60_000);
    let (home, away) = (&three.nodes[0], &three.nodes[1]);
    let input: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(5_000_000).collect();
    let digest = artel_protocol::id::Digest::of(&input).to_string();
    put(&mut home.operator(), &digest, &input);
    let step = |name: &str, needs: Value| json!({"name": name, "needs": needs, "task": task(name, &["text"], REWARD)});
    let run = json!({"name": "two", "steps": [step("first", json!([])), step("second", json!(["first"]))]});
    home.operator().post("/v1/runs", &run).is(201);
    let mut local = Agent::enroll(home, "local", &["text"]);
    let first = next(&local.claim_next(5_000)).expect("offered");
    let body = json!({"epoch": first["epoch"], "output": {}, "artifacts": [digest]});
    let path = |lease: &Value| format!("/v1/tasks/{}/submit", lease["task_id"].as_str().expect("an id"));
    local.http.post(&path(&first), &body).is(200);
    let (mut ada, mut eve) =
        (Agent::delegate(away, "ada", &["text"]), Agent::delegate(&three.nodes[2], "eve", &["text"]));
    let second = next(&ada.claim_next(20_000)).expect("offered");
    assert_eq!(second["artifacts"]["first"], json!([digest]), "{second}");
    let name = format!("/v1/artifacts/{digest}");
    assert_eq!(eve.http.send(&Request::get(&name)).status, 404, "who holds nothing gets nothing");
    assert!(ada.http.send(&Request::get(&name)).body == input, "fetched from home, whole");
    let output: Vec<u8> = input.iter().rev().copied().collect();
    let reversed = artel_protocol::id::Digest::of(&output).to_string();
    put(&mut ada.http, &reversed, &output);
    let body = json!({"epoch": second["epoch"], "output": {"file": reversed}, "artifacts": [reversed]});
    let done = ada.http.post(&path(&second), &body).is(200);
    assert_eq!(done["receipt"]["accepted"], true, "{done}");
    assert!(
        home.operator().send(&Request::get(&format!("/v1/artifacts/{reversed}"))).body == output,
        "and home has it"
    );
}

#[test]
fn thirty_two_agents_on_three_nodes_race_for_a_thousand_tasks_of_one_home() {
    race(Trouble::None);
}

#[test]
fn a_killed_home_spoils_no_race_across_nodes() {
    race(Trouble::HomeKilled);
}

#[test]
fn a_worker_node_that_is_gone_for_good_spoils_no_race() {
    race(Trouble::WorkerGone);
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    HomeKilled,
    WorkerGone,
}

/// What the agents share: where each node is, and how many results were taken.
struct Shared {
    places: [Place; 3],
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// Who was told that it holds a lease.
    leases: BTreeMap<(String, u64), String>,
    /// Which results were acknowledged by home.
    done: BTreeSet<String>,
    /// All are done, or whose node is gone.
    over: [bool; 3],
}

fn race(trouble: Trouble) {
    let mut three = Three::start(if trouble == Trouble::None { 60_000 } else { 5_000 });
    let agents: Vec<(usize, Agent)> = (0..AGENTS)
        .map(|i| (i % 3, Agent::delegate(&three.nodes[i % 3], &format!("racer {i}"), &["race"])))
        .collect();
    let dids: Vec<String> = agents.iter().map(|(_, agent)| agent.did.clone()).collect();
    let shared = Arc::new(Shared { places: Default::default(), heard: Mutex::default() });
    three.nodes.iter().enumerate().for_each(|(n, node)| shared.places[n].set(node.address()));
    let started = Instant::now();
    let racers: Vec<_> = agents
        .into_iter()
        .map(|(n, agent)| {
            let shared = shared.clone();
            std::thread::spawn(move || run(n, agent, &shared))
        })
        .collect();
    let tasks = post_all(&three.nodes[0]);
    let done = || shared.heard.lock().expect("no racer panicked").done.len();
    match trouble {
        Trouble::None => {}
        Trouble::HomeKilled => {
            until_within(4 * DEADLINE, "the moment of the kill", || (done() >= TASKS / 3).then_some(()));
            shared.places[0].gone();
            let listens = three.nodes[0].listening()[0].clone();
            three.nodes.remove(0).kill();
            let up = artel().up(three.dirs[0].path()).arg("--listen").arg(listens).set("log", "warn");
            three.nodes.insert(0, up.set("lease_ms", 5_000_u64).set("lapses_max", 200).start());
            shared.places[0].set(three.nodes[0].address());
        }
        Trouble::WorkerGone => {
            until_within(4 * DEADLINE, "the moment of the kill", || (done() >= TASKS / 3).then_some(()));
            shared.heard.lock().expect("no racer panicked").over[2] = true;
            shared.places[2].gone();
            three.nodes.remove(2).kill();
        }
    }
    until_within(4 * DEADLINE, "all are accepted", || (accepted(&three.nodes[0]) == TASKS).then_some(()));
    shared.heard.lock().expect("no racer panicked").over = [true; 3];
    racers.into_iter().for_each(|racer| racer.join().expect("no racer saw anything wrong"));
    println!("{TASKS} tasks, {AGENTS} agents on three nodes: {:?}", started.elapsed());
    check(&three, &tasks, &dids, &shared);
}

/// How many tasks home has accepted. A task whose run ends between two pages may stand on both.
fn accepted(home: &Node) -> usize {
    let rows = all_pages(&mut home.operator(), "/v1/tasks?status=accepted");
    rows.iter().map(|task| task["task_id"].as_str().expect("an id")).collect::<BTreeSet<_>>().len()
}

fn post_all(home: &Node) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < TASKS {
        let first = ids.len();
        let step = |i: usize| json!({"name": format!("step {i}"), "task": task(&format!("race {i}"), &["race"], REWARD)});
        let steps: Vec<Value> = (first..TASKS.min(first + 100)).map(step).collect();
        let run = home.operator().post("/v1/runs", &json!({"name": "race", "steps": steps})).is(201);
        let path = format!("/v1/runs/{}/steps", run["run_id"].as_str().expect("an id"));
        let steps = all_pages(&mut home.operator(), &path);
        ids.extend(steps.iter().map(|step| step["step_id"].as_str().expect("an id").to_owned()));
    }
    ids
}

/// Takes what there is until all is done or the agent's node is gone.
fn run(n: usize, mut agent: Agent, shared: &Shared) {
    let mut lease = None;
    while !shared.heard.lock().expect("no racer panicked").over[n] {
        let request = match &lease {
            Some(lease) => note(&agent, shared, lease),
            None => claim_next(500),
        };
        let Some(answer) = send(n, &mut agent, shared, &request) else { return };
        lease = match (answer.status, answer.code().as_str()) {
            (200, _) if lease.is_some() => taken(shared, lease.take().expect("it is there"), &answer.json()),
            (200, _) => Some(answer.json()),
            (204, _) => None,
            // The lease ran out while a node was away, or the agent's other lease has; home is away.
            (409, "stale_epoch" | "capacity_full" | "finished") | (404, "not_found") => None,
            (502..=504, _) => lease,
            _ => panic!("{request:?}: {answer:?}"),
        };
    }
}

/// Sends a request until the agent's node answers; nothing where it is gone for good.
fn send(n: usize, agent: &mut Agent, shared: &Shared, request: &Request) -> Option<Answer> {
    loop {
        if shared.heard.lock().expect("no racer panicked").over[n] {
            return None;
        }
        let address = shared.places[n].now();
        if let Some(address) = address {
            if agent.http.node() != address {
                agent.http.move_to(address);
            }
            if let Ok(answer) = agent.http.try_send(request) {
                return Some(answer);
            }
        }
        std::thread::yield_now();
    }
}

/// The request that hands in, after it was noted who holds the lease.
fn note(agent: &Agent, shared: &Shared, lease: &Value) -> Request {
    let id = lease["task_id"].as_str().expect("an id");
    let epoch = lease["epoch"].as_u64().expect("an epoch");
    let mut heard = shared.heard.lock().expect("no racer panicked");
    let earlier = heard.leases.insert((id.to_owned(), epoch), agent.did.clone());
    assert!(
        earlier.is_none_or(|who| who == agent.did),
        "two agents were told that they hold {id}, epoch {epoch}"
    );
    let body = json!({"epoch": epoch, "output": {"by": agent.did}, "claim_next": true});
    Request::post(&format!("/v1/tasks/{id}/submit"), &body)
}

fn taken(shared: &Shared, lease: Value, answer: &Value) -> Option<Value> {
    if answer["acknowledgement"].is_object() {
        let id = lease["task_id"].as_str().expect("an id").to_owned();
        shared.heard.lock().expect("no racer panicked").done.insert(id);
    }
    answer.get("next").filter(|next| !next.is_null()).cloned()
}

fn next(answer: &Answer) -> Option<Value> {
    match answer.status {
        200 => Some(answer.json()),
        204 => None,
        _ => panic!("a claim of the next task: {answer:?}"),
    }
}

fn put(client: &mut Client, digest: &str, bytes: &[u8]) {
    let request = Request::new("PUT", &format!("/v1/artifacts/{digest}")).body(bytes);
    client.send(&request.header("content-type", "application/octet-stream")).is(201);
}

fn did_of(peer_id: &str) -> String {
    artel_protocol::key::PublicKey::from_peer_id(peer_id).expect("a peer id").did()
}

/// One winner, one receipt that proves it, one payment each; and where the winner is another node's, that node's own record.
fn check(three: &Three, tasks: &[String], dids: &[String], shared: &Shared) {
    let home = &three.nodes[0];
    let peer_id = home.ready()["peer_id"].as_str().expect("a peer id");
    let mut operator = home.operator();
    let all = all_pages(&mut operator, "/v1/tasks?status=any");
    let ids: BTreeSet<&str> = all.iter().map(|task| task["task_id"].as_str().expect("an id")).collect();
    assert_eq!(ids, tasks.iter().map(String::as_str).collect(), "the tasks that were posted, each once");
    let (mut paid, mut by_node) = (0, BTreeMap::<String, usize>::new());
    for task in &all {
        let id = task["task_id"].as_str().expect("an id");
        let proven = receipt::check(&operator.get(&format!("/v1/tasks/{id}/receipt")).is(200), peer_id);
        assert_eq!(task["assigned_agent_id"], proven.agent.as_str(), "{task}");
        assert!(dids.contains(&proven.agent));
        paid += units(&task["paid"]);
        *by_node.entry(check_pair(three, id)).or_default() += 1;
    }
    println!("by node: {by_node:?}");
    assert!(by_node.len() >= 2, "agents of more than one node have worked: {by_node:?}");
    let totals = sums(&mut operator);
    assert_eq!((totals.agents, totals.operator, totals.escrow), (paid, -paid, 0));
    let heard = shared.heard.lock().expect("no racer panicked");
    for id in &heard.done {
        assert!(ids.contains(id.as_str()), "what was acknowledged is there");
    }
}

/// The two records of a task's receipt name the same result; says whose the worker's is.
fn check_pair(three: &Three, id: &str) -> String {
    let home = &three.nodes[0];
    let receipt = home.operator().get(&format!("/v1/tasks/{id}/receipt")).is(200);
    let fact = &receipt["submitted"]["fact"];
    let Some(node) = fact["handed_in"]["node_id"].as_str() else { return "home".into() };
    let worker = three.nodes.iter().find(|other| did_of(other.peer_id()) == node);
    let Some(worker) = worker else { return "gone".into() };
    let index = fact["handed_in"]["entry"].as_u64().expect("an index");
    let entry = worker.operator().get(&format!("/v1/audit/entries/{index}")).is(200);
    assert_eq!(
        (entry["kind"].as_str(), entry["public"].as_bool()),
        (Some("HandedIn"), Some(true)),
        "{entry}"
    );
    assert_eq!(entry["fact"]["result"], fact["result"], "both name one result");
    assert_eq!((&entry["fact"]["task_id"], &entry["fact"]["agent_id"]), (&json!(id), &fact["agent_id"]));
    until("home has the record of the worker's node", || {
        let receipt = home.operator().get(&format!("/v1/tasks/{id}/receipt")).is(200);
        receipt["handed_in"]["fact"] == entry["fact"] && receipt["handed_in"]["entry"] == entry["index"]
    });
    node.to_owned()
}
