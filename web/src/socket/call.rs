//! One call of a socket, from its request to the text of its answer.

use super::message::{self, Request};
use crate::answer;
use crate::app::App;
use crate::caller;
use crate::calls;
use crate::problem::{Code, Problem};
use crate::service::{Call, Service};
use futures_util::FutureExt as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument as _;

/// A call that is done.
pub(super) struct Done {
    /// The answer's text.
    pub text: Vec<u8>,
    /// What the call had taken up on the way in.
    pub bytes: usize,
    /// Whether it might have waited for a task.
    pub waited: bool,
    /// The caller's credential does not stand any more: the socket has to end.
    pub is_over: Option<Code>,
}

/// A call that is under way.
pub(super) struct Running {
    running: Pin<Box<dyn Future<Output = Done> + Send>>,
    begun: Instant,
    waits: Waits,
}

/// Whether a call waits for a task.
enum Waits {
    Never,
    /// Once it has handed in a result.
    Later,
    /// From the beginning.
    AtOnce,
}

impl Running {
    /// Begins a call whose message had so many bytes.
    pub fn new<S: Service>(app: App<S>, call: Call, id: Box<str>, request: Request, bytes: usize) -> Self {
        let waits = match &request {
            _ if request.wait_ms() == 0 => Waits::Never,
            Request::Submit(..) => Waits::Later,
            _ => Waits::AtOnce,
        };
        let running = Box::pin(run(app, call, id, request, bytes));
        Running { running, begun: Instant::now(), waits }
    }

    /// Whether it only waits for a task. Nobody says when a result has been handed in; after `handed` it has.
    pub fn waits_for_a_task(&self, now: Instant, handed: Duration) -> bool {
        match self.waits {
            Waits::Never => false,
            Waits::Later => now >= self.begun + handed,
            Waits::AtOnce => true,
        }
    }
}

impl Future for Running {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Done> {
        self.running.as_mut().poll(cx)
    }
}

/// Runs a call. Nothing that it does, a panic included, leaves it without an answer.
async fn run<S: Service>(app: App<S>, call: Call, id: Box<str>, request: Request, bytes: usize) -> Done {
    let waited = request.wait_ms() > 0;
    let span = tracing::debug_span!("call", correlation = %call.correlation);
    let answering = AssertUnwindSafe(answer(&app, &call, &id, request)).catch_unwind().instrument(span);
    let answered = answering.await.unwrap_or_else(|_| {
        tracing::error!(correlation = %call.correlation, "a call's handler panicked");
        Err(Problem::of(Code::Internal))
    });
    let (text, is_over) = match answered {
        Ok(text) => (text, None),
        Err(problem) => {
            app.count(&problem, Some(&call.principal));
            (message::refusal(Some(&id), &problem, &call.correlation), ends(&problem))
        }
    };
    Done { text, bytes, waited, is_over }
}

/// Whether a refusal means that a credential does not stand any more.
pub(super) fn ends(problem: &Problem) -> Option<Code> {
    matches!(problem.code, Code::TokenRevoked | Code::AgentRevoked | Code::TokenExpired)
        .then_some(problem.code)
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send + 'a>>;

/// Each request's future stands for itself: one for all of them would be as large as the largest, and is moved some times.
fn answer<'a, S: Service>(app: &'a App<S>, call: &'a Call, id: &'a str, request: Request) -> Answering<'a> {
    match request {
        Request::Post(post) => {
            Box::pin(async move { said(id, call, 201, &calls::post_task(app, call, post).await?) })
        }
        Request::Show(task) => {
            Box::pin(async move { said(id, call, 200, &app.within(app.service.task(call, task)).await?) })
        }
        Request::Claim(task, claim) => Box::pin(async move {
            said(id, call, 200, &calls::claim(app, call, caller::agent(call)?, task, claim).await?)
        }),
        Request::ClaimNext(claim) => Box::pin(async move {
            match calls::claim_next(app, call, caller::agent(call)?, claim).await? {
                Some(lease) => said(id, call, 200, &lease),
                None => nothing(id, call),
            }
        }),
        Request::Renew(task, lease) => Box::pin(async move {
            let me = caller::agent(call)?;
            said(id, call, 200, &app.within(app.service.renew(call, me, task, lease)).await?)
        }),
        Request::Release(task, lease) => Box::pin(async move {
            let me = caller::agent(call)?;
            app.within(app.service.release(call, me, task, lease)).await?;
            said(id, call, 200, &BTreeMap::from([("released", true)]))
        }),
        Request::MarkRead(mark) => Box::pin(async move {
            said(id, call, 200, &calls::mark_read(app, call, caller::agent(call)?, mark).await?)
        }),
        Request::Submit(task, result) => Box::pin(async move {
            said(id, call, 200, &calls::submit(app, call, caller::agent(call)?, task, result).await?)
        }),
    }
}

fn said<T: Serialize>(id: &str, call: &Call, status: u16, value: &T) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::with_capacity(1_024);
    message::head(&mut text, Some(id), status);
    text.extend_from_slice(br#""data":"#);
    answer::write_object(&mut text, value, Some(&call.correlation))
        .map_err(|_| Problem::of(Code::Internal))?;
    text.push(b'}');
    Ok(text)
}

/// What over HTTP has no body.
fn nothing(id: &str, call: &Call) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::with_capacity(128);
    message::head(&mut text, Some(id), 204);
    text.extend_from_slice(br#""correlation_id":"#);
    serde_json::to_writer(&mut text, call.correlation.as_str()).map_err(|_| Problem::of(Code::Internal))?;
    text.push(b'}');
    Ok(text)
}
