//! What no honest peer sends, on a real connection: refused and counted, and the next honest one is served.

use super::stranger::{Stranger, ends};
use super::*;
use crate::limits::GOSSIP_BYTES_MAX;
use crate::{Topic, Verdict};
use tokio::io::AsyncWriteExt;

const TOPIC: Topic = Topic::Agents;

/// The protobuf field of this number with these bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(bytes.len()), bytes.to_vec()].concat()
}

fn varint(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 0x7f {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

/// An RPC of gossipsub, after its length.
fn rpc(fields: &[u8]) -> Vec<u8> {
    [varint(fields.len()), fields.to_vec()].concat()
}

/// What a neighbour says reaches a node.
async fn is_served(a: &mut Node, by: &Node, text: &'static str) {
    eventually("a neighbour's gossip", || a.mesh.counts().admitted >= 1).await;
    let waiting = async {
        while by.mesh.publish(TOPIC, Bytes::from_static(text.as_bytes())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it has a topic in common");
    let heard = a.wait("the honest message", |event| match event {
        Event::Gossip { id, from, data, .. } => Some((id, from, data)),
        _ => None,
    });
    let (id, from, data) = heard.await;
    assert_eq!((from, &data[..]), (by.mesh.node(), text.as_bytes()), "nothing else came through");
    a.mesh.verdict(id, &from, Verdict::Accept).await.expect("running");
}

#[tokio::test]
async fn gossip_over_its_size_ends_the_stream_and_nothing_else() {
    let (mut a, b) = pair(TCP).await;
    for node in [&a, &b] {
        node.mesh.subscribe(TOPIC).await.expect("running");
    }
    let stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let mut gossip = stranger.open_by_name("/meshsub/1.1.0").await.expect("the protocol is spoken");
    let message = [field(2, &vec![7; GOSSIP_BYTES_MAX]), field(4, TOPIC.name(&FEDERATION).as_bytes())];
    let bytes = rpc(&field(2, &message.concat()));
    // The other side may end it before all is written.
    let _ = gossip.write_all(&bytes).await;
    let _ = gossip.flush().await;
    assert!(ends(&mut gossip).await, "the stream ends");
    is_served(&mut a, &b, "an honest message").await;
}

#[tokio::test]
async fn a_flood_of_subscriptions_is_counted_and_kept_nowhere() {
    let (mut a, b) = pair(TCP).await;
    for node in [&a, &b] {
        node.mesh.subscribe(TOPIC).await.expect("running");
    }
    let stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let mut gossip = stranger.open_by_name("/meshsub/1.1.0").await.expect("the protocol is spoken");
    let flood = 9_000_u64;
    for from in (0..flood).step_by(1_000) {
        // `subscriptions = 1 { subscribe = 1: true, topic_id = 2 }`
        let one = |n: u64| field(1, &[vec![1 << 3, 1], field(2, format!("topic {n}").as_bytes())].concat());
        let many: Vec<u8> = (from..from + 1_000).flat_map(one).collect();
        gossip.write_all(&rpc(&many)).await.expect("open");
        gossip.flush().await.expect("open");
    }
    a.refused(Refusal::GossipSubscription, flood).await;
    is_served(&mut a, &b, "an honest message").await;
}

#[tokio::test]
async fn who_is_blamed_nine_times_is_sent_away_and_kept_off() {
    let (mut a, mut b) = pair(TCP).await;
    for _ in 0..4 {
        a.mesh.blame(&id(2)).await.expect("running");
    }
    let score = |peers: Vec<crate::Peer>| peers.iter().find(|peer| peer.node == id(2)).map(|peer| peer.score);
    let lowered = score(a.mesh.peers().await.expect("running")).expect("connected");
    assert!(lowered < 3.0 * crate::limits::SCORE_WRONG, "{lowered}");
    // It comes again, and is not washed clean.
    a.mesh.refuse(&id(2)).await.expect("running");
    assert_eq!(a.down(2).await, Some(Refusal::SentAway));
    b.down(1).await;
    a.up(2).await;
    let left = score(a.mesh.peers().await.expect("running")).expect("it is back");
    assert!(left < 3.0 * crate::limits::SCORE_WRONG, "{left}");
    for _ in 0..6 {
        a.mesh.blame(&id(2)).await.expect("running");
    }
    assert_eq!(a.down(2).await, Some(Refusal::Score));
    eventually("it is kept off", || a.mesh.counts().refused(Refusal::KeptOff) >= 1).await;
    a.refused(Refusal::Blamed, 10).await;
}
