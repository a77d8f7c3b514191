//! Redo before the verdict: what is drawn, what a run that agrees or does not leads to, and that who falsifies one result in
//! ten is found while who is honest never is.

mod common;

use artel_federation::effect::{Lease, ToWitness};
use artel_federation::fact::{Abroad, Account, Came, End, Lot, Redoing, RunnerSpec, TaskSpec, Witnessing};
use artel_federation::input::{LateRun, Ran};
use artel_federation::options::{OWN_STEPS_ENDED_MAX, REFUTATION_BYTES_MAX};
use artel_federation::redo::{self, RATE_FIRST, RATE_LEAST};
use artel_federation::run::StepState;
use artel_federation::visit::message::{Act, Handing, Visit};
use artel_federation::{Code, Fact, Input, Kind, Options, Principal, Reply, Request, commitment::Salt};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, StepId};
use artel_protocol::key::NodeId;
use common::crowd::Dice;
use common::referee::judge;
use common::*;
use std::sync::Arc;

const OTHER: Came = Came::Other(Digest([8; 32]));

fn task(home: &Home) -> TaskSpec {
    let runner = Some(RunnerSpec::Wasm { module: Digest::of(b"module") });
    TaskSpec { reward: Credits::ZERO, runner, ..home.task() }
}

/// The worker of these tests, at the node `peer(1)`.
fn visit(home: &mut Home, worker: &Member, act: Act) -> Answer {
    let until = BEGIN.plus_ms(DAY_MS);
    let visit: Visit = abroad::delegated(&identity(), &peer(1), worker, until, &["text"], act);
    home.ask(Principal::Node(peer(1)), Request::Visit(Box::new(visit))).expect("answered at once")
}

/// It hands in a result for a new task.
fn hand_in(home: &mut Home, worker: &Member, task: TaskSpec) -> Lease {
    let step = home.post_one(task);
    let lease = match visit(home, worker, Act::Claim(step)) {
        Ok(Reply::Leased(lease)) => *lease,
        other => panic!("a lease, not {other:?}"),
    };
    let handing = Handing {
        step,
        epoch: lease.epoch,
        output: json("[1]"),
        salt: Salt([7; 16]),
        artifacts: vec![],
        incarnation: 0,
        index: 5,
        next: None,
    };
    received(visit(home, worker, Act::Submit(Box::new(handing)))).expect("taken in");
    lease
}

/// The same, and its lot falls.
fn hand_in_and_draw(home: &mut Home, worker: &Member, task: TaskSpec) -> Lease {
    let lease = hand_in(home, worker, task);
    home.lots_fall();
    lease
}

/// A home with a submission that was drawn.
fn drawn(change: impl Fn(TaskSpec) -> TaskSpec) -> (Home, Member, Lease) {
    let (mut home, worker) = (Home::new(), member(1));
    loop {
        let task = change(task(&home));
        let lease = hand_in_and_draw(&mut home, &worker, task);
        if !home.redos.is_empty() {
            return (home, worker, lease);
        }
        for (step, epoch) in std::mem::take(&mut home.checks) {
            home.input(Input::Checked { step, epoch, outcome: accepted(100) });
        }
    }
}

fn judged(home: &Home, step: StepId) -> Option<(bool, String)> {
    let (_, step) = home.mind.view().step(&step).expect("known");
    let (_, outcome) = step.handed.last()?.verdict.as_ref()?;
    Some(match outcome {
        artel_federation::fact::Outcome::Accepted { .. } => (true, String::new()),
        artel_federation::fact::Outcome::Rejected { check, .. } => (false, check.clone()),
    })
}

const ACCEPTED: Option<(bool, String)> = Some((true, String::new()));

fn refuted() -> Option<(bool, String)> {
    Some((false, redo::CHECK.to_owned()))
}

