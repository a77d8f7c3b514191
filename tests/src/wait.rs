//! Waiting for a condition, with a deadline that names what did not come.

use std::time::{Duration, Instant};

/// How long anything may take that takes a moment on an idle machine. It is long because the suite shares two cores with
/// itself; nobody waits it out unless something is broken.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Looks until there is something.
///
/// # Panics
/// When the deadline passes first.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, look)
}

/// As [`until`], with a deadline of its own.
///
/// # Panics
/// When the deadline passes first.
pub fn until_within<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come within {deadline:?}");
        std::thread::sleep(POLL);
    }
}
