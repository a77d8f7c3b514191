//! Vectors of frames of records: a journal of public and private entries, frames of some of them, and what is none.

use super::trees::{reader, root};
use super::values::{federation, secret};
use super::{bytes, file, number, padded, rows, text};
use artel_protocol::codec::{self, Frame};
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey, Signature};
use artel_protocol::log::{Checkpoint, Class, Hash, Leaf, Origin, Proof, SignedCheckpoint, subset};
use artel_protocol::record::{self, Error, Record, Records};
use serde_json::{Value, json};

/// What stands in a frame, sound or not.
#[derive(Clone)]
struct Parts {
    checkpoint: Checkpoint,
    signature: Signature,
    records: Vec<Record>,
    proof: Vec<Hash>,
}

impl Parts {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let value = (self.checkpoint, self.signature, self.records.clone(), self.proof.clone());
        Frame::append(record::KIND, record::VERSION, &value, &mut out);
        out
    }

    fn with(&self, change: impl FnOnce(&mut Parts)) -> Vec<u8> {
        let mut parts = self.clone();
        change(&mut parts);
        parts.bytes()
    }
}

/// One entry of the journal here.
#[derive(Clone)]
struct Entry {
    class: Class,
    public_seq: u64,
    salt: [u8; 16],
    body: Vec<u8>,
}

impl Entry {
    fn leaf(&self) -> Leaf {
        Leaf::commit(self.class, self.public_seq, &self.salt, &self.body)
    }
}

/// Twenty-one entries, of which five are private; one body is empty and one longer than the others.
fn journal() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for i in 0..21u8 {
        let class = if [2, 3, 9, 13, 17].contains(&i) { Class::Private } else { Class::Public };
        let body = match i {
            5 => vec![],
            11 => vec![0xb0; 300],
            _ => format!("body of entry {i}").into_bytes(),
        };
        let public_seq = entries.last().map_or(0, |entry| entry.leaf().next_public_seq());
        entries.push(Entry { class, public_seq, salt: [i; 16], body });
    }
    entries
}

fn leaves(entries: &[Entry]) -> Vec<Hash> {
    entries.iter().map(|entry| entry.leaf().hash()).collect()
}

fn checkpoint(federation: FederationId, entries: &[Entry]) -> Checkpoint {
    let origin = Origin::new(federation, NodeId(secret(7).public()), 3);
    Checkpoint::new(origin, entries.len() as u64, root(&leaves(entries))).expect("a plain checkpoint")
}

/// The parts of a frame of the records at these positions, as the journal's node makes it.
fn parts(federation: FederationId, entries: &[Entry], positions: &[u64]) -> Parts {
    let checkpoint = checkpoint(federation, entries);
    let record = |at: &u64| {
        let Entry { public_seq, salt, body, .. } = entries[*at as usize].clone();
        Record { index: *at, public_seq, salt, body }
    };
    let leaves = leaves(entries);
    let proof = subset::prove(positions, leaves.len() as u64, reader(&leaves)).expect("within the tree");
    let signature = secret(7).sign(checkpoint.body().as_bytes());
    Parts { checkpoint, signature, records: positions.iter().map(record).collect(), proof }
}

const SCATTERED: [u64; 4] = [0, 6, 11, 18];

/// One entry with a body of this many zero bytes, and its frame as the bytes before and behind them.
fn padded_body(zeros: usize) -> Value {
    let entry = Entry { class: Class::Public, public_seq: 0, salt: [1; 16], body: vec![0; zeros] };
    let bytes = parts(federation(), &[entry], &[0]).bytes();
    // Behind the body stands the number of the proof's hashes, which are none.
    let head = &bytes[..bytes.len() - 8 - zeros];
    json!({"head": hex::encode(head), "zeros": zeros, "tail": hex::encode([0; 8])})
}

/// The same signature with its S not reduced: the number and the group's order, which strict readers refuse.
fn unreduced(signature: &Signature) -> Signature {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (mut sum, mut carry) = (*signature, 0u16);
    for (byte, more) in sum.0[32..].iter_mut().zip(ORDER) {
        carry += u16::from(*byte) + u16::from(more);
        *byte = carry as u8;
        carry >>= 8;
    }
    sum
}

