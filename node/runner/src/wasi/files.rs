//! The file system: a root with two flat directories, one that is given and one that is left. It has no links and no way up.

use super::errno::Errno;
use crate::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX};
use std::collections::BTreeMap;

/// A directory. There are no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dir {
    Root,
    Artifacts,
    Out,
}

impl Dir {
    /// Its number as an inode.
    pub fn inode(self) -> u64 {
        match self {
            Dir::Root => 1,
            Dir::Artifacts => 2,
            Dir::Out => 3,
        }
    }
}

/// A file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    /// The given file of that index.
    Given(usize),
    /// The file in `out/` of that number. Numbers are never used again.
    Left(u64),
}

impl File {
    /// Its number as an inode.
    pub fn inode(self) -> u64 {
        match self {
            File::Given(index) => (1 << 32) + index as u64,
            File::Left(number) => (2 << 32) + number,
        }
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Dir(Dir),
    /// A name in a directory, whether or not there is such a file.
    Name(Dir, String),
}

/// A file in `out/`, also one that has lost its name while it is open.
#[derive(Debug, Default)]
struct Left {
    bytes: Vec<u8>,
    named: bool,
    open: u32,
}

/// The files of one step.
#[derive(Debug)]
pub(super) struct Files {
    given: Vec<(String, Vec<u8>)>,
    names: BTreeMap<String, u64>,
    left: BTreeMap<u64, Left>,
    next: u64,
    /// Bytes in all files of `out/`, with or without a name.
    bytes: u64,
    bytes_max: u64,
    files_max: u64,
    /// Whether something was refused for its size or number.
    pub overflowed: bool,
}

impl Files {
    pub fn new(mut given: Vec<(String, Vec<u8>)>, bytes_max: u64, files_max: u64) -> Self {
        given.sort_by(|a, b| a.0.cmp(&b.0));
        Files {
            given,
            names: BTreeMap::new(),
            left: BTreeMap::new(),
            next: 0,
            bytes: 0,
            bytes_max,
            files_max,
            overflowed: false,
        }
    }

    /// Where a path leads, from a directory that the guest holds. Above that directory there is nothing.
    pub fn resolve(&self, from: Dir, path: &[u8]) -> Result<Place, Errno> {
        if path.len() > PATH_BYTES_MAX as usize {
            return Err(Errno::Nametoolong);
        }
        let path = std::str::from_utf8(path).map_err(|_| Errno::Ilseq)?;
        if path.is_empty() {
            return Err(Errno::Noent);
        }
        if path.contains('\0') {
            return Err(Errno::Inval);
        }
        if path.starts_with('/') {
            return Err(Errno::Notcapable);
        }
        let mut place = Place::Dir(from);
        for part in path.split('/') {
            place = match (part, place) {
                ("" | ".", Place::Dir(dir)) => Place::Dir(dir),
                ("..", Place::Dir(dir)) if dir == from => return Err(Errno::Notcapable),
                ("..", Place::Dir(_)) => Place::Dir(Dir::Root),
                ("artifacts", Place::Dir(Dir::Root)) => Place::Dir(Dir::Artifacts),
                ("out", Place::Dir(Dir::Root)) => Place::Dir(Dir::Out),
                (name, Place::Dir(dir)) => Place::Name(dir, name.to_owned()),
                // Something beneath a name, or a slash after it: a file is no directory, and there are no other ones.
                (_, Place::Name(dir, name)) => {
                    let there = self.find(dir, &name).is_ok();
                    return Err(if there { Errno::Notdir } else { Errno::Noent });
                }
            };
        }
        match &place {
            Place::Name(_, name) if name.len() > NAME_BYTES_MAX => Err(Errno::Nametoolong),
            _ => Ok(place),
        }
    }

    /// The file of that name.
    pub fn find(&self, dir: Dir, name: &str) -> Result<File, Errno> {
        match dir {
            Dir::Root => Err(Errno::Noent),
            Dir::Artifacts => {
                let index = self.given.binary_search_by(|(given, _)| given.as_str().cmp(name));
                index.map(File::Given).map_err(|_| Errno::Noent)
            }
            Dir::Out => self.names.get(name).copied().map(File::Left).ok_or(Errno::Noent),
        }
    }

    /// Makes an empty file in `out/`.
    pub fn create(&mut self, dir: Dir, name: String) -> Result<File, Errno> {
        match dir {
            Dir::Root => return Err(Errno::Perm),
            Dir::Artifacts => return Err(Errno::Rofs),
            Dir::Out => {}
        }
        // Files that lost their name count while they are open: each takes memory too.
        if self.left.len() as u64 >= self.files_max {
            self.overflowed = true;
            return Err(Errno::Nospc);
        }
        let number = self.next;
        self.next += 1;
        self.left.insert(number, Left { named: true, ..Left::default() });
        self.names.insert(name, number);
        Ok(File::Left(number))
    }

