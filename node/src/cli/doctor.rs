//! `artel doctor`: what may be wrong with a node and the machine under it, and what to do about each. A running node
//! examines itself; where none runs, its directory and the machine are examined from here.

use super::context::Context;
use super::paint::{Paint, tone_of};
use super::show::plain;
use super::wording::counted;
use crate::client;
use crate::doctor;
use artel_web::types::List;
use clap::Args;
use serde_json::Value;

/// Examine the node and the machine under it; fails where something does not work.
///
/// A running node examines itself. Where none runs, what can be examined without one is: the data directory, its keys and
/// configuration, the disk, the walls around steps, the ports.
#[derive(Args, Debug)]
pub struct Doctor {}

impl Doctor {
    /// Examines.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let answer = match asked(context).await? {
            Ok(answer) => answer,
            Err(silent) => {
                let items = doctor::examine_directory(&context.data_or_default(), silent).await;
                serde_json::to_string(&List { items, next_cursor: None })?
            }
        };
        let paint = Paint::of_stdout();
        context.show.answer(&answer, |value| text(value, paint))?;
        let value: Value = serde_json::from_str(&answer)?;
        match items(&value).filter(|found| found["status"] == "fail").count() {
            0 => Ok(()),
            1 => anyhow::bail!("one thing does not work; do as its arrow (→) says"),
            many => anyhow::bail!("{many} things do not work; do as their arrows (→) say"),
        }
    }
}

/// What a running node finds; where none answers, why not, as far as one should.
async fn asked(context: &Context) -> anyhow::Result<Result<String, Option<String>>> {
    if context.names_url() {
        return Ok(Ok(context.client()?.get_text("/v1/doctor").await?));
    }
    if !context.has_url_file() {
        return Ok(Err(None));
    }
    let client = match context.client() {
        Ok(client) => client,
        Err(error) => return Ok(Err(Some(format!("{error:#}")))),
    };
    match client.get_text("/v1/doctor").await {
        Ok(answer) => Ok(Ok(answer)),
        Err(error @ (client::Error::Away { .. } | client::Error::Foreign { .. })) => {
            Ok(Err(Some(error.to_string())))
        }
        // The address was left behind by a node that ran here, and is another's now.
        Err(error) if error.code() == Some("bad_token") => Ok(Err(Some(error.to_string()))),
        Err(error) => Err(error.into()),
    }
}

fn items(findings: &Value) -> impl Iterator<Item = &Value> {
    findings["items"].as_array().into_iter().flatten()
}

/// A line for each finding, and what to do about it below.
fn text(findings: &Value, paint: Paint) -> String {
    let word = |found: &Value, key: &str| plain(found[key].as_str().unwrap_or_default());
    let width = items(findings).map(|found| word(found, "check").len()).max().unwrap_or(0);
    let mut text = String::new();
    for found in items(findings) {
        let (check, status) = (word(found, "check"), word(found, "status"));
        let padded = format!("{status:7}");
        let shown = tone_of(&status).map_or(padded.clone(), |tone| paint.say(tone, &padded));
        text.push_str(&format!("{shown}  {check:width$}  {}", word(found, "summary")));
        let value = word(found, "value");
        if !value.is_empty() {
            text.push_str(&format!(" ({value})"));
        }
        text.push('\n');
        let advice = word(found, "advice");
        if !advice.is_empty() {
            text.push_str(&format!("{:7}  {:width$}  → {advice}\n", "", ""));
        }
    }
    let warned = items(findings).filter(|found| found["status"] == "warn").count() as u64;
    if warned > 0 {
        let warnings = counted(warned, "warning", "warnings");
        text.push_str(&format!("{warnings}; what may be better is behind the arrow (→)\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn findings_are_lines_with_arrows_below() {
        let findings = json!({"items": [
            {"check": "clock", "status": "ok", "summary": "even", "value": "now", "advice": null},
            {"check": "disk_sync", "status": "fail", "summary": "no", "value": null, "advice": "another\u{1b}[2J"},
        ]});
        let wanted =
            "ok       clock      even (now)\nfail     disk_sync  no\n                    → another [2J\n";
        assert_eq!(text(&findings, Paint::PLAIN), wanted);
        let findings =
            json!({"items": [{"check": "keys", "status": "warn", "summary": "here", "advice": "move it"}]});
        let wanted = "warn     keys  here\n               → move it\n1 warning; what may be better is behind the arrow (→)\n";
        assert_eq!(text(&findings, Paint::PLAIN), wanted);
    }
}
