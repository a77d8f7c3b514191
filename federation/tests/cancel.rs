//! Cancelling: who may, in which state, and what becomes of work that was handed in already.

mod common;

use artel_federation::fact::{Account, End, LeaseEnded, TaskSpec};
use artel_federation::run::{RunStatus, StepState};
use artel_federation::{Code, Fact, Kind, Principal};
use artel_protocol::amount::Credits;
use artel_protocol::id::{RunId, StepId};
use artel_protocol::time::Wall;
use common::*;

const LEASE_MS: u64 = 60_000;

fn state(home: &Home, step: StepId) -> StepState {
    home.mind.view().step(&step).expect("a known step").1.state.clone()
}

fn balance(home: &Home, account: Account) -> i64 {
    home.mind.view().balance(account)
}

#[test]
fn a_run_is_cancelled_in_every_state() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let (task, checked) = (home.task(), home.checked_task());
    let posted = home
        .post(
            Principal::Operator,
            run(vec![
                step("accepted", &[], task.clone()),
                step("offered", &[], task.clone()),
                step("leased", &[], task.clone()),
                step("checking", &[], checked.clone()),
                step("failing", &[], checked),
                step("waiting", &["checking"], task),
            ]),
        )
        .expect("a good post");
    let done = home.claim(&ada, posted.step_id(0)).expect("open");
    home.submit(&ada, &done, "1").expect("a live lease");
    let held = home.claim(&bob, posted.step_id(2)).expect("open");
    let mut handed = Vec::new();
    for i in [3, 4] {
        let lease = home.claim(&ada, posted.step_id(i)).expect("open");
        home.submit(&ada, &lease, "{}").expect("a live lease");
        handed.push(lease);
    }
    let run = home.cancel(Principal::Operator, posted.id, None).expect("open");
    let cancelled = StepState::Ended(End::Cancelled);
    for i in [1, 2, 5] {
        assert_eq!(run.steps[i].state, cancelled, "step {i}");
    }
    assert_eq!(run.status(), RunStatus::Running, "what was handed in waits for its verdict");
    assert_eq!(home.submit(&bob, &held, "x").err(), Some(Code::Finished));
    let withdrawn = home.facts(|f| if let Fact::Withdrawn(f) = f { Some(f.clone()) } else { None });
    let of_bob = LeaseEnded { step: held.step, epoch: held.epoch, agent: bob.id };
    assert_eq!(withdrawn, [of_bob], "whose lease ended stands before the end");
    let before = home.journal.len();
    assert!(home.cancel(Principal::Operator, posted.id, None).is_ok(), "again is no mistake");
    assert_eq!(home.journal.len(), before, "and writes nothing");
    home.restart();
    home.checked(&handed[0], accepted(100));
    assert_eq!(home.kinds(), [Kind::Transfer, Kind::Verdict], "nothing is offered any more");
    home.checked(&handed[1], rejected());
    let kinds = home.kinds();
    assert_eq!(kinds, [Kind::Findings, Kind::Verdict, Kind::StepEnded, Kind::Transfer, Kind::RunEnded]);
    let run = home.closed.last().expect("over").clone();
    assert_eq!((run.id, run.status()), (posted.id, RunStatus::Cancelled));
    assert!(matches!(run.steps[3].state, StepState::Accepted { .. }));
    assert_eq!(run.steps[4].state, cancelled);
    assert_eq!(balance(&home, Account::Agent(ada.id)), 30_000_000, "a novice's ten, then a master's twenty");
    assert_eq!(balance(&home, Account::Operator), -30_000_000, "the rest went back");
}

