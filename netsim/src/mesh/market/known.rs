//! What the world knows of the market, whatever a node says: what each node's journal says of it, what agents were told, whose
//! each secret is, and who means ill. Whatever a journal says is held against the other journals at once.

use super::delegations::Delegations;
use super::ledger::{Ledger, Sent};
use super::posting::{SECRET_CHARS, secrets};
use crate::invariants::{Held, ensure};
use crate::mesh::packet::Slot;
use artel_federation::fact::{Abroad, Judgement};
use artel_federation::{Entry, Fact};
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use std::collections::{BTreeMap, BTreeSet};

/// Whose a file is.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// The home of the step that it was left by.
    pub home: NodeId,
    /// That step.
    pub step: StepId,
    /// The node whose agent made it.
    pub by: Slot,
    /// The file's digest.
    pub digest: Digest,
}

/// All that the world knows.
#[derive(Debug, Default)]
pub struct Known {
    ledgers: BTreeMap<Slot, Ledger>,
    slots: BTreeMap<NodeId, Slot>,
    /// Who has undertaken a lease.
    undertaken: BTreeMap<Abroad, Slot>,
    /// Which result names a record of a worker's node.
    named: BTreeMap<(NodeId, u64), (NodeId, StepId, Epoch)>,
    /// The results that agents were told are handed in.
    pub promised: BTreeMap<(Slot, Abroad), Digest>,
    /// What agents falsified.
    pub falsified: BTreeSet<(AgentId, StepId, Epoch)>,
    /// Whom homes have asked to run a step again, by run.
    pub lent: BTreeSet<(RunId, Slot)>,
    /// The files that were made, by their secrets.
    pub files: BTreeMap<[u8; SECRET_CHARS], File>,
    /// Summaries that are not what their nodes have read.
    pub forged: BTreeSet<Digest>,
    /// Whose word on runs is not what they came to.
    pub redo_liar: Option<NodeId>,
    /// What agents let their nodes do.
    pub delegations: Delegations,
}

