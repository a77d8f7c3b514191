//! Notices against a real driver, journal and index.
#![allow(clippy::unwrap_used)]

use super::home_fixture::{Home, Worker, home, operator, read};
use artel_web::types::notice::{MarkRead, Notice, NoticeKind, NoticeQuery, Told};
use artel_web::{Attendance, Code, Problem, Service};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long it takes to be told of an offer without a look, at most, and how often that is tried.
const SOON: Duration = Duration::from_secs(3);
const TRIES: usize = 5;

const TASK: &str = r#"{"title":"Sum","reward":50,"requirements":{"capabilities":["coding"]}}"#;

fn query(after: Option<&str>) -> NoticeQuery {
    NoticeQuery { after: after.map(str::to_owned), kinds: Vec::new(), limit: 50 }
}

async fn next(attending: &impl Attendance) -> Result<Told, Problem> {
    tokio::time::timeout(PATIENCE, attending.next()).await.expect("a notice in time")
}

/// The notices up to one of this kind, and what was told with it.
async fn until(attending: &impl Attendance, kind: NoticeKind) -> Vec<Notice> {
    let mut all = Vec::new();
    while !all.iter().any(|notice: &Notice| notice.kind == kind) {
        all.extend(next(attending).await.unwrap().items);
    }
    all
}

fn kinds(notices: &[Notice]) -> Vec<NoticeKind> {
    notices.iter().map(|notice| notice.kind).collect()
}

fn said(notice: &Notice) -> serde_json::Value {
    serde_json::from_slice(notice.data.bytes()).unwrap()
}

async fn list(home: &Home, worker: &Worker, after: Option<&str>) -> Result<Vec<Notice>, Problem> {
    Ok(home.service.notifications(&worker.call, worker.id, query(after)).await?.items)
}

async fn done(home: &Home, worker: &Worker) {
    let task = home.post(TASK).await;
    let lease = home.claim(worker, task.task_id).await.unwrap();
    home.submit(worker, &lease, "{}").await.unwrap();
}

use NoticeKind::{Earning, LeaseExpiring, LeaseGranted, Quality, Reputation, TaskAvailable};

