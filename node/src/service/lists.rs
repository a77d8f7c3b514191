//! Lists of runs and tasks: first the open ones from the rules' memory, oldest first, then the closed ones from the
//! index, newest first. A page looks at a bounded number of runs; one that is not full then says where to go on.
//! A run that closes between two pages may be seen twice, never missed.

use super::convert;
use super::inner::NodeService;
use super::page::{Place, WALK_RUNS, WALKS_MAX};
use super::shown::{self, Detail, Viewer};
use artel_federation::run::{Run, Step};
use artel_federation::view::View;
use artel_protocol::id::{RunId, StepId};
use artel_web::types::List;
use artel_web::types::run::{Run as WebRun, RunQuery, RunStatus};
use artel_web::types::task::{StatusFilter, Task, TaskQuery, TaskStatus};
use artel_web::{Call, Problem};

/// How many closed runs are read at once. Each may have 200 steps.
const CLOSED_AT_ONCE: usize = 64;

/// `GET /v1/tasks`.
pub(super) async fn tasks(
    service: &NodeService,
    call: &Call,
    query: TaskQuery,
) -> Result<List<Task>, Problem> {
    let mut place = Place::of(&query.page, StepId::parse)?;
    let limit = query.page.limit as usize;
    let wanted = Wanted { status: query.status, capability: query.capability };
    if let Some(id) = query.run_id {
        return of_run(service, call, id, (place, limit), wanted).await;
    }
    let viewer = service.viewer(call).await?;
    let mut items = Vec::new();
    for _ in 0..WALKS_MAX {
        let (wanted, room) = (wanted.clone(), limit - items.len());
        let (found, next) = match place {
            Place::Open(after) => {
                service.look(call, move |view, viewer| open(view, &viewer, after, room, &wanted)).await?
            }
            Place::Closed(_) if wanted.is_open_only() => (Vec::new(), Place::End),
            Place::Closed(after) => {
                service.blocking(move |service| closed(service, &viewer, after, room, &wanted)).await?
            }
            Place::End => break,
        };
        items.extend(found);
        place = next;
        if items.len() >= limit {
            break;
        }
    }
    Ok(List { items, next_cursor: place.cursor() })
}

/// Which tasks of a list are wanted.
#[derive(Clone)]
struct Wanted {
    status: StatusFilter,
    capability: Option<artel_protocol::skill::Skill>,
}

impl Wanted {
    fn takes(&self, step: &Step) -> bool {
        let status = match self.status {
            StatusFilter::Any => true,
            StatusFilter::Is(status) => convert::task_status(&step.state) == status,
        };
        let asks = |skill: &artel_protocol::skill::Skill| {
            step.spec.task.skills.iter().any(|s| s.name() == skill.name())
        };
        status && self.capability.as_ref().is_none_or(asks)
    }

    /// Whether closed runs have none of these.
    fn is_open_only(&self) -> bool {
        use TaskStatus::{Available, Claimed, Created, Submitted};
        matches!(self.status, StatusFilter::Is(Created | Available | Claimed | Submitted))
    }
}

/// The wanted steps of one run behind a step, and whether there was room for all of them.
fn of_one(
    run: &Run,
    viewer: &Viewer,
    after: Option<StepId>,
    wanted: &Wanted,
    room: usize,
    items: &mut Vec<Task>,
) -> Option<StepId> {
    let first = after.map_or(0, |step| step.index() + 1);
    for (number, step) in run.steps.iter().enumerate().skip(first) {
        let Some(sight) = shown::sight(viewer, run, step).filter(|_| wanted.takes(step)) else { continue };
        items.push(shown::task(run, number, sight, Detail::Listed));
        if items.len() >= room {
            return Some(run.step_id(number));
        }
    }
    None
}

fn open(
    view: View<'_>,
    viewer: &Viewer,
    after: Option<StepId>,
    room: usize,
    wanted: &Wanted,
) -> (Vec<Task>, Place<StepId>) {
    let mut items = Vec::new();
    let begun = after.and_then(|step| view.run(&step.run())).filter(|run| run.ended.is_none());
    let full = begun.and_then(|run| of_one(run, viewer, after, wanted, room, &mut items));
    if let Some(last) = full {
        return (items, Place::Open(Some(last)));
    }
    let mut walked = after.map(|step| step.run());
    for run in view.runs(walked).take(WALK_RUNS) {
        if let Some(last) = of_one(run, viewer, None, wanted, room, &mut items) {
            return (items, Place::Open(Some(last)));
        }
        walked = Some(run.id);
    }
    let more = walked.filter(|last| view.runs(Some(*last)).next().is_some());
    (items, more.map_or(Place::Closed(None), |run| Place::Open(Some(last_step(&run)))))
}

