//! Whether the lots of submissions are what their witnesses drew, for `artel audit verify`: in this directory's own log, and in the
//! records that it holds of others. Offline: each cosignature, and in the own log each root that it is of, is checked again.

use artel_audit::files::Files;
use artel_audit::records::{Scanned, scan};
use artel_audit::{Error, Reader};
use artel_federation::fact::{Lot, Witnessing};
use artel_federation::{Entry, Fact, Kind};
use artel_protocol::id::{Digest, StepId};
use artel_protocol::log::{Class, Origin};
use artel_protocol::record::Records;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many entries are read at once.
const STRIDE: u64 = 1_024;

/// The most bytes of entries that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The most lots that are looked at, each with three signatures (some 200 µs). Further ones are counted and not checked.
const LOTS_MAX: u64 = 65_536;

/// The most findings that are listed; further ones of the same liar say nothing new.
const FINDINGS_MAX: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Lots that hold.
    good: u64,
    /// How many of these nobody witnessed.
    alone: u64,
    /// Lots whose submission is not here, or that are too many.
    unchecked: u64,
    /// How many were checked.
    looked_at: u64,
    wrong: Vec<Wrong>,
}

/// A lot that is not what its witnesses drew.
#[derive(Debug)]
struct Wrong {
    origin: Origin,
    entry: u64,
    step: StepId,
    what: String,
}

impl Wrong {
    fn line(&self) -> String {
        let Wrong { origin, entry, step, what } = self;
        format!("entry {entry} of {}: the lot of step {step} is wrong: {what}", origin.node())
    }
}

/// The public entries of a journal that matter: submissions' digests and lots, by index.
#[derive(Default)]
struct Told {
    submitted: BTreeMap<u64, Digest>,
    lots: BTreeMap<u64, Lot>,
}

impl Found {
    /// For programs.
    pub fn json(&self) -> Value {
        let row = |wrong: &Wrong| json!({"origin": wrong.origin.to_string(), "entry": wrong.entry, "step_id": wrong.step.to_string(), "what": wrong.what});
        let wrong: Vec<Value> = self.wrong.iter().map(row).collect();
        json!({"good": self.good, "unwitnessed": self.alone, "unchecked": self.unchecked, "wrong": wrong})
    }

    /// For people, a line each.
    pub fn lines(&self) -> Vec<String> {
        let (good, alone) = (self.good, self.alone);
        let held =
            (good > 0).then(|| format!("{good} lots hold, of which {alone} were drawn without a witness"));
        held.into_iter().chain(self.wrong.iter().map(Wrong::line)).collect()
    }

    /// A lot in a journal that is not what its witnesses drew, in a sentence.
    pub fn wrong_of(&self, journal: &Origin) -> Option<String> {
        self.wrong.iter().find(|wrong| wrong.origin == *journal).map(Wrong::line)
    }

