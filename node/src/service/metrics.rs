//! `GET /metrics`: what all parts of the node count, gathered when it is asked for. The book's counts are at most half a second
//! old, as on the status page.

use super::inner::NodeService;
use crate::metrics;
use artel_web::metrics::Text;
use std::sync::PoisonError;

/// Adds all of it.
pub(super) fn write(service: &NodeService, text: &mut Text) {
    let parts = service.parts();
    let size = parts.events.size();
    parts.journal.write(size, text);
    // Zeros in the first moment, so that the series are there from the beginning.
    let counts = service.0.counts.get().map(|counts| *counts.lock().unwrap_or_else(PoisonError::into_inner));
    metrics::book(&counts.unwrap_or_default(), text);
    metrics::index(size, parts.index.position(), parts.index.is_ready(), text);
    metrics::sandbox(&parts.bench, text);
    if let Some(neighbours) = &parts.neighbours {
        neighbours.measure(text);
    }
    metrics::process(parts.started.0, text);
}
