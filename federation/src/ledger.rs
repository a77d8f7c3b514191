//! The double-entry ledger: balances as the fold of transfers whose legs sum to zero. The operator's account issues
//! credit, so its balance is minus the credit in circulation; an agent's balance is what its IOUs add up to.

use crate::fact::{Account, Cause, Leg, Poster, Transfer};
use artel_protocol::amount::Credits;
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use std::collections::BTreeMap;

/// Balances of all accounts that are not at zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Ledger {
    balances: BTreeMap<Account, i64>,
}

/// Why a transfer is not a ledger entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The legs do not sum to zero.
    #[error("legs sum to {0} units, not zero")]
    Unbalanced(i128),
    /// A balance would leave 64 bits, or an escrow or an agent would owe.
    #[error("account {0:?} would be out of range")]
    OutOfRange(Account),
    /// The poster of another step is not known here.
    #[error("the poster of step {0} has no part in it")]
    Alias(StepId),
}

impl Ledger {
    /// An account's balance in units.
    pub fn balance(&self, account: Account) -> i64 {
        self.balances.get(&account).copied().unwrap_or(0)
    }

    /// All accounts that are not at zero, in order.
    pub fn accounts(&self) -> impl Iterator<Item = (Account, i64)> + '_ {
        self.balances.iter().map(|(account, units)| (*account, *units))
    }

    /// A ledger of these balances, as a snapshot holds them.
    pub(crate) fn from_rows(rows: impl IntoIterator<Item = (Account, i64)>) -> Self {
        Ledger { balances: rows.into_iter().collect() }
    }

    /// The sum of all balances, which is zero.
    pub fn total(&self) -> i128 {
        self.balances.values().map(|units| i128::from(*units)).sum()
    }

    /// Whether `poster` can set `amount` aside.
    pub fn covers(&self, poster: Poster, amount: Credits, credit_line_units: u64) -> bool {
        let account = poster_account(poster);
        // No line reaches so far that a balance could leave 64 bits.
        let line = if account == Account::Operator {
            i128::from(credit_line_units).min(i128::from(i64::MAX / 2))
        } else {
            0
        };
        i128::from(self.balance(account)) + line >= i128::from(amount.0)
    }

    /// Enters a transfer, whole or not at all; `poster` is the account that the alias of its step stands for.
    ///
    /// # Errors
    /// [`Error`] when it does not sum to zero, an account would be out of range, or an alias is another step's.
    pub fn enter(&mut self, transfer: &Transfer, poster: Account) -> Result<(), Error> {
        let sum: i128 = transfer.legs.iter().map(|leg| i128::from(leg.units)).sum();
        if sum != 0 {
            return Err(Error::Unbalanced(sum));
        }
        let mut changed: BTreeMap<Account, i64> = BTreeMap::new();
        for leg in &transfer.legs {
            let account = match leg.account {
                Account::Poster(step) if step == transfer.step => poster,
                Account::Poster(step) => return Err(Error::Alias(step)),
                own => own,
            };
            let before = changed.get(&account).copied().unwrap_or_else(|| self.balance(account));
            let after = before.checked_add(leg.units).ok_or(Error::OutOfRange(account))?;
            changed.insert(account, after);
        }
        if let Some((account, _)) = changed.iter().find(|(a, units)| **units < 0 && **a != Account::Operator)
        {
            return Err(Error::OutOfRange(*account));
        }
        for (account, units) in changed {
            if units == 0 {
                self.balances.remove(&account)
            } else {
                self.balances.insert(account, units)
            };
        }
        Ok(())
    }
}

/// The account that a poster pays from.
pub fn poster_account(poster: Poster) -> Account {
    match poster {
        Poster::Operator => Account::Operator,
        Poster::Agent(agent) => Account::Agent(agent),
    }
}

fn leg(account: Account, units: i128) -> Leg {
    Leg { account, units: i64::try_from(units).expect("amounts are bounded far below 63 bits") }
}

/// Sets `amount` aside for a step; nothing to enter for nothing.
pub fn escrow(step: StepId, poster: Poster, amount: Credits) -> Option<Transfer> {
    let units = i128::from(amount.0);
    (units > 0).then(|| Transfer {
        cause: Cause::Escrow,
        step,
        legs: vec![leg(poster_account(poster), -units), leg(Account::Escrow(step), units)],
    })
}

