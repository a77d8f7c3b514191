//! The outbox: results that a home has not acknowledged, or not judged yet, are brought to it again, when it comes up and now and
//! then; and what homes' records say of them is told to the rules.

use super::away::{Error, Introduction, Own};
use super::shared::Shared;
use artel_audit::records::Records as Kept;
use artel_federation::away::{Engagement, ends_a_result};
use artel_federation::commitment::Opening;
use artel_federation::fact::{Abroad, Account, Cause, Judgement, Outgoing, Refuted, Transfer, Verdict};
use artel_federation::input::{Conclusion, Word};
use artel_federation::options::CONCLUDED_MAX;
use artel_federation::visit::message::{Act, Handing, Told};
use artel_federation::{Entry as JournalEntry, Fact, Json, Principal, Request};
use artel_protocol::amount::Credits;
use artel_protocol::id::StepId;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often what waits is brought again.
const EACH: Duration = Duration::from_secs(5);

/// For how long a result that was acknowledged waits for a record of its verdict before home is asked again.
const VERDICT_WAIT_MS: u64 = 10_000;

/// How many results are brought at once.
const AT_ONCE: usize = 64;

/// How many of those are of one home that answers.
const AT_ONCE_PER_HOME: usize = 8;

/// How many of a home that did not answer lately: with more, a few homes that take requests and never answer would hold up all
/// others for as long as artifacts may take.
const AT_ONCE_IF_SILENT: usize = 1;

/// How soon after a look for what may be brought there is another one where some were taken in meanwhile. Sooner, and with
/// thousands of them these looks, each through all that wait, would keep the rules from all else; later, and a home gets what waits
/// for it more slowly than it could take it in.
const NEXT_LOOK: Duration = Duration::from_millis(50);

/// How many of the newest records of a home's journal are looked at for verdicts after a start; then those that follow.
const LOOK_BACK: u64 = 65_536;

/// How many bytes of kept frames are looked at at once.
const LOOK_BYTES: usize = 1 << 20;

/// How many words of homes may wait for the rules. More are dropped, and read again from what was kept.
const WORDS_MAX: usize = 1_024;

/// Results of this node's agents of which homes' records may say more.
pub(super) struct Outbox {
    /// Those that no verdict was heard of.
    open: Mutex<BTreeSet<Abroad>>,
    /// Those that were accepted lately, as the rules remember them: home may refute one. Whoever locks both locks `open` first.
    judged: Mutex<Judged>,
    /// Homes whose kept records have words that were not said: of a frame that found no room, or that came before the one with the
    /// payment. Of results that are waited for and those that were judged lately, so there are no more than of these.
    unsaid: Mutex<BTreeSet<NodeId>>,
    turn: Mutex<Turn>,
    /// Told whenever a result is under way no longer.
    arrived: Notify,
    /// Told when home has said of one that was brought what becomes of it, so that another one may follow.
    has_room: Notify,
    heard: mpsc::Sender<(Abroad, Word)>,
}

/// Whose turn it is.
#[derive(Clone, Default)]
struct Turn {
    /// The last result that was brought.
    last: Option<Abroad>,
    /// Those that home has not answered yet, one visit for each, and who brings them.
    under_way: BTreeMap<Abroad, By>,
}

/// Who brings a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The agent that hands it in: as many as there are, or slow homes would keep the outbox from all others.
    Agent,
    /// The outbox.
    Outbox,
}

/// Leases whose result was judged: as many as the rules remember, the oldest goes first.
#[derive(Default)]
struct Judged {
    leases: BTreeSet<Abroad>,
    order: VecDeque<Abroad>,
}

impl Judged {
    fn has_of(&self, home: &NodeId) -> bool {
        self.leases.iter().any(|lease| lease.home == *home)
    }

    fn remember(&mut self, lease: Abroad) {
        if self.leases.insert(lease) {
            self.order.push_back(lease);
        }
        while self.order.len() > CONCLUDED_MAX {
            self.order.pop_front().map(|oldest| self.leases.remove(&oldest));
        }
    }
}

