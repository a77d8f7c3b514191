//! Where a command's node is and who calls: flags, then the environment, then the data directory. It reads the
//! directory's files and never writes one, but for an agent's token beside its key.

use super::Global;
use super::show::Show;
use crate::boot::URL_FILE;
use crate::client::{self, Client};
use crate::data;
use artel_protocol::key::SecretKey;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The environment variable with the token itself, as `artel work` hands it to the program that it runs.
pub const TOKEN_VARIABLE: &str = "ARTEL_TOKEN";
/// The most bytes of a token file; a longer one is none.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// The command was used wrongly: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// What holds for the whole of one command.
pub struct Context {
    global: Global,
    /// How answers are shown.
    pub show: Show,
}

impl Context {
    /// From the flags.
    pub fn new(global: Global) -> Self {
        let show = Show { json: global.json };
        Context { global, show }
    }

    /// The data directory that was named.
    pub fn data(&self) -> Option<&Path> {
        self.global.data.as_deref()
    }

    /// The data directory that was named, or the user's own.
    pub fn data_or_default(&self) -> PathBuf {
        match (&self.global.data, std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME")) {
            (Some(data), _, _) => data.clone(),
            (None, Some(base), _) if !base.is_empty() => Path::new(&base).join("artel"),
            (None, _, Some(home)) if !home.is_empty() => Path::new(&home).join(".local/share/artel"),
            _ => PathBuf::from("artel-data"),
        }
    }

    /// Whether the node is named by its URL.
    pub fn names_url(&self) -> bool {
        self.global.node.is_some()
    }

    /// Whether a node has run in the data directory and said where.
    pub fn has_url_file(&self) -> bool {
        self.data_or_default().join(URL_FILE).exists()
    }

    /// The node, called by whoever the flags name; by nobody where they name none.
    ///
    /// # Errors
    /// [`Usage`] when no node is named, otherwise what the files or the URL are wrong in.
    pub fn client(&self) -> anyhow::Result<Client> {
        let client = self.anonymous()?;
        match self.token()? {
            Some(token) => Ok(client.with_token(&token)),
            None => Ok(client),
        }
    }

    /// The node, called by nobody.
    ///
    /// # Errors
    /// As [`Context::client`].
    pub fn anonymous(&self) -> anyhow::Result<Client> {
        Ok(self.client_of(&self.node_url()?)?)
    }

    /// Any node, called by nobody.
    ///
    /// # Errors
    /// [`client::Error`].
    pub fn client_of(&self, url: &str) -> Result<Client, client::Error> {
        Client::new(url, self.global.ca.as_deref())
    }

