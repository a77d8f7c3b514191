//! Decisions 5 and 8: the log holds only what was really sent, answers hold only what stands in the log, and receipts
//! pair.

use super::{EntrySeen, Held, Told, ensure};
use crate::book::{Book, HalfLine, HandedLine, StepPage};
use artel_federation::effect::{Lease, Receipt};
use artel_federation::fact::{Judgement, Outcome, Revoker};
use artel_federation::member::{Agent, OwnAct, statement_text};
use artel_federation::{Fact, Identity, Principal, Reply, Request};
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use std::collections::BTreeMap;

/// Submissions, releases, cancels and revocations enter only as somebody sent them, and nobody wins more often than it
/// claimed.
pub fn invariant_the_log_holds_only_what_was_sent(seen: &EntrySeen<'_>) -> Held {
    let witness = seen.witness;
    match &seen.entry().fact {
        Fact::Submitted(f) => {
            let half = seen.book.steps.get(&f.step).and_then(|page| page.half.as_ref());
            let sent = |half: &HalfLine| witness.submitted.contains(&(f.step, f.epoch, f.agent, half.output));
            ensure(half.is_some_and(sent), || {
                format!("{} never sent this submission of step {} under epoch {}", f.agent, f.step, f.epoch)
            })
        }
        Fact::Released(f) => ensure(witness.released.contains(&(f.step, f.epoch, f.agent)), || {
            format!("{} never gave back step {} under epoch {}", f.agent, f.step, f.epoch)
        }),
        Fact::CancelAsked(f) => ensure(witness.cancelled.contains(&(f.run, f.step)), || {
            format!("nobody asked to cancel {} ({:?})", f.run, f.step)
        }),
        Fact::Revoked(f) => {
            ensure(witness.revoked.contains(&f.agent), || format!("nobody asked to revoke {}", f.agent))
        }
        Fact::Granted(f) => {
            let claims = witness.claims.get(&f.agent).copied().unwrap_or(0);
            let before = seen.book.agents.get(&f.agent).map_or(0, |page| page.grants);
            ensure(before < claims, || {
                format!(
                    "{} wins step {} as its grant {}, having claimed {claims} times",
                    f.agent,
                    f.step,
                    before + 1
                )
            })
        }
        _ => Ok(()),
    }
}

/// Every enrollment, every new token and every revocation by an agent itself stands in the log with what the agent signed
/// and a signature that holds, so that the log alone shows whose will it was.
///
/// # Errors
/// The first that does not.
pub fn invariant_membership_is_signed(identity: &Identity, book: &Book) -> Held {
    let mut serials: BTreeMap<AgentId, u32> = BTreeMap::new();
    for (index, fact) in &book.others {
        let (agent, text, signature, serial) = match fact {
            Fact::Enrolled(f) => (f.agent, f.challenge.clone(), Some(f.signature), f.serial),
            Fact::Rotated(f) => {
                let before = serials.get(&f.agent).copied().unwrap_or(0);
                let text = statement_text(identity, &f.agent, OwnAct::Rotate, before);
                (f.agent, text, Some(f.signature), f.serial)
            }
            Fact::Revoked(f) if f.by == Revoker::Agent => {
                let before = serials.get(&f.agent).copied().unwrap_or(0);
                (f.agent, statement_text(identity, &f.agent, OwnAct::Revoke, before), f.signature, f.serial)
            }
            Fact::Revoked(f) => {
                serials.insert(f.agent, f.serial);
                continue;
            }
            _ => continue,
        };
        let signed =
            signature.is_some_and(|signature| agent.key().verify(text.as_bytes(), &signature).is_ok());
        ensure(signed, || format!("entry {index} is not signed by {agent}"))?;
        ensure(serials.insert(agent, serial).is_none_or(|before| serial > before), || {
            format!("entry {index} gives {agent} serial {serial}, which is not above the one before")
        })?;
    }
    Ok(())
}

/// A verdict names the submission that it judges: its index, its step, its epoch, its agent, and there is one of each.
pub fn invariant_a_verdict_names_its_submission(seen: &EntrySeen<'_>) -> Held {
    let Fact::Verdict(f) = &seen.entry().fact else { return Ok(()) };
    let handed = seen.book.steps.get(&f.step).and_then(|page| page.handed.last());
    let fits = handed.is_some_and(|handed| {
        let same = (handed.index, handed.epoch, handed.agent) == (f.submitted, f.epoch, f.agent);
        same && handed.verdict.is_none()
    });
    ensure(fits, || {
        format!("a verdict on step {} names entry {}, the last submission is {handed:?}", f.step, f.submitted)
    })
}

