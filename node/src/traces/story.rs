//! What the journal's entries tell of tasks, as spans: at home from the post to the verdict, at the worker's node from the lease to
//! home's word, at a node that runs a step again that it does. Only moments that a later entry needs are remembered, in bounds.

use super::{Kind, Requests, Span, Value, ids};
use artel_federation::fact::{Abroad, Judgement, LeaseEnded};
use artel_federation::{Entry, Fact};
use artel_protocol::id::{Epoch, RunId, StepId};
use artel_protocol::time::Wall;
use std::collections::BTreeMap;

/// How many moments are remembered: a task has two or three that are open. Beyond it the oldest tasks' are forgotten, and their spans
/// begin where they end.
const MOMENTS_MAX: usize = 65_536;

/// What is remembered between entries.
#[derive(Default)]
pub(super) struct Story {
    moments: BTreeMap<(StepId, Epoch, Moment), Wall>,
    /// Runs of several steps, whose tasks hang on the run.
    several: BTreeMap<RunId, ()>,
}

/// What began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Offered,
    Granted,
    Submitted,
    Undertaken,
    HandedIn,
}

impl Story {
    /// Makes the spans that an entry ends.
    pub fn tell(&mut self, entry: &Entry, requests: &Requests, out: &mut impl FnMut(Span)) {
        let at = entry.at;
        match &entry.fact {
            Fact::RunPosted(posted) => {
                if posted.steps.len() > 1 {
                    self.several.insert(posted.run, ());
                    bound(&mut self.several);
                }
                let mut span = instant("post", posted.run.bytes(), 0, &posted.run, at);
                span.parent = Some(self.top(&posted.run));
                span.attributes = vec![("artel.run", Value::Text(posted.run.to_string()))];
                span.link = entry.correlation.as_ref().and_then(|id| requests.context(id));
                out(span);
            }
            Fact::Offered(f) => self.begin(f.step, f.epoch, Moment::Offered, at),
            Fact::Granted(f) => {
                out(self.ended("offer", f.step, f.epoch, Moment::Offered, at));
                self.begin(f.step, f.epoch, Moment::Granted, at);
            }
            Fact::Released(f) => out(self.lease_ended(f, "released", at)),
            Fact::Lapsed(f) => out(self.lease_ended(f, "lapsed", at)),
            Fact::Submitted(f) => {
                out(self.ended("lease", f.step, f.epoch, Moment::Granted, at));
                self.begin(f.step, f.epoch, Moment::Submitted, at);
            }
            Fact::Verdict(f) => {
                let accepted = matches!(f.judgement, Judgement::Accepted { .. });
                let mut span = self.ended("check", f.step, f.epoch, Moment::Submitted, at);
                span.went_well = Some(accepted);
                out(span);
                if accepted {
                    out(self.whole(f.step, at, true));
                }
            }
            Fact::StepEnded(f) => out(self.whole(f.step, at, false)),
            Fact::RunEnded(f) => {
                self.several.remove(&f.run);
                let trace = ids::trace(&f.run);
                let (start, end) = (nanos(posted_at(&f.run)), nanos(at));
                let attributes = vec![("artel.run", Value::Text(f.run.to_string()))];
                let (id, link) = (ids::run(&f.run), None);
                let went_well = Some(f.status == artel_federation::run::RunStatus::Completed);
                out(Span {
                    trace,
                    id,
                    parent: None,
                    name: "run",
                    kind: Kind::Internal,
                    start,
                    end,
                    attributes,
                    link,
                    went_well,
                });
            }
            Fact::Redone(f) => out(of_task("redone", f.step, f.epoch, at, at)),
            Fact::Undertaken(f) => self.begin(f.lease.step, f.lease.epoch, Moment::Undertaken, at),
            Fact::HandedIn(f) => {
                out(self.abroad("work", &f.lease, Moment::Undertaken, at));
                self.begin(f.lease.step, f.lease.epoch, Moment::HandedIn, at);
            }
            Fact::Acknowledged(f) => out(self.abroad("submit", &f.lease, Moment::HandedIn, at)),
            Fact::Concluded(f) => {
                let mut span = self.abroad("verdict heard", &f.lease, Moment::HandedIn, at);
                span.start = span.end;
                span.went_well = Some(matches!(f.judgement, Judgement::Accepted { .. }));
                out(span);
            }
            Fact::LetGo(f) => {
                let mut span = self.abroad("work", &f.lease, Moment::Undertaken, at);
                span.attributes.push(("artel.end", Value::Text(f.code.clone())));
                out(span);
            }
            Fact::Redoing(f) => out(of_task("redo", f.lease.step, f.lease.epoch, at, at)),
            _ => {}
        }
    }

