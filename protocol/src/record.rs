//! Records: public entries of one journal as they travel, with the proof that they stand in it.
//!
//! A frame of records is a checkpoint signed by the journal's node, some of the entries before it, and one proof for all of
//! them. [`Records`] exists only if signature and proof held, so whoever has one need not ask again; what the bodies mean
//! is judged elsewhere.

use crate::codec::{self, Decode, Encode, Frame};
use crate::id::FederationId;
use crate::key::Signature;
use crate::log::leaf::{Class, SALT_BYTES};
use crate::log::{Checkpoint, Hash, Leaf, Origin, Proof, SignedCheckpoint, checkpoint, subset, tree};

/// The kind of a frame of records.
pub const KIND: u16 = 0x0110;
/// The version that we write.
pub const VERSION: u16 = 1;

/// The most bytes of a frame of records (64 KiB), which is also what gossip carries. Larger, and one message would hold up
/// a link; smaller, and a busy commit would need many signatures. A maker begins another frame.
pub const FRAME_BYTES_MAX: usize = 64 << 10;

/// The most records in a frame: each costs its reader two hashes and a look-up.
pub const FRAME_RECORDS_MAX: usize = 1_024;

/// The most bytes of one record's body (16 KiB). The largest honest one is an offer with 32 skills, about 3 KiB.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// Why bytes are no records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a value, or not in its one form.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A kind or version that is not one of records.
    #[error("a frame of kind {kind:#06x} and version {version} is none of records")]
    Unknown {
        /// The kind.
        kind: u16,
        /// The version.
        version: u16,
    },
    /// More than [`FRAME_BYTES_MAX`], [`FRAME_RECORDS_MAX`] or [`BODY_BYTES_MAX`], or no record at all.
    #[error("a frame of {records} records and {bytes} bytes is none that anybody may send")]
    Size {
        /// How many records.
        records: usize,
        /// How many bytes, where they are known.
        bytes: usize,
    },
    /// The checkpoint is of another federation.
    #[error("records of another federation")]
    Foreign,
    /// The signature is not the node's.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The records do not stand where they say.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The numbers of the records do not rise, or rise faster than the entries.
    #[error("record {public_seq} at entry {index} cannot follow the one before it")]
    Order {
        /// The entry.
        index: u64,
        /// Its number among the public ones.
        public_seq: u64,
    },
}

/// One record: a public entry and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// The entry's index in the journal.
    pub index: u64,
    /// Its number among the journal's public entries.
    pub public_seq: u64,
    /// The salt of its leaf.
    pub salt: [u8; SALT_BYTES],
    /// Its body.
    pub body: Vec<u8>,
}

impl Record {
    /// The leaf that it opens.
    pub fn leaf(&self) -> Leaf {
        Leaf::commit(Class::Public, self.public_seq, &self.salt, &self.body)
    }
}

/// Records of one journal under one checkpoint, all proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    checkpoint: SignedCheckpoint,
    records: Vec<Record>,
    proof: Vec<Hash>,
    bytes: Vec<u8>,
}

