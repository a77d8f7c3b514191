//! The start, which fails closed, and the end: configuration and address, then the directory with its keys, then the
//! journal and the rules, and only when all of it is sound does the node take a request. What fails names the file or the
//! setting.

use crate::clock::{Clock, wall};
use crate::config::{self, Config};
use crate::data::{CONFIG, DataDir};
use crate::driver::{Driver, Running, start_effects};
use crate::events::Events;
use crate::hand::Hand;
use crate::neighbours::{self, Neighbours};
use crate::notices::Marks;
use crate::redo::{self, Bench, Runners};
use crate::service::{NodeService, Parts};
use crate::source::{SharedReader, Source};
use crate::store::Blobs;
use crate::token::Tokens;
use crate::{data, index, telemetry, traces};
use anyhow::Context as _;
use artel_audit::KeyRing;
use artel_audit::files::Files;
use artel_audit::os::OsFiles;
use artel_federation::exchange::Exchange;
use artel_federation::fact::{Admission, Joined};
use artel_federation::nodes::GenesisError;
use artel_federation::options::CLOCK_SKEW_MS;
use artel_federation::{Beginning, Genesis, Identity, Input};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::invitation::{self, Invitation};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::time::Wall;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
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
    /// The invitation to join by.
    pub join: Option<Join>,
}

/// An invitation and the genesis record in it, both checked.
#[derive(Debug, Clone)]
pub struct Join {
    invitation: Invitation,
    genesis: Genesis,
}

/// Why a text is no invitation to join by.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It is no invitation.
    #[error(transparent)]
    Invitation(#[from] invitation::Error),
    /// What it holds is no genesis record.
    #[error("the invitation leads nowhere: {0}")]
    Genesis(#[from] GenesisError),
}

impl Join {
    /// Reads an invitation's text.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn read(text: &str) -> Result<Self, JoinError> {
        let invitation = Invitation::parse(text)?;
        let genesis = Genesis::read(invitation.genesis())?;
        Ok(Join { invitation, genesis })
    }
}

/// Starts a node and runs it until it is told to stop (SIGINT, SIGTERM).
///
/// # Errors
/// Whatever keeps it from starting, with the file or the setting that is at fault.
pub async fn up(options: UpOptions) -> anyhow::Result<()> {
    let started = (Instant::now(), wall());
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
        let (options, config) = (options.clone(), config.clone());
        move || Node::open(&options, config)
    })
    .await??;
    node.meet_neighbours().await?;
    node.redo_what_is_drawn();
    let (service, url) = (node.service(started, server.address())?, server.url());
    let closing = CancellationToken::new();
    tokio::spawn(service.clone().keep_counts());
    tokio::spawn(service.clone().tell_who_follows());
    let serving = tokio::spawn(server.run(service, closing.clone()));
    // Before the ready line: whoever reads it may send a signal at once.
    let stop = stop_signal()?;
    node.announce(&url, options.json)?;
    let mut lost = None;
    let part = node.neighbours_ended();
    tokio::select! {
        () = stop => tracing::info!("stopping"),
        // Without it nothing is ever answered; whoever keeps the node running may start it again.
        _ = &mut node.running.ended => tracing::error!("the driver has ended by itself; stopping"),
        // Without it no other node is met again, or heard of.
        part = part => {
            tracing::error!(part, "a part of this node has ended by itself; stopping");
            lost = Some(part);
        }
    }
    closing.cancel();
    node.running.handle.tell(Input::Closing);
    let served = serving.await;
    node.end().await?;
    if let Some(part) = lost {
        anyhow::bail!("{part} ended by itself; the journal holds what was acknowledged");
    }
    Ok(served?)
}

fn load_config(options: &UpOptions) -> anyhow::Result<Config> {
    let own = options.data.join(CONFIG);
    let (file, asked_for) = match &options.config_file {
        Some(file) => (file.as_path(), true),
        None => (own.as_path(), false),
    };
    Ok(Config::load((file, asked_for), config::environment(), &options.flags)?)
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
    files: Arc<dyn Files>,
    origin: Origin,
    hand: Arc<Hand>,
    blobs: Blobs,
    bench: Arc<Bench>,
    /// None where there is nobody to meet: a founder that listens nowhere and knows nobody.
    neighbours: Option<Neighbours>,
    /// None where no collector wants traces.
    telling: Option<traces::Telling>,
}

