//! One world: homes, agents and operators on one virtual clock, with one queue of what will happen. First everything that
//! can go wrong does; then all faults end, and everything must come to an end in bounded time.

use crate::agent::{Agent, Board};
use crate::desk::{Desk, Purse};
use crate::home::{Counts, Home, Out, Tally, WALL_START_MS, judge};
use crate::invariants::{Violation, progress};
use crate::letter::{Actor, Answer, Letter};
use crate::network::Network;
use crate::report::{Plan, Report};
use crate::rng::Rng;
use crate::shape::Shape;
use crate::trace::Trace;
use artel_audit::memory::Fault;
use artel_federation::fact::Outcome;
use artel_federation::{Principal, Request};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::time::Wall;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Within how many virtual milliseconds after the last fault every step must be over.
pub const PROGRESS_MS_MAX: u64 = 300_000;

/// How long faults may happen in a world with only one, in virtual milliseconds.
const ONLY_MS: u64 = 40_000;

/// How many of a thousand starts lose power before long.
const FALLS_AGAIN: u64 = 120;

/// How many agents of the second phase each home gets.
const SAINTS: usize = 2;

/// How many posts each home gets that give those agents a record.
const WARM_UP: usize = 4;

/// The most events of one world; more means that something goes round in circles.
const EVENTS_MAX: u64 = 200_000;

enum Event {
    Arrives(Letter),
    Answered(Answer),
    Wakes(usize),
    Operator(usize),
    Commit(usize, u64),
    Tick(usize, u64),
    Checked(usize, StepId, Epoch, Outcome),
    Fault(usize),
    Healed(usize),
    Boot(usize),
    Publish(usize),
    Snapshot(usize),
    Calm,
}

struct World {
    at: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    rng: Rng,
    shape: Shape,
    homes: Vec<Home>,
    /// Counts each home's starts and ends, so that what was meant for an earlier process finds nobody.
    lives: Vec<u64>,
    ticks: Vec<Option<u64>>,
    agents: Vec<Agent>,
    operators: Vec<(Desk, u64)>,
    /// How many posts of the second phase each operator has made.
    warmed: Vec<usize>,
    network: Network,
    calm_since: Option<u64>,
    trace: Trace,
}

/// Runs the world of a seed.
pub fn run(seed: u64, plan: Plan) -> Report {
    let mut world = World::new(seed, plan);
    // The state behind a panic is looked at for the report alone.
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = ran.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))).err();
    world.report(seed, violation)
}

fn panicked(panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let what =
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something panicked").to_owned();
    Violation { invariant: "invariant_nothing_panics", home: 0, what }
}

impl World {
    fn new(seed: u64, plan: Plan) -> World {
        let mut rng = Rng::new(seed);
        let mut shape = Shape::draw(&mut rng, if plan.only.is_some() { Some(1) } else { plan.nodes });
        if plan.only.is_some() {
            shape.chaos_ms = ONLY_MS;
            shape.fault_every_ms = None;
        }
        let home = |number: usize, rng: &mut Rng| {
            Home::new(number, shape.options.clone(), shape.sync_ms, plan.sabotage, rng.fork())
        };
        let homes: Vec<Home> = (0..shape.homes).map(|number| home(number, &mut rng)).collect();
        let agent = |number: usize, rng: &mut Rng| {
            let own = rng.below(shape.homes as u64) as usize;
            let mut seats: Vec<usize> =
                (0..shape.homes).filter(|home| *home == own || rng.chance(250)).collect();
            seats.truncate(3);
            Agent::new(number, &seats, rng.fork())
        };
        let agents: Vec<Agent> = (0..shape.agents).map(|number| agent(number, &mut rng)).collect();
        let mut world = World {
            at: 0,
            queue: BTreeMap::new(),
            queued: 0,
            lives: vec![0; homes.len()],
            ticks: vec![None; homes.len()],
            warmed: vec![0; homes.len()],
            operators: homes.iter().map(|_| (Desk::default(), 0)).collect(),
            homes,
            agents,
            network: Network::new(shape.weather, rng.fork()),
            calm_since: None,
            trace: Trace::new(plan.telling, plan.sink),
            shape,
            rng,
        };
        world.begin();
        if let Some((fault, point)) = plan.only {
            world.homes[0].plan_at(fault, point, 1);
        }
        world
    }

