//! Traces for OpenTelemetry: one task is one trace, whatever nodes it goes through.
//!
//! No node has to be told a trace's id: it follows from the run's id, which is in everything that nodes say of a task, and so do
//! the ids of the spans that others hang theirs on. And no request waits for a trace: spans are made from the journal's entries, after
//! they are synced, by one task that follows it; without a collector there is no such task.

mod export;
mod ids;
mod otlp;
mod requests;
mod story;

pub use export::Options;
pub use requests::Requests;

use crate::events::{Events, Recent};
use artel_protocol::id::StepId;
use export::Exporter;
use std::sync::Arc;
use std::time::Duration;
use story::Story;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many entries are read at once.
const ENTRIES: usize = 256;

/// One stretch of time in a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    trace: [u8; 16],
    id: [u8; 8],
    parent: Option<[u8; 8]>,
    name: &'static str,
    kind: Kind,
    /// Nanoseconds since 1970.
    start: u64,
    end: u64,
    attributes: Vec<(&'static str, Value)>,
    /// A span of another trace that this one has to do with.
    link: Option<([u8; 16], [u8; 8])>,
    /// Whether what it tells of went well; nothing where that is no question.
    went_well: Option<bool>,
}

/// What a span is to others, by OTLP's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something inside of this node.
    Internal = 1,
    /// An answer to somebody's request.
    Server = 2,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
}

/// The environment variable in which programs hand a trace context on to those that they start.
pub(crate) const VARIABLE: &str = "TRACEPARENT";

/// The context of a task's trace for whoever works on it (W3C Trace Context): its spans hang on the task's.
pub(crate) fn parent(task: &StepId) -> String {
    format!("00-{}-{}-01", hex::encode(ids::trace(&task.run())), hex::encode(ids::task(task)))
}

/// What tells a collector of tasks and requests.
pub struct Telling {
    closing: CancellationToken,
    follower: JoinHandle<()>,
    sender: JoinHandle<()>,
}

/// How long a node that ends waits for its collector. Longer, and a collector that is away holds up every stop; shorter, and one at
/// some distance loses the end of the story.
const END: Duration = Duration::from_secs(2);

impl Telling {
    /// Begins to tell of every task that the journal writes on from now, and of the requests that are given back.
    ///
    /// # Errors
    /// What keeps an HTTP client from being made.
    pub fn start(events: Arc<Events>, options: Options) -> anyhow::Result<(Arc<Requests>, Telling)> {
        let (exporter, sender) = Exporter::start(options)?;
        let requests = Arc::new(Requests::new(exporter.clone()));
        let closing = CancellationToken::new();
        let follower = tokio::spawn(follow(events, requests.clone(), exporter, closing.clone()));
        Ok((requests, Telling { closing, follower, sender }))
    }

    /// Tells what is synced and on its way by now. To be called once nothing is written any more.
    pub async fn end(self) {
        self.closing.cancel();
        let told = async { tokio::join!(self.follower, self.sender) };
        if tokio::time::timeout(END, told).await.is_err() {
            tracing::warn!("the collector of traces did not take the last spans in time; they are lost");
        }
    }
}

/// Tells the story of every task, and at the end has the last of it sent.
async fn follow(
    events: Arc<Events>,
    requests: Arc<Requests>,
    exporter: Exporter,
    closing: CancellationToken,
) {
    let mut synced = events.watch();
    let mut next = events.size();
    let mut story = Story::default();
    loop {
        let is_last = closing.is_cancelled();
        synced.borrow_and_update();
        let (kept, to) = match events.from(next, ENTRIES, |_| true) {
            Recent::Here(kept, to) => (kept, to),
            Recent::Older(first) => {
                // Traces are told of what happens; who is that far behind has nobody who waits for them.
                tracing::warn!(from = next, to = first, "traces of some entries are left out");
                next = first;
                continue;
            }
        };
        for kept in &kept {
            story.tell(kept.entry(), &requests, &mut |span| exporter.send(span));
        }
        let is_all = kept.len() < ENTRIES;
        next = to;
        if is_all && is_last {
            return exporter.close();
        }
        if is_all {
            // What was synced before the end is read once more. The other side of this watch is held here, so it does not end.
            tokio::select! {
                _ = synced.changed() => {}
                () = closing.cancelled() => {}
            }
        }
    }
}
