//! Neighbours: what this node says to other nodes, hears of them and keeps of their journals. The mesh carries bytes, the
//! rules judge; here they meet. This node's own state changes by asking the driver alone, as for everybody.

mod admission;
mod again;
mod away;
mod blob;
mod board;
mod book;
mod bringing;
mod clocks;
mod company;
mod cosignatures;
mod drawing;
mod evidence;
mod fetch;
mod frauds;
mod gossip;
mod greeting;
mod heads;
mod home;
mod homes;
mod inputs;
mod interest;
mod keeper;
mod manners;
mod measured;
mod members;
mod outbox;
mod patience;
mod places;
mod publisher;
mod record;
mod redo;
mod refusals;
mod remembered;
mod requests;
mod scrub;
mod shared;
mod summaries;
mod sync;
mod turns;
mod vital;
mod waits;
mod witness;

use crate::clock::wall;
use crate::events::Events;
use crate::hand::Hand;
use crate::handle::Handle;
use crate::hello;
use crate::index::Index;
use crate::redo::Bench;
use crate::source::SharedReader;
use crate::store::Blobs;
use artel_audit::files::Files;
use artel_audit::records::frauds::Frauds;
use artel_audit::records::witness::WitnessTable;
use artel_audit::records::{self, Mark, Opened, RecordStore, Records};
use artel_federation::evidence::{Tally, View, Viewer};
use artel_federation::exchange::Exchange;
use artel_federation::homes::Standing as HomeStanding;
use artel_federation::interest::Interest;
use artel_federation::watch::{Quarantine, Watch};
use artel_mesh::{Event, Lane, Mesh, Protocol, Running};
use artel_protocol::amount::Credits;
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::log::{Origin, SignedCheckpoint};
use artel_protocol::time::Wall;
use artel_reputation::Standing;
use board::Board;
use evidence::Evidence;
use homes::Homes;
use inputs::Inputs;
use keeper::Keeper;
use members::Members;
use outbox::Outbox;
use places::Places;
use refusals::{Reason, Refusals};
use remembered::Remembered;
use shared::Shared;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use summaries::Summaries;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use vital::Vital;

pub use admission::{Admission, Invited};
pub use artel_federation::evidence::Checks;
pub use artel_mesh::Peer;
pub use away::{Error as VisitError, Introduction, Own};
pub use board::Offer;
pub use cosignatures::Witness;
pub use inputs::NotFetched;

/// How many messages are checked at once; one takes about 100 µs of a core. The others wait with the mesh.
const CHECKS_MAX: usize = 32;

/// How many hellos are answered at once: each may ask the rules and read the journal.
const HELLOS_MAX: usize = 16;

/// The directory of the records' index.
const INDEX_DIR: &str = "records/index";

/// Whether a data directory names anybody to dial.
pub fn knows_any(dir: &Path) -> bool {
    book::read(dir).is_ok_and(|known| !known.is_empty())
}

/// What is on disk of others.
pub struct OnDisk {
    store: RecordStore,
    watch: Watch,
    remembered: Remembered,
}

/// Opens what is kept of others' journals, with what this node cosigned and the proofs of fraud; an index that is damaged is
/// made anew.
///
/// # Errors
/// What the disk says.
pub fn open(dir: &Path, files: Arc<dyn Files>, federation: FederationId) -> anyhow::Result<OnDisk> {
    let store = open_store(dir, files.clone(), federation)?;
    let (table, notices) = WitnessTable::open(files.clone())?;
    for notice in &notices {
        tracing::warn!(%notice, "found at opening the witness table");
    }
    let (frauds, found) = Frauds::open(files, &federation)?;
    let mut watch = Watch::default();
    for found in found {
        match found.proof {
            Ok(fraud) => drop(watch.accuse(&fraud)),
            Err(error) => {
                tracing::warn!(file = found.file, %error, "no proof of fraud; it counts for nothing")
            }
        }
    }
    let remembered = Remembered::restore(table, frauds, &mut watch);
    Ok(OnDisk { store, watch, remembered })
}

