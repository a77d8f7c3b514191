//! How things are said on pages: moments, spans, amounts, states and ids. What makes HTML here makes it of closed words,
//! numbers and checked ids alone; text of others goes through the templates, which escape it.

use crate::types::agent::{AgentStatus, Level, Score, WorkOutcome};
use crate::types::doctor::FindingStatus;
use crate::types::ledger::Balance;
use crate::types::member::InvitationStatus;
use crate::types::notice::NoticeKind;
use crate::types::peer::{PeerStatus, Quarantine};
use crate::types::run::{RunStatus, StepStatus};
use crate::types::task::{Complexity, TaskStatus};
use artel_protocol::amount::Credits;
use artel_protocol::id::{ArtifactId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::time::Wall;
use std::fmt::{self, Display};
use std::time::{SystemTime, UNIX_EPOCH};

/// HTML that was made here and is not escaped again.
pub(super) struct Html(String);

impl Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

/// What a state means, which is its colour and its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// It waits.
    Idle,
    /// Work is going on.
    Busy,
    /// Done, and right.
    Good,
    /// Somebody should look.
    Warn,
    /// Wrong.
    Bad,
    /// Over, and nothing came of it.
    Off,
}

impl Tone {
    /// The style's name.
    pub fn name(self) -> &'static str {
        match self {
            Tone::Idle => "idle",
            Tone::Busy => "busy",
            Tone::Good => "good",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Off => "off",
        }
    }
}

/// A word with the tone it has.
pub(super) trait State {
    /// The word and the tone.
    fn said(&self) -> (&'static str, Tone);
}

impl<T: State> State for &T {
    fn said(&self) -> (&'static str, Tone) {
        (*self).said()
    }
}

macro_rules! states {
    ($($type:ident { $($variant:ident $word:literal $tone:ident,)* })*) => {
        $(impl State for $type {
            fn said(&self) -> (&'static str, Tone) {
                match self { $($type::$variant => ($word, Tone::$tone),)* }
            }
        })*
    };
}

states! {
    RunStatus {
        Created "created" Idle, Running "running" Busy, Completed "completed" Good, Failed "failed" Bad, Cancelled "cancelled" Off,
    }
    StepStatus {
        Created "waiting" Idle, Running "running" Busy, Completed "completed" Good, Failed "failed" Bad, Skipped "skipped" Off,
        Cancelled "cancelled" Off,
    }
    TaskStatus {
        Created "waiting" Idle, Available "available" Idle, Claimed "claimed" Busy, Submitted "submitted" Busy,
        Accepted "accepted" Good, Failed "failed" Bad, Cancelled "cancelled" Off,
    }
    WorkOutcome {
        Held "held" Busy, Submitted "submitted" Busy, Accepted "accepted" Good, Rejected "rejected" Bad, Lapsed "lapsed" Warn,
        Refuted "refuted" Bad, Released "released" Off, Cancelled "cancelled" Off,
    }
    NoticeKind {
        TaskAvailable "task available" Idle, LeaseGranted "lease won" Busy, LeaseExpiring "lease runs out" Warn,
        LeaseLapsed "lease lapsed" Warn, LeaseEnded "lease ended" Off, Quality "accepted" Good, Refuted "refuted" Bad,
        Reputation "record changed" Idle, Earning "paid" Good, System "node" Idle,
    }
    FindingStatus { Ok "ok" Good, Unknown "unknown" Idle, Warn "warning" Warn, Fail "fails" Bad, }
    AgentStatus { Active "active" Good, Revoked "revoked" Off, }
    InvitationStatus { Live "open" Good, Spent "used up" Off, Expired "expired" Off, }
    PeerStatus {
        Connecting "connecting" Idle, Admitted "admitted" Good, Refused "refuses us" Warn, Quarantined "quarantined" Bad,
    }
    Quarantine { Suspected "suspected" Warn, Proven "proven liar" Bad, }
    Level { Novice "novice" Idle, Intermediate "intermediate" Idle, Expert "expert" Idle, Master "master" Idle, }
    Complexity { Simple "simple" Idle, Medium "medium" Idle, Complex "complex" Idle, Premium "premium" Idle, }
}

/// A state as a badge.
pub(super) fn state(of: &impl State) -> Html {
    let (word, tone) = of.said();
    Html(format!("<span class=\"state {}\">{word}</span>", tone.name()))
}

/// The word of a state.
pub(super) fn word(of: &impl State) -> &'static str {
    of.said().0
}

