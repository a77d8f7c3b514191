//! `artel reputation recompute`: an agent's score from the records in a data directory, as any node sees it, with each
//! receipt that counted. Offline: a copy of the directory is enough, and nobody's word is taken.

use super::context::{Context, Usage};
use super::progress::Progress;
use crate::clock::wall;
use crate::recompute::{self, Found};
use artel_audit::os::OsFiles;
use artel_federation::evidence::{Half, Learnt, Part, Receipt, View, Viewer};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::time::Wall;
use artel_reputation::Score;
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Compute an agent's score anew, from the records in a data directory or a copy of one.
#[derive(Args, Debug)]
pub struct Recompute {
    /// The agent's did; without it the agent of --key.
    did: Option<String>,
    /// As which node sees it; without it the one whose directory it is.
    #[arg(long, value_name = "NODE_DID")]
    viewer: Option<String>,
    /// As of when, in milliseconds since 1970; now without it. A score is the same for a whole UTC day.
    #[arg(long, value_name = "MS")]
    at: Option<u64>,
}

impl Recompute {
    /// Computes and shows it.
    ///
    /// # Errors
    /// [`Usage`] for what is no did, otherwise what is wrong with the directory.
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        let agent = match &self.did {
            Some(did) => AgentId::from_did(did)
                .map_err(|error| Usage(format!("{did} is no agent's did: {error}; see artel agent list")))?,
            None => AgentId(context.agent_key()?.public()),
        };
        let viewer = self.viewer.as_deref().map(|did| {
            NodeId::from_did(did).map_err(|error| Usage(format!("{did} is no node's did: {error}")))
        });
        let viewer = viewer.transpose()?;
        let (dir, now) = (context.data_or_default(), self.at.map_or_else(wall, Wall));
        let read = tokio::task::spawn_blocking({
            let dir = dir.clone();
            move || {
                let mut progress = Progress::new("entries read", None);
                let mut tell = |entries| progress.update(entries, "");
                recompute::read_with(Arc::new(OsFiles::new(&dir)), now, &mut tell)
            }
        });
        let found = read.await?.map_err(|error| anyhow::anyhow!("{}: {error:#}", dir.display()))?;
        let liars = found.liars();
        let viewer = Viewer::new(viewer.unwrap_or(found.me.node()), &found.genesis, &liars);
        let view = found.book.view(viewer, &agent, now);
        let shown = shown(&found, viewer, &agent, &view, now);
        context.show.done(&shown, &text(&shown))
    }
}

