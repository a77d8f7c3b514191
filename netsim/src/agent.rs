//! Agents as small state machines: they enroll with real keys, claim, wait, work, renew or not, hand in once, twice, late
//! or never, give back, forget everything, change their tokens. What they do wrong is drawn; what they may believe is only
//! what they were told.

use crate::desk::{Desk, Purse, SAINT, SKILLS, skill};
use crate::letter::{Actor, Answer, Letter};
use crate::rng::Rng;
use artel_federation::effect::{Code, Lease};
use artel_federation::input::{ArtifactPut, ClaimNext, Profile, Signed, Submission};
use artel_federation::member::{OwnAct, statement_text};
use artel_federation::{Identity, Json, Principal, Reply, Request};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, SecretKey, Signature};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// How many keys there are: more agents than any world has.
const KEYS: usize = 64;

/// After how long without an answer an agent asks again, in milliseconds.
const PATIENCE_MS: u64 = 4_000;

/// How many unanswered letters an agent remembers; older ones are given up.
const LETTERS_MAX: usize = 32;

/// How many old leases an agent remembers, to hand in late under them.
const PAST_MAX: usize = 6;

/// How an agent behaves, in thousandths.
#[derive(Debug, Clone, Copy)]
pub struct Temper {
    /// Never does the work that it won.
    forget: u64,
    /// Gives the lease back.
    release: u64,
    /// Renews before it goes on.
    renew: u64,
    /// Hands in long after its lease.
    late: u64,
    /// Hands in twice, with the same output or another.
    twice: u64,
    /// Loses its memory at a wake.
    crash: u64,
    /// Tries something that it may not.
    cheat: u64,
    /// Posts work of its own.
    post: u64,
    /// Rotates, revokes or changes its profile.
    change: u64,
    /// The longest time between two wakes, in milliseconds.
    pause_ms: u64,
}

impl Temper {
    /// Does what it should, at once.
    pub const CALM: Temper = Temper {
        forget: 0,
        release: 0,
        renew: 0,
        late: 0,
        twice: 0,
        crash: 0,
        cheat: 0,
        post: 0,
        change: 0,
        pause_ms: 1_500,
    };

    fn draw(rng: &mut Rng) -> Temper {
        let wild = rng.below(3);
        Temper {
            forget: 60 * wild,
            release: 60 * wild,
            renew: 150,
            late: 70 * wild,
            twice: 60 + 60 * wild,
            crash: 8 * wild,
            cheat: 60 * wild,
            post: 30,
            change: 6 + 6 * wild,
            pause_ms: rng.between(2_000, 9_000),
        }
    }
}

/// What a letter was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Enroll,
    Respond,
    Token,
    Claim,
    Submit(StepId, Epoch),
    Post,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    epoch: Epoch,
    lease_ms: u64,
    done_at: u64,
}

/// An agent's place at one home.
#[derive(Debug, Default)]
struct Seat {
    token: Option<u32>,
    old_token: Option<u32>,
    gone: bool,
    held: BTreeMap<StepId, Held>,
    past: Vec<(StepId, Epoch)>,
    outbox: BTreeMap<(StepId, Epoch), (Submission, u64)>,
    open: BTreeMap<u64, (Ask, u64)>,
    desk: Desk,
}

/// What an agent knows of a home without asking.
#[derive(Debug, Clone, Copy)]
pub struct Board<'a> {
    /// The node and its federation.
    pub identity: &'a Identity,
    /// Steps that were offered lately.
    pub offers: &'a [StepId],
    /// The time by a good clock.
    pub wall: Wall,
}

/// An agent.
#[derive(Debug)]
pub struct Agent {
    number: usize,
    id: AgentId,
    key: &'static SecretKey,
    skills: Vec<Skill>,
    temper: Temper,
    seats: BTreeMap<usize, Seat>,
    letters: u64,
    rng: Rng,
}

fn key(number: usize) -> &'static SecretKey {
    static TABLE: OnceLock<Vec<SecretKey>> = OnceLock::new();
    let make = |i: usize| SecretKey::from_seed(&Digest::of(format!("netsim agent {i}").as_bytes()).0);
    &TABLE.get_or_init(|| (0..KEYS).map(make).collect())[number % KEYS]
}

impl Agent {
    /// A new agent that goes to these homes.
    pub fn new(number: usize, homes: &[usize], mut rng: Rng) -> Agent {
        let key = key(number);
        let skills = SKILLS.iter().filter(|_| rng.chance(700)).map(|text| skill(text)).collect();
        Agent {
            number,
            id: AgentId(key.public()),
            key,
            skills,
            temper: Temper::draw(&mut rng),
            seats: homes.iter().map(|home| (*home, Seat::default())).collect(),
            letters: 0,
            rng,
        }
    }

