//! A disk in memory that forgets and fails as real ones do: for the simulator and for tests of what survives.
//!
//! Every write and sync is a numbered *point*. A [`Plan`] crashes the machine, fails or slows the disk at some of them. After a
//! power loss each unsynced write is kept, dropped or torn, and names that were not synced may be gone. A seed replays exactly.

use crate::files::{Access, File, Files, Lock};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The machine loses power before the point is done; nothing works any more until [`MemoryDisk::after_crash`].
    Crash,
    /// The disk fails: part of a write may have happened, and what a failed sync was to make durable never will be by a
    /// later one, although it can still be read.
    Eio,
    /// The disk is full: part of a write may have happened.
    Full,
    /// The point takes this many milliseconds longer, which [`MemoryDisk::take_delay_ms`] tells.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
}

/// A fault at the points from `from` on, `count` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What happens.
    pub fault: Fault,
    /// The first point, counted from 0.
    pub from: u64,
    /// How many points.
    pub count: u64,
}

/// A sector: what a real disk writes whole or not at all, in bytes.
pub const SECTOR: usize = 512;

/// The disk. Cheap to clone; all clones are the same disk.
#[derive(Clone)]
pub struct MemoryDisk(Arc<Mutex<State>>);

/// Names that change together, and the inode that each stands for from then on.
type Names = Vec<(String, Option<u64>)>;

#[derive(Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// By directory, what happened to its names since its last sync, in order.
    unsynced_names: BTreeMap<String, Vec<Names>>,
    locks: Vec<String>,
    next_inode: u64,
    points: u64,
    plans: Vec<Plan>,
    crashed: bool,
    delay_ms: u64,
    capacity: Option<u64>,
    noise: u64,
}

