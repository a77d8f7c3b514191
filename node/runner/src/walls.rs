//! The walls around a step's process, and the order in which they go up. Each is put up for good: nothing here takes one down.
//!
//! System calls are the main wall; Landlock backs it for files, sockets and signals; only the resource limits bound memory
//! and CPU. A wall that cannot be put up is named, never skipped in silence.

use crate::outcome::WallMissing;
use crate::{limits::Limits, sys};
use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::fmt;

/// The user that a step's process becomes when it was started as root: `nobody` on every distribution.
pub(crate) const NOBODY: u32 = 65534;

/// Address space beyond a step's data: the 4 GiB that one memory reserves, its guards, and what an allocator reserves unused.
/// Less, and memories cannot be made; more bounds nothing that the data limit does not.
const ADDRESS_BYTES: u64 = (4 << 30) + (1280 << 20);

/// The most open files: standard input, output and error, and one for the Landlock ruleset while the wall goes up.
const FILES_MAX: u64 = 4;

/// The main thread's stack: the guest's own part is [`crate::limits::STACK_BYTES_MAX`] of it.
const STACK_BYTES: u64 = 8 << 20;
/// With less stack than this no step is run.
const STACK_BYTES_LEAST: u64 = 2 << 20;

/// One wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Wall {
    /// The process is not root: it becomes `nobody` when it was started as root.
    User = 1,
    /// No program that it starts can gain rights.
    NoNewPrivs = 2,
    /// Limits on memory, CPU, files and processes.
    Rlimits = 4,
    /// No file, no TCP socket, no signal to others.
    Landlock = 8,
    /// Only the few system calls that a guest's engine needs; any other kills.
    Seccomp = 16,
}

impl Wall {
    /// All of them, in the order in which they go up.
    pub const ALL: [Wall; 5] = [Wall::User, Wall::NoNewPrivs, Wall::Rlimits, Wall::Landlock, Wall::Seccomp];

    /// Its name, as the configuration and messages have it.
    pub fn name(&self) -> &'static str {
        match self {
            Wall::User => "user",
            Wall::NoNewPrivs => "no_new_privs",
            Wall::Rlimits => "rlimits",
            Wall::Landlock => "landlock",
            Wall::Seccomp => "seccomp",
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of walls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Walls(u8);

impl Walls {
    /// All walls: what is asked for unless an operator says otherwise.
    pub const ALL: Walls = Walls(31);
    /// No wall.
    pub const NONE: Walls = Walls(0);

    /// Whether `wall` is among them.
    pub fn has(self, wall: Wall) -> bool {
        self.0 & wall as u8 != 0
    }
    /// These and `wall`.
    #[must_use]
    pub fn with(self, wall: Wall) -> Self {
        Walls(self.0 | wall as u8)
    }
    /// These without `wall`.
    #[must_use]
    pub fn without(self, wall: Wall) -> Self {
        Walls(self.0 & !(wall as u8))
    }
    /// What both have.
    #[must_use]
    pub fn and(self, other: Walls) -> Self {
        Walls(self.0 & other.0)
    }
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Those walls, in the order in which they go up.
    pub fn iter(self) -> impl Iterator<Item = Wall> {
        Wall::ALL.into_iter().filter(move |wall| self.has(*wall))
    }
    pub(crate) fn bits(self) -> u8 {
        self.0
    }
    pub(crate) fn from_bits(bits: u8) -> Self {
        Walls(bits & Walls::ALL.0)
    }
}

impl fmt::Debug for Walls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|wall| wall.name())).finish()
    }
}

/// What a child is for: each has its own list of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Compile one module.
    Compile,
    /// Run one step.
    Run,
}

/// The walls of one child while they go up: first the ones that the engine can be made under, then the last.
pub(crate) struct Builder {
    /// Those to put up.
    pub wanted: Walls,
    /// Those without which nothing runs.
    pub required: Walls,
    pub purpose: Purpose,
    up: Walls,
}

impl Builder {
    pub fn new(wanted: Walls, required: Walls, purpose: Purpose) -> Self {
        Builder { wanted, required, purpose, up: Walls::NONE }
    }

