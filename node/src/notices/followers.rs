//! Who is there to be told, and who wakes whom: one task reads each synced entry once and wakes only those whom it concerns.
//! Without it every socket would wake for every commit.

use super::expiring::Warned;
use super::what::{is_of_credential, is_own, is_passing};
use crate::events::{Events, Recent, agent_of};
use artel_federation::Fact;
use artel_federation::view::LiveLease;
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use artel_protocol::time::Mono;
use artel_web::types::notice::NoticeKind;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// How long the task rests after each round, so that a busy journal costs it two hundred rounds a second and not one for each
/// commit. A notice comes that much later.
const REST: Duration = Duration::from_millis(5);

/// How many entries a round looks at; the rest comes with the next one.
const ROUND_ENTRIES: usize = 4_096;

/// Those who are there.
#[derive(Default)]
pub struct Followers {
    by_agent: Mutex<HashMap<AgentId, Vec<Arc<Follower>>>>,
    somebody: Notify,
}

/// One who is there. It leaves when it is dropped by whoever holds its [`Place`].
pub struct Follower {
    /// Who it is.
    pub agent: AgentId,
    state: Mutex<State>,
    /// Something may be there for it.
    pub woken: Notify,
    /// Its credential may have changed.
    changed: AtomicBool,
}

#[derive(Default)]
struct State {
    wanted: Option<Wanted>,
    /// How many wishes there were.
    wishes: u64,
    /// As they were at the last telling of this wish; before the first one every offer may concern it.
    skills: Option<Vec<Skill>>,
    /// Whether an entry came that concerns it and that it has not looked for.
    is_due: bool,
    /// Whether it is looking.
    is_looking: bool,
    /// What it was told of leases that are about to run out.
    warned: Warned,
}

/// What one wants to be told.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The first entry that was not told.
    pub from: u64,
    /// Only these kinds; all where there are none.
    pub kinds: Vec<NoticeKind>,
    /// The first entry of a stretch that is being told page by page, and of it only what is its own.
    pub behind: Option<u64>,
    /// How many entries at a time.
    pub limit: usize,
    /// Which wish of its follower it is: what is told by an older one says nothing of a newer one.
    pub wish: u64,
}

impl Wanted {
    /// Whether a kind is wanted.
    pub fn takes(&self, kind: NoticeKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}

/// A follower's place among those who are there, until it is dropped.
pub struct Place {
    /// Whose it is.
    pub follower: Arc<Follower>,
    among: Weak<Followers>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(among) = self.among.upgrade() else { return };
        let mut by_agent = among.by_agent();
        let Some(of_agent) = by_agent.get_mut(&self.follower.agent) else { return };
        of_agent.retain(|one| !Arc::ptr_eq(one, &self.follower));
        if of_agent.is_empty() {
            by_agent.remove(&self.follower.agent);
        }
    }
}

impl Follower {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it told of these from now on.
    pub fn begin(&self, wanted: Wanted) {
        let mut state = self.state();
        state.wishes += 1;
        let wish = state.wishes;
        (state.wanted, state.is_due) = (Some(Wanted { wish, ..wanted }), true);
        // While nothing was wanted, nobody looked what had changed.
        (state.warned, state.skills) = (Warned::default(), None);
        drop(state);
        self.woken.notify_one();
    }

    /// Nothing any more.
    pub fn end(&self) {
        let mut state = self.state();
        (state.wanted, state.warned) = (None, Warned::default());
    }

    /// Its skills as they were at the last telling; nothing where it was told nothing yet, or its leases are to be looked at.
    pub fn skills(&self, now: Mono) -> Option<Vec<Skill>> {
        let state = self.state();
        state.skills.clone().filter(|_| state.warned.again().is_none_or(|again| now < again))
    }

    /// Takes in the leases that it holds: those that it is to be told of, where it still wants what it wanted then.
    pub fn leases(&self, was: &Wanted, leases: &[LiveLease], now: Mono) -> Vec<LiveLease> {
        let mut state = self.state();
        match &state.wanted {
            Some(wanted) if wanted.wish == was.wish => state.warned.look(leases, now),
            _ => Vec::new(),
        }
    }

    /// When its leases are to be looked at again. At that moment something is due.
    pub fn leases_again(&self, now: Mono) -> Option<Mono> {
        let mut state = self.state();
        let again = state.warned.again()?;
        state.is_due |= again <= now;
        Some(again)
    }

