//! From a submission to its receipt: taken in once, judged once, paid once, whatever happens in between.

mod common;

use artel_federation::effect::{Lease, Receipt};
use artel_federation::fact::{Account, Authority, Cause, End, Outcome, TaskSpec};
use artel_federation::input::{ClaimNext, Submission};
use artel_federation::run::{RunStatus, StepState};
use artel_federation::{Code, Fact, Input, Kind, Options, Principal, ReplyTo, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::limits::{OUTPUT_BYTES_MAX, STEP_ARTIFACTS_MAX};
use artel_protocol::time::Wall;
use artel_reputation::Complexity;
use common::*;

const LEASE_MS: u64 = 60_000;

fn state(home: &Home, step: StepId) -> StepState {
    home.mind.view().step(&step).expect("a known step").1.state.clone()
}

fn balance(home: &Home, account: Account) -> i64 {
    home.mind.view().balance(account)
}

fn submit_for_next(home: &mut Home, member: &Member, lease: &Lease, wait_ms: u32) -> ReplyTo {
    let submission = Submission { next: Some(ClaimNext { wait_ms }), ..submission(lease, "{}") };
    home.ask_later(member.principal(), Request::Submit(submission))
}

fn receipt(home: &mut Home, to: ReplyTo) -> Receipt {
    received(home.answers.remove(&to).expect("an answer")).expect("a receipt")
}

#[test]
fn without_a_schema_a_submission_is_accepted_and_paid_at_once() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.task());
    let receipt = home.submit(&ada, &lease, r#"{"n":1}"#).expect("a live lease");
    assert_eq!(home.kinds(), [Kind::Output, Kind::Submitted, Kind::Transfer, Kind::Verdict]);
    assert_eq!(receipt.opening.output, Digest::of(br#"{"n":1}"#));
    let judged = receipt.verdict.expect("judged at once");
    assert_eq!(judged.outcome, Outcome::Accepted { quality: 100, checked: false });
    assert_eq!(judged.paid, Credits(10_000_000));
    assert_eq!(balance(&home, Account::Agent(ada.id)), 10_000_000);
    assert_eq!(balance(&home, Account::Operator), -10_000_000);
    assert_eq!(balance(&home, Account::Escrow(lease.step)), 0);
    assert_eq!(home.closed.last().map(|run| (run.id, run.status())), Some((lease.run, RunStatus::Completed)));
    let agent = home.mind.view().agent(&ada.id).expect("enrolled");
    let assessed = home.mind.view().assessment(agent, home.wall);
    assert_eq!((assessed.layers.quality, agent.accepted), (None, 1), "no checker, so no evidence of quality");
}

#[test]
fn pay_follows_from_base_quality_and_the_level_at_the_grant() {
    for (record, quality, paid) in [
        (None, 100, 10_000_001),
        (None, 33, 3_300_000),
        (Some(0), 100, 12_000_001),
        (Some(50), 100, 15_000_001),
        (Some(50), 80, 12_000_001),
        (Some(100), 100, 20_000_002),
        (Some(100), 0, 0),
        (Some(100), 255, 20_000_002),
    ] {
        let mut home = Home::new();
        let ada = home.enroll(1, &[]);
        if let Some(quality) = record {
            home.raise(&ada, quality);
        }
        let lease = home.taken(&ada, TaskSpec { reward: Credits(10_000_001), ..home.checked_task() });
        assert_eq!(balance(&home, Account::Escrow(lease.step)), 20_000_002, "twice the base is set aside");
        home.submit(&ada, &lease, "{}").expect("a live lease");
        assert_eq!(home.kinds(), [Kind::Output, Kind::Submitted], "the verdict waits for the check");
        home.checked(&lease, accepted(quality));
        assert_eq!(home.kinds(), [Kind::Transfer, Kind::Verdict]);
        assert_eq!(balance(&home, Account::Agent(ada.id)), paid, "{record:?} {quality}");
        assert_eq!(balance(&home, Account::Operator), -paid, "the remainder went back");
        let again = home.submit(&ada, &lease, "{}").expect("its own submission");
        assert_eq!(again.verdict.map(|judged| judged.paid.0 as i64), Some(paid));
    }
}

#[test]
fn the_level_that_pays_is_the_one_at_the_grant() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.task());
    home.raise(&ada, 100);
    let receipt = home.submit(&ada, &lease, "{}").expect("a live lease");
    assert_eq!(receipt.verdict.map(|judged| judged.paid), Some(Credits(10_000_000)), "a novice's pay");
}

