//! What neighbours may have this node run for them: one step at a time each, and so many and for so long in an hour.

use artel_protocol::key::NodeId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many requests of neighbours are dealt with at once, of one neighbour one. Each may hold a module and its artifacts, 72 MiB at
/// the most; a further one is refused, and its home asks another node or runs the step itself.
const PLACES_MAX: usize = 4;

/// How many requests of one neighbour are taken in an hour; each may be an entry in the journal, 200 bytes. More are refused.
const REQUESTS_PER_HOUR: u32 = 600;

/// For how long the steps of one neighbour run here in an hour, all together: a sixth of one core. Further requests are refused.
const RUN_PER_HOUR: Duration = Duration::from_secs(600);

/// An hour.
const HOUR: Duration = Duration::from_secs(3_600);

/// How many neighbours' hours are kept count of, some 100 bytes each. A further neighbour's requests are refused until one's hour
/// is over.
const COUNTED_MAX: usize = 1_024;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// It has one under way.
    #[error("a step of its runs here already")]
    OneAtATime,
    /// All places are taken, or too many neighbours are counted.
    #[error("no place for another neighbour's step")]
    NoPlace,
    /// It has had its share of this hour.
    #[error("its share of this hour is used up")]
    HourIsOver,
}

/// What is counted of neighbours.
#[derive(Debug, Default)]
pub struct Others(Mutex<BTreeMap<NodeId, Hour>>);

#[derive(Debug)]
struct Hour {
    since: Instant,
    requests: u32,
    ran: Duration,
    is_here: bool,
}

/// One neighbour's place.
#[derive(Debug)]
pub struct Place<'a> {
    others: &'a Others,
    of: NodeId,
}

impl Others {
    /// A place for a request of a neighbour, which counts it.
    ///
    /// # Errors
    /// [`Full`].
    pub fn place(&self, of: NodeId, now: Instant) -> Result<Place<'_>, Full> {
        let mut hours = self.hours();
        let is_over = |hour: &Hour| now.saturating_duration_since(hour.since) >= HOUR;
        if hours.get(&of).is_some_and(|hour| hour.is_here) {
            return Err(Full::OneAtATime);
        }
        if hours.values().filter(|hour| hour.is_here).count() >= PLACES_MAX {
            return Err(Full::NoPlace);
        }
        if hours.len() >= COUNTED_MAX && !hours.contains_key(&of) {
            hours.retain(|_, hour| hour.is_here || !is_over(hour));
            if hours.len() >= COUNTED_MAX {
                return Err(Full::NoPlace);
            }
        }
        let fresh = || Hour { since: now, requests: 0, ran: Duration::ZERO, is_here: false };
        let hour = hours.entry(of).or_insert_with(fresh);
        if is_over(hour) {
            *hour = fresh();
        }
        if hour.requests >= REQUESTS_PER_HOUR || hour.ran >= RUN_PER_HOUR {
            return Err(Full::HourIsOver);
        }
        hour.requests += 1;
        hour.is_here = true;
        Ok(Place { others: self, of })
    }

    fn hours(&self) -> MutexGuard<'_, BTreeMap<NodeId, Hour>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    /// Counts the time of a run from here until the guard goes, however it ends.
    pub fn running(&self) -> Run<'_> {
        Run { place: self, since: Instant::now() }
    }

    fn ran(&self, time: Duration) {
        if let Some(hour) = self.others.hours().get_mut(&self.of) {
            hour.ran = hour.ran.saturating_add(time);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(hour) = self.others.hours().get_mut(&self.of) {
            hour.is_here = false;
        }
    }
}

/// A run whose time is counted.
#[derive(Debug)]
pub struct Run<'a> {
    place: &'a Place<'a>,
    since: Instant,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.place.ran(self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn node(n: u32) -> NodeId {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_le_bytes());
        NodeId(SecretKey::from_seed(&seed).public())
    }

    #[test]
    fn one_neighbour_has_one_place_and_leaves_the_others_theirs() {
        let (others, now) = (Others::default(), Instant::now());
        let first = others.place(node(0), now).expect("a place");
        assert_eq!(others.place(node(0), now).err(), Some(Full::OneAtATime));
        let more: Vec<Place<'_>> =
            (1..PLACES_MAX as u32).map(|n| others.place(node(n), now).expect("a place")).collect();
        assert_eq!(others.place(node(9), now).err(), Some(Full::NoPlace));
        drop(more);
        assert!(others.place(node(9), now).is_ok());
        drop(first);
        assert!(others.place(node(0), now).is_ok());
    }

    #[test]
    fn requests_and_runs_of_an_hour_are_counted_each_neighbour_s_apart() {
        let (others, now) = (Others::default(), Instant::now());
        let taken = (0..2 * REQUESTS_PER_HOUR).filter(|_| others.place(node(0), now).is_ok()).count();
        assert_eq!(taken, REQUESTS_PER_HOUR as usize);
        assert_eq!(others.place(node(0), now).err(), Some(Full::HourIsOver));
        others.place(node(1), now).expect("another neighbour").ran(RUN_PER_HOUR);
        assert_eq!(others.place(node(1), now).err(), Some(Full::HourIsOver));
        assert!(others.place(node(0), now + HOUR).is_ok() && others.place(node(1), now + HOUR).is_ok());
    }

    #[test]
    fn neighbours_without_end_are_not_counted_without_end() {
        let (others, now) = (Others::default(), Instant::now());
        for n in 0..COUNTED_MAX as u32 {
            others.place(node(n), now).expect("room");
        }
        assert_eq!(others.place(node(9_999), now).err(), Some(Full::NoPlace));
        assert!(others.place(node(9_999), now + HOUR).is_ok());
        assert_eq!(others.hours().len(), 1);
    }
}
