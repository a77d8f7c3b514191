//! Frames between a home and a worker's node: golden ones, and that nothing else than what a writer writes is read.
//!
//! `ARTEL_WRITE_VECTORS=1 cargo test -p artel-federation --test visits_frames` writes the file of vectors anew and fails, so
//! that it cannot be left on; look at the difference before it is committed.

mod common;
mod held;

use artel_federation::Json;
use artel_federation::commitment::{Opening, Salt};
use artel_federation::effect::{Judged, Lease, Receipt};
use artel_federation::fact::{Authority, Outcome, RunnerSpec};
use artel_federation::visit::message::{
    Act, CHALLENGE_BYTES_MAX, CODE_BYTES_MAX, ENOUGH_KIND, Enough, Error, FETCH_KIND, Fetch, Handing,
    SENTENCE_BYTES_MAX, SERVED_KIND, Served, TOLD_KIND, Told, VISIT_KIND, Visit, Wanted, Warrant,
};
use artel_federation::visit::warrant::act_text;
use artel_protocol::amount::Credits;
use artel_protocol::codec;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::json::Error as Wrong;
use artel_protocol::key::Signature;
use artel_protocol::limits::{
    JSON_DEPTH_MAX, NAME_BYTES_MAX, OUTPUT_BYTES_MAX, SKILLS_MAX, STEP_ARTIFACTS_MAX,
};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use common::{BEGIN, DAY_MS, identity, json, member, peer, skills};
use proptest::prelude::*;

const HELD: &str = include_str!("../vectors/visits.txt");

const UNTIL: Wall = Wall(BEGIN.0 + 90 * DAY_MS);
const EPOCH: Epoch = Epoch(3);

fn step() -> StepId {
    RunId::new(BEGIN, [7; 9]).step(1)
}

/// What an agent of `peer(1)` signed there when it enrolled and delegated, with a nonce as a node makes it.
fn challenge() -> String {
    let text = common::abroad::delegation_text(&identity(), &peer(1), &member(1), UNTIL);
    text.replace("nonce: 00\n", &format!("nonce: {}\n", "0a".repeat(23)))
}

fn delegated(act: Act) -> Visit {
    let (ada, challenge) = (member(1), challenge());
    let warrant = Warrant::Delegated { signature: ada.sign(&challenge), challenge, until: UNTIL };
    Visit { agent: ada.id, name: "Ada".into(), skills: skills(&["count@2", "rust"]), warrant, act }
}

fn own(act: Act) -> Visit {
    common::abroad::own(&identity(), &member(1), BEGIN, &["count@2", "rust"], act)
}