type Says = Result<(), (&'static str, String)>;

fn says(invariant: &'static str, held: Held) -> Says {
    held.map_err(|what| (invariant, what))
}

impl Known {
    /// A node begins to write.
    pub fn enter(&mut self, slot: Slot, node: NodeId) {
        self.slots.entry(node).or_insert(slot);
        self.ledgers.entry(slot).or_default();
    }

    /// A node's journal is read again from its first entry.
    pub fn read_again(&mut self, slot: Slot, node: &NodeId) {
        self.ledgers.insert(slot, Ledger::default());
        self.delegations.read_again(node);
    }

    /// What a node's journal says.
    pub fn ledger(&self, slot: Slot) -> &Ledger {
        &self.ledgers[&slot]
    }

    /// All nodes' journals.
    pub fn ledgers(&self) -> impl Iterator<Item = (Slot, &Ledger)> {
        self.ledgers.iter().map(|(slot, ledger)| (*slot, ledger))
    }

    /// A node's place.
    pub fn slot(&self, node: &NodeId) -> Option<Slot> {
        self.slots.get(node).copied()
    }

    fn of(&self, node: &NodeId) -> Option<&Ledger> {
        self.ledgers.get(self.slots.get(node)?)
    }

    /// Takes in the next synced entry of a node.
    ///
    /// # Errors
    /// What does not hold, with the invariant's name.
    pub fn take(&mut self, (slot, journal): (Slot, Origin), index: u64, entry: &Entry) -> Says {
        let node = journal.node();
        self.ledgers.entry(slot).or_default().take(index, entry)?;
        self.delegations.take(node, index, &entry.fact);
        match &entry.fact {
            Fact::Undertaken(f) => {
                let lease = (f.lease.step, f.lease.epoch);
                let grant = self.of(&f.lease.home).and_then(|home| home.granted.get(&lease)).copied();
                let is_won = grant.is_some_and(|grant| {
                    (grant.index, grant.agent, grant.node) == (f.granted, f.agent, Some(node))
                });
                let first = *self.undertaken.entry(f.lease).or_insert(slot);
                let held = ensure(is_won && first == slot, || {
                    format!("node {slot} takes on step {}, which its home granted as {grant:?}", f.lease.step)
                });
                says("invariant_one_winner_across_nodes", held)
            }
            Fact::Submitted(f) => match f.handed_at {
                Some(at) => {
                    let lease = Abroad { home: node, step: f.step, epoch: f.epoch };
                    let sent = self.of(&at.node).and_then(|worker| worker.handed.get(&lease)).copied();
                    let is_pair = sent == Some(Sent { index: at.index, agent: f.agent, result: f.result });
                    let first = *self.named.entry((at.node, at.index)).or_insert((node, f.step, f.epoch));
                    let held = ensure(is_pair && first == (node, f.step, f.epoch), || {
                        format!(
                            "step {} is taken in as entry {} of a journal that has {sent:?}",
                            f.step, at.index
                        )
                    });
                    says("invariant_one_receipt_each", held)
                }
                None => Ok(()),
            },
            Fact::Lot(f) => {
                let submitted = self.ledgers[&slot].taken_in.get(&(f.step, f.epoch));
                let said = submitted.map(|digest| f.verify(digest, &journal));
                let held = ensure(said == Some(Ok(())), || format!("the lot of step {}: {said:?}", f.step));
                says("invariant_lots_are_their_witnesses", held)
            }
            Fact::Verdict(f) => says("invariant_the_honest_are_not_refuted", self.is_just(f, slot)),
            Fact::Refuted(f) => {
                let is_false = self.falsified.contains(&(f.agent, f.step, f.epoch));
                let held = ensure(is_false, || format!("step {} was done as asked and is refuted", f.step));
                says("invariant_the_honest_are_not_refuted", held)
            }
            Fact::Redone(f) | Fact::Unsettled(f) => {
                let grant = self.ledgers[&slot].granted.get(&(f.step, f.epoch));
                let own = f.by.is_some() && grant.is_some_and(|grant| grant.node == f.by);
                says(
                    "invariant_runs_are_what_they_came_to",
                    ensure(!own, || format!("whoever did step {} says that it is right", f.step)),
                )?;
                says("invariant_runs_are_what_they_came_to", self.is_run(f))
            }
            Fact::Acknowledged(f) => {
                let taken = self.taken(&f.lease);
                let held = ensure(taken.is_some_and(|taken| taken.index == f.submitted), || {
                    format!("home has acknowledged step {} as entry {}: {taken:?}", f.lease.step, f.submitted)
                });
                says("invariant_words_of_homes_are_theirs", held)
            }
            Fact::Concluded(f) => {
                let home = self.of(&f.lease.home);
                let verdict = home.and_then(|home| home.verdicts.get(&(f.lease.step, f.lease.epoch)));
                let is_said =
                    verdict.is_some_and(|(at, _, judged)| (*at, judged) == (f.verdict, &f.judgement));
                let held =
                    ensure(is_said, || format!("home has judged step {} as {verdict:?}", f.lease.step));
                says("invariant_words_of_homes_are_theirs", held)
            }
            Fact::RefutedAway(f) => {
                let home = self.of(&f.lease.home);
                let refuted = home.and_then(|home| home.refuted.get(&(f.lease.step, f.lease.epoch)));
                let held = ensure(refuted == Some(&(f.refuted, f.recalled.0)), || {
                    format!("home has refuted step {} as {refuted:?}", f.lease.step)
                });
                says("invariant_words_of_homes_are_theirs", held)
            }
            Fact::LetGo(f) => {
                let sent = self.ledgers[&slot].handed.get(&f.lease);
                let taken = self.taken(&f.lease);
                let home = self.of(&f.lease.home);
                let lives = home.is_some_and(|home| home.live.contains(&(f.lease.step, f.lease.epoch)));
                let is_lost =
                    sent.is_some_and(|sent| lives || taken.is_some_and(|taken| taken.result == sent.result));
                let held = ensure(!is_lost, || {
                    format!("node {slot} lets go of a result that its home takes or has taken in: {}", f.code)
                });
                says("invariant_handed_in_is_not_lost", held)
            }
            _ => Ok(()),
        }
    }

    /// What a home has taken in under a lease.
    fn taken(&self, lease: &Abroad) -> Option<&super::ledger::Taken> {
        self.of(&lease.home)?.submitted.get(&(lease.step, lease.epoch))
    }

    /// Nobody is refuted who did what was asked, and nobody at all without two runs by two nodes that agree.
    fn is_just(&self, verdict: &artel_federation::fact::Verdict, slot: Slot) -> Held {
        let Judgement::Rejected { check } = &verdict.judgement else { return Ok(()) };
        if check != artel_federation::redo::CHECK {
            return Ok(());
        }
        let lease = (verdict.step, verdict.epoch);
        ensure(self.falsified.contains(&(verdict.agent, verdict.step, verdict.epoch)), || {
            format!("step {} was done as asked and is refuted", verdict.step)
        })?;
        let mut others: BTreeMap<Digest, Vec<NodeId>> = BTreeMap::new();
        for run in self.ledgers[&slot].reruns.get(&lease).into_iter().flatten() {
            if let (artel_federation::fact::Came::Other(result), Some(by)) = (run.came, run.by) {
                others.entry(result).or_default().push(by);
            }
        }
        // Where there is nobody else, home runs it a second time.
        let agree = |by: &Vec<NodeId>| by.len() > 1 && (by[0] != by[1] || self.slot(&by[0]) == Some(slot));
        ensure(others.values().any(agree), || {
            format!("step {} is refuted without two runs that agree", verdict.step)
        })
    }

    /// A run by an honest node agrees with honest work, and with no other.
    fn is_run(&self, run: &artel_federation::fact::Redone) -> Held {
        use artel_federation::fact::Came;
        let is_false = self.falsified.contains(&(run.agent, run.step, run.epoch));
        let is_of_liar = run.by.is_some() && run.by == self.redo_liar;
        match (run.came, run.by) {
            (Came::Same, None) => Err(format!("nobody ran step {}, and it is said to be right", run.step)),
            (Came::Same, Some(_)) => {
                ensure(!is_false, || format!("step {} is false and said to be right", run.step))
            }
            (Came::Other(_), _) => ensure(is_false || is_of_liar, || {
                format!("an honest run of step {} came to something else", run.step)
            }),
            (Came::Inconclusive, _) => Ok(()),
        }
    }

    /// Something is said to a node: no secret of another's is in it.
    ///
    /// # Errors
    /// Whose is.
    pub fn is_told_to_whom_it_is_for(&self, to: Slot, bytes: &[u8]) -> Held {
        for secret in secrets(bytes) {
            let step = self
                .ledgers
                .iter()
                .find_map(|(home, ledger)| ledger.inputs.get(&secret).map(|step| (*home, *step)));
            if let Some((home, step)) = step {
                ensure(
                    home == to || self.has_won(home, to, |of| of == step) || self.is_lent(step, to),
                    || format!("node {to} is told the input of step {step}, of which it has won nothing"),
                )?;
            }
            if let Some(file) = self.files.get(&secret)
                && let Some(home) = self.slot(&file.home)
            {
                let run = file.step.run();
                let is_for = file.by == to || home == to || self.is_lent(file.step, to);
                ensure(is_for || self.has_won(home, to, |of| of.run() == run), || {
                    format!(
                        "node {to} is given a file of step {}, of whose run it has won nothing",
                        file.step
                    )
                })?;
            }
        }
        Ok(())
    }

    /// A file was made.
    pub fn made(&mut self, secret: [u8; SECRET_CHARS], file: File) {
        self.files.entry(secret).or_insert(file);
    }

    /// A file that some step of a run has left.
    pub fn a_file_of(&self, run: &RunId) -> Option<Digest> {
        self.files.values().find(|file| file.step.run() == *run).map(|file| file.digest)
    }

    /// A home has asked a node to run a step again.
    pub fn lends(&mut self, step: StepId, to: &NodeId) {
        if let Some(slot) = self.slot(to) {
            self.lent.insert((step.run(), slot));
        }
    }

    fn is_lent(&self, step: StepId, to: Slot) -> bool {
        self.lent.contains(&(step.run(), to))
    }

    /// Whether a home has granted an agent of a node something of this.
    fn has_won(&self, home: Slot, to: Slot, what: impl Fn(StepId) -> bool) -> bool {
        let granted = self.ledgers[&home].granted.iter().filter(|((step, _), _)| what(*step));
        granted.filter_map(|(_, grant)| grant.node).any(|node| self.slot(&node) == Some(to))
    }

    /// Everything that an agent was told is handed in stands in its node's journal.
    ///
    /// # Errors
    /// What does not.
    pub fn promises_are_kept(&self, slot: Slot) -> Held {
        let of_slot = self.promised.iter().filter(|((of, _), _)| *of == slot);
        for ((_, lease), result) in of_slot {
            let sent = self.ledgers[&slot].handed.get(lease);
            ensure(sent.is_some_and(|sent| sent.result == *result), || {
                format!("an agent was told that its result of step {} is handed in: {sent:?}", lease.step)
            })?;
        }
        Ok(())
    }

    /// How many results of each agent of another node were accepted and rejected at each home, by the journals alone; nothing
    /// of a node whose last words nobody may have heard.
    pub fn receipts(&self, gone: Option<Slot>) -> BTreeMap<(AgentId, NodeId), (u64, u64)> {
        let mut counted: BTreeMap<(AgentId, NodeId), (u64, u64)> = BTreeMap::new();
        for (node, slot) in &self.slots {
            let ledger = &self.ledgers[slot];
            for (lease, (_, agent, judgement)) in &ledger.verdicts {
                let Some(taken) = ledger.submitted.get(lease) else { continue };
                let Some(at) = taken.handed_at else { continue };
                if gone.is_some_and(|gone| gone == *slot || self.slot(&at.node) == Some(gone)) {
                    continue;
                }
                let count = counted.entry((*agent, *node)).or_default();
                match judgement {
                    // What is found to be another result counts for nobody.
                    Judgement::Accepted { .. } if ledger.refuted.contains_key(lease) => {}
                    Judgement::Accepted { .. } => count.0 += 1,
                    Judgement::Rejected { .. } => count.1 += 1,
                }
            }
        }
        counted
    }
}
