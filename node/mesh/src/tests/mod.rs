//! Tests over real sockets on loopback: nodes, and strangers that are made by hand.

mod bad;
mod direct;
mod gossip;
mod hello;
mod net;
mod speed;
mod stranger;
mod streams;

use crate::{Address, Event, Mesh, Options, Refusal, RequestError, Running};
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Nothing on loopback takes as long; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

pub const FEDERATION: FederationId = FederationId([0xfe; 32]);

/// A node whose hellos are answered by a switch, with its other events in a queue.
pub struct Node {
    pub mesh: Mesh,
    pub events: mpsc::UnboundedReceiver<Event>,
    pub accepts: Arc<AtomicBool>,
    pub task: JoinHandle<()>,
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub fn id(seed: u8) -> NodeId {
    NodeId(key(seed).public())
}

pub fn options(listen: &str) -> Options {
    let mut options = Options::new(FEDERATION);
    options.listen = vec![listen.parse().expect("an address")];
    options.hello = Bytes::from_static(b"hello");
    options.pace.backoff_min = Duration::from_millis(50);
    options.pace.backoff_max = Duration::from_millis(200);
    options
}

pub async fn start(seed: u8, options: Options) -> Running {
    Mesh::start(&key(seed), options).await.expect("a mesh starts")
}

pub async fn node(seed: u8, options: Options) -> Node {
    let Running { mesh, mut events, task, .. } = start(seed, options).await;
    let accepts = Arc::new(AtomicBool::new(true));
    let (sender, queue) = mpsc::unbounded_channel();
    let switch = accepts.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::Hello { data, answer, .. } => {
                    answer.send(switch.load(Relaxed) && data == "hello", "welcome".into())
                }
                event => drop(sender.send(event)),
            }
        }
    });
    Node { mesh, events: queue, accepts, task }
}

pub async fn default(seed: u8) -> Node {
    node(seed, options(TCP)).await
}

/// Two nodes that are up.
pub async fn pair(listen: &str) -> (Node, Node) {
    let mut a = node(1, options(listen)).await;
    let mut b = node(2, options(listen)).await;
    b.mesh.dial(a.address()).await.expect("running");
    a.up(2).await;
    b.up(1).await;
    (a, b)
}

impl Node {
    /// The first address, with the node's name.
    pub fn address(&self) -> Address {
        self.mesh.listening()[0].with_node(&self.mesh.node())
    }

    /// Waits for an event; the others are thrown away.
    pub async fn wait<T>(&mut self, what: &str, mut is_it: impl FnMut(Event) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let event = self.events.recv().await.unwrap_or_else(|| panic!("ended before {what}"));
                if let Some(found) = is_it(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("no {what} in time"))
    }

    pub async fn up(&mut self, seed: u8) -> crate::Neighbour {
        self.wait("Up", |event| match event {
            Event::Up(up) if up.node == id(seed) => Some(up),
            _ => None,
        })
        .await
    }

    /// Waits until all of them are up, in any order.
    pub async fn all_up(&mut self, seeds: &[u8]) {
        let mut missing: Vec<_> = seeds.iter().map(|seed| id(*seed)).collect();
        self.wait("every Up", |event| {
            if let Event::Up(up) = event {
                missing.retain(|node| *node != up.node);
            }
            missing.is_empty().then_some(())
        })
        .await;
    }

    pub async fn down(&mut self, seed: u8) -> Option<Refusal> {
        self.wait("Down", |event| match event {
            Event::Down { peer, reason } if peer == id(seed) => Some(reason),
            _ => None,
        })
        .await
    }

    pub async fn ask(&self, seed: u8, data: &'static [u8]) -> Result<Bytes, RequestError> {
        self.mesh.request(&id(seed), Bytes::from_static(data), DEADLINE).await
    }

    pub async fn refused(&self, reason: Refusal, times: u64) {
        eventually(reason.name(), || self.mesh.counts().refused(reason) >= times).await;
        assert_eq!(self.mesh.counts().refused(reason), times, "{reason}");
    }

    /// Answers requests with their own bytes from now on.
    pub fn echo(mut self) -> Mesh {
        let mesh = self.mesh.clone();
        tokio::spawn(async move {
            while let Some(event) = self.events.recv().await {
                if let Event::Request { data, answer, .. } = event {
                    answer.send(data);
                }
            }
        });
        mesh
    }
}

/// Waits for a condition.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
