//! Spans on their way to a collector: OTLP over HTTP, many at once, from a bounded queue. A collector that is away or slow costs spans,
//! never the node anything else.

use super::{Span, otlp};
use artel_protocol::key::NodeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many spans wait, each about 500 bytes. More are lost and counted: to wait would make the journal's followers wait.
const QUEUE_MAX: usize = 8_192;

/// How many spans one request carries.
const BATCH_MAX: usize = 512;

/// For how long spans are gathered into one request.
const GATHER: Duration = Duration::from_millis(500);

/// How long a collector may take with one request; then its spans are lost.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where spans go, and whose they are.
#[derive(Debug, Clone)]
pub struct Options {
    /// The collector's base address; `/v1/traces` follows it.
    pub collector: String,
    /// This node.
    pub node: NodeId,
    /// The software's version.
    pub version: &'static str,
}

/// The way to the collector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exporter {
    queue: mpsc::Sender<Span>,
    lost: Arc<AtomicU64>,
}

impl Exporter {
    /// Starts the sender on a task of its own, which ends once nobody can send any more.
    ///
    /// # Errors
    /// What keeps an HTTP client from being made.
    pub fn start(options: Options) -> anyhow::Result<(Exporter, tokio::task::JoinHandle<()>)> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let sender = Sender { client, options, lost: lost.clone() };
        Ok((Exporter { queue, lost }, tokio::spawn(sender.run(spans))))
    }

    pub(super) fn send(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

struct Sender {
    client: reqwest::Client,
    options: Options,
    lost: Arc<AtomicU64>,
}

impl Sender {
    async fn run(self, mut spans: mpsc::Receiver<Span>) {
        let url = format!("{}/v1/traces", self.options.collector.trim_end_matches('/'));
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut told = 0;
        while spans.recv_many(&mut batch, BATCH_MAX).await > 0 {
            // More come within a moment, or nobody can send any more.
            let gathered = async {
                while batch.len() < BATCH_MAX && spans.recv_many(&mut batch, BATCH_MAX).await > 0 {}
            };
            let _ = tokio::time::timeout(GATHER, gathered).await;
            if let Err(error) = self.post(&url, &batch).await {
                self.lost.fetch_add(batch.len() as u64, Relaxed);
                tracing::debug!(%error, "the collector of traces did not take them");
            }
            batch.clear();
            let lost = self.lost.load(Relaxed);
            if lost > told {
                tracing::warn!(
                    lost = lost - told,
                    "spans of traces are lost; see to the collector that otlp names"
                );
                told = lost;
            }
        }
    }

    async fn post(&self, url: &str, spans: &[Span]) -> Result<(), reqwest::Error> {
        let body = otlp::request(&self.options.node.to_string(), self.options.version, spans);
        let request = self.client.post(url).header("content-type", "application/x-protobuf").body(body);
        request.send().await?.error_for_status().map(drop)
    }
}
