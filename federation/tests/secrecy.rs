//! What public entries give away: nothing that a stranger could try guesses of, and not who asked for what. Whoever is
//! entitled can open what they commit to; a journal in which it does not open cannot be folded.

mod common;

use artel_federation::commitment::{Opening, terms, terms_salt};
use artel_federation::fact::{Account, Cause, Offered, TaskSpec};
use artel_federation::input::Submission;
use artel_federation::{Entry, Fact, Federation, Options, Principal, Request};
use artel_protocol::amount::Credits;
use artel_protocol::codec::encode;
use artel_protocol::id::Digest;
use artel_protocol::log::leaf::Class;
use common::*;

/// The bodies that everybody may read.
fn public(journal: &[Entry]) -> Vec<u8> {
    journal.iter().filter(|entry| entry.fact.class() == Class::Public).flat_map(Entry::encode).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn offers(home: &Home) -> Vec<Offered> {
    home.facts(|f| if let Fact::Offered(f) = f { Some(f.clone()) } else { None })
}

fn hand_in(home: &mut Home, member: &Member, id: artel_protocol::id::StepId, output: &str) {
    let lease = home.claim(member, id).expect("open");
    let artifacts = vec![Digest::of(b"file")];
    let submission = Submission { artifacts, ..submission(&lease, output) };
    received(home.ask(member.principal(), Request::Submit(submission)).expect("answered")).expect("taken");
    home.checks.clear();
}

#[test]
fn a_stranger_cannot_try_out_guesses_of_what_is_private() {
    let mut home = Home::new();
    let agents: Vec<_> = (1..=3).map(|n| home.enroll(n, &[])).collect();
    let task = home.checked_task();
    let id = home.post_one(task.clone());
    for (n, member) in agents.iter().enumerate() {
        hand_in(&mut home, member, id, "true");
        let epoch = artel_protocol::id::Epoch(n as u32 + 1);
        home.input(artel_federation::Input::Checked {
            step: id,
            epoch,
            outcome: if n < 2 { rejected() } else { accepted(80) },
        });
    }
    let seen = public(&home.journal);
    for (what, digest) in [
        ("the output", Digest::of(b"true")),
        ("its length and the output", Digest::of(&encode(&json("true")))),
        ("an artifact", Digest::of(b"file")),
        ("the findings", Digest::of(b"x is missing")),
        ("the task", Digest::of(&encode(&task))),
        ("the input", task.input.digest()),
    ] {
        assert!(!holds(&seen, &digest.0), "a digest of {what} is public");
    }
    assert!(!holds(&seen, b"x is missing") && !holds(&seen, b"true"));
    let salts = home.facts(|f| match f {
        Fact::Output(f) => Some(f.salt),
        Fact::RunPosted(f) => Some(f.salt),
        _ => None,
    });
    assert_eq!(salts.len(), 4);
    for (n, salt) in salts.iter().enumerate() {
        assert!(!holds(&seen, &salt.0), "a salt is public");
        assert!(!salts[..n].contains(salt), "each has its own");
    }
    let results = home.facts(|f| if let Fact::Submitted(f) = f { Some(f.result) } else { None });
    assert!(results[0] != results[1] && results[1] != results[2], "equal outputs do not look equal");
    home.post_one(task);
    let offers = offers(&home);
    assert!(offers[..3].iter().all(|offer| offer.terms == offers[0].terms), "one step, one task");
    assert_ne!(offers[3].terms, offers[0].terms, "equal tasks of two runs do not look equal");
}

#[test]
fn what_is_public_does_not_say_which_agent_posted() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let lease = home.taken(&ada, home.task());
    home.submit(&ada, &lease, "{}").expect("a live lease");
    let before = home.journal.len();
    let task = TaskSpec { reward: Credits(1_000_000), ..home.task() };
    let posted = home.post(ada.principal(), run(vec![step("a", &[], task.clone()), step("b", &[], task)]));
    let posted = posted.expect("it has the credit");
    finish(&mut home, &bob, posted.step_id(0), "1");
    home.cancel(ada.principal(), posted.id, None).expect("its own");
    let seen = public(&home.journal[before..]);
    assert!(holds(&seen, &encode(&bob.id)), "who worked is public");
    assert!(!holds(&seen, &encode(&ada.id)[1..]), "who posted is not");
    let balance = |account| home.mind.view().balance(account);
    assert_eq!(balance(Account::Agent(ada.id)), 9_000_000, "its remainder and refund are its own");
    assert_eq!(balance(Account::Agent(bob.id)), 1_000_000);
    assert_eq!(balance(Account::Poster(posted.step_id(0))), 0, "an alias holds nothing");
}

