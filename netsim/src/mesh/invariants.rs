//! What must hold in a mesh, as named functions over what nodes keep, say and sign, beside what the world knows. Most run
//! where it happens; those of `agreement.rs` run when all faults have ended.

mod agreement;

use super::context::{Does, held};
use super::overlay::Overlay;
use super::packet::{Id, Slot};
use super::truth::{Book, Truth};
use crate::invariants::{Held, ensure};
use artel_audit::records::Records as Kept;
use artel_audit::records::witness::WitnessTable;
use artel_federation::exchange::Exchange;
use artel_federation::fact::AdmittedBy;
use artel_federation::{Entry, Fact};
use artel_protocol::key::NodeId;
use artel_protocol::log::leaf::Class;
use artel_protocol::log::{JOURNALS_OF_NODE_MAX, Origin, SignedCheckpoint};
use artel_protocol::record::Records;
use artel_protocol::sync::Mark;
use artel_protocol::topic::Topic;
use artel_protocol::witness::Fraud;
use std::collections::BTreeSet;

/// What gossip brings is of a topic that the node follows.
///
/// # Errors
/// It is not.
pub fn is_followed(overlay: &Overlay, topic: Topic) -> Held {
    ensure(overlay.follows().contains(&topic), || {
        format!("gossip brings something of {topic:?}, which is not followed")
    })
}

pub use agreement::{Settled, kept_records_verify, members_agree, proofs_of_fraud_spread, settled};

/// The names of all invariants of a mesh.
pub const NAMES: &[&str] = &[
    "invariant_a_sound_disk_opens",
    "invariant_what_was_shown_is_synced",
    "invariant_kept_records_survive",
    "invariant_the_witness_remembers",
    "invariant_only_members_are_kept",
    "invariant_the_expelled_do_not_grow",
    "invariant_kept_records_verify",
    "invariant_marks_are_held",
    "invariant_nothing_is_known_before_it_is_synced",
    "invariant_membership_is_as_heard",
    "invariant_neighbours_are_members",
    "invariant_admissions_have_grounds",
    "invariant_nothing_is_forwarded_unjudged",
    "invariant_a_message_is_judged_once",
    "invariant_honest_nodes_are_not_blamed",
    "invariant_only_public_facts_travel",
    "invariant_cosigned_heads_only_grow",
    "invariant_cosigned_heads_never_contradict",
    "invariant_members_alone_are_cosigned",
    "invariant_no_contradiction_is_passed_over",
    "invariant_frauds_name_liars",
    "invariant_bounds_hold",
    "invariant_members_agree",
    "invariant_forks_are_proven",
    "invariant_proofs_of_fraud_spread",
    "invariant_nothing_panics",
    "invariant_worlds_end",
];

/// Whatever was shown under a checkpoint is found behind a crash, unaltered.
///
/// # Errors
/// The violation.
pub fn what_was_shown_is_synced(slot: Slot, before: &Book, found: &Book) -> Does {
    let holds = ensure(found.has_root(before.shown, &before.roots[before.shown as usize]), || {
        format!("{} entries were shown, {} are found", before.shown, found.size())
    });
    held("invariant_what_was_shown_is_synced", slot, holds)
}

/// What a node counted as kept of others is found behind a crash.
///
/// # Errors
/// The violation.
pub fn kept_records_survive(slot: Slot, truth: &Truth, kept: &Kept) -> Does {
    let of_slot = truth.kept.iter().filter(|((owner, _), _)| *owner == slot);
    for ((_, origin), next) in of_slot {
        let found = kept.mark(origin).next;
        let holds =
            ensure(found >= *next, || format!("{next} records of {origin} were kept, {found} are found"));
        held("invariant_kept_records_survive", slot, holds)?;
    }
    Ok(())
}

/// Every head that a node has cosigned, or a later one, stands in its witness table behind a crash.
///
/// # Errors
/// The violation.
pub fn the_witness_remembers(slot: Slot, truth: &Truth, table: &WitnessTable) -> Does {
    for ((_, origin), heads) in truth.cosigned.iter().filter(|((owner, _), _)| *owner == slot) {
        let last = heads.iter().map(|(size, _)| *size).max().unwrap_or_default();
        let found = table.get(origin).map_or(0, |known| known.size);
        let holds = ensure(found >= last, || {
            format!("size {last} of {origin} was cosigned, size {found} is remembered")
        });
        held("invariant_the_witness_remembers", slot, holds)?;
    }
    Ok(())
}