impl Node {
    /// Everything up to the point where requests could be taken.
    fn open(options: &UpOptions, config: Arc<Config>) -> anyhow::Result<Node> {
        let path = options.data.as_path();
        let data = DataDir::open(path)?;
        let files: Arc<dyn Files> = Arc::new(OsFiles::new(path));
        let node = NodeId(data.node_key.public());
        let (origin, beginning) = origin(files.as_ref(), &data, node, (&config, options.join.as_ref()))?;
        let identity = Identity { node, federation: origin.federation() };
        let source = Source {
            ring: Arc::new(KeyRing::load(files.as_ref())?),
            files: files.clone(),
            origin,
            signer: Arc::new(artel_protocol::key::SecretKey::from_pem(&data.node_key.to_pem())?),
            identity,
            options: config.options(),
        };
        let mut state = source.open_at_snapshot()?;
        let mut lately = index::Lately::since(state.snapshot_size);
        state.fold_the_rest(|news| lately.take(news))?;
        let reader = SharedReader::new(state.journal.reader());
        let mut clock = Clock::start();
        let marks = (env!("CARGO_PKG_VERSION").to_owned(), config.digest());
        let start = start_effects(&mut state.federation, beginning, marks, clock.now());
        let federation_name = state.federation.view().genesis().map(|g| g.name.clone()).unwrap_or_default();
        let events = Arc::new(Events::new(state.journal.size()));
        let (feed, index) = index::start(path.join("index"), (source.clone(), reader.clone()), lately)?;
        let running = Driver::start((source, reader.clone()), state, start, (clock, events.clone(), feed))?;
        let (hand, blobs) = (Arc::new(Hand::new(&data.node_key)), Blobs::open(path)?);
        let (neighbours, bench) = (None, Arc::new(Bench::new(config.redo, config.redo_policy())));
        Ok(Node {
            config,
            data,
            identity,
            federation_name,
            running,
            index,
            events,
            reader,
            files,
            origin,
            hand,
            blobs,
            bench,
            neighbours,
            telling: None,
        })
    }

    /// Opens what is kept of others and begins to listen and to dial.
    async fn meet_neighbours(&mut self) -> anyhow::Result<()> {
        let (me, dir) = (self.identity.node, self.data.path().to_owned());
        let known = self.running.handle.look(|view| {
            let nodes: Vec<_> = view.nodes(None).cloned().collect();
            (view.genesis().cloned(), nodes, view.size())
        });
        let (Some(genesis), nodes, heard) = known.await? else {
            anyhow::bail!("the journal has no beginning")
        };
        let invitation = kept_invitation(&dir)?;
        let alone = genesis.is_founder(&me) && self.config.listen.is_empty() && !neighbours::knows_any(&dir);
        if alone {
            return Ok(());
        }
        let mut exchange = Exchange::new(me, genesis);
        exchange.hear_own(&nodes);
        let (files, federation) = (self.files.clone(), self.identity.federation);
        let on_disk = tokio::task::spawn_blocking({
            let dir = dir.clone();
            move || neighbours::open(&dir, files, federation)
        });
        let invited = invitation.as_ref().and_then(|invitation| {
            let (issuer, until) = (invitation.issuer(), invitation.until());
            Some(neighbours::Invited { issuer, secret: invitation.secret()?, until })
        });
        self.neighbours = Some(
            Neighbours::start(neighbours::Parts {
                me: self.origin,
                key: Arc::new(artel_protocol::key::SecretKey::from_pem(&self.data.node_key.to_pem())?),
                handle: self.running.handle.clone(),
                reader: self.reader.clone(),
                events: self.events.clone(),
                exchange,
                heard,
                on_disk: on_disk.await??,
                admission: neighbours::Admission::read(&dir, invited)?,
                hand: self.hand.clone(),
                blobs: self.blobs.clone(),
                index: self.index.clone(),
                bench: self.bench.clone(),
                interest: self.config.interest(),
                options: mesh_options(&self.config, federation, invitation.as_ref())?,
                dir,
            })
            .await?,
        );
        Ok(())
    }

