//! Windows of offers: whom an offer is kept for and for how long, and that nobody who waits is held up by it, wherever the agents
//! are from.

mod common;

use artel_federation::effect::Lease;
use artel_federation::fact::TaskSpec;
use artel_federation::input::{ClaimNext, Submission};
use artel_federation::matching::kept_for_newcomers;
use artel_federation::visit::message::Act;
use artel_federation::{Code, Fact, Input, Kind, Options, Principal, ReplyTo, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::StepId;
use artel_reputation::Complexity;
use common::*;

/// What OPERATIONS.md says.
const WINDOW_MS: u64 = 2_000;

/// A home with neighbours at which these agents have done something: the first best, each by less than the one before.
fn meshed(top: u8, qualities: &[u8]) -> (Home, Vec<Member>) {
    let mut home = Home::with(Options { top, ..Options::default() });
    let agents: Vec<Member> = (1..=qualities.len()).map(|n| home.enroll(n as u8, &[])).collect();
    for (member, quality) in agents.iter().zip(qualities) {
        home.raise(member, *quality);
    }
    home.input(Input::Neighbours(true));
    agents.iter().for_each(|member| assert_eq!(home.claim_next(member), Ok(None), "it is about"));
    (home, agents)
}

/// Posts a task that is of the tenth for newcomers, or that is not.
fn posted_for(home: &mut Home, newcomers: bool) -> StepId {
    loop {
        let id = home.post_one(TaskSpec { reward: Credits::ZERO, ..home.task() });
        if kept_for_newcomers(&id, Complexity::Simple) == newcomers {
            return id;
        }
        home.cancel(Principal::Operator, id.run(), None).expect("open");
    }
}

fn others(home: &mut Home) -> StepId {
    posted_for(home, false)
}

/// A claim of an agent of another node; the answer comes to where it says.
fn visits(home: &mut Home, n: u8, act: Act) -> ReplyTo {
    let visit = abroad::delegated(&identity(), &peer(1), &member(n), BEGIN.plus_ms(DAY_MS), &[], act);
    home.ask_later(Principal::Node(peer(1)), Request::Visit(Box::new(visit)))
}

fn waits(home: &mut Home, n: u8) -> ReplyTo {
    visits(home, n, Act::ClaimNext { wait_ms: 8_000 })
}

fn won(home: &mut Home, to: ReplyTo) -> Option<StepId> {
    home.heard(to).and_then(|answer| answer.expect("no refusal")).map(|lease| lease.step)
}

/// The windows that offers name, the last one first.
fn named(home: &Home) -> Option<(u32, u8)> {
    let all = home.facts(|fact| if let Fact::Offered(f) = fact { Some((f.window_ms, f.top)) } else { None });
    all.last().copied()
}

#[test]
fn with_neighbours_an_offer_is_kept_two_seconds_for_the_best_eight() {
    let (mut home, agents) = meshed(8, &[100, 95, 90, 85, 80, 75, 70, 65, 60]);
    let id = others(&mut home);
    assert_eq!(named(&home), Some((2_000, 8)), "the offer says so");
    let ninth = &agents[8];
    assert_eq!(home.claim(ninth, id).err(), Some(Code::OfferWindow));
    assert_eq!(home.claim_next(ninth), Ok(None));
    home.pass(WINDOW_MS - 1);
    assert_eq!(home.claim(ninth, id).err(), Some(Code::OfferWindow));
    home.pass(1);
    assert!(home.claim(ninth, id).is_ok(), "then it is open to all");
    let id = others(&mut home);
    assert!(home.claim(&agents[7], id).is_ok(), "the eighth need not wait");
}

#[test]
fn without_neighbours_or_where_it_is_set_to_nothing_offers_are_open_at_once() {
    let (mut home, agents) = meshed(1, &[100, 50]);
    home.input(Input::Neighbours(false));
    let id = others(&mut home);
    assert_eq!(named(&home), Some((0, 1)));
    assert!(home.claim(&agents[1], id).is_ok());
    let mut home = Home::with(Options { top: 1, window_meshed_ms: 0, ..Options::default() });
    home.input(Input::Neighbours(true));
    let (ada, bob) = (home.enroll(1, &[]), home.enroll(2, &[]));
    home.raise(&ada, 100);
    let id = others(&mut home);
    assert_eq!(named(&home), Some((0, 1)));
    assert!(home.claim(&bob, id).is_ok());
}

#[test]
fn an_agent_of_another_node_that_comes_within_the_window_waits_for_its_end() {
    let (mut home, _) = meshed(2, &[100, 50]);
    let id = others(&mut home);
    let claim = visits(&mut home, 10, Act::Claim(id));
    assert_eq!(home.heard(claim), Some(Err(Code::OfferWindow)));
    let at_once = visits(&mut home, 10, Act::ClaimNext { wait_ms: 0 });
    assert_eq!(home.heard(at_once), Some(Ok(None)));
    let waiting = waits(&mut home, 10);
    home.pass(WINDOW_MS - 1);
    assert_eq!(home.heard(waiting), None, "it is held");
    home.pass(1);
    assert_eq!(won(&mut home, waiting), Some(id));
}

#[test]
fn a_window_collapses_for_whoever_waits_wherever_it_is_from() {
    let (mut home, agents) = meshed(2, &[100, 50]);
    let waiting = waits(&mut home, 10);
    let id = home.post_one(home.task());
    assert!(home.kinds().ends_with(&[Kind::Offered, Kind::Granted]), "in the frame that makes the offer");
    assert_eq!(won(&mut home, waiting), Some(id));
    // Of those that wait the best has it.
    let (worse, better) = (home.wait(&agents[1], 8_000), home.wait(&agents[0], 8_000));
    let ids = [home.post_one(home.task()), home.post_one(home.task())];
    assert_eq!([better, worse].map(|to| won(&mut home, to)), ids.map(Some));
}

#[test]
fn where_fewer_have_a_record_than_are_asked_everybody_is_among_the_best() {
    let (mut home, _) = meshed(3, &[100, 50]);
    let id = others(&mut home);
    let claim = visits(&mut home, 10, Act::Claim(id));
    assert_eq!(won(&mut home, claim), Some(id));
}

#[test]
fn nobody_is_kept_two_offers_so_work_for_all_is_open_to_all() {
    let (mut home, agents) = meshed(2, &[100, 90, 50]);
    let (first, second) = (others(&mut home), others(&mut home));
    assert_eq!(home.claim(&agents[2], first).err(), Some(Code::OfferWindow));
    let lease = home.claim(&agents[2], second).expect("open");
    home.release(&agents[2], &lease).expect("a live lease");
    // What is taken, or over, frees whom it was kept for.
    home.claim(&agents[0], first).expect("kept for it");
    let third = others(&mut home);
    assert_eq!(home.claim(&agents[2], third).err(), Some(Code::OfferWindow));
    home.cancel(Principal::Operator, third.run(), None).expect("open");
    let fourth = others(&mut home);
    assert_eq!(home.claim(&agents[2], fourth).err(), Some(Code::OfferWindow));
}

#[test]
fn who_has_not_been_about_for_a_minute_is_kept_nothing() {
    let (mut home, agents) = meshed(1, &[100, 50]);
    home.pass(59_999);
    assert_eq!(home.claim_next(&agents[1]), Ok(None));
    let id = others(&mut home);
    assert_eq!(
        home.claim(&agents[1], id).err(),
        Some(Code::OfferWindow),
        "the best was heard of just within it"
    );
    home.pass(WINDOW_MS);
    let id = others(&mut home);
    assert!(home.claim(&agents[1], id).is_ok(), "it is the best that is about");
}

#[test]
fn a_window_does_not_survive_a_restart() {
    let (mut home, agents) = meshed(1, &[100, 50]);
    let id = others(&mut home);
    assert_eq!(home.claim(&agents[1], id).err(), Some(Code::OfferWindow));
    home.restart();
    assert!(home.claim(&agents[1], id).is_ok(), "after a restart an offer is open to all");
}

#[test]
fn what_a_result_makes_ready_goes_to_whoever_hands_it_in_and_asks_for_more() {
    for asks in [true, false] {
        let (mut home, agents) = meshed(1, &[100, 50]);
        // With so many results it is the best, whatever the other one hands in.
        (0..3).for_each(|_| home.raise(&agents[0], 100));
        let run = loop {
            let run = posted(&mut home, &["first", "second<first"]);
            if !kept_for_newcomers(&run.step_id(1), Complexity::Simple) {
                break run;
            }
            home.cancel(Principal::Operator, run.id, None).expect("open");
        };
        home.pass(WINDOW_MS);
        let lease = home.claim(&agents[1], run.step_id(0)).expect("open to all");
        let next = asks.then_some(ClaimNext { wait_ms: 0 });
        let submission = Submission { next, ..submission(&lease, "{}") };
        let answer = home.ask(agents[1].principal(), Request::Submit(submission)).expect("answered at once");
        let next = received(answer).expect("taken").next.map(|lease: Box<Lease>| lease.step);
        assert_eq!(next, asks.then_some(run.step_id(1)));
        if !asks {
            assert_eq!(home.claim(&agents[1], run.step_id(1)).err(), Some(Code::OfferWindow), "for the best");
        }
    }
}

#[test]
fn a_tenth_goes_to_newcomers_that_wait_at_other_nodes_and_the_rest_to_the_best() {
    let (mut kept, mut others) = (0, 0);
    for seed in 0..200 {
        let (mut home, agents) = meshed(1, &[100]);
        home.reseed(seed);
        let (proven, newcomer) = (home.wait(&agents[0], 30_000), waits(&mut home, 10));
        let id = home.post_one(home.task());
        let for_newcomers = kept_for_newcomers(&id, Complexity::Simple);
        let (winner, other) = if for_newcomers { (newcomer, proven) } else { (proven, newcomer) };
        assert_eq!((won(&mut home, winner), home.heard(other)), (Some(id), None), "seed {seed}");
        *(if for_newcomers { &mut kept } else { &mut others }) += 1;
    }
    assert!((10..=35).contains(&kept), "about a tenth: {kept} of {}", kept + others);
}

#[test]
fn an_offer_of_the_tenth_is_kept_for_newcomers_from_anywhere_while_one_is_about() {
    let (mut home, agents) = meshed(1, &[100]);
    let ada = home.enroll(9, &[]);
    assert_eq!(home.claim_next(&ada), Ok(None));
    let kept = posted_for(&mut home, true);
    assert_eq!(home.claim(&agents[0], kept).err(), Some(Code::OfferWindow), "the best is no newcomer");
    assert_eq!(home.claim_next(&agents[0]), Ok(None));
    let stranger = visits(&mut home, 10, Act::Claim(kept));
    assert_eq!(won(&mut home, stranger), Some(kept), "one that nobody here has heard of");
    // After the moment it is everybody's.
    let kept = posted_for(&mut home, true);
    home.pass(WINDOW_MS);
    assert!(home.claim(&agents[0], kept).is_ok());
}

#[test]
fn without_a_newcomer_about_an_offer_of_the_tenth_is_like_the_others() {
    let (mut home, agents) = meshed(1, &[100, 50]);
    let ada = home.enroll(9, &[]);
    assert_eq!(home.claim_next(&ada), Ok(None));
    home.pass(60_000);
    agents.iter().for_each(|member| assert_eq!(home.claim_next(member), Ok(None)));
    let kept = posted_for(&mut home, true);
    assert_eq!(home.claim(&agents[1], kept).err(), Some(Code::OfferWindow));
    assert!(home.claim(&agents[0], kept).is_ok(), "for the best");
}
