//! What a minute brings: a known caller's refusals become one entry for each code, a stranger's none, and a challenge is
//! too old. These tests wait for the node's own minute, with a deadline.

use crate::{artel, fresh};
use artel_tests::agent::{claim, key_of, post, sign, task};
use artel_tests::{Agent, all_pages, wait};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn refusals_are_counted_together_and_strangers_fill_no_disk() {
    let dir = fresh();
    let node = artel().up(dir.path()).start();
    let mut operator = node.operator();
    let mut agent = Agent::enroll(&node, "refused", &["other"]);
    let id = post(&mut operator, &task("t", &["text"], 1));
    let late = node
        .anonymous()
        .post("/v1/enroll", &json!({"agent_name": "late", "public_key": key_of("late").public().did()}))
        .is(201);
    let before = all_pages(&mut operator, "/v1/audit/entries").len();
    for _ in 0..20 {
        agent.http.send(&claim(&id)).refused(403, "not_qualified");
        agent.http.post("/v1/tasks", &json!({"titel": "t"})).refused(422, "unknown_field");
        node.anonymous().send(&claim(&id)).refused(401, "unauthenticated");
    }
    let refused = wait::until_within(Duration::from_secs(150), "the minute's entries", || {
        let all = all_pages(&mut operator, "/v1/audit/entries");
        let refused: Vec<Value> = all.into_iter().filter(|entry| entry["kind"] == "Refused").collect();
        (refused.len() >= 2).then_some(refused)
    });
    let counted: Vec<_> = refused
        .iter()
        .map(|e| (e["fact"]["who"].clone(), e["fact"]["code"].clone(), e["fact"]["count"].clone()))
        .collect();
    for code in ["not_qualified", "unknown_field"] {
        let wanted = (json!(agent.did), json!(code), json!(20));
        assert!(counted.contains(&wanted), "{wanted:?} is not in {counted:?}");
    }
    assert_eq!(counted.len(), 2, "one entry for each code, none for strangers: {counted:?}");
    assert_eq!(all_pages(&mut operator, "/v1/audit/entries").len(), before + 2);

    // A minute has passed, so the challenge from before it is too old.
    let text = late["challenge"].as_str().expect("a text");
    let path = format!("/v1/enroll/{}/respond", late["enrollment_id"].as_str().expect("an id"));
    let answer = node.anonymous().post(&path, &json!({"signature": sign(&key_of("late"), text)}));
    answer.refused(410, "challenge_expired");
}
