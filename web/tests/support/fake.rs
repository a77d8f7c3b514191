//! A service with one agent, one task, one run, one artifact and one event.

use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, FederationId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Hash;
use artel_protocol::log::tile::Tile;
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_web::metrics::Text;
use artel_web::trace;
use artel_web::types::agent::*;
use artel_web::types::artifact::*;
use artel_web::types::audit::{Consistency, Entry, EntryQuery, Proof};
use artel_web::types::auth::{Role, SignedStatement, Verified};
use artel_web::types::doctor::Finding;
use artel_web::types::enroll::{Challenge, EnrollRequest, RespondRequest, Token};
use artel_web::types::event::{Event, EventId, EventPost, EventQuery};
pub use artel_web::types::example::{CONTENT, Example, NOW};
use artel_web::types::home::Home;
use artel_web::types::ledger::Account;
use artel_web::types::member::{GivenInvitation, Invitation, InvitationPost, Node, NodeStatus};
use artel_web::types::node::{Health, HealthStatus, Status};
use artel_web::types::notice::{Gap, MarkRead, Marked, Notice, NoticeKind, NoticeQuery, Notifications, Told};
use artel_web::types::peer::{Journal, Peer, Quarantine, Traffic};
use artel_web::types::receipt::{Receipt, Record};
use artel_web::types::run::{Run, RunPost, RunQuery, Step};
use artel_web::types::task::*;
use artel_web::types::{Json, List, Page};
use artel_web::{Attendance, Blob, Call, Code, Principal, Problem, Service, Upload};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

pub fn agent() -> AgentId {
    AgentId::example()
}

pub fn run() -> RunId {
    RunId::example()
}

pub fn task() -> StepId {
    StepId::example()
}

pub fn artifact() -> ArtifactId {
    ArtifactId::example()
}

/// An artifact that is a picture. Of its bytes a few come, and the others when a test says so (`happens`).
pub fn picture() -> ArtifactId {
    ArtifactId::parse("0190f3d2-0000-7000-8000-00000000c0de").expect("a UUID")
}

pub fn enrollment() -> EnrollmentId {
    EnrollmentId::example()
}

pub fn event() -> EventId {
    EventId::example()
}

/// What names, titles and notes are in tests of pages: text that would do something if it were not text.
pub const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{7*7}}";

static IS_HOSTILE: AtomicBool = AtomicBool::new(false);

/// From now on whatever others could have written is [`HOSTILE`], in all tests of this program.
pub fn be_hostile() {
    IS_HOSTILE.store(true, Ordering::Relaxed);
}

/// What somebody wrote.
fn wrote(text: &str) -> String {
    if IS_HOSTILE.load(Ordering::Relaxed) { format!("{text}{HOSTILE}") } else { text.into() }
}

/// JSON that somebody wrote.
fn wrote_json() -> Json {
    match IS_HOSTILE.load(Ordering::Relaxed) {
        true => {
            Json::new(serde_json::to_vec(&serde_json::json!({ HOSTILE: [HOSTILE, 1.5] })).expect("plain"))
        }
        false => Json::object(),
    }
}

/// How long a submission waits for a further task that finds none.
pub const NO_TASK_WAIT_MS: u32 = 20_000;

/// The service, and a word on each thing that it was asked.
#[derive(Clone)]
pub struct Fake {
    asked: Arc<Mutex<Vec<String>>>,
    /// Whether the agent's token was revoked since it signed in.
    pub revoked: Arc<AtomicBool>,
    /// Whether it has too much to do to tell of events.
    pub failing: Arc<AtomicBool>,
    /// How many looks for an agent's notices find none and say where the list goes on.
    pub bare_looks: Arc<AtomicU32>,
    /// One permit lets one waiting call for events have one.
    pub happens: Arc<Semaphore>,
}

impl Default for Fake {
    fn default() -> Self {
        let happens = Arc::new(Semaphore::new(0));
        Fake {
            asked: Arc::default(),
            revoked: Arc::default(),
            failing: Arc::default(),
            bare_looks: Arc::default(),
            happens,
        }
    }
}

