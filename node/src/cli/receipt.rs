//! Checking of receipts with nothing but the protocol: both records stand in the named node's journal, and they say that
//! the same agent's submission for the same lease was judged. Where the worker was another node's agent, that node's own record
//! names the same result.

use artel_federation::Fact;
use artel_federation::commitment::{Opening, Salt};
use artel_federation::fact::{Abroad, Entry, Judgement, Submitted};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::leaf::SALT_BYTES;
use artel_protocol::log::{Class, Leaf, Origin, Proof};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// Why a receipt is not one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The answer is not of a receipt's form.
    #[error("not a receipt: {0}")]
    Form(String),
    /// The submission was not judged yet.
    #[error("there is no verdict yet")]
    NoVerdict,
    /// A record does not hold.
    #[error("the {record} record does not hold: {reason}")]
    Record {
        /// Which of the two.
        record: &'static str,
        /// Why not.
        reason: String,
    },
    /// What was handed in is not what the submission commits to.
    #[error("what it says was handed in is not what the submission commits to")]
    Opening,
    /// The two records do not belong together.
    #[error("the two records do not belong together: {0}")]
    Pair(&'static str),
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The task.
    pub step: StepId,
    /// The lease.
    pub epoch: Epoch,
    /// Who did it.
    pub agent: AgentId,
    /// Digest of what was handed in.
    pub output: Digest,
    /// The quality when it was accepted.
    pub accepted: Option<u8>,
    /// The journal entry of the verdict.
    pub entry: u64,
    /// The node of the agent, where it is another than home.
    pub worker: Option<Worker>,
}

/// A node whose agent did it for another home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// The node.
    pub node: NodeId,
    /// Whether the receipt has its record too, and that one holds and says the same.
    pub is_proven: bool,
}

#[derive(Deserialize)]
struct Receipt {
    task_id: String,
    submitted: Record,
    verdict: Option<Record>,
    #[serde(default)]
    handed_in: Option<Record>,
    opening: OpeningText,
}

#[derive(Deserialize)]
struct OpeningText {
    salt: String,
    output_digest: String,
    artifacts: Vec<String>,
}

#[derive(Deserialize)]
struct Record {
    entry: u64,
    body: String,
    salt: String,
    leaf: String,
    proof: String,
}

/// Checks the answer of `GET /v1/tasks/{id}/receipt` against the journal that it must come from.
///
/// # Errors
/// [`Error`], each case as it says.
pub fn check(answer: &str, origin: &Origin) -> Result<Checked, Error> {
    let receipt: Receipt = serde_json::from_str(answer).map_err(|e| Error::Form(e.to_string()))?;
    let task = StepId::parse(&receipt.task_id).map_err(|e| Error::Form(e.to_string()))?;
    let Some(verdict_record) = &receipt.verdict else { return Err(Error::NoVerdict) };
    let Fact::Submitted(submitted) = fact("submitted", &receipt.submitted, origin)? else {
        return Err(Error::Pair("the first is not a submission"));
    };
    let Fact::Verdict(verdict) = fact("verdict", verdict_record, origin)? else {
        return Err(Error::Pair("the second is not a verdict"));
    };
    if submitted.step != task || verdict.step != task {
        return Err(Error::Pair("one is about another task"));
    }
    if (verdict.epoch, verdict.agent) != (submitted.epoch, submitted.agent) {
        return Err(Error::Pair("lease or agent differ"));
    }
    if verdict.submitted != receipt.submitted.entry {
        return Err(Error::Pair("the verdict judges another submission"));
    }
    let opening = receipt.opening.read()?;
    if opening.result() != submitted.result {
        return Err(Error::Opening);
    }
    let worker = worker(&submitted, receipt.handed_in.as_ref(), origin)?;
    let accepted = match verdict.judgement {
        Judgement::Accepted { quality, .. } => Some(quality),
        Judgement::Rejected { .. } => None,
    };
    Ok(Checked {
        step: task,
        epoch: submitted.epoch,
        agent: submitted.agent,
        output: opening.output,
        accepted,
        entry: verdict_record.entry,
        worker,
    })
}

