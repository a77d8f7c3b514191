//! Membership of nodes: invitations and what they let in, open doors, expulsions and the one way back, and what each of
//! them leaves in the journal.

mod common;

use artel_federation::fact::{
    Admission, Admitted, AdmittedBy, Entry, Expelled, InvitationEnded, Invited, Joined,
};
use artel_federation::nodes::{FOUNDERS_MAX, GenesisError};
use artel_federation::options::{INVITATION_MS_MAX, INVITATIONS_MAX, REASON_BYTES_MAX};
use artel_federation::{
    Beginning, Code, Fact, Federation, Genesis, Identity, Kind, Options, Principal, Reply, Request,
};
use artel_protocol::codec;
use artel_protocol::id::Digest;
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::{NodeId, PublicKey};
use artel_protocol::log::leaf::Class;
use common::*;

fn closed() -> Home {
    Home::begun(closed_genesis(), Options::default())
}

fn invite(home: &mut Home, for_ms: u64, uses: u32) -> InvitationSecret {
    match home.ask(Principal::Operator, Request::Invite { for_ms, uses }) {
        Some(Ok(Reply::Invited { secret: Some(secret), until, uses: Some(told) })) => {
            assert_eq!((until, told), (home.wall.plus_ms(for_ms), uses));
            secret
        }
        other => panic!("no invitation: {other:?}"),
    }
}

fn admit(home: &mut Home, n: u8, secret: Option<InvitationSecret>) -> Result<Option<u64>, Code> {
    admitted(home, Principal::Node(peer(n)), n, secret)
}

fn admitted(
    home: &mut Home,
    principal: Principal,
    n: u8,
    secret: Option<InvitationSecret>,
) -> Result<Option<u64>, Code> {
    match home.ask(principal, Request::Admit { node: peer(n), secret }).expect("answered at once") {
        Ok(Reply::Admitted { node, index }) => {
            assert_eq!(node, peer(n));
            Ok(index)
        }
        Ok(other) => panic!("another reply: {other:?}"),
        Err(refusal) => {
            assert!(refusal.message.len() > 20, "a sentence that helps: {refusal}");
            assert_eq!(home.last, [], "a stranger's refusal is in no journal");
            Err(refusal.code)
        }
    }
}

fn expel(home: &mut Home, node: NodeId) -> Option<Code> {
    let request = Request::Expel { node, reason: "it lied".into() };
    home.ask(Principal::Operator, request).expect("answered at once").err().map(|refusal| refusal.code)
}

#[test]
fn an_invitation_lets_in_as_many_nodes_as_it_says_and_none_twice() {
    let mut home = closed();
    let secret = Some(invite(&mut home, HOUR_MS, 2));
    let first = admit(&mut home, 1, secret).expect("invited");
    assert_eq!(first, Some(home.mind.size() - 1), "the answer names the entry");
    assert_eq!(admit(&mut home, 1, secret), Ok(first), "asked again, the same");
    assert_eq!(admit(&mut home, 1, None), Ok(first), "a member needs no secret");
    assert_eq!(home.last, [], "and nothing is written");
    assert!(admit(&mut home, 2, secret).is_ok(), "one node is one use");
    assert_eq!(admit(&mut home, 3, secret), Err(Code::InvitationSpent));
    assert_eq!(admit(&mut home, 1, secret), Ok(first), "a spent one still knows its own");
    home.restart();
    assert_eq!(admit(&mut home, 3, secret), Err(Code::InvitationSpent), "the journal counts");
    assert_eq!(home.mind.view().counts().nodes, 2);
}

#[test]
fn without_a_good_invitation_a_stranger_stays_out() {
    let mut home = closed();
    let secret = invite(&mut home, HOUR_MS, 1);
    assert_eq!(admit(&mut home, 1, None), Err(Code::InvitationNeeded));
    let mut near = secret;
    near.0[15] ^= 1;
    assert_eq!(admit(&mut home, 1, Some(near)), Err(Code::InvitationUnknown));
    home.skip(HOUR_MS);
    home.skip(1);
    assert_eq!(admit(&mut home, 1, Some(secret)), Err(Code::InvitationExpired));
    let refused = home.mind.view().refused_nodes().clone();
    let wanted = [("invitation_expired", 1), ("invitation_needed", 1), ("invitation_unknown", 1)];
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), wanted, "they are counted");
    home.pass(HOUR_MS);
    assert!(home.facts(|fact| matches!(fact, Fact::Refused(_)).then_some(())).is_empty());
}

