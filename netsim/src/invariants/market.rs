//! Decisions 7 and 10 as a journal must show them: one live lease, rising epochs, winners that qualify.

use super::{EntrySeen, Held, ensure};
use crate::book::{Life, StepPage};
use artel_federation::Fact;
use artel_federation::fact::{Granted, Poster, Revoker};
use artel_protocol::id::{Epoch, StepId};
use artel_protocol::key::AgentId;

fn page<'a>(seen: &'a EntrySeen<'_>, id: &StepId) -> Result<&'a StepPage, String> {
    seen.book.steps.get(id).ok_or_else(|| format!("entry {} speaks of unknown step {id}", seen.index()))
}

fn grant<'a>(seen: &'a EntrySeen<'_>) -> Option<&'a Granted> {
    match &seen.entry().fact {
        Fact::Granted(f) => Some(f),
        _ => None,
    }
}

/// Each lease's epoch is one above the last one's, and an offer names the one that its lease will have.
pub fn invariant_epochs_rise_by_one(seen: &EntrySeen<'_>) -> Held {
    let (id, epoch) = match &seen.entry().fact {
        Fact::Granted(f) => (f.step, f.epoch),
        Fact::Offered(f) => (f.step, f.epoch),
        _ => return Ok(()),
    };
    let last = page(seen, &id)?.epoch;
    ensure(epoch == Epoch(last.0 + 1), || format!("step {id} goes from epoch {last} to {epoch}"))
}

/// A step is granted only while it is open: never while somebody holds it, has handed it in, or it is over.
pub fn invariant_one_live_lease(seen: &EntrySeen<'_>) -> Held {
    let Some(f) = grant(seen) else { return Ok(()) };
    let life = page(seen, &f.step)?.life;
    ensure(life == Life::Offered, || {
        format!("step {} is granted to {} under epoch {} while it is {life:?}", f.step, f.agent, f.epoch)
    })
}

/// A submission enters under the live lease: by its holder, under its epoch.
pub fn invariant_only_the_holder_submits(seen: &EntrySeen<'_>) -> Held {
    let Fact::Submitted(f) = &seen.entry().fact else { return Ok(()) };
    let page = page(seen, &f.step)?;
    ensure(page.life == Life::Leased(f.agent) && page.epoch == f.epoch, || {
        let (life, epoch) = (page.life, page.epoch);
        format!("{} submits step {} under epoch {}; it is {life:?} under {epoch}", f.agent, f.step, f.epoch)
    })
}

/// A lapse or a release ends the lease that is live, under its epoch.
pub fn invariant_a_lease_ends_as_it_was_held(seen: &EntrySeen<'_>) -> Held {
    let (Fact::Lapsed(f) | Fact::Released(f)) = &seen.entry().fact else { return Ok(()) };
    let page = page(seen, &f.step)?;
    ensure(page.life == Life::Leased(f.agent) && page.epoch == f.epoch, || {
        format!("a lease of {} on step {} under epoch {} ends that is not held", f.agent, f.step, f.epoch)
    })
}

/// A winner is enrolled, has the skills and the level asked for, and is not the poster unless that was allowed; the
/// grant carries the level that its record gives, for that fixes what it is paid.
pub fn invariant_winners_qualify(seen: &EntrySeen<'_>) -> Held {
    let Some(f) = grant(seen) else { return Ok(()) };
    let page = page(seen, &f.step)?;
    let Some(agent) = seen.book.agents.get(&f.agent) else {
        return Err(format!("step {} is granted to {}, which is not enrolled", f.step, f.agent));
    };
    ensure(agent.revoked.is_none(), || format!("step {} is granted to revoked {}", f.step, f.agent))?;
    let skilled = |wanted| agent.skills.iter().any(|skill| skill.meets(wanted));
    ensure(page.task.skills.iter().all(skilled), || {
        format!("{} has not the skills of step {}", f.agent, f.step)
    })?;
    let level = agent.standing.assess(seen.entry().at).level;
    ensure(level == f.level, || {
        format!("the grant of step {} says {:?}, the record {level:?}", f.step, f.level)
    })?;
    let asked = page.task.complexity.level().max(page.task.level_min.unwrap_or_default());
    ensure(level >= asked, || format!("{} is {level:?}, step {} asks {asked:?}", f.agent, f.step))?;
    let poster = seen.book.runs.get(&f.step.run()).map(|run| run.poster);
    ensure(page.task.poster_may_claim || poster != Some(Poster::Agent(f.agent)), || {
        format!("{} wins its own step {}", f.agent, f.step)
    })
}

/// Nobody holds more leases than it may.
pub fn invariant_capacity_holds(seen: &EntrySeen<'_>) -> Held {
    let Some(f) = grant(seen) else { return Ok(()) };
    let Some(agent) = seen.book.agents.get(&f.agent) else { return Ok(()) };
    let capacity = agent.capacity.min(seen.options.leases_max);
    ensure((agent.leases.len() as u32) < capacity, || {
        format!(
            "{} holds {} leases of at most {capacity} and is granted {}",
            f.agent,
            agent.leases.len(),
            f.step
        )
    })
}

/// Whoever lapsed, gave a step back or was rejected on it does not win it again.
pub fn invariant_the_barred_stay_out(seen: &EntrySeen<'_>) -> Held {
    let Some(f) = grant(seen) else { return Ok(()) };
    ensure(!page(seen, &f.step)?.barred.contains(&f.agent), || {
        format!("{} lapsed, gave back or was rejected on step {} and wins it again", f.agent, f.step)
    })
}

/// An agent that the operator let go does not come back.
pub fn invariant_the_let_go_stay_out(seen: &EntrySeen<'_>) -> Held {
    let agent: AgentId = match &seen.entry().fact {
        Fact::Enrolled(f) => f.agent,
        Fact::Rotated(f) => f.agent,
        _ => return Ok(()),
    };
    let gone = seen.book.agents.get(&agent).and_then(|page| page.revoked) == Some(Revoker::Operator);
    ensure(!gone, || format!("the operator let {agent} go, and it gets a token"))
}

/// Nothing is offered or granted at or past its deadline, by home's wall clock.
pub fn invariant_deadlines_are_kept(seen: &EntrySeen<'_>) -> Held {
    let id = match &seen.entry().fact {
        Fact::Offered(f) => f.step,
        Fact::Granted(f) => f.step,
        _ => return Ok(()),
    };
    let (at, deadline) = (seen.entry().at, page(seen, &id)?.task.deadline);
    ensure(at < deadline, || {
        format!("step {id} is offered or granted at {at:?}, its deadline is {deadline:?}")
    })
}

/// An offer asks what its poster asked, and nothing is offered before what it needs is accepted.
pub fn invariant_offers_say_what_was_posted(seen: &EntrySeen<'_>) -> Held {
    let Fact::Offered(f) = &seen.entry().fact else { return Ok(()) };
    let page = page(seen, &f.step)?;
    ensure(page.life == Life::Waiting, || format!("step {} is offered while it is {:?}", f.step, page.life))?;
    let accepted = |need: &u8| {
        let need = f.step.run().step(usize::from(*need));
        seen.book.steps.get(&need).is_some_and(|page| matches!(page.life, Life::Accepted(_)))
    };
    ensure(page.needs.iter().all(accepted), || format!("step {} is offered before its needs", f.step))?;
    let same = f.reward == page.task.reward && f.skills == page.task.skills;
    ensure(same, || format!("step {} is offered on other terms than it was posted", f.step))
}
