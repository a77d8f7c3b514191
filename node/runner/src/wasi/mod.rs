//! WASI preview 1 over a file system in memory. There is nothing of the machine behind it: no file, no socket, no clock, no
//! randomness, no environment. What a guest sees depends on its step alone.
//!
//! - arguments: one, `step`; environment: empty;
//! - descriptors: 0 standard input, 1 standard output, 2 standard error, 3 the directory `/`, which holds `artifacts/` (the given
//!   files, read only) and `out/` (writable). Both are flat: they have files and no directories;
//! - the time is always 2000-01-01T00:00:00Z, on every clock; sleeping ends at once;
//! - randomness is a fixed stream: SHA-256 over `artel-runner random 1` and a counter (`u64`, little endian, from 0), block after
//!   block. It is the same for every step and no secret can rest on it.

mod calls;
mod descriptors;
mod errno;
mod files;
mod memory;
mod paths;
mod transfer;
mod world;

pub(crate) use calls::{NAMES, Result};
pub(crate) use memory::Memory;
pub(crate) use world::{Stop, World};

#[cfg(test)]
mod calls_test;
