use super::stranger::{Stranger, ends};
use super::*;
use crate::limits::HELLO_BYTES_MAX;
use crate::streams::Channel;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn quick(listen: &str) -> Options {
    let mut options = options(listen);
    options.pace.hello_wait = Duration::from_millis(400);
    options
}

async fn both_hellos_admit_over(listen: &str, transport: crate::Transport) {
    let mut a = node(1, options(listen)).await;
    let mut b = node(2, options(listen)).await;
    b.mesh.dial(a.address()).await.expect("running");
    let welcomed = b.wait("Welcomed", |event| match event {
        Event::Welcomed { by, accept, data } => Some((by, accept, data)),
        _ => None,
    });
    assert_eq!(welcomed.await, (id(1), true, Bytes::from_static(b"welcome")));
    let (at_a, at_b) = (a.up(2).await, b.up(1).await);
    assert_eq!((at_a.outbound, at_b.outbound), (false, true));
    assert_eq!((at_a.transport, at_b.transport), (transport, transport));
    assert_eq!(at_b.address.with_node(&id(1)), a.address());
    let peers = a.mesh.peers().await.expect("running");
    assert_eq!((peers.len(), peers[0].admitted, peers[0].node), (1, true, id(2)));
    let counts = a.mesh.counts();
    let bytes = if transport == crate::Transport::Tcp { counts.tcp } else { counts.quic };
    assert!(bytes.received > 100 && bytes.sent > 100, "{counts:?}");
    assert_eq!(
        counts.lane(crate::Lane::Hello),
        crate::counts::Bytes { received: 9 + 5 + 7, sent: 9 + 5 + 7 }
    );
    assert_eq!((counts.connected, counts.admitted), (1, 1));

    a.mesh.stop().await;
    assert_eq!(b.down(1).await, None);
    a.task.await.expect("the loop ended in peace");
}

#[tokio::test]
async fn both_hellos_admit_over_tcp() {
    both_hellos_admit_over(TCP, crate::Transport::Tcp).await;
}

#[tokio::test]
async fn both_hellos_admit_over_quic() {
    both_hellos_admit_over(QUIC, crate::Transport::Quic).await;
}

