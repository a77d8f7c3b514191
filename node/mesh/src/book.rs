//! The address book: whom we know, where, and when to try again. Time and chance come in; nothing here waits or dials.

use crate::limits::{self, ADDRESSES_PER_PEER_MAX, KNOWN_PEERS_MAX, UNNAMED_MAX};
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Whom we know.
#[derive(Debug)]
pub(crate) struct Book {
    peers: BTreeMap<PeerId, Entry>,
    /// Addresses that were given without a peer id; they leave when somebody answers there.
    unnamed: Vec<(Multiaddr, Tries)>,
    backoff: (Duration, Duration),
    changed: bool,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<Multiaddr>,
    /// Given by the operator, or admitted once: worth writing down.
    met: bool,
    tries: Tries,
}

#[derive(Debug, Default)]
struct Tries {
    failures: u32,
    last: Option<Instant>,
    not_before: Option<Instant>,
    dialling: bool,
}

impl Tries {
    fn is_due(&self, now: Instant) -> bool {
        !self.dialling && self.not_before.is_none_or(|at| at <= now)
    }

    fn begin(&mut self, now: Instant) {
        (self.dialling, self.last) = (true, Some(now));
    }

    /// `chance` is between 0 and 1.
    fn pause(&mut self, (min, max): (Duration, Duration), now: Instant, chance: f64) {
        self.dialling = false;
        let pause = min.saturating_mul(1 << self.failures.min(16)).min(max);
        self.failures += 1;
        self.not_before = Some(now + pause.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0));
    }
}

/// What to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dial {
    Peer(PeerId, Vec<Multiaddr>),
    Place(Multiaddr),
}

impl Book {
    pub(crate) fn new(backoff: (Duration, Duration)) -> Self {
        Book { peers: BTreeMap::new(), unnamed: Vec::new(), backoff, changed: false }
    }

    /// Takes an address that the operator gave; it is due at once.
    pub(crate) fn add_given(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        let Some(entry) = self.entry(peer, true) else { return };
        entry.met = true;
        entry.tries.not_before = None;
        for address in addresses {
            put(entry, address);
        }
        self.changed = true;
    }

    /// Takes a place without a name; false when there are too many.
    pub(crate) fn add_place(&mut self, place: Multiaddr) -> bool {
        if self.unnamed.iter().any(|(known, _)| *known == place) {
            return true;
        }
        if self.unnamed.len() >= UNNAMED_MAX {
            return false;
        }
        self.unnamed.push((place, Tries::default()));
        true
    }

    /// Takes addresses that somebody told us of a peer we may never have met.
    pub(crate) fn hear(&mut self, peer: PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        let mut addresses = addresses.into_iter().peekable();
        if addresses.peek().is_none() {
            return;
        }
        let Some(entry) = self.entry(peer, false) else { return };
        let mut is_new = false;
        for address in addresses {
            is_new |= put(entry, address);
        }
        if is_new {
            // A new address is a new chance.
            entry.tries.not_before = None;
            self.changed |= entry.met;
        }
    }

    /// An admitted peer's own word on where it listens, before what was known: that may be a name that outlives them.
    pub(crate) fn meet(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        let Some(entry) = self.entry(peer, true) else { return };
        let mut changed = !entry.met;
        entry.met = true;
        for address in addresses.iter().rev() {
            changed |= put(entry, address.clone());
        }
        self.changed |= changed;
    }

    /// An address where a peer answered.
    pub(crate) fn reached(&mut self, peer: PeerId, place: &Multiaddr) {
        self.unnamed.retain(|(known, _)| known != place);
        let Some(entry) = self.entry(peer, false) else { return };
        entry.tries.dialling = false;
        let changed = put(entry, place.clone()) && entry.met;
        self.changed |= changed;
    }

