use super::*;
use crate::memory::{Fault, MemoryDisk, Plan};
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, PublicKey};

fn origin(at: u8) -> Origin {
    Origin::new(FederationId([2; 32]), NodeId(PublicKey::from_bytes([at; 32])), 0)
}

fn root(size: u64) -> Hash {
    Hash([size as u8; 32])
}

fn note(size: u64) -> String {
    format!("origin\n{size}\nroot\n\n— signature {}\n", "A".repeat(size as usize % 7 * 90))
}

fn open(disk: &MemoryDisk) -> Result<(WitnessTable, Vec<WitnessNotice>), Error> {
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let (mut table, notices) = WitnessTable::open(files)?;
    // So that a short life writes the table anew a few times.
    table.old_bytes = 2000;
    Ok((table, notices))
}

fn sizes(table: &WitnessTable) -> BTreeMap<Origin, u64> {
    for (_, witnessed) in table.all() {
        assert_eq!((witnessed.root, &witnessed.note), (root(witnessed.size), &note(witnessed.size)));
    }
    table.all().map(|(origin, witnessed)| (*origin, witnessed.size)).collect()
}

fn remember(table: &mut WitnessTable, at: u8, size: u64) -> Result<(), WitnessError> {
    table.remember(origin(at), size, root(size), &note(size))
}

/// What was remembered for sure, and of which journal a size may be remembered.
#[derive(Default, Clone)]
struct Model {
    sure: BTreeMap<Origin, u64>,
    perhaps: Vec<(Origin, u64)>,
}

impl Model {
    fn live(&mut self, table: &mut WitnessTable, from: u64, steps: u64) -> u64 {
        let mut failed = 0;
        for step in from..from + steps {
            let at = [1, 2, 1, 3, 1][step as usize % 5];
            match remember(table, at, step + 1) {
                Ok(()) => {
                    self.sure.insert(origin(at), step + 1);
                }
                Err(WitnessError::Disk(_)) => {
                    failed += 1;
                    self.perhaps.push((origin(at), step + 1));
                }
                Err(other) => panic!("{other}"),
            }
            // Lost power or not: what is in memory is what was answered.
            assert_eq!(sizes(table), self.sure);
        }
        failed
    }

    fn check(&self, table: &WitnessTable) {
        let found = sizes(table);
        for (origin, size) in &self.sure {
            let known = found.get(origin).copied().unwrap_or(0);
            let fits = known == *size || known > *size && self.perhaps.contains(&(*origin, known));
            assert!(fits, "{origin}: {known} instead of {size}");
        }
        for (origin, size) in found {
            let fits = self.sure.get(&origin) == Some(&size) || self.perhaps.contains(&(origin, size));
            assert!(fits, "{origin}: {size} was never given");
        }
    }
}

#[test]
fn smaller_sizes_and_forks_are_refused_and_the_same_again_is_well() {
    let disk = MemoryDisk::new();
    let (mut table, _) = open(&disk).expect("a new table");
    remember(&mut table, 1, 5).expect("new");
    let points = disk.points();
    remember(&mut table, 1, 5).expect("the same again");
    assert!(matches!(remember(&mut table, 1, 4), Err(WitnessError::Older { known }) if known.size == 5));
    let fork = table.remember(origin(1), 5, root(9), &note(5));
    assert!(matches!(fork, Err(WitnessError::Fork { known }) if known.root == root(5)));
    let long = "x".repeat(WITNESS_NOTE_BYTES_MAX + 1);
    let refused = table.remember(origin(1), 6, root(6), &long);
    assert!(matches!(refused, Err(WitnessError::NoteTooLarge { .. })));
    let refused = table.remember(origin(1), 6, root(6), "a\0b");
    assert!(matches!(refused, Err(WitnessError::NotANote)));
    assert_eq!(disk.points(), points, "nothing was written");
    remember(&mut table, 1, 6).expect("newer");
    assert_eq!(disk.points(), points + 2, "one write and one sync");
    drop(table);
    let (mut table, notices) = open(&disk).expect("opens");
    assert_eq!((notices, table.get(&origin(1)).map(|w| w.size)), (vec![], Some(6)));
    assert!(matches!(remember(&mut table, 1, 5), Err(WitnessError::Older { .. })));
}

#[test]
fn journals_are_bounded_and_the_known_ones_go_on() {
    let disk = MemoryDisk::new();
    let (mut table, _) = open(&disk).expect("a new table");
    let origin = |at: u32| Origin::new(FederationId([2; 32]), NodeId(PublicKey::from_bytes([1; 32])), at);
    for at in 0..WITNESS_ORIGINS_MAX as u32 {
        table.known.insert(origin(at), Witnessed { size: 1, root: root(1), note: note(1) });
    }
    let refused = table.remember(origin(u32::MAX), 1, root(1), &note(1));
    assert!(matches!(refused, Err(WitnessError::TooManyOrigins)));
    table.remember(origin(7), 2, root(2), &note(2)).expect("known");
}

