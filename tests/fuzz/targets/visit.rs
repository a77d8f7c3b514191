//! Frames between a home and a worker's node: what reads is written the same, and is within its bounds.
#![no_main]

use artel_federation::visit::message::{Act, Enough, Fetch, SENTENCE_BYTES_MAX, Served, Told, Visit};
use artel_protocol::json::check_value;
use artel_protocol::limits::{OUTPUT_BYTES_MAX, SKILLS_MAX, STEP_ARTIFACTS_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(visit) = Visit::read(data) {
        assert_eq!(visit.to_frame(), data);
        assert!(visit.skills.len() <= SKILLS_MAX && visit.skills.is_sorted());
        if let Act::Submit(handing) = visit.act {
            assert!(
                handing.output.len() <= OUTPUT_BYTES_MAX && handing.artifacts.len() <= STEP_ARTIFACTS_MAX
            );
            assert_eq!(check_value(handing.output.bytes()), Ok(()));
        }
    }
    if let Ok(told) = Told::read(data) {
        assert_eq!(told.to_frame(), data);
        if let Told::Refused { message, .. } = told {
            assert!(message.len() <= SENTENCE_BYTES_MAX);
        }
    }
    if let Ok(fetch) = Fetch::read(data) {
        assert_eq!(fetch.to_frame(), data);
    }
    if let Ok(enough) = Enough::read(data) {
        assert_eq!(enough.to_frame(), data);
    }
    if let Ok(served) = Served::read(data) {
        assert_eq!(served.to_frame(), data);
    }
});
