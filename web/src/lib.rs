//! HTTP for an Artel node: the REST API, the log's tiles and the status page, over one trait that the node implements.
//!
//! This crate knows sockets, headers, JSON and limits. It knows no rule of the federation and no file.

pub mod problem;
pub mod service;
pub mod types;
mod upload;

pub use problem::{Code, Problem};
pub use service::{Blob, Call, Idempotency, Principal, Service};
pub use upload::Upload;