#[test]
fn an_agents_remainder_is_not_the_workers_pay() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    for _ in 0..2 {
        let lease = home.taken(&ada, TaskSpec { complexity: Complexity::Simple, ..home.task() });
        home.submit(&ada, &lease, "{}").expect("a live lease");
    }
    let purse = balance(&home, Account::Agent(ada.id));
    let task = TaskSpec { reward: Credits(1_000_000), ..home.task() };
    let posted = home.post(ada.principal(), run(vec![step("a", &[], task)])).expect("it has the credit");
    assert_eq!(balance(&home, Account::Agent(ada.id)), purse - 2_000_000);
    let lease = home.claim(&bob, posted.step_id(0)).expect("open");
    let receipt = home.submit(&bob, &lease, "{}").expect("a live lease");
    assert_eq!(receipt.verdict.map(|judged| judged.paid), Some(Credits(1_000_000)));
    assert_eq!(home.mind.view().agent(&bob.id).map(|a| a.earned_units), Some(1_000_000));
    assert_eq!(balance(&home, Account::Agent(bob.id)), 1_000_000);
    assert_eq!(balance(&home, Account::Agent(ada.id)), purse - 1_000_000);
}

#[test]
fn own_work_of_no_quality_earns_nothing() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.task());
    home.submit(&ada, &lease, "{}").expect("a live lease");
    let earned = home.mind.view().agent(&ada.id).expect("enrolled").earned_units;
    let task = TaskSpec { reward: Credits(1_000_000), poster_may_claim: true, ..home.checked_task() };
    let posted = home.post(ada.principal(), run(vec![step("a", &[], task)])).expect("it has the credit");
    let lease = home.claim(&ada, posted.step_id(0)).expect("it may");
    home.submit(&ada, &lease, "{}").expect("a live lease");
    home.checked(&lease, accepted(0));
    let agent = home.mind.view().agent(&ada.id).expect("enrolled");
    assert_eq!((agent.earned_units, balance(&home, Account::Agent(ada.id))), (earned, 10_000_000));
    let again = home.submit(&ada, &lease, "{}").expect("its own submission");
    assert_eq!(again.verdict.map(|judged| judged.paid), Some(Credits::ZERO));
}

#[test]
fn own_work_is_no_evidence() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let own = TaskSpec { reward: Credits::ZERO, poster_may_claim: true, ..home.task() };
    let posted = home.post(ada.principal(), run(vec![step("a", &[], own.clone()), step("b", &[], own)]));
    let posted = posted.expect("costs nothing");
    let lease = home.claim(&ada, posted.step_id(0)).expect("it may");
    home.submit(&ada, &lease, "{}").expect("a live lease");
    home.claim(&ada, posted.step_id(1)).expect("it may");
    home.pass(LEASE_MS);
    let agent = home.mind.view().agent(&ada.id).expect("enrolled");
    let assessed = home.mind.view().assessment(agent, home.wall);
    assert_eq!((assessed.level.name(), assessed.receipts_micro), ("novice", 0));
}

