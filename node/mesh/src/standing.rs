//! How a peer has behaved so far: its pace in gossip, and what its broken bytes cost. It outlives the connection, so that
//! coming back does not wash anybody clean.

use crate::gossip::{Pace, Rate};
use crate::limits::KNOWN_PEERS_MAX;
use libp2p::PeerId;
use std::collections::BTreeMap;
use std::time::Instant;

/// A penalty above this is forgotten.
const PENALTY_MIN: f64 = -1.0;

/// The standings of all peers that have one to keep; at most [`KNOWN_PEERS_MAX`].
#[derive(Debug)]
pub(crate) struct Standings {
    peers: BTreeMap<PeerId, Standing>,
    rate: u32,
    burst: u32,
}

#[derive(Debug)]
struct Standing {
    rate: Rate,
    penalty: f64,
}

impl Standings {
    /// Messages a second in the long run, and at once.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        Standings { peers: BTreeMap::new(), rate, burst }
    }

    /// The peer brings one more new message.
    pub(crate) fn one_more(&mut self, peer: PeerId, now: Instant) -> Pace {
        let (rate, burst) = (self.rate, self.burst);
        self.of(peer, now).rate.one_more(rate, burst, now)
    }

    /// The peer sent what no honest one sends; gives what that has cost it so far, which is not above 0.
    pub(crate) fn penalise(&mut self, peer: PeerId, points: f64, now: Instant) -> f64 {
        let standing = self.of(peer, now);
        standing.penalty += points;
        standing.penalty
    }

    /// What broken bytes cost the peer so far.
    pub(crate) fn penalty(&self, peer: &PeerId) -> f64 {
        self.peers.get(peer).map_or(0.0, |standing| standing.penalty)
    }

    /// Lets penalties fade by a tenth, forgets who has none and a full bucket, and gives the peers whose penalty changed.
    pub(crate) fn fade(&mut self, now: Instant) -> Vec<(PeerId, f64)> {
        let mut faded = Vec::new();
        let (rate, burst) = (self.rate, self.burst);
        self.peers.retain(|peer, standing| {
            if standing.penalty < 0.0 {
                standing.penalty *= 0.9;
                if standing.penalty > PENALTY_MIN {
                    standing.penalty = 0.0;
                }
                faded.push((*peer, standing.penalty));
            }
            standing.penalty < 0.0 || !standing.rate.is_full(rate, burst, now)
        });
        faded
    }

    fn of(&mut self, peer: PeerId, now: Instant) -> &mut Standing {
        if self.peers.len() >= KNOWN_PEERS_MAX && !self.peers.contains_key(&peer) {
            let best = self.peers.iter().max_by(|(_, a), (_, b)| a.penalty.total_cmp(&b.penalty));
            if let Some(best) = best.map(|(peer, _)| *peer) {
                self.peers.remove(&best);
            }
        }
        let burst = self.burst;
        self.peers.entry(peer).or_insert_with(|| Standing { rate: Rate::new(burst, now), penalty: 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SCORE_FRAMING;
    use std::time::Duration;

    #[test]
    fn a_penalty_adds_up_and_fades() {
        let (mut standings, peer, now) = (Standings::new(5, 10), PeerId::random(), Instant::now());
        assert_eq!(standings.penalise(peer, SCORE_FRAMING, now), SCORE_FRAMING);
        assert_eq!(standings.penalise(peer, SCORE_FRAMING, now), 2.0 * SCORE_FRAMING);
        assert_eq!(standings.fade(now), [(peer, 1.8 * SCORE_FRAMING)]);
        let fades = (0..100).take_while(|_| !standings.fade(now).is_empty()).count();
        assert!((30..50).contains(&fades), "{fades}");
        assert_eq!((standings.penalty(&peer), standings.peers.len()), (0.0, 0));
    }

    #[test]
    fn an_empty_bucket_is_kept_until_it_is_full() {
        let (mut standings, peer, now) = (Standings::new(5, 10), PeerId::random(), Instant::now());
        (0..10).for_each(|_| assert_eq!(standings.one_more(peer, now), Pace::Within));
        standings.fade(now + Duration::from_secs(1));
        assert_eq!(standings.peers.len(), 1);
        standings.fade(now + Duration::from_secs(2));
        assert_eq!(standings.peers.len(), 0);
    }

    #[test]
    fn the_worst_are_kept_when_there_are_too_many() {
        let (mut standings, bad, now) = (Standings::new(5, 10), PeerId::random(), Instant::now());
        standings.penalise(bad, SCORE_FRAMING, now);
        for _ in 0..2 * KNOWN_PEERS_MAX {
            standings.one_more(PeerId::random(), now);
        }
        assert_eq!((standings.peers.len(), standings.penalty(&bad)), (KNOWN_PEERS_MAX, SCORE_FRAMING));
    }
}
