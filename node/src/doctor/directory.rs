//! The data directory: whose it is, its modes, its key files, its configuration. Nothing in it is changed.

use crate::config::{self, Config};
use crate::data;
use artel_web::types::doctor::{Check, Finding};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A directory that has been used: its mode, and that each key file is there, is what it was, and is its owner's alone.
pub(super) fn look(dir: &Path) -> Finding {
    let meta = match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            let advice = "move the file, or name another place with --data";
            return Finding::fail(Check::Directory, format!("{} is a file", dir.display()), advice);
        }
        Err(error) => return unreadable(dir, &error),
    };
    let mode = meta.mode() & 0o7777;
    let (me, owner) = (rustix::process::geteuid().as_raw(), meta.uid());
    let shown = format!("{}, mode {mode:04o}", dir.display());
    if mode & 0o022 != 0 {
        let summary = format!("others may write into {}", dir.display());
        return Finding::fail(Check::Directory, summary, format!("run: chmod 700 {}", dir.display()))
            .with(shown);
    }
    if me != 0 && owner != me {
        let summary = format!("{} belongs to user {owner}, and this is user {me}", dir.display());
        return Finding::fail(Check::Directory, summary, "run this as the user whose node it is").with(shown);
    }
    let wrong = data::problems(dir);
    if let Some(first) = wrong.first() {
        let others = wrong.len() - 1;
        let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
        // The sentence says what to do behind its first semicolon.
        let text = first.to_string();
        let (summary, advice) = text.split_once("; ").unwrap_or((&text, "put it back from a copy"));
        return Finding::fail(Check::Directory, format!("{summary}{more}"), advice).with(shown);
    }
    if mode & 0o077 != 0 {
        let summary = "others may look into the directory: names of artifacts and sizes are theirs to see";
        return Finding::warn(Check::Directory, summary, format!("run: chmod 700 {}", dir.display()))
            .with(shown);
    }
    if dir.join(data::RECOVERY_KEY).exists() {
        let summary = "the recovery key still lies beside the key that it is to replace one day";
        let advice = format!(
            "move {} to a safe place elsewhere; the node runs without it",
            dir.join(data::RECOVERY_KEY).display()
        );
        return Finding::warn(Check::Directory, summary, advice).with(shown);
    }
    Finding::ok(Check::Directory, "the key files are there, unchanged and nobody else's to read").with(shown)
}

/// A directory that cannot be looked at, or is not there.
pub(super) fn unreadable(dir: &Path, error: &io::Error) -> Finding {
    if error.kind() == io::ErrorKind::NotFound {
        let advice = format!("start a node there with: artel up --data {}", dir.display());
        let summary = format!("there is no {}; the first start makes it", dir.display());
        return Finding::unknown(Check::Directory, summary).advising(advice);
    }
    let summary = format!("{} cannot be looked at: {error}", dir.display());
    Finding::fail(Check::Directory, summary, "run this as the user whose node it is, or name another --data")
}

/// The configuration that a start would take: file, environment, no flags.
pub(super) fn configuration(
    dir: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> (Finding, Option<Config>) {
    match config::of_directory(dir, environment) {
        Ok(config) => {
            let set = config.differences();
            let found = Finding::ok(Check::Configuration, "the configuration can be read");
            let found = if set.is_empty() { found.with("defaults only") } else { found.with(set.join(", ")) };
            (found, Some(config))
        }
        Err(error) => {
            let advice = match &error {
                config::Error::UnknownKey { origin, nearest, .. } => format!("write {nearest} in {origin}"),
                config::Error::Unreadable(path, _) => {
                    format!("let this user read {}, or remove it", path.display())
                }
                _ => "mend it; OPERATIONS.md lists the keys".to_owned(),
            };
            (Finding::fail(Check::Configuration, error.to_string(), advice), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_web::types::doctor::FindingStatus::{self, Fail, Ok, Unknown, Warn};
    use std::os::unix::fs::PermissionsExt as _;

    fn used() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        drop(data::DataDir::open(dir.path()).expect("a first start"));
        fs::create_dir(dir.path().join("journal")).expect("a used directory");
        dir
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    #[test]
    fn what_is_wrong_with_a_directory_is_named_with_a_remedy() {
        type Harm = fn(&Path);
        let rows: [(Harm, FindingStatus, &str); 8] = [
            (|dir| fs::remove_file(dir.join("recovery.key")).expect("moved"), Ok, ""),
            (|_| {}, Warn, "recovery.key"),
            (|dir| mode(dir, 0o770), Fail, "chmod 700"),
            (|dir| mode(dir, 0o755), Warn, "chmod 700"),
            (|dir| mode(&dir.join("node.key"), 0o644), Fail, "chmod 600"),
            (|dir| fs::remove_file(dir.join("data.key")).expect("removed"), Fail, "from a copy"),
            (
                |dir| fs::write(dir.join("operator.token"), "x".repeat(40)).expect("written"),
                Fail,
                "keys.sums",
            ),
            (|dir| fs::remove_dir_all(dir).expect("removed"), Unknown, "artel up --data"),
        ];
        for (harm, wanted, advice) in rows {
            let dir = used();
            harm(dir.path());
            let found = look(dir.path());
            assert_eq!(found.status, wanted, "{found:?}");
            assert!(found.advice.as_deref().unwrap_or_default().contains(advice), "{advice}: {found:?}");
        }
    }

    #[test]
    fn looking_changes_nothing() {
        let dir = used();
        fs::remove_file(dir.path().join("keys.sums")).expect("removed");
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).expect("lists").map(|e| e.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        look(dir.path());
        configuration(dir.path(), std::iter::empty());
        assert_eq!(names(), before);
    }

    #[test]
    fn a_wrong_key_of_the_configuration_names_the_nearest() {
        let dir = used();
        fs::write(dir.path().join("config.toml"), "lease_m = 1").expect("written");
        let (found, config) = configuration(dir.path(), std::iter::empty());
        assert!(config.is_none() && found.status == Fail, "{found:?}");
        assert!(found.advice.is_some_and(|advice| advice.contains("lease_ms")));
        fs::write(dir.path().join("config.toml"), "lease_ms = 1000").expect("written");
        assert_eq!(configuration(dir.path(), std::iter::empty()).0.value.as_deref(), Some("lease_ms = 1000"));
    }
}
