//! Decision 9 as a journal must show it: whatever runs twice counts once; what is over stays over.

use super::{EntrySeen, FrameSeen, Held, StateSeen, Told, ensure};
use crate::book::{Book, Life};
use artel_federation::fact::{End, Judgement, Poster};
use artel_federation::options::RELEASES_MAX;
use artel_federation::run::{Run, StepState};
use artel_federation::{Fact, Reply, Request};
use artel_protocol::id::{Digest, RunId};
use std::collections::BTreeSet;

/// A step has one accepted verdict at most.
pub fn invariant_one_accepted_verdict(seen: &EntrySeen<'_>) -> Held {
    let Fact::Verdict(f) = &seen.entry().fact else { return Ok(()) };
    let accepted = |judgement: &Judgement| matches!(judgement, Judgement::Accepted { .. });
    let before = seen.book.steps.get(&f.step).into_iter().flat_map(|page| &page.handed);
    let already =
        before.filter_map(|handed| handed.verdict.as_ref()).any(|(_, judgement)| accepted(judgement));
    ensure(!(already && accepted(&f.judgement)), || format!("step {} is accepted a second time", f.step))
}

/// Nothing happens to a step that is over, except that its money moves with its end, in the same frame.
pub fn invariant_the_end_absorbs(seen: &EntrySeen<'_>) -> Held {
    let id = match &seen.entry().fact {
        Fact::Offered(f) => f.step,
        Fact::Granted(f) => f.step,
        Fact::Lapsed(f) | Fact::Released(f) => f.step,
        Fact::Submitted(f) => f.step,
        Fact::Output(f) => f.step,
        Fact::Findings(f) => f.step,
        Fact::Verdict(f) => f.step,
        Fact::StepEnded(f) => f.step,
        Fact::Transfer(f) => {
            let ends = |fact: &Fact| matches!(fact, Fact::StepEnded(ended) if ended.step == f.step);
            if seen.frame[..seen.at].iter().any(|entry| ends(&entry.fact)) {
                return Ok(());
            }
            f.step
        }
        _ => return Ok(()),
    };
    let life = seen.book.steps.get(&id).map(|page| page.life);
    ensure(!life.is_some_and(Life::is_terminal), || {
        format!("{:?} of step {id}, which is {life:?}", seen.entry().fact.kind())
    })
}

/// One key of one poster makes one run.
pub fn invariant_one_run_per_key(seen: &EntrySeen<'_>) -> Held {
    let Fact::RunPosted(f) = &seen.entry().fact else { return Ok(()) };
    ensure(!seen.book.runs.contains_key(&f.run), || format!("run {} is posted a second time", f.run))?;
    let Some(key) = f.post_key else { return Ok(()) };
    match seen.book.keys.get(&(f.poster, key.key)) {
        Some(first) => Err(format!("one key made run {first} and then run {}", f.run)),
        None => Ok(()),
    }
}

/// Steps end by the limits that their run was posted with, not before.
pub fn invariant_limits_end_steps(seen: &EntrySeen<'_>) -> Held {
    let Fact::StepEnded(f) = &seen.entry().fact else { return Ok(()) };
    let (Some(page), Some(run)) = (seen.book.steps.get(&f.step), seen.book.runs.get(&f.step.run())) else {
        return Err(format!("unknown step {} ends", f.step));
    };
    let fits = match f.end {
        End::LapsesSpent => page.lapses >= u32::from(run.lapses_max),
        End::ReleasesSpent => page.releases >= u32::from(RELEASES_MAX),
        End::AttemptsSpent => page.rejections >= u32::from(run.attempts_max),
        End::DeadlinePassed => seen.entry().at >= page.task.deadline,
        End::Cancelled => seen.witness.cancelled.iter().any(|(run, _)| *run == f.step.run()),
        End::NeedFailed => page.needs.iter().any(|need| {
            let need = f.step.run().step(usize::from(*need));
            seen.book.steps.get(&need).is_some_and(|page| matches!(page.life, Life::Ended(_)))
                || ends_in(seen, need)
        }),
    };
    ensure(fits, || format!("step {} ends by {:?} without cause", f.step, f.end))
}

fn ends_in(seen: &EntrySeen<'_>, id: artel_protocol::id::StepId) -> bool {
    seen.frame.iter().any(|entry| matches!(&entry.fact, Fact::StepEnded(ended) if ended.step == id))
}

/// At the end of a frame no step is left between two states: what lapsed, was released or rejected is offered anew or
/// over, and what waits waits for something.
pub fn invariant_no_step_rests_between_states(seen: &FrameSeen<'_>) -> Held {
    for entry in seen.frame {
        let (Fact::Lapsed(_) | Fact::Released(_) | Fact::Verdict(_) | Fact::RunPosted(_)) = &entry.fact
        else {
            continue;
        };
        let run = match &entry.fact {
            Fact::Lapsed(f) | Fact::Released(f) => f.step.run(),
            Fact::Verdict(f) => f.step.run(),
            Fact::RunPosted(f) => f.run,
            _ => continue,
        };
        let Some(page) = seen.book.runs.get(&run) else { continue };
        for i in 0..page.steps {
            let id = run.step(i);
            let Some(step) = seen.book.steps.get(&id).filter(|step| step.life == Life::Waiting) else {
                continue;
            };
            let open = |need: &u8| seen.book.open.contains(&run.step(usize::from(*need)));
            ensure(step.needs.iter().any(open), || {
                format!("step {id} waits for nothing and is not offered")
            })?;
        }
    }
    Ok(())
}

