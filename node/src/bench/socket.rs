//! The load generator's side of the WebSocket, written by hand so that the client costs little beside the node: messages are
//! gathered and sent together. Its masks are zero, since nobody between it and the node is to be deceived. Plain HTTP only.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How much is read at a time.
const READ_BYTES: usize = 64 << 10;
/// The most bytes that may wait to be read.
const RECEIVED_BYTES_MAX: usize = 64 << 20;

/// A socket.
pub(super) struct Socket {
    stream: TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// How much of it was taken.
    at: usize,
}

/// An answer, or something that nobody asked for.
#[derive(Deserialize)]
pub(super) struct Said<T> {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The call that it answers.
    pub id: Option<u64>,
    /// The answer's status; nothing where it answers no call.
    pub status: Option<u16>,
    /// What it says.
    pub data: Option<T>,
}

impl<T> Said<T> {
    /// What it says, where its status is the one that is wanted.
    ///
    /// # Errors
    /// That it is another one.
    pub fn wanted(self, status: u16) -> anyhow::Result<T> {
        match (self.status, self.data) {
            (Some(got), Some(data)) if got == status => Ok(data),
            (got, _) => bail!("the node said {:?} with {got:?} instead of {status}", self.kind),
        }
    }
}

impl Socket {
    /// Connects as the bearer of a token; its welcome is read.
    ///
    /// # Errors
    /// What the node or the socket says.
    pub async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Socket> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let mut socket = Socket { stream, sent: Vec::new(), received: Vec::new(), at: 0 };
        let head = format!(
            "GET /v1/agent/connect HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.stream.write_all(head.as_bytes()).await?;
        let end = loop {
            socket.receive().await?;
            if let Some(at) = socket.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        if !socket.received.starts_with(b"HTTP/1.1 101") {
            bail!("the node answered {}", String::from_utf8_lossy(&socket.received));
        }
        socket.at = end;
        let welcome: Said<serde::de::IgnoredAny> = socket.next().await?;
        if welcome.kind != "welcome" {
            bail!("the node said {:?} instead of a welcome", welcome.kind);
        }
        Ok(socket)
    }

    /// Puts a message to those that go out with the next [`Socket::send`].
    pub fn say(&mut self, text: &str) {
        self.put(0x81, text.as_bytes());
    }

    fn put(&mut self, first: u8, payload: &[u8]) {
        self.sent.push(first);
        match payload.len() {
            short @ 0..=125 => self.sent.push(0x80 | short as u8),
            middle @ 126..=0xffff => {
                self.sent.push(0x80 | 126);
                self.sent.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                self.sent.push(0x80 | 127);
                self.sent.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        self.sent.extend_from_slice(&[0; 4]);
        self.sent.extend_from_slice(payload);
    }

    /// Sends what was said.
    ///
    /// # Errors
    /// What the socket says.
    pub async fn send(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.sent).await?;
        self.sent.clear();
        Ok(())
    }

    /// The next message; waits for one.
    ///
    /// # Errors
    /// What the socket says, or that it is not of this form.
    pub async fn next<T: DeserializeOwned>(&mut self) -> anyhow::Result<Said<T>> {
        loop {
            if let Some(text) = self.whole()? {
                let text = &self.received[text];
                return serde_json::from_slice(text)
                    .with_context(|| String::from_utf8_lossy(text).into_owned());
            }
            if !self.sent.is_empty() {
                self.send().await?;
            }
            self.receive().await?;
        }
    }

    /// Whether a whole message is here already.
    pub fn has_more(&self) -> bool {
        frame(&self.received[self.at..]).is_some_and(|(first, ..)| first == 0x81)
    }

    /// Takes the next message from what was read: where its text stands.
    fn whole(&mut self) -> anyhow::Result<Option<std::ops::Range<usize>>> {
        while let Some((first, head, length)) = frame(&self.received[self.at..]) {
            let place = self.at + head..self.at + head + length;
            self.at = place.end;
            match first {
                0x81 => return Ok(Some(place)),
                0x89 => {
                    let payload = self.received[place].to_vec();
                    self.put(0x8a, &payload);
                }
                _ => bail!("the node ends the socket: {}", String::from_utf8_lossy(&self.received[place])),
            }
        }
        Ok(None)
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        self.received.drain(..self.at);
        self.at = 0;
        if self.received.len() > RECEIVED_BYTES_MAX {
            bail!("a message has more than {RECEIVED_BYTES_MAX} bytes");
        }
        self.received.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.received).await? == 0 {
            bail!("the node closed the connection");
        }
        Ok(())
    }
}

/// A server's frame at the front of these bytes, once it is whole: its first byte, how long its head is, and its payload.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    let length = usize::try_from(length).ok()?;
    (bytes.len() >= head + length).then_some((bytes[0], head, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        for (length, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut bytes = match head {
                2 => vec![0x81, length as u8],
                4 => [&[0x81, 126][..], &(length as u16).to_be_bytes()].concat(),
                _ => [&[0x81, 127][..], &(length as u64).to_be_bytes()].concat(),
            };
            bytes.extend(vec![b'x'; length]);
            assert_eq!(frame(&bytes), Some((0x81, head, length)));
            assert_eq!(frame(&bytes[..bytes.len() - 1]), None);
        }
    }
}
