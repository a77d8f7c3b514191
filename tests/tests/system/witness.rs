//! Nodes that witness each other's logs, as real processes: heads are cosigned by those who checked them, a copy of a data
//! directory that runs beside the original is proven a liar, and what was cosigned is remembered over a restart.

use crate::boot::copy_dir;
use crate::mesh::{founder, invite, member, post};
use crate::{artel, fresh};
use artel_audit::files::Files;
use artel_audit::os::OsFiles;
use artel_audit::records::frauds::Frauds;
use artel_protocol::key::NodeId;
use artel_protocol::log::{Checkpoint, Hash, SignedCheckpoint, Witness, cosignature};
use artel_protocol::witness::{Contradiction, Fraud};
use artel_tests::mesh::{LISTEN, admitted, items, until};
use artel_tests::{Done, Node, wait};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Within which time after the two histories are there a neighbour holds the proof, on a machine that does much else. The test
/// says how long it took: five seconds would be too long for one that does nothing else.
const PROVEN_WITHIN: Duration = Duration::from_secs(20);

fn served(node: &Node) -> SignedCheckpoint {
    let answer = node.anonymous().get("/log/checkpoint");
    assert_eq!(answer.status, 200);
    SignedCheckpoint::parse(answer.text()).expect("a signed checkpoint, whatever lines stand below")
}

fn id(node: &Node) -> NodeId {
    NodeId(artel_protocol::key::PublicKey::from_peer_id(node.peer_id()).expect("an Ed25519 peer id"))
}

/// How many of `by` have cosigned what a node serves now; a line in a witness's name that does not verify fails the test.
fn cosigned(node: &Node, by: &[&Node]) -> usize {
    let checkpoint = served(node);
    let federation = checkpoint.origin().federation();
    let keys: BTreeSet<_> = by.iter().map(|by| Witness { federation, node: id(by) }.note_key()).collect();
    cosignature::known(&checkpoint, &keys).expect("every line in a known name verifies").len()
}

fn again(data: &Path) -> Node {
    artel().up(data).arg("--listen").arg(LISTEN).start()
}

/// The row of a node among another one's peers.
fn row(node: &Node, of: &str) -> Option<Value> {
    items(node, "/v1/peers").into_iter().find(|peer| peer["peer_id"] == of)
}

fn is_proven(node: &Node, liar: &str) -> bool {
    row(node, liar).is_some_and(|row| row["quarantine"] == "proven" && row["status"] == "quarantined")
}

fn verify(what: &Path) -> Done {
    artel().run(["audit", "verify", "--json"].map(std::ffi::OsStr::new).into_iter().chain([what.as_os_str()]))
}

fn proofs(data: &Path) -> Vec<PathBuf> {
    let dir = fs::read_dir(data.join("records/frauds")).expect("a directory of proofs");
    let files = dir.map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "fraud")).collect()
}

#[test]
fn each_log_carries_the_cosignatures_of_the_others() {
    let (a, b, c) = (fresh(), fresh(), fresh());
    let first = founder(a.path());
    let invitation = invite(a.path(), 2);
    let (second, third) = (member(b.path(), &invitation), member(c.path(), &invitation));
    until("all are neighbours", || [&first, &second, &third].iter().all(|node| admitted(node) == 2));
    for node in [&first, &second, &third] {
        post(node, 3);
    }
    for (node, others) in
        [(&first, [&second, &third]), (&second, [&first, &third]), (&third, [&first, &second])]
    {
        until("both others have cosigned", || cosigned(node, &others) == 2);
        let page = node.anonymous().get("/").text().to_owned();
        for other in others {
            let row = || row(node, other.peer_id()).expect("a neighbour");
            // Who is cosigned may have heard of the other one's head a moment later.
            until("it cosigns the other one", || row()["we_witnessed_up_to"].as_u64() > Some(0));
            let row = row();
            assert!(row["witnessed_us_up_to"].as_u64() > Some(0), "{row}");
            assert_eq!(row["quarantine"], Value::Null, "{row}");
            assert!(page.contains(other.peer_id()), "the public page says who witnesses");
        }
        // And so does the command, to people and programs.
        let command = |more: &[&str]| {
            let data = node.data().to_str().expect("UTF-8");
            artel().run(["peers", "--data", data].iter().chain(more).copied())
        };
        let rows = command(&["--json"]).json();
        let rows = rows["items"].as_array().expect("a list");
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert!(rows.iter().all(|row| row["witnessed_us_up_to"].as_u64() > Some(0)), "{rows:?}");
        let table = command(&[]);
        assert_eq!(table.code, Some(0), "{table:?}");
        assert!(others.iter().all(|other| table.stdout.contains(other.peer_id())), "{}", table.stdout);
        assert!(table.stdout.contains("witnessed us to"), "{}", table.stdout);
    }
    // More work: what the others signed before is continued, and cosigned on.
    let before = served(&first).size();
    post(&first, 40);
    until("the longer log is cosigned, too", || {
        served(&first).size() >= before + 40 && cosigned(&first, &[&second, &third]) == 2
    });
}

