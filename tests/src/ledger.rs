//! Amounts as they stand in answers, in units, and what must hold of all accounts together.

use crate::http::Client;
use serde_json::Value;

/// An amount in millionths of a credit.
///
/// # Panics
/// When it is no amount.
#[track_caller]
pub fn units(amount: &Value) -> i64 {
    let credits = amount.as_f64().unwrap_or_else(|| panic!("no amount: {amount}"));
    let units = (credits * 1e6).round();
    assert!((units - credits * 1e6).abs() < 1e-3, "an amount finer than a unit: {amount}");
    units as i64
}

/// What the ledger holds: of the operator, of all agents together, in escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// The operator's balance, below zero by what is in circulation.
    pub operator: i64,
    /// The sum of all agents' balances.
    pub agents: i64,
    /// What is set aside for open tasks.
    pub escrow: i64,
}

/// Adds up all accounts; they must sum to zero.
#[track_caller]
pub fn sums(operator: &mut Client) -> Sums {
    let mut sums = Sums { operator: 0, agents: 0, escrow: 0 };
    for account in crate::all_pages(operator, "/v1/ledger/accounts") {
        let balance = units(&account["balance"]);
        match account["kind"].as_str() {
            Some("operator") => sums.operator += balance,
            Some("agent") => sums.agents += balance,
            Some("escrow") => sums.escrow += balance,
            other => panic!("an account of kind {other:?}"),
        }
    }
    assert_eq!(sums.operator + sums.agents + sums.escrow, 0, "the ledger sums to zero: {sums:?}");
    sums
}
