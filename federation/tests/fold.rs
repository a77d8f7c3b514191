//! The journal is the state: whatever comes in, good or bad, the fold of what was written is the live state, a snapshot
//! goes on like the journal it stands for, and an independent reader finds no illegal step.

mod common;

use artel_federation::fact::{Admission, Came, Poster, TaskSpec};
use artel_federation::input::{ClaimNext, Submission};
use artel_federation::options::TICK_ENTRIES_MAX;
use artel_federation::{
    Effect, Entry, Fact, Federation, Input, Kind, Now, Options, Principal, ReplyTo, Request,
};
use artel_protocol::amount::Credits;
use artel_protocol::id::Digest;
use artel_protocol::log::leaf::Class;
use artel_protocol::time::Wall;
use common::crowd::Crowd;
use common::referee::judge;
use common::*;

fn options(seed: u64) -> Options {
    Options {
        lease_ms: 20_000,
        lease_total_ms: 60_000,
        attempts_max: 2,
        lapses_max: 2,
        window_ms: if seed.is_multiple_of(3) { 2_000 } else { 0 },
        top: 1,
        leases_max: 3,
        credit_line_units: 60_000_000,
        ..Options::default()
    }
}

/// A home after `acts` random acts; the harness has compared fold and live state after each of them.
fn lived(seed: u64, acts: usize) -> (Home, Crowd) {
    let mut home = match seed % 3 {
        0 => Home::with(options(seed)),
        1 => Home::begun(closed_genesis(), options(seed)),
        _ => Home::begun(joining(Admission::Invitation), options(seed)),
    };
    let mut crowd = Crowd::new(seed);
    for _ in 0..6 {
        crowd.enroll(&mut home);
        crowd.learn(&mut home);
    }
    for _ in 0..acts {
        home.last.clear();
        crowd.act(&mut home);
        crowd.learn(&mut home);
    }
    (home, crowd)
}

/// Names the seed when a test falls over.
struct Seed(u64);

impl Drop for Seed {
    #[allow(clippy::print_stderr, reason = "whoever sees the failure wants to replay it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

#[test]
fn whatever_comes_in_the_fold_is_the_live_state_and_every_step_is_legal() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..25 {
        let _seed = Seed(seed);
        let (home, _) = lived(seed, 250);
        judge(&home.journal);
        let mut conduct = artel_federation::conduct::Conduct::default();
        for (entry, index) in
            home.journal.iter().zip(0..).filter(|(entry, _)| entry.fact.class() == Class::Public)
        {
            assert_eq!(
                conduct.read(index, &entry.fact),
                None,
                "an honest home's public entries show nothing"
            );
        }
        kinds.extend(home.journal.iter().map(|entry| entry.fact.kind()));
    }
    // It takes thousands of guests (`visits.rs`).
    kinds.insert(Kind::Forgotten);
    // Older homes wrote it (`golden.rs`).
    kinds.insert(Kind::Drawn);
    let missing: Vec<_> = Kind::ALL.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert!(missing.is_empty(), "the crowd must bring about every kind of fact; missing {missing:?}");
}

#[test]
fn left_alone_all_work_comes_to_an_end_and_nothing_is_left_behind() {
    for seed in 100..112 {
        let _seed = Seed(seed);
        let (mut home, _) = lived(seed, 200);
        for _ in 0..4 {
            home.pass(3 * HOUR_MS);
            home.lots_fall();
            while !home.redos.is_empty() {
                home.redone(None, Came::Inconclusive);
            }
            for (step, epoch) in std::mem::take(&mut home.checks) {
                home.input(Input::Checked { step, epoch, outcome: rejected() });
            }
        }
        // What no home has heard of is kept for seven days.
        home.pass(8 * DAY_MS);
        let counts = home.mind.view().counts();
        let left = (counts.runs_open, counts.steps_open, counts.offers, counts.leases, counts.waiting);
        assert_eq!(left, (0, 0, 0, 0, 0));
        let escrows = home
            .mind
            .view()
            .accounts()
            .filter(|(account, _)| matches!(account, artel_federation::fact::Account::Escrow(_)));
        assert_eq!(escrows.count(), 0, "no money is stuck");
        assert_eq!(home.mind.next_timer(), None, "no timer is left");
        judge(&home.journal);
    }
}

