//! What this node's agents do at other homes: written down before it is sent, kept until home has judged it, and let go of
//! in the end whatever home does.

mod common;

use artel_federation::away::Engagement;
use artel_federation::fact::{Abroad, Authority, Judgement, Undertaken};
use artel_federation::input::{Conclusion, Word, Work};
use artel_federation::options::{CONCLUDED_MAX, ENGAGEMENTS_OF_HOME_MAX, HEARD_AGAIN_MS};
use artel_federation::{Code, Fact, Options, Principal, Reply, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, RunId};
use artel_protocol::key::Signature;
use artel_protocol::time::Wall;
use common::*;

fn lease(n: u8) -> Abroad {
    Abroad { home: peer(1), step: RunId::new(BEGIN, [n; 9]).step(0), epoch: Epoch(1) }
}

fn undertake(home: &mut Home, agent: &Member, n: u8) -> Answer {
    undertake_by(home, agent, n, Authority::Delegated)
}

fn won(agent: &Member, n: u8) -> Undertaken {
    Undertaken {
        lease: lease(n),
        agent: agent.id,
        authority: Authority::Delegated,
        granted: 7,
        lease_ms: 60_000,
        verdict_within_ms: 600_000,
    }
}

fn undertake_by(home: &mut Home, agent: &Member, n: u8, authority: Authority) -> Answer {
    let won = Undertaken { authority, ..won(agent, n) };
    home.ask(agent.principal(), Request::Undertake(Box::new(won))).expect("answered")
}

fn work(n: u8, output: &str) -> Work {
    Work { step: lease(n).step, epoch: Epoch(1), output: json(output), artifacts: vec![], own: None }
}

fn hand_in(home: &mut Home, agent: &Member, work: Work) -> Result<Engagement, Code> {
    match home.ask(agent.principal(), Request::HandIn(work)).expect("answered") {
        Ok(Reply::HandedIn(engagement)) => Ok(engagement.as_ref().clone()),
        Ok(other) => panic!("{other:?}"),
        Err(refusal) => Err(refusal.code),
    }
}

fn hear(home: &mut Home, n: u8, word: Word) -> Answer {
    let request = Request::Hear { lease: lease(n), word };
    home.ask(Principal::Node(peer(1)), request).expect("answered")
}

fn acknowledged() -> Word {
    Word::Acknowledged { submitted: 9, at: BEGIN, signature: Signature([1; 64]), verdict: None }
}

fn judged() -> Word {
    let judgement = Judgement::Accepted { quality: 100, checked: false };
    Word::Judged(Conclusion { verdict: 11, judgement, paid: Some(Credits(5)) })
}

fn let_go(home: &Home) -> Vec<String> {
    home.facts(|f| if let Fact::LetGo(f) = f { Some(f.code.clone()) } else { None })
}

#[test]
fn a_result_is_in_the_outbox_until_it_is_judged() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    undertake(&mut home, &ada, 1).expect("taken on");
    undertake(&mut home, &ada, 1).expect("said twice, done once");
    let handed = hand_in(&mut home, &ada, work(1, "[1]")).expect("in the outbox");
    assert_eq!(hand_in(&mut home, &ada, work(1, "[1]")), Ok(handed), "the same again");
    assert_eq!(hand_in(&mut home, &ada, work(1, "[2]")), Err(Code::AlreadySubmitted));
    assert_eq!(hand_in(&mut home, &ada, work(2, "[1]")), Err(Code::StaleEpoch));
    home.restart();
    assert_eq!(home.mind.view().away().all().len(), 1, "it is in the journal");
    home.restart_from_snapshot();
    hear(&mut home, 1, acknowledged()).expect("known");
    hear(&mut home, 1, acknowledged()).expect("and nothing new");
    hear(&mut home, 1, Word::Refused("stale_epoch".into()))
        .expect("what home acknowledged it cannot take back");
    assert_eq!(home.facts(|f| matches!(f, Fact::Acknowledged(_)).then_some(())).len(), 1);
    hear(&mut home, 1, judged()).expect("known");
    assert!(home.mind.view().away().all().len() == 0);
    assert!(hear(&mut home, 1, judged()).is_err(), "it is over");
    let said = home.facts(|f| if let Fact::Concluded(f) = f { Some((f.agent, f.paid)) } else { None });
    assert_eq!(said, [(Some(ada.id), Some(Credits(5)))], "whose it was, and what it earned");
}

