//! Planted bugs, so that it is seen that the invariants notice. They sit in the simulator's own handling of inputs,
//! entries, answers, snapshots and disks: the crates that ship carry no hook for them.

use crate::book::{Book, Life};
use artel_audit::files::{Access, File, Files, Lock};
use artel_audit::memory::MemoryDisk;
use artel_federation::fact::{Account, Cause};
use artel_federation::input::Submission;
use artel_federation::{Entry, Fact, Input, Principal, Request};
use artel_protocol::id::Digest;
use std::io;
use std::sync::Arc;

macro_rules! sabotages {
    ($($variant:ident $name:literal $caught:expr, $doc:literal;)*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Sabotage { $(#[doc = $doc] $variant,)* }

        impl Sabotage {
            /// All of them.
            pub const ALL: &[Sabotage] = &[$(Sabotage::$variant),*];

            /// The name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Sabotage::$variant => $name),* }
            }

            /// What it breaks, in a sentence.
            pub fn what(self) -> &'static str {
                match self { $(Sabotage::$variant => $doc),* }
            }

            /// The invariants of which one must notice it.
            pub fn caught_by(self) -> &'static [&'static str] {
                match self { $(Sabotage::$variant => &$caught),* }
            }
        }
    };
}

sabotages! {
    NoEpochCheck "no-epoch-check"
        ["invariant_the_log_holds_only_what_was_sent", "invariant_an_acknowledgement_names_what_was_sent"],
        "A submission under a stale epoch is taken in as if its sender held the live lease.";
    EarlyAnswer "early-answer" ["invariant_acknowledged_is_durable", "invariant_what_is_told_stands_in_the_log"],
        "Answers leave before their entries are synced.";
    LegDropped "leg-dropped" ["invariant_legs_sum_to_zero"],
        "A transfer is journalled without its last leg.";
    PaidTwice "paid-twice" ["invariant_paid_once_by_the_formula"],
        "A payment is journalled a second time.";
    RefundLost "refund-lost" ["invariant_escrow_is_what_open_steps_cost"],
        "A step that ends keeps its escrow: the refund is not journalled.";
    SecondWinner "second-winner" ["invariant_what_is_told_stands_in_the_log", "invariant_one_winner_is_told"],
        "Whoever claims a step that another holds is told that it won, under the same epoch.";
    VerdictLostOnReplay "verdict-lost-on-replay"
        ["invariant_snapshot_is_the_fold", "invariant_state_is_the_fold", "invariant_a_sound_disk_opens"],
        "At start, accepted verdicts are not folded.";
    LapseNotJournalled "lapse-not-journalled" ["invariant_one_live_lease", "invariant_offers_say_what_was_posted"],
        "A lease that runs out is offered anew without a word in the journal.";
    LyingSync "lying-sync" ["invariant_acknowledged_survives", "invariant_roots_are_consistent", "invariant_a_sound_disk_opens"],
        "The disk says that a segment is synced, and it is not.";
    SplitFrame "split-frame" ["invariant_frames_are_whole", "invariant_no_step_rests_between_states",
        "invariant_escrow_is_what_open_steps_cost"],
        "The entries of one input are written as two frames.";
    StaleSnapshot "stale-snapshot" ["invariant_snapshot_is_the_fold", "invariant_a_sound_disk_opens"],
        "A snapshot holds the state of one commit before the size that it names.";
    KeyForgotten "key-forgotten" ["invariant_one_run_is_told_per_key"],
        "A post that comes again under its key makes another run.";
    StoppedClock "stopped-clock" ["invariant_leases_end", "invariant_requests_are_answered_once"],
        "The monotonic clock stands still, so that no timer goes off.";
    BarForgotten "bar-forgotten" ["invariant_the_log_holds_only_what_was_sent"],
        "A lapse is journalled as a release, which bars nobody.";
    OldTokenTaken "old-token-taken" ["invariant_old_tokens_open_nothing"],
        "A token that was replaced is taken for the new one.";
    HeadTooHigh "head-too-high" ["invariant_heads_never_shrink", "invariant_roots_are_consistent"],
        "A head is published with entries that are not synced.";
    FrameReplayedTwice "frame-replayed-twice"
        ["invariant_a_sound_disk_opens", "invariant_snapshot_is_the_fold", "invariant_state_is_the_fold"],
        "At start, the last frame is folded twice.";
    BareDigest "bare-digest" ["invariant_public_entries_cannot_be_guessed"],
        "A submission is journalled with the plain digest of its output in place of the commitment.";
    SaltRepeated "salt-repeated" ["invariant_salts_are_fresh"],
        "The bytes that salts are made of are the same for every input.";
    FindingsLost "findings-lost" ["invariant_commitments_open"],
        "A rejection is journalled without what was found.";
    PosterNamed "poster-named" ["invariant_payments_name_their_worker_alone"],
        "A payment is journalled with its poster's account in place of the alias.";
    CheckLost "check-lost" ["invariant_checks_are_asked_for", "invariant_runs_end"],
        "Submissions that waited for a check when the node stopped are not checked again.";
}

