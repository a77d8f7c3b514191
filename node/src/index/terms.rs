//! What entries of the audit log can be searched by.

use crate::events::{about, agent_of, node_of};
use artel_federation::{Entry, Kind};
use artel_protocol::id::{Digest, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::text::Correlation;

/// Something that entries can be searched by.
#[derive(Debug, Clone, Copy)]
pub enum Term<'a> {
    /// Entries of a kind.
    Kind(Kind),
    /// Entries that a request caused.
    Correlation(&'a Correlation),
    /// Entries about an agent.
    Agent(&'a AgentId),
    /// Entries about another node.
    Node(&'a NodeId),
    /// Entries about a step.
    Step(&'a StepId),
    /// Entries about a run.
    Run(&'a RunId),
}

/// The terms of an entry but its correlation.
pub(super) fn terms_of(entry: &Entry) -> impl Iterator<Item = [u8; 4]> {
    let (run, step) = about(&entry.fact);
    let kind = hash_of(&Term::Kind(entry.fact.kind()));
    let agent = agent_of(&entry.fact).map(|agent| hash_of(&Term::Agent(&agent)));
    let node = node_of(&entry.fact).map(|node| hash_of(&Term::Node(&node)));
    let step = step.map(|step| hash_of(&Term::Step(&step)));
    let run = run.map(|run| hash_of(&Term::Run(&run)));
    std::iter::once(kind).chain(agent).chain(node).chain(step).chain(run)
}

/// Four bytes that stand for a term: random ones of an id, or of a text's digest. A block's entries are looked at anyway,
/// so a clash costs a look.
pub(super) fn hash_of(term: &Term<'_>) -> [u8; 4] {
    let four = |bytes: &[u8]| [bytes[0], bytes[1], bytes[2], bytes[3]];
    match term {
        Term::Kind(kind) => [0xff, 0xff, kind.number().to_be_bytes()[0], kind.number().to_be_bytes()[1]],
        Term::Correlation(correlation) => four(&Digest::of(correlation.as_str().as_bytes()).0),
        Term::Agent(agent) => four(agent.key().bytes()),
        Term::Node(node) => four(node.key().bytes()),
        // The last bytes of an id are random but for the very last, which tells a run from its steps.
        Term::Step(step) => four(&step.bytes()[12..]),
        Term::Run(run) => four(&run.bytes()[12..]),
    }
}
