//! What homes' own logs say against them, for `artel audit verify`: this directory's own log, and the records that it holds of
//! others. The bytes may all be sound; what they tell is judged by the rules (`artel_federation::conduct`).

use artel_audit::files::Files;
use artel_audit::records::{Scanned, scan};
use artel_federation::conduct::{Conduct, Illegal, about_a_step};
use artel_federation::{Entry, Fact};
use artel_protocol::log::{Class, Origin};
use artel_protocol::record::Records;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many entries are read at once.
const STRIDE: u64 = 1_024;

/// The most bytes of entries that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The most records of others that are looked at (1,048,576, some 300 MiB). What is beyond is said to be left out.
const RECORDS_MAX: usize = 1 << 20;

/// The most findings that are listed; further ones of the same liar say nothing new.
const FINDINGS_MAX: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Entries of this directory's own log.
    pub own: Vec<Illegal>,
    /// Entries of others' logs, by the records that are held.
    pub others: Vec<(Origin, Illegal)>,
    /// How many records of others were looked at.
    pub records: u64,
    /// Whether records were left out, because there are too many.
    pub left_out: bool,
}

impl Found {
    /// For programs: whose log, entry, step, and what is wrong.
    pub fn json(&self, own: &Origin) -> Value {
        let row = |origin: &Origin, illegal: &Illegal| {
            json!({
                "origin": origin.to_string(),
                "entry": illegal.index,
                "step_id": illegal.step.to_string(),
                "what": illegal.breach.to_string(),
            })
        };
        let own = self.own.iter().map(|illegal| row(own, illegal));
        Value::Array(own.chain(self.others.iter().map(|(origin, illegal)| row(origin, illegal))).collect())
    }

    /// For people, a line each.
    pub fn lines(&self) -> Vec<String> {
        let line = |whose: String, illegal: &Illegal| {
            format!(
                "entry {} of {whose} breaks the rules: step {} is {}",
                illegal.index, illegal.step, illegal.breach
            )
        };
        let own = self.own.iter().map(|illegal| line("this log".into(), illegal));
        let others = self.others.iter().map(|(origin, illegal)| line(origin.node().to_string(), illegal));
        let left_out =
            self.left_out.then(|| format!("only the first {RECORDS_MAX} records of others were looked at"));
        own.chain(others).chain(left_out).collect()
    }
}

/// Judges what a data directory holds. Its bytes were verified before.
///
/// # Errors
/// What cannot be read.
pub fn of_directory(files: Arc<dyn Files>) -> anyhow::Result<Found> {
    let reader = artel_audit::archive::open(files.clone())?;
    let (mut found, mut conduct) = (Found::default(), Conduct::default());
    let (mut index, end) = (0, reader.checkpoint().size());
    while index < end && found.own.len() < FINDINGS_MAX {
        let stride: Vec<u64> = (index..end.min(index + STRIDE)).collect();
        let (entries, next) = reader.some(&stride, READ_BYTES)?;
        index = next.unwrap_or(index + stride.len() as u64);
        for stored in entries.iter().filter(|entry| entry.leaf.class() == Class::Public) {
            // What a later version wrote is passed over, as everywhere.
            let Ok(entry) = Entry::decode(&stored.body) else { continue };
            found.own.extend(conduct.read(stored.index, &entry.fact));
        }
    }
    let own = reader.checkpoint().origin();
    for (origin, told) in held(files, &own, &mut found)? {
        found.others.extend(of_author(told).into_iter().map(|illegal| (origin, illegal)));
        found.others.truncate(FINDINGS_MAX);
    }
    Ok(found)
}

/// An author's records by their numbers: where each stands, and what it says of a step.
type Told = BTreeMap<u64, (u64, Option<Fact>)>;

/// The records that are held of others, each checked once more: what is held against somebody must be proven.
fn held(files: Arc<dyn Files>, own: &Origin, found: &mut Found) -> anyhow::Result<BTreeMap<Origin, Told>> {
    let mut authors: BTreeMap<Origin, Told> = BTreeMap::new();
    for scanned in scan(files, own.federation())? {
        let Scanned::Frame { bytes, .. } = scanned? else { continue };
        let Ok(records) = Records::check(&bytes, &own.federation()) else { continue };
        let told = authors.entry(records.origin()).or_default();
        for record in records.records() {
            if found.records >= RECORDS_MAX as u64 {
                found.left_out = true;
                return Ok(authors);
            }
            let fact = Entry::decode(&record.body).ok().map(|entry| entry.fact).and_then(about_a_step);
            found.records += u64::from(told.insert(record.public_seq, (record.index, fact)).is_none());
        }
    }
    Ok(authors)
}

