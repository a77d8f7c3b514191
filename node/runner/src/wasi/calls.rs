//! The calls themselves. Each takes numbers and a guest's memory, and says what it did or why not; none can fail otherwise.

use super::errno::Errno;
use super::files::{Dir, File, Place};
use super::memory::Memory;
use super::world::{NOW_NS, Open, Stop, World};
use crate::limits::{BUFFERS_MAX, CALL_BYTES_MAX, PATH_BYTES_MAX, RANDOM_BYTES_MAX};

/// What a call gives back.
pub(crate) type Result = std::result::Result<(), Errno>;

/// The one argument: a program's name for itself.
const ARGUMENT: &[u8] = b"step\0";

/// The name of the one directory that is open from the start.
const ROOT: &[u8] = b"/";

/// Every function of preview 1. A module that asks for another does not run.
pub(crate) const NAMES: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

// Kinds of files, as numbers of preview 1. The streams are of no known kind, so that C does not take them for a terminal.
const UNKNOWN: u8 = 0;
const DIRECTORY: u8 = 3;
const REGULAR: u8 = 4;

// Rights, as bits of preview 1.
const FD_READ: u64 = 1 << 1;
const FD_SEEK: u64 = 1 << 2;
const FD_TELL: u64 = 1 << 5;
const FD_WRITE: u64 = 1 << 6;
const FD_ALLOCATE: u64 = 1 << 8;
const FD_SET_SIZE: u64 = 1 << 22;
const FD_FILESTAT: u64 = 1 << 21;
const POLL: u64 = 1 << 27;
const ALL_RIGHTS: u64 = (1 << 30) - 1;

// Flags of `path_open`.
const O_CREAT: u32 = 1;
const O_DIRECTORY: u32 = 2;
const O_EXCL: u32 = 4;
const O_TRUNC: u32 = 8;
const APPEND: u32 = 1;

impl World {
    // Arguments and environment.

    pub fn args_sizes_get(&mut self, memory: &mut Memory<'_>, count: u32, size: u32) -> Result {
        memory.set_u32(count, 1)?;
        memory.set_u32(size, ARGUMENT.len() as u32)
    }

    pub fn args_get(&mut self, memory: &mut Memory<'_>, pointers: u32, texts: u32) -> Result {
        memory.set_u32(pointers, texts)?;
        memory.set(texts, ARGUMENT)
    }

    pub fn environ_sizes_get(&mut self, memory: &mut Memory<'_>, count: u32, size: u32) -> Result {
        memory.set_u32(count, 0)?;
        memory.set_u32(size, 0)
    }

    pub fn environ_get(&mut self, _: &mut Memory<'_>, _pointers: u32, _texts: u32) -> Result {
        Ok(())
    }

    // Time, chance, and the rest of the world.

    pub fn clock_res_get(&mut self, memory: &mut Memory<'_>, clock: u32, out: u32) -> Result {
        if clock > 3 {
            return Err(Errno::Inval);
        }
        memory.set_u64(out, 1_000_000)
    }

    pub fn clock_time_get(
        &mut self,
        memory: &mut Memory<'_>,
        clock: u32,
        _precision: u64,
        out: u32,
    ) -> Result {
        if clock > 3 {
            return Err(Errno::Inval);
        }
        memory.set_u64(out, NOW_NS)
    }

    pub fn random_get(&mut self, memory: &mut Memory<'_>, out: u32, count: u32) -> Result {
        if count > RANDOM_BYTES_MAX {
            return Err(Errno::Inval);
        }
        let target = memory.slice_mut(out, count)?;
        self.random(target);
        // A hash costs more than a copy.
        self.worked(count as usize * 8);
        Ok(())
    }

