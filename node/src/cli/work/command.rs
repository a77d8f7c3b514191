//! Running one step's command: JSON on its stdin, JSON from its stdout. It ends with its shell, and with this worker, also where that
//! is killed: what is left of its process group is killed then. What it writes is read up to the limit of an output and no further.

use crate::traces;
use artel_protocol::id::StepId;
use artel_protocol::limits::OUTPUT_BYTES_MAX;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde_json::value::RawValue;
use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long the output is read after the shell has ended (1 s). What it has written is there then; what holds its end open is some
/// process in the background, which may do so for ever.
const OUTPUT_AFTER_END: Duration = Duration::from_secs(1);

/// What kills a command when this worker is gone: a shell that waits for the end of its standard input, which only this worker holds
/// open. It leads the command's process group, so it is there before the command is, and kills that group with itself.
const LEASH: &str = "read -r _; kill -s KILL 0";

/// The task that a step is.
fn task_of(step: &RawValue) -> Option<StepId> {
    #[derive(serde::Deserialize)]
    struct Step {
        task_id: String,
    }
    let step: Step = serde_json::from_str(step.get()).ok()?;
    StepId::parse(&step.task_id).ok()
}

/// A command that runs. Dropping it ends it.
pub(super) struct Running {
    child: Child,
    leash: Child,
    /// The leash's, which is not reaped before its group is killed: its number could be another's then.
    group: Pid,
    /// Cancelled once the shell has ended.
    ended: CancellationToken,
    stdout: ChildStdout,
}

