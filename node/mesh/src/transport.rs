//! The transports: TCP with Noise and Yamux, QUIC, names resolved; every byte counted.

use crate::counts::{Counters, Flow};
use crate::error::Error;
use crate::limits::{HANDSHAKE_WAIT, SUBSTREAMS_MAX};
use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent};
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, dns, noise, quic, tcp, yamux};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The most bytes that QUIC holds unread for a connection (8 MiB) and for a stream (1 MiB). Less slows artifacts down on
/// long links.
const QUIC_UNREAD_BYTES: (u32, u32) = (8 << 20, 1 << 20);

type Connected = (PeerId, StreamMuxerBox);

/// The transports with names resolved, if the system says by whom; otherwise with numbers only.
pub(crate) fn build(key: &Keypair, counters: &Arc<Counters>) -> Result<Boxed<Connected>, Error> {
    match dns::tokio::Transport::system(by_number(key, counters)?) {
        Ok(transport) => Ok(transport.boxed()),
        Err(error) => {
            tracing::warn!(%error, "no resolver is configured; addresses with names will not be reached");
            by_number(key, counters)
        }
    }
}

fn by_number(key: &Keypair, counters: &Arc<Counters>) -> Result<Boxed<Connected>, Error> {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(SUBSTREAMS_MAX);
    let noise = noise::Config::new(key).map_err(|e| Error::Setup(e.to_string()))?;
    let (over_tcp, over_quic) = (counters.clone(), counters.clone());
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .map(move |socket, _| Counted { inner: socket, counters: over_tcp.clone(), flow: |c| &c.tcp })
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(muxer)
        .timeout(HANDSHAKE_WAIT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));

    let mut config = quic::Config::new(key);
    (config.max_connection_data, config.max_stream_data) = QUIC_UNREAD_BYTES;
    config.max_concurrent_stream_limit = SUBSTREAMS_MAX as u32;
    let quic = quic::tokio::Transport::new(config).map(move |(peer, inner), _| {
        (peer, StreamMuxerBox::new(CountedMuxer { inner, counters: over_quic.clone() }))
    });

    Ok(quic.or_transport(tcp).map(|either, _| either.into_inner()).boxed())
}

/// A socket or substream whose bytes are counted.
struct Counted<T> {
    inner: T,
    counters: Arc<Counters>,
    flow: fn(&Counters) -> &Flow,
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        (self.flow)(&self.counters).received(read);
        Poll::Ready(Ok(read))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        (self.flow)(&self.counters).sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// A QUIC connection whose streams are counted.
struct CountedMuxer {
    inner: quic::Connection,
    counters: Arc<Counters>,
}

impl CountedMuxer {
    fn counted(&self, inner: quic::Stream) -> Counted<quic::Stream> {
        Counted { inner, counters: self.counters.clone(), flow: |c| &c.quic }
    }
}

impl StreamMuxer for CountedMuxer {
    type Substream = Counted<quic::Stream>;
    type Error = quic::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(self.counted(stream)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(self.counted(stream)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}
