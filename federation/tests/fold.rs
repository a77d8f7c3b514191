//! The journal is the state: whatever comes in, good or bad, the fold of what was written is the live state, a snapshot
//! goes on like the journal it stands for, and an independent reader finds no illegal step.

mod common;

use artel_federation::effect::Lease;
use artel_federation::fact::{Poster, TaskSpec};
use artel_federation::input::{ArtifactPut, ClaimNext, Profile, RunPost, Signed, Submission};
use artel_federation::member::{OwnAct, statement_text};
use artel_federation::options::TICK_ENTRIES_MAX;
use artel_federation::{
    Effect, Entry, Fact, Federation, Input, Kind, Now, Options, Principal, Reply, ReplyTo, Request,
};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::Signature;
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};
use common::referee::judge;
use common::*;

/// splitmix64 (S. Vigna): small, seeded, the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { Some(&all[self.below(all.len())]) }
    }
}

/// A home, and what a crowd that acts at random has seen of it.
struct Crowd {
    dice: Dice,
    members: Vec<Member>,
    leases: Vec<(usize, Lease)>,
    runs: Vec<(RunId, usize)>,
    asked: Vec<ReplyTo>,
}

const SKILLS: [&str; 4] = ["a", "b", "b@2", "c"];

impl Crowd {
    fn new(seed: u64) -> Self {
        let members = (1..=6).map(member).collect();
        Crowd { dice: Dice(seed), members, leases: Vec::new(), runs: Vec::new(), asked: Vec::new() }
    }