    fn begin(&mut self) {
        for home in 0..self.homes.len() {
            self.homes[home].found();
            if let Some(every_ms) = self.shape.fault_every_ms {
                self.homes[home].set_falls_again(FALLS_AGAIN);
                let fault = self.rng.between(1_000, every_ms * 2);
                self.after(fault, Event::Fault(home));
            }
            self.after(0, Event::Boot(home));
            self.after(200, Event::Operator(home));
            self.after(1_000, Event::Publish(home));
            self.after(2_000, Event::Snapshot(home));
        }
        for agent in 0..self.agents.len() {
            let first = self.rng.between(10, 3_000);
            self.after(first, Event::Wakes(agent));
        }
        self.after(self.shape.chaos_ms, Event::Calm);
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.at + ms, self.queued), event);
    }

    fn run(&mut self) -> Result<(), Violation> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.at = at;
            let home = self.happens(event)?;
            if let Some(home) = home {
                self.settle(home)?;
            }
            if self.trace.events() > EVENTS_MAX {
                let what = format!("{EVENTS_MAX} events in {at} ms");
                return Err(Violation { invariant: "invariant_runs_end", home: 0, what });
            }
            let Some(since) = self.calm_since else { continue };
            if self.all_over() {
                return self.end();
            }
            if at - since > PROGRESS_MS_MAX {
                for (number, home) in self.homes.iter().enumerate() {
                    progress::invariant_runs_end(number, home.book(), at - since)?;
                }
                let what = format!("the world is not at rest {} ms after the last fault", at - since);
                return Err(Violation { invariant: "invariant_runs_end", home: 0, what });
            }
        }
        Ok(())
    }

    /// One event; says at which home.
    fn happens(&mut self, event: Event) -> Result<Option<usize>, Violation> {
        let at = self.at;
        match event {
            Event::Arrives(letter) => {
                let home = letter.home;
                let numbers = [home as u64, letter.from.number(), letter.number];
                self.trace.event(at, 1, &numbers, || format!("home {home} <- {}", told(&letter)));
                self.homes[home].deliver(at, letter)?;
                Ok(Some(home))
            }
            Event::Answered(answer) => {
                let numbers = [answer.home as u64, answer.to.number(), answer.number, code(&answer)];
                self.trace.event(at, 2, &numbers, || {
                    format!("{:?} <- home {}: {}", answer.to, answer.home, said(&answer))
                });
                self.hears(&answer);
                Ok(None)
            }
            Event::Wakes(number) => {
                self.trace.event(at, 3, &[number as u64], || format!("agent {number} wakes"));
                self.wakes(number)
            }
            Event::Operator(home) => {
                self.trace.event(at, 4, &[home as u64], || format!("operator {home} wakes"));
                self.operates(home);
                Ok(None)
            }
            Event::Commit(home, life) if life == self.lives[home] => {
                self.trace.event(at, 5, &[home as u64], || format!("home {home} commits"));
                self.homes[home].commit(at)?;
                Ok(Some(home))
            }
            Event::Tick(home, life) if life == self.lives[home] && self.ticks[home] == Some(at) => {
                self.ticks[home] = None;
                self.trace.event(at, 6, &[home as u64], || format!("home {home} ticks"));
                self.homes[home].tick(at)?;
                Ok(Some(home))
            }
            Event::Commit(..) | Event::Tick(..) => Ok(None),
            Event::Checked(home, step, epoch, outcome) => {
                let accepted = matches!(outcome, Outcome::Accepted { .. });
                self.trace.event(at, 7, &[home as u64, u64::from(epoch.0), u64::from(accepted)], || {
                    format!("home {home}: step {step} under {epoch} is checked: {outcome:?}")
                });
                self.homes[home].checked(at, step, epoch, outcome)?;
                Ok(Some(home))
            }
            Event::Fault(home) => self.fault(home),
            Event::Healed(home) => {
                self.homes[home].heal();
                Ok(None)
            }
            Event::Boot(home) => {
                self.trace.event(at, 9, &[home as u64], || format!("home {home} starts"));
                self.homes[home].boot(at)?;
                Ok(Some(home))
            }
            Event::Publish(home) => {
                let next = self.rng.between(300, 3_000);
                self.after(next, Event::Publish(home));
                self.trace.event(at, 10, &[home as u64], || format!("home {home} publishes its head"));
                self.homes[home].publish(at)?;
                Ok(Some(home))
            }
            Event::Snapshot(home) => {
                let next = self.rng.between(100, self.shape.snapshot_every_ms);
                self.after(next, Event::Snapshot(home));
                self.trace.event(at, 11, &[home as u64], || format!("home {home} makes a snapshot"));
                self.homes[home].snapshot()?;
                Ok(Some(home))
            }
            Event::Calm => {
                self.trace.event(at, 12, &[], || "all faults end".to_owned());
                self.calm()
            }
        }
    }

    /// Behind every event at a home: what it wants is set on its way, its clock is looked at.
    fn settle(&mut self, home: usize) -> Result<(), Violation> {
        for out in self.homes[home].take_out() {
            match out {
                Out::Answer(answer) => {
                    for at in self.network.send(self.at, answer.to, home) {
                        self.after(at - self.at, Event::Answered(answer.clone()));
                    }
                }
                Out::CommitIn(ms) => {
                    let life = self.lives[home];
                    self.after(ms, Event::Commit(home, life));
                }
                Out::Check(step, epoch) => {
                    let calm = self.calm_since.is_some();
                    let ms = if calm { self.rng.between(5, 300) } else { self.rng.between(5, 6_000) };
                    let outcome = if calm {
                        Outcome::Accepted { quality: 100, checked: true }
                    } else {
                        judge(&mut self.rng, self.shape.reject)
                    };
                    self.after(ms, Event::Checked(home, step, epoch, outcome));
                }
                Out::Down => {
                    self.lives[home] += 1;
                    self.ticks[home] = None;
                    let calm = self.calm_since.is_some();
                    let ms = if calm || self.rng.chance(700) { 50 } else { self.rng.between(50, 20_000) };
                    self.trace.event(self.at, 13, &[home as u64], || format!("home {home} is down"));
                    self.after(ms, Event::Boot(home));
                }
            }
        }
        let size = self.homes[home].book().size();
        self.trace.bytes(&size.to_le_bytes());
        self.trace.bytes(&self.homes[home].book().tree.root().0);
        self.homes[home].look_at_time(self.at)?;
        let wanted = self.homes[home].next_timer().map(|wanted| wanted.max(self.at + 1));
        if let Some(wanted) = wanted
            && self.ticks[home].is_none_or(|set| wanted < set)
        {
            self.ticks[home] = Some(wanted);
            let life = self.lives[home];
            self.after(wanted - self.at, Event::Tick(home, life));
        }
        Ok(())
    }

    fn post(&mut self, letter: Letter) {
        for at in self.network.send(self.at, letter.from, letter.home) {
            self.after(at - self.at, Event::Arrives(letter.clone()));
        }
    }

    fn hears(&mut self, answer: &Answer) {
        match answer.to {
            Actor::Agent(number) => {
                for letter in self.agents[number].hear(self.at, answer) {
                    self.post(letter);
                }
            }
            Actor::Operator(home) => {
                if let Ok(reply) = &answer.said {
                    self.operators[home].0.hear(reply);
                }
            }
        }
    }

    fn wakes(&mut self, number: usize) -> Result<Option<usize>, Violation> {
        let wall = Wall(WALL_START_MS + self.at);
        let offers: Vec<Vec<StepId>> = self.homes.iter_mut().map(|home| home.offers().to_vec()).collect();
        let homes = &self.homes;
        let board = |home: usize| Board { identity: homes[home].identity(), offers: &offers[home], wall };
        let letters = self.agents[number].wake(self.at, board);
        for letter in letters {
            self.post(letter);
        }
        let pause = self.agents[number].pause_ms(self.at);
        self.after(pause, Event::Wakes(number));
        if self.calm_since.is_some() || !self.rng.chance(15) {
            return Ok(None);
        }
        let home = self.rng.below(self.homes.len() as u64) as usize;
        match self.rng.below(3) {
            0 => {
                let until = self.at + self.rng.between(1_000, 30_000);
                self.network.cut(Actor::Agent(number), home, until);
            }
            1 => self.homes[home].hang_up(self.at)?,
            _ => {
                let who = self.agents[number].id();
                self.homes[home].refuse_at_edge(self.at, who)?;
            }
        }
        Ok(Some(home))
    }

    fn operates(&mut self, home: usize) {
        let wall = Wall(WALL_START_MS + self.at);
        if self.calm_since.is_some() {
            return self.warm_up(home, wall);
        }
        let next = self.rng.between(500, 9_000);
        self.after(next, Event::Operator(home));
        let request = match self.rng.below(100) {
            0..=1 => {
                let agent = self.rng.below(self.agents.len() as u64) as usize;
                Request::RevokeAgent(self.agents[agent].id())
            }
            2..=4 => {
                let data = artel_federation::Json::new(*b"{}");
                Request::Emit { name: "xyn.test".into(), data, run: None }
            }
            _ => self.operators[home].0.wish(&mut self.rng, wall, Purse::Deep),
        };
        self.ask(home, request);
    }

    fn warm_up(&mut self, home: usize, wall: Wall) {
        if self.warmed[home] == WARM_UP {
            return;
        }
        self.warmed[home] += 1;
        let request = self.operators[home].0.easy(&mut self.rng, wall);
        self.ask(home, request);
        self.after(200, Event::Operator(home));
    }

    fn ask(&mut self, home: usize, request: Request) {
        self.operators[home].1 += 1;
        let number = self.operators[home].1;
        self.post(Letter {
            from: Actor::Operator(home),
            home,
            number,
            principal: Principal::Operator,
            request,
        });
    }

    fn fault(&mut self, home: usize) -> Result<Option<usize>, Violation> {
        let Some(every_ms) = self.shape.fault_every_ms.filter(|_| self.calm_since.is_none()) else {
            return Ok(None);
        };
        let next = self.rng.between(500, every_ms * 2);
        self.after(next, Event::Fault(home));
        let kind = self.rng.below(8);
        self.trace.event(self.at, 8, &[home as u64, kind], || format!("home {home}: fault {kind}"));
        match kind {
            0 | 1 => self.homes[home].plan(Fault::Crash, 1),
            2 => {
                self.homes[home].power_loss()?;
            }
            3 => {
                if self.homes[home].is_up() {
                    self.homes[home].kill();
                }
            }
            4 => {
                let count = self.rng.between(1, 3);
                self.homes[home].plan(Fault::Eio, count);
            }
            5 => {
                let count = self.rng.between(1, 30);
                self.homes[home].plan(Fault::Full, count);
            }
            6 => {
                let ms = self.rng.between(10, 900);
                self.homes[home].plan(Fault::Slow { ms }, 3);
            }
            _ => {
                let skew = self.rng.below(1_200_000) as i64 - 600_000;
                self.homes[home].jump(skew);
            }
        }
        let heals = self.rng.between(1_000, 15_000);
        self.after(heals, Event::Healed(home));
        Ok(Some(home))
    }

    /// The second phase begins.
    fn calm(&mut self) -> Result<Option<usize>, Violation> {
        self.calm_since = Some(self.at);
        self.network.heal();
        for agent in &mut self.agents {
            agent.calm();
        }
        for home in 0..self.homes.len() {
            self.homes[home].heal();
            self.homes[home].jump(0);
            self.homes[home].set_falls_again(0);
            for _ in 0..SAINTS {
                let number = self.agents.len();
                let saint = Agent::saint(number, home, self.rng.fork());
                self.agents.push(saint);
                self.after(20, Event::Wakes(number));
            }
            self.after(1, Event::Boot(home));
            self.after(1_000, Event::Operator(home));
        }
        Ok(None)
    }

    /// Whether nothing is open any more anywhere, and some time has passed for what was under way.
    fn all_over(&self) -> bool {
        let settled = self.calm_since.is_some_and(|since| self.at > since + 3_000);
        settled
            && self
                .homes
                .iter()
                .all(|home| home.is_up() && home.book().size() > 0 && home.book().open.is_empty())
    }

    fn end(&mut self) -> Result<(), Violation> {
        for (number, home) in self.homes.iter_mut().enumerate() {
            progress::invariant_receipts_pair(number, home.book())?;
            home.look_at_signatures()?;
            home.kill();
            home.boot(self.at)?;
            home.commit(self.at)?;
            home.kill();
            home.verify()?;
        }
        Ok(())
    }

    fn report(mut self, seed: u64, violation: Option<Violation>) -> Report {
        let mut counts = Counts::default();
        let mut steps = (0, 0);
        let mut tally = Tally::new();
        for home in &self.homes {
            counts.add(home.counts());
            for (name, times) in home.tally() {
                *tally.entry(name).or_default() += times;
            }
            for page in home.book().steps.values().filter(|page| page.life.is_terminal()) {
                let accepted = matches!(page.life, crate::book::Life::Accepted(_));
                steps = (steps.0 + u64::from(accepted), steps.1 + u64::from(!accepted));
            }
        }
        Report {
            seed,
            hash: self.trace.hash(),
            events: self.trace.events(),
            size: (self.homes.len(), self.agents.len()),
            clock_ms: (self.at, self.calm_since.map_or(0, |since| self.at - since)),
            counts,
            steps,
            tally,
            points: self.homes[0].points(),
            violation,
            last: self.trace.last(),
        }
    }
}

fn told(letter: &Letter) -> String {
    format!("{:?} letter {}: {:?}", letter.from, letter.number, letter.request)
}

fn said(answer: &Answer) -> String {
    match &answer.said {
        Ok(reply) => format!("letter {}: {reply:?}", answer.number),
        Err(refusal) => format!("letter {}: {}", answer.number, refusal.code.as_str()),
    }
}

/// What kind of answer it is, as a number for the trace.
fn code(answer: &Answer) -> u64 {
    use artel_federation::Reply;
    match &answer.said {
        Err(refusal) => 100 + refusal.code as u64,
        Ok(Reply::Challenge { .. }) => 1,
        Ok(Reply::Token { serial, .. }) => 1_000 + u64::from(*serial),
        Ok(Reply::Leased(lease)) => 10_000 + lease.index,
        Ok(Reply::Submitted(receipt)) => 1_000_000 + receipt.submitted,
        Ok(_) => 2,
    }
}