    pub fn bytes(&self, file: File) -> Result<&[u8], Errno> {
        match file {
            File::Given(index) => self.given.get(index).map(|(_, bytes)| bytes.as_slice()).ok_or(Errno::Badf),
            File::Left(number) => self.left.get(&number).map(|left| &*left.bytes).ok_or(Errno::Badf),
        }
    }

    /// Writes bytes at a place, filling what lies between with zeros.
    pub fn write(&mut self, file: File, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        let end = at.checked_add(bytes.len() as u64).ok_or(Errno::Fbig)?;
        if end > self.bytes(file)?.len() as u64 && !bytes.is_empty() {
            self.resize(file, end)?;
        }
        let File::Left(number) = file else { return Err(Errno::Rofs) };
        if let Some(left) = self.left.get_mut(&number)
            && !bytes.is_empty()
        {
            // Both fit: the file has just been made to reach `end`.
            left.bytes[at as usize..end as usize].copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Cuts a file, or makes it longer with zeros.
    pub fn resize(&mut self, file: File, size: u64) -> Result<(), Errno> {
        let File::Left(number) = file else { return Err(Errno::Rofs) };
        let left = self.left.get_mut(&number).ok_or(Errno::Badf)?;
        let before = left.bytes.len() as u64;
        let after = self.bytes.saturating_sub(before).saturating_add(size);
        if size > before && after > self.bytes_max {
            self.overflowed = true;
            return Err(Errno::Nospc);
        }
        // At most `bytes_max`, which is far below `usize`.
        left.bytes.resize(size as usize, 0);
        // What is cut is given back: the bound on bytes would not bound memory else.
        if size < before && left.bytes.len() < left.bytes.capacity() / 2 {
            left.bytes.shrink_to_fit();
        }
        self.bytes = after;
        Ok(())
    }

    pub fn opened(&mut self, file: File) {
        if let File::Left(number) = file
            && let Some(left) = self.left.get_mut(&number)
        {
            left.open += 1;
        }
    }

    pub fn closed(&mut self, file: File) {
        if let File::Left(number) = file
            && let Some(left) = self.left.get_mut(&number)
        {
            left.open = left.open.saturating_sub(1);
            self.forget_unreachable(number);
        }
    }

    pub fn unlink(&mut self, dir: Dir, name: &str) -> Result<(), Errno> {
        let File::Left(number) = self.find(dir, name)? else { return Err(Errno::Rofs) };
        self.names.remove(name);
        if let Some(left) = self.left.get_mut(&number) {
            left.named = false;
        }
        self.forget_unreachable(number);
        Ok(())
    }

    /// Gives a file in `out/` another name there, in place of whatever bore it.
    pub fn rename(&mut self, from: &str, to: String) -> Result<(), Errno> {
        let number = *self.names.get(from).ok_or(Errno::Noent)?;
        if from == to {
            return Ok(());
        }
        if self.names.contains_key(&to) {
            self.unlink(Dir::Out, &to)?;
        }
        self.names.remove(from);
        self.names.insert(to, number);
        Ok(())
    }

    fn forget_unreachable(&mut self, number: u64) {
        if let Some(left) = self.left.get(&number)
            && !left.named
            && left.open == 0
        {
            self.bytes = self.bytes.saturating_sub(left.bytes.len() as u64);
            self.left.remove(&number);
        }
    }

    /// What a directory holds, in order: name, inode, and whether it is a directory.
    pub fn list(&self, dir: Dir) -> Vec<(&str, u64, bool)> {
        let mut list = vec![(".", dir.inode(), true), ("..", Dir::Root.inode(), true)];
        match dir {
            Dir::Root => {
                list.extend([("artifacts", Dir::Artifacts.inode(), true), ("out", Dir::Out.inode(), true)]);
            }
            Dir::Artifacts => {
                let given = self.given.iter().enumerate();
                list.extend(given.map(|(i, (name, _))| (name.as_str(), File::Given(i).inode(), false)));
            }
            Dir::Out => {
                let names = self.names.iter();
                list.extend(names.map(|(name, n)| (name.as_str(), File::Left(*n).inode(), false)));
            }
        }
        list
    }

    /// Takes the named files of `out/`, by name.
    pub fn take_left(&mut self) -> Vec<(String, Vec<u8>)> {
        let names = std::mem::take(&mut self.names);
        let take = |(name, number): (String, u64)| self.left.remove(&number).map(|left| (name, left.bytes));
        names.into_iter().filter_map(take).collect()
    }

    #[cfg(test)]
    pub fn held_bytes(&self) -> (u64, u64, usize) {
        let real = self.left.values().map(|left| left.bytes.len() as u64).sum();
        (self.bytes, real, self.left.len())
    }

    /// Bytes of memory behind all files of `out/`.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.left.values().map(|left| left.bytes.capacity()).sum()
    }
}
