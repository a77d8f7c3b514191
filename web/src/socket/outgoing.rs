//! What waits to be written to a socket's peer, and since when the peer takes nothing of it.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// There is nobody any more.
pub(super) struct End;

/// Frames on their way out.
#[derive(Default)]
pub(super) struct Outgoing {
    /// What was put, also what of it was written already while the rest waits.
    pub bytes: Vec<u8>,
    written: usize,
    /// Whether what was written may still be held back by the transport, as TLS does.
    is_unflushed: bool,
    /// Since when the peer takes nothing.
    pub stuck: Option<Instant>,
}

impl Outgoing {
    /// Whether all that was put is with the kernel.
    pub fn is_through(&self) -> bool {
        self.bytes.is_empty() && !self.is_unflushed
    }

    /// Writes what there is; whether something went out.
    ///
    /// # Errors
    /// [`End`].
    pub fn poll<T: AsyncWrite + Unpin>(&mut self, io: &mut T, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut moved = false;
        while self.written < self.bytes.len() {
            match Pin::new(&mut *io).poll_write(cx, &self.bytes[self.written..]) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.written += n;
                    (self.stuck, self.is_unflushed, moved) = (None, true, true);
                }
                Poll::Ready(_) => return Err(End),
                Poll::Pending => {
                    self.stuck.get_or_insert_with(Instant::now);
                    return Ok(moved);
                }
            }
        }
        if moved {
            (self.bytes, self.written) = (Vec::new(), 0);
        }
        // Under TLS the peer has it only when this is through, which may be in a later turn.
        if self.is_unflushed {
            match Pin::new(io).poll_flush(cx) {
                Poll::Ready(Ok(())) => (self.is_unflushed, self.stuck) = (false, None),
                Poll::Ready(Err(_)) => return Err(End),
                Poll::Pending => {
                    self.stuck.get_or_insert_with(Instant::now);
                }
            }
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::task::Waker;

    /// Takes everything at once, and lets it go with the second flush, as TLS over a full socket does.
    #[derive(Default)]
    struct Holding {
        held: Vec<u8>,
        flushes: usize,
        through: Vec<u8>,
    }

    impl AsyncWrite for Holding {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            if self.flushes == 1 {
                return Poll::Pending;
            }
            let held = std::mem::take(&mut self.held);
            self.through.extend(held);
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_the_transport_holds_back_goes_out_in_a_later_turn() {
        let (mut io, mut out) = (Holding::default(), Outgoing::default());
        let mut cx = Context::from_waker(Waker::noop());
        out.bytes.extend(b"an answer");
        assert!(matches!(out.poll(&mut io, &mut cx), Ok(true)));
        assert!(out.stuck.is_some() && !out.is_through(), "the peer has nothing of it yet");
        assert!(matches!(out.poll(&mut io, &mut cx), Ok(false)));
        assert_eq!(io.through, b"an answer");
        assert!(out.stuck.is_none() && out.is_through(), "a peer that took all is not stuck");
    }
}
