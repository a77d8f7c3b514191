//! What is measured, for Prometheus. It tells how busy a node is and with what, so it is the operator's unless the operator says
//! otherwise.

use crate::app::App;
use crate::caller::{Anyone, AsOperator};
use crate::metrics::{CONTENT_TYPE, Text};
use crate::openapi::Operation;
use crate::openapi::describe::{Answers, Argument};
use crate::options::Audience;
use crate::problem::Problem;
use crate::service::Service;
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// `GET /metrics`.
pub(super) async fn show<S: Service>(State(app): State<App<S>>, _: Reader) -> Samples {
    let mut text = Text::default();
    app.requests.write(&mut text);
    app.service.metrics(&mut text);
    Samples(text.finish())
}

/// Whoever may read what is measured.
pub(super) struct Reader;

impl<S: Service> FromRequestParts<App<S>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Problem> {
        let anyone = Anyone::from_request_parts(parts, app).await?;
        let is_open = match app.options.metrics {
            Audience::Anyone => true,
            Audience::Loopback => anyone.0.remote.to_canonical().is_loopback(),
            Audience::Operator => false,
        };
        if !is_open {
            AsOperator::from_request_parts(parts, app).await?;
        }
        Ok(Reader)
    }
}

impl Argument for Reader {
    fn describe(operation: &mut Operation<'_>) {
        AsOperator::describe(operation);
    }
}

/// All samples.
pub(super) struct Samples(String);

impl IntoResponse for Samples {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], self.0).into_response()
    }
}

impl Answers for Samples {
    fn describe(operation: &mut Operation<'_>) {
        let content = json!({"text/plain": {"schema": {"type": "string"}}});
        operation.answer(200, "Prometheus' text format, version 0.0.4.", content);
    }
}
