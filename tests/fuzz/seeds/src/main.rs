//! Writes a seed corpus for every fuzz target from the golden vectors: `artel-fuzz-seeds VECTORS CORPUS`. The journal's
//! entries and the frames of visits have vectors of their own, beside the rules; the WebSocket's messages stand here.
//!
//! Every text and every hex string in a file of vectors, good or refused, becomes a seed of the targets that read its kind.

use serde_json::Value;
use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;

/// Which file's strings go to which targets.
const FEEDS: &[(&str, &[&str])] = &[
    ("keys", &["text", "codec"]),
    ("ids", &["text"]),
    ("codec", &["codec", "frame", "text"]),
    ("leaf", &["leaf", "codec"]),
    ("tree", &["tree"]),
    ("inclusion", &["tree"]),
    ("consistency", &["tree"]),
    ("range", &["tree"]),
    ("subset", &["tree"]),
    ("tile", &["tile", "bundle"]),
    ("note", &["note"]),
    ("checkpoint", &["checkpoint", "note", "text"]),
    ("cosignature", &["cosignature", "text"]),
    ("proof", &["proof"]),
    ("record", &["record", "sync", "frame", "proof"]),
    ("sync", &["sync", "frame"]),
    ("topic", &["text"]),
    ("witness", &["witness", "frame"]),
    ("invitation", &["invitation"]),
    ("hello", &["hello", "frame"]),
    ("summary", &["summary", "frame"]),
];

/// Which lists of hex words beside the rules go to which targets.
const LISTS: [(&str, &[&str]); 4] =
    [("entries", &["entry"]), ("nodes", &["entry"]), ("abroad", &["entry"]), ("visits", &["visit", "frame"])];

/// Messages as clients send them over the WebSocket (OPERATIONS, "The WebSocket").
const MESSAGES: [&str; 8] = [
    r#"{"type":"authenticate","token":"t"}"#,
    r#"{"type":"claim_next","id":1,"data":{"agent_capabilities":["coding"],"wait_ms":20000}}"#,
    r#"{"type":"claim","id":"a","task_id":"019c7aeb-ce00-7000-8000-000000000001"}"#,
    r#"{"type":"submit","id":2,"task_id":"019c7aeb-ce00-7000-8000-000000000001","data":{"epoch":1,"output":{},"claim_next":{}}}"#,
    r#"{"type":"post","id":3,"idempotency_key":"k","correlation_id":"c","data":{"title":"t","reward":1.5}}"#,
    r#"{"type":"subscribe","id":4,"data":{"feed":"notices","after":"5.0f1e2d3c","types":["quality"]}}"#,
    r#"{"type":"acknowledge","id":5,"data":{"up_to":"now"}}"#,
    r#"{"type":"unsubscribe","id":6}"#,
];

/// A frame as a client sends it, its mask all zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0xfe], &(payload.len() as u16).to_be_bytes()[..], &[0; 4], payload].concat()
}

/// Messages by themselves, in a frame, and in two with a ping between them; a frame's seed begins with how it is cut.
fn socket_seeds() -> BTreeSet<Vec<u8>> {
    let of_message = |text: &&str| {
        let (head, tail) = text.as_bytes().split_at(text.len() / 2);
        let ping = [0x89, 0x81, 0, 0, 0, 0, b'p'];
        let joined = [&[7], &frame(0x01, head)[..], &ping, &frame(0x80, tail), &[0x88, 0x80, 0, 0, 0, 0]];
        [text.as_bytes().to_vec(), [&[0], &frame(0x81, text.as_bytes())[..]].concat(), joined.concat()]
    };
    MESSAGES.iter().flat_map(of_message).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(vectors), Some(corpus)) = (arguments.next(), arguments.next()) else {
        return Err("want the vectors' folder and the corpus' folder".into());
    };
    let journals = Path::new(&vectors).join("../../federation/vectors");
    for (file, targets) in LISTS {
        let text = std::fs::read_to_string(journals.join(file).with_extension("txt"))?;
        let seeds: BTreeSet<Vec<u8>> =
            text.split_whitespace().filter_map(|word| hex::decode(word).ok()).collect();
        write(&corpus, file, &seeds, targets)?;
    }
    for (file, targets) in FEEDS {
        let text = std::fs::read_to_string(Path::new(&vectors).join(file).with_extension("json"))?;
        let mut seeds = BTreeSet::new();
        collect(&serde_json::from_str(&text)?, &mut seeds);
        write(&corpus, file, &seeds, targets)?;
    }
    write(&corpus, "message", &socket_seeds(), &["socket"])?;
    Ok(())
}

fn write(corpus: &OsStr, file: &str, seeds: &BTreeSet<Vec<u8>>, targets: &[&str]) -> std::io::Result<()> {
    for target in targets {
        let folder = Path::new(corpus).join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("{file}-{number}")), seed)?;
        }
    }
    Ok(())
}

/// Gathers every string as it stands, and as the bytes that it is the hex of. A row of numbers and hashes also becomes the
/// bytes that the tree target reads: its numbers, then its hashes.
fn collect(value: &Value, seeds: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::String(text) => {
            seeds.insert(text.as_bytes().to_vec());
            seeds.extend(hex::decode(text));
        }
        Value::Array(rows) => rows.iter().for_each(|row| collect(row, seeds)),
        Value::Object(fields) => {
            let mut bytes: Vec<u8> =
                fields.values().filter_map(Value::as_u64).flat_map(u64::to_le_bytes).collect();
            bytes.resize(
                bytes.len() + 32 * fields.get("proof").and_then(Value::as_array).map_or(0, Vec::len),
                7,
            );
            seeds.insert(bytes);
            fields.values().for_each(|field| collect(field, seeds));
        }
        _ => {}
    }
}
