//! The ports: whether a running node's are really answered on this machine, whether a stopped node's are free, and who
//! holds one that is not.

use artel_mesh::Address;
use artel_web::types::doctor::{Check, Finding};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a port of this machine may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// What both sides of a libp2p connection say first (multistream-select 1.0).
const MULTISTREAM: &[u8] = b"\x13/multistream/1.0.0\n";

/// The most processes that are looked through for who holds a port.
const PROCESSES_MAX: usize = 4_096;

/// A place to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    at: SocketAddr,
    is_udp: bool,
}

impl Place {
    /// Where a mesh listens; nothing where its address names a host that must be looked up.
    pub fn of_mesh(address: &Address) -> Option<Self> {
        let (at, transport) = address.socket()?;
        Some(Place { at, is_udp: transport == artel_mesh::Transport::Quic })
    }

    /// Where HTTP listens.
    pub fn of_http(at: SocketAddr) -> Self {
        Place { at, is_udp: false }
    }

    /// Where it can be reached from this machine.
    fn here(&self) -> SocketAddr {
        let ip = match self.at.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        };
        SocketAddr::new(ip, self.at.port())
    }

    /// Whether somebody listens there; a free one is let go again at once.
    fn is_free(&self) -> io::Result<()> {
        if self.is_udp { UdpSocket::bind(self.at).map(drop) } else { TcpListener::bind(self.at).map(drop) }
    }
}

