//! Events over HTTP: pages in the journal's order, a long poll that wakes when something synced is wanted, and who sees
//! which event.
//!
//! A cursor is the decimal index of the last journal entry that was looked at. Without one a list begins with the
//! journal's first entry; `after=now` begins with what happens next. The operator sees every event; an agent sees those
//! about itself and its work, those of runs that it posted, the node's own, and offers that it has the skills for.

use super::convert;
use super::inner::NodeService;
use super::page::bad_cursor;
use super::refusal::{self, bug};
use super::shown::Viewer;
use crate::events::{self, EVENT_OUTPUT_BYTES_MAX, Kept, Recent, about, actor, agent_of, node_of};
use artel_federation::fact::{Emitted, Entry, Judgement, Poster, Verdict};
use artel_federation::run::{Run, Step, StepState};
use artel_federation::{Fact, Json as RulesJson, Reply, Request};
use artel_protocol::id::{RunId, StepId};
use artel_protocol::skill::Skill;
use artel_protocol::text::is_plain;
use artel_web::types::event::{Event, EventId, EventPost, EventQuery, Resource};
use artel_web::types::{Json, List};
use artel_web::{Call, Code, Principal, Problem};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// How many entries one call reads from the journal. A page that is then not full says where to go on.
const READ_MAX: u64 = 2_000;

/// How many bytes of the journal one call reads (8 MiB), likewise.
const READ_BYTES_MAX: usize = 8 << 20;

/// The longest name of an emitted event, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The most bytes of an emitted event's data (64 KiB): events stand in memory and in every page.
const DATA_BYTES_MAX: usize = 64 << 10;

/// Who looks at events, and what it asked for.
#[derive(Clone)]
struct Wanted {
    viewer: Viewer,
    skills: Vec<Skill>,
    name: Option<String>,
    prefix: String,
    run: Option<RunId>,
}

impl Wanted {
    fn takes(&self, entry: &Entry, poster: Option<Poster>) -> bool {
        let fact = &entry.fact;
        let of_run = self.run.is_none_or(|run| about(fact).0 == Some(run));
        if !of_run || !sees(&self.viewer, fact, poster, &self.skills) {
            return false;
        }
        match (events::name(fact, &self.prefix), &self.name) {
            (None, _) => false,
            (Some(name), Some(wanted)) => name.is_called(wanted),
            (Some(_), None) => true,
        }
    }
}

/// Whether somebody sees an entry's event. `poster` is who posted the run that it is about; an offer is seen with the
/// skills for it.
pub(super) fn sees(viewer: &Viewer, fact: &Fact, poster: Option<Poster>, skills: &[Skill]) -> bool {
    let Viewer::Agent(me) = viewer else { return true };
    if poster == Some(Poster::Agent(*me)) || agent_of(fact) == Some(*me) {
        return true;
    }
    match fact {
        Fact::Genesis(_) | Fact::Started(_) => true,
        Fact::Joined(_) | Fact::Admitted(_) | Fact::Expelled(_) | Fact::FraudProven(_) => true,
        Fact::Offered(offer) => {
            offer.skills.iter().all(|asked| skills.iter().any(|skill| skill.meets(asked)))
        }
        _ => false,
    }
}

/// `GET /v1/events`.
pub(super) async fn list(
    service: &NodeService,
    call: &Call,
    query: EventQuery,
) -> Result<List<Event>, Problem> {
    let until = Instant::now() + Duration::from_millis(query.wait_ms.into());
    let mut synced = service.parts().events.watch();
    let mut from = match query.after.as_deref() {
        None => 0,
        Some("now") => *synced.borrow_and_update(),
        Some(cursor) => {
            let last: u64 = cursor.parse().map_err(|_| bad_cursor())?;
            if last >= *synced.borrow() {
                return Err(Problem::of(Code::CursorAhead));
            }
            last + 1
        }
    };
    let wanted = wanted(service, call, &query).await?;
    loop {
        let page = page(service, call, from, query.limit as usize, &wanted).await?;
        let waits = page.events.is_empty() && page.is_newest;
        // The node stops, or the time is up: the cursor is good all the same.
        let woken = waits && {
            let more = synced.wait_for(|size| *size > page.next);
            matches!(tokio::time::timeout_at(until, more).await, Ok(Ok(_)))
        };
        if !woken {
            let next_cursor = page.next.checked_sub(1).map(|last| last.to_string());
            return Ok(List { items: page.events, next_cursor });
        }
        from = page.next;
    }
}

