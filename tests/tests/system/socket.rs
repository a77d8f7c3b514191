//! The WebSocket of a real node: many that stay, strangers that send nothing, readers that do not read, and what each hostile
//! message gets while others work on.

use crate::{amount, artel, fresh};
use artel_tests::socket::{Said, Socket, frame};
use artel_tests::{Agent, Node, agent, wait};
use serde_json::{Value, json};

const TASKS: usize = 20;

fn claim_next() -> Value {
    json!({"type": "claim_next", "id": "claim", "data": {"wait_ms": 20_000}})
}

/// Posts tasks and does them, all on one socket of each side.
fn work(node: &Node, token: &str, count: usize) {
    let (mut poster, mut worker) =
        (Socket::open(node.address(), &node.operator_token()), Socket::open(node.address(), token));
    for number in 0..count {
        let task = agent::task(&format!("t{number}"), &["coding"], 1);
        poster.say(&json!({"type": "post", "id": number, "data": task}));
    }
    for _ in 0..count {
        assert_eq!(poster.message()["status"], 201);
    }
    let mut lease = worker.ask(&claim_next())["data"].clone();
    for left in (0..count).rev() {
        let next = if left > 0 { json!({"wait_ms": 20_000}) } else { Value::Null };
        let said = worker.ask(&json!({
            "type": "submit", "id": 1, "task_id": lease["task_id"],
            "data": {"epoch": lease["epoch"], "output": {}, "claim_next": next},
        }));
        assert_eq!(
            (&said["status"], &said["data"]["receipt"]["accepted"]),
            (&json!(200), &json!(true)),
            "{said}"
        );
        lease = said["data"]["next"].clone();
    }
}

/// Proportional memory of the node, in kilobytes.
fn memory_kb(node: &Node) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", node.pid())).expect("of our child");
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).expect("a sum");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

#[test]
fn a_thousand_sockets_stay_and_cost_little() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).set("enrollments_per_minute", 100_000).start();
    let worker = Agent::enroll(&node, "worker", &["coding"]);
    let agents: Vec<Agent> = (0..63).map(|n| Agent::enroll(&node, &format!("a{n}"), &["coding"])).collect();
    work(&node, &worker.token, TASKS);
    let open = |count: usize| -> Vec<Socket> {
        (0..count).map(|n| Socket::open(node.address(), &agents[n % agents.len()].token)).collect()
    };
    // What the first ones take stays with the node whoever comes after.
    drop(open(500));
    let (before, count) = (memory_kb(&node), amount("ARTEL_TEST_SOCKETS", 1_000));
    let mut sockets = open(count.min(1_000));
    let each = (memory_kb(&node) as f64 - before as f64) / sockets.len() as f64;
    println!("{} idle sockets: {each:.1} KB each", sockets.len());
    assert!(each <= 5.0, "an idle socket takes {each:.1} KB");
    work(&node, &worker.token, TASKS);
    for (n, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(socket.ask(&json!({"type": "claim_next", "id": n}))["status"], 204, "it stayed");
    }
    let mut one_more: Vec<Result<Socket, u16>> = Vec::new();
    let headers = format!("authorization: Bearer {}\r\n", worker.token);
    for _ in 0..17 {
        one_more.push(Socket::try_open(node.address(), &headers).expect("a connection"));
    }
    assert!(matches!(one_more.last(), Some(Err(503))), "one agent has only so many");
    for socket in sockets.drain(..) {
        socket.cut();
    }
    node.stop();
}

#[test]
fn silent_strangers_shut_nobody_out() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let worker = Agent::enroll(&node, "ada", &["coding"]);
    let mut silent = Vec::new();
    let mut refused = 0;
    for _ in 0..amount("ARTEL_TEST_SILENT_SOCKETS", 600) {
        match Socket::try_open(node.address(), "") {
            Ok(Ok(socket)) => silent.push(socket),
            Ok(Err(status)) => {
                assert_eq!(status, 503);
                refused += 1;
            }
            Err(_) => refused += 1,
        }
    }
    println!("{} silent strangers held, {refused} refused", silent.len());
    assert!(silent.len() <= 256 && refused > 0, "{} silent strangers", silent.len());
    work(&node, &worker.token, TASKS);
    for socket in silent {
        assert_eq!(socket.closed(), (1_008, "unauthenticated".into()));
    }
    node.stop();
}

