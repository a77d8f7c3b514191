//! A claim of the next task that goes to many homes: one after the other, but none waits long for the one before, and where none
//! has anything it waits at a few. What a home gives after another was first goes back.

use crate::neighbours::{Neighbours, VisitError};
use artel_federation::visit::message::{Act, Told};
use artel_protocol::key::{AgentId, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// How long a home has to itself before the next one is asked, too. Shorter, and two homes grant where one is enough: the
/// second lease is given back, which bars the agent from that task. Longer, and a few homes that say nothing hold a claim up.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// How many homes may be asked at once for one claim; a further one is asked when one of them has answered, or not in time.
const ASKED_MAX: usize = 16;

/// At how many homes a claim waits at once. One more finds offers a gossip's way sooner, and is one more home that may grant in
/// the moment in which another does.
const WAITS_MAX: usize = 2;

/// How long a claim waits at a home before it is another's turn, and how soon it waits at the same one again. Shorter, and many
/// agents that wait ask their homes for nothing all the time; longer, and with many homes some are not waited at.
const WAIT: Duration = Duration::from_secs(8);

/// How much sooner than the agent's own wait a wait at a home ends, so that its answer is here in time. Less than twice that is
/// not waited at homes.
const SOONER: Duration = Duration::from_millis(100);

/// What a home said to a claim.
pub(super) type Said = (NodeId, Result<Told, VisitError>);

/// The homes that an agent's claim is with.
pub(super) struct Asking {
    neighbours: Neighbours,
    me: AgentId,
    asked: JoinSet<Said>,
    /// Those that have not answered yet, and whether it waits there.
    with: BTreeMap<NodeId, bool>,
    /// When it began to wait at each home last.
    began: BTreeMap<NodeId, Instant>,
}

impl Asking {
    pub fn new(neighbours: &Neighbours, me: AgentId) -> Self {
        let neighbours = neighbours.clone();
        Asking { neighbours, me, asked: JoinSet::new(), with: BTreeMap::new(), began: BTreeMap::new() }
    }

    /// Whether no home is left that may answer.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether as many are asked as may be.
    pub fn is_full(&self) -> bool {
        self.asked.len() >= ASKED_MAX
    }

    /// Those that have not answered yet.
    pub fn homes(&self) -> BTreeSet<NodeId> {
        self.with.keys().copied().collect()
    }

    /// Whether a home has not answered yet. Where the claim waits there, that home decides about what it offers meanwhile.
    pub fn is_with(&self, home: &NodeId) -> bool {
        self.with.contains_key(home)
    }

    /// For how long it may wait at one home more, where the agent waits until then.
    pub fn may_wait(&self, until: Instant) -> Option<Duration> {
        let left = until.saturating_duration_since(Instant::now());
        let waits = self.with.values().filter(|waits| **waits).count();
        (left >= 2 * SOONER && waits < WAITS_MAX && !self.is_full()).then(|| WAIT.min(left - SOONER))
    }

    /// The home at which it waits next, of these, the best first: one where it has not waited yet, or not for the longest time.
    pub fn next_to_wait_at(&self, homes: &[NodeId]) -> Option<NodeId> {
        let now = Instant::now();
        let rested =
            |home: &&NodeId| self.began.get(home).is_none_or(|began| now.duration_since(*began) >= WAIT);
        let free = homes.iter().filter(|home| !self.is_with(home)).filter(rested);
        // Of equals the first.
        free.min_by_key(|home| self.began.get(home)).copied()
    }

    /// When it may wait at the first of these again.
    pub fn next_turn(&self, homes: &[NodeId]) -> Option<Instant> {
        let began = homes.iter().filter(|home| !self.is_with(home)).filter_map(|home| self.began.get(home));
        began.min().map(|began| *began + WAIT)
    }

    /// Has the claim wait at a home; says until when that home has it to itself.
    pub fn wait_at(&mut self, home: NodeId, wait: Duration) -> Instant {
        let now = Instant::now();
        self.began.insert(home, now);
        self.send(home, wait);
        now + NEXT_AFTER
    }

    /// Asks a home; says what came first within the time that it has to itself, of whichever home.
    pub async fn ask(&mut self, home: NodeId) -> Option<Said> {
        self.send(home, Duration::ZERO);
        tokio::time::timeout(NEXT_AFTER, self.next()).await.ok()
    }

    fn send(&mut self, home: NodeId, wait: Duration) {
        let (neighbours, me) = (self.neighbours.clone(), self.me);
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.with.insert(home, wait_ms > 0);
        self.asked.spawn(async move {
            let told = neighbours.visit(&home, me, Act::ClaimNext { wait_ms }, None).await;
            (home, told)
        });
    }

    /// What the next home says; where none is asked it waits for ever.
    pub async fn next(&mut self) -> Said {
        loop {
            match self.asked.join_next().await {
                Some(Ok(said)) => {
                    self.with.remove(&said.0);
                    return said;
                }
                // It was lost with its task: there is no answer.
                Some(Err(error)) => tracing::error!(%error, "a claim at a home failed"),
                None => std::future::pending().await,
            }
        }
    }

    /// Gives back what came too late.
    pub fn give_back(&self, (home, told): Said) {
        let (neighbours, me) = (self.neighbours.clone(), self.me);
        if let Ok(Told::Leased(lease)) = told {
            tokio::spawn(async move { neighbours.give_back(home, me, (lease.step, lease.epoch)).await });
        }
    }
}

impl Drop for Asking {
    /// Whoever claimed has something else, or waits no longer.
    fn drop(&mut self) {
        let (mut asked, neighbours, me) = (std::mem::take(&mut self.asked), self.neighbours.clone(), self.me);
        let with = std::mem::take(&mut self.with);
        // Where the node ends, its leases lapse.
        let Some(runtime) = Handle::try_current().ok().filter(|_| !asked.is_empty()) else { return };
        for home in with.into_iter().filter_map(|(home, waits)| waits.then_some(home)) {
            let neighbours = neighbours.clone();
            runtime.spawn(async move { neighbours.enough(&home, me).await });
        }
        runtime.spawn(async move {
            while let Some(said) = asked.join_next().await {
                if let Ok((home, Ok(Told::Leased(lease)))) = said {
                    neighbours.give_back(home, me, (lease.step, lease.epoch)).await;
                }
            }
        });
    }
}
