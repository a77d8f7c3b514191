//! Notices against a real driver, journal and index.
#![allow(clippy::unwrap_used)]

use super::service_test::{Home, Worker, home, operator};
use artel_web::types::notice::{MarkRead, Notice, NoticeKind, NoticeQuery, Told};
use artel_web::{Attendance, Code, Problem, Service};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

const TASK: &str = r#"{"title":"Sum","reward":50,"requirements":{"capabilities":["coding"]}}"#;

fn query(after: Option<&str>) -> NoticeQuery {
    NoticeQuery { after: after.map(str::to_owned), kinds: Vec::new(), limit: 50 }
}

async fn next(attending: &impl Attendance) -> Result<Told, Problem> {
    tokio::time::timeout(PATIENCE, attending.next()).await.expect("a notice in time")
}

/// The notices up to one of this kind.
async fn until(attending: &impl Attendance, kind: NoticeKind) -> Vec<Notice> {
    let mut all = Vec::new();
    while all.last().is_none_or(|notice: &Notice| notice.kind != kind) {
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

use NoticeKind::{Earning, LeaseGranted, Quality, Reputation, TaskAvailable};

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
