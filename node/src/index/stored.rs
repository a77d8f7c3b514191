//! What is written: rows in the store, and behind them the heap, which holds what would make too many rows.

use super::form::open_of_this_form;
use super::{HEAP, Rows};
use artel_audit::heap::{Blocks, Heap};
use artel_audit::index::{Batch, IndexError, KvStore, MemoryStore, SledStore};
use artel_audit::os::OsFiles;
use std::path::Path;
use std::sync::Arc;

/// The key of where the heap ends.
const END: &[u8] = b"end";

/// The heap's file, in the store's directory, so that both are moved and removed together.
const HEAP_FILE: &str = "heap";

/// Rows and heap. One thread applies; any thread reads.
#[derive(Clone)]
pub(super) struct Stored {
    pub rows: Arc<dyn KvStore>,
    pub heap: Arc<Heap>,
}

impl Stored {
    /// Opens what is on disk and checks it; what is damaged or of another form is built anew from the journal.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        match Self::open_whole(dir) {
            Err(IndexError::Damaged(why)) => {
                tracing::warn!(why, "the index was damaged and is built anew");
                SledStore::move_aside(dir)?;
                Self::open_whole(dir)
            }
            opened => opened,
        }
    }

    fn open_whole(dir: &Path) -> Result<Self, IndexError> {
        let rows = open_of_this_form(dir)?;
        let end = end_of(&rows)?;
        let heap = Heap::open(&OsFiles::new(dir), HEAP_FILE, end)?;
        // What cannot be read is as good as damaged: the journal has it.
        heap.check(end).map_err(|why| IndexError::Damaged(why.to_string()))?;
        Ok(Stored { rows: Arc::new(rows), heap: Arc::new(heap) })
    }

    /// What lasts until the node stops.
    pub fn in_memory() -> Self {
        Stored { rows: Arc::new(MemoryStore::new()), heap: Arc::new(Heap::in_memory()) }
    }

    /// Where the next block stands.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn end(&self) -> Result<u64, IndexError> {
        end_of(self.rows.as_ref())
    }

    /// Makes rows and blocks visible together, up to a position of the journal. The blocks are durable before a row names them.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn apply(&self, position: u64, rows: Rows, blocks: &Blocks) -> Result<(), IndexError> {
        self.heap.append(blocks)?;
        let mut batch = Batch::new(position);
        for (tree, key, value) in rows {
            batch.put(tree, &key, &value)?;
        }
        batch.put(HEAP, END, &blocks.end().to_be_bytes())?;
        self.rows.apply(batch)
    }
}

fn end_of(rows: &dyn KvStore) -> Result<u64, IndexError> {
    match rows.get(HEAP, END)?.map(<[u8; 8]>::try_from) {
        None => Ok(0),
        Some(Ok(end)) => Ok(u64::from_be_bytes(end)),
        Some(Err(_)) => Err(IndexError::Damaged("it does not say where its heap ends".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_audit::index::Tree;
    use std::fs;

    /// Applies a batch of one block and one row that names it.
    fn write(stored: &Stored, position: u64, block: &[u8]) -> u64 {
        let mut blocks = Blocks::default();
        blocks.begin(stored.end().expect("read"));
        let place = blocks.push(block).expect("short");
        let row = (Tree(1), position.to_be_bytes().to_vec(), place.to_be_bytes().to_vec());
        stored.apply(position, vec![row], &blocks).expect("written");
        place
    }

    /// An index of forty blocks, closed, and where they lie.
    fn filled(dir: &Path) -> Vec<u64> {
        let stored = Stored::open(dir).expect("opens");
        let places = (1..=40).map(|n| write(&stored, n, &[n as u8; 100])).collect();
        stored.rows.sync().expect("durable");
        places
    }

    fn is_aside(dir: &Path) -> bool {
        dir.with_file_name("index.damaged-1").exists()
    }

    #[test]
    fn rows_and_blocks_are_kept_and_blocks_that_no_row_names_are_let_go() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("index");
        let places = filled(&dir);
        let end = Stored::open(&dir).expect("opens").end().expect("read");
        let untold = [fs::read(dir.join(HEAP_FILE)).expect("read"), vec![7; 50]].concat();
        fs::write(dir.join(HEAP_FILE), untold).expect("written");
        let stored = Stored::open(&dir).expect("opens");
        assert_eq!((stored.rows.position().expect("read"), stored.end().expect("read")), (40, end));
        for (place, n) in places.iter().zip(1..) {
            assert_eq!(stored.heap.read(*place).expect("read"), [n; 100]);
        }
        assert_eq!(write(&stored, 41, b"the next"), end);
        drop(stored);
        assert_eq!(Stored::open(&dir).expect("opens").heap.read(end).expect("read"), b"the next");
        assert!(!is_aside(&dir));
    }

    #[test]
    fn a_heap_that_is_changed_cut_or_gone_is_moved_aside_with_its_rows() {
        let home = tempfile::tempdir().expect("a directory");
        let whole = home.path().join("whole/index");
        fs::create_dir(home.path().join("whole")).expect("made");
        filled(&whole);
        let heap = fs::read(whole.join(HEAP_FILE)).expect("read");
        let flipped = (0..60).map(|n| {
            let (mut bytes, at) = (heap.clone(), n * heap.len() / 60);
            bytes[at] ^= 1 << (n % 8);
            Some(bytes)
        });
        let cut = [Some(heap[..heap.len() - 1].to_vec()), Some(Vec::new()), None];
        for (n, harmed) in flipped.chain(cut).enumerate() {
            let dir = home.path().join(format!("{n}/index"));
            fs::create_dir_all(&dir).expect("made");
            for file in ["conf", "db"] {
                fs::copy(whole.join(file), dir.join(file)).expect("copied");
            }
            if let Some(bytes) = harmed {
                fs::write(dir.join(HEAP_FILE), bytes).expect("written");
            }
            let stored = Stored::open(&dir).expect("opens");
            assert_eq!(
                stored.rows.position().expect("read"),
                0,
                "harm {n}: it is built from the first entry"
            );
            assert_eq!(stored.end().expect("read"), 0);
            assert!(is_aside(&dir), "harm {n}");
            let place = write(&stored, 1, b"anew");
            assert_eq!(stored.heap.read(place).expect("read"), b"anew");
        }
    }
}
