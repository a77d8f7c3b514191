//! The one trait through which HTTP talks to a node, and who calls. No answer is given before what it says is synced;
//! that is the implementor's duty.

use crate::metrics::Text;
use crate::problem::Problem;
use crate::trace;
use crate::types::agent::{
    Agent, AgentPatch, AgentQuery, Contribution, Earnings, OwnAgent, Reputation, Work,
};
use crate::types::artifact::{Artifact, ArtifactName, ArtifactPost, ArtifactQuery, Content};
use crate::types::audit::{Consistency, Entry, EntryQuery, Proof};
use crate::types::auth::{SignedStatement, Verified};
use crate::types::doctor::Finding;
use crate::types::enroll::{Challenge, EnrollRequest, RespondRequest, Token};
use crate::types::event::{Event, EventId, EventPost, EventQuery};
use crate::types::home::Home;
use crate::types::ledger::Account;
use crate::types::member::{GivenInvitation, Invitation, InvitationPost, Node};
use crate::types::node::{Health, Status};
use crate::types::notice::{MarkRead, Marked, NoticeQuery, Notifications, Told};
use crate::types::peer::{Journal, Peer, Traffic};
use crate::types::receipt::{Receipt, Record};
use crate::types::run::{Run, RunPost, RunQuery, Step};
use crate::types::task::{
    ClaimRequest, LateRedo, Lease, LeaseRequest, Offer, OfferQuery, Renewed, SubmitRequest, Submitted, Task,
    TaskPost, TaskQuery,
};
use crate::types::{Json, List, Page};
use crate::upload::Upload;
use artel_protocol::id::{Digest, EnrollmentId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::tile::Tile;
use artel_protocol::text::Correlation;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Who calls, as far as the credential says. Whether an agent may do a thing is the service's to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A stranger.
    Anonymous,
    /// The node's operator.
    Operator,
    /// An agent.
    Agent {
        /// The agent.
        id: AgentId,
        /// Its token's serial number.
        serial: u32,
    },
}

/// What is known of a request beside what it asks.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub principal: Principal,
    /// The request's correlation id, the caller's or a fresh one.
    pub correlation: Correlation,
    /// From where.
    pub remote: IpAddr,
    /// The caller's key for repeats, on posts.
    pub idempotency: Option<Idempotency>,
}

/// A key under which a post may be repeated without effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to 128 visible ASCII characters.
    pub key: String,
    /// Digest of the body as it came.
    pub body: Digest,
}

/// An artifact's bytes, read piece by piece.
pub trait Blob: Send + 'static {
    /// The next piece, nothing at the end. On an error the connection is cut, so that the receiver sees that bytes
    /// are missing; an implementor that reads a whole artifact checks its digest before it gives the last piece.
    fn read(&mut self) -> impl Future<Output = Result<Option<Bytes>, Problem>> + Send;
}

/// A caller who stays: a socket. Clones are the same.
pub trait Attendance: Clone + Unpin + Send + Sync + 'static {
    /// Has it told of these notices from now on, in place of others.
    fn begin(&self, query: NoticeQuery) -> impl Future<Output = Result<(), Problem>> + Send;
    /// No notices any more.
    fn end(&self);
    /// Waits for the next ones. A refusal is the last word: the credential does not stand any more, or nothing can be told.
    fn next(&self) -> impl Future<Output = Result<Told, Problem>> + Send;
}

