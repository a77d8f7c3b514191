//! Invitations: the operator makes them, looks at them and takes them back. Their text is shown once, when they are made.

use crate::answer::Answer;
use crate::app::App;
use crate::body::Input;
use crate::caller::AsOperator;
use crate::problem::Problem;
use crate::query::{Id, Query, page};
use crate::routes::agents::PageParams;
use crate::service::Service;
use crate::types::List;
use crate::types::done::Revoked;
use crate::types::member::{GivenInvitation, Invitation, InvitationPost};
use artel_protocol::id::Digest;
use axum::extract::State;

/// `POST /v1/invitations`.
pub(super) async fn post<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    input: Input<InvitationPost>,
) -> Result<Answer<Invitation, 201>, Problem> {
    let invitation = app.within(app.service.invite(&call, input.value)).await?;
    Ok(Answer::of(&call.correlation, &invitation))
}

/// `GET /v1/invitations`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<GivenInvitation>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let invitations = app.within(app.service.invitations(&call, page)).await?;
    Ok(Answer::of(&call.correlation, &invitations))
}

/// `DELETE /v1/invitations/{digest}`.
pub(super) async fn revoke<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
    Id(digest): Id<Digest>,
) -> Result<Answer<Revoked>, Problem> {
    app.within(app.service.uninvite(&call, digest)).await?;
    Ok(Answer::of(&call.correlation, &Revoked { revoked: true }))
}
