//! Receipts from the records of several nodes: whatever order the journals come in, whatever is missing or forged.

use artel_federation::evidence::{
    Book, HANDED_MAX, Half, JOURNALS_MAX, Learnt, LeftOut, REFUTABLE_MAX, ROWS_EACH, Receipt, Viewer,
    WAITING_MAX,
};
use artel_federation::fact::{
    Abroad, Authority, HandedAt, HandedIn, Judgement, LeaseEnded, Refuted, Started, Submitted, Verdict,
};
use artel_federation::watch::JOURNALS_OF_NODE_MAX;
use artel_federation::{Entry, Fact};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, Epoch, FederationId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, PublicKey};
use artel_protocol::log::Origin;
use artel_protocol::summary::{Said, Scored};
use artel_protocol::sync::marks_digest;
use artel_protocol::time::Wall;
use artel_reputation::Eighths;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::Bound;

/// No proof is held.
static NONE: BTreeSet<NodeId> = BTreeSet::new();

const NODES: usize = 4;
const AGENTS: u8 = 3;
const NOW: Wall = Wall(1_767_225_600_000 + 43_200_000);

fn node(n: usize) -> NodeId {
    NodeId(PublicKey::from_bytes([n as u8 + 1; 32]))
}

fn agent(n: u8) -> AgentId {
    AgentId(PublicKey::from_bytes([n + 100; 32]))
}

fn origin(n: usize) -> Origin {
    Origin::new(FederationId([5; 32]), node(n), 0)
}

fn step(n: usize) -> StepId {
    RunId::new(Wall(1_000 + n as u64), [n as u8; 9]).step(0)
}

/// One task: its home, the worker's node where it is another, the agent, whether it was taken.
#[derive(Debug, Clone, Copy)]
struct Task {
    home: usize,
    worker: usize,
    agent: u8,
    ends: Ends,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ends {
    Accepted,
    Rejected,
    Lapsed,
}

/// A journal's public entries, each with its index: every second entry is private.
type Journal = Vec<(u64, Entry)>;

fn write(journal: &mut Journal, at: Wall, fact: Fact) -> u64 {
    let index = journal.len() as u64 * 2;
    journal.push((index, Entry { at, correlation: None, fact }));
    index
}

/// The journals that these tasks leave behind, and for each task the entries (node, position) that its receipt is made of.
fn live(tasks: &[Task]) -> (Vec<Journal>, Vec<Vec<(usize, usize)>>) {
    let mut journals = vec![Journal::new(); NODES];
    let mut made = Vec::new();
    for (n, journal) in journals.iter_mut().enumerate() {
        let started = Started { boot: 1, version: format!("{n}"), configuration: Digest::of(&[]) };
        write(journal, NOW, Fact::Started(started));
    }
    for (number, task) in tasks.iter().enumerate() {
        let at = Wall(NOW.0 - 1_000 * number as u64);
        let (step, epoch, agent) = (step(number), Epoch(1), agent(task.agent));
        let result = Digest::of(&number.to_le_bytes());
        let mut parts = Vec::new();
        if task.ends == Ends::Lapsed {
            write(&mut journals[task.home], at, Fact::Lapsed(LeaseEnded { step, epoch, agent }));
            made.push(parts);
            continue;
        }
        let handed_at = (task.worker != task.home).then(|| {
            let lease = Abroad { home: node(task.home), step, epoch };
            let handed = HandedIn { lease, agent, result, authority: Authority::Delegated };
            parts.push((task.worker, journals[task.worker].len()));
            let index = write(&mut journals[task.worker], at, Fact::HandedIn(handed));
            HandedAt { node: node(task.worker), incarnation: 0, index }
        });
        let authority = Authority::Delegated;
        let submitted = Submitted { step, epoch, agent, result, authority, late: false, handed_at };
        parts.push((task.home, journals[task.home].len()));
        let submitted = write(&mut journals[task.home], at, Fact::Submitted(submitted));
        let judgement = match task.ends {
            Ends::Rejected => Judgement::Rejected { check: "schema".into() },
            _ => Judgement::Accepted { quality: 90, checked: true },
        };
        parts.push((task.home, journals[task.home].len()));
        write(
            &mut journals[task.home],
            at,
            Fact::Verdict(Verdict { step, epoch, agent, submitted, judgement }),
        );
        made.push(parts);
    }
    (journals, made)
}

/// Reads journals, the next record always from the journal that `turns` names, and at last what is left of each.
fn read(journals: &[Journal], turns: &[usize]) -> (Book, Vec<Learnt>) {
    let (mut book, mut learnt, mut at) = (Book::default(), Vec::new(), [0; NODES]);
    let rest = (0..NODES).flat_map(|n| std::iter::repeat_n(n, journals[n].len()));
    for n in turns.iter().copied().chain(rest) {
        if let Some((index, entry)) = journals[n].get(at[n]) {
            // What was taken out of the middle of a journal leaves its number free.
            book.hear(origin(n), (index / 2, *index), &entry.encode(), NOW, &mut learnt);
            at[n] += 1;
        }
    }
    (book, learnt)
}

fn receipts(learnt: &[Learnt]) -> BTreeSet<(NodeId, StepId, u64)> {
    let key = |piece: &Learnt| match piece {
        Learnt::Receipt(Receipt { home, step, verdict, .. }) => Some((home.node(), *step, *verdict)),
        _ => None,
    };
    let keys: Vec<_> = learnt.iter().filter_map(key).collect();
    let set: BTreeSet<_> = keys.iter().copied().collect();
    assert_eq!(keys.len(), set.len(), "no receipt is told twice");
    set
}

fn views(book: &Book) -> Vec<String> {
    let founders = [node(0)];
    let seen = |viewer: usize, who: u8| {
        let viewer = Viewer { node: node(viewer), founders: &founders, liars: &NONE };
        format!("{:?}", book.view(viewer, &agent(who), NOW))
    };
    (0..NODES).flat_map(|viewer| (0..AGENTS).map(move |who| seen(viewer, who))).collect()
}

fn task() -> impl Strategy<Value = Task> {
    let ends = prop_oneof![6 => Just(Ends::Accepted), 2 => Just(Ends::Rejected), 1 => Just(Ends::Lapsed)];
    (0..NODES, 0..NODES, 0..AGENTS, ends).prop_map(|(home, worker, agent, ends)| Task {
        home,
        worker,
        agent,
        ends,
    })
}

fn tasks() -> impl Strategy<Value = Vec<Task>> {
    prop::collection::vec(task(), 1..40)
}

fn turns() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..NODES, 0..200)
}