/// A node, as HTTP sees it. Futures may be dropped at any point: the caller is gone, or the time is up.
pub trait Service: Clone + Send + Sync + 'static {
    /// How artifacts are read.
    type Blob: Blob;
    /// How a caller who stays is looked after.
    type Attendance: Attendance;

    /// Says whom a bearer token names if that is known without a signature check (a cache, the operator's token).
    fn recognise(&self, bearer: &str) -> Option<Principal>;
    /// Checks a bearer token in full. Must not block.
    fn authenticate(&self, bearer: &str) -> Result<Principal, Problem>;
    /// Learns that the edge refused a known principal, so that the refusal can be counted in the audit log.
    fn refused(&self, principal: &Principal, code: &'static str);

    /// A request begins whose caller has a trace; only where [`crate::Options`] has it so. Must not block.
    fn trace_begins(&self, correlation: &Correlation, context: &trace::Context);
    /// It was answered.
    fn trace_ends(&self, request: &trace::Request<'_>);
    /// `GET /metrics`: adds what the node measures. Must not block. Labels are from closed sets.
    fn metrics(&self, text: &mut Text);
    /// `GET /v1/health`, `/healthz`.
    fn health(&self) -> Health;
    /// `GET /readyz`: nothing, or why the node is not ready.
    fn ready(&self) -> Result<(), Problem>;
    /// `GET /`.
    fn status(&self) -> Status;
    /// `GET /.well-known/jwks.json`: a JWK set (RFC 7517).
    fn jwks(&self) -> Json;
    /// `GET /log/checkpoint`: the last signed checkpoint, a C2SP signed note.
    fn checkpoint(&self) -> impl Future<Output = Result<String, Problem>> + Send;
    /// `GET /log/tile/…`: a tile or an entry bundle. Full ones are immutable.
    fn tile(&self, tile: Tile) -> impl Future<Output = Result<Bytes, Problem>> + Send;

    /// `POST /v1/enroll`.
    fn enroll(
        &self,
        call: &Call,
        request: EnrollRequest,
    ) -> impl Future<Output = Result<Challenge, Problem>> + Send;
    /// `POST /v1/enroll/{id}/respond`.
    fn respond(
        &self,
        call: &Call,
        enrollment: EnrollmentId,
        request: RespondRequest,
    ) -> impl Future<Output = Result<Token, Problem>> + Send;
    /// `GET /v1/auth/verify`.
    fn verify(&self, call: &Call) -> impl Future<Output = Result<Verified, Problem>> + Send;
    /// `POST /v1/auth/rotate`.
    fn rotate(
        &self,
        call: &Call,
        statement: SignedStatement,
    ) -> impl Future<Output = Result<Token, Problem>> + Send;
    /// `POST /v1/auth/revoke`.
    fn revoke(
        &self,
        call: &Call,
        statement: SignedStatement,
    ) -> impl Future<Output = Result<(), Problem>> + Send;

    /// What those of these agents call themselves that are known here, for pages.
    fn names(
        &self,
        call: &Call,
        agents: BTreeSet<AgentId>,
    ) -> impl Future<Output = Result<BTreeMap<AgentId, String>, Problem>> + Send;
    /// `GET /v1/agents`.
    fn agents(
        &self,
        call: &Call,
        query: AgentQuery,
    ) -> impl Future<Output = Result<List<Agent>, Problem>> + Send;
    /// `GET /v1/agents/{did}`.
    fn agent(&self, call: &Call, agent: AgentId) -> impl Future<Output = Result<Agent, Problem>> + Send;
    /// `GET /v1/agents/me`; the caller is an agent.
    fn own_agent(&self, call: &Call, me: AgentId) -> impl Future<Output = Result<OwnAgent, Problem>> + Send;
    /// `PATCH /v1/agents/me/config`; the caller is an agent.
    fn configure(
        &self,
        call: &Call,
        me: AgentId,
        patch: AgentPatch,
    ) -> impl Future<Output = Result<OwnAgent, Problem>> + Send;
    /// `POST /v1/agents/{did}/revoke`; the caller is the operator.
    fn revoke_agent(
        &self,
        call: &Call,
        agent: AgentId,
    ) -> impl Future<Output = Result<Agent, Problem>> + Send;
    /// `GET /v1/agents/{did}/reputation`.
    fn reputation(
        &self,
        call: &Call,
        agent: AgentId,
    ) -> impl Future<Output = Result<Reputation, Problem>> + Send;
    /// `GET /v1/agents/{did}/history`.
    fn history(
        &self,
        call: &Call,
        agent: AgentId,
        page: Page,
    ) -> impl Future<Output = Result<List<Work>, Problem>> + Send;
    /// `GET /v1/agents/me/earnings`; the caller is an agent.
    fn earnings(&self, call: &Call, me: AgentId) -> impl Future<Output = Result<Earnings, Problem>> + Send;
    /// `GET /v1/agents/me/contributions`; the caller is an agent.
    fn contributions(
        &self,
        call: &Call,
        me: AgentId,
        page: Page,
    ) -> impl Future<Output = Result<List<Contribution>, Problem>> + Send;

    /// `POST /v1/tasks`.
    fn post_task(&self, call: &Call, post: TaskPost) -> impl Future<Output = Result<Task, Problem>> + Send;
    /// `GET /v1/tasks`.
    fn tasks(
        &self,
        call: &Call,
        query: TaskQuery,
    ) -> impl Future<Output = Result<List<Task>, Problem>> + Send;
    /// `GET /v1/homes`, by key: other homes' standing, as far as it was heard.
    fn homes(&self, call: &Call, page: Page) -> impl Future<Output = Result<List<Home>, Problem>> + Send;
    /// `GET /v1/offers`: what other homes offer, as far as it was heard.
    fn offers(
        &self,
        call: &Call,
        query: OfferQuery,
    ) -> impl Future<Output = Result<List<Offer>, Problem>> + Send;
    /// `GET /v1/tasks/{id}`.
    fn task(&self, call: &Call, task: StepId) -> impl Future<Output = Result<Task, Problem>> + Send;
    /// `POST /v1/tasks/{id}/claim`; the caller is an agent.
    fn claim(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        claim: ClaimRequest,
    ) -> impl Future<Output = Result<Lease, Problem>> + Send;
    /// `POST /v1/tasks/claim`; the caller is an agent. Waits up to `wait_ms`; nothing where there is no task.
    fn claim_next(
        &self,
        call: &Call,
        me: AgentId,
        claim: ClaimRequest,
    ) -> impl Future<Output = Result<Option<Lease>, Problem>> + Send;
    /// `POST /v1/tasks/{id}/renew`; the caller is an agent.
    fn renew(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        lease: LeaseRequest,
    ) -> impl Future<Output = Result<Renewed, Problem>> + Send;
    /// `POST /v1/tasks/{id}/release`; the caller is an agent.
    fn release(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        lease: LeaseRequest,
    ) -> impl Future<Output = Result<(), Problem>> + Send;
    /// `POST /v1/tasks/{id}/submit`; the caller is an agent. May wait for the next task as the claim in it says.
    fn submit(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        submission: SubmitRequest,
    ) -> impl Future<Output = Result<Submitted, Problem>> + Send;
    /// `POST /v1/tasks/{id}/redo`; the caller is the operator. Answers after a few seconds, also while it is under way.
    fn redo_task(&self, call: &Call, task: StepId) -> impl Future<Output = Result<LateRedo, Problem>> + Send;
    /// `POST /v1/tasks/{id}/cancel`.
    fn cancel_task(&self, call: &Call, task: StepId) -> impl Future<Output = Result<Task, Problem>> + Send;
    /// `GET /v1/tasks/{id}/receipt`.
    fn receipt(&self, call: &Call, task: StepId) -> impl Future<Output = Result<Receipt, Problem>> + Send;

    /// `POST /v1/runs`.
    fn post_run(&self, call: &Call, post: RunPost) -> impl Future<Output = Result<Run, Problem>> + Send;
    /// `GET /v1/runs`.
    fn runs(&self, call: &Call, query: RunQuery) -> impl Future<Output = Result<List<Run>, Problem>> + Send;
    /// `GET /v1/runs/{id}`.
    fn run(&self, call: &Call, run: RunId) -> impl Future<Output = Result<Run, Problem>> + Send;
    /// `POST /v1/runs/{id}/cancel`.
    fn cancel_run(&self, call: &Call, run: RunId) -> impl Future<Output = Result<Run, Problem>> + Send;
    /// `GET /v1/runs/{id}/steps`.
    fn steps(
        &self,
        call: &Call,
        run: RunId,
        page: Page,
    ) -> impl Future<Output = Result<List<Step>, Problem>> + Send;
    /// `GET /v1/runs/{id}/steps/{step_id}`; the step is one of the run.
    fn step(&self, call: &Call, step: StepId) -> impl Future<Output = Result<Step, Problem>> + Send;

    /// `POST /v1/artifacts` without content: announces bytes that will follow, and says where to put them.
    fn announce_artifact(
        &self,
        call: &Call,
        post: ArtifactPost,
    ) -> impl Future<Output = Result<Artifact, Problem>> + Send;
    /// `POST /v1/artifacts` with content and `PUT /v1/artifacts/sha256:HEX`: stores bytes and enters them. With
    /// `post.sha256` the bytes must have that digest.
    fn store_artifact(
        &self,
        call: &Call,
        post: ArtifactPost,
        bytes: Upload,
    ) -> impl Future<Output = Result<Artifact, Problem>> + Send;
    /// `PUT /v1/artifacts/{uuid}`: the bytes of an announced artifact.
    fn fill_artifact(
        &self,
        call: &Call,
        artifact: artel_protocol::id::ArtifactId,
        bytes: Upload,
    ) -> impl Future<Output = Result<Artifact, Problem>> + Send;
    /// `GET /v1/artifacts`.
    fn artifacts(
        &self,
        call: &Call,
        query: ArtifactQuery,
    ) -> impl Future<Output = Result<List<Artifact>, Problem>> + Send;
    /// `GET /v1/artifacts/{uuid}`.
    fn artifact(
        &self,
        call: &Call,
        artifact: artel_protocol::id::ArtifactId,
    ) -> impl Future<Output = Result<Artifact, Problem>> + Send;
    /// `GET` and `HEAD` of an artifact's bytes, first half: what they are.
    fn content(
        &self,
        call: &Call,
        name: ArtifactName,
    ) -> impl Future<Output = Result<Content, Problem>> + Send;
    /// `GET` of an artifact's bytes, second half: `length` bytes from `start`, which lie inside.
    fn read_content(
        &self,
        call: &Call,
        digest: Digest,
        start: u64,
        length: u64,
    ) -> impl Future<Output = Result<Self::Blob, Problem>> + Send;

    /// `GET /v1/events`. With `wait_ms` it waits for the first event behind `after`; `next_cursor` is always there.
    fn events(
        &self,
        call: &Call,
        query: EventQuery,
    ) -> impl Future<Output = Result<List<Event>, Problem>> + Send;
    /// `GET /v1/events/{id}`.
    fn event(&self, call: &Call, event: EventId) -> impl Future<Output = Result<Event, Problem>> + Send;
    /// `POST /v1/events`; the caller is the operator.
    fn emit(&self, call: &Call, post: EventPost) -> impl Future<Output = Result<Event, Problem>> + Send;

    /// `GET /v1/notifications`; the caller is an agent.
    fn notifications(
        &self,
        call: &Call,
        me: AgentId,
        query: NoticeQuery,
    ) -> impl Future<Output = Result<Notifications, Problem>> + Send;
    /// `POST /v1/notifications/mark-read`; the caller is an agent. The mark is on disk when it is answered.
    fn mark_read(
        &self,
        call: &Call,
        me: AgentId,
        mark: MarkRead,
    ) -> impl Future<Output = Result<Marked, Problem>> + Send;
    /// Begins to look after a caller who stays: whether its credential stands, and its notices.
    fn attend(&self, call: &Call) -> Self::Attendance;

    /// `GET /v1/peers`; the caller is the operator. None where this node has to do with no other.
    fn peers(&self, call: &Call) -> impl Future<Output = Result<List<Peer>, Problem>> + Send;
    /// `GET /v1/traffic`; the caller is the operator. Zeros where this node has to do with no other.
    fn traffic(&self) -> Traffic;
    /// `GET /v1/doctor`, by check; the caller is the operator.
    fn doctor(&self, call: &Call) -> impl Future<Output = Result<List<Finding>, Problem>> + Send;
    /// `GET /v1/journals`, by origin; the caller is the operator.
    fn journals(
        &self,
        call: &Call,
        page: Page,
    ) -> impl Future<Output = Result<List<Journal>, Problem>> + Send;

    /// `GET /v1/nodes`.
    fn nodes(&self, call: &Call, page: Page) -> impl Future<Output = Result<List<Node>, Problem>> + Send;
    /// `POST /v1/nodes/{did}/expel`; the caller is the operator.
    fn expel(
        &self,
        call: &Call,
        node: NodeId,
        reason: String,
    ) -> impl Future<Output = Result<Node, Problem>> + Send;
    /// `POST /v1/nodes/{did}/admit`; the caller is the operator.
    fn admit_node(&self, call: &Call, node: NodeId) -> impl Future<Output = Result<Node, Problem>> + Send;
    /// `GET /v1/invitations`; the caller is the operator.
    fn invitations(
        &self,
        call: &Call,
        page: Page,
    ) -> impl Future<Output = Result<List<GivenInvitation>, Problem>> + Send;
    /// `POST /v1/invitations`; the caller is the operator.
    fn invite(
        &self,
        call: &Call,
        post: InvitationPost,
    ) -> impl Future<Output = Result<Invitation, Problem>> + Send;
    /// `DELETE /v1/invitations/{digest}`; the caller is the operator.
    fn uninvite(&self, call: &Call, digest: Digest) -> impl Future<Output = Result<(), Problem>> + Send;

    /// `GET /v1/audit/entries`.
    fn entries(
        &self,
        call: &Call,
        query: EntryQuery,
    ) -> impl Future<Output = Result<List<Entry>, Problem>> + Send;
    /// `GET /v1/audit/entries/{index}`.
    fn entry(&self, call: &Call, index: u64) -> impl Future<Output = Result<Entry, Problem>> + Send;
    /// `GET /v1/audit/proof/{index}`.
    fn proof(&self, call: &Call, index: u64) -> impl Future<Output = Result<Proof, Problem>> + Send;
    /// That the log of `to` entries continues the one of `from`, for an entry's page; a signed checkpoint covers `to`.
    fn consistency(
        &self,
        call: &Call,
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<Consistency, Problem>> + Send;
    /// An entry with its body, what opens its leaf, and its proof, for the entry's page; for whom the entry concerns.
    fn record(&self, call: &Call, index: u64) -> impl Future<Output = Result<Record, Problem>> + Send;
    /// `GET /v1/ledger/accounts`; the caller is the operator.
    fn accounts(
        &self,
        call: &Call,
        page: Page,
    ) -> impl Future<Output = Result<List<Account>, Problem>> + Send;
}
