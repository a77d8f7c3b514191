//! Answers that say no more than that a thing is done.

use schemars::JsonSchema;
use serde::Serialize;

/// `GET /readyz`: the node takes work.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Ready {
    /// Always true; a node that is not ready gives 503.
    pub ready: bool,
}

/// `POST /v1/tasks/{id}/release`: the lease is given back.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Released {
    /// Always true.
    pub released: bool,
}

/// A token or an invitation is not good any more.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Revoked {
    /// Always true.
    pub revoked: bool,
}
