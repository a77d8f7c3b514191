//! The first page: what is going on, and what needs whoever looks.

use super::agents::{Layers, Names, by, layers};
use super::events::{Filter, Looked, newest};
use super::notices::{self, Unread};
use super::page::html;
use super::show::{self, Tone};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::service::{Call, Service};
use crate::types::Page as ListPage;
use crate::types::agent::{Earnings, OwnAgent, Work, WorkOutcome};
use crate::types::node::{HealthStatus, Status};
use crate::types::peer::{Peer, PeerStatus};
use crate::types::run::{Run, RunQuery, RunStatus};
use crate::types::task::{Task, TaskQuery};
use artel_protocol::key::AgentId;
use askama::Template;
use axum::extract::State;
use axum::response::Response;

/// How many rows each list of this page has.
const ROWS: u32 = 8;
/// How many events it shows.
const EVENTS: usize = 14;
/// How long a task may wait unclaimed before somebody should look, in milliseconds (10 minutes).
const UNCLAIMED_MS: u64 = 10 * 60 * 1_000;

/// Something that somebody should look at.
struct Need {
    tone: &'static str,
    what: String,
    advice: &'static str,
    link: String,
}

#[derive(Template)]
#[template(path = "ui/overview.html")]
struct OperatorPage<'a> {
    shell: &'a Shell,
    tiles: Vec<(&'static str, u64, &'static str)>,
    needs: &'a [Need],
    runs: &'a [Run],
    looked: &'a Looked,
    peers: &'a [Peer],
    names: &'a Names,
}

#[derive(Template)]
#[template(path = "ui/overview_agent.html")]
struct AgentPage<'a> {
    shell: &'a Shell,
    me: &'a OwnAgent,
    layers: &'a Layers,
    earnings: &'a Earnings,
    open: &'a [Work],
    done: &'a [Work],
    offers: &'a [Task],
    unread: &'a Unread,
}

/// `GET /ui`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    match visitor.agent() {
        Some(me) => of_agent(&app, &visitor, me).await,
        None => of_operator(&app, &visitor).await,
    }
}

async fn of_operator<S: Service>(app: &App<S>, visitor: &Visitor) -> Result<Response, Problem> {
    let call = &visitor.call;
    let runs = RunQuery { status: None, page: ListPage { limit: ROWS, cursor: None } };
    let runs = app.within(app.service.runs(call, runs)).await?.items;
    let peers = app.within(app.service.peers(call)).await?.items;
    let looked = newest(app, call, EVENTS, &Filter::default()).await?;
    let named = runs.iter().filter_map(|run| by(&run.actor)).chain(looked.agents());
    let names = Names::of(app, call, named).await?;
    let needs = needs(app, visitor, &peers).await?;
    html(&OperatorPage {
        shell: &visitor.shell,
        tiles: tiles(&visitor.status),
        needs: &needs,
        runs: &runs,
        looked: &looked,
        peers: &peers,
        names: &names,
    })
}

/// The counts that say how busy the node is, and where each is looked at.
fn tiles(status: &Status) -> Vec<(&'static str, u64, &'static str)> {
    let shown = [
        ("runs open", "/ui/runs?status=running"),
        ("tasks available", "/ui/tasks?status=available"),
        ("leases held", "/ui/tasks?status=claimed"),
        ("submissions accepted", "/ui/tasks?status=accepted"),
        ("submissions rejected", "/ui/audit?kind=Verdict"),
        ("leases lapsed", "/ui/audit?kind=Lapsed"),
        ("agents", "/ui/agents"),
        ("credits paid", "/ui/ledger"),
    ];
    let count =
        |wanted: &str| status.counts.iter().find(|(label, _)| *label == wanted).map_or(0, |(_, n)| *n);
    shown.into_iter().map(|(label, link)| (label, count(label), link)).collect()
}

async fn needs<S: Service>(app: &App<S>, visitor: &Visitor, peers: &[Peer]) -> Result<Vec<Need>, Problem> {
    let mut needs = Vec::new();
    if visitor.status.health == HealthStatus::Degraded {
        needs.push(Need {
            tone: Tone::Bad.name(),
            what: "The node takes no work".into(),
            advice: "Its journal cannot be written. See the node's log, and how much room the disk has.",
            link: "/ui/settings".into(),
        });
    }
    for (peer, why) in &visitor.status.quarantined {
        needs.push(Need {
            tone: Tone::Bad.name(),
            what: format!("Node …{} is in quarantine: {why}", show::tail(peer)),
            advice: "Nothing more is taken of it. Look at the proof; expel it if you let it in.",
            link: "/ui/mesh".into(),
        });
    }
    for peer in peers.iter().filter(|peer| peer.status == PeerStatus::Refused) {
        needs.push(Need {
            tone: Tone::Warn.name(),
            what: format!("Node …{} does not let this node in", show::tail(&peer.peer_id)),
            advice: "Ask its operator, or for an invitation.",
            link: "/ui/mesh".into(),
        });
    }
    let failed = RunQuery { status: Some(RunStatus::Failed), page: ListPage { limit: 3, cursor: None } };
    for run in app.within(app.service.runs(&visitor.call, failed)).await?.items {
        needs.push(Need {
            tone: Tone::Bad.name(),
            what: format!("Run “{}” failed", run.name),
            advice: "See which step, and why.",
            link: format!("/ui/runs/{}", run.run_id),
        });
    }
    needs.extend(unclaimed(app, &visitor.call).await?);
    Ok(needs)
}

/// The oldest tasks that nobody has taken for long.
async fn unclaimed<S: Service>(app: &App<S>, call: &Call) -> Result<Vec<Need>, Problem> {
    let query = TaskQuery { page: ListPage { limit: 3, cursor: None }, ..TaskQuery::default() };
    let tasks = app.within(app.service.tasks(call, query)).await?.items;
    let now = show::now();
    let waits = tasks.into_iter().filter(|task| now.since_ms(task.created_at) > UNCLAIMED_MS);
    let need = |task: Task| Need {
        tone: Tone::Warn.name(),
        what: format!("Nobody has taken “{}”", task.title),
        advice: "Is an agent enrolled that has these skills and the level?",
        link: format!("/ui/tasks/{}", task.task_id),
    };
    Ok(waits.map(need).collect())
}

async fn of_agent<S: Service>(app: &App<S>, visitor: &Visitor, me: AgentId) -> Result<Response, Problem> {
    let call = &visitor.call;
    let own = app.within(app.service.own_agent(call, me)).await?;
    let reputation = app.within(app.service.reputation(call, me)).await?;
    let earnings = app.within(app.service.earnings(call, me)).await?;
    let page = ListPage { limit: 50, cursor: None };
    let work = app.within(app.service.history(call, me, page)).await?.items;
    let is_open = |work: &Work| matches!(work.outcome, WorkOutcome::Held | WorkOutcome::Submitted);
    let (open, mut done): (Vec<Work>, Vec<Work>) = work.into_iter().partition(is_open);
    done.truncate(ROWS as usize);
    let offers = TaskQuery { page: ListPage { limit: ROWS, cursor: None }, ..TaskQuery::default() };
    let offers = app.within(app.service.tasks(call, offers)).await?.items;
    let unread = notices::unread(app, call, me).await?;
    html(&AgentPage {
        shell: &visitor.shell,
        me: &own,
        layers: &layers(&reputation),
        earnings: &earnings,
        open: &open,
        done: &done,
        offers: &offers,
        unread: &unread,
    })
}
