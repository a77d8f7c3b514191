//! Flipped bits, cut tails, missing and swapped files: identical, repaired and said so, or refused by name. Never silent.
#![allow(clippy::print_stdout, reason = "the counts are part of what the test says")]

mod common;

use artel_audit::memory::MemoryDisk;
use artel_audit::verify::{self, Outcome};
use artel_audit::{Error, KeyRing, Notice, Reader};
use artel_protocol::log::Tile;
use artel_protocol::log::tile::Content;
use common::{Input, Model, open};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many bits are flipped in each file, spread evenly over it.
const PLACES: u64 = 56;

/// Everything that can be asked of a journal. Errors are kept as their text.
#[derive(PartialEq, Debug)]
struct Answers {
    frames: Result<Vec<Input>, String>,
    entries: Vec<Result<Vec<u8>, String>>,
    proofs: Vec<Result<Vec<[u8; 32]>, String>>,
    tiles: Vec<Result<Vec<u8>, String>>,
    checkpoint: String,
}

fn ask(reader: &Reader) -> Answers {
    let size = reader.size();
    let mut frames = Vec::new();
    let replayed = reader.replay(0, |entries| {
        frames.push(
            entries
                .into_iter()
                .map(|e| artel_audit::NewEntry { class: e.leaf.class(), body: e.body })
                .collect(),
        );
        Ok::<_, Error>(())
    });
    let text = |e: Error| e.to_string();
    let raw = |hashes: Vec<artel_protocol::log::Hash>| hashes.into_iter().map(|h| h.0).collect();
    let tiles = [Content::Entries, Content::Hashes { level: 0 }]
        .into_iter()
        .filter_map(|content| Tile::of(content, 0, reader.checkpoint().size()));
    Answers {
        frames: replayed.map(|()| frames).map_err(text),
        entries: (0..size).map(|i| reader.entry(i).map(|e| e.body).map_err(text)).collect(),
        proofs: (0..size)
            .map(|i| reader.inclusion(i, size).map(raw).map_err(text))
            .chain((0..=size).map(|old| reader.consistency(old, size).map(raw).map_err(text)))
            .collect(),
        tiles: tiles.map(|t| reader.tile(&t).map_err(text)).collect(),
        checkpoint: reader.checkpoint().to_string(),
    }
}

/// A closed journal with snapshots, two slots, several segments and the data keys.
fn closed() -> (MemoryDisk, Model) {
    let disk = MemoryDisk::new();
    common::ring().store(&disk).expect("stored");
    let mut model = Model::default();
    let mut opened = open(&disk, 10).expect("a new journal");
    model.live(&mut opened.journal, 30).expect("a healthy disk");
    opened.journal.close().expect("closed");
    (disk.copy(), model)
}

/// Opens as a node does: the keys from their file.
fn open_as_node(disk: &MemoryDisk) -> Result<artel_audit::Opened, Error> {
    let ring = Arc::new(KeyRing::load(disk)?);
    common::open_with(disk, 77, ring)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Verdict {
    Identical,
    Repaired,
    Refused,
}

/// Opens a damaged directory and asks it everything.
fn judge(damaged: &MemoryDisk, path: &str, healthy: &Answers) -> Verdict {
    let opened = match open_as_node(damaged) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(error.to_string().contains(path), "{path}: refused without its name: {error}");
            return Verdict::Refused;
        }
    };
    let reader = opened.journal.reader();
    let answers = ask(&reader);
    let mut notices = opened.notices;
    notices.extend(opened.journal.take_notices());
    let said = notices.iter().any(|n| n.to_string().contains(path) || names_kin(n, path));
    let mut verdict = if said { Verdict::Repaired } else { Verdict::Identical };
    if answers == *healthy {
        // What was repaired stays repaired.
        drop(opened.journal);
        let again = open_as_node(damaged).unwrap_or_else(|e| panic!("{path}: repaired, but then: {e}"));
        assert!(ask(&again.journal.reader()) == *healthy, "{path}: repaired, but not for good");
        return verdict;
    }
    let mut wrong = Vec::new();
    let mut compare = |ok: bool, error: Option<&String>| match (ok, error) {
        (true, _) => (),
        (false, Some(text)) if text.contains(path) => verdict = Verdict::Refused,
        (false, other) => wrong.push(other.cloned()),
    };
    compare(answers.frames == healthy.frames, answers.frames.as_ref().err());
    for (found, wanted) in answers.entries.iter().zip(&healthy.entries) {
        compare(found == wanted, found.as_ref().err());
    }
    for (found, wanted) in answers.proofs.iter().zip(&healthy.proofs) {
        compare(found == wanted, found.as_ref().err());
    }
    for (found, wanted) in answers.tiles.iter().zip(&healthy.tiles) {
        compare(found == wanted, found.as_ref().err());
    }
    compare(answers.checkpoint == healthy.checkpoint, None);
    assert!(wrong.is_empty(), "{path}: silently wrong: {wrong:?}");
    verdict
}