impl Fake {
    fn note(&self, word: String) {
        self.asked.lock().expect("unpoisoned").push(word);
    }

    fn judge(&self, call: &Call) -> Result<(), Problem> {
        let is_agent = matches!(call.principal, Principal::Agent { .. });
        if is_agent && self.revoked.load(Ordering::Relaxed) {
            return Err(Problem::of(Code::TokenRevoked));
        }
        Ok(())
    }

    /// What it was asked since the last look.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("unpoisoned"))
    }
}

fn a_notice() -> Notice {
    Notice {
        kind: NoticeKind::TaskAvailable,
        cursor: "57.ab".into(),
        at: NOW,
        correlation_id: None,
        read: false,
        data: Json::new(serde_json::json!({"title": wrote("Build REST API")}).to_string()),
    }
}

/// Tells of one task that is available, and of a gap before; to whoever says "revoked" that it is. Whoever says "failing" is told
/// the third time that it asks: twice the journal fails.
#[derive(Clone, Default)]
pub struct Watcher(Arc<(Mutex<Option<NoticeQuery>>, tokio::sync::Notify, AtomicU32)>);

impl Attendance for Watcher {
    async fn begin(&self, query: NoticeQuery) -> Result<(), Problem> {
        if query.after.as_deref() == Some("ahead") {
            return Err(Problem::of(Code::CursorAhead));
        }
        *self.0.0.lock().expect("unpoisoned") = Some(query);
        self.0.1.notify_one();
        Ok(())
    }
    fn end(&self) {}
    async fn next(&self) -> Result<Told, Problem> {
        self.0.1.notified().await;
        let is_failing =
            self.0.0.lock().expect("unpoisoned").as_ref().expect("begun").after.as_deref() == Some("failing");
        if is_failing && self.0.2.fetch_add(1, Ordering::Relaxed) < 2 {
            self.0.1.notify_one();
            return Err(Problem::of(Code::JournalUnavailable));
        }
        let query = self.0.0.lock().expect("unpoisoned").take().expect("begun");
        match query.after.as_deref() {
            Some("revoked") => Err(Problem::of(Code::TokenRevoked)),
            _ => Ok(Told { items: vec![a_notice()], gap: Some(Gap { from_entry: 3, to_entry: 9 }) }),
        }
    }
}

/// An artifact's bytes, three at a time; perhaps with a fault behind them.
pub struct Bits {
    rest: Bytes,
    fault: bool,
    /// Where what is behind the first piece waits for a permit.
    held: Option<Arc<Semaphore>>,
}

impl Blob for Bits {
    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if self.fault && self.rest.len() < 5 {
            return Err(Problem::of(Code::Internal));
        }
        if self.rest.len() < CONTENT.len()
            && let Some(held) = self.held.take()
        {
            held.acquire().await.expect("never closed").forget();
        }
        let n = self.rest.len().min(3);
        Ok(Some(self.rest.split_to(n)))
    }
}

fn an_agent() -> Agent {
    Agent { agent_name: wrote("Ada"), ..Agent::example() }
}

fn own() -> OwnAgent {
    OwnAgent { public: an_agent(), ..OwnAgent::example() }
}

fn a_token() -> Token {
    Token { agent: own(), ..Token::example() }
}

fn a_task() -> Task {
    let example = Task::example();
    Task {
        name: wrote(&example.name),
        title: wrote(&example.title),
        description: wrote(&example.description),
        input: Some(wrote_json()),
        ..example
    }
}

fn a_run(call: &Call) -> Run {
    let correlation_id = Some(call.correlation.clone());
    Run { name: wrote("a run"), inputs: wrote_json(), correlation_id, ..Run::example() }
}

fn a_step() -> Step {
    Step { name: wrote("only"), ..Step::example() }
}

