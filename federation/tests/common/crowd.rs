//! A crowd that acts at random, well and badly, from a seed: the inputs of the property tests. It keeps what it needs to
//! act sensibly half of the time and judges nothing.

use super::*;
use artel_federation::fact::{Abroad, FraudProven, Lie, Poster, Redoing, RunnerSpec};
use artel_federation::input::{ArtifactPut, LateRun, Signed};
use artel_federation::member::{OwnAct, statement_text};
use artel_federation::run::StepState;
use artel_protocol::invitation::InvitationSecret;
use artel_reputation::Level;
use std::sync::Arc;

/// splitmix64 (S. Vigna): small, seeded, the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { Some(&all[self.below(all.len())]) }
    }
}

/// A home, and what a crowd that acts at random has seen of it.
pub struct Crowd {
    pub dice: Dice,
    members: Vec<Member>,
    leases: Vec<(usize, Lease)>,
    runs: Vec<(RunId, usize)>,
    asked: Vec<ReplyTo>,
    secrets: Vec<InvitationSecret>,
}

const SKILLS: [&str; 4] = ["a", "b", "b@2", "c"];

impl Crowd {
    pub fn new(seed: u64) -> Self {
        let members = (1..=8).map(member).collect();
        Crowd {
            dice: Dice(seed),
            members,
            leases: Vec::new(),
            runs: Vec::new(),
            asked: Vec::new(),
            secrets: Vec::new(),
        }
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

    pub fn post(&mut self, home: &Home) -> RunPost {
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
                runner: self.dice.one_in(2).then_some(RunnerSpec::Wasm { module: Digest::of(b"module") }),
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

    pub fn any_step(&mut self) -> StepId {
        match self.dice.of(&self.runs) {
            Some((run, steps)) => {
                let (run, steps) = (*run, *steps);
                run.step(self.dice.below(steps + 1))
            }
            None => RunId::new(Wall(1), [1; 9]).step(0),
        }
    }

    pub fn any_lease(&mut self, home: &Home) -> (Principal, StepId, Epoch) {
        let Some((holder, lease)) = self.dice.of(&self.leases).cloned() else {
            return (self.principal(), self.any_step(), Epoch(1));
        };
        let live = home.mind.view().step(&lease.step).map_or(lease.epoch, |(_, s)| s.epoch);
        let epoch = if self.dice.one_in(10) { live } else { lease.epoch };
        let who = if self.dice.one_in(10) { self.principal() } else { self.members[holder].principal() };
        (who, lease.step, epoch)
    }

    fn signed(&mut self, home: &Home, n: usize, act: OwnAct) -> Signed {
        let member = &self.members[n];
        let text = statement_text(&home.identity, &member.id, act, member.serial);
        let signature = if self.dice.one_in(5) { Signature([1; 64]) } else { member.sign(&text) };
        Signed { statement: text.into_bytes(), signature }
    }

    /// A result that was accepted lately is another, by home's own runs.
    fn late(&mut self, home: &Home) -> Option<(Principal, Request)> {
        let view = home.mind.view();
        let steps = self.runs.iter().flat_map(|(run, n)| (0..*n).map(|i| run.step(i)));
        let is_accepted = |step: &StepId| {
            view.step(step).is_some_and(|(_, step)| matches!(step.state, StepState::Accepted { .. }))
        };
        let accepted: Vec<StepId> = steps.filter(is_accepted).collect();
        let step = *self.dice.of(&accepted)?;
        let run = Arc::new(view.run(&step.run())?.clone());
        let late = LateRun { step, run, other: Digest::of(b"other"), profile: Digest::of(b"engine") };
        let who = if self.dice.one_in(6) { self.principal() } else { Principal::Operator };
        Some((who, Request::Refute(Box::new(late))))
    }

    /// One random act.
    pub fn act(&mut self, home: &mut Home) {
        let request = match self.dice.below(100) {
            0..8 => return self.enroll(home),
            8..11 => (self.principal(), Request::Configure(self.profile())),
            11 => {
                let n = self.dice.below(self.members.len());
                (self.members[n].principal(), Request::Rotate(self.signed(home, n, OwnAct::Rotate)))
            }
            12 => {
                let n = self.dice.below(self.members.len());
                (self.members[n].principal(), Request::RevokeOwn(self.signed(home, n, OwnAct::Revoke)))
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
                (
                    who,
                    Request::Submit(Submission {
                        step,
                        epoch,
                        output,
                        artifacts: Vec::new(),
                        next,
                        brought: None,
                    }),
                )
            }
            76..86 => return self.check(home),
            86 => {
                // The step of somebody's lease, whatever has become of it.
                let (_, step, _) = self.any_lease(home);
                (Principal::Operator, Request::Cancel { run: step.run(), step: Some(step) })
            }
            87..89 => {
                let (run, step) = match (self.dice.of(&self.runs).copied(), self.any_step()) {
                    (Some((run, _)), step) => (run, self.dice.one_in(2).then_some(step)),
                    (None, step) => (step.run(), None),
                };
                (self.principal(), Request::Cancel { run, step })
            }
            89 if self.dice.one_in(2) => match self.late(home) {
                Some(late) => late,
                None => return,
            },
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
                if self.asked.len().is_multiple_of(4) {
                    let fraud =
                        FraudProven { node: peer(3), lie: Lie::TwoRoots, proof: Digest::of(b"proof") };
                    return home.input(Input::FraudProven(fraud));
                }
                let who = Poster::Agent(self.members[0].id);
                return home.input(Input::RefusedAtEdge { who, code: "rate_limited" });
            }
            93 => {
                let back = self.dice.below(7_200_000) as u64;
                home.wall = Wall(home.wall.0 + 3_600_000 - back);
                return;
            }
            94 => return if self.dice.one_in(2) { home.restart() } else { home.restart_from_snapshot() },
            95 => return if self.dice.one_in(2) { self.act_on_nodes(home) } else { self.act_abroad(home) },
            96..98 => return home.skip(self.dice.below(30_000) as u64),
            _ => return home.pass(self.dice.below(30_000) as u64),
        };
        let (principal, request) = request;
        let to = home.ask_later(principal, request);
        self.asked.push(to);
    }

    /// Invitations and their ends, nodes that ask with and without a secret, expulsions and ways back.
    fn act_on_nodes(&mut self, home: &mut Home) {
        for _ in 0..self.dice.below(10) {
            let node = peer(self.dice.below(5) as u8);
            let secret = self.dice.of(&self.secrets).copied().filter(|_| !self.dice.one_in(4));
            let operator = if self.dice.one_in(6) { self.principal() } else { Principal::Operator };
            let (principal, request) = match self.dice.below(10) {
                0..2 => {
                    let (for_ms, uses) = (self.dice.below(60_000) as u64, self.dice.below(4) as u32);
                    (operator, Request::Invite { for_ms, uses })
                }
                2 => (operator, Request::Uninvite(secret.unwrap_or(InvitationSecret([0; 16])).digest())),
                3 => (operator, Request::Expel { node, reason: "it lied".into() }),
                4 => (operator, Request::Admit { node, secret: None }),
                _ => (Principal::Node(node), Request::Admit { node, secret }),
            };
            if let Some(Ok(Reply::Invited { secret, .. })) = home.ask(principal, request) {
                self.secrets.extend(secret);
            }
        }
    }

    /// Agents of other nodes here, and agents of this one elsewhere.
    fn act_abroad(&mut self, home: &mut Home) {
        for _ in 0..self.dice.below(8) {
            let n = self.dice.below(self.members.len());
            let (_, step, epoch) = self.any_lease(home);
            let acts = match self.dice.one_in(2) {
                true => {
                    let held = if self.dice.one_in(2) { (step, epoch) } else { (self.any_step(), Epoch(1)) };
                    let visit = abroad::visit(&mut self.dice, home, &self.members[n], held);
                    vec![(Principal::Node(peer(1)), visit)]
                }
                false if self.dice.one_in(6) => {
                    let lease = Abroad { home: peer(1), step, epoch };
                    let redoing = Redoing { lease, module: Digest::of(b"module") };
                    vec![(Principal::Node(peer(1 + self.dice.below(2) as u8)), Request::Redo(redoing))]
                }
                false => abroad::journey(&mut self.dice, &self.members[n]),
            };
            for (principal, request) in acts {
                let to = home.ask_later(principal, request);
                self.asked.push(to);
                // What it wrote is learnt before the next act takes its place.
                self.learn(home);
            }
        }
        home.last.clear();
    }

    fn artifact(&mut self) -> ArtifactPut {
        ArtifactPut {
            id: None,
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

    pub fn enroll(&mut self, home: &mut Home) {
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
        if let Some(ask) = home.lots.first().copied().filter(|_| !self.dice.one_in(4)) {
            let eligible = (5..5 + self.dice.below(5) as u8).map(peer).collect();
            let witnesses = lot::pick(&ask.digest, eligible).into_iter().map(|node| {
                let cosigned = home.cosigned(&node, ask.submitted + 1 + self.dice.below(9) as u64);
                Witnessing { node, cosigned: (!self.dice.one_in(4)).then_some(cosigned) }
            });
            let witnesses = witnesses.collect();
            return home.lot_falls(witnesses);
        }
        if !home.redos.is_empty() && !self.dice.one_in(4) {
            let by = (!self.dice.one_in(5)).then(|| peer(1 + self.dice.below(3) as u8));
            let came = match self.dice.below(4) {
                0 => Came::Same,
                1 => Came::Inconclusive,
                _ => Came::Other(Digest::of(&[self.dice.below(2) as u8])),
            };
            return home.redone(by, came);
        }
        let (step, epoch) = match self.dice.of(&home.checks) {
            Some(check) if !self.dice.one_in(8) => *check,
            _ => (self.any_step(), Epoch(self.dice.below(3) as u32)),
        };
        let outcome = if self.dice.one_in(3) { rejected() } else { accepted(self.dice.below(101) as u8) };
        home.checks.retain(|check| *check != (step, epoch));
        home.input(Input::Checked { step, epoch, outcome });
    }

    /// Learns from what the home answered and wrote.
    pub fn learn(&mut self, home: &mut Home) {
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
        runner: None,
        reward: Credits::ZERO,
        deadline: Wall(0),
        verdict_within_ms: 0,
        skills: Vec::new(),
    }
}
