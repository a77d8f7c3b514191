//! What the store's writer and its readers share.

use super::error::Notice;
use super::place::{PLACES, Place, Stretch, author_key, numbered_key, parse_numbered};
use super::state::State;
use crate::files::Files;
use crate::index::{IndexError, KvStore, Order};
use artel_protocol::id::FederationId;
use artel_protocol::log::Origin;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// The most notices that wait to be fetched; the oldest go first.
const NOTICES_MAX: usize = 256;

/// Whether the index agrees with the segments, as far as anybody has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    /// The next call of the writer builds it again, for this reason.
    Broken(String),
    /// Missing records mean nothing.
    Rebuilding,
}

pub(crate) struct Shared {
    pub files: Arc<dyn Files>,
    pub index: Arc<dyn KvStore>,
    pub federation: FederationId,
    state: RwLock<State>,
    notices: Mutex<VecDeque<Notice>>,
    /// And how often that changed.
    health: Mutex<(Health, u64)>,
}

impl Shared {
    pub fn new(files: Arc<dyn Files>, index: Arc<dyn KvStore>, federation: FederationId) -> Self {
        Shared {
            files,
            index,
            federation,
            state: RwLock::default(),
            notices: Mutex::default(),
            health: Mutex::new((Health::Sound, 0)),
        }
    }

    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where a record's frame lies.
    pub fn place(&self, origin: &Origin, seq: u64) -> Result<Option<Place>, IndexError> {
        if let Some((_, stretch)) = self.state().tail_of(origin, seq..seq + 1).next() {
            return Ok(Some(stretch.place));
        }
        let indexed = self.indexed(origin, seq..seq + 1, 1)?;
        Ok(indexed.first().map(|(_, stretch)| stretch.place))
    }

    /// At most so many stretches, by their starts, of an author's records with numbers in a range, as the index has them.
    pub fn indexed(
        &self,
        origin: &Origin,
        range: Range<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Stretch)>, IndexError> {
        let key = author_key(origin);
        let scan = |after: Option<u64>, order, limit| {
            let after = after.map(|number| numbered_key(origin, number));
            let pairs = self.index.scan(PLACES, &key, after.as_deref(), order, limit)?;
            pairs.into_iter().map(|(key, value)| self.stretch(&key, &value)).collect::<Result<Vec<_>, _>>()
        };
        // The one that begins at the first number or before it, where it comes so far.
        let mut found = scan(Some(range.start.saturating_add(1)), Order::Descending, 1)?;
        found.retain(|(_, stretch)| range.start < stretch.end);
        if found.len() < limit {
            found.extend(scan(Some(range.start), Order::Ascending, limit - found.len())?);
        }
        found.retain(|(start, _)| *start < range.end);
        Ok(found)
    }

    /// A pair of [`PLACES`].
    pub fn stretch(&self, key: &[u8], value: &[u8]) -> Result<(u64, Stretch), IndexError> {
        let start = parse_numbered(key, self.federation).map(|(_, start)| start);
        let start = start.ok_or_else(|| IndexError::Damaged("a record's key".into()))?;
        let stretch = Stretch::parse(value).filter(|stretch| start < stretch.end);
        Ok((start, stretch.ok_or_else(|| IndexError::Damaged("the place of a record".into()))?))
    }

    pub fn notice(&self, notice: Notice) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() == NOTICES_MAX {
            notices.pop_front();
        }
        notices.push_back(notice);
    }

    pub fn take_notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// While it is sound: how often that changed.
    pub fn sound(&self) -> Option<u64> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        (health.0 == Health::Sound).then_some(health.1)
    }

    pub fn set_health(&self, to: Health) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        *health = (to, health.1 + 1);
    }

    /// The index or what it points to is not what it was: it is to be built again.
    pub fn broken(&self, why: String) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.0 == Health::Sound {
            *health = (Health::Broken(why), health.1 + 1);
        }
    }
}
