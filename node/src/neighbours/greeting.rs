//! Hellos and welcomes: who a peer is, by what it shows; letting newcomers in, by asking the rules; and being let in.

use super::refusals::Reason;
use super::shared::Shared;
use crate::clock::wall;
use crate::hello::{self, ChainRecord, Judged, Newcomer};
use anyhow::Context as _;
use artel_federation::chain::Link;
use artel_federation::{Entry, Fact, Reply};
use artel_mesh::{HelloAnswer, Lane};
use artel_protocol::hello::{Expected, Hello, Welcome};
use artel_protocol::id::FederationId;
use artel_protocol::key::NodeId;
use artel_protocol::record::Records;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How often this node signs its hello anew: readers take one that is at most five minutes old.
const REFRESH: Duration = Duration::from_secs(60);

/// Why a node is refused that a proof of fraud is held against.
const FRAUD_PROVEN: &str = "fraud_proven";

/// What this node says first.
pub(super) fn our_hello(shared: &Shared, addresses: Vec<String>) -> anyhow::Result<Bytes> {
    let (chain, secret) = (shared.admission.chain(), shared.admission.secret());
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
            if matches!(Reason::from(&error), Reason::Malformed | Reason::Proof) {
                // The mesh may have ended, and every connection with it.
                let _ = shared.mesh.blame(&from).await;
            }
            return hello::unwelcome(&error);
        }
    };
    if shared.is_liar(&from) {
        return Welcome::refused(
            FRAUD_PROVEN,
            "there is proof that this node signed two histories of its journal",
        );
    }
    let hello_shows = !hello.chain.is_empty();
    let mut shown = Vec::new();
    let judged = {
        let mut exchange = shared.exchange();
        let (genesis, me) = (exchange.genesis().clone(), shared.me.node());
        hello::judge((&genesis, &me), &hello, exchange.expulsions_mut(), |frame| {
            let read = admission_in(frame, &federation)?;
            shown.push((read.author, read.index, read.fact.clone()));
            Some(read)
        })
    };
    match judged {
        Judged::Member => {
            let mut exchange = shared.exchange();
            shown.iter().for_each(|(author, index, fact)| exchange.hear(*author, [(*index, fact)]));
            Welcome::accepted(Vec::new())
        }
        // What it shows may have been taken back, and another member have let it in since.
        Judged::Refused(_) if hello_shows && shared.exchange().is_member(&from) => {
            Welcome::accepted(Vec::new())
        }
        Judged::Refused(error) => hello::refused(&error),
        Judged::Ask(newcomer) => ask(shared, &newcomer).await,
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
        return shared.remember_refusal(by, format!("{}: {}", welcome.code, welcome.message));
    }
    if welcome.admission.is_empty() || !shared.admission.chain().is_empty() {
        return;
    }
    match take_admission(&shared, welcome.admission.clone()).await {
        Ok(()) => tracing::info!(%by, "this node is a member"),
        Err(error) => tracing::warn!(%by, error = format!("{error:#}"), "an admission that does not hold"),
    }
}

async fn take_admission(shared: &Arc<Shared>, frames: Vec<Vec<u8>>) -> anyhow::Result<()> {
    let federation = shared.me.federation();
    let mut links = Vec::new();
    for frame in &frames {
        let ChainRecord { author, index, fact } =
            admission_in(frame, &federation).context("a record whose proof does not hold")?;
        let Fact::Admitted(admitted) = fact else { anyhow::bail!("a record of another kind") };
        links.push(Link { author, index, admitted });
    }
    shared.exchange().judge_chain(&shared.me.node(), &links)?;
    let taken = shared.clone();
    tokio::task::spawn_blocking(move || taken.admission.set(frames)).await??;
    for Link { author, index, admitted } in links {
        shared.exchange().hear(author, [(index, &Fact::Admitted(admitted))]);
    }
    say_anew(shared).await
}

/// The one record of a chain's frame.
fn admission_in(frame: &[u8], federation: &FederationId) -> Option<ChainRecord> {
    let records = Records::check(frame, federation).ok()?;
    let [record] = records.records() else { return None };
    let fact = Entry::decode(&record.body).ok()?.fact;
    Some(ChainRecord { author: records.origin().node(), index: record.index, fact })
}
