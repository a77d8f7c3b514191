//! The lots of submissions, this node's part as a home: who draws a lot is fixed by the submission, and what each of them said first of
//! the journal behind it is brought to the rules. A lot falls as soon as all have cosigned, and without those that have not in time.

use crate::handle::Handle;
use crate::neighbours::Neighbours;
use artel_federation::Input;
use artel_federation::effect::ToWitness;
use artel_federation::fact::{Cosigned, Witnessing};
use artel_federation::redo::lot::{WITNESS_WAIT_MS, WITNESSES, pick};
use artel_protocol::key::NodeId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// How long the witnesses of a submission are waited for.
const WITNESS_WAIT: Duration = Duration::from_millis(WITNESS_WAIT_MS);

/// How long after a start it is waited until three neighbours are there that may draw, where a lot was open before. Shorter, and a
/// home that starts again draws alone; longer, and a verdict waits that long where fewer come. This, [`WITNESS_WAIT`] and what a redo
/// may take are less than the ten minutes within which home judges.
const SETTLE: Duration = Duration::from_secs(5);

/// How many lots are open at once, some 300 bytes each. The others wait with the driver.
const OPEN_MAX: usize = 1_024;

/// How often it is looked whether somebody is late or is to be asked once more, while a lot is open.
const PULSE: Duration = Duration::from_millis(100);

/// How long a neighbour that has not cosigned in time is not asked to draw; doubled with each time that follows. Shorter, and one
/// that never cosigns holds up a result a minute; longer, and one that was busy for once draws no more.
const REST_OF_SILENT: Duration = Duration::from_secs(60);

/// The longest such rest.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// How many silent neighbours are remembered; above the neighbours that a node can have. Further ones are asked each time.
const SILENT_MAX: usize = 1_024;

/// What a lot takes of the neighbours.
trait Witnesses {
    /// Who may draw for a result of this node's agent, in any order.
    fn eligible(&self, worker: Option<NodeId>) -> Vec<NodeId>;

    /// The first that a neighbour cosigned behind an entry.
    fn first_behind(&self, entry: u64, by: &NodeId) -> Option<Cosigned>;

    /// Whether a head behind an entry was said, so that it could be cosigned.
    fn is_said(&self, entry: u64) -> bool;
}

/// A lot that has not fallen.
struct Open {
    ask: ToWitness,
    since: Instant,
    /// Who draws, and since when that is fixed.
    picked: Option<(Vec<NodeId>, Instant)>,
}

/// Who did not cosign in time: how often since it last did, and until when it rests.
#[derive(Default)]
struct Silent(BTreeMap<NodeId, (u32, Instant)>);

/// Has every lot fall that the rules ask for, until they ask no more.
pub async fn run(mut asked: mpsc::Receiver<ToWitness>, neighbours: Option<Neighbours>, handle: Handle) {
    let Some(neighbours) = neighbours else {
        while let Some(ask) = asked.recv().await {
            fall(&handle, ask, Vec::new());
        }
        return;
    };
    let mut cosigned: watch::Receiver<u64> = neighbours.cosignatures_change();
    let (mut open, mut silent) = (Vec::<Open>::new(), Silent::default());
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ask = asked.recv(), if open.len() < OPEN_MAX => match ask {
                Some(ask) => open.push(Open::new(ask, Instant::now())),
                None => return,
            },
            changed = cosigned.changed(), if !open.is_empty() => if changed.is_err() { return },
            _ = pulse.tick(), if !open.is_empty() => {}
        }
        let now = Instant::now();
        open.retain_mut(|lot| {
            let Some(said) = lot.hear(&neighbours, &silent, now) else { return true };
            let could = neighbours.is_said(lot.ask.submitted);
            said.iter().filter(|_| could).for_each(|one| silent.note(one.node, one.cosigned.is_some(), now));
            fall(&handle, lot.ask, said);
            false
        });
        open.iter().filter_map(|lot| lot.lacking(&neighbours)).for_each(|(entry, late)| {
            neighbours.hurry(entry, &late);
        });
    }
}

