//! Vectors of invitations, hellos and welcomes.

use super::values::{federation, secret};
use super::{bytes, file, number, rows, text};
use artel_protocol::codec;
use artel_protocol::hello::{Error, Expected, Hello, Welcome};
use artel_protocol::id::FederationId;
use artel_protocol::invitation::{ADDRESSES_MAX, Invitation, InvitationSecret, PREFIX};
use artel_protocol::key::{NodeId, signed_bytes};
use artel_protocol::time::Wall;
use serde_json::{Value, json};

const AT: Wall = Wall(1_771_588_800_123);

/// The golden genesis of `federation/vectors/entries.txt` would do as well: here it is opaque.
const GENESIS: &[u8] = b"an encoded genesis record";

fn addresses() -> Vec<String> {
    vec!["/ip4/127.0.0.1/udp/7434/quic-v1".into(), "/dns/node.example/tcp/7434".into()]
}

fn made(addresses: Vec<String>, secret_byte: Option<u8>) -> Invitation {
    let secret_bytes = secret_byte.map(|byte| InvitationSecret([byte; 16]));
    Invitation::sign(GENESIS.to_vec(), addresses, secret_bytes, AT, &secret(7)).expect("within bounds")
}

/// `text` with one character of what follows the prefix replaced by another of the alphabet.
fn changed(text: &str, at: usize) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let place = PREFIX.len() + at;
    chars[place] = if chars[place] == 'A' { 'B' } else { 'A' };
    chars.into_iter().collect()
}

pub fn invitation() -> Value {
    let row = |invitation: Invitation| {
        json!({
            "genesis": hex::encode(invitation.genesis()),
            "federation": invitation.federation().to_string(),
            "issuer": invitation.issuer().to_string(),
            "addresses": invitation.addresses(),
            "secret": invitation.secret().map(|secret| hex::encode(secret.0)),
            "digest": invitation.secret().map(|secret| secret.digest().to_string()),
            "until": invitation.until().0,
            "bytes": hex::encode(invitation.encode()),
            "text": invitation.to_string(),
        })
    };
    let plain = made(addresses(), Some(0xd7));
    let text = plain.to_string();
    json!({
        "about": "invitations, signed by the issuer's key over domain `invitation`; the secret is none where the federation is open",
        "invitations": [row(plain), row(made(vec![], None))],
        "refused": [
            "", PREFIX, text.replace("-1:", "-2:"), format!("{text}="), format!("{text} "), &text[..text.len() - 4],
            changed(&text, 20), changed(&text, 200), text.to_uppercase(),
        ],
    })
}

fn hellos() -> Vec<Hello> {
    let bare = Hello::sign(federation(), 0, AT, &secret(7));
    let full = Hello {
        addresses: addresses(),
        chain: vec![vec![1, 2, 3], vec![4]],
        secret: Some(InvitationSecret([0xd7; 16])),
        ..Hello::sign(federation(), 3, AT, &secret(8))
    };
    vec![bare, full]
}

fn welcomes() -> Vec<Welcome> {
    vec![
        Welcome::accepted(vec![]),
        Welcome::accepted(vec![vec![1, 2, 3], vec![4]]),
        Welcome::refused(
            "invitation_spent",
            "the invitation has let in as many nodes as it may; ask for a new one",
        ),
    ]
}

fn hexes(frames: &[Vec<u8>]) -> Vec<String> {
    frames.iter().map(hex::encode).collect()
}

pub fn hello() -> Value {
    let row = |hello: &Hello| {
        let payload = codec::encode(&(hello.node, hello.incarnation, hello.at));
        json!({
            "federation": hello.federation.to_string(),
            "node": hello.node.to_string(),
            "incarnation": hello.incarnation,
            "at": hello.at.0,
            "signed": hex::encode(signed_bytes("hello", &hello.federation, &payload)),
            "signature": hex::encode(hello.signature.0),
            "addresses": hello.addresses,
            "chain": hexes(&hello.chain),
            "secret": hello.secret.map(|secret| hex::encode(secret.0)),
            "bytes": hex::encode(hello.to_frame().expect("within bounds")),
        })
    };
    let welcome_row = |welcome: &Welcome| {
        json!({
            "accept": welcome.accept,
            "code": welcome.code,
            "message": welcome.message,
            "admission": hexes(&welcome.admission),
            "bytes": hex::encode(welcome.to_frame().expect("within bounds")),
        })
    };
    json!({
        "about": "hellos, signed over domain `hello`, and the welcomes that answer them; chains are opaque record frames",
        "hellos": hellos().iter().map(row).collect::<Vec<_>>(),
        "welcomes": welcomes().iter().map(welcome_row).collect::<Vec<_>>(),
        "refused_hellos": refused_hellos(),
        "refused_welcomes": refused_welcomes(),
    })
}

