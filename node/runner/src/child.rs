//! The child's life: it is this same program, started anew with one hidden argument, takes one boot message and its orders on
//! standard input, puts its walls up in between, answers on standard output, and ends.
//!
//! It is never trusted by its parent, and trusts its parent wholly.

use crate::engine::{For, engine, profile};
use crate::guest::{End, Input, Machine, Report};
use crate::limits::STDIN_BYTES_MAX;
use crate::message::{
    BOOT_BYTES_MAX, Boot, LOADED, Mode, ORDER_BYTES_MAX, Order, Ready, encode_compiled, encode_number,
};
use crate::outcome::WallMissing;
use crate::sys;
use crate::walls::{Builder, Purpose, Walls, blind, close_inherited, offer_to_oom_killer};
use crate::wire::{HEAD_BYTES, announced};
use artel_protocol::id::Digest;
use std::io::Read as _;

/// The hidden argument.
pub(crate) const ARGUMENT: &str = "artel-runner-child";

/// How a child ends when its parent spoke nonsense, or went away.
const STATUS_NONSENSE: i32 = 3;
/// How it ends after a panic.
const STATUS_PANIC: i32 = 101;

/// Whether this process was started as a child.
pub(crate) fn is_asked() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments.next().is_some_and(|argument| argument == ARGUMENT) && arguments.next().is_none()
}

/// Whose word the child takes about its walls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// All walls go up, whatever the boot message says.
    AllWalls,
    /// Tests may leave walls out.
    Tests,
}

/// Lives and ends.
pub(crate) fn live(trust: Trust) -> ! {
    // A message on standard error would be a forbidden call, and nobody reads it.
    std::panic::set_hook(Box::new(|_| sys::exit(STATUS_PANIC)));
    close_inherited();
    offer_to_oom_killer();
    let Some(boot) = receive(BOOT_BYTES_MAX).and_then(|bytes| Boot::decode(&bytes).ok()) else {
        sys::exit(STATUS_NONSENSE)
    };
    if trust == Trust::AllWalls && (boot.wanted != Walls::ALL || !boot.blind.is_empty()) {
        sys::exit(STATUS_NONSENSE)
    }
    if blind(boot.blind).is_err() {
        sys::exit(STATUS_NONSENSE)
    }
    match boot.mode {
        Mode::Compile => compile(&boot),
        Mode::Run => run(&boot),
        Mode::Try(attempt) => {
            let mut walls = Builder::new(boot.wanted, boot.required, Purpose::Run);
            let first = walls.raise_first(&boot.limits, boot.cpu_s);
            ready(first.and_then(|()| walls.raise_last()), Digest::default());
            let errno = sys::attempt(attempt, boot.parent as i32);
            send(&encode_number(errno as u64));
        }
    }
    sys::exit(0)
}

fn compile(boot: &Boot) {
    let mut walls = Builder::new(boot.wanted, boot.required, Purpose::Compile);
    raise_first(&mut walls, boot);
    let engine = engine(For::Compiling).unwrap_or_else(|error| broken(&error));
    if !sys::heed_parent(boot.parent) {
        fail(Ready::Broken("no signal handler".to_owned()));
    }
    sys::begin_ticks();
    ready(walls.raise_last(), profile(&engine, &boot.limits));
    let Order::Take { bytes } = await_order() else { sys::exit(STATUS_NONSENSE) };
    let compiled = engine.precompile_module(&await_bytes(bytes, boot.limits.module_bytes));
    match compiled {
        Ok(code) if code.len() as u64 > boot.limits.code_bytes => {
            send(&encode_compiled(Err("its code is too large")));
        }
        Ok(code) => {
            send(&encode_compiled(Ok(code.len() as u64)));
            send(&code);
        }
        Err(error) => send(&encode_compiled(Err(&format!("{error:#}")))),
    }
}

