//! What an agent does: it enrolls, claims, works, needs more time, gives back, forgets, and hands in, at its own node or, through
//! it, elsewhere. It repeats what was not answered, for its node may have gone down meanwhile.

use super::{ANSWER_MS, Context, Does, Member, Then, held, wall};
use crate::mesh::market::known::File;
use crate::mesh::market::posting;
use crate::mesh::market::program;
use crate::mesh::market::worker::{Held, Plan};
use crate::mesh::sabotage::MeshSabotage;
use artel_federation::commitment::Salt;
use artel_federation::effect::Lease;
use artel_federation::fact::{Abroad, RunnerSpec};
use artel_federation::input::{ClaimNext, Profile, Submission, Work};
use artel_federation::visit::message::{Act, Fetch, Handing, Served, Wanted};
use artel_federation::{Json, Principal, Reply, Request};
use artel_protocol::id::Digest;
use std::sync::Arc;

/// How many leases an agent wants at once.
const HELD_MAX: usize = 3;

/// What a work needs beside what it was told: the module and the files of the steps before.
fn files_of(lease: &Lease) -> Vec<Digest> {
    let mut files: Vec<Digest> = lease.artifacts.iter().flat_map(|(_, files)| files).copied().collect();
    files.sort_unstable();
    files.dedup();
    files
}

impl Member {
    /// The operator posts.
    ///
    /// # Errors
    /// [`super::Stop`].
    pub fn posts(&mut self, context: &mut Context) -> Does {
        let seat = self.seat()?;
        if seat.runs_left == 0 {
            return Ok(());
        }
        seat.runs_left -= 1;
        seat.posted += 1;
        let name = format!("run {}", seat.posted);
        let post = posting::run(&mut self.rng, wall(context.at), name);
        self.request(context, Principal::Operator, Request::Post(post)).map(drop)
    }

    /// An agent wakes.
    pub(super) fn agent_wakes(&mut self, context: &mut Context, n: usize) -> Does {
        if !self.is_with_its_node(context, n)? {
            return Ok(());
        }
        let held: Vec<Abroad> = self.seat()?.workers[n].held.keys().copied().collect();
        let count = held.len();
        for lease in held {
            self.works_on(context, n, lease)?;
        }
        let is_busy = self.trade()?.errands.contains_key(&n);
        if !is_busy && count < HELD_MAX && self.rng.chance(600) {
            self.claims(context, n)?;
        }
        Ok(())
    }

    pub(super) fn enrolls(&mut self, context: &mut Context, n: usize) -> Does {
        let worker = &self.seat()?.workers[n];
        let (id, skills, delegate) = (worker.id, worker.skills.clone(), !worker.signs_itself());
        let profile = Profile { name: "worker".into(), skills, metadata: Json::new(*b"{}"), capacity: None };
        let enroll = Request::Enroll { agent: id, profile, delegate };
        let asked = self.request(context, Principal::Stranger, enroll)?.1;
        let Some(Ok(Reply::Challenge { enrollment, text, .. })) = asked else { return Ok(()) };
        let signature = self.seat()?.workers[n].key.sign(text.as_bytes());
        let respond = Request::Respond { enrollment, signature };
        if let Some(Ok(Reply::Token { serial, .. })) = self.request(context, Principal::Stranger, respond)?.1
        {
            self.seat()?.workers[n].serial = Some(serial);
        }
        Ok(())
    }

