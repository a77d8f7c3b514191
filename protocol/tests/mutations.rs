//! Whatever is flipped, cut off or added to a leaf, note, checkpoint, cosignature, proof, path, bundle, frame of records,
//! message, invitation, hello or encoded value, the reader refuses it or reads something else; and what it reads, it would
//! write the same.

use artel_protocol::codec::{self, Decode, Encode, FRAME_HEAD_BYTES};
use artel_protocol::continuity::{Ask, Continued, Shown};
use artel_protocol::hello::{Expected, Hello, Welcome};
use artel_protocol::holes::Holes;
use artel_protocol::id::{FederationId, RunId};
use artel_protocol::invitation::{Invitation, InvitationSecret};
use artel_protocol::key::{NodeId, PublicKey, SecretKey, Signature};
use artel_protocol::log::note::{Kind, SignatureLine};
use artel_protocol::log::tile::{self, Content};
use artel_protocol::log::{
    Checkpoint, Class, Cosignature, Hash, KeyName, Leaf, Note, NoteKey, Origin, Proof,
};
use artel_protocol::log::{CompactRange, SignedCheckpoint, Subtree, Tile, Witness};
use artel_protocol::log::{consistency, inclusion, range, subset, tree};
use artel_protocol::record::{Record, Records};
use artel_protocol::skill::Skill;
use artel_protocol::sync::{Mark, Message, marks_digest};
use artel_protocol::time::Wall;
use artel_protocol::witness::{Contradiction, Cosigned, Fraud, Head};
use proptest::collection::vec;
use proptest::prelude::*;

/// Every way to flip one bit, to cut the end off and to add a byte at either end.
fn mutations(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let cut = (0..bytes.len()).map(|end| bytes[..end].to_vec());
    let longer = (0..=255).flat_map(move |byte| [[bytes, &[byte]].concat(), [&[byte], bytes].concat()]);
    flipped.chain(cut).chain(longer)
}

fn secret() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn hashes(size: u64) -> Vec<Hash> {
    (0..size).map(|i| tree::leaf_hash(&i.to_be_bytes())).collect()
}

fn reader(leaves: &[Hash]) -> impl Fn(Subtree) -> Result<Hash, tree::Error> {
    |at| {
        let start = (at.index << at.level) as usize;
        Ok(tree::root_of(&leaves[start..start + (1 << at.level)]))
    }
}

fn signed(size: u64) -> SignedCheckpoint {
    let origin = Origin::new(FederationId([0xab; 32]), NodeId(secret().public()), 3);
    let checkpoint = Checkpoint::new(origin, size, tree::root_of(&hashes(size))).expect("plain");
    SignedCheckpoint::sign(checkpoint, &secret()).expect("its own key")
}

#[test]
fn no_changed_note_verifies() {
    let name = KeyName::parse("example.com/x").expect("a plain name");
    let key = NoteKey::new(name.clone(), Kind::Ed25519, secret().public());
    let note = Note::sign("text\n\nmore\n", &name, &secret()).expect("a note");
    let written = note.to_string();
    for changed in mutations(written.as_bytes()) {
        let Ok(read) = Note::parse_bytes(&changed) else {
            continue;
        };
        assert_eq!(read.to_string().as_bytes(), changed, "a second form");
        assert!(read.verify(&key).is_err(), "{:?}", String::from_utf8_lossy(&changed));
    }
}

#[test]
fn no_changed_checkpoint_is_accepted() {
    let written = signed(11).to_string();
    for changed in mutations(written.as_bytes()) {
        if let Ok(text) = str::from_utf8(&changed) {
            assert!(SignedCheckpoint::parse(text).is_err(), "{text}");
        }
    }
}

#[test]
fn no_changed_cosignature_is_accepted() {
    let signed = signed(11);
    let witness = SecretKey::from_seed(&[8; 32]);
    let cosignature = Cosignature::sign(signed.checkpoint(), &witness, 1_771_588_800).expect("a plain time");
    let written = cosignature.line().to_string();
    for changed in mutations(written.as_bytes()) {
        let line = str::from_utf8(&changed).ok().and_then(|text| SignatureLine::parse(text).ok());
        let Some(line) = line else { continue };
        assert_eq!(line.to_string().as_bytes(), changed, "a second form");
        assert!(Cosignature::from_line(signed.checkpoint(), cosignature.key(), &line).is_err());
    }
}

