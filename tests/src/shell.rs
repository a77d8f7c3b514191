//! A person at a shell: command lines typed word for word, with the program under test on the `PATH` and a home of their
//! own. What goes on until it is stopped is stopped as a person stops it.

use crate::node::{Artel, Done, Running};
use rustix::process::{Pid, Signal, kill_process_group};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A shell in a directory that is also its home.
pub struct Shell {
    artel: Artel,
    home: PathBuf,
    programs: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Shell {
    /// In this directory.
    ///
    /// # Panics
    /// When no directory can be made for the program.
    pub fn new(artel: &Artel, home: &Path) -> Self {
        let programs = tempfile::tempdir().expect("a fresh directory");
        std::os::unix::fs::symlink(artel.path(), programs.path().join("artel")).expect("a link");
        Shell { artel: artel.clone(), home: home.to_owned(), programs, variables: Vec::new() }
    }

    /// With a variable of its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// The directory in which the program lies, under its own name.
    pub fn programs(&self) -> &Path {
        self.programs.path()
    }

    /// Types a line, or a whole script.
    ///
    /// # Panics
    /// When the shell does not start.
    pub fn types(&self, line: &str) -> Typed {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&self.home).stdin(Stdio::null());
        for (name, value) in self.artel.command().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.programs.path().display()));
        command.env("HOME", &self.home).env_remove("XDG_DATA_HOME").process_group(0);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let running = Running::start(command);
        Typed { group: running.pid(), running: Some(running) }
    }
}

/// What was typed, while it runs. When it is dropped all that it started ends.
pub struct Typed {
    running: Option<Running>,
    group: u32,
}

impl Typed {
    /// The next line on stdout; nothing when there will be none.
    pub fn line(&mut self) -> Option<String> {
        self.running.as_mut().and_then(Running::line)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn wait(mut self) -> Done {
        self.running.take().expect("it is waited for once").wait()
    }

    /// Presses Ctrl-C and waits for its end.
    #[track_caller]
    pub fn interrupt(self) -> Done {
        signal(self.group, Signal::INT);
        self.wait()
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        signal(self.group, Signal::KILL);
    }
}

/// To all that a line started. It may have ended.
fn signal(group: u32, signal: Signal) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, signal);
    }
}
