//! Everything that the demo has started: the home, nodes that joined it, agents at each, and the one that merges. Here they are
//! started, killed and ended.

use super::processes::{self, Does, Process, READY_WITHIN, Ready, Starting, Up};
use super::survey;
use crate::cli::context::read_token;
use crate::client::{Client, List};
use crate::data;
use anyhow::Context as _;
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, PublicKey};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinSet;

/// What nodes are called. The first one is the home.
pub const NODES: [&str; 8] = ["home", "node-2", "node-3", "node-4", "node-5", "node-6", "node-7", "node-8"];
/// What agents are called.
pub const AGENTS: [&str; 16] = [
    "ada", "ben", "cleo", "dov", "eda", "finn", "gus", "hana", "ivo", "jun", "kai", "lea", "mio", "noa",
    "oli", "pia",
];
/// What the agent is called that merges.
const MERGER: &str = "quinn";
/// Where a fresh node's mesh listens: any port of this machine alone.
const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";
/// Where a fresh node's API listens.
const HTTP: &str = "127.0.0.1:0";
/// For how long the invitation lets nodes in, in milliseconds.
const INVITED_MS: u64 = 600_000;
/// The pause between two looks at who is connected.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A node of the demo.
pub struct Node {
    /// Its name.
    pub name: &'static str,
    /// What it said when it was ready.
    pub ready: Ready,
    /// It, called by its operator.
    pub client: Client,
    /// Nothing where it was killed.
    process: Option<Process>,
}

/// An agent.
pub struct Agent {
    /// Its name.
    pub name: &'static str,
    /// Who it is.
    pub id: AgentId,
    /// Which node it is at.
    pub node: usize,
    /// Its process.
    pub process: Process,
}

/// One who takes part, also when it was killed since.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// Its did.
    pub did: String,
    /// Its node's name.
    pub node: &'static str,
}

/// Everything that was started. Dropping it kills what still runs.
pub struct Stage {
    base: PathBuf,
    /// The home first.
    pub nodes: Vec<Node>,
    /// Agents that survey.
    pub agents: Vec<Agent>,
    merger: Agent,
    /// Who takes part.
    pub cast: Vec<Member>,
}

#[derive(Deserialize)]
struct Peer {
    status: String,
}

impl Stage {
    /// Starts `nodes` nodes with `agents` agents, and waits until the home has let the others in.
    ///
    /// # Errors
    /// A sentence that says what does not start.
    pub async fn start(base: &Path, nodes: usize, agents: usize) -> anyhow::Result<Self> {
        let home = Node::ready(NODES[0], begin(base, NODES[0], None)?).await?;
        let mut starting = Vec::new();
        for name in NODES.into_iter().take(nodes).skip(1) {
            let invitation = invite(base, &home, name).await?;
            starting.push((name, begin(base, name, Some(&invitation))?));
        }
        let allow = allow(&home.ready)?;
        let merger = Agent::start(base, (MERGER, 0), &home.ready, Does::Merge)?;
        let mut stage =
            Stage { base: base.to_owned(), nodes: vec![home], agents: Vec::new(), merger, cast: Vec::new() };
        let names = &AGENTS[..agents];
        stage.start_agents(names, nodes, &allow)?;
        for (name, node) in starting {
            stage.nodes.push(Node::ready(name, node).await?);
            stage.start_agents(names, nodes, &allow)?;
        }
        stage.agents.sort_by_key(|agent| agent.name);
        let cast = stage.agents.iter().chain([&stage.merger]);
        stage.cast = cast
            .map(|agent| Member { name: agent.name, did: agent.id.to_string(), node: NODES[agent.node] })
            .collect();
        stage.wait_for_peers(nodes - 1).await?;
        Ok(stage)
    }

