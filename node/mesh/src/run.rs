//! The loop: the one task that owns the swarm. It takes what the network, the tasks of substreams and the node say, one
//! thing after the other, and never waits for any of them.

use crate::address::{self, Address, peer_of, worth_keeping};
use crate::behaviour::{self, Behaviour, BehaviourEvent};
use crate::book::{Book, Dial};
use crate::budget::Budget;
use crate::counts::Refusal;
use crate::direct::{AskerTask, Request};
use crate::error::{Error, OpenError};
use crate::event::{Event, Neighbour, Peer as PeerView, Protocol, Sight};
use crate::gossip::{self, Waiting};
use crate::limits;
use crate::mesh::{Command, Shared};
use crate::peers::{Connection, Peer, Peers};
use crate::standing::Standings;
use crate::streams::{Event as StreamEvent, Ticket};
use crate::traffic::Told;
use crate::{Options, Pace, transport};
use artel_protocol::id::FederationId;
use artel_protocol::key::SecretKey;
use artel_protocol::topic::Topic;
use bytes::Bytes;
use futures_util::StreamExt;
use libp2p::gossipsub::TopicHash;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, kad, mdns, ping};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

/// How long an idle connection stays: for ever, since the loop itself ends those that are not wanted.
const IDLE_WAIT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// How long a listener may take to say its address.
const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// How often scores are looked at, and how often penalties fade by a tenth.
const SCORE_INTERVAL: Duration = Duration::from_secs(1);
const FADE_INTERVAL: Duration = Duration::from_secs(10);

/// How many tasks of substreams may have something to say before they wait.
const TOLD_MAX: usize = 256;

/// The loop's state.
pub(crate) struct Loop {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) peers: Peers,
    pub(crate) book: Book,
    pub(crate) pace: Pace,
    pub(crate) hello: Bytes,
    federation: FederationId,
    pub(crate) topics: HashMap<TopicHash, Topic>,
    pub(crate) waiting: Waiting,
    pub(crate) standings: Standings,
    /// Substreams that were asked for. One for a connection's hello, one for a peer's requests, the rest by permits.
    pub(crate) tickets: BTreeMap<Ticket, (PeerId, ConnectionId, Purpose)>,
    /// Dials of places without a name.
    places: BTreeMap<ConnectionId, Multiaddr>,
    /// Peers that are kept off until then; at most [`limits::BANNED_MAX`].
    pub(crate) kept_off: BTreeMap<PeerId, Instant>,
    bans: VecDeque<PeerId>,
    /// What all peers' direct frames may take.
    pub(crate) direct_bytes: Arc<Budget>,
    pub(crate) next_serial: u64,
    lookup: Option<kad::QueryId>,
    pub(crate) walk_at: Instant,
    scores_at: Instant,
    fade_at: Instant,

    to_do: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    /// What did not fit into the channel; while there is much of it the network waits.
    overflow: VecDeque<Event>,
    pub(crate) tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    pub(crate) hand_on: mpsc::Sender<(PeerId, Request)>,
    handed_on: mpsc::Receiver<(PeerId, Request)>,
    tick: Interval,
    listeners: usize,
}

/// What a substream was asked for.
pub(crate) enum Purpose {
    Hello,
    Ask(AskerTask, u64),
    Raw(Protocol, OwnedSemaphorePermit, oneshot::Sender<Result<crate::Stream, OpenError>>),
}

/// One thing that happened.
enum Step {
    Told(Told),
    HandedOn(PeerId, Request),
    Command(Option<Command>),
    Tick,
    Room,
    Swarm(Box<SwarmEvent<BehaviourEvent>>),
}

