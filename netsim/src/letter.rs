//! What travels between people, agents and homes: a request with its sender on the way there, its number on the way back.

use artel_federation::{Principal, Refusal, Reply, Request};

/// Who takes part beside the homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// The operator of the home with this number.
    Operator(usize),
    /// The agent with this number.
    Agent(usize),
}

impl Actor {
    /// The actor as a number for the trace.
    pub fn number(self) -> u64 {
        match self {
            Actor::Operator(home) => home as u64,
            Actor::Agent(agent) => 1_000 + agent as u64,
        }
    }
}

/// A request on its way. The channel may lose it, repeat it, or let a later one pass.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Who asks.
    pub from: Actor,
    /// The home that is asked.
    pub home: usize,
    /// The sender's own number for it; a repeated delivery has the same one.
    pub number: u64,
    /// The credential that it carries.
    pub principal: Principal,
    /// What is asked.
    pub request: Request,
}

/// An answer on its way back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who asked.
    pub to: Actor,
    /// The home that answers.
    pub home: usize,
    /// The number of the letter.
    pub number: u64,
    /// What it says.
    pub said: Result<Reply, Refusal>,
}