fn of_author(told: Told) -> Vec<Illegal> {
    let (mut conduct, mut next, mut illegal) = (Conduct::default(), 0, Vec::new());
    for (public_seq, (index, fact)) in told {
        if public_seq != next {
            conduct.miss();
        }
        next = public_seq + 1;
        illegal.extend(fact.and_then(|fact| conduct.read(index, &fact)));
    }
    illegal
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use artel_audit::index::MemoryStore;
    use artel_audit::memory::MemoryDisk;
    use artel_audit::records::{Item, Limits, NewFrame, RecordStore};
    use artel_audit::{Commit, Journal, KeyRing, NewEntry, Options, Reader};
    use artel_federation::conduct::Breach;
    use artel_federation::fact::{Authority, Granted, Offered};
    use artel_protocol::amount::Credits;
    use artel_protocol::id::{Digest, Epoch, FederationId, RunId, StepId};
    use artel_protocol::key::{AgentId, NodeId, SecretKey};
    use artel_protocol::time::Wall;
    use artel_reputation::{Complexity, Level};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn step() -> StepId {
        RunId::new(Wall(1), [7; 9]).step(0)
    }

    fn offered() -> Fact {
        Fact::Offered(Offered {
            step: step(),
            epoch: Epoch(1),
            skills: vec![],
            complexity: Complexity::Simple,
            level_min: None,
            reward: Credits::ZERO,
            deadline: Wall(9),
            terms: Digest::of(b""),
            window_ms: 0,
            top: 8,
            verdict_within_ms: 1,
        })
    }

    fn granted(to: u8) -> Fact {
        Fact::Granted(Granted {
            step: step(),
            epoch: Epoch(1),
            agent: AgentId(SecretKey::from_seed(&[to; 32]).public()),
            level: Level::Novice,
            bound: 0,
            lease_ms: 1,
            authority: Authority::Session,
        })
    }

    /// A node's log on a disk of its own. No rules fold it, so it may say anything.
    pub fn log(seed: u8, facts: Vec<Fact>) -> (MemoryDisk, Reader) {
        let disk = MemoryDisk::new();
        let signer = SecretKey::from_seed(&[seed; 32]);
        let origin = Origin::new(FederationId([2; 32]), NodeId(signer.public()), 0);
        let ring = Arc::new(KeyRing::generate(&mut StdRng::seed_from_u64(3)));
        let (files, entropy) = (Arc::new(disk.clone()), Box::new(StdRng::seed_from_u64(4)));
        let opened = Journal::open(files, Options::new(origin), Arc::new(signer), ring, entropy);
        let mut journal = opened.expect("a good disk").journal;
        for fact in facts {
            let entry = Entry { at: Wall(1), correlation: None, fact };
            let mut commit = Commit::<()>::new();
            commit.frame(vec![NewEntry { class: entry.fact.class(), body: entry.encode() }]).expect("room");
            drop(journal.commit(commit).expect("a good disk"));
        }
        journal.checkpoint().expect("a good disk");
        (disk, journal.reader())
    }

    fn found(disk: &MemoryDisk) -> Found {
        of_directory(Arc::new(disk.clone())).expect("a good disk")
    }

    pub fn keep(disk: &MemoryDisk, records: &Records) {
        let (files, index) = (Arc::new(disk.clone()), Arc::new(MemoryStore::default()));
        let federation = records.origin().federation();
        let opened = RecordStore::open(files, index, federation, Limits::default()).expect("a good disk");
        let mut store = opened.store;
        let items =
            records.records().iter().map(|r| Item { public_seq: r.public_seq, index: r.index }).collect();
        let frame = NewFrame { origin: records.origin(), topic: 0, bytes: records.bytes().to_vec(), items };
        store.append(vec![frame]).expect("a good disk");
    }

    #[test]
    fn a_home_that_grants_twice_is_shown_by_its_own_log() {
        let (honest, _) = log(1, vec![offered(), granted(7)]);
        assert!(found(&honest).lines().is_empty());
        let (liar, reader) = log(2, vec![offered(), granted(7), granted(8)]);
        let own = found(&liar);
        assert_eq!(own.own, [Illegal { index: 2, step: step(), breach: Breach::GrantedTwice }]);
        assert!(own.lines()[0].starts_with("entry 2 of this log breaks the rules"), "{:?}", own.lines());

        // And by the records that another node holds of it.
        keep(&honest, &reader.records(&[0, 1, 2]).expect("public entries"));
        let theirs = found(&honest);
        assert_eq!(theirs.own, []);
        assert_eq!(theirs.others, [(reader.checkpoint().origin(), own.own[0])]);
        assert_eq!(theirs.records, 3);
        let (holder, _) = log(3, vec![]);
        keep(&holder, &reader.records(&[1]).expect("public entries"));
        assert!(found(&holder).others.is_empty(), "one grant alone is none of it");
    }
}
