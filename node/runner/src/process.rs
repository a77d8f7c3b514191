//! A child as its parent holds it: started with nothing of the parent's, spoken to in bounded frames, gone when it is dropped.

use crate::Limits;
use crate::child::ARGUMENT;
use crate::guest::{End, Report};
use crate::message::{
    Boot, COMPILED_BYTES_MAX, LOADED, Order, READY_BYTES_MAX, Ready, decode_compiled, decode_number,
};
use crate::outcome::{Death, WallMissing};
use crate::step::Given;
use crate::walls::Walls;
use crate::wire::{HEAD_BYTES, announced};
use artel_protocol::id::Digest;
use std::io::IoSlice;
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
        let boot = boot.encode();
        let asked = async {
            child.tell(&[&boot]).await;
            child.hear(READY_BYTES_MAX).await
        };
        let answer = timeout(Duration::from_millis(START_MS_MAX), asked).await;
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

    /// Sends bytes, one part after the other, without putting them together first.
    pub async fn tell(&mut self, parts: &[&[u8]]) {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            match self.to.write_vectored(rest).await {
                Ok(count) if count > 0 => IoSlice::advance_slices(&mut rest, count),
                // A child that dies while it is written to is seen by whoever waits for its answer.
                _ => return,
            }
        }
    }

    /// Waits for a message of at most `max` bytes.
    pub async fn hear(&mut self, max: u64) -> Result<Vec<u8>, NoAnswer> {
        let mut head = [0; HEAD_BYTES];
        if self.from.read_exact(&mut head).await.is_err() {
            return Err(NoAnswer::Died(self.death().await));
        }
        self.hear_bytes(announced(head, max).map_err(|_| NoAnswer::Nonsense)?).await
    }

    /// Waits for as many bytes as a message has announced.
    pub async fn hear_bytes(&mut self, count: usize) -> Result<Vec<u8>, NoAnswer> {
        // What has not come is not allocated.
        let mut bytes = Vec::with_capacity(count.min(1 << 20));
        let read = (&mut self.from).take(count as u64).read_to_end(&mut bytes).await;
        if read.is_err() || bytes.len() < count {
            return Err(NoAnswer::Died(self.death().await));
        }
        Ok(bytes)
    }

    /// Has it load compiled code and waits until it has. It runs no other after that.
    pub async fn load(&mut self, code: &[u8]) -> Result<(), NoAnswer> {
        let order = Order::Take { bytes: code.len() as u64 }.encode();
        self.tell(&[&order, code]).await;
        self.hear_loaded().await
    }

    async fn hear_loaded(&mut self) -> Result<(), NoAnswer> {
        let said = self.hear(size_of::<u64>() as u64).await?;
        if decode_number(&said) == Ok(LOADED) { Ok(()) } else { Err(NoAnswer::Nonsense) }
    }

    /// Has it run a step: what it has loaded, or `code`. A child does that once.
    pub async fn run(
        &mut self,
        code: Option<&[u8]>,
        stdin: &[u8],
        files: &[Given],
        deadline_ms: u64,
        limits: &Limits,
    ) -> Result<Report, NoAnswer> {
        let take = Order::Take { bytes: code.map_or(0, <[u8]>::len) as u64 }.encode();
        let run = Order::run(stdin, files, deadline_ms).encode();
        // All in one go, so that the child is woken once.
        let mut parts: Vec<&[u8]> = Vec::with_capacity(4 + files.len());
        if let Some(code) = code {
            parts.extend([take.as_slice(), code]);
        }
        parts.extend([run.as_slice(), stdin]);
        parts.extend(files.iter().map(|file| &*file.bytes));
        self.tell(&parts).await;
        if code.is_some() {
            self.hear_loaded().await?;
        }
        let said = self.hear(limits.report_bytes_max()).await?;
        let (mut report, follow) = Report::decode(&said, limits).map_err(|_| NoAnswer::Nonsense)?;
        if let End::Done { artifacts, .. } = &mut report.end {
            for (artifact, count) in artifacts.iter_mut().zip(follow) {
                artifact.bytes =
                    self.hear_bytes(usize::try_from(count).map_err(|_| NoAnswer::Nonsense)?).await?;
            }
        }
        Ok(report)
    }

    /// Has it compile a module. A child does that once.
    pub async fn compile(
        &mut self,
        module: &[u8],
        limits: &Limits,
    ) -> Result<Result<Vec<u8>, String>, NoAnswer> {
        let order = Order::Take { bytes: module.len() as u64 }.encode();
        self.tell(&[&order, module]).await;
        let said = self.hear(COMPILED_BYTES_MAX).await?;
        Ok(match decode_compiled(&said).map_err(|_| NoAnswer::Nonsense)? {
            Ok(count) if count <= limits.code_bytes => {
                Ok(self.hear_bytes(usize::try_from(count).map_err(|_| NoAnswer::Nonsense)?).await?)
            }
            Ok(_) => return Err(NoAnswer::Nonsense),
            Err(why) => Err(why),
        })
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
