//! Agents: who is here, what each can do, how good it is and which receipts say so.

use super::page::html;
use super::pager::Pager;
use super::show;
use super::trend::{Trend, trend};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::query::{Id, Query, checked, given, page};
use crate::service::{Call, Service};
use crate::types::agent::{Agent, AgentQuery, Reputation, Score, Work, WorkOutcome};
use artel_protocol::key::AgentId;
use artel_protocol::skill::Skill;
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the agents of a page call themselves; those that this node does not know are shown by their keys.
pub(super) struct Names(BTreeMap<AgentId, String>);

/// The agent that did something, where it was one.
pub(super) fn by(actor: &str) -> Option<AgentId> {
    AgentId::from_did(actor).ok()
}

impl Names {
    /// Asks for these.
    ///
    /// # Errors
    /// What the service refuses.
    pub async fn of<S: Service>(
        app: &App<S>,
        call: &Call,
        agents: impl IntoIterator<Item = AgentId>,
    ) -> Result<Self, Problem> {
        let agents: BTreeSet<AgentId> = agents.into_iter().collect();
        if agents.is_empty() {
            return Ok(Names(BTreeMap::new()));
        }
        Ok(Names(app.within(app.service.names(call, agents)).await?))
    }

    /// An agent's name; empty where it is not known.
    pub fn name(&self, agent: &AgentId) -> &str {
        self.0.get(agent).map_or("", String::as_str)
    }

    /// The name of who did something; empty where it is no agent that is known.
    pub fn actor(&self, who: &str) -> &str {
        by(who).map_or("", |agent| self.name(&agent))
    }
}

/// A score by layer: name, weight and score. A layer without evidence has none.
pub(super) struct Layers {
    pub final_score: Score,
    pub lower_bound: Score,
    pub level: &'static str,
    pub rows: [(&'static str, &'static str, Option<Score>); 3],
}

/// The layers of a reputation.
pub(super) fn layers(reputation: &Reputation) -> Layers {
    Layers {
        final_score: reputation.final_score,
        lower_bound: reputation.lower_bound,
        level: show::word(&reputation.reputation_level),
        rows: [
            ("Automated quality", "30 %", reputation.layer_1_score),
            ("Task success", "40 %", reputation.layer_2_score),
            ("Peer review", "30 %", reputation.layer_3_score),
        ],
    }
}

#[derive(Deserialize)]
pub(super) struct ListParams {
    #[serde(default)]
    capability: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/agents.html")]
struct ListPageOf<'a> {
    shell: &'a Shell,
    params: &'a ListParams,
    agents: &'a [Agent],
    pager: Pager,
}

/// `GET /ui/agents`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let query = AgentQuery {
        capability: checked("capability", given(&params.capability), Skill::parse)?,
        page: page(None, params.cursor.clone())?,
    };
    let agents = app.within(app.service.agents(&visitor.call, query)).await?;
    let filter = [("capability", params.capability.as_str())];
    let pager = Pager::new("/ui/agents", &filter, &params.cursor, &agents.next_cursor);
    html(&ListPageOf { shell: &visitor.shell, params: &params, agents: &agents.items, pager })
}

#[derive(Deserialize)]
pub(super) struct ShowParams {
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/agent.html")]
struct ShowPage<'a> {
    shell: &'a Shell,
    agent: &'a Agent,
    reputation: &'a Reputation,
    layers: &'a Layers,
    trend: &'a Trend,
    /// Nothing where the visitor may not see it.
    work: Option<&'a [Work]>,
    open: usize,
    pager: Pager,
}

/// `GET /ui/agents/{did}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(id): Id<AgentId>,
    Query(params): Query<ShowParams>,
) -> Result<Response, Problem> {
    let call = &visitor.call;
    let agent = app.within(app.service.agent(call, id)).await?;
    let reputation = app.within(app.service.reputation(call, id)).await?;
    let may_see = visitor.agent().is_none_or(|me| me == id);
    let work = match may_see {
        true => {
            Some(app.within(app.service.history(call, id, page(Some(100), params.cursor.clone())?)).await?)
        }
        false => None,
    };
    let next = work.as_ref().and_then(|work| work.next_cursor.clone());
    let pager = Pager::new(&format!("/ui/agents/{id}"), &[], &params.cursor, &next);
    let items = work.as_ref().map(|work| work.items.as_slice());
    let is_open = |work: &&Work| matches!(work.outcome, WorkOutcome::Held | WorkOutcome::Submitted);
    html(&ShowPage {
        shell: &visitor.shell,
        agent: &agent,
        reputation: &reputation,
        layers: &layers(&reputation),
        trend: &trend(items.unwrap_or_default()),
        work: items,
        open: items.unwrap_or_default().iter().filter(is_open).count(),
        pager,
    })
}