    /// Every subscription has happened: time does not pass, and nothing blocks.
    pub fn poll_oneoff(
        &mut self,
        memory: &mut Memory<'_>,
        subs: u32,
        events: u32,
        count: u32,
        out: u32,
    ) -> Result {
        const SUBSCRIPTION: u32 = 48;
        const EVENT: u32 = 32;
        if count == 0 || count > BUFFERS_MAX {
            return Err(Errno::Inval);
        }
        let asked = memory.slice(subs, count * SUBSCRIPTION)?.to_vec();
        memory.slice(events, count * EVENT)?;
        self.worked(asked.len());
        for (i, sub) in asked.chunks_exact(SUBSCRIPTION as usize).enumerate() {
            let mut event = [0_u8; EVENT as usize];
            event[..8].copy_from_slice(&sub[..8]);
            event[10] = sub[8];
            let fd = u32::from_le_bytes([sub[16], sub[17], sub[18], sub[19]]);
            let (error, ready) = match sub[8] {
                0 => (0, 0),
                1 => self.readable(fd).map_or_else(|errno| (errno as u16, 0), |bytes| (0, bytes)),
                2 => self.find(fd).map_or_else(|errno| (errno as u16, 0), |_| (0, CALL_BYTES_MAX.into())),
                _ => (Errno::Inval as u16, 0),
            };
            event[8..10].copy_from_slice(&error.to_le_bytes());
            event[16..24].copy_from_slice(&u64::to_le_bytes(ready));
            memory.set(events + i as u32 * EVENT, &event)?;
        }
        memory.set_u32(out, count)
    }

    fn readable(&self, fd: u32) -> std::result::Result<u64, Errno> {
        match self.find(fd)? {
            Open::Stdin => Ok((self.stdin.len() - self.stdin_at) as u64),
            Open::File { file, at, .. } => Ok((self.files.bytes(file)?.len() as u64).saturating_sub(at)),
            Open::Stdout | Open::Stderr | Open::Dir { .. } => Ok(0),
        }
    }

    pub fn sched_yield(&mut self, _: &mut Memory<'_>) -> Result {
        Ok(())
    }

    pub fn proc_raise(&mut self, _: &mut Memory<'_>, _signal: u32) -> Result {
        Err(Errno::Nosys)
    }

    pub fn sock_accept(&mut self, _: &mut Memory<'_>, fd: u32, _flags: u32, _out: u32) -> Result {
        self.no_socket(fd)
    }
    #[allow(clippy::too_many_arguments)] // as preview 1 has it
    pub fn sock_recv(
        &mut self,
        _: &mut Memory<'_>,
        fd: u32,
        _buffers: u32,
        _count: u32,
        _flags: u32,
        _size: u32,
        _out: u32,
    ) -> Result {
        self.no_socket(fd)
    }
    pub fn sock_send(
        &mut self,
        _: &mut Memory<'_>,
        fd: u32,
        _buffers: u32,
        _count: u32,
        _flags: u32,
        _out: u32,
    ) -> Result {
        self.no_socket(fd)
    }
    pub fn sock_shutdown(&mut self, _: &mut Memory<'_>, fd: u32, _how: u32) -> Result {
        self.no_socket(fd)
    }

    fn no_socket(&self, fd: u32) -> Result {
        self.find(fd)?;
        Err(Errno::Notsock)
    }

    // Descriptors.

    pub fn fd_prestat_get(&mut self, memory: &mut Memory<'_>, fd: u32, out: u32) -> Result {
        match self.find(fd)? {
            Open::Dir { preopened: true, .. } => {
                memory.set_u32(out, 0)?;
                memory.set_u32(out.checked_add(4).ok_or(Errno::Fault)?, ROOT.len() as u32)
            }
            _ => Err(Errno::Badf),
        }
    }

    pub fn fd_prestat_dir_name(&mut self, memory: &mut Memory<'_>, fd: u32, out: u32, count: u32) -> Result {
        match self.find(fd)? {
            Open::Dir { preopened: true, .. } if count >= ROOT.len() as u32 => memory.set(out, ROOT),
            Open::Dir { preopened: true, .. } => Err(Errno::Nametoolong),
            _ => Err(Errno::Badf),
        }
    }

    pub fn fd_close(&mut self, _: &mut Memory<'_>, fd: u32) -> Result {
        self.close(fd)
    }

    pub fn fd_renumber(&mut self, _: &mut Memory<'_>, from: u32, to: u32) -> Result {
        let open = self.find(from)?;
        self.find(to)?;
        if from != to {
            self.close(to)?;
            self.open.remove(&from);
            self.open.insert(to, open);
        }
        Ok(())
    }

