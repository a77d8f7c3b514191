//! Runs: which there are, and one as it goes: its steps as a graph, when each was worked on, by whom, what came of it.

use super::agents::{Names, by};
use super::events::{self, Filter, Looked};
use super::form::Posted;
use super::graph::{self, Graph};
use super::page::{html, see_other};
use super::pager::Pager;
use super::pretty;
use super::show::{self, State as _};
use super::timeline::{self, Bar};
use super::visitor::{Shell, Visitor};
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::query::{Id, Ids, Query, given, page};
use crate::service::Service;
use crate::types::artifact::{Artifact, ArtifactQuery};
use crate::types::run::{Run, RunQuery, RunStatus, Step, StepStatus};
use crate::types::task::{StatusFilter, Task, TaskQuery};
use crate::types::{PAGE_ITEMS_MAX, Page as ListPage};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::key::AgentId;
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::collections::BTreeMap;

/// States that a list can be of, in the order of a run's life.
const STATES: [RunStatus; 5] =
    [RunStatus::Created, RunStatus::Running, RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled];
/// How many characters of a step's name its box shows, and a small one's.
const BOX_CHARS: usize = 18;
const SMALL_CHARS: usize = 13;
/// How many events a step's page shows.
const EVENTS: usize = 40;

#[derive(Deserialize)]
pub(super) struct ListParams {
    #[serde(default)]
    status: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/runs.html")]
struct ListPageOf<'a> {
    shell: &'a Shell,
    params: &'a ListParams,
    states: &'a [RunStatus],
    runs: &'a [Run],
    names: &'a Names,
    pager: Pager,
}

/// `GET /ui/runs`.
pub(super) async fn list<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Query(params): Query<ListParams>,
) -> Result<Response, Problem> {
    let status = given(&params.status).map(|status| run_status(&status)).transpose()?;
    let query = RunQuery { status, page: page(None, params.cursor.clone())? };
    let runs = app.within(app.service.runs(&visitor.call, query)).await?;
    let named = runs.items.iter().filter_map(|run| by(&run.actor));
    let filter = [("status", params.status.as_str())];
    html(&ListPageOf {
        shell: &visitor.shell,
        params: &params,
        states: &STATES,
        runs: &runs.items,
        names: &Names::of(&app, &visitor.call, named).await?,
        pager: Pager::new("/ui/runs", &filter, &params.cursor, &runs.next_cursor),
    })
}

fn run_status(text: &str) -> Result<RunStatus, Problem> {
    let found = STATES.into_iter().find(|status| show::word(status) == text);
    found.ok_or_else(|| {
        Problem::edge_saying(Code::BadQuery, "there is no such state of a run; choose one from the list")
    })
}

/// A step in the picture and in the table.
struct Row<'a> {
    step: &'a Step,
    /// Its task, where the visitor sees it.
    task: Option<&'a Task>,
    worker: Option<AgentId>,
    place: graph::Place,
    is_small: bool,
    /// Its name as far as the box has room.
    label: String,
    tone: &'static str,
    bar: Option<Bar>,
    took: String,
}

impl Row<'_> {
    /// Tries that failed: rejections and lapses.
    fn retries(&self) -> u32 {
        self.task.map_or(0, |task| task.attempts + task.lapses)
    }
}

#[derive(Template)]
#[template(path = "ui/run.html")]
struct ShowPage<'a> {
    shell: &'a Shell,
    run: &'a Run,
    rows: &'a [Row<'a>],
    graph: &'a Graph,
    names: &'a Names,
    artifacts: &'a [Artifact],
    /// Where its artifacts go on.
    pager: Pager,
    inputs: String,
    outputs: Option<String>,
    is_open: bool,
    may_cancel: bool,
    elapsed: String,
}

/// `GET /ui/runs/{id}`.
pub(super) async fn show<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Id(id): Id<RunId>,
) -> Result<Response, Problem> {
    let call = &visitor.call;
    let all = ListPage { limit: PAGE_ITEMS_MAX, cursor: None };
    let run = app.within(app.service.run(call, id)).await?;
    let steps = app.within(app.service.steps(call, id, all.clone())).await?.items;
    let tasks = TaskQuery { status: StatusFilter::Any, run_id: Some(id), page: all, ..TaskQuery::default() };
    let tasks = app.within(app.service.tasks(call, tasks)).await?.items;
    let artifacts = ArtifactQuery { run_id: Some(id), ..ArtifactQuery::default() };
    let artifacts = app.within(app.service.artifacts(call, artifacts)).await?;
    let filter = [("run_id", &*id.to_string())];
    let pager = Pager::new("/ui/artifacts", &filter, &None, &artifacts.next_cursor);
    let workers = tasks.iter().filter_map(|task| task.assigned_agent_id);
    let named = workers.chain(artifacts.items.iter().filter_map(|artifact| by(&artifact.created_by)));
    let names = Names::of(&app, call, named).await?;
    let graph = picture(&steps);
    let end = run.completed_at.unwrap_or_else(show::now);
    let is_open = matches!(run.status, RunStatus::Created | RunStatus::Running);
    let rows = rows(&steps, &tasks, &graph, (run.created_at, end));
    let mine = visitor.agent().is_none_or(|me| run.actor == me.to_string());
    html(&ShowPage {
        shell: &visitor.shell,
        run: &run,
        rows: &rows,
        graph: &graph,
        names: &names,
        artifacts: &artifacts.items,
        pager,
        inputs: pretty::json(&run.inputs),
        outputs: run.outputs.as_ref().map(pretty::json),
        is_open,
        may_cancel: is_open && mine,
        elapsed: show::took(&run.created_at, &end),
    })
}

