//! The start, which fails closed, and the end: configuration and address, then the directory with its keys, then the
//! journal and the rules, and only when all of it is sound does the node take a request. What fails names the file or the
//! setting.

use crate::clock::{Clock, wall};
use crate::config::Config;
use crate::data::{CONFIG, DataDir};
use crate::driver::{Driver, Running, start_effects};
use crate::events::Events;
use crate::service::{Hand, NodeService, Parts};
use crate::source::{SharedReader, Source};
use crate::store::Blobs;
use crate::token::Tokens;
use crate::{data, index, telemetry};
use anyhow::Context as _;
use artel_audit::KeyRing;
use artel_audit::files::Files;
use artel_audit::os::OsFiles;
use artel_federation::fact::Admission;
use artel_federation::{Genesis, Identity, Input};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The file in the data directory that says where the running node's API is, for the command line.
pub const URL_FILE: &str = "http.url";

/// How long the driver may take to end. Longer, and something is wrong with the disk; the journal is sound all the same.
const END_MS: u64 = 10_000;

/// What `artel up` is told.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
    /// The data directory.
    pub data: PathBuf,
    /// The configuration file; the data directory's own unless it is named.
    pub config_file: Option<PathBuf>,
    /// Configuration keys from the command line.
    pub flags: BTreeMap<String, String>,
    /// Whether the ready line is JSON.
    pub json: bool,
    /// Addresses for the mesh; accepted, and not used until there is one.
    pub listen: Vec<String>,
}

/// Starts a node and runs it until it is told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// Whatever keeps it from starting, with the file or the setting that is at fault.
pub async fn up(options: UpOptions) -> anyhow::Result<()> {
    let started = Instant::now();
    let config = Arc::new(load_config(&options)?);
    telemetry::start(&config.log).map_err(anyhow::Error::msg)?;
    // Before anything is written: a start that fails here leaves no trace. Who connects waits until the node is sound.
    let server = artel_web::Server::bind(web_options(&config)?).await;
    let server = server.map_err(|error| match data::in_use(&options.data) {
        Some(in_use) => in_use.into(),
        // The error says its cause itself; a chain would say it twice.
        None => anyhow::anyhow!("{error}; choose another address with --http"),
    })?;
    let mut node = tokio::task::spawn_blocking({
        let (data, config) = (options.data.clone(), config.clone());
        move || Node::open(&data, config)
    })
    .await??;
    let (service, url) = (node.service(started)?, server.url());
    let closing = CancellationToken::new();
    tokio::spawn(service.clone().keep_counts());
    let serving = tokio::spawn(server.run(service, closing.clone()));
    // Before the ready line: whoever reads it may send a signal at once.
    let stop = stop_signal()?;
    node.announce(&url, options.json)?;
    tokio::select! {
        () = stop => tracing::info!("stopping"),
        // Without it nothing is ever answered; whoever keeps the node running may start it again.
        _ = &mut node.running.ended => tracing::error!("the driver has ended by itself; stopping"),
    }
    closing.cancel();
    node.running.handle.tell(Input::Closing);
    let served = serving.await;
    node.end().await?;
    Ok(served?)
}

fn load_config(options: &UpOptions) -> anyhow::Result<Config> {
    let own = options.data.join(CONFIG);
    let (file, asked_for) = match &options.config_file {
        Some(file) => (file.as_path(), true),
        None => (own.as_path(), false),
    };
    let environment =
        std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    Ok(Config::load((file, asked_for), environment, &options.flags)?)
}

/// A node whose rules run, before and behind its HTTP server.
struct Node {
    config: Arc<Config>,
    data: DataDir,
    identity: Identity,
    federation_name: String,
    running: Running,
    index: index::Index,
    events: Arc<Events>,
    reader: SharedReader,
}

