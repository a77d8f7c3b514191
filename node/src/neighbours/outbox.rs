//! The outbox: results that a home has not acknowledged, or not judged yet, are brought to it again, when it comes up and now and
//! then; and what homes' records say of them is told to the rules.

use super::away::{Error, Own};
use super::shared::Shared;
use artel_federation::away::Engagement;
use artel_federation::commitment::Opening;
use artel_federation::effect::Judged;
use artel_federation::fact::{Abroad, Judgement, Outcome, Outgoing};
use artel_federation::input::Word;
use artel_federation::visit::message::{Act, Handing, Told};
use artel_federation::{Entry, Fact, Json, Principal, Request};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::record::Records;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often what waits is brought again.
const EACH: Duration = Duration::from_secs(5);

/// For how long a result that was acknowledged waits for a record of its verdict before home is asked again.
const VERDICT_WAIT_MS: u64 = 10_000;

/// How many results are brought at once.
const AT_ONCE: usize = 64;

/// How many words of homes may wait for the rules. More are dropped, and heard when home is asked again.
const WORDS_MAX: usize = 1_024;

/// Results of this node's agents that no verdict was heard of.
pub(super) struct Outbox {
    open: Mutex<BTreeSet<Abroad>>,
    turn: Mutex<Turn>,
    heard: mpsc::Sender<(Abroad, Word)>,
}

/// Whose turn it is.
#[derive(Default)]
struct Turn {
    /// The last result that was brought.
    last: Option<Abroad>,
    /// Those that home has not answered yet.
    under_way: BTreeSet<Abroad>,
}

/// What was heard, for [`run`].
pub(super) type Heard = mpsc::Receiver<(Abroad, Word)>;

impl Outbox {
    pub fn new() -> (Self, Heard) {
        let (heard, hears) = mpsc::channel(WORDS_MAX);
        (Outbox { open: Mutex::default(), turn: Mutex::default(), heard }, hears)
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<Abroad>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A result was handed in: records of its home are looked at from now on.
    pub fn expect(&self, lease: Abroad) {
        self.open().insert(lease);
    }

    /// Takes in what a home's records say of results of this node's agents.
    pub fn hear(&self, records: &Records) {
        let home = records.origin().node();
        if !self.open().iter().any(|lease| lease.home == home) {
            return;
        }
        for record in records.records() {
            let Ok(Entry { fact: Fact::Verdict(f), .. }) = Entry::decode(&record.body) else { continue };
            let lease = Abroad { home, step: f.step, epoch: f.epoch };
            if self.open().contains(&lease) {
                let word = Word::Judged { verdict: record.index, judgement: f.judgement };
                // Where there is no room, home is asked again.
                let _ = self.heard.try_send((lease, word));
            }
        }
    }
}

/// Brings what waits, until the node ends.
pub(super) async fn run(shared: Arc<Shared>, mut heard: Heard) {
    let open = shared.handle.look(|view| {
        let handed = view.away().all().filter(|engagement| engagement.result.is_some());
        handed.map(|engagement| engagement.lease).collect::<Vec<_>>()
    });
    open.await.unwrap_or_default().into_iter().for_each(|lease| shared.outbox.expect(lease));
    let mut each = tokio::time::interval(EACH);
    each.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut changes = shared.up_changes.subscribe();
    loop {
        tokio::select! {
            word = heard.recv() => match word {
                Some((lease, word)) => shared.tell_of(lease, word).await,
                None => return,
            },
            _ = each.tick() => bring_some(&shared).await,
            changed = changes.changed() => match changed {
                Ok(()) => bring_some(&shared).await,
                Err(_) => return,
            },
        }
    }
}

/// Begins to bring results whose home is connected and has not said enough of them: as many as may be under way, in turn, so
/// that a home that is slow or says nothing holds up nobody else's.
async fn bring_some(shared: &Arc<Shared>) {
    let up: BTreeSet<NodeId> = shared.up().clone();
    let (under_way, last) = {
        let turn = shared.outbox.turn();
        (turn.under_way.clone(), turn.last)
    };
    let (room, now) = (AT_ONCE - under_way.len(), crate::clock::wall());
    let waiting = shared.handle.look(move |view| {
        let waits = |engagement: &&Arc<Engagement>| {
            let Some(handed) = engagement.result.as_ref() else { return false };
            let silent = now.since_ms(handed.at) > VERDICT_WAIT_MS;
            let free = up.contains(&engagement.lease.home) && !under_way.contains(&engagement.lease);
            free && (handed.acknowledged.is_none() || silent)
        };
        let after = view.away().all().filter(|engagement| Some(engagement.lease) > last);
        let before = view.away().all().filter(|engagement| Some(engagement.lease) <= last);
        after.chain(before).filter(waits).take(room).cloned().collect::<Vec<_>>()
    });
    for engagement in waiting.await.unwrap_or_default() {
        let (shared, lease) = (shared.clone(), engagement.lease);
        {
            let mut turn = shared.outbox.turn();
            turn.last = Some(lease);
            turn.under_way.insert(lease);
        }
        tokio::spawn(async move {
            if let Err(error) = shared.bring(&engagement).await {
                tracing::debug!(error = format!("{error:#}"), step = %lease.step, "a result waits on");
            }
            shared.outbox.turn().under_way.remove(&lease);
        });
    }
}

impl Shared {
    /// Brings a result to its home once more; what home says of it is written down.
    async fn bring(self: &Arc<Self>, engagement: &Engagement) -> anyhow::Result<()> {
        let Some(handed) = &engagement.result else { anyhow::bail!("nothing was handed in") };
        let (index, lease) = (handed.index, engagement.lease);
        let reader = self.reader.get();
        let stored = tokio::task::spawn_blocking(move || reader.entry(index - 1)).await??;
        let Fact::Outgoing(outgoing) = Entry::decode(&stored.body)?.fact else {
            anyhow::bail!("what stands before a result is not its private half")
        };
        let Outgoing { salt, output, artifacts, own, .. } = outgoing;
        self.bring_now(engagement.agent, lease, (index, salt, output, artifacts), (own, None)).await?;
        Ok(())
    }

