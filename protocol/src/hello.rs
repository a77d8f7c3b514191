//! What two nodes say first: who each is, of which federation, and what proves it. Until both were welcomed nothing of a
//! peer is believed or relayed.
//!
//! The chain of admissions travels as opaque record frames, which are checked as records are; who may admit whom is the
//! rules' to judge. Here are form, bounds, and the node's own signature.

use crate::codec::{self, Decode, Encode, FRAME_HEAD_BYTES, Frame};
use crate::id::FederationId;
use crate::invitation::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, InvitationSecret, check_addresses};
use crate::key::{NodeId, SecretKey, Signature, signed_bytes};
use crate::text::is_plain;
use crate::time::Wall;

/// The kind of a hello's frame.
pub const HELLO_KIND: u16 = 0x0101;
/// The kind of a welcome's frame.
pub const WELCOME_KIND: u16 = 0x0102;
/// The version of both that we speak.
pub const VERSION: u16 = 1;

/// The most admissions between a node and a founder. Longer, and each hello costs a peer that many proofs; shorter, and
/// invitations of the invited end too soon.
pub const CHAIN_LINKS_MAX: usize = 8;

/// The most bytes of one record frame in a chain (8 KiB): an admission, the longest proof that a tree has, a checkpoint.
pub const CHAIN_RECORD_BYTES_MAX: usize = 8 << 10;

/// The most bytes of a hello's or a welcome's frame; a longer one is not decoded, so it can be refused by its length alone.
pub const HELLO_BYTES_MAX: usize = FRAME_HEAD_BYTES
    + CHAIN_LINKS_MAX * (CHAIN_RECORD_BYTES_MAX + 8)
    + ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 8)
    + 1_024;

/// How far the moment in a hello may be from the reader's own clock, in milliseconds (decision 20). It only keeps old ones
/// from being of use; the transport proves whose connection it is.
pub const HELLO_SKEW_MS: u64 = 300_000;

/// The most bytes of a welcome's code.
pub const CODE_BYTES_MAX: usize = 64;
/// The most bytes of a welcome's sentence.
pub const MESSAGE_BYTES_MAX: usize = 512;

/// What a hello's signature is for.
const DOMAIN: &str = "hello";

/// Why bytes are no hello or no welcome for us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not in the one encoding.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// The frame holds something else.
    #[error("a frame of kind {0:#06x}, not the one that is wanted here")]
    Kind(u16),
    /// A version that we do not speak.
    #[error("version {0}; this node speaks {VERSION}")]
    Version(u16),
    /// More in it than its bounds allow.
    #[error("a message with {0}")]
    Bound(&'static str),
    /// It speaks of another federation.
    #[error("of federation {0}, which is another one")]
    OtherFederation(FederationId),
    /// It names another node than the one whose connection it is.
    #[error("of node {0}, whose connection this is not")]
    OtherNode(NodeId),
    /// Its moment is too far from ours.
    #[error("made at {}, more than {HELLO_SKEW_MS} ms from this node's clock; set the clocks", .0.iso8601())]
    Clock(Wall),
    /// The node did not sign this.
    #[error("the signature is not the node's")]
    Signature,
}

impl Error {
    /// The stable code that the welcome answers with.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Codec(_) | Error::Kind(_) | Error::Bound(_) => "hello_malformed",
            Error::Version(_) => "version_unknown",
            Error::OtherFederation(_) => "other_federation",
            Error::OtherNode(_) => "other_node",
            Error::Clock(_) => "clock_skew",
            Error::Signature => "bad_signature",
        }
    }
}

/// A node's first words to a peer. [`Hello::check`] is the way from bytes to one that can be trusted as far as it says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// The federation: the digest of the genesis record.
    pub federation: FederationId,
    /// The node.
    pub node: NodeId,
    /// Its incarnation, as in its journal's origin.
    pub incarnation: u32,
    /// When it said so, by its wall clock.
    pub at: Wall,
    /// Its signature over federation, node, incarnation and moment.
    pub signature: Signature,
    /// Where else it can be reached, as multiaddrs.
    pub addresses: Vec<String>,
    /// The record of its admission, then that of whoever admitted it, up to one by a founder; opaque record frames.
    pub chain: Vec<Vec<u8>>,
    /// An invitation's secret, where it asks to be admitted.
    pub secret: Option<InvitationSecret>,
}

