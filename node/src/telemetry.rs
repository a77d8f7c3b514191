//! Logs on stderr: one JSON object a line, with correlation ids as fields; on a terminal text for people. No secret, payload
//! or address above DEBUG.

use crate::cli::paint::Paint;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

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
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    // A second start in one process (tests) keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        let subscriber = lines
            .with_timer(ChronoUtc::new("%H:%M:%S".into()))
            .with_target(false)
            .with_ansi(Paint::of_stderr().is_on())
            .finish();
        tracing::subscriber::set_global_default(subscriber)
    } else {
        let subscriber =
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish();
        tracing::subscriber::set_global_default(subscriber)
    };
    Ok(())
}
