//! A witness's question to a journal's node, and the node's answer: that its journal now continues what it signed before.
//!
//! A head proves that it continues one earlier size. Whoever remembers others asks for those, all at once, so that one
//! answer sets them in one line. The answer proves towards a checkpoint of its own: a clone that answers in the other's
//! place proves where the two part.

use crate::codec::{Decode, Encode};
use crate::id::FederationId;
use crate::log::tree::PROOF_HASHES_MAX;
use crate::log::{Hash, Origin, SignedCheckpoint};
use crate::witness::{Error, Signed, frame, read};

/// The kind of an [`Ask`]'s frame.
pub const ASK_KIND: u16 = 0x0114;
/// The kind of a [`Shown`]'s frame.
pub const SHOWN_KIND: u16 = 0x0115;

/// The most sizes that one question names. Each costs its answer two kilobytes and the node as many reads as a tree is
/// high; fewer, and whoever heard of several at once must ask again.
pub const SIZES_MAX: usize = 4;

/// Show that your journal continues its own first entries, this many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    origin: Origin,
    sizes: Vec<u64>,
}

impl Ask {
    /// A question about a journal of these sizes.
    ///
    /// # Errors
    /// [`Error::Size`] unless there are 1 to [`SIZES_MAX`], rising.
    pub fn new(origin: Origin, sizes: Vec<u64>) -> Result<Self, Error> {
        let rising = sizes.windows(2).all(|pair| pair[0] < pair[1]);
        if (1..=SIZES_MAX).contains(&sizes.len()) && rising {
            Ok(Ask { origin, sizes })
        } else {
            Err(Error::Size)
        }
    }

    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(ASK_KIND, &(self.origin, &self.sizes))
    }

    /// Reads a question.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8], federation: &FederationId) -> Result<Self, Error> {
        let (origin, sizes): (Origin, Vec<u64>) = read(ASK_KIND, bytes)?;
        if origin.federation() != *federation {
            return Err(Error::Foreign);
        }
        Self::new(origin, sizes)
    }

    /// Whose journal.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The sizes, rising.
    pub fn sizes(&self) -> &[u64] {
        &self.sizes
    }
}

/// What a journal's first entries hashed to, and that a later checkpoint continues them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Continued {
    /// The root of the earlier size, by the node's word.
    pub root: Hash,
    /// The consistency proof from there to the checkpoint.
    pub proof: Vec<Hash>,
}

/// The answer: a checkpoint, and for each size that was asked for how it continues that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    head: SignedCheckpoint,
    from: Vec<Continued>,
}

impl Shown {
    /// An answer of one's own.
    pub fn new(head: SignedCheckpoint, from: Vec<Continued>) -> Self {
        Shown { head, from }
    }

    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(SHOWN_KIND, &(Signed::from(&self.head), &self.from))
    }

    /// Reads the answer to a question: of the same journal, signed, with as many proofs as were asked for. Whether these
    /// hold is judged against what the asker remembers.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8], ask: &Ask) -> Result<Self, Error> {
        let (head, from): (Signed, Vec<Continued>) = read(SHOWN_KIND, bytes)?;
        let fits = from.len() == ask.sizes.len()
            && from.iter().all(|continued| continued.proof.len() <= PROOF_HASHES_MAX);
        if !fits {
            return Err(Error::Size);
        }
        if head.checkpoint.origin() != ask.origin {
            return Err(Error::Foreign);
        }
        Ok(Shown { head: head.check(&ask.origin.federation())?, from })
    }

    /// The checkpoint that all of it leads to.
    pub fn head(&self) -> &SignedCheckpoint {
        &self.head
    }

    /// How it continues each size that was asked for, in that order.
    pub fn from(&self) -> &[Continued] {
        &self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{NodeId, SecretKey};
    use crate::log::{Checkpoint, tree};

    const HOME: FederationId = FederationId([3; 32]);

    fn origin(incarnation: u32) -> Origin {
        Origin::new(HOME, NodeId(SecretKey::from_seed(&[7; 32]).public()), incarnation)
    }

    fn head(origin: Origin) -> SignedCheckpoint {
        let plain = Checkpoint::new(origin, 1, tree::leaf_hash(b"one")).expect("plain");
        SignedCheckpoint::sign(plain, &SecretKey::from_seed(&[7; 32])).expect("its own key")
    }

    fn continued(hashes: usize) -> Continued {
        Continued { root: Hash([1; 32]), proof: vec![Hash([2; 32]); hashes] }
    }

    #[test]
    fn a_question_has_a_few_rising_sizes() {
        let ask = Ask::new(origin(0), vec![3, 9]).expect("two");
        assert_eq!(Ask::check(&ask.to_frame(), &HOME), Ok(ask.clone()));
        assert_eq!(Ask::check(&ask.to_frame(), &FederationId([4; 32])), Err(Error::Foreign));
        for sizes in [vec![], vec![3, 3], vec![9, 3], vec![1, 2, 3, 4, 5]] {
            assert_eq!(Ask::new(origin(0), sizes.clone()), Err(Error::Size));
            let frame = frame(ASK_KIND, &(origin(0), sizes));
            assert_eq!(Ask::check(&frame, &HOME), Err(Error::Size), "nor in a frame");
        }
    }

    #[test]
    fn an_answer_is_of_the_journal_and_of_as_many_sizes_as_were_asked_for() {
        let ask = Ask::new(origin(0), vec![0, 1]).expect("two");
        let checked = |shown: Shown| Shown::check(&shown.to_frame(), &ask);
        let longest = Shown::new(head(origin(0)), vec![continued(0), continued(PROOF_HASHES_MAX)]);
        assert_eq!(checked(longest.clone()), Ok(longest.clone()));
        assert!(longest.to_frame().len() <= crate::witness::MESSAGE_BYTES_MAX);
        for (shown, error) in [
            (Shown::new(head(origin(0)), vec![continued(0)]), Error::Size),
            (Shown::new(head(origin(0)), vec![continued(0), continued(PROOF_HASHES_MAX + 1)]), Error::Size),
            (Shown::new(head(origin(1)), vec![continued(0), continued(0)]), Error::Foreign),
        ] {
            assert_eq!(checked(shown), Err(error));
        }
        let mut forged = longest.to_frame();
        forged[8 + 32 + 33 + 4] ^= 2;
        assert!(
            matches!(Shown::check(&forged, &ask), Err(Error::Checkpoint(_))),
            "another size than was signed"
        );
    }
}
