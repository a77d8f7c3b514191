//! The libp2p behaviours of a node, put together.

use crate::counts::Counters;
use crate::gate::Gate;
use crate::gossip::{self, Gossipsub};
use crate::limits;
use crate::streams;
use crate::{Error, Options};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::kad::store::MemoryStoreConfig;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    StreamProtocol, allow_block_list, connection_limits, identify, kad, mdns, memory_connection_limits, ping,
};
use std::sync::Arc;

/// The lookups; records of others are never stored.
pub(crate) type Lookups = kad::Behaviour<MemoryStore>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    // The limits stand first: what they refuse the others never hear of.
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(crate) banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(crate) streams: streams::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) lookups: Gate<Lookups>,
    pub(crate) gossip: Gate<Gossipsub>,
    mdns: Toggle<mdns::tokio::Behaviour>,
}

pub(crate) fn build(key: &Keypair, options: &Options, counters: &Arc<Counters>) -> Result<Behaviour, Error> {
    let setup = |error: &dyn std::fmt::Display| Error::Setup(error.to_string());
    let peer = key.public().to_peer_id();
    let connections = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits::CONNECTIONS_PENDING_MAX))
        .with_max_pending_outgoing(Some(limits::CONNECTIONS_PENDING_MAX))
        .with_max_established_incoming(Some(limits::CONNECTIONS_IN_MAX))
        .with_max_established_per_peer(Some(limits::CONNECTIONS_PER_PEER_MAX))
        .with_max_established(Some(limits::CONNECTIONS_MAX));
    // No cache: what identify hears goes to the address book, once the peer is admitted.
    let identify = identify::Config::new("artel/1".into(), key.public())
        .with_agent_version(concat!("artel/", env!("CARGO_PKG_VERSION")).into())
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let ping = ping::Config::new().with_interval(limits::PING_INTERVAL).with_timeout(limits::PING_WAIT);
    let mdns = match options.mdns {
        true => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), peer).map_err(|e| setup(&e))?),
        false => None,
    };
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(connections),
        memory: memory_connection_limits::Behaviour::with_max_bytes(options.memory_bytes_max),
        banned: allow_block_list::Behaviour::default(),
        streams: streams::Behaviour::default(),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        lookups: Gate::new(lookups(key, options)?, counters.clone()),
        gossip: Gate::new(gossip::behaviour(options, counters)?, counters.clone()),
        mdns: mdns.into(),
    })
}

fn lookups(key: &Keypair, options: &Options) -> Result<Lookups, Error> {
    let name = format!("/artel/1/{}/kad", options.federation);
    let name = StreamProtocol::try_from_owned(name).map_err(|e| Error::Setup(e.to_string()))?;
    let mut config = kad::Config::new(name);
    config
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_periodic_bootstrap_interval(None)
        .set_query_timeout(limits::LOOKUP_WAIT)
        .set_substreams_timeout(limits::LOOKUP_WAIT)
        .set_max_packet_size(limits::LOOKUP_BYTES_MAX)
        .disjoint_query_paths(true);
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let peer = key.public().to_peer_id();
    let mut lookups = kad::Behaviour::with_config(peer, MemoryStore::with_config(peer, nothing), config);
    lookups.set_mode(Some(kad::Mode::Server));
    Ok(lookups)
}