fn shown(found: &Found, viewer: Viewer<'_>, agent: &AgentId, view: &View, now: Wall) -> Value {
    let assessed = &view.assessment;
    let layer = |score: Option<Score>| score.map(|score| score.0);
    let marks = found.book.marks();
    let weights: BTreeMap<NodeId, &Part> = view.parts.iter().map(|part| (part.home, part)).collect();
    let (mut receipts, mut left_out) = (Vec::new(), Vec::new());
    let refuted: BTreeSet<(Origin, u64)> = found.learnt.iter().filter_map(refuted).collect();
    for piece in &found.learnt {
        match piece {
            Learnt::Receipt(receipt) if refuted.contains(&(receipt.home, receipt.verdict)) => {}
            Learnt::Refuted(receipt) if receipt.agent == *agent => {
                let why = "home has run it again and found it to be another result";
                left_out.push(with_why(receipt_of(receipt, 0), why));
            }
            Learnt::Receipt(receipt) if receipt.agent == *agent => {
                let weight = weights.get(&receipt.home.node()).map_or(0, |part| part.weight.get());
                match idle(receipt, viewer, weight) {
                    None => receipts.push(receipt_of(receipt, weight)),
                    Some(why) => left_out.push(with_why(receipt_of(receipt, 0), why)),
                }
            }
            Learnt::Lapse(lapse) if lapse.agent == *agent => {
                let row = json!({
                    "home": lapse.home.node().to_string(), "task_id": lapse.step.to_string(), "epoch": lapse.epoch.0,
                    "lapsed": lapse.index, "outcome": "lapsed", "at": lapse.at.iso8601(),
                });
                let counts = lapse.home.node() == viewer.node && !viewer.liars.contains(&viewer.node);
                match counts {
                    true => receipts.push(row),
                    false => left_out.push(with_why(row, "a lapse counts for its home alone, unless there is proof against it")),
                }
            }
            Learnt::LeftOut { home, step, epoch, agent: of, why } if of == agent => left_out.push(json!({
                "home": home.node().to_string(), "task_id": step.to_string(), "epoch": epoch.0, "why": why.sentence(),
            })),
            _ => {}
        }
    }
    left_out.extend(found.book.halves().filter_map(|half| half_of(&half, agent)));
    json!({
        "agent_id": agent.to_string(),
        "viewer": viewer.node.to_string(),
        "at": now.iso8601(),
        "score": assessed.score.0,
        "lower": assessed.lower.0,
        "shown": assessed.score.to_string(),
        "lower_shown": assessed.lower.to_string(),
        "level": assessed.level.name(),
        "layers": {
            "quality": layer(assessed.layers.quality), "success": layer(assessed.layers.success),
            "review": layer(assessed.layers.review),
        },
        "receipts_micro": assessed.receipts_micro,
        "homes": view.parts.iter().map(home_of).collect::<Vec<_>>(),
        "receipts": receipts,
        "left_out": left_out,
        "liars": found.liars.iter().map(|(node, kind)| json!({"node": node.to_string(), "kind": kind})).collect::<Vec<_>>(),
        "heads": found.book.heads(viewer.liars).hex(),
        "marks": marks.iter().map(|mark| json!({"origin": mark.origin.to_string(), "next": mark.next})).collect::<Vec<_>>(),
        "whole": found.book.is_whole(),
        "records": found.records,
        "refused": found.refused.iter().map(refused_of).collect::<Vec<_>>(),
        "refused_more": found.refused_more,
    })
}

/// Which verdict's receipt counts no more.
fn refuted(piece: &Learnt) -> Option<(Origin, u64)> {
    match piece {
        Learnt::Refuted(receipt) => Some((receipt.home, receipt.verdict)),
        _ => None,
    }
}

