//! What a guest gets: a module, and the one JSON object of the worker contract on standard input.

use crate::limits::{Limits, NAME_BYTES_MAX, STDIN_BYTES_MAX};
use crate::outcome::Refusal;
use artel_protocol::id::Digest;
use artel_protocol::limits::{JSON_DEPTH_MAX, STEP_ARTIFACTS_MAX};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A module's bytes with their digest. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    digest: Digest,
    bytes: Arc<[u8]>,
}

impl Module {
    /// Takes bytes and works out their digest. They may be anything; whether they are a module shows when they are compiled.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Module { digest: Digest::of(&bytes), bytes }
    }
    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({}, {} bytes)", self.digest, self.bytes.len())
    }
}

/// A file that the guest reads as `artifacts/NAME`.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Its name, one path component.
    pub name: String,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Given({:?}, {} bytes)", self.name, self.bytes.len())
    }
}

/// One step to run.
#[derive(Debug, Clone)]
pub struct Step {
    /// The program.
    pub module: Module,
    /// The task's input, a JSON text.
    pub input: String,
    /// What the steps that this one needs put out: a JSON text for each step's name.
    pub needs: BTreeMap<String, String>,
    /// Files for the guest.
    pub artifacts: Vec<Given>,
    /// This step's own deadline in milliseconds of CPU; the runner's limit holds where it is shorter.
    pub deadline_ms: Option<u64>,
}

impl Step {
    /// A step that needs nothing but an input.
    pub fn new(module: Module, input: impl Into<String>) -> Self {
        Step { module, input: input.into(), needs: BTreeMap::new(), artifacts: Vec::new(), deadline_ms: None }
    }

    /// Whether it is such as a step may be, as far as that shows before it runs: [`crate::Runner::run`] refuses another one, too.
    ///
    /// # Errors
    /// [`Refusal::Input`], as for a run.
    pub fn check(&self) -> Result<(), Refusal> {
        self.stdin(&Limits::default()).map(drop)
    }

    /// What the guest reads on standard input: `{"input":…,"needs":{…},"artifacts":{name:"artifacts/NAME"}}`, names in order,
    /// the JSON inside as it was given. So the same step has the same bytes everywhere.
    ///
    /// # Errors
    /// [`Refusal::Input`] for what is not JSON, too large, too many, or a name that is not one path component.
    pub(crate) fn stdin(&self, limits: &Limits) -> Result<Vec<u8>, Refusal> {
        if self.artifacts.len() > STEP_ARTIFACTS_MAX {
            return Err(Refusal::Input("too many artifacts"));
        }
        let mut paths = BTreeMap::new();
        let mut bytes = 0_u64;
        for Given { name, bytes: content } in &self.artifacts {
            if !is_file_name(name) {
                return Err(Refusal::Input("an artifact's name is not one path component"));
            }
            if paths.insert(name.as_str(), format!("artifacts/{name}")).is_some() {
                return Err(Refusal::Input("two artifacts of one name"));
            }
            bytes = bytes.saturating_add(content.len() as u64);
        }
        if bytes > limits.artifact_bytes {
            return Err(Refusal::Input("the artifacts are too large"));
        }
        let mut out = b"{\"input\":".to_vec();
        out.extend_from_slice(json(&self.input)?.as_bytes());
        out.extend_from_slice(b",\"needs\":{");
        for (i, (name, output)) in self.needs.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(serde_json::json!(name).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(json(output)?.as_bytes());
        }
        out.extend_from_slice(b"},\"artifacts\":");
        out.extend_from_slice(serde_json::json!(paths).to_string().as_bytes());
        out.push(b'}');
        if out.len() > STDIN_BYTES_MAX {
            return Err(Refusal::Input("the input is too large"));
        }
        Ok(out)
    }
}

fn json(text: &str) -> Result<&str, Refusal> {
    one_json(text.as_bytes()).ok_or(Refusal::Input("not a JSON text"))
}

/// How deep a step's JSON may be nested: one level less than a whole message, since it stands inside one wherever it goes.
const DEPTH_MAX: usize = JSON_DEPTH_MAX - 1;

/// The one JSON text in `bytes`, without the white space around it; nothing when it is not one, is nested too deep, or has an object
/// with one key twice, which two readers would read differently.
pub(crate) fn one_json(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    if depth(text) > DEPTH_MAX {
        return None;
    }
    let text = serde_json::from_str::<&RawValue>(text).ok()?.get();
    has_single_keys(text).then_some(text)
}

