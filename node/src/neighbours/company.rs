//! Whether this node has neighbours, as the rules are told it: while there are some, offers are kept for a moment for the best.

use super::shared::Shared;
use artel_federation::Input;
use std::sync::Arc;
use std::time::Duration;

/// How often it is said again: a notice may be dropped, and rules that began anew after a failure of the disk know nothing of it.
/// Until then an offer has the other window, and nothing is lost by that.
const AGAIN: Duration = Duration::from_secs(5);

/// Tells it, at once where a neighbour came up.
pub(super) async fn tell(shared: Arc<Shared>) {
    let mut changes = shared.up_changes.subscribe();
    loop {
        let some = !shared.up().is_empty();
        shared.handle.tell(Input::Neighbours(some));
        if let Ok(Err(_)) = tokio::time::timeout(AGAIN, changes.changed()).await {
            return;
        }
    }
}
