//! A data directory is examined while no node runs on it, or none that answers.

use super::{Doctor, clock, directory, disk, machine, ports};
use crate::clock::wall;
use crate::config::{self, Config};
use crate::data;
use artel_mesh::Address;
use artel_web::types::doctor::{Check, Finding};
use std::path::Path;

/// Looks at what can be looked at without a node. `silent` says that one should have answered: then its lock tells
/// whether it hangs.
pub async fn examine(dir: &Path, silent: Option<String>) -> Vec<Finding> {
    let doctor = Doctor::default();
    let is_there = dir.is_dir();
    let in_use = data::in_use(dir).is_some();
    let mut found = vec![node(dir, in_use, silent), machine::version(), clock::at_a_glance(wall())];
    let (configured, config) = directory::configuration(dir, config::environment());
    found.push(configured);
    let used = is_there && dir.join("journal").exists();
    let path = dir.to_owned();
    let on_disk = doctor.at_disk(move || match std::fs::metadata(&path) {
        Err(error) => vec![directory::unreadable(&path, &error)],
        Ok(_) if used => disk::look(&path).into_iter().chain([directory::look(&path)]).collect(),
        Ok(_) => {
            let fresh = "the directory has not been used; the first start makes its keys";
            disk::look(&path).into_iter().chain([Finding::ok(Check::Directory, fresh)]).collect()
        }
    });
    let (on_disk, walls) = tokio::join!(on_disk, doctor.walls.look());
    found.extend(on_disk);
    found.push(walls);
    let config = config.unwrap_or_default();
    // A node that hangs holds its own ports.
    if !in_use {
        found.extend(ports_of(&config));
    }
    found.extend([machine::memory(), machine::open_files(config.connections_max)]);
    found.sort_by_key(|finding| finding.check);
    found
}

fn node(dir: &Path, in_use: bool, silent: Option<String>) -> Finding {
    if in_use {
        let why = silent.unwrap_or_else(|| "it has not said where it answers".to_owned());
        let advice = "wait a moment if it is starting; otherwise read its log, stop it and start it again";
        return Finding::fail(
            Check::Node,
            format!("a process uses {} and cannot be asked", dir.display()),
            advice,
        )
        .with(why);
    }
    Finding::ok(Check::Node, "no node runs on this directory; what can be examined without one follows")
        .advising(format!("start it with: artel up --data {}", dir.display()))
}

fn ports_of(config: &Config) -> Vec<Finding> {
    let http = ports::free(Check::Http, &[ports::Place::of_http(config.http)], "--http");
    let addresses = config.listen.iter().map(|text| text.parse::<Address>()).collect::<Result<Vec<_>, _>>();
    let mesh = match addresses {
        Ok(all) => {
            let places: Vec<ports::Place> = all.iter().filter_map(ports::Place::of_mesh).collect();
            ports::free(Check::Mesh, &places, "--listen")
        }
        Err(error) => Finding::fail(Check::Mesh, error.to_string(), "mend listen in the configuration"),
    };
    vec![http, mesh]
}
