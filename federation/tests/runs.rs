//! Runs: graphs of steps, what follows what, and what is attached to them.

mod common;

use artel_federation::fact::{End, Outcome, TaskSpec};
use artel_federation::input::{ArtifactPut, RunPost};
use artel_federation::options::{Options, RECENT_BYTES};
use artel_federation::run::{RunStatus, StepState};
use artel_federation::{Code, Fact, Kind, Principal, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, RUN_STEPS_MAX, RunId, StepId};
use artel_protocol::limits::{METADATA_BYTES_MAX, NAME_BYTES_MAX};
use artel_protocol::time::Wall;
use common::*;

const LEASE_MS: u64 = 60_000;

fn states(home: &Home, run: RunId) -> Vec<StepState> {
    home.mind.view().run(&run).expect("a known run").steps.iter().map(|s| s.state.clone()).collect()
}

fn status(home: &Home, run: RunId) -> RunStatus {
    home.mind.view().run(&run).expect("a known run").status()
}

#[test]
fn steps_are_offered_when_all_that_they_need_is_accepted() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let run = posted(&mut home, &["d<b,c", "b<a", "c<a", "a", "e"]);
    let id = |n: usize| run.step_id(n);
    let open = |home: &Home| -> Vec<usize> {
        let offered = |(i, state)| (state == StepState::Offered).then_some(i);
        states(home, run.id).into_iter().enumerate().filter_map(offered).collect()
    };
    assert_eq!((open(&home), run.status()), (vec![3, 4], RunStatus::Created));
    finish(&mut home, &ada, id(3), r#""A""#);
    assert_eq!(open(&home), [1, 2, 4], "both branches at once");
    assert_eq!(status(&home, run.id), RunStatus::Running);
    finish(&mut home, &ada, id(2), r#""C""#);
    assert_eq!(open(&home), [1, 4]);
    finish(&mut home, &ada, id(1), r#""B""#);
    let lease = home.claim(&ada, id(0)).expect("open");
    let needs: Vec<_> = lease.needs.iter().map(|(name, out)| (name.as_str(), out.bytes())).collect();
    assert_eq!(needs, [("b", &br#""B""#[..]), ("c", &br#""C""#[..])], "what it needs and nothing else");
    home.submit(&ada, &lease, "1").expect("a live lease");
    finish(&mut home, &ada, id(4), "1");
    assert_eq!(home.kinds().last(), Some(&Kind::RunEnded));
    assert_eq!(home.closed.last().map(|r| (r.id, r.status())), Some((run.id, RunStatus::Completed)));
    assert_eq!(status(&home, run.id), RunStatus::Completed);
}

#[test]
fn a_lease_tells_the_whole_task() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let first = home.task();
    let second = TaskSpec {
        title: "merge".into(),
        description: "all of it".into(),
        input: json(r#"{"x":1}"#),
        output_schema: Some(json(r#"{"type":"object"}"#)),
        ..home.task()
    };
    let post = RunPost {
        inputs: json(r#"{"all":true}"#),
        ..run(vec![step("a", &[], first), step("b", &["a"], second)])
    };
    let run = home.post(Principal::Operator, post).expect("a good post");
    let lease = home.claim(&ada, run.step_id(0)).expect("open");
    let handed = artel_federation::input::Submission {
        artifacts: vec![Digest::of(b"file")],
        ..submission(&lease, "[1]")
    };
    received(home.ask(ada.principal(), Request::Submit(handed)).expect("an answer")).expect("a live lease");
    let lease = home.claim(&ada, run.step_id(1)).expect("open");
    assert_eq!(
        (lease.title.as_str(), lease.description.as_str(), lease.name.as_str()),
        ("merge", "all of it", "b")
    );
    assert_eq!((lease.input.bytes(), lease.inputs.bytes()), (&br#"{"x":1}"#[..], &br#"{"all":true}"#[..]));
    assert_eq!(lease.artifacts, [("a".to_owned(), vec![Digest::of(b"file")])]);
    assert_eq!((lease.reward, lease.lease_ms), (Credits(10_000_000), 60_000));
    assert!(lease.output_schema.is_some());
}

#[test]
fn a_failed_step_dooms_those_behind_it_and_no_others() {
    let mut home = Home::new();
    let agents: Vec<_> = (1..=3).map(|n| home.enroll(n, &[])).collect();
    let run = posted(&mut home, &["bad", "behind<bad", "far<behind,good", "good", "free<good"]);
    for member in &agents {
        home.claim(member, run.step_id(0)).expect("open");
        home.pass(LEASE_MS);
    }
    let ended = StepState::Ended;
    assert_eq!(
        states(&home, run.id),
        [
            ended(End::LapsesSpent),
            ended(End::NeedFailed),
            ended(End::NeedFailed),
            StepState::Offered,
            StepState::Waiting
        ]
    );
    assert_eq!(status(&home, run.id), RunStatus::Running, "the rest goes on");
    finish(&mut home, &agents[0], run.step_id(3), "1");
    finish(&mut home, &agents[0], run.step_id(4), "1");
    assert_eq!(status(&home, run.id), RunStatus::Failed);
    let told = home.facts(|f| if let Fact::RunEnded(f) = f { Some((f.run, f.status)) } else { None });
    assert_eq!(told, [(run.id, RunStatus::Failed)]);
}

#[test]
fn a_run_without_steps_is_over_at_once() {
    let mut home = Home::new();
    let run = posted(&mut home, &[]);
    assert_eq!((run.status(), run.ended), (RunStatus::Completed, Some(run.created)));
    assert_eq!(home.kinds(), [Kind::RunPosted, Kind::RunEnded]);
    assert_eq!(home.closed.len(), 1);
}

#[test]
fn a_run_has_at_most_two_hundred_steps() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let names: Vec<String> =
        (0..=RUN_STEPS_MAX).map(|i| if i == 0 { "0".into() } else { format!("{i}<{}", i - 1) }).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let post = graph(&home, &names);
    assert_eq!(home.post(Principal::Operator, post).err(), Some(Code::TooManySteps));
    let run = posted(&mut home, &names[..RUN_STEPS_MAX]);
    for i in 0..RUN_STEPS_MAX {
        finish(&mut home, &ada, run.step_id(i), "1");
    }
    assert_eq!(status(&home, run.id), RunStatus::Completed);
}

#[test]
fn a_graph_that_cannot_be_run_is_refused_and_leaves_nothing() {
    let mut home = Home::new();
    let before = home.journal.len();
    for (steps, code) in [
        (&["a<a"][..], Code::Cycle),
        (&["x", "a<c,x", "b<a", "c<b"], Code::Cycle),
        (&["a<nobody"], Code::UnknownNeed),
        (&["a", "a"], Code::DuplicateStep),
    ] {
        let post = graph(&home, steps);
        assert_eq!(home.post(Principal::Operator, post).err(), Some(code), "{steps:?}");
    }
    assert_eq!((home.journal.len(), home.mind.view().counts().steps_open), (before, 0));
}

#[test]
fn a_finished_run_lets_go_of_what_is_large_and_keeps_its_answers() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let large = json(&"x".repeat(RECENT_BYTES + 1));
    let text = "x".repeat(RECENT_BYTES + 1);
    let task = TaskSpec {
        input: large.clone(),
        description: text.clone(),
        output_schema: Some(large.clone()),
        ..home.task()
    };
    let small = home.task();
    let post = RunPost { inputs: large, ..run(vec![step("a", &[], task), step("b", &[], small)]) };
    let posted = home.post(Principal::Operator, post).expect("a good post");
    let refused = home.claim(&bob, posted.step_id(0)).expect("open");
    home.submit(&bob, &refused, "[]").expect("a live lease");
    home.checked(&refused, Outcome::Rejected { check: "schema".into(), findings: text.clone() });
    let lease = home.claim(&ada, posted.step_id(0)).expect("open");
    home.submit(&ada, &lease, &text).expect("a live lease");
    home.checked(&lease, accepted(100));
    finish(&mut home, &ada, posted.step_id(1), "[1]");

    let kept = home.mind.view().run(&posted.id).expect("lately finished").clone();
    assert_eq!(home.closed.last().map(AsRef::as_ref), Some(&kept), "whoever keeps closed runs gets the same");
    let (first, second) = (&kept.steps[0], &kept.steps[1]);
    assert!(kept.trimmed && kept.inputs.is_empty() && first.output.is_none());
    assert!(first.spec.task.input.is_empty() && first.spec.task.description.is_empty());
    assert!(first.spec.task.output_schema.is_none());
    assert!(kept.bytes() < 4 * RECENT_BYTES as u64, "{} bytes", kept.bytes());
    assert_eq!(
        second.output.as_ref().map(|output| output.bytes().to_vec()),
        Some(b"[1]".to_vec()),
        "what is small stays"
    );
    let again = home.submit(&ada, &lease, &text).expect("the same again");
    assert_eq!(again.verdict.map(|judged| judged.outcome), Some(accepted(100)));
}

fn put(name: &str) -> ArtifactPut {
    ArtifactPut {
        id: None,
        digest: Digest::of(name.as_bytes()),
        bytes: 10,
        bytes_new: 10,
        name: name.into(),
        kind: "file".into(),
        content_type: "text/plain".into(),
        step: None,
        run: None,
        metadata: json("{}"),
    }
}

#[test]
fn an_artifact_is_attached_by_those_who_may() {
    let mut home = Home::new();
    let (ada, bob, eve) = (home.enroll(1, &[]), home.enroll(2, &[]), home.enroll(3, &[]));
    let post = graph(&home, &["a", "b"]);
    let run = home.post(ada.principal(), post.clone()).expect("costs nothing");
    let evil = home.post(eve.principal(), post).expect("costs nothing");
    home.claim(&bob, run.step_id(0)).expect("open");
    let unknown = RunId::new(Wall(1), [1; 9]);
    let at = |run: Option<RunId>, step: Option<StepId>| ArtifactPut { run, step, ..put("a") };
    let rows = [
        (eve.principal(), at(None, None), None),
        (ada.principal(), at(Some(run.id), None), None),
        (bob.principal(), at(None, Some(run.step_id(0))), None),
        (Principal::Operator, at(Some(run.id), Some(run.step_id(1))), None),
        (eve.principal(), at(Some(run.id), None), Some(Code::Forbidden)),
        (eve.principal(), at(None, Some(run.step_id(0))), Some(Code::Forbidden)),
        (eve.principal(), at(Some(evil.id), Some(run.step_id(0))), Some(Code::NotFound)),
        (ada.principal(), at(Some(run.id), Some(run.step_id(2))), Some(Code::NotFound)),
        (ada.principal(), at(Some(unknown), None), Some(Code::NotFound)),
        (Principal::Stranger, at(None, None), Some(Code::Unauthenticated)),
    ];
    for (n, (who, put, wanted)) in rows.into_iter().enumerate() {
        assert_eq!(done(home.ask(who, Request::Store(put))).err(), wanted, "row {n}");
    }
    home.cancel(ada.principal(), run.id, None).expect("open");
    let late = at(Some(run.id), None);
    assert_eq!(
        done(home.ask(eve.principal(), Request::Store(late))),
        Err(Code::Forbidden),
        "a closed run, too"
    );
}

#[test]
fn artifacts_have_bounds_and_a_quota() {
    let mut home = Home::with(Options { artifact_quota_bytes: 25, ..Options::default() });
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for bad in [
        put(""),
        put(&long),
        ArtifactPut { kind: long.clone(), ..put("a") },
        ArtifactPut { content_type: "a\nb".into(), ..put("a") },
    ] {
        assert_eq!(done(home.ask(Principal::Operator, Request::Store(bad))), Err(Code::Invalid));
    }
    let noted = ArtifactPut { metadata: json(&"x".repeat(METADATA_BYTES_MAX + 1)), ..put("a") };
    assert_eq!(done(home.ask(Principal::Operator, Request::Store(noted))), Err(Code::TooMany));
    for (bytes_new, wanted) in [
        (10, None),
        (0, None),
        (16, Some(Code::ArtifactQuota)),
        (15, None),
        (1, Some(Code::ArtifactQuota)),
        (u64::MAX, Some(Code::ArtifactQuota)),
    ] {
        let put = ArtifactPut { bytes_new, ..put("a") };
        assert_eq!(done(home.ask(Principal::Operator, Request::Store(put))).err(), wanted, "{bytes_new}");
    }
    home.restart();
    assert_eq!(home.mind.view().counts().artifact_bytes, 25);
}
