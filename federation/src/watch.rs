//! Watching other journals: what is known of each, what still has to be shown, and whom nothing more is taken from.
//!
//! Every checkpoint of a member's journal that comes by any way is seen here, compared with the others and, where nothing
//! says yet that it stands in one line with them, asked about. What is known was shown to continue all that was known
//! before. The shell asks, and remembers, synced, before it cosigns; here is only what follows.
//!
//! Suspicion (a question that was refused or answered wrongly) ends when a later answer or head settles it, or when its node
//! could not be asked for a while; a proof of fraud is for good. Neither changes who is a member: that is the records' to say.

use crate::witness::{self, judge_answer, lie};
use artel_protocol::continuity::{Ask, SIZES_MAX, Shown};
use artel_protocol::key::NodeId;
use artel_protocol::log::{Origin, SignedCheckpoint};
use artel_protocol::time::Mono;
use artel_protocol::witness::{Contradiction, Fraud, Head, Signed};
use std::collections::{BTreeMap, BTreeSet};

/// The most journals that are watched; each takes 2 KiB at most. A further one is not watched, hence not cosigned:
/// forgetting one would let its node show us another history.
pub const JOURNALS_MAX: usize = 8_192;

/// The most journals of one node: it gets a new one when it is restored from a copy. A node that names more takes no place
/// from others; those above are not watched.
pub const JOURNALS_OF_NODE_MAX: usize = artel_protocol::log::JOURNALS_OF_NODE_MAX as usize;

/// The most checkpoints of a journal that are still to be shown in line. What comes above is asked about at its next coming;
/// together with the one that is known they fit into one question.
pub const OPEN_MAX: usize = SIZES_MAX - 1;

/// The most checkpoints of a journal that are kept although all is well with them, the newest: another root of one of these
/// sizes is seen at once, without a question.
pub const SETTLED_MAX: usize = 8;

/// The shortest pause between two questions about a journal, in milliseconds: as often as a node says a head.
pub const ASK_PAUSE_MS: u64 = 1_000;

/// After how long it is asked about checkpoints that came with records alone, in milliseconds: a busy node's records come
/// with new ones all the time, and heads set most of them in line by themselves.
pub const OPEN_PAUSE_MS: u64 = 5_000;

/// For how long a node stays suspected that does not refuse or answer wrongly again, in milliseconds: as long as the longest
/// pause between two dials. Shorter, and a node that refuses gets away with closing its connection; longer, and one that was
/// suspected wrongly is mute wherever it is no neighbour, for there nobody can ask it.
pub const SUSPICION_MS: u64 = 60_000;

/// The most proofs of fraud that are held, one a node. Each node has to be a member first, so more would mean that somebody
/// admits liars by the hundred; of those above only their names are held.
pub const FRAUDS_MAX: usize = 1_024;

/// The most nodes of which it is held that they lied, as many as may be admitted. What comes above is not acted on.
pub const LIARS_MAX: usize = 65_536;

/// Why nothing more is taken from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quarantine {
    /// It does not show that its journal continues what it signed, or shows it wrongly. It may still do so.
    Suspected,
    /// There is proof that it signed two histories.
    Proven,
}

/// What becomes of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is the newest one: to be remembered, then [`Watch::accept`]ed and cosigned.
    Newest,
    /// It is an earlier one of the same line.
    Old,
    /// Its node has to show how it goes together with what is known: [`Watch::ask`].
    Ask,
    /// It proves that its node has lied.
    Lie(Box<Fraud>),
    /// There is no room to watch its journal.
    Full,
}

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// All is in line, and this is the newest: to be remembered, then [`Watch::accept`]ed and cosigned.
    Newest(Box<SignedCheckpoint>),
    /// The answer came too late to say anything; it is asked again.
    Late,
    /// It does not hold: its node is suspected from here on.
    Wrong,
    /// It proves that its node has lied.
    Lie(Box<Fraud>),
}

#[derive(Default)]
struct Journal {
    known: Option<SignedCheckpoint>,
    open: BTreeMap<u64, Signed>,
    settled: BTreeMap<u64, Signed>,
    /// When its node last refused or answered wrongly.
    suspected: Option<Mono>,
    asked: Option<Mono>,
}

/// The journals that are watched, and the nodes that lied.
#[derive(Default)]
pub struct Watch {
    /// By node, and then by journal.
    journals: BTreeMap<NodeId, BTreeMap<Origin, Journal>>,
    count: usize,
    frauds: BTreeMap<NodeId, Fraud>,
    liars: BTreeSet<NodeId>,
}

impl Watch {
    /// Takes a checkpoint for known that this node accepted before, as it was remembered.
    pub fn restore(&mut self, known: SignedCheckpoint) {
        if let Some(journal) = self.journal(&known.origin())
            && journal.known.as_ref().is_none_or(|held| held.size() < known.size())
        {
            journal.known = Some(known);
        }
    }

