//! What a world with a market between its nodes has beside its nodes: agents and what they do for a living, what operators
//! post, the programs that can be run again, and what the world knows of it all. What the nodes themselves do stands in
//! `member/market/`.

pub mod delegations;
pub mod invariants;
pub mod known;
pub mod ledger;
pub mod posting;
pub mod program;
pub mod shape;
pub mod worker;

pub use known::Known;
pub use shape::MarketShape;
