//! What bad input gets, over HTTP: each row has a stable code and status, a sentence, and changes nothing. The journal
//! gains no entry but the refusals that are counted together.

use crate::{artel, fresh};
use artel_tests::agent::{claim, key_of, post, sign, submit, task};
use artel_tests::{Agent, Client, Node, Request, wait};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

/// A node with somebody to be refused.
struct World {
    node: Node,
    operator: Client,
    /// Can do `text`.
    able: Agent,
    /// Can do nothing that is asked for.
    unable: Agent,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let (able, unable) =
        (Agent::enroll(&node, "able", &["text"]), Agent::enroll(&node, "unable", &["other"]));
    World { operator: node.operator(), able, unable, node, _dir: dir }
}

impl World {
    /// Every entry of the journal but the counted refusals.
    fn entries(&mut self) -> usize {
        let all = artel_tests::all_pages(&mut self.operator, "/v1/audit/entries");
        all.iter().filter(|entry| entry["kind"] != "Refused").count()
    }

    /// Sends rows of bad requests; each must be refused as it says and leave nothing behind.
    #[track_caller]
    fn refuses(&mut self, rows: &[(&str, Request, u16, &str)]) {
        let before = self.entries();
        for (what, request, status, code) in rows {
            let answer = self.operator.send(request);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (*status, *code),
                "{what}: {}",
                String::from_utf8_lossy(&answer.body)
            );
            let json = answer.json();
            let message = json["error"]["message"].as_str().unwrap_or_default();
            assert!(message.len() > 15, "{what}: no sentence that helps: {message:?}");
            assert!(!message.contains("panicked") && !message.contains("src/"), "{what}: {message}");
            assert_eq!(json["correlation_id"].as_str(), answer.header("x-correlation-id"), "{what}");
            assert_eq!(self.entries(), before, "{what} left an entry");
        }
    }
}

fn ask(agent: &str) -> Value {
    json!({"agent_name": agent, "public_key": key_of(agent).public().did(), "metadata": {"capabilities": ["text"]}})
}

fn respond(id: &Value, signature: &str) -> Request {
    let path = format!("/v1/enroll/{}/respond", id.as_str().expect("an id"));
    Request::post(&path, &json!({"signature": signature}))
}

