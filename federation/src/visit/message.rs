//! What a worker's node says to a home and what home answers: one frame each way over a direct request.
//!
//! Frames are `kind u16 ‖ version u16 ‖ len u32 ‖ payload` in the one encoding. A visit names the agent, says on what
//! authority its node speaks, and what the agent does. Whoever repeats a visit gets the same answer.

use crate::effect::{Lease, Receipt};
use crate::json::Json;
use artel_protocol::codec::{self, Decode, Encode, Frame};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::json;
use artel_protocol::key::{AgentId, Signature};
use artel_protocol::limits::{NAME_BYTES_MAX, OUTPUT_BYTES_MAX, SKILLS_MAX, STEP_ARTIFACTS_MAX};
use artel_protocol::skill::Skill;
use artel_protocol::text::is_plain;
use artel_protocol::time::Wall;

use crate::commitment::Salt;

/// The kind of a [`Visit`]'s frame.
pub const VISIT_KIND: u16 = 0x0130;
/// The kind of a [`Told`]'s frame.
pub const TOLD_KIND: u16 = 0x0131;
/// The kind of a [`Fetch`]'s frame.
pub const FETCH_KIND: u16 = 0x0132;
/// The kind of a [`Served`]'s frame.
pub const SERVED_KIND: u16 = 0x0133;
/// The kind of an [`Enough`]'s frame.
pub const ENOUGH_KIND: u16 = 0x0134;
/// The version of each that we write.
pub const VERSION: u16 = 1;

/// The most bytes of a challenge that an agent signed: eight short lines and a name.
pub const CHALLENGE_BYTES_MAX: usize = 1_536;
/// The most bytes of a refusal's code, and of its sentence. What is longer is no refusal of ours.
pub const CODE_BYTES_MAX: usize = 64;
/// See [`CODE_BYTES_MAX`].
pub const SENTENCE_BYTES_MAX: usize = 1_024;

/// Why bytes are no visit and no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a value, or not in its one form.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A frame of something else.
    #[error("a frame of kind {kind:#06x} and version {version} where another is wanted")]
    Unknown {
        /// The kind.
        kind: u16,
        /// The version.
        version: u16,
    },
    /// More bytes or items than it may have, or text that is not plain.
    #[error("{0} is not within its bounds")]
    Bounds(&'static str),
    /// What is kept and handed on as JSON is none: whoever shows it or puts it beside others would say something else with it.
    #[error("{what} is no JSON that is taken: {why}")]
    NotJson {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        why: json::Error,
    },
}

/// An act of an agent at a home where it is not enrolled, said by the node where it is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Visit {
    /// The agent.
    pub agent: AgentId,
    /// Its name for people.
    pub name: String,
    /// What it can do, sorted, each once.
    pub skills: Vec<Skill>,
    /// On whose authority its node speaks.
    pub warrant: Warrant,
    /// What the agent does.
    pub act: Act,
}

/// On whose authority a node speaks for an agent (decision 5).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Warrant {
    /// The challenge that the agent signed when it enrolled there, which lets the node act in its name until then.
    Delegated {
        /// The challenge's text.
        challenge: String,
        /// Until when the delegation in it lasts.
        until: Wall,
        /// The agent's signature over the text.
        signature: Signature,
    },
    /// The agent's own signature over this act (`warrant::act_text`), made at that moment.
    Own {
        /// When, by the agent's clock.
        at: Wall,
        /// The agent's signature over the text.
        signature: Signature,
    },
}

/// What an agent does at a home.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Act {
    /// It claims one task.
    Claim(StepId),
    /// It claims the best task of this home that it qualifies for.
    ClaimNext {
        /// For how long it waits for one, in milliseconds.
        wait_ms: u32,
    },
    /// It needs more time.
    Renew {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
    },
    /// It gives a lease back.
    Release {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
    },
    /// It hands in a result.
    Submit(Box<Handing>),
}

/// A result on its way to its home.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Handing {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// The output.
    pub output: Json,
    /// The salt of its commitment.
    pub salt: Salt,
    /// Digests of its artifacts; home fetches their bytes from the worker's node before it takes the result in.
    pub artifacts: Vec<Digest>,
    /// The incarnation of the worker's node's journal.
    pub incarnation: u32,
    /// Where in that journal its `HandedIn` entry stands.
    pub index: u64,
    /// Whether the answer should bring the next task, and for how long it may wait for one, in milliseconds.
    pub next: Option<u32>,
}

/// What home answers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Told {
    /// The agent won this.
    Leased(Box<Lease>),
    /// There is nothing to claim.
    Nothing,
    /// The lease goes on until then, by home's wall clock.
    Renewed {
        /// When it ends unless it is renewed again.
        expires: Wall,
    },
    /// Done, with nothing more to say.
    Done,
    /// The result was taken in.
    Submitted {
        /// What home acknowledges, and once judged the verdict.
        receipt: Box<Receipt>,
        /// Home's signature over the acknowledgement (PROTOCOL.md).
        signature: Signature,
    },
    /// It was not done.
    Refused {
        /// The stable code.
        code: String,
        /// A sentence that says what to do.
        message: String,
    },
    /// The agent won this, and what it is told does not fit a direct frame: it is fetched over a `blob` stream.
    Large {
        /// The step.
        step: StepId,
        /// The lease.
        epoch: Epoch,
    },
}

