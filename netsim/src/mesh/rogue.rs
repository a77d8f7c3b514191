//! A member that lies: it was admitted as others are, and then says what no honest node says. What it gets for it is the
//! invariants' business.

use super::forger::ForgedLog;
use super::mail::Mail;
use super::member::{Hello, key_of, wall};
use super::overlay::Rpc;
use super::packet::{Packet, Slot};
use super::truth::Truth;
use crate::rng::Rng;
use artel_federation::Fact;
use artel_federation::fact::{Admitted, AdmittedBy, Expelled, Refused, Started};
use artel_protocol::codec::{Encode, Frame};
use artel_protocol::continuity::{Continued, Shown};
use artel_protocol::hello::CHAIN_LINKS_MAX;
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::NodeId;
use artel_protocol::log::{Checkpoint, Hash};
use artel_protocol::record::Records;
use artel_protocol::sync::{Mark, Message};
use artel_protocol::topic::Topic;
use artel_protocol::witness::{Contradiction, FRAUD_KIND, Signed, VERSION};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The rogue's place.
pub const ROGUE: Slot = 1 << 20;

/// The place of whoever it tries to bring in.
pub const STRANGER: Slot = ROGUE + 1;

/// How many messages of others it remembers.
const CAUGHT_MAX: usize = 8;

/// How many bytes each record of its flood has, how many of them are in a frame, and how many frames there are.
const FLOOD: (usize, u64, u64) = (12 << 10, 4, 8);

/// What it does at a time.
const ACTS: u64 = 15;

/// The member that lies.
pub struct Rogue {
    /// Who it is.
    pub node: NodeId,
    /// What lets it in.
    pub chain: Vec<Vec<u8>>,
    /// Its neighbours.
    pub up: BTreeMap<Slot, NodeId>,
    federation: FederationId,
    log: ForgedLog,
    other: ForgedLog,
    stranger: ForgedLog,
    foreign: ForgedLog,
    flood: ForgedLog,
    flooded: u64,
    children: Vec<ForgedLog>,
    caught: VecDeque<Packet>,
    rng: Rng,
}

impl Rogue {
    /// A rogue with some entries to begin with.
    pub fn new(truth: &mut Truth, mut rng: Rng) -> Rogue {
        let (secret, federation) = (Arc::new(key_of(ROGUE)), truth.federation);
        let node = NodeId(secret.public());
        truth.liars.insert(node);
        let mut log = ForgedLog::new(truth, secret.clone(), federation, 0);
        for boot in 1..=3 {
            log.push_fact(truth, wall(0), started(boot));
        }
        let mut other = log.fork(truth, 2);
        (7..12).for_each(|boot| other.push_fact(truth, wall(1), started(boot)));
        let mut stranger = ForgedLog::new(truth, Arc::new(key_of(STRANGER)), federation, 0);
        (1..5).for_each(|boot| stranger.push_fact(truth, wall(0), started(boot)));
        let mut foreign = ForgedLog::new(truth, secret.clone(), FederationId([rng.below(200) as u8; 32]), 0);
        (1..5).for_each(|boot| foreign.push_fact(truth, wall(0), started(boot)));
        let mut flood = ForgedLog::new(truth, secret, federation, 1);
        for n in 0..FLOOD.1 * FLOOD.2 {
            let mut body = Vec::new();
            Frame::append(0x7ff0, 1, &vec![n as u8; FLOOD.0], &mut body);
            flood.push(truth, body);
        }
        let children = Self::children(truth, federation, &mut log);
        Rogue {
            node,
            chain: Vec::new(),
            up: BTreeMap::new(),
            federation,
            log,
            other,
            stranger,
            foreign,
            flood,
            flooded: 0,
            children,
            caught: VecDeque::new(),
            rng,
        }
    }

    /// A line of nodes, each let in by the one before it, that is longer than a chain may be.
    fn children(truth: &mut Truth, federation: FederationId, log: &mut ForgedLog) -> Vec<ForgedLog> {
        let key = |n: usize| key_of(ROGUE + 10 + n);
        let admits = |n: usize| {
            let (node, by) = (NodeId(key(n).public()), AdmittedBy::Operator);
            Fact::Admitted(Admitted { node, by })
        };
        log.push_fact(truth, wall(0), admits(0));
        let child = |n: usize| {
            let mut child = ForgedLog::new(truth, Arc::new(key(n)), federation, 0);
            child.push_fact(truth, wall(0), admits(n + 1));
            child
        };
        (0..CHAIN_LINKS_MAX).map(child).collect()
    }

