//! Bytes that may wait somewhere: so many for one peer, so many for all together, and the first of each peer's for it alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many bytes may wait somewhere; what is taken from it gives itself back.
#[derive(Debug)]
pub(crate) struct Budget {
    used: Mutex<usize>,
    max: usize,
    /// What is used above `own` is taken from the other budget, too.
    shared: Option<(usize, Arc<Budget>)>,
}

/// Bytes taken from a budget.
#[derive(Debug)]
pub(crate) struct Taken {
    bytes: usize,
    from: Arc<Budget>,
}

impl Budget {
    /// A budget that stands alone.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Budget { used: Mutex::default(), max, shared: None })
    }

    /// A budget of which `own` bytes are nobody else's; what is used above them is taken from `all`, too.
    pub(crate) fn shared(max: usize, own: usize, all: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Budget { used: Mutex::default(), max, shared: Some((own, all.clone())) })
    }

    /// Takes bytes, where there are so many.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Taken> {
        self.add(bytes).then(|| Taken { bytes, from: self.clone() })
    }

    fn add(&self, bytes: usize) -> bool {
        let mut used = self.used();
        let Some(sum) = used.checked_add(bytes).filter(|sum| *sum <= self.max) else { return false };
        if let Some((own, all)) = &self.shared
            && !all.add(sum.saturating_sub(*own) - used.saturating_sub(*own))
        {
            return false;
        }
        *used = sum;
        true
    }

    fn give_back(&self, bytes: usize) {
        let mut used = self.used();
        let left = used.saturating_sub(bytes);
        if let Some((own, all)) = &self.shared {
            all.give_back(used.saturating_sub(*own) - left.saturating_sub(*own));
        }
        *used = left;
    }

    /// Held for a few additions; a peer's before that of all.
    fn used(&self) -> MutexGuard<'_, usize> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.from.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_own_bytes_whatever_others_hold() {
        let all = Budget::new(100);
        let (greedy, other) = (Budget::shared(120, 20, &all), Budget::shared(120, 20, &all));
        let held = greedy.take(120).expect("its own 20 and the 100 of all");
        assert!(greedy.take(1).is_none() && other.take(21).is_none());
        let (ten, ten_more) = (other.take(10).expect("its own"), other.take(10).expect("its own"));
        assert!(other.take(1).is_none(), "what is above is everybody's");
        drop(held);
        let above = other.take(100).expect("all of it, beside its own");
        assert!(greedy.take(21).is_none() && greedy.take(20).is_some());
        drop((ten, above, ten_more));
        assert_eq!((*all.used(), *other.used(), *greedy.used()), (0, 0, 0));
    }

    #[test]
    fn what_is_too_much_takes_nothing() {
        let all = Budget::new(100);
        let budget = Budget::shared(usize::MAX, 0, &all);
        let held = budget.take(60).expect("within both");
        assert!(budget.take(41).is_none() && budget.take(usize::MAX).is_none());
        assert_eq!((*all.used(), *budget.used()), (60, 60));
        drop(held);
        assert_eq!((*all.used(), *budget.used()), (0, 0));
    }
}
