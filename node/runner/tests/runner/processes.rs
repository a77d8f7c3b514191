//! Children that misbehave, and parents that change their mind.

use crate::support::{body, child, guest, options, small, start, start_failing, step};
use artel_runner::{
    Attempt, Death, Error, Given, Limits, Options, Outcome, Refusal, Resource, Runner, SelfTest, Tried, Wall,
    Walls,
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

fn program(dir: &Path, script: &str) -> Options {
    let path = dir.join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    Options { program: Some(path), ..options() }
}

#[tokio::test]
async fn a_program_that_is_no_runner_gives_an_error_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    for (script, wanted) in [
        ("exit 0", "it died while its walls went up (exit status 0)"),
        ("kill -11 $$", "it died while its walls went up (signal 11)"),
        ("exec /bin/cat", "it is no runner's child"),
        ("exec /usr/bin/head -c 100000 /dev/zero", "it is no runner's child"),
        ("exec /usr/bin/tr '\\0' '\\377' </dev/zero", "it is no runner's child"),
    ] {
        let error = start_failing(program(dir.path(), script)).await;
        assert!(error.to_string().contains(wanted), "{script}: {error}");
    }
    let error = start_failing(Options { program: Some(dir.path().join("none")), ..options() }).await;
    assert!(matches!(&error, Error::Process(why) if why.contains("No such file")), "{error}");
    let file = dir.path().join("program");
    let error = start_failing(Options { cache_dir: Some(file.join("code")), ..options() }).await;
    assert!(matches!(&error, Error::Cache { .. }), "{error}");
}

/// The ids of this process's children that are runners' children, and still run.
fn children() -> Vec<u32> {
    children_of(std::process::id())
}

fn children_of(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let status = read("stat");
        let Some((_, rest)) = status.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        if fields[1] == parent.to_string()
            && fields[0] != "Z"
            && read("cmdline").contains("artel-runner-child")
        {
            found.push(id);
        }
    }
    found
}

/// Whether a process has used so much CPU, in hundredths of a second.
fn has_used(id: u32, ticks: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let used = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(11)?.parse::<u64>().ok());
    used.is_some_and(|used| used > ticks)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn what_is_dropped_or_cancelled_leaves_no_process() {
    // In a process of its own, for it counts the processes of this one.
    if std::env::var_os("ARTEL_TEST_ALONE").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::what_is_dropped_or_cancelled_leaves_no_process"])
            .env("ARTEL_TEST_ALONE", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let limits = Limits { fuel: u64::MAX / 4, ..small() };
        let runner = start(Options { limits, pool_size: 2, ..options() }).await;
        until("two wait", || children().len() == 2).await;
        let endless = step(body("(loop $l (br $l))"));
        runner.prepare(&endless.module).await.unwrap();
        runner.settled().await;
        until("two wait, and one that has loaded it", || children().len() == 3).await;
        let waiting = children();
        let running = tokio::spawn({
            let runner = runner.clone();
            async move { runner.run(endless).await }
        });
        until("one of them runs", || waiting.iter().any(|id| has_used(*id, 5))).await;
        let loaded = *waiting.iter().find(|id| has_used(**id, 5)).unwrap();
        running.abort();
        until("the cancelled one is gone", || children().len() == 2 && !children().contains(&loaded)).await;
        // One that is killed while it waits is not counted against the next step.
        for id in children() {
            assert!(
                std::process::Command::new("/bin/kill")
                    .args(["-9", &id.to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
        }
        until("they are dead", || children().is_empty()).await;
        assert!(matches!(runner.run(step(guest("echo"))).await, Outcome::Done { .. }));
        drop(runner);
        until("none is left", || children().is_empty()).await;
    });
}

#[test]
fn a_child_that_is_killed_at_work_is_inconclusive() {
    if std::env::var_os("ARTEL_TEST_ALONE").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::a_child_that_is_killed_at_work_is_inconclusive"])
            .env("ARTEL_TEST_ALONE", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let limits = Limits { fuel: u64::MAX / 4, ..small() };
        let runner = start(Options { limits, pool_size: 0, ..options() }).await;
        let endless = step(body("(loop $l (br $l))"));
        runner.prepare(&endless.module).await.unwrap();
        let running = tokio::spawn({
            let runner = runner.clone();
            async move { runner.run(endless).await }
        });
        let busy = |id: &u32| has_used(*id, 5);
        until("it spins", || children().iter().any(busy)).await;
        let id = children().into_iter().find(busy).unwrap();
        assert!(
            std::process::Command::new("/bin/kill").args(["-9", &id.to_string()]).status().unwrap().success()
        );
        let outcome = running.await.unwrap();
        let Outcome::Inconclusive { resource, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(resource, Resource::Died(Death::Signal(9)));
    });
}

#[test]
fn a_guest_whose_node_was_killed_ends_within_seconds() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let limits = Limits { fuel: u64::MAX / 4, ..small() };
    if std::env::var_os("ARTEL_TEST_ALONE").is_some() {
        runtime.block_on(async {
            let runner = start(Options { limits, pool_size: 0, ..options() }).await;
            runner.run(step(body("(loop $l (br $l))"))).await;
        });
        return;
    }
    let mut node = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::a_guest_whose_node_was_killed_ends_within_seconds"])
        .env("ARTEL_TEST_ALONE", "1")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    runtime.block_on(async {
        let spins = |id: &u32| has_used(*id, 50);
        until("it spins", || children_of(node.id()).iter().any(spins)).await;
        let guest = children_of(node.id()).into_iter().find(spins).unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
        // Its own deadline is three times as far away as this waits.
        until("it is gone", || !Path::new(&format!("/proc/{guest}")).exists()).await;
    });
}

/// What a runner holds of a step's files is what it was given, and no copy.
#[test]
fn a_step_with_a_large_file_is_not_held_three_times() {
    if std::env::var_os("ARTEL_TEST_ALONE").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::a_step_with_a_large_file_is_not_held_three_times"])
            .env("ARTEL_TEST_ALONE", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let runner = start(options()).await;
        let mut large = step(guest("echo"));
        large.artifacts = vec![Given { name: "large".to_owned(), bytes: vec![7; 64 << 20].into() }];
        assert!(matches!(runner.run(large).await, Outcome::Done { .. }));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let most_kib: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(most_kib < 3 * (64 << 10), "{most_kib} KiB");
    });
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let limits = Limits { fuel: u64::MAX / 4, deadline_ms: 400, ..small() };
    let runner = start(Options { limits, steps_max: 1, queue_max: 1, ..options() }).await;
    let module = body("(loop $l (br $l))");
    runner.prepare(&module).await.unwrap();
    let run = |runner: &Runner| {
        let (runner, step) = (runner.clone(), step(module.clone()));
        async move { runner.run(step).await }
    };
    // Polled in order: one runs, one waits, one is too many.
    let (first, second, third) = tokio::join!(run(&runner), run(&runner), run(&runner));
    assert!(matches!(first, Outcome::Inconclusive { resource: Resource::Deadline, .. }), "{first:?}");
    assert!(matches!(second, Outcome::Inconclusive { resource: Resource::Deadline, .. }), "{second:?}");
    assert_eq!(third, Outcome::NotRun(Refusal::Busy));
    assert!(matches!(runner.run(step(guest("echo"))).await, Outcome::Done { .. }));
    let counts = runner.counts();
    assert_eq!((counts.done, counts.inconclusive, counts.not_run), (1, 2, 1));
}