    fn skills(&mut self) -> Vec<&'static str> {
        SKILLS.into_iter().filter(|_| self.dice.one_in(2)).collect()
    }

    fn profile(&mut self) -> Profile {
        let names = self.skills();
        let capacity = (!self.dice.one_in(3)).then(|| self.dice.below(4) as u32);
        let name = if self.dice.one_in(20) { "" } else { "somebody" };
        Profile { capacity, ..profile(name, &names) }
    }

    fn principal(&mut self) -> Principal {
        match self.dice.below(8) {
            0 => Principal::Stranger,
            1 | 2 => Principal::Operator,
            _ => {
                let n = self.dice.below(self.members.len());
                self.members[n].principal()
            }
        }
    }

    fn post(&mut self, home: &Home) -> RunPost {
        let count = self.dice.below(5);
        let mut steps = Vec::new();
        for i in 0..count {
            let needs: Vec<String> = (0..count)
                .filter(|n| (*n < i || self.dice.one_in(30)) && self.dice.one_in(2))
                .map(|n| n.to_string())
                .collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let names = if self.dice.one_in(2) { Vec::new() } else { self.skills() };
            let complexity = if self.dice.one_in(5) { Complexity::Medium } else { Complexity::Simple };
            let task = TaskSpec {
                skills: skills(&names),
                complexity,
                level_min: self.dice.one_in(9).then_some(Level::Intermediate),
                reward: Credits(self.dice.below(3) as u64 * 1_000_003),
                deadline: home.wall.plus_ms(self.dice.below(120_000) as u64),
                output_schema: self.dice.one_in(2).then(|| json("{}")),
                poster_may_claim: self.dice.one_in(2),
                ..home.task()
            };
            steps.push(step(&i.to_string(), &needs, task));
        }
        let priority = self.dice.below(4) as i32 - 2;
        let key = self.dice.one_in(3).then(|| {
            let key = self.dice.below(4).to_string();
            (key, Digest::of(&[self.dice.below(2) as u8]))
        });
        RunPost { priority, key, ..run(steps) }
    }

    fn any_step(&mut self) -> StepId {
        match self.dice.of(&self.runs) {
            Some((run, steps)) => {
                let (run, steps) = (*run, *steps);
                run.step(self.dice.below(steps + 1))
            }
            None => RunId::new(Wall(1), [1; 9]).step(0),
        }
    }

    fn any_lease(&mut self, home: &Home) -> (Principal, StepId, Epoch) {
        let Some((holder, lease)) = self.dice.of(&self.leases).cloned() else {
            return (self.principal(), self.any_step(), Epoch(1));
        };
        let live = home.mind.view().step(&lease.step).map_or(lease.epoch, |(_, s)| s.epoch);
        let epoch = if self.dice.one_in(10) { live } else { lease.epoch };
        let who = if self.dice.one_in(10) { self.principal() } else { self.members[holder].principal() };
        (who, lease.step, epoch)
    }

    fn signed(&mut self, n: usize, act: OwnAct) -> Signed {
        let member = &self.members[n];
        let text = statement_text(&identity(), &member.id, act, member.serial);
        let signature = if self.dice.one_in(5) { Signature([1; 64]) } else { member.sign(&text) };
        Signed { statement: text.into_bytes(), signature }
    }

    /// One random act.
    fn act(&mut self, home: &mut Home) {
        let request = match self.dice.below(100) {
            0..8 => return self.enroll(home),
            8..11 => (self.principal(), Request::Configure(self.profile())),
            11 => {
                let n = self.dice.below(self.members.len());
                (self.members[n].principal(), Request::Rotate(self.signed(n, OwnAct::Rotate)))
            }
            12 => {
                let n = self.dice.below(self.members.len());
                (self.members[n].principal(), Request::RevokeOwn(self.signed(n, OwnAct::Revoke)))
            }
            13 => {
                let n = self.dice.below(self.members.len() + 6);
                let Some(member) = self.members.get(n) else { return };
                (Principal::Operator, Request::RevokeAgent(member.id))
            }
            14..28 => (self.principal(), Request::Post(self.post(home))),
            28..38 => (self.principal(), Request::Claim(self.any_step())),
            38..52 => {
                let wait_ms = if self.dice.one_in(2) { 0 } else { self.dice.below(20_000) as u32 };
                (self.principal(), Request::ClaimNext(ClaimNext { wait_ms }))
            }
            52..56 => {
                let (who, step, epoch) = self.any_lease(home);
                (who, Request::Renew { step, epoch })
            }
            56..60 => {
                let (who, step, epoch) = self.any_lease(home);
                (who, Request::Release { step, epoch })
            }
            60..76 => {
                let (who, step, epoch) = self.any_lease(home);
                let wait_ms = self.dice.below(2) as u32 * 5_000;
                let next = self.dice.one_in(2).then_some(ClaimNext { wait_ms });
                let output = json(if self.dice.one_in(8) { "[2]" } else { "[1]" });
                (who, Request::Submit(Submission { step, epoch, output, artifacts: Vec::new(), next }))
            }
            76..86 => return self.check(home),
            86..89 => {
                let (run, step) = match (self.dice.of(&self.runs).copied(), self.any_step()) {
                    (Some((run, _)), step) => (run, self.dice.one_in(2).then_some(step)),
                    (None, step) => (step.run(), None),
                };
                (self.principal(), Request::Cancel { run, step })
            }
            89 => (self.principal(), Request::Store(self.artifact())),
            90 => {
                let emit = Request::Emit { name: "xyn.test".into(), data: json("{}"), run: None };
                (self.principal(), emit)
            }
            91 => {
                if let Some(to) = self.dice.of(&self.asked) {
                    home.input(Input::Abandoned(*to));
                }
                return;
            }
            92 => {
                let who = Poster::Agent(self.members[0].id);
                return home.input(Input::RefusedAtEdge { who, code: "rate_limited" });
            }
            93 => {
                let back = self.dice.below(7_200_000) as u64;
                home.wall = Wall(home.wall.0 + 3_600_000 - back);
                return;
            }
            94 => return if self.dice.one_in(2) { home.restart() } else { home.restart_from_snapshot() },
            95..98 => return home.skip(self.dice.below(30_000) as u64),
            _ => return home.pass(self.dice.below(30_000) as u64),
        };
        let (principal, request) = request;
        let to = home.ask_later(principal, request);
        self.asked.push(to);
    }

    fn artifact(&mut self) -> ArtifactPut {
        ArtifactPut {
            digest: Digest::of(b"x"),
            bytes: 5,
            bytes_new: 5,
            name: "x".into(),
            kind: String::new(),
            content_type: String::new(),
            step: Some(self.any_step()),
            run: None,
            metadata: json("{}"),
        }
    }

    fn enroll(&mut self, home: &mut Home) {
        let n = self.dice.below(self.members.len());
        let (agent, profile, delegate) = (self.members[n].id, self.profile(), self.dice.one_in(2));
        let request = Request::Enroll { agent, profile, delegate };
        let Some(Ok(Reply::Challenge { enrollment, text, .. })) = home.ask(Principal::Stranger, request)
        else {
            return;
        };
        if self.dice.one_in(6) {
            home.skip(self.dice.below(90_000) as u64);
        }
        let signature = if self.dice.one_in(6) { Signature([9; 64]) } else { self.members[n].sign(&text) };
        home.ask(Principal::Stranger, Request::Respond { enrollment, signature });
    }

    fn check(&mut self, home: &mut Home) {
        let (step, epoch) = match self.dice.of(&home.checks) {
            Some(check) if !self.dice.one_in(8) => *check,
            _ => (self.any_step(), Epoch(self.dice.below(3) as u32)),
        };
        let outcome = if self.dice.one_in(3) { rejected() } else { accepted(self.dice.below(101) as u8) };
        home.checks.retain(|check| *check != (step, epoch));
        home.input(Input::Checked { step, epoch, outcome });
    }

    /// Learns from what the home answered and wrote.
    fn learn(&mut self, home: &mut Home) {
        home.answers.clear();
        for member in &mut self.members {
            if let Some(agent) = home.mind.view().agent(&member.id) {
                member.serial = agent.serial;
            }
        }
        for entry in &home.last {
            match &entry.fact {
                Fact::RunPosted(f) => self.runs.push((f.run, f.steps.len())),
                Fact::Granted(f) => {
                    let holder = self.members.iter().position(|m| m.id == f.agent).expect("one of ours");
                    let lease = Lease { step: f.step, epoch: f.epoch, ..lease_of(f.step) };
                    self.leases.push((holder, lease));
                }
                _ => {}
            }
        }
        let recent = self.leases.len().saturating_sub(12);
        self.leases.drain(..recent);
        let recent = self.runs.len().saturating_sub(8);
        self.runs.drain(..recent);
    }
}