#[test]
fn a_cancel_that_meets_a_submission_waits_for_the_verdict() {
    for whole in [false, true] {
        for good in [false, true] {
            let mut home = Home::new();
            let ada = home.enroll(1, &[]);
            let lease = home.taken(&ada, home.checked_task());
            home.submit(&ada, &lease, "{}").expect("a live lease");
            let only = (!whole).then_some(lease.step);
            home.cancel(Principal::Operator, lease.run, only).expect("open");
            let before = home.journal.len();
            home.cancel(Principal::Operator, lease.run, only).expect("again");
            assert_eq!(home.journal.len(), before, "asked once, written once");
            home.restart_from_snapshot();
            home.checked(&lease, if good { accepted(100) } else { rejected() });
            let wanted =
                if good { StepState::Accepted { agent: ada.id } } else { StepState::Ended(End::Cancelled) };
            assert_eq!(state(&home, lease.step), wanted, "whole run: {whole}");
            let paid = if good { 10_000_000 } else { 0 };
            assert_eq!(balance(&home, Account::Operator), -paid);
        }
    }
}

#[test]
fn one_step_is_cancelled_with_those_that_need_it() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let task = home.task();
    let steps = vec![
        step("a", &[], task.clone()),
        step("b", &["a"], task.clone()),
        step("c", &["b"], task.clone()),
        step("d", &[], task),
    ];
    let posted = home.post(Principal::Operator, run(steps)).expect("a good post");
    home.claim(&ada, posted.step_id(0)).expect("open");
    let run = home.cancel(Principal::Operator, posted.id, Some(posted.step_id(0))).expect("open");
    let cancelled = StepState::Ended(End::Cancelled);
    let states: Vec<_> = run.steps.iter().map(|s| s.state.clone()).collect();
    assert_eq!(states, [cancelled.clone(), cancelled.clone(), cancelled, StepState::Offered]);
    assert_eq!(home.mind.view().leases(&ada.id), []);
    let lease = home.claim(&ada, posted.step_id(3)).expect("open");
    home.submit(&ada, &lease, "1").expect("a live lease");
    assert_eq!(home.closed.last().map(|run| run.status()), Some(RunStatus::Cancelled));
    home.pass(LEASE_MS);
    assert_eq!(home.mind.next_timer(), None, "no timer is left behind");
}

#[test]
fn what_is_over_is_not_cancelled() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.task());
    home.submit(&ada, &lease, "{}").expect("a live lease");
    let before = home.journal.len();
    assert_eq!(home.cancel(Principal::Operator, lease.run, None).err(), Some(Code::Finished));
    assert_eq!(home.cancel(Principal::Operator, lease.run, Some(lease.step)).err(), Some(Code::Finished));
    assert_eq!(home.journal.len(), before);
}

#[test]
fn only_poster_and_operator_cancel() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let task = TaskSpec { reward: Credits::ZERO, ..home.task() };
    let post = || run(vec![step("a", &[], task.clone())]);
    let first = home.post(ada.principal(), post()).expect("costs nothing");
    let second = home.post(ada.principal(), post()).expect("costs nothing");
    assert_eq!(home.cancel(bob.principal(), first.id, None).err(), Some(Code::Forbidden));
    assert!(home.cancel(ada.principal(), first.id, None).is_ok());
    assert!(home.cancel(Principal::Operator, second.id, None).is_ok());
    let unknown = RunId::new(Wall(1), [1; 9]);
    assert_eq!(home.cancel(Principal::Operator, unknown, None).err(), Some(Code::NotFound));
}

#[test]
fn a_step_of_another_run_cannot_be_cancelled_through_ones_own() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let foreign = home.post_one(home.task());
    let task = TaskSpec { reward: Credits::ZERO, ..home.task() };
    let own = home.post(ada.principal(), run(vec![step("a", &[], task)])).expect("costs nothing");
    let unknown = RunId::new(Wall(1), [1; 9]).step(0);
    for step in [foreign, unknown, own.step_id(1)] {
        assert_eq!(home.cancel(ada.principal(), own.id, Some(step)).err(), Some(Code::NotFound));
    }
    assert_eq!(state(&home, foreign), StepState::Offered);
}
