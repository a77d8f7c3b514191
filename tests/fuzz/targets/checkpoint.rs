//! Checkpoints, signed and unsigned, and origins: what reads is written the same.
#![no_main]

use artel_protocol::log::{Checkpoint, Origin, SignedCheckpoint};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(signed) = SignedCheckpoint::parse(text) {
        assert_eq!(signed.to_string(), text);
    }
    if let Ok(checkpoint) = Checkpoint::parse_body(text) {
        assert_eq!(checkpoint.body(), text);
    }
    if let Ok(origin) = Origin::parse(text) {
        assert_eq!(origin.to_string(), text);
    }
});
