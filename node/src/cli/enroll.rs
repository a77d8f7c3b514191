//! Enrollment and the acts under an agent's own signature, from the agent's side: the key stays here, only signatures
//! leave. What is signed is looked at first: a node cannot have an agent sign something else.

use super::context;
use crate::client::{self, Client};
use artel_federation::member::{Identity, OwnAct, statement_text};
use artel_protocol::id::FederationId;
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// What an agent says of itself.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Its name for people.
    pub name: String,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// How many leases it wants at once.
    pub capacity: Option<u32>,
    /// Whether the node may act in its name.
    pub delegate: bool,
}

#[derive(Deserialize)]
struct Challenge {
    enrollment_id: String,
    challenge: String,
}

#[derive(Deserialize)]
struct Verified {
    node_id: String,
    federation_id: String,
    serial: Option<u32>,
}

/// The first line of the text that enrolls; another one is not signed.
const CHALLENGE_TITLE: &str = "artel enrollment\n";

/// Enrolls a key and keeps the token that it gets. Answers with what the node said.
///
/// # Errors
/// What the node or the disk said.
pub async fn enroll(
    client: &Client,
    key: &SecretKey,
    profile: &Profile,
    token_file: &Path,
) -> anyhow::Result<String> {
    let did = key.public().did();
    let mut metadata = json!({"capabilities": profile.capabilities});
    if let Some(capacity) = profile.capacity {
        metadata["capacity"] = json!(capacity);
    }
    let body = json!({"agent_name": profile.name, "public_key": did, "metadata": metadata, "delegate": profile.delegate});
    let answer = client.post("/v1/enroll", &body, 0).await?.unwrap_or_default();
    let challenge: Challenge = client.read(&answer)?;
    check(&challenge.challenge, &did, profile.delegate)?;
    let signature = URL_SAFE_NO_PAD.encode(key.sign(challenge.challenge.as_bytes()).0);
    let path = format!("/v1/enroll/{}/respond", client::escape(&challenge.enrollment_id));
    let answer = client.post(&path, &json!({"signature": signature}), 0).await?.unwrap_or_default();
    keep(client, &answer, token_file)?;
    Ok(answer)
}

/// Rotates the token by the agent's own signature and keeps the new one.
///
/// # Errors
/// What the node or the disk said.
pub async fn rotate(client: &Client, key: &SecretKey, token_file: &Path) -> anyhow::Result<String> {
    let answer = own_act(client, key, OwnAct::Rotate, "/v1/auth/rotate").await?;
    keep(client, &answer, token_file)?;
    Ok(answer)
}

/// Ends the token and the delegation by the agent's own signature.
///
/// # Errors
/// What the node said.
pub async fn revoke(client: &Client, key: &SecretKey) -> anyhow::Result<()> {
    own_act(client, key, OwnAct::Revoke, "/v1/auth/revoke").await.map(drop)
}

async fn own_act(client: &Client, key: &SecretKey, act: OwnAct, path: &str) -> anyhow::Result<String> {
    let verified: Verified = client.get("/v1/auth/verify").await?;
    let Some(serial) = verified.serial else {
        anyhow::bail!("this is the operator's token; name the agent with --key FILE");
    };
    let identity = Identity {
        node: NodeId::from_did(&verified.node_id)?,
        federation: FederationId::parse(&verified.federation_id)?,
    };
    let statement = statement_text(&identity, &AgentId(key.public()), act, serial);
    let body = json!({
        "statement": URL_SAFE_NO_PAD.encode(&statement),
        "signature": URL_SAFE_NO_PAD.encode(key.sign(statement.as_bytes()).0),
    });
    Ok(client.post(path, &body, 0).await?.unwrap_or_default())
}

/// Looks at what is to be signed: an enrollment of this key, with a delegation only where one was wanted.
fn check(challenge: &str, did: &str, delegate: bool) -> anyhow::Result<()> {
    let names_us = challenge.lines().any(|line| line == format!("agent: {did}"));
    let delegates = challenge.lines().any(|line| line.starts_with("delegates:"));
    if challenge.starts_with(CHALLENGE_TITLE) && names_us && (delegate || !delegates) {
        return Ok(());
    }
    anyhow::bail!(
        "the node asks for a signature under something else than this enrollment, so nothing was signed"
    );
}

fn keep(client: &Client, answer: &str, token_file: &Path) -> anyhow::Result<()> {
    let value: Value = client.read(answer)?;
    let Some(token) = value["token"].as_str() else {
        anyhow::bail!("{} enrolled the key and sent no token; see: artel status", client.base());
    };
    context::write_token(token_file, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_enrollment_of_this_key_is_signed() {
        let text = "artel enrollment\npurpose: enroll this key as an agent\nagent: did:key:z6Mka\nname: x\n";
        let with_delegation = format!("{text}delegates: this node may claim\n");
        assert!(check(text, "did:key:z6Mka", false).is_ok());
        assert!(check(&with_delegation, "did:key:z6Mka", true).is_ok());
        assert!(check(text, "did:key:z6Mkb", false).is_err(), "another key");
        assert!(check(&with_delegation, "did:key:z6Mka", false).is_err(), "an unwanted delegation");
        assert!(
            check(&text.replace("enrollment", "statement"), "did:key:z6Mka", false).is_err(),
            "another act"
        );
    }
}
