//! What the fuzz target of the WebSocket holds it to. Built for it alone.

use super::{frame, message};
use crate::correlation;
use crate::problem::{Code, Problem};

/// The largest message here: less than the target's longest input, so that the bound is met.
const MESSAGE_BYTES_MAX: usize = 2 << 10;

/// Frames say the same however their bytes come, and no message is larger than it may be.
///
/// # Panics
/// Where that does not hold.
pub fn frames(data: &[u8]) {
    let Some((step, bytes)) = data.split_first() else { return };
    let whole = frame::heard(bytes, bytes.len().max(1), MESSAGE_BYTES_MAX);
    assert_eq!(frame::heard(bytes, 1 + usize::from(*step), MESSAGE_BYTES_MAX), whole);
    for said in whole.iter().flatten() {
        assert!(said.len() <= MESSAGE_BYTES_MAX + "ping ".len());
        self::message(said.as_bytes());
    }
}

/// A message is read or refused, and what refuses it is JSON that bears its id.
///
/// # Panics
/// Where that does not hold.
pub fn message(data: &[u8]) {
    if std::str::from_utf8(data).is_err() {
        return;
    }
    let message::Message { id, correlation, asked } = message::read(data, correlation::fresh);
    let problem = asked.err().unwrap_or_else(|| Problem::edge(Code::Invalid));
    let correlation = correlation.unwrap_or_else(correlation::fresh);
    let refusal = message::refusal(id.as_deref(), &problem, &correlation);
    let refusal: serde_json::Value = serde_json::from_slice(&refusal).expect("a refusal is JSON");
    let bears: serde_json::Value =
        id.map_or(serde_json::Value::Null, |id| serde_json::from_str(&id).expect("an id is JSON"));
    assert_eq!(refusal["id"], bears);
}
