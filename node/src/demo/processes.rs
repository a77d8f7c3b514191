//! The demo's processes: nodes and their agents, each this same program started anew. They end when they are stopped, when
//! this process ends (their stdin ends with it), and when they are dropped.

use crate::cli::DEMO_WORKER;
use crate::data;
use anyhow::Context as _;
use artel_protocol::key::AgentId;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a node may take to be ready. A cold disk and a busy machine take seconds, not a minute.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end after SIGTERM; then it is killed.
const END_WITHIN: Duration = Duration::from_secs(20);
/// The term of a lease in the demo, in milliseconds: short, so that a killed agent's work is soon another's.
const LEASE_MS: u32 = 3_000;
/// How often a step may lapse: on a machine that is busy with other things short leases lapse more often.
const LAPSES_MAX: u8 = 20;
/// The skill that the surveys ask for.
pub const SURVEY_SKILL: &str = "artel.demo.survey";
/// The skill that the merge asks for.
pub const MERGE_SKILL: &str = "artel.demo.merge";

/// The line that a node prints when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// The node's peer id.
    pub peer_id: String,
    /// Where its mesh listens.
    pub listen_addrs: Vec<String>,
    /// Where its API is.
    pub http_url: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Where the operator's token stands.
    pub operator_token_file: PathBuf,
    /// Its federation.
    pub federation_id: String,
}

/// How a node is to be started.
pub struct Up<'a> {
    /// Its name, which its directory and its log have, too.
    pub name: &'a str,
    /// Where its API listens.
    pub http: &'a str,
    /// Where its mesh listens.
    pub listen: &'a [String],
    /// The file with the invitation by which it joins.
    pub join: Option<&'a Path>,
}

/// A node that is on its way.
pub struct Starting {
    process: Process,
    stdout: ChildStdout,
}

/// A process that runs. Dropping it kills it.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    /// Held open as long as the process may run; waiting for a child would close its stdin.
    _stdin: Option<ChildStdin>,
}

/// What an agent does.
#[derive(Clone, Copy)]
pub enum Does<'a> {
    /// It runs surveys in its sandbox, as far as this rule allows.
    Survey {
        /// A rule of `artel work --allow`.
        allow: &'a str,
    },
    /// It merges, by a command.
    Merge,
}

/// Starts a node in `base`.
///
/// # Errors
/// A sentence that says why it cannot be started.
pub fn start_node(base: &Path, up: &Up<'_>) -> anyhow::Result<Starting> {
    let log = base.join(format!("{}.log", up.name));
    let mut command = command(&log)?;
    command.arg("up").arg("--data").arg(base.join(up.name));
    command.args(["--http", up.http, "--json", "--end-with-stdin"]);
    for address in up.listen {
        command.args(["--listen", address]);
    }
    if let Some(file) = up.join {
        let file = file.to_str().context("the directory for temporary files has no name in UTF-8")?;
        command.arg("--join").arg(format!("@{file}"));
    }
    for setting in [format!("lease_ms={LEASE_MS}"), format!("lapses_max={LAPSES_MAX}"), "log=info".into()] {
        command.args(["--set", &setting]);
    }
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", up.name))?;
    let stdout = child.stdout.take().expect("stdout was asked for");
    Ok(Starting { process: Process::new(child, up.name.to_owned(), log), stdout })
}

impl Starting {
    /// Waits until it is ready.
    ///
    /// # Errors
    /// A sentence that names the log.
    pub async fn ready(self) -> anyhow::Result<(Process, Ready)> {
        let Starting { process, stdout } = self;
        let (name, log) = (process.name.clone(), process.log.display().to_string());
        let mut line = String::new();
        let read = tokio::time::timeout(READY_WITHIN, BufReader::new(stdout).read_line(&mut line)).await;
        let ready = match read {
            Ok(Ok(n)) if n > 0 => serde_json::from_str(&line)
                .with_context(|| format!("the first line of {name} is not the one that says it is ready"))?,
            Ok(_) => anyhow::bail!("{name} ended before it was ready; see {log}"),
            Err(_) => anyhow::bail!("{name} was not ready within {} s; see {log}", READY_WITHIN.as_secs()),
        };
        Ok((process, ready))
    }
}

/// Starts an agent of a node with a key of its own.
///
/// # Errors
/// A sentence that says what could not be done.
pub fn start_agent(
    base: &Path,
    name: &str,
    node: &Ready,
    does: Does<'_>,
) -> anyhow::Result<(AgentId, Process)> {
    let key = data::new_key();
    let file = base.join(format!("{name}.pem"));
    data::write_new_secret(&file, &key.to_pem())?;
    let log = base.join(format!("{name}.log"));
    let mut command = command(&log)?;
    // With the node's directory its agents share one cache of compiled code.
    command.args(["work", "--name", name, "--end-with-stdin", "--node", &node.http_url]);
    command.arg("--data").arg(&node.data_dir).arg("--key").arg(&file);
    match does {
        Does::Survey { allow } => command.args(["--capability", SURVEY_SKILL, "--allow", allow]),
        Does::Merge => command
            .args(["--capability", MERGE_SKILL, "--exec"])
            .arg(format!("{} {DEMO_WORKER}", quoted(&program()?)?)),
    };
    let child =
        command.stdout(Stdio::null()).spawn().with_context(|| format!("cannot start the agent {name}"))?;
    Ok((AgentId(key.public()), Process::new(child, format!("the agent {name}"), log)))
}

impl Process {
    fn new(mut child: Child, name: String, log: PathBuf) -> Self {
        Process { _stdin: child.stdin.take(), child, name, log }
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

    /// The last line of its log, without the program's name before it.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let line = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        line.strip_prefix("artel: ").unwrap_or(line).to_owned()
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

    /// Kills the process at once, as a power loss does, and waits until it is gone.
    ///
    /// # Errors
    /// A sentence when that cannot be done.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("{} cannot be killed", self.name))
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
    let opened = OpenOptions::new().append(true).create(true).open(log);
    let opened = opened.with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(program()?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ARTEL_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::piped()).stderr(opened).process_group(0).kill_on_drop(true);
    Ok(command)
}

/// Where this program is.
pub fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot tell where this program is")
}

/// A path as one word of a shell.
pub fn quoted(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8; put it elsewhere", path.display()))?;
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
