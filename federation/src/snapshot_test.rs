//! What a snapshot leaves out is derived again, and is what it was: open offers, held leases, the size of the book. Only
//! from inside the crate can that be seen.

use crate::fact::{Admission, Genesis, Outcome, TaskSpec};
use crate::input::{
    ClaimNext, Input, Now, Principal, Profile, ReplyTo, Request, RunPost, StepPost, Submission,
};
use crate::{Code, Effect, Federation, Identity, Json, Options, Reply};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::time::{Mono, Wall};
use artel_reputation::Complexity;

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
        let mind = Federation::new(Identity { node, federation: genesis.id() }, Options::default());
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
        let read = crate::state::State::decode(&state.snapshot().encode()).expect("our own snapshot");
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
        let submission = Submission { step, epoch: Epoch(epoch), output, artifacts: vec![], next };
        self.ask(who, Request::Submit(submission)).expect("a live lease");
    }
}

#[test]
fn what_a_snapshot_leaves_out_is_derived_as_it_was() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1), home.enroll(2));
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
    assert_eq!((state.open_steps, state.open_bytes, state.open_by.len(), state.runs.len()), (0, 0, 0, 0));
    assert_eq!((state.offers.len(), state.leases.len(), state.recent_steps), (0, 0, 6));
}