#[test]
fn a_copied_directory_started_twice_is_proven_and_sent_away() {
    let (a, b, c, d, copy) = (fresh(), fresh(), fresh(), fresh(), fresh());
    let first = founder(a.path());
    let invitation = invite(a.path(), 3);
    let [second, third, fourth] = [b.path(), c.path(), d.path()].map(|data| member(data, &invitation));
    let all = [&first, &second, &third, &fourth];
    until("all are neighbours", || all.iter().all(|node| admitted(node) == 3));
    post(&second, 5);
    until("it is witnessed", || cosigned(&second, &[&first, &third, &fourth]) == 3);
    let liar = second.peer_id().to_owned();
    // One that is away meanwhile is told later.
    assert_eq!((second.stop().code, third.stop().code), (Some(0), Some(0)));
    copy_dir(b.path(), copy.path());
    let (second, clone) = (again(b.path()), again(copy.path()));
    let twice = Instant::now();
    post(&second, 2);
    post(&clone, 3);
    wait::until_within(PROVEN_WITHIN, "both neighbours hold the proof", || {
        (is_proven(&first, &liar) && is_proven(&fourth, &liar)).then_some(())
    });
    println!("proven {:?} after the first post to the second history", twice.elapsed());
    let refused = |node: &Node| {
        let peers = items(node, "/v1/peers");
        peers.iter().any(|peer| peer["reason"].as_str().is_some_and(|why| why.starts_with("fraud_proven")))
    };
    until("and deals with neither any more", || {
        admitted(&first) == 1 && admitted(&fourth) == 1 && (refused(&second) || refused(&clone))
    });
    assert_eq!((second.stop().code, clone.stop().code), (Some(0), Some(0)));
    let third = again(c.path());
    until("who was away is told", || admitted(&third) == 2 && is_proven(&third, &liar));
    let page = first.anonymous().get("/").text().to_owned();
    assert!(page.contains("In quarantine") && page.contains(&liar), "{page}");
    let alarms = items(&first, "/v1/audit/entries?kind=fraud_proven");
    assert_eq!(alarms.len(), 1, "one alarm a proof: {alarms:?}");
    drop((first, third, fourth));

    // Offline, from the neighbour's directory alone; and from the one file, by itself.
    let verified = verify(a.path()).json();
    assert_eq!(verified["sound"], true, "{verified}");
    assert_eq!(verified["illegal"], serde_json::json!([]), "a fork is no breach of the market's rules");
    let [proof] = &verified["frauds"].as_array().expect("a list")[..] else {
        panic!("one proof: {verified}")
    };
    assert_eq!(proof["holds"], true, "{proof}");
    let [file] = &proofs(a.path())[..] else { panic!("one file a node") };
    let fraud = Fraud::read(&fs::read(file).expect("a proof")).expect("it holds, whoever checks it");
    assert_eq!(fraud.origin().node().key().peer_id(), liar);
    assert_eq!(verify(file).json()["lie"], proof["lie"]);
    // After a restart it is known still.
    let first = again(a.path());
    assert!(is_proven(&first, &liar));
    drop(first);

    // A proof that somebody touched is refused by name.
    let mut bytes = fs::read(file).expect("a proof");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(file, bytes).expect("written");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    for done in [verify(a.path()), verify(file)] {
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.stderr.contains(&name), "{}", done.stderr);
    }
}