#[derive(Default, Clone)]
struct Inode {
    is_dir: bool,
    mode: u32,
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Len(u64),
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        MemoryDisk(Arc::default())
    }

    /// An empty disk whose failing writes and syncs leave what this seed decides.
    pub fn with_seed(seed: u64) -> Self {
        let disk = Self::new();
        disk.state().noise = seed;
        disk
    }

    /// Adds a fault plan.
    pub fn plan(&self, plan: Plan) {
        self.state().plans.push(plan);
    }

    /// Forgets all fault plans: the disk is whole again.
    pub fn heal(&self) {
        self.state().plans.clear();
    }

    /// How many points have passed.
    pub fn points(&self) -> u64 {
        self.state().points
    }

    /// Whether a planned crash has happened.
    pub fn crashed(&self) -> bool {
        self.state().crashed
    }

    /// The milliseconds that slow points took since the last call.
    pub fn take_delay_ms(&self) -> u64 {
        std::mem::take(&mut self.state().delay_ms)
    }

    /// Limits the bytes that all files together may have; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Loses power now: nothing works any more until [`MemoryDisk::after_crash`].
    pub fn crash(&self) {
        self.state().crashed = true;
    }

    /// The disk as it is found after a power loss at this moment. The seed decides what happened to unsynced writes and
    /// names. The old disk is left as it is, so many seeds can be tried.
    pub fn after_crash(&self, seed: u64) -> MemoryDisk {
        let old = self.state();
        let mut noise = Noise(seed);
        let mut names = old.durable_names.clone();
        for changes in old.unsynced_names.values() {
            let kept = noise.below(changes.len() as u64 + 1) as usize;
            for (name, inode) in changes[..kept].iter().flatten() {
                match inode {
                    Some(inode) => names.insert(name.clone(), *inode),
                    None => names.remove(name),
                };
            }
        }
        let dirs: Vec<String> = (names.iter())
            .filter(|(_, inode)| old.inodes[inode].is_dir)
            .map(|(name, _)| name.clone())
            .collect();
        names.retain(|name, _| {
            let dir = crate::files::dir_of(name);
            dir.is_empty() || dirs.iter().any(|d| d == dir)
        });
        let mut inodes = BTreeMap::new();
        for inode in names.values() {
            let mut found = old.inodes[inode].clone();
            for unsynced in std::mem::take(&mut found.unsynced) {
                unsynced.survive(&mut found.durable, &mut noise);
            }
            found.live = found.durable.clone();
            inodes.insert(*inode, found);
        }
        let state = State {
            inodes,
            durable_names: names.clone(),
            names,
            next_inode: old.next_inode,
            capacity: old.capacity,
            noise: noise.next(),
            ..State::default()
        };
        MemoryDisk(Arc::new(Mutex::new(state)))
    }

    /// A second disk with what the first one's files hold now, all of it durable, as after a clean shutdown.
    pub fn copy(&self) -> MemoryDisk {
        let old = self.state();
        let mut inodes = BTreeMap::new();
        for inode in old.names.values() {
            let mut copied = old.inodes[inode].clone();
            copied.unsynced.clear();
            copied.durable = copied.live.clone();
            inodes.insert(*inode, copied);
        }
        let state = State {
            inodes,
            names: old.names.clone(),
            durable_names: old.names.clone(),
            next_inode: old.next_inode,
            capacity: old.capacity,
            noise: old.noise,
            ..State::default()
        };
        MemoryDisk(Arc::new(Mutex::new(state)))
    }

    /// All files with their lengths, sorted by path.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state();
        let files = state.names.iter().filter(|(_, i)| !state.inodes[i].is_dir);
        files.map(|(name, i)| (name.clone(), state.inodes[i].live.len() as u64)).collect()
    }

    /// A file's bytes.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.names.get(path)?;
        Some(state.inodes[inode].live.clone())
    }

    /// Puts a file on the disk, durable at once, as an operator or a damaged disk would. Its directory is made if need be.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut state = self.state();
        let dir = crate::files::dir_of(path).to_owned();
        if !dir.is_empty() && !state.names.contains_key(&dir) {
            let inode = state.insert_inode(true);
            state.names.insert(dir.clone(), inode);
            state.durable_names.insert(dir, inode);
        }
        let inode = state.insert_inode(false);
        let file = state.inodes.get_mut(&inode).expect("just inserted");
        file.live = bytes.to_vec();
        file.durable = bytes.to_vec();
        state.names.insert(path.to_owned(), inode);
        state.durable_names.insert(path.to_owned(), inode);
    }

    /// Takes a file off the disk. False when there is none.
    pub fn take(&self, path: &str) -> bool {
        let mut state = self.state();
        state.durable_names.remove(path);
        state.names.remove(path).is_some()
    }

    /// Flips one bit of a file, in memory and on the disk. False when there is no such bit.
    pub fn flip(&self, path: &str, bit: u64) -> bool {
        let mut state = self.state();
        let Some(inode) = state.names.get(path).copied() else {
            return false;
        };
        let file = state.inodes.get_mut(&inode).expect("names point to inodes");
        let at = (bit / 8) as usize;
        if at >= file.live.len() {
            return false;
        }
        file.live[at] ^= 1 << (bit % 8);
        if at < file.durable.len() {
            file.durable[at] ^= 1 << (bit % 8);
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a point does besides succeeding.
enum Outcome {
    Fine,
    Fails(io::Error),
    /// Power is lost in the middle of it.
    Crashes,
}

impl State {
    fn insert_inode(&mut self, is_dir: bool) -> u64 {
        self.next_inode += 1;
        let inode = Inode { is_dir, mode: if is_dir { 0o700 } else { 0o600 }, ..Inode::default() };
        self.inodes.insert(self.next_inode, inode);
        self.next_inode
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(powerless()) } else { Ok(()) }
    }

    fn point(&mut self) -> io::Result<Outcome> {
        self.alive()?;
        let now = self.points;
        self.points += 1;
        for plan in &self.plans {
            if now < plan.from || now - plan.from >= plan.count {
                continue;
            }
            match plan.fault {
                Fault::Slow { ms } => self.delay_ms += ms,
                Fault::Eio => return Ok(Outcome::Fails(io::Error::other("input/output error"))),
                Fault::Full => return Ok(Outcome::Fails(io::ErrorKind::StorageFull.into())),
                Fault::Crash => {
                    self.crashed = true;
                    return Ok(Outcome::Crashes);
                }
            }
        }
        Ok(Outcome::Fine)
    }

    /// A point that changes names: it happens whole or not at all.
    fn name_point(&mut self, dir: &str, changes: Names) -> io::Result<()> {
        match self.point()? {
            Outcome::Fine => (),
            Outcome::Fails(error) => return Err(error),
            Outcome::Crashes => {
                // It may still have reached the disk.
                self.unsynced_names.entry(dir.to_owned()).or_default().push(changes);
                return Err(powerless());
            }
        }
        for (name, inode) in &changes {
            match inode {
                Some(inode) => self.names.insert(name.clone(), *inode),
                None => self.names.remove(name),
            };
        }
        self.unsynced_names.entry(dir.to_owned()).or_default().push(changes);
        Ok(())
    }

    fn used(&self) -> u64 {
        self.names.values().map(|i| self.inodes[i].live.len() as u64).sum()
    }

    fn change(&mut self, inode: u64, change: Change) -> io::Result<()> {
        let outcome = self.point()?;
        let grows =
            change.len_after(self.inodes[&inode].live.len() as u64) - self.inodes[&inode].live.len() as u64;
        let outcome = match (outcome, self.capacity) {
            (Outcome::Fine, Some(capacity)) if grows > 0 && self.used() + grows > capacity => {
                Outcome::Fails(io::ErrorKind::StorageFull.into())
            }
            (outcome, _) => outcome,
        };
        let mut noise = Noise(self.noise);
        let part = change.part(&mut noise);
        self.noise = noise.next();
        let file = self.inodes.get_mut(&inode).expect("open files keep their inode");
        let (done, result) = match outcome {
            Outcome::Fine => (Some(change), Ok(())),
            Outcome::Fails(error) => (part, Err(error)),
            Outcome::Crashes => (Some(change), Err(powerless())),
        };
        if let Some(change) = done {
            change.apply(&mut file.live);
            file.unsynced.push(change);
        }
        result
    }

    fn sync(&mut self, inode: u64) -> io::Result<()> {
        let outcome = self.point()?;
        let file = self.inodes.get_mut(&inode).expect("open files keep their inode");
        match outcome {
            Outcome::Fine => {
                for change in std::mem::take(&mut file.unsynced) {
                    change.apply(&mut file.durable);
                }
                Ok(())
            }
            Outcome::Fails(error) => {
                // As kernels do: the pages count as clean, so a later sync writes none of them and says that all is well.
                let mut noise = Noise(self.noise);
                for change in std::mem::take(&mut file.unsynced) {
                    change.survive(&mut file.durable, &mut noise);
                }
                self.noise = noise.next();
                Err(error)
            }
            Outcome::Crashes => Err(powerless()),
        }
    }
}

impl Change {
    fn len_after(&self, before: u64) -> u64 {
        match self {
            Change::Write { offset, bytes } => before.max(offset + bytes.len() as u64),
            Change::Len(len) => before.max(*len),
        }
    }

    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[start..end].copy_from_slice(bytes);
            }
            Change::Len(len) => to.resize(*len as usize, 0),
        }
    }

    /// The part of a failed change that happened all the same.
    fn part(&self, noise: &mut Noise) -> Option<Change> {
        match self {
            Change::Write { offset, bytes } => Some(Change::Write {
                offset: *offset,
                bytes: bytes[..noise.below(bytes.len() as u64 + 1) as usize].to_vec(),
            }),
            Change::Len(_) => None,
        }
    }

    /// What of an unsynced change a power loss leaves: all, nothing, the front, or some sectors.
    fn survive(&self, durable: &mut Vec<u8>, noise: &mut Noise) {
        let fate = noise.below(4);
        let (offset, bytes) = match (self, fate) {
            (_, 0) => return self.apply(durable),
            (_, 1) | (Change::Len(_), _) => return,
            (Change::Write { offset, bytes }, _) => (*offset, bytes),
        };
        if fate == 2 {
            let front = noise.below(bytes.len() as u64 + 1) as usize;
            let bytes = bytes[..front].to_vec();
            return Change::Write { offset, bytes }.apply(durable);
        }
        let mut at = 0;
        while at < bytes.len() {
            let to_boundary = SECTOR - (offset as usize + at) % SECTOR;
            let end = bytes.len().min(at + to_boundary);
            if noise.below(2) == 0 {
                let sector = Change::Write { offset: offset + at as u64, bytes: bytes[at..end].to_vec() };
                sector.apply(durable);
            }
            at = end;
        }
    }
}

