//! The child's life: it is this same program, started anew with one hidden argument, takes one boot message and one request on
//! standard input, puts its walls up in between, answers on standard output, and ends.
//!
//! It is never trusted by its parent, and trusts its parent wholly.

use crate::engine::profile;
use crate::guest::{Input, Machine};
use crate::message::{BOOT_BYTES_MAX, Boot, Mode, Ready, Request, encode_compiled};
use crate::outcome::WallMissing;
use crate::walls::{Builder, Purpose, Walls, blind, close_inherited};
use crate::wire::{HEAD_BYTES, announced, framed};
use crate::{Limits, sys};
use std::sync::Arc;

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
            ready(first.and_then(|()| walls.raise_last()), &boot.limits, None);
            let errno = sys::attempt(attempt, boot.parent as i32);
            send((errno as u64).to_le_bytes().to_vec());
        }
    }
    sys::exit(0)
}

fn compile(boot: &Boot) {
    let mut walls = Builder::new(boot.wanted, boot.required, Purpose::Compile);
    let machine = begin(&mut walls, boot);
    ready(walls.raise_last(), &boot.limits, Some(&machine));
    let module = await_request(boot.limits.module_bytes);
    let compiled = machine.engine.precompile_module(&module);
    let answer = match &compiled {
        Ok(code) if code.len() as u64 > boot.limits.code_bytes => Err("its code is too large".to_owned()),
        Ok(code) => Ok(code.as_slice()),
        Err(error) => Err(format!("{error:#}")),
    };
    send(encode_compiled(answer.as_ref().map(|code| *code).map_err(String::as_str)));
}

fn run(boot: &Boot) {
    let mut walls = Builder::new(boot.wanted, boot.required, Purpose::Run);
    let machine = begin(&mut walls, boot);
    if !sys::alarm_moves_epoch(&machine.engine) {
        fail(Ready::Broken("no signal handler".to_owned()));
    }
    // The first run of anything pays for memory that the next one finds; so that is not a guest's.
    let input = Input {
        stdin: b"{}".to_vec(),
        artifacts: vec![("a".to_owned(), Arc::from(&b"a"[..]))],
        deadline_ms: 60_000,
    };
    let primed = machine.run(&boot.prime, input, &boot.limits);
    if !matches!(primed.end, crate::guest::End::Done { .. }) {
        fail(Ready::Broken(format!("the priming module ended with {:?}", primed.end)));
    }
    ready(walls.raise_last(), &boot.limits, Some(&machine));
    let request = await_request(boot.limits.request_bytes_max());
    let Ok(request) = Request::decode(&request) else { sys::exit(STATUS_NONSENSE) };
    let input = Input {
        stdin: request.stdin,
        artifacts: request.artifacts.into_iter().map(|given| (given.name, given.bytes)).collect(),
        deadline_ms: request.deadline_ms,
    };
    send(machine.run(&request.code, input, &boot.limits).encode());
}

/// The first walls, and the engine under them.
fn begin(walls: &mut Builder, boot: &Boot) -> Machine {
    if let Err(missing) = walls.raise_first(&boot.limits, boot.cpu_s) {
        fail(Ready::Missing(missing));
    }
    Machine::new().unwrap_or_else(|error| fail(Ready::Broken(error.to_string())))
}

/// Tells the parent how the walls stand, and goes no further when one is missing.
fn ready(walls: Result<Walls, WallMissing>, limits: &Limits, machine: Option<&Machine>) {
    match walls {
        Ok(walls) => {
            let profile = machine.map(|machine| profile(&machine.engine, limits)).unwrap_or_default();
            send(Ready::Up { walls, profile }.encode());
        }
        Err(missing) => fail(Ready::Missing(missing)),
    }
}

fn fail(ready: Ready) -> ! {
    send(ready.encode());
    sys::exit(0)
}

fn await_request(max: u64) -> Vec<u8> {
    // A parent that goes away closes the pipe: there is nothing to do any more.
    receive(max).unwrap_or_else(|| sys::exit(STATUS_NONSENSE))
}

fn receive(max: u64) -> Option<Vec<u8>> {
    let mut head = [0; HEAD_BYTES];
    read_exact(&mut head)?;
    let mut message = vec![0; announced(head, max).ok()?];
    read_exact(&mut message)?;
    Some(message)
}

fn read_exact(mut into: &mut [u8]) -> Option<()> {
    while !into.is_empty() {
        match rustix::io::read(rustix::stdio::stdin(), &mut *into) {
            Ok(0) => return None,
            Ok(count) => into = &mut into[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(())
}

fn send(message: Vec<u8>) {
    let frame = framed(message);
    let mut rest = &frame[..];
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(count) => rest = &rest[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => sys::exit(STATUS_NONSENSE),
        }
    }
}