    fn works_on(&mut self, context: &mut Context, n: usize, of: Abroad) -> Does {
        let at = context.at;
        let Some(held) = self.seat()?.workers[n].held.get(&of).cloned() else { return Ok(()) };
        if at < held.done_at && held.plan != Plan::Lapses && at >= held.renew_at {
            return self.needs_time(context, n, of, &held);
        }
        if at < held.done_at {
            return Ok(());
        }
        match held.plan {
            Plan::Lapses => {
                self.seat()?.workers[n].held.remove(&of);
                Ok(())
            }
            Plan::Releases => {
                self.seat()?.workers[n].held.remove(&of);
                let (step, epoch) = (of.step, of.epoch);
                if of.home == self.identity.node {
                    return self.asks(context, n, Request::Release { step, epoch }).map(drop);
                }
                let act = Act::Release { step, epoch };
                let own = self.signs(context, n, of.home, &act)?;
                let then = Then::Release { worker: n, lease: of };
                self.visit(n, of.home, act, own, ANSWER_MS, then)
            }
            Plan::Works | Plan::Falsifies => self.hands_in(context, n, of, held),
        }
    }

    fn asks(&mut self, context: &mut Context, n: usize, request: Request) -> Does<Option<super::Answer>> {
        let Some(principal) = self.seat()?.workers[n].principal() else { return Ok(None) };
        Ok(self.request(context, principal, request)?.1)
    }

    fn needs_time(&mut self, context: &mut Context, n: usize, of: Abroad, held: &Held) -> Does {
        let (step, epoch) = (of.step, of.epoch);
        let renew_at = context.at + u64::from(held.lease.lease_ms) / 2;
        if let Some(held) = self.seat()?.workers[n].held.get_mut(&of) {
            held.renew_at = renew_at;
        }
        if of.home == self.identity.node {
            return self.asks(context, n, Request::Renew { step, epoch }).map(drop);
        }
        let act = Act::Renew { step, epoch };
        let own = self.signs(context, n, of.home, &act)?;
        self.visit(n, of.home, act, own, ANSWER_MS, Then::Renew { worker: n, lease: of })
    }

    /// It is done: the result is made once and handed in until that is answered.
    fn hands_in(&mut self, context: &mut Context, n: usize, of: Abroad, held: Held) -> Does {
        let (output, artifacts) = match held.result {
            Some(result) => result,
            None => {
                let Some(result) = self.makes(context, n, of, &held)? else { return Ok(()) };
                if let Some(held) = self.seat()?.workers[n].held.get_mut(&of) {
                    held.result = Some(result.clone());
                }
                result
            }
        };
        let next = self.rng.chance(300);
        if of.home == self.identity.node {
            return self.hands_in_here(context, n, of, (output, artifacts), next);
        }
        let handing = Handing {
            step: of.step,
            epoch: of.epoch,
            output: output.clone(),
            salt: Salt([0; 16]),
            artifacts: artifacts.clone(),
            incarnation: 0,
            index: 0,
            next: None,
        };
        let own = self.signs(context, n, of.home, &Act::Submit(Box::new(handing)))?;
        if context.is(MeshSabotage::HandedInUnwritten) {
            self.seat()?.workers[n].held.remove(&of);
            context.truth.market.promised.insert((self.slot, of), output.digest());
            return held_promises(context, self.slot);
        }
        let work = Work {
            step: of.step,
            epoch: of.epoch,
            output: output.clone(),
            artifacts: artifacts.clone(),
            own,
        };
        let answer = self.asks(context, n, Request::HandIn(work))?;
        self.seat()?.workers[n].held.remove(&of);
        let Some(Ok(Reply::HandedIn(engagement))) = answer else { return Ok(()) };
        let Some(handed) = &engagement.result else { return Ok(()) };
        context.counts.handed_in += 1;
        context.truth.market.promised.insert((self.slot, engagement.lease), handed.result);
        held_promises(context, self.slot)?;
        self.bring(engagement.lease, own, next.then_some(n))
    }

