//! What bad requests get: the right code and status in the one shape, and nothing of them reaches the service.

mod support;

use artel_web::{Options, Rate};
use support::client::{AGENT, Client, OPERATOR, connect};
use support::{fake, start};

const JSON: &str = "Content-Type: application/json\r\n";

async fn code_of(client: &mut Client, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let reply = client.ask(method, path, headers, body).await;
    (reply.status, reply.code())
}

#[tokio::test]
async fn bad_bodies_are_refused_by_code() {
    let server = start(Options::default()).await;
    let headers = format!("{OPERATOR}{JSON}");
    let deep = format!(r#"{{"title":"t","input":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    let large_input = format!(r#"{{"title":"t","input":"{}"}}"#, "x".repeat(262_143));
    let large_body = format!(r#"{{"title":"{}"}}"#, "x".repeat(600_000));
    for (body, status, code) in [
        (&b"{\"title\":"[..], 400, "not_json"),
        (b"title=t", 400, "not_json"),
        (b"", 400, "not_json"),
        (b"{\"title\":\"t\"} {}", 400, "not_json"),
        (b"{\"rewrad\":", 400, "not_json"),
        (b"{\"title\":\"\xff\"}", 400, "not_utf8"),
        (deep.as_bytes(), 400, "json_too_deep"),
        (b"{\"title\":\"t\",\"title\":\"u\"}", 400, "duplicate_key"),
        (b"{\"title\":\"t\",\"input\":{\"a\":1,\"a\":2}}", 400, "duplicate_key"),
        (b"{\"title\":\"t\",\"rewrad\":5}", 422, "unknown_field"),
        (b"{\"title\":\"t\",\"requirements\":{\"skills\":[]}}", 422, "unknown_field"),
        (b"{}", 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"[\"t\",\"\",{}]", 422, "invalid"),
        (b"{\"title\":\"t\",\"requirements\":[[\"text\"]]}", 422, "invalid"),
        (b"{\"title\":5}", 422, "invalid"),
        (b"{\"title\":\"t\",\"reward\":-1}", 422, "invalid"),
        (b"{\"title\":\"t\",\"reward\":\"5\"}", 422, "invalid"),
        (b"{\"title\":\"t\",\"reward\":1e99}", 422, "invalid"),
        (b"{\"title\":\"t\",\"deadline\":\"tomorrow\"}", 422, "invalid"),
        (b"{\"title\":\"t\",\"complexity\":\"hard\"}", 422, "invalid"),
        (b"{\"title\":\"t\",\"requirements\":{\"capabilities\":[\"a b\"]}}", 422, "invalid"),
        (large_input.as_bytes(), 413, "input_too_large"),
        (large_body.as_bytes(), 413, "body_too_large"),
    ] {
        let mut client = connect(server.address).await;
        let got = code_of(&mut client, "POST", "/v1/tasks", &headers, body).await;
        assert_eq!(
            got,
            (status, code.to_string()),
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(80)])
        );
    }
    let asked = server.service.asked();
    assert!(asked.iter().all(|word| word.starts_with("refused operator ")), "{asked:?}");
    assert!(
        asked.contains(&"refused operator unknown_field".to_string()),
        "refusals of known callers are told"
    );
}

