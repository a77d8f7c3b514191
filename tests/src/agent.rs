//! An agent as a stranger would write it: a key, an enrollment, a token, the four calls of the market.

use crate::http::{Answer, Client, Request};
use crate::node::Node;
use artel_protocol::key::SecretKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// An enrolled agent.
pub struct Agent {
    /// Its key.
    pub key: SecretKey,
    /// Its did.
    pub did: String,
    /// Its token.
    pub token: String,
    /// A client with its token.
    pub http: Client,
}

impl Agent {
    /// Enrolls a key that follows from the name, with these skills.
    #[track_caller]
    pub fn enroll(node: &Node, name: &str, skills: &[&str]) -> Agent {
        Agent::enroll_at(node.address(), name, &json!({"capabilities": skills}))
    }

    /// Enrolls a key that follows from the name, with these notes on itself.
    #[track_caller]
    pub fn enroll_at(node: SocketAddr, name: &str, metadata: &Value) -> Agent {
        Agent::enroll_as(node, name, metadata, false)
    }

    /// Enrolls likewise and lets the node act in the agent's name.
    #[track_caller]
    pub fn delegate(node: &Node, name: &str, skills: &[&str]) -> Agent {
        Agent::enroll_as(node.address(), name, &json!({"capabilities": skills}), true)
    }

    #[track_caller]
    fn enroll_as(node: SocketAddr, name: &str, metadata: &Value, delegate: bool) -> Agent {
        let mut http = Client::new(node);
        let key = key_of(name);
        let did = key.public().did();
        let ask = json!({"agent_name": name, "public_key": did, "metadata": metadata, "delegate": delegate});
        let challenge = http.post("/v1/enroll", &ask).is(201);
        let text = challenge["challenge"].as_str().expect("a text to sign");
        let id = challenge["enrollment_id"].as_str().expect("an id");
        let answer =
            http.post(&format!("/v1/enroll/{id}/respond"), &json!({"signature": sign(&key, text)})).is(200);
        let token = answer["token"].as_str().expect("a token").to_owned();
        Agent { key, did, http: Client::new(node).with_bearer(&token), token }
    }

    /// Asks for one task.
    pub fn claim(&mut self, task: &str) -> Answer {
        self.http.send(&claim(task))
    }

    /// Asks for any task.
    pub fn claim_next(&mut self, wait_ms: u32) -> Answer {
        self.http.send(&claim_next(wait_ms))
    }

    /// Hands in a result.
    pub fn submit(&mut self, task: &str, epoch: u64, output: &Value) -> Answer {
        self.http.send(&submit(task, epoch, output))
    }

    /// Claims a task that must be had and hands in a result that must be taken.
    #[track_caller]
    pub fn does(&mut self, task: &str, output: &Value) -> Value {
        let lease = self.claim(task).is(200);
        let epoch = lease["epoch"].as_u64().expect("an epoch");
        self.submit(task, epoch, output).is(200)
    }
}

/// The key that follows from a name. Names are short and differ.
pub fn key_of(name: &str) -> SecretKey {
    let mut seed = [b'.'; 32];
    assert!(name.len() <= seed.len(), "a name of at most 32 bytes");
    seed[..name.len()].copy_from_slice(name.as_bytes());
    SecretKey::from_seed(&seed)
}

/// A signature as HTTP takes it.
pub fn sign(key: &SecretKey, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).0)
}

/// The request that claims one task.
pub fn claim(task: &str) -> Request {
    Request::post(&format!("/v1/tasks/{task}/claim"), &json!({}))
}

/// The request that claims any task.
pub fn claim_next(wait_ms: u32) -> Request {
    Request::post("/v1/tasks/claim", &json!({"wait_ms": wait_ms}))
}

/// The request that hands in a result.
pub fn submit(task: &str, epoch: u64, output: &Value) -> Request {
    Request::post(&format!("/v1/tasks/{task}/submit"), &json!({"epoch": epoch, "output": output}))
}

/// A task that anybody with these skills may do.
pub fn task(title: &str, skills: &[&str], reward: u64) -> Value {
    json!({
        "title": title,
        "description": "what a whole-system test wants done",
        "requirements": {"capabilities": skills},
        "reward": reward,
        "complexity": "simple",
        "input": {"title": title},
    })
}

/// Posts a task and answers with its id.
#[track_caller]
pub fn post(poster: &mut Client, task: &Value) -> String {
    let posted = poster.post("/v1/tasks", task).is(201);
    posted["task_id"].as_str().expect("an id").to_owned()
}
