//! Leases: how one is kept, how it ends, what the step and its holder have of it, and what deadlines do.

mod common;

use artel_federation::effect::Lease;
use artel_federation::fact::{End, TaskSpec};
use artel_federation::options::{RELEASES_MAX, UNUSED_MAX, UNUSED_MS, WAIT_MS_MAX};
use artel_federation::run::{RunStatus, StepState};
use artel_federation::{Code, Fact, Input, Kind, Options, Principal};
use artel_protocol::id::{Epoch, StepId};
use common::referee::judge;
use common::*;

const LEASE_MS: u64 = 60_000;

fn state(home: &Home, step: StepId) -> StepState {
    home.mind.view().step(&step).expect("a known step").1.state.clone()
}

fn won(home: &mut Home, to: artel_federation::ReplyTo) -> Option<Lease> {
    home.heard(to).and_then(|answer| answer.expect("a wait is not refused"))
}

#[test]
fn who_lapsed_or_was_rejected_may_not_retake_the_step() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.checked_task());
    home.claim(&ada, id).expect("open");
    home.pass(LEASE_MS);
    assert_eq!(home.claim(&ada, id).err(), Some(Code::Barred));
    assert_eq!(home.claim_next(&ada).expect("an answer"), None);
    let lease = home.claim(&bob, id).expect("another may");
    home.submit(&bob, &lease, "{}").expect("a live lease");
    let waiting = home.wait(&bob, 5_000);
    home.checked(&lease, rejected());
    assert_eq!(
        home.kinds(),
        [Kind::Findings, Kind::Verdict, Kind::Offered],
        "the waiting loser is passed over"
    );
    assert_eq!(home.claim(&bob, id).err(), Some(Code::Barred));
    home.restart();
    for member in [&ada, &bob] {
        assert_eq!(home.claim(member, id).err(), Some(Code::Barred), "also after a restart");
    }
    assert!(home.heard(waiting).is_none());
}

#[test]
fn a_renewed_lease_lives_on_but_not_for_ever() {
    let options = Options { lease_total_ms: 5 * LEASE_MS, ..Options::default() };
    let mut home = Home::with(options);
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.task());
    let lease = home.claim(&ada, id).expect("open");
    for _ in 0..9 {
        home.pass(LEASE_MS / 2);
        let expires = home.renew(&ada, &lease).expect("within the limit");
        assert_eq!(expires, home.wall.plus_ms(LEASE_MS));
        assert!(home.last.is_empty(), "renewals are not journalled");
    }
    assert_eq!(home.renew(&bob, &lease).err(), Some(Code::StaleEpoch), "not by another");
    let foreign = Lease { epoch: Epoch(2), ..lease.clone() };
    assert_eq!(home.renew(&ada, &foreign).err(), Some(Code::StaleEpoch), "nor under another epoch");
    home.pass(LEASE_MS / 2);
    assert_eq!(home.renew(&ada, &lease).err(), Some(Code::RenewalSpent));
    assert!(matches!(state(&home, id), StepState::Leased { .. }), "what was promised still stands");
    home.pass(LEASE_MS / 2);
    assert_eq!(state(&home, id), StepState::Offered);
    assert_eq!(home.renew(&ada, &lease).err(), Some(Code::StaleEpoch));
}

