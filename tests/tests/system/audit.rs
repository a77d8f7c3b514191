//! The log for strangers: verified on a copy and over HTTP, proven from a copy without a node, damage named.

use crate::boot::copy_dir;
use crate::{artel, fresh};
use artel_protocol::log::tile::{Content, Tile};
use artel_protocol::log::tree::{leaf_hash, root_of};
use artel_protocol::log::{Leaf, Proof, SignedCheckpoint};
use artel_tests::agent::{post, task};
use artel_tests::{Agent, Node, wait};
use serde_json::{Value, json};
use std::fs;

fn with_some_work(dir: &std::path::Path) -> Node {
    let node = artel().up(dir).start();
    let mut agent = Agent::enroll(&node, "ada", &["text"]);
    for i in 0..60 {
        let id = post(&mut node.operator(), &task(&format!("t{i}"), &["text"], 1));
        agent.does(&id, &json!({"i": i}));
    }
    node
}

#[test]
fn a_log_verifies_over_http_on_its_directory_and_on_a_copy() {
    let dir = fresh();
    let node = with_some_work(dir.path());
    let remote = artel().run(["audit", "verify", node.url(), "--json"]).json();
    assert_eq!(remote["sound"], true, "{remote}");
    assert_eq!(node.stop().code, Some(0));
    let copy = fresh();
    copy_dir(dir.path(), copy.path());
    fs::remove_file(copy.path().join("data.key")).expect("removed");
    for (path, opened) in [(dir.path(), true), (copy.path(), false)] {
        let local = artel()
            .run(
                ["audit", "verify", "--json"].map(std::ffi::OsStr::new).into_iter().chain([path.as_os_str()]),
            )
            .json();
        assert_eq!(local["sound"], true, "{local}");
        assert_eq!(local["entries"], local["size"], "all of it is signed: {local}");
        assert_eq!(local["bodies_opened"].as_u64() > Some(0), opened, "{local}");
        assert_eq!(local["bodies_sealed"].as_u64() == Some(0), opened, "{local}");
        assert!(local["size"].as_u64() >= remote["size"].as_u64(), "it never shrinks");
    }
}

#[test]
fn an_altered_copy_is_refused_with_the_file_and_the_place() {
    let dir = fresh();
    assert_eq!(with_some_work(dir.path()).stop().code, Some(0));
    let name = fs::read_dir(dir.path().join("journal"))
        .expect("a journal")
        .map(|entry| entry.expect("an entry").file_name())
        .find(|name| name.to_string_lossy().ends_with(".seg"))
        .expect("a segment");
    let good = fs::read(dir.path().join("journal").join(&name)).expect("a segment");
    let end = good.iter().rposition(|b| *b != 0).expect("it is not empty");
    for part in 1..10 {
        let copy = fresh();
        copy_dir(dir.path(), copy.path());
        let mut bad = good.clone();
        bad[end * part / 10] ^= 1;
        fs::write(copy.path().join("journal").join(&name), bad).expect("written");
        let done = artel().run(["audit", "verify", copy.path().to_str().expect("UTF-8")]);
        assert_eq!(done.code, Some(1), "a flipped bit at {part}/10 was not seen: {done:?}");
        assert!(done.stderr.contains(&*name.to_string_lossy()), "{}", done.stderr);
    }
}

#[test]
fn an_entry_is_proven_from_a_copy_without_node_and_keys() {
    let dir = fresh();
    let node = with_some_work(dir.path());
    let online: Value = node.operator().get("/v1/audit/proof/7").is(200);
    assert_eq!(node.stop().code, Some(0));
    let copy = fresh();
    copy_dir(dir.path(), copy.path());
    for key in ["node.key", "data.key", "token.key", "recovery.key", "operator.token"] {
        fs::remove_file(copy.path().join(key)).expect("removed");
    }
    let out = copy.path().join("7.tlog-proof");
    let args =
        ["audit", "prove", "7", copy.path().to_str().expect("UTF-8"), "--out", out.to_str().expect("UTF-8")];
    artel().run(args).ok();
    let leaf: Vec<u8> = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD
            .decode(online["leaf"].as_str().expect("a leaf"))
            .expect("base64")
    };
    let leaf = Leaf::parse(&leaf).expect("a leaf");
    for text in
        [online["proof"].as_str().expect("a proof").to_owned(), fs::read_to_string(&out).expect("a file")]
    {
        let included =
            Proof::parse(&text).expect("a signed proof").verify(&leaf.hash()).expect("it stands there");
        assert_eq!(included.index(), 7);
    }
    let beyond = artel().run(["audit", "prove", "1000000", copy.path().to_str().expect("UTF-8")]);
    beyond.failed_saying(&["1000000"]);
}

