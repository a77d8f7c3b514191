//! What admitted peers exchange: gossip, direct requests, raw streams; and what bad bytes cost.

use crate::counts::{Lane, Refusal};
use crate::direct::{self, Asker, Ended, Request};
use crate::error::{OpenError, PublishError};
use crate::event::{Event, Protocol, Verdict};
use crate::gossip::{self, Pace};
use crate::hello::{HelloAnswer, Welcome};
use crate::limits;
use crate::run::{Loop, Purpose};
use crate::streams::{Channel, Ticket};
use crate::topic::MessageId;
use bytes::Bytes;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance};
use libp2p::swarm::ConnectionId;
use libp2p::{PeerId, Stream};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// What the tasks of substreams tell the loop.
pub(crate) enum Told {
    Heard { peer: PeerId, id: ConnectionId, data: Bytes, answer: HelloAnswer },
    HelloBroken { peer: PeerId, id: ConnectionId },
    Answered { peer: PeerId, id: ConnectionId, accept: bool },
    Welcome { peer: PeerId, id: ConnectionId, welcome: io::Result<Welcome> },
    AskingEnded { peer: PeerId, serial: u64, ended: Ended },
    ServingEnded { peer: PeerId, ended: Ended },
}

impl Loop {
    pub(crate) fn handle_told(&mut self, told: Told) {
        match told {
            Told::Heard { peer, id, data, answer } => self.handle_heard(peer, id, data, answer),
            Told::HelloBroken { peer, id } => self.close(peer, id, Refusal::HelloBroken),
            Told::Answered { peer, id, accept } => self.handle_answered(peer, id, accept),
            Told::Welcome { peer, id, welcome } => self.handle_welcome(peer, id, welcome),
            Told::AskingEnded { peer, serial, ended } => self.handle_asking_ended(peer, serial, ended),
            Told::ServingEnded { peer, ended } => {
                if ended == Ended::Broken {
                    self.count(Refusal::DirectBroken);
                    self.penalise(peer, limits::SCORE_FRAMING);
                }
            }
        }
    }

    // Substreams.

    pub(crate) fn handle_inbound(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        channel: Channel,
        stream: Stream,
    ) {
        if channel == Channel::Hello {
            return self.hear_hello(peer, id, stream);
        }
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        if state.up.is_none() {
            if state.is_nearly_up(id) {
                state.held.push((id, channel, stream));
            } else {
                self.count(Refusal::NotAdmitted);
            }
            return;
        }
        match channel {
            Channel::Direct => self.serve(peer, id, stream),
            Channel::Sync => self.take_raw(peer, Protocol::Sync, stream),
            Channel::Blob => self.take_raw(peer, Protocol::Blob, stream),
            Channel::Hello => {}
        }
    }

    pub(crate) fn handle_opened(&mut self, ticket: Ticket, stream: Stream) {
        let Some((peer, id, purpose)) = self.tickets.remove(&ticket) else { return };
        match purpose {
            Purpose::Hello => self.say_hello(peer, id, stream),
            Purpose::Ask(task, serial) => {
                let (tell, counters) = (self.tell.clone(), self.shared.counters.clone());
                tokio::spawn(async move {
                    let ended = task.run(stream.compat(), counters).await;
                    let _ = tell.send(Told::AskingEnded { peer, serial, ended }).await;
                });
            }
            Purpose::Raw(protocol, place, reply) => {
                let opened = match self.peers.is_up(&peer) {
                    true => Ok(crate::Stream::new(stream, protocol, self.shared.counters.clone(), place)),
                    false => Err(OpenError::NotAdmitted),
                };
                let _ = reply.send(opened);
            }
        }
    }

    pub(crate) fn handle_not_opened(&mut self, ticket: Ticket, now: Instant) {
        let Some((peer, id, purpose)) = self.tickets.remove(&ticket) else { return };
        match purpose {
            Purpose::Hello => self.close(peer, id, Refusal::HelloBroken),
            Purpose::Ask(task, serial) => {
                drop(task);
                self.rest_asking(peer, serial, now);
            }
            Purpose::Raw(_, _, reply) => {
                let _ = reply.send(Err(OpenError::Refused));
            }
        }
    }

    /// A connection is gone, and with it the substreams that were asked for on it.
    pub(crate) fn forget_tickets(&mut self, id: ConnectionId) {
        let gone: Vec<_> = self.tickets.iter().filter(|(_, (_, on, _))| *on == id).map(|(t, _)| *t).collect();
        for ticket in gone {
            if let Some((_, _, Purpose::Raw(_, _, reply))) = self.tickets.remove(&ticket) {
                let _ = reply.send(Err(OpenError::Gone));
            }
        }
    }

