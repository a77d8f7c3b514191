//! Calls that move bytes between a guest's buffers and a stream or a file.

use super::calls::Result;
use super::errno::Errno;
use super::files::File;
use super::memory::Memory;
use super::world::{Open, World};
use crate::limits::{BUFFERS_MAX, CALL_BYTES_MAX};

impl World {
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
