//! What a step in the sandbox costs: from the request to the guest's first instruction and to its outcome, its module compiled
//! before, beside what any other way has to beat: starting `/bin/true`, and one synced append.

use super::measure::{self, percentiles};
use super::node::Scratch;
use super::report::Report;
use anyhow::Context as _;
use artel_runner::{Options, Outcome, Runner, Step};
use serde_json::json;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long the next primed process is waited for. A machine on which it takes longer has no figure worth having.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Measures `steps` steps, one after the other, then as many of what they stand beside.
///
/// # Errors
/// That a wall is missing, or what the disk says.
pub(super) async fn step(report: &Report, scratch: &Scratch, steps: u32) -> anyhow::Result<()> {
    let options = Options { cache_dir: Some(scratch.path().join("code")), ..Options::default() };
    let runner = Runner::start(options).await.map_err(|e| anyhow::anyhow!("no step can be run here: {e}"))?;
    let module = artel_runner::smallest_module();
    runner.prepare(&module).await?;
    let (mut starts, mut wholes, mut guest_us) = (Vec::new(), Vec::new(), 0);
    let before = cpu_with_children_us()?;
    for _ in 0..steps {
        until_ready(&runner).await?;
        let begun = Instant::now();
        let outcome = runner.run(Step::new(module.clone(), "{}")).await;
        wholes.push(begun.elapsed());
        let Outcome::Done { spent, .. } = outcome else {
            anyhow::bail!("a step ended otherwise: {outcome:?}")
        };
        starts.push(Duration::from_micros(spent.start_us));
        guest_us += spent.cpu_us;
    }
    until_ready(&runner).await?;
    let step_cpu = (cpu_with_children_us()? - before) / u64::from(steps);

    let mut trues = Vec::new();
    let before = cpu_with_children_us()?;
    for _ in 0..steps {
        let begun = Instant::now();
        let status =
            std::process::Command::new("/bin/true").status().context("/bin/true cannot be started")?;
        anyhow::ensure!(status.success(), "/bin/true failed");
        trues.push(begun.elapsed());
    }
    let true_cpu = (cpu_with_children_us()? - before) / u64::from(steps);

    let mut syncs = Vec::new();
    let mut file = File::create(scratch.path().join("synced"))?;
    let before = cpu_with_children_us()?;
    for _ in 0..steps {
        let begun = Instant::now();
        file.write_all(&[b'.'; measure::PAYLOAD_BYTES])?;
        file.sync_data()?;
        syncs.push(begun.elapsed());
    }
    let sync_cpu = (cpu_with_children_us()? - before) / u64::from(steps);

    report.tell(
        "step",
        json!({
            "steps": steps,
            "start_ms": percentiles(starts),
            "whole_ms": percentiles(wholes),
            "guest_cpu_us": guest_us / u64::from(steps),
            "cpu_us_with_its_process": step_cpu,
            "true_ms": percentiles(trues),
            "true_cpu_us": true_cpu,
            "fdatasync_ms": percentiles(syncs),
            "fdatasync_cpu_us": sync_cpu,
            "walls": runner.walls().iter().map(|wall| wall.name()).collect::<Vec<_>>(),
        }),
    )
}

/// Waits until the primed processes are there again, which in a node happens while nobody waits.
async fn until_ready(runner: &Runner) -> anyhow::Result<()> {
    let waited = tokio::time::timeout(READY_WITHIN, runner.settled()).await;
    waited.with_context(|| format!("no primed process within {READY_WITHIN:?}"))
}

/// CPU time of this process and of its children that have ended, in microseconds, in steps of 10 ms.
fn cpu_with_children_us() -> anyhow::Result<u64> {
    measure::cpu_with_children_us(&std::fs::read_to_string("/proc/self/stat")?)
        .context("/proc is not Linux's")
}
