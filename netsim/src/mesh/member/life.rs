//! A node's starts: what the disk holds is opened, folded and compared with all that the world knows, and what others'
//! records say of membership is found again.

use super::{GATHER_MS, LIMITS, Live, Member, Out, Wake, options};
use crate::mesh::context::{Context, Does, Stop};
use crate::mesh::heard::Heard;
use crate::mesh::invariants;
use crate::mesh::overlay::{FIRST_HEARTBEAT_MS, Overlay};
use crate::mesh::sabotage::MeshSabotage;
use crate::mesh::truth::Book;
use crate::sabotage::LyingDisk;
use artel_audit::files::Files;
use artel_audit::records::witness::{WITNESS_FILE, WitnessTable};
use artel_audit::records::{Opened, RecordStore};
use artel_audit::{Journal, SegmentSizes};
use artel_federation::exchange::Exchange;
use artel_federation::fact::Joined;
use artel_federation::fetching::Fetching;
use artel_federation::watch::Watch;
use artel_federation::{Beginning, Entry, Fact, Federation};
use artel_protocol::id::Digest;
use artel_protocol::log::SignedCheckpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The bytes of a journal's segments: small, so that 200 of them fit into memory.
const SIZES: SegmentSizes = SegmentSizes { usual: 32 << 10, hasty: 8 << 10 };

/// How many bytes of frames are read at once.
const READ_BYTES: usize = 256 << 10;

