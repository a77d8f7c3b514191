//! Runs: graphs of steps, what follows what, posts that are repeated, bounds, credit, and what is attached to them.

mod common;

use artel_federation::fact::{Account, End, TaskSpec};
use artel_federation::input::{ArtifactPut, RunPost};
use artel_federation::options::{
    AGENT_OPEN_STEPS_MAX, DEADLINE_MS_MAX, Options, POST_KEY_MS, RECENT_STEPS, RUN_BYTES_MAX,
};
use artel_federation::run::{Run, RunStatus, StepState};
use artel_federation::{Code, Fact, Kind, Principal, Reply, Request};
use artel_protocol::amount::{CREDITS_MAX, Credits};
use artel_protocol::id::{Digest, RUN_STEPS_MAX, RunId, StepId};
use artel_protocol::limits::{
    DESCRIPTION_BYTES_MAX, INPUT_BYTES_MAX, METADATA_BYTES_MAX, NAME_BYTES_MAX, SCHEMA_BYTES_MAX, SKILLS_MAX,
    TITLE_BYTES_MAX,
};
use artel_protocol::time::Wall;
use common::*;

const LEASE_MS: u64 = 60_000;

fn states(home: &Home, run: RunId) -> Vec<StepState> {
    home.mind.view().run(&run).expect("a known run").steps.iter().map(|s| s.state.clone()).collect()
}

fn status(home: &Home, run: RunId) -> RunStatus {
    home.mind.view().run(&run).expect("a known run").status()
}

/// A run of steps that pay nothing, written `name` or `name<need,need`.
fn graph(home: &Home, steps: &[&str]) -> RunPost {
    let task = TaskSpec { reward: Credits::ZERO, ..home.task() };
    let post = |text: &&str| {
        let (name, needs) = text.split_once('<').unwrap_or((text, ""));
        let needs: Vec<&str> = needs.split(',').filter(|need| !need.is_empty()).collect();
        step(name, &needs, task.clone())
    };
    run(steps.iter().map(post).collect())
}

fn posted(home: &mut Home, steps: &[&str]) -> Run {
    let post = graph(home, steps);
    home.post(Principal::Operator, post).expect("a good post")
}

