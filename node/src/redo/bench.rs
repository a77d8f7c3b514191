//! This node's own sandbox, in which it runs steps again: its own and, for members, theirs. It starts when it is first wanted.
//! Where the operator does not want it, or a wall is missing, nothing runs.

use super::others::{Others, Place};
use artel_federation::Json;
use artel_federation::redo::message::{Bound, Ended, Redo, Reran};
use artel_protocol::id::Digest;
use artel_protocol::key::NodeId;
use artel_runner::{
    Ask, Counts, Error, Given, Kind, Limits, Module, Options, Outcome, Policy, Refusal, Resource, Runner,
    Step, allows,
};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};

/// How many of this node's own steps run again at once. More wait, without their module and artifacts in memory.
const OWN_RUNS_MAX: usize = 1;

/// How many of others' steps do: beside this node's own, which never stand in line behind a stranger's. More wait.
const OTHERS_RUNS_MAX: usize = 1;

/// How long a neighbour may take with a step in all, its fetches and a compilation among that; then its home asks another one.
pub const REDO_WAIT: Duration = Duration::from_secs(120);

/// How long the sandbox is not started again after it failed to; doubled each time.
const START_WAIT: Duration = Duration::from_secs(60);

/// The longest such wait. Longer, and a node that was short of memory once checks nothing for hours.
const START_WAIT_MAX: Duration = Duration::from_secs(3_600);

/// What a WebAssembly module begins with: its mark and version.
const WASM: &[u8] = b"\0asm\x01\0\0\0";

/// The sandbox.
pub struct Bench {
    wanted: bool,
    policy: Policy,
    start: Mutex<Start>,
    /// The one that was started, for who counts.
    started: OnceLock<Runner>,
    turns: Turns,
    others: Others,
}

/// Whose steps run now.
struct Turns {
    own: Semaphore,
    others: Semaphore,
}

#[derive(Default)]
struct Start {
    runner: Option<Runner>,
    trouble: Trouble,
}

/// What came of the starts so far.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    not_before: Option<Instant>,
    is_final: bool,
}

/// Why there is no step to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStep {
    /// Module or input are none that may run, and every node says so.
    CannotRun,
    /// They are not here.
    Missing,
}

impl Bench {
    /// One that starts when it is first wanted, or never where the operator does not want it. The policy says what it runs for others.
    pub fn new(wanted: bool, policy: Policy) -> Self {
        let turns = Turns { own: Semaphore::new(OWN_RUNS_MAX), others: Semaphore::new(OTHERS_RUNS_MAX) };
        Bench {
            wanted,
            policy,
            start: Mutex::default(),
            started: OnceLock::new(),
            turns,
            others: Others::default(),
        }
    }

    /// A place for a neighbour's request, where the policy lets its step run and it has not had its share.
    pub fn place(&self, home: &NodeId, ask: &Redo) -> Option<Place<'_>> {
        let step = Ask { home, kind: Kind::Wasm, module: &ask.module, skills: &ask.skills };
        if !self.wanted || !allows(&self.policy, &step) {
            return None;
        }
        let place = self.others.place(*home, Instant::now());
        place.inspect_err(|full| tracing::debug!(%home, %full, "a step is not run again")).ok()
    }

    /// The most bytes of a module.
    pub fn module_bytes_max() -> u64 {
        Limits::default().module_bytes
    }

    /// How many steps ended in which way since the start.
    pub fn counts(&self) -> Counts {
        self.started.get().map(Runner::counts).unwrap_or_default()
    }

    /// Digest of the engine with all its settings; nothing where steps cannot be run here, or not now.
    pub async fn profile(&self) -> Option<Digest> {
        Some(self.runner().await?.profile())
    }

    /// Runs a step of this node's own, which is read once it has its turn.
    pub async fn run_own(&self, step: impl Future<Output = Result<Step, NoStep>>) -> Option<Reran> {
        let runner = self.runner().await?;
        let _turn = self.turns.own.acquire().await.ok()?;
        run(&runner, step.await).await
    }

    /// Runs a step of another home's.
    pub async fn run_for(&self, place: &Place<'_>, step: Step) -> Option<Reran> {
        let runner = self.runner().await?;
        let _turn = self.turns.others.acquire().await.ok()?;
        let _counted = place.running();
        run(&runner, Ok(step)).await
    }

    /// The sandbox, started where it is not; nothing where it does not start now.
    async fn runner(&self) -> Option<Runner> {
        if !self.wanted {
            return None;
        }
        let mut start = self.start.lock().await;
        if start.runner.is_some() || !start.trouble.is_over(Instant::now()) {
            return start.runner.clone();
        }
        let options = Options {
            steps_max: OWN_RUNS_MAX + OTHERS_RUNS_MAX,
            queue_max: 0,
            pool_size: 1,
            ..Options::default()
        };
        match Runner::start(options).await {
            Ok(runner) => start.runner = Some(self.started.get_or_init(|| runner).clone()),
            Err(error) => {
                start.trouble.note(&error, Instant::now());
                let until = if start.trouble.is_final { "the next start" } else { "it is tried again" };
                tracing::warn!(%error, "no step can be run again here until {until}");
            }
        }
        start.runner.clone()
    }
}