/// Why a receipt changes nothing for a viewer.
fn idle(receipt: &Receipt, viewer: Viewer<'_>, weight: u8) -> Option<&'static str> {
    if viewer.liars.contains(&receipt.home.node()) {
        return Some("there is proof that home has signed two histories");
    }
    if receipt.worker().is_some_and(|worker| viewer.liars.contains(&worker)) {
        return Some("there is proof that the worker's node has signed two histories");
    }
    if receipt.home.node() == viewer.node {
        return None;
    }
    if receipt.handed_in.is_none() {
        return Some("home vouches for an agent of its own");
    }
    (weight == 0).then_some("the viewer and the founders have settled nothing with this home")
}

fn receipt_of(receipt: &Receipt, weight: u8) -> Value {
    let handed_in = receipt
        .handed_in
        .map(|(origin, index)| json!({"node": origin.node().to_string(), "origin": origin.to_string(), "entry": index}));
    json!({
        "home": receipt.home.node().to_string(),
        "origin": receipt.home.to_string(),
        "task_id": receipt.step.to_string(),
        "epoch": receipt.epoch.0,
        "submitted": receipt.submitted,
        "verdict": receipt.verdict,
        "handed_in": handed_in,
        "outcome": receipt.outcome.name(),
        "quality": receipt.quality.map(|quality| quality.get()),
        "at": receipt.at.iso8601(),
        "weight_eighths": weight,
        "proofs": "hold",
    })
}

fn with_why(mut row: Value, why: &str) -> Value {
    row["why"] = json!(why);
    row
}

fn home_of(part: &Part) -> Value {
    json!({
        "home": part.home.to_string(),
        "weight_eighths": part.weight.get(),
        "settled": part.settled,
        "accepted": part.tally.accepted,
        "rejected": part.tally.rejected,
        "lapsed": part.tally.lapsed,
        "receipts_micro": part.share.receipts_micro,
        "counted_micro": part.share.counted_micro,
        "paid": crate::events::number(part.paid),
    })
}

fn half_of(half: &Half, agent: &AgentId) -> Option<Value> {
    let row = |home: &NodeId, step: String, epoch: u32, why: &str| json!({"home": home.to_string(), "task_id": step, "epoch": epoch, "why": why});
    match half {
        Half::Unjudged { home, step, epoch, agent: of, .. } if of == agent => {
            Some(row(&home.node(), step.to_string(), epoch.0, "home's verdict is not here"))
        }
        Half::Unhanded(receipt) if receipt.agent == *agent => {
            let why = "the record of the worker's node is not here";
            Some(row(&receipt.home.node(), receipt.step.to_string(), receipt.epoch.0, why))
        }
        Half::Unanswered { lease, agent: of, .. } if of == agent => {
            Some(row(&lease.home, lease.step.to_string(), lease.epoch.0, "home's records are not here"))
        }
        _ => None,
    }
}

fn refused_of((origin, what): &(Option<Origin>, String)) -> Value {
    json!({"origin": origin.as_ref().map(ToString::to_string), "what": what})
}

/// The same for people: the score, what each home adds, each receipt, and what was left out.
fn text(shown: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => super::show::plain(text),
        other => other.to_string(),
    };
    let micro = |value: &Value| {
        let micro = value.as_u64().unwrap_or_default();
        format!("{}.{:02}", micro / 1_000_000, micro / 10_000 % 100)
    };
    let list = |key: &str| shown[key].as_array().cloned().unwrap_or_default();
    let mut text = format!(
        "{} as {} sees it\nscore {} of 100, lower bound {}, {}, from {} receipts\n",
        word(&shown["agent_id"]),
        word(&shown["viewer"]),
        word(&shown["shown"]),
        word(&shown["lower_shown"]),
        word(&shown["level"]),
        micro(&shown["receipts_micro"]),
    );
    for home in list("homes") {
        text.push_str(&format!(
            "home {}: weight {}/8, {} accepted, {} rejected, {} lapsed; {} receipts, of which {} count\n",
            word(&home["home"]),
            home["weight_eighths"],
            home["accepted"],
            home["rejected"],
            home["lapsed"],
            micro(&home["receipts_micro"]),
            micro(&home["counted_micro"]),
        ));
    }
    for receipt in list("receipts") {
        let entries = match (&receipt["lapsed"], &receipt["handed_in"]) {
            (Value::Number(index), _) => format!("entry {index}"),
            (_, Value::Null) => format!("entries {} and {}", receipt["submitted"], receipt["verdict"]),
            (_, handed) => format!(
                "entries {} and {}, and entry {} of {}",
                receipt["submitted"],
                receipt["verdict"],
                handed["entry"],
                word(&handed["node"])
            ),
        };
        text.push_str(&format!(
            "counted: {} {} of {} at home {}, {entries}; the proofs hold\n",
            word(&receipt["outcome"]),
            word(&receipt["task_id"]),
            word(&receipt["at"]),
            word(&receipt["home"]),
        ));
    }
    for row in list("left_out") {
        let (task, home, why) = (word(&row["task_id"]), word(&row["home"]), word(&row["why"]));
        text.push_str(&format!("left out: {task} (epoch {}) at home {home}: {why}\n", row["epoch"]));
    }
    for row in list("liars") {
        let (node, kind) = (word(&row["node"]), word(&row["kind"]));
        text.push_str(&format!("proven liar: {node} ({kind}); nothing that its records bear out counts\n"));
    }
    for row in list("refused") {
        let of = row["origin"].as_str().map(|origin| format!(" of {}", super::show::plain(origin)));
        text.push_str(&format!("refused{}: {}\n", of.unwrap_or_default(), word(&row["what"])));
    }
    text.push_str(&format!(
        "{} records of {} journals, heads {}",
        shown["records"],
        list("marks").len(),
        word(&shown["heads"])
    ));
    text
}