impl Files for MemoryDisk {
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.alive()?;
        let found = state.names.get(path).copied();
        let inode = match (found, access) {
            (Some(inode), Access::Read | Access::Write | Access::WriteOrNew) => inode,
            (None, Access::Read | Access::Write) => return Err(io::ErrorKind::NotFound.into()),
            (_, Access::WriteOrNew | Access::Fresh) => {
                let dir = crate::files::dir_of(path).to_owned();
                if !dir.is_empty() && !state.names.contains_key(&dir) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let inode = state.insert_inode(false);
                state.name_point(&dir, vec![(path.to_owned(), Some(inode))])?;
                inode
            }
        };
        Ok(Arc::new(MemoryFile { disk: self.clone(), inode }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        state.alive()?;
        if !dir.is_empty() && !state.names.contains_key(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state.names.keys().filter(|name| crate::files::dir_of(name) == dir);
        Ok(names.map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()).collect())
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.names.contains_key(dir) {
            return state.alive();
        }
        let inode = state.insert_inode(true);
        state.name_point(crate::files::dir_of(dir), vec![(dir.to_owned(), Some(inode))])
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        let inode = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        let changes = vec![(from.to_owned(), None), (to.to_owned(), Some(inode))];
        state.name_point(crate::files::dir_of(to), changes)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.name_point(crate::files::dir_of(path), vec![(path.to_owned(), None)])
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        match state.point()? {
            Outcome::Fine => (),
            Outcome::Fails(error) => return Err(error),
            Outcome::Crashes => return Err(powerless()),
        }
        for (name, inode) in state.unsynced_names.remove(dir).unwrap_or_default().into_iter().flatten() {
            match inode {
                Some(inode) => state.durable_names.insert(name, inode),
                None => state.durable_names.remove(&name),
            };
        }
        Ok(())
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        let mut state = self.state();
        state.alive()?;
        if state.locks.iter().any(|held| held == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locks.push(path.to_owned());
        Ok(Box::new(MemoryLock { disk: self.clone(), path: path.to_owned() }))
    }

    fn mode(&self, path: &str) -> io::Result<u32> {
        let state = self.state();
        state.alive()?;
        let inode = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(state.inodes[inode].mode)
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: u64,
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.alive()?;
        Ok(state.inodes[&self.inode].live.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        state.alive()?;
        let live = &state.inodes[&self.inode].live;
        let from = live.get(offset as usize..).unwrap_or_default();
        let count = from.len().min(bytes.len());
        bytes[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let bytes = bytes.to_vec();
        self.disk.state().change(self.inode, Change::Write { offset, bytes })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().sync(self.inode)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.state().change(self.inode, Change::Len(len))
    }
}

struct MemoryLock {
    disk: MemoryDisk,
    path: String,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        self.disk.state().locks.retain(|held| *held != path);
    }
}

fn powerless() -> io::Error {
    io::Error::other("the machine has lost power")
}

/// A small seeded stream (splitmix64): the same on every machine and in every version.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(disk: &MemoryDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
        let file = disk.open(path, Access::WriteOrNew).expect("opened");
        file.write_at(bytes, 0).expect("written");
        file
    }

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_may_not() {
        let disk = MemoryDisk::new();
        let file = written(&disk, "a", &[1; 2000]);
        file.sync_data().expect("synced");
        disk.sync_dir("").expect("synced");
        file.write_at(&[2; 2000], 0).expect("written");
        let found: Vec<Vec<u8>> =
            (0..64).map(|s| disk.after_crash(s).contents("a").expect("there")).collect();
        assert!(found.iter().any(|f| f == &[1; 2000]), "sometimes lost");
        assert!(found.iter().any(|f| f == &[2; 2000]), "sometimes kept");
        assert!(found.iter().any(|f| f.contains(&1) && f.contains(&2)), "sometimes torn");
        assert_eq!(disk.after_crash(7).contents("a"), disk.after_crash(7).contents("a"));
    }

    #[test]
    fn a_name_is_durable_only_after_its_directory_was_synced() {
        let disk = MemoryDisk::new();
        written(&disk, "a", b"x").sync_data().expect("synced");
        assert!((0..64).any(|s| disk.after_crash(s).contents("a").is_none()));
        disk.sync_dir("").expect("synced");
        assert!((0..64).all(|s| disk.after_crash(s).contents("a").is_some()));
        disk.rename("a", "b").expect("renamed");
        for seed in 0..64 {
            let found = disk.after_crash(seed);
            assert!(found.contents("a").is_some() != found.contents("b").is_some(), "one of both");
        }
    }

    #[test]
    fn what_a_failed_sync_dropped_no_later_sync_saves() {
        let lost = |seed| {
            let disk = MemoryDisk::with_seed(seed);
            let file = written(&disk, "a", &[1]);
            disk.sync_dir("").expect("synced");
            let from = disk.points();
            disk.plan(Plan { fault: Fault::Eio, from, count: 1 });
            assert!(file.sync_data().is_err());
            file.sync_data().expect("the second try lies");
            assert_eq!(disk.contents("a"), Some(vec![1]), "still in the cache");
            disk.after_crash(0).contents("a") == Some(vec![])
        };
        assert!((0..64).any(lost) && !(0..64).all(lost));
    }

    #[test]
    fn nothing_works_after_a_crash() {
        let disk = MemoryDisk::new();
        let file = written(&disk, "a", b"x");
        let from = disk.points() + 1;
        disk.plan(Plan { fault: Fault::Crash, from, count: 1 });
        file.sync_data().expect("the point before");
        assert!(file.write_at(b"y", 0).is_err());
        assert!(disk.crashed() && file.len().is_err() && disk.list("").is_err());
        assert!(disk.after_crash(1).list("").is_ok());
    }

    #[test]
    fn a_full_disk_refuses_growth_until_there_is_room() {
        let disk = MemoryDisk::new();
        disk.set_capacity(Some(10));
        let file = written(&disk, "a", &[0; 10]);
        file.write_at(&[1; 10], 0).expect("no growth");
        let refused = file.write_at(&[1; 2], 9).expect_err("growth");
        assert!(crate::files::is_full(&refused));
        disk.set_capacity(None);
        file.write_at(&[1; 2], 9).expect("room again");
    }
}
