//! Steps of other homes that are run again here (`neighbours/redo.rs`): fetched, written down, run, answered.

use super::{ANSWER_MS, Context, Does, MarketWake, Member, Then};
use crate::mesh::market::program::{self, Blobs};
use crate::mesh::packet::Slot;
use artel_federation::fact::{Abroad, Redoing};
use artel_federation::redo::message::{Ended, Redo, Reran};
use artel_federation::visit::message::{Fetch, Served, Wanted};
use artel_federation::{Json, Principal, Request};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use std::sync::Arc;

/// A step of another home that is run again here.
pub(super) struct Rerun {
    from: (Slot, NodeId),
    call: u64,
    ask: Redo,
    missing: Vec<Digest>,
    files: Blobs,
}

impl Member {
    /// A home asks that a step is run again.
    pub(super) fn asked_to_redo(&mut self, from: (Slot, NodeId), call: u64, frame: &[u8]) -> Does {
        let Ok(ask) = Redo::read(frame) else { return Ok(()) };
        let trade = self.trade()?;
        // One step of one home at a time.
        if trade.reruns.values().any(|known| known.from == from) || !self.live()?.exchange.is_member(&from.1)
        {
            return Ok(());
        }
        let missing = ask.artifacts.iter().copied().chain([ask.module]).collect();
        let seat = self.seat()?;
        seat.calls += 1;
        let number = seat.calls;
        self.trade()?.reruns.insert(number, Rerun { from, call, ask, missing, files: Blobs::new() });
        self.fetch_for_rerun(number)
    }

    fn fetch_for_rerun(&mut self, number: u64) -> Does {
        let Some(rerun) = self.trade()?.reruns.get(&number) else { return Ok(()) };
        let (home, step, epoch) = (rerun.from.1, rerun.ask.step, rerun.ask.epoch);
        let Some(digest) = rerun.missing.last().copied() else {
            let ms = self.rng.between(5, 2_000);
            self.later(ms, MarketWake::Ran(number));
            return Ok(());
        };
        let fetch = Fetch { step, epoch, what: Wanted::Artifact { digest, start: 0 } };
        self.call(home, fetch.to_frame(), ANSWER_MS, Then::RerunFile { rerun: number, digest })
    }

    /// Bytes for it came, or did not: then home hears nothing of it.
    pub(super) fn rerun_file_came(
        &mut self,
        number: u64,
        digest: Digest,
        answer: Option<(Vec<u8>, Arc<[u8]>)>,
    ) -> Does {
        let Some(rerun) = self.trade()?.reruns.get_mut(&number) else { return Ok(()) };
        match answer.map(|(frame, bytes)| (Served::read(&frame), bytes)) {
            Some((Ok(Served::Bytes(_)), bytes)) if Digest::of(&bytes) == digest => {
                rerun.missing.pop();
                rerun.files.insert(digest, bytes);
                self.fetch_for_rerun(number)
            }
            _ => {
                self.trade()?.reruns.remove(&number);
                Ok(())
            }
        }
    }

    /// It starts only once its entry is on disk; then what it came to is said.
    pub(super) fn rerun_is_done(&mut self, context: &mut Context, number: u64) -> Does {
        let Some(rerun) = self.trade()?.reruns.remove(&number) else { return Ok(()) };
        let Rerun { from, call, ask, files, .. } = rerun;
        let lease = Abroad { home: from.1, step: ask.step, epoch: ask.epoch };
        let redoing = Request::Redo(Redoing { lease, module: ask.module });
        self.request(context, Principal::Node(from.1), redoing)?;
        let Some(mut reran) = program::rerun(&ask, &files) else { return Ok(()) };
        if self.seat()?.lies_in_redo {
            let output = Json::new(*b"{\"made\":\"up\"}");
            reran = Reran { end: Ended::Done { output, artifacts: Vec::new(), log: None }, ..reran };
        }
        self.reply(from.0, call, reran.to_frame(), Arc::default());
        Ok(())
    }
}
