//! The journal: one writer, one write and one sync for all who wait, and the checkpoint that follows.
//!
//! Nothing of a commit is shown before it is synced. What the disk refuses is a value; after a failing sync the journal only
//! says that it must be opened again. It has no clock: whoever owns it calls [`Journal::tick`].

use crate::commit::{Appended, Commit, Failed, Fate, Released, frame_bytes_max};
use crate::derived::Run;
use crate::error::{Error, Notice};
use crate::files::{self, File};
use crate::frame::{self, FRAME_BYTES_MAX, NewEntry, Place};
use crate::keys::KeyRing;
use crate::reader::Reader;
use crate::scan::COMMIT_BYTES_MAX;
use crate::segment::{self, SEGMENT_HEAD_BYTES};
use crate::shared::{Segment, Shared};
use crate::slot::Slots;
use crate::snapshot::{self, SnapshotJob};
use crate::spare::{Spare, SpareJob};
use artel_protocol::key::SecretKey;
use artel_protocol::log::{Checkpoint, CompactRange, Hash, Leaf, Origin, SignedCheckpoint, checkpoint};
use artel_protocol::time::Mono;
use rand::Rng;
use std::sync::Arc;

/// How far a slot may lag behind the segments, in milliseconds, as long as [`Journal::tick`] is called when it asks for it.
/// Half of the promised second; smaller, and an idle disk syncs more often than it needs to.
pub const SLOT_INTERVAL_MS: u64 = 500;

/// Whoever holds the node's key.
pub trait Signer: Send + Sync {
    /// Signs a checkpoint of the node's own journal.
    ///
    /// # Errors
    /// When the checkpoint's origin names another key.
    fn sign(&self, checkpoint: Checkpoint) -> Result<SignedCheckpoint, checkpoint::Error>;
}

impl Signer for SecretKey {
    fn sign(&self, checkpoint: Checkpoint) -> Result<SignedCheckpoint, checkpoint::Error> {
        SignedCheckpoint::sign(checkpoint, self)
    }
}

/// What a journal is opened with.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whose journal it is; the signer's key must be the node's.
    pub origin: Origin,
    /// How large segments are made.
    pub sizes: SegmentSizes,
}

/// The bytes of new segments. A commit that is larger gets a segment of its own size.
#[derive(Debug, Clone, Copy)]
pub struct SegmentSizes {
    /// Of one that is made ahead (64 MiB). Larger ones take longer to fill with zeros; smaller ones end sooner.
    pub usual: u64,
    /// Of one that is made while somebody waits (4 MiB): the first one, and any for which none was made ahead.
    pub hasty: u64,
}

impl Options {
    /// The usual sizes.
    pub fn new(origin: Origin) -> Self {
        Options { origin, sizes: SegmentSizes { usual: 64 << 20, hasty: 4 << 20 } }
    }
}

/// The segment that is written.
pub(crate) struct Active {
    pub first_index: u64,
    pub file: Arc<dyn File>,
    /// Where the next frame goes.
    pub offset: u64,
    /// The file's length.
    pub len: u64,
}

/// The journal's writer. There is one; readers are cloned from it.
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    pub(crate) options: Options,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) entropy: Box<dyn Rng + Send>,
    pub(crate) slots: Slots,
    pub(crate) active: Active,
    pub(crate) range: CompactRange,
    pub(crate) public_seq: u64,
    pub(crate) slot_at: Option<Mono>,
    pub(crate) spare: Spare,
    pub(crate) poisoned: Option<String>,
    pub(crate) buffer: Vec<u8>,
}

impl Journal {
    /// How many entries are synced.
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// How many of them are public.
    pub fn public_seq(&self) -> u64 {
        self.public_seq
    }

    /// The root over them. It is not signed yet.
    pub fn root(&self) -> Hash {
        self.range.root()
    }

