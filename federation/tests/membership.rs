//! Enrollment, tokens and their end: who gets in, by which answer, and who stays out.

mod common;

use artel_federation::fact::Revoker;
use artel_federation::input::{Profile, Signed};
use artel_federation::member::{OwnAct, statement_text};
use artel_federation::options::{CHALLENGE_MS, CHALLENGES_MAX, Options, TOKEN_MS_MAX};
use artel_federation::{Code, Fact, Kind, Principal, Refusal, Reply, Request};
use artel_protocol::id::{EnrollmentId, FederationId};
use artel_protocol::key::{AgentId, NodeId, PublicKey, Signature};
use artel_protocol::limits::{METADATA_BYTES_MAX, NAME_BYTES_MAX, SKILLS_MAX};
use artel_protocol::log::Class;
use artel_protocol::time::Wall;
use common::*;

fn respond(home: &mut Home, enrollment: EnrollmentId, signature: Signature) -> Result<Reply, Refusal> {
    home.ask(Principal::Stranger, Request::Respond { enrollment, signature }).expect("answered at once")
}

fn code(answer: Result<Reply, Refusal>) -> Option<Code> {
    answer.err().map(|refusal| refusal.code)
}

fn rotate(home: &mut Home, member: &Member, statement: &str, signature: Signature) -> Result<Reply, Refusal> {
    let signed = Signed { statement: statement.into(), signature };
    home.ask(member.principal(), Request::Rotate(signed)).expect("answered at once")
}

fn statement(member: &Member, act: OwnAct) -> String {
    statement_text(&identity(), &member.id, act, member.serial)
}

fn revoke_own(home: &mut Home, member: &Member) -> Result<Reply, Refusal> {
    let text = statement(member, OwnAct::Revoke);
    let signed = Signed { statement: text.clone().into(), signature: member.sign(&text) };
    home.ask(member.principal(), Request::RevokeOwn(signed)).expect("answered at once")
}

#[test]
fn an_agent_enrolls_by_its_signature_over_the_challenge() {
    let mut home = Home::new();
    let member = member(1);
    let wanted = Profile { capacity: Some(3), ..profile("Ada", &["rust", "coding@2", "rust"]) };
    let (enrollment, text) = home.challenge(&member, wanted, true);
    assert!(home.last.is_empty(), "an open challenge is not journalled");
    let signature = member.sign(&text);
    let Ok(Reply::Token { agent, serial, expires }) = respond(&mut home, enrollment, signature) else {
        panic!("a good answer is taken")
    };
    assert_eq!(home.kinds(), [Kind::Enrolled]);
    assert_eq!((serial, expires), (1, home.wall.plus_ms(TOKEN_MS_MAX)));
    assert_eq!((agent.name.as_str(), agent.capacity), ("Ada", 3));
    assert_eq!(agent.skills, skills(&["coding@2", "rust"]), "sorted, each once");
    let until = agent.delegation.expect("it delegated").until;
    assert_eq!(until, BEGIN.plus_ms(TOKEN_MS_MAX));
    let assessed =
        home.mind.view().assessment(home.mind.view().agent(&member.id).expect("enrolled"), home.wall);
    assert_eq!((assessed.score.to_string().as_str(), assessed.level.name()), ("50.00", "novice"));
}

