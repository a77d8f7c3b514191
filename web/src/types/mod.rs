//! What goes in and out over HTTP, as plain structs with checked ids, amounts and times; one file per resource.
//! Nothing here knows a route, a status or where an answer comes from.

pub mod agent;
pub mod artifact;
pub mod audit;
pub mod auth;
pub mod doctor;
pub mod done;
pub(crate) mod edge;
pub mod enroll;
pub mod event;
pub mod example;
pub(crate) mod form;
pub mod home;
mod json;
pub mod ledger;
pub mod member;
pub mod node;
pub mod notice;
pub(crate) mod object;
mod page;
pub mod peer;
pub mod receipt;
pub mod run;
pub mod task;

pub use edge::parse_time;
pub use json::Json;
pub use page::{List, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, Page};