fn picture(steps: &[Step]) -> Graph {
    let at: BTreeMap<&str, usize> =
        steps.iter().enumerate().map(|(at, step)| (step.name.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = steps
        .iter()
        .map(|step| step.needs.iter().filter_map(|need| at.get(need.as_str()).copied()).collect())
        .collect();
    graph::layout(&needs)
}

fn rows<'a>(
    steps: &'a [Step],
    tasks: &'a [Task],
    graph: &Graph,
    time: (artel_protocol::time::Wall, artel_protocol::time::Wall),
) -> Vec<Row<'a>> {
    let tasks: BTreeMap<StepId, &Task> = tasks.iter().map(|task| (task.task_id, task)).collect();
    let row = |(step, (place, is_small)): (&'a Step, &(graph::Place, bool))| {
        let task = tasks.get(&step.step_id).copied();
        // A step that was given back has begun, and waits again.
        let worked = Some(step).filter(|step| step.status != StepStatus::Created);
        let took = worked
            .and_then(|step| step.started_at)
            .map(|from| show::took(&from, &step.completed_at.unwrap_or(time.1)));
        Row {
            step,
            task,
            worker: task.and_then(|task| task.assigned_agent_id),
            place: *place,
            is_small: *is_small,
            label: cut(&step.name, if *is_small { SMALL_CHARS } else { BOX_CHARS }),
            tone: step.status.said().1.name(),
            bar: worked.and_then(|step| timeline::bar(step, time)),
            took: took.unwrap_or_default(),
        }
    };
    steps.iter().zip(&graph.places).map(row).collect()
}

/// A name as far as there is room; its end tells steps of one kind apart, so that stays.
fn cut(name: &str, most: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= most {
        return name.to_owned();
    }
    let (head, tail) = ((most - 1) / 2, most - 1 - (most - 1) / 2);
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

/// `POST /ui/runs/{id}/cancel`.
pub(super) async fn cancel<S: Service>(
    State(app): State<App<S>>,
    Id(id): Id<RunId>,
    posted: Posted,
) -> Result<Response, Problem> {
    app.within(app.service.cancel_run(&posted.visitor.call, id)).await?;
    Ok(see_other(&format!("/ui/runs/{id}")).into_response())
}

#[derive(Template)]
#[template(path = "ui/step.html")]
struct StepPage<'a> {
    shell: &'a Shell,
    run: &'a Run,
    step: &'a Step,
    task: Option<&'a Task>,
    names: &'a Names,
    needs: &'a [(String, Option<StepId>)],
    inputs: Option<String>,
    outputs: Option<String>,
    artifacts: &'a [Artifact],
    /// Where its artifacts go on.
    pager: Pager,
    looked: &'a Looked,
    took: String,
}

/// `GET /ui/runs/{id}/steps/{step_id}`.
pub(super) async fn step<S: Service>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Ids(id, step_id): Ids<RunId, StepId>,
) -> Result<Response, Problem> {
    if step_id.run() != id {
        return Err(Problem::edge_saying(
            Code::NotFound,
            "this step is not one of this run; see the run's own steps",
        ));
    }
    let call = &visitor.call;
    let all = ListPage { limit: PAGE_ITEMS_MAX, cursor: None };
    let run = app.within(app.service.run(call, id)).await?;
    let step = app.within(app.service.step(call, step_id)).await?;
    let task = match app.within(app.service.task(call, step_id)).await {
        Ok(task) => Some(task),
        // Who sees a run may not see a task of it.
        Err(problem) if matches!(problem.code, Code::NotFound | Code::Forbidden) => None,
        Err(problem) => return Err(problem),
    };
    let steps = app.within(app.service.steps(call, id, all)).await?.items;
    let find = |name: &String| steps.iter().find(|step| step.name == *name).map(|step| step.step_id);
    let needs: Vec<(String, Option<StepId>)> =
        step.needs.iter().map(|name| (name.clone(), find(name))).collect();
    let artifacts = ArtifactQuery { step_id: Some(step_id), ..ArtifactQuery::default() };
    let artifacts = app.within(app.service.artifacts(call, artifacts)).await?;
    let filter = [("step_id", &*step_id.to_string())];
    let pager = Pager::new("/ui/artifacts", &filter, &None, &artifacts.next_cursor);
    let of_run = Filter { name: None, run: Some(id) };
    let mut looked = events::newest(&app, call, EVENTS * 4, &of_run).await?;
    looked.events.retain(|event| event.step_id == Some(step_id));
    looked.events.truncate(EVENTS);
    let worker = task.as_ref().and_then(|task| task.assigned_agent_id);
    let makers = artifacts.items.iter().filter_map(|artifact| by(&artifact.created_by));
    let names = Names::of(&app, call, makers.chain(looked.agents()).chain(worker)).await?;
    let took = step.started_at.map(|from| show::took(&from, &step.completed_at.unwrap_or_else(show::now)));
    html(&StepPage {
        shell: &visitor.shell,
        run: &run,
        step: &step,
        task: task.as_ref(),
        names: &names,
        needs: &needs,
        inputs: step.inputs.as_ref().map(pretty::json),
        outputs: step.outputs.as_ref().map(pretty::json),
        artifacts: &artifacts.items,
        pager,
        looked: &looked,
        took: took.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_long_name_keeps_its_ends() {
        for (name, most, shown) in [
            ("chunk-001", 13, "chunk-001"),
            ("survey-of-chunk-001", 13, "survey…nk-001"),
            ("ééééé", 4, "é…éé"),
        ] {
            assert_eq!(cut(name, most), shown);
        }
    }
}
