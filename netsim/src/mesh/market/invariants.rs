//! What must have come about in the market some time after all faults have ended: all work is done, every receipt is a pair,
//! and every node has made the same of the same records.

use crate::invariants::{Held, ensure};
use crate::mesh::context::{Context, Does, held};
use crate::mesh::member::{Member, wall};
use crate::mesh::packet::Slot;
use artel_federation::evidence::Viewer;
use artel_federation::fact::Judgement;
use artel_federation::visit::message::{Act, Visit};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use artel_protocol::topic::Topic;
use std::collections::BTreeSet;

/// The names of all invariants of the market.
pub const NAMES: &[&str] = &[
    "invariant_one_winner_across_nodes",
    "invariant_one_receipt_each",
    "invariant_promises_to_agents_are_written",
    "invariant_no_visit_rests_on_what_ended",
    "invariant_delegated_anew_is_served",
    "invariant_endings_reach_every_home",
    "invariant_gossip_is_what_is_followed",
    "invariant_agents_hear_of_their_offers",
    "invariant_books_are_equal_whatever_is_followed",
    "invariant_handed_in_is_not_lost",
    "invariant_words_of_homes_are_theirs",
    "invariant_secrets_go_to_whom_they_are_for",
    "invariant_lots_are_their_witnesses",
    "invariant_runs_are_what_they_came_to",
    "invariant_the_honest_are_not_refuted",
    "invariant_refuted_once_and_taken_back",
    "invariant_refutations_reach_their_agents",
    "invariant_honest_homes_break_no_rule",
    "invariant_answered_homes_are_not_called_silent",
    "invariant_forged_summaries_alone_are_flagged",
    "invariant_books_are_what_journals_say",
    "invariant_money_sums_to_zero",
    "invariant_the_market_comes_to_rest",
];

/// Whether all work is done: nothing is open at home or away, and everybody has read all that there is.
///
/// # Errors
/// Where something is open, and what.
pub fn is_at_rest(context: &Context, nodes: &[Member], settled: &[Slot]) -> Result<(), (Slot, String)> {
    for slot in settled {
        let gone = context.truth.gone.map(|slot| nodes[slot].identity.node);
        if let Some(open) = nodes[*slot].open_work(gone) {
            return Err((*slot, format!("work is open: {open}")));
        }
    }
    let mut heads = Vec::new();
    for slot in settled {
        let Some(evidence) = nodes[*slot].evidence() else { return Err((*slot, "it is down".into())) };
        for author in settled.iter().map(|author| &context.truth.books[author]) {
            if evidence.book.next(&author.origin) < author.public_seq() {
                return Err((*slot, format!("it has not read all of {} for its evidence", author.origin)));
            }
        }
        heads.push((*slot, evidence.book.heads(&nodes[*slot].liars())));
    }
    match heads.iter().find(|(_, digest)| *digest != heads[0].1) {
        Some((slot, _)) => Err((*slot, "it has not read what others have".into())),
        None => Ok(()),
    }
}

/// What the journals and books say in the end.
///
/// # Errors
/// The violation.
pub fn all_adds_up(context: &Context, nodes: &[Member], settled: &[Slot]) -> Does {
    for slot in settled {
        held(
            "invariant_promises_to_agents_are_written",
            *slot,
            context.truth.market.promises_are_kept(*slot),
        )?;
        held("invariant_handed_in_is_not_lost", *slot, results_have_ends(context, nodes, *slot))?;
        held("invariant_refutations_reach_their_agents", *slot, refuted_are_told(context, nodes, *slot))?;
        held("invariant_one_receipt_each", *slot, accepted_are_paid(context, *slot))?;
        held("invariant_endings_reach_every_home", *slot, endings_are_heard(context, nodes, settled, *slot))?;
    }
    for slot in settled {
        let follows = offers_are_followed(context, &nodes[*slot]);
        held("invariant_agents_hear_of_their_offers", *slot, follows)?;
    }
    let of_all: Vec<Slot> =
        settled.iter().copied().filter(|slot| nodes[*slot].follows_all_by_will()).collect();
    held("invariant_books_are_what_journals_say", 0, books_are_equal(context, nodes, &of_all))?;
    held("invariant_books_are_equal_whatever_is_followed", 0, books_are_equal(context, nodes, settled))?;
    held("invariant_books_are_what_journals_say", 0, books_count(context, nodes, settled))
}

/// Whatever was handed in was judged, and its node knows how; or its home said that the lease was over, or is down for good.
fn results_have_ends(context: &Context, nodes: &[Member], slot: Slot) -> Held {
    let ledger = context.truth.market.ledger(slot);
    let gone = context.truth.gone.map(|slot| nodes[slot].identity.node);
    for lease in ledger.handed.keys().filter(|lease| Some(lease.home) != gone) {
        let has_end = ledger.concluded.contains_key(lease) || ledger.let_go.contains_key(lease);
        ensure(has_end, || format!("nobody knows what became of the result of step {}", lease.step))?;
    }
    Ok(())
}

/// Of each result of its agents that was accepted and then refuted, a node has written down that it was.
fn refuted_are_told(context: &Context, nodes: &[Member], slot: Slot) -> Held {
    let (known, gone) = (&context.truth.market, context.truth.gone);
    let ledger = known.ledger(slot);
    for lease in ledger.concluded.keys() {
        let home = known.slot(&lease.home).filter(|home| Some(*home) != gone);
        let refuted = home.and_then(|home| known.ledger(home).refuted.get(&(lease.step, lease.epoch)));
        let is_told = refuted.is_none() || ledger.refuted_away.contains(lease);
        ensure(is_told, || {
            let node = nodes[slot].identity.node;
            format!(
                "an agent of {node} is not told that its result of step {} is refuted: {refuted:?}",
                lease.step
            )
        })?;
    }
    Ok(())
}

