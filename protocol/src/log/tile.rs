//! Tiles and entry bundles (C2SP tlog-tiles): where a journal's hashes and leaves are served, and in which bytes.
//!
//! Tile level L holds the tree's level 8·L. A path is relative to the log's prefix and has one form.

use super::checkpoint::decimal;
use super::tree::{Hash, Subtree, TREE_SIZE_MAX};
use std::fmt;

/// The hashes of a full tile and the entries of a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// The levels of the tree from one tile level to the next.
pub const TILE_HEIGHT: u8 = 8;

/// The bytes of a hash.
const HASH_BYTES: usize = 32;

/// Why something is not a tile, a path of one, or its bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a tile's path in its one form.
    #[error("not a tile's path (want tile/L/N, tile/entries/N, and .p/W for a partial one)")]
    Path,
    /// Not 1 to 256 wide, or further right or up than any log reaches.
    #[error("no log has such a tile")]
    Place,
    /// The bytes are not as many hashes as the tile is wide.
    #[error("a tile of {width} hashes does not have {got} bytes")]
    TileBytes {
        /// How many hashes it should have.
        width: u16,
        /// How many bytes there are.
        got: usize,
    },
    /// The bytes end within an entry, or there are more or fewer entries than the bundle is wide.
    #[error("not a bundle of {width} entries")]
    BundleBytes {
        /// How many entries it should have.
        width: u16,
    },
    /// An entry that a two-byte length cannot say.
    #[error("an entry of {0} bytes, more than 65535")]
    EntryBytes(usize),
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// Hashes of complete subtrees of 256^level leaves.
    Hashes {
        /// The tile level.
        level: u8,
    },
    /// The leaves themselves: an entry bundle.
    Entries,
}

/// A tile: what it holds, which one from the left it is, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    content: Content,
    index: u64,
    width: u16,
}

impl Tile {
    /// Names a tile that some log may have.
    ///
    /// # Errors
    /// [`Error::Place`].
    pub fn new(content: Content, index: u64, width: u16) -> Result<Self, Error> {
        let fits = match content {
            Content::Entries => Some(0),
            Content::Hashes { level } => level.checked_mul(TILE_HEIGHT).filter(|bits| *bits < 64),
        }
        .and_then(|bits| {
            let end = index.checked_mul(TILE_WIDTH.into())?.checked_add(width.into())?;
            Some(end <= TREE_SIZE_MAX >> bits)
        });
        if !(1..=TILE_WIDTH).contains(&width) || fits != Some(true) {
            return Err(Error::Place);
        }
        Ok(Tile { content, index, width })
    }

    /// The tile as wide as the tree of `size` leaves has it, or nothing when that tree has none there.
    pub fn of(content: Content, index: u64, size: u64) -> Option<Self> {
        let bits = match content {
            Content::Entries => 0,
            Content::Hashes { level } => u32::from(level) * u32::from(TILE_HEIGHT),
        };
        let start = index.checked_mul(TILE_WIDTH.into())?;
        let there = size.min(TREE_SIZE_MAX).checked_shr(bits)?.checked_sub(start)?;
        Tile::new(content, index, there.min(TILE_WIDTH.into()) as u16).ok()
    }

    /// Reads a path such as `tile/0/x001/234.p/7` or `tile/entries/000`.
    ///
    /// # Errors
    /// [`Error::Path`] or [`Error::Place`].
    pub fn parse(path: &str) -> Result<Self, Error> {
        // Seven elements reach beyond any log; a longer path is not looked at.
        if path.len() > 64 {
            return Err(Error::Path);
        }
        let rest = path.strip_prefix("tile/").ok_or(Error::Path)?;
        let (what, rest) = rest.split_once('/').ok_or(Error::Path)?;
        let content = match what {
            "entries" => Content::Entries,
            level => Content::Hashes {
                level: decimal(level).and_then(|l| u8::try_from(l).ok()).ok_or(Error::Path)?,
            },
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((index, width)) => {
                let width = decimal(width).filter(|w| (1..u64::from(TILE_WIDTH)).contains(w));
                (index, width.ok_or(Error::Path)? as u16)
            }
        };
        let tile = Tile::new(content, parse_index(index).ok_or(Error::Path)?, width)?;
        // A needless leading element would be a second path of the same tile.
        if tile.to_string() == path { Ok(tile) } else { Err(Error::Path) }
    }

