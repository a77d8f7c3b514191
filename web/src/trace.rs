//! Trace contexts of callers (W3C Trace Context, level 1): read from `traceparent`, told to the service, answered with
//! `traceresponse` (level 2). Only where the operator has traces go somewhere.

use artel_protocol::text::Correlation;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// A caller's trace, and the place of this request in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: [u8; 16],
    /// The caller's span.
    pub parent: [u8; 8],
    /// This request's span, a fresh one.
    pub id: [u8; 8],
    /// Whether the caller records the trace.
    pub sampled: bool,
}

/// An answered request of a caller with a context.
#[derive(Debug)]
pub struct Request<'a> {
    /// The context.
    pub context: &'a Context,
    /// The request's correlation id.
    pub correlation: &'a Correlation,
    /// The method.
    pub method: &'a str,
    /// The route's template.
    pub route: &'a str,
    /// The answer's status.
    pub status: u16,
    /// When it began, in nanoseconds since 1970.
    pub began_ns: u64,
    /// How long it took, in nanoseconds.
    pub took_ns: u64,
}

/// The caller's context; nothing where there is none, or one of another form.
pub(crate) fn of(headers: &HeaderMap) -> Option<Context> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (Some(given), None) = (given.next(), given.next()) else { return None };
    let (trace, parent, sampled) = read(given.to_str().ok()?)?;
    Some(Context { trace, parent, id: fresh(), sampled })
}

/// Says in an answer which span the request was.
pub(crate) fn answer(context: &Context, headers: &mut HeaderMap) {
    let (trace, id) = (u128::from_be_bytes(context.trace), u64::from_be_bytes(context.id));
    let text = format!("00-{trace:032x}-{id:016x}-{:02x}", u8::from(context.sampled));
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(TRACERESPONSE, value);
    }
}

/// `version-trace-parent-flags`, in lower-case hex. A later version may have more behind it; `ff` is none.
fn read(text: &str) -> Option<([u8; 16], [u8; 8], bool)> {
    let mut parts = text.split('-');
    let version = hex::<1>(parts.next()?)?[0];
    let (trace, parent, flags) =
        (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?, hex::<1>(parts.next()?)?[0]);
    let is_known = version != 0xff && (version > 0 || parts.next().is_none());
    (is_known && trace != [0; 16] && parent != [0; 8]).then_some((trace, parent, flags & 1 == 1))
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 2 * N || !text.bytes().all(plain) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// A span's id: a keyed hash of a counter. It tells spans apart; it is no secret.
fn fresh() -> [u8; 8] {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    KEY.hash_one(COUNT.fetch_add(1, Ordering::Relaxed)).max(1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_in_its_one_form() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (trace, parent, sampled) = read(good).expect("the standard's own example");
        assert_eq!((trace[0], trace[15], parent[0], sampled), (0x0a, 0x9c, 0xb7, true));
        assert!(
            read("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more")
                .is_some_and(|(.., sampled)| !sampled)
        );
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_answer_names_the_requests_own_span() {
        let mut headers = HeaderMap::new();
        headers.insert(
            TRACEPARENT,
            HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        );
        let (a, b) = (of(&headers).expect("a context"), of(&headers).expect("a context"));
        assert_ne!(a.id, b.id);
        let mut said = HeaderMap::new();
        answer(&a, &mut said);
        let (trace, id, sampled) =
            read(said["traceresponse"].to_str().expect("text")).expect("the same form");
        assert_eq!((trace, id, sampled), (a.trace, a.id, true));
    }
}
