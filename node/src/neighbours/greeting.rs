//! Hellos and welcomes: who a peer is, by what it shows; letting newcomers in, by asking the rules; and being let in.

use super::admission::{links, record_in};
use super::refusals::Reason;
use super::shared::Shared;
use crate::clock::wall;
use crate::hello::{self, ChainRecord, Judged, Newcomer};
use anyhow::Context as _;
use artel_federation::chain::Link;
use artel_federation::{Entry, Fact, Reply};
use artel_mesh::{HelloAnswer, Lane};
use artel_protocol::hello::{Error as HelloError, Expected, Hello, Welcome};
use artel_protocol::key::NodeId;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How often this node signs its hello anew: readers take one that is at most five minutes old.
const REFRESH: Duration = Duration::from_secs(60);

/// Why a node is refused that a proof of fraud is held against.
const FRAUD_PROVEN: &str = "fraud_proven";

/// What this node says first.
pub(super) fn our_hello(shared: &Shared, addresses: Vec<String>) -> anyhow::Result<Bytes> {
    let (chain, secret) = (shared.admission.chain(), shared.admission.secret(&shared.me, &shared.exchange()));
    Ok(hello::say((&shared.me, &shared.key), wall(), addresses, chain, secret)?.into())
}

/// Keeps what this node says first fresh, until the node ends.
pub(super) async fn keep_fresh(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(REFRESH);
    loop {
        every.tick().await;
        if let Err(error) = say_anew(&shared).await {
            tracing::warn!(%error, "this node's hello cannot be made; neighbours will refuse it");
        }
    }
}

/// Says what is true now on connections to come.
async fn say_anew(shared: &Shared) -> anyhow::Result<()> {
    let addresses = shared.addresses();
    Ok(shared.mesh.set_hello(our_hello(shared, addresses)?).await?)
}

/// Answers a peer's hello.
pub(super) async fn answer(shared: Arc<Shared>, from: NodeId, data: Bytes, answer: HelloAnswer) {
    let welcome = judge(&shared, from, &data).await;
    if !welcome.accept {
        shared.refusals.count(Lane::Hello, welcome.code.trim_start_matches("hello_"));
        tracing::info!(%from, code = welcome.code, message = welcome.message, "a peer was not let in");
    }
    let frame = welcome.to_frame().unwrap_or_default();
    answer.send(welcome.accept, frame.into());
}

async fn judge(shared: &Arc<Shared>, from: NodeId, data: &[u8]) -> Welcome {
    let federation = shared.me.federation();
    let hello = match Hello::check(data, &Expected { federation, peer: from, now: wall() }) {
        Ok(hello) => hello,
        Err(error) => {
            if let HelloError::Clock(theirs) = &error {
                shared.clocks.hello(from, *theirs, wall());
            }
            if matches!(Reason::from(&error), Reason::Malformed | Reason::Proof) {
                // The mesh may have ended, and every connection with it.
                let _ = shared.mesh.blame(&from).await;
            }
            return hello::unwelcome(&error);
        }
    };
    shared.clocks.hello(from, hello.at, wall());
    if shared.is_liar(&from) {
        return Welcome::refused(
            FRAUD_PROVEN,
            "there is proof that this node signed two histories of its journal",
        );
    }
    let mut shown = Vec::new();
    let judged = hello::judge(&hello, shared.exchange().words(), |frame| {
        let (author, index, fact) = record_in(frame, &federation)?;
        shown.push((author, index, fact.clone()));
        Some(ChainRecord { author, index, fact })
    });
    match judged {
        Judged::Member => {
            let mut exchange = shared.exchange();
            shown.iter().for_each(|(author, index, fact)| exchange.hear(*author, [(*index, fact)]));
            Welcome::accepted(Vec::new())
        }
        Judged::Refused(error) => hello::refused(&error),
        Judged::Ask(newcomer) => match ask(shared, &newcomer).await {
            // What it shows may have been taken back, and another member have let it in since.
            welcome if !welcome.accept && shared.exchange().is_member(&from) => Welcome::accepted(Vec::new()),
            welcome => welcome,
        },
    }
}

/// Asks the rules whether a newcomer may come in.
async fn ask(shared: &Arc<Shared>, newcomer: &Newcomer) -> Welcome {
    let (principal, request) = newcomer.request();
    let answer = match shared.handle.ask(principal, None, request).await {
        Ok(answer) => answer,
        Err(unavailable) => return Welcome::refused("unavailable", &unavailable.to_string()),
    };
    let admission = match &answer {
        Ok(Reply::Admitted { index: Some(index), .. }) => admission_of(shared, *index).await,
        _ => Ok(Vec::new()),
    };
    match admission {
        Ok(admission) => hello::welcome(answer.as_ref(), newcomer.instead.as_ref(), admission),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "an admission cannot be shown");
            Welcome::refused("unavailable", "this node cannot read its journal; try again in a moment")
        }
    }
}

/// The chain of a node that this one let in by the entry at `index`.
async fn admission_of(shared: &Arc<Shared>, index: u64) -> anyhow::Result<Vec<Vec<u8>>> {
    shared.handle.checkpoint().await?;
    let reader = shared.reader.get();
    let records = tokio::task::spawn_blocking(move || reader.records(&[index])).await??;
    let mut exchange = shared.exchange();
    for record in records.records() {
        let fact = Entry::decode(&record.body)?.fact;
        exchange.hear(shared.me.node(), [(record.index, &fact)]);
    }
    let own = shared.admission.chain();
    Ok(std::iter::once(records.bytes().to_vec()).chain(own).collect())
}

/// Hears what a peer says to this node's hello.
pub(super) async fn welcomed(shared: Arc<Shared>, by: NodeId, data: Bytes) {
    let welcome = match Welcome::check(&data) {
        Ok(welcome) => welcome,
        Err(error) => return tracing::debug!(%by, %error, "a welcome that is none"),
    };
    if !welcome.accept {
        tracing::warn!(%by, code = welcome.code, message = welcome.message, "a peer does not let this node in");
        shared.remember_refusal(by, format!("{}: {}", welcome.code, welcome.message));
        if shared.admission.refused(&by, &welcome.code)
            && let Err(error) = say_anew(&shared).await
        {
            tracing::warn!(%error, "this node's hello cannot be made; the next one is made in a minute");
        }
        return;
    }
    if welcome.admission.is_empty() {
        return;
    }
    match take_admission(&shared, welcome.admission.clone()).await {
        Ok(true) => tracing::info!(%by, "this node is a member"),
        Ok(false) => tracing::debug!(%by, "an admission that this node does not need"),
        Err(error) => tracing::warn!(%by, error = format!("{error:#}"), "an admission that does not hold"),
    }
}

/// Takes an admission where this node needs one; says whether it did.
async fn take_admission(shared: &Arc<Shared>, frames: Vec<Vec<u8>>) -> anyhow::Result<bool> {
    let links = links(&frames, &shared.me.federation()).context("no records of admissions")?;
    {
        let exchange = shared.exchange();
        exchange.judge_chain(&shared.me.node(), &links)?;
        if !shared.admission.takes(&links, (&shared.me, &exchange), wall()) {
            return Ok(false);
        }
    }
    let taken = shared.clone();
    tokio::task::spawn_blocking(move || taken.admission.set(frames)).await??;
    for Link { author, index, admitted } in links {
        shared.exchange().hear(author, [(index, &Fact::Admitted(admitted))]);
    }
    say_anew(shared).await?;
    Ok(true)
}