/// What a hello is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The reader's federation.
    pub federation: FederationId,
    /// The node whose key the transport proved.
    pub peer: NodeId,
    /// The reader's wall clock.
    pub now: Wall,
}

/// A hello within its bounds, of our federation, signed by the node whose connection it came over. It is not yet a
/// member's: the chain and the secret are still to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedHello(Hello);

impl Hello {
    /// Signs a hello; chain and secret can be set behind it, for the signature does not cover them.
    pub fn sign(federation: FederationId, incarnation: u32, at: Wall, key: &SecretKey) -> Self {
        let node = NodeId(key.public());
        let signature = key.sign(&signed_part(&federation, &node, incarnation, at));
        let (addresses, chain) = (Vec::new(), Vec::new());
        Hello { federation, node, incarnation, at, signature, addresses, chain, secret: None }
    }

    /// Its frame.
    ///
    /// # Errors
    /// [`Error::Bound`] where the reader would refuse it.
    pub fn to_frame(&self) -> Result<Vec<u8>, Error> {
        self.check_bounds()?;
        Ok(frame(HELLO_KIND, self))
    }

    /// Checks a frame in full: form, bounds, federation, node, moment, signature.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8], expected: &Expected) -> Result<CheckedHello, Error> {
        let hello: Hello = read(HELLO_KIND, bytes)?;
        hello.check_bounds()?;
        if hello.federation != expected.federation {
            return Err(Error::OtherFederation(hello.federation));
        }
        if hello.node != expected.peer {
            return Err(Error::OtherNode(hello.node));
        }
        if hello.at.0.abs_diff(expected.now.0) > HELLO_SKEW_MS {
            return Err(Error::Clock(hello.at));
        }
        let signed = signed_part(&hello.federation, &hello.node, hello.incarnation, hello.at);
        hello.node.key().verify(&signed, &hello.signature).map_err(|_| Error::Signature)?;
        Ok(CheckedHello(hello))
    }

    fn check_bounds(&self) -> Result<(), Error> {
        check_addresses(&self.addresses).map_err(Error::Bound)?;
        check_chain(&self.chain)
    }
}

impl std::ops::Deref for CheckedHello {
    type Target = Hello;

    fn deref(&self) -> &Hello {
        &self.0
    }
}

/// `federation id` stands in what every signature covers; the payload is node, incarnation and moment.
fn signed_part(federation: &FederationId, node: &NodeId, incarnation: u32, at: Wall) -> Vec<u8> {
    signed_bytes(DOMAIN, federation, &codec::encode(&(node, incarnation, at)))
}

/// The answer to a hello. Who is let in gets the records that prove it, where they are new; who is not gets the reason.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// Whether the peer is taken for a member.
    pub accept: bool,
    /// Why not, as a stable code; empty where it is.
    pub code: String,
    /// Why not, and what to do, in a sentence; empty where it is.
    pub message: String,
    /// The chain that the newcomer shows from now on, its own admission first; opaque record frames.
    pub admission: Vec<Vec<u8>>,
}

/// A welcome within its bounds, either with a reason or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedWelcome(Welcome);

impl Welcome {
    /// A yes, with the records that prove it.
    pub fn accepted(admission: Vec<Vec<u8>>) -> Self {
        Welcome { accept: true, code: String::new(), message: String::new(), admission }
    }

    /// A no; what is too long of the sentence is cut off.
    pub fn refused(code: &str, message: &str) -> Self {
        let end = (0..=message.len().min(MESSAGE_BYTES_MAX)).rev().find(|at| message.is_char_boundary(*at));
        let message = message[..end.unwrap_or(0)].to_owned();
        Welcome { accept: false, code: code.into(), message, admission: Vec::new() }
    }

    /// Its frame.
    ///
    /// # Errors
    /// [`Error::Bound`] where the reader would refuse it.
    pub fn to_frame(&self) -> Result<Vec<u8>, Error> {
        self.check_bounds()?;
        Ok(frame(WELCOME_KIND, self))
    }

