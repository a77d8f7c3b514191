//! What is said to who watches a task that nobody takes: which of its skills no agent here has, and that it has waited long.

use super::show;
use crate::client::{Client, Error, List, escape};
use serde::Deserialize;
use serde_json::Value;
use std::time::{Duration, Instant};

/// After how long it is said that nobody takes a task.
const LONG: Duration = Duration::from_secs(20);
/// How many agents with a skill are looked at. Where there are more, some of them will do.
const LOOKED_AT: usize = 50;

/// An agent as a list shows it.
#[derive(Deserialize)]
struct Agent {
    status: String,
}

/// What was said of one task so far.
#[derive(Default)]
pub struct Idle {
    open_since: Option<Instant>,
    said: bool,
}

impl Idle {
    /// Looks at a task, or a run, as it is now, and says once on stderr what may keep others from taking it.
    pub async fn look(&mut self, client: &Client, now: &Value) {
        if now["status"] != "available" {
            self.open_since = None;
            return;
        }
        if self.said {
            return;
        }
        let skills = now["requirements"]["capabilities"].as_array().map(Vec::as_slice).unwrap_or_default();
        let note = match self.open_since {
            // Who cannot be told now is told in a while.
            None => missing(client, skills).await.ok().flatten().map(|skill| {
                format!(
                    "no agent that is enrolled here has the skill {}; see who is with: artel agent list\n\
                     one at another node may take it",
                    show::plain(skill)
                )
            }),
            Some(since) if since.elapsed() >= LONG => Some(format!(
                "nobody has taken it for {} s; see its skills and level with: artel task show, and start a worker with: artel work",
                LONG.as_secs()
            )),
            Some(_) => None,
        };
        self.open_since.get_or_insert_with(Instant::now);
        if let Some(note) = note {
            self.said = true;
            show::note(&note);
        }
    }
}

/// The first of these skills that no agent has which is enrolled here.
async fn missing<'a>(client: &Client, skills: &'a [Value]) -> Result<Option<&'a str>, Error> {
    for skill in skills.iter().filter_map(Value::as_str) {
        let agents = format!("/v1/agents?limit={LOOKED_AT}&capability={}", escape(skill));
        let agents: List<Agent> = client.read(&client.get_text(&agents).await?)?;
        if agents.next_cursor.is_none() && agents.items.iter().all(|agent| agent.status != "active") {
            return Ok(Some(skill));
        }
    }
    Ok(None)
}
