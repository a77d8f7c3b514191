//! Tile paths: what reads is written the same, and names a tile that some tree has.
#![no_main]

use artel_protocol::log::Tile;
use artel_protocol::log::tree::TREE_SIZE_MAX;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(tile) = Tile::parse(text) {
        assert_eq!(tile.to_string(), text);
        assert!(tile.is_in(TREE_SIZE_MAX));
        let _ = tile.read_hashes(data);
    }
});