impl Trouble {
    fn is_over(&self, now: Instant) -> bool {
        !self.is_final && self.not_before.is_none_or(|at| at <= now)
    }

    /// A wall that is missing, or does not hold, is so until the next start; all else may pass.
    fn note(&mut self, error: &Error, now: Instant) {
        self.is_final = match error {
            Error::Wall(_) | Error::Breach(_) => true,
            Error::Process(_) | Error::Cache { .. } => false,
        };
        let wait = START_WAIT.saturating_mul(1 << self.failures.min(10)).min(START_WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + wait);
    }
}

/// A step of what is asked and what was fetched for it.
///
/// # Errors
/// [`NoStep::CannotRun`]: it is none that may run.
pub fn step(ask: &Redo, module: Vec<u8>, given: Vec<Given>) -> Result<Step, NoStep> {
    let text = |json: &Json| String::from_utf8(json.bytes().to_vec()).map_err(|_| NoStep::CannotRun);
    let needs = ask.needs.iter().map(|(name, output)| Ok((name.clone(), text(output)?)));
    let step = Step {
        needs: needs.collect::<Result<BTreeMap<String, String>, NoStep>>()?,
        input: text(&ask.input)?,
        module: Module::new(module),
        artifacts: given,
        deadline_ms: None,
    };
    let is_module = step.module.bytes().starts_with(WASM);
    let good = step.check().inspect_err(|refusal| tracing::debug!(%refusal, task = %ask.step, "no step"));
    if is_module && good.is_ok() { Ok(step) } else { Err(NoStep::CannotRun) }
}

async fn run(runner: &Runner, step: Result<Step, NoStep>) -> Option<Reran> {
    let end = match step {
        Ok(step) => ended(runner.run(step).await)?,
        Err(NoStep::CannotRun) => Ended::CannotRun,
        Err(NoStep::Missing) => return None,
    };
    Some(Reran { profile: runner.profile(), end })
}