    /// The hello of the last of these, or of one who is no member at all.
    pub fn false_hello(&mut self) -> Hello {
        if self.rng.chance(500) {
            return Hello { node: self.stranger.origin().node(), chain: Vec::new(), secret: None };
        }
        let node = NodeId(key_of(ROGUE + 10 + CHAIN_LINKS_MAX).public());
        let own = self.log.frame(&[3]);
        let chain = self.children.iter().rev().map(|child| child.frame(&[0])).chain([own]);
        Hello { node, chain: chain.chain(self.chain.iter().cloned()).collect(), secret: None }
    }

    /// Its own hello.
    pub fn hello(&self) -> Hello {
        Hello { node: self.node, chain: self.chain.clone(), secret: None }
    }

    /// Something that it does, to whom it is done and the kind of it.
    pub fn act(&mut self, truth: &mut Truth, at: u64, victim: NodeId) -> (u64, Vec<(Slot, Mail)>) {
        let act = self.rng.below(ACTS);
        let (topic, data) = match act {
            0 => self.tampered(),
            1 => (Topic::Agents, self.foreign.frame(&[1, 2])),
            2 => (Topic::Agents, self.stranger.frame(&[1, 2])),
            3 => (Topic::Trust, self.log.frame(&[1])),
            4 => self.private(truth, at),
            5 => {
                self.log.push_fact(truth, wall(at), started(at));
                (Topic::Agents, self.log.frame(&[self.log.size() - 1]))
            }
            6 => (Topic::Heads, self.log.head(0)),
            7 => (Topic::Heads, self.other_head(truth, at)),
            8 => self.false_fraud(),
            9 => (Topic::Trust, frame_of(0x7001, &at)),
            10 => (Topic::Agents, vec![at as u8; 30]),
            11 => (Topic::Heads, self.stranger.head(0)),
            12 => {
                let fact = Fact::Expelled(Expelled { node: victim, reason: "a lie".into() });
                self.log.push_fact(truth, wall(at), fact);
                (Topic::Agents, self.log.frame(&[self.log.size() - 1]))
            }
            13 => {
                let old = self.log.checkpoint();
                self.log.push_fact(truth, wall(at), started(at));
                (Topic::Heads, self.log.head(old.size()))
            }
            _ => return (act, self.send_flood()),
        };
        let to: Vec<Slot> = self.up.keys().copied().collect();
        let to = if self.rng.chance(500) { to } else { self.rng.pick(&to).copied().into_iter().collect() };
        let packet = Packet::new(&self.federation, topic, &data);
        (act, to.into_iter().map(|slot| (slot, publish(&packet))).collect())
    }

    /// One byte of a frame is another one.
    fn tampered(&mut self) -> (Topic, Vec<u8>) {
        let caught: Vec<Packet> = self.caught.iter().cloned().collect();
        let (topic, mut data) = match self.rng.pick(&caught) {
            Some(packet) => (packet.topic, packet.data.to_vec()),
            None => (Topic::Agents, self.log.frame(&[0, 1])),
        };
        let at = self.rng.between(8, data.len() as u64 - 1) as usize;
        data[at] ^= 1 << self.rng.below(8);
        (topic, data)
    }

    /// A private fact in a public entry, of a journal of its own (so that its first one stays good).
    fn private(&mut self, truth: &mut Truth, at: u64) -> (Topic, Vec<u8>) {
        let mut log = ForgedLog::new(truth, Arc::new(key_of(ROGUE)), self.federation, 2 + at as u32);
        let who = artel_federation::fact::Poster::Operator;
        log.push_fact(truth, wall(at), Fact::Refused(Refused { who, code: "x".into(), count: 1 }));
        (Topic::Trust, log.frame(&[0]))
    }

