//! One slot of a worker: claim, run, renew, hand in, and ask for the next in the same breath. A result is kept and sent
//! again until the node has answered for it; nothing is asked for twice in a row without waiting.

use super::command::Running;
use super::sandbox::{Sandbox, Work};
use super::session::{Backoff, Session};
use super::{Stop, Tell};
use crate::client::{Client, Error};
use artel_protocol::id::Digest;
use artel_protocol::limits::STEP_ARTIFACTS_MAX;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one claim waits at the node, in milliseconds. Nodes cut longer waits to 30 s.
const WAIT_MS: u64 = 25_000;
/// A lease is renewed after this part of its term, so that two renewals may fail before it lapses.
const RENEWALS_PER_TERM: u32 = 3;
/// The longest pause after commands that failed one after the other.
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long one task's verdict is waited for: a home judges within ten minutes unless it is configured otherwise.
const VERDICT_WAIT: Duration = Duration::from_secs(15 * 60);
/// How often a task that is given back is offered to a node that does not answer; then its lease lapses by itself.
const RELEASE_ATTEMPTS: u32 = 3;

/// What is looked at in a lease; the command gets all of it.
#[derive(Deserialize)]
struct Lease {
    task_id: String,
    epoch: u32,
    lease_ms: u32,
    title: String,
}

#[derive(Serialize)]
struct Submission<'a> {
    epoch: u32,
    output: &'a RawValue,
    artifacts: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_next: Option<ClaimNext>,
}

#[derive(Serialize)]
struct ClaimNext {
    wait_ms: u64,
}

#[derive(Deserialize)]
struct Submitted {
    acknowledgement: Option<IgnoredAny>,
    receipt: Option<Verdict>,
    next: Option<Box<RawValue>>,
}

/// What is looked at in a task whose verdict is waited for.
#[derive(Deserialize)]
struct Judged {
    #[serde(default)]
    submissions: Vec<JudgedSubmission>,
}

#[derive(Deserialize)]
struct JudgedSubmission {
    epoch: u32,
    verdict: Option<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    accepted: bool,
    paid: Box<RawValue>,
    findings: Option<String>,
}

/// How a step's work ended here.
enum Outcome {
    /// It was handed in and accepted, or waits for its home; perhaps with the next step.
    Done(Option<Box<RawValue>>),
    /// It was handed in and is still to be judged; perhaps with the next step.
    Unjudged(Option<Box<RawValue>>),
    /// It was handed in and rejected.
    Rejected(Option<Box<RawValue>>, String),
    /// There was no result, or the node did not want it.
    Failed(String),
    /// It was given back because the worker stops.
    Stopped,
}

/// Who does the work.
#[derive(Clone)]
pub(super) enum Doer {
    /// A command of the agent's.
    Command(String),
    /// This program's sandbox.
    Sandbox(Arc<Sandbox>),
}

impl Doer {
    /// The claim of the next task. What the sandbox would not run, whatever it is, is left to others.
    fn claim(&self) -> Value {
        let home = match self {
            Doer::Sandbox(sandbox) => sandbox.only_home(),
            Doer::Command(_) => None,
        };
        match home {
            Some(home) => json!({"wait_ms": WAIT_MS, "home": home.to_string()}),
            None => json!({"wait_ms": WAIT_MS}),
        }
    }
}

pub(super) struct Slot {
    session: Arc<Session>,
    stop: Stop,
    tell: Tell,
    doer: Doer,
}

impl Slot {
    pub fn new(session: Arc<Session>, stop: Stop, tell: Tell, doer: Doer) -> Self {
        Slot { session, stop, tell, doer }
    }

