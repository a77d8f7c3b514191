//! The audit log: entries for those whom they concern, proofs and the log itself for everybody. A proof is given under a
//! released checkpoint; where the last one is too old, a new one is released first.
//!
//! The operator sees every entry. An agent sees those about itself and about runs that it posted. What is public of the
//! others stands in the log as leaves.

use super::convert;
use super::events::{Indexed, read, sees, told};
use super::inner::NodeService;
use super::page;
use super::refusal::{of_driver, of_index, of_reader};
use super::shown::{self, Sight, Viewer};
use crate::events::{self, about, agent_of, node_of};
use crate::index::Term;
use artel_federation::fact::{Account, Poster};
use artel_federation::run::Run;
use artel_federation::{Entry, Fact, Kind};
use artel_protocol::id::StepId;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::log::{Class, Origin, SignedCheckpoint, Tile};
use artel_web::types::audit::{Consistency, Entry as WebEntry, EntryQuery, Proof};
use artel_web::types::ledger::{Account as WebAccount, AccountKind, Balance};
use artel_web::types::receipt::{Receipt, Record};
use artel_web::types::{List, Page};
use artel_web::{Call, Code, Problem};
use bytes::Bytes;

/// How many entries one page looks at. A page that is then not full says where to go on.
const LOOKED_AT_MAX: usize = 2_000;

/// `GET /v1/audit/entries`, oldest first. A cursor is the index of the last entry that was looked at.
pub(super) async fn entries(
    service: &NodeService,
    call: &Call,
    query: EntryQuery,
) -> Result<List<WebEntry>, Problem> {
    let viewer = service.viewer(call).await?;
    let wanted = Wanted::of(&query, &viewer)?;
    let from = page::key(&query.page, str::parse::<u64>)?.map_or(0, |last| last.saturating_add(1));
    let looked_at = wanted.clone();
    let (entries, more) = service.blocking(move |service| looked_at.candidates(service, from)).await?;
    let runs = match viewer {
        Viewer::Operator => Default::default(),
        Viewer::Agent(_) => entries.iter().filter_map(|(_, entry)| about(&entry.fact).0).collect(),
    };
    let runs = told(service, call, runs).await?;
    let limit = query.page.limit as usize;
    let mut items = Vec::new();
    for (index, entry) in entries {
        let poster = about(&entry.fact).0.and_then(|run| Some(runs.get(&run)?.poster));
        if wanted.takes(&entry) && concerns(&viewer, &entry.fact, poster) {
            items.push(shown(index, &entry));
        }
        if items.len() == limit {
            return Ok(List { items, next_cursor: Some(index.to_string()) });
        }
    }
    Ok(List { items, next_cursor: more.map(|last| last.to_string()) })
}

/// Which entries are wanted.
#[derive(Clone)]
struct Wanted {
    kind: Option<Kind>,
    correlation: Option<artel_protocol::text::Correlation>,
    agent: Option<AgentId>,
    node: Option<NodeId>,
    task: Option<StepId>,
}

impl Wanted {
    fn of(query: &EntryQuery, viewer: &Viewer) -> Result<Self, Problem> {
        let kind = query.kind.as_deref().map(kind).transpose()?;
        let (correlation, task) = (query.correlation.clone(), query.task);
        // Most of what an agent sees is about itself, so that is what it is shown unless it looks for something else.
        let own = match viewer {
            Viewer::Agent(me) if task.is_none() && correlation.is_none() && query.node.is_none() => Some(*me),
            _ => None,
        };
        Ok(Wanted { kind, correlation, agent: query.agent.or(own), node: query.node, task })
    }