proptest! {
    #[test]
    fn the_order_of_journals_never_shows(tasks in tasks(), turns in turns()) {
        let (journals, made) = live(&tasks);
        let (one, learnt) = read(&journals, &[]);
        let (other, learnt_otherwise) = read(&journals, &turns);
        prop_assert_eq!(receipts(&learnt), receipts(&learnt_otherwise));
        prop_assert_eq!(receipts(&learnt).len(), made.iter().filter(|parts| !parts.is_empty()).count());
        prop_assert!(one.is_whole() && one.halves().next().is_none());
        prop_assert_eq!(views(&one), views(&other));
        prop_assert_eq!(&one, &other);
        let bytes = artel_protocol::codec::encode(&one);
        prop_assert_eq!(artel_protocol::codec::decode_own::<Book>(&bytes), Ok(one));
    }

    #[test]
    fn without_a_record_its_receipt_is_gone_and_no_other(
        tasks in tasks(), turns in turns(), at in any::<prop::sample::Index>()
    ) {
        let (journals, made) = live(&tasks);
        let parts: Vec<(usize, (usize, usize))> =
            made.iter().enumerate().flat_map(|(n, parts)| parts.iter().map(move |part| (n, *part))).collect();
        prop_assume!(!parts.is_empty());
        let (number, (n, position)) = *at.get(&parts);
        let all = receipts(&read(&journals, &turns).1);
        let mut fewer = journals.clone();
        fewer[n].remove(position);
        let (book, learnt) = read(&fewer, &turns);
        let left: BTreeSet<_> = all.iter().filter(|(_, of, _)| *of != step(number)).copied().collect();
        prop_assert_eq!(left.len() + 1, all.len());
        prop_assert_eq!(receipts(&learnt), left);
        // The last record of a journal leaves no gap behind.
        prop_assert_eq!(book.is_whole(), position + 1 == journals[n].len());
        // The book is the one of a world in which that receipt never was.
        let mut never = journals.clone();
        for (n, position) in made[number].iter().rev() {
            never[*n][*position].1.fact = Fact::Started(Started {
                boot: 9, version: String::new(), configuration: Digest::of(&[]),
            });
        }
        prop_assert_eq!(views(&book), views(&read(&never, &[]).0));
    }

    #[test]
    fn a_forged_record_makes_no_receipt(
        tasks in tasks(), turns in turns(), at in any::<prop::sample::Index>(), how in 0..4u8
    ) {
        let (journals, made) = live(&tasks);
        let parts: Vec<(usize, (usize, usize))> =
            made.iter().enumerate().flat_map(|(n, parts)| parts.iter().map(move |part| (n, *part))).collect();
        prop_assume!(!parts.is_empty());
        let (number, (n, position)) = *at.get(&parts);
        let all = receipts(&read(&journals, &turns).1);
        let mut forged = journals.clone();
        let stranger = agent(99);
        let changed = match (&mut forged[n][position].1.fact, how) {
            (Fact::HandedIn(f), 0) => { f.agent = stranger; true }
            (Fact::HandedIn(f), 1) => { f.result = Digest::of(b"another"); true }
            (Fact::HandedIn(f), 2) => { f.lease.epoch = Epoch(2); true }
            (Fact::HandedIn(f), _) => { f.lease.home = node((tasks[number].home + 1) % NODES); true }
            (Fact::Submitted(f), 0) => { f.agent = stranger; true }
            (Fact::Submitted(f), 1) => { f.epoch = Epoch(2); true }
            (Fact::Submitted(f), _) => match &mut f.handed_at {
                Some(handed) if how == 2 => { handed.index += 1; true }
                Some(handed) => { handed.node = node(tasks[number].home); true }
                None => false,
            },
            (Fact::Verdict(f), 0) => { f.agent = stranger; true }
            (Fact::Verdict(f), 1) => { f.submitted += 1; true }
            (Fact::Verdict(f), 2) => { f.epoch = Epoch(2); true }
            _ => false,
        };
        prop_assume!(changed);
        let left: BTreeSet<_> = all.iter().filter(|(_, of, _)| *of != step(number)).copied().collect();
        prop_assert_eq!(receipts(&read(&forged, &turns).1), left);
    }

    #[test]
    fn equal_marks_give_equal_integers_and_a_wrong_one_is_seen(
        tasks in tasks(), turns in turns(), viewer in 0..NODES, by in 1..1_000u32
    ) {
        let (journals, _) = live(&tasks);
        let founders = [node(0)];
        let (theirs, ours) = (read(&journals, &turns).0, read(&journals, &[]).0);
        let as_viewer = Viewer { node: node(viewer), founders: &founders, liars: &NONE };
        let scores: Vec<Scored> =
            theirs.agents_after(Bound::Unbounded).filter_map(|who| theirs.scored(as_viewer, who, NOW)).collect();
        prop_assume!(!scores.is_empty());
        let marks = theirs.marks();
        let said = Said { viewer: origin(viewer), at: NOW, heads: marks_digest(&marks), marks, scores };
        prop_assert_eq!(ours.comparing(&founders, &NONE).agrees(&said), Some(true));
        let mut wrong = said.clone();
        let score = wrong.scores[0].score;
        wrong.scores[0].score = if score >= by { score - by } else { score + by };
        prop_assert_eq!(ours.comparing(&founders, &NONE).agrees(&wrong), Some(false));
        let mut elsewhere = said;
        elsewhere.marks[0].next += 1;
        elsewhere.heads = marks_digest(&elsewhere.marks);
        prop_assert_eq!(ours.comparing(&founders, &NONE).agrees(&elsewhere), None);
    }
}