    /// A connection to the peer is there.
    pub(crate) fn connected(&mut self, peer: &PeerId) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.tries.dialling = false;
        }
    }

    /// The last connection to the peer ended. `stayed` says for how long it was admitted.
    pub(crate) fn left(&mut self, peer: &PeerId, stayed: Option<Duration>, now: Instant, chance: f64) {
        let backoff = self.backoff;
        if let Some(entry) = self.peers.get_mut(peer) {
            if stayed.is_some_and(|stayed| stayed >= limits::STABLE_WAIT) {
                entry.tries.failures = 0;
            }
            entry.tries.pause(backoff, now, chance);
        }
    }

    /// Dialling the peer failed.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant, chance: f64) {
        let backoff = self.backoff;
        if let Some(entry) = self.peers.get_mut(peer).filter(|entry| entry.tries.dialling) {
            entry.tries.pause(backoff, now, chance);
        }
    }

    /// Nobody answered at the place.
    pub(crate) fn place_failed(&mut self, place: &Multiaddr, now: Instant, chance: f64) {
        let backoff = self.backoff;
        if let Some((_, tries)) = self.unnamed.iter_mut().find(|(known, _)| known == place) {
            tries.pause(backoff, now, chance);
        }
    }

    /// Forgets a peer.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.changed |= self.peers.remove(peer).is_some_and(|entry| entry.met);
    }

    /// Forgets a place, which turned out to be ourselves.
    pub(crate) fn forget_place(&mut self, place: &Multiaddr) {
        self.unnamed.retain(|(known, _)| known != place);
    }

    /// The network has changed: everybody is due.
    pub(crate) fn try_all(&mut self) {
        self.peers.values_mut().for_each(|entry| entry.tries.not_before = None);
        self.unnamed.iter_mut().for_each(|(_, tries)| tries.not_before = None);
    }

    /// Up to `want` dials that are due, those we tried longest ago first; they count as under way. Places without a name
    /// come in any case: they are how a node meets its first neighbour.
    pub(crate) fn due(
        &mut self,
        want: usize,
        now: Instant,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<Dial> {
        let mut dials = Vec::new();
        for (place, tries) in self.unnamed.iter_mut().filter(|(_, tries)| tries.is_due(now)) {
            tries.begin(now);
            dials.push(Dial::Place(place.clone()));
        }
        let can = |(peer, entry): &(&PeerId, &Entry)| {
            entry.tries.is_due(now) && !entry.addresses.is_empty() && !is_connected(peer)
        };
        let mut due: Vec<_> =
            self.peers.iter().filter(can).map(|(peer, e)| (!e.met, e.tries.last, *peer)).collect();
        // Whom we met comes first: a liar's list of strangers must not keep us from coming back.
        due.sort_by_key(|(stranger, last, _)| (*stranger, *last));
        for (_, _, peer) in due.into_iter().take(want) {
            let Some(entry) = self.peers.get_mut(&peer) else { continue };
            entry.tries.begin(now);
            dials.push(Dial::Peer(peer, entry.addresses.clone()));
        }
        dials
    }

    /// How many peers are being dialled.
    pub(crate) fn dialling(&self) -> usize {
        self.peers.values().filter(|entry| entry.tries.dialling).count()
    }

    /// Somebody we met and do not reach any more; worth asking the others about.
    pub(crate) fn lost(&self, is_connected: impl Fn(&PeerId) -> bool) -> Option<PeerId> {
        let lost =
            |(peer, entry): &(&PeerId, &Entry)| entry.met && entry.tries.failures > 0 && !is_connected(peer);
        self.peers.iter().filter(lost).max_by_key(|(_, entry)| entry.tries.failures).map(|(peer, _)| *peer)
    }

    /// Whom we met, and where they listen.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&PeerId, &[Multiaddr])> {
        self.peers.iter().filter(|(_, entry)| entry.met).map(|(peer, entry)| (peer, &entry.addresses[..]))
    }

    /// Whether what [`Book::known`] gives has changed since the last question.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The peer's entry, a new one if need be. For a stranger that comes to a full book nobody goes whom we met.
    fn entry(&mut self, peer: PeerId, met: bool) -> Option<&mut Entry> {
        if !self.peers.contains_key(&peer) && self.peers.len() >= KNOWN_PEERS_MAX {
            let idle = self.peers.iter().filter(|(_, entry)| !entry.tries.dialling && (met || !entry.met));
            let worst =
                idle.max_by_key(|(_, entry)| (!entry.met, entry.tries.failures)).map(|(peer, _)| *peer);
            self.peers.remove(&worst?);
        }
        Some(self.peers.entry(peer).or_insert_with(|| Entry {
            addresses: Vec::new(),
            met: false,
            tries: Tries::default(),
        }))
    }
}

