//! `artel invite`: invitations for other nodes, made, looked at and taken back.

use super::context::{Context, Usage};
use super::show::{self, Column};
use crate::client::escape;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::io::IsTerminal as _;

/// Invite other nodes into this node's federation.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Invite {
    #[command(subcommand)]
    act: Option<Act>,
    /// How many nodes the invitation lets in.
    #[arg(long, value_name = "N", default_value_t = 1)]
    uses: u32,
    /// For how long it lets them in, as a number with s, m, h or d.
    #[arg(long = "for", value_name = "DURATION", default_value = "1d")]
    duration: String,
}

#[derive(Subcommand, Debug)]
enum Act {
    /// List the invitations that were made and not taken back.
    List {
        /// Where to go on, as the last page said.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Take an invitation back; whom it let in stays.
    Revoke {
        /// The invitation's digest, as the list shows it.
        digest: String,
    },
}

const COLUMNS: &[Column] = &[
    ("invitation", "digest"),
    ("status", "status"),
    ("used", "used"),
    ("of", "uses"),
    ("made", "created_at"),
    ("until", "expires_at"),
];

impl Invite {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self.act {
            None => {
                let body = json!({"uses": self.uses, "for_ms": milliseconds(&self.duration)?});
                let answer = context.client()?.post("/v1/invitations", &body, 0).await?.unwrap_or_default();
                made(context, &answer)
            }
            Some(Act::List { cursor }) => {
                let cursor = cursor.map(|c| format!("&cursor={}", escape(&c))).unwrap_or_default();
                let answer = context.client()?.get_text(&format!("/v1/invitations?limit=50{cursor}")).await?;
                context.show.list(&answer, COLUMNS, "no invitations; make one with: artel invite")
            }
            Some(Act::Revoke { digest }) => {
                let path = format!("/v1/invitations/{}", escape(&digest));
                context.client()?.delete(&path).await?;
                context
                    .show
                    .done(&json!({"digest": digest, "revoked": true}), &format!("{digest}: taken back"))
            }
        }
    }
}

/// The invitation alone on stdout, so that it can be piped; what is to be known of it on stderr.
fn made(context: &Context, answer: &str) -> anyhow::Result<()> {
    // Another command that takes it in needs no advice.
    if !context.show.json && std::io::stdout().is_terminal() {
        let value: Value = serde_json::from_str(answer)?;
        let until = value["expires_at"].as_str().unwrap_or_default().to_owned();
        let lets_in = match value["uses"].as_u64() {
            Some(1) => "lets in one node".to_owned(),
            Some(uses) => format!("lets in {uses} nodes"),
            None => "the federation is open: it holds no secret".to_owned(),
        };
        show::note(&format!("{lets_in}, until {until}; use it with: artel up --join INVITATION"));
    }
    context.show.answer(answer, |value| value["invitation"].as_str().unwrap_or_default().to_owned())
}

/// Reads a number with s, m, h or d.
fn milliseconds(text: &str) -> Result<u64, Usage> {
    let wrong = || Usage(format!("--for {text:?} is not a duration; write for example 90s, 15m, 12h or 7d"));
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(seconds * 1_000).filter(|ms| *ms > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, wanted) in
            [("90s", 90_000), ("15m", 900_000), ("12h", 43_200_000), ("7d", 604_800_000), ("1d", 86_400_000)]
        {
            assert_eq!(milliseconds(text).ok(), Some(wanted), "{text}");
        }
        for text in [
            "",
            "7",
            "d",
            "0d",
            "-1d",
            "1.5h",
            "7 d",
            "7w",
            "7é",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