fn an_artifact() -> Artifact {
    let entered = Artifact::entered(&ArtifactPost::unnamed("a".into(), None), None);
    Artifact { name: wrote(&entered.name), kind: wrote(&entered.kind), ..entered }
}

fn an_event(call: &Call) -> Event {
    let event_name = wrote("xyn.task.accepted");
    Event { event_name, correlation_id: Some(call.correlation.clone()), ..Event::example() }
}

fn an_entry() -> Entry {
    Entry { fact: wrote_json(), ..Entry::example() }
}

fn list<T>(item: T, page: &Page) -> List<T> {
    List {
        items: vec![item],
        next_cursor: Some(format!("{}-{}", page.limit, page.cursor.as_deref().unwrap_or("0"))),
    }
}

async fn digest_of(mut bytes: Upload) -> Result<Digest, Problem> {
    let mut all = Vec::new();
    while let Some(piece) = bytes.chunk().await? {
        all.extend_from_slice(&piece);
    }
    Ok(Digest::of(&all))
}

impl Service for Fake {
    type Blob = Bits;
    type Attendance = Watcher;

    fn recognise(&self, bearer: &str) -> Option<Principal> {
        (bearer == "operator-token").then_some(Principal::Operator)
    }
    fn authenticate(&self, bearer: &str) -> Result<Principal, Problem> {
        match bearer {
            "agent-token" => Ok(Principal::Agent { id: agent(), serial: 1 }),
            "expired-token" => Err(Problem::of(Code::TokenExpired)),
            _ => Err(Problem::of(Code::BadToken)),
        }
    }
    fn refused(&self, principal: &Principal, code: &'static str) {
        let who = if *principal == Principal::Operator { "operator" } else { "agent" };
        self.note(format!("refused {who} {code}"));
    }
    fn trace_begins(&self, correlation: &Correlation, context: &trace::Context) {
        self.note(format!("trace {correlation} {}", context.sampled));
    }
    fn trace_ends(&self, request: &trace::Request<'_>) {
        self.note(format!(
            "traced {} {} {} {}",
            request.correlation, request.method, request.route, request.status
        ));
    }
    fn metrics(&self, text: &mut Text) {
        text.gauge("fake", "One.", 1);
    }
    fn health(&self) -> Health {
        Health::example()
    }
    fn ready(&self) -> Result<(), Problem> {
        Ok(())
    }
    fn status(&self) -> Status {
        Status {
            name: "<b>bold</b>".into(),
            version: "1.2.3".into(),
            federation_name: "test".into(),
            federation_id: FederationId([3; 32]),
            peer_id: "12D3KooW".into(),
            uptime_seconds: 3_700,
            health: HealthStatus::Ok,
            log_size: 43,
            checkpoint: "artel/…\n43\n".into(),
            witnesses: vec![("12D3KooWitness".into(), 41, 2)],
            witnessed: vec![("12D3KooTheirs".into(), 17)],
            quarantined: vec![("12D3KooLiar".into(), "two_roots: <proof>".into())],
            counts: vec![("open tasks", 7)],
            limits: vec![("lease", "60 s".into())],
        }
    }
    fn jwks(&self) -> Json {
        Json::new(&b"{\"keys\":[]}"[..])
    }
    async fn checkpoint(&self) -> Result<String, Problem> {
        Ok("artel/x\n43\nroot\n\n— sig\n".into())
    }
    async fn tile(&self, tile: Tile) -> Result<Bytes, Problem> {
        Ok(Bytes::from(tile.to_string()))
    }

