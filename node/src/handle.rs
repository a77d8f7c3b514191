//! The way into the driver: ask the rules for something, or look at the synced state. Cheap to clone; the driver's
//! channel never leaves it.

use crate::clock::mono_since;
use artel_federation::effect::Refusal;
use artel_federation::view::View;
use artel_federation::{Input, Principal, Reply, ReplyTo, Request};
use artel_protocol::text::Correlation;
use artel_protocol::time::Mono;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Instant;
use tokio::sync::oneshot;

/// How many messages may wait for the driver. At the limit callers get `overloaded` at once instead of a long wait.
pub const QUEUE_MAX: usize = 8_192;

/// Why there is no answer from the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Too many wait already.
    #[error("the node is overloaded; try again in a moment")]
    Overloaded,
    /// The journal cannot be written: nothing is done that could not be written down.
    #[error(
        "the journal cannot be written ({0}); nothing was done, try again when the operator has seen to it"
    )]
    Journal(String),
    /// The journal failed while this was being written down: it may have been done or not, and nobody knows yet.
    #[error(
        "the journal failed ({0}) while this was written; look whether it was done, or repeat it with the same key"
    )]
    Unknown(String),
    /// The node is stopping.
    #[error("the node is stopping; nothing was done")]
    Stopping,
}

/// What the rules answered, once it is on disk.
pub type Answer = Result<Result<Reply, Refusal>, Unavailable>;

/// A look at the state, or why there is none to look at.
pub(crate) type Look = Box<dyn FnOnce(Result<View<'_>, Unavailable>) + Send>;

/// What the driver is told. The queue has room for [`QUEUE_MAX`] of them from the start, so they are small.
pub(crate) enum Message {
    /// Somebody asks and waits.
    Ask { request: Box<Input>, to: ReplyTo, answer: oneshot::Sender<Answer> },
    /// Something else happened.
    Input(Box<Input>),
    /// Somebody looks at the synced state.
    Look(Look),
    /// Somebody wants a checkpoint of all that is synced.
    Checkpoint(oneshot::Sender<Result<String, Unavailable>>),
    /// The node stops: write what is to be written and end.
    Stop,
}

const _: () = assert!(size_of::<Message>() <= 32);

/// The driver's handle.
#[derive(Clone)]
pub struct Handle {
    driver: SyncSender<Message>,
    next: Arc<AtomicU64>,
    /// When the rules' monotonic clock began.
    begun: Instant,
}

/// Takes a claim back when whoever waits for it goes away.
struct Waiting<'a> {
    handle: &'a Handle,
    to: Option<ReplyTo>,
}

impl Handle {
    pub(crate) fn new(driver: SyncSender<Message>, begun: Instant) -> Self {
        Handle { driver, next: Arc::new(AtomicU64::new(1)), begun }
    }

    /// This moment on the rules' monotonic clock.
    pub fn mono(&self) -> Mono {
        mono_since(self.begun)
    }

    /// Asks the rules and waits until the answer's entries are on disk.
    ///
    /// Dropping the future takes a waiting claim back; everything else is done all the same.
    ///
    /// # Errors
    /// [`Unavailable`]: nothing was done, or, where it says so, nobody knows.
    pub async fn ask(
        &self,
        principal: Principal,
        correlation: Option<Correlation>,
        request: Request,
    ) -> Answer {
        let to = ReplyTo(self.next.fetch_add(1, Ordering::Relaxed));
        let (answer, receiver) = oneshot::channel();
        let request = Box::new(Input::Request { to, principal, correlation, request });
        self.send(Message::Ask { request, to, answer })?;
        let mut waiting = Waiting { handle: self, to: Some(to) };
        let answer = receiver.await.unwrap_or(Err(Unavailable::Stopping));
        waiting.to = None;
        answer
    }

    /// Asks for a task and waits for one, until `enough` is done: then what has come is the answer, and nothing comes any
    /// more.
    ///
    /// # Errors
    /// As [`Handle::ask`].
    pub async fn ask_until(
        &self,
        principal: Principal,
        correlation: Option<Correlation>,
        request: Request,
        enough: impl Future<Output = ()>,
    ) -> Answer {
        let to = ReplyTo(self.next.fetch_add(1, Ordering::Relaxed));
        let (answer, mut receiver) = oneshot::channel();
        let request = Box::new(Input::Request { to, principal, correlation, request });
        self.send(Message::Ask { request, to, answer })?;
        let mut waiting = Waiting { handle: self, to: Some(to) };
        let answer = tokio::select! {
            answer = &mut receiver => answer,
            () = enough => {
                self.tell(Input::EndWait(to));
                receiver.await
            }
        };
        waiting.to = None;
        answer.unwrap_or(Err(Unavailable::Stopping))
    }

    /// Looks at the state as far as it is synced.
    ///
    /// # Errors
    /// [`Unavailable`] when the driver takes no more, or the state was thrown away and is not folded anew yet.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(View<'_>) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Look(Box::new(move |view| {
            // Whoever looked may be gone.
            let _ = sender.send(view.map(look));
        })))?;
        receiver.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// A checkpoint of all that is synced, as a signed note.
    ///
    /// # Errors
    /// [`Unavailable`] when the slot cannot be written.
    pub async fn checkpoint(&self) -> Result<String, Unavailable> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Checkpoint(sender))?;
        receiver.await.map_err(|_| Unavailable::Stopping)?
    }

    /// Tells the rules of something that nobody waits for; dropped when the driver has too much to do already, or has ended.
    pub fn tell(&self, input: Input) {
        if let Err(Unavailable::Overloaded) = self.send(Message::Input(Box::new(input))) {
            tracing::warn!("the driver's queue is full; a notice was dropped");
        }
    }

    /// Tells the rules of something that must not be lost; waits for a place in the queue. Not for async callers.
    pub fn tell_surely(&self, input: Input) {
        // The driver has ended; so has whatever the input was about.
        let _ = self.driver.send(Message::Input(Box::new(input)));
    }

    /// Has the driver write down what is to be written and end.
    pub fn stop(&self) {
        // It may have ended already.
        let _ = self.driver.send(Message::Stop);
    }

    fn send(&self, message: Message) -> Result<(), Unavailable> {
        self.driver.try_send(message).map_err(|e| match e {
            TrySendError::Full(_) => Unavailable::Overloaded,
            TrySendError::Disconnected(_) => Unavailable::Stopping,
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(to) = self.to {
            self.handle.tell(Input::Abandoned(to));
        }
    }
}