/// The operator needs no look at the state; an agent's credential is judged and its skills are read in one.
async fn wanted(service: &NodeService, call: &Call, query: &EventQuery) -> Result<Wanted, Problem> {
    let (viewer, skills) = match call.principal {
        Principal::Operator => (Viewer::Operator, Vec::new()),
        _ => service.look(call, |view, viewer| (viewer, skills_of(view, &viewer))).await?,
    };
    let prefix = service.parts().config.event_prefix.clone();
    Ok(Wanted { viewer, skills, name: query.event_name.clone(), prefix, run: query.run_id })
}

fn skills_of(view: artel_federation::view::View<'_>, viewer: &Viewer) -> Vec<Skill> {
    match viewer {
        Viewer::Operator => Vec::new(),
        Viewer::Agent(me) => view.agent(me).map_or_else(Vec::new, |agent| agent.skills.clone()),
    }
}

/// A page of events.
struct Found {
    events: Vec<Event>,
    /// The index after the last entry looked at.
    next: u64,
    /// Whether nothing synced was left behind it.
    is_newest: bool,
}

async fn page(
    service: &NodeService,
    call: &Call,
    from: u64,
    limit: usize,
    wanted: &Wanted,
) -> Result<Found, Problem> {
    let here = Here::of(service);
    let takes = |kept: &Kept| wanted.takes(kept.entry(), kept.poster);
    let of_ring = |kept: &Kept| here.event(kept.index, kept.entry(), kept.output.as_ref());
    match service.parts().events.from(from, limit, takes) {
        Recent::Here(found, next) => {
            Ok(Found { events: found.iter().map(of_ring).collect(), next, is_newest: true })
        }
        Recent::Older(first) => {
            let end = first.min(from.saturating_add(READ_MAX));
            let (found, next) = older(service, call, from..end, limit, wanted).await?;
            let events =
                found.iter().map(|(index, entry, output)| here.event(*index, entry, output.as_ref()));
            let mut events: Vec<Event> = events.collect();
            if next < first || events.len() == limit {
                return Ok(Found { events, next, is_newest: false });
            }
            match service.parts().events.from(first, limit - events.len(), takes) {
                Recent::Here(found, next) => {
                    events.extend(found.iter().map(of_ring));
                    Ok(Found { events, next, is_newest: true })
                }
                // More has left memory meanwhile.
                Recent::Older(_) => Ok(Found { events, next, is_newest: false }),
            }
        }
    }
}

/// An entry from the journal with the short output that it accepted.
type Older = (u64, Entry, Option<RulesJson>);

/// Wanted entries from the journal, and the index after the last one looked at.
async fn older(
    service: &NodeService,
    call: &Call,
    range: Range<u64>,
    limit: usize,
    wanted: &Wanted,
) -> Result<(Vec<Older>, u64), Problem> {
    let end = range.end;
    let indices: Vec<u64> = range.collect();
    let (entries, unread) = service.blocking(move |service| read(service, &indices)).await?;
    // The operator sees everything; only for what a verdict accepted is the run needed.
    let needs_run =
        |entry: &Entry| wanted.viewer != Viewer::Operator || matches!(entry.fact, Fact::Verdict(_));
    let runs = entries.iter().filter(|(_, e)| needs_run(e)).filter_map(|(_, e)| about(&e.fact).0).collect();
    let runs = told(service, call, runs).await?;
    let mut found = Vec::new();
    for (index, entry) in entries {
        let run = about(&entry.fact).0.and_then(|run| runs.get(&run));
        if !wanted.takes(&entry, run.map(|run| run.poster)) {
            continue;
        }
        let output = match &entry.fact {
            Fact::Verdict(f) if matches!(f.judgement, Judgement::Accepted { .. }) => {
                run.and_then(|run| run.outputs.get(f.step.index()).cloned().flatten())
            }
            _ => None,
        };
        found.push((index, entry, output));
        if found.len() == limit {
            return Ok((found, index + 1));
        }
    }
    Ok((found, unread.unwrap_or(end)))
}

/// Entries with their indices.
pub(super) type Indexed = Vec<(u64, Entry)>;

/// Entries of the journal whose bodies are still there: a subject's data key may have been erased. After
/// [`READ_BYTES_MAX`] it stops and names the first index that was not read.
pub(super) fn read(service: &NodeService, indices: &[u64]) -> Result<(Indexed, Option<u64>), Problem> {
    let (stored, unread) = service.reader().some(indices, READ_BYTES_MAX).map_err(refusal::of_reader)?;
    let decode = |stored: artel_audit::Entry| Ok((stored.index, service.decode(&stored)?));
    Ok((stored.into_iter().map(decode).collect::<Result<_, Problem>>()?, unread))
}

