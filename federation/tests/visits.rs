//! Agents of other nodes at this home: who may speak for them, what they may hold, and that the market treats them as
//! everybody else.

mod common;

use artel_federation::effect::Lease;
use artel_federation::fact::{Account, Authority, HandedAt, TaskSpec};
use artel_federation::input::ClaimNext;
use artel_federation::visit::message::{Act, Handing, Visit, Warrant};
use artel_federation::{Code, Fact, Options, Principal, Reply, Request, commitment::Salt};
use artel_protocol::id::{Digest, Epoch};
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use common::*;

/// An agent that enrolled at another node of the federation and delegated to it.
struct Stranger {
    member: Member,
    node: NodeId,
    until: Wall,
}

impl Stranger {
    fn new(n: u8, node: NodeId) -> Self {
        Stranger { member: member(n), node, until: BEGIN.plus_ms(DAY_MS) }
    }

    fn visit(&self, act: Act) -> Visit {
        abroad::delegated(&identity(), &self.node, &self.member, self.until, &["text"], act)
    }

    /// The same under the agent's own signature.
    fn signed(&self, home: &Home, act: Act) -> Visit {
        abroad::own(&home.identity, &self.member, home.wall, &["text"], act)
    }

    fn ask(&self, home: &mut Home, act: Act) -> Answer {
        ask(home, self.node, self.visit(act))
    }
}

fn ask(home: &mut Home, node: NodeId, visit: Visit) -> Answer {
    home.ask(Principal::Node(node), Request::Visit(Box::new(visit))).expect("answered at once")
}

fn code(answer: Answer) -> Code {
    answer.expect_err("refused").code
}

fn next() -> Act {
    Act::ClaimNext { wait_ms: 0 }
}

fn won(answer: Answer) -> Lease {
    match answer {
        Ok(Reply::Leased(lease)) => *lease,
        other => panic!("a lease, not {other:?}"),
    }
}

fn handing(lease: &Lease) -> Act {
    Act::Submit(Box::new(Handing {
        step: lease.step,
        epoch: lease.epoch,
        output: json("{}"),
        salt: Salt([7; 16]),
        artifacts: vec![],
        incarnation: 0,
        index: 5,
        next: None,
    }))
}

#[test]
fn an_agent_of_another_node_claims_hands_in_and_is_paid() {
    let mut home = Home::new();
    let step = home.post_one(home.task());
    let ada = Stranger::new(1, peer(1));
    let lease = won(ada.ask(&mut home, Act::Claim(step)));
    assert_eq!(won(ada.ask(&mut home, Act::Claim(step))), lease, "asked again, it hears the same");
    assert!(matches!(ada.ask(&mut home, Act::Renew { step, epoch: lease.epoch }), Ok(Reply::Renewed { .. })));
    let receipt = received(ada.ask(&mut home, handing(&lease))).expect("taken");
    assert!(receipt.verdict.is_some() && receipt.authority == Authority::Delegated);
    assert_eq!(received(ada.ask(&mut home, handing(&lease))).expect("again"), receipt);
    let at = HandedAt { node: peer(1), incarnation: 0, index: 5 };
    let named = home.facts(|f| if let Fact::Submitted(f) = f { Some(f.handed_at) } else { None });
    assert_eq!(named, [Some(at)], "home names the worker's own record");
    assert!(home.mind.view().balance(Account::Agent(ada.member.id)) > 0);
    let introductions = home.facts(|f| matches!(f, Fact::Introduced(_)).then_some(()));
    assert_eq!(introductions.len(), 1);
}

