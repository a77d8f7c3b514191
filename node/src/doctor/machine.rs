//! The machine: the program and its kernel, memory, and how many files may be open.

use super::disk::bytes;
use artel_web::types::doctor::{Check, Finding};
use rustix::process::Resource;
use std::fs;

/// Memory below which the kernel may soon end the node: what it uses idle, with room for a burst of requests.
const MEMORY_LEAST: u64 = 64 << 20;

/// Memory below which a step of another home may not fit: its process may take some 710 MiB.
const MEMORY_GOOD: u64 = 768 << 20;

/// Files that the node has open beside its HTTP connections: journal, records, index, and the mesh's connections.
const FILES_BESIDE: u64 = 1_024;

/// The program and the kernel.
pub(super) fn version() -> Finding {
    let kernel = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let system = format!("{} {} {}", text(kernel.sysname()), text(kernel.release()), text(kernel.machine()));
    let engine = artel_runner::ENGINE;
    Finding::ok(Check::Version, format!("artel {}", crate::service::VERSION))
        .with(format!("{system}, {engine}"))
}

/// Memory that is free, for the machine and for the group that this process is in.
pub(super) fn memory() -> Finding {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let group = group_left();
    match machine.into_iter().chain(group).min() {
        Some(free) => judge_memory(free).with(format!("{} free", bytes(free))),
        None => {
            Finding::unknown(Check::Memory, "the memory that is free cannot be told; /proc is not mounted")
        }
    }
}

fn judge_memory(free: u64) -> Finding {
    if free < MEMORY_LEAST {
        let advice = "end other programs, add memory, or raise the container's limit";
        return Finding::fail(Check::Memory, "the machine is out of memory", advice);
    }
    if free < MEMORY_GOOD {
        let advice = "steps in the sandbox may end without a result here; add memory, or set redo = false";
        return Finding::warn(Check::Memory, "less memory is free than one large step may take", advice);
    }
    Finding::ok(Check::Memory, "there is memory")
}

/// Bytes that are free without swapping, of `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Bytes that the control group of this process (version 2) lets it still take; nothing where there is no limit.
fn group_left() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let read = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup/{path}/{name}")).ok()?.trim().parse().ok()
    };
    Some(read("memory.max")?.saturating_sub(read("memory.current")?))
}

/// Whether as many files may be open as the configuration's connections need.
pub(super) fn open_files(connections_max: u32) -> Finding {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    judge_files(limit.current.unwrap_or(u64::MAX), connections_max)
}

fn judge_files(most: u64, connections_max: u32) -> Finding {
    let wanted = u64::from(connections_max) + FILES_BESIDE;
    let value = if most == u64::MAX { "no limit".to_owned() } else { format!("{most} at once") };
    let found = if most < wanted {
        let summary = format!("{connections_max} HTTP connections and the rest may need {wanted} open files");
        let advice = format!(
            "start the node after: ulimit -n {wanted} (with systemd LimitNOFILE={wanted}), or lower connections_max"
        );
        Finding::warn(Check::OpenFiles, summary, advice)
    } else {
        Finding::ok(Check::OpenFiles, "enough files may be open")
    };
    found.with(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_web::types::doctor::FindingStatus::{Fail, Ok, Warn};

    #[test]
    fn free_memory_is_read_and_judged() {
        assert_eq!(available("MemTotal:  9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!([available(""), available("MemAvailable: x kB")], [None, None]);
        for (free, wanted) in [(0, Fail), (MEMORY_LEAST, Warn), (MEMORY_GOOD, Ok)] {
            assert_eq!(judge_memory(free).status, wanted, "{free}");
        }
    }

    #[test]
    fn open_files_are_counted_against_the_connections() {
        for (most, connections, wanted) in
            [(1_024, 4_096, Warn), (5_119, 4_096, Warn), (5_120, 4_096, Ok), (u64::MAX, u32::MAX, Ok)]
        {
            assert_eq!(judge_files(most, connections).status, wanted, "{most} {connections}");
        }
    }
}
