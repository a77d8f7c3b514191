//! Facts: everything that can change a node's state, with the values decided. A fact is written once and folded for
//! ever, so a kind's number and the form of its version never change; a new form is a new version.
//!
//! One entry's body is `kind u16 ‖ version u16 ‖ len u32 ‖ (at, correlation, payload)` in the one encoding.

mod agent;
mod away;
mod ledger;
mod market;
mod node;
mod record;
mod redo;
mod run;

pub use agent::{
    Configured, Delegation, DelegationEnded, Enrolled, Forgotten, Introduced, Revoked, Revoker, Rotated,
};
pub use away::{Abroad, Acknowledged, Concluded, HandedIn, LetGo, Outgoing, Unanswered, Undertaken};
pub use ledger::{Account, Cause, Leg, Recalled, Transfer};
pub use market::{
    Authority, Findings, Granted, HandedAt, Judgement, LeaseEnded, Offered, Outcome, Output, Submitted,
    Verdict,
};
pub use node::{
    Admission, Admitted, AdmittedBy, Expelled, FraudProven, Genesis, InvitationEnded, Invited, Joined, Lie,
    Started,
};
pub use record::{ArtifactStored, Emitted, Refused};
pub use redo::{Came, Cosigned, Drawn, Lot, Redoing, Redone, Refuted, Witnessing};
pub use run::{
    CancelAsked, End, PostKey, Poster, RunEnded, RunPosted, RunnerSpec, StepEnded, StepSpec, TaskSpec,
};

use crate::forms;
use artel_protocol::codec::{self, Frame};
use artel_protocol::log::leaf::Class;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;

macro_rules! facts {
    ($($number:literal $version:literal $class:ident $name:ident($payload:ty) $doc:literal,)*) => {
        /// Everything that can change this node's state.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Fact { $(#[doc = $doc] $name($payload),)* }

        /// What kind of fact it is; its number stands in every entry and is never given to another.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $(#[doc = $doc] $name,)* }

        impl Kind {
            /// All kinds, by number.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];
            /// The number in the entry.
            pub fn number(self) -> u16 { match self { $(Kind::$name => $number),* } }
            /// The newest version of its form, and the one that is written where an older one cannot say it all.
            pub fn version(self) -> u16 { match self { $(Kind::$name => $version),* } }
            /// The kind's name in lists and filters.
            pub fn name(self) -> &'static str { match self { $(Kind::$name => stringify!($name)),* } }
            /// The kind of a number, if it is one of ours.
            pub fn of(number: u16) -> Option<Kind> { match number { $($number => Some(Kind::$name),)* _ => None } }
        }

        impl Fact {
            /// Its kind.
            pub fn kind(&self) -> Kind { match self { $(Fact::$name(_) => Kind::$name),* } }
            /// Whether its body is shown to strangers.
            pub fn class(&self) -> Class { match self { $(Fact::$name(f) => class_of::$class(f)),* } }
        }

        fn encode_body(entry: &Entry, out: &mut Vec<u8>) {
            match &entry.fact { $(Fact::$name(f) => Frame::append($number, $version, &(entry.at, &entry.correlation, f), out)),* }
        }

        fn decode_body(number: u16, payload: &[u8]) -> Result<Entry, Error> {
            match number {
                $($number => {
                    let (at, correlation, f): (Wall, Option<Correlation>, $payload) = codec::decode_own(payload)?;
                    Ok(Entry { at, correlation, fact: Fact::$name(f) })
                })*
                _ => Err(Error::UnknownKind(number)),
            }
        }
    };
}

/// Which facts are shown to strangers: the market's legal steps and what was paid, never who asked for what.
mod class_of {
    use super::{Cause, Class, Transfer};
    pub fn public<T>(_: &T) -> Class {
        Class::Public
    }
    pub fn private<T>(_: &T) -> Class {
        Class::Private
    }
    pub fn transfer(transfer: &Transfer) -> Class {
        if transfer.cause == Cause::Payment { Class::Public } else { Class::Private }
    }
}