    async fn enroll(&self, _: &Call, request: EnrollRequest) -> Result<Challenge, Problem> {
        let (skills, capacity) = (request.metadata.capabilities.len(), request.metadata.capacity);
        self.note(format!("enroll {} {skills} {capacity:?} {}", request.agent_name, request.delegate));
        Ok(Challenge::example())
    }
    async fn respond(&self, _: &Call, _: EnrollmentId, _: RespondRequest) -> Result<Token, Problem> {
        Ok(a_token())
    }
    async fn verify(&self, call: &Call) -> Result<Verified, Problem> {
        let agent_id = match call.principal {
            Principal::Agent { id, .. } => Some(id),
            _ => None,
        };
        let node_id = NodeId::example();
        let principal = if agent_id.is_some() { Role::Agent } else { Role::Operator };
        let federation_id = FederationId([3; 32]);
        Ok(Verified {
            valid: true,
            principal,
            agent_id,
            serial: None,
            expires_at: None,
            node_id,
            federation_id,
        })
    }
    async fn rotate(&self, _: &Call, _: SignedStatement) -> Result<Token, Problem> {
        Ok(a_token())
    }
    async fn revoke(&self, _: &Call, _: SignedStatement) -> Result<(), Problem> {
        Ok(())
    }

    async fn names(&self, _: &Call, agents: BTreeSet<AgentId>) -> Result<BTreeMap<AgentId, String>, Problem> {
        self.note(format!("names {}", agents.len()));
        Ok(agents.into_iter().map(|agent| (agent, an_agent().agent_name)).collect())
    }
    async fn agents(&self, _: &Call, query: AgentQuery) -> Result<List<Agent>, Problem> {
        self.note("agents".into());
        Ok(list(an_agent(), &query.page))
    }
    async fn agent(&self, _: &Call, _: AgentId) -> Result<Agent, Problem> {
        Ok(an_agent())
    }
    async fn own_agent(&self, call: &Call, _: AgentId) -> Result<OwnAgent, Problem> {
        self.judge(call)?;
        Ok(own())
    }
    async fn configure(&self, _: &Call, _: AgentId, _: AgentPatch) -> Result<OwnAgent, Problem> {
        Ok(own())
    }
    async fn revoke_agent(&self, _: &Call, _: AgentId) -> Result<Agent, Problem> {
        Ok(an_agent())
    }
    async fn reputation(&self, _: &Call, agent_id: AgentId) -> Result<Reputation, Problem> {
        Ok(Reputation { agent_id, ..Example::example() })
    }
    async fn history(&self, _: &Call, _: AgentId, page: Page) -> Result<List<Work>, Problem> {
        Ok(list(Work::example(), &page))
    }
    async fn earnings(&self, _: &Call, agent_id: AgentId) -> Result<Earnings, Problem> {
        Ok(Earnings { agent_id, ..Example::example() })
    }
    async fn contributions(&self, _: &Call, _: AgentId, page: Page) -> Result<List<Contribution>, Problem> {
        Ok(list(Contribution::example(), &page))
    }

