//! The wall clock: by itself, and beside what neighbours said of theirs. Leases and payments do not go by it; tokens,
//! hellos and deadlines do, with five minutes to spare.

use artel_protocol::hello::HELLO_SKEW_MS;
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use artel_web::types::doctor::{Check, Finding};
use std::time::Duration;

/// A clock before this was never set: 2025-01-01T00:00:00Z.
const EARLIEST: Wall = Wall(1_735_689_600_000);

/// How far the wall clock may have moved against the monotonic one since the start, in milliseconds. A clock that is
/// slewed by a time service stays below it; one that was set does not.
const JUMP_MS_MAX: u64 = 2_000;

/// From which difference on neighbours' clocks are worth a look, in milliseconds. Above what a signature's whole seconds
/// and a slow link make.
const BESIDE_MS_MAX: u64 = 30_000;

/// How far a neighbour's clock was ahead of this one's when it was last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub node: NodeId,
    /// In milliseconds; below zero it was behind.
    pub ahead_ms: i64,
}

/// The wall clock by itself: whether it was ever set, and whether it jumped since the start.
pub(super) fn alone(now: Wall, at_start: Wall, since: Duration) -> Finding {
    let shown = now.iso8601();
    if now < EARLIEST {
        let advice = "set the clock and keep it with a time service (chrony, systemd-timesyncd)";
        return Finding::fail(Check::Clock, "the clock was never set", advice).with(shown);
    }
    let passed = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let moved = signed(now.0) - signed(at_start.0.saturating_add(passed));
    if moved.unsigned_abs() > JUMP_MS_MAX {
        let summary =
            format!("the clock has jumped by {} since the start, or the machine slept", text(moved));
        return Finding::warn(
            Check::Clock,
            summary,
            "let a time service keep it, slewing rather than setting",
        )
        .with(shown);
    }
    Finding::ok(Check::Clock, "the clock runs evenly").with(shown)
}

/// The wall clock as a program sees it that has just started.
pub(super) fn at_a_glance(now: Wall) -> Finding {
    match alone(now, now, Duration::ZERO) {
        sane if sane.advice.is_none() => Finding { summary: "the clock is set".into(), ..sane },
        other => other,
    }
}

/// The wall clock beside the neighbours': the middle one of the differences counts, so that one neighbour whose clock is
/// wrong, or who lies, says nothing of ours.
pub(super) fn beside(mut differences: Vec<Difference>) -> Finding {
    differences.sort_by_key(|difference| difference.ahead_ms);
    let Some(middle) = differences.get(differences.len() / 2) else {
        return Finding::unknown(Check::ClockBeside, "no neighbour has said its time since the start");
    };
    let (off, many) = (middle.ahead_ms.unsigned_abs(), differences.len());
    let value = format!("{} beside {many} of them", text(-middle.ahead_ms));
    let set = "compare both clocks with a time service; the one that is wrong is to be set";
    let astray = differences.iter().filter(|other| other.ahead_ms.unsigned_abs() > HELLO_SKEW_MS).count();
    let found = if off > HELLO_SKEW_MS {
        let why = "this clock is more than five minutes from the neighbours', which refuse what it dates";
        Finding::fail(Check::ClockBeside, why, set)
    } else if off > BESIDE_MS_MAX {
        let why = "this clock differs from the neighbours'; beyond five minutes they refuse what it dates";
        Finding::warn(Check::ClockBeside, why, set)
    } else if astray > 0 {
        let why = format!("the clocks of {astray} neighbours are more than five minutes off");
        Finding::warn(Check::ClockBeside, why, "tell their operators; artel peers shows who is refused")
    } else {
        Finding::ok(Check::ClockBeside, "the clock agrees with the neighbours'")
    };
    found.with(value)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Seconds with a sign and one place.
fn text(ms: i64) -> String {
    format!("{:+.1} s", ms as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;
    use artel_web::types::doctor::FindingStatus::{self, Fail, Ok, Unknown, Warn};

    #[test]
    fn a_clock_that_jumps_or_was_never_set_is_found() {
        let start = Wall(1_800_000_000_000);
        let hour = Duration::from_secs(3_600);
        for (now, at_start, since, wanted) in [
            (Wall(start.0 + 3_600_000), start, hour, Ok),
            (Wall(start.0 + 3_601_900), start, hour, Ok),
            (Wall(start.0 + 3_602_100), start, hour, Warn),
            (Wall(start.0), start, hour, Warn),
            (Wall(0), Wall(0), Duration::ZERO, Fail),
            (Wall(u64::MAX), Wall(0), Duration::ZERO, Warn),
        ] {
            let found = alone(now, at_start, since);
            assert_eq!(found.status, wanted, "{found:?}");
        }
        let jumped = alone(Wall(start.0 + 3_610_000), start, hour);
        assert!(jumped.summary.contains("+10.0 s"), "{jumped:?}");
    }

    #[test]
    fn the_middle_neighbour_counts_and_none_is_invented() {
        let said = |all: &[i64]| -> Vec<Difference> {
            let node = |seed: usize| NodeId(SecretKey::from_seed(&[seed as u8; 32]).public());
            all.iter()
                .enumerate()
                .map(|(at, ahead_ms)| Difference { node: node(at), ahead_ms: *ahead_ms })
                .collect()
        };
        let row = |all: &[i64], wanted: FindingStatus| {
            let found = beside(said(all));
            assert_eq!(found.status, wanted, "{all:?}: {found:?}");
        };
        row(&[], Unknown);
        row(&[900], Ok);
        row(&[-31_000], Warn);
        row(&[300_000], Warn);
        row(&[300_001], Fail);
        row(&[0, -400_000, 100], Warn);
        row(&[-400_000, -350_000, 100], Fail);
        assert!(beside(said(&[31_000])).value.is_some_and(|value| value.starts_with("-31.0 s")));
    }
}