/// An agent's counts, record and earnings are those of the log's receipts, each once.
pub fn invariant_the_record_counts_once(seen: &StateSeen<'_>) -> Held {
    for agent in seen.view.agents(None) {
        let Some(page) = seen.book.agents.get(&agent.id) else {
            return Err(format!("{} is enrolled in memory and not in the log", agent.id));
        };
        let counts = (agent.accepted, agent.rejected, agent.lapsed);
        ensure(counts == page.counts, || {
            format!("{} counts {counts:?}, the log {:?}", agent.id, page.counts)
        })?;
        ensure(agent.standing == page.standing, || format!("{}'s record is not the log's", agent.id))?;
        ensure(i128::from(agent.earned_units) == page.earned, || {
            format!("{} earned {} units, by the log {}", agent.id, agent.earned_units, page.earned)
        })?;
    }
    ensure(seen.view.counts().agents == seen.book.agents.len(), || {
        "an agent of the log is not in memory".into()
    })
}

/// Every open step is in memory as the log says, and so are the indexes over them.
pub fn invariant_steps_are_as_the_log_says(seen: &StateSeen<'_>) -> Held {
    let (mut offers, mut leases) = (0, 0);
    for id in &seen.book.open {
        let page = &seen.book.steps[id];
        offers += usize::from(page.life == Life::Offered);
        leases += usize::from(matches!(page.life, Life::Leased(_)));
        let Some((_, step)) = seen.view.step(id) else {
            return Err(format!("open step {id} is not in memory"));
        };
        let life = life_of(&step.state);
        ensure(life == page.life && step.epoch == page.epoch, || {
            format!(
                "step {id} is {life:?} under {} in memory, {:?} under {} in the log",
                step.epoch, page.life, page.epoch
            )
        })?;
    }
    let counts = seen.view.counts();
    let memory = (counts.steps_open, counts.offers, counts.leases);
    let log = (open_runs_steps(seen), offers, leases);
    ensure(memory == log, || format!("(steps, offers, leases) are {memory:?} in memory, {log:?} in the log"))
}

/// The steps of runs that are not over, the ended ones among them too.
fn open_runs_steps(seen: &StateSeen<'_>) -> usize {
    let runs: BTreeSet<RunId> = seen.book.open.iter().map(|id| id.run()).collect();
    runs.iter().filter_map(|run| seen.book.runs.get(run)).map(|page| page.steps).sum()
}

fn life_of(state: &StepState) -> Life {
    match state {
        StepState::Waiting => Life::Waiting,
        StepState::Offered => Life::Offered,
        StepState::Leased { agent, .. } => Life::Leased(*agent),
        StepState::Submitted { agent, .. } => Life::Submitted(*agent),
        StepState::Accepted { agent } => Life::Accepted(*agent),
        StepState::Ended(end) => Life::Ended(*end),
    }
}

/// A run that leaves memory is over in the log, each step as it says, and each accepted one paid by the formula.
pub fn invariant_a_closed_run_is_as_the_log_says(book: &Book, run: &Run) -> Held {
    for (i, step) in run.steps.iter().enumerate() {
        let id = run.id.step(i);
        let Some(page) = book.steps.get(&id) else {
            return Err(format!("step {id} is closed and not in the log"));
        };
        ensure(page.life.is_terminal() && life_of(&step.state) == page.life, || {
            format!("step {id} is closed as {:?}, the log says {:?}", step.state, page.life)
        })?;
        let verdict = page.handed.last().and_then(|handed| handed.verdict.as_ref());
        let due = match verdict {
            Some((_, Judgement::Accepted { quality, .. })) => {
                let level = page.grants.last().map(|grant| grant.level).unwrap_or_default();
                Book::formula(&page.task, *quality, level)
            }
            _ => 0,
        };
        ensure(i128::from(step.paid.0) == due, || {
            format!("step {id} is closed as paid {} units, the formula says {due}", step.paid.0)
        })?;
    }
    Ok(())
}

/// A poster is told one run for one key, however often it posts and whatever crashes between.
pub fn invariant_one_run_is_told_per_key(told: &Told<'_>) -> Held {
    let Request::Post(post) = &told.letter.request else { return Ok(()) };
    let Some((key, _)) = &post.key else { return Ok(()) };
    let run = match &told.answer.said {
        Ok(Reply::Run { run, .. }) => run.id,
        Ok(Reply::Repeated(run)) => *run,
        _ => return Ok(()),
    };
    let poster = told.letter.principal.poster().unwrap_or(Poster::Operator);
    let ledger = told.book.keys.get(&(poster, Digest::of(key.as_bytes())));
    ensure(ledger == Some(&run), || {
        format!("key {key:?} is answered with run {run}, the log has {ledger:?}")
    })?;
    let before = told.witness.posted.get(&(told.letter.from.number(), Digest::of(key.as_bytes())));
    ensure(before.is_none_or(|first| *first == run), || {
        format!("key {key:?} was answered with {before:?} before, with {run} now")
    })
}
