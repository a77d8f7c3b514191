//! Agents of other nodes at this home: who may speak for them, what they may hold, and that the market treats them as
//! everybody else.

mod common;

use artel_federation::effect::Lease;
use artel_federation::fact::{Account, Authority, HandedAt, TaskSpec};
use artel_federation::input::{ArtifactPut, ClaimNext, Signed};
use artel_federation::member::{OwnAct, statement_text};
use artel_federation::options::{
    CHALLENGE_MS, GUEST_ACCEPTED_PER_LEASE, GUEST_CHANGE_MS, LEASE_ARTIFACT_BYTES_MAX,
};
use artel_federation::visit::message::{Act, Handing, Visit, Warrant};
use artel_federation::visit::warrant::check_not_ended;
use artel_federation::{Code, Fact, Kind, Options, Principal, Reply, Request, commitment::Salt};
use artel_protocol::id::{ArtifactId, Digest, Epoch};
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
fn a_visit_rests_on_no_delegation_that_its_node_says_to_be_over() {
    let home = Home::new();
    let ada = Stranger::new(1, peer(1));
    // The challenge expires at `BEGIN`, so it was made this long before.
    let made = Wall(BEGIN.0 - CHALLENGE_MS);
    let visit = ada.visit(next());
    assert!(check_not_ended(&visit, None).is_ok());
    assert!(
        check_not_ended(&visit, Some(Wall(made.0 - 1))).is_ok(),
        "what was delegated before that is over"
    );
    for before in [made, BEGIN] {
        let refused = check_not_ended(&visit, Some(before)).expect_err("it is over");
        assert_eq!(refused.code, Code::BadStatement);
    }
    let own = ada.signed(&home, next());
    assert!(check_not_ended(&own, Some(home.wall)).is_ok(), "the agent's own act rests on none");
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
    for _ in 0..4 {
        home.post_one(home.task());
    }
    let more = |names: &[&str]| Visit { skills: skills(names), ..ada.visit(next()) };
    let lease = won(ask(&mut home, peer(1), more(&["text"])));
    received(ada.ask(&mut home, handing(&lease))).expect("taken");
    assert_eq!(
        code(ask(&mut home, peer(1), more(&["other", "text"]))),
        Code::TooMany,
        "each change is an entry"
    );
    home.skip(MINUTE_MS);
    won(ask(&mut home, peer(1), more(&["other", "text"])));
    let act = Act::Release { step: home.post_one(home.task()), epoch: Epoch(1) };
    let stranger = Stranger::new(2, peer(1));
    assert_eq!(code(stranger.ask(&mut home, act)), Code::NotFound, "who holds nothing is not written down");
    assert_eq!(home.mind.view().counts().agents, 1);
}

#[test]
fn who_wins_nothing_and_waits_for_nothing_is_not_written_down() {
    let mut home = Home::new();
    let ada = Stranger::new(1, peer(1));
    let taken = home.enroll(9, &["text"]);
    let step = home.post_one(home.task());
    let lease = home.claim(&taken, step).expect("won");
    let size = home.mind.size();
    assert!(matches!(ada.ask(&mut home, next()), Ok(Reply::Nothing)));
    assert_eq!(code(ada.ask(&mut home, Act::Claim(step))), Code::TaskTaken);
    assert_eq!((home.mind.size(), home.mind.view().counts().agents), (size, 1));
    let waiting = Request::Visit(Box::new(ada.visit(Act::ClaimNext { wait_ms: 30_000 })));
    let to = home.ask_later(Principal::Node(peer(1)), waiting);
    assert_eq!(home.mind.view().counts().agents, 2, "it must be known while it waits");
    home.pass(30_000);
    assert!(matches!(home.answers.remove(&to), Some(Ok(Reply::Nothing))));
    home.submit(&taken, &lease, "{}").expect("taken in");
    // What is known of it changes only with what it wins.
    home.skip(MINUTE_MS);
    let size = home.mind.size();
    let other = Visit { skills: skills(&["other"]), ..ada.visit(next()) };
    assert!(matches!(ask(&mut home, peer(1), other.clone()), Ok(Reply::Nothing)));
    assert_eq!(home.mind.size(), size);
    home.post_one(TaskSpec { skills: skills(&["other"]), ..home.task() });
    won(ask(&mut home, peer(1), other));
    assert_eq!(home.mind.view().agent(&ada.member.id).expect("known").skills, skills(&["other"]));
}