/// A repair of derived files names the one that was met first; all of them are written again.
fn names_kin(notice: &Notice, path: &str) -> bool {
    let derived = path == "offsets" || path.starts_with("tiles/");
    derived && matches!(notice, Notice::DerivedRebuilt { .. })
}

#[test]
fn a_flipped_bit_anywhere_is_never_silent() {
    let (disk, _) = closed();
    let healthy = ask(&open_as_node(&disk.copy()).expect("opens").journal.reader());
    let mut counts: BTreeMap<String, BTreeMap<Verdict, u32>> = BTreeMap::new();
    let mut places = 0;
    for (path, len) in disk.files() {
        let wanted = PLACES.min(len * 8);
        for place in 0..wanted {
            let bit = place * (len * 8) / wanted + (place * 13) % 8;
            let damaged = disk.copy();
            if !damaged.flip(&path, bit.min(len * 8 - 1)) {
                continue;
            }
            let verdict = judge(&damaged, &path, &healthy);
            *counts.entry(path.clone()).or_default().entry(verdict).or_default() += 1;
            places += 1;
        }
    }
    for (path, verdicts) in &counts {
        println!("{path}: {verdicts:?}");
    }
    println!("{places} places");
    assert!(places >= 1000, "{places} places");
    assert!(counts.len() >= 8);
}

#[test]
fn a_tail_cut_at_any_byte_loses_only_what_is_cut_and_says_so() {
    // The last commit stands past the newest slot, in a segment that holds others.
    let (disk, model) = common::lived(19);
    let (path, _) = disk.files().into_iter().rfind(|(p, _)| p.ends_with(".seg")).expect("a segment");
    let bytes = disk.contents(&path).expect("there");
    let end = bytes.iter().rposition(|b| *b != 0).expect("frames") + 1;
    let slot = common_slot(&disk);
    let (mut refused, mut cut_frames, mut kept_whole) = (0, 0, 0);
    for cut in 512..end {
        for zeroed in [false, true] {
            let damaged = disk.copy();
            let mut cut_bytes = bytes[..cut].to_vec();
            if zeroed {
                cut_bytes.resize(bytes.len(), 0);
            }
            damaged.put(&path, &cut_bytes);
            match open(&damaged, 5) {
                Ok(opened) => {
                    let (size, frames) = (opened.journal.size(), common::frames_of(&opened.journal.reader()));
                    assert!(size >= slot && model.acknowledged.starts_with(&frames), "cut at {cut}");
                    let said = opened.notices.iter().any(|n| matches!(n, Notice::TailCut { .. }));
                    // Behind a whole frame, nothing of the next one is there, or zeros that it happened to begin with.
                    cut_frames += u32::from(said);
                    kept_whole += u32::from(!said);
                }
                Err(error) => {
                    assert!(error.to_string().starts_with(&path), "cut at {cut}: {error}");
                    assert!(error.to_string().contains(&format!("{slot} entries")), "cut at {cut}: {error}");
                    refused += 1;
                }
            }
        }
    }
    println!("refused {refused}, cut {cut_frames}, nothing to cut {kept_whole}");
    assert!(refused > 500 && cut_frames > 500, "both sides of the slot were cut");
    assert!(kept_whole <= 3 * inputs_of(18), "a cut within a frame was not said");
}

