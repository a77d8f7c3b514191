//! Gossip: how gossipsub is set up and scored, which messages wait for a verdict, and how fast a peer may bring new ones.

use crate::counts::{Counters, Refusal};
use crate::error::PublishError;
use crate::limits::{self, GOSSIP_MESH};
use crate::topic::{MessageId, wire};
use crate::{Error, Options};
use artel_protocol::topic::Topic;
use libp2p::PeerId;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentityTransform, MessageAuthenticity, PeerScoreParams, PeerScoreThresholds,
    TopicHash, TopicScoreParams, TopicSubscriptionFilter, ValidationMode,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// gossipsub that hears of our topics only.
pub(crate) type Gossipsub = gossipsub::Behaviour<IdentityTransform, Subscriptions>;

pub(crate) fn behaviour(options: &Options, counters: &Arc<Counters>) -> Result<Gossipsub, Error> {
    let setup = |error: &dyn std::fmt::Display| Error::Setup(format!("gossip: {error}"));
    let topics: Vec<_> = Topic::all().map(|topic| wire(topic, &options.federation).hash()).collect();
    let filter = Subscriptions { ours: topics.iter().cloned().collect(), counters: counters.clone() };
    let config = config(counters.clone()).map_err(|e| setup(&e))?;
    let mut gossip = Gossipsub::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
        .map_err(|e| setup(&e))?;
    gossip.with_peer_score(scoring(topics), thresholds()).map_err(|e| setup(&e))?;
    Ok(gossip)
}

/// Passes over subscriptions to topics that are none of ours, and counts them.
pub(crate) struct Subscriptions {
    ours: BTreeSet<TopicHash>,
    counters: Arc<Counters>,
}

impl TopicSubscriptionFilter for Subscriptions {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        let is_ours = self.ours.contains(topic);
        if !is_ours {
            self.counters.refuse(Refusal::GossipSubscription);
        }
        is_ours
    }
}

fn config(counters: Arc<Counters>) -> Result<gossipsub::Config, gossipsub::ConfigBuilderError> {
    let (mesh_n, mesh_low, mesh_high) = GOSSIP_MESH;
    ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        // Runs on every copy, ours included, so it counts them.
        .message_id_fn(move |message| {
            counters.gossip_copies.fetch_add(1, Relaxed);
            counters.lane(crate::counts::Lane::Gossip).received(message.data.len());
            gossipsub::MessageId::new(&MessageId::of_wire(&message.topic, &message.data).0)
        })
        .mesh_n(mesh_n)
        .mesh_n_low(mesh_low)
        .mesh_n_high(mesh_high)
        .flood_publish(false)
        .duplicate_cache_time(limits::GOSSIP_SEEN)
        .max_transmit_size(limits::GOSSIP_BYTES_MAX)
        .max_control_message_size(limits::GOSSIP_CONTROL_BYTES_MAX)
        .max_control_messages_sent(limits::GOSSIP_IDS_SENT_MAX)
        .connection_handler_queue_len(limits::GOSSIP_QUEUE_MAX)
        // Only what is larger than a link's delay can be taken back in time (experiment 2).
        .idontwant_message_size_threshold(16 << 10)
        .build()
}

/// Invalid messages and broken rules cost; deliveries neither cost nor earn, so quiet neighbours are not pushed out; many
/// nodes on one address are no fault (one host, one office), nor is a slow link. Broken promises (IWANT) cost from the
/// eleventh on: under load an honest peer breaks a few.
fn scoring(topics: Vec<TopicHash>) -> PeerScoreParams {
    let of_topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // The penalty is the square of the number, which halves about every ten seconds.
        invalid_message_deliveries_weight: -1.0,
        invalid_message_deliveries_decay: 0.93,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: topics.into_iter().map(|topic| (topic, of_topic.clone())).collect(),
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 10.0,
        slow_peer_weight: 0.0,
        // Shorter than a peer is kept off: who comes back after that begins anew.
        retain_score: limits::COOLDOWN / 2,
        ..PeerScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: limits::SCORE_GOSSIP,
        publish_threshold: limits::SCORE_PUBLISH,
        graylist_threshold: limits::SCORE_GRAYLIST,
        ..PeerScoreThresholds::default()
    }
}

/// Topics by their names on the wire.
pub(crate) fn names(options: &Options) -> HashMap<TopicHash, Topic> {
    Topic::all().map(|topic| (wire(topic, &options.federation).hash(), topic)).collect()
}

pub(crate) fn publish_error(error: &gossipsub::PublishError) -> PublishError {
    match error {
        gossipsub::PublishError::Duplicate => PublishError::Duplicate,
        gossipsub::PublishError::NoPeersSubscribedToTopic => PublishError::Nobody,
        gossipsub::PublishError::AllQueuesFull(_) => PublishError::Busy,
        gossipsub::PublishError::MessageTooLarge
        | gossipsub::PublishError::SigningError(_)
        | gossipsub::PublishError::TransformFailed(_) => PublishError::TooLarge,
    }
}

/// The messages that wait for a verdict.
#[derive(Debug)]
pub(crate) struct Waiting {
    by_id: BTreeMap<MessageId, Message>,
    bytes: usize,
    wait: Duration,
}

#[derive(Debug)]
struct Message {
    from: PeerId,
    bytes: usize,
    until: Instant,
}

impl Waiting {
    pub(crate) fn new(wait: Duration) -> Self {
        Waiting { by_id: BTreeMap::new(), bytes: 0, wait }
    }

