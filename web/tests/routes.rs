//! Every route over a real socket: that it is there, what the seeds' own samples get, what an answer bears.

mod support;

use artel_protocol::id::Digest;
use artel_web::{Options, ROUTES};
use support::client::{AGENT, OPERATOR, Reply, connect};
use support::{fake, start};

fn json(extra: &str) -> String {
    format!("{extra}Content-Type: application/json\r\n")
}

/// A path of the table with real ids in it.
fn filled(path: &str) -> String {
    let id = match path {
        p if p.starts_with("/v1/enroll") => fake::enrollment().to_string(),
        p if p.starts_with("/v1/runs") => fake::run().to_string(),
        p if p.starts_with("/v1/events") => fake::event().to_string(),
        _ => fake::task().to_string(),
    };
    path.replace("{id}", &id)
        .replace("{step_id}", &fake::task().to_string())
        .replace("{did}", &fake::agent().to_string())
        .replace("{name}", &fake::artifact().to_string())
        .replace("{index}", "42")
        .replace("{digest}", &Digest::of(b"x").to_string())
        .replace("{*tile}", "0/000")
}

/// A body that the route takes.
fn body(method: &str, path: &str) -> String {
    let signature = "A".repeat(86);
    match (method, path) {
        ("post", "/v1/enroll") => format!(r#"{{"agent_name":"Ada","public_key":"{}"}}"#, fake::agent()),
        ("post", "/v1/enroll/{id}/respond") => format!(r#"{{"signature":"{signature}"}}"#),
        ("post", "/v1/auth/rotate" | "/v1/auth/revoke") => {
            format!(r#"{{"statement":"YXM","signature":"{signature}"}}"#)
        }
        ("post", "/v1/tasks") => r#"{"title":"t"}"#.into(),
        ("post", "/v1/runs") => r#"{"name":"r"}"#.into(),
        ("post", "/v1/events") => r#"{"event_name":"xyn.test"}"#.into(),
        ("post", "/v1/artifacts") => r#"{"name":"a"}"#.into(),
        ("post", "/v1/notifications/mark-read") => r#"{"up_to":"57.ab"}"#.into(),
        ("post", p) if p.ends_with("/expel") => r#"{"reason":"it lied"}"#.into(),
        ("post", p) if p.ends_with("/renew") || p.ends_with("/release") => r#"{"epoch":1}"#.into(),
        ("post", p) if p.ends_with("/submit") => r#"{"epoch":1,"output":{}}"#.into(),
        ("patch", _) => "{}".into(),
        ("put", _) => "bytes".into(),
        _ => String::new(),
    }
}

/// As an agent, or as the operator where the route is the operator's alone.
async fn ask(address: std::net::SocketAddr, method: &str, path: &str, body: &str) -> Reply {
    let mut client = connect(address).await;
    let method = method.to_uppercase();
    let reply = client.ask(&method, path, &json(AGENT), body.as_bytes()).await;
    if reply.status != 403 {
        return reply;
    }
    client.ask(&method, path, &json(OPERATOR), body.as_bytes()).await
}

/// No answer of HTTP, and a bearer that may come later: `sockets.rs` has its tests.
const SOCKET: &str = "/v1/agent/connect";

#[tokio::test]
async fn every_route_answers_under_both_prefixes() {
    let server = start(Options::default()).await;
    for (method, path) in ROUTES {
        if *path == SOCKET {
            continue;
        }
        let prefixes = if path.starts_with("/v1/") { &["", "/api"][..] } else { &[""] };
        for prefix in prefixes {
            let route = format!("{method} {prefix}{path}");
            let reply =
                ask(server.address, method, &format!("{prefix}{}", filled(path)), &body(method, path)).await;
            assert_eq!(reply.status / 100, 2, "{route}: {}", reply.text());
            assert!(reply.header("x-correlation-id").is_some(), "{route}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{route}");
            assert!(reply.header("content-security-policy").is_some(), "{route}");
            assert!(reply.header("cache-control").is_some(), "{route}");
            if *path == "/v1/tasks/claim" {
                assert_eq!(reply.status, 204, "there is no task to claim");
                continue;
            }
            let length = reply.header("content-length").expect("a length").parse();
            assert_eq!(length, Ok(reply.body.len()), "{route}");
            if reply.header("content-type") == Some("application/json") && *path != "/openapi.json" {
                assert!(reply.json().get("correlation_id").is_some(), "{route}: {}", reply.text());
            }
        }
    }
    let reply = connect(server.address).await.ask("GET", "/api/healthz", "", b"").await;
    assert_eq!(reply.code(), "route_unknown", "only /v1 has a second name");
}

#[tokio::test]
async fn routes_but_the_public_ones_want_a_bearer() {
    let server = start(Options::default()).await;
    let public = ["/healthz", "/readyz", "/v1/health", "/.well-known/jwks.json"];
    let document = ["/openapi", "/openapi.css", "/openapi.json"];
    for (method, path) in ROUTES {
        if *path == SOCKET {
            continue;
        }
        let mut client = connect(server.address).await;
        let body = body(method, path);
        let reply = client.ask(&method.to_uppercase(), &filled(path), &json(""), body.as_bytes()).await;
        if public.contains(path)
            || document.contains(path)
            || path.starts_with("/log/")
            || path.starts_with("/v1/enroll")
        {
            assert_eq!(reply.status / 100, 2, "{method} {path}");
        } else {
            assert_eq!((reply.status, reply.code().as_str()), (401, "unauthenticated"), "{method} {path}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
    }
}

#[tokio::test]
async fn the_seeds_samples_work_as_printed() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    // nervix.md, "Agent → Platform": no content type, just the token.
    let claim = r#"{
    "estimated_duration": 3600,
    "agent_capabilities": ["coding", "research"]
  }"#;
    let path = format!("/v1/tasks/{}/claim", fake::task());
    let reply = client.ask("POST", &path, AGENT, claim.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let lease = reply.json();
    assert_eq!(lease["epoch"], 1);
    assert_eq!(lease["needs"]["first"], serde_json::json!([1, 2]));
    assert_eq!(lease["artifacts"]["first"][0], Digest::of(fake::CONTENT).to_string());
    assert!(reply.text().contains(r#""input":{"n":1.50}"#), "a user's JSON is handed on as it came");
    assert!(reply.text().contains(r#""reward":50,"#), "{}", reply.text());
    assert_eq!(server.service.asked(), [r#"claim ["coding", "research"] Some(3600) 0"#]);

    // xyn-seed §45.4: a run without steps, a reference that is null.
    let run = r#"{"name":"nightly","blueprint_ref":null,"inputs":{"a":1},"priority":5}"#;
    let reply = client.ask("POST", "/api/v1/runs", &json(OPERATOR), run.as_bytes()).await;
    assert_eq!((reply.status, reply.json()["status"].as_str()), (201, Some("completed")));
    assert_eq!(reply.json()["created_at"], "2026-02-20T12:00:00.000Z");
    assert_eq!(server.service.asked(), ["run nightly 5 None 0"]);

    // nervix.md's deadline and reward.
    let task =
        r#"{"title":"Build REST API","reward":50,"deadline":"2026-02-20T12:00:00Z","input":{"x": 1.0}}"#;
    let reply = client.ask("POST", "/v1/tasks", &json(OPERATOR), task.as_bytes()).await;
    assert_eq!(reply.status, 201);
    assert_eq!(
        server.service.asked(),
        [r#"post Build REST API Credits(50000000) Some(Wall(1771588800000)) None {"x": 1.0}"#]
    );

    // xyn-seed §45.5, both patterns.
    let two_step = r#"{"name":"log.txt","kind":"log","content_type":"text/plain","byte_length":null,"run_id":null,
        "step_id":null,"metadata":{}}"#;
    let reply = client.ask("POST", "/api/v1/artifacts", &json(AGENT), two_step.as_bytes()).await;
    assert_eq!(reply.status, 201);
    assert!(reply.json()["upload_url"].is_string());
    let direct = r#"{"name":"a","kind":"file","content_type":"text/plain","content":"aGVsbG8="}"#;
    let reply = client.ask("POST", "/api/v1/artifacts", &json(AGENT), direct.as_bytes()).await;
    assert_eq!(reply.json()["sha256"], Digest::of(b"hello").to_string());
}

#[tokio::test]
async fn enrollment_reads_the_metadata_that_it_keeps() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let body = format!(
        r#"{{"agent_name":"Ada","public_key":"{}","metadata":{{"capabilities":["coding","rust@2"],"capacity":3,"own":[1]}},"delegate":true}}"#,
        fake::agent()
    );
    let reply = client.ask("POST", "/v1/enroll", &json(""), body.as_bytes()).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json()["challenge"], "sign\nthis\n");
    assert_eq!(server.service.asked(), ["enroll Ada 2 Some(3) true"]);
    let reply = client
        .ask(
            "POST",
            &format!("/v1/enroll/{}/respond", fake::enrollment()),
            &json(""),
            format!(r#"{{"signature":"{}"}}"#, "A".repeat(86)).as_bytes(),
        )
        .await;
    let token = reply.json();
    assert_eq!(
        (token["token_type"].as_str(), token["agent"]["agent_name"].as_str()),
        (Some("Bearer"), Some("Ada"))
    );
    assert_eq!(token["agent"]["metadata"]["motto"], "on time");
    assert!(reply.text().contains(r#""reputation_score":50.00"#), "{}", reply.text());
    assert!(reply.text().contains(r#""total_earnings":1.5"#), "{}", reply.text());
}

#[tokio::test]
async fn correlation_ids_come_back_in_header_and_body() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let given = "X-Correlation-Id: my\"id\\7\r\n";
    let reply = client.ask("GET", "/v1/health", given, b"").await;
    assert_eq!(reply.header("x-correlation-id"), Some("my\"id\\7"));
    assert_eq!(reply.json()["correlation_id"], "my\"id\\7");
    assert_eq!(reply.json()["status"], "ok");
    let reply = client.ask("GET", "/nowhere", given, b"").await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "route_unknown"));
    let reply = client.ask("GET", "/v1/health", "X-Correlation-Id: two words\r\n", b"").await;
    assert_eq!(reply.header("x-correlation-id").map(str::len), Some(36), "a bad one is replaced");
    // A run bears the id of the request that made it.
    let reply =
        client.ask("GET", &format!("/v1/runs/{}", fake::run()), &format!("{AGENT}{given}"), b"").await;
    assert_eq!(reply.text().matches("correlation_id").count(), 1);
}

#[tokio::test]
async fn pages_have_a_limit_and_a_cursor() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for (query, next) in [
        ("", Some("50-0")),
        ("?limit=200", Some("200-0")),
        ("?limit=1&cursor=abc", Some("1-abc")),
        ("?limit=0", None),
        ("?limit=201", None),
        ("?limit=-1", None),
        ("?limit=x", None),
        ("?cursor=", None),
    ] {
        let reply = client.ask("GET", &format!("/v1/agents{query}"), AGENT, b"").await;
        match next {
            Some(next) => assert_eq!(reply.json()["next_cursor"], next, "{query}"),
            None => assert_eq!((reply.status, reply.code().as_str()), (400, "bad_query"), "{query}"),
        }
    }
    let reply = client.ask("GET", "/v1/agents?limt=5", AGENT, b"").await;
    assert_eq!(reply.code(), "bad_query");
    assert!(reply.message().contains("did you mean \"limit\"?"), "{}", reply.message());
}

#[tokio::test]
async fn tasks_are_listed_by_status() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for query in ["", "?status=any", "?status=accepted"] {
        client.ask("GET", &format!("/v1/tasks{query}"), AGENT, b"").await;
    }
    assert_eq!(server.service.asked(), ["tasks Is(Available)", "tasks Any", "tasks Is(Accepted)"]);
    let reply = client.ask("GET", "/v1/tasks?status=open", AGENT, b"").await;
    assert_eq!(reply.code(), "bad_query");
}

#[tokio::test]
async fn events_are_read_from_a_cursor() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for query in ["?after=42&limit=7", "?cursor=42"] {
        let reply = client.ask("GET", &format!("/v1/events{query}"), AGENT, b"").await;
        assert_eq!(reply.json()["next_cursor"], "43");
    }
    assert_eq!(server.service.asked(), ["events Some(\"42\") 0 7", "events Some(\"42\") 0 50"]);
    let reply = client.ask("GET", "/v1/events?after=1&cursor=1", AGENT, b"").await;
    assert_eq!(reply.code(), "bad_query");
}

#[tokio::test]
async fn a_submission_may_ask_for_the_next_task() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let path = format!("/v1/tasks/{}/submit", fake::task());
    for (next, asked) in [
        ("", "submit {\"a\": 1} None"),
        (r#","claim_next":true"#, "submit {\"a\": 1} Some(0)"),
        (r#","claim_next":false"#, "submit {\"a\": 1} None"),
        (r#","claim_next":{"wait_ms":5}"#, "submit {\"a\": 1} Some(5)"),
        (r#","claim_next":{"wait_ms":4000000000}"#, "submit {\"a\": 1} Some(30000)"),
    ] {
        let body = format!(r#"{{"epoch":1,"output":{{"a": 1}}{next}}}"#);
        let reply = client.ask("POST", &path, &json(AGENT), body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let acknowledged = &reply.json()["acknowledgement"];
        assert_eq!(acknowledged["output_digest"], Digest::of(b"{\"a\": 1}").to_string());
        assert_eq!(acknowledged["result"], Digest::of(b"commitment").to_string());
        assert_eq!(acknowledged["salt"], "BQUFBQUFBQUFBQUFBQUFBQ==");
        assert_eq!(acknowledged["artifacts"], serde_json::json!([]));
        assert_eq!(reply.json()["receipt"]["accepted"], true);
        assert_eq!(server.service.asked(), [asked]);
    }
}

#[tokio::test]
async fn a_posts_key_comes_with_its_bodys_digest() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let body = br#"{"title":"t"}"#;
    let key = format!("{OPERATOR}Idempotency-Key: order-66\r\n");
    let reply = client.ask("POST", "/v1/tasks", &key, body).await;
    assert_eq!(reply.status, 201);
    let asked = server.service.asked().concat();
    assert!(asked.contains(&format!("order-66:{}", Digest::of(body))), "{asked}");
    for bad in ["", "two words", &"x".repeat(129)] {
        let reply =
            client.ask("POST", "/v1/tasks", &format!("{OPERATOR}Idempotency-Key: {bad}\r\n"), body).await;
        assert_eq!(reply.code(), "bad_idempotency_key", "{bad:?}");
    }
}

#[tokio::test]
async fn the_public_page_says_what_there_is_and_escapes_it() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let reply = client.ask("GET", "/", "", b"").await;
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!reply.text().contains("<b>bold") && !reply.text().contains("<script>"), "{}", reply.text());
    for part in [
        "&#60;b&#62;bold",
        "open tasks",
        "60 s",
        "12D3KooW",
        "1 h 1 min",
        "12D3KooWitness",
        "12D3KooTheirs",
        "two_roots: &#60;proof",
    ] {
        assert!(reply.text().contains(part), "{part}: {}", reply.text());
    }
}

#[tokio::test]
async fn the_logs_paths_are_c2sps() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for (path, tile) in [
        ("/log/tile/0/x001/234", Some("tile/0/x001/234")),
        ("/log/tile/0/000.p/7", Some("tile/0/000.p/7")),
        ("/log/tile/entries/000.p/43", Some("tile/entries/000.p/43")),
        ("/log/tile/0/0", None),
        ("/log/tile/0/000.p/256", None),
        ("/log/tile/0/%2e%2e/000", None),
    ] {
        let reply = client.ask("GET", path, "", b"").await;
        match tile {
            Some(tile) => {
                assert_eq!(reply.text(), tile);
                assert!(reply.header("cache-control").is_some_and(|c| c.contains("immutable")));
            }
            None => assert_eq!(reply.code(), "bad_tile", "{path}"),
        }
    }
    let reply = client.ask("GET", "/log/checkpoint", "", b"").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[tokio::test]
async fn an_invitation_is_made_shown_once_and_taken_back() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let reply = client.ask("POST", "/v1/invitations", OPERATOR, b"").await;
    assert_eq!(
        (reply.status, reply.json()["uses"].as_u64()),
        (201, Some(1)),
        "a day for one is asked by nothing"
    );
    let body = br#"{"uses":3,"for_ms":60000}"#;
    let reply = client.ask("POST", "/v1/invitations", &json(OPERATOR), body).await;
    assert_eq!(reply.json()["invitation"], "artel-invitation-1:AA");
    let digest = reply.json()["digest"].as_str().expect("a digest").to_owned();
    let given = client.ask("GET", "/v1/invitations", OPERATOR, b"").await.json();
    assert_eq!(
        (&given["items"][0]["digest"], &given["items"][0]["status"]),
        (&digest.clone().into(), &"live".into())
    );
    assert!(given["items"][0].get("invitation").is_none(), "its text is shown once");
    let reply = client.ask("DELETE", &format!("/v1/invitations/{digest}"), OPERATOR, b"").await;
    assert_eq!((reply.status, reply.json()["revoked"].as_bool()), (200, Some(true)));
    let asked =
        ["invite None None".to_owned(), "invite Some(3) Some(60000)".into(), format!("uninvite {digest}")];
    assert_eq!(server.service.asked(), asked);
    for (body, code) in [(r#"{"uses":-1}"#, "invalid"), (r#"{"use":1}"#, "unknown_field"), ("[]", "invalid")]
    {
        let reply = client.ask("POST", "/v1/invitations", &json(OPERATOR), body.as_bytes()).await;
        assert_eq!(reply.code(), code, "{body}");
    }
    let reply = client.ask("DELETE", "/v1/invitations/x", OPERATOR, b"").await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "bad_id"));
}

#[tokio::test]
async fn neighbours_are_the_operators_to_see() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let peers = client.ask("GET", "/v1/peers", OPERATOR, b"").await.json();
    assert_eq!(
        (&peers["items"][0]["status"], &peers["items"][0]["transport"]),
        (&"admitted".into(), &"tcp".into())
    );
    assert_eq!(
        client.ask("GET", "/v1/peers", AGENT, b"").await.status,
        403,
        "addresses are the operator's to see"
    );
    let traffic = client.ask("GET", "/v1/traffic", OPERATOR, b"").await.json();
    assert_eq!((&traffic["lanes"]["blob"]["sent"], &traffic["tcp"]["received"]), (&5.into(), &3.into()));
    assert_eq!((&traffic["refused"]["sync_proof"], &traffic["requests"]["visit"]), (&4.into(), &6.into()));
    assert_eq!(client.ask("GET", "/v1/traffic", AGENT, b"").await.status, 403);
    let journals = client.ask("GET", "/v1/journals", OPERATOR, b"").await.json();
    assert_eq!(journals["items"][0]["held_up_to"], 7);
    let homes = client.ask("GET", "/v1/homes", AGENT, b"").await.json();
    assert_eq!(
        (&homes["items"][0]["answered_percent"], &homes["items"][0]["breach"]),
        (&90.into(), &().into())
    );
}

#[tokio::test]
async fn findings_are_the_operators_to_see() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let found = client.ask("GET", "/v1/doctor", OPERATOR, b"").await.json();
    let found = &found["items"][0];
    assert_eq!((&found["check"], &found["status"]), (&"disk_sync".into(), &"warn".into()));
    assert_eq!(
        (&found["value"], &found["advice"]),
        (&"p50 12.00 ms of 33 syncs".into(), &"Move the data directory to another disk".into())
    );
    for (who, status) in [(AGENT, 403), ("", 401)] {
        assert_eq!(client.ask("GET", "/v1/doctor", who, b"").await.status, status);
    }
}

#[tokio::test]
async fn a_node_is_expelled_with_a_reason_and_let_in_by_name() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let nodes = client.ask("GET", "/v1/nodes", AGENT, b"").await.json();
    assert_eq!((&nodes["items"][0]["status"], &nodes["items"][0]["entry"]), (&"member".into(), &7.into()));
    let did = fake::agent();
    let expel = format!("/v1/nodes/{did}/expel");
    let reply = client.ask("POST", &expel, &json(OPERATOR), br#"{"reason":"it lied"}"#).await;
    assert_eq!((reply.status, &reply.json()["status"]), (200, &"expelled".into()));
    let reply = client.ask("POST", &expel, &json(OPERATOR), b"{}").await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "invalid"), "a reason is wanted");
    let reply = client.ask("POST", &format!("/v1/nodes/{did}/admit"), OPERATOR, b"").await;
    assert_eq!(reply.status, 200);
    let refused = "refused operator invalid".to_owned();
    assert_eq!(server.service.asked(), [format!("expel {did} it lied"), refused, format!("admit {did}")]);
}

#[tokio::test]
async fn a_callers_trace_is_told_and_answered_where_traces_are_wanted() {
    const CONTEXT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let path = format!("/v1/tasks/{}", fake::task());
    let headers = format!("{AGENT}{CONTEXT}x-correlation-id: mine\r\n");
    let server = start(Options { traces: true, ..Options::default() }).await;
    let mut client = connect(server.address).await;
    let reply = client.ask("GET", &path, &headers, b"").await;
    let said = reply.header("traceresponse").expect("the request's own span");
    assert!(
        said.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && !said.contains("b7ad6b7169203331"),
        "{said}"
    );
    assert_eq!(server.service.asked(), ["trace mine true", "traced mine GET /v1/tasks/{id} 200"]);
    assert_eq!(client.ask("GET", &path, AGENT, b"").await.header("traceresponse"), None);
    assert!(server.service.asked().is_empty());

    let server = start(Options::default()).await;
    let reply = connect(server.address).await.ask("GET", &path, &headers, b"").await;
    assert_eq!((reply.status, reply.header("traceresponse")), (200, None));
    assert!(server.service.asked().is_empty(), "nobody wants traces, so nobody is told");
}
