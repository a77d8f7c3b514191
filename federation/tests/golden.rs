//! Golden entries: one of every kind, byte for byte, and two small journals with the digests of the states that they fold
//! to: a founder's, and that of a node that joined.
//! A byte that changes here changes every journal on every disk: a new form is a new version beside the old one.
//!
//! `ARTEL_WRITE_VECTORS=1 cargo test -p artel-federation --test golden` writes the files anew and fails, so that it
//! cannot be left on; look at the difference before it is committed.

mod common;
mod held;
mod sample;

use artel_federation::fact::*;
use artel_federation::{Entry, Fact, Federation, Identity, Kind, Options};
use artel_protocol::id::Digest;
use artel_protocol::log::leaf::Class;
use artel_protocol::time::Wall;
use common::{genesis, identity, node, peer};
use sample::{
    SECRET, abroad_journal, agent, all_journals, joined, journal, node_journal, run_with_runner, step_id,
    task, task_with_runner, terms_of,
};

/// A file's name, what it holds, and what would be written today.
type File = (&'static str, &'static str, fn() -> String);
const FILES: [File; 3] = [
    ("entries.txt", include_str!("../vectors/entries.txt"), vectors),
    ("nodes.txt", include_str!("../vectors/nodes.txt"), node_vectors),
    ("abroad.txt", include_str!("../vectors/abroad.txt"), abroad_vectors),
];

