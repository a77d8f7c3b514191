//! What must have come about some time after all faults have ended: every member holds every member's records, forks are
//! proven, and what is kept verifies.

use crate::invariants::{Held, ensure};
use crate::mesh::context::{Context, Does, held};
use crate::mesh::member::Member;
use crate::mesh::packet::Slot;
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use std::collections::{BTreeMap, BTreeSet};

/// How many bytes of frames are read at once.
const READ_BYTES: usize = 256 << 10;

/// Who belongs to the federation by all words that were ever said, as each node is to see it.
pub struct Settled {
    /// By judge.
    members: BTreeMap<Slot, BTreeSet<NodeId>>,
    /// The nodes that are to agree: members in a founder's eyes whose journals have one history.
    pub nodes: Vec<Slot>,
}

/// What all journals together say of membership.
pub fn settled(context: &Context, nodes: &[Member]) -> Settled {
    let words = context.truth.all_words();
    let genesis = &context.truth.genesis;
    let judged = |node: &Member| (node.slot, words.members(genesis, &node.identity.node));
    let members: BTreeMap<Slot, BTreeSet<NodeId>> = nodes.iter().map(judged).collect();
    let is_honest = |node: &&Member| !context.truth.liars.contains(&node.identity.node);
    let belongs = |node: &&Member| members[&0].contains(&node.identity.node);
    let is_here = |node: &&Member| context.truth.gone != Some(node.slot);
    let nodes = nodes.iter().filter(|node| is_honest(node) && belongs(node) && is_here(node));
    let nodes = nodes.map(|node| node.slot).collect();
    Settled { members, nodes }
}

/// Every member has what lets it in, and holds all that every member has made public.
///
/// # Errors
/// Who lacks what.
pub fn members_agree(context: &Context, nodes: &[Member], settled: &Settled) -> Result<(), (Slot, String)> {
    let author =
        |slot: &Slot| (*slot, context.truth.books[slot].origin, context.truth.books[slot].public_seq());
    let authors: Vec<(Slot, Origin, u64)> = settled.nodes.iter().map(author).collect();
    for slot in &settled.nodes {
        let node = &nodes[*slot];
        if !node.is_let_in() {
            return Err((*slot, "it was admitted and has nothing to show for it".into()));
        }
        let sees = &settled.members[slot];
        for (author, origin, public_seq) in authors.iter().filter(|one| sees.contains(&one.1.node())) {
            let found = node.mark_of(origin);
            if author != slot && found != Some(*public_seq) {
                let what = format!("{found:?} of {public_seq} records of node {author} are held");
                return Err((*slot, what));
            }
        }
    }
    Ok(())
}

/// Everything that a node keeps proves itself, and is what its author wrote.
///
/// # Errors
/// The violation.
pub fn kept_records_verify(context: &mut Context, node: &Member) -> Does {
    for (origin, frames) in node.kept_frames(READ_BYTES) {
        for frame in frames {
            let holds = frame_verifies(context, &origin, &frame);
            held("invariant_kept_records_verify", node.slot, holds)?;
        }
    }
    Ok(())
}

fn frame_verifies(context: &mut Context, origin: &Origin, frame: &[u8]) -> Held {
    let records = context.memo.records(frame);
    let records = records.map_err(|error| format!("a kept frame of {origin} does not hold: {error}"))?;
    ensure(records.origin() == *origin, || format!("a frame of {} is kept as {origin}'s", records.origin()))?;
    let Some(book) = context.truth.honest_book(origin) else { return Ok(()) };
    for record in records.records() {
        let wrote = book.public.get(&record.index);
        ensure(wrote == Some(&(record.public_seq, Digest::of(&record.body))), || {
            format!("entry {} of {origin} is kept and is not what its author wrote", record.index)
        })?;
    }
    Ok(())
}

/// Whose two running nodes have shown two histories is proven a liar; a proof that one node holds, most hold.
///
/// # Errors
/// The violation.
pub fn proofs_of_fraud_spread(context: &Context, nodes: &[Member], settled: &Settled) -> Does {
    let mut holders: BTreeMap<Origin, usize> = BTreeMap::new();
    for slot in &settled.nodes {
        for (origin, _) in nodes[*slot].frauds() {
            *holders.entry(*origin).or_default() += 1;
        }
    }
    let members = &settled.members[&0];
    for origin in context.truth.forks().into_iter().filter(|origin| members.contains(&origin.node())) {
        let node = origin.node();
        let found = holders.get(&origin).copied().unwrap_or_default();
        let holds = ensure(found > 0, || format!("{node} runs twice, and nobody can prove it"));
        held("invariant_forks_are_proven", 0, holds)?;
        let enough = settled.nodes.len().div_ceil(2);
        let holds = ensure(found >= enough, || {
            format!("{found} of {} nodes hold a proof against {node}", settled.nodes.len())
        });
        held("invariant_proofs_of_fraud_spread", 0, holds)?;
    }
    Ok(())
}
