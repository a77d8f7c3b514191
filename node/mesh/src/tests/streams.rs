use super::stranger::{Stranger, ends};
use super::*;
use crate::limits::STREAMS_PER_PEER_MAX;
use crate::streams::Channel;
use crate::{Lane, OpenError, Protocol, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn stream(event: Event) -> Option<(Protocol, Stream)> {
    match event {
        Event::Stream { protocol, stream, .. } => Some((protocol, stream)),
        _ => None,
    }
}

async fn bytes_go_both_ways_over(listen: &str) {
    let (a, mut b) = pair(listen).await;
    for wanted in [Protocol::Sync, Protocol::Blob] {
        let mut ours = a.mesh.open(&id(2), wanted).await.expect("admitted");
        let much = vec![42; 3 << 20];
        let writing = async {
            ours.write_all(&much).await.expect("open");
            ours.shutdown().await.expect("open");
            let mut back = Vec::new();
            ours.read_to_end(&mut back).await.expect("open");
            back
        };
        let reading = async {
            let (protocol, mut theirs) = b.wait("a stream", stream).await;
            assert_eq!(protocol, wanted);
            let mut read = Vec::new();
            theirs.read_to_end(&mut read).await.expect("open");
            assert!(read == much, "as it was written");
            theirs.write_all(b"thanks").await.expect("open");
            theirs.shutdown().await.expect("open");
        };
        let (back, ()) = tokio::join!(writing, reading);
        assert_eq!(back, b"thanks");
    }
    let lane = a.mesh.counts().lane(Lane::Blob);
    assert_eq!((lane.sent, lane.received), (3 << 20, 6));
    let total = a.mesh.counts().tcp.sent + a.mesh.counts().quic.sent;
    assert!(total > 6 << 20, "{total}");
}

#[tokio::test]
async fn bytes_go_both_ways_over_tcp() {
    bytes_go_both_ways_over(TCP).await;
}

#[tokio::test]
async fn bytes_go_both_ways_over_quic() {
    bytes_go_both_ways_over(QUIC).await;
}

#[tokio::test]
async fn streams_to_a_peer_are_bounded() {
    let (a, mut b) = pair(TCP).await;
    let mut open = Vec::new();
    for _ in 0..STREAMS_PER_PEER_MAX {
        open.push(a.mesh.open(&id(2), Protocol::Blob).await.expect("admitted"));
    }
    let one_more = a.mesh.open(&id(2), Protocol::Sync).await;
    assert!(matches!(one_more, Err(OpenError::TooMany)), "{one_more:?}");
    for _ in 0..STREAMS_PER_PEER_MAX {
        drop(b.wait("a stream", stream).await);
    }
    open.pop();
    let mut again = a.mesh.open(&id(2), Protocol::Sync).await.expect("a place is free");
    again.write_all(b"hi").await.expect("open");
    again.flush().await.expect("open");
    assert_eq!(b.wait("a stream", stream).await.0, Protocol::Sync);
}

/// A peer that has our welcome may open streams before its own has come.
#[tokio::test]
async fn a_stream_that_comes_before_the_peers_welcome_waits_for_it() {
    let mut a = default(1).await;
    let mut stranger = Stranger::connect(9, &a.address()).await;
    assert_eq!(stranger.hello().await, Some(true));
    let mut early = stranger.open(Channel::Sync).await.expect("it waits");
    early.write_all(b"hi").await.expect("open");
    early.flush().await.expect("open");
    stranger.welcome(true).await;
    a.up(9).await;
    let (protocol, mut held) = a.wait("a stream", stream).await;
    let mut said = [0; 2];
    held.read_exact(&mut said).await.expect("open");
    assert_eq!((protocol, &said), (Protocol::Sync, b"hi"));
}

#[tokio::test]
async fn streams_from_a_peer_are_bounded() {
    let mut a = default(1).await;
    let stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..STREAMS_PER_PEER_MAX {
        theirs.push(stranger.open(Channel::Blob).await.expect("admitted"));
        ours.push(a.wait("a stream", stream).await);
    }
    let mut one_more = stranger.open(Channel::Sync).await.expect("the protocol is spoken");
    assert!(ends(&mut one_more).await);
    a.refused(Refusal::StreamsTooMany, 1).await;
    ours.pop();
    theirs.push(stranger.open(Channel::Sync).await.expect("admitted"));
    assert_eq!(a.wait("a stream", stream).await.0, Protocol::Sync);
}

#[tokio::test]
async fn streams_end_with_the_admission() {
    let (mut a, mut b) = pair(TCP).await;
    let mut ours = a.mesh.open(&id(2), Protocol::Sync).await.expect("admitted");
    ours.write_all(b"hi").await.expect("open");
    ours.flush().await.expect("open");
    let (_, mut theirs) = b.wait("a stream", stream).await;
    theirs.read_exact(&mut [0; 2]).await.expect("open");
    a.mesh.refuse(&id(2)).await.expect("running");
    assert_eq!(a.down(2).await, Some(Refusal::SentAway));
    let ended = async { (ours.read(&mut [0; 1]).await, theirs.read(&mut [0; 1]).await) };
    let (one, two) = tokio::time::timeout(DEADLINE, ended).await.expect("both end");
    assert!(one.unwrap_or(0) == 0 && two.unwrap_or(0) == 0);
}