fn closed(
    service: &NodeService,
    viewer: &Viewer,
    after: Option<StepId>,
    room: usize,
    wanted: &Wanted,
) -> Result<(Vec<Task>, Place<StepId>), Problem> {
    let index = &service.parts().index;
    let mut items = Vec::new();
    if let Some(step) = after
        && let Some(run) = index.run(&step.run()).map_err(super::refusal::of_index)?
        && let Some(last) = of_one(&run, viewer, after, wanted, room, &mut items)
    {
        return Ok((items, Place::Closed(Some(last))));
    }
    let runs = index.runs_before(after.map(|step| step.run()), CLOSED_AT_ONCE);
    let runs = runs.map_err(super::refusal::of_index)?;
    for run in &runs {
        if let Some(last) = of_one(run, viewer, None, wanted, room, &mut items) {
            return Ok((items, Place::Closed(Some(last))));
        }
    }
    let more = runs.last().filter(|_| runs.len() == CLOSED_AT_ONCE);
    Ok((items, more.map_or(Place::End, |run| Place::Closed(Some(last_step(&run.id))))))
}

/// The place behind all steps of a run.
fn last_step(run: &RunId) -> StepId {
    run.step(artel_protocol::id::RUN_STEPS_MAX - 1)
}

/// The wanted tasks of one run, wherever it is.
async fn of_run(
    service: &NodeService,
    call: &Call,
    id: RunId,
    (place, room): (Place<StepId>, usize),
    wanted: Wanted,
) -> Result<List<Task>, Problem> {
    let after = match place {
        Place::Open(after) | Place::Closed(after) => after,
        Place::End => None,
    };
    let after = after.filter(|step| step.run() == id);
    let find = move |run: &Run, viewer: &Viewer| {
        let mut items = Vec::new();
        let last = of_one(run, viewer, after, &wanted, room, &mut items);
        let more = last.filter(|step| step.index() + 1 < run.steps.len());
        let next_cursor = more.map(Some).and_then(|more| Place::Open(more).cursor());
        shown::is_there(viewer, run).then_some(List { items, next_cursor })
    };
    service.in_run(call, id, find).await
}

/// `GET /v1/runs`: the caller's own, or all for the operator.
pub(super) async fn runs(
    service: &NodeService,
    call: &Call,
    query: RunQuery,
) -> Result<List<WebRun>, Problem> {
    let mut place = Place::of(&query.page, RunId::parse)?;
    let limit = query.page.limit as usize;
    let status = query.status;
    // No open run has ended: a walk over all of them would find nothing, and end before it comes to the closed ones.
    if matches!(place, Place::Open(None)) && status.is_some_and(has_ended) {
        place = Place::Closed(None);
    }
    let wanted = move |run: &Run, viewer: &Viewer| {
        viewer.is(run.poster) && status.is_none_or(|status| convert::run_status(run.status()) == status)
    };
    let viewer = service.viewer(call).await?;
    let mut items = Vec::new();
    for _ in 0..WALKS_MAX {
        let room = limit - items.len();
        let (found, next) = match place {
            Place::Open(after) => {
                let walk = move |view: View<'_>, viewer: Viewer| {
                    let mut walk = Walk::new(room);
                    view.runs(after).take(WALK_RUNS).all(|run| walk.take(run, wanted(run, &viewer)));
                    let more = walk.last.or(after).filter(|last| view.runs(Some(*last)).next().is_some());
                    (walk.items, more.map_or(Place::Closed(None), |last| Place::Open(Some(last))))
                };
                service.look(call, walk).await?
            }
            Place::Closed(after) => {
                let runs = service.indexed(move |index| index.runs_before(after, CLOSED_AT_ONCE)).await?;
                let mut walk = Walk::new(room);
                let all = runs.iter().all(|run| walk.take(run, wanted(run, &viewer)));
                let ended = all && runs.len() < CLOSED_AT_ONCE;
                (walk.items, if ended { Place::End } else { Place::Closed(walk.last) })
            }
            Place::End => break,
        };
        items.extend(found);
        place = next;
        if items.len() >= limit {
            break;
        }
    }
    Ok(List { items, next_cursor: place.cursor() })
}

/// Whether only closed runs are like that.
fn has_ended(status: RunStatus) -> bool {
    matches!(status, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled)
}

/// A walk over runs until the page is full.
struct Walk {
    items: Vec<WebRun>,
    last: Option<RunId>,
    room: usize,
}

impl Walk {
    fn new(room: usize) -> Self {
        Walk { items: Vec::new(), last: None, room }
    }

    /// Takes one run; says whether there is room for another.
    fn take(&mut self, run: &Run, wanted: bool) -> bool {
        self.last = Some(run.id);
        if wanted {
            self.items.push(shown::run(run, Detail::Listed));
        }
        self.items.len() < self.room
    }
}
