//! The node behind HTTP: the `Service` that artel-web calls, over the rules' handle, the synced view, the index and the
//! journal's reader. One file per resource; here each call finds its place.
//!
//! Every answer is made from synced positions alone: replies of the rules come after their entries are on disk, looks
//! and events see nothing newer.

mod agents;
mod artifacts;
mod asking;
mod audit;
mod away;
mod claiming;
mod convert;
mod doctor;
mod enroll;
mod events;
#[cfg(test)]
mod failing_disk_test;
#[cfg(test)]
mod home_fixture;
#[cfg(test)]
mod index_test;
mod inner;
mod late;
mod lists;
mod members;
#[cfg(test)]
mod members_test;
mod metrics;
mod node;
mod notices;
#[cfg(test)]
mod notices_test;
mod page;
mod peers;
mod refusal;
mod runs;
#[cfg(test)]
mod service_test;
mod shown;
mod tasks;
mod telling;
mod upload;

pub use inner::{NodeService, Parts};
pub use node::VERSION;
pub use notices::Attending;
pub(crate) use shown::receipt_of;
pub use upload::FileBlob;

use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Tile;
use artel_protocol::text::Correlation;
use artel_web::metrics::Text;
use artel_web::trace::{Context, Request};
use artel_web::types::agent::{
    Agent, AgentPatch, AgentQuery, Contribution, Earnings, OwnAgent, Reputation, Work,
};
use artel_web::types::artifact::{Artifact, ArtifactName, ArtifactPost, ArtifactQuery, Content};
use artel_web::types::audit::{Consistency, Entry, EntryQuery, Proof};
use artel_web::types::auth::{SignedStatement, Verified};
use artel_web::types::doctor::Finding;
use artel_web::types::enroll::{Challenge, EnrollRequest, RespondRequest, Token};
use artel_web::types::event::{Event, EventId, EventPost, EventQuery};
use artel_web::types::home::Home;
use artel_web::types::ledger::Account;
use artel_web::types::member::{GivenInvitation, Invitation, InvitationPost, Node};
use artel_web::types::node::{Health, Status};
use artel_web::types::notice::{MarkRead, Marked, NoticeQuery, Notifications};
use artel_web::types::peer::{Journal, Peer, Traffic};
use artel_web::types::receipt::{Receipt, Record};
use artel_web::types::run::{Run, RunPost, RunQuery, Step};
use artel_web::types::task::{
    ClaimRequest, LateRedo, Lease, LeaseRequest, Offer, OfferQuery, Renewed, SubmitRequest, Submitted, Task,
    TaskPost, TaskQuery,
};
use artel_web::types::{Json, List, Page};
use artel_web::{Call, Principal, Problem, Service, Upload};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

impl Service for NodeService {
    type Blob = FileBlob;
    type Attendance = Attending;

    fn recognise(&self, bearer: &str) -> Option<Principal> {
        enroll::recognise(self, bearer)
    }
    fn authenticate(&self, bearer: &str) -> Result<Principal, Problem> {
        enroll::authenticate(self, bearer)
    }
    fn refused(&self, principal: &Principal, code: &'static str) {
        self.count_refusal(principal, code);
    }

    fn trace_begins(&self, correlation: &Correlation, context: &Context) {
        self.parts().traces.begin(correlation, context);
    }
    fn trace_ends(&self, request: &Request<'_>) {
        self.parts().traces.end(request);
    }
    fn metrics(&self, text: &mut Text) {
        metrics::write(self, text);
    }
    fn health(&self) -> Health {
        node::health(self)
    }
    fn ready(&self) -> Result<(), Problem> {
        node::ready(self)
    }
    fn status(&self) -> Status {
        node::status(self)
    }
    fn jwks(&self) -> Json {
        convert::value(&self.parts().tokens.jwks())
    }
    async fn checkpoint(&self) -> Result<String, Problem> {
        Ok(audit::checkpoint(self))
    }
    async fn tile(&self, tile: Tile) -> Result<Bytes, Problem> {
        audit::tile(self, tile).await
    }

    async fn enroll(&self, call: &Call, request: EnrollRequest) -> Result<Challenge, Problem> {
        enroll::enroll(self, call, request).await
    }
    async fn respond(
        &self,
        call: &Call,
        enrollment: EnrollmentId,
        request: RespondRequest,
    ) -> Result<Token, Problem> {
        enroll::respond(self, call, enrollment, request).await
    }
    async fn verify(&self, call: &Call) -> Result<Verified, Problem> {
        enroll::verify(self, call).await
    }
    async fn rotate(&self, call: &Call, statement: SignedStatement) -> Result<Token, Problem> {
        enroll::rotate(self, call, statement).await
    }
    async fn revoke(&self, call: &Call, statement: SignedStatement) -> Result<(), Problem> {
        enroll::revoke(self, call, statement).await
    }

