//! Reading records, on any thread: marks and holes from memory, frames from the segments with their check sums looked at.
//!
//! What turns out to be damaged is missing: the reader says so, and the writer's next call builds the index again without it.

use super::HOLES_MAX;
use super::author::Mark;
use super::error::Notice;
use super::frame::{self, Payload};
use super::place::{Place, Stretch};
use super::segment;
use super::shared::{Health, Shared};
use crate::files::{self, Access, File};
use crate::index::IndexError;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// How many stretches are read from the index at once.
const PAGE: usize = 256;

/// How often a frame is looked for again when it was moved meanwhile.
const TRIES: usize = 3;

/// A reader of others' records. Cheap to clone.
#[derive(Clone)]
pub struct Records {
    shared: Arc<Shared>,
}

impl Records {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Records { shared }
    }

    /// How far each author's records are held.
    pub fn marks(&self) -> Vec<(Origin, Mark)> {
        let state = self.shared.state();
        state.authors.iter().map(|(origin, author)| (*origin, author.mark())).collect()
    }

    /// How far an author's records are held; nothing is held of one that is not known.
    pub fn mark(&self, origin: &Origin) -> Mark {
        self.shared.state().authors.get(origin).map_or(Mark::default(), |author| author.mark())
    }

    /// How far the records of each of a node's journals are held, the oldest journal first.
    pub fn marks_of(&self, node: &NodeId) -> Vec<(Origin, Mark)> {
        let (state, any) = (self.shared.state(), Origin::new(self.shared.federation, *node, 0));
        state.journals_of(&any).map(|(origin, author)| (*origin, author.mark())).collect()
    }

    /// Whether a record is held.
    pub fn has(&self, origin: &Origin, public_seq: u64) -> bool {
        self.shared.state().authors.get(origin).is_some_and(|author| author.holds(public_seq))
    }

    /// The first holes in what is held of an author, at most `limit`.
    pub fn holes(&self, origin: &Origin, limit: usize) -> Vec<Range<u64>> {
        let state = self.shared.state();
        state.authors.get(origin).map_or(Vec::new(), |author| author.first_holes(limit))
    }

    /// The holes in what is held of an author, and the number behind all of it.
    pub fn lacking(&self, origin: &Origin) -> (Vec<Range<u64>>, u64) {
        let state = self.shared.state();
        state.authors.get(origin).map_or((Vec::new(), 0), |author| {
            let mark = author.mark();
            (author.first_holes(HOLES_MAX), mark.last.map_or(mark.next, |last| last + 1))
        })
    }

    /// Whether records that are not read are not held: a number while the index agrees with the segments, as far as anybody has seen,
    /// and another one whenever that was not so between.
    pub fn sound(&self) -> Option<u64> {
        self.shared.sound()
    }

    /// The frame that a record is read from; `None` when it is not held, or turns out to be damaged.
    pub fn frame(&self, origin: &Origin, public_seq: u64) -> Option<Vec<u8>> {
        self.read(origin, public_seq, &mut None).map(|(_, bytes)| bytes)
    }

    /// Frames with records from `from_seq` on, in the order of the first of these: as many as fit into `bytes_max`, and one
    /// at least if there is any. Answers also from where to go on; at the end that is one more than the highest record, or `from_seq`.
    /// Within an answer no frame stands twice; between answers none does, unless frames of many commits are so entangled
    /// that no place between them fits.
    pub fn frames(&self, origin: &Origin, from_seq: u64, bytes_max: usize) -> (Vec<Vec<u8>>, u64) {
        let all = from_seq..u64::MAX;
        self.frames_in(origin, std::slice::from_ref(&all), bytes_max)
    }

    /// The same of those frames alone that have records in one of these ranges of numbers, ascending.
    pub fn frames_in(&self, origin: &Origin, ranges: &[Range<u64>], bytes_max: usize) -> (Vec<Vec<u8>>, u64) {
        let mut page = Page::default();
        let mut file = None;
        let mut from = ranges.first().map_or(0, |range| range.start);
        for range in ranges {
            let mut next = range.start;
            loop {
                let places = match self.places(origin, next..range.end) {
                    Ok(places) => places,
                    Err(error) => {
                        self.shared.broken(error.to_string());
                        return page.end(from);
                    }
                };
                let Some((_, Stretch { end, .. })) = places.last_key_value() else { break };
                let end = range.end.min(*end);
                for (seq, Stretch { place, .. }) in places {
                    if page.seen.contains(&place.last) {
                        continue;
                    }
                    page.cut_before(seq);
                    // Before the frame is read: a page that is full reads nothing in vain.
                    if page.is_full(place.len as usize, bytes_max) {
                        return page.end_at_cut(seq);
                    }
                    page.seen.insert(place.last);
                    if let Some((place, bytes)) = self.read(origin, seq, &mut file) {
                        page.add(place, bytes);
                    }
                }
                (next, from) = (end, end);
            }
        }
        page.end(from)
    }

    /// What was found by readers and the writer since somebody last asked.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.shared.take_notices()
    }

    /// The next stretches of an author's records with numbers in a range, by their starts: those of the index, and those that it has
    /// not been fed.
    fn places(&self, origin: &Origin, range: Range<u64>) -> Result<BTreeMap<u64, Stretch>, IndexError> {
        let floor = self.shared.state().authors.get(origin).map_or(0, |author| author.floor);
        let range = range.start.max(floor)..range.end;
        // No more stretches than numbers: a hole is looked up for itself alone.
        let most = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(PAGE).min(PAGE);
        if most == 0 {
            return Ok(BTreeMap::new());
        }
        // The tail first: what leaves it meanwhile is in the index by then.
        let waiting: Vec<_> = self.shared.state().tail_of(origin, range.clone()).take(most).collect();
        let indexed = self.shared.indexed(origin, range.clone(), most)?;
        let pages = [&indexed, &waiting].into_iter().filter(|some| some.len() == most);
        let horizon = pages.filter_map(|some| some.last()).map(|(start, _)| *start).min();
        let in_sight = |(start, _): &(u64, Stretch)| horizon.is_none_or(|horizon| *start <= horizon);
        let both = indexed.into_iter().chain(waiting).filter(in_sight);
        // The first one may begin before the range.
        Ok(both.map(|(start, stretch)| (start.max(range.start), stretch)).collect())
    }

    /// Reads a record's frame, and says where it was. The file that was read last may be kept for the next one.
    fn read(
        &self,
        origin: &Origin,
        seq: u64,
        open: &mut Option<(u32, Arc<dyn File>)>,
    ) -> Option<(Place, Vec<u8>)> {
        let mut before = None;
        for _ in 0..TRIES {
            if !self.has(origin, seq) {
                return None;
            }
            let place = match self.shared.place(origin, seq) {
                Ok(Some(place)) => place,
                Ok(None) => {
                    self.missing(origin, seq, "the index does not know a record that is held".into());
                    return None;
                }
                Err(error) => {
                    self.missing(origin, seq, error.to_string());
                    return None;
                }
            };
            if before == Some(place) {
                break;
            }
            match self.read_at(origin, seq, place, open) {
                Ok(Some(bytes)) => return Some((place, bytes)),
                // It may have been moved, and the old file with it.
                Ok(None) | Err(_) => (before, *open) = (Some(place), None),
            }
        }
        let place = before?;
        let file = segment::path(place.segment);
        if self.shared.health() != Health::Rebuilding {
            let (offset, bytes) = (u64::from(place.offset), u64::from(place.len));
            self.shared.notice(Notice::Damaged { file: file.clone(), offset, bytes });
        }
        self.missing(origin, seq, format!("{file} is damaged at byte {}", place.offset));
        None
    }

    /// A record that is held could not be read. If it was pruned meanwhile, nothing is wrong.
    fn missing(&self, origin: &Origin, seq: u64, why: String) {
        if self.has(origin, seq) {
            self.shared.broken(why);
        }
    }

    fn read_at(
        &self,
        origin: &Origin,
        seq: u64,
        place: Place,
        open: &mut Option<(u32, Arc<dyn File>)>,
    ) -> io::Result<Option<Vec<u8>>> {
        let file = match open {
            Some((number, file)) if *number == place.segment => file.clone(),
            _ => {
                let file = self.shared.files.open(&segment::path(place.segment), Access::Read)?;
                *open = Some((place.segment, file.clone()));
                file
            }
        };
        let mut frame = vec![0; place.len as usize];
        files::read_exact_at(file.as_ref(), &mut frame, u64::from(place.offset))?;
        let payload = frame::open(&frame, place.segment, place.offset);
        let payload = payload.and_then(|payload| frame::parse(payload, self.shared.federation));
        Ok(match payload {
            Some(Payload::Record { origin: author, items, bytes, .. })
                if author == *origin && items.iter().any(|item| item.public_seq == seq) =>
            {
                Some(bytes.to_vec())
            }
            _ => None,
        })
    }
}

