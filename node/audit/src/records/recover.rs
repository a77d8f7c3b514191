//! Opening the segments: what the index lacks is read from them, and what only the kernel may hold is written again.
//!
//! Nothing of the records stops a start. Frames of the last segment past the index may be in the kernel's cache only, after a
//! sync that failed in an earlier life; a later sync would not say so. They are written again, into a new segment.

use super::TAIL_ITEMS_MAX;
use super::error::{Error, Notice};
use super::feed::{self, apply_floor};
use super::frame::{self, Payload, Writer};
use super::place::Position;
use super::segment::{self, HEAD_BYTES, Head, HeadError, NEW_FILE, RECORDS_DIR};
use super::shared::Shared;
use super::state::{LEN_UNKNOWN, Segment};
use super::store::Active;
use super::walk::{Piece, Walk};
use crate::files::{Access, Files};
use std::collections::BTreeMap;
use std::io;

/// Brings `shared`, which is empty, and the index up to what the segments hold. A reason to build the index again may be
/// given. Answers the segment to be written on, if the last one is whole.
pub(crate) fn recover(shared: &Shared, rebuild: Option<String>) -> Result<Option<Active>, Error> {
    let segments = look(shared)?;
    shared.change(|state| state.segments = segments.clone());
    let loaded = match rebuild {
        Some(why) => Err(why),
        None => feed::load(shared.index.as_ref(), shared.federation, &segments),
    };
    let first = segments.first_key_value().map(|(number, _)| *number);
    let mut rebuilt = true;
    let from = match loaded {
        Ok(Some(loaded)) => {
            rebuilt = false;
            shared.change(|state| state.restore(loaded.authors, &loaded.live, loaded.position));
            loaded.position
        }
        Ok(None) | Err(_) => {
            shared.index.clear()?;
            let why = loaded.err().unwrap_or_else(|| "it was empty".into());
            if first.is_some() {
                shared.notice(Notice::IndexRebuilt { why });
            }
            Position { segment: first.unwrap_or(0), offset: HEAD_BYTES }
        }
    };
    let Some((last, _)) = segments.last_key_value().map(|(number, segment)| (*number, *segment)) else {
        return Ok(None);
    };
    for (number, segment) in segments.range(from.segment..last) {
        let at = if *number == from.segment { from.offset } else { HEAD_BYTES };
        read_sealed(shared, *number, at, segment.end)?;
    }
    let at = if last == from.segment { from.offset } else { HEAD_BYTES };
    shared.change(|state| state.position = Position { segment: last, offset: at });
    let active = settle(shared, last, at, rebuilt)?;
    feed::feed(shared)?;
    remove_empty(shared);
    Ok(active)
}

/// What a segment's head said.
struct Found {
    head: Option<Head>,
    len: u32,
}

/// Finds the segments, puts leftovers away, and says where each segment ends.
fn look(shared: &Shared) -> Result<BTreeMap<u32, Segment>, Error> {
    let files = shared.files.as_ref();
    let names = match files.list(RECORDS_DIR) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make_dir(files)?;
            return Ok(BTreeMap::new());
        }
        Err(e) => return Err(Error::io(RECORDS_DIR, "list")(e)),
    };
    let mut found = BTreeMap::new();
    for name in names {
        let path = format!("{RECORDS_DIR}/{name}");
        if let Some(number) = segment::number_of(&name) {
            found.insert(number, read_head(shared, number)?);
        } else if path == NEW_FILE {
            files.remove(NEW_FILE).map_err(Error::io(NEW_FILE, "remove"))?;
            shared.notice(Notice::LeftoverRemoved { file: path });
        } else if !name.starts_with("witness") && !name.starts_with("index") && name != "frauds" {
            shared.notice(Notice::UnknownFile { file: path });
        }
    }
    // Names that a failing or dying process left may not be durable yet, and that of the directory neither.
    make_dir(files)?;
    files.sync_dir(RECORDS_DIR).map_err(Error::io(RECORDS_DIR, "sync"))?;
    let mut segments = BTreeMap::new();
    for (number, segment) in &found {
        let after = number.checked_add(1).and_then(|after| found.get(&after)?.head);
        let end = after.map_or(segment.len, |head| head.before_end.min(segment.len)).max(HEAD_BYTES);
        segments.insert(*number, Segment { end, len: segment.len, live: 0 });
    }
    for (number, _) in found.iter().filter(|(_, segment)| segment.head.is_none()) {
        let before_end = segments.get(&(number - 1)).map_or(0, |before| before.end);
        repair_head(shared, Head { federation: shared.federation, number: *number, before_end });
    }
    Ok(segments)
}