    // Direct requests.

    /// Lets our requests to the peer travel on this connection from now on. Those under way elsewhere stay there.
    pub(crate) fn ask_on(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        let serial = self.next_serial;
        self.next_serial += 1;
        let (asker, task) = Asker::new(state.direct_out.clone());
        (state.asking, state.ask_again_at) = (Some((id, serial)), None);
        self.shared.askers().insert(state.node, asker);
        let ticket = self.swarm.behaviour_mut().streams.open(peer, id, Channel::Direct);
        self.tickets.insert(ticket, (peer, id, Purpose::Ask(task, serial)));
    }

    fn handle_asking_ended(&mut self, peer: PeerId, serial: u64, ended: Ended) {
        if ended == Ended::Broken {
            self.count(Refusal::DirectBroken);
            self.penalise(peer, limits::SCORE_FRAMING);
        }
        self.rest_asking(peer, serial, Instant::now());
    }

    fn rest_asking(&mut self, peer: PeerId, serial: u64, now: Instant) {
        if let Some(state) = self.peers.0.get_mut(&peer)
            && state.asking.is_some_and(|(_, of)| of == serial)
        {
            state.asking = None;
            state.ask_again_at = Some(now + limits::DIRECT_REOPEN_WAIT);
        }
    }

    pub(crate) fn ask_again(&mut self, now: Instant) {
        let due = self.peers.up().filter(|(_, state)| state.ask_again_at.is_some_and(|at| at <= now));
        let due: Vec<_> = due.filter_map(|(peer, state)| Some((*peer, state.best()?))).collect();
        for (peer, id) in due {
            self.ask_on(peer, id);
        }
    }

    /// Serves the peer's requests on this substream, the only one on its connection: a newer one takes its place.
    fn serve(&mut self, peer: PeerId, id: ConnectionId, stream: Stream) {
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        let Some(connection) = state.connections.get_mut(&id) else { return };
        if let Some(old) = connection.serving.take() {
            old.abort();
        }
        let budgets = (state.direct_in.clone(), state.answers_out.clone());
        let counters = self.shared.counters.clone();
        let (hand_on, tell) = (self.hand_on.clone(), self.tell.clone());
        let task = tokio::spawn(async move {
            let ended = direct::serve(stream.compat(), budgets, counters, (peer, hand_on)).await;
            let _ = tell.send(Told::ServingEnded { peer, ended }).await;
        });
        connection.serving = Some(task.abort_handle());
    }

    pub(crate) fn handle_request(&mut self, peer: PeerId, Request { data, answer }: Request) {
        // Whose answer is dropped hears that this node is busy.
        let Some(state) = self.peers.0.get(&peer).filter(|state| state.up.is_some()) else { return };
        let from = state.node;
        if self.is_crowded() {
            return self.count(Refusal::EventsFull);
        }
        self.emit(Event::Request { from, data, answer });
    }

    // Raw streams.

    pub(crate) fn open_raw(
        &mut self,
        peer: PeerId,
        protocol: Protocol,
        reply: oneshot::Sender<Result<crate::Stream, OpenError>>,
    ) {
        let state = self.peers.0.get(&peer).filter(|state| state.up.is_some());
        let Some((id, state)) = state.and_then(|state| Some((state.best()?, state))) else {
            let _ = reply.send(Err(OpenError::NotAdmitted));
            return;
        };
        let Ok(place) = state.streams_out.clone().try_acquire_owned() else {
            let _ = reply.send(Err(OpenError::TooMany));
            return;
        };
        let channel = match protocol {
            Protocol::Sync => Channel::Sync,
            Protocol::Blob => Channel::Blob,
        };
        let ticket = self.swarm.behaviour_mut().streams.open(peer, id, channel);
        self.tickets.insert(ticket, (peer, id, Purpose::Raw(protocol, place, reply)));
    }

    fn take_raw(&mut self, peer: PeerId, protocol: Protocol, stream: Stream) {
        let Some(state) = self.peers.0.get(&peer) else { return };
        let from = state.node;
        let Ok(place) = state.streams_in.clone().try_acquire_owned() else {
            return self.count(Refusal::StreamsTooMany);
        };
        if self.is_crowded() {
            return self.count(Refusal::EventsFull);
        }
        let stream = crate::Stream::new(stream, protocol, self.shared.counters.clone(), place);
        self.emit(Event::Stream { protocol, from, stream });
    }