/// What a public entry commits to stands in the private entry right before it, or in its run's post; what was found wrong
/// with a rejected result too.
pub fn invariant_commitments_open(seen: &EntrySeen<'_>) -> Held {
    let right_before = |index: u64| index + 1 == seen.index();
    match &seen.entry().fact {
        Fact::Submitted(f) => {
            let half = seen.book.steps.get(&f.step).and_then(|page| page.half.as_ref());
            let opens = half.is_some_and(|half| {
                right_before(half.index) && half.epoch == f.epoch && half.result == f.result
            });
            ensure(opens, || {
                format!("the submission of step {} commits to something else than {half:?}", f.step)
            })
        }
        Fact::Offered(f) => {
            let task = seen.book.steps.get(&f.step).map(|page| &page.task);
            let terms = task.and_then(|task| seen.book.terms(&f.step, task));
            ensure(terms == Some(f.terms), || {
                format!("the offer of step {} commits to another task than was posted", f.step)
            })
        }
        Fact::Verdict(f) => {
            let findings = seen.book.steps.get(&f.step).and_then(|page| page.findings);
            let stands = findings.is_some_and(|(index, epoch)| right_before(index) && epoch == f.epoch);
            ensure(stands == matches!(f.judgement, Judgement::Rejected { .. }), || {
                format!("a verdict on step {} has findings right before it: {stands}", f.step)
            })
        }
        _ => Ok(()),
    }
}

/// No salt is used twice, or two commitments to one thing would look alike.
pub fn invariant_salts_are_fresh(seen: &EntrySeen<'_>) -> Held {
    let salt = match &seen.entry().fact {
        Fact::Output(f) => f.salt.0,
        Fact::RunPosted(f) => f.salt.0,
        _ => return Ok(()),
    };
    ensure(!seen.book.salts.contains(&salt), || format!("salt {salt:02x?} is used a second time"))
}

/// The bytes that strangers read hold no digest of a result that they could try out guesses of.
pub fn invariant_public_entries_cannot_be_guessed(seen: &EntrySeen<'_>) -> Held {
    let Fact::Submitted(f) = &seen.entry().fact else { return Ok(()) };
    let Some(half) = seen.book.steps.get(&f.step).and_then(|page| page.half.as_ref()) else { return Ok(()) };
    let body = seen.entry().encode();
    let bare = half.digests.iter().find(|digest| body.windows(32).any(|window| window == digest.0));
    ensure(bare.is_none(), || format!("the submission of step {} holds {bare:?} bare", f.step))
}

