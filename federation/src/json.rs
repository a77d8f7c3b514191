//! A user's JSON as the bytes they sent: kept, hashed and handed on, never looked into by the rules.

use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::Digest;
use std::sync::Arc;

/// JSON text as bytes; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Json(Arc<[u8]>);

impl Json {
    /// Wraps bytes that the edge has checked to be JSON.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Json(bytes.into())
    }
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
    /// How many bytes they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is nothing at all, which no JSON text is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Their digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}

impl Encode for Json {
    fn encode<E: bincode::enc::Encoder>(&self, encoder: &mut E) -> Result<(), bincode::error::EncodeError> {
        self.0.encode(encoder)
    }
}

impl<C> Decode<C> for Json {
    fn decode<D: bincode::de::Decoder<Context = C>>(d: &mut D) -> Result<Self, bincode::error::DecodeError> {
        Vec::<u8>::decode(d).map(|bytes| Json(bytes.into()))
    }
}

bincode::impl_borrow_decode!(Json);
