//! The journals that are being fetched, for all streams: a turn ends with what holds it, and whoever waits for one is told.

use artel_federation::fetching::{self, Fetching};
use artel_protocol::log::Origin;
use artel_protocol::time::Mono;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// One for all streams.
#[derive(Debug, Default)]
pub(super) struct Turns {
    fetching: Mutex<Fetching>,
    ended: Notify,
}

/// The turn to bring a journal, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    turn: fetching::Turn,
}

impl Turns {
    /// As [`Fetching::take`].
    pub fn take(&self, origin: Origin, now: Mono) -> Result<Turn<'_>, Mono> {
        let turn = self.fetching().take(origin, now)?;
        Ok(Turn { turns: self, turn })
    }

    /// Ends when a turn does that had not when this was called.
    pub fn next_end(&self) -> Notified<'_> {
        self.ended.notified()
    }

    fn fetching(&self) -> MutexGuard<'_, Fetching> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// As [`Fetching::brought`].
    pub fn brought(&self, bytes: usize, now: Mono) {
        self.turns.fetching().brought(self.turn, bytes, now);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.fetching().end(self.turn);
        self.turns.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{NodeId, SecretKey};
    use std::time::Duration;

    #[tokio::test]
    async fn whoever_waits_is_told_when_a_turn_ends() {
        let origin = Origin::new(FederationId([7; 32]), NodeId(SecretKey::from_seed(&[1; 32]).public()), 0);
        let turns = Turns::default();
        let turn = turns.take(origin, Mono(0)).expect("free");
        let ended = turns.next_end();
        assert!(turns.take(origin, Mono(0)).is_err());
        drop(turn);
        // It ended between the look and the wait.
        tokio::time::timeout(Duration::from_secs(10), ended).await.expect("told");
        assert!(turns.take(origin, Mono(0)).is_ok());
    }
}