    /// What it holds.
    pub fn content(&self) -> Content {
        self.content
    }

    /// Which one from the left it is, counted from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Where its first hash or entry stands among all of its level.
    pub fn start(&self) -> u64 {
        self.index * u64::from(TILE_WIDTH)
    }

    /// Whether the tree of `size` leaves has this tile, at this width or wider.
    pub fn is_in(&self, size: u64) -> bool {
        Tile::of(self.content, self.index, size).is_some_and(|tile| tile.width >= self.width)
    }

    /// Reads a hash tile's bytes.
    ///
    /// # Errors
    /// [`Error::TileBytes`].
    pub fn read_hashes(&self, bytes: &[u8]) -> Result<Vec<Hash>, Error> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if hashes.len() != usize::from(self.width) || !rest.is_empty() {
            return Err(Error::TileBytes { width: self.width, got: bytes.len() });
        }
        Ok(hashes.iter().copied().map(Hash).collect())
    }

    /// Reads an entry bundle's bytes: exactly as many entries as the tile is wide.
    ///
    /// # Errors
    /// [`Error::BundleBytes`].
    pub fn read_entries<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, Error> {
        let wrong = Error::BundleBytes { width: self.width };
        let mut entries = Vec::with_capacity(self.width.into());
        let mut rest = bytes;
        for _ in 0..self.width {
            let Some((len, tail)) = rest.split_first_chunk() else {
                return Err(wrong);
            };
            let Some((entry, tail)) = tail.split_at_checked(u16::from_be_bytes(*len).into()) else {
                return Err(wrong);
            };
            entries.push(entry);
            rest = tail;
        }
        if rest.is_empty() { Ok(entries) } else { Err(wrong) }
    }
}

/// Appends one entry to a bundle: its length in two bytes, big-endian, and its bytes.
///
/// # Errors
/// [`Error::EntryBytes`] when it has more than 65,535.
pub fn append_entry(entry: &[u8], bundle: &mut Vec<u8>) -> Result<(), Error> {
    let len = u16::try_from(entry.len()).map_err(|_| Error::EntryBytes(entry.len()))?;
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Where the hashes stand from which a complete subtree's own follows: `count` of them, side by side in one tile. The
/// subtree's hash is [`super::tree::root_of`] over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The tile level.
    pub level: u8,
    /// The tile's index in that level.
    pub index: u64,
    /// The first hash within the tile, 0 to 255.
    pub offset: u16,
    /// How many hashes, 1 to 128 and a power of two.
    pub count: u16,
}