    async fn names(
        &self,
        call: &Call,
        agents: BTreeSet<AgentId>,
    ) -> Result<BTreeMap<AgentId, String>, Problem> {
        agents::names(self, call, agents).await
    }
    async fn agents(&self, call: &Call, query: AgentQuery) -> Result<List<Agent>, Problem> {
        agents::list(self, call, query).await
    }
    async fn agent(&self, call: &Call, agent: AgentId) -> Result<Agent, Problem> {
        agents::get(self, call, agent).await
    }
    async fn own_agent(&self, call: &Call, me: AgentId) -> Result<OwnAgent, Problem> {
        agents::own(self, call, me).await
    }
    async fn configure(&self, call: &Call, me: AgentId, patch: AgentPatch) -> Result<OwnAgent, Problem> {
        agents::configure(self, call, me, patch).await
    }
    async fn revoke_agent(&self, call: &Call, agent: AgentId) -> Result<Agent, Problem> {
        agents::revoke(self, call, agent).await
    }
    async fn reputation(&self, call: &Call, agent: AgentId) -> Result<Reputation, Problem> {
        agents::reputation(self, call, agent).await
    }
    async fn history(&self, call: &Call, agent: AgentId, page: Page) -> Result<List<Work>, Problem> {
        agents::history(self, call, agent, page).await
    }
    async fn earnings(&self, call: &Call, me: AgentId) -> Result<Earnings, Problem> {
        agents::earnings(self, call, me).await
    }
    async fn contributions(
        &self,
        call: &Call,
        me: AgentId,
        page: Page,
    ) -> Result<List<Contribution>, Problem> {
        agents::contributions(self, call, me, page).await
    }

    async fn post_task(&self, call: &Call, post: TaskPost) -> Result<Task, Problem> {
        tasks::post(self, call, post).await
    }
    async fn tasks(&self, call: &Call, query: TaskQuery) -> Result<List<Task>, Problem> {
        lists::tasks(self, call, query).await
    }
    async fn homes(&self, call: &Call, page: Page) -> Result<List<Home>, Problem> {
        self.viewer(call).await?;
        peers::homes(self, &page)
    }
    async fn offers(&self, call: &Call, query: OfferQuery) -> Result<List<Offer>, Problem> {
        self.viewer(call).await?;
        away::offers(self, &query)
    }
    async fn task(&self, call: &Call, task: StepId) -> Result<Task, Problem> {
        tasks::get(self, call, task).await
    }
    async fn claim(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        claim: ClaimRequest,
    ) -> Result<Lease, Problem> {
        tasks::claim(self, call, me, task, claim).await
    }
    async fn claim_next(
        &self,
        call: &Call,
        me: AgentId,
        claim: ClaimRequest,
    ) -> Result<Option<Lease>, Problem> {
        tasks::claim_next(self, call, me, claim).await
    }
    async fn renew(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        lease: LeaseRequest,
    ) -> Result<Renewed, Problem> {
        tasks::renew(self, call, me, task, lease).await
    }
    async fn release(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        lease: LeaseRequest,
    ) -> Result<(), Problem> {
        tasks::release(self, call, me, task, lease).await
    }
    async fn submit(
        &self,
        call: &Call,
        me: AgentId,
        task: StepId,
        submission: SubmitRequest,
    ) -> Result<Submitted, Problem> {
        tasks::submit(self, call, me, task, submission).await
    }
    async fn cancel_task(&self, call: &Call, task: StepId) -> Result<Task, Problem> {
        tasks::cancel(self, call, task).await
    }
    async fn redo_task(&self, call: &Call, task: StepId) -> Result<LateRedo, Problem> {
        late::redo(self, call, task).await
    }
    async fn receipt(&self, call: &Call, task: StepId) -> Result<Receipt, Problem> {
        audit::receipt(self, call, task).await
    }

    async fn post_run(&self, call: &Call, post: RunPost) -> Result<Run, Problem> {
        runs::post(self, call, post).await
    }
    async fn runs(&self, call: &Call, query: RunQuery) -> Result<List<Run>, Problem> {
        lists::runs(self, call, query).await
    }
    async fn run(&self, call: &Call, run: RunId) -> Result<Run, Problem> {
        runs::get(self, call, run).await
    }
    async fn cancel_run(&self, call: &Call, run: RunId) -> Result<Run, Problem> {
        runs::cancel(self, call, run).await
    }
    async fn steps(&self, call: &Call, run: RunId, page: Page) -> Result<List<Step>, Problem> {
        runs::steps(self, call, run, page).await
    }
    async fn step(&self, call: &Call, step: StepId) -> Result<Step, Problem> {
        runs::step(self, call, step).await
    }

