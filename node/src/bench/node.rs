//! The node that is measured: this same program started anew in a directory of its own, or one that runs already and is
//! only called. A started one ends with this process, however that ends.

use super::measure::{self, Usage};
use super::wire::Line;
use crate::cli::context::{self, Context, Usage as WrongUse};
use anyhow::{Context as _, bail};
use artel_protocol::key::PublicKey;
use serde::Deserialize;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

/// How long the node may take to be ready. One with a million entries and no snapshot folds them first.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to end after SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(30);
/// What the node is told beside its defaults: no limit on one agent's requests, enrollments and leases may be what is
/// measured, and no log but errors: a killed node says at its
/// next start what it repaired.
const SETTINGS: &[&str] = &[
    "requests_per_second=1000000",
    "enrollments_per_minute=100000",
    "leases_max=1000",
    "event_prefix=xyn.",
    "log=error",
];

/// A directory that goes away with it.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new directory below `base`, or below the system's own for such things.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(base: Option<&Path>) -> anyhow::Result<Scratch> {
        let base = base.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = base.join(format!("artel-bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies in the system's directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A node.
pub(super) struct Node {
    /// Where its API is.
    pub address: SocketAddr,
    /// The operator's token.
    pub token: Zeroizing<String>,
    /// How long it took from its start to the line that says that it is ready; zero where it ran already.
    pub ready_in: Duration,
    /// Its did; empty where it ran already.
    pub did: String,
    child: Option<Child>,
}

#[derive(Deserialize)]
struct Ready {
    http_url: String,
    operator_token_file: PathBuf,
    peer_id: String,
}

impl Node {
    /// Starts one on a data directory and waits until it is ready.
    ///
    /// # Errors
    /// That it was not, with its own words.
    pub async fn start(data: &Path) -> anyhow::Result<Node> {
        Node::start_with(data, &[]).await
    }

    /// The same with more words on its command line.
    ///
    /// # Errors
    /// That it was not ready, with its own words.
    pub async fn start_with(data: &Path, more: &[&str]) -> anyhow::Result<Node> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        command.arg("up").arg("--data").arg(data).args([
            "--http",
            "127.0.0.1:0",
            "--json",
            "--end-with-stdin",
        ]);
        for setting in SETTINGS {
            command.args(["--set", setting]);
        }
        command.args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start a node")?;
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("stdout was asked for"));
        match tokio::time::timeout(READY_WITHIN, out.read_line(&mut line)).await {
            Ok(Ok(read)) if read > 0 => {}
            Ok(_) => bail!("the node ended before it was ready"),
            Err(_) => bail!("the node was not ready within {} s", READY_WITHIN.as_secs()),
        }
        let ready_in = begun.elapsed();
        let ready: Ready =
            serde_json::from_str(&line).context("the node's first line does not say that it is ready")?;
        let token = context::read_token(&ready.operator_token_file)?;
        let did = PublicKey::from_peer_id(&ready.peer_id).map(|key| key.did()).unwrap_or_default();
        Ok(Node { address: address(&ready.http_url)?, token, ready_in, did, child: Some(child) })
    }

    /// The one that the command line names.
    ///
    /// # Errors
    /// When it names none, or one that cannot be measured so.
    pub fn running(context: &Context) -> anyhow::Result<Node> {
        let client = context.client()?;
        let token = client
            .token()
            .ok_or_else(|| WrongUse("name the operator's token with --token-file or --data".into()))?;
        let token = Zeroizing::new(token.to_owned());
        Ok(Node {
            address: address(client.base())?,
            token,
            ready_in: Duration::ZERO,
            did: String::new(),
            child: None,
        })
    }

    /// A connection under the operator's token.
    ///
    /// # Errors
    /// What the socket says.
    pub async fn line(&self) -> anyhow::Result<Line> {
        Line::connect(self.address, Some(&self.token)).await
    }

    /// What its process has used; nothing where it is not ours.
    pub fn usage(&self) -> Option<Usage> {
        self.child.as_ref()?.id().and_then(|pid| measure::usage(pid).ok())
    }

    /// Ends it at once, as a power cut would but for the disk's own memory.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        match &mut self.child {
            Some(child) => Ok(child.kill().await?),
            None => Ok(()),
        }
    }

    /// Ends it in order, as its stdin's end asks it to.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        drop(child.stdin.take());
        match tokio::time::timeout(END_WITHIN, child.wait()).await {
            Ok(Ok(status)) if status.success() || status.code().is_none() => Ok(()),
            Ok(Ok(status)) => bail!("the node did not end well ({status})"),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => bail!("the node did not end within {} s", END_WITHIN.as_secs()),
        }
    }
}

/// The socket behind a plain URL.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let socket = url.strip_prefix("http://").and_then(|rest| rest.trim_end_matches('/').parse().ok());
    socket.ok_or_else(|| {
        WrongUse(format!("{url} cannot be measured: want http://ADDRESS:PORT without TLS")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_sockets_are_measured() {
        assert_eq!(address("http://127.0.0.1:7433/").expect("plain").port(), 7433);
        for url in ["https://127.0.0.1:7433", "http://example.org", "127.0.0.1:1"] {
            assert!(address(url).is_err(), "{url}");
        }
    }

    #[test]
    fn scratch_goes_away_with_its_owner() {
        let base = tempfile::tempdir().expect("a directory");
        let scratch = Scratch::new(Some(base.path())).expect("made");
        let path = scratch.path().to_owned();
        assert!(path.is_dir());
        drop(scratch);
        assert!(!path.exists());
    }
}
