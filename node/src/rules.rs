//! Rules on what may run in a sandbox, as an operator writes them: on the command line of a worker, and in a node's configuration.

use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_protocol::skill::Skill;
use artel_runner::{Kind, Rule};

/// Reads a rule: `any`, or parts that must all fit, with commas or spaces between them: `home=DID`, `module=sha256:HEX`,
/// `skill=NAME`, `kind=wasm`.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Rule, String> {
    let mut rule = Rule::default();
    if text == "any" {
        return Ok(rule);
    }
    for part in text.split([',', ' ']) {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not NAME=VALUE"))?;
        match name {
            "home" => rule.home = Some(NodeId::from_did(value).map_err(|e| e.to_string())?),
            "module" => rule.module = Some(Digest::parse(value).map_err(|e| e.to_string())?),
            "skill" => rule.skill = Some(Skill::parse(value).map_err(|e| e.to_string())?),
            "kind" => {
                rule.kind = Some(Kind::parse(value).ok_or_else(|| format!("there is no kind {value:?}"))?)
            }
            _ => return Err(format!("there is no part {name:?}")),
        }
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_nothing_else_is() {
        let hex = "ab".repeat(32);
        assert_eq!(read("any"), Ok(Rule::default()));
        for between in [",", " "] {
            let rule = read(&["module=sha256:", &hex, between, "kind=wasm", between, "skill=text"].concat());
            let rule = rule.expect("a rule");
            assert_eq!(rule.module, Digest::parse(&hex).ok());
            assert_eq!((rule.kind, rule.home), (Some(Kind::Wasm), None));
        }
        for text in ["", "all", "module=7", "kind=docker", "home=did:key:x", "fuel=1", "kind=wasm,"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
