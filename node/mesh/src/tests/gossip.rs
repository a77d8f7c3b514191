use super::stranger::Stranger;
use super::*;
use crate::{MessageId, PublishError, Topic, Verdict};
use tokio::io::AsyncWriteExt;

const TOPIC: Topic = Topic::Heads;

fn said(event: Event) -> Option<(MessageId, NodeId, Bytes)> {
    match event {
        Event::Gossip { id, topic: TOPIC, from, data } => Some((id, from, data)),
        _ => None,
    }
}

/// Publishes until somebody takes part in the topic.
async fn publish(mesh: &Mesh, data: &Bytes) -> MessageId {
    let waiting = async {
        loop {
            match mesh.publish(TOPIC, data.clone()).await {
                Ok(id) => return id,
                Err(PublishError::Nobody) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("somebody takes part in time")
}

/// Three nodes in a row, a - b - c, all on the topic. `c` has heard of b's part in it.
async fn row(listen: &str) -> (Node, Node, Node) {
    let (a, mut b) = pair(listen).await;
    let mut known_only = options(listen);
    // c must not find a by a lookup.
    known_only.pace.walk_interval = 10 * DEADLINE;
    let mut c = node(3, known_only).await;
    c.mesh.dial(b.address()).await.expect("running");
    b.up(3).await;
    c.up(2).await;
    for node in [&a, &b, &c] {
        node.mesh.subscribe(TOPIC).await.expect("running");
    }
    (a, b, c)
}

async fn gossip_reaches_all_over(listen: &str) {
    let (mut a, mut b, mut c) = row(listen).await;
    // The way is known to be open when something went through both ways.
    warm(&mut a, &mut b, &mut c).await;
    let data = Bytes::from_static(b"a head");
    let id = publish(&a.mesh, &data).await;
    assert_eq!(id, MessageId::of(&TOPIC.name(&FEDERATION), &data));
    assert_eq!(a.mesh.publish(TOPIC, data.clone()).await, Err(PublishError::Duplicate));
    let at_b = b.wait("the message", said).await;
    assert_eq!(at_b, (id, a.mesh.node(), data.clone()));
    b.mesh.verdict(id, &a.mesh.node(), Verdict::Accept).await.expect("running");
    let at_c = c.wait("the message", said).await;
    assert_eq!(at_c, (id, b.mesh.node(), data));
    assert!(c.mesh.counts().gossip_copies >= 1 && c.mesh.counts().gossip_messages >= 1);
}

/// Lets messages through until one of a has reached c.
async fn warm(a: &mut Node, b: &mut Node, c: &mut Node) {
    for n in 0..1_000_u32 {
        let data = Bytes::from(format!("warm {n}"));
        let id = publish(&a.mesh, &data).await;
        b.wait("the message", said).await;
        b.mesh.verdict(id, &a.mesh.node(), Verdict::Accept).await.expect("running");
        let heard = tokio::time::timeout(Duration::from_millis(200), c.wait("the message", said)).await;
        if let Ok((id, from, _)) = heard {
            c.mesh.verdict(id, &from, Verdict::Accept).await.expect("running");
            return;
        }
    }
    panic!("the row does not come about");
}

#[tokio::test]
async fn gossip_reaches_all_over_tcp() {
    gossip_reaches_all_over(TCP).await;
}

#[tokio::test]
async fn gossip_reaches_all_over_quic() {
    gossip_reaches_all_over(QUIC).await;
}

#[tokio::test]
async fn what_is_not_accepted_goes_nowhere() {
    let (mut a, mut b, mut c) = row(TCP).await;
    warm(&mut a, &mut b, &mut c).await;
    let from = a.mesh.node();
    for (text, verdict) in
        [("ignored", Some(Verdict::Ignore)), ("rejected", Some(Verdict::Reject)), ("unanswered", None)]
    {
        let id = publish(&a.mesh, &text.into()).await;
        assert_eq!(b.wait("the message", said).await.0, id);
        if let Some(verdict) = verdict {
            b.mesh.verdict(id, &from, verdict).await.expect("running");
            // A second verdict changes nothing.
            b.mesh.verdict(id, &from, Verdict::Accept).await.expect("running");
        }
    }
    b.refused(Refusal::GossipUnanswered, 1).await;
    let id = publish(&a.mesh, &"accepted".into()).await;
    b.wait("the message", said).await;
    b.mesh.verdict(id, &from, Verdict::Accept).await.expect("running");
    assert_eq!(c.wait("the message", said).await.2, "accepted", "the first that came through");
    assert_eq!(b.mesh.counts().refused(Refusal::GossipIgnored), 1);
    assert_eq!(b.mesh.counts().refused(Refusal::GossipRejected), 1);
    let peers = b.mesh.peers().await.expect("running");
    let score = |node: NodeId| peers.iter().find(|peer| peer.node == node).expect("a peer").score;
    assert!(score(from) < 0.0 && score(c.mesh.node()) == 0.0, "{peers:?}");
}

#[tokio::test]
async fn who_brings_wrong_messages_is_sent_away() {
    let (mut a, mut b) = pair(TCP).await;
    for node in [&a, &b] {
        node.mesh.subscribe(TOPIC).await.expect("running");
    }
    // All at once: after the first wrong one gossipsub soon takes nothing more from a.
    for n in 0..12 {
        publish(&a.mesh, &format!("wrong {n}").into()).await;
    }
    let mut wrong = 0;
    loop {
        let heard = b.wait("the message or the end", |event| match event {
            Event::Down { reason, .. } => Some(Err(reason)),
            event => said(event).map(Ok),
        });
        match heard.await {
            Ok((id, from, _)) => b.mesh.verdict(id, &from, Verdict::Reject).await.expect("running"),
            Err(reason) => break assert_eq!((reason, wrong >= 9), (Some(Refusal::Score), true)),
        }
        wrong += 1;
    }
    assert_eq!(a.down(2).await, None);
}

/// An RPC of gossipsub with one message, as protobuf: `publish = 2 { data = 2, topic = 4 }`, after its length.
fn rpc(data: &[u8]) -> Vec<u8> {
    let sized = |bytes: &[u8]| {
        let len = u16::try_from(bytes.len()).expect("small");
        let [low, high] = [(len & 0x7f) as u8, (len >> 7) as u8];
        if high == 0 { [&[low], bytes].concat() } else { [&[low | 0x80, high], bytes].concat() }
    };
    let field = |tag: u8, bytes: &[u8]| [vec![tag << 3 | 2], sized(bytes)].concat();
    let message = [field(2, data), field(4, TOPIC.name(&FEDERATION).as_bytes())].concat();
    sized(&field(2, &message))
}

#[tokio::test]
async fn a_strangers_gossip_waits_for_admission_and_hides_nothing() {
    let (mut a, b) = pair(TCP).await;
    for node in [&a, &b] {
        node.mesh.subscribe(TOPIC).await.expect("running");
    }
    let mut listener = Stranger::connect(8, &a.address()).await;
    let mut stranger = Stranger::connect_with(9, &a.address(), false).await;
    let mut gossip = stranger.open_by_name("/meshsub/1.1.0").await.expect("the protocol is spoken");
    gossip.write_all(&rpc(b"the same")).await.expect("open");
    for n in 10..60 {
        let data = format!("message {n}");
        gossip.write_all(&rpc(data.as_bytes())).await.expect("open");
        gossip.flush().await.expect("open");
    }
    // It has all arrived, and what is too much was dropped.
    eventually("gossip is held", || a.mesh.counts().refused(Refusal::HeldTooMany) >= 1).await;
    let id = publish(&b.mesh, &"the same".into()).await;
    let (heard, from, _) = a.wait("the message", said).await;
    assert_eq!((heard, from), (id, b.mesh.node()), "from the neighbour, not from the stranger");
    a.mesh.verdict(id, &from, Verdict::Accept).await.expect("running");

    stranger.welcome(true).await;
    assert_eq!(stranger.hello().await, Some(true));
    a.up(9).await;
    assert!(listener.heard.try_recv().is_err(), "a stranger is told nothing");
    let (_, from, data) = a.wait("what was held", said).await;
    assert_eq!((from, data), (super::id(9), "message 10".into()));
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_then_sent_away() {
    let mut slow = options(TCP);
    (slow.pace.gossip_rate, slow.pace.gossip_burst) = (1, 20);
    let mut a = node(1, slow).await;
    a.mesh.subscribe(TOPIC).await.expect("running");
    let mut stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let mut flood = 0_u32;
    let mut heard = 0;
    let flooding = async {
        loop {
            for _ in 0..50 {
                flood += 1;
                stranger.publish(TOPIC, &flood.to_le_bytes());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            while let Ok(event) = a.events.try_recv() {
                match event {
                    Event::Gossip { .. } => heard += 1,
                    Event::Down { reason, .. } => return reason,
                    _ => {}
                }
            }
        }
    };
    let reason = tokio::time::timeout(DEADLINE, flooding).await.expect("the flood ends");
    assert_eq!(reason, Some(Refusal::GossipTooMany));
    assert!((20..60).contains(&heard), "{heard} of {flood}");
    stranger.is_closed().await;
    let counts = a.mesh.counts();
    assert!(counts.refused(Refusal::GossipTooMany) >= u64::from(crate::limits::GOSSIP_EXCESS_MAX));
}

#[tokio::test]
async fn what_is_too_large_is_not_published() {
    let (a, mut b) = pair(TCP).await;
    b.mesh.subscribe(TOPIC).await.expect("running");
    let longest = Bytes::from(vec![1; crate::limits::GOSSIP_DATA_BYTES_MAX]);
    publish(&a.mesh, &longest).await;
    assert_eq!(b.wait("the longest message", said).await.2, longest);
    let too_large = a.mesh.publish(TOPIC, vec![1; crate::limits::GOSSIP_DATA_BYTES_MAX + 1].into()).await;
    assert_eq!(too_large, Err(PublishError::TooLarge));
}

#[tokio::test]
async fn who_leaves_a_topic_hears_no_more() {
    let (a, b) = pair(TCP).await;
    b.mesh.subscribe(TOPIC).await.expect("running");
    publish(&a.mesh, &"heard".into()).await;
    b.mesh.unsubscribe(TOPIC).await.expect("running");
    let waiting = async {
        for n in 0.. {
            if a.mesh.publish(TOPIC, format!("{n}").into()).await == Err(PublishError::Nobody) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("its leaving is known in time");
}
