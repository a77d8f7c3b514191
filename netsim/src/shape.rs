//! What a seed's world looks like: how many homes and agents, how bad channel, disks and clocks are, and the operators'
//! numbers. Drawn once at the start, from the seed alone.

use crate::network::Weather;
use crate::rng::Rng;
use artel_federation::Options;

/// The most nodes in a world.
pub const NODES_MAX: u64 = 20;

/// One world's measures.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How many homes.
    pub homes: usize,
    /// How many agents.
    pub agents: usize,
    /// For how long faults happen, in virtual milliseconds.
    pub chaos_ms: u64,
    /// The channel.
    pub weather: Weather,
    /// The mean time between faults of one home, in milliseconds; `None` where none is drawn.
    pub fault_every_ms: Option<u64>,
    /// The longest that a healthy disk takes for a commit, in milliseconds.
    pub sync_ms: u64,
    /// The mean time between snapshots of a home, in milliseconds.
    pub snapshot_every_ms: u64,
    /// How many of a thousand checked submissions are rejected.
    pub reject: u64,
    /// The operators' numbers.
    pub options: Options,
}

impl Shape {
    /// The world of a seed, with `nodes` nodes or as many as it draws. A node is a home with its operator, or a place
    /// where agents live; the first is always a home.
    pub fn draw(rng: &mut Rng, nodes: Option<u64>) -> Shape {
        // Few nodes are drawn more often than many: what goes wrong goes wrong in small worlds first.
        let drawn = if rng.chance(60) { NODES_MAX } else { 1 + rng.below(4) + rng.below(3) };
        let nodes = nodes.unwrap_or(drawn).clamp(1, NODES_MAX);
        let homes = 1 + rng.below(nodes.div_ceil(4)) as usize;
        let agents = (nodes as usize + 2).max(3);
        let bad = rng.below(4);
        let weather = Weather {
            loss: bad * 60,
            twice: bad * 50,
            delay_ms: rng.between(20, 40 + bad * 400),
            straggle: bad * 30,
        };
        let options = Options {
            lease_ms: rng.between(5, 40) as u32 * 1_000,
            lease_total_ms: rng.between(30, 120) * 1_000,
            attempts_max: rng.between(1, 4) as u8,
            lapses_max: rng.between(1, 4) as u8,
            window_ms: if rng.chance(300) { 2_000 } else { 0 },
            top: rng.between(1, 3) as u8,
            leases_max: rng.between(1, 6) as u32,
            credit_line_units: if rng.chance(200) { 40_000_000 } else { 1_000_000_000_000 },
            ..Options::default()
        };
        Shape {
            homes,
            agents,
            chaos_ms: rng.between(40, 150) * 1_000,
            weather,
            fault_every_ms: Some(rng.between(10, 60) * 1_000),
            sync_ms: rng.between(2, 60),
            snapshot_every_ms: rng.between(5, 60) * 1_000,
            reject: rng.between(0, 400),
            options,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_have_one_to_twenty_nodes() {
        let shapes: Vec<Shape> = (0..500).map(|seed| Shape::draw(&mut Rng::new(seed), None)).collect();
        assert!(shapes.iter().all(|s| (1..=5).contains(&s.homes) && (3..=22).contains(&s.agents)));
        assert!(shapes.iter().any(|s| s.agents == 22) && shapes.iter().any(|s| s.agents == 3));
    }
}