#[test]
fn the_file_stays_small() {
    let disk = MemoryDisk::new();
    let (mut table, _) = open(&disk).expect("a new table");
    for size in 1..400 {
        remember(&mut table, 1, size).expect("newer");
        let len = disk.contents(WITNESS_FILE).expect("there").len() as u64;
        assert!(len <= table.live * 2 + table.old_bytes + ENTRY_BYTES_MAX, "{len} bytes");
        let counted: u64 = table.all().map(|(_, witnessed)| entry_bytes(witnessed)).sum();
        assert_eq!(table.live, counted);
    }
}

fn points() -> u64 {
    let disk = MemoryDisk::new();
    let (mut table, _) = open(&disk).expect("a new table");
    assert_eq!(Model::default().live(&mut table, 0, 40), 0);
    disk.points()
}

/// Lives with a fault from some point on; a table that cannot be opened is opened again.
fn live_with(plan: Plan) -> (MemoryDisk, Model) {
    let disk = MemoryDisk::with_seed(plan.from);
    disk.plan(plan);
    let mut model = Model::default();
    for _ in 0..8 {
        if let Ok((mut table, _)) = open(&disk) {
            model.live(&mut table, 0, 40);
            break;
        }
    }
    (disk, model)
}

#[test]
fn what_was_remembered_survives_any_fault_at_any_point() {
    let mut opened = 0;
    for from in 0..points() {
        for (fault, count) in
            [(Fault::Crash, 1), (Fault::Eio, 1), (Fault::Eio, 5), (Fault::Full, 1), (Fault::Full, 7)]
        {
            let (disk, model) = live_with(Plan { fault, from, count });
            disk.heal();
            for seed in 0..4 {
                let found = disk.after_crash(seed);
                let (mut table, notices) = open(&found).expect("opens");
                let lost = notices.iter().any(|n| matches!(n, WitnessNotice::Lost { .. }));
                assert!(!lost, "point {from}, {fault:?}: {notices:?}");
                model.check(&table);
                let mut model = Model { sure: sizes(&table), ..Model::default() };
                assert_eq!(model.live(&mut table, 50, 4), 0);
                model.check(&open(&found.after_crash(seed)).expect("opens").0);
                opened += 1;
            }
            // What a dead process left in the kernel's cache is settled by opening.
            if !disk.crashed() {
                let settled = sizes(&open(&disk).expect("opens").0);
                for seed in 0..4 {
                    assert_eq!(sizes(&open(&disk.after_crash(seed)).expect("opens").0), settled);
                }
            }
        }
    }
    assert!(points() > 80 && opened > 1600, "{} points, {opened} openings", points());
}

#[test]
fn a_file_that_failed_is_never_written_again() {
    for (fault, point) in [(Fault::Eio, 0), (Fault::Eio, 1), (Fault::Full, 0)] {
        let disk = MemoryDisk::new();
        let (mut table, _) = open(&disk).expect("a new table");
        remember(&mut table, 1, 5).expect("new");
        disk.plan(Plan { fault, from: disk.points() + point, count: 1 });
        assert!(matches!(remember(&mut table, 1, 6), Err(WitnessError::Disk(_))));
        assert_eq!(table.get(&origin(1)).map(|known| known.size), Some(5));
        let points = disk.points();
        remember(&mut table, 1, 7).expect("into another file");
        assert_eq!(disk.points(), points + 5, "made, written, synced, renamed, its directory synced");
    }
}

#[test]
fn a_power_loss_while_opening_loses_nothing() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let (mut table, _) = open(&disk).expect("a new table");
    model.live(&mut table, 0, 9);
    for point in 0..5 {
        let found = disk.after_crash(point);
        found.plan(Plan { fault: Fault::Crash, from: point, count: 1 });
        assert!(open(&found).is_err() || point == 4);
        for seed in 0..8 {
            model.check(&open(&found.after_crash(seed)).expect("opens").0);
        }
    }
}