#[test]
fn a_witness_remembers_over_a_restart_what_it_cosigned() {
    let (a, b, copy) = (fresh(), fresh(), fresh());
    let witness = founder(a.path());
    let invitation = invite(a.path(), 1);
    let node = member(b.path(), &invitation);
    until("it is let in", || admitted(&witness) == 1);
    post(&node, 2);
    until("it is witnessed", || cosigned(&node, &[&witness]) == 1);
    let liar = node.peer_id().to_owned();
    assert_eq!(node.stop().code, Some(0));
    copy_dir(b.path(), copy.path());
    // The original goes on, and is cosigned, and is gone for good.
    let node = again(b.path());
    until("it is back", || admitted(&node) == 1);
    post(&node, 4);
    let size =
        node.operator().get("/v1/audit/entries?limit=200").is(200)["items"].as_array().expect("a list").len()
            as u64;
    until("all of it is cosigned", || served(&node).size() >= size && cosigned(&node, &[&witness]) == 1);
    assert_eq!(node.stop().code, Some(0));
    // Nothing of the record store helps the witness: what it cosigned has to be enough.
    let listening = witness.listening()[0].clone();
    assert_eq!(witness.stop().code, Some(0));
    for entry in fs::read_dir(a.path().join("records")).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.file_name().and_then(|name| name.to_str()) {
            Some("index") => fs::remove_dir_all(path).expect("removed"),
            Some(name) if name.ends_with(".seg") => fs::remove_file(path).expect("removed"),
            _ => {}
        }
    }
    let witness = artel().up(a.path()).arg("--listen").arg(listening).start();
    // The copy, from before, grows past what was cosigned.
    let clone = again(copy.path());
    let id = id(&witness);
    post(&clone, 12);
    until("the witness has the proof", || is_proven(&witness, &liar));
    let checkpoint = served(&clone);
    let key = Witness { federation: checkpoint.origin().federation(), node: id }.note_key();
    let lines =
        cosignature::known(&checkpoint, &BTreeSet::from([key])).expect("no line in its name is forged");
    assert!(lines.is_empty(), "it never cosigned the second history");
}

#[test]
fn a_proof_that_was_kept_is_named_by_the_journal_after_the_next_start() {
    let (a, b) = (fresh(), fresh());
    let first = founder(a.path());
    let second = member(b.path(), &invite(a.path(), 1));
    until("it is let in", || admitted(&first) == 1);
    let origin = served(&second).origin();
    assert_eq!((second.stop().code, first.stop().code), (Some(0), Some(0)));
    // As if the first one had been killed between the proof and the entry.
    let key = artel_node::data::read_key(&b.path().join("node.key")).expect("the node's key");
    let signed = |root| {
        let plain = Checkpoint::new(origin, 99, Hash([root; 32])).expect("plain");
        (&SignedCheckpoint::sign(plain, &key).expect("its own key")).into()
    };
    let lie = Contradiction::TwoRoots { one: signed(1), other: signed(2) };
    let fraud = Fraud::prove(lie, &origin.federation()).expect("a lie");
    let files: Arc<dyn Files> = Arc::new(OsFiles::new(a.path()));
    let (mut frauds, _) = Frauds::open(files, &origin.federation()).expect("a good disk");
    assert!(frauds.keep(&fraud).expect("kept"));
    for _ in 0..3 {
        let first = again(a.path());
        until("an entry says it", || !items(&first, "/v1/audit/entries?kind=fraud_proven").is_empty());
        assert_eq!(items(&first, "/v1/audit/entries?kind=fraud_proven").len(), 1);
        assert_eq!(first.stop().code, Some(0));
    }
}
