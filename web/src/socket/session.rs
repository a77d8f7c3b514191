//! One socket's session: reads what has come, starts its calls, tells what is wanted, writes all that is ready in one go. It
//! holds no buffer while nothing is under way.
//!
//! It keeps to bounds by not reading further: a peer that asks more than is taken at a time, or takes no answers, finds its
//! own socket full. Nothing is dropped in silence.

use super::call::{self, Running};
use super::census::{BY_PEER, Place};
use super::frame::{self, CloseCode, Decoder, Received, Violation};
use super::message::{self, Asked, Feed, Request};
use super::outgoing::{End, Outgoing};
use super::upgrade::Opened;
use crate::app::App;
use crate::caller;
use crate::calls;
use crate::correlation;
use crate::problem::{Code, Problem};
use crate::service::{Attendance, Call, Principal, Service};
use crate::types::List;
use crate::types::event::{Event, EventQuery};
use crate::types::notice::Told;
use artel_protocol::text::Correlation;
use futures_util::stream::{FuturesUnordered, Stream as _};
use serde::Serialize;
use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// The largest message (528 KiB): a task or a result, the largest bodies that are taken here, and its envelope.
const MESSAGE_BYTES_MAX: usize = (512 + 16) << 10;

/// The largest message of a stranger (8 KiB): a token and its envelope.
const UNKNOWN_BYTES_MAX: usize = 8 << 10;

/// How many calls of one socket are under way at once. At the limit its socket is not read further until one is answered, so
/// more would buy a client nothing but a longer queue at the driver.
const CALLS_MAX: usize = 256;

/// How many of these may wait for a task; one more is refused, for results and renewals must get through beside them.
const WAITS_MAX: usize = 128;

/// How many bytes calls that are under way may have had on the way in (1 MiB); beyond it the socket is not read further.
const CALL_BYTES_MAX: usize = 1 << 20;

/// How many bytes may wait to be written (256 KiB) before no further answer and no event is taken up.
const OUT_BYTES_MAX: usize = 256 << 10;

/// How much is read at a time (64 KiB), into room that all sockets of a thread share.
const READ_BYTES: usize = 64 << 10;

/// How many bytes the results that wait for a further task may have had on the way in (4 MiB, eight of the largest). One more is
/// handed in all the same, and does not wait: reading on must not depend on waits that last for half a minute.
const WAIT_BYTES_MAX: usize = 4 << 20;

/// How long a peer may take to say goodbye, once it was told why; and how long what it sent before may take to be done.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// How long after a failure of the node's own events and notices are asked for again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