#[test]
fn every_flipped_bit_is_repaired_and_said() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let (mut table, _) = open(&disk).expect("a new table");
    model.live(&mut table, 0, 8);
    drop(table);
    let bytes = disk.contents(WITNESS_FILE).expect("there");
    for bit in 0..bytes.len() as u64 * 8 {
        let damaged = disk.copy();
        assert!(damaged.flip(WITNESS_FILE, bit));
        match open(&damaged) {
            Ok((table, notices)) => {
                assert!(matches!(notices[..], [WitnessNotice::Repaired { .. }]), "bit {bit}: {notices:?}");
                assert_eq!(sizes(&table), model.sure, "bit {bit}");
                let (again, notices) = open(&damaged).expect("opens");
                assert_eq!((sizes(&again), notices), (model.sure.clone(), vec![]), "repaired for good");
            }
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
}

#[test]
fn what_damage_takes_is_said() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let (mut table, _) = open(&disk).expect("a new table");
    model.live(&mut table, 0, 8);
    drop(table);
    let bytes = disk.contents(WITNESS_FILE).expect("there");
    // Both copies of an entry that is not the last one, at any place.
    let last = bytes.len() - entry_bytes(&Witnessed { size: 8, root: root(8), note: note(8) }) as usize;
    let mut lost = 0;
    for at in (HEAD_BYTES..last).step_by(61) {
        let damaged = disk.copy();
        let mut changed = bytes.clone();
        let end = last.min(at + 1600);
        changed[at..end].fill(0x55);
        damaged.put(WITNESS_FILE, &changed);
        let (table, notices) = open(&damaged).expect("opens");
        let is_said =
            notices.iter().any(|n| matches!(n, WitnessNotice::Lost { .. } | WitnessNotice::Repaired { .. }));
        assert!(is_said, "{notices:?}");
        let is_lost = notices.iter().any(|n| matches!(n, WitnessNotice::Lost { .. }));
        assert!(is_lost || sizes(&table) == model.sure, "{notices:?}");
        lost += u32::from(is_lost);
    }
    assert!(lost > 10, "{lost}");
    let garbage = disk.copy();
    garbage.put(WITNESS_FILE, &[0x55; 3000]);
    let (_, notices) = open(&garbage).expect("opens");
    assert!(notices.contains(&WitnessNotice::Lost { entries: 1 }), "{notices:?}");
}

#[test]
fn a_loss_is_known_until_it_is_made_up_for() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let (mut table, _) = open(&disk).expect("a new table");
    assert!(!table.is_lost());
    model.live(&mut table, 0, 8);
    drop(table);
    let mut bytes = disk.contents(WITNESS_FILE).expect("there");
    bytes[HEAD_BYTES..HEAD_BYTES + 1600].fill(0x55);
    disk.put(WITNESS_FILE, &bytes);
    // Whenever the power goes while it is found, it is found again or known.
    let mut points = 0;
    loop {
        let found = disk.copy();
        found.plan(Plan { fault: Fault::Crash, from: found.points() + points, count: 1 });
        let opened = open(&found).is_ok();
        for seed in 0..4 {
            let (table, _) = open(&found.after_crash(seed)).expect("opens");
            assert!(table.is_lost(), "point {points}");
        }
        if opened {
            break;
        }
        points += 1;
    }
    assert!(points > 6, "{points}");
    let (table, notices) = open(&disk).expect("opens");
    assert!(matches!(notices[0], WitnessNotice::Lost { .. }), "{notices:?}");
    assert!(table.is_lost());
    drop(table);
    let (mut table, notices) = open(&disk.after_crash(1)).expect("opens");
    assert_eq!((notices, table.is_lost()), (vec![WitnessNotice::StillLost], true));
    remember(&mut table, 9, 3).expect("it is written on");
    table.made_up().expect("a good disk");
    assert!(!table.is_lost());
}

#[test]
fn what_was_made_up_for_stays_so() {
    let disk = MemoryDisk::new();
    disk.put(WITNESS_FILE, &[0x55; 3000]);
    let (mut table, _) = open(&disk).expect("opens");
    for point in 0..2 {
        disk.plan(Plan { fault: Fault::Eio, from: disk.points() + point, count: 1 });
        assert!(table.made_up().is_err());
        assert!(table.is_lost());
        disk.heal();
    }
    table.made_up().expect("a good disk");
    for seed in 0..4 {
        let (table, notices) = open(&disk.after_crash(seed)).expect("opens");
        assert_eq!((notices, table.is_lost()), (vec![], false));
    }
}

#[test]
fn a_cut_takes_the_last_entry_at_most_and_says_so() {
    let (disk, mut model) = (MemoryDisk::new(), Model::default());
    let (mut table, _) = open(&disk).expect("a new table");
    model.live(&mut table, 0, 5);
    let before = (model.sure.clone(), disk.contents(WITNESS_FILE).expect("there").len());
    model.live(&mut table, 5, 1);
    let bytes = disk.contents(WITNESS_FILE).expect("there");
    for cut in before.1..bytes.len() {
        let damaged = disk.copy();
        damaged.put(WITNESS_FILE, &bytes[..cut]);
        let (table, notices) = open(&damaged).expect("opens");
        let half = before.1 + (bytes.len() - before.1) / 2;
        let wanted = if cut < half { &before.0 } else { &model.sure };
        assert_eq!(sizes(&table), *wanted, "cut at {cut}");
        let clean = cut == before.1 || cut == half;
        assert_eq!(notices.is_empty(), clean, "cut at {cut}: {notices:?}");
    }
}

#[test]
fn a_table_of_a_later_version_is_refused() {
    let disk = MemoryDisk::new();
    let mut later = head();
    later[8] = 2;
    let crc = crc32c::crc32c(&later[..12]).to_le_bytes();
    later[12..].copy_from_slice(&crc);
    disk.put(WITNESS_FILE, &later);
    let refused = open(&disk).map(|_| ());
    assert!(matches!(refused, Err(Error::Format { format: 2, .. })));
}
