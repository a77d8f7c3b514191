//! The messages between a node and its child, in order: boot, ready, orders, answer. Then the child ends.
//!
//! A running child may be ordered to load a module long before it is ordered to run it. Whoever has loaded one runs no other:
//! what a module's compiler made of it must not come near another's step.

use crate::attempt::Attempt;
use crate::guest::{End, Report};
use crate::limits::{Limits, NAME_BYTES_MAX};
use crate::outcome::{Artifact, Fault, Log, Resource, Spent, TrapKind, WallMissing};
use crate::step::{Given, is_file_name};
use crate::walls::{Wall, Walls};
use crate::wire::{Nonsense, Reader, Writer};
use artel_protocol::id::Digest;
use artel_protocol::limits::STEP_ARTIFACTS_MAX;
use std::sync::Arc;

/// The most bytes of a boot message: limits, and the code of the module that primes the child.
pub(crate) const BOOT_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of the answer to it.
pub(crate) const READY_BYTES_MAX: u64 = 4096;
/// The most bytes of an order's frame: lengths, and the names of the files that follow.
pub(crate) const ORDER_BYTES_MAX: u64 = (STEP_ARTIFACTS_MAX * (NAME_BYTES_MAX + 16)) as u64 + 64;
/// The most bytes of a compiler's answer, beside the code that follows it.
pub(crate) const COMPILED_BYTES_MAX: u64 = 4096;
/// What a child says when it has loaded a module, or seen that it cannot: it answers that when it is to run it.
pub(crate) const LOADED: u64 = 0;
/// The longest reason that is passed on, in bytes. It is cut: the text may come from a module.
const REASON_BYTES_MAX: usize = 1000;

/// What a child is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Compile,
    Run,
    Try(Attempt),
}

/// The first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    pub mode: Mode,
    /// Walls to put up: all of them, but in tests.
    pub wanted: Walls,
    /// Those without which the child does nothing.
    pub required: Walls,
    /// Walls that the kernel is to pretend not to have: none, but in tests.
    pub blind: Walls,
    pub parent: u32,
    /// Seconds of CPU for the process.
    pub cpu_s: u64,
    pub limits: Limits,
    /// Code that is run once before the walls are closed, so that the first guest finds everything warm.
    pub prime: Arc<[u8]>,
}

impl Boot {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self.mode {
            Mode::Compile => out.u8(0),
            Mode::Run => out.u8(1),
            Mode::Try(attempt) => {
                out.u8(2);
                out.u8(attempt as u8);
            }
        }
        for walls in [self.wanted, self.required, self.blind] {
            out.u8(walls.bits());
        }
        out.u64(self.parent.into());
        out.u64(self.cpu_s);
        self.limits.write(&mut out);
        out.bytes(&self.prime);
        out.into_frame()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        let mut from = Reader::new(bytes);
        let mode = match from.u8()? {
            0 => Mode::Compile,
            1 => Mode::Run,
            2 => Mode::Try(Attempt::from_number(from.u8()?).ok_or(Nonsense)?),
            _ => return Err(Nonsense),
        };
        let boot = Boot {
            mode,
            wanted: Walls::from_bits(from.u8()?),
            required: Walls::from_bits(from.u8()?),
            blind: Walls::from_bits(from.u8()?),
            parent: u32::try_from(from.u64()?).map_err(|_| Nonsense)?,
            cpu_s: from.u64()?,
            limits: Limits::read(&mut from)?,
            prime: from.bytes()?.into(),
        };
        from.end()?;
        Ok(boot)
    }
}

/// The child's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ready {
    /// These walls stand, and a compiler's engine has this profile. Another has none: it has no compiler to ask for the settings.
    Up { walls: Walls, profile: Digest },
    /// A wall that is required is not there.
    Missing(WallMissing),
    /// The engine could not be made.
    Broken(String),
}

impl Ready {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Ready::Up { walls, profile } => {
                out.u8(0);
                out.u8(walls.bits());
                out.bytes(&profile.0);
            }
            Ready::Missing(WallMissing { wall, why }) => {
                out.u8(1);
                out.u8(*wall as u8);
                out.text(cut(why));
            }
            Ready::Broken(why) => {
                out.u8(2);
                out.text(cut(why));
            }
        }
        out.into_frame()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        let mut from = Reader::new(bytes);
        let ready = match from.u8()? {
            0 => {
                let walls = Walls::from_bits(from.u8()?);
                let profile = Digest(from.bytes()?.try_into().map_err(|_| Nonsense)?);
                Ready::Up { walls, profile }
            }
            1 => {
                let number = from.u8()?;
                let wall = Wall::ALL.into_iter().find(|wall| *wall as u8 == number).ok_or(Nonsense)?;
                Ready::Missing(WallMissing { wall, why: from.text()?.to_owned() })
            }
            2 => Ready::Broken(from.text()?.to_owned()),
            _ => return Err(Nonsense),
        };
        from.end()?;
        Ok(ready)
    }
}

