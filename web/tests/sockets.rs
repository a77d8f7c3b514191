//! The WebSocket: who gets one, what a call on it answers, and what a slow, silent, hostile or greedy peer gets.

mod support;

use artel_web::{Options, Rate};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::client::{AGENT, OPERATOR, connect};
use support::fake::task;
use support::socket::{Said, Socket, UPGRADE, ask, frame};
use support::{PATIENCE, start};

const SHORT: Duration = Duration::from_millis(150);

/// The fake's task.
static TASK: LazyLock<String> = LazyLock::new(|| task().to_string());

fn code(said: &Value) -> (u64, &str) {
    assert!(said["data"]["correlation_id"].is_string(), "{said}");
    (said["status"].as_u64().expect("a status"), said["data"]["error"]["code"].as_str().expect("a code"))
}

#[tokio::test]
async fn only_who_asks_for_a_websocket_as_one_who_may_gets_one() {
    let server = start(Options::default()).await;
    for (headers, status, code) in [
        (AGENT.to_owned(), 426, "upgrade_required"),
        (format!("{UPGRADE}Authorization: Bearer nonsense\r\n"), 401, "bad_token"),
        (format!("{UPGRADE}Authorization: Bearer expired-token\r\n"), 401, "token_expired"),
        (format!("{UPGRADE}{AGENT}Origin: https://evil.example\r\n"), 403, "origin_not_allowed"),
        (format!("{UPGRADE}Origin: http://localhost:1\r\n"), 403, "origin_not_allowed"),
    ] {
        let mut client = connect(server.address).await;
        let reply = client.ask("GET", "/v1/agent/connect", &headers, b"").await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{headers}");
    }
    let (reply, _client) = ask(server.address, "Sec-WebSocket-Protocol: chat, artel.v1\r\n").await;
    assert_eq!((reply.status, reply.header("sec-websocket-protocol")), (101, Some("artel.v1")));
}

