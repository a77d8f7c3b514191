//! What happens at the limits that are too far to walk to: the counts are set from inside, the rest is an input.

use crate::effect::{Code, Effect, Reply};
use crate::fact::{Admission, Genesis, Poster, TaskSpec};
use crate::federation::Federation;
use crate::input::{
    ClaimNext, Input, Now, Principal, Profile, ReplyTo, Request, RunPost, StepPost, Submission,
};
use crate::json::Json;
use crate::member::{Agent, Identity};
use crate::options::*;
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId};
use artel_protocol::key::{AgentId, NodeId, PublicKey, SecretKey};
use artel_protocol::time::{Mono, Wall};
use artel_reputation::{Complexity, Standing};

struct Home {
    mind: Federation,
    ms: u64,
    inputs: u64,
}

impl Home {
    fn new() -> Self {
        let node = NodeId(SecretKey::from_seed(&[200; 32]).public());
        let genesis = Genesis {
            name: "workshop".into(),
            founders: vec![node],
            admission: Admission::Open,
            recovery: Digest::default(),
            created: Wall(0),
        };
        let mind = Federation::new(Identity { node, federation: genesis.id() }, Options::default());
        let mut home = Home { mind, ms: 1_000, inputs: 0 };
        let now = home.now();
        home.mind.start(Some(genesis), ("test".into(), Digest::default()), now, &mut Vec::new());
        home
    }

    fn now(&mut self) -> Now {
        self.inputs += 1;
        let entropy = Digest::of(&self.inputs.to_le_bytes()).0;
        Now { mono: Mono(self.ms), wall: Wall(self.ms), entropy }
    }

    /// The answer's code; `None` for a good answer, or none yet.
    fn code(&mut self, principal: Principal, request: Request) -> Option<Code> {
        self.ask(principal, request)?.err()
    }

    fn ask(&mut self, principal: Principal, request: Request) -> Option<Result<Reply, Code>> {
        let (now, mut effects) = (self.now(), Vec::new());
        let to = ReplyTo(self.inputs);
        self.mind.handle(Input::Request { to, principal, correlation: None, request }, now, &mut effects);
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { to: whom, answer } if whom == to => Some(answer.map_err(|refusal| refusal.code)),
            _ => None,
        })
    }

    /// An agent out of nowhere.
    fn agent(&mut self, n: u32) -> Principal {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        let id = AgentId(PublicKey::from_bytes(key));
        let agent = Agent {
            id,
            name: "a".into(),
            skills: vec![],
            metadata: Json::new(*b"{}"),
            capacity: 64,
            delegation: None,
            serial: 1,
            expires: Wall(0),
            revoked: None,
            enrolled: Wall(0),
            updated: Wall(0),
            standing: Standing::default(),
            accepted: 0,
            rejected: 0,
            lapsed: 0,
            earned_units: 0,
        };
        self.mind.state.agents.insert(id, agent.into());
        Principal::Agent { id, serial: 1 }
    }

    fn post(&self, steps: usize, key: Option<&str>) -> Request {
        let task = TaskSpec {
            title: "t".into(),
            description: String::new(),
            skills: vec![],
            level_min: None,
            complexity: Complexity::Simple,
            reward: Credits::ZERO,
            deadline: Wall(self.ms + 60_000),
            input: Json::new(*b"{}"),
            output_schema: None,
            poster_may_claim: false,
        };
        let step = |i: usize| StepPost { name: i.to_string(), needs: vec![], task: task.clone() };
        Request::Post(RunPost {
            name: "r".into(),
            inputs: Json::new(*b"{}"),
            priority: 0,
            steps: (0..steps).map(step).collect(),
            key: key.map(|key| (key.into(), Digest::of(b"body"))),
        })
    }
}

