//! Whether bytes are one JSON text (RFC 8259) that everybody reads the same way: UTF-8, one value, nested within a bound, no
//! object with a key twice, no half of a surrogate pair. Both edges of a node ask here, HTTP's and the mesh's, and nothing of
//! the value is kept.

use crate::limits::JSON_VALUE_DEPTH_MAX;
use std::borrow::Cow;

/// Up to this many keys an object's keys are compared pair by pair; above it they are sorted, so that an object of
/// many keys costs no more than its share.
const KEYS_PAIRWISE_MAX: usize = 8;

/// How many characters of a key an error shows.
const KEY_SHOWN_MAX: usize = 80;

/// Why bytes are no JSON text that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Not JSON, seen at this byte; one past the end where something is missing.
    #[error("it is not JSON at byte {0}")]
    Syntax(usize),
    /// Nested deeper than it may be.
    #[error("it is nested deeper than {0}")]
    TooDeep(usize),
    /// An object names this key twice (cut to 80 characters): who reads it first and who reads it last would disagree.
    #[error("an object in it has the key {0:?} twice")]
    Twin(String),
}

/// Checks a value that stands inside of a body or of a message: nested at most [`JSON_VALUE_DEPTH_MAX`].
///
/// # Errors
/// [`Error`], the first that is met.
pub fn check_value(bytes: &[u8]) -> Result<(), Error> {
    check(bytes, JSON_VALUE_DEPTH_MAX)
}

/// Checks a JSON text whose brackets may be nested `depth_max` deep. White space around the value is part of the text.
///
/// # Errors
/// [`Error`], the first that is met.
pub fn check(bytes: &[u8], depth_max: usize) -> Result<(), Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::NotUtf8)?;
    Scan { text, at: 0, depth_max, open: Vec::with_capacity(8), keys: Vec::new() }.whole()
}