/// Pays `paid` of a step's escrow to an agent and the remainder back to the poster. The second leg is always the
/// agent's, also where it is nothing, so that a poster who did its own step is not mistaken. A payment is public, and
/// who asked for what is not: the poster stands under its alias.
///
/// # Panics
/// When more is paid than was set aside.
pub fn payment(step: StepId, escrow: Credits, agent: AgentId, paid: Credits) -> Option<Transfer> {
    let rest = escrow.checked_sub(paid).expect("the escrow covers the highest multiplier");
    if escrow == Credits::ZERO {
        return None;
    }
    let worker = leg(Account::Agent(agent), i128::from(paid.0));
    let mut legs = vec![leg(Account::Escrow(step), -i128::from(escrow.0)), worker];
    if rest > Credits::ZERO {
        legs.push(leg(Account::Poster(step), i128::from(rest.0)));
    }
    Some(Transfer { cause: Cause::Payment, step, legs })
}

/// Gives a step's whole escrow back to the poster.
pub fn refund(step: StepId, poster: Poster, escrow: Credits) -> Option<Transfer> {
    let units = i128::from(escrow.0);
    (units > 0).then(|| Transfer {
        cause: Cause::Refund,
        step,
        legs: vec![leg(Account::Escrow(step), -units), leg(poster_account(poster), units)],
    })
}

/// Takes back of what was paid to an agent, for whoever posted the work.
pub fn recall(agent: AgentId, poster: Account, amount: Credits) -> Vec<Leg> {
    let units = i128::from(amount.0);
    vec![leg(Account::Agent(agent), -units), leg(poster, units)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::time::Wall;

    fn step() -> StepId {
        RunId::new(Wall(1), [1; 9]).step(0)
    }

    fn agent() -> AgentId {
        AgentId(SecretKey::from_seed(&[3; 32]).public())
    }

    #[test]
    fn escrow_payment_and_refund_sum_to_zero() {
        let mut ledger = Ledger::default();
        for transfer in [
            escrow(step(), Poster::Operator, Credits(200)),
            payment(step(), Credits(200), agent(), Credits(120)),
            escrow(step(), Poster::Agent(agent()), Credits(50)),
            refund(step(), Poster::Agent(agent()), Credits(50)),
        ] {
            let transfer = transfer.expect("an amount above zero");
            ledger.enter(&transfer, Account::Operator).expect("a balanced entry");
            assert_eq!(ledger.total(), 0);
        }
        assert_eq!(ledger.balance(Account::Agent(agent())), 120);
        assert_eq!(ledger.balance(Account::Operator), -120);
        assert_eq!(ledger.balance(Account::Escrow(step())), 0);
    }

    #[test]
    fn an_unbalanced_or_overdrawn_entry_changes_nothing() {
        let mut ledger = Ledger::default();
        let mut transfer = escrow(step(), Poster::Operator, Credits(5)).expect("an amount above zero");
        transfer.legs.pop();
        assert_eq!(ledger.enter(&transfer, Account::Operator), Err(Error::Unbalanced(-5)));
        let overdrawn = escrow(step(), Poster::Agent(agent()), Credits(5)).expect("an amount above zero");
        let refused = ledger.enter(&overdrawn, Account::Agent(agent()));
        assert_eq!(refused, Err(Error::OutOfRange(Account::Agent(agent()))));
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn a_posters_alias_is_the_account_of_the_steps_poster() {
        let poster = Account::Agent(AgentId(SecretKey::from_seed(&[4; 32]).public()));
        let mut ledger = Ledger::from_rows([(Account::Operator, -10), (Account::Escrow(step()), 10)]);
        let paid = payment(step(), Credits(10), agent(), Credits(7)).expect("an amount above zero");
        assert_eq!(paid.legs[2].account, Account::Poster(step()), "a payment does not say who posted");
        ledger.enter(&paid, poster).expect("a balanced entry");
        assert_eq!((ledger.balance(poster), ledger.balance(Account::Agent(agent()))), (3, 7));
        assert!(ledger.accounts().all(|(account, _)| !matches!(account, Account::Poster(_))));

        let mut own = Ledger::from_rows([(Account::Operator, -10), (Account::Escrow(step()), 10)]);
        own.enter(&paid, Account::Agent(agent())).expect("a poster may do its own step");
        assert_eq!(own.balance(Account::Agent(agent())), 10);

        let other = step().run().step(1);
        let mut elsewhere = paid.clone();
        elsewhere.legs[2].account = Account::Poster(other);
        assert_eq!(own.enter(&elsewhere, poster), Err(Error::Alias(other)));
    }

    #[test]
    fn only_the_operator_has_a_credit_line() {
        let ledger = Ledger::default();
        assert!(ledger.covers(Poster::Operator, Credits(10), 10));
        assert!(!ledger.covers(Poster::Operator, Credits(11), 10));
        assert!(!ledger.covers(Poster::Agent(agent()), Credits(1), 10));
    }
}
