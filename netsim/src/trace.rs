//! What happened, as one hash over every event in order and, when somebody wants to read it, as lines.

use artel_protocol::id::Digest;
use std::collections::VecDeque;
use std::fmt;

/// How many of the last lines are kept for a report. More only makes the report longer.
const LAST_LINES: usize = 40;

/// After how many bytes the hash is brought up to date.
const CHUNK_BYTES: usize = 8 << 10;

/// How much of what happens is written as lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Telling {
    /// Only the hash.
    #[default]
    Hash,
    /// The last lines too.
    Last,
    /// Every line, as it happens.
    All,
}

/// Where lines go.
pub type Sink = Box<dyn FnMut(&str) + Send>;

/// The record of one world.
pub struct Trace {
    telling: Telling,
    chain: Digest,
    fresh: Vec<u8>,
    events: u64,
    last: VecDeque<String>,
    sink: Option<Sink>,
}

impl Trace {
    /// A new record; every line goes to `sink` where all are wanted.
    pub fn new(telling: Telling, sink: Option<Sink>) -> Self {
        let last = VecDeque::new();
        Trace {
            telling,
            chain: Digest::default(),
            fresh: Vec::with_capacity(2 * CHUNK_BYTES),
            events: 0,
            last,
            sink,
        }
    }

    /// Takes in one event: its numbers go into the hash, its line to whoever reads.
    pub fn event(&mut self, at: u64, tag: u8, numbers: &[u64], line: impl FnOnce() -> String) {
        self.events += 1;
        self.fresh.push(tag);
        self.fresh.extend_from_slice(&at.to_le_bytes());
        for number in numbers {
            self.fresh.extend_from_slice(&number.to_le_bytes());
        }
        if self.fresh.len() >= CHUNK_BYTES {
            self.chain();
        }
        if self.telling != Telling::Hash {
            self.tell(format!("{:>9.3} {}", at as f64 / 1_000.0, line()));
        }
    }

    /// Takes bytes into the hash, such as a root.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.fresh.extend_from_slice(bytes);
    }

    /// A line that is no event.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if self.telling != Telling::Hash {
            self.tell(format!("          {}", line()));
        }
    }

    fn tell(&mut self, line: String) {
        if let Some(sink) = &mut self.sink {
            sink(&line);
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn chain(&mut self) {
        let mut all = self.chain.0.to_vec();
        all.append(&mut self.fresh);
        self.chain = Digest::of(&all);
    }

    /// The hash over all events so far.
    pub fn hash(&mut self) -> Digest {
        self.chain();
        self.chain
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The last lines.
    pub fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} events)", self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_follows_every_number_and_not_the_telling() {
        let hash = |telling, last: u64| {
            let mut trace = Trace::new(telling, None);
            for i in 0..2_000 {
                trace.event(i, 1, &[i, 7], String::new);
            }
            trace.event(3, 2, &[last], String::new);
            trace.hash()
        };
        assert_eq!(hash(Telling::Hash, 1), hash(Telling::Last, 1));
        assert_ne!(hash(Telling::Hash, 1), hash(Telling::Hash, 2));
    }
}
