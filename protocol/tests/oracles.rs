//! Strangers' implementations agree with ours, both ways: `ct-merkle` and `tlog_tiles` on trees and proofs, `signed_note`
//! on notes, `tlog_tiles` on checkpoints and tile paths.

use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::note::Kind;
use artel_protocol::log::tile::Content;
use artel_protocol::log::tree::{self, node_hash};
use artel_protocol::log::{
    Checkpoint, Hash, KeyName, Note, NoteKey, Origin, SignedCheckpoint, Subtree, Tile,
};
use artel_protocol::log::{CompactRange, consistency, inclusion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::HashReader;

fn bodies(size: u64) -> Vec<[u8; 8]> {
    (0..size).map(u64::to_be_bytes).collect()
}

fn hashes(size: u64) -> Vec<Hash> {
    bodies(size).iter().map(|b| tree::leaf_hash(b)).collect()
}

fn reader(leaves: &[Hash]) -> impl Fn(Subtree) -> Result<Hash, tree::Error> {
    |at| {
        let start = (at.index << at.level) as usize;
        Ok(tree::root_of(&leaves[start..start + (1 << at.level)]))
    }
}

fn joined(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|h| h.0).collect()
}

#[test]
fn ct_merkle_agrees_on_roots_and_proofs() {
    let all = hashes(130);
    let mut theirs = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    for (size, body) in (1..).zip(bodies(130)) {
        theirs.push(body);
        let leaves = &all[..size as usize];
        let root = tree::root_of(leaves);
        assert_eq!(theirs.root().as_bytes()[..], root.0, "root of {size}");
        for index in 0..size {
            let ours = inclusion::prove(index, size, reader(leaves)).expect("within the tree");
            let proof = theirs.prove_inclusion(index as usize);
            assert_eq!(proof.as_bytes(), joined(&ours), "inclusion of {index} in {size}");
            let body = index.to_be_bytes();
            assert!(theirs.root().verify_inclusion(&body, index, &proof).is_ok());
        }
        for old in 1..size {
            let ours = consistency::prove(old, size, reader(leaves)).expect("not shrunk");
            let proof = theirs.prove_consistency((size - old) as usize);
            assert_eq!(proof.as_bytes(), joined(&ours), "consistency of {old} and {size}");
        }
    }
}

/// Our hashes as the other library numbers them.
struct Stored<'a>(&'a dyn Fn(Subtree) -> Result<Hash, tree::Error>);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| {
            let (level, index) = tlog_tiles::split_stored_hash_index(*index);
            theirs(&(self.0)(Subtree { level, index }).expect("within the tree"))
        };
        Ok(indexes.iter().map(read).collect())
    }
}

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(hash.0)
}

fn ours(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|h| Hash(h.0)).collect()
}

