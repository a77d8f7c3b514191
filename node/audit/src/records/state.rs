//! What the store knows in memory: authors, segments, and the records that the index has not been fed yet. No author's
//! records are in it but those.

use super::author::Author;
use super::place::{
    AUTHORS, INDEX_FORMAT, META, PLACES, Place, Position, RUNS, SEGMENTS, Stretch, author_key, numbered_key,
    stretches,
};
use crate::index::{Batch, IndexError};
use artel_protocol::id::FederationId;
use artel_protocol::log::Origin;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A length that is not known: the file may have bytes behind its end.
pub(crate) const LEN_UNKNOWN: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where its last frame ends.
    pub end: u32,
    /// How long the file is.
    pub len: u32,
    /// The bytes of its frames from which some record is read.
    pub live: u64,
}

#[derive(Default)]
pub(crate) struct State {
    pub authors: BTreeMap<Origin, Author>,
    pub segments: BTreeMap<u32, Segment>,
    /// The bytes of all live frames.
    pub live: u64,
    /// The holes of all authors.
    pub holes: usize,
    /// By author and start.
    tail: BTreeMap<(Origin, u64), Stretch>,
    tail_items: usize,
    /// Up to where the segments are in all this.
    pub position: Position,
    /// Up to where they are in the index.
    indexed: Position,
    changed_authors: BTreeSet<Origin>,
    changed_segments: BTreeSet<u32>,
}

impl Default for Position {
    fn default() -> Self {
        Position::unpack(0)
    }
}

impl State {
    /// What the index held when it had come to `position`.
    pub fn restore(
        &mut self,
        authors: BTreeMap<Origin, Author>,
        live: &BTreeMap<u32, u64>,
        position: Position,
    ) {
        self.holes = authors.values().map(Author::holes).sum();
        self.authors = authors;
        for (number, segment) in &mut self.segments {
            segment.live = live.get(number).copied().unwrap_or(0);
        }
        self.live = live.values().sum();
        (self.position, self.indexed) = (position, position);
    }

    /// The journals of an origin's node of which something is or was held, the oldest first.
    pub fn journals_of(&self, origin: &Origin) -> impl DoubleEndedIterator<Item = (&Origin, &Author)> {
        let of = |incarnation| Origin::new(origin.federation(), origin.node(), incarnation);
        self.authors.range(of(0)..=of(u32::MAX))
    }

    /// The bytes of the frames of all these journals together.
    pub fn bytes_of(&self, origin: &Origin) -> u64 {
        self.journals_of(origin).map(|(_, author)| author.bytes).sum()
    }

    /// How many records the index lacks.
    pub fn tail_items(&self) -> usize {
        self.tail_items
    }