/// Opens what is kept of others' journals alone.
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
    /// What is on disk of them.
    pub on_disk: OnDisk,
    /// The size of the journal that `exchange` has heard of.
    pub heard: u64,
    /// What lets this node in.
    pub admission: Admission,
    /// What signs acknowledgements.
    pub hand: Arc<Hand>,
    /// Artifacts' bytes.
    pub blobs: Blobs,
    /// Closed runs.
    pub index: Index,
    /// Where this node runs steps again.
    pub bench: Arc<Bench>,
    /// What is followed of others' offers.
    pub interest: Interest,
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
    /// The size that this node cosigned last.
    pub cosigned: Option<u64>,
    /// The size of the newest head that is known to continue all before.
    pub known: Option<u64>,
    /// Why nothing more is taken from its node, if so.
    pub quarantine: Option<Quarantine>,
    /// How its node's summaries of scores were found.
    pub summaries: Checks,
}

/// Another node as a home.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    /// The node.
    pub node: NodeId,
    /// Its open offers that were heard.
    pub offers: usize,
    /// How it deals with those who work for it.
    pub standing: HomeStanding,
    /// What it paid in all, by its own records.
    pub paid: Credits,
}

/// A proof of fraud that is held.
#[derive(Debug, Clone)]
pub struct HeldFraud {
    /// Whose journal it is about.
    pub origin: Origin,
    /// How its node lied, in a word.
    pub kind: &'static str,
    /// SHA-256 of the proof's frame.
    pub proof: Digest,
}