/// A walk over a text, without recursion: what is open stands in a list of at most `depth_max`.
struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth_max: usize,
    /// For each open bracket: where an object's keys begin in `keys`, nothing for an array.
    open: Vec<Option<usize>>,
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Scan<'a> {
    fn whole(mut self) -> Result<(), Error> {
        loop {
            let ended = self.value()?;
            if ended && self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Reads a value, or the beginning of one: whether it has ended.
    fn value(&mut self) -> Result<bool, Error> {
        self.skip_space();
        match self.next()? {
            open @ (b'{' | b'[') => {
                if self.open.len() == self.depth_max {
                    return Err(Error::TooDeep(self.depth_max));
                }
                let is_object = open == b'{';
                self.open.push(is_object.then_some(self.keys.len()));
                self.skip_space();
                if self.peek() == Some(if is_object { b'}' } else { b']' }) {
                    self.at += 1;
                    self.open.pop();
                    return Ok(true);
                }
                if is_object {
                    self.key()?;
                }
                return Ok(false);
            }
            b'"' => {
                self.string()?;
            }
            b't' => self.literal(b"rue")?,
            b'f' => self.literal(b"alse")?,
            b'n' => self.literal(b"ull")?,
            b'-' => {
                let first = self.next()?;
                self.number(first)?;
            }
            first => self.number(first)?,
        }
        Ok(true)
    }

    /// Reads what follows a value, to the place of the next one: whether that was all.
    fn after_value(&mut self) -> Result<bool, Error> {
        loop {
            self.skip_space();
            let Some(&frame) = self.open.last() else {
                return if self.at == self.text.len() { Ok(true) } else { Err(Error::Syntax(self.at)) };
            };
            match (self.next()?, frame) {
                (b',', None) => return Ok(false),
                (b',', Some(_)) => return self.key().map(|()| false),
                (b']', None) => {}
                (b'}', Some(start)) => {
                    refuse_twins(&mut self.keys[start..])?;
                    self.keys.truncate(start);
                }
                _ => return Err(self.wrong()),
            }
            self.open.pop();
        }
    }

    /// An object's key and its colon.
    fn key(&mut self) -> Result<(), Error> {
        self.skip_space();
        self.expect(b'"')?;
        let key = self.string()?;
        self.keys.push(key);
        self.skip_space();
        self.expect(b':')
    }

    /// The rest of a string whose opening quote was read; two spellings of one text are one text.
    fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        let mut start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            let at = self.at;
            match self.next()? {
                b'"' => {
                    let last = &self.text[start..at];
                    return Ok(match unescaped {
                        None => Cow::Borrowed(last),
                        Some(text) => Cow::Owned(text + last),
                    });
                }
                b'\\' => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(&self.text[start..at]);
                    let meant = self.escape()?;
                    unescaped.get_or_insert_default().push(meant);
                    start = self.at;
                }
                ..=0x1f => return Err(self.wrong()),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        Ok(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.hex4()?;
                let scalar = match unit {
                    0xd800..=0xdbff => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
                        let low = self.hex4()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(self.wrong());
                        }
                        0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => unit,
                };
                char::from_u32(scalar).ok_or_else(|| self.wrong())?
            }
            _ => return Err(self.wrong()),
        })
    }

    fn hex4(&mut self) -> Result<u32, Error> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or_else(|| self.wrong())?;
            unit = unit << 4 | digit;
        }
        Ok(unit)
    }

    /// The rest of a number after its first digit.
    fn number(&mut self, first: u8) -> Result<(), Error> {
        match first {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return Err(self.wrong()),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        if !self.next()?.is_ascii_digit() {
            return Err(self.wrong());
        }
        self.skip_digits();
        Ok(())
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn literal(&mut self, rest: &[u8]) -> Result<(), Error> {
        rest.iter().try_for_each(|&byte| self.expect(byte))
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Error> {
        if self.next()? == wanted { Ok(()) } else { Err(self.wrong()) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Error> {
        let byte = self.peek().ok_or(Error::Syntax(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    /// The byte that was just read does not belong there.
    fn wrong(&self) -> Error {
        Error::Syntax(self.at - 1)
    }
}

fn refuse_twins(keys: &mut [Cow<'_, str>]) -> Result<(), Error> {
    let twin = if keys.len() <= KEYS_PAIRWISE_MAX {
        (1..keys.len()).find(|&i| keys[..i].contains(&keys[i])).map(|i| &keys[i])
    } else {
        keys.sort_unstable();
        keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &pair[0])
    };
    match twin {
        Some(key) => Err(Error::Twin(key.chars().take(KEY_SHOWN_MAX).collect())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::JSON_DEPTH_MAX;
    use proptest::prelude::*;

    fn whole(text: &str) -> Result<(), Error> {
        check(text.as_bytes(), JSON_DEPTH_MAX)
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(whole(&nested(64)), Ok(()));
        assert_eq!(whole(&nested(65)), Err(Error::TooDeep(64)));
        assert_eq!(whole(&r#"{"a":"#.repeat(65)), Err(Error::TooDeep(64)));
        assert_eq!(whole(&format!(r#"{{"a":"{}"}}"#, "[".repeat(500))), Ok(()));
        // A value leaves room for the body around it.
        assert_eq!(check_value(nested(63).as_bytes()), Ok(()));
        assert_eq!(check_value(nested(64).as_bytes()), Err(Error::TooDeep(63)));
    }

    #[test]
    fn a_key_stands_once() {
        for (text, twin) in [
            (r#"{"a":1,"b":2}"#, None),
            (r#"{"a":1,"a":2}"#, Some("a")),
            (r#"{"a":1,"\u0061":2}"#, Some("a")),
            (r#"{"x\ud83d\ude00y":1,"x😀y":2}"#, Some("x😀y")),
            (r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#, None),
            (r#"{"x":{"a":1,"b":0,"a":2}}"#, Some("a")),
            (r#"[{"a":1,"b":["a","a"],"a":2}]"#, Some("a")),
            (r#"{"a":"a","b":"a"}"#, None),
            (r#"{"a\"":1,"a":1}"#, None),
            (r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"10":0}"#, None),
            (r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"1":0}"#, Some("1")),
            (r#"{"k":{},"k":[]}"#, Some("k")),
        ] {
            let wanted = twin.map_or(Ok(()), |key| Err(Error::Twin(key.into())));
            assert_eq!(whole(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_one_json_text_and_what_is_not() {
        for text in
            ["null", " [1 , 2.50e+7, -0, 0.1E-2 ]\n", r#""\u00e4\/\b\ud83d\ude00""#, "{ }", "\t[ ]", "\"é\""]
        {
            assert_eq!(whole(text), Ok(()), "{text}");
        }
        for text in [
            "",
            " ",
            "nul",
            "not json",
            "}",
            "{\"a",
            "{\"a\\",
            "]]]]",
            "{\"\\x\":1}",
            "\"\\",
            "[1,]",
            "{,}",
            "[1 2]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{1:2}",
            "[1}",
            "{\"a\":1]",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "-",
            "1 2",
            "\"\n\"",
            "1,\"x\":2",
            "'a'",
            "NaN",
            "[1]x",
            "\u{feff}1",
            "\u{a0}1",
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#"{"\udc00":1}"#,
            r#""\u00g0""#,
            "//\n1",
        ] {
            assert!(matches!(whole(text), Err(Error::Syntax(_))), "{text}: {:?}", whole(text));
        }
        assert_eq!(check(b"\"\xff\"", 64), Err(Error::NotUtf8));
        assert_eq!(whole("[1,]"), Err(Error::Syntax(3)));
        assert_eq!(whole("[1,"), Err(Error::Syntax(3)));
    }

    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "1",
        "-",
        "0",
        ".5",
        "e3",
        "true",
        "null",
        " ",
        "\\",
        "\"",
        "{}",
        "[]",
        "\"a\":",
        "\"b\":1,",
        "é",
    ];

    /// Pieces of JSON put together at random: much of it is JSON, much nearly is.
    fn nearly_json() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|all| all.concat())
    }

    proptest! {
        /// serde_json reads what is taken here, and nothing that is refused as syntax but for halves of surrogate pairs.
        #[test]
        fn a_parser_that_we_did_not_write_agrees(text in nearly_json()) {
            match whole(&text) {
                Ok(()) => prop_assert!(serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).is_ok(), "{text}"),
                Err(Error::Syntax(_)) => {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{text}");
                }
                Err(_) => {}
            }
        }

        #[test]
        fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&bytes, 4);
        }
    }
}
