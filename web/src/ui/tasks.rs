//! Tasks: the market with its filters, one task with all that was handed in, a form to post one, and what other homes offer.

use super::agents::Names;
use super::form::{Fields, Posted};
use super::page::{html, see_other};
use super::pager::Pager;
use super::pretty;
use super::session::secret;
use super::show;
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::query::{Id, Query, checked, given, page};
use crate::service::Service;
use crate::types::Json;
use crate::types::agent::Level;
use crate::types::task::{
    Complexity, Offer, OfferQuery, Requirements, StatusFilter, Task, TaskPost, TaskQuery, TaskStatus,
};
use artel_protocol::amount::Credits;
use artel_protocol::id::{RunId, StepId};
use artel_protocol::json;
use artel_protocol::limits::{INPUT_BYTES_MAX, JSON_DEPTH_MAX};
use artel_protocol::skill::Skill;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

/// States that a list can be of, in the order of a task's life.
const STATES: [TaskStatus; 7] = [
    TaskStatus::Available,
    TaskStatus::Claimed,
    TaskStatus::Submitted,
    TaskStatus::Accepted,
    TaskStatus::Failed,
    TaskStatus::Cancelled,
    TaskStatus::Created,
];
const LEVELS: [Level; 4] = [Level::Novice, Level::Intermediate, Level::Expert, Level::Master];
const COMPLEXITIES: [Complexity; 4] =
    [Complexity::Simple, Complexity::Medium, Complexity::Complex, Complexity::Premium];

#[derive(Deserialize)]
pub(super) struct ListParams {
    #[serde(default)]
    status: String,
    #[serde(default)]
    capability: String,
    #[serde(default)]
    run_id: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/tasks.html")]
struct ListPageOf<'a> {
    shell: &'a Shell,
    params: &'a ListParams,
    states: &'a [TaskStatus],
    tasks: &'a [Task],
    names: &'a Names,
    pager: Pager,
}

/// `GET /ui/tasks`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let query = TaskQuery {
        status: filter(&params.status)?,
        capability: checked("capability", given(&params.capability), Skill::parse)?,
        run_id: checked("run_id", given(&params.run_id), RunId::parse)?,
        page: page(None, params.cursor.clone())?,
    };
    let tasks = app.within(app.service.tasks(&visitor.call, query)).await?;
    let filter = [
        ("status", params.status.as_str()),
        ("capability", params.capability.as_str()),
        ("run_id", params.run_id.as_str()),
    ];
    let named = tasks.items.iter().filter_map(|task| task.assigned_agent_id);
    html(&ListPageOf {
        shell: &visitor.shell,
        params: &params,
        states: &STATES,
        tasks: &tasks.items,
        names: &Names::of(&app, &visitor.call, named).await?,
        pager: Pager::new("/ui/tasks", &filter, &params.cursor, &tasks.next_cursor),
    })
}

fn filter(status: &str) -> Result<StatusFilter, Problem> {
    if matches!(status, "" | "any") {
        return Ok(StatusFilter::Any);
    }
    let found = STATES.into_iter().find(|known| show::word(known) == status).map(StatusFilter::Is);
    found.ok_or_else(|| {
        Problem::edge_saying(Code::BadQuery, "there is no such state of a task; choose one from the list")
    })
}

#[derive(Template)]
#[template(path = "ui/task.html")]
struct ShowPage<'a> {
    shell: &'a Shell,
    task: &'a Task,
    names: &'a Names,
    input: Option<String>,
    output: Option<String>,
    schema: Option<String>,
    may_cancel: bool,
}

/// `GET /ui/tasks/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(id): Id<StepId>,
) -> Result<Response, Problem> {
    let task = app.within(app.service.task(&visitor.call, id)).await?;
    let named = task.submissions.iter().map(|one| one.agent_id).chain(task.assigned_agent_id);
    let names = Names::of(&app, &visitor.call, named).await?;
    let is_open = matches!(
        task.status,
        TaskStatus::Created | TaskStatus::Available | TaskStatus::Claimed | TaskStatus::Submitted
    );
    let mine = visitor.agent().is_none_or(|me| task.posted_by == me.to_string());
    html(&ShowPage {
        shell: &visitor.shell,
        task: &task,
        names: &names,
        input: task.input.as_ref().map(pretty::json),
        output: task.output.as_ref().map(pretty::json),
        schema: task.output_schema.as_ref().map(pretty::json),
        may_cancel: is_open && mine,
    })
}

/// What a form for a task holds, as it was typed.
#[derive(Default)]
struct Draft {
    title: String,
    description: String,
    capabilities: String,
    level: String,
    complexity: String,
    reward: String,
    deadline_hours: String,
    input: String,
    schema: String,
    poster_may_claim: bool,
}

#[derive(Template)]
#[template(path = "ui/task_new.html")]
struct NewPage<'a> {
    shell: &'a Shell,
    draft: &'a Draft,
    levels: &'a [Level],
    complexities: &'a [Complexity],
    key: String,
    /// What is wrong with what was sent.
    said: Option<&'a str>,
}