#[test]
fn a_refutation_is_heard_once_and_only_of_what_was_judged() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    let refuted = || Word::Refuted { refuted: 40, recalled: Credits(5) };
    let heard = |home: &Home| {
        home.facts(|f| {
            if let Fact::RefutedAway(f) = f { Some((f.lease, f.agent, f.refuted, f.recalled)) } else { None }
        })
    };
    undertake(&mut home, &ada, 1).expect("taken on");
    hear(&mut home, 1, refuted()).expect("nothing to refute yet");
    hand_in(&mut home, &ada, work(1, "[1]")).expect("in the outbox");
    hear(&mut home, 7, refuted()).expect("nothing that is known");
    assert_eq!(heard(&home), []);
    hear(&mut home, 1, judged()).expect("known");
    home.restart_from_snapshot();
    hear(&mut home, 1, refuted()).expect("known");
    hear(&mut home, 1, refuted()).expect("and nothing new");
    assert_eq!(heard(&home), [(lease(1), ada.id, 40, Credits(5))]);
    home.restart();
    assert_eq!(hand_in(&mut home, &ada, work(1, "[1]")), Err(Code::StaleEpoch), "it stands no more");
}

#[test]
fn a_refutation_that_comes_before_its_verdict_is_said_behind_it() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    let verdict = |judgement| Conclusion { verdict: 11, judgement, paid: Some(Credits(5)) };
    let accepted = || verdict(Judgement::Accepted { quality: 100, checked: false });
    let rejected = || verdict(Judgement::Rejected { check: "schema".into() });
    let answered = |verdict| Word::Acknowledged {
        submitted: 9,
        at: BEGIN,
        signature: Signature([1; 64]),
        verdict: Some(verdict),
    };
    let words =
        [Word::Judged(accepted()), answered(accepted()), Word::Judged(rejected()), answered(rejected())];
    for (n, word) in (1..).zip(words) {
        undertake(&mut home, &ada, n).expect("taken on");
        hand_in(&mut home, &ada, work(n, "[1]")).expect("in the outbox");
        hear(&mut home, n, Word::Refuted { refuted: 40, recalled: Credits(3) }).expect("kept");
        hear(&mut home, n, word).expect("known");
    }
    let said = home.facts(|f| if let Fact::RefutedAway(f) = f { Some((f.lease, f.recalled)) } else { None });
    assert_eq!(said, [(lease(1), Credits(3)), (lease(2), Credits(3))]);
    let ends = home.facts(|f| match f {
        Fact::Concluded(f) if f.lease == lease(1) => Some("judged"),
        Fact::RefutedAway(f) if f.lease == lease(1) => Some("refuted"),
        _ => None,
    });
    assert_eq!(ends, ["judged", "refuted"]);
}

#[test]
fn only_what_home_accepted_is_refuted_and_no_more_goes_back_than_it_paid() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    let accepted = Judgement::Accepted { quality: 100, checked: false };
    let rejected = Judgement::Rejected { check: "schema".into() };
    let judgements = [
        (accepted.clone(), Some(Credits(5))),
        (accepted, None),
        (rejected.clone(), None),
        (rejected, Some(Credits(5))),
    ];
    for (n, (judgement, paid)) in (1..).zip(judgements) {
        undertake(&mut home, &ada, n).expect("taken on");
        hand_in(&mut home, &ada, work(n, "[1]")).expect("in the outbox");
        hear(&mut home, n, Word::Judged(Conclusion { verdict: 11, judgement, paid })).expect("known");
    }
    home.restart_from_snapshot();
    for n in 1..=4 {
        hear(&mut home, n, Word::Refuted { refuted: 40, recalled: Credits(1_000_000) }).expect("heard");
    }
    let said = home.facts(|f| if let Fact::RefutedAway(f) = f { Some((f.lease, f.recalled)) } else { None });
    assert_eq!(said, [(lease(1), Credits(5)), (lease(2), Credits::ZERO)]);
}

