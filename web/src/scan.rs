//! A look over JSON before it is parsed: how deep it goes, and whether an object names a key twice. Everything else that
//! can be wrong with JSON is left to the parser, which sees the same bytes.

use crate::problem::{Code, Problem};
use artel_protocol::limits::JSON_DEPTH_MAX;
use std::borrow::Cow;

/// Up to this many keys an object's keys are compared pair by pair; above it they are sorted, so that an object of
/// many keys costs no more than its share.
const KEYS_PAIRWISE_MAX: usize = 8;

/// Refuses JSON that is nested too deep or names a key twice.
///
/// # Errors
/// [`Code::JsonTooDeep`] or [`Code::DuplicateKey`] with the key.
pub(crate) fn check(text: &str) -> Result<(), Problem> {
    let bytes = text.as_bytes();
    let mut keys: Vec<Cow<'_, str>> = Vec::new();
    // For each open bracket: where an object's keys begin in `keys`, nothing for an array.
    let mut open: Vec<Option<usize>> = Vec::with_capacity(8);
    let mut key_next = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                if open.len() == JSON_DEPTH_MAX {
                    return Err(Problem::edge(Code::JsonTooDeep));
                }
                key_next = byte == b'{';
                open.push(key_next.then_some(keys.len()));
            }
            b'}' | b']' => {
                // An unmatched or mismatched bracket is the parser's to refuse.
                let Some(frame) = open.pop() else { return Ok(()) };
                if let Some(start) = frame {
                    refuse_twins(&mut keys[start..])?;
                    keys.truncate(start);
                }
                key_next = false;
            }
            b',' => key_next = matches!(open.last(), Some(Some(_))),
            b'"' => {
                let start = at;
                let Some(end) = string_end(bytes, at) else { return Ok(()) };
                at = end + 1;
                if key_next {
                    key_next = false;
                    let Some(key) = unescaped(&text[start - 1..at]) else { return Ok(()) };
                    keys.push(key);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where the string that begins at `at` ends: the index of its closing quote.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A quoted key's text: two spellings of one key are one key.
fn unescaped(quoted: &str) -> Option<Cow<'_, str>> {
    let plain = &quoted[1..quoted.len() - 1];
    if plain.contains('\\') {
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(plain))
    }
}

fn refuse_twins(keys: &mut [Cow<'_, str>]) -> Result<(), Problem> {
    let twin = if keys.len() <= KEYS_PAIRWISE_MAX {
        (1..keys.len()).find(|&i| keys[..i].contains(&keys[i])).map(|i| &keys[i])
    } else {
        keys.sort_unstable();
        keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &pair[0])
    };
    let Some(key) = twin else { return Ok(()) };
    let shown: String = key.chars().take(80).collect();
    let message = format!("an object in the body has the key {shown:?} twice; name each key once");
    Err(Problem::edge_saying(Code::DuplicateKey, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<Code> {
        check(text).err().map(|p| p.code)
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(code(&nested(64)), None);
        assert_eq!(code(&nested(65)), Some(Code::JsonTooDeep));
        assert_eq!(code(&r#"{"a":"#.repeat(65)), Some(Code::JsonTooDeep));
        assert_eq!(code(&format!(r#"{{"a":"{}"}}"#, "[".repeat(500))), None);
    }

    #[test]
    fn a_key_stands_once() {
        for (text, twice) in [
            (r#"{"a":1,"b":2}"#, false),
            (r#"{"a":1,"a":2}"#, true),
            (r#"{"a":1,"\u0061":2}"#, true),
            (r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#, false),
            (r#"{"x":{"a":1,"b":0,"a":2}}"#, true),
            (r#"[{"a":1,"b":["a","a"],"a":2}]"#, true),
            (r#"{"a":"a","b":"a"}"#, false),
            (r#"{"a\"":1,"a":1}"#, false),
            (r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"10":0}"#, false),
            (r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"1":0}"#, true),
            (r#"{"k":{},"k":[]}"#, true),
        ] {
            assert_eq!(code(text) == Some(Code::DuplicateKey), twice, "{text}");
        }
    }

    #[test]
    fn broken_json_is_left_to_the_parser() {
        for text in ["", "}", "{\"a", "{\"a\\", "]]]]", "{\"\\x\":1}", "nul", "\"\\"] {
            assert_eq!(code(text), None, "{text}");
        }
    }
}