#[test]
fn a_challenge_says_who_what_where_and_until_when() {
    let mut home = Home::new();
    let member = member(1);
    let (_, text) = home.challenge(&member, profile("Ada", &[]), false);
    let expires = home.wall.plus_ms(CHALLENGE_MS).iso8601();
    for line in [
        format!("federation: {}", identity().federation),
        format!("node: {}", node()),
        format!("agent: {}", member.id),
        "name: Ada".to_owned(),
        format!("expires: {expires}"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing in {text}");
    }
    assert!(!text.contains("delegates"), "what was not asked for is not in it");
    let (_, delegating) = home.challenge(&member, profile("Ada", &[]), true);
    let until = home.wall.plus_ms(TOKEN_MS_MAX).iso8601();
    assert!(delegating.lines().any(|l| l.starts_with("delegates: ") && l.ends_with(&until)), "{delegating}");
    let nonce = |t: &str| t.lines().find(|l| l.starts_with("nonce: ")).expect("a nonce").to_owned();
    assert_ne!(nonce(&text), nonce(&delegating));
    assert!(nonce(&text).len() >= "nonce: ".len() + 32, "at least 16 bytes of it");
}

#[test]
fn a_wrong_answer_spends_the_challenge_and_enrolls_nobody() {
    let cut = |text: &str| text[..text.len() - 1].to_owned();
    type Forge = fn(&Member, &str, &dyn Fn(&str) -> String) -> Signature;
    let forged: [(&str, Forge); 6] = [
        ("another key", |_, text, _| member(2).sign(text)),
        ("a truncated text", |m, text, cut| m.sign(&cut(text))),
        ("an extended text", |m, text, _| m.sign(&format!("{text} "))),
        ("a changed text", |m, text, _| m.sign(&text.replace("enroll", "Enroll"))),
        ("a changed signature", |m, text, _| {
            let mut signature = m.sign(text);
            signature.0[40] ^= 1;
            signature
        }),
        ("nothing", |_, _, _| Signature([0; 64])),
    ];
    for (what, forge) in forged {
        let mut home = Home::new();
        let member = member(1);
        let (enrollment, text) = home.challenge(&member, profile("a", &[]), false);
        let bad = forge(&member, &text, &cut);
        assert_eq!(code(respond(&mut home, enrollment, bad)), Some(Code::BadSignature), "{what}");
        let good = member.sign(&text);
        assert_eq!(code(respond(&mut home, enrollment, good)), Some(Code::ChallengeUnknown), "{what}: spent");
        assert_eq!(home.mind.view().agent(&member.id), None, "{what}");
        home.pass(2 * MINUTE_MS);
        assert_eq!(home.journal.len(), 2, "{what}: strangers are only counted");
    }
}

#[test]
fn an_answer_is_good_once_and_for_a_minute() {
    let mut home = Home::new();
    let member = member(1);
    let (enrollment, text) = home.challenge(&member, profile("a", &[]), false);
    let signature = member.sign(&text);
    home.skip(CHALLENGE_MS);
    assert!(respond(&mut home, enrollment, signature).is_ok(), "to the last millisecond");
    assert_eq!(code(respond(&mut home, enrollment, signature)), Some(Code::ChallengeUnknown), "replayed");

    let (enrollment, text) = home.challenge(&member, profile("a", &[]), false);
    home.skip(CHALLENGE_MS + 1);
    let late = member.sign(&text);
    assert_eq!(code(respond(&mut home, enrollment, late)), Some(Code::ChallengeExpired));

    let (enrollment, text) = home.challenge(&member, profile("a", &[]), false);
    home.pass(5 * CHALLENGE_MS);
    let forgotten = member.sign(&text);
    assert_eq!(
        code(respond(&mut home, enrollment, forgotten)),
        Some(Code::ChallengeUnknown),
        "and forgotten"
    );
}

#[test]
fn a_challenge_does_not_survive_a_restart_nor_serve_another() {
    let mut home = Home::new();
    let (ada, bob) = (member(1), member(2));
    let (first, text) = home.challenge(&ada, profile("ada", &[]), false);
    let (second, _) = home.challenge(&bob, profile("bob", &[]), false);
    let ada_signed = ada.sign(&text);
    assert_eq!(code(respond(&mut home, second, ada_signed)), Some(Code::BadSignature), "another's challenge");
    let elsewhere = NodeId(PublicKey::from_bytes([9; 32])).to_string();
    let foreign = text.replace(&node().to_string(), &elsewhere);
    let (again, _) = home.challenge(&ada, profile("ada", &[]), false);
    let foreign_signed = ada.sign(&foreign);
    assert_eq!(
        code(respond(&mut home, again, foreign_signed)),
        Some(Code::BadSignature),
        "another node's text"
    );
    home.restart();
    assert_eq!(code(respond(&mut home, first, ada_signed)), Some(Code::ChallengeUnknown), "another boot");
    assert_eq!(home.mind.view().counts().agents, 0);
}

#[test]
fn a_key_that_is_no_key_never_enrolls() {
    let mut home = Home::new();
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    for bytes in [identity_point, [0xff; 32]] {
        let weak = AgentId(PublicKey::from_bytes(bytes));
        let request = Request::Enroll { agent: weak, profile: profile("weak", &[]), delegate: false };
        let Some(Ok(Reply::Challenge { enrollment, .. })) = home.ask(Principal::Stranger, request) else {
            continue;
        };
        // With a key of small order, (identity, 0) verifies for every text unless checks are strict.
        let mut signature = Signature([0; 64]);
        signature.0[0] = 1;
        assert_eq!(code(respond(&mut home, enrollment, signature)), Some(Code::BadSignature));
    }
}

#[test]
fn at_the_limit_the_oldest_challenge_goes() {
    let mut home = Home::new();
    let member = member(1);
    let open: Vec<_> =
        (0..=CHALLENGES_MAX).map(|_| home.challenge(&member, profile("a", &[]), false)).collect();
    let (oldest, text) = &open[0];
    assert_eq!(code(respond(&mut home, *oldest, member.sign(text))), Some(Code::ChallengeUnknown));
    let (next, text) = &open[1];
    assert!(respond(&mut home, *next, member.sign(text)).is_ok(), "the others wait on");
}

#[test]
fn a_new_enrollment_raises_the_serial_and_keeps_the_record() {
    let mut home = Home::new();
    let old = home.enroll(1, &["rust"]);
    home.raise(&old, 100);
    let new = home.enroll(1, &["go"]);
    assert_eq!((old.serial, new.serial), (1, 2));
    assert_eq!(home.claim_next(&old).err(), Some(Code::TokenRevoked), "the older token is over");
    assert_eq!(home.claim_next(&new).ok().flatten(), None);
    let agent = home.mind.view().agent(&new.id).expect("enrolled").clone();
    assert_eq!((agent.skills, agent.accepted), (skills(&["go"]), 1));
    let forged = Member { serial: 3, ..new };
    assert_eq!(home.claim_next(&forged).err(), Some(Code::TokenRevoked), "a serial of the future");
}

#[test]
fn a_token_is_rotated_by_ones_own_statement_alone() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let text = statement(&ada, OwnAct::Rotate);
    let other_federation =
        text.replace(&identity().federation.to_string(), &FederationId([7; 32]).to_string());
    let rows = [
        ("another act", statement(&ada, OwnAct::Revoke), Code::BadStatement),
        ("another federation", other_federation, Code::BadStatement),
        ("a truncated text", text[..text.len() - 1].to_owned(), Code::BadStatement),
        ("an extended text", format!("{text}\n"), Code::BadStatement),
        ("a stale serial", text.replace("serial: 1", "serial: 0"), Code::BadStatement),
        ("another agent", text.replace(&ada.id.to_string(), &member(2).id.to_string()), Code::BadStatement),
    ];
    for (what, bad, wanted) in rows {
        let signature = ada.sign(&bad);
        assert_eq!(code(rotate(&mut home, &ada, &bad, signature)), Some(wanted), "{what}");
    }
    let by_another = member(2).sign(&text);
    assert_eq!(code(rotate(&mut home, &ada, &text, by_another)), Some(Code::BadSignature));
    assert_eq!(home.mind.view().agent(&ada.id).map(|a| a.serial), Some(1), "nothing of it changed anything");

    let good = ada.sign(&text);
    let Ok(Reply::Token { serial, expires, .. }) = rotate(&mut home, &ada, &text, good) else {
        panic!("a good statement is taken")
    };
    assert_eq!((serial, expires), (2, home.wall.plus_ms(TOKEN_MS_MAX)));
    assert_eq!(home.kinds(), [Kind::Rotated]);
    assert_eq!(home.claim_next(&ada).err(), Some(Code::TokenRevoked), "the old token is over");
    let ada = Member { serial: 2, ..ada };
    assert_eq!(
        code(rotate(&mut home, &ada, &text, good)),
        Some(Code::BadStatement),
        "a statement is good once"
    );
}

