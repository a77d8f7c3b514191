//! A raw stream to a peer.

use crate::counts::{Counters, Lane};
use crate::event::Protocol;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

/// A raw stream to a peer, with tokio's `AsyncRead` and `AsyncWrite`. Dropping it resets it; shutting its writing side down
/// is the only clean end. It fails when the peer goes or loses its admission. Its idle time is the user's to limit.
pub struct Stream {
    inner: Compat<libp2p::Stream>,
    lane: Lane,
    counters: Arc<Counters>,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    pub(crate) fn new(
        inner: libp2p::Stream,
        protocol: Protocol,
        counters: Arc<Counters>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let lane = match protocol {
            Protocol::Sync => Lane::Sync,
            Protocol::Blob => Lane::Blob,
        };
        Stream { inner: inner.compat(), lane, counters, _place: place }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.counters.lane(self.lane).received(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.counters.lane(self.lane).sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("lane", &self.lane).finish_non_exhaustive()
    }
}