#[test]
fn a_lease_ends_a_term_after_it_was_renewed_last() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    undertake(&mut home, &ada, 1).expect("taken on");
    let own = home.taken(&ada, home.task());
    let ends = |home: &Home| home.mind.view().leases_of(&ada.id).map(|held| held.ends.0).collect::<Vec<_>>();
    let begun = home.mono.0;
    assert_eq!(ends(&home), [begun + 60_000; 2]);
    home.pass(20_000);
    hear(&mut home, 1, Word::Renewed).expect("known");
    assert_eq!(ends(&home), [begun + 60_000, begun + 80_000], "its own first, then those of other homes");
    home.submit(&ada, &own, "{}").expect("a live lease");
    hand_in(&mut home, &ada, work(1, "[1]")).expect("in the outbox");
    assert_eq!(ends(&home), [0; 0]);
}

#[test]
fn a_home_that_answers_nothing_leaves_room_for_others_and_so_does_an_agent() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &["text"]), home.enroll(2, &["text"]));
    let mut n = 0;
    let mut take_on = |home: &mut Home, agent: &Member, at: u8| {
        n += 1;
        let step = RunId::new(BEGIN.plus_ms(n), [0; 9]).step(0);
        let lease = Abroad { home: peer(at), step, epoch: Epoch(1) };
        let won = Undertaken { lease, ..won(agent, 0) };
        let answer = home.ask(agent.principal(), Request::Undertake(Box::new(won))).expect("answered");
        answer.map(|_| lease.step).map_err(|refusal| refusal.code)
    };
    let result = |step| Work { step, ..work(0, "[1]") };
    let mut fill = |home: &mut Home, at: u8| {
        for _ in 0..ENGAGEMENTS_OF_HOME_MAX {
            let step = take_on(home, &ada, at).expect("taken on");
            hand_in(home, &ada, result(step)).expect("in the outbox");
        }
    };
    fill(&mut home, 1);
    let full = |home: &Home| home.mind.view().away().full_homes().copied().collect::<Vec<_>>();
    assert_eq!(full(&home), [peer(1)]);
    (2..=4).for_each(|at| fill(&mut home, at));
    assert_eq!(take_on(&mut home, &bob, 1), Err(Code::TooMany), "of one home");
    assert_eq!(take_on(&mut home, &ada, 5), Err(Code::TooMany), "of one agent");
    assert!(take_on(&mut home, &bob, 5).is_ok());
    home.restart_from_snapshot();
    assert_eq!(take_on(&mut home, &bob, 1), Err(Code::TooMany), "a restart changes nothing of it");
    assert!(take_on(&mut home, &bob, 5).is_ok());
}

/// Its answer may have been lost, and then its node may have been killed.
#[test]
fn what_was_judged_may_be_handed_in_again() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    undertake(&mut home, &ada, 1).expect("taken on");
    let handed = hand_in(&mut home, &ada, work(1, "[1]")).expect("in the outbox");
    hear(&mut home, 1, judged()).expect("known");
    for start in 0..3 {
        match start {
            1 => home.restart(),
            2 => home.restart_from_snapshot(),
            _ => {}
        }
        let again = hand_in(&mut home, &ada, work(1, "[1]")).expect("the same again");
        let result = again.result.expect("it was handed in");
        assert_eq!((again.lease, result.judged), (handed.lease, Some(11)));
        assert_eq!(hand_in(&mut home, &ada, work(1, "[2]")), Err(Code::AlreadySubmitted));
        assert!(home.mind.view().away().all().len() == 0, "it is not in the outbox again");
    }
    assert_eq!(home.facts(|f| matches!(f, Fact::HandedIn(_)).then_some(())).len(), 1);
}