/// Tells the rules what the witnesses said; it waits for a place in the driver's queue.
fn fall(handle: &Handle, ask: ToWitness, witnesses: Vec<Witnessing>) {
    for one in witnesses.iter().filter(|one| one.cosigned.is_none()) {
        tracing::debug!(task = %ask.step, witness = %one.node, "a witness did not cosign in time; it draws nothing");
    }
    let input = Input::Witnessed { step: ask.step, epoch: ask.epoch, witnesses };
    let handle = handle.clone();
    tokio::task::spawn_blocking(move || handle.tell_surely(input));
}

impl Open {
    fn new(ask: ToWitness, since: Instant) -> Self {
        Open { ask, since, picked: None }
    }

    /// What its witnesses said, once all have, or their time is over.
    fn hear(&mut self, from: &impl Witnesses, silent: &Silent, now: Instant) -> Option<Vec<Witnessing>> {
        if self.picked.is_none() {
            let mut eligible = from.eligible(self.ask.worker);
            eligible.retain(|node| !silent.rests(node, now));
            let is_settled = !self.ask.is_anew || now >= self.since + SETTLE;
            if !is_settled && eligible.len() < WITNESSES {
                return None;
            }
            self.picked = Some((pick(&self.ask.digest, eligible), now));
        }
        let (picked, at) = self.picked.as_ref().expect("just picked");
        let said =
            |node: &NodeId| Witnessing { node: *node, cosigned: from.first_behind(self.ask.submitted, node) };
        let said: Vec<Witnessing> = picked.iter().map(said).collect();
        let is_over = now >= *at + WITNESS_WAIT || said.iter().all(|one| one.cosigned.is_some());
        is_over.then_some(said)
    }

    /// Who is waited for, and behind which entry.
    fn lacking(&self, from: &impl Witnesses) -> Option<(u64, Vec<NodeId>)> {
        let (picked, _) = self.picked.as_ref()?;
        let entry = self.ask.submitted;
        let late = picked.iter().filter(|node| from.first_behind(entry, node).is_none());
        Some((entry, late.copied().collect()))
    }
}

impl Silent {
    fn rests(&self, node: &NodeId, now: Instant) -> bool {
        self.0.get(node).is_some_and(|(_, until)| *until > now)
    }

    fn note(&mut self, node: NodeId, has_cosigned: bool, now: Instant) {
        if has_cosigned {
            self.0.remove(&node);
        } else if !self.rests(&node, now) && (self.0.len() < SILENT_MAX || self.0.contains_key(&node)) {
            let (times, until) = self.0.entry(node).or_insert((0, now));
            *until = now + REST_OF_SILENT.saturating_mul(1 << (*times).min(10)).min(REST_MAX);
            *times = times.saturating_add(1);
        }
    }
}

impl Witnesses for Neighbours {
    fn eligible(&self, worker: Option<NodeId>) -> Vec<NodeId> {
        self.may_draw(worker)
    }

    fn first_behind(&self, entry: u64, by: &NodeId) -> Option<Cosigned> {
        self.first_cosigned(entry, by)
    }

