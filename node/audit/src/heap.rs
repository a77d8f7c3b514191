//! The heap: blocks of bytes behind one another in one file, for what is written in bulk and would make rows of the index too many
//! or too long. A block's place stands in the index, and so does the heap's end: what lies beyond it was never told of.
//!
//! A block: `len u32 ‖ crc32c u32 ‖ bytes`, little endian; the check sum is of place u64, len and bytes. Like the index it is
//! never the truth: where it is damaged, both are built again. It is synced before the index names what was appended, for the index
//! may come to the disk by itself at any time.

use crate::files::{self, Access, File, Files};
use crate::index::IndexError;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The most bytes of a block (16 MiB): a reader has it in memory.
pub const BLOCK_BYTES_MAX: usize = 16 << 20;

/// The room that blocks keep for those that come behind them (1 MiB).
const ROOM_BYTES_MAX: usize = 1 << 20;

/// What stands before a block's bytes.
const HEAD_BYTES: usize = 8;

/// A heap that is open. One thread appends; any thread reads.
pub struct Heap {
    file: Arc<dyn File>,
}

/// Blocks to be appended at the heap's end, in one piece.
#[derive(Debug, Default)]
pub struct Blocks {
    end: u64,
    bytes: Vec<u8>,
}

impl Blocks {
    /// Begins anew, with none, behind the heap's end.
    pub fn begin(&mut self, end: u64) {
        self.end = end;
        self.bytes.clear();
        self.bytes.shrink_to(ROOM_BYTES_MAX);
    }

    /// Adds a block; answers with its place.
    ///
    /// # Errors
    /// [`IndexError::TooLarge`].
    pub fn push(&mut self, block: &[u8]) -> Result<u64, IndexError> {
        if block.len() > BLOCK_BYTES_MAX {
            return Err(IndexError::TooLarge { bytes: block.len(), bytes_max: BLOCK_BYTES_MAX });
        }
        let (place, len) = (self.end(), block.len() as u32);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(&check_sum(place, block).to_le_bytes());
        self.bytes.extend_from_slice(block);
        Ok(place)
    }

    /// The heap's end with them.
    pub fn end(&self) -> u64 {
        self.end + self.bytes.len() as u64
    }
}

impl Heap {
    /// Opens the heap, or begins one; lets go of what lies beyond its end.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] where it does not reach so far, [`IndexError::Store`].
    pub fn open(files: &dyn Files, path: &str, end: u64) -> Result<Self, IndexError> {
        let file = files.open(path, Access::WriteOrNew).map_err(store)?;
        let len = file.len().map_err(store)?;
        if len < end {
            return Err(IndexError::Damaged(format!("{path} has {len} bytes, not {end}")));
        }
        if len > end {
            // Else what is cut off here could stand there again after a loss of power, behind what is written next.
            file.set_len(end).and_then(|()| file.sync_data()).map_err(store)?;
        }
        files.sync_dir(files::dir_of(path)).map_err(store)?;
        Ok(Heap { file })
    }

    /// A heap that lasts as long as it is open.
    pub fn in_memory() -> Self {
        Heap { file: Arc::new(Memory::default()) }
    }

    /// A block by its place.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn read(&self, place: u64) -> Result<Vec<u8>, IndexError> {
        let mut head = [0; HEAD_BYTES];
        files::read_exact_at(self.file.as_ref(), &mut head, place).map_err(store)?;
        let (len, sum) = parse(&head);
        if len > BLOCK_BYTES_MAX {
            return Err(damaged(place));
        }
        let mut block = vec![0; len];
        files::read_exact_at(self.file.as_ref(), &mut block, place + HEAD_BYTES as u64).map_err(store)?;
        if check_sum(place, &block) != sum { Err(damaged(place)) } else { Ok(block) }
    }

    /// Writes blocks at the heap's end, durably. Where that fails nobody knows what is on the disk, and the heap is emptied, so
    /// that it is not taken for whole when it is opened again.
    ///
    /// # Errors
    /// [`IndexError::Store`].
    pub fn append(&self, blocks: &Blocks) -> Result<(), IndexError> {
        if blocks.bytes.is_empty() {
            return Ok(());
        }
        self.file.write_at(&blocks.bytes, blocks.end).map_err(store)?;
        self.file.sync_data().map_err(|error| {
            // The error that counts is the first one.
            let _ = self.file.set_len(0);
            store(error)
        })
    }

    /// Reads all blocks up to the heap's end.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] where one is not what was written, [`IndexError::Store`].
    pub fn check(&self, end: u64) -> Result<(), IndexError> {
        let mut place = 0;
        while place < end {
            place += (HEAD_BYTES + self.read(place)?.len()) as u64;
        }
        if place == end { Ok(()) } else { Err(damaged(end)) }
    }
}

/// A file in memory.
#[derive(Default)]
struct Memory(RwLock<Vec<u8>>);

impl Memory {
    fn bytes(&self) -> RwLockReadGuard<'_, Vec<u8>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes_mut(&self) -> RwLockWriteGuard<'_, Vec<u8>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let held = self.bytes();
        let rest = held.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(bytes.len());
        bytes[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut held, from) = (self.bytes_mut(), offset as usize);
        let len = held.len().max(from + bytes.len());
        held.resize(len, 0);
        held[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes_mut().resize(len as usize, 0);
        Ok(())
    }
}