/// That a result is being brought, by one visit and no other.
pub(super) struct Place {
    shared: Arc<Shared>,
    lease: Abroad,
}

impl Place {
    /// Nothing where the result is under way already.
    pub fn take(shared: &Arc<Shared>, lease: Abroad, by: By) -> Option<Self> {
        match shared.outbox.turn().under_way.entry(lease) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(free) => {
                free.insert(by);
            }
        }
        Some(Place { shared: shared.clone(), lease })
    }

    /// The same for an agent, once the result is under way no longer. As long as one visit may take; whoever waits says for how long.
    pub async fn wait(shared: &Arc<Shared>, lease: Abroad) -> Self {
        loop {
            // Listens before it looks, so that it misses nothing in between.
            let arrived = shared.outbox.arrived.notified();
            if let Some(place) = Place::take(shared, lease, By::Agent) {
                return place;
            }
            arrived.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.outbox.turn().under_way.remove(&self.lease);
        self.shared.outbox.arrived.notify_waiters();
    }
}

impl Turn {
    /// Whose turn it is of those that wait: whoever comes after the last one first, as many as there is room for, a few of each
    /// home.
    fn choose<T>(&self, waiting: Vec<(Abroad, T)>, silent: &BTreeSet<NodeId>) -> Vec<(Abroad, T)> {
        let mut of_home: BTreeMap<NodeId, usize> = BTreeMap::new();
        let brought = self.under_way.iter().filter(|(_, by)| **by == By::Outbox);
        brought.clone().for_each(|(lease, _)| *of_home.entry(lease.home).or_default() += 1);
        let room = AT_ONCE.saturating_sub(brought.count());
        let (before, after): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(lease, _)| Some(*lease) <= self.last);
        let has_room = |(lease, _): &(Abroad, T)| {
            let of_home = of_home.entry(lease.home).or_default();
            let most = if silent.contains(&lease.home) { AT_ONCE_IF_SILENT } else { AT_ONCE_PER_HOME };
            let free = !self.under_way.contains_key(lease) && *of_home < most;
            *of_home += usize::from(free);
            free
        };
        after.into_iter().chain(before).filter(has_room).take(room).collect()
    }
}

/// What was heard, for [`run`].
pub(super) type Heard = mpsc::Receiver<(Abroad, Word)>;

