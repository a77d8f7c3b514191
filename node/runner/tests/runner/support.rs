//! What the tests share.

use artel_runner::{Error, Limits, Module, Options, Outcome, Runner, Spent, Step};
use std::path::PathBuf;

/// The program that is started for each step. A test that runs as another user is told where it lies.
pub fn child() -> PathBuf {
    std::env::var_os("ARTEL_TEST_CHILD")
        .map_or_else(|| env!("CARGO_BIN_EXE_artel-runner-child").into(), PathBuf::from)
}

/// Options for tests: our child, no self-test.
pub fn options() -> Options {
    Options { program: Some(child()), self_test: false, ..Options::default() }
}

pub async fn start(options: Options) -> Runner {
    Runner::start(options).await.expect("the runner starts")
}

pub async fn start_failing(options: Options) -> Error {
    Runner::start(options).await.expect_err("the runner must not start")
}

/// A guest that clang made. The bytes are in the test, so that it can run anywhere.
pub fn guest(name: &str) -> Module {
    Module::new(match name {
        "echo" => &include_bytes!("../guests/echo.wasm")[..],
        "files" => &include_bytes!("../guests/files.wasm")[..],
        "repeats" => &include_bytes!("../guests/repeats.wasm")[..],
        _ => panic!("no guest {name}"),
    })
}

/// A guest by hand.
pub fn wat(text: &str) -> Module {
    Module::new(wat::parse_str(text).expect("text of a module"))
}

/// A guest by hand whose `_start` has this body, and all that it needs to put something out.
pub fn body(body: &str) -> Module {
    wat(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (table $t 1 funcref)
            (global $deep (mut i32) (i32.const 0))
            (data (i32.const 0) "\10\00\00\00\02\00\00\00")
            (data (i32.const 16) "[]")
            (func $done (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func $recurse (param i64) (result i64)
                (i64.add (local.get 0) (call $recurse (i64.add (local.get 0) (i64.const 1)))))
            (func (export "_start") {body}))"#
    ))
}

pub fn step(module: Module) -> Step {
    Step::new(module, "{}")
}

/// Limits under which a test does not take long.
pub fn small() -> Limits {
    Limits { fuel: 200_000_000, memory_bytes: 16 << 20, table_elements: 1000, ..Limits::default() }
}

/// An outcome without what differs from run to run.
pub fn settled(mut outcome: Outcome) -> Outcome {
    if let Outcome::Done { spent, .. } | Outcome::Failed { spent, .. } | Outcome::Inconclusive { spent, .. } =
        &mut outcome
    {
        *spent = Spent { cpu_us: 0, start_us: 0, ..*spent };
    }
    outcome
}

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").map(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0).unwrap()
}
