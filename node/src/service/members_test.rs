//! Nodes and invitations through the service: what the operator makes is what a newcomer's node can read, and what is shown
//! afterwards is what the journal says.
#![allow(clippy::unwrap_used)]

use super::home_fixture::{Home, closed_home, home, operator, read};
use artel_federation::{Code as Rule, Genesis, Principal, Reply, Request};
use artel_protocol::invitation::{Invitation, InvitationSecret};
use artel_protocol::key::{NodeId, SecretKey};
use artel_web::types::Page;
use artel_web::types::audit::EntryQuery;
use artel_web::types::event::EventQuery;
use artel_web::types::member::{InvitationStatus, NodeStatus};
use artel_web::{Code, Service as _};

fn peer(n: u8) -> NodeId {
    NodeId(SecretKey::from_seed(&[n; 32]).public())
}

/// A node asks over the mesh, as the seam has it.
async fn asks(home: &Home, n: u8, secret: Option<InvitationSecret>) -> Result<Option<u64>, Rule> {
    let request = Request::Admit { node: peer(n), secret };
    match home.service.parts().handle.ask(Principal::Node(peer(n)), None, request).await.unwrap() {
        Ok(Reply::Admitted { index, .. }) => Ok(index),
        Ok(other) => panic!("another reply: {other:?}"),
        Err(refusal) => Err(refusal.code),
    }
}

#[tokio::test]
async fn an_invitation_leads_a_node_in_and_is_shown_without_its_secret() {
    let home = closed_home();
    let made = home.service.invite(&operator(), read(r#"{"uses":2,"for_ms":60000}"#)).await.unwrap();
    let invitation = Invitation::parse(&made.invitation).unwrap();
    assert_eq!((invitation.issuer(), invitation.federation()), (home.node, made.federation_id));
    assert_eq!(invitation.addresses(), ["/ip4/127.0.0.1/tcp/7"], "what is no address is left out");
    let genesis = Genesis::read(invitation.genesis()).unwrap();
    assert_eq!(genesis.founders, [home.node]);
    assert_eq!(invitation.secret().map(|secret| secret.digest()), made.digest);
    assert!(!format!("{made:?}").contains(&made.invitation[30..60]));

    assert_eq!(asks(&home, 1, None).await, Err(Rule::InvitationNeeded));
    let index = asks(&home, 1, invitation.secret()).await.unwrap();
    assert_eq!(asks(&home, 1, None).await, Ok(index));
    let given = home.service.invitations(&operator(), Page::default()).await.unwrap();
    let [one] = &given.items[..] else { panic!("one invitation") };
    assert_eq!((Some(one.digest), one.status, one.used), (made.digest, InvitationStatus::Live, 1));
    asks(&home, 2, invitation.secret()).await.unwrap();
    let given = home.service.invitations(&operator(), Page::default()).await.unwrap();
    assert_eq!(given.items[0].status, InvitationStatus::Spent);
    home.service.uninvite(&operator(), one.digest).await.unwrap();
    let again = home.service.uninvite(&operator(), one.digest).await.unwrap_err();
    assert_eq!(again.code, Code::NotFound);

    let nodes = home.service.nodes(&operator(), Page::default()).await.unwrap().items;
    assert!(nodes.is_sorted_by_key(|node| node.node_id));
    let row = |id: NodeId| nodes.iter().find(|node| node.node_id == id).unwrap();
    assert_eq!((row(home.node).status, row(home.node).entry), (NodeStatus::Founder, None));
    assert_eq!((row(peer(1)).status, row(peer(1)).entry), (NodeStatus::Member, index));
    assert_eq!((row(peer(1)).admitted_by, row(peer(1)).invitation), (Some("invitation"), made.digest));
}

#[tokio::test]
async fn lists_go_on_page_by_page() {
    let home = home(&[]);
    for n in 1..=6 {
        asks(&home, n, None).await.unwrap();
    }
    let mut page = Page { limit: 3, cursor: None };
    let mut seen = Vec::new();
    loop {
        let list = home.service.nodes(&operator(), page.clone()).await.unwrap();
        assert!(list.items.len() <= 3);
        seen.extend(list.items.into_iter().map(|node| node.node_id));
        page.cursor = list.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    let mut wanted: Vec<_> = (1..=6).map(peer).chain([home.node]).collect();
    wanted.sort();
    assert_eq!(seen, wanted, "each once, none left out");
    let made_up = Page { cursor: Some("x".into()), ..Page::default() };
    assert_eq!(home.service.nodes(&operator(), made_up.clone()).await.unwrap_err().code, Code::BadQuery);
    assert_eq!(home.service.invitations(&operator(), made_up).await.unwrap_err().code, Code::BadQuery);
}

#[tokio::test]
async fn an_expelled_node_is_shown_with_its_reason_and_comes_back_by_name() {
    let home = home(&[]);
    let first = asks(&home, 1, None).await.unwrap();
    let row = home.service.expel(&operator(), peer(1), "granted one step twice".into()).await.unwrap();
    assert_eq!((row.status, row.entry), (NodeStatus::Expelled, first));
    assert_eq!(row.reason.as_deref(), Some("granted one step twice"));
    assert_eq!(asks(&home, 1, None).await, Err(Rule::NodeExpelled));
    let bad = home.service.expel(&operator(), peer(2), "two\nlines".into()).await.unwrap_err();
    assert_eq!(bad.code, Code::Invalid);
    let founder = home.service.expel(&operator(), home.node, "x".into()).await.unwrap_err();
    assert_eq!(founder.code, Code::Forbidden);
    let row = home.service.admit_node(&operator(), peer(1)).await.unwrap();
    assert_eq!((row.status, row.admitted_by, row.reason), (NodeStatus::Member, Some("operator"), None));
    let own = home.service.admit_node(&operator(), home.node).await.unwrap();
    assert_eq!(own.status, NodeStatus::Founder);

    let query = EventQuery { limit: 50, ..EventQuery::default() };
    let events = home.service.events(&operator(), query).await.unwrap().items;
    let names: Vec<String> = events.iter().map(|event| event.event_name.to_string()).collect();
    let wanted = [
        "xyn.federation.founded",
        "xyn.node.started",
        "xyn.node.admitted",
        "xyn.node.expelled",
        "xyn.node.admitted",
    ];
    assert_eq!(names, wanted);
    let about = EntryQuery { node: Some(peer(1)), ..EntryQuery::default() };
    let found =
        home.eventually(async || home.service.entries(&operator(), about.clone()).await.map(Some)).await;
    let kinds: Vec<_> = found.items.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["Admitted", "Expelled", "Admitted"]);
}

#[tokio::test]
async fn an_open_federations_invitation_holds_no_secret() {
    let home = home(&[]);
    let made = home.service.invite(&operator(), read("{}")).await.unwrap();
    assert_eq!((made.digest, made.uses), (None, None));
    assert_eq!(Invitation::parse(&made.invitation).unwrap().secret(), None);
    assert!(home.service.invitations(&operator(), Page::default()).await.unwrap().items.is_empty());
}
