//! Posts: their bounds, repeats under a key, credit, and each poster's share of the book.

mod common;

use artel_federation::fact::{Account, TaskSpec};
use artel_federation::input::RunPost;
use artel_federation::options::{
    AGENT_OPEN_STEPS_MAX, DEADLINE_MS_MAX, Options, POST_KEY_MS, RECENT_STEPS, RUN_BYTES_MAX,
};
use artel_federation::run::RunStatus;
use artel_federation::{Code, Kind, Principal, Reply, Request};
use artel_protocol::amount::{CREDITS_MAX, Credits};
use artel_protocol::id::{Digest, RUN_STEPS_MAX};
use artel_protocol::limits::{
    DESCRIPTION_BYTES_MAX, INPUT_BYTES_MAX, NAME_BYTES_MAX, SCHEMA_BYTES_MAX, SKILLS_MAX, TITLE_BYTES_MAX,
};
use common::*;

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