    async fn post_task(&self, call: &Call, post: TaskPost) -> Result<Task, Problem> {
        let key = call.idempotency.as_ref().map(|i| format!("{}:{}", i.key, i.body));
        let input = String::from_utf8_lossy(post.input.bytes()).into_owned();
        self.note(format!("post {} {:?} {:?} {key:?} {input}", post.title, post.reward, post.deadline));
        match post.title.as_str() {
            "panic" => panic!("as asked"),
            "slow" => std::future::pending().await,
            "taken" => Err(Problem::of(Code::TaskTaken)),
            "dear" => {
                Err(Problem::of(Code::InsufficientCredit).with_details(Json::new(&b"{\"lacks\":1}"[..])))
            }
            _ => Ok(a_task()),
        }
    }
    async fn tasks(&self, _: &Call, query: TaskQuery) -> Result<List<Task>, Problem> {
        self.note(format!("tasks {:?}", query.status));
        if query.capability.as_ref().is_some_and(|skill| skill.name() == "rare") {
            // Those that were looked at had none, and there are more.
            return Ok(List { items: Vec::new(), ..list(a_task(), &query.page) });
        }
        Ok(list(a_task(), &query.page))
    }
    async fn homes(&self, _: &Call, page: Page) -> Result<List<Home>, Problem> {
        Ok(list(Home::example(), &page))
    }
    async fn offers(&self, _: &Call, query: OfferQuery) -> Result<List<Offer>, Problem> {
        self.note(format!("offers {:?}", query.capability.map(|skill| skill.to_string())));
        Ok(List { items: Vec::new(), next_cursor: None })
    }
    async fn task(&self, _: &Call, _: StepId) -> Result<Task, Problem> {
        Ok(a_task())
    }
    async fn claim(&self, _: &Call, _: AgentId, _: StepId, claim: ClaimRequest) -> Result<Lease, Problem> {
        let skills: Vec<String> = claim.agent_capabilities.iter().flatten().map(Skill::to_string).collect();
        self.note(format!("claim {skills:?} {:?} {}", claim.estimated_duration, claim.wait_ms));
        Ok(Lease::example())
    }
    async fn claim_next(&self, _: &Call, _: AgentId, claim: ClaimRequest) -> Result<Option<Lease>, Problem> {
        self.note(format!("claim next {}", claim.wait_ms));
        if claim.wait_ms > 0 {
            std::future::pending::<()>().await;
        }
        Ok(None)
    }
    async fn renew(
        &self,
        _: &Call,
        _: AgentId,
        task_id: StepId,
        lease: LeaseRequest,
    ) -> Result<Renewed, Problem> {
        Ok(Renewed { task_id, epoch: lease.epoch, expires_at: NOW })
    }
    async fn release(&self, _: &Call, _: AgentId, _: StepId, _: LeaseRequest) -> Result<(), Problem> {
        Ok(())
    }
    async fn submit(
        &self,
        _: &Call,
        agent_id: AgentId,
        task_id: StepId,
        submission: SubmitRequest,
    ) -> Result<Submitted, Problem> {
        // As a node, which looks at several things before it hands a result to its rules.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let next = submission.claim_next.map(|claim| claim.wait_ms);
        self.note(format!("submit {} {next:?}", String::from_utf8_lossy(submission.output.bytes())));
        // A wait of just this long finds no task.
        if next == Some(NO_TASK_WAIT_MS) {
            std::future::pending::<()>().await;
        }
        let acknowledgement = Acknowledgement {
            task_id,
            epoch: submission.epoch,
            agent_id,
            output_digest: Digest::of(submission.output.bytes()),
            artifacts: submission.artifacts,
            ..Example::example()
        };
        let (acknowledgement, receipt) = (Some(acknowledgement), Some(Verdict::example()));
        Ok(Submitted { acknowledgement, handed_in: None, receipt, next: next.map(|_| Lease::example()) })
    }
    async fn redo_task(&self, _: &Call, task_id: StepId) -> Result<LateRedo, Problem> {
        Ok(LateRedo { task_id, state: LateState::Same })
    }
    async fn cancel_task(&self, _: &Call, _: StepId) -> Result<Task, Problem> {
        Ok(a_task())
    }
    async fn receipt(&self, _: &Call, task_id: StepId) -> Result<Receipt, Problem> {
        Ok(Receipt { task_id, ..Example::example() })
    }

    async fn post_run(&self, call: &Call, post: RunPost) -> Result<Run, Problem> {
        self.note(format!(
            "run {} {} {:?} {}",
            post.name,
            post.priority,
            post.blueprint_ref,
            post.steps.len()
        ));
        Ok(a_run(call))
    }
    async fn runs(&self, call: &Call, query: RunQuery) -> Result<List<Run>, Problem> {
        Ok(list(a_run(call), &query.page))
    }
    async fn run(&self, call: &Call, _: RunId) -> Result<Run, Problem> {
        Ok(a_run(call))
    }
    async fn cancel_run(&self, call: &Call, _: RunId) -> Result<Run, Problem> {
        Ok(a_run(call))
    }
    async fn steps(&self, _: &Call, _: RunId, page: Page) -> Result<List<Step>, Problem> {
        Ok(list(a_step(), &page))
    }
    async fn step(&self, _: &Call, _: StepId) -> Result<Step, Problem> {
        Ok(a_step())
    }

