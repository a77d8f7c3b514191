//! Vectors of witnessing: heads, cosignatures as they travel, proofs of fraud, questions and answers, and what is none.

use super::trees::{reader, root};
use super::values::{federation, secret};
use super::{bytes, file, rows, text};
use artel_protocol::codec::{Encode, Frame};
use artel_protocol::continuity::{ASK_KIND, Ask, Continued, SHOWN_KIND, SIZES_MAX, Shown};
use artel_protocol::id::FederationId;
use artel_protocol::key::NodeId;
use artel_protocol::log::tree::{self, PROOF_HASHES_MAX};
use artel_protocol::log::{Checkpoint, Cosignature, Hash, Origin, SignedCheckpoint, consistency, inclusion};
use artel_protocol::witness::{
    COSIGNED_KIND, Contradiction, Cosigned, Error, FRAUD_KIND, Fraud, HEAD_KIND, Head, Placed, Signed,
};
use serde_json::{Value, json};

/// The leaves of a journal that a copy goes on with in its own way from the eighth entry on, if it is one.
fn leaves(size: u64, is_copy: bool) -> Vec<Hash> {
    (0..size)
        .map(|i| tree::leaf_hash(&[i, u64::from(is_copy && i >= 8)].map(u64::to_be_bytes).concat()))
        .collect()
}

fn head_of(leaves: &[Hash]) -> SignedCheckpoint {
    head_in(federation(), leaves)
}

fn head_in(federation: FederationId, leaves: &[Hash]) -> SignedCheckpoint {
    let origin = Origin::new(federation, NodeId(secret(7).public()), 3);
    let plain = Checkpoint::new(origin, leaves.len() as u64, root(leaves)).expect("a plain checkpoint");
    SignedCheckpoint::sign(plain, &secret(7)).expect("its own key")
}

fn proof(leaves: &[Hash], old: u64) -> Vec<Hash> {
    consistency::prove(old, leaves.len() as u64, reader(leaves)).expect("within the tree")
}

fn head(leaves: &[Hash], old: u64) -> Head {
    Head::new(head_of(leaves), old, proof(leaves, old))
}

fn cosigned(checkpoint: &Checkpoint) -> Cosigned {
    Cosigned::new(Cosignature::sign(checkpoint, &secret(8), 1_771_588_800).expect("a plain time"))
}

fn placed(leaves: &[Hash], index: u64) -> Placed {
    let proof = inclusion::prove(index, leaves.len() as u64, reader(leaves)).expect("within the tree");
    Placed { leaf: leaves[index as usize], proof, head: (&head_of(leaves)).into() }
}

fn two_roots() -> Contradiction {
    let (one, other) = (head_of(&leaves(12, false)), head_of(&leaves(12, true)));
    Contradiction::TwoRoots { one: (&one).into(), other: (&other).into() }
}

fn two_leaves() -> Contradiction {
    Contradiction::TwoLeaves {
        index: 9,
        one: placed(&leaves(12, false), 9),
        other: placed(&leaves(15, true), 9),
    }
}

fn rewritten() -> Contradiction {
    let (earlier, later) = (leaves(12, false), leaves(15, true));
    Contradiction::Rewritten {
        earlier: (&head_of(&earlier)).into(),
        later: (&head_of(&later)).into(),
        root: root(&later[..12]),
        proof: proof(&later, 12),
    }
}

fn ask() -> Ask {
    Ask::new(head_of(&leaves(15, false)).origin(), vec![5, 12]).expect("two, rising")
}

fn shown() -> Shown {
    let now = leaves(15, false);
    let from = |old: &u64| Continued { root: root(&now[..*old as usize]), proof: proof(&now, *old) };
    Shown::new(head_of(&now), ask().sizes().iter().map(from).collect())
}

fn frame<T: Encode>(kind: u16, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    Frame::append(kind, 1, value, &mut out);
    out
}

fn spoilt(mut frame: Vec<u8>, at: usize) -> Vec<u8> {
    frame[at] ^= 1;
    frame
}

