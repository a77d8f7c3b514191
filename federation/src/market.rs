//! The market: home offers steps, agents claim them, and here alone it is decided who wins.
//!
//! A step has one winner at a time: `grant` is the only function that makes a `Granted` fact, it is reached only for a
//! step in state `Offered`, and the fact moves the step to `Leased` under the next epoch before anything else is looked
//! at. Claims that lose cost an answer and no disk. Whoever qualifies and waits gets a new offer in the same frame.

use crate::commitment;
use crate::effect::{Code, Lease, Refusal, Reply};
use crate::fact::{Authority, End, Fact, Granted, LeaseEnded, Offered, Poster};
use crate::federation::Federation;
use crate::input::{ClaimNext, Now, ReplyTo};
use crate::matching::{self, Candidate};
use crate::member::Agent;
use crate::options::{
    AGENT_HELD_BYTES_MAX, CLOCK_SKEW_MS, HELD_BYTES_MAX, LEASE_ABROAD_BYTES_MAX, NEXT_ABROAD_BYTES_MAX,
    UNUSED_MAX, UNUSED_MS, WAIT_MS_MAX, WAITERS_LOOKED_AT_MAX, WAITERS_MAX,
};
use crate::run::{Run, Step, StepState};
use crate::timer::Timer;
use crate::turn::Turn;
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use artel_protocol::time::{Mono, Wall};
use artel_reputation::{Assessment, Level};
use std::collections::{BTreeMap, BTreeSet};

/// How many of those who wait are compared for one offer, longest waiting first. More would make an offer's cost grow
/// with the number of idle agents.
const COMPARED_MAX: usize = 64;

/// Somebody who waits for a task.
#[derive(Debug)]
struct Waiter {
    to: ReplyTo,
    agent: AgentId,
    /// What is answered beside the lease: a submission's receipt that asked for the next task.
    reply: Box<Reply>,
}

impl Waiter {
    /// The submission whose answer it waits in.
    fn after(&self) -> After {
        match self.reply.as_ref() {
            Reply::Submitted(receipt) => Some((receipt.step, receipt.epoch)),
            _ => None,
        }
    }
}

/// One agent's waits, and the names of its skills.
#[derive(Debug)]
struct Waits {
    arrivals: BTreeSet<u64>,
    skills: Vec<String>,
}

/// Those who wait for a task, by arrival. Only an agent's first wait stands in `first` and `by_skill`, so that a look at
/// those who wait is a look at as many agents.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    by_arrival: BTreeMap<u64, Waiter>,
    by_agent: BTreeMap<AgentId, Waits>,
    first: BTreeSet<u64>,
    by_skill: BTreeMap<String, BTreeSet<u64>>,
    arrival_of: BTreeMap<ReplyTo, u64>,
    count: u64,
    /// Whether the node is stopping, so that nobody waits any more.
    closed: bool,
}

/// What is known of a live lease beside the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldLease {
    /// When it began here, for the limit on renewals.
    since: Mono,
    after: After,
}

/// The submission in whose answer a lease was granted, so that a repeated submission hears of the same lease.
pub(crate) type After = Option<(StepId, Epoch)>;

impl Waiters {
    fn add(&mut self, waiter: Waiter, agent: &Agent) {
        self.count += 1;
        let arrival = self.count;
        let waits = self
            .by_agent
            .entry(waiter.agent)
            .or_insert_with(|| Waits { arrivals: BTreeSet::new(), skills: skill_names(agent) });
        waits.arrivals.insert(arrival);
        if waits.arrivals.len() == 1 {
            let skills = waits.skills.clone();
            self.list(arrival, &skills);
        }
        self.arrival_of.insert(waiter.to, arrival);
        self.by_arrival.insert(arrival, waiter);
    }

    fn take(&mut self, to: ReplyTo) -> Option<Waiter> {
        let arrival = self.arrival_of.remove(&to)?;
        let waiter = self.by_arrival.remove(&arrival)?;
        let mut waits = self.by_agent.remove(&waiter.agent).expect("both tell of the same waits");
        let was_first = waits.arrivals.first() == Some(&arrival);
        waits.arrivals.remove(&arrival);
        if was_first {
            self.unlist(arrival, &waits.skills);
            if let Some(next) = waits.arrivals.first() {
                self.list(*next, &waits.skills);
            }
        }
        if !waits.arrivals.is_empty() {
            self.by_agent.insert(waiter.agent, waits);
        }
        Some(waiter)
    }

