//! What a healthy journal does: order of effects, proofs at once, slots, snapshots, readers, the log as strangers see it.

mod common;

use artel_audit::memory::{Fault, MemoryDisk, Plan};
use artel_audit::source::{self, LogError, LogSource};
use artel_audit::{Commit, Error, Fate, KeyId, KeyRing, NewEntry, Reader, SLOT_INTERVAL_MS, archive};
use artel_protocol::log::{Class, Tile, consistency, inclusion, range, tree};
use artel_protocol::time::Mono;
use common::{Model, open, open_with, options};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;

fn entry(class: Class, body: &[u8]) -> NewEntry {
    NewEntry { class, body: body.to_vec() }
}

fn append(journal: &mut artel_audit::Journal, bodies: &[&[u8]]) -> artel_audit::Appended {
    let mut commit: Commit<()> = Commit::new();
    commit.frame(bodies.iter().map(|b| entry(Class::Private, b)).collect());
    journal.commit(commit).expect("a healthy disk").appended.remove(0)
}

#[test]
fn effects_come_out_in_order_and_only_after_the_sync() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    let before = disk.points();
    let mut commit = Commit::new();
    commit.hold("nothing to write");
    let released = journal.commit(commit).expect("nothing can fail");
    assert_eq!((released.effects, disk.points()), (vec!["nothing to write"], before));

    let mut commit = Commit::new();
    assert_eq!(commit.frame(vec![]), None);
    assert_eq!(commit.frame(vec![entry(Class::Public, b"a"), entry(Class::Private, b"b")]), Some(0));
    commit.hold("first");
    assert_eq!(commit.frame(vec![entry(Class::Public, b"c")]), Some(1));
    commit.hold("second");
    let released = journal.commit(commit).expect("a healthy disk");
    assert_eq!(released.effects, ["first", "second"]);
    let places: Vec<(u64, usize)> =
        released.appended.iter().map(|f| (f.first_index, f.leaves.len())).collect();
    assert_eq!(places, [(0, 2), (2, 1)]);
    let seqs: Vec<u64> = released.appended.iter().flat_map(|f| &f.leaves).map(|l| l.public_seq()).collect();
    assert_eq!(seqs, [0, 1, 1]);
    // A power loss right after the answer keeps it.
    let found = open(&disk.after_crash(1), 2).expect("opens");
    assert_eq!((found.journal.size(), found.journal.public_seq()), (3, 2));
}

#[test]
fn a_commit_is_one_write_and_one_sync() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    append(&mut journal, &[b"the first one opens derived files"]);
    let before = disk.points();
    append(&mut journal, &[b"x"]);
    // Two derived writes, offsets and hashes, are not synced.
    assert_eq!(disk.points() - before, 2 + 1 + 1);
}

#[test]
fn an_entry_is_provable_as_soon_as_it_is_acknowledged() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    let reader = journal.reader();
    let mut roots = vec![tree::Hash::EMPTY_ROOT];
    for n in 0..300u32 {
        let appended = append(&mut journal, &[&n.to_le_bytes()]);
        let (index, size, root) = (appended.first_index, journal.size(), journal.root());
        let leaf = appended.leaves[0].hash();
        let proof = reader.inclusion(index, size).expect("proven");
        assert_eq!(inclusion::verify(&leaf, index, size, &proof, &root), Ok(()));
        roots.push(root);
    }
    let size = journal.size();
    for old in 0..=size {
        let proof = reader.consistency(old, size).expect("proven");
        let verified = consistency::verify(old, &roots[old as usize], size, &roots[size as usize], &proof);
        assert_eq!(verified, Ok(()), "{old}");
        assert_eq!(reader.root(old).expect("read"), roots[old as usize]);
    }
    let leaves: Vec<_> = (100..140).map(|i| reader.leaf(i).expect("read").hash()).collect();
    let proof = reader.range(100, 140, 250).expect("proven");
    assert_eq!(range::verify(100, &leaves, 250, &proof, &roots[250]), Ok(()));
    assert!(matches!(reader.inclusion(size, size), Err(Error::Beyond { .. })));
    assert!(matches!(reader.root(size + 1), Err(Error::Beyond { .. })));
}

#[test]
fn no_checkpoint_is_shown_above_a_synced_slot() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    let reader = journal.reader();
    append(&mut journal, &[b"a"]);
    assert_eq!((reader.size(), reader.checkpoint().size()), (1, 0));
    assert!(matches!(reader.tlog_proof(0), Err(Error::Beyond { wanted: 0, size: 0 })));
    let from = disk.points();
    disk.plan(Plan { fault: Fault::Eio, from, count: 2 });
    assert!(journal.checkpoint().is_err());
    assert_eq!(reader.checkpoint().size(), 0);
    disk.heal();
    assert_eq!(journal.checkpoint().expect("a new file").size(), 1);
    assert_eq!(reader.checkpoint().size(), 1);
    let proof = reader.tlog_proof(0).expect("proven").to_string();
    let parsed = artel_protocol::log::Proof::parse(&proof).expect("our own text");
    assert!(parsed.verify(&reader.leaf(0).expect("read").hash()).is_ok());
}

