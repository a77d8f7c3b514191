//! Vectors of summaries: what a node says of others' scores.

use super::values::{federation, secret};
use super::{bytes, file, rows, text};
use artel_protocol::codec::Frame;
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::summary::{Error, KIND, Said, Scored, Summary, gap, heads};
use artel_protocol::sync::{Mark, marks_digest};
use artel_protocol::time::Wall;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn origin(node: u8, incarnation: u32) -> Origin {
    Origin::new(federation(), NodeId(secret(node).public()), incarnation)
}

fn scored(agent: u8, score: u32, lower: u32, receipts_micro: u64) -> Scored {
    Scored { agent: AgentId(secret(agent).public()), score, lower, receipts_micro }
}

/// Two of node 7: one with its marks and two agents, one with a digest alone and one agent.
fn said() -> [Said; 2] {
    let mut marks = vec![Mark { origin: origin(7, 1), next: 41 }, Mark { origin: origin(1, 0), next: 3 }];
    marks.sort();
    let mut scores =
        vec![scored(8, 914_285, 172_975, 1_000_000), scored(9, 1_000_000, 206_549, u64::from(u32::MAX) + 1)];
    scores.sort();
    let at = Wall(1_771_585_600_000);
    let first = Said { viewer: origin(7, 1), at, heads: marks_digest(&marks), marks, scores };
    let heads = Digest::of(b"more marks than it may spell out");
    let second = Said { heads, marks: vec![], scores: vec![scored(9, 500_000, 0, 0)], ..first.clone() };
    [first, second]
}

fn shown(said: &Said, frame: &[u8]) -> Value {
    let marks: Vec<Value> = said
        .marks
        .iter()
        .map(|mark| json!({"origin": mark.origin.to_string(), "next": mark.next.to_string()}))
        .collect();
    let scores: Vec<Value> = said
        .scores
        .iter()
        .map(|one| {
            let receipts = one.receipts_micro.to_string();
            json!({"agent": one.agent.to_string(), "score": one.score, "lower": one.lower, "receipts_micro": receipts})
        })
        .collect();
    json!({
        "viewer": said.viewer.to_string(), "at": said.at.0, "heads": said.heads.hex(), "marks": marks,
        "scores": scores, "bytes": hex::encode(frame),
    })
}

/// A frame of what no honest viewer says, signed all the same; the signature is over other bytes where `spoil` says so.
fn framed(said: &Said, spoil: bool) -> Vec<u8> {
    let payload = artel_protocol::codec::encode(said);
    let mut covered = artel_protocol::key::signed_bytes("summary", &said.viewer.federation(), &payload);
    if spoil {
        covered.push(0);
    }
    let mut out = Vec::new();
    Frame::append(KIND, 1, &(said, secret(7).sign(&covered)), &mut out);
    out
}

pub fn summary() -> Value {
    let [first, second] = said();
    let frame =
        |said: &Said| Summary::sign(said.clone(), &secret(7)).expect("within bounds").bytes().to_vec();
    let refused = |about: &str, why: &str, bytes: Vec<u8>| json!({"about": about, "why": why, "bytes": hex::encode(bytes)});
    let changed = |change: &dyn Fn(&mut Said)| {
        let mut said = said()[0].clone();
        change(&mut said);
        framed(&said, false)
    };
    let mut version = frame(&first);
    version[2] = 2;
    let mut longer = frame(&second);
    longer[4] += 1;
    longer.push(0);
    json!({
        "about": "next and receipts_micro are decimal texts; bytes is the whole frame; why is the first check that fails",
        "federation": federation().to_string(),
        "passed_over": passed_over(),
        "liars": liars(),
        "summaries": [shown(&first, &frame(&first)), shown(&second, &frame(&second))],
        "refused": [
            refused("of version 2", "unknown", version),
            refused("a byte behind it", "codec", longer),
            refused("of another federation", "foreign", changed(&|said| {
                said.viewer = Origin::new(FederationId([9; 32]), said.viewer.node(), 1);
            })),
            refused("marks of another digest", "marks", changed(&|said| said.marks[0].next += 1)),
            refused("marks that fall", "marks", changed(&|said| {
                said.marks.reverse();
                said.heads = marks_digest(&said.marks);
            })),
            refused("no score", "scores", changed(&|said| said.scores.clear())),
            refused("an agent twice", "scores", changed(&|said| said.scores[1] = said.scores[0])),
            refused("a score above the full mark", "scores", changed(&|said| said.scores[0].score = 1_000_001)),
            refused("a bound above the score", "scores", changed(&|said| said.scores[0].lower = 914_286 + 100_000)),
            refused("a signature over something else", "signature", framed(&first, true)),
        ],
    })
}