impl Records {
    /// Puts records of one's own journal, ascending, under a checkpoint over them.
    ///
    /// # Errors
    /// [`Error`], each case as it says: what others would refuse is not made.
    pub fn new(checkpoint: &SignedCheckpoint, records: Vec<Record>, proof: Vec<Hash>) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        let value = (*checkpoint.checkpoint(), checkpoint.signature(), records, proof);
        Frame::append(KIND, VERSION, &value, &mut bytes);
        let (_, _, records, proof) = value;
        let checkpoint = checkpoint.clone();
        Self::proven(Records { checkpoint, records, proof, bytes })
    }

    /// Reads and checks a frame of records of this federation from bytes of unknown origin. The cheap checks come first;
    /// the signature is checked once for all of them.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8], federation: &FederationId) -> Result<Self, Error> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(Error::Size { records: 0, bytes: bytes.len() });
        }
        let Frame { kind, version, payload } = Frame::parse(bytes)?;
        if (kind, version) != (KIND, VERSION) {
            return Err(Error::Unknown { kind, version });
        }
        let (checkpoint, signature, records, proof) =
            codec::decode::<(Checkpoint, Signature, Vec<Record>, Vec<Hash>)>(payload)?;
        if checkpoint.origin().federation() != *federation {
            return Err(Error::Foreign);
        }
        check_form(&records, bytes.len())?;
        let checkpoint = SignedCheckpoint::check(checkpoint, signature)?;
        Self::proven(Records { checkpoint, records, proof, bytes: bytes.to_vec() })
    }

    fn proven(self) -> Result<Self, Error> {
        check_form(&self.records, self.bytes.len())?;
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        subset::verify(&self.leaves(), size, &self.proof, &root)?;
        Ok(self)
    }

    fn leaves(&self) -> Vec<(u64, Hash)> {
        self.records.iter().map(|record| (record.index, record.leaf().hash())).collect()
    }

    /// Whose journal they stand in.
    pub fn origin(&self) -> Origin {
        self.checkpoint.origin()
    }

    /// The checkpoint that they end in.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The records, ascending.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The frame, as it travels and is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Some of the records alone, by their numbers: under the same checkpoint, with the proof that is left of this frame's. `None`
    /// where the frame has none of them.
    pub fn only(&self, is_wanted: impl Fn(u64) -> bool) -> Option<Records> {
        let wanted = self.records.iter().filter(|record| is_wanted(record.public_seq));
        let records: Vec<Record> = wanted.cloned().collect();
        if records.is_empty() || records.len() == self.records.len() {
            return (!records.is_empty()).then(|| self.clone());
        }
        let positions: Vec<u64> = records.iter().map(|record| record.index).collect();
        let proof = subset::narrow(&positions, &self.leaves(), self.checkpoint.size(), &self.proof).ok()?;
        // Who leaves one out adds a hash at most, which is less than it took: no frame becomes larger.
        Records::new(&self.checkpoint, records, proof).ok()
    }

    /// One record's `.tlog-proof`, for strangers' tools. `None` where the frame has no record of this number.
    pub fn proof_of(&self, public_seq: u64) -> Option<Proof> {
        let at = self.records.binary_search_by_key(&public_seq, |record| record.public_seq).ok()?;
        let (index, size) = (self.records[at].index, self.checkpoint.size());
        let hashes = subset::inclusion_of(index, &self.leaves(), size, &self.proof).ok()?;
        Proof::new(index, Vec::new(), hashes, self.checkpoint.clone()).ok()
    }
}