/// A checkpoint by the neutral point, "signed" by it too: a reader that takes points of small order believes every text.
fn weak(parts: &mut Parts) {
    let mut point = [0; 32];
    point[0] = 1;
    let origin = Origin::new(federation(), NodeId(PublicKey::from_bytes(point)), 3);
    parts.checkpoint = Checkpoint::new(origin, parts.checkpoint.size(), parts.checkpoint.root())
        .expect("a plain checkpoint");
    parts.signature = Signature([0; 64]);
    parts.signature.0[0] = 1;
}

fn refused() -> Vec<Value> {
    let (entries, home) = (journal(), federation());
    let good = parts(home, &entries, &SCATTERED);
    let bytes = good.bytes();
    let elsewhere = parts(FederationId([4; 32]), &entries, &SCATTERED);
    let head = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        changed
    };
    // The head says the length that the payload then has.
    let payload = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        let len = (changed.len() - 8) as u32;
        changed[4..8].copy_from_slice(&len.to_le_bytes());
        changed
    };
    // Where the frame's parts begin: federation, key, incarnation, size, root, signature, number of records.
    let (key_at, size_at, signature_at, count_at) = (8 + 32, 8 + 69, 8 + 109, 8 + 174);
    let only = |at: u64| parts(home, &entries, &[at]);
    let row = |about: &str, why: &str, frame: Vec<u8>| json!({"about": about, "why": why, "frame": hex::encode(frame)});
    vec![
        row("nothing", "codec", vec![]),
        row("a head without its last byte", "codec", bytes[..7].to_vec()),
        row("a last byte missing", "codec", bytes[..bytes.len() - 1].to_vec()),
        row("a byte behind the frame", "codec", [&bytes[..], &[0]].concat()),
        row("a byte behind the value, within the frame", "codec", payload(&|b| b.push(0))),
        row("a key of another algorithm", "codec", head(key_at, 2)),
        row("a signature of another algorithm", "codec", head(signature_at, 0)),
        row("more records claimed than there are bytes", "codec", head(count_at + 5, 1)),
        row("a tree of more than 2^62 leaves", "codec", head(size_at + 7, 0x40)),
        row(
            "an empty tree with another root than its own",
            "codec",
            payload(&|b| b[size_at..size_at + 8].copy_from_slice(&[0; 8])),
        ),
        row("a version that is not known", "unknown", head(2, 2)),
        row("version 0", "unknown", head(2, 0)),
        row("another kind", "unknown", head(0, 0x11)),
        row(
            "another kind with noise in it",
            "unknown",
            payload(&|b| {
                b[0] = 0x11;
                b.truncate(20);
            }),
        ),
        row("of another federation, sound there", "foreign", elsewhere.bytes()),
        row("of another federation, and not signed", "foreign", elsewhere.with(|p| p.signature.0[0] ^= 1)),
        row(
            "no record",
            "size",
            good.with(|p| {
                p.records.clear();
                p.proof = vec![p.checkpoint.root()];
            }),
        ),
        row("two records exchanged", "order", good.with(|p| p.records.swap(1, 2))),
        row("one record twice", "order", good.with(|p| p.records[1] = p.records[0].clone())),
        row("a number above the entry's index", "order", good.with(|p| p.records[0].public_seq = 1)),
        row("a number as of the one before", "order", good.with(|p| p.records[1].public_seq = 0)),
        row(
            "a number that rises faster than the entries",
            "order",
            good.with(|p| p.records[2].public_seq = 10),
        ),
        row(
            "out of order, and not signed",
            "order",
            good.with(|p| {
                p.records.swap(0, 3);
                p.signature.0[0] ^= 1;
            }),
        ),
        row("a changed signature", "signature", good.with(|p| p.signature.0[40] ^= 1)),
        row(
            "a signature by another key",
            "signature",
            good.with(|p| {
                p.signature = secret(8).sign(p.checkpoint.body().as_bytes());
            }),
        ),
        row(
            "a signature over the encoded checkpoint",
            "signature",
            good.with(|p| {
                p.signature = secret(7).sign(&codec::encode(&p.checkpoint));
            }),
        ),
        row(
            "a signature whose S is not reduced",
            "signature",
            good.with(|p| p.signature = unreduced(&p.signature)),
        ),
        row("a key of small order", "signature", good.with(weak)),
        row("another size", "signature", head(size_at, 20)),
        row("another root", "signature", head(size_at + 8, bytes[size_at + 8] ^ 1)),
        row("a private entry as a record", "tree", only(2).bytes()),
        row("another body", "tree", good.with(|p| p.records[1].body[0] ^= 1)),
        row("a byte before the body", "tree", good.with(|p| p.records[1].body.insert(0, 6))),
        row("another salt", "tree", good.with(|p| p.records[3].salt[15] ^= 1)),
        row("another number", "tree", good.with(|p| p.records[2].public_seq -= 1)),
        row("another index", "tree", good.with(|p| p.records[3].index = 19)),
        row("an index behind the last entry", "tree", good.with(|p| p.records[3].index = 21)),
        row("a changed hash in the proof", "tree", good.with(|p| p.proof[2].0[31] ^= 1)),
        row("two hashes of the proof exchanged", "tree", good.with(|p| p.proof.swap(0, 1))),
        row("a hash too few", "tree", good.with(|p| p.proof.truncate(p.proof.len() - 1))),
        row("a hash too many", "tree", good.with(|p| p.proof.push(Hash([0; 32])))),
        row("the proof of one record for two", "tree", good.with(|p| p.proof = only(6).proof)),
        row("a record left out", "tree", good.with(|p| drop(p.records.remove(1)))),
    ]
}

