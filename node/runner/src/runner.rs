//! The runner as a node holds it: a bounded queue, one or two primed processes that wait for their one step, and the code that
//! was compiled.

use crate::attempt::{Attempt, SelfTest, Tried};
use crate::cache::Cache;
use crate::guest::{End, Report};
use crate::message::{Boot, Mode, decode_number};
use crate::outcome::{Death, Log, Outcome, Refusal, Resource, Spent, WallMissing};
use crate::pool::{Missing, Pool};
use crate::process::{Child, NoAnswer, StartFailed};
use crate::step::{Module, Step};
use crate::walls::Walls;
use crate::{Limits, sys};
use artel_protocol::id::Digest;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

/// The module that each child runs before its walls close; `prime.wat` is its text.
const PRIME: &[u8] = include_bytes!("prime.wasm");

/// How much later than the guest's own time by the clock its process is killed (2 s): it stops itself first, unless it cannot.
const GRACE_MS: u64 = 2000;

/// How long a step may be at work before what it took from the pool is replaced (5 ms; about what that takes). Where it ends
/// sooner, that waits for its end: a process that starts would compete with it for a processor.
const REFILL_AFTER_MS: u64 = 5;

/// How long a waiting process may take to load a module, in milliseconds (10 s; it takes microseconds).
const LOAD_MS_MAX: u64 = 10_000;

/// Compiled code that is kept in memory, in bytes (64 MiB). The least lately used goes first; it is on disk still.
const CODE_BYTES_MAX: usize = 64 << 20;

/// How many refused modules are remembered, so that asking again costs nothing (1,024; the oldest goes first).
const REFUSED_MAX: usize = 1024;

/// How long a refusal is remembered that another time may not see again (10 minutes): a compiler that was killed, or code that did
/// not load, for want of time or memory. Less, and a module that takes all of a compiler's time is compiled over and over; more, and
/// one bad moment costs this machine the module.
const PASSING_REFUSAL: Duration = Duration::from_secs(600);

/// How many modules are compiled at once: one, since it takes a whole core and much memory.
const COMPILATIONS_MAX: usize = 1;

/// Seconds of CPU for an attempt of the self-test.
const ATTEMPT_CPU_S: u64 = 1;
/// How long an attempt may take, in milliseconds.
const ATTEMPT_MS_MAX: u64 = 20_000;

/// How steps are to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that is started for each step; its `main` calls [`crate::child_if_asked`] first. Nothing means this one.
    pub program: Option<PathBuf>,
    /// Where compiled code is kept; nothing means in memory only.
    pub cache_dir: Option<PathBuf>,
    /// The most bytes of compiled code on disk (default 1 GiB). The oldest goes first.
    pub cache_bytes_max: u64,
    /// How many processes wait, primed, for their step (default 1), and how many more that have loaded the module which is expected:
    /// one that was prepared, or that ran twice in a row. Each takes 5 MB, and some milliseconds of CPU when it is replaced.
    pub pool_size: usize,
    /// How many steps run at once (default 2). More wait.
    pub steps_max: usize,
    /// How many steps may wait (default 64). One more is [`Refusal::Busy`].
    pub queue_max: usize,
    /// What a step may use.
    pub limits: Limits,
    /// Walls without which nothing runs (default: all).
    pub walls_required: Walls,
    /// Whether the start tries the forbidden things first, some 20 processes (default: yes).
    pub self_test: bool,
    /// See [`crate::testing`].
    #[doc(hidden)]
    pub switches: Switches,
}

/// What only tests may change: see [`crate::testing`].
#[derive(Debug, Clone, Copy)]
pub struct Switches {
    pub(crate) wanted: Walls,
    pub(crate) blind: Walls,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            program: None,
            cache_dir: None,
            cache_bytes_max: 1 << 30,
            pool_size: 1,
            steps_max: 2,
            queue_max: 64,
            limits: Limits::default(),
            walls_required: Walls::ALL,
            self_test: true,
            switches: Switches { wanted: Walls::ALL, blind: Walls::NONE },
        }
    }
}