/// The frames of one commit.
fn inputs_of(commit: u64) -> u32 {
    common::inputs(commit).len() as u32 + 1
}

fn common_slot(disk: &MemoryDisk) -> u64 {
    let newest = artel_audit::SLOT_FILES.iter().filter_map(|file| {
        let slot = artel_audit::Slot::parse(&disk.contents(file)?).ok()?;
        Some((slot.sequence, slot.checkpoint.size()))
    });
    newest.max().expect("a slot").1
}

#[test]
fn missing_short_renamed_and_swapped_files_are_refused_by_name() {
    let (disk, _) = closed();
    let segments: Vec<String> =
        disk.files().into_iter().map(|(p, _)| p).filter(|p| p.ends_with(".seg")).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    let refused = |damaged: &MemoryDisk, path: &str| {
        let error = open_as_node(damaged).map(|_| ()).expect_err(path).to_string();
        assert!(error.contains(path), "{path}: {error}");
    };
    let without_snapshots = |disk: &MemoryDisk| {
        let copy = disk.copy();
        for (path, _) in copy.files() {
            if path.starts_with("snapshots/") {
                copy.take(&path);
            }
        }
        copy
    };
    for source in [disk.copy(), without_snapshots(&disk)] {
        for (at, path) in segments.iter().enumerate() {
            let missing = source.copy();
            missing.take(path);
            // The end of a journal that misses its last file is named by the file before it.
            let named = if at + 1 == segments.len() { &segments[at - 1] } else { path };
            let error = open_as_node(&missing).map(|_| ()).expect_err(path).to_string();
            assert!(error.contains(path) || error.contains(named), "{path}: {error}");

            let renamed = source.copy();
            let bytes = renamed.contents(path).expect("there");
            renamed.take(path);
            renamed.put("journal/00000000000000000777.seg", &bytes);
            assert!(open_as_node(&renamed).is_err());

            let other = &segments[(at + 1) % segments.len()];
            let swapped = source.copy();
            swapped.put(path, &source.contents(other).expect("there"));
            refused(&swapped, path);

            let short = source.copy();
            short.put(path, &bytes[..512 + 700.min(bytes.len() - 512) / 2]);
            refused(&short, path);
            let headless = source.copy();
            headless.put(path, &bytes[..100]);
            refused(&headless, path);
        }
    }
    for gone in [&["checkpoint.a", "checkpoint.b"][..], &["data.key"]] {
        let damaged = disk.copy();
        gone.iter().for_each(|file| assert!(damaged.take(file)));
        refused(&damaged, gone[0]);
    }
    let no_segments = disk.copy();
    segments.iter().for_each(|s| assert!(no_segments.take(s)));
    refused(&no_segments, "journal");
}

#[test]
fn history_that_was_rewritten_with_right_check_sums_is_refused() {
    let (disk, _) = common::lived(6);
    let path = "journal/00000000000000000000.seg";
    // The first frame holds one public entry; its body ends the frame.
    let altered = disk.copy();
    rewrite_last_byte_of_first_frame(&altered, path);
    let error = open(&altered, 1).map(|_| ()).expect_err("altered").to_string();
    assert!(error.starts_with(path) && error.contains("entry 0 was altered"), "{error}");
    assert_eq!(altered.contents("tiles/0"), disk.contents("tiles/0"), "nothing was changed");
}

/// The root covers a private entry's commitment, not its sealed bytes: those are found when they are opened.
#[test]
fn a_sealed_body_that_was_rewritten_with_a_right_check_sum_is_refused_when_it_is_read() {
    let disk = MemoryDisk::new();
    common::ring().store(&disk).expect("stored");
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    let mut commit: artel_audit::Commit<()> = artel_audit::Commit::new();
    commit.frame(vec![artel_audit::NewEntry {
        class: artel_protocol::log::Class::Private,
        body: b"secret".to_vec(),
    }]);
    let _ = journal.commit(commit).expect("a healthy disk");
    journal.close().expect("closed");
    let path = "journal/00000000000000000000.seg";
    rewrite_last_byte_of_first_frame(&disk, path);
    let reader = open(&disk, 2).expect("the leaves are the same").journal.reader();
    let error = reader.entry(0).expect_err("altered").to_string();
    assert!(error.starts_with(path) && error.contains("entry 0"), "{error}");
    assert!(reader.replay(0, |_| Ok::<_, Error>(())).is_err());
    let report = verify::directory(Arc::new(disk)).expect("readable");
    assert!(matches!(report.outcome, Outcome::Damaged { file, .. } if file == path));
}

