//! One record of another node out of those that are kept, by its place in its author's journal; and what the mesh has carried.

use super::Neighbours;
use artel_protocol::log::{Origin, Proof};
use artel_protocol::record::{Record, Records};
use std::cmp::Ordering;

impl Neighbours {
    /// What went through the mesh since the start.
    pub fn counts(&self) -> artel_mesh::Counts {
        self.shared.mesh.counts()
    }

    /// Another node's record at an index of its journal, with the proof that it stands there; nothing where it is not held. Reads
    /// and checks some ten frames.
    pub fn record_at(&self, origin: &Origin, index: u64) -> Option<(Record, Proof)> {
        let mark = self.shared.records.mark(origin);
        let (mut low, mut high) = (mark.floor, mark.next);
        // The numbers of records rise with their indices.
        while low < high {
            let seq = low + (high - low) / 2;
            let frame = self.shared.records.frame(origin, seq)?;
            let records = Records::check(&frame, &origin.federation()).ok()?;
            let record = records.records().iter().find(|record| record.public_seq == seq)?;
            match record.index.cmp(&index) {
                Ordering::Equal => return Some((record.clone(), records.proof_of(seq)?)),
                Ordering::Less => low = seq + 1,
                Ordering::Greater => high = seq,
            }
        }
        None
    }
}