#[test]
fn no_changed_proof_is_of_the_same_leaf() {
    let leaves = hashes(11);
    let hashes = inclusion::prove(5, 11, reader(&leaves)).expect("within the tree");
    let proof = Proof::new(5, b"extra".to_vec(), hashes, signed(11)).expect("small");
    let included = proof.verify(&leaves[5]).expect("it stands there");
    for changed in mutations(proof.to_string().as_bytes()) {
        let Ok(read) = Proof::parse_bytes(&changed) else {
            continue;
        };
        assert_eq!(read.to_string().as_bytes(), changed, "a second form");
        // The extra data is not authenticated, and says so; everything else is.
        if let Ok(other) = read.verify(&leaves[5]) {
            assert_eq!(other, included);
            assert_ne!(read.extra(), proof.extra());
        }
    }
}

#[test]
fn no_changed_word_of_a_witness_is_accepted() {
    let home = FederationId([0xab; 32]);
    let (now, leaves) = (signed(11), hashes(11));
    let proof = consistency::prove(5, 11, reader(&leaves)).expect("within the tree");
    let head = Head::new(now.clone(), 5, proof.clone());
    for changed in mutations(&head.to_frame()) {
        let Ok(read) = Head::check(&changed, &home) else { continue };
        assert_eq!(read.to_frame(), changed, "a second form");
        // Size and proof are held against what a reader knows; the checkpoint is signed.
        assert_eq!(read.checkpoint(), head.checkpoint());
        assert!(read.old() != 5 || read.continues(&tree::root_of(&leaves[..5])).is_err());
    }
    let made = Cosignature::sign(now.checkpoint(), &SecretKey::from_seed(&[8; 32]), 1_771_588_800);
    for changed in mutations(&Cosigned::new(made.expect("a plain time")).to_frame()) {
        assert!(Cosigned::check(&changed, &home).is_err());
    }
    let mut other = leaves.clone();
    other[7] = tree::leaf_hash(b"another");
    let plain = Checkpoint::new(now.origin(), 11, tree::root_of(&other)).expect("plain");
    let forked = SignedCheckpoint::sign(plain, &secret()).expect("its own key");
    let contradiction = Contradiction::TwoRoots { one: (&now).into(), other: (&forked).into() };
    for changed in mutations(&Fraud::prove(contradiction, &home).expect("a lie").to_frame()) {
        assert!(Fraud::read(&changed).is_err());
    }
    let ask = Ask::new(now.origin(), vec![5]).expect("one");
    let continued = Continued { root: tree::root_of(&leaves[..5]), proof };
    let shown = Shown::new(now, vec![continued]);
    for changed in mutations(&shown.to_frame()) {
        let Ok(read) = Shown::check(&changed, &ask) else { continue };
        assert_eq!(read.to_frame(), changed, "a second form");
        let Continued { root, proof } = &read.from()[0];
        assert_eq!(read.head(), shown.head());
        assert!(consistency::verify(5, root, 11, &read.head().root(), proof).is_err());
    }
}

/// The public ones of some entries, as a frame of their journal; `None` when none is public.
fn records(entries: &[(bool, [u8; 16], Vec<u8>)], wanted: impl Fn(u64) -> bool) -> Option<Records> {
    let (mut leaves, mut records, mut public_seq) = (Vec::new(), Vec::new(), 0);
    for ((public, salt, body), index) in entries.iter().zip(0..) {
        let class = if *public { Class::Public } else { Class::Private };
        let leaf = Leaf::commit(class, public_seq, salt, body);
        if *public && wanted(index) {
            records.push(Record { index, public_seq, salt: *salt, body: body.clone() });
        }
        public_seq = leaf.next_public_seq();
        leaves.push(leaf.hash());
    }
    let origin = Origin::new(FederationId([0xab; 32]), NodeId(secret().public()), 3);
    let checkpoint = Checkpoint::new(origin, leaves.len() as u64, tree::root_of(&leaves)).expect("plain");
    let signed = SignedCheckpoint::sign(checkpoint, &secret()).expect("its own key");
    let positions: Vec<u64> = records.iter().map(|record| record.index).collect();
    let proof = subset::prove(&positions, leaves.len() as u64, reader(&leaves)).ok()?;
    Some(Records::new(&signed, records, proof).expect("sound"))
}

