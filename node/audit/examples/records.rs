//! Prints what the record store costs: appends of 64 frames of 4 KiB with one sync each, beside bare writes of as many bytes into
//! a growing and into a filled file; a start over 100,000 records, with the index and without; and memory.
//! `cargo run --release -p artel-audit --example records -- DIRECTORY`
#![allow(clippy::print_stdout, reason = "it is a command")]

use artel_audit::files::{Access, Files, fill_with_zeros};
use artel_audit::index::SledStore;
use artel_audit::os::OsFiles;
use artel_audit::records::{Item, Limits, NewFrame, RecordStore};
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::Origin;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const FEDERATION: FederationId = FederationId([2; 32]);
const FRAMES: u64 = 64;
const FRAME_BYTES: usize = 4 << 10;
const EACH: Duration = Duration::from_secs(3);

fn frame(author: u8, seq: u64, records: u64, bytes: usize) -> NewFrame {
    let items = (seq..seq + records).map(|n| Item { public_seq: n, index: n * 2 }).collect();
    let origin = Origin::new(FEDERATION, NodeId(PublicKey::from_bytes([author; 32])), 0);
    NewFrame { origin, topic: 0, bytes: vec![b'.'; bytes], items }
}

fn open(dir: &Path) -> RecordStore {
    let (index, _) = SledStore::open(&dir.join("records/index")).expect("the index opens");
    let limits = Limits { author_bytes_max: 4 << 30, ..Limits::default() };
    let files: Arc<dyn Files> = Arc::new(OsFiles::new(dir));
    RecordStore::open(files, Arc::new(index), FEDERATION, limits).expect("the store opens").store
}

fn bare(dir: &Path, filled: bool) -> f64 {
    let files = OsFiles::new(dir);
    let file = files.open("bare", Access::Fresh).expect("made");
    let len = 256 << 20;
    if filled {
        fill_with_zeros(file.as_ref(), len).expect("filled");
        file.sync_data().expect("synced");
    }
    let bytes = vec![b'.'; FRAME_BYTES * FRAMES as usize];
    let (mut at, mut syncs, start) = (0, 0_u64, Instant::now());
    while start.elapsed() < EACH {
        file.write_at(&bytes, at % len).expect("written");
        file.sync_data().expect("synced");
        (at, syncs) = (at + bytes.len() as u64, syncs + 1);
    }
    let rate = (syncs * FRAMES) as f64 / start.elapsed().as_secs_f64();
    files.remove("bare").expect("removed");
    rate
}

/// The resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}

fn main() {
    let dir =
        std::env::args_os().nth(1).map(PathBuf::from).expect("the first argument is an empty directory");
    for sub in ["appends/records", "start/records"] {
        std::fs::create_dir_all(dir.join(sub)).expect("made");
    }
    for round in 0..2 {
        let growing = bare(&dir, false);
        let filled = bare(&dir, true);
        let appends = dir.join("appends");
        let mut store = open(&appends);
        let (mut seq, start) =
            (store.reader().marks().first().map_or(0, |(_, mark)| mark.next), Instant::now());
        let from = seq;
        while start.elapsed() < EACH {
            let frames = (0..FRAMES).map(|n| frame(1, seq + n, 1, FRAME_BYTES)).collect();
            store.append(frames).expect("kept");
            seq += FRAMES;
        }
        let ours = (seq - from) as f64 / start.elapsed().as_secs_f64();
        println!(
            "round {round}, 64 frames of 4 KiB a sync: bare growing {growing:.0}/s, bare filled {filled:.0}/s, store {ours:.0}/s"
        );
    }
    let dir = dir.join("start");
    let mut store = open(&dir);
    let before = resident();
    let start = Instant::now();
    // 100,000 records of ten authors, ten to a frame.
    for round in 0..1000_u64 {
        let frames = (0..10).map(|author| frame(author, round * 10, 10, 1200)).collect();
        store.append(frames).expect("kept");
    }
    println!(
        "100,000 records in 1,000 appends: {:?}, memory {} -> {} KiB",
        start.elapsed(),
        before,
        resident()
    );
    let unfed = store.reader();
    store.feed().expect("fed");
    let start = Instant::now();
    let (mut from, mut frames) = (0, 0);
    loop {
        let (page, next) = unfed.frames(&frame(3, 0, 1, 0).origin, from, 256 << 10);
        if page.is_empty() {
            break;
        }
        (from, frames) = (next, frames + page.len());
    }
    println!("{frames} frames of one author read in pages of 256 KiB: {:?}", start.elapsed());
    let start = Instant::now();
    for seq in (0..10_000).step_by(7) {
        assert!(unfed.frame(&frame(5, 0, 1, 0).origin, seq).is_some());
    }
    println!("one frame by its record: {:?}", start.elapsed() / (10_000 / 7));
    drop((store, unfed));
    let start = Instant::now();
    let (index, found) = SledStore::open(&dir.join("records/index")).expect("opens");
    let opened = start.elapsed();
    let start = Instant::now();
    index.check().expect("whole");
    println!("sled opens ({found:?}) in {opened:?} and is checked in {:?}", start.elapsed());
    drop(index);
    let (index, _) = SledStore::open(&dir.join("records/index")).expect("opens");
    let files: Arc<dyn Files> = Arc::new(OsFiles::new(&dir));
    let (index, before, start) = (Arc::new(index), resident(), Instant::now());
    let opened = RecordStore::open(files, index, FEDERATION, Limits::default()).expect("opens");
    println!(
        "the store opens over a fed index in {:?}, memory {before} -> {} KiB",
        start.elapsed(),
        resident()
    );
    drop(opened);
    std::fs::remove_dir_all(dir.join("records/index")).expect("removed");
    let start = Instant::now();
    let store = open(&dir);
    println!("without the index in {:?}, memory {} KiB", start.elapsed(), resident());
    println!("{} records held", store.reader().marks().iter().map(|(_, mark)| mark.records).sum::<u64>());
}
