//! Signed notes, signature lines and verifier keys: what reads is written the same, and checking it ends.
#![no_main]

use artel_protocol::log::note::SignatureLine;
use artel_protocol::log::{Note, NoteKey};
use libfuzzer_sys::fuzz_target;

const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fuzz_target!(|data: &[u8]| {
    if let Ok(note) = Note::parse_bytes(data) {
        assert_eq!(note.to_string().as_bytes(), data);
        let _ = note.verify(&NoteKey::from_vkey(VKEY).expect("a verifier key"));
    }
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(line) = SignatureLine::parse(text) {
        assert_eq!(line.to_string(), text);
    }
    if let Ok(key) = NoteKey::from_vkey(text) {
        assert_eq!(key.vkey(), text);
    }
});