#[test]
fn no_changed_frame_of_records_is_accepted() {
    let entry = |i: u8| (i % 4 != 2, [i; 16], vec![i; usize::from(i % 5)]);
    let entries: Vec<_> = (0..13).map(entry).collect();
    let made = records(&entries, |at| [0, 3, 4, 9].contains(&at)).expect("four are public");
    let federation = made.origin().federation();
    assert_eq!(Records::check(made.bytes(), &federation).as_ref(), Ok(&made));
    for changed in mutations(made.bytes()) {
        assert!(Records::check(&changed, &federation).is_err(), "{}", hex::encode(changed));
    }
    for other in [FederationId([0; 32]), FederationId([0xac; 32])] {
        assert!(Records::check(made.bytes(), &other).is_err());
    }
}

/// Marks of journals of one node, ascending.
fn marks(count: u32) -> Vec<Mark> {
    let node = NodeId(secret().public());
    let origin = |incarnation| Origin::new(FederationId([0xab; 32]), node, incarnation);
    (0..count).map(|n| Mark { origin: origin(n), next: 1_000 + u64::from(n) }).collect()
}

#[test]
fn a_changed_message_is_another_one_or_none() {
    let entries = [(true, [1; 16], b"body".to_vec()), (false, [2; 16], vec![])];
    let frame = records(&entries, |_| true).expect("one is public");
    for message in [
        Message::Ask(marks_digest(&marks(3))),
        Message::Same,
        Message::Marks(vec![]),
        Message::Marks(marks(3)),
        Message::Want(marks(1)[0]),
        Message::Records(frame.bytes().to_vec()),
        Message::Holes(Holes::new(marks(1)[0].origin, vec![3..4, 9..200]).expect("ascending")),
        Message::End { next: 7 },
    ] {
        for changed in mutations(&message.encode()) {
            let Ok(read) = Message::decode(&changed) else { continue };
            assert_ne!(read, message);
            assert_eq!(read.encode(), changed, "a second form");
            let (head, payload) = changed.split_first_chunk::<FRAME_HEAD_BYTES>().expect("a head");
            assert_eq!(Message::payload_len(head), Ok(payload.len()));
        }
    }
}

#[test]
fn a_changed_leaf_has_another_hash() {
    let leaf = Leaf::commit(Class::Public, 9, &[5; 16], b"body");
    for changed in mutations(&leaf.to_bytes()) {
        if let Ok(read) = Leaf::parse(&changed) {
            assert_eq!(read.to_bytes()[..], changed, "a second form");
            assert_ne!(read.hash(), leaf.hash());
        }
    }
}

#[test]
fn a_changed_tile_path_names_another_tile() {
    for path in ["tile/1/x001/234.p/9", "tile/entries/000", "tile/0/255.p/255"] {
        let tile = Tile::parse(path).expect("a path");
        for changed in mutations(path.as_bytes()) {
            let read = str::from_utf8(&changed).ok().and_then(|path| Tile::parse(path).ok());
            if let Some(read) = read {
                assert_eq!(read.to_string().as_bytes(), changed, "a second form");
                assert_ne!(read, tile);
            }
        }
    }
}

/// One flipped bit, one hash more, one hash less.
fn changed_proofs(proof: &[Hash]) -> impl Iterator<Item = Vec<Hash>> + '_ {
    let flipped = (0..proof.len() * 256).map(|bit| {
        let mut changed = proof.to_vec();
        changed[bit / 256].0[bit % 256 / 8] ^= 1 << (bit % 8);
        changed
    });
    let without = (0..proof.len()).map(|at| [&proof[..at], &proof[at + 1..]].concat());
    let with = (0..=proof.len()).map(|at| {
        let mut changed = proof.to_vec();
        changed.insert(at, Hash([7; 32]));
        changed
    });
    flipped.chain(without).chain(with)
}

