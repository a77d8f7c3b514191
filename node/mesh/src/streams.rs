//! The libp2p behaviour under our four protocols: it opens and takes substreams, on a connection that is named, and
//! knows nothing else. (libp2p-stream takes any connection to a peer and dials when there is none; a hello belongs to one.)

use crate::limits::{HELD_STREAMS_MAX, NEGOTIATION_WAIT, STREAMS_PER_PEER_MAX};
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, Stream, StreamProtocol};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

/// The most substreams that a connection has ready for the loop; one more is dropped. The loop takes them at once, so
/// this is what a peer can open between two looks.
const READY_MAX: usize = STREAMS_PER_PEER_MAX + HELD_STREAMS_MAX;

/// A protocol of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Channel {
    Hello,
    Direct,
    Sync,
    Blob,
}

impl Channel {
    const ALL: [Channel; 4] = [Channel::Hello, Channel::Direct, Channel::Sync, Channel::Blob];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Channel::Hello => "/artel/1/hello",
            Channel::Direct => "/artel/1/direct",
            Channel::Sync => "/artel/1/sync",
            Channel::Blob => "/artel/1/blob",
        }
    }
}

/// Names one substream that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

/// What the behaviour tells the loop. A ticket whose connection closes first gets no event.
#[derive(Debug)]
pub(crate) enum Event {
    Inbound { peer: PeerId, connection: ConnectionId, channel: Channel, stream: Stream },
    Opened { ticket: Ticket, stream: Stream },
    Failed { ticket: Ticket },
}

/// The behaviour.
#[derive(Default)]
pub(crate) struct Behaviour {
    next_ticket: u64,
    todo: VecDeque<ToSwarm<Event, (Ticket, &'static str)>>,
}

impl Behaviour {
    /// Asks for a substream on this connection.
    pub(crate) fn open(&mut self, peer: PeerId, connection: ConnectionId, channel: Channel) -> Ticket {
        self.open_by_name(peer, connection, channel.name())
    }

    /// Asks for a substream of any protocol.
    pub(crate) fn open_by_name(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        name: &'static str,
    ) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let handler = NotifyHandler::One(connection);
        self.todo.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event: (ticket, name) });
        ticket
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.todo.push_back(ToSwarm::GenerateEvent(match event {
            FromHandler::Inbound(channel, stream) => Event::Inbound { peer, connection, channel, stream },
            FromHandler::Opened(ticket, stream) => Event::Opened { ticket, stream },
            FromHandler::Failed(ticket) => Event::Failed { ticket },
        }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.todo.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// What a connection's part tells the behaviour.
#[derive(Debug)]
pub(crate) enum FromHandler {
    Inbound(Channel, Stream),
    Opened(Ticket, Stream),
    Failed(Ticket),
}

/// A connection's part.
#[derive(Default)]
pub(crate) struct Handler {
    to_open: VecDeque<(Ticket, &'static str)>,
    done: VecDeque<FromHandler>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = (Ticket, &'static str);
    type ToBehaviour = FromHandler;
    type InboundProtocol = Any;
    type OutboundProtocol = One;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Ticket;

    fn listen_protocol(&self) -> SubstreamProtocol<Any> {
        SubstreamProtocol::new(Any, ()).with_timeout(NEGOTIATION_WAIT)
    }

    fn on_behaviour_event(&mut self, event: (Ticket, &'static str)) {
        self.to_open.push_back(event);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Any, One, (), Ticket>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (channel, stream),
                ..
            }) if self.done.len() < READY_MAX => {
                self.done.push_back(FromHandler::Inbound(channel, stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: ticket,
                ..
            }) => self.done.push_back(FromHandler::Opened(ticket, stream)),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: ticket, .. }) => {
                self.done.push_back(FromHandler::Failed(ticket));
            }
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<One, Ticket, FromHandler>> {
        if let Some(event) = self.done.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some((ticket, name)) = self.to_open.pop_front() {
            let protocol = SubstreamProtocol::new(One(name), ticket).with_timeout(NEGOTIATION_WAIT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }
}

/// Takes any of our protocols.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Any;

/// Asks for one of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct One(&'static str);

impl UpgradeInfo for Any {
    type Info = StreamProtocol;
    type InfoIter = std::array::IntoIter<StreamProtocol, 4>;

    fn protocol_info(&self) -> Self::InfoIter {
        Channel::ALL.map(|channel| StreamProtocol::new(channel.name())).into_iter()
    }
}

impl InboundUpgrade<Stream> for Any {
    type Output = (Channel, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        let channel = Channel::ALL.into_iter().find(|channel| channel.name() == name.as_ref());
        ready(Ok((channel.expect("only these are offered"), stream)))
    }
}

impl UpgradeInfo for One {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(StreamProtocol::new(self.0))
    }
}

impl OutboundUpgrade<Stream> for One {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
