//! The node examines itself, for its operator.

use super::inner::NodeService;
use crate::doctor::{Patient, examine};
use artel_web::types::List;
use artel_web::types::doctor::Finding;

/// `GET /v1/doctor`, by check.
pub(super) async fn findings(service: &NodeService) -> List<Finding> {
    let parts = service.parts();
    let patient = Patient {
        dir: &parts.data,
        config: &parts.config,
        http: parts.http,
        down: &parts.down,
        index: &parts.index,
        entries: service.reader().size(),
        neighbours: parts.neighbours.as_ref(),
        identity: parts.identity,
        started: parts.started,
    };
    List { items: examine(&service.0.doctor, patient).await, next_cursor: None }
}