    /// The newest checkpoint of a journal that is known.
    pub fn known(&self, origin: &Origin) -> Option<&SignedCheckpoint> {
        self.held(origin)?.known.as_ref()
    }

    /// Judges a head of a member's journal.
    pub fn hear(&mut self, head: &Head) -> Heard {
        let checkpoint = head.checkpoint();
        let Some(journal) = self.journal(&checkpoint.origin()) else { return Heard::Full };
        if let Some(fraud) = journal.contradiction(checkpoint) {
            return Heard::Lie(fraud);
        }
        let heard = match witness::judge(journal.known.as_ref(), head) {
            witness::Judgement::Lie(fraud) => Heard::Lie(fraud),
            witness::Judgement::Continues | witness::Judgement::Known => Heard::Newest,
            witness::Judgement::Stale if journal.settled.contains_key(&checkpoint.size()) => Heard::Old,
            witness::Judgement::Stale | witness::Judgement::Ask(_) => {
                journal.see(checkpoint);
                Heard::Ask
            }
        };
        if journal.suspected.is_none() || !matches!(heard, Heard::Newest | Heard::Old) {
            return heard;
        }
        // Whoever would not show one thing is asked again before another one counts, unless this one shows it.
        if heard == Heard::Newest && journal.open.keys().all(|size| *size == checkpoint.size()) {
            journal.suspected = None;
            return heard;
        }
        Heard::Ask
    }

    /// Sees a checkpoint of a member's journal that came with records. What contradicts it proves a lie.
    pub fn see(&mut self, checkpoint: &SignedCheckpoint) -> Option<Box<Fraud>> {
        let journal = self.journal(&checkpoint.origin())?;
        let fraud = journal.contradiction(checkpoint);
        let is_known = journal.known.as_ref().is_some_and(|known| known.size() == checkpoint.size());
        if fraud.is_none() && !is_known && !journal.settled.contains_key(&checkpoint.size()) {
            journal.see(checkpoint);
        }
        fraud
    }

    /// What a journal's node is to be asked now; nothing where it was asked a moment ago or all is in line.
    pub fn ask(&mut self, origin: &Origin, now: Mono) -> Option<Ask> {
        if !self.is_newest(origin) {
            return None;
        }
        let journal = self.held_mut(origin)?;
        if !journal.may_ask(now, ASK_PAUSE_MS) {
            return None;
        }
        let sizes = journal.sizes();
        if sizes.is_empty() {
            return None;
        }
        journal.asked = Some(now);
        Some(Ask::new(*origin, sizes).expect("at most one known and the open ones, by rising size"))
    }

    /// The journals that have something to show since a while, or are suspected.
    pub fn due(&self, now: Mono) -> Vec<Origin> {
        let is_due = |journal: &Journal| {
            journal.suspected.is_some() || !journal.open.is_empty() && journal.may_ask(now, OPEN_PAUSE_MS)
        };
        let newest = self.journals.values().filter_map(BTreeMap::last_key_value);
        newest.filter(|(_, journal)| is_due(journal)).map(|(origin, _)| *origin).collect()
    }

    /// Judges the answer to a question.
    pub fn answered(&mut self, ask: &Ask, shown: &Shown, now: Mono) -> Answered {
        let Some(journal) = self.held_mut(&ask.origin()) else { return Answered::Late };
        if let Some(fraud) = journal.contradiction(shown.head()) {
            return Answered::Lie(fraud);
        }
        for (size, continued) in ask.sizes().iter().zip(shown.from()) {
            let Some(asked) = journal.of_size(*size) else { continue };
            let asked =
                SignedCheckpoint::check(asked.checkpoint, asked.signature).expect("it was checked before");
            match judge_answer(&asked, shown.head(), &continued.root, &continued.proof) {
                Some(witness::Judgement::Lie(fraud)) => return Answered::Lie(fraud),
                Some(_) => {}
                None => {
                    journal.suspected = Some(now);
                    return Answered::Wrong;
                }
            }
        }
        match &journal.known {
            Some(known) if !ask.sizes().contains(&known.size()) => Answered::Late,
            _ => {
                for size in ask.sizes() {
                    if let Some(shown) = journal.open.remove(size) {
                        journal.settle(shown);
                    }
                }
                journal.suspected = None;
                Answered::Newest(Box::new(shown.head().clone()))
            }
        }
    }

    /// A journal's node refused to answer: it is suspected from here on.
    pub fn refused(&mut self, origin: &Origin, now: Mono) {
        if let Some(journal) = self.held_mut(origin) {
            journal.suspected = Some(now);
        }
    }