    /// Whether there is room; if so the message waits from now on.
    pub(crate) fn add(&mut self, id: MessageId, from: PeerId, bytes: usize, now: Instant) -> bool {
        if self.by_id.len() >= limits::VERDICTS_MAX || self.bytes + bytes > limits::VERDICTS_BYTES_MAX {
            return false;
        }
        let message = Message { from, bytes, until: now + self.wait };
        if let Some(old) = self.by_id.insert(id, message) {
            self.bytes -= old.bytes;
        }
        self.bytes += bytes;
        true
    }

    /// The verdict has come; false if the message does not wait, or came from somebody else.
    pub(crate) fn take(&mut self, id: &MessageId, from: &PeerId) -> bool {
        if self.by_id.get(id).is_none_or(|message| message.from != *from) {
            return false;
        }
        self.remove(id);
        true
    }

    /// Those that have waited too long, which then do not wait any more.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(MessageId, PeerId)> {
        let due = self.by_id.iter().filter(|(_, message)| message.until <= now);
        let due: Vec<_> = due.map(|(id, message)| (*id, message.from)).collect();
        due.iter().for_each(|(id, _)| self.remove(id));
        due
    }

    fn remove(&mut self, id: &MessageId) {
        if let Some(message) = self.by_id.remove(id) {
            self.bytes -= message.bytes;
        }
    }
}

/// How many new messages a peer may still bring: a bucket that fills at a rate, and what ran over.
#[derive(Debug)]
pub(crate) struct Rate {
    left: f64,
    at: Instant,
    excess: f64,
}

/// What the rate says to one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Within,
    Above,
    Flood,
}

impl Rate {
    pub(crate) fn new(burst: u32, now: Instant) -> Self {
        Rate { left: f64::from(burst), at: now, excess: 0.0 }
    }

    /// Whether the bucket would be full now.
    pub(crate) fn is_full(&self, rate: u32, burst: u32, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate);
        self.left + gained >= f64::from(burst) && self.excess <= gained
    }

    pub(crate) fn one_more(&mut self, rate: u32, burst: u32, now: Instant) -> Pace {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(rate);
        self.at = now;
        self.left = (self.left + gained).min(f64::from(burst));
        self.excess = (self.excess - gained).max(0.0);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Pace::Within;
        }
        self.excess += 1.0;
        if self.excess > f64::from(limits::GOSSIP_EXCESS_MAX) { Pace::Flood } else { Pace::Above }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> MessageId {
        MessageId::of("topic", &[n])
    }

    /// Experiment 2: above the control limit a link goes deaf, silently.
    #[test]
    fn an_announcement_fits_the_receivers_limit() {
        let config = config(Arc::default()).expect("as in production");
        let bytes = config.max_control_messages_sent() * (limits::GOSSIP_ID_BYTES + 2);
        assert!(bytes + 256 <= config.max_control_message_size(), "{bytes}");
        assert!(config.validate_messages() && !config.flood_publish());
        assert_eq!(config.mesh_n(), 6);
        let kept = config.heartbeat_interval() * u32::try_from(config.history_length()).expect("small");
        assert!(limits::VERDICT_WAIT < kept, "a verdict in time finds its message");
    }

    #[test]
    fn scores_are_as_documented() {
        let params = scoring(vec![TopicHash::from_raw("t")]);
        assert_eq!(params.validate(), Ok(()));
        assert!(params.topics.values().all(|topic| topic.validate() == Ok(())));
        assert_eq!(thresholds().validate(), Ok(()));
        assert_eq!(params.ip_colocation_factor_weight, 0.0);
    }

    #[test]
    fn a_message_gets_one_verdict_from_whom_it_came() {
        let (now, (a, b)) = (Instant::now(), (PeerId::random(), PeerId::random()));
        let mut waiting = Waiting::new(Duration::from_secs(3));
        assert!(waiting.add(id(1), a, 10, now));
        assert!(!waiting.take(&id(1), &b) && !waiting.take(&id(2), &a));
        assert!(waiting.take(&id(1), &a));
        assert!(!waiting.take(&id(1), &a), "once");
        assert_eq!(waiting.bytes, 0);
    }

    #[test]
    fn what_waits_is_bounded_and_leaves_in_time() {
        let (now, peer) = (Instant::now(), PeerId::random());
        let mut waiting = Waiting::new(Duration::from_secs(3));
        let large = limits::VERDICTS_BYTES_MAX / 4;
        assert_eq!((0..9).filter(|n| waiting.add(id(*n), peer, large, now)).count(), 4);
        assert!(waiting.overdue(now + Duration::from_secs(2)).is_empty());
        assert_eq!(waiting.overdue(now + Duration::from_secs(3)).len(), 4);
        assert_eq!((waiting.bytes, waiting.by_id.len()), (0, 0));
        let many = u32::try_from(limits::VERDICTS_MAX).expect("small") + 9;
        let ids = (0..many).map(|n| MessageId::of("topic", &n.to_le_bytes()));
        assert_eq!(ids.filter(|id| waiting.add(*id, peer, 1, now)).count(), limits::VERDICTS_MAX);
    }

    #[test]
    fn a_peer_is_slowed_down_and_then_a_flood() {
        let start = Instant::now();
        let mut rate = Rate::new(10, start);
        let mut next = |ms: u64| rate.one_more(5, 10, start + Duration::from_millis(ms));
        assert!((0..10).all(|_| next(0) == Pace::Within));
        assert_eq!(next(0), Pace::Above);
        assert_eq!(next(250), Pace::Within, "one more in a fifth of a second");
        assert_eq!(next(250), Pace::Above);
        assert!((0..limits::GOSSIP_EXCESS_MAX - 1).all(|_| next(250) == Pace::Above));
        assert_eq!(next(250), Pace::Flood);
    }
}
