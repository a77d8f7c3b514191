//! What becomes of others' records.

use super::*;
use crate::fact::{Admission, Admitted, AdmittedBy, Expelled, Offered, Refused, Started, Submitted};
use crate::words::WORDS_EACH;
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, FederationId, RunId};
use artel_protocol::key::{AgentId, SecretKey};
use artel_protocol::log::{Checkpoint, Hash, JOURNALS_OF_NODE_MAX, SignedCheckpoint, Subtree, subset, tree};
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use artel_reputation::Complexity;

const HOME: FederationId = FederationId([3; 32]);

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn node(n: u8) -> NodeId {
    NodeId(secret(n).public())
}

fn origin(n: u8) -> Origin {
    Origin::new(HOME, node(n), 0)
}

/// A federation by invitation that node 1 founded, as node 2 sees it.
fn exchange() -> Exchange {
    let founders = vec![node(1)];
    let (name, admission, recovery) = ("test".into(), Admission::Invitation, Digest([0; 32]));
    Exchange::new(node(2), Genesis { name, founders, admission, recovery, created: Wall(0) })
}

fn admitted(n: u8) -> Fact {
    Fact::Admitted(Admitted { node: node(n), by: AdmittedBy::Invitation(Digest([n; 32])) })
}

fn expelled(n: u8) -> Fact {
    Fact::Expelled(Expelled { node: node(n), reason: "gone".into() })
}

fn offered(skill: &str) -> Fact {
    Fact::Offered(Offered {
        step: RunId::new(Wall(1), [1; 9]).step(0),
        epoch: Epoch(1),
        skills: vec![Skill::parse(skill).expect("a skill")],
        complexity: Complexity::Simple,
        level_min: None,
        reward: Credits::ZERO,
        deadline: Wall(9),
        terms: Digest([0; 32]),
        window_ms: 0,
        top: 8,
        verdict_within_ms: 1,
    })
}

fn started() -> Fact {
    Fact::Started(Started { boot: 1, version: "1".into(), configuration: Digest([0; 32]) })
}

fn entry(fact: Fact) -> Vec<u8> {
    Entry { at: Wall(5), correlation: None, fact }.encode()
}

/// Bodies as the public entries of node `n` from a number on, all of whose entries are public.
fn records(n: u8, from: u64, bodies: Vec<Vec<u8>>) -> Records {
    records_of(origin(n), &secret(n), from, bodies)
}

fn records_of(origin: Origin, secret: &SecretKey, from: u64, bodies: Vec<Vec<u8>>) -> Records {
    let record =
        |(i, body)| Record { index: from + i as u64, public_seq: from + i as u64, salt: [0; 16], body };
    let records: Vec<Record> = bodies.into_iter().enumerate().map(record).collect();
    let before = (0..from).map(|i| tree::leaf_hash(&i.to_be_bytes()));
    let leaves: Vec<Hash> = before.chain(records.iter().map(|record| record.leaf().hash())).collect();
    let size = leaves.len() as u64;
    let plain = Checkpoint::new(origin, size, tree::root_of(&leaves)).expect("plain");
    let checkpoint = SignedCheckpoint::sign(plain, secret).expect("its own key");
    let read = |at: Subtree| {
        let start = (at.index << at.level) as usize;
        Ok::<_, tree::Error>(tree::root_of(&leaves[start..start + (1 << at.level)]))
    };
    let positions: Vec<u64> = (from..size).collect();
    let proof = subset::prove(&positions, size, read).expect("within the tree");
    Records::new(&checkpoint, records, proof).expect("sound")
}