    // Gossip.

    pub(crate) fn publish(&mut self, topic: IdentTopic, data: Bytes) -> Result<MessageId, PublishError> {
        if data.len() > limits::GOSSIP_DATA_BYTES_MAX {
            return Err(PublishError::TooLarge);
        }
        let hash = topic.hash();
        let id = MessageId::of_wire(&hash, &data);
        let bytes = data.len();
        let published = self.swarm.behaviour_mut().gossip.inner().publish(hash, data);
        published.map_err(|error| gossip::publish_error(&error))?;
        self.shared.counters.gossip_published.fetch_add(1, Relaxed);
        self.shared.counters.lane(Lane::Gossip).sent(bytes);
        Ok(id)
    }

    pub(crate) fn handle_gossip(&mut self, event: gossipsub::Event, now: Instant) {
        let gossipsub::Event::Message { propagation_source: peer, message, .. } = event else { return };
        self.shared.counters.gossip_messages.fetch_add(1, Relaxed);
        let id = MessageId::of_wire(&message.topic, &message.data);
        if let Err(reason) = self.take_message(peer, id, message, now) {
            self.count(reason);
            self.drop_message(&id, &peer);
        }
    }

    fn take_message(
        &mut self,
        peer: PeerId,
        id: MessageId,
        message: gossipsub::Message,
        now: Instant,
    ) -> Result<(), Refusal> {
        let topic = *self.topics.get(&message.topic).ok_or(Refusal::GossipTopic)?;
        let state =
            self.peers.0.get_mut(&peer).filter(|state| state.up.is_some()).ok_or(Refusal::NotAdmitted)?;
        let from = state.node;
        match self.standings.one_more(peer, now) {
            Pace::Within => {}
            Pace::Above => return Err(Refusal::GossipTooMany),
            Pace::Flood => {
                self.keep_off(peer, Refusal::GossipTooMany, now);
                return Err(Refusal::GossipTooMany);
            }
        }
        if self.is_crowded() || !self.waiting.add(id, peer, message.data.len(), now) {
            return Err(Refusal::EventsFull);
        }
        self.emit(Event::Gossip { id, topic, from, data: message.data.into() });
        Ok(())
    }

    pub(crate) fn judge(&mut self, id: MessageId, from: PeerId, verdict: Verdict) {
        if !self.waiting.take(&id, &from) {
            tracing::debug!(?id, "a verdict on a message that does not wait for one");
            return;
        }
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        match verdict {
            Verdict::Accept => {}
            Verdict::Ignore => self.count(Refusal::GossipIgnored),
            Verdict::Reject => self.count(Refusal::GossipRejected),
        }
        self.report(&id, &from, acceptance);
    }

    pub(crate) fn drop_message(&mut self, id: &MessageId, from: &PeerId) {
        self.report(id, from, MessageAcceptance::Ignore);
    }

    fn report(&mut self, id: &MessageId, from: &PeerId, acceptance: MessageAcceptance) {
        let id = gossipsub::MessageId::new(&id.0);
        self.swarm.behaviour_mut().gossip.inner().report_message_validation_result(&id, from, acceptance);
    }

    // Scores.

    /// Bytes that no honest peer sends cost it score.
    pub(crate) fn penalise(&mut self, peer: PeerId, points: f64) {
        let now = Instant::now();
        let penalty = self.standings.penalise(peer, points, now);
        self.swarm.behaviour_mut().gossip.inner().set_application_score(&peer, penalty);
        if penalty <= limits::SCORE_GRAYLIST {
            self.keep_off(peer, Refusal::Score, now);
        }
    }

    pub(crate) fn look_at_scores(&mut self, now: Instant) {
        let gossip = self.swarm.behaviour().gossip.look();
        let is_bad = |peer: &&PeerId| gossip.peer_score(peer).is_some_and(|s| s <= limits::SCORE_GRAYLIST);
        let bad: Vec<_> = self.peers.up().map(|(peer, _)| peer).filter(is_bad).copied().collect();
        for peer in bad {
            self.keep_off(peer, Refusal::Score, now);
        }
    }

    pub(crate) fn fade(&mut self, now: Instant) {
        for (peer, penalty) in self.standings.fade(now) {
            self.swarm.behaviour_mut().gossip.inner().set_application_score(&peer, penalty);
        }
    }
}
