//! What notices say, of entries and of leases that are about to run out. What needs the state is read by two looks for a page; an
//! offer needs none, so that one that wakes a thousand agents costs the rules nothing.

use super::convert;
use super::inner::{NodeService, now};
use super::notices::cursor;
use super::shown::Viewer;
use crate::events::{self as journal, Kept, Offer};
use crate::notices::{Wanted, is_expiring, is_passing, kinds_of};
use artel_federation::Fact;
use artel_federation::fact::{Entry, Judgement};
use artel_federation::run::Step;
use artel_federation::view::{LiveLease, View};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use artel_protocol::time::{Mono, Wall};
use artel_web::types::notice::{Notice, NoticeKind};
use artel_web::{Call, Problem};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An entry that may be told of.
pub(super) struct Seen {
    pub index: u64,
    pub entry: Entry,
    /// What is kept of it, where it is an offer.
    offer: Option<Arc<Offer>>,
}

impl Seen {
    /// One of the newest.
    pub fn of(kept: &Kept) -> Self {
        Seen { index: kept.index, entry: kept.entry().clone(), offer: kept.offer.clone() }
    }

    /// One that was read from the journal.
    pub fn read((index, entry): (u64, Entry)) -> Self {
        Seen { index, entry, offer: None }
    }

    /// Whether it concerns an agent with these skills; every entry of its own does.
    fn concerns(&self, me: &AgentId, skills: &[Skill]) -> bool {
        let Fact::Offered(offered) = &self.entry.fact else { return true };
        // What is not on offer any more is no news.
        self.offer.as_ref().is_some_and(|offer| offer.is_open_to(me))
            && offered.skills.iter().all(|asked| skills.iter().any(|skill| skill.meets(asked)))
    }

    fn is_offer(&self) -> bool {
        matches!(self.entry.fact, Fact::Offered(_))
    }
}

/// Whom a page of notices is for.
pub(super) struct Page<'a> {
    pub me: AgentId,
    pub wanted: &'a Wanted,
    /// Up to where it has read.
    pub read: Option<u64>,
}

/// What a look has found.
pub(super) struct Looked {
    pub items: Vec<Notice>,
    pub skills: Vec<Skill>,
    /// The leases that the agent holds, where it wants to be told that one is about to run out.
    pub leases: Vec<LiveLease>,
    /// The moment of the look.
    pub at: Mono,
}

impl Page<'_> {
    /// The notices of entries to an agent with these skills.
    fn notices(
        &self,
        entries: &[Seen],
        skills: &[Skill],
        data: impl Fn(NoticeKind, &Seen) -> Option<Value>,
    ) -> Vec<Notice> {
        let mut items: Vec<Notice> = Vec::new();
        for seen in entries.iter().filter(|seen| seen.concerns(&self.me, skills)) {
            let (first, index, entry) = (items.len(), seen.index, &seen.entry);
            for kind in kinds_of(&entry.fact).iter().filter(|kind| self.wanted.takes(**kind)) {
                let Some(data) = data(*kind, seen) else { continue };
                items.push(Notice {
                    kind: *kind,
                    cursor: cursor(&self.me, index),
                    at: entry.at,
                    correlation_id: entry.correlation.clone(),
                    read: self.read.is_some_and(|read| index <= read),
                    data: convert::value(&data),
                });
            }
            // Whoever goes on behind one of them is told the rest, too.
            if let Some((_, others)) = items[first..].split_last_mut() {
                for notice in others {
                    notice.cursor = cursor(&self.me, index.saturating_sub(1));
                }
            }
        }
        items
    }

    /// The notices of entries that are offers alone, without a look.
    pub fn of_offers(&self, entries: &[Seen], skills: &[Skill]) -> Option<Vec<Notice>> {
        let are_offers = !entries.is_empty() && entries.iter().all(Seen::is_offer);
        are_offers.then(|| self.notices(entries, skills, |_, seen| Some(of_offer(seen))))
    }

    /// The notices of entries: titles and payments, and the agent's record as it is now. The credential is judged in each look.
    pub async fn of_entries(
        &self,
        service: &NodeService,
        call: &Call,
        entries: Vec<Seen>,
    ) -> Result<Looked, Problem> {
        let briefs = briefs(service, call, &entries).await?;
        self.with_briefs(service, call, entries, briefs).await
    }

    async fn with_briefs(
        &self,
        service: &NodeService,
        call: &Call,
        entries: Vec<Seen>,
        briefs: Briefs,
    ) -> Result<Looked, Problem> {
        let (me, wanted, read) = (self.me, self.wanted.clone(), self.read);
        let clock = service.parts().handle.clone();
        let look = move |view: View<'_>, viewer: Viewer| {
            let skills = match viewer {
                Viewer::Agent(me) => view.agent(&me).map_or_else(Vec::new, |agent| agent.skills.clone()),
                Viewer::Operator => Vec::new(),
            };
            let page = Page { me, wanted: &wanted, read };
            let items = page.notices(&entries, &skills, |kind, seen| data(kind, seen, &me, (view, &briefs)));
            let tells = wanted.takes(NoticeKind::LeaseExpiring);
            let leases = if tells { view.leases_of(&me).collect() } else { Vec::new() };
            Looked { items, skills, leases, at: clock.mono() }
        };
        service.look(call, look).await
    }

    /// The notice of a lease that is about to run out. It stands nowhere: its cursor is that of all that was told before.
    pub fn of_lease(&self, lease: &LiveLease, at: Mono, next: u64) -> Notice {
        let now = now();
        let expires_at = Wall(now.0 + lease.ends.since_ms(at)).iso8601();
        let mut data =
            json!({"task_id": lease.step.to_string(), "epoch": lease.epoch.0, "expires_at": expires_at});
        if let Some(home) = lease.home {
            data["home"] = json!(home.to_string());
        }
        Notice {
            kind: NoticeKind::LeaseExpiring,
            cursor: cursor(&self.me, next.saturating_sub(1)),
            at: now,
            correlation_id: None,
            read: false,
            data: convert::value(&data),
        }
    }
}