#[test]
fn no_changed_tree_proof_verifies() {
    let leaves = hashes(21);
    let root = tree::root_of(&leaves);
    for index in [0, 7, 16, 20] {
        let proof = inclusion::prove(index, 21, reader(&leaves)).expect("within the tree");
        for changed in changed_proofs(&proof) {
            assert!(inclusion::verify(&leaves[index as usize], index, 21, &changed, &root).is_err());
        }
    }
    for old in [0, 1, 8, 13, 16, 20, 21] {
        let old_root = tree::root_of(&leaves[..old as usize]);
        let proof = consistency::prove(old, 21, reader(&leaves)).expect("not shrunk");
        for changed in changed_proofs(&proof) {
            assert!(consistency::verify(old, &old_root, 21, &root, &changed).is_err());
        }
    }
    for (start, end) in [(0, 21), (0, 1), (3, 9), (16, 21)] {
        let proof = range::prove(start, end, 21, reader(&leaves)).expect("within the tree");
        let held = &leaves[start as usize..end as usize];
        for changed in changed_proofs(&proof) {
            assert!(range::verify(start, held, 21, &changed, &root).is_err());
        }
        for changed in changed_proofs(held) {
            assert!(range::verify(start, &changed, 21, &proof, &root).is_err());
        }
    }
    for positions in [&[0, 20][..], &[3, 9, 10, 17], &[16], &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]] {
        let proof = subset::prove(positions, 21, reader(&leaves)).expect("within the tree");
        let held: Vec<(u64, Hash)> = positions.iter().map(|at| (*at, leaves[*at as usize])).collect();
        for changed in changed_proofs(&proof) {
            assert!(subset::verify(&held, 21, &changed, &root).is_err());
        }
        for at in 0..held.len() {
            for position in (0..=21).filter(|position| *position != held[at].0) {
                let mut moved = held.clone();
                moved[at].0 = position;
                assert!(subset::verify(&moved, 21, &proof, &root).is_err(), "{position} in {positions:?}");
            }
            for changed in changed_proofs(&[held[at].1]) {
                let mut other = held.clone();
                other.splice(at..=at, changed.into_iter().map(|hash| (held[at].0, hash)));
                assert!(subset::verify(&other, 21, &proof, &root).is_err(), "{positions:?}");
            }
        }
    }
}

/// A value reads back, and no changed encoding of it reads as the same value or has a second form.
fn check_value<T: Encode + Decode<()> + PartialEq + std::fmt::Debug>(value: T) {
    let bytes = codec::encode(&value);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(&value));
    for changed in mutations(&bytes) {
        if let Ok(other) = codec::decode::<T>(&changed) {
            assert_ne!(other, value);
            assert_eq!(codec::encode(&other), changed, "a second form");
        }
    }
}

#[test]
fn encoded_values_have_one_form() {
    let public = secret().public();
    check_value(public);
    check_value(secret().sign(b"x"));
    check_value(*signed(11).checkpoint());
    check_value((Class::Public, Hash([1; 32]), Wall(5)));
    check_value(Skill::parse("rust@2").expect("a skill"));
    check_value(RunId::new(Wall(1_771_588_800_123), [7; 9]));
    check_value(vec![Some((true, String::from("é"))), None]);
    check_value(marks(2));
    check_value(vec![Record { index: 7, public_seq: 5, salt: [9; 16], body: b"body".to_vec() }]);
}

fn invitation() -> Invitation {
    let secret_bytes = Some(InvitationSecret([0xd7; 16]));
    Invitation::sign(b"genesis".to_vec(), vec!["/dns/a".into()], secret_bytes, Wall(5), &secret())
        .expect("within bounds")
}