/// Whether the running node's HTTP port answers on this machine.
pub(super) async fn http(at: SocketAddr, has_tls: bool) -> Finding {
    let here = Place::of_http(at).here();
    let asked = async {
        let mut stream = TcpStream::connect(here).await?;
        if has_tls {
            return io::Result::Ok(true);
        }
        stream
            .write_all(
                format!("GET /healthz HTTP/1.1\r\nhost: {here}\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    let advice =
        "see what stands between: a firewall on this machine's own addresses, or too many open connections";
    match tokio::time::timeout(ANSWER_WAIT, asked).await {
        Ok(Ok(true)) if has_tls => {
            Finding::ok(Check::Http, "the port of the API is open (TLS)").with(here.to_string())
        }
        Ok(Ok(true)) => Finding::ok(Check::Http, "the API answers").with(here.to_string()),
        Ok(Ok(false)) => {
            Finding::fail(Check::Http, "what answers at the API's port is not this node, or not well", advice)
                .with(here.to_string())
        }
        Ok(Err(error)) => {
            Finding::fail(Check::Http, format!("the API's port does not answer: {error}"), advice)
                .with(here.to_string())
        }
        Err(_) => {
            let summary = format!("the API's port does not answer within {} s", ANSWER_WAIT.as_secs());
            Finding::fail(Check::Http, summary, advice).with(here.to_string())
        }
    }
}

/// Whether the running node's mesh ports answer on this machine: a TCP port says the words that every libp2p node says
/// first; of a QUIC port it can only be told that it is taken.
pub(super) async fn mesh(listening: &[Address]) -> Finding {
    if listening.is_empty() {
        return Finding::ok(Check::Mesh, "the mesh listens nowhere: this node only dials")
            .advising("to be dialled start it with --listen /ip4/0.0.0.0/tcp/7434");
    }
    let (mut open, mut shut) = (Vec::new(), Vec::new());
    for address in listening {
        match Place::of_mesh(address) {
            Some(place) if answers(place).await => open.push(address.to_string()),
            _ => shut.push(address.to_string()),
        }
    }
    if shut.is_empty() {
        return Finding::ok(Check::Mesh, "the mesh's ports answer").with(open.join(", "));
    }
    let advice = "see what stands between: a firewall on this machine's own addresses, or as many connections as there may be";
    Finding::fail(Check::Mesh, "a port of the mesh does not answer", advice).with(shut.join(", "))
}

async fn answers(place: Place) -> bool {
    if place.is_udp {
        return place.is_free().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    }
    let asked = async {
        let mut stream = TcpStream::connect(place.here()).await?;
        stream.write_all(MULTISTREAM).await?;
        let mut answer = vec![0; MULTISTREAM.len()];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer == MULTISTREAM)
    };
    matches!(tokio::time::timeout(ANSWER_WAIT, asked).await, Ok(Ok(true)))
}

/// Whether places that a start would listen on are free.
pub(super) fn free(check: Check, places: &[Place], setting: &str) -> Finding {
    for place in places.iter().filter(|place| place.at.port() != 0) {
        let Err(error) = place.is_free() else { continue };
        let (port, kind) = (place.at.port(), if place.is_udp { "UDP" } else { "TCP" });
        let found = match error.kind() {
            io::ErrorKind::AddrInUse => {
                let who = holder(*place).unwrap_or_else(|| "a program of another user".to_owned());
                let advice = format!("stop it, or choose another port with {setting}");
                Finding::fail(check, format!("{kind} port {port} is taken by {who}"), advice)
            }
            io::ErrorKind::AddrNotAvailable => {
                let advice = format!("name an address of this machine with {setting}, or 0.0.0.0 for all");
                Finding::fail(check, format!("{} is no address of this machine", place.at.ip()), advice)
            }
            io::ErrorKind::PermissionDenied => {
                let advice = format!("choose a port from 1024 on with {setting}");
                Finding::fail(check, format!("{kind} port {port} is not for this user"), advice)
            }
            _ => Finding::unknown(check, format!("{kind} port {port} cannot be tried: {error}")),
        };
        return found.with(place.at.to_string());
    }
    let shown: Vec<String> = places.iter().map(|place| place.at.to_string()).collect();
    match places.is_empty() {
        true => Finding::ok(check, "nothing is to be listened on"),
        false => Finding::ok(check, "free for the next start").with(shown.join(", ")),
    }
}

/// The process that listens on a port, by its number and name, where this user may see it.
fn holder(place: Place) -> Option<String> {
    let tables: &[&str] = match place.is_udp {
        true => &["/proc/net/udp", "/proc/net/udp6"],
        false => &["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let texts: Vec<String> = tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    let sockets: BTreeSet<String> =
        texts.iter().flat_map(|text| sockets_on(text, place.at.port(), place.is_udp)).collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.take(PROCESSES_MAX).find(|process| has_open(*process, &sockets)).map(|process| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        format!("process {process} ({})", crate::cli::show::plain(name.trim()))
    })
}

/// The inodes of the sockets that listen on a port (TCP), or are bound to it (UDP), of a table under `/proc/net`.
fn sockets_on(table: &str, port: u16, is_udp: bool) -> Vec<String> {
    const LISTENS: &str = "0A";
    let wanted = format!(":{port:04X}");
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (local, state) = (words.nth(1)?, words.nth(1)?);
        let inode = words.nth(5)?;
        (local.ends_with(&wanted) && (is_udp || state == LISTENS)).then(|| inode.to_owned())
    };
    table.lines().skip(1).filter_map(row).collect()
}

fn has_open(process: u32, sockets: &BTreeSet<String>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().filter_map(|file| fs::read_link(file.path()).ok()).any(|target| {
        let text = target.to_string_lossy().into_owned();
        text.strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inode| sockets.contains(inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_web::types::doctor::FindingStatus::{Fail, Ok};

    #[test]
    fn who_holds_a_port_is_named() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let me = format!("process {} (", std::process::id());
        for (at, is_udp) in
            [(tcp.local_addr().expect("an address"), false), (udp.local_addr().expect("an address"), true)]
        {
            let found = free(Check::Http, &[Place { at, is_udp }], "--http");
            assert_eq!(found.status, Fail, "{found:?}");
            assert!(found.summary.contains(&me), "{found:?}");
        }
        let at = tcp.local_addr().expect("an address");
        drop(tcp);
        assert_eq!(free(Check::Http, &[Place { at, is_udp: false }], "--http").status, Ok);
    }

    #[test]
    fn a_port_of_nobody_and_an_address_of_another_machine_are_told() {
        let any = Place { at: "127.0.0.1:0".parse().expect("an address"), is_udp: false };
        assert_eq!(free(Check::Mesh, &[any], "--listen").status, Ok);
        let foreign = Place { at: "192.0.2.1:7433".parse().expect("an address"), is_udp: false };
        let found = free(Check::Http, &[foreign], "--http");
        assert!(found.status == Fail && found.summary.contains("192.0.2.1"), "{found:?}");
    }

    #[tokio::test]
    async fn a_port_that_says_nothing_or_something_else_does_not_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let said = tokio::spawn(async move {
            for words in [&b"SSH-2.0-something else\r\n"[..], b"HTTP/1.1 200 OK\r\n\r\n", MULTISTREAM] {
                let (mut stream, _) = listener.accept().await.expect("a caller");
                let mut asked = [0; 8];
                stream.read_exact(&mut asked).await.expect("a question");
                stream.write_all(words).await.expect("an answer");
            }
        });
        assert_eq!(http(at, false).await.status, Fail);
        assert_eq!(http(at, false).await.status, Ok);
        let address: Address = format!("/ip4/127.0.0.1/tcp/{}", at.port()).parse().expect("an address");
        assert_eq!(mesh(std::slice::from_ref(&address)).await.status, Ok);
        said.await.expect("all were asked");
        assert_eq!(http(at, false).await.status, Fail);
        assert_eq!(mesh(&[address]).await.status, Fail);
    }
}
