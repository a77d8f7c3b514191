//! One guest in its engine: what it may ask for, how it is started, and what its end means.

use crate::engine::{self, For};
use crate::limits::{INSTANCES_MAX, Limits, MEMORIES_MAX, TABLES_MAX};
use crate::outcome::{Artifact, Fault, Log, Resource, Spent, TrapKind};
use crate::step::one_json;
use crate::sys;
use crate::wasi::{Memory, NAMES, Stop, World};
use wasmtime::{
    Caller, Engine, Error, Extern, ExternType, InstancePre, Linker, Module, ResourceLimiter, Store, Trap,
};

/// Where preview 1's functions are imported from.
const WASI: &str = "wasi_snapshot_preview1";

/// Fuel for one host call beside the bytes that it moves: about what the call costs as instructions.
const CALL_FUEL: u64 = 200;

/// What a store holds for its guest.
pub(crate) struct Host {
    world: World,
    bounds: Bounds,
    memory: Option<wasmtime::Memory>,
}

/// How far memory and tables may grow. What is refused stops the guest: were it told so, two nodes with different limits could
/// see different results.
struct Bounds {
    memory_bytes: u64,
    table_elements: u64,
}

/// All that 32 bits can address. Growing past it fails in the language, the same on every node.
const ADDRESSABLE_BYTES: u64 = 4 << 30;

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let desired = desired as u64;
        if desired > ADDRESSABLE_BYTES || maximum.is_some_and(|maximum| desired > maximum as u64) {
            return Ok(false);
        }
        if desired > self.memory_bytes { Err(Stop::Memory.into()) } else { Ok(true) }
    }

    /// The operating system refused. That is never an ordinary answer to the guest either.
    fn memory_grow_failed(&mut self, _: Error) -> wasmtime::Result<()> {
        Err(Stop::Starved.into())
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let desired = desired as u64;
        if desired > u64::from(u32::MAX) || maximum.is_some_and(|maximum| desired > maximum as u64) {
            return Ok(false);
        }
        if desired > self.table_elements { Err(Stop::Table.into()) } else { Ok(true) }
    }

    fn table_grow_failed(&mut self, _: Error) -> wasmtime::Result<()> {
        Err(Stop::Starved.into())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }
    fn tables(&self) -> usize {
        TABLES_MAX
    }
    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

/// An engine with our host functions, ready for modules.
pub(crate) struct Machine {
    pub engine: Engine,
    linker: Linker<Host>,
}

/// A command that has been loaded: what is left is to give it its world and to start it.
pub(crate) struct Loaded(InstancePre<Host>);

/// What a guest is given.
pub(crate) struct Input {
    pub stdin: Vec<u8>,
    pub files: Vec<(String, Vec<u8>)>,
    pub deadline_ms: u64,
}

/// How it went, as the child tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub end: End,
    pub log: Log,
    pub spent: Spent,
    /// The monotonic clock just before the first instruction, in nanoseconds; 0 when there was none.
    pub began_ns: u64,
}

/// See [`Report`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Done {
        output: String,
        artifacts: Vec<Artifact>,
    },
    Failed(Fault),
    Inconclusive(Resource),
    /// The module may not run, here or anywhere.
    Refused(String),
    /// Its code did not load, this time.
    NotLoaded(String),
}

impl Machine {
    pub fn new() -> wasmtime::Result<Self> {
        let engine = engine::engine(For::Running)?;
        let linker = linker(&engine)?;
        Ok(Machine { engine, linker })
    }

    /// Loads compiled code.
    ///
    /// # Errors
    /// The report of a step that is to run it.
    pub fn load(&self, code: &[u8]) -> Result<Loaded, Report> {
        let module = sys::load(&self.engine, code).map_err(|error| {
            Report::of(End::NotLoaded(format!("its compiled code does not load: {error}")))
        })?;
        check(&module).map_err(|why| Report::of(End::Refused(why)))?;
        let prepared = self.linker.instantiate_pre(&module);
        prepared.map(Loaded).map_err(|error| Report::of(End::Refused(error.to_string())))
    }

