//! How long a stream may wait for its other side: for each message or piece, and in all, which follows from the bytes that
//! went through it. Whoever drips is left.

use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How long a stream may wait for its other side in all, beside what its bytes take. Shorter loses neighbours that sync a slow
/// disk between two questions; longer lets who says nothing hold a place for longer.
const GRACE: Duration = Duration::from_secs(60);

/// At which pace its bytes should go at least, in bytes a second (64 KiB). Who is slower than that in the long run asks again,
/// from where it ended.
const PACE: u64 = 64 << 10;

/// What is left of it on one stream, or on several that fetch one thing. This node's own work between two waits costs nothing.
#[derive(Debug)]
pub(super) struct Patience {
    /// For one message or piece.
    each: Duration,
    grace: Duration,
    waited: Duration,
    moved: u64,
}

/// The other side is slower than any should be.
#[derive(Debug, thiserror::Error)]
#[error("the other side is too slow")]
pub(super) struct Slow;

impl Patience {
    /// All of it, with so much for each message or piece.
    pub fn new(each: Duration) -> Self {
        Patience { each, grace: GRACE, waited: Duration::ZERO, moved: 0 }
    }

    /// How long the next wait may take.
    fn next(&self) -> Duration {
        let in_all = self.grace + Duration::from_secs_f64(self.moved as f64 / PACE as f64);
        self.each.min(in_all.saturating_sub(self.waited))
    }

    /// Whether nothing is left of it.
    pub fn is_spent(&self) -> bool {
        self.next().is_zero()
    }

    async fn wait<T>(&mut self, what: impl Future<Output = io::Result<T>>) -> anyhow::Result<T> {
        let began = Instant::now();
        let came = tokio::time::timeout(self.next(), what).await;
        self.waited += began.elapsed();
        Ok(came.map_err(|_| Slow)??)
    }

    /// Reads what is there, at most `buf`; 0 where the other side has ended the stream.
    pub async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buf: &mut [u8],
    ) -> anyhow::Result<usize> {
        let read = self.wait(stream.read(buf)).await?;
        self.moved += read as u64;
        Ok(read)
    }

    /// Fills `buf`.
    pub async fn read_exact(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buf: &mut [u8],
    ) -> anyhow::Result<()> {
        let read = self.wait(stream.read_exact(buf)).await?;
        self.moved += read as u64;
        Ok(())
    }

    /// Writes all of it.
    pub async fn write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        self.wait(stream.write_all(bytes)).await?;
        self.moved += bytes.len() as u64;
        Ok(())
    }

    /// Sees to it that what was written is on its way.
    pub async fn flush(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> anyhow::Result<()> {
        self.wait(stream.flush()).await
    }

    /// Ends this side of the stream.
    pub async fn shutdown(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> anyhow::Result<()> {
        self.wait(stream.shutdown()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_all_follows_from_the_bytes() {
        let second = Duration::from_secs(1);
        let mut patience = Patience::new(20 * second);
        assert_eq!(patience.next(), 20 * second);
        patience.waited = 55 * second;
        assert_eq!(patience.next(), 5 * second);
        patience.moved = 10 * PACE;
        assert_eq!(patience.next(), 15 * second);
        patience.waited = 71 * second;
        assert_eq!(patience.next(), Duration::ZERO);
    }

    #[tokio::test]
    async fn who_drips_is_left() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let dripping = tokio::spawn(async move {
            while far.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let grace = Duration::from_millis(200);
        let mut patience = Patience { grace, ..Patience::new(Duration::from_secs(20)) };
        let ended = async {
            loop {
                if let Err(error) = patience.read(&mut near, &mut [0; 8]).await {
                    return error;
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it is left");
        assert!(ended.is::<Slow>(), "{ended:#}");
        drop(near);
        dripping.await.expect("no panic");
    }

    #[tokio::test]
    async fn bytes_count_both_ways() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(b"a question").await.expect("open");
        let mut patience = Patience::new(Duration::from_secs(20));
        patience.read_exact(&mut near, &mut [0; 10]).await.expect("it is there");
        assert_eq!(patience.moved, 10);
        patience.write(&mut near, b"an answer").await.expect("room");
        assert_eq!(patience.moved, 19);
    }
}
