//! Values in the one encoding: what reads is written the same.
#![no_main]

use artel_protocol::amount::Credits;
use artel_protocol::codec::{self, Decode, Encode};
use artel_protocol::id::{Digest, Epoch, FederationId, RunId, StepId};
use artel_protocol::key::{AgentId, NodeId, PublicKey, Signature};
use artel_protocol::log::{Checkpoint, Class, Hash, Origin};
use artel_protocol::skill::Skill;
use artel_protocol::text::Correlation;
use artel_protocol::time::Wall;
use libfuzzer_sys::fuzz_target;

fn one_form<T: Encode + Decode<()>>(data: &[u8]) -> Option<T> {
    let value = codec::decode::<T>(data).ok()?;
    assert_eq!(codec::encode(&value), data);
    Some(value)
}

fuzz_target!(|data: &[u8]| {
    one_form::<(u8, u16, u32, u64, bool)>(data);
    one_form::<Vec<Option<String>>>(data);
    one_form::<Vec<(Digest, Vec<u8>)>>(data);
    one_form::<(FederationId, Hash, Class)>(data);
    one_form::<(RunId, StepId, Epoch)>(data);
    one_form::<(Wall, Credits, Vec<Skill>, Option<Correlation>)>(data);
    one_form::<Signature>(data);
    one_form::<(AgentId, NodeId)>(data);
    if let Some(key) = one_form::<PublicKey>(data) {
        // Its text reads back exactly if it is a usable key.
        let checked = PublicKey::checked(*key.bytes());
        assert_eq!(PublicKey::from_did(&key.did()), checked);
        assert_eq!(PublicKey::from_peer_id(&key.peer_id()).ok(), checked.ok());
    }
    if let Some(origin) = one_form::<Origin>(data) {
        let _ = Origin::parse(&origin.to_string());
    }
    if let Some(checkpoint) = one_form::<Checkpoint>(data)
        && let Ok(read) = Checkpoint::parse_body(&checkpoint.body())
    {
        assert_eq!(read, checkpoint);
    }
});
