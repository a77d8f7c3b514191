//! `kill -9` of the real process at random moments under load. Afterwards everything that was acknowledged is there, and
//! nothing is there twice: a post that is repeated under its key finds the task of the first time.

use crate::race::check_log;
use crate::{amount, artel, fresh};
use artel_tests::agent::{claim_next, submit, task};
use artel_tests::ledger::sums;
use artel_tests::{Agent, Client, Node, Request, all_pages};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How many threads keep the node busy. Six of them work, two post.
const WORKERS: usize = 6;
const POSTERS: usize = 2;

/// How many leases one agent may hold: one for each kill, at most.
const LEASES_MAX: u32 = 1_000;

/// The longest that a node runs before it is killed.
const LIFE: Duration = Duration::from_millis(400);

/// One thing that the node acknowledged, or may have done without saying so.
#[derive(Debug)]
enum Said {
    /// A post under this key was sent.
    Asked { key: String },
    /// It was answered with this task.
    Posted { key: String, task: String },
    /// An agent was told that it holds a task.
    Granted { task: String, epoch: u64, agent: String },
    /// An agent was told that its result is in, as this journal entry.
    Taken { task: String, epoch: u64, agent: String, entry: u64 },
    /// Bytes were stored.
    Stored { digest: String },
}

/// An agent, and the lease that it was told of and has not been able to hand in.
struct Worker {
    agent: Agent,
    held: Option<(String, u64)>,
}

/// All that was said in all the lives of the node.
#[derive(Default)]
struct Book {
    asked: BTreeSet<String>,
    posted: BTreeMap<String, String>,
    granted: BTreeMap<(String, u64), String>,
    taken: BTreeMap<String, (u64, String, u64)>,
    stored: BTreeSet<String>,
}

#[test]
fn a_node_killed_at_random_moments_under_load_forgets_nothing_and_doubles_nothing() {
    let kills = amount("ARTEL_TEST_KILLS", 10);
    let seed = amount("ARTEL_TEST_SEED", 20_261_121) as u64;
    println!("{kills} kills, seed {seed}; again with: ARTEL_TEST_KILLS={kills} ARTEL_TEST_SEED={seed}");
    let dir = fresh();
    let mut moments = Moments(seed);
    let mut book = Book::default();
    let mut workers: Vec<Worker> = Vec::new();
    for kill in 0..kills {
        let node = up(dir.path());
        if workers.is_empty() {
            workers = (0..WORKERS).map(|i| enroll(&node, i)).collect();
        }
        let said = live_and_die(node, &mut workers, kill, moments.next());
        let node = up(dir.path());
        check_life(&node, &said, &book);
        for one in said {
            book.note(one);
        }
        // Now and then the node stops as it should, so that both ends of a life follow each other.
        if kill % 3 == 2 {
            assert_eq!(node.stop().code, Some(0));
        } else {
            node.kill();
        }
    }
    let node = up(dir.path());
    check_all(&node, &book);
    let peer_id = node.ready()["peer_id"].as_str().expect("a peer id").to_owned();
    assert_eq!(node.stop().code, Some(0));
    check_log(dir.path(), &peer_id);
    println!(
        "{} posts, {} grants, {} results, {} artifacts were acknowledged",
        book.posted.len(),
        book.granted.len(),
        book.taken.len(),
        book.stored.len()
    );
    assert!(book.taken.len() > kills, "the node was hardly under load");
}

fn up(dir: &Path) -> Node {
    // Grants that nobody heard of stay in their agent's capacity until they lapse.
    artel().up(dir).set("log", "warn").set("leases_max", LEASES_MAX).start()
}

fn enroll(node: &Node, i: usize) -> Worker {
    let metadata = json!({"capabilities": ["load"], "capacity": LEASES_MAX});
    Worker { agent: Agent::enroll_at(node.address(), &format!("worker {i}"), &metadata), held: None }
}

