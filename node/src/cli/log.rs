//! Verification of a node's log over HTTP, as a stranger does it: nothing is believed but the signature of the node that
//! the log names. It needs no token.

use crate::client::{Client, Error};
use artel_audit::source::{self, LogError, LogReport, LogSource};
use artel_protocol::log::Origin;
use tokio::runtime::Handle;

/// The most bytes of one file of a log: an entry bundle of 256 leaves, with room for longer ones.
const FILE_BYTES_MAX: usize = 1 << 20;

/// A node's log, fetched file by file from a thread that may block.
struct Remote {
    client: Client,
    prefix: &'static str,
    runtime: Handle,
}

impl LogSource for Remote {
    type Error = Error;

    fn fetch(&mut self, path: &str) -> Result<Vec<u8>, Error> {
        let path = format!("{}/{path}", self.prefix);
        self.runtime.block_on(self.client.get_bytes(&path, FILE_BYTES_MAX))
    }
}

/// Verifies a whole log over HTTP. With `wanted`, it must be that journal's. `progress` hears how many entries were read.
///
/// # Errors
/// Why the log is not sound, or cannot be had.
pub async fn verify(
    client: &Client,
    wanted: Option<Origin>,
    mut progress: impl FnMut(u64) + Send + 'static,
) -> anyhow::Result<LogReport> {
    // The URL is the node's, or the log's own prefix.
    let prefix = if client.base().ends_with("/log") { "" } else { "/log" };
    let mut remote = Remote { client: client.clone(), prefix, runtime: Handle::current() };
    let verified =
        tokio::task::spawn_blocking(move || source::verify(&mut remote, wanted.as_ref(), &mut progress))
            .await?;
    verified.map_err(|error| match error {
        LogError::Fetch { path, cause } => anyhow::anyhow!("the log could not be read: {path}: {cause}"),
        error => anyhow::anyhow!("the log is not sound: {error}"),
    })
}