pub fn record() -> Value {
    let (entries, home) = (journal(), federation());
    let signed = SignedCheckpoint::sign(checkpoint(home, &entries), &secret(7)).expect("its own key");
    let public: Vec<u64> = (0..21).filter(|at| entries[*at as usize].class == Class::Public).collect();
    let frame = |about: &str, positions: &[u64]| {
        let frame = parts(home, &entries, positions).bytes();
        json!({"about": about, "positions": positions, "frame": hex::encode(frame)})
    };
    let all = Records::check(&parts(home, &entries, &public).bytes(), &home).expect("sound");
    let proof = |record: &Record| {
        let proof = all.proof_of(record.public_seq).expect("it is there");
        json!({"index": record.index, "public_seq": record.public_seq, "proof": proof.to_string()})
    };
    let zeros = (record::FRAME_RECORDS_MAX + 1) * 40;
    let mut crowded = parts(home, &entries, &[0]);
    crowded.records =
        vec![Record { index: 0, public_seq: 0, salt: [0; 16], body: vec![] }; record::FRAME_RECORDS_MAX + 1];
    crowded.proof = vec![];
    let mut crowded = crowded.bytes();
    crowded.truncate(crowded.len() - 8 - zeros);
    let with = |about: &str, why: Option<&str>, mut row: Value| {
        row["about"] = json!(about);
        if let Some(why) = why {
            row["why"] = json!(why);
        }
        row
    };
    let large = (record::FRAME_BYTES_MAX + 1 - 8) as u32;
    let large = [&[0x10, 1, 1, 0][..], &large.to_le_bytes()].concat();
    json!({
        "about": "node key: seed 07…07; bodies are opaque here; a padded frame is head, that many zero bytes, tail; why is the \
            first check that fails; every record's proof is the same out of every frame",
        "federation": home.to_string(),
        "journal": entries.iter().map(|entry| json!({
            "class": entry.class as u8, "public_seq": entry.public_seq, "salt": hex::encode(entry.salt),
            "body": hex::encode(&entry.body),
        })).collect::<Vec<_>>(),
        "checkpoint": signed.to_string(),
        "frames": [
            frame("every record", &public),
            frame("neighbours", &[4, 5, 6, 7, 8]),
            frame("neighbours among the public ones", &[1, 4, 5]),
            frame("scattered", &SCATTERED),
            frame("the first", &[0]),
            frame("the last", &[20]),
        ],
        "padded_frames": [with("the largest body", None, padded_body(record::BODY_BYTES_MAX))],
        "proofs": all.records().iter().map(proof).collect::<Vec<_>>(),
        "refused": refused(),
        "refused_padded": [
            with("a body too large, else sound", Some("size"), padded_body(record::BODY_BYTES_MAX + 1)),
            with("too many records, whatever they are", Some("size"), json!({
                "head": hex::encode(&crowded), "zeros": zeros, "tail": hex::encode([0; 8]),
            })),
            with("a frame too large, whatever is in it", Some("size"), json!({
                "head": hex::encode(large), "zeros": record::FRAME_BYTES_MAX + 1 - 8, "tail": "",
            })),
        ],
    })
}