    fn check(&mut self, origin: &Origin, told: Told, reader: Option<&Reader>) -> anyhow::Result<()> {
        for (index, lot) in told.lots {
            let submission = told.submitted.get(&lot.submitted).filter(|_| lot.submitted < index);
            let Some(submission) = submission.filter(|_| self.looked_at < LOTS_MAX) else {
                self.unchecked += 1;
                continue;
            };
            self.looked_at += 1;
            let mut verdict = lot.verify(submission, origin).map_err(|wrong| wrong.to_string());
            if let (Ok(()), Some(reader)) = (&verdict, reader)
                && !stands_in(reader, &lot.witnesses)?
            {
                verdict = Err("a witness cosigned another root than this log has".into());
            }
            match verdict {
                Ok(()) => {
                    self.good += 1;
                    self.alone += u64::from(!lot.is_witnessed());
                }
                Err(what) if self.wrong.len() < FINDINGS_MAX => {
                    self.wrong.push(Wrong { origin: *origin, entry: index, step: lot.step, what });
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

impl Told {
    fn hear(&mut self, index: u64, body: &[u8]) {
        let number = body.first_chunk().map(|number| u16::from_le_bytes(*number));
        match number.and_then(Kind::of) {
            Some(Kind::Submitted) => drop(self.submitted.insert(index, Digest::of(body))),
            Some(Kind::Lot) => {
                // What a later version wrote is passed over, as everywhere.
                if let Ok(Entry { fact: Fact::Lot(lot), .. }) = Entry::decode(body) {
                    self.lots.insert(index, lot);
                }
            }
            _ => {}
        }
    }
}

/// Whether the log has the roots that witnesses cosigned, as far as it reaches.
fn stands_in(reader: &Reader, witnesses: &[Witnessing]) -> Result<bool, Error> {
    for cosigned in witnesses.iter().filter_map(|one| one.cosigned) {
        if cosigned.size <= reader.checkpoint().size() && reader.root(cosigned.size)? != cosigned.root {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks what a data directory holds. Its bytes were verified before.
///
/// # Errors
/// What cannot be read.
pub fn of_directory(files: Arc<dyn Files>) -> anyhow::Result<Found> {
    let reader = artel_audit::archive::open(files.clone())?;
    let (mut found, mut told) = (Found::default(), Told::default());
    let (mut index, end) = (0, reader.checkpoint().size());
    while index < end {
        let stride: Vec<u64> = (index..end.min(index + STRIDE)).collect();
        let (entries, next) = reader.some(&stride, READ_BYTES)?;
        index = next.unwrap_or(index + stride.len() as u64);
        let public = entries.iter().filter(|entry| entry.leaf.class() == Class::Public);
        public.for_each(|entry| told.hear(entry.index, &entry.body));
    }
    let own = reader.checkpoint().origin();
    found.check(&own, told, Some(&reader))?;
    let mut others = BTreeMap::<Origin, Told>::new();
    for scanned in scan(files, own.federation())? {
        let Scanned::Frame { bytes, .. } = scanned? else { continue };
        let Ok(records) = Records::check(&bytes, &own.federation()) else { continue };
        let told = others.entry(records.origin()).or_default();
        records.records().iter().for_each(|record| told.hear(record.index, &record.body));
    }
    for (origin, told) in others {
        found.check(&origin, told, None)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::conduct::tests::{keep, log};
    use artel_audit::memory::MemoryDisk;
    use artel_federation::fact::{Authority, Cosigned, Submitted};
    use artel_federation::redo::{draws, lot};
    use artel_protocol::id::{Epoch, FederationId, RunId};
    use artel_protocol::key::{AgentId, NodeId, SecretKey};
    use artel_protocol::log::{Checkpoint, Cosignature, Hash};
    use artel_protocol::time::Wall;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 32])
    }

    fn submitted() -> Fact {
        Fact::Submitted(Submitted {
            step: RunId::new(Wall(1), [7; 9]).step(0),
            epoch: Epoch(1),
            agent: AgentId(key(20).public()),
            result: Digest::of(b"result"),
            authority: Authority::Session,
            late: false,
            handed_at: None,
        })
    }

    /// The lot of the submission that is the first entry of node 1's log, by a witness that cosigned this root of one entry.
    fn lot_of(root: Hash, chosen: bool) -> Fact {
        let submission = Digest::of(&Entry { at: Wall(1), correlation: None, fact: submitted() }.encode());
        let journal = Origin::new(FederationId([2; 32]), NodeId(key(1).public()), 0);
        let checkpoint = Checkpoint::new(journal, 1, root).expect("plain");
        let made = Cosignature::sign(&checkpoint, &key(2), 9).expect("a plain time");
        let cosigned = Cosigned { size: 1, root, at_s: 9, signature: made.signature() };
        let witnesses = vec![Witnessing { node: NodeId(key(2).public()), cosigned: Some(cosigned) }];
        let drawn_by = lot::drawn_by(&submission, &witnesses).expect("one has cosigned");
        let lot = if chosen { Digest::of(b"chosen") } else { drawn_by };
        let Fact::Submitted(Submitted { step, epoch, agent, .. }) = submitted() else {
            unreachable!("it is one")
        };
        let drawn = draws(&lot, 700);
        Fact::Lot(Lot { step, epoch, agent, submitted: 0, rate: 700, witnesses, lot, drawn })
    }

    fn found(disk: &MemoryDisk) -> Found {
        of_directory(Arc::new(disk.clone())).expect("a good disk")
    }

    #[test]
    fn a_lot_that_home_chose_or_over_another_root_is_shown_by_its_own_log_and_by_its_records() {
        let root = log(1, vec![submitted()]).1.root(1).expect("one entry");
        let (honest, _) = log(1, vec![submitted(), lot_of(root, false)]);
        let good = found(&honest);
        assert_eq!((good.good, good.alone, good.wrong.len()), (1, 0, 0), "{:?}", good.lines());
        for (root, chosen, what) in [
            (root, true, "the lot does not follow from the cosignatures"),
            (Hash([9; 32]), false, "a witness cosigned another root than this log has"),
        ] {
            let (liar, reader) = log(1, vec![submitted(), lot_of(root, chosen)]);
            let own = found(&liar);
            assert_eq!((own.good, own.wrong.len()), (0, 1));
            assert!(own.lines()[0].contains(what), "{:?}", own.lines());
            assert_eq!(own.wrong_of(&reader.checkpoint().origin()).as_ref(), own.lines().first());
            // Who holds its records alone cannot say what the root is.
            let (holder, _) = log(3, vec![]);
            keep(&holder, &reader.records(&[0, 1]).expect("public entries"));
            assert_eq!(
                (found(&holder).good, found(&holder).wrong.len()),
                if chosen { (0, 1) } else { (1, 0) }
            );
            let (holder, _) = log(3, vec![]);
            keep(&holder, &reader.records(&[1]).expect("public entries"));
            assert_eq!((found(&holder).unchecked, found(&holder).wrong.len()), (1, 0));
        }
    }
}