/// Neighbours, while the node runs. A cheap clone.
#[derive(Clone)]
pub struct Neighbours {
    shared: Arc<Shared>,
    /// What must not end; taken by who waits for that.
    vital: Arc<Mutex<Option<Vital>>>,
}

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
            on_disk: OnDisk { store, watch, remembered },
            admission,
            hand,
            blobs,
            index,
            bench,
            interest,
            mut options,
        } = parts;
        options.known.extend(book::read(&dir)?);
        let secret = admission.secret(&me, &exchange);
        options.hello = hello::say((&me, &key), wall(), vec![], admission.chain(), secret)?.into();
        let Running { mesh, events: happened, ended, .. } =
            Mesh::start(&key, options).await.map_err(listening_elsewhere)?;
        let following = interest::Following::new(interest);
        interest::begin(&mesh, &following).await?;
        let (wants, wanted) = mpsc::channel(fetch::WANTS_MAX);
        let records: Records = store.reader();
        let members = Members::restore(&dir, &records, &mut exchange);
        let evidence = Evidence::restore(&dir, &me, reader.get().size());
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
            watch: Mutex::new(watch),
            remembered,
            showing: Mutex::default(),
            cosignatures: Mutex::default(),
            cosigned: watch::channel(0).0,
            head_wanted: Notify::new(),
            since: Instant::now(),
            up: Mutex::default(),
            holes_unanswered: Mutex::default(),
            turns: turns::Turns::default(),
            manners: Mutex::default(),
            up_changes: watch::channel(0).0,
            hand,
            blobs,
            index,
            board: Board::new(),
            homes: Homes::default(),
            outbox,
            evidence,
            summaries: Summaries::default(),
            large: Mutex::default(),
            waits: waits::Waits::default(),
            asked: requests::Asked::default(),
            results: bringing::Results::default(),
            inputs: Inputs::default(),
            bench,
            lent: Mutex::default(),
            wills: Mutex::default(),
            refused_by: Mutex::default(),
            refusals: Refusals::default(),
            clocks: clocks::Clocks::default(),
            following,
            wants,
        });
        let keeper = keeper::start((store, members), kept, Arc::downgrade(&shared))?;
        let publisher = tokio::spawn(publisher::run(shared.clone(), heard));
        let mut others = vec![
            ("the teller of heads", tokio::spawn(heads::run(shared.clone()))),
            ("the fetcher of records", tokio::spawn(fetch::run(shared.clone(), wanted))),
            ("the reader of what is kept", tokio::spawn(scrub::run(shared.clone()))),
            ("the keeper of the hello", tokio::spawn(greeting::keep_fresh(shared.clone()))),
            ("the teller of company", tokio::spawn(company::tell(shared.clone()))),
            ("the follower of offers", tokio::spawn(interest::run(shared.clone()))),
            ("the outbox", tokio::spawn(outbox::run(shared.clone(), heard_of))),
        ];
        let evidence = tokio::spawn(summaries::run(shared.clone()));
        tokio::spawn(frauds::tell_what_is_untold(shared.clone()));
        let again = shared.clone();
        tokio::task::spawn_blocking(move || {
            board::read_again(&again.records, |records| again.hear_of_home(records, None));
        });
        homes::restore_own(&shared).await;
        others.push(("the reader of the mesh's events", tokio::spawn(follow(shared.clone(), happened))));
        let vital = Vital { mesh: ended, keeper, evidence, publisher, others };
        Ok(Neighbours { shared, vital: Arc::new(Mutex::new(Some(vital))) })
    }

    /// Has [`Neighbours::ended`] name this task, too, where it ends.
    pub fn relies_on(&self, name: &'static str, task: JoinHandle<()>) {
        let mut vital = self.vital.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vital) = vital.as_mut() {
            vital.others.push((name, task));
        }
    }

    /// Waits until something has ended without which this node is deaf or mute, however that came, and names it; who asks a
    /// second time waits for ever.
    pub async fn ended(&self) -> &'static str {
        let vital = self.vital.lock().unwrap_or_else(PoisonError::into_inner).take();
        match vital {
            Some(vital) => vital.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Where this node listens.
    pub fn listening(&self) -> Vec<String> {
        self.shared.addresses()
    }

    /// The same, as addresses.
    pub fn addresses(&self) -> Vec<artel_mesh::Address> {
        self.shared.mesh.listening()
    }

    /// How far neighbours' clocks were from this node's, by what they dated last.
    pub fn clocks(&self) -> Vec<crate::doctor::Difference> {
        self.shared.clocks.all()
    }

    /// Who is connected.
    ///
    /// # Errors
    /// When the mesh has ended.
    pub async fn peers(&self) -> anyhow::Result<Vec<Peer>> {
        Ok(self.shared.mesh.peers().await?)
    }

    /// Who does not let this node in, and why not.
    pub fn refused_by(&self) -> BTreeMap<NodeId, String> {
        self.shared.refused_by().clone()
    }

    /// What is kept of each other journal, by origin.
    pub fn journals(&self) -> Vec<Held> {
        let mut marks: BTreeMap<Origin, Mark> = self.shared.records.marks().into_iter().collect();
        let cosigned = self.shared.remembered.cosigned().clone();
        for origin in cosigned.keys() {
            marks.entry(*origin).or_default();
        }
        let held = |(origin, mark): (Origin, Mark)| {
            // One lock after the other, never two at once.
            let member = self.shared.exchange().is_member(&origin.node());
            let known = self.shared.watch().known(&origin).map(SignedCheckpoint::size);
            let (cosigned, quarantine) = (cosigned.get(&origin).copied(), self.quarantine(&origin.node()));
            let summaries = self.shared.summaries.checks(&origin.node());
            Held { origin, mark, member, cosigned, known, quarantine, summaries }
        };
        marks.into_iter().map(held).collect()
    }

    /// Other nodes as homes, by key.
    pub fn homes(&self) -> Vec<Home> {
        let all = self.shared.homes.all();
        // One lock after the other, never two at once.
        let offers: Vec<usize> = all.iter().map(|(node, _)| self.shared.board.count(node)).collect();
        let book = &self.shared.evidence.state().book;
        let home = |((node, standing), offers)| Home { node, offers, standing, paid: book.paid_by(&node) };
        all.into_iter().zip(offers).map(home).collect()
    }

    /// The shards whose offers come by gossip, ascending.
    pub fn followed(&self) -> Vec<u8> {
        self.shared.following.followed().into_iter().collect()
    }

    /// Who cosigned this node's heads, by key.
    pub fn witnesses(&self) -> Vec<Witness> {
        self.shared.cosignatures().witnesses()
    }

    /// The size of the newest head that this node said.
    pub fn head_said(&self) -> Option<u64> {
        self.shared.cosignatures().newest().map(|head| head.size())
    }

    /// The checkpoint that is served, with its cosignatures.
    pub fn cosigned(&self, newest: SignedCheckpoint) -> SignedCheckpoint {
        self.shared.cosignatures().serve(newest)
    }

    /// The proofs of fraud that are held, by node.
    pub fn frauds(&self) -> Vec<HeldFraud> {
        let held = |(_, fraud): (&NodeId, &artel_protocol::witness::Fraud)| HeldFraud {
            origin: fraud.origin(),
            kind: fraud.contradiction().name(),
            proof: Digest::of(&fraud.to_frame()),
        };
        self.shared.watch().frauds().map(held).collect()
    }

    /// What was refused of neighbours since the start, by reason: what the mesh refused of itself, and what this node did.
    pub fn refusals(&self) -> Vec<(String, u64)> {
        let mesh = self.shared.mesh.counts().refused.into_iter();
        let mesh =
            mesh.filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.name().to_owned(), count));
        let mut all: BTreeMap<String, u64> = mesh.collect();
        for (reason, count) in self.shared.refusals.counts() {
            *all.entry(reason).or_default() += count;
        }
        all.into_iter().collect()
    }

    /// How many direct requests of neighbours were dealt with since the start, by what they are.
    pub fn asked(&self) -> Vec<(String, u64)> {
        self.shared.asked.counts()
    }

    /// How many claims of neighbours' agents wait here now.
    pub fn claims_waiting(&self) -> usize {
        self.shared.waits.count()
    }

    /// Why nothing more is taken from a node, if so.
    pub fn quarantine(&self, node: &NodeId) -> Option<Quarantine> {
        self.shared.watch().quarantine(node)
    }

    /// What all records say of an agent as this node sees it; nothing where they say nothing and it is not known otherwise.
    /// What the node itself knows of it stands in place of what its own public records say.
    pub fn view(&self, agent: &AgentId, own: Option<(&Standing, Tally)>, now: Wall) -> Option<View> {
        let founders = self.shared.exchange().genesis().founders.clone();
        let liars = self.shared.liars();
        let book = &self.shared.evidence.state().book;
        let viewer = Viewer { node: self.shared.me.node(), founders: &founders, liars: &liars };
        (own.is_some() || book.knows(agent)).then(|| book.view_with(viewer, agent, own, now))
    }

    /// Says goodbye.
    pub async fn stop(&self) {
        self.shared.remember_peers().await;
        self.shared.mesh.stop().await;
        self.shared.keeper.end().await;
        self.shared.evidence.save(&self.shared.dir, &self.shared.me);
    }
}

