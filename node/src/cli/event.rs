//! `artel event`: what happened, and saying that something did.

use super::context::Context;
use super::watch::{self, Event as Seen, Events};
use super::{input, show};
use crate::client::escape;
use clap::Subcommand;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};

/// Emit events and follow them.
#[derive(Subcommand, Debug)]
pub enum Event {
    /// Emit an event as the operator.
    Emit {
        /// What happened; begins with a letter.
        name: String,
        /// What is to be said of it: a JSON object, @FILE or - for stdin.
        #[arg(long, default_value = "{}", value_name = "JSON")]
        body: String,
        /// The run that it is about.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
    },
    /// Show events as they happen, one a line, until interrupted.
    Tail {
        /// Only events behind this cursor.
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
        /// Only those of this name.
        #[arg(long)]
        name: Option<String>,
        /// Only those about this run.
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
        /// End when nothing happened for twenty seconds.
        #[arg(long)]
        until_quiet: bool,
    },
}

#[derive(Serialize)]
struct Post {
    event_name: String,
    data: Box<RawValue>,
    run_id: Option<String>,
}

impl Event {
    /// Does it.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        match self {
            Event::Emit { name, body, run } => {
                let post = Post { event_name: name, data: input::json("the body", &body)?, run_id: run };
                let answer = client.post("/v1/events", &post, 0).await?.unwrap_or_default();
                context.show.fields(
                    &answer,
                    &[
                        ("event", "event_id"),
                        ("name", "event_name"),
                        ("at", "occurred_at"),
                        ("entry", "entry"),
                    ],
                )
            }
            Event::Tail { after, name, run, until_quiet } => {
                let wanted = [("event_name", name), ("run_id", run)];
                let filter: Vec<String> = wanted
                    .into_iter()
                    .filter_map(|(key, value)| Some(format!("{key}={}", escape(&value?))))
                    .collect();
                let mut events = Events::new(&client, filter.join("&"), after);
                let mut interrupt = signal(SignalKind::interrupt())?;
                // Who follows for ever waits for a node that is away; who wants an end has to know where it is.
                let end = if until_quiet { Some(watch::now(&client).await?) } else { None };
                loop {
                    let items = tokio::select! {
                        items = events.next_patiently(watch::WAIT_MS) => items?,
                        _ = interrupt.recv() => return Ok(()),
                    };
                    if items.is_empty() && end.as_ref().is_some_and(|end| events.is_past(end)) {
                        return Ok(());
                    }
                    for item in items {
                        match serde_json::from_str::<Seen>(item.get()) {
                            Ok(event) => watch::tell(context, &event, &item)?,
                            Err(_) => {
                                show::note("an event of an unknown form was left out; update this program")
                            }
                        }
                    }
                }
            }
        }
    }
}
