//! Watching the demo's run until it is over, and making trouble in the middle of it where that was asked for.

use super::stage::Stage;
use crate::cli::progress::Progress;
use crate::cli::show;
use crate::cli::watch::{Event, Events, WAIT_MS, is_over};
use crate::client::{Client, escape};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a stopped agent is looked at until it holds a task, and the pause between.
const HOLDS_LOOKS: u32 = 20;
const HOLDS_PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether somebody is left to do the work.
const CHECK_PAUSE: Duration = Duration::from_millis(500);

/// What is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// An agent is killed while it holds a task.
    Agent,
    /// A node that is not the home is killed, with its agents.
    Node,
    /// The home is killed and started again.
    Home,
}

/// What was seen while the run went on.
#[derive(Default)]
pub struct Watched {
    /// Lapsed leases by agent.
    pub lapses: BTreeMap<String, u64>,
    /// The agent that was killed.
    pub killed: Option<&'static str>,
    /// The node that was killed.
    pub killed_node: Option<&'static str>,
    /// Whether the home was killed and started again.
    pub home_restarted: bool,
}

#[derive(Deserialize)]
struct Run {
    run_id: String,
    status: String,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Task {
    task_id: String,
    epoch: u32,
    assigned_agent_id: Option<String>,
}

/// Watches a run of `total` tasks until it is over.
///
/// # Errors
/// That it ended badly, or that nobody is left to do it.
pub async fn follow(
    stage: &mut Stage,
    (run, total): (&str, usize),
    progress: &mut Progress,
    mut trouble: Option<Trouble>,
) -> anyhow::Result<Watched> {
    let client = stage.home().client.clone();
    let mut events = Events::new(&client, format!("run_id={}", escape(run)), None);
    let (mut working, mut done) = (BTreeSet::new(), BTreeSet::new());
    let mut watched = Watched::default();
    progress.update(0, "");
    loop {
        let items = next(stage, &mut events).await?;
        if items.is_empty() {
            check_run(&client, run).await?;
        }
        for item in items {
            let event: Event = client.read(item.get())?;
            let step = event.step_id.clone().unwrap_or_default();
            match event.event_name.as_str() {
                "xyn.task.claimed" => drop(working.insert(step)),
                "xyn.task.accepted" => {
                    working.remove(&step);
                    done.insert(step);
                }
                "xyn.task.lapsed" => {
                    working.remove(&step);
                    let agent = agent_of(&event);
                    let name = stage.cast.iter().find(|member| member.did == agent);
                    let name = name.map_or("a stranger", |member| member.name);
                    progress.note(&format!("a lease of {name} lapsed; another agent takes the task"));
                    *watched.lapses.entry(agent).or_default() += 1;
                }
                "xyn.task.released" | "xyn.task.rejected" => drop(working.remove(&step)),
                "xyn.run.completed" => {
                    progress.update(total as u64, "");
                    return Ok(watched);
                }
                "xyn.run.failed" | "xyn.run.cancelled" => check_run(&client, run).await?,
                _ => {}
            }
            if trouble.is_some_and(|trouble| is_its_moment(stage, trouble, &event, (done.len(), total))) {
                let trouble = trouble.take().expect("it was just there");
                make(stage, trouble, (run, &event), &mut watched, progress).await?;
            }
        }
        progress.update(done.len() as u64, &format!("{} in work", working.len()));
    }
}

/// The next events; fails where nobody is left who could bring them.
async fn next(stage: &mut Stage, events: &mut Events<'_>) -> anyhow::Result<Vec<Box<RawValue>>> {
    let next = events.next_patiently(WAIT_MS);
    tokio::pin!(next);
    loop {
        tokio::select! {
            items = &mut next => return Ok(items?),
            error = stage.home_ended() => return Err(error),
            () = tokio::time::sleep(CHECK_PAUSE) => stage.check_agents()?,
        }
    }
}

fn agent_of(event: &Event) -> String {
    event.data["agent_id"].as_str().unwrap_or_default().to_owned()
}

/// Fails when the run ended badly.
async fn check_run(client: &Client, run: &str) -> anyhow::Result<()> {
    let run: Run = client.get(&format!("/v1/runs/{run}")).await?;
    if is_over(&run.status) && run.status != "completed" {
        let why = run.error.map(|e| e["message"].to_string()).unwrap_or_default();
        anyhow::bail!("the run {} ended as {} {}", run.run_id, run.status, show::plain(&why));
    }
    Ok(())
}

/// Whether this is the middle of the work: for an agent and a node a moment at which one of theirs gets a task.
fn is_its_moment(stage: &Stage, trouble: Trouble, event: &Event, (done, total): (usize, usize)) -> bool {
    let claims = |elsewhere: bool| {
        let agent = agent_of(event);
        let known = stage.agents.iter().find(|known| known.id.to_string() == agent);
        event.event_name == "xyn.task.claimed" && known.is_some_and(|known| !elsewhere || known.node > 0)
    };
    match trouble {
        Trouble::Agent => claims(false),
        // Where the home's own agents are faster than all others, at half of the work.
        Trouble::Node => done * 4 >= total && claims(true) || done * 2 >= total,
        Trouble::Home => done * 4 >= total,
    }
}

async fn make(
    stage: &mut Stage,
    trouble: Trouble,
    (run, event): (&str, &Event),
    watched: &mut Watched,
    progress: &Progress,
) -> anyhow::Result<()> {
    match trouble {
        Trouble::Agent => {
            watched.killed = Some(kill_agent(stage, run, &agent_of(event)).await?);
            progress.note("one agent was killed in the middle of its work");
        }
        Trouble::Node => {
            let agent = agent_of(event);
            let known = stage.agents.iter().find(|known| known.id.to_string() == agent && known.node > 0);
            let at = known.map_or(stage.nodes.len() - 1, |known| known.node);
            if at == 0 {
                anyhow::bail!("there is no node but the home; start more with --nodes");
            }
            stage.kill_node(at).await?;
            watched.killed_node = Some(stage.nodes[at].name);
            progress.note(&format!("{} was killed in the middle, with its agents", stage.nodes[at].name));
        }
        Trouble::Home => {
            stage.restart_home().await?;
            watched.home_restarted = true;
            progress.note("the home was killed in the middle and started again");
        }
    }
    Ok(())
}

/// Kills an agent that holds a task: stops it first, so that it cannot hand the task in between the look and the kill.
async fn kill_agent(stage: &mut Stage, run: &str, first: &str) -> anyhow::Result<&'static str> {
    stage.agents.sort_by_key(|agent| agent.id.to_string() != first);
    let client = stage.home().client.clone();
    for at in 0..stage.agents.len() {
        let agent = &stage.agents[at];
        agent.process.signal(Signal::STOP);
        if holds(&client, run, &agent.id.to_string()).await? {
            let agent = stage.agents.remove(at);
            let name = agent.name;
            agent.process.kill().await?;
            return Ok(name);
        }
        agent.process.signal(Signal::CONT);
    }
    anyhow::bail!("no agent held a task when one was to be killed; survey a larger directory");
}

/// Whether a stopped agent holds one task at two looks: what it had sent before it was stopped has arrived by then.
async fn holds(client: &Client, run: &str, did: &str) -> anyhow::Result<bool> {
    let mut before = None;
    for _ in 0..HOLDS_LOOKS {
        let tasks: Vec<Task> =
            client.get_all(&format!("/v1/tasks?status=claimed&run_id={run}"), usize::MAX).await?;
        let held = tasks
            .into_iter()
            .find(|t| t.assigned_agent_id.as_deref() == Some(did))
            .map(|t| (t.task_id, t.epoch));
        if held.is_some() && held == before {
            return Ok(true);
        }
        before = held;
        tokio::time::sleep(HOLDS_PAUSE).await;
    }
    Ok(false)
}
