//! The node about itself: is it well, who is it, what does it hold. All of it is public, so nothing here says why.

use super::inner::{NodeService, now};
use super::refusal;
use artel_federation::view::Counts;
use artel_protocol::amount::UNITS_PER_CREDIT;
use artel_web::Problem;
use artel_web::types::node::{Health, HealthStatus, Status};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long counts are shown before they are counted again, in milliseconds, where something has happened.
const COUNTS_MS: u64 = 500;

/// The software's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `GET /v1/health`.
pub(super) fn health(service: &NodeService) -> Health {
    Health {
        status: status_of(service),
        version: VERSION.into(),
        uptime_seconds: uptime(service),
        now: now(),
    }
}

fn status_of(service: &NodeService) -> HealthStatus {
    if service.parts().down.reason().is_some() { HealthStatus::Degraded } else { HealthStatus::Ok }
}

fn uptime(service: &NodeService) -> u64 {
    service.parts().started.0.elapsed().as_secs()
}

/// `GET /readyz`. It does not wait for the index.
pub(super) fn ready(service: &NodeService) -> Result<(), Problem> {
    match service.parts().down.reason() {
        None => Ok(()),
        Some(reason) => Err(refusal::of_driver(crate::handle::Unavailable::Journal(reason))),
    }
}

/// `GET /`.
pub(super) fn status(service: &NodeService) -> Status {
    let parts = service.parts();
    let checkpoint = super::audit::cosigned(service);
    let super::peers::Witnessing { witnesses, witnessed, quarantined } = super::peers::witnessing(service);
    let counts = service.0.counts.get();
    let counts = counts.map(|counts| *counts.lock().unwrap_or_else(PoisonError::into_inner));
    Status {
        name: parts.federation_name.clone(),
        version: VERSION.into(),
        federation_name: parts.federation_name.clone(),
        federation_id: parts.identity.federation,
        peer_id: parts.identity.node.key().peer_id(),
        uptime_seconds: uptime(service),
        health: status_of(service),
        log_size: checkpoint.size(),
        checkpoint: checkpoint.note().to_string(),
        witnesses,
        witnessed,
        quarantined,
        counts: counts.as_ref().map(labelled).unwrap_or_default(),
        limits: limits(service),
    }
}

fn labelled(counts: &Counts) -> Vec<(&'static str, u64)> {
    vec![
        ("nodes admitted", counts.nodes as u64),
        ("agents", counts.agents as u64),
        ("runs open", counts.runs_open as u64),
        ("steps open", counts.steps_open as u64),
        ("tasks available", counts.offers as u64),
        ("leases held", counts.leases as u64),
        ("claims waiting", counts.waiting as u64),
        ("runs posted", counts.totals.runs),
        ("submissions accepted", counts.totals.accepted),
        ("submissions rejected", counts.totals.rejected),
        ("leases lapsed", counts.totals.lapsed),
        ("credits paid", counts.totals.paid_units / UNITS_PER_CREDIT),
        ("artifact bytes", counts.artifact_bytes),
        ("starts", counts.boots),
    ]
}

fn limits(service: &NodeService) -> Vec<(&'static str, String)> {
    let config = &service.parts().config;
    vec![
        ("a lease lasts", time(config.lease_ms.into())),
        ("rejected results that fail a step", config.attempts_max.to_string()),
        ("lapsed leases that fail a step", config.lapses_max.to_string()),
        ("leases of one agent", format!("{} at once", config.leases_max)),
        ("a verdict comes within", time(config.verdict_within_ms.into())),
        ("a token lives", format!("{} days", config.token_days)),
        ("room for artifacts", format!("{} MB", config.artifact_quota_mb)),
        ("requests of one agent", format!("{} a second", config.requests_per_second)),
    ]
}

/// Milliseconds in the largest unit that loses nothing.
fn time(ms: u64) -> String {
    match ms {
        ms if ms >= 60_000 && ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms >= 1_000 && ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

impl NodeService {
    /// Keeps the status page's counts fresh; ends when the node stops. Idle where nothing happens. To be spawned once.
    pub async fn keep_counts(self) {
        let mut synced = self.parts().events.watch();
        loop {
            synced.borrow_and_update();
            match self.parts().handle.look(|view| view.counts()).await {
                Ok(counts) => {
                    let kept = self.0.counts.get_or_init(|| Mutex::new(counts));
                    *kept.lock().unwrap_or_else(PoisonError::into_inner) = counts;
                }
                Err(crate::handle::Unavailable::Stopping) if self.parts().down.reason().is_none() => return,
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(COUNTS_MS)).await;
            if synced.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_told_in_the_largest_unit_that_loses_nothing() {
        for (ms, wanted) in
            [(600_000, "10 min"), (60_000, "1 min"), (90_000, "90 s"), (1_500, "1500 ms"), (0, "0 ms")]
        {
            assert_eq!(time(ms), wanted);
        }
    }
}
