//! How many records a second the journal appends and syncs, beside what the disk does with bare records in the same run.
//!
//! A record here is an entry with a 200-byte body, every second one private and sealed, two to a frame: about 300 bytes on
//! disk. The bare ones have 300 bytes. Rows are taken in turns, so that both see the same disk.

use crate::commit::Commit;
use crate::error::Error;
use crate::files::{Access, Files};
use crate::frame::NewEntry;
use crate::journal::{Journal, Options};
use crate::keys::KeyRing;
use crate::os::OsFiles;
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::{Class, Origin, inclusion};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The bytes of a bare record, as the floor of the peers' harness has it.
const RECORD_BYTES: usize = 300;

/// The bytes of a body.
const BODY_BYTES: usize = 200;

/// The bytes of the file that bare records go to; it is begun again from its start when it is full.
const RAW_FILE_BYTES: u64 = 64 << 20;

/// One group size.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Records a sync.
    pub group: u64,
    /// Bare records a second: one write and one `fdatasync` a group, into a file that grows as the harness's floor does.
    pub raw_growing: f64,
    /// The same into a file that was filled with zeros before, as segments are.
    pub raw: f64,
    /// Journal entries a second, appended, hashed, sealed and synced.
    pub journal: f64,
}

/// What a run found.
#[derive(Debug, Clone)]
pub struct Report {
    /// By group size.
    pub rows: Vec<Row>,
    /// Entries in the journal at the end.
    pub entries: u64,
    /// How long an inclusion proof takes to make then, from files.
    pub proof_made: Duration,
    /// How long it takes to check.
    pub proof_checked: Duration,
}

/// Measures in a directory, which should be empty and on the disk in question, for about `each` a figure.
///
/// # Errors
/// [`Error`], when the disk says no.
pub fn run(dir: &Path, groups: &[u64], each: Duration) -> Result<Report, Error> {
    let files: Arc<dyn Files> = Arc::new(OsFiles::new(dir));
    let secret = SecretKey::from_seed(&[7; 32]);
    let origin = Origin::new(FederationId([7; 32]), NodeId(secret.public()), 0);
    let mut entropy = StdRng::seed_from_u64(1);
    let ring = Arc::new(KeyRing::generate(&mut entropy));
    let opened =
        Journal::open(files.clone(), Options::new(origin), Arc::new(secret), ring, Box::new(entropy))?;
    let mut journal = opened.journal;
    let mut rows = Vec::new();
    for group in groups {
        let raw_growing = raw(files.as_ref(), *group, each, false)?;
        let ours = append(&mut journal, *group, each)?;
        let raw = raw(files.as_ref(), *group, each, true)?;
        rows.push(Row { group: *group, raw_growing, raw, journal: ours });
    }
    let (proof_made, proof_checked) = proofs(&journal)?;
    Ok(Report { rows, entries: journal.size(), proof_made, proof_checked })
}

fn raw(files: &dyn Files, group: u64, each: Duration, filled: bool) -> Result<f64, Error> {
    const NAME: &str = "raw";
    let file = files.open(NAME, Access::Fresh).map_err(Error::io(NAME, "create"))?;
    if filled {
        crate::files::fill_with_zeros(file.as_ref(), RAW_FILE_BYTES).map_err(Error::io(NAME, "fill"))?;
        file.sync_data().map_err(Error::io(NAME, "sync"))?;
    }
    let records = vec![b'.'; RECORD_BYTES * group as usize];
    let (mut at, mut written, start) = (0, 0, Instant::now());
    while start.elapsed() < each {
        if filled && at + records.len() as u64 > RAW_FILE_BYTES {
            at = 0;
        }
        file.write_at(&records, at).map_err(Error::io(NAME, "write"))?;
        file.sync_data().map_err(Error::io(NAME, "sync"))?;
        at += records.len() as u64;
        written += group;
    }
    let rate = written as f64 / start.elapsed().as_secs_f64();
    files.remove(NAME).map_err(Error::io(NAME, "remove"))?;
    Ok(rate)
}

fn append(journal: &mut Journal, group: u64, each: Duration) -> Result<f64, Error> {
    let (mut written, start) = (0, Instant::now());
    let mut helper = None;
    while start.elapsed() < each {
        if let Some(job) = journal.spare_job() {
            helper = Some(std::thread::spawn(move || job.run()));
        }
        let mut commit: Commit<()> = Commit::new();
        let mut left = group;
        while left > 0 {
            let entries = (0..left.min(2)).map(|at| NewEntry {
                class: if at == 0 { Class::Public } else { Class::Private },
                body: vec![b'.'; BODY_BYTES],
            });
            commit.frame(entries.collect());
            left -= left.min(2);
        }
        let _ = journal.commit(commit).map_err(|failed| failed.error)?;
        written += group;
    }
    let rate = written as f64 / start.elapsed().as_secs_f64();
    if let Some(helper) = helper {
        helper.join().expect("making a spare segment does not panic")?;
    }
    Ok(rate)
}

fn proofs(journal: &Journal) -> Result<(Duration, Duration), Error> {
    const PROOFS: u64 = 2_000;
    let (reader, size, root) = (journal.reader(), journal.size(), journal.root());
    if size == 0 {
        return Ok((Duration::ZERO, Duration::ZERO));
    }
    let indices: Vec<u64> = (0..PROOFS).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % size).collect();
    let (mut made, mut checked) = (Duration::ZERO, Duration::ZERO);
    for index in indices {
        let leaf = reader.leaf(index)?.hash();
        let start = Instant::now();
        let proof = reader.inclusion_of(&leaf, index, size)?;
        made += start.elapsed();
        let start = Instant::now();
        inclusion::verify(&leaf, index, size, &proof, &root)?;
        checked += start.elapsed();
    }
    Ok((made / PROOFS as u32, checked / PROOFS as u32))
}
