//! Running one step's command: JSON on its stdin, JSON from its stdout, its whole process group ended when it must end.
//! What it writes is read up to the limit of an output and no further.

use artel_protocol::limits::OUTPUT_BYTES_MAX;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::value::RawValue;
use std::process::Stdio;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdout, Command};

/// A command that runs. Dropping it ends it.
pub(super) struct Running {
    child: Child,
    group: Option<Pid>,
    stdout: ChildStdout,
}

impl Running {
    /// Starts the command and hands it the step.
    pub fn start(command: &str, step: &RawValue, node: &str, token: &str) -> std::io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", command])
            .env("ARTEL_NODE", node)
            .env(crate::cli::context::TOKEN_VARIABLE, token)
            // It calls as this agent, whatever else the environment names.
            .env_remove("ARTEL_TOKEN_FILE")
            .env_remove("ARTEL_KEY")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut stdin = child.stdin.take().expect("stdin was asked for");
        let stdout = child.stdout.take().expect("stdout was asked for");
        // A line, for those who read one.
        let step = format!("{}\n", step.get());
        tokio::spawn(async move {
            // A command that does not read its step to the end may still do its work.
            let _ = stdin.write_all(step.as_bytes()).await;
        });
        Ok(Running { child, group, stdout })
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
        stdout.read_to_end(&mut bytes).await.map_err(|e| format!("its output cannot be read: {e}"))?;
        if bytes.len() > OUTPUT_BYTES_MAX {
            return Err(format!(
                "it wrote more than {OUTPUT_BYTES_MAX} bytes; put large results into artifacts"
            ));
        }
        let status = self.child.wait().await.map_err(|e| format!("its end cannot be told: {e}"))?;
        if !status.success() {
            return Err(format!("it failed ({status})"));
        }
        let text = String::from_utf8(bytes).map_err(|_| "its output is not UTF-8".to_owned())?;
        RawValue::from_string(text.trim().to_owned()).map_err(|e| format!("its output is not JSON: {e}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A finished command's number may be another's by now; an unfinished one's is its own.
        if let Some(group) = self.group.filter(|_| self.child.id().is_some()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
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

    #[tokio::test]
    async fn a_dropped_command_ends_with_all_its_children() {
        let dir = tempfile::tempdir().expect("a directory");
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        // The grandchild holds the fifo open for writing: the reader sees its end when it is gone.
        let command = format!("(exec 3>{}; exec sleep 600) & exec sleep 600", pipe.display());
        let step = RawValue::from_string("{}".into()).expect("JSON");
        let running = Running::start(&command, &step, "", "").expect("sh starts");
        let (tell, told) = std::sync::mpsc::channel();
        // A thread of its own: where the grandchild lives on, its read is not waited for.
        std::thread::spawn(move || {
            let mut opened = std::fs::File::open(&pipe).expect("the grandchild opens it");
            tell.send("open").expect("somebody waits");
            let _ = std::io::copy(&mut opened, &mut std::io::sink());
            let _ = tell.send("end");
        });
        let within = std::time::Duration::from_secs(30);
        assert_eq!(told.recv_timeout(within), Ok("open"));
        drop(running);
        assert_eq!(told.recv_timeout(within), Ok("end"), "the grandchild lives on");
    }
}