/// Alters the first frame and makes its check sum right again.
fn rewrite_last_byte_of_first_frame(disk: &MemoryDisk, path: &str) {
    let mut bytes = disk.contents(path).expect("there");
    let len = u32::from_le_bytes(bytes[512..516].try_into().expect("4 bytes")) as usize;
    bytes[512 + 8 + len - 1] ^= 1;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&(len as u32).to_le_bytes()), &bytes[520..520 + len]);
    bytes[516..520].copy_from_slice(&crc.to_le_bytes());
    disk.put(path, &bytes);
}

#[test]
fn another_nodes_directory_is_refused() {
    let (disk, _) = common::lived(3);
    let mut options = common::options();
    options.origin =
        artel_protocol::log::Origin::new(artel_protocol::id::FederationId([9; 32]), options.origin.node(), 0);
    let files: Arc<dyn artel_audit::files::Files> = Arc::new(disk);
    let signer: Arc<dyn artel_audit::Signer> = Arc::new(common::signer());
    let entropy = Box::new(<rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1));
    let opened = artel_audit::Journal::open(files, options, signer, common::ring(), entropy);
    let error = opened.map(|_| ()).expect_err("foreign").to_string();
    assert!(error.contains("belongs to another journal"), "{error}");
}

#[test]
fn offline_verification_finds_every_flip_in_what_is_the_truth() {
    let (disk, _) = closed();
    let files: Arc<dyn artel_audit::files::Files> = Arc::new(disk.copy());
    let report = verify::directory(files).expect("readable");
    assert_eq!(report.outcome, Outcome::Sound, "{report:?}");
    assert!(report.entries > 50 && report.bodies_opened > 0 && report.snapshots == 4);
    for (path, len) in disk.files() {
        let used = used_bytes(&disk, &path).unwrap_or(len);
        for place in 0..60 {
            let bit = place * (used * 8) / 60 + place % 8;
            let damaged = disk.copy();
            if !damaged.flip(&path, bit) {
                continue;
            }
            let files: Arc<dyn artel_audit::files::Files> = Arc::new(damaged);
            match verify::directory(files) {
                Err(error) => assert!(error.to_string().contains(&path), "{path} bit {bit}: {error}"),
                Ok(report) => {
                    let named = match &report.outcome {
                        Outcome::Sound => false,
                        Outcome::Damaged { file, .. } => *file == path,
                    } || report.repairable.iter().any(|(file, _)| *file == path);
                    assert!(named, "{path} bit {bit}: {report:?}");
                }
            }
        }
    }
}

/// The bytes of a segment that are in use: zeros behind them belong to nobody yet.
fn used_bytes(disk: &MemoryDisk, path: &str) -> Option<u64> {
    let bytes = disk.contents(path).filter(|_| path.ends_with(".seg"))?;
    bytes.iter().rposition(|b| *b != 0).map(|last| last as u64 + 1)
}

#[test]
fn a_damaged_slot_behind_a_newer_snapshot_is_repaired_for_good() {
    for commits in 12..30 {
        let (disk, model) = common::lived(commits);
        let newest = (artel_audit::SLOT_FILES.iter())
            .filter_map(|file| Some((artel_audit::Slot::parse(&disk.contents(file)?).ok()?.sequence, *file)))
            .max()
            .expect("a slot")
            .1;
        assert!(disk.flip(newest, 999));
        for life in 0..3 {
            let opened = open(&disk, life).unwrap_or_else(|e| panic!("{commits} commits, life {life}: {e}"));
            assert!(common::frames_of(&opened.journal.reader()) == model.acknowledged);
        }
    }
}