/// Says at the end of home's journal that a task's accepted result is another.
fn refute(journals: &mut [Journal], tasks: &[Task], made: &[Vec<(usize, usize)>], number: usize) {
    let Task { home, agent: who, .. } = tasks[number];
    let index_of = |back: usize| {
        let (n, position) = made[number][made[number].len() - 1 - back];
        journals[n][position].0
    };
    let (verdict, submitted) = (index_of(0), index_of(1));
    let refuted = Refuted {
        step: step(number),
        epoch: Epoch(1),
        agent: agent(who),
        submitted,
        verdict,
        judged: NOW,
        late: false,
        quality: Some(90),
        other: Digest::of(b"another"),
        profile: Digest::of(b"profile"),
        recalled: Credits(1),
    };
    write(&mut journals[home], NOW, Fact::Refuted(refuted));
}

fn assessments(book: &Book) -> Vec<String> {
    let founders = [node(0)];
    let of = |viewer: usize, who: u8| {
        let viewer = Viewer { node: node(viewer), founders: &founders, liars: &NONE };
        format!("{:?}", book.view(viewer, &agent(who), NOW).assessment)
    };
    (0..NODES).flat_map(|viewer| (0..AGENTS).map(move |who| of(viewer, who))).collect()
}

proptest! {
    #[test]
    fn a_refuted_result_counts_for_nobody_whatever_order_the_journals_come_in(
        tasks in tasks(), turns in turns(), which in prop::collection::vec(any::<bool>(), 40), again in any::<bool>()
    ) {
        let (mut journals, made) = live(&tasks);
        let is_refuted =
            |n: usize| which[n] && tasks[n].ends == Ends::Accepted && tasks[n].home != tasks[n].worker;
        let refuted: Vec<usize> = (0..tasks.len()).filter(|n| is_refuted(*n)).collect();
        let mut never = journals.clone();
        for n in &refuted {
            refute(&mut journals, &tasks, &made, *n);
            if again {
                refute(&mut journals, &tasks, &made, *n);
            }
            for (node, position) in &made[*n] {
                never[*node][*position].1.fact = Fact::Started(Started {
                    boot: 9, version: String::new(), configuration: Digest::of(&[]),
                });
            }
        }
        let (one, learnt) = read(&journals, &[]);
        let (other, _) = read(&journals, &turns);
        prop_assert_eq!(&one, &other);
        prop_assert!(one.is_whole());
        let told = learnt.iter().filter(|piece| matches!(piece, Learnt::Refuted(_))).count();
        prop_assert_eq!(told, refuted.len());
        let never = read(&never, &[]).0;
        prop_assert_eq!(assessments(&one), assessments(&never));
        for (a, b) in (0..NODES).flat_map(|a| (0..NODES).map(move |b| (a, b))) {
            prop_assert_eq!(one.settled(node(a), node(b)), never.settled(node(a), node(b)));
        }
    }
}

