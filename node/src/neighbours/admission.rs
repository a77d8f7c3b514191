//! What lets this node in: the records of its admission and of those above it, up to a founder. They are others' records, got
//! with a welcome, and stand in a file of their own: without them a neighbour that does not know this node would refuse it.

use crate::data;
use artel_protocol::codec;
use artel_protocol::invitation::InvitationSecret;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The file in the data directory.
const FILE: &str = "admission";

/// The chain that this node shows, and the secret that it shows while it has none.
pub struct Admission {
    dir: PathBuf,
    chain: Mutex<Vec<Vec<u8>>>,
    secret: Option<InvitationSecret>,
}

impl Admission {
    /// What the data directory holds. A damaged file counts as none: the node asks to be let in once more.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(dir: &Path, secret: Option<InvitationSecret>) -> std::io::Result<Self> {
        let chain = match std::fs::read(dir.join(FILE)) {
            Ok(bytes) => codec::decode(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Admission { dir: dir.into(), chain: Mutex::new(chain), secret })
    }

    /// The frames, this node's own admission first; none for a founder, and while it is not let in.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.lock().clone()
    }

    /// The invitation's secret, as long as there is no chain to show.
    pub fn secret(&self) -> Option<InvitationSecret> {
        self.secret.filter(|_| self.lock().is_empty())
    }

    /// Takes a chain that was judged good, on disk first.
    ///
    /// # Errors
    /// What the disk says; the chain is not shown then.
    pub fn set(&self, chain: Vec<Vec<u8>>) -> Result<(), data::Error> {
        data::replace(&self.dir, FILE, &codec::encode(&chain))?;
        *self.lock() = chain;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