    /// Has an agent's first wait stand for it.
    fn list(&mut self, arrival: u64, skills: &[String]) {
        self.first.insert(arrival);
        for skill in skills {
            self.by_skill.entry(skill.clone()).or_default().insert(arrival);
        }
    }

    fn unlist(&mut self, arrival: u64, skills: &[String]) {
        self.first.remove(&arrival);
        for skill in skills {
            let Some(arrivals) = self.by_skill.get_mut(skill) else { continue };
            arrivals.remove(&arrival);
            if arrivals.is_empty() {
                self.by_skill.remove(skill);
            }
        }
    }

    /// The agent's wait that began first.
    fn first_of(&self, agent: &AgentId) -> Option<ReplyTo> {
        let arrival = self.by_agent.get(agent)?.arrivals.first()?;
        Some(self.by_arrival[arrival].to)
    }

    /// How many waits an agent has.
    fn of(&self, agent: &AgentId) -> usize {
        self.by_agent.get(agent).map_or(0, |waits| waits.arrivals.len())
    }

    /// An agent has other skills now.
    pub(crate) fn reskill(&mut self, agent: &Agent) {
        let Some(waits) = self.by_agent.get_mut(&agent.id) else { return };
        let first = *waits.arrivals.first().expect("who is listed waits");
        let new = skill_names(agent);
        let old = std::mem::replace(&mut waits.skills, new.clone());
        self.unlist(first, &old);
        self.list(first, &new);
    }

    /// The agents that may have these skills, each with its first wait, longest waiting first: those who have a skill of
    /// the rarest of the names (or all, where none is asked).
    fn with_skills(&self, asked: &[Skill]) -> impl Iterator<Item = (u64, &Waiter)> {
        let named = asked.iter().map(|skill| self.by_skill.get(skill.name()));
        let rarest = named.min_by_key(|arrivals| arrivals.map_or(0, BTreeSet::len));
        let arrivals = rarest.unwrap_or(Some(&self.first));
        arrivals.into_iter().flatten().map(|n| (*n, &self.by_arrival[n]))
    }

    /// The submission whose answer a wait is part of.
    fn after(&self, to: ReplyTo) -> After {
        self.by_arrival[self.arrival_of.get(&to)?].after()
    }

    /// Whether an agent waits.
    pub(crate) fn waits(&self, agent: &AgentId) -> bool {
        self.by_agent.contains_key(agent)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_arrival.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let listed = self.first.is_empty() && self.by_skill.is_empty() && self.by_agent.is_empty();
        listed && self.by_arrival.is_empty() && self.arrival_of.is_empty()
    }
}

/// The names of an agent's skills, each once.
fn skill_names(agent: &Agent) -> Vec<String> {
    let names: BTreeSet<&str> = agent.skills.iter().map(Skill::name).collect();
    names.into_iter().map(str::to_owned).collect()
}

impl Federation {
    /// An agent claims one task. Whoever holds it already hears its lease again: its first answer may have been lost.
    pub(crate) fn claim(&mut self, turn: &mut Turn, agent: AgentId, id: StepId) -> Result<Reply, Refusal> {
        self.is_about(turn, &agent);
        let held = self.may_claim(&turn.now, &self.state.agents[&agent], id)?;
        let lease = held.unwrap_or_else(|| self.grant(turn, agent, id, None));
        Ok(Reply::Leased(Box::new(lease)))
    }

