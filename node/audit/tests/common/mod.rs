//! A fixed life of a journal on a disk in memory, beside a plain model of what it must hold.
#![allow(dead_code, reason = "each test file uses its own part")]

use artel_audit::files::Files;
use artel_audit::memory::MemoryDisk;
use artel_audit::{
    Commit, Error, Fate, Journal, KeyRing, NewEntry, Notice, Opened, Options, Reader, SegmentSizes, Signer,
};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::{Class, Origin, SignedCheckpoint};
use artel_protocol::time::Mono;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;

pub fn signer() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

pub fn origin() -> Origin {
    Origin::new(FederationId([2; 32]), NodeId(signer().public()), 0)
}

pub fn ring() -> Arc<KeyRing> {
    Arc::new(KeyRing::generate(&mut StdRng::seed_from_u64(3)))
}

/// Small segments, so that a short life goes through several.
pub fn options() -> Options {
    Options { origin: origin(), sizes: SegmentSizes { usual: 6 << 10, hasty: 4 << 10 } }
}

pub fn open_with(disk: &MemoryDisk, entropy: u64, ring: Arc<KeyRing>) -> Result<Opened, Error> {
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let signer: Arc<dyn Signer> = Arc::new(signer());
    Journal::open(files, options(), signer, ring, Box::new(StdRng::seed_from_u64(entropy)))
}

pub fn open(disk: &MemoryDisk, entropy: u64) -> Result<Opened, Error> {
    open_with(disk, entropy, ring())
}

/// One input's bodies.
pub type Input = Vec<NewEntry>;

/// The inputs of commit number `n`: one to five, of one to three entries, some of them longer than a sector.
pub fn inputs(n: u64) -> Vec<Input> {
    let entry = |input: u64, at: u64| {
        // Sealing is slow in an unoptimised build, so one in five is private.
        let class = if (n + input + at) % 5 < 4 { Class::Public } else { Class::Private };
        let len = [5, 90, 300, 700][((n * 7 + input * 3 + at) % 4) as usize];
        let mut body = format!("{n}/{input}/{at} ").into_bytes();
        body.resize(len, b'.');
        NewEntry { class, body }
    };
    (0..1 + n % 5).map(|input| (0..1 + (n + input) % 3).map(|at| entry(input, at)).collect()).collect()
}

/// What the journal must hold, by what it answered.
#[derive(Default, Clone)]
pub struct Model {
    /// The frames of commits that were acknowledged, in order.
    pub acknowledged: Vec<Input>,
    /// The frames of a commit of which nobody knows.
    pub unknown: Vec<Input>,
    /// Every checkpoint that was released.
    pub released: Vec<SignedCheckpoint>,
    /// Commits begun so far; each has its own bodies.
    pub commits: u64,
}

/// The segments that lie ready, each of which must be nothing but zeros; how many there are.
pub fn spares(disk: &MemoryDisk) -> usize {
    let paths = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".zeros"));
    paths
        .inspect(|path| {
            let bytes = disk.contents(path).expect("there");
            assert!(bytes.len() as u64 >= options().sizes.hasty, "{path}: {} bytes", bytes.len());
            assert!(bytes.iter().all(|byte| *byte == 0), "{path} was written");
        })
        .count()
}

/// A stand-in for the caller's state: what the fold over these entries is.
pub fn state_of<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    bodies.fold(vec![0; 32], |state, body| Digest::of(&[&state, body].concat()).0.to_vec())
}

impl Model {
    pub fn bodies(&self) -> Vec<&NewEntry> {
        self.acknowledged.iter().flatten().collect()
    }

