//! Neighbours: what this node says to other nodes, hears of them and keeps of their journals. The mesh carries bytes, the
//! rules judge; here they meet. This node's own state changes by asking the driver alone, as for everybody.

mod admission;
mod away;
mod blob;
mod board;
mod book;
mod gossip;
mod greeting;
mod home;
mod keeper;
mod members;
mod outbox;
mod publisher;
mod record;
mod requests;
mod shared;
mod sync;

use crate::clock::wall;
use crate::events::Events;
use crate::hand::Hand;
use crate::handle::Handle;
use crate::hello;
use crate::source::SharedReader;
use crate::store::Blobs;
use artel_audit::files::Files;
use artel_audit::records::{self, Mark, Opened, RecordStore, Records};
use artel_federation::exchange::Exchange;
use artel_mesh::{Event, Mesh, Protocol, Running};
use artel_protocol::id::FederationId;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::Origin;
use board::Board;
use keeper::Keeper;
use members::Members;
use outbox::Outbox;
use shared::Shared;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};

pub use admission::Admission;
pub use artel_mesh::Peer;
pub use away::{Error as VisitError, Own};
pub use board::Offer;

/// How often records are fetched from one neighbour in turn, whatever gossip brought.
const ROUND: Duration = Duration::from_secs(30);

/// How long nothing is fetched from a neighbour again after it was: what gossip shows meanwhile is fetched in one go.
const PAUSE: Duration = Duration::from_millis(500);

/// How many neighbours may wait to be fetched from.
const WANTS_MAX: usize = 64;

/// How many messages are checked at once; one takes about 100 µs of a core. The others wait with the mesh.
const CHECKS_MAX: usize = 32;

/// How many hellos are answered at once: each may ask the rules and read the journal.
const HELLOS_MAX: usize = 16;

/// How many streams are answered at once, of all neighbours together. A further one ends at once.
const SERVED_MAX: usize = 64;

/// How many direct requests are answered at once, of all neighbours together: claims that wait among them. A further one is
/// refused.
const ASKED_MAX: usize = 4_096;

/// The directory of the records' index.
const INDEX_DIR: &str = "records/index";

/// Whether a data directory names anybody to dial.
pub fn knows_any(dir: &Path) -> bool {
    book::read(dir).is_ok_and(|known| !known.is_empty())
}

/// Opens what is kept of others' journals; an index that is damaged is made anew.
///
/// # Errors
/// What the disk says.
pub fn open_store(
    dir: &Path,
    files: Arc<dyn Files>,
    federation: FederationId,
) -> anyhow::Result<RecordStore> {
    files.create_dir(records::RECORDS_DIR)?;
    let index = crate::index::open_store(&dir.join(INDEX_DIR));
    let Opened { store, notices } = RecordStore::open(files, index, federation, records::Limits::default())?;
    for notice in notices {
        tracing::warn!(%notice, "found at opening others' records");
    }
    Ok(store)
}

/// What it takes to have neighbours.
pub struct Parts {
    /// The data directory.
    pub dir: PathBuf,
    /// This node's journal.
    pub me: Origin,
    /// The node's key.
    pub key: Arc<SecretKey>,
    /// The driver.
    pub handle: Handle,
    /// The journal.
    pub reader: SharedReader,
    /// What is synced.
    pub events: Arc<Events>,
    /// What is known of others.
    pub exchange: Exchange,
    /// What is kept of them.
    pub store: RecordStore,
    /// The size of the journal that `exchange` has heard of.
    pub heard: u64,
    /// What lets this node in.
    pub admission: Admission,
    /// What signs acknowledgements.
    pub hand: Arc<Hand>,
    /// Artifacts' bytes.
    pub blobs: Blobs,
    /// Where to listen, whether to look around, and whom to dial first.
    pub options: artel_mesh::Options,
}

/// What is kept of another node's journal.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The journal.
    pub origin: Origin,
    /// How far its records are held.
    pub mark: Mark,
    /// Whether its node is a member, by all that is known here.
    pub member: bool,
}

