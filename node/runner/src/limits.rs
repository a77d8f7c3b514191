//! What a guest and its compilation may use: each limit with its unit, its reason and what happens at it.
//!
//! A limit that depends on the machine or on the operator ends a step as inconclusive, never as the guest's fault, so that
//! two honest nodes with different limits never contradict each other. Limits of the contract itself are conclusive.

use crate::wire::{Nonsense, Reader, Writer};
use artel_protocol::limits::{INPUT_BYTES_MAX, OUTPUT_BYTES_MAX, STEP_ARTIFACTS_MAX};

/// How deep the guest's own stack may be, in bytes (512 KiB): half of what the least main thread stack leaves. A deeper
/// recursion is a resource trap. Fixed, since another value moves the trap.
pub const STACK_BYTES_MAX: u64 = 512 << 10;

/// How many instances, memories and tables a step may have: a command is one module with one memory and, from C, one table.
pub const INSTANCES_MAX: usize = 1;
/// See [`INSTANCES_MAX`]. A module with more memories is refused, for multi-memory is off.
pub const MEMORIES_MAX: usize = 1;
/// See [`INSTANCES_MAX`]. A module with more tables is refused: its elements are bounded for each table.
pub const TABLES_MAX: usize = 4;

/// How many descriptors a guest may have open. One more gets `mfile`.
pub const DESCRIPTORS_MAX: usize = 64;

/// The longest path a guest may name, in bytes, as on Linux. A longer one gets `nametoolong`.
pub const PATH_BYTES_MAX: u32 = 4096;

/// The longest name of a file, in bytes, as on Linux. A longer one gets `nametoolong`.
pub const NAME_BYTES_MAX: usize = 255;

/// The most buffers in one read or write, as on Linux. More gets `inval`: the list itself is the guest's memory.
pub const BUFFERS_MAX: u32 = 1024;

/// The most bytes that one call moves (1 MiB). A longer read or write is short, as it may be; so no single call outlasts the
/// deadline by much.
pub const CALL_BYTES_MAX: u32 = 1 << 20;

/// The most bytes of one request for randomness (64 KiB). More gets `inval`; C programs ask for at most 256.
pub const RANDOM_BYTES_MAX: u32 = 64 << 10;

/// The most bytes of standard input: the task's input, and as much again for what its predecessors hand on, and the frame
/// around them. A larger one is refused before anything starts.
pub const STDIN_BYTES_MAX: usize = 16 * INPUT_BYTES_MAX;

/// What a step may use. The defaults suit a machine with two cores that runs one or two steps at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Fuel, about one unit for each instruction and for each byte that a host call moves (default 20 G: some 20 to 40 s).
    /// At 0 the step is inconclusive.
    pub fuel: u64,
    /// Milliseconds of CPU that the guest may take (default 60 s, more than its fuel should last). Then it is interrupted, and killed
    /// should it not stop; the step is inconclusive. It is CPU, so that a machine under load comes to the same end, only later.
    pub deadline_ms: u64,
    /// Milliseconds that it may take by the clock (default 100 s: less than the two minutes that whoever asks for a step to be run
    /// again waits). As above; it is looked at each second.
    pub wall_ms: u64,
    /// Bytes of linear memory (default 256 MiB). A guest that would grow past it is stopped; inconclusive.
    pub memory_bytes: u64,
    /// Elements of each table (default 100,000; 8 bytes each). A guest that would grow past it is stopped; inconclusive.
    pub table_elements: u64,
    /// Bytes of standard output (the protocol's `OUTPUT_BYTES_MAX`). More is the guest's failure.
    pub output_bytes: u64,
    /// Bytes of standard error that are kept (default 256 KiB). More is dropped and counted, and the step goes on.
    pub log_bytes: u64,
    /// Files in `out/` (the protocol's `STEP_ARTIFACTS_MAX`, less one for the log). One more gets `nospc`, and the step fails.
    pub out_files: u64,
    /// Bytes in `out/` altogether (default 64 MiB: they are in memory, and then cross a pipe). More gets `nospc`, and the step
    /// fails.
    pub out_bytes: u64,
    /// Bytes of the artifacts that are handed to the guest altogether (default 64 MiB, for the same reason). A step with more
    /// does not run.
    pub artifact_bytes: u64,
    /// Bytes of a module (default 8 MiB). A larger one is refused unread.
    pub module_bytes: u64,
    /// Bytes of compiled code (default 64 MiB). A module that becomes larger is refused.
    pub code_bytes: u64,
    /// Seconds of CPU that compiling may take (default 20). Then the compiler is killed and the module refused.
    pub compile_cpu_s: u64,
    /// Wall-clock milliseconds that compiling may take (default 60 s, for a machine under load). As above.
    pub compile_ms: u64,
    /// Bytes of memory that compiling may take beyond the module and its code (default 512 MiB). As above.
    pub compile_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            fuel: 20_000_000_000,
            deadline_ms: 60_000,
            wall_ms: 100_000,
            memory_bytes: 256 << 20,
            table_elements: 100_000,
            output_bytes: OUTPUT_BYTES_MAX as u64,
            log_bytes: 256 << 10,
            out_files: STEP_ARTIFACTS_MAX as u64 - 1,
            out_bytes: 64 << 20,
            artifact_bytes: 64 << 20,
            module_bytes: 8 << 20,
            code_bytes: 64 << 20,
            compile_cpu_s: 20,
            compile_ms: 60_000,
            compile_memory_bytes: 512 << 20,
        }
    }
}