/// A lease of which only step and epoch matter.
fn lease_of(step: StepId) -> Lease {
    Lease {
        step,
        run: step.run(),
        epoch: Epoch(0),
        expires: Wall(0),
        lease_ms: 0,
        index: 0,
        title: String::new(),
        description: String::new(),
        name: String::new(),
        input: json("{}"),
        inputs: json("{}"),
        needs: Vec::new(),
        artifacts: Vec::new(),
        output_schema: None,
        reward: Credits::ZERO,
        deadline: Wall(0),
    }
}

fn options(seed: u64) -> Options {
    Options {
        lease_ms: 20_000,
        lease_total_ms: 60_000,
        attempts_max: 2,
        lapses_max: 2,
        window_ms: if seed.is_multiple_of(3) { 2_000 } else { 0 },
        top: 1,
        leases_max: 3,
        credit_line_units: 60_000_000,
        ..Options::default()
    }
}

/// A home after `acts` random acts; the harness has compared fold and live state after each of them.
fn lived(seed: u64, acts: usize) -> (Home, Crowd) {
    let (mut home, mut crowd) = (Home::with(options(seed)), Crowd::new(seed));
    for _ in 0..6 {
        crowd.enroll(&mut home);
        crowd.learn(&mut home);
    }
    for _ in 0..acts {
        home.last.clear();
        crowd.act(&mut home);
        crowd.learn(&mut home);
    }
    (home, crowd)
}

/// Names the seed when a test falls over.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

#[test]
fn whatever_comes_in_the_fold_is_the_live_state_and_every_step_is_legal() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let _seed = Seed(seed);
        let (home, _) = lived(seed, 250);
        judge(&home.journal);
        kinds.extend(home.journal.iter().map(|entry| entry.fact.kind()));
    }
    let missing: Vec<_> = Kind::ALL.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "the crowd must bring about every kind of fact; missing {missing:?}");
}

