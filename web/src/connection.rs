//! One connection's clock: how long a head may take, how long it may be quiet, how long a receiver may take nothing.
//! hyper's own header timer makes a new timer for every request and knows no idle time; this one is set anew only when
//! it fires or must fire sooner.

use crate::options::Options;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a connection's requests tell its clock.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    begun: AtomicU32,
    answered: AtomicU32,
    /// Whether the last request was refused, perhaps with its body still on the way.
    unread: AtomicBool,
}

impl Watch {
    /// A request's head is read.
    pub fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// A request's answer is ready to be written.
    pub fn answered(&self, unread: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.unread.store(unread, Ordering::Relaxed);
    }

    fn is_busy(&self) -> bool {
        self.begun.load(Ordering::Relaxed) != self.answered.load(Ordering::Relaxed)
    }
}

/// For how long, and for how many bytes, the rest of an unwanted body is read and thrown away, so that its sender gets
/// to read why it is unwanted instead of finding its connection reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 16 << 20;

/// How long a connection's parts may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    head: Duration,
    idle: Duration,
    write: Duration,
}

impl From<&Options> for Limits {
    fn from(options: &Options) -> Self {
        Limits { head: options.head, idle: options.idle, write: options.write }
    }
}

/// A socket with a clock.
pub(crate) struct Timed<T> {
    io: T,
    watch: Arc<Watch>,
    limits: Limits,
    /// When bytes last went through.
    active: Instant,
    /// The requests begun so far, and since when a further head is on its way.
    head: (u32, Option<Instant>),
    /// Since when the peer takes nothing.
    stuck: Option<Instant>,
    /// Once our side is shut: until when the peer's rest is read, and how much of it was.
    linger: Option<(Instant, usize)>,
    timer: Pin<Box<Sleep>>,
}

impl<T> Timed<T> {
    pub fn new(io: T, watch: Arc<Watch>, limits: Limits) -> Self {
        let now = Instant::now();
        // A new connection owes a head from the start.
        let timer = Box::pin(tokio::time::sleep_until(now + limits.head));
        Timed { io, watch, limits, active: now, head: (0, Some(now)), stuck: None, linger: None, timer }
    }

    /// The socket, without its clock.
    pub fn into_inner(self) -> T {
        self.io
    }

    /// When a peer that sends nothing is given up; nothing while a request is being answered.
    fn read_deadline(&mut self) -> Option<Instant> {
        let begun = self.watch.begun.load(Ordering::Relaxed);
        if self.head.0 != begun {
            self.head = (begun, None);
        }
        if self.watch.is_busy() {
            return None;
        }
        Some(self.head.1.map_or(self.active + self.limits.idle, |since| since + self.limits.head))
    }

    /// Whether `deadline` has passed; else the task is woken when it does.
    fn passed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            self.timer.as_mut().reset(deadline);
        }
        false
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.io).poll_read(cx, buf);
        let deadline = this.read_deadline();
        if polled.is_ready() {
            if buf.filled().len() > before {
                this.active = Instant::now();
                if deadline.is_some() {
                    this.head.1.get_or_insert(this.active);
                }
            }
            return polled;
        }
        match deadline {
            Some(deadline) if this.passed(deadline, cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Some(_) => Poll::Pending,
            None => {
                // hyper does not ask again after the answer when it has found nothing to read before it, so the timer
                // must go on: it wakes the task, which then asks.
                let later = Instant::now() + this.limits.idle;
                this.passed(later, cx);
                Poll::Pending
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> Timed<T> {
    fn written<N>(&mut self, polled: Poll<io::Result<N>>, cx: &mut Context<'_>) -> Poll<io::Result<N>> {
        if polled.is_ready() {
            self.stuck = None;
            self.active = Instant::now();
            return polled;
        }
        let since = *self.stuck.get_or_insert_with(Instant::now);
        if self.passed(since + self.limits.write, cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Timed<T> {
    /// Reads what is still on its way and throws it away, within bounds.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (until, mut read) = self.linger.unwrap_or_else(|| (Instant::now() + LINGER, 0));
        let mut scratch = [0; 4 << 10];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            let polled = Pin::new(&mut self.io).poll_read(cx, &mut buf);
            let bytes = buf.filled().len();
            read += bytes;
            self.linger = Some((until, read));
            match polled {
                Poll::Ready(Ok(())) if bytes > 0 && read < LINGER_BYTES_MAX && Instant::now() < until => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.passed(until, cx) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.written(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.written(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        if polled.is_pending() { self.written(polled, cx) } else { polled }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let polled = Pin::new(&mut self.io).poll_shutdown(cx);
            if polled.is_pending() {
                return self.written(polled, cx);
            }
            if !self.watch.unread.load(Ordering::Relaxed) || matches!(polled, Poll::Ready(Err(_))) {
                return polled;
            }
        }
        self.drain(cx).map(Ok)
    }
}
