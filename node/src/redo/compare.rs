//! Whether a run came to what was handed in. What is compared is text: two readers may understand one number, or an object with a
//! key twice, each in its own way, and the next step is such a reader.

use artel_federation::Json;
use artel_federation::fact::Came;
use artel_federation::redo::message::{Bound, Ended, Reran};
use artel_protocol::id::Digest;
use std::collections::BTreeSet;

/// Whether a run came to what was handed in: to the same text, white space between its parts aside, and to the same artifacts. The
/// log counts for nothing, since a worker need not hand it in.
pub(super) fn compare(reran: &Reran, output: &Json, left: &[Digest]) -> Came {
    let (again, artifacts, log) = match &reran.end {
        Ended::Inconclusive => return Came::Inconclusive,
        Ended::Failed(fault) => return other(&[b"failed\0", fault.as_bytes()]),
        Ended::CannotRun => return other(&[b"cannot run\0"]),
        // Another engine counts otherwise, or has other limits.
        Ended::Bound(bound) => return other(&[b"bound\0", &[number(*bound)], &reran.profile.0]),
        Ended::Done { output, artifacts, log } => (output, artifacts, *log),
    };
    let without_log =
        |all: &[Digest]| -> BTreeSet<Digest> { all.iter().filter(|d| Some(**d) != log).copied().collect() };
    let (new, left) = (without_log(artifacts), without_log(left));
    let text_again = text(again);
    if text_again == text(output) && new == left {
        return Came::Same;
    }
    // Two runs that agree have one digest.
    let mut parts: Vec<&[u8]> = vec![b"done\0"];
    let text = Digest::of(&text_again);
    parts.push(&text.0);
    parts.extend(new.iter().map(|digest| digest.0.as_slice()));
    other(&parts)
}

fn other(parts: &[&[u8]]) -> Came {
    Came::Other(Digest::of(&parts.concat()))
}

fn number(bound: Bound) -> u8 {
    match bound {
        Bound::Fuel => 0,
        Bound::Memory => 1,
        Bound::Table => 2,
        Bound::Stack => 3,
    }
}

/// A JSON text without the white space between its parts. What is no JSON stays as it is: it is no run's output.
fn text(json: &Json) -> Vec<u8> {
    let bytes = json.bytes();
    if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err() {
        return bytes.to_vec();
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_kept = |byte: &u8| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b' ' | b'\t' | b'\n' | b'\r' if !is_quoted => return false,
            _ => {}
        }
        true
    };
    bytes.iter().copied().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(output: &str, artifacts: &[u8], log: Option<u8>) -> Ended {
        let digest = |n: &u8| Digest([*n; 32]);
        Ended::Done {
            output: Json::new(output.as_bytes()),
            artifacts: artifacts.iter().map(digest).collect(),
            log: log.as_ref().map(digest),
        }
    }

    fn reran(end: Ended) -> Reran {
        Reran { profile: Digest([7; 32]), end }
    }

    #[test]
    fn results_are_compared_as_texts_and_without_the_log() {
        let handed = Json::new(*br#"{"a":1,"b":[2.5," \" "]}"#);
        let left = [Digest([1; 32]), Digest([9; 32])];
        for (end, same) in [
            (done(r#"{"a":1,"b":[2.5," \" "]}"#, &[1], Some(9)), true),
            (done(" { \"a\" :\t1,\r\n\"b\": [2.5, \" \\\" \"] }\n", &[1], Some(9)), true),
            (done(r#"{"a":1,"b":[2.5," \" "]}"#, &[1, 9], None), true),
            (done(r#"{"a":1,"b":[2.5," \" "]}"#, &[1], None), false),
            (done(r#"{"a":1,"b":[2.5," \" "]}"#, &[], Some(9)), false),
            (done(r#"{"a":1,"b":[2.5,"\" "]}"#, &[1], Some(9)), false),
            (done(r#"{"a":2,"b":[2.5," \" "]}"#, &[1], Some(9)), false),
            (done(r#"{"b":[2.5," \" "],"a":1}"#, &[1], Some(9)), false),
            (done(r#"{"a":1,"b":[2.50," \" "]}"#, &[1], Some(9)), false),
            (done("not JSON", &[1], Some(9)), false),
            (Ended::Failed("exit 7".into()), false),
            (Ended::CannotRun, false),
            (Ended::Bound(Bound::Fuel), false),
        ] {
            assert_eq!(compare(&reran(end.clone()), &handed, &left) == Came::Same, same, "{end:?}");
        }
        assert_eq!(compare(&reran(Ended::Inconclusive), &handed, &left), Came::Inconclusive);
        // A worker that hands its log in is no other than one that does not.
        assert_eq!(compare(&reran(done("1", &[], Some(9))), &Json::new(*b"1"), &[]), Came::Same);
    }

    /// What is the same to one reader and another thing to the next.
    #[test]
    fn what_two_readers_may_read_otherwise_is_another_result() {
        for (ran, handed) in [
            (r#"{"pay_to":"A"}"#, r#"{"pay_to":"EVIL","pay_to":"A"}"#),
            ("100000000000000000001", "100000000000000000002"),
            ("0.1", "0.10000000000000000001"),
            ("1e2", "100"),
            ("12", "1 2"),
            (r#"{"a":1}"#, r#"{"a":1},"b":2"#),
        ] {
            let came = compare(&reran(done(ran, &[], None)), &Json::new(handed.as_bytes()), &[]);
            assert!(matches!(came, Came::Other(_)), "{ran} and {handed}");
        }
    }

    #[test]
    fn two_runs_that_agree_on_another_result_have_one_digest() {
        let under = |profile: u8, end: Ended| match compare(
            &Reran { profile: Digest([profile; 32]), end },
            &Json::new(*b"1"),
            &[],
        ) {
            Came::Other(digest) => digest,
            came => panic!("{came:?}"),
        };
        let other = |end| under(7, end);
        let one = other(done(r#"{"a":1,"b":2}"#, &[3], Some(4)));
        assert_eq!(other(done(r#"{"a": 1, "b": 2}"#, &[3], None)), one);
        assert_ne!(other(done(r#"{"a":1,"b":2}"#, &[], Some(3))), one);
        let ends = [
            Ended::Failed("exit 7".into()),
            Ended::Failed("exit 8".into()),
            Ended::CannotRun,
            Ended::Bound(Bound::Fuel),
            Ended::Bound(Bound::Memory),
            Ended::Bound(Bound::Table),
            Ended::Bound(Bound::Stack),
        ];
        let digests: BTreeSet<Digest> = ends.iter().cloned().map(other).chain([one]).collect();
        assert_eq!(digests.len(), ends.len() + 1, "each end is one of its own");
        assert_eq!(under(8, Ended::CannotRun), other(Ended::CannotRun));
        assert_ne!(
            under(8, Ended::Bound(Bound::Fuel)),
            other(Ended::Bound(Bound::Fuel)),
            "only under one profile"
        );
    }
}
