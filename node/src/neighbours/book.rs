//! The neighbours that this node knows, written down so that it finds them again after a restart. Rebuildable: without it a
//! node learns them anew from whoever it dials.

use artel_mesh::Address;
use artel_protocol::codec;
use artel_protocol::key::NodeId;
use std::path::Path;

/// The file in the data directory.
const FILE: &str = "peers";

/// Whom the file names; nobody where there is none, or where it is not what was written.
///
/// # Errors
/// What the disk says.
pub(super) fn read(dir: &Path) -> std::io::Result<Vec<(NodeId, Vec<Address>)>> {
    let bytes = match std::fs::read(dir.join(FILE)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let Ok(known) = codec::decode::<Vec<(NodeId, Vec<String>)>>(&bytes) else {
        tracing::warn!("the file of known peers is damaged; they are learnt anew");
        return Ok(Vec::new());
    };
    let addresses = |texts: Vec<String>| texts.iter().filter_map(|text| text.parse().ok()).collect();
    Ok(known.into_iter().map(|(node, texts)| (node, addresses(texts))).collect())
}

/// Writes them down.
///
/// # Errors
/// What the disk says.
pub(super) fn write(dir: &Path, known: &[(NodeId, Vec<Address>)]) -> Result<(), crate::data::Error> {
    let texts = |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    let known: Vec<(NodeId, Vec<String>)> = known.iter().map(|(node, at)| (*node, texts(at))).collect();
    crate::data::replace(dir, FILE, &codec::encode(&known))
}