#[test]
fn what_is_right_and_new_is_kept_and_what_no_honest_node_sends_is_wrong() {
    let exchange = exchange();
    let offer = |body| records(1, 0, vec![body]);
    let (shard, other) = (Topic::of_offer(&[Skill::parse("text").expect("a skill")]), Topic::Trust);
    assert_eq!(exchange.judge(Some(shard), &offer(entry(offered("text")))), Judgement::Keep);
    assert_eq!(
        exchange.judge(None, &offer(entry(offered("text")))),
        Judgement::Keep,
        "a stream has no topic"
    );
    assert_eq!(exchange.judge(Some(other), &offer(entry(offered("text")))), Judgement::Wrong("topic"));
    let refused = Fact::Refused(Refused { who: crate::fact::Poster::Operator, code: "x".into(), count: 1 });
    assert_eq!(exchange.judge(None, &offer(entry(refused))), Judgement::Wrong("private"));
    let correlation = Correlation::parse("abc");
    let correlated = Entry { at: Wall(5), correlation, fact: started() }.encode();
    assert_eq!(exchange.judge(None, &offer(correlated)), Judgement::Wrong("correlated"));
    let mut cut = entry(started());
    cut.pop();
    assert_eq!(exchange.judge(None, &offer(cut)), Judgement::Wrong("malformed"));
    let mut later = entry(started());
    later[0] = 0xff;
    assert_eq!(exchange.judge(Some(other), &offer(later)), Judgement::Keep, "a kind of a later version");
    assert_eq!(exchange.judge(None, &records(2, 0, vec![entry(started())])), Judgement::Known, "its own");
    assert_eq!(
        exchange.judge(None, &records(9, 0, vec![entry(started())])),
        Judgement::Unwanted,
        "a stranger's"
    );
}

#[test]
fn what_is_held_is_known_and_what_is_missing_is_wanted() {
    let mut exchange = exchange();
    let three = records(1, 4, vec![entry(started()), entry(started()), entry(started())]);
    assert!(exchange.lacks_before(&three));
    exchange.holds_up_to(origin(1), 6, false);
    assert!(!exchange.lacks_before(&three));
    assert_eq!(exchange.judge(None, &three), Judgement::Keep, "the last one is new");
    exchange.holds_up_to(origin(1), 7, false);
    assert_eq!(exchange.judge(None, &three), Judgement::Known);
    let mark = |n, next| Mark { origin: origin(n), next };
    let theirs = [mark(1, 9), mark(2, 50), mark(9, 50)];
    assert_eq!(exchange.missing(&theirs), [mark(1, 9)], "neither its own nor a stranger's");
    let mut own = vec![mark(1, 7), mark(2, 5)];
    own.sort();
    assert_eq!(exchange.marks(mark(2, 5)), own);
    exchange.holds_up_to(origin(1), 7, true);
    assert_eq!(
        (exchange.missing(&theirs), exchange.judge(None, &records(1, 9, vec![entry(started())]))),
        (vec![], Judgement::Keep),
        "what there is no room for is not fetched, but what comes is heard and passed on"
    );
}

#[test]
fn what_was_lost_is_missing_again() {
    let mut exchange = exchange();
    let three = records(1, 4, vec![entry(started()), entry(started()), entry(started())]);
    exchange.holds_up_to(origin(1), 9, false);
    assert_eq!(exchange.judge(None, &three), Judgement::Known);
    exchange.holds_no_more_than([(origin(1), 5)]);
    assert_eq!(exchange.judge(None, &three), Judgement::Keep);
    exchange.holds_no_more_than([]);
    assert_eq!(exchange.missing(&[Mark { origin: origin(1), next: 1 }]).len(), 1);
}

