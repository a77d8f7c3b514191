//! Homes that do not answer as they should, and what a node makes of it: a home whose mesh is real and whose answers are the test's.

use crate::{artel, fresh};
use artel_audit::os::OsFiles;
use artel_federation::Json;
use artel_federation::commitment::Opening;
use artel_federation::effect::{Lease, Receipt};
use artel_federation::fact::Authority;
use artel_federation::visit::message::{Act, Told, Visit};
use artel_mesh::{Address, Event, Mesh, Options, Running};
use artel_node::hand::{Hand, acknowledge};
use artel_node::neighbours::Admission;
use artel_node::{clock, data, hello};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, RunId, StepId};
use artel_protocol::key::{NodeId, PublicKey, SecretKey};
use artel_protocol::log::Origin;
use artel_tests::agent::{post, task};
use artel_tests::mesh::{admitted, invite, items, joining, listening, until};
use artel_tests::{Agent, Node};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What a home says to a visit; nothing where it never answers.
type Script = Box<dyn FnMut(&Visit) -> Option<Told> + Send>;

/// A member of a federation, with a stopped node's key and admission.
struct Strange {
    _runtime: Runtime,
    visits: Arc<Mutex<Vec<Visit>>>,
    script: Arc<Mutex<Script>>,
    key: SecretKey,
    origin: Origin,
}

impl Strange {
    /// Comes up as the node that has stopped on a directory, and dials another one.
    fn join(dir: &Path, other: &Node, script: impl FnMut(&Visit) -> Option<Told> + Send + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let key = data::read_key(&dir.join("node.key")).expect("the node's key");
        let origin = artel_audit::verify::directory(Arc::new(OsFiles::new(dir))).expect("a journal").origin;
        let chain = Admission::read(dir, None).expect("its admission").chain();
        let mut options = Options::new(origin.federation());
        options.hello =
            hello::say((&origin, &key), clock::wall(), vec![], chain, None).expect("within bounds").into();
        let address: Address = other.listening()[0].parse().expect("an address");
        let peer = NodeId(PublicKey::from_peer_id(other.peer_id()).expect("a peer id"));
        options.known = vec![(peer, vec![address])];
        let visits = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (heard, says) = (visits.clone(), script.clone());
        runtime.block_on(async {
            let Running { mesh, mut events, .. } = Mesh::start(&key, options).await.expect("a mesh");
            tokio::spawn(async move {
                let _mesh: Mesh = mesh;
                let mut unanswered = Vec::new();
                while let Some(event) = events.next().await {
                    match event {
                        Event::Hello { answer, .. } => {
                            let welcome = artel_protocol::hello::Welcome::accepted(Vec::new());
                            answer.send(true, welcome.to_frame().expect("a frame").into());
                        }
                        Event::Request { data, answer, .. } => {
                            let Ok(visit) = Visit::read(&data) else { continue };
                            let told = says.lock().unwrap_or_else(PoisonError::into_inner)(&visit);
                            heard.lock().unwrap_or_else(PoisonError::into_inner).push(visit);
                            match told {
                                Some(told) => answer.send(told.to_frame().into()),
                                None => unanswered.push(answer),
                            }
                        }
                        _ => {}
                    }
                }
            });
        });
        Strange { _runtime: runtime, visits, script, key, origin }
    }

    fn did(&self) -> String {
        self.key.public().did()
    }

    /// Says something else from now on.
    fn says(&self, script: impl FnMut(&Visit) -> Option<Told> + Send + 'static) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(script);
    }

    /// How many visits there were of a kind.
    fn count(&self, of: impl Fn(&Act) -> bool) -> usize {
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.iter().filter(|visit| of(&visit.act)).count()
    }

    /// What takes results in, and judges none.
    fn acknowledges(&self) -> impl FnMut(&Visit) -> Option<Told> + Send + use<> {
        let (hand, federation) = (Hand::new(&self.key), self.origin.federation());
        move |visit| {
            let Act::Submit(handing) = &visit.act else { return Some(Told::Nothing) };
            let opening = Opening {
                salt: handing.salt,
                output: handing.output.digest(),
                artifacts: handing.artifacts.clone(),
            };
            let receipt = Receipt {
                step: handing.step,
                epoch: handing.epoch,
                agent: visit.agent,
                result: opening.result(),
                opening,
                authority: Authority::Delegated,
                submitted: 7,
                submitted_at: clock::wall(),
                verdict: None,
                next: None,
            };
            let signature = acknowledge(&receipt, &hand, &federation);
            Some(Told::Submitted { receipt: Box::new(receipt), signature })
        }
    }
}

/// A node that others joined and left again, so that the test may come up in their place.
struct Place {
    dirs: Vec<TempDir>,
    node: Node,
}