/// A home with an accepted result of a module that was paid for.
fn paid() -> (Home, Member, StepId) {
    let (mut home, worker) = (Home::new(), member(1));
    let task = TaskSpec { reward: home.task().reward, ..task(&home) };
    let lease = hand_in_and_draw(&mut home, &worker, task);
    if !home.redos.is_empty() {
        home.redone(Some(peer(2)), Came::Same);
    }
    assert_eq!(judged(&home, lease.step), ACCEPTED);
    (home, worker, lease.step)
}

fn refute(home: &mut Home, step: StepId) -> Answer {
    let run = Arc::new(home.mind.view().run(&step.run()).expect("it is remembered").clone());
    let late = LateRun { step, run, other: Digest([8; 32]), profile: Digest([3; 32]) };
    home.ask(Principal::Operator, Request::Refute(Box::new(late))).expect("answered at once")
}

#[test]
fn a_mismatch_after_the_verdict_takes_back_what_the_result_brought_and_it_stays_accepted() {
    let (mut home, worker, step) = paid();
    let account = Account::Agent(worker.id);
    let paid = home.mind.view().balance(account);
    assert!(paid > 0);
    let standing = |home: &Home| home.mind.view().agent(&worker.id).expect("known").standing.clone();
    let before = standing(&home);
    assert!(refute(&mut home, step).is_ok());
    assert_eq!(home.kinds(), [Kind::Refuted, Kind::Recalled]);
    let Fact::Refuted(said) = home.last[0].fact.clone() else { panic!("just seen") };
    assert_eq!((said.recalled, said.late, said.quality), (Credits(paid as u64), false, None));
    assert_ne!(said.other, Digest([8; 32]), "nobody may try out what it was");
    let legs = |fact: &Fact| if let Fact::Recalled(f) = fact { Some(f.legs.clone()) } else { None };
    assert_eq!(legs(&home.last[1].fact).expect("just seen").iter().map(|leg| leg.units).sum::<i64>(), 0);
    assert_eq!((home.mind.view().balance(account), judged(&home, step)), (0, ACCEPTED));
    assert_ne!(standing(&home), before);
    assert_eq!(standing(&home).assess(home.wall).receipts_micro, 0);
    assert_eq!(unrefuted(&home, &worker), 0, "it is looked at as a newcomer again");
    // Once, also after a start.
    assert!(refute(&mut home, step).is_ok());
    assert!(home.last.is_empty());
    home.restart();
    assert!(refute(&mut home, step).is_ok());
    assert_eq!(home.facts(|f| matches!(f, Fact::Refuted(_)).then_some(())).len(), 1);
    judge(&home.journal);
}

#[test]
fn no_more_is_taken_back_than_its_worker_still_has() {
    let (mut home, worker, step) = paid();
    let account = Account::Agent(worker.id);
    let paid = home.mind.view().balance(account);
    // It spends most of it on a task of its own, which another one works on.
    let own = sets_aside(&mut home, paid / 4);
    let other = home.enroll(2, &["text"]);
    home.claim(&other, own).expect("open");
    let left = home.mind.view().balance(account);
    assert!(left > 0 && left < paid);
    assert!(refute(&mut home, step).is_ok());
    let taken = home.facts(|f| if let Fact::Refuted(f) = f { Some(f.recalled) } else { None });
    assert_eq!((taken, home.mind.view().balance(account)), (vec![Credits(left as u64)], 0));
    judge(&home.journal);
}

/// The worker of the tests' results posts a task with so much of what it has.
fn sets_aside(home: &mut Home, units: i64) -> StepId {
    let spends = home.enroll(1, &["text"]);
    let own = TaskSpec { reward: Credits(units as u64), poster_may_claim: true, ..home.task() };
    let posted = home.post(spends.principal(), common::run(vec![common::step("own", &[], own)]));
    posted.expect("a good post").step_id(0)
}

