//! Work that takes long, on threads of its own: a connection's thread serves many and would serve none of them meanwhile.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// Where it is done, and how much of it at once.
pub(crate) struct Apart(Arc<Semaphore>);

impl Apart {
    /// Half as many at once as there are cores, so that the driver has one.
    pub fn of_this_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Apart::with(cores.div_ceil(2))
    }

    fn with(places: usize) -> Self {
        Apart(Arc::new(Semaphore::new(places)))
    }

    /// Does it when there is room. Nothing where it panicked. Its place is held until it is done, even where nobody waits any
    /// more; nothing is done where nobody waits when its turn comes.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test]
    async fn no_more_is_done_at_once_than_there_is_room_for() {
        let apart = Apart::with(1);
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let first = apart.run(move || {
            begun.send(()).expect("the test waits");
            may_go_on.recv().expect("the test says so")
        });
        let mut first = Box::pin(first);
        assert!((&mut first).now_or_never().is_none());
        has_begun.recv_timeout(Duration::from_secs(30)).expect("it begins");
        // Who asked is gone; what was begun goes on and keeps its place.
        drop(first);
        assert_eq!(apart.0.available_permits(), 0);
        let mut second = Box::pin(apart.run(|| 2));
        assert!((&mut second).now_or_never().is_none());
        go_on.send(()).expect("the first waits");
        assert_eq!(second.await, Some(2));
    }

    #[tokio::test]
    async fn what_panics_gives_its_place_back() {
        let apart = Apart::with(1);
        assert_eq!(apart.run(|| panic!("as the test wants")).await, None::<()>);
        assert_eq!(apart.run(|| 1).await, Some(1));
    }
}
