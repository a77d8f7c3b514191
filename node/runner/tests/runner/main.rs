//! The runner with real processes: C programs, hostile guests, walls taken away, children that misbehave.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod guests;
mod hostile;
mod processes;
mod support;
mod walls;