    async fn announce_artifact(&self, call: &Call, post: ArtifactPost) -> Result<Artifact, Problem> {
        artifacts::announce(self, call, post).await
    }
    async fn store_artifact(
        &self,
        call: &Call,
        post: ArtifactPost,
        bytes: Upload,
    ) -> Result<Artifact, Problem> {
        artifacts::store(self, call, post, bytes).await
    }
    async fn fill_artifact(
        &self,
        call: &Call,
        artifact: ArtifactId,
        bytes: Upload,
    ) -> Result<Artifact, Problem> {
        artifacts::fill(self, call, artifact, bytes).await
    }
    async fn artifacts(&self, call: &Call, query: ArtifactQuery) -> Result<List<Artifact>, Problem> {
        artifacts::list(self, call, query).await
    }
    async fn artifact(&self, call: &Call, artifact: ArtifactId) -> Result<Artifact, Problem> {
        artifacts::get(self, call, artifact).await
    }
    async fn content(&self, call: &Call, name: ArtifactName) -> Result<Content, Problem> {
        artifacts::content(self, call, name).await
    }
    async fn read_content(
        &self,
        call: &Call,
        digest: Digest,
        start: u64,
        length: u64,
    ) -> Result<FileBlob, Problem> {
        upload::open(self, call, digest, start, length).await
    }

    async fn events(&self, call: &Call, query: EventQuery) -> Result<List<Event>, Problem> {
        events::list(self, call, query).await
    }
    async fn event(&self, call: &Call, event: EventId) -> Result<Event, Problem> {
        events::get(self, call, event).await
    }
    async fn emit(&self, call: &Call, post: EventPost) -> Result<Event, Problem> {
        events::emit(self, call, post).await
    }

    async fn notifications(
        &self,
        call: &Call,
        me: AgentId,
        query: NoticeQuery,
    ) -> Result<Notifications, Problem> {
        notices::list(self, call, me, query).await
    }
    async fn mark_read(&self, call: &Call, me: AgentId, mark: MarkRead) -> Result<Marked, Problem> {
        notices::mark_read(self, call, me, mark).await
    }
    fn attend(&self, call: &Call) -> Attending {
        notices::attend(self, call)
    }

    async fn peers(&self, _: &Call) -> Result<List<Peer>, Problem> {
        peers::list(self).await
    }

    fn traffic(&self) -> Traffic {
        peers::traffic(self)
    }

    async fn doctor(&self, _: &Call) -> Result<List<Finding>, Problem> {
        Ok(doctor::findings(self).await)
    }

    async fn journals(&self, _: &Call, page: Page) -> Result<List<Journal>, Problem> {
        peers::journals(self, &page)
    }

    async fn nodes(&self, call: &Call, page: Page) -> Result<List<Node>, Problem> {
        members::list(self, call, page).await
    }
    async fn expel(&self, call: &Call, node: NodeId, reason: String) -> Result<Node, Problem> {
        members::expel(self, call, node, reason).await
    }
    async fn admit_node(&self, call: &Call, node: NodeId) -> Result<Node, Problem> {
        members::admit(self, call, node).await
    }
    async fn invitations(&self, call: &Call, page: Page) -> Result<List<GivenInvitation>, Problem> {
        members::invitations(self, call, page).await
    }
    async fn invite(&self, call: &Call, post: InvitationPost) -> Result<Invitation, Problem> {
        members::invite(self, call, post).await
    }
    async fn uninvite(&self, call: &Call, digest: Digest) -> Result<(), Problem> {
        members::uninvite(self, call, digest).await
    }

    async fn entries(&self, call: &Call, query: EntryQuery) -> Result<List<Entry>, Problem> {
        audit::entries(self, call, query).await
    }
    async fn entry(&self, call: &Call, index: u64) -> Result<Entry, Problem> {
        audit::entry(self, call, index).await
    }
    async fn proof(&self, call: &Call, index: u64) -> Result<Proof, Problem> {
        audit::proof(self, call, index).await
    }
    async fn consistency(&self, call: &Call, from: u64, to: u64) -> Result<Consistency, Problem> {
        audit::consistency(self, call, (from, to)).await
    }
    async fn record(&self, call: &Call, index: u64) -> Result<Record, Problem> {
        audit::opened(self, call, index).await
    }
    async fn accounts(&self, call: &Call, page: Page) -> Result<List<Account>, Problem> {
        audit::accounts(self, call, page).await
    }
}