/// What can be refused without a hash: too many, too large, or numbers that no journal has.
fn check_form(records: &[Record], bytes: usize) -> Result<(), Error> {
    let too_large = records.iter().any(|record| record.body.len() > BODY_BYTES_MAX);
    if records.is_empty() || records.len() > FRAME_RECORDS_MAX || bytes > FRAME_BYTES_MAX || too_large {
        return Err(Error::Size { records: records.len(), bytes });
    }
    let mut before: Option<&Record> = None;
    for record in records {
        // Between two public entries stand as many others as there are public ones between them, or more.
        let follows = match before {
            None => record.public_seq <= record.index,
            Some(before) => {
                before.index < record.index
                    && before.public_seq < record.public_seq
                    && record.public_seq - before.public_seq <= record.index - before.index
            }
        };
        if !follows {
            return Err(Error::Order { index: record.index, public_seq: record.public_seq });
        }
        before = Some(record);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{NodeId, SecretKey};
    use crate::log::inclusion;

    const HOME: FederationId = FederationId([3; 32]);

    /// A journal whose every third entry is private, and the frame of the public ones at some positions.
    struct Log {
        secret: SecretKey,
        leaves: Vec<Leaf>,
    }

    impl Log {
        fn new(size: u64) -> Self {
            let mut leaves: Vec<Leaf> = Vec::new();
            for i in 0..size {
                let class = if i % 3 == 2 { Class::Private } else { Class::Public };
                let seq = leaves.last().map_or(0, Leaf::next_public_seq);
                leaves.push(Leaf::commit(class, seq, &[i as u8; 16], &i.to_be_bytes()));
            }
            Log { secret: SecretKey::from_seed(&[7; 32]), leaves }
        }

        fn hashes(&self) -> Vec<Hash> {
            self.leaves.iter().map(Leaf::hash).collect()
        }

        fn checkpoint(&self, federation: FederationId) -> SignedCheckpoint {
            let origin = Origin::new(federation, NodeId(self.secret.public()), 0);
            let root = tree::root_of(&self.hashes());
            let plain = Checkpoint::new(origin, self.leaves.len() as u64, root).expect("plain");
            SignedCheckpoint::sign(plain, &self.secret).expect("its own key")
        }

        fn record(&self, index: u64) -> Record {
            let public_seq = self.leaves[index as usize].public_seq();
            Record { index, public_seq, salt: [index as u8; 16], body: index.to_be_bytes().to_vec() }
        }

        fn proof(&self, positions: &[u64]) -> Vec<Hash> {
            let hashes = self.hashes();
            let read = |at: crate::log::Subtree| {
                let start = (at.index << at.level) as usize;
                Ok::<_, tree::Error>(tree::root_of(&hashes[start..start + (1 << at.level)]))
            };
            subset::prove(positions, self.leaves.len() as u64, read).expect("within the tree")
        }

        fn frame(&self, federation: FederationId, positions: &[u64]) -> Result<Records, Error> {
            let records = positions.iter().map(|at| self.record(*at)).collect();
            Records::new(&self.checkpoint(federation), records, self.proof(positions))
        }
    }

    #[test]
    fn records_read_back_and_each_has_a_proof_of_its_own() {
        let log = Log::new(20);
        let made = log.frame(HOME, &[0, 4, 6, 7, 18]).expect("all public");
        let read = Records::check(made.bytes(), &HOME).expect("as it was made");
        assert_eq!(read, made);
        for record in read.records() {
            let proof = read.proof_of(record.public_seq).expect("it is there");
            let included = proof.verify(&record.leaf().hash()).expect("it stands there");
            assert_eq!(included.index(), record.index);
            let size = read.checkpoint().size();
            let single = inclusion::prove(record.index, size, |at: crate::log::Subtree| {
                let start = (at.index << at.level) as usize;
                Ok::<_, tree::Error>(tree::root_of(&log.hashes()[start..start + (1 << at.level)]))
            });
            assert_eq!(Ok(proof.hashes().to_vec()), single);
        }
        assert_eq!(read.proof_of(1), None, "not in this frame");
    }

    #[test]
    fn some_of_a_frame_are_what_they_would_be_alone() {
        let log = Log::new(20);
        let positions = [0, 4, 6, 7, 18];
        let made = log.frame(HOME, &positions).expect("all public");
        let seq = |at: u64| log.leaves[at as usize].public_seq();
        for set in 0_u32..1 << positions.len() {
            let some: Vec<u64> =
                (0..positions.len()).filter(|n| set >> n & 1 == 1).map(|n| positions[n]).collect();
            let alone = (!some.is_empty()).then(|| log.frame(HOME, &some).expect("all public"));
            assert_eq!(made.only(|wanted| some.iter().any(|at| seq(*at) == wanted)), alone, "{some:?}");
        }
    }

    #[test]
    fn what_is_private_foreign_or_out_of_order_is_refused() {
        let log = Log::new(20);
        assert!(matches!(log.frame(HOME, &[1, 2]), Err(Error::Tree(_))), "entry 2 is private");
        let elsewhere = log.frame(FederationId([4; 32]), &[0, 4]).expect("sound there");
        assert_eq!(Records::check(elsewhere.bytes(), &HOME), Err(Error::Foreign));
        let (checkpoint, proof) = (log.checkpoint(HOME), log.proof(&[3, 4]));
        assert!(matches!(Records::new(&checkpoint, vec![], vec![]), Err(Error::Size { records: 0, .. })));
        let swapped = vec![log.record(4), log.record(3)];
        assert!(matches!(Records::new(&checkpoint, swapped, proof.clone()), Err(Error::Order { .. })));
        let mut faster = log.record(4);
        faster.public_seq = 9;
        let faster = vec![log.record(3), faster];
        assert!(matches!(Records::new(&checkpoint, faster, proof.clone()), Err(Error::Order { .. })));
        let mut changed = log.record(4);
        changed.body.push(0);
        let changed = vec![log.record(3), changed];
        assert_eq!(Records::new(&checkpoint, changed, proof), Err(Error::Tree(tree::Error::Root)));
    }

    #[test]
    fn what_is_too_large_is_refused_before_anything_is_computed() {
        assert!(matches!(Records::check(&vec![0; FRAME_BYTES_MAX + 1], &HOME), Err(Error::Size { .. })));
        let log = Log::new(4);
        let mut large = log.record(0);
        large.body = vec![0; BODY_BYTES_MAX + 1];
        let made = Records::new(&log.checkpoint(HOME), vec![large], log.proof(&[0]));
        assert!(matches!(made, Err(Error::Size { .. })));
        let mut bytes = log.frame(HOME, &[0]).expect("sound").bytes().to_vec();
        bytes[2] = 2;
        let unknown = Err(Error::Unknown { kind: KIND, version: 2 });
        assert_eq!(Records::check(&bytes, &HOME), unknown);
    }
}
