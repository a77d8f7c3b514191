//! Work for a node: posters, workers and the one who waits for results, each with connections of its own. A queue is a
//! skill of its own: only the queue's workers have it.

use super::measure::PAYLOAD_BYTES;
use super::node::Node;
use super::socket::{Said, Socket};
use super::wire::Line;
use crate::data;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long a claim and a look for events wait at the node, in milliseconds; below its own limit.
const WAIT_MS: u32 = 25_000;
/// The steps of a run that is posted to fill a queue: the most that a run may have.
const RUN_STEPS: u64 = 200;
/// How many events one look brings, the most that there may be on a page.
const PAGE: u32 = 200;
/// How many results may wait to be counted; beyond it the one who looks for them waits.
const RESULTS_MAX: usize = 4_096;

/// A queue of tasks.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    /// The skill that its tasks ask for.
    pub skill: Arc<str>,
    /// What a task pays, in credits.
    pub reward: u32,
}

impl Queue {
    fn task(&self, title: &str) -> String {
        let (skill, reward, payload) = (&self.skill, self.reward, ".".repeat(PAYLOAD_BYTES));
        format!(
            r#"{{"title":"{title}","requirements":{{"capabilities":["{skill}"]}},"reward":{reward},"input":{{"p":"{payload}"}}}}"#
        )
    }

    fn run(&self, titles: impl Iterator<Item = String>) -> String {
        let steps: Vec<String> =
            titles.map(|title| format!(r#"{{"name":"{title}","task":{}}}"#, self.task(&title))).collect();
        format!(r#"{{"name":"{}","steps":[{}]}}"#, self.skill, steps.join(","))
    }
}

#[derive(Deserialize)]
struct Challenge {
    enrollment_id: String,
    challenge: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

/// Enrolls an agent with a key of its own, which lets its node act for it elsewhere where it delegates; answers with its
/// connection.
///
/// # Errors
/// What the node or the socket says.
pub(super) async fn enroll(address: SocketAddr, skill: &str, delegate: bool) -> anyhow::Result<Line> {
    Line::connect(address, Some(&token(address, skill, delegate).await?)).await
}

/// Enrolls such an agent; answers with its token.
async fn token(address: SocketAddr, skill: &str, delegate: bool) -> anyhow::Result<String> {
    let key = data::new_key();
    let mut line = Line::connect(address, None).await?;
    // As many leases as the operator gives: a racer that wins much must not be out of the race.
    let metadata = json!({"capabilities": [skill], "capacity": u32::MAX});
    let ask = json!({"agent_name": "bench", "public_key": key.public().did(), "metadata": metadata, "delegate": delegate});
    let status = line.post("/v1/enroll", &ask.to_string()).await?;
    let asked: Challenge = line.read(status, 201)?;
    let signature = URL_SAFE_NO_PAD.encode(key.sign(asked.challenge.as_bytes()).0);
    let path = format!("/v1/enroll/{}/respond", asked.enrollment_id);
    let status = line.post(&path, &json!({"signature": signature}).to_string()).await?;
    let answer: Token = line.read(status, 200)?;
    Ok(answer.token)
}

/// Enrolls agents for a queue, each with up to `slots` of `count` tasks in hand; answers with a socket of each.
///
/// # Errors
/// What the node or a socket says.
pub(super) async fn sockets(
    node: &Node,
    queue: &Queue,
    (count, slots): (u64, u64),
    delegate: bool,
) -> anyhow::Result<Vec<(Socket, u64)>> {
    let (mut sockets, mut left) = (Vec::new(), count);
    while left > 0 {
        let slots = slots.min(left);
        let token = token(node.address, &queue.skill, delegate).await?;
        sockets.push((Socket::connect(node.address, &token).await?, slots));
        left -= slots;
    }
    Ok(sockets)
}

/// Enrolls `count` agents for a queue; answers with their connections.
///
/// # Errors
/// What the node or a socket says.
pub(super) async fn enroll_all(
    node: &Node,
    queue: &Queue,
    count: u64,
    delegate: bool,
) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for _ in 0..count {
        lines.push(enroll(node.address, &queue.skill, delegate).await?);
    }
    Ok(lines)
}

/// Posts `count` lone tasks, `in_flight` at a time; answers when the last one is acknowledged.
///
/// # Errors
/// What the node or a socket says.
pub(super) async fn post(node: &Node, queue: &Queue, count: u64, in_flight: u64) -> anyhow::Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut posters = JoinSet::new();
    for _ in 0..in_flight.min(count) {
        let (mut line, queue, next) = (node.line().await?, queue.clone(), next.clone());
        posters.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                post_one(&mut line, &queue, number).await?;
            }
        });
    }
    all(posters).await
}