impl Outbox {
    pub fn new() -> (Self, Heard) {
        let (heard, hears) = mpsc::channel(WORDS_MAX);
        let (open, judged, turn) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (unsaid, arrived, has_room) = (Mutex::default(), Notify::new(), Notify::new());
        (Outbox { open, judged, unsaid, turn, arrived, has_room, heard }, hears)
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<Abroad>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judged(&self) -> MutexGuard<'_, Judged> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsaid(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A result was handed in: records of its home are looked at from now on.
    pub fn expect(&self, lease: Abroad) {
        self.open().insert(lease);
    }

    /// Takes in what a home's records say of results of this node's agents; `before` reads what stands right before one of them.
    pub fn hear(&self, records: &Records, before: impl Fn(u64) -> Before) {
        let home = records.origin().node();
        if !self.open().iter().any(|lease| lease.home == home) && !self.judged().has_of(&home) {
            return;
        }
        for Said { lease, word, is_whole } in self.words(records, before) {
            if !is_whole || self.heard.try_send((lease, word)).is_err() {
                self.unsaid().insert(home);
            }
        }
    }

    /// What a home's records say of results: verdicts that are waited for, and that one which was accepted is refuted.
    fn words(&self, records: &Records, before: impl Fn(u64) -> Before) -> Vec<Said> {
        let home = records.origin().node();
        let mut words = Vec::new();
        // The payment stands right before its verdict, mostly in the same frame.
        let mut payment: Option<Transfer> = None;
        for record in records.records() {
            match JournalEntry::decode(&record.body).map(|entry| entry.fact) {
                Ok(Fact::Transfer(f)) => payment = Some(f),
                Ok(Fact::Verdict(Verdict { step, epoch, agent, judgement, .. })) => {
                    let lease = Abroad { home, step, epoch };
                    if !self.open().contains(&lease) {
                        continue;
                    }
                    let of_frame = payment.take().and_then(|payment| paid(&payment, step, agent));
                    let is_accepted = matches!(judgement, Judgement::Accepted { .. });
                    let (paid, is_whole) = match of_frame {
                        None if is_accepted => match before(record.public_seq) {
                            Before::Payment(payment) => (paid(&payment, step, agent), true),
                            Before::Nothing => (None, true),
                            Before::Lacking => (None, false),
                        },
                        of_frame => (of_frame, true),
                    };
                    let verdict = Conclusion { verdict: record.index, judgement, paid };
                    words.push(Said { lease, word: Word::Judged(verdict), is_whole });
                }
                Ok(Fact::Refuted(Refuted { step, epoch, recalled, .. })) => {
                    let lease = Abroad { home, step, epoch };
                    if self.open().contains(&lease) || self.judged().leases.contains(&lease) {
                        let word = Word::Refuted { refuted: record.index, recalled };
                        words.push(Said { lease, word, is_whole: true });
                    }
                }
                _ => {}
            }
        }
        words
    }
}

/// What was read of one result.
struct Said {
    lease: Abroad,
    word: Word,
    /// Not where the record with the payment may still come.
    is_whole: bool,
}

/// What stands right before a record in its journal.
pub(super) enum Before {
    /// A transfer.
    Payment(Transfer),
    /// Something else, or what was given up.
    Nothing,
    /// It is not here yet.
    Lacking,
}

impl Before {
    /// What is kept right before a record of this number.
    pub fn kept(kept: &Kept, origin: &Origin, public_seq: u64) -> Self {
        let Some(seq) = public_seq.checked_sub(1).filter(|seq| *seq >= kept.mark(origin).floor) else {
            return Before::Nothing;
        };
        let frame = kept.frame(origin, seq);
        let records = frame.and_then(|frame| Records::check(&frame, &origin.federation()).ok());
        let Some(records) = records else { return Before::Lacking };
        let record = records.records().iter().find(|record| record.public_seq == seq);
        match record.map(|record| JournalEntry::decode(&record.body)) {
            Some(Ok(JournalEntry { fact: Fact::Transfer(f), .. })) => Before::Payment(f),
            _ => Before::Nothing,
        }
    }
}

/// What a payment for a step brings its worker.
fn paid(payment: &Transfer, step: StepId, agent: AgentId) -> Option<Credits> {
    let is_of = payment.cause == Cause::Payment && payment.step == step;
    let leg = payment.legs.iter().find(|leg| is_of && leg.account == Account::Agent(agent))?;
    u64::try_from(leg.units).ok().map(Credits)
}

/// Brings what waits, until the node ends.
pub(super) async fn run(shared: Arc<Shared>, mut heard: Heard) {
    expect_open(&shared).await;
    let mut looked = BTreeMap::new();
    let mut each = tokio::time::interval(EACH);
    each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut changes = shared.up_changes.subscribe();
    let mut next_look: Option<Instant> = None;
    loop {
        tokio::select! {
            word = heard.recv() => match word {
                Some((lease, word)) => {
                    shared.tell_of(lease, word).await;
                }
                None => return,
            },
            _ = each.tick() => {
                // What was said already is not to be asked for, and a home that has said it is not to be called silent.
                shared.look_at_kept(&mut looked).await;
                bring_some(&shared, Look::All).await;
            }
            () = shared.outbox.has_room.notified(), if next_look.is_none() => {
                next_look = Some(Instant::now() + NEXT_LOOK);
            }
            () = tokio::time::sleep_until(next_look.unwrap_or_else(Instant::now)), if next_look.is_some() => {
                next_look = None;
                bring_some(&shared, Look::Unheard).await;
            }
            changed = changes.changed() => match changed {
                Ok(()) => bring_some(&shared, Look::All).await,
                Err(_) => return,
            },
        }
    }
}

/// What is looked for to be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// All that waits.
    All,
    /// Of homes that are connected what they have not acknowledged.
    Unheard,
}

