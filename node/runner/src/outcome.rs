//! What became of a step: a closed list. Only a conclusive end says anything about the work or the worker.

use crate::walls::Wall;
use std::fmt;

/// A file that the guest left in `out/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name in `out/`, without a slash.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What the guest wrote on standard error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The first bytes, up to the cap. Not necessarily UTF-8.
    pub bytes: Vec<u8>,
    /// How many bytes after these were dropped.
    pub dropped: u64,
}

impl Log {
    /// The log as text, with a last line that says what was dropped.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.dropped > 0 {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("[{} more bytes were dropped]\n", self.dropped));
        }
        text
    }
}

/// What a step used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Fuel as the engine counted it. Some traps leave it too low, so it is never the only thing that is billed.
    pub fuel: u64,
    /// CPU time of the guest's thread once its module is loaded, in microseconds.
    pub cpu_us: u64,
    /// From the moment that the step has its turn and its compiled code to just before the guest's first instruction, in
    /// microseconds.
    pub start_us: u64,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work.
    Done {
        /// One JSON text, without white space around it.
        output: String,
        /// The files in `out/`, by name.
        artifacts: Vec<Artifact>,
        /// Its log.
        log: Log,
        /// What it used.
        spent: Spent,
    },
    /// The guest's own fault, and every node would say so.
    Failed {
        /// What it did.
        fault: Fault,
        /// Its log.
        log: Log,
        /// What it used.
        spent: Spent,
    },
    /// A limit of this machine or of this operator ended it; another node may see another end.
    Inconclusive {
        /// Which limit.
        resource: Resource,
        /// Its log, as far as there is one.
        log: Log,
        /// What it used, as far as that is known.
        spent: Spent,
    },
    /// It did not run at all.
    NotRun(Refusal),
}

/// What a guest did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ended with another exit status than 0.
    #[error("the program ended with exit status {0}")]
    Exit(u32),
    /// It trapped.
    #[error("the program trapped: {0}")]
    Trap(TrapKind),
    /// Standard output is not one JSON text, or one that is nested too deep or has a key twice in one object.
    #[error("the program's output is not one JSON text")]
    OutputNotJson,
    /// Standard output is longer than an output may be.
    #[error("the program's output is larger than an output may be")]
    OutputTooLarge,
    /// `out/` has more bytes or files than it may.
    #[error("the program left more in out/ than it may")]
    OutTooLarge,
}

/// Why a guest trapped, of its own fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TrapKind {
    /// `unreachable`: C's `abort` and Rust's panics end so.
    Unreachable = 1,
    /// Memory was read or written out of its bounds.
    MemoryOutOfBounds = 2,
    /// A table was read or written out of its bounds.
    TableOutOfBounds = 3,
    /// A null function was called.
    IndirectCallToNull = 4,
    /// A function was called with another type.
    BadSignature = 5,
    /// An integer did not fit.
    IntegerOverflow = 6,
    /// A division by zero.
    IntegerDivisionByZero = 7,
    /// A float without an integer.
    BadConversionToInteger = 8,
    /// Any other trap of the language.
    Other = 9,
}

impl TrapKind {
    pub(crate) const ALL: [TrapKind; 9] = [
        TrapKind::Unreachable,
        TrapKind::MemoryOutOfBounds,
        TrapKind::TableOutOfBounds,
        TrapKind::IndirectCallToNull,
        TrapKind::BadSignature,
        TrapKind::IntegerOverflow,
        TrapKind::IntegerDivisionByZero,
        TrapKind::BadConversionToInteger,
        TrapKind::Other,
    ];
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrapKind::Unreachable => "unreachable code was reached",
            TrapKind::MemoryOutOfBounds => "memory access out of bounds",
            TrapKind::TableOutOfBounds => "table access out of bounds",
            TrapKind::IndirectCallToNull => "call of a null function",
            TrapKind::BadSignature => "call of a function of another type",
            TrapKind::IntegerOverflow => "integer overflow",
            TrapKind::IntegerDivisionByZero => "division by zero",
            TrapKind::BadConversionToInteger => "a float that is no integer",
            TrapKind::Other => "another trap",
        })
    }
}

/// A limit that ended a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Resource {
    /// All fuel is burnt.
    #[error("the fuel is spent")]
    Fuel,
    /// The deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// More memory than the limit.
    #[error("memory was refused")]
    Memory,
    /// Less memory, within the limits, than the step needed: this machine had no more.
    #[error("this machine did not give the memory")]
    Starved,
    /// A larger table than the limit.
    #[error("a larger table was refused")]
    Table,
    /// The stack is full: how deep a recursion may go depends on the machine's code.
    #[error("the stack is full")]
    Stack,
    /// Its process died. That is no proof of an attack: an allocator that gives up dies the same way.
    #[error("the step's process died ({0})")]
    Died(Death),
    /// Its process answered something that is no answer.
    #[error("the step's process answered nonsense")]
    Nonsense,
}

/// How a child's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// By a signal, such as 31 (`SIGSYS`, a forbidden call) or 9 (`SIGKILL`, the CPU limit).
    Signal(i32),
    /// With an exit status.
    Exit(i32),
    /// Nobody knows.
    Unknown,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::Signal(31) => f.write_str("signal 31, SIGSYS: a forbidden system call or no memory"),
            Death::Signal(9) => f.write_str("signal 9, SIGKILL"),
            Death::Signal(number) => write!(f, "signal {number}"),
            Death::Exit(status) => write!(f, "exit status {status}"),
            Death::Unknown => f.write_str("unknown"),
        }
    }
}

/// Why a step did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy does not allow it here.
    #[error("the policy of this node does not allow it")]
    Policy,
    /// Not a module that may run: broken, or asks for what there is not.
    #[error("the module was refused: {0}")]
    Module(String),
    /// The module has more bytes than it may.
    #[error("the module has {bytes} bytes, at most {max} are taken")]
    ModuleTooLarge {
        /// How many it has.
        bytes: u64,
        /// How many it may have.
        max: u64,
    },
    /// Compiling took more time or memory than it may, or the compiler died.
    #[error("the module could not be compiled within its limits ({0})")]
    Compile(String),
    /// The input, the artifacts or their names are not such as a step may have.
    #[error("the step's input was refused: {0}")]
    Input(&'static str),
    /// A wall that is asked for is missing on this kernel.
    #[error("{0}")]
    Wall(#[from] WallMissing),
    /// As many steps wait as may.
    #[error("too many steps are waiting")]
    Busy,
    /// No process could be started for it.
    #[error("no process for the step: {0}")]
    Process(String),
}

/// A wall that the policy asks for is missing on this kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {wall} wall is missing here: {why}")]
pub struct WallMissing {
    /// Which one.
    pub wall: Wall,
    /// What the kernel said.
    pub why: String,
}
