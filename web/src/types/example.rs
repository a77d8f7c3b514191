//! One true answer of each kind: what stands as its example in the API's document, and what tests let a node say.

use super::agent::*;
use super::artifact::{Artifact, ArtifactPost};
use super::audit::{Entry, Proof};
use super::auth::{Role, Verified};
use super::doctor::{Check, Finding};
use super::done::{Ready, Released, Revoked};
use super::enroll::{Challenge, Token, TokenType};
use super::event::{Event, EventId, Resource};
use super::home::Home;
use super::ledger::{Account, AccountKind, Balance};
use super::member::{GivenInvitation, Invitation, InvitationStatus, Node, NodeStatus};
use super::node::{Health, HealthStatus};
use super::notice::{Marked, Notice, NoticeKind, Notifications};
use super::peer::{Bytes, Journal, Peer, PeerStatus, Summaries, Traffic};
use super::receipt::{Opening, Receipt, Record};
use super::run::{Progress, Run, RunStatus, Step, StepStatus};
use super::task::*;
use super::{Json, List};
use artel_protocol::amount::Credits;
use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, Epoch, FederationId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use std::sync::LazyLock;

/// The moment at which all examples happen: 2026-02-20T12:00:00Z.
pub const NOW: Wall = Wall(1_771_588_800_000);

/// The bytes of the examples' one artifact.
pub const CONTENT: &[u8] = b"0123456789abcdef";

/// A kind of answer that has an example.
pub trait Example {
    /// A true one.
    fn example() -> Self;
}

macro_rules! examples {
    ($($type:ty: $value:expr;)*) => {
        $(impl Example for $type {
            fn example() -> Self {
                $value
            }
        })*
    };
}

fn json(text: &'static str) -> Json {
    Json::new(text.as_bytes())
}

fn skills() -> Vec<Skill> {
    ["coding", "research@2"].map(|text| Skill::parse(text).expect("a skill")).to_vec()
}

