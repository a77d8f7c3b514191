//! The model of gossip by itself: messages among nodes without faults, and how many copies, hops and how much time they take.
//! `tests/bench/gossip.sh` holds it against as many real processes.
//!
//! What it assumes: nodes start one after the other, and each dials those that are there until it has enough neighbours; each
//! message takes a time over a link that is drawn anew, for its sender and receiver wait for a core; a node checks one message
//! after the other, and its threads wait for a core as well; no link loses anything. Where nodes are to be gone, they fall silent all at once
//! before the first message, and nobody notices: their neighbours go on sending to them.

use super::overlay::{FIRST_HEARTBEAT_MS, HEARTBEAT_MS, Outbox, Overlay, Rpc, Verdict};
use super::packet::{Packet, Slot};
use crate::rng::Rng;
use artel_protocol::id::FederationId;
use artel_protocol::topic::Topic;
use std::collections::{BTreeMap, BTreeSet};

/// The federation of all nodes.
const FEDERATION: FederationId = FederationId([1; 32]);

/// How many neighbours a node has unless it is said (`NEIGHBOURS_MIN`).
pub const NEIGHBOURS: usize = 16;

/// The shortest time over a link, in microseconds: loopback with what a transport takes.
const LINK_US: u64 = 100;

/// The mean of what a message waits for a core on its way over a link, and again for its check, in microseconds; it is as often short as
/// it is long.
const CORE_WAIT_US: u64 = 400;

/// Between the starts of two nodes, in milliseconds, and within how many all have started.
const JOIN_MS: (u64, u64) = (300, 60_000);

/// What a message, a list of ids or a mesh's change has beside its topic's name, its bytes and its ids: tags and lengths.
const FRAME_BYTES: usize = 12;

/// An id in a list, with its tag and length.
const ID_BYTES: usize = 22;

/// How long a node checks a message, in microseconds (`CHECKS_MAX` in `node/src/neighbours`).
const CHECK_US: u64 = 100;

/// From the start until the first message, in milliseconds: the meshes are settled by then.
const SETTLE_MS: u64 = 20_000;

/// Between two messages, in milliseconds.
const EVERY_MS: u64 = 50;

/// How long the last message may take, in milliseconds.
const LAST_MS: u64 = 5_000;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// How many nodes.
    pub nodes: usize,
    /// How many neighbours each has, as far as there are so many.
    pub neighbours: usize,
    /// How many messages.
    pub messages: u64,
    /// How long each is.
    pub bytes: usize,
    /// In how many shards they are, each with a mesh of its own.
    pub shards: u8,
    /// How many of a hundred nodes are silent from the first message on.
    pub gone_percent: u64,
    /// What a link takes beside what a machine's own take, in microseconds.
    pub link_us: u64,
    /// The seed.
    pub seed: u64,
}

impl Default for Measure {
    fn default() -> Self {
        Measure {
            nodes: 30,
            neighbours: NEIGHBOURS,
            messages: 400,
            bytes: 300,
            shards: 16,
            gone_percent: 0,
            link_us: 0,
            seed: 1,
        }
    }
}

/// What the model says.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Copies for each message and node that is to hear it.
    pub copies: f64,
    /// Of the nodes that are to hear a message, how many of a thousand do.
    pub reached_permille: u64,
    /// How many deliveries took how many hops.
    pub hops: BTreeMap<u32, u64>,
    /// The mean number of hops.
    pub hops_mean: f64,
    /// Half, 99 of a hundred and all deliveries take at most so long, in microseconds.
    pub time_us: (u64, u64, u64),
    /// Announcements for each message and node.
    pub announced: f64,
    /// Bytes of gossip that came in from the first message on, for each message and node.
    pub bytes: f64,
}

impl Measure {
    /// Of a thousand deliveries how many there must be: all of them, or all but one where nodes fall silent.
    pub fn delivered_permille(&self) -> u64 {
        if self.gone_percent == 0 { 1_000 } else { 999 }
    }
}

enum Event {
    Start(Slot),
    Arrives(Slot, Slot, Rpc),
    Checked(Slot, Packet, u32),
    Heartbeat(Slot),
    Gone,
    Publish(u64),
}

struct Model {
    at_us: u64,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    nodes: Vec<Overlay>,
    busy_until_us: Vec<u64>,
    peers: Vec<BTreeSet<Slot>>,
    arrived_us: BTreeMap<(Slot, Slot), u64>,
    gone: BTreeSet<Slot>,
    settled_us: u64,
    received_bytes: u64,
    wanted: Measure,
    said_at_us: BTreeMap<super::packet::Id, u64>,
    hops: BTreeMap<u32, u64>,
    times_us: Vec<u64>,
    rng: Rng,
}

