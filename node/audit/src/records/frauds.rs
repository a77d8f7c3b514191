//! Proofs of fraud: one file a node that lied, `records/frauds/<key in hex>.fraud`, with the frame of the protocol as it is
//! and nothing around it. So a file can be handed to anybody, who needs nothing else to check it.
//!
//! A file is on disk, whole and synced, before anything follows from it. What does not prove what its name says is left
//! where it is, said, and counts for nothing; the same proof heard again takes its place.

use super::error::Error;
use super::segment::RECORDS_DIR;
use crate::files::{self, Access, Files};
use artel_protocol::id::FederationId;
use artel_protocol::key::NodeId;
use artel_protocol::witness::{self, Fraud, MESSAGE_BYTES_MAX};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

/// The directory of the proofs.
pub const FRAUDS_DIR: &str = "records/frauds";

/// The most proofs that are kept (1,024), one a node, some 1 to 16 KiB each. Every one is of a node that was a member; at the
/// limit further ones are not kept, and so nothing follows from them.
pub const FRAUDS_MAX: usize = 1_024;

const ENDING: &str = ".fraud";

/// What stands beside a proof that the journal names; there is nothing in it.
const TOLD_ENDING: &str = ".told";

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum BadFraud {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What is in it is no proof.
    #[error("it proves nothing: {0}")]
    Proof(#[from] witness::Error),
    /// It is a proof against somebody else.
    #[error("it is a proof against {0}, not against the node that its name says")]
    OtherNode(NodeId),
}

/// A file of the directory, and what it is.
#[derive(Debug)]
pub struct FoundFraud {
    /// Its path in the data directory.
    pub file: String,
    /// The proof, checked, or why it is none.
    pub proof: Result<Fraud, BadFraud>,
}

/// The proofs of one data directory. There is one.
pub struct Frauds {
    files: Arc<dyn Files>,
    nodes: BTreeSet<NodeId>,
}

impl Frauds {
    /// Opens the directory, and hands out what is in it.
    ///
    /// # Errors
    /// [`Error::Io`], when the disk says no.
    pub fn open(files: Arc<dyn Files>, federation: &FederationId) -> Result<(Self, Vec<FoundFraud>), Error> {
        for dir in [RECORDS_DIR, FRAUDS_DIR] {
            files.create_dir(dir).map_err(Error::io(dir, "create"))?;
            files.sync_dir(files::dir_of(dir)).map_err(Error::io(dir, "make durable the name of"))?;
        }
        let mut found = scan(files.as_ref())?;
        for FoundFraud { proof, .. } in &mut found {
            if proof.as_ref().is_ok_and(|fraud| fraud.origin().federation() != *federation) {
                *proof = Err(witness::Error::Foreign.into());
            }
        }
        let good = found.iter().filter_map(|found| found.proof.as_ref().ok());
        let nodes = good.map(|fraud| fraud.origin().node()).take(FRAUDS_MAX).collect();
        Ok((Frauds { files, nodes }, found))
    }

    /// Keeps a proof, durably; says whether it is the first one against its node, which alone is kept.
    ///
    /// # Errors
    /// [`Error::Io`]; then it is not kept.
    pub fn keep(&mut self, fraud: &Fraud) -> Result<bool, Error> {
        let node = fraud.origin().node();
        if self.nodes.contains(&node) || self.nodes.len() >= FRAUDS_MAX {
            return Ok(false);
        }
        let path = path_of(&node, ENDING);
        files::replace(self.files.as_ref(), &path, &fraud.to_frame()).map_err(Error::io(&path, "write"))?;
        self.nodes.insert(node);
        Ok(true)
    }

    /// Whether it was noted that the journal names the proof against a node.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_told(&self, node: &NodeId) -> Result<bool, Error> {
        let path = path_of(node, TOLD_ENDING);
        match self.files.open(&path, Access::Read) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(&path, "open")(e)),
        }
    }

    /// Notes, durably, that the journal names the proof against a node.
    ///
    /// # Errors
    /// [`Error::Io`]; then the journal is to be read again.
    pub fn note_told(&mut self, node: &NodeId) -> Result<(), Error> {
        let path = path_of(node, TOLD_ENDING);
        files::replace(self.files.as_ref(), &path, &[]).map_err(Error::io(&path, "write"))
    }
}

/// Reads every proof of a data directory and checks it, without trust in who wrote it there; none where there is no such
/// directory.
///
/// # Errors
/// [`Error::Io`], when the directory cannot be listed.
pub fn scan(files: &dyn Files) -> Result<Vec<FoundFraud>, Error> {
    let names = match files.list(FRAUDS_DIR) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(Error::io(FRAUDS_DIR, "list"))?,
    };
    let found = |name: String| {
        let file = format!("{FRAUDS_DIR}/{name}");
        FoundFraud { proof: read(files, &file), file }
    };
    Ok(names.into_iter().filter(|name| name.ends_with(ENDING)).map(found).collect())
}

