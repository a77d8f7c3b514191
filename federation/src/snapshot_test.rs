//! What a snapshot leaves out is derived again, and is what it was: open offers, held leases, the size of the book. Only
//! from inside the crate can that be seen.

use crate::commitment::{Opening, Salt};
use crate::fact::{
    Account, Admission, AdmittedBy, Authority, Delegation, Genesis, Outcome, PostKey, Poster, Revoker,
    StepSpec, TaskSpec,
};
use crate::input::{
    ClaimNext, Input, Now, Principal, Profile, ReplyTo, Request, RunPost, StepPost, Submission,
};
use crate::member::{Agent, Guest};
use crate::nodes::{AdmittedAt, ExpelledAt, LiveInvitation, Node};
use crate::options::{
    EXPELLED_BYTES, FINDINGS_BYTES_MAX, INVITATION_ROW_BYTES, MEMBER_BYTES, POST_KEY_BYTES, REASON_BYTES_MAX,
};
use crate::run::{Handed, Run, Step, StepState};
use crate::state::Open;
use crate::{Code, Effect, Federation, Identity, Json, Options, Reply};
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Encode, encode_large_into};
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::limits::{
    METADATA_BYTES_MAX, NAME_BYTES_MAX, SKILLS_MAX, STEP_ARTIFACTS_MAX, TITLE_BYTES_MAX,
};
use artel_protocol::skill::Skill;
use artel_protocol::text::{CORRELATION_BYTES_MAX, Correlation};
use artel_protocol::time::{Mono, Wall};
use artel_reputation::{Complexity, Evidence, Level, Quality, Standing};

struct Home {
    mind: Federation,
    ms: u64,
    inputs: u64,
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn json(text: &str) -> Json {
    Json::new(text.as_bytes())
}

impl Home {
    fn new() -> Self {
        let node = NodeId(key(200).public());
        let genesis = Genesis {
            name: "workshop".into(),
            founders: vec![node],
            admission: Admission::Open,
            recovery: Digest::of(b"recovery"),
            created: Wall(0),
        };
        let options = Options { redo_enrolled: false, ..Options::default() };
        let mind = Federation::new(Identity { node, federation: genesis.id() }, options);
        let mut home = Home { mind, ms: 1_000, inputs: 0 };
        let now = home.now();
        home.mind.start(Some(genesis), ("test".into(), Digest::of(b"")), now, &mut Vec::new());
        home
    }

    fn now(&mut self) -> Now {
        self.inputs += 1;
        let entropy = Digest::of(&self.inputs.to_le_bytes()).0;
        Now { mono: Mono(self.ms), wall: Wall(1_000_000 + self.ms), entropy }
    }