/// Records are looked at for all results that were handed in before, as soon as the driver says which those are.
async fn expect_open(shared: &Arc<Shared>) {
    let mut pause = tokio::time::interval(EACH);
    loop {
        pause.tick().await;
        let known = shared.handle.look(|view| {
            let away = view.away();
            let (mut open, mut accepted, mut paid) = (Vec::new(), Vec::new(), BTreeSet::new());
            for engagement in away.all().filter(|engagement| engagement.result.is_some()) {
                open.push(engagement.lease);
                paid.insert((engagement.lease.home, engagement.agent));
            }
            for engagement in away.concluded() {
                accepted.extend(away.accepted(&engagement.lease).map(|_| engagement.lease));
                paid.insert((engagement.lease.home, engagement.agent));
            }
            (open, accepted, paid)
        });
        match known.await {
            Ok((open, accepted, paid)) => {
                for (home, agent) in paid {
                    shared.evidence.state().book.keep_paid(home, agent);
                }
                open.into_iter().for_each(|lease| shared.outbox.expect(lease));
                let mut judged = shared.outbox.judged();
                // What homes refuted before this start may not have been heard.
                shared.outbox.unsaid().extend(accepted.iter().map(|lease| lease.home));
                return accepted.into_iter().for_each(|lease| judged.remember(lease));
            }
            Err(error) => tracing::warn!(?error, "what the outbox waits for is not known yet"),
        }
    }
}

/// Begins to bring results whose home is connected and has not said enough of them: as many as may be under way, in turn, so
/// that a home that is slow or says nothing holds up nobody else's. In a look for all, homes that are away are dialled: the lease of a
/// result that they have not heard of may run out there while the mesh rests between two tries.
async fn bring_some(shared: &Arc<Shared>, look: Look) {
    let up: BTreeSet<NodeId> = shared.up().clone();
    let (turn, now) = (shared.outbox.turn().clone(), crate::clock::wall());
    let silent: BTreeSet<NodeId> = {
        let manners = shared.manners();
        up.iter().filter(|home| manners.failures(home) > 0).copied().collect()
    };
    let waiting = shared.handle.look(move |view| {
        let waits = |engagement: &&Arc<Engagement>| {
            let Some(handed) = engagement.result.as_ref() else { return false };
            handed.acknowledged.is_none() || look == Look::All && now.since_ms(handed.at) > VERDICT_WAIT_MS
        };
        let waiting =
            view.away().all().filter(waits).map(|engagement| (engagement.lease, engagement.clone()));
        let (near, far): (Vec<_>, Vec<_>) = waiting.partition(|(lease, _)| up.contains(&lease.home));
        let far: BTreeSet<NodeId> = far.into_iter().map(|(lease, _)| lease.home).collect();
        (turn.choose(near, &silent), far)
    });
    let (chosen, far) = waiting.await.unwrap_or_default();
    for (lease, engagement) in chosen {
        let Some(place) = Place::take(shared, lease, By::Outbox) else { continue };
        shared.outbox.turn().last = Some(lease);
        let shared = shared.clone();
        tokio::spawn(async move {
            let brought = shared.bring(&engagement).await;
            drop(place);
            match brought {
                Ok(true) => shared.outbox.has_room.notify_one(),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(error = format!("{error:#}"), step = %lease.step, "a result waits on");
                }
            }
        });
    }
    if look == Look::All && !far.is_empty() {
        shared.dial(&far).await;
    }
}

