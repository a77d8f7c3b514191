use super::*;
use crate::witness::compare;
use artel_protocol::continuity::Continued;
use artel_protocol::id::FederationId;
use artel_protocol::key::SecretKey;
use artel_protocol::log::tree::{self, leaf_hash, root_of};
use artel_protocol::log::{Checkpoint, Class, Hash, Leaf, Subtree, consistency, subset};
use artel_protocol::record::{Record, Records};

const HOME: FederationId = FederationId([3; 32]);

/// A journal that a clone goes on with from its tenth entry on, if it is one.
struct Log {
    leaves: Vec<Hash>,
    secret: SecretKey,
    incarnation: u32,
}

impl Log {
    fn new(size: u64, is_clone: bool) -> Self {
        let leaf = |i: u64| leaf_hash(&[i, u64::from(is_clone && i >= 10)].map(u64::to_be_bytes).concat());
        Log { leaves: (0..size).map(leaf).collect(), secret: SecretKey::from_seed(&[7; 32]), incarnation: 0 }
    }

    fn origin(&self) -> Origin {
        Origin::new(HOME, NodeId(self.secret.public()), self.incarnation)
    }

    fn signed(&self, size: u64) -> SignedCheckpoint {
        let plain =
            Checkpoint::new(self.origin(), size, root_of(&self.leaves[..size as usize])).expect("plain");
        SignedCheckpoint::sign(plain, &self.secret).expect("its own key")
    }

    fn proof(&self, old: u64, size: u64) -> Vec<Hash> {
        consistency::prove(old, size, read(&self.leaves)).expect("within the tree")
    }

    fn head(&self, old: u64, size: u64) -> Head {
        Head::new(self.signed(size), old, self.proof(old, size))
    }

    /// What an honest program answers, whichever of the two it runs on.
    fn shown(&self, ask: &Ask) -> Shown {
        let size = self.leaves.len() as u64;
        let from = |old: &u64| Continued {
            root: root_of(&self.leaves[..*old as usize]),
            proof: self.proof(*old, size),
        };
        Shown::new(self.signed(size), ask.sizes().iter().map(from).collect())
    }
}

fn read(leaves: &[Hash]) -> impl Fn(Subtree) -> Result<Hash, tree::Error> {
    |at| {
        let start = (at.index << at.level) as usize;
        Ok(root_of(&leaves[start..start + (1 << at.level)]))
    }
}

/// A watch that knows the first twelve entries.
fn watch(log: &Log) -> Watch {
    let mut watch = Watch::default();
    assert_eq!(watch.hear(&log.head(0, 12)), Heard::Newest);
    assert_eq!(watch.known(&log.origin()), None, "nothing is known before it is remembered");
    watch.accept(&log.signed(12));
    watch
}

fn asked(watch: &mut Watch, log: &Log, at: u64) -> Ask {
    watch.ask(&log.origin(), Mono(at)).expect("something is open")
}

fn is_lie(heard: &Heard, kind: &str) -> bool {
    matches!(heard, Heard::Lie(fraud) if fraud.contradiction().name() == kind)
}

#[test]
fn a_line_of_heads_is_known_one_after_the_other() {
    let log = Log::new(20, false);
    let mut watch = watch(&log);
    for (old, size) in [(12, 14), (14, 19)] {
        assert_eq!(watch.hear(&log.head(old, size)), Heard::Newest);
        watch.accept(&log.signed(size));
    }
    assert_eq!(watch.hear(&log.head(14, 19)), Heard::Newest, "the same again is cosigned again");
    assert_eq!(watch.hear(&log.head(3, 14)), Heard::Old);
    assert_eq!(watch.ask(&log.origin(), Mono(0)), None, "nothing is open");
    watch.accept(&log.signed(14));
    assert_eq!(watch.known(&log.origin()), Some(&log.signed(19)), "and it never goes back");
}

