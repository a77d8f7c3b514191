//! A home's starts and ends: opening the journal as it is found, folding it, comparing it with all that is known;
//! snapshots, faults of the disk, power losses, ends of the process.

use super::looks::take_frame;
use super::{Home, Live, Out};
use crate::book::{Book, Life};
use crate::invariants::{Violation, journal};
use crate::sabotage::{self, LyingDisk, Sabotage};
use artel_audit::files::Files;
use artel_audit::memory::{Fault, Plan};
use artel_audit::{Commit, Journal, SegmentSizes};
use artel_federation::{Effect, Entry, Federation};
use artel_protocol::id::Digest;
use artel_protocol::log::{Hash, Origin};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The bytes of a segment: small, so that worlds of minutes see many of them.
const SEGMENT_BYTES: u64 = 48 << 10;

/// The bytes of a segment that is made in haste.
const HASTY_SEGMENT_BYTES: u64 = 8 << 10;

impl Home {
    /// Starts: opens the journal on the disk as it is found.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn boot(&mut self, at: u64) -> Result<(), Violation> {
        if self.live.is_some() {
            return Ok(());
        }
        if self.disk.crashed() {
            self.points_before += self.disk.points();
            self.disk = self.disk.after_crash(self.rng.draw());
        }
        if self.falls_again > 0 && self.rng.chance(self.falls_again) {
            self.plan(Fault::Crash, 1);
        }
        let files: Arc<dyn Files> = match self.sabotage {
            Some(Sabotage::LyingSync) => Arc::new(LyingDisk { disk: self.disk.clone(), below: "journal/" }),
            _ => Arc::new(self.disk.clone()),
        };
        let origin = Origin::new(self.identity.federation, self.identity.node, 0);
        let options = artel_audit::Options {
            origin,
            sizes: SegmentSizes { usual: SEGMENT_BYTES, hasty: HASTY_SEGMENT_BYTES },
        };
        let entropy = Box::new(self.rng.fork());
        match Journal::open(files, options, self.secret.clone(), self.ring.clone(), entropy) {
            Ok(opened) => {
                self.wake_up(at, opened.journal, opened.state.map(|saved| (saved.size, saved.bytes)))
            }
            Err(artel_audit::Error::Io { .. }) => {
                // The fault is still there, or power was lost while starting.
                self.counts.crashes += u64::from(self.disk.crashed());
                self.out.push(Out::Down);
                Ok(())
            }
            Err(error) => journal::invariant_a_sound_disk_opens(self.number, Err(error.to_string())),
        }
    }

    /// Folds what the journal holds, compares it with everything that is known, and begins to take letters.
    fn wake_up(&mut self, at: u64, journal: Journal, state: Option<(u64, Vec<u8>)>) -> Result<(), Violation> {
        let reader = journal.reader();
        let mut frames: Vec<(Vec<Vec<u8>>, Vec<Hash>)> = Vec::new();
        let read = reader.replay(0, |entries| {
            let leaves = entries.iter().map(|entry| entry.leaf.hash()).collect();
            frames.push((entries.into_iter().map(|entry| entry.body).collect(), leaves));
            Ok::<(), artel_audit::Error>(())
        });
        if let Err(error) = read {
            return self.unreadable(error);
        }
        let mut found = Book::default();
        let mut fold = Federation::new(self.identity, self.options.clone());
        let mut decoded = Vec::with_capacity(frames.len());
        for (bodies, leaves) in &frames {
            let entries = self.decode(bodies)?;
            take_frame(self.number, &mut found, &self.witness, &self.options, &entries, leaves)?;
            fold.fold(&entries, &mut Vec::new()).map_err(|e| self.unsound(e.to_string()))?;
            decoded.push(entries);
        }
        self.compare(&found, &frames)?;
        let federation = self.restore(state, decoded, &fold)?;
        self.counts.entries += found.size() - self.book.size();
        self.book = found;
        self.fold = fold;
        self.decided.clear();
        self.booted_at = at;
        let leases = self.book.open.iter().filter_map(|id| {
            let page = &self.book.steps[id];
            let by = at + u64::from(self.options.lease_ms);
            matches!(page.life, Life::Leased(_)).then_some((*id, (page.epoch, by)))
        });
        let leases = leases.collect();
        let live = Live {
            journal,
            federation,
            group: Commit::new(),
            commit_due: false,
            commits: 0,
            leases,
            checks: BTreeSet::new(),
            snapshot: None,
        };
        self.live = Some(live);
        self.start(at)
    }

    fn unreadable(&mut self, error: artel_audit::Error) -> Result<(), Violation> {
        if matches!(error, artel_audit::Error::Io { .. }) {
            self.out.push(Out::Down);
            return Ok(());
        }
        journal::invariant_a_sound_disk_opens(self.number, Err(error.to_string()))
    }

    /// Compares the journal as it is found with what was synced, decided and published before.
    fn compare(&self, found: &Book, frames: &[(Vec<Vec<u8>>, Vec<Hash>)]) -> Result<(), Violation> {
        let synced = self.book.size();
        journal::invariant_acknowledged_survives(self.number, &self.book, synced, found)?;
        let kept = self.book.frames.len();
        if found.frames.get(..kept) != Some(&self.book.frames[..]) {
            let what = "synced frames are found with other bounds".to_owned();
            return Err(Violation { invariant: "invariant_frames_are_whole", home: self.number, what });
        }
        let fresh = frames[kept..].iter().map(|(bodies, _)| &bodies[..]);
        journal::invariant_frames_are_whole(self.number, fresh, self.decided.iter().map(|frame| &frame[..]))?;
        journal::invariant_roots_are_consistent(self.number, &self.witness, found)
    }

    /// The state that the node starts with: a snapshot and the tail, or everything.
    fn restore(
        &mut self,
        state: Option<(u64, Vec<u8>)>,
        frames: Vec<Vec<Entry>>,
        fold: &Federation,
    ) -> Result<Federation, Violation> {
        let (from, mut federation) = match state {
            None => (0, Federation::new(self.identity, self.options.clone())),
            Some((size, bytes)) => {
                self.counts.restored += 1;
                let restored = Federation::from_snapshot(self.identity, self.options.clone(), &bytes);
                (size, restored.map_err(|e| self.unsound(format!("a snapshot does not open: {e}")))?)
            }
        };
        let (mut index, frames_count) = (0, frames.len());
        for (i, frame) in frames.into_iter().enumerate() {
            let begins = index;
            index += frame.len() as u64;
            if begins < from {
                continue;
            }
            for entries in sabotage::bend_replay(self.sabotage, frame, i + 1 == frames_count) {
                let folded = federation.fold(&entries, &mut Vec::new());
                folded.map_err(|e| self.unsound(format!("from the snapshot at {from}: {e}")))?;
            }
        }
        journal::invariant_snapshot_is_the_fold(self.number, &federation, fold, from)?;
        Ok(federation)
    }

    fn start(&mut self, at: u64) -> Result<(), Violation> {
        let now = self.now(at);
        let genesis = (self.book.size() == 0).then(|| self.genesis.clone());
        let Some(live) = &mut self.live else { return Ok(()) };
        let mut effects = Vec::new();
        let software = ("netsim".to_owned(), Digest::of(b"configuration"));
        live.federation.start(genesis, software, now, &mut effects);
        if self.sabotage == Some(Sabotage::CheckLost) {
            effects.retain(|effect| !matches!(effect, Effect::Check { .. }));
        }
        self.take(at, effects)
    }

    /// Begins a snapshot, or writes the one that was begun.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn snapshot(&mut self) -> Result<(), Violation> {
        let Some(live) = &mut self.live else { return Ok(()) };
        if let Some((job, state)) = live.snapshot.take() {
            return if job.run(&state).is_err() && self.disk.crashed() { self.fall(true) } else { Ok(()) };
        }
        // The live state is the fold over what is synced only while no frame waits.
        if !live.group.is_empty() {
            return Ok(());
        }
        let Ok(job) = live.journal.snapshot() else {
            return if self.disk.crashed() { self.fall(true) } else { Ok(()) };
        };
        let state = self.stale_state.clone().unwrap_or_else(|| live.federation.snapshot().encode());
        live.snapshot = Some((job, state));
        if let Some(spare) = live.journal.spare_job()
            && self.rng.chance(500)
            && spare.run().is_err()
            && self.disk.crashed()
        {
            return self.fall(true);
        }
        Ok(())
    }

    /// Plans a fault of the disk at one of the next writes and syncs.
    pub fn plan(&mut self, fault: Fault, count: u64) {
        let from = self.rng.below(24);
        self.plan_at(fault, from, count);
    }

    /// Plans a fault of the disk, so many writes and syncs from now.
    pub fn plan_at(&mut self, fault: Fault, from: u64, count: u64) {
        self.disk.plan(Plan { fault, from: self.disk.points() + from, count });
    }

    /// All faults of the disk end.
    pub fn heal(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
    }

    /// Loses power.
    ///
    /// # Errors
    /// Never; the answer is what callers pass on.
    pub fn power_loss(&mut self) -> Result<(), Violation> {
        self.disk.crash();
        if self.live.is_some() { self.fall(false) } else { Ok(()) }
    }

    /// The process ends, by a signal or in good order; what the disk was told stays.
    pub fn kill(&mut self) {
        self.counts.restarts += 1;
        if let Some(live) = self.live.take()
            && self.rng.chance(500)
        {
            // What does not close is found so at the next start.
            let _ = live.journal.close();
        }
        self.lie_down();
    }

    pub(super) fn fall(&mut self, at_point: bool) -> Result<(), Violation> {
        self.counts.crashes += 1;
        self.counts.crashes_at_points += u64::from(at_point);
        self.lie_down();
        Ok(())
    }

    /// After a failed commit: the live state is thrown away. With the frames known to be gone, the journal goes on and the
    /// state is folded again from it; else the process starts anew.
    pub(super) fn refold(&mut self, at: u64, gone: bool) -> Result<(), Violation> {
        self.counts.restarts += 1;
        self.pending.clear();
        let Some(live) = self.live.take() else { return Ok(()) };
        if !gone {
            self.out.push(Out::Down);
            return Ok(());
        }
        self.wake_up(at, live.journal, None)
    }

    fn lie_down(&mut self) {
        self.live = None;
        self.pending.clear();
        self.out.push(Out::Down);
    }
}