impl Loop {
    pub(crate) fn new(
        key: &SecretKey,
        options: Options,
        shared: Arc<Shared>,
        to_do: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, Error> {
        let keypair = keypair(key)?;
        let transport = transport::build(&keypair, &shared.counters)?;
        let behaviour = behaviour::build(&keypair, &options, &shared.counters)?;
        let config = libp2p::swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(IDLE_WAIT)
            .with_max_negotiating_inbound_streams(limits::NEGOTIATING_MAX);
        let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
        for address in &options.listen {
            let failed = |source| Error::Listen { address: address.clone(), source };
            check_free(address).map_err(failed)?;
            swarm.listen_on(address.0.clone()).map_err(|e| failed(io::Error::other(e)))?;
        }
        let pace = options.pace.clone();
        let mut book = Book::new((pace.backoff_min, pace.backoff_max));
        for (node, addresses) in &options.known {
            let places = addresses.iter().filter_map(|a| address::split(&a.0).ok()).map(|(place, _)| place);
            book.add_given(peer_of(node), places);
        }
        book.take_changed();
        let mut tick = tokio::time::interval(limits::TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let (hand_on, handed_on) = mpsc::channel(TOLD_MAX);
        let now = Instant::now();
        Ok(Loop {
            swarm,
            shared,
            peers: Peers::default(),
            book,
            waiting: Waiting::new(pace.verdict_wait),
            standings: Standings::new(pace.gossip_rate, pace.gossip_burst),
            topics: gossip::names(&options),
            federation: options.federation,
            hello: options.hello,
            tickets: BTreeMap::new(),
            places: BTreeMap::new(),
            kept_off: BTreeMap::new(),
            bans: VecDeque::new(),
            direct_bytes: Budget::new(limits::DIRECT_WAITING_ALL_BYTES_MAX),
            next_serial: 0,
            lookup: None,
            walk_at: now + pace.walk_interval,
            scores_at: now,
            fade_at: now + FADE_INTERVAL,
            pace,
            to_do,
            events,
            overflow: VecDeque::new(),
            tell,
            told,
            hand_on,
            handed_on,
            tick,
            listeners: options.listen.len(),
        })
    }

    /// Waits until each listener has said where it listens.
    pub(crate) async fn listen(&mut self) -> Result<(), Error> {
        let wanted = self.listeners;
        let waiting = async {
            let mut ready = std::collections::BTreeSet::new();
            while ready.len() < wanted {
                match self.swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, address } => {
                        ready.insert(format!("{listener_id:?}"));
                        self.shared.listening().push(Address(address));
                    }
                    SwarmEvent::ListenerClosed { reason: Err(source), addresses, .. } => {
                        let address = addresses.into_iter().next().unwrap_or_else(Multiaddr::empty);
                        return Err(Error::Listen { address: Address(address), source });
                    }
                    other => self.handle_swarm(other),
                }
            }
            Ok(())
        };
        let late = |_| Err(Error::Setup("no listener said its address in time".into()));
        tokio::time::timeout(LISTEN_WAIT, waiting).await.unwrap_or_else(late)
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.deliver();
            match self.next().await {
                Step::Told(told) => self.handle_told(told),
                Step::HandedOn(peer, request) => self.handle_request(peer, request),
                Step::Command(Some(Command::Stop(done))) => return self.leave(Some(done)).await,
                Step::Command(Some(command)) => self.handle_command(command),
                Step::Command(None) => return self.leave(None).await,
                Step::Tick => self.handle_tick(Instant::now()),
                Step::Room => {}
                Step::Swarm(event) => self.handle_swarm(*event),
            }
        }
    }

    /// Waits for the next thing. What substreams' tasks say of hellos comes first: a peer that was welcomed may open its
    /// next stream in the same moment. Among the others chance decides, so that none starves another.
    async fn next(&mut self) -> Step {
        let Loop { swarm, told, handed_on, to_do, tick, events, overflow, .. } = self;
        let (has_overflow, has_room) = (!overflow.is_empty(), overflow.len() < limits::EVENTS_MAX);
        let others = async {
            tokio::select! {
                Some((peer, request)) = handed_on.recv() => Step::HandedOn(peer, request),
                command = to_do.recv() => Step::Command(command),
                _ = tick.tick() => Step::Tick,
                _ = events.reserve(), if has_overflow => Step::Room,
                event = swarm.select_next_some(), if has_room => {
                    Step::Swarm(Box::new(event))
                }
            }
        };
        tokio::select! {
            biased;
            Some(told) = told.recv() => Step::Told(told),
            step = others => step,
        }
    }

    /// Closes all connections and ends.
    async fn leave(mut self, done: Option<oneshot::Sender<()>>) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.network_info().connection_counters().num_established() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        let _ = tokio::time::timeout(limits::STOP_WAIT / 2, closing).await;
        self.shared.askers().clear();
        drop(self);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Tells the node something that it must hear.
    pub(crate) fn emit(&mut self, event: Event) {
        self.overflow.push_back(event);
    }

    /// Whether events are so many that what may be refused is refused.
    pub(crate) fn is_crowded(&self) -> bool {
        let queued = self.events.max_capacity() - self.events.capacity();
        self.overflow.len() + queued > limits::EVENTS_MAX / 2
    }

    pub(crate) fn deliver(&mut self) {
        while let Some(event) = self.overflow.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => return self.overflow.push_front(event),
                // Nobody listens any more; the handles may still be used.
                Err(mpsc::error::TrySendError::Closed(_)) => self.overflow.clear(),
            }
        }
    }

    pub(crate) fn count(&self, reason: Refusal) {
        self.shared.counters.refuse(reason);
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Dial(address) => self.dial_given(&address),
            Command::SetHello(hello) => self.hello = hello,
            Command::Refuse(peer) => self.send_away(peer, Refusal::SentAway),
            Command::Blame(peer) => {
                self.count(Refusal::Blamed);
                self.penalise(peer, limits::SCORE_WRONG);
            }
            Command::Ban(peer) => self.ban(peer),
            Command::Unban(peer) => {
                self.bans.retain(|banned| *banned != peer);
                self.kept_off.remove(&peer);
                self.swarm.behaviour_mut().banned.unblock_peer(peer);
            }
            Command::Subscribe(topic) => {
                let topic = crate::topic::wire(topic, &self.federation);
                if let Err(error) = self.swarm.behaviour_mut().gossip.inner().subscribe(&topic) {
                    tracing::error!(%error, "a topic of ours was not subscribed");
                }
            }
            Command::Unsubscribe(topic) => {
                let topic = crate::topic::wire(topic, &self.federation);
                self.swarm.behaviour_mut().gossip.inner().unsubscribe(&topic);
            }
            Command::Publish(topic, data, reply) => {
                let _ = reply.send(self.publish(crate::topic::wire(topic, &self.federation), data));
            }
            Command::Verdict(id, from, verdict) => self.judge(id, from, verdict),
            Command::Open(peer, protocol, reply) => self.open_raw(peer, protocol, reply),
            Command::Peers(reply) => {
                let _ = reply.send(self.views(Instant::now()));
            }
            Command::Known(reply) => {
                let _ = reply.send(self.known());
            }
            Command::Stop(_) => unreachable!("the loop itself takes it"),
        }
    }

    fn handle_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let now = Instant::now();
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.shared.counters.connections.fetch_add(1, Relaxed);
                if let Some(place) = self.places.remove(&connection_id) {
                    self.book.forget_place(&place);
                    self.book.reached(peer_id, &place);
                }
                self.book.connected(&peer_id);
                self.handle_connected(peer_id, connection_id, &endpoint, now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.handle_closed(peer_id, connection_id, now);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => self.count(match error {
                ListenError::Denied { .. } => Refusal::ConnectionLimit,
                _ => Refusal::Handshake,
            }),
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.handle_dial_failed(connection_id, peer_id, &error, now);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                let is_network = address::ip_of(&address).is_some_and(|ip| !ip.is_loopback());
                self.shared.listening().push(Address(address.clone()));
                self.emit(Event::Listening(Address(address)));
                if is_network {
                    // A network has come up; those who were out of reach may be back.
                    self.book.try_all();
                }
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.shared.listening().retain(|known| known.0 != address);
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. }
            | SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener failed");
            }
            _ => {}
        }
    }

    fn handle_behaviour(&mut self, event: BehaviourEvent, now: Instant) {
        match event {
            BehaviourEvent::Streams(StreamEvent::Inbound { peer, connection, channel, stream }) => {
                self.handle_inbound(peer, connection, channel, stream);
            }
            BehaviourEvent::Streams(StreamEvent::Opened { ticket, stream }) => {
                self.handle_opened(ticket, stream);
            }
            BehaviourEvent::Streams(StreamEvent::Failed { ticket }) => self.handle_not_opened(ticket, now),
            BehaviourEvent::Gossip(event) => self.handle_gossip(event, now),
            BehaviourEvent::Lookups(kad::Event::OutboundQueryProgressed { id, result, step, .. }) => {
                if step.last && self.lookup == Some(id) {
                    self.lookup = None;
                }
                self.handle_lookup(result);
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, connection_id, info }) => {
                if let Some(connection) = self.peers.connection(&peer_id, connection_id) {
                    connection.sees_us = address::sight(&info.observed_addr);
                }
                self.handle_listens(peer_id, &info.listen_addrs);
            }
            BehaviourEvent::Ping(event) => self.handle_ping(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    if let Some(place) = worth_keeping(&address, &peer, false) {
                        self.book.hear(peer, [place]);
                    }
                }
            }
            _ => {}
        }
    }

    fn handle_lookup(&mut self, result: kad::QueryResult) {
        let kad::QueryResult::GetClosestPeers(result) = result else { return };
        let found = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let is_local = self.peers.up().any(|(_, peer)| peer.is_local());
        let ours = *self.swarm.local_peer_id();
        for info in found.into_iter().filter(|info| info.peer_id != ours) {
            let places: Vec<_> =
                info.addrs.iter().filter_map(|a| worth_keeping(a, &info.peer_id, is_local)).collect();
            self.book.hear(info.peer_id, places.into_iter().rev());
        }
    }

    fn handle_ping(&mut self, event: ping::Event) {
        let Some(peer) = self.peers.0.get_mut(&event.peer) else { return };
        let Some(connection) = peer.connections.get_mut(&event.connection) else { return };
        match event.result {
            Ok(round_trip) => {
                connection.pings_missed = 0;
                peer.round_trip = Some(round_trip);
            }
            Err(ping::Failure::Unsupported) => {}
            Err(_) => {
                connection.pings_missed += 1;
                if connection.pings_missed >= 2 {
                    self.close(event.peer, event.connection, Refusal::Silent);
                }
            }
        }
    }

    fn handle_dial_failed(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
        now: Instant,
    ) {
        self.shared.counters.dials_failed.fetch_add(1, Relaxed);
        tracing::debug!(?peer, %error, "a dial failed");
        let is_us = matches!(error, DialError::LocalPeerId { .. });
        if let Some(place) = self.places.remove(&id) {
            match is_us {
                true => self.book.forget_place(&place),
                false => self.book.place_failed(&place, now, rand::random()),
            }
        }
        if let Some(peer) = peer {
            self.book.failed(&peer, now, rand::random());
        }
    }

    fn handle_tick(&mut self, now: Instant) {
        for (peer, id) in self.peers.overdue(now) {
            self.close_overdue(peer, id, now);
        }
        for (id, from) in self.waiting.overdue(now) {
            self.count(Refusal::GossipUnanswered);
            self.drop_message(&id, &from);
        }
        self.ask_again(now);
        self.dial_due(now);
        self.walk(now);
        if now >= self.scores_at {
            self.scores_at = now + SCORE_INTERVAL;
            self.look_at_scores(now);
        }
        if now >= self.fade_at {
            self.fade_at = now + FADE_INTERVAL;
            self.fade(now);
        }
        if self.book.take_changed() {
            self.emit(Event::KnownChanged);
        }
    }

    fn dial_due(&mut self, now: Instant) {
        let dialling = self.book.dialling();
        let up = self.peers.up().count() + dialling;
        let outbound = self.peers.up().filter(|(_, peer)| peer.has_outbound()).count() + dialling;
        let missing =
            limits::NEIGHBOURS_MIN.saturating_sub(up).max(limits::OUTBOUND_MIN.saturating_sub(outbound));
        let want = missing.min(limits::DIALS_MAX.saturating_sub(dialling));
        let (peers, kept_off, bans) = (&self.peers, &self.kept_off, &self.bans);
        let is_out = |peer: &PeerId| {
            peers.0.contains_key(peer)
                || kept_off.get(peer).is_some_and(|until| *until > now)
                || bans.contains(peer)
        };
        for dial in self.book.due(want, now, is_out) {
            self.dial(dial, now);
        }
    }

    fn dial(&mut self, dial: Dial, now: Instant) {
        match dial {
            Dial::Peer(peer, places) => {
                let how = DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(places)
                    .build();
                if self.swarm.dial(how).is_err() {
                    self.book.failed(&peer, now, rand::random());
                }
            }
            Dial::Place(place) => {
                let how = DialOpts::unknown_peer_id().address(place.clone()).build();
                let id = how.connection_id();
                match self.swarm.dial(how) {
                    Ok(()) => {
                        self.places.insert(id, place);
                    }
                    Err(_) => self.book.place_failed(&place, now, rand::random()),
                }
            }
        }
    }

    fn dial_given(&mut self, address: &Address) {
        let now = Instant::now();
        let Ok((place, peer)) = address::split(&address.0) else { return };
        match peer {
            Some(peer) if peer == *self.swarm.local_peer_id() => {}
            Some(peer) => {
                self.book.add_given(peer, [place.clone()]);
                if !self.peers.0.contains_key(&peer) {
                    self.dial(Dial::Peer(peer, vec![place]), now);
                }
            }
            None if self.book.add_place(place.clone()) => self.dial_due(now),
            None => tracing::warn!("too many addresses without a peer id; one is not dialled"),
        }
    }

    /// Looks for those we lost, or for anybody, while neighbours are few.
    fn walk(&mut self, now: Instant) {
        let up = self.peers.up().count();
        if now < self.walk_at || self.lookup.is_some() || up == 0 || up >= limits::OUTBOUND_MIN {
            return;
        }
        self.walk_at = now + self.pace.walk_interval;
        let target = self.book.lost(|peer| self.peers.0.contains_key(peer)).unwrap_or_else(PeerId::random);
        self.lookup = Some(self.swarm.behaviour_mut().lookups.inner().get_closest_peers(target));
    }

    fn ban(&mut self, peer: PeerId) {
        if self.bans.contains(&peer) {
            return;
        }
        if self.bans.len() >= limits::BANNED_MAX
            && let Some(oldest) = self.bans.pop_front()
        {
            self.swarm.behaviour_mut().banned.unblock_peer(oldest);
        }
        self.bans.push_back(peer);
        self.send_away(peer, Refusal::KeptOff);
        self.book.forget(&peer);
        self.swarm.behaviour_mut().banned.block_peer(peer);
    }

    fn views(&self, now: Instant) -> Vec<PeerView> {
        let gossip = self.swarm.behaviour().gossip.look();
        let view = |(id, peer): (&PeerId, &Peer)| PeerView {
            node: peer.node,
            connections: peer
                .connections
                .keys()
                .filter_map(|connection| neighbour(peer, *connection))
                .collect(),
            listens: peer.listens.iter().cloned().map(Address).collect(),
            sees_us: peer.connections.values().filter_map(sight).collect(),
            admitted: peer.up.is_some(),
            round_trip: peer.round_trip,
            score: gossip.peer_score(id).unwrap_or(0.0),
            since: now.saturating_duration_since(peer.since),
        };
        self.peers.0.iter().map(view).collect()
    }

    fn known(&self) -> Vec<(artel_protocol::key::NodeId, Vec<Address>)> {
        let known = self.book.known().filter_map(|(peer, places)| {
            Some((address::node_of(peer)?, places.iter().cloned().map(Address).collect()))
        });
        known.collect()
    }
}

