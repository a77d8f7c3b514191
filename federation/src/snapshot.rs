//! The durable state as bytes and back: a shortcut for the fold, never the truth. Sections of `count u64`, then values
//! of `len u32 ‖ encoding`; what is derived is derived again.

use crate::away::{Engagement, Engagements};
use crate::closed::ClosedRun;
use crate::fact::{Account, Error, Genesis};
use crate::member::Agent;
use crate::nodes::{LiveInvitation, Node, Nodes};
use crate::post_keys::PostRow;
use crate::run::Run;
use crate::state::{Open, State, Totals};
use artel_protocol::codec::{self, Decode, Encode};
use artel_protocol::id::{Epoch, StepId};
use std::cmp::Reverse;
use std::sync::Arc;

/// Form of the snapshot, and of each run in it with what it counts; another one is refused, and the journal is folded from the
/// start instead.
pub const FORM: u32 = 10;

/// The durable state as it was at one moment, to be encoded elsewhere. It shares its runs and agents with the living
/// state, so taking it costs a pointer each.
pub struct Snapshot {
    /// What its runs count, which is no less than they take, and a little more.
    bytes_about: usize,
    head: (u64, u64, u64, Totals),
    genesis: Option<Genesis>,
    founded: bool,
    agents: Vec<Arc<Agent>>,
    runs: Vec<Arc<Run>>,
    recent: Vec<Arc<ClosedRun>>,
    ledger: Vec<(Account, i64)>,
    posts: Vec<PostRow>,
    nodes: Vec<Arc<Node>>,
    invitations: Vec<LiveInvitation>,
    away: Vec<Arc<Engagement>>,
    concluded: Vec<Arc<Engagement>>,
    refuted: Vec<(StepId, Epoch)>,
}

impl Snapshot {
    /// Its bytes; the same state always has the same.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes_about);
        self.encode_into(&mut bytes);
        bytes
    }

    /// About how many bytes its runs have, the most of it by far where it is large: a buffer that grows is copied each time.
    pub fn bytes_about(&self) -> usize {
        self.bytes_about
    }

    /// Appends its bytes.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let mut out = Writer(bytes);
        out.value(&FORM);
        out.value(&self.head);
        out.value(&self.genesis);
        out.value(&self.founded);
        out.section(self.agents.iter().map(Arc::as_ref));
        out.section(self.runs.iter().map(Arc::as_ref));
        out.section(self.recent.iter().map(|run| run.row()));
        out.section(self.ledger.iter());
        out.section(self.posts.iter());
        out.section(self.nodes.iter().map(Arc::as_ref));
        out.section(self.invitations.iter());
        out.section(self.away.iter().map(Arc::as_ref));
        out.section(self.concluded.iter().map(Arc::as_ref));
        out.section(self.refuted.iter());
    }
}

