//! Vectors of keys, ids, and values in the one encoding.

use super::{bytes, file, rows, text};
use artel_protocol::amount::Credits;
use artel_protocol::codec::{self, Decode, Encode, Frame};
use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, Epoch, FederationId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, PublicKey, SecretKey, Signature, signed_bytes};
use artel_protocol::log::{Checkpoint, Class, Hash, Origin};
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use serde_json::{Value, json};
use std::fmt::Debug;

const MESSAGE: &[u8] = b"artel";

pub fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

pub fn federation() -> FederationId {
    FederationId(Digest::of(b"a federation for vectors").0)
}

pub fn keys() -> Value {
    let row = |n: u8| {
        let secret = secret(n);
        let public = secret.public();
        let signed = signed_bytes("vector", &federation(), MESSAGE);
        json!({
            "seed": hex::encode([n; 32]),
            "pem": *secret.to_pem(),
            "public": hex::encode(public.bytes()),
            "did": public.did(),
            "peer_id": public.peer_id(),
            "encoded": hex::encode(codec::encode(&public)),
            "message": hex::encode(MESSAGE),
            "signature": hex::encode(secret.sign(MESSAGE).0),
            "signed_bytes": hex::encode(&signed),
            "signature_of_signed_bytes": hex::encode(secret.sign(&signed).0),
        })
    };
    json!({
        "about": "Ed25519 keys; signed_bytes is of domain `vector` and the federation below over the message",
        "federation": federation().to_string(),
        "keys": [row(0), row(1), row(7), row(255)],
        "refused_dids": [
            "", "did:key:z", "did:web:example.com",
            "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
            PublicKey::from_bytes([0; 32]).did(),
        ],
        "refused_peer_ids": [
            "", "12D3Koo", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
            PublicKey::from_bytes([0; 32]).peer_id(),
        ],
    })
}

pub fn ids() -> Value {
    let at = Wall(1_771_588_800_123);
    let run = RunId::new(at, [7; 9]);
    let steps: Vec<Value> = [0, 1, 199].map(|n| json!({"index": n, "step": run.step(n).to_string()})).into();
    json!({
        "about": "an id is a UUID of version 7: the moment, 9 bytes of entropy, and a last byte that is the step's number",
        "digest": {"of": hex::encode(MESSAGE), "text": Digest::of(MESSAGE).to_string()},
        "at_ms": at.0,
        "iso8601": at.iso8601(),
        "entropy": hex::encode([7; 9]),
        "run": run.to_string(),
        "steps": steps,
        "artifact": ArtifactId::new(at, [7; 9]).to_string(),
        "enrollment": EnrollmentId::new(at, [7; 9]).to_string(),
        "refused_runs": [run.step(0).to_string(), run.to_string().replace('-', ""), "x"],
        "refused_steps": [run.to_string(), format!("{}c9", &run.to_string()[..34])],
    })
}

/// One value and its bytes, after a look that they read back as the value.
fn row<T: Encode + Decode<()> + PartialEq + Debug>(kind: &str, shown: impl ToString, value: &T) -> Value {
    let bytes = codec::encode(value);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value), "{kind}");
    json!({"type": kind, "value": shown.to_string(), "bytes": hex::encode(bytes)})
}