#[test]
fn an_agent_that_revokes_itself_may_come_back() {
    let mut home = Home::new();
    let ada = home.enroll_with(1, profile("ada", &[]), true);
    assert!(revoke_own(&mut home, &ada).is_ok());
    let agent = home.mind.view().agent(&ada.id).expect("still known").clone();
    assert_eq!((agent.revoked, agent.delegation), (Some(Revoker::Agent), None));
    assert_eq!(home.claim_next(&ada).err(), Some(Code::TokenRevoked));
    let next = Member { serial: 2, ..ada };
    assert_eq!(home.claim_next(&next).err(), Some(Code::TokenRevoked), "nor with the next serial");
    let back = home.enroll(1, &[]);
    assert_eq!(back.serial, 3);
    assert!(home.claim_next(&back).is_ok());
}

/// Whose delegations the journal says to be over, and up to when.
fn ended(home: &Home) -> Vec<(AgentId, Wall)> {
    home.facts(|fact| if let Fact::DelegationEnded(f) = fact { Some((f.agent, f.before)) } else { None })
}

#[test]
fn that_a_delegation_is_over_is_public_whoever_ends_it() {
    let mut home = Home::new();
    let ada = home.enroll_with(1, profile("ada", &[]), true);
    assert!(revoke_own(&mut home, &ada).is_ok());
    assert_eq!(home.kinds(), [Kind::Revoked, Kind::DelegationEnded]);
    assert_eq!(home.last[1].fact.class(), Class::Public);
    let mut all = vec![(ada.id, home.wall)];
    assert_eq!(ended(&home), all);
    // By the operator.
    let bob = home.enroll_with(2, profile("bob", &[]), true);
    home.pass(10);
    home.revoke(&bob);
    all.push((bob.id, home.wall));
    assert_eq!(ended(&home), all);
    // By enrolling again without.
    home.enroll_with(3, profile("eve", &[]), true);
    home.enroll_with(3, profile("eve", &[]), true);
    assert_eq!(ended(&home), all, "it still delegates");
    home.pass(10);
    let eve = home.enroll_with(3, profile("eve", &[]), false);
    all.push((eve.id, home.wall));
    assert_eq!(ended(&home), all);
    home.revoke(&eve);
    let dan = home.enroll(4, &[]);
    home.revoke(&dan);
    assert_eq!(ended(&home), all, "where nothing was delegated nothing ends");
    // What has run out by itself is over for everybody.
    let fay = home.enroll_with(5, profile("fay", &[]), true);
    home.pass(TOKEN_MS_MAX);
    home.revoke(&fay);
    assert_eq!(ended(&home), all);
}

