//! Offers that for a moment only some may claim: the best of the agents that were about lately, or newcomers. Whoever waits
//! wins before that (`market.rs`). Presence and windows are live state: gone after a restart, and every offer is open to all then.

use crate::federation::Federation;
use crate::input::Now;
use crate::market::candidate_of;
use crate::matching::{self, Candidate};
use crate::member::Agent;
use crate::run::StepState;
use crate::timer::Timer;
use crate::turn::Turn;
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use artel_protocol::time::{Mono, Wall};
use std::collections::{BTreeMap, BTreeSet};

/// How long after it was heard of an agent is taken to be about, in milliseconds (a minute). Longer, and offers are kept for
/// agents that are gone; shorter, and for nobody who works on a task for that long.
const ABOUT_MS: u64 = 60_000;

/// How many agents with a record are known to be about, and as many newcomers; for a further one the one goes that was heard
/// of longest ago. A window's candidates are looked for among them, so more would make an offer's cost grow: 256 take some
/// 50 µs.
const ABOUT_MAX: usize = 256;

/// How many offers are kept for some at once; a further one is open to all, and costs no look.
const WINDOWS_MAX: usize = 64;

/// Agents that were heard of lately, by when.
#[derive(Debug, Default)]
struct Lately {
    heard: BTreeMap<AgentId, Mono>,
    by_time: BTreeSet<(Mono, AgentId)>,
}

/// Who was about lately: those that have had something accepted here apart from newcomers, so that keys that anybody can
/// make displace nobody who has worked.
#[derive(Debug, Default)]
pub(crate) struct About {
    proven: Lately,
    newcomers: Lately,
}

/// For whom an offer is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// The best candidates.
    Best(BTreeSet<AgentId>),
    /// Any newcomer; the one that was about when it was opened is named so that it counts for one offer alone.
    Newcomers(AgentId),
}

/// The offers that are kept for some. An agent is named in one window at a time: where there is more work than that, nobody
/// is held up for it.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    open: BTreeMap<StepId, Window>,
    named: BTreeSet<AgentId>,
}

impl Lately {
    fn hear(&mut self, agent: AgentId, now: Mono) {
        self.forget(&agent);
        self.heard.insert(agent, now);
        self.by_time.insert((now, agent));
        if self.heard.len() > ABOUT_MAX
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.heard.remove(&oldest);
        }
    }

    fn forget(&mut self, agent: &AgentId) {
        if let Some(at) = self.heard.remove(agent) {
            self.by_time.remove(&(at, *agent));
        }
    }

    fn since(&self, now: Mono) -> impl Iterator<Item = AgentId> {
        self.by_time.iter().rev().take_while(move |(at, _)| now.since_ms(*at) < ABOUT_MS).map(|(_, id)| *id)
    }
}

impl About {
    /// An agent has claimed or handed in.
    pub fn hear(&mut self, agent: &Agent, now: Mono) {
        let (in_one, in_other) = match agent {
            agent if agent.accepted > 0 => (Some(&mut self.proven), &mut self.newcomers),
            agent if agent.is_newcomer() => (Some(&mut self.newcomers), &mut self.proven),
            _ => {
                self.proven.forget(&agent.id);
                (None, &mut self.newcomers)
            }
        };
        in_other.forget(&agent.id);
        in_one.into_iter().for_each(|lately| lately.hear(agent.id, now));
    }

    /// Those with something accepted, the one that was heard of last first.
    pub fn proven(&self, now: Mono) -> impl Iterator<Item = AgentId> {
        self.proven.since(now)
    }

    /// Newcomers likewise.
    pub fn newcomers(&self, now: Mono) -> impl Iterator<Item = AgentId> {
        self.newcomers.since(now)
    }
}

impl Window {
    fn names(&self) -> impl Iterator<Item = &AgentId> {
        let (best, one) = match self {
            Window::Best(best) => (Some(best), None),
            Window::Newcomers(one) => (None, Some(one)),
        };
        best.into_iter().flatten().chain(one)
    }
}

impl Windows {
    /// Whether an offer is kept for others for now.
    pub fn is_closed_to(&self, id: &StepId, agent: &Agent) -> bool {
        match self.open.get(id) {
            None => false,
            Some(Window::Best(best)) => !best.contains(&agent.id),
            Some(Window::Newcomers(_)) => !agent.is_newcomer(),
        }
    }

    /// Whether no further offer is kept for some.
    pub fn is_full(&self) -> bool {
        self.open.len() >= WINDOWS_MAX
    }

    /// Whether an offer is kept for this agent already.
    pub fn names(&self, agent: &AgentId) -> bool {
        self.named.contains(agent)
    }

    /// Keeps an offer for some.
    pub fn open(&mut self, id: StepId, window: Window) {
        self.named.extend(window.names());
        self.open.insert(id, window);
    }

    /// An offer is open to all, or gone.
    pub fn close(&mut self, id: &StepId) {
        let Some(window) = self.open.remove(id) else { return };
        for agent in window.names() {
            self.named.remove(agent);
        }
    }
}

impl Federation {
    /// For how long an offer that is made now may be kept for some.
    pub(crate) fn window_ms(&self) -> u32 {
        match self.live.has_neighbours {
            true => self.options.window_meshed_ms,
            false => self.options.window_ms,
        }
    }

    /// An agent was heard of: for a while offers may be kept for it.
    pub(crate) fn is_about(&mut self, turn: &Turn, agent: &AgentId) {
        if self.options.window_ms > 0 || self.live.has_neighbours {
            self.live.about.hear(&self.state.agents[agent], turn.now.mono);
        }
    }