/// What an agent has ended at a home itself, an older signature of its does not begin again there.
#[test]
fn an_agents_own_revocation_is_not_undone_by_what_it_signed_before() {
    let mut home = Home::new();
    for _ in 0..4 {
        home.post_one(home.task());
    }
    let ada = Stranger::new(1, peer(1));
    let enrolled = home.enroll(1, &["text"]);
    let claim = ada.signed(&home, next());
    let text = statement_text(&home.identity, &enrolled.id, OwnAct::Revoke, enrolled.serial);
    let signed = Signed { signature: enrolled.sign(&text), statement: text.into_bytes() };
    let revoked = home.ask(enrolled.principal(), Request::RevokeOwn(signed)).expect("answered");
    revoked.expect("its own statement");
    assert_eq!(code(ada.ask(&mut home, next())), Code::BadStatement, "an old challenge");
    assert_eq!(code(ask(&mut home, peer(1), claim)), Code::BadStatement, "an old statement");
    assert!(home.mind.view().agent(&enrolled.id).expect("known").revoked.is_some());
    home.restart_from_snapshot();
    assert_eq!(code(ada.ask(&mut home, next())), Code::BadStatement, "nor after a restart");
    // Also where it has enrolled anew meanwhile, and did not mean that node.
    home.enroll(1, &["text"]);
    assert_eq!(code(ada.ask(&mut home, next())), Code::BadStatement);
    home.skip(MINUTE_MS);
    let new = ada.signed(&home, next());
    won(ask(&mut home, peer(1), new));
    let mut newer = ada.visit(next());
    let Warrant::Delegated { challenge, signature, .. } = &mut newer.warrant else { panic!("delegated") };
    let expires = home.wall.plus_ms(MINUTE_MS).iso8601();
    *challenge = challenge.replace(&format!("expires: {}", BEGIN.iso8601()), &format!("expires: {expires}"));
    *signature = ada.member.sign(challenge);
    won(ask(&mut home, peer(1), newer));
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

/// A result of a lease that names these artifacts, and how their bytes came.
fn with_artifacts(lease: &Lease, names: &[&str], bytes: u64) -> (Act, Vec<ArtifactPut>) {
    let Act::Submit(mut handing) = handing(lease) else { panic!("a submission") };
    handing.artifacts = names.iter().map(|name| Digest::of(name.as_bytes())).collect();
    let put = |(n, digest): (usize, &Digest)| ArtifactPut {
        id: Some(ArtifactId::new(BEGIN, [n as u8; 9])),
        digest: *digest,
        bytes,
        bytes_new: bytes,
        name: digest.to_string(),
        kind: "fetched".into(),
        content_type: "application/octet-stream".into(),
        step: Some(lease.step),
        run: Some(lease.run),
        metadata: json("{}"),
    };
    let came = handing.artifacts.iter().enumerate().map(put).collect();
    (Act::Submit(handing), came)
}

fn bring(home: &mut Home, by: &Stranger, act: Act, came: Vec<ArtifactPut>) -> Answer {
    let visit = Box::new(by.visit(act));
    home.ask(Principal::Node(by.node), Request::Bring { visit, came }).expect("answered at once")
}

#[test]
fn artifacts_come_through_the_node_that_speaks_for_the_agent_or_not_at_all() {
    let mut home = Home::new();
    let step = home.post_one(home.task());
    let ada = Stranger::new(1, peer(1));
    let lease = won(ada.ask(&mut home, Act::Claim(step)));
    let (act, came) = with_artifacts(&lease, &["file"], 10);
    // The same agent has delegated to another node, too; home has its bytes from neither.
    let elsewhere = Stranger::new(1, peer(2));
    assert_eq!(code(bring(&mut home, &elsewhere, act.clone(), came.clone())), Code::Invalid);
    assert_eq!(code(ada.ask(&mut home, act.clone())), Code::ArtifactMissing, "the bytes are not here");
    received(bring(&mut home, &ada, act.clone(), came)).expect("taken where it claimed");
    let order = home.kinds();
    assert_eq!(home.mind.view().counts().artifact_bytes, 10);
    received(elsewhere.ask(&mut home, act)).expect("and again from anywhere");
    assert!(
        order.windows(3).any(|w| w == [Kind::ArtifactStored, Kind::Output, Kind::Submitted]),
        "{order:?}"
    );
}

#[test]
fn a_result_is_taken_in_with_all_its_artifacts_or_leaves_none() {
    let quota = 4 * LEASE_ARTIFACT_BYTES_MAX;
    let mut home = Home::with(Options { artifact_quota_bytes: quota, ..Options::default() });
    let ada = Stranger::new(1, peer(1));
    let lease = |home: &mut Home| {
        let step = home.post_one(home.task());
        won(ada.ask(home, Act::Claim(step)))
    };
    let first = lease(&mut home);
    let size = home.mind.size();
    let (act, came) = with_artifacts(&first, &["a", "b"], LEASE_ARTIFACT_BYTES_MAX / 2 + 1);
    assert_eq!(code(bring(&mut home, &ada, act, came)), Code::TooMany, "one lease does not fill the disk");
    assert_eq!((home.mind.size(), home.mind.view().counts().artifact_bytes), (size, 0));
    for part in 1..=3 {
        let lease = if part == 1 { first.clone() } else { lease(&mut home) };
        let names = [format!("{part} a"), format!("{part} b")];
        let (act, came) =
            with_artifacts(&lease, &[names[0].as_str(), names[1].as_str()], LEASE_ARTIFACT_BYTES_MAX / 2);
        received(bring(&mut home, &ada, act, came)).expect("as much as one result may have");
        assert_eq!(home.mind.view().counts().artifact_bytes, part * LEASE_ARTIFACT_BYTES_MAX);
    }
    let last = lease(&mut home);
    let (act, came) = with_artifacts(&last, &["c", "d"], 1);
    assert_eq!(code(bring(&mut home, &ada, act, came)), Code::ArtifactQuota, "a part is not for guests");
    assert_eq!(home.mind.view().counts().artifact_bytes, 3 * LEASE_ARTIFACT_BYTES_MAX);
    let (_, mut own) = with_artifacts(&last, &["own"], LEASE_ARTIFACT_BYTES_MAX);
    let put = ArtifactPut { step: None, run: None, ..own.remove(0) };
    home.ask(Principal::Operator, Request::Store(put)).expect("answered").expect("but for those at home");
}

#[test]
fn a_lease_goes_on_while_home_fetches_its_result() {
    let mut home = Home::with(Options { lease_total_ms: 3 * MINUTE_MS, ..Options::default() });
    let ada = Stranger::new(1, peer(1));
    let step = home.post_one(home.task());
    let lease = won(ada.ask(&mut home, Act::Claim(step)));
    let keep = |home: &mut Home, node: NodeId, epoch: Epoch| {
        let request = Request::KeepForResult { agent: ada.member.id, step, epoch };
        home.ask(Principal::Node(node), request).expect("answered at once")
    };
    assert_eq!(code(keep(&mut home, peer(2), lease.epoch)), Code::StaleEpoch, "not that node's agent");
    assert_eq!(code(keep(&mut home, peer(1), lease.epoch.next())), Code::StaleEpoch);
    for _ in 0..3 {
        home.pass(MINUTE_MS - 10_000);
        let kept = keep(&mut home, peer(1), lease.epoch);
        assert!(matches!(kept, Ok(Reply::Renewed { .. })), "{kept:?}");
    }
    let (act, came) = with_artifacts(&lease, &["large"], 1 << 20);
    assert_eq!(code(keep(&mut home, peer(1), Epoch(9))), Code::StaleEpoch);
    home.pass(MINUTE_MS - 1);
    assert_eq!(code(keep(&mut home, peer(1), lease.epoch)), Code::RenewalSpent, "not for ever");
    received(bring(&mut home, &ada, act, came)).expect("in time");
    assert!(home.facts(|f| matches!(f, Fact::Lapsed(_)).then_some(())).is_empty());
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

#[test]
fn what_an_agent_does_at_one_node_is_not_disturbed_by_its_waiting_at_another() {
    let mut home = Home::new();
    let (here, there) = (Stranger::new(1, peer(1)), Stranger::new(1, peer(2)));
    let wins = |home: &mut Home| {
        let step = home.post_one(home.task());
        won(here.ask(home, Act::Claim(step)))
    };
    for _ in 0..GUEST_ACCEPTED_PER_LEASE {
        let lease = wins(&mut home);
        here.ask(&mut home, handing(&lease)).expect("accepted");
    }
    home.pass(GUEST_CHANGE_MS);
    let lease = wins(&mut home);
    // It may hold a second one by now, and waits for it through its other node.
    let waits = || Act::ClaimNext { wait_ms: 0 };
    let other = home.post_one(home.task());
    assert_eq!(code(there.ask(&mut home, waits())), Code::TooMany);
    let known_by = |home: &Home| home.mind.view().agent(&here.member.id).and_then(|agent| agent.guest);
    assert_eq!(known_by(&home).map(|guest| guest.node), Some(peer(1)), "its bytes go where it claimed");
    here.ask(&mut home, handing(&lease)).expect("taken in");
    assert_eq!(won(there.ask(&mut home, waits())).step, other, "nothing is under way any more");
    assert_eq!(known_by(&home).map(|guest| guest.node), Some(peer(2)));
}
