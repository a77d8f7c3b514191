//! Byte ranges (RFC 9110 §14): one range of a known length. Several ranges at once are answered with the whole.

/// What a `Range` header asks of `length` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// No range, or none that we read: the whole.
    Whole,
    /// This many bytes from here; they lie inside.
    Part {
        /// The first byte.
        start: u64,
        /// How many.
        length: u64,
    },
    /// It begins behind the end.
    Unsatisfiable,
}

/// Reads a `Range` header.
pub(crate) fn parse(header: Option<&str>, length: u64) -> Range {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Range::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Range::Whole };
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first.trim(), last.trim()) {
        ("", last) => match number(last) {
            Some(0) => Range::Unsatisfiable,
            Some(_) if length == 0 => Range::Unsatisfiable,
            Some(n) => part(length.saturating_sub(n), length),
            None => Range::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(start), _) if last.is_empty() && start >= length => Range::Unsatisfiable,
            (Some(start), _) if last.is_empty() => part(start, length),
            (Some(start), Some(end)) if start > end => Range::Whole,
            (Some(start), Some(_)) if start >= length => Range::Unsatisfiable,
            (Some(start), Some(end)) => part(start, length.min(end.saturating_add(1))),
            _ => Range::Whole,
        },
    }
}

fn part(start: u64, end: u64) -> Range {
    Range::Part { start, length: end - start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_inside() {
        let part = |start, length| Range::Part { start, length };
        for (header, length, range) in [
            (None, 10, Range::Whole),
            (Some("bytes=0-0"), 10, part(0, 1)),
            (Some("bytes=2-4"), 10, part(2, 3)),
            (Some("bytes=2-"), 10, part(2, 8)),
            (Some("bytes=2-99"), 10, part(2, 8)),
            (Some("bytes=-3"), 10, part(7, 3)),
            (Some("bytes=-99"), 10, part(0, 10)),
            (Some("bytes=0-18446744073709551615"), 10, part(0, 10)),
            (Some("bytes=10-"), 10, Range::Unsatisfiable),
            (Some("bytes=10-12"), 10, Range::Unsatisfiable),
            (Some("bytes=-0"), 10, Range::Unsatisfiable),
            (Some("bytes=0-"), 0, Range::Unsatisfiable),
            (Some("bytes=-5"), 0, Range::Unsatisfiable),
            (Some("bytes=4-2"), 10, Range::Whole),
            (Some("bytes=0-1,3-4"), 10, Range::Whole),
            (Some("bytes=a-b"), 10, Range::Whole),
            (Some("bytes=-"), 10, Range::Whole),
            (Some("items=0-1"), 10, Range::Whole),
            (Some("bytes=99999999999999999999-"), 10, Range::Whole),
        ] {
            assert_eq!(parse(header, length), range, "{header:?} of {length}");
        }
    }
}