examples! {
    AgentId: {
        static AGENT: LazyLock<AgentId> = LazyLock::new(|| AgentId(SecretKey::from_seed(&[1; 32]).public()));
        *AGENT
    };
    NodeId: {
        static NODE: LazyLock<NodeId> = LazyLock::new(|| NodeId(SecretKey::from_seed(&[2; 32]).public()));
        *NODE
    };
    RunId: RunId::new(NOW, [7; 9]);
    StepId: RunId::example().step(0);
    ArtifactId: ArtifactId::new(NOW, [9; 9]);
    EnrollmentId: EnrollmentId::new(NOW, [5; 9]);
    EventId: EventId::new(NOW, 42);
    Digest: Digest::of(CONTENT);
    Correlation: Correlation::parse("019c7aeb-ce00-7000-8000-00000000002a").expect("visible characters");

    Health: Health { status: HealthStatus::Ok, version: "1.2.3".into(), uptime_seconds: 5, now: NOW };
    Ready: Ready { ready: true };
    Released: Released { released: true };
    Revoked: Revoked { revoked: true };

    Challenge: Challenge {
        enrollment_id: EnrollmentId::example(),
        challenge: "sign\nthis\n".into(),
        expires_at: NOW,
    };
    Token: Token {
        token: "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.e30.AA".into(),
        token_type: TokenType::Bearer,
        expires_at: NOW,
        agent: OwnAgent::example(),
    };
    Verified: Verified {
        valid: true,
        principal: Role::Agent,
        agent_id: Some(AgentId::example()),
        serial: Some(1),
        expires_at: Some(NOW),
        node_id: NodeId::example(),
        federation_id: FederationId([3; 32]),
    };

    Agent: Agent {
        agent_id: AgentId::example(),
        agent_name: "Ada".into(),
        capabilities: skills(),
        status: AgentStatus::Active,
        reputation_score: Score(500_000),
        reputation_level: Level::Novice,
        total_tasks_completed: 3,
        created_at: NOW,
        updated_at: NOW,
    };
    OwnAgent: OwnAgent {
        public: Agent::example(),
        metadata: json("{\"motto\": \"on time\"}"),
        capacity: 4,
        leases_held: 0,
        delegated_until: None,
        token_serial: 1,
        token_expires_at: NOW,
        total_earnings: Credits(1_500_000),
        balance: Credits(250_000),
    };
    Reputation: Reputation {
        agent_id: AgentId::example(),
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
        homes: vec![HomeEvidence::example()],
        calculated_at: NOW,
    };
    HomeEvidence: HomeEvidence {
        home: NodeId::example(),
        weight_eighths: 8,
        settled: 3,
        accepted: 3,
        rejected: 0,
        lapsed: 0,
        receipts_micro: 3_000_000,
        counted_micro: 3_000_000,
        paid: Credits(7_500_000),
    };
    Work: Work {
        task_id: StepId::example(),
        run_id: RunId::example(),
        epoch: Epoch(1),
        title: None,
        outcome: WorkOutcome::Accepted,
        quality_score: Some(100),
        feedback: None,
        paid: Credits(1),
        at: NOW,
        entry: 9,
    };
    Earnings: Earnings {
        agent_id: AgentId::example(),
        total_earnings: Credits(1_500_000),
        balance: Credits(1_500_000),
        in_escrow: Credits::ZERO,
        tasks_paid: 1,
        multiplier_percent: 100,
    };
    Contribution: Contribution {
        task_id: StepId::example(),
        run_id: RunId::example(),
        epoch: Epoch(1),
        base_reward: Credits(1),
        quality_score: 100,
        reputation_level: Level::Novice,
        paid: Credits(1),
        at: NOW,
        entry: 9,
    };

    Task: Task {
        runner: None,
        task_id: StepId::example(),
        run_id: RunId::example(),
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
        assigned_agent_id: Some(AgentId::example()),
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
    };
    Lease: Lease {
        runner: None,
        task_id: StepId::example(),
        run_id: RunId::example(),
        name: "only".into(),
        epoch: Epoch(1),
        expires_at: NOW,
        lease_ms: 60_000,
        title: "Build REST API".into(),
        description: String::new(),
        input: json("{\"n\":1.50}"),
        inputs: Json::object(),
        needs: vec![("first".into(), json("[1,2]"))],
        artifacts: vec![("first".into(), vec![Digest::example()])],
        output_schema: None,
        reward: Credits(50_000_000),
        deadline: NOW,
        entry: 7,
        capabilities: Vec::new(),
        home: None,
    };
    Renewed: Renewed { task_id: StepId::example(), epoch: Epoch(1), expires_at: NOW };
    Verdict: Verdict {
        accepted: true,
        quality_score: Some(100),
        check: None,
        findings: None,
        paid: Credits(50_000_000),
        entry: 9,
    };
    Acknowledgement: Acknowledgement {
        task_id: StepId::example(),
        epoch: Epoch(1),
        agent_id: AgentId::example(),
        result: Digest::of(b"commitment"),
        salt: [5; 16],
        output_digest: Digest::of(b"1"),
        artifacts: vec![],
        entry: 8,
        submitted_at: NOW,
        signature: None,
    };
    Submitted: Submitted {
        acknowledgement: Some(Acknowledgement::example()),
        handed_in: None,
        receipt: Some(Verdict::example()),
        next: None,
    };
    Offer: Offer {
        home: NodeId::example(),
        task_id: StepId::example(),
        epoch: Epoch(1),
        requirements: Requirements { capabilities: skills(), level: None },
        complexity: Complexity::Simple,
        reward: Credits(50_000_000),
        deadline: NOW,
        offered_at: NOW,
        heard_at: NOW,
        heard_from: Some(NodeId::example()),
        terms: Digest::of(b"terms"),
    };
    Record: Record {
        entry: 8,
        body: b"body".to_vec(),
        salt: vec![0; 16],
        leaf: vec![1],
        fact: Json::object(),
        proof: "c2sp.org/tlog-proof@v1\n".into(),
    };
    Receipt: Receipt {
        task_id: StepId::example(),
        epoch: Epoch(1),
        submitted: Record::example(),
        verdict: None,
        handed_in: None,
        opening: Opening { salt: [5; 16], output_digest: Digest::of(b"1"), artifacts: Vec::new() },
    };
    Home: Home {
        node_id: NodeId::example(),
        offers: 2,
        judged: 9,
        rejected: 1,
        silences: 1,
        redeemed: 0,
        answered_percent: 90,
        paid: Credits(40_500_000),
        breaches: 0,
        breach: None,
    };

    Run: Run {
        run_id: RunId::example(),
        name: "a run".into(),
        blueprint_ref: None,
        status: RunStatus::Completed,
        priority: 0,
        created_at: NOW,
        started_at: None,
        completed_at: Some(NOW),
        actor: "operator".into(),
        correlation_id: Some(Correlation::example()),
        inputs: Json::object(),
        outputs: None,
        error: None,
        progress: Progress::default(),
    };
    Step: Step {
        step_id: StepId::example(),
        run_id: RunId::example(),
        name: "only".into(),
        status: StepStatus::Created,
        needs: Vec::new(),
        started_at: None,
        completed_at: None,
        logs_artifact_id: None,
        inputs: None,
        outputs: None,
        error: None,
    };

    Artifact: Artifact::entered(&ArtifactPost::unnamed("a".into(), None), None);
    Event: Event {
        event_id: EventId::example(),
        event_name: "xyn.task.accepted".into(),
        occurred_at: NOW,
        env_id: "local".into(),
        actor: "system".into(),
        correlation_id: Some(Correlation::example()),
        run_id: Some(RunId::example()),
        step_id: None,
        resource: Some(Resource { kind: "task".into(), id: StepId::example().to_string() }),
        data: Json::object(),
        entry: 42,
    };
    LateRedo: LateRedo { task_id: StepId::example(), state: LateState::Same };
    Notice: Notice {
        kind: NoticeKind::Earning,
        cursor: "57.0f1e2d3c".into(),
        at: NOW,
        correlation_id: Some(Correlation::example()),
        read: false,
        data: json(r#"{"task_id":"019c7aeb-ce00-7000-8000-000000000001","epoch":1,"title":"Build REST API","amount":50}"#),
    };
    Notifications: Notifications { items: vec![Notice::example()], next_cursor: None, read_up_to: None };
    Marked: Marked { read_up_to: "57.0f1e2d3c".into() };
    Entry: Entry {
        index: 42,
        kind: "offered".into(),
        public: true,
        at: NOW,
        correlation_id: None,
        fact: Json::object(),
    };
    Proof: Proof { index: 42, leaf: vec![1, 2], proof: "c2sp.org/tlog-proof@v1\n".into() };
    Account: Account {
        kind: AccountKind::Operator,
        agent_id: None,
        task_id: None,
        balance: Balance(-1_500_000),
    };

    Finding: Finding::warn(
        Check::DiskSync,
        "The disk takes long to make a few bytes durable",
        "Move the data directory to another disk",
    )
    .with("p50 12.00 ms of 33 syncs");
    Peer: Peer {
        node_id: NodeId::example(),
        peer_id: NodeId::example().key().peer_id(),
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
        quarantine: None,
    };
    Traffic: {
        let bytes = Bytes { received: 3, sent: 5 };
        Traffic {
            tcp: bytes,
            quic: bytes,
            lanes: vec![("blob".into(), bytes)],
            gossip_copies: 2,
            gossip_messages: 1,
            gossip_published: 0,
            offers_followed: vec![0, 7],
            requests: vec![("visit".into(), 6)],
            claims_waiting: 2,
            refused: vec![("sync_proof".into(), 4)],
        }
    };
    Journal: Journal {
        node_id: NodeId::example(),
        origin: "artel/ab/12D3/0".into(),
        member: true,
        held_up_to: 7,
        records: 7,
        bytes: 900,
        known_up_to: Some(12),
        cosigned_up_to: Some(12),
        quarantine: None,
        summaries: Summaries::default(),
    };
    Node: Node {
        node_id: NodeId::example(),
        peer_id: NodeId::example().key().peer_id(),
        status: NodeStatus::Member,
        admitted_by: Some("invitation"),
        invitation: Some(Digest::of(b"x")),
        admitted_at: Some(NOW),
        entry: Some(7),
        reason: None,
        expelled_at: None,
        expelled_entry: None,
    };
    GivenInvitation: GivenInvitation {
        digest: Digest::of(b"x"),
        status: InvitationStatus::Live,
        uses: 2,
        used: 1,
        created_at: NOW,
        expires_at: NOW,
    };
    Invitation: Invitation {
        invitation: "artel-invitation-1:AA".into(),
        digest: Some(Digest::of(b"x")),
        federation_id: FederationId([3; 32]),
        addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
        uses: Some(1),
        expires_at: NOW,
    };
}

impl Artifact {
    /// The examples' artifact, entered as a post says.
    pub fn entered(post: &ArtifactPost, sha256: Option<Digest>) -> Self {
        Artifact {
            artifact_id: ArtifactId::example(),
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
}

impl<T: Example> Example for List<T> {
    fn example() -> Self {
        List { items: vec![T::example()], next_cursor: None }
    }
}