#[test]
fn one_question_sets_what_was_heard_out_of_line_in_line() {
    let log = Log::new(20, false);
    let mut watch = watch(&log);
    assert_eq!(watch.hear(&log.head(3, 17)), Heard::Ask);
    assert_eq!(watch.hear(&log.head(3, 9)), Heard::Ask);
    assert_eq!(watch.see(&log.signed(15)), None);
    assert_eq!(watch.see(&log.signed(16)), None, "there is no room for another one, and nothing happens");
    let ask = asked(&mut watch, &log, 5);
    assert_eq!(ask.sizes(), [9, 12, 15, 17]);
    assert_eq!(watch.ask(&log.origin(), Mono(4 + ASK_PAUSE_MS)), None, "once within a pause");
    let shown = log.shown(&ask);
    assert_eq!(watch.answered(&ask, &shown, Mono(6)), Answered::Newest(Box::new(log.signed(20))));
    watch.accept(shown.head());
    assert_eq!(watch.ask(&log.origin(), Mono(9_999)), None);
    assert_eq!(watch.hear(&log.head(3, 17)), Heard::Old);
    assert!(watch.due(Mono(9_999)).is_empty());
}

#[test]
fn another_root_of_a_size_that_is_known_open_or_settled_proves_a_lie() {
    let (log, clone) = (Log::new(20, false), Log::new(20, true));
    let mut watch = watch(&log);
    assert!(is_lie(&watch.hear(&clone.head(3, 12)), "two_roots"), "known");
    assert_eq!(watch.see(&log.signed(15)), None);
    assert!(is_lie(&watch.hear(&clone.head(3, 15)), "two_roots"), "open");
    watch.accept(&log.signed(18));
    let fraud = watch.see(&clone.signed(12)).expect("settled");
    assert_eq!(fraud.origin(), log.origin());
    assert_eq!(watch.see(&clone.signed(9)), None, "before the two part they are the same");
}

#[test]
fn an_answer_of_either_copy_proves_where_they_part() {
    let (log, clone) = (Log::new(20, false), Log::new(17, true));
    // The clone's newer head is open, and the clone answers.
    let mut first = watch(&log);
    assert_eq!(first.hear(&clone.head(12, 17)), Heard::Ask);
    let ask = asked(&mut first, &log, 0);
    let Answered::Lie(fraud) = first.answered(&ask, &clone.shown(&ask), Mono(6)) else { panic!("a lie") };
    assert_eq!(fraud.contradiction().name(), "rewritten");
    // The clone's newer head is open, and the first one answers, which has grown beyond it.
    let mut second = watch(&log);
    assert_eq!(second.hear(&clone.head(12, 17)), Heard::Ask);
    let ask = asked(&mut second, &log, 0);
    assert!(matches!(second.answered(&ask, &log.shown(&ask), Mono(6)), Answered::Lie(_)));
    // The clone is behind what is known.
    let mut third = watch(&log);
    third.accept(&log.signed(20));
    assert_eq!(third.hear(&clone.head(12, 17)), Heard::Ask);
    let ask = asked(&mut third, &log, 0);
    assert_eq!(ask.sizes(), [17, 20]);
    assert!(matches!(third.answered(&ask, &log.shown(&ask), Mono(6)), Answered::Lie(_)));
}