fn run(boot: &Boot) {
    let mut walls = Builder::new(boot.wanted, boot.required, Purpose::Run);
    raise_first(&mut walls, boot);
    let machine = Machine::new().unwrap_or_else(|error| broken(&error));
    if !sys::heed_parent(boot.parent) || !sys::time_moves_epoch(&machine.engine) {
        fail(Ready::Broken("no signal handler".to_owned()));
    }
    // The first run of anything pays for memory that the next one finds; so that is not a guest's.
    let input =
        Input { stdin: b"{}".to_vec(), files: vec![("a".to_owned(), b"a".to_vec())], deadline_ms: 60_000 };
    let primed = machine.load(&boot.prime).map_or_else(
        |report| report.end,
        |loaded| machine.run(&loaded, input, &boot.limits, |said| said.end),
    );
    if !matches!(primed, End::Done { .. }) {
        fail(Ready::Broken(format!("the priming module ended with {primed:?}")));
    }
    ready(walls.raise_last(), Digest::default());
    let Order::Take { bytes } = await_order() else { sys::exit(STATUS_NONSENSE) };
    let loaded = machine.load(&await_bytes(bytes, boot.limits.code_bytes));
    send(&encode_number(LOADED));
    let Order::Run { stdin_bytes, files, deadline_ms } = await_order() else { sys::exit(STATUS_NONSENSE) };
    let stdin = await_bytes(stdin_bytes, STDIN_BYTES_MAX as u64);
    let files = files.into_iter().map(|(name, bytes)| (name, await_bytes(bytes, boot.limits.artifact_bytes)));
    let input = Input { stdin, files: files.collect(), deadline_ms };
    match loaded {
        Ok(loaded) => machine.run(&loaded, input, &boot.limits, |report| answer(&report)),
        Err(report) => answer(&report),
    }
}

/// Answers and ends; the kernel takes down what is left.
fn answer(report: &Report) -> ! {
    send(&report.encode());
    if let End::Done { artifacts, .. } = &report.end {
        artifacts.iter().for_each(|artifact| send(&artifact.bytes));
    }
    sys::exit(0)
}

fn raise_first(walls: &mut Builder, boot: &Boot) {
    if let Err(missing) = walls.raise_first(&boot.limits, boot.cpu_s) {
        fail(Ready::Missing(missing));
    }
}

/// Tells the parent how the walls stand, and goes no further when one is missing.
fn ready(walls: Result<Walls, WallMissing>, profile: Digest) {
    match walls {
        Ok(walls) => send(&Ready::Up { walls, profile }.encode()),
        Err(missing) => fail(Ready::Missing(missing)),
    }
}

fn broken(error: &wasmtime::Error) -> ! {
    fail(Ready::Broken(error.to_string()))
}

fn fail(ready: Ready) -> ! {
    send(&ready.encode());
    sys::exit(0)
}

// A parent that goes away closes the pipe: there is nothing to do any more.

fn await_order() -> Order {
    let order = receive(ORDER_BYTES_MAX).and_then(|message| Order::decode(&message).ok());
    order.unwrap_or_else(|| sys::exit(STATUS_NONSENSE))
}

fn await_bytes(count: u64, max: u64) -> Vec<u8> {
    let bytes = if count <= max { receive_bytes(count) } else { None };
    bytes.unwrap_or_else(|| sys::exit(STATUS_NONSENSE))
}

fn receive(max: u64) -> Option<Vec<u8>> {
    let mut head = [0; HEAD_BYTES];
    std::io::stdin().lock().read_exact(&mut head).ok()?;
    receive_bytes(announced(head, max).ok()? as u64)
}

/// Reads as many bytes into memory of just that size.
fn receive_bytes(count: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(count).ok()?);
    std::io::stdin().lock().take(count).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == count).then_some(bytes)
}

fn send(mut rest: &[u8]) {
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(count) => rest = &rest[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => sys::exit(STATUS_NONSENSE),
        }
    }
}
