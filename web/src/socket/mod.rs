//! The WebSocket of a busy agent, or of who posts and watches: `GET /v1/agent/connect`. Many calls are under way at once on one
//! socket, events and notices come as they happen.
//!
//! A call on it is HTTP's, by the same functions (`calls.rs`): same types, bounds, rate limits, codes and bodies. Here stand
//! the frames, the messages' envelope, and one session's turn of reading, calling, telling and writing.

mod call;
mod census;
mod frame;
#[cfg(fuzzing)]
pub mod fuzz;
mod message;
mod outgoing;
mod session;
mod upgrade;

pub(crate) use census::Census;
pub(crate) use session::Session;
pub(crate) use upgrade::{Opening, connect};
