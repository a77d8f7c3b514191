//! The process as the kernel accounts for it (Linux: proc(5)), under the names that Prometheus' own clients give it.

use artel_web::metrics::Text;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Ticks of the kernel's accounting in a second: USER_HZ, which is 100 on every architecture that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is said where the kernel does not say.
const UNKNOWN: u64 = 0;

/// Writes all of it. A node on another system says zeros, so that the series are the same everywhere.
pub(super) fn write(started: Instant, text: &mut Text) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| field(&status, name) * 1_024;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began = since_epoch.saturating_sub(started.elapsed());
    text.counter(
        "process_cpu_seconds_total",
        "Processor time, of the user and of the kernel.",
        cpu_seconds(),
    );
    text.gauge("process_resident_memory_bytes", "Memory that is resident.", kib("VmRSS:"));
    text.gauge("process_virtual_memory_bytes", "Memory that is mapped.", kib("VmSize:"));
    text.gauge("process_threads", "Threads.", field(&status, "Threads:"));
    text.gauge(
        "process_open_fds",
        "Open descriptors.",
        std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
    );
    text.gauge("process_max_fds", "The most descriptors that may be open.", fds_max());
    text.gauge("process_start_time_seconds", "When the process began, since 1970.", began.as_secs_f64());
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses that may hold anything; utime and stime are the 14th and 15th.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_ascii_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok());
    ticks.sum::<u64>() as f64 / TICKS_PER_SECOND
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(UNKNOWN)
}

fn fds_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_something_of_this_process() {
        let mut text = Text::default();
        write(Instant::now(), &mut text);
        let text = text.finish();
        let samples: Vec<(&str, f64)> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, value)| (name, value.parse().expect("a number")))
            .collect();
        assert_eq!(samples.len(), 7);
        for (name, value) in samples {
            assert!(value > 0.0 || name == "process_cpu_seconds_total", "{name} {value}");
        }
    }
}