fn submit(artifacts: &[&[u8]], next: Option<u32>) -> Act {
    Act::Submit(Box::new(Handing {
        step: step(),
        epoch: EPOCH,
        output: json(r#"{"lines":3}"#),
        salt: Salt([9; 16]),
        artifacts: artifacts.iter().map(|bytes| Digest::of(bytes)).collect(),
        incarnation: 1,
        index: 77,
        next,
    }))
}

fn acts() -> Vec<(&'static str, Act)> {
    let (step, epoch) = (step(), EPOCH);
    vec![
        ("claim", Act::Claim(step)),
        ("claim next", Act::ClaimNext { wait_ms: 30_000 }),
        ("renew", Act::Renew { step, epoch }),
        ("release", Act::Release { step, epoch }),
        ("submit", submit(&[b"report", b"log"], Some(0))),
        ("submit without artifacts", submit(&[], None)),
    ]
}

fn visits() -> Vec<(String, Visit)> {
    let under = |(name, act): (&str, Act)| {
        [(format!("{name}, delegated"), delegated(act.clone())), (format!("{name}, signed"), own(act))]
    };
    acts().into_iter().flat_map(under).collect()
}

fn lease() -> Lease {
    Lease {
        step: step(),
        run: step().run(),
        epoch: EPOCH,
        expires: BEGIN.plus_ms(60_000),
        lease_ms: 60_000,
        index: 40,
        title: "count".into(),
        description: "count the lines".into(),
        name: "count".into(),
        input: json(r#"{"file":"a"}"#),
        inputs: json(r#"{"dir":"."}"#),
        needs: vec![("cut".into(), json("[1]")), ("sort".into(), json("[2]"))],
        artifacts: vec![("cut".into(), vec![Digest::of(b"chunk")])],
        output_schema: Some(json(r#"{"type":"object"}"#)),
        runner: Some(RunnerSpec::Wasm { module: Digest::of(b"module") }),
        reward: Credits(5_000_000),
        deadline: BEGIN.plus_ms(3_600_000),
        verdict_within_ms: 600_000,
        skills: skills(&["text"]),
    }
}

fn receipt(verdict: Option<Judged>, next: Option<Box<Lease>>) -> Receipt {
    let artifacts = vec![Digest::of(b"report"), Digest::of(b"log")];
    let opening = Opening { salt: Salt([9; 16]), output: json(r#"{"lines":3}"#).digest(), artifacts };
    Receipt {
        step: step(),
        epoch: EPOCH,
        agent: member(1).id,
        result: opening.result(),
        opening,
        authority: Authority::Delegated,
        submitted: 50,
        submitted_at: BEGIN.plus_ms(5_000),
        verdict,
        next,
    }
}

fn told() -> Vec<(&'static str, Told)> {
    let submitted = |verdict, next| Told::Submitted {
        receipt: Box::new(receipt(verdict, next)),
        signature: Signature([0x5a; 64]),
    };
    let bare = Lease { needs: vec![], artifacts: vec![], output_schema: None, runner: None, ..lease() };
    let accepted = Outcome::Accepted { quality: 80, checked: true };
    let rejected = Outcome::Rejected { check: "schema".into(), findings: "no total".into() };
    let paid = Credits(4_000_000);
    vec![
        ("leased", Told::Leased(Box::new(lease()))),
        ("leased, with nothing beside", Told::Leased(Box::new(bare.clone()))),
        ("nothing", Told::Nothing),
        ("renewed", Told::Renewed { expires: BEGIN.plus_ms(60_000) }),
        ("done", Told::Done),
        ("submitted", submitted(None, None)),
        (
            "submitted, accepted, and the next",
            submitted(Some(Judged { index: 52, outcome: accepted, paid }), Some(Box::new(bare))),
        ),
        (
            "submitted, rejected",
            submitted(Some(Judged { index: 52, outcome: rejected, paid: Credits::ZERO }), None),
        ),
        (
            "refused",
            Told::refused("stale_epoch", "this lease is over or was never yours; claim the task again"),
        ),
        ("large", Told::Large { step: step(), epoch: EPOCH }),
    ]
}

fn fetches() -> Vec<(&'static str, Fetch)> {
    let fetch = |what| Fetch { step: step(), epoch: EPOCH, what };
    let digest = Digest::of(b"report");
    vec![
        ("a lease", fetch(Wanted::Lease)),
        ("an artifact", fetch(Wanted::Artifact { digest, start: 0 })),
        ("an artifact from a byte on", fetch(Wanted::Artifact { digest, start: 65_536 })),
    ]
}

fn served() -> Vec<(&'static str, Served)> {
    let message = "no agent of yours holds this lease".into();
    vec![
        ("bytes", Served::Bytes(250_000_000)),
        ("refused", Served::Refused { code: "stale_epoch".into(), message }),
    ]
}

/// Every golden frame, by the name of what it holds.
fn frames() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut frames = Vec::new();
    frames.extend(visits().into_iter().map(|(what, visit)| ("Visit", what, visit.to_frame())));
    frames.extend(told().into_iter().map(|(what, told)| ("Told", what.to_owned(), told.to_frame())));
    frames.extend(fetches().into_iter().map(|(what, fetch)| ("Fetch", what.to_owned(), fetch.to_frame())));
    frames.extend(served().into_iter().map(|(what, served)| ("Served", what.to_owned(), served.to_frame())));
    frames.push(("Enough", "an agent waits no longer".to_owned(), Enough { agent: member(1).id }.to_frame()));
    frames
}

/// Reads a frame as what it should hold, and writes it again.
fn again(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    match name {
        "Visit" => Visit::read(bytes).map(|visit| visit.to_frame()),
        "Told" => Told::read(bytes).map(|told| told.to_frame()),
        "Fetch" => Fetch::read(bytes).map(|fetch| fetch.to_frame()),
        "Enough" => Enough::read(bytes).map(|enough| enough.to_frame()),
        _ => Served::read(bytes).map(|served| served.to_frame()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn line(text: &str) -> String {
    text.replace('\n', "\\n")
}

fn vectors() -> String {
    let mut text = String::from(
        "# Golden frames between a home and a worker's node, and the texts that stand behind their warrants.\n\
         # frame TAB what TAB hex TAB SHA-256 of the frame; name TAB value. In texts a line feed is written as \\n.\n\
         # Written by tests/visits_frames.rs, which says how.\n",
    );
    for (name, what, frame) in frames() {
        text += &format!("{name}\t{what}\t{}\t{}\n", hex(&frame), Digest::of(&frame));
    }
    text += &format!("federation\t{}\nhome\t{}\n", identity().federation, identity().node);
    text += &format!("node\t{}\nagent\t{}\n", peer(1), member(1).id);
    let challenge = challenge();
    text += &format!("challenge\t{}\t{}\n", line(&challenge), Digest::of(challenge.as_bytes()));
    for (name, act) in acts() {
        let statement = act_text(&identity(), &member(1).id, &skills(&["count@2", "rust"]), &act, BEGIN);
        text += &format!("statement, {name}\t{}\t{}\n", line(&statement), Digest::of(statement.as_bytes()));
    }
    text
}

#[test]
fn golden_frames_have_not_changed() {
    held::have_not_changed(&[("visits.txt", HELD, vectors())]);
}

/// The file's own bytes, not ours of today.
#[test]
fn golden_frames_still_read() {
    let all = held::frames(HELD);
    for (name, what, frame) in &all {
        assert_eq!(again(name, frame).as_ref(), Ok(frame), "{name} {what}");
    }
    assert_eq!(all.len(), frames().len());
}

#[test]
fn what_stands_in_the_vectors_is_what_the_agent_signed() {
    for (what, visit) in visits() {
        let (text, signature) = match &visit.warrant {
            Warrant::Delegated { challenge, signature, .. } => (challenge.clone(), signature),
            Warrant::Own { at, signature } => {
                (act_text(&identity(), &visit.agent, &visit.skills, &visit.act, *at), signature)
            }
        };
        assert_eq!(visit.agent.key().verify(text.as_bytes(), signature), Ok(()), "{what}");
    }
}

#[test]
fn a_frame_that_is_cut_or_longer_is_refused() {
    for (name, what, frame) in frames() {
        for cut in 0..frame.len() {
            assert!(again(name, &frame[..cut]).is_err(), "{name} {what} cut at {cut}");
            // The same with a head that fits.
            if let Some(payload) = cut.checked_sub(8) {
                let mut shorter = frame[..cut].to_vec();
                shorter[4..8].copy_from_slice(&(payload as u32).to_le_bytes());
                assert!(again(name, &shorter).is_err(), "{name} {what} cut at {cut}, and its head says so");
            }
        }
        let mut longer = [frame.clone(), vec![0]].concat();
        assert!(again(name, &longer).is_err(), "{name} {what} with a byte more");
        let payload = longer.len() as u32 - 8;
        longer[4..8].copy_from_slice(&payload.to_le_bytes());
        assert!(again(name, &longer).is_err(), "{name} {what} with a byte more, and its head says so");
    }
}

#[test]
fn every_changed_byte_is_refused_or_has_one_form() {
    for (name, what, frame) in frames() {
        let mut changed = frame.clone();
        for at in 0..frame.len() {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                changed[at] ^= flip;
                if let Ok(written) = again(name, &changed) {
                    assert_eq!(written, changed, "{name} {what} with byte {at} ^ {flip}");
                }
                changed[at] ^= flip;
            }
        }
    }
}

proptest! {
    #[test]
    fn bytes_put_into_a_frame_are_refused_or_have_one_form(
        (n, at, with) in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..24)),
    ) {
        let frames = frames();
        let (name, what, mut frame) = frames[n.index(frames.len())].clone();
        let at = at.index(frame.len());
        let end = frame.len().min(at + with.len());
        frame[at..end].copy_from_slice(&with[..end - at]);
        if let Ok(written) = again(name, &frame) {
            prop_assert_eq!(written, frame, "{} {}", name, what);
        }
    }
}

#[test]
fn another_kind_or_version_is_said_to_be_one() {
    let kinds = [VISIT_KIND, TOLD_KIND, FETCH_KIND, SERVED_KIND, ENOUGH_KIND];
    for (name, _, frame) in frames() {
        let own = u16::from_le_bytes([frame[0], frame[1]]);
        assert!(kinds.contains(&own));
        let with = |kind: u16, version: u16| {
            let mut other = frame.clone();
            other[..2].copy_from_slice(&kind.to_le_bytes());
            other[2..4].copy_from_slice(&version.to_le_bytes());
            again(name, &other)
        };
        for kind in kinds.into_iter().filter(|kind| *kind != own).chain([0, 0x0110, 0x0135, 0xffff]) {
            assert_eq!(with(kind, 1), Err(Error::Unknown { kind, version: 1 }), "{name}");
        }
        for version in [0, 2, 0xffff] {
            assert_eq!(with(own, version), Err(Error::Unknown { kind: own, version }), "{name}");
        }
    }
}

/// A visit within its bounds but for what `change` does to it.
fn visit_with(change: impl FnOnce(&mut Visit, &mut Handing)) -> Result<(), Error> {
    let mut visit = delegated(Act::Claim(step()));
    let Act::Submit(mut handing) = submit(&[b"report"], None) else { panic!("a submission") };
    change(&mut visit, &mut handing);
    visit.act = Act::Submit(handing);
    Visit::read(&visit.to_frame()).map(|read| assert_eq!(read, visit))
}

#[test]
fn a_visit_beyond_its_bounds_is_refused_by_name() {
    let named = |count: usize| -> Vec<Skill> {
        (0..count).map(|n| Skill::parse(&format!("skill-{n:02}")).expect("a skill")).collect()
    };
    type Change = Box<dyn FnOnce(&mut Visit, &mut Handing)>;
    let change = |change: fn(&mut Visit, &mut Handing)| -> Change { Box::new(change) };
    let artifacts = |count: usize| -> Change {
        Box::new(move |_, h| h.artifacts = (0..count).map(|n| Digest::of(&n.to_le_bytes())).collect())
    };
    let rows: Vec<(Change, Result<(), Error>)> = vec![
        (change(|_, _| {}), Ok(())),
        (Box::new(move |v, _| v.skills = named(SKILLS_MAX)), Ok(())),
        (Box::new(move |v, _| v.skills = named(SKILLS_MAX + 1)), Err(Error::Bounds("the list of skills"))),
        (change(|v, _| v.skills = vec![]), Ok(())),
        (change(|v, _| v.skills = skills(&["b", "a"])), Err(Error::Bounds("the list of skills"))),
        (change(|v, _| v.skills = skills(&["a", "a"])), Err(Error::Bounds("the list of skills"))),
        (change(|v, _| v.skills = skills(&["a@2", "a@1"])), Err(Error::Bounds("the list of skills"))),
        (change(|v, _| v.name = "n".repeat(NAME_BYTES_MAX)), Ok(())),
        (change(|v, _| v.name = "n".repeat(NAME_BYTES_MAX + 1)), Err(Error::Bounds("the name"))),
        (change(|v, _| v.name = " ".into()), Err(Error::Bounds("the name"))),
        (change(|v, _| v.name = "Ada\nname: Eve".into()), Err(Error::Bounds("the name"))),
        (change(|v, _| v.name = "Ada\u{7f}".into()), Err(Error::Bounds("the name"))),
        (change(|v, _| v.name = "Ada\u{85}".into()), Err(Error::Bounds("the name"))),
        (change(|v, _| set_challenge(v, CHALLENGE_BYTES_MAX)), Ok(())),
        (change(|v, _| set_challenge(v, CHALLENGE_BYTES_MAX + 1)), Err(Error::Bounds("the challenge"))),
        (change(|_, h| h.output = json("")), Err(Error::Bounds("the output"))),
        (change(|_, h| h.output = json(&"1".repeat(OUTPUT_BYTES_MAX))), Ok(())),
        (change(|_, h| h.output = json("not json")), Err(no_json("the output", Wrong::Syntax(1)))),
        (change(|_, h| h.output = json("1,\"x\":2")), Err(no_json("the output", Wrong::Syntax(1)))),
        (
            change(|_, h| h.output = json(r#"{"a":1,"a":2}"#)),
            Err(no_json("the output", Wrong::Twin("a".into()))),
        ),
        (change(|_, h| h.output = json(&nested(JSON_DEPTH_MAX - 1))), Ok(())),
        (
            change(|_, h| h.output = json(&nested(JSON_DEPTH_MAX))),
            Err(no_json("the output", Wrong::TooDeep(JSON_DEPTH_MAX - 1))),
        ),
        (change(|_, h| h.output = Json::new(*b"\"\xff\"")), Err(no_json("the output", Wrong::NotUtf8))),
        (change(|_, h| h.output = json(&"1".repeat(OUTPUT_BYTES_MAX + 1))), Err(Error::Bounds("the output"))),
        (artifacts(STEP_ARTIFACTS_MAX), Ok(())),
        (artifacts(STEP_ARTIFACTS_MAX + 1), Err(Error::Bounds("the list of artifacts"))),
    ];
    for (n, (change, wanted)) in rows.into_iter().enumerate() {
        assert_eq!(visit_with(change), wanted, "row {n}");
    }
}

fn no_json(what: &'static str, why: Wrong) -> Error {
    Error::NotJson { what, why }
}

fn nested(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

/// A home's words reach this node's agents, who read them as JSON.
#[test]
fn a_lease_that_says_something_else_than_json_is_none() {
    type Change = fn(&mut Lease);
    let rows: [(&str, Change); 5] = [
        ("the input", |lease| lease.input = json("")),
        ("the input", |lease| lease.input = json(r#"{"a":1},"home":"x""#)),
        ("the run's inputs", |lease| lease.inputs = json("{")),
        ("the output of a step before", |lease| lease.needs[1].1 = json(r#"{"a":1,"a":2}"#)),
        ("the output's schema", |lease| lease.output_schema = Some(json("nul"))),
    ];
    for (wanted, change) in rows {
        let mut lease = lease();
        change(&mut lease);
        let lease = Box::new(lease);
        let signature = Signature([0x5a; 64]);
        let submitted = Told::Submitted { receipt: Box::new(receipt(None, Some(lease.clone()))), signature };
        for told in [Told::Leased(lease), submitted] {
            let read = Told::read(&told.to_frame()).map(|_| ());
            assert!(matches!(read, Err(Error::NotJson { what, .. }) if what == wanted), "{wanted}: {read:?}");
        }
    }
}

fn set_challenge(visit: &mut Visit, bytes: usize) {
    let Warrant::Delegated { challenge, .. } = &mut visit.warrant else { panic!("delegated") };
    *challenge = "c".repeat(bytes);
}

#[test]
fn a_skill_that_is_none_is_no_value() {
    let frame = delegated(Act::Claim(step())).to_frame();
    let at = frame.windows(5).position(|window| window == b"count").expect("the first skill's name");
    for name in [b"Count", b"co nt", b"co@nt"] {
        let mut other = frame.clone();
        other[at..at + 5].copy_from_slice(name);
        assert!(matches!(Visit::read(&other), Err(Error::Codec(codec::Error::Malformed(_)))));
    }
}

#[test]
fn a_refusal_beyond_its_bounds_is_none() {
    let rows = [
        ("a".repeat(CODE_BYTES_MAX), "why".to_owned(), Ok(())),
        ("stale_epoch_2".into(), "s".repeat(SENTENCE_BYTES_MAX), Ok(())),
        ("stale_epoch".into(), "two\nlines".into(), Ok(())),
        ("".into(), "why".into(), Err(Error::Bounds("the code"))),
        ("a".repeat(CODE_BYTES_MAX + 1), "why".into(), Err(Error::Bounds("the code"))),
        ("Stale".into(), "why".into(), Err(Error::Bounds("the code"))),
        ("stale-epoch".into(), "why".into(), Err(Error::Bounds("the code"))),
        ("é".into(), "why".into(), Err(Error::Bounds("the code"))),
        ("stale_epoch".into(), "".into(), Err(Error::Bounds("the sentence"))),
        ("stale_epoch".into(), "s".repeat(SENTENCE_BYTES_MAX + 1), Err(Error::Bounds("the sentence"))),
        ("stale_epoch".into(), "a\u{1b}[2Jb".into(), Err(Error::Bounds("the sentence"))),
    ];
    for (code, message, wanted) in rows {
        let told = Told::Refused { code: code.clone(), message: message.clone() };
        assert_eq!(Told::read(&told.to_frame()).map(|_| ()), wanted, "{code:?} {message:?}");
        let served = Served::Refused { code: code.clone(), message: message.clone() };
        assert_eq!(Served::read(&served.to_frame()).map(|_| ()), wanted, "{code:?} {message:?}");
    }
}

/// A signature that does not hold is refused with the text that was wanted, which may be longer than a sentence.
#[test]
fn whatever_home_refuses_the_other_node_can_read() {
    for sentence in ["é".repeat(SENTENCE_BYTES_MAX), "s".repeat(5 * SENTENCE_BYTES_MAX)] {
        let told = Told::refused("bad_signature", &sentence);
        assert_eq!(Told::read(&told.to_frame()), Ok(told.clone()));
        let Told::Refused { message, .. } = told else { panic!("a refusal") };
        assert!(message.len() > SENTENCE_BYTES_MAX - 4 && sentence.starts_with(&message));
    }
}

/// The fields that a stranger reads first, by hand.
#[test]
fn small_frames_are_as_written_down() {
    let step = step();
    let mut large = vec![0x31, 1, 1, 0, 24, 0, 0, 0, 6, 0, 0, 0];
    large.extend_from_slice(step.bytes());
    large.extend_from_slice(&[3, 0, 0, 0]);
    assert_eq!(Told::Large { step, epoch: EPOCH }.to_frame(), large);
    let mut fetch = vec![0x32, 1, 1, 0, 64, 0, 0, 0];
    fetch.extend_from_slice(step.bytes());
    fetch.extend_from_slice(&[3, 0, 0, 0, 1, 0, 0, 0]);
    fetch.extend_from_slice(&Digest::of(b"report").0);
    fetch.extend_from_slice(&[0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(fetches()[2].1.to_frame(), fetch);
    assert_eq!(
        Served::Bytes(258).to_frame(),
        [0x33, 1, 1, 0, 12, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]
    );
}
