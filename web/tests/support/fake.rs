//! A service with one agent, one task, one run, one artifact and one event.

use artel_protocol::amount::Credits;
use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, Epoch, FederationId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::log::tile::Tile;
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use artel_web::types::agent::*;
use artel_web::types::artifact::*;
use artel_web::types::audit::{Entry, EntryQuery, Proof};
use artel_web::types::auth::{Role, SignedStatement, Verified};
use artel_web::types::enroll::{Challenge, EnrollRequest, RespondRequest, Token, TokenType};
use artel_web::types::event::{Event, EventId, EventPost, EventQuery};
use artel_web::types::home::Home;
use artel_web::types::ledger::{Account, AccountKind, Balance};
use artel_web::types::member::{
    GivenInvitation, Invitation, InvitationPost, InvitationStatus, Node, NodeStatus,
};
use artel_web::types::node::{Health, HealthStatus, Status};
use artel_web::types::peer::{self, Journal, Peer, PeerStatus, Quarantine, Traffic};
use artel_web::types::receipt::{Opening, Receipt, Record};
use artel_web::types::run::{Progress, Run, RunPost, RunQuery, RunStatus, Step, StepStatus};
use artel_web::types::task::*;
use artel_web::types::{Json, List, Page};
use artel_web::{Blob, Call, Code, Principal, Problem, Service, Upload};
use bytes::Bytes;
use std::sync::{Arc, LazyLock, Mutex};

pub const NOW: Wall = Wall(1_771_588_800_000);

/// Bytes of the one artifact.
pub const CONTENT: &[u8] = b"0123456789abcdef";

pub fn agent() -> AgentId {
    static AGENT: LazyLock<AgentId> = LazyLock::new(|| AgentId(SecretKey::from_seed(&[1; 32]).public()));
    *AGENT
}

pub fn run() -> RunId {
    RunId::new(NOW, [7; 9])
}

pub fn task() -> StepId {
    run().step(0)
}

pub fn artifact() -> ArtifactId {
    ArtifactId::new(NOW, [9; 9])
}

pub fn enrollment() -> EnrollmentId {
    EnrollmentId::new(NOW, [5; 9])
}

pub fn event() -> EventId {
    EventId::new(NOW, 42)
}

/// The service, and a word on each thing that it was asked.
#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<Vec<String>>>);

impl Fake {
    fn note(&self, word: String) {
        self.0.lock().expect("unpoisoned").push(word);
    }

    /// What it was asked since the last look.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("unpoisoned"))
    }
}

/// An artifact's bytes, three at a time; perhaps with a fault behind them.
pub struct Bits {
    rest: Bytes,
    fault: bool,
}

impl Blob for Bits {
    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if self.fault && self.rest.len() < 5 {
            return Err(Problem::of(Code::Internal));
        }
        let n = self.rest.len().min(3);
        Ok(Some(self.rest.split_to(n)))
    }
}

fn skills() -> Vec<Skill> {
    vec![Skill::parse("coding").expect("a skill"), Skill::parse("research@2").expect("a skill")]
}