impl Member {
    /// Starts on the disk as it is found.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn boot(&mut self, context: &mut Context) -> Does {
        if self.live.is_some() {
            return Ok(());
        }
        if self.disk.crashed() {
            self.disk = self.disk.after_crash(self.rng.draw());
            // An index that may have lost something is built again.
            self.index = Arc::default();
        }
        context.counts.starts += 1;
        self.booted_at = context.at;
        let files = self.files();
        if context.is(MeshSabotage::WitnessForgotten) {
            self.disk.take(WITNESS_FILE);
        }
        let options = artel_audit::Options { origin: self.origin(), sizes: SIZES };
        let entropy = Box::new(self.rng.fork());
        let opened = Journal::open(files.clone(), options, self.secret.clone(), self.ring.clone(), entropy);
        let journal = match opened {
            Ok(opened) => opened.journal,
            Err(artel_audit::Error::Io { .. }) => return Err(Stop::Down),
            Err(error) => return Err(self.unsound(error.to_string())),
        };
        let federation = self.fold(context, &journal)?;
        let Opened { store, .. } =
            RecordStore::open(files.clone(), self.index.clone(), self.identity.federation, self.limits())
                .map_err(|_| Stop::Down)?;
        let table = WitnessTable::open(files).map_err(|_| Stop::Down)?.0;
        let read = |note: &str| SignedCheckpoint::parse(note).expect("only checked ones are remembered");
        let mut watch = Watch::default();
        table.all().for_each(|(_, known)| watch.restore(read(&known.note)));
        let overlay = Overlay::new(self.begins_to_follow().into_iter(), self.flaws(), self.rng.fork());
        let told = journal.size();
        let kept = store.reader();
        self.live = Some(Live {
            journal,
            federation,
            exchange: Exchange::new(self.identity.node, self.genesis.clone()),
            store,
            kept,
            table,
            watch,
            asking: BTreeMap::new(),
            overlay,
            later: BTreeSet::new(),
            up: BTreeMap::new(),
            blames: BTreeMap::new(),
            told,
            publish_due: false,
            last_head: 0,
            pulls: BTreeMap::new(),
            fetching: Fetching::default(),
            again: BTreeSet::new(),
            turn: None,
            frauds: BTreeMap::new(),
            witnesses: BTreeMap::new(),
            heard: Heard::default(),
            words: Vec::new(),
            judged: BTreeMap::new(),
            passed: BTreeSet::new(),
            trade: None,
        });
        self.restore(context)?;
        self.open_market()?;
        self.begin(context)
    }

    fn files(&self) -> Arc<dyn Files> {
        let below = match self.sabotage {
            Some(MeshSabotage::PublishUnsynced) => "journal/",
            Some(MeshSabotage::RecordsUnsynced) => "records/0",
            Some(MeshSabotage::WitnessUnsynced) => WITNESS_FILE,
            _ => return Arc::new(self.disk.clone()),
        };
        Arc::new(LyingDisk { disk: self.disk.clone(), below })
    }

    fn limits(&self) -> artel_audit::records::Limits {
        match self.sabotage {
            Some(MeshSabotage::CapIgnored) => artel_audit::records::Limits::default(),
            // Nothing is given up, so that every book of evidence may become the same.
            _ if self.seat.is_some() => artel_audit::records::Limits::default(),
            _ => LIMITS,
        }
    }

    /// Folds the journal, and holds it against what was synced and shown before.
    fn fold(&self, context: &mut Context, journal: &Journal) -> Does<Federation> {
        let mut federation = Federation::new(self.identity, options(self.seat.is_some()));
        let mut found = Book::new(self.origin());
        let mut frames = Vec::new();
        let read = journal.reader().replay(0, |entries| {
            frames.push(entries);
            Ok::<(), artel_audit::Error>(())
        });
        match read {
            Ok(_) => {}
            Err(artel_audit::Error::Io { .. }) => return Err(Stop::Down),
            Err(error) => return Err(self.unsound(error.to_string())),
        }
        context.truth.market.read_again(self.slot, &self.identity.node);
        for frame in frames {
            let mut entries = Vec::with_capacity(frame.len());
            for entry in frame {
                let index = found.size();
                found.take(&entry.leaf, &entry.body);
                let decoded = Entry::decode(&entry.body).map_err(|e| self.unsound(e.to_string()))?;
                self.known_to_market(context, index, &decoded)?;
                entries.push(decoded);
            }
            federation.fold(&entries, &mut Vec::new()).map_err(|e| self.unsound(e.to_string()))?;
        }
        if let Some(before) = context.truth.books.get(&self.slot) {
            invariants::what_was_shown_is_synced(self.slot, before, &found)?;
            found.shown = before.shown;
            found.invited = before.invited.clone();
        }
        context.truth.put(self.slot, found);
        Ok(federation)
    }

    /// What is kept of others, and what it says of membership.
    fn restore(&mut self, context: &mut Context) -> Does {
        let slot = self.slot;
        let Some(live) = &mut self.live else { return Err(Stop::Down) };
        let own: Vec<_> = live.federation.view().nodes(None).cloned().collect();
        live.exchange.hear_own(&own);
        if let Some(book) = context.truth.books.get(&slot) {
            live.heard.merge(&book.words);
        }
        let sabotage = match context.sabotage {
            Some(MeshSabotage::EndingsForgotten) => Some(MeshSabotage::EndingsUnheard),
            other => other,
        };
        live.hear_words(sabotage, self.words.clone());
        for (origin, mark) in live.kept.marks() {
            live.exchange.holds_up_to(origin, mark.next, false);
            let mut next = 0;
            loop {
                let (frames, then) = live.kept.frames(&origin, next, READ_BYTES);
                if frames.is_empty() || then <= next {
                    break;
                }
                for frame in frames {
                    let Ok(records) = context.memo.records(&frame) else { continue };
                    let author = records.origin().node();
                    // What it went down while keeping is heard now.
                    for (index, ending) in live.learn(sabotage, &records).ended {
                        let fact = Fact::DelegationEnded(ending);
                        context.truth.market.delegations.hears(slot, author, index, &fact);
                    }
                }
                next = then;
            }
        }
        invariants::kept_records_survive(slot, &context.truth, &live.kept)?;
        invariants::the_witness_remembers(slot, &context.truth, &live.table)?;
        self.look_at_members(context)
    }

    fn begin(&mut self, context: &mut Context) -> Does {
        let now = self.now(context.at);
        let beginning = if self.genesis.is_founder(&self.identity.node) {
            Beginning::Found(self.genesis.clone())
        } else {
            Beginning::Join(Joined { genesis: self.genesis.clone(), recovery: Digest::of(b"recovery") })
        };
        let mut effects = Vec::new();
        let live = self.live()?;
        let fresh = live.federation.size() == 0;
        let software = ("netsim".to_owned(), Digest::of(b"configuration"));
        live.federation.start(fresh.then_some(beginning), software, now, &mut effects);
        self.carry_out(context, None, effects)?;
        let head = GATHER_MS + self.rng.between(200, 1_000);
        let round = self.rng.between(1_000, super::ROUND_MS);
        for (ms, wake) in [
            (FIRST_HEARTBEAT_MS, Wake::Heartbeat),
            (head, Wake::Head),
            (round, Wake::Round),
            (self.rng.between(5, 300), Wake::Dial),
        ] {
            self.out.push(Out::Later(ms, wake));
        }
        self.begin_market(context)
    }
}
