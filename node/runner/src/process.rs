//! A child as its parent holds it: started with nothing of the parent's, spoken to in bounded frames, gone when it is dropped.

use crate::child::ARGUMENT;
use crate::message::{Boot, READY_BYTES_MAX, Ready};
use crate::outcome::{Death, WallMissing};
use crate::walls::Walls;
use crate::wire::{HEAD_BYTES, announced, framed};
use artel_protocol::id::Digest;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a child may take until its walls stand (10 s; it takes milliseconds). On a machine that is slower than that no step
/// runs.
const START_MS_MAX: u64 = 10_000;

/// How long a child may take to end by itself once it has answered, or closed its end. Then it is killed.
const END_MS_MAX: u64 = 1000;

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartFailed {
    #[error(transparent)]
    Wall(#[from] WallMissing),
    #[error("{0}")]
    Process(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Died(Death),
    Nonsense,
    Late,
}

/// A running child whose walls stand.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    to: ChildStdin,
    from: ChildStdout,
    pub walls: Walls,
    pub profile: Digest,
}

impl Child {
    /// Starts a child and waits until its walls stand.
    pub async fn start(program: &Path, boot: &Boot) -> Result<Self, StartFailed> {
        let process = |error: std::io::Error| StartFailed::Process(format!("{}: {error}", program.display()));
        // Every descriptor of ours is closed on exec; the child closes what others may have left it.
        let mut process = Command::new(program)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(process)?;
        let (Some(to), Some(from)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(StartFailed::Process("no pipes".to_owned()));
        };
        let mut child = Child { process, to, from, walls: Walls::NONE, profile: Digest::default() };
        let answer =
            timeout(Duration::from_millis(START_MS_MAX), child.ask(boot.encode(), READY_BYTES_MAX)).await;
        match answer
            .unwrap_or(Err(NoAnswer::Late))
            .and_then(|bytes| Ready::decode(&bytes).map_err(|_| NoAnswer::Nonsense))
        {
            Ok(Ready::Up { walls, profile }) => {
                (child.walls, child.profile) = (walls, profile);
                Ok(child)
            }
            Ok(Ready::Missing(missing)) => Err(missing.into()),
            Ok(Ready::Broken(why)) => Err(StartFailed::Process(why)),
            Err(NoAnswer::Died(death)) => {
                Err(StartFailed::Process(format!("it died while its walls went up ({death})")))
            }
            Err(NoAnswer::Nonsense) => Err(StartFailed::Process("it is no runner's child".to_owned())),
            Err(NoAnswer::Late) => Err(StartFailed::Process("its walls do not go up in time".to_owned())),
        }
    }

    /// Whether it still waits for a request.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Sends a message and waits for the answer. Not to be cancelled and asked again: a child answers once.
    pub async fn ask(&mut self, message: Vec<u8>, max: u64) -> Result<Vec<u8>, NoAnswer> {
        let frame = framed(message);
        // A child that dies while it is written to is seen below.
        let _ = self.to.write_all(&frame).await;
        self.hear(max).await
    }

    /// Waits for a message of at most `max` bytes.
    pub async fn hear(&mut self, max: u64) -> Result<Vec<u8>, NoAnswer> {
        let mut head = [0; HEAD_BYTES];
        if self.from.read_exact(&mut head).await.is_err() {
            return Err(NoAnswer::Died(self.death().await));
        }
        let length = announced(head, max).map_err(|_| NoAnswer::Nonsense)?;
        // What has not come is not allocated.
        let mut message = Vec::with_capacity(length.min(1 << 20));
        let read = (&mut self.from).take(length as u64).read_to_end(&mut message).await;
        if read.is_err() || message.len() < length {
            return Err(NoAnswer::Died(self.death().await));
        }
        Ok(message)
    }

    /// How it ended, when it has closed its end.
    async fn death(&mut self) -> Death {
        match timeout(Duration::from_millis(END_MS_MAX), self.process.wait()).await {
            Ok(Ok(status)) => death(status),
            _ => Death::Unknown,
        }
    }

    /// Lets it end by itself, apart from whoever waits for its answer.
    pub fn let_go(mut self) {
        tokio::spawn(async move {
            let _ = timeout(Duration::from_millis(END_MS_MAX), self.process.wait()).await;
        });
    }
}

fn death(status: ExitStatus) -> Death {
    match (status.signal(), status.code()) {
        (Some(signal), _) => Death::Signal(signal),
        (None, Some(code)) => Death::Exit(code),
        (None, None) => Death::Unknown,
    }
}