    pub fn fd_fdstat_get(&mut self, memory: &mut Memory<'_>, fd: u32, out: u32) -> Result {
        let (kind, flags, rights, inherited) = match self.find(fd)? {
            Open::Stdin => (UNKNOWN, 0, FD_READ | POLL | FD_FILESTAT, 0),
            Open::Stdout | Open::Stderr => (UNKNOWN, APPEND as u16, FD_WRITE | POLL | FD_FILESTAT, 0),
            Open::Dir { .. } => (DIRECTORY, 0, ALL_RIGHTS & !(FD_READ | FD_WRITE | FD_SEEK), ALL_RIGHTS),
            Open::File { append, reads, writes, .. } => {
                let mut rights = FD_SEEK | FD_TELL | FD_FILESTAT | POLL;
                if reads {
                    rights |= FD_READ;
                }
                if writes {
                    rights |= FD_WRITE | FD_ALLOCATE | FD_SET_SIZE;
                }
                (REGULAR, u16::from(append), rights, 0)
            }
        };
        let mut stat = [0_u8; 24];
        stat[0] = kind;
        stat[2..4].copy_from_slice(&flags.to_le_bytes());
        stat[8..16].copy_from_slice(&rights.to_le_bytes());
        stat[16..24].copy_from_slice(&u64::to_le_bytes(inherited));
        memory.set(out, &stat)
    }

    pub fn fd_fdstat_set_flags(&mut self, _: &mut Memory<'_>, fd: u32, flags: u32) -> Result {
        match self.open.get_mut(&fd) {
            None => Err(Errno::Badf),
            Some(Open::File { append, .. }) => {
                *append = flags & APPEND != 0;
                Ok(())
            }
            Some(Open::Stdin | Open::Stdout | Open::Stderr | Open::Dir { .. }) => Ok(()),
        }
    }

    /// Rights are only ever what a descriptor was opened with; giving some up changes nothing that we rely on.
    pub fn fd_fdstat_set_rights(
        &mut self,
        _: &mut Memory<'_>,
        fd: u32,
        _base: u64,
        _inheriting: u64,
    ) -> Result {
        self.find(fd).map(|_| ())
    }

    pub fn fd_filestat_get(&mut self, memory: &mut Memory<'_>, fd: u32, out: u32) -> Result {
        let stat = match self.find(fd)? {
            Open::Stdin | Open::Stdout | Open::Stderr => filestat(UNKNOWN, 1000 + u64::from(fd), 0),
            Open::Dir { dir, .. } => filestat(DIRECTORY, dir.inode(), 0),
            Open::File { file, .. } => self.stat(file)?,
        };
        memory.set(out, &stat)
    }

    fn stat(&self, file: File) -> std::result::Result<[u8; 64], Errno> {
        Ok(filestat(REGULAR, file.inode(), self.files.bytes(file)?.len() as u64))
    }

    pub fn fd_filestat_set_size(&mut self, _: &mut Memory<'_>, fd: u32, size: u64) -> Result {
        let file = self.writable(fd)?;
        self.resize(file, size)
    }

    fn resize(&mut self, file: File, size: u64) -> Result {
        let before = self.files.bytes(file)?.len() as u64;
        self.files.resize(file, size)?;
        self.worked(size.saturating_sub(before) as usize);
        Ok(())
    }