    /// Whether an agent may have a task now; the lease, where it holds it already.
    pub(crate) fn may_claim(&self, now: &Now, member: &Agent, id: StepId) -> Result<Option<Lease>, Refusal> {
        let Some((run, step)) = self.state.step(&id) else {
            return Err(Refusal::new(
                Code::NotFound,
                "there is no such task here; GET /v1/tasks lists the open ones",
            ));
        };
        match &step.state {
            StepState::Offered => {}
            StepState::Leased { agent: holder, .. } if *holder == member.id => {
                let index = step.granted_at.expect("a leased step was granted");
                return Ok(Some(self.lease(id, step.epoch, index, now)));
            }
            StepState::Leased { .. } | StepState::Submitted { .. } => {
                return Err(Refusal::new(
                    Code::TaskTaken,
                    "another agent holds this task; claim the next one",
                ));
            }
            StepState::Waiting => {
                return Err(Refusal::new(Code::TaskNotOpen, "this task waits for others to be done first"));
            }
            StepState::Accepted { .. } | StepState::Ended(_) => {
                return Err(Refusal::new(Code::Finished, "this task is over; claim another one"));
            }
        }
        if now.wall >= step.spec.task.deadline {
            return Err(Refusal::new(
                Code::TaskNotOpen,
                "this task's deadline has passed; claim another one",
            ));
        }
        let (level, free) = (self.assess(member, now.wall).level, self.free_leases(member));
        self.qualifies((member, level, free), (run, step), None)
            .map_err(|code| Refusal::new(code, unqualified(code)))?;
        if self.no_room_for_results(run.poster) {
            return Err(Refusal::new(
                Code::BookFull,
                "this node's memory of open work, or its poster's share of it, is full; claim another task",
            ));
        }
        if self.live.windows.is_closed_to(&id, member) {
            return Err(Refusal::new(
                Code::OfferWindow,
                "for a moment only the best candidates, or newcomers, may claim this task; try again",
            ));
        }
        Ok(None)
    }

    /// An agent claims the best task that it qualifies for; `None` when it waits for one.
    pub(crate) fn claim_next(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        agent: AgentId,
        claim: ClaimNext,
    ) -> Result<Option<Reply>, Refusal> {
        self.is_about(turn, &agent);
        self.must_be_free(&self.state.agents[&agent])?;
        if let Some(lease) = self.grant_best(turn, agent, None) {
            return Ok(Some(Reply::Leased(Box::new(lease))));
        }
        self.wait_for_task(turn, to, agent, claim, Reply::Nothing)
    }

    /// Whether an agent may hold one lease more.
    pub(crate) fn must_be_free(&self, member: &Agent) -> Result<(), Refusal> {
        match self.free_leases(member) {
            0 => Err(Refusal::new(Code::CapacityFull, unqualified(Code::CapacityFull))),
            _ => Ok(()),
        }
    }

    /// Whether nothing of this poster's is granted for now: results would find no room.
    fn no_room_for_results(&self, poster: Poster) -> bool {
        self.state.open.bytes > HELD_BYTES_MAX || self.state.open_of(poster).bytes > AGENT_HELD_BYTES_MAX
    }

    /// Grants an agent the best open task that it qualifies for, if there is one; `after` is the submission that asked.
    pub(crate) fn grant_best(&mut self, turn: &mut Turn, agent: AgentId, after: After) -> Option<Lease> {
        let best = self.best_for(&turn.now, &self.state.agents[&agent], after)?;
        Some(self.grant(turn, agent, best, after))
    }

    /// The best open task that an agent qualifies for.
    pub(crate) fn best_for(&self, now: &Now, member: &Agent, after: After) -> Option<StepId> {
        let (level, free) = (self.assess(member, now.wall).level, self.free_leases(member));
        let takes = |id: StepId| {
            let windowed = self.live.windows.is_closed_to(&id, member);
            let (run, step) = self.state.step(&id).expect("an offer has its step");
            let fits = self.qualifies((member, level, free), (run, step), after);
            !windowed && fits.is_ok() && now.wall < step.spec.task.deadline
        };
        let serves = |poster| !self.no_room_for_results(poster);
        self.state.offers.best((member, level), &now.entropy, serves, takes).best
    }

    /// The live lease that an agent got in answer to a submission that it now repeats: it may not have heard.
    pub(crate) fn granted_after(
        &self,
        agent: AgentId,
        submission: (StepId, Epoch),
        now: &Now,
    ) -> Option<Lease> {
        let mut held = self.state.leases.get(&agent)?.iter();
        let id = *held.find(|id| self.live.granted.get(id).is_some_and(|g| g.after == Some(submission)))?;
        let (_, step) = self.state.step(&id)?;
        Some(self.lease(id, step.epoch, step.granted_at?, now))
    }

    /// Grants what is open to an agent's own waits, as far as it goes: it has become able to do more.
    pub(crate) fn serve_waits(&mut self, turn: &mut Turn, agent: AgentId) {
        while let Some(to) = self.live.waiters.first_of(&agent) {
            let after = self.live.waiters.after(to);
            let Some(lease) = self.grant_best(turn, agent, after) else { return };
            self.answer_waiter(turn, to, Some(lease));
        }
    }