impl Place {
    /// `others` post as many tasks as they are told to before they stop.
    fn start(others: &[usize]) -> Self {
        let dirs: Vec<TempDir> = (0..=others.len()).map(|_| fresh()).collect();
        let node = listening(&artel(), dirs[0].path()).set("log", "warn").start();
        let invitation = invite(&artel(), dirs[0].path(), others.len() as u32);
        for (dir, tasks) in dirs[1..].iter().zip(others) {
            let other = joining(&artel(), dir.path(), &invitation).set("log", "warn").start();
            until("it is admitted", || admitted(&other) == 1 && admitted(&node) == 1);
            for n in 0..*tasks {
                post(&mut other.operator(), &task(&format!("task {n}"), &["text"], 1));
            }
            let did = PublicKey::from_peer_id(other.peer_id()).expect("a peer id").did();
            until("its offers are heard", || {
                items(&node, "/v1/offers?limit=200")
                    .iter()
                    .filter(|offer| offer["home"] == did.as_str())
                    .count()
                    == *tasks
            });
            drop(other.stop());
            until("it is gone", || admitted(&node) == 0);
        }
        Place { dirs, node }
    }

    /// Comes up in the place of one of them.
    fn strange(&self, n: usize, script: impl FnMut(&Visit) -> Option<Told> + Send + 'static) -> Strange {
        let before = admitted(&self.node);
        let strange = Strange::join(self.dirs[n].path(), &self.node, script);
        until("the strange home is admitted", || admitted(&self.node) == before + 1);
        strange
    }

    /// The entries of a kind in the node's journal.
    fn entries(&self, kind: &str) -> Vec<Value> {
        items(&self.node, &format!("/v1/audit/entries?kind={kind}"))
    }
}

fn step(n: u8) -> StepId {
    RunId::new(clock::wall(), [n; 9]).step(0)
}

fn lease(step: StepId) -> Lease {
    Lease {
        step,
        run: step.run(),
        epoch: Epoch(1),
        expires: clock::wall().plus_ms(60_000),
        lease_ms: u32::MAX,
        index: 3,
        title: "a strange task".into(),
        description: "do as I say".into(),
        name: "task".into(),
        input: Json::new(*b"{}"),
        inputs: Json::new(*b"{}"),
        needs: vec![],
        artifacts: vec![],
        output_schema: None,
        runner: None,
        reward: Credits(1),
        deadline: clock::wall().plus_ms(600_000),
        verdict_within_ms: 600_000,
        skills: vec![],
    }
}

#[test]
fn an_answer_of_another_task_is_refused_and_not_written_down() {
    let place = Place::start(&[0]);
    let mut ada = Agent::delegate(&place.node, "ada", &["text"]);
    // A task of the node's own, which the agent holds: its step and epoch are public.
    let own = post(&mut place.node.operator(), &task("an honest task", &["text"], 2));
    assert_eq!(ada.claim(&own).is(200)["epoch"], 1);
    let (asked, other, mine) = (step(1), step(2), StepId::parse(&own).expect("an id"));
    let strange = place.strange(1, move |visit| match visit.act {
        Act::Claim(_) => Some(Told::Leased(Box::new(lease(other)))),
        Act::ClaimNext { .. } => Some(Told::Leased(Box::new(lease(mine)))),
        _ => Some(Told::Done),
    });
    let named = json!({"home": strange.did()});
    ada.http
        .send(&artel_tests::Request::post(&format!("/v1/tasks/{asked}/claim"), &named))
        .refused(502, "home_dishonest");
    ada.http.send(&artel_tests::Request::post("/v1/tasks/claim", &named)).refused(502, "home_dishonest");
    assert!(place.entries("Undertaken").is_empty(), "nothing of it stands in the journal");
    // What the agent hands in for its own node's task is that task's result and goes nowhere else.
    ada.submit(&own, 1, &json!({"honest": true})).is(200);
    assert_eq!(
        place.node.operator().get(&format!("/v1/tasks/{own}")).is(200)["output"],
        json!({"honest": true})
    );
    assert_eq!(strange.count(|act| matches!(act, Act::Submit(_))), 0);
    // An honest answer of the same home is taken, at a term that a home of ours may have.
    strange.says(move |_| Some(Told::Leased(Box::new(lease(asked)))));
    let won = ada.http.send(&artel_tests::Request::post(&format!("/v1/tasks/{asked}/claim"), &named)).is(200);
    assert_eq!((&won["task_id"], &won["lease_ms"]), (&json!(asked.to_string()), &json!(3_600_000)));
    assert_eq!(place.entries("Undertaken").len(), 1);
}

