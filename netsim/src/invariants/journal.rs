//! Decisions 1 to 3: whatever was acknowledged is on the disk once and for ever, frames are whole, the state is the fold,
//! heads only grow. All but the first are called by a home where it opens its journal or reads it back.

use super::{Held, Told, Violation, ensure};
use crate::book::Book;
use crate::witness::Witness;
use artel_federation::{Federation, Reply};
use artel_protocol::log::{CompactRange, Hash};

/// The names of the functions below that are called where a home opens or reads back its journal.
pub const NAMES: &[&str] = &[
    "invariant_acknowledged_survives",
    "invariant_frames_are_whole",
    "invariant_state_is_the_fold",
    "invariant_snapshot_is_the_fold",
    "invariant_heads_never_shrink",
    "invariant_roots_are_consistent",
    "invariant_heads_are_proven",
    "invariant_a_sound_disk_opens",
    "invariant_the_log_verifies",
];

/// Everything that a good answer rests on is synced when it leaves.
pub fn invariant_acknowledged_is_durable(told: &Told<'_>) -> Held {
    let Ok(reply) = &told.answer.said else { return Ok(()) };
    let rests_on = match reply {
        Reply::Leased(lease) => lease.index + 1,
        Reply::Submitted(receipt) => {
            let verdict = receipt.verdict.as_ref().map_or(0, |judged| judged.index);
            let next = receipt.next.as_ref().map_or(0, |lease| lease.index);
            receipt.submitted.max(verdict).max(next) + 1
        }
        Reply::Emitted { index, .. } => index + 1,
        Reply::Run { run, .. } => run.posted_at + 1,
        _ => 0,
    };
    ensure(rests_on <= told.book.size(), || {
        format!("an answer rests on entry {}, {} are synced", rests_on - 1, told.book.size())
    })
}

fn held(invariant: &'static str, home: usize, holds: Held) -> Result<(), Violation> {
    holds.map_err(|what| Violation { invariant, home, what })
}

/// What was acknowledged before a crash is found behind it, at its place and unaltered.
///
/// # Errors
/// The violation.
pub fn invariant_acknowledged_survives(
    home: usize,
    before: &Book,
    acknowledged: u64,
    found: &Book,
) -> Result<(), Violation> {
    let holds = ensure(found.size() >= acknowledged, || {
        format!("{acknowledged} entries were acknowledged, {} are found", found.size())
    })
    .and_then(|()| {
        let kept =
            before.leaves.iter().zip(&found.leaves).take(acknowledged as usize).position(|(a, b)| a != b);
        ensure(kept.is_none(), || format!("acknowledged entry {} is found altered", kept.unwrap_or_default()))
    });
    held("invariant_acknowledged_survives", home, holds)
}

/// The frames that are found are those that were decided, in order, each whole, none twice, none between.
///
/// # Errors
/// The violation.
pub fn invariant_frames_are_whole<'a>(
    home: usize,
    found: impl Iterator<Item = &'a [Vec<u8>]>,
    decided: impl Iterator<Item = &'a [Vec<u8>]>,
) -> Result<(), Violation> {
    let mut decided = decided;
    for (at, frame) in found.enumerate() {
        let wanted = decided.next();
        let holds = ensure(wanted == Some(frame), || {
            let want =
                wanted.map_or_else(|| "none".to_owned(), |frame| format!("one of {} entries", frame.len()));
            format!("fresh frame {at} has {} entries; the rules decided {want}", frame.len())
        });
        held("invariant_frames_are_whole", home, holds)?;
    }
    Ok(())
}

/// The live state is the fold over the journal's entries.
///
/// # Errors
/// The violation.
pub fn invariant_state_is_the_fold(
    home: usize,
    live: &Federation,
    fold: &Federation,
) -> Result<(), Violation> {
    let holds =
        ensure(live.size() == fold.size() && live.snapshot().encode() == fold.snapshot().encode(), || {
            format!(
                "the live state of {} entries is not the fold over the {} in the journal",
                live.size(),
                fold.size()
            )
        });
    held("invariant_state_is_the_fold", home, holds)
}

/// A state restored from a snapshot and the tail behind it is the one folded from the first entry on.
///
/// # Errors
/// The violation.
pub fn invariant_snapshot_is_the_fold(
    home: usize,
    restored: &Federation,
    fold: &Federation,
    from: u64,
) -> Result<(), Violation> {
    let holds = ensure(
        restored.size() == fold.size() && restored.snapshot().encode() == fold.snapshot().encode(),
        || {
            let (one, other) = (restored.size(), fold.size());
            format!(
                "restored from the snapshot at {from} the state has {one} entries and differs from the fold over {other}"
            )
        },
    );
    held("invariant_snapshot_is_the_fold", home, holds)
}

/// A published head is never smaller than one before it, nor does it tell of what is not synced.
///
/// # Errors
/// The violation.
pub fn invariant_heads_never_shrink(
    home: usize,
    witness: &Witness,
    book: &Book,
    size: u64,
) -> Result<(), Violation> {
    let last = witness.heads.last().map_or(0, |(size, _)| *size);
    let holds = ensure(size >= last && size <= book.size(), || {
        format!("a head of {size} entries after one of {last}, with {} synced", book.size())
    });
    held("invariant_heads_never_shrink", home, holds)
}

/// Every head that was ever published is a prefix of the journal as it is found: its root is the root there.
///
/// # Errors
/// The violation.
pub fn invariant_roots_are_consistent(home: usize, witness: &Witness, found: &Book) -> Result<(), Violation> {
    let mut tree = CompactRange::new();
    let mut leaves = found.leaves.iter();
    for (size, root) in &witness.heads {
        let holds = ensure(*size <= found.size(), || {
            format!("a head of {size} entries was published, {} are found", found.size())
        });
        held("invariant_roots_are_consistent", home, holds)?;
        while tree.size() < *size {
            tree.append(*leaves.next().expect("as many leaves as the size says"));
        }
        held("invariant_roots_are_consistent", home, same_root(tree.root(), *root, *size))?;
    }
    Ok(())
}

/// A head's root is the one over the entries that were read back.
///
/// # Errors
/// The violation.
pub fn invariant_roots_are_consistent_now(
    home: usize,
    book: &Book,
    size: u64,
    root: Hash,
) -> Result<(), Violation> {
    let holds = if size == book.size() { same_root(book.tree.root(), root, size) } else { Ok(()) };
    held("invariant_roots_are_consistent", home, holds)
}

/// The journal proves each head from the one before it, by a proof that a stranger's check accepts.
///
/// # Errors
/// The violation.
pub fn invariant_heads_are_proven(home: usize, holds: Held) -> Result<(), Violation> {
    held("invariant_heads_are_proven", home, holds)
}

fn same_root(found: Hash, published: Hash, size: u64) -> Held {
    ensure(found == published, || format!("the root over {size} entries is not the one that was published"))
}

/// A disk that lost only what was never synced opens, and none of its files is called damaged.
///
/// # Errors
/// The violation.
pub fn invariant_a_sound_disk_opens(home: usize, holds: Held) -> Result<(), Violation> {
    held("invariant_a_sound_disk_opens", home, holds)
}

/// In the end a home's directory verifies as it lies there: every entry, root and body.
///
/// # Errors
/// The violation.
pub fn invariant_the_log_verifies(home: usize, holds: Held) -> Result<(), Violation> {
    held("invariant_the_log_verifies", home, holds)
}