/// Neighbours, while the node runs. A cheap clone.
#[derive(Clone)]
pub struct Neighbours(Arc<Shared>);

impl Neighbours {
    /// Listens, dials whoever is known, and tells and fetches from then on.
    ///
    /// # Errors
    /// An address that cannot be listened on, and what the disk says.
    pub async fn start(parts: Parts) -> anyhow::Result<Self> {
        let Parts {
            dir,
            me,
            key,
            handle,
            reader,
            events,
            mut exchange,
            heard,
            store,
            admission,
            hand,
            blobs,
            mut options,
        } = parts;
        options.known.extend(book::read(&dir)?);
        options.hello =
            hello::say((&me, &key), wall(), vec![], admission.chain(), admission.secret())?.into();
        let Running { mesh, events: happened, .. } = Mesh::start(&key, options).await?;
        for topic in artel_mesh::Topic::all() {
            mesh.subscribe(topic).await?;
        }
        let (wants, wanted) = mpsc::channel(WANTS_MAX);
        let records: Records = store.reader();
        let members = Members::restore(&dir, &records, &mut exchange);
        let (keeper, kept) = Keeper::new();
        let (outbox, heard_of) = Outbox::new();
        let shared = Arc::new(Shared {
            dir,
            me,
            key,
            mesh,
            handle,
            reader,
            events,
            records,
            keeper,
            admission,
            exchange: Mutex::new(exchange),
            up: Mutex::default(),
            up_changes: watch::channel(0).0,
            hand,
            blobs,
            board: Board::new(),
            outbox,
            large: Mutex::default(),
            wills: Mutex::default(),
            refused_by: Mutex::default(),
            wants,
        });
        keeper::start((store, members), kept, Arc::downgrade(&shared))?;
        tokio::spawn(publisher::run(shared.clone(), heard));
        tokio::spawn(fetch(shared.clone(), wanted));
        tokio::spawn(greeting::keep_fresh(shared.clone()));
        tokio::spawn(outbox::run(shared.clone(), heard_of));
        let board = shared.clone();
        tokio::task::spawn_blocking(move || board.board.restore(&board.records));
        tokio::spawn(follow(shared.clone(), happened));
        Ok(Neighbours(shared))
    }

    /// Where this node listens.
    pub fn listening(&self) -> Vec<String> {
        self.0.addresses()
    }

    /// Who is connected.
    ///
    /// # Errors
    /// When the mesh has ended.
    pub async fn peers(&self) -> anyhow::Result<Vec<Peer>> {
        Ok(self.0.mesh.peers().await?)
    }

    /// Who does not let this node in, and why not.
    pub fn refused_by(&self) -> BTreeMap<NodeId, String> {
        self.0.refused_by().clone()
    }

    /// What is kept of each other journal, by origin.
    pub fn journals(&self) -> Vec<Held> {
        let mut marks = self.0.records.marks();
        marks.sort_by_key(|(origin, _)| *origin);
        let exchange = self.0.exchange();
        let held = |(origin, mark): (Origin, Mark)| Held {
            origin,
            mark,
            member: exchange.is_member(&origin.node()),
        };
        marks.into_iter().map(held).collect()
    }

    /// Says goodbye.
    pub async fn stop(&self) {
        self.0.remember_peers().await;
        self.0.mesh.stop().await;
        self.0.keeper.end().await;
    }
}