impl Node {
    /// Everything up to the point where requests could be taken.
    fn open(path: &Path, config: Arc<Config>) -> anyhow::Result<Node> {
        let data = DataDir::open(path)?;
        let files: Arc<dyn Files> = Arc::new(OsFiles::new(path));
        let node = NodeId(data.node_key.public());
        let (origin, genesis) = origin(files.as_ref(), &data, node, &config)?;
        let identity = Identity { node, federation: origin.federation() };
        let source = Source {
            ring: Arc::new(KeyRing::load(files.as_ref())?),
            files,
            origin,
            signer: Arc::new(artel_protocol::key::SecretKey::from_pem(&data.node_key.to_pem())?),
            identity,
            options: config.options(),
        };
        let mut state = source.open()?;
        let reader = SharedReader::new(state.journal.reader());
        let mut clock = Clock::start();
        let marks = (env!("CARGO_PKG_VERSION").to_owned(), config.digest());
        let start = start_effects(&mut state.federation, genesis, marks, clock.now());
        let federation_name = state.federation.view().genesis().map(|g| g.name.clone()).unwrap_or_default();
        let events = Arc::new(Events::new(state.journal.size()));
        let (feed, index) = index::start(path.join("index"), source.clone(), reader.clone())?;
        let running = Driver::start((source, reader.clone()), state, start, (clock, events.clone(), feed))?;
        Ok(Node { config, data, identity, federation_name, running, index, events, reader })
    }

    /// What HTTP talks to.
    fn service(&self, started: Instant) -> anyhow::Result<NodeService> {
        let tokens = Tokens::new(
            self.identity.node,
            self.identity.federation,
            &self.data.token_key,
            &self.data.operator_token,
        );
        let reader = self.reader.clone();
        Ok(NodeService::new(Parts {
            handle: self.running.handle.clone(),
            down: self.running.down.clone(),
            tokens,
            hand: Hand::new(&self.data.node_key),
            blobs: Blobs::open(self.data.path())?,
            index: self.index.clone(),
            events: self.events.clone(),
            reader: Box::new(move || reader.get()),
            config: self.config.clone(),
            identity: self.identity,
            federation_name: self.federation_name.clone(),
            started,
        }))
    }

    /// Says that the node is ready, to people or programs.
    fn announce(&self, url: &str, json: bool) -> anyhow::Result<()> {
        std::fs::write(self.data.path().join(URL_FILE), url)
            .context("cannot write the file with the node's address")?;
        let token_file = self.data.operator_token_file();
        let mut out = std::io::stdout().lock();
        if json {
            let ready = serde_json::json!({
                "event": "ready",
                "peer_id": self.identity.node.key().peer_id(),
                "listen_addrs": [],
                "http_url": url,
                "data_dir": self.data.path(),
                "operator_token_file": token_file,
                "federation_id": self.identity.federation.to_string(),
            });
            writeln!(out, "{ready}")?;
        } else {
            writeln!(out, "Artel is ready at {url}")?;
            writeln!(out, "  node        {}", self.identity.node)?;
            writeln!(out, "  federation  {} ({})", self.federation_name, self.identity.federation)?;
            writeln!(out, "  data        {}", self.data.path().display())?;
            writeln!(out, "  operator    token in {}", token_file.display())?;
            if self.data.is_new {
                let recovery = self.data.path().join(crate::data::RECOVERY_KEY);
                writeln!(out, "  recovery    move {} to a safe place elsewhere", recovery.display())?;
            }
        }
        out.flush()?;
        tracing::info!(%url, "ready");
        Ok(())
    }

    /// Writes down what is to be written, within a deadline.
    async fn end(self) -> anyhow::Result<()> {
        // It says where a running node is; there is none any more.
        let _ = std::fs::remove_file(self.data.path().join(URL_FILE));
        self.running.handle.stop();
        let thread = self.running.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join());
        match tokio::time::timeout(Duration::from_millis(END_MS), joined).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(_) => anyhow::bail!("the driver ended in a panic; the journal holds what was acknowledged"),
            Err(_) => anyhow::bail!(
                "the driver did not end within {END_MS} ms; the journal holds what was acknowledged"
            ),
        }
    }
}