/// Runs the model.
pub fn measure(wanted: Measure) -> Measured {
    let mut model = Model::new(wanted);
    let settled_us = model.settled_us;
    model.after(settled_us, Event::Gone);
    for n in 0..wanted.messages {
        model.after(settled_us + n * EVERY_MS * 1_000, Event::Publish(n));
    }
    let end_us = settled_us + (wanted.messages * EVERY_MS + LAST_MS) * 1_000;
    while let Some(((at_us, _), event)) = model.queue.pop_first().filter(|((at, _), _)| *at < end_us) {
        model.at_us = at_us;
        model.happens(event);
    }
    model.tell()
}

impl Model {
    fn new(wanted: Measure) -> Model {
        let mut rng = Rng::new(wanted.seed ^ 0x676f_7373);
        let topics = (0..wanted.shards).map(Topic::Tasks);
        let overlay = |_| Overlay::new(topics.clone(), Default::default(), rng.fork());
        let join_us = (JOIN_MS.1 * 1_000 / wanted.nodes as u64).min(JOIN_MS.0 * 1_000);
        let nodes: Vec<Overlay> = (0..wanted.nodes).map(overlay).collect();
        let mut model = Model {
            at_us: 0,
            queue: BTreeMap::new(),
            queued: 0,
            busy_until_us: vec![0; nodes.len()],
            nodes,
            arrived_us: BTreeMap::new(),
            peers: vec![BTreeSet::new(); wanted.nodes],
            gone: BTreeSet::new(),
            settled_us: wanted.nodes as u64 * join_us + SETTLE_MS * 1_000,
            received_bytes: 0,
            wanted,
            said_at_us: BTreeMap::new(),
            hops: BTreeMap::new(),
            times_us: Vec::new(),
            rng,
        };
        for slot in 0..wanted.nodes {
            model.after(slot as u64 * join_us, Event::Start(slot));
        }
        model
    }

    /// A node starts: it dials those that are there until it has enough neighbours.
    fn start(&mut self, slot: Slot) {
        let first = FIRST_HEARTBEAT_MS * 1_000 + self.rng.below(HEARTBEAT_MS * 1_000);
        self.after(first, Event::Heartbeat(slot));
        while self.peers[slot].len() < self.wanted.neighbours.min(slot) {
            let to = self.rng.below(slot as u64) as usize;
            if !self.peers[slot].insert(to) {
                continue;
            }
            self.peers[to].insert(slot);
            for (end, peer, outbound) in [(slot, to, true), (to, slot, false)] {
                let mut outbox = Outbox::new();
                self.nodes[end].up(self.at_us / 1_000, peer, outbound, &mut outbox);
                self.send(end, outbox);
            }
        }
    }