#[test]
fn left_alone_all_work_comes_to_an_end_and_nothing_is_left_behind() {
    for seed in 100..130 {
        let _seed = Seed(seed);
        let (mut home, _) = lived(seed, 200);
        for _ in 0..4 {
            home.pass(3 * HOUR_MS);
            for (step, epoch) in std::mem::take(&mut home.checks) {
                home.input(Input::Checked { step, epoch, outcome: rejected() });
            }
        }
        home.pass(3 * HOUR_MS);
        let counts = home.mind.view().counts();
        let left = (counts.runs_open, counts.steps_open, counts.offers, counts.leases, counts.waiting);
        assert_eq!(left, (0, 0, 0, 0, 0));
        let escrows = home
            .mind
            .view()
            .accounts()
            .filter(|(account, _)| matches!(account, artel_federation::fact::Account::Escrow(_)));
        assert_eq!(escrows.count(), 0, "no money is stuck");
        assert_eq!(home.mind.next_timer(), None, "no timer is left");
        judge(&home.journal);
    }
}

#[test]
fn a_seed_replays_exactly() {
    let digest = |seed| {
        let (home, _) = lived(seed, 150);
        let bytes: Vec<u8> = home.journal.iter().flat_map(Entry::encode).collect();
        Digest::of(&bytes)
    };
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

/// Two minds that are given the same inputs, and what they want done.
fn side_by_side(
    one: &mut Federation,
    two: &mut Federation,
    feed: impl Fn(&mut Federation, &mut Vec<Effect>),
) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    feed(one, &mut first);
    feed(two, &mut second);
    assert_eq!(format!("{first:?}"), format!("{second:?}"), "the same effects");
    assert!(one.snapshot() == two.snapshot(), "the same state");
}

#[test]
fn a_snapshot_goes_on_as_the_journal_does() {
    for seed in 200..230 {
        let _seed = Seed(seed);
        let (mut home, mut crowd) = lived(seed, 120);
        let bytes = home.mind.snapshot();
        let mut from_journal = home.refold();
        let mut from_snapshot =
            Federation::from_snapshot(identity(), options(seed), &bytes).expect("our own snapshot");
        assert!(from_snapshot.snapshot() == bytes, "decoding and encoding changes nothing");
        let start = home.mono;
        let now = |wall: Wall, ms: u64, n: u8| Now {
            mono: start.plus_ms(ms),
            wall: wall.plus_ms(ms),
            entropy: Digest::of(&[n]).0,
        };
        let begin = now(home.wall, 0, 0);
        side_by_side(&mut from_journal, &mut from_snapshot, |mind, effects| mind.resume(begin, effects));
        let wall = home.wall;
        for n in 1..60 {
            let at = now(wall, u64::from(n) * 700, n);
            let (who, step, epoch) = crowd.any_lease(&home);
            let request = match crowd.dice.below(5) {
                0 => Request::Post(crowd.post(&home)),
                1 => Request::ClaimNext(ClaimNext { wait_ms: 1_000 }),
                2 => Request::Claim(crowd.any_step()),
                3 => Request::Submit(Submission {
                    step,
                    epoch,
                    output: json("[1]"),
                    artifacts: Vec::new(),
                    next: None,
                }),
                _ => Request::Renew { step, epoch },
            };
            let to = ReplyTo(1_000_000 + u64::from(n));
            let input = Input::Request { to, principal: who, correlation: None, request };
            side_by_side(&mut from_journal, &mut from_snapshot, |mind, effects| {
                mind.handle(input.clone(), at, effects);
            });
        }
        home.skip(1);
    }
}

