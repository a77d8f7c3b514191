//! Where the driver's state comes from: the journal on disk, folded by the rules, from the newest snapshot on. Used at
//! the start and after every failure of the disk.

use crate::news::News;
use anyhow::Context as _;
use artel_audit::files::Files;
use artel_audit::{
    FRAME_BYTES_MAX, Journal, KeyRing, Options as JournalOptions, Reader, STATE_BYTES_MAX, SavedState,
};
use artel_federation::options::{REFUTATION_BYTES_MAX, SNAPSHOT_BYTES_MAX};
use artel_federation::{Entry, Federation, Identity, Options};
use artel_protocol::key::SecretKey;
use artel_protocol::log::Origin;
use rand::SeedableRng as _;
use std::sync::{Arc, PoisonError, RwLock};

// The fullest book fits into a snapshot: open runs with their results 640 MiB and one submission, agents 256 MiB, recent
// runs 64 MiB, post keys 31 MiB, head 1 MiB and more; together 1,012 of 1024 MiB. Were it not so, a full book would have none, and each
// start would fold the journal from its beginning.
const _: () = assert!(SNAPSHOT_BYTES_MAX <= STATE_BYTES_MAX);

// All that one refutation writes is one frame of the journal.
const _: () = assert!(REFUTATION_BYTES_MAX <= FRAME_BYTES_MAX);

/// What it takes to open the journal.
#[derive(Clone)]
pub struct Source {
    /// The data directory.
    pub files: Arc<dyn Files>,
    /// Whose journal it is.
    pub origin: Origin,
    /// The node's key, which signs checkpoints.
    pub signer: Arc<SecretKey>,
    /// The data keys.
    pub ring: Arc<KeyRing>,
    /// The node in its federation.
    pub identity: Identity,
    /// The operator's numbers.
    pub options: Options,
}

/// The journal's reader of now. A journal that was opened again has another one.
#[derive(Clone)]
pub struct SharedReader(Arc<RwLock<Reader>>);

impl SharedReader {
    /// Shares a reader.
    pub fn new(reader: Reader) -> Self {
        SharedReader(Arc::new(RwLock::new(reader)))
    }

    /// The reader of now.
    pub fn get(&self) -> Reader {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces it: the journal was opened again.
    pub fn set(&self, reader: Reader) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = reader;
    }
}

/// The rules' state and the writer, at the same position.
pub struct State {
    /// The rules.
    pub federation: Federation,
    /// The journal's writer.
    pub journal: Journal,
    /// The size of the snapshot that it began from.
    pub snapshot_size: u64,
}

impl State {
    /// Folds what the journal holds behind the snapshot; each frame goes to `visit`.
    ///
    /// # Errors
    /// What cannot be read, decoded or folded, by entry.
    pub fn fold_the_rest(&mut self, visit: impl FnMut(News)) -> anyhow::Result<()> {
        fold(&self.journal.reader(), &mut self.federation, visit)
    }
}

impl Source {
    /// Opens the journal and folds what follows the newest snapshot.
    ///
    /// # Errors
    /// What the disk says, what is damaged (by file name), and what does not fold.
    pub fn open(&self) -> anyhow::Result<State> {
        let mut state = self.open_at_snapshot()?;
        state.fold_the_rest(|_| {})?;
        Ok(state)
    }

    /// Opens the journal; the rules are where the newest snapshot has them, and [`State::fold_the_rest`] is still to come.
    ///
    /// # Errors
    /// What the disk says, and what is damaged (by file name).
    pub fn open_at_snapshot(&self) -> anyhow::Result<State> {
        let entropy = Box::new(rand::rngs::StdRng::from_rng(&mut rand::rng()));
        let options = JournalOptions::new(self.origin);
        let signer = self.signer.clone();
        let opened = Journal::open(self.files.clone(), options, signer, self.ring.clone(), entropy)?;
        for notice in &opened.notices {
            tracing::warn!(%notice, "found at opening");
        }
        let federation = self.restore(opened.state);
        let snapshot_size = federation.size();
        Ok(State { federation, journal: opened.journal, snapshot_size })
    }

    /// The rules' state from a snapshot; an empty one where there is none, or one of another form.
    fn restore(&self, saved: Option<SavedState>) -> Federation {
        let restored =
            saved.map(|s| Federation::from_snapshot(self.identity, self.options.clone(), &s.bytes));
        match restored {
            Some(Ok(federation)) => return federation,
            Some(Err(error)) => {
                tracing::warn!(%error, "the snapshot is of another form; the journal is folded from its start");
            }
            None => {}
        }
        Federation::new(self.identity, self.options.clone())
    }

    /// The newest state at or before a position that a snapshot holds, from which others can fold on.
    pub fn state_before(&self, position: u64) -> Federation {
        self.restore(artel_audit::saved_state(self.files.as_ref(), &self.origin, &self.ring, position))
    }
}

/// Folds what the journal holds beyond a state; each frame goes to `visit`.
///
/// # Errors
/// What cannot be read, decoded or folded, by entry.
pub fn fold(reader: &Reader, federation: &mut Federation, mut visit: impl FnMut(News)) -> anyhow::Result<()> {
    reader.replay(federation.size(), |frame| -> Result<(), anyhow::Error> {
        let first_index = frame.first().map_or(0, |entry| entry.index);
        let decode = |stored: &artel_audit::Entry| {
            Entry::decode(&stored.body).with_context(|| format!("journal entry {}", stored.index))
        };
        let entries = frame.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let mut closed = Vec::new();
        federation.fold(&entries, &mut closed)?;
        let bytes = frame.iter().map(|entry| entry.body.len()).sum();
        visit(News { first_index, entries: Arc::new(entries), bytes, closed });
        Ok(())
    })
}
