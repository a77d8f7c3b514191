//! The harness of the whole-system tests: nodes as real processes, plain HTTP, agents with keys of their own. It never
//! sleeps for luck: it waits for a condition until a deadline. It uses no port but those that the system gives, no
//! directory but fresh ones, and leaves no process behind.

pub mod agent;
pub mod disk;
pub mod http;
pub mod ledger;
pub mod mesh;
pub mod node;
pub mod place;
pub mod receipt;
pub mod shell;
pub mod socket;
pub mod wait;

pub use agent::Agent;
pub use disk::Disk;
pub use http::{Answer, Client, Request};
pub use node::{Artel, Done, Node};
pub use place::Place;
pub use shell::{Shell, Typed};
pub use socket::Socket;

/// The rows of a list that comes in pages. A node that has just started may still be opening its index; that is waited for.
pub fn all_pages(client: &mut Client, path: &str) -> Vec<serde_json::Value> {
    let join = if path.contains('?') { '&' } else { '?' };
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let from = cursor.map_or_else(String::new, |cursor: String| format!("&cursor={cursor}"));
        let path = format!("{path}{join}limit=200{from}");
        let page = wait::until("the index", || {
            let answer = client.get(&path);
            if answer.status == 503 && answer.code() == "index_opening" { None } else { Some(answer.is(200)) }
        });
        items.extend(page["items"].as_array().expect("a list has items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return items,
        }
    }
}
