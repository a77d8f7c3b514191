//! Requests that came with a trace context of their caller's (W3C Trace Context): they are spans of the caller's trace, and the post
//! of a task links to the request that made it.

use super::{Exporter, Kind, Span, Value};
use artel_protocol::text::Correlation;
use artel_web::trace::{Context, Request};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// How many requests are remembered for the entries that they made. An entry is followed within milliseconds.
const REMEMBERED_MAX: usize = 4_096;

/// What is remembered of requests.
#[derive(Default)]
pub struct Requests {
    exporter: Option<Exporter>,
    open: Mutex<(HashMap<Correlation, Context>, VecDeque<Correlation>)>,
}

impl Requests {
    /// Requests whose spans go to a collector.
    pub fn new(exporter: Exporter) -> Self {
        Requests { exporter: Some(exporter), open: Mutex::default() }
    }

    /// A request with a context begins.
    pub fn begin(&self, correlation: &Correlation, context: &Context) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (contexts, order) = &mut *open;
        if contexts.insert(correlation.clone(), *context).is_none() {
            order.push_back(correlation.clone());
        }
        while order.len() > REMEMBERED_MAX {
            let oldest = order.pop_front();
            oldest.and_then(|oldest| contexts.remove(&oldest));
        }
    }

    /// A request with a context was answered.
    pub fn end(&self, request: &Request<'_>) {
        let Some(exporter) = self.exporter.as_ref().filter(|_| request.context.sampled) else { return };
        let Context { trace, parent, id, .. } = *request.context;
        let attributes = vec![
            ("http.request.method", Value::Text(request.method.to_owned())),
            ("http.route", Value::Text(request.route.to_owned())),
            ("http.response.status_code", Value::Number(request.status.into())),
            ("artel.correlation_id", Value::Text(request.correlation.to_string())),
        ];
        let (start, end) = (request.began_ns, request.began_ns + request.took_ns);
        // By the conventions of OpenTelemetry only what is the server's fault is an error of its span.
        let went_well = (request.status >= 500).then_some(false);
        exporter.send(Span {
            trace,
            id,
            parent: Some(parent),
            name: "request",
            kind: Kind::Server,
            start,
            end,
            attributes,
            link: None,
            went_well,
        });
    }

    /// The span of the request with this correlation id, if it had a context.
    pub(super) fn context(&self, correlation: &Correlation) -> Option<([u8; 16], [u8; 8])> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0.get(correlation).map(|context| (context.trace, context.id))
    }
}
