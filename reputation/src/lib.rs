//! Evidence in, score out: what an agent's receipts and reviews say about it, how old evidence fades, which level a
//! score gives and what a level is paid.
//!
//! This crate is pure, and all of it is integers: two nodes that hold the same evidence compute the same score, bit for
//! bit, in whatever order they learned it. It never decides which evidence counts (the federation does), and it never
//! reads a clock. `protocol/PROTOCOL.md`, section "Reputation", holds the formulas; `vectors/` holds exact results.
#![warn(missing_docs)]

pub mod decay;
pub mod evidence;
pub mod level;
pub mod score;
pub mod standing;
pub mod viewed;

pub use evidence::{Evidence, Fact, Outcome, Quality};
pub use level::{Complexity, Level, escrow, reward};
pub use score::{Assessment, Layers, Score};
pub use standing::{FromTheFuture, Standing};
pub use viewed::{Eighths, Share, Source, Viewed, viewed};