/// What opens a `blob` stream: bytes that belong to a lease, asked for by the lease holder's node or by home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Fetch {
    /// The step.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Which bytes.
    pub what: Wanted,
}

/// Which bytes of a lease are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Wanted {
    /// What the winner is told: the bytes of the frame with [`Told::Leased`].
    Lease,
    /// An artifact, from a byte on.
    Artifact {
        /// Its digest.
        digest: Digest,
        /// The first byte that is wanted.
        start: u64,
    },
}

/// The answer on a `blob` stream, before the bytes themselves.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Served {
    /// So many bytes follow.
    Bytes(u64),
    /// None follow.
    Refused {
        /// The stable code.
        code: String,
        /// A sentence that says what to do.
        message: String,
    },
}

/// An agent waits no longer: its claims of the next task that wait at this home, brought by the node that says this, are
/// answered now. A kind of its own, since a home of an earlier version refuses what it does not know, and thinks nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Enough {
    /// The agent.
    pub agent: AgentId,
}

impl Enough {
    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(ENOUGH_KIND, self)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        read(ENOUGH_KIND, bytes)
    }
}

impl Fetch {
    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(FETCH_KIND, self)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        read(FETCH_KIND, bytes)
    }
}

impl Served {
    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(SERVED_KIND, self)
    }

    /// Reads one and checks its bounds.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let served: Served = read(SERVED_KIND, bytes)?;
        if let Served::Refused { code, message } = &served {
            check_refusal(code, message)?;
        }
        Ok(served)
    }
}

impl Visit {
    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(VISIT_KIND, self)
    }

    /// Reads a visit and checks its bounds and that its output is JSON. Its warrant is checked by the rules.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let visit: Visit = read(VISIT_KIND, bytes)?;
        let sorted = visit.skills.windows(2).all(|pair| pair[0] < pair[1]);
        if visit.skills.len() > SKILLS_MAX || !sorted {
            return Err(Error::Bounds("the list of skills"));
        }
        if !is_plain(&visit.name, NAME_BYTES_MAX, false) {
            return Err(Error::Bounds("the name"));
        }
        if matches!(&visit.warrant, Warrant::Delegated { challenge, .. } if challenge.len() > CHALLENGE_BYTES_MAX)
        {
            return Err(Error::Bounds("the challenge"));
        }
        if let Act::Submit(handing) = &visit.act {
            if handing.output.is_empty() || handing.output.len() > OUTPUT_BYTES_MAX {
                return Err(Error::Bounds("the output"));
            }
            if handing.artifacts.len() > STEP_ARTIFACTS_MAX {
                return Err(Error::Bounds("the list of artifacts"));
            }
            check_json("the output", &handing.output)?;
        }
        Ok(visit)
    }
}

impl Told {
    /// A refusal. A sentence that is longer than one may be is cut: some quote what an agent signed.
    pub fn refused(code: &str, message: &str) -> Self {
        let message = &message[..message.floor_char_boundary(SENTENCE_BYTES_MAX)];
        Told::Refused { code: code.into(), message: message.into() }
    }

    /// Its frame.
    pub fn to_frame(&self) -> Vec<u8> {
        frame(TOLD_KIND, self)
    }

    /// Reads an answer and checks its bounds and that what a lease says is JSON.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let told: Told = read(TOLD_KIND, bytes)?;
        match &told {
            Told::Refused { code, message } => check_refusal(code, message)?,
            Told::Leased(lease) => check_lease(lease)?,
            Told::Submitted { receipt, .. } => receipt.next.as_deref().map_or(Ok(()), check_lease)?,
            Told::Nothing | Told::Renewed { .. } | Told::Done | Told::Large { .. } => {}
        }
        Ok(told)
    }
}

/// What a worker's node shows its agent of a lease is JSON.
fn check_lease(lease: &Lease) -> Result<(), Error> {
    check_json("the input", &lease.input)?;
    check_json("the run's inputs", &lease.inputs)?;
    lease.needs.iter().try_for_each(|(_, output)| check_json("the output of a step before", output))?;
    lease.output_schema.as_ref().map_or(Ok(()), |schema| check_json("the output's schema", schema))
}

pub(crate) fn check_json(what: &'static str, json: &Json) -> Result<(), Error> {
    json::check_value(json.bytes()).map_err(|why| Error::NotJson { what, why })
}

fn check_refusal(code: &str, message: &str) -> Result<(), Error> {
    let of_code = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if code.is_empty() || code.len() > CODE_BYTES_MAX || !code.bytes().all(of_code) {
        return Err(Error::Bounds("the code"));
    }
    match is_plain(message, SENTENCE_BYTES_MAX, true) {
        true => Ok(()),
        false => Err(Error::Bounds("the sentence")),
    }
}

pub(crate) fn frame<T: Encode>(kind: u16, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    Frame::append(kind, VERSION, value, &mut out);
    out
}

pub(crate) fn read<T: Encode + Decode<()>>(kind: u16, bytes: &[u8]) -> Result<T, Error> {
    let frame = Frame::parse(bytes)?;
    if (frame.kind, frame.version) != (kind, VERSION) {
        return Err(Error::Unknown { kind: frame.kind, version: frame.version });
    }
    Ok(codec::decode(frame.payload)?)
}