    async fn announce_artifact(&self, _: &Call, post: ArtifactPost) -> Result<Artifact, Problem> {
        let mut announced = Artifact::entered(&post, None);
        announced.upload_url = Some(format!("/v1/artifacts/{}", artifact()));
        Ok(announced)
    }
    async fn store_artifact(&self, _: &Call, post: ArtifactPost, bytes: Upload) -> Result<Artifact, Problem> {
        let digest = digest_of(bytes).await?;
        if post.sha256.is_some_and(|wanted| wanted != digest) {
            return Err(Problem::of(Code::DigestMismatch));
        }
        Ok(Artifact::entered(&post, Some(digest)))
    }
    async fn fill_artifact(&self, _: &Call, _: ArtifactId, bytes: Upload) -> Result<Artifact, Problem> {
        let post = ArtifactPost::unnamed("filled".into(), None);
        Ok(Artifact::entered(&post, Some(digest_of(bytes).await?)))
    }
    async fn artifacts(&self, _: &Call, query: ArtifactQuery) -> Result<List<Artifact>, Problem> {
        self.note(format!("artifacts {:?} {:?}", query.run_id, query.step_id));
        Ok(list(an_artifact(), &query.page))
    }
    async fn artifact(&self, _: &Call, id: ArtifactId) -> Result<Artifact, Problem> {
        if id == picture() {
            let byte_length = Some(CONTENT.len() as u64);
            return Ok(Artifact { content_type: "image/png; x=y".into(), byte_length, ..an_artifact() });
        }
        Ok(an_artifact())
    }
    async fn content(&self, _: &Call, name: ArtifactName) -> Result<Content, Problem> {
        // Bytes of another digest are there too, but spoiled.
        let digest = match name {
            ArtifactName::Digest(digest) => digest,
            ArtifactName::Id(id) if id == picture() => Digest([0; 32]),
            ArtifactName::Id(_) => Digest::of(CONTENT),
        };
        let byte_length = CONTENT.len() as u64;
        Ok(Content {
            digest,
            byte_length,
            content_type: "text/plain".into(),
            name: Some("résumé.txt".into()),
        })
    }
    async fn read_content(&self, _: &Call, digest: Digest, start: u64, length: u64) -> Result<Bits, Problem> {
        self.note(format!("read {start} {length}"));
        let rest = Bytes::from_static(CONTENT).slice(start as usize..(start + length) as usize);
        let held = (digest == Digest([0; 32])).then(|| Arc::clone(&self.happens));
        Ok(Bits { rest, fault: held.is_none() && digest != Digest::of(CONTENT), held })
    }

    async fn events(&self, call: &Call, query: EventQuery) -> Result<List<Event>, Problem> {
        self.note(format!("events {:?} {} {}", query.after, query.wait_ms, query.limit));
        if query.after.as_deref() == Some("99") {
            return Err(Problem::of(Code::CursorAhead));
        }
        if self.failing.load(Ordering::Relaxed) {
            return Err(Problem::of(Code::Overloaded));
        }
        // Behind these cursors something has happened already, behind 3 a whole page; behind others when a test says so.
        if query.wait_ms > 0 && !matches!(query.after.as_deref(), Some("41" | "3")) {
            self.happens.acquire().await.expect("never closed").forget();
        }
        self.judge(call)?;
        let items = match query.event_name.as_deref() {
            Some("xyn.none") => Vec::new(),
            _ if query.after.as_deref() == Some("3") => vec![an_event(call); query.limit as usize],
            _ => vec![an_event(call)],
        };
        Ok(List { items, next_cursor: Some("43".into()) })
    }
    async fn event(&self, call: &Call, _: EventId) -> Result<Event, Problem> {
        Ok(an_event(call))
    }
    async fn emit(&self, call: &Call, _: EventPost) -> Result<Event, Problem> {
        Ok(an_event(call))
    }

