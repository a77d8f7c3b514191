//! JSON for people: indented, and every character of it as it came.

use crate::types::Json;

/// The most bytes of one JSON text that a page shows (64 KiB); the rest is said to be left out.
const SHOWN_BYTES_MAX: usize = 64 << 10;

/// JSON text with line breaks and two spaces a level.
pub(super) fn json(json: &Json) -> String {
    let text = String::from_utf8_lossy(json.bytes());
    let (mut out, mut depth, mut in_string, mut escaped) =
        (String::with_capacity(text.len() * 2), 0_usize, false, false);
    let mut chars = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(64)));
    };
    while let Some(c) = chars.next() {
        if out.len() > SHOWN_BYTES_MAX {
            out.push_str("\n… (the rest is left out here)");
            break;
        }
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_stays_as_it_came() {
        for (given, shown) in [
            ("{}", "{}"),
            ("[ ]", "[]"),
            (r#"{"a":1.50,"b":[true,null]}"#, "{\n  \"a\": 1.50,\n  \"b\": [\n    true,\n    null\n  ]\n}"),
            (r#""a \"q\", {b}: \\""#, r#""a \"q\", {b}: \\""#),
            (r#"{"x":"</script>"}"#, "{\n  \"x\": \"</script>\"\n}"),
        ] {
            assert_eq!(json(&Json::new(given.as_bytes().to_vec())), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let long = format!("[{}1]", "1,".repeat(100_000));
        let shown = json(&Json::new(long.into_bytes()));
        assert!(shown.len() < SHOWN_BYTES_MAX + 100 && shown.ends_with("left out here)"));
    }
}