#[test]
fn no_changed_invitation_is_accepted() {
    let made = invitation();
    for changed in mutations(made.to_string().as_bytes()) {
        if let Ok(text) = str::from_utf8(&changed) {
            assert!(Invitation::parse(text).is_err(), "{text}");
        }
    }
    for changed in mutations(&made.encode()) {
        assert!(Invitation::decode(&changed).is_err());
    }
}

#[test]
fn a_changed_hello_or_welcome_is_refused_or_says_something_else() {
    let hello = Hello {
        addresses: vec!["/dns/a".into()],
        chain: vec![vec![1, 2], vec![3]],
        secret: Some(InvitationSecret([0xd7; 16])),
        ..Hello::sign(FederationId([3; 32]), 2, Wall(5), &secret())
    };
    let expected = Expected { federation: hello.federation, peer: hello.node, now: Wall(5) };
    for changed in mutations(&hello.to_frame().expect("within bounds")) {
        let Ok(read) = Hello::check(&changed, &expected) else { continue };
        assert_eq!(read.to_frame().as_ref(), Ok(&changed), "a second form");
        assert_ne!(*read, hello);
        // Who speaks, where and when is signed; what else is in it proves itself.
        let said =
            |hello: &Hello| (hello.federation, hello.node, hello.incarnation, hello.at, hello.signature);
        assert_eq!(said(&read), said(&hello));
    }
    for welcome in [Welcome::accepted(vec![vec![1, 2]]), Welcome::refused("a_code", "a sentence")] {
        for changed in mutations(&welcome.to_frame().expect("within bounds")) {
            let Ok(read) = Welcome::check(&changed) else { continue };
            assert_eq!(read.to_frame().as_ref(), Ok(&changed), "a second form");
            assert_ne!(*read, welcome);
        }
    }
}