    /// Starts the agents of the node that came last: every `nodes`th one.
    fn start_agents(&mut self, names: &[&'static str], nodes: usize, allow: &str) -> anyhow::Result<()> {
        let at = self.nodes.len() - 1;
        for name in names.iter().skip(at).step_by(nodes) {
            let does = Does::Survey { allow };
            self.agents.push(Agent::start(&self.base, (name, at), &self.nodes[at].ready, does)?);
        }
        Ok(())
    }

    /// Waits until as many nodes are admitted at home.
    async fn wait_for_peers(&self, wanted: usize) -> anyhow::Result<()> {
        let all = async {
            loop {
                let peers: List<Peer> = self.home().client.get("/v1/peers").await?;
                if peers.items.iter().filter(|peer| peer.status == "admitted").count() >= wanted {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        let came = tokio::time::timeout(READY_WITHIN, all).await;
        came.map_err(|_| anyhow::anyhow!("not all nodes had joined within {} s", READY_WITHIN.as_secs()))?
    }

    /// The home.
    pub fn home(&self) -> &Node {
        &self.nodes[0]
    }

    /// Waits until the home ends by itself, which it should not.
    pub async fn home_ended(&mut self) -> anyhow::Error {
        match &mut self.nodes[0].process {
            Some(process) => process.ended().await,
            None => anyhow::anyhow!("the home was killed"),
        }
    }

    /// That somebody is left to do the work.
    ///
    /// # Errors
    /// What the one that ended last said; where a wall of the sandbox is missing, which one.
    pub fn check_agents(&mut self) -> anyhow::Result<()> {
        if self.merger.process.has_ended() {
            anyhow::bail!("the merging agent has ended: {}", self.merger.process.last_words());
        }
        if self.agents.iter_mut().all(|agent| agent.process.has_ended()) {
            let said = self.agents.last().map(|agent| agent.process.last_words()).unwrap_or_default();
            anyhow::bail!("no agent is left to do the work: {said}");
        }
        Ok(())
    }

    /// Kills a node and its agents.
    ///
    /// # Errors
    /// A sentence when that cannot be done.
    pub async fn kill_node(&mut self, at: usize) -> anyhow::Result<()> {
        if let Some(process) = self.nodes[at].process.take() {
            process.kill().await?;
        }
        // Dropping their processes kills them.
        self.agents.retain(|agent| agent.node != at);
        Ok(())
    }

    /// Kills the home and starts it again where it was.
    ///
    /// # Errors
    /// A sentence when that cannot be done.
    pub async fn restart_home(&mut self) -> anyhow::Result<()> {
        let home = &mut self.nodes[0];
        if let Some(process) = home.process.take() {
            process.kill().await?;
        }
        let http = home.ready.http_url.strip_prefix("http://").context("the home's URL is not of HTTP")?;
        let up = Up { name: home.name, http, listen: &home.ready.listen_addrs, join: None };
        let (process, ready) = processes::start_node(&self.base, &up)?.ready().await?;
        if ready.http_url != home.ready.http_url || ready.peer_id != home.ready.peer_id {
            anyhow::bail!("the home came back as another node, or elsewhere");
        }
        home.process = Some(process);
        Ok(())
    }

    /// Ends agents, then nodes, the home last.
    ///
    /// # Errors
    /// Who did not end well.
    pub async fn end(self) -> anyhow::Result<()> {
        let agents = self.agents.into_iter().chain([self.merger]).map(|agent| agent.process);
        stop_all(agents).await?;
        let mut nodes = self.nodes.into_iter().filter_map(|node| node.process);
        let home = nodes.next();
        stop_all(nodes).await?;
        stop_all(home).await
    }
}

impl Node {
    async fn ready(name: &'static str, starting: Starting) -> anyhow::Result<Self> {
        let (process, ready) = starting.ready().await?;
        let client = Client::new(&ready.http_url, None)?.with_token(&read_token(&ready.operator_token_file)?);
        Ok(Node { name, ready, client, process: Some(process) })
    }

    /// Whether it still runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }
}

impl Agent {
    fn start(
        base: &Path,
        (name, node): (&'static str, usize),
        at: &Ready,
        does: Does<'_>,
    ) -> anyhow::Result<Self> {
        let (id, process) = processes::start_agent(base, name, at, does)?;
        Ok(Agent { name, id, node, process })
    }
}

fn begin(base: &Path, name: &'static str, join: Option<&Path>) -> anyhow::Result<Starting> {
    processes::start_node(base, &Up { name, http: HTTP, listen: &[LISTEN.to_owned()], join })
}

/// An invitation of the home for one node, in a file. Each has its own: nodes that one invitation let in do not run each other's
/// steps again.
async fn invite(base: &Path, home: &Node, name: &str) -> anyhow::Result<PathBuf> {
    let body = json!({"uses": 1, "for_ms": INVITED_MS});
    let answer = home.client.post("/v1/invitations", &body, 0).await?.unwrap_or_default();
    let answer: Value = home.client.read(&answer)?;
    let invitation = answer["invitation"].as_str().context("the home made no invitation")?;
    let file = base.join(format!("invitation-{name}"));
    data::write_new_secret(&file, invitation)?;
    Ok(file)
}

/// What the surveying agents let run: the survey, for the home, and nothing else.
fn allow(home: &Ready) -> anyhow::Result<String> {
    let key = PublicKey::from_peer_id(&home.peer_id).context("the home's peer id is none")?;
    Ok(format!("home={},module={},kind=wasm", key.did(), Digest::of(survey::MODULE)))
}

async fn stop_all(processes: impl IntoIterator<Item = Process>) -> anyhow::Result<()> {
    let mut stopping: JoinSet<_> = processes.into_iter().map(Process::stop).collect();
    while let Some(stopped) = stopping.join_next().await {
        stopped??;
    }
    Ok(())
}
