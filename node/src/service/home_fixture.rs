//! A home for the service's tests: a real driver, journal and index in a directory of its own.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::Clock;
use crate::config::Config;
use crate::data::DataDir;
use crate::driver::{Driver, Running, start_effects};
use crate::events::Events;
use crate::hand::Hand;
use crate::source::{SharedReader, Source};
use crate::store::Blobs;
use crate::token::Tokens;
use artel_audit::KeyRing;
use artel_audit::files::Files;
use artel_audit::os::OsFiles;
use artel_federation::fact::{Admission, Genesis};
use artel_federation::{Identity, options::RECENT_RUNS};
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::text::Correlation;
use artel_web::Code;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a condition may take to come true.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Home {
    pub(super) service: NodeService,
    pub(super) node: NodeId,
    pub(super) source: Source,
    running: Option<Running>,
    dir: tempfile::TempDir,
}

pub(super) struct Worker {
    pub(super) id: AgentId,
    pub(super) call: Call,
}

pub(super) fn home(flags: &[(&str, &str)]) -> Home {
    home_on(|files| Arc::new(files), flags)
}

/// A home that founded a federation by invitation.
pub(super) fn closed_home() -> Home {
    home_of(Admission::Invitation, |files| Arc::new(files), &[])
}

/// A home whose journal is on a disk of the caller's making.
pub(super) fn home_on(disk: impl FnOnce(OsFiles) -> Arc<dyn Files>, flags: &[(&str, &str)]) -> Home {
    home_of(Admission::Open, disk, flags)
}

fn home_of(
    admission: Admission,
    disk: impl FnOnce(OsFiles) -> Arc<dyn Files>,
    flags: &[(&str, &str)],
) -> Home {
    let dir = tempfile::tempdir().unwrap();
    let flags = flags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let config =
        Arc::new(Config::load((&dir.path().join("none"), false), std::iter::empty(), &flags).unwrap());
    let data = DataDir::open(dir.path()).unwrap();
    let node = NodeId(data.node_key.public());
    let genesis = Genesis {
        name: "workshop".into(),
        founders: vec![node],
        admission,
        recovery: Digest::of(b"recovery"),
        created: crate::clock::wall(),
    };
    let origin = artel_protocol::log::Origin::new(genesis.id(), node, 0);
    let identity = Identity { node, federation: origin.federation() };
    let ring = Arc::new(KeyRing::load(&OsFiles::new(dir.path())).unwrap());
    let files = disk(OsFiles::new(dir.path()));
    let key = || SecretKey::from_pem(&data.node_key.to_pem()).unwrap();
    let source = Source { ring, files, origin, signer: Arc::new(key()), identity, options: config.options() };
    let mut state = source.open().unwrap();
    let reader = SharedReader::new(state.journal.reader());
    let mut clock = Clock::start();
    let marks = ("test".to_owned(), config.digest());
    let start = start_effects(&mut state.federation, Some(genesis), marks, clock.now());
    let events = Arc::new(Events::new(state.journal.size()));
    let (feed, index) = crate::index::start(
        dir.path().join("index"),
        (source.clone(), reader.clone()),
        crate::index::Lately::since(u64::MAX),
    )
    .unwrap();
    let running =
        Driver::start((source.clone(), reader.clone()), state, start, (clock, events.clone(), feed)).unwrap();
    let blobs = Blobs::open(dir.path()).unwrap();
    let bench = Arc::new(crate::redo::Bench::new(false, artel_runner::Policy::default()));
    let redos = crate::redo::late::LateRedos::new(bench.clone(), blobs, running.handle.clone());
    let service = NodeService::new(Parts {
        redos: Arc::new(redos),
        handle: running.handle.clone(),
        down: running.down.clone(),
        tokens: Tokens::new(node, identity.federation, &data.token_key, &data.operator_token),
        blobs: Blobs::open(dir.path()).unwrap(),
        index,
        events,
        reader: Box::new(move || reader.get()),
        config,
        identity,
        federation_name: "workshop".into(),
        addresses: Box::new(|| vec!["/ip4/127.0.0.1/tcp/7".into(), "no address".into()]),
        neighbours: None,
        key: Arc::new(key()),
        hand: Arc::new(Hand::new(&key())),
        data: dir.path().to_owned(),
        http: ([127, 0, 0, 1], 0).into(),
        started: (Instant::now(), crate::clock::wall()),
        marks: crate::notices::Marks::open(dir.path()).unwrap(),
        journal: running.metrics.clone(),
        bench: bench.clone(),
        traces: Arc::default(),
    });
    Home { service, node, source, running: Some(running), dir }
}

