//! The operating system's files: the only place in this crate that names `std::fs`.
//!
//! Unix only: positioned reads and writes, permission bits, directory syncs and `flock`.

use crate::files::{Access, File, Files, Lock};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A data directory on a real disk.
#[derive(Debug, Clone)]
pub struct OsFiles {
    root: PathBuf,
}

impl OsFiles {
    /// Works in this directory, which must be there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        OsFiles { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

struct OsFile(fs::File);

struct OsLock(#[expect(dead_code, reason = "dropping the file frees the lock")] fs::File);

impl Lock for OsLock {}

impl Files for OsFiles {
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let path = self.root.join(path);
        let mut options = fs::OpenOptions::new();
        options.read(true).mode(0o600);
        match access {
            Access::Read => &mut options,
            Access::Write => options.write(true),
            Access::WriteOrNew => options.write(true).create(true),
            Access::Fresh => match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => options.write(true).create_new(true),
            },
        };
        Ok(Arc::new(OsFile(options.open(path)?)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(dir))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(self.root.join(dir)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        fs::File::open(self.root.join(dir))?.sync_all()
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.root.join(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(OsLock(file))),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn mode(&self, path: &str) -> io::Result<u32> {
        Ok(fs::metadata(self.root.join(path))?.permissions().mode() & 0o777)
    }
}

impl File for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(bytes, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                other => return other,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::replace;

    fn disk() -> (tempfile::TempDir, OsFiles) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let files = OsFiles::new(dir.path());
        (dir, files)
    }

    #[test]
    fn a_fresh_file_is_another_file_than_the_one_before() {
        let (_dir, files) = disk();
        let old = files.open("a", Access::Fresh).expect("created");
        old.write_at(b"old", 0).expect("written");
        let new = files.open("a", Access::Fresh).expect("created");
        assert_eq!(new.len().expect("length"), 0);
        assert_eq!(old.len().expect("length"), 3);
        assert_eq!(files.mode("a").expect("mode"), 0o600);
    }

    #[test]
    fn a_lock_is_held_by_one() {
        let (_dir, files) = disk();
        let held = files.lock("lock").expect("free");
        let refused = files.lock("lock").map(|_| ()).expect_err("held");
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(files.lock("lock").is_ok());
    }

    #[test]
    fn a_replaced_file_leaves_nothing_beside_it() {
        let (_dir, files) = disk();
        replace(&files, "a", b"one").expect("replaced");
        replace(&files, "a", b"two").expect("replaced");
        assert_eq!(files.list("").expect("listed"), ["a"]);
        let mut bytes = [0; 8];
        let file = files.open("a", Access::Read).expect("opened");
        assert_eq!(file.read_at(&mut bytes, 0).expect("read"), 3);
        assert_eq!(&bytes[..3], b"two");
    }
}