#[tokio::test]
async fn each_says_where_it_sees_the_other() {
    let (a, b) = pair(TCP).await;
    for (node, dialled) in [(&a, true), (&b, false)] {
        let seen = async {
            loop {
                let peers = node.mesh.peers().await.expect("running");
                match peers.into_iter().flat_map(|peer| peer.sees_us).next() {
                    Some(sight) => return sight,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        let sight = tokio::time::timeout(DEADLINE, seen).await.expect("in time");
        assert_eq!(sight.dialled, dialled);
        // A dial may leave from the port that is listened on, so that only of a dial to it more is known.
        assert!(!dialled || sight.address == node.mesh.listening()[0], "{sight:?}");
        assert!(sight.address.socket().is_some_and(|(at, _)| at.ip().is_loopback()));
    }
}

#[tokio::test]
async fn three_nodes_meet() {
    let (mut a, mut b) = pair(TCP).await;
    let mut c = node(3, options(QUIC)).await;
    c.mesh.dial(a.address()).await.expect("running");
    c.mesh.dial(b.address()).await.expect("running");
    a.up(3).await;
    b.up(3).await;
    c.all_up(&[1, 2]).await;
    assert_eq!(a.mesh.counts().admitted, 2);
}

#[tokio::test]
async fn who_is_refused_hears_it_and_goes() {
    let mut a = node(1, quick(TCP)).await;
    a.accepts.store(false, Relaxed);
    let mut b = node(2, quick(TCP)).await;
    b.mesh.dial(a.address()).await.expect("running");
    let refused = b.wait("a refusal", |event| match event {
        Event::Welcomed { accept: false, by, .. } => Some(by),
        Event::Up(up) => panic!("{up:?}"),
        _ => None,
    });
    assert_eq!(refused.await, id(1));
    let turned_away = a.wait("TurnedAway", |event| match event {
        Event::TurnedAway { peer, reason } => Some((peer, reason)),
        Event::Up(up) => panic!("{up:?}"),
        _ => None,
    });
    assert_eq!(turned_away.await, (id(2), Refusal::HelloRefused));
    // It comes back by itself, and is taken once it is wanted.
    a.accepts.store(true, Relaxed);
    a.up(2).await;
    b.up(1).await;
}

#[tokio::test]
async fn who_never_says_hello_is_disconnected() {
    let a = node(1, quick(TCP)).await;
    let began = Instant::now();
    let mut silent = Stranger::connect(9, &a.address()).await;
    silent.welcome(true).await;
    silent.is_closed().await;
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    a.refused(Refusal::HelloLate, 1).await;
}

#[tokio::test]
async fn who_never_answers_ours_is_disconnected() {
    let mut a = node(1, quick(TCP)).await;
    let mut silent = Stranger::connect(9, &a.address()).await;
    assert_eq!(silent.hello().await, Some(true));
    silent.is_closed().await;
    a.refused(Refusal::HelloLate, 1).await;
    a.wait("TurnedAway", |event| match event {
        Event::Up(up) => panic!("{up:?}"),
        Event::TurnedAway { reason: Refusal::HelloLate, .. } => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn a_late_hello_is_in_time_before_the_deadline() {
    let mut a = node(1, quick(TCP)).await;
    let mut late = Stranger::connect(9, &a.address()).await;
    late.welcome(true).await;
    let mut stream = late.open(Channel::Hello).await.expect("open");
    // Byte by byte, each after the node had the chance to give up.
    for byte in b"\x05\0\0\0hello" {
        stream.write_all(&[*byte]).await.expect("open");
        stream.flush().await.expect("open");
        tokio::task::yield_now().await;
    }
    assert_eq!(stream.read_u8().await.expect("an answer"), 1);
    a.up(9).await;
}

#[tokio::test]
async fn an_unanswered_hello_refuses() {
    let mut running = start(1, quick(TCP)).await;
    let to = running.mesh.listening()[0].clone();
    let mut stranger = Stranger::connect(9, &to).await;
    stranger.welcome(true).await;
    let said = tokio::spawn(async move { (stranger.hello().await, stranger) });
    loop {
        match running.events.next().await.expect("running") {
            Event::Hello { answer, from, data } => {
                assert_eq!((from, &data[..]), (id(9), &b"hello"[..]));
                drop(answer);
                break;
            }
            Event::Up(up) => panic!("{up:?}"),
            _ => {}
        }
    }
    let (accepted, mut stranger) = said.await.expect("no panic");
    assert_eq!(accepted, Some(false));
    stranger.is_closed().await;
    assert_eq!(running.mesh.counts().refused(Refusal::HelloRefused), 1);
}

#[tokio::test]
async fn a_second_hello_on_a_connection_is_refused_and_changes_nothing() {
    let mut a = default(1).await;
    let stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    assert_eq!(stranger.hello().await, None);
    a.refused(Refusal::HelloTwice, 1).await;
    let peers = a.mesh.peers().await.expect("running");
    assert!(peers[0].admitted && peers[0].score < 0.0, "{peers:?}");
}

#[tokio::test]
async fn bad_hellos_end_the_connection() {
    let a = default(1).await;
    let too_long = (u32::try_from(HELLO_BYTES_MAX).expect("small") + 1).to_le_bytes();
    for (n, bytes) in [&too_long[..], &[0xff; 4], b"\x05\0\0\0hell"].into_iter().enumerate() {
        let mut bad = Stranger::connect(9, &a.address()).await;
        let mut stream = bad.open(Channel::Hello).await.expect("open");
        stream.write_all(bytes).await.expect("open");
        let _ = stream.shutdown().await;
        bad.is_closed().await;
        a.refused(Refusal::HelloBroken, n as u64 + 1).await;
    }
    for (n, welcome) in [&[2, 0, 0, 0, 0][..], &[1, 0xff, 0xff, 0xff, 0xff], &[1, 5]].into_iter().enumerate()
    {
        let mut bad = Stranger::connect(9, &a.address()).await;
        let mut stream = bad.next_inbound(Channel::Hello).await;
        stream.write_all(welcome).await.expect("open");
        let _ = stream.shutdown().await;
        bad.is_closed().await;
        a.refused(Refusal::HelloBroken, n as u64 + 4).await;
    }
    let good = Stranger::admitted(9, &a.address()).await;
    assert_eq!(a.mesh.counts().refused(Refusal::HelloBroken), 6);
    drop(good);
}

#[tokio::test]
async fn our_own_hello_is_bounded_and_can_change() {
    let a = default(1).await;
    assert!(a.mesh.set_hello(vec![0; HELLO_BYTES_MAX + 1].into()).await.is_err());
    a.mesh.set_hello(vec![7; HELLO_BYTES_MAX].into()).await.expect("the longest");
    let mut stranger = Stranger::connect(9, &a.address()).await;
    assert_eq!(stranger.welcome(true).await, vec![7; HELLO_BYTES_MAX]);
    a.mesh.set_hello("later".into()).await.expect("running");
    assert_eq!(Stranger::connect(8, &a.address()).await.welcome(true).await, b"later");
}

#[tokio::test]
async fn simultaneous_dials_make_one_neighbour() {
    for round in 0..5 {
        let (mut a, mut b) = (default(1).await, default(2).await);
        let (to_a, to_b) = (a.address(), b.address());
        let (one, two) = tokio::join!(a.mesh.dial(to_b), b.mesh.dial(to_a));
        one.and(two).expect("running");
        a.up(2).await;
        b.up(1).await;
        let mesh = b.mesh.clone();
        let answering = tokio::spawn(async move {
            let mut changes = 0;
            while let Some(event) = b.events.recv().await {
                match event {
                    Event::Request { data, answer, .. } => answer.send(data),
                    Event::Up(_) | Event::Down { .. } => changes += 1,
                    _ => {}
                }
            }
            changes
        });
        for _ in 0..200 {
            assert_eq!(a.ask(2, b"hi").await, Ok("hi".into()), "round {round}");
        }
        assert_eq!(a.mesh.peers().await.expect("running").len(), 1);
        assert_eq!(mesh.peers().await.expect("running").len(), 1);
        mesh.stop().await;
        assert!(answering.await.expect("no panic") <= 1, "no more than the Down at the end");
        assert_eq!(a.down(2).await, None);
    }
}

#[tokio::test]
async fn nothing_of_a_stranger_is_taken() {
    let mut a = node(1, options(TCP)).await;
    let mut stranger = Stranger::connect(9, &a.address()).await;
    for channel in [Channel::Direct, Channel::Sync, Channel::Blob] {
        let mut stream = stranger.open(channel).await.expect("the protocol is spoken");
        let _ = stream.write_all(&[0; 64]).await;
        let _ = stream.flush().await;
        assert!(ends(&mut stream).await, "{channel:?} is closed");
    }
    a.refused(Refusal::NotAdmitted, 3).await;
    assert_eq!(a.ask(9, b"hi").await, Err(RequestError::NotAdmitted));
    let opened = a.mesh.open(&id(9), crate::Protocol::Blob).await;
    assert!(matches!(opened, Err(crate::OpenError::NotAdmitted)), "{opened:?}");
    stranger.welcome(true).await;
    assert_eq!(stranger.hello().await, Some(true));
    a.up(9).await;
}

#[tokio::test]
async fn strangers_are_few() {
    let a = default(1).await;
    let mut strangers = Vec::new();
    for seed in 0..u8::try_from(crate::limits::UNADMITTED_MAX).expect("small") {
        strangers.push(Stranger::connect(100 + seed, &a.address()).await);
    }
    let mut one_more = Stranger::connect(99, &a.address()).await;
    one_more.is_closed().await;
    a.refused(Refusal::UnadmittedTooMany, 1).await;
}

#[tokio::test]
async fn a_peer_that_is_sent_away_is_gone_and_may_come_again() {
    let (mut a, mut b) = pair(TCP).await;
    a.mesh.refuse(&id(2)).await.expect("running");
    assert_eq!(a.down(2).await, Some(Refusal::SentAway));
    assert_eq!(a.ask(2, b"hi").await, Err(RequestError::NotAdmitted));
    assert_eq!(b.down(1).await, None);
    a.up(2).await;
    b.up(1).await;
}
