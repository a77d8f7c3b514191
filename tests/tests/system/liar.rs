//! A member of a federation whose mesh is real and whose words are the test's: it has a stopped node's key and admission,
//! lets everybody in, and publishes what it is told to.

use artel_mesh::{Address, Event, Mesh, Options, Running, Topic, Verdict};
use artel_node::neighbours::Admission;
use artel_node::{clock, data, hello};
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::Origin;
use artel_protocol::summary::{Said, Summary};
use bytes::Bytes;
use std::path::Path;
use tokio::runtime::Runtime;

/// The member, connected to one node.
pub struct Liar {
    runtime: Runtime,
    mesh: Mesh,
    key: SecretKey,
}

impl Liar {
    /// Comes up as the node that has stopped on a directory, and dials another one.
    pub fn join(dir: &Path, origin: &Origin, (peer, at): (NodeId, &str)) -> Self {
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
                        _ => {}
                    }
                }
            });
            mesh
        });
        Liar { runtime, mesh, key }
    }

    /// Signs a summary and gives it to gossip; whether a neighbour took it.
    pub fn say(&self, said: Said) -> bool {
        let summary = Summary::sign(said, &self.key).expect("within bounds");
        let bytes = Bytes::copy_from_slice(summary.bytes());
        self.runtime.block_on(self.mesh.publish(Topic::Trust, bytes)).is_ok()
    }
}
