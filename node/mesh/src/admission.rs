//! Admission: connections come, both sides say hello, and a peer is up once each has accepted the other on one of them.

use crate::address::{node_of, split, worth_keeping};
use crate::counts::Refusal;
use crate::event::Event;
use crate::hello::{self, HelloAnswer, Welcome};
use crate::limits;
use crate::peers::{Connection, Ours, Peer, Theirs};
use crate::run::{Loop, Purpose, neighbour};
use crate::streams::Channel;
use crate::traffic::Told;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// Within this time two connections of a peer come from both sides dialling at once. One that comes later shows that the
/// peer lost the older ones: we do not dial whom we are connected to, and neither does a peer.
const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// How soon a node with its first neighbour looks for others, as a part of the usual interval.
const FIRST_WALK: u32 = 10;

impl Loop {
    pub(crate) fn handle_connected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) {
        let refused = match node_of(&peer) {
            None => Err(Refusal::NotEd25519),
            Some(_) if self.kept_off.get(&peer).is_some_and(|until| *until > now) => Err(Refusal::KeptOff),
            Some(_) if endpoint.is_listener() && self.has_many_strangers() => Err(Refusal::UnadmittedTooMany),
            Some(node) => Ok(node),
        };
        let node = match refused {
            Ok(node) => node,
            Err(reason) => {
                self.count(reason);
                self.swarm.close_connection(id);
                return;
            }
        };
        let remote = endpoint.get_remote_address();
        let remote = split(remote).map_or_else(|_| remote.clone(), |(place, _)| place);
        let connection = Connection::new(remote, endpoint.is_dialer(), now, self.pace.hello_wait);
        let all = &self.direct_bytes;
        let state = self.peers.0.entry(peer).or_insert_with(|| Peer::new(node, all, now));
        state.connections.insert(id, connection);
        self.count_connections();
        let ticket = self.swarm.behaviour_mut().streams.open(peer, id, Channel::Hello);
        self.tickets.insert(ticket, (peer, id, Purpose::Hello));
    }

    fn has_many_strangers(&self) -> bool {
        self.peers.unadmitted_connections() >= limits::UNADMITTED_MAX
    }

    fn count_connections(&self) {
        let counters = &self.shared.counters;
        counters.connected.store(self.peers.connections() as u64, Relaxed);
        counters.admitted.store(self.peers.up().count() as u64, Relaxed);
    }

    pub(crate) fn handle_closed(&mut self, peer: PeerId, id: ConnectionId, now: Instant) {
        self.forget_tickets(id);
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        let Some(connection) = state.connections.remove(&id) else { return };
        state.held.retain(|(of, _, _)| *of != id);
        if state.asking.is_some_and(|(on, _)| on == id) {
            state.asking = None;
            state.ask_again_at = Some(now);
        }
        let was_up = state.up.is_some();
        if was_up && state.best().is_none() {
            self.take_down(peer, connection.closing, now);
        } else if let Some(reason) = connection.closing
            && !was_up
            && !self.is_crowded()
            && let Some(node) = node_of(&peer)
        {
            self.emit(Event::TurnedAway { peer: node, reason });
        }
        if self.peers.0.get(&peer).is_some_and(|state| state.connections.is_empty()) {
            self.peers.0.remove(&peer);
            if !was_up {
                self.book.left(&peer, None, now, rand::random());
            }
        }
        self.count_connections();
    }

    /// Closes a connection, now.
    pub(crate) fn close(&mut self, peer: PeerId, id: ConnectionId, reason: Refusal) {
        self.mark_closing(peer, id, reason, Duration::ZERO);
        self.swarm.close_connection(id);
    }

    /// Notes why a connection will be closed, and counts it once.
    fn mark_closing(&mut self, peer: PeerId, id: ConnectionId, reason: Refusal, wait: Duration) {
        let Some(connection) = self.peers.connection(&peer, id) else { return };
        if connection.closing.is_none() {
            connection.closing = Some(reason);
            connection.until = Instant::now() + wait;
            self.count(reason);
        }
    }

    pub(crate) fn close_overdue(&mut self, peer: PeerId, id: ConnectionId, now: Instant) {
        self.mark_closing(peer, id, Refusal::HelloLate, Duration::ZERO);
        if let Some(connection) = self.peers.connection(&peer, id) {
            // It is closed once; its end comes as an event.
            connection.until = now + limits::HANDSHAKE_WAIT;
        }
        self.swarm.close_connection(id);
    }

    /// Says hello on a substream that is open now.
    pub(crate) fn say_hello(&mut self, peer: PeerId, id: ConnectionId, stream: Stream) {
        let (hello, counters) = (self.hello.clone(), self.shared.counters.clone());
        let (tell, wait) = (self.tell.clone(), self.pace.hello_wait);
        tokio::spawn(async move {
            let said = tokio::time::timeout(wait, hello::say(stream.compat(), &hello, &counters)).await;
            let welcome = said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let _ = tell.send(Told::Welcome { peer, id, welcome }).await;
        });
    }

    /// Hears a peer's hello; one for each connection.
    pub(crate) fn hear_hello(&mut self, peer: PeerId, id: ConnectionId, stream: Stream) {
        let Some(connection) = self.peers.connection(&peer, id).filter(|c| c.closing.is_none()) else {
            return;
        };
        if connection.theirs != Theirs::Unsaid {
            self.count(Refusal::HelloTwice);
            return self.penalise(peer, limits::SCORE_FRAMING);
        }
        connection.theirs = Theirs::Said;
        let (counters, tell, wait) = (self.shared.counters.clone(), self.tell.clone(), self.pace.hello_wait);
        let exchange = async move {
            let mut stream = stream.compat();
            let Ok(data) = hello::hear(&mut stream, &counters).await else {
                let _ = tell.send(Told::HelloBroken { peer, id }).await;
                return;
            };
            let (answer, answered) = HelloAnswer::new();
            let _ = tell.send(Told::Heard { peer, id, data, answer }).await;
            let welcome = answered.await.unwrap_or(Welcome { accept: false, data: bytes::Bytes::new() });
            // Told before it is sent: the peer's next stream may come in the moment it reads this.
            let _ = tell.send(Told::Answered { peer, id, accept: welcome.accept }).await;
            let _ = hello::answer(stream, &welcome, &counters).await;
        };
        tokio::spawn(tokio::time::timeout(wait, exchange));
    }

    /// The peer's hello is here: the node judges it.
    pub(crate) fn handle_heard(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        data: bytes::Bytes,
        answer: HelloAnswer,
    ) {
        let Some(state) = self.peers.0.get(&peer) else { return };
        if state.connections.get(&id).is_some_and(|connection| connection.closing.is_none()) {
            let from = state.node;
            self.emit(Event::Hello { from, data, answer });
        }
    }

    /// The node has judged the peer's hello.
    pub(crate) fn handle_answered(&mut self, peer: PeerId, id: ConnectionId, accept: bool) {
        let Some(connection) = self.peers.connection(&peer, id) else { return };
        if accept {
            connection.theirs = Theirs::Accepted;
            self.admit(peer, id);
        } else {
            connection.theirs = Theirs::Refused;
            self.mark_closing(peer, id, Refusal::HelloRefused, limits::REFUSED_WAIT);
        }
    }

    /// The peer has judged ours.
    pub(crate) fn handle_welcome(&mut self, peer: PeerId, id: ConnectionId, welcome: io::Result<Welcome>) {
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        let by = state.node;
        let Some(connection) = state.connections.get_mut(&id).filter(|c| c.closing.is_none()) else { return };
        match welcome {
            Ok(Welcome { accept, data }) => {
                connection.ours = if accept { Ours::Accepted } else { Ours::Refused };
                self.emit(Event::Welcomed { by, accept, data });
                match accept {
                    true => self.admit(peer, id),
                    false => self.mark_closing(peer, id, Refusal::RefusedByPeer, limits::REFUSED_WAIT),
                }
            }
            // A torn exchange is a broken one; a slow one ends at its deadline.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(_) => self.close(peer, id, Refusal::HelloBroken),
        }
    }

    /// Admits the peer if both hellos on this connection were accepted.
    fn admit(&mut self, peer: PeerId, id: ConnectionId) {
        let now = Instant::now();
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        let Some(connection) = state.connections.get(&id).filter(|c| c.is_admitted()) else { return };
        let (since, outbound, remote) = (connection.since, connection.outbound, connection.remote.clone());
        let is_lost = |c: &Connection| c.since + SIMULTANEOUS < since;
        let lost = state.connections.iter().filter(|(other, c)| **other != id && is_lost(c));
        let lost: Vec<_> = lost.map(|(other, _)| *other).collect();
        let is_first = state.up.is_none();
        state.up.get_or_insert(now);
        let listens = state.listens.clone();
        let held: Vec<_> = std::mem::take(&mut state.held);
        if is_first {
            if self.peers.up().count() == 1 {
                self.walk_at = self.walk_at.min(now + self.pace.walk_interval / FIRST_WALK);
            }
            if let Some(up) = self.peers.0.get(&peer).and_then(|state| neighbour(state, id)) {
                self.emit(Event::Up(up));
            }
            self.count_connections();
        }
        self.book.meet(peer, &listens);
        if outbound {
            self.book.reached(peer, &remote);
        }
        let behaviour = self.swarm.behaviour_mut();
        behaviour.gossip.admit(peer);
        behaviour.lookups.admit(peer);
        behaviour.gossip.inner().set_application_score(&peer, self.standings.penalty(&peer));
        for place in listens.into_iter().chain(outbound.then_some(remote)) {
            behaviour.lookups.inner().add_address(&peer, place);
        }
        self.ask_on(peer, id);
        for other in lost {
            self.swarm.close_connection(other);
        }
        for (on, channel, stream) in held {
            self.handle_inbound(peer, on, channel, stream);
        }
    }

    /// A peer says where it listens. That is believed once it is admitted.
    pub(crate) fn handle_listens(&mut self, peer: PeerId, listens: &[Multiaddr]) {
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        let is_local = state.is_local();
        state.listens = listens
            .iter()
            .filter_map(|address| worth_keeping(address, &peer, is_local))
            .take(limits::ADDRESSES_PER_PEER_MAX)
            .collect();
        if state.up.is_none() {
            return;
        }
        self.book.meet(peer, &state.listens);
        for place in &state.listens {
            self.swarm.behaviour_mut().lookups.inner().add_address(&peer, place.clone());
        }
    }

    /// Takes a peer's admission back: nothing of it is told any more.
    fn take_down(&mut self, peer: PeerId, reason: Option<Refusal>, now: Instant) {
        let Some(state) = self.peers.0.get_mut(&peer) else { return };
        let Some(up) = state.up.take() else { return };
        (state.asking, state.ask_again_at) = (None, None);
        let node = state.node;
        self.shared.askers().remove(&node);
        let behaviour = self.swarm.behaviour_mut();
        behaviour.gossip.dismiss(&peer);
        behaviour.lookups.dismiss(&peer);
        // A lookup that began with its old address would take the new one, which others know, for the same failure.
        behaviour.lookups.inner().remove_peer(&peer);
        self.book.left(&peer, Some(now.saturating_duration_since(up)), now, rand::random());
        self.count_connections();
        self.emit(Event::Down { peer: node, reason });
    }

    /// Takes a peer's admission back and closes its connections.
    pub(crate) fn send_away(&mut self, peer: PeerId, reason: Refusal) {
        let Some(state) = self.peers.0.get(&peer) else { return };
        let ids: Vec<_> = state.connections.keys().copied().collect();
        for id in ids {
            self.close(peer, id, reason);
        }
        self.take_down(peer, Some(reason), Instant::now());
    }

    /// Sends a peer away and keeps it off for a time.
    pub(crate) fn keep_off(&mut self, peer: PeerId, reason: Refusal, now: Instant) {
        self.kept_off.retain(|_, until| *until > now);
        if self.kept_off.len() >= limits::BANNED_MAX {
            let first = self.kept_off.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            first.map(|peer| self.kept_off.remove(&peer));
        }
        self.kept_off.insert(peer, now + limits::COOLDOWN);
        self.send_away(peer, reason);
    }
}