/// What a run came to, as it is told; nothing where it did not run for a reason that may pass.
fn ended(outcome: Outcome) -> Option<Ended> {
    Some(match outcome {
        Outcome::Done { output, artifacts, log, .. } => {
            let mut left: Vec<Digest> = artifacts.iter().map(|left| Digest::of(&left.bytes)).collect();
            left.sort_unstable();
            left.dedup();
            let log = (!log.bytes.is_empty()).then(|| Digest::of(log.text().as_bytes()));
            Ended::Done { output: Json::new(output.into_bytes()), artifacts: left, log }
        }
        Outcome::Failed { fault, .. } => Ended::Failed(fault.to_string()),
        Outcome::Inconclusive { resource, .. } => match resource {
            Resource::Fuel => Ended::Bound(Bound::Fuel),
            Resource::Memory => Ended::Bound(Bound::Memory),
            Resource::Table => Ended::Bound(Bound::Table),
            Resource::Stack => Ended::Bound(Bound::Stack),
            Resource::Deadline | Resource::Starved | Resource::Died(_) | Resource::Nonsense => {
                tracing::debug!(%resource, "a run says nothing");
                Ended::Inconclusive
            }
        },
        Outcome::NotRun(refusal) => match refusal {
            Refusal::Module(_) | Refusal::ModuleTooLarge { .. } | Refusal::Input(_) => Ended::CannotRun,
            // A compiler that ran out of time or memory may have more of them elsewhere.
            Refusal::Policy
            | Refusal::Compile(_)
            | Refusal::Wall(_)
            | Refusal::Busy
            | Refusal::Process(_) => {
                tracing::debug!(%refusal, "a step was not run");
                return None;
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::{Epoch, RunId};
    use artel_protocol::key::SecretKey;
    use artel_protocol::skill::Skill;
    use artel_protocol::time::Wall;
    use artel_runner::{Attempt, Death, Log, Rule, Spent};

    fn ask() -> Redo {
        Redo {
            step: RunId::new(Wall(1), [2; 9]).step(0),
            epoch: Epoch(1),
            module: Digest::of(WASM),
            skills: vec![Skill::parse("text").expect("a skill")],
            input: Json::new(*b"{}"),
            needs: vec![],
            artifacts: vec![],
        }
    }

    #[test]
    fn what_ends_alike_on_every_node_says_something_and_what_may_pass_does_not() {
        let (log, spent) = (Log::default(), Spent::default());
        let bound = |resource| ended(Outcome::Inconclusive { resource, log: log.clone(), spent });
        for (resource, wanted) in [
            (Resource::Fuel, Ended::Bound(Bound::Fuel)),
            (Resource::Memory, Ended::Bound(Bound::Memory)),
            (Resource::Table, Ended::Bound(Bound::Table)),
            (Resource::Stack, Ended::Bound(Bound::Stack)),
            (Resource::Starved, Ended::Inconclusive),
            (Resource::Deadline, Ended::Inconclusive),
            (Resource::Died(Death::Unknown), Ended::Inconclusive),
            (Resource::Nonsense, Ended::Inconclusive),
        ] {
            assert_eq!(bound(resource), Some(wanted));
        }
        for (refusal, wanted) in [
            (Refusal::Module("no _start".into()), Some(Ended::CannotRun)),
            (Refusal::ModuleTooLarge { bytes: 9, max: 8 }, Some(Ended::CannotRun)),
            (Refusal::Input("too many artifacts"), Some(Ended::CannotRun)),
            (Refusal::Compile("it took too long".into()), None),
            (Refusal::Busy, None),
            (Refusal::Process("no memory".into()), None),
        ] {
            assert_eq!(ended(Outcome::NotRun(refusal)), wanted);
        }
    }

    #[test]
    fn what_is_no_step_is_seen_before_anything_starts() {
        let good = |ask: &Redo, module: &[u8]| step(ask, module.to_vec(), vec![]).map(drop);
        assert_eq!(good(&ask(), WASM), Ok(()));
        assert_eq!(good(&ask(), b"(module)"), Err(NoStep::CannotRun));
        for input in [&b"x"[..], b"\xff", b"{} {}", b""] {
            assert_eq!(good(&Redo { input: Json::new(input), ..ask() }, WASM), Err(NoStep::CannotRun));
        }
        let needs = vec![("a".to_owned(), Json::new(*b"{"))];
        assert_eq!(good(&Redo { needs, ..ask() }, WASM), Err(NoStep::CannotRun));
        let given = vec![Given { name: "../a".into(), bytes: b"".to_vec().into() }];
        assert_eq!(step(&ask(), WASM.to_vec(), given).map(drop), Err(NoStep::CannotRun));
    }

    #[test]
    fn only_what_the_operator_allows_has_a_place() {
        let home = NodeId(SecretKey::from_seed(&[1; 32]).public());
        let of_skill = |name: &str| Rule { skill: Skill::parse(name).ok(), ..Rule::default() };
        let of_module = Rule { module: Some(ask().module), ..Rule::default() };
        for (wanted, allow, deny, has_place) in [
            (true, vec![Rule::default()], vec![], true),
            (false, vec![Rule::default()], vec![], false),
            (true, vec![], vec![], false),
            (true, vec![Rule::default()], vec![of_skill("text")], false),
            (true, vec![Rule::default()], vec![of_skill("image")], true),
            (true, vec![of_module.clone()], vec![], true),
            (true, vec![Rule { home: Some(home), ..Rule::default() }], vec![of_module], false),
        ] {
            let bench = Bench::new(wanted, Policy { allow, deny });
            assert_eq!(bench.place(&home, &ask()).is_some(), has_place, "{:?}", bench.policy);
        }
    }

    #[tokio::test]
    async fn a_step_of_this_node_s_own_has_its_turn_while_others_have_all_of_theirs() {
        let bench = Bench::new(true, Policy::default());
        let all = u32::try_from(OTHERS_RUNS_MAX).expect("few");
        let _strangers = bench.turns.others.acquire_many(all).await.expect("their turns");
        assert!(bench.turns.own.try_acquire().is_ok());
    }

    #[test]
    fn a_start_that_failed_is_tried_again_and_a_missing_wall_is_final() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        assert!(trouble.is_over(now));
        let mut wait = START_WAIT;
        for _ in 0..8 {
            trouble.note(&Error::Process("no memory".into()), now);
            assert!(!trouble.is_over(now + wait - Duration::from_millis(1)) && trouble.is_over(now + wait));
            wait = (wait * 2).min(START_WAIT_MAX);
        }
        trouble.note(&Error::Breach(Attempt::quick().next().expect("some")), now);
        assert!(!trouble.is_over(now + 2 * START_WAIT_MAX));
    }
}