    /// What it wants, where there may be something.
    pub fn due(&self) -> Option<Wanted> {
        let mut state = self.state();
        if !state.is_due {
            return None;
        }
        state.is_due = false;
        state.is_looking = state.wanted.is_some();
        state.wanted.clone()
    }

    /// It is told of everything before the index `next`, since `behind` of its own only, and has these skills; `is_all` says that
    /// nothing was left out. Answers whether it still wants what it wanted then: else it is told nothing of it.
    pub fn told(
        &self,
        was: &Wanted,
        (next, behind): (u64, Option<u64>),
        skills: Vec<Skill>,
        is_all: bool,
    ) -> bool {
        let mut state = self.state();
        state.is_looking = false;
        let Some(wanted) = state.wanted.as_mut().filter(|wanted| wanted.wish == was.wish) else {
            return false;
        };
        (wanted.from, wanted.behind) = (next.max(wanted.from), behind);
        // An offer may have come meanwhile that it did not have the skills for before.
        let is_abler = state.skills.as_ref().is_some_and(|before| *before != skills);
        state.is_due |= !is_all || is_abler;
        state.skills = Some(skills);
        true
    }

    /// Looking for what is due has failed: it is still due, and what its credential is worth is still to be asked.
    pub fn failed(&self) {
        let mut state = self.state();
        (state.is_looking, state.is_due) = (false, true);
        drop(state);
        self.changed.store(true, Ordering::Release);
    }

    /// Every entry before this index was looked at, and none concerned it that it does not know to be due.
    fn passed(&self, next: u64) {
        let mut state = self.state();
        if !state.is_due
            && !state.is_looking
            && let Some(wanted) = &mut state.wanted
        {
            wanted.from = next.max(wanted.from);
        }
    }

    /// Whether its credential may have changed since it was asked last.
    pub fn takes_change(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// Something may be there for it.
    pub fn wake(&self) {
        self.state().is_due = true;
        self.woken.notify_one();
    }

    /// Whether an entry that concerns everybody concerns it.
    fn wants(&self, fact: &Fact) -> bool {
        let state = self.state();
        let Some(wanted) = &state.wanted else { return false };
        match fact {
            Fact::Offered(offer) => {
                let meets = |skills: &Vec<Skill>| {
                    offer.skills.iter().all(|asked| skills.iter().any(|skill| skill.meets(asked)))
                };
                wanted.takes(NoticeKind::TaskAvailable) && state.skills.as_ref().is_none_or(meets)
            }
            _ => wanted.takes(NoticeKind::System),
        }
    }
}

impl Followers {
    fn by_agent(&self) -> MutexGuard<'_, HashMap<AgentId, Vec<Arc<Follower>>>> {
        self.by_agent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in.
    pub fn enter(self: &Arc<Self>, agent: AgentId) -> Place {
        let follower = Arc::new(Follower {
            agent,
            state: Mutex::default(),
            woken: Notify::new(),
            // What happened before it was there is found out by a look.
            changed: AtomicBool::new(true),
        });
        self.by_agent().entry(agent).or_default().push(Arc::clone(&follower));
        self.somebody.notify_one();
        Place { follower, among: Arc::downgrade(self) }
    }

    /// Wakes those whom entries concern, as they are synced; for ever.
    pub async fn run(self: Arc<Self>, events: Arc<Events>) {
        let mut synced = events.watch();
        let mut next = *synced.borrow_and_update();
        loop {
            if self.by_agent().is_empty() {
                self.somebody.notified().await;
                // Whoever came looks for itself at what was before.
                next = next.max(*synced.borrow_and_update());
                self.all();
            }
            if synced.wait_for(|size| *size > next).await.is_err() {
                return;
            }
            next = self.round(&events, next);
            tokio::time::sleep(REST).await;
        }
    }

    /// One look at what was synced from an index on; where the next one begins.
    fn round(&self, events: &Events, from: u64) -> u64 {
        let (entries, next) = match events.from(from, ROUND_ENTRIES, |_| true) {
            Recent::Here(entries, next) => (entries, next),
            // More came than is kept in memory: whoever is there looks for itself.
            Recent::Older(first) => {
                self.all();
                return first;
            }
        };
        let by_agent = self.by_agent();
        for kept in &entries {
            let fact = &kept.entry().fact;
            if is_passing(fact) {
                let concerned = by_agent.values().flatten().filter(|follower| follower.wants(fact));
                concerned.for_each(|follower| follower.wake());
            } else if let Some(agent) = agent_of(fact) {
                let changes = is_of_credential(fact);
                // With other skills it has to look what else there is.
                let concerns = changes || matches!(fact, Fact::Configured(_)) || is_own(fact, &agent);
                for follower in by_agent.get(&agent).into_iter().flatten().filter(|_| concerns) {
                    if changes {
                        follower.changed.store(true, Ordering::Release);
                    }
                    follower.wake();
                }
            }
        }
        by_agent.values().flatten().for_each(|follower| follower.passed(next));
        next
    }