fn finish(home: &mut Home, member: &Member, step: StepId, output: &str) {
    let lease = home.claim(member, step).expect("open");
    home.submit(member, &lease, output).expect("a live lease");
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
fn a_post_has_bounds() {
    let mut home = Home::new();
    let base = home.task();
    let text = |n: usize| "x".repeat(n);
    let with = |task: TaskSpec| run(vec![step("a", &[], task)]);
    let named = |name: String| run(vec![step(&name, &[], base.clone())]);
    let skilled = |n: usize| {
        let names: Vec<String> = (0..n).map(|i| format!("s{i}")).collect();
        skills(&names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let at = |ms: u64| TaskSpec { deadline: BEGIN.plus_ms(ms), ..base.clone() };
    let title = |title: String| TaskSpec { title, ..base.clone() };
    let schema = |n: usize| TaskSpec { output_schema: Some(json(&text(n))), ..base.clone() };
    let rows = [
        (with(title(text(TITLE_BYTES_MAX))), None),
        (with(title(text(TITLE_BYTES_MAX + 1))), Some(Code::Invalid)),
        (with(title(" ".into())), Some(Code::Invalid)),
        (with(TaskSpec { description: text(DESCRIPTION_BYTES_MAX), ..base.clone() }), None),
        (
            with(TaskSpec { description: text(DESCRIPTION_BYTES_MAX + 1), ..base.clone() }),
            Some(Code::TooMany),
        ),
        (with(TaskSpec { input: json(&text(INPUT_BYTES_MAX)), ..base.clone() }), None),
        (with(TaskSpec { input: json(&text(INPUT_BYTES_MAX + 1)), ..base.clone() }), Some(Code::TooMany)),
        (with(schema(SCHEMA_BYTES_MAX)), None),
        (with(schema(SCHEMA_BYTES_MAX + 1)), Some(Code::TooMany)),
        (with(TaskSpec { skills: skilled(SKILLS_MAX), ..base.clone() }), None),
        (with(TaskSpec { skills: skilled(SKILLS_MAX + 1), ..base.clone() }), Some(Code::Invalid)),
        (with(TaskSpec { reward: Credits(CREDITS_MAX.0 + 1), ..base.clone() }), Some(Code::Invalid)),
        (with(at(1)), None),
        (with(at(0)), Some(Code::Invalid)),
        (with(at(DEADLINE_MS_MAX)), None),
        (with(at(DEADLINE_MS_MAX + 1)), Some(Code::Invalid)),
        (named(text(NAME_BYTES_MAX)), None),
        (named(text(NAME_BYTES_MAX + 1)), Some(Code::Invalid)),
        (named("a\nb".into()), Some(Code::Invalid)),
        (RunPost { name: text(NAME_BYTES_MAX + 1), ..run(vec![]) }, Some(Code::Invalid)),
        (RunPost { name: String::new(), ..run(vec![]) }, Some(Code::Invalid)),
        (RunPost { inputs: json(&text(INPUT_BYTES_MAX)), ..run(vec![]) }, None),
        (RunPost { inputs: json(&text(INPUT_BYTES_MAX + 1)), ..run(vec![]) }, Some(Code::TooMany)),
    ];
    for (n, (post, wanted)) in rows.into_iter().enumerate() {
        assert_eq!(home.post(Principal::Operator, post).err(), wanted, "row {n}");
    }
}

/// The harness reads each entry back, so a run that is too large for one entry would fail there.
#[test]
fn a_run_too_large_for_one_entry_is_refused() {
    let mut home = Home::new();
    let large = TaskSpec { input: json(&"x".repeat(INPUT_BYTES_MAX)), ..home.task() };
    let steps = |n: usize| run((0..n).map(|i| step(&i.to_string(), &[], large.clone())).collect());
    let fits = RUN_BYTES_MAX / INPUT_BYTES_MAX - 1;
    assert!(home.post(Principal::Operator, steps(fits)).is_ok());
    assert_eq!(home.post(Principal::Operator, steps(fits + 1)).err(), Some(Code::TooMany));
    let names: Vec<String> = (0..SKILLS_MAX).map(|i| format!("{:0>64}", i)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let schema = json(&"x".repeat(SCHEMA_BYTES_MAX));
    let wide = TaskSpec { skills: skills(&names), output_schema: Some(schema), ..home.task() };
    let wide = TaskSpec { description: "x".repeat(DESCRIPTION_BYTES_MAX), ..wide };
    let many = run((0..RUN_STEPS_MAX).map(|i| step(&i.to_string(), &[], wide.clone())).collect());
    assert_eq!(home.post(Principal::Operator, many).err(), Some(Code::TooMany), "texts count too");
}

#[test]
fn an_event_too_large_for_one_entry_is_refused() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let emit = |name: &str, bytes: usize| Request::Emit {
        name: name.into(),
        data: json(&"x".repeat(bytes)),
        run: None,
    };
    assert_eq!(
        done(home.ask(Principal::Operator, emit("xyn.test", INPUT_BYTES_MAX + 1))),
        Err(Code::Invalid)
    );
    assert_eq!(
        done(home.ask(Principal::Operator, emit(&"x".repeat(NAME_BYTES_MAX + 1), 1))),
        Err(Code::Invalid)
    );
    assert_eq!(done(home.ask(ada.principal(), emit("xyn.test", 1))), Err(Code::Forbidden));
    assert_eq!(done(home.ask(Principal::Operator, emit("xyn.test", INPUT_BYTES_MAX))), Ok(()));
    assert_eq!(home.kinds(), [Kind::Emitted]);
}

#[test]
fn the_same_post_under_the_same_key_is_one_run() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let keyed = |home: &Home, key: &str, body: &str| RunPost {
        key: Some((key.into(), Digest::of(body.as_bytes()))),
        ..graph(home, &["a"])
    };
    let (post, other) = (keyed(&home, "k", "one"), keyed(&home, "k", "two"));
    let first = home.post(Principal::Operator, post.clone()).expect("a good post");
    let before = home.journal.len();
    for restart in [false, true] {
        if restart {
            home.restart_from_snapshot();
        }
        let Some(Ok(Reply::Run { run, repeated })) =
            home.ask(Principal::Operator, Request::Post(post.clone()))
        else {
            panic!("the same run")
        };
        assert_eq!((run.id, repeated), (first.id, true));
        assert!(home.last.is_empty(), "a repeat writes nothing");
        assert_eq!(home.post(Principal::Operator, other.clone()).err(), Some(Code::IdempotencyConflict));
    }
    assert_eq!(home.journal.len(), before + 1, "the start alone");
    let foreign = home.post(ada.principal(), other).expect("another's key is another key");
    assert_ne!(foreign.id, first.id);
    finish(&mut home, &ada, first.step_id(0), "1");
    let again = home.post(Principal::Operator, post.clone()).expect("the same run");
    assert_eq!((again.id, again.status()), (first.id, RunStatus::Completed), "also when it is over");
    let second = home.post(Principal::Operator, keyed(&home, "l", "one")).expect("another key");
    assert_ne!(second.id, first.id);
}

#[test]
fn a_post_key_outlives_its_run_in_memory() {
    let mut home = Home::new();
    let key = Some(("k".to_owned(), Digest::of(b"body")));
    let keyed = RunPost { key, ..run(vec![]) };
    let first = home.post(Principal::Operator, keyed.clone()).expect("a good post");
    let names: Vec<String> = (0..RUN_STEPS_MAX).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..=RECENT_STEPS / RUN_STEPS_MAX {
        assert!(home.mind.view().run(&first.id).is_some(), "not before");
        let full = posted(&mut home, &names);
        home.cancel(Principal::Operator, full.id, None).expect("open");
    }
    assert!(home.mind.view().run(&first.id).is_none(), "the run has left memory");
    let again = home.ask(Principal::Operator, Request::Post(keyed)).expect("an answer");
    assert!(matches!(again, Ok(Reply::Repeated(id)) if id == first.id), "{again:?}");
}

#[test]
fn a_post_key_is_forgotten_after_a_day() {
    let mut home = Home::new();
    let keyed = |body: &str| RunPost { key: Some(("k".into(), Digest::of(body.as_bytes()))), ..run(vec![]) };
    let first = home.post(Principal::Operator, keyed("one")).expect("a good post");
    home.pass(POST_KEY_MS);
    let again = home.post(Principal::Operator, keyed("one")).expect("the same run");
    assert_eq!(again.id, first.id, "to the last millisecond");
    home.pass(1);
    let other = home.post(Principal::Operator, keyed("two")).expect("the key is free");
    assert_ne!(other.id, first.id);
    home.restart();
    let again = home.post(Principal::Operator, keyed("two")).expect("the same run");
    assert_eq!(again.id, other.id);
}

#[test]
fn a_key_posted_anew_is_remembered_for_its_own_day_also_when_clocks_step_back() {
    let mut home = Home::new();
    let keyed = |key: &str| RunPost { key: Some((key.into(), Digest::of(b"body"))), ..run(vec![]) };
    home.wall = BEGIN.plus_ms(2 * DAY_MS);
    home.post(Principal::Operator, keyed("ahead")).expect("a good post");
    home.wall = BEGIN;
    home.post(Principal::Operator, keyed("k")).expect("a good post");
    home.wall = BEGIN.plus_ms(2 * DAY_MS + 23 * HOUR_MS);
    let second = home.post(Principal::Operator, keyed("k")).expect("its first day is over");
    home.wall = BEGIN.plus_ms(3 * DAY_MS + 1);
    home.post(Principal::Operator, keyed("other")).expect("a good post");
    let again = home.post(Principal::Operator, keyed("k")).expect("the same run");
    assert_eq!(again.id, second.id);
}

#[test]
fn an_escrow_needs_cover() {
    let line = 40_000_000;
    let mut home = Home::with(Options { credit_line_units: line, ..Options::default() });
    let ada = home.enroll(1, &[]);
    let task = |units: u64, home: &Home| TaskSpec { reward: Credits(units), ..home.task() };
    let one = |units: u64, home: &Home| run(vec![step("a", &[], task(units, home))]);
    let (exact, over) = (one(20_000_000, &home), one(20_000_001, &home));
    assert_eq!(home.post(Principal::Operator, over).err(), Some(Code::InsufficientCredit));
    let open = home.post(Principal::Operator, exact).expect("twice the base is the line");
    let little = one(1, &home);
    assert_eq!(home.post(Principal::Operator, little.clone()).err(), Some(Code::InsufficientCredit));
    assert_eq!(
        home.post(ada.principal(), little.clone()).err(),
        Some(Code::InsufficientCredit),
        "no line at all"
    );
    finish(&mut home, &ada, open.step_id(0), "1");
    assert_eq!(home.mind.view().balance(Account::Agent(ada.id)), 20_000_000);
    let spent = one(10_000_000, &home);
    home.post(ada.principal(), spent).expect("what it earned");
    assert_eq!(home.post(ada.principal(), little).err(), Some(Code::InsufficientCredit));
    let sum = run((0..3).map(|i| step(&i.to_string(), &[], task(4_000_000, &home))).collect());
    assert_eq!(
        home.post(Principal::Operator, sum).err(),
        Some(Code::InsufficientCredit),
        "the steps' sum counts"
    );
}

#[test]
fn the_largest_rewards_and_lines_do_not_overflow() {
    let mut home = Home::with(Options { credit_line_units: u64::MAX, ..Options::default() });
    let rich = TaskSpec { reward: CREDITS_MAX, ..home.task() };
    let steps = || run((0..RUN_STEPS_MAX).map(|i| step(&i.to_string(), &[], rich.clone())).collect());
    let outcomes: Vec<_> = (0..30).map(|_| home.post(Principal::Operator, steps()).err()).collect();
    assert_eq!(outcomes[0], None);
    assert_eq!(outcomes[29], Some(Code::InsufficientCredit));
}

#[test]
fn an_agent_has_its_share_of_the_book() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let names: Vec<String> = (0..RUN_STEPS_MAX).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let full = graph(&home, &names);
    let mut first = None;
    for _ in 0..AGENT_OPEN_STEPS_MAX / RUN_STEPS_MAX {
        let run = home.post(ada.principal(), full.clone()).expect("its share");
        first.get_or_insert(run.id);
    }
    let one = graph(&home, &["a"]);
    assert_eq!(home.post(ada.principal(), one.clone()).err(), Some(Code::BookFull));
    assert!(
        home.post(bob.principal(), one.clone()).is_ok()
            && home.post(Principal::Operator, one.clone()).is_ok()
    );
    home.restart_from_snapshot();
    assert_eq!(
        home.post(ada.principal(), one.clone()).err(),
        Some(Code::BookFull),
        "counted anew after a restart"
    );
    home.cancel(ada.principal(), first.expect("posted"), None).expect("open");
    assert!(home.post(ada.principal(), one).is_ok());
}

#[test]
fn only_the_operator_posts_ahead_of_others() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    for (priority, wanted) in [(1, Some(Code::Forbidden)), (0, None), (-5, None)] {
        let post = RunPost { priority, ..graph(&home, &["a"]) };
        assert_eq!(home.post(ada.principal(), post.clone()).err(), wanted, "{priority}");
        assert_eq!(home.post(Principal::Operator, post).err(), None);
    }
}

fn put(name: &str) -> ArtifactPut {
    ArtifactPut {
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
