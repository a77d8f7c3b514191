//! What others' records say of membership, found again at a start without reading all of them: a file of it as it was lately,
//! and the records since. Rebuildable: without the file all kept records are read once.

use crate::data;
use artel_audit::records::Records as Kept;
use artel_federation::exchange::Exchange;
use artel_federation::{Entry, Fact};
use artel_protocol::codec;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use std::path::{Path, PathBuf};

/// The file in the data directory.
const FILE: &str = "members";

/// After how many kept records the file is written anew. As many are read again at most at a start after a crash.
const RECORDS_EACH: u64 = 4_096;

/// How many entries the file has at most (some 20 MiB): a member may admit and expel without end. What comes later counts
/// until the next start, and then no more.
const WORDS_MAX: usize = 1 << 17;

/// How many bytes of frames are read at once.
const READ_BYTES: usize = 1 << 20;

/// Up to where a journal's records are in the file.
type Mark = (Origin, u64);

/// An entry that admits or expels: author, index, body.
type Word = (NodeId, u64, Vec<u8>);

/// Keeps the file.
pub(super) struct Members {
    dir: PathBuf,
    marks: Vec<Mark>,
    words: Vec<Word>,
    since: u64,
}

impl Members {
    /// Tells `exchange` up to where records are kept, and what they say of membership.
    pub fn restore(dir: &Path, kept: &Kept, exchange: &mut Exchange) -> Self {
        let read = std::fs::read(dir.join(FILE)).ok();
        let read = read.and_then(|bytes| codec::decode_large::<(Vec<Mark>, Vec<Word>)>(&bytes).ok());
        let (marks, words) = read.unwrap_or_default();
        for (author, index, body) in &words {
            if let Ok(entry) = Entry::decode(body) {
                exchange.hear(*author, [(*index, &entry.fact)]);
            }
        }
        let mut members = Members { dir: dir.into(), marks, words, since: 0 };
        for (origin, mark) in kept.marks() {
            exchange.holds_up_to(origin, mark.next, false);
            members.read_since(kept, &origin, exchange);
        }
        members
    }

    fn read_since(&mut self, kept: &Kept, origin: &Origin, exchange: &mut Exchange) {
        let known = self.marks.iter().find(|(known, _)| known == origin);
        let mut next = known.map_or(0, |(_, next)| *next);
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

    /// Learns what newly kept records say of membership.
    pub fn learn(&mut self, records: &Records, exchange: &mut Exchange) {
        let author = records.origin().node();
        let mut heard = Vec::new();
        for record in records.records() {
            let Ok(entry) = Entry::decode(&record.body) else { continue };
            if matches!(entry.fact, Fact::Admitted(_) | Fact::Expelled(_)) {
                if self.words.len() < WORDS_MAX {
                    self.words.push((author, record.index, record.body.clone()));
                }
                heard.push((record.index, entry.fact));
            }
        }
        exchange.hear(author, heard.iter().map(|(index, fact)| (*index, fact)));
        self.since += records.records().len() as u64;
    }

    /// Writes the file where enough has come since it was written.
    pub fn save_if_due(&mut self, kept: &Kept) {
        if self.since >= RECORDS_EACH {
            self.save(kept);
        }
    }

    /// Writes the file.
    pub fn save(&mut self, kept: &Kept) {
        self.since = 0;
        self.marks = kept.marks().into_iter().map(|(origin, mark)| (origin, mark.next)).collect();
        let mut bytes = Vec::new();
        codec::encode_large_into(&(&self.marks, &self.words), &mut bytes);
        if let Err(error) = data::replace(&self.dir, FILE, &bytes) {
            tracing::warn!(%error, "the file of members cannot be written; a start reads more records instead");
        }
    }
}