    /// A new agent that can do everything and does it well.
    pub fn saint(number: usize, home: usize, rng: Rng) -> Agent {
        let mut agent = Agent::new(number, &[home], rng);
        agent.skills = SKILLS.iter().chain([&SAINT]).map(|text| skill(text)).collect();
        agent.temper = Temper::CALM;
        agent
    }

    /// Its key.
    pub fn id(&self) -> AgentId {
        self.id
    }

    /// From now on it does what it should.
    pub fn calm(&mut self) {
        self.temper = Temper::CALM;
    }

    /// How long until it wakes again, in milliseconds: a pause, or less where some work will be done before.
    pub fn pause_ms(&mut self, now: u64) -> u64 {
        let due = self.seats.values().flat_map(|seat| seat.held.values()).map(|held| held.done_at).min();
        let pause = self.rng.between(100, self.temper.pause_ms);
        due.map_or(pause, |due| pause.min(due.saturating_sub(now).max(1)))
    }

    /// What it does at a wake.
    pub fn wake<'a>(&mut self, now: u64, board: impl Fn(usize) -> Board<'a>) -> Vec<Letter> {
        let mut out = Vec::new();
        let homes: Vec<usize> = self.seats.keys().copied().collect();
        for home in &homes {
            self.give_up(*home, now);
            self.work(*home, now, &mut out);
            self.ask_again(*home, now, &mut out);
        }
        let home = *self.rng.pick(&homes).expect("an agent goes to some home");
        if self.rng.chance(self.temper.crash) {
            self.forget_all(home);
        }
        self.act(home, now, &board(home), &mut out);
        out
    }

    fn seat(&mut self, home: usize) -> &mut Seat {
        self.seats.entry(home).or_default()
    }

    fn principal(&mut self, home: usize) -> Option<Principal> {
        let id = self.id;
        let serial = self.seat(home).token?;
        Some(Principal::Agent { id, serial })
    }

    fn write(&mut self, home: usize, now: u64, ask: Ask, principal: Principal, request: Request) -> Letter {
        self.letters += 1;
        let number = self.letters;
        let seat = self.seat(home);
        if seat.open.len() >= LETTERS_MAX {
            seat.open.pop_first();
        }
        seat.open.insert(number, (ask, now));
        Letter { from: Actor::Agent(self.number), home, number, principal, request }
    }

    fn send(&mut self, home: usize, now: u64, ask: Ask, request: Request, out: &mut Vec<Letter>) {
        if let Some(principal) = self.principal(home) {
            let letter = self.write(home, now, ask, principal, request);
            out.push(letter);
        }
    }

    fn give_up(&mut self, home: usize, now: u64) {
        let waits = |ask: Ask| if ask == Ask::Claim { 40_000 } else { 10_000 };
        self.seat(home).open.retain(|_, (ask, at)| now < *at + waits(*ask));
    }

    fn forget_all(&mut self, home: usize) {
        let lose_token = self.rng.chance(300);
        let seat = self.seat(home);
        seat.held.clear();
        seat.outbox.clear();
        seat.open.clear();
        if lose_token {
            seat.token = None;
        }
    }

    fn work(&mut self, home: usize, now: u64, out: &mut Vec<Letter>) {
        let due: Vec<(StepId, Held)> = self
            .seat(home)
            .held
            .iter()
            .filter(|(_, held)| held.done_at <= now)
            .map(|(id, held)| (*id, *held))
            .collect();
        for (step, held) in due {
            self.finish(home, now, step, held, out);
        }
    }

    fn finish(&mut self, home: usize, now: u64, step: StepId, held: Held, out: &mut Vec<Letter>) {
        let temper = self.temper;
        let epoch = held.epoch;
        if self.rng.chance(temper.renew) {
            let more = self.rng.between(500, held.lease_ms);
            self.seat(home).held.insert(step, Held { done_at: now + more, ..held });
            return self.send(home, now, Ask::Other, Request::Renew { step, epoch }, out);
        }
        if self.rng.chance(temper.late) {
            let late = now + held.lease_ms + held.lease_ms / 2;
            self.seat(home).held.insert(step, Held { done_at: late, ..held });
            return;
        }
        self.leave(home, step, epoch);
        if self.rng.chance(temper.forget) {
            return;
        }
        if self.rng.chance(temper.release) {
            return self.send(home, now, Ask::Other, Request::Release { step, epoch }, out);
        }
        self.hand_in(home, now, step, epoch, out);
    }

    fn leave(&mut self, home: usize, step: StepId, epoch: Epoch) {
        let seat = self.seat(home);
        seat.held.remove(&step);
        seat.past.push((step, epoch));
        if seat.past.len() > PAST_MAX {
            seat.past.remove(0);
        }
    }

    fn hand_in(&mut self, home: usize, now: u64, step: StepId, epoch: Epoch, out: &mut Vec<Letter>) {
        let next = self.rng.chance(400).then(|| ClaimNext { wait_ms: self.rng.below(3) as u32 * 2_000 });
        let output = Json::new(format!("{{\"by\":{},\"epoch\":{epoch}}}", self.number).into_bytes());
        let submission = Submission { step, epoch, output, artifacts: Vec::new(), next, brought: None };
        self.seat(home).outbox.insert((step, epoch), (submission.clone(), now));
        let ask = Ask::Submit(step, epoch);
        self.send(home, now, ask, Request::Submit(submission.clone()), out);
        if self.rng.chance(self.temper.twice) {
            let mut again = submission;
            if self.rng.chance(400) {
                again.output = Json::new(*b"{\"other\":true}");
            }
            self.send(home, now, Ask::Other, Request::Submit(again), out);
        }
    }

    fn ask_again(&mut self, home: usize, now: u64, out: &mut Vec<Letter>) {
        let due = |at: &u64| now >= *at + PATIENCE_MS;
        let again: Vec<Submission> =
            self.seat(home).outbox.values().filter(|(_, at)| due(at)).map(|(s, _)| s.clone()).collect();
        for submission in again {
            let key = (submission.step, submission.epoch);
            if let Some((_, at)) = self.seat(home).outbox.get_mut(&key) {
                *at = now;
            }
            self.send(home, now, Ask::Submit(key.0, key.1), Request::Submit(submission), out);
        }
    }

    fn act(&mut self, home: usize, now: u64, board: &Board<'_>, out: &mut Vec<Letter>) {
        let temper = self.temper;
        if self.seat(home).gone {
            return;
        }
        if self.seat(home).token.is_none() {
            return self.enroll(home, now, out);
        }
        if self.rng.chance(temper.cheat) {
            return self.cheat(home, now, board, out);
        }
        if self.rng.chance(temper.change) {
            return self.change(home, now, board, out);
        }
        if self.rng.chance(temper.post) {
            let wish = self
                .seats
                .get_mut(&home)
                .map(|seat| seat.desk.wish(&mut self.rng, board.wall, Purse::Shallow));
            if let Some(request) = wish {
                self.send(home, now, Ask::Post, request, out);
            }
            return;
        }
        self.claim(home, now, board, out);
    }

    fn enroll(&mut self, home: usize, now: u64, out: &mut Vec<Letter>) {
        let asking = |ask: &Ask| matches!(ask, Ask::Enroll | Ask::Respond);
        if self.seat(home).open.values().any(|(ask, at)| asking(ask) && now < at + PATIENCE_MS) {
            return;
        }
        let (agent, delegate) = (self.id, self.rng.chance(500));
        let request = Request::Enroll { agent, profile: self.profile(), delegate };
        let letter = self.write(home, now, Ask::Enroll, Principal::Stranger, request);
        out.push(letter);
    }

    fn profile(&mut self) -> Profile {
        let capacity = self.rng.chance(300).then(|| self.rng.between(1, 4) as u32);
        let metadata = Json::new(*b"{}");
        Profile { name: format!("agent {}", self.number), skills: self.skills.clone(), metadata, capacity }
    }

    fn claim(&mut self, home: usize, now: u64, board: &Board<'_>, out: &mut Vec<Letter>) {
        let seat = self.seat(home);
        let asked = seat.open.values().filter(|(ask, _)| *ask == Ask::Claim).count();
        if asked >= 2 || seat.held.len() >= 3 {
            return;
        }
        let offered = self.rng.pick(board.offers).copied();
        let request = match offered {
            Some(step) if self.rng.chance(350) => Request::Claim(step),
            _ => {
                let wait_ms = *self.rng.pick(&[0, 0, 2_000, 8_000, 60_000]).expect("five of them");
                Request::ClaimNext(ClaimNext { wait_ms })
            }
        };
        self.send(home, now, Ask::Claim, request, out);
    }

    /// Things that must not work: a submission under an old lease, one of another's lease, an old token.
    fn cheat(&mut self, home: usize, now: u64, board: &Board<'_>, out: &mut Vec<Letter>) {
        let old = self.rng.pick(&self.seats[&home].past.clone()).copied();
        let offered = self.rng.pick(board.offers).copied();
        match (self.rng.below(4), old, offered) {
            (0, Some((step, epoch)), _) => self.hand_in(home, now, step, epoch, out),
            (1, _, Some(step)) => {
                let epoch = Epoch(self.rng.between(1, 3) as u32);
                self.hand_in(home, now, step, epoch, out);
            }
            (2, Some((step, epoch)), _) => {
                self.send(home, now, Ask::Other, Request::Release { step, epoch }, out);
            }
            _ => {
                let (id, Some(serial)) = (self.id, self.seats[&home].old_token) else { return };
                let request = Request::ClaimNext(ClaimNext { wait_ms: 0 });
                let letter = self.write(home, now, Ask::Other, Principal::Agent { id, serial }, request);
                out.push(letter);
            }
        }
    }

    fn change(&mut self, home: usize, now: u64, board: &Board<'_>, out: &mut Vec<Letter>) {
        let Some(serial) = self.seats[&home].token else { return };
        match self.rng.below(4) {
            0 => {
                let signed = self.sign_act(board.identity, OwnAct::Rotate, serial);
                self.send(home, now, Ask::Token, Request::Rotate(signed), out);
            }
            1 => {
                let signed = self.sign_act(board.identity, OwnAct::Revoke, serial);
                self.send(home, now, Ask::Other, Request::RevokeOwn(signed), out);
            }
            2 => {
                let profile = self.profile();
                self.send(home, now, Ask::Other, Request::Configure(profile), out);
            }
            _ => {
                let put = self.artifact(home);
                self.send(home, now, Ask::Other, Request::Store(put), out);
            }
        }
    }

    fn sign_act(&mut self, identity: &Identity, act: OwnAct, serial: u32) -> Signed {
        let statement = statement_text(identity, &self.id, act, serial).into_bytes();
        let signature = self.key.sign(&statement);
        Signed { statement, signature }
    }

    fn artifact(&mut self, home: usize) -> ArtifactPut {
        let step = self.seats[&home].held.keys().next().copied();
        let bytes = self.rng.below(10_000);
        ArtifactPut {
            id: None,
            digest: Digest::of(&bytes.to_le_bytes()),
            bytes,
            bytes_new: bytes,
            name: "a result".into(),
            kind: "file".into(),
            content_type: "text/plain".into(),
            step,
            run: None,
            metadata: Json::new(*b"{}"),
        }
    }

    /// Hears an answer; an answer to a letter that it does not remember tells it nothing.
    pub fn hear(&mut self, now: u64, answer: &Answer) -> Vec<Letter> {
        let mut out = Vec::new();
        let home = answer.home;
        let Some((ask, _)) = self.seat(home).open.remove(&answer.number) else {
            return out;
        };
        match &answer.said {
            Ok(reply) => self.hear_good(home, now, ask, reply, &mut out),
            Err(refusal) => self.hear_bad(home, ask, refusal.code),
        }
        out
    }

    fn hear_good(&mut self, home: usize, now: u64, ask: Ask, reply: &Reply, out: &mut Vec<Letter>) {
        match reply {
            Reply::Challenge { enrollment, text, .. } => {
                let good = !self.rng.chance(self.temper.cheat / 2);
                let signature = if good { self.key.sign(text.as_bytes()) } else { Signature([7; 64]) };
                let request = Request::Respond { enrollment: *enrollment, signature };
                let letter = self.write(home, now, Ask::Respond, Principal::Stranger, request);
                out.push(letter);
            }
            Reply::Token { serial, .. } => {
                let seat = self.seat(home);
                if seat.token.is_none_or(|token| token < *serial) {
                    seat.old_token = seat.token.or(seat.old_token);
                    seat.token = Some(*serial);
                }
            }
            Reply::Leased(lease) => self.won(home, now, lease),
            Reply::Submitted(receipt) => {
                if let Ask::Submit(step, epoch) = ask {
                    self.seat(home).outbox.remove(&(step, epoch));
                }
                if let Some(lease) = &receipt.next {
                    self.won(home, now, lease);
                }
            }
            Reply::Run { .. } => {
                let seat = self.seat(home);
                seat.desk.hear(reply);
            }
            _ => {}
        }
    }

    fn won(&mut self, home: usize, now: u64, lease: &Lease) {
        let lease_ms = u64::from(lease.lease_ms);
        let most = if self.temper.pause_ms == Temper::CALM.pause_ms { 1_000 } else { lease_ms * 6 / 5 };
        let done_at = now + self.rng.between(50, most);
        let known = self.seat(home).held.get(&lease.step).is_some_and(|held| held.epoch >= lease.epoch);
        if !known {
            self.seat(home).held.insert(lease.step, Held { epoch: lease.epoch, lease_ms, done_at });
        }
    }

    fn hear_bad(&mut self, home: usize, ask: Ask, code: Code) {
        let seat = self.seat(home);
        if let Ask::Submit(step, epoch) = ask {
            seat.outbox.remove(&(step, epoch));
        }
        match code {
            Code::TokenRevoked if ask != Ask::Other => {
                seat.old_token = seat.token.or(seat.old_token);
                seat.token = None;
                seat.held.clear();
                seat.outbox.clear();
            }
            Code::AgentRevoked if ask != Ask::Other => seat.gone = true,
            _ => {}
        }
    }
}
