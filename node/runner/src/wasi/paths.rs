//! Calls that name a file by its path, and the list of a directory.

use super::calls::Result;
use super::descriptors::{APPEND, DIRECTORY, FD_READ, FD_WRITE, REGULAR, filestat};
use super::errno::Errno;
use super::files::{Dir, File, Place};
use super::memory::Memory;
use super::world::{Open, World};
use crate::limits::{CALL_BYTES_MAX, PATH_BYTES_MAX};

// Flags of `path_open`.
const O_CREAT: u32 = 1;
const O_DIRECTORY: u32 = 2;
const O_EXCL: u32 = 4;
const O_TRUNC: u32 = 8;

impl World {
    #[allow(clippy::too_many_arguments)] // as preview 1 has it
    pub fn path_open(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        _lookup: u32,
        path: u32,
        count: u32,
        flags: u32,
        rights: u64,
        _inheriting: u64,
        fd_flags: u32,
        out: u32,
    ) -> Result {
        let place = self.place(memory, fd, path, count)?;
        memory.slice(out, 4)?;
        let (reads, writes) = (rights & FD_READ != 0, rights & FD_WRITE != 0);
        let (dir, name) = match place {
            Place::Dir(_) if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL => return Err(Errno::Exist),
            Place::Dir(_) if flags & O_TRUNC != 0 || writes && flags & O_DIRECTORY == 0 => {
                return Err(Errno::Isdir);
            }
            Place::Dir(dir) => {
                let opened = self.add(Open::Dir { dir, preopened: false })?;
                return memory.set_u32(out, opened);
            }
            Place::Name(dir, name) => (dir, name),
        };
        let found = self.files.find(dir, &name);
        if found.is_ok() && flags & O_DIRECTORY != 0 {
            return Err(Errno::Notdir);
        }
        if found.is_ok() && flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
            return Err(Errno::Exist);
        }
        if let Ok(File::Given(_)) = found
            && (writes || flags & O_TRUNC != 0)
        {
            return Err(Errno::Rofs);
        }
        if self.open.len() >= crate::limits::DESCRIPTORS_MAX {
            return Err(Errno::Mfile);
        }
        let file = match found {
            Ok(file) => file,
            Err(errno) if flags & O_CREAT == 0 || flags & O_DIRECTORY != 0 => return Err(errno),
            Err(_) => self.files.create(dir, name)?,
        };
        if flags & O_TRUNC != 0 {
            self.files.resize(file, 0)?;
        }
        let append = fd_flags & APPEND != 0;
        let opened = self.add(Open::File { file, at: 0, append, reads, writes })?;
        memory.set_u32(out, opened)
    }

    fn place(
        &mut self,
        memory: &Memory<'_>,
        fd: u32,
        path: u32,
        count: u32,
    ) -> std::result::Result<Place, Errno> {
        let dir = self.dir(fd)?;
        if count > PATH_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        self.worked(count as usize);
        self.files.resolve(dir, memory.slice(path, count)?)
    }

    pub fn path_filestat_get(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        _lookup: u32,
        path: u32,
        count: u32,
        out: u32,
    ) -> Result {
        let stat = match self.place(memory, fd, path, count)? {
            Place::Dir(dir) => filestat(DIRECTORY, dir.inode(), 0),
            Place::Name(dir, name) => self.stat(self.files.find(dir, &name)?)?,
        };
        memory.set(out, &stat)
    }

    #[allow(clippy::too_many_arguments)] // as preview 1 has it
    pub fn path_filestat_set_times(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        _lookup: u32,
        path: u32,
        count: u32,
        _a: u64,
        _m: u64,
        _flags: u32,
    ) -> Result {
        match self.place(memory, fd, path, count)? {
            Place::Dir(_) => Ok(()),
            Place::Name(dir, name) => self.files.find(dir, &name).map(|_| ()),
        }
    }

    /// `out/` and `artifacts/` are flat.
    pub fn path_create_directory(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        path: u32,
        count: u32,
    ) -> Result {
        match self.place(memory, fd, path, count)? {
            Place::Dir(_) => Err(Errno::Exist),
            Place::Name(Dir::Artifacts, _) => Err(Errno::Rofs),
            Place::Name(dir, name) => Err(self.files.find(dir, &name).map_or(Errno::Perm, |_| Errno::Exist)),
        }
    }

    pub fn path_remove_directory(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        path: u32,
        count: u32,
    ) -> Result {
        match self.place(memory, fd, path, count)? {
            Place::Dir(_) => Err(Errno::Acces),
            Place::Name(dir, name) => {
                Err(self.files.find(dir, &name).map_or(Errno::Noent, |_| Errno::Notdir))
            }
        }
    }

    pub fn path_unlink_file(&mut self, memory: &mut Memory<'_>, fd: u32, path: u32, count: u32) -> Result {
        match self.place(memory, fd, path, count)? {
            Place::Dir(_) => Err(Errno::Isdir),
            Place::Name(dir, name) => self.files.unlink(dir, &name),
        }
    }

    #[allow(clippy::too_many_arguments)] // as preview 1 has it
    pub fn path_rename(
        &mut self,
        memory: &mut Memory<'_>,
        from_fd: u32,
        from: u32,
        from_count: u32,
        to_fd: u32,
        to: u32,
        to_count: u32,
    ) -> Result {
        let source = self.place(memory, from_fd, from, from_count)?;
        let target = self.place(memory, to_fd, to, to_count)?;
        match (source, target) {
            (Place::Dir(_), _) => Err(Errno::Acces),
            (Place::Name(dir, name), _) if self.files.find(dir, &name).is_err() => Err(Errno::Noent),
            (_, Place::Dir(_)) => Err(Errno::Isdir),
            (Place::Name(Dir::Out, from), Place::Name(Dir::Out, to)) => self.files.rename(&from, to),
            (_, Place::Name(Dir::Root, _)) => Err(Errno::Perm),
            (Place::Name(..), Place::Name(..)) => Err(Errno::Rofs),
        }
    }

    /// There are no links.
    #[allow(clippy::too_many_arguments)] // as preview 1 has it
    pub fn path_link(
        &mut self,
        memory: &mut Memory<'_>,
        from_fd: u32,
        _lookup: u32,
        from: u32,
        from_count: u32,
        to_fd: u32,
        to: u32,
        to_count: u32,
    ) -> Result {
        self.place(memory, from_fd, from, from_count)?;
        self.place(memory, to_fd, to, to_count)?;
        Err(Errno::Notsup)
    }

    /// What a link says is never looked at.
    pub fn path_symlink(
        &mut self,
        memory: &mut Memory<'_>,
        target: u32,
        target_count: u32,
        fd: u32,
        path: u32,
        count: u32,
    ) -> Result {
        memory.slice(target, target_count)?;
        self.place(memory, fd, path, count)?;
        Err(Errno::Notsup)
    }

    #[allow(clippy::too_many_arguments)] // as preview 1 has it
    pub fn path_readlink(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        path: u32,
        count: u32,
        _out: u32,
        _out_count: u32,
        _used: u32,
    ) -> Result {
        match self.place(memory, fd, path, count)? {
            Place::Dir(_) => Err(Errno::Inval),
            Place::Name(dir, name) => self.files.find(dir, &name).and(Err(Errno::Inval)),
        }
    }

    pub fn fd_readdir(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        out: u32,
        room: u32,
        cookie: u64,
        used: u32,
    ) -> Result {
        let dir = self.dir(fd)?;
        let room = room.min(CALL_BYTES_MAX);
        let mut written = Vec::new();
        let skipped = usize::try_from(cookie).unwrap_or(usize::MAX);
        for (i, (name, inode, is_dir)) in self.files.list(dir).into_iter().enumerate().skip(skipped) {
            if written.len() >= room as usize {
                break;
            }
            written.extend_from_slice(&(i as u64 + 1).to_le_bytes());
            written.extend_from_slice(&inode.to_le_bytes());
            written.extend_from_slice(&(name.len() as u32).to_le_bytes());
            written.extend_from_slice(&[if is_dir { DIRECTORY } else { REGULAR }, 0, 0, 0]);
            written.extend_from_slice(name.as_bytes());
        }
        // An entry that is cut off tells the guest to come again with more room.
        written.truncate(room as usize);
        memory.set(out, &written)?;
        memory.set_u32(used, written.len() as u32)?;
        self.worked(written.len());
        Ok(())
    }
}
