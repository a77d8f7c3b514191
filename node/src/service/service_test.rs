//! The service over a real driver, journal and index in a directory of its own: lives of tasks, who sees what, what is
//! read back after it has left memory.
#![allow(clippy::unwrap_used)]

use super::home_fixture::{Home, PATIENCE, call, home, operator, read};
use super::*;
use artel_federation::Fact;
use artel_federation::commitment::{Opening, Salt, terms};
use artel_protocol::key::signed_bytes;
use artel_protocol::log::Proof as TlogProof;
use artel_protocol::log::leaf::Leaf;
use artel_web::types::agent::WorkOutcome;
use artel_web::types::run::RunStatus;
use artel_web::types::task::{StatusFilter, TaskStatus};
use artel_web::{Blob as _, Code, Idempotency};
use std::time::{Duration, Instant};

fn text(json: &Option<Json>) -> &str {
    std::str::from_utf8(json.as_ref().unwrap().bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_lives_and_its_receipt_can_be_checked_by_a_stranger() {
    let home = home(&[]);
    let worker = home.worker(1, r#"["coding@2"]"#).await;
    let task = home
        .post(
            r#"{"title":"Sum","reward":50,"requirements":{"capabilities":["coding"]},"input":{"n": [1,2]}}"#,
        )
        .await;
    assert_eq!((task.status, text(&task.input)), (TaskStatus::Available, r#"{"n": [1,2]}"#));

    let claim = ClaimRequest { agent_capabilities: Some(Vec::new()), ..ClaimRequest::default() };
    let lease = home.service.claim_next(&worker.call, worker.id, claim).await.unwrap().unwrap();
    assert_eq!((lease.task_id, lease.input.bytes()), (task.task_id, br#"{"n": [1,2]}"#.as_slice()));
    let submitted = home.submit(&worker, &lease, r#"{"sum": 3}"#).await.unwrap();
    let verdict = submitted.receipt.unwrap();
    assert_eq!((verdict.accepted, verdict.paid.decimal()), (true, "50".to_owned()));

    let ack = submitted.acknowledgement.unwrap();
    let output = Digest::of(br#"{"sum": 3}"#);
    let opening = Opening { salt: Salt(ack.salt), output, artifacts: ack.artifacts.clone() };
    assert_eq!((ack.output_digest, ack.result), (output, opening.result()));
    let payload = artel_protocol::codec::encode(&(
        ack.task_id,
        ack.epoch,
        ack.agent_id,
        opening.result(),
        ack.entry,
        ack.submitted_at,
    ));
    let federation = home.service.parts().identity.federation;
    let bytes = signed_bytes("acknowledgement", &federation, &payload);
    assert_eq!(home.node.key().verify(&bytes, &ack.signature.unwrap()), Ok(()));

    for call in [&operator(), &worker.call] {
        let receipt = home.service.receipt(call, task.task_id).await.unwrap();
        for (record, index) in
            [(&receipt.submitted, ack.entry), (receipt.verdict.as_ref().unwrap(), verdict.entry)]
        {
            assert_eq!(record.entry, index);
            let leaf = Leaf::parse(&record.leaf).unwrap();
            assert!(leaf.opens_with(record.salt.as_slice().try_into().unwrap(), &record.body));
            TlogProof::parse(&record.proof).unwrap().verify(&leaf.hash()).unwrap();
        }
        let Fact::Submitted(public) = artel_federation::Entry::decode(&receipt.submitted.body).unwrap().fact
        else {
            panic!("the first record is the submission")
        };
        assert_eq!((public.result, receipt.opening.output_digest), (ack.result, output));
        assert_eq!(receipt.opening.salt, ack.salt);
    }

    let seen = home.service.task(&worker.call, task.task_id).await.unwrap();
    assert_eq!((seen.status, text(&seen.output)), (TaskStatus::Accepted, r#"{"sum": 3}"#));
    assert_eq!((seen.submissions.len(), seen.assigned_agent_id), (1, Some(worker.id)));
    let run = home.service.run(&operator(), task.run_id).await.unwrap();
    assert_eq!((run.status, text(&run.outputs)), (RunStatus::Completed, r#"{"task":{"sum": 3}}"#));

    let earned = home.service.earnings(&worker.call, worker.id).await.unwrap();
    assert_eq!((earned.total_earnings.decimal(), earned.tasks_paid), ("50".to_owned(), 1));
    let paid = home
        .eventually(async || {
            let page = home.service.contributions(&worker.call, worker.id, Page::default()).await?;
            Ok(page.items.into_iter().next())
        })
        .await;
    assert_eq!(
        (paid.task_id, paid.paid.decimal(), paid.entry),
        (task.task_id, "50".to_owned(), verdict.entry)
    );
    let history = home.service.history(&worker.call, worker.id, Page::default()).await.unwrap();
    assert_eq!(history.items[0].outcome, WorkOutcome::Accepted);
    assert_eq!(history.items[0].title.as_deref(), Some("Sum"));
    let accounts = home.service.accounts(&operator(), Page::default()).await.unwrap();
    assert_eq!(accounts.items.iter().map(|account| account.balance.0).sum::<i64>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sees_what_concerns_them() {
    let home = home(&[]);
    let (worker, other) = (home.worker(1, r#"["coding"]"#).await, home.worker(2, r#"["research"]"#).await);
    let body = r#"{"title":"Secret","requirements":{"capabilities":["coding"]},"input":{"secret":1}}"#;
    let task = home.post(body).await;

    let offer = home.service.task(&other.call, task.task_id).await.unwrap();
    assert!(offer.input.is_none() && offer.title == "Secret", "what is open is seen without its input");
    let refused = home.claim(&other, task.task_id).await.unwrap_err();
    assert_eq!(refused.code, Code::NotQualified);
    let lease = home.claim(&worker, task.task_id).await.unwrap();
    assert_eq!(home.claim(&other, task.task_id).await.unwrap_err().code, Code::TaskTaken);
    assert!(home.service.task(&worker.call, task.task_id).await.unwrap().input.is_some());
    for call in [&other.call, &call(Principal::Anonymous)] {
        let hidden = home.service.task(call, task.task_id).await.unwrap_err().code;
        let wanted =
            if call.principal == Principal::Anonymous { Code::Unauthenticated } else { Code::NotFound };
        assert_eq!(hidden, wanted);
    }
    home.submit(&worker, &lease, "{}").await.unwrap();
    assert_eq!(home.service.run(&worker.call, task.run_id).await.unwrap_err().code, Code::NotFound);
    assert!(home.service.step(&worker.call, task.task_id).await.is_ok());
    assert_eq!(home.service.step(&other.call, task.task_id).await.unwrap_err().code, Code::NotFound);
    assert_eq!(
        home.service.steps(&other.call, task.run_id, Page::default()).await.unwrap_err().code,
        Code::NotFound
    );
    assert_eq!(home.service.receipt(&other.call, task.task_id).await.unwrap_err().code, Code::NotFound);
    assert_eq!(
        home.service.history(&other.call, worker.id, Page::default()).await.unwrap_err().code,
        Code::Forbidden
    );

    let query = || EventQuery { limit: 200, ..EventQuery::default() };
    let names = async |call: &Call| -> Vec<String> {
        let events = home.service.events(call, query()).await.unwrap().items;
        events.into_iter().filter(|event| event.run_id.is_some()).map(|event| event.event_name).collect()
    };
    let all = [
        "xyn.run.created",
        "xyn.task.available",
        "xyn.task.claimed",
        "xyn.task.submitted",
        "xyn.task.accepted",
    ];
    assert_eq!(names(&operator()).await, all);
    assert_eq!(names(&worker.call).await, all[1..]);
    assert!(names(&other.call).await.is_empty(), "not even the offer: it has not the skills");
    let entries =
        home.eventually(async || entries_of(&home, &other.call, task.task_id).await.map(Some)).await;
    assert!(entries.is_empty());
}

async fn entries_of(home: &Home, call: &Call, task: StepId) -> Result<Vec<Entry>, Problem> {
    let query = EntryQuery { task: Some(task), ..EntryQuery::default() };
    home.service.entries(call, query).await.map(|page| page.items)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_credential_reads_nothing() {
    let home = home(&[]);
    let worker = home.worker(1, "[]").await;
    let again = home.worker(1, "[]").await;
    let code = async |call: &Call| home.service.agents(call, AgentQuery::default()).await.unwrap_err().code;
    assert_eq!(code(&worker.call).await, Code::TokenRevoked, "a newer token has replaced it");
    assert!(home.service.verify(&again.call).await.is_ok());
    home.service.revoke_agent(&operator(), again.id).await.unwrap();
    assert_eq!(code(&again.call).await, Code::AgentRevoked);
    let events = home.service.events(&again.call, EventQuery { limit: 1, ..EventQuery::default() }).await;
    assert_eq!(events.unwrap_err().code, Code::AgentRevoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_can_hold_home_to_what_it_offered() {
    let home = home(&[]);
    let worker = home.worker(1, r#"["coding@2"]"#).await;
    let body = r#"{"title":"Sum","description":"add","reward":1.5,"complexity":"simple","input":{"n": [1]},
        "requirements":{"capabilities":["coding"],"level":"novice"},"output_schema":{"type":"number"}}"#;
    let task = home.post(body).await;
    assert_eq!(home.terms(&worker, task.task_id).await, None, "who sees the offer alone cannot open it");
    home.claim(&worker, task.task_id).await.unwrap();
    let (digest, salt) = home.terms(&worker, task.task_id).await.expect("the holder can");

    let mut facts = (0..home.service.reader().size()).map(|index| home.service.entry(index).unwrap().fact);
    let offered = facts.find_map(|fact| if let Fact::Offered(f) = fact { Some(f) } else { None });
    assert_eq!(offered.unwrap().terms, digest, "it is what the public entry says");
    let seen = home.service.task(&worker.call, task.task_id).await.unwrap();
    let spec = artel_federation::fact::TaskSpec {
        title: seen.title,
        description: seen.description,
        skills: seen.requirements.capabilities,
        level_min: Some(artel_reputation::Level::Novice),
        complexity: artel_reputation::Complexity::Simple,
        reward: seen.reward,
        deadline: seen.deadline,
        input: artel_federation::Json::new(seen.input.unwrap().bytes()),
        output_schema: seen.output_schema.map(|schema| artel_federation::Json::new(schema.bytes())),
        poster_may_claim: seen.poster_may_claim,
        runner: None,
    };
    assert_eq!(terms(Salt(salt), &task.task_id, &spec), digest, "and the answer opens it");
    let any = || TaskQuery { status: StatusFilter::Any, ..TaskQuery::default() };
    let list = home.eventually(async || Ok(Some(home.service.tasks(&operator(), any()).await?))).await;
    assert!(list.items[0].terms.is_none(), "lists stay small");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_memory_is_answered_for_in_the_same_words() {
    let home = home(&[]);
    let worker = home.worker(1, "[]").await;
    let (input, output) =
        (format!(r#"{{"in":"{}"}}"#, "i".repeat(5_000)), format!(r#"["{}"]"#, "o".repeat(5_000)));
    let body = format!(r#"{{"title":"Large","input":{input},"description":"{}"}}"#, "d".repeat(2_000));
    let idempotency = Some(Idempotency { key: "once".into(), body: Digest::of(body.as_bytes()) });
    let keyed = Call { idempotency, ..operator() };
    let task = home.service.post_task(&keyed, read(&body)).await.unwrap();
    let lease = home.claim(&worker, task.task_id).await.unwrap();
    let before = home.terms(&worker, task.task_id).await.unwrap();
    let first = home.submit(&worker, &lease, &output).await.unwrap();
    let open = home.post(r#"{"title":"next"}"#).await;
    home.crowd_out(task.run_id).await;

    let gone = home.service.look(&operator(), move |view, _| view.run(&task.run_id).is_none()).await.unwrap();
    assert!(gone, "the run is still in memory, so this tests nothing");
    for call in [&operator(), &worker.call] {
        let seen = home.service.task(call, task.task_id).await.unwrap();
        assert_eq!((text(&seen.input), text(&seen.output)), (input.as_str(), output.as_str()));
        assert_eq!((seen.description.len(), seen.status), (2_000, TaskStatus::Accepted));
        assert_eq!(seen.terms.map(|terms| (terms.digest, terms.salt)), Some(before));
        let step = home.service.step(call, task.task_id).await.unwrap();
        assert_eq!((text(&step.inputs), text(&step.outputs)), (input.as_str(), output.as_str()));
    }
    let run = home.service.run(&operator(), task.run_id).await.unwrap();
    assert_eq!(text(&run.outputs), format!(r#"{{"task":{output}}}"#));
    assert!(home.service.receipt(&worker.call, task.task_id).await.unwrap().verdict.is_some());

    let again = home.submit(&worker, &lease, &output).await.unwrap();
    assert_eq!(again.receipt.as_ref().unwrap().entry, first.receipt.as_ref().unwrap().entry);
    let (again, first) = (again.acknowledgement.unwrap(), first.acknowledgement.unwrap());
    assert_eq!(again.signature, first.signature);
    assert_eq!(again.salt, first.salt);
    let body = format!(r#"{{"epoch":{},"output":{output},"claim_next":true}}"#, lease.epoch);
    let next = home.service.submit(&worker.call, worker.id, task.task_id, read(&body)).await.unwrap().next;
    assert_eq!(next.unwrap().task_id, open.task_id);
    assert_eq!(home.submit(&worker, &lease, "{}").await.unwrap_err().code, Code::AlreadySubmitted);
    assert_eq!(home.claim(&worker, task.task_id).await.unwrap_err().code, Code::Finished);
    let renewed = home
        .service
        .renew(&worker.call, worker.id, task.task_id, LeaseRequest { epoch: lease.epoch, signed: None })
        .await;
    assert_eq!(renewed.unwrap_err().code, Code::Finished);
    assert_eq!(home.service.cancel_task(&operator(), task.task_id).await.unwrap_err().code, Code::Finished);
    assert_eq!(home.service.cancel_run(&operator(), task.run_id).await.unwrap_err().code, Code::Finished);
    let unknown = home.claim(&worker, RunId::new(crate::clock::wall(), [9; 9]).step(0)).await;
    assert_eq!(unknown.unwrap_err().code, Code::NotFound);

    let repeated = home.service.post_task(&keyed, read(r#"{"title":"Large"}"#)).await.unwrap();
    assert_eq!((repeated.task_id, text(&repeated.input)), (task.task_id, input.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_each_thing_once_page_by_page() {
    let home = home(&[]);
    let worker = home.worker(1, "[]").await;
    let body = r#"{"name":"four","steps":[
        {"name":"a","task":{"title":"a"}},{"name":"b","needs":["a"],"task":{"title":"b"}},
        {"name":"c","needs":["a"],"task":{"title":"c"}},{"name":"d","needs":["b","c"],"task":{"title":"d"}}]}"#;
    for _ in 0..2 {
        home.service.post_run(&operator(), read(body)).await.unwrap();
    }
    for _ in 0..3 {
        let task = home.post(r#"{"title":"lone"}"#).await;
        let lease = home.claim(&worker, task.task_id).await.unwrap();
        home.submit(&worker, &lease, "1").await.unwrap();
    }
    home.eventually(async || {
        let runs = home.service.indexed(|index| index.runs_before(None, 9)).await?;
        Ok((runs.len() == 3).then_some(()))
    })
    .await;

    let all = async |status, limit| {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page { limit, cursor };
            let query = TaskQuery { status, page, ..TaskQuery::default() };
            let list = home.service.tasks(&operator(), query).await.unwrap();
            assert!(list.items.len() <= limit as usize);
            seen.extend(list.items.iter().map(|task| task.task_id));
            assert!(seen.len() < 100, "the list does not end");
            cursor = list.next_cursor;
            if cursor.is_none() {
                return seen;
            }
        }
    };
    let whole = all(StatusFilter::Any, 200).await;
    assert_eq!(whole.len(), 11);
    for limit in [1, 2, 3, 4, 5, 11] {
        assert_eq!(all(StatusFilter::Any, limit).await, whole, "pages of {limit}");
    }
    assert_eq!(all(StatusFilter::Is(TaskStatus::Available), 1).await.len(), 2);
    assert_eq!(all(StatusFilter::Is(TaskStatus::Created), 2).await.len(), 6);
    assert_eq!(all(StatusFilter::Is(TaskStatus::Accepted), 2).await.len(), 3);

    let (mut runs, mut cursor) = (Vec::new(), None);
    loop {
        let query = RunQuery { status: None, page: Page { limit: 2, cursor } };
        let list = home.service.runs(&operator(), query).await.unwrap();
        runs.extend(list.items.iter().map(|run| run.run_id));
        cursor = list.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut sorted = runs.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((runs.len(), sorted.len()), (5, 5));
    assert!(home.service.runs(&worker.call, RunQuery::default()).await.unwrap().items.is_empty());
    let first = home.service.steps(&operator(), runs[0], Page { limit: 3, cursor: None }).await.unwrap();
    let rest = Page { limit: 3, cursor: first.next_cursor.clone() };
    let rest = home.service.steps(&operator(), runs[0], rest).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.next_cursor), (3, 1, None));
    assert_eq!(rest.items[0].needs, ["b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_once_each_and_wake_who_waits() {
    let home = home(&[]);
    let service = home.service.clone();
    let waiting = tokio::spawn(async move {
        let query =
            EventQuery { after: Some("now".into()), wait_ms: 30_000, limit: 50, ..EventQuery::default() };
        service.events(&operator(), query).await.unwrap()
    });
    let mut posted = Vec::new();
    while !waiting.is_finished() {
        posted.push(home.post(r#"{"title":"t"}"#).await.run_id);
    }
    let woken = waiting.await.unwrap();
    assert!(woken.items.iter().all(|event| posted.contains(&event.run_id.unwrap())));

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let query = EventQuery { after: after.clone(), limit: 3, ..EventQuery::default() };
        let page = home.service.events(&operator(), query).await.unwrap();
        seen.extend(page.items.iter().map(|event| event.entry));
        assert!(page.next_cursor.is_some());
        if page.items.is_empty() && page.next_cursor == after {
            break;
        }
        after = page.next_cursor;
    }
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(seen.len(), 2 + 2 * posted.len(), "founded, started, and a run with its offer each");

    let emitted = r#"{"event_name":"note.taken","data":{"a":[1]},"resource":{"type":"disk","id":"sda"}}"#;
    let emitted = home.service.emit(&operator(), read(emitted)).await.unwrap();
    let back = home.service.event(&operator(), emitted.event_id).await.unwrap();
    assert_eq!((back.data.bytes(), back.resource.clone()), (br#"{"a":[1]}"#.as_slice(), emitted.resource));
    assert_eq!(back.resource.unwrap().id, "sda");
    assert_eq!((back.event_name.as_str(), back.actor.as_str()), ("note.taken", "operator"));
    let other = EventId::new(emitted.occurred_at.plus_ms(1), emitted.entry);
    assert_eq!(home.service.event(&operator(), other).await.unwrap_err().code, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_events_begin_as_configured_in_pages_and_filters() {
    let home = home(&[("event_prefix", "acme.")]);
    home.post(r#"{"title":"t"}"#).await;
    let emitted = home.service.emit(&operator(), read(r#"{"event_name":"xyn.own.name"}"#)).await.unwrap();
    let named = async |name: Option<&str>| {
        let query = EventQuery { event_name: name.map(str::to_owned), limit: 50, ..EventQuery::default() };
        let page = home.service.events(&operator(), query).await.unwrap();
        page.items.into_iter().map(|event| event.event_name).collect::<Vec<_>>()
    };
    let all = named(None).await;
    let (emitted_names, own): (Vec<_>, Vec<_>) = all.iter().partition(|name| *name == "xyn.own.name");
    assert_eq!(emitted_names.len(), 1, "an emitted event keeps the name that it was given: {all:?}");
    assert!(own.len() >= 4 && own.iter().all(|name| name.starts_with("acme.")), "{all:?}");
    for own in ["acme.task.available", "task.available"] {
        assert_eq!(named(Some(own)).await, ["acme.task.available"], "{own}");
    }
    assert_eq!(named(Some("xyn.own.name")).await, ["xyn.own.name"]);
    for other in ["xyn.task.available", "acme.", "acme.xyn.own.name"] {
        assert_eq!(named(Some(other)).await, [""; 0], "{other}");
    }
    let back = home.service.event(&operator(), emitted.event_id).await.unwrap();
    assert_eq!(back.event_name, "xyn.own.name");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_step_shows_nobody_the_artifacts_of_its_run() {
    let home = home(&[]);
    let (worker, third) = (home.worker(1, "[]").await, home.worker(2, "[]").await);
    let body =
        r#"{"name":"two","steps":[{"name":"a","task":{"title":"a"}},{"name":"b","task":{"title":"b"}}]}"#;
    let run = home.service.post_run(&operator(), read(body)).await.unwrap().run_id;
    let (a, b) = (run.step(0), run.step(1));
    let lease = home.claim(&worker, a).await.unwrap();
    let put = async |step_id: Option<StepId>, text: &'static str| {
        let post = ArtifactPost {
            run_id: Some(run),
            step_id,
            ..ArtifactPost::unnamed(text.into(), Some("text/plain".into()))
        };
        home.service.store_artifact(&operator(), post, Upload::whole(text.into())).await.unwrap().artifact_id
    };
    let (of_run, of_a, of_b) =
        (put(None, "of run").await, put(Some(a), "of a").await, put(Some(b), "of b").await);
    let listed = async |call: &Call, step_id: Option<StepId>| {
        let query = ArtifactQuery { run_id: Some(run), step_id, ..ArtifactQuery::default() };
        let list =
            home.eventually(async || home.service.artifacts(call, query.clone()).await.map(Some)).await;
        list.items.into_iter().map(|artifact| artifact.artifact_id).collect::<Vec<_>>()
    };
    let sees = async |call: &Call, wanted: &[ArtifactId]| {
        assert_eq!(listed(call, None).await, wanted);
        for id in [of_b, of_a, of_run] {
            let seen = (
                home.service.artifact(call, id).await.map(|_| ()).map_err(|problem| problem.code),
                home.service
                    .content(call, ArtifactName::Id(id))
                    .await
                    .map(|_| ())
                    .map_err(|problem| problem.code),
            );
            let said = if wanted.contains(&id) { Ok(()) } else { Err(Code::NotFound) };
            assert_eq!(seen, (said, said));
        }
    };
    sees(&operator(), &[of_b, of_a, of_run]).await;
    sees(&worker.call, &[of_a, of_run]).await;
    assert!(home.service.task(&third.call, b).await.unwrap().input.is_none(), "it sees the offer");
    sees(&third.call, &[]).await;
    for step in [a, b] {
        assert_eq!(listed(&third.call, Some(step)).await, []);
    }
    home.submit(&worker, &lease, "{}").await.unwrap();
    sees(&worker.call, &[of_a, of_run]).await;
    home.claim(&third, b).await.unwrap();
    sees(&third.call, &[of_b, of_run]).await;
    assert_eq!(listed(&third.call, Some(a)).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_go_hears_nothing_of_other_homes() {
    let home = home(&[]);
    let worker = home.worker(1, "[]").await;
    assert!(home.service.offers(&worker.call, OfferQuery::default()).await.is_ok());
    assert!(home.service.homes(&worker.call, Page::default()).await.is_ok());
    home.service.revoke_agent(&operator(), worker.id).await.unwrap();
    let offers = home.service.offers(&worker.call, OfferQuery::default()).await.map(|_| ());
    let homes = home.service.homes(&worker.call, Page::default()).await.map(|_| ());
    for said in [offers, homes] {
        assert_eq!(said.unwrap_err().code, Code::AgentRevoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_an_entry_before_the_index_has_it() {
    let home = home(&[]);
    let mut synced = home.service.parts().events.watch();
    let before = *synced.borrow();
    let let_go = home.service.parts().index.stands_still();
    let service = home.service.clone();
    let post = tokio::spawn(async move { service.post_task(&operator(), read(r#"{"title":"next"}"#)).await });
    let begun = Instant::now();
    while home.service.reader().size() == before {
        assert!(begun.elapsed() < PATIENCE, "it is not written");
        tokio::task::yield_now().await;
    }
    let told = tokio::time::timeout(Duration::from_millis(200), synced.wait_for(|size| *size > before)).await;
    assert!(told.is_err(), "the index has nothing of it yet");
    drop(told);
    drop(let_go);
    post.await.unwrap().unwrap();
    assert!(*synced.borrow() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_come_in_whole_and_go_out_checked() {
    let home = home(&[("artifact_quota_mb", "1")]);
    let (worker, other) = (home.worker(1, "[]").await, home.worker(2, "[]").await);
    let bytes = |text: &str| Upload::whole(Bytes::copy_from_slice(text.as_bytes()));
    let put = async |call: &Call, wanted: Option<Digest>, text: &str| {
        let mut post = ArtifactPost::unnamed("file".into(), Some("text/plain".into()));
        post.sha256 = wanted;
        home.service.store_artifact(call, post, bytes(text)).await
    };
    let digest = Digest::of(b"artel");
    let wrong = put(&worker.call, Some(digest), "arteL").await.unwrap_err();
    assert_eq!(wrong.code, Code::DigestMismatch);
    let stored = put(&worker.call, Some(digest), "artel").await.unwrap();
    assert_eq!(put(&worker.call, Some(digest), "artel").await.unwrap().artifact_id, stored.artifact_id);
    assert_ne!(put(&other.call, None, "artel").await.unwrap().artifact_id, stored.artifact_id);
    let on_disk = home.service.look(&operator(), |view, _| view.counts().artifact_bytes).await.unwrap();
    assert_eq!(on_disk, 5, "the same bytes are counted once");

    let content = home.service.content(&other.call, ArtifactName::Digest(digest)).await.unwrap();
    assert_eq!((content.byte_length, content.content_type.as_str()), (5, "text/plain"));
    let mut part = home.service.read_content(&other.call, digest, 1, 3).await.unwrap();
    assert_eq!(part.read().await.unwrap().unwrap(), "rte");
    assert!(part.read().await.unwrap().is_none());
    // What is not found in the memory may be in the index, which opens beside.
    let hidden =
        home.eventually(async || match home.service.artifact(&other.call, stored.artifact_id).await {
            Err(problem) if problem.code == Code::NotFound => Ok(Some(())),
            other => other.map(|_| panic!("another's entry is shown")),
        });
    hidden.await;

    let post: ArtifactPost = read(r#"{"name":"late","byte_length":4,"content_type":"text/plain"}"#);
    let announced = home.service.announce_artifact(&worker.call, post).await.unwrap();
    assert_eq!(announced.upload_url.unwrap(), format!("/v1/artifacts/{}", announced.artifact_id));
    let stolen =
        home.service.fill_artifact(&other.call, announced.artifact_id, bytes("mine")).await.unwrap_err();
    assert_eq!(stolen.code, Code::NotFound);
    let short =
        home.service.fill_artifact(&worker.call, announced.artifact_id, bytes("abc")).await.unwrap_err();
    assert_eq!(short.code, Code::DigestMismatch);
    let filled =
        home.service.fill_artifact(&worker.call, announced.artifact_id, bytes("abcd")).await.unwrap();
    let back = home.service.artifact(&worker.call, announced.artifact_id).await.unwrap();
    assert_eq!((back.sha256, back.artifact_id), (filled.sha256, announced.artifact_id));
    assert_eq!(filled.artifact_id, announced.artifact_id, "the announced id is the one that stays");
    let again = home.service.fill_artifact(&worker.call, announced.artifact_id, bytes("abcd")).await.unwrap();
    assert_eq!((again.artifact_id, again.sha256), (filled.artifact_id, filled.sha256), "and is entered once");
    let stolen =
        home.service.fill_artifact(&other.call, announced.artifact_id, bytes("mine")).await.unwrap_err();
    assert_eq!(stolen.code, Code::NotFound);

    let mut lost = ArtifactPost::unnamed("lost".into(), Some("text/plain".into()));
    lost.run_id = Some(RunId::new(artel_protocol::time::Wall(1), [9; 9]));
    let nowhere = home.service.store_artifact(&worker.call, lost, bytes("nobody's")).await.unwrap_err();
    assert_eq!(nowhere.code, Code::NotFound);
    let left = home.service.parts().blobs.len(&Digest::of(b"nobody's")).await.unwrap();
    assert_eq!(left, None, "what was refused does not lie on the disk uncounted");
    let before = home.service.look(&operator(), |view, _| view.counts().artifact_bytes).await.unwrap();
    let at_once = (0..8).map(|n| {
        let (service, call) = (home.service.clone(), worker.call.clone());
        let post = ArtifactPost::unnamed(format!("copy {n}"), Some("text/plain".into()));
        tokio::spawn(
            async move { service.store_artifact(&call, post, Upload::whole("at once".into())).await },
        )
    });
    for stored in at_once.collect::<Vec<_>>() {
        stored.await.unwrap().unwrap();
    }
    let after = home.service.look(&operator(), |view, _| view.counts().artifact_bytes).await.unwrap();
    assert_eq!(after - before, 7, "bytes that come eight times at once are counted once");

    let large = "x".repeat(1_000_000);
    assert_eq!(put(&operator(), None, &large).await.unwrap_err().code, Code::ArtifactQuota);
    assert_eq!(home.service.0.incoming_bytes.load(std::sync::atomic::Ordering::Relaxed), 0);
    let task = home.post(r#"{"title":"t"}"#).await;
    let lease = home.claim(&worker, task.task_id).await.unwrap();
    let naming =
        |digest: Digest| format!(r#"{{"epoch":{},"output":1,"artifacts":["{digest}"]}}"#, lease.epoch);
    let submit =
        async |body: String| home.service.submit(&worker.call, worker.id, task.task_id, read(&body)).await;
    assert_eq!(submit(naming(Digest::of(b"nowhere"))).await.unwrap_err().code, Code::ArtifactMissing);
    assert!(submit(naming(digest)).await.is_ok());
    let listed = home.eventually(async || {
        let list = home.service.artifacts(&worker.call, ArtifactQuery::default()).await?;
        Ok((list.items.len() == 10).then_some(list))
    });
    let listed: Vec<_> = listed.await.items.into_iter().map(|artifact| artifact.artifact_id).collect();
    assert_eq!(listed[8..], [filled.artifact_id, stored.artifact_id], "newest first, and only its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_post_is_refused_and_leaves_nothing() {
    let home = home(&[]);
    let worker = home.worker(1, r#"["coding"]"#).await;
    let large = format!(r#"{{"title":"t","input":"{}"}}"#, "x".repeat(256 << 10));
    let hex = "0".repeat(64);
    let no_module = format!(r#"{{"title":"t","runner":{{"kind":"wasm","module":"sha256:{hex}"}}}}"#);
    let one_field_more = no_module.replace("\"kind\"", "\"fuel\":1,\"kind\"");
    for (body, code) in [
        (r#"{"title":""}"#, Code::Invalid),
        (r#"{"title":"t","runner":{"kind":"container"}}"#, Code::RunnerUnavailable),
        (r#"{"title":"t","runner":{"kind":"wasm"}}"#, Code::Invalid),
        (r#"{"title":"t","runner":{}}"#, Code::Invalid),
        (r#"{"title":"t","runner":"wasm"}"#, Code::Invalid),
        (no_module.as_str(), Code::ArtifactMissing),
        (one_field_more.as_str(), Code::Invalid),
        (r#"{"title":"t","output_schema":{"type":"nonsense"}}"#, Code::BadSchema),
        (large.as_str(), Code::InputTooLarge),
    ] {
        assert_eq!(home.service.post_task(&operator(), read(body)).await.unwrap_err().code, code);
        let run = format!(r#"{{"name":"r","steps":[{{"name":"s","task":{body}}}]}}"#);
        assert_eq!(home.service.post_run(&operator(), read(&run)).await.unwrap_err().code, code);
    }
    let blueprint = r#"{"name":"r","blueprint_ref":"pack/x@1"}"#;
    assert_eq!(
        home.service.post_run(&operator(), read(blueprint)).await.unwrap_err().code,
        Code::BlueprintUnknown
    );
    let poor = home.service.post_task(&worker.call, read(r#"{"title":"t","reward":1}"#)).await;
    assert_eq!(poor.unwrap_err().code, Code::InsufficientCredit);
    let counts = home.service.look(&operator(), |view, _| view.counts()).await.unwrap();
    assert_eq!((counts.totals.runs, counts.runs_open), (0, 0));

    let task = home.post(r#"{"title":"t"}"#).await;
    let claim: ClaimRequest =
        read(r#"{"estimated_duration":3600,"agent_capabilities":["coding","research"]}"#);
    let refused = home.service.claim(&worker.call, worker.id, task.task_id, claim).await.unwrap_err();
    assert_eq!(refused.code, Code::NotQualified);
    assert!(refused.message.contains("research"), "{}", refused.message);
    let nothing = home.service.claim_next(&worker.call, worker.id, ClaimRequest::default()).await;
    assert_eq!(nothing.unwrap().unwrap().task_id, task.task_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_served_and_the_audit_entries_found_by_what_they_are_about() {
    let home = home(&[]);
    let worker = home.worker(1, "[]").await;
    let task = home.post(r#"{"title":"t"}"#).await;
    let lease = home.claim(&worker, task.task_id).await.unwrap();
    home.submit(&worker, &lease, "1").await.unwrap();
    let entries = home.eventually(async || {
        let found = entries_of(&home, &operator(), task.task_id).await?;
        Ok((found.len() >= 4).then_some(found))
    });
    let kinds: Vec<String> = entries.await.into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["Offered", "Granted", "Output", "Submitted", "Verdict"]);
    let all = home.service.entries(&operator(), EntryQuery::default()).await.unwrap();
    assert_eq!(all.items[0].kind, "Genesis");
    let last = all.items.last().unwrap().index;
    let proof = home.service.proof(&worker.call, last).await.unwrap();
    let leaf = Leaf::parse(&proof.leaf).unwrap();
    TlogProof::parse(&proof.proof).unwrap().verify(&leaf.hash()).unwrap();
    assert_eq!(home.service.proof(&worker.call, last + 1_000).await.unwrap_err().code, Code::NotInLog);
    let note = home.service.checkpoint().await.unwrap();
    let size = artel_protocol::log::SignedCheckpoint::parse(&note).unwrap().size();
    assert!(size > last);
    let bundle = Tile::of(artel_protocol::log::tile::Content::Entries, 0, size).unwrap();
    let bytes = home.service.tile(bundle).await.unwrap();
    assert_eq!(&bytes[2..44], home.service.proof(&worker.call, 0).await.unwrap().leaf.as_slice());
    assert!(home.service.ready().is_ok());
    tokio::spawn(home.service.clone().keep_counts());
    home.eventually(async || Ok((!home.service.status().counts.is_empty()).then_some(()))).await;
}