#[test]
fn a_seed_replays_exactly() {
    let digest = |seed| {
        let (home, _) = lived(seed, 150);
        let bytes: Vec<u8> = home.journal.iter().flat_map(Entry::encode).collect();
        Digest::of(&bytes)
    };
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

/// Two minds that are given the same inputs, and what they want done.
fn side_by_side(
    one: &mut Federation,
    two: &mut Federation,
    feed: impl Fn(&mut Federation, &mut Vec<Effect>),
) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    feed(one, &mut first);
    feed(two, &mut second);
    assert_eq!(format!("{first:?}"), format!("{second:?}"), "the same effects");
    assert!(one.snapshot().encode() == two.snapshot().encode(), "the same state");
}

#[test]
fn a_snapshot_goes_on_as_the_journal_does() {
    for seed in 200..212 {
        let _seed = Seed(seed);
        let (mut home, mut crowd) = lived(seed, 120);
        let bytes = home.mind.snapshot().encode();
        let mut from_journal = home.refold();
        let mut from_snapshot =
            Federation::from_snapshot(home.identity, options(seed), &bytes).expect("our own snapshot");
        assert!(from_snapshot.snapshot().encode() == bytes, "decoding and encoding changes nothing");
        let start = home.mono;
        let now = |wall: Wall, ms: u64, n: u8| Now {
            mono: start.plus_ms(ms),
            wall: wall.plus_ms(ms),
            entropy: Digest::of(&[n]).0,
        };
        let begin = now(home.wall, 0, 0);
        side_by_side(&mut from_journal, &mut from_snapshot, |mind, effects| mind.resume(begin, effects));
        let wall = home.wall;
        for n in 1..60 {
            let at = now(wall, u64::from(n) * 700, n);
            let (who, step, epoch) = crowd.any_lease(&home);
            let request = match crowd.dice.below(5) {
                0 => Request::Post(crowd.post(&home)),
                1 => Request::ClaimNext(ClaimNext { wait_ms: 1_000 }),
                2 => Request::Claim(crowd.any_step()),
                3 => Request::Submit(Submission {
                    step,
                    epoch,
                    output: json("[1]"),
                    artifacts: Vec::new(),
                    next: None,
                    brought: None,
                }),
                _ => Request::Renew { step, epoch },
            };
            let to = ReplyTo(1_000_000 + u64::from(n));
            let input = Input::Request { to, principal: who, correlation: None, request };
            side_by_side(&mut from_journal, &mut from_snapshot, |mind, effects| {
                mind.handle(input.clone(), at, effects);
            });
        }
        home.skip(1);
    }
}

#[test]
fn a_snapshot_stays_as_it_was_while_the_state_goes_on() {
    for seed in 300..306 {
        let _seed = Seed(seed);
        let (mut home, mut crowd) = lived(seed, 60);
        let (taken, bytes) = (home.mind.snapshot(), home.mind.snapshot().encode());
        for _ in 0..60 {
            crowd.act(&mut home);
            crowd.learn(&mut home);
        }
        assert!(home.mind.snapshot().encode() != bytes, "something happened");
        assert!(taken.encode() == bytes, "it shares nothing that changes");
    }
}