#[test]
fn a_rejected_step_is_offered_anew_until_its_attempts_are_spent() {
    let mut home = Home::new();
    let agents: Vec<_> = (1..=4).map(|n| home.enroll(n, &[])).collect();
    let id = home.post_one(home.checked_task());
    for (i, member) in agents[..3].iter().enumerate() {
        let lease = home.claim(member, id).expect("open");
        assert_eq!(lease.epoch, Epoch(i as u32 + 1));
        home.submit(member, &lease, &i.to_string()).expect("a live lease");
        assert_eq!(home.claim(&agents[3], id).err(), Some(Code::TaskTaken), "not open while it is checked");
        home.checked(&lease, rejected());
        let again = home.submit(member, &lease, &i.to_string()).expect("its own submission");
        let judged = again.verdict.expect("judged");
        assert_eq!(
            (judged.outcome, judged.paid),
            (rejected(), Credits::ZERO),
            "the agent hears the findings"
        );
    }
    assert_eq!(state(&home, id), StepState::Ended(End::AttemptsSpent));
    assert_eq!(home.claim(&agents[3], id).err(), Some(Code::Finished));
    assert_eq!(home.mind.view().accounts().count(), 0, "everything went back");
    let last: Vec<_> = home.journal.iter().rev().take(4).map(|e| e.fact.kind()).collect();
    assert_eq!(last, [Kind::Transfer, Kind::StepEnded, Kind::Verdict, Kind::Findings]);
    let agent = home.mind.view().agent(&agents[0].id).expect("enrolled");
    assert_eq!((agent.rejected, home.mind.view().assessment(agent, home.wall).score.0), (1, 0));
}

#[test]
fn findings_are_bounded_and_not_public() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.checked_task());
    home.submit(&ada, &lease, r#"{"secret":"é"}"#).expect("a live lease");
    let long = format!("x{}", "é".repeat(100_000));
    home.checked(&lease, Outcome::Rejected { check: long.clone(), findings: long });
    let written: usize = home.last.iter().map(|entry| entry.encode().len()).sum();
    assert!(written < 6_000, "{written} bytes");
    let kept = home.facts(|f| if let Fact::Findings(f) = f { Some(f.findings.clone()) } else { None });
    assert!(kept[0].starts_with('x') && kept[0].len() <= 4 << 10);
    let [.., Kind::Findings, Kind::Verdict, _] = home.kinds()[..] else { panic!("{:?}", home.kinds()) };
}

#[test]
fn the_same_submission_again_gets_the_same_answer() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.checked_task());
    let first = home.submit(&ada, &lease, "{}").expect("a live lease");
    let before = home.journal.len();
    assert_eq!(home.submit(&ada, &lease, "{}"), Ok(first.clone()));
    assert_eq!(home.submit(&ada, &lease, "[]").err(), Some(Code::AlreadySubmitted));
    let ahead = Lease { epoch: Epoch(2), ..lease.clone() };
    assert_eq!(home.submit(&ada, &ahead, "[]").err(), Some(Code::StaleEpoch), "that lease was never there");
    home.checked(&lease, accepted(100));
    let judged = home.submit(&ada, &lease, "{}").expect("the same again");
    assert_eq!(Receipt { verdict: None, ..judged.clone() }, first);
    home.restart();
    assert_eq!(home.submit(&ada, &lease, "{}"), Ok(judged), "also after a restart");
    let written = home.facts(|f| matches!(f, Fact::Submitted(_)).then_some(()));
    assert_eq!(written.len(), 1);
    assert!(home.journal.len() > before);
    assert_eq!(home.submit(&ada, &lease, "[]").err(), Some(Code::AlreadySubmitted));
}

#[test]
fn the_same_output_with_other_artifacts_is_another_submission() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.checked_task());
    home.submit(&ada, &lease, "{}").expect("a live lease");
    let other = Submission { artifacts: vec![Digest::of(b"x")], ..submission(&lease, "{}") };
    let answer = home.ask(ada.principal(), Request::Submit(other)).expect("an answer");
    assert_eq!(received(answer).err(), Some(Code::AlreadySubmitted));
}

#[test]
fn only_the_holder_of_the_live_lease_submits() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let lease = home.taken(&ada, home.task());
    let before = home.journal.len();
    assert_eq!(home.submit(&bob, &lease, "{}").err(), Some(Code::StaleEpoch), "another agent");
    for epoch in [0, 2, u32::MAX] {
        let other = Lease { epoch: Epoch(epoch), ..lease.clone() };
        assert_eq!(home.submit(&ada, &other, "{}").err(), Some(Code::StaleEpoch), "epoch {epoch}");
    }
    let unknown = Lease { step: RunId::new(Wall(1), [1; 9]).step(0), ..lease.clone() };
    assert_eq!(home.submit(&ada, &unknown, "{}").err(), Some(Code::NotFound));
    let operator =
        home.ask(Principal::Operator, Request::Submit(submission(&lease, "{}"))).expect("an answer");
    assert_eq!(received(operator).err(), Some(Code::Forbidden));
    assert_eq!(home.journal.len(), before, "no new state");
    home.submit(&ada, &lease, "{}").expect("the lease lives on");
    assert_eq!(home.submit(&bob, &lease, "{}").err(), Some(Code::Finished));
}

