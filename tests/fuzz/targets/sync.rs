//! Messages of an exchange: what reads is written the same, and its head says its length.
#![no_main]

use artel_protocol::holes::{HOLES_MAX, Holes, clipped};
use artel_protocol::sync::{MARKS_MAX, Message, marks_digest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((head, payload)) = data.split_first_chunk() else {
        assert!(Message::decode(data).is_err());
        return;
    };
    let length = Message::payload_len(head);
    if let Ok(message) = Message::decode(data) {
        assert_eq!(message.encode(), data);
        assert_eq!(length, Ok(payload.len()));
        if let Message::Holes(holes) = &message {
            let ranges = holes.ranges();
            assert!(ranges.len() <= HOLES_MAX && ranges.is_sorted_by(|one, next| one.end < next.start));
            assert!(holes.has(holes.start()) && !holes.has(holes.end()));
            assert_eq!(clipped(ranges, 0..holes.end()), ranges);
            assert_eq!(Holes::new(holes.origin(), ranges.to_vec()).as_ref(), Some(holes));
        }
        if let Message::Marks(marks) = message {
            assert!(marks.len() <= MARKS_MAX && marks.is_sorted());
            if let Some((_, fewer)) = marks.split_last() {
                assert_ne!(marks_digest(&marks), marks_digest(fewer));
            }
        }
    }
});
