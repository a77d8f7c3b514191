//! The ledger: the operator sees every account and how other homes keep their word, an agent what it earned, here and elsewhere,
//! and what it set aside.

use super::agents::Names;
use super::page::html;
use super::pager::Pager;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::query::{Query, page};
use crate::service::Service;
use crate::types::agent::{Contribution, Earnings, HomeEvidence};
use crate::types::home::Home;
use crate::types::ledger::{Account, AccountKind, Balance};
use crate::types::{PAGE_ITEMS_MAX, Page as ListPage};
use artel_protocol::amount::Credits;
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
    homes: &'a [Home],
    names: &'a Names,
    pager: Pager,
}

#[derive(Template)]
#[template(path = "ui/ledger_agent.html")]
struct AgentPage<'a> {
    shell: &'a Shell,
    earnings: &'a Earnings,
    payments: &'a [Contribution],
    /// What other homes say of it, and what they paid in all.
    elsewhere: &'a [HomeEvidence],
    paid_elsewhere: Credits,
    pager: Pager,
}

/// `GET /ui/ledger`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    let call = &visitor.call;
    let wanted = page(None, params.cursor.clone())?;
    if let Some(me) = visitor.agent() {
        let earnings = app.within(app.service.earnings(call, me)).await?;
        let payments = app.within(app.service.contributions(call, me, wanted)).await?;
        let mut elsewhere = app.within(app.service.reputation(call, me)).await?.homes;
        elsewhere.retain(|home| home.home.key().peer_id() != visitor.status.peer_id);
        let paid = elsewhere.iter().fold(0_u64, |sum, home| sum.saturating_add(home.paid.0));
        return html(&AgentPage {
            shell: &visitor.shell,
            earnings: &earnings,
            payments: &payments.items,
            elsewhere: &elsewhere,
            paid_elsewhere: Credits(paid),
            pager: Pager::new("/ui/ledger", &[], &params.cursor, &payments.next_cursor),
        });
    }
    let accounts = app.within(app.service.accounts(call, wanted)).await?;
    let all = ListPage { limit: PAGE_ITEMS_MAX, cursor: None };
    let homes = app.within(app.service.homes(call, all)).await?.items;
    let named = accounts.items.iter().filter_map(|account| account.agent_id);
    html(&OperatorPage {
        shell: &visitor.shell,
        accounts: &accounts.items,
        sums: sums(&accounts.items, params.cursor.is_none() && accounts.next_cursor.is_none()),
        homes: &homes,
        names: &Names::of(&app, call, named).await?,
        pager: Pager::new("/ui/ledger", &[], &params.cursor, &accounts.next_cursor),
    })
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
