//! The ledger: the operator sees every account, an agent what it earned and what it set aside.

use super::agents::Names;
use super::page::html;
use super::pager::Pager;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::query::{Query, page};
use crate::service::Service;
use crate::types::agent::{Contribution, Earnings};
use crate::types::ledger::{Account, AccountKind, Balance};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Params {
    cursor: Option<String>,
}

/// Sums of a page of accounts.
struct Sums {
    issued: Option<Balance>,
    agents: Balance,
    escrow: Balance,
    /// Whether the page has all accounts, so that the sums are the ledger's.
    are_all: bool,
}

#[derive(Template)]
#[template(path = "ui/ledger.html")]
struct OperatorPage<'a> {
    shell: &'a Shell,
    accounts: &'a [Account],
    sums: Sums,
    names: &'a Names,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "ui/ledger_agent.html")]
struct AgentPage<'a> {
    shell: &'a Shell,
    earnings: &'a Earnings,
    payments: &'a [Contribution],
    pager: Pager,
}

/// `GET /ui/ledger`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    let (call, cursor) = (&visitor.call, params.cursor.as_deref());
    let wanted = page(None, params.cursor.clone())?;
    if let Some(me) = visitor.agent() {
        let earnings = app.within(app.service.earnings(call, me)).await?;
        let payments = app.within(app.service.contributions(call, me, wanted)).await?;
        let pager = Pager::new("/ui/ledger", &[], cursor, payments.next_cursor.as_deref());
        return html(&AgentPage {
            shell: &visitor.shell,
            earnings: &earnings,
            payments: &payments.items,
            pager,
        });
    }
    let accounts = app.within(app.service.accounts(call, wanted)).await?;
    let names = Names::of(&app, call, accounts.items.iter().filter_map(|account| account.agent_id)).await?;
    let pager = Pager::new("/ui/ledger", &[], cursor, accounts.next_cursor.as_deref());
    let sums = sums(&accounts.items, cursor.is_none() && accounts.next_cursor.is_none());
    html(&OperatorPage { shell: &visitor.shell, accounts: &accounts.items, sums, names: &names, pager })
}

fn sums(accounts: &[Account], are_all: bool) -> Sums {
    let of = |kind: AccountKind| accounts.iter().filter(move |account| account.kind == kind);
    let sum = |kind| Balance(of(kind).fold(0_i64, |sum, account| sum.saturating_add(account.balance.0)));
    Sums {
        issued: of(AccountKind::Operator).next().map(|account| Balance(account.balance.0.saturating_neg())),
        agents: sum(AccountKind::Agent),
        escrow: sum(AccountKind::Escrow),
        are_all,
    }
}