/// Deals with what happens in the mesh, in order; what takes long is done beside.
async fn follow(shared: Arc<Shared>, mut happened: artel_mesh::Events) {
    let (checks, hellos) = (Arc::new(Semaphore::new(CHECKS_MAX)), Arc::new(Semaphore::new(HELLOS_MAX)));
    let served = Arc::new(Semaphore::new(SERVED_MAX));
    let asked = Arc::new(Semaphore::new(ASKED_MAX));
    while let Some(event) = happened.next().await {
        match event {
            Event::Hello { from, data, answer } => {
                let place = hellos.clone().acquire_owned().await.expect("never closed");
                let shared = shared.clone();
                tokio::spawn(async move {
                    greeting::answer(shared, from, data, answer).await;
                    drop(place);
                });
            }
            Event::Welcomed { by, data, .. } => {
                tokio::spawn(greeting::welcomed(shared.clone(), by, data));
            }
            Event::Up(neighbour) => {
                tracing::info!(peer = %neighbour.node, address = %neighbour.address, "a neighbour came up");
                shared.up().insert(neighbour.node);
                shared.up_changes.send_modify(|count| *count += 1);
                shared.refused_by().remove(&neighbour.node);
                shared.want_from(neighbour.node);
            }
            Event::Down { peer, reason } => {
                tracing::info!(%peer, ?reason, "a neighbour went down");
                shared.up().remove(&peer);
            }
            Event::Gossip { id, topic, from, data } => {
                let place = checks.clone().acquire_owned().await.expect("never closed");
                let shared = shared.clone();
                tokio::spawn(async move {
                    gossip::hear(shared, (id, topic), from, data).await;
                    drop(place);
                });
            }
            Event::Stream { protocol: Protocol::Sync, from, stream } => {
                let Ok(place) = served.clone().try_acquire_owned() else { continue };
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = sync::serve(shared, stream).await {
                        tracing::debug!(%from, error = format!("{error:#}"), "an exchange ended early");
                    }
                    drop(place);
                });
            }
            Event::Request { from, data, answer } => {
                // Dropped, the asker hears that it was refused.
                let Ok(place) = asked.clone().try_acquire_owned() else { continue };
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Some(said) = requests::answer(shared, from, data).await {
                        answer.send(said.into());
                    }
                    drop(place);
                });
            }
            Event::Stream { protocol: Protocol::Blob, from, stream } => {
                let Ok(place) = served.clone().try_acquire_owned() else { continue };
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = blob::serve(shared, from, stream).await {
                        tracing::debug!(%from, error = format!("{error:#}"), "bytes were not served whole");
                    }
                    drop(place);
                });
            }
            Event::Listening(address) => tracing::info!(%address, "listening"),
            Event::KnownChanged => shared.remember_peers().await,
            Event::TurnedAway { peer, reason } => tracing::debug!(%peer, ?reason, "turned away"),
        }
    }
}

/// Fetches from whoever may have something new, and from one neighbour in turn now and then; one stream to each at a time.
async fn fetch(shared: Arc<Shared>, mut wanted: mpsc::Receiver<NodeId>) {
    let (done, mut finished) = mpsc::channel(WANTS_MAX);
    let (mut under_way, mut again) = (BTreeSet::new(), BTreeSet::new());
    let mut round = tokio::time::interval(ROUND);
    let mut last = None;
    loop {
        let peer = tokio::select! {
            peer = wanted.recv() => match peer {
                Some(peer) => peer,
                None => return,
            },
            peer = finished.recv() => {
                let peer: NodeId = peer.expect("we hold a sender");
                under_way.remove(&peer);
                if !again.remove(&peer) {
                    continue;
                }
                peer
            }
            _ = round.tick() => match shared.next_up(last) {
                Some(peer) => {
                    last = Some(peer);
                    peer
                }
                None => continue,
            },
        };
        if under_way.contains(&peer) || under_way.len() == WANTS_MAX {
            again.insert(peer);
            continue;
        }
        under_way.insert(peer);
        let (shared, done) = (shared.clone(), done.clone());
        tokio::spawn(async move {
            match sync::pull(&shared, &peer).await {
                Ok(0) => {}
                Ok(frames) => tracing::info!(%peer, frames, "records were fetched"),
                Err(error) => {
                    tracing::debug!(%peer, error = format!("{error:#}"), "records could not be fetched");
                    if error.is::<sync::Dishonest>() {
                        // The mesh may have ended, and every connection with it.
                        let _ = shared.mesh.refuse(&peer).await;
                    }
                }
            }
            // What was fetched may say that somebody is no member any more.
            shared.dismiss_strangers().await;
            tokio::time::sleep(PAUSE).await;
            // The receiver ends with the node.
            let _ = done.send(peer).await;
        });
    }
}