fn make_dir(files: &dyn Files) -> Result<(), Error> {
    files.create_dir(RECORDS_DIR).map_err(Error::io(RECORDS_DIR, "create"))?;
    files.sync_dir("").map_err(Error::io(RECORDS_DIR, "make durable the name of"))
}

fn read_head(shared: &Shared, number: u32) -> Result<Found, Error> {
    let path = segment::path(number);
    let file = shared.files.open(&path, Access::Read).map_err(Error::io(&path, "open"))?;
    let len = file.len().map_err(Error::io(&path, "look at"))?;
    let len = u32::try_from(len).unwrap_or(LEN_UNKNOWN);
    let head = match Head::read(file.as_ref(), number) {
        Ok(Ok(head)) if head.federation != shared.federation => {
            return Err(Error::ForeignFile { file: path, federation: head.federation });
        }
        Ok(Ok(head)) => Some(head),
        Ok(Err(HeadError::Format(format))) => return Err(Error::Format { file: path, format }),
        Ok(Err(HeadError::Damaged)) | Err(_) => None,
    };
    Ok(Found { head, len })
}

/// Writes a damaged head again: the segment's name says which one it is, and its frames prove that they are in it.
fn repair_head(shared: &Shared, head: Head) {
    let file = segment::path(head.number);
    let written = shared.files.open(&file, Access::Write).and_then(|opened| {
        opened.write_at(&head.to_bytes(), 0)?;
        opened.sync_data()
    });
    shared.notice(match written {
        Ok(()) => Notice::HeadRepaired { file },
        Err(_) => Notice::Damaged { file, offset: 0, bytes: u64::from(HEAD_BYTES) },
    });
}

/// Takes up what a segment holds that was synced long ago.
fn read_sealed(shared: &Shared, number: u32, at: u32, end: u32) -> Result<(), Error> {
    shared.change(|state| state.position = Position { segment: number, offset: at });
    let file = segment::path(number);
    let mut walk = match shared.files.open(&file, Access::Read) {
        Ok(opened) => Walk::new(opened, number, at, end),
        Err(e) => {
            shared.notice(Notice::Unreadable { file, offset: u64::from(at), what: e.to_string() });
            return Ok(());
        }
    };
    loop {
        let offset = walk.at();
        let (offset, bytes) = match walk.next() {
            Ok(None) => return Ok(()),
            Ok(Some(Piece::Whole { offset, len, payload })) => {
                if take_up(shared, number, offset, len, payload)? {
                    continue;
                }
                (offset, len)
            }
            Ok(Some(Piece::Bad { offset, len })) => (offset, len),
            Err(e) => {
                let what = e.to_string();
                shared.notice(Notice::Unreadable { file, offset: u64::from(offset), what });
                return Ok(());
            }
        };
        let file = file.clone();
        shared.notice(Notice::Damaged { file, offset: u64::from(offset), bytes: u64::from(bytes) });
    }
}

/// Takes up one durable frame. False if nobody here writes such a frame.
fn take_up(shared: &Shared, segment: u32, offset: u32, len: u32, payload: &[u8]) -> Result<bool, Error> {
    match frame::parse(payload, shared.federation) {
        None => return Ok(false),
        Some(Payload::Record { origin, items, .. }) => shared.change(|state| {
            let author = state.authors.get(&origin);
            let wanted = |seq: &u64| author.is_none_or(|a| *seq >= a.floor && !a.holds(*seq));
            let records: Vec<u64> = items.iter().map(|item| item.public_seq).filter(wanted).collect();
            state.hold(&origin, &records, segment, offset, len);
        }),
        Some(Payload::Floor { origin, below }) => {
            feed::feed(shared)?;
            apply_floor(shared, &origin, below, segment)?;
        }
    }
    shared.change(|state| state.position = Position { segment, offset: offset + len });
    if shared.state().tail_items() >= TAIL_ITEMS_MAX {
        feed::feed(shared)?;
    }
    Ok(true)
}

