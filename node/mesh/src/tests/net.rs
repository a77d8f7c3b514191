//! Finding each other: known peers, restarts, lookups, bans.

use super::*;

async fn known_after_restart(node: &Node) -> Vec<(NodeId, Vec<Address>)> {
    node.mesh.known().await.expect("running")
}

#[tokio::test]
async fn a_node_that_starts_alone_joins_later() {
    // An address where nobody listens yet.
    let place = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("/ip4/127.0.0.1/tcp/{}", socket.local_addr().expect("bound").port())
    };
    let mut alone = options(TCP);
    alone.known = vec![(id(1), vec![place.parse().expect("an address")])];
    let mut b = node(2, alone).await;
    eventually("some dials fail", || b.mesh.counts().dials_failed >= 3).await;
    let mut a = node(1, options(&place)).await;
    a.up(2).await;
    b.up(1).await;
}

#[tokio::test]
async fn an_address_without_a_name_is_dialled_until_somebody_answers() {
    let place: Address = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("/ip4/127.0.0.1/tcp/{}", socket.local_addr().expect("bound").port())
            .parse()
            .expect("an address")
    };
    let mut b = default(2).await;
    b.mesh.dial(place.clone()).await.expect("running");
    eventually("some dials fail", || b.mesh.counts().dials_failed >= 3).await;
    let mut a = node(1, options(&place.to_string())).await;
    a.up(2).await;
    b.up(1).await;
    b.wait("KnownChanged", |event| matches!(event, Event::KnownChanged).then_some(())).await;
    let known = known_after_restart(&b).await;
    assert!(known.iter().any(|(node, places)| *node == id(1) && places.contains(&place)), "{known:?}");
    // Dialling oneself comes to nothing.
    b.mesh.dial(b.mesh.listening()[0].clone()).await.expect("running");
    b.mesh.dial(b.address()).await.expect("running");
    assert_eq!(b.mesh.peers().await.expect("running").len(), 1);
}

#[tokio::test]
async fn a_restart_on_the_same_address_is_noticed_and_healed() {
    let (a, mut b) = pair(TCP).await;
    let place = a.mesh.listening()[0].to_string();
    a.mesh.stop().await;
    a.task.await.expect("the loop ended in peace");
    assert_eq!(b.down(1).await, None);
    let mut a = node(1, options(&place)).await;
    a.up(2).await;
    b.up(1).await;
    let _a = a.echo();
    assert_eq!(b.ask(1, b"again").await, Ok("again".into()));
}

#[tokio::test]
async fn what_was_known_is_enough_to_come_back() {
    let (mut a, b) = pair(TCP).await;
    let known = known_after_restart(&b).await;
    assert_eq!(known.iter().map(|(node, _)| *node).collect::<Vec<_>>(), [id(1)]);
    b.mesh.stop().await;
    a.down(2).await;
    let mut again = options(QUIC);
    again.known = known;
    let mut b = node(2, again).await;
    a.up(2).await;
    b.up(1).await;
}

/// c comes back on another port and knows only a; b, who knows c by its old address, finds it through a.
#[tokio::test]
async fn a_peer_on_another_port_is_found_through_others() {
    let mut quick = options(TCP);
    quick.pace.walk_interval = Duration::from_millis(200);
    let mut a = node(1, quick.clone()).await;
    let mut b = node(2, quick.clone()).await;
    let mut c = node(3, quick.clone()).await;
    b.mesh.dial(a.address()).await.expect("running");
    c.mesh.dial(a.address()).await.expect("running");
    c.mesh.dial(b.address()).await.expect("running");
    a.all_up(&[2, 3]).await;
    b.all_up(&[1, 3]).await;
    c.all_up(&[1, 2]).await;
    c.mesh.stop().await;
    b.down(3).await;
    a.down(3).await;
    let mut lost = quick.clone();
    lost.known = vec![(id(1), vec![a.mesh.listening()[0].clone()])];
    // It looks for nobody itself.
    lost.pace.walk_interval = 10 * DEADLINE;
    let mut c = node(3, lost).await;
    c.up(1).await;
    let found = b.up(3).await;
    assert!(found.outbound, "{found:?}");
    assert_eq!(found.address.with_node(&id(3)), c.address());
}

/// A newcomer that knows one node meets the other by a walk.
#[tokio::test]
async fn a_walk_finds_strangers() {
    let (a, _b) = pair(TCP).await;
    let mut quick = options(TCP);
    quick.pace.walk_interval = Duration::from_millis(200);
    let mut c = node(3, quick).await;
    c.mesh.dial(a.address()).await.expect("running");
    c.all_up(&[1, 2]).await;
}

#[tokio::test]
async fn who_is_banned_stays_out() {
    let (mut a, mut b) = pair(TCP).await;
    a.mesh.ban(&id(2)).await.expect("running");
    assert_eq!(a.down(2).await, Some(Refusal::KeptOff));
    b.down(1).await;
    assert_eq!(known_after_restart(&a).await, []);
    eventually("it is refused again and again", || a.mesh.counts().refused(Refusal::ConnectionLimit) >= 3)
        .await;
    assert_eq!(a.mesh.peers().await.expect("running"), []);
    a.mesh.unban(&id(2)).await.expect("running");
    a.up(2).await;
    b.up(1).await;
}

/// The process is over one byte already, so this node takes nobody, says why, and harms nobody else.
#[tokio::test]
async fn above_its_bound_of_memory_a_node_takes_no_connection() {
    let mut full = options(TCP);
    full.memory_bytes_max = 1;
    let (a, mut b, mut c) = (node(1, full).await, default(2).await, default(3).await);
    b.mesh.dial(a.address()).await.expect("running");
    eventually("it is refused again and again", || a.mesh.counts().refused(Refusal::ConnectionLimit) >= 3)
        .await;
    assert_eq!(a.mesh.peers().await.expect("running"), []);
    c.mesh.dial(b.address()).await.expect("running");
    b.up(3).await;
    c.up(2).await;
}

#[tokio::test]
async fn another_federation_has_other_lookups_and_topics() {
    let mut other = options(TCP);
    other.federation = FederationId([1; 32]);
    let (mut a, mut b) = (default(1).await, node(2, other).await);
    b.mesh.dial(a.address()).await.expect("running");
    // The hello is what tells federations apart; here both accept it.
    a.up(2).await;
    b.up(1).await;
    a.mesh.subscribe(crate::Topic::Agents).await.expect("running");
    b.mesh.subscribe(crate::Topic::Agents).await.expect("running");
    let said = a.mesh.publish(crate::Topic::Agents, "hi".into()).await;
    assert_eq!(said, Err(crate::PublishError::Nobody));
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let a = default(1).await;
    let taken = options(&a.mesh.listening()[0].to_string());
    let error = Mesh::start(&key(2), taken).await.err().expect("no start");
    assert!(matches!(error, crate::Error::Listen { .. }), "{error:?}");
}

#[tokio::test]
async fn the_end_is_told() {
    let running = start(1, options(TCP)).await;
    let mesh = running.mesh.clone();
    let mut events = running.events;
    running.mesh.stop().await;
    let ended = tokio::time::timeout(DEADLINE, running.ended).await.expect("in time");
    assert!(ended.is_err(), "the sender is gone");
    running.task.await.expect("no panic");
    while events.next().await.is_some() {}
    assert!(matches!(mesh.peers().await, Err(crate::Error::Ended)));
    assert!(matches!(mesh.publish(crate::Topic::Heads, "hi".into()).await, Err(crate::PublishError::Ended)));
}
