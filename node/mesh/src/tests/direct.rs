use super::stranger::{Stranger, ends};
use super::*;
use crate::limits::{
    DIRECT_FRAME_BYTES_MAX, DIRECT_IN_FLIGHT_MAX, DIRECT_QUEUED_MAX, DIRECT_WAITING_BYTES_MAX,
};
use crate::streams::Channel;
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

async fn a_request_is_answered_over(listen: &str) {
    let (a, b) = pair(listen).await;
    let b = b.echo();
    assert_eq!(a.ask(2, b"one").await, Ok("one".into()));
    assert_eq!(a.ask(2, b"").await, Ok(Bytes::new()));
    let largest = Bytes::from(vec![7; DIRECT_FRAME_BYTES_MAX]);
    assert_eq!(a.mesh.request(&id(2), largest.clone(), DEADLINE).await, Ok(largest));
    let mut many = JoinSet::new();
    for n in 0..u64::try_from(DIRECT_IN_FLIGHT_MAX).expect("small") {
        let mesh = a.mesh.clone();
        many.spawn(async move {
            let data = Bytes::copy_from_slice(&n.to_le_bytes());
            assert_eq!(mesh.request(&id(2), data.clone(), DEADLINE).await, Ok(data));
        });
    }
    many.join_all().await;
    let lanes = (a.mesh.counts().lane(crate::Lane::Direct), b.counts().lane(crate::Lane::Direct));
    eventually("bytes are counted", || b.counts().lane(crate::Lane::Direct).sent == lanes.0.received).await;
    assert!(lanes.0.sent > DIRECT_FRAME_BYTES_MAX as u64, "{lanes:?}");
}

#[tokio::test]
async fn a_request_is_answered_over_tcp() {
    a_request_is_answered_over(TCP).await;
}

#[tokio::test]
async fn a_request_is_answered_over_quic() {
    a_request_is_answered_over(QUIC).await;
}

#[tokio::test]
async fn answers_come_in_any_order() {
    let (a, mut b) = pair(TCP).await;
    let (one, two) = (a.mesh.clone(), a.mesh.clone());
    let one = tokio::spawn(async move { one.request(&id(2), "one".into(), DEADLINE).await });
    let first = b.wait("a request", request).await;
    let two = tokio::spawn(async move { two.request(&id(2), "two".into(), DEADLINE).await });
    let second = b.wait("a request", request).await;
    second.1.send("to two".into());
    assert_eq!(two.await.expect("no panic"), Ok("to two".into()));
    first.1.send("to one".into());
    assert_eq!(one.await.expect("no panic"), Ok("to one".into()));
}

fn request(event: Event) -> Option<(Bytes, crate::Answer)> {
    match event {
        Event::Request { data, answer, .. } => Some((data, answer)),
        _ => None,
    }
}

#[tokio::test]
async fn what_is_refused_is_told_from_what_nobody_came_to() {
    let (a, mut b) = pair(TCP).await;
    let too_large = Bytes::from(vec![0; DIRECT_FRAME_BYTES_MAX + 1]);
    let asked = a.mesh.request(&id(2), too_large.clone(), DEADLINE).await;
    assert_eq!(asked, Err(RequestError::TooLarge));
    assert_eq!(a.ask(3, b"who?").await, Err(RequestError::NotAdmitted));
    let answering = tokio::spawn(async move {
        drop(b.wait("a request", request).await);
        b.wait("a request", request).await.1.refuse();
        b.wait("a request", request).await.1.send(too_large);
        b
    });
    assert_eq!(a.ask(2, b"drop").await, Err(RequestError::Busy));
    assert_eq!(a.ask(2, b"no").await, Err(RequestError::Refused));
    assert_eq!(a.ask(2, b"large").await, Err(RequestError::Refused));
    let b = answering.await.expect("no panic");
    b.refused(Refusal::DirectUnanswered, 2).await;
    b.refused(Refusal::DirectTooMany, 1).await;
    let _b = b.echo();
    assert_eq!(a.ask(2, b"on").await, Ok("on".into()), "the substream lives on");
}

#[tokio::test]
async fn a_request_in_vain_times_out_and_costs_nothing() {
    let (a, mut b) = pair(TCP).await;
    for _ in 0..3 {
        let asked = a.mesh.request(&id(2), "hi".into(), Duration::from_millis(30)).await;
        assert_eq!(asked, Err(RequestError::Timeout));
    }
    // Late answers are thrown away, the next one is right.
    for _ in 0..3 {
        b.wait("a request", request).await.1.send("late".into());
    }
    let _b = b.echo();
    assert_eq!(a.ask(2, b"next").await, Ok("next".into()));
}