/// Writes the frames of the last segment from `at` on again, into a new one, and takes them up from there.
fn settle(shared: &Shared, last: u32, at: u32, rebuilt: bool) -> Result<Option<Active>, Error> {
    let (payloads, is_clean) = read_tail(shared, last, at, rebuilt);
    let path = segment::path(last);
    if payloads.is_empty() && is_clean {
        let file = shared.files.open(&path, Access::Write).map_err(Error::io(path, "open"))?;
        return Ok(Some(Active { number: last, file, offset: at }));
    }
    if payloads.is_empty() {
        cut(shared, last, at);
        return Ok(None);
    }
    let number = last.checked_add(1).ok_or(Error::NoNumbers)?;
    let mut frames = Vec::new();
    let mut writer = Writer::new(&mut frames, number, HEAD_BYTES);
    let offsets: Vec<u32> = payloads.iter().map(|payload| writer.payload(payload)).collect();
    let head = Head { federation: shared.federation, number, before_end: at };
    let made = segment::create(shared.files.as_ref(), head, &frames);
    let file = made.map_err(|failed| failed.error)?;
    let end = HEAD_BYTES + frames.len() as u32;
    shared.notice(Notice::TailKept { file: path, frames: payloads.len() as u64 });
    cut(shared, last, at);
    shared.change(|state| {
        state.segments.insert(number, Segment { end, len: end, live: 0 });
        state.position = Position { segment: number, offset: HEAD_BYTES };
    });
    let ends = offsets.iter().skip(1).copied().chain([end]);
    for ((payload, offset), end) in payloads.iter().zip(&offsets).zip(ends) {
        take_up(shared, number, *offset, end - offset, payload)?;
    }
    Ok(Some(Active { number, file, offset: end }))
}

/// The payloads of the last segment from `at` on, and whether there is nothing else.
fn read_tail(shared: &Shared, last: u32, at: u32, rebuilt: bool) -> (Vec<Vec<u8>>, bool) {
    let file = segment::path(last);
    let end = shared.state().segments.get(&last).map_or(at, |segment| segment.end);
    let unreadable = |e: io::Error, offset: u32| Notice::Unreadable {
        file: file.clone(),
        offset: u64::from(offset),
        what: e.to_string(),
    };
    let mut walk = match shared.files.open(&file, Access::Read) {
        Ok(opened) => Walk::new(opened, last, at, end),
        Err(e) => {
            shared.notice(unreadable(e, at));
            return (Vec::new(), false);
        }
    };
    let (mut payloads, mut is_clean) = (Vec::new(), true);
    loop {
        let offset = walk.at();
        let (offset, bytes) = match walk.next() {
            Ok(None) => return (payloads, is_clean),
            Ok(Some(Piece::Whole { offset, len, payload })) => {
                if frame::parse(payload, shared.federation).is_some() {
                    payloads.push(payload.to_vec());
                    continue;
                }
                (offset, len)
            }
            Ok(Some(Piece::Bad { offset, len })) => (offset, len),
            Err(e) => {
                shared.notice(unreadable(e, offset));
                return (payloads, false);
            }
        };
        is_clean = false;
        let (file, offset, bytes) = (file.clone(), u64::from(offset), u64::from(bytes));
        // Without the index nobody knows what was synced; but an append that was cut short is the last thing in a segment.
        shared.notice(if rebuilt && offset + bytes < u64::from(end) {
            Notice::Damaged { file, offset, bytes }
        } else {
            Notice::TailCut { file, offset, bytes }
        });
    }
}

/// Ends a segment at `at`. If the file cannot be cut, what stands behind is only not read.
fn cut(shared: &Shared, number: u32, at: u32) {
    let done = shared.files.open(&segment::path(number), Access::Write).and_then(|file| {
        file.set_len(u64::from(at))?;
        file.sync_data()
    });
    let len = if done.is_ok() { at } else { LEN_UNKNOWN };
    shared.change(|state| {
        if let Some(segment) = state.segments.get_mut(&number) {
            (segment.end, segment.len) = (at, len);
        }
    });
}

/// Removes segments from which nothing is read any more, where that costs no copying.
fn remove_empty(shared: &Shared) {
    let numbers: Vec<u32> = shared.state().segments.keys().copied().collect();
    for number in numbers {
        if shared.state().is_removable(number) {
            remove(shared, number);
        }
    }
}

/// Removes a segment that [`super::state::State::is_removable`]. One that cannot be removed now is met again.
pub(crate) fn remove(shared: &Shared, number: u32) {
    if shared.files.remove(&segment::path(number)).is_ok() {
        shared.change(|state| state.segments.remove(&number));
    }
}
