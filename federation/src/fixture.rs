//! What several tests of this crate begin with.

use crate::fact::TaskSpec;
use crate::json::Json;
use artel_protocol::amount::Credits;
use artel_protocol::time::Wall;
use artel_reputation::Complexity;

/// A simple task that anybody may claim and nobody is paid for.
pub(crate) fn task_for_nothing() -> TaskSpec {
    TaskSpec {
        title: "t".into(),
        description: String::new(),
        skills: Vec::new(),
        level_min: None,
        complexity: Complexity::Simple,
        reward: Credits::ZERO,
        deadline: Wall(0),
        input: Json::new(*b"{}"),
        output_schema: None,
        poster_may_claim: false,
        runner: None,
    }
}