#[test]
fn a_slot_follows_within_its_interval() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    assert_eq!(journal.next_tick(), None);
    append(&mut journal, &[b"a"]);
    assert_eq!(journal.next_tick(), Some(Mono(0)));
    let released = journal.tick(Mono(5_000)).expect("a healthy disk");
    assert_eq!(released.map(|c| c.size()), Some(1));
    append(&mut journal, &[b"b"]);
    assert_eq!(journal.next_tick(), Some(Mono(5_000 + SLOT_INTERVAL_MS)));
    assert_eq!(journal.tick(Mono(5_000 + SLOT_INTERVAL_MS - 1)).expect("not due"), None);
    assert!(journal.tick(Mono(5_000 + SLOT_INTERVAL_MS)).expect("due").is_some());
}

#[test]
fn opening_reads_only_what_follows_the_snapshot() {
    let disk = MemoryDisk::new();
    let mut opened = open(&disk, 1).expect("a new journal");
    let mut model = Model::default();
    model.live(&mut opened.journal, 28).expect("a healthy disk");
    let size = opened.journal.size();
    opened.journal.close().expect("closed");
    let segments: Vec<String> =
        disk.files().into_iter().map(|(p, _)| p).filter(|p| p.ends_with(".seg")).collect();
    // What stands in the first segment is not looked at when a snapshot covers it, but it is when it is asked for.
    let damaged = disk.copy();
    assert!(damaged.flip(&segments[0], 540 * 8));
    let opened = open(&damaged, 2).expect("the damage is behind the snapshot");
    let state = opened.state.expect("a snapshot");
    assert!(state.size > size / 2);
    let bodies = model.bodies();
    assert_eq!(
        common::state_of(bodies[..state.size as usize].iter().map(|e| e.body.as_slice())),
        state.bytes
    );
    let reader = opened.journal.reader();
    let mut tail = 0;
    reader
        .replay(state.size, |entries| {
            tail += entries.len() as u64;
            Ok::<_, Error>(())
        })
        .expect("the tail is whole");
    assert_eq!(state.size + tail, size);
    assert!(reader.entry(0).expect_err("damaged").to_string().starts_with(&segments[0]));
}

#[test]
fn a_clean_start_changes_nothing() {
    let (disk, _) = common::lived(12);
    open(&disk, 3).expect("opens").journal.close().expect("closed");
    let before: Vec<_> = disk.files().into_iter().map(|(p, _)| (disk.contents(&p), p)).collect();
    let opened = open(&disk, 4).expect("opens");
    assert!(opened.notices.is_empty(), "{:?}", opened.notices);
    let after: Vec<_> = disk.files().into_iter().map(|(p, _)| (disk.contents(&p), p)).collect();
    assert!(before == after);
}

#[test]
fn zeros_that_were_made_ahead_are_used_by_the_next_start() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    journal.spare_job().expect("none is ready").run().expect("made");
    append(&mut journal, &[b"behind the slot"]);
    drop(journal);
    assert_eq!(common::spares(&disk), 1);
    let journal = open(&disk, 2).expect("opens").journal;
    assert_eq!(journal.size(), 1);
    assert_eq!(common::spares(&disk), 0, "the tail moved there");
    assert_eq!(disk.files().iter().filter(|(_, len)| *len == options().sizes.usual).count(), 1);
    journal.spare_job().expect("none is ready").run().expect("made");
    journal.close().expect("closed");
    let journal = open(&disk, 3).expect("opens").journal;
    assert!(journal.spare_job().is_none(), "it is ready still");
    assert_eq!(common::spares(&disk), 1);
}

#[test]
fn a_start_keeps_one_spare_and_removes_what_is_none() {
    let disk = MemoryDisk::new();
    open(&disk, 1).expect("a new journal").journal.close().expect("closed");
    let spare = |number: u64, ending: &str| format!("journal/spare-{number:020}.{ending}");
    disk.put(&spare(3, "zeros"), &[0; 100]);
    disk.put(&spare(7, "zeros"), &[0; 6 << 10]);
    disk.put(&spare(8, "zeros"), &[0; 6 << 10]);
    disk.put(&spare(9, "tmp"), &[0; 5]);
    let opened = open(&disk, 2).expect("opens");
    assert_eq!(opened.notices, []);
    let left: Vec<String> =
        disk.files().into_iter().map(|(path, _)| path).filter(|path| path.contains("spare")).collect();
    assert_eq!(left, [spare(7, "zeros")]);
}

