//! Compiled code on disk: one file for each module and profile, under a name that says both. It can always be deleted.
//!
//! A file is `artel code 1\n`, profile, module digest, the code's SHA-256 (32 bytes each), then the code. It is written under
//! another name, synced and renamed, with mode 0600. A file that is not such is removed, and its module compiled anew.
//! The sum finds damage, not malice: whoever can write into the node's directory needs no cache to run code as the node. That no
//! other user can is looked at when it is opened.

use artel_protocol::id::Digest;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const MAGIC: &[u8] = b"artel code 1\n";
const HEAD_BYTES: usize = MAGIC.len() + 3 * 32;
const SUFFIX: &str = ".code";

/// The directory of compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    profile: Digest,
    bytes_max: u64,
    made: AtomicU64,
}

impl Cache {
    /// Opens the directory, making it when it is not there (mode 0700).
    pub fn open(dir: &Path, profile: Digest, bytes_max: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        if !is_ours(&fs::symlink_metadata(dir)?) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is a link, or another user's, or others may write to it; what they leave there would be run",
            ));
        }
        let cache = Cache { dir: dir.to_owned(), profile, bytes_max, made: AtomicU64::new(0) };
        // What a crash left half written.
        for entry in fs::read_dir(dir)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(".new-") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(cache)
    }

    fn path(&self, module: &Digest) -> PathBuf {
        self.dir.join(format!("{}-{}{SUFFIX}", module.hex(), &self.profile.hex()[..16]))
    }

    /// The code of that module, if a whole file of it is there and no longer than `max`.
    pub fn read(&self, module: &Digest, max: u64) -> Option<Vec<u8>> {
        let path = self.path(module);
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(&path).ok()?;
        let ours = file.metadata().is_ok_and(|about| is_ours(&about));
        let mut bytes = Vec::new();
        let read = file.take(max + HEAD_BYTES as u64 + 1).read_to_end(&mut bytes);
        if !ours || read.is_err() || !self.is_whole(&bytes, module, max) {
            let _ = fs::remove_file(&path);
            return None;
        }
        bytes.drain(..HEAD_BYTES);
        Some(bytes)
    }

    fn is_whole(&self, bytes: &[u8], module: &Digest, max: u64) -> bool {
        let Some((head, code)) = bytes.split_at_checked(HEAD_BYTES) else { return false };
        code.len() as u64 <= max && head == self.head(module, code)
    }

    fn head(&self, module: &Digest, code: &[u8]) -> Vec<u8> {
        [MAGIC, &self.profile.0, &module.0, &Digest::of(code).0].concat()
    }

    /// Keeps the code of a module, and makes room for it.
    pub fn write(&self, module: &Digest, code: &[u8]) -> io::Result<()> {
        self.make_room(code.len() as u64 + HEAD_BYTES as u64)?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let temporary = self.dir.join(format!(".new-{}-{number}", std::process::id()));
        let written = self.write_to(&temporary, module, code);
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn write_to(&self, temporary: &Path, module: &Digest, code: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        file.write_all(&self.head(module, code))?;
        file.write_all(code)?;
        file.sync_all()?;
        fs::rename(temporary, self.path(module))?;
        File::open(&self.dir)?.sync_all()
    }

    /// Removes the oldest files until there is room for `bytes` more.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)?.flatten() {
            let Ok(about) = entry.metadata() else { continue };
            if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                files.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), entry.path()));
            }
        }
        files.sort();
        let mut held: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if held.saturating_add(bytes) <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            held -= size;
        }
        Ok(())
    }
}

/// Whether a file or directory is this user's, and no other's to write to. A link is not.
fn is_ours(about: &fs::Metadata) -> bool {
    let user = rustix::process::geteuid().as_raw();
    !about.is_symlink() && about.uid() == user && about.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn opened(dir: &Path) -> Cache {
        Cache::open(dir, Digest::of(b"profile"), 1000).expect("a directory")
    }

    #[test]
    fn code_is_there_again_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let module = Digest::of(b"module");
        let cache = opened(dir.path());
        assert_eq!(cache.read(&module, 100), None);
        cache.write(&module, b"code").expect("written");
        assert_eq!(opened(dir.path()).read(&module, 100).as_deref(), Some(&b"code"[..]));
        let mode = fs::metadata(cache.path(&module)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "nothing but the file");
        assert_eq!(cache.read(&Digest::of(b"other"), 100), None);
        let other = Cache::open(dir.path(), Digest::of(b"another profile"), 1000).expect("a directory");
        assert_eq!(other.read(&module, 100), None);
    }

    #[test]
    fn what_another_user_may_write_to_is_not_used() {
        let dir = tempfile::tempdir().expect("a directory");
        let module = Digest::of(b"module");
        let (code, link) = (dir.path().join("code"), dir.path().join("link"));
        let open = |dir: &Path| Cache::open(dir, Digest::of(b"profile"), 1000);
        let mode = |path: &Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        };
        open(&code).expect("made").write(&module, b"code").expect("written");
        for open_to in [0o777, 0o770, 0o702] {
            mode(&code, open_to);
            assert_eq!(open(&code).map(|_| ()).map_err(|e| e.kind()), Err(io::ErrorKind::PermissionDenied));
        }
        mode(&code, 0o755);
        std::os::unix::fs::symlink(&code, &link).expect("linked");
        assert_eq!(open(&link).map(|_| ()).map_err(|e| e.kind()), Err(io::ErrorKind::PermissionDenied));
        let cache = open(&code).expect("ours");
        assert!(cache.read(&module, 100).is_some());
        // A file that others may write to, and a link to a file that is whole.
        mode(&cache.path(&module), 0o666);
        assert_eq!(cache.read(&module, 100), None);
        cache.write(&module, b"code").expect("written");
        fs::rename(cache.path(&module), dir.path().join("elsewhere")).expect("moved");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), cache.path(&module)).expect("linked");
        assert_eq!(cache.read(&module, 100), None);
    }

    #[test]
    fn a_damaged_file_is_as_if_it_were_not_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let module = Digest::of(b"module");
        let cache = opened(dir.path());
        cache.write(&module, b"code").expect("written");
        let whole = fs::read(cache.path(&module)).expect("read");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(cache.path(&module), damaged).expect("written");
            assert_eq!(cache.read(&module, 100), None, "byte {at}");
            assert!(!cache.path(&module).exists());
        }
        for bytes in [&whole[..whole.len() - 1], &whole[..10], &[]] {
            fs::write(cache.path(&module), bytes).expect("written");
            assert_eq!(cache.read(&module, 100), None);
        }
        fs::write(cache.path(&module), &whole).expect("written");
        assert_eq!(cache.read(&module, 3), None, "longer than asked for");
    }

    #[test]
    fn the_oldest_goes_when_room_is_needed_and_a_crash_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = opened(dir.path());
        for i in 0..10_u8 {
            let module = Digest::of(&[i]);
            cache.write(&module, &[i; 200]).expect("written");
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(i.into());
            File::open(cache.path(&module)).and_then(|file| file.set_modified(at)).expect("aged");
        }
        let there: Vec<u8> = (0..10).filter(|i| cache.read(&Digest::of(&[*i]), 1000).is_some()).collect();
        assert_eq!(there, [7, 8, 9]);
        fs::write(dir.path().join(".new-1-1"), b"half").expect("written");
        drop(opened(dir.path()));
        assert!(!dir.path().join(".new-1-1").exists());
    }
}