/// A connection of a peer, as the node sees it.
pub(crate) fn neighbour(peer: &Peer, id: ConnectionId) -> Option<Neighbour> {
    let connection = peer.connections.get(&id)?;
    Some(Neighbour {
        node: peer.node,
        address: Address(connection.remote.clone()),
        outbound: connection.outbound,
        transport: address::transport_of(&connection.remote),
    })
}

fn sight(connection: &Connection) -> Option<Sight> {
    let address = Address(connection.sees_us.clone()?);
    Some(Sight { address, dialled: !connection.outbound })
}

/// libp2p lets two processes listen on one TCP port (`SO_REUSEPORT`), and the system deals connections out between them.
fn check_free(address: &Address) -> io::Result<()> {
    match (address::ip_of(&address.0), address::tcp_port(&address.0)) {
        (Some(ip), Some(port)) if port != 0 => std::net::TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// The libp2p form of a node's key: PKCS#8 version 1 ends with the 32 bytes of the seed (RFC 8410).
fn keypair(key: &SecretKey) -> Result<Keypair, Error> {
    let der = key.to_pkcs8_der();
    let seed = der.last_chunk::<32>().ok_or_else(|| Error::Setup("the node's key is too short".into()))?;
    let keypair = Keypair::ed25519_from_bytes(*seed).map_err(|e| Error::Setup(e.to_string()))?;
    let peer = keypair.public().to_peer_id();
    match peer == peer_of(&artel_protocol::key::NodeId(key.public())) {
        true => Ok(keypair),
        false => Err(Error::Setup("the node's key has another form than expected".into())),
    }
}
