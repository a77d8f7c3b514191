//! The one timer table: every reason to wake is named here.

use crate::fact::Abroad;
use crate::input::ReplyTo;
use artel_protocol::id::{EnrollmentId, StepId};
use artel_protocol::time::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// Why to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A step's lease ends.
    Lease(StepId),
    /// A step's deadline passes.
    Deadline(StepId),
    /// An offer opens to everybody.
    Window(StepId),
    /// A claim has waited long enough.
    Wait(ReplyTo),
    /// A challenge expires.
    Challenge(EnrollmentId),
    /// The minute's refusals are written down.
    Refusals,
    /// A lease at another home, or a result there, has waited long enough.
    Abroad(Abroad),
}

/// When each timer goes off; setting one anew moves it.
#[derive(Debug, Default)]
pub struct Timers {
    order: BTreeSet<(Mono, Timer)>,
    at: BTreeMap<Timer, Mono>,
}

impl Timers {
    /// Sets or moves a timer.
    pub fn set(&mut self, timer: Timer, at: Mono) {
        if let Some(old) = self.at.insert(timer, at) {
            self.order.remove(&(old, timer));
        }
        self.order.insert((at, timer));
    }

    /// Takes a timer off, if it is set.
    pub fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// When a timer goes off, if it is set.
    pub fn at(&self, timer: Timer) -> Option<Mono> {
        self.at.get(&timer).copied()
    }

    /// When the next one goes off.
    pub fn next(&self) -> Option<Mono> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes off one timer that is due.
    pub fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_go_off_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(Timer::Wait(ReplyTo(1)), Mono(20));
        timers.set(Timer::Wait(ReplyTo(2)), Mono(10));
        timers.set(Timer::Wait(ReplyTo(1)), Mono(5));
        timers.set(Timer::Refusals, Mono(7));
        timers.cancel(Timer::Refusals);
        assert_eq!(timers.next(), Some(Mono(5)));
        assert_eq!(timers.pop_due(Mono(4)), None);
        assert_eq!(timers.pop_due(Mono(100)), Some(Timer::Wait(ReplyTo(1))));
        assert_eq!(timers.pop_due(Mono(100)), Some(Timer::Wait(ReplyTo(2))));
        assert_eq!(timers.pop_due(Mono(100)), None);
    }
}