#[test]
fn pay_is_not_hidden_in_offers_of_ones_own() {
    for claims_itself in [false, true] {
        let (mut home, worker, step) = paid();
        let account = Account::Agent(worker.id);
        let paid = home.mind.view().balance(account);
        // A master's pay is set aside, twice the reward: half of it here.
        let (small, large) = (sets_aside(&mut home, paid / 16), sets_aside(&mut home, paid / 4));
        if claims_itself {
            let itself = home.enroll(1, &["text"]);
            home.claim(&itself, large).expect("open");
        }
        assert!(home.mind.view().balance(account) < paid);
        assert!(refute(&mut home, step).is_ok());
        let taken = home.facts(|f| if let Fact::Refuted(f) = f { Some(f.recalled) } else { None });
        assert_eq!((taken, home.mind.view().balance(account)), (vec![Credits(paid as u64)], 0));
        for own in [small, large] {
            let (_, step) = home.mind.view().step(&own).expect("remembered");
            assert_eq!((step.state.clone(), step.escrow), (StepState::Ended(End::Cancelled), Credits::ZERO));
        }
        judge(&home.journal);
    }
}

#[test]
fn no_more_steps_end_with_a_refutation_than_may_those_that_need_one_of_them_counted() {
    let (mut home, worker, refuted) = paid();
    let paid = home.mind.view().balance(Account::Agent(worker.id)) as u64;
    let spends = home.enroll(1, &["text"]);
    let with_others = |home: &mut Home, units: u64, others: usize| {
        let first = TaskSpec { reward: Credits(units), ..home.task() };
        let then = TaskSpec { reward: Credits::ZERO, ..home.task() };
        let mut steps = vec![common::step("first", &[], first)];
        steps.extend((0..others).map(|n| common::step(&format!("then {n}"), &["first"], then.clone())));
        home.post(spends.principal(), common::run(steps)).expect("a good post").step_id(0)
    };
    let others = OWN_STEPS_ENDED_MAX * 3 / 4;
    let (large, middle) =
        (with_others(&mut home, paid / 4, others), with_others(&mut home, paid / 8, others));
    let small = with_others(&mut home, paid / 16, 0);
    assert!(refute(&mut home, refuted).is_ok());
    let is_over = |id: StepId| home.mind.view().step(&id).expect("remembered").1.state.is_terminal();
    assert_eq!([large, middle, small].map(is_over), [true, false, true]);
    let ended = home.last.iter().filter(|entry| matches!(entry.fact, Fact::StepEnded(_))).count();
    assert_eq!(ended, others + 2);
    let bytes: usize = home.last.iter().map(|entry| entry.encode().len()).sum();
    assert!(bytes <= REFUTATION_BYTES_MAX / 2, "{bytes}");
    judge(&home.journal);
}

#[test]
fn no_offer_ends_that_need_not() {
    let (mut home, worker, step) = paid();
    let account = Account::Agent(worker.id);
    let paid = home.mind.view().balance(account);
    let (small, large) = (sets_aside(&mut home, paid / 16), sets_aside(&mut home, paid / 4));
    // Another result of its is paid meanwhile, so that the larger offer is enough.
    let more = TaskSpec { reward: Credits((paid / 8) as u64), ..home.task() };
    let more = home.post_one(more);
    let itself = home.enroll(1, &["text"]);
    let lease = home.claim(&itself, more).expect("open");
    home.submit(&itself, &lease, "{}").expect("taken");
    assert!(refute(&mut home, step).is_ok());
    let ended = |id: StepId| home.mind.view().step(&id).expect("remembered").1.state.is_terminal();
    assert_eq!((ended(small), ended(large)), (false, true));
    judge(&home.journal);
}