#[test]
fn a_wrong_answer_to_a_challenge_enrolls_nobody() {
    let mut world = world();
    let key = key_of("newcomer");
    let foreign_dir = fresh();
    let foreign = artel().up(foreign_dir.path()).start();
    let foreign_challenge = foreign.anonymous().post("/v1/enroll", &ask("newcomer")).is(201);
    let foreign_text = foreign_challenge["challenge"].as_str().expect("a text").to_owned();
    type Wrong<'a> = (&'a str, Box<dyn Fn(&str) -> String + 'a>);
    let wrong: Vec<Wrong<'_>> = vec![
        ("another key's", Box::new(|text: &str| sign(&key_of("somebody else"), text))),
        ("a truncated text's", Box::new(|text: &str| sign(&key, &text[..text.len() - 1]))),
        ("an extended text's", Box::new(|text: &str| sign(&key, &format!("{text}\n")))),
        ("another node's text's", Box::new(|_: &str| sign(&key, &foreign_text))),
        ("no signature's", Box::new(|_: &str| URL_SAFE_NO_PAD.encode([0; 64]))),
        ("no base64", Box::new(|_: &str| "!!!".to_owned())),
        ("an empty text", Box::new(|_: &str| String::new())),
        ("a short signature", Box::new(|text: &str| sign(&key, text)[..80].to_owned())),
        ("a long signature", Box::new(|text: &str| format!("{}AAAA", sign(&key, text)))),
    ];
    for (what, answer) in wrong {
        let challenge = world.node.anonymous().post("/v1/enroll", &ask("newcomer")).is(201);
        let text = challenge["challenge"].as_str().expect("a text");
        let id = &challenge["enrollment_id"];
        world.refuses(&[
            (what, respond(id, &answer(text)), 403, "bad_signature"),
            ("the right answer behind a wrong one", respond(id, &sign(&key, text)), 404, "challenge_unknown"),
        ]);
    }
    let challenge = world.node.anonymous().post("/v1/enroll", &ask("newcomer")).is(201);
    let (id, text) = (&challenge["enrollment_id"], challenge["challenge"].as_str().expect("a text"));
    // None of these is an answer to it: it is open all the while.
    let path = format!("/v1/enroll/{}/respond", id.as_str().expect("an id"));
    world.refuses(&[
        ("no text", Request::post(&path, &json!({"signature": null})), 422, "invalid"),
        ("no answer in it", Request::post(&path, &json!({})), 422, "invalid"),
        (
            "another node's challenge",
            respond(&foreign_challenge["enrollment_id"], &sign(&key, &foreign_text)),
            404,
            "challenge_unknown",
        ),
        ("no id", respond(&json!("nonsense"), &sign(&key, text)), 400, "bad_id"),
    ]);
    world.node.anonymous().send(&respond(id, &sign(&key, text))).is(200);
    world.refuses(&[("the same answer again", respond(id, &sign(&key, text)), 404, "challenge_unknown")]);
    for (what, body) in [
        (
            "another kind of key",
            json!({"agent_name": "x", "public_key": "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc"}),
        ),
        ("a key that is none", json!({"agent_name": "x", "public_key": "did:web:example.org"})),
        (
            "a skill that is none",
            json!({"agent_name": "x", "public_key": key_of("x").public().did(), "metadata": {"capabilities": ["no skill!"]}}),
        ),
        (
            "no capacity",
            json!({"agent_name": "x", "public_key": key_of("x").public().did(), "metadata": {"capacity": 0}}),
        ),
        ("too long a name", json!({"agent_name": "x".repeat(256), "public_key": key_of("x").public().did()})),
    ] {
        let answer = world.node.anonymous().post("/v1/enroll", &body);
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid"), "{what}");
    }
}

#[test]
fn a_challenge_does_not_survive_a_restart() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let challenge = node.anonymous().post("/v1/enroll", &ask("newcomer")).is(201);
    let text = challenge["challenge"].as_str().expect("a text");
    for line in [node.federation(), &key_of("newcomer").public().did()] {
        assert!(text.contains(line), "{line} is not in what is to be signed: {text}");
    }
    node.kill();
    let node = artel().up(dir.path()).start();
    let answer =
        node.anonymous().send(&respond(&challenge["enrollment_id"], &sign(&key_of("newcomer"), text)));
    answer.refused(404, "challenge_unknown");
}

/// A token with changed claims, signed by a key.
fn forge(
    token: &str,
    key: &artel_protocol::key::SecretKey,
    change: impl Fn(&mut Value, &mut Value),
) -> String {
    let part = |i: usize| -> Value {
        let text = token.split('.').nth(i).expect("three parts");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
    };
    let (mut header, mut claims) = (part(0), part(1));
    change(&mut header, &mut claims);
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    format!("{signed}.{}", sign(key, &signed))
}