    /// The agent's key.
    ///
    /// # Errors
    /// [`Usage`] when none is named, otherwise what the file is wrong in.
    pub fn agent_key(&self) -> anyhow::Result<SecretKey> {
        let path = self.key_file()?;
        match data::read_key(&path) {
            Ok(key) => Ok(key),
            Err(data::Error::Missing { .. }) => {
                anyhow::bail!(
                    "there is no key {}; make one with: artel key new {}",
                    path.display(),
                    path.display()
                )
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where the agent's token is kept.
    ///
    /// # Errors
    /// [`Usage`] when neither a token file nor a key is named.
    pub fn token_file(&self) -> anyhow::Result<PathBuf> {
        match &self.global.token_file {
            Some(path) => Ok(path.clone()),
            None => Ok(beside(&self.key_file()?)),
        }
    }

    fn key_file(&self) -> Result<PathBuf, Usage> {
        let missing =
            || Usage("name the agent's key with --key FILE; make one with: artel key new FILE".into());
        self.global.key.clone().ok_or_else(missing)
    }

    fn node_url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.global.node {
            return Ok(url.clone());
        }
        let dir = self.data_or_default();
        match fs::read_to_string(dir.join(URL_FILE)) {
            Ok(url) => Ok(url.trim().to_owned()),
            Err(_) if self.global.data.is_none() => Err(Usage(
                "no node is named; say --node URL or --data DIR, or start one with: artel up --data DIR"
                    .into(),
            )
            .into()),
            Err(_) => {
                let dir = dir.display();
                anyhow::bail!(match self.data_or_default().join(artel_audit::JOURNAL_DIR).is_dir() {
                    true => format!("no node runs in {dir}; start it with: artel up --data {dir}"),
                    false => format!(
                        "{dir} is no node's data directory; name another one with --data, or start a node there \
                         with: artel up --data {dir}"
                    ),
                })
            }
        }
    }

    /// The token of whoever is named: a token file, the environment, a key's own token, the operator's.
    fn token(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        if let Some(path) = &self.global.token_file {
            return read_token(path).map(Some);
        }
        if let Ok(token) = std::env::var(TOKEN_VARIABLE) {
            return Ok(Some(Zeroizing::new(token)));
        }
        if let Some(key) = &self.global.key {
            let path = beside(key);
            if !path.exists() {
                anyhow::bail!(
                    "this key has no token yet ({} is missing); get one with: artel agent enroll --key {}",
                    path.display(),
                    key.display()
                );
            }
            return read_token(&path).map(Some);
        }
        // A node that is only named by URL and a directory that is not one of ours: the caller is a stranger.
        let dir = self.data_or_default();
        let named = self.global.data.is_some() || self.global.node.is_none();
        if named && dir.join(data::OPERATOR_TOKEN).exists() {
            return Ok(Some(data::operator_token(&dir)?));
        }
        Ok(None)
    }
}

/// Reads a bearer token from a file.
///
/// # Errors
/// A sentence that names the file.
pub fn read_token(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let failed = |e: std::io::Error| anyhow::anyhow!("cannot read the token file {}: {e}", path.display());
    if fs::metadata(path).map_err(failed)?.len() > TOKEN_BYTES_MAX {
        anyhow::bail!("{} is too long for a token file", path.display());
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        anyhow::bail!(
            "{} does not hold a token; get one with: artel agent enroll --key FILE",
            path.display()
        );
    }
    Ok(Zeroizing::new(token.to_owned()))
}

/// Writes a bearer token into a file of mode 0600, whole or not at all.
///
/// # Errors
/// A sentence that names the file.
pub fn write_token(path: &Path, token: &str) -> anyhow::Result<()> {
    let temporary = path.with_added_extension(format!("{}.new", std::process::id()));
    let failed = |e: std::io::Error| anyhow::anyhow!("cannot write the token file {}: {e}", path.display());
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
    let written = match &mut file {
        Ok(file) => file.write_all(token.as_bytes()).and_then(|()| file.write_all(b"\n")),
        Err(e) => return Err(failed(std::io::Error::new(e.kind(), e.to_string()))),
    };
    written.and_then(|()| fs::rename(&temporary, path)).map_err(failed)
}

fn beside(key: &Path) -> PathBuf {
    key.with_added_extension("token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn context(global: Global) -> Context {
        Context::new(global)
    }

    #[test]
    fn a_token_reads_back_from_a_file_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("agent.pem.token");
        write_token(&path, "first").expect("writes");
        write_token(&path, "second").expect("writes over it");
        assert_eq!(read_token(&path).expect("reads").as_str(), "second");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1, "no temporary file is left");
        for bad in ["", "two words", "zwölf"] {
            fs::write(&path, bad).expect("writes");
            assert!(read_token(&path).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_node_is_found_by_url_or_by_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = || Some(dir.path().to_owned());
        let error = context(Global { data: data(), ..Global::default() })
            .anonymous()
            .map(|_| ())
            .expect_err("no node there");
        assert!(error.to_string().contains("artel up --data"), "{error}");
        fs::write(dir.path().join(URL_FILE), "http://127.0.0.1:5\n").expect("writes");
        let found = context(Global { data: data(), ..Global::default() }).anonymous().expect("found");
        assert_eq!(found.base(), "http://127.0.0.1:5");
        let named = Global { data: data(), node: Some("http://127.0.0.1:6".into()), ..Global::default() };
        assert_eq!(context(named).anonymous().expect("named").base(), "http://127.0.0.1:6");
    }

    #[test]
    fn a_missing_key_says_how_to_make_one() {
        let error = context(Global::default()).agent_key().expect_err("none is named");
        assert!(error.is::<Usage>() && error.to_string().contains("artel key new"), "{error}");
        let named = Global { key: Some("/nowhere/agent.pem".into()), ..Global::default() };
        let error = context(named).agent_key().expect_err("there is none");
        assert!(error.to_string().contains("artel key new /nowhere/agent.pem"), "{error}");
    }
}