#[test]
fn who_refuses_or_answers_wrongly_is_suspected_until_it_answers() {
    let log = Log::new(20, false);
    let node = log.origin().node();
    let mut watch = watch(&log);
    assert_eq!(watch.hear(&log.head(3, 17)), Heard::Ask);
    let ask = asked(&mut watch, &log, 0);
    assert_eq!(watch.quarantine(&node), None);
    watch.refused(&log.origin(), Mono(0));
    assert_eq!(watch.quarantine(&node), Some(Quarantine::Suspected));
    assert_eq!(watch.hear(&log.head(12, 19)), Heard::Ask, "what continues does not count meanwhile");
    assert_eq!(watch.due(Mono(ASK_PAUSE_MS)), [log.origin()]);
    let mut wrong = log.shown(&ask);
    wrong = Shown::new(wrong.head().clone(), wrong.from().iter().rev().cloned().collect());
    assert_eq!(watch.answered(&ask, &wrong, Mono(6)), Answered::Wrong);
    assert_eq!(watch.quarantine(&node), Some(Quarantine::Suspected));
    let ask = asked(&mut watch, &log, ASK_PAUSE_MS);
    assert_eq!(watch.answered(&ask, &log.shown(&ask), Mono(6)), Answered::Newest(Box::new(log.signed(20))));
    assert_eq!(watch.quarantine(&node), None, "it has shown it");
}

#[test]
fn suspicion_ends_where_a_head_shows_it_and_where_nobody_can_ask() {
    let log = Log::new(20, false);
    let (origin, node) = (log.origin(), log.origin().node());
    let suspected = |watch: &Watch| watch.quarantine(&node) == Some(Quarantine::Suspected);
    // Of what it refused to show nothing is left behind a head that continues what is known.
    let mut shown = watch(&log);
    assert_eq!(shown.see(&log.signed(15)), None);
    shown.refused(&origin, Mono(0));
    assert_eq!(shown.hear(&log.head(3, 12)), Heard::Ask, "this one says nothing of the fifteenth");
    assert!(suspected(&shown));
    assert_eq!(shown.hear(&log.head(12, 15)), Heard::Newest);
    assert!(!suspected(&shown));
    // It is no neighbour any more.
    let mut gone = watch(&log);
    assert_eq!(gone.see(&log.signed(15)), None);
    gone.refused(&origin, Mono(7));
    gone.refused(&origin, Mono(9));
    gone.end_old_suspicion(Mono(8 + SUSPICION_MS));
    assert!(suspected(&gone), "from the last refusal on");
    gone.end_old_suspicion(Mono(9 + SUSPICION_MS));
    assert!(!suspected(&gone));
    assert_eq!(gone.due(Mono(9 + SUSPICION_MS)), [origin], "and when it comes again it is asked");
    assert_eq!(asked(&mut gone, &log, 9 + SUSPICION_MS).sizes(), [12, 15]);
}

#[test]
fn an_answer_from_before_what_is_known_now_says_nothing() {
    let log = Log::new(20, false);
    let mut watch = watch(&log);
    assert_eq!(watch.hear(&log.head(3, 17)), Heard::Ask);
    let ask = asked(&mut watch, &log, 0);
    assert_eq!(watch.hear(&log.head(12, 18)), Heard::Newest);
    watch.accept(&log.signed(18));
    assert_eq!(watch.answered(&ask, &log.shown(&ask), Mono(6)), Answered::Late);
    assert_eq!(asked(&mut watch, &log, ASK_PAUSE_MS).sizes(), [17, 18]);
}

#[test]
fn a_node_that_began_a_new_journal_has_nothing_to_show_of_the_one_before() {
    let mut log = Log::new(20, false);
    let mut watch = watch(&log);
    assert_eq!(watch.hear(&log.head(3, 17)), Heard::Ask);
    let (old, node) = (log.origin(), log.origin().node());
    watch.refused(&old, Mono(0));
    assert_eq!(watch.quarantine(&node), Some(Quarantine::Suspected));
    log.incarnation = 1;
    assert_eq!(watch.hear(&log.head(0, 5)), Heard::Newest);
    assert_eq!(watch.quarantine(&node), None);
    assert_eq!((watch.ask(&old, Mono(0)), watch.due(Mono(99_999))), (None, vec![]));
}