    /// Runs a command. `told` gets the report while the guest's memory is still there: to take it down takes time that nobody
    /// needs to wait for.
    pub fn run<T>(
        &self,
        loaded: &Loaded,
        input: Input,
        limits: &Limits,
        told: impl FnOnce(Report) -> T,
    ) -> T {
        let started = sys::thread_cpu_ns();
        let bounds = Bounds { memory_bytes: limits.memory_bytes, table_elements: limits.table_elements };
        let world = World::new(input.stdin, input.files, limits);
        let mut store = Store::new(&self.engine, Host { world, bounds, memory: None });
        store.limiter(|host| &mut host.bounds);
        store.set_epoch_deadline(1);
        let fuelled = store.set_fuel(limits.fuel);
        sys::begin_time(input.deadline_ms, limits.wall_ms);

        let mut began_ns = 0;
        let ended = fuelled.and_then(|()| {
            // A module's own start function runs in here, and belongs to it.
            let instance = loaded.0.instantiate(&mut store)?;
            let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
            began_ns = sys::monotonic_ns();
            start.call(&mut store, ())
        });
        sys::end_time();

        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
        let remains = store.data_mut().world.take_remains();
        let end = match ended.map_or_else(|error| judge(&error), |()| Ok(())) {
            Err(end) => end,
            Ok(()) if remains.overflowed => End::Failed(Fault::OutTooLarge),
            Ok(()) => match one_json(&remains.stdout) {
                Some(output) => End::Done { output: output.to_owned(), artifacts: remains.artifacts },
                None => End::Failed(Fault::OutputNotJson),
            },
        };
        let cpu_us = sys::thread_cpu_ns().saturating_sub(started) / 1000;
        told(Report { end, log: remains.log, spent: Spent { fuel, cpu_us, start_us: 0 }, began_ns })
    }
}

impl Report {
    /// Of a step that did not begin.
    fn of(end: End) -> Self {
        Report { end, log: Log::default(), spent: Spent::default(), began_ns: 0 }
    }
}

/// That a module is a command and asks for nothing that there is not.
fn check(module: &Module) -> Result<(), String> {
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let known = from == WASI && NAMES.contains(&name) && matches!(import.ty(), ExternType::Func(_));
        if !known {
            // A name comes from the module: it is cut, so that no message grows with it.
            let asked: String = format!("{from}.{name}").chars().take(100).collect();
            return Err(format!("it imports {asked:?}, which there is not"));
        }
    }
    match module.get_export("_start") {
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => {}
        _ => return Err("it has no function _start without parameters, so it is no command".to_owned()),
    }
    let asks = module.resources_required();
    if asks.num_memories as usize > MEMORIES_MAX || asks.num_tables as usize > TABLES_MAX {
        return Err(format!("it has more than {MEMORIES_MAX} memory or {TABLES_MAX} tables"));
    }
    Ok(())
}

/// What an error of the engine means for the step; `Ok` when it is the guest's own clean exit.
fn judge(error: &Error) -> Result<(), End> {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Exit(0) => Ok(()),
            Stop::Exit(status) => Err(End::Failed(Fault::Exit(*status))),
            Stop::OutputTooLarge => Err(End::Failed(Fault::OutputTooLarge)),
            Stop::Fuel => Err(End::Inconclusive(Resource::Fuel)),
            Stop::Memory => Err(End::Inconclusive(Resource::Memory)),
            Stop::Starved => Err(End::Inconclusive(Resource::Starved)),
            Stop::Table => Err(End::Inconclusive(Resource::Table)),
        };
    }
    let Some(trap) = error.downcast_ref::<Trap>() else {
        // Not the language's doing: the engine could not get what it needed.
        return Err(End::Inconclusive(Resource::Starved));
    };
    let kind = match trap {
        Trap::OutOfFuel => return Err(End::Inconclusive(Resource::Fuel)),
        Trap::Interrupt => return Err(End::Inconclusive(Resource::Deadline)),
        Trap::StackOverflow => return Err(End::Inconclusive(Resource::Stack)),
        Trap::AllocationTooLarge => return Err(End::Inconclusive(Resource::Memory)),
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapKind::IndirectCallToNull,
        Trap::BadSignature => TrapKind::BadSignature,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapKind::IntegerDivisionByZero,
        Trap::BadConversionToInteger => TrapKind::BadConversionToInteger,
        _ => TrapKind::Other,
    };
    Err(End::Failed(Fault::Trap(kind)))
}