impl Running {
    /// Starts the command and hands it the step.
    pub fn start(command: &str, step: &RawValue, node: &str, token: &str) -> std::io::Result<Self> {
        let leash = Command::new("sh")
            .args(["-c", LEASH])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = pid_of(&leash)?;
        let mut child = Command::new("sh")
            .args(["-c", command])
            // What it says to a collector, and whom it calls, is of the task's trace.
            .envs(task_of(step).map(|task| (traces::VARIABLE, traces::parent(&task))))
            .env("ARTEL_NODE", node)
            .env(crate::cli::context::TOKEN_VARIABLE, token)
            // It calls as this agent, whatever else the environment names.
            .env_remove("ARTEL_TOKEN_FILE")
            .env_remove("ARTEL_KEY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(group.as_raw_nonzero().get())
            .kill_on_drop(true)
            .spawn()?;
        let shell = pid_of(&child)?;
        let ended = CancellationToken::new();
        tokio::task::spawn_blocking({
            let ended = ended.clone().drop_guard();
            move || {
                let left = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                while matches!(waitid(WaitId::Pid(shell), left), Err(rustix::io::Errno::INTR)) {}
                drop(ended);
            }
        });
        let mut stdin = child.stdin.take().expect("stdin was asked for");
        let stdout = child.stdout.take().expect("stdout was asked for");
        // A line, for those who read one.
        let step = format!("{}\n", step.get());
        tokio::spawn(async move {
            // A command that does not read its step to the end may still do its work.
            let _ = stdin.write_all(step.as_bytes()).await;
        });
        Ok(Running { child, leash, group, ended, stdout })
    }

    /// Waits for the end and reads the output.
    ///
    /// Dropping the future and calling again goes on where it was, but for output that was read in between; whoever
    /// needs it keeps the future.
    ///
    /// # Errors
    /// A sentence that says why there is no output.
    pub async fn output(&mut self) -> Result<Box<RawValue>, String> {
        let mut bytes = Vec::new();
        let mut stdout = (&mut self.stdout).take(OUTPUT_BYTES_MAX as u64 + 1);
        let read = {
            let read = stdout.read_to_end(&mut bytes);
            tokio::pin!(read);
            tokio::select! {
                read = read.as_mut() => read,
                () = self.ended.cancelled() => timeout(OUTPUT_AFTER_END, read).await.unwrap_or(Ok(0)),
            }
        };
        read.map_err(|e| format!("its output cannot be read: {e}"))?;
        if bytes.len() > OUTPUT_BYTES_MAX {
            return Err(format!(
                "it wrote more than {OUTPUT_BYTES_MAX} bytes; put large results into artifacts"
            ));
        }
        self.ended.cancelled().await;
        self.kill_group();
        let status = self.child.wait().await.map_err(|e| format!("its end cannot be told: {e}"))?;
        if !status.success() {
            return Err(format!("it failed ({status})"));
        }
        let text = String::from_utf8(bytes).map_err(|_| "its output is not UTF-8".to_owned())?;
        RawValue::from_string(text.trim().to_owned()).map_err(|e| format!("its output is not JSON: {e}"))
    }
}

impl Running {
    /// Kills all that is left of it, the leash as well.
    fn kill_group(&mut self) {
        if self.leash.id().is_some() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    pid.ok_or_else(|| io::Error::other("it has no number"))
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn output(command: &str) -> Result<String, String> {
        let step = RawValue::from_string(r#"{"input":{"n": 1.10}}"#.into()).expect("JSON");
        let mut running = Running::start(command, &step, "http://node", "secret").expect("sh starts");
        running.output().await.map(|o| o.get().to_owned())
    }

    #[tokio::test]
    async fn a_command_gets_its_step_and_its_output_is_kept_as_it_is() {
        assert_eq!(output("cat").await.as_deref(), Ok(r#"{"input":{"n": 1.10}}"#));
        assert_eq!(
            output("printf '\"%s %s\"' $ARTEL_NODE $ARTEL_TOKEN").await.as_deref(),
            Ok("\"http://node secret\"")
        );
    }

    #[tokio::test]
    async fn a_command_works_in_its_tasks_trace() {
        let step = r#"{"task_id":"019c7aeb-ce00-7707-8707-070707070701"}"#;
        let step = RawValue::from_string(step.into()).expect("JSON");
        let command = "printf '\"%s\"' $TRACEPARENT";
        let mut running = Running::start(command, &step, "http://node", "secret").expect("sh starts");
        let said = running.output().await.map(|o| o.get().to_owned()).expect("an output");
        let task = StepId::parse("019c7aeb-ce00-7707-8707-070707070701").expect("a step's id");
        assert_eq!(said, format!("\"{}\"", traces::parent(&task)));
    }

    #[tokio::test]
    async fn what_is_no_result_says_why() {
        for (command, why) in [
            ("exit 3", "failed"),
            ("kill -9 $$", "failed"),
            ("echo hello", "not JSON"),
            ("printf '\\377'", "not UTF-8"),
            ("true", "not JSON"),
            ("yes", "more than"),
        ] {
            let error = output(command).await.expect_err(command);
            assert!(error.contains(why), "{command}: {error}");
        }
    }

    /// A fifo that a grandchild opens for writing, and what is seen of it: "open", then "end" when the grandchild is gone.
    fn watched(dir: &std::path::Path) -> (std::path::PathBuf, std::sync::mpsc::Receiver<&'static str>) {
        let pipe = dir.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let (tell, told) = std::sync::mpsc::channel();
        // A thread of its own: where the grandchild lives on, its read is not waited for.
        std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut opened = std::fs::File::open(&pipe).expect("the grandchild opens it");
                tell.send("open").expect("somebody waits");
                let _ = std::io::copy(&mut opened, &mut std::io::sink());
                let _ = tell.send("end");
            }
        });
        (pipe, told)
    }

    const WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_dropped_command_ends_with_all_its_children() {
        let dir = tempfile::tempdir().expect("a directory");
        let (pipe, told) = watched(dir.path());
        let command = format!("(exec 3>{}; exec sleep 600) & exec sleep 600", pipe.display());
        let step = RawValue::from_string("{}".into()).expect("JSON");
        let running = Running::start(&command, &step, "", "").expect("sh starts");
        assert_eq!(told.recv_timeout(WITHIN), Ok("open"));
        drop(running);
        assert_eq!(told.recv_timeout(WITHIN), Ok("end"), "the grandchild lives on");
    }

    #[tokio::test]
    async fn a_command_ends_when_its_worker_is_killed() {
        const PIPE: &str = "ARTEL_TEST_PIPE";
        if let Ok(pipe) = std::env::var(PIPE) {
            // This is the worker.
            let _ = output(&format!("exec 3>{pipe}; exec sleep 600")).await;
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let (pipe, told) = watched(dir.path());
        let mut worker = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "cli::work::command::tests::a_command_ends_when_its_worker_is_killed"])
            .env(PIPE, &pipe)
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        assert_eq!(told.recv_timeout(WITHIN), Ok("open"));
        worker.kill().expect("killed");
        worker.wait().expect("gone");
        assert_eq!(told.recv_timeout(WITHIN), Ok("end"), "its command lives on");
    }

    #[tokio::test]
    async fn a_command_ends_with_its_shell_whatever_that_left_in_the_background() {
        for to in ["", ">/dev/null"] {
            let dir = tempfile::tempdir().expect("a directory");
            let (pipe, told) = watched(dir.path());
            // The shell goes on when the one in the background has opened its own pipe, and holds the output open or not.
            let ready = dir.path().join("ready");
            let command = format!(
                "mkfifo {ready}; (exec 3>{pipe}; echo >{ready}; exec sleep 600) {to} & read _ <{ready}; echo 1",
                ready = ready.display(),
                pipe = pipe.display()
            );
            let output = timeout(WITHIN, output(&command)).await;
            assert_eq!(output.expect("it ends").as_deref(), Ok("1"), "{to:?}");
            assert_eq!(told.recv_timeout(WITHIN), Ok("open"));
            assert_eq!(told.recv_timeout(WITHIN), Ok("end"), "{to:?}: the one in the background lives on");
        }
    }
}