/// Whose journal the directory holds; a new federation of one where it holds none.
fn origin(
    files: &dyn Files,
    data: &DataDir,
    node: NodeId,
    config: &Config,
) -> anyhow::Result<(Origin, Option<Genesis>)> {
    if let Some(origin) = artel_audit::origin_of(files)? {
        if origin.node() != node {
            anyhow::bail!(
                "node.key is the key of {node}, but the journal was written by {}; put the right node.key back",
                origin.node()
            );
        }
        check_genesis(data.path(), origin.federation())?;
        // A journal that was begun but holds no entry yet is founded by this start.
        let genesis = found(data, node, config).filter(|genesis| genesis.id() == origin.federation());
        return Ok((origin, genesis));
    }
    let genesis =
        found(data, node, config).context("recovery.key is missing; remove the directory and start again")?;
    write_genesis(data.path(), &genesis)?;
    let federation: FederationId = genesis.id();
    Ok((Origin::new(federation, node, 0), Some(genesis)))
}

/// The founding record, as it was first written down beside the keys or as it is made now.
fn found(data: &DataDir, node: NodeId, config: &Config) -> Option<Genesis> {
    if let Ok(bytes) = std::fs::read(data.path().join(GENESIS_FILE)) {
        return artel_protocol::codec::decode(&bytes).ok();
    }
    let recovery = Digest::of(data.recovery.as_ref()?.public().bytes());
    let admission = if config.open { Admission::Open } else { Admission::Invitation };
    Some(Genesis { name: config.name.clone(), founders: vec![node], admission, recovery, created: wall() })
}

/// The founding record before it is in the journal: a start that was cut short between the two goes on with it.
const GENESIS_FILE: &str = "genesis";

/// The founding record's digest is the federation's id, so it cannot change unseen.
fn check_genesis(dir: &Path, federation: FederationId) -> anyhow::Result<()> {
    let path = dir.join(GENESIS_FILE);
    let Ok(bytes) = std::fs::read(&path) else { return Ok(()) };
    let genesis = artel_protocol::codec::decode::<Genesis>(&bytes).ok();
    anyhow::ensure!(
        genesis.is_some_and(|genesis| genesis.id() == federation),
        "{} is not the record that founded this federation; put it back from a copy, or remove it: the journal holds it",
        path.display()
    );
    Ok(())
}

fn write_genesis(dir: &Path, genesis: &Genesis) -> Result<(), data::Error> {
    data::replace(dir, GENESIS_FILE, &artel_protocol::codec::encode(genesis))
}

fn web_options(config: &Config) -> anyhow::Result<artel_web::Options> {
    let per_second = f64::from(config.requests_per_second);
    Ok(artel_web::Options {
        listen: config.http,
        names: config.public_hosts.clone(),
        tls: tls(config)?,
        insecure_http: config.plain_http,
        connections_max: config.connections_max as usize,
        agent_rate: artel_web::Rate { per_second, burst: config.requests_per_second },
        enroll_rate: artel_web::Rate {
            per_second: f64::from(config.enrollments_per_minute) / 60.0,
            burst: config.enrollments_per_minute,
        },
        ..artel_web::Options::default()
    })
}

fn tls(config: &Config) -> anyhow::Result<Option<Arc<rustls::ServerConfig>>> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    if config.tls_cert.is_empty() {
        return Ok(None);
    }
    let cannot = |file: &str| format!("cannot read {file} as PEM");
    let chain = CertificateDer::pem_file_iter(&config.tls_cert).with_context(|| cannot(&config.tls_cert))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().with_context(|| cannot(&config.tls_cert))?;
    let key = PrivateKeyDer::from_pem_file(&config.tls_key).with_context(|| cannot(&config.tls_key))?;
    let server = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    Ok(Some(Arc::new(server.context("tls_cert and tls_key do not fit together")?)))
}

/// Listens for the signals that stop a node from now on; the future ends with the first.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
