//! Real programs: what clang and wasi-libc make of C.

use crate::support::{guest, is_root, options, settled, start, step};
use artel_runner::{Fault, Given, Limits, Outcome, Step};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn given(name: &str, bytes: &[u8]) -> Given {
    Given { name: name.to_owned(), bytes: bytes.into() }
}

#[tokio::test]
async fn a_program_reads_its_input_and_puts_out_json() {
    let runner = start(options()).await;
    let mut echo = Step::new(guest("echo"), r#"{"n":[1,2.50]}"#);
    echo.needs.insert("before".into(), "\"x\"".into());
    let Outcome::Done { output, artifacts, log, spent } = runner.run(echo).await else { panic!("not done") };
    assert_eq!(output, r#"{"got":{"input":{"n":[1,2.50]},"needs":{"before":"x"},"artifacts":{}}}"#);
    assert_eq!(artifacts, []);
    assert_eq!(log.text(), "step with 1 argument read 62 bytes\n");
    assert!(spent.fuel > 1000 && spent.cpu_us > 0 && spent.start_us > 0, "{spent:?}");

    let failing = runner.run(Step::new(guest("echo"), "\"fail\"")).await;
    let Outcome::Failed { fault, log, .. } = failing else { panic!("{failing:?}") };
    assert_eq!(fault, Fault::Exit(7));
    assert!(log.text().ends_with("asked to fail\n"));
}

#[tokio::test]
async fn every_file_function_that_c_has_does_what_it_should() {
    let runner = start(options()).await;
    let mut files = step(guest("files"));
    files.artifacts = vec![given("empty", b""), given("data.txt", b"0123456789")];
    let outcome = runner.run(files).await;
    let Outcome::Done { output, artifacts, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(output, "{\"checked\":74}");
    let left: Vec<_> = artifacts.iter().map(|a| (a.name.as_str(), a.bytes.as_slice())).collect();
    assert_eq!(left, [("a.txt", &b"hello; world!"[..]), ("a2", b"of d")]);
}

/// What `repeats` puts out on every machine: NaNs canonical, the fixed time, the documented stream of chance.
const REPEATS: &str = r#""realtime":946684800,"monotonic":946684800,"chance":"CHANCE","malloc":"#;

#[tokio::test]
async fn a_step_repeats_bit_for_bit_in_other_processes_and_another_engine() {
    let first = start(options()).await;
    let second = start(options()).await;
    assert_eq!(first.profile(), second.profile());
    let mut seen = Vec::new();
    for runner in [&first, &first, &second] {
        seen.push(settled(runner.run(step(guest("repeats"))).await));
    }
    let Outcome::Done { output, .. } = &seen[0] else { panic!("{:?}", seen[0]) };
    assert!(output.contains("\"nan\":\"7ff8000000000000\""), "{output}");
    assert!(output.contains("\"path\":null,\"argc\":1,\"argv0\":\"step\""), "{output}");
    // SHA-256 of "artel-runner random 1" and eight zero bytes begins so, read as a little-endian number.
    let block = artel_protocol::id::Digest::of(b"artel-runner random 1\0\0\0\0\0\0\0\0");
    let chance = u64::from_le_bytes(block.0[..8].try_into().unwrap());
    assert!(output.contains(&REPEATS.replace("CHANCE", &format!("{chance:016x}"))), "{output}");
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[tokio::test]
async fn compiled_code_is_found_on_disk_and_made_anew_when_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let with_cache = || artel_runner::Options { cache_dir: Some(dir.path().join("code")), ..options() };
    let code_file = || {
        let mut files: Vec<_> =
            std::fs::read_dir(dir.path().join("code")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        files.pop().unwrap()
    };
    let mut seen = Vec::new();
    for (compiled, damage) in [(1, false), (0, false), (1, true), (0, false)] {
        if damage {
            let mut bytes = std::fs::read(code_file()).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(code_file(), bytes).unwrap();
        }
        let runner = start(with_cache()).await;
        seen.push(settled(runner.run(step(guest("echo"))).await));
        assert_eq!(runner.counts().compiled, compiled);
        runner.run(step(guest("echo"))).await;
        assert_eq!(runner.counts().compiled, compiled, "the second time it is in memory");
    }
    assert!(
        seen.iter().all(|outcome| *outcome == seen[0] && matches!(outcome, Outcome::Done { .. })),
        "{seen:?}"
    );
    // Code for other limits is other code.
    let other =
        artel_runner::Options { limits: Limits { fuel: 1 << 30, ..Limits::default() }, ..with_cache() };
    let runner = start(other).await;
    runner.run(step(guest("echo"))).await;
    assert_eq!(runner.counts().compiled, 1);
}

/// The whole of this file and of `walls`, once more as another user. The files of that user are copies that it may read.
#[test]
fn all_of_this_works_as_an_unprivileged_user() {
    if !is_root() {
        eprintln!("SKIPPED: becoming another user needs root; these tests have just run as this one");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (tests, child) = (dir.path().join("tests"), dir.path().join("child"));
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    std::fs::copy(crate::support::child(), &child).unwrap();
    let output = Command::new(&tests)
        .args(["--test-threads", "2", "--nocapture", "--skip", "all_of_this", "--skip", "hostile"])
        .env("ARTEL_TEST_CHILD", &child)
        .current_dir("/")
        .uid(54321)
        .gid(54321)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("guests::a_step_repeats_bit_for_bit") && said.contains("walls::"), "{said}");
}

/// Root and another user see the same bytes: the digest of an outcome is handed from one to the other by this test's parent.
#[tokio::test]
async fn another_user_sees_the_same_bytes() {
    let runner = start(options()).await;
    let mine = format!("{:?}", settled(runner.run(step(guest("repeats"))).await));
    if let Some(file) = std::env::var_os("ARTEL_TEST_SAME") {
        assert_eq!(std::fs::read_to_string(file).unwrap(), mine);
        return;
    }
    if !is_root() {
        eprintln!("SKIPPED: becoming another user needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let [tests, child, same] = ["tests", "child", "same"].map(|name| dir.path().join(name));
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    std::fs::copy(crate::support::child(), &child).unwrap();
    std::fs::write(&same, &mine).unwrap();
    let status = Command::new(&tests)
        .args(["--exact", "guests::another_user_sees_the_same_bytes"])
        .env("ARTEL_TEST_CHILD", &child)
        .env("ARTEL_TEST_SAME", &same)
        .current_dir("/")
        .uid(54321)
        .gid(54321)
        .status()
        .unwrap();
    assert!(status.success());
}
