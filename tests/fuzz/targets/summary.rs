//! Summaries: what is checked has one form and stays in its bounds, and a frame's change is refused.
#![no_main]

use artel_protocol::codec::Frame;
use artel_protocol::id::FederationId;
use artel_protocol::summary::{Error, KIND, SUMMARY_MARKS_MAX, SUMMARY_SCORES_MAX, Summary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The federation that the viewer itself names, so that the checks behind that one are reached.
    let federation = match Frame::parse(data) {
        Ok(Frame { kind: KIND, payload, .. }) => payload.first_chunk().map_or([0; 32], |first: &[u8; 32]| *first),
        _ => [0; 32],
    };
    let Ok(summary) = Summary::check(data, &FederationId(federation)) else { return };
    assert_eq!(summary.bytes(), data);
    let said = summary.said();
    assert!(said.marks.len() <= SUMMARY_MARKS_MAX && said.marks.is_sorted());
    assert!((1..=SUMMARY_SCORES_MAX).contains(&said.scores.len()) && said.scores.is_sorted());
    let mut other = federation;
    other[0] ^= 1;
    assert_eq!(Summary::check(data, &FederationId(other)), Err(Error::Foreign));
});
