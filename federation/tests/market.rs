//! The market: one winner for each step, and who that is; waits, windows, capacity.

mod common;

use artel_federation::effect::Lease;
use artel_federation::fact::TaskSpec;
use artel_federation::input::Profile;
use artel_federation::matching::kept_for_newcomers;
use artel_federation::options::{UNUSED_MS, WAIT_MS_MAX, WAITERS_MAX};
use artel_federation::run::StepState;
use artel_federation::{Code, Fact, Input, Kind, Principal, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, RunId, StepId};
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};
use common::*;

const LEASE_MS: u64 = 60_000;

fn state(home: &Home, step: StepId) -> StepState {
    home.mind.view().step(&step).expect("a known step").1.state.clone()
}

fn skilled(home: &Home, names: &[&str]) -> TaskSpec {
    TaskSpec { skills: skills(names), ..home.task() }
}

fn won(home: &mut Home, to: artel_federation::ReplyTo) -> Option<Lease> {
    home.heard(to).and_then(|answer| answer.expect("a wait is not refused"))
}

#[test]
fn one_claim_wins_and_losers_cost_no_entry() {
    let mut home = Home::new();
    let agents: Vec<_> = (1..=64).map(|n| home.enroll(n, &[])).collect();
    let step = home.post_one(home.task());
    let lease = home.claim(&agents[0], step).expect("the first claim wins");
    assert_eq!((home.kinds(), lease.epoch), (vec![Kind::Granted], Epoch(1)));
    assert_eq!(lease.expires, home.wall.plus_ms(LEASE_MS));
    for loser in &agents[1..] {
        assert_eq!(home.claim(loser, step).err(), Some(Code::TaskTaken));
        assert_eq!(home.claim_next(loser).expect("an answer"), None);
        assert!(home.last.is_empty(), "a losing claim writes nothing");
    }
    let before = home.journal.len();
    home.pass(LEASE_MS - 1);
    assert_eq!(home.journal.len(), before, "nor later");
    let granted = home.facts(|fact| matches!(fact, Fact::Granted(_)).then_some(()));
    assert_eq!(granted.len(), 1);
}

#[test]
fn the_holder_that_claims_again_hears_the_same_lease() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let step = home.post_one(home.task());
    let first = home.claim(&ada, step).expect("an open task");
    home.pass(1_000);
    let again = home.claim(&ada, step).expect("its own lease");
    assert!(home.last.is_empty());
    assert_eq!((first.epoch, first.index, first.expires), (again.epoch, again.index, again.expires));
}

#[test]
fn the_best_task_has_the_highest_priority_and_then_the_greatest_age() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["a", "b"]);
    let mut ids = Vec::new();
    for (priority, wanted) in [(0, &[][..]), (5, &["b"][..]), (0, &["a"][..]), (5, &["a"][..]), (-1, &[][..])]
    {
        let post = artel_federation::input::RunPost {
            priority,
            ..run(vec![step("x", &[], skilled(&home, wanted)), step("y", &[], skilled(&home, wanted))])
        };
        ids.push(home.post(Principal::Operator, post).expect("a good post").id);
        home.skip(5);
    }
    let mut taken = Vec::new();
    while let Some(lease) = home.claim_next(&ada).expect("room for ten") {
        taken.push(lease.step);
    }
    let wanted: Vec<StepId> =
        [1, 3, 0, 2, 4].iter().flat_map(|&i: &usize| [ids[i].step(0), ids[i].step(1)]).collect();
    assert_eq!(taken, wanted);
}

