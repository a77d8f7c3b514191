//! Nodes of the federation and the invitations that let them in. What is shown of nodes is what this node's own journal and
//! the genesis record say; an invitation's text is made here, signed by the node, and shown once.

use super::inner::{NodeService, now};
use super::page;
use super::refusal::bug;
use crate::events::admitted_by;
use artel_federation::fact::AdmittedBy;
use artel_federation::nodes::{self, LiveInvitation};
use artel_federation::view::View;
use artel_federation::{Reply, Request};
use artel_protocol::codec;
use artel_protocol::id::Digest;
use artel_protocol::invitation::{self, ADDRESSES_MAX, is_address};
use artel_protocol::key::NodeId;
use artel_protocol::time::Wall;
use artel_web::types::member::{
    GivenInvitation, Invitation, InvitationPost, InvitationStatus, Node, NodeStatus,
};
use artel_web::types::{List, Page};
use artel_web::{Call, Code, Problem};

/// For how long an invitation is good where nobody says, in milliseconds (a day): long enough to be sent and used, short
/// enough to be forgotten without harm.
const FOR_MS_DEFAULT: u64 = 24 * 3_600_000;

/// How many nodes an invitation lets in where nobody says.
const USES_DEFAULT: u32 = 1;

/// `POST /v1/invitations`.
pub(super) async fn invite(
    service: &NodeService,
    call: &Call,
    post: InvitationPost,
) -> Result<Invitation, Problem> {
    let (uses, for_ms) = (post.uses.unwrap_or(USES_DEFAULT), post.for_ms.unwrap_or(FOR_MS_DEFAULT));
    let Reply::Invited { secret, until, uses } = service.ask(call, Request::Invite { for_ms, uses }).await?
    else {
        return Err(bug("an invitation got another reply"));
    };
    let genesis = service.look(call, |view, _| view.genesis().map(codec::encode)).await?;
    let genesis = genesis.ok_or_else(|| bug("a node that takes requests has no genesis"))?;
    let addresses = addresses(service);
    let made = invitation::Invitation::sign(genesis, addresses.clone(), secret, until, &service.parts().key);
    let made = made.map_err(|_| bug("an invitation is beyond its own bounds"))?;
    Ok(Invitation {
        invitation: made.to_string(),
        digest: secret.map(|secret| secret.digest()),
        federation_id: made.federation(),
        addresses,
        uses,
        expires_at: until,
    })
}

/// Where this node can be reached, as far as an invitation may say.
fn addresses(service: &NodeService) -> Vec<String> {
    let mut addresses = (service.parts().addresses)();
    addresses.retain(|address| is_address(address));
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// `GET /v1/invitations`, by digest.
pub(super) async fn invitations(
    service: &NodeService,
    call: &Call,
    page: Page,
) -> Result<List<GivenInvitation>, Problem> {
    let after = page::key(&page, Digest::parse)?;
    let (limit, at) = (page.limit as usize, now());
    let found = service.look(call, move |view, _| {
        let behind = view.invitations().filter(|one| after.is_none_or(|after| one.digest > after));
        behind.take(limit + 1).map(|one| given(one, at)).collect::<Vec<_>>()
    });
    Ok(cut(found.await?, limit, |one| one.digest.to_string()))
}

fn given(one: &LiveInvitation, at: Wall) -> GivenInvitation {
    let status = match one {
        one if one.used >= one.uses => InvitationStatus::Spent,
        one if one.is_over(at) => InvitationStatus::Expired,
        _ => InvitationStatus::Live,
    };
    let LiveInvitation { digest, until, uses, used, made } = *one;
    GivenInvitation { digest, status, uses, used, created_at: made, expires_at: until }
}

/// `DELETE /v1/invitations/{digest}`.
pub(super) async fn uninvite(service: &NodeService, call: &Call, digest: Digest) -> Result<(), Problem> {
    service.ask(call, Request::Uninvite(digest)).await.map(drop)
}

/// `GET /v1/nodes`, by key: founders, and whom this node admitted or expelled.
pub(super) async fn list(service: &NodeService, call: &Call, page: Page) -> Result<List<Node>, Problem> {
    let after = page::key(&page, NodeId::from_did)?;
    let limit = page.limit as usize;
    let found = service.look(call, move |view, _| {
        let founders = view.genesis().map(|genesis| genesis.founders.clone()).unwrap_or_default();
        let founders = founders.into_iter().filter(|id| after.is_none_or(|after| *id > after));
        let known = view.nodes(after).take(limit + 1).map(known);
        let mut rows: Vec<Node> = founders.map(founder).chain(known).collect();
        rows.sort_by_key(|row| row.node_id);
        rows
    });
    Ok(cut(found.await?, limit, |row| row.node_id.to_string()))
}

/// The first `limit` items, and where to go on behind them.
fn cut<T>(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> List<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(key);
    List { items, next_cursor }
}

fn founder(id: NodeId) -> Node {
    Node {
        node_id: id,
        peer_id: id.key().peer_id(),
        status: NodeStatus::Founder,
        admitted_by: None,
        invitation: None,
        admitted_at: None,
        entry: None,
        reason: None,
        expelled_at: None,
        expelled_entry: None,
    }
}

fn known(node: &nodes::Node) -> Node {
    let (admitted, expelled) = (node.admitted.as_ref(), node.expelled.as_ref());
    Node {
        status: if expelled.is_some() { NodeStatus::Expelled } else { NodeStatus::Member },
        admitted_by: admitted.map(|admitted| admitted_by(&admitted.by).0),
        invitation: admitted.and_then(|admitted| match admitted.by {
            AdmittedBy::Invitation(digest) => Some(digest),
            AdmittedBy::Open | AdmittedBy::Operator => None,
        }),
        admitted_at: admitted.map(|admitted| admitted.at),
        entry: admitted.map(|admitted| admitted.index),
        reason: expelled.map(|expelled| expelled.reason.clone()),
        expelled_at: expelled.map(|expelled| expelled.at),
        expelled_entry: expelled.map(|expelled| expelled.index),
        ..founder(node.id)
    }
}

/// `POST /v1/nodes/{did}/expel`.
pub(super) async fn expel(
    service: &NodeService,
    call: &Call,
    node: NodeId,
    reason: String,
) -> Result<Node, Problem> {
    match service.ask(call, Request::Expel { node, reason }).await? {
        Reply::Expelled(node) => Ok(known(&node)),
        _ => Err(bug("an expulsion got another reply")),
    }
}

/// `POST /v1/nodes/{did}/admit`.
pub(super) async fn admit(service: &NodeService, call: &Call, node: NodeId) -> Result<Node, Problem> {
    service.ask(call, Request::Admit { node, secret: None }).await?;
    let shown = move |view: View<'_>, _| match view.genesis().is_some_and(|g| g.is_founder(&node)) {
        true => Some(founder(node)),
        false => view.node(&node).map(known),
    };
    service.look(call, shown).await?.ok_or_else(|| Problem::of(Code::NotFound))
}
