//! The data directory: its key files and its lock. A key file with the wrong mode or content stops the start with its
//! name and what to do; nothing is ever made anew over something that is there.

use artel_audit::os::OsFiles;
use artel_audit::{DATA_KEY_FILE, KeyRing};
use artel_protocol::id::Digest;
use artel_protocol::key::SecretKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The node's identity.
pub const NODE_KEY: &str = "node.key";
/// The key that signs agents' tokens.
pub const TOKEN_KEY: &str = "token.key";
/// The key that may move this node to a new one; the operator keeps it elsewhere.
pub const RECOVERY_KEY: &str = "recovery.key";
/// The operator's bearer token.
pub const OPERATOR_TOKEN: &str = "operator.token";
/// The configuration file.
pub const CONFIG: &str = "config.toml";
/// The lock that one process holds.
pub const LOCK: &str = "lock";

/// SHA-256 of each key and token file but `data.key`, which has check sums of its own; `sha256sum -c` reads it.
pub const SUMS: &str = "keys.sums";

/// The most bytes of a key or token file; a longer one is none of ours.
const SECRET_BYTES_MAX: u64 = 4_096;

/// The files whose sums stand in [`SUMS`], in that order.
const SUMMED: [&str; 4] = [NODE_KEY, TOKEN_KEY, OPERATOR_TOKEN, RECOVERY_KEY];

/// Why a data directory is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("cannot {doing} {path}: {cause}{remedy}", remedy = remedy(cause))]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the disk said.
        cause: io::Error,
    },
    /// Another process holds the lock.
    #[error("{0} is in use by another artel process; stop it, or choose another directory with --data")]
    Locked(PathBuf),
    /// Others may read a secret.
    #[error("{path} has mode {mode:04o} and must have 0600; run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not what its name says.
    #[error("{path} is not {wanted}; put the right file back from a copy")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
    /// A key or token file is not the one that was written.
    #[error(
        "{path} is not what it was when it was written; put it back from a copy, or, if you changed it on purpose, remove {SUMS} beside it"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file that a used directory must have is not there.
    #[error("{path} is missing although this directory has been used; put it back from a copy")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The data keys cannot be read.
    #[error(transparent)]
    Ring(#[from] artel_audit::Error),
}

/// A data directory that this process alone uses, with its keys.
pub struct DataDir {
    path: PathBuf,
    /// The node's identity.
    pub node_key: SecretKey,
    /// The key that signs agents' tokens.
    pub token_key: SecretKey,
    /// SHA-256 of the recovery key, from the genesis or, on the first start, of the key just made.
    pub recovery: Option<SecretKey>,
    /// The operator's bearer token.
    pub operator_token: Zeroizing<String>,
    /// Whether the directory was empty before.
    pub is_new: bool,
    _lock: File,
}

