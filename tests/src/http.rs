//! A plain HTTP/1.1 client over a socket: what it sends can be as wrong as a test wants. One connection, kept open; no
//! redirects, no TLS.

use crate::wait::DEADLINE;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection may be idle before a new one is taken: well below the 75 s after which a node closes it.
const REUSE: Duration = Duration::from_secs(30);

/// The most bytes of an answer; a longer one is an error.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Request { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// A `GET`.
    pub fn get(path: &str) -> Self {
        Request::new("GET", path)
    }

    /// A `POST` of JSON.
    pub fn post(path: &str, body: &Value) -> Self {
        Request::new("POST", path).header("content-type", "application/json").body(body.to_string())
    }

    /// One header more.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body as it is.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    fn bytes(&self, host: SocketAddr, bearer: Option<&str>) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.has("host") {
            head.push_str(&format!("host: {host}\r\n"));
        }
        if let Some(token) = bearer.filter(|_| !self.has("authorization")) {
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        if !self.has("content-length") && (!self.body.is_empty() || self.method != "GET") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("an answer in UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| {
            panic!("{} is not JSON ({e}): {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// The stable code of an error; empty where there is none.
    pub fn code(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Asserts a refusal with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            String::from_utf8_lossy(&self.body)
        );
    }
}

/// A client of one node, with or without a token.
pub struct Client {
    node: SocketAddr,
    bearer: Option<String>,
    connection: Option<(BufReader<TcpStream>, Instant)>,
}

impl Client {
    /// A client without a token.
    pub fn new(node: SocketAddr) -> Self {
        Client { node, bearer: None, connection: None }
    }

    /// The same with a token.
    pub fn with_bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.to_owned());
        self
    }

    /// Where it calls.
    pub fn node(&self) -> SocketAddr {
        self.node
    }

    /// Calls somewhere else from now on.
    pub fn move_to(&mut self, node: SocketAddr) {
        self.node = node;
        self.connection = None;
    }

    /// Sends a request and reads the answer. A `GET` on a connection that the node has closed meanwhile goes over a new
    /// one (RFC 9110, section 9.2.2); nothing else is ever sent twice.
    ///
    /// # Errors
    /// What the socket says; the connection is given up.
    pub fn try_send(&mut self, request: &Request) -> io::Result<Answer> {
        let bytes = request.bytes(self.node, self.bearer.as_deref());
        let used = self.connection.is_some();
        match self.try_raw(&bytes, request.method == "HEAD") {
            Err(_) if used && request.method == "GET" => self.try_raw(&bytes, false),
            answer => answer,
        }
    }

    /// Sends bytes as they are and reads the answer.
    ///
    /// # Errors
    /// What the socket says; the connection is given up.
    pub fn try_raw(&mut self, bytes: &[u8], head_only: bool) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some((connection, used)) if used.elapsed() < REUSE => connection,
            _ => BufReader::new(connect(self.node)?),
        };
        // A node may answer and close before it has read a body that is too large.
        let sent = connection.get_mut().write_all(bytes);
        let answer = read_answer(&mut connection, head_only);
        let answer = match (sent, answer) {
            (_, Ok(answer)) => answer,
            (Err(error), Err(_)) | (Ok(()), Err(error)) => return Err(error),
        };
        let closes = answer.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        if !closes {
            self.connection = Some((connection, Instant::now()));
        }
        Ok(answer)
    }

    /// Sends a request to a node that is there.
    #[track_caller]
    pub fn send(&mut self, request: &Request) -> Answer {
        self.try_send(request).unwrap_or_else(|e| panic!("{} {}: {e}", request.method, request.path))
    }

    /// `GET`s from a node that is there.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.send(&Request::get(path))
    }

    /// `POST`s JSON to a node that is there.
    #[track_caller]
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(&Request::post(path, body))
    }
}

fn connect(node: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&node, DEADLINE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

fn read_answer(connection: &mut BufReader<TcpStream>, head_only: bool) -> io::Result<Answer> {
    let status_line = read_line(connection)?;
    let status =
        status_line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(connection)?;
        let Some((name, value)) = line.split_once(':') else {
            if line.is_empty() {
                break;
            }
            return Err(bad("a header without a colon"));
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only || status == 204 || status == 304 {
        return Ok(answer);
    }
    if answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        answer.body = read_chunks(connection)?;
    } else if let Some(length) = answer.header("content-length") {
        let length: u64 = length.parse().map_err(|_| bad("a length that is none"))?;
        if length > ANSWER_BYTES_MAX {
            return Err(bad("an answer that is too long"));
        }
        answer.body = vec![0; usize::try_from(length).expect("below the limit")];
        connection.read_exact(&mut answer.body)?;
    } else {
        connection.take(ANSWER_BYTES_MAX).read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

fn read_chunks(connection: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(connection)?;
        let length = u64::from_str_radix(&line, 16).map_err(|_| bad("a chunk without a length"))?;
        if body.len() as u64 + length > ANSWER_BYTES_MAX {
            return Err(bad("an answer that is too long"));
        }
        let start = body.len();
        body.resize(start + usize::try_from(length).expect("below the limit"), 0);
        connection.read_exact(&mut body[start..])?;
        read_line(connection)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn read_line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