#[test]
fn after_a_lapse_the_epoch_rises_and_the_old_one_is_refused() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.task());
    let old = home.claim(&ada, id).expect("open");
    home.pass(LEASE_MS - 1);
    assert!(matches!(state(&home, id), StepState::Leased { .. }));
    home.pass(1);
    let lapsed = home.facts(|f| if let Fact::Lapsed(f) = f { Some((f.agent, f.epoch)) } else { None });
    assert_eq!(lapsed, [(ada.id, Epoch(1))]);
    assert_eq!(home.submit(&ada, &old, "late").err(), Some(Code::StaleEpoch), "nobody has it");
    let new = home.claim(&bob, id).expect("offered anew");
    assert_eq!(new.epoch, Epoch(2));
    assert_eq!(home.submit(&ada, &old, "late").err(), Some(Code::StaleEpoch), "another has it");
    let guessed = Lease { epoch: Epoch(2), ..old.clone() };
    assert_eq!(home.submit(&ada, &guessed, "late").err(), Some(Code::StaleEpoch), "the holder's epoch");
    assert_eq!(home.release(&ada, &old).err(), Some(Code::StaleEpoch));
    let receipt = home.submit(&bob, &new, "good").expect("a live lease");
    assert_eq!(receipt.epoch, Epoch(2));
    assert_eq!(home.mind.view().agent(&ada.id).map(|a| (a.lapsed, a.accepted)), Some((1, 0)));
}

#[test]
fn what_is_due_comes_before_what_comes_in_at_the_same_moment() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let id = home.post_one(home.task());
    let lease = home.claim(&ada, id).expect("open");
    home.skip(LEASE_MS - 1);
    assert!(home.renew(&ada, &lease).is_ok(), "to the last millisecond");
    home.skip(LEASE_MS);
    assert_eq!(home.submit(&ada, &lease, "too late").err(), Some(Code::StaleEpoch));
    assert_eq!(home.kinds(), [Kind::Lapsed, Kind::Offered]);
}

#[test]
fn a_released_step_is_offered_anew_and_costs_no_reputation() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.task());
    let lease = home.claim(&ada, id).expect("open");
    assert_eq!(home.release(&bob, &lease).err(), Some(Code::StaleEpoch), "only by its holder");
    home.skip(UNUSED_MS);
    let waiting = home.wait(&bob, 5_000);
    home.release(&ada, &lease).expect("a live lease");
    assert_eq!(home.kinds(), [Kind::Released, Kind::Offered, Kind::Granted]);
    let next = won(&mut home, waiting).expect("who waits gets it");
    assert_eq!((next.step, next.epoch), (id, Epoch(2)));
    assert_eq!(home.release(&ada, &lease).err(), Some(Code::StaleEpoch));
    let agent = home.mind.view().agent(&ada.id).expect("enrolled");
    assert_eq!(home.mind.view().assessment(agent, home.wall).receipts_micro, 0);
}

#[test]
fn taking_and_giving_back_ends_at_a_limit() {
    let mut home = Home::new();
    let id = home.post_one(home.task());
    for n in 1..=RELEASES_MAX {
        let member = home.enroll(n, &[]);
        let lease = home.claim(&member, id).expect("below the limit");
        home.skip(UNUSED_MS);
        home.release(&member, &lease).expect("a live lease");
        if n < RELEASES_MAX {
            assert_eq!(
                home.claim(&member, id).err(),
                Some(Code::Barred),
                "who gave it back may not retake it"
            );
        }
    }
    assert_eq!(state(&home, id), StepState::Ended(End::ReleasesSpent), "under its own name");
    assert_eq!(home.mind.view().accounts().count(), 0, "everything went back");
}

#[test]
fn spent_lapses_fail_the_step_and_refund_the_poster() {
    let mut home = Home::new();
    let agents: Vec<_> = (1..=4).map(|n| home.enroll(n, &[])).collect();
    let id = home.post_one(home.task());
    for (i, member) in agents[..3].iter().enumerate() {
        let lease = home.claim(member, id).expect("open");
        assert_eq!(lease.epoch, Epoch(i as u32 + 1));
        home.skip(LEASE_MS);
        home.input(Input::Tick);
    }
    assert_eq!(home.kinds(), [Kind::Lapsed, Kind::StepEnded, Kind::Transfer]);
    assert_eq!(state(&home, id), StepState::Ended(End::LapsesSpent));
    assert_eq!(home.claim(&agents[3], id).err(), Some(Code::Finished));
    assert_eq!(home.mind.view().accounts().count(), 0, "everything went back");
    assert_eq!(home.closed.last().map(|run| run.status()), Some(RunStatus::Failed));
}

