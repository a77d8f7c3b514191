//! Events: what happened here, in the journal's order, in the shape of xyn-seed §45.3.

use super::{Json, edge, form, object};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An event's id: a UUID (version 7) made of its journal entry's moment and index, so that the entry is found without
/// a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

impl EventId {
    /// The id of the event that journal entry `index` of that moment tells of.
    pub fn new(at: Wall, index: u64) -> Self {
        let mut b = [0; 16];
        b[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
        b[6] = 0x70;
        b[8..].copy_from_slice(&(0x8000_0000_0000_0000 | index & INDEX_MASK).to_be_bytes());
        EventId(b)
    }

    /// The journal entry's index.
    pub fn index(self) -> u64 {
        u64::from_be_bytes(self.0[8..].try_into().expect("eight of sixteen bytes")) & INDEX_MASK
    }

    /// The journal entry's moment.
    pub fn at(self) -> Wall {
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&self.0[..6]);
        Wall(u64::from_be_bytes(ms))
    }

    /// Reads an event's id; nothing where the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        // The text form is the one of every other UUID here.
        let id = artel_protocol::id::EnrollmentId::parse(text).ok()?;
        let id = EventId(*id.bytes());
        (id == EventId::new(id.at(), id.index())).then_some(id)
    }
}

/// The variant's two bits are not part of the index.
const INDEX_MASK: u64 = 0x3fff_ffff_ffff_ffff;

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = u128::from_be_bytes(self.0);
        let part = |shift: u32, bits: u32| (n >> shift) & ((1 << bits) - 1);
        let (a, b, c) = (part(96, 32), part(80, 16), part(64, 16));
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", part(48, 16), part(0, 48))
    }
}

/// An event.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Event {
    /// Its id.
    #[serde(serialize_with = "edge::text")]
    #[schemars(with = "form::Uuid")]
    pub event_id: EventId,
    /// What happened.
    pub event_name: String,
    /// When.
    #[serde(serialize_with = "edge::time")]
    #[schemars(with = "form::Time")]
    pub occurred_at: Wall,
    /// In which environment.
    pub env_id: String,
    /// Who did it: `operator`, `system` or a did.
    pub actor: String,
    /// The request that caused it. The seed puts it here, so this answer's own correlation id is in its header only.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Correlation>")]
    pub correlation_id: Option<Correlation>,
    /// The run that it is about.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub run_id: Option<RunId>,
    /// The step that it is about.
    #[serde(serialize_with = "edge::text_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub step_id: Option<StepId>,
    /// The thing that it is about.
    pub resource: Option<Resource>,
    /// What is to be said of it.
    pub data: Json,
    /// The journal entry.
    pub entry: u64,
}

/// A thing that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which one.
    pub id: String,
}

/// `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventQuery {
    /// Only events behind this cursor; `after` and `cursor` are the same.
    pub after: Option<String>,
    /// How long to wait for one when there is none, in milliseconds.
    pub wait_ms: u32,
    /// How many at most.
    pub limit: u32,
    /// Only those of this name; what the names of the node's own begin with may be left out.
    pub event_name: Option<String>,
    /// Only those about this run.
    pub run_id: Option<RunId>,
}

/// `POST /v1/events`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventPost {
    /// What happened; begins with a letter.
    pub event_name: String,
    /// The thing that it is about.
    #[serde(default, deserialize_with = "object::read_or_null")]
    pub resource: Option<Resource>,
    /// What is to be said of it, a JSON object.
    #[serde(default, deserialize_with = "edge::read_object")]
    #[schemars(with = "form::Object")]
    pub data: Json,
    /// The run that it is about.
    #[serde(default, deserialize_with = "edge::read_run_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub run_id: Option<RunId>,
    /// The step that it is about.
    #[serde(default, deserialize_with = "edge::read_step_or_null")]
    #[schemars(with = "Option<form::Uuid>")]
    pub step_id: Option<StepId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_names_its_entry() {
        let id = EventId::new(Wall(1_771_588_800_123), 0x1_2345_6789);
        assert_eq!(id.to_string(), "019c7aeb-ce7b-7000-8000-000123456789");
        assert_eq!((id.index(), id.at()), (0x1_2345_6789, Wall(1_771_588_800_123)));
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for text in ["", "019c7aeb-ce7b-7001-8000-000123456789", "019c7aeb-ce7b-7000-c000-000123456789"] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }
}
