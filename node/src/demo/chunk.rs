//! Cutting a tree into chunks, and the bytes of a chunk: one line of JSON that lists the files, then their contents one
//! behind the other. A chunk travels as an artifact; the task names only its digest.

use super::files::Found;
use serde::{Deserialize, Serialize};

/// The most chunks of one survey: a run has at most 200 steps, and one of them merges.
pub const CHUNKS_MAX: usize = 199;
/// About how many chunks a large tree is cut into.
const CHUNKS_USUAL: u64 = 64;
/// A chunk is closed at this size at the earliest, so that a small tree does not become many tiny tasks.
const CHUNK_BYTES_MIN: u64 = 16 << 10;
/// A chunk is closed at this many files at the earliest.
const CHUNK_FILES_MIN: usize = 4;
/// The most bytes of a chunk that a worker reads (64 MiB): far above what the limits of a tree lead to.
pub const CHUNK_BYTES_MAX: usize = 64 << 20;

/// One file in a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its path.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}

/// Groups files into at most [`CHUNKS_MAX`] chunks of neighbours.
pub fn cut(files: &[Found]) -> Vec<&[Found]> {
    let total: u64 = files.iter().map(|f| f.bytes).sum();
    let bytes_enough = (total / CHUNKS_USUAL).max(CHUNK_BYTES_MIN);
    let files_enough = (files.len() / CHUNKS_USUAL as usize + 1).max(CHUNK_FILES_MIN);
    let mut chunks = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, file) in files.iter().enumerate() {
        bytes += file.bytes;
        // At most 64 chunks close for either reason, so that they are at most 129.
        if bytes >= bytes_enough || at + 1 - start >= files_enough {
            chunks.push(&files[start..=at]);
            (start, bytes) = (at + 1, 0);
        }
    }
    if start < files.len() {
        chunks.push(&files[start..]);
    }
    debug_assert!(chunks.len() <= CHUNKS_MAX, "two reasons to close, 64 chunks each");
    chunks
}

/// The bytes of a chunk.
pub fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let parts: Vec<Part> =
        files.iter().map(|(path, bytes)| Part { path: path.clone(), bytes: bytes.len() as u64 }).collect();
    let mut packed = serde_json::to_vec(&parts).expect("paths and numbers are JSON");
    packed.push(b'\n');
    files.iter().for_each(|(_, bytes)| packed.extend_from_slice(bytes));
    packed
}

/// Reads a chunk's bytes back.
///
/// # Errors
/// A sentence when the bytes are not a chunk's.
pub fn unpack(packed: &[u8]) -> anyhow::Result<Vec<(String, &[u8])>> {
    let Some(end) = packed.iter().position(|b| *b == b'\n') else {
        anyhow::bail!("the chunk has no list of files");
    };
    let parts: Vec<Part> = serde_json::from_slice(&packed[..end])
        .map_err(|e| anyhow::anyhow!("the chunk's list of files is not one: {e}"))?;
    let mut rest = &packed[end + 1..];
    let mut files = Vec::with_capacity(parts.len());
    for part in parts {
        let bytes = usize::try_from(part.bytes).ok().and_then(|n| rest.split_at_checked(n));
        let Some((content, tail)) = bytes else { anyhow::bail!("the chunk ends within {}", part.path) };
        files.push((part.path, content));
        rest = tail;
    }
    if !rest.is_empty() {
        anyhow::bail!("the chunk has {} bytes that belong to no file", rest.len());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: impl IntoIterator<Item = u64>) -> Vec<Found> {
        sizes.into_iter().enumerate().map(|(n, bytes)| Found { path: format!("{n:05}"), bytes }).collect()
    }

    #[test]
    fn every_file_is_in_one_chunk_and_chunks_are_bounded() {
        for sizes in [
            vec![],
            vec![5],
            vec![1; 16_384],
            vec![2 << 20; 128],
            (0..4_000).map(|n| if n % 3 == 0 { 60_000 } else { 10 }).collect(),
            (0..8_192).map(|n| if n < 8_000 { 1 } else { 1 << 20 }).collect(),
        ] {
            let files = files(sizes);
            let chunks = cut(&files);
            assert!(chunks.len() <= CHUNKS_MAX, "{} chunks", chunks.len());
            assert!(chunks.iter().all(|c| !c.is_empty()));
            assert_eq!(chunks.concat(), files);
        }
    }

    #[test]
    fn a_small_tree_is_still_several_tasks() {
        assert_eq!(cut(&files(vec![100; 20])).len(), 5);
    }

    #[test]
    fn a_chunk_reads_back() {
        let files = vec![
            ("a b\n\"".to_owned(), b"one\n".to_vec()),
            ("empty".into(), vec![]),
            ("z".into(), vec![0, 255, b'\n']),
        ];
        let packed = pack(&files);
        let read: Vec<(String, Vec<u8>)> =
            unpack(&packed).expect("reads").into_iter().map(|(p, b)| (p, b.to_vec())).collect();
        assert_eq!(read, files);
    }

    #[test]
    fn a_damaged_chunk_is_refused() {
        let packed = pack(&[("a".to_owned(), b"one\n".to_vec())]);
        assert!(unpack(&packed[..packed.len() - 1]).is_err());
        assert!(unpack(&[packed.as_slice(), b"x"].concat()).is_err());
        assert!(unpack(b"").is_err());
        assert!(unpack(b"{}\n").is_err());
        assert!(unpack(b"[{\"path\":\"a\",\"bytes\":18446744073709551615}]\n").is_err());
    }
}