/// Runs one host call: over the guest's memory, for the guest's fuel.
fn host_call(
    caller: &mut Caller<'_, Host>,
    call: impl FnOnce(&mut World, &mut Memory<'_>) -> crate::wasi::Result,
) -> wasmtime::Result<u32> {
    let exported = match caller.data().memory {
        Some(memory) => Some(memory),
        None => caller.get_export("memory").and_then(Extern::into_memory),
    };
    caller.data_mut().memory = exported;
    let result = match exported {
        Some(memory) => {
            let (bytes, host) = memory.data_and_store_mut(&mut *caller);
            call(&mut host.world, &mut Memory::new(bytes))
        }
        // Every address lies outside a memory that is not there.
        None => call(&mut caller.data_mut().world, &mut Memory::new(&mut [])),
    };
    let cost = CALL_FUEL.saturating_add(caller.data_mut().world.take_work());
    let left = caller.get_fuel()?;
    caller.set_fuel(left.saturating_sub(cost))?;
    if let Some(stop) = caller.data().world.stop {
        return Err(stop.into());
    }
    if left < cost {
        return Err(Stop::Fuel.into());
    }
    Ok(result.map_or_else(|errno| errno as u32, |()| 0))
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    macro_rules! calls {
        ($($name:ident($($argument:ident: $ty:ty),*);)*) => {
            $(linker.func_wrap(WASI, stringify!($name), |mut caller: Caller<'_, Host>, $($argument: $ty),*| {
                host_call(&mut caller, |world, memory| world.$name(memory, $($argument),*))
            })?;)*
        };
    }
    calls! {
        args_get(pointers: u32, texts: u32);
        args_sizes_get(count: u32, size: u32);
        clock_res_get(clock: u32, out: u32);
        clock_time_get(clock: u32, precision: u64, out: u32);
        environ_get(pointers: u32, texts: u32);
        environ_sizes_get(count: u32, size: u32);
        fd_advise(fd: u32, at: u64, count: u64, advice: u32);
        fd_allocate(fd: u32, at: u64, count: u64);
        fd_close(fd: u32);
        fd_datasync(fd: u32);
        fd_fdstat_get(fd: u32, out: u32);
        fd_fdstat_set_flags(fd: u32, flags: u32);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64);
        fd_filestat_get(fd: u32, out: u32);
        fd_filestat_set_size(fd: u32, size: u64);
        fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32);
        fd_pread(fd: u32, buffers: u32, count: u32, at: u64, out: u32);
        fd_prestat_dir_name(fd: u32, out: u32, count: u32);
        fd_prestat_get(fd: u32, out: u32);
        fd_pwrite(fd: u32, buffers: u32, count: u32, at: u64, out: u32);
        fd_read(fd: u32, buffers: u32, count: u32, out: u32);
        fd_readdir(fd: u32, out: u32, room: u32, cookie: u64, used: u32);
        fd_renumber(from: u32, to: u32);
        fd_seek(fd: u32, delta: i64, whence: u32, out: u32);
        fd_sync(fd: u32);
        fd_tell(fd: u32, out: u32);
        fd_write(fd: u32, buffers: u32, count: u32, out: u32);
        path_create_directory(fd: u32, path: u32, count: u32);
        path_filestat_get(fd: u32, lookup: u32, path: u32, count: u32, out: u32);
        path_filestat_set_times(fd: u32, lookup: u32, path: u32, count: u32, accessed: u64, modified: u64, flags: u32);
        path_link(from_fd: u32, lookup: u32, from: u32, from_count: u32, to_fd: u32, to: u32, to_count: u32);
        path_open(
            fd: u32, lookup: u32, path: u32, count: u32, flags: u32, rights: u64, inheriting: u64, fd_flags: u32, out: u32
        );
        path_readlink(fd: u32, path: u32, count: u32, out: u32, out_count: u32, used: u32);
        path_remove_directory(fd: u32, path: u32, count: u32);
        path_rename(from_fd: u32, from: u32, from_count: u32, to_fd: u32, to: u32, to_count: u32);
        path_symlink(target: u32, target_count: u32, fd: u32, path: u32, count: u32);
        path_unlink_file(fd: u32, path: u32, count: u32);
        poll_oneoff(subscriptions: u32, events: u32, count: u32, out: u32);
        proc_raise(signal: u32);
        random_get(out: u32, count: u32);
        sched_yield();
        sock_accept(fd: u32, flags: u32, out: u32);
        sock_recv(fd: u32, buffers: u32, count: u32, flags: u32, size: u32, out: u32);
        sock_send(fd: u32, buffers: u32, count: u32, flags: u32, out: u32);
        sock_shutdown(fd: u32, how: u32);
    }
    linker.func_wrap(
        WASI,
        "proc_exit",
        |mut caller: Caller<'_, Host>, code: u32| -> wasmtime::Result<()> {
            caller.data_mut().world.proc_exit(code);
            Err(Stop::Exit(code).into())
        },
    )?;
    Ok(linker)
}
