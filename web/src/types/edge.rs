//! How the protocol's checked types are written in JSON and read from it: ids as text, amounts as exact decimals,
//! times as ISO 8601. No amount ever passes through floating point.

use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::Error as _;
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Display;

/// Padding is written by some and left out by others; both are read.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Base64url without padding (RFC 4648 §5), the form of keys and signatures.
pub const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));
/// Base64 with padding (RFC 4648 §4), the form of files and of the log's hashes.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);

/// Writes anything that prints as its text form.
pub fn text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Writes text or `null`.
pub fn text_or_null<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

struct AsText<'a, T>(&'a T);

impl<T: Display> Serialize for AsText<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// Writes a list of texts.
pub fn texts<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(AsText))
}

/// Writes named lists of texts as one object.
pub fn texts_by_name<T: Display, S: Serializer>(
    pairs: &[(String, Vec<T>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (name, values) in pairs {
        map.serialize_entry(name, &values.iter().map(AsText).collect::<Vec<_>>())?;
    }
    map.end()
}

/// Writes named values as one object.
pub fn by_name<T: Serialize, S: Serializer>(pairs: &[(String, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// Writes a moment.
pub fn time<S: Serializer>(value: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.iso8601())
}

/// Writes a moment or `null`.
pub fn time_or_null<S: Serializer>(value: &Option<Wall>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => time(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Writes an amount as a decimal number.
pub fn credits<S: Serializer>(value: &Credits, serializer: S) -> Result<S::Ok, S::Error> {
    decimal(value.decimal(), serializer)
}

/// Writes a decimal number exactly as its digits stand.
pub fn decimal<S: Serializer>(digits: String, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(digits).map_err(S::Error::custom)?.serialize(serializer)
}

/// Writes an epoch as its number.
pub fn epoch<S: Serializer>(value: &Epoch, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(value.0)
}

/// Writes a signature in base64url.
pub fn signature_or_null<S: Serializer>(value: &Option<Signature>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(signature) => serializer.serialize_str(&BASE64_URL.encode(signature.0)),
        None => serializer.serialize_none(),
    }
}

/// Writes bytes in base64.
pub fn bytes<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(value))
}

fn read<'de, D: Deserializer<'de>, T, E: Display>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

fn read_or_null<'de, D: Deserializer<'de>, T, E: Display>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, D::Error> {
    let text = Option::<Cow<'_, str>>::deserialize(deserializer)?;
    text.map(|text| parse(&text)).transpose().map_err(D::Error::custom)
}

/// Reads an agent's did.
pub fn read_agent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AgentId, D::Error> {
    read(deserializer, AgentId::from_did)
}

/// Reads a signature in base64url.
pub fn read_signature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
    read(deserializer, parse_signature)
}

/// Reads a signature in base64url; nothing from text that is none.
pub fn read_signature_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Signature>, D::Error> {
    read(deserializer, |text| Ok::<_, &str>(parse_signature(text).ok()))
}

/// Reads a run's id, or `null`.
pub fn read_run_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RunId>, D::Error> {
    read_or_null(deserializer, RunId::parse)
}

/// Reads a step's id, or `null`.
pub fn read_step_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StepId>, D::Error> {
    read_or_null(deserializer, StepId::parse)
}

/// Reads a digest, or `null`.
pub fn read_digest_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    read_or_null(deserializer, Digest::parse)
}

/// Reads a moment, or `null`.
pub fn read_time_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Wall>, D::Error> {
    read_or_null(deserializer, parse_time)
}

/// Reads a node's did, or null.
pub fn read_node_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NodeId>, D::Error> {
    read_or_null(deserializer, NodeId::from_did)
}

/// Reads an epoch: a lease's number, 1 or more.
pub fn read_epoch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Epoch, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom("an epoch is 1 or more")),
        n => Ok(Epoch(n)),
    }
}

/// Reads an amount from a JSON number, digit by digit.
pub fn read_credits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Credits, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Credits::parse(raw.get()).map_err(D::Error::custom)
}

/// Reads a list of skills.
pub fn read_skills<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Skill>, D::Error> {
    let texts = Vec::<Cow<'_, str>>::deserialize(deserializer)?;
    texts.iter().map(|text| Skill::parse(text).map_err(D::Error::custom)).collect()
}

