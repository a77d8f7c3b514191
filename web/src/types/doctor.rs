//! What a node finds when it examines itself and the machine under it.

use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Whether a node runs on the data directory.
    Node,
    /// The program, and the kernel under it.
    Version,
    /// The configuration.
    Configuration,
    /// The data directory, its modes and its key files.
    Directory,
    /// The room that is left on its disk.
    DiskSpace,
    /// The kind of file system.
    FileSystem,
    /// How long the disk takes to make a few bytes durable.
    DiskSync,
    /// The wall clock by itself.
    Clock,
    /// The wall clock beside the neighbours'.
    ClockBeside,
    /// The HTTP API's port.
    Http,
    /// The mesh's ports.
    Mesh,
    /// Whether neighbours reach this node.
    Reachability,
    /// Whom this node is connected to.
    Neighbours,
    /// The walls around a step that runs in the sandbox.
    Walls,
    /// Memory that is free.
    Memory,
    /// How many files may be open.
    OpenFiles,
    /// Whether the journal can be written.
    Journal,
    /// Whether the index answers.
    Index,
    /// Who witnessed the journal, and how long ago.
    Witnesses,
    /// Nodes of which nothing more is taken.
    Quarantine,
}

impl Check {
    /// All of them.
    pub const ALL: [Check; 20] = [
        Check::Node,
        Check::Version,
        Check::Configuration,
        Check::Directory,
        Check::DiskSpace,
        Check::FileSystem,
        Check::DiskSync,
        Check::Clock,
        Check::ClockBeside,
        Check::Http,
        Check::Mesh,
        Check::Reachability,
        Check::Neighbours,
        Check::Walls,
        Check::Memory,
        Check::OpenFiles,
        Check::Journal,
        Check::Index,
        Check::Witnesses,
        Check::Quarantine,
    ];

    /// Its name, as answers have it.
    pub fn name(self) -> &'static str {
        match self {
            Check::Node => "node",
            Check::Version => "version",
            Check::Configuration => "configuration",
            Check::Directory => "directory",
            Check::DiskSpace => "disk_space",
            Check::FileSystem => "file_system",
            Check::DiskSync => "disk_sync",
            Check::Clock => "clock",
            Check::ClockBeside => "clock_beside",
            Check::Http => "http",
            Check::Mesh => "mesh",
            Check::Reachability => "reachability",
            Check::Neighbours => "neighbours",
            Check::Walls => "walls",
            Check::Memory => "memory",
            Check::OpenFiles => "open_files",
            Check::Journal => "journal",
            Check::Index => "index",
            Check::Witnesses => "witnesses",
            Check::Quarantine => "quarantine",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How it was found, the better before the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// As it should be.
    Ok,
    /// It could not be told, and nothing is claimed.
    Unknown,
    /// It works, and will cost something.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What.
    pub check: Check,
    /// How it was found.
    pub status: FindingStatus,
    /// A sentence without a full stop, for people.
    pub summary: String,
    /// What was measured or seen, with its unit; `null` where there is nothing to show.
    pub value: Option<String>,
    /// What to do about it; `null` where nothing is to be done.
    pub advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: Check, summary: impl Into<String>) -> Self {
        Finding { check, status: FindingStatus::Ok, summary: summary.into(), value: None, advice: None }
    }

    /// It could not be told.
    pub fn unknown(check: Check, summary: impl Into<String>) -> Self {
        Finding { status: FindingStatus::Unknown, ..Finding::ok(check, summary) }
    }

    /// It works, and will cost something; what to do.
    pub fn warn(check: Check, summary: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { status: FindingStatus::Warn, advice: Some(advice.into()), ..Finding::ok(check, summary) }
    }

    /// It does not work; what to do.
    pub fn fail(check: Check, summary: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { status: FindingStatus::Fail, advice: Some(advice.into()), ..Finding::ok(check, summary) }
    }

    /// The same with what was measured or seen.
    #[must_use]
    pub fn with(self, value: impl Into<String>) -> Self {
        Finding { value: Some(value.into()), ..self }
    }

    /// The same with what to do.
    #[must_use]
    pub fn advising(self, advice: impl Into<String>) -> Self {
        Finding { advice: Some(advice.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_answers_have() {
        for check in Check::ALL {
            assert_eq!(serde_json::to_string(&check).expect("serializes"), format!("\"{}\"", check.name()));
        }
    }
}
