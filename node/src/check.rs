//! The check that a step's output meets its JSON Schema (draft 2020-12 unless the schema names another). Nothing is
//! fetched: a schema that refers to another document is refused when it is posted.

use artel_federation::Json;
use artel_federation::fact::Outcome;

/// How many findings are reported; the first ones say enough.
const FINDINGS_MAX: usize = 8;

/// Whether `schema` can be used to check outputs.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn schema(schema: &[u8]) -> Result<(), String> {
    compile(schema).map(|_| ())
}

/// Judges an output by its schema.
pub fn output(schema: &Json, output: &Json) -> Outcome {
    let rejected = |findings: String| Outcome::Rejected { check: "output_schema".into(), findings };
    let validator = match compile(schema.bytes()) {
        Ok(validator) => validator,
        Err(error) => return rejected(format!("the schema cannot be used: {error}")),
    };
    let value = match serde_json::from_slice::<serde_json::Value>(output.bytes()) {
        Ok(value) => value,
        Err(error) => return rejected(format!("not JSON: {error}")),
    };
    let findings: Vec<String> = validator
        .iter_errors(&value)
        .take(FINDINGS_MAX)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    if findings.is_empty() {
        Outcome::Accepted { quality: 100, checked: true }
    } else {
        rejected(findings.join("\n"))
    }
}

fn compile(schema: &[u8]) -> Result<jsonschema::Validator, String> {
    let schema: serde_json::Value = serde_json::from_slice(schema).map_err(|e| e.to_string())?;
    // The linear-time engine: a posted pattern must not make a check run for ever.
    jsonschema::options()
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(&schema)
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(schema: &str, text: &str) -> Outcome {
        output(&Json::new(schema.as_bytes()), &Json::new(text.as_bytes()))
    }

    const SCHEMA: &str =
        r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer","minimum":1}}}"#;

    #[test]
    fn outputs_are_judged_by_their_schema() {
        assert_eq!(judged(SCHEMA, r#"{"n":1}"#), Outcome::Accepted { quality: 100, checked: true });
        for bad in [r#"{"n":0}"#, r#"{}"#, "[]", r#"{"n":"1"}"#] {
            let Outcome::Rejected { check, findings } = judged(SCHEMA, bad) else {
                panic!("{bad} was accepted")
            };
            assert_eq!(check, "output_schema");
            assert!(!findings.is_empty());
        }
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused() {
        assert!(schema(SCHEMA.as_bytes()).is_ok());
        for bad in [r#"{"type":"nonsense"}"#, r#"{"$ref":"http://example.com/x.json"}"#, "7", "{"] {
            assert!(schema(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_cannot_run_for_ever() {
        let schema = r#"{"type":"string","pattern":"^(a+)+$"}"#;
        let text = format!("\"{}!\"", "a".repeat(60));
        assert!(matches!(judged(schema, &text), Outcome::Rejected { .. }));
    }
}
