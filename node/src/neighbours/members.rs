//! What others' records say of membership and of delegations that ended, found again at a start without reading all of them: a file of it as it was lately,
//! and the records since. Rebuildable: without the file all kept records are read once.

use crate::data;
use artel_audit::records::Records as Kept;
use artel_federation::endings::OfNode;
use artel_federation::exchange::Exchange;
use artel_federation::words::Word;
use artel_federation::{Entry, Fact};
use artel_protocol::codec;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The file in the data directory.
const FILE: &str = "members";

/// The form of the file; an unknown one is not read, and the records are. The first form began with the number of its marks,
/// which is never so large.
const FORM: u32 = 0xffff_0003;

/// The form before it, which has no endings: its words are taken, since the records that said them may have gone, and all records
/// that are kept are read for the rest.
const FORM_WITHOUT_ENDINGS: u32 = 0xffff_0002;

/// After how many kept records the file is written anew. As many are read again at most at a start after a crash.
const RECORDS_EACH: u64 = 4_096;

/// How many words are copied under the lock at once, for the file. Larger, and others wait for it; smaller, and it is taken
/// more often.
const PAGE: usize = 2_048;

/// How many bytes of frames are read at once.
const READ_BYTES: usize = 1 << 20;

/// Up to where a journal's records are in the file.
type Mark = (Origin, u64);

/// The last word of an author on a node.
type Row = (NodeId, NodeId, Word);

/// Which agents' delegations to a node are over.
type Ended = (NodeId, OfNode);

/// Keeps the file.
pub(super) struct Members {
    dir: PathBuf,
    since: u64,
    /// How many words may find no place before that is said again.
    unheard_max: u64,
}

impl Members {
    /// Tells `exchange` up to where records are kept, and what they say of membership.
    pub fn restore(dir: &Path, kept: &Kept, exchange: &mut Exchange) -> Self {
        let read = std::fs::read(dir.join(FILE)).ok();
        let (marks, rows, ended) = read.as_deref().and_then(decode).unwrap_or_default();
        exchange.take_words(rows);
        exchange.take_endings(ended);
        let marks: BTreeMap<Origin, u64> = marks.into_iter().collect();
        let mut members = Members { dir: dir.into(), since: 0, unheard_max: 0 };
        for (origin, mark) in kept.marks() {
            exchange.holds_up_to(origin, mark.next, false);
            let next = marks.get(&origin).copied().unwrap_or_default();
            members.read_since(kept, (&origin, next), exchange);
        }
        members
    }

    fn read_since(&mut self, kept: &Kept, (origin, mut next): (&Origin, u64), exchange: &mut Exchange) {
        loop {
            let (frames, then) = kept.frames(origin, next, READ_BYTES);
            if frames.is_empty() || then <= next {
                return;
            }
            for frame in frames {
                // They were checked before they were kept; checking them again costs a signature for each frame.
                if let Ok(records) = Records::check(&frame, &origin.federation()) {
                    self.learn(&records, exchange);
                }
            }
            next = then;
        }
    }

    /// Learns what newly kept records say; whose delegations to their author are over by them.
    pub fn learn(&mut self, records: &Records, exchange: &mut Exchange) -> Vec<AgentId> {
        let author = records.origin().node();
        let entries = records.records().iter().filter_map(|record| {
            let fact = Entry::decode(&record.body).ok()?.fact;
            let is_heard = matches!(fact, Fact::Admitted(_) | Fact::Expelled(_) | Fact::DelegationEnded(_));
            is_heard.then_some((record.index, fact))
        });
        let entries: Vec<(u64, Fact)> = entries.collect();
        exchange.hear(author, entries.iter().map(|(index, fact)| (*index, fact)));
        self.since += records.records().len() as u64;
        let unheard = exchange.unheard();
        if unheard > self.unheard_max {
            self.unheard_max = 2 * unheard;
            tracing::warn!(%author, unheard, "admissions or expulsions find no place and are not heard");
        }
        let ended = entries.into_iter().filter_map(|(_, fact)| match fact {
            Fact::DelegationEnded(f) => Some(f.agent),
            _ => None,
        });
        ended.collect()
    }

    /// Writes the file where enough has come since it was written, or since that was tried.
    pub fn save_if_due(&mut self, kept: &Kept, exchange: &Mutex<Exchange>) {
        if self.since >= RECORDS_EACH {
            self.save_if_possible(kept, exchange);
        }
    }

    /// Writes the file, if that can be done: without it a start reads more records.
    pub fn save_if_possible(&mut self, kept: &Kept, exchange: &Mutex<Exchange>) {
        if let Err(error) = self.save(kept, exchange) {
            tracing::warn!(%error, "the file of members cannot be written; a start reads more records instead");
        }
    }

    /// Writes the file. All that is kept was heard before.
    ///
    /// # Errors
    /// What the disk says: then what it would have said stands in the kept records alone, and none of them may go.
    pub fn save(&mut self, kept: &Kept, exchange: &Mutex<Exchange>) -> Result<(), data::Error> {
        self.since = 0;
        // The marks first: what is heard meanwhile is read once more, and says nothing new then.
        let marks: Vec<Mark> = kept.marks().into_iter().map(|(origin, mark)| (origin, mark.next)).collect();
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let last = rows.last().map(|(author, node, _)| (*author, *node));
            let before = rows.len();
            rows.extend(locked(exchange).words().after(last).take(PAGE));
            if rows.len() == before {
                break;
            }
        }
        let ended: Vec<Ended> =
            locked(exchange).endings().all().map(|(node, of)| (*node, of.clone())).collect();
        let mut bytes = Vec::new();
        codec::encode_large_into(&(FORM, marks, rows, ended), &mut bytes);
        data::replace(&self.dir, FILE, &bytes)
    }
}

