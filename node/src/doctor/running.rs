//! A running node examines itself.

use super::{Doctor, clock, directory, disk, machine, mesh, ports};
use crate::clock::wall;
use crate::config::Config;
use crate::driver::Down;
use crate::index::Index;
use crate::neighbours::Neighbours;
use artel_federation::Identity;
use artel_protocol::time::Wall;
use artel_web::types::doctor::{Check, Finding};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

/// What is looked at of a running node.
pub struct Patient<'a> {
    /// Its data directory.
    pub dir: &'a Path,
    /// Its configuration.
    pub config: &'a Config,
    /// Where its API listens.
    pub http: SocketAddr,
    /// Whether its journal can be written.
    pub down: &'a Down,
    /// What is read by key.
    pub index: &'a Index,
    /// How long its journal is.
    pub entries: u64,
    /// Other nodes, where it has to do with any.
    pub neighbours: Option<&'a Neighbours>,
    /// Who it is.
    pub identity: Identity,
    /// When it started, by both clocks.
    pub started: (Instant, Wall),
}

/// Looks at everything, once at a time; the findings stand in the order of [`Check`].
pub async fn examine(doctor: &Doctor, patient: Patient<'_>) -> Vec<Finding> {
    let _turn = doctor.turn.lock().await;
    let dir = patient.dir.to_owned();
    let on_disk = doctor.at_disk(move || {
        let mut found = disk::look(&dir);
        found.push(directory::look(&dir));
        found
    });
    let has_tls = !patient.config.tls_cert.is_empty();
    let peers = async {
        match patient.neighbours {
            // The mesh may have ended; then there is nobody.
            Some(neighbours) => neighbours.peers().await.unwrap_or_default(),
            None => Vec::new(),
        }
    };
    let listening = patient.neighbours.map(Neighbours::addresses).unwrap_or_default();
    let (mut found, http, mesh_ports, walls, peers) = tokio::join!(
        on_disk,
        ports::http(patient.http, has_tls),
        ports::mesh(&listening),
        doctor.walls.look(),
        peers
    );
    let up_s = patient.started.0.elapsed().as_secs();
    found.push(Finding::ok(Check::Node, "the node runs").with(format!("for {up_s} s")));
    found.push(machine::version());
    found.push(set_keys(patient.config));
    found.push(clock::alone(wall(), patient.started.1, patient.started.0.elapsed()));
    found.extend([http, mesh_ports, walls]);
    found.extend([machine::memory(), machine::open_files(patient.config.connections_max)]);
    found.push(journal(patient.down, patient.entries));
    found.push(index(patient.index));
    found.extend(of_neighbours(&patient, &peers, !listening.is_empty()));
    found.sort_by_key(|finding| finding.check);
    found
}

fn set_keys(config: &Config) -> Finding {
    let set = config.differences();
    let found = Finding::ok(Check::Configuration, "the configuration that the node started with");
    found.with(if set.is_empty() { "defaults only".to_owned() } else { set.join(", ") })
}

fn of_neighbours(patient: &Patient<'_>, peers: &[artel_mesh::Peer], listens: bool) -> Vec<Finding> {
    let neighbours = patient.neighbours;
    let refused_by = neighbours.map_or(0, |neighbours| neighbours.refused_by().len());
    let cosigned: Vec<(u64, u64)> = neighbours
        .map(|neighbours| neighbours.witnesses().iter().map(|w| (w.size, w.at_s)).collect())
        .unwrap_or_default();
    let said = neighbours.and_then(Neighbours::head_said);
    let has_any = peers.iter().any(|peer| peer.admitted);
    vec![
        mesh::neighbours(peers, refused_by),
        mesh::reachability(peers, listens),
        mesh::witnesses(&cosigned, said, wall(), has_any),
        mesh::quarantine(patient.identity.node, neighbours),
        clock::beside(neighbours.map(Neighbours::clocks).unwrap_or_default()),
    ]
}

fn journal(down: &Down, entries: u64) -> Finding {
    let value = format!("{entries} entries");
    let found = match down.reason() {
        None => Finding::ok(Check::Journal, "the journal takes what is written"),
        Some(reason) => {
            let advice = "make room, or mend the disk: the node tries again each second by itself; \
                          then look at it with artel audit verify";
            Finding::fail(Check::Journal, format!("the journal cannot be written: {reason}"), advice)
        }
    };
    found.with(value)
}

fn index(index: &Index) -> Finding {
    if index.is_ready() {
        return Finding::ok(Check::Index, "the index answers");
    }
    let advice = "it catches up by itself; if it never ends, stop the node and run artel audit rebuild";
    Finding::warn(Check::Index, "the index is still opening, and lists of what is over wait for it", advice)
}