#[test]
fn holes_are_asked_for_before_what_is_behind_them_and_nothing_twice() {
    let asked = |holes: &[Range<u64>], behind, within| question(origin(1), (holes, behind), within);
    let want = |next| Some(Message::Want(Mark { origin: origin(1), next }));
    let holes = |ranges: Vec<Range<u64>>| Holes::new(origin(1), ranges).map(Message::Holes);
    assert_eq!(asked(&[], 7, 0..9), want(7), "whoever has no holes wants what it wanted before");
    assert_eq!(asked(&[], 7, 0..7), None);
    let two = [3..4, 5..8];
    assert_eq!(asked(&two, 9, 0..20), holes(vec![3..4, 5..8]));
    assert_eq!(asked(&two, 9, 0..6), holes(vec![3..4, 5..6]), "it has no more");
    assert_eq!(asked(&two, 9, 4..20), holes(vec![5..8]), "it answered the first");
    assert_eq!(asked(&two, 9, 8..20), want(9));
    assert_eq!(asked(&two, 9, 12..20), want(12));
    assert_eq!(asked(&two, 9, 8..9), None);
    let many: Vec<Range<u64>> = (0..HOLES_MAX as u64 + 5).map(|n| 2 * n..2 * n + 1).collect();
    assert_eq!(asked(&many, 9_000, 0..10_000), holes(many[..HOLES_MAX].to_vec()));
    let left = 2 * HOLES_MAX as u64;
    assert_eq!(asked(&many, 9_000, left - 1..10_000), holes(many[HOLES_MAX..].to_vec()));
}

#[test]
fn only_what_was_asked_for_answers_a_question() {
    let three = records(1, 4, vec![entry(started()), entry(started()), entry(started())]);
    let holes =
        |n, ranges: Vec<Range<u64>>| Message::Holes(Holes::new(origin(n), ranges).expect("ascending"));
    let want = |n| Message::Want(Mark { origin: origin(n), next: 5 });
    for (question, good) in [
        (want(1), true),
        (want(3), false),
        (holes(1, vec![4..7]), true),
        (holes(1, vec![2..3, 4..9]), true),
        (holes(1, vec![4..5, 6..9]), false),
        (holes(1, vec![5..7]), false),
        (holes(3, vec![4..7]), false),
        (Message::Same, false),
    ] {
        assert_eq!(answers(&three, &question), good, "{question:?}");
    }
}

#[test]
fn a_neighbour_lacks_what_its_answer_leaves_out_before_the_first() {
    let want = Message::Want(Mark { origin: origin(1), next: 5 });
    assert_eq!(lacks_below(&want, Some(5), 9), None);
    assert_eq!(lacks_below(&want, Some(3), 9), None, "its frame began before");
    assert_eq!(lacks_below(&want, Some(7), 9), Some(7));
    assert_eq!(lacks_below(&want, None, 5), None, "it has nothing at all");
    let holes = Message::Holes(Holes::new(origin(1), vec![5..8, 20..30]).expect("ascending"));
    assert_eq!(lacks_below(&holes, Some(5), 30), None);
    assert_eq!(lacks_below(&holes, Some(7), 30), Some(7));
    assert_eq!(lacks_below(&holes, Some(20), 30), Some(8), "what stands between is held");
    assert_eq!(lacks_below(&holes, None, 30), Some(8));
    assert_eq!(lacks_below(&holes, None, 5), None, "it did not look");
}

#[test]
fn members_are_those_to_whom_admissions_lead_from_a_founder() {
    let mut exchange = exchange();
    let are = |exchange: &Exchange| (1..=9).filter(|n| exchange.is_member(&node(*n))).collect::<Vec<u8>>();
    assert_eq!(are(&exchange), [1]);
    exchange.hear(node(4), [(0, &admitted(5))]);
    assert_eq!(are(&exchange), [1], "who admits is no member yet");
    exchange.hear(node(1), [(3, &admitted(3)), (4, &admitted(4))]);
    assert_eq!(are(&exchange), [1, 3, 4, 5], "and all that leads on from there");
    exchange.hear(node(5), [(7, &expelled(3)), (8, &admitted(6))]);
    assert_eq!(are(&exchange), [1, 3, 4, 5, 6], "neither founder nor its admitter");
    exchange.hear(node(1), [(9, &expelled(4))]);
    assert_eq!(are(&exchange), [1, 3], "with those that it alone admitted");
    exchange.hear(node(3), [(2, &admitted(5))]);
    assert_eq!(are(&exchange), [1, 3, 5, 6], "another way leads to them");
    exchange.hear(node(1), [(11, &admitted(4))]);
    assert_eq!(are(&exchange), [1, 3, 4, 5, 6]);
}