impl Looked {
    /// The leases that are about to run out at the moment of the look.
    pub fn expiring(&self) -> impl Iterator<Item = &LiveLease> {
        self.leases.iter().filter(|lease| is_expiring(lease, self.at))
    }
}

/// What of a step is told of: its title and what was paid.
struct Brief {
    title: String,
    paid: Credits,
}

type Briefs = BTreeMap<StepId, Brief>;

impl Brief {
    fn of(step: &Step) -> Self {
        Brief { title: step.spec.task.title.clone(), paid: step.paid }
    }
}

/// What is told of the steps of these entries, whether they are in the rules' memory or have left it. A step may leave it right
/// behind this look, so that no later one would find it there.
async fn briefs(service: &NodeService, call: &Call, entries: &[Seen]) -> Result<Briefs, Problem> {
    let of_step = |seen: &Seen| journal::about(&seen.entry.fact).1.filter(|_| !is_passing(&seen.entry.fact));
    let steps: BTreeSet<StepId> = entries.iter().filter_map(of_step).collect();
    if steps.is_empty() {
        return Ok(Briefs::new());
    }
    let looked = service.look(call, move |view, _| {
        let (mut here, mut missing) = (Briefs::new(), Vec::new());
        for step in steps {
            match view.step(&step) {
                Some((_, found)) => {
                    here.insert(step, Brief::of(found));
                }
                None => missing.push(step),
            }
        }
        (here, missing)
    });
    let (mut found, missing) = looked.await?;
    if missing.is_empty() {
        return Ok(found);
    }
    let read = move |index: &crate::index::Index| {
        for step in missing {
            let run = index.run(&step.run())?;
            let closed = run.as_ref().and_then(|run| run.steps.get(step.index()));
            found.extend(closed.map(|closed| (step, Brief::of(closed))));
        }
        Ok(found)
    };
    service.indexed(read).await
}

/// What is said of an offer.
fn of_offer(seen: &Seen) -> Value {
    let mut data = journal::data(&seen.entry.fact);
    data["title"] = json!(seen.offer.as_ref().map(|offer| &offer.title));
    data
}

