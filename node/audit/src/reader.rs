//! Reading the journal, from any thread: entries, leaves, proofs, tiles. Only what is synced is seen.
//!
//! What derived files say is checked before it is handed out: a frame by its check sum, a proof by the root that it must lead
//! to, a tile by the hash above it. What is wrong is answered from the segments, written again, and said.

use crate::error::{Error, Notice};
use crate::files::{self, File};
use crate::frame::{Entry, FRAME_HEAD_BYTES, Frame, OpenError, Stored, payload_len};
use crate::keys::KeyRing;
use crate::open::write_derived;
use crate::scan::{Position, Step, Walk};
use crate::segment::{self, SEGMENT_HEAD_BYTES};
use crate::shared::{Head, Shared};
use artel_protocol::log::tile::{self, Content, TILE_HEIGHT};
use artel_protocol::log::tree::{self, root_of};
use artel_protocol::log::{
    CompactRange, Hash, Leaf, Proof, SignedCheckpoint, Subtree, Tile, consistency, inclusion, range,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// How much is read at once when one frame is looked for, in bytes: most frames are shorter.
const FRAME_READ_BYTES: usize = 2048;

/// How far apart two entries are read by going on from one to the other, rather than by looking the second one up.
const NEAR_ENTRIES: u64 = 64;

/// Reads what is synced. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Reader { shared }
    }

    /// How many entries are synced.
    pub fn size(&self) -> u64 {
        self.shared.size().0
    }

    /// How many of them are public.
    pub fn public_seq(&self) -> u64 {
        self.shared.size().1
    }

    /// The newest checkpoint that may be shown: a synced slot holds it.
    pub fn checkpoint(&self) -> SignedCheckpoint {
        self.shared.head().released
    }

    /// One entry, its body opened.
    ///
    /// # Errors
    /// [`Error::Beyond`], [`Error::NoKey`], [`Error::Damaged`], [`Error::Io`].
    pub fn entry(&self, index: u64) -> Result<Entry, Error> {
        let ring = self.shared.ring();
        self.with_frame(index, |segment, frame| {
            let stored = &frame.entries[(index - frame.first_index) as usize];
            self.open(stored, &ring, segment)
        })
    }

    /// One entry's leaf, which needs no key.
    ///
    /// # Errors
    /// As [`Reader::entry`], except for keys.
    pub fn leaf(&self, index: u64) -> Result<Leaf, Error> {
        self.with_frame(index, |_, frame| Ok(frame.entries[(index - frame.first_index) as usize].leaf()))
    }

    /// Hands every entry from `from` on to `visit`, frame by frame, in order, up to what is synced now. `from` must be where a
    /// frame begins, as a snapshot's size does.
    ///
    /// # Errors
    /// As [`Reader::entry`], and what `visit` returns.
    pub fn replay<E: From<Error>>(
        &self,
        from: u64,
        mut visit: impl FnMut(Vec<Entry>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (size, ring) = (self.size(), self.shared.ring());
        if from >= size {
            return Ok(());
        }
        let mut walk = self.shared.walk(self.position_of(from)?);
        while walk.position().index < size {
            let Step::Frame { at, frame } = walk.next()? else {
                let at = walk.position();
                let what = format!("damaged at byte {} (entry {})", at.offset, at.index);
                return Err(Error::damaged(segment::path(at.segment), what).into());
            };
            if frame.next_index() <= from {
                continue;
            }
            let entries = frame.entries.iter().map(|stored| self.open(stored, &ring, at.segment));
            visit(entries.collect::<Result<_, _>>()?)?;
        }
        Ok(())
    }

    /// Reads some entries, by ascending index, each frame once. It stops behind the frame with which it has read `bytes_max`
    /// bytes; `None` beside the entries says that all were read, otherwise the first index that was not. An entry whose
    /// data key was erased is left out.
    ///
    /// # Errors
    /// [`Error`], as for [`Reader::entry`].
    pub fn some(&self, indices: &[u64], bytes_max: usize) -> Result<(Vec<Entry>, Option<u64>), Error> {
        let (ring, mut bytes, mut found) = (self.shared.ring(), 0, Vec::new());
        let mut walk: Option<Walk> = None;
        let mut rest = indices;
        while let Some(wanted) = rest.first().copied() {
            if bytes >= bytes_max {
                return Ok((found, Some(wanted)));
            }
            if wanted >= self.size() {
                return Err(Error::Beyond { wanted, size: self.size() });
            }
            let near =
                |walk: &Walk| (walk.position().index..walk.position().index + NEAR_ENTRIES).contains(&wanted);
            let mut here = match walk.take().filter(near) {
                Some(here) => here,
                None => self.shared.walk(self.frame_of(wanted)?),
            };
            let Step::Frame { at, frame } = here.next()? else {
                let at = here.position();
                let what = format!("damaged at byte {} (entry {})", at.offset, at.index);
                return Err(Error::damaged(segment::path(at.segment), what));
            };
            if wanted < frame.next_index() {
                bytes += frame.entries.iter().map(|stored| stored.bytes.len()).sum::<usize>();
            }
            for stored in &frame.entries {
                if rest.first() == Some(&stored.index) {
                    rest = &rest[1..];
                    match self.open(stored, &ring, at.segment) {
                        Ok(entry) => found.push(entry),
                        Err(Error::NoKey { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            walk = Some(here);
        }
        Ok((found, None))
    }

    /// Where the frame that holds an entry begins, or a place before it.
    fn frame_of(&self, index: u64) -> Result<Position, Error> {
        let (segment, file) = self.shared.segment_of(index)?;
        let offset = self.shared.derived.offset(index)?.map_or(SEGMENT_HEAD_BYTES, u64::from);
        let holds = |frame: &Frame<'_>| (frame.first_index..frame.next_index()).contains(&index);
        let first = read_frame(file.as_ref(), offset, |frame| holds(frame).then_some(frame.first_index));
        match first.map_err(Error::io(segment::path(segment), "read"))?.flatten() {
            Some(index) => Ok(Position { segment, offset, index, public_seq: None }),
            None => Ok(Position::start_of(segment)),
        }
    }

    /// Where the frame that begins with an entry begins, or a place before it.
    fn position_of(&self, index: u64) -> Result<Position, Error> {
        let (segment, file) = self.shared.segment_of(index)?;
        let offset = self.shared.derived.offset(index)?.map_or(SEGMENT_HEAD_BYTES, u64::from);
        let found = read_frame(file.as_ref(), offset, |frame| frame.first_index == index);
        match found.map_err(Error::io(segment::path(segment), "read"))? {
            Some(true) => Ok(Position { segment, offset, index, public_seq: None }),
            _ => Ok(Position::start_of(segment)),
        }
    }

    fn open(&self, stored: &Stored<'_>, ring: &KeyRing, segment: u64) -> Result<Entry, Error> {
        stored.open(&self.shared.context, ring).map_err(|e| match e {
            OpenError::NoKey(key) => Error::NoKey { index: stored.index, key_id: key.0 },
            OpenError::Damaged => {
                let what = format!("the body of entry {} does not open under its data key", stored.index);
                Error::damaged(segment::path(segment), what)
            }
        })
    }

    /// Finds the frame that holds an entry: by the offsets file, or else by reading its segment.
    fn with_frame<T>(
        &self,
        index: u64,
        mut take: impl FnMut(u64, &Frame<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let size = self.size();
        if index >= size {
            return Err(Error::Beyond { wanted: index, size });
        }
        let (segment, file) = self.shared.segment_of(index)?;
        if let Some(offset) = self.shared.derived.offset(index)? {
            let found = read_frame(file.as_ref(), offset.into(), |frame| {
                let holds = (frame.first_index..frame.next_index()).contains(&index);
                holds.then(|| take(segment, frame))
            });
            if let Some(Some(taken)) = found.map_err(Error::io(segment::path(segment), "read"))? {
                return taken;
            }
        }
        let mut walk = self.shared.walk(Position::start_of(segment));
        loop {
            let Step::Frame { at, frame } = walk.next()? else {
                let at = walk.position();
                let what = format!("damaged at byte {} (entry {})", at.offset, at.index);
                return Err(Error::damaged(segment::path(at.segment), what));
            };
            if index < frame.next_index() {
                let taken = take(at.segment, &frame);
                self.repair("offsets")?;
                return taken;
            }
        }
    }

    /// The proof that an entry stands in the journal of `size` entries, the leaf's sibling first.
    ///
    /// # Errors
    /// [`Error::Beyond`], [`Error::Tree`], [`Error::Damaged`], [`Error::Io`].
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        let leaf = self.leaf(index)?.hash();
        self.inclusion_of(&leaf, index, size)
    }

    /// The same for a leaf whose hash the caller has, as it does right after a commit.
    ///
    /// # Errors
    /// As [`Reader::inclusion`]; a hash that does not stand there is [`Error::Damaged`].
    pub fn inclusion_of(&self, leaf: &Hash, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        self.checked(size, |root, read| {
            let proof = inclusion::prove(index, size, read)?;
            let holds = inclusion::verify(leaf, index, size, &proof, &root).is_ok();
            Ok(holds.then_some(proof))
        })
    }

    /// The proof that the entries from `start` up to `end` stand side by side in the journal of `size` entries.
    ///
    /// # Errors
    /// As [`Reader::inclusion`].
    pub fn range(&self, start: u64, end: u64, size: u64) -> Result<Vec<Hash>, Error> {
        let leaves: Vec<Hash> =
            (start..end).map(|i| Ok(self.leaf(i)?.hash())).collect::<Result<_, Error>>()?;
        self.checked(size, |root, read| {
            let proof = range::prove(start, end, size, read)?;
            let holds = range::verify(start, &leaves, size, &proof, &root).is_ok();
            Ok(holds.then_some(proof))
        })
    }

    /// The proof that the journal of `new` entries continues the one of `old` entries.
    ///
    /// # Errors
    /// As [`Reader::inclusion`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        self.checked(new, |root, mut read| {
            let proof = consistency::prove(old, new, &mut read)?;
            let old_root = tree::root(old, read)?;
            let holds = consistency::verify(old, &old_root, new, &root, &proof).is_ok();
            Ok(holds.then_some(proof))
        })
    }

    /// The root of the journal's first `size` entries.
    ///
    /// # Errors
    /// As [`Reader::inclusion`].
    pub fn root(&self, size: u64) -> Result<Hash, Error> {
        let head = self.head_for(size)?;
        self.root_of(size, &head, &mut |at| self.shared.derived.hash(at))?.map_or_else(
            || {
                let hashes = self.gathered(size, &wanted(|read| tree::root(size, read)))?;
                tree::root(size, hashes)
            },
            Ok,
        )
    }

    /// A `.tlog-proof` of an entry under the newest released checkpoint.
    ///
    /// # Errors
    /// [`Error::Beyond`] while no checkpoint that covers the entry was released, else as [`Reader::inclusion`].
    pub fn tlog_proof(&self, index: u64) -> Result<Proof, Error> {
        let checkpoint = self.checkpoint();
        if index >= checkpoint.size() {
            return Err(Error::Beyond { wanted: index, size: checkpoint.size() });
        }
        let hashes = self.inclusion(index, checkpoint.size())?;
        Ok(Proof::new(index, Vec::new(), hashes, checkpoint)
            .expect("a tree of at most 2^62 leaves has short proofs"))
    }

    /// The bytes of a tile or entry bundle, as wide as it was asked for.
    ///
    /// # Errors
    /// [`Error::Beyond`] when the released checkpoint does not cover it, [`Error::Damaged`], [`Error::Io`].
    pub fn tile(&self, tile: &Tile) -> Result<Vec<u8>, Error> {
        let size = self.checkpoint().size();
        if !tile.is_in(size) {
            let wanted = tile.start().saturating_add(u64::from(tile.width()));
            return Err(Error::Beyond { wanted, size });
        }
        let level = match tile.content() {
            Content::Entries => return self.bundle(tile),
            Content::Hashes { level } => level * TILE_HEIGHT,
        };
        let mut hashes = vec![Hash([0; 32]); tile.width().into()];
        self.shared.derived.hashes(level, tile.start(), &mut hashes)?;
        if !self.tile_holds(tile, level, &hashes)? {
            let places = (tile.start()..).take(hashes.len()).map(|index| Subtree { level, index });
            let found = self.gathered(size, &places.clone().collect())?;
            for (at, hash) in places.zip(&mut hashes) {
                *hash = found(at)?;
            }
        }
        Ok(hashes.iter().flat_map(|hash| hash.0).collect())
    }

    fn bundle(&self, tile: &Tile) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let (mut index, end) = (tile.start(), tile.start() + u64::from(tile.width()));
        while index < end {
            index = self.with_frame(index, |_, frame| {
                for entry in frame.entries.iter().filter(|e| (index..end).contains(&e.index)) {
                    tile::append_entry(&entry.leaf().to_bytes(), &mut bytes).expect("a leaf has 42 bytes");
                }
                Ok(frame.next_index())
            })?;
        }
        Ok(bytes)
    }

    /// Whether a tile's hashes lead to the hash above them, or for the last tile of a level to the journal's root.
    fn tile_holds(&self, tile: &Tile, level: u8, hashes: &[Hash]) -> Result<bool, Error> {
        let full = u64::from(tile.width()) == u64::from(tile::TILE_WIDTH);
        let head = self.shared.head();
        if full && head.range.size() >> (level + TILE_HEIGHT) > tile.index() {
            let above = Subtree { level: level + TILE_HEIGHT, index: tile.index() };
            return Ok(self.shared.derived.hash(above)? == root_of(hashes));
        }
        // The tree that ends with this tile is a prefix of the journal: its root must be the right one.
        let size = (tile.start() + u64::from(tile.width())) << level;
        let within = |at: Subtree| {
            let first = at.index << at.level;
            let below = at.level.checked_sub(level)?;
            let start = (first >> level).checked_sub(tile.start())? as usize;
            hashes.get(start..start + (1 << below)).map(root_of)
        };
        let mut read = |at| match within(at) {
            Some(hash) => Ok(hash),
            None => self.shared.derived.hash(at),
        };
        Ok(self.root_of(size, &head, &mut read)?.is_some())
    }

    fn head_for(&self, size: u64) -> Result<Head, Error> {
        let head = self.shared.head();
        if size > head.range.size() {
            return Err(Error::Beyond { wanted: size, size: head.range.size() });
        }
        Ok(head)
    }

    /// The root of the first `size` entries by `read`, if the journal's own root continues it.
    fn root_of(
        &self,
        size: u64,
        head: &Head,
        read: &mut dyn FnMut(Subtree) -> Result<Hash, Error>,
    ) -> Result<Option<Hash>, Error> {
        let (now, root_now) = (head.range.size(), head.range.root());
        let root = tree::root::<Error>(size, &mut *read)?;
        if size == now {
            return Ok((root == root_now).then_some(root));
        }
        if size == head.released.size() && root == head.released.root() {
            return Ok(Some(root));
        }
        let proof = consistency::prove::<Error>(size, now, read)?;
        Ok(consistency::verify(size, &root, now, &root_now, &proof).is_ok().then_some(root))
    }

    /// Makes an answer from derived hashes, and if it does not hold, once more from the segments.
    pub(crate) fn checked<T>(
        &self,
        size: u64,
        make: impl Fn(Hash, &mut dyn FnMut(Subtree) -> Result<Hash, Error>) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let head = self.head_for(size)?;
        let known = if size == head.range.size() {
            Some(head.range.root())
        } else if size == head.released.size() {
            Some(head.released.root())
        } else {
            self.root_of(size, &head, &mut |at| self.shared.derived.hash(at))?
        };
        if let Some(root) = known
            && let Some(made) = make(root, &mut |at| self.shared.derived.hash(at))?
        {
            return Ok(made);
        }
        let places = wanted(|read| {
            tree::root::<Error>(size, &mut *read)?;
            make(Hash([0; 32]), read)
        });
        let hashes = self.gathered(size, &places)?;
        let root = tree::root::<Error>(size, &hashes)?;
        make(root, &mut |at| hashes(at))?.ok_or_else(|| {
            let what = "its entries do not lead to the journal's root";
            Error::damaged(segment::path(0), what)
        })
    }

    /// The hashes of some complete subtrees of the first `size` entries, from the segments themselves. Derived files are
    /// written again on the way, if they may be.
    fn gathered(
        &self,
        size: u64,
        wanted: &BTreeSet<Subtree>,
    ) -> Result<impl Fn(Subtree) -> Result<Hash, Error> + use<>, Error> {
        self.repair("tiles")?;
        let (mut found, mut range) = (BTreeMap::new(), CompactRange::new());
        let mut walk = self.shared.walk(Position::start());
        while range.size() < size {
            let Step::Frame { frame, .. } = walk.next()? else {
                let at = walk.position();
                let what = format!("damaged at byte {} (entry {})", at.offset, at.index);
                return Err(Error::damaged(segment::path(at.segment), what));
            };
            for entry in &frame.entries {
                range.append_with(entry.leaf().hash(), |at, hash| {
                    if wanted.contains(&at) {
                        found.insert(at, *hash);
                    }
                });
            }
        }
        Ok(move |at| Ok(found.get(&at).copied().unwrap_or(Hash([0; 32]))))
    }

    /// Writes derived files again from the segments, from the first entry on, and says so.
    fn repair(&self, file: &str) -> Result<(), Error> {
        if !self.shared.derived.is_writable() {
            return Ok(());
        }
        let _one_at_a_time = self.shared.repair.lock().unwrap_or_else(PoisonError::into_inner);
        let size = self.size();
        let mut walk = self.shared.walk(Position::start());
        write_derived(&mut walk, &mut CompactRange::new(), &self.shared.derived, size)?;
        self.shared.notice(Notice::DerivedRebuilt { file: file.to_owned(), index: 0 });
        Ok(())
    }
}

/// The subtrees that an answer is made from.
fn wanted<T>(
    make: impl FnOnce(&mut dyn FnMut(Subtree) -> Result<Hash, Error>) -> Result<T, Error>,
) -> BTreeSet<Subtree> {
    let mut places = BTreeSet::new();
    // What is made from these hashes is no answer; only what was asked for counts.
    let _ = make(&mut |at| {
        places.insert(at);
        Ok(Hash([0; 32]))
    });
    places
}

/// Reads the frame at `offset` and hands it to `take`; `None` when no whole frame stands there.
fn read_frame<T>(
    file: &dyn File,
    offset: u64,
    take: impl FnOnce(&Frame<'_>) -> T,
) -> std::io::Result<Option<T>> {
    let mut bytes = vec![0; FRAME_READ_BYTES];
    let read = files::read_up_to(file, &mut bytes, offset)?;
    bytes.truncate(read);
    if let Some(len) = payload_len(&bytes)
        && FRAME_HEAD_BYTES + len > bytes.len()
    {
        let have = bytes.len();
        bytes.resize(FRAME_HEAD_BYTES + len, 0);
        let more = files::read_up_to(file, &mut bytes[have..], offset + have as u64)?;
        bytes.truncate(have + more);
    }
    Ok(Frame::parse(&bytes).ok().map(|(frame, _)| take(&frame)))
}
