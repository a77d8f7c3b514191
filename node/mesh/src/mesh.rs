//! The handle: what the node asks of the mesh.

use crate::Options;
use crate::address::{Address, peer_of};
use crate::counts::{Counters, Counts};
use crate::direct::Asker;
use crate::error::{Error, OpenError, PublishError, RequestError};
use crate::event::{Event, Peer, Protocol, Verdict};
use crate::limits::{COMMANDS_MAX, EVENTS_MAX, HELLO_BYTES_MAX, STOP_WAIT};
use crate::run::Loop;
use crate::stream::Stream;
use crate::topic::MessageId;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::topic::Topic;
use bytes::Bytes;
use libp2p::PeerId;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// A node's place in the mesh; a cheap clone. Whoever holds one may ask for anything the loop can do.
#[derive(Clone)]
pub struct Mesh {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// A mesh that runs.
pub struct Running {
    /// The handle.
    pub mesh: Mesh,
    /// What happens. Who does not read them lets the network wait.
    pub events: Events,
    /// The loop's task; a panic in it shows here.
    pub task: JoinHandle<()>,
    /// Ends when the loop does, however that comes.
    pub ended: oneshot::Receiver<()>,
}

/// What happens in the mesh, in order.
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; none once the loop has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// What handle and loop share.
pub(crate) struct Shared {
    pub(crate) node: NodeId,
    pub(crate) counters: Arc<Counters>,
    askers: Mutex<HashMap<NodeId, Asker>>,
    listening: Mutex<Vec<Address>>,
}

impl Shared {
    pub(crate) fn askers(&self) -> MutexGuard<'_, HashMap<NodeId, Asker>> {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listening(&self) -> MutexGuard<'_, Vec<Address>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the loop is asked to do.
pub(crate) enum Command {
    Dial(Address),
    SetHello(Bytes),
    Refuse(PeerId),
    Blame(PeerId),
    Ban(PeerId),
    Unban(PeerId),
    Subscribe(Topic),
    Unsubscribe(Topic),
    Publish(Topic, Bytes, oneshot::Sender<Result<MessageId, PublishError>>),
    Verdict(MessageId, PeerId, Verdict),
    Open(PeerId, Protocol, oneshot::Sender<Result<Stream, OpenError>>),
    Peers(oneshot::Sender<Vec<Peer>>),
    Known(oneshot::Sender<Vec<(NodeId, Vec<Address>)>>),
    Stop(oneshot::Sender<()>),
}

impl Mesh {
    /// Starts a mesh inside the current tokio runtime, and waits until it listens wherever it should.
    ///
    /// # Errors
    /// [`Error::Setup`] and [`Error::Listen`].
    pub async fn start(key: &SecretKey, options: Options) -> Result<Running, Error> {
        check_hello(&options.hello)?;
        let shared = Arc::new(Shared {
            node: NodeId(key.public()),
            counters: Arc::default(),
            askers: Mutex::default(),
            listening: Mutex::default(),
        });
        let (commands, to_do) = mpsc::channel(COMMANDS_MAX);
        let (events, happened) = mpsc::channel(EVENTS_MAX);
        let mut running = Loop::new(key, options, shared.clone(), to_do, events)?;
        running.listen().await?;
        let (alive, ended) = oneshot::channel();
        let task = tokio::spawn(async move {
            let _alive: oneshot::Sender<()> = alive;
            running.run().await;
        });
        Ok(Running { mesh: Mesh { shared, commands }, events: Events(happened), task, ended })
    }

    /// Ourselves.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Where we listen, with real ports.
    pub fn listening(&self) -> Vec<Address> {
        self.shared.listening().clone()
    }

    /// What went through and what was refused.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// Sets what we say first on connections to come.
    ///
    /// # Errors
    /// [`Error::Setup`] when it is larger than [`HELLO_BYTES_MAX`], [`Error::Ended`].
    pub async fn set_hello(&self, hello: Bytes) -> Result<(), Error> {
        check_hello(&hello)?;
        self.command(Command::SetHello(hello)).await
    }