/// What a notice says; nothing where there is nothing to say.
fn data(kind: NoticeKind, seen: &Seen, me: &AgentId, (view, briefs): (View<'_>, &Briefs)) -> Option<Value> {
    let fact = &seen.entry.fact;
    let title = |step: &StepId| json!(briefs.get(step).map(|brief| &brief.title));
    let mut data = journal::data(fact);
    match (kind, fact) {
        (NoticeKind::TaskAvailable, _) => data = of_offer(seen),
        (NoticeKind::Reputation, Fact::Verdict(f)) => data = reputation((f.step, f.epoch), me, view),
        (NoticeKind::Reputation, Fact::Refuted(f)) => data = reputation((f.step, f.epoch), me, view),
        (NoticeKind::Earning, Fact::Verdict(verdict)) => {
            let Brief { title, paid } = briefs.get(&verdict.step)?;
            data = json!({"task_id": verdict.step.to_string(), "epoch": verdict.epoch.0, "title": title});
            data["amount"] = journal::number(Some(*paid).filter(|paid| *paid > Credits::ZERO)?);
        }
        (NoticeKind::Earning, Fact::Concluded(f)) => {
            data = json!({"task_id": f.lease.step.to_string(), "epoch": f.lease.epoch.0});
            data["home"] = json!(f.lease.home.to_string());
            data["amount"] = journal::number(f.paid.filter(|paid| *paid > Credits::ZERO)?);
        }
        (NoticeKind::Quality, Fact::Verdict(verdict)) => {
            data["accepted"] = json!(matches!(verdict.judgement, Judgement::Accepted { .. }));
            data["title"] = title(&verdict.step);
        }
        (NoticeKind::Quality, Fact::Concluded(f)) => {
            data["accepted"] = json!(matches!(f.judgement, Judgement::Accepted { .. }));
        }
        (NoticeKind::LeaseEnded, Fact::Withdrawn(f)) => {
            data["reason"] = json!("cancelled");
            data["title"] = title(&f.step);
        }
        (NoticeKind::System, _) => {
            data["event"] = json!(journal::name(fact, "").map(|name| name.to_string()));
        }
        _ => {
            if let (_, Some(step)) = journal::about(fact) {
                data["title"] = title(&step);
            }
        }
    }
    Some(data)
}

/// An agent's record as it is now.
fn reputation((step, epoch): (StepId, Epoch), me: &AgentId, view: View<'_>) -> Value {
    let mut data = json!({"task_id": step.to_string(), "epoch": epoch.0});
    if let Some(agent) = view.agent(me) {
        let now = convert::agent(agent, now());
        data["reputation_score"] = serde_json::to_value(now.reputation_score).unwrap_or(Value::Null);
        data["reputation_level"] = serde_json::to_value(now.reputation_level).unwrap_or(Value::Null);
        data["total_tasks_completed"] = json!(now.total_tasks_completed);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::super::home_fixture::home;
    use super::*;
    use crate::events::Recent;
    use crate::notices::is_own;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_payment_is_told_though_its_run_leaves_memory_between_the_looks() {
        let home = home(&[]);
        let worker = home.worker(1, "[]").await;
        let task = home.post(r#"{"title":"Sum","reward":50}"#).await;
        let lease = home.claim(&worker, task.task_id).await.expect("free");
        home.submit(&worker, &lease, "{}").await.expect("held");
        let Recent::Here(kept, _) =
            home.service.parts().events.from(0, 99, |kept| is_own(&kept.entry().fact, &worker.id))
        else {
            panic!("all is in memory")
        };
        let entries: Vec<Seen> = kept.iter().map(Seen::of).collect();
        let known = briefs(&home.service, &worker.call, &entries).await.expect("the credential stands");
        home.crowd_out(task.run_id).await;
        let step = task.task_id;
        let is_here = home.service.look(&worker.call, move |view, _| view.step(&step).is_some());
        assert!(!is_here.await.expect("the credential stands"), "it has left memory");

        let wanted = Wanted { from: 0, kinds: vec![NoticeKind::Earning], behind: None, limit: 50, wish: 0 };
        let page = Page { me: worker.id, wanted: &wanted, read: None };
        let told = page.with_briefs(&home.service, &worker.call, entries, known).await.expect("told").items;
        let [earning] = &told[..] else { panic!("{told:?}") };
        let said: Value = serde_json::from_slice(earning.data.bytes()).expect("JSON");
        assert_eq!((&said["title"], &said["amount"]), (&json!("Sum"), &json!(50)));
    }
}