/// Records are kept of members only, by all that the node has heard; whoever was expelled does not grow any more.
///
/// # Errors
/// The violation.
pub fn only_members_are_kept(
    slot: Slot,
    author: &Origin,
    members: &BTreeSet<NodeId>,
    is_named: bool,
) -> Does {
    let name =
        if is_named { "invariant_the_expelled_do_not_grow" } else { "invariant_only_members_are_kept" };
    let holds = ensure(members.contains(&author.node()), || {
        format!("a record of {} is kept, who is no member", author.node())
    });
    held(name, slot, holds)
}

/// The marks that a node tells are what it holds without a gap, and nothing that its author has not synced.
///
/// # Errors
/// The violation.
pub fn marks_are_held(slot: Slot, truth: &Truth, kept: &Kept, marks: &[Mark]) -> Does {
    let own = truth.books[&slot].origin;
    for mark in marks.iter().filter(|mark| mark.origin != own) {
        let held_next = kept.mark(&mark.origin).next;
        let holds = ensure(mark.next == held_next, || {
            format!("a mark of {} of {} is told, {held_next} are held", mark.next, mark.origin)
        });
        held("invariant_marks_are_held", slot, holds)?;
        if let Some(book) = truth.honest_book(&mark.origin) {
            let holds = ensure(mark.next <= book.public_seq(), || {
                format!("{} records of {} are held, {} are synced", mark.next, mark.origin, book.public_seq())
            });
            held("invariant_nothing_is_known_before_it_is_synced", slot, holds)?;
        }
    }
    Ok(())
}

/// The members that the shipped exchange sees are those that follow from all words that were heard.
///
/// # Errors
/// What differs.
pub fn membership_is_as_heard(exchange: &Exchange, wanted: &BTreeSet<NodeId>) -> Held {
    let found: BTreeSet<NodeId> = exchange.members().copied().collect();
    let odd = found.symmetric_difference(wanted).next();
    ensure(odd.is_none(), || {
        let node = odd.map(ToString::to_string).unwrap_or_default();
        format!("{} members are seen, {} follow from what was heard; {node}", found.len(), wanted.len())
    })
}

/// Whoever is a neighbour belongs here by all that was heard and shown.
///
/// # Errors
/// Who does not.
pub fn neighbours_are_members(belongs: bool, peer: &NodeId) -> Held {
    ensure(belongs, || format!("{peer} comes up and is no member by all that was heard"))
}

/// A node is let in by an invitation that still lets somebody in, or because the operator named it.
///
/// # Errors
/// The violation.
pub fn admissions_have_grounds(slot: Slot, truth: &mut Truth, facts: &[Entry]) -> Does {
    for entry in facts {
        let Fact::Admitted(admitted) = &entry.fact else { continue };
        let holds = match admitted.by {
            AdmittedBy::Operator => truth.named.contains(&(slot, admitted.node)),
            AdmittedBy::Open => false,
            AdmittedBy::Invitation(digest) => {
                let book = truth.books.get_mut(&slot).expect("every node has one");
                book.invited.get_mut(&digest).is_some_and(|(uses, used)| {
                    *used += 1;
                    used <= uses
                })
            }
        };
        let holds =
            ensure(holds, || format!("{} is admitted by {:?} without grounds", admitted.node, admitted.by));
        held("invariant_admissions_have_grounds", slot, holds)?;
    }
    Ok(())
}

/// No message of another leaves before it was judged.
///
/// # Errors
/// The violation.
pub fn nothing_is_forwarded_unjudged(slot: Slot, passed: &BTreeSet<Id>, id: &Id) -> Does {
    let holds = ensure(passed.contains(id), || format!("message {id:?} leaves unjudged"));
    held("invariant_nothing_is_forwarded_unjudged", slot, holds)
}

