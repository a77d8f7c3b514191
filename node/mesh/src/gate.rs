//! A gate before a libp2p behaviour: what a peer says to it waits, within bounds, until the peer is admitted.
//!
//! gossipsub and Kademlia know no admission. Without the gate a stranger's message would enter gossipsub's memory of seen
//! ids and so silence the same message when it comes from a neighbour; and a stranger's addresses would enter a lookup.

use crate::counts::{Counters, Refusal};
use crate::limits::HELD_EVENTS_MAX;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint, Multiaddr};
use libp2p::swarm::behaviour::ConnectionEstablished;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll};

/// A behaviour behind a gate.
pub(crate) struct Gate<B: NetworkBehaviour> {
    inner: B,
    admitted: BTreeSet<PeerId>,
    /// Connections that the behaviour was not told of yet; at most as many as there are connections.
    held: BTreeMap<ConnectionId, Held<B>>,
    /// How many connections of a peer the behaviour was told of.
    passed: BTreeMap<PeerId, usize>,
    counters: Arc<Counters>,
}

struct Held<B: NetworkBehaviour> {
    peer: PeerId,
    endpoint: ConnectedPoint,
    events: Vec<THandlerOutEvent<B>>,
}

impl<B: NetworkBehaviour> Gate<B> {
    pub(crate) fn new(inner: B, counters: Arc<Counters>) -> Self {
        Gate { inner, admitted: BTreeSet::new(), held: BTreeMap::new(), passed: BTreeMap::new(), counters }
    }

    pub(crate) fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    pub(crate) fn look(&self) -> &B {
        &self.inner
    }

    /// Opens the gate for a peer and lets in what waited.
    pub(crate) fn admit(&mut self, peer: PeerId) {
        if !self.admitted.insert(peer) {
            return;
        }
        let of_peer = |held: &Held<B>| held.peer == peer;
        let ids: Vec<_> = self.held.iter().filter(|(_, held)| of_peer(held)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(held) = self.held.remove(&id) else { continue };
            self.pass(id, peer, &held.endpoint, &[]);
            for event in held.events {
                self.inner.on_connection_handler_event(peer, id, event);
            }
        }
    }

    /// Closes the gate for a peer. Its connections are closed by who calls this, or held when new ones come.
    pub(crate) fn dismiss(&mut self, peer: &PeerId) {
        self.admitted.remove(peer);
    }

    fn pass(&mut self, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint, failed: &[Multiaddr]) {
        let passed = self.passed.entry(peer).or_default();
        let established = ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint,
            failed_addresses: failed,
            other_established: *passed,
        };
        *passed += 1;
        self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(established));
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Gate<B> {
    type ConnectionHandler = B::ConnectionHandler;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(e) if self.admitted.contains(&e.peer_id) => {
                self.pass(e.connection_id, e.peer_id, e.endpoint, e.failed_addresses);
            }
            FromSwarm::ConnectionEstablished(e) => {
                let held = Held { peer: e.peer_id, endpoint: e.endpoint.clone(), events: Vec::new() };
                self.held.insert(e.connection_id, held);
            }
            // Both behaviours make an entry for a connection when they give it a handler, so its end is told in any case.
            FromSwarm::ConnectionClosed(e) => {
                if self.held.remove(&e.connection_id).is_none()
                    && let Some(passed) = self.passed.get_mut(&e.peer_id)
                {
                    *passed = passed.saturating_sub(1);
                    if *passed == 0 {
                        self.passed.remove(&e.peer_id);
                    }
                }
                self.inner.on_swarm_event(event);
            }
            other => self.inner.on_swarm_event(other),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match self.held.get_mut(&id) {
            None => self.inner.on_connection_handler_event(peer, id, event),
            Some(held) if held.events.len() < HELD_EVENTS_MAX => held.events.push(event),
            Some(_) => self.counters.refuse(Refusal::HeldTooMany),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}
