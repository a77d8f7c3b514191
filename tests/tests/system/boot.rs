//! A start that must fail: exit status 1, one sentence that names what is wrong and what to do, nothing changed.

use crate::{artel, fresh};
use artel_protocol::log::SignedCheckpoint;
use artel_tests::agent::{post, task};
use artel_tests::{Agent, Done, wait};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A data directory that has seen some work and was left by a crash, so that the start reads all of its journal. (After
/// a stop a snapshot stands in for it; `audit verify` still reads everything, see audit.rs.)
fn used() -> tempfile::TempDir {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    let mut last = 0;
    for i in 0..5 {
        let id = post(&mut node.operator(), &task(&format!("t{i}"), &["text"], 1));
        let answer = agent.does(&id, &json!({"i": i}));
        last = answer["acknowledgement"]["entry"].as_u64().expect("an entry");
    }
    // Only what the slot covers must be there; the rest is an unfinished end.
    wait::until("a checkpoint over all of it", || {
        let note = node.anonymous().get("/log/checkpoint").text().to_owned();
        (SignedCheckpoint::parse(&note).expect("a checkpoint").size() > last + 1).then_some(())
    });
    node.kill();
    dir
}

/// Every file with its content, but for the lock, which holds nothing.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.file_name().is_some_and(|name| name != "lock") {
                let bytes = fs::read(&path).expect("a file");
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// The first file of the journal.
fn segment(dir: &Path) -> PathBuf {
    let mut files: Vec<_> =
        fs::read_dir(dir.join("journal")).expect("a journal").map(|e| e.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    files.sort();
    files.first().expect("a segment").clone()
}

fn flip(path: &Path, at: impl Fn(&[u8]) -> usize) {
    let mut bytes = fs::read(path).expect("a file");
    let at = at(&bytes);
    bytes[at] ^= 0x10;
    fs::write(path, bytes).expect("the file is written");
}

/// Where some text of a public entry's body could be: a byte well within what the checkpoint covers.
fn within(bytes: &[u8]) -> usize {
    let end = bytes.iter().rposition(|b| *b != 0).expect("a segment is not empty");
    end / 2
}

#[test]
fn a_damaged_or_missing_file_stops_the_start_by_its_name() {
    type Damage = (&'static str, fn(&Path), &'static [&'static str]);
    let damages: &[Damage] = &[
        ("a flipped bit in the journal", |dir| flip(&segment(dir), within), &["journal/", ".seg"]),
        ("a flipped bit in the founding record", |dir| flip(&dir.join("genesis"), |_| 20), &["genesis"]),
        (
            "a journal cut short",
            |dir| {
                let file = fs::OpenOptions::new().write(true).open(segment(dir)).expect("a segment");
                let bytes = fs::read(segment(dir)).expect("a segment");
                file.set_len(within(&bytes) as u64).expect("cut");
            },
            &["journal/", ".seg"],
        ),
        (
            "a journal without its first segment",
            |dir| fs::remove_file(segment(dir)).expect("removed"),
            &["journal", "segments are missing"],
        ),
        (
            "both checkpoint slots damaged",
            |dir| {
                for slot in artel_audit::SLOT_FILES {
                    if dir.join(slot).exists() {
                        flip(&dir.join(slot), |bytes| {
                            bytes.iter().position(|b| *b == b'\n').unwrap_or(40) + 3
                        });
                    }
                }
            },
            &["checkpoint."],
        ),
        (
            "a key that others may read",
            |dir| {
                fs::set_permissions(dir.join("node.key"), fs::Permissions::from_mode(0o644)).expect("chmod");
            },
            &["node.key", "0644", "chmod 600"],
        ),
        (
            "a key that is none",
            |dir| fs::write(dir.join("token.key"), "nonsense").expect("written"),
            &["token.key", "PKCS#8"],
        ),
        (
            "another node's key",
            |dir| {
                let pem = artel_tests::agent::key_of("another node").to_pem();
                fs::write(dir.join("node.key"), pem.as_bytes()).expect("written");
            },
            &["node.key"],
        ),
        (
            "a missing key",
            |dir| fs::remove_file(dir.join("node.key")).expect("removed"),
            &["node.key is missing"],
        ),
        ("a missing data key", |dir| fs::remove_file(dir.join("data.key")).expect("removed"), &["data.key"]),
        (
            "a data key that is none",
            |dir| fs::write(dir.join("data.key"), "nonsense").expect("written"),
            &["data.key"],
        ),
        (
            "an operator's token cut short",
            |dir| fs::write(dir.join("operator.token"), "short").expect("written"),
            &["operator.token"],
        ),
        (
            "an operator's token that others may read",
            |dir| {
                fs::set_permissions(dir.join("operator.token"), fs::Permissions::from_mode(0o640))
                    .expect("chmod");
            },
            &["operator.token", "chmod 600"],
        ),
    ];
    let dir = used();
    for (what, damage, said) in damages {
        let copy = fresh();
        copy_dir(dir.path(), copy.path());
        damage(copy.path());
        let before = contents(copy.path());
        let done: Done = artel().up(copy.path()).fail();
        println!("{what}: {}", done.stderr.trim());
        done.failed_saying(said);
        assert_eq!(done.stderr.trim().lines().count(), 1, "{what}: one sentence: {}", done.stderr);
        let after = contents(copy.path());
        assert_eq!(
            before.keys().collect::<Vec<_>>(),
            after.keys().collect::<Vec<_>>(),
            "{what}: files came or went"
        );
        assert!(before == after, "{what}: a refused start changed a file");
    }
    // What was refused was the damage: the directory itself starts.
    assert_eq!(artel().up(dir.path()).start().stop().code, Some(0));
}

/// Copies a directory with its files' modes.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("copied");
        }
    }
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let dir = fresh();
    let done = artel().up(dir.path()).http(&address).fail();
    done.failed_saying(&[&address, "--http"]);
    assert!(contents(dir.path()).is_empty(), "a start that fails there founds nothing");
    let used = used();
    let before = contents(used.path());
    artel().up(used.path()).http(&address).fail().failed_saying(&[&address, "--http"]);
    assert!(before == contents(used.path()), "and writes nothing");
    drop(taken);
    let node = artel().up(dir.path()).http(&address).start();
    assert_eq!(node.address().to_string(), address, "the same directory starts once the port is free");
}

#[test]
fn an_unknown_or_bad_setting_names_the_one_that_was_meant() {
    let dir = fresh();
    artel().up(dir.path()).set("lease_msec", 1).fail().misused_saying(&[
        "lease_msec",
        "lease_ms",
        "the command line",
    ]);
    artel().up(dir.path()).set("lease_ms", "soon").fail().misused_saying(&["lease_ms", "soon"]);
    artel().up(dir.path()).env("ARTEL_LEASE_MAX", "1").fail().failed_saying(&[
        "lease_max",
        "ARTEL_LEASE_MAX",
        "leases_max",
    ]);
    fs::create_dir_all(dir.path()).expect("a directory");
    fs::write(dir.path().join("config.toml"), "window = 3\n").expect("a file");
    artel().up(dir.path()).fail().failed_saying(&["window", "config.toml", "window_ms"]);
    fs::write(dir.path().join("config.toml"), "window_ms = \n").expect("a file");
    artel().up(dir.path()).fail().failed_saying(&["config.toml", "not TOML"]);
    let none = dir.path().join("nowhere.toml");
    artel().up(dir.path()).arg("--config").arg(&none).fail().failed_saying(&["nowhere.toml"]);
    assert!(!dir.path().join("journal").exists(), "nothing was begun");
}

#[test]
fn beyond_loopback_there_is_no_plain_http_unless_the_operator_says_so() {
    let dir = fresh();
    artel().up(dir.path()).http("0.0.0.0:0").fail().failed_saying(&["TLS"]);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused_by_name() {
    let dir = used();
    let closed: Vec<PathBuf> = ["", "journal"].iter().map(|sub| dir.path().join(sub)).collect();
    let modes: Vec<_> =
        closed.iter().map(|path| fs::metadata(path).expect("a directory").permissions()).collect();
    for path in &closed {
        fs::set_permissions(path, fs::Permissions::from_mode(0o500)).expect("chmod");
    }
    let path = dir.path().to_owned();
    // Root may write everywhere. Capabilities are a thread's own: this one, with what it starts, gives that up.
    let done = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            for over in [CapabilitySet::DAC_OVERRIDE, CapabilitySet::FOWNER] {
                remove_capability_from_bounding_set(over).expect("root may give up rights");
            }
        }
        artel().up(&path).fail()
    });
    let done = done.join().expect("no panic");
    for (path, mode) in closed.iter().zip(modes) {
        fs::set_permissions(path, mode).expect("chmod");
    }
    println!("{}", done.stderr.trim());
    done.failed_saying(&["journal/", "Permission denied"]);
    assert_eq!(artel().up(dir.path()).start().stop().code, Some(0), "nothing was lost");
}