impl DataDir {
    /// Opens and locks a data directory; fills it with fresh keys on the first start.
    ///
    /// # Errors
    /// [`Error`], each naming the file and what to do.
    pub fn open(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(io_error("create", path))?;
        let lock = lock(path)?;
        let is_new = !path.join("journal").exists();
        if is_new {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(io_error("protect", path))?;
            make_missing_secrets(path)?;
        }
        if !path.join(DATA_KEY_FILE).exists() {
            return Err(Error::Missing { path: path.join(DATA_KEY_FILE) });
        }
        let (node_key, token_key) = (key(path, NODE_KEY)?, key(path, TOKEN_KEY)?);
        let operator_token = operator_token(path)?;
        let recovery = if path.join(RECOVERY_KEY).exists() { Some(key(path, RECOVERY_KEY)?) } else { None };
        check_sums(path)?;
        Ok(DataDir {
            node_key,
            token_key,
            recovery,
            operator_token,
            is_new,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the operator's token stands.
    pub fn operator_token_file(&self) -> PathBuf {
        self.path.join(OPERATOR_TOKEN)
    }
}

/// Reads the operator's token from a data directory, with its mode checked.
///
/// # Errors
/// [`Error`] naming the file.
pub fn operator_token(dir: &Path) -> Result<Zeroizing<String>, Error> {
    let text = secret(dir, OPERATOR_TOKEN, SECRET_BYTES_MAX)?;
    let token = text.trim();
    let plain =
        token.len() >= 32 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !plain {
        return Err(Error::Content { path: dir.join(OPERATOR_TOKEN), wanted: "an operator's token" });
    }
    Ok(Zeroizing::new(token.to_owned()))
}

/// All that a start would refuse of a directory's key and token files. Nothing is made or changed.
pub fn problems(dir: &Path) -> Vec<Error> {
    let mut wrong = Vec::new();
    wrong.extend([NODE_KEY, TOKEN_KEY].into_iter().filter_map(|name| key(dir, name).err()));
    wrong.extend(operator_token(dir).err());
    if dir.join(DATA_KEY_FILE).exists() {
        wrong.extend(KeyRing::load(&OsFiles::new(dir)).err().map(Error::from));
    } else {
        wrong.push(Error::Missing { path: dir.join(DATA_KEY_FILE) });
    }
    if dir.join(RECOVERY_KEY).exists() {
        wrong.extend(key(dir, RECOVERY_KEY).err());
    }
    if wrong.is_empty() && dir.join(SUMS).exists() {
        wrong.extend(compare_sums(dir).err());
    }
    wrong
}

/// Reads a private key file, with its mode checked.
///
/// # Errors
/// [`Error`] naming the file.
pub fn read_key(path: &Path) -> Result<SecretKey, Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    key(dir, name)
}

/// Writes a new private key file with mode 0600; never over an existing one.
///
/// # Errors
/// [`Error`] naming the file.
pub fn write_new_secret(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("create", path))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key would be in the way of the next try. Where it cannot be removed either, that try says so.
        let _ = fs::remove_file(path);
    }
    written.map_err(io_error("write", path))
}

/// Writes a file of a data directory whole: it is there with all of these bytes, or as it was.
///
/// # Errors
/// [`Error`] naming the file.
pub fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    artel_audit::files::replace(&OsFiles::new(dir), name, bytes).map_err(io_error("write", &dir.join(name)))
}

/// Writes a secret of a data directory whole, with mode 0600, in place of an older one.
///
/// # Errors
/// [`Error`] naming the file.
pub fn replace_secret(dir: &Path, name: &str, text: &str) -> Result<(), Error> {
    put_secret(dir, name, text)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

/// A fresh private key from the operating system's randomness.
pub fn new_key() -> SecretKey {
    let mut seed = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(seed.as_mut());
    SecretKey::from_seed(&seed)
}

fn make_missing_secrets(path: &Path) -> Result<(), Error> {
    for name in [NODE_KEY, TOKEN_KEY, RECOVERY_KEY] {
        if !path.join(name).exists() {
            put_secret(path, name, &new_key().to_pem())?;
        }
    }
    if !path.join(OPERATOR_TOKEN).exists() {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(bytes.as_mut());
        let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
        put_secret(path, OPERATOR_TOKEN, &Zeroizing::new(format!("{}\n", *token)))?;
    }
    if !path.join(DATA_KEY_FILE).exists() {
        KeyRing::generate(&mut rand::rng()).store(&OsFiles::new(path))?;
    }
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("sync", path))
}

/// Compares the key and token files with what they were. A list that is not there is made: at the first start, and when the
/// operator has removed it because a file was to change.
fn check_sums(path: &Path) -> Result<(), Error> {
    if path.join(SUMS).exists() { compare_sums(path) } else { write_sums(path) }
}