    fn after(&mut self, us: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.at_us + us, self.queued), event);
    }

    fn send(&mut self, from: Slot, outbox: Outbox) {
        for (to, rpc) in outbox {
            let us = self.wanted.link_us + LINK_US + waited(&mut self.rng, CORE_WAIT_US);
            // What is said over one link comes in its order.
            let at = self.arrived_us.entry((from, to)).or_default();
            *at = (*at).max(self.at_us + us);
            let after = *at - self.at_us;
            self.after(after, Event::Arrives(to, from, rpc));
        }
    }

    fn happens(&mut self, event: Event) {
        let (now, mut outbox) = (self.at_us / 1_000, Outbox::new());
        let from = match event {
            Event::Start(slot) => return self.start(slot),
            Event::Gone => return self.fall_silent(),
            Event::Arrives(slot, ..) | Event::Checked(slot, ..) | Event::Heartbeat(slot)
                if self.gone.contains(&slot) =>
            {
                return;
            }
            Event::Arrives(to, from, rpc) => {
                if self.at_us >= self.settled_us {
                    self.received_bytes += length(&rpc, self.wanted.bytes) as u64;
                }
                if let Some((packet, hops)) = self.nodes[to].receive(now, from, rpc, &mut outbox) {
                    let begins = self.busy_until_us[to].max(self.at_us);
                    self.busy_until_us[to] = begins + CHECK_US + waited(&mut self.rng, CORE_WAIT_US);
                    self.after(self.busy_until_us[to] - self.at_us, Event::Checked(to, packet, hops));
                }
                to
            }
            Event::Checked(slot, packet, hops) => {
                *self.hops.entry(hops).or_default() += 1;
                self.times_us.push(self.at_us - self.said_at_us[&packet.id]);
                self.nodes[slot].verdict(&packet.id, Verdict::Accept, &mut outbox);
                slot
            }
            Event::Heartbeat(slot) => {
                self.after(HEARTBEAT_MS * 1_000, Event::Heartbeat(slot));
                self.nodes[slot].heartbeat(now, &mut outbox);
                slot
            }
            Event::Publish(n) => {
                let slot = self.present();
                let topic = Topic::Tasks((n % u64::from(self.wanted.shards)) as u8);
                let packet = Packet::new(&FEDERATION, topic, &n.to_le_bytes());
                self.said_at_us.insert(packet.id, self.at_us);
                self.nodes[slot].publish(now, packet, &mut outbox);
                slot
            }
        };
        self.send(from, outbox);
    }

    fn fall_silent(&mut self) {
        let silent = self.nodes.len() * self.wanted.gone_percent as usize / 100;
        while self.gone.len() < silent {
            let slot = self.present();
            self.gone.insert(slot);
        }
    }

    /// One of the nodes that are not silent.
    fn present(&mut self) -> Slot {
        loop {
            let slot = self.rng.below(self.nodes.len() as u64) as usize;
            if !self.gone.contains(&slot) {
                return slot;
            }
        }
    }

    fn tell(mut self) -> Measured {
        self.times_us.sort_unstable();
        let deliveries = self.times_us.len() as u64;
        let hearers = (self.nodes.len() - self.gone.len()) as u64 - 1;
        let wanted_deliveries = (self.wanted.messages * hearers).max(1);
        let sum = |of: fn(&Overlay) -> u64| self.nodes.iter().map(of).sum::<u64>() as f64;
        let at = |permille: u64| {
            let last = deliveries.saturating_sub(1);
            self.times_us.get((deliveries * permille / 1_000).min(last) as usize).copied().unwrap_or_default()
        };
        let hops: u64 = self.hops.iter().map(|(hops, count)| u64::from(*hops) * count).sum();
        Measured {
            copies: sum(|node| node.traffic().copies) / wanted_deliveries as f64,
            reached_permille: deliveries * 1_000 / wanted_deliveries,
            hops_mean: hops as f64 / deliveries.max(1) as f64,
            time_us: (at(500), at(990), at(1_000)),
            announced: sum(|node| node.traffic().announced) / wanted_deliveries as f64,
            bytes: self.received_bytes as f64 / wanted_deliveries as f64,
            hops: self.hops,
        }
    }
}

/// How many bytes go over the link where each message has so many.
fn length(rpc: &Rpc, bytes: usize) -> usize {
    let named = |topic: &Topic| topic.name(&FEDERATION).len() + FRAME_BYTES;
    match rpc {
        Rpc::Publish(packet, _) => named(&packet.topic) + bytes,
        Rpc::IHave(topic, ids) => named(topic) + ids.len() * ID_BYTES,
        Rpc::IWant(ids) => FRAME_BYTES + ids.len() * ID_BYTES,
        Rpc::Graft(topic) | Rpc::Prune(topic) => named(topic),
    }
}

/// A wait with this mean that is as likely to end in each moment as in any other (geometric, in sixteenths of the mean).
fn waited(rng: &mut Rng, mean_us: u64) -> u64 {
    let mut us = 0;
    while rng.below(17) != 0 {
        us += mean_us / 16;
    }
    us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_hears_everything_in_few_hops_and_as_often_again_the_same() {
        let wanted = Measure { messages: 40, ..Measure::default() };
        let measured = measure(wanted);
        assert_eq!(measured.reached_permille, 1_000);
        // A node in whose mesh are six to nine others gets a copy from most of them.
        assert!((2.0..9.0).contains(&measured.copies), "{measured:?}");
        assert!(measured.hops.keys().all(|hops| *hops <= 6), "{measured:?}");
        assert_eq!(measure(wanted), measured);
        assert_ne!(measure(Measure { seed: 2, ..wanted }), measured);
    }

    #[test]
    fn a_fifth_that_falls_silent_keeps_nobody_else_from_hearing() {
        let wanted = Measure { nodes: 100, messages: 40, shards: 1, gone_percent: 20, ..Measure::default() };
        let measured = measure(wanted);
        assert!(measured.reached_permille >= 999, "{measured:?}");
        let all = measure(Measure { gone_percent: 0, ..wanted });
        assert!(measured.copies < all.copies, "who is silent sends no copies: {measured:?} {all:?}");
    }

    #[test]
    fn longer_messages_over_longer_links_cost_bytes_and_time() {
        let short = measure(Measure { messages: 40, ..Measure::default() });
        let long = measure(Measure { messages: 40, bytes: 1_300, link_us: 50_000, ..Measure::default() });
        assert!(long.bytes > short.bytes + 900.0 * short.copies, "{short:?} {long:?}");
        assert!(long.time_us.0 > 2 * 50_000, "half are more than one link away: {long:?}");
    }
}
