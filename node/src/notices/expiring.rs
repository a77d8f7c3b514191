//! Leases that are about to run out. When that is follows from the clock and from renewals, which are no entries: so it is told
//! while it is true, once for each term to whoever is there, and kept nowhere.

use artel_federation::view::LiveLease;
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::NodeId;
use artel_protocol::time::Mono;
use std::collections::BTreeMap;

/// A lease is about to run out when so much of its term is left: one part in three. Later, and a renewal over a slow line comes too late;
/// sooner, and an agent that renews at half its term, as most do, is told each time.
const SHARE_LEFT: u64 = 3;

/// When a lease begins to be about to run out.
fn begins(lease: &LiveLease) -> Mono {
    Mono(lease.ends.0.saturating_sub(u64::from(lease.lease_ms) / SHARE_LEFT))
}

/// Whether a lease is about to run out.
pub fn is_expiring(lease: &LiveLease, now: Mono) -> bool {
    begins(lease) <= now && now < lease.ends
}

type Key = (Option<NodeId>, StepId, Epoch);

/// What one who is there was told of its leases.
#[derive(Debug, Default)]
pub struct Warned {
    /// Those that it was told of, with the end that it was told.
    told: BTreeMap<Key, Mono>,
    /// When its leases are to be looked at again.
    again: Option<Mono>,
}

impl Warned {
    /// Takes in the live leases of this moment: those of which it is to be told now.
    pub fn look(&mut self, leases: &[LiveLease], now: Mono) -> Vec<LiveLease> {
        let key = |lease: &LiveLease| (lease.home, lease.step, lease.epoch);
        let before = std::mem::take(&mut self.told);
        let expiring = leases.iter().filter(|lease| is_expiring(lease, now));
        self.told = expiring.clone().map(|lease| (key(lease), lease.ends)).collect();
        // A renewal wakes nobody: whether there was one is seen when the lease would have ended, and where it is held still, since its
        // home may renew it late, when a term that began after this moment would end.
        let again = |lease: &LiveLease| {
            if now < begins(lease) {
                begins(lease)
            } else if now < lease.ends {
                lease.ends
            } else {
                now.plus_ms(u64::from(lease.lease_ms))
            }
        };
        self.again = leases.iter().map(again).filter(|at| *at > now).min();
        expiring.filter(|lease| before.get(&key(lease)) != Some(&lease.ends)).copied().collect()
    }

    /// When the leases are to be looked at again; never where none is held.
    pub fn again(&self) -> Option<Mono> {
        self.again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_protocol::time::Wall;

    fn lease(n: u8, ends: u64) -> LiveLease {
        let step = RunId::new(Wall(1), [n; 9]).step(0);
        LiveLease { home: None, step, epoch: Epoch(1), lease_ms: 60, ends: Mono(ends) }
    }

    #[test]
    fn each_term_is_told_once_and_looked_at_when_it_begins_to_end_and_when_it_ends() {
        let mut warned = Warned::default();
        let (first, second) = (lease(1, 1_060), lease(2, 1_100));
        for (now, leases, told, again) in [
            (1_000, vec![first, second], vec![], Some(1_040)),
            (1_040, vec![first, second], vec![first], Some(1_060)),
            (1_050, vec![first, second], vec![], Some(1_060)),
            // It was renewed meanwhile, which nobody said.
            (1_060, vec![lease(1, 1_105), second], vec![], Some(1_080)),
            (1_085, vec![lease(1, 1_105), second], vec![lease(1, 1_105), second], Some(1_100)),
            // A home that is slow to say that it ran out has it told no more.
            (1_105, vec![lease(1, 1_105)], vec![], Some(1_165)),
            // It was renewed late all the same.
            (1_165, vec![lease(1, 1_180)], vec![lease(1, 1_180)], Some(1_180)),
            (1_180, vec![], vec![], None),
        ] {
            assert_eq!(warned.look(&leases, Mono(now)), told, "at {now}");
            assert_eq!(warned.again(), again.map(Mono), "at {now}");
        }
    }
}
