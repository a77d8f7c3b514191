//! A slot against a node that is played by a few lines of HTTP: what it sends again, what it gives back, when it stops.

use super::super::session::Session;
use super::super::{Stop, Tell};
use super::{Doer, Slot};
use crate::cli::Global;
use crate::cli::context::{Context, write_token};
use crate::cli::enroll::Profile;
use crate::data;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the played node does with one request: an answer, or nothing but a closed connection.
type Answer = Option<(u16, Value)>;

/// One request as it came: its path and body.
type Request = (String, Value);

/// A node of a few lines. It keeps what it was asked.
struct Played {
    url: String,
    asked: Arc<Mutex<Vec<Request>>>,
    /// The one agent that it knows.
    agent: Arc<Mutex<String>>,
}

impl Played {
    /// Plays by `script`, which gets the path and how often it was asked before.
    async fn start(script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let agent = Arc::new(Mutex::new(String::new()));
        let (kept, known) = (asked.clone(), agent.clone());
        let script = Arc::new(move |path: &str, before: usize| match path {
            "/v1/agents/me" => Some((200, json!({"agent_id": *known.lock().expect("nobody panicked")}))),
            _ => script(path, before),
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone(), script.clone()));
            }
        });
        Played { url, asked, agent }
    }

    fn bodies(&self, end: &str) -> Vec<Value> {
        let asked = self.asked.lock().expect("nobody panicked");
        asked.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, body)| body.clone()).collect()
    }

    /// A slot of an agent whose token is good, running `command`.
    async fn slot(&self, command: &str, stop: &Stop) -> Slot {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, key) = (dir.path().join("agent.pem"), data::new_key());
        data::write_new_secret(&file, &key.to_pem()).expect("a key file");
        write_token(&dir.path().join("agent.pem.token"), "good").expect("a token file");
        *self.agent.lock().expect("nobody panicked") = key.public().did();
        let global = Global { node: Some(self.url.clone()), key: Some(file), ..Global::default() };
        let tell = Tell { json: false };
        let session = Session::new(&Context::new(global), Profile::default(), tell).expect("a session");
        session.start().await.expect("the token is good");
        Slot::new(Arc::new(session), stop.clone(), tell, Doer::Command(command.to_owned()))
    }
}

