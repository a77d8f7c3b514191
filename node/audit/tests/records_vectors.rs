//! Golden bytes of a segment of records, the witness table, and the index's keys and values. A change is a change of format.

mod record_model;

use artel_audit::files::Files;
use artel_audit::memory::MemoryDisk;
use artel_audit::records::witness::WitnessTable;
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::{Checkpoint, Hash, Origin, SignedCheckpoint};
use record_model::{Model, TestIndex, author, frame, open};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

const FILES: [&str; 2] = ["records/0000000000000001.seg", "records/witness"];
const INDEX: &str = "records/index.txt";

/// Four frames of two authors, one of them behind a hole, and a prune that cuts one; two journals in the witness table, one of them twice.
fn written() -> (MemoryDisk, Arc<TestIndex>) {
    let (disk, index) = (MemoryDisk::new(), Arc::new(TestIndex::default()));
    let mut store = open(&disk, &index).expect("a new store").store;
    store.append(vec![frame(0, 0), frame(0, 1), frame(1, 3)]).expect("kept");
    store.append(vec![frame(0, 4)]).expect("kept");
    store.prune(&author(0), 2).expect("pruned");
    store.feed().expect("fed");
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let (mut table, _) = WitnessTable::open(files).expect("a new table");
    for (seed, size) in [(1, 3), (2, 5), (1, 8)] {
        let secret = SecretKey::from_seed(&[seed; 32]);
        let origin = Origin::new(FederationId([2; 32]), NodeId(secret.public()), 0);
        let root = Hash(Digest::of(&[seed, size as u8]).0);
        let checkpoint = Checkpoint::new(origin, size, root).expect("a size");
        let note = SignedCheckpoint::sign(checkpoint, &secret).expect("our key").to_string();
        table.remember(origin, size, root, &note).expect("remembered");
    }
    (disk, index)
}

/// The index as text: tree, key, value, a pair a line.
fn text(index: &TestIndex) -> String {
    let mut text = String::new();
    for (tree, key, value) in index.pairs() {
        writeln!(text, "{tree} {} {}", hex(&key), hex(&value)).expect("to a string");
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn vector(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file)
}

#[test]
fn every_file_is_written_byte_for_byte_as_before() {
    let (disk, index) = written();
    for file in FILES {
        let golden = std::fs::read(vector(file)).expect("a vector");
        assert!(disk.contents(file) == Some(golden), "{file} is written otherwise than before");
    }
    assert_eq!(std::fs::read_to_string(vector(INDEX)).expect("a vector"), text(&index));
}

#[test]
fn files_of_before_are_still_read() {
    let disk = MemoryDisk::new();
    for file in FILES {
        disk.put(file, &std::fs::read(vector(file)).expect("a vector"));
    }
    let opened = open(&disk, &Arc::default()).expect("opens");
    let kept = [(0, 2), (0, 3), (0, 4), (0, 10), (0, 11), (0, 12), (0, 14), (1, 6)].into();
    let model = Model { kept, floors: [(0, 2)].into(), ..Model::default() };
    model.check(&opened.store.reader());
    let files: Arc<dyn Files> = Arc::new(disk);
    let (table, notices) = WitnessTable::open(files).expect("opens");
    assert_eq!(notices, []);
    let sizes: Vec<u64> = table.all().map(|(_, witnessed)| witnessed.size).collect();
    assert_eq!(sizes.len(), 2);
    for (origin, witnessed) in table.all() {
        let checkpoint = SignedCheckpoint::parse(&witnessed.note).expect("signed");
        assert_eq!(
            (checkpoint.origin(), checkpoint.size(), checkpoint.root()),
            (*origin, witnessed.size, witnessed.root)
        );
    }
}

#[test]
#[ignore = "writes the vectors anew: only for a new format version"]
fn write_the_vectors() {
    let (disk, index) = written();
    for file in FILES {
        let path = vector(file);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, disk.contents(file).expect("written")).expect("written");
    }
    std::fs::write(vector(INDEX), text(&index)).expect("written");
}
