//! The nearest known name to a misspelt one.

/// A name further away than this many edits is not what was meant.
const DISTANCE_MAX: usize = 4;

/// Takes serde's message about an unknown field apart: the field, and the name that was most likely meant.
pub(crate) fn unknown_field(message: &str) -> Option<(&str, Option<&str>)> {
    let rest = &message[message.find("unknown field `")? + "unknown field `".len()..];
    let (field, expected) = rest.split_once("`, expected ").or_else(|| rest.split_once("`, there are no"))?;
    // What is expected is a list of names in back quotes, behind "one of" or not.
    let known = expected.split('`').skip(1).step_by(2);
    let nearest = known.map(|name| (distance(field, name), name)).min();
    let near = |(d, name): (usize, &str)| d <= DISTANCE_MAX && d < name.len().max(field.len());
    Some((field, nearest.filter(|n| near(*n)).map(|(_, name)| name)))
}

/// How many insertions, deletions and changes of one byte lie between two names (V. Levenshtein, 1965). Only the first
/// 64 bytes are compared, so that a long name costs little.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(64)], &b.as_bytes()[..b.len().min(64)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Two {
        title: Option<u8>,
        reward: Option<u8>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    #[test]
    fn the_nearest_field_is_named() {
        for (json, found) in [
            (r#"{"rewrad":1}"#, Some(("rewrad", Some("reward")))),
            (r#"{"Title":1}"#, Some(("Title", Some("title")))),
            (r#"{"entirely_different":1}"#, Some(("entirely_different", None))),
            (r#"{"a`, expected `b":1}"#, Some(("a", None))),
            (r#"{"title":"x"}"#, None),
        ] {
            let message = serde_json::from_str::<Two>(json).expect_err(json).to_string();
            assert_eq!(unknown_field(&message), found, "{message}");
        }
        let message = serde_json::from_str::<Nothing>(r#"{"x":1}"#).expect_err("no field").to_string();
        assert_eq!(unknown_field(&message), Some(("x", None)), "{message}");
    }
}