    /// Checks a frame in full: form and bounds. Its records prove themselves.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn check(bytes: &[u8]) -> Result<CheckedWelcome, Error> {
        let welcome: Welcome = read(WELCOME_KIND, bytes)?;
        welcome.check_bounds()?;
        Ok(CheckedWelcome(welcome))
    }

    fn check_bounds(&self) -> Result<(), Error> {
        let silent = self.code.is_empty() && self.message.is_empty();
        let is_code = (1..=CODE_BYTES_MAX).contains(&self.code.len())
            && self.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let says_why =
            is_code && is_plain(&self.message, MESSAGE_BYTES_MAX, false) && self.admission.is_empty();
        if !(if self.accept { silent } else { says_why }) {
            return Err(Error::Bound("a reason that does not fit its answer"));
        }
        check_chain(&self.admission)
    }
}

impl std::ops::Deref for CheckedWelcome {
    type Target = Welcome;

    fn deref(&self) -> &Welcome {
        &self.0
    }
}

fn check_chain(chain: &[Vec<u8>]) -> Result<(), Error> {
    if chain.len() > CHAIN_LINKS_MAX {
        return Err(Error::Bound("more admissions than a chain may have"));
    }
    let fits = |record: &Vec<u8>| (1..=CHAIN_RECORD_BYTES_MAX).contains(&record.len());
    if chain.iter().all(fits) { Ok(()) } else { Err(Error::Bound("an empty record, or too large a one")) }
}

fn frame<T: Encode>(kind: u16, value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::append(kind, VERSION, value, &mut bytes);
    bytes
}

