//! Vectors of the messages on a `sync` stream and of the gossip topics.

use super::values::{federation, secret};
use super::{bytes, file, number, padded, rows, text};
use artel_protocol::codec::FRAME_HEAD_BYTES;
use artel_protocol::holes::{HOLES_MAX, Holes};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::log::tree::TREE_SIZE_MAX;
use artel_protocol::record;
use artel_protocol::skill::Skill;
use artel_protocol::sync::{self, Error, Mark, Message, marks_digest};
use artel_protocol::topic::{SHARDS, Topic};
use serde_json::{Value, json};
use std::ops::Range;

fn mark(node: u8, incarnation: u32, next: u64) -> Mark {
    let node = NodeId(secret(node).public());
    Mark { origin: Origin::new(federation(), node, incarnation), next }
}

/// Marks of four journals of three nodes, ascending. In bytes the incarnations 1 and 256 stand the other way round.
fn marks() -> Vec<Mark> {
    let mut marks = vec![mark(7, 1, 0), mark(7, 256, 41), mark(1, 0, u64::MAX), mark(255, u32::MAX, 1 << 53)];
    marks.sort_unstable();
    marks
}

fn shown(mark: &Mark) -> Value {
    json!({"origin": mark.origin.to_string(), "next": mark.next.to_string()})
}

fn read_mark(row: &Value) -> Mark {
    let origin = Origin::parse(text(row, "origin")).expect("an origin");
    Mark { origin, next: text(row, "next").parse().expect("a number") }
}

fn read_marks(row: &Value) -> Vec<Mark> {
    row["marks"].as_array().expect("a list of marks").iter().map(read_mark).collect()
}

fn head(kind: u16, version: u16, len: usize) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &version.to_le_bytes(), &(len as u32).to_le_bytes()].concat()
}

/// A frame of these bytes, whatever they are.
fn framed(kind: u16, version: u16, payload: &[u8]) -> Vec<u8> {
    [head(kind, version, payload.len()), payload.to_vec()].concat()
}

fn messages() -> Vec<Value> {
    let row = |name: &str, message: &Message, says: Value| {
        let mut row = json!({"message": name, "bytes": hex::encode(message.encode())});
        row.as_object_mut().expect("an object").extend(says.as_object().expect("an object").clone());
        row
    };
    let list = |marks: Vec<Mark>| {
        let says = json!({"marks": marks.iter().map(shown).collect::<Vec<_>>()});
        row("marks", &Message::Marks(marks), says)
    };
    let want = |mark: Mark| row("want", &Message::Want(mark), json!({"mark": shown(&mark)}));
    let holes = |origin: Origin, ranges: Vec<Range<u64>>| {
        let pair = |range: &Range<u64>| json!([range.start.to_string(), range.end.to_string()]);
        let says =
            json!({"origin": origin.to_string(), "ranges": ranges.iter().map(pair).collect::<Vec<_>>()});
        row("holes", &Message::Holes(Holes::new(origin, ranges).expect("ascending")), says)
    };
    let end = |next: u64| row("end", &Message::End { next }, json!({"next": next.to_string()}));
    let digest = marks_digest(&marks());
    let unchecked = framed(record::KIND, 7, b"not looked at here");
    vec![
        row("ask", &Message::Ask(digest), json!({"digest": digest.hex()})),
        row("same", &Message::Same, json!({})),
        list(vec![]),
        list(vec![mark(7, 3, 12)]),
        list(marks()),
        want(mark(7, 3, 0)),
        want(mark(1, 0, u64::MAX)),
        row("records", &Message::Records(unchecked), json!({})),
        holes(mark(7, 3, 0).origin, vec![5..6]),
        holes(mark(1, 0, 0).origin, vec![0..1, 2..300, TREE_SIZE_MAX - 1..TREE_SIZE_MAX]),
        end(0),
        end(u64::MAX),
    ]
}