    /// What waits for the index of one author's records with numbers in a range, each stretch by its start.
    pub fn tail_of(&self, origin: &Origin, range: Range<u64>) -> impl Iterator<Item = (u64, Stretch)> + '_ {
        let before = self.tail.range((*origin, 0)..=(*origin, range.start)).next_back();
        let covering = before.filter(|(_, stretch)| range.start < stretch.end);
        let from = covering.map_or(range.start, |((_, start), _)| *start).min(range.end);
        self.tail.range((*origin, from)..(*origin, range.end)).map(|((_, start), stretch)| (*start, *stretch))
    }

    /// Takes up the records of a durable frame that are read from it; those must not be held yet.
    pub fn hold(&mut self, origin: &Origin, records: &[u64], segment: u32, offset: u32, len: u32) {
        let Some(last) = records.last().copied() else {
            return;
        };
        let author = self.authors.entry(*origin).or_default();
        let holes = author.holes();
        for seq in records {
            author.insert(*seq);
        }
        author.bytes += u64::from(len);
        self.holes = self.holes - holes + author.holes();
        self.changed_authors.insert(*origin);
        self.read_from(origin, records, Place { segment, offset, len, last });
        self.live += u64::from(len);
        self.change_live(segment, |live| live + u64::from(len));
    }

    /// Reads the records of a frame from its copy from now on.
    pub fn move_frame(&mut self, origin: &Origin, records: &[u64], from: Place, segment: u32, offset: u32) {
        self.read_from(origin, records, Place { segment, offset, ..from });
        self.change_live(from.segment, |live| live.saturating_sub(u64::from(from.len)));
        self.change_live(segment, |live| live + u64::from(from.len));
    }

    fn read_from(&mut self, origin: &Origin, records: &[u64], place: Place) {
        self.tail_items += records.len();
        for (start, end) in stretches(records) {
            self.tail.insert((*origin, start), Stretch { end, place });
        }
    }

    /// Raises an author's floor, as a frame in `segment` says. Frames below it still count.
    pub fn raise_floor(&mut self, origin: &Origin, below: u64, segment: u32) {
        let author = self.authors.entry(*origin).or_default();
        let holes = author.holes();
        author.raise_floor(below);
        if author.floor == below {
            author.floor_at = segment;
        }
        self.holes = self.holes - holes + author.holes();
        self.changed_authors.insert(*origin);
    }

    /// Counts the frame of a record below the floor no more, if that was the last record read from it.
    pub fn uncount(&mut self, origin: &Origin, seq: u64, place: Place) {
        if place.last != seq {
            return;
        }
        let len = u64::from(place.len);
        let author = self.authors.entry(*origin).or_default();
        author.bytes = author.bytes.saturating_sub(len);
        self.changed_authors.insert(*origin);
        self.live = self.live.saturating_sub(len);
        self.change_live(place.segment, |live| live.saturating_sub(len));
    }

    fn change_live(&mut self, number: u32, change: impl FnOnce(u64) -> u64) {
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.live = change(segment.live);
        }
        self.changed_segments.insert(number);
    }

    /// Whether nothing is read from a segment, no frame in it says what was pruned, and its head is not needed to say where
    /// the one before it ends. The index must have come up to all this. The segment that it has come up to stays, so that no
    /// number is used twice.
    pub fn is_removable(&self, number: u32) -> bool {
        let is_last = number >= self.position.segment;
        let is_live = self.segments.get(&number).is_none_or(|segment| segment.live > 0);
        let says_end = self.says_where_another_ends(number);
        !is_last && !is_live && !says_end && !self.authors.values().any(|author| author.floor_at == number)
    }

    /// Whether the segment before this one has bytes behind its end, which only this one's head says.
    pub fn says_where_another_ends(&self, number: u32) -> bool {
        self.segments.get(&(number - 1)).is_some_and(|before| before.len != before.end)
    }

    /// Where the index stands.
    pub fn indexed(&self) -> Position {
        self.indexed
    }

    /// Whether the index lacks something.
    pub fn is_ahead(&self) -> bool {
        self.position != self.indexed || !self.changed_authors.is_empty() || !self.changed_segments.is_empty()
    }

    /// What the index lacks, as a batch up to `position`.
    pub fn batch(&self, federation: FederationId, position: Position) -> Result<Batch, IndexError> {
        let mut batch = Batch::new(position.pack());
        batch.put(META, b"", &meta(federation))?;
        for ((origin, start), stretch) in &self.tail {
            batch.put(PLACES, &numbered_key(origin, *start), &stretch.to_bytes())?;
        }
        for origin in &self.changed_authors {
            let Some(author) = self.authors.get(origin) else {
                continue;
            };
            batch.put(AUTHORS, &author_key(origin), &author.to_bytes())?;
            for (start, end) in author.changed() {
                let key = numbered_key(origin, start);
                match end {
                    Some(end) => batch.put(RUNS, &key, &end.to_be_bytes())?,
                    None => batch.remove(RUNS, &key),
                }
            }
        }
        for number in &self.changed_segments {
            let live = self.segments.get(number).map_or(0, |segment| segment.live);
            let key = number.to_be_bytes();
            match live {
                0 => batch.remove(SEGMENTS, &key),
                live => batch.put(SEGMENTS, &key, &live.to_be_bytes())?,
            }
        }
        Ok(batch)
    }

    /// The index has taken up the batch.
    pub fn fed(&mut self, position: Position) {
        self.tail.clear();
        self.tail_items = 0;
        for origin in std::mem::take(&mut self.changed_authors) {
            if let Some(author) = self.authors.get_mut(&origin) {
                author.forget_changed();
            }
        }
        self.changed_segments.clear();
        self.indexed = position;
    }
}

/// The value of the one key of [`META`].
pub(crate) fn meta(federation: FederationId) -> Vec<u8> {
    let mut bytes = INDEX_FORMAT.to_be_bytes().to_vec();
    bytes.extend_from_slice(&federation.0);
    bytes
}