/// Why no step can be run here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wall that is asked for is missing on this kernel.
    #[error(transparent)]
    Wall(#[from] WallMissing),
    /// A wall stands, and something that it should stop got through.
    #[error("the walls do not hold: a step's process could {0}")]
    Breach(Attempt),
    /// No process can be started, or the engine not be made.
    #[error("the runner's process does not start: {0}")]
    Process(String),
    /// The directory for compiled code cannot be used.
    #[error("{}: {source}", path.display())]
    Cache {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<StartFailed> for Error {
    fn from(failed: StartFailed) -> Self {
        match failed {
            StartFailed::Wall(missing) => Error::Wall(missing),
            StartFailed::Process(why) => Error::Process(why),
        }
    }
}

impl From<StartFailed> for Refusal {
    fn from(failed: StartFailed) -> Self {
        match failed {
            StartFailed::Wall(missing) => Refusal::Wall(missing),
            StartFailed::Process(why) => Refusal::Process(why),
        }
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps that ended, each way.
    pub done: u64,
    /// By the guest's fault.
    pub failed: u64,
    /// By a limit of this machine.
    pub inconclusive: u64,
    /// Before they began.
    pub not_run: u64,
    /// Modules compiled.
    pub compiled: u64,
}

/// Runs steps. Cheap to clone; the last one that goes takes the waiting processes with it.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("profile", &self.0.profile)
            .field("walls", &self.0.walls)
            .finish_non_exhaustive()
    }
}

struct Inner {
    program: PathBuf,
    options: Options,
    walls: Walls,
    profile: Digest,
    prime: Arc<[u8]>,
    cache: Option<Arc<Cache>>,
    steps: Semaphore,
    compilations: Semaphore,
    /// Steps that wait or run.
    present: AtomicUsize,
    pool: Mutex<Pool<Child>>,
    /// Told whenever a process that is to wait does, or has failed to.
    filled: Notify,
    known: Mutex<Known>,
    counts: [AtomicU64; 5],
}

/// Modules that were seen.
#[derive(Debug, Default)]
struct Known {
    /// The most lately used last.
    code: VecDeque<(Digest, Arc<[u8]>)>,
    /// Until when, where it passes.
    refused: BTreeMap<Digest, (Refusal, Option<Instant>)>,
    refused_order: VecDeque<Digest>,
}

impl Runner {
    /// Starts: one process, to see that its walls stand and to compile the priming module; the self-test; and the pool.
    ///
    /// # Errors
    /// [`Error`]: then no step can be run here.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => own_program()?,
        };
        let mut child = Child::start(&program, &boot(&options, Mode::Compile, Arc::from(&[][..]))).await?;
        let (walls, profile) = (child.walls, child.profile);
        // Our own module: limits on guests' are not for it.
        let compiled = compile_in(&mut child, PRIME, &Limits::default()).await;
        let prime = compiled.map_err(|refusal| Error::Process(format!("the priming module: {refusal}")))?;
        let cache = match &options.cache_dir {
            None => None,
            Some(dir) => {
                let open = Cache::open(dir, profile, options.cache_bytes_max);
                Some(Arc::new(open.map_err(|source| Error::Cache { path: dir.clone(), source })?))
            }
        };
        let runner = Runner(Arc::new(Inner {
            program,
            walls,
            profile,
            prime: prime.into(),
            cache,
            steps: Semaphore::new(options.steps_max.max(1)),
            compilations: Semaphore::new(COMPILATIONS_MAX),
            present: AtomicUsize::new(0),
            pool: Mutex::new(Pool::new(options.pool_size)),
            filled: Notify::new(),
            known: Mutex::default(),
            counts: Default::default(),
            options,
        }));
        // The first of the pool shows that priming works; the others come by themselves.
        let first = runner.0.start_child().await?;
        runner.0.pool().put(None, first);
        if runner.0.options.self_test
            && let Some(breach) = runner.self_test(Attempt::quick()).await?.breaches().next()
        {
            return Err(Error::Breach(breach));
        }
        Inner::refill(&runner.0);
        Ok(runner)
    }

    /// The profile that a receipt bears: engine, version, target, settings, limits.
    pub fn profile(&self) -> Digest {
        self.0.profile
    }

    /// The walls that stand around every step.
    pub fn walls(&self) -> Walls {
        self.0.walls
    }

    /// Waits until as many primed processes wait for a step as are to, those among them that load the expected module. It waits for
    /// ever where none can be started.
    pub async fn settled(&self) {
        loop {
            let told = self.0.filled.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.0.pool().is_full() {
                return;
            }
            told.await;
        }
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        let [done, failed, inconclusive, not_run, compiled] =
            std::array::from_fn(|i| self.0.counts[i].load(Ordering::Relaxed));
        Counts { done, failed, inconclusive, not_run, compiled }
    }

    /// Runs a step. Dropping the future kills its process; nothing of it is left.
    pub async fn run(&self, step: Step) -> Outcome {
        let outcome = self.0.run(step).await.unwrap_or_else(Outcome::NotRun);
        let (counter, how) = match &outcome {
            Outcome::Done { .. } => (0, "done"),
            Outcome::Failed { .. } => (1, "failed"),
            Outcome::Inconclusive { .. } => (2, "inconclusive"),
            Outcome::NotRun(_) => (3, "not run"),
        };
        self.0.counts[counter].fetch_add(1, Ordering::Relaxed);
        tracing::debug!(how, "a step ended");
        outcome
    }

    /// Compiles a module unless that is done, and has a process load it that waits for a step of it, so that its next step waits for
    /// neither.
    ///
    /// # Errors
    /// [`Refusal`] when it will not run here.
    pub async fn prepare(&self, module: &Module) -> Result<(), Refusal> {
        let code = self.0.code(module).await?;
        self.0.pool().expect(module.digest(), code);
        Inner::refill(&self.0);
        Ok(())
    }

    /// Tries forbidden things, each in a process of its own, and says how each went.
    ///
    /// # Errors
    /// [`Error`] when no process can be started.
    pub async fn self_test(&self, attempts: impl IntoIterator<Item = Attempt>) -> Result<SelfTest, Error> {
        let mut tried = Vec::new();
        for attempt in attempts {
            tried.push((attempt, self.0.attempt(attempt).await?));
        }
        Ok(SelfTest { walls: self.0.walls, tried })
    }
}

