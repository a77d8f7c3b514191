//! What a home asks a node that is to run a step again, and what that node says it came to: one frame each way over a direct
//! request. Home says nothing of the result that it holds, so that only a run knows an answer that agrees with it.

use crate::json::Json;
use crate::visit::message::{Error, check_json, frame, read};
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, Epoch, RUN_STEPS_MAX, StepId};
use artel_protocol::limits::{NAME_BYTES_MAX, OUTPUT_BYTES_MAX, SKILLS_MAX, STEP_ARTIFACTS_MAX};
use artel_protocol::skill::Skill;
use artel_protocol::text::is_plain;

/// The kind of a [`Redo`]'s frame.
pub const REDO_KIND: u16 = 0x0150;
/// The kind of a [`Reran`]'s frame.
pub const RERAN_KIND: u16 = 0x0151;

/// The most bytes of a sentence on how a program failed.
const FAULT_BYTES_MAX: usize = 256;

/// A step that is to be run again. The module and the artifacts are fetched from the home, by this step and epoch.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Redo {
    /// The step.
    pub step: StepId,
    /// The lease under which it was handed in.
    pub epoch: Epoch,
    /// Its module.
    pub module: Digest,
    /// What the task requires, sorted: the asked node's operator may let no step of a skill run.
    pub skills: Vec<Skill>,
    /// The task's input.
    pub input: Json,
    /// What the steps that it needs put out, by their names.
    pub needs: Vec<(String, Json)>,
    /// What they left, each once and in order.
    pub artifacts: Vec<Digest>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Reran {
    /// Digest of the engine with all its settings.
    pub profile: Digest,
    /// How it ended.
    pub end: Ended,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Ended {
    /// It did its work.
    Done {
        /// Its output.
        output: Json,
        /// What it left, each once and in order.
        artifacts: Vec<Digest>,
        /// Its log, where it wrote one.
        log: Option<Digest>,
    },
    /// The program's own fault, and every node would say so.
    Failed(String),
    /// The machine ended it, or had no time for it. Another may see another end.
    Inconclusive,
    /// The module or the input is none that may run, and every node would say so.
    CannotRun,
    /// It came to a limit at which every node of this profile ends it.
    Bound(Bound),
}

/// A limit at which a run ends the same way each time: it is counted in what the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Bound {
    /// Fuel.
    Fuel,
    /// Memory.
    Memory,
    /// A table.
    Table,
    /// The stack.
    Stack,
}

impl Redo {
    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(REDO_KIND, self)
    }

    /// Reads one and checks its bounds and that what it says is JSON.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let redo: Redo = read(REDO_KIND, bytes)?;
        let plain = |(name, _): &(String, Json)| is_plain(name, NAME_BYTES_MAX, false);
        if redo.needs.len() > RUN_STEPS_MAX || !redo.needs.iter().all(plain) {
            return Err(Error::Bounds("the list of needs"));
        }
        let sorted = redo.skills.windows(2).all(|pair| pair[0] < pair[1]);
        if redo.skills.len() > SKILLS_MAX || !sorted {
            return Err(Error::Bounds("the list of skills"));
        }
        in_order(&redo.artifacts)?;
        check_json("the input", &redo.input)?;
        redo.needs.iter().try_for_each(|(_, output)| check_json("the output of a step before", output))?;
        Ok(redo)
    }
}

impl Reran {
    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(RERAN_KIND, self)
    }

    /// Reads one and checks its bounds and that what it says is JSON.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let reran: Reran = read(RERAN_KIND, bytes)?;
        match &reran.end {
            Ended::Done { output, artifacts, .. } => {
                if output.is_empty() || output.len() > OUTPUT_BYTES_MAX {
                    return Err(Error::Bounds("the output"));
                }
                in_order(artifacts)?;
                check_json("the output", output)?;
            }
            Ended::Failed(fault) if !is_plain(fault, FAULT_BYTES_MAX, false) => {
                return Err(Error::Bounds("the fault"));
            }
            Ended::Failed(_) | Ended::Inconclusive | Ended::CannotRun | Ended::Bound(_) => {}
        }
        Ok(reran)
    }
}

