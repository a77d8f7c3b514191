//! Results with artifacts at their home (`neighbours/bringing.rs`): the bytes are fetched from the worker's node while the lease
//! goes on, and only a result whose artifacts are all here is taken in, with them or not at all.

use super::{ANSWER_MS, Bringing, Context, Does, Member, Then, entered};
use crate::mesh::packet::Slot;
use artel_federation::run::StepState;
use artel_federation::visit::message::{Act, Fetch, Served, Told, Visit, Wanted};
use artel_federation::{Principal, Request};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a broken stream is taken up again (`BREAKS_MAX`).
const BREAKS_MAX: u32 = 3;

/// A result on its way here.
pub(super) struct Coming {
    /// Who brings it, and which of its calls waits for the answer.
    from: (Slot, NodeId),
    call: u64,
    visit: Visit,
    /// What has come.
    came: BTreeMap<Digest, Arc<[u8]>>,
    breaks: u32,
    /// The same again, which waits until the first has its answer.
    again: Vec<u64>,
}

impl Member {
    /// Begins to take in a result with artifacts.
    pub(super) fn bring_in(
        &mut self,
        context: &mut Context,
        from: (Slot, NodeId),
        call: u64,
        visit: Visit,
    ) -> Does {
        let Act::Submit(handing) = &visit.act else { return Ok(()) };
        let of: Bringing = (from.1, handing.step, handing.epoch);
        if let Some(coming) = self.trade()?.bringing.get_mut(&of) {
            coming.again.push(call);
            return Ok(());
        }
        if !self.holds(&visit, of)? {
            // Where it holds no lease, the rules say so, or give the same answer again.
            return self.ask_for(context, from, call, Request::Visit(Box::new(visit)));
        }
        let coming = Coming { from, call, visit, came: BTreeMap::new(), breaks: 0, again: Vec::new() };
        self.trade()?.bringing.insert(of, coming);
        self.keep_for_result(context, of)?;
        self.fetch_next(context, of)
    }

    /// Whether an agent of this node holds the lease.
    fn holds(&mut self, visit: &Visit, (from, step, epoch): Bringing) -> Does<bool> {
        let view = self.live()?.federation.view();
        let guest = view.agent(&visit.agent).and_then(|agent| agent.guest);
        let is_guest = guest.is_some_and(|guest| guest.node == from);
        Ok(view.step(&step).is_some_and(|(_, known)| {
            let holder = matches!(known.state, StepState::Leased { agent, .. } if agent == visit.agent);
            is_guest && holder && known.epoch == epoch
        }))
    }

    fn keep_for_result(&mut self, context: &mut Context, of: Bringing) -> Does {
        let Some(agent) = self.trade()?.bringing.get(&of).map(|coming| coming.visit.agent) else {
            return Ok(());
        };
        let (node, step, epoch) = of;
        let keep = Request::KeepForResult { agent, step, epoch };
        // Where the lease is over, the rules say so of the result.
        self.request(context, Principal::Node(node), keep).map(drop)
    }

    /// Fetches what is not here yet, one after the other; then the result is taken in.
    fn fetch_next(&mut self, context: &mut Context, of: Bringing) -> Does {
        let Some(coming) = self.trade()?.bringing.get(&of) else { return Ok(()) };
        let Act::Submit(handing) = &coming.visit.act else { return Ok(()) };
        let named = handing.artifacts.clone();
        let came: Vec<Digest> = coming.came.keys().copied().collect();
        let blobs = &self.seat()?.blobs;
        let missing = named.iter().find(|digest| !blobs.contains_key(*digest) && !came.contains(*digest));
        let Some(digest) = missing.copied() else { return self.take_in(context, of) };
        let (node, step, epoch) = of;
        let fetch = Fetch { step, epoch, what: Wanted::Artifact { digest, start: 0 } };
        self.call(node, fetch.to_frame(), ANSWER_MS / 2, Then::Artifact { of, digest })
    }

    /// An artifact came, or did not.
    pub(super) fn artifact_came(
        &mut self,
        context: &mut Context,
        of: Bringing,
        digest: Digest,
        answer: Option<(Vec<u8>, Arc<[u8]>)>,
    ) -> Does {
        let Some(coming) = self.trade()?.bringing.get_mut(&of) else { return Ok(()) };
        let served = answer.map(|(frame, bytes)| (Served::read(&frame), bytes));
        match served {
            Some((Ok(Served::Bytes(_)), bytes)) if Digest::of(&bytes) == digest => {
                coming.came.insert(digest, bytes);
                self.keep_for_result(context, of)?;
                return self.fetch_next(context, of);
            }
            None if coming.breaks < BREAKS_MAX => {
                coming.breaks += 1;
                return self.fetch_next(context, of);
            }
            _ => {}
        }
        let Some(coming) = self.trade()?.bringing.remove(&of) else { return Ok(()) };
        for call in coming.again.into_iter().chain([coming.call]) {
            let told =
                Told::refused("artifact_missing", "it could not be fetched from your node; submit again");
            self.tell(coming.from, call, told)?;
        }
        Ok(())
    }

    /// All bytes are here: the result is taken in with them, or they are gone again.
    fn take_in(&mut self, context: &mut Context, of: Bringing) -> Does {
        let Some(coming) = self.trade()?.bringing.remove(&of) else { return Ok(()) };
        let (node, step, _) = of;
        let new: Vec<Digest> = coming.came.keys().copied().collect();
        let puts = coming.came.iter().map(|(digest, bytes)| entered(*digest, bytes.len() as u64, Some(step)));
        let puts = puts.collect();
        self.seat()?.blobs.extend(coming.came);
        let mut first = coming.visit.clone();
        let mut asks_for_next = false;
        if let Act::Submit(handing) = &mut first.act {
            asks_for_next = handing.next.take().is_some();
        }
        let bring = Request::Bring { visit: Box::new(first), came: puts };
        let (_, answer) = self.request(context, Principal::Node(node), bring)?;
        let Some(answer) = answer else { return Ok(()) };
        if answer.is_err() {
            let blobs = &mut self.seat()?.blobs;
            new.iter().for_each(|digest| drop(blobs.remove(digest)));
        } else {
            context.counts.brought += 1;
        }
        for call in coming.again {
            self.ask_for(context, coming.from, call, Request::Visit(Box::new(coming.visit.clone())))?;
        }
        if answer.is_ok() && asks_for_next {
            let again = Request::Visit(Box::new(coming.visit));
            return self.ask_for(context, coming.from, coming.call, again);
        }
        let told = self.told(answer);
        self.tell(coming.from, coming.call, told)
    }
}