/// Puts a node under load and kills it after a while; answers with what it said.
fn live_and_die(node: Node, workers: &mut [Worker], life: usize, moment: Duration) -> Vec<Said> {
    let address = node.address();
    let token = node.operator_token();
    let (sender, heard) = channel();
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in workers.iter_mut() {
            let (sender, begun) = (sender.clone(), &begun);
            worker.agent.http.move_to(address);
            scope.spawn(move || work(worker, &sender, begun));
        }
        for poster in 0..POSTERS {
            let (sender, begun, token) = (sender.clone(), &begun, &token);
            scope.spawn(move || post_on((address, token), (life, poster), &sender, begun));
        }
        drop(sender);
        let mut said = Vec::new();
        // Everybody has had an answer; then the moment is drawn.
        while begun.load(Ordering::Relaxed) < WORKERS + POSTERS {
            said.push(heard.recv_timeout(LIFE * 100).expect("the load begins"));
        }
        said.extend(drain(&heard, moment));
        node.kill();
        said.extend(heard.iter());
        said
    })
}

/// What is said until the moment has come.
fn drain(heard: &Receiver<Said>, moment: Duration) -> Vec<Said> {
    let end = Instant::now() + moment;
    let mut said = Vec::new();
    loop {
        match heard.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(one) => said.push(one),
            Err(RecvTimeoutError::Timeout) => return said,
            Err(RecvTimeoutError::Disconnected) => panic!("the load ended by itself"),
        }
    }
}

/// Hands in what is still held from the last life, then claims and hands in until the node is gone.
fn work(worker: &mut Worker, said: &Sender<Said>, begun: &AtomicUsize) {
    let mut turn = || -> io::Result<()> {
        if worker.held.is_none() {
            let answer = worker.agent.http.try_send(&claim_next(100))?;
            begun.fetch_add(1, Ordering::Relaxed);
            if answer.status != 200 {
                assert_eq!(answer.status, 204, "{answer:?}");
                return Ok(());
            }
            let lease = answer.json();
            let (task, epoch) = (
                lease["task_id"].as_str().expect("an id").to_owned(),
                lease["epoch"].as_u64().expect("an epoch"),
            );
            say(said, Said::Granted { task: task.clone(), epoch, agent: worker.agent.did.clone() });
            worker.held = Some((task, epoch));
        }
        let (task, epoch) = worker.held.clone().expect("just seen");
        let agent = worker.agent.did.clone();
        let answer = worker.agent.http.try_send(&submit(&task, epoch, &json!({"by": agent})))?.is(200);
        begun.fetch_add(1, Ordering::Relaxed);
        let entry = answer["acknowledgement"]["entry"].as_u64().expect("an entry");
        worker.held = None;
        say(said, Said::Taken { task, epoch, agent, entry });
        Ok(())
    };
    while turn().is_ok() {}
}

/// Posts tasks under keys, and artifacts, until the node is gone.
fn post_on(
    (address, token): (SocketAddr, &str),
    (life, poster): (usize, usize),
    said: &Sender<Said>,
    begun: &AtomicUsize,
) {
    let mut http = Client::new(address).with_bearer(token);
    for i in 0.. {
        let key = key(life, poster, i);
        say(said, Said::Asked { key: key.clone() });
        let Ok(answer) = http.try_send(&post_under(&key)) else { return };
        begun.fetch_add(1, Ordering::Relaxed);
        let task = answer.is(201)["task_id"].as_str().expect("an id").to_owned();
        say(said, Said::Posted { key: key.clone(), task });
        if i % 8 == 0 {
            let digest = artel_protocol::id::Digest::of(key.as_bytes()).to_string();
            let put = Request::new("PUT", &format!("/v1/artifacts/{digest}")).body(key.as_bytes());
            let Ok(answer) = http.try_send(&put) else { return };
            answer.is(201);
            say(said, Said::Stored { digest });
        }
    }
}

fn say(said: &Sender<Said>, one: Said) {
    said.send(one).expect("the test listens until all are done");
}

fn key(life: usize, poster: usize, i: usize) -> String {
    format!("life-{life}-poster-{poster}-post-{i}")
}

fn post_under(key: &str) -> Request {
    Request::post("/v1/tasks", &task(key, &["load"], 1)).header("idempotency-key", key)
}