#[test]
fn a_deadline_ends_what_nobody_has_taken() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let task = TaskSpec { deadline: home.wall.plus_ms(10_000), ..home.task() };
    let later = home.task();
    let posted = home
        .post(
            Principal::Operator,
            run(vec![
                step("offered", &[], task.clone()),
                step("leased", &[], task.clone()),
                step("first", &[], later.clone()),
                step("waiting", &["first"], task),
                step("behind", &["waiting"], later),
            ]),
        )
        .expect("a good post");
    let lease = home.claim(&ada, posted.step_id(1)).expect("open");
    home.pass(9_999);
    assert_eq!(state(&home, posted.step_id(0)), StepState::Offered);
    home.pass(1);
    assert_eq!(state(&home, posted.step_id(0)), StepState::Ended(End::DeadlinePassed));
    assert_eq!(state(&home, posted.step_id(3)), StepState::Ended(End::DeadlinePassed));
    assert_eq!(state(&home, posted.step_id(4)), StepState::Ended(End::NeedFailed));
    assert_eq!(state(&home, posted.step_id(2)), StepState::Offered, "its own deadline is later");
    assert!(matches!(state(&home, posted.step_id(1)), StepState::Leased { .. }), "what is leased goes on");
    home.pass(1);
    home.submit(&ada, &lease, "late").expect("a live lease");
    let late = home.facts(|f| if let Fact::Submitted(f) = f { Some(f.late) } else { None });
    assert_eq!(late, [true]);
    assert_eq!(state(&home, posted.step_id(1)), StepState::Accepted { agent: ada.id });
}

#[test]
fn a_lapse_after_the_deadline_ends_the_step() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(TaskSpec { deadline: home.wall.plus_ms(LEASE_MS / 2), ..home.task() });
    home.claim(&ada, id).expect("open");
    home.skip(LEASE_MS - 1_000);
    home.wait(&bob, 5_000);
    home.skip(1_000);
    home.input(Input::Tick);
    assert_eq!(home.kinds(), [Kind::Lapsed, Kind::StepEnded, Kind::Transfer]);
    assert_eq!(state(&home, id), StepState::Ended(End::DeadlinePassed));
}

#[test]
fn what_is_given_back_at_once_is_held_against_nobody_but_once() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.task());
    let give_back = |home: &mut Home, agent: &Member, after: u64| {
        let lease = home.claim(agent, id).expect("open");
        home.skip(after);
        home.release(agent, &lease).expect("a live lease");
        let (_, step) = home.mind.view().step(&id).expect("open");
        (home.kinds()[0], step.releases, step.barred.contains(&agent.id))
    };
    assert_eq!(give_back(&mut home, &ada, UNUSED_MS - 1), (Kind::Unused, 0, false));
    assert_eq!(give_back(&mut home, &ada, 0), (Kind::Released, 1, true), "a second time it is a release");
    assert_eq!(give_back(&mut home, &bob, UNUSED_MS), (Kind::Released, 2, true), "after a while it is one");
    // After a start nobody knows when a lease was granted.
    let eve = home.enroll(3, &[]);
    let lease = home.claim(&eve, id).expect("open");
    home.restart();
    home.skip(UNUSED_MS);
    home.release(&eve, &lease).expect("a live lease");
    assert_eq!(home.kinds()[0], Kind::Released);
    judge(&home.journal);
}

#[test]
fn a_step_is_given_back_unused_so_often_and_then_it_counts() {
    let mut home = Home::new();
    let id = home.post_one(home.task());
    for n in 0..UNUSED_MAX + 3 {
        let agent = home.enroll(n as u8, &[]);
        let lease = home.claim(&agent, id).expect("open");
        home.release(&agent, &lease).expect("a live lease");
    }
    let (_, step) = home.mind.view().step(&id).expect("open");
    assert_eq!((step.spared.len(), step.releases), (UNUSED_MAX, 3));
}