impl Place {
    /// Where the subtree stands.
    pub fn of(subtree: Subtree) -> Self {
        let above = subtree.level % TILE_HEIGHT;
        let first = subtree.index << above;
        Place {
            level: subtree.level / TILE_HEIGHT,
            index: first / u64::from(TILE_WIDTH),
            offset: (first % u64::from(TILE_WIDTH)) as u16,
            count: 1 << above,
        }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Entries => f.write_str("tile/entries/")?,
            Content::Hashes { level } => write!(f, "tile/{level}/")?,
        }
        write_index(self.index, f)?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// Writes an index in path elements of three digits, all but the last one behind an `x`.
fn write_index(index: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut unit = 1;
    while index / unit >= 1_000 {
        unit *= 1_000;
    }
    while unit > 1 {
        write!(f, "x{:03}/", index / unit % 1_000)?;
        unit /= 1_000;
    }
    write!(f, "{:03}", index % 1_000)
}

fn parse_index(text: &str) -> Option<u64> {
    let mut index: u64 = 0;
    let mut elements = text.split('/').peekable();
    while let Some(element) = elements.next() {
        let digits = match elements.peek() {
            Some(_) => element.strip_prefix('x')?,
            None => element,
        };
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::{leaves, reader};
    use super::super::tree::{TREE_SIZE_MAX, root_of};
    use super::*;

    fn hashes(level: u8) -> Content {
        Content::Hashes { level }
    }

    #[test]
    fn paths_read_and_print() {
        for (path, content, index, width) in [
            ("tile/0/000", hashes(0), 0, 256),
            ("tile/0/005.p/1", hashes(0), 5, 1),
            ("tile/1/999.p/255", hashes(1), 999, 255),
            ("tile/0/x001/000", hashes(0), 1_000, 256),
            ("tile/0/x001/x234/067", hashes(0), 1_234_067, 256),
            ("tile/entries/x001/x234/067.p/9", Content::Entries, 1_234_067, 9),
            ("tile/7/000.p/64", hashes(7), 0, 64),
        ] {
            let tile = Tile::new(content, index, width).expect(path);
            assert_eq!(tile.to_string(), path);
            assert_eq!(Tile::parse(path), Ok(tile));
        }
    }

    #[test]
    fn paths_in_another_form_are_refused() {
        for path in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "/tile/0/000",
            "tile/00/000",
            "tile/+0/000",
            "tile/-1/000",
            "tile/64/000",
            "tile/256/000",
            "tile/0/x000",
            "tile/0/x000/001",
            "tile/0/001/000",
            "tile/0/001/",
            "tile/0/+01",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/data/000",
            "tile/0/000?",
            "tile/0/x999/x999/x999/x999/x999/x999/999",
            "tile/8/000.p/1",
        ] {
            assert!(Tile::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_specifications_tree_of_70000_has_its_tiles() {
        let width = |level, index, size| Tile::of(hashes(level), index, size).map(|t| t.width());
        assert_eq!(width(0, 272, 70_000), Some(256));
        assert_eq!(width(0, 273, 70_000), Some(112));
        assert_eq!(width(0, 274, 70_000), None);
        assert_eq!(width(1, 0, 70_000), Some(256));
        assert_eq!(width(1, 1, 70_000), Some(17));
        assert_eq!(width(2, 0, 70_000), Some(1));
        assert_eq!(width(3, 0, 70_000), None);
        assert_eq!((width(0, 0, 256), width(0, 1, 256), width(1, 0, 256)), (Some(256), None, Some(1)));
        assert_eq!((width(0, 0, 0), width(255, 0, u64::MAX), width(0, u64::MAX, 9)), (None, None, None));
        assert_eq!(width(7, 0, TREE_SIZE_MAX), Some(64));
    }

    #[test]
    fn a_narrower_tile_is_in_the_tree_and_a_wider_one_is_not() {
        let tile = |width| Tile::new(Content::Entries, 1, width).expect("a small tile");
        assert!(tile(3).is_in(260) && tile(4).is_in(260));
        assert!(!tile(5).is_in(260) && !tile(1).is_in(256));
    }

    #[test]
    fn a_subtree_is_found_in_its_tile() {
        let leaves = leaves(1024);
        let read = reader(&leaves);
        for level in 0..=10u8 {
            for index in 0..1024u64 >> level {
                let at = Subtree { level, index };
                let place = Place::of(at);
                let tile = Tile::of(hashes(place.level), place.index, 1024).expect("within the tree");
                let held: Vec<Hash> = (tile.start()..tile.start() + u64::from(tile.width()))
                    .map(|index| {
                        let level = place.level * TILE_HEIGHT;
                        read(Subtree { level, index }).expect("within the tree")
                    })
                    .collect();
                let used = &held[usize::from(place.offset)..][..usize::from(place.count)];
                assert_eq!(Ok(root_of(used)), read(at), "{at:?}");
            }
        }
    }

    #[test]
    fn bundles_hold_exactly_as_many_entries_as_they_say() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            append_entry(entry, &mut bundle).expect("short");
        }
        assert_eq!(bundle, b"\0\x03one\0\0\0\x05three");
        let tile = |width| Tile::new(Content::Entries, 0, width).expect("a small tile");
        assert_eq!(tile(3).read_entries(&bundle), Ok(vec![&b"one"[..], b"", b"three"]));
        for width in [1, 2, 4, 256] {
            assert_eq!(tile(width).read_entries(&bundle), Err(Error::BundleBytes { width }));
        }
        for end in 0..bundle.len() {
            assert!(tile(3).read_entries(&bundle[..end]).is_err(), "{end}");
        }
        assert_eq!(append_entry(&[0; 65_536], &mut bundle), Err(Error::EntryBytes(65_536)));
    }

    #[test]
    fn a_hash_tile_has_exactly_its_hashes() {
        let tile = Tile::new(hashes(0), 0, 2).expect("a small tile");
        assert_eq!(tile.read_hashes(&[7; 64]), Ok(vec![Hash([7; 32]); 2]));
        for len in [0, 32, 63, 65, 96] {
            assert_eq!(tile.read_hashes(&vec![7; len]), Err(Error::TileBytes { width: 2, got: len }));
        }
    }
}
