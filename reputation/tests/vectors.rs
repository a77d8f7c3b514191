//! The golden vectors: lists of evidence and their exact scores, of one viewer alone and of several homes. The expected numbers come from `vectors/check.py`, a
//! second implementation written from the formulas alone; a change here is a change of the protocol.

use artel_protocol::time::Wall;
use artel_reputation::{
    Assessment, Eighths, Evidence, Fact, Outcome, Quality, Score, Source, Standing, viewed,
};
use serde_json::Value;

fn mark(value: &Value) -> Quality {
    let mark = value.as_u64().and_then(|mark| u8::try_from(mark).ok());
    mark.and_then(Quality::new).expect("a mark of 0 to 100")
}

fn outcome(name: &str) -> Outcome {
    use Outcome::*;
    let all = [OnTime, Late, Rejected, Lapsed, Failed];
    all.into_iter().find(|outcome| outcome.name() == name).expect("a known outcome")
}

fn evidence(value: &Value) -> Evidence {
    let at = Wall(value["at_ms"].as_u64().expect("at_ms"));
    let fact = match value.get("outcome") {
        Some(name) => Fact::Receipt {
            outcome: outcome(name.as_str().expect("a name")),
            quality: value.get("quality").map(mark),
        },
        None => Fact::Review { rating: mark(&value["rating"]) },
    };
    Evidence { at, fact }
}

fn layer(value: &Value) -> Option<Score> {
    value.as_u64().map(|millionths| Score(u32::try_from(millionths).expect("a score")))
}

#[test]
fn every_vector_gives_its_exact_score() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../vectors/scores.json")).expect("vectors are JSON");
    assert!(vectors.len() >= 20);
    for vector in vectors {
        let name = &vector["name"];
        let now = Wall(vector["now_ms"].as_u64().expect("now_ms"));
        let list: Vec<Evidence> =
            vector["evidence"].as_array().expect("a list").iter().map(evidence).collect();
        let assessed = Standing::recompute(&list, now).assess(now);
        check(&assessed, &vector["expected"], name);
    }
}

fn check(assessed: &Assessment, expected: &Value, name: &Value) {
    assert_eq!(Some(assessed.score), layer(&expected["score"]), "{name}: score");
    assert_eq!(Some(assessed.lower), layer(&expected["lower"]), "{name}: lower");
    assert_eq!(assessed.layers.quality, layer(&expected["quality"]), "{name}: quality");
    assert_eq!(assessed.layers.success, layer(&expected["success"]), "{name}: success");
    assert_eq!(assessed.layers.review, layer(&expected["review"]), "{name}: review");
    assert_eq!(Some(assessed.receipts_micro), expected["receipts_micro"].as_u64(), "{name}: receipts");
    assert_eq!(Some(assessed.level.name()), expected["level"].as_str(), "{name}: level");
    assert_eq!(Some(assessed.score.to_string().as_str()), expected["shown"].as_str(), "{name}: shown");
}

#[test]
fn every_view_of_several_homes_gives_its_exact_score() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../vectors/viewed.json")).expect("vectors are JSON");
    assert!(vectors.len() >= 10);
    for vector in vectors {
        let name = &vector["name"];
        let now = Wall(vector["now_ms"].as_u64().expect("now_ms"));
        let homes = vector["homes"].as_array().expect("a list");
        let rows = |home: &Value| -> Vec<Evidence> {
            let rows = home["evidence"].as_array().expect("a list");
            let times = |row: &Value| row["times"].as_u64().expect("times") as usize;
            rows.iter().flat_map(|row| vec![evidence(row); times(row)]).collect()
        };
        let standings: Vec<Standing> =
            homes.iter().map(|home| Standing::recompute(&rows(home), now)).collect();
        let source = |(home, standing)| {
            let home: &Value = home;
            let settled = home["settled"].as_u64();
            Source {
                standing,
                weight: settled.map_or(Eighths::FULL, Eighths::of_settled),
                capped: settled.is_some(),
            }
        };
        let sources: Vec<Source<'_>> = homes.iter().zip(&standings).map(source).collect();
        let seen = viewed(&sources, now);
        let expected = &vector["expected"];
        check(&seen.assessment, expected, name);
        for (share, expected) in seen.shares.iter().zip(expected["shares"].as_array().expect("a list")) {
            let micro = |key: &str| expected[key].as_u64().expect("a number");
            let wanted = (micro("receipts_micro"), micro("counted_micro"));
            assert_eq!((share.receipts_micro, share.counted_micro), wanted, "{name}");
        }
    }
}
