//! The golden vectors in `protocol/vectors/`: what is written there is what this crate writes, and it reads it back.
//!
//! A vector never changes for a version that nodes speak. To add some, extend the functions here and run
//! `cargo test -p artel-protocol --test vectors -- --ignored rewrite`; a changed line in an old one is a broken peer.

mod exchange;
mod members;
mod notes;
mod records;
mod summaries;
mod trees;
mod values;
mod witnesses;

use serde_json::Value;
use std::path::PathBuf;

/// Every file of vectors by its name.
fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("keys", values::keys()),
        ("ids", values::ids()),
        ("codec", values::codec()),
        ("leaf", trees::leaf()),
        ("tree", trees::tree()),
        ("inclusion", trees::inclusion()),
        ("consistency", trees::consistency()),
        ("range", trees::range()),
        ("subset", trees::subset()),
        ("tile", trees::tile()),
        ("note", notes::note()),
        ("checkpoint", notes::checkpoint()),
        ("cosignature", notes::cosignature()),
        ("proof", notes::proof()),
        ("record", records::record()),
        ("sync", exchange::sync()),
        ("topic", exchange::topic()),
        ("witness", witnesses::witness()),
        ("invitation", members::invitation()),
        ("hello", members::hello()),
        ("summary", summaries::summary()),
    ]
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

/// A file of vectors as it stands in the tree.
fn file(name: &str) -> Value {
    let text = std::fs::read_to_string(path(&format!("{name}.json"))).expect("the file of vectors is there");
    serde_json::from_str(&text).expect("the file of vectors is JSON")
}

/// The rows under `key`, of which there is at least one: a loop over none would pass whatever the code does.
fn rows<'a>(file: &'a Value, key: &str) -> &'a Vec<Value> {
    let rows = file[key].as_array().expect("a list of rows");
    assert!(!rows.is_empty(), "no rows under {key}");
    rows
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {row}"))
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} is no number in {row}"))
}

fn bytes(row: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(row, key)).expect("hex")
}

/// The bytes of a row that is too long to be written out: head, zeros, tail.
fn padded(row: &Value) -> Vec<u8> {
    [bytes(row, "head"), vec![0; number(row, "zeros") as usize], bytes(row, "tail")].concat()
}

#[test]
fn every_vector_is_what_this_crate_writes() {
    for (name, value) in all() {
        let held = file(name);
        for (key, now) in value.as_object().expect("a file is an object") {
            assert_eq!(&held[key], now, "{name}.json: {key}");
        }
        assert_eq!(held, value, "{name}.json");
    }
}

#[test]
#[ignore = "writes the files that the other tests read"]
fn rewrite() {
    for (name, value) in all() {
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        std::fs::write(path(&format!("{name}.json")), pretty + "\n")
            .expect("the vectors' folder can be written");
    }
    std::fs::write(path("example.tlog-proof"), notes::example().to_string()).expect("likewise");
}