/// A message is judged once while its id is remembered.
///
/// # Errors
/// Which is not.
pub fn is_judged_once(at: u64, remembered_until: Option<u64>, id: &Id) -> Held {
    let again = remembered_until.is_some_and(|until| until > at);
    ensure(!again, || format!("message {id:?} is judged a second time"))
}

/// No honest node is to blame for anything.
///
/// # Errors
/// Who is blamed.
pub fn is_not_honest(honest: bool, from: Slot, what: &str) -> Held {
    ensure(!honest, || format!("honest node {from} is blamed for {what}"))
}

/// What a node publishes is public by its kind.
///
/// # Errors
/// What is not.
pub fn only_public_facts_travel(records: &Records) -> Held {
    for record in records.records() {
        if let Ok(entry) = Entry::decode(&record.body) {
            ensure(entry.fact.class() == Class::Public, || {
                format!("a private {} travels", entry.fact.kind().name())
            })?;
        }
    }
    Ok(())
}

/// The heads of a journal that a node cosigns grow, and all of them stand in one history.
///
/// # Errors
/// The violation.
pub fn cosigned_heads_continue(slot: Slot, truth: &mut Truth, head: &SignedCheckpoint) -> Does {
    let origin = head.origin();
    let new = (head.size(), head.root());
    if let Some(last) = truth.cosigned.get(&(slot, origin)).and_then(|heads| heads.last()) {
        let holds = ensure(last.0 < new.0, || {
            format!("size {} of {origin} is cosigned after size {}", new.0, last.0)
        });
        held("invariant_cosigned_heads_only_grow", slot, holds)?;
        let holds = ensure(truth.agree(&origin, last, &new), || {
            format!("sizes {} and {} of {origin} are cosigned and contradict each other", last.0, new.0)
        });
        held("invariant_cosigned_heads_never_contradict", slot, holds)?;
    }
    truth.cosigned.entry((slot, origin)).or_default().push(new);
    Ok(())
}

/// Heads of members alone are cosigned.
///
/// # Errors
/// Whose is not.
pub fn members_alone_are_cosigned(members: &BTreeSet<NodeId>, origin: &Origin) -> Held {
    ensure(members.contains(&origin.node()), || {
        format!("a head of {} is cosigned, who is no member", origin.node())
    })
}

/// Whoever sees two roots of one size holds a proof from then on.
///
/// # Errors
/// What was passed over.
pub fn no_contradiction_is_passed_over(
    remembered: Option<&SignedCheckpoint>,
    head: &SignedCheckpoint,
    holds_proof: bool,
) -> Held {
    let contradicts =
        remembered.is_some_and(|known| known.size() == head.size() && known.root() != head.root());
    ensure(!contradicts || holds_proof, || {
        format!("two roots of size {} of {} were seen, and no proof is held", head.size(), head.origin())
    })
}

/// A proof of fraud that is held checks, and names somebody who lies.
///
/// # Errors
/// The violation.
pub fn frauds_name_liars(slot: Slot, truth: &Truth, origin: &Origin, frame: &[u8]) -> Does {
    let checked = Fraud::check(frame, &truth.federation);
    let holds = match checked {
        Ok(fraud) if fraud.origin() != *origin => {
            Err(format!("a proof about {} is taken for one about {origin}", fraud.origin()))
        }
        Ok(_) => ensure(truth.liars.contains(&origin.node()), || {
            format!("{} is proven a liar and is none", origin.node())
        }),
        Err(error) => Err(format!("a proof about {origin} does not check: {error}")),
    };
    held("invariant_frauds_name_liars", slot, holds)
}

/// What another takes in a node's store, with all its journals, is within the limits.
///
/// # Errors
/// The violation.
pub fn bounds_hold(slot: Slot, kept: &Kept, origin: &Origin) -> Does {
    let node = origin.node();
    let marks = kept.marks_of(&node);
    let (bytes, journals) = (marks.iter().map(|(_, mark)| mark.bytes).sum::<u64>(), marks.len());
    let most = super::member::LIMITS.author_bytes_max;
    let holds = ensure(bytes <= most && journals <= JOURNALS_OF_NODE_MAX as usize, || {
        format!("{bytes} bytes of {journals} journals of {node} are held, at most {most} may be")
    });
    held("invariant_bounds_hold", slot, holds)
}