    fn writable(&self, fd: u32) -> std::result::Result<File, Errno> {
        match self.find(fd)? {
            Open::File { file, writes: true, .. } => Ok(file),
            Open::File { .. } => Err(Errno::Badf),
            Open::Dir { .. } => Err(Errno::Isdir),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Inval),
        }
    }

    pub fn fd_filestat_set_times(
        &mut self,
        _: &mut Memory<'_>,
        fd: u32,
        _a: u64,
        _m: u64,
        _flags: u32,
    ) -> Result {
        // Every file is of the one moment there is.
        self.find(fd).map(|_| ())
    }

    pub fn fd_advise(&mut self, _: &mut Memory<'_>, fd: u32, _at: u64, _count: u64, advice: u32) -> Result {
        match self.find(fd)? {
            Open::File { .. } if advice <= 5 => Ok(()),
            Open::File { .. } => Err(Errno::Inval),
            Open::Dir { .. } => Err(Errno::Badf),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Spipe),
        }
    }

    pub fn fd_allocate(&mut self, _: &mut Memory<'_>, fd: u32, at: u64, count: u64) -> Result {
        let file = self.writable(fd)?;
        let end = at.checked_add(count).ok_or(Errno::Fbig)?;
        if end > self.files.bytes(file)?.len() as u64 {
            self.resize(file, end)?;
        }
        Ok(())
    }

    pub fn fd_sync(&mut self, _: &mut Memory<'_>, fd: u32) -> Result {
        self.find(fd).map(|_| ())
    }

    pub fn fd_datasync(&mut self, _: &mut Memory<'_>, fd: u32) -> Result {
        self.find(fd).map(|_| ())
    }

    pub fn fd_seek(&mut self, memory: &mut Memory<'_>, fd: u32, delta: i64, whence: u32, out: u32) -> Result {
        let Open::File { file, at, .. } = self.find(fd)? else {
            return Err(if matches!(self.find(fd)?, Open::Dir { .. }) { Errno::Badf } else { Errno::Spipe });
        };
        let base = match whence {
            0 => 0,
            1 => at,
            2 => self.files.bytes(file)?.len() as u64,
            _ => return Err(Errno::Inval),
        };
        let target = base.checked_add_signed(delta).ok_or(Errno::Inval)?;
        memory.set_u64(out, target)?;
        self.move_to(fd, target);
        Ok(())
    }

    pub fn fd_tell(&mut self, memory: &mut Memory<'_>, fd: u32, out: u32) -> Result {
        match self.find(fd)? {
            Open::File { at, .. } => memory.set_u64(out, at),
            Open::Dir { .. } => Err(Errno::Badf),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Spipe),
        }
    }

    fn move_to(&mut self, fd: u32, target: u64) {
        if let Some(Open::File { at, .. }) = self.open.get_mut(&fd) {
            *at = target;
        }
    }

    // Reading and writing.

    pub fn fd_read(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        out: u32,
    ) -> Result {
        match self.find(fd)? {
            Open::Stdin => {
                let at = self.stdin_at as u64;
                let read = self.scatter(memory, Source::Stdin, at, buffers, count, out)?;
                self.stdin_at += read as usize;
            }
            Open::File { file, at, reads: true, .. } => {
                let read = self.scatter(memory, Source::File(file), at, buffers, count, out)?;
                self.move_to(fd, at + u64::from(read));
            }
            Open::Dir { .. } => return Err(Errno::Isdir),
            Open::Stdout | Open::Stderr | Open::File { .. } => return Err(Errno::Badf),
        }
        Ok(())
    }

    pub fn fd_pread(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        at: u64,
        out: u32,
    ) -> Result {
        match self.find(fd)? {
            Open::File { file, reads: true, .. } => {
                self.scatter(memory, Source::File(file), at, buffers, count, out).map(|_| ())
            }
            Open::Dir { .. } => Err(Errno::Isdir),
            Open::File { .. } => Err(Errno::Badf),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Spipe),
        }
    }

    /// Fills a guest's buffers from a source, and says how many bytes there were.
    fn scatter(
        &mut self,
        memory: &mut Memory<'_>,
        source: Source,
        at: u64,
        buffers: u32,
        count: u32,
        out: u32,
    ) -> std::result::Result<u32, Errno> {
        let ranges = ranges(memory, buffers, count)?;
        memory.slice(out, 4)?;
        let bytes = match source {
            Source::Stdin => &self.stdin,
            Source::File(file) => self.files.bytes(file)?,
        };
        let mut rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or(&[]);
        let mut read = 0;
        for (start, size) in ranges {
            let taken = rest.len().min(size as usize);
            memory.set(start, &rest[..taken])?;
            rest = &rest[taken..];
            read += taken as u32;
        }
        memory.set_u32(out, read)?;
        self.worked(read as usize);
        Ok(read)
    }

    pub fn fd_write(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        out: u32,
    ) -> Result {
        let open = self.find(fd)?;
        let (file, start) = match open {
            Open::Stdin => return Err(Errno::Badf),
            Open::Dir { .. } => return Err(Errno::Isdir),
            Open::Stdout | Open::Stderr => {
                let bytes = gather(memory, buffers, count)?;
                memory.set_u32(out, bytes.len() as u32)?;
                self.worked(bytes.len());
                match open {
                    Open::Stdout => self.put_out(&bytes),
                    _ => self.put_log(&bytes),
                }
                return Ok(());
            }
            Open::File { writes: false, .. } => return Err(Errno::Badf),
            Open::File { file, append: true, .. } => (file, self.files.bytes(file)?.len() as u64),
            Open::File { file, at, .. } => (file, at),
        };
        let written = self.write_file(memory, file, start, buffers, count, out)?;
        self.move_to(fd, start + u64::from(written));
        Ok(())
    }

    pub fn fd_pwrite(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        at: u64,
        out: u32,
    ) -> Result {
        match self.find(fd)? {
            Open::File { file, writes: true, .. } => {
                self.write_file(memory, file, at, buffers, count, out).map(|_| ())
            }
            Open::Dir { .. } => Err(Errno::Isdir),
            Open::File { .. } => Err(Errno::Badf),
            Open::Stdin | Open::Stdout | Open::Stderr => Err(Errno::Spipe),
        }
    }

    fn write_file(
        &mut self,
        memory: &mut Memory<'_>,
        file: File,
        at: u64,
        buffers: u32,
        count: u32,
        out: u32,
    ) -> std::result::Result<u32, Errno> {
        let bytes = gather(memory, buffers, count)?;
        memory.slice(out, 4)?;
        let before = self.files.bytes(file)?.len();
        self.files.write(file, at, &bytes)?;
        // A hole is filled with zeros, which is work too.
        let grown = self.files.bytes(file)?.len().saturating_sub(before);
        self.worked(grown.max(bytes.len()));
        memory.set_u32(out, bytes.len() as u32)?;
        Ok(bytes.len() as u32)
    }

    // Paths.

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

    /// The guest ends here.
    pub fn proc_exit(&mut self, code: u32) {
        self.stop = Some(Stop::Exit(code));
    }
}

