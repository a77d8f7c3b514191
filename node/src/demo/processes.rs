//! The demo's processes: one node and its agents, each this same program started anew. They end when they are stopped,
//! when this process ends (their stdin ends with it), and when they are dropped.

use crate::data;
use anyhow::Context as _;
use artel_protocol::key::AgentId;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// How long the node may take to be ready. A cold disk and a busy machine take seconds, not a minute.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end after SIGTERM; then it is killed.
const END_WITHIN: Duration = Duration::from_secs(20);
/// The term of a lease in the demo, in milliseconds: short, so that a killed agent's work is soon another's.
const LEASE_MS: u32 = 3_000;
/// How often a step may lapse: on a machine that is busy with other things short leases lapse more often.
const LAPSES_MAX: u8 = 20;
/// The skill that the demo's tasks ask for.
pub const SKILL: &str = "artel.demo.survey";
/// What agents are called.
pub const NAMES: [&str; 16] = [
    "ada", "ben", "cleo", "dov", "eda", "finn", "gus", "hana", "ivo", "jun", "kai", "lea", "mio", "noa",
    "oli", "pia",
];

/// The line that a node prints when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// The node's peer id.
    pub peer_id: String,
    /// Where its API is.
    pub http_url: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Where the operator's token stands.
    pub operator_token_file: PathBuf,
    /// Its federation.
    pub federation_id: String,
}

/// A process that runs. Dropping it kills it.
pub struct Process {
    child: Child,
    name: String,
    /// Held open as long as the process may run; waiting for a child would close its stdin.
    _stdin: Option<ChildStdin>,
}

/// An agent.
pub struct Agent {
    /// Its name.
    pub name: &'static str,
    /// Who it is.
    pub id: AgentId,
    /// Its process.
    pub process: Process,
}

/// Starts the node in `base` and waits until it is ready.
///
/// # Errors
/// A sentence that names the log.
pub async fn start_node(base: &Path) -> anyhow::Result<(Process, Ready)> {
    let log = base.join("node.log");
    let data = base.join("node");
    let mut command = command(&log)?;
    command.arg("up").arg("--data").arg(&data).args(["--http", "127.0.0.1:0", "--json", "--end-with-stdin"]);
    for setting in [format!("lease_ms={LEASE_MS}"), format!("lapses_max={LAPSES_MAX}"), "log=info".into()] {
        command.args(["--set", &setting]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the node")?;
    let stdout = child.stdout.take().expect("stdout was asked for");
    let mut line = String::new();
    let read = tokio::time::timeout(READY_WITHIN, BufReader::new(stdout).read_line(&mut line)).await;
    let ready = match read {
        Ok(Ok(n)) if n > 0 => serde_json::from_str(&line)
            .context("the node's first line is not the one that says it is ready")?,
        Ok(_) => anyhow::bail!("the node ended before it was ready; see {}", log.display()),
        Err(_) => {
            anyhow::bail!("the node was not ready within {} s; see {}", READY_WITHIN.as_secs(), log.display())
        }
    };
    Ok((Process::new(child, "the node".into()), ready))
}

/// Starts an agent with a key of its own.
///
/// # Errors
/// A sentence that says what could not be done.
pub fn start_agent(base: &Path, name: &'static str, ready: &Ready) -> anyhow::Result<Agent> {
    let key = data::new_key();
    let file = base.join(format!("{name}.pem"));
    data::write_new_secret(&file, &key.to_pem())?;
    let mut command = command(&base.join(format!("{name}.log")))?;
    command.args([
        "work",
        "--node",
        &ready.http_url,
        "--name",
        name,
        "--capability",
        SKILL,
        "--end-with-stdin",
    ]);
    command.arg("--key").arg(&file).arg("--exec").arg(format!("{} demo-worker", quoted(&program()?)?));
    let child =
        command.stdout(Stdio::null()).spawn().with_context(|| format!("cannot start the agent {name}"))?;
    Ok(Agent { name, id: AgentId(key.public()), process: Process::new(child, format!("the agent {name}")) })
}

impl Process {
    fn new(mut child: Child, name: String) -> Self {
        Process { _stdin: child.stdin.take(), child, name }
    }

    /// Waits until the process ends by itself, which it should not.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("{} ended in the middle ({status})", self.name),
            Err(error) => anyhow::anyhow!("{} cannot be watched: {error}", self.name),
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the process in order; kills it when that takes too long.
    ///
    /// # Errors
    /// A sentence when it did not end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM);
        match tokio::time::timeout(END_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => anyhow::bail!("{} did not end well ({status})", self.name),
            Ok(Err(error)) => anyhow::bail!("{} cannot be ended: {error}", self.name),
            Err(_) => {
                anyhow::bail!("{} did not end within {} s and was killed", self.name, END_WITHIN.as_secs())
            }
        }
    }

    /// Sends a signal; a process that has ended gets none.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // It may end at this very moment.
            let _ = kill_process(pid, signal);
        }
    }
}

/// This program, with nothing of the caller's Artel settings, in a process group of its own: Ctrl-C is for us to handle.
fn command(log: &Path) -> anyhow::Result<Command> {
    let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(program()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ARTEL_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::piped()).stderr(log).process_group(0).kill_on_drop(true);
    Ok(command)
}

fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot tell where this program is")
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("this program's path is not UTF-8; install it elsewhere")?;
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word_of_a_shell() {
        let odd = "/tmp/it's a $(path)";
        let word = quoted(Path::new(odd)).expect("UTF-8");
        let out =
            std::process::Command::new("sh").args(["-c", &format!("printf %s {word}")]).output().expect("sh");
        assert_eq!(String::from_utf8_lossy(&out.stdout), odd);
    }
}
