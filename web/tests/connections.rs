//! Connections: what a slow, silent or greedy peer gets, keep-alive, TLS, and the end.

mod support;

use artel_web::{Error, Options, Server};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::client::{AGENT, Client, OPERATOR, connect};
use support::{PATIENCE, start};
use tokio::io::AsyncReadExt as _;

const SHORT: Duration = Duration::from_millis(150);
const JSON: &str = "Content-Type: application/json\r\n";

/// Far longer than any test: a limit that must not be the one that acts.
const LONG: Duration = Duration::from_secs(600);

fn patient() -> Options {
    Options {
        head: LONG,
        idle: LONG,
        body_idle: LONG,
        write: LONG,
        answer: LONG,
        shutdown: LONG,
        ..Options::default()
    }
}

#[tokio::test]
async fn a_half_sent_head_is_closed() {
    let server = start(Options { head: SHORT, ..patient() }).await;
    let mut client = connect(server.address).await;
    client.send("GET /v1/health HTTP/1.1\r\nHost: loc").await;
    client.closed().await;
    connect(server.address).await.closed().await;
    // On a connection that was good before, too.
    let mut client = connect(server.address).await;
    assert_eq!(client.ask("GET", "/v1/health", "", b"").await.status, 200);
    client.send("GET /v1/hea").await;
    client.closed().await;
}

#[tokio::test]
async fn a_trickled_head_is_closed_however_lively() {
    let server = start(Options { head: SHORT, ..patient() }).await;
    let mut client = connect(server.address).await;
    let begun = Instant::now();
    let mut byte = [0];
    loop {
        assert!(begun.elapsed() < PATIENCE, "a byte now and then kept the connection");
        let sent = tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"G").await;
        let heard = tokio::time::timeout(SHORT / 10, client.stream.read(&mut byte)).await;
        if sent.is_err() || matches!(heard, Ok(Ok(0) | Err(_))) {
            break;
        }
    }
}

#[tokio::test]
async fn a_quiet_connection_is_closed_and_a_busy_one_kept() {
    let server = start(Options { idle: SHORT, ..patient() }).await;
    let mut client = connect(server.address).await;
    for _ in 0..3 {
        assert_eq!(client.ask("GET", "/v1/health", "", b"").await.status, 200);
    }
    client.closed().await;
}

#[tokio::test]
async fn a_wait_is_not_idleness() {
    let wait_max = SHORT * 4;
    let server = start(Options { idle: SHORT, head: SHORT, answer: SHORT, wait_max, ..patient() }).await;
    let mut client = connect(server.address).await;
    let begun = Instant::now();
    let reply = client.ask("GET", "/v1/events?after=1&wait_ms=100000", AGENT, b"").await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "timeout"), "the fake never answers a wait");
    assert!(begun.elapsed() >= wait_max, "it waited as long as was allowed: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_stalled_body_is_answered_and_closed() {
    let server = start(Options { body_idle: SHORT, ..patient() }).await;
    let mut client = connect(server.address).await;
    client
        .send(format!(
            "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n{OPERATOR}Content-Length: 500\r\n\r\n{{\"title\""
        ))
        .await;
    let reply = client.reply("POST").await.expect("an answer");
    assert_eq!((reply.status, reply.code().as_str()), (408, "request_timeout"));
    client.closed().await;
}

#[tokio::test]
async fn a_trickled_body_is_refused_however_lively() {
    let server = start(Options { body_idle: SHORT, body_rate_min: 1 << 20, ..patient() }).await;
    let mut client = connect(server.address).await;
    client
        .send(format!(
            "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n{OPERATOR}Content-Length: 500000\r\n\r\n"
        ))
        .await;
    let begun = Instant::now();
    let reply = loop {
        assert!(begun.elapsed() < PATIENCE, "a byte now and then kept the body open");
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"x").await;
        if let Ok(reply) = tokio::time::timeout(SHORT / 10, client.stream.readable()).await {
            reply.expect("the answer is there");
            break client.reply("POST").await.expect("an answer");
        }
    };
    assert_eq!(reply.code(), "request_timeout");
}