#[test]
fn an_invitation_is_good_up_to_its_last_millisecond_and_not_after_it_is_taken_back() {
    let mut home = closed();
    let (first, second) = (invite(&mut home, HOUR_MS, 5), invite(&mut home, HOUR_MS, 5));
    assert_ne!(first, second);
    home.skip(HOUR_MS);
    assert!(admit(&mut home, 1, Some(first)).is_ok());
    let uninvite = |home: &mut Home, who, secret: InvitationSecret| {
        home.ask(who, Request::Uninvite(secret.digest())).expect("answered").err().map(|r| r.code)
    };
    assert_eq!(uninvite(&mut home, Principal::Operator, second), None);
    assert_eq!(uninvite(&mut home, Principal::Operator, second), Some(Code::NotFound));
    assert_eq!(admit(&mut home, 2, Some(second)), Err(Code::InvitationUnknown));
    assert_eq!(uninvite(&mut home, Principal::Operator, first), None);
    assert!(admit(&mut home, 1, None).is_ok(), "whom it let in stays");
}

#[test]
fn the_secret_is_in_the_answer_and_nowhere_else() {
    let mut home = closed();
    let secret = invite(&mut home, HOUR_MS, 1);
    admit(&mut home, 1, Some(secret)).expect("invited");
    let mut held: Vec<u8> = home.journal.iter().flat_map(Entry::encode).collect();
    held.extend(home.mind.snapshot().encode());
    assert!(held.windows(16).all(|window| window != secret.0), "neither journal nor snapshot");
    let digest = secret.digest();
    assert!(held.windows(32).any(|window| window == digest.0));
    let shown = format!("{:?}", Request::Admit { node: peer(1), secret: Some(secret) });
    assert!(!shown.contains(&format!("{}, {}", secret.0[0], secret.0[1])), "{shown}");
    let private = |entry: &Entry| entry.fact.kind() != Kind::Invited || entry.fact.class() == Class::Private;
    assert!(home.journal.iter().all(private));
}

#[test]
fn a_founder_of_an_open_federation_lets_in_whoever_asks_and_nobody_else_does() {
    let mut home = Home::new();
    let index = admit(&mut home, 1, None).expect("open");
    assert_eq!(admit(&mut home, 1, Some(InvitationSecret([1; 16]))), Ok(index));
    assert!(admit(&mut home, 2, Some(InvitationSecret([1; 16]))).is_ok(), "no secret is looked at");
    let by = home.facts(|fact| if let Fact::Admitted(f) = fact { Some(f.by) } else { None });
    assert_eq!(by, [AdmittedBy::Open; 2]);
    let invited = home.ask(Principal::Operator, Request::Invite { for_ms: 5, uses: 1 });
    assert!(matches!(invited, Some(Ok(Reply::Invited { secret: None, uses: None, .. }))), "{invited:?}");
    assert_eq!(home.last, []);
    let mut other = Home::begun(joining(Admission::Open), Options::default());
    assert_eq!(admit(&mut other, 1, None), Err(Code::InvitationNeeded));
    let invited = other.ask(Principal::Operator, Request::Invite { for_ms: 5, uses: 1 });
    assert_eq!(invited.expect("answered").err().map(|r| r.code), Some(Code::Forbidden));
}

#[test]
fn any_member_invites_where_invitations_are_asked_for() {
    let mut home = Home::begun(joining(Admission::Invitation), Options::default());
    assert!(matches!(home.journal[0].fact, Fact::Joined(_)));
    let secret = invite(&mut home, HOUR_MS, 1);
    assert!(admit(&mut home, 1, Some(secret)).is_ok());
    let Beginning::Join(Joined { genesis, .. }) = joining(Admission::Invitation) else { unreachable!() };
    let founder = genesis.founders[0];
    let asked = home.ask(Principal::Node(founder), Request::Admit { node: founder, secret: None });
    assert!(matches!(asked, Some(Ok(Reply::Admitted { index: None, .. }))), "a founder is a member");
    assert_eq!(expel(&mut home, founder), Some(Code::Forbidden), "and stays one");
    assert_eq!(expel(&mut home, node()), Some(Code::Forbidden), "nobody expels itself");
}

#[test]
fn an_expelled_node_comes_back_by_the_operator_alone() {
    for mut home in [Home::new(), closed()] {
        let open = home.mind.view().genesis().expect("begun").admission == Admission::Open;
        let secret = (!open).then(|| invite(&mut home, HOUR_MS, 9));
        let first = admit(&mut home, 1, secret).expect("let in");
        assert_eq!(expel(&mut home, peer(1)), None);
        let at = home.mind.size();
        assert_eq!(expel(&mut home, peer(1)), None, "asked again, the same");
        assert_eq!(home.mind.size(), at, "and nothing is written");
        assert_eq!(admit(&mut home, 1, secret), Err(Code::NodeExpelled));
        let fresh = if open { None } else { Some(invite(&mut home, HOUR_MS, 9)) };
        assert_eq!(
            admit(&mut home, 1, fresh),
            Err(Code::NodeExpelled),
            "whoever else holds one may have given it"
        );
        let again = admitted(&mut home, Principal::Operator, 1, None).expect("by name");
        assert!(again > first);
        assert_eq!(admit(&mut home, 1, None), Ok(again));
        assert_eq!(home.mind.view().node(&peer(1)).and_then(|node| node.member_by()), again);
        assert_eq!(expel(&mut home, peer(2)), None, "one that another node admitted");
        assert_eq!(admit(&mut home, 2, secret), Err(Code::NodeExpelled));
        home.restart_from_snapshot();
        assert_eq!(admit(&mut home, 2, secret), Err(Code::NodeExpelled));
    }
}