/// The warrant that a challenge is, as other homes are shown it.
fn bears(text: &str, before: Wall) -> bool {
    let made = before.plus_ms(60_000).iso8601();
    text.lines().find_map(|line| line.strip_prefix("expires: ")).expect("it expires") > made.as_str()
}

#[test]
fn a_clock_that_is_set_neither_saves_an_ended_delegation_nor_kills_the_next() {
    let mut home = Home::new();
    let right = home.wall;
    home.wall = right.plus_ms(DAY_MS);
    let ada = member(1);
    let (enrollment, old) = home.challenge(&ada, profile("ada", &[]), true);
    let signature = ada.sign(&old);
    let Some(Ok(Reply::Token { serial, .. })) =
        home.ask(Principal::Stranger, Request::Respond { enrollment, signature })
    else {
        panic!("a good answer")
    };
    // It was a day ahead, and is set back.
    home.wall = right;
    home.revoke(&Member { serial, ..ada });
    let [(_, before)] = ended(&home)[..] else { panic!("it is announced") };
    assert!(!bears(&old, before), "what it delegated is over");
    let bob = home.enroll_with(2, profile("bob", &[]), true);
    home.wall = right.plus_ms(DAY_MS);
    assert!(revoke_own(&mut home, &bob).is_ok());
    let before = ended(&home)[1].1;
    home.wall = right;
    let bob = member(2);
    let (enrollment, new) = home.challenge(&bob, profile("bob", &[]), true);
    assert!(bears(&new, before), "what it delegates now is served");
    let signature = bob.sign(&new);
    let answer = home.ask(Principal::Stranger, Request::Respond { enrollment, signature });
    let Some(Ok(Reply::Token { serial, .. })) = answer else { panic!("{answer:?}") };
    home.revoke(&Member { serial, ..bob });
    assert!(!bears(&new, ended(&home)[2].1), "and may be ended like any");
    // A challenge that was made before the clock was set back is not answered: its end could not be told.
    let (enrollment, text) = home.challenge(&member(3), profile("eve", &[]), true);
    home.wall = Wall(right.0 - DAY_MS);
    let signature = member(3).sign(&text);
    let answer = home.ask(Principal::Stranger, Request::Respond { enrollment, signature });
    assert_eq!(answer.and_then(Result::err).map(|refusal| refusal.code), Some(Code::ChallengeExpired));
}

