//! What every answer is made from: the way into the rules, looks at the synced state, the index, the journal's reader.
//! Here it is judged whether a caller's credential stands for a read; for a request the rules judge it themselves.

use super::refusal;
use super::shown::Viewer;
use crate::clock;
use crate::config::Config;
use crate::doctor::Doctor;
use crate::driver::Down;
use crate::events::Events;
use crate::hand::Hand;
use crate::handle::Handle;
use crate::index::Index;
use crate::notices::{Followers, Marks};
use crate::store::Blobs;
use crate::token::Tokens;
use artel_audit::Reader;
use artel_federation::fact::{Output, Revoker, RunPosted};
use artel_federation::run::Run;
use artel_federation::view::{Counts, View};
use artel_federation::{Entry, Fact, Identity, Input, Json, Reply, Request};
use artel_protocol::id::{Digest, RunId};
use artel_protocol::key::SecretKey;
use artel_protocol::time::Wall;
use artel_web::{Call, Code, Principal, Problem};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Instant;

/// What the service is made of.
pub struct Parts {
    /// The way into the rules.
    pub handle: Handle,
    /// Whether the journal can be written.
    pub down: Down,
    /// Makes and checks bearer tokens.
    pub tokens: Tokens,
    /// Artifacts' bytes.
    pub blobs: Blobs,
    /// What is read by key.
    pub index: Index,
    /// The newest events.
    pub events: Arc<Events>,
    /// The journal's reader of now: a journal that was opened again has another one.
    pub reader: Box<dyn Fn() -> Reader + Send + Sync>,
    /// The configuration.
    pub config: Arc<Config>,
    /// This node in its federation.
    pub identity: Identity,
    /// The federation's name.
    pub federation_name: String,
    /// The node's key, which signs invitations.
    pub key: Arc<SecretKey>,
    /// Where other nodes can reach this one, as multiaddrs.
    pub addresses: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Other nodes, where this one has to do with any.
    pub neighbours: Option<crate::neighbours::Neighbours>,
    /// What signs acknowledgements with the node's key.
    pub hand: Arc<Hand>,
    /// The data directory.
    pub data: PathBuf,
    /// Where the API listens.
    pub http: SocketAddr,
    /// When the node started, by the monotonic and by the wall clock.
    pub started: (Instant, Wall),
    /// Up to where agents have read their notices.
    pub marks: Marks,
    /// What the operator has run again after its verdict.
    pub redos: Arc<crate::redo::late::LateRedos>,
    /// What is measured of the journal's commits.
    pub journal: Arc<crate::metrics::Journal>,
    /// This node's own sandbox.
    pub bench: Arc<crate::redo::Bench>,
    /// Requests with a trace of their caller's.
    pub traces: Arc<crate::traces::Requests>,
}

/// A node, as HTTP sees it. Cheap to clone.
#[derive(Clone)]
pub struct NodeService(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub parts: Parts,
    /// Digests of bearers that were checked once; who bears them is asked of [`Tokens`], which remembers it.
    pub checked_bearers: RwLock<HashSet<Digest>>,
    /// Artifacts whose bytes are still to come.
    pub announced: Mutex<super::artifacts::Announced>,
    /// Bytes of artifacts that are on their way in.
    pub incoming_bytes: AtomicU64,
    /// Whoever has an artifact's bytes checked holds one of these.
    pub checks: tokio::sync::Semaphore,
    /// Held by the one who walks through the whole book.
    pub walking: tokio::sync::Mutex<()>,
    /// Those who are there to be told.
    pub followers: Arc<Followers>,
    /// How much of everything there is, as far as [`NodeService::keep_counts`] has seen.
    pub counts: OnceLock<Mutex<Counts>>,
    /// What examines the node and its machine.
    pub doctor: Doctor,
}