const OWN: [NoticeKind; 4] = [LeaseGranted, Quality, Reputation, Earning];

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_of_its_work_as_it_happens_and_until_it_has_read_it() {
    let home = home(&[]);
    tokio::spawn(home.service.clone().tell_who_follows());
    let worker = home.worker(1, r#"["coding"]"#).await;
    let other = home.worker(2, r#"["research"]"#).await;
    let (attending, elsewhere) = (home.service.attend(&worker.call), home.service.attend(&other.call));
    attending.begin(query(Some("now"))).await.unwrap();
    elsewhere.begin(query(Some("now"))).await.unwrap();

    let task = home.post(TASK).await;
    let told = until(&attending, TaskAvailable).await;
    let offer = said(told.last().unwrap());
    assert_eq!(offer["task_id"], task.task_id.to_string());
    assert_eq!((&offer["title"], &offer["reward"]), (&"Sum".into(), &50.into()), "nervix.md's sample");
    assert_eq!(offer["deadline"], task.deadline.iso8601());

    let lease = home.claim(&worker, task.task_id).await.unwrap();
    home.submit(&worker, &lease, "{}").await.unwrap();
    let told = until(&attending, Earning).await;
    assert_eq!(kinds(&told), OWN);
    let (granted, quality, reputation, earning) =
        (said(&told[0]), said(&told[1]), said(&told[2]), said(&told[3]));
    assert_eq!((&granted["epoch"], &granted["title"]), (&1.into(), &"Sum".into()));
    assert_eq!((&quality["accepted"], &quality["quality_score"]), (&true.into(), &100.into()));
    let shown = home.service.agent(&worker.call, worker.id).await.unwrap();
    assert_eq!(reputation["reputation_level"], serde_json::to_value(shown.reputation_level).unwrap());
    assert_eq!(reputation["reputation_score"], serde_json::to_value(shown.reputation_score).unwrap());
    assert_eq!(reputation["total_tasks_completed"], 1);
    assert_eq!(earning["amount"], 50);
    assert!(told.iter().all(|notice| !notice.read));

    // Over HTTP the same, but for what passes; whoever is not concerned has nothing.
    let listed = home.eventually(async || Ok(Some(list(&home, &worker, None).await?))).await;
    assert_eq!(kinds(&listed), OWN);
    assert_eq!(listed[0].cursor, told[0].cursor);
    assert!(list(&home, &other, None).await.unwrap().is_empty());

    // Whoever was cut between the notices of one entry loses none of them.
    for (cut, notice) in told.iter().enumerate().skip(1) {
        let rest = list(&home, &worker, Some(&notice.cursor)).await.unwrap();
        let from = if cut + 1 == OWN.len() { OWN.len() } else { 1 };
        assert_eq!(kinds(&rest), OWN[from..], "behind {:?}", notice.kind);
    }

    let mark = MarkRead { up_to: told[0].cursor.clone() };
    let marked = home.service.mark_read(&worker.call, worker.id, mark).await.unwrap();
    assert_eq!(marked.read_up_to, told[0].cursor);
    assert_eq!(kinds(&list(&home, &worker, None).await.unwrap()), OWN[1..], "what is read is not told again");
    // A socket that begins without a cursor is told what is not read.
    let again = home.service.attend(&worker.call);
    again.begin(query(None)).await.unwrap();
    assert_eq!(kinds(&until(&again, Earning).await), OWN[1..]);
    // From a cursor on, whatever was read.
    let only = NoticeQuery { kinds: vec![Earning], ..query(Some(&told[0].cursor)) };
    again.begin(only).await.unwrap();
    assert_eq!(kinds(&next(&again).await.unwrap().items), [Earning]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_ones_own_and_not_of_the_future() {
    let home = home(&[]);
    let (worker, other) = (home.worker(1, r#"["coding"]"#).await, home.worker(2, r#"["coding"]"#).await);
    done(&home, &worker).await;
    let listed = home.eventually(async || Ok(Some(list(&home, &worker, None).await?))).await;
    let cursor = &listed[0].cursor;
    let mine = cursor.split_once('.').unwrap().1;
    let ahead = format!("{}.{mine}", *home.service.parts().events.watch().borrow());
    for (who, cursor, refusal) in [
        (&other, cursor.as_str(), Code::CursorForeign),
        (&worker, &ahead, Code::CursorAhead),
        (&worker, &format!("{}.{mine}", u64::MAX), Code::CursorAhead),
        (&worker, "57", Code::BadQuery),
        (&worker, "x.y", Code::BadQuery),
    ] {
        let attending = home.service.attend(&who.call);
        assert_eq!(attending.begin(query(Some(cursor))).await.unwrap_err().code, refusal, "{cursor}");
        assert_eq!(list(&home, who, Some(cursor)).await.unwrap_err().code, refusal, "{cursor}");
        let mark = MarkRead { up_to: cursor.to_owned() };
        assert_eq!(home.service.mark_read(&who.call, who.id, mark).await.unwrap_err().code, refusal);
    }
    let events =
        artel_web::types::event::EventQuery { after: Some("99999".into()), limit: 9, ..Default::default() };
    assert_eq!(home.service.events(&operator(), events).await.unwrap_err().code, Code::CursorAhead);
    let attending = home.service.attend(&operator());
    assert_eq!(attending.begin(query(None)).await.unwrap_err().code, Code::AgentsOnly);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_long_is_told_its_own_and_where_the_gap_is() {
    let home = home(&[]);
    tokio::spawn(home.service.clone().tell_who_follows());
    let worker = home.worker(1, r#"["coding"]"#).await;
    done(&home, &worker).await;
    let listed = home.eventually(async || Ok(Some(list(&home, &worker, None).await?))).await;
    assert_eq!(kinds(&listed), OWN);
    // Nothing of it is in memory any more.
    let size = *home.service.parts().events.watch().borrow();
    home.service.parts().events.begin_again(size);
    let attending = home.service.attend(&worker.call);
    attending.begin(query(None)).await.unwrap();
    let told = next(&attending).await.unwrap();
    assert_eq!(kinds(&told.items), OWN);
    let gap = told.gap.expect("offers of that time are not told");
    assert_eq!((gap.from_entry, gap.to_entry), (0, size));
    // And then what happens.
    home.post(TASK).await;
    assert_eq!(kinds(&until(&attending, TaskAvailable).await), [TaskAvailable]);
    // One entry at a time: all comes, in order, each once, and the gap from where it began.
    let slowly = home.service.attend(&worker.call);
    slowly.begin(NoticeQuery { limit: 1, ..query(None) }).await.unwrap();
    let first = next(&slowly).await.unwrap();
    assert_eq!((kinds(&first.items), first.gap), (vec![LeaseGranted], None));
    let second = next(&slowly).await.unwrap();
    assert_eq!((kinds(&second.items), second.gap), (OWN[1..].to_vec(), Some(gap)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_events_do_not_call_synced_is_not_listed_yet() {
    let home = home(&[]);
    let worker = home.worker(1, r#"["coding"]"#).await;
    done(&home, &worker).await;
    let listed = home.eventually(async || Ok(Some(list(&home, &worker, None).await?))).await;
    assert_eq!(kinds(&listed), OWN);
    // As between a commit and its news.
    let granted = listed[0].cursor.split_once('.').unwrap().0.parse().unwrap();
    home.service.parts().events.begin_again(granted);
    assert!(list(&home, &worker, None).await.unwrap().is_empty());
    home.service.parts().events.begin_again(granted + 1);
    assert_eq!(kinds(&list(&home, &worker, None).await.unwrap()), [LeaseGranted]);
}

/// Begins something and leaves it waiting.
async fn begun(mut waiting: std::pin::Pin<&mut impl Future>) {
    std::future::poll_fn(|context| {
        assert!(waiting.as_mut().poll(context).is_pending(), "it does not wait");
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_wish_found_is_not_told_to_a_newer_one() {
    let home = home(&[]);
    let worker = home.worker(1, r#"["coding"]"#).await;
    let attending = home.service.attend(&worker.call);
    attending.begin(query(Some("now"))).await.unwrap();
    home.post(TASK).await;
    // Its credential is looked at with that.
    until(&attending, TaskAvailable).await;
    done(&home, &worker).await;
    for ends in [false, true] {
        // Behind this look the driver does nothing until it is let go.
        let (let_go, waits) = std::sync::mpsc::channel::<()>();
        let handle = home.service.parts().handle.clone();
        let mut stops = pin!(handle.look(move |_| waits.recv().is_ok()));
        begun(stops.as_mut()).await;
        attending.begin(query(None)).await.unwrap();
        let mut told = pin!(next(&attending));
        begun(told.as_mut()).await;
        if ends {
            attending.end();
        }
        let earnings = NoticeQuery { kinds: vec![Earning], ..query(None) };
        attending.begin(earnings).await.unwrap();
        let_go.send(()).unwrap();
        assert!(stops.await.unwrap());
        assert_eq!(kinds(&told.await.unwrap().items), [Earning]);
    }
}

/// One who is there and was told of something, so that its credential was looked at; now it only waits.
async fn waiting(home: &Home, worker: &Worker) -> tokio::task::JoinHandle<Result<usize, Problem>> {
    let attending = home.service.attend(&worker.call);
    attending.begin(query(Some("now"))).await.unwrap();
    home.post(TASK).await;
    until(&attending, TaskAvailable).await;
    attending.end();
    tokio::spawn(async move { next(&attending).await.map(|told| told.items.len()) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_falls_is_the_last_word() {
    let home = home(&[]);
    tokio::spawn(home.service.clone().tell_who_follows());
    let worker = home.worker(1, r#"["coding"]"#).await;
    let told = waiting(&home, &worker).await;
    home.service.revoke_agent(&operator(), worker.id).await.unwrap();
    assert_eq!(told.await.unwrap().unwrap_err().code, Code::AgentRevoked);

    let worker = home.worker(2, r#"["coding"]"#).await;
    let told = waiting(&home, &worker).await;
    // It enrolls again: its old token falls.
    home.worker(2, r#"["coding"]"#).await;
    assert_eq!(told.await.unwrap().unwrap_err().code, Code::TokenRevoked);
}

/// A task that is taken under a lease that is about to run out two seconds before it does.
async fn held(home: &Home, worker: &Worker) -> artel_web::types::task::Lease {
    let task = home.post(TASK).await;
    home.claim(worker, task.task_id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_about_to_run_out_is_told_while_it_is_true_and_never_in_vain() {
    let home = home(&[("lease_ms", "6000")]);
    tokio::spawn(home.service.clone().tell_who_follows());
    let worker = home.worker(1, r#"["coding"]"#).await;
    let attending = home.service.attend(&worker.call);
    attending.begin(query(Some("now"))).await.unwrap();
    let lease = held(&home, &worker).await;
    let told = until(&attending, LeaseExpiring).await;
    assert_eq!(kinds(&told).last_chunk(), Some(&[LeaseGranted, LeaseExpiring]));
    let [.., granted, expiring] = &told[..] else { panic!("two") };
    assert_eq!(said(expiring)["task_id"], lease.task_id.to_string());
    let ends = said(expiring)["expires_at"].as_str().map(artel_web::types::parse_time).unwrap().unwrap();
    assert!(ends.0.abs_diff(lease.expires_at.0) <= 50, "{ends:?} {:?}", lease.expires_at);
    assert!(ends.since_ms(expiring.at) <= 2_000, "a third of the term is left");
    assert!(!expiring.read);
    // Whoever comes back is told again, and so is whoever asks over HTTP, but nobody who wants something else.
    let again = home.service.attend(&worker.call);
    again.begin(query(Some(&granted.cursor))).await.unwrap();
    assert_eq!(kinds(&next(&again).await.unwrap().items), [LeaseExpiring]);
    again.begin(query(Some(&expiring.cursor))).await.unwrap();
    assert_eq!(kinds(&next(&again).await.unwrap().items), [LeaseExpiring]);
    let listed = home.eventually(async || Ok(Some(list(&home, &worker, None).await?))).await;
    assert_eq!(kinds(&listed), [LeaseGranted, LeaseExpiring]);
    let mark = MarkRead { up_to: expiring.cursor.clone() };
    home.service.mark_read(&worker.call, worker.id, mark).await.unwrap();
    assert_eq!(kinds(&list(&home, &worker, None).await.unwrap()), [LeaseExpiring], "no mark ends it");
    let earnings = NoticeQuery { kinds: vec![Earning], ..query(None) };
    assert!(home.service.notifications(&worker.call, worker.id, earnings).await.unwrap().items.is_empty());
    // A renewal does, and the next term is told in its turn; in the end it lapses.
    let renewal = read(&format!(r#"{{"epoch":{}}}"#, lease.epoch));
    home.service.renew(&worker.call, worker.id, lease.task_id, renewal).await.unwrap();
    assert!(list(&home, &worker, None).await.unwrap().is_empty());
    let told = until(&attending, NoticeKind::LeaseLapsed).await;
    // The task is on offer again in the same moment.
    assert_eq!(kinds(&told).first_chunk(), Some(&[LeaseExpiring, NoticeKind::LeaseLapsed]));
    assert!(said(&told[0])["expires_at"].as_str().unwrap() > said(expiring)["expires_at"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_task_that_is_cancelled_is_told_so() {
    let home = home(&[]);
    tokio::spawn(home.service.clone().tell_who_follows());
    let worker = home.worker(1, r#"["coding"]"#).await;
    let attending = home.service.attend(&worker.call);
    attending.begin(query(Some("now"))).await.unwrap();
    let lease = held(&home, &worker).await;
    home.service.cancel_run(&operator(), lease.run_id).await.unwrap();
    let told = until(&attending, NoticeKind::LeaseEnded).await;
    let ended = said(told.last().unwrap());
    assert_eq!((&ended["task_id"], &ended["epoch"]), (&lease.task_id.to_string().into(), &1.into()));
    assert_eq!((&ended["reason"], &ended["title"]), (&"cancelled".into(), &"Sum".into()));
    let listed = home.eventually(async || Ok(Some(list(&home, &worker, None).await?))).await;
    assert_eq!(kinds(&listed), [LeaseGranted, NoticeKind::LeaseEnded], "it is kept until it is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_wakes_many_costs_the_rules_no_look() {
    let home = home(&[]);
    tokio::spawn(home.service.clone().tell_who_follows());
    let worker = home.worker(1, r#"["coding"]"#).await;
    let all: Vec<_> = (0..8).map(|_| home.service.attend(&worker.call)).collect();
    for attending in &all {
        attending.begin(query(Some("now"))).await.unwrap();
    }
    // Behind a post the driver does nothing until it is let go. Who has to look at something else just then, as whoever begins does,
    // is not told before; but once all have looked, everybody is.
    let mut all_told = false;
    for _ in 0..TRIES {
        let (let_go, waits) = std::sync::mpsc::channel::<()>();
        let service = home.service.clone();
        let post = async move { service.post_task(&operator(), read(TASK)).await };
        let handle = home.service.parts().handle.clone();
        let stops = async move { handle.look(move |_| waits.recv().is_ok()).await };
        let both = tokio::spawn(async move { tokio::join!(biased; post, stops) });
        let mut telling = pin!(async {
            for attending in &all {
                assert_eq!(kinds(&until(attending, TaskAvailable).await), [TaskAvailable]);
            }
        });
        all_told = tokio::time::timeout(SOON, telling.as_mut()).await.is_ok();
        let_go.send(()).unwrap();
        if !all_told {
            telling.await;
        }
        both.await.unwrap().0.unwrap();
        if all_told {
            break;
        }
    }
    assert!(all_told, "somebody looks at each offer");
}