    /// Entries from an index on that may be wanted, and the last index looked at where there may be more.
    fn candidates(&self, service: &NodeService, from: u64) -> Result<(Indexed, Option<u64>), Problem> {
        let mut terms = Vec::new();
        terms.extend(self.kind.map(Term::Kind));
        terms.extend(self.correlation.as_ref().map(Term::Correlation));
        terms.extend(self.agent.as_ref().map(Term::Agent));
        terms.extend(self.node.as_ref().map(Term::Node));
        terms.extend(self.task.as_ref().map(Term::Step));
        let size = service.reader().size();
        let found: Vec<u64> = if terms.is_empty() {
            (from..size).take(LOOKED_AT_MAX).collect()
        } else {
            let found = service.parts().index.search(&terms, from, LOOKED_AT_MAX).map_err(of_index)?;
            found.into_iter().filter(|index| *index < size).take(LOOKED_AT_MAX).collect()
        };
        let more = found.last().copied().filter(|_| found.len() == LOOKED_AT_MAX);
        let (entries, unread) = read(service, &found)?;
        Ok((entries, unread.map(|index| index - 1).or(more)))
    }

    fn takes(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| entry.fact.kind() == kind)
            && self.correlation.as_ref().is_none_or(|wanted| entry.correlation.as_ref() == Some(wanted))
            && self.agent.is_none_or(|agent| agent_of(&entry.fact) == Some(agent))
            && self.node.is_none_or(|node| node_of(&entry.fact) == Some(node))
            && self.task.is_none_or(|task| about(&entry.fact).1 == Some(task))
    }
}

/// A kind by its name, in whatever case: `run_posted` is `RunPosted`.
fn kind(name: &str) -> Result<Kind, Problem> {
    let plain: String = name.chars().filter(|c| *c != '_').collect();
    let found = Kind::ALL.iter().find(|kind| kind.name().eq_ignore_ascii_case(&plain));
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        Problem::new(Code::BadQuery, format!("there is no kind {name:?}; kinds are {}", names.join(", ")))
    })
}

/// Whether an entry concerns somebody: an event of it would, and it is no offer to everybody.
fn concerns(viewer: &Viewer, fact: &Fact, poster: Option<Poster>) -> bool {
    match (viewer, fact) {
        (Viewer::Agent(me), Fact::Transfer(transfer)) => {
            let own = transfer.legs.iter().any(|leg| leg.account == Account::Agent(*me));
            own || poster == Some(Poster::Agent(*me))
        }
        _ => sees(viewer, fact, poster, &[]),
    }
}

fn shown(index: u64, entry: &Entry) -> WebEntry {
    WebEntry {
        index,
        kind: entry.fact.kind().name().into(),
        public: entry.fact.class() == Class::Public,
        at: entry.at,
        correlation_id: entry.correlation.clone(),
        fact: convert::value(&events::data(&entry.fact)),
    }
}

/// `GET /v1/audit/entries/{index}`. What does not concern the caller is not there.
pub(super) async fn entry(service: &NodeService, call: &Call, index: u64) -> Result<WebEntry, Problem> {
    Ok(shown(index, &concerning(service, call, index).await?))
}

/// An entry, if it concerns the caller.
async fn concerning(service: &NodeService, call: &Call, index: u64) -> Result<Entry, Problem> {
    let viewer = service.viewer(call).await?;
    let entry = service.blocking(move |service| service.entry(index)).await?;
    let runs = about(&entry.fact).0.into_iter().collect();
    let poster = told(service, call, runs).await?.into_values().next().map(|run| run.poster);
    if !concerns(&viewer, &entry.fact, poster) {
        return Err(Problem::of(Code::NotFound));
    }
    Ok(entry)
}

/// An entry with its body and what opens its leaf. What does not concern the caller is not there.
pub(super) async fn opened(service: &NodeService, call: &Call, index: u64) -> Result<Record, Problem> {
    concerning(service, call, index).await?;
    cover(service, index).await?;
    service.blocking(move |service| record(service, index)).await
}

/// `GET /v1/audit/proof/{index}`: says nothing of the entry's body.
pub(super) async fn proof(service: &NodeService, call: &Call, index: u64) -> Result<Proof, Problem> {
    service.viewer(call).await?;
    cover(service, index).await?;
    let prove = move |service: &NodeService| {
        let reader = service.reader();
        let leaf = reader.leaf(index).map_err(of_reader)?;
        let proof = reader.tlog_proof(index).map_err(of_reader)?;
        Ok(Proof { index, leaf: leaf.to_bytes().to_vec(), proof: proof.to_string() })
    };
    service.blocking(prove).await
}

