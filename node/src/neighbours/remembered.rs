//! What is on disk of witnessing: the table of what was cosigned, and the proofs of fraud. Here it is decided whether a
//! checkpoint may be cosigned now; it is remembered, synced, before it is.

use artel_audit::records::frauds::Frauds;
use artel_audit::records::witness::{WitnessError, WitnessTable};
use artel_federation::watch::Watch;
use artel_protocol::key::NodeId;
use artel_protocol::log::{Origin, SignedCheckpoint};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two checkpoints of one node that are remembered: each costs a sync. Half of what lies between
/// two heads of an honest node, whose clock and network may shift one towards the other; shorter, and a neighbour that says
/// heads without end keeps the disk busy. What comes sooner is judged, and cosigned with the next one.
const COSIGN_PAUSE: Duration = Duration::from_millis(500);

/// From how many neighbours everything is fetched before a damaged table counts as made up for: so of each node's journal from
/// another one than itself.
const FETCHES: usize = 2;

/// What is on disk of it.
pub(super) struct Remembered {
    table: Mutex<Table>,
    /// What the table says, for readers: it is held while the disk syncs, and they should not wait for that.
    cosigned: Mutex<BTreeMap<Origin, u64>>,
    frauds: Mutex<Frauds>,
    /// Whether entries of the table were lost, and what others hold is still to be fetched from some.
    wants_fetches: AtomicBool,
}

/// The table, and what decides with it.
pub(super) struct Table {
    on_disk: WitnessTable,
    /// When a checkpoint of a node was remembered last. Of neighbours alone, so there are as many as the table has nodes.
    last: BTreeMap<NodeId, Instant>,
    /// Whether entries were lost when this process began.
    was_lost: bool,
    /// Where they were: the neighbours that everything was fetched from since, at most [`FETCHES`].
    fetched_from: BTreeSet<NodeId>,
    /// And the journals that have shown since that they continue all that is known of them.
    shown: BTreeSet<Origin>,
}

/// What becomes of a checkpoint that was judged the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is on disk: it may be cosigned.
    Remembered,
    /// It is believed, and not cosigned now; a later one is.
    Later,
}

impl Remembered {
    /// Takes up what was remembered, and tells `watch`.
    pub fn restore(table: WitnessTable, frauds: Frauds, watch: &mut Watch) -> Self {
        for (origin, witnessed) in table.all() {
            match SignedCheckpoint::parse(&witnessed.note) {
                Ok(known) if known.origin() == *origin => watch.restore(known),
                _ => tracing::warn!(%origin, "what is remembered of a journal is no checkpoint of it"),
            }
        }
        let cosigned = table.all().map(|(origin, witnessed)| (*origin, witnessed.size)).collect();
        let was_lost = table.is_lost();
        let table = Table {
            on_disk: table,
            last: BTreeMap::new(),
            was_lost,
            fetched_from: BTreeSet::new(),
            shown: BTreeSet::new(),
        };
        Remembered {
            table: Mutex::new(table),
            cosigned: Mutex::new(cosigned),
            frauds: Mutex::new(frauds),
            wants_fetches: AtomicBool::new(was_lost),
        }
    }

    /// Held for as long as a checkpoint is judged and remembered: two histories of a journal are never both the next one.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn frauds(&self) -> MutexGuard<'_, Frauds> {
        self.frauds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journals that this node has cosigned, and the size of each that it cosigned last.
    pub fn cosigned(&self) -> MutexGuard<'_, BTreeMap<Origin, u64>> {
        self.cosigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a neighbour's checkpoint that was judged the newest, durably, where it may be cosigned now. `shown` says that
    /// its node has just shown that it continues all that is known.
    ///
    /// # Errors
    /// [`WitnessError`]; then it is neither remembered nor to be believed.
    pub fn take(
        &self,
        table: &mut Table,
        (checkpoint, shown): (&SignedCheckpoint, bool),
        now: Instant,
    ) -> Result<Taken, WitnessError> {
        let origin = checkpoint.origin();
        if table.was_lost && !table.is_made_up_for(&origin, shown) {
            return Ok(Taken::Later);
        }
        let last = table.last.get(&origin.node());
        if last.is_some_and(|last| now.saturating_duration_since(*last) < COSIGN_PAUSE) {
            return Ok(Taken::Later);
        }
        let note = checkpoint.note().to_string();
        table.on_disk.remember(origin, checkpoint.size(), checkpoint.root(), &note)?;
        table.last.insert(origin.node(), now);
        self.cosigned().insert(origin, checkpoint.size());
        Ok(Taken::Remembered)
    }

    /// Whether it counts from whom everything is fetched.
    pub fn wants_fetches(&self) -> bool {
        self.wants_fetches.load(Ordering::Relaxed)
    }

