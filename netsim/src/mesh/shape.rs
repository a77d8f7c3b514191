//! What a mesh world looks like: how many nodes, how bad links and disks are, who is let in by whom, what else goes wrong.
//! Drawn once at the start, from the seed alone.

use crate::network::Weather;
use crate::rng::Rng;
use artel_protocol::hello::CHAIN_LINKS_MAX;

/// The fewest nodes of a mesh world.
pub const NODES_MIN: u64 = 3;

/// The most nodes.
pub const NODES_MAX: u64 = 200;

/// From how many nodes on a world is wide: fewer entries and longer pauses, and the costly invariants look at samples.
pub const WIDE: usize = 60;

/// How many nodes of a wide world let others in.
const WIDE_INVITERS: usize = 6;

/// One world's measures.
#[derive(Debug, Clone)]
pub struct MeshShape {
    /// How many nodes.
    pub nodes: usize,
    /// By node but the founder: who lets it in, whether by name, and when, in milliseconds.
    pub joins: Vec<(usize, bool, u64)>,
    /// For how long things go wrong, in virtual milliseconds.
    pub chaos_ms: u64,
    /// The links.
    pub weather: Weather,
    /// The mean time between faults of disks and processes in the whole world.
    pub fault_every_ms: u64,
    /// The mean time between two acts of a node's people.
    pub write_every_ms: u64,
    /// The moments at which nodes are expelled, or let in again.
    pub expulsions: Vec<u64>,
    /// The moments at which the network falls apart, and for how long.
    pub partitions: Vec<(u64, u64)>,
    /// When a disk is copied and started a second time.
    pub clone: Option<u64>,
    /// Whether there is a member that lies, and how often it does, in milliseconds.
    pub rogue_every_ms: Option<u64>,
}

impl MeshShape {
    /// Whether it has many nodes.
    pub fn is_wide(&self) -> bool {
        self.nodes >= WIDE
    }

    /// The same with a market between the nodes: everybody stays a member and no disk is copied, since what a liar's journal
    /// says twice is not the same for all readers; people write oftener.
    pub fn with_market(mut self) -> MeshShape {
        self.expulsions.clear();
        (self.clone, self.rogue_every_ms) = (None, None);
        self.write_every_ms = self.write_every_ms.min(8_000);
        self
    }

    /// The world of a seed, with `nodes` nodes or as many as it draws.
    pub fn draw(rng: &mut Rng, nodes: Option<u64>) -> MeshShape {
        let drawn = if rng.chance(80) { 30 } else { NODES_MIN + rng.below(6) + rng.below(7) };
        let nodes = nodes.unwrap_or(drawn).clamp(NODES_MIN, NODES_MAX) as usize;
        let wide = nodes >= WIDE;
        let chaos_ms = if wide { rng.between(35, 45) } else { rng.between(50, 110) } * 1_000;
        let bad = rng.below(4);
        let weather = Weather {
            loss: bad * 25,
            twice: bad * 20,
            delay_ms: rng.between(5, 20 + bad * 80),
            straggle: bad * 20,
        };
        let mut depths = vec![0];
        let mut joins = Vec::new();
        for node in 1..nodes {
            let fits: Vec<usize> = (0..node).filter(|by| depths[*by] < CHAIN_LINKS_MAX - 2).collect();
            // Mostly a lately admitted node, so that chains grow.
            let by = if wide && node >= WIDE_INVITERS {
                rng.below(WIDE_INVITERS as u64) as usize
            } else if rng.chance(600) {
                *fits.last().expect("the founder")
            } else {
                *rng.pick(&fits).expect("the founder")
            };
            depths.push(depths[by] + 1);
            // In a wide world many are let in at once, as frames of records then have it.
            let at = if !wide {
                node as u64 * rng.between(50, 600)
            } else if node < WIDE_INVITERS {
                node as u64 * 400
            } else {
                3_000 + (node as u64 / 50) * 500
            };
            joins.push((by, rng.chance(300), 500 + at));
        }
        let moments = |rng: &mut Rng, most: u64| -> Vec<u64> {
            let count = rng.below(most + 1);
            (0..count).map(|_| rng.between(chaos_ms / 4, chaos_ms)).collect()
        };
        let expulsions = moments(rng, if wide { 2 } else { 6 });
        let partitions = moments(rng, 2).into_iter().map(|at| (at, rng.between(3, 40) * 1_000)).collect();
        MeshShape {
            nodes,
            joins,
            chaos_ms,
            weather,
            fault_every_ms: if wide { 2_000 } else { rng.between(2, 12) * 1_000 },
            write_every_ms: if wide { 60_000 } else { rng.between(3, 12) * 1_000 },
            expulsions,
            partitions,
            clone: rng.chance(400).then(|| rng.between(chaos_ms / 3, chaos_ms)),
            rogue_every_ms: rng.chance(700).then(|| rng.between(1, 4) * 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_have_three_to_thirty_nodes_and_chains_that_may_be() {
        for seed in 0..300 {
            let shape = MeshShape::draw(&mut Rng::new(seed), None);
            assert!((3..=30).contains(&shape.nodes) && !shape.is_wide());
            assert!(shape.joins.iter().enumerate().all(|(n, (by, _, _))| *by <= n));
        }
        let shape = MeshShape::draw(&mut Rng::new(1), Some(200));
        assert!(shape.is_wide() && shape.joins.len() == 199);
    }
}