/// That the log of `to` entries continues the one of `from`: says no more of it than its tiles, which everybody has.
pub(super) async fn consistency(
    service: &NodeService,
    call: &Call,
    (from, to): (u64, u64),
) -> Result<Consistency, Problem> {
    service.viewer(call).await?;
    if from > to {
        let message = "a log is continued by a larger one; ask from the smaller size to the larger";
        return Err(Problem::new(Code::BadQuery, message));
    }
    let size = service.reader().checkpoint().size();
    if to > size {
        return Err(of_reader(artel_audit::Error::Beyond { wanted: to, size }));
    }
    let prove = move |service: &NodeService| service.reader().consistency(from, to).map_err(of_reader);
    Ok(Consistency { hashes: service.blocking(prove).await? })
}

/// Sees to it that a released checkpoint covers an entry.
async fn cover(service: &NodeService, index: u64) -> Result<(), Problem> {
    let reader = service.reader();
    if index < reader.checkpoint().size() || index >= reader.size() {
        return Ok(());
    }
    service.parts().handle.checkpoint().await.map(drop).map_err(of_driver)
}

/// The newest checkpoint that may be shown, with what witnesses said to it.
pub(super) fn cosigned(service: &NodeService) -> SignedCheckpoint {
    let newest = service.reader().checkpoint();
    match &service.parts().neighbours {
        Some(neighbours) => neighbours.cosigned(newest),
        None => newest,
    }
}

/// `GET /log/checkpoint`.
pub(super) fn checkpoint(service: &NodeService) -> String {
    cosigned(service).note().to_string()
}

/// `GET /log/tile/…`.
pub(super) async fn tile(service: &NodeService, tile: Tile) -> Result<Bytes, Problem> {
    let read = move |service: &NodeService| service.reader().tile(&tile).map(Bytes::from).map_err(of_reader);
    service.blocking(read).await
}

/// `GET /v1/tasks/{id}/receipt`: of the last submission that the caller sees.
pub(super) async fn receipt(service: &NodeService, call: &Call, id: StepId) -> Result<Receipt, Problem> {
    let find = move |run: &Run, viewer: &Viewer| {
        let step = run.steps.get(id.index())?;
        let sight = shown::sight(viewer, run, step).filter(|sight| *sight != Sight::Offer)?;
        let handed = step.handed.iter().rev().find(|handed| sight.sees_work_of(&handed.agent));
        Some(handed.map(|handed| {
            let verdict = handed.verdict.as_ref().map(|(index, _)| *index);
            (handed.epoch, handed.index, verdict, handed.opening.clone())
        }))
    };
    let Some((epoch, submitted, verdict, opening)) = service.in_run(call, id.run(), find).await? else {
        return Err(Problem::new(Code::NotFound, "nothing has been handed in for this task yet"));
    };
    cover(service, verdict.unwrap_or(submitted).max(submitted)).await?;
    let records = move |service: &NodeService| {
        let verdict = verdict.map(|index| record(service, index)).transpose()?;
        let handed_in = handed_in(service, submitted)?;
        let submitted = record(service, submitted)?;
        Ok(Receipt { task_id: id, epoch, submitted, verdict, handed_in, opening: convert::opening(opening) })
    };
    service.blocking(records).await
}

/// The record in which the worker's node says what was handed in, where that is another node and its record has come here.
fn handed_in(service: &NodeService, submitted: u64) -> Result<Option<Record>, Problem> {
    let Fact::Submitted(submitted) = service.entry(submitted)?.fact else { return Ok(None) };
    let (Some(at), Some(neighbours)) = (submitted.handed_at, &service.parts().neighbours) else {
        return Ok(None);
    };
    let origin = Origin::new(service.parts().identity.federation, at.node, at.incarnation);
    let Some((record, proof)) = neighbours.record_at(&origin, at.index) else { return Ok(None) };
    let Ok(Entry { fact, .. }) = Entry::decode(&record.body) else { return Ok(None) };
    Ok(Some(Record {
        entry: record.index,
        leaf: record.leaf().to_bytes().to_vec(),
        salt: record.salt.to_vec(),
        body: record.body,
        fact: convert::value(&events::data(&fact)),
        proof: proof.to_string(),
    }))
}