    /// A head of its other history, of the same size as its first or larger.
    fn other_head(&mut self, truth: &mut Truth, at: u64) -> Vec<u8> {
        let size = self.log.size() + self.rng.below(2);
        while self.other.size() < size {
            self.other.push_fact(truth, wall(at), started(self.other.size()));
        }
        self.other.head(self.rng.below(2))
    }

    /// A proof of fraud against an honest node that proves nothing.
    fn false_fraud(&mut self) -> (Topic, Vec<u8>) {
        let records = |packet: &Packet| Records::check(&packet.data, &self.federation).ok();
        let Some(records) = self.caught.iter().find_map(records) else {
            return (Topic::Heads, vec![1, 2, 3]);
        };
        let one = Signed::from(records.checkpoint());
        let root = Hash([self.rng.below(256) as u8; 32]);
        let checkpoint =
            Checkpoint::new(one.checkpoint.origin(), one.checkpoint.size(), root).expect("its size");
        let other = Signed { checkpoint, signature: one.signature };
        let mut frame = Vec::new();
        Frame::append(FRAUD_KIND, VERSION, &Contradiction::TwoRoots { one, other }, &mut frame);
        (Topic::Heads, frame)
    }

    fn send_flood(&mut self) -> Vec<(Slot, Mail)> {
        let mut mails = Vec::new();
        for _ in 0..3 {
            let first = self.flooded % FLOOD.2 * FLOOD.1;
            self.flooded += 1;
            let data = self.flood.frame(&(first..first + FLOOD.1).collect::<Vec<_>>());
            let packet = Packet::new(&self.federation, Topic::Trust, &data);
            mails.extend(self.up.keys().map(|slot| (*slot, publish(&packet))));
        }
        mails
    }

    /// What it answers.
    pub fn hear(&mut self, from: Slot, mail: Mail) -> Vec<(Slot, Mail)> {
        match mail {
            Mail::Gossip(Rpc::Publish(packet, _)) => {
                if self.caught.len() == CAUGHT_MAX {
                    self.caught.pop_front();
                }
                self.caught.push_back(packet);
                Vec::new()
            }
            Mail::Sync { stream, step, question } => match self.answer(question) {
                Some(answer) => vec![(from, Mail::Synced { stream, step, answer })],
                None => Vec::new(),
            },
            // It proves nothing, in the right form, or says nothing.
            Mail::Prove { call, ask } => {
                let nothing = Continued { root: Hash([3; 32]), proof: vec![Hash([4; 32])] };
                let shown = Shown::new(self.log.checkpoint(), vec![nothing; ask.sizes().len()]);
                let shown = self.rng.chance(700).then(|| shown.to_frame());
                vec![(from, Mail::Proof { call, shown })]
            }
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, question: Message) -> Option<Vec<Message>> {
        if self.rng.chance(400) {
            return None;
        }
        let own = Mark { origin: self.log.origin(), next: self.log.size() };
        match question {
            Message::Ask(_) if self.rng.chance(700) => Some(vec![Message::Marks(vec![own])]),
            Message::Ask(_) => {
                // Somebody else's records, more than there are.
                let caught =
                    self.caught.iter().find_map(|p| Records::check(&p.data, &self.federation).ok())?;
                let origin = caught.origin();
                Some(vec![Message::Marks(vec![Mark { origin, next: 1 << 30 }])])
            }
            Message::Want(want) if want.origin == own.origin && want.next < self.log.size() => {
                let positions: Vec<u64> = (want.next..self.log.size()).collect();
                let frame = Message::Records(self.log.frame(&positions));
                Some(vec![frame, Message::End { next: self.log.size() }])
            }
            Message::Want(want) => {
                Some(vec![Message::Records(self.log.frame(&[1])), Message::End { next: want.next }])
            }
            _ => None,
        }
    }
}

fn started(boot: u64) -> Fact {
    Fact::Started(Started { boot, version: "rogue".into(), configuration: Digest::of(b"") })
}

fn publish(packet: &Packet) -> Mail {
    Mail::Gossip(Rpc::Publish(packet.clone(), 1))
}

fn frame_of<T: Encode>(kind: u16, value: &T) -> Vec<u8> {
    let mut frame = Vec::new();
    Frame::append(kind, 1, value, &mut frame);
    frame
}
