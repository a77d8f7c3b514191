//! What the market of a world looks like: how much is posted and by whom, where agents live, who means ill, and which node is
//! away for long or for good. Drawn once at the start, from the seed alone.

use super::posting::SKILLS;
use super::worker::Temper;
use crate::desk::skill;
use crate::mesh::packet::Slot;
use crate::mesh::shape::MeshShape;
use crate::rng::Rng;
use artel_federation::interest::Interest;

/// The fewest nodes of a world with a market: a home, a worker's node, and one that runs again.
pub const NODES_MIN: u64 = 3;

/// The most nodes.
pub const NODES_MAX: u64 = 8;

/// To how many nodes, the first ones, agents without fault come in any case: work of one is done by the others' agents.
const WELCOMING_MIN: usize = 3;

/// The market of one world.
#[derive(Debug, Clone)]
pub struct MarketShape {
    /// By node: how many runs its operator posts.
    pub runs: Vec<u64>,
    /// By node: how its agents are.
    pub workers: Vec<Vec<Temper>>,
    /// The node that says that steps which it runs again come to something else.
    pub redo_liar: Option<Slot>,
    /// The node whose summaries are not what it has read.
    pub forger: Option<Slot>,
    /// The node that asks for what is told to others.
    pub snoop: Option<Slot>,
    /// The node of which somebody has a copy, who goes on with what its agents had delegated before they ended it.
    pub copied: Option<Slot>,
    /// By node: which offers it wants to hear of by gossip.
    pub interests: Vec<Interest>,
    /// By node: whether agents without fault come to it when all faults have ended.
    pub welcomes: Vec<bool>,
    /// The node that goes down and never comes up again, and when, in milliseconds.
    pub gone: Option<(Slot, u64)>,
    /// The node that goes down for longer than a lease, when, and for how long, in milliseconds.
    pub away: Option<(Slot, u64, u64)>,
}

impl MarketShape {
    /// Draws it for the nodes of a world.
    pub fn draw(rng: &mut Rng, shape: &MeshShape) -> MarketShape {
        let nodes = shape.nodes;
        let runs = (0..nodes).map(|slot| if slot == 0 || rng.chance(500) { rng.between(2, 6) } else { 0 });
        let runs: Vec<u64> = runs.collect();
        let mut workers: Vec<Vec<Temper>> = Vec::new();
        for runs in &runs {
            // Who posts has few agents of its own, so that most work is done elsewhere.
            let count = if *runs > 0 && rng.chance(600) { 0 } else { rng.between(1, 2) };
            workers.push((0..count).map(|_| Temper::draw(rng)).collect());
        }
        let pick = |rng: &mut Rng, permille: u64| {
            let slot = rng.below(nodes as u64) as usize;
            rng.chance(permille).then_some(slot)
        };
        let invites = |slot: Slot| shape.joins.iter().any(|(by, _, _)| *by == slot);
        let last = (1..nodes).rev().find(|slot| !invites(*slot));
        let gone = last.filter(|_| nodes > 3 && rng.chance(400));
        let (redo_liar, forger, snoop) = (pick(rng, 500), pick(rng, 600), pick(rng, 600));
        let with_agents: Vec<Slot> = (0..nodes).filter(|slot| !workers[*slot].is_empty()).collect();
        let copied = rng.pick(&with_agents).copied().filter(|_| rng.chance(700));
        let interests: Vec<Interest> = (0..nodes).map(|_| interest(rng)).collect();
        // Enough of them, so that all work is done; not everywhere, so that some nodes go on following little.
        let welcomes = (0..nodes).map(|slot| slot < WELCOMING_MIN || rng.chance(500)).collect();
        MarketShape {
            gone: gone.map(|slot| (slot, rng.between(shape.chaos_ms / 3, shape.chaos_ms))),
            away: rng.chance(600).then(|| {
                let at = rng.between(shape.chaos_ms / 4, shape.chaos_ms);
                (rng.below(nodes as u64) as usize, at, rng.between(25, 70) * 1_000)
            }),
            runs,
            workers,
            redo_liar,
            forger,
            snoop,
            copied,
            interests,
            welcomes,
        }
    }
}

/// What a node's operator wants followed: all shards, those of its agents, or one skill's beside them.
fn interest(rng: &mut Rng) -> Interest {
    match rng.below(4) {
        0 => Interest::All,
        1 | 2 => Interest::Own(Vec::new()),
        _ => Interest::Own(vec![skill(rng.pick(&SKILLS).expect("some"))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_posts_and_whoever_goes_for_good_has_let_nobody_in() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mesh = MeshShape::draw(&mut rng, Some(NODES_MIN + seed % 6));
            let shape = MarketShape::draw(&mut rng, &mesh);
            assert!(shape.runs[0] > 0 && shape.workers.len() == mesh.nodes);
            if let Some((slot, _)) = shape.gone {
                assert!(slot > 0 && mesh.joins.iter().all(|(by, _, _)| *by != slot));
            }
        }
    }
}