fn record(service: &NodeService, index: u64) -> Result<Record, Problem> {
    let reader = service.reader();
    let stored = reader.entry(index).map_err(of_reader)?;
    let proof = reader.tlog_proof(index).map_err(of_reader)?;
    let fact = service.entry(index)?.fact;
    Ok(Record {
        entry: index,
        leaf: stored.leaf.to_bytes().to_vec(),
        salt: stored.salt.to_vec(),
        body: stored.body,
        fact: convert::value(&events::data(&fact)),
        proof: proof.to_string(),
    })
}

/// `GET /v1/ledger/accounts`: all that are not at zero, the operator's first, then agents', then escrows.
pub(super) async fn accounts(
    service: &NodeService,
    call: &Call,
    page: Page,
) -> Result<List<WebAccount>, Problem> {
    let after = page::key(&page, account)?;
    let limit = page.limit as usize;
    let look = move |view: artel_federation::view::View<'_>, _| {
        let behind = view.accounts().skip_while(|(account, _)| after.is_some_and(|after| *account <= after));
        behind.take(limit + 1).collect::<Vec<_>>()
    };
    let mut rows = service.look(call, look).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(|(account, _)| events::account(account));
    let items = rows.into_iter().filter_map(|(account, units)| {
        let (kind, agent_id, task_id) = match account {
            Account::Operator => (AccountKind::Operator, None, None),
            Account::Agent(agent) => (AccountKind::Agent, Some(agent), None),
            Account::Escrow(step) => (AccountKind::Escrow, None, Some(step)),
            // An alias, under which no balance stands.
            Account::Poster(_) => return None,
        };
        Some(WebAccount { kind, agent_id, task_id, balance: Balance(units) })
    });
    Ok(List { items: items.collect(), next_cursor })
}

/// Reads an account's text form.
fn account(text: &str) -> Result<Account, ()> {
    match text.strip_prefix("escrow:") {
        Some(step) => StepId::parse(step).map(Account::Escrow).map_err(drop),
        None if text == "operator" => Ok(Account::Operator),
        None => AgentId::from_did(text).map(Account::Agent).map_err(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::time::Wall;

    #[test]
    fn kinds_are_known_by_name_in_any_case() {
        for known in Kind::ALL {
            assert_eq!(kind(known.name()).expect("known"), *known);
            assert_eq!(kind(&known.name().to_lowercase()).expect("known"), *known);
        }
        assert_eq!(kind("run_posted").expect("known"), Kind::RunPosted);
        assert_eq!(kind("nonsense").expect_err("unknown").code, Code::BadQuery);
    }

    /// A browser verifies by this table that an entry is of the kind that its page says.
    #[test]
    fn browsers_know_kinds_by_the_same_numbers() {
        let script = include_str!("../../../web/assets/verify.js");
        let table = script.split("const KINDS = {").nth(1).and_then(|rest| rest.split('}').next());
        let table = table.expect("a table of kinds");
        for known in Kind::ALL {
            let row = format!(" {}: \"{}\",", known.number(), known.name());
            assert!(table.replace('\n', " ").contains(&row), "{row}");
        }
        assert_eq!(table.matches(':').count(), Kind::ALL.len());
    }

    #[test]
    fn an_accounts_cursor_reads_back() {
        let agent = AgentId(SecretKey::from_seed(&[1; 32]).public());
        let step = RunId::new(Wall(1), [0; 9]).step(3);
        for known in [Account::Operator, Account::Agent(agent), Account::Escrow(step)] {
            assert_eq!(account(&events::account(&known)), Ok(known));
        }
        assert_eq!(account("nobody"), Err(()));
    }
}
