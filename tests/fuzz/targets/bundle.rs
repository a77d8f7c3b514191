//! Entry bundles: the first byte is the width, the rest the bundle; what reads is written the same.
#![no_main]

use artel_protocol::log::tile::{Content, Tile, append_entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((width, bundle)) = data.split_first() else { return };
    let tile = Tile::new(Content::Entries, 0, u16::from(*width) + 1).expect("1 to 256 wide");
    let Ok(entries) = tile.read_entries(bundle) else { return };
    let mut written = Vec::new();
    for entry in &entries {
        append_entry(entry, &mut written).expect("it was read with a two-byte length");
    }
    assert_eq!(written, bundle);
});
