//! Calls on what is open: which kind it is and what it allows, where it stands, how long it is, closing it.

use super::calls::Result;
use super::errno::Errno;
use super::files::File;
use super::memory::Memory;
use super::world::{NOW_NS, Open, World};

/// The name of the one directory that is open from the start.
const ROOT: &[u8] = b"/";

// Kinds of files, as numbers of preview 1. The streams are of no known kind, so that C does not take them for a terminal.
const UNKNOWN: u8 = 0;
pub(super) const DIRECTORY: u8 = 3;
pub(super) const REGULAR: u8 = 4;

// Rights, as bits of preview 1.
pub(super) const FD_READ: u64 = 1 << 1;
const FD_SEEK: u64 = 1 << 2;
const FD_TELL: u64 = 1 << 5;
pub(super) const FD_WRITE: u64 = 1 << 6;
const FD_ALLOCATE: u64 = 1 << 8;
const FD_SET_SIZE: u64 = 1 << 22;
const FD_FILESTAT: u64 = 1 << 21;
const POLL: u64 = 1 << 27;
const ALL_RIGHTS: u64 = (1 << 30) - 1;

/// A flag of an open file: it is written to at its end.
pub(super) const APPEND: u32 = 1;

impl World {
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

    pub(super) fn stat(&self, file: File) -> std::result::Result<[u8; 64], Errno> {
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

    pub(super) fn move_to(&mut self, fd: u32, target: u64) {
        if let Some(Open::File { at, .. }) = self.open.get_mut(&fd) {
            *at = target;
        }
    }
}

pub(super) fn filestat(kind: u8, inode: u64, size: u64) -> [u8; 64] {
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