async fn serve(
    mut stream: TcpStream,
    asked: Arc<Mutex<Vec<Request>>>,
    script: Arc<impl Fn(&str, usize) -> Answer>,
) {
    let mut read = Vec::new();
    loop {
        let Some((path, body, rest)) = request(&read) else {
            let mut piece = [0; 4_096];
            match stream.read(&mut piece).await {
                Ok(n) if n > 0 => read.extend_from_slice(&piece[..n]),
                _ => return,
            }
            continue;
        };
        read = rest;
        let before = {
            let mut asked = asked.lock().expect("nobody panicked");
            let before = asked.iter().filter(|(p, _)| *p == path).count();
            asked.push((path.clone(), body));
            before
        };
        let Some((status, answer)) = script(&path, before) else { return };
        let body = if status == 204 { String::new() } else { answer.to_string() };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A whole request at the head of what was read: path, body, and what follows.
fn request(read: &[u8]) -> Option<(String, Value, Vec<u8>)> {
    let text = std::str::from_utf8(read).ok()?;
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let path = head.split(' ').nth(1)?.to_owned();
    let length =
        head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let (body, rest) = rest.as_bytes().split_at_checked(length.unwrap_or(0))?;
    Some((path, serde_json::from_slice(body).unwrap_or(Value::Null), rest.to_vec()))
}

fn lease(lease_ms: u32) -> Answer {
    Some((200, json!({"task_id": "t", "epoch": 3, "lease_ms": lease_ms, "title": "x", "input": {}})))
}

fn refused(status: u16, code: &str) -> Answer {
    Some((status, json!({"error": {"code": code, "message": "no", "details": null}})))
}

fn accepted() -> Answer {
    Some((200, json!({"acknowledgement": {}, "receipt": {"accepted": true, "paid": 1, "findings": null}})))
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it ends in time")
}

#[tokio::test]
async fn a_result_is_sent_again_until_the_node_has_answered_for_it() {
    let node = Played::start(|path, before| match (path, before) {
        ("/v1/tasks/claim", _) => lease(60_000),
        ("/v1/tasks/t/submit", 0) => None,
        ("/v1/tasks/t/submit", 1) => refused(503, "overloaded"),
        ("/v1/tasks/t/submit", _) => accepted(),
        _ => refused(404, "route_unknown"),
    })
    .await;
    let slot = node.slot("echo '{\"n\": 1}'", &Stop::default()).await;
    within(slot.run_once()).await.expect("it is done");
    let sent = node.bodies("/submit");
    assert!(sent.len() >= 3 && sent.iter().all(|s| *s == sent[0]), "{sent:?}");
    assert_eq!(sent[0], json!({"epoch": 3, "output": {"n": 1}, "artifacts": []}));
    assert!(node.bodies("/release").is_empty());
}

/// The node has it in its outbox: there is nothing to give back, and nothing to do once more.
#[tokio::test]
async fn a_result_that_waits_for_its_home_is_handed_in() {
    let node = Played::start(|path, _| match path {
        "/v1/tasks/claim" => lease(60_000),
        "/v1/tasks/t/submit" => {
            Some((200, json!({"acknowledgement": null, "handed_in": 7, "receipt": null, "next": null})))
        }
        _ => refused(404, "route_unknown"),
    })
    .await;
    within(node.slot("echo 1", &Stop::default()).await.run_once()).await.expect("it is handed in");
    assert_eq!((node.bodies("/submit").len(), node.bodies("/release").len()), (1, 0));
}

#[tokio::test]
async fn one_task_ends_with_its_verdict() {
    for (accepted, ends_well) in [(true, true), (false, false)] {
        let node = Played::start(move |path, before| match (path, before) {
            ("/v1/tasks/claim", _) => lease(60_000),
            ("/v1/tasks/t/submit", _) => {
                Some((200, json!({"acknowledgement": {}, "receipt": null, "next": null})))
            }
            ("/v1/tasks/t", 0) => Some((200, json!({"submissions": [{"epoch": 2, "verdict": null}]}))),
            ("/v1/tasks/t", 1) => refused(503, "overloaded"),
            ("/v1/tasks/t", _) => {
                let verdict = json!({"accepted": accepted, "paid": 1, "findings": "not that"});
                Some((200, json!({"submissions": [{"epoch": 3, "verdict": verdict}]})))
            }
            _ => refused(404, "route_unknown"),
        })
        .await;
        let ended = within(node.slot("echo 1", &Stop::default()).await.run_once()).await;
        assert_eq!(ended.is_ok(), ends_well, "{ended:?}");
        assert!(ended.err().is_none_or(|why| why.to_string().contains("not that")));
        assert_eq!(node.bodies("/v1/tasks/t").len(), 3, "it was asked until there was one");
    }
}

#[tokio::test]
async fn a_failed_command_gives_its_task_back() {
    let node = Played::start(|path, _| match path {
        "/v1/tasks/claim" => lease(60_000),
        "/v1/tasks/t/release" => Some((204, Value::Null)),
        _ => refused(404, "route_unknown"),
    })
    .await;
    let error = within(node.slot("exit 1", &Stop::default()).await.run_once()).await.expect_err("it failed");
    assert!(error.to_string().contains("given back"), "{error}");
    assert_eq!(node.bodies("/release"), [json!({"epoch": 3})]);
    assert!(node.bodies("/submit").is_empty());
}

#[tokio::test]
async fn a_long_command_renews_its_lease() {
    // The command waits for the second renewal, so the test ends only if there are two.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("renewed");
    let shown = file.clone();
    let node = Played::start(move |path, before| match path {
        "/v1/tasks/claim" => lease(150),
        "/v1/tasks/t/renew" => {
            if before == 1 {
                std::fs::write(&shown, "x").expect("writes");
            }
            Some((200, json!({})))
        }
        "/v1/tasks/t/submit" => accepted(),
        _ => refused(404, "route_unknown"),
    })
    .await;
    let command = format!("until test -e {}; do sleep 0.02; done; echo 1", file.display());
    within(node.slot(&command, &Stop::default()).await.run_once()).await.expect("it is done");
    assert_eq!(node.bodies("/renew")[0], json!({"epoch": 3}));
}

#[tokio::test]
async fn a_lost_lease_ends_the_command_and_nothing_is_handed_in() {
    let node = Played::start(|path, _| match path {
        "/v1/tasks/claim" => lease(60),
        "/v1/tasks/t/renew" => refused(409, "stale_epoch"),
        _ => refused(404, "route_unknown"),
    })
    .await;
    let error = within(node.slot("sleep 600", &Stop::default()).await.run_once()).await.expect_err("lost");
    assert!(error.to_string().contains("lost"), "{error}");
    assert!(node.bodies("/submit").is_empty() && node.bodies("/release").is_empty());
}

#[tokio::test]
async fn a_stop_gives_back_what_is_not_done() {
    let stop = Stop::default();
    let told = stop.clone();
    let node = Played::start(move |path, _| match path {
        "/v1/tasks/claim" => {
            told.soft.cancel();
            told.hard.cancel();
            lease(60_000)
        }
        "/v1/tasks/t/release" => Some((204, Value::Null)),
        _ => refused(404, "route_unknown"),
    })
    .await;
    // Whether the claim's answer is still taken depends on which of the two is seen first; both are right.
    within(node.slot("sleep 600", &stop).await.run()).await.expect("it stops");
    assert!(node.bodies("/submit").is_empty());
}