    /// All walls but the one around system calls. `cpu_s` is how much CPU the process may use from its start.
    pub fn raise_first(&mut self, limits: &Limits, cpu_s: u64) -> Result<(), WallMissing> {
        self.raise(Wall::User, leave_root)?;
        self.raise(Wall::NoNewPrivs, || {
            rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())
        })?;
        let data = match self.purpose {
            Purpose::Run => limits.step_data_bytes(),
            Purpose::Compile => {
                let held = limits.module_bytes.saturating_add(limits.code_bytes);
                limits.compile_memory_bytes.saturating_add(held.saturating_mul(3))
            }
        };
        self.raise(Wall::Rlimits, || limit_resources(data, cpu_s))?;
        self.raise(Wall::Landlock, close_files)
    }

    /// The last wall, when all that needs more calls is done. Says which walls stand.
    pub fn raise_last(&mut self) -> Result<Walls, WallMissing> {
        let purpose = self.purpose;
        self.raise(Wall::Seccomp, || {
            let program = filter(purpose).map_err(|error| error.to_string())?;
            seccompiler::apply_filter(&program).map_err(|error| error.to_string())
        })?;
        Ok(self.up)
    }

    fn raise(&mut self, wall: Wall, put_up: impl FnOnce() -> Result<(), String>) -> Result<(), WallMissing> {
        if !self.wanted.has(wall) {
            return Ok(());
        }
        match put_up() {
            Ok(()) => self.up = self.up.with(wall),
            Err(why) if self.required.has(wall) => return Err(WallMissing { wall, why }),
            Err(_) => {}
        }
        Ok(())
    }
}

/// Becomes `nobody` when root, for good; and in any case no process of the same user may look into this one.
fn leave_root() -> Result<(), String> {
    let step = || -> rustix::io::Result<()> {
        if rustix::process::getuid().is_root() || rustix::process::geteuid().is_root() {
            let (user, group) =
                (rustix::thread::Uid::from_raw(NOBODY), rustix::thread::Gid::from_raw(NOBODY));
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(group, group, group)?;
            rustix::thread::set_thread_res_uid(user, user, user)?;
        }
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
    };
    step().map_err(|error| error.to_string())?;
    if rustix::process::getuid().is_root() || rustix::process::geteuid().is_root() {
        return Err("still root".to_owned());
    }
    Ok(())
}

/// Limits everything that the kernel limits for a process. Memory counts from what is mapped now, since an allocator may
/// have reserved much of it already.
fn limit_resources(data: u64, cpu_s: u64) -> Result<(), String> {
    let statm =
        std::fs::read_to_string("/proc/self/statm").map_err(|error| format!("/proc/self/statm: {error}"))?;
    let page = rustix::param::page_size() as u64;
    let pages = |field: usize| statm.split_whitespace().nth(field).and_then(|word| word.parse::<u64>().ok());
    let (Some(mapped), Some(writable)) = (pages(0), pages(5)) else {
        return Err("/proc/self/statm is not as it was".to_owned());
    };
    let stack = rustix::process::getrlimit(Resource::Stack).maximum.unwrap_or(u64::MAX).min(STACK_BYTES);
    if stack < STACK_BYTES_LEAST {
        return Err(format!("the stack may have {stack} bytes, {STACK_BYTES_LEAST} are needed"));
    }
    for (resource, most) in [
        (Resource::As, (mapped * page).saturating_add(data).saturating_add(ADDRESS_BYTES)),
        (Resource::Data, (writable * page).saturating_add(data)),
        (Resource::Stack, stack),
        (Resource::Cpu, cpu_s),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nofile, FILES_MAX),
        (Resource::Nproc, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
    ] {
        let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = most.min(hard);
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).map_err(|error| format!("{resource:?}: {error}"))?;
    }
    Ok(())
}

/// Landlock with no rule: everything that this kernel can refuse is refused.
fn close_files() -> Result<(), String> {
    let newest = ABI::V7;
    let restrict = || -> Result<_, landlock::RulesetError> {
        Ruleset::default()
            .handle_access(AccessFs::from_all(newest))?
            .handle_access(AccessNet::from_all(newest))?
            .scope(Scope::from_all(newest))?
            .create()?
            // That is a wall of its own.
            .no_new_privs(false)
            .restrict_self()
    };
    match restrict().map_err(|error| error.to_string())?.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel has no Landlock".to_owned()),
        _ => Ok(()),
    }
}

/// The list of system calls. All that is not on it kills the process.
fn filter(purpose: Purpose) -> Result<BpfProgram, seccompiler::Error> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let calls = calls(purpose)?;
    let filter = SeccompFilter::new(calls, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?;
    Ok(filter.try_into()?)
}

