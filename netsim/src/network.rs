//! The channel: it loses, repeats and delays, and since every copy has its own delay, it reorders. A cut takes an actor
//! and a home apart for a while.

use crate::letter::Actor;
use crate::rng::Rng;
use std::collections::BTreeMap;

/// The most copies of one message that arrive.
const COPIES_MAX: usize = 3;

/// How bad the channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// How many of a thousand messages are lost.
    pub loss: u64,
    /// How many of a thousand arrive more than once.
    pub twice: u64,
    /// The longest usual delay in milliseconds.
    pub delay_ms: u64,
    /// How many of a thousand copies take ten times that.
    pub straggle: u64,
}

impl Weather {
    /// Nothing is lost and nothing takes long.
    pub const CALM: Weather = Weather { loss: 0, twice: 0, delay_ms: 20, straggle: 0 };
}

/// The channel between all actors and all homes.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    cuts: BTreeMap<(Actor, usize), u64>,
    rng: Rng,
}

impl Network {
    /// A channel in this weather.
    pub fn new(weather: Weather, rng: Rng) -> Self {
        Network { weather, cuts: BTreeMap::new(), rng }
    }

    /// Takes an actor and a home apart until then.
    pub fn cut(&mut self, actor: Actor, home: usize, until: u64) {
        self.cuts.insert((actor, home), until);
    }

    /// From now on nothing is lost.
    pub fn heal(&mut self) {
        self.weather = Weather::CALM;
        self.cuts.clear();
    }

    /// When the copies of a message sent now arrive; none when it is lost.
    pub fn send(&mut self, now: u64, actor: Actor, home: usize) -> Vec<u64> {
        if self.cuts.get(&(actor, home)).is_some_and(|until| now < *until)
            || self.rng.chance(self.weather.loss)
        {
            return Vec::new();
        }
        let mut copies = 1;
        while copies < COPIES_MAX && self.rng.chance(self.weather.twice) {
            copies += 1;
        }
        (0..copies).map(|_| now + self.delay_ms()).collect()
    }

    fn delay_ms(&mut self) -> u64 {
        let usual = self.rng.between(1, self.weather.delay_ms);
        if self.rng.chance(self.weather.straggle) { usual * 10 } else { usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_loses_repeats_and_reorders_until_it_is_healed() {
        let weather = Weather { loss: 200, twice: 200, delay_ms: 50, straggle: 100 };
        let mut network = Network::new(weather, Rng::new(1));
        let sent: Vec<Vec<u64>> = (0..500).map(|at| network.send(at, Actor::Agent(1), 0)).collect();
        assert!(sent.iter().any(Vec::is_empty) && sent.iter().any(|copies| copies.len() == COPIES_MAX));
        assert!(sent.windows(2).any(|w| matches!((w[0].first(), w[1].first()), (Some(a), Some(b)) if a > b)));
        network.cut(Actor::Agent(1), 0, 1_000);
        assert!(network.send(999, Actor::Agent(1), 0).is_empty());
        network.heal();
        assert!((0..500).all(|at| network.send(at, Actor::Agent(1), 0).len() == 1));
    }
}
