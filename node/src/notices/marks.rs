//! Up to where each agent has read its notices: one small file beside the journal, `read-marks`.
//!
//! No entries of the journal, for two reasons: reading is nothing that bears on work or money (decision 1 keeps reads out of
//! it), and an agent that reads busily would fill a log that is never cut. Where the file is lost, notices come again.
//!
//! The file is a row after the other, each 44 bytes: the agent's key (32), the journal index up to which it has read (`u64`, little
//! end first), the first four bytes of the SHA-256 of both. The last row of an agent counts. A row that does not hold
//! ends the file: what follows was never acknowledged.

use crate::data;
use artel_protocol::id::Digest;
use artel_protocol::key::AgentId;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The file's name.
const NAME: &str = "read-marks";

/// How many agents have a mark (about 6 MiB in memory). One more takes the place of the one that has read least: to that one notices
/// come again.
pub const MARKS_MAX: usize = 65_536;

const ROW_BYTES: usize = 44;

/// How many rows beyond the agents' own the file may have before it is written anew.
const SPARE_ROWS: usize = 16_384;

type Key = [u8; 32];

/// The marks. Cheap to clone.
#[derive(Clone)]
pub struct Marks(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    state: Mutex<State>,
    /// Held by the one who writes; the others find their rows written when they get it.
    file: Arc<tokio::sync::Mutex<File>>,
}

#[derive(Default)]
struct State {
    /// As they are on disk.
    read: BTreeMap<Key, u64>,
    /// Those that are to be: nobody is told of them yet.
    moving: BTreeMap<Key, u64>,
    /// How many moves there were so far, and how many of them are synced.
    taken: u64,
    synced: u64,
    /// How many rows the file has.
    rows: usize,
}

impl Marks {
    /// Opens a data directory's marks, or begins with none.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(dir: &Path) -> Result<Marks, data::Error> {
        let path = dir.join(NAME);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(data::io_error("read", &path))?,
        };
        let mut read = BTreeMap::new();
        for row in bytes.chunks(ROW_BYTES) {
            let Some((key, index)) = of_row(row) else {
                tracing::warn!(file = %path.display(), "a mark does not hold; it and what follows is let go");
                break;
            };
            put(&mut read, key, index);
        }
        // Written anew at each start, so a torn row is never in the middle.
        let rows: Vec<u8> = read.iter().flat_map(|(key, index)| row(key, *index)).collect();
        data::replace(dir, NAME, &rows)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(data::io_error("open", &path))?;
        let state = State { rows: read.len(), read, ..State::default() };
        let file = Arc::new(tokio::sync::Mutex::new(file));
        Ok(Marks(Arc::new(Inner { dir: dir.to_owned(), state: Mutex::new(state), file })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to which journal index an agent has read, as it is on disk.
    pub fn get(&self, agent: &AgentId) -> Option<u64> {
        self.state().read.get(agent.key().bytes()).copied()
    }

    /// An agent has read up to this index; a mark never goes back. Answers where it is now, once that is on disk.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn mark(&self, agent: &AgentId, index: u64) -> io::Result<u64> {
        let mine = {
            let mut state = self.state();
            if let Some(read) = state.read.get(agent.key().bytes()).filter(|read| **read >= index) {
                return Ok(*read);
            }
            put(&mut state.moving, *agent.key().bytes(), index);
            state.taken += 1;
            state.taken
        };
        let file = Arc::clone(&self.0.file).lock_owned().await;
        if self.state().synced < mine {
            let marks = self.clone();
            // The one who waits may go; the row is written all the same, and the file stays locked meanwhile.
            let written = tokio::task::spawn_blocking(move || marks.write(file));
            written.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        }
        Ok(self.get(agent).map_or(index, |read| read.max(index)))
    }

    fn write(&self, mut file: tokio::sync::OwnedMutexGuard<File>) -> io::Result<()> {
        let (moving, upto, is_long) = {
            let mut state = self.state();
            state.rows = state.rows.saturating_add(state.moving.len());
            (state.moving.clone(), state.taken, state.rows > state.read.len() + SPARE_ROWS)
        };
        let written = if is_long {
            self.write_anew(&mut file, &moving)
        } else if moving.is_empty() {
            Ok(())
        } else {
            let rows: Vec<u8> = moving.iter().flat_map(|(key, index)| row(key, *index)).collect();
            file.write_all(&rows).and_then(|()| file.sync_data())
        };
        let mut state = self.state();
        match written {
            Ok(()) => {
                state.synced = upto;
                for (key, index) in moving {
                    put(&mut state.read, key, index);
                    if state.moving.get(&key) == Some(&index) {
                        state.moving.remove(&key);
                    }
                }
            }
            // Half a row may stand in the file now, behind which nothing would be read: it is written anew.
            Err(_) => state.rows = usize::MAX / 2,
        }
        written
    }

    fn write_anew(&self, file: &mut File, moving: &BTreeMap<Key, u64>) -> io::Result<()> {
        let rows: Vec<u8> = {
            let mut state = self.state();
            let mut read = state.read.clone();
            for (key, index) in moving {
                put(&mut read, *key, *index);
            }
            state.rows = read.len();
            read.iter().flat_map(|(key, index)| row(key, *index)).collect()
        };
        data::replace(&self.0.dir, NAME, &rows).map_err(io::Error::other)?;
        *file = OpenOptions::new().append(true).open(self.0.dir.join(NAME))?;
        Ok(())
    }
}