#[test]
fn who_came_in_through_the_other_or_by_one_invitation_is_its_kin_and_no_false_admission_makes_kin() {
    let mut exchange = exchange();
    let by = |n: u8, invitation: u8| {
        Fact::Admitted(Admitted { node: node(n), by: AdmittedBy::Invitation(Digest([invitation; 32])) })
    };
    exchange.hear(node(1), [(1, &by(3, 1)), (2, &by(4, 1)), (3, &by(5, 2)), (4, &by(2, 3))]);
    exchange.hear(node(3), [(1, &by(6, 4))]);
    exchange.hear(node(6), [(1, &by(7, 5))]);
    exchange.hear(node(5), [(1, &by(8, 1))]);
    let kin = |exchange: &Exchange, n: u8| -> Vec<u8> {
        let other = |m: &u8| *m != n && exchange.are_kin(&node(n), &node(*m));
        (1..=8).filter(other).collect()
    };
    assert_eq!(kin(&exchange, 3), [4, 6, 7], "by one invitation, and whom it let in, and whom they did");
    assert_eq!(
        kin(&exchange, 7),
        [3, 4, 6],
        "and who let them in, founders aside, and who came in with those"
    );
    assert_eq!(
        kin(&exchange, 5),
        [8],
        "another invitation of the founder; its own with the same digest is no other's"
    );
    assert_eq!(kin(&exchange, 8), [5]);
    // Whoever admits the honest ones does not make them kin.
    exchange.hear(node(3), [(2, &by(5, 9)), (3, &by(4, 9))]);
    assert_eq!(kin(&exchange, 5), [8]);
    // This node's own word is as good as the founders'.
    exchange.hear(node(2), [(1, &by(6, 6)), (2, &by(7, 7))]);
    assert_eq!((kin(&exchange, 6), kin(&exchange, 3)), (vec![], vec![4]));
}

#[test]
fn every_public_fact_has_a_topic_and_no_private_one() {
    let submitted = Fact::Submitted(Submitted {
        step: RunId::new(Wall(1), [1; 9]).step(0),
        epoch: Epoch(1),
        agent: AgentId(secret(1).public()),
        result: Digest([0; 32]),
        authority: crate::fact::Authority::Session,
        late: false,
        handed_at: None,
    });
    for (fact, topic) in [
        (started(), Some(Topic::Agents)),
        (admitted(3), Some(Topic::Agents)),
        (submitted, Some(Topic::Trust)),
        (offered("text"), Some(Topic::of_offer(&[Skill::parse("text").expect("a skill")]))),
        (Fact::Refused(Refused { who: crate::fact::Poster::Operator, code: "x".into(), count: 1 }), None),
    ] {
        assert_eq!(topic_of(&fact), topic);
    }
}

#[test]
fn journals_without_end_that_are_not_kept_take_up_a_bounded_place() {
    let mut exchange = exchange();
    for n in 0..FULL_MAX as u32 + 9 {
        exchange.holds_up_to(Origin::new(HOME, nth(n), 0), 0, true);
    }
    assert_eq!((exchange.held.len(), exchange.full.len()), (0, FULL_MAX));
}

/// A node of which nothing but its key is known; the keys of lower numbers are lower.
fn nth(n: u32) -> NodeId {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&n.to_be_bytes());
    NodeId(artel_protocol::key::PublicKey::from_bytes(key))
}

#[test]
fn a_node_that_names_journals_without_end_takes_no_place_from_others() {
    let mut exchange = exchange();
    let liar = nth(0);
    for incarnation in 0..5_000 {
        exchange.holds_up_to(Origin::new(HOME, liar, incarnation), 1, false);
    }
    exchange.holds_up_to(origin(1), 7, false);
    let own = Mark { origin: origin(2), next: 5 };
    let marks = exchange.marks(own);
    assert!(marks.contains(&own) && marks.contains(&Mark { origin: origin(1), next: 7 }));
    assert_eq!(marks.len(), 2 + JOURNALS_OF_NODE_MAX as usize);
}

