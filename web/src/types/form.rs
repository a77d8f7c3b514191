//! The forms of texts and numbers in JSON, for the API's document: what [`super::edge`] writes and reads, as JSON Schemas.
//! Each stands for a checked type of the protocol; the pattern is what its reader takes, so far as a pattern can say it.

use super::agent::Score;
use super::enroll::Metadata;
use super::json::Json;
use super::ledger::Balance;
use super::page::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use artel_protocol::amount::{CREDITS_MAX, UNITS_PER_CREDIT};
use artel_protocol::text::CORRELATION_BYTES_MAX;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;

macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident $schema:tt)*) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        )*
    };
}

/// `name` or `name@version`.
const SKILL: &str = "^[A-Za-z0-9._/+-]{1,64}(@[0-9]{1,9})?$";

forms! {
    /// A UUID in its text form, lower case.
    Uuid {"type": "string", "format": "uuid"}
    /// A `did:key` of an Ed25519 key.
    Did {"type": "string", "pattern": "^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$"}
    /// The name of a federation.
    Federation {"type": "string", "minLength": 1}
    /// SHA-256 of something.
    Digest {"type": "string", "pattern": "^(sha256:)?[0-9a-f]{64}$"}
    /// A moment (RFC 3339).
    Time {"type": "string", "format": "date-time"}
    /// `name` or `name@version`.
    Skill {"type": "string", "pattern": SKILL}
    /// A request's correlation id.
    Correlation {"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": CORRELATION_BYTES_MAX}
    /// An Ed25519 signature: 64 bytes in base64url.
    Signature {"type": "string", "pattern": "^[A-Za-z0-9_-]{85}[AQgw](==)?$"}
    /// Bytes in base64.
    Base64 {"type": "string", "contentEncoding": "base64", "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw](==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=?)?$"}
    /// Bytes in base64url, without padding.
    Base64Url {"type": "string", "contentEncoding": "base64url", "pattern": "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$"}
    /// A JSON object of the caller's own.
    Object {"type": "object"}
    /// What should run a step.
    Runner {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "const": "wasm"},
            "module": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
        },
        "required": ["kind", "module"],
        "additionalProperties": false
    }
    /// A JSON Schema.
    OutputSchema {"type": ["object", "boolean"]}
    /// The index of a journal entry.
    Index {"type": "integer", "minimum": 0, "maximum": (u64::MAX)}
    /// A part of a path.
    PathText {"type": "string", "minLength": 1}
    /// A cursor as an answer gave it.
    Cursor {"type": "string", "minLength": 1, "maxLength": 200}
    /// How many items a page has at most.
    Limit {"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": PAGE_ITEMS_DEFAULT}
}

/// The number of a lease of one task; 0 before the first, which nobody names.
pub(crate) struct Epoch;

impl JsonSchema for Epoch {
    fn schema_name() -> Cow<'static, str> {
        "Epoch".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let least = u32::from(generator.contract().is_deserialize());
        json_schema!({"type": "integer", "minimum": least, "maximum": u32::MAX})
    }
}

/// Credits, an exact decimal with at most six places. One that is asked for is bounded, a sum is not.
pub(crate) struct Amount;

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({"type": "number", "minimum": 0});
        if generator.contract().is_deserialize() {
            schema.insert("maximum".into(), (CREDITS_MAX.0 / UNITS_PER_CREDIT).into());
        }
        schema
    }
}

macro_rules! as_form {
    ($($type:ty: $schema:tt;)*) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

as_form! {
    Json: {"description": "any JSON"};
    Score: {"type": "number", "minimum": 0, "maximum": 100};
    Balance: {"type": "number"};
    Metadata: {
        "type": "object",
        "properties": {
            "capabilities": {"type": "array", "items": {"type": "string", "pattern": SKILL}},
            "capacity": {"type": ["integer", "null"], "minimum": 1, "maximum": 4_294_967_295_u32}
        }
    };
}

/// The schema of one form.
pub(crate) fn schema<T: JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}