    fn begin(&mut self, step: StepId, epoch: Epoch, moment: Moment, at: Wall) {
        self.moments.insert((step, epoch, moment), at);
        bound(&mut self.moments);
    }

    fn ended(&mut self, name: &'static str, step: StepId, epoch: Epoch, began: Moment, at: Wall) -> Span {
        let start = self.moments.remove(&(step, epoch, began)).unwrap_or(at);
        of_task(name, step, epoch, start, at)
    }

    fn lease_ended(&mut self, lease: &LeaseEnded, how: &str, at: Wall) -> Span {
        let mut span = self.ended("lease", lease.step, lease.epoch, Moment::Granted, at);
        span.attributes.push(("artel.end", Value::Text(how.into())));
        span
    }

    fn abroad(&mut self, name: &'static str, lease: &Abroad, began: Moment, at: Wall) -> Span {
        let mut span = self.ended(name, lease.step, lease.epoch, began, at);
        span.attributes.push(("artel.home", Value::Text(lease.home.to_string())));
        span
    }

    /// The whole task's span, on which all others hang.
    fn whole(&mut self, step: StepId, at: Wall, went_well: bool) -> Span {
        self.forget(&step);
        let run = step.run();
        let start = posted_at(&run);
        let parent = self.several.contains_key(&run).then(|| ids::run(&run));
        let span = of_task("task", step, Epoch(0), start, at);
        Span { id: ids::task(&step), parent, went_well: Some(went_well), ..span }
    }

    /// Lets go of all that is remembered of a task that is over.
    fn forget(&mut self, step: &StepId) {
        let from = (*step, Epoch(0), Moment::Offered);
        let of_step = self.moments.range(from..).take_while(|((of, ..), _)| of == step);
        for key in of_step.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.moments.remove(&key);
        }
    }

    /// What a run's own spans hang on.
    fn top(&self, run: &RunId) -> [u8; 8] {
        if self.several.contains_key(run) { ids::run(run) } else { ids::task(&run.step(0)) }
    }
}

/// Forgets the oldest: ids begin with the moment at which they were made.
fn bound<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>) {
    while map.len() > MOMENTS_MAX {
        map.pop_first();
    }
}

fn instant(name: &'static str, id: &[u8; 16], epoch: u32, run: &RunId, at: Wall) -> Span {
    let (trace, at) = (ids::trace(run), nanos(at));
    let id = ids::of_entry(name, id, epoch, at);
    let attributes = Vec::new();
    Span {
        trace,
        id,
        parent: None,
        name,
        kind: Kind::Internal,
        start: at,
        end: at,
        attributes,
        link: None,
        went_well: None,
    }
}

fn of_task(name: &'static str, step: StepId, epoch: Epoch, start: Wall, end: Wall) -> Span {
    let mut span = instant(name, step.bytes(), epoch.0, &step.run(), end);
    span.start = nanos(start).min(span.end);
    span.parent = Some(ids::task(&step));
    span.attributes.push(("artel.task", Value::Text(step.to_string())));
    if epoch.0 > 0 {
        span.attributes.push(("artel.epoch", Value::Number(epoch.0.into())));
    }
    span
}

/// A run's id begins with the milliseconds at which it was posted.
fn posted_at(run: &RunId) -> Wall {
    let mut ms = [0; 8];
    ms[2..].copy_from_slice(&run.bytes()[..6]);
    Wall(u64::from_be_bytes(ms))
}