/// What the events of a run are told with.
pub(super) struct Told {
    /// Who posted it.
    pub poster: Poster,
    /// Its accepted outputs, where they are short, by step.
    outputs: Vec<Option<RulesJson>>,
}

impl Told {
    fn of(run: &Run) -> Self {
        let short = |output: &&RulesJson| !output.is_empty() && output.len() <= EVENT_OUTPUT_BYTES_MAX;
        let output = |step: &Step| match step.state {
            StepState::Accepted { .. } => step.output.as_ref().filter(short).cloned(),
            _ => None,
        };
        Told { poster: run.poster, outputs: run.steps.iter().map(output).collect() }
    }
}

/// What is told of these runs, from the rules' memory or the index.
pub(super) async fn told(
    service: &NodeService,
    call: &Call,
    runs: BTreeSet<RunId>,
) -> Result<BTreeMap<RunId, Told>, Problem> {
    if runs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let look = move |view: artel_federation::view::View<'_>, _| {
        let known: BTreeMap<RunId, Told> =
            runs.iter().filter_map(|id| Some((*id, Told::of(view.run(id)?)))).collect();
        let missing: Vec<RunId> = runs.into_iter().filter(|id| !known.contains_key(id)).collect();
        (known, missing)
    };
    let (mut known, missing) = service.look(call, look).await?;
    if !missing.is_empty() {
        let read = move |index: &crate::index::Index| {
            missing.iter().map(|id| index.run(id)).collect::<Result<Vec<_>, _>>()
        };
        let closed = service.indexed(read).await?;
        known.extend(closed.into_iter().flatten().map(|run| (run.id, Told::of(&run))));
    }
    Ok(known)
}

/// `GET /v1/events/{id}`.
pub(super) async fn get(service: &NodeService, call: &Call, id: EventId) -> Result<Event, Problem> {
    let not_found = || Problem::of(Code::NotFound);
    let index = id.index();
    let (viewer, skills) = service.look(call, |view, viewer| (viewer, skills_of(view, &viewer))).await?;
    if index >= service.reader().size() {
        return Err(not_found());
    }
    let entry = service.blocking(move |service| service.entry(index)).await?;
    let runs = about(&entry.fact).0.into_iter().collect();
    let run = told(service, call, runs).await?.into_values().next();
    let here = Here::of(service);
    let is_event = EventId::new(entry.at, index) == id && events::name(&entry.fact, here.prefix).is_some();
    if !is_event || !sees(&viewer, &entry.fact, run.as_ref().map(|run| run.poster), &skills) {
        return Err(not_found());
    }
    let output = about(&entry.fact).1.and_then(|step| run?.outputs.into_iter().nth(step.index()).flatten());
    Ok(here.event(index, &entry, output.as_ref()))
}

/// `POST /v1/events`.
pub(super) async fn emit(service: &NodeService, call: &Call, post: EventPost) -> Result<Event, Problem> {
    check_emit(&post).map_err(|problem| service.refuse(call, problem))?;
    let run = post.run_id.or(post.step_id.map(|step| step.run()));
    let data = Said::encode(&post)?;
    let emitted = Emitted { name: post.event_name, by: Poster::Operator, data: data.clone(), run };
    let request = Request::Emit { name: emitted.name.clone(), data, run };
    match service.ask(call, request).await? {
        Reply::Emitted { index, at } => {
            let entry =
                Entry { at, correlation: Some(call.correlation.clone()), fact: Fact::Emitted(emitted) };
            Ok(Here::of(service).event(index, &entry, None))
        }
        _ => Err(bug("an emitted event got another reply")),
    }
}

fn check_emit(post: &EventPost) -> Result<(), Problem> {
    let name = post.event_name.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic())
        || !name.bytes().all(plain)
        || name.len() > NAME_BYTES_MAX
    {
        let message = format!(
            "event_name must begin with a letter and have at most {NAME_BYTES_MAX} letters, digits or ._-"
        );
        return Err(Problem::new(Code::Invalid, message));
    }
    if post.data.bytes().len() > DATA_BYTES_MAX {
        return Err(Problem::new(Code::TooMany, format!("data has at most {DATA_BYTES_MAX} bytes")));
    }
    let bounded =
        |resource: &Resource| is_plain(&resource.kind, 64, false) && is_plain(&resource.id, 256, false);
    if !post.resource.as_ref().is_none_or(bounded) {
        let message = "a resource has a type of at most 64 bytes and an id of at most 256, each on one line";
        return Err(Problem::new(Code::Invalid, message));
    }
    if post.run_id.zip(post.step_id).is_some_and(|(run, step)| step.run() != run) {
        return Err(Problem::new(Code::Invalid, "step_id is not a step of run_id"));
    }
    Ok(())
}