/// What was read by somebody who has passed over two stretches of one journal and one of another.
fn passed_over() -> Value {
    let marks = said()[0].marks.clone();
    let first = gap(&gap(&Digest::default(), 0, 7), 12, 40);
    let mut gaps = vec![(origin(7, 1), first), (origin(1, 0), gap(&Digest::default(), 0, 2))];
    gaps.sort();
    json!({
        "marks_of": "the first summary",
        "gaps": [
            {"origin": origin(7, 1).to_string(), "from_to": [[0, 7], [12, 40]], "digest": first.hex()},
            {"origin": origin(1, 0).to_string(), "from_to": [[0, 2]], "digest": gap(&Digest::default(), 0, 2).hex()},
        ],
        "heads": heads(&marks, &gaps, &BTreeSet::new()).hex(),
    })
}

/// What was read by somebody who holds proofs against nodes, one of which wrote a journal that it has read and passed over in part.
fn liars() -> Value {
    let marks = said()[0].marks.clone();
    let row = |liars: &[u8], gaps: &[(Origin, Digest)]| {
        let liars: BTreeSet<NodeId> = liars.iter().map(|n| NodeId(secret(*n).public())).collect();
        let gap = |(origin, digest): &(Origin, Digest)| json!({"origin": origin.to_string(), "digest": digest.hex()});
        json!({
            "marks_of": "the first summary",
            "gaps": gaps.iter().map(gap).collect::<Vec<_>>(),
            "nodes": liars.iter().map(|node| node.to_string()).collect::<Vec<_>>(),
            "heads": heads(&marks, gaps, &liars).hex(),
        })
    };
    let gaps = [(origin(1, 0), gap(&Digest::default(), 0, 2))];
    json!([row(&[9], &[]), row(&[1], &gaps), row(&[9, 1], &gaps)])
}

fn why(error: &Error) -> &'static str {
    match error {
        Error::Codec(_) => "codec",
        Error::Unknown { .. } => "unknown",
        Error::Size { .. } => "size",
        Error::Foreign => "foreign",
        Error::Marks => "marks",
        Error::Scores => "scores",
        Error::Signature => "signature",
    }
}

#[test]
fn summaries_read_and_others_are_refused() {
    let file = file("summary");
    let federation = FederationId::parse(text(&file, "federation")).expect("a federation id");
    for row in rows(&file, "summaries") {
        let frame = bytes(row, "bytes");
        let summary = Summary::check(&frame, &federation).expect("it holds");
        assert_eq!(&shown(summary.said(), summary.bytes()), row);
    }
    let [first, _] = said();
    assert_eq!(file["passed_over"], passed_over());
    assert_eq!(file["liars"], liars());
    assert_eq!(heads(&first.marks, &[], &BTreeSet::new()), first.heads, "nothing was passed over");
    for row in rows(&file, "refused") {
        let refused = Summary::check(&bytes(row, "bytes"), &federation).expect_err(text(row, "about"));
        assert_eq!(why(&refused), text(row, "why"), "{}", text(row, "about"));
    }
}
