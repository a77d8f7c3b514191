//! Golden bytes of every file that outlives a version. A change of these files is a change of format.

mod common;

use artel_audit::memory::MemoryDisk;
use artel_audit::{Commit, Journal, KeyRing, NewEntry, Options, SegmentSizes};
use artel_protocol::log::Class;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that count upwards: the same with every version of every library.
struct Counting(u8);

impl rand::TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

const FILES: [&str; 7] = [
    "data.key",
    "checkpoint.a",
    "checkpoint.b",
    "journal/00000000000000000000.seg",
    "snapshots/00000000000000000004.snap",
    "offsets",
    "tiles/0",
];

fn options() -> Options {
    Options { origin: common::origin(), sizes: SegmentSizes { usual: 2048, hasty: 2048 } }
}

/// The journal that the vectors were taken from: five entries in three frames of two commits, a snapshot after four.
fn written() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let ring = KeyRing::generate(&mut Counting(1));
    ring.store(&disk).expect("stored");
    let entropy = Box::new(Counting(100));
    let opened =
        Journal::open(Arc::new(disk.clone()), options(), Arc::new(common::signer()), Arc::new(ring), entropy);
    let mut journal = opened.expect("a new journal").journal;
    let entry = |class, body: &[u8]| NewEntry { class, body: body.to_vec() };
    let mut first: Commit<()> = Commit::new();
    first.frame(vec![entry(Class::Public, b"offered"), entry(Class::Private, b"input")]);
    first.frame(vec![entry(Class::Private, b""), entry(Class::Public, b"granted")]);
    let _ = journal.commit(first).expect("a healthy disk");
    journal.snapshot().expect("a healthy disk").run(b"the state after four entries").expect("a healthy disk");
    let mut second: Commit<()> = Commit::new();
    second.frame(vec![entry(Class::Public, b"accepted")]);
    let _ = journal.commit(second).expect("a healthy disk");
    journal.close().expect("closed");
    disk
}

fn vector(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file)
}

#[test]
fn every_file_is_written_byte_for_byte_as_before() {
    let disk = written();
    for file in FILES {
        let golden = std::fs::read(vector(file)).expect("a vector");
        let bytes = disk.contents(file).expect("written");
        assert!(bytes == golden, "{file} differs from its vector");
    }
    assert_eq!(disk.files().len(), FILES.len(), "every file has a vector");
}

#[test]
fn a_directory_of_the_vectors_opens_and_says_what_was_written() {
    let disk = MemoryDisk::new();
    for file in FILES {
        disk.put(file, &std::fs::read(vector(file)).expect("a vector"));
    }
    let ring = Arc::new(KeyRing::load(&disk).expect("the ring"));
    let entropy = Box::new(Counting(0));
    let opened =
        Journal::open(Arc::new(disk), options(), Arc::new(common::signer()), ring, entropy).expect("opens");
    assert!(opened.notices.is_empty(), "{:?}", opened.notices);
    let state = opened.state.expect("a snapshot");
    assert_eq!((state.size, state.bytes.as_slice()), (4, &b"the state after four entries"[..]));
    let bodies: Vec<Vec<u8>> =
        common::frames_of(&opened.journal.reader()).into_iter().flatten().map(|e| e.body).collect();
    assert_eq!(bodies, [&b"offered"[..], b"input", b"", b"granted", b"accepted"]);
    let root = opened.journal.root().to_string();
    let checkpoint = opened.journal.reader().checkpoint().to_string();
    assert!(checkpoint.contains(&format!("\n5\n{root}\n")), "{checkpoint}");
}

#[test]
#[ignore = "writes the vectors anew: only for a new format version"]
fn write_the_vectors() {
    let disk = written();
    for file in FILES {
        let path = vector(file);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(path, disk.contents(file).expect("written")).expect("written");
    }
}