#[test]
fn a_submission_over_its_limits_keeps_the_lease() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.task());
    let large = "x".repeat(OUTPUT_BYTES_MAX + 1);
    assert_eq!(home.submit(&ada, &lease, &large).err(), Some(Code::TooMany));
    let many = vec![Digest::default(); STEP_ARTIFACTS_MAX + 1];
    let naming = Submission { artifacts: many.clone(), ..submission(&lease, "{}") };
    let answer = home.ask(ada.principal(), Request::Submit(naming)).expect("an answer");
    assert_eq!(received(answer).err(), Some(Code::TooMany));
    let naming = Submission { artifacts: many[1..].to_vec(), ..submission(&lease, &large[1..]) };
    let answer = home.ask(ada.principal(), Request::Submit(naming)).expect("an answer");
    assert!(received(answer).is_ok(), "exactly at the limits");
}

#[test]
fn a_receipt_says_on_whose_authority() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let bob = home.enroll_with(2, profile("bob", &[]), true);
    for (member, wanted) in [(&ada, Authority::Session), (&bob, Authority::Delegated)] {
        let lease = home.taken(member, home.task());
        assert_eq!(home.submit(member, &lease, "{}").map(|r| r.authority), Ok(wanted));
    }
    home.pass(Options::default().token_ms + 301_000);
    let lease = home.taken(&bob, home.task());
    let later = home.submit(&bob, &lease, "{}").map(|r| r.authority);
    assert_eq!(later, Ok(Authority::Session), "a delegation ends");
}

#[test]
fn a_submission_may_bring_the_next_task() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.task());
    let next = home.post_one(home.task());
    let to = submit_for_next(&mut home, &ada, &lease, 5_000);
    let kinds = home.kinds();
    assert_eq!(kinds, [Kind::Output, Kind::Submitted, Kind::Transfer, Kind::Verdict, Kind::Granted]);
    let first = receipt(&mut home, to);
    assert!(first.verdict.is_some());
    let granted = first.next.expect("there is one");
    assert_eq!(granted.step, next);

    let third = home.post_one(home.task());
    let to = submit_for_next(&mut home, &ada, &lease, 0);
    let again = receipt(&mut home, to);
    assert_eq!(again.next, Some(granted), "the same submission again brings the same lease");
    assert_eq!(state(&home, third), StepState::Offered);
}

#[test]
fn a_submission_may_wait_for_the_next_task() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.task());
    let to = submit_for_next(&mut home, &ada, &lease, 5_000);
    assert!(!home.answers.contains_key(&to));
    let next = home.post_one(home.task());
    let granted = receipt(&mut home, to).next.expect("it came");
    assert_eq!(granted.step, next);

    let to = submit_for_next(&mut home, &ada, &granted, 5_000);
    home.pass(5_000);
    let last = receipt(&mut home, to);
    assert!(last.verdict.is_some() && last.next.is_none(), "no task came, the receipt did");

    let lease = home.taken(&ada, home.task());
    let to = submit_for_next(&mut home, &ada, &lease, 0);
    assert!(receipt(&mut home, to).next.is_none(), "nobody waits for 0 ms");
}

#[test]
fn a_waiting_submission_is_answered_with_the_verdict_that_came_meanwhile() {
    for ends in [false, true] {
        let mut home = Home::new();
        let ada = home.enroll(1, &[]);
        let lease = home.taken(&ada, home.checked_task());
        let to = submit_for_next(&mut home, &ada, &lease, 5_000);
        home.checked(&lease, accepted(70));
        if ends {
            home.pass(5_000);
        } else {
            home.post_one(home.task());
        }
        let receipt = receipt(&mut home, to);
        assert_eq!(receipt.verdict.map(|judged| judged.outcome), Some(accepted(70)));
        assert_eq!(receipt.next.is_none(), ends);
    }
}

