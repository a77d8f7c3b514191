use super::*;
use crate::fact::{
    Account, Authority, End, Granted, LeaseEnded, Leg, Offered, Refuted, StepEnded, Submitted, Transfer,
    Verdict,
};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, RunId};
use artel_protocol::key::SecretKey;
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};

fn step(n: usize) -> StepId {
    RunId::new(Wall(1), [7; 9]).step(n)
}

fn agent(seed: u8) -> AgentId {
    AgentId(SecretKey::from_seed(&[seed; 32]).public())
}

fn offered(epoch: u32) -> Fact {
    Fact::Offered(Offered {
        step: step(0),
        epoch: Epoch(epoch),
        skills: vec![],
        complexity: Complexity::Simple,
        level_min: None,
        reward: Credits::ZERO,
        deadline: Wall(9),
        terms: Digest::of(b""),
        window_ms: 0,
        top: 8,
        verdict_within_ms: 1,
    })
}

fn granted(epoch: u32, to: u8) -> Fact {
    Fact::Granted(Granted {
        step: step(0),
        epoch: Epoch(epoch),
        agent: agent(to),
        level: Level::Novice,
        bound: 0,
        lease_ms: 1,
        authority: Authority::Session,
    })
}

fn lapsed(epoch: u32, of: u8) -> Fact {
    Fact::Lapsed(LeaseEnded { step: step(0), epoch: Epoch(epoch), agent: agent(of) })
}

fn submitted(epoch: u32, by: u8) -> Fact {
    let result = Digest::of(b"");
    let (authority, late) = (Authority::Session, false);
    Fact::Submitted(Submitted {
        step: step(0),
        epoch: Epoch(epoch),
        agent: agent(by),
        result,
        authority,
        late,
        handed_at: None,
    })
}

fn verdict(epoch: u32, of: u8, at: u64, accepted: bool) -> Fact {
    let judgement = match accepted {
        true => Judgement::Accepted { quality: 100, checked: false },
        false => Judgement::Rejected { check: "schema".into() },
    };
    Fact::Verdict(Verdict { step: step(0), epoch: Epoch(epoch), agent: agent(of), submitted: at, judgement })
}

fn paid() -> Fact {
    Fact::Transfer(Transfer { cause: Cause::Payment, step: step(0), legs: vec![] })
}

fn refuted(epoch: u32) -> Fact {
    Fact::Refuted(Refuted {
        step: step(0),
        epoch: Epoch(epoch),
        agent: agent(1),
        submitted: 2,
        verdict: 3,
        judged: Wall(1),
        late: false,
        quality: None,
        other: Digest::of(b""),
        profile: Digest::of(b""),
        recalled: Credits::ZERO,
    })
}

/// What pays agent 1 five units.
fn paid_five() -> Fact {
    let legs = vec![
        Leg { account: Account::Escrow(step(0)), units: -5 },
        Leg { account: Account::Agent(agent(1)), units: 5 },
    ];
    Fact::Transfer(Transfer { cause: Cause::Payment, step: step(0), legs })
}

/// What refutes the result whose verdict stands behind its payment.
fn refuted_as(change: impl FnOnce(&mut Refuted)) -> Fact {
    let Fact::Refuted(mut f) = refuted(1) else { unreachable!("it is") };
    f.verdict = 4;
    change(&mut f);
    Fact::Refuted(f)
}

fn ended() -> Fact {
    Fact::StepEnded(StepEnded { step: step(0), end: End::Cancelled })
}

/// A step that was paid and accepted, and what is said of it then.
fn accepted_and(fact: Fact) -> [Fact; 6] {
    [offered(1), granted(1, 1), submitted(1, 1), paid_five(), verdict(1, 1, 2, true), fact]
}

/// The breaches of a journal of these entries, from its first on.
fn breaches(entries: &[Fact]) -> Vec<(u64, Breach)> {
    let mut conduct = Conduct::default();
    let found = entries.iter().zip(0..).filter_map(|(fact, index)| conduct.read(index, fact));
    found.map(|illegal| (illegal.index, illegal.breach)).collect()
}

#[test]
fn an_honest_path_is_clean() {
    let lapse = [offered(1), granted(1, 1), lapsed(1, 1), offered(2), granted(2, 2), submitted(2, 2)];
    let reject =
        [verdict(2, 2, 5, false), offered(3), granted(3, 3), submitted(3, 3), paid(), verdict(3, 3, 9, true)];
    assert_eq!(breaches(&[&lapse[..], &reject].concat()), []);
    let found = [offered(1), granted(1, 1), submitted(1, 1), verdict(1, 1, 2, true), refuted(1)];
    assert_eq!(breaches(&found), [], "what is refuted stays accepted");
    let all_back = refuted_as(|f| f.recalled = Credits(5));
    let found = [offered(1), granted(1, 1), submitted(1, 1), paid_five(), verdict(1, 1, 2, true), all_back];
    assert_eq!(breaches(&found), [], "and all that was paid may go back");
    assert_eq!(breaches(&[offered(1), ended()]), []);
    assert_eq!(breaches(&[ended()]), [], "one that was never offered");
    assert_eq!(breaches(&[submitted(4, 1)]), [], "a worker's record of another home's step");
}