/// What a child is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Take a module, whose bytes follow: a compiler compiles it, a runner loads what a compiler made of it.
    Take {
        /// How many they are.
        bytes: u64,
    },
    /// Run what was loaded. Standard input follows, then each file.
    Run {
        /// How many bytes of standard input.
        stdin_bytes: u64,
        /// Each file's name and how many bytes it has.
        files: Vec<(String, u64)>,
        deadline_ms: u64,
    },
}

impl Order {
    /// To run a step.
    pub fn run(stdin: &[u8], artifacts: &[Given], deadline_ms: u64) -> Self {
        let files = artifacts.iter().map(|given| (given.name.clone(), given.bytes.len() as u64)).collect();
        Order::Run { stdin_bytes: stdin.len() as u64, files, deadline_ms }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Order::Take { bytes } => {
                out.u8(0);
                out.u64(*bytes);
            }
            Order::Run { stdin_bytes, files, deadline_ms } => {
                out.u8(1);
                out.u64(*stdin_bytes);
                out.u64(files.len() as u64);
                for (name, bytes) in files {
                    out.text(name);
                    out.u64(*bytes);
                }
                out.u64(*deadline_ms);
            }
        }
        out.into_frame()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        let mut from = Reader::new(bytes);
        let order = match from.u8()? {
            0 => Order::Take { bytes: from.u64()? },
            1 => {
                let stdin_bytes = from.u64()?;
                let mut files = Vec::new();
                for _ in 0..from.u64()? {
                    files.push((from.text()?.to_owned(), from.u64()?));
                }
                Order::Run { stdin_bytes, files, deadline_ms: from.u64()? }
            }
            _ => return Err(Nonsense),
        };
        from.end()?;
        Ok(order)
    }
}

/// A number alone: what an attempt came to, and that a module is loaded.
pub(crate) fn encode_number(number: u64) -> Vec<u8> {
    let mut out = Writer::default();
    out.u64(number);
    out.into_frame()
}

pub(crate) fn decode_number(bytes: &[u8]) -> Result<u64, Nonsense> {
    let mut from = Reader::new(bytes);
    let number = from.u64()?;
    from.end().map(|()| number)
}

/// A compiling child's answer: how many bytes of code follow, or why there are none.
pub(crate) fn encode_compiled(compiled: Result<u64, &str>) -> Vec<u8> {
    let mut out = Writer::default();
    match compiled {
        Ok(bytes) => {
            out.u8(0);
            out.u64(bytes);
        }
        Err(why) => {
            out.u8(1);
            out.text(cut(why));
        }
    }
    out.into_frame()
}

pub(crate) fn decode_compiled(bytes: &[u8]) -> Result<Result<u64, String>, Nonsense> {
    let mut from = Reader::new(bytes);
    let compiled = match from.u8()? {
        0 => Ok(from.u64()?),
        1 => Err(from.text()?.to_owned()),
        _ => return Err(Nonsense),
    };
    from.end()?;
    Ok(compiled)
}