pub fn sync() -> Value {
    let ask = Message::Ask(marks_digest(&[])).encode();
    let (kind_ask, kind_same, kind_marks, kind_want, kind_end) = (0x0120, 0x0121, 0x0122, 0x0123, 0x0124);
    let kind_holes = 0x0125;
    let refused = |about: &str, why: &str, bytes: Vec<u8>| json!({"about": about, "why": why, "bytes": hex::encode(bytes)});
    let list = |marks: &[Mark]| Message::Marks(marks.to_vec()).encode();
    let by_bytes = [mark(7, 256, 41), mark(7, 1, 0)];
    let mut algorithm = Message::Want(mark(7, 3, 12)).encode();
    algorithm[FRAME_HEAD_BYTES + 32] = 2;
    let holes = |ranges: &[Range<u64>]| {
        let mut payload =
            Message::Want(mark(7, 3, ranges.len() as u64)).encode()[FRAME_HEAD_BYTES..].to_vec();
        payload.extend(ranges.iter().flat_map(|range| [range.start, range.end]).flat_map(u64::to_le_bytes));
        framed(kind_holes, 1, &payload)
    };
    let short = list(&[mark(7, 3, 12)]);
    let most = |kind: u16| match kind {
        record::KIND => record::FRAME_BYTES_MAX - FRAME_HEAD_BYTES,
        _ => sync::MESSAGE_BYTES_MAX,
    };
    let length = |kind: u16, version: u16, len: usize| json!({"head": hex::encode(head(kind, version, len)), "payload": len});
    let refused_head =
        |why: &str, kind: u16, len: usize| json!({"head": hex::encode(head(kind, 1, len)), "why": why});
    let digest = |marks: Vec<Mark>| {
        let shown: Vec<Value> = marks.iter().map(shown).collect();
        json!({"marks": shown, "digest": marks_digest(&marks).hex()})
    };
    let too_long = |about: &str, kind: u16| {
        let zeros = most(kind) + 1;
        json!({"about": about, "why": "size", "head": hex::encode(head(kind, 1, zeros)), "zeros": zeros, "tail": ""})
    };
    json!({
        "about": "a mark's next, an end's and the two numbers of a range are decimal texts; head is a frame's eight bytes and payload what follows them; a \
            padded message is head, that many zero bytes, tail; why is the first check that fails",
        "digests": [digest(vec![]), digest(vec![mark(7, 3, 12)]), digest(marks())],
        "messages": messages(),
        "lengths": [
            length(kind_ask, 1, 32), length(kind_same, 1, 0), length(kind_marks, 1, most(kind_marks)),
            length(kind_end, 2, 9), length(kind_holes, 1, 69 + 8 + 16), length(record::KIND, 1, most(record::KIND)), length(record::KIND, 9, 1),
        ],
        "refused_heads": [
            refused_head("size", kind_ask, most(kind_ask) + 1), refused_head("size", kind_marks, most(kind_marks) + 1),
            refused_head("size", record::KIND, most(record::KIND) + 1), refused_head("size", kind_end, u32::MAX as usize),
            refused_head("unknown", 0, 0), refused_head("unknown", kind_ask - 1, 0),
            refused_head("size", kind_holes, most(kind_holes) + 1), refused_head("unknown", kind_holes + 1, 8), refused_head("unknown", record::KIND + 1, u32::MAX as usize),
        ],
        "refused": [
            refused("nothing", "codec", vec![]),
            refused("a head without its last byte", "codec", ask[..7].to_vec()),
            refused("a last byte missing", "codec", ask[..ask.len() - 1].to_vec()),
            refused("a byte behind the frame", "codec", [&ask[..], &[0]].concat()),
            refused("a digest of 31 bytes", "codec", framed(kind_ask, 1, &[1; 31])),
            refused("a digest of 33 bytes", "codec", framed(kind_ask, 1, &[1; 33])),
            refused("the same, with a byte in it", "codec", framed(kind_same, 1, &[0])),
            refused("a number of four bytes", "codec", framed(kind_end, 1, &[0; 4])),
            refused("a key of another algorithm", "codec", algorithm),
            refused("two marks claimed where there is one", "codec", {
                let mut payload = short[FRAME_HEAD_BYTES..].to_vec();
                payload[0] = 2;
                framed(kind_marks, 1, &payload)
            }),
            refused("no mark claimed where there is one", "codec", {
                let mut payload = short[FRAME_HEAD_BYTES..].to_vec();
                payload[0] = 0;
                framed(kind_marks, 1, &payload)
            }),
            refused("an unknown kind", "unknown", framed(kind_holes + 1, 1, &[0; 8])),
            refused("an unknown version", "unknown", framed(kind_want, 2, &short[FRAME_HEAD_BYTES + 8..])),
            refused("version 0", "unknown", framed(kind_same, 0, &[])),
            refused("marks descending", "marks", list(&marks().into_iter().rev().collect::<Vec<_>>())),
            refused("one journal twice", "marks", list(&[mark(7, 3, 1), mark(7, 3, 2)])),
            refused("incarnations ascending as bytes do", "marks", list(&by_bytes)),
            refused("no range", "holes", holes(&[])),
            refused("an empty range", "holes", holes(&[5..5])),
            refused("a range that ends before it begins", "holes", holes(&[Range { start: 6, end: 5 }])),
            refused("ranges descending", "holes", holes(&[7..8, 5..6])),
            refused("ranges that touch", "holes", holes(&[5..7, 7..8])),
            refused("ranges that overlap", "holes", holes(&[5..8, 7..9])),
            refused("a range of more numbers than a journal has", "holes", holes(&[5..TREE_SIZE_MAX + 1])),
            refused("more ranges than a message has", "holes", {
                let ranges: Vec<Range<u64>> = (0..=HOLES_MAX as u64).map(|n| 2 * n..2 * n + 1).collect();
                holes(&ranges)
            }),
            refused("half a range", "codec", {
                let whole = holes(&[5..6, 7..8]);
                framed(kind_holes, 1, &whole[FRAME_HEAD_BYTES..whole.len() - 8])
            }),
        ],
        "refused_padded": [
            too_long("more marks than a list has", kind_marks),
            too_long("a frame of records that is too large", record::KIND),
        ],
    })
}