/// The worker's node, and whether its record belongs to home's.
fn worker(submitted: &Submitted, record: Option<&Record>, home: &Origin) -> Result<Option<Worker>, Error> {
    let (at, record) = match (submitted.handed_at, record) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Error::Pair("the submission names no record of another node")),
        (Some(at), None) => return Ok(Some(Worker { node: at.node, is_proven: false })),
        (Some(at), Some(record)) => (at, record),
    };
    let origin = Origin::new(home.federation(), at.node, at.incarnation);
    let Fact::HandedIn(handed) = fact("handed_in", record, &origin)? else {
        return Err(Error::Pair("what the worker's node has there is no result that was handed in"));
    };
    if record.entry != at.index {
        return Err(Error::Pair("the submission names another entry of the worker's node"));
    }
    let lease = Abroad { home: home.node(), step: submitted.step, epoch: submitted.epoch };
    if (handed.lease, handed.agent, handed.result) != (lease, submitted.agent, submitted.result) {
        return Err(Error::Pair("the worker's node has handed in something else"));
    }
    Ok(Some(Worker { node: at.node, is_proven: true }))
}

impl OpeningText {
    fn read(&self) -> Result<Opening, Error> {
        let form = |what: &str, e: &dyn std::fmt::Display| Error::Form(format!("{what}: {e}"));
        let digest = |text: &String| Digest::parse(text).map_err(|e| form("a digest", &e));
        let salt = STANDARD.decode(&self.salt).map_err(|e| form("the salt", &e))?;
        let salt =
            salt.try_into().map_err(|_| Error::Form(format!("the salt has not {SALT_BYTES} bytes")))?;
        Ok(Opening {
            salt: Salt(salt),
            output: digest(&self.output_digest)?,
            artifacts: self.artifacts.iter().map(digest).collect::<Result<_, _>>()?,
        })
    }
}

