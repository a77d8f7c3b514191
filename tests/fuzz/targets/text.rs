//! Ids, keys, amounts and skills in text: what reads, prints to something that reads as the same.
#![no_main]

use artel_protocol::amount::Credits;
use artel_protocol::id::{ArtifactId, Digest, EnrollmentId, FederationId, RunId, StepId};
use artel_protocol::key::{PublicKey, SecretKey};
use artel_protocol::skill::Skill;
use artel_protocol::text::{Correlation, is_plain};
use libfuzzer_sys::fuzz_target;
use std::fmt::Display;

fn stable<T: PartialEq + Display, E>(parse: impl Fn(&str) -> Result<T, E>, text: &str) {
    if let Ok(value) = parse(text) {
        assert!(parse(&value.to_string()).is_ok_and(|again| again == value), "{text}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    stable(Digest::parse, text);
    stable(FederationId::parse, text);
    stable(RunId::parse, text);
    stable(StepId::parse, text);
    stable(ArtifactId::parse, text);
    stable(EnrollmentId::parse, text);
    stable(Skill::parse, text);
    stable(|t| Correlation::parse(t).ok_or(()), text);
    if let Ok(amount) = Credits::parse(text) {
        assert_eq!(Credits::parse(&amount.decimal()), Ok(amount));
    }
    if let Ok(key) = PublicKey::from_did(text) {
        assert_eq!(key.did(), text);
    }
    if let Ok(key) = PublicKey::from_peer_id(text) {
        assert_eq!(key.peer_id(), text);
    }
    if let Ok(step) = StepId::parse(text) {
        assert_eq!(step.run().step(step.index()), step);
    }
    let _ = SecretKey::from_pem(text);
    let _ = is_plain(text, 100, true);
});
