//! A peer made by hand: our protocols' substreams and a gossipsub of its own, and no manners.

use super::{DEADLINE, FEDERATION, key};
use crate::streams::{self, Channel, Event as StreamEvent};
use crate::{Address, Topic, gossip, transport};
use futures_util::StreamExt;
use libp2p::gossipsub;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{ConnectionId, NetworkBehaviour, SwarmEvent};
use libp2p::{PeerId, Swarm};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

/// A substream whose reads fail when the time is over.
pub struct Raw {
    inner: Compat<libp2p::Stream>,
    until: Pin<Box<tokio::time::Sleep>>,
}

impl Raw {
    fn new(stream: libp2p::Stream) -> Self {
        Raw { inner: stream.compat(), until: Box::pin(tokio::time::sleep(DEADLINE)) }
    }
}

impl AsyncRead for Raw {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.until.as_mut().poll(cx).is_ready() {
            panic!("nothing to read in time");
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Raw {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    streams: streams::Behaviour,
    gossip: Toggle<gossip::Gossipsub>,
}

enum Do {
    Open(&'static str, oneshot::Sender<Option<Raw>>),
    Publish(Topic, Vec<u8>),
}

/// A stranger that is connected to one node.
pub struct Stranger {
    todo: mpsc::UnboundedSender<Do>,
    pub inbound: mpsc::UnboundedReceiver<(Channel, Raw)>,
    /// Ends with the connection.
    pub closed: oneshot::Receiver<()>,
    /// Messages that came by gossip.
    pub heard: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Stranger {
    /// Connects to the node.
    pub async fn connect(seed: u8, to: &Address) -> Self {
        Self::connect_with(seed, to, true).await
    }

    /// Connects to the node, with a gossipsub of its own or with none in the way of what is made by hand.
    pub async fn connect_with(seed: u8, to: &Address, gossips: bool) -> Self {
        let der = key(seed).to_pkcs8_der();
        let keypair = Keypair::ed25519_from_bytes(*der.last_chunk::<32>().expect("a seed")).expect("a key");
        let counters = std::sync::Arc::default();
        let options = crate::Options::new(FEDERATION);
        let behaviour = Behaviour {
            streams: streams::Behaviour::default(),
            gossip: gossips.then(|| gossip::behaviour(&options, &counters).expect("gossip")).into(),
        };
        let transport = transport::build(&keypair, &counters).expect("transports");
        let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(2 * DEADLINE);
        let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
        swarm.dial(to.0.clone()).expect("an address");
        let connecting = async {
            loop {
                if let SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } =
                    swarm.select_next_some().await
                {
                    return (peer_id, connection_id);
                }
            }
        };
        let connection = tokio::time::timeout(DEADLINE, connecting).await.expect("a connection");
        let (todo, to_do) = mpsc::unbounded_channel();
        let (stream, inbound) = mpsc::unbounded_channel();
        let (say, heard) = mpsc::unbounded_channel();
        let (close, closed) = oneshot::channel();
        tokio::spawn(Self::run(swarm, connection, to_do, stream, say, close));
        Stranger { todo, inbound, closed, heard }
    }

    async fn run(
        mut swarm: Swarm<Behaviour>,
        (peer, id): (PeerId, ConnectionId),
        mut to_do: mpsc::UnboundedReceiver<Do>,
        inbound: mpsc::UnboundedSender<(Channel, Raw)>,
        heard: mpsc::UnboundedSender<Vec<u8>>,
        _close: oneshot::Sender<()>,
    ) {
        let mut opening = HashMap::new();
        for topic in Topic::all() {
            if let Some(gossip) = swarm.behaviour_mut().gossip.as_mut() {
                gossip.subscribe(&crate::topic::wire(topic, &FEDERATION)).expect("a topic of ours");
            }
        }
        loop {
            tokio::select! {
                Some(todo) = to_do.recv() => match todo {
                    Do::Open(name, reply) => {
                        let ticket = swarm.behaviour_mut().streams.open_by_name(peer, id, name);
                        opening.insert(ticket, reply);
                    }
                    Do::Publish(topic, data) => {
                        let topic = crate::topic::wire(topic, &FEDERATION).hash();
                        let _ = swarm.behaviour_mut().gossip.as_mut().map(|gossip| gossip.publish(topic, data));
                    }
                },
                event = swarm.select_next_some() => match event {
                    SwarmEvent::Behaviour(BehaviourEvent::Streams(event)) => match event {
                        StreamEvent::Inbound { channel, stream, .. } => {
                            let _ = inbound.send((channel, Raw::new(stream)));
                        }
                        StreamEvent::Opened { ticket, stream } => {
                            if let Some(reply) = opening.remove(&ticket) {
                                let _ = reply.send(Some(Raw::new(stream)));
                            }
                        }
                        StreamEvent::Failed { ticket } => {
                            drop(opening.remove(&ticket));
                        }
                    },
                    SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message { message, propagation_source, message_id })) => {
                        let _ = heard.send(message.data);
                        let accept = gossipsub::MessageAcceptance::Accept;
                        if let Some(gossip) = swarm.behaviour_mut().gossip.as_mut() {
                            gossip.report_message_validation_result(&message_id, &propagation_source, accept);
                        }
                    }
                    SwarmEvent::ConnectionClosed { .. } => return,
                    _ => {}
                },
            }
        }
    }

    pub async fn open(&self, channel: Channel) -> Option<Raw> {
        self.open_by_name(channel.name()).await
    }

    pub async fn open_by_name(&self, name: &'static str) -> Option<Raw> {
        let (reply, opened) = oneshot::channel();
        self.todo.send(Do::Open(name, reply)).ok()?;
        tokio::time::timeout(DEADLINE, opened).await.expect("in time").ok()?
    }

    pub fn publish(&self, topic: Topic, data: &[u8]) {
        let _ = self.todo.send(Do::Publish(topic, data.to_vec()));
    }

    pub async fn next_inbound(&mut self, wanted: Channel) -> Raw {
        let waiting = async {
            loop {
                let (channel, stream) = self.inbound.recv().await.expect("still connected");
                if channel == wanted {
                    return stream;
                }
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("a substream in time")
    }

    /// Answers the node's hello.
    pub async fn welcome(&mut self, accept: bool) -> Vec<u8> {
        let mut stream = self.next_inbound(Channel::Hello).await;
        let bytes = stream.read_u32_le().await.expect("a length");
        let mut hello = vec![0; bytes as usize];
        stream.read_exact(&mut hello).await.expect("a hello");
        stream.write_all(&[u8::from(accept), 0, 0, 0, 0]).await.expect("open");
        stream.shutdown().await.expect("open");
        hello
    }

    /// Says hello; tells whether it was accepted, if it was answered.
    pub async fn hello(&self) -> Option<bool> {
        let mut stream = self.open(Channel::Hello).await?;
        stream.write_all(b"\x05\0\0\0hello").await.ok()?;
        stream.flush().await.ok()?;
        Some(stream.read_u8().await.ok()? == 1)
    }

    /// Both hellos.
    pub async fn admitted(seed: u8, to: &Address) -> Self {
        let mut stranger = Self::connect(seed, to).await;
        stranger.welcome(true).await;
        assert_eq!(stranger.hello().await, Some(true));
        stranger
    }

    pub async fn is_closed(&mut self) {
        let _ =
            tokio::time::timeout(DEADLINE, &mut self.closed).await.expect("the node closes the connection");
    }
}

/// Whether the node ends the stream, in time.
pub async fn ends(stream: &mut Raw) -> bool {
    stream.read(&mut [0; 1]).await.unwrap_or(0) == 0
}
