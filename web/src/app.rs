//! The front door: what happens to every request before and after its route. Correlation, host and origin, one prefix,
//! the route, and whatever went wrong in the one shape.

use crate::answer;
use crate::apart::Apart;
use crate::correlation;
use crate::host::Names;
use crate::metrics::Requests;
use crate::openapi::Document;
use crate::options::Options;
use crate::problem::{Code, Problem};
use crate::rate::Buckets;
use crate::routes;
use crate::service::{Principal, Service};
use crate::socket::Census;
use crate::trace;
use crate::types::node::Status;
use crate::ui;
use crate::upload::Pace;
use artel_protocol::text::Correlation;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, Uri, uri::PathAndQuery};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tracing::Instrument as _;

/// What all routes share.
pub(crate) struct App<S>(Arc<Inner<S>>);

impl<S> Clone for App<S> {
    fn clone(&self) -> Self {
        App(Arc::clone(&self.0))
    }
}

pub(crate) struct Inner<S> {
    pub service: S,
    pub options: Options,
    pub agents: Buckets<[u8; 32]>,
    pub enrollments: Buckets<IpAddr>,
    pub refused_tokens: Buckets<IpAddr>,
    /// Who is signed in to the pages, and their open streams.
    pub sessions: ui::Sessions,
    /// Cancelled when the server begins to shut down.
    pub closing: CancellationToken,
    pub sockets: Arc<Census>,
    /// Where a large body is read.
    pub apart: Apart,
    names: Names,
    document: OnceLock<Document>,
    /// What was asked, in numbers.
    pub requests: Requests,
}

impl<S> std::ops::Deref for App<S> {
    type Target = Inner<S>;

    fn deref(&self) -> &Inner<S> {
        &self.0
    }
}

/// One request's own things, for its route.
#[derive(Debug)]
pub(crate) struct Context {
    pub correlation: Correlation,
    pub remote: IpAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// Who called, once that is known.
    pub principal: OnceLock<Principal>,
    /// What is known of a page's visitor; nothing where the request is not for a page.
    pub visit: Option<ui::Visit>,
}

/// Where a connection comes from and goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub remote: IpAddr,
    pub local: IpAddr,
    pub tls: bool,
}

impl<S: Service> App<S> {
    pub fn new(service: S, options: Options, closing: CancellationToken) -> Self {
        App(Arc::new(Inner {
            agents: Buckets::new(options.agent_rate),
            enrollments: Buckets::new(options.enroll_rate),
            refused_tokens: Buckets::new(options.refused_token_rate),
            names: Names::new(options.names.clone()),
            document: OnceLock::new(),
            requests: Requests::new(),
            apart: Apart::of_this_machine(),
            sockets: Census::new(options.connections_max, options.sockets_per_agent_max),
            sessions: ui::Sessions::new(&options),
            service,
            options,
            closing,
        }))
    }

    /// What the node says of itself, with what the edge knows beside.
    pub fn status(&self) -> Status {
        let mut status = self.service.status();
        status.counts.extend(self.sockets.seen());
        status
    }

    /// How bodies may come; the size is the route's to set.
    pub fn pace(&self, too_large: Code) -> Pace {
        Pace { bytes_max: 0, too_large, idle: self.options.body_idle, rate_min: self.options.body_rate_min }
    }

    /// The API's document, made when it is asked for first.
    pub fn document(&self) -> &Document {
        self.document.get_or_init(|| Document::of(&routes::rows::<S>()))
    }

    /// Waits for the service, but not for ever.
    pub async fn within<T>(&self, answer: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        self.within_wait(0, answer).await
    }