#[tokio::test]
async fn no_more_than_the_limit_is_in_flight_and_as_many_as_may_wait_for_a_place() {
    let (a, mut b) = pair(TCP).await;
    let all = DIRECT_IN_FLIGHT_MAX + DIRECT_QUEUED_MAX;
    let mut many = JoinSet::new();
    for _ in 0..all + 10 {
        let mesh = a.mesh.clone();
        many.spawn(async move { mesh.request(&id(2), "hi".into(), DEADLINE).await });
    }
    for _ in 0..10 {
        assert_eq!(many.join_next().await.expect("some").expect("no panic"), Err(RequestError::Busy));
    }
    let mut came = VecDeque::new();
    for answered in 0..all {
        // Each answer makes room for one more, as long as any waits.
        while answered + came.len() < all.min(answered + DIRECT_IN_FLIGHT_MAX) {
            came.push_back(b.wait("a request", request).await.1);
        }
        while let Ok(event) = b.events.try_recv() {
            assert!(request(event).is_none(), "more are in flight");
        }
        came.pop_front().expect("one is in flight").send("ok".into());
    }
    assert!(many.join_all().await.into_iter().all(|answer| answer == Ok("ok".into())));
}

#[tokio::test]
async fn who_got_no_place_in_time_hears_that_nobody_looked_at_it() {
    let (a, mut b) = pair(TCP).await;
    let mut many = JoinSet::new();
    for _ in 0..DIRECT_IN_FLIGHT_MAX {
        let mesh = a.mesh.clone();
        many.spawn(async move { mesh.request(&id(2), "hi".into(), DEADLINE).await });
    }
    let mut came = Vec::new();
    for _ in 0..DIRECT_IN_FLIGHT_MAX {
        came.push(b.wait("a request", request).await.1);
    }
    let late = a.mesh.request(&id(2), "late".into(), Duration::from_millis(30)).await;
    assert_eq!(late, Err(RequestError::Busy));
    came.into_iter().for_each(|answer| answer.send("ok".into()));
    assert!(many.join_all().await.into_iter().all(|answer| answer == Ok("ok".into())));
    let next = tokio::spawn(async move { (a.ask(2, b"next").await, a) });
    let (data, answer) = b.wait("a request", request).await;
    assert_eq!(data, "next", "what was given up never went out");
    answer.send("ok".into());
    assert_eq!(next.await.expect("no panic").0, Ok("ok".into()));
}

#[tokio::test]
async fn a_peer_that_asks_too_much_hears_that_this_node_is_busy() {
    let mut a = default(1).await;
    let stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let mut stream = stranger.open(Channel::Direct).await.expect("admitted");
    let above = 20;
    for id in 0..DIRECT_IN_FLIGHT_MAX as u64 + above {
        stream.write_u64_le(id).await.expect("open");
        stream.write_u32_le(0).await.expect("open");
    }
    stream.flush().await.expect("open");
    // Only those above the limit are answered, and not with a refusal.
    for id in DIRECT_IN_FLIGHT_MAX as u64..DIRECT_IN_FLIGHT_MAX as u64 + above {
        assert_eq!(stream.read_u64_le().await.expect("an answer"), id);
        assert_eq!(stream.read_u32_le().await.expect("an answer"), u32::MAX - 1);
    }
    a.refused(Refusal::DirectTooMany, above).await;
    let (_, answer) = a.wait("a request", request).await;
    answer.send("yes".into());
    assert_eq!(stream.read_u64_le().await.expect("an answer"), 0);
    assert_eq!(stream.read_u32_le().await.expect("an answer"), 3);
}

#[tokio::test]
async fn bytes_that_wait_are_bounded() {
    let mut a = default(1).await;
    let stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let mut stream = stranger.open(Channel::Direct).await.expect("admitted");
    let fit = DIRECT_WAITING_BYTES_MAX / DIRECT_FRAME_BYTES_MAX;
    for id in 0..=fit as u64 {
        stream.write_u64_le(id).await.expect("open");
        stream.write_u32_le(u32::try_from(DIRECT_FRAME_BYTES_MAX).expect("small")).await.expect("open");
        stream.write_all(&vec![0; DIRECT_FRAME_BYTES_MAX]).await.expect("open");
    }
    stream.flush().await.expect("open");
    assert_eq!(stream.read_u64_le().await.expect("an answer"), fit as u64);
    assert_eq!(stream.read_u32_le().await.expect("an answer"), u32::MAX - 1);
    a.refused(Refusal::DirectTooMany, 1).await;
}

