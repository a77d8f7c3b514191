//! What is kept of an offer beside its entry, so that whoever is told of it needs no look at the state: its title, whom it is not
//! for, and whether it still stands.

use artel_federation::fact::{Offered, Poster};
use artel_federation::run::Run;
use artel_protocol::key::AgentId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An offer.
pub struct Offer {
    /// The task's title.
    pub title: String,
    /// Who posted it.
    poster: Poster,
    /// Whether that one may take it, too.
    poster_may_claim: bool,
    /// Whether it is over.
    is_over: AtomicBool,
}

impl Offer {
    /// The offer of a run's step.
    pub(super) fn of(f: &Offered, run: &Run) -> Option<Arc<Self>> {
        let task = &run.steps.get(f.step.index())?.spec.task;
        Some(Arc::new(Offer {
            title: task.title.clone(),
            poster: run.poster,
            poster_may_claim: task.poster_may_claim,
            is_over: AtomicBool::new(false),
        }))
    }

    /// Somebody has taken it, or its step has ended.
    pub(super) fn ends(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether it stands, and this agent may take what it posted itself.
    pub fn is_open_to(&self, agent: &AgentId) -> bool {
        let may = self.poster_may_claim || self.poster != Poster::Agent(*agent);
        may && !self.is_over.load(Ordering::Acquire)
    }
}
