//! Spans on their way to a collector: OTLP over HTTP, many at once, from a bounded queue. A collector that is away or slow costs spans,
//! never the node anything else.

use super::{Span, otlp};
use artel_protocol::key::NodeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

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
    closing: CancellationToken,
}

impl Exporter {
    /// Starts the sender on a task of its own, which ends once it is closed, or nobody can send any more, and all was sent.
    ///
    /// # Errors
    /// What keeps an HTTP client from being made.
    pub fn start(options: Options) -> anyhow::Result<(Exporter, tokio::task::JoinHandle<()>)> {
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let (queue, spans) = mpsc::channel(QUEUE_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let closing = CancellationToken::new();
        let sender = Sender { client, options, lost: lost.clone(), closing: closing.clone() };
        Ok((Exporter { queue, lost, closing }, tokio::spawn(sender.run(spans))))
    }

    /// Has what is on its way sent, and takes no more.
    pub(super) fn close(&self) {
        self.closing.cancel();
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
    closing: CancellationToken,
}

impl Sender {
    async fn run(self, mut spans: mpsc::Receiver<Span>) {
        let url = format!("{}/v1/traces", self.options.collector.trim_end_matches('/'));
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut told = 0;
        while self.next(&mut spans, &mut batch).await > 0 {
            // More come within a moment, or nobody can send any more.
            let gathered =
                async { while batch.len() < BATCH_MAX && self.next(&mut spans, &mut batch).await > 0 {} };
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

    /// More spans; none once nobody can send any.
    async fn next(&self, spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) -> usize {
        let more = BATCH_MAX.saturating_sub(batch.len()).max(1);
        tokio::select! {
            count = spans.recv_many(batch, more) => return count,
            () = self.closing.cancelled(), if !spans.is_closed() => spans.close(),
        }
        spans.recv_many(batch, more).await
    }

    async fn post(&self, url: &str, spans: &[Span]) -> Result<(), reqwest::Error> {
        let body = otlp::request(&self.options.node.to_string(), self.options.version, spans);
        let request = self.client.post(url).header("content-type", "application/x-protobuf").body(body);
        request.send().await?.error_for_status().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use artel_protocol::key::SecretKey;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    fn exporter(collector: String) -> (Exporter, tokio::task::JoinHandle<()>) {
        let node = NodeId(SecretKey::from_seed(&[1; 32]).public());
        Exporter::start(Options { collector, node, version: "1" }).expect("a client")
    }

    fn span(n: u8) -> Span {
        Span {
            trace: [n; 16],
            id: [n; 8],
            parent: None,
            name: "the-last-words",
            kind: Kind::Internal,
            start: 1,
            end: 2,
            attributes: Vec::new(),
            link: None,
            went_well: None,
        }
    }

    #[tokio::test]
    async fn what_is_on_its_way_when_the_node_ends_is_sent_though_others_could_still_send() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (exporter, sender) = exporter(format!("http://{}", listener.local_addr().expect("bound")));
        for n in 1..=3 {
            exporter.send(span(n));
        }
        exporter.close();
        let (mut stream, _) = listener.accept().await.expect("the sender");
        let mut taken = Vec::new();
        while taken.windows(14).filter(|bytes| bytes == b"the-last-words").count() < 3 {
            assert!(stream.read_buf(&mut taken).await.expect("its request") > 0, "cut: {}", taken.len());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("an answer");
        tokio::time::timeout(TIMEOUT, sender).await.expect("it ends by itself").expect("no panic");
        exporter.send(span(4));
        assert_eq!(exporter.lost.load(Relaxed), 1, "what comes later is counted as lost");
    }

    #[tokio::test]
    async fn a_sender_without_spans_ends_at_once() {
        let (exporter, sender) = exporter("http://127.0.0.1:9".into());
        exporter.close();
        tokio::time::timeout(TIMEOUT, sender).await.expect("it ends by itself").expect("no panic");
    }
}
