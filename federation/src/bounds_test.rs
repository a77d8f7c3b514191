//! What happens at the limits that are too far to walk to: the counts are set from inside, the rest is an input.

use crate::commitment::Salt;
use crate::effect::{Code, Effect, Reply};
use crate::fact::{Admission, Entry, Fact, Genesis, Introduced, Outcome, Poster, TaskSpec};
use crate::federation::Federation;
use crate::fixture::task_for_nothing;
use crate::input::{
    ClaimNext, Input, Now, Principal, Profile, ReplyTo, Request, RunPost, StepPost, Submission,
};
use crate::json::Json;
use crate::member::{Agent, Identity};
use crate::options::*;
use crate::run::StepState;
use crate::state::{Open, State};
use crate::visit::guests::Guests;
use crate::visit::message::{Act, Handing, Visit, Warrant};
use crate::visit::warrant::act_text;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, PublicKey, SecretKey, Signature};
use artel_protocol::skill::Skill;
use artel_protocol::time::{Mono, Wall};
use std::sync::Arc;

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
            name: "a".into(),
            capacity: 64,
            serial: 1,
            unrefuted: u64::MAX,
            refuted: u64::MAX,
            ..Agent::new(id, Wall(0))
        };
        self.mind.state.agent_bytes += agent.bytes();
        let before = self.mind.state.agents.insert(id, agent.into());
        self.mind.state.agent_bytes -= before.map_or(0, |agent| agent.bytes());
        Principal::Agent { id, serial: 1 }
    }

    fn skilled(&mut self, n: u32, names: &[&str]) -> Principal {
        let principal = self.agent(n);
        let Principal::Agent { id, .. } = principal else { panic!("an agent") };
        let agent = self.mind.state.agents.get_mut(&id).map(Arc::make_mut).expect("just made");
        self.mind.state.agent_bytes -= agent.bytes();
        agent.skills = names.iter().map(|name| Skill::parse(name).expect("a skill")).collect();
        self.mind.state.agent_bytes += agent.bytes();
        principal
    }

    /// Who of those who wait gets a task that asks for these skills.
    fn winner(&mut self, names: &[&str]) -> Option<Principal> {
        let Request::Post(mut post) = self.post(1, None) else { panic!("a post") };
        post.steps[0].task.skills = names.iter().map(|name| Skill::parse(name).expect("a skill")).collect();
        let Some(Ok(Reply::Run { run, .. })) = self.ask(Principal::Operator, Request::Post(post)) else {
            panic!("a run")
        };
        match run.steps[0].state {
            StepState::Leased { agent, .. } => Some(Principal::Agent { id: agent, serial: 1 }),
            _ => None,
        }
    }

    fn post(&self, steps: usize, key: Option<&str>) -> Request {
        let task = TaskSpec { deadline: Wall(self.ms + 60_000), ..task_for_nothing() };
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

fn fill_keys(home: &mut Home, poster: Poster, count: usize) {
    let at = Wall(home.ms);
    for n in 0..count as u64 {
        let key = Digest::of(&n.to_le_bytes());
        home.mind.state.post_keys.insert((at, poster, key, RunId::new(at, [0; 9]), key));
    }
}

#[test]
fn a_full_key_book_opens_again_after_a_day() {
    let mut home = Home::new();
    fill_keys(&mut home, Poster::Operator, POST_KEYS_MAX);
    let (keyed, plain) = (home.post(0, Some("k")), home.post(0, None));
    assert_eq!(home.code(Principal::Operator, keyed.clone()), Some(Code::BookFull));
    assert_eq!(home.code(Principal::Operator, plain), None);
    home.ms += POST_KEY_MS + 1;
    assert_eq!(home.code(Principal::Operator, keyed), None);
    assert_eq!(home.mind.state.post_keys.rows().len(), 1, "what is old is forgotten");
}

#[test]
fn one_agents_keys_shut_nobody_else_out() {
    let mut home = Home::new();
    let (ada, bob) = (home.agent(1), home.agent(2));
    for n in 0..AGENT_POST_KEYS_MAX {
        let empty = home.post(0, Some(&n.to_string()));
        assert_eq!(home.code(ada, empty), None, "{n}");
    }
    let (keyed, plain, known) = (home.post(0, Some("one more")), home.post(0, None), home.post(0, Some("7")));
    assert_eq!(home.code(ada, keyed.clone()), Some(Code::BookFull));
    assert_eq!((home.code(ada, plain), home.code(ada, known)), (None, None));
    assert_eq!((home.code(bob, keyed.clone()), home.code(Principal::Operator, keyed.clone())), (None, None));
    let read = crate::state::State::decode(&home.mind.snapshot().encode()).expect("our own snapshot");
    home.mind.state.post_keys = read.post_keys;
    let another = home.post(0, Some("another"));
    assert_eq!(home.code(ada, another), Some(Code::BookFull), "counted anew from a snapshot");
    home.ms += POST_KEY_MS + 1;
    assert_eq!(home.code(ada, keyed), None, "its day is over");
    assert_eq!(home.mind.state.post_keys.rows().len(), 1);
}

#[test]
fn all_agents_keys_do_not_shut_the_operator_out() {
    let mut home = Home::new();
    for n in 0..(POST_KEYS_MAX / AGENT_POST_KEYS_MAX) as u32 {
        let Principal::Agent { id, .. } = home.agent(n) else { panic!("an agent") };
        fill_keys(&mut home, Poster::Agent(id), AGENT_POST_KEYS_MAX);
    }
    let (late, keyed) = (home.agent(99), home.post(1, Some("k")));
    assert_eq!(home.code(late, keyed.clone()), Some(Code::BookFull));
    assert_eq!(home.code(Principal::Operator, keyed), None);
}

#[test]
fn a_full_book_takes_no_more_steps() {
    let mut home = Home::new();
    home.mind.state.open.steps = OPEN_STEPS_MAX - 2;
    let (two, three) = (home.post(2, None), home.post(3, None));
    assert_eq!(home.code(Principal::Operator, three), Some(Code::BookFull));
    assert_eq!(home.code(Principal::Operator, two), None);
}

#[test]
fn a_part_of_the_book_is_the_operators() {
    let mut home = Home::new();
    let (ada, one) = (home.agent(1), home.post(1, None));
    let part = OPERATOR_PART as usize;
    for (steps, bytes) in
        [(OPEN_STEPS_MAX - OPEN_STEPS_MAX / part, 0), (0, OPEN_BYTES_MAX - OPEN_BYTES_MAX / OPERATOR_PART)]
    {
        home.mind.state.open = Open { steps, bytes };
        assert_eq!(home.code(ada, one.clone()), Some(Code::BookFull), "{steps} steps, {bytes} bytes");
        assert_eq!(home.code(Principal::Operator, one.clone()), None);
    }
}

#[test]
fn one_agents_bytes_leave_room_for_others() {
    let mut home = Home::new();
    let (ada, bob) = (home.agent(1), home.agent(2));
    let one = home.post(1, None);
    let Request::Post(mut large) = home.post(11, None) else { panic!("a post") };
    for step in &mut large.steps {
        step.task.input = Json::new(vec![b' '; 256 << 10]);
    }
    let taken = (0..1_000).take_while(|_| home.code(ada, Request::Post(large.clone())).is_none()).count();
    assert_eq!(taken as u64, AGENT_OPEN_BYTES_MAX / (11 * (256 << 10) + 11 * 512));
    assert_eq!(home.code(ada, Request::Post(large.clone())), Some(Code::BookFull));
    assert_eq!(home.code(ada, one.clone()), None, "what is small still fits");
    assert_eq!((home.code(bob, one.clone()), home.code(Principal::Operator, one)), (None, None));
    assert_eq!(home.code(bob, Request::Post(large)), None);
    let read = crate::state::State::decode(&home.mind.snapshot().encode()).expect("our own snapshot");
    assert_eq!(read.open_by, home.mind.state.open_by);
}

#[test]
fn results_beyond_a_posters_share_stop_its_grants_alone() {
    let mut home = Home::new();
    let (ada, bob, worker, other) = (home.agent(1), home.agent(2), home.agent(3), home.agent(4));
    let step = |home: &mut Home, poster| {
        let one = home.post(1, None);
        match home.ask(poster, one) {
            Some(Ok(Reply::Run { run, .. })) => run.step_id(0),
            other => panic!("a run, not {other:?}"),
        }
    };
    let (leased, given_back) = (step(&mut home, ada), step(&mut home, ada));
    assert_eq!(home.code(worker, Request::Claim(leased)), None);
    assert_eq!(home.code(other, Request::Claim(given_back)), None);
    let (adas, bobs) = (step(&mut home, ada), step(&mut home, bob));
    let Principal::Agent { id, .. } = ada else { panic!("an agent") };
    home.mind.state.open_by.get_mut(&id).expect("it has posted").bytes += AGENT_HELD_BYTES_MAX;
    assert_eq!(home.code(worker, Request::Claim(adas)), Some(Code::BookFull));
    let next = Request::ClaimNext(ClaimNext { wait_ms: 0 });
    let Some(Ok(Reply::Leased(lease))) = home.ask(worker, next.clone()) else { panic!("bob's task") };
    assert_eq!(lease.step, bobs);
    assert!(matches!(home.ask(worker, next.clone()), Some(Ok(Reply::Nothing))), "ada's is not granted");
    let waiting = Request::ClaimNext(ClaimNext { wait_ms: 30_000 });
    assert!(home.ask(worker, waiting).is_none());
    assert_eq!(home.code(other, Request::Release { step: given_back, epoch: Epoch(1) }), None);
    assert_eq!(home.mind.view().counts().waiting, 1, "nor to those who wait");
    let submission = Submission {
        step: leased,
        epoch: Epoch(1),
        output: Json::new(*b"{}"),
        artifacts: vec![],
        next: None,
        brought: None,
    };
    assert_eq!(home.code(worker, Request::Submit(submission)), None, "the worker does not pay for it");
}

#[test]
fn full_memory_takes_no_posts_and_later_no_results() {
    let mut home = Home::new();
    let one = home.post(1, None);
    let Some(Ok(Reply::Run { run, .. })) = home.ask(Principal::Operator, one.clone()) else {
        panic!("a run")
    };
    let worker = home.agent(1);
    assert_eq!(home.code(Principal::Operator, one.clone()), None);
    assert_eq!(home.code(worker, Request::Claim(run.step_id(0))), None);
    let before = home.mind.state.open;
    home.mind.state.open.bytes = OPEN_BYTES_MAX;
    assert_eq!(home.code(Principal::Operator, one), Some(Code::BookFull));
    home.mind.state.open.bytes = HELD_BYTES_MAX + 1;
    let submission = Submission {
        step: run.step_id(0),
        epoch: Epoch(1),
        output: Json::new(*b"{}"),
        artifacts: vec![],
        next: None,
        brought: None,
    };
    assert_eq!(home.code(worker, Request::Submit(submission.clone())), Some(Code::BookFull));
    let next = Request::ClaimNext(ClaimNext { wait_ms: 0 });
    assert!(matches!(home.ask(worker, next), Some(Ok(Reply::Nothing))), "nor is anything granted");
    home.mind.state.open = before;
    assert_eq!(home.code(worker, Request::Submit(submission)), None, "the lease was kept");
}

#[test]
fn a_full_memory_of_agents_takes_no_more_texts() {
    let mut home = Home::new();
    let profile = |bytes: usize| Profile {
        name: "a".into(),
        skills: vec![],
        metadata: Json::new(vec![b' '; bytes]),
        capacity: None,
    };
    let new = AgentId(SecretKey::from_seed(&[1; 32]).public());
    let enroll = |bytes| Request::Enroll { agent: new, profile: profile(bytes), delegate: false };
    let ada = home.agent(1);
    assert_eq!(home.code(ada, Request::Configure(profile(1_000))), None);
    home.mind.state.agent_bytes = AGENTS_BYTES_MAX - AGENT_FIXED_BYTES as u64 - 101;
    assert_eq!(home.code(Principal::Stranger, enroll(101)), Some(Code::TooMany));
    assert_eq!(home.code(Principal::Stranger, enroll(100)), None);
    home.mind.state.agent_bytes = AGENTS_BYTES_MAX;
    assert_eq!(home.code(ada, Request::Configure(profile(1_001))), Some(Code::TooMany));
    assert_eq!(home.code(ada, Request::Configure(profile(1_000))), None, "what does not grow fits");
}

#[test]
fn one_agents_many_waits_hide_nobody() {
    let mut home = Home::new();
    let wait = Request::ClaimNext(ClaimNext { wait_ms: 30_000 });
    for n in 0..16 {
        let idle = home.skilled(n, &["a", "b@1"]);
        for _ in 0..64 {
            assert_eq!(home.code(idle, wait.clone()), None);
        }
    }
    let able = home.skilled(99, &["a", "b@2"]);
    assert_eq!(home.code(able, wait), None);
    assert_eq!(home.winner(&["a", "b@2"]), Some(able));
    assert_eq!(home.mind.live.waiters.len(), 1_024);
    home.mind.handle(Input::Closing, Now { mono: Mono(1), wall: Wall(1), entropy: [0; 32] }, &mut Vec::new());
    assert!(home.mind.live.waiters.is_empty(), "nothing is left of any of them");
}

#[test]
fn many_agents_that_have_the_common_skill_alone_hide_nobody() {
    let mut home = Home::new();
    let wait = Request::ClaimNext(ClaimNext { wait_ms: 30_000 });
    for n in 0..=WAITERS_LOOKED_AT_MAX as u32 {
        let idle = home.skilled(n, &["a"]);
        assert_eq!(home.code(idle, wait.clone()), None);
    }
    let able = home.skilled(u32::MAX, &["a", "b"]);
    assert_eq!(home.code(able, wait), None);
    assert_eq!(home.winner(&["a", "b"]), Some(able));
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

/// An agent of another node out of nowhere, known since `ms`.
fn guest(home: &mut Home, (n, of): (u32, u32), name: &str, ms: u64) -> AgentId {
    let agent = AgentId(nth_node(n).0);
    let introduced = Introduced {
        agent,
        node: nth_node(of),
        name: name.into(),
        skills: vec![],
        delegation: None,
        warrant: None,
        will: String::new(),
        signature: Signature([0; 64]),
    };
    let entry = Entry { at: Wall(ms), correlation: None, fact: Fact::Introduced(introduced) };
    home.mind.state.apply(&entry).expect("folds");
    agent
}

/// A claim of an agent that signs it itself, brought by a node.
fn claims(home: &Home, seed: u8, of: u32, act: Act) -> (AgentId, Principal, Request) {
    let key = SecretKey::from_seed(&[seed; 32]);
    let agent = AgentId(key.public());
    let at = Wall(home.ms);
    let signature = key.sign(act_text(&home.mind.identity, &agent, &[], &act, at).as_bytes());
    let warrant = Warrant::Own { at, signature };
    let visit = Visit { agent, name: "a".into(), skills: vec![], warrant, act };
    (agent, Principal::Node(nth_node(of)), Request::Visit(Box::new(visit)))
}

#[test]
fn guests_make_room_for_guests_and_take_none_of_those_who_enroll() {
    let mut home = Home::new();
    home.ms += 1_000_000_000;
    let waits = || Act::ClaimNext { wait_ms: 30_000 };
    for n in 0..GUESTS_PER_NODE_MAX as u32 {
        guest(&mut home, (n, 1 << 20), "a", 1_000 + u64::from(n));
    }
    let knows = |home: &Home, id: &AgentId| home.mind.state.agents.contains_key(id);
    let of_node = |n: u32| AgentId(nth_node(n).0);
    let (new, node, claim) = claims(&home, 1, 1 << 20, waits());
    assert_eq!(home.code(node, claim), None);
    assert!(knows(&home, &new) && !knows(&home, &of_node(0)), "the one that was known longest has gone");
    let entries = home.mind.size();
    let (new, node, claim) = claims(&home, 2, 1 << 20, Act::ClaimNext { wait_ms: 0 });
    assert_eq!(home.code(node, claim), None);
    assert!(
        !knows(&home, &new) && knows(&home, &of_node(1)) && home.mind.size() == entries,
        "nothing was won"
    );
    // Others fill what is left, the first of them before all.
    for n in GUESTS_PER_NODE_MAX as u32..GUESTS_MAX as u32 {
        guest(&mut home, (n, (1 << 20) + n / GUESTS_PER_NODE_MAX as u32), "a", 1_000_000 + u64::from(n));
    }
    let known = home.mind.state.agents.len();
    assert_eq!(known, GUESTS_MAX);
    let (new, node, claim) = claims(&home, 3, 7, waits());
    assert_eq!(home.code(node, claim), None);
    assert!(knows(&home, &new) && !knows(&home, &of_node(1)));
    assert_eq!(home.mind.state.agents.len(), known);
    let enroll = Request::Enroll {
        agent: AgentId(SecretKey::from_seed(&[4; 32]).public()),
        profile: Profile { name: "a".into(), skills: vec![], metadata: Json::new(*b"{}"), capacity: None },
        delegate: false,
    };
    assert_eq!(home.code(Principal::Stranger, enroll), None, "who enrolls has room");
    // What is derived from a snapshot's agents is the same.
    let derived = |home: &Home| {
        let mut guests = Guests::default();
        home.mind.state.agents.values().for_each(|agent| guests.add(agent));
        guests
    };
    assert_eq!(format!("{:?}", derived(&home)), format!("{:?}", home.mind.state.guests));
    // Who has won something stays.
    for agent in home.mind.state.agents.values_mut() {
        Arc::make_mut(agent).accepted = 1;
    }
    home.mind.state.guests = derived(&home);
    let (_, node, claim) = claims(&home, 5, 8, waits());
    assert_eq!(home.code(node, claim), Some(Code::TooMany));
}

fn handing(step: StepId, epoch: Epoch) -> Handing {
    let (output, salt, artifacts) = (Json::new(*b"{}"), Salt([7; 16]), vec![]);
    Handing { step, epoch, output, salt, artifacts, incarnation: 0, index: 5, next: None }
}

/// All but `free` of a node's places are taken by guests whose work counts.
fn fill_with_worthy(home: &mut Home, of: u32, free: usize) {
    for n in 0..(GUESTS_PER_NODE_MAX - free) as u32 {
        guest(home, (n, of), "a", 1_000);
    }
    for agent in home.mind.state.agents.values_mut() {
        Arc::make_mut(agent).accepted = 1;
    }
    let mut guests = Guests::default();
    home.mind.state.agents.values().for_each(|agent| guests.add(agent));
    home.mind.state.guests = guests;
}

#[test]
fn a_guest_whose_result_has_no_verdict_yet_is_not_forgotten() {
    let mut home = Home::new();
    home.ms += 1_000_000_000;
    let of = 1 << 20;
    fill_with_worthy(&mut home, of, 1);
    let Request::Post(mut post) = home.post(1, None) else { panic!("a post") };
    post.steps[0].task.output_schema = Some(Json::new(*b"{}"));
    let Some(Ok(Reply::Run { run, .. })) = home.ask(Principal::Operator, Request::Post(post)) else {
        panic!("a run")
    };
    let (step, epoch) = (run.step_id(0), Epoch(1));
    let (worker, node, claim) = claims(&home, 1, of, Act::Claim(step));
    assert_eq!(home.code(node, claim), None);
    let (_, node, hands_in) = claims(&home, 1, of, Act::Submit(Box::new(handing(step, epoch))));
    assert_eq!(home.code(node, hands_in), None);
    // It comes under another name and waits for more: it is written down anew.
    home.ms += GUEST_CHANGE_MS;
    let (_, node, claim) = claims(&home, 1, of, Act::ClaimNext { wait_ms: 1 });
    let Request::Visit(mut visit) = claim else { panic!("a visit") };
    visit.name = "b".into();
    assert_eq!(home.code(node, Request::Visit(visit)), None);
    assert_eq!(home.mind.state.agents[&worker].name, "b");
    home.ms += 1_000;
    let (_, node, claim) = claims(&home, 2, of, Act::ClaimNext { wait_ms: 30_000 });
    assert_eq!(home.code(node, claim), Some(Code::TooMany), "nobody rests who could make room");
    let (now, outcome) = (home.now(), Outcome::Accepted { quality: 100, checked: true });
    home.mind.handle(Input::Checked { step, epoch, outcome }, now, &mut Vec::new());
    assert_eq!(home.mind.state.agents[&worker].accepted, 1);
}

#[test]
fn a_result_that_finds_no_room_for_now_keeps_its_lease_until_it_comes_again() {
    let mut home = Home::new();
    home.ms += 1_000_000_000;
    let of = 1 << 20;
    let post = home.post(1, None);
    let Some(Ok(Reply::Run { run, .. })) = home.ask(Principal::Operator, post) else { panic!("a run") };
    let (step, epoch) = (run.step_id(0), Epoch(1));
    let (_, node, claim) = claims(&home, 1, of, Act::Claim(step));
    assert_eq!(home.code(node, claim), None);
    let term = home.mind.options.lease_ms;
    let open = home.mind.state.open;
    home.mind.state.open.bytes = HELD_BYTES_MAX + 1;
    for _ in 0..3 {
        home.ms += u64::from(term) * 2 / 3;
        let (_, node, hands_in) = claims(&home, 1, of, Act::Submit(Box::new(handing(step, epoch))));
        assert_eq!(home.code(node, hands_in), Some(Code::BookFull));
    }
    home.mind.state.open = open;
    home.ms += u64::from(term) * 2 / 3;
    let (_, node, hands_in) = claims(&home, 1, of, Act::Submit(Box::new(handing(step, epoch))));
    assert_eq!(home.code(node, hands_in), None);
}

#[test]
fn a_guest_that_gave_its_lease_back_makes_room_again() {
    let mut home = Home::new();
    home.ms += 1_000_000_000;
    let of = 1 << 20;
    fill_with_worthy(&mut home, of, 1);
    let post = home.post(1, None);
    let Some(Ok(Reply::Run { run, .. })) = home.ask(Principal::Operator, post) else { panic!("a run") };
    let (step, epoch) = (run.step_id(0), Epoch(1));
    let (first, node, claim) = claims(&home, 1, of, Act::Claim(step));
    assert_eq!(home.code(node, claim), None);
    let (other, node, claim) = claims(&home, 2, of, Act::ClaimNext { wait_ms: 30_000 });
    assert_eq!(home.code(node, claim.clone()), Some(Code::TooMany), "who works is not forgotten");
    let (_, _, gives_back) = claims(&home, 1, of, Act::Release { step, epoch });
    assert_eq!(home.code(node, gives_back), None);
    let live = format!("{:?}", home.mind.state.guests);
    let restored = State::decode(&home.mind.state.snapshot().encode()).expect("its own snapshot");
    assert_eq!(format!("{:?}", restored.guests), live, "and a restart changes nothing of it");
    assert_eq!(home.code(node, claim), None);
    let agents = &home.mind.state.agents;
    assert!(agents.contains_key(&other) && !agents.contains_key(&first));
}

#[test]
fn a_node_has_its_agents_written_down_at_a_pace() {
    let mut home = Home::new();
    let ask = |home: &mut Home, n: u32| {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&n.to_le_bytes());
        let key = SecretKey::from_seed(&seed);
        let (agent, at) = (AgentId(key.public()), Wall(home.ms));
        let act = Act::ClaimNext { wait_ms: 30_000 };
        let signature = key.sign(act_text(&home.mind.identity, &agent, &[], &act, at).as_bytes());
        let visit =
            Visit { agent, name: "a".into(), skills: vec![], warrant: Warrant::Own { at, signature }, act };
        home.code(Principal::Node(nth_node(1)), Request::Visit(Box::new(visit)))
    };
    for n in 0..NODE_CHANGES_BURST as u32 {
        assert_eq!(ask(&mut home, n), None, "{n}");
    }
    let entries = home.mind.size();
    assert_eq!(ask(&mut home, 1_000), Some(Code::TooMany));
    assert_eq!(home.mind.size(), entries);
    home.ms += NODE_CHANGE_MS;
    assert_eq!(ask(&mut home, 1_000), None);
    assert_eq!(ask(&mut home, 1_001), Some(Code::TooMany));
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

fn nth_node(n: u32) -> NodeId {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&n.to_le_bytes());
    NodeId(PublicKey::from_bytes(key))
}

#[test]
fn a_full_node_lets_nobody_more_in_until_somebody_goes() {
    let mut home = Home::new();
    let admit = |n| (Principal::Node(nth_node(n)), Request::Admit { node: nth_node(n), secret: None });
    for n in 0..MEMBERS_MAX as u32 {
        let (who, request) = admit(n);
        assert_eq!(home.code(who, request), None, "{n}");
    }
    let (late, request) = admit(u32::MAX);
    assert_eq!(home.code(late, request.clone()), Some(Code::MembersFull));
    assert_eq!(home.code(Principal::Operator, request.clone()), Some(Code::MembersFull), "the operator too");
    let (first, again) = admit(0);
    assert_eq!(home.code(first, again), None, "a member stays one");
    let expel = |n| Request::Expel { node: nth_node(n), reason: "x".into() };
    assert_eq!(home.code(Principal::Operator, expel(0)), None);
    assert_eq!(home.code(late, request), None);
    assert_eq!(home.mind.view().counts().nodes, MEMBERS_MAX);
    for n in 1..EXPELLED_MAX as u32 {
        assert_eq!(home.code(Principal::Operator, expel(n)), None, "{n}");
    }
    assert_eq!(home.code(Principal::Operator, expel(1 << 30)), Some(Code::TooMany));
    assert_eq!(home.code(Principal::Operator, expel(1)), None, "one that is expelled stays so");
    let bytes = home.mind.snapshot().encode().len();
    assert!(bytes <= MEMBERS_MAX * MEMBER_BYTES + EXPELLED_MAX * EXPELLED_BYTES, "{bytes}");
}
