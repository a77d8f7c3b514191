//! What must not end while the node runs. Where one of these has ended by itself the node is deaf or mute and does not know
//! it, so it ends as a whole: whoever keeps it running may start it again.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A sender that is only ever dropped, or a task: each shows that it has ended, however that came.
pub(super) struct Vital {
    /// The mesh.
    pub mesh: oneshot::Receiver<()>,
    /// The thread that keeps records.
    pub keeper: oneshot::Receiver<()>,
    /// The task that reads them for their evidence.
    pub evidence: JoinHandle<()>,
    /// The task that publishes this node's own.
    pub publisher: JoinHandle<()>,
    /// The tasks beside these, by name.
    pub others: Vec<(&'static str, JoinHandle<()>)>,
}

impl Vital {
    /// Waits until one of them has ended, and names it.
    pub async fn ended(self) -> &'static str {
        tokio::select! {
            _ = self.mesh => "the mesh",
            _ = self.keeper => "the keeper of records",
            _ = self.evidence => "the reader of evidence",
            _ = self.publisher => "the publisher",
            name = first_of(self.others) => name,
        }
    }
}

/// The name of the first task that ends.
async fn first_of(mut tasks: Vec<(&'static str, JoinHandle<()>)>) -> &'static str {
    std::future::poll_fn(|context| {
        let mut tasks = tasks.iter_mut();
        let ended = tasks.find_map(|(name, task)| Pin::new(task).poll(context).is_ready().then_some(*name));
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbours::keeper::{self, Keeper};
    use crate::neighbours::members::Members;
    use crate::neighbours::open_store;
    use artel_audit::os::OsFiles;
    use artel_federation::exchange::Exchange;
    use artel_federation::fact::{Admission, Genesis};
    use artel_protocol::id::{Digest, FederationId};
    use artel_protocol::key::{NodeId, SecretKey};
    use artel_protocol::time::Wall;
    use std::sync::{Arc, Weak};
    use std::time::Duration;

    /// Long enough for anything that happens at all.
    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn the_first_that_ends_is_named_and_a_panic_is_an_end() {
        let names =
            ["the mesh", "the keeper of records", "the reader of evidence", "the publisher", "another"];
        for named in names {
            let (mesh_ends, mesh) = oneshot::channel();
            let (keeper_ends, keeper) = oneshot::channel();
            let mut alive = vec![("the mesh", mesh_ends), ("the keeper of records", keeper_ends)];
            let task = |name: &'static str| {
                tokio::spawn(async move {
                    match name == named {
                        true => panic!("as the test has it"),
                        false => std::future::pending().await,
                    }
                })
            };
            let (evidence, publisher) = (task("the reader of evidence"), task("the publisher"));
            alive.retain(|(name, _)| *name != named);
            let others = ["one more", "another"].map(|name| (name, task(name))).into();
            let ended = Vital { mesh, keeper, evidence, publisher, others }.ended();
            assert_eq!(tokio::time::timeout(SOON, ended).await, Ok(named));
        }
    }

    #[tokio::test]
    async fn the_keepers_end_is_noticed() {
        let node = NodeId(SecretKey::from_seed(&[1; 32]).public());
        let (name, admission, recovery) = ("test".into(), Admission::Invitation, Digest([0; 32]));
        let genesis = Genesis { name, founders: vec![node], admission, recovery, created: Wall(0) };
        let dir = tempfile::tempdir().expect("a directory");
        let files = Arc::new(OsFiles::new(dir.path()));
        let store = open_store(dir.path(), files, FederationId([3; 32])).expect("a new store");
        let members = Members::restore(dir.path(), &store.reader(), &mut Exchange::new(node, genesis));
        let (keeper, queue) = Keeper::new();
        let mut ended = keeper::start((store, members), queue, Weak::new()).expect("a thread");
        assert_eq!(ended.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        keeper.end().await;
        assert!(tokio::time::timeout(SOON, ended).await.expect("noticed").is_err());
    }
}