#[test]
fn what_names_another_result_or_too_old_a_one_changes_no_book() {
    let count = REFUTABLE_MAX + 1;
    let tasks = vec![accepted(0, 1, 0); count];
    let (journals, made) = live(&tasks);
    let plain = read(&journals, &[]).0;
    let with = |number: usize, change: fn(&mut Refuted)| {
        let mut journals = journals.clone();
        refute(&mut journals, &tasks, &made, number);
        let Fact::Refuted(f) = &mut journals[0].last_mut().expect("just written").1.fact else {
            panic!("it is")
        };
        change(f);
        assessments(&read(&journals, &[]).0)
    };
    assert_eq!(with(0, |_| {}), assessments(&plain), "as many were accepted since as are remembered");
    assert_ne!(with(1, |_| {}), assessments(&plain));
    for change in [(|f| f.agent = agent(2)) as fn(&mut Refuted), |f| f.epoch = Epoch(2), |f| f.verdict += 2] {
        assert_eq!(with(count - 1, change), assessments(&plain));
    }
}

/// Task 0's journals and those of as many accepted after it as are asked for; what home says of task 0 stands right behind its verdict.
fn refuted_early(after: usize, words: &[fn(&mut Refuted)]) -> Vec<Journal> {
    let tasks = vec![accepted(0, 1, 0); 1 + after];
    let (mut journals, made) = live(&tasks[..1]);
    for change in words {
        refute(&mut journals, &tasks, &made, 0);
        let Fact::Refuted(f) = &mut journals[0].last_mut().expect("just written").1.fact else {
            panic!("it is")
        };
        change(f);
    }
    let (later, _) = live(&tasks);
    let shift = 2 * words.len() as u64;
    for (index, entry) in &later[0][3..] {
        let mut entry = entry.clone();
        if let Fact::Verdict(f) = &mut entry.fact {
            f.submitted += shift;
        }
        journals[0].push((index + shift, entry));
    }
    journals[1].clone_from(&later[1]);
    journals
}

/// The books of two readers: one reads all of home's journal first, the other all of the worker's node's.
fn read_in_both_orders(journals: &[Journal]) -> (Book, Book) {
    let first = |n: usize| read(journals, &vec![n; journals[n].len()]).0;
    (first(0), first(1))
}

#[test]
fn what_is_refuted_before_its_receipt_is_whole_is_not_forgotten_while_half_of_it_waits() {
    for after in [0, REFUTABLE_MAX - 1, REFUTABLE_MAX, 2 * REFUTABLE_MAX] {
        let (home_first, worker_first) = read_in_both_orders(&refuted_early(after, &[|_| {}]));
        assert!(home_first.is_whole());
        assert_eq!(home_first.settled(node(0), node(1)), after as u64);
        assert_eq!(home_first, worker_first, "{after}");
    }
}

#[test]
fn a_home_that_refutes_another_result_first_makes_no_two_readers_disagree() {
    let right: fn(&mut Refuted) = |_| {};
    let wrong: [fn(&mut Refuted); 3] = [|f| f.step = step(1), |f| f.epoch = Epoch(2), |f| f.agent = agent(2)];
    for wrong in wrong {
        for (words, settled) in [(vec![wrong], 2), (vec![wrong, right], 1), (vec![right, wrong], 1)] {
            let (home_first, worker_first) = read_in_both_orders(&refuted_early(1, &words));
            assert_eq!(home_first, worker_first);
            assert_eq!(home_first.settled(node(0), node(1)), settled);
        }
    }
}

fn accepted(home: usize, worker: usize, agent: u8) -> Task {
    Task { home, worker, agent, ends: Ends::Accepted }
}

fn weights(book: &Book, viewer: usize, who: u8) -> Vec<(NodeId, u8)> {
    let founders = [node(0)];
    let view = book.view(Viewer { node: node(viewer), founders: &founders, liars: &NONE }, &agent(who), NOW);
    view.parts.iter().map(|part| (part.home, part.weight.get())).collect()
}

#[test]
fn a_home_weighs_what_the_viewer_or_a_founder_settled_with_it() {
    // Agent 1 works at home 2 for node 3. Node 1 settled three with home 2, the founder five, in the other direction.
    let mut tasks = vec![accepted(2, 3, 1)];
    tasks.extend([accepted(2, 1, 0); 3]);
    let (journals, _) = live(&tasks);
    assert_eq!(weights(&read(&journals, &[]).0, 1, 1), [(node(2), 3)]);
    tasks.extend([accepted(0, 2, 0); 5]);
    tasks.push(Task { ends: Ends::Rejected, ..accepted(0, 2, 0) });
    let book = read(&live(&tasks).0, &[]).0;
    assert_eq!(weights(&book, 1, 1), [(node(2), 5)], "the founder's five, and no rejection");
    assert_eq!(weights(&book, 2, 1), [(node(2), 8)], "the viewer's own count in full");
    let settled_as_worker = [accepted(0, 3, 1)];
    assert_eq!(
        weights(&read(&live(&settled_as_worker).0, &[]).0, 2, 1),
        [(node(0), 8)],
        "and so do a founder's"
    );
}