/// Reads a list of skills, or `null`.
pub fn read_skills_or_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Skill>>, D::Error> {
    let Some(texts) = Option::<Vec<Cow<'_, str>>>::deserialize(deserializer)? else { return Ok(None) };
    texts.iter().map(|text| Skill::parse(text).map_err(D::Error::custom)).collect::<Result<_, _>>().map(Some)
}

/// Reads a list of digests.
pub fn read_digests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    let texts = Vec::<Cow<'_, str>>::deserialize(deserializer)?;
    texts.iter().map(|text| Digest::parse(text).map_err(D::Error::custom)).collect()
}

/// Reads bytes in base64url.
pub fn read_base64url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    read(deserializer, |text| BASE64_URL.decode(text))
}

/// Reads bytes in base64, or `null`.
pub fn read_base64_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    read_or_null(deserializer, |text| BASE64.decode(text))
}

/// Reads a JSON object and keeps its text.
pub fn read_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<crate::types::Json, D::Error> {
    let json = crate::types::Json::deserialize(deserializer)?;
    if json.is_object() { Ok(json) } else { Err(D::Error::custom("want a JSON object here")) }
}

/// Reads a JSON object and keeps its text, or `null`.
pub fn read_object_or_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<crate::types::Json>, D::Error> {
    let json = crate::types::Json::deserialize(deserializer)?;
    match json.bytes() {
        b"null" => Ok(None),
        _ if json.is_object() => Ok(Some(json)),
        _ => Err(D::Error::custom("want a JSON object here")),
    }
}

/// Reads a moment in ISO 8601 with its offset: `2026-02-20T12:00:00Z`.
///
/// # Errors
/// A sentence that shows the form.
pub fn parse_time(text: &str) -> Result<Wall, &'static str> {
    let wrong = "not a time: write ISO 8601 in UTC, as 2026-02-20T12:00:00Z";
    let moment = chrono::DateTime::parse_from_rfc3339(text).map_err(|_| wrong)?;
    u64::try_from(moment.timestamp_millis()).map(Wall).map_err(|_| wrong)
}

fn parse_signature(text: &str) -> Result<Signature, &'static str> {
    let wrong = "not a signature: want 64 bytes in base64url";
    let bytes = BASE64_URL.decode(text).map_err(|_| wrong)?;
    bytes.try_into().map(Signature).map_err(|_| wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize)]
    struct Amount(#[serde(serialize_with = "credits", deserialize_with = "read_credits")] Credits);

    #[test]
    fn amounts_are_exact_decimals() {
        for (json, units, written) in [
            ("50", 50_000_000, "50"),
            ("0.1", 100_000, "0.1"),
            ("123456789.123456", 123_456_789_123_456, "123456789.123456"),
            ("1e2", 100_000_000, "100"),
            ("0.30000000000000004", 300_000, "0.3"),
        ] {
            let amount: Amount = serde_json::from_str(json).expect(json);
            assert_eq!(amount.0, Credits(units), "{json}");
            assert_eq!(serde_json::to_string(&amount).expect("plain"), written);
        }
        for json in ["-1", "\"50\"", "null", "1e99", "[]"] {
            assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn times_are_read_with_their_offset() {
        for (text, ms) in [
            ("2026-02-20T12:00:00Z", 1_771_588_800_000),
            ("2026-02-20T12:00:00.123Z", 1_771_588_800_123),
            ("2026-02-20T14:00:00+02:00", 1_771_588_800_000),
        ] {
            assert_eq!(parse_time(text), Ok(Wall(ms)), "{text}");
        }
        for text in [
            "",
            "2026-02-20",
            "2026-02-20 12:00",
            "1969-12-31T23:59:59Z",
            "2026-02-30T12:00:00Z",
            "1771588800",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn signatures_are_read_padded_and_bare() {
        let bytes = [7; 64];
        let bare = BASE64_URL.encode(bytes);
        assert_eq!(parse_signature(&bare).map(|s| s.0), Ok(bytes));
        assert_eq!(parse_signature(&format!("{bare}==")).map(|s| s.0), Ok(bytes));
        for text in ["", "AAAA", &format!("{bare}AA"), &bare.replace('B', "+")] {
            assert!(parse_signature(text).is_err(), "{text}");
        }
    }
}
