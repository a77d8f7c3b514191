//! How a figure is told: one JSON line a metric in the peers' harness's words, or the same as aligned text.

use super::measure;
use crate::cli::progress::Progress;
use crate::cli::show::{self, Show};
use crate::clock;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

/// What a figure is called, and what was measured.
const PEER: &str = "artel";

/// Where figures go.
pub(super) struct Report {
    show: Show,
    variant: &'static str,
    /// For how long it has been measured, where a terminal is there.
    progress: Arc<Mutex<Progress>>,
}

impl Report {
    /// `variant` says which kind of tasks it was.
    pub fn new(show: Show, variant: &'static str) -> Self {
        Report { show, variant, progress: Arc::new(Mutex::new(Progress::new("s of measuring", None))) }
    }

    /// Tells each second for how long it has been measured, until what it answers is dropped.
    pub fn tick(&self) -> AbortOnDropHandle<()> {
        let (progress, begun) = (self.progress.clone(), Instant::now());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut each = tokio::time::interval(Duration::from_secs(1));
            loop {
                each.tick().await;
                held(&progress).update(begun.elapsed().as_secs(), "");
            }
        }))
    }

    /// Tells one metric; `figures` is an object.
    ///
    /// # Errors
    /// What stdout says.
    pub fn tell(&self, metric: &str, figures: Value) -> anyhow::Result<()> {
        let head = json!({
            "at": clock::wall().iso8601(),
            "load1": measure::load(),
            "peer": PEER,
            "variant": self.variant,
            "durable": "fsync before each answer (grouped)",
            "version": format!("artel {}", env!("CARGO_PKG_VERSION")),
            "generator": "artel bench",
            "metric": metric,
        });
        let mut line = head.as_object().cloned().unwrap_or_default();
        let figures = figures.as_object().cloned().unwrap_or_default();
        line.extend(figures.clone());
        held(&self.progress).clear();
        if self.show.json {
            return show::line(&Value::Object(line).to_string());
        }
        show::line(&format!("{metric} (load {})\n{}", line["load1"], text(&figures)))
    }
}

fn held(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(figures: &Map<String, Value>) -> String {
    let mut rows = Vec::new();
    for (name, value) in figures {
        match value {
            Value::Object(parts) => {
                rows.extend(parts.iter().map(|(part, value)| (format!("{name} {part}"), value)))
            }
            value => rows.push((name.clone(), value)),
        }
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("  {name:width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_aligned_and_parts_follow_their_whole() {
        let figures = json!({"n": 5, "ms": {"p50": 1.5, "p95": 2}});
        let text = text(figures.as_object().expect("an object"));
        assert_eq!(text, "  ms p50  1.5\n  ms p95  2\n  n       5\n");
    }
}