    /// Does everything that a journal does, for `commits` commits. Stops where the journal must be opened again.
    pub fn live(&mut self, journal: &mut Journal, commits: u64) -> Result<(), Error> {
        for _ in 0..commits {
            self.commit(journal)?;
            let n = self.commits;
            if n.is_multiple_of(3) {
                match journal.tick(Mono(n * 400)) {
                    Ok(released) => self.released.extend(released),
                    Err(error) if error.is_full() => (),
                    Err(error) => return Err(error),
                }
            }
            if n.is_multiple_of(5) {
                match journal.checkpoint() {
                    Ok(released) => self.released.push(released),
                    Err(error) if error.is_full() => (),
                    Err(error) => return Err(error),
                }
            }
            if n.is_multiple_of(7) {
                let state = state_of(self.bodies().iter().map(|e| e.body.as_slice()));
                match journal.snapshot().and_then(|job| {
                    assert_eq!(job.size(), self.bodies().len() as u64);
                    job.run(&state)
                }) {
                    Ok(()) => (),
                    Err(error) if error.is_full() => (),
                    Err(error) => return Err(error),
                }
                self.released.push(journal.reader().checkpoint());
            }
            if n.is_multiple_of(4)
                && let Some(job) = journal.spare_job()
            {
                match job.run() {
                    Err(error) if !error.is_full() => return Err(error),
                    _ => (),
                }
            }
        }
        Ok(())
    }

    /// One commit; its effect must come out if and only if its frames are acknowledged.
    fn commit(&mut self, journal: &mut Journal) -> Result<(), Error> {
        let frames = inputs(self.commits);
        self.commits += 1;
        let mut commit = Commit::new();
        for input in &frames {
            commit.frame(input.clone());
        }
        commit.hold(self.commits);
        match journal.commit(commit) {
            Ok(released) => {
                assert_eq!(released.effects, [self.commits]);
                assert_eq!(released.appended.len(), frames.len());
                self.acknowledged.extend(frames);
                Ok(())
            }
            Err(failed) => {
                assert_eq!(failed.withheld, [self.commits]);
                if failed.fate == Fate::Unknown {
                    self.unknown = frames;
                }
                if failed.error.is_full() && failed.fate == Fate::Gone { Ok(()) } else { Err(failed.error) }
            }
        }
    }

    /// What an opened journal holds must be what was acknowledged, and perhaps whole frames of an unknown commit. The model
    /// then takes up what is there.
    pub fn check_and_adopt(&mut self, opened: &Opened) {
        let reader = opened.journal.reader();
        let frames = frames_of(&reader);
        assert!(
            frames.len() >= self.acknowledged.len(),
            "{} of {} frames",
            frames.len(),
            self.acknowledged.len()
        );
        let (known, more) = frames.split_at(self.acknowledged.len());
        assert!(known == self.acknowledged, "an acknowledged frame is another");
        assert!(self.unknown.starts_with(more), "{} frames that nobody wrote", more.len());
        if let Some(state) = &opened.state {
            let all: Vec<&NewEntry> = frames.iter().flatten().collect();
            let folded = state_of(all[..state.size as usize].iter().map(|e| e.body.as_slice()));
            assert_eq!(folded, state.bytes, "the state of a snapshot");
        }
        if let Some(last) = reader.size().checked_sub(1) {
            reader.entry(last).expect("read");
            assert_eq!(opened.journal.take_notices(), [], "opening left nothing for a reader to repair");
        }
        let released = reader.checkpoint();
        assert_eq!(released.size(), reader.size(), "signed before anything else");
        for earlier in &self.released {
            assert!(earlier.size() <= reader.size(), "the checkpoint shrank");
            let root = reader.root(earlier.size()).expect("read");
            assert_eq!(root, earlier.root(), "the checkpoint of {} forked", earlier.size());
        }
        self.acknowledged = frames;
        self.unknown.clear();
        self.released.push(released);
    }
}

/// All frames, as inputs.
pub fn frames_of(reader: &Reader) -> Vec<Input> {
    let mut frames = Vec::new();
    let visit = |entries: Vec<artel_audit::Entry>| {
        let entries = entries.into_iter().map(|e| NewEntry { class: e.leaf.class(), body: e.body });
        frames.push(entries.collect());
        Ok::<_, Error>(())
    };
    reader.replay(0, visit).expect("every entry opens");
    frames
}

/// A disk after an ordinary life of some commits, with the model of what is on it.
pub fn lived(commits: u64) -> (MemoryDisk, Model) {
    let disk = MemoryDisk::new();
    let mut model = Model::default();
    let mut opened = open(&disk, 10).expect("a new journal");
    model.live(&mut opened.journal, commits).expect("a healthy disk");
    (disk, model)
}

/// Notices that say that something was lost or repaired.
pub fn is_repair(notice: &Notice) -> bool {
    !matches!(notice, Notice::LeftoverRemoved { .. } | Notice::UnknownFile { .. })
}