#[test]
fn a_release_after_the_deadline_ends_the_step() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(TaskSpec { deadline: home.wall.plus_ms(LEASE_MS / 2), ..home.task() });
    let lease = home.claim(&ada, id).expect("open");
    home.wait(&bob, WAIT_MS_MAX);
    home.skip(LEASE_MS / 2);
    home.release(&ada, &lease).expect("a live lease");
    assert_eq!(home.kinds(), [Kind::Released, Kind::StepEnded, Kind::Transfer]);
    assert_eq!(state(&home, id), StepState::Ended(End::DeadlinePassed));
}

#[test]
fn nothing_is_granted_at_or_after_the_deadline() {
    // Both clocks; or the wall clock alone, by less than what arms the deadlines anew.
    for wall_alone in [false, true] {
        let mut home = Home::new();
        let ada = home.enroll(1, &[]);
        let task = TaskSpec { deadline: home.wall.plus_ms(900), ..home.task() };
        let posted =
            home.post(Principal::Operator, run(vec![step("a", &[], task.clone()), step("b", &["a"], task)]));
        let id = posted.expect("a good post").step_id(0);
        if wall_alone {
            home.wall = home.wall.plus_ms(900)
        } else {
            home.skip(900)
        }
        assert!(home.claim(&ada, id).is_err());
        assert_eq!(home.claim_next(&ada), Ok(None));
        let waiting = home.wait(&ada, 5_000);
        home.pass(1_000);
        assert!(home.heard(waiting).is_none());
        assert!(home.facts(|f| matches!(f, Fact::Granted(_)).then_some(())).is_empty());
        assert_eq!(state(&home, id), StepState::Ended(End::DeadlinePassed));
    }
}

#[test]
fn after_a_restart_every_live_lease_has_a_full_term() {
    for snapshot in [false, true] {
        let mut home = Home::new();
        let ada = home.enroll(1, &[]);
        let id = home.post_one(home.task());
        let lease = home.claim(&ada, id).expect("open");
        home.pass(LEASE_MS - 1);
        if snapshot {
            home.restart_from_snapshot()
        } else {
            home.restart()
        }
        home.pass(LEASE_MS - 1);
        assert!(matches!(state(&home, id), StepState::Leased { .. }), "a full term from the start on");
        assert!(home.renew(&ada, &lease).is_ok(), "under the old epoch");
        home.pass(LEASE_MS);
        assert_eq!(state(&home, id), StepState::Offered, "and then it ends");
    }
}

#[test]
fn deadlines_go_on_after_a_restart() {
    let mut home = Home::new();
    let id = home.post_one(TaskSpec { deadline: home.wall.plus_ms(10_000), ..home.task() });
    home.skip(20_000);
    home.restart();
    home.input(Input::Tick);
    assert_eq!(state(&home, id), StepState::Ended(End::DeadlinePassed));
}

#[test]
fn deadlines_follow_a_wall_clock_that_is_set() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let ahead = home.post_one(home.task());
    home.wall = home.wall.plus_ms(2 * HOUR_MS);
    home.input(Input::Tick);
    home.input(Input::Tick);
    assert_eq!(state(&home, ahead), StepState::Ended(End::DeadlinePassed), "set forward");
    let behind = home.post_one(home.task());
    home.wall = BEGIN;
    home.pass(2 * HOUR_MS);
    assert_eq!(state(&home, behind), StepState::Offered, "set back");
    assert!(home.claim(&ada, behind).is_ok());
    home.wall = home.wall.plus_ms(9 * HOUR_MS);
    home.pass(LEASE_MS - 1);
    assert!(matches!(state(&home, behind), StepState::Leased { .. }), "leases rest on the other clock");
}
