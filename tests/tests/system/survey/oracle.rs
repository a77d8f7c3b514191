//! What the demo's survey of a chunk is to put out, worked out a second time and in another language than the guest's.

use super::secrets::{self, Secret};
use artel_protocol::id::Digest;
use serde_json::json;

/// The most findings of secrets in one chunk; the rest is counted.
const SECRETS_PER_CHUNK_MAX: usize = 200;

/// The output for a chunk of these files, as the guest writes it.
pub fn survey(files: &[(String, Vec<u8>)]) -> String {
    let (mut room, mut left_out) = (SECRETS_PER_CHUNK_MAX, 0);
    let mut parts = Vec::new();
    for (path, content) in files {
        let mut found = secrets::find(&String::from_utf8_lossy(content));
        let kept = found.len().min(room);
        left_out += found.len() - kept;
        room -= kept;
        found.truncate(kept);
        parts.push(file(path, content, &found));
    }
    format!(r#"{{"files":[{}],"secrets_left_out":{left_out}}}"#, parts.join(","))
}

fn file(path: &str, content: &[u8], secrets: &[Secret]) -> String {
    let text = String::from_utf8_lossy(content);
    let (mut lines, mut longest, mut longest_at) = (0, 0, 0);
    for line in text.lines() {
        lines += 1;
        let characters = line.chars().count();
        if characters > longest || longest_at == 0 {
            (longest, longest_at) = (characters, lines);
        }
    }
    let secrets: Vec<String> = secrets
        .iter()
        .map(|s| format!(r#"{{"line":{},"kind":"{}","masked":"{}"}}"#, s.line, s.kind, s.masked))
        .collect();
    let secrets =
        if secrets.is_empty() { String::new() } else { format!(r#","secrets":[{}]"#, secrets.join(",")) };
    format!(
        r#"{{"path":{},"language":"{}","bytes":{},"lines":{lines},"longest":{longest},"longest_at":{longest_at},"sha256":"{}"{secrets}}}"#,
        json!(path),
        language(path),
        content.len(),
        Digest::of(content).hex(),
    )
}

/// The language of a file, by its name.
fn language(path: &str) -> &'static str {
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
