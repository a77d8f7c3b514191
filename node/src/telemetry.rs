//! Logs on stderr: one JSON object a line, with correlation ids as fields; on a terminal text for people. No secret, payload
//! or address above DEBUG.

use crate::cli::paint::Paint;
use crate::clock::wall;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

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
        let subscriber =
            lines.with_timer(OfDay).with_target(false).with_ansi(Paint::of_stderr().is_on()).finish();
        tracing::subscriber::set_global_default(subscriber)
    } else {
        let subscriber =
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish();
        tracing::subscriber::set_global_default(subscriber)
    };
    Ok(())
}

/// The time of day in UTC, to the second: whoever watches knows the date.
struct OfDay;

impl FormatTime for OfDay {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let now = wall().iso8601();
        writer.write_str(now.get("2026-01-01T".len().."2026-01-01T00:00:00".len()).unwrap_or(&now))
    }
}
