//! Where a node is at present, for threads that go on while it is killed and started again on another port.

use crate::http::{Answer, Client, Request};
use crate::wait::DEADLINE;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A node's present address, or that it is away.
#[derive(Default)]
pub struct Place {
    address: Mutex<Option<SocketAddr>>,
    changed: Condvar,
}

impl Place {
    /// The node is here now.
    pub fn set(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        self.changed.notify_all();
    }

    /// Where the node is, if it is anywhere.
    pub fn now(&self) -> Option<SocketAddr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node is about to go.
    pub fn gone(&self) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The node's address, once it has one.
    ///
    /// # Panics
    /// When it stays away past the deadline.
    pub fn wait(&self) -> SocketAddr {
        let guard = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(guard, DEADLINE, |address| address.is_none());
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        guard.expect("the node comes back before the deadline")
    }

    /// Sends a request until it is answered by a node that is not on its way in or out.
    ///
    /// # Panics
    /// When there is no answer before the deadline.
    pub fn send(&self, client: &mut Client, request: &Request) -> Answer {
        let end = Instant::now() + DEADLINE;
        loop {
            let address = self.wait();
            if client.node() != address {
                client.move_to(address);
            }
            match client.try_send(request) {
                Ok(answer) if answer.status != 503 => return answer,
                _ => assert!(Instant::now() < end, "no answer to {request:?}"),
            }
            std::thread::yield_now();
        }
    }
}