    /// Ends the suspicion of nodes that have not refused for [`SUSPICION_MS`]: they could not be asked. What they did not show
    /// is still open, and they are asked about it as soon as they can be.
    pub fn end_old_suspicion(&mut self, now: Mono) {
        for journal in self.journals.values_mut().flat_map(BTreeMap::values_mut) {
            if journal.suspected.is_some_and(|since| now >= since.plus_ms(SUSPICION_MS)) {
                journal.suspected = None;
            }
        }
    }

    /// Takes a checkpoint for known that was judged the newest one.
    pub fn accept(&mut self, checkpoint: &SignedCheckpoint) {
        let Some(journal) = self.journal(&checkpoint.origin()) else { return };
        if journal.known.as_ref().is_none_or(|known| known.size() < checkpoint.size()) {
            let before = journal.known.replace(checkpoint.clone());
            before.iter().for_each(|before| journal.settle(before.into()));
            journal.open.remove(&checkpoint.size());
        }
    }

    /// Holds a proof against its node; says whether it is the first one. Where there is no room for the proof the node is
    /// dealt with all the same.
    pub fn accuse(&mut self, fraud: &Fraud) -> bool {
        let node = fraud.origin().node();
        if self.liars.len() >= LIARS_MAX || !self.liars.insert(node) {
            return false;
        }
        if self.frauds.len() < FRAUDS_MAX {
            self.frauds.insert(node, fraud.clone());
        }
        true
    }

    /// The proofs that are held, by node.
    pub fn frauds(&self) -> impl Iterator<Item = (&NodeId, &Fraud)> {
        self.frauds.iter()
    }

    /// Whether nothing more is taken from a node, and why.
    pub fn quarantine(&self, node: &NodeId) -> Option<Quarantine> {
        if self.liars.contains(node) {
            return Some(Quarantine::Proven);
        }
        let (_, newest) = self.journals.get(node)?.last_key_value()?;
        newest.suspected.map(|_| Quarantine::Suspected)
    }

    /// Whether no later journal of its node is watched. A node that was restored from a copy goes on in a new one, and has
    /// nothing left to show of the one before.
    fn is_newest(&self, origin: &Origin) -> bool {
        let newest = self.journals.get(&origin.node()).and_then(BTreeMap::last_key_value);
        newest.is_some_and(|(newest, _)| newest == origin)
    }

    fn held(&self, origin: &Origin) -> Option<&Journal> {
        self.journals.get(&origin.node())?.get(origin)
    }

    fn held_mut(&mut self, origin: &Origin) -> Option<&mut Journal> {
        self.journals.get_mut(&origin.node())?.get_mut(origin)
    }

    /// A journal to watch, if there is room for it.
    fn journal(&mut self, origin: &Origin) -> Option<&mut Journal> {
        if self.held(origin).is_none() {
            let of_node = self.journals.get(&origin.node()).map_or(0, BTreeMap::len);
            if self.count >= JOURNALS_MAX || of_node >= JOURNALS_OF_NODE_MAX {
                return None;
            }
            self.count += 1;
        }
        Some(self.journals.entry(origin.node()).or_default().entry(*origin).or_default())
    }
}

impl Journal {
    /// What is held of a size.
    fn of_size(&self, size: u64) -> Option<Signed> {
        let known = self.known.as_ref().filter(|known| known.size() == size).map(Signed::from);
        known.or_else(|| self.open.get(&size).copied()).or_else(|| self.settled.get(&size).copied())
    }

    /// The proof that a checkpoint cannot stand beside another one of its size.
    fn contradiction(&self, checkpoint: &SignedCheckpoint) -> Option<Box<Fraud>> {
        let held = self.of_size(checkpoint.size())?;
        if held.checkpoint.root() == checkpoint.root() {
            return None;
        }
        let contradiction = Contradiction::TwoRoots { one: held, other: checkpoint.into() };
        Some(lie(contradiction, &checkpoint.origin().federation()))
    }

    /// Keeps a checkpoint that is to be shown in line.
    fn see(&mut self, checkpoint: &SignedCheckpoint) {
        if self.open.len() < OPEN_MAX {
            self.open.insert(checkpoint.size(), checkpoint.into());
        }
    }

    fn settle(&mut self, checkpoint: Signed) {
        self.settled.insert(checkpoint.checkpoint.size(), checkpoint);
        while self.settled.len() > SETTLED_MAX {
            self.settled.pop_first();
        }
    }

    /// The sizes that its node is to show: what is known, and what is open. Nothing without the latter, unless it is suspected.
    fn sizes(&self) -> Vec<u64> {
        if self.open.is_empty() && self.suspected.is_none() {
            return Vec::new();
        }
        let mut sizes: Vec<u64> =
            self.open.keys().copied().chain(self.known.as_ref().map(|known| known.size())).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    fn may_ask(&self, now: Mono, pause_ms: u64) -> bool {
        self.asked.is_none_or(|asked| now >= asked.plus_ms(pause_ms))
    }
}

#[cfg(test)]
#[path = "watch_test.rs"]
mod tests;