fn folded(entries: &[Entry]) -> Digest {
    let identity = match &entries[0].fact {
        Fact::Joined(joined) => Identity { node: node(), federation: joined.genesis.id() },
        _ => identity(),
    };
    let mut mind = Federation::new(identity, Options::default());
    mind.fold(entries, &mut Vec::new()).expect("the golden journal folds");
    Digest::of(&mind.snapshot().encode())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn vectors() -> String {
    let journal = journal();
    let mut text = String::from(
        "# One golden entry of every kind that a founder's journal has, as Entry::encode writes it; in this order they are a journal that folds.\n\
         # number TAB kind TAB class TAB what TAB hex of the body. Written by tests/golden.rs, which says how.\n",
    );
    text += &lines(&journal);
    let entries: Vec<Entry> = journal.into_iter().map(|(_, entry)| entry).collect();
    text += &bodies(&entries);
    text += &format!("federation\t{}\n", genesis().id());
    text += &format!("step\t{}\nagent\t{}\nnode\t{}\n", step_id(), agent(), identity().node);
    text += &format!("terms\t{}\n", terms_of(step_id(), &task()));
    text += &format!("terms with a runner\t{}\n", terms_of(run_with_runner().step(0), &task_with_runner()));
    text += &format!("snapshot\t{}\n", folded(&entries));
    text
}

fn lines(journal: &[(&'static str, Entry)]) -> String {
    let line = |(what, entry): &(&'static str, Entry)| {
        let kind = entry.fact.kind();
        let class = if entry.fact.class() == Class::Public { "public" } else { "private" };
        format!("{}\t{}\t{class}\t{what}\t{}\n", kind.number(), kind.name(), hex(&entry.encode()))
    };
    journal.iter().map(line).collect()
}

/// The digest of all bodies one behind the other, so that a reader who knows no rules sees every byte that changes.
fn bodies(entries: &[Entry]) -> String {
    let all: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
    format!("bodies\t{}\n", Digest::of(&all))
}

fn node_vectors() -> String {
    let journal = node_journal();
    let mut text = String::from(
        "# Golden entries of a node that joined a federation, in the form of entries.txt; in this order they are a\n\
         # journal that folds. Written by tests/golden.rs, which says how.\n",
    );
    text += &lines(&journal);
    let entries: Vec<Entry> = journal.into_iter().map(|(_, entry)| entry).collect();
    text += &bodies(&entries);
    text += &format!("federation\t{}\nadmitted\t{}\n", joined().genesis.id(), peer(1));
    text += &format!("secret\t{}\nsnapshot\t{}\n", hex(&SECRET.0), folded(&entries));
    text
}

fn abroad_vectors() -> String {
    let journal = abroad_journal();
    let mut text = String::from(
        "# Golden entries of work between two nodes, at home and away, in the form of entries.txt; in this order they are\n\
         # a journal that folds. Written by tests/golden.rs, which says how.\n",
    );
    text += &lines(&journal);
    let entries: Vec<Entry> = journal.into_iter().map(|(_, entry)| entry).collect();
    text += &bodies(&entries);
    text += &format!("home\t{}\nsnapshot\t{}\n", peer(1), folded(&entries));
    text
}

#[test]
fn golden_entries_have_not_changed() {
    held::have_not_changed(&FILES.map(|(name, held, now)| (name, held, now())));
}

#[test]
fn every_kind_has_a_golden_entry() {
    let kinds: std::collections::BTreeSet<Kind> =
        all_journals().into_iter().map(|(_, entry)| entry.fact.kind()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), Kind::ALL);
}

/// What was written before this program must still be read by it: the file's own bytes, not ours of today.
#[test]
fn golden_entries_still_decode_and_fold() {
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex")).collect()
    };
    for (name, held, _) in FILES {
        let rows: Vec<Vec<&str>> = held.lines().map(|line| line.split('\t').collect()).collect();
        let mut entries = Vec::new();
        for row in rows.iter().filter(|row| row.len() == 5) {
            let body = unhex(row[4]);
            let entry = Entry::decode(&body).expect(row[3]);
            assert_eq!(entry.fact.kind().number().to_string(), row[0]);
            assert_eq!(entry.encode(), body, "{}: one form", row[3]);
            entries.push(entry);
        }
        let snapshot = rows.iter().find(|row| row[0] == "snapshot").expect("the last row")[1];
        assert_eq!(folded(&entries).to_string(), snapshot, "{name}");
    }
}

#[test]
fn a_body_that_is_cut_longer_or_of_another_kind_is_refused() {
    for (what, entry) in all_journals() {
        let body = entry.encode();
        for cut in 0..body.len() {
            assert!(Entry::decode(&body[..cut]).is_err(), "{what} cut at {cut}");
        }
        let longer = [body.clone(), vec![0]].concat();
        assert!(Entry::decode(&longer).is_err(), "{what} with a byte more");
        let with = |at: usize, value: u8| {
            let mut other = body.clone();
            other[at] = value;
            Entry::decode(&other)
        };
        assert_eq!(with(1, 0xff), Err(Error::UnknownKind(u16::from_le_bytes([body[0], 0xff]))), "{what}");
        let kind = entry.fact.kind().number();
        let newer = entry.fact.kind().version() + 1;
        assert_eq!(with(2, newer as u8), Err(Error::UnknownVersion(kind, newer)), "{what}");
    }
}

#[test]
fn what_version_1_can_say_has_no_other_form() {
    let named = |name: &str| journal().into_iter().find(|(what, _)| *what == name).expect(name).1.encode();
    let (first, second) = (named("run posted"), named("run posted with a runner"));
    assert_eq!((first[2], second[2]), (1, 2));
    // Behind the runner (37 bytes) stand no post key, two numbers and the salt. Without it, a version 2 says nothing new.
    let at = second.len() - 19 - 37;
    let mut none = [&second[..at], &[0], &second[at + 37..]].concat();
    let length = none.len() as u32 - 8;
    none[4..8].copy_from_slice(&length.to_le_bytes());
    let error = Entry::decode(&none).expect_err("not its form");
    assert!(error.to_string().contains("a run without a runner is of version 1"), "{error}");
    let submitted =
        |name: &str| all_journals().into_iter().find(|(what, _)| *what == name).expect(name).1.encode();
    let (first, second) = (submitted("submitted"), submitted("submitted by an agent of another node"));
    assert_eq!((first[2], second[2]), (1, 2));
    // It ends with a one, a node (33 bytes), an incarnation and an index.
    let mut none = [&second[..second.len() - 46], &[0]].concat();
    let length = none.len() as u32 - 8;
    none[4..8].copy_from_slice(&length.to_le_bytes());
    let error = Entry::decode(&none).expect_err("not its form");
    assert!(error.to_string().contains("a submission at home alone is of version 1"), "{error}");
    // They end with a one and the agent (33 bytes), and what was paid behind it in a one and 8 bytes.
    for (first, second, behind) in
        [("concluded", "concluded with what was paid", 9), ("let go", "let go of an agent's", 0)]
    {
        let (first, second) = (submitted(first), submitted(second));
        assert_eq!((first[2], second[2]), (1, 2));
        let at = second.len() - 34 - behind;
        let mut none = [&second[..at], &[0], &second[at + 34..]].concat();
        let length = none.len() as u32 - 8;
        none[4..8].copy_from_slice(&length.to_le_bytes());
        let error = Entry::decode(&none).expect_err("not its form");
        assert!(error.to_string().contains("what names no agent is of version 1"), "{error}");
    }
}

/// The fields that a stranger reads first, by hand.
#[test]
fn the_head_of_an_entry_is_as_written_down() {
    let entry = Entry {
        at: Wall(0x0102),
        correlation: None,
        fact: Fact::StepEnded(StepEnded { step: step_id(), end: End::NeedFailed }),
    };
    let mut wanted = vec![55, 0, 1, 0, 29, 0, 0, 0];
    wanted.extend_from_slice(&[0x02, 0x01, 0, 0, 0, 0, 0, 0]);
    wanted.push(0);
    wanted.extend_from_slice(step_id().bytes());
    wanted.extend_from_slice(&[3, 0, 0, 0]);
    assert_eq!(entry.encode(), wanted);
}

/// Numbers of an enum that stand in entries are given once, in this order, and new ones behind them.
#[test]
fn ends_and_accounts_keep_their_numbers() {
    use artel_protocol::codec::encode;
    let ends = [
        End::AttemptsSpent,
        End::LapsesSpent,
        End::DeadlinePassed,
        End::NeedFailed,
        End::Cancelled,
        End::ReleasesSpent,
    ];
    for (number, end) in ends.into_iter().enumerate() {
        assert_eq!(encode(&end), (number as u32).to_le_bytes(), "{end:?}");
    }
    let (agent, step) = (agent(), step_id());
    let accounts = [Account::Operator, Account::Agent(agent), Account::Escrow(step), Account::Poster(step)];
    for (number, account) in accounts.into_iter().enumerate() {
        assert_eq!(encode(&account)[..4], (number as u32).to_le_bytes(), "{account:?}");
    }
    let grounds = [AdmittedBy::Open, AdmittedBy::Invitation(Digest::of(b"x")), AdmittedBy::Operator];
    for (number, by) in grounds.into_iter().enumerate() {
        assert_eq!(encode(&by)[..4], (number as u32).to_le_bytes(), "{by:?}");
    }
}
