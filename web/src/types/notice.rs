//! Notices: what an agent is told of itself and its work, derived from the journal's entries.

use super::{Json, edge, form};
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a notice is about. The names are those of a message's `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A task that it has the skills for is offered. Told as it happens, and not kept: what is open is claimed, or gone.
    TaskAvailable,
    /// It has won a task.
    LeaseGranted,
    /// It is about to lose one: a third of the lease's term is left. It follows from the clock and is kept nowhere: it is told while
    /// it is true, and whoever comes back meanwhile is told again.
    LeaseExpiring,
    /// It has lost one: the lease ran out.
    LeaseLapsed,
    /// A lease is over otherwise: its task was cancelled, or is over at its home.
    LeaseEnded,
    /// A result of it was judged.
    Quality,
    /// A result of it that was accepted was found to be another one, and what it brought is taken back.
    Refuted,
    /// Its record has changed.
    Reputation,
    /// It was paid.
    Earning,
    /// Its credential, or the node, has changed.
    System,
}

/// A notice.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Notice {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: NoticeKind,
    /// Behind what it stands: `after` with it goes on behind this notice and, where its entry has others, tells them all again.
    pub cursor: String,
    /// When it happened.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub at: Wall,
    /// The request that caused it.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Correlation>")]
    pub correlation_id: Option<Correlation>,
    /// Whether it was marked read.
    pub read: bool,
    /// What it says.
    pub data: Json,
}

/// Which notices are wanted.
#[derive(Debug, Clone, Default)]
pub struct NoticeQuery {
    /// Only those behind this cursor; without one, those that are not marked read.
    pub after: Option<String>,
    /// Only these kinds; all where there are none.
    pub kinds: Vec<NoticeKind>,
    /// How many entries at most they may be of.
    pub limit: u32,
}

/// Some notices, as they come.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The notices.
    pub items: Vec<Notice>,
    /// A stretch whose passing notices ([`NoticeKind::TaskAvailable`], [`NoticeKind::System`] of the node) are not told any
    /// more; everything else in it is.
    pub gap: Option<Gap>,
}

/// What a reader who was away is not told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first entry of it.
    pub from_entry: u64,
    /// The first entry behind it.
    pub to_entry: u64,
}

/// `GET /v1/notifications`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Notifications {
    /// The notices, oldest first.
    pub items: Vec<Notice>,
    /// Where the next page begins; absent on the last one.
    pub next_cursor: Option<String>,
    /// Up to where they are marked read; null where none is.
    pub read_up_to: Option<String>,
}

/// `POST /v1/notifications/mark-read`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkRead {
    /// Everything up to this cursor is read.
    pub up_to: String,
}

/// The answer to it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Marked {
    /// Up to where they are marked read now: a mark never goes back.
    pub read_up_to: String,
}
