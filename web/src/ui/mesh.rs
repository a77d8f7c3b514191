//! The mesh: neighbours and round trips, who witnesses whose log, forks and alarms, as a picture and as tables.

use super::page::html;
use super::pager::Pager;
use super::ring::{self, Spot};
use super::show::{self, State as _};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::Problem;
use crate::query::{Query, page};
use crate::service::Service;
use crate::types::home::Home;
use crate::types::member::{Node, NodeStatus};
use crate::types::node::Status;
use crate::types::peer::{Journal, Peer, Traffic};
use crate::types::{PAGE_ITEMS_MAX, Page as ListPage};
use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

/// The most neighbours in the picture; the table has them all.
const DRAWN_MAX: usize = 24;

#[derive(Deserialize)]
pub(super) struct Params {
    cursor: Option<String>,
}

/// A neighbour in the picture.
struct Drawn<'a> {
    peer: &'a Peer,
    spot: Spot,
    tone: &'static str,
    tail: &'a str,
}

#[derive(Template)]
#[template(path = "ui/mesh.html")]
struct Page<'a> {
    shell: &'a Shell,
    status: &'a Status,
    peers: &'a [Peer],
    drawn: &'a [Drawn<'a>],
    journals: &'a [Journal],
    nodes: &'a [Node],
    homes: &'a [Home],
    traffic: &'a Traffic,
    size: (f64, f64, f64, f64),
    pager: Pager,
}

/// `GET /ui/mesh`; the operator's.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<Params>,
) -> Result<Response, Problem> {
    visitor.must_be_operator()?;
    let call = &visitor.call;
    let peers = app.within(app.service.peers(call)).await?.items;
    let journals = app.within(app.service.journals(call, page(None, params.cursor.clone())?)).await?;
    let first = ListPage { limit: PAGE_ITEMS_MAX, cursor: None };
    let nodes = app.within(app.service.nodes(call, first.clone())).await?.items;
    let homes = app.within(app.service.homes(call, first)).await?.items;
    let pager = Pager::new("/ui/mesh", &[], &params.cursor, &journals.next_cursor);
    html(&Page {
        shell: &visitor.shell,
        status: &visitor.status,
        peers: &peers,
        drawn: &draw(&peers),
        journals: &journals.items,
        nodes: &nodes,
        homes: &homes,
        traffic: &app.service.traffic(),
        size: (ring::WIDTH, ring::height(peers.len().min(DRAWN_MAX)), ring::BOX.0, ring::BOX.1),
        pager,
    })
}

fn draw<'a>(peers: &'a [Peer]) -> Vec<Drawn<'a>> {
    let shown = &peers[..peers.len().min(DRAWN_MAX)];
    let drawn = |(peer, spot): (&'a Peer, Spot)| {
        let tone = peer.quarantine.as_ref().map_or(peer.status.said().1, |quarantine| quarantine.said().1);
        let tail = show::tail(&peer.peer_id);
        Drawn { peer, spot, tone: tone.name(), tail }
    };
    shown.iter().zip(ring::spots(shown.len())).map(drawn).collect()
}
