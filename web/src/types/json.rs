//! A user's JSON as the bytes they sent: checked once at the edge, then copied, never looked into.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// JSON text; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// Wraps bytes that were checked to be JSON when they came in.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Json(bytes.into())
    }

    /// The empty object.
    pub fn object() -> Self {
        Json(Bytes::from_static(b"{}"))
    }

    /// The text's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text's bytes, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Whether the text is a JSON object.
    pub fn is_object(&self) -> bool {
        self.0.trim_ascii_start().starts_with(b"{")
    }
}

impl Default for Json {
    fn default() -> Self {
        Json::object()
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl Serialize for Json {
    /// Copies the text as it is. Reading it through once more costs about a nanosecond a byte and keeps a damaged
    /// text from making the whole answer something other than JSON.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: Box<str> = Box::<RawValue>::deserialize(deserializer)?.into();
        Ok(Json(Bytes::from(String::from(raw))))
    }
}
