//! Which files of a directory a survey takes: text files of a sensible size, each path once, in order. Everything that is
//! left out is counted, so that the report can say so. Symbolic links are not followed.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Directories that hold what others made.
const SKIPPED_DIRECTORIES: &[&str] =
    &[".git", ".hg", ".svn", "target", "node_modules", "__pycache__", ".venv"];
/// The largest file that is surveyed (2 MiB); larger ones are data rather than text.
pub const FILE_BYTES_MAX: u64 = 2 << 20;
/// The most files; the rest is left out. With more, a chunk's findings would not fit into a step's output.
pub const FILES_MAX: usize = 16_384;
/// The most bytes in all (256 MiB); files beyond it are left out.
pub const TREE_BYTES_MAX: u64 = 256 << 20;
/// The most bytes of a path as JSON; a longer one is left out.
pub const PATH_BYTES_MAX: usize = 400;
/// The most directories that are looked into, against trees without an end.
const DIRECTORIES_MAX: usize = 65_536;
/// A file with a zero byte in its first 8 KiB is no text.
const HEAD_BYTES: u64 = 8 << 10;

/// A file that is surveyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its path below the directory, with `/` between its parts.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What was left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Directories of version control, build output and the like.
    pub directories: u64,
    /// Files with binary content.
    pub binary: u64,
    /// Files above [`FILE_BYTES_MAX`].
    pub huge: u64,
    /// Links and other things that are no plain files.
    pub special: u64,
    /// What could not be read.
    pub unreadable: u64,
    /// Files with a path above [`PATH_BYTES_MAX`], or not in UTF-8.
    pub awkward_paths: u64,
    /// Files and directories beyond the limits of one survey.
    pub beyond_limits: u64,
}

/// Lists the files below `root`.
///
/// # Errors
/// A sentence when `root` is no directory that can be read.
pub fn find(root: &Path) -> anyhow::Result<(Vec<Found>, LeftOut)> {
    let read = fs::read_dir(root)
        .map_err(|e| anyhow::anyhow!("cannot read the directory {}: {e}", root.display()))?;
    drop(read);
    let mut left_out = LeftOut::default();
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut looked_into = 0;
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        looked_into += 1;
        if looked_into > DIRECTORIES_MAX {
            left_out.beyond_limits += 1;
            continue;
        }
        let Ok(entries) = fs::read_dir(root.join(&directory)) else {
            left_out.unreadable += 1;
            continue;
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = directory.join(entry.file_name());
            match entry.file_type() {
                Err(_) => left_out.unreadable += 1,
                Ok(kind) if kind.is_dir() => {
                    if SKIPPED_DIRECTORIES.iter().any(|name| entry.file_name() == *name) {
                        left_out.directories += 1;
                    } else {
                        open.push(path);
                    }
                }
                Ok(kind) if !kind.is_file() => left_out.special += 1,
                Ok(_) => take(root, &path, (&mut found, &mut bytes), &mut left_out),
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((found, left_out))
}

fn take(root: &Path, path: &Path, (found, total): (&mut Vec<Found>, &mut u64), left_out: &mut LeftOut) {
    let text = path.to_str().filter(|text| serde_json::json!(text).to_string().len() <= PATH_BYTES_MAX);
    let Some(text) = text else {
        left_out.awkward_paths += 1;
        return;
    };
    let Ok(bytes) = fs::symlink_metadata(root.join(path)).map(|meta| meta.len()) else {
        left_out.unreadable += 1;
        return;
    };
    if bytes > FILE_BYTES_MAX {
        left_out.huge += 1;
        return;
    }
    if found.len() >= FILES_MAX || *total + bytes > TREE_BYTES_MAX {
        left_out.beyond_limits += 1;
        return;
    }
    match is_text(&root.join(path)) {
        Ok(true) => {
            found.push(Found { path: text.to_owned(), bytes });
            *total += bytes;
        }
        Ok(false) => left_out.binary += 1,
        Err(_) => left_out.unreadable += 1,
    }
}

fn is_text(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(!head.contains(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_files_are_taken_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        for sub in [".git", "target", "src/deep"] {
            fs::create_dir_all(root.join(sub)).expect("a directory");
        }
        for (name, content) in [
            ("src/deep/b.rs", &b"fn b() {}\n"[..]),
            ("a.txt", b"a\n"),
            (".git/config", b"x"),
            ("target/out.rs", b"x"),
            ("picture.png", b"\x89PNG\0\0"),
        ] {
            fs::write(root.join(name), content).expect("writes");
        }
        fs::write(root.join("huge.csv"), vec![b'1'; FILE_BYTES_MAX as usize + 1]).expect("writes");
        std::os::unix::fs::symlink("/etc", root.join("link")).expect("links");
        let (found, left_out) = find(root).expect("reads");
        let paths: Vec<&str> = found.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["a.txt", "src/deep/b.rs"]);
        assert_eq!(found[1].bytes, 10);
        let wanted = LeftOut { directories: 2, binary: 1, huge: 1, special: 1, ..LeftOut::default() };
        assert_eq!(left_out, wanted);
    }

    #[test]
    fn a_missing_directory_is_told() {
        assert!(find(Path::new("/nowhere/at/all")).is_err());
    }
}