    /// Works until the stop.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut next = None;
        let mut failures = 0;
        loop {
            let step = match next.take() {
                Some(step) => step,
                None => match self.claim().await? {
                    Some(step) => step,
                    None => return Ok(()),
                },
            };
            failures = match self.work(&step, true).await? {
                Outcome::Done(following) | Outcome::Unjudged(following) => {
                    next = following;
                    0
                }
                Outcome::Rejected(following, _) => {
                    next = following;
                    failures + 1
                }
                Outcome::Failed(_) => failures + 1,
                Outcome::Stopped => return Ok(()),
            };
            if failures > 0 && next.is_none() {
                let pause = Duration::from_millis(250 << failures.min(10)).min(FAILURE_PAUSE_MAX);
                if self.pause(pause).await {
                    return Ok(());
                }
            }
        }
    }

    /// Does one task.
    pub async fn run_once(self) -> anyhow::Result<()> {
        let Some(step) = self.claim().await? else { return Ok(()) };
        match self.work(&step, false).await? {
            Outcome::Done(_) => Ok(()),
            Outcome::Unjudged(_) => self.verdict(serde_json::from_str(step.get())?).await,
            Outcome::Rejected(_, why) => anyhow::bail!("the result was rejected: {why}"),
            Outcome::Failed(why) => anyhow::bail!("{why}"),
            Outcome::Stopped => anyhow::bail!("stopped before the task was done; it was given back"),
        }
    }

    /// Waits for a step; none when the worker stops.
    async fn claim(&self) -> anyhow::Result<Option<Box<RawValue>>> {
        let mut backoff = Backoff::new();
        while !self.stop.soft.is_cancelled() {
            let client = self.session.client().await;
            let body = self.doer.claim();
            // Dropping the request takes the claim back at the node.
            let answer = tokio::select! {
                answer = client.post("/v1/tasks/claim", &body, WAIT_MS) => answer,
                () = self.stop.soft.cancelled() => return Ok(None),
            };
            match answer {
                Ok(Some(text)) => return Ok(Some(RawValue::from_string(text)?)),
                Ok(None) => backoff = Backoff::new(),
                // As many leases as the agent may hold are held already, by other processes under the same key.
                Err(Error::Refused { code, .. }) if code == "capacity_full" => {
                    self.pause(backoff.next(None)).await;
                }
                Err(error) => self.mend(&client, error, &mut backoff).await?,
            }
        }
        Ok(None)
    }

    /// After an error: waits for a node that is away, gets a new token for one that is no longer good, or gives up.
    async fn mend(&self, client: &Client, error: Error, backoff: &mut Backoff) -> anyhow::Result<()> {
        if let Error::Refused { status: 401, .. } = error {
            self.refresh(client).await?;
            // A node that takes no token of its own making is not to be enrolled at in a tight loop.
            self.pause(backoff.next(None)).await;
            return Ok(());
        }
        if !error.is_passing() {
            return Err(error.into());
        }
        let pause = backoff.next(error.retry_after());
        // Who ends together with its node does not wait for it.
        if !self.stop.soft.is_cancelled() {
            self.session.away(&error.into());
        }
        self.pause(pause).await;
        Ok(())
    }

    /// Gets a new token, unless the node is away.
    async fn refresh(&self, client: &Client) -> anyhow::Result<()> {
        match self.session.refresh(client).await {
            Err(error) if error.downcast_ref::<Error>().is_some_and(Error::is_passing) => Ok(()),
            other => other,
        }
    }

    /// Sleeps, and says whether the worker is to stop.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = self.stop.soft.cancelled() => true,
        }
    }

    async fn work(&self, step: &RawValue, more: bool) -> anyhow::Result<Outcome> {
        let lease: Lease = serde_json::from_str(step.get())?;
        let about = json!({"task_id": lease.task_id, "epoch": lease.epoch, "title": lease.title});
        self.tell.event("claimed", about, &format!("claimed {} ({})", lease.task_id, lease.title));
        let client = self.session.client().await;
        let token = client.token().unwrap_or_default();
        let ended = match &self.doer {
            Doer::Command(command) => match Running::start(command, step, client.base(), token) {
                Ok(mut running) => {
                    let output = async {
                        let output = running.output().await?;
                        Ok(Work { artifacts: artifacts_of(&output), output })
                    };
                    self.attend(output, &lease).await
                }
                Err(error) => Ended::Bad(format!("the command cannot be started: {error}")),
            },
            // Dropping it ends the step's process.
            Doer::Sandbox(sandbox) => self.attend(sandbox.run(&client, step, self.tell), &lease).await,
        };
        match ended {
            Ended::Done(work) => self.submit(&lease, &work, more).await,
            Ended::Bad(why) => {
                self.release(&lease, &why).await;
                Ok(Outcome::Failed(format!("task {} was given back: {why}", lease.task_id)))
            }
            Ended::Lost(why) => Ok(self.lost(&lease, &why)),
            Ended::Stopped => {
                self.release(&lease, "the worker stops").await;
                Ok(Outcome::Stopped)
            }
        }
    }

    /// Lets the work go on, renewing the lease meanwhile.
    async fn attend(&self, work: impl Future<Output = Result<Work, String>>, lease: &Lease) -> Ended {
        let interval = Duration::from_millis(u64::from(lease.lease_ms / RENEWALS_PER_TERM).max(1));
        let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(work);
        let mut renewing = true;
        loop {
            tokio::select! {
                done = &mut work => {
                    return match done {
                        Ok(work) => Ended::Done(work),
                        Err(why) => Ended::Bad(why),
                    };
                }
                () = self.stop.hard.cancelled() => return Ended::Stopped,
                _ = timer.tick(), if renewing => match self.renew(lease, interval).await {
                    Ok(()) => {}
                    Err(Error::Refused { code, .. }) if code == "renewal_spent" => renewing = false,
                    Err(Error::Refused { status: 401, .. }) => {
                        let stale = self.session.client().await;
                        // The next renewal tries again, should this one find no new token.
                        let _ = self.session.refresh(&stale).await;
                    }
                    // A node that is away may be back in time, and a restarted one gives every lease a full term.
                    Err(error) if error.is_passing() => {}
                    Err(error) => return Ended::Lost(error.to_string()),
                },
            }
        }
    }

    async fn renew(&self, lease: &Lease, within: Duration) -> Result<(), Error> {
        let client = self.session.client().await;
        let (path, body) = (format!("/v1/tasks/{}/renew", lease.task_id), json!({"epoch": lease.epoch}));
        let asked = client.post(&path, &body, 0);
        match tokio::time::timeout(within, asked).await {
            Ok(answer) => answer.map(drop),
            // A node that hangs must not keep the command's end from being seen.
            Err(_) => Ok(()),
        }
    }

    /// Hands a result in, again and again until there is an answer.
    async fn submit(&self, lease: &Lease, work: &Work, more: bool) -> anyhow::Result<Outcome> {
        let Work { output, artifacts } = work;
        let path = format!("/v1/tasks/{}/submit", lease.task_id);
        let mut backoff = Backoff::new();
        let answer = loop {
            let client = self.session.client().await;
            let more = more && !self.stop.soft.is_cancelled();
            // Not to be waited for here: the answer to this result should not hang on there being a next task.
            let claim_next = more.then_some(ClaimNext { wait_ms: 0 });
            let submission = Submission { epoch: lease.epoch, output, artifacts, claim_next };
            let answer = client.post(&path, &submission, 0).await;
            match answer {
                Ok(answer) => break answer.unwrap_or_default(),
                Err(Error::Refused { status, code, message, .. })
                    if status != 401 && status != 429 && status < 500 =>
                {
                    let why = format!("{message} ({code})");
                    if matches!(code.as_str(), "stale_epoch" | "already_submitted" | "finished" | "not_found")
                    {
                        return Ok(self.lost(lease, &why));
                    }
                    self.release(lease, &why).await;
                    return Ok(Outcome::Failed(format!(
                        "the result of {} was not taken: {why}",
                        lease.task_id
                    )));
                }
                Err(error @ Error::Foreign { .. }) => return Err(error.into()),
                Err(error) => {
                    if let Error::Refused { status: 401, .. } = error {
                        self.refresh(&client).await?;
                    }
                    let pause = backoff.next(error.retry_after());
                    self.session.away(&error.into());
                    // Not `pause`: a result is not given up because the worker is to stop soon.
                    tokio::select! {
                        () = tokio::time::sleep(pause) => (),
                        () = self.stop.hard.cancelled() => anyhow::bail!("stopped before the node took the result of {}", lease.task_id),
                    }
                }
            }
        };
        let submitted: Submitted = serde_json::from_str(&answer)?;
        let next = self.keep_or_release(submitted.next).await;
        Ok(match submitted.receipt {
            Some(verdict) if !verdict.accepted => {
                let why = verdict.findings.unwrap_or_default();
                let about = json!({"task_id": lease.task_id, "epoch": lease.epoch, "accepted": false, "findings": why});
                self.tell.event("submitted", about, &format!("rejected {}: {why}", lease.task_id));
                Outcome::Rejected(next, why)
            }
            verdict => {
                let (accepted, paid) = (verdict.is_some(), verdict.map(|v| v.paid));
                let shown = match (&paid, &submitted.acknowledgement) {
                    (Some(paid), _) => format!("paid {}", paid.get()),
                    (None, Some(_)) => "to be judged".into(),
                    (None, None) => "waits for its home".into(),
                };
                let about = json!({"task_id": lease.task_id, "epoch": lease.epoch, "accepted": accepted.then_some(true), "paid": paid});
                self.tell.event("submitted", about, &format!("submitted {} ({shown})", lease.task_id));
                let to_be_judged = !accepted && submitted.acknowledgement.is_some();
                if to_be_judged { Outcome::Unjudged(next) } else { Outcome::Done(next) }
            }
        })
    }

    /// Waits for the verdict on what was handed in. That of another home's task is not told here.
    async fn verdict(&self, lease: Lease) -> anyhow::Result<()> {
        let path = format!("/v1/tasks/{}", lease.task_id);
        let (begun, mut backoff) = (Instant::now(), Backoff::new());
        while begun.elapsed() < VERDICT_WAIT {
            let client = self.session.client().await;
            match client.get::<Judged>(&path).await {
                Ok(task) => {
                    let mine =
                        task.submissions.into_iter().find(|submission| submission.epoch == lease.epoch);
                    match mine.and_then(|submission| submission.verdict) {
                        Some(verdict) if verdict.accepted => {
                            let paid = verdict.paid.get();
                            let about = json!({"task_id": lease.task_id, "epoch": lease.epoch, "accepted": true, "paid": verdict.paid});
                            self.tell.event(
                                "judged",
                                about,
                                &format!("accepted {} (paid {paid})", lease.task_id),
                            );
                            return Ok(());
                        }
                        Some(verdict) => {
                            anyhow::bail!("the result was rejected: {}", verdict.findings.unwrap_or_default())
                        }
                        None => {}
                    }
                }
                Err(Error::Refused { status: 403 | 404, .. }) => {
                    let about = json!({"task_id": lease.task_id, "epoch": lease.epoch});
                    self.tell.event(
                        "handed_in",
                        about,
                        "its home will judge it; see with: artel ledger show --key FILE",
                    );
                    return Ok(());
                }
                Err(error) => self.mend(&client, error, &mut backoff).await?,
            }
            if self.pause(backoff.next(None)).await {
                return Ok(());
            }
        }
        anyhow::bail!(
            "no verdict on {} came within {} min; see: artel task show {}",
            lease.task_id,
            VERDICT_WAIT.as_secs() / 60,
            lease.task_id
        )
    }

    /// A next step that came although the worker stops goes back.
    async fn keep_or_release(&self, next: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
        let next = next?;
        if !self.stop.soft.is_cancelled() {
            return Some(next);
        }
        if let Ok(lease) = serde_json::from_str::<Lease>(next.get()) {
            self.release(&lease, "the worker stops").await;
        }
        None
    }

    fn lost(&self, lease: &Lease, why: &str) -> Outcome {
        let about = json!({"task_id": lease.task_id, "epoch": lease.epoch, "reason": why});
        self.tell.event("lost", about, &format!("lost {}: {why}", lease.task_id));
        Outcome::Failed(format!("task {} was lost: {why}", lease.task_id))
    }

    async fn release(&self, lease: &Lease, why: &str) {
        let about = json!({"task_id": lease.task_id, "epoch": lease.epoch, "reason": why});
        self.tell.event("released", about, &format!("gave back {}: {why}", lease.task_id));
        let client = self.session.client().await;
        let path = format!("/v1/tasks/{}/release", lease.task_id);
        let mut backoff = Backoff::new();
        for _ in 0..RELEASE_ATTEMPTS {
            match client.post(&path, &json!({"epoch": lease.epoch}), 0).await {
                Err(error) if error.is_passing() => {
                    tokio::time::sleep(backoff.next(error.retry_after())).await
                }
                // Taken back, or no longer ours: either way it is not held.
                _ => return,
            }
        }
    }
}

