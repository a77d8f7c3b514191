//! HTTP for an Artel node: the REST API, the log's tiles and the dashboard, over one trait that the node implements.
//!
//! This crate knows sockets, headers, JSON and limits. It knows no rule of the federation and opens no file.

mod answer;
mod apart;
mod app;
mod body;
mod caller;
mod calls;
mod connection;
mod correlation;
mod host;
pub mod metrics;
mod openapi;
mod options;
pub mod problem;
mod query;
mod range;
mod rate;
mod routes;
mod server;
pub mod service;
mod socket;
mod suggest;
pub mod trace;
pub mod types;
mod ui;
mod upload;

pub use body::IDEMPOTENCY_KEY_CHARS_MAX;
pub use options::{Audience, Options};
pub use problem::{Code, Problem};
pub use rate::{CALLERS_MAX, Rate};
pub use routes::ROUTES;
pub use server::{Error, Server};
pub use service::{Attendance, Blob, Call, Idempotency, Principal, Service};
#[cfg(fuzzing)]
pub use socket::fuzz;
pub use ui::PAGES;
pub use upload::Upload;
