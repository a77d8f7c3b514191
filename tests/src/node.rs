//! The program as a process: single commands with a deadline, and nodes that are started, killed and stopped.

use crate::http::Client;
use crate::wait::{DEADLINE, until};
use serde_json::Value;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

/// The program under test.
#[derive(Debug, Clone)]
pub struct Artel {
    binary: PathBuf,
    /// What starts it, such as a program that puts it where a disk is; it becomes the binary.
    behind: VecDeque<String>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

impl Done {
    /// What it wrote on stdout, when it ended well.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        &self.stdout
    }

    /// The last line of stdout as JSON, when it ended well.
    #[track_caller]
    pub fn json(&self) -> Value {
        let line = self.ok().trim_end().lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// Asserts that it failed with one sentence that says all of these, and with no backtrace.
    #[track_caller]
    pub fn failed_saying(&self, wanted: &[&str]) {
        self.ended_saying(1, wanted);
    }

    /// Asserts that it was used wrongly, and said so likewise.
    #[track_caller]
    pub fn misused_saying(&self, wanted: &[&str]) {
        self.ended_saying(2, wanted);
    }

    #[track_caller]
    fn ended_saying(&self, code: i32, wanted: &[&str]) {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        for part in wanted {
            assert!(self.stderr.contains(part), "{part:?} is not said: {}", self.stderr);
        }
        for never in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!self.stderr.contains(never), "{}", self.stderr);
        }
        assert!(self.stdout.is_empty(), "nothing is ready: {}", self.stdout);
    }
}

impl Artel {
    /// The program at a path.
    pub fn at(binary: impl Into<PathBuf>) -> Self {
        Artel { binary: binary.into(), behind: VecDeque::new() }
    }

    /// The same with one more word before its command line.
    pub fn behind(mut self, word: String) -> Self {
        self.behind.push_front(word);
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.binary
    }

    /// A command line, with none of the caller's own settings in its environment.
    pub fn command(&self) -> Command {
        let mut words = self.behind.iter().map(OsStr::new).chain([self.binary.as_os_str()]);
        let mut command = Command::new(words.next().expect("the binary at least"));
        command.args(words);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ARTEL_") {
                command.env_remove(name);
            }
        }
        command.env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end.
    #[track_caller]
    pub fn run<I: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Done {
        let mut command = self.command();
        command.args(args);
        Running::start(command).wait()
    }

    /// A node on a data directory, not started yet.
    pub fn up(&self, data: &Path) -> Up {
        let mut command = self.command();
        // It ends when this process does, however that ends.
        command.args(["up", "--json", "--end-with-stdin", "--data"]).arg(data);
        Up { command, http: "127.0.0.1:0".into(), data: data.to_owned() }
    }
}

/// A node that is about to be started.
pub struct Up {
    command: Command,
    http: String,
    data: PathBuf,
}

impl Up {
    /// Sets a configuration key.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.command.arg("--set").arg(format!("{key}={}", value.to_string()));
        self
    }

    /// Sets the address to listen on.
    pub fn http(mut self, address: &str) -> Self {
        self.http = address.into();
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Node {
        self.try_start().unwrap_or_else(|done| panic!("the node did not start: {done:?}"))
    }

    /// Starts it and waits until it is ready or has ended.
    ///
    /// # Errors
    /// How it ended.
    pub fn try_start(self) -> Result<Node, Done> {
        let data = self.data.clone();
        let mut running = self.begin();
        let Some(line) = running.line() else { return Err(running.wait()) };
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("the ready line: {e}: {line}"));
        Ok(Node { running, ready, data })
    }

    /// Starts it although it must fail, and waits for its end.
    #[track_caller]
    pub fn fail(self) -> Done {
        let mut running = self.begin();
        if let Some(line) = running.line() {
            panic!("the node started: {line}");
        }
        running.wait()
    }

    fn begin(mut self) -> Running {
        self.command.args(["--http", &self.http]).stdin(Stdio::piped());
        Running::start(self.command)
    }
}

/// A node that is ready.
pub struct Node {
    running: Running,
    ready: Value,
    data: PathBuf,
}

impl Node {
    /// The ready line.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.ready["http_url"].as_str().expect("the ready line has a URL")
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        let address = self.url().strip_prefix("http://").expect("plain HTTP on loopback");
        address.parse().expect("an address and a port")
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its federation's id.
    pub fn federation(&self) -> &str {
        self.ready["federation_id"].as_str().expect("the ready line has a federation")
    }

    /// Its peer id.
    pub fn peer_id(&self) -> &str {
        self.ready["peer_id"].as_str().expect("the ready line has a peer id")
    }

    /// Where its mesh listens.
    pub fn listening(&self) -> Vec<String> {
        let addresses = self.ready["listen_addrs"].as_array().expect("the ready line has addresses");
        addresses.iter().map(|address| address.as_str().expect("text").to_owned()).collect()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.child.id()
    }

    /// The operator's token.
    pub fn operator_token(&self) -> String {
        let file = self.ready["operator_token_file"].as_str().expect("the ready line names the token's file");
        std::fs::read_to_string(file).expect("the operator's token can be read").trim().to_owned()
    }

    /// A client with the operator's token.
    pub fn operator(&self) -> Client {
        Client::new(self.address()).with_bearer(&self.operator_token())
    }

    /// A client without a token.
    pub fn anonymous(&self) -> Client {
        Client::new(self.address())
    }

    /// Ends it as a power switch ends a process: at once.
    pub fn kill(mut self) {
        self.running.child.kill().expect("it is our child");
        let done = self.running.wait();
        assert_eq!(done.code, None, "it was killed: {done:?}");
    }

    /// Asks it to stop and waits for its end.
    #[track_caller]
    pub fn stop(self) -> Done {
        let pid = i32::try_from(self.running.child.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(pid).expect("not zero");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is our child");
        self.running.wait()
    }
}

/// A child process whose output is read as it comes. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    _stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            // A closed pipe is the end of the process, which others see better.
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut pipe = child.stderr.take().expect("piped");
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Running { _stdin: child.stdin.take(), child, lines, stderr: Some(stderr) }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of stdout; nothing when there will be none.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {DEADLINE:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn wait(mut self) -> Done {
        let mut stdout = String::new();
        let end = Instant::now() + 4 * DEADLINE;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let status: ExitStatus =
            until("the end of the process", || self.child.try_wait().expect("it is our child"));
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Done { code: status.code(), stdout, stderr }
    }
}

impl Drop for Running {
    #[allow(clippy::print_stderr, reason = "beside the panic's own words")]
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Some(said) = self.stderr.take().and_then(|thread| thread.join().ok())
        {
            // What it said may tell why the test failed.
            eprintln!("process {}: {said}", self.child.id());
        }
    }
}
