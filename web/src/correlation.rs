//! Correlation ids: the caller's where it is one, else a fresh one in the form of a UUID (version 7).

use artel_protocol::id::uuid;
use artel_protocol::text::Correlation;
use axum::http::{HeaderMap, HeaderName};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The header, in and out.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// Takes the caller's id or makes one.
pub(crate) fn of(headers: &HeaderMap) -> Correlation {
    let given = headers.get(HEADER).and_then(|value| value.to_str().ok());
    given.and_then(Correlation::parse).unwrap_or_else(fresh)
}

/// A new id: the moment, and a keyed hash of a counter. It tells requests apart; it is no secret.
pub(crate) fn fresh() -> Correlation {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let bits = KEY.hash_one(n);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&(0x7000 | n as u16 & 0xfff).to_be_bytes());
    bytes[8..].copy_from_slice(&(1 << 63 | bits >> 2).to_be_bytes());
    Correlation::parse(&uuid(&bytes)).expect("36 visible characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_id_is_replaced_by_a_fresh_one() {
        let mut headers = HeaderMap::new();
        let (a, b) = (of(&headers), of(&headers));
        assert_ne!(a, b);
        assert!(artel_protocol::id::EnrollmentId::parse(a.as_str()).is_ok(), "{a}");
        headers.insert(HEADER, "mine-7".parse().expect("a value"));
        assert_eq!(of(&headers).as_str(), "mine-7");
        headers.insert(HEADER, "not mine".parse().expect("a value"));
        assert_ne!(of(&headers).as_str(), "not mine");
    }
}