    /// Answers a claim that waited: with a lease, or without.
    fn answer_waiter(&mut self, turn: &mut Turn, to: ReplyTo, lease: Option<Lease>) {
        self.live.timers.cancel(Timer::Wait(to));
        let Some(waiter) = self.live.waiters.take(to) else { return };
        let reply = match *waiter.reply {
            Reply::Submitted(receipt) => {
                // The verdict may have come meanwhile.
                let mut receipt = self.receipt(receipt.step, receipt.epoch).unwrap_or(*receipt);
                receipt.next = lease.map(Box::new);
                Reply::Submitted(Box::new(receipt))
            }
            other => lease.map_or(other, |lease| Reply::Leased(Box::new(lease))),
        };
        turn.reply(to, Ok(reply));
    }

    /// Has an agent wait for a task; `reply` is what it hears in any case, with the lease in it if one comes.
    pub(crate) fn wait_for_task(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        agent: AgentId,
        claim: ClaimNext,
        reply: Reply,
    ) -> Result<Option<Reply>, Refusal> {
        if !self.may_wait(&self.state.agents[&agent], claim, &reply)? {
            return Ok(Some(reply));
        }
        let until = turn.now.mono.plus_ms(u64::from(claim.wait_ms.min(WAIT_MS_MAX)));
        self.live.timers.set(Timer::Wait(to), until);
        let waiter = Waiter { to, agent, reply: Box::new(reply) };
        self.live.waiters.add(waiter, &self.state.agents[&agent]);
        Ok(None)
    }

    /// Whether an agent's claim waits for a task now; `reply` is what it hears in any case.
    pub(crate) fn may_wait(&self, member: &Agent, claim: ClaimNext, reply: &Reply) -> Result<bool, Refusal> {
        if claim.wait_ms == 0 || self.live.waiters.closed {
            return Ok(false);
        }
        let waits_max = self.free_leases(member) as usize;
        if self.live.waiters.len() < WAITERS_MAX && self.live.waiters.of(&member.id) < waits_max {
            return Ok(true);
        }
        match reply {
            Reply::Nothing => Err(Refusal::new(
                Code::TooManyWaiting,
                "too many claims wait here already (an agent may wait as often as it has free leases); ask again in a moment",
            )),
            _ => Ok(false),
        }
    }

    /// Whoever asked is gone.
    pub(crate) fn stop_waiting(&mut self, to: ReplyTo) {
        self.live.waiters.take(to);
        self.live.timers.cancel(Timer::Wait(to));
    }

    /// Nobody waits any more: the node is stopping.
    pub(crate) fn end_all_waits(&mut self, turn: &mut Turn) {
        self.live.waiters.closed = true;
        let waiting: Vec<ReplyTo> = self.live.waiters.by_arrival.values().map(|waiter| waiter.to).collect();
        waiting.into_iter().for_each(|to| self.answer_waiter(turn, to, None));
    }

    pub(crate) fn wait_ends(&mut self, turn: &mut Turn, to: ReplyTo) {
        self.answer_waiter(turn, to, None);
    }

    /// Opens a ready step to claims, and grants it at once where somebody qualified waits. Past its deadline (which the
    /// wall clock decides, whatever the timers say) it ends instead.
    pub(crate) fn offer(&mut self, turn: &mut Turn, id: StepId) {
        let (run, step) = self.state.step(&id).expect("only known steps are offered");
        if turn.now.wall >= step.spec.task.deadline {
            return self.end_step(turn, id, End::DeadlinePassed);
        }
        let (task, epoch) = (&step.spec.task, step.epoch.next());
        let offered = Offered {
            step: id,
            epoch,
            skills: task.skills.clone(),
            complexity: task.complexity,
            level_min: task.level_min,
            reward: task.reward,
            deadline: task.deadline,
            terms: commitment::terms(commitment::terms_salt(run.salt, &id), &id, task),
            window_ms: self.window_ms(),
            top: self.options.top,
            verdict_within_ms: self.options.verdict_within_ms,
        };
        let deadline = task.deadline;
        turn.record(&mut self.state, Fact::Offered(offered));
        self.arm_deadline(id, deadline, &turn.now);
        if !self.grant_to_waiter(turn, id) && !self.is_for_claimer(turn, id) {
            self.open_window(turn, id);
        }
    }