    /// Notes that everything was fetched from a neighbour that it has. Waits for the disk.
    pub fn fetched_from(&self, peer: NodeId) {
        let mut table = self.table();
        if table.fetched_from.len() < FETCHES {
            table.fetched_from.insert(peer);
        }
        if table.fetched_from.len() < FETCHES {
            return;
        }
        match table.on_disk.made_up() {
            Ok(()) => {
                self.wants_fetches.store(false, Ordering::Relaxed);
                tracing::info!("what others hold was fetched; journals are cosigned again");
            }
            Err(error) => {
                tracing::error!(%error, "it cannot be written down that others' records were fetched; tried again");
            }
        }
    }
}

impl Table {
    /// Whether a journal of which an entry may have been lost has to show that it continues all that is known.
    pub fn must_show(&self, origin: &Origin) -> bool {
        self.was_lost && !self.shown.contains(origin)
    }

    fn is_made_up_for(&mut self, origin: &Origin, shown: bool) -> bool {
        let fetched = self.fetched_from.iter().any(|peer| *peer != origin.node());
        if fetched && shown {
            self.shown.insert(*origin);
        }
        fetched && self.shown.contains(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_audit::files::Files;
    use artel_audit::memory::MemoryDisk;
    use artel_audit::records::witness::WITNESS_FILE;
    use artel_protocol::id::FederationId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::log::{Checkpoint, Hash};
    use std::sync::Arc;

    const HOME: FederationId = FederationId([3; 32]);

    fn node(seed: u8) -> NodeId {
        NodeId(SecretKey::from_seed(&[seed; 32]).public())
    }

    fn head(seed: u8, size: u64) -> SignedCheckpoint {
        let plain = Checkpoint::new(Origin::new(HOME, node(seed), 0), size, Hash([size as u8; 32]));
        SignedCheckpoint::sign(plain.expect("plain"), &SecretKey::from_seed(&[seed; 32]))
            .expect("its own key")
    }

    fn open(disk: &MemoryDisk) -> Remembered {
        let files: Arc<dyn Files> = Arc::new(disk.clone());
        let (table, _) = WitnessTable::open(files.clone()).expect("a good disk");
        let (frauds, _) = Frauds::open(files, &HOME).expect("a good disk");
        Remembered::restore(table, frauds, &mut Watch::default())
    }

    /// What becomes of a head of node 1 that is judged the newest.
    fn taken(remembered: &Remembered, size: u64, shown: bool, at: Instant) -> Taken {
        let (mut table, head) = (remembered.table(), head(1, size));
        remembered.take(&mut table, (&head, shown), at).expect("a good disk")
    }

    #[test]
    fn a_node_that_says_heads_without_end_costs_two_syncs_a_second() {
        let disk = MemoryDisk::new();
        let (remembered, begin) = (open(&disk), Instant::now());
        let before = disk.points();
        let at = |size: u64| begin + Duration::from_millis(size - 1);
        let cosigned =
            (1..=1_000).filter(|size| taken(&remembered, *size, false, at(*size)) == Taken::Remembered);
        assert_eq!(cosigned.count(), 2);
        // The first one makes the file, which is five points; the second is a write and a sync.
        assert_eq!(disk.points() - before, 7);
        let other = remembered.take(&mut remembered.table(), (&head(2, 5), false), begin);
        assert_eq!(other.expect("a good disk"), Taken::Remembered, "another node has its own pace");
        assert_eq!(taken(&remembered, 1_001, false, at(2_000)), Taken::Remembered);
    }

    #[test]
    fn after_a_loss_nothing_is_cosigned_before_others_were_asked() {
        let disk = MemoryDisk::new();
        disk.create_dir("records").expect("a good disk");
        disk.put(WITNESS_FILE, &[0x55; 3_000]);
        let later = |n: u64| Instant::now() + n as u32 * COSIGN_PAUSE;
        // The second time no sign of the damage is in the table any more.
        for start in 0..2 {
            let remembered = open(&disk);
            assert_eq!(taken(&remembered, 60, true, later(0)), Taken::Later, "start {start}");
            assert!(remembered.wants_fetches() && remembered.table().must_show(&head(1, 60).origin()));
            remembered.fetched_from(node(1));
            assert_eq!(taken(&remembered, 60, true, later(1)), Taken::Later, "it alone says so");
        }
        let remembered = open(&disk);
        remembered.fetched_from(node(2));
        assert_eq!(taken(&remembered, 60, false, later(0)), Taken::Later, "it has not shown it");
        assert_eq!(taken(&remembered, 60, true, later(1)), Taken::Remembered);
        assert_eq!(taken(&remembered, 61, false, later(2)), Taken::Remembered);
        assert!(!remembered.table().must_show(&head(1, 60).origin()));
        let of_other = remembered.take(&mut remembered.table(), (&head(2, 5), true), later(3));
        assert_eq!(of_other.expect("a good disk"), Taken::Later, "of this one nobody else was asked");
        remembered.fetched_from(node(1));
        assert!(!remembered.wants_fetches());
        drop(remembered);
        let remembered = open(&disk);
        assert!(!remembered.table().must_show(&head(2, 5).origin()));
        let cosigned = remembered.take(&mut remembered.table(), (&head(2, 5), false), later(0));
        assert_eq!(cosigned.expect("a good disk"), Taken::Remembered, "made up for");
    }
}