    fn hands_in_here(
        &mut self,
        context: &mut Context,
        n: usize,
        of: Abroad,
        (output, artifacts): (Json, Vec<Digest>),
        next: bool,
    ) -> Does {
        let submission = Submission {
            step: of.step,
            epoch: of.epoch,
            output,
            artifacts,
            next: next.then_some(ClaimNext { wait_ms: 0 }),
            brought: None,
        };
        let answer = self.asks(context, n, Request::Submit(submission))?;
        self.seat()?.workers[n].held.remove(&of);
        if let Some(Ok(Reply::Submitted(receipt))) = answer
            && let Some(lease) = receipt.next
        {
            let here = super::here(self.identity.node, &lease);
            let mut rng = self.rng.fork();
            self.seat()?.workers[n].take(context.at, here, *lease, &mut rng);
        }
        Ok(())
    }

    /// Makes a result; nothing while something that it needs is not here.
    fn makes(
        &mut self,
        context: &mut Context,
        n: usize,
        of: Abroad,
        held: &Held,
    ) -> Does<Option<(Json, Vec<Digest>)>> {
        let files = files_of(&held.lease);
        let module = held.lease.runner.map(|RunnerSpec::Wasm { module }| module);
        let blobs = &self.seat()?.blobs;
        let missing = files.iter().chain(&module).find(|digest| !blobs.contains_key(*digest)).copied();
        if let Some(digest) = missing.filter(|_| of.home != self.identity.node) {
            if let Some(held) = self.seat()?.workers[n].held.get_mut(&of) {
                held.done_at = context.at + 1_000;
            }
            let fetch = Fetch { step: of.step, epoch: of.epoch, what: Wanted::Artifact { digest, start: 0 } };
            let then = Then::File { worker: n, lease: of, digest };
            return self.call(of.home, fetch.to_frame(), ANSWER_MS, then).map(|()| None);
        }
        let is_false = held.plan == Plan::Falsifies;
        let made = match module.and_then(|module| self.seat.as_ref()?.blobs.get(&module).cloned()) {
            _ if is_false => {
                let output = format!("{{\"made\":\"false {}\"}}", self.rng.below(1 << 20));
                program::Made { output: Json::new(output.into_bytes()), file: None }
            }
            Some(module) => program::run(&module, &held.lease.input, &held.lease.needs, &files),
            None => {
                let file = self.rng.chance(300).then(|| format!("SIM-{:016x} by hand", self.rng.draw()));
                let output = Json::new(*b"{\"done\":true}");
                program::Made { output, file: file.map(String::into_bytes) }
            }
        };
        let id = self.seat()?.workers[n].id;
        if is_false {
            context.truth.market.falsified.insert((id, of.step, of.epoch));
        }
        let mut artifacts = Vec::new();
        if let Some(file) = made.file {
            let secret = posting::secrets(&file);
            let Some(principal) = self.seat()?.workers[n].principal() else { return Ok(None) };
            let step = (of.home == self.identity.node).then_some(of.step);
            let digest = self.store(context, principal, file, step)?;
            let made = File { home: of.home, step: of.step, by: self.slot, digest };
            secret.into_iter().for_each(|secret| context.truth.market.made(secret, made));
            artifacts.push(digest);
        }
        Ok(Some((made.output, artifacts)))
    }

    /// A file that an agent's work needs came, or did not; the agent looks again.
    pub(super) fn file_came(
        &mut self,
        context: &mut Context,
        (n, lease, digest): (usize, Abroad, Digest),
        answer: Option<(Vec<u8>, Arc<[u8]>)>,
    ) -> Does {
        let Some((frame, bytes)) = answer else { return Ok(()) };
        match Served::read(&frame) {
            Ok(Served::Bytes(_)) if Digest::of(&bytes) == digest => {
                context.counts.fetched_files += 1;
                self.store(context, Principal::Operator, bytes.to_vec(), None).map(drop)
            }
            // Home says that the lease is over, or has no such file.
            Ok(Served::Refused { .. }) => {
                self.seat()?.workers[n].held.remove(&lease);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn held_promises(context: &Context, slot: usize) -> Does {
    held("invariant_promises_to_agents_are_written", slot, context.truth.market.promises_are_kept(slot))
}