/// `GET /ui/tasks/new`.
pub(super) async fn new<S: Service>(State(_): State<App<S>>, visitor: Visitor) -> Result<Response, Problem> {
    let draft =
        Draft { reward: "1".into(), input: "{}".into(), complexity: "simple".into(), ..Draft::default() };
    page_of(&visitor.shell, &draft, secret(), None)
}

fn page_of(shell: &Shell, draft: &Draft, key: String, said: Option<&str>) -> Result<Response, Problem> {
    html(&NewPage { shell, draft, levels: &LEVELS, complexities: &COMPLEXITIES, key, said })
}

/// `POST /ui/tasks`. What is wrong is said above the form, which keeps what was typed.
pub(super) async fn post<S: Service>(State(app): State<App<S>>, posted: Posted) -> Result<Response, Problem> {
    let Posted { visitor, fields } = posted;
    let draft = draft(&fields);
    let result = match read(&draft) {
        Ok(post) => app.within(app.service.post_task(&visitor.call, post)).await,
        Err(said) => Err(Problem::edge_saying(Code::Invalid, said)),
    };
    match result {
        Ok(task) => Ok(see_other(&format!("/ui/tasks/{}", task.task_id))),
        Err(problem) if matches!(problem.code.status().as_u16(), 400 | 402 | 409 | 413 | 422) => {
            // A changed form under the same key would be another post with its key.
            let mut response = page_of(&visitor.shell, &draft, secret(), Some(&problem.message))?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

fn draft(fields: &Fields) -> Draft {
    let text = |name| fields.text(name).to_owned();
    Draft {
        title: text("title"),
        description: text("description"),
        capabilities: text("capabilities"),
        level: text("level"),
        complexity: text("complexity"),
        reward: text("reward"),
        deadline_hours: text("deadline_hours"),
        input: text("input"),
        schema: text("schema"),
        poster_may_claim: fields.is_ticked("poster_may_claim"),
    }
}

fn read(draft: &Draft) -> Result<TaskPost, String> {
    if draft.title.is_empty() {
        return Err("Give the task a title: a line that says what is to be done.".into());
    }
    let skills = draft.capabilities.split([',', ' ', '\n']).map(str::trim).filter(|word| !word.is_empty());
    let capabilities = skills
        .map(|word| Skill::parse(word).map_err(|error| format!("The skill “{word}”: {error}.")))
        .collect::<Result<Vec<_>, _>>()?;
    let reward = if draft.reward.is_empty() { "0" } else { &draft.reward };
    let reward =
        Credits::parse(reward).map_err(|error| format!("The reward: {error}. Write it as 1 or 2.5."))?;
    let hours = match draft.deadline_hours.as_str() {
        "" => None,
        text => Some(
            text.parse::<u32>()
                .map_err(|_| "The deadline: how many hours from now, as a whole number.".to_owned())?,
        ),
    };
    let input = json_field("The input", &draft.input)?.unwrap_or_default();
    if input.bytes().len() > INPUT_BYTES_MAX {
        return Err(Code::InputTooLarge.sentence().into());
    }
    Ok(TaskPost {
        title: draft.title.clone(),
        description: draft.description.clone(),
        requirements: Requirements {
            capabilities,
            level: LEVELS.into_iter().find(|level| show::word(level) == draft.level),
        },
        reward,
        complexity: COMPLEXITIES.into_iter().find(|c| show::word(c) == draft.complexity).unwrap_or_default(),
        deadline: hours.map(|hours| show::now().plus_ms(u64::from(hours) * 3_600_000)),
        input,
        runner: None,
        output_schema: json_field("The output's schema", &draft.schema)?,
        poster_may_claim: draft.poster_may_claim,
    })
}

fn json_field(name: &str, text: &str) -> Result<Option<Json>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    json::check(text.as_bytes(), JSON_DEPTH_MAX).map_err(|error| format!("{name} is not JSON: {error}"))?;
    Ok(Some(Json::new(text.as_bytes().to_vec())))
}

/// `POST /ui/tasks/{id}/cancel`.
pub(super) async fn cancel<S: Service>(
    State(app): State<App<S>>,
    Id(id): Id<StepId>,
    posted: Posted,
) -> Result<Response, Problem> {
    app.within(app.service.cancel_task(&posted.visitor.call, id)).await?;
    Ok(see_other(&format!("/ui/tasks/{id}")))
}

#[derive(Deserialize)]
pub(super) struct OfferParams {
    #[serde(default)]
    capability: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/offers.html")]
struct OffersPage<'a> {
    shell: &'a Shell,
    params: &'a OfferParams,
    offers: &'a [Offer],
    pager: Pager,
}

/// `GET /ui/offers`.
pub(super) async fn offers<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<OfferParams>,
) -> Result<Response, Problem> {
    let query = OfferQuery {
        capability: checked("capability", given(&params.capability), Skill::parse)?,
        page: page(None, params.cursor.clone())?,
    };
    let offers = app.within(app.service.offers(&visitor.call, query)).await?;
    let filter = [("capability", params.capability.as_str())];
    let pager = Pager::new("/ui/offers", &filter, &params.cursor, &offers.next_cursor);
    html(&OffersPage { shell: &visitor.shell, params: &params, offers: &offers.items, pager })
}