#[test]
fn a_damaged_snapshot_is_refused_or_reads_back_as_it_stands() {
    let (home, _) = lived(3, 80);
    let bytes = home.mind.snapshot();
    for cut in [0, 1, 3, 4, 8, bytes.len() / 2, bytes.len() - 1] {
        assert!(Federation::from_snapshot(identity(), options(3), &bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Federation::from_snapshot(identity(), options(3), &longer).is_err());
    let mut other_form = bytes.clone();
    other_form[4] ^= 0xff;
    assert!(Federation::from_snapshot(identity(), options(3), &other_form).is_err(), "another form");
}

#[test]
fn entries_that_cannot_follow_are_refused() {
    let (home, _) = lived(5, 200);
    let position = |kind: Kind| home.journal.iter().position(|e| e.fact.kind() == kind);
    for kind in [Kind::Offered, Kind::Granted, Kind::Submitted, Kind::Verdict, Kind::Lapsed, Kind::StepEnded]
    {
        let at = position(kind).expect("the crowd brings them about");
        let twice: Vec<Entry> = home.journal[..=at].iter().chain([&home.journal[at]]).cloned().collect();
        let mut mind = Federation::new(identity(), options(5));
        assert!(mind.fold(&twice, &mut Vec::new()).is_err(), "{kind:?} twice");
    }
    let at = position(Kind::Granted).expect("the crowd brings them about");
    let mut mind = Federation::new(identity(), options(5));
    let skipped: Vec<Entry> = home.journal[..at]
        .iter()
        .filter(|e| e.fact.kind() != Kind::Offered)
        .chain([&home.journal[at]])
        .cloned()
        .collect();
    assert!(mind.fold(&skipped, &mut Vec::new()).is_err(), "a grant without its offer");
    let mut late_genesis = Federation::new(identity(), options(5));
    assert!(late_genesis.fold(&[home.journal[1].clone(), home.journal[0].clone()], &mut Vec::new()).is_err());
}

#[test]
fn timers_do_not_carry_a_requests_correlation() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let id = home.post_one(home.task());
    home.claim(&ada, id).expect("open");
    home.skip(MINUTE_MS);
    home.ask_as(Principal::Stranger, Request::Claim(id), "somebody-else");
    assert_eq!(home.kinds(), [Kind::Lapsed, Kind::Offered]);
    assert!(home.last.iter().all(|entry| entry.correlation.is_none()));
    let post = run(vec![step("a", &[], home.task())]);
    home.ask_as(Principal::Operator, Request::Post(post), "mine");
    assert!(!home.last.is_empty());
    assert!(home.last.iter().all(|e| e.correlation.as_ref().is_some_and(|c| c.as_str() == "mine")));
}

#[test]
fn a_tick_makes_a_bounded_frame() {
    let mut home = Home::new();
    let deadline = home.wall.plus_ms(10_000);
    for _ in 0..12 {
        let task = TaskSpec { deadline, reward: Credits::ZERO, ..home.task() };
        let steps = (0..200).map(|i| step(&i.to_string(), &[], task.clone())).collect();
        home.post(Principal::Operator, run(steps)).expect("a good post");
    }
    home.skip(10_000);
    let mut ticks = 0;
    while home.mind.next_timer().is_some() {
        home.input(Input::Tick);
        assert!(home.last.len() <= TICK_ENTRIES_MAX + 1_000, "{} entries", home.last.len());
        ticks += 1;
        assert!(ticks < 100, "each tick does something");
    }
    assert!(ticks > 1);
    assert_eq!(home.mind.view().counts().steps_open, 0);
}

#[test]
fn refusals_are_one_entry_a_code_and_minute_and_lost_races_none() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.task());
    home.claim(&ada, id).expect("open");
    let before = home.journal.len();
    for _ in 0..50 {
        home.claim(&bob, id).expect_err("taken");
        done(home.ask(bob.principal(), Request::RevokeAgent(ada.id))).expect_err("forbidden");
        done(home.ask(Principal::Stranger, Request::RevokeAgent(ada.id))).expect_err("unknown");
    }
    home.input(Input::RefusedAtEdge { who: Poster::Agent(bob.id), code: "rate_limited" });
    assert_eq!(home.journal.len(), before);
    home.skip(MINUTE_MS - 1);
    home.input(Input::Tick);
    assert_eq!(home.journal.len(), before);
    home.skip(1);
    home.input(Input::Tick);
    let written = home.facts(|f| match f {
        Fact::Refused(f) => Some((f.who, f.code.clone(), f.count)),
        _ => None,
    });
    let bob = Poster::Agent(bob.id);
    assert_eq!(written, [(bob, "forbidden".into(), 50), (bob, "rate_limited".into(), 1)]);
}
