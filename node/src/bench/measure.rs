//! What is measured beside the work: percentiles, the processes' CPU and memory, the machine's load and its disk's own
//! sync at that moment, so that every figure can be judged by what else went on.

use anyhow::Context as _;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A clock tick of `/proc/PID/stat` in microseconds: Linux shows 100 a second whatever its own rate is.
const TICK_US: u64 = 10_000;
/// How often the disk is asked.
const PROBES: usize = 200;
/// The bytes of a probe, as of a payload.
pub(super) const PAYLOAD_BYTES: usize = 300;

/// What processes have used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// CPU time in microseconds since the process began.
    pub cpu_us: u64,
    /// Memory in kilobytes, shared pages by halves and thirds (PSS).
    pub pss_kb: u64,
}

/// What a process has used until now.
///
/// # Errors
/// When there is no such process.
pub(super) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("no process {pid}"))?;
    Ok(Usage {
        cpu_us: cpu_us(&stat).context("/proc is not Linux's")?,
        pss_kb: pss_kb(&memory).context("/proc is not Linux's")?,
    })
}

/// The fields after the program's name, which may hold blanks itself, begin with the third; 14 and 15 are CPU times.
fn cpu_us(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (times.next()?.parse().ok()?, times.next()?.parse().ok()?);
    Some((user + system) * TICK_US)
}

/// As [`cpu_us`], with fields 16 and 17: the children that were waited for.
pub(super) fn cpu_with_children_us(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times = fields.split_ascii_whitespace().skip(11).take(4);
    times.map(|time| time.parse::<u64>().ok()).sum::<Option<u64>>().map(|ticks| ticks * TICK_US)
}

fn pss_kb(memory: &str) -> Option<u64> {
    let line = memory.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The machine's load over the last minute.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

/// The median time of an append of 300 bytes with its sync, in microseconds.
///
/// # Errors
/// What the disk says.
pub(super) fn fsync_p50_us(dir: &Path) -> anyhow::Result<u64> {
    let path = dir.join("probe");
    let mut file = File::create(&path)?;
    let mut times = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let begun = Instant::now();
        file.write_all(&[b'.'; PAYLOAD_BYTES])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    fs::remove_file(&path)?;
    times.sort_unstable();
    Ok(times[PROBES / 2].as_micros() as u64)
}

/// Percentiles in milliseconds, as the harness has them.
pub(super) fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(index).map(|time| rounded(time.as_secs_f64() * 1e3))
    };
    json!({"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)})
}

/// Three decimals.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// How many a second, without decimals.
pub(super) fn rate(count: u64, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64()).round() as u64
}

/// Kilobytes in megabytes, with a decimal.
pub(super) fn mb(kilobytes: u64) -> f64 {
    (kilobytes as f64 / 102.4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_from_proc() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 5 0 100 1 1";
        assert_eq!(cpu_us(stat), Some(420_000));
        assert_eq!(cpu_us("7"), None);
        assert_eq!(pss_kb("Rss: 9 kB\nPss:            1234 kB\nPss_Dirty: 5 kB\n"), Some(1_234));
        assert!(usage(std::process::id()).expect("this process").pss_kb > 0);
    }

    #[test]
    fn percentiles_are_those_of_the_harness() {
        let times = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentiles(times), json!({"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 100.0}));
        assert_eq!(percentiles(Vec::new())["p50"], Value::Null);
    }
}
