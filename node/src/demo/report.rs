//! Merging the surveys of all chunks into one report. A pure function, so that whoever does the merge step again gets the
//! same bytes.

use super::files::LeftOut;
use super::survey::{File, Survey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many of the longest lines are listed.
const LONGEST_LINES: usize = 15;
/// The most groups of duplicates that are listed; the largest come first.
const DUPLICATES_MAX: usize = 100;
/// The most paths that are named of one group.
const PATHS_MAX: usize = 20;
/// The most findings of secrets that are listed.
const SECRETS_MAX: usize = 500;

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The directory's name.
    pub title: String,
    /// Files surveyed.
    pub files: u64,
    /// Their lines.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// By language, most lines first.
    pub languages: Vec<Language>,
    /// The longest lines, longest first.
    pub longest_lines: Vec<LongLine>,
    /// Files with the same content, those that waste most first.
    pub duplicates: Vec<Duplicate>,
    /// Groups of duplicates in all.
    pub duplicate_groups: u64,
    /// Bytes that all but one file of each group take.
    pub duplicate_bytes: u64,
    /// What looks like a leaked secret, by path and line.
    pub secrets: Vec<Finding>,
    /// Findings that are not listed.
    pub secrets_left_out: u64,
    /// What was not surveyed.
    pub left_out: LeftOut,
}

/// One language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    /// Its name.
    pub name: String,
    /// Files.
    pub files: u64,
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A long line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongLine {
    /// The file.
    pub path: String,
    /// The line.
    pub line: u32,
    /// Its characters.
    pub characters: u32,
}

/// Files with one content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// SHA-256 of it.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// How many files have it.
    pub copies: u64,
    /// Their paths, the first ones.
    pub paths: Vec<String>,
}

/// What looks like a leaked secret, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The file.
    pub path: String,
    /// The line.
    pub line: u32,
    /// What it looks like.
    pub kind: String,
    /// The value with most of it hidden.
    pub masked: String,
}

/// Merges surveys.
pub fn merge(title: &str, surveys: impl IntoIterator<Item = Survey>, left_out: LeftOut) -> Report {
    let mut secrets_left_out = 0;
    let mut files: Vec<File> = Vec::new();
    for survey in surveys {
        secrets_left_out += survey.secrets_left_out;
        files.extend(survey.files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (duplicates, duplicate_groups, duplicate_bytes) = duplicates(&files);
    let mut secrets: Vec<Finding> = files.iter().flat_map(findings).collect();
    secrets_left_out += secrets.len().saturating_sub(SECRETS_MAX) as u64;
    secrets.truncate(SECRETS_MAX);
    Report {
        title: title.to_owned(),
        files: files.len() as u64,
        lines: files.iter().map(|f| u64::from(f.lines)).sum(),
        bytes: files.iter().map(|f| f.bytes).sum(),
        languages: languages(&files),
        longest_lines: longest_lines(&files),
        duplicates,
        duplicate_groups,
        duplicate_bytes,
        secrets,
        secrets_left_out,
        left_out,
    }
}

fn languages(files: &[File]) -> Vec<Language> {
    let mut by_name: BTreeMap<&str, Language> = BTreeMap::new();
    for file in files {
        let language = by_name.entry(&file.language).or_insert_with(|| Language {
            name: file.language.clone(),
            files: 0,
            lines: 0,
            bytes: 0,
        });
        language.files += 1;
        language.lines += u64::from(file.lines);
        language.bytes += file.bytes;
    }
    let mut languages: Vec<Language> = by_name.into_values().collect();
    languages.sort_by(|a, b| b.lines.cmp(&a.lines).then_with(|| a.name.cmp(&b.name)));
    languages
}

fn longest_lines(files: &[File]) -> Vec<LongLine> {
    let mut lines: Vec<LongLine> = files
        .iter()
        .filter(|f| f.longest > 0)
        .map(|f| LongLine { path: f.path.clone(), line: f.longest_at, characters: f.longest })
        .collect();
    lines.sort_by(|a, b| b.characters.cmp(&a.characters).then_with(|| a.path.cmp(&b.path)));
    lines.truncate(LONGEST_LINES);
    lines
}

fn duplicates(files: &[File]) -> (Vec<Duplicate>, u64, u64) {
    let mut by_content: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files.iter().filter(|f| f.bytes > 0) {
        by_content.entry(&file.sha256).or_default().push(file);
    }
    let mut groups: Vec<Duplicate> = by_content
        .into_iter()
        .filter(|(_, files)| files.len() > 1)
        .map(|(sha256, files)| Duplicate {
            sha256: sha256.to_owned(),
            bytes: files[0].bytes,
            copies: files.len() as u64,
            paths: files.iter().take(PATHS_MAX).map(|f| f.path.clone()).collect(),
        })
        .collect();
    let wasted = |d: &Duplicate| d.bytes.saturating_mul(d.copies - 1);
    groups.sort_by(|a, b| wasted(b).cmp(&wasted(a)).then_with(|| a.paths.cmp(&b.paths)));
    let (count, bytes) = (groups.len() as u64, groups.iter().map(wasted).sum());
    groups.truncate(DUPLICATES_MAX);
    (groups, count, bytes)
}

fn findings(file: &File) -> impl Iterator<Item = Finding> {
    file.secrets.iter().map(|secret| Finding {
        path: file.path.clone(),
        line: secret.line,
        kind: secret.kind.clone(),
        masked: secret.masked.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::survey::Secret;
    use super::*;

    fn survey(files: impl IntoIterator<Item = File>) -> Survey {
        Survey { files: files.into_iter().collect(), secrets_left_out: 1 }
    }

    #[test]
    fn chunks_add_up_in_whatever_order_they_come() {
        let twice = "fn b() {}\nfn bb() {}\n";
        let a = survey([File::of("a.rs", "Rust", "fn a() {}\n"), File::of("copy/b.rs", "Rust", twice)]);
        let secret =
            Secret { line: 2, kind: "AWS access key".into(), masked: "AKIA… (20 characters)".into() };
        let z = survey([
            File::of("z.rs", "Rust", twice),
            File { secrets: vec![secret], ..File::of("z.md", "Markdown", "# title\na longer line here\n") },
            File::of("zz", "Other", ""),
        ]);
        let report = merge("x", [a.clone(), z.clone()], LeftOut::default());
        assert_eq!(report, merge("x", [z, a], LeftOut::default()));
        assert_eq!((report.files, report.lines), (5, 7));
        let languages: Vec<(&str, u64, u64)> =
            report.languages.iter().map(|l| (l.name.as_str(), l.files, l.lines)).collect();
        assert_eq!(languages, [("Rust", 3, 5), ("Markdown", 1, 2), ("Other", 1, 0)]);
        assert_eq!(report.duplicates[0].paths, ["copy/b.rs", "z.rs"]);
        assert_eq!((report.duplicate_groups, report.duplicate_bytes), (1, 21));
        assert_eq!((report.secrets[0].path.as_str(), report.secrets[0].line), ("z.md", 2));
        assert_eq!((report.longest_lines[0].path.as_str(), report.secrets_left_out), ("z.md", 2));
    }

    #[test]
    fn empty_files_are_no_duplicates() {
        let report =
            merge("x", [survey(["a", "b"].map(|path| File::of(path, "Other", "")))], LeftOut::default());
        assert_eq!((report.duplicate_groups, report.longest_lines.len()), (0, 0));
    }
}
