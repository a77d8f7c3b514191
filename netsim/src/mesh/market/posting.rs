//! What operators post: single steps and chains of them, some to be run in a sandbox, some with more input than a direct answer
//! has room for. Each input holds a secret of its own, by which the world sees who is told it.

use super::program;
use crate::desk::skill;
use crate::rng::Rng;
use artel_federation::Json;
use artel_federation::fact::{RunnerSpec, TaskSpec};
use artel_federation::input::{RunPost, StepPost};
use artel_protocol::amount::Credits;
use artel_protocol::id::Digest;
use artel_protocol::time::Wall;
use artel_reputation::Complexity;

/// How many modules there are.
pub const MODULES: u64 = 3;

/// What stands before each secret.
pub const MARK: &[u8] = b"SIM-";

/// How many characters a secret has.
pub const SECRET_CHARS: usize = 16;

/// The skills that tasks ask for.
pub const SKILLS: [&str; 3] = ["text", "code", "sums"];

/// How many bytes a large input is filled up with.
const LARGE_BYTES: usize = 3 << 10;

/// A run to be posted.
pub fn run(rng: &mut Rng, wall: Wall, name: String) -> RunPost {
    let count = rng.between(1, 3);
    let step = |i: u64, rng: &mut Rng| StepPost {
        name: format!("s{i}"),
        needs: if i > 0 && rng.chance(700) { vec![format!("s{}", i - 1)] } else { Vec::new() },
        task: task(rng, wall),
    };
    let steps = (0..count).map(|i| step(i, rng)).collect();
    RunPost { name, inputs: Json::new(*b"{}"), priority: rng.below(3) as i32, steps, key: None }
}

fn task(rng: &mut Rng, wall: Wall) -> TaskSpec {
    let fill = if rng.chance(250) { "x".repeat(LARGE_BYTES) } else { String::new() };
    let input = format!("{{\"fill\":\"{fill}\",\"secret\":\"SIM-{:016x}\"}}", rng.draw());
    let runs = rng.chance(600);
    TaskSpec {
        title: "a task".into(),
        description: String::new(),
        skills: vec![skill(rng.pick(&SKILLS).expect("some"))],
        level_min: None,
        complexity: Complexity::Simple,
        reward: Credits(if rng.chance(100) { 0 } else { rng.between(1, 5_000_000) }),
        deadline: wall.plus_ms(3_600_000),
        input: Json::new(input.into_bytes()),
        output_schema: rng.chance(400).then(|| Json::new(*b"{\"type\":\"object\"}")),
        poster_may_claim: false,
        runner: runs.then(|| RunnerSpec::Wasm { module: Digest::of(&program::module(rng.below(MODULES))) }),
    }
}

/// The secrets in some bytes.
pub fn secrets(bytes: &[u8]) -> Vec<[u8; SECRET_CHARS]> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = bytes[from..].windows(MARK.len()).position(|window| window == MARK) {
        from += at + MARK.len();
        if let Some(secret) = bytes[from..].first_chunk() {
            found.push(*secret);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_has_a_secret_of_its_own() {
        let post = run(&mut Rng::new(1), Wall(1), "r".into());
        let of = |step: &StepPost| secrets(step.task.input.bytes());
        assert!(post.steps.iter().all(|step| of(step).len() == 1));
        assert!(secrets(b"nothing").is_empty() && secrets(b"SIM-short").is_empty());
    }
}