impl Inner {
    async fn run(self: &Arc<Self>, step: Step) -> Result<Outcome, Refusal> {
        let limits = &self.options.limits;
        let stdin = step.stdin(limits)?;
        let _present = self.enter()?;
        let Ok(_turn) = self.steps.acquire().await else { return Err(Refusal::Busy) };
        let code = self.code(&step.module).await?;
        let deadline_ms = step.deadline_ms.unwrap_or(u64::MAX).min(limits.deadline_ms);
        let begun_ns = sys::monotonic_ns();
        let (mut child, is_loaded) = self.take(step.module.digest(), &code).await?;
        // Also when this future is dropped.
        let _refill = Refill(self);
        let report = {
            let code = (!is_loaded).then_some(&*code);
            let ran = child.run(code, &stdin, &step.artifacts, deadline_ms, limits);
            let answer = timeout(Duration::from_millis(limits.wall_ms.saturating_add(GRACE_MS)), ran);
            tokio::pin!(answer);
            match timeout(Duration::from_millis(REFILL_AFTER_MS), answer.as_mut()).await {
                Ok(answer) => answer,
                Err(_) => {
                    Inner::refill(self);
                    answer.await
                }
            }
        };
        let report = match report.unwrap_or(Err(NoAnswer::Late)) {
            Ok(report) => {
                child.let_go();
                Ok(report)
            }
            Err(NoAnswer::Late) => Err(Resource::Deadline),
            Err(NoAnswer::Nonsense) => Err(Resource::Nonsense),
            Err(NoAnswer::Died(death)) => Err(Resource::Died(death)),
        };
        Ok(match report {
            Ok(report) => self.outcome(&step.module, report, begun_ns)?,
            Err(resource) => Outcome::Inconclusive { resource, log: Log::default(), spent: Spent::default() },
        })
    }

