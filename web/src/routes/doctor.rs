//! What the node finds when it examines itself and the machine under it.

use crate::answer::Answer;
use crate::app::App;
use crate::caller::AsOperator;
use crate::problem::Problem;
use crate::service::Service;
use crate::types::List;
use crate::types::doctor::Finding;
use axum::extract::State;

/// `GET /v1/doctor`: all findings, for their number is fixed.
pub(super) async fn examine<S: Service>(
    State(app): State<App<S>>,
    AsOperator(call): AsOperator,
) -> Result<Answer<List<Finding>>, Problem> {
    let findings = app.within(app.service.doctor(&call)).await?;
    Ok(Answer::of(&call.correlation, &findings))
}