impl Shared {
    /// Brings a result to its home once more. Says whether home said what becomes of it, and that is written down.
    async fn bring(self: &Arc<Self>, engagement: &Engagement) -> anyhow::Result<bool> {
        let Some(handed) = &engagement.result else { anyhow::bail!("nothing was handed in") };
        let (index, lease) = (handed.index, engagement.lease);
        let reader = self.reader.get();
        let stored = tokio::task::spawn_blocking(move || reader.entry(index - 1)).await??;
        let Fact::Outgoing(outgoing) = JournalEntry::decode(&stored.body)?.fact else {
            anyhow::bail!("what stands before a result is not its private half")
        };
        let Outgoing { salt, output, artifacts, own, .. } = outgoing;
        let agent = (engagement.agent, self.introduction(engagement.agent).await?);
        let (_, word) = self.bring_now(agent, lease, (index, salt, output, artifacts), (own, None)).await?;
        match word {
            Some(written) => Ok(written.await?),
            None => Ok(false),
        }
    }

    /// Brings a result that is at hand; `next` asks for the next task in the same answer. What home says is its word, whether or
    /// not it is written down here yet; a repeat would hear it again. Where it says what becomes of the result, that is being written,
    /// and the rules may not be able to hear it.
    pub(super) async fn bring_now(
        self: &Arc<Self>,
        (agent, introduction): (AgentId, Introduction),
        lease: Abroad,
        (index, salt, output, artifacts): (
            u64,
            artel_federation::commitment::Salt,
            Json,
            Vec<artel_protocol::id::Digest>,
        ),
        (own, next): (Own, Option<u32>),
    ) -> Result<(Told, Option<JoinHandle<bool>>), Error> {
        let opening = Opening { salt, output: output.digest(), artifacts: artifacts.clone() };
        let (step, epoch, incarnation) = (lease.step, lease.epoch, self.me.incarnation());
        let handing = Handing { step, epoch, output, salt, artifacts, incarnation, index, next };
        let visiting = (agent, introduction);
        let told = self.visit(&lease.home, visiting, Act::Submit(Box::new(handing)), own).await?;
        let word = match &told {
            Told::Submitted { receipt, signature } => {
                let right = (receipt.step, receipt.epoch, receipt.agent, receipt.result)
                    == (step, epoch, agent, opening.result());
                let signed =
                    crate::hand::is_acknowledged(receipt, signature, &lease.home, &self.me.federation());
                if !right || !signed {
                    return Err(self.dishonest(&lease.home));
                }
                let (submitted, at, signature) = (receipt.submitted, receipt.submitted_at, *signature);
                let verdict = receipt.verdict.as_ref().map(Conclusion::of);
                Some(Word::Acknowledged { submitted, at, signature, verdict })
            }
            Told::Refused { code, .. } if ends_a_result(code) => Some(Word::Refused(code.clone())),
            _ => None,
        };
        let written = word.map(|word| {
            let shared = self.clone();
            tokio::spawn(async move { shared.tell_of(lease, word).await })
        });
        Ok((told, written))
    }

    /// Tells the rules what a home said of a lease; whether they heard it. The home's records are looked at until it is over: what
    /// home says is not always its last word.
    async fn tell_of(&self, lease: Abroad, word: Word) -> bool {
        let request = Request::Hear { lease, word };
        // Both are under way at once: what is looked at follows what was heard, and the driver is woken once.
        let hearing = self.handle.ask(Principal::Node(lease.home), None, request);
        let looking = self.handle.look(move |view| {
            let away = view.away();
            (away.get(&lease).is_none(), away.accepted(&lease).is_some())
        });
        let (heard, stands) = tokio::join!(biased; hearing, looking);
        let heard = heard.is_ok();
        let (is_over, is_accepted) = stands.unwrap_or_default();
        if is_accepted {
            self.outbox.judged().remember(lease);
        }
        if is_over {
            self.outbox.open().remove(&lease);
        }
        heard
    }