#[test]
fn skills_and_levels_decide_who_may_claim() {
    let mut home = Home::new();
    let novice = home.enroll(1, &["rust@2", "go"]);
    let middle = home.enroll(2, &["rust@2", "go"]);
    let expert = home.enroll(3, &["rust@2", "go"]);
    let master = home.enroll(4, &["rust@2", "go"]);
    for (member, quality) in [(&middle, 0), (&expert, 50), (&master, 100)] {
        home.raise(member, quality);
    }
    let all = [&novice, &middle, &expert, &master];
    type Row = (&'static [&'static str], Complexity, Option<Level>, [bool; 4]);
    let rows: [Row; 11] = [
        (&[], Complexity::Simple, None, [true; 4]),
        (&["rust"], Complexity::Simple, None, [true; 4]),
        (&["rust@2", "go"], Complexity::Simple, None, [true; 4]),
        (&["rust@3"], Complexity::Simple, None, [false; 4]),
        (&["go@1"], Complexity::Simple, None, [false; 4]),
        (&["go", "zig"], Complexity::Simple, None, [false; 4]),
        (&[], Complexity::Medium, None, [false, true, true, true]),
        (&[], Complexity::Complex, None, [false, false, true, true]),
        (&[], Complexity::Premium, None, [false, false, false, true]),
        (&[], Complexity::Simple, Some(Level::Expert), [false, false, true, true]),
        (&[], Complexity::Complex, Some(Level::Novice), [false, false, true, true]),
    ];
    for (wanted, complexity, level_min, may) in rows {
        for (member, may) in all.iter().zip(may) {
            let id = home.post_one(TaskSpec { complexity, level_min, ..skilled(&home, wanted) });
            let by_id = home.claim(member, id);
            assert_eq!(by_id.is_ok(), may, "{wanted:?} {complexity:?} {level_min:?}");
            if !may {
                assert_eq!(by_id.err(), Some(Code::NotQualified));
                assert_eq!(home.claim_next(member).expect("an answer"), None);
            }
            home.cancel(Principal::Operator, id.run(), None).expect("open");
            if may {
                let id = home.post_one(TaskSpec { complexity, level_min, ..skilled(&home, wanted) });
                let best = home.claim_next(member).expect("an answer");
                assert_eq!(best.map(|lease| lease.step), Some(id), "{wanted:?} {complexity:?}");
                home.cancel(Principal::Operator, id.run(), None).expect("open");
            }
        }
    }
}

#[test]
fn a_claim_of_what_is_not_open_says_why() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let task = home.task();
    let posted = home
        .post(Principal::Operator, run(vec![step("a", &[], task.clone()), step("b", &["a"], task)]))
        .expect("a good post");
    let (first, second) = (posted.step_id(0), posted.step_id(1));
    let unknown = RunId::new(Wall(5), [5; 9]).step(0);
    assert_eq!(home.claim(&ada, unknown).err(), Some(Code::NotFound));
    assert_eq!(home.claim(&ada, posted.step_id(2)).err(), Some(Code::NotFound), "no third step");
    assert_eq!(home.claim(&ada, second).err(), Some(Code::TaskNotOpen));
    let lease = home.claim(&ada, first).expect("open");
    home.submit(&ada, &lease, "1").expect("a live lease");
    assert_eq!(home.claim(&bob, first).err(), Some(Code::Finished));
    home.cancel(Principal::Operator, posted.id, None).expect("open");
    assert_eq!(home.claim(&bob, second).err(), Some(Code::Finished));
}

#[test]
fn a_poster_takes_its_own_task_only_where_it_said_so() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    for allowed in [false, true] {
        let task = TaskSpec { reward: Credits::ZERO, poster_may_claim: allowed, ..home.task() };
        let id =
            home.post(ada.principal(), run(vec![step("a", &[], task)])).expect("costs nothing").step_id(0);
        if !allowed {
            assert_eq!(home.claim_next(&ada).expect("an answer"), None);
        }
        assert_eq!(home.claim(&ada, id).err(), (!allowed).then_some(Code::NotQualified));
    }
}

#[test]
fn a_waiting_claim_is_granted_in_the_frame_of_the_offer() {
    let mut home = Home::new();
    let (ada, bob, eve) = (home.enroll(1, &["rust"]), home.enroll(2, &["rust"]), home.enroll(3, &["go"]));
    let stranger = home.wait(&eve, 5_000);
    let first = home.wait(&ada, 5_000);
    home.skip(1);
    let second = home.wait(&bob, 5_000);
    assert!(home.last.is_empty(), "who waits is not journalled");
    let id = home.post_one(skilled(&home, &["rust"]));
    assert_eq!(home.kinds(), [Kind::RunPosted, Kind::Transfer, Kind::Offered, Kind::Granted]);
    assert_eq!(won(&mut home, first).map(|lease| lease.step), Some(id), "equal ranks: who waited longer");
    assert!(home.heard(second).is_none() && home.heard(stranger).is_none(), "the others wait on");
    let next = home.post_one(skilled(&home, &["rust"]));
    assert_eq!(won(&mut home, second).map(|lease| lease.step), Some(next));
    assert!(home.heard(stranger).is_none());
}

