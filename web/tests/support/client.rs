//! HTTP by hand.

use super::PATIENCE;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The error's code; checks the one shape that all errors have.
    pub fn code(&self) -> String {
        let json = self.json();
        let error = &json["error"];
        let message = error["message"].as_str().expect("a message");
        assert!(message.len() > 5, "a sentence: {message}");
        assert!(error.get("details").is_some(), "details stand there, if only as null");
        assert_eq!(json["correlation_id"].as_str(), self.header("x-correlation-id"));
        error["code"].as_str().expect("a code").to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().expect("a message").to_owned()
    }
}

/// One connection.
pub struct Client<T = TcpStream> {
    pub stream: T,
    buffer: Vec<u8>,
}

pub async fn connect(address: SocketAddr) -> Client {
    Client::over(TcpStream::connect(address).await.expect("the server listens"))
}

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    /// The connection, and what was read of it beyond the last reply.
    pub fn into_parts(self) -> (T, Vec<u8>) {
        (self.stream, self.buffer)
    }

    pub fn over(stream: T) -> Self {
        Client { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// A request with a Host and these headers (one a line, each with its line end).
    pub async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}");
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        // The server may answer and stop to read before all is sent.
        let _ = self.stream.write_all(&bytes).await;
        self.reply(method).await.expect("an answer")
    }

    /// The next reply, nothing when the connection is closed instead.
    pub async fn reply(&mut self, method: &str) -> Option<Reply> {
        tokio::time::timeout(PATIENCE, self.read_reply(method)).await.expect("an answer in time")
    }

    async fn read_reply(&mut self, method: &str) -> Option<Reply> {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if !self.fill().await {
                assert!(
                    self.buffer.is_empty(),
                    "cut inside a head: {:?}",
                    String::from_utf8_lossy(&self.buffer)
                );
                return None;
            }
        };
        let head = String::from_utf8(self.buffer[..head_end].to_vec()).expect("a head is text");
        self.buffer.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
        let headers: Vec<(String, String)> = lines
            .map(|l| l.split_once(": ").expect("a header"))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length: usize = reply.header("content-length").map_or(0, |l| l.parse().expect("a length"));
        if method == "HEAD" || status == 101 || status == 204 || status == 304 {
            return Some(reply);
        }
        while self.buffer.len() < length && self.fill().await {}
        let rest = self.buffer.split_off(length.min(self.buffer.len()));
        reply.body = std::mem::replace(&mut self.buffer, rest);
        Some(reply)
    }

    async fn fill(&mut self) -> bool {
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|n| n > 0)
    }

    /// Waits until the server has closed the connection without another byte.
    pub async fn closed(mut self) {
        assert!(self.reply("GET").await.is_none(), "nothing was to come");
    }
}

pub const AGENT: &str = "Authorization: Bearer agent-token\r\n";
pub const OPERATOR: &str = "Authorization: Bearer operator-token\r\n";