#[test]
fn only_the_operator_and_the_node_itself_ask() {
    let mut home = closed();
    let secret = Some(invite(&mut home, HOUR_MS, 9));
    let ada = home.enroll(1, &[]).principal();
    let code = |answer: Option<Answer>| answer.expect("answered").err().map(|refusal| refusal.code);
    for request in [
        Request::Invite { for_ms: 1, uses: 1 },
        Request::Uninvite(Digest::of(b"x")),
        Request::Expel { node: peer(1), reason: "x".into() },
        Request::Admit { node: peer(1), secret },
    ] {
        assert_eq!(code(home.ask(ada, request.clone())), Some(Code::Forbidden), "{request:?}");
        assert_eq!(code(home.ask(Principal::Stranger, request.clone())), Some(Code::Unauthenticated));
        assert_eq!(code(home.ask(Principal::Node(peer(2)), request)), Some(Code::Forbidden));
    }
    let post = Request::Post(run(vec![]));
    assert_eq!(code(home.ask(Principal::Node(peer(2)), post)), Some(Code::Forbidden));
    assert!(admit(&mut home, 1, secret).is_ok());
}

#[test]
fn requests_have_bounds() {
    let mut home = closed();
    let mut code = |request| {
        home.ask(Principal::Operator, request).expect("answered at once").err().map(|refusal| refusal.code)
    };
    for (for_ms, uses) in [(0, 1), (1, 0), (INVITATION_MS_MAX + 1, 1), (1, u32::MAX), (u64::MAX, 1)] {
        assert_eq!(code(Request::Invite { for_ms, uses }), Some(Code::Invalid), "{for_ms} {uses}");
    }
    assert_eq!(code(Request::Invite { for_ms: INVITATION_MS_MAX, uses: 1 }), None);
    for (reason, wanted) in [
        (String::new(), Some(Code::Invalid)),
        ("two\nlines".into(), Some(Code::Invalid)),
        ("x".repeat(REASON_BYTES_MAX + 1), Some(Code::Invalid)),
        ("x".repeat(REASON_BYTES_MAX), None),
    ] {
        assert_eq!(code(Request::Expel { node: peer(1), reason }), wanted);
    }
}

#[test]
fn at_the_limit_invitations_that_are_over_make_place() {
    let mut home = closed();
    let old = invite(&mut home, 1, 1);
    home.skip(2);
    let kept: Vec<_> = (1..INVITATIONS_MAX).map(|_| invite(&mut home, HOUR_MS, 1)).collect();
    assert_eq!(admit(&mut home, 1, Some(old)), Err(Code::InvitationExpired), "it is still known");
    let newest = invite(&mut home, HOUR_MS, 1);
    assert_eq!(admit(&mut home, 1, Some(old)), Err(Code::InvitationUnknown), "it made place");
    let full = home.ask(Principal::Operator, Request::Invite { for_ms: 1, uses: 1 });
    assert_eq!(full.expect("answered").err().map(|refusal| refusal.code), Some(Code::TooMany));
    assert!(admit(&mut home, 1, Some(kept[0])).is_ok());
    invite(&mut home, HOUR_MS, 1);
    assert!(admit(&mut home, 2, Some(newest)).is_ok(), "live ones stay");
    assert_eq!(home.mind.view().invitations().count(), INVITATIONS_MAX);
}

