//! Addresses of nodes, and which of those that others tell us are worth a dial.

use crate::limits::ADDRESS_BYTES_MAX;
use artel_protocol::key::{NodeId, PublicKey};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Where a node is: a multiaddress, `/ip4/192.0.2.1/tcp/4001` or `/dns4/node.example/udp/4001/quic-v1`, with or without
/// `/p2p/<peer id>` at its end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub(crate) Multiaddr);

/// What text is no address we can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address of a node (want /ip4/…/tcp/… or /ip4/…/udp/…/quic-v1, with /p2p/12D3Koo… or without)"
)]
pub struct AddressError;

/// How the bytes of a connection travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP with Noise and Yamux.
    Tcp,
    /// QUIC.
    Quic,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Quic => "quic",
        })
    }
}

impl Address {
    /// The node at its end, if it names one.
    pub fn node(&self) -> Option<NodeId> {
        split(&self.0).ok().and_then(|(_, peer)| peer).and_then(|peer| node_of(&peer))
    }

    /// The same place with the node's peer id at its end.
    pub fn with_node(&self, node: &NodeId) -> Self {
        let (place, _) = split(&self.0).unwrap_or((self.0.clone(), None));
        Address(place.with(Protocol::P2p(peer_of(node))))
    }

    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        self.0.iter().any(|part| match part {
            Protocol::Ip4(ip) => ip.is_loopback(),
            Protocol::Ip6(ip) => ip.is_loopback(),
            _ => false,
        })
    }

    /// The socket that it stands for; nothing where it names a host that must be looked up.
    pub fn socket(&self) -> Option<(SocketAddr, Transport)> {
        let port = self.0.iter().find_map(|part| match part {
            Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
            _ => None,
        })?;
        Some((SocketAddr::new(ip_of(&self.0)?, port), self.transport()))
    }

    /// How it is reached.
    pub fn transport(&self) -> Transport {
        transport_of(&self.0)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > 2 * ADDRESS_BYTES_MAX {
            return Err(AddressError);
        }
        let address = Multiaddr::from_str(text).map_err(|_| AddressError)?;
        let (place, peer) = split(&address)?;
        if !is_place(&place) || peer.is_some_and(|peer| node_of(&peer).is_none()) {
            return Err(AddressError);
        }
        Ok(Address(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The peer id of a node: the identity multihash of its key.
pub(crate) fn peer_of(node: &NodeId) -> PeerId {
    let mut bytes = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    bytes.extend_from_slice(node.key().bytes());
    PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a peer id")
}

/// The node of a peer id, unless its key is no usable Ed25519 key.
pub(crate) fn node_of(peer: &PeerId) -> Option<NodeId> {
    PublicKey::from_peer_id(&peer.to_base58()).ok().map(NodeId)
}

/// The place without the peer id at its end, and that.
pub(crate) fn split(address: &Multiaddr) -> Result<(Multiaddr, Option<PeerId>), AddressError> {
    let mut place = address.clone();
    match place.iter().last() {
        Some(Protocol::P2p(peer)) => {
            place.pop();
            Ok((place, Some(peer)))
        }
        Some(_) => Ok((place, None)),
        None => Err(AddressError),
    }
}

/// A host with TCP or QUIC on it, and nothing around it.
fn is_place(place: &Multiaddr) -> bool {
    let mut parts = place.iter();
    let has_host = match parts.next() {
        Some(Protocol::Ip4(_) | Protocol::Ip6(_)) => true,
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => !name.is_empty(),
        _ => false,
    };
    let has_way = matches!(
        (parts.next(), parts.next()),
        (Some(Protocol::Tcp(_)), None) | (Some(Protocol::Udp(_)), Some(Protocol::QuicV1))
    );
    has_host && has_way && parts.next().is_none()
}

pub(crate) fn transport_of(address: &Multiaddr) -> Transport {
    if address.iter().any(|part| part == Protocol::QuicV1) { Transport::Quic } else { Transport::Tcp }
}

pub(crate) fn tcp_port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })
}