    /// Looks for words among what was kept of homes that have not said enough, or of which something was not said here, from where it
    /// was looked at last.
    async fn look_at_kept(self: &Arc<Self>, looked: &mut BTreeMap<Origin, u64>) {
        let unsaid = std::mem::take(&mut *self.outbox.unsaid());
        if !self.look_at(looked, &unsaid).await {
            // They are read again when the rules can hear.
            self.outbox.unsaid().extend(unsaid);
        }
    }

    /// The same of these homes and those that have not said enough; whether the rules heard all of it.
    async fn look_at(
        self: &Arc<Self>,
        looked: &mut BTreeMap<Origin, u64>,
        unsaid: &BTreeSet<NodeId>,
    ) -> bool {
        let now = crate::clock::wall();
        let late = self.handle.look(move |view| {
            let late = |engagement: &&Arc<Engagement>| {
                engagement.result.as_ref().is_some_and(|handed| now.since_ms(handed.at) > VERDICT_WAIT_MS)
            };
            view.away().all().filter(late).map(|engagement| engagement.lease.home).collect::<BTreeSet<_>>()
        });
        let Ok(late) = late.await else { return false };
        let is_looked_at = |home: &NodeId| late.contains(home) || unsaid.contains(home);
        let marks = self.records.marks();
        for (origin, mark) in marks.into_iter().filter(|(origin, _)| is_looked_at(&origin.node())) {
            let from = looked.entry(origin).or_insert(mark.next.saturating_sub(LOOK_BACK));
            // What was not said may stand behind a hole.
            let end = match mark.last {
                Some(last) if unsaid.contains(&origin.node()) => mark.next.max(last + 1),
                _ => mark.next,
            };
            let mut at = *from;
            while at < end {
                let shared = self.clone();
                let read = tokio::task::spawn_blocking(move || shared.read_kept(&origin, at)).await;
                let Ok((words, then)) = read else { return false };
                for Said { lease, word, .. } in words {
                    if !self.tell_of(lease, word).await {
                        return false;
                    }
                }
                if then <= at {
                    break;
                }
                at = then;
                // Behind a hole something may be missing still.
                *from = at.min(mark.next);
            }
        }
        true
    }