impl NodeService {
    /// A service over these parts.
    pub fn new(parts: Parts) -> Self {
        NodeService(Arc::new(Inner {
            parts,
            checked_bearers: RwLock::default(),
            announced: Mutex::default(),
            incoming_bytes: AtomicU64::new(0),
            checks: tokio::sync::Semaphore::new(super::upload::CHECKS_AT_ONCE),
            walking: tokio::sync::Mutex::new(()),
            followers: Arc::default(),
            counts: OnceLock::new(),
            doctor: Doctor::default(),
        }))
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(super) fn reader(&self) -> Reader {
        (self.0.parts.reader)()
    }

    /// Asks the rules in the caller's name; the answer's entries are on disk.
    pub(super) async fn ask(&self, call: &Call, request: Request) -> Result<Reply, Problem> {
        let (principal, correlation) = (rules_principal(&call.principal), Some(call.correlation.clone()));
        match self.0.parts.handle.ask(principal, correlation, request).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(refusal)) => Err(refusal::of_rules(refusal)),
            Err(unavailable) => Err(refusal::of_driver(unavailable)),
        }
    }

    /// The same, for a task that is waited for until `enough` is done.
    pub(super) async fn ask_until(
        &self,
        call: &Call,
        request: Request,
        enough: impl Future<Output = ()>,
    ) -> Result<Reply, Problem> {
        let (principal, correlation) = (rules_principal(&call.principal), Some(call.correlation.clone()));
        match self.0.parts.handle.ask_until(principal, correlation, request, enough).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(refusal)) => Err(refusal::of_rules(refusal)),
            Err(unavailable) => Err(refusal::of_driver(unavailable)),
        }
    }

    /// Refuses a request before the rules have seen it, and has them count it.
    pub(super) fn refuse(&self, call: &Call, problem: Problem) -> Problem {
        self.count_refusal(&call.principal, problem.code.as_str());
        problem
    }

    pub(super) fn count_refusal(&self, principal: &Principal, code: &'static str) {
        if let Some(who) = rules_principal(principal).poster() {
            self.0.parts.handle.tell(Input::RefusedAtEdge { who, code });
        }
    }

    /// Looks at the synced state for a caller whose credential stands.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        call: &Call,
        look: impl FnOnce(View<'_>, Viewer) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let principal = call.principal;
        let looked = self.0.parts.handle.look(move |view| Ok(look(view, admit(view, &principal)?)));
        looked.await.map_err(refusal::of_driver)?
    }

    /// Says who looks; a look of its own only where a credential has to be judged.
    pub(super) async fn viewer(&self, call: &Call) -> Result<Viewer, Problem> {
        match call.principal {
            Principal::Operator => Ok(Viewer::Operator),
            _ => self.look(call, |_, viewer| viewer).await,
        }
    }

    /// Does what waits for the disk where it holds nobody else up.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&NodeService) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let service = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&service)).await;
        done.unwrap_or_else(|_| Err(refusal::bug("work on a blocking thread ended early")))
    }

    /// Asks the index, which reads from disk.
    pub(super) async fn indexed<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Index) -> Result<T, crate::index::NotReady> + Send + 'static,
    ) -> Result<T, Problem> {
        self.blocking(move |service| ask(&service.0.parts.index).map_err(refusal::of_index)).await
    }

    /// What `find` finds in a run, wherever the run is: in the rules' memory, or closed and in the index. Where it
    /// finds nothing, or there is no such run, it is not found.
    pub(super) async fn in_run<T: Send + 'static>(
        &self,
        call: &Call,
        id: RunId,
        find: impl FnOnce(&Run, &Viewer) -> Option<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let looked = self.look(call, move |view, viewer| match view.run(&id) {
            Some(run) => Ok(find(run, &viewer)),
            None => Err((find, viewer)),
        });
        let found = match looked.await? {
            Ok(found) => found,
            Err((find, viewer)) => {
                let run = self.indexed(move |index| index.run(&id)).await?;
                run.and_then(|run| find(&run, &viewer))
            }
        };
        found.ok_or_else(|| Problem::of(Code::NotFound))
    }

    /// One entry of the journal.
    pub(super) fn entry(&self, index: u64) -> Result<Entry, Problem> {
        self.decode(&self.reader().entry(index).map_err(refusal::of_reader)?)
    }

    /// What an entry of the journal says.
    pub(super) fn decode(&self, stored: &artel_audit::Entry) -> Result<Entry, Problem> {
        Entry::decode(&stored.body).map_err(|error| {
            tracing::error!(index = stored.index, %error, "an entry cannot be read");
            Problem::of(Code::Internal)
        })
    }

    /// What a run's poster said, where it has left memory.
    pub(super) async fn posted(&self, at: Option<u64>) -> Result<Option<RunPosted>, Problem> {
        let Some(at) = at else { return Ok(None) };
        match self.blocking(move |service| service.entry(at)).await {
            Ok(Entry { fact: Fact::RunPosted(posted), .. }) => Ok(Some(posted)),
            Ok(_) => Err(refusal::bug("a run's first entry is no post")),
            // The subject's data key was erased: what is gone is shown as gone.
            Err(problem) if problem.code == Code::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// A step's output, where it has left memory.
    pub(super) async fn output(&self, at: Option<u64>) -> Result<Option<Json>, Problem> {
        let Some(at) = at else { return Ok(None) };
        match self.blocking(move |service| service.entry(at)).await {
            Ok(Entry { fact: Fact::Output(Output { output, .. }), .. }) => Ok(Some(output)),
            Ok(_) => Err(refusal::bug("a step's output stands elsewhere")),
            Err(problem) if problem.code == Code::NotFound => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

pub(super) fn rules_principal(principal: &Principal) -> artel_federation::Principal {
    match *principal {
        Principal::Anonymous => artel_federation::Principal::Stranger,
        Principal::Operator => artel_federation::Principal::Operator,
        Principal::Agent { id, serial } => artel_federation::Principal::Agent { id, serial },
    }
}

/// Whether a credential stands, by the same conditions as the rules' own for requests.
fn admit(view: View<'_>, principal: &Principal) -> Result<Viewer, Problem> {
    let (id, serial) = match *principal {
        Principal::Anonymous => return Err(Problem::of(Code::Unauthenticated)),
        Principal::Operator => return Ok(Viewer::Operator),
        Principal::Agent { id, serial } => (id, serial),
    };
    match view.agent(&id) {
        None => Err(Problem::new(Code::TokenRevoked, "this agent is not enrolled here; enroll again")),
        Some(agent) if agent.revoked == Some(Revoker::Operator) => Err(Problem::of(Code::AgentRevoked)),
        Some(agent) if agent.serial != serial || agent.revoked.is_some() => {
            Err(Problem::of(Code::TokenRevoked))
        }
        Some(_) => Ok(Viewer::Agent(id)),
    }
}

/// This moment, for what people read.
pub(super) fn now() -> Wall {
    clock::wall()
}