#[test]
fn nobody_speaks_for_an_agent_that_has_not_signed_it() {
    let mut home = Home::new();
    home.post_one(home.task());
    let ada = Stranger::new(1, peer(1));
    assert_eq!(code(ask(&mut home, peer(2), ada.visit(next()))), Code::BadStatement, "another node");
    let mut other = ada.visit(next());
    other.agent = member(2).id;
    assert_eq!(code(ask(&mut home, peer(1), other)), Code::BadStatement, "another agent");
    let mut longer = ada.visit(next());
    let Warrant::Delegated { until, .. } = &mut longer.warrant else { panic!("delegated") };
    *until = until.plus_ms(1);
    assert_eq!(code(ask(&mut home, peer(1), longer)), Code::BadStatement, "for longer");
    let mut forged = ada.visit(next());
    let Warrant::Delegated { signature, .. } = &mut forged.warrant else { panic!("delegated") };
    signature.0[5] ^= 1;
    assert_eq!(code(ask(&mut home, peer(1), forged)), Code::BadSignature);
    let mut more = ada.visit(next());
    let Warrant::Delegated { challenge, .. } = &mut more.warrant else { panic!("delegated") };
    *challenge = challenge.replace("nonce", "a line more\nnonce");
    assert_eq!(code(ask(&mut home, peer(1), more)), Code::BadStatement);
    assert_eq!(home.mind.view().counts().agents, 0);
    home.skip(DAY_MS + HOUR_MS);
    assert_eq!(code(ada.ask(&mut home, next())), Code::BadStatement, "it is over");
    let request = Request::Visit(Box::new(ada.visit(next())));
    assert_eq!(code(home.ask(Principal::Operator, request).expect("answered")), Code::Forbidden);
}

#[test]
fn an_agent_may_sign_each_act_itself() {
    let mut home = Home::new();
    let step = home.post_one(home.task());
    let ada = Stranger::new(1, peer(1));
    let claim = ada.signed(&home, Act::Claim(step));
    let lease = won(ask(&mut home, peer(1), claim.clone()));
    let act = handing(&lease);
    let Act::Submit(mut changed) = act.clone() else { panic!("a submission") };
    let submission = ada.signed(&home, act);
    changed.output = json("[]");
    let other = Visit { act: Act::Submit(changed), ..submission.clone() };
    assert_eq!(code(ask(&mut home, peer(1), other)), Code::BadSignature, "another output");
    let receipt = received(ask(&mut home, peer(1), submission)).expect("taken");
    assert_eq!(receipt.authority, Authority::Own);
    home.skip(HOUR_MS);
    assert_eq!(code(ask(&mut home, peer(1), claim)), Code::BadStatement, "an old statement");
}

#[test]
fn a_newcomer_has_one_lease_and_more_as_it_earns_them() {
    let mut home = Home::new();
    let ada = Stranger::new(1, peer(1));
    for _ in 0..8 {
        home.post_one(home.task());
    }
    for _ in 0..2 {
        let lease = won(ada.ask(&mut home, next()));
        assert_eq!(code(ada.ask(&mut home, next())), Code::CapacityFull);
        received(ada.ask(&mut home, handing(&lease))).expect("taken");
    }
    won(ada.ask(&mut home, next()));
    let second = won(ada.ask(&mut home, next()));
    assert_eq!(code(ada.ask(&mut home, next())), Code::CapacityFull, "two results, one lease more");
    home.pass(2 * MINUTE_MS);
    assert_eq!(code(ada.ask(&mut home, handing(&second))), Code::StaleEpoch);
    won(ada.ask(&mut home, next()));
    assert_eq!(code(ada.ask(&mut home, next())), Code::CapacityFull, "and lapses take it back");
}

#[test]
fn guests_wait_in_line_with_the_others_and_hear_who_won() {
    let mut home = Home::new();
    let local = home.enroll(9, &["text"]);
    let ada = Stranger::new(1, peer(1));
    let waiting = Request::Visit(Box::new(ada.visit(Act::ClaimNext { wait_ms: 30_000 })));
    let to = home.ask_later(Principal::Node(peer(1)), waiting);
    let step = home.post_one(home.task());
    assert_eq!(won(home.answers.remove(&to).expect("answered")).step, step);
    let other = leased(home.ask(local.principal(), Request::Claim(step)).expect("answered"));
    assert_eq!(other, Err(Code::TaskTaken));
}