    /// Waits for the service, and as long again as the caller asked it to wait.
    pub async fn within_wait<T>(
        &self,
        wait_ms: u32,
        answer: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let limit = self.options.answer + Duration::from_millis(wait_ms.into());
        tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(Problem::edge(Code::Timeout)))
    }

    /// Cuts a wait to the longest that there is.
    pub fn wait_ms(&self, asked: u32) -> u32 {
        asked.min(u32::try_from(self.options.wait_max.as_millis()).unwrap_or(u32::MAX))
    }

    /// Answers one request. Nothing that its route does, a panic included, leaves it without an answer.
    pub async fn answer(self, router: Router, ends: Ends, request: Request) -> Response {
        let (begun, row) = (Instant::now(), self.requests.row(request.method(), request.uri().path()));
        let correlation = correlation::of(request.headers());
        let traced = if self.options.traces { Traced::begin(&self, &request, &correlation) } else { None };
        let span = tracing::debug_span!(
            "request", method = %request.method(), route = request.uri().path(), %correlation, status = tracing::field::Empty
        );
        let visit = ui::is_page(request.uri().path()).then(ui::Visit::default);
        let (remote, tls) = (ends.remote, ends.tls);
        let context = Arc::new(Context { correlation, remote, tls, principal: OnceLock::new(), visit });
        let response = AssertUnwindSafe(self.route(router, ends, &context, request));
        let response = response.catch_unwind().instrument(span.clone()).await.unwrap_or_else(|_| {
            tracing::error!(correlation = %context.correlation, "a request's handler panicked");
            Problem::of(Code::Internal).into_response()
        });
        let mut response = self.finish(response, &context, row, ends.tls);
        self.requests.answered(row, response.status(), begun.elapsed());
        if let Some(traced) = traced {
            traced.end(&self, row, &context.correlation, &mut response);
        }
        span.record("status", response.status().as_u16());
        span.in_scope(|| tracing::debug!("answered"));
        response
    }

    async fn route(
        &self,
        mut router: Router,
        ends: Ends,
        context: &Arc<Context>,
        mut request: Request,
    ) -> Response {
        if let Err(problem) = self.names.check(request.uri(), request.headers(), ends.local) {
            return problem.into_response();
        }
        if let Some(uri) = without_api(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.extensions_mut().insert(Arc::clone(context));
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Counts a refusal, and has the edge's own of a known principal counted in the journal.
    pub fn count(&self, problem: &Problem, principal: Option<&Principal>) {
        self.requests.refused(problem.code);
        if problem.at_edge
            && let Some(principal) = principal
        {
            self.service.refused(principal, problem.code.as_str());
        }
    }

    /// Whether the document says of this row that it may be refused with this code. Debug builds ask at every refusal, so that
    /// whatever test meets a code first finds it.
    fn is_documented(&self, row: usize, code: Code) -> bool {
        routes::ROUTES.get(row).is_none_or(|operation| self.document().has(*operation, code))
    }

    fn finish(&self, mut response: Response, context: &Context, row: usize, tls: bool) -> Response {
        if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
            if cfg!(debug_assertions) && !self.is_documented(row, problem.code) {
                problem = Problem::new(Code::Internal, format!("undocumented here: {problem}"));
                *response.status_mut() = problem.code.status();
            }
            self.count(&problem, context.principal.get());
            // Who comes under another name, or from another's page, learns not even what this node is called.
            let is_foreign = matches!(problem.code, Code::HostNotAllowed | Code::OriginNotAllowed);
            response = match &context.visit {
                Some(visit) if !is_foreign => ui::problem(self, visit, &problem, context, response),
                _ => answer::problem(&problem, &context.correlation, response),
            };
        }
        answer::finish(response.headers_mut(), &context.correlation, tls);
        response
    }
}

/// A request whose caller has a trace.
struct Traced {
    context: trace::Context,
    method: Method,
    began: SystemTime,
}

impl Traced {
    fn begin<S: Service>(app: &App<S>, request: &Request, correlation: &Correlation) -> Option<Self> {
        let context = trace::of(request.headers())?;
        app.service.trace_begins(correlation, &context);
        Some(Traced { context, method: request.method().clone(), began: SystemTime::now() })
    }

    fn end<S: Service>(self, app: &App<S>, row: usize, correlation: &Correlation, response: &mut Response) {
        trace::answer(&self.context, response.headers_mut());
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        app.service.trace_ends(&trace::Request {
            context: &self.context,
            correlation,
            method: self.method.as_str(),
            route: app.requests.route(row),
            status: response.status().as_u16(),
            began_ns: nanos(self.began.duration_since(UNIX_EPOCH).unwrap_or_default()),
            took_ns: nanos(self.began.elapsed().unwrap_or_default()),
        });
    }
}

/// `/api/v1/…` is `/v1/…`: one router, whatever the prefix. Nothing where the path has no such prefix.
fn without_api(uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix("/api")?;
    if !rest.starts_with("/v1/") {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(rest).ok()?);
    Uri::from_parts(parts).ok()
}

/// A path that no route has.
pub(crate) async fn route_unknown() -> Problem {
    Problem::edge(Code::RouteUnknown)
}

/// A path whose routes do not take this method.
pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    let message = format!("this path does not take {method}; the Allow header names those it takes");
    Problem::edge_saying(Code::MethodNotAllowed, message)
}

/// An empty body of the kind that routes get.
pub(crate) fn incoming(body: hyper::body::Incoming) -> Body {
    use hyper::body::Body as _;
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}