#[test]
fn hostile_messages_harm_nobody_else() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let (ada, eve) = (Agent::enroll(&node, "ada", &["coding"]), Agent::enroll(&node, "eve", &["coding"]));
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        let headers = format!("authorization: Bearer {}\r\norigin: {origin}\r\n", eve.token);
        assert!(matches!(Socket::try_open(node.address(), &headers), Ok(Err(403))), "{origin}");
    }
    let open = || Socket::open(node.address(), &eve.token);
    let mut large = frame(0x81, &[b' '; 10_000_000]);
    large.truncate(1 << 16);
    for (bytes, code, reason) in [
        (large, 1_009, "message_too_large"),
        (frame(0x82, b"\x00\x01"), 1_003, "binary_message"),
        (frame(0x81, b"\xff"), 1_007, "not_utf8"),
        (b"\x81\x02{}".to_vec(), 1_002, "unmasked_frame"),
    ] {
        let mut socket = open();
        socket.raw(&bytes).expect("the node reads");
        assert_eq!(socket.closed(), (code, reason.into()));
    }
    let mut socket = open();
    for (text, code) in [
        ("nonsense", "not_json"),
        (r#"{"type":"claim_next","id":1,"bogus":1}"#, "unknown_field"),
        (r#"{"type":"rule","id":1}"#, "unknown_message"),
    ] {
        socket.raw(&frame(0x81, text.as_bytes())).expect("the node reads");
        assert_eq!(socket.message()["data"]["error"]["code"], code, "{text}");
    }

    // Ada's cursor is not Eve's, and nobody's is of the future.
    work(&node, &ada.token, TASKS);
    let mut of_ada = Socket::open(node.address(), &ada.token);
    of_ada.say(&json!({"type": "subscribe", "id": 1, "data": {"feed": "notices", "types": ["quality"]}}));
    let cursor = of_ada.message_of("quality")["cursor"].as_str().expect("a cursor").to_owned();
    let mine = cursor.split_once('.').expect("two parts").1;
    let subscribe =
        |after: &str| json!({"type": "subscribe", "id": 1, "data": {"feed": "notices", "after": after}});
    assert_eq!(socket.ask(&subscribe(&cursor))["data"]["error"]["code"], "cursor_foreign");
    let mut again = Socket::open(node.address(), &ada.token);
    let future = format!("99999999.{mine}");
    assert_eq!(again.ask(&subscribe(&future))["data"]["error"]["code"], "cursor_ahead");
    let events = json!({"type": "subscribe", "id": 1, "data": {"after": "99999999"}});
    assert_eq!(again.ask(&events)["data"]["error"]["code"], "cursor_ahead");
    node.stop();
}

#[test]
fn a_token_that_is_revoked_ends_its_sockets_at_once() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let (ada, bob) = (Agent::enroll(&node, "ada", &["coding"]), Agent::enroll(&node, "bob", &["coding"]));
    let silent = Socket::open(node.address(), &ada.token);
    let mut waiting = Socket::open(node.address(), &ada.token);
    waiting.say(&claim_next());
    let mut other = Socket::open(node.address(), &bob.token);
    node.operator().post(&format!("/v1/agents/{}/revoke", ada.did), &json!({})).is(200);
    assert_eq!(silent.closed(), (1_008, "agent_revoked".into()));
    assert_eq!(waiting.closed(), (1_008, "agent_revoked".into()));
    let headers = format!("authorization: Bearer {}\r\n", ada.token);
    assert!(matches!(Socket::try_open(node.address(), &headers), Ok(Err(403))));
    assert_eq!(other.ask(&json!({"type": "claim_next", "id": 1}))["status"], 204, "nobody else notices");
    // Who enrolls again has another token; the old one is over.
    Agent::enroll(&node, "bob", &["coding"]);
    assert_eq!(other.closed(), (1_008, "token_revoked".into()));
    node.stop();
}