#[test]
fn a_lying_home_is_shown_by_its_own_log() {
    let rows: &[(&[Fact], u64, Breach)] = &[
        (&[offered(1), granted(1, 1), granted(1, 2)], 2, Breach::GrantedTwice),
        (&[offered(1), granted(1, 1), granted(2, 2)], 2, Breach::GrantedTwice),
        (&[offered(1), granted(1, 1), submitted(1, 1), granted(2, 2)], 3, Breach::GrantedTwice),
        (&[granted(1, 1)], 0, Breach::NotOffered),
        (&[offered(1), granted(1, 1), lapsed(1, 1), granted(2, 2)], 3, Breach::NotOffered),
        (&[offered(1), offered(1)], 1, Breach::NotFree),
        (&[offered(1), granted(1, 1), offered(2)], 2, Breach::NotFree),
        (&[offered(2)], 0, Breach::Epoch),
        (&[offered(1), granted(2, 1)], 1, Breach::Epoch),
        (&[offered(1), granted(1, 1), lapsed(1, 1), offered(1)], 3, Breach::Epoch),
        (&[offered(1), granted(1, 1), lapsed(1, 2)], 2, Breach::NoLease),
        (&[offered(1), granted(1, 1), lapsed(2, 1)], 2, Breach::NoLease),
        (&[offered(1), granted(1, 1), submitted(1, 2)], 2, Breach::NoLease),
        (&[offered(1), submitted(1, 1)], 1, Breach::NoLease),
        (&[offered(1), granted(1, 1), verdict(1, 1, 9, true)], 2, Breach::NotSubmitted),
        (&[offered(1), granted(1, 1), submitted(1, 1), verdict(1, 1, 1, true)], 3, Breach::NotSubmitted),
        (&[offered(1), granted(1, 1), paid()], 2, Breach::NotSubmitted),
        (
            &[offered(1), granted(1, 1), submitted(1, 1), verdict(1, 1, 2, true), verdict(1, 1, 2, false)],
            4,
            Breach::JudgedTwice,
        ),
        (
            &[offered(1), granted(1, 1), submitted(1, 1), verdict(1, 1, 2, false), verdict(1, 1, 2, true)],
            4,
            Breach::JudgedTwice,
        ),
        (
            &[offered(1), granted(1, 1), submitted(1, 1), paid(), verdict(1, 1, 2, true), paid()],
            5,
            Breach::PaidTwice,
        ),
        (&[offered(1), granted(1, 1), submitted(1, 1), paid(), paid()], 4, Breach::PaidTwice),
        (
            &[offered(1), granted(1, 1), submitted(1, 1), paid(), verdict(1, 1, 2, false)],
            4,
            Breach::PaidAndRejected,
        ),
        (&[offered(1), granted(1, 1), submitted(1, 1), ended()], 3, Breach::Unjudged),
        (&[offered(1), granted(1, 1), submitted(1, 1), refuted(1)], 3, Breach::NotRefutable),
        (
            &[offered(1), granted(1, 1), submitted(1, 1), verdict(1, 1, 2, true), refuted(2)],
            4,
            Breach::NotRefutable,
        ),
        (
            &[offered(1), granted(1, 1), submitted(1, 1), verdict(1, 1, 2, true), refuted(1), refuted(1)],
            5,
            Breach::NotRefutable,
        ),
        (&accepted_and(refuted_as(|f| f.agent = agent(2))), 5, Breach::NotRefutable),
        (&accepted_and(refuted_as(|f| f.verdict = 3)), 5, Breach::NotRefutable),
        (&accepted_and(refuted_as(|f| f.recalled = Credits(6))), 5, Breach::NotRefutable),
        (&[offered(1), ended(), offered(2)], 2, Breach::Over),
        (&[offered(1), ended(), granted(1, 1)], 2, Breach::Over),
    ];
    for (entries, index, breach) in rows {
        assert_eq!(breaches(entries), [(*index, *breach)], "{entries:?}");
    }
}

#[test]
fn what_is_missing_may_have_been_anything_but_the_end_stays_the_end() {
    let after_gap = |before: &[Fact], after: &[Fact]| {
        let mut conduct = Conduct::default();
        let first: Vec<_> = before.iter().zip(0..).filter_map(|(fact, i)| conduct.read(i, fact)).collect();
        assert_eq!(first, []);
        conduct.miss();
        let read = after.iter().zip(100..).filter_map(|(fact, i)| conduct.read(i, fact));
        read.map(|illegal| illegal.breach).collect::<Vec<_>>()
    };
    assert_eq!(after_gap(&[], &[granted(4, 1), submitted(4, 1), verdict(4, 1, 101, true)]), []);
    assert_eq!(
        after_gap(&[], &[granted(4, 1), granted(4, 2)]),
        [Breach::GrantedTwice],
        "nothing is missing between"
    );
    assert_eq!(
        after_gap(&[offered(1), granted(1, 1)], &[granted(2, 2)]),
        [],
        "it lapsed and was offered again"
    );
    assert_eq!(after_gap(&[offered(1), granted(1, 1)], &[granted(1, 2)]), [Breach::Epoch]);
    let accepted = [offered(1), granted(1, 1), submitted(1, 1), paid(), verdict(1, 1, 2, true)];
    assert_eq!(after_gap(&accepted, &[granted(2, 2)]), [Breach::Over]);
    assert_eq!(after_gap(&accepted[..4], &[paid()]), [Breach::PaidTwice]);
}
