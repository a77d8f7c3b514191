//! A WebSocket's client by hand, so that it can also speak it badly. Its masks are zero, which RFC 6455 allows.

use super::PATIENCE;
use super::client::{Client, Reply, connect};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a request must say to become a WebSocket.
pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// What came of asking.
pub async fn ask(address: SocketAddr, headers: &str) -> (Reply, Client) {
    let mut client = connect(address).await;
    let reply = client.ask("GET", "/v1/agent/connect", &format!("{UPGRADE}{headers}"), b"").await;
    (reply, client)
}

/// A frame as a client sends it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Something that the server sent.
#[derive(Debug, PartialEq)]
pub enum Said {
    Text(Value),
    Ping,
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection is closed.
    Over,
}

pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one, which has to work.
    pub async fn open(address: SocketAddr, headers: &str) -> Socket {
        let (reply, client) = ask(address, headers).await;
        assert_eq!(reply.status, 101, "{:?}", String::from_utf8_lossy(&reply.body));
        assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let (stream, buffer) = client.into_parts();
        Socket { stream, buffer }
    }

    /// Opens one with a token in its head; its welcome is read.
    pub async fn welcomed(address: SocketAddr, headers: &str) -> Socket {
        let mut socket = Socket::open(address, headers).await;
        let welcome = socket.text().await;
        assert_eq!(welcome["type"], "welcome");
        socket
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        // The server may end it and stop to read before all is sent.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends bytes; whether the server still took them.
    pub async fn try_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub async fn say(&mut self, text: &str) {
        self.raw(&frame(0x81, text.as_bytes())).await;
    }

    /// What comes next.
    pub async fn next(&mut self) -> Said {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("something in time")
    }

    /// The next message, which has to be one.
    pub async fn text(&mut self) -> Value {
        match self.next().await {
            Said::Text(value) => value,
            other => panic!("a message, not {other:?}"),
        }
    }

    /// Sends a message and reads the next one.
    pub async fn ask(&mut self, text: &str) -> Value {
        self.say(text).await;
        self.text().await
    }

    /// Reads on to the close frame, and that the connection is closed then.
    pub async fn closed(mut self) -> (u16, String) {
        loop {
            match self.next().await {
                Said::Close(code, reason) => {
                    assert_eq!(self.next().await, Said::Over);
                    return (code, reason);
                }
                Said::Over => panic!("closed without a reason"),
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> Said {
        while self.buffer.len() < 2 {
            if !self.fill().await {
                return Said::Over;
            }
        }
        let long = match self.buffer[1] {
            126 => 2,
            127 => 8,
            short => {
                assert!(short < 126, "a server does not mask");
                0
            }
        };
        while self.buffer.len() < 2 + long {
            assert!(self.fill().await, "cut inside a frame");
        }
        let length = match long {
            0 => usize::from(self.buffer[1]),
            _ => self.buffer[2..2 + long].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        };
        while self.buffer.len() < 2 + long + length {
            assert!(self.fill().await, "cut inside a frame");
        }
        let first = self.buffer[0];
        let payload: Vec<u8> = self.buffer.drain(..2 + long + length).skip(2 + long).collect();
        match first {
            0x81 => Said::Text(serde_json::from_slice(&payload).expect("JSON")),
            0x89 => Said::Ping,
            0x8a => Said::Pong(payload),
            0x88 => {
                let reason = String::from_utf8(payload[2..].to_vec()).expect("a reason is text");
                Said::Close(u16::from_be_bytes([payload[0], payload[1]]), reason)
            }
            other => panic!("an unexpected frame {other:x}"),
        }
    }

    async fn fill(&mut self) -> bool {
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|n| n > 0)
    }
}
