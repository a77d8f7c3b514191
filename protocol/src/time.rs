//! Two kinds of time (decision 20): winners, leases and payments rest on the home's own monotonic clock alone;
//! credentials and deadlines are judged by wall clocks. Neither type can be read from a clock here.

use crate::codec::{Decode, Encode};
use crate::id::ascii;

/// Milliseconds on one process's monotonic clock. Means nothing to anyone else, nor after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

/// Milliseconds since the Unix epoch, UTC, by somebody's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Wall(pub u64);

impl Mono {
    /// This moment and `ms` milliseconds.
    pub fn plus_ms(self, ms: u64) -> Self {
        Mono(self.0.saturating_add(ms))
    }
    /// Milliseconds since `earlier`, zero when it is later.
    pub fn since_ms(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Wall {
    /// This moment and `ms` milliseconds.
    pub fn plus_ms(self, ms: u64) -> Self {
        Wall(self.0.saturating_add(ms))
    }
    /// Milliseconds since `earlier`, zero when it is later.
    pub fn since_ms(self, earlier: Wall) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment in ISO 8601 with milliseconds, UTC: `2026-02-20T12:00:00.000Z`.
    pub fn iso8601(self) -> String {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (y, m, d) = civil_from_days(days);
        let (s, ms) = (ms / 1_000, ms % 1_000);
        let (hour, minute, second) = (s / 3_600, s / 60 % 60, s % 60);
        if y > 9_999 {
            return format!("{y}-{m:02}-{d:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z");
        }
        // An answer names several moments, and a formatter takes four times as long.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (number, end) in [(y, 4), (m, 7), (d, 10), (hour, 13), (minute, 16), (second, 19), (ms, 23)] {
            let (mut rest, mut at) = (number, end);
            while rest > 0 {
                at -= 1;
                text[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        ascii(&text).to_owned()
    }
}

/// Year, month and day of a day number since 1970-01-01 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(m <= 2), m, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_prints_as_iso8601() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_771_588_800_123, "2026-02-20T12:00:00.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Wall(ms).iso8601(), text);
        }
    }
}
