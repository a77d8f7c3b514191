//! What is derived from the segments for quick answers: where each entry's frame begins, and the hashes of the tree.
//!
//! `offsets` holds 4 bytes an entry: its frame's place in its segment. `tiles/<level>` holds the hashes of the complete subtrees of
//! one level side by side, for levels 0, 4, 8 and so on (levels 0, 8, 16 are the C2SP tiles). None of it is synced with a
//! commit and none of it is believed: whoever reads checks, and writes it again from the segments when it is wrong.

use crate::error::Error;
use crate::files::{self, Access, File, Files};
use artel_protocol::log::CompactRange;
use artel_protocol::log::tree::{self, Hash, Subtree};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The directory of the hashes.
pub const TILES_DIR: &str = "tiles";

/// The file with the places of frames.
pub const OFFSETS_FILE: &str = "offsets";

/// Every so many levels hashes are kept. More apart, and a proof has to hash up to 2^n stored ones for each of its own; every
/// level would double the space.
const LEVEL_STEP: u8 = 4;

const OFFSET_BYTES: u64 = 4;
const HASH_BYTES: u64 = 32;

/// What a run of entries side by side adds to the derived files.
#[derive(Default, Clone)]
pub(crate) struct Run {
    first_index: u64,
    offsets: Vec<u8>,
    /// By level: the number of the first subtree, and the hashes from it on.
    levels: BTreeMap<u8, (u64, Vec<u8>)>,
}

impl Run {
    /// Appends a leaf to the tree and to the run.
    pub fn push(&mut self, range: &mut CompactRange, leaf: Hash, offset: u32) {
        if self.offsets.is_empty() {
            self.first_index = range.size();
        }
        self.offsets.extend_from_slice(&offset.to_le_bytes());
        let levels = &mut self.levels;
        range.append_with(leaf, |at, hash| {
            if at.level % LEVEL_STEP == 0 {
                let (_, hashes) = levels.entry(at.level).or_insert_with(|| (at.index, Vec::new()));
                hashes.extend_from_slice(&hash.0);
            }
        });
    }

    pub fn entries(&self) -> u64 {
        self.offsets.len() as u64 / OFFSET_BYTES
    }

    pub fn clear(&mut self) {
        self.offsets.clear();
        self.levels.clear();
    }

    /// File by file: its name, where the run's bytes go, and the bytes.
    fn pieces(&self) -> impl Iterator<Item = (String, u64, &[u8])> {
        let offsets = (OFFSETS_FILE.to_owned(), self.first_index * OFFSET_BYTES, &self.offsets[..]);
        let hashes = self
            .levels
            .iter()
            .map(|(level, (first, bytes))| (tile_file(*level), first * HASH_BYTES, &bytes[..]));
        std::iter::once(offsets).chain(hashes)
    }
}

fn tile_file(level: u8) -> String {
    format!("{TILES_DIR}/{level}")
}

/// The derived files of one directory.
pub(crate) struct Derived {
    files: Arc<dyn Files>,
    writable: bool,
    open: Mutex<BTreeMap<String, Arc<dyn File>>>,
}

impl Derived {
    pub fn new(files: Arc<dyn Files>, writable: bool) -> Self {
        Derived { files, writable, open: Mutex::default() }
    }

    pub fn is_writable(&self) -> bool {
        self.writable
    }