#[test]
fn only_an_accepted_result_of_a_module_is_refuted_and_by_the_operator_alone() {
    let (mut home, worker, step) = paid();
    let task = task(&home);
    let other = hand_in(&mut home, &worker, task);
    let plain = home.post_one(home.task());
    for (step, wanted) in [(other.step, Code::TaskNotOpen), (plain, Code::TaskNotOpen)] {
        assert_eq!(refute(&mut home, step).expect_err("refused").code, wanted);
    }
    let done = home.enroll(2, &["text"]);
    let lease = home.claim(&done, plain).expect("open");
    home.submit(&done, &lease, "{}").expect("taken");
    assert_eq!(refute(&mut home, plain).expect_err("refused").code, Code::RunnerUnavailable);
    let run = Arc::new(home.mind.view().run(&step.run()).expect("remembered").clone());
    let late = LateRun { step, run, other: Digest([8; 32]), profile: Digest([3; 32]) };
    let by_agent = home.ask(done.principal(), Request::Refute(Box::new(late))).expect("answered");
    assert_eq!(by_agent.expect_err("refused").code, Code::Forbidden);
    assert!(home.facts(|f| matches!(f, Fact::Refuted(_)).then_some(())).is_empty());
}

#[test]
fn a_run_that_agrees_or_that_nobody_made_holds_up_nothing() {
    for (by, came) in
        [(Some(peer(2)), Came::Same), (Some(peer(2)), Came::Inconclusive), (None, Came::Inconclusive)]
    {
        let (mut home, _, lease) = drawn(|task| task);
        assert_eq!(judged(&home, lease.step), None, "no verdict before the redo");
        let asked = &home.redos[0];
        assert_eq!(
            (asked.worker, asked.doubted.len(), asked.ask.module),
            (Some(peer(1)), 0, Digest::of(b"module"))
        );
        home.redone(by, came);
        assert_eq!(judged(&home, lease.step), ACCEPTED);
        assert_eq!(home.kinds()[..2], [Kind::Redone, Kind::Verdict]);
        judge(&home.journal);
    }
}

#[test]
fn two_runs_that_agree_reject_and_one_alone_never_does() {
    let home_node = || Some(identity().node);
    let another = Came::Other(Digest([9; 32]));
    let third = Came::Other(Digest([10; 32]));
    let nothing = (None, Came::Inconclusive);
    for (runs, wanted) in [
        (vec![(home_node(), OTHER)], refuted()),
        (vec![(Some(peer(3)), OTHER)], refuted()),
        (vec![(home_node(), Came::Same)], ACCEPTED),
        // A third run breaks a tie, whichever of the two it agrees with.
        (vec![(home_node(), another), (Some(peer(3)), another)], refuted()),
        (vec![(home_node(), another), (Some(peer(3)), OTHER)], refuted()),
        (vec![(home_node(), another), (home_node(), another)], refuted()),
        (vec![(home_node(), another), (Some(peer(3)), Came::Same)], ACCEPTED),
        (vec![(home_node(), another), (Some(peer(3)), third)], ACCEPTED),
        // A run that comes to nothing does not drop the doubt.
        (vec![(home_node(), Came::Inconclusive), (home_node(), OTHER)], refuted()),
        (vec![nothing, nothing, (Some(peer(3)), OTHER)], refuted()),
        (vec![nothing, (home_node(), another), nothing, (Some(peer(3)), OTHER)], refuted()),
        (vec![(None, OTHER), nothing, (home_node(), Came::Same)], ACCEPTED),
        (vec![nothing, nothing, nothing], ACCEPTED),
    ] {
        let (mut home, worker, lease) = drawn(|task| task);
        let before = unrefuted(&home, &worker);
        home.redone(Some(peer(2)), OTHER);
        for (n, (by, came)) in runs.iter().enumerate() {
            assert_eq!(judged(&home, lease.step), None, "one word against another: {runs:?}");
            let asked = &home.redos[0];
            assert_eq!((asked.doubted[0], usize::from(asked.runs())), (peer(2), n + 1), "{runs:?}");
            home.redone(*by, *came);
        }
        assert_eq!(judged(&home, lease.step), wanted, "{runs:?}");
        assert!(home.redos.is_empty());
        let said_right = runs.iter().any(|(_, came)| *came == Came::Same);
        let after = if wanted == refuted() { 0 } else { before + u64::from(said_right) };
        assert_eq!(unrefuted(&home, &worker), after, "a rejection ends the record: {runs:?}");
        judge(&home.journal);
    }
}