fn refused() -> Vec<Value> {
    let honest = leaves(12, false);
    let (signed, elsewhere) = (head_of(&honest), head_in(FederationId([4; 32]), &honest));
    let good = head(&honest, 5).to_frame();
    let row = |message: &str, about: &str, why: &str, bytes: Vec<u8>| json!({"message": message, "about": about, "why": why, "bytes": hex::encode(bytes)});
    let lie = |contradiction: &Contradiction| frame(FRAUD_KIND, contradiction);
    let long = vec![Hash([0; 32]); PROOF_HASHES_MAX + 1];
    // Behind the head of a frame stand federation, key, incarnation, size, root and then the signature.
    let signature_at = 8 + 32 + 33 + 4 + 8 + 32 + 1;
    let Contradiction::Rewritten { earlier, later, proof: rewritten_proof, .. } = rewritten() else {
        unreachable!("that kind")
    };
    let not_continued =
        Contradiction::Rewritten { earlier, later, root: Hash([9; 32]), proof: rewritten_proof.clone() };
    let same_root = Contradiction::Rewritten {
        earlier: (&head_of(&leaves(12, true))).into(),
        later,
        root: root(&leaves(12, true)),
        proof: rewritten_proof,
    };
    let one: Signed = (&signed).into();
    let wrong_place =
        Contradiction::TwoLeaves { index: 8, one: placed(&honest, 9), other: placed(&leaves(15, true), 9) };
    let same_leaf =
        Contradiction::TwoLeaves { index: 9, one: placed(&honest, 9), other: placed(&leaves(15, false), 9) };
    let other_size = Contradiction::TwoRoots { one, other: (&head_of(&leaves(15, true))).into() };
    let sizes = |sizes: &[u64]| frame(ASK_KIND, &(signed.origin(), sizes.to_vec()));
    let from = |count: usize, proof: &[Hash]| {
        let from = vec![Continued { root: Hash([1; 32]), proof: proof.to_vec() }; count];
        frame(SHOWN_KIND, &(Signed::from(&signed), from))
    };
    vec![
        row("head", "nothing", "codec", vec![]),
        row("head", "a byte behind the frame", "codec", [&good[..], &[0]].concat()),
        row("head", "a question in its place", "unknown", ask().to_frame()),
        row("head", "a version that is not known", "unknown", spoilt(good.clone(), 3)),
        row("head", "more hashes than a proof has", "size", frame(HEAD_KIND, &(one, 5u64, &long))),
        row(
            "head",
            "of another federation",
            "foreign",
            frame(HEAD_KIND, &(Signed::from(&elsewhere), 0u64, Vec::<Hash>::new())),
        ),
        row("head", "a changed signature", "signature", spoilt(good, signature_at)),
        row(
            "cosigned",
            "another size",
            "signature",
            spoilt(cosigned(signed.checkpoint()).to_frame(), 8 + 69),
        ),
        row("cosigned", "of another federation", "foreign", cosigned(elsewhere.checkpoint()).to_frame()),
        row("cosigned", "a head in its place", "unknown", head(&honest, 5).to_frame()),
        row("fraud", "one root twice", "no_contradiction", lie(&Contradiction::TwoRoots { one, other: one })),
        row("fraud", "two sizes", "no_contradiction", lie(&other_size)),
        row("fraud", "one leaf twice, under two checkpoints", "no_contradiction", lie(&same_leaf)),
        row("fraud", "leaves of another entry than it says", "tree", lie(&wrong_place)),
        row(
            "fraud",
            "a later checkpoint that continues what was signed",
            "no_contradiction",
            lie(&same_root),
        ),
        row("fraud", "a root that the later checkpoint does not continue", "tree", lie(&not_continued)),
        row("fraud", "a changed signature", "signature", spoilt(lie(&two_roots()), 4 + signature_at)),
        row("fraud", "a variant that there is not", "codec", spoilt(lie(&two_roots()), 8 + 3)),
        row("ask", "no size", "size", sizes(&[])),
        row("ask", "one size twice", "size", sizes(&[5, 5])),
        row("ask", "falling sizes", "size", sizes(&[12, 5])),
        row("ask", "too many sizes", "size", sizes(&(1..=SIZES_MAX as u64 + 1).collect::<Vec<_>>())),
        row("ask", "of another federation", "foreign", frame(ASK_KIND, &(elsewhere.origin(), vec![1u64]))),
        row("shown", "a proof too few", "size", from(1, &[])),
        row("shown", "a proof too many", "size", from(3, &[])),
        row("shown", "more hashes than a proof has", "size", from(2, &long)),
        row("shown", "of another journal", "foreign", {
            let other =
                Checkpoint::new(Origin::new(federation(), NodeId(secret(7).public()), 4), 12, root(&honest));
            let other = SignedCheckpoint::sign(other.expect("plain"), &secret(7)).expect("its own key");
            Shown::new(other, shown().from().to_vec()).to_frame()
        }),
        row("shown", "a changed signature", "signature", spoilt(shown().to_frame(), signature_at)),
    ]
}