    /// Whether whoever gets the next task at the end of this input may take this one: it is left open for it, and further ones
    /// are not.
    fn is_for_claimer(&self, turn: &mut Turn, id: StepId) -> bool {
        let Some((agent, after)) = turn.claimer else { return false };
        let (run, step) = self.state.step(&id).expect("just offered");
        let agent = &self.state.agents[&agent];
        let (level, free) = (self.assess(agent, turn.now.wall).level, self.free_leases(agent));
        let takes = self.qualifies((agent, level, free), (run, step), Some(after)).is_ok();
        turn.claimer = turn.claimer.filter(|_| !takes);
        takes
    }

    /// Grants an offer to the best of those who wait and qualify.
    pub(crate) fn grant_to_waiter(&mut self, turn: &mut Turn, id: StepId) -> bool {
        let Some((to, agent)) = self.best_waiter(id, turn.now.wall) else {
            return false;
        };
        let after = self.live.waiters.after(to);
        let lease = self.grant(turn, agent, id, after);
        self.answer_waiter(turn, to, Some(lease));
        true
    }

    fn best_waiter(&self, id: StepId, wall: Wall) -> Option<(ReplyTo, AgentId)> {
        let (run, step) = self.state.step(&id)?;
        let task = &step.spec.task;
        if wall >= task.deadline || self.no_room_for_results(run.poster) {
            return None;
        }
        let kept = matching::kept_for_newcomers(&id, task.complexity);
        let candidate = |(since, waiter): (u64, &Waiter)| {
            let agent = self.state.agents.get(&waiter.agent)?;
            let free = self.free_leases(agent);
            let assessed = self.assess(agent, wall);
            self.qualifies((agent, assessed.level, free), (run, step), waiter.after()).ok()?;
            Some((waiter.to, candidate_of(agent, &assessed, since)))
        };
        self.live
            .waiters
            .with_skills(&task.skills)
            .take(WAITERS_LOOKED_AT_MAX)
            .filter_map(candidate)
            .take(COMPARED_MAX)
            .min_by_key(|(_, candidate)| matching::rank(candidate, kept))
            .map(|(to, candidate)| (to, candidate.agent))
    }

    /// Gives the step to the agent: the one place where a winner is made.
    pub(crate) fn grant(&mut self, turn: &mut Turn, agent: AgentId, id: StepId, after: After) -> Lease {
        let member = &self.state.agents[&agent];
        let assessed = self.assess(member, turn.now.wall);
        let (_, step) = self.state.step(&id).expect("the caller has seen the offer");
        assert!(step.state == StepState::Offered, "only an offered step is granted");
        let granted = Granted {
            step: id,
            epoch: step.epoch.next(),
            agent,
            level: assessed.level,
            bound: assessed.lower.0,
            lease_ms: self.options.lease_ms,
            authority: authority(member, turn.now.wall),
        };
        let (epoch, lease_ms) = (granted.epoch, granted.lease_ms);
        let index = turn.record(&mut self.state, Fact::Granted(granted));
        self.live.windows.close(&id);
        self.live.timers.cancel(Timer::Window(id));
        self.live.timers.cancel(Timer::Deadline(id));
        self.arm_lease(id, lease_ms, after, &turn.now);
        self.lease(id, epoch, index, &turn.now)
    }

    /// What the holder of a live lease is told.
    pub(crate) fn lease(&self, id: StepId, epoch: Epoch, index: u64, now: &Now) -> Lease {
        let (run, step) = self.state.step(&id).expect("a lease has its step");
        let StepState::Leased { lease_ms, .. } = step.state else {
            panic!("a lease is told of while it lives")
        };
        let left_ms = self.live.timers.at(Timer::Lease(id)).map_or(0, |at| at.since_ms(now.mono));
        let task = &step.spec.task;
        let needed = || step.spec.needs.iter().map(|n| &run.steps[usize::from(*n)]);
        let output = |need: &Step| need.output.clone().map(|output| (need.spec.name.clone(), output));
        let artifacts = |need: &Step| {
            let handed = need.handed.last()?;
            let named = &handed.opening.artifacts;
            (!named.is_empty()).then(|| (need.spec.name.clone(), named.clone()))
        };
        Lease {
            step: id,
            run: run.id,
            epoch,
            expires: now.wall.plus_ms(left_ms),
            lease_ms,
            index,
            title: task.title.clone(),
            description: task.description.clone(),
            name: step.spec.name.clone(),
            input: task.input.clone(),
            inputs: run.inputs.clone(),
            needs: needed().filter_map(output).collect(),
            artifacts: needed().filter_map(artifacts).collect(),
            output_schema: task.output_schema.clone(),
            runner: task.runner,
            reward: task.reward,
            deadline: task.deadline,
            verdict_within_ms: self.options.verdict_within_ms,
            skills: task.skills.clone(),
        }
    }

