//! Which journals the book of evidence reads, what waits in it at most, and how it says what it has passed over.

use artel_federation::evidence::{
    Book, JOURNALS_MAX, Learnt, LeftOut, Viewer, WAITING_MAX, WAITING_TOTAL_MAX,
};
use artel_federation::fact::{Authority, HandedAt, Judgement, LeaseEnded, Submitted, Verdict};
use artel_federation::{Entry, Fact};
use artel_protocol::id::{Digest, Epoch, FederationId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, PublicKey};
use artel_protocol::log::Origin;
use artel_protocol::summary::{self, Said};
use artel_protocol::sync::marks_digest;
use artel_protocol::time::Wall;
use std::collections::BTreeSet;

/// No proof is held.
static NONE: BTreeSet<NodeId> = BTreeSet::new();

const NOW: Wall = Wall(1_767_225_600_000 + 43_200_000);

fn node(n: u8) -> NodeId {
    NodeId(PublicKey::from_bytes([n; 32]))
}

fn origin(n: u8, incarnation: u32) -> Origin {
    Origin::new(FederationId([5; 32]), node(n), incarnation)
}

fn agent() -> AgentId {
    AgentId(PublicKey::from_bytes([100; 32]))
}

fn step(n: u64) -> StepId {
    RunId::new(Wall(1_000 + n), [7; 9]).step(0)
}

/// Reads the next public entry of a journal, all of whose entries are public.
fn hear(book: &mut Book, origin: Origin, fact: Fact) -> Vec<Learnt> {
    let (next, mut learnt) = (book.next(&origin), Vec::new());
    hear_at(book, origin, next, fact, &mut learnt);
    learnt
}

fn hear_at(book: &mut Book, origin: Origin, at: u64, fact: Fact, learnt: &mut Vec<Learnt>) {
    let body = Entry { at: NOW, correlation: None, fact }.encode();
    book.hear(origin, (at, at), &body, NOW, learnt);
}

fn lapsed(n: u64) -> Fact {
    Fact::Lapsed(LeaseEnded { step: step(n), epoch: Epoch(1), agent: agent() })
}

fn submitted(n: u64, handed_at: Option<HandedAt>) -> Fact {
    let (step, epoch, agent, result) = (step(n), Epoch(1), agent(), Digest([1; 32]));
    let authority = Authority::Delegated;
    Fact::Submitted(Submitted { step, epoch, agent, result, authority, late: false, handed_at })
}

fn accepted(n: u64, submitted: u64) -> Fact {
    let judgement = Judgement::Accepted { quality: 90, checked: true };
    Fact::Verdict(Verdict { step: step(n), epoch: Epoch(1), agent: agent(), submitted, judgement })
}

/// Home takes a result and accepts it; `handed_at` says where another node is to have handed it in.
fn judge(book: &mut Book, home: Origin, n: u64, handed_at: Option<HandedAt>) -> Vec<Learnt> {
    let at = book.next(&home);
    hear(book, home, submitted(n, handed_at));
    hear(book, home, accepted(n, at))
}

#[test]
fn a_node_that_names_journals_without_end_leaves_room_for_an_honest_one() {
    let mut book = Book::default();
    for incarnation in 0..JOURNALS_MAX as u32 + 76 {
        hear(&mut book, origin(1, incarnation), lapsed(u64::from(incarnation)));
    }
    assert!(book.marks().len() <= 16);
    let learnt = judge(&mut book, origin(2, 0), 9, None);
    assert!(matches!(learnt[..], [Learnt::Receipt(_)]), "{learnt:?}");
    assert!(book.reads(&origin(2, 0)) && !book.reads(&origin(2, 16)));
}

#[test]
fn what_waits_in_all_is_bounded_and_the_home_with_most_gives_way() {
    let mut book = Book::default();
    let never = |n: u64| Some(HandedAt { node: node(9), incarnation: 0, index: 1_000_000 + n });
    let honest = origin(8, 0);
    assert_eq!(judge(&mut book, honest, 0, never(0)), []);
    let homes = (WAITING_TOTAL_MAX / WAITING_MAX) as u32;
    for n in 0..WAITING_TOTAL_MAX as u64 - 1 {
        let home = origin(1, n as u32 % homes);
        assert_eq!(judge(&mut book, home, 1 + n, never(1 + n)), []);
    }
    let learnt = judge(&mut book, honest, u64::from(u32::MAX), never(u64::from(u32::MAX)));
    let [Learnt::LeftOut { home, why: LeftOut::TooMany, .. }] = learnt[..] else { panic!("{learnt:?}") };
    assert_eq!(home.node(), node(1));
    assert_eq!(book.halves().count(), WAITING_TOTAL_MAX);
}

#[test]
fn what_was_passed_over_is_in_the_heads_so_only_readers_of_the_same_records_compare() {
    let read = |seqs: &[u64]| {
        let (mut book, mut learnt) = (Book::default(), Vec::new());
        for seq in seqs {
            let fact = if seq % 2 == 0 { submitted(seq / 2, None) } else { accepted(seq / 2, seq - 1) };
            hear_at(&mut book, origin(1, 0), *seq, fact, &mut learnt);
        }
        book
    };
    let all = read(&[0, 1, 2, 3, 4, 5]);
    assert_eq!((all.heads(&NONE), all.is_whole()), (marks_digest(&all.marks()), true));
    // Whoever has kept only the newest, and who has read them with another hole.
    let pruned = read(&[2, 3, 4, 5]);
    assert_eq!(pruned.marks(), all.marks());
    assert!(!pruned.is_whole());
    let books = [&all, &pruned, &read(&[4, 5]), &read(&[0, 1, 4, 5]), &read(&[0, 1, 2, 5]), &read(&[0, 5])];
    let heads: BTreeSet<Digest> = books.iter().map(|book| book.heads(&NONE)).collect();
    assert_eq!(heads.len(), books.len());
    let summary_of = |book: &Book| {
        let founders = [node(1)];
        let viewer = Viewer { node: node(1), founders: &founders, liars: &NONE };
        let scores: Vec<_> = book.scored(viewer, &agent(), NOW).into_iter().collect();
        assert_eq!(scores.len(), 1);
        Said { viewer: origin(1, 0), at: NOW, heads: book.heads(&NONE), marks: Vec::new(), scores }
    };
    // It neither flags an honest summary of more, nor is flagged; who has read the same compares.
    let founders = [node(1)];
    assert_eq!(pruned.comparing(&founders, &NONE).agrees(&summary_of(&all)), None);
    assert_eq!(all.comparing(&founders, &NONE).agrees(&summary_of(&pruned)), None);
    assert_eq!(read(&[2, 3, 4, 5]).comparing(&founders, &NONE).agrees(&summary_of(&pruned)), Some(true));
    let mut forged = summary_of(&pruned);
    forged.scores[0].receipts_micro += 1;
    assert_eq!(read(&[2, 3, 4, 5]).comparing(&founders, &NONE).agrees(&forged), Some(false));
    assert_eq!(
        pruned.heads(&NONE),
        summary::heads(&pruned.marks(), &[(origin(1, 0), summary::gap(&Digest::default(), 0, 2))], &NONE)
    );
}