    fn file(&self, name: &str, access: Access) -> Result<Arc<dyn File>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(name)
            && access != Access::Fresh
        {
            return Ok(file.clone());
        }
        let file = self.files.open(name, access).map_err(Error::io(name, "open"))?;
        open.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn to_read(&self, name: &str) -> Result<Option<Arc<dyn File>>, Error> {
        let access = if self.writable { Access::Write } else { Access::Read };
        match self.file(name, access) {
            Err(Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Begins all files anew, as new files, before everything is written again.
    pub fn recreate(&self) -> Result<(), Error> {
        self.files.create_dir(TILES_DIR).map_err(Error::io(TILES_DIR, "create"))?;
        self.file(OFFSETS_FILE, Access::Fresh)?;
        for name in self.files.list(TILES_DIR).map_err(Error::io(TILES_DIR, "list"))? {
            self.file(&format!("{TILES_DIR}/{name}"), Access::Fresh)?;
        }
        Ok(())
    }

    /// Writes a run in its place.
    pub fn write(&self, run: &Run) -> Result<(), Error> {
        for (name, at, bytes) in run.pieces() {
            let file = self.file(&name, Access::WriteOrNew)?;
            file.write_at(bytes, at).map_err(Error::io(name, "write"))?;
        }
        Ok(())
    }

    /// Makes everything durable, names too.
    pub fn sync(&self) -> Result<(), Error> {
        let open: Vec<_> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.iter().map(|(name, file)| (name.clone(), file.clone())).collect()
        };
        for (name, file) in open {
            file.sync_data().map_err(Error::io(name, "sync"))?;
        }
        self.files.sync_dir(TILES_DIR).map_err(Error::io(TILES_DIR, "sync"))?;
        self.files.sync_dir("").map_err(Error::io("the data directory", "sync"))
    }

    /// The files in which a run stands otherwise, or not at all.
    pub fn differences(&self, run: &Run) -> Result<Vec<String>, Error> {
        let mut differing = Vec::new();
        for (name, at, bytes) in run.pieces() {
            let mut found = vec![0; bytes.len()];
            if !self.read(&name, &mut found, at)? || found != bytes {
                differing.push(name);
            }
        }
        Ok(differing)
    }

    /// The first file that is too short for a journal of `size` entries.
    pub fn too_short_for(&self, size: u64) -> Result<Option<String>, Error> {
        let levels = (0..).step_by(usize::from(LEVEL_STEP)).take_while(|level| size >> level > 0);
        let hashes = levels.map(|level| (tile_file(level), (size >> level) * HASH_BYTES));
        let offsets = std::iter::once((OFFSETS_FILE.to_owned(), size * OFFSET_BYTES));
        for (name, least) in offsets.chain(hashes) {
            let len = match self.to_read(&name)? {
                Some(file) => file.len().map_err(Error::io(&name, "read"))?,
                None => 0,
            };
            if len < least {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Where the frame of an entry begins in its segment, if the file is right.
    pub fn offset(&self, index: u64) -> Result<Option<u32>, Error> {
        let mut bytes = [0; OFFSET_BYTES as usize];
        let found = self.read(OFFSETS_FILE, &mut bytes, index * OFFSET_BYTES)?;
        Ok(found.then(|| u32::from_le_bytes(bytes)))
    }

    /// The hash of a complete subtree, if the files are right; all zeros when they are short, which proves nothing.
    pub fn hash(&self, at: Subtree) -> Result<Hash, Error> {
        let above = at.level % LEVEL_STEP;
        let (level, count) = (at.level - above, 1usize << above);
        let mut hashes = [Hash([0; 32]); 1 << (LEVEL_STEP - 1)];
        self.hashes(level, at.index << above, &mut hashes[..count])?;
        Ok(tree::root_of(&hashes[..count]))
    }

    /// Hashes side by side of one kept level.
    pub fn hashes(&self, level: u8, first: u64, hashes: &mut [Hash]) -> Result<bool, Error> {
        let mut bytes = vec![0; hashes.len() * HASH_BYTES as usize];
        let found = self.read(&tile_file(level), &mut bytes, first * HASH_BYTES)?;
        for (hash, bytes) in hashes.iter_mut().zip(bytes.chunks_exact(HASH_BYTES as usize)) {
            hash.0.copy_from_slice(bytes);
        }
        Ok(found)
    }

    fn read(&self, name: &str, bytes: &mut [u8], at: u64) -> Result<bool, Error> {
        let Some(file) = self.to_read(name)? else {
            return Ok(false);
        };
        let read = files::read_up_to(file.as_ref(), bytes, at).map_err(Error::io(name, "read"))?;
        Ok(read == bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryDisk;
    use artel_protocol::log::inclusion;

    fn leaf(index: u64) -> Hash {
        tree::leaf_hash(&index.to_be_bytes())
    }

    #[test]
    fn proofs_from_the_files_hold_for_every_leaf() {
        let disk = MemoryDisk::new();
        let derived = Derived::new(Arc::new(disk.clone()), true);
        derived.recreate().expect("made");
        let (mut range, mut run) = (CompactRange::new(), Run::default());
        for index in 0..700 {
            run.push(&mut range, leaf(index), index as u32 * 3);
            if index % 7 == 0 || index == 699 {
                assert!(!derived.differences(&run).expect("read").is_empty());
                derived.write(&run).expect("written");
                assert!(derived.differences(&run).expect("read").is_empty());
                run.clear();
            }
        }
        for index in 0..700 {
            let proof = inclusion::prove(index, 700, |at| derived.hash(at)).expect("read");
            assert_eq!(inclusion::verify(&leaf(index), index, 700, &proof, &range.root()), Ok(()));
            assert_eq!(derived.offset(index).expect("read"), Some(index as u32 * 3));
        }
        assert_eq!(derived.too_short_for(700).expect("read"), None);
        assert_eq!(derived.too_short_for(701).expect("read"), Some("offsets".into()));
        assert!(disk.take("tiles/4"));
        let again = Derived::new(Arc::new(disk), true);
        assert_eq!(again.too_short_for(700).expect("read"), Some("tiles/4".into()));
    }
}