proptest! {
    #[test]
    fn any_leaf_reads_back(public: bool, seq: u64, salt: [u8; 16], body in vec(any::<u8>(), 0..99)) {
        let class = if public { Class::Public } else { Class::Private };
        let leaf = Leaf::commit(class, seq, &salt, &body);
        prop_assert_eq!(Leaf::parse(&leaf.to_bytes()), Ok(leaf));
        prop_assert!(leaf.opens_with(&salt, &body));
    }

    #[test]
    fn any_origin_and_checkpoint_reads_back(fed: [u8; 32], seed: [u8; 32], inc: u32, size in 1u64..1 << 62, root: [u8; 32], at_s in 1u64..1 << 63) {
        let secret = SecretKey::from_seed(&seed);
        let origin = Origin::new(FederationId(fed), NodeId(secret.public()), inc);
        prop_assert_eq!(Origin::parse(&origin.to_string()), Ok(origin));
        let checkpoint = Checkpoint::new(origin, size, Hash(root)).expect("a log's size");
        prop_assert_eq!(Checkpoint::parse_body(&checkpoint.body()), Ok(checkpoint));
        prop_assert_eq!(codec::decode(&codec::encode(&checkpoint)), Ok(checkpoint));
        let cosignature = Cosignature::sign(&checkpoint, &secret, at_s).expect("a time in its limits");
        let signed = SignedCheckpoint::sign(checkpoint, &secret).expect("its own key").with(cosignature.line()).expect("two lines");
        prop_assert_eq!(SignedCheckpoint::parse(&signed.to_string()), Ok(signed.clone()));
        let witness = Witness { federation: FederationId(fed), node: NodeId(secret.public()) };
        prop_assert_eq!(Witness::parse(&witness.to_string()), Ok(witness));
        let read = Cosignature::from_line(&checkpoint, &witness.note_key(), &signed.note().signatures()[1]);
        prop_assert_eq!(read, Ok(cosignature));
    }

    #[test]
    fn any_frame_of_records_reads_back_and_holds_each_proof(
        entries in vec((any::<bool>(), any::<[u8; 16]>(), vec(any::<u8>(), 0..40)), 1..40),
        wanted: u64,
    ) {
        let Some(made) = records(&entries, |at| wanted >> at & 1 == 1) else { return Ok(()) };
        prop_assert_eq!(Records::check(made.bytes(), &made.origin().federation()), Ok(made.clone()));
        for record in made.records() {
            let proof = made.proof_of(record.public_seq).expect("it is there");
            prop_assert_eq!(Proof::parse(&proof.to_string()), Ok(proof.clone()));
            let included = proof.verify(&record.leaf().hash()).expect("it stands there");
            prop_assert_eq!((included.index(), included.checkpoint()), (record.index, made.checkpoint().checkpoint()));
        }
        let absent = (0..).find(|seq| made.records().iter().all(|record| record.public_seq != *seq));
        prop_assert_eq!(made.proof_of(absent.expect("there are more numbers")), None);
    }

    #[test]
    fn any_bundle_reads_back_and_has_one_form(entries in vec(vec(any::<u8>(), 0..20), 1..40), bit in any::<prop::sample::Index>()) {
        let tile = Tile::new(Content::Entries, 0, entries.len() as u16).expect("at most 256 wide");
        let mut bundle = Vec::new();
        for entry in &entries {
            tile::append_entry(entry, &mut bundle).expect("short");
        }
        let held: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(tile.read_entries(&bundle), Ok(held.clone()));
        prop_assert!(tile.read_entries(&bundle[..bundle.len() - 1]).is_err());
        let bit = bit.index(bundle.len() * 8);
        bundle[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = tile.read_entries(&bundle) {
            prop_assert_ne!(read, held);
        }
    }

    #[test]
    fn any_tile_reads_back(level in 0u8..8, index: u64, width in 0u16..300, bundle: bool) {
        let content = if bundle { Content::Entries } else { Content::Hashes { level } };
        for index in [index, index >> 20, index >> 40, index >> 60] {
            if let Ok(tile) = Tile::new(content, index, width) {
                prop_assert_eq!(Tile::parse(&tile.to_string()), Ok(tile));
            }
        }
    }

    #[test]
    fn any_tree_grows_the_same_from_its_peaks(size in 0u64..600, more in 0u64..50) {
        let leaves = hashes(size + more);
        let mut range = CompactRange::from_subtrees(size, reader(&leaves)).expect("a log's size");
        leaves[size as usize..].iter().for_each(|leaf| range.append(*leaf));
        prop_assert_eq!(range.root(), tree::root_of(&leaves));
    }

    #[test]
    fn nothing_panics_on_noise(bytes in vec(any::<u8>(), 0..300), text in "\\PC{0,80}", n: u64, m: u64) {
        let _ = Leaf::parse(&bytes);
        let _ = Note::parse_bytes(&bytes);
        let _ = Proof::parse_bytes(&bytes);
        let _ = (Records::check(&bytes, &FederationId([0; 32])), Message::decode(&bytes));
        let _ = (Note::parse(&text), Proof::parse(&text), SignedCheckpoint::parse(&text), NoteKey::from_vkey(&text));
        let _ = (Origin::parse(&text), Witness::parse(&text), Tile::parse(&text), SignatureLine::parse(&text));
        let _ = (Invitation::parse(&text), Invitation::decode(&bytes), Welcome::check(&bytes));
        let _ = (codec::decode::<Checkpoint>(&bytes), codec::decode::<PublicKey>(&bytes), codec::decode::<Signature>(&bytes));
        let (hash, hashes): (Hash, Vec<Hash>) = (Hash([0; 32]), bytes.as_chunks().0.iter().copied().map(Hash).collect());
        let _ = inclusion::verify(&hash, n, m, &hashes, &hash);
        let _ = consistency::verify(n, &hash, m, &hash, &hashes);
        let _ = range::verify(n, &hashes, m, &hashes, &hash);
        let mut at = n;
        let placed: Vec<(u64, Hash)> = hashes.iter().map(|hash| {
            at = at.saturating_add(hash.0[0].into());
            (at, *hash)
        }).collect();
        let _ = subset::verify(&placed, m, &hashes, &hash);
        let _ = subset::inclusion_of(n, &placed, m, &hashes);
        let _ = CompactRange::from_peaks(n, &hashes);
        let _ = (Tile::of(Content::Entries, n, m), Tile::of(Content::Hashes { level: n as u8 }, m, n));
    }
}
