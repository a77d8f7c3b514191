//! Values on the command line: JSON as it stands, from a file or from stdin, checked here so that a slip is told before
//! anything is sent. What is read is bounded by what the node takes.

use super::context::Usage;
use serde_json::value::RawValue;
use std::io::Read as _;

/// The most bytes of JSON that any route takes (a run: 8 MiB).
const JSON_BYTES_MAX: u64 = 8 << 20;

/// Reads JSON: the text itself, `@FILE`, or `-` for stdin. The text is kept as it is.
///
/// # Errors
/// [`Usage`] when it is not JSON, otherwise what the file is wrong in.
pub fn json(what: &str, given: &str) -> anyhow::Result<Box<RawValue>> {
    let text = match given.strip_prefix('@') {
        Some(file) => from_file(file)?,
        None if given == "-" => bounded("stdin", std::io::stdin().lock())?,
        None => given.to_owned(),
    };
    RawValue::from_string(text)
        .map_err(|e| Usage(format!("{what} is not JSON ({e}); quote it, or name a file as @FILE")).into())
}

/// Reads a file of JSON; `-` is stdin.
///
/// # Errors
/// As [`json`].
pub fn json_file(what: &str, file: &str) -> anyhow::Result<Box<RawValue>> {
    if file == "-" { json(what, file) } else { json(what, &format!("@{file}")) }
}

/// Reads a file of text, bounded.
///
/// # Errors
/// What is wrong with the file.
pub fn from_file(file: &str) -> anyhow::Result<String> {
    let opened = std::fs::File::open(file).map_err(|e| anyhow::anyhow!("cannot read {file}: {e}"))?;
    bounded(file, opened)
}

fn bounded(name: &str, from: impl std::io::Read) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(JSON_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|e| anyhow::anyhow!("cannot read {name}: {e}"))?;
    if text.len() as u64 > JSON_BYTES_MAX {
        anyhow::bail!("{name} has more than {JSON_BYTES_MAX} bytes; put large data into artifacts");
    }
    Ok(text)
}

/// A fresh key for a post, so that sending it again has no second effect.
pub fn fresh_key() -> String {
    let mut bytes = [0; 16];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    format!("cli-{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_from_the_line_or_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("x.json");
        std::fs::write(&file, "{ \"n\" : 1.10 }").expect("writes");
        let read = json("input", &format!("@{}", file.display())).expect("reads");
        assert_eq!(read.get(), "{ \"n\" : 1.10 }", "kept as it is");
        assert_eq!(json("input", "[1]").expect("reads").get(), "[1]");
        let error = json("input", "{bad").expect_err("not JSON");
        assert!(error.is::<Usage>() && error.to_string().contains("@FILE"), "{error}");
        assert!(json_file("run", "/nowhere/run.json").is_err());
    }
}
