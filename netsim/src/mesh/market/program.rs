//! What stands for a sandbox: a module is bytes, and a run of it follows from them, the input, what the steps before put out
//! and the files that they left, on every node the same.

use artel_federation::Json;
use artel_federation::fact::Came;
use artel_federation::redo::message::{Ended, Redo, Reran};
use artel_protocol::id::Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes that nodes store under their digest.
pub type Blobs = BTreeMap<Digest, Arc<[u8]>>;

/// What a run puts out and leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The output.
    pub output: Json,
    /// The one file that it leaves, where it leaves one.
    pub file: Option<Vec<u8>>,
}

/// The engine's digest.
pub fn profile() -> Digest {
    Digest::of(b"netsim engine")
}

/// The bytes of one of the modules that there are.
pub fn module(n: u64) -> Vec<u8> {
    format!("netsim module {n}").into_bytes()
}

/// Runs a module.
pub fn run(module: &[u8], input: &Json, needs: &[(String, Json)], files: &[Digest]) -> Made {
    let mut all = Digest::of(module).0.to_vec();
    all.extend(input.digest().0);
    needs.iter().for_each(|(_, output)| all.extend(output.digest().0));
    files.iter().for_each(|file| all.extend(file.0));
    let made = Digest::of(&all).hex();
    let file = made.ends_with(['0', '1', '2', '3', '4']).then(|| format!("SIM-{} is left", &made[..16]));
    Made {
        output: Json::new(format!("{{\"made\":\"{made}\"}}").into_bytes()),
        file: file.map(String::into_bytes),
    }
}

/// Runs a step again with what is stored; nothing where the module is not there.
pub fn rerun(ask: &Redo, blobs: &Blobs) -> Option<Reran> {
    let module = blobs.get(&ask.module)?;
    let made = run(module, &ask.input, &ask.needs, &ask.artifacts);
    let artifacts = made.file.map(|file| Digest::of(&file)).into_iter().collect();
    Some(Reran { profile: profile(), end: Ended::Done { output: made.output, artifacts, log: None } })
}

/// Whether a run came to what was handed in (`redo/compare.rs`; here no text has white space between its parts).
pub fn compare(reran: &Reran, output: &Json, left: &[Digest]) -> Came {
    let Ended::Done { output: again, artifacts, .. } = &reran.end else { return Came::Inconclusive };
    if again == output && artifacts == left {
        return Came::Same;
    }
    let mut all = b"done\0".to_vec();
    all.extend(again.digest().0);
    artifacts.iter().for_each(|file| all.extend(file.0));
    Came::Other(Digest::of(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_follows_from_all_that_it_is_given() {
        let json = |text: &str| Json::new(text.as_bytes());
        let made = run(b"m", &json("{}"), &[], &[]);
        assert_eq!(made, run(b"m", &json("{}"), &[], &[]));
        assert_ne!(made, run(b"n", &json("{}"), &[], &[]));
        assert_ne!(made, run(b"m", &json("[]"), &[], &[]));
        assert_ne!(made, run(b"m", &json("{}"), &[("a".into(), json("1"))], &[]));
        assert_ne!(made, run(b"m", &json("{}"), &[], &[Digest::of(b"file")]));
    }
}
