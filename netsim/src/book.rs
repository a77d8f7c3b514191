//! The simulator's own reading of one home's journal: which steps, leases, submissions, verdicts and balances follow from
//! the entries found on its disk. It shares no rule with the code under test, so that both would have to be wrong.

use artel_federation::Entry;
use artel_federation::fact::{
    Account, Cause, End, Enrolled, Fact, Granted, Judgement, Output, Poster, Revoker, RunPosted, Submitted,
    TaskSpec, Transfer,
};
use artel_protocol::id::{Digest, Epoch, RunId, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::log::{CompactRange, Hash};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use artel_reputation::{self as reputation, Evidence, Level, Quality, Standing};
use std::collections::{BTreeMap, BTreeSet};

/// Where a step is, as its entries tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not open to claims.
    Waiting,
    /// Open to claims.
    Offered,
    /// Held.
    Leased(AgentId),
    /// Handed in.
    Submitted(AgentId),
    /// Done, for good.
    Accepted(AgentId),
    /// Over, for good.
    Ended(End),
}

impl Life {
    /// Whether the state absorbs.
    pub fn is_terminal(self) -> bool {
        matches!(self, Life::Accepted(_) | Life::Ended(_))
    }
}

/// One grant.
#[derive(Debug, Clone, Copy)]
pub struct GrantLine {
    /// Its epoch.
    pub epoch: Epoch,
    /// To whom.
    pub agent: AgentId,
    /// The level in it.
    pub level: Level,
    /// The entry's index.
    pub index: u64,
}

/// The private half of a submission.
#[derive(Debug, Clone)]
pub struct HalfLine {
    /// The entry's index.
    pub index: u64,
    /// Its epoch.
    pub epoch: Epoch,
    /// The digest of the output.
    pub output: Digest,
    /// What it commits to, by the text of PROTOCOL.md.
    pub result: Digest,
    /// The digests that strangers must not see: of the output and of its artifacts.
    pub digests: Vec<Digest>,
}