    fn outcome(&self, module: &Module, report: Report, begun_ns: u64) -> Result<Outcome, Refusal> {
        let Report { end, log, mut spent, began_ns } = report;
        spent.start_us = began_ns.saturating_sub(begun_ns) / 1000;
        Ok(match end {
            End::Done { output, artifacts } => Outcome::Done { output, artifacts, log, spent },
            End::Failed(fault) => Outcome::Failed { fault, log, spent },
            End::Inconclusive(resource) => Outcome::Inconclusive { resource, log, spent },
            End::Refused(why) => return Err(self.refuse(module, Refusal::Module(why))),
            End::NotLoaded(why) => return Err(self.refuse(module, Refusal::Compile(why))),
        })
    }

    fn refuse(&self, module: &Module, refusal: Refusal) -> Refusal {
        self.known().refuse(module.digest(), refusal.clone(), Instant::now());
        refusal
    }

    /// Counts a step in, as long as there is room for it to wait.
    fn enter(&self) -> Result<Present<'_>, Refusal> {
        let max = self.options.steps_max.max(1) + self.options.queue_max;
        if self.present.fetch_add(1, Ordering::Relaxed) >= max {
            self.present.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::Busy);
        }
        Ok(Present(&self.present))
    }

    /// The compiled code of a module: from memory, from disk, or made.
    async fn code(&self, module: &Module) -> Result<Arc<[u8]>, Refusal> {
        let limits = &self.options.limits;
        let bytes = module.bytes().len() as u64;
        if bytes > limits.module_bytes {
            return Err(Refusal::ModuleTooLarge { bytes, max: limits.module_bytes });
        }
        let digest = module.digest();
        if let Some(known) = self.known().find(&digest, Instant::now()) {
            return known;
        }
        let Ok(_turn) = self.compilations.acquire().await else { return Err(Refusal::Busy) };
        // Whoever was before us may have had the same module.
        if let Some(known) = self.known().find(&digest, Instant::now()) {
            return known;
        }
        let code: Arc<[u8]> = match self.on_disk(digest).await {
            Some(code) => code.into(),
            None => {
                let made = self.compile(module).await;
                if let Err(refusal @ (Refusal::Module(_) | Refusal::Compile(_))) = &made {
                    self.known().refuse(digest, refusal.clone(), Instant::now());
                }
                let code: Arc<[u8]> = made?.into();
                self.keep(digest, code.clone()).await;
                code
            }
        };
        self.known().learn(digest, code.clone());
        Ok(code)
    }

    async fn on_disk(&self, module: Digest) -> Option<Vec<u8>> {
        let (cache, max) = (self.cache.clone()?, self.options.limits.code_bytes);
        tokio::task::spawn_blocking(move || cache.read(&module, max)).await.ok()?
    }

    /// A cache that cannot be written only costs time.
    async fn keep(&self, module: Digest, code: Arc<[u8]>) {
        let Some(cache) = self.cache.clone() else { return };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || cache.write(&module, &code)).await {
            tracing::warn!(%error, "compiled code was not kept on disk");
        }
    }

    async fn compile(&self, module: &Module) -> Result<Vec<u8>, Refusal> {
        let boot = boot(&self.options, Mode::Compile, Arc::from(&[][..]));
        let mut child = Child::start(&self.program, &boot).await?;
        self.counts[4].fetch_add(1, Ordering::Relaxed);
        compile_in(&mut child, module.bytes(), &self.options.limits).await
    }

    /// A primed child, and whether it has loaded the module: one that waits, or a new one.
    async fn take(&self, module: Digest, code: &Arc<[u8]>) -> Result<(Child, bool), StartFailed> {
        loop {
            let waiting = self.pool().take(module, code);
            let Some((mut child, is_loaded)) = waiting else { return Ok((self.start_child().await?, false)) };
            // Was it killed while it waited, that says nothing about the step.
            if child.is_alive() {
                return Ok((child, is_loaded));
            }
        }
    }

    async fn start_child(&self) -> Result<Child, StartFailed> {
        Child::start(&self.program, &boot(&self.options, Mode::Run, self.prime.clone())).await
    }

    /// Starts and loads what the pool is missing, apart from whoever waits.
    fn refill(inner: &Arc<Self>) {
        // Where the runtime has ended, nobody waits for a step.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        loop {
            let Some(missing) = inner.pool().missing() else { return };
            let weak: Weak<Self> = Arc::downgrade(inner);
            runtime.spawn(async move {
                let Some(inner) = weak.upgrade() else { return };
                let (module, came) = match missing {
                    Missing::Blank => (None, inner.start_child().await),
                    Missing::Loaded { module, code, by } => (Some(module), inner.load(by, &code).await),
                };
                match came {
                    Ok(child) => inner.pool().put(module, child),
                    Err(error) => {
                        inner.pool().failed(module);
                        // The next step starts its own, and says why it cannot.
                        tracing::warn!(%error, "no runner's process could be kept ready");
                    }
                }
                inner.filled.notify_waiters();
            });
        }
    }

    /// Has a child load a module: one that waited, or a new one.
    async fn load(&self, by: Option<Child>, code: &[u8]) -> Result<Child, StartFailed> {
        let mut child = match by {
            Some(child) => child,
            None => self.start_child().await?,
        };
        match timeout(Duration::from_millis(LOAD_MS_MAX), child.load(code)).await {
            Ok(Ok(())) => Ok(child),
            _ => Err(StartFailed::Process("it did not load a module".to_owned())),
        }
    }

    async fn attempt(&self, attempt: Attempt) -> Result<Tried, Error> {
        let mut boot = boot(&self.options, Mode::Try(attempt), Arc::from(&[][..]));
        boot.cpu_s = ATTEMPT_CPU_S;
        let mut child = Child::start(&self.program, &boot).await?;
        let answer = timeout(Duration::from_millis(ATTEMPT_MS_MAX), child.hear(8)).await;
        Ok(match answer.unwrap_or(Err(NoAnswer::Late)) {
            Ok(bytes) => match decode_number(&bytes) {
                Ok(0) => Tried::Passed,
                Ok(errno) => Tried::Refused(errno as i32),
                Err(_) => Tried::Passed,
            },
            Err(NoAnswer::Died(death @ Death::Signal(_))) => Tried::Killed(death),
            Err(NoAnswer::Late) => Tried::Hung,
            // It became another program, or said something else.
            Err(NoAnswer::Died(_) | NoAnswer::Nonsense) => Tried::Passed,
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool<Child>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refills the pool when it goes.
struct Refill<'a>(&'a Arc<Inner>);

impl Drop for Refill<'_> {
    fn drop(&mut self) {
        Inner::refill(self.0);
    }
}

/// A step that was counted in; counted out when it goes.
struct Present<'a>(&'a AtomicUsize);

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Known {
    fn find(&mut self, module: &Digest, now: Instant) -> Option<Result<Arc<[u8]>, Refusal>> {
        if let Some((refusal, until)) = self.refused.get(module) {
            if until.is_none_or(|until| now < until) {
                return Some(Err(refusal.clone()));
            }
            self.refused.remove(module);
            self.refused_order.retain(|refused| refused != module);
        }
        let at = self.code.iter().position(|(digest, _)| digest == module)?;
        let found = self.code.remove(at)?;
        let code = found.1.clone();
        self.code.push_back(found);
        Some(Ok(code))
    }

    fn learn(&mut self, module: Digest, code: Arc<[u8]>) {
        self.code.push_back((module, code));
        let mut held: usize = self.code.iter().map(|(_, code)| code.len()).sum();
        while held > CODE_BYTES_MAX && self.code.len() > 1 {
            held -= self.code.pop_front().map_or(0, |(_, code)| code.len());
        }
    }

    fn refuse(&mut self, module: Digest, refusal: Refusal, now: Instant) {
        self.code.retain(|(digest, _)| *digest != module);
        let until = matches!(refusal, Refusal::Compile(_)).then(|| now + PASSING_REFUSAL);
        if self.refused.insert(module, (refusal, until)).is_none() {
            self.refused_order.push_back(module);
        }
        if self.refused_order.len() > REFUSED_MAX
            && let Some(oldest) = self.refused_order.pop_front()
        {
            self.refused.remove(&oldest);
        }
    }
}