    /// Keeps an offer that nobody waited for back for a moment: one of the tenth for newcomers, where one is about, else one for
    /// the best candidates, where there are more than may be counted as such without a record. Nobody is kept two offers, so
    /// where there is more work than hands every hand finds some.
    pub(crate) fn open_window(&mut self, turn: &Turn, id: StepId) {
        let window_ms = self.window_ms();
        if window_ms == 0 || self.live.windows.is_full() {
            return;
        }
        let (_, step) = self.state.step(&id).expect("just offered");
        let kept = matching::kept_for_newcomers(&id, step.spec.task.complexity);
        let newcomer = if kept { self.newcomer_about(id, &turn.now) } else { None };
        let window = newcomer.map(Window::Newcomers).or_else(|| self.best_about(id, &turn.now));
        let Some(window) = window else { return };
        self.live.windows.open(id, window);
        self.live.timers.set(Timer::Window(id), turn.now.mono.plus_ms(u64::from(window_ms)));
    }

    /// A newcomer that is about, qualifies, and has nothing kept for it.
    fn newcomer_about(&self, id: StepId, now: &Now) -> Option<AgentId> {
        self.candidates(id, self.live.about.newcomers(now.mono), now.wall)
            .map(|candidate| candidate.agent)
            .next()
    }

    /// The best of those that are about, have had something accepted, qualify, and have nothing kept for them. Where there are
    /// fewer than are to be asked, a newcomer from anywhere is among the best, so that the offer is open to all.
    fn best_about(&self, id: StepId, now: &Now) -> Option<Window> {
        let proven = self.live.about.proven(now.mono);
        let mut candidates: Vec<Candidate> = self.candidates(id, proven, now.wall).collect();
        let top = usize::from(self.options.top);
        if candidates.len() < top {
            return None;
        }
        candidates.sort_by_key(|candidate| matching::rank(candidate, false));
        Some(Window::Best(candidates.iter().take(top).map(|candidate| candidate.agent).collect()))
    }

    /// Those of some agents that may take an offer and have nothing kept for them.
    fn candidates<'a>(
        &'a self,
        id: StepId,
        about: impl Iterator<Item = AgentId> + 'a,
        wall: Wall,
    ) -> impl Iterator<Item = Candidate> + 'a {
        let (run, step) = self.state.step(&id).expect("just offered");
        about.filter(|id| !self.live.windows.names(id)).filter_map(move |id| {
            // It may have been forgotten since.
            let agent = self.state.agents.get(&id)?;
            let assessed = self.assess(agent, wall);
            self.qualifies((agent, assessed.level, self.free_leases(agent)), (run, step), None).ok()?;
            Some(candidate_of(agent, &assessed, 0))
        })
    }

    /// The moment is over: the offer is open to all, and whoever waits for it gets it.
    pub(crate) fn window_ends(&mut self, turn: &mut Turn, id: StepId) {
        self.live.windows.close(&id);
        if self.state.step(&id).is_some_and(|(_, step)| step.state == StepState::Offered) {
            self.grant_to_waiter(turn, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::time::Wall;

    fn agent(n: u16, accepted: u64, rejected: u64) -> Agent {
        let mut seed = [1; 32];
        seed[..2].copy_from_slice(&n.to_le_bytes());
        let id = AgentId(SecretKey::from_seed(&seed).public());
        Agent { accepted, rejected, ..Agent::new(id, Wall(1)) }
    }

    #[test]
    fn who_is_about_is_known_for_a_minute_and_newcomers_displace_nobody_else() {
        let mut about = About::default();
        let old = agent(9_999, 1, 0);
        about.hear(&old, Mono(1_000));
        for n in 0..=ABOUT_MAX as u16 {
            about.hear(&agent(n, 0, 0), Mono(2_000));
            about.hear(&agent(n, 0, 0), Mono(2_001));
        }
        assert_eq!(about.newcomers(Mono(2_001)).count(), ABOUT_MAX);
        assert_eq!(about.proven(Mono(1_000 + ABOUT_MS - 1)).collect::<Vec<_>>(), [old.id]);
        assert_eq!(about.proven(Mono(1_000 + ABOUT_MS)).count(), 0);
        let (mut about, mut one) = (About::default(), agent(1, 0, 0));
        let count = |about: &About| (about.proven(Mono(5)).count(), about.newcomers(Mono(5)).count());
        about.hear(&one, Mono(5));
        assert_eq!(count(&about), (0, 1));
        one.accepted = 1;
        about.hear(&one, Mono(5));
        assert_eq!(count(&about), (1, 0), "in one of them at a time");
        about.hear(&agent(1, 0, 1), Mono(5));
        assert_eq!(count(&about), (0, 0), "who has failed alone is neither");
    }

    #[test]
    fn a_window_that_closes_leaves_nothing_behind() {
        let (best, other) = (agent(1, 1, 0), agent(2, 0, 0));
        let step = |n| RunId::new(Wall(n), [0; 9]).step(0);
        let mut windows = Windows::default();
        windows.open(step(1), Window::Best(BTreeSet::from([best.id])));
        windows.open(step(2), Window::Newcomers(other.id));
        assert!(!windows.is_closed_to(&step(1), &best) && windows.is_closed_to(&step(1), &other));
        assert!(windows.is_closed_to(&step(2), &best) && !windows.is_closed_to(&step(2), &agent(3, 0, 0)));
        assert!(windows.names(&best.id) && windows.names(&other.id));
        (1..=2).for_each(|n| windows.close(&step(n)));
        assert!(windows.open.is_empty() && windows.named.is_empty());
        assert!(!windows.is_closed_to(&step(1), &other));
    }
}
