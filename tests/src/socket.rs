//! A plain WebSocket client over a socket, by hand, so that what it sends can be as wrong as a test wants. Its masks are zero.

use crate::wait::DEADLINE;
use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

/// One connection.
pub struct Socket {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a node sent.
#[derive(Debug)]
pub enum Said {
    /// A message.
    Message(Value),
    /// It ended the socket, with this word.
    Closed(u16, String),
    /// The connection is gone.
    Gone,
}

impl Socket {
    /// Asks for a WebSocket with these further headers, a line each; the answer's status where it is none.
    ///
    /// # Errors
    /// What the connection says, where the node takes no more of them.
    pub fn try_open(node: SocketAddr, headers: &str) -> io::Result<Result<Socket, u16>> {
        let mut stream = TcpStream::connect(node)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        write!(
            stream,
            "GET /v1/agent/connect HTTP/1.1\r\nhost: {node}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        )?;
        let mut socket = Socket { stream, received: Vec::new() };
        let end = loop {
            if let Some(at) = socket.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !socket.receive()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head: Vec<u8> = socket.received.drain(..end).collect();
        let status = std::str::from_utf8(&head[9..12]).ok().and_then(|status| status.parse().ok());
        match status.expect("an answer of HTTP") {
            101 => Ok(Ok(socket)),
            other => Ok(Err(other)),
        }
    }

    /// Opens one for the bearer of a token.
    #[track_caller]
    pub fn open(node: SocketAddr, token: &str) -> Socket {
        let headers = format!("authorization: Bearer {token}\r\n");
        let mut socket = Socket::try_open(node, &headers).expect("a connection").expect("a WebSocket");
        assert_eq!(socket.message()["type"], "welcome");
        socket
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// That the node takes no more.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a message.
    #[track_caller]
    pub fn say(&mut self, message: &Value) {
        self.raw(&frame(0x81, message.to_string().as_bytes())).expect("the node reads");
    }

    /// Sends a message and reads the next one.
    #[track_caller]
    pub fn ask(&mut self, message: &Value) -> Value {
        self.say(message);
        self.message()
    }

    /// The next message, which has to be one.
    #[track_caller]
    pub fn message(&mut self) -> Value {
        match self.heard() {
            Said::Message(message) => message,
            other => panic!("a message, not {other:?}"),
        }
    }

    /// The next message of this type.
    #[track_caller]
    pub fn message_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.message();
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Reads on until the node ends the socket; answers with its word.
    #[track_caller]
    pub fn closed(mut self) -> (u16, String) {
        let begun = Instant::now();
        loop {
            // The node pings whom it keeps, so it is never silent for long.
            assert!(begun.elapsed() < DEADLINE, "it is not ended");
            match self.heard() {
                Said::Message(_) => {}
                Said::Closed(code, reason) => return (code, reason),
                Said::Gone => panic!("it ended without a word"),
            }
        }
    }

    /// What comes next.
    pub fn heard(&mut self) -> Said {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < DEADLINE, "nothing but pings");
            let Ok(Some((first, payload))) = self.read_frame() else { return Said::Gone };
            match first & 0xf {
                1 => return Said::Message(serde_json::from_slice(&payload).expect("JSON")),
                8 => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    return Said::Closed(code, String::from_utf8_lossy(&payload[2..]).into_owned());
                }
                9 => drop(self.raw(&frame(0x8a, &payload))),
                _ => {}
            }
        }
    }

    /// Cuts the connection without a word.
    pub fn cut(self) {
        // It may be gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn read_frame(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((head, length)) = whole(&self.received) {
                let mut taken: Vec<u8> = self.received.drain(..head + length).collect();
                let first = taken[0];
                return Ok(Some((first, taken.split_off(head))));
            }
            if !self.receive()? {
                return Ok(None);
            }
        }
    }

    fn receive(&mut self) -> io::Result<bool> {
        let mut room = [0; 16 << 10];
        let read = self.stream.read(&mut room)?;
        self.received.extend_from_slice(&room[..read]);
        Ok(read > 0)
    }
}

fn whole(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, usize::from(short)),
    };
    (bytes.len() >= head + length).then_some((head, length))
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
