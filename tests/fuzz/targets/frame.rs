//! Frames: what reads is written the same.
#![no_main]

use artel_protocol::codec::{FRAME_HEAD_BYTES, Frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = Frame::parse(data) {
        assert_eq!(frame.payload, &data[FRAME_HEAD_BYTES..]);
        assert_eq!(frame.kind.to_le_bytes(), data[..2]);
        assert_eq!(frame.version.to_le_bytes(), data[2..4]);
    }
});
