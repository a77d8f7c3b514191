//! Reading all that is kept of others again, slowly, so that damage is found before anybody asks for what it took: the store takes
//! it for missing then, and it is fetched like all that is missing.

use super::shared::Shared;
use std::sync::Arc;
use std::time::Duration;

/// How long after all of it was read it is read again; a start reads it, too. Longer, and neighbours are likelier to have given up
/// what is damaged here; shorter, and the disk reads more for nothing.
const EACH: Duration = Duration::from_secs(24 * 60 * 60);

/// How much is read at once, and how long is rested then: at most 12 MiB a second, so a full store (4 GiB) takes some six minutes.
const READ_BYTES: usize = 256 << 10;
const REST: Duration = Duration::from_millis(20);

/// Reads for as long as the node runs.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        for (origin, mark) in shared.records.marks() {
            let mut from = mark.floor;
            loop {
                let records = shared.records.clone();
                let reading = move || records.frames(&origin, from, READ_BYTES).1;
                // It panics where the index does; then the node ends, by the name of this task.
                let Ok(next) = tokio::task::spawn_blocking(reading).await else { return };
                if next <= from {
                    break;
                }
                from = next;
                tokio::time::sleep(REST).await;
            }
            shared.keeper.mend();
        }
        tokio::time::sleep(EACH).await;
    }
}