fn compare_sums(path: &Path) -> Result<(), Error> {
    let name = path.join(SUMS);
    let list = match fs::read_to_string(&name) {
        Ok(list) => list,
        Err(e) if e.kind() == io::ErrorKind::InvalidData => return Err(not_a_list(name)),
        Err(e) => return Err(io_error("read", &name)(e)),
    };
    let lines: Vec<(&str, &str)> = list.lines().filter_map(|line| line.split_once("  ")).collect();
    // The recovery key may be kept elsewhere; the others were read just now.
    for file in SUMMED.into_iter().filter(|file| path.join(file).exists()) {
        match lines.iter().find(|(_, name)| *name == file) {
            Some((was, _)) if *was == sum(path, file)? => {}
            Some(_) => return Err(Error::Changed { path: path.join(file) }),
            None => return Err(not_a_list(name)),
        }
    }
    Ok(())
}

fn not_a_list(path: PathBuf) -> Error {
    Error::Content { path, wanted: "the list of the key files' SHA-256 sums" }
}

fn write_sums(path: &Path) -> Result<(), Error> {
    let mut list = String::new();
    for file in SUMMED.iter().filter(|file| path.join(file).exists()) {
        list += &format!("{}  {file}\n", sum(path, file)?);
    }
    let name = path.join(SUMS);
    tracing::info!(file = %name.display(), "the key files' sums are written");
    replace(path, SUMS, list.as_bytes())
}

fn sum(path: &Path, file: &str) -> Result<String, Error> {
    Ok(Digest::of(secret(path, file, SECRET_BYTES_MAX)?.as_bytes()).hex())
}

/// Puts a secret under its name whole, so that a first start that was cut short leaves nothing that stops the next one.
fn put_secret(dir: &Path, name: &str, text: &str) -> Result<(), Error> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    match fs::remove_file(&new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &new)(e)),
        _ => {}
    }
    write_new_secret(&new, text)?;
    fs::rename(&new, &path).map_err(io_error("write", &path))
}

/// That another process uses a directory, if one does. Nothing is made or changed.
pub fn in_use(path: &Path) -> Option<Error> {
    let locked = |error: &Error| matches!(error, Error::Locked(_));
    path.join(LOCK).exists().then(|| lock(path).err()).flatten().filter(locked)
}

fn lock(path: &Path) -> Result<File, Error> {
    let name = path.join(LOCK);
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(&name, flags, Mode::from_raw_mode(0o600))
        .map_err(|e| io_error("open", &name)(io::Error::from(e)))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(File::from(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(path.to_owned())),
        Err(e) => Err(io_error("lock", &name)(io::Error::from(e))),
    }
}

fn key(dir: &Path, name: &str) -> Result<SecretKey, Error> {
    let text = secret(dir, name, SECRET_BYTES_MAX)?;
    SecretKey::from_pem(&text).map_err(|_| Error::Content {
        path: dir.join(name),
        wanted: "a PKCS#8 PEM file with an Ed25519 private key",
    })
}

/// Reads a secret, with its mode checked and not more of it than it may have.
pub(crate) fn secret(dir: &Path, name: &str, bytes_max: u64) -> Result<Zeroizing<String>, Error> {
    let path = dir.join(name);
    let meta = match fs::metadata(&path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::Missing { path }),
        Err(e) => return Err(io_error("read", &path)(e)),
    };
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::Mode { path, mode });
    }
    if meta.len() > bytes_max {
        return Err(Error::Content { path, wanted: "a short text file" });
    }
    let bytes = Zeroizing::new(fs::read(&path).map_err(io_error("read", &path))?);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Error::Content { path, wanted: "a text file" }),
    }
}

/// What can be done about what the disk said.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "; remount that disk writable, or choose another place (--data names the node's)"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space there and try again",
        io::ErrorKind::PermissionDenied => {
            "; give this user the right to it, or choose another place (--data names the node's)"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file is in the way: move it, or choose another place (--data names the node's)"
        }
        _ => "",
    }
}

