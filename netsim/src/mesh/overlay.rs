//! A model of gossipsub as `node/mesh/src/gossip.rs` sets it up: who is in whose mesh, what is pushed, announced and asked
//! for, what is remembered. It knows no clock, no link and no meaning; what a new message is worth is its owner's verdict,
//! and nothing is passed on before that.
//!
//! Source: libp2p-gossipsub 0.50 (`behaviour.rs`), gossipsub v1.1. Left out: scores but for who is dropped, IDONTWANT (for
//! messages above 16 KiB alone), queue limits, and that whoever says something on a topic which it does not follow itself goes on
//! with the same neighbours for a minute (they are drawn anew each time).

use super::packet::{Id, Packet, Slot};
use crate::rng::Rng;
use artel_protocol::topic::Topic;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many neighbours carry a topic: wanted, at least, at most (`GOSSIP_MESH`).
pub const MESH: (usize, usize, usize) = (6, 4, 9);

/// How many of them this node should have dialled itself.
const OUTBOUND_MIN: usize = 2;

/// Milliseconds between heartbeats.
pub const HEARTBEAT_MS: u64 = 1_000;

/// Milliseconds from a start to the first heartbeat.
pub const FIRST_HEARTBEAT_MS: u64 = 5_000;

/// Over how many heartbeats messages are kept, and over how many of these they are announced.
const HISTORY: (usize, usize) = (5, 3);

/// To how many neighbours outside the mesh at least each heartbeat announces, or to a quarter of them.
const LAZY: usize = 6;

/// How long nobody is grafted who was pruned, in milliseconds.
const BACKOFF_MS: u64 = 60_000;

/// How long ids are remembered, in milliseconds (`GOSSIP_SEEN`).
pub const SEEN_MS: u64 = 60_000;

/// How often one neighbour gets one message that it asks for.
const ANSWERS_MAX: u32 = 3;

/// How many announcements of a neighbour are read between two heartbeats.
const ANNOUNCED_MAX: u32 = 10;

/// How many ids are announced at once (`GOSSIP_IDS_SENT_MAX`).
const IDS_MAX: usize = 690;

/// What one node says to another for gossip's sake.
#[derive(Debug, Clone)]
pub enum Rpc {
    /// A message, and over how many links it came so far.
    Publish(Packet, u32),
    /// These messages of a topic are here.
    IHave(Topic, Vec<Id>),
    /// Send these.
    IWant(Vec<Id>),
    /// You are in my mesh of this topic.
    Graft(Topic),
    /// You are not.
    Prune(Topic),
}

/// The owner's word on a new message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is passed on.
    Accept,
    /// It is not, and nobody is to blame.
    Ignore,
    /// It is not, and whoever sent it is to blame.
    Reject,
}

/// Where the shipped order is broken on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flaws {
    /// Every copy is taken for a new message.
    pub forgets: bool,
    /// Messages are passed on before the verdict.
    pub hasty: bool,
    /// Messages go to neighbours that do not follow their topic.
    pub heedless: bool,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Copies of messages that came in.
    pub copies: u64,
    /// Of those, the ones that were known already.
    pub repeats: u64,
    /// Announcements that were sent.
    pub announced: u64,
    /// Messages that were asked for.
    pub asked: u64,
}

struct Peer {
    outbound: bool,
    announcements: u32,
    /// What it does not listen to.
    unfollowed: BTreeSet<Topic>,
}

impl Peer {
    fn listens(&self, topic: Topic) -> bool {
        !self.unfollowed.contains(&topic)
    }
}

struct Cached {
    packet: Packet,
    hops: u32,
    passed: bool,
    /// Who has it, for it sent a copy.
    from: BTreeSet<Slot>,
    answers: BTreeMap<Slot, u32>,
}