/// An emitted event's entry holds what was said of it beside its name and run: the data, the thing, the step.
#[derive(Serialize, Deserialize)]
struct Said {
    data: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Resource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step_id: Option<String>,
}

impl Said {
    fn encode(post: &EventPost) -> Result<RulesJson, Problem> {
        let data = serde_json::from_slice(post.data.bytes());
        let data = data.map_err(|error| Problem::new(Code::Invalid, format!("data is not JSON: {error}")))?;
        let step_id = post.step_id.map(|step| step.to_string());
        let said = Said { data, resource: post.resource.clone(), step_id };
        let bytes = serde_json::to_vec(&said).map_err(|_| bug("an event's parts are no JSON"))?;
        Ok(RulesJson::new(bytes))
    }

    fn decode(json: &RulesJson) -> Option<Said> {
        serde_json::from_slice(json.bytes()).ok()
    }
}

/// What every event says of this node.
struct Here<'a> {
    federation: String,
    /// What names of the node's own events begin with.
    prefix: &'a str,
}

impl<'a> Here<'a> {
    fn of(service: &'a NodeService) -> Self {
        let parts = service.parts();
        Here { federation: parts.identity.federation.to_string(), prefix: &parts.config.event_prefix }
    }

    /// An entry as an event. `output` is the short output of its step: whoever sees an acceptance may see what was
    /// accepted.
    fn event(&self, index: u64, entry: &Entry, output: Option<&RulesJson>) -> Event {
        let fact = &entry.fact;
        let (run_id, step_id) = about(fact);
        let mut event = Event {
            event_id: EventId::new(entry.at, index),
            event_name: events::name(fact, self.prefix).map(|name| name.to_string()).unwrap_or_default(),
            occurred_at: entry.at,
            env_id: self.federation.clone(),
            actor: actor(fact),
            correlation_id: entry.correlation.clone(),
            run_id,
            step_id,
            resource: resource(fact),
            data: Json::object(),
            entry: index,
        };
        match fact {
            Fact::Emitted(emitted) => say(&mut event, &emitted.data),
            Fact::Verdict(verdict) => event.data = of_verdict(verdict, output),
            _ => event.data = convert::value(&events::data(fact)),
        }
        event
    }
}

/// What a verdict's event says, and the output that it accepted, whose JSON is copied as it is.
fn of_verdict(verdict: &Verdict, output: Option<&RulesJson>) -> Json {
    let mut text = serde_json::to_vec(&events::verdict(verdict)).unwrap_or_else(|_| b"{}".to_vec());
    let is_accepted = matches!(verdict.judgement, Judgement::Accepted { .. });
    if let Some(output) = output.filter(|_| is_accepted) {
        text.pop();
        text.extend_from_slice(br#","output":"#);
        text.extend_from_slice(output.bytes());
        text.push(b'}');
    }
    Json::new(text)
}

fn say(event: &mut Event, data: &RulesJson) {
    let Some(said) = Said::decode(data) else {
        event.data = convert::json(data);
        return;
    };
    event.data = Json::new(String::from(Box::<str>::from(said.data)));
    event.step_id = said.step_id.and_then(|step| StepId::parse(&step).ok());
    event.resource = said.resource;
}

/// The thing that an entry is about.
fn resource(fact: &Fact) -> Option<Resource> {
    let of = |kind: &str, id: String| Some(Resource { kind: kind.into(), id });
    match fact {
        Fact::ArtifactStored(stored) => of("artifact", stored.artifact.to_string()),
        Fact::Enrolled(_)
        | Fact::Configured(_)
        | Fact::Rotated(_)
        | Fact::Revoked(_)
        | Fact::DelegationEnded(_) => agent_of(fact).and_then(|agent| of("agent", agent.to_string())),
        Fact::Admitted(_) | Fact::Expelled(_) | Fact::FraudProven(_) => {
            node_of(fact).and_then(|node| of("node", node.to_string()))
        }
        _ => match about(fact) {
            (_, Some(step)) => of("task", step.to_string()),
            (Some(run), None) => of("run", run.to_string()),
            (None, None) => None,
        },
    }
}