/// Whether each object in a JSON text has each of its keys once. Two spellings of a key are one key.
fn has_single_keys(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut keys: Vec<Cow<'_, str>> = Vec::new();
    // For each open bracket where an object's keys begin in `keys`; nothing for an array's.
    let mut open: Vec<Option<usize>> = Vec::new();
    let (mut at, mut is_key) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        let begun = at;
        at += 1;
        match byte {
            b'{' | b'[' => {
                is_key = byte == b'{';
                open.push(is_key.then_some(keys.len()));
            }
            b'}' | b']' => {
                if let Some(Some(first)) = open.pop() {
                    let own = &mut keys[first..];
                    own.sort_unstable();
                    if own.windows(2).any(|pair| pair[0] == pair[1]) {
                        return false;
                    }
                    keys.truncate(first);
                }
                is_key = false;
            }
            b',' => is_key = matches!(open.last(), Some(Some(_))),
            b'"' => {
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                if std::mem::take(&mut is_key) {
                    let Some(key) = text.get(begun..at).and_then(unquoted) else { return false };
                    keys.push(key);
                }
            }
            _ => {}
        }
    }
    true
}

/// A key's text; nothing where it is none, such as half of a character.
fn unquoted(quoted: &str) -> Option<Cow<'_, str>> {
    if quoted.contains('\\') {
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(quoted.trim_matches('"')))
    }
}

/// How deep brackets are nested, counted before a parser sees them. What is not JSON gets some number.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether text is a file's name: one path component that means nothing else.
pub(crate) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.bytes().any(|b| b == b'/' || b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step::new(Module::new(&b"\0asm"[..]), "{\"a\":1}")
    }

    #[test]
    fn standard_input_is_the_contract() {
        let mut step = step();
        step.needs.insert("b \"q\"".into(), " [2] ".into());
        step.needs.insert("a".into(), "1.50".into());
        for name in ["z.txt", "y"] {
            step.artifacts.push(Given { name: name.into(), bytes: Arc::from(&b"x"[..]) });
        }
        let text = String::from_utf8(step.stdin(&Limits::default()).expect("fine")).expect("UTF-8");
        assert_eq!(
            text,
            r#"{"input":{"a":1},"needs":{"a":1.50,"b \"q\"":[2]},"artifacts":{"y":"artifacts/y","z.txt":"artifacts/z.txt"}}"#
        );
    }

    #[test]
    fn what_is_no_input_is_refused() {
        let refused = |step: &Step| match step.stdin(&Limits::default()) {
            Err(Refusal::Input(why)) => why,
            other => panic!("{other:?}"),
        };
        let mut bad = step();
        bad.input = "{} {}".into();
        assert_eq!(refused(&bad), "not a JSON text");
        bad.input = format!("\"{}\"", "x".repeat(STDIN_BYTES_MAX));
        assert_eq!(refused(&bad), "the input is too large");
        for name in ["", ".", "..", "a/b", "/a", "a\0b", &"n".repeat(256)] {
            let mut bad = step();
            bad.artifacts.push(Given { name: name.to_owned(), bytes: Arc::from(&b""[..]) });
            assert_eq!(refused(&bad), "an artifact's name is not one path component", "{name:?}");
        }
        let mut bad = step();
        bad.artifacts = vec![Given { name: "a".into(), bytes: Arc::from(&b""[..]) }; 2];
        assert_eq!(refused(&bad), "two artifacts of one name");
        bad.artifacts = vec![Given { name: "a".into(), bytes: Arc::from(&b""[..]) }; 65];
        assert_eq!(refused(&bad), "too many artifacts");
    }

    #[test]
    fn one_json_text_is_one() {
        let deep = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        for (text, wanted) in [
            ("1", Some("1")),
            (" {\"a\": [1]}\n", Some("{\"a\": [1]}")),
            ("\"[[[[\\\"[[\"", Some("\"[[[[\\\"[[\"")),
            ("", None),
            ("1 2", None),
            ("{\"a\":1}x", None),
            ("nan", None),
            (&deep(63), Some(&*deep(63))),
            (&deep(64), None),
            (&deep(200_000), None),
            (r#"{"a":{"a":1},"b":["a","a",{"a":"b"}]}"#, Some(r#"{"a":{"a":1},"b":["a","a",{"a":"b"}]}"#)),
            (r#"{"a":1,"a":2}"#, None),
            (r#"[{"x":{"a":1,"b\\":"\"","a":2}}]"#, None),
            (r#"{"a":1,"\u0061":2}"#, None),
            (r#"{"a":1,"\ud800":2}"#, None),
            (r#"{"a\"":1,"a":"\ud800","b":1e999}"#, Some(r#"{"a\"":1,"a":"\ud800","b":1e999}"#)),
            (r#"{"k":{},"l":0,"k":[]}"#, None),
        ] {
            assert_eq!(one_json(text.as_bytes()), wanted, "{}", &text[..text.len().min(20)]);
        }
        assert_eq!(one_json(b"\"\xff\""), None);
    }
}
