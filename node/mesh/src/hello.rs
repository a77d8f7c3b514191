//! The first exchange on a connection: each side says a hello and gets a welcome, on a substream of its own.
//!
//! `hello = len u32 LE ‖ bytes`, `welcome = accept u8 (0 or 1) ‖ len u32 LE ‖ bytes`; then both sides close.

use crate::counts::{Counters, Lane};
use crate::limits::HELLO_BYTES_MAX;
use bytes::Bytes;
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;

/// The answer to a hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) accept: bool,
    pub(crate) data: Bytes,
}

/// The way back to who said hello. Dropped without [`HelloAnswer::send`], the peer is refused.
pub struct HelloAnswer(oneshot::Sender<Welcome>);

impl HelloAnswer {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Welcome>) {
        let (sender, receiver) = oneshot::channel();
        (HelloAnswer(sender), receiver)
    }

    /// Accepts or refuses the peer. Of `data` at most [`HELLO_BYTES_MAX`] bytes are sent, or none.
    pub fn send(self, accept: bool, data: Bytes) {
        let data = if data.len() > HELLO_BYTES_MAX {
            tracing::error!(bytes = data.len(), "a welcome is too large; it is sent without its bytes");
            Bytes::new()
        } else {
            data
        };
        let _ = self.0.send(Welcome { accept, data });
    }
}

impl fmt::Debug for HelloAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HelloAnswer")
    }
}

/// Says hello and waits for the welcome.
pub(crate) async fn say(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    hello: &[u8],
    counters: &Counters,
) -> io::Result<Welcome> {
    let bytes = u32::try_from(hello.len()).map_err(|_| too_large())?;
    let mut frame = bytes.to_le_bytes().to_vec();
    frame.extend_from_slice(hello);
    stream.write_all(&frame).await?;
    stream.flush().await?;
    counters.lane(Lane::Hello).sent(frame.len());
    let accept = match stream.read_u8().await? {
        0 => false,
        1 => true,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "a welcome is 0 or 1")),
    };
    let data = read(&mut stream, counters).await?;
    counters.lane(Lane::Hello).received(1);
    let _ = stream.shutdown().await;
    Ok(Welcome { accept, data })
}

/// Reads a hello.
pub(crate) async fn hear(stream: &mut (impl AsyncRead + Unpin), counters: &Counters) -> io::Result<Bytes> {
    read(stream, counters).await
}

/// Answers one.
pub(crate) async fn answer(
    mut stream: impl AsyncWrite + Unpin,
    welcome: &Welcome,
    counters: &Counters,
) -> io::Result<()> {
    let bytes = u32::try_from(welcome.data.len()).map_err(|_| too_large())?;
    let mut frame = vec![u8::from(welcome.accept)];
    frame.extend_from_slice(&bytes.to_le_bytes());
    frame.extend_from_slice(&welcome.data);
    stream.write_all(&frame).await?;
    counters.lane(Lane::Hello).sent(frame.len());
    stream.shutdown().await
}

async fn read(stream: &mut (impl AsyncRead + Unpin), counters: &Counters) -> io::Result<Bytes> {
    let bytes = stream.read_u32_le().await? as usize;
    if bytes > HELLO_BYTES_MAX {
        return Err(too_large());
    }
    let mut data = vec![0; bytes];
    stream.read_exact(&mut data).await?;
    counters.lane(Lane::Hello).received(4 + bytes);
    Ok(data.into())
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "more bytes than a hello may have")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(bytes: &[u8]) -> Option<Bytes> {
        hear(&mut &*bytes, &Counters::default()).await.ok()
    }

    #[tokio::test]
    async fn a_hello_is_a_length_and_bytes() {
        assert_eq!(heard(b"\x02\0\0\0hi").await, Some(Bytes::from_static(b"hi")));
        assert_eq!(heard(b"\0\0\0\0").await, Some(Bytes::new()));
        for bad in [&b""[..], b"\x02\0\0", b"\x02\0\0\0h", b"\x01\x20\x01\0", b"\xff\xff\xff\xff"] {
            assert_eq!(heard(bad).await, None, "{bad:?}");
        }
        let mut longest = (HELLO_BYTES_MAX as u32).to_le_bytes().to_vec();
        longest.resize(4 + HELLO_BYTES_MAX, 7);
        assert_eq!(heard(&longest).await.map(|data| data.len()), Some(HELLO_BYTES_MAX));
    }

    #[tokio::test]
    async fn a_welcome_answers_it() {
        for (welcome, wanted) in
            [(&b"\x01\x02\0\0\0ok"[..], Some((true, &b"ok"[..]))), (b"\0\0\0\0\0", Some((false, b"")))]
                .into_iter()
                .chain([
                    (&b"\x02\0\0\0\0"[..], None),
                    (b"\x01\x02\0\0\0o", None),
                    (b"\x01\xff\xff\xff\xff", None),
                ])
        {
            let (ours, mut theirs) = tokio::io::duplex(1 << 10);
            theirs.write_all(welcome).await.expect("room");
            theirs.shutdown().await.expect("open");
            let got = say(ours, b"hi", &Counters::default()).await.ok();
            let got = got.as_ref().map(|welcome| (welcome.accept, &welcome.data[..]));
            assert_eq!(got, wanted, "{welcome:?}");
            let mut said = Vec::new();
            theirs.read_to_end(&mut said).await.expect("closed");
            assert_eq!(said, b"\x02\0\0\0hi");
        }
    }
}
