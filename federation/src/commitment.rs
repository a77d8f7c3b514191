//! What public entries say of private things: salted commitments, and what opens them. A bare digest of a short text is
//! as good as the text, since anybody can try out what it may have been; so none stands in a public entry.
//!
//! Salts come from the entropy of the input that makes the entry, and stand in the private entry beside it.

use crate::fact::TaskSpec;
use crate::forms::LeastTask;
use artel_protocol::codec::{Decode, Encode, encode_into};
use artel_protocol::id::{Digest, StepId};
use artel_protocol::log::leaf::SALT_BYTES;

/// Random bytes that make a commitment say nothing to whoever does not have them. Fewer than 16, and they could be tried
/// out like a short text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Salt(pub [u8; SALT_BYTES]);

/// What opens a submission's commitment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Opening {
    /// The submission's own salt.
    pub salt: Salt,
    /// Digest of the output's bytes.
    pub output: Digest,
    /// Digests of its artifacts, in their order.
    pub artifacts: Vec<Digest>,
}

impl Opening {
    /// The commitment that a `Submitted` entry names: SHA-256 of `artel/1/result ‖ 0 ‖` the opening in the one encoding,
    /// that is `salt (16) ‖ digest of the output (32) ‖ number of artifacts u64 ‖ their digests (32 each)`.
    pub fn result(&self) -> Digest {
        let mut bytes = b"artel/1/result\0".to_vec();
        encode_into(self, &mut bytes);
        Digest::of(&bytes)
    }
}

/// The salt of one step's terms: the first 16 bytes of SHA-256 of `artel/1/terms-salt ‖ 0 ‖ run's salt (16) ‖ step id (16)`.
/// Whoever works on one step is given this one and learns nothing of the other steps of the run.
pub fn terms_salt(run: Salt, step: &StepId) -> Salt {
    let mut bytes = b"artel/1/terms-salt\0".to_vec();
    encode_into(&(run, *step), &mut bytes);
    Salt(Digest::of(&bytes).0[..SALT_BYTES].try_into().expect("16 of 32 bytes"))
}

/// The commitment to a whole task as posted, which its offers name: SHA-256 of `artel/1/terms ‖ 0 ‖` the
/// [`terms_salt`] `(16) ‖ step id (16) ‖` the task in the one encoding, of version 1 where it has no runner. A step's id
/// holds its run's and its number.
pub fn terms(salt: Salt, step: &StepId, task: &TaskSpec) -> Digest {
    let mut bytes = b"artel/1/terms\0".to_vec();
    encode_into(&(salt, *step), &mut bytes);
    encode_into(&LeastTask(task), &mut bytes);
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::RunnerSpec;
    use crate::fixture::task_for_nothing;

    use artel_protocol::id::RunId;
    use artel_protocol::time::Wall;

    fn opening(salt: u8, output: &[u8], artifacts: &[&[u8]]) -> Opening {
        let artifacts = artifacts.iter().map(|bytes| Digest::of(bytes)).collect();
        Opening { salt: Salt([salt; SALT_BYTES]), output: Digest::of(output), artifacts }
    }

    fn task(title: &str) -> TaskSpec {
        TaskSpec { title: title.into(), ..task_for_nothing() }
    }

    /// By hand, as a stranger reads PROTOCOL.md.
    #[test]
    fn a_result_is_the_digest_of_tag_salt_output_and_artifacts() {
        let mut bytes = b"artel/1/result\0".to_vec();
        bytes.extend([5; 16]);
        bytes.extend(Digest::of(b"42").0);
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(Digest::of(b"a").0);
        assert_eq!(opening(5, b"42", &[b"a"]).result(), Digest::of(&bytes));
    }

    #[test]
    fn every_part_of_an_opening_shows_in_the_result() {
        let seen: std::collections::BTreeSet<Digest> = [
            opening(5, b"42", &[b"a", b"b"]),
            opening(6, b"42", &[b"a", b"b"]),
            opening(5, b"43", &[b"a", b"b"]),
            opening(5, b"42", &[b"b", b"a"]),
            opening(5, b"42", &[b"a"]),
            opening(5, b"42", &[]),
        ]
        .iter()
        .map(Opening::result)
        .collect();
        assert_eq!(seen.len(), 6);
    }

    #[test]
    fn terms_are_those_of_one_step_under_its_own_salt() {
        let run = RunId::new(Wall(1), [2; 9]);
        let salt = Salt([7; SALT_BYTES]);
        let mut bytes = b"artel/1/terms-salt\0".to_vec();
        bytes.extend([7; 16]);
        bytes.extend(run.step(1).bytes());
        let of_step = terms_salt(salt, &run.step(1));
        assert_eq!(of_step.0, Digest::of(&bytes).0[..16]);
        assert_ne!(of_step, terms_salt(salt, &run.step(0)), "one step's salt opens no other step");
        let mut bytes = b"artel/1/terms\0".to_vec();
        bytes.extend(of_step.0);
        bytes.extend(run.step(1).bytes());
        // Without a runner, and without the byte that would say so.
        let mut encoded = artel_protocol::codec::encode(&task("count"));
        assert_eq!(encoded.pop(), Some(0));
        bytes.extend(encoded);
        assert_eq!(terms(of_step, &run.step(1), &task("count")), Digest::of(&bytes));
        assert_ne!(terms(of_step, &run.step(1), &task("sum")), Digest::of(&bytes));
        let module = Digest::of(b"module");
        let with_runner = TaskSpec { runner: Some(RunnerSpec::Wasm { module }), ..task("count") };
        bytes.extend([1, 0, 0, 0, 0]);
        bytes.extend(module.0);
        assert_eq!(terms(of_step, &run.step(1), &with_runner), Digest::of(&bytes));
    }
}