/// Reads a tree of any size whose leaves are all the same, so that nobody has to hold it.
fn uniform() -> impl Fn(Subtree) -> Result<Hash, tree::Error> {
    let mut levels = vec![tree::leaf_hash(b"all the same")];
    for level in 0..62 {
        levels.push(node_hash(&levels[level], &levels[level]));
    }
    move |at| Ok(levels[usize::from(at.level)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn tlog_tiles_agrees_on_trees_of_any_size(size in 1u64..1 << 40, part in 0.0..1.0f64) {
        let read = uniform();
        let index = (size as f64 * part) as u64;
        let root = tree::root(size, &read).expect("a log's size");
        prop_assert_eq!(CompactRange::from_subtrees(size, &read).expect("a log's size").root(), root);
        prop_assert_eq!(tlog_tiles::tree_hash(size, &Stored(&read)).expect("readable").0, root.0);

        let proof = inclusion::prove(index, size, &read).expect("within the tree");
        let stranger = tlog_tiles::prove_record(size, index, &Stored(&read)).expect("within the tree");
        prop_assert_eq!(ours(&stranger), proof.clone());
        let leaf = read(Subtree::leaf(index)).expect("a leaf");
        prop_assert_eq!(inclusion::verify(&leaf, index, size, &proof, &root), Ok(()));
        prop_assert!(tlog_tiles::check_record(&stranger, size, theirs(&root), index, theirs(&leaf)).is_ok());

        let old = index + 1;
        let old_root = tree::root(old, &read).expect("a log's size");
        let proof = consistency::prove(old, size, &read).expect("not shrunk");
        let stranger = tlog_tiles::prove_tree(size, old, &Stored(&read)).expect("not shrunk");
        prop_assert_eq!(ours(&stranger), proof.clone());
        prop_assert_eq!(consistency::verify(old, &old_root, size, &root, &proof), Ok(()));
        prop_assert!(tlog_tiles::check_tree(&stranger, size, theirs(&root), old, theirs(&old_root)).is_ok());
    }

    /// The other library's paths name the height and call bundles `data`; below that they are C2SP's.
    #[test]
    fn tlog_tiles_agrees_on_tile_paths(level in 0u8..4, index in 0u64..1 << 30, width in 1u16..=256, bundle: bool) {
        let content = if bundle { Content::Entries } else { Content::Hashes { level } };
        let tile = Tile::new(content, index, width).expect("a log may have it");
        let level = if bundle { 0 } else { level };
        let stranger = tlog_tiles::Tile::new(8, level, index, width.into(), bundle);
        let path = stranger.path().replace("tile/8/", "tile/").replace("/data/", "/entries/");
        prop_assert_eq!(tile.to_string(), path);
    }
}

#[test]
fn notes_are_read_and_signed_both_ways() {
    let secret = SecretKey::from_seed(&[7; 32]);
    let name = KeyName::parse("example.com/both").expect("a plain name");
    let key = NoteKey::new(name.clone(), Kind::Ed25519, secret.public());
    let verifier = StandardVerifier::new(&key.vkey()).expect("they read our verifier key");
    let known = VerifierList::new(vec![Box::new(verifier)]);

    let mine = Note::sign("ours\n\nsecond\n", &name, &secret).expect("a note");
    let read = signed_note::Note::from_bytes(mine.to_string().as_bytes()).expect("they read our note");
    assert_eq!(read.verify(&known).expect("they verify our note").0.len(), 1);

    let mut material = vec![1];
    material.extend_from_slice(&[7; 32]);
    let skey = format!("PRIVATE+KEY+{name}+{}+{}", hex::encode(key.id()), STANDARD.encode(material));
    let signer = StandardSigner::new(&skey).expect("they read our private key");
    let mut note = signed_note::Note::new(b"theirs\n", &[]).expect("a note");
    note.add_sigs(&[&signer]).expect("they sign");
    let bytes = note.to_bytes();
    let read = Note::parse_bytes(&bytes).expect("we read their note");
    assert!(read.verify(&key).is_ok());
    assert_eq!(read.to_string().as_bytes(), bytes);
}

#[test]
fn checkpoints_are_read_and_written_both_ways() {
    let secret = SecretKey::from_seed(&[7; 32]);
    let origin = Origin::new(FederationId([3; 32]), NodeId(secret.public()), 1);
    for size in [0u64, 1, 130] {
        let root = tree::root_of(&hashes(size));
        let checkpoint = Checkpoint::new(origin, size, root).expect("a plain checkpoint");
        let signed = SignedCheckpoint::sign(checkpoint, &secret).expect("its own key");

        let verifier = StandardVerifier::new(&origin.note_key().vkey()).expect("they read our verifier key");
        let note = signed_note::Note::from_bytes(signed.to_string().as_bytes()).expect("they read our note");
        assert!(note.verify(&VerifierList::new(vec![Box::new(verifier)])).is_ok());
        let stranger = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("they read our checkpoint");
        assert_eq!((stranger.origin(), stranger.size()), (origin.to_string().as_str(), size));
        assert_eq!((stranger.hash().0, stranger.extension()), (root.0, ""));
        let written = String::from_utf8(stranger.to_bytes()).expect("text");
        assert_eq!(Checkpoint::parse_body(&written), Ok(checkpoint));
    }
}

/// Where both read a note, they read the same; where one refuses, so does the other.
fn both_judge_alike(note: &[u8]) -> Result<(), TestCaseError> {
    let stranger = signed_note::Note::from_bytes(note);
    match Note::parse_bytes(note) {
        Ok(mine) => {
            let stranger =
                stranger.map_err(|e| TestCaseError::fail(format!("only we read {note:?}: {e}")))?;
            prop_assert_eq!(mine.text().as_bytes(), stranger.text());
            prop_assert_eq!(mine.to_string().into_bytes(), stranger.to_bytes());
        }
        Err(e) => prop_assert!(stranger.is_err(), "only they read {:?}: {}", note, e),
    }
    Ok(())
}

proptest! {
    #[test]
    fn signed_note_judges_notes_as_we_do(
        text in "[a\n —é]{0,9}",
        lines in prop::collection::vec(("[a+ é\u{a0}]{0,3}", prop::collection::vec(any::<u8>(), 0..9)), 0..4),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"\n\t +=A\xff\x7f".to_vec()),
        change: bool,
    ) {
        let mut note = format!("{text}\n\n");
        for (name, signature) in lines {
            note += &format!("— {name} {}\n", STANDARD.encode(signature));
        }
        let mut note = note.into_bytes();
        if change {
            let at = at.index(note.len());
            note[at] = byte;
        }
        both_judge_alike(&note)?;
    }
}