/// The second hello's frame with its payload changed, and its length set right.
fn refused_hellos() -> Vec<String> {
    let full = hellos().remove(1);
    let frame = full.to_frame().expect("within bounds");
    let with = |at: usize, value: u8| {
        let mut changed = frame.clone();
        changed[at] = value;
        hex::encode(changed)
    };
    let framed = |hello: &Hello| {
        let mut out = Vec::new();
        codec::Frame::append(0x0101, 1, hello, &mut out);
        hex::encode(out)
    };
    let unsigned = Hello { incarnation: 4, ..full.clone() };
    let many = Hello { addresses: vec!["/dns/a".into(); ADDRESSES_MAX + 1], ..full.clone() };
    let empty_record = Hello { chain: vec![vec![]], ..full };
    vec![with(0, 2), with(2, 2), with(4, 0), framed(&unsigned), framed(&many), framed(&empty_record)]
}

fn refused_welcomes() -> Vec<String> {
    let [yes, _, no] = <[Welcome; 3]>::try_from(welcomes()).expect("three of them");
    let framed = |welcome: &Welcome| {
        let mut out = Vec::new();
        codec::Frame::append(0x0102, 1, welcome, &mut out);
        hex::encode(out)
    };
    vec![
        framed(&Welcome { accept: false, ..yes.clone() }),
        framed(&Welcome { accept: true, ..no.clone() }),
        framed(&Welcome { code: "Spent".into(), ..no.clone() }),
        framed(&Welcome { message: "two\nlines".into(), ..no.clone() }),
        framed(&Welcome { admission: vec![vec![1]], ..no }),
        framed(&Welcome { admission: vec![vec![]], ..yes }),
    ]
}

#[test]
fn invitations_read_and_others_are_refused() {
    let file = file("invitation");
    for row in rows(&file, "invitations") {
        let read = Invitation::parse(text(row, "text")).expect("an invitation");
        assert_eq!(Invitation::decode(&bytes(row, "bytes")).as_ref(), Ok(&read));
        assert_eq!(read.until().0, number(row, "until"));
        assert_eq!(FederationId::parse(text(row, "federation")), Ok(read.federation()));
    }
    for text in rows(&file, "refused") {
        assert!(Invitation::parse(text.as_str().expect("text")).is_err(), "{text}");
    }
}

#[test]
fn hellos_and_welcomes_read_and_others_are_refused() {
    let file = file("hello");
    let expected = |row: &Value| Expected {
        federation: FederationId::parse(text(row, "federation")).expect("an id"),
        peer: NodeId::from_did(text(row, "node")).expect("a did"),
        now: Wall(number(row, "at")),
    };
    let mut last = None;
    for row in rows(&file, "hellos") {
        assert!(Hello::check(&bytes(row, "bytes"), &expected(row)).is_ok(), "{row}");
        last = Some(expected(row));
    }
    for refused in rows(&file, "refused_hellos") {
        let bytes = hex::decode(refused.as_str().expect("text")).expect("hex");
        let read = Hello::check(&bytes, &last.expect("there was one"));
        // It is what is wrong with it that is refused, not whose it is.
        assert!(!matches!(read, Ok(_) | Err(Error::OtherFederation(_) | Error::OtherNode(_))), "{refused}");
    }
    for row in rows(&file, "welcomes") {
        let read = Welcome::check(&bytes(row, "bytes")).expect("a welcome");
        assert_eq!((read.accept, read.code.as_str()), (row["accept"] == true, text(row, "code")));
    }
    for refused in rows(&file, "refused_welcomes") {
        let bytes = hex::decode(refused.as_str().expect("text")).expect("hex");
        assert!(Welcome::check(&bytes).is_err(), "{refused}");
    }
}