fn unrefuted(home: &Home, worker: &Member) -> u64 {
    home.mind.view().agent(&worker.id).expect("known").unrefuted
}

/// Who has every run of its results come to nothing gets no lower rate by it.
#[test]
fn only_a_run_that_agrees_or_no_draw_is_a_step_towards_a_lower_rate() {
    for (came, steps) in [(Came::Same, 1), (Came::Inconclusive, 0)] {
        let (mut home, worker, _) = drawn(|task| task);
        let before = unrefuted(&home, &worker);
        home.redone(Some(peer(2)), came);
        assert_eq!(unrefuted(&home, &worker), before + steps, "{came:?}");
        let agent = home.mind.view().agent(&worker.id).expect("known").clone();
        assert!(agent.accepted > agent.unrefuted || steps == 1, "it is accepted all the same");
        home.restart();
        assert_eq!(unrefuted(&home, &worker), before + steps, "and so it folds");
    }
}

#[test]
fn what_answers_no_open_question_is_passed_over() {
    let (mut home, _, lease) = drawn(|task| task);
    let say = |home: &mut Home, epoch, runs| {
        let ran = Ran { by: Some(peer(2)), came: OTHER, profile: None };
        home.input(Input::Redone { step: lease.step, epoch, runs, ran });
    };
    let size = home.journal.len();
    say(&mut home, lease.epoch.next(), 0);
    say(&mut home, lease.epoch, 1);
    // The schema's check has not its turn.
    home.input(Input::Checked { step: lease.step, epoch: lease.epoch, outcome: rejected() });
    assert_eq!(home.journal.len(), size);
    say(&mut home, lease.epoch, 0);
    let size = home.journal.len();
    // Said again, as after a restart in between, it is no second run.
    say(&mut home, lease.epoch, 0);
    assert_eq!((home.journal.len(), judged(&home, lease.step)), (size, None));
    home.redos.remove(0);
    home.redone(Some(peer(2)), Came::Same);
    let size = home.journal.len();
    say(&mut home, lease.epoch, 1);
    assert_eq!(home.journal.len(), size);
}

#[test]
fn a_start_asks_for_the_run_that_is_open_again() {
    let (mut home, _, lease) = drawn(|task| task);
    home.restart();
    assert_eq!((home.redos.len(), home.redos[0].runs()), (1, 0));
    home.redone(Some(peer(2)), OTHER);
    home.restart_from_snapshot();
    assert_eq!((home.redos.len(), home.redos[0].doubted.as_slice()), (1, &[peer(2)][..]));
    home.redone(None, Came::Inconclusive);
    home.restart();
    assert_eq!((home.redos.len(), home.redos[0].runs(), home.redos[0].unsaid), (1, 2, 1));
    home.redone(Some(identity().node), OTHER);
    assert_eq!(judged(&home, lease.step), refuted());
}

/// A home with a submission whose lot has not fallen.
fn undrawn() -> (Home, Member, Lease) {
    let (mut home, worker) = (Home::new(), member(1));
    let task = task(&home);
    let lease = hand_in(&mut home, &worker, task);
    (home, worker, lease)
}

/// All that stands in entries of lots.
fn lots(home: &Home) -> Vec<Lot> {
    home.facts(|fact| match fact {
        Fact::Lot(lot) => Some(lot.clone()),
        _ => None,
    })
}

