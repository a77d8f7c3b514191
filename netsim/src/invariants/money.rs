//! Decision 11 as a journal must show it: double entry, escrow for whatever is open, each result paid once and exactly.

use super::{EntrySeen, FrameSeen, Held, StateSeen, ensure};
use crate::book::{Book, Life};
use artel_federation::Fact;
use artel_federation::fact::{Account, Cause, Judgement, Poster, Transfer, Verdict};
use std::collections::BTreeMap;

/// Every ledger entry's legs sum to zero.
pub fn invariant_legs_sum_to_zero(seen: &EntrySeen<'_>) -> Held {
    let Fact::Transfer(f) = &seen.entry().fact else { return Ok(()) };
    let sum: i128 = f.legs.iter().map(|leg| i128::from(leg.units)).sum();
    ensure(sum == 0, || format!("entry {}: legs of {:?} sum to {sum} units", seen.index(), f.cause))
}

/// An accepted result is paid in the frame of its verdict, once, by the formula; the rest goes back. Nothing else is paid.
pub fn invariant_paid_once_by_the_formula(seen: &EntrySeen<'_>) -> Held {
    match &seen.entry().fact {
        Fact::Transfer(f) if f.cause == Cause::Payment => payment(seen, f),
        Fact::Verdict(f) => verdict(seen, f),
        _ => Ok(()),
    }
}

fn payment(seen: &EntrySeen<'_>, f: &Transfer) -> Held {
    let Some(page) = seen.book.steps.get(&f.step) else {
        return Err(format!("unknown step {} is paid", f.step));
    };
    ensure(page.payments.is_empty(), || format!("step {} is paid a second time", f.step))?;
    let judged = |fact: &Fact| matches!(fact, Fact::Verdict(v) if v.step == f.step && matches!(v.judgement, Judgement::Accepted { .. }));
    ensure(seen.frame[seen.at..].iter().any(|entry| judged(&entry.fact)), || {
        format!("step {} is paid without an accepted verdict in the frame", f.step)
    })
}

/// A payment is public: it names the step and its worker. The poster stands there by its alias.
pub fn invariant_payments_name_their_worker_alone(seen: &EntrySeen<'_>) -> Held {
    let Fact::Transfer(f) = &seen.entry().fact else { return Ok(()) };
    if f.cause != Cause::Payment {
        return Ok(());
    }
    let (escrow, poster) = (Account::Escrow(f.step), Account::Poster(f.step));
    let accounts: Vec<Account> = f.legs.iter().map(|leg| leg.account).collect();
    let named = match accounts[..] {
        [first, Account::Agent(_)] => first == escrow,
        [first, Account::Agent(_), last] => (first, last) == (escrow, poster),
        _ => false,
    };
    ensure(named, || format!("the payment of step {} names {accounts:?}", f.step))
}

fn verdict(seen: &EntrySeen<'_>, f: &Verdict) -> Held {
    let Judgement::Accepted { quality, .. } = f.judgement else { return Ok(()) };
    let (Some(page), Some(run)) = (seen.book.steps.get(&f.step), seen.book.runs.get(&f.step.run())) else {
        return Err(format!("unknown step {} is judged", f.step));
    };
    let level = page.grants.last().map(|grant| grant.level).unwrap_or_default();
    let (escrow, paid) = (Book::escrow_of(&page.task), Book::formula(&page.task, quality, level));
    let poster = match run.poster {
        Poster::Operator => Account::Operator,
        Poster::Agent(agent) => Account::Agent(agent),
    };
    let mut due: BTreeMap<Account, i128> = BTreeMap::new();
    *due.entry(Account::Escrow(f.step)).or_default() -= escrow;
    *due.entry(Account::Agent(f.agent)).or_default() += paid;
    *due.entry(poster).or_default() += escrow - paid;
    due.retain(|_, units| *units != 0);
    let mut moved = page.payments.first().cloned().unwrap_or_default();
    moved.retain(|_, units| *units != 0);
    ensure(moved == due, || format!("step {} moves {moved:?}, the formula says {due:?}", f.step))
}

/// All balances sum to zero.
pub fn invariant_all_balances_sum_to_zero(seen: &FrameSeen<'_>) -> Held {
    let total: i128 = seen.book.accounts.values().sum();
    ensure(total == 0, || format!("all balances sum to {total} units"))
}

/// At the end of a frame, exactly the highest reward of each open step is set aside, and nothing for any other.
pub fn invariant_escrow_is_what_open_steps_cost(seen: &FrameSeen<'_>) -> Held {
    let step_of = |fact: &Fact| match fact {
        Fact::Transfer(f) => vec![f.step],
        Fact::StepEnded(f) => vec![f.step],
        Fact::Verdict(f) => vec![f.step],
        Fact::RunPosted(f) => (0..f.steps.len()).map(|i| f.run.step(i)).collect(),
        _ => Vec::new(),
    };
    for id in seen.frame.iter().flat_map(|entry| step_of(&entry.fact)) {
        let Some(page) = seen.book.steps.get(&id) else {
            return Err(format!("money moves for unknown step {id}"));
        };
        let due = if page.life.is_terminal() { 0 } else { Book::escrow_of(&page.task) };
        let held = seen.book.balance(Account::Escrow(id));
        ensure(held == due, || {
            format!("{held} units are set aside for step {id} ({:?}), not {due}", Life::clone(&page.life))
        })?;
    }
    Ok(())
}

/// No escrow and no agent owes, and the operator owes no more than its credit line.
pub fn invariant_nobody_overdraws(seen: &FrameSeen<'_>) -> Held {
    for account in seen.frame.iter().flat_map(|entry| match &entry.fact {
        Fact::Transfer(f) => f.legs.iter().map(|leg| seen.book.account_of(leg.account)).collect(),
        _ => Vec::new(),
    }) {
        let line = if account == Account::Operator { i128::from(seen.options.credit_line_units) } else { 0 };
        let balance = seen.book.balance(account);
        ensure(balance + line >= 0, || format!("{account:?} stands at {balance} units"))?;
    }
    Ok(())
}

/// The balances in memory are those of the log.
pub fn invariant_the_ledger_is_the_logs(seen: &StateSeen<'_>) -> Held {
    let memory = seen.view.accounts().map(|(account, units)| (account, i128::from(units)));
    let log = seen.book.accounts.iter().map(|(account, units)| (*account, *units));
    ensure(memory.eq(log), || "the balances in memory are not the log's".into())
}
