//! The evidence that a score is made of: outcomes from receipts, and drawn reviewers' ratings. Whether a piece of
//! evidence is genuine, new and allowed to count is settled before it gets here.

use artel_protocol::codec::{Decode, Encode};
use artel_protocol::time::Wall;
use bincode::de::Decoder;
use bincode::error::DecodeError;

/// A mark from 0 to 100: what checkers or a reviewer gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Quality(u8);

/// How one lease ended for the agent that held it. Layer 2 counts it with [`Outcome::marks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Outcome {
    /// Accepted, and submitted before the deadline.
    OnTime,
    /// Accepted, but submitted after the deadline.
    Late,
    /// Delivered, and refused with findings.
    Rejected,
    /// The lease ran out without a submission.
    Lapsed,
    /// The agent reported that it failed, or an accepted result was shown to be wrong by a redo. The latter is one more
    /// piece of evidence: the acceptance stays.
    Failed,
}

/// What was learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Fact {
    /// One receipt: evidence for layer 2, and for layer 1 where checkers or a schema judged the result.
    Receipt {
        /// How it ended.
        outcome: Outcome,
        /// What the offer's checkers gave; nothing where the offer named none.
        quality: Option<Quality>,
    },
    /// One drawn reviewer's rating of one receipt: evidence for layer 3.
    Review {
        /// The rating.
        rating: Quality,
    },
}

/// One piece of evidence about one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Evidence {
    /// When the verdict or the review was given, by its author's clock, already judged against the viewer's.
    pub at: Wall,
    /// What was learned.
    pub fact: Fact,
}

impl Quality {
    /// The worst mark.
    pub const NONE: Quality = Quality(0);
    /// The best mark; also what a result gets when there is neither checker nor schema.
    pub const FULL: Quality = Quality(100);

    /// The mark, or nothing above 100.
    pub const fn new(mark: u8) -> Option<Quality> {
        if mark <= 100 { Some(Quality(mark)) } else { None }
    }

    /// The mark, 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<C> Decode<C> for Quality {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Quality::new(u8::decode(decoder)?).ok_or(DecodeError::Other("a mark above 100"))
    }
}

impl<'de, C> bincode::BorrowDecode<'de, C> for Quality {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

impl Outcome {
    /// What it counts in layer 2: 50 for completing and 50 for doing so on time. Everything that leaves the poster
    /// without a result counts nothing, whatever the reason: a softer word must not be worth more.
    pub const fn marks(self) -> Quality {
        match self {
            Outcome::OnTime => Quality(100),
            Outcome::Late => Quality(50),
            Outcome::Rejected | Outcome::Lapsed | Outcome::Failed => Quality(0),
        }
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::OnTime => "on_time",
            Outcome::Late => "late",
            Outcome::Rejected => "rejected",
            Outcome::Lapsed => "lapsed",
            Outcome::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::codec::{decode, encode};

    #[test]
    fn evidence_has_one_form_in_bytes() {
        let evidence = Evidence {
            at: Wall(7),
            fact: Fact::Receipt { outcome: Outcome::Rejected, quality: Quality::new(30) },
        };
        let bytes = encode(&evidence);
        assert_eq!(bytes, [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 30]);
        assert_eq!(decode::<Evidence>(&bytes), Ok(evidence));
    }

    #[test]
    fn a_mark_above_100_cannot_be_made_or_decoded() {
        assert_eq!(Quality::new(101), None);
        assert_eq!(decode::<Quality>(&[100]), Ok(Quality::FULL));
        assert!(decode::<Quality>(&[101]).is_err());
    }
}