pub fn codec() -> Value {
    let public = secret(7).public();
    let signature: Signature = secret(7).sign(MESSAGE);
    let skill = Skill::parse("rust@2").expect("a skill");
    let correlation = Correlation::parse("req-1").expect("a correlation id");
    let run = RunId::new(Wall(1_771_588_800_123), [7; 9]);
    let origin = Origin::new(federation(), NodeId(public), 3);
    let root = Hash(Digest::of(MESSAGE).0);
    let checkpoint = Checkpoint::new(origin, 12, root).expect("a plain checkpoint");
    let mut frame = Vec::new();
    Frame::append(3, 1, &9u32, &mut frame);
    json!({
        "about": "fixed-width little-endian integers, lengths as u64, enum tags as u32, options as one byte",
        "values": [
            row("u8", 7, &7u8),
            row("u16", 258, &258u16),
            row("u32", 16_909_060, &16_909_060u32),
            row("u64", u64::MAX, &u64::MAX),
            row("bool", true, &true),
            row("string", "é", &"é".to_owned()),
            row("bytes", "0102", &vec![1u8, 2]),
            row("option of u16", "none", &None::<u16>),
            row("option of u16", "some 258", &Some(258u16)),
            row("Wall", 1_771_588_800_123u64, &Wall(1_771_588_800_123)),
            row("Credits", "0.25", &Credits(250_000)),
            row("Epoch", 3, &Epoch(3)),
            row("Digest", root_hex(&root), &Digest(root.0)),
            row("Hash", root_hex(&root), &root),
            row("FederationId", federation(), &federation()),
            row("RunId", run, &run),
            row("StepId", run.step(41), &run.step(41)),
            row("PublicKey", public.did(), &public),
            row("NodeId", NodeId(public), &NodeId(public)),
            row("AgentId", AgentId(public), &AgentId(public)),
            row("Signature", hex::encode(signature.0), &signature),
            row("Skill", &skill, &skill),
            row("Correlation", &correlation, &correlation),
            row("Class", "private", &Class::Private),
            row("Class", "public", &Class::Public),
            row("Origin", origin, &origin),
            row("Checkpoint", checkpoint.body(), &checkpoint),
        ],
        "frames": [{"kind": 3, "version": 1, "payload": "09000000", "bytes": hex::encode(frame)}],
        "refused_bools": ["02", "", "0000"],
        "refused_strings": ["0100000000000000ff", "0200000000000000c3", "ffffffffffffffff"],
        "refused_keys": [
            format!("02{}", hex::encode(public.bytes())),
            format!("00{}", hex::encode(public.bytes())),
            hex::encode(public.bytes()),
        ],
        "refused_frames": ["03000100040000000900", "0300010004000000090000", "030001000300000009000000"],
    })
}

fn root_hex(hash: &Hash) -> String {
    hex::encode(hash.0)
}

#[test]
fn keys_read_in_every_form() {
    let file = file("keys");
    for row in rows(&file, "keys") {
        let public = PublicKey::from_did(text(row, "did")).expect("a did");
        assert_eq!(PublicKey::from_peer_id(text(row, "peer_id")), Ok(public));
        assert_eq!(codec::decode(&bytes(row, "encoded")), Ok(public));
        assert_eq!(public.bytes()[..], bytes(row, "public"));
        let pem = SecretKey::from_pem(text(row, "pem")).expect("a private key");
        assert_eq!(pem.public(), public);
        for (message, signature) in [("message", "signature"), ("signed_bytes", "signature_of_signed_bytes")]
        {
            let signature = Signature(bytes(row, signature).try_into().expect("64 bytes"));
            assert_eq!(public.verify(&bytes(row, message), &signature), Ok(()));
        }
    }
    for did in rows(&file, "refused_dids") {
        assert!(PublicKey::from_did(did.as_str().expect("text")).is_err(), "{did}");
    }
    for peer_id in rows(&file, "refused_peer_ids") {
        assert!(PublicKey::from_peer_id(peer_id.as_str().expect("text")).is_err(), "{peer_id}");
    }
}

#[test]
fn ids_read() {
    let file = file("ids");
    let run = RunId::parse(text(&file, "run")).expect("a run's id");
    for row in rows(&file, "steps") {
        let step = StepId::parse(text(row, "step")).expect("a step's id");
        assert_eq!((step.run(), step.index() as u64), (run, super::number(row, "index")));
    }
    for id in rows(&file, "refused_runs") {
        assert!(RunId::parse(id.as_str().expect("text")).is_err(), "{id}");
    }
    for id in rows(&file, "refused_steps") {
        assert!(StepId::parse(id.as_str().expect("text")).is_err(), "{id}");
    }
}

#[test]
fn other_bytes_are_refused() {
    fn none_reads<T: Encode + Decode<()>>(file: &Value, key: &str) {
        for row in rows(file, key) {
            let bytes = hex::decode(row.as_str().expect("text")).expect("hex");
            assert!(codec::decode::<T>(&bytes).is_err(), "{key}: {row}");
        }
    }
    let file = file("codec");
    none_reads::<bool>(&file, "refused_bools");
    none_reads::<String>(&file, "refused_strings");
    none_reads::<PublicKey>(&file, "refused_keys");
    for row in rows(&file, "refused_frames") {
        let bytes = hex::decode(row.as_str().expect("text")).expect("hex");
        assert!(Frame::parse(&bytes).is_err(), "{row}");
    }
    for row in rows(&file, "frames") {
        let held = bytes(row, "bytes");
        let frame = Frame::parse(&held).expect("a frame");
        assert_eq!((u64::from(frame.kind), u64::from(frame.version)), (3, 1));
        assert_eq!(frame.payload, bytes(row, "payload"));
    }
}
