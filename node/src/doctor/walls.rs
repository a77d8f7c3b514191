//! The walls around a step: whether a module could run here, tried by starting the sandbox as a worker does, with all
//! that it tries of the forbidden.

use artel_runner::{Error, Options, Runner, Wall};
use artel_web::types::doctor::{Check, Finding};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long the sandbox may take to start: some 20 processes and a small compilation, a second on an idle machine.
const START_WAIT: Duration = Duration::from_secs(20);

/// What was found of the walls. A kernel does not change under a program: walls that stand are tried once.
#[derive(Default)]
pub(super) struct Walls(Mutex<Option<Finding>>);

impl Walls {
    /// Tries them, or says what was found before.
    pub async fn look(&self) -> Finding {
        let mut known = self.0.lock().await;
        if let Some(found) = known.as_ref() {
            return found.clone();
        }
        let options = Options { pool_size: 1, steps_max: 1, ..Options::default() };
        let Ok(started) = tokio::time::timeout(START_WAIT, Runner::start(options)).await else {
            let summary = format!("the sandbox does not start within {} s", START_WAIT.as_secs());
            return Finding::unknown(Check::Walls, summary)
                .advising("try again when the machine has less to do");
        };
        let found = judge(started.map(|runner| names(runner.walls().iter())));
        if found.advice.is_none() {
            *known = Some(found.clone());
        }
        found
    }
}

fn names(walls: impl Iterator<Item = Wall>) -> String {
    walls.map(|wall| wall.name()).collect::<Vec<_>>().join(", ")
}

fn judge(started: Result<String, Error>) -> Finding {
    let landlock = match artel_runner::landlock_abi() {
        Some(version) => format!("Landlock ABI {version}"),
        None => "no Landlock".to_owned(),
    };
    let elsewhere = "modules do not run here; let them run on other nodes, or use artel work --exec with a \
                     sandbox of your own";
    match started {
        Ok(standing) => Finding::ok(Check::Walls, "modules run here, behind every wall")
            .with(format!("{standing}; {landlock}")),
        Err(Error::Wall(missing)) => {
            let remedy = match missing.wall {
                Wall::Landlock => "use a kernel from Linux 5.13 on with landlock in its lsm= list",
                Wall::Seccomp => "let the container runtime allow seccomp filters",
                Wall::Rlimits => "mount /proc, and see that ulimit -s is 2 MiB or more",
                Wall::User => "let the process become uid 65534, or do not start it as root",
                Wall::NoNewPrivs => "use a kernel from Linux 3.5 on that lets a process give up new rights",
            };
            Finding::warn(Check::Walls, missing.to_string(), format!("{remedy}; until then {elsewhere}"))
                .with(landlock)
        }
        Err(breach @ Error::Breach(_)) => {
            let advice = "run no module on this kernel, and report it";
            Finding::fail(Check::Walls, breach.to_string(), advice).with(landlock)
        }
        Err(other) => Finding::warn(Check::Walls, other.to_string(), elsewhere).with(landlock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_runner::WallMissing;
    use artel_web::types::doctor::FindingStatus;

    #[test]
    fn a_missing_wall_is_named_with_its_remedy() {
        for wall in Wall::ALL {
            let found = judge(Err(Error::Wall(WallMissing { wall, why: "no".into() })));
            assert_eq!(found.status, FindingStatus::Warn);
            assert!(found.summary.contains(wall.name()) && found.advice.is_some(), "{found:?}");
        }
        let stood = judge(Ok("user, seccomp".into()));
        assert_eq!((stood.status, stood.advice), (FindingStatus::Ok, None));
    }
}