#[test]
fn the_end_of_what_lasts_longest_is_announced() {
    let mut home = Home::new();
    home.enroll_with(1, profile("ada", &[]), true);
    // Started with another lifetime of tokens since, so that the second delegation ends first.
    home.options.token_ms = HOUR_MS;
    home.restart();
    let ada = home.enroll_with(1, profile("ada", &[]), true);
    home.pass(2 * HOUR_MS);
    home.revoke(&ada);
    assert_eq!(ended(&home).len(), 1);
}

#[test]
fn an_open_challenge_does_not_outlast_the_delegation_s_end() {
    let mut home = Home::new();
    let ada = home.enroll_with(1, profile("ada", &[]), true);
    let mut open = |delegate| home.challenge(&ada, profile("ada", &[]), delegate);
    let (delegating, plain) = (open(true), open(false));
    assert!(revoke_own(&mut home, &ada).is_ok());
    for ((enrollment, text), wanted) in [(delegating, Some(Code::ChallengeUnknown)), (plain, None)] {
        let signature = ada.sign(&text);
        let answer = home.ask(Principal::Stranger, Request::Respond { enrollment, signature });
        assert_eq!(answer.expect("at once").err().map(|refusal| refusal.code), wanted);
    }
}

#[test]
fn the_operators_revocation_ends_leases_and_bars() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let step_id = home.post_one(home.task());
    let lease = home.claim(&ada, step_id).expect("an open task");
    assert_eq!(
        done(home.ask(ada.principal(), Request::RevokeAgent(ada.id))),
        Err(Code::Forbidden),
        "agents revoke nobody"
    );
    home.revoke(&ada);
    assert_eq!(home.kinds(), [Kind::Revoked, Kind::Lapsed, Kind::Offered]);
    assert_eq!(home.submit(&ada, &lease, "{}").err(), Some(Code::AgentRevoked));
    assert_eq!(home.claim_next(&ada).err(), Some(Code::AgentRevoked));
    let request = Request::Enroll { agent: ada.id, profile: profile("ada", &[]), delegate: false };
    assert_eq!(done(home.ask(Principal::Stranger, request)), Err(Code::AgentRevoked));
    assert_eq!(
        done(home.ask(Principal::Operator, Request::RevokeAgent(member(9).id))),
        Err(Code::NotFound),
        "nobody of that name"
    );
    let bob = home.enroll(2, &[]);
    assert!(home.claim(&bob, step_id).is_ok(), "the step goes on with another");
    home.restart();
    assert_eq!(home.claim_next(&ada).err(), Some(Code::AgentRevoked), "also after a restart");
}

#[test]
fn an_open_challenge_does_not_outlive_the_operators_revocation() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let (enrollment, text) = home.challenge(&ada, profile("ada", &[]), false);
    home.revoke(&ada);
    assert_eq!(code(respond(&mut home, enrollment, ada.sign(&text))), Some(Code::AgentRevoked));
    assert_eq!(home.mind.view().agent(&ada.id).and_then(|a| a.revoked), Some(Revoker::Operator));
}

