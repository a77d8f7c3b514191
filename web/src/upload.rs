//! Bytes on their way in: read piece by piece, bounded in size, in the pause between pieces and in time overall.

use crate::problem::{Code, Problem};
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::time::Instant;

/// What a body may have and how slowly it may come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The most bytes.
    pub bytes_max: u64,
    /// The code at that limit.
    pub too_large: Code,
    /// The longest pause between two pieces.
    pub idle: Duration,
    /// The slowest mean rate, in bytes a second, beyond one `idle` for free.
    pub rate_min: u64,
}

/// A body that is being received.
#[derive(Debug)]
pub struct Upload {
    source: Source,
    pace: Pace,
    announced: Option<u64>,
    received: u64,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum Source {
    Stream(Body),
    Whole(Option<Bytes>),
}

impl Upload {
    /// A body that comes over a connection; `announced` is its `Content-Length`.
    pub(crate) fn streamed(body: Body, announced: Option<u64>, pace: Pace) -> Result<Self, Problem> {
        if announced.is_some_and(|n| n > pace.bytes_max) {
            return Err(too_large(&pace));
        }
        Ok(Upload { source: Source::Stream(body), pace, announced, received: 0, deadline: None })
    }

    /// Bytes that are here already.
    pub fn whole(bytes: Bytes) -> Self {
        let pace = Pace {
            bytes_max: bytes.len() as u64,
            too_large: Code::BodyTooLarge,
            idle: Duration::ZERO,
            rate_min: 1,
        };
        Upload {
            announced: Some(bytes.len() as u64),
            source: Source::Whole(Some(bytes)),
            pace,
            received: 0,
            deadline: None,
        }
    }

    /// How many bytes the sender says there are.
    pub fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// How many came so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next piece, nothing at the end. Cancel-safe: a dropped call loses no piece.
    ///
    /// # Errors
    /// A [`Problem`] when the body is too large, too slow or cut off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let body = match &mut self.source {
            Source::Whole(bytes) => return Ok(bytes.take().filter(|b| !b.is_empty())),
            Source::Stream(body) => body,
        };
        loop {
            // The deadline moves with what came: a large body has long, a trickle has not.
            let begun = *self.deadline.get_or_insert_with(Instant::now);
            let earned =
                Duration::from_millis(self.received.saturating_mul(1_000) / self.pace.rate_min.max(1));
            let until = (begun + self.pace.idle + earned).min(Instant::now() + self.pace.idle);
            let frame = tokio::time::timeout_at(until, body.frame())
                .await
                .map_err(|_| Problem::edge(Code::RequestTimeout))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| Problem::edge(Code::BodyIncomplete))?;
            // Trailers say nothing that we read.
            let Ok(data) = frame.into_data() else { continue };
            self.received += data.len() as u64;
            if self.received > self.pace.bytes_max {
                return Err(too_large(&self.pace));
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
}

fn too_large(pace: &Pace) -> Problem {
    let message = format!("{} (at most {} bytes here)", pace.too_large.sentence(), pace.bytes_max);
    Problem::edge_saying(pace.too_large, message)
}