/// The smallest module that is a step: the one that primes processes. It reads its input and puts out `{}`.
pub fn smallest_module() -> Module {
    Module::new(PRIME)
}

/// This program, also when its file has been replaced while it runs.
fn own_program() -> Result<PathBuf, Error> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() {
        return Ok(link);
    }
    std::env::current_exe().map_err(|error| Error::Process(error.to_string()))
}

fn boot(options: &Options, mode: Mode, prime: Arc<[u8]>) -> Boot {
    let limits = &options.limits;
    let cpu_s = match mode {
        Mode::Compile => limits.compile_cpu_s,
        // The deadline comes first: this is for a guest that has got out of the engine.
        Mode::Run | Mode::Try(_) => limits.deadline_ms.div_ceil(1000).saturating_add(2),
    };
    Boot {
        mode,
        wanted: options.switches.wanted,
        required: options.walls_required.and(options.switches.wanted),
        blind: options.switches.blind,
        parent: std::process::id(),
        cpu_s,
        limits: limits.clone(),
        prime,
    }
}

async fn compile_in(child: &mut Child, module: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let asked = timeout(Duration::from_millis(limits.compile_ms), child.compile(module, limits)).await;
    let compiled = asked.unwrap_or(Err(NoAnswer::Late)).map_err(|why| {
        Refusal::Compile(match why {
            NoAnswer::Late => "it took too long".to_owned(),
            NoAnswer::Died(Death::Signal(9)) => "it took too much CPU, or was killed".to_owned(),
            NoAnswer::Died(death) => format!("the compiler died, perhaps for want of memory: {death}"),
            NoAnswer::Nonsense => "the compiler answered nonsense".to_owned(),
        })
    })?;
    compiled.map_err(Refusal::Module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priming_module_is_its_text() {
        let text = include_str!("prime.wat");
        let made = wat::parse_str(text).expect("a module");
        if std::env::var_os("ARTEL_TEST_WRITE_PRIME").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/prime.wasm"), &made).expect("written");
        }
        assert!(
            PRIME == made,
            "src/prime.wasm is not src/prime.wat: run this test with ARTEL_TEST_WRITE_PRIME=1"
        );
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut known = Known::default();
        for i in 0..5_u8 {
            known.learn(Digest::of(&[i]), vec![0; 20 << 20].into());
        }
        assert_eq!(known.code.len(), 3);
        let now = Instant::now();
        assert!(known.find(&Digest::of(&[2]), now).is_some());
        known.learn(Digest::of(b"next"), vec![0; 20 << 20].into());
        assert!(known.find(&Digest::of(&[2]), now).is_some(), "used lately");
        assert!(known.find(&Digest::of(&[3]), now).is_none());
        for i in 0..2000_u32 {
            known.refuse(Digest::of(&i.to_le_bytes()), Refusal::Busy, now);
        }
        assert_eq!((known.refused.len(), known.refused_order.len()), (REFUSED_MAX, REFUSED_MAX));
    }

    #[test]
    fn what_want_of_time_or_memory_refused_is_tried_again() {
        let (mut known, now) = (Known::default(), Instant::now());
        let (broken, slow) = (Digest::of(b"broken"), Digest::of(b"slow"));
        known.refuse(broken, Refusal::Module("no module".into()), now);
        known.refuse(slow, Refusal::Compile("it took too long".into()), now);
        let soon = now + PASSING_REFUSAL - Duration::from_millis(1);
        for module in [broken, slow] {
            assert!(
                matches!(known.find(&module, soon), Some(Err(_))),
                "a bomb does not go off at each request"
            );
        }
        let later = now + PASSING_REFUSAL;
        assert!(known.find(&slow, later).is_none());
        assert!(matches!(known.find(&broken, later), Some(Err(Refusal::Module(_)))));
        assert_eq!((known.refused.len(), known.refused_order.len()), (1, 1));
    }
}