/// What is kept of an address that somebody told us about `peer`: the place, if one can dial it. A loopback address is
/// taken only from who is on this machine too.
pub(crate) fn worth_keeping(address: &Multiaddr, peer: &PeerId, teller_is_local: bool) -> Option<Multiaddr> {
    let (place, named) = split(address).ok()?;
    if named.is_some_and(|named| named != *peer) || place.len() > ADDRESS_BYTES_MAX || !is_place(&place) {
        return None;
    }
    let has_port = place.iter().all(|part| !matches!(part, Protocol::Tcp(0) | Protocol::Udp(0)));
    let ip_is_usable = match ip_of(&place) {
        None => true,
        Some(ip) => !ip.is_unspecified() && !ip.is_multicast() && (!ip.is_loopback() || teller_is_local),
    };
    (has_port && ip_is_usable).then_some(place)
}

/// What is kept of where a peer says that it sees this node: the place, if it is one.
pub(crate) fn sight(address: &Multiaddr) -> Option<Multiaddr> {
    let (place, _) = split(address).ok()?;
    (place.len() <= ADDRESS_BYTES_MAX && is_place(&place)).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::key::SecretKey;

    fn node(seed: u8) -> NodeId {
        NodeId(SecretKey::from_seed(&[seed; 32]).public())
    }

    #[test]
    fn nodes_and_peers_name_each_other() {
        let peer = peer_of(&node(1));
        assert_eq!(peer.to_base58(), node(1).key().peer_id());
        assert_eq!(node_of(&peer), Some(node(1)));
        assert_eq!(node_of(&PeerId::random()), None, "a random multihash holds no key");
    }

    #[test]
    fn addresses_are_hosts_with_tcp_or_quic() {
        let peer = node(1).key().peer_id();
        for (text, good) in [
            ("/ip4/192.0.2.1/tcp/4001".to_owned(), true),
            (format!("/ip4/192.0.2.1/tcp/4001/p2p/{peer}"), true),
            ("/ip6/::1/udp/4001/quic-v1".to_owned(), true),
            ("/dns4/node.example/tcp/1".to_owned(), true),
            ("/ip4/192.0.2.1".to_owned(), false),
            ("/ip4/192.0.2.1/udp/4001".to_owned(), false),
            ("/ip4/192.0.2.1/tcp/4001/ws".to_owned(), false),
            (format!("/p2p/{peer}"), false),
            (format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}/p2p-circuit"), false),
            ("/ip4/192.0.2.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".to_owned(), false),
            (String::new(), false),
            ("nonsense".to_owned(), false),
        ] {
            assert_eq!(Address::from_str(&text).is_ok(), good, "{text}");
        }
        let address = Address::from_str("/ip4/192.0.2.1/tcp/4001").expect("as above");
        assert_eq!((address.node(), address.with_node(&node(2)).node()), (None, Some(node(2))));
    }

    #[test]
    fn only_dialable_addresses_are_kept() {
        let peer = peer_of(&node(1));
        for (text, from_here, from_afar) in [
            ("/ip4/192.0.2.1/tcp/4001".to_owned(), true, true),
            ("/ip4/127.0.0.1/tcp/4001".to_owned(), true, false),
            ("/ip4/0.0.0.0/tcp/4001".to_owned(), false, false),
            ("/ip4/192.0.2.1/tcp/0".to_owned(), false, false),
            ("/ip4/224.0.0.1/tcp/9".to_owned(), false, false),
            (format!("/ip4/192.0.2.1/tcp/1/p2p/{}", node(1).key().peer_id()), true, true),
            (format!("/ip4/192.0.2.1/tcp/1/p2p/{}", node(2).key().peer_id()), false, false),
        ] {
            let address = Multiaddr::from_str(&text).expect("a multiaddress");
            assert_eq!(worth_keeping(&address, &peer, true).is_some(), from_here, "{text}");
            assert_eq!(worth_keeping(&address, &peer, false).is_some(), from_afar, "{text}");
        }
    }
}
