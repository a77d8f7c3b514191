//! Checked text: names, titles and correlation ids with a bound and no control characters.

use crate::codec::{Decode, Encode};
use bincode::de::Decoder;
use bincode::error::DecodeError;
use std::sync::Arc;

/// The most bytes in a correlation id. A longer one would cost every entry that carries it.
pub const CORRELATION_BYTES_MAX: usize = 64;

/// A correlation id: 1 to 64 visible ASCII characters, chosen by the caller or made by the node. All entries of a request bear it,
/// so its text is shared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Correlation(Arc<str>);

impl Correlation {
    /// Takes text that is 1 to 64 visible ASCII characters, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=CORRELATION_BYTES_MAX).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Correlation(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<C> Decode<C> for Correlation {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let text = String::decode(decoder)?;
        Correlation::parse(&text).ok_or(DecodeError::Other("not a correlation id"))
    }
}

bincode::impl_borrow_decode!(Correlation);

impl std::fmt::Display for Correlation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` has at most `bytes_max` bytes, is not blank and has no control character (line feeds and tabs are
/// allowed where `lines` is true).
pub fn is_plain(text: &str, bytes_max: usize, lines: bool) -> bool {
    let control = |c: char| c.is_control() && !(lines && (c == '\n' || c == '\t' || c == '\r'));
    text.len() <= bytes_max && !text.trim().is_empty() && !text.chars().any(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_ids_are_visible_ascii() {
        assert!(Correlation::parse("0193b2c4-77aa").is_some());
        for text in ["", " ", "a b", "é", "a\n", &"x".repeat(65)] {
            assert!(Correlation::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn plain_text_has_no_control_characters() {
        assert!(is_plain("Build REST API", 500, false));
        assert!(is_plain("two\nlines", 500, true));
        for (text, lines) in
            [("", false), ("  ", false), ("a\nb", false), ("a\u{7}", true), ("toolong", false)]
        {
            assert!(!is_plain(text, 6, lines), "{text:?}");
        }
    }
}
