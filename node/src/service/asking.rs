//! A claim of the next task that goes to many homes: one after the other, but none waits long for the one before. What a home
//! gives after another was first goes back.

use crate::neighbours::{Neighbours, VisitError};
use artel_federation::visit::message::{Act, Told};
use artel_protocol::key::{AgentId, NodeId};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// How long a home has to itself before the next one is asked, too. Shorter, and two homes grant where one is enough: the
/// second lease is given back, which bars the agent from that task. Longer, and a few homes that say nothing hold a claim up.
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// How many homes may be asked at once for one claim; a further one is asked when one of them has answered, or not in time.
const ASKED_MAX: usize = 16;

/// What a home said to a claim.
pub(super) type Said = (NodeId, Result<Told, VisitError>);

/// The homes that an agent's claim is with.
pub(super) struct Asking {
    neighbours: Neighbours,
    me: AgentId,
    asked: JoinSet<Said>,
}

impl Asking {
    pub fn new(neighbours: &Neighbours, me: AgentId) -> Self {
        Asking { neighbours: neighbours.clone(), me, asked: JoinSet::new() }
    }

    /// Whether no home is left that may answer.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// Whether as many are asked as may be.
    pub fn is_full(&self) -> bool {
        self.asked.len() >= ASKED_MAX
    }

    /// Asks a home; says what came first within the time that it has to itself, of whichever home.
    pub async fn ask(&mut self, home: NodeId) -> Option<Said> {
        let (neighbours, me) = (self.neighbours.clone(), self.me);
        self.asked.spawn(async move {
            let told = neighbours.visit(&home, me, Act::ClaimNext { wait_ms: 0 }, None).await;
            (home, told)
        });
        tokio::time::timeout(NEXT_AFTER, self.next()).await.ok()
    }

    /// What the next home says; where none is asked it waits for ever.
    pub async fn next(&mut self) -> Said {
        loop {
            match self.asked.join_next().await {
                Some(Ok(said)) => return said,
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
        // Where the node ends, its leases lapse.
        let Some(runtime) = Handle::try_current().ok().filter(|_| !asked.is_empty()) else { return };
        runtime.spawn(async move {
            while let Some(said) = asked.join_next().await {
                if let Ok((home, Ok(Told::Leased(lease)))) = said {
                    neighbours.give_back(home, me, (lease.step, lease.epoch)).await;
                }
            }
        });
    }
}