    fn is_said(&self, entry: u64) -> bool {
        self.head_said().is_some_and(|size| size > entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::{Digest, Epoch, RunId};
    use artel_protocol::key::{SecretKey, Signature};
    use artel_protocol::log::Hash;
    use artel_protocol::time::Wall;

    #[derive(Default)]
    struct World {
        up: Vec<NodeId>,
        cosigned: BTreeMap<NodeId, u64>,
    }

    impl Witnesses for World {
        fn eligible(&self, worker: Option<NodeId>) -> Vec<NodeId> {
            self.up.iter().copied().filter(|node| Some(*node) != worker).collect()
        }

        fn first_behind(&self, entry: u64, by: &NodeId) -> Option<Cosigned> {
            let size = *self.cosigned.get(by).filter(|size| **size > entry)?;
            Some(Cosigned { size, root: Hash([1; 32]), at_s: 9, signature: Signature([2; 64]) })
        }

        fn is_said(&self, _: u64) -> bool {
            true
        }
    }

    fn node(n: u8) -> NodeId {
        NodeId(SecretKey::from_seed(&[n; 32]).public())
    }

    fn open(is_anew: bool, now: Instant) -> Open {
        let step = RunId::new(Wall(1), [7; 9]).step(0);
        let digest = Digest::of(b"a submission");
        let ask = ToWitness { step, epoch: Epoch(1), worker: Some(node(1)), submitted: 10, digest, is_anew };
        Open::new(ask, now)
    }

    fn who(said: &[Witnessing]) -> Vec<(NodeId, bool)> {
        said.iter().map(|one| (one.node, one.cosigned.is_some())).collect()
    }

    #[test]
    fn a_lot_falls_when_all_three_have_cosigned_or_without_who_has_not_in_time() {
        let (now, none) = (Instant::now(), Silent::default());
        let mut world = World { up: (1..=6).map(node).collect(), ..World::default() };
        let picked = pick(&Digest::of(b"a submission"), (2..=6).map(node).collect());
        let mut lot = open(false, now);
        assert_eq!(lot.hear(&world, &none, now), None);
        // What was cosigned before the submission is none of it.
        world.cosigned.insert(picked[0], 10);
        assert_eq!(lot.hear(&world, &none, now), None);
        world.cosigned.extend([(picked[0], 11), (picked[1], 12)]);
        assert_eq!(lot.lacking(&world), Some((10, vec![picked[2]])));
        // Who comes later, or goes, changes nothing.
        world.up = vec![node(7)];
        assert_eq!(lot.hear(&world, &none, now + WITNESS_WAIT - PULSE), None);
        let late = lot.hear(&world, &none, now + WITNESS_WAIT).expect("its time is over");
        assert_eq!(who(&late), [(picked[0], true), (picked[1], true), (picked[2], false)]);
        world.cosigned.insert(picked[2], 15);
        let all = lot.hear(&world, &none, now).expect("all have cosigned");
        assert_eq!(
            all.iter().map(|one| one.cosigned.expect("it has").size).collect::<Vec<_>>(),
            [11, 12, 15]
        );
    }

    #[test]
    fn where_nobody_may_draw_nothing_is_waited_for_but_after_a_start() {
        let (now, none) = (Instant::now(), Silent::default());
        let mut world = World { up: vec![node(1)], ..World::default() };
        assert_eq!(open(false, now).hear(&world, &none, now), Some(vec![]));
        let mut lot = open(true, now);
        assert_eq!(lot.hear(&world, &none, now), None);
        assert_eq!(open(true, now).hear(&world, &none, now + SETTLE), Some(vec![]));
        world.up.extend([node(2), node(3)]);
        world.cosigned.extend([(node(2), 20), (node(3), 20)]);
        assert_eq!(lot.hear(&world, &none, now), None, "a third one may come");
        let said = lot.hear(&world, &none, now + SETTLE).expect("long enough");
        assert_eq!(said.len(), 2);
        world.up.push(node(4));
        world.cosigned.insert(node(4), 20);
        assert_eq!(open(true, now).hear(&world, &none, now).expect("three are there").len(), 3);
    }

    #[test]
    fn who_does_not_cosign_draws_no_more_for_a_while_each_time_longer() {
        let (begin, mut silent) = (Instant::now(), Silent::default());
        let (mut now, mut rest) = (begin, REST_OF_SILENT);
        for _ in 0..8 {
            silent.note(node(2), false, now);
            // Of other lots that wait for it at that moment.
            silent.note(node(2), false, now);
            assert!(
                silent.rests(&node(2), now + rest - PULSE) && !silent.rests(&node(2), now + rest),
                "{rest:?}"
            );
            now += rest;
            rest = (rest * 2).min(REST_MAX);
        }
        let world = World { up: vec![node(2), node(3)], ..World::default() };
        silent.note(node(2), false, now);
        let mut lot = open(false, now);
        assert_eq!(lot.hear(&world, &silent, now), None);
        assert_eq!(lot.lacking(&world), Some((10, vec![node(3)])));
        silent.note(node(2), true, now);
        assert!(!silent.rests(&node(2), now));
        (0..2 * SILENT_MAX as u32).for_each(|n| {
            let mut seed = [9; 32];
            seed[..4].copy_from_slice(&n.to_le_bytes());
            silent.note(NodeId(SecretKey::from_seed(&seed).public()), false, now);
        });
        assert_eq!(silent.0.len(), SILENT_MAX);
    }
}