#[test]
fn what_a_home_says_of_its_own_agents_counts_for_itself_alone() {
    let mut tasks = vec![accepted(2, 2, 1); 5];
    tasks.extend([accepted(2, 1, 0); 8]);
    tasks.push(Task { ends: Ends::Lapsed, ..accepted(2, 3, 1) });
    let book = read(&live(&tasks).0, &[]).0;
    let founders = [node(0)];
    let view =
        |viewer| book.view(Viewer { node: node(viewer), founders: &founders, liars: &NONE }, &agent(1), NOW);
    assert_eq!(view(1).assessment.receipts_micro, 0, "its weight is full, and it says nothing that counts");
    assert_eq!(view(1).parts[0].weight, Eighths::FULL);
    // At home, all five and the lapse count; ages differ by seconds of one day.
    assert_eq!(view(2).assessment.receipts_micro, 6_000_000);
    assert_eq!((view(2).parts[0].tally.accepted, view(2).parts[0].tally.lapsed), (5, 1));
}

#[test]
fn a_step_and_epoch_count_once() {
    let (mut journals, _) = live(&[accepted(2, 1, 0)]);
    let again: Vec<Entry> = journals[2][1..3].iter().map(|(_, entry)| entry.clone()).collect();
    let submitted = write(&mut journals[2], NOW, again[0].fact.clone());
    let Fact::Verdict(verdict) = &again[1].fact else { panic!("the second is the verdict") };
    write(&mut journals[2], NOW, Fact::Verdict(Verdict { submitted, ..verdict.clone() }));
    let (_, learnt) = read(&journals, &[]);
    assert_eq!(receipts(&learnt).len(), 1);
    let why = reasons(&learnt);
    assert_eq!(why, [LeftOut::Twice, LeftOut::NoSubmission]);
}

fn reasons(learnt: &[Learnt]) -> Vec<LeftOut> {
    let why = |piece: &Learnt| match piece {
        Learnt::LeftOut { why, .. } => Some(*why),
        _ => None,
    };
    learnt.iter().filter_map(why).collect()
}

#[test]
fn what_does_not_come_any_more_is_not_waited_for() {
    let (mut journals, _) = live(&[accepted(0, 1, 0), accepted(2, 1, 1)]);
    journals[1].remove(1);
    // The worker's node's journal first, and last.
    for turns in [vec![1; 3], vec![0, 0, 0, 1, 1]] {
        let (book, learnt) = read(&journals, &turns);
        assert_eq!(reasons(&learnt), [LeftOut::NotHandedIn]);
        assert_eq!((receipts(&learnt).len(), book.halves().count()), (1, 0));
    }
}

#[test]
fn a_journal_whose_numbers_disagree_with_its_places_is_read_without_harm() {
    // A verdict of home 0 waits for node 1's record, so that something waits at all.
    let (journals, _) = live(&[accepted(0, 1, 0)]);
    let (mut book, mut learnt) = (Book::default(), Vec::new());
    for (index, entry) in &journals[0] {
        book.hear(origin(0), (index / 2, *index), &entry.encode(), NOW, &mut learnt);
    }
    let lapsed = LeaseEnded { step: step(7), epoch: Epoch(1), agent: agent(2) };
    let lapsed = Entry { at: NOW, correlation: None, fact: Fact::Lapsed(lapsed) }.encode();
    for (number, index, body) in [(0, 1_000, &[][..]), (1, 500, &lapsed), (2, 1_000, &lapsed), (3, 999, &[])]
    {
        book.hear(origin(2), (number, index), body, NOW, &mut learnt);
    }
    assert_eq!(book.next(&origin(2)), 4, "each number is read");
    assert!(!learnt.iter().any(|piece| matches!(piece, Learnt::Lapse(_))), "what stands behind says nothing");
    book.hear(origin(2), (4, 1_001), &lapsed, NOW, &mut learnt);
    assert!(matches!(learnt.last(), Some(Learnt::Lapse(_))), "and what goes on counts");
}

#[test]
fn a_home_that_hands_in_to_itself_has_no_receipt() {
    let (mut journals, _) = live(&[accepted(0, 1, 0)]);
    let (_, handed) = journals[1].remove(1);
    let index = write(&mut journals[0], NOW, handed.fact);
    let own = journals[0].pop().expect("just written");
    journals[0].insert(1, own);
    let Fact::Submitted(submitted) = &mut journals[0][2].1.fact else { panic!("it is the second") };
    submitted.handed_at = Some(HandedAt { node: node(0), incarnation: 0, index: 2 });
    let Fact::Verdict(verdict) = &mut journals[0][3].1.fact else { panic!("it is the third") };
    verdict.submitted = 4;
    assert_eq!(index, 6);
    journals[0].iter_mut().enumerate().for_each(|(at, (index, _))| *index = at as u64 * 2);
    let (_, learnt) = read(&journals, &[]);
    assert_eq!((receipts(&learnt).len(), reasons(&learnt)), (0, vec![LeftOut::ToItself]));
}

