//! Guests that mean harm, or are broken. Each gets its outcome, and the next honest one is served.

use crate::support::{body, guest, options, small, start, step, wat};
use artel_runner::{Fault, Limits, Module, Options, Outcome, Refusal, Resource, Runner, TrapKind};
use std::sync::atomic::{AtomicBool, Ordering};

async fn run(runner: &Runner, module: Module) -> Outcome {
    let outcome = runner.run(step(module)).await;
    let honest = runner.run(step(body("(call $done)"))).await;
    assert!(matches!(honest, Outcome::Done { .. }), "the next one: {honest:?}");
    outcome
}

async fn failed(runner: &Runner, module: Module) -> Fault {
    match run(runner, module).await {
        Outcome::Failed { fault, .. } => fault,
        other => panic!("{other:?}"),
    }
}

async fn inconclusive(runner: &Runner, module: Module) -> Resource {
    match run(runner, module).await {
        Outcome::Inconclusive { resource, .. } => resource,
        other => panic!("{other:?}"),
    }
}

async fn refused(runner: &Runner, module: Module) -> String {
    match run(runner, module).await {
        Outcome::NotRun(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn with(limits: Limits) -> Runner {
    start(Options { limits, ..options() }).await
}

#[tokio::test]
async fn what_is_no_module_that_may_run_is_refused() {
    let runner = with(Limits { module_bytes: 100_000, ..small() }).await;
    let text = |bytes: &[u8]| Module::new(bytes.to_vec());
    for (module, wanted) in [
        (text(b""), "the module was refused"),
        (text(b"not wasm at all"), "the module was refused"),
        (text(b"\0asm\x01\0\0\0\xff\xff\xff"), "the module was refused"),
        // A component, and one that is cut off.
        (text(b"\0asm\x0d\0\x01\0"), "the module was refused"),
        (text(&guest("echo").bytes()[..20_000]), "the module was refused"),
        (Module::new(vec![0; 100_001]), "the module has 100001 bytes, at most 100000 are taken"),
        (wat("(module)"), "no function _start"),
        (wat("(module (func (export \"_start\") (param i32)))"), "no function _start"),
        (wat("(module (memory (export \"_start\") 1))"), "no function _start"),
        (
            wat("(module (import \"env\" \"system\" (func)) (func (export \"_start\")))"),
            "it imports \"env.system\"",
        ),
        (
            wat("(module (import \"wasi_unstable\" \"fd_write\" (func)) (func (export \"_start\")))"),
            "it imports \"wasi_unstable.fd_write\"",
        ),
        (
            wat(
                "(module (import \"wasi_snapshot_preview1\" \"fd_open_all\" (func)) (func (export \"_start\")))",
            ),
            "fd_open_all",
        ),
        (
            wat(
                "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i64))) (func (export \"_start\")))",
            ),
            "incompatible import type",
        ),
        (wat("(module (memory 1) (memory 1) (func (export \"_start\")))"), "multiple memories"),
        (wat("(module (memory 1 1 shared) (func (export \"_start\")))"), "threads"),
        (wat(&format!("(module {} (func (export \"_start\")))", "(table 1 funcref)".repeat(5))), "tables"),
    ] {
        let why = refused(&runner, module.clone()).await;
        assert!(why.contains(wanted), "{why:?} does not say {wanted:?}");
        let compiled = runner.counts().compiled;
        assert_eq!(refused(&runner, module).await, why);
        assert_eq!(runner.counts().compiled, compiled, "what was refused is not compiled again");
    }
}

#[tokio::test]
async fn a_trap_is_the_guest_s_fault() {
    let runner = with(small()).await;
    for (code, wanted) in [
        ("unreachable", TrapKind::Unreachable),
        ("(drop (i32.load (i32.const 65536)))", TrapKind::MemoryOutOfBounds),
        ("(i32.store (i32.const -1) (i32.const 0))", TrapKind::MemoryOutOfBounds),
        ("(memory.fill (i32.const 1) (i32.const 0) (i32.const 65536))", TrapKind::MemoryOutOfBounds),
        ("(call_indirect (i32.const 7))", TrapKind::TableOutOfBounds),
        ("(call_indirect (i32.const 0))", TrapKind::IndirectCallToNull),
        (
            "(table.set (i32.const 0) (ref.func $recurse)) (call_indirect (i32.const 0))",
            TrapKind::BadSignature,
        ),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", TrapKind::IntegerDivisionByZero),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", TrapKind::IntegerOverflow),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", TrapKind::BadConversionToInteger),
    ] {
        assert_eq!(failed(&runner, declared(code)).await, Fault::Trap(wanted), "{code}");
    }
    assert_eq!(failed(&runner, body("(call $done) (call $exit (i32.const 3))")).await, Fault::Exit(3));
    assert_eq!(failed(&runner, body("")).await, Fault::OutputNotJson);
    assert_eq!(failed(&runner, body("(call $done) (call $done)")).await, Fault::OutputNotJson);
    // A clean exit in the middle is a clean exit; and a trap in a start function is the guest's as well.
    let exits = body("(call $done) (call $exit (i32.const 0)) unreachable");
    assert!(matches!(run(&runner, exits).await, Outcome::Done { output, .. } if output == "[]"));
    let starts = wat("(module (func $s unreachable) (start $s) (func (export \"_start\")))");
    assert_eq!(failed(&runner, starts).await, Fault::Trap(TrapKind::Unreachable));
}

/// As [`body`], with `$recurse` declared as a function that may be referred to.
fn declared(code: &str) -> Module {
    let text = format!(
        "(module (memory (export \"memory\") 1) (table 1 funcref) (func $recurse (param i64)) (elem declare func $recurse)
         (func (export \"_start\") {code}))"
    );
    wat(&text)
}

#[tokio::test]
async fn an_endless_loop_ends_by_fuel_or_by_the_deadline() {
    let runner = with(small()).await;
    let endless = || body("(loop $l (br $l))");
    assert_eq!(inconclusive(&runner, endless()).await, Resource::Fuel);
    // A host call costs fuel too, however little the guest does for it.
    let calls = body(
        "(loop $l (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))) (br $l))",
    );
    assert_eq!(inconclusive(&runner, calls).await, Resource::Fuel);

    let unmetered = with(Limits { fuel: u64::MAX / 4, deadline_ms: 100, ..small() }).await;
    let begun = std::time::Instant::now();
    assert_eq!(inconclusive(&unmetered, endless()).await, Resource::Deadline);
    let mut sooner = step(endless());
    sooner.deadline_ms = Some(20);
    let outcome = unmetered.run(sooner).await;
    // A guest that the parent had to kill would have nothing to say of itself.
    assert!(
        matches!(outcome, Outcome::Inconclusive { resource: Resource::Deadline, spent, .. } if spent.cpu_us > 0),
        "{outcome:?}"
    );
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_is_cpu_and_a_machine_under_load_comes_to_the_same_end() {
    let runner = with(Limits { fuel: u64::MAX / 4, ..small() }).await;
    let work = body(
        "(local i64) (loop $l (local.set 0 (i64.add (local.get 0) (i64.const 1)))
         (br_if $l (i64.lt_u (local.get 0) (i64.const 200000000)))) (call $done)",
    );
    let alone = match run(&runner, work.clone()).await {
        Outcome::Done { spent, .. } => spent.cpu_us / 1000,
        other => panic!("{other:?}"),
    };
    let mut again = step(work);
    again.deadline_ms = Some(alone * 3 + 20);
    // Beside so many that its share of the machine is a ninth.
    let stop = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().unwrap().get();
    let outcome = std::thread::scope(|threads| {
        for _ in 0..8 * cores {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let outcome =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(runner.run(again)));
        stop.store(true, Ordering::Relaxed);
        outcome
    });
    assert!(matches!(outcome, Outcome::Done { .. }), "alone {alone} ms: {outcome:?}");
}

#[tokio::test]
async fn a_guest_stops_itself_when_its_time_by_the_clock_is_up() {
    let runner = with(Limits { fuel: u64::MAX / 4, wall_ms: 200, ..small() }).await;
    let outcome = run(&runner, body("(loop $l (br $l))")).await;
    assert!(
        matches!(outcome, Outcome::Inconclusive { resource: Resource::Deadline, spent, .. } if spent.cpu_us > 0),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn json_that_two_readers_would_read_differently_is_no_output() {
    let runner = with(small()).await;
    let puts_out = |text: &str| {
        let (length, text) = (text.len(), text.replace('"', "\\22"));
        wat(&format!(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 1)
                (data (i32.const 16) "{text}")
                (func (export "_start")
                    (i32.store (i32.const 0) (i32.const 16))
                    (i32.store (i32.const 4) (i32.const {length}))
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
        ))
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for text in [r#"{"a":1,"b":2}"#, &nested(63)] {
        assert!(matches!(run(&runner, puts_out(text)).await, Outcome::Done { .. }), "{text}");
    }
    for text in [r#"{"a":1,"a":2}"#, &nested(64)] {
        assert_eq!(failed(&runner, puts_out(text)).await, Fault::OutputNotJson, "{text}");
    }
}

#[tokio::test]
async fn recursion_memory_and_tables_end_at_their_limits() {
    let runner = with(small()).await;
    assert_eq!(inconclusive(&runner, body("(drop (call $recurse (i64.const 0)))")).await, Resource::Stack);
    // 16 MiB are 256 pages; one page is there.
    let grow = |pages: u32| body(&format!("(drop (memory.grow (i32.const {pages}))) (call $done)"));
    assert!(matches!(run(&runner, grow(255)).await, Outcome::Done { .. }));
    assert_eq!(inconclusive(&runner, grow(256)).await, Resource::Memory);
    // What no memory can be is no, on every node.
    assert!(matches!(run(&runner, grow(65_536)).await, Outcome::Done { .. }));
    let own = wat("(module (memory (export \"memory\") 1 2) (func (export \"_start\")
            (if (i32.ne (memory.grow (i32.const 300)) (i32.const -1)) (then unreachable))))");
    assert_eq!(failed(&runner, own).await, Fault::OutputNotJson);
    let big = wat("(module (memory (export \"memory\") 257) (func (export \"_start\")))");
    assert_eq!(inconclusive(&runner, big).await, Resource::Memory);
    let by_steps = body("(loop $l (drop (memory.grow (i32.const 1))) (br $l))");
    assert_eq!(inconclusive(&runner, by_steps).await, Resource::Memory);

    let table = |elements: u32| {
        body(&format!("(drop (table.grow $t (ref.null func) (i32.const {elements}))) (call $done)"))
    };
    assert!(matches!(run(&runner, table(999)).await, Outcome::Done { .. }));
    assert_eq!(inconclusive(&runner, table(1000)).await, Resource::Table);
    let big = wat("(module (table 1001 funcref) (func (export \"_start\")))");
    assert_eq!(inconclusive(&runner, big).await, Resource::Table);
}

#[tokio::test]
async fn memory_up_to_the_limit_can_be_used() {
    let limits = Limits::default();
    let pages = limits.memory_bytes / 65_536 - 1;
    let runner = with(limits).await;
    let all = body(&format!(
        "(drop (memory.grow (i32.const {pages})))
         (memory.fill (i32.const 65536) (i32.const 7) (i32.const {}))
         (call $done)",
        pages * 65_536
    ));
    let outcome = run(&runner, all).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_compile_bomb_ends_the_compiler_and_not_the_node() {
    let limits = Limits { compile_cpu_s: 1, compile_memory_bytes: 64 << 20, ..small() };
    let runner = with(Limits { module_bytes: 4 << 20, ..limits }).await;
    // One function of much code: cost grows faster than its size.
    let code = "(local.set 0 (i32.add (local.get 0) (i32.load (local.get 0))))".repeat(400_000);
    let wide = wat(&format!("(module (memory 1) (func (export \"_start\") (local i32) {code}))"));
    let why = refused(&runner, wide.clone()).await;
    assert!(why.contains("could not be compiled within its limits"), "{why}");
    let compiled = runner.counts().compiled;
    assert_eq!(refused(&runner, wide.clone()).await, why);
    assert_eq!(runner.counts().compiled, compiled, "a bomb goes off once");

    let impatient = with(Limits { compile_ms: 1, module_bytes: 4 << 20, ..small() }).await;
    let outcome = impatient.run(step(wide)).await;
    assert_eq!(outcome, Outcome::NotRun(Refusal::Compile("it took too long".to_owned())));
}

#[tokio::test]
async fn floods_are_cut() {
    let runner =
        with(Limits { log_bytes: 10, output_bytes: 10, out_bytes: 100, out_files: 3, ..small() }).await;
    let flood = |fd: u32, times: u32, then: &str| {
        body(&format!(
            "(local i32) (loop $l (drop (call $write (i32.const {fd}) (i32.const 0) (i32.const 1) (i32.const 8)))
             (local.set 0 (i32.add (local.get 0) (i32.const 1)))
             (br_if $l (i32.lt_u (local.get 0) (i32.const {times})))) {then}"
        ))
    };
    assert_eq!(failed(&runner, flood(1, 6, "")).await, Fault::OutputTooLarge);
    match run(&runner, flood(2, 7, "(call $done)")).await {
        Outcome::Done { log, .. } => assert_eq!(log.text(), "[][][][][]\n[4 more bytes were dropped]\n"),
        other => panic!("{other:?}"),
    }
    assert_eq!(failed(&runner, files(3, 30)).await, Fault::OutputNotJson);
    assert_eq!(failed(&runner, files(4, 1)).await, Fault::OutTooLarge);
    assert_eq!(failed(&runner, files(2, 51)).await, Fault::OutTooLarge);
    // A hole is as large as what it is a hole in.
    assert_eq!(failed(&runner, files(1, 1 << 40)).await, Fault::OutTooLarge);
}

/// Makes `count` files of `size` bytes in `out/`, by setting their size.
fn files(count: u32, size: u64) -> Module {
    wat(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $size (param i32 i64) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "out/0")
            (func (export "_start") (local i32)
                (loop $l
                    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 1)
                        (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))
                    (drop (call $size (i32.load (i32.const 8)) (i64.const {size})))
                    (i32.store8 (i32.const 20) (i32.add (i32.load8_u (i32.const 20)) (i32.const 1)))
                    (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                    (br_if $l (i32.lt_u (local.get 0) (i32.const {count})))))
        )"#
    ))
}