#[test]
fn a_journal_too_many_of_a_node_is_nobodys_fault_and_neither_kept_nor_wanted() {
    let exchange = exchange();
    let judged = |incarnation| {
        let origin = Origin::new(HOME, node(1), incarnation);
        let wanted = exchange.missing(&[Mark { origin, next: 1 }]).len();
        (exchange.judge(None, &records_of(origin, &secret(1), 0, vec![entry(started())])), wanted)
    };
    assert_eq!(judged(JOURNALS_OF_NODE_MAX - 1), (Judgement::Keep, 1));
    assert_eq!(judged(JOURNALS_OF_NODE_MAX), (Judgement::Unwanted, 0));
}

#[test]
fn a_full_list_of_marks_names_the_own_journal_and_the_newest_of_each_node() {
    let mut exchange = exchange();
    let nodes = MARKS_MAX as u32 - 9;
    for (n, incarnation) in (0..nodes).map(|n| (n, 0)).chain((1..16).map(|incarnation| (0, incarnation))) {
        exchange.holds_up_to(Origin::new(HOME, nth(n), incarnation), 1, false);
    }
    let own = Mark { origin: Origin::new(HOME, nth(u32::MAX), 0), next: 5 };
    let marks = exchange.marks(own);
    assert_eq!(marks.len(), MARKS_MAX);
    assert!(marks.is_sorted() && marks.contains(&own));
    let named =
        |n, incarnation| marks.contains(&Mark { origin: Origin::new(HOME, nth(n), incarnation), next: 1 });
    assert!((1..nodes).all(|n| named(n, 0)), "one journal of each node");
    assert!(
        (0..16).all(|incarnation| named(0, incarnation) == (incarnation > 6)),
        "and the newest of one that has many"
    );
}

#[test]
fn an_expulsion_that_is_heard_after_the_admission_that_ended_it_does_not_stand() {
    let words = [(4, admitted(5)), (7, expelled(5)), (9, admitted(5))];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut exchange = exchange();
        for at in order {
            let (index, fact) = &words[at];
            exchange.hear(node(1), [(*index, fact)]);
        }
        assert!(exchange.is_member(&node(5)), "{order:?}");
        exchange.hear(node(1), [(11, &expelled(5))]);
        assert!(!exchange.is_member(&node(5)), "{order:?}, and then the last word");
    }
}

#[test]
fn admissions_without_end_by_one_member_keep_nobody_elses_newcomer_out() {
    let nth = |n: u32| {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        NodeId(artel_protocol::key::PublicKey::from_bytes(key))
    };
    let by = AdmittedBy::Operator;
    let fact = |n| (u64::from(n), Fact::Admitted(Admitted { node: nth(n), by }));
    let facts: Vec<(u64, Fact)> = (0..70_000).map(fact).collect();
    let mut exchange = exchange();
    exchange.hear(node(1), [(1, &admitted(7)), (2, &admitted(8))]);
    exchange.hear(node(7), facts.iter().map(|(index, fact)| (*index, fact)));
    assert_eq!(exchange.members().count(), 3 + WORDS_EACH, "its part is full");
    assert_eq!(exchange.unheard(), 70_000 - WORDS_EACH as u64);
    exchange.hear(node(1), [(3, &admitted(5))]);
    exchange.hear(node(8), [(1, &admitted(6))]);
    assert!(exchange.is_member(&node(5)) && exchange.is_member(&node(6)), "a founder's, and another's");
    let gone = Fact::Expelled(Expelled { node: nth(1), reason: String::new() });
    exchange.hear(node(7), [(80_000, &gone)]);
    assert!(!exchange.is_member(&nth(1)), "it takes back one of its own all the same");
    exchange.hear(node(1), [(4, &expelled(7))]);
    assert_eq!(exchange.members().count(), 4, "and all of them go with it");
}
