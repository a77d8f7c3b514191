//! What is measured of requests: by template and class, by code, for those who may read it, in a fixed number of series.

mod support;

use artel_web::{Audience, Options, ROUTES};
use support::client::{AGENT, OPERATOR, connect};
use support::{fake, start};

async fn read(address: std::net::SocketAddr) -> String {
    let reply = connect(address).await.ask("GET", "/metrics", OPERATOR, b"").await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    reply.text().to_owned()
}

fn value(text: &str, sample: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{sample} is not there")).parse().expect("a number")
}

#[tokio::test]
async fn requests_count_by_their_template_and_refusals_by_code() {
    let server = start(Options::default()).await;
    let before = read(server.address).await;
    let mut client = connect(server.address).await;
    let task = format!("/v1/tasks/{}", fake::task());
    assert_eq!(client.ask("GET", &task, AGENT, b"").await.status, 200);
    assert_eq!(client.ask("GET", &format!("/api{task}"), AGENT, b"").await.status, 200);
    assert_eq!(client.ask("GET", &task, "", b"").await.code(), "unauthenticated");
    assert_eq!(client.ask("GET", "/nowhere", "", b"").await.code(), "route_unknown");
    let after = read(server.address).await;
    let rose = |sample: &str| value(&after, sample) - value(&before, sample);
    let requests = |method: &str, route: &str, class: &str| {
        rose(&format!("artel_http_requests_total{{method=\"{method}\",route=\"{route}\",class=\"{class}\"}}"))
    };
    assert_eq!(requests("get", "/v1/tasks/{id}", "2xx"), 2);
    assert_eq!(requests("get", "/v1/tasks/{id}", "4xx"), 1);
    assert_eq!(requests("other", "other", "4xx"), 1);
    assert_eq!(rose("artel_http_request_seconds_count{method=\"get\",route=\"/v1/tasks/{id}\"}"), 3);
    assert_eq!(rose("artel_http_refusals_total{code=\"unauthenticated\"}"), 1);
    assert_eq!(rose("artel_http_refusals_total{code=\"route_unknown\"}"), 1);
    assert_eq!(before.lines().count(), after.lines().count(), "the number of series is fixed");
    assert!(after.lines().count() > ROUTES.len() * 18);
    assert!(after.contains("\nfake 1\n"), "what the node measures is there, too");
}

#[tokio::test]
async fn only_the_operator_reads_it_unless_the_operator_says_otherwise() {
    for (metrics, status) in [(Audience::Operator, 401), (Audience::Loopback, 200), (Audience::Anyone, 200)] {
        let server = start(Options { metrics, ..Options::default() }).await;
        let mut client = connect(server.address).await;
        assert_eq!(client.ask("GET", "/metrics", "", b"").await.status, status, "{metrics:?}");
        assert_eq!(client.ask("GET", "/metrics", OPERATOR, b"").await.status, 200, "{metrics:?}");
    }
    let server = start(Options::default()).await;
    let reply = connect(server.address).await.ask("GET", "/metrics", AGENT, b"").await;
    assert_eq!(reply.code(), "operator_only");
}
