//! One group commit: the frames of many inputs, and the effects that wait for them.
//!
//! This is the one place that holds the order rule "synced, then acted": effects go in, and come out only of a commit whose
//! frames are durable. Node and simulator share it.

use crate::error::Error;
use crate::frame::NewEntry;
use artel_protocol::log::Leaf;

/// The frames of some inputs and the effects that must not happen before they are durable.
#[derive(Debug)]
pub struct Commit<E> {
    pub(crate) frames: Vec<Vec<NewEntry>>,
    pub(crate) held: Vec<E>,
    pub(crate) bytes_max: usize,
}

impl<E> Default for Commit<E> {
    fn default() -> Self {
        Commit { frames: Vec::new(), held: Vec::new(), bytes_max: 0 }
    }
}

impl<E> Commit<E> {
    /// An empty commit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one input's entries as one frame, in order, and says which frame of the commit it is. An input without
    /// entries adds none.
    pub fn frame(&mut self, entries: Vec<NewEntry>) -> Option<usize> {
        if entries.is_empty() {
            return None;
        }
        self.bytes_max += frame_bytes_max(&entries);
        self.frames.push(entries);
        Some(self.frames.len() - 1)
    }

    /// Holds an effect back until all frames are durable. Effects come out in the order in which they were held.
    pub fn hold(&mut self, effect: E) {
        self.held.push(effect);
    }

    /// Whether there is nothing to write. Effects may be held all the same.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.frames.iter().map(|f| f.len() as u64).sum()
    }

    /// At most how many bytes the frames take up: a caller ends a group before [`crate::COMMIT_BYTES_MAX`].
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

/// At most how many bytes a frame of these entries takes up.
pub(crate) fn frame_bytes_max(entries: &[NewEntry]) -> usize {
    64 + entries.iter().map(NewEntry::bytes_max).sum::<usize>()
}

/// Where one frame stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The index of its first entry.
    pub first_index: u64,
    /// The leaves of its entries, in order.
    pub leaves: Vec<Leaf>,
}

/// What comes out of a commit whose frames are durable.
#[derive(Debug)]
#[must_use = "the effects were waited for"]
pub struct Released<E> {
    /// Where each frame stands, in order.
    pub appended: Vec<Appended>,
    /// The effects, in the order in which they were held.
    pub effects: Vec<E>,
}

/// What became of the frames of a commit that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They are not in the journal and never will be. The journal is what it was before.
    Gone,
    /// Nobody knows. The journal must be opened again, and shows then whether they are there, all or none of each frame.
    Unknown,
}

/// A commit that failed. What was held back must not happen.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed<E> {
    /// What became of the frames.
    pub fate: Fate,
    /// Why.
    pub error: Error,
    /// The effects, so that whoever waits for one can be told that it does not come.
    pub withheld: Vec<E>,
}
