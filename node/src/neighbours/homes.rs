//! What homes' records say of them as homes: whom they answer, and whether their logs break the rules. Heard as records are kept;
//! after a restart the newest are read again. `artel audit verify` judges all that is held.

use super::shared::Shared;
use artel_federation::fact::Fact;
use artel_federation::homes::{Homes as Rules, Standing};
use artel_federation::{Entry, conduct::Illegal};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everybody's standing as a home.
#[derive(Default)]
pub(super) struct Homes(Mutex<Rules>);

impl Homes {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a frame of another node's records; says whether its author's log breaks the rules, by this or by what was heard before.
    pub fn hear(&self, records: &Records) -> bool {
        let (origin, mut rules) = (records.origin(), self.rules());
        for record in records.records() {
            // What a later version wrote is passed over, as everywhere.
            let fact = Entry::decode(&record.body).ok().map(|entry| entry.fact);
            let place = (record.public_seq, record.index);
            for Illegal { index, step, breach } in rules.hear(&origin, place, fact.as_ref()) {
                tracing::warn!(%origin, index, %step, %breach, "a home's own log breaks the rules; nothing that it offers is claimed any more");
            }
        }
        rules.standing(&origin.node()).breaches > 0
    }

    /// Whether so many records of a home wait for those before them that these should be fetched.
    pub fn is_behind(&self, origin: &Origin) -> bool {
        self.rules().is_behind(origin)
    }

    /// Whether entries of a home's log break the rules, by what was heard of it.
    pub fn breaks_rules(&self, home: &NodeId) -> bool {
        self.rules().standing(home).breaches > 0
    }

    /// This node itself has waited in vain.
    pub fn hear_own(&self, me: NodeId, fact: &Fact) {
        if let Fact::Unanswered(f) = fact
            && f.submitted.is_some()
        {
            self.rules().silent(f.lease.home, me, (f.lease.step, f.lease.epoch));
        }
    }

    /// Everybody's, by key.
    pub fn all(&self) -> Vec<(NodeId, Standing)> {
        self.rules().all().collect()
    }
}

/// Begins with the silences that this node has written down and no verdict has ended.
pub(super) async fn restore_own(shared: &Shared) {
    let silent = shared.handle.look(|view| {
        let silent = view
            .away()
            .all()
            .filter_map(|engagement| Some((engagement.lease, engagement.result.as_ref()?)))
            .filter(|(_, handed)| handed.unanswered && handed.acknowledged.is_some());
        silent.map(|(lease, _)| lease).collect::<Vec<_>>()
    });
    // Where the driver has ended, so has everything else.
    let (silent, me) = (silent.await.unwrap_or_default(), shared.me.node());
    let mut rules = shared.homes.rules();
    silent.into_iter().for_each(|lease| rules.silent(lease.home, me, (lease.step, lease.epoch)));
}