/// Reads on in all journals what is there to be read, each as far as it goes.
fn read_on(book: &mut Book, journals: &[Journal], now: Wall) {
    for (n, journal) in journals.iter().enumerate() {
        for (index, entry) in journal {
            book.hear(origin(n), (index / 2, *index), &entry.encode(), now, &mut Vec::new());
        }
    }
}

/// What a viewer says that has read this.
fn said(book: &Book, viewer: usize, founders: &[NodeId], at: Wall) -> Said {
    let as_viewer = Viewer { node: node(viewer), founders, liars: &NONE };
    let scores = book.agents_after(Bound::Unbounded).filter_map(|who| book.scored(as_viewer, who, at));
    let (marks, scores) = (book.marks(), scores.collect());
    Said { viewer: origin(viewer), at, heads: marks_digest(&marks), marks, scores }
}

#[test]
fn what_is_dated_ahead_is_read_when_its_time_has_come() {
    let (journals, _) = live(&[accepted(0, 1, 0)]);
    let early = Wall(NOW.0 - 600_000);
    let mut book = Book::default();
    read_on(&mut book, &journals, early);
    assert!(!book.knows(&agent(0)) && book.has_to_wait(&origin(0)));
    assert_eq!(book.next(&origin(0)), journals[0].len() as u64 - 1, "and the marks say so");
    book.tick(Wall(NOW.0 - 300_000));
    read_on(&mut book, &journals, Wall(NOW.0 - 300_000));
    assert!(book.knows(&agent(0)));
    assert_eq!(book, read(&journals, &[]).0);
    // A summary of a moment at which it could not count yet is not compared.
    let founders = [node(0)];
    assert_eq!(book.comparing(&founders, &NONE).agrees(&said(&book, 0, &founders, early)), None);
    assert_eq!(book.comparing(&founders, &NONE).agrees(&said(&book, 0, &founders, NOW)), Some(true));
}

#[test]
fn who_dates_entries_ahead_is_left_out_alone_and_by_everybody() {
    let (mut journals, _) = live(&[accepted(0, 1, 0), accepted(2, 1, 1)]);
    for n in 0..4_097 {
        let at = Wall(NOW.0 + 1_000 * 365 * 86_400_000 + n);
        let lapsed = LeaseEnded { step: step(9), epoch: Epoch(n as u32), agent: agent(2) };
        write(&mut journals[3], at, Fact::Lapsed(lapsed));
    }
    let turns: Vec<usize> = (0..9_000).map(|n| [3, 2, 0, 1][n % 4]).collect();
    let (one, other) = (read(&journals, &[]).0, read(&journals, &turns).0);
    assert_eq!(one, other);
    assert!(one.is_whole() && one.knows(&agent(0)) && one.knows(&agent(1)) && !one.knows(&agent(2)));
    assert_eq!(one.next(&origin(3)), 1);
    let founders = [node(0)];
    assert_eq!(one.comparing(&founders, &NONE).agrees(&said(&other, 1, &founders, NOW)), Some(true));
}

/// Node 1 hands in a result to a home; where it entered that.
fn hand_in(journals: &mut [Journal], home: usize, number: usize) -> u64 {
    let lease = Abroad { home: node(home), step: step(0), epoch: Epoch(number as u32) };
    let result = Digest::of(&number.to_le_bytes());
    let handed = HandedIn { lease, agent: agent(0), result, authority: Authority::Delegated };
    write(&mut journals[1], NOW, Fact::HandedIn(handed))
}

/// A home enters a result that another node handed in, and its verdict.
fn judge(journals: &mut [Journal], home: usize, number: usize, (worker, index): (usize, u64)) {
    let (step, epoch, agent) = (step(0), Epoch(number as u32), agent(0));
    let handed_at = Some(HandedAt { node: node(worker), incarnation: 0, index });
    let (result, authority) = (Digest::of(&number.to_le_bytes()), Authority::Delegated);
    let submitted = Submitted { step, epoch, agent, result, authority, late: false, handed_at };
    let submitted = write(&mut journals[home], NOW, Fact::Submitted(submitted));
    let judgement = Judgement::Accepted { quality: 90, checked: true };
    let verdict = Verdict { step, epoch, agent, submitted, judgement };
    write(&mut journals[home], NOW, Fact::Verdict(verdict));
}

