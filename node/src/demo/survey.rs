//! The survey of a chunk: the module that does it in a sandbox, and the shape of what it puts out. The module's source is in
//! `guest/`; `.ci/run guests` compiles it and compares.

use serde::{Deserialize, Serialize};

/// The module, a WASI preview 1 command.
pub const MODULE: &[u8] = include_bytes!("guest/survey.wasm");
/// The name under which a step gives it the chunk.
pub const CHUNK: &str = "chunk";

/// What looks like a leaked secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// The line, counted from 1.
    pub line: u32,
    /// What it looks like.
    pub kind: String,
    /// The value with all but its first characters hidden.
    pub masked: String,
}

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
    /// What looks like a leaked secret; absent where nothing does.
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

#[cfg(test)]
impl File {
    /// A file of one language for tests of what is made of surveys.
    pub fn of(path: &str, language: &str, content: &str) -> Self {
        let longest = content.lines().map(|line| line.chars().count()).max();
        let at = content.lines().position(|line| Some(line.chars().count()) == longest);
        File {
            path: path.to_owned(),
            language: language.to_owned(),
            bytes: content.len() as u64,
            lines: content.lines().count() as u32,
            longest: longest.unwrap_or(0) as u32,
            longest_at: at.map_or(0, |at| at as u32 + 1),
            sha256: artel_protocol::id::Digest::of(content.as_bytes()).hex(),
            secrets: Vec::new(),
        }
    }
}
