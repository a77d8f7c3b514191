//! The few things that need `unsafe`: signals, timers, raw system calls, and code that was compiled by ourselves.
//! Nothing else of this crate may use it.
#![allow(unsafe_code)]

use crate::attempt::Attempt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use wasmtime::{Engine, Module};

/// How often a process at work looks whether its parent lives still, and whether its time by the clock is up (1 s). A guest whose
/// node was killed runs on for no longer than that.
const TICK_MS: u64 = 1000;
/// How a process ends whose parent has gone.
const STATUS_ORPHAN: i32 = 4;

/// The engine whose epoch the signals move on. Set once, before the handlers are installed.
static ENGINE: OnceLock<Engine> = OnceLock::new();
/// The parent's id; set before the handlers are installed.
static PARENT: AtomicU32 = AtomicU32::new(0);
/// When the guest's time by the clock is up, as [`monotonic_ns`] says it.
static WALL_END_NS: AtomicU64 = AtomicU64::new(u64::MAX);

// Both handlers do only what is signal-safe: atomics, an atomic addition (wasmtime says so of `increment_epoch`), `getppid`,
// `clock_gettime` and `_exit`.

extern "C" fn on_cpu_spent(_: libc::c_int) {
    if let Some(engine) = ENGINE.get() {
        engine.increment_epoch();
    }
}

extern "C" fn on_tick(signal: libc::c_int) {
    // SAFETY: takes nothing and always succeeds.
    if unsafe { libc::getppid() } as u32 != PARENT.load(Ordering::Relaxed) {
        exit(STATUS_ORPHAN);
    }
    if monotonic_ns() >= WALL_END_NS.load(Ordering::Relaxed) {
        on_cpu_spent(signal);
    }
}

/// The version of Landlock's interface that this kernel has; nothing where it has none or does not let it be used.
pub fn landlock_abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with no attributes, of size zero, and this flag the call changes nothing and answers a number.
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(answer).ok().filter(|version| *version > 0)
}

/// From now on a tick ends this process when its parent has gone. It says whether the kernel took the handler.
pub(crate) fn heed_parent(parent: u32) -> bool {
    PARENT.store(parent, Ordering::Relaxed);
    handle(libc::SIGALRM, on_tick)
}

/// From now on the end of its CPU time and of its time by the clock move the engine's epoch on. It says whether the kernel took
/// the handler.
pub(crate) fn time_moves_epoch(engine: &Engine) -> bool {
    ENGINE.set(engine.clone()).is_ok() && handle(libc::SIGPROF, on_cpu_spent)
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) -> bool {
    // SAFETY: a zeroed sigaction is valid; the handler is a function of the right type that only does what is signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        // On the alternate stack: the guest's own may be all but full.
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(signal, &action, std::ptr::null_mut()) == 0
    }
}

/// Begins a guest's time: `cpu_ms` of this process's CPU and `wall_ms` by the clock. Where one of them is up the epoch moves on, and
/// goes on doing so until [`end_time`].
pub(crate) fn begin_time(cpu_ms: u64, wall_ms: u64) {
    WALL_END_NS.store(monotonic_ns().saturating_add(wall_ms.saturating_mul(1_000_000)), Ordering::Relaxed);
    timer(libc::ITIMER_PROF, cpu_ms.max(1), 10);
    timer(libc::ITIMER_REAL, wall_ms.clamp(1, TICK_MS), TICK_MS);
}

/// Ends it.
pub(crate) fn end_time() {
    timer(libc::ITIMER_PROF, 0, 0);
    timer(libc::ITIMER_REAL, 0, 0);
    WALL_END_NS.store(u64::MAX, Ordering::Relaxed);
}

/// Begins to look after the parent alone.
pub(crate) fn begin_ticks() {
    timer(libc::ITIMER_REAL, TICK_MS, TICK_MS);
}

fn timer(which: libc::c_int, first_ms: u64, then_ms: u64) {
    let time = |ms: u64| libc::timeval {
        tv_sec: (ms / 1000).min(i32::MAX as u64) as libc::time_t,
        tv_usec: ((ms % 1000) * 1000) as libc::suseconds_t,
    };
    let timer = libc::itimerval { it_interval: time(then_ms), it_value: time(first_ms) };
    // SAFETY: the timer is a valid value for the time of the call, and the old one is not asked for. It fails for no such value.
    unsafe {
        libc::setitimer(which, &timer, std::ptr::null_mut());
    }
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) {
    // SAFETY: called first thing in a process of ours, which has opened none of them.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, 0);
    }
}

