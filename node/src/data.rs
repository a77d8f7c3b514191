//! The data directory: its key files and its lock. A key file with the wrong mode or content stops the start with its
//! name and what to do; nothing is ever made anew over something that is there.

use artel_audit::os::OsFiles;
use artel_audit::{DATA_KEY_FILE, KeyRing};
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

/// The most bytes of a key or token file; a longer one is none of ours.
const SECRET_BYTES_MAX: u64 = 4_096;

/// Why a data directory is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("cannot {doing} {path}: {cause}")]
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
        let recovery = if path.join(RECOVERY_KEY).exists() { Some(key(path, RECOVERY_KEY)?) } else { None };
        Ok(DataDir {
            node_key: key(path, NODE_KEY)?,
            token_key: key(path, TOKEN_KEY)?,
            recovery,
            operator_token: operator_token(path)?,
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
    let text = secret(dir, OPERATOR_TOKEN)?;
    let token = text.trim();
    let plain =
        token.len() >= 32 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !plain {
        return Err(Error::Content { path: dir.join(OPERATOR_TOKEN), wanted: "an operator's token" });
    }
    Ok(Zeroizing::new(token.to_owned()))
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
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error("write", path))
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
            write_new_secret(&path.join(name), &new_key().to_pem())?;
        }
    }
    if !path.join(OPERATOR_TOKEN).exists() {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(bytes.as_mut());
        write_new_secret(&path.join(OPERATOR_TOKEN), &URL_SAFE_NO_PAD.encode(bytes.as_ref()))?;
    }
    if !path.join(DATA_KEY_FILE).exists() {
        KeyRing::generate(&mut rand::rng()).store(&OsFiles::new(path))?;
    }
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("sync", path))
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
    let text = secret(dir, name)?;
    SecretKey::from_pem(&text).map_err(|_| Error::Content {
        path: dir.join(name),
        wanted: "a PKCS#8 PEM file with an Ed25519 private key",
    })
}

fn secret(dir: &Path, name: &str) -> Result<Zeroizing<String>, Error> {
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
    if meta.len() > SECRET_BYTES_MAX {
        return Err(Error::Content { path, wanted: "a short text file" });
    }
    let bytes = Zeroizing::new(fs::read(&path).map_err(io_error("read", &path))?);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Error::Content { path, wanted: "a text file" }),
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::Io { doing, path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(path: &Path) -> String {
        match DataDir::open(path) {
            Ok(_) => panic!("the directory was taken"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn a_first_start_makes_keys_that_a_second_one_finds() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataDir::open(dir.path()).expect("opens");
        assert!(first.is_new && first.recovery.is_some());
        let (key, token) = (first.node_key.public(), first.operator_token.clone());
        drop(first);
        let second = DataDir::open(dir.path()).expect("opens");
        assert_eq!((second.node_key.public(), second.operator_token.clone()), (key, token));
    }

    #[test]
    fn two_processes_do_not_share_a_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let _held = DataDir::open(dir.path()).expect("opens");
        assert!(reason(dir.path()).contains("in use by another"));
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
            drop(DataDir::open(dir.path()).expect("opens"));
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
}