/// Every index, epoch, verdict and amount in a good answer stands in the synced log.
pub fn invariant_what_is_told_stands_in_the_log(told: &Told<'_>) -> Held {
    let Ok(reply) = &told.answer.said else { return Ok(()) };
    match reply {
        Reply::Leased(lease) => lease_stands(told, lease),
        Reply::Submitted(receipt) => receipt_stands(told, receipt),
        Reply::Token { agent, serial, .. } => {
            let known = told.book.agents.get(&agent.id).map(|page| page.serial);
            ensure(known.is_some_and(|known| known >= *serial), || {
                format!("{} is told serial {serial}, the log has {known:?}", agent.id)
            })
        }
        Reply::Run { run, .. } => ensure(told.book.runs.contains_key(&run.id), || {
            format!("run {} is told of and not in the log", run.id)
        }),
        Reply::Repeated(run) => {
            ensure(told.book.runs.contains_key(run), || format!("run {run} is told of and not in the log"))
        }
        Reply::Stored { artifact, .. } => {
            let entered = |fact: &Fact| matches!(fact, Fact::ArtifactStored(f) if f.artifact == *artifact);
            ensure(told.book.others.values().rev().any(entered), || {
                format!("artifact {artifact} is not in the log")
            })
        }
        Reply::HandedIn(engagement) => {
            let index = engagement.result.as_ref().map(|handed| handed.index);
            let stands = index.and_then(|index| told.book.others.get(&index));
            ensure(matches!(stands, Some(Fact::HandedIn(f)) if f.lease == engagement.lease), || {
                format!("a result of step {} is told of and not in the log", engagement.lease.step)
            })
        }
        Reply::Emitted { index, .. } => {
            let emitted = matches!(told.book.others.get(index), Some(Fact::Emitted(_)));
            ensure(emitted, || format!("entry {index} is told of as an event, and is none"))
        }
        Reply::Admitted { node, index: Some(index) } => {
            let stands = matches!(told.book.others.get(index), Some(Fact::Admitted(f)) if f.node == *node);
            ensure(stands, || format!("entry {index} is told of as the admission of {node}, and is none"))
        }
        Reply::Expelled(node) => {
            let entered = |fact: &Fact| matches!(fact, Fact::Expelled(f) if f.node == node.id);
            ensure(told.book.others.values().rev().any(entered), || {
                format!("the expulsion of {} is not in the log", node.id)
            })
        }
        Reply::Invited { secret: Some(secret), .. } => {
            let digest = secret.digest();
            let entered = |fact: &Fact| matches!(fact, Fact::Invited(f) if f.invitation == digest);
            ensure(told.book.others.values().rev().any(entered), || {
                format!("invitation {digest} is told of and not in the log")
            })
        }
        Reply::Done => done_stands(told),
        Reply::Agent(agent) => change_stands(told, agent),
        Reply::Challenge { .. } | Reply::Nothing | Reply::Renewed { .. } => Ok(()),
        // A founder needs no admission, and an open federation's invitation no entry.
        Reply::Admitted { index: None, .. } | Reply::Invited { secret: None, .. } => Ok(()),
    }
}

fn page<'a>(told: &'a Told<'_>, id: &StepId) -> Result<&'a StepPage, String> {
    told.book.steps.get(id).ok_or_else(|| format!("step {id} is told of and not in the log"))
}

fn asking(told: &Told<'_>) -> Option<AgentId> {
    match told.letter.principal {
        Principal::Agent { id, .. } => Some(id),
        _ => None,
    }
}

fn lease_stands(told: &Told<'_>, lease: &Lease) -> Held {
    let grants = &page(told, &lease.step)?.grants;
    let fits = grants.iter().any(|grant| {
        (grant.index, grant.epoch) == (lease.index, lease.epoch) && Some(grant.agent) == asking(told)
    });
    ensure(fits, || {
        let who = told.letter.from;
        format!(
            "{who:?} is told that it won step {} under epoch {}, entry {}",
            lease.step, lease.epoch, lease.index
        )
    })
}

fn receipt_stands(told: &Told<'_>, receipt: &Receipt) -> Held {
    let page = page(told, &receipt.step)?;
    let handed: Option<&HandedLine> = page.handed.iter().find(|handed| handed.index == receipt.submitted);
    let fits = handed.is_some_and(|handed| {
        let output = handed.half.as_ref().map(|half| half.output);
        (handed.epoch, handed.agent, handed.result) == (receipt.epoch, receipt.agent, receipt.result)
            && output == Some(receipt.opening.output)
    });
    ensure(fits, || {
        format!("a receipt of step {} names entry {}, which is {handed:?}", receipt.step, receipt.submitted)
    })?;
    if let Some(judged) = &receipt.verdict {
        let verdict = handed.and_then(|handed| handed.verdict.as_ref());
        let same = verdict
            .is_some_and(|(index, judgement)| (*index, judgement) == (judged.index, &shown(&judged.outcome)));
        ensure(same, || {
            format!(
                "a receipt of step {} tells of verdict {}, the log has {verdict:?}",
                receipt.step, judged.index
            )
        })?;
        let due = match judged.outcome {
            Outcome::Accepted { quality, .. } => {
                let level =
                    page.grants.iter().find(|grant| grant.epoch == receipt.epoch).map(|grant| grant.level);
                Book::formula(&page.task, quality, level.unwrap_or_default())
            }
            Outcome::Rejected { .. } => 0,
        };
        ensure(i128::from(judged.paid.0) == due, || {
            format!(
                "a receipt of step {} tells of {} units, the formula says {due}",
                receipt.step, judged.paid.0
            )
        })?;
    }
    match &receipt.next {
        Some(lease) => lease_stands(told, lease),
        None => Ok(()),
    }
}

