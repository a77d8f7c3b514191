//! A member of a federation whose mesh is real and whose words are the test's: it has a stopped node's key and admission,
//! lets everybody in, says on each protocol what it is told to, and answers what the test answers.

use artel_mesh::{
    Address, Event, Mesh, OpenError, Options, Protocol, RequestError, Running, Stream, Topic, Verdict,
};
use artel_node::neighbours::Admission;
use artel_node::{clock, data, hello};
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::Origin;
use artel_protocol::summary::{Said, Summary};
use artel_tests::wait::{self, DEADLINE};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

/// What it answers to a frame on a stream that it did not open; nothing ends the stream.
pub type Answers = Arc<dyn Fn(Protocol, &[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// The member, connected to one node.
pub struct Liar {
    runtime: Runtime,
    mesh: Mesh,
    key: SecretKey,
    peer: NodeId,
}

impl Liar {
    /// Comes up as the node that has stopped on a directory, and dials another one.
    pub fn join(dir: &Path, origin: &Origin, to: (NodeId, &str)) -> Self {
        Self::join_answering(dir, origin, to, Arc::new(|_, _| None))
    }

    /// The same, with answers to what it is asked on streams.
    pub fn join_answering(dir: &Path, origin: &Origin, (peer, at): (NodeId, &str), answers: Answers) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let key = data::read_key(&dir.join("node.key")).expect("the node's key");
        let chain = Admission::read(dir, None).expect("its admission").chain();
        let said = hello::say((origin, &key), clock::wall(), vec![], chain, None).expect("within bounds");
        let address: Address = at.parse().expect("an address");
        let mut options = Options::new(origin.federation());
        options.hello = said.into();
        options.known = vec![(peer, vec![address])];
        let mesh = runtime.block_on(async {
            let Running { mesh, mut events, .. } = Mesh::start(&key, options).await.expect("a mesh");
            mesh.subscribe(Topic::Trust).await.expect("subscribed");
            let said = mesh.clone();
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    match event {
                        Event::Hello { answer, .. } => {
                            let welcome = artel_protocol::hello::Welcome::accepted(Vec::new());
                            answer.send(true, welcome.to_frame().expect("a frame").into());
                        }
                        Event::Gossip { id, from, .. } => {
                            // The mesh may have ended.
                            let _ = said.verdict(id, &from, Verdict::Ignore).await;
                        }
                        Event::Stream { protocol, stream, .. } => {
                            tokio::spawn(answer(protocol, stream, answers.clone()));
                        }
                        _ => {}
                    }
                }
            });
            mesh
        });
        Liar { runtime, mesh, key, peer }
    }

    /// Waits until both sides have let each other in.
    pub fn until_admitted(&self) {
        wait::until("the liar is let in", || {
            let peers = self.runtime.block_on(self.mesh.peers()).expect("it runs");
            peers.iter().any(|peer| peer.node == self.peer && peer.admitted).then_some(())
        });
    }

    /// Signs a summary and gives it to gossip; whether a neighbour took it.
    pub fn say(&self, said: Said) -> bool {
        let summary = Summary::sign(said, &self.key).expect("within bounds");
        self.gossip(Topic::Trust, summary.bytes())
    }

    /// Gives anything to gossip; whether a neighbour took it.
    pub fn gossip(&self, topic: Topic, bytes: &[u8]) -> bool {
        self.runtime.block_on(self.mesh.publish(topic, Bytes::copy_from_slice(bytes))).is_ok()
    }

    /// Asks the node anything.
    pub fn ask(&self, bytes: &[u8]) -> Result<Bytes, RequestError> {
        self.runtime.block_on(self.mesh.request(&self.peer, Bytes::copy_from_slice(bytes), DEADLINE))
    }

    /// Opens a stream to the node, on which nothing is said yet.
    pub fn open(&self, protocol: Protocol) -> Result<Stream, OpenError> {
        self.runtime.block_on(self.mesh.open(&self.peer, protocol))
    }

    /// Says something on a new stream; all that the node answers until it ends it.
    pub fn say_on(&self, protocol: Protocol, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.open(protocol).expect("a stream");
        let said = async {
            let mut answer = Vec::new();
            stream.write_all(bytes).await.expect("it is open");
            stream.flush().await.expect("it is open");
            // A stream that is reset has no clean end.
            let _ = stream.read_to_end(&mut answer).await;
            answer
        };
        self.runtime.block_on(async { tokio::time::timeout(DEADLINE, said).await }).expect("it is answered")
    }
}

/// Answers frame after frame, on `blob` one.
async fn answer(protocol: Protocol, mut stream: Stream, answers: Answers) -> std::io::Result<()> {
    loop {
        let mut frame = vec![0; 8];
        stream.read_exact(&mut frame).await?;
        let bytes = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]) as usize;
        frame.resize(8 + bytes, 0);
        stream.read_exact(&mut frame[8..]).await?;
        let Some(said) = answers(protocol, &frame) else { return stream.shutdown().await };
        stream.write_all(&said).await?;
        stream.flush().await?;
        if protocol == Protocol::Blob {
            return stream.shutdown().await;
        }
    }
}