#[test]
fn the_holder_can_open_what_home_committed_to() {
    let mut home = Home::new();
    let ada = home.enroll(1, &[]);
    let task = home.task();
    let posted =
        home.post(Principal::Operator, run(vec![step("a", &[], task.clone()), step("b", &[], task.clone())]));
    let posted = posted.expect("a good post");
    for (number, offer) in offers(&home).iter().enumerate() {
        let id = posted.step_id(number);
        let salt = terms_salt(posted.salt, &id);
        assert_eq!(offer.terms, terms(salt, &id, &task));
        let dearer = TaskSpec { reward: Credits(1), ..task.clone() };
        assert_ne!(offer.terms, terms(salt, &id, &dearer), "home is held to every part");
    }
    let other = terms_salt(posted.salt, &posted.step_id(0));
    let second = offers(&home)[1].terms;
    assert_ne!(second, terms(other, &posted.step_id(1), &task), "one step's salt does not open another's");

    let lease = home.claim(&ada, posted.step_id(0)).expect("open");
    let receipt = home.submit(&ada, &lease, "42").expect("a live lease");
    let (salt, output) = (receipt.opening.salt, Digest::of(b"42"));
    assert_eq!(receipt.result, Opening { salt, output, artifacts: vec![] }.result());
    let named = home.facts(|f| if let Fact::Submitted(f) = f { Some(f.result) } else { None });
    assert_eq!(named, [receipt.result]);
    home.restart();
    assert_eq!(home.submit(&ada, &lease, "42").map(|again| again.opening), Ok(receipt.opening));
}

/// Folds a journal that somebody has changed.
fn folds(entries: &[Entry]) -> Result<(), String> {
    let mut mind = Federation::new(identity(), Options::default());
    mind.fold(entries, &mut Vec::new()).map_err(|error| error.to_string())
}

#[test]
fn a_journal_in_which_a_commitment_does_not_open_is_not_folded() {
    let mut home = Home::new();
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    let id = home.post_one(home.checked_task());
    hand_in(&mut home, &ada, id, "true");
    home.input(artel_federation::Input::Checked {
        step: id,
        epoch: artel_protocol::id::Epoch(1),
        outcome: rejected(),
    });
    let lease = home.claim(&bob, id).expect("offered anew");
    home.submit(&bob, &lease, "{}").expect("a live lease");
    home.checked(&lease, accepted(50));
    assert_eq!(folds(&home.journal), Ok(()));

    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut journal = home.journal.clone();
        change(&mut journal);
        folds(&journal).expect_err("a changed journal")
    };
    let each = |change: fn(&mut Fact)| {
        move |journal: &mut Vec<Entry>| journal.iter_mut().for_each(|entry| change(&mut entry.fact))
    };
    let not_opened = "does not open the result";
    let changes: [fn(&mut Fact); 4] = [
        |fact| {
            if let Fact::Output(f) = fact {
                f.salt.0[0] ^= 1
            }
        },
        |fact| {
            if let Fact::Output(f) = fact {
                f.output = json("false")
            }
        },
        |fact| {
            if let Fact::Output(f) = fact {
                f.artifacts.push(Digest::of(b"more"))
            }
        },
        |fact| {
            if let Fact::Submitted(f) = fact {
                f.result = Digest::of(b"true")
            }
        },
    ];
    for change in changes {
        let error = changed(&each(change));
        assert!(error.contains(not_opened), "{error}");
    }
    let gone = changed(&|journal| journal.retain(|entry| !matches!(entry.fact, Fact::Output(_))));
    assert!(gone.contains(not_opened), "{gone}");

    let parted = |behind: fn(&Fact) -> bool| {
        changed(&|journal| {
            let at = journal.iter().position(|entry| behind(&entry.fact)).expect("there is one");
            let started = journal.iter().find(|entry| matches!(entry.fact, Fact::Started(_))).cloned();
            journal.insert(at + 1, started.expect("a start"));
        })
    };
    let findings = parted(|fact| matches!(fact, Fact::Findings(_)));
    assert!(findings.contains("do not stand right before it"), "{findings}");
    let half = parted(|fact| matches!(fact, Fact::Output(_)));
    assert!(half.contains(not_opened), "{half}");

    let named = changed(&each(|fact| {
        if let Fact::Transfer(f) = fact
            && f.cause == Cause::Payment
        {
            f.legs[2].account = Account::Operator;
        }
    }));
    assert!(named.contains("names more than its worker"), "{named}");
}