#[test]
fn a_lot_follows_from_what_its_witnesses_said_and_stands_in_an_entry() {
    let (mut home, worker, lease) = undrawn();
    let asked = home.lots[0];
    assert_eq!((asked.step, asked.worker, asked.is_anew), (lease.step, Some(peer(1)), false));
    let entry = &home.journal[usize::try_from(asked.submitted).expect("small")];
    assert!(matches!(&entry.fact, Fact::Submitted(_)));
    assert_eq!(asked.digest, Digest::of(&entry.encode()), "the witnesses follow from the submission's bytes");
    assert_eq!(judged(&home, lease.step), None, "no verdict before the lot");
    // One of the three says nothing in time: it is named all the same.
    let picked = redo::lot::pick(&asked.digest, (5..=8).map(peer).collect());
    let cosigned = |n: usize| (n != 1).then(|| home.cosigned(&picked[n], asked.submitted + 1));
    let witnesses: Vec<Witnessing> =
        (0..3).map(|n| Witnessing { node: picked[n], cosigned: cosigned(n) }).collect();
    home.lot_falls(witnesses.clone());
    let lot = lots(&home).remove(0);
    assert_eq!(
        (lot.witnesses.clone(), lot.submitted, lot.rate),
        (witnesses.clone(), asked.submitted, RATE_FIRST)
    );
    assert_eq!(Some(lot.lot), redo::lot::drawn_by(&asked.digest, &witnesses));
    assert_eq!(lot.follows_from(&asked.digest, &identity().node), Ok(()));
    assert_eq!(lot.drawn, !home.redos.is_empty());
    // Said again, or of another lease, it draws nothing more.
    let size = home.journal.len();
    for epoch in [lease.epoch, lease.epoch.next()] {
        home.input(Input::Witnessed { step: lease.step, epoch, witnesses: vec![] });
    }
    assert_eq!(home.journal.len(), size);
    assert_eq!(unrefuted(&home, &worker), u64::from(!lot.drawn), "what is not drawn is judged at once");
    judge(&home.journal);
}

/// Without a witness home draws, and so has no other node run it that it may have chosen.
#[test]
fn a_lot_that_nobody_witnessed_is_home_s_own_and_so_is_the_run() {
    let (mut home, _, _) = undrawn();
    let mut falls = |witnesses: fn(&Home) -> Vec<Witnessing>| loop {
        let said = witnesses(&home);
        home.lot_falls(said);
        if let Some(asked) = home.redos.first() {
            let at_home_first = asked.at_home_first;
            home.restart();
            assert_eq!(home.redos[0].at_home_first, at_home_first, "and so it folds");
            home.redone(Some(identity().node), Came::Same);
            let task = task(&home);
            hand_in(&mut home, &member(1), task);
            return at_home_first;
        }
        let task = task(&home);
        hand_in(&mut home, &member(1), task);
    };
    assert!(falls(|_| vec![]));
    let silent = |home: &Home| {
        let picked = redo::lot::pick(&home.lots[0].digest, vec![peer(5), peer(6)]);
        picked.into_iter().map(|node| Witnessing { node, cosigned: None }).collect()
    };
    assert!(falls(silent));
    let one = |home: &Home| {
        let cosigned = Some(home.cosigned(&peer(5), home.lots[0].submitted + 1));
        vec![Witnessing { node: peer(5), cosigned }]
    };
    assert!(!falls(one));
    judge(&home.journal);
}

#[test]
fn a_start_asks_for_the_lot_that_is_open_again() {
    let (mut home, _, lease) = undrawn();
    let asked = home.lots[0];
    for from_snapshot in [false, true, false] {
        if from_snapshot {
            home.restart_from_snapshot()
        } else {
            home.restart()
        }
        assert_eq!(home.lots, [ToWitness { is_anew: true, ..asked }]);
        // What is not its turn changes nothing.
        let size = home.journal.len();
        home.input(Input::Checked { step: lease.step, epoch: lease.epoch, outcome: rejected() });
        let ran = Ran { by: Some(peer(2)), came: OTHER, profile: None };
        home.input(Input::Redone { step: lease.step, epoch: lease.epoch, runs: 0, ran });
        assert_eq!(home.journal.len(), size);
    }
    home.lots_fall();
    let drawn = lots(&home)[0].drawn;
    home.restart();
    assert_eq!((home.lots.len(), home.redos.len()), (0, usize::from(drawn)), "it falls once");
}

