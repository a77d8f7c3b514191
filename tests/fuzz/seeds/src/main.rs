//! Writes a seed corpus for every fuzz target from the golden vectors: `artel-fuzz-seeds VECTORS CORPUS`. The journal's
//! entries and the frames of visits have vectors of their own, beside the rules.
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