/// One submission and what became of it.
#[derive(Debug, Clone)]
pub struct HandedLine {
    /// Its epoch.
    pub epoch: Epoch,
    /// By whom.
    pub agent: AgentId,
    /// The commitment in it.
    pub result: Digest,
    /// The private half that stood before it.
    pub half: Option<HalfLine>,
    /// The entry's index.
    pub index: u64,
    /// Whether it came after the deadline.
    pub late: bool,
    /// The verdict's index and judgement.
    pub verdict: Option<(u64, Judgement)>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct StepPage {
    /// What was asked.
    pub task: TaskSpec,
    /// The numbers of the steps that it needs.
    pub needs: Vec<u8>,
    /// Where it is.
    pub life: Life,
    /// The epoch of its last lease.
    pub epoch: Epoch,
    /// All grants.
    pub grants: Vec<GrantLine>,
    /// The last private half of a submission.
    pub half: Option<HalfLine>,
    /// The last findings: the entry's index and the epoch.
    pub findings: Option<(u64, Epoch)>,
    /// All submissions.
    pub handed: Vec<HandedLine>,
    /// Who lapsed, gave it back or was rejected on it.
    pub barred: BTreeSet<AgentId>,
    /// What each payment gave to each account, in units.
    pub payments: Vec<BTreeMap<Account, i128>>,
    /// How many lapses.
    pub lapses: u32,
    /// How many rejections.
    pub rejections: u32,
    /// How many leases were given back.
    pub releases: u32,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunPage {
    /// Who pays.
    pub poster: Poster,
    /// How many steps it has.
    pub steps: usize,
    /// How many rejections a step may have.
    pub attempts_max: u8,
    /// How many lapses a step may have.
    pub lapses_max: u8,
    /// Whether all of it was asked to stop.
    pub cancelled: bool,
    /// What the salts of its steps' terms are made of.
    pub salt: [u8; 16],
}

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentPage {
    /// Its skills.
    pub skills: Vec<Skill>,
    /// How many leases it may hold.
    pub capacity: u32,
    /// Its token's serial number.
    pub serial: u32,
    /// Who let it go.
    pub revoked: Option<Revoker>,
    /// The steps that it holds.
    pub leases: BTreeSet<StepId>,
    /// Its record, from the entries.
    pub standing: Standing,
    /// Accepted, rejected, lapsed.
    pub counts: (u64, u64, u64),
    /// What its accepted results earned by the formula, in units.
    pub earned: i128,
    /// How many grants it got.
    pub grants: u64,
}

/// One home's journal, read.
#[derive(Debug, Default)]
pub struct Book {
    /// Each entry's leaf hash, by index.
    pub leaves: Vec<Hash>,
    /// The first index of each frame, in order.
    pub frames: Vec<u64>,
    /// The tree over the leaves.
    pub tree: CompactRange,
    /// The steps.
    pub steps: BTreeMap<StepId, StepPage>,
    /// The runs.
    pub runs: BTreeMap<RunId, RunPage>,
    /// The agents.
    pub agents: BTreeMap<AgentId, AgentPage>,
    /// The balances.
    pub accounts: BTreeMap<Account, i128>,
    /// Which run a poster's key made.
    pub keys: BTreeMap<(Poster, Digest), RunId>,
    /// The entries that answers point to and that no page holds: enrollments, artifacts, events, by index.
    pub others: BTreeMap<u64, Fact>,
    /// The steps that are not over.
    pub open: BTreeSet<StepId>,
    /// Every salt so far.
    pub salts: BTreeSet<[u8; 16]>,
    /// How many starts.
    pub boots: u64,
    /// What the entry before says of the release behind it.
    unused: Option<(StepId, AgentId)>,
}

impl Book {
    /// How many entries were read.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// An account's balance in units.
    pub fn balance(&self, account: Account) -> i128 {
        self.accounts.get(&account).copied().unwrap_or(0)
    }

    /// The units that a step's highest level would get, which is what its poster sets aside (nervix.md §5).
    pub fn escrow_of(task: &TaskSpec) -> i128 {
        i128::from(task.reward.0) * 2
    }

    /// The units that an accepted result earns: base × quality / 100 × the level's multiplier, rounded down once.
    pub fn formula(task: &TaskSpec, quality: u8, level: Level) -> i128 {
        let tenths = match level {
            Level::Novice => 10,
            Level::Intermediate => 12,
            Level::Expert => 15,
            Level::Master => 20,
        };
        i128::from(task.reward.0) * i128::from(quality) * tenths / 1_000
    }

    /// What a submission commits to: SHA-256 of tag, salt, the output's digest, and the artifacts' with their number.
    fn result(f: &Output) -> Digest {
        let mut bytes = b"artel/1/result\0".to_vec();
        bytes.extend(f.salt.0);
        bytes.extend(Digest::of(f.output.bytes()).0);
        bytes.extend((f.artifacts.len() as u64).to_le_bytes());
        f.artifacts.iter().for_each(|digest| bytes.extend(digest.0));
        Digest::of(&bytes)
    }

    /// What an offer commits to: SHA-256 of tag, the step's own salt, the step's id and the task.
    pub fn terms(&self, id: &StepId, task: &TaskSpec) -> Option<Digest> {
        let mut bytes = b"artel/1/terms-salt\0".to_vec();
        bytes.extend(self.runs.get(&id.run())?.salt);
        bytes.extend(id.bytes());
        let salt = Digest::of(&bytes);
        let mut bytes = b"artel/1/terms\0".to_vec();
        bytes.extend(&salt.0[..16]);
        bytes.extend(id.bytes());
        bytes.extend(artel_protocol::codec::encode(task));
        if task.runner.is_none() {
            // A task without a runner is said as it was before there were any: without the mark that there is none.
            assert_eq!(bytes.pop(), Some(0), "the runner stands last");
        }
        Some(Digest::of(&bytes))
    }

    /// The account that stands behind a leg: a poster's alias is that of its step's poster.
    pub fn account_of(&self, account: Account) -> Account {
        let Account::Poster(step) = account else { return account };
        match self.runs.get(&step.run()).map(|run| run.poster) {
            Some(Poster::Operator) => Account::Operator,
            Some(Poster::Agent(agent)) => Account::Agent(agent),
            None => account,
        }
    }

    /// Begins a frame.
    pub fn open_frame(&mut self) {
        self.frames.push(self.size());
    }

    /// Takes in one entry as it stands on the disk. It is never refused here; what is wrong with it the invariants say.
    pub fn take(&mut self, leaf: Hash, entry: &Entry) {
        let index = self.size();
        match &entry.fact {
            Fact::Genesis(_) | Fact::Joined(_) => {}
            Fact::Admitted(_) | Fact::Expelled(_) | Fact::Invited(_) | Fact::InvitationEnded(_) => {}
            Fact::FraudProven(_) => {}
            Fact::Started(f) => self.boots = f.boot,
            Fact::Enrolled(f) => self.enrolled(f),
            Fact::Configured(f) => {
                self.agent(f.agent, |agent| {
                    agent.skills.clone_from(&f.skills);
                    agent.capacity = f.capacity;
                });
            }
            Fact::Rotated(f) => self.agent(f.agent, |agent| agent.serial = f.serial),
            Fact::Revoked(f) => self.agent(f.agent, |agent| {
                agent.serial = f.serial;
                agent.revoked = Some(f.by);
            }),
            Fact::RunPosted(f) => self.posted(f),
            Fact::CancelAsked(f) => {
                if let (None, Some(run)) = (f.step, self.runs.get_mut(&f.run)) {
                    run.cancelled = true;
                }
            }
            Fact::Offered(f) => self.step(f.step, |step| step.life = Life::Offered),
            Fact::Granted(f) => self.granted(f, index),
            Fact::Unused(f) => self.unused = Some((f.step, f.agent)),
            Fact::Released(f) => {
                let is_unused = self.unused.take() == Some((f.step, f.agent));
                self.lease_over(f.agent, f.step);
                self.step(f.step, |step| {
                    step.life = Life::Waiting;
                    if !is_unused {
                        step.releases += 1;
                        step.barred.insert(f.agent);
                    }
                });
            }
            Fact::Lapsed(f) => {
                self.lease_over(f.agent, f.step);
                self.step(f.step, |step| {
                    step.life = Life::Waiting;
                    step.lapses += 1;
                    step.barred.insert(f.agent);
                });
                self.learn((f.step, f.agent), entry.at, reputation::Outcome::Lapsed, None);
            }
            Fact::Submitted(f) => self.submitted(f, index),
            Fact::Output(f) => self.half(f, index),
            Fact::Findings(f) => self.step(f.step, |step| step.findings = Some((index, f.epoch))),
            Fact::RunEnded(_) => {}
            Fact::Verdict(f) => self.verdict(f.step, f.agent, &f.judgement, (index, entry.at)),
            Fact::StepEnded(f) => {
                if let Some(Life::Leased(holder)) = self.steps.get(&f.step).map(|step| step.life) {
                    self.lease_over(holder, f.step);
                }
                self.step(f.step, |step| step.life = Life::Ended(f.end));
                self.open.remove(&f.step);
            }
            Fact::Transfer(f) => self.moved(f),
            Fact::ArtifactStored(_) | Fact::Emitted(_) => {}
            Fact::Refused(_) => {}
            // No agent of these worlds works at two nodes.
            Fact::Drawn(_)
            | Fact::Lot(_)
            | Fact::Redone(_)
            | Fact::Unsettled(_)
            | Fact::Redoing(_)
            | Fact::Refuted(_)
            | Fact::Recalled(_)
            | Fact::Introduced(_)
            | Fact::Forgotten(_)
            | Fact::DelegationEnded(_)
            | Fact::Undertaken(_)
            | Fact::Outgoing(_)
            | Fact::HandedIn(_)
            | Fact::Acknowledged(_)
            | Fact::Concluded(_)
            | Fact::LetGo(_)
            | Fact::Unanswered(_) => {}
        }
        if matches!(
            entry.fact,
            Fact::Enrolled(_)
                | Fact::Rotated(_)
                | Fact::Configured(_)
                | Fact::Revoked(_)
                | Fact::ArtifactStored(_)
                | Fact::Emitted(_)
                | Fact::Admitted(_)
                | Fact::Expelled(_)
                | Fact::Invited(_)
                | Fact::HandedIn(_)
        ) {
            self.others.insert(index, entry.fact.clone());
        }
        self.leaves.push(leaf);
        self.tree.append(leaf);
    }

    fn agent(&mut self, id: AgentId, change: impl FnOnce(&mut AgentPage)) {
        if let Some(agent) = self.agents.get_mut(&id) {
            change(agent);
        }
    }

    fn step(&mut self, id: StepId, change: impl FnOnce(&mut StepPage)) {
        if let Some(step) = self.steps.get_mut(&id) {
            change(step);
        }
    }

    fn enrolled(&mut self, f: &Enrolled) {
        let agent = self.agents.entry(f.agent).or_insert_with(|| AgentPage {
            skills: Vec::new(),
            capacity: 0,
            serial: 0,
            revoked: None,
            leases: BTreeSet::new(),
            standing: Standing::default(),
            counts: (0, 0, 0),
            earned: 0,
            grants: 0,
        });
        agent.skills.clone_from(&f.skills);
        agent.capacity = f.capacity;
        agent.serial = f.serial;
        agent.revoked = None;
    }

    fn posted(&mut self, f: &RunPosted) {
        let run = RunPage {
            poster: f.poster,
            steps: f.steps.len(),
            attempts_max: f.attempts_max,
            lapses_max: f.lapses_max,
            cancelled: false,
            salt: f.salt.0,
        };
        self.salts.insert(f.salt.0);
        self.runs.insert(f.run, run);
        for (i, spec) in f.steps.iter().enumerate() {
            let page = StepPage {
                task: spec.task.clone(),
                needs: spec.needs.clone(),
                life: Life::Waiting,
                epoch: Epoch(0),
                grants: Vec::new(),
                half: None,
                findings: None,
                handed: Vec::new(),
                barred: BTreeSet::new(),
                payments: Vec::new(),
                lapses: 0,
                rejections: 0,
                releases: 0,
            };
            self.steps.insert(f.run.step(i), page);
            self.open.insert(f.run.step(i));
        }
        if let Some(key) = f.post_key {
            self.keys.entry((f.poster, key.key)).or_insert(f.run);
        }
    }

    fn granted(&mut self, f: &Granted, index: u64) {
        self.step(f.step, |step| {
            step.life = Life::Leased(f.agent);
            step.epoch = f.epoch;
            step.grants.push(GrantLine { epoch: f.epoch, agent: f.agent, level: f.level, index });
        });
        self.agent(f.agent, |agent| {
            agent.leases.insert(f.step);
            agent.grants += 1;
        });
    }

    fn lease_over(&mut self, agent: AgentId, step: StepId) {
        self.agent(agent, |agent| {
            agent.leases.remove(&step);
        });
    }

    fn half(&mut self, f: &Output, index: u64) {
        self.salts.insert(f.salt.0);
        let output = Digest::of(f.output.bytes());
        let digests = f.artifacts.iter().copied().chain([output]).collect();
        let half = HalfLine { index, epoch: f.epoch, output, result: Book::result(f), digests };
        self.step(f.step, |step| step.half = Some(half));
    }

    fn submitted(&mut self, f: &Submitted, index: u64) {
        self.lease_over(f.agent, f.step);
        self.step(f.step, |step| {
            step.life = Life::Submitted(f.agent);
            step.handed.push(HandedLine {
                epoch: f.epoch,
                agent: f.agent,
                result: f.result,
                half: step.half.clone(),
                index,
                late: f.late,
                verdict: None,
            });
        });
    }

    fn verdict(&mut self, id: StepId, agent: AgentId, judgement: &Judgement, (index, at): (u64, Wall)) {
        let Some(step) = self.steps.get_mut(&id) else { return };
        let Some(handed) = step.handed.last_mut() else { return };
        handed.verdict = Some((index, judgement.clone()));
        match judgement {
            Judgement::Accepted { quality, checked } => {
                step.life = Life::Accepted(agent);
                let level = step.grants.last().map_or(Level::Novice, |grant| grant.level);
                let earned = Book::formula(&step.task, *quality, level);
                let done = if handed.late { reputation::Outcome::Late } else { reputation::Outcome::OnTime };
                let quality = Quality::new(*quality).filter(|_| *checked);
                self.open.remove(&id);
                self.agent(agent, |page| page.earned += earned);
                self.learn((id, agent), at, done, quality);
            }
            Judgement::Rejected { .. } => {
                step.life = Life::Waiting;
                step.rejections += 1;
                step.barred.insert(agent);
                self.learn((id, agent), at, reputation::Outcome::Rejected, None);
            }
        }
    }

    /// One receipt goes into an agent's record, unless it is of the agent's own run (decision 12).
    fn learn(
        &mut self,
        (step, agent): (StepId, AgentId),
        at: Wall,
        outcome: reputation::Outcome,
        quality: Option<Quality>,
    ) {
        if self.runs.get(&step.run()).map(|run| run.poster) == Some(Poster::Agent(agent)) {
            return;
        }
        self.agent(agent, |page| {
            match outcome {
                reputation::Outcome::OnTime | reputation::Outcome::Late => page.counts.0 += 1,
                reputation::Outcome::Rejected => page.counts.1 += 1,
                _ => page.counts.2 += 1,
            }
            let evidence = Evidence { at, fact: reputation::Fact::Receipt { outcome, quality } };
            // Evidence of this very moment is never from the future.
            let _ = page.standing.add(&evidence, at);
        });
    }

    fn moved(&mut self, f: &Transfer) {
        for leg in &f.legs {
            let account = self.account_of(leg.account);
            let balance = self.accounts.entry(account).or_default();
            *balance += i128::from(leg.units);
            if *balance == 0 {
                self.accounts.remove(&account);
            }
        }
        if f.cause == Cause::Payment {
            let mut sums: BTreeMap<Account, i128> = BTreeMap::new();
            for leg in &f.legs {
                *sums.entry(self.account_of(leg.account)).or_default() += i128::from(leg.units);
            }
            self.step(f.step, |step| step.payments.push(sums));
        }
    }
}
