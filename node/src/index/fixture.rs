//! What the tests of several parts of the index begin with.

use artel_federation::Json;
use artel_federation::commitment::Salt;
use artel_federation::fact::Poster;
use artel_federation::run::Run;
use artel_protocol::id::RunId;
use artel_protocol::time::Wall;
use std::sync::Arc;

/// A closed run that was posted at this millisecond.
pub fn run(ms: u64, entropy: u64, bytes: usize) -> Arc<Run> {
    let mut random = [0; 9];
    random[..8].copy_from_slice(&entropy.to_be_bytes());
    Arc::new(Run {
        id: RunId::new(Wall(ms), random),
        poster: Poster::Operator,
        name: "x".repeat(bytes),
        inputs: Json::new(*b"{}"),
        priority: 0,
        correlation: None,
        created: Wall(ms),
        posted_at: entropy,
        post_key: None,
        steps: Vec::new(),
        attempts_max: 1,
        lapses_max: 1,
        salt: Salt([0; 16]),
        cancelled: false,
        ended: Some(Wall(ms)),
        trimmed: false,
    })
}