#[test]
fn private_bodies_need_their_key_and_leaves_do_not() {
    let disk = MemoryDisk::new();
    let mut entropy = StdRng::seed_from_u64(8);
    let mut keys = KeyRing::generate(&mut entropy);
    let mut journal = open_with(&disk, 1, Arc::new(KeyRing::from_text(&keys.to_text()).expect("our own")))
        .expect("a new journal")
        .journal;
    append(&mut journal, &[b"under the first key"]);
    keys.rotate(&mut entropy);
    journal.set_keys(Arc::new(KeyRing::from_text(&keys.to_text()).expect("our own")));
    append(&mut journal, &[b"under the second key"]);
    let reader = journal.reader();
    assert_eq!(reader.entry(0).expect("both keys").body, b"under the first key");
    for (path, _) in disk.files() {
        let bytes = disk.contents(&path).expect("there");
        assert!(!bytes.windows(9).any(|w| w == b"under the"), "{path}");
    }
    let leaf = reader.leaf(0).expect("read");
    keys.erase(KeyId(1));
    journal.set_keys(Arc::new(KeyRing::from_text(&keys.to_text()).expect("our own")));
    assert!(matches!(reader.entry(0), Err(Error::NoKey { index: 0, key_id: 1 })));
    assert_eq!(reader.entry(1).expect("the second key").body, b"under the second key");
    assert_eq!(reader.leaf(0).expect("no key needed"), leaf);
    drop(journal);
    // The directory opens, proves and verifies all the same.
    let again = open_with(&disk, 2, Arc::new(keys)).expect("opens");
    let reader = again.journal.reader();
    assert!(reader.inclusion(0, 2).is_ok());
    let report = artel_audit::verify::directory(Arc::new(disk)).expect("readable");
    assert_eq!((report.outcome, report.bodies_sealed), (artel_audit::verify::Outcome::Sound, 2));
}

#[test]
fn what_is_too_large_is_refused_and_harms_nothing() {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    let large = vec![0; artel_audit::FRAME_BYTES_MAX];
    let mut commit: Commit<()> = Commit::new();
    commit.frame(vec![entry(Class::Public, &large)]);
    let failed = journal.commit(commit).expect_err("too large");
    assert!(matches!((failed.fate, failed.error), (Fate::Gone, Error::TooLarge { .. })));
    let mut commit: Commit<()> = Commit::new();
    for _ in 0..3 {
        commit.frame(vec![entry(Class::Public, &large[..large.len() - 1000])]);
    }
    assert!(commit.bytes_max() > artel_audit::COMMIT_BYTES_MAX);
    assert!(journal.commit(commit).is_err());
    // Larger than any segment so far, but allowed.
    let mut commit: Commit<()> = Commit::new();
    commit.frame(vec![entry(Class::Public, &large[..100_000])]);
    assert_eq!(journal.commit(commit).expect("a segment of its own").appended[0].first_index, 0);
    append(&mut journal, &[b"and on"]);
    drop(journal);
    let reader = open(&disk, 2).expect("opens").journal.reader();
    assert_eq!((reader.size(), reader.entry(0).expect("read").body.len()), (2, 100_000));
}

/// A log of a few bundles and tile levels.
fn long_log() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    for n in 0..140u32 {
        let mut commit: Commit<()> = Commit::new();
        commit.frame(vec![
            entry(Class::Public, &n.to_le_bytes()),
            entry(Class::Private, b"p"),
            entry(Class::Public, b""),
        ]);
        commit.frame(vec![entry(Class::Private, &n.to_le_bytes()); 2]);
        let _ = journal.commit(commit).expect("a healthy disk");
    }
    journal.close().expect("closed");
    disk
}

/// A source that alters one file.
struct Altered<'a> {
    reader: &'a Reader,
    path: String,
    bit: usize,
}

impl LogSource for Altered<'_> {
    type Error = Error;

    fn fetch(&mut self, path: &str) -> Result<Vec<u8>, Error> {
        let mut reader = self.reader;
        let mut bytes = reader.fetch(path)?;
        if path == self.path {
            let bit = self.bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(bytes)
    }
}