    /// Has lots fall, and what they draw run again, from here on.
    fn redo_what_is_drawn(&mut self) {
        if let Some(asked) = self.running.lots.take() {
            let lots = redo::lots::run(asked, self.neighbours.clone(), self.running.handle.clone());
            self.relies_on("the drawer of lots", tokio::spawn(lots));
        }
        let Some(drawn) = self.running.redos.take() else { return };
        let runners = Runners {
            me: self.identity.node,
            bench: self.bench.clone(),
            blobs: self.blobs.clone(),
            neighbours: self.neighbours.clone(),
            asked: Arc::default(),
        };
        let runs = redo::run(drawn, runners, self.running.handle.clone());
        self.relies_on("the runner of redos", tokio::spawn(runs));
    }

    /// Without this task results wait for ever, and nobody would notice.
    fn relies_on(&self, name: &'static str, task: tokio::task::JoinHandle<()>) {
        if let Some(neighbours) = &self.neighbours {
            neighbours.relies_on(name, task);
        }
    }

    /// What HTTP talks to.
    fn service(&mut self, started: (Instant, Wall), http: SocketAddr) -> anyhow::Result<NodeService> {
        let tokens = Tokens::new(
            self.identity.node,
            self.identity.federation,
            &self.data.token_key,
            &self.data.operator_token,
        );
        let (reader, neighbours) = (self.reader.clone(), self.neighbours.clone());
        let redos =
            redo::late::LateRedos::new(self.bench.clone(), self.blobs.clone(), self.running.handle.clone());
        Ok(NodeService::new(Parts {
            redos: Arc::new(redos),
            addresses: Box::new(move || neighbours.as_ref().map(Neighbours::listening).unwrap_or_default()),
            neighbours: self.neighbours.clone(),
            handle: self.running.handle.clone(),
            down: self.running.down.clone(),
            tokens,
            key: Arc::new(artel_protocol::key::SecretKey::from_pem(&self.data.node_key.to_pem())?),
            hand: self.hand.clone(),
            blobs: self.blobs.clone(),
            index: self.index.clone(),
            events: self.events.clone(),
            reader: Box::new(move || reader.get()),
            config: self.config.clone(),
            identity: self.identity,
            federation_name: self.federation_name.clone(),
            data: self.data.path().to_owned(),
            http,
            marks: Marks::open(self.data.path())?,
            journal: self.running.metrics.clone(),
            bench: self.bench.clone(),
            traces: self.traces()?,
            started,
        }))
    }

    /// Has tasks' traces told where the operator wants them, and says what remembers requests' traces.
    fn traces(&mut self) -> anyhow::Result<Arc<traces::Requests>> {
        if self.config.otlp.is_empty() {
            return Ok(Arc::default());
        }
        let (collector, node) = (self.config.otlp.clone(), self.identity.node);
        let options = traces::Options { collector, node, version: env!("CARGO_PKG_VERSION") };
        let (requests, telling) = traces::Telling::start(self.events.clone(), options)?;
        self.telling = Some(telling);
        Ok(requests)
    }