impl Limits {
    /// Each limit with its name, in the order of the struct: one list for the wire and for the profile.
    pub(crate) fn named(&self) -> [(&'static str, u64); 15] {
        let Limits {
            fuel,
            deadline_ms,
            wall_ms,
            memory_bytes,
            table_elements,
            output_bytes,
            log_bytes,
            out_files,
            out_bytes,
            artifact_bytes,
            module_bytes,
            code_bytes,
            compile_cpu_s,
            compile_ms,
            compile_memory_bytes,
        } = *self;
        [
            ("fuel", fuel),
            ("deadline_ms", deadline_ms),
            ("wall_ms", wall_ms),
            ("memory_bytes", memory_bytes),
            ("table_elements", table_elements),
            ("output_bytes", output_bytes),
            ("log_bytes", log_bytes),
            ("out_files", out_files),
            ("out_bytes", out_bytes),
            ("artifact_bytes", artifact_bytes),
            ("module_bytes", module_bytes),
            ("code_bytes", code_bytes),
            ("compile_cpu_s", compile_cpu_s),
            ("compile_ms", compile_ms),
            ("compile_memory_bytes", compile_memory_bytes),
        ]
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for (_, value) in self.named() {
            out.u64(value);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Nonsense> {
        Ok(Limits {
            fuel: from.u64()?,
            deadline_ms: from.u64()?,
            wall_ms: from.u64()?,
            memory_bytes: from.u64()?,
            table_elements: from.u64()?,
            output_bytes: from.u64()?,
            log_bytes: from.u64()?,
            out_files: from.u64()?,
            out_bytes: from.u64()?,
            artifact_bytes: from.u64()?,
            module_bytes: from.u64()?,
            code_bytes: from.u64()?,
            compile_cpu_s: from.u64()?,
            compile_ms: from.u64()?,
            compile_memory_bytes: from.u64()?,
        })
    }

    /// The most bytes of a report's frame: output, log, and the names of files. The files themselves follow it.
    pub(crate) fn report_bytes_max(&self) -> u64 {
        let names = self.out_files.saturating_mul(NAME_BYTES_MAX as u64 + 16);
        self.output_bytes.saturating_add(self.log_bytes).saturating_add(names).saturating_add(4096)
    }

    /// The most bytes that a step's process may hold beyond what it holds when it is ready: the guest's memory and table, its code
    /// twice (as it came, and loaded), its input and the files it is given, three times the files it leaves (one that grows is
    /// copied into twice its size), the report twice, and 64 MiB for the engine.
    pub(crate) fn step_data_bytes(&self) -> u64 {
        self.memory_bytes
            .saturating_add(self.table_elements.saturating_mul(8 * TABLES_MAX as u64))
            .saturating_add(self.code_bytes.saturating_mul(2))
            .saturating_add(STDIN_BYTES_MAX as u64)
            .saturating_add(self.artifact_bytes)
            .saturating_add(self.out_bytes.saturating_mul(3))
            .saturating_add(self.report_bytes_max().saturating_mul(2))
            .saturating_add(64 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HEAD_BYTES;

    #[test]
    fn limits_read_as_they_were_written() {
        let limits = Limits { fuel: 1, compile_memory_bytes: 2, ..Limits::default() };
        let mut out = Writer::default();
        limits.write(&mut out);
        let bytes = &out.into_frame()[HEAD_BYTES..];
        let mut reader = Reader::new(bytes);
        assert_eq!(Limits::read(&mut reader).expect("as written"), limits);
        reader.end().expect("all of it");
        assert!(Limits::read(&mut Reader::new(&bytes[1..])).is_err());
    }
}