/// The word for why a message is refused.
fn why(error: &Error) -> &'static str {
    match error {
        Error::Codec(_) => "codec",
        Error::Unknown { .. } => "unknown",
        Error::Size { .. } => "size",
        Error::Marks => "marks",
        Error::Holes => "holes",
    }
}

pub fn topic() -> Value {
    let federation = federation();
    let named = |topic: Topic| json!({"number": topic.number(), "name": topic.name(&federation)});
    let names = [
        "text",
        "rust",
        "c++",
        "coding",
        "review",
        "translation",
        "a",
        "b",
        "c",
        "d",
        "e",
        "image/png",
        "x-1_2.3",
    ];
    let mut required: Vec<Vec<&str>> = names.iter().map(|name| vec![*name]).collect();
    required.extend([
        vec![],
        vec!["text@3"],
        vec!["text@3", "zebra"],
        vec!["zebra", "text"],
        vec!["z", "rust@4294967295", "text"],
        vec!["text2", "text"],
        vec!["ab", "a", "a@1"],
    ]);
    let longest = "x".repeat(64);
    required.push(vec![&longest]);
    let shard = |skills: &Vec<&str>| {
        let read: Vec<Skill> = skills.iter().map(|skill| Skill::parse(skill).expect("a skill")).collect();
        let topic = Topic::of_offer(&read);
        json!({"skills": skills, "shard": topic.number() - Topic::Tasks(0).number(), "name": topic.name(&federation)})
    };
    json!({
        "about": "number is for files and counts; skills are those that an offer requires, in any order",
        "federation": federation.to_string(),
        "topics": Topic::all().map(named).collect::<Vec<_>>(),
        "offers": required.iter().map(shard).collect::<Vec<_>>(),
    })
}

fn read_holes(row: &Value) -> Holes {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok()).expect("a number");
    let ranges = row["ranges"].as_array().expect("a list of ranges").iter();
    let ranges = ranges.map(|range| number(&range[0])..number(&range[1])).collect();
    Holes::new(Origin::parse(text(row, "origin")).expect("an origin"), ranges).expect("ascending")
}

#[test]
fn messages_read_and_say_their_length() {
    let file = file("sync");
    for row in rows(&file, "messages") {
        let held = bytes(row, "bytes");
        let message = Message::decode(&held).expect("a message");
        assert_eq!(message.encode(), held);
        let says = match text(row, "message") {
            "ask" => Message::Ask(Digest::parse(text(row, "digest")).expect("a digest")),
            "same" => Message::Same,
            "marks" => Message::Marks(read_marks(row)),
            "want" => Message::Want(read_mark(&row["mark"])),
            "records" => Message::Records(held.clone()),
            "holes" => Message::Holes(read_holes(row)),
            "end" => Message::End { next: text(row, "next").parse().expect("a number") },
            other => panic!("no message is called {other}"),
        };
        assert_eq!(message, says);
        let (head, payload) = held.split_first_chunk().expect("a head");
        assert_eq!(Message::payload_len(head), Ok(payload.len()));
    }
    for row in rows(&file, "digests") {
        assert_eq!(marks_digest(&read_marks(row)).hex(), text(row, "digest"));
    }
    for row in rows(&file, "lengths") {
        let head = bytes(row, "head").try_into().expect("eight bytes");
        assert_eq!(Message::payload_len(&head), Ok(number(row, "payload") as usize));
    }
}

#[test]
fn other_messages_are_refused() {
    let file = file("sync");
    for row in rows(&file, "refused_heads") {
        let head = bytes(row, "head").try_into().expect("eight bytes");
        let error = Message::payload_len(&head).expect_err(text(row, "why"));
        assert_eq!(why(&error), text(row, "why"), "{row}");
    }
    let check = |row: &Value, bytes: Vec<u8>| {
        let error = Message::decode(&bytes).expect_err(text(row, "about"));
        assert_eq!(why(&error), text(row, "why"), "{}: {error}", row["about"]);
    };
    rows(&file, "refused").iter().for_each(|row| check(row, bytes(row, "bytes")));
    rows(&file, "refused_padded").iter().for_each(|row| check(row, padded(row)));
}

#[test]
fn offers_have_the_shards_of_their_skills() {
    let file = file("topic");
    let federation = FederationId::parse(text(&file, "federation")).expect("a federation's id");
    assert_eq!(rows(&file, "topics").len(), 3 + usize::from(SHARDS));
    let mut shards = std::collections::BTreeSet::new();
    for row in rows(&file, "offers") {
        let skills = row["skills"].as_array().expect("a list of skills").iter();
        let skills: Vec<Skill> =
            skills.map(|skill| Skill::parse(skill.as_str().expect("text")).expect("a skill")).collect();
        let topic = Topic::of_offer(&skills);
        assert_eq!(topic.name(&federation), text(row, "name"));
        assert_eq!(topic, Topic::Tasks(number(row, "shard") as u8));
        shards.insert(topic);
    }
    assert!(shards.len() > usize::from(SHARDS) / 2, "the rows leave most shards out");
}
