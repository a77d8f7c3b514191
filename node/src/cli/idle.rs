//! What is said of a task that waits and that nobody may ever take: so that who watches does not wait without knowing why.

use super::show;
use crate::client::{Client, Error, List, escape};
use serde::Deserialize;
use serde_json::Value;

/// How many agents with a skill are looked at. Where all of these were let go, the task is said to wait for nobody, though
/// one further down the list might take it.
const LOOKED_AT: usize = 50;

/// An agent as a list shows it.
#[derive(Deserialize)]
struct Agent {
    status: String,
}

/// Says on stderr which skill of a task that waits no agent has that is enrolled here.
///
/// # Errors
/// What the node said.
pub async fn note_missing_skill(client: &Client, path: &str) -> Result<(), Error> {
    let task: Value = client.read(&client.get_text(path).await?)?;
    if !is_open(&task) {
        return Ok(());
    }
    let skills = task["requirements"]["capabilities"].as_array().into_iter().flatten();
    for skill in skills.filter_map(Value::as_str) {
        let agents = format!("/v1/agents?limit={LOOKED_AT}&capability={}", escape(skill));
        let agents: List<Agent> = client.read(&client.get_text(&agents).await?)?;
        if !agents.items.iter().any(|agent| agent.status == "active") {
            show::note(&format!(
                "no agent that is enrolled here has the skill {}; see who is with: artel agent list\n\
                 waiting until one comes, here or at another node",
                show::plain(skill)
            ));
            return Ok(());
        }
    }
    Ok(())
}

/// Whether a task as the API shows it waits for somebody to take it.
pub fn is_open(task: &Value) -> bool {
    task["status"] == "available"
}
