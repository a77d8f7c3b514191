//! Single records of another node's journal that are lost in a stopped node's store, as by damage to its disk: for what it costs
//! to have them again.

use crate::neighbours::open_store;
use anyhow::{Context as _, ensure};
use artel_audit::os::OsFiles;
use artel_audit::records::{Item, NewFrame, RECORDS_DIR};
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many frames are appended at once: of 64 KiB at most, so 4 MiB.
const FRAMES_AT_ONCE: usize = 64;

/// How much of the store is read at once.
const READ_BYTES: usize = 8 << 20;

/// Damages the frames of so many records of the first journals of the nodes with these DIDs, of each its part, scattered over all
/// that is held of it. Each stood in a frame of its own by then, so no other record is lost. The node must not run; it finds out
/// when it reads them. Answers which of each.
///
/// # Errors
/// What the disk says, or that fewer are held.
pub fn lose(dir: &Path, of: &[String], count: usize) -> anyhow::Result<Vec<BTreeSet<u64>>> {
    let files = Arc::new(OsFiles::new(dir));
    let federation = artel_audit::verify::directory(files.clone())?.origin.federation();
    let store = open_store(dir, files.clone(), federation)?;
    let held = store.reader();
    let mut frames: Vec<Records> = Vec::new();
    for (origin, mark) in held.marks() {
        let mut next = mark.floor;
        loop {
            let (some, then) = held.frames(&origin, next, READ_BYTES);
            if some.is_empty() {
                break;
            }
            for frame in some {
                frames.push(Records::check(&frame, &federation)?);
            }
            next = then;
        }
    }
    let mut lost = Vec::new();
    for (number, did) in of.iter().enumerate() {
        let part = (count * (number + 1) / of.len() - count * number / of.len()) as u64;
        let (origin, mark) = held
            .marks()
            .into_iter()
            .find(|(origin, _)| origin.node().key().did() == *did)
            .context("nothing is held of that node")?;
        let numbers = mark.next - mark.floor;
        ensure!(numbers > 2 * part, "of {numbers} records not so many can be lost");
        // The first and the last stay, and none is beside another.
        let some: BTreeSet<u64> = (1..=part).map(|n| mark.floor + n * (numbers - 1) / (part + 1)).collect();
        lost.push((origin, some));
    }
    drop((store, held));
    for name in segments(dir)?.keys() {
        std::fs::remove_file(name)?;
    }
    std::fs::remove_dir_all(dir.join(RECORDS_DIR).join("index"))?;
    let is_lost =
        |of: Origin, seq: u64| lost.iter().any(|(origin, some)| of == *origin && some.contains(&seq));
    let rest = frames.iter().filter_map(|frame| frame.only(|seq| !is_lost(frame.origin(), seq)));
    let rest: Vec<Records> = rest.collect();
    let alone = |of: Origin, seq: u64| {
        frames
            .iter()
            .find_map(|frame| if frame.origin() == of { frame.only(|other| other == seq) } else { None })
    };
    let each = lost.iter().flat_map(|(origin, some)| some.iter().map(|seq| (*origin, *seq)));
    let lone: Vec<Records> = each.filter_map(|(of, seq)| alone(of, seq)).collect();
    let mut store = open_store(dir, files, federation)?;
    for some in rest.chunks(FRAMES_AT_ONCE) {
        store.append(some.iter().map(frame_of).collect())?;
    }
    let before = segments(dir)?;
    for some in lone.chunks(FRAMES_AT_ONCE) {
        store.append(some.iter().map(frame_of).collect())?;
    }
    store.feed()?;
    drop(store);
    for (path, end) in segments(dir)? {
        let from = before.get(&path).copied().unwrap_or_default();
        if from < end {
            damage(&path, from, &lone)?;
        }
    }
    Ok(lost.into_iter().map(|(_, some)| some).collect())
}

/// The files with records, and their lengths.
fn segments(dir: &Path) -> anyhow::Result<BTreeMap<PathBuf, u64>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir.join(RECORDS_DIR))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "seg") {
            let len = path.metadata()?.len();
            found.insert(path, len);
        }
    }
    Ok(found)
}

fn frame_of(records: &Records) -> NewFrame {
    let items =
        records.records().iter().map(|record| Item { public_seq: record.public_seq, index: record.index });
    NewFrame { origin: records.origin(), topic: 0, items: items.collect(), bytes: records.bytes().to_vec() }
}

/// Changes a byte of each of these frames that stands in a file behind a place.
fn damage(path: &Path, from: u64, frames: &[Records]) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(path)?;
    let tail = &mut bytes[from as usize..];
    for frame in frames {
        if let Some(at) = tail.windows(frame.bytes().len()).position(|window| window == frame.bytes()) {
            tail[at + frame.bytes().len() / 2] ^= 1;
        }
    }
    Ok(std::fs::write(path, bytes)?)
}