#[test]
fn a_bad_token_opens_nothing() {
    let mut world = world();
    let token = world.able.token.clone();
    let pem = std::fs::read_to_string(world.node.data().join("token.key")).expect("the token key");
    let right = artel_protocol::key::SecretKey::from_pem(&pem).expect("a key");
    let foreign_dir = fresh();
    let foreign_node = artel().up(foreign_dir.path()).start();
    let foreign = Agent::enroll(&foreign_node, "able", &["text"]).token;
    let unchanged = forge(&token, &right, |_, _| ());
    Client::new(world.node.address()).with_bearer(&unchanged).get("/v1/agents/me").is(200);
    let with = |token: &str| Request::get("/v1/agents/me").bearer(token);
    let mut none = forge(&token, &right, |header, _| header["alg"] = json!("none"));
    none.truncate(none.rfind('.').expect("a signature") + 1);
    let changed = |change: &dyn Fn(&mut Value, &mut Value)| with(&forge(&token, &right, change));
    world.refuses(&[
        ("garbage", with("garbage"), 401, "bad_token"),
        ("no scheme", Request::get("/v1/agents/me").header("authorization", &token), 401, "unauthenticated"),
        (
            "another scheme",
            Request::get("/v1/agents/me").header("authorization", "Basic YTpi"),
            401,
            "unauthenticated",
        ),
        ("forged by another key", with(&forge(&token, &key_of("thief"), |_, _| ())), 401, "bad_token"),
        ("of another node", with(&foreign), 401, "bad_token"),
        ("not signed", with(&none), 401, "bad_token"),
        ("by another algorithm", changed(&|header, _| header["alg"] = json!("HS256")), 401, "bad_token"),
        ("expired", changed(&|_, claims| claims["exp"] = json!(1_700_000_000)), 401, "token_expired"),
        (
            "for another federation",
            changed(&|_, claims| claims["aud"] = json!("0".repeat(64))),
            401,
            "bad_token",
        ),
        (
            "from another issuer",
            changed(&|_, claims| claims["iss"] = json!(key_of("n").public().did())),
            401,
            "bad_token",
        ),
        ("of an agent that is none", changed(&|_, claims| claims["sub"] = json!("nobody")), 401, "bad_token"),
        ("truncated", with(&token[..token.len() - 3]), 401, "bad_token"),
        ("too long", with(&"x".repeat(5_000)), 401, "unauthenticated"),
    ]);
    let stranger = key_of("never enrolled").public().did();
    let answer = world.operator.send(&changed(&|_, claims| claims["sub"] = json!(stranger)));
    assert_eq!(answer.status, 401, "{answer:?}");

    let old = world.able.token.clone();
    let verified = world.able.http.get("/v1/auth/verify").is(200);
    let statement = artel_federation_statement(&verified, "rotate");
    let body = json!({"statement": URL_SAFE_NO_PAD.encode(&statement), "signature": sign(&world.able.key, &statement)});
    let fresh_token =
        world.able.http.post("/v1/auth/rotate", &body).is(200)["token"].as_str().expect("a token").to_owned();
    let again = Request::post("/v1/auth/rotate", &body).bearer(&fresh_token);
    world.refuses(&[
        ("stale", with(&old), 401, "token_revoked"),
        ("a statement of the last serial", again, 422, "bad_statement"),
    ]);
    let mut able = Client::new(world.node.address()).with_bearer(&fresh_token);
    let verified = able.get("/v1/auth/verify").is(200);
    let statement = artel_federation_statement(&verified, "revoke");
    let forged = json!({"statement": URL_SAFE_NO_PAD.encode(&statement), "signature": sign(&key_of("thief"), &statement)});
    world.refuses(&[(
        "a thief's",
        Request::post("/v1/auth/revoke", &forged).bearer(&fresh_token),
        403,
        "bad_signature",
    )]);
    let body = json!({"statement": URL_SAFE_NO_PAD.encode(&statement), "signature": sign(&world.able.key, &statement)});
    let revoked = able.post("/v1/auth/revoke", &body);
    assert!([200, 204].contains(&revoked.status), "{revoked:?}");
    world.refuses(&[("revoked", with(&fresh_token), 401, "token_revoked")]);

    let did = world.unable.did.clone();
    world.operator.post(&format!("/v1/agents/{did}/revoke"), &json!({})).is(200);
    let gone = world.unable.http.get("/v1/agents/me");
    assert!([401, 403].contains(&gone.status), "{gone:?}");
    let challenge = world.node.anonymous().post("/v1/enroll", &ask("unable"));
    challenge.refused(403, "agent_revoked");
}

