//! Vectors of signed notes, checkpoints, cosignatures and offline proofs.

use super::trees::{hashes, reader, root};
use super::values::{federation, secret};
use super::{file, number, path, rows, text};
use artel_protocol::key::NodeId;
use artel_protocol::log::note::{Kind, SignatureLine};
use artel_protocol::log::{Checkpoint, Class, Cosignature, Included, KeyName, Leaf, Note, NoteKey};
use artel_protocol::log::{Origin, Proof, SignedCheckpoint, Witness};
use artel_protocol::log::{inclusion, tree};
use serde_json::{Value, json};

/// The specification's own note and key (C2SP signed-note, "Example").
const SPEC_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SPEC_NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn key(name: &str, n: u8) -> (KeyName, NoteKey) {
    let name = KeyName::parse(name).expect("a plain name");
    let key = NoteKey::new(name.clone(), Kind::Ed25519, secret(n).public());
    (name, key)
}

fn signed(incarnation: u32, size: u64) -> SignedCheckpoint {
    let origin = Origin::new(federation(), NodeId(secret(7).public()), incarnation);
    let checkpoint = Checkpoint::new(origin, size, root(&hashes(size))).expect("a plain checkpoint");
    SignedCheckpoint::sign(checkpoint, &secret(7)).expect("its own key")
}

fn cosigned(checkpoint: &Checkpoint, witness: u8) -> Cosignature {
    Cosignature::sign(checkpoint, &secret(witness), 1_771_588_800).expect("a plain time")
}

pub fn note() -> Value {
    let row = |vkey: &NoteKey, note: &Note| json!({"vkey": vkey.vkey(), "text": note.text(), "note": note.to_string()});
    let spec =
        (NoteKey::from_vkey(SPEC_VKEY).expect("a verifier key"), Note::parse(SPEC_NOTE).expect("a note"));
    let (name, ours) = key("example.com/vector", 1);
    let plain = Note::sign("one line\n", &name, &secret(1)).expect("a note");
    let blank_lines = Note::sign("first\n\nsecond\n\n", &name, &secret(1)).expect("a note");
    let other = key("example.com/other", 2);
    let line = Note::sign("one line\n", &other.0, &secret(2)).expect("a note").signatures()[0].clone();
    let two = plain.clone().with(line).expect("two signatures");
    let text = plain.to_string();
    json!({
        "about": "each note verifies with its key; other lines are ignored",
        "notes": [row(&spec.0, &spec.1), row(&ours, &plain), row(&ours, &blank_lines), row(&ours, &two), row(&other.1, &two)],
        "malformed": [
            "", "text\n", "text\n\n", text.trim_end(), text.replace("— ", "- "), text.replace("one", "o\tne"),
            text.replace("one", "o\rne"), text.replace("=\n", "\n"), format!("{text}more\n"),
            text.replace("example.com/vector", "example.com/vec+tor"), text.replace("\n\n", "\n"),
        ],
        "unsigned": [text.replace("one", "two"), blank_lines.to_string().replace("second", "third")],
    })
}

pub fn checkpoint() -> Value {
    let row = |signed: &SignedCheckpoint| {
        json!({
            "origin": signed.origin().to_string(),
            "vkey": signed.origin().note_key().vkey(),
            "size": signed.size(),
            "root": signed.root().to_string(),
            "body": signed.checkpoint().body(),
            "note": signed.to_string(),
        })
    };
    let good = signed(3, 11).to_string();
    let resigned = |body: &str| {
        let name = KeyName::parse(&signed(3, 11).origin().to_string()).expect("a plain name");
        Note::sign(body, &name, &secret(7)).expect("a note").to_string()
    };
    let body = signed(3, 11).checkpoint().body();
    json!({
        "about": "node key: seed 07…07; roots as in tree.json",
        "checkpoints": [row(&signed(0, 0)), row(&signed(0, 1)), row(&signed(3, 11)), row(&signed(4_294_967_295, 70_000))],
        "refused": [
            good.replace("\n11\n", "\n12\n"),
            good.replace("/3\n", "/4\n"),
            resigned(&body.replace("\n11\n", "\n011\n")),
            resigned(&body.replace("\n11\n", "\n0\n")),
            resigned(&body.replace("\n11\n", "\n9223372036854775807\n")),
            resigned(&format!("{body}an extension line\n")),
            resigned(&body.replace("/3\n", "/03\n")),
            resigned(&body.replace("=\n", "\n")),
        ],
    })
}

pub fn cosignature() -> Value {
    let signed = signed(3, 11);
    let row = |witness: u8| {
        let cosignature = cosigned(signed.checkpoint(), witness);
        json!({
            "witness": cosignature.key().name().as_str(),
            "vkey": cosignature.key().vkey(),
            "at_s": cosignature.at_s(),
            "line": cosignature.line().to_string(),
        })
    };
    let line = cosigned(signed.checkpoint(), 8).line().to_string();
    let (head, tail) = line.split_at(line.len() - 8);
    json!({
        "checkpoint": signed.to_string(),
        "cosignatures": [row(8), row(9)],
        "refused_of_the_first": [
            format!("{head}{}", tail.replace(&tail[..1], if tail.starts_with('A') { "B" } else { "A" })),
            cosigned(signed_at_other_size().checkpoint(), 8).line().to_string(),
            cosigned(signed.checkpoint(), 9).line().to_string(),
        ],
    })
}

fn signed_at_other_size() -> SignedCheckpoint {
    signed(3, 12)
}

