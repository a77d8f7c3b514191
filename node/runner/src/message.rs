//! The messages between a node and its child, in order: boot, ready, request, answer. One of each, then the child ends.

use crate::attempt::Attempt;
use crate::guest::{End, Report};
use crate::limits::Limits;
use crate::outcome::{Artifact, Fault, Log, Resource, Spent, TrapKind, WallMissing};
use crate::step::{Given, is_file_name};
use crate::walls::{Wall, Walls};
use crate::wire::{Nonsense, Reader, Writer};
use artel_protocol::id::Digest;
use std::sync::Arc;

/// The most bytes of a boot message: limits, and the code of the module that primes the child.
pub(crate) const BOOT_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of the answer to it.
pub(crate) const READY_BYTES_MAX: u64 = 4096;
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
        out.into_bytes()
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
    /// These walls stand, and this is the engine.
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
        out.into_bytes()
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

/// What a running child is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub code: Arc<[u8]>,
    pub stdin: Vec<u8>,
    pub artifacts: Vec<Given>,
    pub deadline_ms: u64,
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u64(self.deadline_ms);
        out.bytes(&self.code);
        out.bytes(&self.stdin);
        out.u64(self.artifacts.len() as u64);
        for given in &self.artifacts {
            out.text(&given.name);
            out.bytes(&given.bytes);
        }
        out.into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        let mut from = Reader::new(bytes);
        let deadline_ms = from.u64()?;
        let code = from.bytes()?.into();
        let stdin = from.bytes()?.to_vec();
        let count = from.u64()?;
        let mut artifacts = Vec::new();
        for _ in 0..count {
            artifacts.push(Given { name: from.text()?.to_owned(), bytes: from.bytes()?.into() });
        }
        from.end()?;
        Ok(Request { code, stdin, artifacts, deadline_ms })
    }
}

/// A compiling child's answer: code, or why there is none.
pub(crate) fn encode_compiled(compiled: Result<&[u8], &str>) -> Vec<u8> {
    let mut out = Writer::default();
    match compiled {
        Ok(code) => {
            out.u8(0);
            out.bytes(code);
        }
        Err(why) => {
            out.u8(1);
            out.text(cut(why));
        }
    }
    out.into_bytes()
}

pub(crate) fn decode_compiled(bytes: &[u8]) -> Result<Result<Vec<u8>, String>, Nonsense> {
    let mut from = Reader::new(bytes);
    let compiled = match from.u8()? {
        0 => Ok(from.bytes()?.to_vec()),
        1 => Err(from.text()?.to_owned()),
        _ => return Err(Nonsense),
    };
    from.end()?;
    Ok(compiled)
}

impl Report {
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
                    out.bytes(&artifact.bytes);
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
        }
        out.into_bytes()
    }

    /// Reads what a child says, and believes no more of it than a child may say under these limits.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, Nonsense> {
        let mut from = Reader::new(bytes);
        let began_ns = from.u64()?;
        let (fuel, cpu_us) = (from.u64()?, from.u64()?);
        let log = Log { bytes: from.bytes()?.to_vec(), dropped: from.u64()? };
        if log.bytes.len() as u64 > limits.log_bytes {
            return Err(Nonsense);
        }
        let end = match from.u8()? {
            0 => done(&mut from, limits)?,
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
            _ => return Err(Nonsense),
        };
        from.end()?;
        Ok(Report { end, log, spent: Spent { fuel, cpu_us, start_us: 0 }, began_ns })
    }
}

fn done(from: &mut Reader<'_>, limits: &Limits) -> Result<End, Nonsense> {
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
        let artifact = Artifact { name: from.text()?.to_owned(), bytes: from.bytes()?.to_vec() };
        held = held.saturating_add(artifact.bytes.len() as u64);
        let ordered = artifacts.last().is_none_or(|last| last.name < artifact.name);
        if !ordered || !is_file_name(&artifact.name) || held > limits.out_bytes {
            return Err(Nonsense);
        }
        artifacts.push(artifact);
    }
    Ok(End::Done { output: output.to_owned(), artifacts })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            assert_eq!(Boot::decode(&boot.encode()), Ok(boot));
        }
        for ready in [
            Ready::Up { walls: Walls::ALL, profile: Digest::of(b"x") },
            Ready::Missing(WallMissing { wall: Wall::Seccomp, why: "no".into() }),
            Ready::Broken("no".into()),
        ] {
            assert_eq!(Ready::decode(&ready.encode()), Ok(ready));
        }
        let artifact = |name: &str| Artifact { name: name.into(), bytes: b"x".to_vec() };
        for end in [
            End::Done { output: "{}".into(), artifacts: vec![artifact("a"), artifact("b")] },
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
        ] {
            let said = report(end);
            assert_eq!(Report::decode(&said.encode(), &limits), Ok(said));
        }
        let long = report(End::Refused("é".repeat(10_000)));
        let Ok(Report { end: End::Refused(why), .. }) = Report::decode(&long.encode(), &limits) else {
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
        assert!(Report::decode(&fine.encode(), &limits).is_ok());
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
            assert_eq!(Report::decode(&lie.encode(), &limits), Err(Nonsense), "{lie:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_message_or_nonsense(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Boot::decode(&bytes);
            let _ = Ready::decode(&bytes);
            let _ = Request::decode(&bytes);
            let _ = decode_compiled(&bytes);
            let _ = Report::decode(&bytes, &Limits::default());
        }

        #[test]
        fn a_damaged_report_is_some_report_or_nonsense(at in 0_usize..100, byte in any::<u8>()) {
            let artifacts = vec![Artifact { name: "a".into(), bytes: b"x".to_vec() }];
            let mut bytes = report(End::Done { output: "{}".into(), artifacts }).encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Report::decode(&bytes, &Limits::default());
        }
    }
}
