//! What the tests share: a service that answers with fixed things and remembers what it was asked, a running server,
//! and a client that speaks HTTP by hand, so that it can also speak it badly.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod client;
pub mod fake;
pub mod socket;

use artel_web::{Options, Server};
use fake::Fake;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The most that any wait in a test may take before it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a free port of loopback.
pub struct Running {
    pub address: SocketAddr,
    pub service: Fake,
    pub closing: CancellationToken,
    pub task: JoinHandle<()>,
}

pub async fn start(options: Options) -> Running {
    let server = Server::bind(options).await.expect("loopback and port 0");
    let (address, service, closing) = (server.address(), Fake::default(), CancellationToken::new());
    let task = tokio::spawn(server.run(service.clone(), closing.clone()));
    Running { address, service, closing, task }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}
