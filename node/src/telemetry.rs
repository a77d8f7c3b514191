//! Logs: one JSON object a line on stderr, with correlation ids as fields. No secret, payload or address above DEBUG.

use tracing_subscriber::EnvFilter;

/// What libraries say at INFO and WARN is theirs to debug; a filter that names them is obeyed.
const LIBRARIES: &str =
    "libp2p=error,libp2p_swarm=error,libp2p_kad=error,libp2p_gossipsub=error,libp2p_mdns=error";

/// Starts logging by a filter such as `info` or `artel_node=debug,info`.
///
/// # Errors
/// A sentence when the filter cannot be read.
pub fn start(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{LIBRARIES},{filter}"))
        .map_err(|e| format!("log: {e}; write info, debug or target=level"))?;
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_env_filter(filter)
        .finish();
    // A second start in one process (tests) keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