/// The text that an agent signs to rotate or revoke its token, as the protocol's document has it.
fn artel_federation_statement(verified: &Value, act: &str) -> String {
    use artel_federation::member::{Identity, OwnAct, statement_text};
    use artel_protocol::id::FederationId;
    use artel_protocol::key::{AgentId, NodeId};
    let text = |field: &str| verified[field].as_str().expect("text").to_owned();
    let identity = Identity {
        node: NodeId::from_did(&text("node_id")).expect("a did"),
        federation: FederationId::parse(&text("federation_id")).expect("an id"),
    };
    let agent = AgentId::from_did(&text("agent_id")).expect("a did");
    let act = if act == "rotate" { OwnAct::Rotate } else { OwnAct::Revoke };
    let serial = u32::try_from(verified["serial"].as_u64().expect("a serial")).expect("a small one");
    statement_text(&identity, &agent, act, serial)
}

#[test]
fn a_body_that_is_none_is_refused_before_anything_happens() {
    let mut world = world();
    let raw =
        |body: &[u8]| Request::new("POST", "/v1/tasks").header("content-type", "application/json").body(body);
    let deep = format!("{{\"title\":\"t\",\"input\":{}1{}}}", "[".repeat(70), "]".repeat(70));
    let large = format!("{{\"title\":\"t\",\"description\":\"{}\"}}", "x".repeat(600 << 10));
    let good = task("t", &["text"], 1).to_string();
    world.refuses(&[
        ("too large", raw(large.as_bytes()), 413, "body_too_large"),
        ("too deep", raw(deep.as_bytes()), 400, "json_too_deep"),
        ("not JSON", raw(b"{\"title\": "), 400, "not_json"),
        ("nothing", raw(b""), 400, "not_json"),
        ("two values", raw(b"{\"title\":\"t\"} {}"), 400, "not_json"),
        ("not UTF-8", raw(b"{\"title\":\"\xff\xfe\"}"), 400, "not_utf8"),
        ("no object", raw(b"[1,2]"), 422, "invalid"),
        ("an unknown field", raw(br#"{"title":"t","rewards":1}"#), 422, "unknown_field"),
        (
            "an unknown field deeper in",
            raw(br#"{"title":"t","requirements":{"skills":[]}}"#),
            422,
            "unknown_field",
        ),
        ("a key twice", raw(br#"{"title":"t","title":"u"}"#), 400, "duplicate_key"),
        ("a wrong kind of value", raw(br#"{"title":7}"#), 422, "invalid"),
        ("no title", raw(br#"{"reward":1}"#), 422, "invalid"),
        (
            "another media type",
            Request::new("POST", "/v1/tasks").header("content-type", "text/plain").body(good.clone()),
            415,
            "unsupported_media_type",
        ),
        (
            "a bad idempotency key",
            raw(good.as_bytes()).header("idempotency-key", &"k".repeat(129)),
            400,
            "bad_idempotency_key",
        ),
        ("no such path", Request::get("/v1/nonsense"), 404, "route_unknown"),
        ("no such method", Request::new("DELETE", "/v1/tasks"), 405, "method_not_allowed"),
        ("another host", Request::get("/v1/tasks").header("host", "evil.example"), 403, "host_not_allowed"),
        (
            "another origin",
            Request::get("/v1/tasks").header("origin", "https://evil.example"),
            403,
            "origin_not_allowed",
        ),
        ("an id that is none", Request::get("/v1/tasks/nonsense"), 400, "bad_id"),
        (
            "an id of nothing",
            Request::get("/v1/tasks/01890a5d-ac96-774b-bcce-b302099a8001"),
            404,
            "not_found",
        ),
    ]);
    let suggests = world.operator.send(&raw(br#"{"title":"t","rewards":1}"#)).json();
    assert!(suggests["error"]["message"].as_str().expect("a sentence").contains("\"reward\""), "{suggests}");
    let before = world.entries();
    let cut = cut_short(&world.node, &good);
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 400"), "{cut}");
    assert_eq!(world.entries(), before, "half a body posted a task");
}

/// Announces a whole body, sends half of it and stops; answers with what comes back.
fn cut_short(node: &Node, body: &str) -> String {
    let mut socket = TcpStream::connect(node.address()).expect("the node listens");
    socket.set_read_timeout(Some(wait::DEADLINE)).expect("a deadline");
    let head = format!(
        "POST /v1/tasks HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        node.address(),
        node.operator_token(),
        body.len(),
    );
    socket.write_all(head.as_bytes()).expect("the node reads");
    socket.write_all(&body.as_bytes()[..body.len() / 2]).expect("the node reads");
    socket.shutdown(Shutdown::Write).expect("our half closes");
    let mut answer = Vec::new();
    // A node may also just close: nobody is there to hear.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn work_that_cannot_be_is_not_posted() {
    let mut world = world();
    let step =
        |name: &str, needs: &[&str]| json!({"name": name, "needs": needs, "task": task(name, &["text"], 1)});
    let run = |steps: Vec<Value>| Request::post("/v1/runs", &json!({"name": "r", "steps": steps}));
    let with = |field: &str, value: Value| {
        let mut task = task("t", &["text"], 1);
        task[field] = value;
        Request::post("/v1/tasks", &task)
    };
    let many: Vec<Value> = (0..201).map(|i| step(&format!("s{i}"), &[])).collect();
    let skills: Vec<String> = (0..33).map(|i| format!("skill-{i}")).collect();
    let poor = Request::post("/v1/tasks", &task("t", &["text"], 1)).bearer(&world.able.token);
    let pushy =
        json!({"name": "r", "priority": 1, "steps": [{"name": "s", "task": task("t", &["text"], 0)}]});
    let pushy = Request::post("/v1/runs", &pushy).bearer(&world.able.token);
    world.refuses(&[
        ("a cycle", run(vec![step("a", &["c"]), step("b", &["a"]), step("c", &["b"])]), 422, "cycle"),
        ("a step that needs itself", run(vec![step("a", &["a"])]), 422, "cycle"),
        ("a missing need", run(vec![step("a", &["nobody"])]), 422, "unknown_need"),
        ("a name twice", run(vec![step("a", &[]), step("a", &[])]), 422, "duplicate_step"),
        ("too many steps", run(many), 422, "too_many_steps"),
        ("too large an input", with("input", json!("x".repeat(300 << 10))), 413, "input_too_large"),
        ("a reward below zero", with("reward", json!(-1)), 422, "invalid"),
        ("a reward beyond all money", with("reward", json!(1e30)), 422, "invalid"),
        ("a deadline in the past", with("deadline", json!("2020-01-01T00:00:00Z")), 422, "invalid"),
        ("a deadline that is none", with("deadline", json!("tomorrow")), 422, "invalid"),
        ("a complexity that is none", with("complexity", json!("easy")), 422, "invalid"),
        ("too long a title", with("title", json!("x".repeat(501))), 422, "invalid"),
        ("a schema that is none", with("output_schema", json!({"type": 7})), 422, "bad_schema"),
        (
            "a schema elsewhere",
            with("output_schema", json!({"$ref": "http://127.0.0.1:1/x.json"})),
            422,
            "bad_schema",
        ),
        (
            "a runner that is not here",
            with("runner", json!({"kind": "container"})),
            422,
            "runner_unavailable",
        ),
        ("too many skills", with("requirements", json!({"capabilities": skills})), 422, "invalid"),
        ("no credit", poor, 402, "insufficient_credit"),
        ("an agent before all others", pushy, 403, "forbidden"),
        (
            "a blueprint that is not here",
            Request::post("/v1/runs", &json!({"name": "r", "blueprint_ref": "p/b@1"})),
            404,
            "blueprint_unknown",
        ),
    ]);
}

#[test]
fn nobody_gets_work_that_is_not_theirs() {
    let mut world = world();
    let open = post(&mut world.operator, &task("open", &["text"], 1));
    let mut hard = task("hard", &["text"], 1);
    hard["complexity"] = json!("premium");
    let hard = post(&mut world.operator, &hard);
    let own = post(&mut world.able.http, &task("own", &["text"], 0));
    let held = post(&mut world.operator, &task("held", &["text"], 1));
    world.able.claim(&held).is(200);
    let mut rival = Agent::enroll(&world.node, "rival", &["text"]);
    let (able, unable) = (world.able.token.clone(), world.unable.token.clone());
    world.refuses(&[
        ("without the skill", claim(&open).bearer(&unable), 403, "not_qualified"),
        ("below the level", claim(&hard).bearer(&able), 403, "not_qualified"),
        ("one's own", claim(&own).bearer(&able), 403, "not_qualified"),
        ("another's", claim(&held).bearer(&rival.token), 409, "task_taken"),
        ("the operator's hand", claim(&open), 403, "agents_only"),
        ("nobody's hand", claim(&open).bearer("x"), 401, "bad_token"),
        (
            "a skill that one does not have",
            Request::post(&format!("/v1/tasks/{open}/claim"), &json!({"agent_capabilities": ["no-such"]}))
                .bearer(&able),
            403,
            "not_qualified",
        ),
        (
            "another's revocation",
            Request::post(&format!("/v1/agents/{}/revoke", rival.did), &json!({})).bearer(&able),
            403,
            "operator_only",
        ),
        (
            "another's cancel",
            Request::post(&format!("/v1/tasks/{open}/cancel"), &json!({})).bearer(&able),
            403,
            "forbidden",
        ),
        ("the books", Request::get("/v1/ledger/accounts").bearer(&able), 403, "operator_only"),
        (
            "an event by an agent",
            Request::post("/v1/events", &json!({"event_name": "xyn.x"})).bearer(&able),
            403,
            "operator_only",
        ),
    ]);
    rival.does(&open, &json!({}));
    let over = claim(&open).bearer(&able);
    world.refuses(&[("what is over", over, 409, "finished")]);
}

#[test]
fn a_result_that_is_not_owed_is_not_taken() {
    let mut world = world();
    let held = post(&mut world.operator, &task("held", &["text"], 1));
    world.able.claim(&held).is(200);
    let rival = Agent::enroll(&world.node, "rival", &["text"]);
    let (able, other) = (world.able.token.clone(), rival.token.clone());
    let large = json!({"text": "x".repeat(300 << 10)});
    let foreign = json!({"epoch": 1, "output": {}, "artifacts": [artel_protocol::id::Digest::of(b"nowhere").to_string()]});
    let many: Vec<String> = (0..65).map(|i: u8| artel_protocol::id::Digest::of(&[i]).to_string()).collect();
    world.refuses(&[
        ("a later epoch", submit(&held, 2, &json!({})).bearer(&able), 409, "stale_epoch"),
        ("epoch 0", submit(&held, 0, &json!({})).bearer(&able), 422, "invalid"),
        ("by another", submit(&held, 1, &json!({})).bearer(&other), 409, "stale_epoch"),
        ("by the operator", submit(&held, 1, &json!({})), 403, "agents_only"),
        ("too large", submit(&held, 1, &large).bearer(&able), 413, "output_too_large"),
        (
            "an artifact that is nowhere",
            Request::post(&format!("/v1/tasks/{held}/submit"), &foreign).bearer(&able),
            404,
            "artifact_missing",
        ),
        (
            "too many artifacts",
            Request::post(
                &format!("/v1/tasks/{held}/submit"),
                &json!({"epoch": 1, "output": {}, "artifacts": many}),
            )
            .bearer(&able),
            422,
            "too_many_artifacts",
        ),
        (
            "another's renewal",
            Request::post(&format!("/v1/tasks/{held}/renew"), &json!({"epoch": 1})).bearer(&other),
            409,
            "stale_epoch",
        ),
        (
            "another's release",
            Request::post(&format!("/v1/tasks/{held}/release"), &json!({"epoch": 1})).bearer(&other),
            409,
            "stale_epoch",
        ),
    ]);
    world.able.submit(&held, 1, &json!({"n": 1})).is(200);
    world.refuses(&[(
        "twice, with another output",
        submit(&held, 1, &json!({"n": 2})).bearer(&able),
        409,
        "already_submitted",
    )]);
    let released = post(&mut world.operator, &task("released", &["text"], 1));
    world.able.claim(&released).is(200);
    let gone = world.able.http.post(&format!("/v1/tasks/{released}/release"), &json!({"epoch": 1}));
    assert!([200, 204].contains(&gone.status), "{gone:?}");
    world.refuses(&[("after a release", submit(&released, 1, &json!({})).bearer(&able), 409, "stale_epoch")]);
}

#[test]
fn a_result_after_its_lapse_is_stale_and_the_task_goes_to_another() {
    let dir = fresh();
    let node = artel().up(dir.path()).set("lease_ms", 200).start();
    let mut operator = node.operator();
    let (mut slow, mut quick) =
        (Agent::enroll(&node, "slow", &["text"]), Agent::enroll(&node, "quick", &["text"]));
    let id = post(&mut operator, &task("t", &["text"], 1));
    slow.claim(&id).is(200);
    wait::until("the lapse", || {
        let now = operator.get(&format!("/v1/tasks/{id}")).is(200);
        (now["lapses"] == 1).then_some(())
    });
    slow.submit(&id, 1, &json!({})).refused(409, "stale_epoch");
    slow.claim(&id).refused(403, "barred");
    let lease = quick.claim(&id).is(200);
    assert_eq!(lease["epoch"], 2, "epochs rise");
    quick.submit(&id, 2, &json!({})).is(200);
    let path = format!("/v1/agents/{}/history", slow.did);
    let history = wait::until("the index", || {
        Some(artel_tests::all_pages(&mut slow.http, &path)).filter(|history| !history.is_empty())
    });
    assert_eq!(history[0]["outcome"], "lapsed", "{history:?}");
}

#[test]
fn an_output_off_its_schema_is_rejected_with_what_was_found() {
    let mut world = world();
    let mut wants = task("t", &["text"], 4);
    wants["output_schema"] =
        json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let id = post(&mut world.operator, &wants);
    world.able.claim(&id).is(200);
    world.able.submit(&id, 1, &json!({"n": "many"})).is(200);
    let judged = wait::until("the verdict", || {
        let now = world.operator.get(&format!("/v1/tasks/{id}")).is(200);
        (now["submissions"][0]["verdict"] != Value::Null).then_some(now)
    });
    let verdict = &judged["submissions"][0]["verdict"];
    assert_eq!((&verdict["accepted"], &judged["status"]), (&json!(false), &json!("available")), "{judged}");
    assert!(!verdict["check"].as_str().unwrap_or_default().is_empty(), "{verdict}");
    assert!(verdict["findings"].as_str().unwrap_or_default().contains("/n"), "{verdict}");
    world.able.claim(&id).refused(403, "barred");
    assert_eq!(artel_tests::ledger::sums(&mut world.operator).agents, 0, "nothing is paid for it");
    let mut other = Agent::enroll(&world.node, "other", &["text"]);
    let lease = other.claim(&id).is(200);
    assert_eq!(lease["epoch"], 2);
    other.submit(&id, 2, &json!({"n": 3})).is(200);
    wait::until("the acceptance", || {
        (world.operator.get(&format!("/v1/tasks/{id}")).is(200)["status"] == "accepted").then_some(())
    });
}