/// What a file says.
fn decode(bytes: &[u8]) -> Option<(Vec<Mark>, Vec<Row>, Vec<Ended>)> {
    if let Some(bytes) = bytes.strip_prefix(FORM_WITHOUT_ENDINGS.to_le_bytes().as_slice()) {
        let (_, rows) = codec::decode_large::<(Vec<Mark>, Vec<Row>)>(bytes).ok()?;
        return Some((Vec::new(), rows, Vec::new()));
    }
    codec::decode_large(bytes.strip_prefix(FORM.to_le_bytes().as_slice())?).ok()
}

fn locked(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbours::open_store;
    use artel_audit::os::OsFiles;
    use artel_federation::fact::{Admission, Admitted, AdmittedBy, DelegationEnded, Expelled, Genesis};
    use artel_federation::words::WORDS_EACH;
    use artel_protocol::id::{Digest, FederationId};
    use artel_protocol::key::PublicKey;
    use artel_protocol::time::Wall;
    use std::sync::Arc;

    const FOUNDER: u32 = 1_000_000;

    fn nth(n: u32) -> NodeId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        NodeId(PublicKey::from_bytes(key))
    }

    fn exchange() -> Exchange {
        let (name, admission, recovery) = ("test".into(), Admission::Invitation, Digest([0; 32]));
        let founders = vec![nth(FOUNDER)];
        Exchange::new(nth(FOUNDER + 1), Genesis { name, founders, admission, recovery, created: Wall(0) })
    }

    fn admitted(n: u32) -> Fact {
        Fact::Admitted(Admitted { node: nth(n), by: AdmittedBy::Operator })
    }

    fn agent(n: u32) -> AgentId {
        AgentId(nth(n).0)
    }

    fn ended(n: u32) -> Fact {
        Fact::DelegationEnded(DelegationEnded { agent: agent(n), before: Wall(7) })
    }

    fn expelled(n: u32) -> Fact {
        Fact::Expelled(Expelled { node: nth(n), reason: "x".into() })
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_and_the_old_one_stands() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Arc::new(OsFiles::new(dir.path()));
        let store = open_store(dir.path(), files, FederationId([3; 32])).expect("a new store");
        let mut members = Members::restore(dir.path(), &store.reader(), &mut exchange());
        // Nothing can be put in the place of a directory.
        std::fs::create_dir(dir.path().join(FILE)).expect("made");
        assert!(members.save(&store.reader(), &Mutex::new(exchange())).is_err());
        std::fs::remove_dir(dir.path().join(FILE)).expect("removed");
        members.save(&store.reader(), &Mutex::new(exchange())).expect("written");
    }

    #[test]
    fn who_is_expelled_is_so_after_a_start_however_much_was_said_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Arc::new(OsFiles::new(dir.path()));
        let store = open_store(dir.path(), files, FederationId([3; 32])).expect("a new store");
        let mut heard = exchange();
        let mut members = Members::restore(dir.path(), &store.reader(), &mut heard);
        heard.hear(nth(FOUNDER), [(1, &admitted(1)), (2, &admitted(2))]);
        // Member 1 says all that it may and more, again and again, before anybody says anything else.
        for round in 0..3 {
            let facts: Vec<Fact> = (0..2 * WORDS_EACH as u32).map(|n| admitted(100 + n)).collect();
            let index = |at: usize| (round * 2 * WORDS_EACH + at) as u64;
            heard.hear(nth(1), facts.iter().enumerate().map(|(at, fact)| (index(at), fact)));
        }
        heard.hear(nth(1), [(1 << 20, &expelled(101))]);
        heard.hear(nth(1), [(1 << 21, &ended(5))]);
        heard.hear(nth(2), [(1, &admitted(90_000)), (2, &admitted(90_001)), (3, &expelled(90_000))]);
        heard.hear(nth(FOUNDER), [(3, &expelled(90_001))]);
        let heard = Mutex::new(heard);
        members.save(&store.reader(), &heard).expect("written");
        let heard = heard.into_inner().expect("no thread panicked");
        let mut found = exchange();
        assert!(
            std::fs::read(dir.path().join(FILE)).is_ok_and(|bytes| bytes.starts_with(&FORM.to_le_bytes()))
        );
        Members::restore(dir.path(), &store.reader(), &mut found);
        assert_eq!(found.members().count(), 3 + WORDS_EACH - 1);
        assert!(
            found.members().eq(heard.members()) && found.words().after(None).eq(heard.words().after(None))
        );
        assert_eq!(found.endings().ended(&nth(1), &agent(5)), Some(Wall(7)));
        for gone in [101, 90_000, 90_001] {
            assert!(!found.is_member(&nth(gone)), "{gone}");
        }
        // A file of the form before: its words stand, and all records are to be read for the rest.
        let rows: Vec<Row> = heard.words().after(None).collect();
        let mut bytes = Vec::new();
        codec::encode_large_into(&(FORM_WITHOUT_ENDINGS, Vec::<Mark>::new(), rows), &mut bytes);
        std::fs::write(dir.path().join(FILE), bytes).expect("written");
        let mut found = exchange();
        Members::restore(dir.path(), &store.reader(), &mut found);
        assert!(found.members().eq(heard.members()));
        // A file of the first form, with two marks: nothing of it is read.
        std::fs::write(dir.path().join(FILE), [&2u64.to_le_bytes()[..], &[0xee; 500]].concat())
            .expect("written");
        let mut found = exchange();
        Members::restore(dir.path(), &store.reader(), &mut found);
        assert_eq!(found.members().count(), 1);
    }
}