fn public() -> Agent {
    Agent {
        agent_id: agent(),
        agent_name: "Ada".into(),
        capabilities: skills(),
        status: AgentStatus::Active,
        reputation_score: Score(500_000),
        reputation_level: Level::Novice,
        total_tasks_completed: 3,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn own() -> OwnAgent {
    OwnAgent {
        public: public(),
        metadata: Json::new(&b"{\"motto\": \"on time\"}"[..]),
        capacity: 4,
        leases_held: 0,
        delegated_until: None,
        token_serial: 1,
        token_expires_at: NOW,
        total_earnings: Credits(1_500_000),
        balance: Credits(250_000),
    }
}

fn token() -> Token {
    Token { token: "agent-token".into(), token_type: TokenType::Bearer, expires_at: NOW, agent: own() }
}

fn a_task() -> Task {
    Task {
        runner: None,
        task_id: task(),
        run_id: run(),
        name: "only".into(),
        title: "Build REST API".into(),
        description: String::new(),
        requirements: Requirements { capabilities: skills(), level: None },
        reward: Credits(50_000_000),
        complexity: Complexity::Simple,
        deadline: NOW,
        status: TaskStatus::Available,
        posted_by: "operator".into(),
        created_at: NOW,
        started_at: None,
        completed_at: None,
        assigned_agent_id: Some(agent()),
        epoch: Epoch(0),
        attempts: 0,
        lapses: 0,
        paid: Credits::ZERO,
        input: Some(Json::object()),
        output: None,
        output_schema: None,
        poster_may_claim: false,
        terms: Some(Terms { digest: Digest::of(b"terms"), salt: [4; 16] }),
        submissions: Vec::new(),
    }
}

fn lease() -> Lease {
    Lease {
        runner: None,
        task_id: task(),
        run_id: run(),
        name: "only".into(),
        epoch: Epoch(1),
        expires_at: NOW,
        lease_ms: 60_000,
        title: "Build REST API".into(),
        description: String::new(),
        input: Json::new(&b"{\"n\":1.50}"[..]),
        inputs: Json::object(),
        needs: vec![("first".into(), Json::new(&b"[1,2]"[..]))],
        artifacts: vec![("first".into(), vec![Digest::of(CONTENT)])],
        output_schema: None,
        reward: Credits(50_000_000),
        deadline: NOW,
        entry: 7,
        capabilities: Vec::new(),
        home: None,
    }
}

fn verdict() -> Verdict {
    Verdict {
        accepted: true,
        quality_score: Some(100),
        check: None,
        findings: None,
        paid: Credits(50_000_000),
        entry: 9,
    }
}

fn a_run(call: &Call) -> Run {
    Run {
        run_id: run(),
        name: "a run".into(),
        blueprint_ref: None,
        status: RunStatus::Completed,
        priority: 0,
        created_at: NOW,
        started_at: None,
        completed_at: Some(NOW),
        actor: "operator".into(),
        correlation_id: Some(call.correlation.clone()),
        inputs: Json::object(),
        outputs: None,
        error: None,
        progress: Progress::default(),
    }
}

fn a_step() -> Step {
    Step {
        step_id: task(),
        run_id: run(),
        name: "only".into(),
        status: StepStatus::Created,
        needs: Vec::new(),
        started_at: None,
        completed_at: None,
        logs_artifact_id: None,
        inputs: None,
        outputs: None,
        error: None,
    }
}

fn an_artifact(post: &ArtifactPost, sha256: Option<Digest>) -> Artifact {
    Artifact {
        artifact_id: artifact(),
        name: post.name.clone(),
        kind: post.kind.clone(),
        content_type: post.content_type.clone(),
        byte_length: post.byte_length,
        created_at: NOW,
        created_by: "operator".into(),
        run_id: post.run_id,
        step_id: post.step_id,
        sha256,
        metadata: post.metadata.clone(),
        upload_url: None,
    }
}

fn an_event(call: &Call) -> Event {
    Event {
        event_id: event(),
        event_name: "xyn.task.accepted".into(),
        occurred_at: NOW,
        env_id: "local".into(),
        actor: "system".into(),
        correlation_id: Some(call.correlation.clone()),
        run_id: Some(run()),
        step_id: None,
        resource: None,
        data: Json::object(),
        entry: 42,
    }
}

fn an_entry() -> Entry {
    Entry {
        index: 42,
        kind: "offered".into(),
        public: true,
        at: NOW,
        correlation_id: None,
        fact: Json::object(),
    }
}

fn a_node() -> Node {
    Node {
        node_id: NodeId(*agent().key()),
        peer_id: agent().key().peer_id(),
        status: NodeStatus::Member,
        admitted_by: Some("invitation"),
        invitation: Some(Digest::of(b"x")),
        admitted_at: Some(NOW),
        entry: Some(7),
        reason: None,
        expelled_at: None,
        expelled_entry: None,
    }
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
    fn health(&self) -> Health {
        Health { status: HealthStatus::Ok, version: "1.2.3".into(), uptime_seconds: 5, now: NOW }
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
        Ok(Challenge { enrollment_id: enrollment(), challenge: "sign\nthis\n".into(), expires_at: NOW })
    }
    async fn respond(&self, _: &Call, _: EnrollmentId, _: RespondRequest) -> Result<Token, Problem> {
        Ok(token())
    }
    async fn verify(&self, call: &Call) -> Result<Verified, Problem> {
        let agent_id = match call.principal {
            Principal::Agent { id, .. } => Some(id),
            _ => None,
        };
        let node_id = NodeId(SecretKey::from_seed(&[2; 32]).public());
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
        Ok(token())
    }
    async fn revoke(&self, _: &Call, _: SignedStatement) -> Result<(), Problem> {
        Ok(())
    }

    async fn agents(&self, _: &Call, query: AgentQuery) -> Result<List<Agent>, Problem> {
        Ok(list(public(), &query.page))
    }
    async fn agent(&self, _: &Call, _: AgentId) -> Result<Agent, Problem> {
        Ok(public())
    }
    async fn own_agent(&self, _: &Call, _: AgentId) -> Result<OwnAgent, Problem> {
        Ok(own())
    }
    async fn configure(&self, _: &Call, _: AgentId, _: AgentPatch) -> Result<OwnAgent, Problem> {
        Ok(own())
    }
    async fn revoke_agent(&self, _: &Call, _: AgentId) -> Result<Agent, Problem> {
        Ok(public())
    }
    async fn reputation(&self, _: &Call, agent_id: AgentId) -> Result<Reputation, Problem> {
        Ok(Reputation {
            agent_id,
            layer_1_score: None,
            layer_2_score: Some(Score(500_000)),
            layer_3_score: None,
            final_score: Score(500_000),
            lower_bound: Score(0),
            reputation_level: Level::Novice,
            accepted: 0,
            rejected: 0,
            lapsed: 0,
            receipts_micro: 0,
            homes: vec![],
            calculated_at: NOW,
        })
    }
    async fn history(&self, _: &Call, _: AgentId, page: Page) -> Result<List<Work>, Problem> {
        let work = Work {
            task_id: task(),
            run_id: run(),
            epoch: Epoch(1),
            title: None,
            outcome: WorkOutcome::Accepted,
            quality_score: Some(100),
            feedback: None,
            paid: Credits(1),
            at: NOW,
            entry: 9,
        };
        Ok(list(work, &page))
    }
    async fn earnings(&self, _: &Call, agent_id: AgentId) -> Result<Earnings, Problem> {
        let total_earnings = Credits(1_500_000);
        let (balance, in_escrow) = (Credits(1_500_000), Credits::ZERO);
        Ok(Earnings { agent_id, total_earnings, balance, in_escrow, tasks_paid: 1, multiplier_percent: 100 })
    }
    async fn contributions(&self, _: &Call, _: AgentId, page: Page) -> Result<List<Contribution>, Problem> {
        let paid = Contribution {
            task_id: task(),
            run_id: run(),
            epoch: Epoch(1),
            base_reward: Credits(1),
            quality_score: 100,
            reputation_level: Level::Novice,
            paid: Credits(1),
            at: NOW,
            entry: 9,
        };
        Ok(list(paid, &page))
    }

    async fn post_task(&self, call: &Call, post: TaskPost) -> Result<Task, Problem> {
        let key = call.idempotency.as_ref().map(|i| format!("{}:{}", i.key, i.body));
        let input = String::from_utf8_lossy(post.input.bytes()).into_owned();
        self.note(format!("post {} {:?} {:?} {key:?} {input}", post.title, post.reward, post.deadline));
        match post.title.as_str() {
            "panic" => panic!("as asked"),
            "slow" => std::future::pending().await,
            "taken" => Err(Problem::of(Code::TaskTaken).with_details(Json::new(&b"{\"holder\":1}"[..]))),
            _ => Ok(a_task()),
        }
    }
    async fn tasks(&self, _: &Call, query: TaskQuery) -> Result<List<Task>, Problem> {
        self.note(format!("tasks {:?}", query.status));
        Ok(list(a_task(), &query.page))
    }
    async fn homes(&self, _: &Call, page: Page) -> Result<List<Home>, Problem> {
        let home = Home {
            node_id: a_node().node_id,
            offers: 2,
            judged: 9,
            rejected: 1,
            silences: 1,
            redeemed: 0,
            answered_percent: 90,
            breaches: 0,
            breach: None,
        };
        Ok(list(home, &page))
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
        Ok(lease())
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
        let next = submission.claim_next.map(|claim| claim.wait_ms);
        self.note(format!("submit {} {next:?}", String::from_utf8_lossy(submission.output.bytes())));
        let acknowledgement = Acknowledgement {
            task_id,
            epoch: submission.epoch,
            agent_id,
            result: Digest::of(b"commitment"),
            salt: [5; 16],
            output_digest: Digest::of(submission.output.bytes()),
            artifacts: submission.artifacts,
            entry: 8,
            submitted_at: NOW,
            signature: None,
        };
        let (acknowledgement, receipt) = (Some(acknowledgement), Some(verdict()));
        Ok(Submitted { acknowledgement, handed_in: None, receipt, next: next.map(|_| lease()) })
    }
    async fn redo_task(&self, _: &Call, task_id: StepId) -> Result<LateRedo, Problem> {
        Ok(LateRedo { task_id, state: LateState::Same })
    }
    async fn cancel_task(&self, _: &Call, _: StepId) -> Result<Task, Problem> {
        Ok(a_task())
    }
    async fn receipt(&self, _: &Call, task_id: StepId) -> Result<Receipt, Problem> {
        let record = Record {
            entry: 8,
            body: b"body".to_vec(),
            salt: vec![0; 16],
            leaf: vec![1],
            fact: Json::object(),
            proof: "proof".into(),
        };
        let opening = Opening { salt: [5; 16], output_digest: Digest::of(b"1"), artifacts: Vec::new() };
        Ok(Receipt { task_id, epoch: Epoch(1), submitted: record, verdict: None, handed_in: None, opening })
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
        let mut announced = an_artifact(&post, None);
        announced.upload_url = Some(format!("/v1/artifacts/{}", artifact()));
        Ok(announced)
    }
    async fn store_artifact(&self, _: &Call, post: ArtifactPost, bytes: Upload) -> Result<Artifact, Problem> {
        let digest = digest_of(bytes).await?;
        if post.sha256.is_some_and(|wanted| wanted != digest) {
            return Err(Problem::of(Code::DigestMismatch));
        }
        Ok(an_artifact(&post, Some(digest)))
    }
    async fn fill_artifact(&self, _: &Call, _: ArtifactId, bytes: Upload) -> Result<Artifact, Problem> {
        let post = ArtifactPost::unnamed("filled".into(), None);
        Ok(an_artifact(&post, Some(digest_of(bytes).await?)))
    }
    async fn artifacts(&self, _: &Call, query: ArtifactQuery) -> Result<List<Artifact>, Problem> {
        Ok(list(an_artifact(&ArtifactPost::unnamed("a".into(), None), None), &query.page))
    }
    async fn artifact(&self, _: &Call, _: ArtifactId) -> Result<Artifact, Problem> {
        Ok(an_artifact(&ArtifactPost::unnamed("a".into(), None), None))
    }
    async fn content(&self, _: &Call, name: ArtifactName) -> Result<Content, Problem> {
        // Bytes of another digest are there too, but spoiled.
        let digest = match name {
            ArtifactName::Digest(digest) => digest,
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
        Ok(Bits { rest, fault: digest != Digest::of(CONTENT) })
    }

    async fn events(&self, call: &Call, query: EventQuery) -> Result<List<Event>, Problem> {
        self.note(format!("events {:?} {} {}", query.after, query.wait_ms, query.limit));
        if query.wait_ms > 0 {
            std::future::pending::<()>().await;
        }
        Ok(List { items: vec![an_event(call)], next_cursor: Some("43".into()) })
    }
    async fn event(&self, call: &Call, _: EventId) -> Result<Event, Problem> {
        Ok(an_event(call))
    }
    async fn emit(&self, call: &Call, _: EventPost) -> Result<Event, Problem> {
        Ok(an_event(call))
    }

    async fn peers(&self, _: &Call) -> Result<List<Peer>, Problem> {
        let peer = Peer {
            node_id: a_node().node_id,
            peer_id: a_node().peer_id,
            status: PeerStatus::Admitted,
            reason: None,
            addresses: vec!["/ip4/127.0.0.1/tcp/7".into()],
            listens: vec![],
            direction: "outbound",
            transport: "tcp".into(),
            round_trip_ms: Some(0.5),
            score: 0.0,
            connected_ms: 9,
            witnessed_us_up_to: Some(41),
            witness_behind: Some(2),
            we_witnessed_up_to: None,
            quarantine: Some(Quarantine::Suspected),
        };
        Ok(List { items: vec![peer], next_cursor: None })
    }

    fn traffic(&self) -> Option<Traffic> {
        let bytes = peer::Bytes { received: 3, sent: 5 };
        let lanes = vec![("blob".into(), bytes)];
        Some(Traffic {
            tcp: bytes,
            quic: bytes,
            lanes,
            gossip_copies: 2,
            gossip_messages: 1,
            gossip_published: 0,
            offers_followed: vec![0],
            requests: vec![("visit".into(), 6)],
            claims_waiting: 2,
            refused: vec![("sync_proof".into(), 4)],
        })
    }

    async fn journals(&self, _: &Call, page: Page) -> Result<List<Journal>, Problem> {
        let journal = Journal {
            node_id: a_node().node_id,
            origin: "artel/ab/12D3/0".into(),
            member: true,
            held_up_to: 7,
            records: 7,
            bytes: 900,
            known_up_to: Some(12),
            cosigned_up_to: Some(12),
            quarantine: None,
            summaries: Default::default(),
        };
        Ok(list(journal, &page))
    }

    async fn nodes(&self, _: &Call, page: Page) -> Result<List<Node>, Problem> {
        Ok(list(a_node(), &page))
    }
    async fn expel(&self, _: &Call, node: NodeId, reason: String) -> Result<Node, Problem> {
        self.note(format!("expel {node} {reason}"));
        Ok(Node { status: NodeStatus::Expelled, reason: Some(reason), ..a_node() })
    }
    async fn admit_node(&self, _: &Call, node: NodeId) -> Result<Node, Problem> {
        self.note(format!("admit {node}"));
        Ok(a_node())
    }
    async fn invitations(&self, _: &Call, page: Page) -> Result<List<GivenInvitation>, Problem> {
        let given = GivenInvitation {
            digest: Digest::of(b"x"),
            status: InvitationStatus::Live,
            uses: 2,
            used: 1,
            created_at: NOW,
            expires_at: NOW,
        };
        Ok(list(given, &page))
    }
    async fn invite(&self, _: &Call, post: InvitationPost) -> Result<Invitation, Problem> {
        self.note(format!("invite {:?} {:?}", post.uses, post.for_ms));
        Ok(Invitation {
            invitation: "artel-invitation-1:AA".into(),
            digest: Some(Digest::of(b"x")),
            federation_id: FederationId([3; 32]),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            uses: Some(post.uses.unwrap_or(1)),
            expires_at: NOW,
        })
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
        Ok(Proof { index, leaf: vec![1, 2], proof: "c2sp.org/tlog-proof@v1\n".into() })
    }
    async fn accounts(&self, _: &Call, page: Page) -> Result<List<Account>, Problem> {
        let balance = Balance(-1_500_000);
        Ok(list(Account { kind: AccountKind::Operator, agent_id: None, task_id: None, balance }, &page))
    }
}
