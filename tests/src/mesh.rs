//! Nodes that are joined into one federation: who listens, who lets whom in, what each holds of the others.

use crate::node::{Artel, Node, Up};
use crate::wait;
use serde_json::Value;
use std::path::Path;

/// Where test nodes listen: any port of this machine.
pub const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";

/// Waits until something holds.
///
/// # Panics
/// When the deadline passes first.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    wait::until(what, || holds().then_some(()));
}

/// Makes an invitation of the node that runs on a directory.
#[track_caller]
pub fn invite(artel: &Artel, data: &Path, uses: u32) -> String {
    let uses = uses.to_string();
    let made =
        artel.run(["invite", "--uses", &uses, "--json", "--data", data.to_str().expect("UTF-8")]).json();
    made["invitation"].as_str().expect("an invitation").to_owned()
}

/// A node that listens, not started yet: a founder where the directory is fresh.
pub fn listening(artel: &Artel, data: &Path) -> Up {
    artel.up(data).arg("--listen").arg(LISTEN)
}

/// A node that joins by an invitation, not started yet.
pub fn joining(artel: &Artel, data: &Path, invitation: &str) -> Up {
    listening(artel, data).arg("--join").arg(invitation)
}

/// The rows of one page of a list, as the operator sees them.
pub fn items(node: &Node, path: &str) -> Vec<Value> {
    node.operator().get(path).is(200)["items"].as_array().expect("a list").clone()
}

/// How many peers have accepted a node and are accepted by it.
pub fn admitted(node: &Node) -> usize {
    items(node, "/v1/peers").iter().filter(|peer| peer["status"] == "admitted").count()
}

/// How many records `holder` has of another node's journal, without a gap.
pub fn held(holder: &Node, of: &str) -> u64 {
    let journals = items(holder, "/v1/journals?limit=200");
    let found =
        journals.iter().find(|journal| journal["origin"].as_str().is_some_and(|origin| origin.contains(of)));
    found.map_or(0, |journal| journal["held_up_to"].as_u64().expect("a number"))
}
