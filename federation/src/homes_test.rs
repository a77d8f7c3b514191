use super::*;
use crate::conduct::Breach;
use crate::fact::{Abroad, Authority, Granted, Offered, Unanswered, Verdict};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, FederationId, RunId};
use artel_protocol::key::{AgentId, SecretKey};
use artel_protocol::time::Wall;
use artel_reputation::{Complexity, Level};

fn node(seed: u8) -> NodeId {
    NodeId(SecretKey::from_seed(&[seed; 32]).public())
}

fn origin(seed: u8) -> Origin {
    Origin::new(FederationId([1; 32]), node(seed), 0)
}

fn agent(seed: u8) -> AgentId {
    AgentId(SecretKey::from_seed(&[seed; 32]).public())
}

fn step(n: usize) -> StepId {
    RunId::new(Wall(1), [7; 9]).step(n)
}

fn verdict(n: usize) -> Fact {
    Fact::Verdict(Verdict {
        step: step(n),
        epoch: Epoch(1),
        agent: agent(9),
        submitted: 1,
        judgement: Judgement::Accepted { quality: 100, checked: true },
    })
}

fn silence(home: u8, n: usize) -> Fact {
    let lease = Abroad { home: node(home), step: step(n), epoch: Epoch(1) };
    Fact::Unanswered(Unanswered { lease, agent: agent(9), handed_in: 1, submitted: Some(2) })
}

fn offered(n: usize) -> Fact {
    Fact::Offered(Offered {
        step: step(n),
        epoch: Epoch(1),
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

fn granted(n: usize, to: u8) -> Fact {
    Fact::Granted(Granted {
        step: step(n),
        epoch: Epoch(1),
        agent: agent(to),
        level: Level::Novice,
        bound: 0,
        lease_ms: 1,
        authority: Authority::Session,
    })
}

#[test]
fn a_home_that_gives_no_verdict_loses_until_it_does() {
    let mut homes = Homes::default();
    assert_eq!(homes.standing(&node(1)).answered_percent(), 100);
    homes.hear(&origin(1), (0, 0), Some(&verdict(0)));
    homes.hear(&origin(2), (0, 0), Some(&silence(1, 1)));
    let standing = homes.standing(&node(1));
    assert_eq!((standing.judged, standing.silences, standing.answered_percent()), (1, 1, 50));
    homes.hear(&origin(1), (1, 1), Some(&verdict(1)));
    let standing = homes.standing(&node(1));
    assert_eq!((standing.judged, standing.silences, standing.redeemed), (2, 0, 1));
    assert_eq!(standing.answered_percent(), 100);
    // Heard after its verdict it is no silence.
    homes.hear(&origin(3), (0, 0), Some(&silence(1, 0)));
    assert_eq!(homes.standing(&node(1)).silences, 0);
}

#[test]
fn one_node_s_word_against_a_home_counts_little_and_a_home_cannot_speak_of_itself() {
    let mut homes = Homes::default();
    for n in 0..100 {
        homes.hear(&origin(2), (n, n), Some(&silence(1, n as usize)));
    }
    assert_eq!(homes.standing(&node(1)).silences, SILENCES_OF_NODE_MAX as u64);
    homes.hear(&origin(1), (0, 0), Some(&silence(1, 7)));
    assert_eq!(homes.standing(&node(1)).silences, SILENCES_OF_NODE_MAX as u64);
}

#[test]
fn a_home_that_grants_twice_is_seen_in_whatever_order_its_records_come() {
    let records = [(0, offered(0)), (1, granted(0, 3)), (2, offered(1)), (3, granted(0, 4))];
    // Offers come in frames of their own, before or after those of grants.
    for order in [[0, 1, 2, 3], [0, 2, 1, 3], [1, 3, 0, 2], [3, 2, 1, 0]] {
        let mut homes = Homes::default();
        let mut hear = |n: usize| homes.hear(&origin(1), (records[n].0, records[n].0), Some(&records[n].1));
        let illegal: Vec<Illegal> = order.into_iter().flat_map(&mut hear).collect();
        assert_eq!(illegal.len(), 1, "{order:?}: {illegal:?}");
        assert_eq!((illegal[0].index, illegal[0].breach), (3, Breach::GrantedTwice));
        // The same record once more says nothing new.
        assert_eq!(homes.hear(&origin(1), (3, 3), Some(&granted(0, 5))), []);
        assert_eq!(
            (homes.standing(&node(1)).breaches, homes.standing(&node(1)).breach),
            (1, Some(illegal[0]))
        );
    }
}

#[test]
fn records_that_are_lost_hold_nothing_up_and_are_not_held_against_their_author() {
    let mut homes = Homes::default();
    homes.hear(&origin(1), (0, 0), Some(&offered(0)));
    homes.hear(&origin(1), (1, 1), Some(&granted(0, 3)));
    // What ended that lease is lost.
    assert_eq!(homes.hear(&origin(1), (9, 9), Some(&offered_again(0))), []);
    for n in 0..EARLY_MAX as u64 {
        assert_eq!(homes.is_behind(&origin(1)), n >= EARLY_MANY as u64, "what is missing is fetched in time");
        assert_eq!(homes.hear(&origin(1), (10 + n, 10 + n), Some(&silence(2, 0))), [], "{n}");
    }
    assert!(homes.journals[&origin(1)].early.is_empty());
}

fn offered_again(n: usize) -> Fact {
    let Fact::Offered(offer) = offered(n) else { unreachable!("an offer") };
    Fact::Offered(Offered { epoch: Epoch(2), ..offer })
}

#[test]
fn what_is_kept_is_bounded() {
    let mut homes = Homes::within(64);
    for n in 0..VERDICTS_MAX + 10 {
        let lease = (RunId::new(Wall(n as u64), [7; 9]).step(0), Epoch(1));
        homes.judged(node(1), lease, false);
    }
    let home = &homes.homes[&node(1)];
    assert_eq!((home.verdicts.len(), home.verdicts_in_order.len()), (VERDICTS_MAX, VERDICTS_MAX));
    assert_eq!(home.told.judged, VERDICTS_MAX as u64 + 10);
    for n in 0..65 {
        let Fact::Offered(mut offer) = offered(0) else { unreachable!("an offer") };
        offer.step = RunId::new(Wall(n as u64), [7; 9]).step(0);
        homes.hear(&origin(1 + (n % 2) as u8), ((n / 2) as u64, n as u64), Some(&Fact::Offered(offer)));
    }
    assert_eq!(homes.steps, 32);
}