#[tokio::test]
async fn a_child_has_nothing_of_its_parent_s() {
    // A descriptor that is not closed on exec, and a variable in the environment.
    let file = std::fs::File::open("/proc/self/status").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let limits = Limits { fuel: u64::MAX / 4, deadline_ms: 5000, ..small() };
    let runner = start(Options { limits, pool_size: 1, ..options() }).await;
    let known: Vec<u32> = children();
    assert!(!known.is_empty());
    if !crate::support::is_root() {
        eprintln!("SKIPPED: a process that is not dumpable is looked into by root only");
        return;
    }
    let mut seen = 0;
    for id in known {
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).map(|dir| dir.flatten().count());
        let environment = std::fs::read(format!("/proc/{id}/environ"));
        let status = std::fs::read_to_string(format!("/proc/{id}/status"));
        let (Ok(open), Ok(environment), Ok(status)) = (open, environment, status) else { continue };
        let has =
            |line: &str| status.lines().any(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        // A child that is still on its way is not looked at; all that wait are ready.
        if has("Seccomp: 2") {
            assert_eq!((open, environment.as_slice()), (3, &b""[..]));
            assert!(
                has("Uid: 65534 65534 65534 65534")
                    && has("Gid: 65534 65534 65534 65534")
                    && has("NoNewPrivs: 1"),
                "{status}"
            );
            assert!(has("CapEff: 0000000000000000") && has("Groups:"), "{status}");
            // Where memory runs out it goes before its node.
            assert_eq!(std::fs::read_to_string(format!("/proc/{id}/oom_score_adj")).unwrap(), "1000\n");
            seen += 1;
        }
    }
    assert!(seen > 0);
    drop(runner);
}

#[tokio::test]
async fn the_program_of_the_house_takes_no_wall_away() {
    // The binary that calls `child_if_asked` alone is artel itself; its refusal is tested with it. Here: the test's own program
    // does take them away, or none of the tests of walls means anything.
    let bare = artel_runner::testing::with_walls(options(), Walls::NONE, Walls::NONE);
    let runner = start(bare).await;
    assert_eq!(runner.walls(), Walls::NONE);
    let SelfTest { tried, .. } = runner.self_test([Attempt::OpenFile, Attempt::Socket]).await.unwrap();
    assert_eq!(tried, [(Attempt::OpenFile, Tried::Passed), (Attempt::Socket, Tried::Passed)]);
    assert!(Walls::ALL.has(Wall::Seccomp) && child().exists());
}
