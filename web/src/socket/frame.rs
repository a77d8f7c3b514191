//! Frames of the WebSocket (RFC 6455), a server's side, without I/O: bytes in, messages out, and the other way round.
//!
//! Written here because of memory: a connection that is quiet must hold no buffer, however large its last message was, and
//! what is ready together must go out together. A library's codec owns its buffers and keeps them. The tests hold this one
//! against such a library. No extension is negotiated, so the reserved bits are zero.

use std::ops::Range;

/// The longest head of a frame: two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;
/// The most bytes of a control frame's payload (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: usize = 125;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Why a connection ends, as its close frame says it (RFC 6455, 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseCode {
    /// It is done.
    Normal,
    /// The node goes away.
    Away,
    /// The peer does not keep to the protocol.
    Protocol,
    /// The peer sent what is not taken here.
    Unsupported,
    /// A text is not UTF-8.
    NotUtf8,
    /// The peer may not go on.
    Policy,
    /// A message is larger than it may be.
    TooLarge,
}

impl CloseCode {
    pub fn number(self) -> u16 {
        match self {
            CloseCode::Normal => 1_000,
            CloseCode::Away => 1_001,
            CloseCode::Protocol => 1_002,
            CloseCode::Unsupported => 1_003,
            CloseCode::NotUtf8 => 1_007,
            CloseCode::Policy => 1_008,
            CloseCode::TooLarge => 1_009,
        }
    }
}

/// What a peer sent that ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation {
    pub code: CloseCode,
    /// A word for programs.
    pub reason: &'static str,
}

const fn broken(reason: &'static str) -> Violation {
    Violation { code: CloseCode::Protocol, reason }
}

/// One thing that a peer has sent. Places are those in the bytes that were given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A whole message in one frame: where its text stands, unmasked by now.
    Text(Range<usize>),
    /// A whole message that came in several frames.
    Joined(Vec<u8>),
    /// A part of a message, or nothing to be seen: go on.
    Part,
    /// To be answered with the same.
    Ping(Range<usize>),
    /// The answer to a ping.
    Pong,
    /// The peer closes, with this code if it gave one.
    Close(Option<u16>),
}

/// What has been read so far of a message in several frames.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Begins with the first frame of such a message.
    joined: Option<Vec<u8>>,
}

impl Decoder {
    /// Whether a message has begun whose last frame has not come.
    pub fn is_inside(&self) -> bool {
        self.joined.is_some()
    }

    /// Takes one frame from the front of `bytes`, whose payload is then unmasked in place: what it is, and how many bytes it
    /// took. Nothing while the frame is not whole.
    ///
    /// # Errors
    /// [`Violation`]: the peer has to be sent away. A frame that announces more than `message_bytes_max` is one before its
    /// payload has come.
    pub fn take(
        &mut self,
        bytes: &mut [u8],
        message_bytes_max: usize,
    ) -> Result<Option<(Received, usize)>, Violation> {
        let Some(head) = head(bytes)? else { return Ok(None) };
        let is_control = head.opcode >= CLOSE;
        if is_control && (!head.is_final || head.length > CONTROL_BYTES_MAX as u64) {
            return Err(broken("bad_control_frame"));
        }
        let before = self.joined.as_ref().map_or(0, Vec::len) as u64;
        if !is_control && before.saturating_add(head.length) > message_bytes_max as u64 {
            return Err(Violation { code: CloseCode::TooLarge, reason: "message_too_large" });
        }
        match (head.opcode, self.joined.is_some()) {
            (TEXT | BINARY, true) => return Err(broken("message_inside_message")),
            (CONTINUATION, false) => return Err(broken("continuation_of_nothing")),
            (BINARY, _) => return Err(Violation { code: CloseCode::Unsupported, reason: "binary_message" }),
            (CONTINUATION | TEXT | CLOSE | PING | PONG, _) => {}
            _ => return Err(broken("unknown_opcode")),
        }
        let end = head.bytes + head.length as usize;
        let Some(payload) = bytes.get_mut(head.bytes..end) else { return Ok(None) };
        unmask(payload, head.mask);
        let place = head.bytes..end;
        let received = match head.opcode {
            PING => Received::Ping(place),
            PONG => Received::Pong,
            CLOSE => Received::Close(close_code(payload)?),
            _ if self.joined.is_none() && head.is_final => {
                text(payload)?;
                Received::Text(place)
            }
            _ => {
                let joined = self.joined.get_or_insert_default();
                joined.extend_from_slice(payload);
                match head.is_final {
                    false => Received::Part,
                    true => {
                        let whole = self.joined.take().unwrap_or_default();
                        text(&whole)?;
                        Received::Joined(whole)
                    }
                }
            }
        };
        Ok(Some((received, end)))
    }
}