#[test]
fn among_those_who_wait_the_better_record_wins() {
    let mut home = Home::new();
    let (new, good) = (home.enroll(1, &[]), home.enroll(2, &[]));
    home.raise(&good, 100);
    for _ in 0..30 {
        let (early, late) = (home.wait(&new, 5_000), home.wait(&good, 5_000));
        let id = home.post_one(TaskSpec { complexity: Complexity::Simple, ..home.task() });
        let kept = kept_for_newcomers(&id, Complexity::Simple);
        assert_eq!(won(&mut home, early).is_some(), kept, "a kept offer goes to the newcomer");
        assert_eq!(won(&mut home, late).is_some(), !kept);
        home.cancel(Principal::Operator, id.run(), None).expect("open");
        home.input(Input::Abandoned(early));
        home.input(Input::Abandoned(late));
    }
    let kept = home.facts(|fact| match fact {
        Fact::Granted(f) if f.agent == new.id => Some(()),
        _ => None,
    });
    assert!((1..=9).contains(&kept.len()), "about a tenth of thirty, here {}", kept.len());
}

#[test]
fn a_tenth_of_the_simple_offers_is_kept_and_nobody_chooses_which() {
    let kept = |complexity| {
        let run = |n: u32| {
            let mut entropy = [7; 9];
            entropy[5..].copy_from_slice(&artel_protocol::id::Digest::of(&n.to_le_bytes()).0[..4]);
            RunId::new(BEGIN, entropy)
        };
        (0..2_000).filter(|n| kept_for_newcomers(&run(*n).step((*n % 200) as usize), complexity)).count()
    };
    assert!((150..=250).contains(&kept(Complexity::Simple)), "{}", kept(Complexity::Simple));
    for complexity in [Complexity::Medium, Complexity::Complex, Complexity::Premium] {
        assert_eq!(kept(complexity), 0);
    }
}

#[test]
fn a_wait_ends_with_nothing_and_an_abandoned_one_without_an_answer() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let (patient, gone) = (home.wait(&ada, 2_000), home.wait(&ada, 2_000));
    home.input(Input::Abandoned(gone));
    home.pass(1_999);
    assert!(home.heard(patient).is_none());
    home.pass(1);
    assert!(matches!(home.heard(patient), Some(Ok(None))));
    let id = home.post_one(home.task());
    assert_eq!(state(&home, id), StepState::Offered, "nobody waits any more");
    assert!(home.heard(gone).is_none());
    let bob = home.enroll(2, &[]);
    let long = home.wait(&bob, u32::MAX);
    assert!(home.heard(long).is_some(), "an open task is taken at once");
    home.claim_next(&ada).expect("an answer");
    let long = home.wait(&ada, u32::MAX);
    home.pass(u64::from(WAIT_MS_MAX));
    assert!(home.heard(long).is_some(), "a longer wait is cut");
}

#[test]
fn closing_answers_everybody_who_waits() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &["rust"]));
    let waits = [home.wait(&ada, 20_000), home.wait(&bob, 20_000)];
    home.input(Input::Closing);
    for to in waits {
        assert!(matches!(home.heard(to), Some(Ok(None))));
    }
    assert_eq!(home.mind.view().counts().waiting, 0);
    home.pass(20_000);
    assert!(home.answers.is_empty(), "nobody is answered twice");
}

