//! How agents' leases ended: one row for all that ended for an agent while a batch was gathered. A row for each lease was half of
//! what the store had to do.

use super::{NotReady, Rows, WORK, unreadable};
use artel_audit::index::{KvStore, Order, Tree, VALUE_BYTES_MAX};
use artel_federation::Fact;
use artel_protocol::codec;
use artel_protocol::id::StepId;
use artel_protocol::key::AgentId;
use std::collections::BTreeMap;

/// The bytes of one ended lease in a row: a journal index, big endian, and a step's id.
const ENDED_BYTES: usize = 8 + 16;

/// How many ended leases one row holds. As many as fit: a row more costs more than the row's length.
const ROW_ENDED_MAX: usize = VALUE_BYTES_MAX / ENDED_BYTES;

/// How many rows are read at once. A busy agent has some hundred ended leases in eight; of one that is not, a page takes some reads.
const ROWS_AT_ONCE: usize = 8;

/// What was gathered and is not in rows yet, by agent: full rows are put at once.
#[derive(Default)]
pub(super) struct Gathered(BTreeMap<AgentId, Vec<u8>>);

/// Whose lease ended by a fact, and on which step.
pub(super) fn work_of(fact: &Fact) -> Option<(AgentId, StepId)> {
    match fact {
        Fact::Verdict(f) => Some((f.agent, f.step)),
        Fact::Refuted(f) => Some((f.agent, f.step)),
        Fact::Lapsed(f) | Fact::Released(f) => Some((f.agent, f.step)),
        _ => None,
    }
}

impl Gathered {
    /// Takes in that a lease ended by the entry of this index, which is behind all that were taken in.
    pub fn take(&mut self, rows: &mut Rows, agent: AgentId, index: u64, step: &StepId) {
        let ended = self.0.entry(agent).or_default();
        ended.extend_from_slice(&index.to_be_bytes());
        ended.extend_from_slice(step.bytes());
        if ended.len() / ENDED_BYTES == ROW_ENDED_MAX {
            rows.push(row(&agent, std::mem::take(ended)));
            self.0.remove(&agent);
        }
    }

    /// How many rows it will be.
    pub fn rows(&self) -> usize {
        self.0.len()
    }

    /// Puts what was gathered.
    pub fn put(&mut self, rows: &mut Rows) {
        rows.extend(std::mem::take(&mut self.0).into_iter().map(|(agent, ended)| row(&agent, ended)));
    }
}

/// A row's key names its first entry, so the rows with something before a cursor are those whose keys are.
fn row(agent: &AgentId, ended: Vec<u8>) -> (Tree, Vec<u8>, Vec<u8>) {
    (WORK, [agent.key().bytes().as_slice(), &ended[..8]].concat(), ended)
}

/// The entries by which an agent's leases ended, before one, with their steps: the newest, at least `limit` if there are so many.
pub(super) fn stored(
    store: &dyn KvStore,
    agent: &AgentId,
    before: Option<u64>,
    limit: usize,
) -> Result<BTreeMap<u64, StepId>, NotReady> {
    let mut found = BTreeMap::new();
    let mut after = before.map(|index| [agent.key().bytes().as_slice(), &index.to_be_bytes()].concat());
    while found.len() < limit {
        let rows = store.scan(WORK, agent.key().bytes(), after.as_deref(), Order::Descending, ROWS_AT_ONCE);
        let rows = rows.map_err(unreadable)?;
        for (_, ended) in &rows {
            let ended = ended.chunks_exact(ENDED_BYTES).filter_map(|ended| {
                let (index, step) = ended.split_first_chunk()?;
                Some((u64::from_be_bytes(*index), codec::decode_own(step).ok()?))
            });
            found.extend(ended.filter(|(index, _)| before.is_none_or(|before| *index < before)));
        }
        match rows.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => break,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_audit::index::{Batch, MemoryStore};
    use artel_protocol::id::RunId;
    use artel_protocol::key::SecretKey;
    use artel_protocol::time::Wall;

    fn agent(seed: u8) -> AgentId {
        AgentId(SecretKey::from_seed(&[seed; 32]).public())
    }

    fn step(index: u64) -> StepId {
        RunId::new(Wall(index), [7; 9]).step(0)
    }

    /// Batches of these many entries, of which every third is the second agent's and every hundredth nobody's.
    fn filled(batches: &[u64]) -> (MemoryStore, [Vec<u64>; 2]) {
        let (store, mut gathered, mut index) = (MemoryStore::new(), Gathered::default(), 0);
        let mut ended = [Vec::new(), Vec::new()];
        for entries in batches {
            let mut rows = Rows::new();
            for _ in 0..*entries {
                if index % 100 != 99 {
                    let whose = usize::from(index % 3 == 0);
                    gathered.take(&mut rows, agent(whose as u8), index, &step(index));
                    ended[whose].push(index);
                }
                index += 1;
            }
            gathered.put(&mut rows);
            assert_eq!(gathered.rows(), 0);
            let mut batch = Batch::new(index);
            for (tree, key, value) in rows {
                batch.put(tree, &key, &value).expect("no row is too long");
            }
            store.apply(batch).expect("applied");
        }
        (store, ended)
    }

    #[test]
    fn pages_of_any_length_from_any_place_are_what_ended_newest_first() {
        let (store, ended) = filled(&[1, 0, 2, 700, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 300]);
        for (whose, ended) in ended.iter().enumerate() {
            for before in std::iter::once(None).chain((0..1_100).step_by(7).map(Some)) {
                for limit in [1, 2, 50, 201, 2_000] {
                    let page = stored(&store, &agent(whose as u8), before, limit).expect("read");
                    let page: Vec<_> = page.into_iter().rev().take(limit).collect();
                    let older = ended.iter().rev().filter(|index| before.is_none_or(|b| **index < b));
                    let expected: Vec<_> = older.take(limit).map(|index| (*index, step(*index))).collect();
                    assert_eq!(page, expected, "agent {whose} before {before:?}, {limit}");
                }
            }
        }
    }

    #[test]
    fn a_batch_has_a_row_for_an_agent_and_a_full_one_is_put_at_once() {
        let (mut rows, mut gathered) = (Rows::new(), Gathered::default());
        for index in 0..ROW_ENDED_MAX as u64 + 1 {
            assert!(rows.is_empty() || index as usize == ROW_ENDED_MAX);
            gathered.take(&mut rows, agent(1), index, &step(index));
        }
        assert_eq!((rows.len(), gathered.rows()), (1, 1));
        gathered.put(&mut rows);
        assert_eq!(rows.len(), 2);
    }
}