/// Ends the process at once, without running anything on the way.
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used after.
    unsafe { libc::_exit(status) }
}

/// Loads code that a compiling child of ours made.
pub(crate) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: the engine checks that the code is of its own version, target and settings. That the bytes are what the compiler
    // wrote is the node's word: it keeps them under their digest, in files of its own. Were they not, they would run with the
    // rights of this walled process, which are those that any guest's escape would have.
    unsafe { Module::deserialize(engine, code) }
}

/// Tries one forbidden thing, natively. 0 when nothing stopped it, otherwise the error number.
pub(crate) fn attempt(what: Attempt, parent: i32) -> i32 {
    // SAFETY: each call gets valid arguments of its own or none; none of them touches memory that Rust knows of. A process
    // that this makes ends at once.
    unsafe {
        let done = |result: libc::c_long| if result < 0 { errno() } else { 0 };
        match what {
            Attempt::OpenFile => done(libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY).into()),
            Attempt::CreateFile => {
                let path = c"/tmp/artel-runner-self-test";
                let made = libc::open(path.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600);
                if made >= 0 {
                    libc::unlink(path.as_ptr());
                }
                done(made.into())
            }
            Attempt::StatFile => {
                let mut stat: libc::stat = std::mem::zeroed();
                done(libc::stat(c"/etc/passwd".as_ptr(), &mut stat).into())
            }
            Attempt::Execute => {
                let path = c"/bin/true";
                let arguments = [path.as_ptr(), std::ptr::null()];
                done(libc::execve(path.as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr().cast()).into())
            }
            Attempt::Socket => done(libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0).into()),
            Attempt::Connect => {
                let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
                if socket < 0 {
                    return errno();
                }
                let mut address: libc::sockaddr_in = std::mem::zeroed();
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_port = 9_u16.to_be();
                address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
                let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                match done(libc::connect(socket, (&raw const address).cast(), size).into()) {
                    // Nobody listens there: the attempt itself got through.
                    libc::ECONNREFUSED => 0,
                    other => other,
                }
            }
            Attempt::SendDatagram => {
                let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
                if socket < 0 {
                    return errno();
                }
                let mut address: libc::sockaddr_in = std::mem::zeroed();
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_port = 9_u16.to_be();
                address.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
                let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                let sent =
                    libc::sendto(socket, c"x".as_ptr().cast(), 1, 0, (&raw const address).cast(), size);
                done(sent as libc::c_long)
            }
            Attempt::Fork => match libc::fork() {
                0 => exit(0),
                other => done(other.into()),
            },
            Attempt::SignalParent => done(libc::kill(parent, 0).into()),
            Attempt::ReadParent => {
                let mut byte = 0_u8;
                let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
                let remote = libc::iovec { iov_base: 0x1000 as *mut libc::c_void, iov_len: 1 };
                match done(libc::process_vm_readv(parent, &local, 1, &remote, 1, 0) as libc::c_long) {
                    // There is nothing at that address, but looking was allowed.
                    libc::EFAULT => 0,
                    other => other,
                }
            }
            Attempt::WritableCode => {
                let both = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
                mapped(4096, both)
            }
            Attempt::NewUserNamespace => done(libc::unshare(libc::CLONE_NEWUSER).into()),
            Attempt::IoUring => {
                let mut parameters = [0_u8; 120];
                done(libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()))
            }
            Attempt::ManyFiles => {
                for _ in 0..1000 {
                    if libc::dup(0) < 0 {
                        return errno();
                    }
                }
                0
            }
            Attempt::WriteElsewhere => done(libc::write(2, c"x".as_ptr().cast(), 1) as libc::c_long),
            Attempt::MapMuch => mapped(16 << 30, libc::PROT_READ),
            Attempt::TakeMemory => mapped(15 << 30, libc::PROT_READ | libc::PROT_WRITE),
            Attempt::Spin => {
                // For as long as somebody waits for it: a test that takes the wall away may be killed.
                while libc::getppid() == parent {}
                0
            }
        }
    }
}

/// Maps fresh memory; 0 or the error number.
unsafe fn mapped(bytes: usize, protection: libc::c_int) -> i32 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED { errno() } else { 0 }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// The monotonic clock, which all processes of a machine share, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

/// CPU time of this thread, in nanoseconds. Unlike the process's it stays exact under a CPU limit.
pub(crate) fn thread_cpu_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime))
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}
