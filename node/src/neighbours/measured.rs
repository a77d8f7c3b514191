//! What went on with other nodes, as Prometheus reads it.

use super::Neighbours;
use super::refusals::Reason;
use artel_mesh::Lane;
use artel_web::metrics::{Kind, Text};

impl Neighbours {
    /// Adds what is counted of the mesh and of what neighbours sent.
    pub fn measure(&self, text: &mut Text) {
        let counts = self.counts();
        text.gauge(
            "artel_mesh_peers",
            "Peers whose hello was accepted and who accepted this node's.",
            counts.admitted,
        );
        text.gauge("artel_mesh_connections", "Open connections.", counts.connected);
        text.counter("artel_mesh_connections_total", "Connections that came about.", counts.connections);
        text.counter("artel_mesh_dials_failed_total", "Dials that failed.", counts.dials_failed);
        let mut family =
            text.family("artel_mesh_bytes_total", Kind::Counter, "Bytes through the mesh by transport.");
        for (transport, bytes) in [("tcp", counts.tcp), ("quic", counts.quic)] {
            family.sample(&[("transport", transport), ("direction", "received")], bytes.received);
            family.sample(&[("transport", transport), ("direction", "sent")], bytes.sent);
        }
        let mut family = text.family(
            "artel_mesh_payload_bytes_total",
            Kind::Counter,
            "Payload of each protocol of the mesh.",
        );
        for (lane, bytes) in &counts.lanes {
            family.sample(&[("protocol", lane.name()), ("direction", "received")], bytes.received);
            family.sample(&[("protocol", lane.name()), ("direction", "sent")], bytes.sent);
        }
        let mut family = text.family(
            "artel_gossip_messages_total",
            Kind::Counter,
            "Gossip: every copy, each message once, this node's own.",
        );
        let gossip = [
            ("copy", counts.gossip_copies),
            ("new", counts.gossip_messages),
            ("own", counts.gossip_published),
        ];
        for (kind, n) in gossip {
            family.sample(&[("kind", kind)], n);
        }
        let mut family = text.family(
            "artel_mesh_refusals_total",
            Kind::Counter,
            "What the mesh itself refused of peers, by reason.",
        );
        for (reason, n) in &counts.refused {
            family.sample(&[("reason", reason.name())], *n);
        }
        self.measure_refusals(text);
        text.gauge(
            "artel_peer_claims_waiting",
            "Claims of peers' agents that wait here.",
            self.claims_waiting(),
        );
    }

    /// By protocol and reason; the codes of the rules, with which an act is refused as one over HTTP is, are one reason here.
    fn measure_refusals(&self, text: &mut Text) {
        let help = "What this node refused of what peers sent, by protocol and reason; rule is a refusal of the rules.";
        let mut family = text.family("artel_peer_refusals_total", Kind::Counter, help);
        for lane in Lane::ALL {
            let mut counted = self.shared.refusals.of(*lane);
            for reason in Reason::ALL {
                let n = counted.remove(reason.name()).unwrap_or_default();
                family.sample(&[("protocol", lane.name()), ("reason", reason.name())], n);
            }
            family.sample(&[("protocol", lane.name()), ("reason", "rule")], counted.values().sum::<u64>());
        }
    }
}