fn calls(purpose: Purpose) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::Error> {
    let when = |argument, is, value: u64| SeccompCondition::new(argument, Len::Dword, is, value);
    let rule = |condition| SeccompRule::new(vec![condition]);
    let flag = |bits: i32| Is::MaskedEq(bits as u64);
    let not_executable = rule(when(2, flag(libc::PROT_EXEC), 0)?)?;
    let not_writable = rule(when(2, flag(libc::PROT_WRITE), 0)?)?;
    let anonymous = when(3, flag(libc::MAP_ANONYMOUS), libc::MAP_ANONYMOUS as u64)?;

    let mut calls = BTreeMap::from([
        // Requests come in on 0, answers go out on 1, and nowhere else.
        (libc::SYS_read, vec![rule(when(0, Is::Eq, 0)?)?]),
        (libc::SYS_write, vec![rule(when(0, Is::Eq, 1)?)?]),
        // Memory, never both written and executed.
        (libc::SYS_mmap, vec![SeccompRule::new(vec![when(2, flag(libc::PROT_EXEC), 0)?, anonymous])?]),
        (libc::SYS_munmap, vec![]),
        (libc::SYS_mremap, vec![]),
        (libc::SYS_madvise, vec![]),
        (libc::SYS_brk, vec![]),
        // The binary's allocator names what it maps, and asks on which processor it is.
        (libc::SYS_prctl, vec![rule(when(0, Is::Eq, libc::PR_SET_VMA as u64)?)?]),
        (libc::SYS_getcpu, vec![]),
        (libc::SYS_exit_group, vec![]),
        // Locks that nobody else holds.
        (libc::SYS_futex, vec![]),
        (libc::SYS_sched_yield, vec![]),
        // Thread CPU time; the other clocks are read without a call.
        (libc::SYS_clock_gettime, vec![]),
        // A fault of the guest is a signal.
        (libc::SYS_rt_sigreturn, vec![]),
        (libc::SYS_sigaltstack, vec![]),
        (libc::SYS_rt_sigprocmask, vec![]),
        // Each second it looks whether its parent lives.
        (libc::SYS_getppid, vec![]),
    ]);
    match purpose {
        Purpose::Compile => {
            calls.insert(libc::SYS_mprotect, vec![not_executable]);
        }
        Purpose::Run => {
            calls.insert(libc::SYS_mprotect, vec![not_executable, not_writable]);
            // The deadline, and that second.
            let timers = [libc::ITIMER_PROF, libc::ITIMER_REAL].map(|timer| when(0, Is::Eq, timer as u64));
            let timers = timers.into_iter().map(|timer| rule(timer?)).collect::<Result<_, _>>()?;
            calls.insert(libc::SYS_setitimer, timers);
        }
    }
    Ok(calls)
}

/// Makes this kernel one without some walls, by refusing the calls that put them up. For tests alone.
pub(crate) fn blind(walls: Walls) -> Result<(), String> {
    let mut calls = BTreeMap::new();
    for wall in walls.iter() {
        match wall {
            Wall::Landlock => calls.insert(libc::SYS_landlock_create_ruleset, vec![]),
            Wall::Seccomp => calls.insert(libc::SYS_seccomp, vec![]),
            // The third argument is what to set; to ask is a matter of course.
            Wall::Rlimits => {
                let sets = SeccompCondition::new(2, Len::Qword, Is::Ne, 0)
                    .and_then(|sets| SeccompRule::new(vec![sets]));
                calls.insert(libc::SYS_prlimit64, vec![sets.map_err(|error| error.to_string())?])
            }
            Wall::NoNewPrivs => calls.insert(libc::SYS_prctl, vec![]),
            Wall::User => calls.insert(libc::SYS_setresuid, vec![]),
        };
    }
    if calls.is_empty() {
        return Ok(());
    }
    let build = || -> Result<(), Box<dyn std::error::Error>> {
        let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
        let errno = SeccompAction::Errno(libc::ENOSYS as u32);
        let program: BpfProgram =
            SeccompFilter::new(calls, SeccompAction::Allow, errno, architecture)?.try_into()?;
        Ok(seccompiler::apply_filter(&program)?)
    };
    build().map_err(|error| error.to_string())
}

/// Offers this process to the kernel before all others where memory runs out: the node is the larger one, and is to stay.
pub(crate) fn offer_to_oom_killer() {
    // Whoever may not say so is as likely a victim as its node.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Closes all that the process was left with but standard input, output and error.
pub(crate) fn close_inherited() {
    sys::close_from(3);
}
