//! Receipts, checked with nothing but the protocol: each record opens its leaf, the leaf stands in the log that the node
//! signed, and the record says what the node said.

use artel_federation::commitment::{Opening, Salt};
use artel_federation::fact::{Entry, Fact, Judgement};
use artel_protocol::id::Digest;
use artel_protocol::log::leaf::{Class, Leaf};
use artel_protocol::log::proof::Proof;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The step.
    pub task: String,
    /// The lease.
    pub epoch: u64,
    /// Who worked.
    pub agent: String,
    /// The digest of the output.
    pub output: Digest,
    /// The quality, when it was accepted.
    pub quality: Option<u8>,
    /// The journal index of the submission.
    pub submitted: u64,
    /// The journal index of the verdict.
    pub verdict: u64,
}

/// Checks a receipt with both of its records against the node that must have signed it.
///
/// # Panics
/// When anything does not hold.
#[track_caller]
pub fn check(receipt: &Value, peer_id: &str) -> Proven {
    let (submitted, at) = record(&receipt["submitted"], peer_id);
    let (verdict, judged_at) = record(&receipt["verdict"], peer_id);
    let Fact::Submitted(submission) = submitted.fact else { panic!("no submission: {submitted:?}") };
    let Fact::Verdict(verdict) = verdict.fact else { panic!("no verdict: {verdict:?}") };
    assert!(at < judged_at, "the verdict stands after the submission");
    assert_eq!(
        (verdict.step, verdict.epoch, verdict.agent),
        (submission.step, submission.epoch, submission.agent)
    );
    assert_eq!(receipt["task_id"], submission.step.to_string());
    assert_eq!(receipt["epoch"], submission.epoch.0);
    let opening = &receipt["opening"];
    let digest = |text: &Value| Digest::parse(text.as_str().expect("a digest")).expect("a digest");
    let salt = STANDARD.decode(opening["salt"].as_str().expect("a salt")).expect("base64");
    let artifacts = opening["artifacts"].as_array().expect("a list").iter().map(digest).collect();
    let (salt, output) = (Salt(salt.try_into().expect("16 bytes")), digest(&opening["output_digest"]));
    let opened = Opening { salt, output, artifacts };
    assert_eq!(opened.result(), submission.result, "the opening is of what the record commits to");
    let quality = match verdict.judgement {
        Judgement::Accepted { quality, .. } => Some(quality),
        Judgement::Rejected { .. } => None,
    };
    Proven {
        task: submission.step.to_string(),
        epoch: submission.epoch.0.into(),
        agent: submission.agent.to_string(),
        output,
        quality,
        submitted: at,
        verdict: judged_at,
    }
}

#[track_caller]
fn record(record: &Value, peer_id: &str) -> (Entry, u64) {
    let bytes = |field: &str| {
        let text = record[field].as_str().unwrap_or_else(|| panic!("no {field} in {record}"));
        STANDARD.decode(text).expect("base64")
    };
    let (body, salt) = (bytes("body"), bytes("salt"));
    let leaf = Leaf::parse(&bytes("leaf")).expect("a leaf");
    assert_eq!(leaf.class(), Class::Public);
    assert!(leaf.opens_with(&salt.try_into().expect("16 bytes"), &body), "the body opens the leaf");
    let proof = Proof::parse(record["proof"].as_str().expect("a proof")).expect("a signed proof");
    let included = proof.verify(&leaf.hash()).expect("the leaf stands in the log");
    assert_eq!(included.checkpoint().origin().node().key().peer_id(), peer_id, "this node signed it");
    assert_eq!(record["entry"], included.index());
    (Entry::decode(&body).expect("an entry"), included.index())
}
