//! A journal that somebody writes as they like: entries, proofs and signatures are sound, what they say need not be.

use super::truth::{Book, Truth};
use artel_federation::{Entry, Fact};
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::leaf::Class;
use artel_protocol::log::{
    Checkpoint, Hash, Leaf, Origin, SignedCheckpoint, Subtree, consistency, subset, tree,
};
use artel_protocol::record::{Record, Records};
use artel_protocol::time::Wall;
use artel_protocol::witness::Head;
use std::sync::Arc;

/// A forged journal.
#[derive(Debug, Clone)]
pub struct ForgedLog {
    secret: Arc<SecretKey>,
    origin: Origin,
    leaves: Vec<Leaf>,
    opened: Vec<([u8; 16], Vec<u8>)>,
    /// Its place among what the world knows.
    at: usize,
}

impl ForgedLog {
    /// An empty one; the world knows of it.
    pub fn new(
        truth: &mut Truth,
        secret: Arc<SecretKey>,
        federation: FederationId,
        incarnation: u32,
    ) -> ForgedLog {
        let origin = Origin::new(federation, NodeId(secret.public()), incarnation);
        truth.forged.push(Book::new(origin));
        ForgedLog { secret, origin, leaves: Vec::new(), opened: Vec::new(), at: truth.forged.len() - 1 }
    }

    /// Another history that begins with its first entries.
    pub fn fork(&self, truth: &mut Truth, size: usize) -> ForgedLog {
        let mut fork =
            ForgedLog::new(truth, self.secret.clone(), self.origin.federation(), self.origin.incarnation());
        for (leaf, (salt, body)) in self.leaves.iter().zip(&self.opened).take(size) {
            fork.take(truth, *leaf, (*salt, body.clone()));
        }
        fork
    }

    /// Whose it is.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Appends a body as a public entry, whatever it is.
    pub fn push(&mut self, truth: &mut Truth, body: Vec<u8>) {
        let public_seq = self.leaves.last().map_or(0, Leaf::next_public_seq);
        let mut salt = [self.at as u8; 16];
        salt[..8].copy_from_slice(&self.size().to_le_bytes());
        let leaf = Leaf::commit(Class::Public, public_seq, &salt, &body);
        self.take(truth, leaf, (salt, body));
    }

    /// Appends a fact as a public entry.
    pub fn push_fact(&mut self, truth: &mut Truth, at: Wall, fact: Fact) {
        self.push(truth, Entry { at, correlation: None, fact }.encode());
    }

    fn take(&mut self, truth: &mut Truth, leaf: Leaf, opened: ([u8; 16], Vec<u8>)) {
        truth.forged[self.at].take(&leaf, &opened.1);
        self.leaves.push(leaf);
        self.opened.push(opened);
    }

    fn hash_at(&self, at: Subtree) -> Result<Hash, tree::Error> {
        let start = (at.index << at.level) as usize;
        let hashes: Vec<Hash> = self.leaves[start..start + (1 << at.level)].iter().map(Leaf::hash).collect();
        Ok(tree::root_of(&hashes))
    }

    /// The checkpoint of all its entries.
    pub fn checkpoint(&self) -> SignedCheckpoint {
        let hashes: Vec<Hash> = self.leaves.iter().map(Leaf::hash).collect();
        let plain = Checkpoint::new(self.origin, self.size(), tree::root_of(&hashes)).expect("a size");
        SignedCheckpoint::sign(plain, &self.secret).expect("its own key")
    }

    /// Its head, with the proof that it continues its first `old` entries.
    pub fn head(&self, old: u64) -> Vec<u8> {
        let proof = consistency::prove(old, self.size(), |at| self.hash_at(at)).expect("within the tree");
        Head::new(self.checkpoint(), old, proof).to_frame()
    }

    /// Some of its entries as a frame.
    pub fn frame(&self, positions: &[u64]) -> Vec<u8> {
        let proof = subset::prove(positions, self.size(), |at| self.hash_at(at)).expect("within the tree");
        let record = |at: &u64| Record {
            index: *at,
            public_seq: self.leaves[*at as usize].public_seq(),
            salt: self.opened[*at as usize].0,
            body: self.opened[*at as usize].1.clone(),
        };
        let records = positions.iter().map(record).collect();
        Records::new(&self.checkpoint(), records, proof).expect("all of them are public").bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::Genesis;
    use artel_federation::fact::{Admission, Started};
    use artel_protocol::id::Digest;

    #[test]
    fn what_it_makes_is_sound_and_a_fork_shares_its_beginning() {
        let secret = Arc::new(SecretKey::from_seed(&[5; 32]));
        let genesis = Genesis {
            name: "f".into(),
            founders: vec![NodeId(secret.public())],
            admission: Admission::Invitation,
            recovery: Digest::of(b""),
            created: Wall(0),
        };
        let mut truth = Truth::new(genesis.clone());
        let federation = genesis.id();
        let mut log = ForgedLog::new(&mut truth, secret, federation, 0);
        let started =
            |boot| Fact::Started(Started { boot, version: "x".into(), configuration: Digest::of(b"") });
        (0..5).for_each(|boot| log.push_fact(&mut truth, Wall(1), started(boot)));
        let mut fork = log.fork(&mut truth, 2);
        (0..3).for_each(|boot| fork.push_fact(&mut truth, Wall(2), started(boot)));
        for (log, positions) in [(&log, [1, 4]), (&fork, [1, 4])] {
            assert!(Records::check(&log.frame(&positions), &federation).is_ok());
            assert!(Head::check(&log.head(2), &federation).is_ok());
        }
        let root = |log: &ForgedLog| log.checkpoint().root();
        assert_eq!((log.size(), fork.size()), (5, 5));
        assert_ne!(root(&log), root(&fork));
        assert!(!truth.agree(&log.origin(), &(5, root(&log)), &(5, root(&fork))));
    }
}
