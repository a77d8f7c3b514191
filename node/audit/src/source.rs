//! Verification of a log as a stranger sees it: checkpoint, entry bundles and tiles, from a directory or over HTTP.
//!
//! Everything is fetched by its C2SP path and nothing is believed: the bundles must lead to the signed root, every tile must
//! hold the hashes that they lead to, and the public entries must be counted densely. Memory is bounded by a bundle.

use crate::error::Error;
use crate::reader::Reader;
use artel_protocol::log::tile::{Content, TILE_HEIGHT, TILE_WIDTH};
use artel_protocol::log::{CompactRange, Hash, Leaf, Origin, SignedCheckpoint, Tile, checkpoint};

/// Where a log's files come from.
pub trait LogSource {
    /// What a failed fetch says.
    type Error: std::fmt::Display;

    /// The bytes of `checkpoint`, `tile/…` or `tile/entries/…`.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn fetch(&mut self, path: &str) -> Result<Vec<u8>, Self::Error>;
}

impl LogSource for &Reader {
    type Error = Error;

    fn fetch(&mut self, path: &str) -> Result<Vec<u8>, Error> {
        if path == CHECKPOINT_PATH {
            return Ok(self.checkpoint().to_string().into_bytes());
        }
        let tile = Tile::parse(path).map_err(|e| Error::damaged(path, e.to_string()))?;
        self.tile(&tile)
    }
}

/// The path of the checkpoint.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// Why a log is not sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A file could not be had.
    #[error("cannot fetch {path}: {cause}")]
    Fetch {
        /// Its path.
        path: String,
        /// Why not.
        cause: String,
    },
    /// A file is not what the checkpoint signs.
    #[error("{path}: {what}")]
    Wrong {
        /// Its path.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The checkpoint is not well-formed, or not signed by the node that it names.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] checkpoint::Error),
    /// The checkpoint is another journal's.
    #[error("the checkpoint is of {found}, not of {wanted}")]
    Foreign {
        /// Whose it is.
        found: Box<Origin>,
        /// Whose it should be.
        wanted: Box<Origin>,
    },
}

/// What was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// The signed checkpoint that everything leads to.
    pub checkpoint: SignedCheckpoint,
    /// How many of its entries are public.
    pub public: u64,
    /// Hash tiles that were compared.
    pub tiles: u64,
}

/// Verifies a whole log. With `wanted`, it must be that journal's. `progress` hears how many entries were read.
///
/// # Errors
/// [`LogError`], each case as it says.
pub fn verify<S: LogSource>(
    source: &mut S,
    wanted: Option<&Origin>,
    progress: &mut dyn FnMut(u64),
) -> Result<LogReport, LogError> {
    let text = fetch(source, CHECKPOINT_PATH)?;
    let text = std::str::from_utf8(&text).map_err(|_| wrong(CHECKPOINT_PATH, "not UTF-8"))?;
    let checkpoint = SignedCheckpoint::parse(text)?;
    if let Some(wanted) = wanted.filter(|wanted| **wanted != checkpoint.origin()) {
        return Err(LogError::Foreign { found: Box::new(checkpoint.origin()), wanted: Box::new(*wanted) });
    }
    let size = checkpoint.size();
    let mut range = CompactRange::new();
    let mut rows = Rows::default();
    let mut public_seq = 0;
    while range.size() < size {
        let index = range.size() / u64::from(TILE_WIDTH);
        let bundle = Tile::of(Content::Entries, index, size).expect("the tree reaches there");
        let path = bundle.to_string();
        let bytes = fetch(source, &path)?;
        let entries = bundle.read_entries(&bytes).map_err(|e| wrong(&path, e.to_string()))?;
        for (at, entry) in (bundle.start()..).zip(entries) {
            let leaf = Leaf::parse(entry).map_err(|e| wrong(&path, format!("entry {at}: {e}")))?;
            if leaf.public_seq() != public_seq {
                let what = format!(
                    "entry {at} counts {} public entries before it, there are {public_seq}",
                    leaf.public_seq()
                );
                return Err(wrong(&path, what));
            }
            public_seq = leaf.next_public_seq();
            range.append_with(leaf.hash(), |at, hash| rows.push(at.level, *hash));
        }
        rows.check_full(source)?;
        progress(range.size());
    }
    if range.root() != checkpoint.root() {
        return Err(wrong(CHECKPOINT_PATH, "the entries do not lead to the signed root"));
    }
    rows.check_rest(source)?;
    Ok(LogReport { checkpoint, public: public_seq, tiles: rows.tiles })
}

fn fetch<S: LogSource>(source: &mut S, path: &str) -> Result<Vec<u8>, LogError> {
    source.fetch(path).map_err(|e| LogError::Fetch { path: path.to_owned(), cause: e.to_string() })
}

fn wrong(path: impl Into<String>, what: impl Into<String>) -> LogError {
    LogError::Wrong { path: path.into(), what: what.into() }
}

/// By tile level: the hashes of the tile that is not full yet, and its index.
#[derive(Default)]
struct Rows {
    rows: Vec<(u64, Vec<Hash>)>,
    tiles: u64,
}

impl Rows {
    fn push(&mut self, level: u8, hash: Hash) {
        if !level.is_multiple_of(TILE_HEIGHT) {
            return;
        }
        let at = usize::from(level / TILE_HEIGHT);
        if self.rows.len() <= at {
            self.rows.resize_with(at + 1, Default::default);
        }
        self.rows[at].1.push(hash);
    }

    fn check_full<S: LogSource>(&mut self, source: &mut S) -> Result<(), LogError> {
        for at in 0..self.rows.len() {
            if self.rows[at].1.len() == usize::from(TILE_WIDTH) {
                self.check(source, at)?;
                self.rows[at].0 += 1;
                self.rows[at].1.clear();
            }
        }
        Ok(())
    }

    fn check_rest<S: LogSource>(&mut self, source: &mut S) -> Result<(), LogError> {
        (0..self.rows.len())
            .filter(|at| !self.rows[*at].1.is_empty())
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|at| self.check(source, at))
    }

    fn check<S: LogSource>(&mut self, source: &mut S, at: usize) -> Result<(), LogError> {
        let (index, hashes) = &self.rows[at];
        let content = Content::Hashes { level: at as u8 };
        let tile = Tile::new(content, *index, hashes.len() as u16).expect("the tree reaches there");
        let path = tile.to_string();
        let bytes = fetch(source, &path)?;
        let found = tile.read_hashes(&bytes).map_err(|e| wrong(&path, e.to_string()))?;
        if let Some(differing) = found.iter().zip(hashes).position(|(found, hash)| found != hash) {
            return Err(wrong(path, format!("hash {differing} is not the one that the entries lead to")));
        }
        self.tiles += 1;
        Ok(())
    }
}