/// Of what agents have delegated to the other nodes, a home serves what stands, and nothing that is over.
fn endings_are_heard(context: &Context, nodes: &[Member], settled: &[Slot], slot: Slot) -> Held {
    for other in settled.iter().filter(|other| **other != slot) {
        let node = nodes[*other].identity.node;
        for (challenge, is_over) in context.truth.market.delegations.all(&node) {
            let visit = Visit {
                agent: challenge.agent,
                name: String::new(),
                skills: Vec::new(),
                warrant: challenge.warrant.clone(),
                act: Act::ClaimNext { wait_ms: 0 },
            };
            let serves = nodes[slot].serves(&node, &visit);
            ensure(serves.is_none_or(|serves| serves != is_over), || {
                let how = if is_over { "is over" } else { "stands" };
                format!("what entry {} of node {other} delegates {how}: {serves:?}", challenge.index)
            })?;
        }
    }
    Ok(())
}

/// Whatever was offered elsewhere that an agent of a node could claim, the node follows offers of that kind.
fn offers_are_followed(context: &Context, node: &Member) -> Held {
    let unfollowed = node.unfollowed();
    let homes = context.truth.market.ledgers().filter(|(home, _)| *home != node.slot);
    let offered: BTreeSet<&Vec<Skill>> = homes.flat_map(|(_, ledger)| ledger.offered.values()).collect();
    for worker in node.workers() {
        for wanted in &offered {
            let may = wanted.iter().all(|asked| worker.skills.iter().any(|skill| skill.meets(asked)));
            let is_told = !may || worker.serial.is_none() || !unfollowed.contains(&Topic::of_offer(wanted));
            ensure(is_told, || {
                format!("{} could do what asks for {wanted:?}, and its node hears no offers of it", worker.id)
            })?;
        }
    }
    Ok(())
}

/// Each accepted result is one payment, to whose it is; nothing else is paid.
fn accepted_are_paid(context: &Context, slot: Slot) -> Held {
    let ledger = context.truth.market.ledger(slot);
    let mut accepted = BTreeSet::new();
    for ((step, _), (_, agent, judgement)) in &ledger.verdicts {
        if let Judgement::Accepted { .. } = judgement {
            ensure(accepted.insert(*step), || format!("two results of step {step} are accepted"))?;
            let paid = ledger.paid.get(step);
            ensure(paid.is_none_or(|paid| paid == agent), || format!("another one is paid for step {step}"))?;
            let is_free = ledger.free.contains(step);
            ensure(is_free || paid.is_some(), || format!("nobody is paid for step {step}"))?;
        }
    }
    let odd = ledger.paid.keys().find(|step| !accepted.contains(*step));
    ensure(odd.is_none(), || format!("step {odd:?} is paid, and no result was accepted"))
}

/// Whoever has read the same has the same book, and the same scores for every viewer.
fn books_are_equal(context: &Context, nodes: &[Member], settled: &[Slot]) -> Held {
    let genesis = &context.truth.genesis;
    let book = |slot: &Slot| Some((&nodes[*slot].evidence()?.book, nodes[*slot].liars()));
    let books: Vec<_> = settled.iter().filter_map(book).collect();
    let Some(((first, liars), others)) = books.split_first() else { return Ok(()) };
    let (at, heads) = (wall(context.at), first.heads(liars));
    let same = others.iter().enumerate().filter(|(_, (other, liars))| other.heads(liars) == heads);
    for (n, (other, _)) in same {
        for viewer in nodes.iter().map(|node| node.identity.node) {
            let viewer = Viewer { node: viewer, founders: &genesis.founders, liars };
            for agent in agents(context) {
                let (one, same) = (first.scored(viewer, &agent, at), other.scored(viewer, &agent, at));
                ensure(one == same, || format!("{agent} has {one:?} here and {same:?} at node {}", n + 1))?;
            }
        }
        ensure(first == other, || {
            format!("the books of nodes {} and {} differ", settled[0], settled[n + 1])
        })?;
    }
    Ok(())
}

fn agents(context: &Context) -> BTreeSet<AgentId> {
    context.truth.market.receipts(None).into_keys().map(|(agent, _)| agent).collect()
}

/// What a book counts of each agent at each home is what the journals say, counted once more.
fn books_count(context: &Context, nodes: &[Member], settled: &[Slot]) -> Held {
    let genesis = &context.truth.genesis;
    for slot in settled {
        let Some(evidence) = nodes[*slot].evidence() else { continue };
        for ((agent, home), (accepted, rejected)) in context.truth.market.receipts(context.truth.gone) {
            // A home's own part is counted otherwise: it knows of its own agents, too.
            if home == nodes[*slot].identity.node {
                continue;
            }
            let liars = nodes[*slot].liars();
            let viewer =
                Viewer { node: nodes[*slot].identity.node, founders: &genesis.founders, liars: &liars };
            let view = evidence.book.view(viewer, &agent, wall(context.at));
            let tally =
                view.parts.iter().find(|part| part.home == home).map(|part| part.tally).unwrap_or_default();
            ensure((tally.accepted, tally.rejected) == (accepted, rejected), || {
                format!("node {slot} counts {tally:?} of {agent} at {home}; it is {accepted} and {rejected}")
            })?;
        }
    }
    Ok(())
}
