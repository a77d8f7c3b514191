//! Amounts of credit. One credit is 1,000,000 units; everything inside is integers, decimals exist only in JSON.

use crate::codec::{Decode, Encode};

/// Units in one credit.
pub const UNITS_PER_CREDIT: u64 = 1_000_000;

/// The largest amount that one reward or one budget may have, in units (a billion credits). Larger, and a sum over a
/// full book of tasks could leave 64 bits.
pub const CREDITS_MAX: Credits = Credits(1_000_000_000 * UNITS_PER_CREDIT);

/// A non-negative amount in units of a millionth of a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
pub struct Credits(pub u64);

/// Why text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a plain decimal number.
    #[error("not a decimal number of credits: {0:?}")]
    NotDecimal(String),
    /// Larger than [`CREDITS_MAX`].
    #[error("more than {} credits", CREDITS_MAX.0 / UNITS_PER_CREDIT)]
    TooLarge,
}

impl Credits {
    /// Nothing.
    pub const ZERO: Credits = Credits(0);

    /// The sum, or nothing where it would leave 64 bits.
    pub fn checked_add(self, other: Credits) -> Option<Credits> {
        self.0.checked_add(other.0).map(Credits)
    }

    /// The difference, or nothing where it would be negative.
    pub fn checked_sub(self, other: Credits) -> Option<Credits> {
        self.0.checked_sub(other.0).map(Credits)
    }

    /// This amount × `numerator` / `denominator`, rounded down.
    ///
    /// # Panics
    /// When `denominator` is zero.
    pub fn scaled(self, numerator: u64, denominator: u64) -> Credits {
        let scaled = u128::from(self.0) * u128::from(numerator) / u128::from(denominator);
        Credits(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// Reads a plain decimal (`50`, `0.25`, `1e3`); digits past the sixth decimal place are cut off.
    ///
    /// # Errors
    /// [`Error`] when it is negative, not a number or too large.
    pub fn parse(text: &str) -> Result<Credits, Error> {
        let bad = || Error::NotDecimal(text.chars().take(40).collect());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((m, e)) => (m, e.parse::<i32>().map_err(|_| bad())?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.len() > 64 {
            return Err(bad());
        }
        // The number is whole‖fraction × 10^(exponent - fraction digits), in units 10^6 times that.
        let shift = i64::from(exponent) - fraction.len() as i64 + 6;
        let mut units: u128 = 0;
        let all = format!("{whole}{fraction}");
        let kept =
            if shift < 0 { all.len().saturating_sub(shift.unsigned_abs() as usize) } else { all.len() };
        for b in all[..kept].bytes() {
            units = units.checked_mul(10).ok_or(Error::TooLarge)? + u128::from(b - b'0');
            if units > u128::from(CREDITS_MAX.0) {
                return Err(Error::TooLarge);
            }
        }
        for _ in 0..shift.max(0) {
            units *= 10;
            if units > u128::from(CREDITS_MAX.0) {
                return Err(Error::TooLarge);
            }
            if units == 0 {
                break;
            }
        }
        Ok(Credits(units as u64))
    }

    /// The amount as a decimal with no needless digit: `50`, `0.25`.
    pub fn decimal(self) -> String {
        let (whole, rest) = (self.0 / UNITS_PER_CREDIT, self.0 % UNITS_PER_CREDIT);
        if rest == 0 {
            return whole.to_string();
        }
        format!("{whole}.{rest:06}").trim_end_matches('0').to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_down_to_units() {
        for (text, units) in [
            ("0", 0),
            ("50", 50_000_000),
            ("0.25", 250_000),
            ("0.0000019", 1),
            ("1e3", 1_000_000_000),
            ("2.5E-1", 250_000),
            ("1e-9", 0),
            ("1000000000", 1_000_000_000_000_000),
        ] {
            assert_eq!(Credits::parse(text), Ok(Credits(units)), "{text}");
        }
        for text in ["", "-1", "+1", ".5", "1.2.3", "abc", "1e", "NaN", "1_0", " 1"] {
            assert!(matches!(Credits::parse(text), Err(Error::NotDecimal(_))), "{text}");
        }
        for text in ["1000000001", "1e400", "999999999999999999999999999999999999999999"] {
            assert_eq!(Credits::parse(text), Err(Error::TooLarge), "{text}");
        }
    }

    #[test]
    fn printing_reads_back() {
        for units in [0, 1, 10, 250_000, 1_000_000, 1_000_001, CREDITS_MAX.0] {
            assert_eq!(Credits::parse(&Credits(units).decimal()), Ok(Credits(units)));
        }
        assert_eq!(Credits(250_000).decimal(), "0.25");
    }

    #[test]
    fn scaling_rounds_down() {
        assert_eq!(Credits(999).scaled(12, 10), Credits(1198));
        assert_eq!(Credits(u64::MAX).scaled(3, 3), Credits(u64::MAX));
    }
}