/// Names the setting where an address cannot be listened on.
fn listening_elsewhere(error: artel_mesh::Error) -> anyhow::Error {
    match error {
        artel_mesh::Error::Listen { address, source } => {
            anyhow::anyhow!("cannot listen on {address}: {source}; choose another address with --listen")
        }
        other => other.into(),
    }
}

/// Deals with what happens in the mesh, in order; what takes long is done beside.
async fn follow(shared: Arc<Shared>, mut happened: artel_mesh::Events) {
    let (checks, hellos) = (Arc::new(Semaphore::new(CHECKS_MAX)), Arc::new(Semaphore::new(HELLOS_MAX)));
    let (exchanges, fetches, asked) =
        (Places::new(sync::PLACES), Places::new(blob::PLACES), Places::new(requests::PLACES));
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
                shared.holes_unanswered().remove(&neighbour.node);
                shared.manners().came_up(&neighbour.node);
                shared.up_changes.send_modify(|count| *count += 1);
                shared.refused_by().remove(&neighbour.node);
                shared.want_from(neighbour.node);
                tokio::spawn(frauds::tell(shared.clone(), neighbour.node));
            }
            Event::Down { peer, reason } => {
                tracing::info!(%peer, ?reason, "a neighbour went down");
                shared.up().remove(&peer);
                shared.holes_unanswered().remove(&peer);
                shared.cosignatures().forget_reminder(&peer);
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
                let Some(place) = exchanges.take(from) else {
                    shared.refusals.count(Lane::Sync, Reason::Places.name());
                    continue;
                };
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = sync::serve(&shared, stream).await {
                        tracing::debug!(%from, error = format!("{error:#}"), "an exchange ended early");
                        shared.refuse_stream(Lane::Sync, &from, &error).await;
                    }
                    drop(place);
                });
            }
            Event::Request { from, data, answer } => requests::take(&shared, &asked, (from, data, answer)),
            Event::Stream { protocol: Protocol::Blob, from, stream } => {
                let Some(place) = fetches.take(from) else {
                    shared.refusals.count(Lane::Blob, Reason::Places.name());
                    continue;
                };
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = blob::serve(&shared, from, stream).await {
                        tracing::debug!(%from, error = format!("{error:#}"), "bytes were not served whole");
                        shared.refuse_stream(Lane::Blob, &from, &error).await;
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