/// What the disk said, with the file.
pub(crate) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::Io { doing, path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens a directory. A child that another test is just starting may hold the lock until it is a program of its own.
    fn open(path: &Path) -> Result<DataDir, Error> {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            match DataDir::open(path) {
                Err(Error::Locked(_)) if std::time::Instant::now() < end => std::thread::yield_now(),
                opened => return opened,
            }
        }
    }

    fn reason(path: &Path) -> String {
        match open(path) {
            Ok(_) => panic!("the directory was taken"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn a_first_start_makes_keys_that_a_second_one_finds() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = open(dir.path()).expect("opens");
        assert!(first.is_new && first.recovery.is_some());
        let (key, token) = (first.node_key.public(), first.operator_token.clone());
        drop(first);
        let second = open(dir.path()).expect("opens");
        assert_eq!((second.node_key.public(), second.operator_token.clone()), (key, token));
    }

    #[test]
    fn two_processes_do_not_share_a_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let _held = open(dir.path()).expect("opens");
        let said = DataDir::open(dir.path()).err().expect("taken").to_string();
        assert!(said.contains("in use by another"), "{said}");
    }

    #[test]
    fn bad_secrets_stop_the_start_by_name() {
        for (name, change, wanted) in [
            (NODE_KEY, "chmod", "chmod 600"),
            (TOKEN_KEY, "nonsense", "token.key is not"),
            (OPERATOR_TOKEN, "short", "operator.token is not"),
            (NODE_KEY, "remove", "node.key is missing"),
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            drop(open(dir.path()).expect("opens"));
            fs::create_dir(dir.path().join("journal")).expect("a used directory");
            let file = dir.path().join(name);
            match change {
                "chmod" => fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("chmod"),
                "remove" => fs::remove_file(&file).expect("remove"),
                text => fs::write(&file, text).expect("write"),
            }
            let said = reason(dir.path());
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn what_a_start_left_half_done_is_no_hindrance() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("node.key.new"), "-----BEGIN").expect("half a key");
        drop(open(dir.path()).expect("opens"));
        assert!(!dir.path().join("node.key.new").exists());
    }

    #[test]
    fn what_the_disk_says_comes_with_a_remedy() {
        for (errno, wanted) in [
            (rustix::io::Errno::ROFS, "writable"),
            (rustix::io::Errno::NOSPC, "free some space"),
            (rustix::io::Errno::DQUOT, "free some space"),
            (rustix::io::Errno::ACCESS, "the right to it"),
            (rustix::io::Errno::EXIST, "a file is in the way"),
            (rustix::io::Errno::NOTDIR, "a file is in the way"),
        ] {
            let said = io_error("open", Path::new("place/lock"))(io::Error::from(errno)).to_string();
            assert!(said.starts_with("cannot open place/lock: ") && said.contains(wanted), "{said}");
        }
        let other = io_error("open", Path::new("lock"))(io::Error::from(rustix::io::Errno::IO)).to_string();
        assert!(!other.contains(';'), "nothing is advised where nothing is known: {other}");
    }

    #[test]
    fn every_flipped_bit_of_a_key_file_is_found_and_named() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(open(dir.path()).expect("opens"));
        for name in SUMMED.into_iter().chain([SUMS]) {
            let path = dir.path().join(name);
            let whole = fs::read(&path).expect("a file");
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, &flipped).expect("written");
                let said = reason(dir.path());
                // A sum that changed tells of the file that it is of.
                let named = SUMMED.into_iter().chain([SUMS]).any(|file| said.contains(file));
                assert!(named && (name == SUMS || said.contains(name)), "{name}, bit {bit}: {said}");
            }
            fs::write(&path, &whole).expect("written");
        }
        open(dir.path()).expect("as it was");
    }

    #[test]
    fn a_file_that_the_operator_changed_is_taken_once_the_sums_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(open(dir.path()).expect("opens"));
        let token = "x".repeat(40);
        fs::write(dir.path().join(OPERATOR_TOKEN), &token).expect("written");
        assert!(reason(dir.path()).contains("remove keys.sums"));
        fs::remove_file(dir.path().join(SUMS)).expect("removed");
        assert_eq!(*open(dir.path()).expect("opens").operator_token, token);
        fs::create_dir(dir.path().join("journal")).expect("a used directory");
        fs::remove_file(dir.path().join(RECOVERY_KEY)).expect("moved to a safe place");
        open(dir.path()).expect("the recovery key is kept elsewhere");
    }
}