fn parse(head: &[u8; HEAD_BYTES]) -> (usize, u32) {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    (word(0) as usize, word(4))
}

fn check_sum(place: u64, block: &[u8]) -> u32 {
    let head =
        crc32c::crc32c_append(crc32c::crc32c(&place.to_le_bytes()), &(block.len() as u32).to_le_bytes());
    crc32c::crc32c_append(head, block)
}

fn damaged(place: u64) -> IndexError {
    IndexError::Damaged(format!("the block at {place} of the heap was changed"))
}

fn store(error: io::Error) -> IndexError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => IndexError::Damaged("a block of the heap is cut".into()),
        _ => IndexError::Store(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Fault, MemoryDisk, Plan};

    const PATH: &str = "heap";

    /// Three batches of blocks of many lengths, with their places, and the heap's end.
    fn filled(heap: Heap) -> (Heap, Vec<(u64, Vec<u8>)>, u64) {
        let (mut written, mut end, mut blocks) = (Vec::new(), 0, Blocks::default());
        for batch in [&[0, 1, 7][..], &[], &[300, 20_000]] {
            blocks.begin(end);
            for len in batch {
                let block = vec![written.len() as u8; *len];
                written.push((blocks.push(&block).expect("not too long"), block));
            }
            heap.append(&blocks).expect("written");
            end = blocks.end();
        }
        (heap, written, end)
    }

    #[test]
    fn blocks_are_read_by_their_places_and_kept() {
        let files = MemoryDisk::new();
        let (heap, written, end) = filled(Heap::open(&files, PATH, 0).expect("begun"));
        let (in_memory, ..) = filled(Heap::in_memory());
        // What a loss of power leaves is all that was appended.
        let after = (0..20).map(|seed| Heap::open(&files.after_crash(seed), PATH, end).expect("opened"));
        for heap in [heap, in_memory].into_iter().chain(after) {
            for (place, block) in &written {
                assert_eq!(heap.read(*place).expect("read"), *block);
            }
            assert!(heap.read(end).is_err());
            heap.check(end).expect("whole");
        }
    }

    #[test]
    fn what_lies_beyond_the_end_is_let_go_and_written_over() {
        let files = MemoryDisk::new();
        let (_, written, _) = filled(Heap::open(&files, PATH, 0).expect("begun"));
        let end = written[3].0;
        let heap = Heap::open(&files, PATH, end).expect("opened");
        heap.check(end).expect("whole");
        assert!(heap.read(end).is_err(), "it was never told of");
        let mut blocks = Blocks::default();
        blocks.begin(end);
        let place = blocks.push(b"another").expect("short");
        heap.append(&blocks).expect("written");
        assert_eq!((place, heap.read(place).expect("read")), (end, b"another".to_vec()));
        heap.check(blocks.end()).expect("whole");
    }

    #[test]
    fn a_heap_that_could_not_be_made_durable_is_not_taken_for_whole() {
        for fault in [Fault::Eio, Fault::Full] {
            let files = MemoryDisk::new();
            let (heap, _, end) = filled(Heap::open(&files, PATH, 0).expect("begun"));
            let mut blocks = Blocks::default();
            blocks.begin(end);
            blocks.push(b"lost").expect("short");
            // Behind the write comes the sync.
            files.plan(Plan { fault, from: files.points() + 1, count: 1 });
            assert!(heap.append(&blocks).is_err());
            assert!(matches!(Heap::open(&files, PATH, end), Err(IndexError::Damaged(_))), "{fault:?}");
        }
    }

    #[test]
    fn a_heap_that_is_cut_or_changed_is_never_believed() {
        let files = MemoryDisk::new();
        let (_, written, end) = filled(Heap::open(&files, PATH, 0).expect("begun"));
        assert!(matches!(Heap::open(&files, PATH, end + 1), Err(IndexError::Damaged(_))));
        let whole = files::read_whole(&files, PATH, end).expect("read");
        let places = 500;
        for n in 0..places {
            let mut changed = whole.clone();
            let at = n * whole.len() / places;
            changed[at] ^= 1 << (n % 8);
            let file = files.open(PATH, Access::Fresh).expect("made");
            file.write_at(&changed, 0).expect("written");
            let heap = Heap::open(&files, PATH, end).expect("opened");
            assert!(matches!(heap.check(end), Err(IndexError::Damaged(_))), "byte {at}");
            for (place, block) in &written {
                let within = (*place..place + (HEAD_BYTES + block.len()) as u64).contains(&(at as u64));
                assert_eq!(heap.read(*place).ok(), (!within).then(|| block.clone()), "byte {at}");
            }
        }
        let moved = [&whole[written[1].0 as usize..], &whole[..written[1].0 as usize]].concat();
        let file = files.open(PATH, Access::Fresh).expect("made");
        file.write_at(&moved, 0).expect("written");
        assert!(Heap::open(&files, PATH, end).expect("opened").check(end).is_err(), "blocks at other places");
    }

    #[test]
    fn a_large_block_is_refused() {
        let refused = Blocks::default().push(&vec![0; BLOCK_BYTES_MAX + 1]);
        assert!(matches!(refused, Err(IndexError::TooLarge { .. })));
    }
}