/// What an operator lets in since the last start is judged by what it checks, whatever was open.
#[test]
fn who_is_let_in_meanwhile_has_no_lot_after_the_next_start() {
    let mut home = Home::new();
    let local = home.enroll(2, &[]);
    let lease = home.taken(&local, task(&home));
    home.submit(&local, &lease, "{}").expect("taken in");
    assert_eq!((home.lots.len(), judged(&home, lease.step)), (1, None));
    home.options.redo_enrolled = false;
    home.restart();
    assert_eq!((home.lots.len(), judged(&home, lease.step)), (0, ACCEPTED));
}

#[test]
fn a_schema_is_checked_once_the_redo_is_over() {
    let (mut home, _, lease) = drawn(|task| TaskSpec { output_schema: Some(json("{}")), ..task });
    assert!(home.checks.is_empty());
    home.redone(Some(peer(2)), Came::Same);
    assert_eq!((judged(&home, lease.step), home.checks.len()), (None, 1));
    home.restart();
    assert_eq!((home.redos.len(), home.checks.len()), (0, 1), "the redo is over");
    home.checked(&lease, accepted(90));
    assert_eq!(judged(&home, lease.step), ACCEPTED);
}

#[test]
fn a_schema_is_checked_once_the_lot_has_not_drawn() {
    let (mut home, worker) = (Home::new(), member(1));
    loop {
        let task = TaskSpec { output_schema: Some(json("{}")), ..task(&home) };
        let lease = hand_in(&mut home, &worker, task);
        assert!(home.checks.is_empty(), "not before the lot");
        home.lots_fall();
        if home.redos.is_empty() {
            assert_eq!((judged(&home, lease.step), home.checks.len()), (None, 1));
            home.checked(&lease, accepted(90));
            assert_eq!(judged(&home, lease.step), ACCEPTED);
            return;
        }
        home.redone(Some(peer(2)), Came::Same);
        home.checked(&lease, accepted(90));
    }
}

#[test]
fn only_modules_are_drawn_and_nobody_s_own_tasks() {
    let (mut home, worker) = (Home::new(), member(1));
    let local = home.enroll(2, &[]);
    for _ in 0..20 {
        let plain = TaskSpec { runner: None, ..task(&home) };
        hand_in(&mut home, &worker, plain);
        let own = TaskSpec { poster_may_claim: true, ..task(&home) };
        let posted = home.post(local.principal(), run(vec![step("only", &[], own)])).expect("a good post");
        let lease = home.claim(&local, posted.step_id(0)).expect("its own");
        home.submit(&local, &lease, "{}").expect("taken in");
    }
    assert!(home.lots.is_empty(), "nor does its verdict wait for anybody");
    assert_eq!(home.facts(|fact| matches!(fact, Fact::Lot(_)).then_some(())), []);
    let known = home.mind.view().agent(&worker.id).expect("known").clone();
    assert_eq!((known.accepted, known.unrefuted), (20, 0), "its other work says nothing of its sandbox");
}

/// Whoever reaches the node enrolls there, so who did is looked at like a stranger, unless the operator says otherwise.
#[test]
fn who_enrolled_itself_is_drawn_like_a_stranger_and_whom_the_operator_let_in_is_not() {
    for redo_enrolled in [true, false] {
        let mut home = Home::with(Options { redo_enrolled, ..Options::default() });
        let local = home.enroll(2, &[]);
        for _ in 0..20 {
            let lease = home.taken(&local, task(&home));
            home.submit(&local, &lease, "{}").expect("taken in");
            home.lots_fall();
            while let Some(asked) = home.redos.first() {
                assert_eq!(asked.worker, None, "no other node handed it in");
                home.redone(Some(identity().node), Came::Same);
            }
        }
        let is_drawn = |fact: &Fact| matches!(fact, Fact::Lot(lot) if lot.drawn).then_some(());
        let drawn = home.facts(is_drawn).len();
        assert_eq!(drawn > 0, redo_enrolled, "{drawn} of 20");
        judge(&home.journal);
    }
}