    /// Brings a result that is at hand; `next` asks for the next task in the same answer. What home says is its word, whether or
    /// not it is written down here yet; a repeat would hear it again.
    pub(super) async fn bring_now(
        self: &Arc<Self>,
        agent: AgentId,
        lease: Abroad,
        (index, salt, output, artifacts): (
            u64,
            artel_federation::commitment::Salt,
            Json,
            Vec<artel_protocol::id::Digest>,
        ),
        (own, next): (Own, Option<u32>),
    ) -> Result<Told, Error> {
        let opening = Opening { salt, output: output.digest(), artifacts: artifacts.clone() };
        let (step, epoch, incarnation) = (lease.step, lease.epoch, self.me.incarnation());
        let handing = Handing { step, epoch, output, salt, artifacts, incarnation, index, next };
        let told = self.visit(&lease.home, agent, Act::Submit(Box::new(handing)), own).await?;
        match &told {
            Told::Submitted { receipt, signature } => {
                let right = (receipt.step, receipt.epoch, receipt.agent, receipt.result)
                    == (step, epoch, agent, opening.result());
                let signed =
                    crate::hand::is_acknowledged(receipt, signature, &lease.home, &self.me.federation());
                if !right || !signed {
                    return Err(Error::Dishonest(lease.home));
                }
                let (submitted, at, signature) = (receipt.submitted, receipt.submitted_at, *signature);
                let verdict = receipt.verdict.as_ref().map(judged);
                self.write_down(lease, Word::Acknowledged { submitted, at, signature, verdict });
            }
            Told::Refused { code, .. } if is_final(code) => {
                self.write_down(lease, Word::Over(code.clone()));
            }
            _ => {}
        }
        Ok(told)
    }

    fn write_down(self: &Arc<Self>, lease: Abroad, word: Word) {
        let shared = self.clone();
        tokio::spawn(async move { shared.tell_of(lease, word).await });
    }

    /// Tells the rules what a home said of a lease.
    async fn tell_of(&self, lease: Abroad, word: Word) {
        let over = match &word {
            Word::Judged { .. } | Word::Over(_) => true,
            Word::Acknowledged { verdict, .. } => verdict.is_some(),
            Word::Renewed => false,
        };
        let request = Request::Hear { lease, word };
        let answer = self.handle.ask(Principal::Node(lease.home), None, request).await;
        if over && answer.is_ok() {
            self.outbox.open().remove(&lease);
        }
    }
}

/// A verdict as strangers see it, and where it stands.
fn judged(verdict: &Judged) -> (u64, Judgement) {
    let judgement = match &verdict.outcome {
        Outcome::Accepted { quality, checked } => {
            Judgement::Accepted { quality: *quality, checked: *checked }
        }
        Outcome::Rejected { check, .. } => Judgement::Rejected { check: check.clone() },
    };
    (verdict.index, judgement)
}

/// Whether a refusal of a result stays one: the lease is over, or home has another result.
fn is_final(code: &str) -> bool {
    matches!(code, "stale_epoch" | "finished" | "not_found" | "already_submitted" | "agent_revoked")
}
