//! Proofs of fraud for `artel audit verify`: those in a data directory, and one that somebody handed over. A proof needs no
//! node, no key and no trust in who kept it: the liar's own signatures are in it.

use super::context::Context;
use anyhow::Context as _;
use artel_audit::os::OsFiles;
use artel_audit::records::frauds;
use artel_protocol::id::Digest;
use artel_protocol::witness::{Contradiction, Fraud, MESSAGE_BYTES_MAX, Signed};
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;

/// A proof that holds, for programs and for people.
pub struct Proven {
    /// What is told to programs.
    pub json: Value,
    /// A line for people.
    pub text: String,
}

/// What a directory holds.
pub struct Found {
    /// The proofs that hold.
    pub proven: Vec<Proven>,
    /// Files that prove nothing, and why.
    pub bad: Vec<(String, String)>,
}

impl Found {
    /// Fails with the first file that proves nothing.
    pub fn refuse_bad(self, dir: &Path) -> anyhow::Result<()> {
        match self.bad.first() {
            None => Ok(()),
            Some((file, why)) => {
                anyhow::bail!("{}: {why}; remove it, it counts for nothing", dir.join(file).display())
            }
        }
    }
}

/// Checks every proof in a data directory.
///
/// # Errors
/// When it cannot be listed.
pub fn of_directory(dir: &Path) -> anyhow::Result<Found> {
    let mut all = Found { proven: Vec::new(), bad: Vec::new() };
    for found in frauds::scan(&OsFiles::new(dir))? {
        match found.proof {
            Ok(fraud) => all.proven.push(proven(&fraud, &found.file)),
            Err(error) => all.bad.push((found.file, error.to_string())),
        }
    }
    Ok(all)
}

/// Checks one proof.
///
/// # Errors
/// When it cannot be read, or proves nothing.
pub fn verify_file(context: &Context, file: &Path) -> anyhow::Result<()> {
    let shown = file.display();
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).with_context(|| format!("cannot read {shown}"))?;
    opened
        .take(MESSAGE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {shown}"))?;
    let fraud = Fraud::read(&bytes).map_err(|error| anyhow::anyhow!("{shown} proves no fraud: {error}"))?;
    let proven = proven(&fraud, &shown.to_string());
    context.show.done(&proven.json, &proven.text)
}

fn proven(fraud: &Fraud, file: &str) -> Proven {
    let (origin, contradiction) = (fraud.origin(), fraud.contradiction());
    let (one, other, what) = told(contradiction);
    let (node, kind) = (origin.node(), contradiction.name());
    Proven {
        json: json!({
            "file": file,
            "node_id": node.to_string(),
            "origin": origin.to_string(),
            "lie": kind,
            "what": what,
            "sizes": [one.checkpoint.size(), other.checkpoint.size()],
            "roots": [one.checkpoint.root().to_string(), other.checkpoint.root().to_string()],
            "proof": Digest::of(&fraud.to_frame()).to_string(),
            "holds": true,
        }),
        text: format!("proof of fraud holds: {node} signed {what} ({kind}), in {file}"),
    }
}

/// The two checkpoints of a contradiction, and what it is in words.
fn told(contradiction: &Contradiction) -> (&Signed, &Signed, String) {
    match contradiction {
        Contradiction::TwoRoots { one, other } => {
            (one, other, format!("two roots of its first {} entries", one.checkpoint.size()))
        }
        Contradiction::TwoLeaves { index, one, other } => {
            (&one.head, &other.head, format!("two leaves of entry {index}"))
        }
        Contradiction::Rewritten { earlier, later, .. } => {
            let (old, new) = (earlier.checkpoint.size(), later.checkpoint.size());
            (earlier, later, format!("{old} entries, and later {new} that do not continue them"))
        }
    }
}