thread_local! {
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// A socket.
pub(crate) struct Session<S: Service, T> {
    app: App<S>,
    io: T,
    remote: IpAddr,
    place: Place,
    /// The connection's own correlation id: what has no call of its own bears it.
    correlation: Correlation,
    caller: Option<Call>,
    decoder: Decoder,
    /// What was read and not taken yet.
    input: Vec<u8>,
    out: Outgoing,
    calls: FuturesUnordered<Running>,
    /// Of the calls that do not wait.
    call_bytes: usize,
    waits: usize,
    /// Of those that may wait for a task.
    wait_bytes: usize,
    joining: Option<Box<Joining>>,
    events: Option<Box<Events>>,
    attending: Option<Attending<S>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    is_closing: bool,
    opened: Instant,
    heard: Instant,
    pinged: bool,
    /// A message of which a part has come.
    partial: Option<Partial>,
    /// How many whole messages were taken so far.
    taken: u64,
    ending: Option<Ending>,
    timer: Pin<Box<Sleep>>,
}

/// A stranger's token stands; whether its bearer's credential does is being asked.
struct Joining {
    call: Call,
    asking: Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>,
}

/// A socket that was told that it ends.
struct Ending {
    until: Instant,
    is_shut: bool,
    /// There is no peer any more; what it sent is being done.
    is_gone: bool,
}

/// Since when the rest of a message is waited for, and how many bytes have come since.
#[derive(Clone, Copy)]
struct Partial {
    since: Instant,
    bytes: usize,
}

/// A caller who is looked after.
struct Attending<S: Service> {
    attendance: S::Attendance,
    /// The notices to come, and the end of the credential.
    next: Pin<Box<dyn Future<Output = Result<Told, Problem>> + Send>>,
    /// Whether the last asking failed, which was said then.
    is_failing: bool,
    /// A subscription that is being taken up, and the call that asked for it.
    beginning: Option<Beginning>,
}

struct Beginning {
    id: Option<Box<str>>,
    taking: Pin<Box<dyn Future<Output = Result<(), Problem>> + Send>>,
}

type Page = Result<List<Event>, Problem>;

/// Events that a peer wants.
struct Events {
    query: EventQuery,
    reading: Pin<Box<dyn Future<Output = Page> + Send>>,
    /// A subscription that is being taken up, and the id of the call that asked for it: its first page says whether its cursor
    /// is one.
    beginning: Option<Option<Box<str>>>,
    /// Whether the last reading failed, which was said then.
    is_failing: bool,
}

impl<S: Service, T: AsyncRead + AsyncWrite + Unpin> Session<S, T> {
    /// A socket over an upgraded connection, from which `read` was read already.
    pub fn new(app: App<S>, io: T, read: &[u8], opened: Opened) -> Self {
        let Opened { call, correlation, remote, place } = opened;
        let now = Instant::now();
        let mut session = Session {
            closing: Box::pin(app.closing.clone().cancelled_owned()),
            app,
            io,
            remote,
            place,
            correlation,
            caller: None,
            decoder: Decoder::default(),
            input: read.to_vec(),
            out: Outgoing::default(),
            calls: FuturesUnordered::new(),
            call_bytes: 0,
            waits: 0,
            wait_bytes: 0,
            joining: None,
            events: None,
            attending: None,
            is_closing: false,
            opened: now,
            heard: now,
            pinged: false,
            partial: None,
            taken: 0,
            ending: None,
            timer: Box::pin(tokio::time::sleep_until(now)),
        };
        if let Some(call) = call {
            session.welcome(call);
        }
        session
    }

    fn welcome(&mut self, call: Call) {
        #[derive(Serialize)]
        struct Welcome<'a> {
            principal: &'a str,
            agent_id: Option<String>,
            calls_max: usize,
            message_bytes_max: usize,
        }
        let (principal, agent_id) = match &call.principal {
            Principal::Agent { id, .. } => ("agent", Some(id.to_string())),
            _ => ("operator", None),
        };
        let said =
            Welcome { principal, agent_id, calls_max: CALLS_MAX, message_bytes_max: MESSAGE_BYTES_MAX };
        self.tell("welcome", None, &said);
        let attendance = self.app.service.attend(&call);
        let next = next(&attendance, Duration::ZERO);
        self.attending = Some(Attending { next, attendance, is_failing: false, beginning: None });
        self.caller = Some(call);
    }

    /// Puts a message that answers no call.
    fn tell(&mut self, kind: &str, cursor: Option<u64>, data: &impl Serialize) {
        let mut text = format!(r#"{{"type":"{kind}","#).into_bytes();
        if let Some(cursor) = cursor {
            text.extend_from_slice(format!(r#""cursor":"{cursor}","#).as_bytes());
        }
        text.extend_from_slice(br#""data":"#);
        if serde_json::to_writer(&mut text, data).is_ok() {
            text.push(b'}');
            frame::put_text(&mut self.out.bytes, &text);
        }
    }

    /// Tells the peer why, and ends.
    fn end(&mut self, code: CloseCode, reason: &'static str) {
        if self.ending.is_some() {
            return;
        }
        self.app.sockets.ended(reason);
        tracing::debug!(reason, correlation = %self.correlation, "a socket ends");
        frame::put_close(&mut self.out.bytes, code, reason);
        self.leave(false);
    }

    /// Takes nothing more. A waiting claim is taken back; everything else that was taken is done all the same, though what comes
    /// of it is not told any more.
    fn leave(&mut self, is_gone: bool) {
        let now = Instant::now();
        let (until, is_shut) =
            self.ending.as_ref().map_or((now + CLOSE_WITHIN, false), |ending| (ending.until, ending.is_shut));
        self.ending = Some(Ending { until, is_shut, is_gone });
        let calls = std::mem::take(&mut self.calls);
        self.calls = calls.into_iter().filter(|call| !call.waits_for_a_task(now, CLOSE_WITHIN)).collect();
        (self.events, self.joining, self.attending) = (None, None, None);
        (self.input, self.partial) = (Vec::new(), None);
    }

    /// Whether calls of a peer that is gone go on.
    fn outlives_its_peer(&mut self) -> bool {
        if self.ending.as_ref().is_some_and(|ending| ending.is_gone) || self.calls.is_empty() {
            return false;
        }
        self.leave(true);
        self.out = Outgoing::default();
        true
    }

    /// Takes up what is ready; whether there was something.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        if !self.is_closing && self.closing.as_mut().poll(cx).is_ready() {
            (self.is_closing, moved) = (true, true);
            self.events = None;
        }
        while self.out.bytes.len() < OUT_BYTES_MAX {
            let Poll::Ready(Some(done)) = Pin::new(&mut self.calls).poll_next(cx) else { break };
            moved = true;
            // Nothing goes out behind the goodbye.
            if self.ending.is_some() {
                continue;
            }
            match done.waited {
                true => (self.waits, self.wait_bytes) = (self.waits - 1, self.wait_bytes - done.bytes),
                false => self.call_bytes -= done.bytes,
            }
            frame::put_text(&mut self.out.bytes, &done.text);
            if let Some(code) = done.is_over {
                self.end(CloseCode::Policy, code.as_str());
            }
        }
        moved | self.poll_joining(cx) | self.poll_events(cx) | self.poll_attending(cx)
    }

    fn poll_attending(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(attending) = &mut self.attending else { return false };
        if let Some(Beginning { id, taking }) = &mut attending.beginning {
            let Poll::Ready(taken) = taking.as_mut().poll(cx) else { return false };
            let id = id.take();
            attending.beginning = None;
            match taken {
                Ok(()) => self.agree(id, "subscribed"),
                Err(problem) => self.refuse(id.as_deref(), &problem),
            }
            return true;
        }
        if self.out.bytes.len() >= OUT_BYTES_MAX {
            return false;
        }
        let Poll::Ready(told) = attending.next.as_mut().poll(cx) else { return false };
        let failed = told.is_err();
        attending.next = next(&attending.attendance, if failed { AGAIN_AFTER } else { Duration::ZERO });
        let was_failing = std::mem::replace(&mut attending.is_failing, failed);
        match told {
            Ok(Told { items, gap }) => {
                gap.iter().for_each(|gap| self.tell("gap", None, gap));
                for notice in items {
                    match serde_json::to_vec(&notice) {
                        Ok(text) => frame::put_text(&mut self.out.bytes, &text),
                        Err(error) => tracing::error!(%error, "a notice is no JSON"),
                    }
                }
            }
            Err(problem) => self.failed(&problem, was_failing),
        }
        true
    }

    /// What comes without a call fails, but for the credential only for a while: it is said once, and then tried again.
    fn failed(&mut self, problem: &Problem, was_failing: bool) {
        if !was_failing || call::ends(problem).is_some() {
            self.refuse(None, problem);
        }
    }

    /// Refuses something; where the credential does not stand any more, the socket ends.
    fn refuse(&mut self, id: Option<&str>, problem: &Problem) {
        let text = message::refusal(id, problem, &self.correlation);
        frame::put_text(&mut self.out.bytes, &text);
        if let Some(code) = call::ends(problem) {
            self.end(CloseCode::Policy, code.as_str());
        }
    }

    fn poll_joining(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(joining) = &mut self.joining else { return false };
        let Poll::Ready(stands) = joining.asking.as_mut().poll(cx) else { return false };
        let Some(joining) = self.joining.take() else { return false };
        match stands.and_then(|()| self.place.known(&joining.call.principal, self.remote)) {
            Ok(()) => self.welcome(joining.call),
            Err(problem) => self.refuse_stranger(&problem),
        }
        true
    }

    fn refuse_stranger(&mut self, problem: &Problem) {
        let text = message::refusal(None, problem, &self.correlation);
        frame::put_text(&mut self.out.bytes, &text);
        self.end(CloseCode::Policy, problem.code.as_str());
    }

    fn poll_events(&mut self, cx: &mut Context<'_>) -> bool {
        if self.out.bytes.len() >= OUT_BYTES_MAX {
            return false;
        }
        let Some(events) = &mut self.events else { return false };
        let Poll::Ready(page) = events.reading.as_mut().poll(cx) else { return false };
        let (id, was_failing, mut query) = (events.beginning.take(), events.is_failing, events.query.clone());
        match page {
            Ok(List { items, next_cursor }) => {
                query.after = next_cursor.or(query.after);
                if let Some(id) = id {
                    self.agree(id, "subscribed");
                }
                for event in &items {
                    self.tell("event", Some(event.entry), event);
                }
                self.follow(query, Duration::ZERO, false);
            }
            Err(problem) => {
                self.events = None;
                if let Some(id) = id {
                    self.refuse(id.as_deref(), &problem);
                    return true;
                }
                self.failed(&problem, was_failing);
                if self.ending.is_none() {
                    self.follow(query, AGAIN_AFTER, true);
                }
            }
        }
        true
    }

    /// Has a first page of events read, which says whether they can be had.
    fn begin_events(&mut self, id: Option<Box<str>>, query: EventQuery) {
        let Some(call) = self.caller.clone() else { return };
        let (app, asked) = (self.app.clone(), EventQuery { wait_ms: 0, ..query.clone() });
        let reading = Box::pin(async move { calls::events(&app, &call, asked).await });
        self.events = Some(Box::new(Events { query, reading, beginning: Some(id), is_failing: false }));
    }

    /// Has events read from a cursor on, in a while.
    fn follow(&mut self, mut query: EventQuery, delay: Duration, is_failing: bool) {
        let Some(call) = self.caller.clone() else { return };
        query.wait_ms = u32::MAX;
        let (app, asked) = (self.app.clone(), query.clone());
        let reading = Box::pin(async move {
            rest(delay).await;
            calls::events(&app, &call, asked).await
        });
        self.events = Some(Box::new(Events { query, reading, beginning: None, is_failing }));
    }

    fn takes_more(&self) -> bool {
        self.ending.is_none()
            && !self.is_closing
            && self.joining.is_none()
            && self.attending.as_ref().is_none_or(|attending| attending.beginning.is_none())
            && self.events.as_ref().is_none_or(|events| events.beginning.is_none())
            && self.calls.len() < CALLS_MAX
            && self.call_bytes < CALL_BYTES_MAX
            && self.out.bytes.len() < OUT_BYTES_MAX
    }

    /// Takes messages from what was read before, then reads on; whether there was something.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, End>> {
        let (mut moved, taken) = (false, self.taken);
        if !self.input.is_empty() {
            let mut input = std::mem::take(&mut self.input);
            let took = self.take(&mut input);
            moved |= took > 0;
            input.drain(..took);
            self.input = input;
        }
        if !self.takes_more() {
            // Nobody is slow, or silent, while nobody listens.
            (self.heard, self.partial) = (Instant::now(), None);
            return Poll::Ready(Ok(moved));
        }
        READ.with_borrow_mut(|room| {
            let mut buf = ReadBuf::new(room);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    self.wait_for_the_rest(0, taken);
                    return Poll::Ready(Ok(moved));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(End)),
                Poll::Ready(Ok(())) => {}
            }
            let read = buf.filled_mut();
            if read.is_empty() {
                return Poll::Ready(Err(End));
            }
            (self.heard, self.pinged) = (Instant::now(), false);
            let bytes = read.len();
            // Usually what comes is whole messages, which then are read where they are.
            if self.input.is_empty() {
                let took = self.take(read);
                self.input = read[took..].to_vec();
            } else {
                let mut input = std::mem::take(&mut self.input);
                input.extend_from_slice(read);
                let took = self.take(&mut input);
                input.drain(..took);
                self.input = input;
            }
            if self.input.is_empty() {
                self.input = Vec::new();
            }
            self.wait_for_the_rest(bytes, taken);
            Poll::Ready(Ok(true))
        })
    }

    /// Notes that so many bytes more of an unfinished message have come. Its clock begins with its first byte: anew, where
    /// something was taken meanwhile that is no part of one.
    fn wait_for_the_rest(&mut self, bytes: usize, taken: u64) {
        if self.input.is_empty() && !self.decoder.is_inside() {
            self.partial = None;
            return;
        }
        let begun = self.partial.filter(|_| self.taken == taken);
        let begun = begun.unwrap_or_else(|| Partial { since: Instant::now(), bytes: 0 });
        self.partial = Some(Partial { bytes: begun.bytes + bytes, ..begun });
    }

    /// Takes messages from the front of these bytes while more are taken; how many bytes it took.
    fn take(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while self.takes_more() {
            let most = if self.caller.is_some() { MESSAGE_BYTES_MAX } else { UNKNOWN_BYTES_MAX };
            let rest = &mut bytes[at..];
            match self.decoder.take(rest, most) {
                Ok(None) => break,
                Ok(Some((received, took))) => {
                    self.taken += u64::from(matches!(received, Received::Text(_) | Received::Joined(_)));
                    match received {
                        Received::Text(place) => self.message(&rest[place]),
                        Received::Joined(text) => self.message(&text),
                        Received::Ping(place) => frame::put_pong(&mut self.out.bytes, &rest[place]),
                        Received::Close(_) => self.end(CloseCode::Normal, BY_PEER),
                        Received::Part | Received::Pong => {}
                    }
                    at += took;
                }
                Err(Violation { code, reason }) => {
                    self.end(code, reason);
                    break;
                }
            }
        }
        at
    }

    fn message(&mut self, text: &[u8]) {
        let message::Message { id, correlation, asked } = message::read(text, correlation::fresh);
        let done = match (asked, self.caller.clone()) {
            (Ok(Asked::Authenticate(token)), None) => return self.authenticate(&token),
            (_, None) => return self.refuse_stranger(&Problem::edge(Code::Unauthenticated)),
            (asked, Some(caller)) => {
                // As over HTTP: whatever comes of it, it is one of the agent's requests.
                caller::take_one(&self.app, &caller.principal)
                    .and(asked)
                    .and_then(|asked| self.start(caller, id.clone(), asked, text.len()))
            }
        };
        if let Err(problem) = done {
            if let Some(caller) = &self.caller {
                self.app.count(&problem, Some(&caller.principal));
            }
            let correlation = correlation.as_ref().unwrap_or(&self.correlation);
            frame::put_text(&mut self.out.bytes, &message::refusal(id.as_deref(), &problem, correlation));
        }
    }

    fn authenticate(&mut self, token: &str) {
        match caller::bears(&self.app, token, self.remote) {
            Ok(principal) => {
                let call = Call {
                    principal,
                    correlation: self.correlation.clone(),
                    remote: self.remote,
                    idempotency: None,
                };
                let (app, asking) = (self.app.clone(), call.clone());
                let asking = Box::pin(async move { app.within(app.service.verify(&asking)).await.map(drop) });
                self.joining = Some(Box::new(Joining { call, asking }));
            }
            Err(problem) => self.refuse_stranger(&problem),
        }
    }

    fn start(
        &mut self,
        caller: Call,
        id: Option<Box<str>>,
        asked: Asked,
        bytes: usize,
    ) -> Result<(), Problem> {
        match asked {
            Asked::Authenticate(_) => {
                Err(Problem::edge_saying(Code::Invalid, "this socket knows already who it is from"))
            }
            Asked::Events(query) => {
                self.begin_events(id, query);
                Ok(())
            }
            Asked::Notices(query) => {
                caller::agent(&caller)?;
                if let Some(attending) = &mut self.attending {
                    let attendance = attending.attendance.clone();
                    let taking = Box::pin(async move { attendance.begin(query).await });
                    attending.beginning = Some(Beginning { id, taking });
                }
                Ok(())
            }
            Asked::Unsubscribe(feed) => {
                match feed {
                    Feed::Events => self.events = None,
                    Feed::Notices => self.attending.iter().for_each(|attending| attending.attendance.end()),
                }
                self.agree(id, "unsubscribed");
                Ok(())
            }
            Asked::Call(request, correlation, idempotency) => {
                let id = id.expect("a call without an id is refused when it is read");
                self.call(Call { correlation, idempotency, ..caller }, id, *request, bytes)
            }
        }
    }

    /// Answers what has nothing more to say than that it is done.
    fn agree(&mut self, id: Option<Box<str>>, word: &str) {
        let mut text = Vec::new();
        message::head(&mut text, id.as_deref(), 200);
        text.extend_from_slice(format!(r#""data":{{"{word}":true}}}}"#).as_bytes());
        frame::put_text(&mut self.out.bytes, &text);
    }

    fn call(&mut self, call: Call, id: Box<str>, mut request: Request, bytes: usize) -> Result<(), Problem> {
        if request.wait_ms() > 0 && self.waits >= WAITS_MAX {
            return Err(Problem::edge(Code::TooManyWaiting));
        }
        if self.wait_bytes + bytes > WAIT_BYTES_MAX {
            request.waits_no_longer();
        }
        match request.wait_ms() > 0 {
            true => (self.waits, self.wait_bytes) = (self.waits + 1, self.wait_bytes + bytes),
            false => self.call_bytes += bytes,
        }
        self.calls.push(Running::new(self.app.clone(), call, id, request, bytes));
        Ok(())
    }

    /// The goodbye: all is written, our side is shut, and the peer's last words are read away.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(ending) = &mut self.ending else { return Poll::Pending };
        if !ending.is_shut && self.out.is_through() {
            match Pin::new(&mut self.io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => ending.is_shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        READ.with_borrow_mut(|room| {
            loop {
                let mut buf = ReadBuf::new(room);
                match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }

    /// What the clock asks for next, and when.
    fn due(&self) -> (Instant, Due) {
        if let Some(ending) = &self.ending {
            return (ending.until, Due::Over);
        }
        if let Some(since) = self.out.stuck {
            return (since + self.app.options.write, Due::Stuck);
        }
        if self.caller.is_none() {
            return (self.opened + self.app.options.socket_unknown, Due::Unknown);
        }
        if let Some(Partial { since, bytes }) = self.partial {
            // As a body over HTTP: it moves with what came.
            let earned = (bytes as u64).saturating_mul(1_000) / self.app.options.body_rate_min.max(1);
            return (since + self.app.options.body_idle + Duration::from_millis(earned), Due::Slow);
        }
        let quiet = self.heard + self.app.options.socket_quiet;
        match self.pinged {
            false => (quiet, Due::Ping),
            true => (quiet + self.app.options.socket_silent, Due::Silent),
        }
    }

    /// Does what the clock asks for; whether something was due.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        loop {
            let (at, due) = self.due();
            // A timer that fires too early is set anew then: most of what it was set for never comes.
            if self.timer.deadline() > at {
                self.timer.as_mut().reset(at);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(false);
            }
            if Instant::now() < at {
                self.timer.as_mut().reset(at);
                continue;
            }
            match due {
                Due::Over => return Err(End),
                Due::Stuck => {
                    self.app.sockets.ended("takes_nothing");
                    return Err(End);
                }
                Due::Unknown => self.end(CloseCode::Policy, "unauthenticated"),
                Due::Silent | Due::Ping if !self.takes_more() => self.heard = Instant::now(),
                Due::Slow => self.end(CloseCode::Policy, "slow_message"),
                Due::Silent => self.end(CloseCode::Policy, "silent"),
                Due::Ping => {
                    self.pinged = true;
                    frame::put_ping(&mut self.out.bytes);
                }
            }
            return Ok(true);
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut moved = self.poll_work(cx);
        if self.ending.as_ref().is_some_and(|ending| ending.is_gone) {
            return if self.calls.is_empty() { Err(End) } else { Ok(moved | self.poll_clock(cx)?) };
        }
        if self.ending.is_none() {
            match self.poll_input(cx) {
                Poll::Ready(read) => moved |= read?,
                Poll::Pending => {}
            }
        }
        // What was just started goes on its way, and what is answered at once goes out with the rest.
        moved |= self.poll_work(cx);
        if self.is_closing && self.calls.is_empty() {
            self.end(CloseCode::Away, "shutting_down");
        }
        moved |= self.out.poll(&mut self.io, cx)?;
        if self.poll_ending(cx).is_ready() {
            return Err(End);
        }
        Ok(moved | self.poll_clock(cx)?)
    }
}

fn next<A: Attendance>(
    attendance: &A,
    delay: Duration,
) -> Pin<Box<dyn Future<Output = Result<Told, Problem>> + Send>> {
    let attendance = attendance.clone();
    Box::pin(async move {
        rest(delay).await;
        attendance.next().await
    })
}

/// Waits for a while, and not even for a turn where there is none to wait for.
async fn rest(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

enum Due {
    Over,
    Stuck,
    Unknown,
    Slow,
    Silent,
    Ping,
}

impl<S: Service, T: AsyncRead + AsyncWrite + Unpin> Future for Session<S, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(End) if self.outlives_its_peer() => {}
                Err(End) => return Poll::Ready(()),
            }
        }
    }
}