fn read<T: Encode + Decode<()>>(kind: u16, bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > HELLO_BYTES_MAX {
        return Err(codec::Error::TooLarge.into());
    }
    let frame = Frame::parse(bytes)?;
    if frame.kind != kind {
        return Err(Error::Kind(frame.kind));
    }
    if frame.version != VERSION {
        return Err(Error::Version(frame.version));
    }
    Ok(codec::decode(frame.payload)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEDERATION: FederationId = FederationId([3; 32]);
    const AT: Wall = Wall(1_000_000_000);

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn expected() -> Expected {
        Expected { federation: FEDERATION, peer: NodeId(key().public()), now: AT }
    }

    fn hello() -> Hello {
        Hello {
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            chain: vec![vec![1, 2, 3]],
            secret: Some(InvitationSecret([0xd7; 16])),
            ..Hello::sign(FEDERATION, 2, AT, &key())
        }
    }

    #[test]
    fn a_hello_reads_back_and_shows_no_secret() {
        let frame = hello().to_frame().expect("within bounds");
        assert_eq!(frame[..4], [0x01, 0x01, 0x01, 0x00]);
        let read = Hello::check(&frame, &expected()).expect("our own");
        assert_eq!(*read, hello());
        let shown = format!("{read:?}");
        assert!(!shown.contains("215, 215") && !shown.contains("d7d7"), "{shown}");
    }

    #[test]
    fn a_hello_of_another_federation_node_time_or_key_is_refused() {
        let frame = hello().to_frame().expect("within bounds");
        let check = |change: &dyn Fn(&mut Expected)| {
            let mut expected = expected();
            change(&mut expected);
            Hello::check(&frame, &expected).map(drop)
        };
        let other = NodeId(SecretKey::from_seed(&[8; 32]).public());
        assert_eq!(check(&|_| {}), Ok(()));
        let elsewhere = FederationId([4; 32]);
        assert_eq!(check(&|e| e.federation = elsewhere), Err(Error::OtherFederation(FEDERATION)));
        assert_eq!(check(&|e| e.peer = other), Err(Error::OtherNode(hello().node)));
        for (now, good) in [
            (AT.0 + HELLO_SKEW_MS, true),
            (AT.0 - HELLO_SKEW_MS, true),
            (AT.0 + HELLO_SKEW_MS + 1, false),
            (AT.0 - HELLO_SKEW_MS - 1, false),
        ] {
            let wanted = if good { Ok(()) } else { Err(Error::Clock(AT)) };
            assert_eq!(check(&|e| e.now = Wall(now)), wanted, "{now}");
        }
        for change in [
            (|h: &mut Hello| h.incarnation = 3) as fn(&mut Hello),
            |h| h.at = Wall(AT.0 + 1),
            |h| h.signature = key().sign(b"something else"),
        ] {
            let mut changed = hello();
            change(&mut changed);
            let frame = changed.to_frame().expect("within bounds");
            assert_eq!(Hello::check(&frame, &expected()), Err(Error::Signature));
        }
    }

    #[test]
    fn a_hello_has_bounds_and_the_fullest_one_fits_its_frame() {
        let fullest = Hello {
            addresses: vec!["a".repeat(ADDRESS_BYTES_MAX); ADDRESSES_MAX],
            chain: vec![vec![1; CHAIN_RECORD_BYTES_MAX]; CHAIN_LINKS_MAX],
            ..hello()
        };
        let frame = fullest.to_frame().expect("at its bounds");
        assert!(frame.len() <= HELLO_BYTES_MAX, "{}", frame.len());
        assert_eq!(*Hello::check(&frame, &expected()).expect("at its bounds"), fullest);
        for (addresses, chain) in [
            (vec!["a".into(); ADDRESSES_MAX + 1], vec![]),
            (vec![], vec![vec![1]; CHAIN_LINKS_MAX + 1]),
            (vec![], vec![vec![]]),
            (vec![], vec![vec![1; CHAIN_RECORD_BYTES_MAX + 1]]),
        ] {
            let bad = Hello { addresses, chain, ..hello() };
            assert!(matches!(bad.to_frame(), Err(Error::Bound(_))));
            let sent = super::frame(HELLO_KIND, &bad);
            assert!(matches!(Hello::check(&sent, &expected()), Err(Error::Bound(_))));
        }
        let huge = vec![0; HELLO_BYTES_MAX + 1];
        assert_eq!(Hello::check(&huge, &expected()), Err(codec::Error::TooLarge.into()));
    }

    #[test]
    fn a_welcome_says_why_not_or_nothing() {
        let yes = Welcome::accepted(vec![vec![1]]);
        let no = Welcome::refused("invitation_spent", "the invitation is used up");
        for welcome in [&yes, &no] {
            let frame = welcome.to_frame().expect("within bounds");
            assert_eq!(Welcome::check(&frame).map(|read| read.0), Ok(welcome.clone()));
        }
        for bad in [
            Welcome { accept: false, ..yes.clone() },
            Welcome { accept: true, ..no.clone() },
            Welcome { admission: vec![vec![1]], ..no.clone() },
            Welcome { code: String::new(), ..no.clone() },
            Welcome { code: "No".into(), ..no.clone() },
            Welcome { code: "a".repeat(CODE_BYTES_MAX + 1), ..no.clone() },
            Welcome { message: "two\nlines".into(), ..no.clone() },
            Welcome { message: "x".repeat(MESSAGE_BYTES_MAX + 1), ..no.clone() },
            Welcome { admission: vec![vec![1]; CHAIN_LINKS_MAX + 1], ..yes.clone() },
        ] {
            assert!(bad.to_frame().is_err(), "{bad:?}");
            assert!(Welcome::check(&super::frame(WELCOME_KIND, &bad)).is_err(), "{bad:?}");
        }
        let long = Welcome::refused("x", &"é".repeat(MESSAGE_BYTES_MAX));
        assert!(long.to_frame().is_ok() && long.message.len() == MESSAGE_BYTES_MAX);
    }

    #[test]
    fn frames_of_another_kind_or_version_are_told_apart() {
        let welcome = Welcome::accepted(vec![]).to_frame().expect("within bounds");
        assert_eq!(Hello::check(&welcome, &expected()), Err(Error::Kind(WELCOME_KIND)));
        let mut newer = hello().to_frame().expect("within bounds");
        newer[2] = 2;
        assert_eq!(Hello::check(&newer, &expected()), Err(Error::Version(2)));
        assert_eq!(Error::Version(2).code(), "version_unknown");
    }
}
