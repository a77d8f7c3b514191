//! A home on a virtual clock for tests: every input goes through `Federation::handle`, the journal is kept as the bytes
//! that the disk would hold, and after each input the state folded from those bytes must be the live one. It knows the
//! outside contract only and decides nothing itself.
#![allow(dead_code, reason = "each test file uses its own part of the harness")]

pub mod abroad;
mod courier;
pub mod crowd;
mod gatekeeper;
pub mod referee;

use artel_federation::effect::{Lease, Receipt, ToWitness};
use artel_federation::fact::{Admission, Came, Cosigned, Joined, Judgement, Outcome, TaskSpec, Witnessing};
use artel_federation::input::{ClaimNext, Profile, Ran, RunPost, StepPost, Submission};
use artel_federation::redo::lot;
use artel_federation::run::Run;
use artel_federation::{
    Beginning, ClosedRun, Code, Effect, Entry, Fact, Federation, Genesis, Identity, Input, Json, Kind, Now,
    Options, Principal, Refusal, Reply, ReplyTo, Request,
};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, SecretKey, Signature};
use artel_protocol::log::Hash;
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::{Mono, Wall};
use artel_reputation::Complexity;
use std::collections::BTreeMap;
use std::sync::Arc;

/// 2026-01-01T00:00:00Z, where every test's wall clock begins.
pub const BEGIN: Wall = Wall(1_767_225_600_000);
pub const MINUTE_MS: u64 = 60_000;
pub const HOUR_MS: u64 = 3_600_000;
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// Up to this many entries the whole journal is folded anew after each input, above it at every fiftieth frame.
const REFOLDS: usize = 150;
/// Up to this many entries the folded state is compared after each input, above it at every tenth frame.
const COMPARES: usize = 2_000;

pub type Answer = Result<Reply, Refusal>;

/// An agent with its key and its newest token.
pub struct Member {
    pub key: SecretKey,
    pub id: AgentId,
    pub serial: u32,
}

impl Member {
    pub fn principal(&self) -> Principal {
        Principal::Agent { id: self.id, serial: self.serial }
    }

    pub fn sign(&self, text: &str) -> Signature {
        self.key.sign(text.as_bytes())
    }
}

/// A key without an enrollment.
pub fn member(n: u8) -> Member {
    let key = SecretKey::from_seed(&[n; 32]);
    Member { id: AgentId(key.public()), key, serial: 0 }
}

pub fn json(text: &str) -> Json {
    Json::new(text.as_bytes())
}

pub fn skills(names: &[&str]) -> Vec<Skill> {
    names.iter().map(|name| Skill::parse(name).expect("a test's skill")).collect()
}

pub fn profile(name: &str, names: &[&str]) -> Profile {
    Profile { name: name.into(), skills: skills(names), metadata: json("{}"), capacity: None }
}

pub fn step(name: &str, needs: &[&str], task: TaskSpec) -> StepPost {
    StepPost { name: name.into(), needs: needs.iter().map(|n| (*n).to_owned()).collect(), task }
}

pub fn run(steps: Vec<StepPost>) -> RunPost {
    RunPost { name: "run".into(), inputs: json("{}"), priority: 0, steps, key: None }
}

pub fn accepted(quality: u8) -> Outcome {
    Outcome::Accepted { quality, checked: true }
}

/// What strangers see of an outcome.
pub fn public(outcome: &Outcome) -> Judgement {
    match outcome {
        Outcome::Accepted { quality, checked } => {
            Judgement::Accepted { quality: *quality, checked: *checked }
        }
        Outcome::Rejected { check, .. } => Judgement::Rejected { check: check.clone() },
    }
}

pub fn rejected() -> Outcome {
    Outcome::Rejected { check: "schema".into(), findings: "x is missing".into() }
}

pub fn genesis() -> Genesis {
    Genesis {
        name: "workshop".into(),
        founders: vec![node()],
        admission: Admission::Open,
        recovery: Digest::of(b"recovery"),
        created: BEGIN,
    }
}

/// A federation by invitation that this node founded.
pub fn closed_genesis() -> Genesis {
    Genesis { admission: Admission::Invitation, ..genesis() }
}

