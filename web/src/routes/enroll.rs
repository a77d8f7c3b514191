//! Enrollment: strangers' only two calls.

use crate::answer::Answer;
use crate::app::App;
use crate::body::Input;
use crate::caller::{Anyone, may_enroll};
use crate::openapi::Operation;
use crate::openapi::describe::Argument;
use crate::problem::{Code, Problem};
use crate::query::Id;
use crate::service::Service;
use crate::types::enroll::{Challenge, EnrollRequest, RespondRequest, Token};
use artel_protocol::id::EnrollmentId;
use axum::extract::State;

/// `POST /v1/enroll`. Open challenges cost memory, so each address has a limit; it is taken before the body is read.
pub(super) async fn enroll<S: Service>(
    State(app): State<App<S>>,
    Enrolling(Anyone(call)): Enrolling,
    input: Input<EnrollRequest>,
) -> Result<Answer<Challenge, 201>, Problem> {
    let challenge = app.within(app.service.enroll(&call, input.value)).await?;
    Ok(Answer::of(&call.correlation, &challenge))
}

/// `POST /v1/enroll/{id}/respond`.
pub(super) async fn respond<S: Service>(
    State(app): State<App<S>>,
    Anyone(call): Anyone,
    Id(enrollment): Id<EnrollmentId>,
    input: Input<RespondRequest>,
) -> Result<Answer<Token>, Problem> {
    let token = app.within(app.service.respond(&call, enrollment, input.value)).await?;
    Ok(Answer::of(&call.correlation, &token))
}

/// A stranger who has an enrollment left.
pub(super) struct Enrolling(Anyone);

impl<S: Service> axum::extract::FromRequestParts<App<S>> for Enrolling {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        app: &App<S>,
    ) -> Result<Self, Problem> {
        let anyone = Anyone::from_request_parts(parts, app).await?;
        may_enroll(app, anyone.0.remote)?;
        Ok(Enrolling(anyone))
    }
}

impl Argument for Enrolling {
    fn describe(operation: &mut Operation<'_>) {
        operation.codes(&[Code::RateLimited]);
    }
}
