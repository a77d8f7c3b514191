//! Frames between a home and a node that runs a step of its again: golden ones, read back as they were written.
//!
//! `ARTEL_WRITE_VECTORS=1 cargo test -p artel-federation --test redo_frames` writes the file of vectors anew and fails, so that it
//! cannot be left on; look at the difference before it is committed.

mod held;

use artel_federation::Json;
use artel_federation::redo::message::{Bound, Ended, REDO_KIND, RERAN_KIND, Redo, Reran};
use artel_federation::visit::message::Error;
use artel_protocol::id::{Digest, Epoch, RunId};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;

const HELD: &str = include_str!("../vectors/redo.txt");

fn digests(of: &[&[u8]]) -> Vec<Digest> {
    let mut digests: Vec<Digest> = of.iter().map(|bytes| Digest::of(bytes)).collect();
    digests.sort_unstable();
    digests
}

fn json(text: &str) -> Json {
    Json::new(text.as_bytes())
}

fn redos() -> Vec<(&'static str, Redo)> {
    let skills: Vec<Skill> =
        ["count@2", "rust"].iter().map(|text| Skill::parse(text).expect("a skill")).collect();
    let full = Redo {
        step: RunId::new(Wall(1_767_225_600_000), [7; 9]).step(1),
        epoch: Epoch(3),
        module: Digest::of(b"module"),
        skills,
        input: json(r#"{"file":"a"}"#),
        needs: vec![("cut".into(), json("[1]")), ("sort".into(), json("[2]"))],
        artifacts: digests(&[b"chunk", b"list"]),
    };
    let bare = Redo { skills: vec![], needs: vec![], artifacts: vec![], input: json("null"), ..full.clone() };
    vec![("a step with needs", full), ("a step with nothing beside", bare)]
}

fn rerans() -> Vec<(&'static str, Reran)> {
    let (output, artifacts) = (json(r#"{"lines":3}"#), digests(&[b"report", b"table"]));
    let done = Ended::Done { output, artifacts, log: Some(Digest::of(b"log")) };
    let bare = Ended::Done { output: json("0"), artifacts: vec![], log: None };
    let ends = vec![
        ("done", done),
        ("done, with nothing beside", bare),
        ("failed", Ended::Failed("it ended with exit code 7".into())),
        ("inconclusive", Ended::Inconclusive),
        ("cannot run", Ended::CannotRun),
        ("at the limit of fuel", Ended::Bound(Bound::Fuel)),
        ("at the limit of memory", Ended::Bound(Bound::Memory)),
        ("at the limit of tables", Ended::Bound(Bound::Table)),
        ("at the limit of the stack", Ended::Bound(Bound::Stack)),
    ];
    let profile = Digest::of(b"engine");
    ends.into_iter().map(|(what, end)| (what, Reran { profile, end })).collect()
}

/// Every golden frame, by the name of what it holds.
fn frames() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let asked = redos().into_iter().map(|(what, redo)| ("Redo", what, redo.to_frame()));
    asked.chain(rerans().into_iter().map(|(what, reran)| ("Reran", what, reran.to_frame()))).collect()
}

/// Reads a frame as what it should hold, and writes it again.
fn again(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    match name {
        "Redo" => Redo::read(bytes).map(|redo| redo.to_frame()),
        _ => Reran::read(bytes).map(|reran| reran.to_frame()),
    }
}

fn vectors() -> String {
    let mut text = String::from(
        "# Golden frames between a home and a node that runs a step of its again.\n\
         # frame TAB what TAB hex TAB SHA-256 of the frame. Written by tests/redo_frames.rs, which says how.\n",
    );
    for (name, what, frame) in frames() {
        let hex: String = frame.iter().map(|b| format!("{b:02x}")).collect();
        text += &format!("{name}\t{what}\t{hex}\t{}\n", Digest::of(&frame));
    }
    text
}

#[test]
fn golden_frames_have_not_changed() {
    held::have_not_changed(&[("redo.txt", HELD, vectors())]);
}

/// The file's own bytes, not ours of today.
#[test]
fn golden_frames_still_read_in_their_one_form() {
    let all = held::frames(HELD);
    for (name, what, frame) in &all {
        assert_eq!(again(name, frame).as_ref(), Ok(frame), "{name} {what}");
        let kind = if *name == "Redo" { REDO_KIND } else { RERAN_KIND };
        assert_eq!(frame[..4], [kind.to_le_bytes(), 1_u16.to_le_bytes()].concat());
    }
    assert_eq!(all.len(), frames().len());
}