impl State {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            bytes_about: (self.open.bytes + self.recent_bytes) as usize + (1 << 16),
            head: (self.size, self.boots, self.artifact_bytes, self.totals),
            genesis: self.genesis.clone(),
            founded: self.founded,
            agents: self.agents.values().cloned().collect(),
            runs: self.runs.values().cloned().collect(),
            recent: self.recent_order.iter().map(|id| self.recent[id].clone()).collect(),
            ledger: self.ledger.accounts().collect(),
            posts: self.post_keys.rows(),
            nodes: self.nodes.known().values().cloned().collect(),
            invitations: self.nodes.invitations().cloned().collect(),
            away: self.away.all().cloned().collect(),
            concluded: self.away.concluded().cloned().collect(),
            refuted: self.refuted.iter().copied().collect(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<State, Error> {
        let mut from = Reader(bytes);
        let form: u32 = from.value()?;
        if form != FORM {
            return Err(codec::Error::Malformed(format!("snapshot form {form}, not {FORM}")).into());
        }
        let mut state = State::default();
        (state.size, state.boots, state.artifact_bytes, state.totals) = from.value()?;
        state.genesis = from.value()?;
        state.founded = from.value()?;
        from.section(|agent: Agent| {
            state.agents.insert(agent.id, Arc::new(agent));
        })?;
        from.section(|run: Run| {
            state.runs.insert(run.id, Arc::new(run));
        })?;
        from.section(|row| {
            let run = ClosedRun::from_row(row);
            state.recent_order.push_back(run.id());
            state.recent.insert(run.id(), Arc::new(run));
        })?;
        let mut rows = Vec::new();
        from.section(|row| rows.push(row))?;
        state.ledger = crate::ledger::Ledger::from_rows(rows);
        from.section(|row: PostRow| state.post_keys.insert(row))?;
        let (mut nodes, mut invitations) = (Vec::new(), Vec::new());
        from.section(|row| nodes.push(row))?;
        from.section(|row| invitations.push(row))?;
        state.nodes = Nodes::from_rows(nodes, invitations);
        let (mut away, mut concluded) = (Vec::new(), Vec::new());
        from.section(|row| away.push(row))?;
        from.section(|row| concluded.push(row))?;
        state.away = Engagements::from_rows(away, concluded);
        from.section(|row| {
            state.refuted.insert(row);
        })?;
        from.end()?;
        state.derive();
        Ok(state)
    }

    /// Builds anew what follows from the rest: open offers, held leases, the size of the book.
    fn derive(&mut self) {
        self.recent_steps = self.recent.values().map(|run| run.steps()).sum();
        self.recent_bytes = self.recent.values().map(|run| run.bytes()).sum();
        self.agent_bytes = self.agents.values().map(|agent| agent.bytes()).sum();
        let taken: Vec<_> =
            self.runs.values().map(|run| (run.poster, run.steps.len(), run.bytes())).collect();
        for (poster, steps, bytes) in taken {
            self.count_open(poster, |open| Open { steps: open.steps + steps, bytes: open.bytes + bytes });
        }
        let mut under_way = Vec::new();
        for run in self.runs.values() {
            for (i, step) in run.steps.iter().enumerate() {
                match &step.state {
                    crate::run::StepState::Offered => {
                        let place = (Reverse(run.priority), run.posted_at, run.step_id(i));
                        self.offers.insert(run.poster, &step.spec.task, place);
                    }
                    crate::run::StepState::Leased { agent, .. } => {
                        self.leases.entry(*agent).or_default().insert(run.step_id(i));
                        under_way.push(*agent);
                    }
                    crate::run::StepState::Submitted { agent, .. } => under_way.push(*agent),
                    _ => {}
                }
            }
        }
        under_way.iter().for_each(|agent| self.guests.begins(agent, None));
        self.agents.values().for_each(|agent| self.guests.add(agent));
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn value<T: Encode>(&mut self, value: &T) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        codec::encode_large_into(value, self.0);
        let len = u32::try_from(self.0.len() - start - 4).expect("one value is far below 4 GiB");
        self.0[start..start + 4].copy_from_slice(&len.to_le_bytes());
    }

    fn section<T: Encode>(&mut self, values: impl ExactSizeIterator<Item = T>) {
        self.value(&(values.len() as u64));
        for value in values {
            self.value(&value);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn value<T: Decode<()>>(&mut self) -> Result<T, Error> {
        let cut = || Error::from(codec::Error::Malformed("snapshot cut".into()));
        let (head, rest) = self.0.split_first_chunk::<4>().ok_or_else(cut)?;
        let len = u32::from_le_bytes(*head) as usize;
        let (bytes, rest) = rest.split_at_checked(len).ok_or_else(cut)?;
        self.0 = rest;
        Ok(codec::decode_large(bytes)?)
    }

    fn section<T: Decode<()>>(&mut self, mut each: impl FnMut(T)) -> Result<(), Error> {
        let count: u64 = self.value()?;
        for _ in 0..count {
            each(self.value()?);
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Error> {
        match self.0.len() {
            0 => Ok(()),
            extra => Err(codec::Error::TrailingBytes { extra }.into()),
        }
    }
}