impl Report {
    /// The report's frame. The bytes of its artifacts follow it, each after the other.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.began_ns);
        out.u64(self.spent.fuel);
        out.u64(self.spent.cpu_us);
        out.bytes(&self.log.bytes);
        out.u64(self.log.dropped);
        match &self.end {
            End::Done { output, artifacts } => {
                out.u8(0);
                out.text(output);
                out.u64(artifacts.len() as u64);
                for artifact in artifacts {
                    out.text(&artifact.name);
                    out.u64(artifact.bytes.len() as u64);
                }
            }
            End::Failed(fault) => {
                let (number, detail) = match fault {
                    Fault::Exit(status) => (1, u64::from(*status)),
                    Fault::Trap(kind) => (2, *kind as u64),
                    Fault::OutputNotJson => (3, 0),
                    Fault::OutputTooLarge => (4, 0),
                    Fault::OutTooLarge => (5, 0),
                };
                out.u8(number);
                out.u64(detail);
            }
            End::Inconclusive(resource) => out.u8(match resource {
                Resource::Fuel => 11,
                Resource::Deadline => 12,
                Resource::Memory => 13,
                Resource::Table => 14,
                Resource::Stack => 15,
                Resource::Starved => 16,
                // Only a parent says these two.
                Resource::Died(_) | Resource::Nonsense => 13,
            }),
            End::Refused(why) => {
                out.u8(20);
                out.text(cut(why));
            }
            End::NotLoaded(why) => {
                out.u8(21);
                out.text(cut(why));
            }
        }
        out.into_frame()
    }

    /// Reads what a child says, and believes no more of it than a child may say under these limits. The artifacts are empty still;
    /// how many bytes of each follow comes with them.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<(Self, Vec<u64>), Nonsense> {
        let mut from = Reader::new(bytes);
        let began_ns = from.u64()?;
        let (fuel, cpu_us) = (from.u64()?, from.u64()?);
        let log = Log { bytes: from.bytes()?.to_vec(), dropped: from.u64()? };
        if log.bytes.len() as u64 > limits.log_bytes {
            return Err(Nonsense);
        }
        let mut follow = Vec::new();
        let end = match from.u8()? {
            0 => done(&mut from, limits, &mut follow)?,
            1 => End::Failed(Fault::Exit(u32::try_from(from.u64()?).map_err(|_| Nonsense)?)),
            2 => {
                let number = from.u64()?;
                let kind = TrapKind::ALL.into_iter().find(|kind| *kind as u64 == number);
                End::Failed(Fault::Trap(kind.ok_or(Nonsense)?))
            }
            number @ 3..=5 => {
                from.u64()?;
                End::Failed(match number {
                    3 => Fault::OutputNotJson,
                    4 => Fault::OutputTooLarge,
                    _ => Fault::OutTooLarge,
                })
            }
            11 => End::Inconclusive(Resource::Fuel),
            12 => End::Inconclusive(Resource::Deadline),
            13 => End::Inconclusive(Resource::Memory),
            14 => End::Inconclusive(Resource::Table),
            15 => End::Inconclusive(Resource::Stack),
            16 => End::Inconclusive(Resource::Starved),
            20 => End::Refused(cut(from.text()?).to_owned()),
            21 => End::NotLoaded(cut(from.text()?).to_owned()),
            _ => return Err(Nonsense),
        };
        from.end()?;
        Ok((Report { end, log, spent: Spent { fuel, cpu_us, start_us: 0 }, began_ns }, follow))
    }
}