/// Puts an address first; true if it is new.
fn put(entry: &mut Entry, address: Multiaddr) -> bool {
    let place = entry.addresses.iter().position(|known| *known == address);
    let is_new = place.is_none();
    if let Some(place) = place {
        entry.addresses.remove(place);
    }
    entry.addresses.insert(0, address);
    entry.addresses.truncate(ADDRESSES_PER_PEER_MAX);
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(60);

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().expect("a multiaddress")
    }

    fn book() -> Book {
        Book::new((MIN, MAX))
    }

    fn nobody(_: &PeerId) -> bool {
        false
    }

    #[test]
    fn pauses_double_up_to_the_longest_with_jitter() {
        let (mut book, peer, start) = (book(), PeerId::random(), Instant::now());
        book.add_given(peer, [address(1)]);
        let mut now = start;
        for (chance, seconds) in [
            (0.5, 1.0),
            (0.0, 1.5),
            (1.0, 5.0),
            (0.5, 8.0),
            (0.5, 16.0),
            (0.5, 32.0),
            (0.5, 60.0),
            (0.5, 60.0),
        ] {
            assert_eq!(book.due(9, now, nobody).len(), 1);
            assert_eq!(book.due(9, now, nobody).len(), 0, "under way");
            book.failed(&peer, now, chance);
            let pause = Duration::from_secs_f64(seconds);
            assert_eq!(book.due(9, now + pause - Duration::from_millis(1), nobody), []);
            now += pause;
        }
        for _ in 0..100 {
            book.due(9, now, nobody);
            book.failed(&peer, now, 0.5);
            now += MAX;
        }
        assert_eq!(book.due(9, now, nobody).len(), 1, "it is never given up");
    }

    #[test]
    fn all_are_tried_in_turn() {
        let (mut book, now) = (book(), Instant::now());
        let peers: Vec<_> = (0..10).map(|_| PeerId::random()).collect();
        peers.iter().for_each(|peer| book.add_given(*peer, [address(1)]));
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..5 {
            let now = now + MAX * round;
            for dial in book.due(2, now, nobody) {
                let Dial::Peer(peer, _) = dial else { panic!("{dial:?}") };
                seen.insert(peer);
                book.failed(&peer, now, 0.5);
            }
        }
        assert_eq!(seen.len(), 10);
    }

    #[test]
    fn a_short_stay_keeps_the_pause_and_a_long_one_ends_it() {
        let (mut book, peer, now) = (book(), PeerId::random(), Instant::now());
        book.add_given(peer, [address(1)]);
        for _ in 0..3 {
            book.left(&peer, Some(Duration::from_secs(1)), now, 0.5);
        }
        assert_eq!(book.due(9, now + Duration::from_secs(3), nobody), []);
        book.left(&peer, Some(limits::STABLE_WAIT), now, 0.5);
        assert_eq!(book.due(9, now + MIN, nobody).len(), 1);
    }

    #[test]
    fn strangers_never_drive_out_whom_we_met() {
        let mut book = book();
        let met: Vec<_> = (0..KNOWN_PEERS_MAX - 1).map(|_| PeerId::random()).collect();
        met.iter().for_each(|peer| book.add_given(*peer, [address(1)]));
        (0..100).for_each(|_| book.hear(PeerId::random(), [address(2)]));
        assert_eq!(book.peers.len(), KNOWN_PEERS_MAX);
        assert!(met.iter().all(|peer| book.peers.contains_key(peer)));
        book.add_given(PeerId::random(), [address(3)]);
        book.add_given(PeerId::random(), [address(3)]);
        assert_eq!(book.peers.len(), KNOWN_PEERS_MAX);
        (0..100).for_each(|_| book.hear(PeerId::random(), [address(2)]));
        assert!(book.peers.values().all(|entry| entry.met), "a full book takes no stranger");
    }

    #[test]
    fn a_new_address_is_a_new_chance_and_the_newest_stay() {
        let (mut book, peer, now) = (book(), PeerId::random(), Instant::now());
        book.add_given(peer, [address(1)]);
        book.due(9, now, nobody);
        book.failed(&peer, now, 0.5);
        book.hear(peer, [address(1)]);
        assert_eq!(book.due(9, now, nobody), [], "nothing new");
        book.hear(peer, [address(2)]);
        assert_eq!(book.due(9, now, nobody), [Dial::Peer(peer, vec![address(2), address(1)])]);
        book.hear(peer, (10..30).map(address));
        assert_eq!(book.peers[&peer].addresses.len(), ADDRESSES_PER_PEER_MAX);
        assert_eq!(book.peers[&peer].addresses[0], address(29));
    }

    #[test]
    fn what_is_worth_writing_down_is_whom_we_met() {
        let (mut book, stranger, peer) = (book(), PeerId::random(), PeerId::random());
        book.hear(stranger, [address(1)]);
        assert!(!book.take_changed());
        book.meet(peer, &[address(2)]);
        assert!(book.take_changed());
        book.meet(peer, &[address(2)]);
        assert!(!book.take_changed(), "nothing new");
        assert_eq!(book.known().collect::<Vec<_>>(), [(&peer, &[address(2)][..])]);
        book.forget(&peer);
        assert!(book.take_changed() && book.known().next().is_none());
    }

    #[test]
    fn a_place_leaves_when_somebody_answers_there() {
        let (mut book, now, peer) = (book(), Instant::now(), PeerId::random());
        assert!(book.add_place(address(1)) && book.add_place(address(1)));
        assert_eq!(book.due(0, now, nobody), [Dial::Place(address(1))]);
        book.place_failed(&address(1), now, 0.5);
        assert_eq!(book.due(0, now + MIN, nobody), [Dial::Place(address(1))]);
        book.reached(peer, &address(1));
        assert_eq!(book.due(9, now + MAX, nobody), [Dial::Peer(peer, vec![address(1)])]);
        assert_eq!((2..100).filter(|port| book.add_place(address(*port))).count(), UNNAMED_MAX);
    }
}