fn in_order(artifacts: &[Digest]) -> Result<(), Error> {
    let sorted = artifacts.windows(2).all(|pair| pair[0] < pair[1]);
    if artifacts.len() > STEP_ARTIFACTS_MAX || !sorted {
        return Err(Error::Bounds("the list of artifacts"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_protocol::time::Wall;

    #[test]
    fn frames_are_read_as_they_were_written_within_their_bounds() {
        let digest = |n: u8| Digest([n; 32]);
        let redo = |artifacts: Vec<Digest>, name: &str| Redo {
            step: RunId::new(Wall(1), [2; 9]).step(0),
            epoch: Epoch(3),
            module: digest(4),
            skills: vec![skill("text")],
            input: Json::new(*b"{}"),
            needs: vec![(name.to_owned(), Json::new(*b"1"))],
            artifacts,
        };
        let good = redo(vec![digest(1), digest(2)], "first");
        assert_eq!(Redo::read(&good.to_frame()), Ok(good));
        let bounds = |redo: Redo| Redo::read(&redo.to_frame()).expect_err("out of bounds");
        assert_eq!(bounds(redo(vec![digest(2), digest(1)], "a")), Error::Bounds("the list of artifacts"));
        assert_eq!(bounds(redo(vec![digest(1); 2], "a")), Error::Bounds("the list of artifacts"));
        assert_eq!(bounds(redo(vec![], "a\nb")), Error::Bounds("the list of needs"));
        for skills in [vec![skill("b"), skill("a")], vec![skill("a"); 2], vec![skill("a"); SKILLS_MAX + 1]] {
            let bad = Redo { skills, ..redo(vec![], "a") };
            assert_eq!(bounds(bad), Error::Bounds("the list of skills"));
        }

        let reran = |end| Reran { profile: digest(9), end };
        let done =
            |output: Vec<u8>, artifacts| Ended::Done { output: Json::new(output), artifacts, log: None };
        let plain = [
            Ended::Failed("exit 7".into()),
            Ended::Inconclusive,
            Ended::CannotRun,
            Ended::Bound(Bound::Fuel),
            Ended::Bound(Bound::Stack),
        ];
        for end in plain.into_iter().chain([done(b"1".to_vec(), vec![digest(1)])]) {
            let good = reran(end);
            assert_eq!(Reran::read(&good.to_frame()), Ok(good));
        }
        let many = (0..=u8::try_from(STEP_ARTIFACTS_MAX).expect("few")).map(digest).collect();
        for (end, what) in [
            (done(vec![], vec![]), "the output"),
            (done(vec![b'1'; OUTPUT_BYTES_MAX + 1], vec![]), "the output"),
            (done(b"1".to_vec(), many), "the list of artifacts"),
            (Ended::Failed("x".repeat(FAULT_BYTES_MAX + 1)), "the fault"),
        ] {
            assert_eq!(Reran::read(&reran(end).to_frame()), Err(Error::Bounds(what)));
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let redo = |input: &str, need: &str| Redo {
            step: RunId::new(Wall(1), [2; 9]).step(0),
            epoch: Epoch(3),
            module: Digest([4; 32]),
            input: Json::new(input.as_bytes()),
            needs: vec![("a".into(), Json::new(need.as_bytes()))],
            artifacts: vec![],
            skills: vec![],
        };
        for (input, need, good) in
            [("{}", "1", true), ("not json", "1", false), ("{}", r#"1,"b":2"#, false), ("", "1", false)]
        {
            assert_eq!(Redo::read(&redo(input, need).to_frame()).is_ok(), good, "{input} {need}");
        }
        for (output, good) in [("[1]", true), (r#"{"a":1,"a":2}"#, false), ("nul", false)] {
            let end = Ended::Done { output: Json::new(output.as_bytes()), artifacts: vec![], log: None };
            let read = Reran::read(&Reran { profile: Digest([9; 32]), end }.to_frame());
            assert_eq!(read.is_ok(), good, "{output}: {read:?}");
        }
    }

    fn skill(name: &str) -> Skill {
        Skill::parse(name).expect("a skill")
    }

    /// One flipped bit or a missing end is refused, or is another frame in its one form: never a panic, never two readings.
    #[test]
    fn damaged_frames_are_refused_or_read_in_their_one_form() {
        let reran = Reran {
            profile: Digest([9; 32]),
            end: Ended::Done { output: Json::new(*b"[1]"), artifacts: vec![Digest([1; 32])], log: None },
        };
        let redo = Redo {
            step: RunId::new(Wall(1), [2; 9]).step(0),
            epoch: Epoch(3),
            module: Digest([4; 32]),
            skills: vec![skill("text")],
            input: Json::new(*b"{}"),
            needs: vec![("a".into(), Json::new(*b"1"))],
            artifacts: vec![Digest([1; 32])],
        };
        for frame in [reran.to_frame(), redo.to_frame()] {
            for cut in 0..frame.len() {
                assert!(Redo::read(&frame[..cut]).is_err() && Reran::read(&frame[..cut]).is_err());
            }
            for bit in 0..frame.len() * 8 {
                let mut damaged = frame.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let again = [
                    Redo::read(&damaged).map(|read| read.to_frame()),
                    Reran::read(&damaged).map(|read| read.to_frame()),
                ];
                assert!(again.into_iter().flatten().all(|frame| frame == damaged), "bit {bit}");
            }
        }
    }
}