fn done(from: &mut Reader<'_>, limits: &Limits, follow: &mut Vec<u64>) -> Result<End, Nonsense> {
    let output = from.text()?;
    // The child has seen that it is JSON. That was the child.
    if output.len() as u64 > limits.output_bytes || crate::step::one_json(output.as_bytes()) != Some(output) {
        return Err(Nonsense);
    }
    let count = from.u64()?;
    if count > limits.out_files {
        return Err(Nonsense);
    }
    let mut artifacts: Vec<Artifact> = Vec::new();
    let mut held = 0_u64;
    for _ in 0..count {
        let artifact = Artifact { name: from.text()?.to_owned(), bytes: Vec::new() };
        let bytes = from.u64()?;
        held = held.saturating_add(bytes);
        let ordered = artifacts.last().is_none_or(|last| last.name < artifact.name);
        if !ordered || !is_file_name(&artifact.name) || held > limits.out_bytes {
            return Err(Nonsense);
        }
        artifacts.push(artifact);
        follow.push(bytes);
    }
    Ok(End::Done { output: output.to_owned(), artifacts })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HEAD_BYTES;
    use proptest::prelude::*;

    /// A frame without its head.
    fn message(frame: Vec<u8>) -> Vec<u8> {
        let (head, message) = frame.split_at(HEAD_BYTES);
        assert_eq!(head, (message.len() as u64).to_le_bytes());
        message.to_vec()
    }

    fn report(end: End) -> Report {
        let log = Log { bytes: b"log".to_vec(), dropped: 7 };
        Report { end, log, spent: Spent { fuel: 1, cpu_us: 2, start_us: 0 }, began_ns: 3 }
    }

    #[test]
    fn what_is_said_is_understood() {
        let limits = Limits::default();
        for mode in [Mode::Compile, Mode::Run, Mode::Try(Attempt::Spin)] {
            let boot = Boot {
                mode,
                wanted: Walls::ALL,
                required: Walls::ALL.without(Wall::Landlock),
                blind: Walls::NONE,
                parent: 1,
                cpu_s: 2,
                limits: limits.clone(),
                prime: Arc::from(&b"code"[..]),
            };
            assert_eq!(Boot::decode(&message(boot.encode())), Ok(boot));
        }
        for ready in [
            Ready::Up { walls: Walls::ALL, profile: Digest::of(b"x") },
            Ready::Missing(WallMissing { wall: Wall::Seccomp, why: "no".into() }),
            Ready::Broken("no".into()),
        ] {
            assert_eq!(Ready::decode(&message(ready.encode())), Ok(ready));
        }
        let given = |name: &str, bytes: usize| Given { name: name.into(), bytes: vec![0; bytes].into() };
        let files = vec![given("a", 7), given(&"n".repeat(NAME_BYTES_MAX), 0)];
        for order in [Order::Take { bytes: 5 }, Order::run(b"{}", &files, 9), Order::run(b"", &[], 0)] {
            assert_eq!(Order::decode(&message(order.encode())), Ok(order));
        }
        let many = vec![given(&"n".repeat(NAME_BYTES_MAX), 1); STEP_ARTIFACTS_MAX];
        assert!(message(Order::run(b"{}", &many, 9).encode()).len() as u64 <= ORDER_BYTES_MAX);
        assert_eq!(decode_number(&message(encode_number(LOADED))), Ok(LOADED));
        for compiled in [Ok(7), Err("why")] {
            let said = decode_compiled(&message(encode_compiled(compiled)));
            assert_eq!(said, Ok(compiled.map_err(str::to_owned)));
        }
        let artifact = |name: &str, bytes: usize| Artifact { name: name.into(), bytes: vec![0; bytes] };
        let done =
            report(End::Done { output: "{}".into(), artifacts: vec![artifact("a", 3), artifact("b", 4)] });
        let bare =
            report(End::Done { output: "{}".into(), artifacts: vec![artifact("a", 0), artifact("b", 0)] });
        assert_eq!(Report::decode(&message(done.encode()), &limits), Ok((bare, vec![3, 4])));
        for end in [
            End::Failed(Fault::Exit(3)),
            End::Failed(Fault::Trap(TrapKind::BadSignature)),
            End::Failed(Fault::OutputNotJson),
            End::Failed(Fault::OutputTooLarge),
            End::Failed(Fault::OutTooLarge),
            End::Inconclusive(Resource::Fuel),
            End::Inconclusive(Resource::Deadline),
            End::Inconclusive(Resource::Memory),
            End::Inconclusive(Resource::Table),
            End::Inconclusive(Resource::Starved),
            End::Inconclusive(Resource::Stack),
            End::Refused("why".into()),
            End::NotLoaded("why".into()),
        ] {
            let said = report(end);
            assert_eq!(Report::decode(&message(said.encode()), &limits), Ok((said, vec![])));
        }
        let long = report(End::Refused("é".repeat(10_000)));
        let Ok((Report { end: End::Refused(why), .. }, _)) = Report::decode(&message(long.encode()), &limits)
        else {
            panic!("a refusal")
        };
        assert_eq!(why.len(), 1000);
    }

    #[test]
    fn a_lying_child_is_not_believed() {
        let limits =
            Limits { output_bytes: 10, out_files: 2, out_bytes: 4, log_bytes: 3, ..Limits::default() };
        let artifact = |name: &str, bytes: usize| Artifact { name: name.into(), bytes: vec![0; bytes] };
        let done = |output: &str, artifacts| report(End::Done { output: output.into(), artifacts });
        let fine = done("[1]", vec![artifact("a", 2), artifact("b", 2)]);
        assert!(Report::decode(&message(fine.encode()), &limits).is_ok());
        for lie in [
            done("not json", vec![]),
            done(" 1", vec![]),
            done("12345678901", vec![]),
            done("1", vec![artifact("a", 3), artifact("b", 2)]),
            done("1", vec![artifact("a", 0), artifact("b", 0), artifact("c", 0)]),
            done("1", vec![artifact("b", 0), artifact("a", 0)]),
            done("1", vec![artifact("../a", 0)]),
            Report { log: Log { bytes: vec![0; 4], dropped: 0 }, ..done("1", vec![]) },
        ] {
            assert_eq!(Report::decode(&message(lie.encode()), &limits), Err(Nonsense), "{lie:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_message_or_nonsense(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Boot::decode(&bytes);
            let _ = Ready::decode(&bytes);
            let _ = Order::decode(&bytes);
            let _ = decode_compiled(&bytes);
            let _ = decode_number(&bytes);
            let _ = Report::decode(&bytes, &Limits::default());
        }

        #[test]
        fn a_damaged_report_is_some_report_or_nonsense(at in 0_usize..100, byte in any::<u8>()) {
            let artifacts = vec![Artifact { name: "a".into(), bytes: b"x".to_vec() }];
            let mut bytes = message(report(End::Done { output: "{}".into(), artifacts }).encode());
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Report::decode(&bytes, &Limits::default());
        }
    }
}