struct Head {
    is_final: bool,
    opcode: u8,
    length: u64,
    mask: [u8; 4],
    /// How long it is itself.
    bytes: usize,
}

fn head(bytes: &[u8]) -> Result<Option<Head>, Violation> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(broken("reserved_bit"));
    }
    if second & 0x80 == 0 {
        return Err(broken("unmasked_frame"));
    }
    let (length, rest, long) = match second & 0x7f {
        126 => match rest.split_first_chunk::<2>() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 2),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest, 8),
            None => return Ok(None),
        },
        short => (u64::from(short), rest, 0),
    };
    let Some((mask, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let (is_final, opcode) = (first & 0x80 != 0, first & 0x0f);
    Ok(Some(Head { is_final, opcode, length, mask: *mask, bytes: 2 + long + 4 }))
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut eights = payload.chunks_exact_mut(8);
    for eight in &mut eights {
        let eight: &mut [u8; 8] = eight.try_into().expect("eight bytes");
        *eight = (u64::from_ne_bytes(*eight) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in eights.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

fn text(payload: &[u8]) -> Result<(), Violation> {
    let not_utf8 = |_| Violation { code: CloseCode::NotUtf8, reason: "not_utf8" };
    std::str::from_utf8(payload).map(drop).map_err(not_utf8)
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(broken("bad_close_frame")) };
    };
    text(reason)?;
    match u16::from_be_bytes(*code) {
        code @ (1_000..=1_003 | 1_007..=1_014 | 3_000..=4_999) => Ok(Some(code)),
        _ => Err(broken("bad_close_code")),
    }
}

/// Appends a message of text.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put(out, TEXT, text);
}

/// Appends a ping.
pub(super) fn put_ping(out: &mut Vec<u8>) {
    put(out, PING, &[]);
}

/// Appends the answer to a ping.
pub(super) fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, PONG, payload);
}

/// Appends a close frame, with a word for programs.
pub(super) fn put_close(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    let mut payload = code.number().to_be_bytes().to_vec();
    payload.extend(reason.bytes().take(CONTROL_BYTES_MAX - 2));
    put(out, CLOSE, &payload);
}