#[test]
fn a_result_that_home_refuses_for_now_waits_and_is_not_given_back() {
    let place = Place::start(&[0]);
    let mut ada = Agent::delegate(&place.node, "ada", &["text"]);
    let asked = step(1);
    let strange = place.strange(1, move |visit| match visit.act {
        Act::Submit(_) => Some(Told::refused("artifact_missing", "the disk is full; submit again")),
        _ => Some(Told::Leased(Box::new(lease(asked)))),
    });
    let id = asked.to_string();
    ada.http.post(&format!("/v1/tasks/{id}/claim"), &json!({"home": strange.did()})).is(200);
    let waits = ada.submit(&id, 1, &json!({"n": 1})).is(200);
    assert!(waits["handed_in"].is_number() && waits["acknowledgement"].is_null(), "{waits}");
    // Its lease is over, as everywhere where something was handed in; home hears nothing of it.
    for act in ["release", "renew"] {
        let request = artel_tests::Request::post(&format!("/v1/tasks/{id}/{act}"), &json!({"epoch": 1}));
        ada.http.send(&request).refused(409, "stale_epoch");
    }
    assert_eq!(strange.count(|act| matches!(act, Act::Release { .. } | Act::Renew { .. })), 0);
    strange.says(|_| Some(Told::refused("unavailable", "the journal cannot be written")));
    let again = ada.submit(&id, 1, &json!({"n": 1})).is(200);
    assert_eq!(
        (&again["handed_in"], &again["acknowledgement"]),
        (&waits["handed_in"], &json!(null)),
        "the same again"
    );
    let brought = strange.count(|act| matches!(act, Act::Submit(_)));
    until("it is brought again", || strange.count(|act| matches!(act, Act::Submit(_))) > brought);
    assert!(place.entries("LetGo").is_empty());
    strange.says(strange.acknowledges());
    until("home has it", || place.entries("Acknowledged").len() == 1);
}

/// Eight at once, each followed by the next one, and not eight every five seconds.
#[test]
fn results_that_waited_come_to_their_home_as_it_takes_them_in() {
    const RESULTS: u8 = 60;
    let place = Place::start(&[0]);
    let mut ada = Agent::delegate(&place.node, "ada", &["text"]);
    let strange = place.strange(1, |visit| match visit.act {
        Act::Claim(step) => Some(Told::Leased(Box::new(lease(step)))),
        _ => Some(Told::refused("unavailable", "the journal cannot be written")),
    });
    let steps: Vec<String> = (0..RESULTS).map(|n| step(n).to_string()).collect();
    for id in &steps {
        ada.http.post(&format!("/v1/tasks/{id}/claim"), &json!({"home": strange.did()})).is(200);
        assert!(ada.submit(id, 1, &json!({})).is(200)["acknowledgement"].is_null());
    }
    strange.says(strange.acknowledges());
    let started = Instant::now();
    let acknowledged = "/v1/audit/entries?kind=Acknowledged&limit=200";
    until("home has all of them", || items(&place.node, acknowledged).len() == steps.len());
    let took = started.elapsed();
    println!("{RESULTS} results were taken in after {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn homes_that_say_nothing_hold_up_neither_a_claim_nor_a_result() {
    // The silent ones offer the most.
    let place = Place::start(&[3, 3, 3, 1]);
    let mut ada = Agent::delegate(&place.node, "ada", &["text"]);
    let silent = [1, 2, 3].map(|n| place.strange(n, |_| None));
    let asked = step(1);
    let honest = place.strange(4, move |_| Some(Told::Leased(Box::new(lease(asked)))));
    let started = Instant::now();
    let won = ada.claim_next(20_000).is(200);
    let took = started.elapsed();
    assert_eq!((&won["task_id"], &won["home"]), (&json!(asked.to_string()), &json!(honest.did())));
    assert!(took < Duration::from_secs(8), "one silent home alone used to take ten seconds: {took:?}");
    assert!(silent.iter().any(|home| home.count(|act| matches!(act, Act::ClaimNext { .. })) == 1));
    honest.says(honest.acknowledges());
    let started = Instant::now();
    let body = json!({"epoch": 1, "output": {}, "claim_next": true});
    let done = ada.http.post(&format!("/v1/tasks/{asked}/submit"), &body).is(200);
    let took = started.elapsed();
    assert!(done["acknowledgement"].is_object() && done["next"].is_null(), "{done}");
    assert!(took < Duration::from_secs(8), "no silent home is asked in a submission: {took:?}");
    // Those that were asked once are left alone: a claim asks who has answered.
    until("they have had their time", || {
        let before: usize = silent.iter().map(|home| home.count(|_| true)).sum();
        let asked = honest.count(|act| matches!(act, Act::ClaimNext { .. }));
        assert_eq!(ada.claim_next(0).status, 204);
        let after: usize = silent.iter().map(|home| home.count(|_| true)).sum();
        before == after && honest.count(|act| matches!(act, Act::ClaimNext { .. })) > asked
    });
}