#[test]
fn a_full_key_book_opens_again_after_a_day() {
    let mut home = Home::new();
    let at = Wall(home.ms);
    for n in 0..POST_KEYS_MAX as u64 {
        let key = Digest::of(&n.to_le_bytes());
        home.mind.state.post_keys.insert((Poster::Operator, key), (RunId::new(at, [0; 9]), key, at));
        home.mind.state.post_order.push_back((at, Poster::Operator, key));
    }
    let (keyed, plain) = (home.post(0, Some("k")), home.post(0, None));
    assert_eq!(home.code(Principal::Operator, keyed.clone()), Some(Code::BookFull));
    assert_eq!(home.code(Principal::Operator, plain), None);
    home.ms += POST_KEY_MS + 1;
    assert_eq!(home.code(Principal::Operator, keyed), None);
    assert_eq!(home.mind.state.post_keys.len(), 1, "what is old is forgotten");
}

#[test]
fn a_full_book_takes_no_more_steps() {
    let mut home = Home::new();
    home.mind.state.open_steps = OPEN_STEPS_MAX - 2;
    let (two, three) = (home.post(2, None), home.post(3, None));
    assert_eq!(home.code(Principal::Operator, three), Some(Code::BookFull));
    assert_eq!(home.code(Principal::Operator, two), None);
}

#[test]
fn full_memory_takes_no_posts_and_later_no_results() {
    let mut home = Home::new();
    let one = home.post(1, None);
    let Some(Ok(Reply::Run { run, .. })) = home.ask(Principal::Operator, one.clone()) else {
        panic!("a run")
    };
    let worker = home.agent(1);
    assert_eq!(home.code(worker, Request::Claim(run.step_id(0))), None);
    let before = home.mind.state.open_bytes;
    home.mind.state.open_bytes = OPEN_BYTES_MAX;
    assert_eq!(home.code(Principal::Operator, one), Some(Code::BookFull));
    home.mind.state.open_bytes = 2 * OPEN_BYTES_MAX + 1;
    let submission = Submission {
        step: run.step_id(0),
        epoch: Epoch(1),
        output: Json::new(*b"{}"),
        artifacts: vec![],
        next: None,
    };
    assert_eq!(home.code(worker, Request::Submit(submission.clone())), Some(Code::BookFull));
    home.mind.state.open_bytes = before;
    assert_eq!(home.code(worker, Request::Submit(submission)), None, "the lease was kept");
}

#[test]
fn a_full_house_enrolls_nobody_new() {
    let mut home = Home::new();
    for n in 0..AGENTS_MAX as u32 {
        home.agent(n);
    }
    let enroll = |agent: AgentId| {
        let profile =
            Profile { name: "a".into(), skills: vec![], metadata: Json::new(*b"{}"), capacity: None };
        Request::Enroll { agent, profile, delegate: false }
    };
    let new = AgentId(SecretKey::from_seed(&[1; 32]).public());
    let Principal::Agent { id: old, .. } = home.agent(5) else { panic!("an agent") };
    assert_eq!(home.code(Principal::Stranger, enroll(new)), Some(Code::TooMany));
    assert_eq!(home.code(Principal::Stranger, enroll(old)), None, "who is in may enroll anew");
}

#[test]
fn no_more_wait_than_there_are_places() {
    let mut home = Home::new();
    let wait = Request::ClaimNext(ClaimNext { wait_ms: 30_000 });
    let mut last = home.agent(0);
    for n in 0..WAITERS_MAX as u32 {
        if n.is_multiple_of(64) {
            last = home.agent(n);
        }
        assert_eq!(home.code(last, wait.clone()), None, "{n}");
    }
    last = home.agent(u32::MAX);
    assert_eq!(home.code(last, wait.clone()), Some(Code::TooManyWaiting));
    home.ms += 30_000;
    assert_eq!(home.code(last, wait), None, "their waits are over");
    assert_eq!(home.mind.live.waiters.len(), 1);
}

#[test]
fn refusals_are_counted_for_a_bounded_number_of_principals() {
    let mut home = Home::new();
    for n in 0..=REFUSALS_MAX as u32 {
        let agent = home.agent(n);
        assert_eq!(
            home.code(agent, Request::RevokeAgent(AgentId(PublicKey::from_bytes([9; 32])))),
            Some(Code::Forbidden)
        );
    }
    let before = home.mind.size();
    home.ms += 60_000;
    let now = home.now();
    home.mind.handle(Input::Tick, now, &mut Vec::new());
    assert_eq!(home.mind.size() - before, REFUSALS_MAX as u64);
}
