//! The calls. Each takes numbers and a guest's memory, and says what it did or why not; none can fail otherwise. Here are their
//! names, and those that have to do with no file: arguments, time, chance, sockets, the end.

use super::errno::Errno;
use super::memory::Memory;
use super::world::{NOW_NS, Open, Stop, World};
use crate::limits::{BUFFERS_MAX, CALL_BYTES_MAX, RANDOM_BYTES_MAX};

/// What a call gives back.
pub(crate) type Result = std::result::Result<(), Errno>;

/// The one argument: a program's name for itself.
const ARGUMENT: &[u8] = b"step\0";

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

    /// The guest ends here.
    pub fn proc_exit(&mut self, code: u32) {
        self.stop = Some(Stop::Exit(code));
    }
}