#[tokio::test]
async fn a_body_cut_short_reaches_nobody() {
    let server = start(patient()).await;
    let mut client = connect(server.address).await;
    client.send(format!("POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n{OPERATOR}Content-Length: 500\r\n\r\n{{\"title\":\"t\"}}")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.expect("half closed");
    let reply = client.reply("POST").await;
    assert!(reply.is_none_or(|r| r.code() == "body_incomplete"));
    assert!(!server.service.asked().iter().any(|word| word.starts_with("post")));
}

#[tokio::test]
async fn a_receiver_that_takes_nothing_is_closed() {
    let server = start(Options { write: SHORT, ..patient() }).await;
    let mut client = connect(server.address).await;
    // Many answers that nobody reads fill both sockets' buffers; then the server gives up and stops to read.
    let ask = format!("GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n{OPERATOR}\r\n").repeat(1_000);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "the server still holds the connection");
        let sending = tokio::io::AsyncWriteExt::write_all(&mut client.stream, ask.as_bytes());
        if matches!(tokio::time::timeout(SHORT * 4, sending).await, Ok(Err(_))) {
            break;
        }
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_not_waited_for() {
    let server = start(Options { answer: SHORT, ..patient() }).await;
    let mut client = connect(server.address).await;
    let reply = client.ask("POST", "/v1/tasks", &format!("{OPERATOR}{JSON}"), br#"{"title":"slow"}"#).await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "timeout"));
    assert_eq!(client.ask("GET", "/v1/health", "", b"").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn connections_are_bounded_and_the_next_waits_its_turn() {
    let server = start(Options { connections_max: 2, ..patient() }).await;
    let mut first = connect(server.address).await;
    let mut second = connect(server.address).await;
    for client in [&mut first, &mut second] {
        assert_eq!(client.ask("GET", "/v1/health", "", b"").await.status, 200);
    }
    let mut third = connect(server.address).await;
    third.send("GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let early = tokio::time::timeout(SHORT, third.stream.readable()).await;
    assert!(early.is_err(), "the third waits");
    drop(first);
    assert_eq!(third.reply("GET").await.expect("its turn").status, 200);
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection_sent_ahead_or_not() {
    let server = start(patient()).await;
    let mut client = connect(server.address).await;
    let one = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(one.repeat(20)).await;
    for _ in 0..20 {
        assert_eq!(client.reply("GET").await.expect("an answer").status, 200);
    }
    client.send("GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.reply("GET").await.expect("an answer").status, 200);
    client.closed().await;
}

#[tokio::test]
async fn garbage_is_refused() {
    let server = start(patient()).await;
    for garbage in
        ["\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"]
    {
        let mut client = connect(server.address).await;
        client.send(garbage).await;
        assert!(client.reply("GET").await.is_none_or(|r| r.status == 400));
    }
    let mut client = connect(server.address).await;
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-Much: 1\r\n".repeat(100));
    client.send(head).await;
    assert_eq!(client.reply("GET").await.expect("an answer").status, 431);
}

#[tokio::test]
async fn shutdown_answers_waits_early_and_ends() {
    let mut server = start(patient()).await;
    let (mut claim, mut events) = (connect(server.address).await, connect(server.address).await);
    let (idle, mut fresh) = (connect(server.address).await, connect(server.address).await);
    assert_eq!(fresh.ask("GET", "/v1/health", "", b"").await.status, 200);
    let body = r#"{"wait_ms":30000}"#;
    claim
        .send(format!(
            "POST /v1/tasks/claim HTTP/1.1\r\nHost: localhost\r\n{AGENT}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    events
        .send(format!("GET /v1/events?after=7&wait_ms=30000 HTTP/1.1\r\nHost: localhost\r\n{AGENT}\r\n"))
        .await;
    // Both are under way once the service was asked.
    let begun = Instant::now();
    let mut asked = 0;
    while asked < 2 {
        assert!(begun.elapsed() < PATIENCE);
        asked += server.service.asked().len();
        tokio::task::yield_now().await;
    }
    server.closing.cancel();
    assert_eq!(claim.reply("POST").await.expect("an answer").status, 204);
    let page = events.reply("GET").await.expect("an answer");
    assert_eq!(page.json()["next_cursor"], "7", "it can go on where it was");
    tokio::time::timeout(PATIENCE, &mut server.task).await.expect("it ends").expect("without a panic");
    for client in [idle, fresh, claim, events] {
        client.closed().await;
    }
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_end() {
    let mut server = start(Options { shutdown: SHORT, ..patient() }).await;
    let mut client = connect(server.address).await;
    let body = r#"{"title":"slow"}"#;
    client
        .send(format!(
            "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n{OPERATOR}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let begun = Instant::now();
    while server.service.asked().is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    server.closing.cancel();
    tokio::time::timeout(PATIENCE, &mut server.task).await.expect("it ends").expect("without a panic");
    client.closed().await;
}

#[tokio::test]
async fn an_address_that_others_reach_needs_tls() {
    for (listen, options, starts) in [
        ("0.0.0.0:0", Options::default(), false),
        ("[::]:0", Options::default(), false),
        ("0.0.0.0:0", Options { insecure_http: true, ..Options::default() }, true),
        ("0.0.0.0:0", Options { tls: Some(tls().0), ..Options::default() }, true),
    ] {
        let listen: SocketAddr = listen.parse().expect("an address");
        match Server::bind(Options { listen, ..options }).await {
            Ok(server) => assert!(starts && server.address().port() != 0),
            Err(error) => assert!(!starts && matches!(error, Error::TlsRequired(_)), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_taken_port_is_said() {
    let server = start(patient()).await;
    let taken = Server::bind(Options { listen: server.address, ..Options::default() }).await;
    assert!(taken.expect_err("taken").to_string().contains(&server.address.to_string()));
}

fn tls() -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_string()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a pair");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

#[tokio::test]
async fn tls_answers_and_asks_browsers_to_stay() {
    let (server_side, client_side) = tls();
    let server = start(Options { tls: Some(server_side), handshake: SHORT * 10, ..patient() }).await;
    let tcp = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let stream = tokio_rustls::TlsConnector::from(client_side).connect(name, tcp).await.expect("a handshake");
    let mut client = Client::over(stream);
    let reply = client.ask("GET", "/v1/health", "", b"").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("strict-transport-security").is_some());
    // Who speaks plainly, or not at all, is closed.
    let mut plain = connect(server.address).await;
    plain.send("GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, plain.stream.read_to_end(&mut rest)).await.expect("closed");
    assert!(!rest.starts_with(b"HTTP"));
    connect(server.address).await.closed().await;
}