/// What is read from.
#[derive(Clone, Copy)]
enum Source {
    Stdin,
    File(File),
}

/// A guest's buffers: where each begins and how long it is, together at most [`CALL_BYTES_MAX`].
fn ranges(memory: &Memory<'_>, buffers: u32, count: u32) -> std::result::Result<Vec<(u32, u32)>, Errno> {
    if count > BUFFERS_MAX {
        return Err(Errno::Inval);
    }
    let list = memory.slice(buffers, count * 8)?;
    let mut room = CALL_BYTES_MAX;
    let mut ranges = Vec::with_capacity(count as usize);
    for pair in list.chunks_exact(8) {
        let number = |at: usize| u32::from_le_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]);
        let (start, size) = (number(0), number(4));
        memory.slice(start, size)?;
        let size = size.min(room);
        room -= size;
        ranges.push((start, size));
    }
    Ok(ranges)
}

fn gather(memory: &Memory<'_>, buffers: u32, count: u32) -> std::result::Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    for (start, size) in ranges(memory, buffers, count)? {
        bytes.extend_from_slice(memory.slice(start, size)?);
    }
    Ok(bytes)
}

fn filestat(kind: u8, inode: u64, size: u64) -> [u8; 64] {
    let mut stat = [0_u8; 64];
    stat[..8].copy_from_slice(&1_u64.to_le_bytes());
    stat[8..16].copy_from_slice(&inode.to_le_bytes());
    stat[16] = kind;
    stat[24..32].copy_from_slice(&1_u64.to_le_bytes());
    stat[32..40].copy_from_slice(&size.to_le_bytes());
    for time in [40, 48, 56] {
        stat[time..time + 8].copy_from_slice(&NOW_NS.to_le_bytes());
    }
    stat
}