fn row(key: &Key, index: u64) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    row[..32].copy_from_slice(key);
    row[32..40].copy_from_slice(&index.to_le_bytes());
    let sum = Digest::of(&row[..40]);
    row[40..].copy_from_slice(&sum.0[..4]);
    row
}

fn of_row(row: &[u8]) -> Option<(Key, u64)> {
    let (said, sum) = row.split_at_checked(40)?;
    let (key, index) = said.split_first_chunk::<32>()?;
    (Digest::of(said).0[..4] == *sum).then(|| Some((*key, u64::from_le_bytes(index.try_into().ok()?))))?
}

fn put(read: &mut BTreeMap<Key, u64>, key: Key, index: u64) -> u64 {
    if read.len() >= MARKS_MAX && !read.contains_key(&key) {
        let least = read.iter().min_by_key(|(_, index)| **index).map(|(key, _)| *key);
        least.and_then(|least| read.remove(&least));
    }
    let mark = read.entry(key).or_insert(index);
    *mark = index.max(*mark);
    *mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn agent(seed: u8) -> AgentId {
        AgentId(SecretKey::from_seed(&[seed; 32]).public())
    }

    #[tokio::test]
    async fn marks_outlive_the_process_and_never_go_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let marks = Marks::open(dir.path()).expect("none yet");
        assert_eq!(marks.get(&agent(1)), None);
        assert_eq!(marks.mark(&agent(1), 7).await.expect("written"), 7);
        assert_eq!(marks.mark(&agent(2), 9).await.expect("written"), 9);
        assert_eq!(marks.mark(&agent(1), 3).await.expect("written"), 7);
        let again = Marks::open(dir.path()).expect("read");
        assert_eq!((again.get(&agent(1)), again.get(&agent(2))), (Some(7), Some(9)));
    }

    #[tokio::test]
    async fn a_mark_is_seen_once_it_is_on_disk_and_one_that_does_not_move_writes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let marks = Marks::open(dir.path()).expect("none yet");
        let file = Arc::clone(&marks.0.file).lock_owned().await;
        let it = agent(1);
        let mut marking = std::pin::pin!(marks.mark(&it, 7));
        tokio::select! {
            biased;
            _ = &mut marking => panic!("it cannot be written yet"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(marks.get(&it), None);
        drop(file);
        assert_eq!(marking.await.expect("written"), 7);
        assert_eq!(marks.get(&it), Some(7));
        for index in [7, 3] {
            assert_eq!(marks.mark(&it, index).await.expect("where it is"), 7);
        }
        let bytes = std::fs::metadata(dir.path().join(NAME)).expect("a file").len();
        assert_eq!(bytes, ROW_BYTES as u64);
    }

    #[tokio::test]
    async fn a_torn_or_damaged_row_takes_nothing_before_it_along() {
        let dir = tempfile::tempdir().expect("a directory");
        let marks = Marks::open(dir.path()).expect("none yet");
        for seed in 1..=3 {
            marks.mark(&agent(seed), 5).await.expect("written");
        }
        let path = dir.path().join(NAME);
        let whole = std::fs::read(&path).expect("a file");
        assert_eq!(whole.len(), 3 * ROW_BYTES);
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            let marks = Marks::open(dir.path()).expect("read");
            let kept = (1..=3).filter(|seed| marks.get(&agent(*seed)) == Some(5)).count();
            assert_eq!(kept, cut / ROW_BYTES, "cut at {cut}");
        }
        let mut damaged = whole.clone();
        damaged[ROW_BYTES + 33] ^= 1;
        std::fs::write(&path, &damaged).expect("written");
        let marks = Marks::open(dir.path()).expect("read");
        assert_eq!((marks.get(&agent(1)), marks.get(&agent(2))), (Some(5), None));
        marks.mark(&agent(2), 6).await.expect("written");
        assert_eq!(
            Marks::open(dir.path()).expect("read").get(&agent(2)),
            Some(6),
            "it goes on behind a good row"
        );
    }

    #[tokio::test]
    async fn the_file_is_written_anew_before_it_grows_long() {
        let dir = tempfile::tempdir().expect("a directory");
        let marks = Marks::open(dir.path()).expect("none yet");
        marks.mark(&agent(1), 1).await.expect("written");
        marks.state().rows = 2 * SPARE_ROWS;
        marks.mark(&agent(1), 2).await.expect("written");
        marks.mark(&agent(1), 3).await.expect("written");
        let bytes = std::fs::metadata(dir.path().join(NAME)).expect("a file").len();
        assert_eq!(bytes, 2 * ROW_BYTES as u64);
        assert_eq!(Marks::open(dir.path()).expect("read").get(&agent(1)), Some(3));
    }

    #[test]
    fn one_agent_more_than_there_may_be_takes_the_place_of_the_one_that_read_least() {
        let mut read = BTreeMap::new();
        for n in 0..MARKS_MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&n.to_be_bytes());
            put(&mut read, key, n + 10);
        }
        put(&mut read, [0xff; 32], 3);
        assert_eq!((read.len(), read.get(&[0; 32]), read[&[0xff; 32]]), (MARKS_MAX, None, 3));
    }
}
