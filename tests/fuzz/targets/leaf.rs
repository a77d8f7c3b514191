//! Leaves: what reads is written the same.
#![no_main]

use artel_protocol::log::Leaf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(leaf) = Leaf::parse(data) {
        assert_eq!(leaf.to_bytes(), data);
        assert!(leaf.next_public_seq() >= leaf.public_seq());
    }
});
