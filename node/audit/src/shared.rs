//! What the journal's writer and its readers share: files, the synced head, the segments and what is derived from them.

use crate::derived::Derived;
use crate::error::{Error, Notice};
use crate::files::{Access, File, Files};
use crate::frame::SealContext;
use crate::keys::KeyRing;
use crate::scan::{Position, Walk};
use crate::segment;
use artel_protocol::log::{CompactRange, Origin, SignedCheckpoint};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// How many segments stay open for reading. More only cost descriptors; older ones are opened when they are asked for.
const OPEN_SEGMENTS: usize = 32;

/// The most notices that wait to be fetched; older ones are dropped, they were repairs.
const NOTICES_MAX: usize = 256;

/// What is synced.
#[derive(Clone)]
pub(crate) struct Head {
    pub range: CompactRange,
    pub public_seq: u64,
    /// The checkpoint in the newest synced slot.
    pub released: SignedCheckpoint,
}

/// One segment, and the bytes in use when it was last looked at.
#[derive(Clone)]
pub(crate) struct Segment {
    pub first_index: u64,
    pub used: u64,
    pub file: Option<Arc<dyn File>>,
}

pub(crate) struct Shared {
    pub files: Arc<dyn Files>,
    pub origin: Origin,
    pub context: SealContext,
    pub derived: Arc<Derived>,
    ring: RwLock<Arc<KeyRing>>,
    segments: RwLock<Vec<Segment>>,
    head: RwLock<Head>,
    notices: Mutex<VecDeque<Notice>>,
    /// Held while derived files are written again.
    pub repair: Mutex<()>,
}

impl Shared {
    pub fn new(
        files: Arc<dyn Files>,
        derived: Arc<Derived>,
        ring: Arc<KeyRing>,
        segments: Vec<Segment>,
        head: Head,
    ) -> Self {
        let origin = head.released.origin();
        Shared {
            files,
            origin,
            context: SealContext::new(&origin),
            derived,
            ring: RwLock::new(ring),
            segments: RwLock::new(segments),
            head: RwLock::new(head),
            notices: Mutex::default(),
            repair: Mutex::default(),
        }
    }

    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_ring(&self, ring: Arc<KeyRing>) {
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    pub fn head(&self) -> Head {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The synced entries and how many of them are public, without a copy of the tree's edge.
    pub fn size(&self) -> (u64, u64) {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        (head.range.size(), head.public_seq)
    }

    pub fn change_head(&self, change: impl FnOnce(&mut Head)) {
        change(&mut self.head.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn segments(&self) -> Vec<Segment> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn change_segments(&self, change: impl FnOnce(&mut Vec<Segment>)) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut segments);
        let closed = segments.len().saturating_sub(OPEN_SEGMENTS);
        segments[..closed].iter_mut().for_each(|s| s.file = None);
    }

    /// The segment that holds an entry: its first index, and its file.
    pub fn segment_of(&self, index: u64) -> Result<(u64, Arc<dyn File>), Error> {
        let found = {
            let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
            let after = segments.partition_point(|s| s.first_index <= index);
            segments[after.saturating_sub(1)].clone()
        };
        if let Some(file) = found.file {
            return Ok((found.first_index, file));
        }
        let origin = Some(&self.origin);
        let (file, _) = segment::open(self.files.as_ref(), found.first_index, origin, Access::Read)?;
        Ok((found.first_index, file))
    }

    pub fn walk(&self, from: Position) -> Walk {
        let firsts = self.segments().iter().map(|s| s.first_index).collect();
        Walk::new(self.files.clone(), Some(self.origin), firsts, from)
    }

    pub fn notice(&self, notice: Notice) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() == NOTICES_MAX {
            notices.pop_front();
        }
        notices.push_back(notice);
    }

    pub fn take_notices(&self) -> Vec<Notice> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.drain(..).collect()
    }
}
