//! Values of the store that hold what is private: sealed under the active data key, as the journal seals bodies, and kept
//! in pieces where they are longer than a row.

use super::{MORE, NotReady, Rows, unreadable};
use artel_audit::KeyRing;
use artel_audit::index::{KvStore, Tree, VALUE_BYTES_MAX};

/// The bytes of one piece of a long value.
const PIECE_BYTES: usize = VALUE_BYTES_MAX - 64;

/// The most bytes of one value in pieces; a scan brings no more pieces than that.
const LONG_BYTES_MAX: usize = 1_000 * PIECE_BYTES;

/// Puts a value, sealed, in pieces: the first under its key behind the number of pieces, the others beside it. A value that
/// is too long even so is left out; what it says is read from the journal.
pub(super) fn put_long(rows: &mut Rows, ring: &KeyRing, tree: Tree, key: &[u8], value: &[u8]) {
    let value = ring.seal_value(&mut rand::rng(), &context(tree, key), value);
    if value.len() > LONG_BYTES_MAX {
        return;
    }
    let pieces: Vec<&[u8]> = value.chunks(PIECE_BYTES).collect();
    let count = pieces.len() as u16;
    for (i, piece) in pieces.into_iter().enumerate() {
        if i == 0 {
            rows.push((tree, key.to_vec(), [&count.to_be_bytes(), piece].concat()));
        } else {
            rows.push((MORE, more_key(tree, key, i as u16), piece.to_vec()));
        }
    }
}

/// A value that [`put_long`] put; nothing where it is not whole, or its data key was erased.
pub(super) fn get_long(
    store: &dyn KvStore,
    ring: &KeyRing,
    tree: Tree,
    key: &[u8],
) -> Result<Option<Vec<u8>>, NotReady> {
    let Some(first) = store.get(tree, key).map_err(unreadable)? else { return Ok(None) };
    let Some((count, piece)) = first.split_first_chunk::<2>() else { return Ok(None) };
    let mut value = piece.to_vec();
    for i in 1..u16::from_be_bytes(*count) {
        let Some(piece) = store.get(MORE, &more_key(tree, key, i)).map_err(unreadable)? else {
            return Ok(None);
        };
        value.extend_from_slice(&piece);
    }
    Ok(ring.open_value(&context(tree, key), &value))
}

fn context(tree: Tree, key: &[u8]) -> Vec<u8> {
    [b"artel/1/index\0".as_slice(), &[tree.0], key].concat()
}

fn more_key(tree: Tree, key: &[u8], piece: u16) -> Vec<u8> {
    [&[tree.0], key, &piece.to_be_bytes()].concat()
}