fn nanos(at: Wall) -> u64 {
    at.0.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::fact::{
        Acknowledged, Authority, End, HandedIn, RunEnded, StepEnded, Submitted, Undertaken, Verdict,
    };
    use artel_federation::run::RunStatus;
    use artel_protocol::id::Digest;
    use artel_protocol::key::{AgentId, NodeId, SecretKey, Signature};

    const POSTED: u64 = 1_771_588_800_000;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[1; 32])
    }

    fn task() -> StepId {
        RunId::new(Wall(POSTED), [7; 9]).step(0)
    }

    /// The spans of these facts, told at a second each, as `name start end parent` in milliseconds since the post.
    fn told(story: &mut Story, facts: Vec<Fact>) -> Vec<String> {
        let mut said = Vec::new();
        let ms = |nanos: u64| nanos / 1_000_000 - POSTED;
        for (n, fact) in facts.into_iter().enumerate() {
            let entry = Entry { at: Wall(POSTED + 1_000 * (n as u64 + 1)), correlation: None, fact };
            story.tell(&entry, &Requests::default(), &mut |span| {
                assert_eq!(span.trace, ids::trace(&task().run()), "{}", span.name);
                let parent = match span.parent {
                    Some(id) if id == ids::task(&task()) => "task",
                    Some(id) if id == ids::run(&task().run()) => "run",
                    Some(_) => "another",
                    None => "none",
                };
                said.push(format!("{} {} {} {parent}", span.name, ms(span.start), ms(span.end)));
            });
        }
        said
    }

    fn granted(epoch: u32) -> Fact {
        Fact::Granted(artel_federation::fact::Granted {
            step: task(),
            epoch: Epoch(epoch),
            agent: AgentId(key().public()),
            level: artel_reputation::Level::Novice,
            bound: 0,
            lease_ms: 1,
            authority: Authority::Session,
        })
    }

    fn offered(epoch: u32) -> Fact {
        Fact::Offered(artel_federation::fact::Offered {
            step: task(),
            epoch: Epoch(epoch),
            skills: Vec::new(),
            complexity: artel_reputation::Complexity::Simple,
            level_min: None,
            reward: artel_protocol::amount::Credits(1),
            deadline: Wall(0),
            terms: Digest::of(b"terms"),
            window_ms: 0,
            top: 1,
            verdict_within_ms: 1,
        })
    }

    fn submitted(epoch: u32) -> Fact {
        Fact::Submitted(Submitted {
            step: task(),
            epoch: Epoch(epoch),
            agent: AgentId(key().public()),
            result: Digest::of(b"result"),
            authority: Authority::Session,
            late: false,
            handed_at: None,
        })
    }

    fn verdict(epoch: u32) -> Fact {
        Fact::Verdict(Verdict {
            step: task(),
            epoch: Epoch(epoch),
            agent: AgentId(key().public()),
            submitted: 9,
            judgement: Judgement::Accepted { quality: 100, checked: false },
        })
    }

    #[test]
    fn a_task_at_home_is_told_from_its_post_to_its_verdict() {
        let lease = LeaseEnded { step: task(), epoch: Epoch(1), agent: AgentId(key().public()) };
        let facts = vec![
            offered(1),
            granted(1),
            Fact::Lapsed(lease),
            offered(2),
            granted(2),
            submitted(2),
            verdict(2),
        ];
        let mut story = Story::default();
        assert_eq!(
            told(&mut story, facts),
            [
                "offer 1000 2000 task",
                "lease 2000 3000 task",
                "offer 4000 5000 task",
                "lease 5000 6000 task",
                "check 6000 7000 task",
                "task 0 7000 none",
            ]
        );
        assert!(story.moments.is_empty(), "nothing is remembered of what is over");
    }

    #[test]
    fn a_task_of_a_run_hangs_on_the_run_and_a_lost_beginning_makes_a_short_span() {
        let mut story = Story::default();
        story.several.insert(task().run(), ());
        story.begin(task(), Epoch(2), Moment::Offered, Wall(POSTED));
        let ended = Fact::StepEnded(StepEnded { step: task(), end: End::DeadlinePassed });
        let run = Fact::RunEnded(RunEnded { run: task().run(), status: RunStatus::Failed });
        assert_eq!(
            told(&mut story, vec![submitted(1), ended, run]),
            ["lease 1000 1000 task", "task 0 2000 run", "run 0 3000 none"]
        );
        assert!(story.moments.is_empty(), "nothing is remembered of what is over");
    }

    #[test]
    fn a_workers_node_tells_of_the_same_trace() {
        let lease = Abroad { home: NodeId(key().public()), step: task(), epoch: Epoch(1) };
        let (agent, authority) = (AgentId(key().public()), Authority::Delegated);
        let facts = vec![
            Fact::Undertaken(Undertaken {
                lease,
                agent,
                authority,
                granted: 1,
                lease_ms: 1,
                verdict_within_ms: 1,
            }),
            Fact::HandedIn(HandedIn { lease, agent, result: Digest::of(b"result"), authority }),
            Fact::Acknowledged(Acknowledged {
                lease,
                submitted: 2,
                at: Wall(0),
                signature: Signature([0; 64]),
            }),
        ];
        assert_eq!(told(&mut Story::default(), facts), ["work 1000 2000 task", "submit 2000 3000 task"]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut map: BTreeMap<u32, ()> = (0..MOMENTS_MAX as u32 + 5).map(|n| (n, ())).collect();
        bound(&mut map);
        assert_eq!((map.len(), map.first_key_value()), (MOMENTS_MAX, Some((&5, &()))));
    }
}