    /// A reader for other threads.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// What was found and repaired since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.shared.take_notices()
    }

    /// Seals new entries and snapshots under this ring's active key from now on.
    pub fn set_keys(&mut self, ring: Arc<KeyRing>) {
        self.shared.set_ring(ring);
    }

    /// Writes all frames in one write, syncs once, and only then lets the effects out. A commit without frames releases its
    /// effects at once: everything that they can rest on is already synced.
    ///
    /// # Errors
    /// [`Failed`], with what became of the frames and the effects that must not happen. After [`Fate::Unknown`] the
    /// journal does nothing more and must be opened again; a full disk heals by itself.
    pub fn commit<E>(&mut self, commit: Commit<E>) -> Result<Released<E>, Failed<E>> {
        let Commit { frames, held, bytes_max } = commit;
        if frames.is_empty() {
            return Ok(Released { appended: Vec::new(), effects: held });
        }
        match self.append(&frames, bytes_max) {
            Ok(appended) => Ok(Released { appended, effects: held }),
            Err((fate, error)) => Err(Failed { fate, error, withheld: held }),
        }
    }

    fn append(&mut self, frames: &[Vec<NewEntry>], bytes_max: usize) -> Result<Vec<Appended>, (Fate, Error)> {
        let gone = |error| (Fate::Gone, error);
        self.usable().map_err(gone)?;
        check_limits(frames, bytes_max).map_err(gone)?;
        let (appended, starts) = self.encode(frames);
        let len = self.buffer.len() as u64;
        if self.active.offset + len > self.active.len {
            self.roll(len).map_err(gone)?;
        }
        let mut range = self.range.clone();
        let mut run = Run::default();
        for (frame, start) in appended.iter().zip(starts) {
            let offset = (self.active.offset + start as u64) as u32;
            frame.leaves.iter().for_each(|leaf| run.push(&mut range, leaf.hash(), offset));
        }
        // Derived first: what stands there beyond the journal's size means nothing, so a full disk is met before the truth
        // is touched.
        if let Err(error) = self.shared.derived.write(&run) {
            self.poison_unless_full(&error);
            return Err((Fate::Gone, error));
        }
        self.write_and_sync()?;
        self.active.offset += len;
        let public_seq =
            appended.last().and_then(|f| f.leaves.last()).map_or(self.public_seq, Leaf::next_public_seq);
        self.public_seq = public_seq;
        self.range = range.clone();
        self.shared.change_head(|head| {
            head.range = range;
            head.public_seq = public_seq;
        });
        Ok(appended)
    }

    /// Puts the frames into the buffer; answers where each begins there.
    fn encode(&mut self, frames: &[Vec<NewEntry>]) -> (Vec<Appended>, Vec<usize>) {
        let ring = self.shared.ring();
        let mut place =
            Place { index: self.range.size(), public_seq: self.public_seq, commit_start: self.range.size() };
        self.buffer.clear();
        let (mut appended, mut starts) = (Vec::with_capacity(frames.len()), Vec::with_capacity(frames.len()));
        for entries in frames {
            starts.push(self.buffer.len());
            let mut leaves = Vec::with_capacity(entries.len());
            let (context, entropy) = (&self.shared.context, self.entropy.as_mut());
            frame::write(place, entries, context, &ring, entropy, &mut self.buffer, &mut leaves);
            let first_index = place.index;
            place.index += leaves.len() as u64;
            place.public_seq = leaves.last().map_or(place.public_seq, Leaf::next_public_seq);
            appended.push(Appended { first_index, leaves });
        }
        (appended, starts)
    }

    fn write_and_sync(&mut self) -> Result<(), (Fate, Error)> {
        let path = segment::path(self.active.first_index);
        let (file, at) = (&self.active.file, self.active.offset);
        if let Err(cause) = file.write_at(&self.buffer, at) {
            // Nothing of it may be there when the next commit is, not even whole frames behind it. So the segment ends
            // here, and the next commit goes into a new one once there is room.
            let cut = files::is_full(&cause) && file.set_len(at).and_then(|()| file.sync_data()).is_ok();
            let error = Error::io(path, "write")(cause);
            if cut {
                self.active.len = at;
                return Err((Fate::Gone, error));
            }
            self.poisoned = Some(error.to_string());
            return Err((Fate::Unknown, error));
        }
        if let Err(cause) = file.sync_data() {
            let error = Error::io(path, "sync")(cause);
            self.poisoned = Some(error.to_string());
            return Err((Fate::Unknown, error));
        }
        Ok(())
    }

    /// Goes on in a new segment that has room for `len` bytes.
    fn roll(&mut self, len: u64) -> Result<(), Error> {
        let head = segment::Head { origin: self.options.origin, first_index: self.range.size() };
        let spare = self.spare.take(SEGMENT_HEAD_BYTES + len);
        let bytes = self.options.sizes.hasty.max(SEGMENT_HEAD_BYTES + len);
        let made = segment::create(self.shared.files.as_ref(), head, bytes, &[], spare);
        let file = match made {
            Ok(file) => file,
            Err(failed) => {
                if failed.named {
                    self.poisoned = Some(failed.error.to_string());
                }
                self.poison_unless_full(&failed.error);
                return Err(failed.error);
            }
        };
        let len = file.len().map_err(Error::io(segment::path(head.first_index), "look at"))?;
        let (old, used) = (self.active.file.clone(), self.active.offset);
        self.active =
            Active { first_index: head.first_index, file: file.clone(), offset: SEGMENT_HEAD_BYTES, len };
        self.shared.change_segments(|segments| {
            if let Some(last) = segments.last_mut() {
                last.used = used;
            }
            // A segment without entries makes way for one with more room and the same name.
            segments.retain(|s| s.first_index != head.first_index);
            segments.push(Segment {
                first_index: head.first_index,
                used: SEGMENT_HEAD_BYTES,
                file: Some(file),
            });
        });
        // The zeros behind the last frame are only given back; that they stay would do no harm.
        let _ = old.set_len(used);
        Ok(())
    }

    /// When the slot must be synced at the latest, by the clock of the last [`Journal::tick`]; `None` while it is not behind.
    pub fn next_tick(&self) -> Option<Mono> {
        let behind = self.slots.checkpoint().size() < self.range.size();
        behind.then(|| self.slot_at.map_or(Mono(0), |at| at.plus_ms(SLOT_INTERVAL_MS)))
    }

    /// Syncs a slot when it is due, and answers the new checkpoint.
    ///
    /// # Errors
    /// [`Error`]; the journal itself is unharmed, and the next call tries again with a new file.
    pub fn tick(&mut self, now: Mono) -> Result<Option<SignedCheckpoint>, Error> {
        if self.next_tick().is_none_or(|due| now < due) {
            return Ok(None);
        }
        self.slot_at = Some(now);
        self.checkpoint().map(Some)
    }

    /// The checkpoint over everything that is synced. A slot that holds it is synced before it is answered.
    ///
    /// # Errors
    /// [`Error`], as for [`Journal::tick`].
    pub fn checkpoint(&mut self) -> Result<SignedCheckpoint, Error> {
        self.usable()?;
        if self.slots.checkpoint().size() < self.range.size() {
            let checkpoint = Checkpoint::new(self.options.origin, self.range.size(), self.range.root())?;
            self.slots.write(self.signer.sign(checkpoint)?, self.public_seq)?;
            let released = self.slots.checkpoint().clone();
            self.shared.change_head(|head| head.released = released);
        }
        Ok(self.slots.checkpoint().clone())
    }

    /// Prepares a snapshot of the state at this moment's size, after a slot that holds it was synced. The job is run elsewhere
    /// with the state, which must be the fold over exactly the entries before [`SnapshotJob::size`].
    ///
    /// # Errors
    /// [`Error`], as for [`Journal::tick`].
    pub fn snapshot(&mut self) -> Result<SnapshotJob, Error> {
        self.checkpoint()?;
        let active = (self.active.first_index, self.active.offset);
        let mut segments: Vec<_> = self.shared.segments().iter().map(|s| (s.first_index, s.used)).collect();
        if let Some(last) = segments.last_mut() {
            *last = active;
        }
        let mut nonce = [0; crate::keys::NONCE_BYTES];
        self.entropy.fill_bytes(&mut nonce);
        Ok(SnapshotJob {
            files: self.shared.files.clone(),
            derived: self.shared.derived.clone(),
            ring: self.shared.ring(),
            head: snapshot::Head {
                origin: self.options.origin,
                range: self.range.clone(),
                public_seq: self.public_seq,
                segment: active.0,
                offset: active.1,
                segments,
            },
            nonce,
        })
    }

    /// Work that makes the next segment ahead of time, for a helper thread; `None` while one is ready or being made. Without it
    /// the commit that needs a new segment makes it itself.
    pub fn spare_job(&self) -> Option<SpareJob> {
        self.spare.job(self.shared.files.clone(), self.options.sizes.usual)
    }

    /// Closes the journal: everything is in a slot and derived files are durable, so the next start has nothing to repair.
    ///
    /// # Errors
    /// [`Error`]; nothing acknowledged is lost by it.
    pub fn close(mut self) -> Result<SignedCheckpoint, Error> {
        let checkpoint = self.checkpoint()?;
        self.shared.derived.sync()?;
        Ok(checkpoint)
    }

    fn usable(&self) -> Result<(), Error> {
        match &self.poisoned {
            Some(why) => Err(Error::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    fn poison_unless_full(&mut self, error: &Error) {
        if !error.is_full() {
            self.poisoned = Some(error.to_string());
        }
    }
}

fn check_limits(frames: &[Vec<NewEntry>], bytes_max: usize) -> Result<(), Error> {
    let too_large = |what, bytes: usize, bytes_max: usize| Error::TooLarge {
        what,
        bytes: bytes as u64,
        bytes_max: bytes_max as u64,
    };
    if bytes_max > COMMIT_BYTES_MAX {
        return Err(too_large("a commit", bytes_max, COMMIT_BYTES_MAX));
    }
    match frames.iter().map(|f| frame_bytes_max(f)).find(|bytes| *bytes > FRAME_BYTES_MAX) {
        Some(bytes) => Err(too_large("a frame", bytes, FRAME_BYTES_MAX)),
        None => Ok(()),
    }
}