#[test]
fn of_what_was_judged_the_last_are_known() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    for n in 0..=CONCLUDED_MAX {
        let lease =
            Abroad { home: peer(1), step: RunId::new(Wall(n as u64), [9; 9]).step(0), epoch: Epoch(1) };
        let won = Undertaken { lease, ..won(&ada, 1) };
        home.ask(ada.principal(), Request::Undertake(Box::new(won))).expect("answered").expect("taken on");
        hand_in(&mut home, &ada, Work { step: lease.step, ..work(1, "{}") }).expect("in the outbox");
        let request = Request::Hear { lease, word: judged() };
        home.ask(Principal::Node(peer(1)), request).expect("answered").expect("known");
    }
    let mut again = |n: usize| {
        let step = RunId::new(Wall(n as u64), [9; 9]).step(0);
        hand_in(&mut home, &ada, Work { step, ..work(1, "{}") }).map(drop)
    };
    assert_eq!(again(0), Err(Code::StaleEpoch));
    assert_eq!(again(1), Ok(()));
    assert_eq!(again(CONCLUDED_MAX), Ok(()));
}

/// A lease that a home grants on a step of this node's own would make what that home has an agent do the step's result.
#[test]
fn a_step_of_this_node_is_nobody_elses_to_grant() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    let step = home.post_one(home.task());
    let claim = home.ask(ada.principal(), Request::Claim(step)).expect("answered");
    let epoch = leased(claim).expect("free").expect("a lease").epoch;
    let foreign = Abroad { home: peer(1), step, epoch };
    let request = Request::Undertake(Box::new(Undertaken { lease: foreign, ..won(&ada, 1) }));
    let refused = home.ask(ada.principal(), request).expect("answered");
    assert!(matches!(refused, Err(refusal) if refusal.code == Code::Invalid));
    assert!(home.mind.view().away().all().len() == 0);
}

/// A home is told to be busy, full or stopping in many words; few of them end what was done for it.
#[test]
fn a_result_survives_refusals_that_pass() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    undertake(&mut home, &ada, 1).expect("taken on");
    hand_in(&mut home, &ada, work(1, "{}")).expect("in the outbox");
    for code in ["artifact_missing", "artifact_quota", "unavailable", "forbidden", "too_many", "no_such_code"]
    {
        hear(&mut home, 1, Word::Refused(code.into())).expect("known");
    }
    // What is said of the lease says nothing of the result: home has ended the lease when it took the result in.
    for code in ["released", "stale_epoch", "finished"] {
        hear(&mut home, 1, Word::Over(code.into())).expect("known");
    }
    assert_eq!((let_go(&home), home.mind.view().away().all().len()), (vec![], 1));
    hear(&mut home, 1, Word::Refused("stale_epoch".into())).expect("known");
    assert_eq!(let_go(&home), ["stale_epoch"]);
}

#[test]
fn leases_elsewhere_count() {
    let mut home = Home::with(Options { leases_max: 1, ..Options::default() });
    let ada = home.enroll(1, &["text"]);
    let step = home.post_one(home.task());
    undertake(&mut home, &ada, 1).expect("taken on");
    assert!(matches!(undertake(&mut home, &ada, 2), Err(refusal) if refusal.code == Code::CapacityFull));
    let claim = home.ask(ada.principal(), Request::Claim(step)).expect("answered");
    assert_eq!(leased(claim), Err(Code::CapacityFull));
    hand_in(&mut home, &ada, work(1, "{}")).expect("in the outbox");
    let claim = home.ask(ada.principal(), Request::Claim(step)).expect("answered");
    assert!(leased(claim).expect("free again").is_some());
}