    /// What is waited for in some kept records from a number on, and the number behind them.
    fn read_kept(&self, origin: &Origin, from: u64) -> (Vec<Said>, u64) {
        let (frames, then) = self.records.frames(origin, from, LOOK_BYTES);
        let before = |seq| Before::kept(&self.records, origin, seq);
        let checked = frames.iter().filter_map(|frame| Records::check(frame, &origin.federation()).ok());
        (checked.flat_map(|records| self.outbox.words(&records, before)).collect(), then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_audit::index::MemoryStore;
    use artel_audit::memory::MemoryDisk;
    use artel_audit::records::{Item, Limits, NewFrame, RecordStore};
    use artel_federation::ledger;
    use artel_protocol::id::{Digest, Epoch, FederationId, RunId};
    use artel_protocol::key::SecretKey;
    use artel_protocol::log::tree::root_of;
    use artel_protocol::log::{Checkpoint, Class, Leaf, SignedCheckpoint};
    use artel_protocol::record::Record;
    use artel_protocol::time::Wall;

    const FEDERATION: FederationId = FederationId([3; 32]);

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 32])
    }

    fn lease(home: u8, n: u64) -> Abroad {
        let home = NodeId(key(home).public());
        Abroad { home, step: RunId::new(Wall(n), [0; 9]).step(0), epoch: Epoch(1) }
    }

    fn agent() -> AgentId {
        AgentId(key(9).public())
    }

    fn payment(of: Abroad) -> Fact {
        Fact::Transfer(ledger::payment(of.step, Credits(9), agent(), Credits(9)).expect("it was set aside"))
    }

    fn verdict(of: Abroad, judgement: Judgement) -> Fact {
        let Abroad { step, epoch, .. } = of;
        Fact::Verdict(Verdict { step, epoch, agent: agent(), submitted: 0, judgement })
    }

    fn accepted(of: Abroad) -> Fact {
        verdict(of, Judgement::Accepted { quality: 100, checked: false })
    }

    fn refuted(of: Abroad) -> Fact {
        Fact::Refuted(Refuted {
            step: of.step,
            epoch: of.epoch,
            agent: agent(),
            submitted: 0,
            verdict: 1,
            judged: Wall(1),
            late: false,
            quality: None,
            other: Digest::of(b"other"),
            profile: Digest::of(b"profile"),
            recalled: Credits(4),
        })
    }

    /// What home 1 says, as one frame.
    fn records(facts: Vec<Fact>) -> Records {
        let entry = |fact| JournalEntry { at: Wall(1), correlation: None, fact }.encode();
        let record = |(n, fact)| Record { index: n, public_seq: n, salt: [0; 16], body: entry(fact) };
        let all: Vec<Record> = (0..).zip(facts).map(record).collect();
        let leaves = all.iter().map(|r| Leaf::commit(Class::Public, r.public_seq, &r.salt, &r.body).hash());
        let root = root_of(&leaves.collect::<Vec<_>>());
        let origin = Origin::new(FEDERATION, NodeId(key(1).public()), 0);
        let plain = Checkpoint::new(origin, all.len() as u64, root).expect("plain");
        let signed = SignedCheckpoint::sign(plain, &key(1)).expect("its own key");
        Records::new(&signed, all, vec![]).expect("sound")
    }

    fn told(heard: &mut Heard) -> Vec<(Abroad, Word)> {
        std::iter::from_fn(|| heard.try_recv().ok()).collect()
    }

    fn judged(verdict: u64, paid: Option<Credits>) -> Word {
        let judgement = Judgement::Accepted { quality: 100, checked: false };
        Word::Judged(Conclusion { verdict, judgement, paid })
    }

    #[test]
    fn a_payment_is_found_where_a_frame_ends_between_it_and_its_verdict() {
        let of = lease(1, 1);
        let all = records(vec![payment(of), accepted(of)]);
        let only = |n: u64| all.only(|seq| seq == n).expect("it is there");
        let (outbox, mut heard) = Outbox::new();
        outbox.expect(of);
        let (files, index) = (Arc::new(MemoryDisk::new()), Arc::new(MemoryStore::default()));
        let opened = RecordStore::open(files, index, FEDERATION, Limits::default()).expect("a good disk");
        let (mut store, origin) = (opened.store, all.origin());
        let reader = store.reader();
        let mut keep = |records: &Records| {
            let item = |r: &Record| Item { public_seq: r.public_seq, index: r.index };
            let items = records.records().iter().map(item).collect();
            let frame = NewFrame { origin, topic: 0, bytes: records.bytes().to_vec(), items };
            store.append(vec![frame]).expect("a good disk");
        };
        let hear = |records: &Records| outbox.hear(records, |seq| Before::kept(&reader, &origin, seq));
        keep(&only(1));
        hear(&only(1));
        assert_eq!(told(&mut heard), [], "the payment may still come");
        assert!(outbox.unsaid().contains(&of.home), "then it is read again");
        keep(&only(0));
        hear(&only(1));
        assert_eq!(told(&mut heard), [(of, judged(1, Some(Credits(9))))]);
        hear(&all);
        assert_eq!(told(&mut heard), [(of, judged(1, Some(Credits(9))))], "both in one frame");
    }

    #[test]
    fn a_verdict_without_a_payment_is_told_at_once() {
        let (free, bad) = (lease(1, 1), lease(1, 2));
        let rejected = Judgement::Rejected { check: "schema".into() };
        let all = records(vec![accepted(free), payment(lease(1, 3)), verdict(bad, rejected.clone())]);
        let (outbox, mut heard) = Outbox::new();
        [free, bad].into_iter().for_each(|lease| outbox.expect(lease));
        outbox.hear(&all, |_| Before::Nothing);
        let no = Word::Judged(Conclusion { verdict: 2, judgement: rejected, paid: None });
        assert_eq!(told(&mut heard), [(free, judged(0, None)), (bad, no)]);
        assert!(outbox.unsaid().is_empty());
    }

    #[test]
    fn what_finds_no_room_is_read_again_also_of_what_was_judged() {
        let of = lease(1, 1);
        let all = records(vec![refuted(of)]);
        let (outbox, mut heard) = Outbox::new();
        outbox.judged().remember(of);
        for _ in 0..WORDS_MAX {
            outbox.heard.try_send((of, Word::Renewed)).expect("there is room");
        }
        outbox.hear(&all, |_| Before::Nothing);
        assert!(outbox.unsaid().contains(&of.home));
        told(&mut heard);
        outbox.unsaid().clear();
        outbox.hear(&all, |_| Before::Nothing);
        assert_eq!(told(&mut heard), [(of, Word::Refuted { refuted: 0, recalled: Credits(4) })]);
        assert!(outbox.unsaid().is_empty());
    }

    #[test]
    fn a_home_with_many_results_waiting_leaves_room_for_the_others() {
        let mut waiting: Vec<_> = (0..1_000).map(|n| (lease(1, n), ())).collect();
        waiting.extend((2..20).map(|home| (lease(home, 1), ())));
        waiting.sort();
        let (mut turn, nobody) = (Turn::default(), BTreeSet::new());
        let first = turn.choose(waiting.clone(), &nobody);
        let of_one =
            |chosen: &[(Abroad, ())]| chosen.iter().filter(|(l, ())| l.home == lease(1, 0).home).count();
        assert_eq!((of_one(&first), first.len()), (AT_ONCE_PER_HOME, AT_ONCE_PER_HOME + 18));
        // Its own are never answered: nobody waits for them.
        let own = || first.iter().map(|(lease, ())| *lease).filter(|l| l.home == lease(1, 0).home);
        turn.under_way = own().map(|lease| (lease, By::Outbox)).collect();
        assert_eq!(
            (of_one(&turn.choose(waiting.clone(), &nobody)), turn.choose(waiting.clone(), &nobody).len()),
            (0, 18)
        );
        turn.under_way = (0..500).map(|n| (lease(1, n), By::Agent)).collect();
        assert_eq!(
            turn.choose(waiting.clone(), &nobody).len(),
            first.len(),
            "what agents bring takes no place"
        );
        turn.under_way.clear();
        turn.last = own().max();
        let then = turn.choose(waiting, &nobody);
        assert!(
            of_one(&then) == AT_ONCE_PER_HOME
                && then.iter().all(|next| next.0.home != lease(1, 0).home || !first.contains(next)),
            "the next ones of the same home"
        );
    }

    #[test]
    fn all_homes_together_have_so_many_under_way() {
        let all = (0..100).flat_map(|home| (0..20).map(move |n| (lease(home, n), ())));
        let mut waiting: Vec<_> = all.collect();
        waiting.sort();
        let (mut turn, nobody) = (Turn::default(), BTreeSet::new());
        assert_eq!(turn.choose(waiting.clone(), &nobody).len(), AT_ONCE);
        turn.under_way = turn
            .choose(waiting.clone(), &nobody)
            .into_iter()
            .map(|(lease, ())| (lease, By::Outbox))
            .collect();
        assert!(turn.choose(waiting, &nobody).is_empty());
    }

    #[test]
    fn many_homes_that_say_nothing_leave_room_for_one_that_does() {
        let silent: BTreeSet<NodeId> = (0..32).map(|home| lease(home, 0).home).collect();
        let all = (0..33).flat_map(|home| (0..20).map(move |n| (lease(home, n), ())));
        let mut waiting: Vec<_> = all.collect();
        waiting.sort();
        let chosen = Turn::default().choose(waiting, &silent);
        let heard = chosen.iter().filter(|(lease, ())| !silent.contains(&lease.home)).count();
        assert_eq!((heard, chosen.len()), (AT_ONCE_PER_HOME, 32 + AT_ONCE_PER_HOME));
    }
}