    /// Waits until a part has ended that neighbours are met and heard with, and names it; for ever where there are none.
    fn neighbours_ended(&self) -> impl Future<Output = &'static str> + use<> {
        let neighbours = self.neighbours.clone();
        async move {
            match neighbours {
                Some(neighbours) => neighbours.ended().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Where the mesh listens.
    fn listening(&self) -> Vec<String> {
        self.neighbours.as_ref().map(Neighbours::listening).unwrap_or_default()
    }

    /// Says that the node is ready, to people or programs.
    fn announce(&self, url: &str, json: bool) -> anyhow::Result<()> {
        std::fs::write(self.data.path().join(URL_FILE), url)
            .context("cannot write the file with the node's address")?;
        let token_file = self.data.operator_token_file();
        // Before the lines for people, so that these stand last and are seen.
        tracing::info!(%url, "ready");
        let mut out = std::io::stdout().lock();
        if json {
            let ready = serde_json::json!({
                "event": "ready",
                "peer_id": self.identity.node.key().peer_id(),
                "listen_addrs": self.listening(),
                "http_url": url,
                "data_dir": self.data.path(),
                "operator_token_file": token_file,
                "federation_id": self.identity.federation.to_string(),
            });
            writeln!(out, "{ready}")?;
        } else {
            writeln!(out, "Artel is ready at {url}")?;
            writeln!(out, "  dashboard   {url}/ui")?;
            writeln!(out, "  node        {}", self.identity.node)?;
            writeln!(out, "  federation  {} ({})", self.federation_name, self.identity.federation)?;
            for address in self.listening() {
                writeln!(out, "  mesh        {address}")?;
            }
            writeln!(out, "  data        {}", self.data.path().display())?;
            writeln!(out, "  operator    token in {}", token_file.display())?;
            if self.data.is_new {
                let recovery = self.data.path().join(crate::data::RECOVERY_KEY);
                writeln!(out, "  recovery    move {} to a safe place elsewhere", recovery.display())?;
            }
        }
        Ok(out.flush()?)
    }

    /// Writes down what is to be written, within a deadline.
    async fn end(self) -> anyhow::Result<()> {
        // It says where a running node is; there is none any more.
        let _ = std::fs::remove_file(self.data.path().join(URL_FILE));
        if let Some(neighbours) = &self.neighbours {
            neighbours.stop().await;
        }
        self.running.handle.stop();
        let thread = self.running.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join());
        let joined = tokio::time::timeout(Duration::from_millis(END_MS), joined).await;
        if let Some(telling) = self.telling {
            telling.end().await;
        }
        match joined {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(_) => anyhow::bail!("the driver ended in a panic; the journal holds what was acknowledged"),
            Err(_) => anyhow::bail!(
                "the driver did not end within {END_MS} ms; the journal holds what was acknowledged"
            ),
        }
    }
}

/// Where to listen, whether to look around, and whom to dial first: whoever invited.
fn mesh_options(
    config: &Config,
    federation: FederationId,
    invitation: Option<&Invitation>,
) -> anyhow::Result<artel_mesh::Options> {
    let address = |text: &String| {
        text.parse::<artel_mesh::Address>().with_context(|| format!("{text} is no address of the mesh"))
    };
    let listen = config.listen.iter().map(address).collect::<Result<Vec<_>, _>>()?;
    let known = invitation.map(|invitation| {
        let addresses = invitation.addresses().iter().filter_map(|text| text.parse().ok()).collect();
        (invitation.issuer(), addresses)
    });
    let mdns = config.mdns && listen.iter().any(|address| !address.is_loopback());
    let known = known.into_iter().collect();
    Ok(artel_mesh::Options { listen, known, mdns, ..artel_mesh::Options::new(federation) })
}

/// Whose journal the directory holds, and what it begins with where it holds no entry yet: the federation of the
/// invitation, or a new federation of one.
fn origin(
    files: &dyn Files,
    data: &DataDir,
    node: NodeId,
    (config, join): (&Config, Option<&Join>),
) -> anyhow::Result<(Origin, Option<Beginning>)> {
    if let Some(origin) = artel_audit::origin_of(files)? {
        if origin.node() != node {
            anyhow::bail!(
                "node.key is the key of {node}, but the journal was written by {}; put the right node.key back",
                origin.node()
            );
        }
        check_genesis(data.path(), origin.federation())?;
        check_join(data, origin.federation(), join)?;
        keep_invitation(data, join)?;
        // A journal that was begun but holds no entry yet is begun by this start.
        let genesis = first_record(data, node, (config, join));
        let genesis = genesis.filter(|genesis| genesis.id() == origin.federation());
        return Ok((origin, genesis.and_then(|genesis| beginning(genesis, data, node))));
    }
    const NO_RECOVERY: &str = "recovery.key is missing; remove the directory and start again";
    let genesis = first_record(data, node, (config, join)).context(NO_RECOVERY)?;
    let federation: FederationId = genesis.id();
    check_join(data, federation, join)?;
    if let Some(join) = join {
        check_time(&join.invitation)?;
    }
    let beginning = beginning(genesis.clone(), data, node).context(NO_RECOVERY)?;
    // The record first: a start that is cut short between the two joins at the next one too, and never founds.
    write_genesis(data.path(), &genesis)?;
    keep_invitation(data, join)?;
    Ok((Origin::new(federation, node, 0), Some(beginning)))
}

/// What a journal of this node begins with: a founder's with the record, another's with what it joins.
fn beginning(genesis: Genesis, data: &DataDir, node: NodeId) -> Option<Beginning> {
    if genesis.is_founder(&node) {
        return Some(Beginning::Found(genesis));
    }
    let recovery = Digest::of(data.recovery.as_ref()?.public().bytes());
    Some(Beginning::Join(Joined { genesis, recovery }))
}

/// The federation's record, as it was first written down beside the keys, as an invitation has it, or as it is made now.
fn first_record(data: &DataDir, node: NodeId, (config, join): (&Config, Option<&Join>)) -> Option<Genesis> {
    if let Ok(bytes) = std::fs::read(data.path().join(GENESIS_FILE)) {
        return artel_protocol::codec::decode(&bytes).ok();
    }
    if let Some(join) = join {
        return Some(join.genesis.clone());
    }
    let recovery = Digest::of(data.recovery.as_ref()?.public().bytes());
    let admission = if config.open { Admission::Open } else { Admission::Invitation };
    Some(Genesis { name: config.name.clone(), founders: vec![node], admission, recovery, created: wall() })
}

/// A directory is of one federation for good.
fn check_join(data: &DataDir, federation: FederationId, join: Option<&Join>) -> anyhow::Result<()> {
    let Some(other) = join.map(|join| join.genesis.id()).filter(|other| *other != federation) else {
        return Ok(());
    };
    anyhow::bail!(
        "{} is of federation {federation}, and the invitation leads into {other}; choose another directory with --data",
        data.path().display()
    )
}

/// Whether a newcomer need not try at all. The issuer's clock decides; ours may differ.
fn check_time(invitation: &Invitation) -> anyhow::Result<()> {
    let until = invitation.until();
    anyhow::ensure!(
        wall() <= until.plus_ms(CLOCK_SKEW_MS),
        "this invitation was good until {}; ask for a new one",
        until.iso8601()
    );
    Ok(())
}

/// The invitation that this node joined by last: the mesh shows it until the node is admitted, also after a restart.
pub const INVITATION_FILE: &str = "invitation";

fn keep_invitation(data: &DataDir, join: Option<&Join>) -> Result<(), data::Error> {
    join.map_or(Ok(()), |join| {
        data::replace_secret(data.path(), INVITATION_FILE, &join.invitation.to_string())
    })
}

/// The invitation that a node's directory holds, if it ever joined by one.
///
/// # Errors
/// [`data::Error`] where the file is there and cannot be read, or is no invitation.
pub fn kept_invitation(dir: &Path) -> Result<Option<Invitation>, data::Error> {
    let path = dir.join(INVITATION_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = data::secret(dir, INVITATION_FILE, invitation::INVITATION_CHARS_MAX as u64)?;
    let read = Invitation::parse(&text);
    read.map(Some).map_err(|_| data::Error::Content { path, wanted: "an invitation" })
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
        sockets_per_agent_max: config.sockets_per_agent,
        socket_quiet: Duration::from_secs(config.socket_ping_s.into()),
        session: Duration::from_hours(config.session_hours.into()),
        streams_max: config.pages_live_max as usize,
        agent_rate: artel_web::Rate { per_second, burst: config.requests_per_second },
        enroll_rate: artel_web::Rate {
            per_second: f64::from(config.enrollments_per_minute) / 60.0,
            burst: config.enrollments_per_minute,
        },
        traces: !config.otlp.is_empty(),
        metrics: config.metrics.0,
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