#[tokio::test]
async fn a_misspelt_field_is_told_the_right_one() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let reply =
        client.ask("POST", "/v1/tasks", &format!("{OPERATOR}{JSON}"), br#"{"title":"t","rewrad":5}"#).await;
    assert!(
        reply.message().contains(r#"no field "rewrad" here; did you mean "reward"?"#),
        "{}",
        reply.message()
    );
    let body = br#"{"epoch":1,"output":{},"claim_next":{"wait":5}}"#;
    let path = format!("/v1/tasks/{}/submit", fake::task());
    let reply = client.ask("POST", &path, &format!("{AGENT}{JSON}"), body).await;
    assert_eq!(reply.code(), "unknown_field", "inside a nested body too");
    assert!(reply.message().contains("wait_ms"), "{}", reply.message());
}

#[tokio::test]
async fn a_chunked_body_is_bounded_too() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    client
        .send(format!(
            "POST /v1/tasks/claim HTTP/1.1\r\nHost: localhost\r\n{AGENT}Transfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
    for _ in 0..5 {
        client.send(format!("1000\r\n{}\r\n", "x".repeat(4_096))).await;
    }
    let reply = client.reply("POST").await.expect("an answer before the body's end");
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn a_form_is_not_json() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for (content_type, ok) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/x-www-form-urlencoded", false),
        ("text/plain", false),
        ("multipart/form-data; boundary=x", false),
    ] {
        let headers = format!("{OPERATOR}Content-Type: {content_type}\r\n");
        let reply = client.ask("POST", "/v1/tasks", &headers, br#"{"title":"t"}"#).await;
        assert_eq!(reply.status, if ok { 201 } else { 415 }, "{content_type}");
    }
}

#[tokio::test]
async fn bad_paths_methods_and_ids_are_refused_in_the_one_shape() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let (run, task) = (fake::run().to_string(), fake::task().to_string());
    let other_step = artel_protocol::id::RunId::new(artel_protocol::time::Wall(1), [1; 9]).step(0);
    for (method, path, status, code) in [
        ("GET", "/v2/tasks".to_string(), 404, "route_unknown"),
        ("GET", "/v1/tasks/".into(), 404, "route_unknown"),
        ("GET", "//v1/tasks".into(), 404, "route_unknown"),
        ("DELETE", "/v1/tasks".into(), 405, "method_not_allowed"),
        ("PUT", "/v1/health".into(), 405, "method_not_allowed"),
        ("GET", "/v1/tasks/abc".into(), 400, "bad_id"),
        ("GET", format!("/v1/tasks/{run}"), 400, "bad_id"),
        ("GET", format!("/v1/runs/{task}"), 400, "bad_id"),
        ("GET", "/v1/runs/%ff".into(), 400, "bad_id"),
        ("GET", "/v1/agents/did:key:z6Mk".into(), 400, "bad_id"),
        ("GET", "/v1/artifacts/sha256:00".into(), 400, "bad_id"),
        ("GET", "/v1/audit/proof/-1".into(), 400, "bad_id"),
        ("GET", format!("/v1/runs/{run}/steps/{other_step}"), 404, "not_found"),
        ("GET", "/v1/ledger/accounts".into(), 403, "operator_only"),
        ("POST", "/v1/events".into(), 403, "operator_only"),
        ("GET", "/v1/invitations".into(), 403, "operator_only"),
        ("POST", "/v1/invitations".into(), 403, "operator_only"),
        ("DELETE", format!("/v1/invitations/{}", artel_protocol::id::Digest::of(b"x")), 403, "operator_only"),
        ("DELETE", "/v1/invitations/x".into(), 403, "operator_only"),
        ("POST", format!("/v1/nodes/{}/expel", fake::agent()), 403, "operator_only"),
        ("POST", format!("/v1/nodes/{}/admit", fake::agent()), 403, "operator_only"),
    ] {
        let got = code_of(&mut client, method, &path, AGENT, b"").await;
        assert_eq!(got, (status, code.to_string()), "{method} {path}");
    }
    let reply = client.ask("DELETE", "/v1/tasks", AGENT, b"").await;
    assert!(
        reply.header("allow").is_some_and(|a| a.contains("GET") && a.contains("POST")),
        "{:?}",
        reply.headers
    );
    let got = code_of(&mut client, "GET", "/v1/agents/me", OPERATOR, b"").await;
    assert_eq!(got, (403, "agents_only".into()));
}

#[tokio::test]
async fn an_event_takes_no_idempotency_key() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let headers = format!("{OPERATOR}Content-Type: application/json\r\nIdempotency-Key: once\r\n");
    let reply = client.ask("POST", "/v1/events", &headers, br#"{"event_name":"xyn.report.ready"}"#).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "bad_idempotency_key"));
    assert_eq!(server.service.asked(), ["refused operator bad_idempotency_key"], "nothing was emitted");
}

#[tokio::test]
async fn event_names_begin_with_a_letter() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for (name, ok) in
        [("xyn.report.ready", true), ("a", true), ("1st", false), ("", false), ("a b", false), (".a", false)]
    {
        let body = format!(r#"{{"event_name":"{name}"}}"#);
        let reply = client.ask("POST", "/v1/events", &format!("{OPERATOR}{JSON}"), body.as_bytes()).await;
        assert_eq!(reply.status, if ok { 201 } else { 422 }, "{name}");
    }
}

#[tokio::test]
async fn bad_tokens_get_401() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for (header, code) in [
        ("", "unauthenticated"),
        ("Authorization: Basic YTpi\r\n", "unauthenticated"),
        ("Authorization: Bearer \r\n", "unauthenticated"),
        ("Authorization: Bearer nonsense\r\n", "bad_token"),
        ("Authorization: bearer expired-token\r\n", "token_expired"),
    ] {
        let reply = client.ask("GET", "/v1/auth/verify", header, b"").await;
        assert_eq!((reply.status, reply.code().as_str()), (401, code), "{header}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_on_every_path() {
    let server = start(Options { names: vec!["node.example".into()], ..Options::default() }).await;
    let port = server.address.port();
    for (head, code) in [
        ("Host: evil.example".to_string(), Some("host_not_allowed")),
        (format!("Host: evil.example:{port}"), Some("host_not_allowed")),
        ("X-No-Host: 1".into(), Some("host_not_allowed")),
        ("Host: localhost\r\nHost: localhost".into(), Some("host_not_allowed")),
        (format!("Host: localhost:{port}\r\nOrigin: https://evil.example"), Some("origin_not_allowed")),
        (format!("Host: localhost:{port}\r\nOrigin: http://localhost:1"), Some("origin_not_allowed")),
        (format!("Host: localhost:{port}\r\nOrigin: null"), Some("origin_not_allowed")),
        (format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}"), None),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: https://node.example"), None),
        ("Host: node.example".into(), None),
    ] {
        for path in ["/readyz", "/v1/health", "/log/checkpoint"] {
            let mut client = connect(server.address).await;
            client.send(format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n")).await;
            let reply = client.reply("GET").await.expect("an answer");
            match code {
                Some(code) => assert_eq!((reply.status, reply.code().as_str()), (403, code), "{head}"),
                None => assert_eq!(reply.status, 200, "{head}"),
            }
        }
    }
    let mut client = connect(server.address).await;
    client.send("GET http://evil.example/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(client.reply("GET").await.expect("an answer").code(), "host_not_allowed");
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_connection_goes_on() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let got =
        code_of(&mut client, "POST", "/v1/tasks", &format!("{OPERATOR}{JSON}"), br#"{"title":"panic"}"#)
            .await;
    assert_eq!(got, (500, "internal".into()));
    assert_eq!(client.ask("GET", "/v1/health", "", b"").await.status, 200);
}

#[tokio::test]
async fn the_services_own_refusal_keeps_its_details_and_is_not_told_twice() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let reply = client.ask("POST", "/v1/tasks", &format!("{OPERATOR}{JSON}"), br#"{"title":"dear"}"#).await;
    assert_eq!((reply.status, reply.code().as_str()), (402, "insufficient_credit"));
    assert_eq!(reply.json()["error"]["details"]["lacks"], 1);
    let asked = server.service.asked();
    assert!(!asked.iter().any(|word| word.starts_with("refused")), "{asked:?}");
}

/// So that no test, whatever it looks at, passes over one.
#[tokio::test]
async fn a_code_that_the_document_does_not_name_for_a_route_fails_whoever_meets_it() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let reply = client.ask("POST", "/v1/tasks", &format!("{OPERATOR}{JSON}"), br#"{"title":"taken"}"#).await;
    let is = if cfg!(debug_assertions) { (500, "internal") } else { (409, "task_taken") };
    assert_eq!((reply.status, reply.code().as_str()), is);
}

#[tokio::test]
async fn an_agent_has_a_rate_and_the_operator_has_none() {
    let agent_rate = Rate { per_second: 0.01, burst: 3 };
    let server = start(Options { agent_rate, ..Options::default() }).await;
    let mut client = connect(server.address).await;
    for _ in 0..3 {
        assert_eq!(client.ask("GET", "/v1/tasks", AGENT, b"").await.status, 200);
    }
    let reply = client.ask("GET", "/v1/tasks", AGENT, b"").await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limited"));
    let wait: u32 = reply.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=100).contains(&wait), "{wait}");
    assert!(server.service.asked().contains(&"refused agent rate_limited".to_string()));
    for _ in 0..20 {
        assert_eq!(client.ask("GET", "/v1/tasks", OPERATOR, b"").await.status, 200);
    }
}

#[tokio::test]
async fn an_address_has_a_rate_of_enrollments() {
    let enroll_rate = Rate { per_second: 0.01, burst: 2 };
    let server = start(Options { enroll_rate, ..Options::default() }).await;
    let mut client = connect(server.address).await;
    let body = format!(r#"{{"agent_name":"Ada","public_key":"{}"}}"#, fake::agent());
    for status in [201, 201, 429] {
        let reply = client.ask("POST", "/v1/enroll", JSON, body.as_bytes()).await;
        assert_eq!(reply.status, status);
    }
}

#[tokio::test]
async fn bad_tokens_use_up_signature_checks_but_known_tokens_need_none() {
    let refused_token_rate = Rate { per_second: 0.01, burst: 2 };
    let server = start(Options { refused_token_rate, ..Options::default() }).await;
    let mut client = connect(server.address).await;
    for status in [401, 401, 429] {
        let reply = client.ask("GET", "/v1/tasks", "Authorization: Bearer forged\r\n", b"").await;
        assert_eq!(reply.status, status);
    }
    assert_eq!(client.ask("GET", "/v1/tasks", AGENT, b"").await.status, 429, "its token is not known yet");
    assert_eq!(client.ask("GET", "/v1/tasks", OPERATOR, b"").await.status, 200, "this one is");
}