fn change_stands(told: &Told<'_>, agent: &Agent) -> Held {
    let entered = |fact: &Fact| match (&told.letter.request, fact) {
        (Request::Configure(_), Fact::Configured(f)) => {
            f.agent == agent.id && f.skills == agent.skills && f.capacity == agent.capacity
        }
        (Request::RevokeOwn(_) | Request::RevokeAgent(_), Fact::Revoked(f)) => f.agent == agent.id,
        _ => false,
    };
    ensure(told.book.others.values().rev().any(entered), || {
        format!("a change of {} is not in the log", agent.id)
    })
}

/// What strangers see of an outcome.
fn shown(outcome: &Outcome) -> Judgement {
    match outcome {
        Outcome::Accepted { quality, checked } => {
            Judgement::Accepted { quality: *quality, checked: *checked }
        }
        Outcome::Rejected { check, .. } => Judgement::Rejected { check: check.clone() },
    }
}

fn done_stands(told: &Told<'_>) -> Held {
    let (Request::Release { step, epoch }, Some(agent)) = (&told.letter.request, asking(told)) else {
        return Ok(());
    };
    let page = page(told, step)?;
    let mine = page.grants.iter().any(|grant| (grant.epoch, grant.agent) == (*epoch, agent));
    let over = page.epoch > *epoch || page.life != crate::book::Life::Leased(agent);
    ensure(mine && over, || {
        format!("{agent} is told that it gave back step {step}, and the log still has its lease")
    })
}

/// An acknowledgement names what was sent: this step, this epoch, this agent, this output. A stale epoch has none.
pub fn invariant_an_acknowledgement_names_what_was_sent(told: &Told<'_>) -> Held {
    let (Request::Submit(sent), Ok(Reply::Submitted(receipt))) = (&told.letter.request, &told.answer.said)
    else {
        return Ok(());
    };
    let opening = &receipt.opening;
    let lease = (receipt.step, receipt.epoch) == (sent.step, sent.epoch);
    let fits = lease && opening.output == sent.output.digest() && opening.artifacts == sent.artifacts;
    ensure(fits && Some(receipt.agent) == asking(told), || {
        let (step, epoch) = (sent.step, sent.epoch);
        format!(
            "a submission of step {step} under epoch {epoch} is acknowledged as {}'s under epoch {}",
            receipt.agent, receipt.epoch
        )
    })
}

/// Of one step and epoch, one agent is told that it won, ever.
pub fn invariant_one_winner_is_told(told: &Told<'_>) -> Held {
    let Some(agent) = asking(told) else { return Ok(()) };
    let lease = match &told.answer.said {
        Ok(Reply::Leased(lease)) => lease,
        Ok(Reply::Submitted(receipt)) => match &receipt.next {
            Some(lease) => lease,
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    match told.witness.winners.get(&(lease.step, lease.epoch)) {
        Some(first) if *first != agent => Err(format!(
            "{first} and {agent} are both told that they won step {} under epoch {}",
            lease.step, lease.epoch
        )),
        _ => Ok(()),
    }
}

/// A verdict that was told once is told again as it was.
pub fn invariant_a_told_verdict_never_changes(told: &Told<'_>) -> Held {
    let Ok(Reply::Submitted(receipt)) = &told.answer.said else { return Ok(()) };
    let Some(before) = told.witness.verdicts.get(&(receipt.step, receipt.epoch)) else { return Ok(()) };
    let now = receipt.verdict.as_ref().map(|judged| judged.index);
    // A submission that asked for the next task may hear its receipt late, as it was when it was taken in.
    ensure(now.is_none_or(|now| now == *before), || {
        format!(
            "the verdict on step {} under epoch {} was entry {before}, now it is {now:?}",
            receipt.step, receipt.epoch
        )
    })
}

/// A token that was replaced or revoked before its request came in gets nothing.
pub fn invariant_old_tokens_open_nothing(told: &Told<'_>) -> Held {
    let Principal::Agent { id, serial } = told.letter.principal else { return Ok(()) };
    if told.answer.said.is_err()
        || matches!(told.letter.request, Request::Enroll { .. } | Request::Respond { .. })
    {
        return Ok(());
    }
    ensure(serial >= told.serial_min, || {
        format!("{id} acts with token {serial}, when {} was the first good one", told.serial_min)
    })
}