    /// The lease goes on for another term. Not journalled: a restart gives a full term anyway.
    pub(crate) fn renew(
        &mut self,
        turn: &Turn,
        agent: AgentId,
        id: StepId,
        epoch: Epoch,
    ) -> Result<Reply, Refusal> {
        let lease_ms = self.held_lease(agent, id, epoch)?;
        let since = self.live.granted.get(&id).map_or(turn.now.mono, |held| held.since);
        if turn.now.mono.since_ms(since) >= self.options.lease_total_ms {
            return Err(Refusal::new(
                Code::RenewalSpent,
                "this lease was renewed for as long as it may be; submit or release it",
            ));
        }
        let term = u64::from(lease_ms);
        self.live.timers.set(Timer::Lease(id), turn.now.mono.plus_ms(term));
        Ok(Reply::Renewed { expires: turn.now.wall.plus_ms(term) })
    }

    /// The holder gives its lease back; the step is offered anew.
    pub(crate) fn release(
        &mut self,
        turn: &mut Turn,
        agent: AgentId,
        id: StepId,
        epoch: Epoch,
    ) -> Result<Reply, Refusal> {
        self.held_lease(agent, id, epoch)?;
        let unused = self.is_unused(&turn.now, agent, id);
        self.disarm_lease(id);
        let ended = LeaseEnded { step: id, epoch, agent };
        if unused {
            turn.record(&mut self.state, Fact::Unused(ended.clone()));
        }
        turn.record(&mut self.state, Fact::Released(ended));
        self.try_again(turn, id);
        self.serve_waits(turn, agent);
        Ok(Reply::Done)
    }

    /// Whether a lease that an agent gives back was granted just now, and it is the first of this step that it gives back so: it has
    /// most likely won another one at the same moment. After a start nobody's is.
    fn is_unused(&self, now: &Now, agent: AgentId, id: StepId) -> bool {
        let since = self.live.granted.get(&id).map(|held| held.since);
        let is_fresh = since.is_some_and(|since| now.mono.since_ms(since) < UNUSED_MS);
        let Some((_, step)) = self.state.step(&id) else { return false };
        is_fresh && step.spared.len() < UNUSED_MAX && !step.spared.contains(&agent)
    }

    /// The term of the live lease that an agent holds under an epoch.
    pub(crate) fn held_lease(&self, agent: AgentId, id: StepId, epoch: Epoch) -> Result<u32, Refusal> {
        let Some((_, step)) = self.state.step(&id) else {
            return Err(Refusal::new(Code::NotFound, "there is no such task here"));
        };
        match step.state {
            StepState::Leased { agent: holder, lease_ms, .. } if holder == agent && step.epoch == epoch => {
                Ok(lease_ms)
            }
            _ if step.state.is_terminal() => Err(Refusal::new(Code::Finished, "this task is over")),
            _ => Err(Refusal::new(
                Code::StaleEpoch,
                "this lease is over or was never yours; claim the task again",
            )),
        }
    }

    /// A lease ran out: home writes the lapse down, and from then on its epoch is stale.
    pub(crate) fn lease_ends(&mut self, turn: &mut Turn, id: StepId) {
        let Some((_, step)) = self.state.step(&id) else {
            return;
        };
        let StepState::Leased { agent, .. } = step.state else {
            return;
        };
        self.lapse(turn, id, step.epoch, agent);
    }

    /// Ends a live lease as lapsed and offers the step anew, or ends the step where its lapses are spent.
    pub(crate) fn lapse(&mut self, turn: &mut Turn, id: StepId, epoch: Epoch, agent: AgentId) {
        self.disarm_lease(id);
        turn.record(&mut self.state, Fact::Lapsed(LeaseEnded { step: id, epoch, agent }));
        self.try_again(turn, id);
        self.serve_waits(turn, agent);
    }