#[tokio::test]
async fn a_peer_that_goes_leaves_nobody_waiting() {
    let (mut a, mut b) = pair(TCP).await;
    let mesh = a.mesh.clone();
    let asked = tokio::spawn(async move { mesh.request(&id(2), "hi".into(), DEADLINE).await });
    let waiting = b.wait("a request", request).await;
    b.mesh.stop().await;
    assert_eq!(asked.await.expect("no panic"), Err(RequestError::Gone));
    assert_eq!(a.down(2).await, None);
    waiting.1.send("to nobody".into());
    assert_eq!(a.ask(2, b"hi").await, Err(RequestError::NotAdmitted));
}

#[tokio::test]
async fn whoever_answers_later_hears_that_the_asker_is_gone() {
    let (a, mut b) = pair(TCP).await;
    let mesh = a.mesh.clone();
    let asked = tokio::spawn(async move { mesh.request(&id(2), "hi".into(), DEADLINE).await });
    let (_, answer) = b.wait("a request", request).await;
    assert!(tokio::time::timeout(Duration::ZERO, answer.gone()).await.is_err(), "it waits");
    a.mesh.stop().await;
    tokio::time::timeout(DEADLINE, answer.gone()).await.expect("nobody waits any more");
    assert_eq!(asked.await.expect("no panic"), Err(RequestError::Gone));
}

#[tokio::test]
async fn broken_framing_costs_the_stream_and_then_the_connection() {
    let mut a = default(1).await;
    let mut stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let frame = |id: u64, len: u32| [&id.to_le_bytes()[..], &len.to_le_bytes()].concat();
    let too_long = u32::try_from(DIRECT_FRAME_BYTES_MAX).expect("small") + 1;
    let broken = [frame(0, too_long), [frame(5, 0), frame(5, 0)].concat(), frame(0, u32::MAX)];
    for (n, bytes) in broken.into_iter().enumerate() {
        let mut stream = stranger.open(Channel::Direct).await.expect("admitted");
        stream.write_all(&bytes).await.expect("open");
        stream.flush().await.expect("open");
        assert!(ends(&mut stream).await, "the stream ends");
        a.refused(Refusal::DirectBroken, n as u64 + 1).await;
    }
    stranger.is_closed().await;
    assert_eq!(a.down(9).await, Some(Refusal::Score));
    // It is kept off.
    Stranger::connect(9, &a.address()).await.is_closed().await;
    a.refused(Refusal::KeptOff, 1).await;
}

#[tokio::test]
async fn a_torn_frame_is_no_crime() {
    let mut a = default(1).await;
    let stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    for bytes in [&[1, 2, 3][..], &[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7]] {
        let mut stream = stranger.open(Channel::Direct).await.expect("admitted");
        stream.write_all(bytes).await.expect("open");
        stream.shutdown().await.expect("open");
        assert!(ends(&mut stream).await);
    }
    assert_eq!(a.mesh.counts().refused(Refusal::DirectBroken), 0);
}

#[tokio::test]
async fn an_answer_that_was_never_asked_for_breaks_the_framing() {
    let mut a = default(1).await;
    let mut stranger = Stranger::admitted(9, &a.address()).await;
    a.up(9).await;
    let mut stream = stranger.next_inbound(Channel::Direct).await;
    stream.write_u64_le(0).await.expect("open");
    stream.write_u32_le(0).await.expect("open");
    stream.flush().await.expect("open");
    a.refused(Refusal::DirectBroken, 1).await;
    // It is opened again after a rest, and then works.
    let mut stream = stranger.next_inbound(Channel::Direct).await;
    let mesh = a.mesh.clone();
    let asked = tokio::spawn(async move { mesh.request(&id(9), "hi".into(), DEADLINE).await });
    assert_eq!(stream.read_u64_le().await.expect("a request"), 0);
    assert_eq!(stream.read_u32_le().await.expect("a request"), 2);
    stream.read_exact(&mut [0; 2]).await.expect("a request");
    stream.write_all(&[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'y', b'o']).await.expect("open");
    stream.flush().await.expect("open");
    assert_eq!(asked.await.expect("no panic"), Ok("yo".into()));
}

#[tokio::test]
async fn a_node_that_ends_refuses_nothing() {
    let (a, mut b) = pair(TCP).await;
    let mesh = a.mesh.clone();
    let first = tokio::spawn(async move { mesh.request(&id(2), "one".into(), DEADLINE).await });
    let waiting = b.wait("a request", request).await;
    // What was taken and what comes now is dropped with whoever would have answered.
    drop((waiting, b.events));
    assert_eq!(first.await.expect("no panic"), Err(RequestError::Busy));
    assert_eq!(a.ask(2, b"two").await, Err(RequestError::Busy));
    drop(b.mesh);
}