    /// Dials an address now, and again later until somebody answers; the node at its end is kept as known.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn dial(&self, address: Address) -> Result<(), Error> {
        self.command(Command::Dial(address)).await
    }

    /// Takes a peer's admission back and disconnects it. It may come again.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn refuse(&self, peer: &NodeId) -> Result<(), Error> {
        self.command(Command::Refuse(peer_of(peer))).await
    }

    /// Takes score from a peer that sent what no honest node sends, as a wrong message in gossip would: the ninth within a short
    /// time disconnects it, and it is kept off. It stays so when it comes again.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn blame(&self, peer: &NodeId) -> Result<(), Error> {
        self.command(Command::Blame(peer_of(peer))).await
    }

    /// Disconnects a peer, forgets it and never hears of it again, until [`Mesh::unban`] or a restart.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn ban(&self, peer: &NodeId) -> Result<(), Error> {
        self.command(Command::Ban(peer_of(peer))).await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn unban(&self, peer: &NodeId) -> Result<(), Error> {
        self.command(Command::Unban(peer_of(peer))).await
    }

    /// Takes part in a topic.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn subscribe(&self, topic: Topic) -> Result<(), Error> {
        self.command(Command::Subscribe(topic)).await
    }

    /// Leaves a topic.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn unsubscribe(&self, topic: Topic) -> Result<(), Error> {
        self.command(Command::Unsubscribe(topic)).await
    }

    /// Says something on a topic, taking part in it or not. It is a hint: nobody may be there to hear it.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, topic: Topic, data: Bytes) -> Result<MessageId, PublishError> {
        let ended = |_| PublishError::Ended;
        self.ask(|reply| Command::Publish(topic, data, reply)).await.map_err(ended)?
    }

    /// Judges a message of [`Event::Gossip`]. The first verdict counts; one that comes later than
    /// [`crate::limits::VERDICT_WAIT`] does not.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn verdict(&self, id: MessageId, from: &NodeId, verdict: Verdict) -> Result<(), Error> {
        self.command(Command::Verdict(id, peer_of(from), verdict)).await
    }

    /// Asks an admitted peer something and waits for its answer: one round trip. While as many requests to it are in flight as may
    /// be, it waits for a place before that, as long again but at most [`crate::limits::DIRECT_QUEUE_WAIT`]. After
    /// [`RequestError::Timeout`] and [`RequestError::Gone`] the peer may have done what it was asked, so requests must bear
    /// repeating.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(
        &self,
        peer: &NodeId,
        data: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, RequestError> {
        let asker = self.shared.askers().get(peer).cloned();
        asker.ok_or(RequestError::NotAdmitted)?.request(data, timeout).await
    }

    /// Opens a raw stream to an admitted peer.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(&self, peer: &NodeId, protocol: Protocol) -> Result<Stream, OpenError> {
        let gone = |_| OpenError::Gone;
        self.ask(|reply| Command::Open(peer_of(peer), protocol, reply)).await.map_err(gone)?
    }

    /// The connected peers.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn peers(&self) -> Result<Vec<Peer>, Error> {
        self.ask(Command::Peers).await
    }

    /// Whom a node should write down and give back in [`Options::known`].
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn known(&self) -> Result<Vec<(NodeId, Vec<Address>)>, Error> {
        self.ask(Command::Known).await
    }

    /// Says goodbye and ends the loop; after [`STOP_WAIT`] at the latest.
    pub async fn stop(&self) {
        let _ = tokio::time::timeout(STOP_WAIT, self.ask(Command::Stop)).await;
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Ended)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.command(command(reply)).await?;
        answer.await.map_err(|_| Error::Ended)
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mesh").field(&self.shared.node).finish()
    }
}

fn check_hello(hello: &Bytes) -> Result<(), Error> {
    match hello.len() {
        bytes if bytes > HELLO_BYTES_MAX => {
            Err(Error::Setup(format!("a hello of {bytes} bytes; at most {HELLO_BYTES_MAX} may be said")))
        }
        _ => Ok(()),
    }
}
