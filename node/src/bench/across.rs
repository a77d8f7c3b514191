//! What goes between two nodes: a claim at another home, a lease's bytes.

use super::load::{self, Queue};
use super::measure::{self, percentiles, rounded};
use super::mesh;
use super::node::Scratch;
use super::report::Report;
use super::wire::Line;
use anyhow::{Context as _, ensure};
use artel_protocol::id::Digest;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Claims before the ones that count.
const WARM_UP: u64 = 20;
/// How many bytes the plain copy moves at a time, as a blob stream does.
const PIECE_BYTES: usize = 64 << 10;
#[derive(Deserialize)]
struct Lease {
    task_id: String,
    epoch: u32,
}

/// Claims and results at another home, one after the other, beside those of an agent at home.
///
/// # Errors
/// What a node or a socket says.
pub(super) async fn claim(
    report: &Report,
    scratch: &Scratch,
    reward: u32,
    claims: u64,
) -> anyhow::Result<()> {
    let nodes = mesh::start(scratch, 1).await?;
    let fsync_us = measure::fsync_p50_us(scratch.path())?;
    let (home, away) = (&nodes[0], &nodes[1]);
    let mut figures = json!({"n": claims, "fsync_p50_us": fsync_us});
    for (name, node, skill, delegate) in [("home", home, "bench-h", false), ("away", away, "bench-a", true)] {
        let queue = Queue { skill: skill.into(), reward };
        load::post_in_runs(home, &queue, claims + WARM_UP).await?;
        let mut line = load::enroll(node.address, skill, delegate).await?;
        let body = json!({"home": home.did}).to_string();
        let (mut claimed, mut submitted) = (Vec::new(), Vec::new());
        for number in 0..claims + WARM_UP {
            let begun = Instant::now();
            let status = line.post("/v1/tasks/claim", &body).await?;
            let took = begun.elapsed();
            let lease: Lease = line.read(status, 200)?;
            let handed = submit(&mut line, &lease).await?;
            if number >= WARM_UP {
                claimed.push(took);
                submitted.push(handed);
            }
        }
        figures[format!("{name}_claim_ms")] = percentiles(claimed);
        figures[format!("{name}_submit_ms")] = percentiles(submitted);
    }
    report.tell("claim", figures)?;
    mesh::stop(nodes).await
}

async fn submit(line: &mut Line, lease: &Lease) -> anyhow::Result<Duration> {
    let body = format!(r#"{{"epoch":{},"output":{{}}}}"#, lease.epoch);
    let begun = Instant::now();
    let status = line.post(&format!("/v1/tasks/{}/submit", lease.task_id), &body).await?;
    let took = begun.elapsed();
    line.read::<Value>(status, 200)?;
    Ok(took)
}

/// An artifact of a lease fetched from its home, beside a plain copy over loopback that hashes and syncs what comes.
///
/// # Errors
/// What a node, a socket or the disk says.
pub(super) async fn blob(
    report: &Report,
    scratch: &Scratch,
    megabytes: u64,
    times: u32,
) -> anyhow::Result<()> {
    let nodes = mesh::start(scratch, 1).await?;
    let (home, away) = (&nodes[0], &nodes[1]);
    let queue = Queue { skill: "bench-blob".into(), reward: 0 };
    load::post_in_runs(home, &queue, 1).await?;
    let mut line = load::enroll(away.address, &queue.skill, true).await?;
    let status = line.post("/v1/tasks/claim", &json!({"home": home.did}).to_string()).await?;
    line.read::<Lease>(status, 200)?;
    let (mut fetches, mut copies) = (Vec::new(), Vec::new());
    let mut operator = home.line().await?;
    for number in 0..times {
        let bytes = noise(megabytes << 20, number);
        let digest = Digest::of(&bytes);
        let path = format!("/v1/artifacts/{digest}");
        ensure!(operator.put(&path, &bytes).await? == 201, "home has not taken the artifact");
        let begun = Instant::now();
        ensure!(line.head(&path).await? == 200, "the artifact was not fetched");
        fetches.push(begun.elapsed());
        let dir = scratch.path().to_owned();
        copies.push(tokio::task::spawn_blocking(move || plain_copy(&dir, bytes, digest)).await??);
    }
    let best = |times: &[Duration]| times.iter().min().copied().unwrap_or_default().as_secs_f64();
    let rate = |time: f64| rounded(megabytes as f64 / time);
    let (fetch, copy) = (best(&fetches), best(&copies));
    report.tell(
        "blob",
        json!({
            "mb": megabytes,
            "n": times,
            "fetch_mb_s_best": rate(fetch),
            "plain_copy_mb_s_best": rate(copy),
            "of_plain_copy": rounded(copy / fetch),
            "fetch_ms": percentiles(fetches),
            "plain_copy_ms": percentiles(copies),
        }),
    )?;
    mesh::stop(nodes).await
}

/// Bytes that no two artifacts have in common.
fn noise(bytes: u64, seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(word).take(bytes as usize / 8).flatten().collect()
}

/// Sends bytes from a file over loopback to one who hashes them, writes them to a file and syncs it.
fn plain_copy(dir: &Path, bytes: Vec<u8>, digest: Digest) -> anyhow::Result<Duration> {
    let (from, to) = (dir.join("copy-from"), dir.join("copy-to"));
    std::fs::write(&from, &bytes)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let begun = Instant::now();
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        let mut file = std::fs::File::open(from)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(()),
                read => socket.write_all(&piece[..read])?,
            }
        }
    });
    let mut socket = TcpStream::connect(address)?;
    let (mut hash, mut file) = (Sha256::new(), std::fs::File::create(to)?);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match socket.read(&mut piece)? {
            0 => break,
            read => {
                hash.update(&piece[..read]);
                file.write_all(&piece[..read])?;
            }
        }
    }
    file.sync_all()?;
    let took = begun.elapsed();
    sender.join().ok().context("the sender has panicked")??;
    ensure!(hash.finalize().as_slice() == digest.0, "the copy has another digest");
    Ok(took)
}
