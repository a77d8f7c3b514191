//! Token buckets by caller, in a bounded map. A bucket is one number: the moment at which it would be full again
//! (the generic cell rate algorithm, ITU-T I.371), so a bucket that is full need not be kept.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many requests, and how many of them at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests a second in the long run; above zero.
    pub per_second: f64,
    /// How many may come at once after a pause; at least 1.
    pub burst: u32,
}

/// The most callers that one limit tells apart, each about 60 bytes. Callers beyond it share one bucket until others
/// have been quiet, so that a flood of addresses costs its senders and not the memory.
pub const CALLERS_MAX: usize = 65_536;

/// How often a full shard looks for buckets that need not be kept, in nanoseconds (a second): the look costs as much as
/// it has buckets, and a flood must not buy one with every request.
const SWEEP_NS: u64 = 1_000_000_000;

/// So many locks, so that callers seldom wait for each other.
const SHARDS: usize = 16;

/// The buckets of one limit.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    /// Nanoseconds that one request costs.
    cost: u64,
    /// Nanoseconds that a bucket may be ahead.
    ahead_max: u64,
    begun: Instant,
    hasher: RandomState,
    shards: [Mutex<Shard<K>>; SHARDS],
}

#[derive(Debug)]
struct Shard<K> {
    /// By caller, the nanosecond at which its bucket is full again.
    full_at: HashMap<K, u64>,
    /// The bucket of those for whom there was no room.
    overflow: u64,
    /// When the next look for quiet callers is due.
    sweep_at: u64,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub fn new(rate: Rate) -> Self {
        let cost = (1e9 / rate.per_second.max(1e-6)) as u64;
        let shard = |_| Mutex::new(Shard { full_at: HashMap::new(), overflow: 0, sweep_at: 0 });
        Buckets {
            cost: cost.max(1),
            ahead_max: cost.saturating_mul(u64::from(rate.burst.max(1))),
            begun: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(shard),
        }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub fn take(&self, caller: &K) -> Result<(), Duration> {
        self.take_at(caller, self.begun.elapsed().as_nanos() as u64)
    }

    /// Says whether there is no token, and takes none.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub fn look(&self, caller: &K) -> Result<(), Duration> {
        let now = self.begun.elapsed().as_nanos() as u64;
        let shard = self.shard(caller);
        let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = shard.full_at.get(caller).copied().unwrap_or(0);
        self.next(full_at, now).map(|_| ())
    }

    fn take_at(&self, caller: &K, now: u64) -> Result<(), Duration> {
        let shard = self.shard(caller);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let room = CALLERS_MAX / SHARDS;
        if shard.full_at.len() >= room && !shard.full_at.contains_key(caller) {
            if now >= shard.sweep_at {
                shard.sweep_at = now + SWEEP_NS;
                shard.full_at.retain(|_, full_at| *full_at > now);
            }
            if shard.full_at.len() >= room {
                shard.overflow = self.next(shard.overflow, now)?;
                return Ok(());
            }
        }
        match shard.full_at.get_mut(caller) {
            Some(full_at) => *full_at = self.next(*full_at, now)?,
            None => {
                let full_at = self.next(0, now)?;
                shard.full_at.insert(caller.clone(), full_at);
            }
        }
        Ok(())
    }

    fn shard(&self, caller: &K) -> &Mutex<Shard<K>> {
        &self.shards[self.hasher.hash_one(caller) as usize % SHARDS]
    }

    fn next(&self, full_at: u64, now: u64) -> Result<u64, Duration> {
        let next = full_at.max(now) + self.cost;
        match (next - now).checked_sub(self.ahead_max) {
            Some(over) if over > 0 => Err(Duration::from_nanos(over)),
            _ => Ok(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn buckets() -> Buckets<u32> {
        Buckets::new(Rate { per_second: 10.0, burst: 3 })
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let b = buckets();
        for _ in 0..3 {
            assert_eq!(b.take_at(&1, SECOND), Ok(()));
        }
        assert_eq!(b.take_at(&1, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(b.take_at(&2, SECOND), Ok(()), "another caller has its own bucket");
        assert_eq!(b.take_at(&1, SECOND + SECOND / 10), Ok(()));
        assert!(b.take_at(&1, SECOND + SECOND / 10).is_err());
        for _ in 0..3 {
            assert_eq!(b.take_at(&1, 9 * SECOND), Ok(()), "a pause fills the bucket, no more");
        }
        assert!(b.take_at(&1, 9 * SECOND).is_err());
    }

    #[test]
    fn callers_beyond_the_bound_share_a_bucket_and_quiet_ones_make_room() {
        let b = buckets();
        for caller in 0..4 * CALLERS_MAX as u32 {
            let _ = b.take_at(&caller, SECOND);
        }
        let kept = |b: &Buckets<u32>| {
            b.shards.iter().map(|s| s.lock().expect("unpoisoned").full_at.len()).sum::<usize>()
        };
        assert_eq!(kept(&b), CALLERS_MAX);
        let strangers = 5 * CALLERS_MAX as u32..5 * CALLERS_MAX as u32 + 1_000;
        let served = strangers.filter(|caller| b.take_at(caller, SECOND).is_ok()).count();
        assert_eq!(served, 0, "the shared buckets are empty by then");
        assert_eq!(b.take_at(&u32::MAX, 9 * SECOND), Ok(()));
        assert!(kept(&b) < CALLERS_MAX);
    }
}