#[test]
fn a_waiting_claim_of_a_revoked_agent_gets_nothing() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let waiting = home.wait(&ada, 10_000);
    home.revoke(&ada);
    home.post_one(home.task());
    assert!(!home.kinds().contains(&Kind::Granted));
    home.pass(10_000);
    assert_eq!(home.heard(waiting).expect("it ends").ok().flatten(), None);
}

#[test]
fn a_profile_has_bounds() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let many: Vec<String> = (0..=SKILLS_MAX).map(|i| format!("s{i}")).collect();
    let names = |n: usize| many[..n].iter().map(String::as_str).collect::<Vec<_>>();
    let named = |name: String| profile(&name, &[]);
    let with_metadata = |n: usize| Profile { metadata: json(&" ".repeat(n)), ..profile("a", &[]) };
    let rows = [
        (named("a".repeat(NAME_BYTES_MAX)), None),
        (named("a".repeat(NAME_BYTES_MAX + 1)), Some(Code::Invalid)),
        (named(String::new()), Some(Code::Invalid)),
        (named("two\nlines".into()), Some(Code::Invalid)),
        (profile("a", &names(SKILLS_MAX)), None),
        (profile("a", &names(SKILLS_MAX + 1)), Some(Code::TooMany)),
        (with_metadata(METADATA_BYTES_MAX), None),
        (with_metadata(METADATA_BYTES_MAX + 1), Some(Code::TooMany)),
        (Profile { capacity: Some(0), ..profile("a", &[]) }, Some(Code::Invalid)),
    ];
    for (profile, wanted) in rows {
        let request = Request::Enroll { agent: member(2).id, profile: profile.clone(), delegate: false };
        assert_eq!(done(home.ask(Principal::Stranger, request)).err(), wanted, "to enroll: {profile:?}");
        let request = Request::Configure(profile.clone());
        assert_eq!(done(home.ask(ada.principal(), request)).err(), wanted, "to configure: {profile:?}");
    }
    let greedy = Profile { capacity: Some(u32::MAX), ..profile("a", &[]) };
    done(home.ask(ada.principal(), Request::Configure(greedy)))
        .expect("more than the operator allows is cut");
    let max = Options::default().leases_max;
    assert_eq!(home.mind.view().agent(&ada.id).map(|a| a.capacity), Some(max));
}

#[test]
fn strangers_may_enroll_and_nothing_else() {
    let mut home = Home::new();
    let post = run(vec![step("a", &[], home.task())]);
    assert_eq!(home.post(Principal::Stranger, post).err(), Some(Code::Unauthenticated));
    let nobody = Member { serial: 1, ..member(7) };
    assert_eq!(
        home.claim_next(&nobody).err(),
        Some(Code::TokenRevoked),
        "a token of an agent that never was"
    );
    assert_eq!(
        done(home.ask(Principal::Operator, Request::Configure(profile("a", &[])))),
        Err(Code::Forbidden)
    );
}

#[test]
fn the_journal_alone_shows_that_the_agent_signed() {
    let mut home = Home::new();
    let ada = home.enroll_with(1, profile("ada", &["rust"]), true);
    let text = statement(&ada, OwnAct::Rotate);
    let signature = ada.sign(&text);
    rotate(&mut home, &ada, &text, signature).expect("a good statement");
    let ada = Member { serial: 2, ..ada };
    revoke_own(&mut home, &ada).expect("a good statement");
    let mut seen = 0;
    for entry in &home.journal {
        let (text, signature) = match &entry.fact {
            Fact::Enrolled(f) => (f.challenge.clone(), f.signature),
            Fact::Rotated(f) => {
                (statement_text(&identity(), &f.agent, OwnAct::Rotate, f.serial - 1), f.signature)
            }
            Fact::Revoked(f) => (
                statement_text(&identity(), &f.agent, OwnAct::Revoke, f.serial - 1),
                f.signature.expect("by itself, so signed"),
            ),
            _ => continue,
        };
        seen += 1;
        assert_eq!(ada.id.key().verify(text.as_bytes(), &signature), Ok(()), "{:?}", entry.fact.kind());
    }
    assert_eq!(seen, 3);
}