#[test]
fn a_subscriber_that_never_reads_holds_up_nobody_and_loses_nothing() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let ada = Agent::enroll(&node, "ada", &["coding"]);
    let mut deaf = Socket::open(node.address(), &node.operator_token());
    deaf.say(&json!({"type": "subscribe", "id": 1, "data": {"after": "now", "limit": 200}}));
    let mut deaf_agent = Socket::open(node.address(), &ada.token);
    deaf_agent.say(&json!({"type": "subscribe", "id": 1, "data": {"feed": "notices"}}));
    let before = memory_kb(&node);
    let count = amount("ARTEL_TEST_UNREAD_TASKS", 1_500);
    work(&node, &ada.token, count);
    println!("{count} tasks beside two who never read: {} KB more", memory_kb(&node).saturating_sub(before));
    // What it was sent before it was cut, or what it still reads, is a part without a hole; the rest comes from the cursor.
    let mut seen: Vec<u64> = Vec::new();
    let read = |socket: &mut Socket, seen: &mut Vec<u64>| {
        while seen.len() < count {
            match socket.heard() {
                Said::Message(said) if said["type"] == "event" => {
                    if said["data"]["event_name"] == "xyn.task.accepted" {
                        seen.push(said["data"]["entry"].as_u64().expect("an entry"));
                    }
                }
                Said::Message(_) => {}
                Said::Closed(..) | Said::Gone => return,
            }
        }
    };
    read(&mut deaf, &mut seen);
    if seen.len() < count {
        let after = seen.last().map_or("0".to_owned(), u64::to_string);
        let mut again = Socket::open(node.address(), &node.operator_token());
        again.say(&json!({"type": "subscribe", "id": 1, "data": {"after": after, "event_name": "xyn.task.accepted"}}));
        read(&mut again, &mut seen);
    }
    assert_eq!(seen.len(), count);
    assert!(seen.is_sorted_by(|a, b| a < b), "each once and in order");

    let mut qualities = 0;
    let mut cursor = Value::Null;
    while qualities < count {
        match deaf_agent.heard() {
            Said::Message(said) => {
                qualities += usize::from(said["type"] == "quality");
                if !said["cursor"].is_null() {
                    cursor = said["cursor"].clone();
                }
            }
            Said::Closed(..) | Said::Gone => {
                deaf_agent = Socket::open(node.address(), &ada.token);
                deaf_agent.say(
                    &json!({"type": "subscribe", "id": 1, "data": {"feed": "notices", "after": cursor}}),
                );
            }
        }
    }
    assert_eq!(qualities, count);
    node.stop();
}

#[test]
fn what_was_acknowledged_stays_so_over_a_restart() {
    let dir = fresh();
    let data = dir.path().join("node");
    let node = artel().up(&data).start();
    let mut ada = Agent::enroll(&node, "ada", &["coding"]);
    work(&node, &ada.token, 2);
    let mut socket = Socket::open(node.address(), &ada.token);
    socket.say(&json!({"type": "subscribe", "id": 1, "data": {"feed": "notices", "types": ["earning"]}}));
    let first = socket.message_of("earning")["cursor"].clone();
    let second = socket.message_of("earning");
    socket.say(&json!({"type": "acknowledge", "id": 2, "data": {"up_to": first}}));
    assert_eq!(socket.message_of("answer")["data"]["read_up_to"], first);
    node.kill();
    let node = artel().up(&data).start();
    ada.http.move_to(node.address());
    let unread = wait::until("the index", || {
        let answer = ada.http.get("/v1/notifications?type=earning");
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(unread["read_up_to"], first);
    assert_eq!(unread["items"].as_array().map(Vec::len), Some(1), "{unread}");
    assert_eq!(
        (&unread["items"][0]["cursor"], &unread["items"][0]["data"]),
        (&second["cursor"], &second["data"])
    );
    ada.http.post("/v1/notifications/mark-read", &json!({"up_to": "now"})).is(200);
    assert_eq!(ada.http.get("/v1/notifications").is(200)["items"], json!([]));
    node.stop();
}

#[test]
fn at_its_stop_a_node_says_so() {
    let dir = fresh();
    let node = artel().up(&dir.path().join("node")).start();
    let ada = Agent::enroll(&node, "ada", &["coding"]);
    let mut socket = Socket::open(node.address(), &ada.token);
    socket.say(&claim_next());
    // What is answered behind it shows that the node has read it: one that it has not is not answered any more.
    socket.say(&json!({"type": "subscribe", "id": 2, "data": {"feed": "notices"}}));
    assert_eq!(socket.message_of("answer")["id"], 2);
    let stopped = std::thread::spawn(move || node.stop());
    assert_eq!(socket.message_of("answer")["status"], 204, "a wait ends with none");
    assert_eq!(socket.closed(), (1_001, "shutting_down".into()));
    stopped.join().expect("it stops");
}