impl Sabotage {
    /// The planted bug of that name.
    pub fn parse(name: &str) -> Option<Sabotage> {
        Sabotage::ALL.iter().copied().find(|sabotage| sabotage.name() == name)
    }
}

/// Bends what a home is asked before the rules see it.
pub fn bend_input(sabotage: Option<Sabotage>, input: &mut Input, book: &Book) {
    let Input::Request { principal, request, .. } = input else { return };
    match (sabotage, request) {
        (Some(Sabotage::NoEpochCheck), Request::Submit(submission)) => take_over(principal, submission, book),
        (Some(Sabotage::KeyForgotten), Request::Post(post)) => post.key = None,
        (Some(Sabotage::OldTokenTaken), _) => {
            if let Principal::Agent { id, serial } = principal
                && let Some(page) = book.agents.get(id).filter(|page| page.revoked.is_none())
            {
                *serial = page.serial;
            }
        }
        _ => {}
    }
}

fn take_over(principal: &mut Principal, submission: &mut Submission, book: &Book) {
    let Some(page) = book.steps.get(&submission.step) else { return };
    let (Life::Leased(holder), Some(agent)) = (
        page.life,
        book.agents.get(&match page.life {
            Life::Leased(holder) => holder,
            _ => return,
        }),
    ) else {
        return;
    };
    if page.epoch != submission.epoch {
        submission.epoch = page.epoch;
        *principal = Principal::Agent { id: holder, serial: agent.serial };
    }
}

/// Bends the randomness that a home is given.
pub fn bend_entropy(sabotage: Option<Sabotage>, entropy: &mut [u8; 32]) {
    if sabotage == Some(Sabotage::SaltRepeated) {
        entropy[16..].fill(0);
    }
}

/// Bends one frame before it is journalled, in what it says.
pub fn bend_entries(sabotage: Option<Sabotage>, entries: &mut Vec<Entry>) {
    match sabotage {
        Some(Sabotage::LegDropped) => {
            for entry in entries {
                if let Fact::Transfer(transfer) = &mut entry.fact
                    && transfer.cause == Cause::Payment
                {
                    transfer.legs.pop();
                }
            }
        }
        Some(Sabotage::PaidTwice) => {
            let payment =
                |entry: &Entry| matches!(&entry.fact, Fact::Transfer(t) if t.cause == Cause::Payment);
            if let Some(at) = entries.iter().position(payment) {
                entries.insert(at, entries[at].clone());
            }
        }
        Some(Sabotage::RefundLost) => {
            entries.retain(|entry| !matches!(&entry.fact, Fact::Transfer(t) if t.cause == Cause::Refund));
        }
        Some(Sabotage::BareDigest) => {
            let mut bare = Digest::default();
            for entry in entries {
                match &mut entry.fact {
                    Fact::Output(output) => bare = output.output.digest(),
                    Fact::Submitted(submitted) => submitted.result = bare,
                    _ => {}
                }
            }
        }
        Some(Sabotage::FindingsLost) => entries.retain(|entry| !matches!(entry.fact, Fact::Findings(_))),
        Some(Sabotage::PosterNamed) => {
            for entry in entries {
                if let Fact::Transfer(transfer) = &mut entry.fact
                    && let Some(leg) = transfer.legs.get_mut(2)
                {
                    leg.account = Account::Operator;
                }
            }
        }
        Some(Sabotage::LapseNotJournalled) => entries.retain(|entry| !matches!(entry.fact, Fact::Lapsed(_))),
        Some(Sabotage::BarForgotten) => {
            for entry in entries {
                if let Fact::Lapsed(ended) = &entry.fact {
                    entry.fact = Fact::Released(ended.clone());
                }
            }
        }
        _ => {}
    }
}

/// Bends one frame in how it is written: as one or as two.
pub fn bend_frame(sabotage: Option<Sabotage>, entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    if sabotage == Some(Sabotage::SplitFrame) && entries.len() > 1 {
        let mut front = entries;
        let back = front.split_off(front.len() / 2);
        return vec![front, back];
    }
    vec![entries]
}

/// Bends one frame as a home folds it at start; `last` when none follows.
pub fn bend_replay(sabotage: Option<Sabotage>, mut entries: Vec<Entry>, last: bool) -> Vec<Vec<Entry>> {
    match sabotage {
        Some(Sabotage::VerdictLostOnReplay) => {
            entries.retain(|entry| !matches!(entry.fact, Fact::Verdict(_)));
            vec![entries]
        }
        Some(Sabotage::FrameReplayedTwice) if last => vec![entries.clone(), entries],
        _ => vec![entries],
    }
}

/// A disk that says of each sync of the files below a path that it is done, and does nothing.
pub struct LyingDisk {
    /// What it is in truth.
    pub disk: MemoryDisk,
    /// What the paths of these files begin with.
    pub below: &'static str,
}

struct LyingFile(Arc<dyn File>);

impl Files for LyingDisk {
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(path, access)?;
        let lies = path.starts_with(self.below);
        Ok(if lies { Arc::new(LyingFile(file)) } else { file })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }

    fn mode(&self, path: &str) -> io::Result<u32> {
        self.disk.mode(path)
    }
}

impl File for LyingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}