#[test]
fn results_that_no_home_answers_hold_no_journal_up() {
    let (mut journals, _) = live(&[]);
    // Node 3 is gone: nothing of it is ever read.
    let all: Vec<u64> = (0..HANDED_MAX + 1).map(|n| hand_in(&mut journals, 3, n)).collect();
    let place = hand_in(&mut journals, 2, 0);
    judge(&mut journals, 2, 0, (1, place));
    let gone = std::mem::take(&mut journals[3]);
    let founders = [node(0)];
    let turns: Vec<usize> = (0..HANDED_MAX * 4).map(|n| [2, 0, 1][n % 3]).collect();
    let (mut one, other) = (read(&journals, &[]).0, read(&journals, &turns).0);
    assert_eq!((one.marks(), views(&one)), (other.marks(), views(&other)));
    assert!(one.is_whole() && other.is_whole() && one.knows(&agent(0)));
    assert!(one.halves().count() < HANDED_MAX && other.halves().count() == HANDED_MAX, "one more or less");
    // It comes back and answers: what it says of a forgotten one may be a receipt elsewhere, so who counts by it cannot tell.
    journals[3] = gone;
    judge(&mut journals, 3, HANDED_MAX, (1, all[HANDED_MAX]));
    read_on(&mut one, &journals, NOW);
    assert!(one.is_whole(), "the newest was there");
    judge(&mut journals, 3, 0, (1, all[0]));
    read_on(&mut one, &journals, NOW);
    let tells =
        |viewer: usize| one.can_tell(Viewer { node: node(viewer), founders: &founders, liars: &NONE });
    assert_eq!((0..NODES).map(tells).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!(one.comparing(&founders, &NONE).agrees(&said(&one, 1, &founders, NOW)), None);
    assert_eq!(one.comparing(&founders, &NONE).agrees(&said(&one, 2, &founders, NOW)), Some(true));
}

#[test]
fn verdicts_that_wait_for_a_node_without_end_hold_nobody_up() {
    let (mut journals, _) = live(&[accepted(0, 1, 0)]);
    for n in 0..WAITING_MAX + 1 {
        judge(&mut journals, 2, n, (3, 1_000 + n as u64));
    }
    let founders = [node(0)];
    let (mut one, other) = (read(&journals, &[]).0, read(&journals, &[2; 2 * WAITING_MAX]).0);
    assert_eq!(one, other);
    assert!(one.is_whole(), "node 3 has handed nothing in");
    assert_eq!(one.comparing(&founders, &NONE).agrees(&said(&other, 1, &founders, NOW)), Some(true));
    // It has, after all: what home said of it was forgotten here.
    let handed = HandedIn {
        lease: Abroad { home: node(2), step: step(0), epoch: Epoch(0) },
        agent: agent(0),
        result: Digest::of(&0usize.to_le_bytes()),
        authority: Authority::Delegated,
    };
    let entry = Entry { at: NOW, correlation: None, fact: Fact::HandedIn(handed) };
    one.hear(origin(3), (1, 1_000), &entry.encode(), NOW, &mut Vec::new());
    let tells =
        |viewer: usize| one.can_tell(Viewer { node: node(viewer), founders: &founders, liars: &NONE });
    assert_eq!((0..NODES).map(tells).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn incarnations_without_end_keep_no_other_journal_unread() {
    let (journals, _) = live(&[accepted(0, 1, 0)]);
    let mut book = Book::default();
    for incarnation in 0..2 * JOURNALS_MAX as u32 {
        let origin = Origin::new(FederationId([5; 32]), node(3), incarnation);
        let (_, started) = &journals[3][0];
        book.hear(origin, (0, 0), &started.encode(), NOW, &mut Vec::new());
    }
    assert_eq!(book.marks().len(), JOURNALS_OF_NODE_MAX);
    read_on(&mut book, &journals, NOW);
    assert!(book.knows(&agent(0)));
}

#[test]
fn a_home_that_names_agents_without_end_is_left_out_alone() {
    let (mut journals, _) = live(&[accepted(0, 1, 0)]);
    for n in 0..ROWS_EACH as u32 + 9 {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        let agent = AgentId(PublicKey::from_bytes(key));
        let lapsed = LeaseEnded { step: step(9), epoch: Epoch(n), agent };
        write(&mut journals[2], NOW, Fact::Lapsed(lapsed));
    }
    let book = read(&journals, &[]).0;
    let founders = [node(0)];
    let tells =
        |viewer: usize| book.can_tell(Viewer { node: node(viewer), founders: &founders, liars: &NONE });
    assert_eq!((0..NODES).map(tells).collect::<Vec<_>>(), [true, true, false, true]);
    assert_eq!(book.agents_after(Bound::Unbounded).count(), ROWS_EACH + 1);
}

#[test]
fn halves_say_what_they_wait_for() {
    let (mut journals, _) = live(&[accepted(0, 1, 0), accepted(0, 2, 1)]);
    journals[0].pop();
    journals[1].clear();
    let (book, _) = read(&journals, &[]);
    let halves: Vec<Half> = book.halves().collect();
    assert!(matches!(halves[0], Half::Unjudged { step: of, .. } if of == step(1)), "{halves:?}");
    assert!(matches!(&halves[1], Half::Unhanded(receipt) if receipt.step == step(0)), "{halves:?}");
    assert!(matches!(halves[2], Half::Unanswered { lease, .. } if lease.step == step(1)), "{halves:?}");
}

/// What a viewer makes of an agent that holds proofs against these nodes: receipts that count, and each home's weight.
fn seen_with(book: &Book, viewer: usize, who: u8, liars: &[usize]) -> (u64, Vec<(NodeId, u8)>) {
    let (founders, liars) = ([node(0)], proven(liars));
    let view = book.view(Viewer { node: node(viewer), founders: &founders, liars: &liars }, &agent(who), NOW);
    let weights = view.parts.iter().map(|part| (part.home, part.weight.get())).collect();
    (view.assessment.receipts_micro, weights)
}

fn proven(liars: &[usize]) -> BTreeSet<NodeId> {
    liars.iter().map(|n| node(*n)).collect()
}

#[test]
fn what_a_proven_liar_wrote_counts_for_nobody() {
    // Agent 1 of node 3 worked at home 2, which the viewer 1 settled nine with, and at the founder's; and of node 1 at home 2.
    let mut tasks = vec![accepted(2, 3, 1), accepted(0, 3, 1), accepted(2, 1, 1)];
    tasks.extend([accepted(2, 1, 0); 8]);
    let book = read(&live(&tasks).0, &[]).0;
    let both = |two| vec![(node(0), 8), (node(2), two)];
    // So few are less than the part that one home may have.
    assert_eq!(seen_with(&book, 1, 1, &[]), (3_000_000, both(8)));
    assert_eq!(seen_with(&book, 1, 1, &[2]), (1_000_000, both(0)), "home lied: the founder's one is left");
    assert_eq!(
        seen_with(&book, 1, 1, &[3]),
        (1_000_000, both(8)),
        "the worker's node lied: what node 1 bears out is left"
    );
    assert_eq!(
        seen_with(&book, 1, 1, &[0]),
        (2_000_000, vec![(node(0), 0), (node(2), 8)]),
        "so is a founder judged"
    );
    assert_eq!(seen_with(&book, 1, 1, &[0, 2, 3]).0, 0);
    // Home itself holds to the same: another reader stopped elsewhere in the liar's journal.
    assert_eq!(seen_with(&book, 2, 1, &[]).0, 3_000_000);
    assert_eq!(seen_with(&book, 2, 1, &[3]).0, 1_000_000);
    assert_eq!(seen_with(&book, 2, 1, &[2]).0, 1_000_000, "nor does a liar count for itself");
}

#[test]
fn a_proven_founder_makes_no_home_weigh_anything() {
    let mut tasks = vec![accepted(2, 3, 1)];
    tasks.extend([accepted(0, 2, 0); 5]);
    let book = read(&live(&tasks).0, &[]).0;
    assert_eq!(seen_with(&book, 1, 1, &[]).1, [(node(2), 5)]);
    assert_eq!(seen_with(&book, 1, 1, &[0]).1, [(node(2), 0)]);
}

#[test]
fn who_holds_other_proofs_is_not_compared_and_who_stopped_elsewhere_in_a_liar_s_journal_is() {
    let tasks = [accepted(0, 1, 0), accepted(2, 3, 1), accepted(0, 3, 1), accepted(2, 1, 1)];
    let (journals, _) = live(&tasks);
    let all = read(&journals, &[]).0;
    // Another reader had the proof against node 3 before that node's last record.
    let mut fewer = journals.clone();
    assert!(fewer[3].pop().is_some());
    let early = read(&fewer, &[]).0;
    let (founders, liars) = ([node(0)], proven(&[3]));
    let said = |book: &Book, liars: &BTreeSet<NodeId>| {
        let viewer = Viewer { node: node(1), founders: &founders, liars };
        let scores = book.agents_after(Bound::Unbounded).filter_map(|who| book.scored(viewer, who, NOW));
        let (heads, scores) = (book.heads(liars), scores.collect());
        Said { viewer: origin(1), at: NOW, heads, marks: Vec::new(), scores }
    };
    let agrees =
        |book: &Book, held: &BTreeSet<NodeId>, said: &Said| book.comparing(&founders, held).agrees(said);
    assert_eq!(agrees(&all, &NONE, &said(&all, &NONE)), Some(true));
    assert_ne!(said(&all, &NONE).scores, said(&all, &liars).scores, "the proof matters");
    assert_eq!(agrees(&all, &NONE, &said(&all, &liars)), None);
    assert_eq!(agrees(&all, &liars, &said(&all, &NONE)), None);
    assert_eq!(agrees(&all, &proven(&[2]), &said(&all, &liars)), None);
    assert_eq!(agrees(&all, &proven(&[9]), &said(&all, &NONE)), None, "of whom nothing was read");
    assert_eq!(agrees(&early, &NONE, &said(&all, &NONE)), None);
    assert_eq!(agrees(&early, &liars, &said(&all, &liars)), Some(true));
    // A lie about it is still seen.
    let lie = Said { heads: all.heads(&liars), ..said(&all, &NONE) };
    assert_eq!(agrees(&early, &liars, &lie), Some(false));
}
