//! Everything a guest can reach: its streams, its files, its open descriptors. One world for one step.

use super::errno::Errno;
use super::files::{Dir, File, Files};
use crate::limits::{DESCRIPTORS_MAX, Limits};
use crate::outcome::{Artifact, Log};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The moment that every clock shows: 2000-01-01T00:00:00Z, in nanoseconds.
pub(super) const NOW_NS: u64 = 946_684_800_000_000_000;

/// What an open descriptor is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Open {
    Stdin,
    Stdout,
    Stderr,
    Dir { dir: Dir, preopened: bool },
    File { file: File, at: u64, append: bool, reads: bool, writes: bool },
}

/// Why a guest must go no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// It asked to end.
    #[error("exit {0}")]
    Exit(u32),
    /// Standard output is too long.
    #[error("too much output")]
    OutputTooLarge,
    /// The fuel is spent on a host call.
    #[error("no fuel")]
    Fuel,
    /// Memory was refused.
    #[error("no memory")]
    Memory,
    /// The machine had no more memory.
    #[error("the machine has no memory")]
    Starved,
    /// A table was refused.
    #[error("no table")]
    Table,
}

/// One step's world.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) stdin: Vec<u8>,
    pub(super) stdin_at: usize,
    pub(super) stdout: Vec<u8>,
    stdout_max: u64,
    pub(super) log: Log,
    log_max: u64,
    pub(super) files: Files,
    pub(super) open: BTreeMap<u32, Open>,
    random_block: u64,
    random_rest: Vec<u8>,
    /// Bytes moved since the last [`World::take_work`].
    work: u64,
    /// Set when the guest must go no further.
    pub stop: Option<Stop>,
}

/// What a world holds when its guest has ended.
#[derive(Debug)]
pub(crate) struct Remains {
    pub stdout: Vec<u8>,
    pub log: Log,
    pub artifacts: Vec<Artifact>,
    /// Whether `out/` was to hold more than it may.
    pub overflowed: bool,
}

impl World {
    pub fn new(stdin: Vec<u8>, given: Vec<(String, Vec<u8>)>, limits: &Limits) -> Self {
        let open = BTreeMap::from([
            (0, Open::Stdin),
            (1, Open::Stdout),
            (2, Open::Stderr),
            (3, Open::Dir { dir: Dir::Root, preopened: true }),
        ]);
        World {
            stdin,
            stdin_at: 0,
            stdout: Vec::new(),
            stdout_max: limits.output_bytes,
            log: Log::default(),
            log_max: limits.log_bytes,
            files: Files::new(given, limits.out_bytes, limits.out_files),
            open,
            random_block: 0,
            random_rest: Vec::new(),
            work: 0,
            stop: None,
        }
    }

    /// Takes what is left. The guest must have ended: the world has nothing after it.
    pub fn take_remains(&mut self) -> Remains {
        let artifacts =
            self.files.take_left().into_iter().map(|(name, bytes)| Artifact { name, bytes }).collect();
        Remains {
            stdout: std::mem::take(&mut self.stdout),
            log: std::mem::take(&mut self.log),
            artifacts,
            overflowed: self.files.overflowed,
        }
    }

    /// How many bytes the last calls moved; the guest pays for them.
    pub fn take_work(&mut self) -> u64 {
        std::mem::take(&mut self.work)
    }

    pub(super) fn worked(&mut self, bytes: usize) {
        self.work = self.work.saturating_add(bytes as u64);
    }

    pub(super) fn find(&self, fd: u32) -> Result<Open, Errno> {
        self.open.get(&fd).copied().ok_or(Errno::Badf)
    }

    pub(super) fn dir(&self, fd: u32) -> Result<Dir, Errno> {
        match self.find(fd)? {
            Open::Dir { dir, .. } => Ok(dir),
            _ => Err(Errno::Notdir),
        }
    }

    /// The lowest free descriptor.
    pub(super) fn add(&mut self, open: Open) -> Result<u32, Errno> {
        if self.open.len() >= DESCRIPTORS_MAX {
            return Err(Errno::Mfile);
        }
        let free = (0..).find(|fd| !self.open.contains_key(fd)).ok_or(Errno::Mfile)?;
        if let Open::File { file, .. } = open {
            self.files.opened(file);
        }
        self.open.insert(free, open);
        Ok(free)
    }

    pub(super) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        match self.open.remove(&fd).ok_or(Errno::Badf)? {
            Open::File { file, .. } => self.files.closed(file),
            Open::Stdin | Open::Stdout | Open::Stderr | Open::Dir { .. } => {}
        }
        Ok(())
    }

    pub(super) fn put_out(&mut self, bytes: &[u8]) {
        if (self.stdout.len() + bytes.len()) as u64 > self.stdout_max {
            self.stop = Some(Stop::OutputTooLarge);
        } else {
            self.stdout.extend_from_slice(bytes);
        }
    }

    pub(super) fn put_log(&mut self, bytes: &[u8]) {
        let room = self.log_max.saturating_sub(self.log.bytes.len() as u64);
        let kept = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.log.bytes.extend_from_slice(&bytes[..kept]);
        self.log.dropped += (bytes.len() - kept) as u64;
    }

    /// The next bytes of the fixed stream.
    pub(super) fn random(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.random_rest.pop().unwrap_or_else(|| {
                let mut hash = Sha256::new();
                hash.update(b"artel-runner random 1");
                hash.update(self.random_block.to_le_bytes());
                self.random_block += 1;
                self.random_rest.extend(hash.finalize().iter().rev());
                self.random_rest.pop().unwrap_or(0)
            });
        }
    }
}
