//! Cosignature lines on a fixed checkpoint, and whole cosigned checkpoints: nothing but a witness's own line is accepted.
#![no_main]

use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::cosignature::known;
use artel_protocol::log::note::SignatureLine;
use artel_protocol::log::{Checkpoint, Cosignature, Hash, NoteKey, Origin, SignedCheckpoint, Witness};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::sync::LazyLock;

static FIXED: LazyLock<(Checkpoint, NoteKey)> = LazyLock::new(|| {
    let node = NodeId(SecretKey::from_seed(&[7; 32]).public());
    let federation = FederationId([3; 32]);
    let checkpoint = Checkpoint::new(Origin::new(federation, node, 0), 11, Hash([1; 32]));
    (checkpoint.expect("a plain checkpoint"), Witness { federation, node }.note_key())
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let (checkpoint, witness) = &*FIXED;
    if let Ok(line) = SignatureLine::parse(text)
        && let Ok(cosignature) = Cosignature::from_line(checkpoint, witness, &line)
    {
        assert_eq!(cosignature.line(), line);
    }
    if let Ok(name) = Witness::parse(text) {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(signed) = SignedCheckpoint::parse(text) {
        let names = signed.note().signatures().iter().map(|line| line.name().as_str());
        let witnesses: BTreeSet<NoteKey> =
            names.filter_map(|n| Some(Witness::parse(n).ok()?.note_key())).collect();
        let counted = known(&signed, &witnesses).map_or(0, |c| c.len());
        assert!(counted <= witnesses.len());
    }
});