/// The fact of a record, once it is shown to be a public entry of the journal.
fn fact(name: &'static str, record: &Record, origin: &Origin) -> Result<Fact, Error> {
    let wrong = |reason: String| Error::Record { record: name, reason };
    let bytes = |what: &str, text: &str| {
        STANDARD.decode(text).map_err(|e| wrong(format!("{what} is not base64: {e}")))
    };
    let (body, salt) = (bytes("body", &record.body)?, bytes("salt", &record.salt)?);
    let salt: [u8; SALT_BYTES] =
        salt.try_into().map_err(|_| wrong(format!("the salt has not {SALT_BYTES} bytes")))?;
    let leaf = Leaf::parse(&bytes("leaf", &record.leaf)?).map_err(|e| wrong(e.to_string()))?;
    if leaf.class() != Class::Public || !leaf.opens_with(&salt, &body) {
        return Err(wrong("the leaf does not commit to this body as a public one".into()));
    }
    let proof = Proof::parse(&record.proof).map_err(|e| wrong(e.to_string()))?;
    if proof.checkpoint().origin() != *origin {
        return Err(wrong(format!("it is proven to {}, not to {origin}", proof.checkpoint().origin())));
    }
    if proof.index() != record.entry {
        return Err(wrong(format!("the proof is of entry {}, not of {}", proof.index(), record.entry)));
    }
    proof.verify(&leaf.hash()).map_err(|e| wrong(e.to_string()))?;
    Ok(Entry::decode(&body).map_err(|e| wrong(e.to_string()))?.fact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::fact::{Authority, HandedAt, HandedIn, Verdict};
    use artel_protocol::id::{FederationId, RunId};
    use artel_protocol::key::SecretKey;
    use artel_protocol::log::{Checkpoint, CompactRange, SignedCheckpoint, inclusion, tree};
    use artel_protocol::time::Wall;
    use serde_json::{Value, json};

    fn secret() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn origin() -> Origin {
        Origin::new(FederationId([1; 32]), NodeId(secret().public()), 1)
    }

    fn step() -> StepId {
        RunId::new(Wall(1_000), [5; 9]).step(0)
    }

    fn opening() -> Opening {
        Opening { salt: Salt([6; 16]), output: Digest::of(b"{}"), artifacts: vec![Digest::of(b"file")] }
    }

    fn facts(agent: AgentId) -> [Fact; 2] {
        let submitted = Submitted {
            step: step(),
            epoch: Epoch(1),
            agent,
            result: opening().result(),
            authority: Authority::Session,
            late: false,
            handed_at: None,
        };
        let judgement = Judgement::Accepted { quality: 100, checked: false };
        let verdict = Verdict { step: step(), epoch: Epoch(1), agent, submitted: 0, judgement };
        [Fact::Submitted(submitted), Fact::Verdict(verdict)]
    }

    fn receipt(facts: [Fact; 2]) -> Value {
        let [submitted, verdict] = records(facts, origin(), &secret());
        let opening = json!({
            "salt": STANDARD.encode(opening().salt.0),
            "output_digest": opening().output.to_string(),
            "artifacts": [opening().artifacts[0].to_string()],
        });
        let task = step().to_string();
        json!({"task_id": task, "epoch": 1, "submitted": submitted, "verdict": verdict, "opening": opening})
    }

    /// Two records of one journal.
    fn records(facts: [Fact; 2], origin: Origin, secret: &SecretKey) -> [Value; 2] {
        let entries = facts.map(|fact| Entry { at: Wall(2_000), correlation: None, fact }.encode());
        let salts = [[3; SALT_BYTES], [4; SALT_BYTES]];
        let leaves: Vec<Leaf> =
            (0..2).map(|i| Leaf::commit(Class::Public, i as u64, &salts[i], &entries[i])).collect();
        let hashes: Vec<_> = leaves.iter().map(Leaf::hash).collect();
        let mut range = CompactRange::new();
        hashes.iter().for_each(|hash| range.append(*hash));
        let checkpoint = Checkpoint::new(origin, 2, range.root()).expect("a checkpoint");
        let checkpoint = SignedCheckpoint::sign(checkpoint, secret).expect("our key");
        let record = |i: usize| {
            let path = inclusion::prove::<tree::Error>(i as u64, 2, |at| Ok(hashes[at.index as usize]))
                .expect("a proof");
            let proof = Proof::new(i as u64, Vec::new(), path, checkpoint.clone()).expect("a proof");
            json!({
                "entry": i,
                "body": STANDARD.encode(&entries[i]),
                "salt": STANDARD.encode(salts[i]),
                "leaf": STANDARD.encode(leaves[i].to_bytes()),
                "fact": {},
                "proof": proof.to_string(),
            })
        };
        [record(0), record(1)]
    }

    fn agent(seed: u8) -> AgentId {
        AgentId(SecretKey::from_seed(&[seed; 32]).public())
    }

    #[test]
    fn a_good_receipt_says_who_did_what() {
        let checked = check(&receipt(facts(agent(9))).to_string(), &origin()).expect("a receipt");
        assert_eq!((checked.step, checked.agent, checked.accepted), (step(), agent(9), Some(100)));
        assert_eq!(checked.output, Digest::of(b"{}"));
    }

    #[test]
    fn any_changed_part_spoils_a_receipt() {
        let good = receipt(facts(agent(9)));
        for (record, field, bad) in [
            ("submitted", "body", json!(STANDARD.encode(b"other"))),
            ("submitted", "salt", json!(STANDARD.encode([0; SALT_BYTES]))),
            ("verdict", "leaf", good["submitted"]["leaf"].clone()),
            ("verdict", "proof", good["submitted"]["proof"].clone()),
            ("verdict", "entry", json!(0)),
            ("submitted", "proof", json!("nonsense")),
        ] {
            let mut changed = good.clone();
            changed[record][field] = bad;
            assert!(
                matches!(check(&changed.to_string(), &origin()), Err(Error::Record { .. })),
                "{record}.{field}"
            );
        }
    }

    #[test]
    fn a_receipt_of_another_output_is_seen() {
        let good = receipt(facts(agent(9)));
        for (field, other) in [
            ("salt", json!(STANDARD.encode([7; SALT_BYTES]))),
            ("output_digest", json!(Digest::of(b"[]").to_string())),
            ("artifacts", json!([])),
        ] {
            let mut changed = good.clone();
            changed["opening"][field] = other;
            assert!(matches!(check(&changed.to_string(), &origin()), Err(Error::Opening)), "{field}");
            changed["opening"][field] = json!(7);
            assert!(matches!(check(&changed.to_string(), &origin()), Err(Error::Form(_))), "{field}");
        }
    }

    #[test]
    fn records_that_do_not_belong_together_are_no_receipt() {
        let [submitted, _] = facts(agent(9));
        let [_, verdict] = facts(agent(8));
        assert!(matches!(check(&receipt([submitted, verdict]).to_string(), &origin()), Err(Error::Pair(_))));
        let [submitted, verdict] = facts(agent(9));
        let Fact::Verdict(verdict) = verdict else { panic!("the second fact is the verdict") };
        let elsewhere = Fact::Verdict(Verdict { submitted: 7, ..verdict });
        let of_another = receipt([submitted, elsewhere]);
        assert!(matches!(check(&of_another.to_string(), &origin()), Err(Error::Pair(_))));
        let mut pending = receipt(facts(agent(9)));
        pending["verdict"] = Value::Null;
        assert!(matches!(check(&pending.to_string(), &origin()), Err(Error::NoVerdict)));
    }

    #[test]
    fn another_journal_is_not_believed() {
        let other = Origin::new(FederationId([2; 32]), NodeId(secret().public()), 1);
        assert!(check(&receipt(facts(agent(9))).to_string(), &other).is_err());
    }

    /// A receipt of an agent of another node, with that node's record of some result.
    fn from_elsewhere(result: Digest, index: u64) -> Value {
        let worker = SecretKey::from_seed(&[8; 32]);
        let node = NodeId(worker.public());
        let [Fact::Submitted(submitted), verdict] = facts(agent(9)) else { panic!("a submission") };
        let at = HandedAt { node, incarnation: 1, index };
        let mut receipt =
            receipt([Fact::Submitted(Submitted { handed_at: Some(at), ..submitted.clone() }), verdict]);
        let lease = Abroad { home: origin().node(), step: step(), epoch: Epoch(1) };
        let handed = HandedIn { lease, agent: agent(9), result, authority: Authority::Delegated };
        let facts = [Fact::Submitted(submitted), Fact::HandedIn(handed)];
        let [_, handed] = records(facts, Origin::new(origin().federation(), node, 1), &worker);
        receipt["handed_in"] = handed;
        receipt
    }

    #[test]
    fn the_record_of_the_worker_s_node_belongs_to_it() {
        let good = from_elsewhere(opening().result(), 1);
        let checked = check(&good.to_string(), &origin()).expect("a receipt");
        assert!(checked.worker.expect("another node's").is_proven);
        let mut alone = good.clone();
        alone["handed_in"] = Value::Null;
        let checked = check(&alone.to_string(), &origin()).expect("a receipt");
        assert!(!checked.worker.expect("another node's").is_proven);
        for bad in [from_elsewhere(Digest::of(b"other"), 1), from_elsewhere(opening().result(), 0)] {
            assert!(matches!(check(&bad.to_string(), &origin()), Err(Error::Pair(_))));
        }
        let mut own = receipt(facts(agent(9)));
        own["handed_in"] = good["handed_in"].clone();
        assert!(matches!(check(&own.to_string(), &origin()), Err(Error::Pair(_))));
        let mut home_s = good.clone();
        home_s["handed_in"] = good["submitted"].clone();
        assert!(matches!(check(&home_s.to_string(), &origin()), Err(Error::Record { .. })));
    }
}
