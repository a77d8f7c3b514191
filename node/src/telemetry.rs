//! Logs: one JSON object a line on stderr, with correlation ids as fields. No secret, payload or address above DEBUG.

use tracing_subscriber::EnvFilter;

/// Starts logging by a filter such as `info` or `artel_node=debug,info`.
///
/// # Errors
/// A sentence when the filter cannot be read.
pub fn start(filter: &str) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|e| format!("log: {e}; write info, debug or target=level"))?;
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