#[test]
fn tiles_lead_to_the_signed_root() {
    let dir = fresh();
    let node = with_some_work(dir.path());
    let mut anyone = node.anonymous();
    let checkpoint = wait::until("a checkpoint of more than a tile", || {
        let answer = anyone.get("/log/checkpoint");
        assert_eq!(answer.status, 200);
        let checkpoint = SignedCheckpoint::parse(answer.text()).expect("a signed checkpoint");
        (checkpoint.size() > 300).then_some(checkpoint)
    });
    let size = checkpoint.size();
    let (mut leaves, mut public) = (Vec::new(), 0);
    for index in 0..size.div_ceil(256) {
        let entries = Tile::of(Content::Entries, index, size).expect("within the log");
        let hashes = Tile::of(Content::Hashes { level: 0 }, index, size).expect("within the log");
        let bundle = anyone.get(&format!("/log/{entries}"));
        let tile = anyone.get(&format!("/log/{hashes}"));
        assert_eq!((bundle.status, tile.status), (200, 200));
        let hashes = hashes.read_hashes(&tile.body).expect("a tile");
        for (leaf, hash) in entries.read_entries(&bundle.body).expect("a bundle").into_iter().zip(hashes) {
            assert_eq!(leaf_hash(leaf), hash);
            let leaf = Leaf::parse(leaf).expect("a leaf");
            assert_eq!(leaf.public_seq(), public, "public entries are numbered without a gap");
            public = leaf.next_public_seq();
            leaves.push(hash);
        }
    }
    assert_eq!(leaves.len() as u64, size);
    assert_eq!(root_of(&leaves), checkpoint.root());
    for bad in ["tile/0/x000/001", "tile/9/000", "tile/entries/999", "tile/0/000.p/0", "tile/../../node.key"]
    {
        let answer = anyone.get(&format!("/log/{bad}"));
        assert_eq!(answer.status, 404, "{bad}: {answer:?}");
    }
}

#[test]
fn a_log_only_grows_over_crashes() {
    let dir = fresh();
    let mut sizes: Vec<(u64, artel_protocol::log::Hash)> = Vec::new();
    for life in 0..4 {
        let node = artel().up(dir.path()).start();
        let id = post(&mut node.operator(), &task("t", &["text"], 1));
        let receipt_entry = {
            let mut agent = Agent::enroll(&node, "ada", &["text"]);
            agent.does(&id, &json!({"life": life}))["acknowledgement"]["entry"].as_u64().expect("an entry")
        };
        let checkpoint = wait::until("a checkpoint past the last act", || {
            let text = node.anonymous().get("/log/checkpoint").text().to_owned();
            let checkpoint = SignedCheckpoint::parse(&text).expect("a signed checkpoint");
            (checkpoint.size() > receipt_entry).then_some(checkpoint)
        });
        sizes.push((checkpoint.size(), checkpoint.root()));
        node.kill();
    }
    assert!(sizes.is_sorted_by(|a, b| a.0 < b.0), "{sizes:?}");
    // Every earlier head is a prefix of what is served now.
    let node = artel().up(dir.path()).start();
    let mut anyone = node.anonymous();
    let leaves: Vec<_> = (0..sizes.last().expect("four").0.div_ceil(256))
        .flat_map(|index| {
            let tile =
                Tile::of(Content::Hashes { level: 0 }, index, sizes.last().expect("four").0).expect("within");
            tile.read_hashes(&anyone.get(&format!("/log/{tile}")).body).expect("a tile")
        })
        .collect();
    for (size, root) in sizes {
        assert_eq!(
            root_of(&leaves[..usize::try_from(size).expect("small")]),
            root,
            "the head of {size} is another now"
        );
    }
}