impl Drop for Home {
    fn drop(&mut self) {
        let running = self.running.take().unwrap();
        running.handle.stop();
        running.thread.join().unwrap();
    }
}

pub(super) fn call(principal: Principal) -> Call {
    let correlation = Correlation::parse("test-1").unwrap();
    Call { principal, correlation, remote: IpAddr::V4(Ipv4Addr::LOCALHOST), idempotency: None }
}

pub(super) fn operator() -> Call {
    call(Principal::Operator)
}

pub(super) fn read<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

impl Home {
    pub(super) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Enrolls an agent as a stranger would and takes its token through the front door.
    pub(super) async fn worker(&self, seed: u8, capabilities: &str) -> Worker {
        let key = SecretKey::from_seed(&[seed; 32]);
        let body = format!(
            r#"{{"agent_name":"worker {seed}","public_key":"{}","metadata":{{"capabilities":{capabilities}}}}}"#,
            key.public().did()
        );
        let anyone = call(Principal::Anonymous);
        let challenge = self.service.enroll(&anyone, read(&body)).await.unwrap();
        let signature = key.sign(challenge.challenge.as_bytes());
        let answer = RespondRequest { signature: Some(signature) };
        let token = self.service.respond(&anyone, challenge.enrollment_id, answer).await.unwrap();
        assert_eq!(self.service.recognise(&token.token), None, "never seen before");
        let principal = self.service.authenticate(&token.token).unwrap();
        assert_eq!(self.service.recognise(&token.token), Some(principal));
        Worker { id: AgentId(key.public()), call: call(principal) }
    }

    pub(super) async fn post(&self, body: &str) -> Task {
        self.service.post_task(&operator(), read(body)).await.unwrap()
    }

    pub(super) async fn claim(&self, worker: &Worker, task: StepId) -> Result<Lease, Problem> {
        self.service.claim(&worker.call, worker.id, task, ClaimRequest::default()).await
    }

    pub(super) async fn submit(
        &self,
        worker: &Worker,
        lease: &Lease,
        output: &str,
    ) -> Result<Submitted, Problem> {
        let body = format!(r#"{{"epoch":{},"output":{output}}}"#, lease.epoch);
        self.service.submit(&worker.call, worker.id, lease.task_id, read(&body)).await
    }

    /// What a worker is told of a task's terms.
    pub(super) async fn terms(&self, worker: &Worker, task: StepId) -> Option<(Digest, [u8; 16])> {
        let seen = self.service.task(&worker.call, task).await.unwrap();
        seen.terms.map(|terms| (terms.digest, terms.salt))
    }

    /// Asks the index until it has caught up.
    pub(super) async fn eventually<T>(&self, mut ask: impl AsyncFnMut() -> Result<Option<T>, Problem>) -> T {
        let begun = Instant::now();
        loop {
            match ask().await {
                Ok(Some(found)) => return found,
                Ok(None) => {}
                Err(problem) => assert_eq!(problem.code, Code::IndexOpening, "{problem}"),
            }
            assert!(begun.elapsed() < PATIENCE, "the index did not catch up");
            tokio::task::yield_now().await;
        }
    }

    /// Ends so many runs that an ended one leaves the rules' memory, and waits until the index has it.
    pub(super) async fn crowd_out(&self, run: RunId) {
        let mut posts = tokio::task::JoinSet::new();
        for _ in 0..RECENT_RUNS {
            let service = self.service.clone();
            posts.spawn(
                async move { service.post_run(&operator(), read(r#"{"name":"empty"}"#)).await.unwrap() },
            );
        }
        posts.join_all().await;
        self.eventually(async || self.service.indexed(move |index| index.run(&run)).await).await;
    }
}