    async fn notifications(
        &self,
        _: &Call,
        _: AgentId,
        query: NoticeQuery,
    ) -> Result<Notifications, Problem> {
        self.note(format!("notifications {:?} {:?} {}", query.after, query.kinds, query.limit));
        let left = self.bare_looks.load(Ordering::Relaxed);
        if left > 0 {
            self.bare_looks.store(left - 1, Ordering::Relaxed);
            let next_cursor = Some(format!("{left}.ab"));
            return Ok(Notifications { items: Vec::new(), next_cursor, read_up_to: None });
        }
        Ok(Notifications { items: vec![a_notice()], next_cursor: None, read_up_to: None })
    }
    async fn mark_read(&self, _: &Call, _: AgentId, mark: MarkRead) -> Result<Marked, Problem> {
        self.note(format!("read {}", mark.up_to));
        Ok(Marked { read_up_to: mark.up_to })
    }
    fn attend(&self, _: &Call) -> Watcher {
        Watcher::default()
    }

    async fn peers(&self, _: &Call) -> Result<List<Peer>, Problem> {
        let peer = Peer { quarantine: Some(Quarantine::Suspected), ..Example::example() };
        Ok(List { items: vec![peer], next_cursor: None })
    }

    fn traffic(&self) -> Traffic {
        Traffic::example()
    }

    async fn doctor(&self, _: &Call) -> Result<List<Finding>, Problem> {
        Ok(List { items: vec![Finding::example()], next_cursor: None })
    }

    async fn journals(&self, _: &Call, page: Page) -> Result<List<Journal>, Problem> {
        Ok(list(Journal::example(), &page))
    }

    async fn nodes(&self, _: &Call, page: Page) -> Result<List<Node>, Problem> {
        Ok(list(Node::example(), &page))
    }
    async fn expel(&self, _: &Call, node: NodeId, reason: String) -> Result<Node, Problem> {
        self.note(format!("expel {node} {reason}"));
        Ok(Node { status: NodeStatus::Expelled, reason: Some(reason), ..Node::example() })
    }
    async fn admit_node(&self, _: &Call, node: NodeId) -> Result<Node, Problem> {
        self.note(format!("admit {node}"));
        Ok(Node::example())
    }
    async fn invitations(&self, _: &Call, page: Page) -> Result<List<GivenInvitation>, Problem> {
        Ok(list(GivenInvitation::example(), &page))
    }
    async fn invite(&self, _: &Call, post: InvitationPost) -> Result<Invitation, Problem> {
        self.note(format!("invite {:?} {:?}", post.uses, post.for_ms));
        Ok(Invitation { uses: Some(post.uses.unwrap_or(1)), ..Example::example() })
    }
    async fn uninvite(&self, _: &Call, digest: Digest) -> Result<(), Problem> {
        self.note(format!("uninvite {digest}"));
        Ok(())
    }

    async fn entries(&self, _: &Call, query: EntryQuery) -> Result<List<Entry>, Problem> {
        Ok(list(an_entry(), &query.page))
    }
    async fn entry(&self, _: &Call, _: u64) -> Result<Entry, Problem> {
        Ok(an_entry())
    }
    async fn proof(&self, _: &Call, index: u64) -> Result<Proof, Problem> {
        Ok(Proof { index, ..Example::example() })
    }
    async fn consistency(&self, _: &Call, from: u64, to: u64) -> Result<Consistency, Problem> {
        self.note(format!("consistency {from} {to}"));
        Ok(Consistency { hashes: vec![Hash([7; 32])] })
    }
    async fn record(&self, call: &Call, entry: u64) -> Result<Record, Problem> {
        match call.principal {
            Principal::Operator => Ok(Record { entry, ..Example::example() }),
            _ => Err(Problem::of(Code::NotFound)),
        }
    }
    async fn accounts(&self, _: &Call, page: Page) -> Result<List<Account>, Problem> {
        Ok(list(Account::example(), &page))
    }
}