#[test]
fn a_proof_is_held_once_and_for_good() {
    let (log, clone) = (Log::new(20, false), Log::new(20, true));
    let mut watch = watch(&log);
    let Heard::Lie(fraud) = watch.hear(&clone.head(3, 12)) else { panic!("a lie") };
    assert!(watch.accuse(&fraud));
    assert!(!watch.accuse(&fraud));
    assert_eq!(watch.quarantine(&log.origin().node()), Some(Quarantine::Proven));
    assert_eq!(watch.frauds().count(), 1);
}

#[test]
fn who_lied_is_dealt_with_although_there_is_no_room_for_the_proof() {
    let mut watch = Watch::default();
    let fraud = |n: usize| {
        let mut logs = [Log::new(12, false), Log::new(12, true)];
        let seed = [&n.to_le_bytes()[..], &[9; 24]].concat();
        let secret = || SecretKey::from_seed(seed.as_slice().try_into().expect("32 bytes"));
        logs.iter_mut().for_each(|log| log.secret = secret());
        let [one, other] = [&logs[0].signed(12), &logs[1].signed(12)].map(Signed::from);
        *lie(Contradiction::TwoRoots { one, other }, &HOME)
    };
    for n in 0..=FRAUDS_MAX {
        assert!(watch.accuse(&fraud(n)));
    }
    let last = fraud(FRAUDS_MAX);
    assert_eq!(watch.quarantine(&last.origin().node()), Some(Quarantine::Proven));
    assert!(!watch.accuse(&last), "it is known");
    assert_eq!(watch.frauds().count(), FRAUDS_MAX);
}

#[test]
fn a_node_fills_no_more_than_its_share() {
    let mut watch = Watch::default();
    let mut log = Log::new(3, false);
    for incarnation in 0..=JOURNALS_OF_NODE_MAX as u32 {
        log.incarnation = incarnation;
        let fits = (incarnation as usize) < JOURNALS_OF_NODE_MAX;
        assert_eq!(watch.hear(&log.head(0, 3)), if fits { Heard::Newest } else { Heard::Full });
    }
    log.incarnation = 0;
    log.secret = SecretKey::from_seed(&[8; 32]);
    assert_eq!(watch.hear(&log.head(0, 3)), Heard::Newest, "another node has its own");
}

/// Records of a journal whose entries say their index; the clone's say another thing from the third on.
fn records(size: u64, is_clone: bool, positions: &[u64]) -> Records {
    let body = |i: u64| vec![i as u8, u8::from(is_clone && i >= 3)];
    let leaves: Vec<Leaf> = (0..size).map(|i| Leaf::commit(Class::Public, i, &[0; 16], &body(i))).collect();
    let hashes: Vec<Hash> = leaves.iter().map(Leaf::hash).collect();
    let secret = SecretKey::from_seed(&[7; 32]);
    let origin = Origin::new(HOME, NodeId(secret.public()), 0);
    let signed = Checkpoint::new(origin, size, root_of(&hashes)).expect("plain");
    let signed = SignedCheckpoint::sign(signed, &secret).expect("its own key");
    let record = |i: &u64| Record { index: *i, public_seq: *i, salt: [0; 16], body: body(*i) };
    let proof = subset::prove(positions, size, read(&hashes)).expect("within the tree");
    Records::new(&signed, positions.iter().map(record).collect(), proof).expect("sound")
}

#[test]
fn another_leaf_of_an_entry_that_is_held_proves_a_lie() {
    let held = records(6, false, &[1, 2, 4, 5]);
    assert_eq!(
        compare(&held, &records(9, false, &[0, 1, 2, 3, 4, 5, 6])),
        None,
        "the same, under another checkpoint"
    );
    assert_eq!(compare(&held, &records(7, true, &[1, 2, 3])), None, "nothing of both is another");
    let fraud = compare(&held, &records(7, true, &[2, 4])).expect("a lie");
    assert!(matches!(fraud.contradiction(), Contradiction::TwoLeaves { index: 4, .. }));
    assert_eq!(Fraud::read(&fraud.to_frame()), Ok(*fraud));
}