#[test]
fn a_late_check_or_one_of_another_epoch_changes_nothing() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let lease = home.taken(&ada, home.checked_task());
    let ahead = Lease { epoch: Epoch(2), ..lease.clone() };
    home.checked(&lease, accepted(100));
    assert!(home.last.is_empty(), "nothing was submitted");
    home.submit(&ada, &lease, "{}").expect("a live lease");
    home.checked(&ahead, accepted(100));
    assert!(home.last.is_empty(), "another epoch");
    home.checked(&lease, rejected());
    home.checked(&lease, accepted(100));
    assert!(home.last.is_empty(), "judged already");
    let second = home.claim(&bob, lease.step).expect("offered anew");
    home.submit(&bob, &second, "{}").expect("a live lease");
    home.checked(&lease, accepted(100));
    assert!(home.last.is_empty(), "a check of the first epoch");
    home.checked(&second, accepted(100));
    assert_eq!(state(&home, lease.step), StepState::Accepted { agent: bob.id });
    home.checked(&second, rejected());
    assert!(home.last.is_empty(), "accepted stays accepted");
    assert_eq!(balance(&home, Account::Agent(ada.id)), 0);
}

#[test]
fn a_restart_asks_again_for_the_checks_under_way() {
    for snapshot in [false, true] {
        let mut home = Home::new();
        let ada = home.enroll(1, &[]);
        let lease = home.taken(&ada, home.checked_task());
        let done = home.taken(&ada, home.checked_task());
        home.submit(&ada, &lease, "{}").expect("a live lease");
        home.submit(&ada, &done, "{}").expect("a live lease");
        home.checked(&done, accepted(100));
        assert_eq!(home.checks, [(lease.step, lease.epoch)]);
        if snapshot {
            home.restart_from_snapshot()
        } else {
            home.restart()
        }
        assert_eq!(home.checks, [(lease.step, lease.epoch)]);
        home.pass(LEASE_MS);
        assert!(
            matches!(state(&home, lease.step), StepState::Submitted { .. }),
            "the lease timer has stopped"
        );
        home.checked(&lease, accepted(100));
        assert_eq!(balance(&home, Account::Agent(ada.id)), 20_000_000);
    }
}

#[test]
fn money_moves_only_as_escrow_payment_and_refund() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let lease = home.taken(&ada, home.checked_task());
    home.submit(&ada, &lease, "{}").expect("a live lease");
    home.checked(&lease, rejected());
    let second = home.claim(&bob, lease.step).expect("offered anew");
    home.submit(&bob, &second, "{}").expect("a live lease");
    home.checked(&second, accepted(50));
    let gone = home.post_one(home.task());
    home.cancel(Principal::Operator, gone.run(), None).expect("open");
    let moved = home.facts(|f| match f {
        Fact::Transfer(f) => {
            assert_eq!(f.legs.iter().map(|leg| leg.units).sum::<i64>(), 0);
            Some((f.cause, f.step))
        }
        _ => None,
    });
    let step = lease.step;
    let wanted =
        [(Cause::Escrow, step), (Cause::Payment, step), (Cause::Escrow, gone), (Cause::Refund, gone)];
    assert_eq!(moved, wanted);
    assert_eq!(balance(&home, Account::Agent(bob.id)), 5_000_000);
}

#[test]
fn a_revoked_agents_submission_is_still_judged() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let lease = home.taken(&ada, home.checked_task());
    home.submit(&ada, &lease, "{}").expect("a live lease");
    home.revoke(&ada);
    assert_eq!(home.kinds(), [Kind::Revoked], "what was handed in is no lease any more");
    home.input(Input::Checked { step: lease.step, epoch: lease.epoch, outcome: accepted(100) });
    assert_eq!(balance(&home, Account::Agent(ada.id)), 10_000_000, "work done is paid");
}