#[test]
fn a_lease_that_is_not_renewed_is_let_go() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    undertake(&mut home, &ada, 1).expect("taken on");
    home.pass(2 * MINUTE_MS);
    hear(&mut home, 1, Word::Renewed).expect("known");
    home.pass(2 * MINUTE_MS);
    assert!(let_go(&home).is_empty());
    home.pass(2 * MINUTE_MS);
    assert_eq!(let_go(&home), ["lapsed"]);
    assert_eq!(hand_in(&mut home, &ada, work(1, "{}")), Err(Code::StaleEpoch));
}

#[test]
fn a_home_that_is_silent_is_said_to_be_and_its_result_let_go_at_last() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    for n in [1, 2] {
        undertake(&mut home, &ada, n).expect("taken on");
        hand_in(&mut home, &ada, work(n, "{}")).expect("in the outbox");
    }
    hear(&mut home, 1, acknowledged()).expect("known");
    let unanswered = |home: &Home| {
        home.facts(|f| if let Fact::Unanswered(f) = f { Some((f.lease, f.submitted)) } else { None })
    };
    home.pass(9 * MINUTE_MS);
    assert!(unanswered(&home).is_empty());
    home.pass(2 * MINUTE_MS);
    assert_eq!(unanswered(&home), [(lease(1), Some(9)), (lease(2), None)]);
    home.restart();
    home.pass(DAY_MS);
    assert_eq!(unanswered(&home).len(), 2, "once is enough");
    hear(&mut home, 2, judged()).expect("late, and yet");
    home.pass(7 * DAY_MS);
    assert_eq!(let_go(&home), ["unheard"]);
    assert!(home.mind.view().away().all().len() == 0);
}

/// Its records of that time are heard after the start.
#[test]
fn a_node_that_was_away_itself_calls_nobody_silent_at_once() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    for n in [1, 2] {
        undertake(&mut home, &ada, n).expect("taken on");
        hand_in(&mut home, &ada, work(n, "{}")).expect("in the outbox");
        hear(&mut home, n, acknowledged()).expect("known");
    }
    home.skip(20 * MINUTE_MS);
    home.restart();
    home.pass(HEARD_AGAIN_MS - 1);
    hear(&mut home, 1, judged()).expect("known");
    let unanswered = |home: &Home| home.facts(|f| matches!(f, Fact::Unanswered(_)).then_some(())).len();
    assert_eq!(unanswered(&home), 0);
    home.pass(1);
    assert_eq!(unanswered(&home), 1, "of the other one nothing was heard");
}

#[test]
fn only_the_home_itself_has_a_say() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    undertake(&mut home, &ada, 1).expect("taken on");
    let request = Request::Hear { lease: lease(1), word: Word::Over("released".into()) };
    let other = home.ask(Principal::Node(peer(2)), request).expect("answered");
    assert!(matches!(other, Err(refusal) if refusal.code == Code::Forbidden));
    hear(&mut home, 1, judged()).expect("known");
    assert_eq!(home.mind.view().away().all().len(), 1, "there is nothing to judge yet");
    hear(&mut home, 1, Word::Over("released".into())).expect("known");
    assert_eq!(let_go(&home), ["released"]);
}

/// Otherwise it would stay in the outbox, where nobody can sign it any more.
#[test]
fn who_signed_the_claim_signs_the_result_or_has_delegated() {
    let mut home = Home::new();
    let ada = home.enroll(1, &["text"]);
    undertake_by(&mut home, &ada, 1, Authority::Own).expect("taken on");
    assert_eq!(hand_in(&mut home, &ada, work(1, "{}")), Err(Code::BadStatement));
    let signed = Work { own: Some((BEGIN, Signature([1; 64]))), ..work(1, "{}") };
    hand_in(&mut home, &ada, signed).expect("in the outbox");
    let by = home.facts(|f| if let Fact::HandedIn(f) = f { Some(f.authority) } else { None });
    assert_eq!(by, [Authority::Own]);
}
