//! The load generator's side of HTTP/1.1: one kept connection, one request at a time, written by hand so that the client
//! costs little beside the node. Of an answer's head only the status and the length are looked at. Plain HTTP only.

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The most bytes of an answer; pages of events stay far below it.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How much of an answer is read at a time.
const READ_BYTES: usize = 16 << 10;

/// A connection that is kept.
pub(super) struct Line {
    stream: TcpStream,
    /// What every request's head ends in, but for the body's length.
    head: String,
    sent: Vec<u8>,
    received: Vec<u8>,
    body_at: usize,
}

impl Line {
    /// Connects, as the bearer of a token where there is one.
    ///
    /// # Errors
    /// What the socket says.
    pub async fn connect(address: SocketAddr, token: Option<&str>) -> anyhow::Result<Line> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(" HTTP/1.1\r\nhost: {address}\r\n{bearer}");
        Ok(Line { stream, head, sent: Vec::new(), received: Vec::new(), body_at: 0 })
    }

    /// `GET`; the answer's status.
    ///
    /// # Errors
    /// What the socket says, or that the answer is no HTTP.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<u16> {
        self.begin("GET", path);
        self.sent.extend_from_slice(b"\r\n");
        self.exchange().await
    }

    /// `POST` of JSON; the answer's status.
    ///
    /// # Errors
    /// What the socket says, or that the answer is no HTTP.
    pub async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<u16> {
        self.begin("POST", path);
        let about = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        self.sent.extend_from_slice(about.as_bytes());
        self.sent.extend_from_slice(body.as_bytes());
        self.exchange().await
    }

    /// `PUT` of bytes; the answer's status.
    ///
    /// # Errors
    /// What the socket says, or that the answer is no HTTP.
    pub async fn put(&mut self, path: &str, body: &[u8]) -> anyhow::Result<u16> {
        self.begin("PUT", path);
        let about =
            format!("content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n", body.len());
        self.sent.extend_from_slice(about.as_bytes());
        self.sent.extend_from_slice(body);
        self.exchange().await
    }

    /// `HEAD`; the answer's status.
    ///
    /// # Errors
    /// What the socket says, or that the answer is no HTTP.
    pub async fn head(&mut self, path: &str) -> anyhow::Result<u16> {
        self.begin("HEAD", path);
        self.sent.extend_from_slice(b"\r\n");
        self.stream.write_all(&self.sent).await?;
        self.received.clear();
        loop {
            self.receive().await?;
            if let Some((status, body_at, _)) = head(&self.received)? {
                self.body_at = body_at;
                return Ok(status);
            }
        }
    }

    /// The last answer's body.
    pub fn body(&self) -> &[u8] {
        &self.received[self.body_at..]
    }

    /// The last answer's body as JSON, when its status is the one that is wanted.
    ///
    /// # Errors
    /// The answer, where it is another one.
    pub fn read<T: DeserializeOwned>(&self, got: u16, wanted: u16) -> anyhow::Result<T> {
        if got != wanted {
            bail!("the node answered {got} instead of {wanted}: {}", String::from_utf8_lossy(self.body()));
        }
        Ok(serde_json::from_slice(self.body())?)
    }

    fn begin(&mut self, method: &str, path: &str) {
        self.sent.clear();
        for part in [method, " ", path, &self.head] {
            self.sent.extend_from_slice(part.as_bytes());
        }
    }

    async fn exchange(&mut self) -> anyhow::Result<u16> {
        self.stream.write_all(&self.sent).await?;
        self.received.clear();
        let (status, body_at, len) = loop {
            self.receive().await?;
            if let Some(head) = head(&self.received)? {
                break head;
            }
        };
        while self.received.len() < body_at + len {
            self.receive().await?;
        }
        self.body_at = body_at;
        Ok(status)
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        if self.received.len() > ANSWER_BYTES_MAX {
            bail!("an answer has more than {ANSWER_BYTES_MAX} bytes");
        }
        self.received.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.received).await? == 0 {
            bail!("the node closed the connection");
        }
        Ok(())
    }
}

/// An answer's status, where its body begins and how long that is; nothing while the head is not whole.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end]).context("an answer's head is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .context("an answer is not HTTP")?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some((_, value)) => value.trim().parse().context("an answer's length is no number")?,
        None => 0,
    };
    Ok(Some((status, end + 4, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_and_length_once_it_is_whole() {
        let whole = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length: 5\r\n\r\n{}";
        assert_eq!(head(whole).expect("HTTP"), Some((201, whole.len() - 2, 5)));
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n").expect("HTTP"), Some((204, 27, 0)));
        assert_eq!(head(&whole[..40]).expect("HTTP"), None);
        for bad in [&b"hello\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
            assert!(head(bad).is_err());
        }
    }
}