#[test]
fn a_damaged_snapshot_is_refused_or_reads_back_as_it_stands() {
    let (home, _) = lived(3, 80);
    let bytes = home.mind.snapshot().encode();
    for cut in [0, 1, 3, 4, 8, bytes.len() / 2, bytes.len() - 1] {
        assert!(Federation::from_snapshot(home.identity, options(3), &bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Federation::from_snapshot(home.identity, options(3), &longer).is_err());
    let mut other_form = bytes.clone();
    other_form[4] ^= 0xff;
    assert!(Federation::from_snapshot(home.identity, options(3), &other_form).is_err(), "another form");
}

#[test]
fn entries_that_cannot_follow_are_refused() {
    let (home, _) = lived(4, 200);
    let position = |kind: Kind| home.journal.iter().position(|e| e.fact.kind() == kind);
    for kind in [Kind::Offered, Kind::Granted, Kind::Submitted, Kind::Verdict, Kind::Lapsed, Kind::StepEnded]
    {
        let at = position(kind).expect("the crowd brings them about");
        let twice: Vec<Entry> = home.journal[..=at].iter().chain([&home.journal[at]]).cloned().collect();
        let mut mind = Federation::new(home.identity, options(4));
        assert!(mind.fold(&twice, &mut Vec::new()).is_err(), "{kind:?} twice");
    }
    let at = position(Kind::Granted).expect("the crowd brings them about");
    let mut mind = Federation::new(home.identity, options(4));
    let skipped: Vec<Entry> = home.journal[..at]
        .iter()
        .filter(|e| e.fact.kind() != Kind::Offered)
        .chain([&home.journal[at]])
        .cloned()
        .collect();
    assert!(mind.fold(&skipped, &mut Vec::new()).is_err(), "a grant without its offer");
    let mut late_genesis = Federation::new(home.identity, options(4));
    assert!(late_genesis.fold(&[home.journal[1].clone(), home.journal[0].clone()], &mut Vec::new()).is_err());
}

#[test]
fn timers_do_not_carry_a_requests_correlation() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let id = home.post_one(home.task());
    home.claim(&ada, id).expect("open");
    home.skip(MINUTE_MS);
    home.ask_as(Principal::Stranger, Request::Claim(id), "somebody-else");
    assert_eq!(home.kinds(), [Kind::Lapsed, Kind::Offered]);
    assert!(home.last.iter().all(|entry| entry.correlation.is_none()));
    let post = run(vec![step("a", &[], home.task())]);
    home.ask_as(Principal::Operator, Request::Post(post), "mine");
    assert!(!home.last.is_empty());
    let said = |entry: &Entry| entry.correlation.as_ref().map(|correlation| correlation.as_str().to_owned());
    for entry in &home.last {
        // The poster chose it: in what everybody sees it would tell which tasks belong together.
        let is_public = entry.fact.class() == Class::Public;
        assert_eq!(said(entry), (!is_public).then(|| "mine".to_owned()), "{:?}", entry.fact.kind());
    }
    assert!(home.last.iter().any(|entry| entry.fact.class() == Class::Public));
}

#[test]
fn a_tick_makes_a_bounded_frame() {
    let mut home = Home::new();
    let deadline = home.wall.plus_ms(10_000);
    for _ in 0..12 {
        let task = TaskSpec { deadline, reward: Credits::ZERO, ..home.task() };
        let steps = (0..200).map(|i| step(&i.to_string(), &[], task.clone())).collect();
        home.post(Principal::Operator, run(steps)).expect("a good post");
    }
    home.skip(10_000);
    let mut ticks = 0;
    while home.mind.next_timer().is_some() {
        home.input(Input::Tick);
        assert!(home.last.len() <= TICK_ENTRIES_MAX + 1_000, "{} entries", home.last.len());
        ticks += 1;
        assert!(ticks < 100, "each tick does something");
    }
    assert!(ticks > 1);
    assert_eq!(home.mind.view().counts().steps_open, 0);
}

#[test]
fn refusals_are_one_entry_a_code_and_minute_and_lost_races_none() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.task());
    home.claim(&ada, id).expect("open");
    let before = home.journal.len();
    for _ in 0..50 {
        home.claim(&bob, id).expect_err("taken");
        done(home.ask(bob.principal(), Request::RevokeAgent(ada.id))).expect_err("forbidden");
        done(home.ask(Principal::Stranger, Request::RevokeAgent(ada.id))).expect_err("unknown");
    }
    home.input(Input::RefusedAtEdge { who: Poster::Agent(bob.id), code: "rate_limited" });
    assert_eq!(home.journal.len(), before);
    home.skip(MINUTE_MS - 1);
    home.input(Input::Tick);
    assert_eq!(home.journal.len(), before);
    home.skip(1);
    home.input(Input::Tick);
    let written = home.facts(|f| match f {
        Fact::Refused(f) => Some((f.who, f.code.clone(), f.count)),
        _ => None,
    });
    let bob = Poster::Agent(bob.id);
    assert_eq!(written, [(bob, "forbidden".into(), 50), (bob, "rate_limited".into(), 1)]);
}
