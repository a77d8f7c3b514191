//! What strangers get of a journal: all of its public entries, none of the private ones, proven.

mod common;

use artel_audit::Error;
use artel_audit::memory::MemoryDisk;
use artel_audit::public::{RECORD_HEAD_BYTES, RECORDS_BYTES, RECORDS_MAX};
use artel_protocol::holes::clipped;
use artel_protocol::log::Class;
use artel_protocol::record::{FRAME_BYTES_MAX, Records};
use common::{Model, open, origin};
use std::ops::Range;

#[test]
fn whoever_asks_from_any_number_on_gets_all_that_is_public_once_and_in_order() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    model.live(&mut journal, 400).expect("a healthy disk");
    journal.checkpoint().expect("a healthy disk");
    let public: Vec<&[u8]> =
        model.bodies().iter().filter(|e| e.class == Class::Public).map(|e| e.body.as_slice()).collect();
    let (reader, federation) = (journal.reader(), origin().federation());
    for from in [0, 1, public.len() / 2, public.len() - 1, public.len()] {
        let (mut next, mut found, mut frames) = (from as u64, Vec::new(), 0);
        while let Some(made) = reader.records_from(next).expect("it can be read") {
            assert!(made.bytes().len() <= FRAME_BYTES_MAX && made.records().len() <= RECORDS_MAX);
            let read = Records::check(made.bytes(), &federation).expect("others take it");
            assert_eq!(read.records()[0].public_seq, next);
            next = read.records().last().expect("not empty").public_seq + 1;
            found.extend(read.records().iter().map(|record| record.body.clone()));
            frames += 1;
        }
        assert_eq!(found, public[from..], "from {from} on");
        let bytes: usize = found.iter().map(|body| RECORD_HEAD_BYTES + body.len()).sum();
        let least = bytes.div_ceil(RECORDS_BYTES).max(found.len().div_ceil(RECORDS_MAX));
        assert!(frames <= 2 * least, "{frames} frames for {bytes} bytes");
    }
}

#[test]
fn whoever_asks_for_ranges_gets_these_alone() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    model.live(&mut journal, 400).expect("a healthy disk");
    journal.checkpoint().expect("a healthy disk");
    let public = model.bodies().iter().filter(|e| e.class == Class::Public).count() as u64;
    let (reader, federation) = (journal.reader(), origin().federation());
    let every = |step: u64, len: u64| -> Vec<Range<u64>> {
        (0..public / step).map(|n| n * step..n * step + len).collect()
    };
    for ranges in
        [every(public, 1), every(2, 1), every(10, 3), every(97, 40), vec![5..7, public - 1..public + 9]]
    {
        let wanted: Vec<u64> = ranges.iter().cloned().flatten().filter(|seq| *seq < public).collect();
        let (mut left, mut found) = (ranges, Vec::new());
        while let Some(made) = reader.records_in(&left).expect("it can be read") {
            assert!(made.bytes().len() <= FRAME_BYTES_MAX && made.records().len() <= RECORDS_MAX);
            let read = Records::check(made.bytes(), &federation).expect("others take it");
            found.extend(read.records().iter().map(|record| record.public_seq));
            let next = found.last().expect("not empty") + 1;
            left = clipped(&left, next..u64::MAX);
        }
        assert_eq!(found, wanted);
    }
}

#[test]
fn scattered_entries_travel_in_one_frame() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    model.live(&mut journal, 200).expect("a healthy disk");
    journal.checkpoint().expect("a healthy disk");
    let bodies = model.bodies();
    let public = |at: &u64| bodies[*at as usize].class == Class::Public;
    let some: Vec<u64> = (0..bodies.len() as u64).filter(public).step_by(7).collect();
    let made = journal.reader().records(&some).expect("all public");
    let read = Records::check(made.bytes(), &origin().federation()).expect("others take it");
    let indices: Vec<u64> = read.records().iter().map(|record| record.index).collect();
    assert_eq!(indices, some);
}

#[test]
fn what_is_private_or_under_no_checkpoint_yet_is_not_handed_out() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let mut journal = open(&disk, 1).expect("a new journal").journal;
    model.live(&mut journal, 19).expect("a healthy disk");
    let reader = journal.reader();
    let covered = reader.checkpoint().size();
    let beyond = reader.records(&[reader.size() - 1]);
    assert!(covered < reader.size() && matches!(beyond, Err(Error::Beyond { .. })));
    journal.checkpoint().expect("a healthy disk");
    let private = model.bodies().iter().position(|e| e.class == Class::Private).expect("some are") as u64;
    assert!(matches!(reader.records(&[private]), Err(Error::Records(_))));
}
