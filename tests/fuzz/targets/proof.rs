//! Offline proofs: what reads is written the same, and checking a leaf against it ends.
#![no_main]

use artel_protocol::log::{Hash, Proof};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(proof) = Proof::parse_bytes(data) {
        assert_eq!(proof.to_string().as_bytes(), data);
        assert!(proof.verify(&Hash([7; 32])).is_err());
    }
});