/// One node's part in the overlay.
pub struct Overlay {
    peers: BTreeMap<Slot, Peer>,
    mesh: BTreeMap<Topic, BTreeSet<Slot>>,
    backoffs: BTreeMap<(Topic, Slot), u64>,
    seen: BTreeMap<Id, u64>,
    seen_order: VecDeque<(u64, Id)>,
    cache: BTreeMap<Id, Cached>,
    windows: VecDeque<Vec<Id>>,
    flaws: Flaws,
    rng: Rng,
    traffic: Traffic,
}

/// Messages to be sent.
pub type Outbox = Vec<(Slot, Rpc)>;

impl Overlay {
    /// A node without neighbours that listens to these topics.
    pub fn new(topics: impl Iterator<Item = Topic>, flaws: Flaws, rng: Rng) -> Overlay {
        Overlay {
            peers: BTreeMap::new(),
            mesh: topics.map(|topic| (topic, BTreeSet::new())).collect(),
            backoffs: BTreeMap::new(),
            seen: BTreeMap::new(),
            seen_order: VecDeque::new(),
            cache: BTreeMap::new(),
            windows: VecDeque::from([Vec::new()]),
            flaws,
            rng,
            traffic: Traffic::default(),
        }
    }

    /// What was counted.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Who is in the mesh of a topic.
    pub fn mesh(&self, topic: Topic) -> impl Iterator<Item = Slot> + '_ {
        self.mesh.get(&topic).into_iter().flatten().copied()
    }

    /// The topics that this node listens to.
    pub fn follows(&self) -> BTreeSet<Topic> {
        self.mesh.keys().copied().collect()
    }

    /// A neighbour came up; it listens to everything. Where a mesh is thin it is grafted at once.
    pub fn up(&mut self, now: u64, peer: Slot, outbound: bool, out: &mut Outbox) {
        self.up_with(now, peer, outbound, BTreeSet::new(), out);
    }

    /// A neighbour came up that listens to everything but these.
    pub fn up_with(
        &mut self,
        now: u64,
        peer: Slot,
        outbound: bool,
        unfollowed: BTreeSet<Topic>,
        out: &mut Outbox,
    ) {
        let unfollowed = if self.flaws.heedless { BTreeSet::new() } else { unfollowed };
        self.peers.insert(peer, Peer { outbound, announcements: 0, unfollowed });
        let topics: Vec<Topic> = self.mesh.keys().copied().collect();
        topics.into_iter().for_each(|topic| self.fill(now, peer, topic, out));
    }

    /// A neighbour listens to one topic more.
    pub fn follows_too(&mut self, now: u64, peer: Slot, topic: Topic, out: &mut Outbox) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.unfollowed.remove(&topic);
            self.fill(now, peer, topic, out);
        }
    }

    /// This node listens to one topic more.
    pub fn follow(&mut self, now: u64, topic: Topic, out: &mut Outbox) {
        if self.mesh.contains_key(&topic) {
            return;
        }
        let rests = |peer: &Slot| self.backoffs.get(&(topic, *peer)).is_some_and(|until| *until > now);
        let fits = self.peers.iter().filter(|(peer, state)| state.listens(topic) && !rests(peer));
        let fits: Vec<Slot> = fits.map(|(peer, _)| *peer).collect();
        let some = draw(&mut self.rng, fits, MESH.0);
        out.extend(some.iter().map(|peer| (*peer, Rpc::Graft(topic))));
        self.mesh.insert(topic, some.into_iter().collect());
    }

    /// Grafts a neighbour that listens to a topic where the mesh is thin.
    fn fill(&mut self, now: u64, peer: Slot, topic: Topic, out: &mut Outbox) {
        let listens = self.peers.get(&peer).is_some_and(|state| state.listens(topic));
        let Some(mesh) = self.mesh.get_mut(&topic).filter(|_| listens) else { return };
        let resting = self.backoffs.get(&(topic, peer)).is_some_and(|until| *until > now);
        if mesh.len() < MESH.1 && !resting && mesh.insert(peer) {
            out.push((peer, Rpc::Graft(topic)));
        }
    }

    /// A neighbour went down.
    pub fn down(&mut self, peer: Slot) {
        self.peers.remove(&peer);
        self.mesh.values_mut().for_each(|mesh| {
            mesh.remove(&peer);
        });
    }

    /// Says something new; nothing where it was said before.
    pub fn publish(&mut self, now: u64, packet: Packet, out: &mut Outbox) {
        if self.seen.contains_key(&packet.id) {
            return;
        }
        let mesh = self.mesh.get(&packet.topic).cloned().unwrap_or_default();
        let mut to: Vec<Slot> = mesh.iter().copied().collect();
        let more = self.listeners(packet.topic, &mesh);
        to.extend(draw(&mut self.rng, more, MESH.0.saturating_sub(mesh.len())));
        if to.is_empty() {
            return;
        }
        self.remember(now, packet.id);
        self.store(&packet, 0, true, None);
        out.extend(to.into_iter().map(|peer| (peer, Rpc::Publish(packet.clone(), 1))));
    }

    /// The neighbours that listen to a topic and are not in its mesh.
    fn listeners(&self, topic: Topic, mesh: &BTreeSet<Slot>) -> Vec<Slot> {
        let outside = self.peers.iter().filter(|(peer, state)| !mesh.contains(peer) && state.listens(topic));
        outside.map(|(peer, _)| *peer).collect()
    }

    /// Hears a neighbour; answers with a message that waits for a verdict, and over how many links it came.
    pub fn receive(&mut self, now: u64, from: Slot, rpc: Rpc, out: &mut Outbox) -> Option<(Packet, u32)> {
        match rpc {
            Rpc::Publish(packet, hops) => return self.message(now, from, (packet, hops), out),
            Rpc::IHave(topic, ids) => self.announced(now, from, topic, &ids, out),
            Rpc::IWant(ids) => self.wanted(from, &ids, out),
            Rpc::Graft(topic) => self.grafted(now, from, topic, out),
            Rpc::Prune(topic) => {
                self.mesh.get_mut(&topic).map(|mesh| mesh.remove(&from));
                self.backoffs.insert((topic, from), now + BACKOFF_MS);
            }
        }
        None
    }

    fn message(
        &mut self,
        now: u64,
        from: Slot,
        (packet, hops): (Packet, u32),
        out: &mut Outbox,
    ) -> Option<(Packet, u32)> {
        self.traffic.copies += 1;
        if self.seen.contains_key(&packet.id) {
            self.traffic.repeats += 1;
            if let Some(cached) = self.cache.get_mut(&packet.id) {
                cached.from.insert(from);
            }
            if !self.flaws.forgets {
                return None;
            }
        }
        self.remember(now, packet.id);
        self.store(&packet, hops, false, Some(from));
        if self.flaws.hasty {
            self.verdict(&packet.id, Verdict::Accept, out);
        }
        Some((packet, hops))
    }

    /// The owner's word on a message.
    pub fn verdict(&mut self, id: &Id, verdict: Verdict, out: &mut Outbox) {
        if verdict != Verdict::Accept {
            self.cache.remove(id);
            return;
        }
        let Some(cached) = self.cache.get_mut(id) else { return };
        if std::mem::replace(&mut cached.passed, true) {
            return;
        }
        let mesh = self.mesh.get(&cached.packet.topic).into_iter().flatten();
        let to = mesh.filter(|peer| !cached.from.contains(peer));
        out.extend(to.map(|peer| (*peer, Rpc::Publish(cached.packet.clone(), cached.hops + 1))));
    }

    fn announced(&mut self, now: u64, from: Slot, topic: Topic, ids: &[Id], out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.announcements += 1;
        if peer.announcements > ANNOUNCED_MAX || !self.mesh.contains_key(&topic) {
            return;
        }
        let is_new = |id: &&Id| self.seen.get(*id).is_none_or(|until| *until <= now);
        let wanted: Vec<Id> = ids.iter().filter(is_new).take(IDS_MAX).copied().collect();
        if !wanted.is_empty() {
            self.traffic.asked += wanted.len() as u64;
            out.push((from, Rpc::IWant(wanted)));
        }
    }

    fn wanted(&mut self, from: Slot, ids: &[Id], out: &mut Outbox) {
        for id in ids {
            let Some(cached) = self.cache.get_mut(id).filter(|cached| cached.passed) else { continue };
            let answers = cached.answers.entry(from).or_default();
            *answers += 1;
            if *answers <= ANSWERS_MAX {
                out.push((from, Rpc::Publish(cached.packet.clone(), cached.hops + 1)));
            }
        }
    }

    fn grafted(&mut self, now: u64, from: Slot, topic: Topic, out: &mut Outbox) {
        let Some(peer) = self.peers.get(&from) else { return };
        let Some(mesh) = self.mesh.get_mut(&topic).filter(|mesh| !mesh.contains(&from)) else { return };
        let resting = self.backoffs.get(&(topic, from)).is_some_and(|until| *until > now);
        if resting || mesh.len() >= MESH.2 && !peer.outbound {
            self.backoffs.insert((topic, from), now + BACKOFF_MS);
            out.push((from, Rpc::Prune(topic)));
        } else {
            mesh.insert(from);
        }
    }

    /// Once a second: meshes are filled up and cut down, what is new is announced, old messages are forgotten.
    pub fn heartbeat(&mut self, now: u64, out: &mut Outbox) {
        self.peers.values_mut().for_each(|peer| peer.announcements = 0);
        self.backoffs.retain(|_, until| *until + HEARTBEAT_MS > now);
        let topics: Vec<Topic> = self.mesh.keys().copied().collect();
        for topic in topics {
            self.tend(now, topic, out);
        }
        self.announce(out);
        self.windows.push_front(Vec::new());
        if self.windows.len() > HISTORY.0 {
            for id in self.windows.pop_back().into_iter().flatten() {
                self.cache.remove(&id);
            }
        }
        while let Some((until, id)) = self.seen_order.front().copied().filter(|(until, _)| *until <= now) {
            self.seen_order.pop_front();
            if self.seen.get(&id) == Some(&until) {
                self.seen.remove(&id);
            }
        }
    }

    fn tend(&mut self, now: u64, topic: Topic, out: &mut Outbox) {
        let mut mesh = self.mesh.remove(&topic).unwrap_or_default();
        let outbound = |peer: &Slot| self.peers.get(peer).is_some_and(|peer| peer.outbound);
        let free = |mesh: &BTreeSet<Slot>, outbound_only: bool| -> Vec<Slot> {
            let fits = |peer: &&Slot| {
                !mesh.contains(peer)
                    && self.peers[*peer].listens(topic)
                    && !self.backoffs.contains_key(&(topic, **peer))
                    && (!outbound_only || outbound(peer))
            };
            self.peers.keys().filter(fits).copied().collect()
        };
        let mut grafts = Vec::new();
        if mesh.len() < MESH.1 {
            grafts = draw(&mut self.rng, free(&mesh, false), MESH.0 - mesh.len());
        }
        mesh.extend(&grafts);
        if mesh.len() >= MESH.2 {
            let mut own = mesh.iter().filter(|peer| outbound(peer)).count();
            let (mut excess, shuffled) =
                (mesh.len() - MESH.0, draw(&mut self.rng, mesh.iter().copied().collect(), mesh.len()));
            for peer in shuffled {
                if excess == 0 || outbound(&peer) && own <= OUTBOUND_MIN {
                    continue;
                }
                own -= usize::from(outbound(&peer));
                excess -= 1;
                mesh.remove(&peer);
                self.backoffs.insert((topic, peer), now + BACKOFF_MS);
                out.push((peer, Rpc::Prune(topic)));
            }
        }
        let own = mesh.iter().filter(|peer| self.peers.get(peer).is_some_and(|peer| peer.outbound)).count();
        if mesh.len() >= MESH.1 && own < OUTBOUND_MIN {
            let fits = |(peer, state): &(&Slot, &Peer)| {
                let is_free = !mesh.contains(peer) && !self.backoffs.contains_key(&(topic, **peer));
                state.outbound && state.listens(topic) && is_free
            };
            let free: Vec<Slot> = self.peers.iter().filter(fits).map(|(peer, _)| *peer).collect();
            let more = draw(&mut self.rng, free, OUTBOUND_MIN - own);
            mesh.extend(&more);
            grafts.extend(more);
        }
        out.extend(grafts.into_iter().map(|peer| (peer, Rpc::Graft(topic))));
        self.mesh.insert(topic, mesh);
    }

    fn announce(&mut self, out: &mut Outbox) {
        let mut ids: BTreeMap<Topic, Vec<Id>> = BTreeMap::new();
        for id in self.windows.iter().take(HISTORY.1).flatten() {
            if let Some(cached) = self.cache.get(id).filter(|cached| cached.passed) {
                ids.entry(cached.packet.topic).or_default().push(*id);
            }
        }
        for (topic, ids) in ids {
            let outside = match self.mesh.get(&topic) {
                Some(mesh) => self.listeners(topic, mesh),
                // What it says on a topic that it does not follow itself.
                None => self.listeners(topic, &BTreeSet::new()),
            };
            let count = LAZY.max(outside.len() / 4);
            for peer in draw(&mut self.rng, outside, count) {
                let mut some = ids.clone();
                if some.len() > IDS_MAX {
                    some = draw(&mut self.rng, some, IDS_MAX);
                }
                self.traffic.announced += 1;
                out.push((peer, Rpc::IHave(topic, some)));
            }
        }
    }

    fn remember(&mut self, now: u64, id: Id) {
        self.seen.insert(id, now + SEEN_MS);
        self.seen_order.push_back((now + SEEN_MS, id));
    }

    fn store(&mut self, packet: &Packet, hops: u32, passed: bool, from: Option<Slot>) {
        let from = from.into_iter().collect();
        let cached = Cached { packet: packet.clone(), hops, passed, from, answers: BTreeMap::new() };
        self.cache.insert(packet.id, cached);
        self.windows.front_mut().expect("there is always one").push(packet.id);
    }
}