/// The word for why a frame is refused.
fn why(error: &Error) -> &'static str {
    match error {
        Error::Codec(_) => "codec",
        Error::Unknown { .. } => "unknown",
        Error::Size { .. } => "size",
        Error::Foreign => "foreign",
        Error::Order { .. } => "order",
        Error::Checkpoint(_) => "signature",
        Error::Tree(_) => "tree",
    }
}

#[test]
fn frames_of_records_are_checked_and_each_has_its_proof() {
    let file = file("record");
    let home = FederationId::parse(text(&file, "federation")).expect("a federation's id");
    let proofs = rows(&file, "proofs");
    for row in rows(&file, "frames") {
        let read = Records::check(&bytes(row, "frame"), &home).expect("sound");
        assert_eq!(read.checkpoint().to_string(), text(&file, "checkpoint"));
        let indexes: Vec<u64> = read.records().iter().map(|record| record.index).collect();
        assert_eq!(json!(indexes), row["positions"]);
        for record in read.records() {
            let entry = &rows(&file, "journal")[record.index as usize];
            assert_eq!(
                (record.public_seq, &record.body),
                (number(entry, "public_seq"), &bytes(entry, "body"))
            );
            assert_eq!(record.salt[..], bytes(entry, "salt"));
            let row = &proofs[record.public_seq as usize];
            let proof = read.proof_of(record.public_seq).expect("it is there");
            assert_eq!(proof.to_string(), text(row, "proof"));
            let held = Proof::parse(text(row, "proof")).expect("a proof").verify(&record.leaf().hash());
            assert_eq!(held.map(|included| included.index()), Ok(number(row, "index")));
        }
    }
    for row in rows(&file, "padded_frames") {
        assert!(Records::check(&padded(row), &home).is_ok(), "{}", row["about"]);
    }
}

#[test]
fn other_frames_are_refused_for_the_reason_that_comes_first() {
    let file = file("record");
    let home = FederationId::parse(text(&file, "federation")).expect("a federation's id");
    let check = |row: &Value, frame: Vec<u8>| {
        let error = Records::check(&frame, &home).expect_err(text(row, "about"));
        assert_eq!(why(&error), text(row, "why"), "{}: {error}", row["about"]);
    };
    rows(&file, "refused").iter().for_each(|row| check(row, bytes(row, "frame")));
    rows(&file, "refused_padded").iter().for_each(|row| check(row, padded(row)));
}

#[test]
fn a_frame_may_have_as_many_records_as_the_limit_says_and_no_more() {
    for (count, fits) in [(record::FRAME_RECORDS_MAX, true), (record::FRAME_RECORDS_MAX + 1, false)] {
        let entry = |i| Entry { class: Class::Public, public_seq: i, salt: [0; 16], body: vec![] };
        let entries: Vec<Entry> = (0..count as u64).map(entry).collect();
        let positions: Vec<u64> = (0..count as u64).collect();
        let read = Records::check(&parts(federation(), &entries, &positions).bytes(), &federation());
        assert_eq!(read.is_ok(), fits, "{count}");
    }
}