/// Each of these cannot follow what stands before it.
#[test]
fn a_journal_that_lets_in_against_the_rules_does_not_fold() {
    let digest = InvitationSecret([7; 16]).digest();
    let at = |fact| Entry { at: BEGIN, correlation: None, fact };
    let invited = |uses| at(Fact::Invited(Invited { invitation: digest, until: BEGIN, uses }));
    let ended = || at(Fact::InvitationEnded(InvitationEnded { invitation: digest }));
    let admit = |n, by| at(Fact::Admitted(Admitted { node: peer(n), by }));
    let expel = |n| at(Fact::Expelled(Expelled { node: peer(n), reason: "x".into() }));
    let by = AdmittedBy::Invitation(digest);
    let Beginning::Join(joined) = joining(Admission::Invitation) else { unreachable!() };
    let Beginning::Join(open) = joining(Admission::Open) else { unreachable!() };
    let founder = at(Fact::Admitted(Admitted { node: joined.genesis.founders[0], by: AdmittedBy::Operator }));
    let founder_out = at(Fact::Expelled(Expelled { node: joined.genesis.founders[0], reason: "x".into() }));
    let first = at(Fact::Joined(joined.clone()));
    let check = |first: &Entry, entries: &[Entry], good: bool| {
        let genesis = match &first.fact {
            Fact::Joined(joined) => joined.genesis.clone(),
            Fact::Genesis(genesis) => genesis.clone(),
            _ => closed_genesis(),
        };
        let identity = Identity { node: node(), federation: genesis.id() };
        let mut mind = Federation::new(identity, Options::default());
        let journal = [std::slice::from_ref(first), entries].concat();
        let folded = mind.fold(&journal, &mut Vec::new());
        assert_eq!(folded.is_ok(), good, "{entries:?} {folded:?}");
    };
    check(&first, &[invited(2), admit(1, by), admit(2, by), expel(1), admit(1, AdmittedBy::Operator)], true);
    check(&at(Fact::Genesis(genesis())), &[admit(1, AdmittedBy::Open)], true);
    for bad in [
        vec![admit(1, by)],
        vec![invited(1), invited(1)],
        vec![invited(1), admit(1, by), admit(2, by)],
        vec![invited(2), admit(1, by), admit(1, by)],
        vec![invited(2), ended(), admit(1, by)],
        vec![ended()],
        vec![invited(1), ended(), ended()],
        vec![admit(1, AdmittedBy::Open)],
        vec![invited(9), expel(1), admit(1, by)],
        vec![invited(9), admit(1, by), expel(1), admit(1, by)],
        vec![expel(1), expel(1)],
        vec![at(Fact::Expelled(Expelled { node: peer(1), reason: "x".repeat(REASON_BYTES_MAX + 1) }))],
        vec![founder],
        vec![founder_out],
        vec![first.clone()],
        vec![at(Fact::Genesis(genesis()))],
    ] {
        check(&first, &bad, false);
    }
    check(&at(Fact::Joined(open)), &[admit(1, AdmittedBy::Open)], false);
    check(
        &at(Fact::Genesis(genesis())),
        &[admit(1, AdmittedBy::Open), expel(1), admit(1, AdmittedBy::Open)],
        false,
    );
    check(&at(Fact::Genesis(closed_genesis())), &[admit(1, AdmittedBy::Open)], false);
    // A beginning that is not this node's: founded by others, joined though it is a founder, none at all.
    check(&at(Fact::Genesis(joined.genesis.clone())), &[], false);
    check(&at(Fact::Joined(Joined { genesis: genesis(), ..joined.clone() })), &[], false);
    check(&expel(1), &[], false);
    let identity = Identity { node: node(), federation: genesis().id() };
    let mut elsewhere = Federation::new(identity, Options::default());
    assert!(elsewhere.fold(&[first], &mut Vec::new()).is_err(), "another federation's journal");
}

#[test]
fn a_genesis_from_outside_is_checked() {
    let good = closed_genesis();
    let read = |genesis: &Genesis| Genesis::read(&codec::encode(genesis));
    assert_eq!(read(&good), Ok(good.clone()));
    assert_eq!(good.id(), artel_protocol::id::FederationId::of_genesis(&codec::encode(&good)));
    let founders = |founders| Genesis { founders, ..good.clone() };
    let mut weak = [0; 32];
    weak[0] = 1;
    let many = (0..=FOUNDERS_MAX as u8)
        .map(|n| NodeId(artel_protocol::key::SecretKey::from_seed(&[n; 32]).public()));
    for (bad, error) in [
        (Genesis { name: String::new(), ..good.clone() }, GenesisError::Name),
        (Genesis { name: "a\nb".into(), ..good.clone() }, GenesisError::Name),
        (Genesis { name: "x".repeat(256), ..good.clone() }, GenesisError::Name),
        (founders(vec![]), GenesisError::Founders),
        (founders(vec![node(), node()]), GenesisError::Founders),
        (founders(many.collect()), GenesisError::Founders),
        (founders(vec![NodeId(PublicKey::from_bytes(weak))]), GenesisError::Founders),
    ] {
        assert_eq!(read(&bad), Err(error), "{bad:?}");
    }
    let mut longer = codec::encode(&good);
    longer.push(0);
    assert!(matches!(Genesis::read(&longer), Err(GenesisError::Codec(_))));
    assert!(matches!(Genesis::read(&[0; 5_000]), Err(GenesisError::Codec(_))));
}