    /// Wakes everybody to look for itself.
    fn all(&self) {
        for follower in self.by_agent().values().flatten() {
            follower.changed.store(true, Ordering::Release);
            follower.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn agent(seed: u8) -> AgentId {
        AgentId(SecretKey::from_seed(&[seed; 32]).public())
    }

    #[test]
    fn who_leaves_is_not_remembered() {
        let followers = Arc::new(Followers::default());
        let places = [followers.enter(agent(1)), followers.enter(agent(1)), followers.enter(agent(2))];
        assert_eq!(followers.by_agent()[&agent(1)].len(), 2);
        drop(places);
        assert!(followers.by_agent().is_empty());
    }

    #[test]
    fn what_came_while_it_was_told_is_looked_for_again() {
        let follower = Followers::enter(&Arc::default(), agent(1)).follower.clone();
        assert!(follower.due().is_none());
        follower.begin(Wanted { from: 5, kinds: Vec::new(), limit: 50, behind: None, wish: 0 });
        let wanted = follower.due().expect("begun");
        follower.wake();
        follower.told(&wanted, (9, None), Vec::new(), true);
        assert_eq!(follower.due().expect("woken meanwhile").from, 9);
        assert!(follower.due().is_none());
        let wanted = Wanted { from: 9, kinds: Vec::new(), limit: 50, behind: None, wish: 0 };
        follower.begin(Wanted { from: 2, ..wanted.clone() });
        assert!(!follower.told(&wanted, (30, None), Vec::new(), true), "nobody wants it any more");
        assert_eq!(
            follower.due().expect("begun anew").from,
            2,
            "an older telling does not move a newer wish"
        );
        // Nor does it where both begin at the same entry.
        follower.begin(Wanted { from: 2, ..wanted.clone() });
        let older = follower.due().expect("begun");
        follower.begin(Wanted { from: 2, ..wanted });
        assert!(!follower.told(&older, (30, None), Vec::new(), true));
        let newer = follower.due().expect("begun anew");
        assert_eq!(newer.from, 2);
        assert!(follower.told(&newer, (30, None), Vec::new(), true));
        let ended = Wanted { from: 30, ..newer };
        follower.end();
        assert!(!follower.told(&ended, (31, None), Vec::new(), true));
    }

    #[test]
    fn what_skills_it_had_before_a_wish_says_nothing_of_now() {
        let follower = Followers::enter(&Arc::default(), agent(1)).follower.clone();
        let now = Mono(0);
        let wish = || Wanted { from: 0, kinds: Vec::new(), limit: 50, behind: None, wish: 0 };
        follower.begin(wish());
        let wanted = follower.due().expect("begun");
        follower.told(&wanted, (9, None), Vec::new(), true);
        assert_eq!(follower.skills(now), Some(Vec::new()));
        follower.end();
        // It is configured, and looks for nothing.
        follower.wake();
        assert!(follower.due().is_none());
        follower.begin(wish());
        assert_eq!(follower.skills(now), None);
        // Nor does what an older wish found.
        follower.told(&wanted, (9, None), Vec::new(), true);
        assert_eq!(follower.skills(now), None);
    }

    #[test]
    fn what_does_not_concern_one_is_behind_it_unless_it_is_about_to_look() {
        let follower = Followers::enter(&Arc::default(), agent(1)).follower.clone();
        follower.begin(Wanted { from: 5, kinds: Vec::new(), limit: 50, behind: None, wish: 0 });
        follower.passed(90);
        let wanted = follower.due().expect("begun");
        assert_eq!(wanted.from, 5, "it has not looked yet");
        follower.passed(90);
        follower.told(&wanted, (9, None), Vec::new(), true);
        follower.passed(90);
        follower.wake();
        follower.passed(91);
        let wanted = follower.due().expect("woken");
        assert_eq!(wanted.from, 90);
        follower.failed();
        assert_eq!(follower.due().expect("still due").from, 90);
    }
}
