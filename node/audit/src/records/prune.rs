//! Retention: an author's records below a number are given up, and segments that hold little else are freed.
//!
//! A frame says so first, synced; everything else follows from it and is done again after a crash. A segment goes only after
//! what is still wanted of it was copied, synced, and the index, synced too, points to the copies.

use super::error::Error;
use super::feed::{self, apply_floor};
use super::frame::{self, FLOOR_FRAME_BYTES, Payload};
use super::place::{Place, Stretch};
use super::recover;
use super::segment::{self, HEAD_BYTES};
use super::store::RecordStore;
use super::walk::{Piece, Walk};
use super::{APPEND_BYTES_MAX, Item};
use crate::files::Access;
use artel_protocol::log::Origin;

/// How many bytes of frames are copied with one sync.
const COPIED_AT_ONCE: usize = APPEND_BYTES_MAX / 2;

/// The smallest part of a segment's frames, as one in so many, that must be wanted for it to stay. More, and the files may
/// hold more than twice of what is held; less, and more is copied.
const WANTED_ONE_IN: u64 = 2;

/// A frame that is still read from, and by which records.
struct Live {
    origin: Origin,
    records: Vec<u64>,
    place: Place,
    payload: Vec<u8>,
}

impl RecordStore {
    /// Gives up an author's records below a number, for good: they are not held any more, nobody asks for them, and they are
    /// not kept when they come again. Frames with records above it too stay whole. Frees segments of which less than half
    /// is still wanted.
    ///
    /// # Errors
    /// [`Error`]. What was given up may already be so, durably; a call with the same number does what is left.
    pub fn prune(&mut self, origin: &Origin, below_seq: u64) -> Result<(), Error> {
        if origin.federation() != self.shared.federation {
            return Err(Error::ForeignFrame(origin.federation()));
        }
        self.repair()?;
        let (floor, authors) = {
            let state = self.shared.state();
            (state.authors.get(origin).map(|author| author.floor), state.authors.len() as u64)
        };
        if floor.is_none() && authors >= self.limits().authors_max {
            return Err(Error::TooManyAuthors(authors));
        }
        if floor.unwrap_or(0) < below_seq {
            // The index is to come up to the frame and not pass it before all that it says is done.
            feed::feed(&self.shared)?;
            let segment = self.write(FLOOR_FRAME_BYTES, |writer| {
                writer.floor(origin, below_seq);
            })?;
            let done = apply_floor(&self.shared, origin, below_seq, segment);
            self.broken_by(done)?;
            feed::feed(&self.shared)?;
        }
        self.reclaim()
    }

    /// A floor that is durable but was not done: building the index again does it.
    fn broken_by(&self, done: Result<(), Error>) -> Result<(), Error> {
        done.inspect_err(|error| self.shared.broken(error.to_string()))
    }

    /// Frees segments as long as there are some to free.
    fn reclaim(&mut self) -> Result<(), Error> {
        while let Some(number) = self.next_to_free() {
            if !self.free(number)? {
                break;
            }
        }
        Ok(())
    }

    /// The first segment of which too little is wanted, or the one before it whose end only its head says.
    fn next_to_free(&self) -> Option<u32> {
        let state = self.shared.state();
        // The index has come up to it.
        let last = state.position.segment;
        let is_wanted = |number: u32| {
            state.segments.get(&number).is_some_and(|segment| {
                segment.live > 0 && segment.live * WANTED_ONE_IN >= u64::from(segment.end - HEAD_BYTES)
            })
        };
        let mut number = *state.segments.keys().find(|number| **number < last && !is_wanted(**number))?;
        while state.says_where_another_ends(number) {
            number -= 1;
        }
        Some(number)
    }

    /// Copies what is wanted of a segment and removes it. False if it must stay for now.
    fn free(&mut self, number: u32) -> Result<bool, Error> {
        feed::feed(&self.shared)?;
        let floors: Vec<(Origin, u64)> = {
            let state = self.shared.state();
            let said_here = state.authors.iter().filter(|(_, author)| author.floor_at == number);
            said_here.map(|(origin, author)| (*origin, author.floor)).collect()
        };
        for some in floors.chunks(COPIED_AT_ONCE / FLOOR_FRAME_BYTES) {
            let segment = self.write(some.len() * FLOOR_FRAME_BYTES, |writer| {
                for (origin, below) in some {
                    writer.floor(origin, *below);
                }
            })?;
            self.shared.change(|state| {
                some.iter().for_each(|(origin, below)| state.raise_floor(origin, *below, segment));
            });
        }
        if self.shared.state().segments.get(&number).is_some_and(|segment| segment.live > 0) {
            self.copy_live(number)?;
        }
        feed::feed(&self.shared)?;
        if self.shared.state().segments.get(&number).is_some_and(|segment| segment.live > 0) {
            let why = format!("{} does not hold what it says", segment::path(number));
            self.shared.broken(why);
            return Ok(false);
        }
        recover::remove(&self.shared, number);
        Ok(!self.shared.state().segments.contains_key(&number))
    }

    fn copy_live(&mut self, number: u32) -> Result<(), Error> {
        let path = segment::path(number);
        let end = self.shared.state().segments.get(&number).map_or(HEAD_BYTES, |segment| segment.end);
        let file = self.shared.files.open(&path, Access::Read).map_err(Error::io(&path, "open"))?;
        let mut walk = Walk::new(file, number, HEAD_BYTES, end);
        let (mut some, mut bytes) = (Vec::new(), 0);
        loop {
            let piece = walk.next().map_err(Error::io(&path, "read"))?;
            match piece {
                Some(Piece::Whole { offset, len, payload }) => {
                    if let Some(live) = self.live(number, offset, payload)? {
                        some.push(live);
                        bytes += len as usize;
                    }
                }
                Some(Piece::Bad { .. }) => (),
                None => return self.copy(some, bytes),
            }
            if bytes >= COPIED_AT_ONCE {
                self.copy(std::mem::take(&mut some), std::mem::take(&mut bytes))?;
            }
        }
    }

    /// The frame at this place, if some record is read from it.
    fn live(&self, number: u32, offset: u32, payload: &[u8]) -> Result<Option<Live>, Error> {
        let Some(Payload::Record { origin, items, .. }) = frame::parse(payload, self.shared.federation)
        else {
            return Ok(None);
        };
        let (mut records, mut found) = (Vec::new(), None);
        // The stretch that was looked up last, and what it begins with.
        let mut last: Option<(u64, Stretch)> = None;
        for Item { public_seq: seq, .. } in items {
            if last.is_none_or(|(start, stretch)| !(start..stretch.end).contains(&seq)) {
                last = self.shared.indexed(&origin, seq..seq + 1, 1)?.pop();
            }
            if let Some((_, Stretch { place, .. })) =
                last.filter(|(_, held)| held.place.is_in(number, offset))
            {
                records.push(seq);
                found = Some(place);
            }
        }
        Ok(found.map(|place| Live { origin, records, place, payload: payload.to_vec() }))
    }

    fn copy(&mut self, frames: Vec<Live>, bytes: usize) -> Result<(), Error> {
        if frames.is_empty() {
            return Ok(());
        }
        let mut offsets = Vec::with_capacity(frames.len());
        let segment = self.write(bytes, |writer| {
            offsets.extend(frames.iter().map(|live| writer.payload(&live.payload)));
        })?;
        self.shared.change(|state| {
            for (live, offset) in frames.iter().zip(offsets) {
                state.move_frame(&live.origin, &live.records, live.place, segment, offset);
            }
        });
        Ok(())
    }
}
