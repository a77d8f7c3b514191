//! Runs steps: WebAssembly commands, each in a process of its own behind walls. The only crate that names wasmtime, landlock and
//! seccompiler.
//!
//! A step is a module and one JSON object ([`Step`]); its end is one of a closed list ([`Outcome`]). The same step ends the same
//! way on every node that runs it to a conclusive end: there is no clock, no chance and nothing of the machine in a guest's
//! world (`wasi`), and every setting of the engine is pinned (`engine`).
//!
//! Nothing that a stranger wrote is compiled or run in the node's process. A child is this same program, started anew: its `main`
//! calls [`child_if_asked`] first. It takes its walls, its orders, answers, and ends.
//!
//! ```text
//! node ── boot ──► child: limits, walls, engine, priming, the last wall
//!      ◄─ ready ── which walls stand, which profile            (primed children wait here, one or two)
//!      ─── take ──► a module's code                              (and here, one or two that have loaded the next one)
//!      ─── run ───► standard input, artifacts
//!      ◄─ answer ── outcome, log, files; the child ends
//! ```
//!
//! What may run is the operator's to say ([`Policy`], [`allows`]), and the node's to ask before it calls [`Runner::run`].

mod attempt;
mod cache;
mod child;
mod engine;
mod guest;
pub mod limits;
mod message;
mod outcome;
mod policy;
mod pool;
mod process;
mod runner;
mod step;
mod sys;
#[doc(hidden)]
pub mod testing;
mod walls;
mod wasi;
mod wire;

pub use attempt::{Attempt, SelfTest, Tried};
pub use engine::ENGINE;
pub use limits::Limits;
pub use outcome::{Artifact, Death, Fault, Log, Outcome, Refusal, Resource, Spent, TrapKind, WallMissing};
pub use policy::{Ask, Kind, Policy, Rule, allows};
pub use runner::{Counts, Error, Options, Runner, smallest_module};
pub use step::{Given, Module, Step};
pub use sys::landlock_abi;
pub use walls::{Wall, Walls};

/// Becomes a runner's child and never returns, when this process was started as one; otherwise does nothing.
///
/// To be called first thing in `main`, before any thread is started and anything is read.
pub fn child_if_asked() {
    if child::is_asked() {
        child::live(child::Trust::AllWalls)
    }
}