    fn input(&mut self, input: Input) -> Option<Result<Reply, Code>> {
        let (now, mut effects) = (self.now(), Vec::new());
        self.mind.handle(input, now, &mut effects);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { answer, .. } => Some(answer.map_err(|refusal| refusal.code)),
            _ => None,
        })
    }

    fn ask(&mut self, principal: Principal, request: Request) -> Result<Reply, Code> {
        let to = ReplyTo(self.inputs);
        let answer = self.input(Input::Request { to, principal, correlation: None, request });
        self.derives();
        answer.expect("answered at once")
    }

    fn derives(&self) {
        let state = &self.mind.state;
        let bytes = state.snapshot().encode();
        let read = crate::state::State::decode(&bytes).expect("our own snapshot");
        let counted = state.open.bytes + state.recent_bytes + state.agent_bytes;
        let keys = state.post_keys.rows().len() * POST_KEY_BYTES;
        assert!(bytes.len() as u64 <= counted + keys as u64 + 4_096, "{} above {counted}", bytes.len());
        assert_eq!(format!("{read:?}"), format!("{state:?}"));
    }

    fn enroll(&mut self, n: u8) -> Principal {
        let id = AgentId(key(n).public());
        let profile = Profile { name: "a".into(), skills: vec![], metadata: json("{}"), capacity: None };
        let request = Request::Enroll { agent: id, profile, delegate: false };
        let Ok(Reply::Challenge { enrollment, text, .. }) = self.ask(Principal::Stranger, request) else {
            panic!("a challenge")
        };
        let signature = key(n).sign(text.as_bytes());
        self.ask(Principal::Stranger, Request::Respond { enrollment, signature }).expect("enrolled");
        Principal::Agent { id, serial: 1 }
    }

    fn post(&mut self, principal: Principal, checked: bool, key: Option<&str>) -> Vec<StepId> {
        let task = TaskSpec {
            title: "t".into(),
            description: "d".repeat(2_000),
            skills: vec![],
            level_min: None,
            complexity: Complexity::Simple,
            reward: Credits(if principal == Principal::Operator { 1_000_000 } else { 0 }),
            deadline: Wall(1_000_000 + self.ms + 120_000),
            input: json(r#"{"some":"input"}"#),
            output_schema: checked.then(|| json("{}")),
            poster_may_claim: true,
            runner: Some(crate::fact::RunnerSpec::Wasm { module: artel_protocol::id::Digest([7; 32]) }),
        };
        let step = |name: &str, needs: Vec<String>| StepPost { name: name.into(), needs, task: task.clone() };
        let post = RunPost {
            name: "r".into(),
            inputs: json(r#"{"in":1}"#),
            priority: 0,
            steps: vec![step("a", vec![]), step("b", vec![]), step("c", vec!["a".into()])],
            key: key.map(|key| (key.into(), Digest::of(b"body"))),
        };
        match self.ask(principal, Request::Post(post)) {
            Ok(Reply::Run { run, .. }) => (0..3).map(|i| run.step_id(i)).collect(),
            other => panic!("a run, not {other:?}"),
        }
    }

    fn submit(&mut self, who: Principal, step: StepId, epoch: u32) {
        let next = Some(ClaimNext { wait_ms: 0 });
        let output = json(&format!("{:?}", "x".repeat(3_000)));
        let submission =
            Submission { step, epoch: Epoch(epoch), output, artifacts: vec![], next, brought: None };
        self.ask(who, Request::Submit(submission)).expect("a live lease");
    }
}

#[test]
fn what_a_snapshot_leaves_out_is_derived_as_it_was() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1), home.enroll(2));
    let peers = [3, 4].map(|n| NodeId(key(n).public()));
    for node in peers {
        home.ask(Principal::Node(node), Request::Admit { node, secret: None }).expect("open");
    }
    home.ask(Principal::Operator, Request::Expel { node: peers[0], reason: "it lied".into() })
        .expect("known");
    assert_eq!((home.mind.state.nodes.members(), home.mind.state.nodes.expelled()), (1, 1));
    let first = home.post(Principal::Operator, true, Some("one"));
    let second = home.post(ada, false, Some("two"));
    home.ask(bob, Request::Claim(first[0])).expect("open");
    home.ask(ada, Request::Claim(second[1])).expect("open");
    home.submit(bob, first[0], 1);
    home.submit(ada, second[1], 1);
    let rejected = Outcome::Rejected { check: "schema".into(), findings: "y".repeat(1_000) };
    home.input(Input::Checked { step: first[0], epoch: Epoch(1), outcome: rejected });
    home.derives();
    home.ask(Principal::Operator, Request::Cancel { run: first[0].run(), step: Some(first[1]) })
        .expect("open");
    for _ in 0..5 {
        home.ms += 59_000;
        home.input(Input::Tick);
        home.derives();
    }
    home.ask(ada, Request::Cancel { run: second[0].run(), step: None }).ok();
    home.ms += 7_200_000;
    home.input(Input::Tick);
    home.derives();
    let state = &home.mind.state;
    assert_eq!((state.open, state.open_by.len(), state.runs.len()), (Open::default(), 0, 0));
    assert_eq!((state.offers.len(), state.leases.len(), state.recent_steps), (0, 0, 6));
}

fn encoded<T: Encode>(value: &T) -> u64 {
    let mut bytes = Vec::new();
    encode_large_into(value, &mut bytes);
    bytes.len() as u64 + 4
}