fn put(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.reserve(HEAD_BYTES_MAX + payload.len());
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(short as u8),
        middle @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Everything that the codec makes of these bytes, given `step` at a time; for what holds it to its word.
#[cfg(any(test, fuzzing))]
pub(super) fn heard(bytes: &[u8], step: usize, max: usize) -> Vec<Result<String, Violation>> {
    let (mut decoder, mut buffer, mut said) = (Decoder::default(), Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.take(&mut buffer, max) {
                Ok(None) => break,
                Err(violation) => {
                    said.push(Err(violation));
                    return said;
                }
                Ok(Some((received, took))) => {
                    let text =
                        |place: &Range<usize>| String::from_utf8_lossy(&buffer[place.clone()]).into_owned();
                    match &received {
                        Received::Text(place) => said.push(Ok(text(place))),
                        Received::Joined(whole) => said.push(Ok(String::from_utf8_lossy(whole).into_owned())),
                        Received::Ping(place) => said.push(Ok(format!("ping {}", text(place)))),
                        Received::Pong => said.push(Ok("pong".into())),
                        Received::Close(_) => {
                            said.push(Ok("close".into()));
                            return said;
                        }
                        Received::Part => {}
                    }
                    buffer.drain(..took);
                }
            }
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read, Write};
    use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
    use tungstenite::{Error, Message};

    /// Bytes in, bytes out; nothing more to read is "would block".
    #[derive(Default)]
    struct Pipe {
        input: Vec<u8>,
        output: Vec<u8>,
    }

    impl Read for Pipe {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = buf.len().min(self.input.len());
            if n == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            buf[..n].copy_from_slice(&self.input[..n]);
            self.input.drain(..n);
            Ok(n)
        }
    }

    impl Write for Pipe {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.output.extend_from_slice(buf);
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A frame as a client sends it.
    fn client(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, first & 0x0f, payload);
        bytes[0] = first;
        let at = bytes.len() - payload.len();
        bytes[1] |= 0x80;
        bytes.splice(at..at, mask);
        unmask(&mut bytes[at + 4..], mask);
        bytes
    }

    /// The same by the library; an error is only that there is one.
    fn theirs(bytes: &[u8], max: usize) -> Vec<Result<String, ()>> {
        let config = WebSocketConfig::default().max_message_size(Some(max)).max_frame_size(Some(max));
        let mut context = WebSocketContext::new(Role::Server, Some(config));
        let mut pipe = Pipe { input: bytes.to_vec(), ..Pipe::default() };
        let mut said = Vec::new();
        loop {
            match context.read(&mut pipe) {
                Ok(Message::Text(text)) => said.push(Ok(text.to_string())),
                Ok(Message::Binary(_)) => said.push(Err(())),
                Ok(Message::Ping(payload)) => {
                    said.push(Ok(format!("ping {}", String::from_utf8_lossy(&payload))))
                }
                Ok(Message::Pong(_)) => said.push(Ok("pong".into())),
                Ok(Message::Close(_)) => said.push(Ok("close".into())),
                Ok(Message::Frame(_)) => unreachable!("never read"),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return said,
                Err(_) => said.push(Err(())),
            }
            if !matches!(said.last(), Some(Ok(word)) if word != "close") {
                return said;
            }
        }
    }

    fn agree(bytes: &[u8]) {
        let theirs = theirs(bytes, 70_000);
        for step in [1, 3, bytes.len().max(1)] {
            let ours: Vec<_> =
                heard(bytes, step, 70_000).into_iter().map(|said| said.map_err(drop)).collect();
            assert_eq!(ours, theirs, "{step} at a time: {bytes:02x?}");
        }
    }

    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0xf8];

    #[test]
    fn a_library_reads_the_same() {
        let long = "é".repeat(40_000);
        let rows: Vec<Vec<Vec<u8>>> = vec![
            vec![client(0x81, b"hello", MASK), client(0x81, b"", MASK), client(0x81, b"{}", [0; 4])],
            [125, 126, 127, 65_535, 65_536].map(|n| client(0x81, &vec![b'x'; n], MASK)).to_vec(),
            vec![client(0x01, b"one ", MASK), client(0x89, b"p", MASK), client(0x80, b"two", MASK)],
            // A character in two frames.
            vec![client(0x01, &"é".as_bytes()[..1], MASK), client(0x80, &"é".as_bytes()[1..], MASK)],
            vec![client(0x8a, b"", MASK), client(0x88, &[3, 232], MASK)],
            vec![client(0x88, b"", MASK)],
            // Wrong in one way each.
            vec![client(0x81, &[0xff], MASK)],
            vec![client(0xc1, b"rsv", MASK)],
            vec![b"\x81\x05hello".to_vec()],
            vec![client(0x80, b"nothing before", MASK)],
            vec![client(0x01, b"a", MASK), client(0x81, b"b", MASK)],
            vec![client(0x09, b"", MASK)],
            vec![client(0x89, &[b'x'; 126], MASK)],
            vec![client(0x83, b"", MASK)],
            vec![client(0x8b, b"", MASK)],
            vec![client(0x88, &[3], MASK)],
            vec![client(0x82, b"bytes", MASK)],
            vec![client(0x81, long.as_bytes(), MASK)],
            vec![
                client(0x01, &long.as_bytes()[..60_000], MASK),
                client(0x80, &long.as_bytes()[60_000..], MASK),
            ],
        ];
        rows.iter().for_each(|frames| agree(&frames.concat()));
    }

    #[test]
    fn a_library_reads_what_is_written() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let text = "x".repeat(length);
            let mut pipe = Pipe::default();
            put_text(&mut pipe.input, text.as_bytes());
            put_ping(&mut pipe.input);
            put_pong(&mut pipe.input, b"same");
            put_close(&mut pipe.input, CloseCode::Away, "shutting_down");
            let mut context = WebSocketContext::new(Role::Client, None);
            let mut next = || context.read(&mut pipe).expect("a message");
            assert_eq!(next(), Message::text(text));
            assert!(next().is_ping());
            assert_eq!(next(), Message::Pong("same".into()));
            let Message::Close(Some(close)) = next() else { panic!("a close frame") };
            assert_eq!((u16::from(close.code), close.reason.as_str()), (1_001, "shutting_down"));
        }
    }

    #[test]
    fn a_message_that_is_too_large_ends_with_its_head() {
        let mut announced = client(0x81, b"", MASK);
        announced.splice(1..2, [0xff, 0, 0, 0, 0, 0, 0x98, 0x96, 0x80]);
        let too_large = Violation { code: CloseCode::TooLarge, reason: "message_too_large" };
        assert_eq!(Decoder::default().take(&mut announced, 1_000), Err(too_large));
        announced.splice(2..10, [0xff; 8]);
        assert_eq!(Decoder::default().take(&mut announced, usize::MAX - 1), Err(too_large));
    }
}