/// A public entry's leaf in a journal of eleven, with its opening as extra data, witnessed twice.
pub fn example() -> Proof {
    let mut leaves = hashes(11);
    leaves[5] = example_leaf().hash();
    let origin = Origin::new(federation(), NodeId(secret(7).public()), 3);
    let checkpoint = Checkpoint::new(origin, 11, root(&leaves)).expect("a plain checkpoint");
    let mut signed = SignedCheckpoint::sign(checkpoint, &secret(7)).expect("its own key");
    for witness in [8, 9] {
        signed = signed.with(cosigned(&checkpoint, witness).line()).expect("two witnesses");
    }
    let hashes = inclusion::prove(5, 11, reader(&leaves)).expect("within the tree");
    Proof::new(5, b"a body".to_vec(), hashes, signed).expect("small")
}

fn example_leaf() -> Leaf {
    Leaf::commit(Class::Public, 2, &[5; 16], b"a body")
}

pub fn proof() -> Value {
    let plain = |index: u64, size: u64| {
        let leaves = hashes(size);
        let proof = inclusion::prove(index, size, reader(&leaves)).expect("within the tree");
        let proof = Proof::new(index, Vec::new(), proof, signed(0, size)).expect("small");
        json!({"leaf": leaves[index as usize].to_string(), "proof": proof.to_string()})
    };
    let good = example().to_string();
    json!({
        "about": "the first one is example.tlog-proof; leaf is the leaf's hash",
        "proofs": [
            json!({"leaf": example_leaf().hash().to_string(), "proof": good}),
            plain(0, 1), plain(6, 7), plain(999, 1_000),
        ],
        "malformed": [
            "", good.replace("@v1", "@v2"), good.replace("index 5", "index 05"), good.replace("index 5\n", ""),
            good.replace("extra ", "extra  "), good.replace("index 5\n", "index 5\n\n"), good.replace("\n11\n", "\n12\n"),
            good.trim_end(),
        ],
        "not_of_the_first_leaf": [good.replace("index 5", "index 4"), good.replace("index 5", "index 11")],
    })
}

#[test]
fn notes_verify() {
    let file = file("note");
    for row in rows(&file, "notes") {
        let note = Note::parse(text(row, "note")).expect("a note");
        let key = NoteKey::from_vkey(text(row, "vkey")).expect("a verifier key");
        assert_eq!(note.text(), text(row, "text"));
        assert!(note.verify(&key).is_ok(), "{row}");
    }
    for row in rows(&file, "malformed") {
        assert!(Note::parse(row.as_str().expect("text")).is_err(), "{row}");
    }
    for row in rows(&file, "unsigned") {
        let note = Note::parse(row.as_str().expect("text")).expect("well-formed");
        assert!(note.verify(&key("example.com/vector", 1).1).is_err(), "{row}");
    }
}

#[test]
fn checkpoints_verify() {
    let file = file("checkpoint");
    for row in rows(&file, "checkpoints") {
        let signed = SignedCheckpoint::parse(text(row, "note")).expect("a signed checkpoint");
        assert_eq!(signed.origin().to_string(), text(row, "origin"));
        assert_eq!(signed.origin().note_key().vkey(), text(row, "vkey"));
        assert_eq!(
            (signed.size(), signed.root().to_string().as_str()),
            (number(row, "size"), text(row, "root"))
        );
    }
    for row in rows(&file, "refused") {
        assert!(SignedCheckpoint::parse(row.as_str().expect("text")).is_err(), "{row}");
    }
}

#[test]
fn cosignatures_verify() {
    let file = file("cosignature");
    let signed = SignedCheckpoint::parse(text(&file, "checkpoint")).expect("a signed checkpoint");
    let check = |row: &Value, line: &str| {
        let witness = Witness::parse(text(row, "witness")).expect("a witness's name");
        assert_eq!(witness.note_key().vkey(), text(row, "vkey"));
        let line = SignatureLine::parse(line).expect("a signature line");
        Cosignature::from_line(signed.checkpoint(), &witness.note_key(), &line)
    };
    for row in rows(&file, "cosignatures") {
        let cosignature = check(row, text(row, "line")).expect("it verifies");
        assert_eq!(cosignature.at_s(), number(row, "at_s"));
    }
    for line in rows(&file, "refused_of_the_first") {
        let first = &rows(&file, "cosignatures")[0];
        assert!(check(first, line.as_str().expect("text")).is_err(), "{line}");
    }
}

#[test]
fn proofs_verify_offline() {
    let file = file("proof");
    let leaf = |row: &Value| tree::Hash::from_base64(text(row, "leaf")).expect("a hash");
    for row in rows(&file, "proofs") {
        let proof = Proof::parse(text(row, "proof")).expect("a proof");
        let included: Included = proof.verify(&leaf(row)).expect("the leaf stands there");
        assert_eq!(included.checkpoint(), proof.checkpoint().checkpoint());
    }
    for row in rows(&file, "malformed") {
        assert!(Proof::parse(row.as_str().expect("text")).is_err(), "{row}");
    }
    let first = &rows(&file, "proofs")[0];
    for row in rows(&file, "not_of_the_first_leaf") {
        let proof = Proof::parse(row.as_str().expect("text")).expect("well-formed");
        assert!(proof.verify(&leaf(first)).is_err(), "{row}");
    }
    let held = std::fs::read_to_string(path("example.tlog-proof")).expect("the example is there");
    assert_eq!(held, text(first, "proof"));
}