fn read(files: &dyn Files, file: &str) -> Result<Fraud, BadFraud> {
    let fraud = Fraud::read(&files::read_whole(files, file, MESSAGE_BYTES_MAX as u64)?)?;
    let node = fraud.origin().node();
    if path_of(&node, ENDING) == file { Ok(fraud) } else { Err(BadFraud::OtherNode(node)) }
}

fn path_of(node: &NodeId, ending: &str) -> String {
    let mut path = format!("{FRAUDS_DIR}/");
    for byte in node.key().bytes() {
        write!(path, "{byte:02x}").expect("a string takes all");
    }
    path + ending
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Fault, MemoryDisk, Plan};
    use artel_protocol::key::SecretKey;
    use artel_protocol::log::{Checkpoint, Hash, Origin, SignedCheckpoint};
    use artel_protocol::witness::Contradiction;

    const HOME: FederationId = FederationId([3; 32]);

    fn fraud(seed: u8, federation: FederationId) -> Fraud {
        let secret = SecretKey::from_seed(&[seed; 32]);
        let origin = Origin::new(federation, NodeId(secret.public()), 0);
        let signed = |root| {
            let plain = Checkpoint::new(origin, 5, Hash([root; 32])).expect("plain");
            (&SignedCheckpoint::sign(plain, &secret).expect("its own key")).into()
        };
        Fraud::prove(Contradiction::TwoRoots { one: signed(1), other: signed(2) }, &federation)
            .expect("a lie")
    }

    fn open(disk: &MemoryDisk) -> (Frauds, Vec<FoundFraud>) {
        Frauds::open(Arc::new(disk.clone()), &HOME).expect("a good disk")
    }

    #[test]
    fn what_is_kept_survives_a_power_loss_and_is_kept_once() {
        let disk = MemoryDisk::new();
        let (mut frauds, found) = open(&disk);
        assert!(found.is_empty());
        assert!(frauds.keep(&fraud(7, HOME)).expect("kept"));
        assert!(!frauds.keep(&fraud(7, HOME)).expect("known"));
        let disk = disk.after_crash(1);
        let (mut frauds, found) = open(&disk);
        let held: Vec<_> = found.into_iter().map(|found| found.proof.expect("it holds")).collect();
        assert_eq!(held, [fraud(7, HOME)]);
        assert!(!frauds.keep(&fraud(7, HOME)).expect("known"));
        assert!(frauds.keep(&fraud(8, HOME)).expect("another node"));
    }

    #[test]
    fn it_is_noted_for_good_which_proofs_the_journal_names() {
        let disk = MemoryDisk::new();
        let (mut frauds, _) = open(&disk);
        let [one, other] = [7, 8].map(|seed| fraud(seed, HOME));
        let node = |fraud: &Fraud| fraud.origin().node();
        assert!(frauds.keep(&one).expect("kept") && frauds.keep(&other).expect("kept"));
        frauds.note_told(&node(&one)).expect("noted");
        let (frauds, found) = open(&disk.after_crash(1));
        assert_eq!(found.len(), 2, "a note is no proof");
        let told = |fraud| frauds.is_told(&node(fraud)).expect("a good disk");
        assert_eq!((told(&one), told(&other)), (true, false));
    }

    #[test]
    fn a_file_that_was_touched_is_named_and_counts_for_nothing() {
        let disk = MemoryDisk::new();
        let (mut frauds, _) = open(&disk);
        frauds.keep(&fraud(7, HOME)).expect("kept");
        let path = path_of(&fraud(7, HOME).origin().node(), ENDING);
        let good = disk.contents(&path).expect("a file");
        for (bytes, why) in [
            ([&good[..], &[0]].concat(), "it proves nothing"),
            (good[..good.len() - 1].to_vec(), "it proves nothing"),
            (fraud(8, HOME).to_frame(), "it is a proof against"),
            (fraud(7, FederationId([4; 32])).to_frame(), "another federation"),
            (vec![0; MESSAGE_BYTES_MAX + 1], "it cannot be read"),
        ] {
            disk.put(&path, &bytes);
            let (mut frauds, found) = open(&disk);
            let [FoundFraud { file, proof: Err(error) }] = &found[..] else { panic!("{found:?}") };
            assert_eq!(*file, path);
            assert!(error.to_string().contains(why), "{error}");
            assert!(frauds.keep(&fraud(7, HOME)).expect("kept"), "the good one takes its place");
            assert_eq!(disk.contents(&path), Some(good.clone()));
        }
        for bit in 0..good.len() as u64 * 8 {
            disk.put(&path, &good);
            disk.flip(&path, bit);
            let found = scan(&disk).expect("a good disk");
            assert!(found[0].proof.is_err(), "bit {bit} says nothing else");
        }
    }

    #[test]
    fn what_the_disk_refuses_is_not_kept() {
        let disk = MemoryDisk::new();
        let (mut frauds, _) = open(&disk);
        disk.plan(Plan { fault: Fault::Full, from: disk.points(), count: 1 });
        assert!(frauds.keep(&fraud(7, HOME)).is_err());
        disk.heal();
        assert!(frauds.keep(&fraud(7, HOME)).expect("kept the second time"));
    }
}