#[test]
fn a_stranger_verifies_the_log_and_finds_every_altered_file() {
    let disk = long_log();
    for reader in [
        open(&disk.copy(), 2).expect("opens").journal.reader(),
        archive::open(Arc::new(disk.copy())).expect("opens"),
    ] {
        let report = source::verify(&mut &reader, Some(&common::origin()), &mut |_| ()).expect("sound");
        assert_eq!((report.checkpoint.size(), report.public, report.tiles), (700, 280, 4));
        for path in [
            "checkpoint",
            "tile/entries/000",
            "tile/entries/002.p/188",
            "tile/0/001",
            "tile/0/002.p/188",
            "tile/1/000.p/2",
        ] {
            for bit in (0..4096).step_by(97) {
                let mut altered = Altered { reader: &reader, path: path.into(), bit };
                assert!(source::verify(&mut altered, None, &mut |_| ()).is_err(), "{path} {bit}");
            }
        }
        let mut other = common::options().origin;
        other = artel_protocol::log::Origin::new(other.federation(), other.node(), 1);
        let foreign = source::verify(&mut &reader, Some(&other), &mut |_| ());
        assert!(matches!(foreign, Err(LogError::Foreign { .. })));
    }
}

#[test]
fn narrower_tiles_are_served_and_wider_ones_are_not() {
    let disk = long_log();
    let reader = archive::open(Arc::new(disk)).expect("opens");
    for path in
        ["tile/0/002.p/188", "tile/0/002.p/100", "tile/0/002.p/1", "tile/1/000.p/1", "tile/entries/002.p/7"]
    {
        let tile = Tile::parse(path).expect("a tile");
        assert!(reader.tile(&tile).is_ok(), "{path}");
    }
    for path in ["tile/0/002.p/189", "tile/0/002", "tile/1/000.p/3", "tile/2/000.p/1", "tile/entries/003.p/1"]
    {
        let tile = Tile::parse(path).expect("a tile");
        assert!(matches!(reader.tile(&tile), Err(Error::Beyond { .. })), "{path}");
    }
}

#[test]
fn an_archive_answers_without_derived_files_and_writes_nothing() {
    let disk = long_log();
    for (path, _) in disk.files() {
        if path == "offsets" || path.starts_with("tiles/") {
            disk.take(&path);
        }
    }
    let before = disk.files();
    let reader = archive::open(Arc::new(disk.clone())).expect("opens");
    let proof = reader.tlog_proof(333).expect("proven");
    assert!(proof.verify(&reader.leaf(333).expect("read").hash()).is_ok());
    assert!(source::verify(&mut &reader, None, &mut |_| ()).is_ok());
    assert_eq!(disk.files(), before);
}

#[test]
fn a_real_directory_holds_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let start = |entropy| {
        let files = Arc::new(artel_audit::os::OsFiles::new(dir.path()));
        let entropy = Box::new(StdRng::seed_from_u64(entropy));
        artel_audit::Journal::open(
            files,
            common::options(),
            Arc::new(common::signer()),
            common::ring(),
            entropy,
        )
        .expect("opens")
    };
    let mut model = Model::default();
    for life in 0..4 {
        let mut opened = start(life);
        model.check_and_adopt(&opened);
        model.live(&mut opened.journal, 9).expect("a healthy disk");
    }
    let opened = start(9);
    model.check_and_adopt(&opened);
    assert!(opened.state.is_some());
    let files = Arc::new(artel_audit::os::OsFiles::new(dir.path()));
    let report = artel_audit::verify::directory(files).expect("readable");
    assert_eq!(report.outcome, artel_audit::verify::Outcome::Sound);
    assert_eq!(report.entries, opened.journal.size());
}

#[test]
fn some_entries_are_read_as_each_is_and_a_bound_ends_behind_a_frame() {
    let (disk, model) = common::lived(40);
    let journal = open(&disk, 9).expect("opens").journal;
    let reader = journal.reader();
    let size = reader.size();
    assert_eq!(size, model.bodies().len() as u64);
    let all: Vec<u64> = (0..size).collect();
    let sparse: Vec<u64> = (0..size).filter(|index| index % 7 < 2 || *index > size - 5).collect();
    for wanted in [all.clone(), sparse, vec![size - 1], vec![]] {
        let (found, unread) = reader.some(&wanted, usize::MAX).expect("a healthy disk");
        let one_by_one: Vec<_> = wanted.iter().map(|index| reader.entry(*index).expect("there")).collect();
        assert_eq!((found, unread), (one_by_one, None));
    }
    let (mut rest, mut found, mut reads) = (all.as_slice(), Vec::new(), 0);
    while !rest.is_empty() {
        let (part, unread) = reader.some(rest, 1).expect("a healthy disk");
        assert!(!part.is_empty(), "each read goes on");
        found.extend(part.iter().map(|entry| entry.index));
        rest = unread.map_or(&[], |next| &all[next as usize..]);
        reads += 1;
    }
    assert!(found == all && reads > 1, "{reads} reads");
    assert!(matches!(reader.some(&[size], 1), Err(Error::Beyond { .. })));
}