pub fn witness() -> Value {
    let honest = leaves(12, false);
    let head = |about: &str, old: u64| {
        let head = head(&honest, old);
        json!({"about": about, "bytes": hex::encode(head.to_frame()), "checkpoint": head.checkpoint().to_string(),
            "old": old, "old_root": root(&honest[..old as usize]).to_string()})
    };
    let cosigned = cosigned(head_of(&honest).checkpoint());
    let fraud = |contradiction: Contradiction| {
        let fraud = Fraud::prove(contradiction, &federation()).expect("a lie");
        json!({"lie": fraud.contradiction().name(), "origin": fraud.origin().to_string(), "bytes": hex::encode(fraud.to_frame())})
    };
    let roots: Vec<String> = shown().from().iter().map(|continued| continued.root.to_string()).collect();
    json!({
        "about": "what witnesses and the nodes whose journals they watch say to each other; `why` is the first check that fails. \
            `shown` answers `ask`",
        "federation": federation().to_string(),
        "heads": [head("the first that is said", 0), head("from an earlier size", 5), head("from the size before", 11)],
        "cosigned": [{
            "bytes": hex::encode(cosigned.to_frame()),
            "line": cosigned.cosignature().line().to_string(),
            "checkpoint": head_of(&honest).to_string(),
        }],
        "frauds": [fraud(two_roots()), fraud(two_leaves()), fraud(rewritten())],
        "ask": {"bytes": hex::encode(ask().to_frame()), "origin": ask().origin().to_string(), "sizes": ask().sizes()},
        "shown": {"bytes": hex::encode(shown().to_frame()), "checkpoint": shown().head().to_string(), "roots": roots},
        "refused": refused(),
    })
}

/// The word for why something is refused.
fn why(error: &Error) -> &'static str {
    match error {
        Error::Codec(_) => "codec",
        Error::Unknown { .. } => "unknown",
        Error::Size => "size",
        Error::Foreign => "foreign",
        Error::Checkpoint(_) | Error::Cosignature(_) => "signature",
        Error::Tree(_) => "tree",
        Error::NoContradiction => "no_contradiction",
    }
}

#[test]
fn what_witnesses_say_reads_back_and_holds() {
    let (file, home) = (file("witness"), federation());
    for row in rows(&file, "heads") {
        let read = Head::check(&bytes(row, "bytes"), &home).expect("a head");
        assert_eq!(read.checkpoint().to_string(), text(row, "checkpoint"));
        let old_root = Hash::from_base64(text(row, "old_root")).expect("a hash");
        assert_eq!(read.continues(&old_root), Ok(()), "{}", row["about"]);
    }
    for row in rows(&file, "cosigned") {
        let read = Cosigned::check(&bytes(row, "bytes"), &home).expect("a cosignature");
        assert_eq!(read.cosignature().line().to_string(), text(row, "line"));
    }
    for row in rows(&file, "frauds") {
        let read = Fraud::check(&bytes(row, "bytes"), &home).expect("a proof");
        assert_eq!(
            (read.contradiction().name(), read.origin().to_string().as_str()),
            (text(row, "lie"), text(row, "origin"))
        );
    }
    let read = Ask::check(&bytes(&file["ask"], "bytes"), &home).expect("a question");
    assert_eq!(read, ask());
    assert_eq!(Shown::check(&bytes(&file["shown"], "bytes"), &read), Ok(shown()));
}

#[test]
fn what_is_none_of_it_is_refused_for_the_reason_that_comes_first() {
    let (file, home) = (file("witness"), federation());
    for row in rows(&file, "refused") {
        let bytes = bytes(row, "bytes");
        let error = match text(row, "message") {
            "head" => Head::check(&bytes, &home).err(),
            "cosigned" => Cosigned::check(&bytes, &home).err(),
            "fraud" => Fraud::check(&bytes, &home).err(),
            "ask" => Ask::check(&bytes, &home).err(),
            "shown" => Shown::check(&bytes, &ask()).err(),
            other => panic!("no message {other}"),
        };
        let error = error.unwrap_or_else(|| panic!("{} was taken", row["about"]));
        assert_eq!(why(&error), text(row, "why"), "{}: {error}", row["about"]);
    }
}

#[test]
fn frames_have_the_kinds_that_the_protocol_says() {
    let kinds = [HEAD_KIND, COSIGNED_KIND, FRAUD_KIND, ASK_KIND, SHOWN_KIND];
    assert_eq!(kinds, [0x0111, 0x0112, 0x0113, 0x0114, 0x0115]);
}