    /// Nobody has taken a step by its deadline.
    pub(crate) fn deadline_passes(&mut self, turn: &mut Turn, id: StepId) {
        let Some((_, step)) = self.state.step(&id) else {
            return;
        };
        if !matches!(step.state, StepState::Waiting | StepState::Offered) {
            return;
        }
        let deadline = step.spec.task.deadline;
        if turn.now.wall < deadline {
            return self.arm_deadline(id, deadline, &turn.now);
        }
        self.end_step(turn, id, End::DeadlinePassed);
    }

    pub(crate) fn arm_deadline(&mut self, id: StepId, deadline: Wall, now: &Now) {
        let at = now.mono.plus_ms(deadline.since_ms(now.wall));
        self.live.timers.set(Timer::Deadline(id), at);
    }

    pub(crate) fn arm_lease(&mut self, id: StepId, lease_ms: u32, after: After, now: &Now) {
        self.live.timers.set(Timer::Lease(id), now.mono.plus_ms(u64::from(lease_ms)));
        self.live.granted.insert(id, HeldLease { since: now.mono, after });
    }

    pub(crate) fn disarm_lease(&mut self, id: StepId) {
        self.live.timers.cancel(Timer::Lease(id));
        self.live.granted.remove(&id);
    }

    /// Whether an agent may take a step, in the answer to a submission where `after` names one; what does not fit between
    /// two nodes stays at home.
    pub(crate) fn qualifies(
        &self,
        (agent, level, free): (&Agent, Level, u32),
        (run, step): (&Run, &Step),
        after: After,
    ) -> Result<(), Code> {
        let room = if after.is_some() { NEXT_ABROAD_BYTES_MAX } else { LEASE_ABROAD_BYTES_MAX };
        if agent.guest.is_some() && told_bytes(run, step) > room {
            return Err(Code::NotQualified);
        }
        matching::qualifies(agent, level, free, &step.spec.task, run.poster, &step.barred)
    }

    /// How many more leases an agent may take.
    pub(crate) fn free_leases(&self, agent: &Agent) -> u32 {
        self.leases_allowed(agent).saturating_sub(self.state.live_leases(&agent.id))
    }

    pub(crate) fn assess(&self, agent: &Agent, wall: Wall) -> Assessment {
        agent.standing.assess(wall)
    }
}

/// The most of the bytes that the winner of a step is told: its texts, and the outputs that it needs.
fn told_bytes(run: &Run, step: &Step) -> usize {
    let task = &step.spec.task;
    let needed = step.spec.needs.iter().map(|n| &run.steps[usize::from(*n)]);
    let outputs = needed.map(|need| {
        let artifacts = need.handed.last().map_or(0, |handed| handed.opening.artifacts.len());
        need.output.as_ref().map_or(0, |output| output.len()) + need.spec.name.len() + 32 * artifacts
    });
    let own = task.input.len() + task.description.len() + task.output_schema.as_ref().map_or(0, |s| s.len());
    outputs.sum::<usize>() + own + run.inputs.len()
}

pub(crate) fn candidate_of(agent: &Agent, assessed: &Assessment, since: u64) -> Candidate {
    Candidate { agent: agent.id, bound: assessed.lower.0, newcomer: agent.is_newcomer(), since }
}

/// On whose authority an agent acts: under its delegation while that lasts, else as its token's own session, or, where another
/// node brings it, under its own signature.
pub(crate) fn authority(agent: &Agent, wall: Wall) -> Authority {
    match agent.delegation {
        Some(delegation) if wall < delegation.until.plus_ms(CLOCK_SKEW_MS) => Authority::Delegated,
        _ if agent.guest.is_some() => Authority::Own,
        _ => Authority::Session,
    }
}

fn unqualified(code: Code) -> &'static str {
    match code {
        Code::CapacityFull => "you hold as many leases as you may; submit or release one first",
        Code::Barred => "you lapsed or were rejected on this task and may not retake it",
        Code::AgentRevoked => "this agent was revoked; enroll again",
        _ => "your capabilities or level do not meet this task's requirements, or you posted it yourself",
    }
}
