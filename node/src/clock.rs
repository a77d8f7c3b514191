//! The node's clocks and entropy: the one place that reads them, so that the rules never do.

use artel_federation::Now;
use artel_protocol::time::{Mono, Wall};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Both clocks, and a stream of random bytes that the operating system seeded.
pub struct Clock {
    start: Instant,
    entropy: StdRng,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock { start: Instant::now(), entropy: StdRng::from_rng(&mut rand::rng()) }
    }

    /// This moment, with fresh entropy.
    pub fn now(&mut self) -> Now {
        let mut entropy = [0; 32];
        self.entropy.fill_bytes(&mut entropy);
        Now { mono: self.mono(), wall: wall(), entropy }
    }

    /// When the monotonic clock began.
    pub fn begun(&self) -> Instant {
        self.start
    }

    /// This moment on the monotonic clock.
    pub fn mono(&self) -> Mono {
        mono_since(self.start)
    }

    /// The instant of a moment on the monotonic clock.
    pub fn instant(&self, at: Mono) -> Instant {
        self.start + std::time::Duration::from_millis(at.0)
    }
}

/// This moment on a monotonic clock that began then.
pub fn mono_since(begun: Instant) -> Mono {
    Mono(begun.elapsed().as_millis() as u64)
}

/// This moment on the wall clock; the epoch where the clock is set before it.
pub fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(since.as_millis() as u64)
}