#[test]
fn what_one_node_makes_home_remember_is_bounded() {
    let mut home = Home::new();
    let ada = Stranger::new(1, peer(1));
    home.post_one(home.task());
    let more = |names: &[&str]| Visit { skills: skills(names), ..ada.visit(next()) };
    won(ask(&mut home, peer(1), more(&["text"])));
    assert_eq!(
        code(ask(&mut home, peer(1), more(&["other", "text"]))),
        Code::TooMany,
        "each change is an entry"
    );
    home.skip(MINUTE_MS);
    ask(&mut home, peer(1), more(&["other", "text"])).expect("a minute later it may");
    let act = Act::Release { step: home.post_one(home.task()), epoch: Epoch(1) };
    let stranger = Stranger::new(2, peer(1));
    assert_eq!(code(stranger.ask(&mut home, act)), Code::NotFound, "who holds nothing is not written down");
    assert_eq!(home.mind.view().counts().agents, 1);
}

#[test]
fn who_is_enrolled_here_stays_what_it_says_itself() {
    let mut home = Home::with(Options { leases_max: 5, ..Options::default() });
    let enrolled = home.enroll(1, &["text"]);
    let ada = Stranger::new(1, peer(1));
    for _ in 0..3 {
        home.post_one(home.task());
    }
    won(ada.ask(&mut home, next()));
    let claim = Request::ClaimNext(ClaimNext { wait_ms: 0 });
    won(home.ask(enrolled.principal(), claim).expect("answered at once"));
    won(ada.ask(&mut home, next()));
    assert!(home.facts(|f| matches!(f, Fact::Introduced(_)).then_some(())).is_empty());
    home.revoke(&enrolled);
    assert_eq!(code(ada.ask(&mut home, next())), Code::AgentRevoked);
}

#[test]
fn a_node_cannot_make_its_delegation_longer_once_it_was_believed() {
    let mut home = Home::new();
    home.post_one(home.task());
    let ada = Stranger::new(1, peer(1));
    won(ada.ask(&mut home, next()));
    let mut longer = ada.visit(next());
    let Warrant::Delegated { until, .. } = &mut longer.warrant else { panic!("delegated") };
    *until = Wall(u64::MAX);
    assert_eq!(code(ask(&mut home, peer(1), longer.clone())), Code::BadStatement);
    home.skip(DAY_MS + HOUR_MS);
    assert_eq!(code(ask(&mut home, peer(1), longer)), Code::BadStatement);
}

#[test]
fn artifacts_come_through_the_node_that_speaks_for_the_agent_or_not_at_all() {
    let mut home = Home::new();
    let step = home.post_one(home.task());
    let ada = Stranger::new(1, peer(1));
    let lease = won(ada.ask(&mut home, Act::Claim(step)));
    let Act::Submit(mut with_artifact) = handing(&lease) else { panic!("a submission") };
    with_artifact.artifacts = vec![Digest::of(b"file")];
    let act = Act::Submit(with_artifact);
    // The same agent has delegated to another node, too; home has its bytes from neither.
    let elsewhere = Stranger::new(1, peer(2));
    assert_eq!(code(elsewhere.ask(&mut home, act.clone())), Code::Invalid);
    received(ada.ask(&mut home, act.clone())).expect("taken where it claimed");
    received(elsewhere.ask(&mut home, act)).expect("and again from anywhere");
}

#[test]
fn the_next_task_in_an_answer_fits_a_direct_frame() {
    let mut home = Home::new();
    let first = home.post_one(home.task());
    let ada = Stranger::new(1, peer(1));
    let lease = won(ada.ask(&mut home, Act::Claim(first)));
    let large = json(&format!("{:?}", "x".repeat(250 << 10)));
    let second = home.post_one(TaskSpec { input: large, ..home.task() });
    let Act::Submit(mut handing) = handing(&lease) else { panic!("a submission") };
    handing.next = Some(0);
    let receipt = received(ada.ask(&mut home, Act::Submit(handing.clone()))).expect("taken");
    assert_eq!(receipt.next, None, "with it the answer would not fit");
    handing.next = Some(30_000);
    let to =
        home.ask_later(Principal::Node(peer(1)), Request::Visit(Box::new(ada.visit(Act::Submit(handing)))));
    home.pass(MINUTE_MS);
    assert_eq!(received(home.answers.remove(&to).expect("answered")).expect("again").next, None);
    assert_eq!(won(ada.ask(&mut home, next())).step, second, "and a claim gets it");
}
