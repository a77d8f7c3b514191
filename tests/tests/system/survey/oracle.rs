//! What is to be known of one chunk: for each file its language, lines, longest line, content hash and what looks like a
//! leaked secret. A pure function of the chunk's bytes.

use super::secrets::{self, Secret};
use artel_protocol::id::Digest;
use serde::{Deserialize, Serialize};

/// The most findings of secrets in one chunk; the rest is counted. The output must stay below a step's limit.
const SECRETS_PER_CHUNK_MAX: usize = 200;

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Its language, by its name.
    pub language: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its lines.
    pub lines: u32,
    /// The characters of its longest line.
    pub longest: u32,
    /// That line, counted from 1; 0 in an empty file.
    pub longest_at: u32,
    /// SHA-256 of its content.
    pub sha256: String,
    /// What looks like a leaked secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
}

/// What is known of a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Its files.
    pub files: Vec<File>,
    /// Findings that found no room.
    pub secrets_left_out: u64,
}

/// Surveys the files of a chunk.
pub fn survey(files: &[(String, &[u8])]) -> Survey {
    let mut room = SECRETS_PER_CHUNK_MAX;
    let mut secrets_left_out = 0;
    let files = files.iter().map(|(path, content)| {
        let mut file = survey_file(path, content);
        let kept = file.secrets.len().min(room);
        secrets_left_out += (file.secrets.len() - kept) as u64;
        file.secrets.truncate(kept);
        room -= kept;
        file
    });
    Survey { files: files.collect(), secrets_left_out }
}

fn survey_file(path: &str, content: &[u8]) -> File {
    let text = String::from_utf8_lossy(content);
    let (mut lines, mut longest, mut longest_at) = (0_u32, 0_u32, 0_u32);
    for line in text.lines() {
        lines = lines.saturating_add(1);
        let chars = u32::try_from(line.chars().count()).unwrap_or(u32::MAX);
        if chars > longest || longest_at == 0 {
            (longest, longest_at) = (chars, lines);
        }
    }
    File {
        path: path.to_owned(),
        language: language(path).to_owned(),
        bytes: content.len() as u64,
        lines,
        longest,
        longest_at,
        sha256: Digest::of(content).hex(),
        secrets: secrets::find(&text),
    }
}

/// The language of a file, by its name.
pub fn language(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let by_name = match name {
        "Makefile" | "GNUmakefile" => Some("Make"),
        "Dockerfile" | "Containerfile" => Some("Dockerfile"),
        "CMakeLists.txt" => Some("CMake"),
        ".gitignore" | ".gitattributes" | ".editorconfig" => Some("Configuration"),
        "LICENSE" | "COPYING" | "NOTICE" => Some("Text"),
        _ => None,
    };
    if let Some(language) = by_name {
        return language;
    }
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
    match extension.as_str() {
        "rs" => "Rust",
        "py" | "pyi" => "Python",
        "js" | "mjs" | "cjs" | "jsx" => "JavaScript",
        "ts" | "tsx" | "mts" => "TypeScript",
        "c" | "h" => "C",
        "cc" | "cpp" | "cxx" | "hpp" | "hh" => "C++",
        "go" => "Go",
        "java" => "Java",
        "kt" | "kts" => "Kotlin",
        "rb" => "Ruby",
        "php" => "PHP",
        "swift" => "Swift",
        "cs" => "C#",
        "scala" => "Scala",
        "hs" => "Haskell",
        "ml" | "mli" => "OCaml",
        "ex" | "exs" => "Elixir",
        "erl" => "Erlang",
        "clj" | "cljs" => "Clojure",
        "lua" => "Lua",
        "pl" | "pm" => "Perl",
        "r" => "R",
        "zig" => "Zig",
        "nix" => "Nix",
        "sh" | "bash" | "zsh" | "fish" => "Shell",
        "sql" => "SQL",
        "html" | "htm" => "HTML",
        "css" | "scss" | "less" => "CSS",
        "md" | "markdown" => "Markdown",
        "rst" => "reStructuredText",
        "tex" => "TeX",
        "json" | "jsonl" | "ndjson" => "JSON",
        "yaml" | "yml" => "YAML",
        "toml" => "TOML",
        "xml" | "svg" => "XML",
        "csv" | "tsv" => "CSV",
        "proto" => "Protocol Buffers",
        "lock" => "Lock file",
        "ini" | "cfg" | "conf" | "env" => "Configuration",
        "txt" | "log" => "Text",
        "pem" | "crt" | "key" => "PEM",
        "wat" => "WebAssembly text",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_measured() {
        let content = "one\nthree three\nzwölf\n";
        let survey = survey(&[("src/a.rs".into(), content.as_bytes()), ("empty".into(), b"")]);
        let file = &survey.files[0];
        assert_eq!((file.language.as_str(), file.lines, file.longest, file.longest_at), ("Rust", 3, 11, 2));
        assert_eq!(file.sha256, Digest::of(content.as_bytes()).hex());
        let empty = &survey.files[1];
        assert_eq!(
            (empty.language.as_str(), empty.lines, empty.longest, empty.longest_at),
            ("Other", 0, 0, 0)
        );
    }

    #[test]
    fn languages_follow_names() {
        for (path, wanted) in [
            ("a/Makefile", "Make"),
            ("x.RS", "Rust"),
            ("Cargo.lock", "Lock file"),
            ("a.tar.yml", "YAML"),
            ("noextension", "Other"),
            (".gitignore", "Configuration"),
        ] {
            assert_eq!(language(path), wanted, "{path}");
        }
    }

    #[test]
    fn secrets_of_a_chunk_are_bounded_and_the_rest_is_counted() {
        let line = ["AKI", "AIOSFODNN7EXAMPLE\n"].concat();
        let content = line.repeat(secrets::FINDINGS_PER_FILE_MAX);
        let files: Vec<(String, &[u8])> = (0..15).map(|n| (format!("{n}"), content.as_bytes())).collect();
        let survey = survey(&files);
        let kept: usize = survey.files.iter().map(|f| f.secrets.len()).sum();
        assert_eq!((kept, survey.secrets_left_out), (SECRETS_PER_CHUNK_MAX, 100));
    }

    #[test]
    fn bytes_that_are_no_text_are_surveyed_all_the_same() {
        let survey = survey(&[("x.txt".into(), b"\xff\xfe\nabc")]);
        assert_eq!(survey.files[0].lines, 2);
    }
}