/// Frames that are gathered for one answer.
#[derive(Default)]
struct Page {
    frames: Vec<Vec<u8>>,
    bytes: usize,
    /// The frames that were looked at, by the highest record that is read from each, which stays when a frame is moved.
    seen: BTreeSet<u64>,
    /// The last place between frames, as (frames before it, first record behind it).
    cut: Option<(usize, u64)>,
    last: Option<u64>,
}

impl Page {
    /// Notes that an answer can end before this record, if none of the frames so far has records from there on.
    fn cut_before(&mut self, seq: u64) {
        if !self.frames.is_empty() && self.last.is_none_or(|last| last < seq) {
            self.cut = Some((self.frames.len(), seq));
        }
    }

    fn is_full(&self, more: usize, bytes_max: usize) -> bool {
        !self.frames.is_empty() && self.bytes + more > bytes_max
    }

    fn add(&mut self, place: Place, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.frames.push(bytes);
        self.last = self.last.max(Some(place.last));
    }

    fn end(self, from: u64) -> (Vec<Vec<u8>>, u64) {
        (self.frames, from)
    }

    fn end_at_cut(mut self, seq: u64) -> (Vec<Vec<u8>>, u64) {
        let Some((count, from)) = self.cut else {
            return (self.frames, seq);
        };
        self.frames.truncate(count);
        (self.frames, from)
    }
}