/// How the work ended.
enum Ended {
    Done(Work),
    Bad(String),
    Lost(String),
    Stopped,
}

/// The digests that an output names in its field `artifacts`.
fn artifacts_of(output: &RawValue) -> Vec<String> {
    #[derive(Deserialize)]
    struct Named {
        artifacts: Vec<String>,
    }
    let Ok(Named { artifacts }) = serde_json::from_str(output.get()) else { return Vec::new() };
    let digests = artifacts.len() <= STEP_ARTIFACTS_MAX
        && artifacts.iter().all(|a| a.starts_with("sha256:") && Digest::parse(a).is_ok());
    if digests { artifacts } else { Vec::new() }
}

#[cfg(test)]
#[path = "slot_test.rs"]
mod slot_test;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_named_by_digests_alone() {
        let digest = Digest::of(b"x").to_string();
        let of = |text: String| artifacts_of(&RawValue::from_string(text).expect("JSON"));
        assert_eq!(of(format!(r#"{{"artifacts":["{digest}"],"n":1}}"#)), std::slice::from_ref(&digest));
        for other in [
            r#"{"artifacts":["a.txt"]}"#.to_owned(),
            format!(r#"{{"artifacts":["{digest}",7]}}"#),
            "[1]".into(),
            "{}".into(),
        ] {
            assert!(of(other.clone()).is_empty(), "{other}");
        }
    }
}