/// This node joins a federation that another founded.
pub fn joining(admission: Admission) -> Beginning {
    let founder = NodeId(SecretKey::from_seed(&[201; 32]).public());
    let genesis = Genesis { founders: vec![founder], admission, ..genesis() };
    Beginning::Join(Joined { genesis, recovery: Digest::of(b"own recovery") })
}

/// A node of the federation, or one that would like to be.
pub fn peer(n: u8) -> NodeId {
    NodeId(SecretKey::from_seed(&[100 + n; 32]).public())
}

pub fn node() -> NodeId {
    NodeId(SecretKey::from_seed(&[200; 32]).public())
}

pub fn identity() -> Identity {
    Identity { node: node(), federation: genesis().id() }
}

/// One home, its journal and what it said.
pub struct Home {
    pub mind: Federation,
    pub identity: Identity,
    pub options: Options,
    pub mono: Mono,
    pub wall: Wall,
    /// Every entry, read back from its bytes.
    pub journal: Vec<Entry>,
    /// Where each frame ends in the journal.
    pub cuts: Vec<usize>,
    /// What the last input wrote.
    pub last: Vec<Entry>,
    pub answers: BTreeMap<ReplyTo, Answer>,
    /// Submissions that wait for their check.
    pub checks: Vec<(StepId, Epoch)>,
    /// Submissions whose witnesses are to be heard.
    pub lots: Vec<ToWitness>,
    pub redos: Vec<artel_federation::effect::ToRedo>,
    pub closed: Vec<Arc<Run>>,
    beginning: Beginning,
    folded: Federation,
    asked: u64,
    inputs: u64,
}

