//! Each wall matters: with all of them every attempt is stopped, and without one of them something gets through that it stops.

use crate::support::{guest, is_root, options, start, start_failing, step};
use artel_runner::{
    Attempt, Death, Error, Options, Outcome, Runner, Tried, Wall, WallMissing, Walls, testing,
};
use std::collections::BTreeMap;

async fn tried(walls: Walls) -> BTreeMap<Attempt, Tried> {
    let runner = start(testing::with_walls(options(), walls, Walls::NONE)).await;
    let seen = runner.self_test(Attempt::ALL).await.expect("the self-test runs");
    assert_eq!(seen.walls, walls);
    seen.tried.into_iter().collect()
}

fn passed(tried: &BTreeMap<Attempt, Tried>) -> Vec<Attempt> {
    tried.iter().filter(|(_, how)| !how.is_stopped()).map(|(attempt, _)| *attempt).collect()
}

const SIGSYS: Tried = Tried::Killed(Death::Signal(31));
const SIGKILL: Tried = Tried::Killed(Death::Signal(9));

#[tokio::test]
async fn with_all_walls_everything_forbidden_is_stopped() {
    let seen = tried(Walls::ALL).await;
    for (attempt, how) in &seen {
        let wanted = match attempt {
            Attempt::MapMuch | Attempt::TakeMemory => Tried::Refused(rustix::io::Errno::NOMEM.raw_os_error()),
            Attempt::Spin => SIGKILL,
            _ => SIGSYS,
        };
        assert_eq!(*how, wanted, "{attempt}");
    }
    assert_eq!(seen.len(), Attempt::ALL.len());
}

#[tokio::test]
async fn without_system_call_filter_much_gets_through() {
    let seen = tried(Walls::ALL.without(Wall::Seccomp)).await;
    let passed = passed(&seen);
    eprintln!("without seccomp: {seen:?}");
    for attempt in [
        Attempt::StatFile,
        Attempt::Socket,
        Attempt::SendDatagram,
        Attempt::WritableCode,
        Attempt::WriteElsewhere,
    ] {
        assert!(passed.contains(&attempt), "{attempt}: {:?}", seen[&attempt]);
    }
    // Landlock stands behind it, and the resource limits.
    for attempt in [
        Attempt::OpenFile,
        Attempt::CreateFile,
        Attempt::Execute,
        Attempt::Connect,
        Attempt::ManyFiles,
        Attempt::Fork,
    ] {
        assert!(matches!(seen[&attempt], Tried::Refused(_)), "{attempt}: {:?}", seen[&attempt]);
    }
}

#[tokio::test]
async fn landlock_matters_where_the_filter_does_not_stand() {
    let with = tried(Walls::NONE.with(Wall::NoNewPrivs).with(Wall::Landlock)).await;
    let without = tried(Walls::NONE.with(Wall::NoNewPrivs)).await;
    for attempt in [
        Attempt::OpenFile,
        Attempt::CreateFile,
        Attempt::Execute,
        Attempt::Connect,
        Attempt::SignalParent,
        Attempt::ReadParent,
    ] {
        assert!(matches!(with[&attempt], Tried::Refused(_)), "{attempt}: {:?}", with[&attempt]);
        if attempt == Attempt::ReadParent && !is_root() {
            // Another protection of the kernel may refuse it as well.
            continue;
        }
        assert_eq!(without[&attempt], Tried::Passed, "{attempt}");
    }
}

#[tokio::test]
async fn without_resource_limits_nothing_bounds_memory_and_cpu() {
    let seen = tried_quick(Walls::ALL.without(Wall::Rlimits)).await;
    assert_eq!(passed(&seen), [Attempt::MapMuch, Attempt::TakeMemory]);
    let alone = tried(Walls::NONE.with(Wall::Rlimits)).await;
    for attempt in [Attempt::MapMuch, Attempt::TakeMemory, Attempt::ManyFiles, Attempt::Spin] {
        assert!(alone[&attempt].is_stopped(), "{attempt}: {:?}", alone[&attempt]);
    }
    // For root the number of processes is no limit: that is why nothing runs as root.
    assert_eq!(alone[&Attempt::Fork].is_stopped(), !is_root());
}

/// All but spinning, which nothing would stop.
async fn tried_quick(walls: Walls) -> BTreeMap<Attempt, Tried> {
    let runner = start(testing::with_walls(options(), walls, Walls::NONE)).await;
    runner.self_test(Attempt::quick()).await.expect("the self-test runs").tried.into_iter().collect()
}

#[tokio::test]
async fn a_user_of_its_own_matters_where_nothing_else_stands() {
    if !is_root() {
        eprintln!("SKIPPED: only a process that was root can become another user");
        return;
    }
    let with = tried_quick(Walls::NONE.with(Wall::User)).await;
    let without = tried_quick(Walls::NONE).await;
    for attempt in [Attempt::SignalParent, Attempt::ReadParent] {
        assert!(matches!(with[&attempt], Tried::Refused(_)), "{attempt}: {:?}", with[&attempt]);
        assert_eq!(without[&attempt], Tried::Passed, "{attempt}");
    }
    let seen = tried_quick(Walls::NONE.with(Wall::User).with(Wall::Rlimits)).await;
    assert!(seen[&Attempt::Fork].is_stopped(), "who is not root has a bounded number of processes");
}

#[tokio::test]
async fn without_no_new_privs_landlock_does_not_go_up() {
    let lacking = testing::with_walls(
        options(),
        Walls::ALL.without(Wall::NoNewPrivs).without(Wall::Seccomp),
        Walls::NONE,
    );
    let error = start_failing(lacking).await;
    assert!(matches!(&error, Error::Wall(WallMissing { wall: Wall::Landlock, .. })), "{error:?}");
}

#[tokio::test]
async fn a_wall_that_the_kernel_lacks_is_named_and_nothing_runs() {
    for wall in [Wall::Landlock, Wall::Seccomp, Wall::Rlimits] {
        let blind = testing::with_walls(options(), Walls::ALL, Walls::NONE.with(wall));
        let error = start_failing(blind.clone()).await;
        assert!(matches!(&error, Error::Wall(missing) if missing.wall == wall), "{wall}: {error:?}");
        assert!(error.to_string().starts_with(&format!("the {wall} wall is missing here: ")), "{error}");

        // Whoever does not ask for it goes without, and is told what stands.
        let without = Options { walls_required: Walls::ALL.without(wall), self_test: true, ..blind };
        let runner = start(without).await;
        assert_eq!(runner.walls(), Walls::ALL.without(wall));
        assert!(matches!(runner.run(step(guest("echo"))).await, Outcome::Done { .. }));
    }
}

#[tokio::test]
async fn the_start_tries_the_walls_and_a_breach_is_seen() {
    let runner = Runner::start(Options { self_test: true, ..options() }).await.expect("the walls hold");
    assert_eq!(runner.walls(), Walls::ALL);
    let mut seen = runner.self_test([Attempt::OpenFile, Attempt::MapMuch]).await.expect("it runs");
    assert_eq!(seen.breaches().count(), 0);
    seen.tried[0].1 = Tried::Passed;
    seen.tried[1].1 = Tried::Hung;
    assert_eq!(seen.breaches().collect::<Vec<_>>(), [Attempt::OpenFile, Attempt::MapMuch]);
    // What no wall that stands should stop is no breach.
    seen.walls = Walls::NONE.with(Wall::Landlock);
    assert_eq!(seen.breaches().collect::<Vec<_>>(), [Attempt::OpenFile]);
}