facts! {
    1 1 public Genesis(Genesis) "The federation was founded.",
    2 1 public Started(Started) "The node began to take requests.",
    3 1 public Joined(Joined) "The node joined a federation that others founded.",
    4 1 public Admitted(Admitted) "A node became a member.",
    5 1 public Expelled(Expelled) "A node is a member no more.",
    6 1 private Invited(Invited) "The operator gave out an invitation.",
    7 1 private InvitationEnded(InvitationEnded) "The operator took an invitation back.",
    16 1 private Enrolled(Enrolled) "An agent answered its challenge.",
    17 1 private Configured(Configured) "An agent changed what it says of itself.",
    18 1 private Rotated(Rotated) "An agent got a new token.",
    19 1 private Revoked(Revoked) "An agent's token and delegation ended.",
    20 1 private Introduced(Introduced) "An agent of another node is known here.",
    21 1 private Forgotten(Forgotten) "An agent of another node is not known here any more.",
    22 1 public DelegationEnded(DelegationEnded) "What an agent let this node do in its name is over.",
    32 2 private RunPosted(RunPosted) "A run was posted.",
    33 1 private CancelAsked(CancelAsked) "Somebody asked that a run or step stops.",
    34 1 private RunEnded(RunEnded) "Every step of a run has come to an end.",
    40 1 public FraudProven(FraudProven) "There is proof that a node lied about its journal.",
    48 1 public Offered(Offered) "A step is open to claims.",
    49 1 public Granted(Granted) "An agent won a step.",
    50 1 public Released(LeaseEnded) "An agent gave its lease back.",
    51 1 public Lapsed(LeaseEnded) "A lease ran out.",
    52 2 public Submitted(Submitted) "A result came in under a live lease.",
    53 1 private Output(Output) "The private part of a submission.",
    54 1 public Verdict(Verdict) "Home judged a submission.",
    55 1 public StepEnded(StepEnded) "A step ended without an accepted result.",
    56 1 private Findings(Findings) "What a failed check found.",
    57 1 public Redone(Redone) "A drawn submission was run again.",
    58 1 public Drawn(Drawn) "A submission is run again before the verdict: what older homes wrote.",
    59 1 public Unsettled(Redone) "A run of a drawn submission settled nothing, and a further one is asked for.",
    60 1 public Lot(Lot) "The lot of a submission fell, which says whether it is run again.",
    61 1 public Refuted(Refuted) "An accepted result was run again and found to be another.",
    62 1 private Unused(LeaseEnded) "The lease that is given back right behind it was not used.",
    64 1 transfer Transfer(Transfer) "Money moved.",
    65 1 private Recalled(Recalled) "What was paid for a refuted result went back.",
    80 1 private ArtifactStored(ArtifactStored) "Bytes were stored under their digest.",
    96 1 private Emitted(Emitted) "The operator emitted an event.",
    97 1 private Refused(Refused) "What one principal was refused in one minute.",
    112 1 private Undertaken(Undertaken) "An agent of this node won a step of another home.",
    113 1 private Outgoing(Outgoing) "The private part of a result for another home.",
    114 1 public HandedIn(HandedIn) "An agent of this node handed in a result for another home.",
    115 1 private Acknowledged(Acknowledged) "Another home acknowledged a result.",
    116 1 private Concluded(Concluded) "Another home's verdict was heard.",
    117 1 private LetGo(LetGo) "A lease of another home is over without a verdict.",
    118 1 public Unanswered(Unanswered) "Another home has given no verdict in time.",
    119 1 private Redoing(Redoing) "This node runs a step of another home again.",
}

/// One fact with when and why it came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// By home's wall clock.
    pub at: Wall,
    /// The request that caused it; never in a public entry, for the caller chose it.
    pub correlation: Option<Correlation>,
    /// What became true.
    pub fact: Fact,
}

/// Why an entry's body cannot be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not a value of their kind.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A newer program wrote it.
    #[error("entry of unknown kind {0}: a newer version of the program wrote it")]
    UnknownKind(u16),
    /// A newer program wrote it.
    #[error("entry of kind {0} in unknown version {1}: a newer version of the program wrote it")]
    UnknownVersion(u16, u16),
}

impl Entry {
    /// The entry's body as the journal holds it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.fact {
            Fact::RunPosted(posted) if forms::is_first(posted) => {
                let fields = (self.at, &self.correlation, forms::FirstRunPosted(posted));
                Frame::append(Kind::RunPosted.number(), 1, &fields, &mut out);
            }
            Fact::Submitted(submitted) if submitted.handed_at.is_none() => {
                let fields = (self.at, &self.correlation, forms::FirstSubmitted(submitted));
                Frame::append(Kind::Submitted.number(), 1, &fields, &mut out);
            }
            _ => encode_body(self, &mut out),
        }
        out
    }

    /// Reads a body back.
    ///
    /// # Errors
    /// [`Error`] when the bytes are not one of our facts.
    pub fn decode(body: &[u8]) -> Result<Entry, Error> {
        let frame = Frame::parse(body)?;
        let kind = Kind::of(frame.kind).ok_or(Error::UnknownKind(frame.kind))?;
        match (kind, frame.version) {
            (Kind::RunPosted, 1) => return forms::decode_first_run_posted(frame.payload),
            (Kind::Submitted, 1) => return forms::decode_first_submitted(frame.payload),
            _ => {}
        }
        if frame.version != kind.version() {
            return Err(Error::UnknownVersion(frame.kind, frame.version));
        }
        let entry = decode_body(frame.kind, frame.payload)?;
        match &entry.fact {
            Fact::RunPosted(posted) if forms::is_first(posted) => {
                Err(codec::Error::Malformed("a run without a runner is of version 1".into()).into())
            }
            Fact::Submitted(submitted) if submitted.handed_at.is_none() => {
                Err(codec::Error::Malformed("a submission at home alone is of version 1".into()).into())
            }
            _ => Ok(entry),
        }
    }
}
