//! Books as they were written before this form: what they read is the same, what homes paid was not kept, or was for everybody.

use super::book::{Book, Evidence};
use super::paid::Paid;
use artel_protocol::amount::Credits;
use artel_protocol::codec::Decode;
use artel_protocol::key::{AgentId, NodeId};
use bincode::de::Decoder;
use bincode::error::DecodeError;
use std::collections::BTreeMap;

/// Without what homes paid.
#[derive(Decode)]
pub struct FifthForm(Evidence);

/// With what homes paid everybody.
pub struct SixthForm(Evidence);

/// By home and agent, and how many rows that has.
type PaidToAll = (BTreeMap<NodeId, BTreeMap<AgentId, Credits>>, u64);

impl<C> Decode<C> for SixthForm {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let evidence = Evidence::decode(decoder)?;
        PaidToAll::decode(decoder)?;
        Ok(SixthForm(evidence))
    }
}

impl From<FifthForm> for Book {
    fn from(FifthForm(evidence): FifthForm) -> Self {
        Book { evidence, paid: Paid::default() }
    }
}

impl From<SixthForm> for Book {
    /// What was paid and what was taken back of it are one sum there, so both begin anew.
    fn from(SixthForm(evidence): SixthForm) -> Self {
        Book { evidence, paid: Paid::default() }
    }
}
