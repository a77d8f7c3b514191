//! Feeding the index, and reading back what it holds of authors and segments at a start.

use super::author::Author;
use super::error::Error;
use super::place::{
    AUTHORS, META, PLACES, Position, RUNS, SEGMENTS, author_key, numbered_key, parse_author, parse_numbered,
};
use super::shared::Shared;
use super::state::{Segment, meta};
use crate::index::{IndexError, KvStore, Order, Pairs, SCAN_PAIRS_MAX, Tree};
use artel_protocol::id::FederationId;
use artel_protocol::log::Origin;
use std::collections::BTreeMap;

/// How many stretches of records below a floor leave the index at once.
const REMOVED_AT_ONCE: usize = 512;

/// Brings the index up to what is in memory, durably.
pub(crate) fn feed(shared: &Shared) -> Result<(), Error> {
    let (batch, position) = {
        let state = shared.state();
        if !state.is_ahead() {
            return Ok(());
        }
        (state.batch(shared.federation, state.position)?, state.position)
    };
    let applied = shared.index.apply(batch).and_then(|()| shared.index.sync());
    if let Err(IndexError::Damaged(why)) = &applied {
        shared.broken(why.clone());
    }
    applied?;
    shared.change(|state| state.fed(position));
    Ok(())
}

/// Takes an author's records below a floor away, as a durable frame in `segment` says. The index must have come up to that
/// frame; until [`feed`] it stays there, so that a crash in between does all this once more.
pub(crate) fn apply_floor(shared: &Shared, origin: &Origin, below: u64, segment: u32) -> Result<(), Error> {
    shared.change(|state| state.raise_floor(origin, below, segment));
    loop {
        let pairs =
            shared.index.scan(PLACES, &author_key(origin), None, Order::Ascending, REMOVED_AT_ONCE)?;
        let mut gone = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let (start, stretch) = shared.stretch(&key, &value)?;
            if start >= below {
                break;
            }
            gone.push((key, stretch));
        }
        if gone.is_empty() {
            return Ok(());
        }
        let (batch, position) = shared.change(|state| {
            for (_, stretch) in gone.iter().filter(|(_, stretch)| stretch.end <= below) {
                state.uncount(origin, stretch.end - 1, stretch.place);
            }
            let mut batch = state.batch(shared.federation, state.indexed())?;
            for (key, stretch) in &gone {
                batch.remove(PLACES, key);
                // What stays of it begins at the floor.
                if stretch.end > below {
                    batch.put(PLACES, &numbered_key(origin, below), &stretch.to_bytes())?;
                }
            }
            Ok::<_, IndexError>((batch, state.indexed()))
        })?;
        if let Err(error) = shared.index.apply(batch) {
            // What is counted and what the index holds have parted.
            shared.broken(error.to_string());
            return Err(error.into());
        }
        shared.change(|state| state.fed(position));
    }
}

/// What an index held.
pub(crate) struct Loaded {
    pub authors: BTreeMap<Origin, Author>,
    pub live: BTreeMap<u32, u64>,
    pub position: Position,
}

/// Reads an index; `None` for an empty one.
///
/// # Errors
/// A reason why it cannot be used with these segments.
pub(crate) fn load(
    index: &dyn KvStore,
    federation: FederationId,
    segments: &BTreeMap<u32, Segment>,
) -> Result<Option<Loaded>, String> {
    let text = |error: IndexError| error.to_string();
    let position = Position::unpack(index.position().map_err(text)?);
    if position.pack() == 0 {
        return Ok(None);
    }
    if index.get(META, b"").map_err(text)? != Some(meta(federation)) {
        return Err("it is of another format or another federation".into());
    }
    let known = segments.get(&position.segment);
    if known.is_none_or(|segment| position.offset > segment.end) {
        return Err("the segments end before it".into());
    }
    let mut live = BTreeMap::new();
    for_all(index, SEGMENTS, |key, value| {
        let number = u32::from_be_bytes(key.try_into().ok()?);
        live.insert(number, u64::from_be_bytes(value.try_into().ok()?));
        Some(())
    })?;
    if let Some(missing) = live.keys().find(|number| !segments.contains_key(number)) {
        return Err(format!("{} is missing", super::segment::path(*missing)));
    }
    let mut authors = BTreeMap::new();
    for_all(index, AUTHORS, |key, value| {
        authors.insert(parse_author(key, federation)?, Author::parse(value)?);
        Some(())
    })?;
    for_all(index, RUNS, |key, value| {
        let (origin, start) = parse_numbered(key, federation)?;
        let end = u64::from_be_bytes(value.try_into().ok()?);
        authors.get_mut(&origin)?.restore_run(start, end).then_some(())
    })?;
    let bytes: u64 = authors.values().map(|author| author.bytes).sum();
    if bytes != live.values().sum::<u64>() || !authors.values().all(Author::adds_up) {
        return Err("its counts do not agree".into());
    }
    let lacks_floor = |author: &Author| author.floor > 0 && !segments.contains_key(&author.floor_at);
    if authors.values().any(lacks_floor) {
        return Err("a segment that says what was pruned is missing".into());
    }
    Ok(Some(Loaded { authors, live, position }))
}

/// Visits every pair of a tree; the visitor answers `None` to a pair that nobody here writes.
fn for_all(
    index: &dyn KvStore,
    tree: Tree,
    mut visit: impl FnMut(&[u8], &[u8]) -> Option<()>,
) -> Result<(), String> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let scanned = index.scan(tree, b"", after.as_deref(), Order::Ascending, SCAN_PAIRS_MAX);
        let pairs: Pairs = scanned.map_err(|error| error.to_string())?;
        for (key, value) in &pairs {
            visit(key, value).ok_or_else(|| damaged("one of its counts").to_string())?;
        }
        match pairs.into_iter().next_back() {
            Some((key, _)) => after = Some(key),
            None => return Ok(()),
        }
    }
}

fn damaged(what: &str) -> IndexError {
    IndexError::Damaged(what.into())
}