#[tokio::test]
async fn a_token_comes_in_the_head_or_in_the_first_message() {
    let server = start(Options::default()).await;
    let mut socket = Socket::open(server.address, AGENT).await;
    let welcome = socket.text().await;
    assert_eq!((&welcome["type"], &welcome["data"]["principal"]), (&json!("welcome"), &json!("agent")));
    let mut socket = Socket::open(server.address, "").await;
    let welcome = socket.ask(r#"{"type":"authenticate","token":"operator-token"}"#).await;
    assert_eq!((&welcome["type"], &welcome["data"]["principal"]), (&json!("welcome"), &json!("operator")));
    let again = socket.ask(r#"{"type":"authenticate","token":"operator-token"}"#).await;
    assert_eq!(code(&again), (422, "invalid"));

    for (first, refusal) in [
        (r#"{"type":"authenticate","token":"nonsense"}"#, "bad_token"),
        (r#"{"type":"authenticate","token":"expired-token"}"#, "token_expired"),
        (r#"{"type":"authenticate"}"#, "unauthenticated"),
        (r#"{"type":"claim_next","id":1}"#, "unauthenticated"),
        ("nonsense", "unauthenticated"),
    ] {
        let mut socket = Socket::open(server.address, "").await;
        let said = socket.ask(first).await;
        assert_eq!((&said["type"], code(&said).1), (&json!("error"), refusal), "{first}");
        assert_eq!(socket.closed().await, (1_008, refusal.into()));
    }
    assert!(server.service.asked().iter().all(|asked| asked != "claim next 0"), "no stranger has claimed");
}

#[tokio::test]
async fn a_silent_stranger_is_ended_and_a_large_one_at_once() {
    let server = start(Options { socket_unknown: SHORT, ..Options::default() }).await;
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(Socket::open(server.address, "").await);
    }
    let (reply, _) = ask(server.address, "").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "too_many_sockets"));
    // Whoever says who it is at once is no stranger, and gets one all the same.
    Socket::welcomed(server.address, AGENT).await;
    for socket in silent {
        assert_eq!(socket.closed().await, (1_008, "unauthenticated".into()));
    }
    let mut large = Socket::open(server.address, "").await;
    large.raw(&frame(0x81, &[b' '; 9_000])).await;
    assert_eq!(large.closed().await, (1_009, "message_too_large".into()));
}

#[tokio::test]
async fn a_call_answers_what_http_answers() {
    let server = start(Options::default()).await;
    let task_id = &*TASK;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    let mut client = connect(server.address).await;
    let correlated = format!("{AGENT}X-Correlation-Id: mine-1\r\nContent-Type: application/json\r\n");
    let submit = r#"{"epoch":1,"output":{"n":1.50},"claim_next":true}"#;
    let too_large = json!({"epoch": 1, "output": "x".repeat(300_000)}).to_string();
    for (kind, task, path, body) in [
        ("post", None, "/v1/tasks", r#"{"title":"a","reward":1.5}"#),
        ("post", None, "/v1/tasks", r#"{"title":"a","titel":"b"}"#),
        ("post", None, "/v1/tasks", r#"{"title":"a","reward":-1}"#),
        ("claim", Some(TASK.as_str()), "/claim", "{}"),
        (
            "claim",
            Some(TASK.as_str()),
            "/claim",
            r#"{"estimated_duration":3600,"agent_capabilities":["coding","research"]}"#,
        ),
        ("claim_next", None, "/v1/tasks/claim", "{}"),
        ("renew", Some(TASK.as_str()), "/renew", r#"{"epoch":1}"#),
        ("renew", Some(TASK.as_str()), "/renew", r#"{"epoch":-1}"#),
        ("renew", Some("nonsense"), "/renew", r#"{"epoch":1}"#),
        ("release", Some(TASK.as_str()), "/release", r#"{"epoch":1}"#),
        ("submit", Some(TASK.as_str()), "/submit", submit),
        ("submit", Some(TASK.as_str()), "/submit", &too_large),
    ] {
        let url = task.map_or(path.to_owned(), |task| format!("/v1/tasks/{task}{path}"));
        let over_http = client.ask("POST", &url, &correlated, body.as_bytes()).await;
        let noted_over_http = server.service.asked();
        let task = task.map(|task| format!(r#""task_id":"{task}","#)).unwrap_or_default();
        let said = socket
            .ask(&format!(r#"{{"type":"{kind}","id":"x",{task}"correlation_id":"mine-1","data":{body}}}"#))
            .await;
        assert_eq!((&said["type"], &said["id"]), (&json!("answer"), &json!("x")));
        assert_eq!(said["status"], over_http.status, "{kind} {body:.60} {said}");
        assert_eq!(server.service.asked(), noted_over_http, "the service saw the same");
        match over_http.status {
            204 => assert_eq!(said["correlation_id"], "mine-1"),
            _ => assert_eq!(said["data"], over_http.json(), "{kind} {body:.60}"),
        }
    }
    let shown = socket.ask(&format!(r#"{{"type":"show","id":2,"task_id":"{task_id}"}}"#)).await;
    let over_http = client
        .ask(
            "GET",
            &format!("/v1/tasks/{task_id}"),
            "X-Correlation-Id: x\r\nAuthorization: Bearer agent-token\r\n",
            b"",
        )
        .await;
    assert_eq!((&shown["id"], &shown["data"]["task_id"]), (&json!(2), &over_http.json()["task_id"]));
}

#[tokio::test]
async fn a_key_for_repeats_goes_with_the_post() {
    let server = start(Options::default()).await;
    let body = r#"{"title":"a"}"#;
    let headers = format!("{OPERATOR}Idempotency-Key: once\r\nContent-Type: application/json\r\n");
    connect(server.address).await.ask("POST", "/v1/tasks", &headers, body.as_bytes()).await;
    let over_http = server.service.asked();
    let mut socket = Socket::welcomed(server.address, OPERATOR).await;
    socket.ask(&format!(r#"{{"type":"post","id":1,"idempotency_key":"once","data":{body}}}"#)).await;
    assert_eq!(server.service.asked(), over_http, "key and digest are the same");
    let said =
        socket.ask(&format!(r#"{{"type":"post","id":1,"idempotency_key":"a b","data":{body}}}"#)).await;
    assert_eq!(code(&said), (400, "bad_idempotency_key"));
    let renew = r#"{"type":"renew","id":1,"idempotency_key":"once","data":{"epoch":1}}"#;
    assert_eq!(code(&socket.ask(renew).await), (400, "bad_idempotency_key"), "none takes it in silence");
}

#[tokio::test]
async fn calls_that_come_together_are_all_answered_and_one_that_waits_holds_up_none() {
    let task_id = &*TASK;
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    let mut sent = frame(0x81, br#"{"type":"claim_next","id":0,"data":{"wait_ms":20000}}"#);
    for id in 1..=300 {
        let text = format!(r#"{{"type":"renew","id":{id},"task_id":"{task_id}","data":{{"epoch":{id}}}}}"#);
        sent.extend(frame(0x81, text.as_bytes()));
    }
    // The last frame comes in two halves.
    let half = sent.len() - 40;
    socket.raw(&sent[..half]).await;
    let mut seen: Vec<u64> = Vec::new();
    for id in 1..=300 {
        if id == 300 {
            socket.raw(&sent[half..]).await;
        }
        let said = socket.text().await;
        assert_eq!((said["status"].as_u64(), &said["data"]["epoch"]), (Some(200), &said["id"]));
        seen.push(said["id"].as_u64().expect("an id"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=300).collect::<Vec<u64>>());
}

#[tokio::test]
async fn claims_that_wait_leave_room_for_results() {
    let task_id = &*TASK;
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    for id in 0..128 {
        socket.say(&format!(r#"{{"type":"claim_next","id":{id},"data":{{"wait_ms":20000}}}}"#)).await;
    }
    let said = socket.ask(r#"{"type":"claim_next","id":128,"data":{"wait_ms":20000}}"#).await;
    assert_eq!((&said["id"], code(&said)), (&json!(128), (503, "too_many_waiting")));
    let said = socket
        .ask(&format!(r#"{{"type":"renew","id":129,"task_id":"{task_id}","data":{{"epoch":1}}}}"#))
        .await;
    assert_eq!((&said["id"], &said["status"]), (&json!(129), &json!(200)));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_its_id_and_the_socket_stays() {
    let task_id = &*TASK;
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    let deep = format!(
        r#"{{"type":"post","id":7,"data":{{"title":"a","input":{}{}}}}}"#,
        "[".repeat(70),
        "]".repeat(70)
    );
    for (text, id, refusal) in [
        ("nonsense", Value::Null, (400, "not_json")),
        ("[1]", Value::Null, (422, "invalid")),
        (r#"{"type":"claim_next","id":7,"type":"post"}"#, Value::Null, (400, "duplicate_key")),
        (&deep, Value::Null, (400, "json_too_deep")),
        (r#"{"id":7}"#, json!(7), (422, "invalid")),
        (r#"{"type":"conquer","id":7}"#, json!(7), (422, "unknown_message")),
        (r#"{"type":"claim_next","id":7,"wait_ms":5}"#, json!(7), (422, "unknown_field")),
        (r#"{"type":"claim_next","id":7,"data":{"wait":5}}"#, json!(7), (422, "unknown_field")),
        (r#"{"type":"claim_next","id":7,"data":[1]}"#, json!(7), (422, "invalid")),
        (r#"{"type":"claim_next"}"#, Value::Null, (422, "invalid")),
        (r#"{"type":"claim_next","id":{}}"#, Value::Null, (422, "invalid")),
        (r#"{"type":"claim","id":7}"#, json!(7), (400, "bad_id")),
        (&format!(r#"{{"type":"renew","id":7,"task_id":"{task_id}"}}"#), json!(7), (422, "invalid")),
        (r#"{"type":"subscribe","id":7,"data":{"limit":0}}"#, json!(7), (422, "invalid")),
    ] {
        let said = socket.ask(text).await;
        assert_eq!((&said["id"], code(&said)), (&id, refusal), "{text:.80}");
    }
    let large = format!(
        r#"{{"type":"claim_next","id":8,"data":{{"agent_capabilities":["{}"]}}}}"#,
        "x".repeat(20_000)
    );
    assert_eq!(code(&socket.ask(&large).await), (413, "body_too_large"));
    let counted: Vec<String> = server.service.asked();
    assert_eq!(counted.len(), 15, "each is counted: {counted:?}");
    assert!(counted.iter().all(|word| word.starts_with("refused agent ")), "{counted:?}");
    let said =
        socket.ask(&format!(r#"{{"type":"renew","id":9,"task_id":"{task_id}","data":{{"epoch":1}}}}"#)).await;
    assert_eq!(said["status"], 200);
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_socket_with_a_reason() {
    let server = start(Options::default()).await;
    let mut ten_mb = frame(0x81, &[b' '; 10_000_000]);
    let announced = ten_mb[..14].to_vec();
    ten_mb.truncate(1 << 20);
    for (bytes, code, reason) in [
        (frame(0x82, b"\x01\x02"), 1_003, "binary_message"),
        (frame(0x81, b"\xff\xfe"), 1_007, "not_utf8"),
        (ten_mb, 1_009, "message_too_large"),
        (announced, 1_009, "message_too_large"),
        (b"\x81\x02{}".to_vec(), 1_002, "unmasked_frame"),
        (frame(0xc1, b"{}"), 1_002, "reserved_bit"),
        (frame(0x80, b"{}"), 1_002, "continuation_of_nothing"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1_002, "reserved_bit"),
        (frame(0x88, &[3, 232]), 1_000, "closed_by_peer"),
    ] {
        let mut socket = Socket::welcomed(server.address, AGENT).await;
        socket.raw(&bytes).await;
        assert_eq!(socket.closed().await, (code, reason.into()));
    }
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    socket.raw(&frame(0x89, b"same")).await;
    assert_eq!(socket.next().await, Said::Pong(b"same".to_vec()));
}

#[tokio::test]
async fn an_agent_has_its_rate_on_a_socket_too() {
    let agent_rate = Rate { per_second: 0.001, burst: 4 };
    let server = start(Options { agent_rate, ..Options::default() }).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    for id in 0..3 {
        assert_eq!(socket.ask(&format!(r#"{{"type":"claim_next","id":{id}}}"#)).await["status"], 204);
    }
    let said = socket.ask(r#"{"type":"claim_next","id":3}"#).await;
    assert_eq!((&said["id"], code(&said)), (&json!(3), (429, "rate_limited")));
    assert!(said["retry_after_s"].as_u64().is_some_and(|s| s > 0), "{said}");
    assert_eq!(
        connect(server.address).await.ask("GET", "/v1/agents/me", AGENT, b"").await.status,
        429,
        "one rate for both"
    );
}

#[tokio::test]
async fn events_come_as_they_happen() {
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, OPERATOR).await;
    let said = socket.ask(r#"{"type":"subscribe","id":1,"data":{"after":"41","limit":7}}"#).await;
    assert_eq!((&said["id"], &said["data"]), (&json!(1), &json!({"subscribed": true})));
    let event = socket.text().await;
    assert_eq!((&event["type"], &event["cursor"]), (&json!("event"), &json!("42")));
    assert_eq!(event["data"]["event_name"], "xyn.task.accepted");
    // It goes on behind what came, waiting.
    let mut asked = Vec::new();
    let begun = tokio::time::Instant::now();
    while asked.len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "it does not go on: {asked:?}");
        asked.extend(server.service.asked());
        tokio::task::yield_now().await;
    }
    assert_eq!(asked, [r#"events Some("41") 0 7"#, r#"events Some("43") 30000 7"#]);
    assert_eq!(socket.ask(r#"{"type":"unsubscribe","id":2}"#).await["data"], json!({"unsubscribed": true}));
    let said = socket.ask(r#"{"type":"subscribe","id":3,"data":{"after":"99"}}"#).await;
    assert_eq!((&said["id"], code(&said)), (&json!(3), (409, "cursor_ahead")));
}

#[tokio::test]
async fn a_node_that_fails_for_a_while_says_so_once_and_goes_on() {
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    let said = socket.ask(r#"{"type":"subscribe","id":1,"data":{"feed":"notices","after":"failing"}}"#).await;
    assert_eq!(said["data"], json!({"subscribed": true}));
    let said = socket.text().await;
    assert_eq!((&said["id"], code(&said)), (&Value::Null, (503, "journal_unavailable")));
    assert_eq!(socket.text().await["type"], "gap", "the subscription stands");

    let mut socket = Socket::welcomed(server.address, OPERATOR).await;
    let said = socket.ask(r#"{"type":"subscribe","id":1,"data":{"after":"41"}}"#).await;
    assert_eq!(said["data"], json!({"subscribed": true}));
    assert_eq!(socket.text().await["cursor"], "42");
    server.service.failing.store(true, Ordering::Relaxed);
    server.service.happens.add_permits(1);
    assert_eq!(socket.text().await["cursor"], "42");
    let said = socket.text().await;
    assert_eq!((&said["id"], code(&said)), (&Value::Null, (503, "overloaded")));
    server.service.failing.store(false, Ordering::Relaxed);
    server.service.happens.add_permits(1);
    assert_eq!(socket.text().await["type"], "event", "it goes on where it was");
}

#[tokio::test]
async fn a_result_is_handed_in_whose_sender_goes_right_behind_it() {
    let task_id = &*TASK;
    let server = start(Options::default()).await;
    for (output, data) in [("1", r#""epoch":1"#), ("2", r#""epoch":1,"claim_next":{"wait_ms":20000}"#)] {
        for says_goodbye in [true, false] {
            let mut socket = Socket::welcomed(server.address, AGENT).await;
            let text = format!(
                r#"{{"type":"submit","id":1,"task_id":"{task_id}","data":{{"output":{output},{data}}}}}"#
            );
            let mut sent = frame(0x81, text.as_bytes());
            if says_goodbye {
                sent.extend(frame(0x88, &[3, 232]));
            }
            socket.raw(&sent).await;
            drop(socket);
            let begun = std::time::Instant::now();
            while !server.service.asked().iter().any(|asked| asked.starts_with(&format!("submit {output}"))) {
                assert!(begun.elapsed() < PATIENCE, "{data} {says_goodbye}");
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn large_results_that_wait_for_a_task_hold_up_none() {
    let task_id = &*TASK;
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    let output = "x".repeat(250_000);
    // Of 4 MiB sixteen are taken that wait.
    for id in 0..=16 {
        let text = format!(
            r#"{{"type":"submit","id":{id},"task_id":"{task_id}","data":{{"epoch":1,"output":"{output}","claim_next":{{"wait_ms":20000}}}}}}"#
        );
        socket.say(&text).await;
    }
    let said = socket.text().await;
    assert_eq!((&said["id"], &said["status"]), (&json!(16), &json!(200)), "one more does not wait");
    let renew = format!(r#"{{"type":"renew","id":17,"task_id":"{task_id}","data":{{"epoch":1}}}}"#);
    assert_eq!(socket.ask(&renew).await["id"], 17);
}

#[tokio::test]
async fn a_message_that_takes_for_ever_ends_the_socket() {
    let server = start(Options { body_idle: SHORT, ..Options::default() }).await;
    for bytes in [&frame(0x81, b"{}")[..7], &frame(0x01, b"{}")] {
        let mut socket = Socket::welcomed(server.address, AGENT).await;
        socket.raw(bytes).await;
        assert_eq!(socket.closed().await, (1_008, "slow_message".into()));
    }
}

#[tokio::test]
async fn a_silent_peer_is_pinged_and_then_ended() {
    let server = start(Options { socket_quiet: SHORT, socket_silent: SHORT * 4, ..Options::default() }).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    assert_eq!(socket.next().await, Said::Ping);
    socket.raw(&frame(0x8a, b"")).await;
    assert_eq!(socket.next().await, Said::Ping, "whoever answers is kept");
    assert_eq!(socket.closed().await, (1_008, "silent".into()));
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_and_one_that_asks_too_much_is_not_read() {
    let task_id = &*TASK;
    let server = start(Options { write: SHORT, ..Options::default() }).await;
    let mut socket = Socket::welcomed(server.address, OPERATOR).await;
    let text = format!(r#"{{"type":"show","id":1,"task_id":"{task_id}"}}"#);
    let many = frame(0x81, text.as_bytes()).repeat(1_000);
    let begun = std::time::Instant::now();
    // It takes no answers, so at some point nothing more is taken of it, and then it is cut.
    while tokio::time::timeout(PATIENCE, socket.try_raw(&many)).await.expect("read, or cut") {
        assert!(begun.elapsed() < PATIENCE * 3, "it was read for ever");
    }
}

#[tokio::test]
async fn at_shutdown_waits_end_and_the_socket_is_told() {
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    socket.say(r#"{"type":"claim_next","id":1,"data":{"wait_ms":20000}}"#).await;
    while !server.service.asked().contains(&"claim next 20000".to_owned()) {
        tokio::task::yield_now().await;
    }
    server.closing.cancel();
    assert_eq!(socket.text().await["status"], 204, "the wait ended with none");
    assert_eq!(socket.closed().await, (1_001, "shutting_down".into()));
}

#[tokio::test]
async fn at_shutdown_what_was_asked_is_answered_first() {
    let server = start(Options { answer: SHORT, ..Options::default() }).await;
    let mut socket = Socket::welcomed(server.address, OPERATOR).await;
    socket.say(r#"{"type":"post","id":1,"data":{"title":"slow"}}"#).await;
    while server.service.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    server.closing.cancel();
    assert_eq!(code(&socket.text().await), (504, "timeout"));
    assert_eq!(socket.closed().await, (1_001, "shutting_down".into()));
}

#[tokio::test]
async fn notices_come_behind_a_cursor_and_a_credential_that_fell_ends_the_socket() {
    let server = start(Options::default()).await;
    let mut socket = Socket::welcomed(server.address, AGENT).await;
    let subscribe = |id: u32, after: &str| {
        format!(r#"{{"type":"subscribe","id":{id},"data":{{"feed":"notices","after":"{after}"}}}}"#)
    };
    assert_eq!(code(&socket.ask(&subscribe(1, "ahead")).await), (409, "cursor_ahead"));
    assert_eq!(socket.ask(&subscribe(2, "5")).await["data"], json!({"subscribed": true}));
    assert_eq!(socket.text().await, json!({"type": "gap", "data": {"from_entry": 3, "to_entry": 9}}));
    let notice = socket.text().await;
    assert_eq!((&notice["type"], &notice["cursor"]), (&json!("task_available"), &json!("57.ab")));
    let said = socket.ask(r#"{"type":"acknowledge","id":3,"data":{"up_to":"57.ab"}}"#).await;
    assert_eq!(said["data"]["read_up_to"], "57.ab");
    for (data, refusal) in [
        (r#"{"feed":"notices","run_id":"x"}"#, (422, "invalid")),
        (r#"{"types":["quality"]}"#, (422, "invalid")),
        (r#"{"feed":"notices","types":["fame"]}"#, (422, "invalid")),
    ] {
        let said = socket.ask(&format!(r#"{{"type":"subscribe","id":4,"data":{data}}}"#)).await;
        assert_eq!(code(&said), refusal, "{data}");
    }
    socket.say(&subscribe(5, "revoked")).await;
    assert_eq!(socket.closed().await, (1_008, "token_revoked".into()));

    let mut operator = Socket::welcomed(server.address, OPERATOR).await;
    assert_eq!(code(&operator.ask(&subscribe(1, "5")).await), (403, "agents_only"));
}
