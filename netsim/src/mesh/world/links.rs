//! The links between nodes: which connections there are, what they lose, repeat and delay, and what a partition cuts. Each
//! copy of a mail has its own delay, so they reorder.

use crate::mesh::packet::Slot;
use crate::network::Weather;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// The most copies of one mail that arrive.
const COPIES_MAX: usize = 2;

/// All links.
#[derive(Debug)]
pub struct Links {
    weather: Weather,
    /// Connections by their ends, the lower one first, with their numbers.
    connections: BTreeMap<(Slot, Slot), u64>,
    peers: BTreeMap<Slot, BTreeSet<Slot>>,
    count: u64,
    /// The nodes on one side of a partition.
    side: BTreeSet<Slot>,
    rng: Rng,
}

impl Links {
    /// No connections yet.
    pub fn new(weather: Weather, rng: Rng) -> Links {
        Links {
            weather,
            connections: BTreeMap::new(),
            peers: BTreeMap::new(),
            count: 0,
            side: BTreeSet::new(),
            rng,
        }
    }

    /// Whether mails can go from one to the other.
    pub fn reaches(&self, one: Slot, other: Slot) -> bool {
        self.side.contains(&one) == self.side.contains(&other)
    }

    /// Cuts these off from all others.
    pub fn part(&mut self, side: BTreeSet<Slot>) {
        self.side = side;
    }

    /// The partition ends.
    pub fn join(&mut self) {
        self.side.clear();
    }

    /// From now on nothing is lost.
    pub fn heal(&mut self) {
        self.join();
        self.weather = Weather { delay_ms: self.weather.delay_ms.min(40), ..Weather::CALM };
    }

    /// The connection between two.
    pub fn connection(&self, one: Slot, other: Slot) -> Option<u64> {
        self.connections.get(&(one.min(other), one.max(other))).copied()
    }

    /// Connects two, and numbers the connection.
    pub fn connect(&mut self, one: Slot, other: Slot) -> u64 {
        self.count += 1;
        self.connections.insert((one.min(other), one.max(other)), self.count);
        self.peers.entry(one).or_default().insert(other);
        self.peers.entry(other).or_default().insert(one);
        self.count
    }

    /// Ends a connection; false where it has ended before.
    pub fn end(&mut self, one: Slot, other: Slot, connection: u64) -> bool {
        if self.connection(one, other) != Some(connection) {
            return false;
        }
        self.connections.remove(&(one.min(other), one.max(other)));
        for (end, peer) in [(one, other), (other, one)] {
            if let Some(peers) = self.peers.get_mut(&end) {
                peers.remove(&peer);
            }
        }
        true
    }

    /// A node's connections.
    pub fn of(&self, slot: Slot) -> Vec<(Slot, u64)> {
        let peers = self.peers.get(&slot).into_iter().flatten();
        peers.filter_map(|peer| self.connection(slot, *peer).map(|number| (*peer, number))).collect()
    }

    /// How many connections a node has.
    pub fn degree(&self, slot: Slot) -> usize {
        self.peers.get(&slot).map_or(0, BTreeSet::len)
    }

    /// All connections that a partition cuts.
    pub fn cut(&self) -> Vec<(Slot, Slot, u64)> {
        let cut = self.connections.iter().filter(|((one, other), _)| !self.reaches(*one, *other));
        cut.map(|((one, other), number)| (*one, *other, *number)).collect()
    }

    /// When the copies of a mail sent now arrive; none when it is lost.
    pub fn send(&mut self, now: u64, from: Slot, to: Slot) -> Vec<u64> {
        if !self.reaches(from, to) || self.rng.chance(self.weather.loss) {
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
    fn a_partition_cuts_what_crosses_it_and_a_connection_ends_once() {
        let mut links = Links::new(Weather::CALM, Rng::new(1));
        let (inner, across) = (links.connect(1, 2), links.connect(3, 1));
        links.part(BTreeSet::from([1, 2]));
        assert_eq!(links.cut(), [(1, 3, across)]);
        assert!(links.send(0, 1, 3).is_empty() && !links.send(0, 1, 2).is_empty());
        assert!(links.end(1, 3, across) && !links.end(3, 1, across));
        assert_eq!((links.of(1), links.degree(1)), (vec![(2, inner)], 1));
        links.heal();
        assert!(!links.send(0, 3, 1).is_empty());
    }
}