/// The wall clock.
pub(super) fn now() -> Wall {
    Wall(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}

/// A moment, told from now; a script keeps it true.
pub(super) fn when(at: &Wall) -> Html {
    Html(format!("<time datetime=\"{0}\" title=\"{0}\">{1}</time>", at.iso8601(), from_now(*at, now())))
}

fn from_now(at: Wall, now: Wall) -> String {
    let (past, ms) = if at <= now { (true, now.since_ms(at)) } else { (false, at.since_ms(now)) };
    let told = match ms / 1_000 {
        0..2 => return "now".into(),
        s @ 2..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..86_400 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    };
    if past { format!("{told} ago") } else { format!("in {told}") }
}

/// A moment's time of day with the date as its title: for lists in which all is of one day.
pub(super) fn clock(at: &Wall) -> Html {
    let iso = at.iso8601();
    Html(format!("<time datetime=\"{iso}\" title=\"{iso}\" data-clock>{}</time>", &iso[11..19]))
}

/// A moment in full.
pub(super) fn moment(at: &Wall) -> String {
    at.iso8601()[..19].replace('T', " ") + " UTC"
}

/// How long it took.
pub(super) fn took(from: &Wall, to: &Wall) -> String {
    match to.since_ms(*from) {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..60_000 => format!("{}.{} s", ms / 1_000, ms / 100 % 10),
        ms => duration(&(ms / 1_000)),
    }
}

/// Seconds as people say them.
pub(super) fn duration(seconds: &u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A number with its thousands apart.
pub(super) fn number(n: &u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the unit that people read.
pub(super) fn bytes(n: &u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", n / unit, n % unit * 10 / unit);
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

/// A count in the unit that its label says.
pub(super) fn count(label: &str, n: &u64) -> String {
    if label.ends_with(" bytes") { bytes(n) } else { number(n) }
}

/// An amount.
pub(super) fn credits(amount: &Credits) -> String {
    amount.decimal()
}

/// A balance, which may be below zero.
pub(super) fn balance(balance: &Balance) -> String {
    let sign = if balance.0 < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}", Credits(balance.0.unsigned_abs()).decimal())
}

/// A score out of a hundred.
pub(super) fn score(score: &Score) -> String {
    format!("{}.{}", score.0 / 10_000, score.0 / 1_000 % 10)
}

/// An id whose beginning is a moment and whose end tells it apart: both ends of it.
pub(super) fn id(id: &impl Display) -> Html {
    let full = id.to_string();
    let plain = full.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:.=".contains(&b));
    if !plain || full.len() < 20 {
        return Html(format!("<code>{}</code>", if plain { &full } else { "" }));
    }
    let tail = tail(&full);
    Html(format!("<code class=\"id\" title=\"{full}\">…{tail}</code>"))
}

/// A node, by the end of its peer id wherever it stands.
pub(super) fn node(node: &NodeId) -> Html {
    id(&node.key().peer_id())
}

/// The end of an id, as far as it is shown.
pub(super) fn tail(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or_default()
}

/// A run, to go to.
pub(super) fn run(id: &RunId) -> Html {
    let full = id.to_string();
    Html(format!(
        "<a class=\"id\" href=\"/ui/runs/{full}\" data-testid=\"to-run\" title=\"{full}\">…{}</a>",
        &full[full.len() - 8..]
    ))
}

/// A task, to go to.
pub(super) fn task(id: &StepId) -> Html {
    let full = id.to_string();
    Html(format!(
        "<a class=\"id\" href=\"/ui/tasks/{full}\" data-testid=\"to-task\" title=\"{full}\">…{}</a>",
        &full[full.len() - 8..]
    ))
}

/// An artifact, to go to.
pub(super) fn artifact(id: &ArtifactId) -> Html {
    let full = id.to_string();
    Html(format!(
        "<a class=\"id\" href=\"/ui/artifacts/{full}\" data-testid=\"to-artifact\" title=\"{full}\">…{}</a>",
        &full[full.len() - 8..]
    ))
}

/// An agent, to go to.
pub(super) fn agent(id: &AgentId) -> Html {
    let full = id.to_string();
    Html(format!(
        "<a class=\"id\" href=\"/ui/agents/{full}\" data-testid=\"to-agent\" title=\"{full}\">…{}</a>",
        &full[full.len() - 8..]
    ))
}

/// Who did it: an agent to go to, or the word.
pub(super) fn actor(who: &str) -> Html {
    match AgentId::from_did(who) {
        Ok(id) => agent(&id),
        Err(_) => Html(match who {
            "operator" => "operator".into(),
            _ => "the node".into(),
        }),
    }
}

/// An event's name without what the operator put before all of them.
pub(super) fn event_name(name: &str) -> &str {
    name.strip_prefix("xyn.").unwrap_or(name)
}

/// The tone of an event, by how its name ends.
pub(super) fn event_tone(name: &str) -> &'static str {
    let tone = match name.rsplit('.').next().unwrap_or_default() {
        "accepted" | "completed" | "enrolled" | "admitted" | "created" | "founded" | "joined" | "started" => {
            Tone::Good
        }
        "claimed" | "submitted" | "drawn" | "redone" => Tone::Busy,
        "lapsed" | "released" | "cancelled" | "cancel_asked" | "revoked" => Tone::Warn,
        "failed" | "rejected" | "expelled" | "fraud_proven" => Tone::Bad,
        _ => Tone::Idle,
    };
    tone.name()
}

/// A part of a whole in thousandths, for bars.
pub(super) fn permille(part: u64, whole: u64) -> u64 {
    (part.min(whole) * 1_000).checked_div(whole).unwrap_or(0)
}

/// A score's width in a bar of a thousand.
pub(super) fn score_permille(score: &Score) -> u32 {
    (score.0 / 1_000).min(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_from_now() {
        let now = Wall(1_000_000_000);
        for (at, told) in [
            (1_000_000_000, "now"),
            (999_970_000, "30 s ago"),
            (999_000_000, "16 min ago"),
            (1_000_090_000, "in 1 min"),
            (900_000_000, "1 d ago"),
        ] {
            assert_eq!(from_now(Wall(at), now), told);
        }
    }

    #[test]
    fn numbers_and_bytes_read_well() {
        for (n, told) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(&n), told);
        }
        for (n, told) in [(999, "999 B"), (1_500, "1.5 kB"), (250_000_000, "250.0 MB")] {
            assert_eq!(bytes(&n), told);
        }
        assert_eq!(balance(&Balance(-1_500_000)), "\u{2212}1.5");
        assert_eq!(score(&Score(749_999)), "74.9");
    }

    #[test]
    fn an_actor_is_a_did_or_a_word_of_ours() {
        assert_eq!(actor("<script>").to_string(), "the node");
        assert_eq!(actor("operator").to_string(), "operator");
        assert_eq!(id(&"<b>0123456789012345678901</b>").to_string(), "<code></code>");
    }
}
