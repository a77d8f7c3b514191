//! Hellos and welcomes (`greeting.rs` and `hello.rs` of the shell): who a peer is, by the chain that it shows; letting
//! newcomers in, by asking the rules; and being let in.

use super::{Context, Does, Member, Out, Wake};
use crate::mesh::context::held;
use crate::mesh::invariants;
use crate::mesh::packet::Slot;
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::chain::{self, Link};
use artel_federation::effect::Code;
use artel_federation::{Entry, Fact, Principal, Reply, Request};
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::NodeId;
use artel_protocol::topic::Topic;
use std::collections::BTreeSet;

/// What a node says first.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Whose key the transport proved.
    pub node: NodeId,
    /// The frames of its admission and of those above it.
    pub chain: Vec<Vec<u8>>,
    /// The secret of its invitation, while it has no chain.
    pub secret: Option<InvitationSecret>,
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// Welcome; with the chain that it shows from now on where it was just let in.
    Welcome(Vec<Vec<u8>>),
    /// No.
    Refused,
}

impl Member {
    /// What this node says first.
    pub fn hello(&self) -> Hello {
        let secret = self.invited.and_then(|(_, secret)| secret).filter(|_| self.chain.is_empty());
        Hello { node: self.identity.node, chain: self.chain.clone(), secret }
    }

    /// Answers a hello.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn answer_hello(&mut self, context: &mut Context, hello: &Hello) -> Does<Judged> {
        let read = read_chain(context, &hello.chain);
        let live = self.live()?;
        let (mut links, mut broken) = (Vec::new(), None);
        for (at, found) in read.iter().enumerate() {
            let Some((author, index, Fact::Admitted(admitted))) = found else {
                broken = Some(chain::Error::Broken { at, reason: "it is no admission that holds" });
                break;
            };
            links.push(Link { author: *author, index: *index, admitted: admitted.clone() });
        }
        let words = live.exchange.words();
        let is_barred = words.is_barred(&hello.node, links.first());
        let membership = || chain::membership(&hello.node, &links, words);
        let judged = broken.map_or_else(membership, Err);
        let is_known = !hello.chain.is_empty() && live.exchange.is_member(&hello.node);
        let judged = match judged {
            // What it shows may be out of date: somebody else let it in since. Who shows nothing is to get its chain.
            Err(_) if is_known => Ok(()),
            Err(chain::Error::TooLong(_)) if context.is(MeshSabotage::ChainTooLong) => Ok(()),
            other => other,
        };
        match judged {
            Ok(()) => {
                for (author, index, fact) in read.iter().flatten() {
                    live.exchange.hear(*author, [(*index, fact)]);
                    live.heard.take(*author, *index, fact);
                }
                Ok(Judged::Welcome(Vec::new()))
            }
            Err(_) if is_barred => Ok(Judged::Refused),
            Err(_) => self.ask_rules(context, hello),
        }
    }

    fn ask_rules(&mut self, context: &mut Context, hello: &Hello) -> Does<Judged> {
        let request = Request::Admit { node: hello.node, secret: hello.secret };
        let mut answer = self.ask(context, Principal::Node(hello.node), request.clone())?;
        if context.is(MeshSabotage::StrangerWelcomed)
            && matches!(&answer, Some(Err(refusal)) if refusal.code == Code::InvitationNeeded)
        {
            answer = self.put(context, Principal::Operator, request)?;
        }
        let Some(Ok(Reply::Admitted { index: Some(index), .. })) = answer else { return Ok(Judged::Refused) };
        self.checkpoint(context)?;
        let me = self.identity.node;
        let live = self.live()?;
        let Ok(records) = live.journal.reader().records(&[index]) else { return Err(super::Stop::Down) };
        for record in records.records() {
            if let Ok(entry) = Entry::decode(&record.body) {
                live.exchange.hear(me, [(record.index, &entry.fact)]);
                live.heard.take(me, record.index, &entry.fact);
            }
        }
        let chain = std::iter::once(records.bytes().to_vec()).chain(self.chain.iter().cloned());
        Ok(Judged::Welcome(chain.collect()))
    }

    /// Hears a welcome; a newcomer takes the chain that it is given, where that holds.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn welcomed(&mut self, context: &mut Context, frames: Vec<Vec<u8>>) -> Does {
        if frames.is_empty() || !self.chain.is_empty() {
            return Ok(());
        }
        let read = read_chain(context, &frames);
        let me = self.identity.node;
        let live = self.live()?;
        let link = |found: &Option<(NodeId, u64, Fact)>| match found {
            Some((author, index, Fact::Admitted(admitted))) => {
                Some(Link { author: *author, index: *index, admitted: admitted.clone() })
            }
            _ => None,
        };
        let Some(links) = read.iter().map(link).collect::<Option<Vec<Link>>>() else { return Ok(()) };
        if live.exchange.judge_chain(&me, &links).is_err() {
            return Ok(());
        }
        for (author, index, fact) in read.iter().flatten() {
            live.exchange.hear(*author, [(*index, fact)]);
            live.heard.take(*author, *index, fact);
        }
        // The file is replaced whole: it holds this or nothing.
        self.chain = frames;
        Ok(())
    }

    /// A neighbour came up that does not follow some topics.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn up(
        &mut self,
        context: &mut Context,
        peer: (Slot, NodeId),
        outbound: bool,
        unfollowed: BTreeSet<Topic>,
    ) -> Does {
        let slot = self.slot;
        let (me, genesis) = (self.identity.node, self.genesis.clone());
        let live = self.live()?;
        let belongs = live.heard.members(&genesis, &me).contains(&peer.1)
            || live.heard.is_guest(&genesis, &me, &peer.1);
        held("invariant_neighbours_are_members", slot, invariants::neighbours_are_members(belongs, &peer.1))?;
        live.up.insert(peer.0, peer.1);
        let mut outbox = Vec::new();
        live.overlay.up_with(context.at, peer.0, outbound, unfollowed, &mut outbox);
        self.send_all(outbox)?;
        self.want_from(context, peer.0)
    }

    /// A neighbour went down.
    pub fn down(&mut self, peer: Slot) {
        if let Some(live) = &mut self.live
            && live.up.remove(&peer).is_some()
        {
            live.overlay.down(peer);
            if let Some(turn) = live.pulls.remove(&peer).and_then(|pull| pull.turn) {
                live.fetching.end(turn);
                self.out.push(Out::Later(0, Wake::TurnEnded));
            }
            live.again.remove(&peer);
            live.later.remove(&peer);
            self.out.push(Out::Later(self.rng.between(500, 2_000), Wake::Dial));
        }
    }
}

type Read = Vec<Option<(NodeId, u64, Fact)>>;

/// The one record of each of a chain's frames.
fn read_chain(context: &mut Context, frames: &[Vec<u8>]) -> Read {
    let read = |frame: &Vec<u8>| {
        let records = context.memo.records(frame).ok()?;
        let [record] = records.records() else { return None };
        let fact = Entry::decode(&record.body).ok()?.fact;
        Some((records.origin().node(), record.index, fact))
    };
    frames.iter().map(read).collect()
}