#[test]
fn nobody_holds_more_leases_than_it_may() {
    let mut home = Home::new();
    let ada = home.enroll_with(1, Profile { capacity: Some(2), ..profile("ada", &[]) }, false);
    let ids: Vec<_> = (0..4).map(|_| home.post_one(home.task())).collect();
    let first = home.claim(&ada, ids[0]).expect("one");
    let second = home.claim_next(&ada).expect("an answer").expect("two");
    assert_eq!(home.claim(&ada, ids[2]).err(), Some(Code::CapacityFull));
    assert_eq!(home.claim_next(&ada).err(), Some(Code::CapacityFull));
    home.restart();
    assert_eq!(home.claim(&ada, ids[2]).err(), Some(Code::CapacityFull), "leases survive a restart");
    home.submit(&ada, &first, "1").expect("a live lease");
    let third = home.claim(&ada, ids[2]).expect("one is free again");
    assert_eq!(home.claim_next(&ada).err(), Some(Code::CapacityFull));
    home.release(&ada, &second).expect("a live lease");
    home.release(&ada, &third).expect("a live lease");
    assert!(home.claim_next(&ada).expect("an answer").is_some());
}

#[test]
fn several_waits_of_one_agent_do_not_exceed_its_capacity() {
    let mut home = Home::new();
    let holds = |n| Profile { capacity: Some(n), ..profile("ada", &[]) };
    let ada = home.enroll_with(1, holds(2), false);
    let waits = [home.wait(&ada, 20_000), home.wait(&ada, 20_000)];
    let third = home.wait(&ada, 20_000);
    assert_eq!(home.heard(third), Some(Err(Code::TooManyWaiting)), "no more waits than free leases");
    done(home.ask(ada.principal(), Request::Configure(holds(1)))).expect("a good profile");
    let steps = [home.post_one(home.task()), home.post_one(home.task())];
    let won: Vec<_> = waits.into_iter().filter_map(|to| won(&mut home, to)).collect();
    assert_eq!(won.iter().map(|lease| lease.step).collect::<Vec<_>>(), [steps[0]]);
    assert_eq!(state(&home, steps[1]), StepState::Offered);
    home.skip(UNUSED_MS);
    home.release(&ada, &won[0]).expect("a live lease");
    assert_eq!(home.kinds(), [Kind::Released, Kind::Offered, Kind::Granted], "the other wait, once it may");
}

#[test]
fn one_agents_waits_do_not_shut_others_out() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let mut refused = 0;
    for _ in 0..2_000 {
        let to = home.wait(&ada, WAIT_MS_MAX);
        refused += u32::from(matches!(home.heard(to), Some(Err(Code::TooManyWaiting))));
    }
    assert!(refused > 0, "one agent takes at most its share of the {WAITERS_MAX} places");
    let to = home.wait(&bob, WAIT_MS_MAX);
    assert!(home.heard(to).is_none(), "another waits");
}

#[test]
fn a_waiting_agent_that_becomes_able_is_granted_what_is_open() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let id = home.post_one(skilled(&home, &["rust"]));
    let waiting = home.wait(&ada, 10_000);
    let request = Request::Configure(profile("ada", &["rust"]));
    done(home.ask(ada.principal(), request)).expect("a good profile");
    assert_eq!(won(&mut home, waiting).map(|lease| lease.step), Some(id));
}

#[test]
fn new_skills_count_for_a_wait_that_is_older() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let waiting = home.wait(&ada, 10_000);
    done(home.ask(ada.principal(), Request::Configure(profile("ada", &["rust"])))).expect("a good profile");
    let id = home.post_one(skilled(&home, &["rust"]));
    assert_eq!(won(&mut home, waiting).map(|lease| lease.step), Some(id));
}

#[test]
fn a_posters_own_tasks_do_not_hide_those_of_others() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["rust"]);
    let own = TaskSpec { reward: Credits::ZERO, ..skilled(&home, &["rust"]) };
    let steps = (0..100).map(|i| step(&i.to_string(), &[], own.clone())).collect();
    home.post(ada.principal(), run(steps)).expect("costs nothing");
    let other = home.post_one(skilled(&home, &["rust"]));
    assert_eq!(home.claim_next(&ada).expect("an answer").map(|lease| lease.step), Some(other));
}