/// The same on one socket: all that were answered together make room for as many, which go out together.
///
/// # Errors
/// What the node or the socket says.
pub(super) async fn post_on_a_socket(
    node: &Node,
    queue: &Queue,
    count: u64,
    in_flight: u64,
) -> anyhow::Result<()> {
    let mut socket = Socket::connect(node.address, &node.token).await?;
    let (mut posted, mut answered) = (0, 0);
    while answered < count {
        while posted < count.min(answered + in_flight) {
            let task = queue.task(&format!("t{posted}"));
            socket.say(&format!(r#"{{"type":"post","id":{posted},"data":{task}}}"#));
            posted += 1;
        }
        socket.send().await?;
        loop {
            socket.next::<IgnoredAny>().await?.wanted(201)?;
            answered += 1;
            if !socket.has_more() {
                break;
            }
        }
    }
    Ok(())
}

/// Posts one task.
///
/// # Errors
/// What the node or the socket says.
pub(super) async fn post_one(line: &mut Line, queue: &Queue, number: u64) -> anyhow::Result<()> {
    let status = line.post("/v1/tasks", &queue.task(&format!("t{number}"))).await?;
    line.read::<IgnoredAny>(status, 201).map(drop)
}

#[derive(Deserialize)]
struct Run {
    run_id: String,
}

#[derive(Deserialize)]
struct Steps {
    items: Vec<Step>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Step {
    step_id: String,
}

/// Posts `count` tasks in runs of as many steps as a run may have; answers with the runs' ids.
///
/// # Errors
/// What the node or a socket says.
pub(super) async fn post_in_runs(node: &Node, queue: &Queue, count: u64) -> anyhow::Result<Vec<String>> {
    /// Enough that runs share syncs; each is sixty kilobytes.
    const RUNS_IN_FLIGHT: u64 = 8;
    let next = Arc::new(AtomicU64::new(0));
    let mut posters: JoinSet<anyhow::Result<Vec<String>>> = JoinSet::new();
    for _ in 0..RUNS_IN_FLIGHT {
        let (mut line, queue, next) = (node.line().await?, queue.clone(), next.clone());
        posters.spawn(async move {
            let mut runs = Vec::new();
            loop {
                let from = next.fetch_add(RUN_STEPS, Ordering::Relaxed);
                if from >= count {
                    return Ok(runs);
                }
                let titles = (from..count.min(from + RUN_STEPS)).map(|number| format!("b{number}"));
                let status = line.post("/v1/runs", &queue.run(titles)).await?;
                runs.push(line.read::<Run>(status, 201)?.run_id);
            }
        });
    }
    let mut runs = Vec::new();
    while let Some(done) = posters.join_next().await {
        runs.extend(done??);
    }
    Ok(runs)
}

/// The ids of all tasks of these runs.
///
/// # Errors
/// What the node or the socket says.
pub(super) async fn tasks_of(node: &Node, runs: &[String]) -> anyhow::Result<Vec<String>> {
    let mut line = node.line().await?;
    let mut tasks = Vec::new();
    for run in runs {
        let mut cursor = String::new();
        loop {
            let status = line.get(&format!("/v1/runs/{run}/steps?limit=200{cursor}")).await?;
            let page: Steps = line.read(status, 200)?;
            tasks.extend(page.items.into_iter().map(|step| step.step_id));
            let Some(next) = page.next_cursor else { break };
            cursor = format!("&cursor={next}");
        }
    }
    Ok(tasks)
}

#[derive(Deserialize)]
struct Lease {
    task_id: String,
    title: String,
    epoch: u32,
}

#[derive(Deserialize)]
struct Submitted {
    next: Option<Lease>,
}

/// Workers that work until they are stopped.
pub(super) struct Workers {
    tasks: JoinSet<anyhow::Result<()>>,
    claims: mpsc::Receiver<Claim>,
}

/// How many claims wait to be counted, each a few dozen bytes: as many as a bench may post tasks. One more is not counted.
const CLAIMS_MAX: usize = 1_000_000;

/// One claim that a worker won.
pub(super) struct Claim {
    /// The task's title.
    pub title: String,
    /// When the worker had it.
    pub at: Instant,
}

impl Workers {
    /// Sets agents to work, each on its connection.
    pub fn start(lines: Vec<Line>) -> Workers {
        let (sender, claims) = mpsc::channel(CLAIMS_MAX);
        let mut tasks = JoinSet::new();
        for line in lines {
            tasks.spawn(work(line, sender.clone()));
        }
        Workers { tasks, claims }
    }

    /// The same, each on its socket and with so many tasks in hand.
    pub fn start_on_sockets(sockets: Vec<(Socket, u64)>) -> Workers {
        let (sender, claims) = mpsc::channel(CLAIMS_MAX);
        let mut tasks = JoinSet::new();
        for (socket, slots) in sockets {
            tasks.spawn(work_on_a_socket(socket, slots, sender.clone()));
        }
        Workers { tasks, claims }
    }

    /// The next claim that was won.
    pub async fn claim(&mut self) -> Option<Claim> {
        self.claims.recv().await
    }

    /// Stops them; answers with the titles of all that they claimed and that nobody has asked for.
    ///
    /// # Errors
    /// What ended a worker before.
    pub async fn stop(mut self) -> anyhow::Result<Vec<String>> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended??;
        }
        self.tasks.shutdown().await;
        let mut titles = Vec::new();
        while let Some(claim) = self.claims.recv().await {
            titles.push(claim.title);
        }
        Ok(titles)
    }
}

/// Claims once, then asks for the next task with each result.
async fn work(mut line: Line, claims: mpsc::Sender<Claim>) -> anyhow::Result<()> {
    let mut lease: Option<Lease> = None;
    loop {
        let Some(Lease { task_id, title, epoch }) = lease.take() else {
            let status = line.post("/v1/tasks/claim", &format!(r#"{{"wait_ms":{WAIT_MS}}}"#)).await?;
            lease = if status == 204 { None } else { Some(line.read(status, 200)?) };
            continue;
        };
        let body = format!(
            r#"{{"epoch":{epoch},"output":{{"id":"{title}"}},"claim_next":{{"wait_ms":{WAIT_MS}}}}}"#
        );
        // Whoever counts claims may have counted enough.
        let _ = claims.try_send(Claim { title, at: Instant::now() });
        let status = line.post(&format!("/v1/tasks/{task_id}/submit"), &body).await?;
        lease = line.read::<Submitted>(status, 200)?.next;
    }
}

/// The same on a socket, with several tasks in hand: what is ready together goes out together.
async fn work_on_a_socket(mut socket: Socket, slots: u64, claims: mpsc::Sender<Claim>) -> anyhow::Result<()> {
    let claim = |slot| format!(r#"{{"type":"claim_next","id":{slot},"data":{{"wait_ms":{WAIT_MS}}}}}"#);
    (0..slots).for_each(|slot| socket.say(&claim(slot)));
    loop {
        if !socket.has_more() {
            socket.send().await?;
        }
        let Said { id, status, data, kind } = socket.next::<Won>().await?;
        let Some(slot) = id else { anyhow::bail!("the node said {kind:?}, no answer") };
        let lease = match (status, data) {
            (Some(204), _) => None,
            (Some(200), Some(Won::Lease(lease) | Won::Submitted(Submitted { next: Some(lease) }))) => {
                Some(lease)
            }
            (Some(200), Some(Won::Submitted(Submitted { next: None }))) => None,
            (status, _) => anyhow::bail!("the node said {kind:?} with {status:?}"),
        };
        let Some(Lease { task_id, title, epoch }) = lease else {
            socket.say(&claim(slot));
            continue;
        };
        socket.say(&format!(
            r#"{{"type":"submit","id":{slot},"task_id":"{task_id}","data":{{"epoch":{epoch},"output":{{"id":"{title}"}},"acknowledge":"logged","claim_next":{{"wait_ms":{WAIT_MS}}}}}}}"#
        ));
        // Whoever counts claims may have counted enough.
        let _ = claims.try_send(Claim { title, at: Instant::now() });
    }
}

/// What a claim and a submission are answered with.
#[derive(Deserialize)]
#[serde(untagged)]
enum Won {
    Lease(Lease),
    Submitted(Submitted),
}

#[derive(Deserialize)]
struct Events {
    items: Vec<Event>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    data: Accepted,
}

#[derive(Deserialize)]
struct Accepted {
    task_id: String,
    output: Option<IgnoredAny>,
}

/// Whoever waits for results: it hears of them by one look that waits, and has each one's output before it counts it.
pub(super) struct Results {
    task: JoinSet<anyhow::Result<()>>,
    seen: mpsc::Receiver<()>,
}

impl Results {
    /// Looks for results from now on.
    ///
    /// # Errors
    /// What the node or the socket says.
    pub async fn watch(node: &Node) -> anyhow::Result<Results> {
        let (mut news, fetch) = (node.line().await?, node.line().await?);
        let after = last_entry(&mut news).await?;
        let (sender, seen) = mpsc::channel(RESULTS_MAX);
        let mut task = JoinSet::new();
        task.spawn(look(news, fetch, after, sender));
        Ok(Results { task, seen })
    }

    /// The same on a socket.
    ///
    /// # Errors
    /// What the node or the socket says.
    pub async fn watch_on_a_socket(node: &Node) -> anyhow::Result<Results> {
        let (mut news, fetch) = (Socket::connect(node.address, &node.token).await?, node.line().await?);
        news.say(&format!(
            r#"{{"type":"subscribe","id":0,"data":{{"after":"now","event_name":"xyn.task.accepted","limit":{PAGE}}}}}"#
        ));
        news.next::<IgnoredAny>().await?.wanted(200)?;
        let (sender, seen) = mpsc::channel(RESULTS_MAX);
        let mut task = JoinSet::new();
        task.spawn(hear(news, fetch, sender));
        Ok(Results { task, seen })
    }

    /// Waits for so many results.
    ///
    /// # Errors
    /// What ended the look for them, or that they did not come in time.
    pub async fn wait(&mut self, count: u64, within: Duration) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        for had in 0..count {
            match tokio::time::timeout_at(deadline, self.seen.recv()).await {
                Ok(Some(())) => {}
                Ok(None) => {
                    if let Some(ended) = self.task.join_next().await {
                        ended??;
                    }
                    anyhow::bail!("nobody looks for results any more");
                }
                Err(_) => anyhow::bail!("only {had} of {count} results came within {} s", within.as_secs()),
            }
        }
        Ok(())
    }
}

async fn look(
    mut news: Line,
    mut fetch: Line,
    mut after: String,
    seen: mpsc::Sender<()>,
) -> anyhow::Result<()> {
    loop {
        let path =
            format!("/v1/events?event_name=xyn.task.accepted&limit={PAGE}&wait_ms={WAIT_MS}&after={after}");
        let status = news.get(&path).await?;
        let page: Events = news.read(status, 200)?;
        after = page.next_cursor.unwrap_or(after);
        for event in page.items {
            count(event, &mut fetch).await?;
            if seen.send(()).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// A result counts once its output is here.
async fn count(event: Event, fetch: &mut Line) -> anyhow::Result<()> {
    let Event { data: Accepted { task_id, output } } = event;
    if output.is_none() {
        let status = fetch.get(&format!("/v1/tasks/{task_id}")).await?;
        fetch.read::<IgnoredAny>(status, 200)?;
    }
    Ok(())
}

async fn hear(mut news: Socket, mut fetch: Line, seen: mpsc::Sender<()>) -> anyhow::Result<()> {
    loop {
        let said: Said<Event> = news.next().await?;
        let Some(event) = said.data else { anyhow::bail!("the node said {:?}, not an event", said.kind) };
        count(event, &mut fetch).await?;
        if seen.send(()).await.is_err() {
            return Ok(());
        }
    }
}

/// How many entries the node's journal has.
///
/// # Errors
/// What the node or the socket says.
pub(super) async fn entries(line: &mut Line) -> anyhow::Result<u64> {
    Ok(last_entry(line).await?.parse::<u64>().map_or(0, |last| last + 1))
}

/// The cursor behind everything that has happened. What happens meanwhile may stand on its page and is passed over.
async fn last_entry(line: &mut Line) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Place {
        next_cursor: Option<String>,
    }
    let status = line.get("/v1/events?after=now").await?;
    Ok(line.read::<Place>(status, 200)?.next_cursor.unwrap_or_default())
}

async fn all(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_is_what_the_node_reads() {
        let queue = Queue { skill: "bench".into(), reward: 1 };
        let task: artel_web::types::task::TaskPost = serde_json::from_str(&queue.task("t1")).expect("a task");
        assert_eq!((task.title.as_str(), task.input.bytes().len()), ("t1", PAYLOAD_BYTES + 8));
        let run = queue.run((0..3).map(|n| format!("b{n}")));
        let run: artel_web::types::run::RunPost = serde_json::from_str(&run).expect("a run");
        assert_eq!(run.steps.len(), 3);
    }
}
