//! `artel work`: a worker that claims what its agent qualifies for and has it done: by a command, which runs on the agent's own
//! machine, at its own risk, with its agent's token in its environment; or, without a command, in this program's sandbox.

mod command;
mod sandbox;
mod session;
mod slot;

use super::agent::About;
use super::context::Context;
use super::{show, up};
use artel_protocol::key::NodeId;
use artel_protocol::log::SignedCheckpoint;
use clap::Args;
use sandbox::{Rules, Sandbox};
use serde_json::{Value, json};
use session::Session;
use slot::{Doer, Slot};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Where compiled code is kept in a data directory. It can always be deleted.
const CODE_DIR: &str = "code";

/// Claim tasks, do them in a sandbox or have a command do them, hand in what comes of it.
#[derive(Args, Debug)]
pub struct Work {
    /// The command, run by sh -c for each task. Without one, tasks with a runner are run in the sandbox, others given back.
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    about: About,
    /// Let the node take tasks of other homes for the agent, too: CMD then gets what strangers ask.
    #[arg(long, requires = "exec")]
    delegate: bool,
    /// Let the node take no tasks of other homes for the agent; those that run in the sandbox it takes unless this says no.
    #[arg(long, conflicts_with = "exec")]
    no_delegate: bool,
    /// How many tasks to do at once.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    slots: u32,
    /// Do one task, then end; fails when the command failed or its result was rejected.
    #[arg(long)]
    once: bool,
    /// For how many seconds commands may go on after SIGTERM or Ctrl-C; then their tasks are given back.
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    grace: u64,
    /// Stop when stdin ends, so that a parent's death is noticed.
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

/// When to stop: first no more claims, then no more commands.
#[derive(Clone, Default)]
pub(super) struct Stop {
    /// No further task is claimed.
    pub soft: CancellationToken,
    /// Running commands are ended and their tasks given back.
    pub hard: CancellationToken,
}

/// Where a worker says what it does.
#[derive(Clone, Copy)]
pub(super) struct Tell {
    json: bool,
}

impl Tell {
    /// Tells of one event: JSON on stdout for programs, a line on stderr for people. A closed pipe stops no work.
    pub fn event(&self, name: &str, about: Value, text: &str) {
        if self.json {
            let mut event = json!({"event": name});
            if let (Some(event), Value::Object(about)) = (event.as_object_mut(), about) {
                event.extend(about);
            }
            let _ = show::line(&event.to_string());
        } else {
            show::note(&show::plain(text));
        }
    }
}

impl Work {
    /// Whether the agent lets its node act for it elsewhere: what strangers ask runs behind walls, or where somebody said so.
    fn delegates(&self) -> bool {
        if self.exec.is_some() { self.delegate } else { !self.no_delegate }
    }

    /// Works until it is told to stop.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let policy = self.rules.policy()?;
        let (stop, tell) = (Stop::default(), Tell { json: context.show.json });
        let listening = tokio::spawn(listen(stop.clone(), Duration::from_secs(self.grace)));
        if self.end_with_stdin {
            up::end_with_stdin();
        }
        let session = Session::new(context, self.about.profile(self.delegates()), tell)?;
        tokio::select! {
            started = session.start() => started?,
            () = stop.soft.cancelled() => return Ok(()),
        }
        let session = Arc::new(session);
        let slots = if self.once { 1 } else { self.slots };
        let doer = match self.exec {
            Some(command) => Doer::Command(command),
            None => {
                let cache = context.data().map(|data| data.join(CODE_DIR));
                let home = home(context).await?;
                let starting = Sandbox::start(policy, slots, cache, home);
                let sandbox = tokio::select! {
                    // Ctrl-C at a terminal ends the sandbox's processes, too.
                    biased;
                    () = stop.soft.cancelled() => return Ok(()),
                    started = starting => started?,
                };
                if let Some(home) = sandbox.only_home() {
                    let text = format!(
                        "runs what {home} offers and nothing else; for tasks of other homes say --allow any"
                    );
                    tell.event("policy", json!({"home": home.to_string()}), &text);
                }
                Doer::Sandbox(Arc::new(sandbox))
            }
        };
        tell.event("waiting", json!({"slots": slots}), "waits for tasks; Ctrl-C ends it");
        let mut running = JoinSet::new();
        for _ in 0..slots {
            let slot = Slot::new(session.clone(), stop.clone(), tell, doer.clone());
            let once = self.once;
            running.spawn(async move { if once { slot.run_once().await } else { slot.run().await } });
        }
        let mut result = Ok(());
        while let Some(ended) = running.join_next().await {
            let ended = ended.unwrap_or_else(|e| Err(anyhow::anyhow!("a worker's slot broke down: {e}")));
            if ended.is_err() {
                // What stops one slot stops all: the node will have none of this agent.
                stop.soft.cancel();
                result = result.and(ended);
            }
        }
        listening.abort();
        result
    }
}

/// The node that is worked for, as its checkpoint says.
async fn home(context: &Context) -> anyhow::Result<NodeId> {
    let note = context.anonymous()?.get_text("/log/checkpoint").await?;
    let checkpoint = SignedCheckpoint::parse(&note)
        .map_err(|e| anyhow::anyhow!("the node's checkpoint does not verify: {e}"))?;
    Ok(checkpoint.origin().node())
}

/// Turns signals into a stop: the first one lets commands finish for a while, the second one does not.
async fn listen(stop: Stop, grace: Duration) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut once = async || tokio::select! { _ = term.recv() => (), _ = int.recv() => () };
    once().await;
    stop.soft.cancel();
    tokio::select! {
        () = tokio::time::sleep(grace) => (),
        () = once() => (),
    }
    stop.hard.cancel();
}
