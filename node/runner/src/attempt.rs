//! The forbidden things that the self-test tries, and which walls stop each (measured: Experiment 3 in ARCHITECTURE.md).

use crate::outcome::Death;
use crate::walls::{Wall, Walls};
use std::fmt;

/// Something that no guest may do, tried natively inside a child with its walls up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Attempt {
    /// Open a file that every user may read.
    OpenFile = 0,
    /// Make a file where every user may.
    CreateFile = 1,
    /// Learn whether a file exists.
    StatFile = 2,
    /// Start another program.
    Execute = 3,
    /// Make a socket.
    Socket = 4,
    /// Connect over TCP.
    Connect = 5,
    /// Send a datagram.
    SendDatagram = 6,
    /// Make another process.
    Fork = 7,
    /// Signal the node.
    SignalParent = 8,
    /// Read the node's memory.
    ReadParent = 9,
    /// Map memory that is writable and executable.
    WritableCode = 10,
    /// Become root in a user namespace of its own.
    NewUserNamespace = 11,
    /// Get at the kernel by its other door.
    IoUring = 12,
    /// Open a thousand descriptors.
    ManyFiles = 13,
    /// Write to a descriptor that is not the answer's.
    WriteElsewhere = 14,
    /// Map 16 GiB of address space.
    MapMuch = 15,
    /// Map 15 GiB of memory to write to.
    TakeMemory = 16,
    /// Use the CPU for as long as the node is there.
    Spin = 17,
}

impl Attempt {
    /// All of them.
    pub const ALL: [Attempt; 18] = [
        Attempt::OpenFile,
        Attempt::CreateFile,
        Attempt::StatFile,
        Attempt::Execute,
        Attempt::Socket,
        Attempt::Connect,
        Attempt::SendDatagram,
        Attempt::Fork,
        Attempt::SignalParent,
        Attempt::ReadParent,
        Attempt::WritableCode,
        Attempt::NewUserNamespace,
        Attempt::IoUring,
        Attempt::ManyFiles,
        Attempt::WriteElsewhere,
        Attempt::MapMuch,
        Attempt::TakeMemory,
        Attempt::Spin,
    ];

    /// Those that take no time: all but [`Attempt::Spin`], which costs a second of CPU.
    pub fn quick() -> impl Iterator<Item = Attempt> {
        Attempt::ALL.into_iter().filter(|attempt| *attempt != Attempt::Spin)
    }

    /// The walls each of which stops it by itself, on every kernel that has the wall.
    pub fn stopped_by(&self) -> Walls {
        let of = |walls: &[Wall]| walls.iter().fold(Walls::NONE, |set, wall| set.with(*wall));
        match self {
            Attempt::OpenFile | Attempt::CreateFile | Attempt::Execute => {
                of(&[Wall::Landlock, Wall::Seccomp])
            }
            Attempt::StatFile
            | Attempt::Socket
            | Attempt::Connect
            | Attempt::SendDatagram
            | Attempt::WritableCode
            | Attempt::NewUserNamespace
            | Attempt::IoUring
            | Attempt::WriteElsewhere
            | Attempt::SignalParent
            | Attempt::ReadParent
            | Attempt::Fork => of(&[Wall::Seccomp]),
            Attempt::ManyFiles => of(&[Wall::Rlimits, Wall::Seccomp]),
            Attempt::MapMuch | Attempt::TakeMemory | Attempt::Spin => of(&[Wall::Rlimits]),
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Attempt::ALL.into_iter().find(|attempt| *attempt as u8 == number)
    }

    /// What it tries, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Attempt::OpenFile => "open a file",
            Attempt::CreateFile => "make a file",
            Attempt::StatFile => "look at a file",
            Attempt::Execute => "start a program",
            Attempt::Socket => "make a socket",
            Attempt::Connect => "connect over TCP",
            Attempt::SendDatagram => "send a datagram",
            Attempt::Fork => "make a process",
            Attempt::SignalParent => "signal the node",
            Attempt::ReadParent => "read the node's memory",
            Attempt::WritableCode => "map writable code",
            Attempt::NewUserNamespace => "make a user namespace",
            Attempt::IoUring => "use io_uring",
            Attempt::ManyFiles => "open many descriptors",
            Attempt::WriteElsewhere => "write elsewhere",
            Attempt::MapMuch => "map 16 GiB",
            Attempt::TakeMemory => "take 15 GiB of memory",
            Attempt::Spin => "spin",
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// The kernel killed the process.
    Killed(Death),
    /// The kernel refused, with this error number.
    Refused(i32),
    /// Nothing stopped it.
    Passed,
    /// It did not end in time.
    Hung,
}

impl Tried {
    /// Whether something stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Tried::Killed(_) | Tried::Refused(_))
    }
}

/// What the self-test saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    /// The walls that stood while it ran.
    pub walls: Walls,
    /// Each attempt and how it went.
    pub tried: Vec<(Attempt, Tried)>,
}

impl SelfTest {
    /// What got through although a wall that stood should have stopped it.
    pub fn breaches(&self) -> impl Iterator<Item = Attempt> + '_ {
        let due = |attempt: Attempt| !attempt.stopped_by().and(self.walls).is_empty();
        self.tried
            .iter()
            .filter(move |(attempt, tried)| due(*attempt) && !tried.is_stopped())
            .map(|(attempt, _)| *attempt)
    }
}
