//! A worker's standing at its node: its key, its token, and getting a new one when the old one is no longer good. Slots
//! share it, so that one enrollment serves all.

use super::Tell;
use crate::cli::context::{self, Context};
use crate::cli::enroll::{self, Profile};
use crate::client::{Client, Error};
use artel_protocol::key::SecretKey;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// The first pause before a node that is away is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause. Longer, and a node that is back stands idle; shorter, and a fleet of workers hammers it.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Rising pauses, spread a little so that workers do not come all at once.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub fn new() -> Self {
        Backoff(PAUSE_MIN)
    }

    /// The next pause, at least as long as the node asked for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let spread = rand::Rng::next_u32(&mut rand::rng()) % 256;
        let pause = self.0 - self.0 * spread / 1_024;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
        pause.max(asked.unwrap_or_default())
    }
}

/// A worker at its node.
pub(super) struct Session {
    anonymous: Client,
    key: SecretKey,
    token_file: PathBuf,
    profile: Profile,
    tell: Tell,
    client: Mutex<Client>,
}

impl Session {
    pub fn new(context: &Context, profile: Profile, tell: Tell) -> anyhow::Result<Self> {
        let anonymous = context.anonymous()?;
        let client = Mutex::new(anonymous.clone());
        Ok(Session {
            key: context.agent_key()?,
            token_file: context.token_file()?,
            anonymous,
            profile,
            tell,
            client,
        })
    }

    /// Gets a good token: the one that is kept, or a new one by enrolling. Waits for a node that is away.
    pub async fn start(&self) -> anyhow::Result<()> {
        let mut backoff = Backoff::new();
        loop {
            match self.find_token().await {
                Ok(()) => return Ok(()),
                Err(error) => match error.downcast_ref::<Error>() {
                    Some(cause) if cause.is_passing() => {
                        let pause = backoff.next(cause.retry_after());
                        self.away(&error);
                        tokio::time::sleep(pause).await;
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// The client with the token of the moment.
    pub async fn client(&self) -> Client {
        self.client.lock().await.clone()
    }

    /// After a refusal of `stale`'s token: another slot's newer one, the file's, or a new enrollment.
    pub async fn refresh(&self, stale: &Client) -> anyhow::Result<()> {
        let mut client = self.client.lock().await;
        if client.token() != stale.token() {
            return Ok(());
        }
        if let Ok(kept) = context::read_token(&self.token_file)
            && Some(kept.as_str()) != stale.token()
        {
            // Another process of the same agent has enrolled since.
            *client = self.anonymous.with_token(&kept);
            return Ok(());
        }
        *client = self.enroll().await?;
        Ok(())
    }

    /// Says that the node is away.
    pub fn away(&self, error: &anyhow::Error) {
        self.tell.event(
            "away",
            json!({"reason": error.to_string()}),
            &format!("waiting for the node: {error}"),
        );
    }

    async fn find_token(&self) -> anyhow::Result<()> {
        let mut client = self.client.lock().await;
        if let Ok(kept) = context::read_token(&self.token_file) {
            let known = self.anonymous.with_token(&kept);
            match known.get::<Value>("/v1/agents/me").await {
                Ok(me) if me["agent_id"] == self.key.public().did().as_str() => {
                    self.say_what_the_token_lacks(&me);
                    self.configure(&known, &me).await?;
                    *client = known;
                    return Ok(());
                }
                // The token is another agent's or no longer good: this key gets its own.
                Ok(_) => {}
                Err(Error::Refused { status: 401, .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        *client = self.enroll().await?;
        Ok(())
    }

    /// A token stands for what was said when it was got: where that is not what is wanted now, it is said.
    fn say_what_the_token_lacks(&self, me: &Value) {
        let delegated = !me["delegated_until"].is_null();
        let (wanted, file) = (self.profile.delegate, self.token_file.display());
        let lacks = match (wanted, delegated) {
            (true, false) => "does not let the node act for this agent: tasks of other homes are not taken",
            (false, true) => "lets the node act for this agent: tasks of other homes are taken, too",
            _ => return,
        };
        let about = json!({"wanted": wanted, "delegated": delegated, "token_file": self.token_file});
        let text = format!(
            "the token in {file} {lacks}; to change it: artel agent revoke --key FILE, and start this again"
        );
        self.tell.event("delegation", about, &text);
    }

    /// Brings the node's picture of this agent up to what was asked for now.
    async fn configure(&self, client: &Client, me: &Value) -> anyhow::Result<()> {
        let listed = |v: &Value| v.as_str().map(str::to_owned);
        let mut known: Vec<String> =
            me["capabilities"].as_array().into_iter().flatten().filter_map(listed).collect();
        let mut wanted: Vec<String> =
            self.profile.capabilities.iter().map(|c| c.to_ascii_lowercase()).collect();
        known.sort();
        wanted.sort();
        wanted.dedup();
        let mut patch = json!({});
        if !wanted.is_empty() && wanted != known {
            patch["capabilities"] = json!(wanted);
        }
        if let Some(capacity) = self.profile.capacity.filter(|c| me["capacity"] != *c) {
            patch["capacity"] = json!(capacity);
        }
        if patch.as_object().is_some_and(|p| !p.is_empty()) {
            client.patch("/v1/agents/me/config", &patch).await?;
        }
        Ok(())
    }

    async fn enroll(&self) -> anyhow::Result<Client> {
        enroll::enroll(&self.anonymous, &self.key, &self.profile, &self.token_file).await?;
        let token = context::read_token(&self.token_file)?;
        let did = self.key.public().did();
        self.tell.event("enrolled", json!({"agent_id": did}), &format!("enrolled as {did}"));
        Ok(self.anonymous.with_token(&token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_rise_to_a_limit() {
        let mut backoff = Backoff::new();
        let pauses: Vec<Duration> = (0..10).map(|_| backoff.next(None)).collect();
        assert!(pauses[0] <= PAUSE_MIN && pauses[0] >= PAUSE_MIN / 2, "{pauses:?}");
        assert!(pauses[9] <= PAUSE_MAX && pauses[9] >= PAUSE_MAX / 2, "{pauses:?}");
        assert_eq!(backoff.next(Some(Duration::from_secs(60))), Duration::from_secs(60));
    }
}