#[test]
fn nothing_takes_more_in_a_snapshot_than_it_counts() {
    let (agent, digest, salt) = (AgentId(key(1).public()), Digest::of(b""), Salt([1; 16]));
    let skills = vec![Skill::parse(&format!("{}@7", "s".repeat(64))).expect("a skill"); SKILLS_MAX];
    let run_id = RunId::new(Wall(1), [1; 9]);
    let text = |len: usize| "x".repeat(len);
    let opening = || Opening { salt, output: digest, artifacts: vec![digest; STEP_ARTIFACTS_MAX] };
    let handed = |findings, verdict| Handed {
        epoch: Epoch(1),
        agent,
        result: digest,
        opening: opening(),
        authority: Authority::Delegated,
        index: 1,
        at: Wall(1),
        late: true,
        findings,
        verdict,
    };
    let rejected = Outcome::Rejected { check: text(NAME_BYTES_MAX), findings: text(FINDINGS_BYTES_MAX) };
    let task = TaskSpec {
        title: text(TITLE_BYTES_MAX),
        description: text(5_000),
        skills: skills.clone(),
        level_min: Some(Level::Master),
        complexity: Complexity::Premium,
        reward: Credits(1),
        deadline: Wall(1),
        input: json(&text(5_000)),
        output_schema: Some(json(&text(5_000))),
        poster_may_claim: true,
        runner: Some(crate::fact::RunnerSpec::Wasm { module: artel_protocol::id::Digest([7; 32]) }),
    };
    let bare = Step::new(StepSpec {
        name: "b".into(),
        needs: vec![],
        task: TaskSpec { skills: vec![], ..task.clone() },
    });
    let full = Step {
        state: StepState::Leased { agent, level: Level::Master, authority: Authority::Own, lease_ms: 1 },
        barred: vec![agent; 70],
        spared: vec![agent; crate::options::UNUSED_MAX],
        handing: Some((Epoch(2), opening())),
        redo: Some(crate::redo::Redo {
            lot: digest,
            at_home_first: true,
            doubts: vec![(NodeId(key(2).public()), digest); crate::redo::DOUBTS_MAX],
            unsaid: crate::redo::UNSAID_MAX,
            is_over: true,
        }),
        handed: vec![handed(Some((1, text(FINDINGS_BYTES_MAX))), None), handed(None, Some((2, rejected)))],
        output: Some(json(&text(5_000))),
        output_at: Some(1),
        granted_at: Some(1),
        started: Some(Wall(1)),
        completed: Some(Wall(1)),
        ..Step::new(StepSpec { name: text(NAME_BYTES_MAX), needs: (0..199).collect(), task })
    };
    let bare_but_marked = Step {
        handing: Some((Epoch(2), Opening { artifacts: vec![], ..opening() })),
        barred: vec![],
        spared: vec![],
        handed: vec![],
        output: Some(json("")),
        spec: StepSpec { name: String::new(), needs: vec![], task: bare.spec.task.clone() },
        ..full.clone()
    };
    let run = Run {
        id: run_id,
        poster: Poster::Agent(agent),
        name: text(NAME_BYTES_MAX),
        inputs: json(&text(5_000)),
        priority: 1,
        correlation: Correlation::parse(&text(CORRELATION_BYTES_MAX)),
        created: Wall(1),
        posted_at: 1,
        post_key: Some(PostKey { key: digest, body: digest }),
        steps: vec![],
        attempts_max: 1,
        lapses_max: 1,
        salt,
        cancelled: true,
        ended: Some(Wall(1)),
        trimmed: true,
    };
    assert!(run.correlation.is_some() && encoded(&run) <= run.bytes());
    let closed = crate::ClosedRun::new(std::sync::Arc::new(run.clone()));
    assert!(encoded(&closed.row()) <= closed.bytes(), "{} {}", encoded(&closed.row()), closed.bytes());
    let account = encoded(&(Account::Escrow(run_id.step(0)), i64::MAX));
    for step in [bare, bare_but_marked, full] {
        assert!(encoded(&step) + account <= step.bytes(), "{} {}", encoded(&step), step.bytes());
    }
    let mut standing = Standing::default();
    for period in 0..100 {
        let at = Wall(period * 90 * 86_400_000);
        let outcome = artel_reputation::Outcome::OnTime;
        let fact = artel_reputation::Fact::Receipt { outcome, quality: Some(Quality::FULL) };
        standing.add(&Evidence { at, fact }, at).expect("in order");
    }
    let agent = Agent {
        id: agent,
        name: text(NAME_BYTES_MAX),
        skills,
        metadata: json(&text(METADATA_BYTES_MAX)),
        capacity: 1,
        delegation: Some(Delegation { until: Wall(1) }),
        serial: 1,
        expires: Wall(1),
        revoked: Some(Revoker::Agent),
        enrolled: Wall(1),
        updated: Wall(1),
        standing,
        accepted: 1,
        rejected: 1,
        lapsed: 1,
        unrefuted: u64::MAX,
        refuted: u64::MAX,
        earned_units: 1,
        entry: 1,
        guest: Some(Guest { node: NodeId(key(1).public()), warrant: Some(digest) }),
        revoked_itself: Some(Wall(u64::MAX)),
        lets_until: Some(Wall(u64::MAX)),
        let_at: Wall(u64::MAX),
    };
    let account = encoded(&(Account::Agent(agent.id), i64::MAX));
    assert!(encoded(&agent) + account <= agent.bytes(), "{} {}", encoded(&agent), agent.bytes());
    let row = (Wall(1), Poster::Agent(agent.id), digest, run.id, digest);
    assert!(encoded(&row) <= POST_KEY_BYTES as u64);
    let by = AdmittedBy::Invitation(digest);
    let member = Node {
        id: NodeId(key(1).public()),
        admitted: Some(AdmittedAt { by, at: Wall(1), index: 1 }),
        expelled: None,
    };
    let reason = text(REASON_BYTES_MAX);
    let expelled = Node { expelled: Some(ExpelledAt { reason, at: Wall(1), index: 1 }), ..member.clone() };
    let invitation = LiveInvitation { digest, until: Wall(1), uses: 1, used: 1, made: Wall(1) };
    for (bytes, counted) in [
        (encoded(&member), MEMBER_BYTES),
        (encoded(&expelled), EXPELLED_BYTES),
        (encoded(&invitation), INVITATION_ROW_BYTES),
    ] {
        assert!(bytes <= counted as u64, "{bytes} above {counted}");
    }
}
