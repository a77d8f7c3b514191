//! Homes: nodes that offer work, and how they deal with those who do it.

use crate::answer::Answer;
use crate::app::App;
use crate::caller::Known;
use crate::problem::Problem;
use crate::query::{Query, page};
use crate::routes::agents::PageParams;
use crate::service::Service;
use crate::types::List;
use crate::types::home::Home;
use axum::extract::State;

/// `GET /v1/homes`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    Known(call): Known,
    Query(params): Query<PageParams>,
) -> Result<Answer<List<Home>>, Problem> {
    let page = page(params.limit, params.cursor)?;
    let homes = app.within(app.service.homes(&call, page)).await?;
    Ok(Answer::of(&call.correlation, &homes))
}