/// What the last life said holds, and its posts are there once.
fn check_life(node: &Node, said: &[Said], book: &Book) {
    let mut operator = node.operator();
    let mut tasks: BTreeMap<String, Option<String>> = BTreeMap::new();
    for one in said {
        match one {
            Said::Asked { key } => {
                tasks.entry(key.clone()).or_default();
            }
            Said::Posted { key, task } => {
                tasks.insert(key.clone(), Some(task.clone()));
            }
            Said::Granted { task, epoch, agent } => {
                let now = operator.get(&format!("/v1/tasks/{task}")).is(200);
                assert_eq!(
                    (&now["epoch"], &now["assigned_agent_id"]),
                    (&json!(epoch), &json!(agent)),
                    "{now}"
                );
            }
            Said::Taken { task, epoch, agent, entry } => {
                let now = operator.get(&format!("/v1/tasks/{task}")).is(200);
                assert_eq!((&now["status"], &now["epoch"]), (&json!("accepted"), &json!(epoch)), "{now}");
                assert_eq!(now["assigned_agent_id"], *agent, "{now}");
                assert_eq!(now["submissions"][0]["entry"], *entry, "{now}");
            }
            Said::Stored { digest } => {
                let bytes = operator.get(&format!("/v1/artifacts/{digest}"));
                assert_eq!(artel_protocol::id::Digest::of(&bytes.body).to_string(), *digest);
            }
        }
    }
    for (key, task) in tasks {
        assert!(!book.asked.contains(&key), "keys are used in one life only");
        // The same post again: the task of the first time where there is one, which is known where it was answered.
        let again = operator.send(&post_under(&key)).is(201)["task_id"].as_str().expect("an id").to_owned();
        if let Some(task) = task {
            assert_eq!(again, task, "{key} was posted twice");
        }
    }
}

impl Book {
    fn note(&mut self, one: Said) {
        match one {
            Said::Asked { key } => {
                self.asked.insert(key);
            }
            Said::Posted { key, task } => {
                self.posted.insert(key, task);
            }
            Said::Granted { task, epoch, agent } => {
                let earlier = self.granted.insert((task, epoch), agent);
                assert_eq!(earlier, None, "one lease was granted twice");
            }
            Said::Taken { task, epoch, agent, entry } => {
                let earlier = self.taken.insert(task, (epoch, agent, entry));
                assert_eq!(earlier, None, "one task was taken in twice");
            }
            Said::Stored { digest } => {
                self.stored.insert(digest);
            }
        }
    }
}

/// All lives together: as many tasks as keys, each result where it was put, the ledger at zero.
fn check_all(node: &Node, book: &Book) {
    let mut operator = node.operator();
    let all = all_pages(&mut operator, "/v1/tasks?status=any");
    assert_eq!(all.len(), book.asked.len(), "each key has its one task");
    let titles: BTreeSet<&str> = all.iter().map(|task| task["title"].as_str().expect("a title")).collect();
    assert_eq!(titles, book.asked.iter().map(String::as_str).collect());
    let accepted = all.iter().filter(|task| task["status"] == "accepted").count() as i64;
    for (task, (epoch, agent, _)) in &book.taken {
        let now = all.iter().find(|one| one["task_id"] == **task).expect("it is there");
        assert_eq!(
            (&now["status"], &now["epoch"], &now["assigned_agent_id"]),
            (&json!("accepted"), &json!(epoch), &json!(agent))
        );
    }
    for (key, task) in &book.posted {
        assert!(all.iter().any(|one| one["task_id"] == **task && one["title"] == **key));
    }
    let totals = sums(&mut operator);
    assert!(totals.agents >= accepted * 1_000_000, "each accepted task was paid: {totals:?}");
    assert!(totals.agents <= accepted * 2_000_000, "none was paid twice: {totals:?}");
}

/// Moments that follow from a seed (xorshift64*), up to [`LIFE`].
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        LIFE.mul_f64(drawn as f64 / f64::from(u32::MAX))
    }
}