impl Home {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Self::begun(genesis(), options)
    }

    pub fn begun(beginning: impl Into<Beginning>, options: Options) -> Self {
        let beginning = beginning.into();
        let genesis = match &beginning {
            Beginning::Found(genesis) | Beginning::Join(Joined { genesis, .. }) => genesis,
        };
        let identity = Identity { node: node(), federation: genesis.id() };
        let mind = || Federation::new(identity, options.clone());
        let (mind, folded) = (mind(), mind());
        let mut home = Home {
            mind,
            identity,
            beginning,
            folded,
            options,
            mono: Mono(1_000),
            wall: BEGIN,
            journal: Vec::new(),
            cuts: Vec::new(),
            last: Vec::new(),
            answers: BTreeMap::new(),
            checks: Vec::new(),
            lots: Vec::new(),
            redos: Vec::new(),
            closed: Vec::new(),
            asked: 0,
            inputs: 0,
        };
        home.begin();
        home
    }

    /// The process ends and comes back: memory is gone, the journal's bytes are folded, monotonic time begins anew.
    pub fn restart(&mut self) {
        self.mind = self.refold();
        self.begin();
    }

    /// As [`Home::restart`], from a snapshot of the present size.
    pub fn restart_from_snapshot(&mut self) {
        let bytes = self.mind.snapshot().encode();
        self.mind =
            Federation::from_snapshot(self.identity, self.options.clone(), &bytes).expect("our own snapshot");
        assert!(self.mind.snapshot().encode() == bytes, "a snapshot reads back as it was");
        self.begin();
    }

    fn begin(&mut self) {
        self.mono = Mono(1_000);
        self.answers.clear();
        self.checks.clear();
        self.lots.clear();
        self.redos.clear();
        let (now, mut effects) = (self.now(), Vec::new());
        self.mind.start(
            Some(self.beginning.clone()),
            ("0.1.0".into(), Digest::of(b"config")),
            now,
            &mut effects,
        );
        self.take(effects);
    }

    fn now(&mut self) -> Now {
        self.inputs += 1;
        let entropy = Digest::of(&self.inputs.to_le_bytes()).0;
        Now { mono: self.mono, wall: self.wall, entropy }
    }

    /// Has all randomness from here on follow from a seed.
    pub fn reseed(&mut self, seed: u64) {
        self.inputs = seed << 32;
    }

    /// Gives the mind one input and does all its effects.
    pub fn input(&mut self, input: Input) {
        let (now, mut effects) = (self.now(), Vec::new());
        self.mind.handle(input, now, &mut effects);
        self.take(effects);
    }

    /// Asks; the answer, unless it comes later.
    pub fn ask(&mut self, principal: Principal, request: Request) -> Option<Answer> {
        let to = self.ask_later(principal, request);
        self.answers.remove(&to)
    }

    /// Asks; the answer is in `answers` now or later.
    pub fn ask_later(&mut self, principal: Principal, request: Request) -> ReplyTo {
        self.asked += 1;
        let to = ReplyTo(self.asked);
        self.input(Input::Request { to, principal, correlation: None, request });
        to
    }

    pub fn ask_as(&mut self, principal: Principal, request: Request, correlation: &str) -> Option<Answer> {
        self.asked += 1;
        let to = ReplyTo(self.asked);
        let correlation = Correlation::parse(correlation);
        self.input(Input::Request { to, principal, correlation, request });
        self.answers.remove(&to)
    }

    /// Lets both clocks run, with a tick whenever a timer is due.
    pub fn pass(&mut self, ms: u64) {
        let end = self.mono.plus_ms(ms);
        while let Some(due) = self.mind.next_timer().filter(|due| *due <= end) {
            self.skip(due.since_ms(self.mono));
            self.input(Input::Tick);
        }
        self.skip(end.since_ms(self.mono));
        self.last.clear();
    }

    /// Moves both clocks without a tick.
    pub fn skip(&mut self, ms: u64) {
        (self.mono, self.wall) = (self.mono.plus_ms(ms), self.wall.plus_ms(ms));
    }

    /// The state of a mind that has read the journal's bytes and nothing else.
    pub fn refold(&self) -> Federation {
        let mut mind = Federation::new(self.identity, self.options.clone());
        let mut from = 0;
        for cut in &self.cuts {
            mind.fold(&self.journal[from..*cut], &mut Vec::new()).expect("the journal folds");
            from = *cut;
        }
        mind
    }

    fn take(&mut self, effects: Vec<Effect>) {
        self.last.clear();
        let mut closed = Vec::new();
        let frames = effects.iter().filter(|effect| matches!(effect, Effect::Append(_))).count();
        assert!(frames <= 2, "what was due, and what came in");
        for effect in effects {
            match effect {
                Effect::Append(entries) => {
                    assert!(closed.is_empty(), "a frame's runs are closed before the next frame");
                    assert!(!entries.is_empty(), "a frame holds something");
                    self.append(entries, &mut closed);
                }
                Effect::Reply { to, answer } => {
                    if let Ok(reply) = &answer {
                        self.facts_stand_behind(reply);
                    }
                    assert!(self.answers.insert(to, answer).is_none(), "one answer to each question");
                }
                Effect::Check { step, epoch, .. } => self.checks.push((step, epoch)),
                Effect::AskWitnesses(ask) => self.lots.push(ask),
                Effect::Redo(to_redo) => self.redos.push(*to_redo),
                Effect::Closed(run) => {
                    assert_eq!(
                        Some(run.id()),
                        closed.first().map(|run| run.id()),
                        "the fold closes the same runs"
                    );
                    assert_eq!(run, closed.remove(0));
                    self.closed.push(run.run().expect("it has just ended").clone());
                }
            }
        }
        assert!(closed.is_empty(), "a run that the fold closes is said to be closed");
        assert_eq!(self.mind.size(), self.journal.len() as u64, "live state is the fold of what was written");
        self.check_fold();
    }

    fn check_fold(&self) {
        let (entries, frames) = (self.journal.len(), self.cuts.len());
        if entries > COMPARES && !frames.is_multiple_of(10) {
            return;
        }
        let live = self.mind.snapshot().encode();
        assert!(live == self.folded.snapshot().encode(), "the folded state is the live one");
        if entries <= REFOLDS || frames.is_multiple_of(50) {
            assert!(
                live == self.refold().snapshot().encode(),
                "the journal folded from its start is the live state"
            );
        }
        let total: i128 = self.mind.view().accounts().map(|(_, units)| i128::from(units)).sum();
        assert_eq!(total, 0, "all balances sum to zero");
    }

    fn append(&mut self, entries: Vec<Entry>, closed: &mut Vec<Arc<ClosedRun>>) {
        let from = self.last.len();
        for entry in &entries {
            let read = Entry::decode(&entry.encode()).expect("what is written can be read");
            assert_eq!(&read, entry, "what is read is what was written");
            self.last.push(read);
        }
        self.folded.fold(&self.last[from..], closed).expect("a frame folds");
        self.journal.extend_from_slice(&self.last[from..]);
        self.cuts.push(self.journal.len());
    }

    /// No answer leaves before the facts that it tells of stand in the journal.
    fn facts_stand_behind(&self, reply: &Reply) {
        let fact = |index: u64| &self.journal[index as usize].fact;
        match reply {
            Reply::Leased(lease) => self.lease_stands(lease),
            Reply::Submitted(receipt) => {
                let Fact::Submitted(f) = fact(receipt.submitted) else {
                    panic!("no submission stands there")
                };
                assert_eq!(
                    (f.step, f.epoch, f.agent, f.result),
                    (receipt.step, receipt.epoch, receipt.agent, receipt.result)
                );
                assert_eq!(receipt.opening.result(), f.result, "the answer opens the record");
                if let Some(judged) = &receipt.verdict {
                    let Fact::Verdict(f) = fact(judged.index) else { panic!("no verdict stands there") };
                    assert_eq!(
                        (f.step, f.epoch, f.submitted),
                        (receipt.step, receipt.epoch, receipt.submitted)
                    );
                    assert_eq!(f.judgement, public(&judged.outcome));
                }
                if let Some(lease) = &receipt.next {
                    self.lease_stands(lease);
                }
            }
            Reply::Token { agent, serial, .. } => {
                let stands = self.journal.iter().any(|entry| match &entry.fact {
                    Fact::Enrolled(f) => (f.agent, f.serial) == (agent.id, *serial),
                    Fact::Rotated(f) => (f.agent, f.serial) == (agent.id, *serial),
                    _ => false,
                });
                assert!(stands, "a token's entry stands before it");
            }
            Reply::Run { run, .. } => {
                let Fact::RunPosted(f) = fact(run.posted_at) else { panic!("no post stands there") };
                assert_eq!(f.run, run.id);
            }
            Reply::Admitted { node, index: Some(index) } => {
                assert!(matches!(fact(*index), Fact::Admitted(f) if f.node == *node));
            }
            Reply::Expelled(node) => {
                let expelled = node.expelled.as_ref().expect("so it says");
                assert!(matches!(fact(expelled.index), Fact::Expelled(f) if f.node == node.id));
            }
            Reply::Invited { secret: Some(secret), until, .. } => {
                let stands = |f: &Fact| matches!(f, Fact::Invited(f) if (f.invitation, f.until) == (secret.digest(), *until));
                assert!(self.journal.iter().any(|entry| stands(&entry.fact)), "an invitation's entry stands");
            }
            Reply::Emitted { index, .. } => assert_eq!(fact(*index).kind(), Kind::Emitted),
            _ => {}
        }
    }

    fn lease_stands(&self, lease: &Lease) {
        let Fact::Granted(f) = &self.journal[lease.index as usize].fact else {
            panic!("no grant stands there")
        };
        assert_eq!((f.step, f.epoch), (lease.step, lease.epoch));
    }

    /// What kinds of entries the last input wrote.
    pub fn kinds(&self) -> Vec<Kind> {
        self.last.iter().map(|entry| entry.fact.kind()).collect()
    }

    /// All facts of a kind, as `pick` sees them.
    pub fn facts<T>(&self, pick: impl Fn(&Fact) -> Option<T>) -> Vec<T> {
        self.journal.iter().filter_map(|entry| pick(&entry.fact)).collect()
    }

    pub fn enroll(&mut self, n: u8, names: &[&str]) -> Member {
        self.enroll_with(n, profile(&format!("agent {n}"), names), false)
    }

    pub fn enroll_with(&mut self, n: u8, profile: Profile, delegate: bool) -> Member {
        let mut member = member(n);
        let (enrollment, text) = self.challenge(&member, profile, delegate);
        let answer =
            self.ask(Principal::Stranger, Request::Respond { enrollment, signature: member.sign(&text) });
        let Some(Ok(Reply::Token { serial, .. })) = answer else { panic!("not enrolled: {answer:?}") };
        member.serial = serial;
        member
    }

    pub fn challenge(
        &mut self,
        member: &Member,
        profile: Profile,
        delegate: bool,
    ) -> (artel_protocol::id::EnrollmentId, String) {
        match self.ask(Principal::Stranger, Request::Enroll { agent: member.id, profile, delegate }) {
            Some(Ok(Reply::Challenge { enrollment, text, .. })) => (enrollment, text),
            other => panic!("no challenge: {other:?}"),
        }
    }

    /// A simple task for anybody: ten credits, a deadline in an hour.
    pub fn task(&self) -> TaskSpec {
        TaskSpec {
            title: "a task".into(),
            description: String::new(),
            skills: Vec::new(),
            level_min: None,
            complexity: Complexity::Simple,
            reward: Credits(10_000_000),
            deadline: self.wall.plus_ms(HOUR_MS),
            input: json("{}"),
            output_schema: None,
            poster_may_claim: false,
            runner: None,
        }
    }

    /// A task whose output is checked.
    pub fn checked_task(&self) -> TaskSpec {
        TaskSpec { output_schema: Some(json(r#"{"type":"object"}"#)), ..self.task() }
    }

    pub fn post(&mut self, principal: Principal, post: RunPost) -> Result<Run, Code> {
        match self.ask(principal, Request::Post(post)).expect("a post is answered at once") {
            Ok(Reply::Run { run, .. }) => Ok(Arc::unwrap_or_clone(run)),
            Ok(other) => panic!("a post was answered with {other:?}"),
            Err(refusal) => Err(refusal.code),
        }
    }

    /// Posts one task as the operator.
    pub fn post_one(&mut self, task: TaskSpec) -> StepId {
        self.post(Principal::Operator, run(vec![step("only", &[], task)])).expect("a good post").step_id(0)
    }

    pub fn claim(&mut self, member: &Member, step: StepId) -> Result<Lease, Code> {
        leased(self.ask(member.principal(), Request::Claim(step)).expect("a claim is answered at once"))
            .map(|lease| lease.expect("a claim by id brings a lease"))
    }

    /// A lease on a task posted for it.
    pub fn taken(&mut self, member: &Member, task: TaskSpec) -> Lease {
        let id = self.post_one(task);
        self.claim(member, id).expect("an open task")
    }

    /// Claims the best task without waiting.
    pub fn claim_next(&mut self, member: &Member) -> Result<Option<Lease>, Code> {
        let request = Request::ClaimNext(ClaimNext { wait_ms: 0 });
        leased(self.ask(member.principal(), request).expect("nobody waits for 0 ms"))
    }

    /// Claims the best task and waits for it.
    pub fn wait(&mut self, member: &Member, wait_ms: u32) -> ReplyTo {
        self.ask_later(member.principal(), Request::ClaimNext(ClaimNext { wait_ms }))
    }

    /// The answer to a claim that waited, if it has come.
    pub fn heard(&mut self, to: ReplyTo) -> Option<Result<Option<Lease>, Code>> {
        self.answers.remove(&to).map(leased)
    }

    pub fn submit(&mut self, member: &Member, lease: &Lease, output: &str) -> Result<Receipt, Code> {
        let submission = submission(lease, output);
        received(self.ask(member.principal(), Request::Submit(submission)).expect("answered at once"))
    }

    pub fn renew(&mut self, member: &Member, lease: &Lease) -> Result<Wall, Code> {
        let request = Request::Renew { step: lease.step, epoch: lease.epoch };
        match self.ask(member.principal(), request).expect("a renewal is answered at once") {
            Ok(Reply::Renewed { expires }) => Ok(expires),
            Ok(other) => panic!("a renewal was answered with {other:?}"),
            Err(refusal) => Err(refusal.code),
        }
    }

    pub fn release(&mut self, member: &Member, lease: &Lease) -> Result<(), Code> {
        let request = Request::Release { step: lease.step, epoch: lease.epoch };
        done(self.ask(member.principal(), request))
    }

    pub fn cancel(&mut self, principal: Principal, run: RunId, step: Option<StepId>) -> Result<Run, Code> {
        match self.ask(principal, Request::Cancel { run, step }).expect("a cancel is answered at once") {
            Ok(Reply::Run { run, .. }) => Ok(Arc::unwrap_or_clone(run)),
            Ok(other) => panic!("a cancel was answered with {other:?}"),
            Err(refusal) => Err(refusal.code),
        }
    }

    /// Has the oldest open lot fall, by what these said.
    pub fn lot_falls(&mut self, witnesses: Vec<Witnessing>) {
        let ToWitness { step, epoch, .. } = self.lots.remove(0);
        self.input(Input::Witnessed { step, epoch, witnesses });
    }

    /// Has all open lots fall, each by three of four witnesses.
    pub fn lots_fall(&mut self) {
        while let Some(ask) = self.lots.first().copied() {
            let witnesses = lot::pick(&ask.digest, (5..=8).map(peer).collect());
            let said =
                |node: NodeId| Witnessing { node, cosigned: Some(self.cosigned(&node, ask.submitted + 1)) };
            self.lot_falls(witnesses.into_iter().map(said).collect());
        }
    }

    /// What a witness says of a size, by a signature that nobody checks here and that is another one each time.
    pub fn cosigned(&self, by: &NodeId, size: u64) -> Cosigned {
        let half = Digest::of(&[&self.inputs.to_le_bytes()[..], by.key().bytes()].concat());
        let signature = Signature([half.0, half.0].concat().try_into().expect("twice 32 bytes"));
        Cosigned { size, root: Hash(half.0), at_s: self.wall.0 / 1_000, signature }
    }

    /// Answers the oldest wish to have something run again.
    pub fn redone(&mut self, by: Option<NodeId>, came: Came) {
        let asked = self.redos.remove(0);
        let ran = Ran { by, came, profile: by.map(|_| Digest::of(b"engine")) };
        let (step, epoch, runs) = (asked.ask.step, asked.ask.epoch, asked.runs());
        self.input(Input::Redone { step, epoch, runs, ran });
    }

    pub fn checked(&mut self, lease: &Lease, outcome: Outcome) {
        self.checks.retain(|check| *check != (lease.step, lease.epoch));
        self.input(Input::Checked { step: lease.step, epoch: lease.epoch, outcome });
    }

    /// Has an agent do one checked task for nothing: with 0 it is an intermediate then, with 50 an expert, with 100 a master.
    pub fn raise(&mut self, member: &Member, quality: u8) {
        let id = self.post_one(TaskSpec { reward: Credits::ZERO, ..self.checked_task() });
        let lease = self.claim(member, id).expect("an open task");
        self.submit(member, &lease, "{}").expect("a live lease");
        self.checked(&lease, accepted(quality));
    }

    pub fn revoke(&mut self, member: &Member) {
        let answer =
            self.ask(Principal::Operator, Request::RevokeAgent(member.id)).expect("answered at once");
        assert!(answer.is_ok(), "{answer:?}");
    }
}

pub fn submission(lease: &Lease, output: &str) -> Submission {
    Submission {
        step: lease.step,
        epoch: lease.epoch,
        output: json(output),
        artifacts: Vec::new(),
        next: None,
        brought: None,
    }
}

pub fn leased(answer: Answer) -> Result<Option<Lease>, Code> {
    match answer {
        Ok(Reply::Leased(lease)) => Ok(Some(*lease)),
        Ok(Reply::Nothing) => Ok(None),
        Ok(other) => panic!("a claim was answered with {other:?}"),
        Err(refusal) => Err(refusal.code),
    }
}

pub fn received(answer: Answer) -> Result<Receipt, Code> {
    match answer {
        Ok(Reply::Submitted(receipt)) => Ok(*receipt),
        Ok(other) => panic!("a submission was answered with {other:?}"),
        Err(refusal) => Err(refusal.code),
    }
}

pub fn done(answer: Option<Answer>) -> Result<(), Code> {
    answer.expect("answered at once").map(drop).map_err(|refusal| refusal.code)
}

/// A run of steps that pay nothing, written `name` or `name<need,need`.
pub fn graph(home: &Home, steps: &[&str]) -> RunPost {
    let task = TaskSpec { reward: Credits::ZERO, ..home.task() };
    let post = |text: &&str| {
        let (name, needs) = text.split_once('<').unwrap_or((text, ""));
        let needs: Vec<&str> = needs.split(',').filter(|need| !need.is_empty()).collect();
        step(name, &needs, task.clone())
    };
    run(steps.iter().map(post).collect())
}

/// Posts such a run.
pub fn posted(home: &mut Home, steps: &[&str]) -> Run {
    let post = graph(home, steps);
    home.post(Principal::Operator, post).expect("a good post")
}

/// Claims a step and hands its output in.
pub fn finish(home: &mut Home, member: &Member, step: StepId, output: &str) {
    let lease = home.claim(member, step).expect("open");
    home.submit(member, &lease, output).expect("a live lease");
}