/// Some of several, at most `count`, in a drawn order.
fn draw<T>(rng: &mut Rng, mut from: Vec<T>, count: usize) -> Vec<T> {
    let count = count.min(from.len());
    for at in 0..count {
        let other = at + rng.below((from.len() - at) as u64) as usize;
        from.swap(at, other);
    }
    from.truncate(count);
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::FederationId;

    #[test]
    fn what_is_said_of_a_shard_goes_to_those_who_follow_it() {
        let shard = Topic::Tasks(3);
        let packet = |data: &[u8]| Packet::new(&FederationId([7; 32]), shard, data);
        let told = |out: &Outbox| -> Vec<Slot> {
            let publishes = out.iter().filter(|(_, rpc)| matches!(rpc, Rpc::Publish(..)));
            publishes.map(|(to, _)| *to).collect()
        };
        let mut overlay = Overlay::new([Topic::Heads].into_iter(), Flaws::default(), Rng::new(1));
        let mut out = Vec::new();
        overlay.up_with(0, 1, true, BTreeSet::from([shard]), &mut out);
        overlay.publish(0, packet(b"nobody listens"), &mut out);
        assert!(told(&out).is_empty());
        overlay.up(0, 2, true, &mut out);
        overlay.publish(0, packet(b"one does"), &mut out);
        assert_eq!(told(&out), [2]);
        overlay.follows_too(0, 1, shard, &mut out);
        overlay.follow(0, shard, &mut out);
        assert_eq!(overlay.mesh(shard).collect::<Vec<_>>(), [1, 2]);
        out.clear();
        overlay.heartbeat(0, &mut out);
        overlay.publish(0, packet(b"both do"), &mut out);
        assert_eq!(told(&out), [1, 2]);
    }
}
