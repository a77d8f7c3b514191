//! The server: accepts connections, up to a bound, with TLS or on loopback only; drives each one under its clock; and
//! ends them all at shutdown, the kind way first.

use crate::app::{self, App, Ends};
use crate::connection::{Limits, Timed, Watch};
use crate::options::Options;
use crate::routes;
use crate::service::Service;
use crate::socket::{Opening, Session};
use axum::Router;
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The most headers of a request; one with more gets 431. Ours need about ten.
const HEADERS_MAX: usize = 64;
/// The most bytes buffered for a connection (64 KiB), and so of a request's head; a longer one gets 431.
const BUFFER_BYTES: usize = 64 << 10;
/// How long to wait after a failed accept: out of file descriptors heals only when a connection closes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can be reached from elsewhere, and there is no TLS.
    #[error(
        "{0} can be reached from other machines, so it needs TLS; configure a certificate and key, or listen on 127.0.0.1"
    )]
    TlsRequired(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: Options,
}

impl Server {
    /// Begins to listen. Connections wait in the kernel's queue until [`Server::run`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn bind(options: Options) -> Result<Self, Error> {
        let address = options.listen;
        if !address.ip().to_canonical().is_loopback() && options.tls.is_none() && !options.insecure_http {
            return Err(Error::TlsRequired(address));
        }
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Server { listener, address, options })
    }

    /// The address that it listens on, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it can be called, as a URL: its address, or where that is none in particular (`0.0.0.0`, `::`) its first
    /// name, else loopback.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", reachable(self.address, &self.options.names))
    }

    /// Answers requests until `closing` is cancelled; then lets open ones end, and cuts those that take too long.
    pub async fn run<S: Service>(self, service: S, closing: CancellationToken) {
        let Server { listener, options, .. } = self;
        let tls = options.tls.clone().map(TlsAcceptor::from);
        let app = App::new(service, options.clone(), closing.clone());
        let shared = Shared { router: routes::router(app.clone()), app, kill: CancellationToken::new() };
        let slots = Arc::new(Semaphore::new(options.connections_max));
        let census = Arc::new(Census::default());
        let tasks = TaskTracker::new();
        let next = async || {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("never closed");
            (slot, listener.accept().await)
        };
        loop {
            let (slot, accepted) = tokio::select! {
                next = next() => next,
                () = closing.cancelled() => break,
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(place) = census.enter(remote.ip().to_canonical(), options.connections_per_address_max)
            else {
                continue;
            };
            let (shared, tls, more) = (shared.clone(), tls.clone(), tasks.clone());
            tasks.spawn(async move {
                let held = (slot, place);
                let kill = shared.kill.clone();
                let session = tokio::select! {
                    session = connect(shared, stream, remote, tls) => session,
                    () = kill.cancelled() => None,
                };
                // A socket that stays has a task of its own, without the room that its requests took.
                if let Some(session) = session {
                    more.spawn(async move {
                        let _held = held;
                        tokio::select! {
                            () = session => {}
                            () = kill.cancelled() => {}
                        }
                    });
                }
            });
        }
        drop(listener);
        tasks.close();
        if tokio::time::timeout(options.shutdown, tasks.wait()).await.is_err() {
            tracing::warn!(open = tasks.len(), "connections did not end in time and are cut");
            shared.kill.cancel();
            tasks.wait().await;
        }
    }
}

/// An authority to connect to. Nobody connects to an unspecified address, and no certificate is made out for one.
fn reachable(address: SocketAddr, names: &[String]) -> String {
    let port = address.port();
    match (address.ip(), names.first()) {
        (ip, Some(name)) if ip.is_unspecified() => format!("{name}:{port}"),
        (IpAddr::V4(ip), None) if ip.is_unspecified() => format!("{}:{port}", Ipv4Addr::LOCALHOST),
        (IpAddr::V6(ip), None) if ip.is_unspecified() => format!("[{}]:{port}", Ipv6Addr::LOCALHOST),
        _ => address.to_string(),
    }
}

/// What all connections share.
struct Shared<S> {
    app: App<S>,
    router: Router,
    kill: CancellationToken,
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Shared { app: self.app.clone(), router: self.router.clone(), kill: self.kill.clone() }
    }
}

/// What goes on with a connection that became a WebSocket.
type Going = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn connect<S: Service>(
    shared: Shared<S>,
    stream: TcpStream,
    remote: SocketAddr,
    tls: Option<TlsAcceptor>,
) -> Option<Going> {
    // Answers are written whole; waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok()?;
    let ends = Ends { remote: remote.ip().to_canonical(), local: local.ip(), tls: tls.is_some() };
    let Some(tls) = tls else { return serve(shared, stream, ends).await };
    match tokio::time::timeout(shared.app.options.handshake, tls.accept(stream)).await {
        Ok(Ok(stream)) => return serve(shared, stream, ends).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
    None
}

async fn serve<S: Service, T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    shared: Shared<S>,
    stream: T,
    ends: Ends,
) -> Option<Going> {
    let watch = Arc::new(Watch::default());
    let stream = Timed::new(stream, Arc::clone(&watch), Limits::from(&shared.app.options));
    let (closing, app, opening) = (shared.app.closing.clone(), shared.app.clone(), Opening::default());
    let answer = {
        let (watch, opening) = (Arc::clone(&watch), opening.clone());
        move |request: hyper::Request<hyper::body::Incoming>| {
            watch.begin();
            let has_body = !request.body().is_end_stream();
            let mut request = request.map(app::incoming);
            request.extensions_mut().insert(opening.clone());
            let (watch, app, router) = (Arc::clone(&watch), shared.app.clone(), shared.router.clone());
            async move {
                let response = app.answer(router, ends, request).await;
                watch.answered(has_body && response.status().is_client_error());
                Ok::<_, Infallible>(response)
            }
        }
    };
    let mut connection = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut asked_to_close = false;
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            () = closing.cancelled(), if !asked_to_close => {
                asked_to_close = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
        return None;
    }
    // The connection is whole where its last answer was that it changes its protocol.
    let opened = opening.take()?;
    let parts = connection.into_parts();
    Some(Box::pin(Session::new(app, parts.io.into_inner().into_inner(), &parts.read_buf, opened)))
}

/// How many connections each remote address has.
#[derive(Debug, Default)]
struct Census(Mutex<HashMap<IpAddr, u32>>);

impl Census {
    /// Counts a connection in; nothing where its address has too many. Loopback is not counted: its processes are the
    /// operator's own.
    fn enter(self: &Arc<Self>, remote: IpAddr, most: u32) -> Option<Place> {
        if remote.is_loopback() {
            return Some(Place(None));
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(remote).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place(Some((Arc::clone(self), remote))))
    }
}

/// A counted connection; dropping it counts it out.
struct Place(Option<(Arc<Census>, IpAddr)>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some((census, remote)) = self.0.take() else { return };
        let mut counts = census.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&remote) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&remote);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_that_can_be_connected_to() {
        for (address, names, authority) in [
            ("127.0.0.1:7433", &["node.example"][..], "127.0.0.1:7433"),
            ("[::1]:7433", &[], "[::1]:7433"),
            ("10.0.0.5:1", &[], "10.0.0.5:1"),
            ("0.0.0.0:7433", &["node.example", "other.example"], "node.example:7433"),
            ("[::]:7433", &["node.example"], "node.example:7433"),
            ("0.0.0.0:7433", &[], "127.0.0.1:7433"),
            ("[::]:7433", &[], "[::1]:7433"),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(reachable(address.parse().expect("an address"), &names), authority, "{address}");
        }
    }
}
