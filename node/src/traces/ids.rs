//! Ids that every node computes alike from what it knows of a task anyway: `SHA-256(domain ‖ 00 ‖ what)`, cut.

use artel_protocol::id::{Digest, RunId, StepId};

/// The trace of a run and its tasks: the first 16 bytes of the digest of `artel/1/trace` and the run's id.
pub(super) fn trace(run: &RunId) -> [u8; 16] {
    cut(b"artel/1/trace", &[run.bytes()])
}

/// The span of a whole run, on which those of its tasks hang.
pub(super) fn run(run: &RunId) -> [u8; 8] {
    cut(b"artel/1/span/run", &[run.bytes()])
}

/// The span of a whole task, on which everybody's spans of it hang: the first 8 bytes of the digest of `artel/1/span/task` and the
/// step's id.
pub(super) fn task(step: &StepId) -> [u8; 8] {
    cut(b"artel/1/span/task", &[step.bytes()])
}

/// A span that one node makes of one entry of its journal.
pub(super) fn of_entry(name: &str, step: &[u8; 16], epoch: u32, salt: u64) -> [u8; 8] {
    cut(b"artel/1/span/entry", &[name.as_bytes(), b"\0", step, &epoch.to_be_bytes(), &salt.to_be_bytes()])
}

fn cut<const N: usize>(domain: &[u8], parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = domain.to_vec();
    bytes.push(0);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Digest::of(&bytes).0[..N].try_into().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::time::Wall;

    /// Other nodes, of other versions, compute the same: these never change.
    #[test]
    fn ids_are_those_that_were_agreed_on() {
        let id = RunId::new(Wall(1_771_588_800_000), [7; 9]);
        assert_eq!(hex::encode(trace(&id)), "6fe1e2287da01da2149dd07772bb4e2d");
        assert_eq!(hex::encode(run(&id)), "6c51b15687875528");
        assert_eq!(hex::encode(task(&id.step(0))), "cebb86166912aeea");
    }
}
