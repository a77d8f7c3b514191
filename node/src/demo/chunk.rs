//! Cutting a tree into chunks, and the bytes of a chunk: one line of JSON that lists the files, then their contents one
//! behind the other. A chunk travels as an artifact; the task names only its digest.

use super::files::Found;
use serde::Serialize;

/// The most chunks of one survey: a run has at most 200 steps, and one of them merges.
pub const CHUNKS_MAX: usize = 199;
/// About how many chunks a large tree is cut into.
const CHUNKS_USUAL: u64 = 64;
/// A chunk is closed at this size at the earliest, so that a small tree does not become many tiny tasks.
const CHUNK_BYTES_MIN: u64 = 16 << 10;
/// A chunk is closed at this many files at the earliest.
const CHUNK_FILES_MIN: usize = 4;

/// One file in a chunk. The guest that reads it (`guest/survey.c`) counts on this order.
#[derive(Serialize)]
struct Part<'a> {
    path: &'a str,
    bytes: usize,
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
    let parts: Vec<Part<'_>> = files.iter().map(|(path, bytes)| Part { path, bytes: bytes.len() }).collect();
    let mut packed = serde_json::to_vec(&parts).expect("paths and numbers are JSON");
    packed.push(b'\n');
    files.iter().for_each(|(_, bytes)| packed.extend_from_slice(bytes));
    packed
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
    fn a_chunk_is_a_line_of_json_and_the_contents() {
        let files = [
            ("a b\n\"é".to_owned(), b"one\n".to_vec()),
            ("empty".into(), vec![]),
            ("z".into(), vec![0, 255, b'\n']),
        ];
        let list = r#"[{"path":"a b\n\"é","bytes":4},{"path":"empty","bytes":0},{"path":"z","bytes":3}]"#;
        let wanted = [list.as_bytes(), b"\none\n\0\xff\n"].concat();
        assert_eq!(pack(&files), wanted);
        assert_eq!(pack(&[]), b"[]\n");
    }
}