#[test]
fn a_step_is_run_again_for_its_home_alone() {
    let mut home = Home::new();
    let lease = Abroad {
        home: peer(1),
        step: artel_protocol::id::RunId::new(BEGIN, [1; 9]).step(0),
        epoch: artel_protocol::id::Epoch(1),
    };
    let request = || Request::Redo(Redoing { lease, module: Digest::of(b"module") });
    assert!(home.ask(Principal::Node(peer(1)), request()).expect("answered").is_ok());
    assert_eq!(home.kinds(), [Kind::Redoing], "before the sandbox starts");
    for other in [Principal::Node(peer(2)), Principal::Operator] {
        assert!(home.ask(other, request()).expect("answered").is_err());
    }
}

/// The places of those who may redo are the lot's alone.
#[test]
fn a_lot_orders_nodes_evenly() {
    let nodes: Vec<NodeId> = (1..=4).map(peer).collect();
    let mut first = [0; 4];
    for n in 0..4_000_u64 {
        let lot = Digest::of(&n.to_le_bytes());
        let least = nodes.iter().enumerate().min_by_key(|(_, node)| redo::place(&lot, node)).expect("four");
        first[least.0] += 1;
    }
    assert!(first.iter().all(|count| (850..1_150).contains(count)), "{first:?}");
}

const SEEDS: u64 = 400;

/// Whether a worker that falsifies one in ten at random is found within so many results at a rate.
fn found(dice: &mut Dice, results: u64, rate: impl Fn(u64) -> u32) -> bool {
    (0..results).any(|n| {
        let lot = Digest::of(&dice.next().to_le_bytes());
        let is_false = dice.one_in(10);
        redo::draws(&lot, rate(n)) && is_false
    })
}

#[test]
fn the_rates_find_who_falsifies_one_in_ten_in_97_of_100_cases() {
    let share = |results, rate: fn(u64) -> u32| {
        (0..SEEDS).filter(|seed| found(&mut Dice::new(*seed), results, rate)).count() as f64 / SEEDS as f64
    };
    let newcomer = share(60, |_| RATE_FIRST);
    let falling = share(60, redo::rate);
    let floor = share(900, |_| RATE_LEAST);
    assert!(newcomer >= 0.97 && falling >= 0.97 && floor >= 0.97, "{newcomer} {falling} {floor}");
}

/// The rules themselves, with runs that tell the truth: a newcomer that lies one time in ten is found within 60 results, and is
/// rejected for a lie; who never lies is accepted each time.
#[test]
fn the_rules_find_the_liar_and_never_the_honest() {
    let mut found = 0;
    for seed in 0..SEEDS {
        let (mut home, liar, honest) = (Home::new(), member(1), member(2));
        home.reseed(seed);
        let mut dice = Dice::new(seed);
        for n in 0..60 {
            // As much honest work as is needed to say so, and no more: it is the same rule.
            let workers = if seed.is_multiple_of(20) || n == 0 { 2 } else { 1 };
            let lies = dice.one_in(10);
            let mut is_found = false;
            for (worker, lies) in [(&liar, lies), (&honest, false)].into_iter().take(workers) {
                let task = task(&home);
                let lease = hand_in_and_draw(&mut home, worker, task);
                while !home.redos.is_empty() {
                    home.redone(Some(peer(2)), if lies { OTHER } else { Came::Same });
                }
                let is_refuted = judged(&home, lease.step) == refuted();
                assert!(!is_refuted || lies, "seed {seed}: an honest result was rejected");
                is_found |= is_refuted;
            }
            if is_found {
                found += 1;
                break;
            }
        }
        judge(&home.journal);
    }
    assert!(found >= SEEDS * 97 / 100, "{found} of {SEEDS} were found");
}
