//! This node's agents away from home: what they do at another home goes there as one direct request, on the authority that
//! the agent gave.

use super::manners::Failure;
use super::outbox::Place;
use super::refusals::Reason;
use super::shared::Shared;
use super::{Neighbours, Offer, blob};
use crate::handle::Unavailable;
use artel_federation::away::Engagement;
use artel_federation::fact::Delegation;
use artel_federation::view::View;
use artel_federation::visit::message::{Act, Enough, Told, Visit, Warrant};
use artel_federation::{Entry, Fact, Json};
use artel_mesh::{Lane, RequestError};
use artel_protocol::id::{Digest, Epoch, StepId};
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a home may take to answer, beside what a claim says that it waits.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// How long a home may take to answer a result with artifacts, which it fetches first.
const FETCH_WAIT: Duration = Duration::from_secs(300);

/// How long an agent that hands a result in waits for its home; then it is told that the result waits. Less than a request over
/// HTTP may take (30 s), or the agent would be told of a time that ran out and hand the same in beside itself.
const HAND_IN_WAIT: Duration = Duration::from_secs(20);

/// How long it may take until a home that is not connected is.
const REACH_WAIT: Duration = Duration::from_secs(5);

/// Why a home was not asked, or gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent has not delegated to this node and did not sign the act itself.
    #[error(
        "this agent has not delegated to this node: enroll again with \"delegate\": true, or sign the act itself (\"signed\")"
    )]
    NoWarrant,
    /// No connection to the home.
    #[error("home {0} cannot be reached at the moment; try again")]
    Unreachable(NodeId),
    /// No answer: it may have been done all the same.
    #[error("home {0} has not answered in time; it may have been done, and the same again changes nothing")]
    Silent(NodeId),
    /// What it answered is no answer.
    #[error("home {0} answers what no honest home answers")]
    Dishonest(NodeId),
    /// This node cannot be asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// This node cannot read its journal.
    #[error("this node cannot read its journal: {0}")]
    Journal(#[from] artel_audit::Error),
}

/// An agent's own signature over an act, and the moment that stands in it.
pub type Own = Option<(Wall, Signature)>;

/// What a home is told of an agent that asks there, as the rules have it.
pub struct Introduction {
    name: String,
    skills: Vec<Skill>,
    delegation: Option<Delegation>,
    /// Where its enrollment stands in the journal.
    entry: u64,
}

impl Introduction {
    /// Of an agent that is known here.
    pub fn of(view: View<'_>, agent: &AgentId) -> Option<Self> {
        let agent = view.agent(agent)?;
        let (name, skills) = (agent.name.clone(), agent.skills.clone());
        Some(Introduction { name, skills, delegation: agent.delegation, entry: agent.entry })
    }
}

impl Neighbours {
    /// Asks a home in an agent's name. What it says may be a refusal.
    ///
    /// # Errors
    /// [`Error`]: there is no answer.
    pub async fn visit(&self, home: &NodeId, agent: AgentId, act: Act, own: Own) -> Result<Told, Error> {
        let introduction = self.shared.introduction(agent).await?;
        self.shared.visit(home, (agent, introduction), act, own).await
    }

    /// The same for an agent that was looked at just now.
    ///
    /// # Errors
    /// As [`Neighbours::visit`].
    pub async fn visit_as(
        &self,
        home: &NodeId,
        agent: (AgentId, Introduction),
        act: Act,
        own: Own,
    ) -> Result<Told, Error> {
        self.shared.visit(home, agent, act, own).await
    }

    /// Brings a result that was just handed in to its home; what home says of it is written down.
    ///
    /// # Errors
    /// [`Error`]: it stays in the outbox.
    pub async fn hand_in(
        &self,
        (engagement, introduction): (&Engagement, Introduction),
        (output, artifacts): (Json, Vec<Digest>),
        (own, next): (Own, Option<u32>),
    ) -> Result<Told, Error> {
        let Some(handed) = &engagement.result else { return Err(Error::NoWarrant) };
        let (lease, agent) = (engagement.lease, engagement.agent);
        if handed.judged.is_none() {
            self.shared.outbox.expect(lease);
            self.shared.evidence.state().book.keep_paid(lease.home, agent);
        }
        // Where the same result is on its way already, home is asked once it has arrived: its answer is the agent's, too.
        let ends = tokio::time::Instant::now() + HAND_IN_WAIT;
        let place = tokio::time::timeout_at(ends, Place::wait(&self.shared, lease)).await;
        let place = place.map_err(|_| Error::Silent(lease.home))?;
        let result = (handed.index, handed.salt, output, artifacts);
        let shared = self.shared.clone();
        // It goes on where the agent waits no longer.
        let mut brought = tokio::spawn(async move {
            let brought = shared.bring_now((agent, introduction), lease, result, (own, next)).await;
            (brought.map(|(told, _)| told), place)
        });
        if let Ok(brought) = tokio::time::timeout_at(ends, &mut brought).await {
            return brought.map_or(Err(Error::Unavailable(Unavailable::Stopping)), |(told, _)| told);
        }
        let neighbours = self.clone();
        tokio::spawn(async move {
            // Who hands the same in meanwhile asks once the next lease is given back, or it would be told of it.
            if let Ok((Ok(Told::Submitted { receipt, .. }), _place)) = brought.await
                && let Some(next) = receipt.next
            {
                neighbours.give_back(lease.home, agent, (next.step, next.epoch)).await;
            }
        });
        Err(Error::Silent(lease.home))
    }

    /// Gives a lease back that nobody here can take on.
    pub async fn give_back(&self, home: NodeId, agent: AgentId, (step, epoch): (StepId, Epoch)) {
        if let Err(error) = self.visit(&home, agent, Act::Release { step, epoch }, None).await {
            tracing::debug!(%home, %step, %error, "a lease could not be given back, and will lapse");
        }
    }

    /// A home has answered what no honest home does.
    pub fn dishonest(&self, home: &NodeId) -> Error {
        self.shared.dishonest(home)
    }

    /// The home that was heard to offer a step.
    pub fn home_of(&self, step: &StepId) -> Option<NodeId> {
        self.shared.board.home_of(step, &self.shared.dealt_with())
    }

    /// The homes that were heard to offer what an agent with these skills may take, and what counts each one's news: those that
    /// are connected and have answered first. Who failed lately is not among them.
    pub fn homes_for(&self, skills: &[Skill]) -> Vec<(NodeId, u64)> {
        let mut homes = self.shared.board.homes_for(skills, &self.shared.dealt_with());
        let up = self.shared.up().clone();
        let (manners, now) = (self.shared.manners(), Instant::now());
        homes.retain(|(home, _)| !manners.is_paused(home, now));
        // A stable sort: of equals whoever offers the most comes first.
        homes.sort_by_key(|(home, _)| (!up.contains(home), manners.failures(home)));
        homes
    }

    /// The homes at which an agent's claim may wait, the best first: those of [`Neighbours::homes_for`] that are connected, then
    /// the other neighbours, for each agent from another one on, so that agents that wait spread over them.
    pub fn homes_to_wait_at(&self, agent: &AgentId, skills: &[Skill]) -> Vec<NodeId> {
        let shared = &self.shared;
        let up = shared.up().clone();
        let mut homes: Vec<NodeId> = self.homes_for(skills).into_iter().map(|(home, _)| home).collect();
        homes.retain(|home| up.contains(home));
        let now = Instant::now();
        let mut others: Vec<NodeId> = shared.deals_with(up).into_iter().collect();
        {
            let manners = shared.manners();
            others.retain(|node| !homes.contains(node) && !manners.is_paused(node, now));
        }
        others.retain(|node| !shared.homes.breaks_rules(node));
        if !others.is_empty() {
            let turn = usize::from(agent.key().bytes()[0]) % others.len();
            others.rotate_left(turn);
        }
        homes.append(&mut others);
        homes
    }

    /// Tells a home that an agent waits there no longer. Where it does not hear it, the wait ends when its time is over.
    pub async fn enough(&self, home: &NodeId, agent: AgentId) {
        let frame = Bytes::from(Enough { agent }.to_frame());
        if let Err(error) = self.shared.mesh.request(home, frame, ANSWER_WAIT).await {
            tracing::debug!(%home, %error, "a home was not told that an agent waits no longer");
        }
    }

    /// Changes whenever a neighbour came up.
    pub fn came_up(&self) -> watch::Receiver<u64> {
        self.shared.up_changes.subscribe()
    }

    /// Changes whenever an offer is heard.
    pub fn offers_changed(&self) -> watch::Receiver<u64> {
        self.shared.board.watch()
    }

    /// Offers of other homes after a position, by home and step.
    pub fn offers(&self, after: Option<(NodeId, StepId)>, skill: Option<&Skill>, limit: usize) -> Vec<Offer> {
        self.shared.board.list(after, skill, limit, &self.shared.dealt_with())
    }

    /// A home has refused a claim of this step: where it is not open, it leaves the board.
    pub fn not_open(&self, home: &NodeId, step: &StepId, code: &str) {
        if matches!(code, "task_taken" | "task_not_open" | "finished" | "not_found") {
            self.shared.board.take_down(home, step);
        }
    }
}

/// Whether a home served what no honest one serves.
pub(super) fn is_wrong(error: &anyhow::Error) -> bool {
    Reason::of_stream(error).is_some_and(Reason::is_wrong)
}

impl Shared {
    pub(super) async fn visit(
        &self,
        home: &NodeId,
        agent: (AgentId, Introduction),
        act: Act,
        own: Own,
    ) -> Result<Told, Error> {
        let claimed = if let Act::Claim(step) = act { Some(step) } else { None };
        let visit = self.visit_of(agent, act, own).await?;
        self.reach(home).await?;
        let told = match self.ask_home(home, &visit).await? {
            Told::Large { step, epoch } if claimed.is_none_or(|claimed| claimed == step) => {
                self.fetch_lease(home, (step, epoch)).await?
            }
            told => told,
        };
        match &told {
            Told::Leased(lease) if claimed.is_some_and(|claimed| claimed != lease.step) => {
                Err(self.dishonest(home))
            }
            Told::Large { .. } => Err(self.dishonest(home)),
            _ => {
                self.manners().answered(home);
                Ok(told)
            }
        }
    }

    /// Fetches the lease that a home named for want of room.
    async fn fetch_lease(&self, home: &NodeId, of: (StepId, Epoch)) -> Result<Told, Error> {
        match blob::lease(self, home, of).await {
            Ok(Told::Leased(lease)) if (lease.step, lease.epoch) == of => Ok(Told::Leased(lease)),
            Ok(_) => Err(self.dishonest(home)),
            Err(error) if is_wrong(&error) => {
                tracing::warn!(%home, error = format!("{error:#}"), "a lease that is none");
                Err(self.dishonest(home))
            }
            Err(error) => {
                tracing::debug!(%home, error = format!("{error:#}"), "a lease could not be fetched");
                self.manners().failed(*home, Failure::Silent, Instant::now());
                Err(Error::Silent(*home))
            }
        }
    }

    pub(super) fn dishonest(&self, home: &NodeId) -> Error {
        tracing::warn!(%home, "a home answers what no honest home answers");
        self.manners().failed(*home, Failure::Silent, Instant::now());
        Error::Dishonest(*home)
    }

    async fn ask_home(&self, home: &NodeId, visit: &Visit) -> Result<Told, Error> {
        let patience = match &visit.act {
            Act::ClaimNext { wait_ms } => ANSWER_WAIT + Duration::from_millis(u64::from(*wait_ms)),
            Act::Submit(handing) => {
                let fetches = if handing.artifacts.is_empty() { ANSWER_WAIT } else { FETCH_WAIT };
                fetches + Duration::from_millis(u64::from(handing.next.unwrap_or(0)))
            }
            _ => ANSWER_WAIT,
        };
        let answer = self.mesh.request(home, Bytes::from(visit.to_frame()), patience).await;
        let waits = matches!(visit.act, Act::ClaimNext { wait_ms: 1.. });
        let answer = answer.map_err(|error| match error {
            // It was not to answer yet: when it is back it is a home like the others.
            RequestError::Gone if waits => {
                self.manners().failed(*home, Failure::Away, Instant::now());
                Error::Silent(*home)
            }
            RequestError::Timeout | RequestError::Gone => {
                self.manners().failed(*home, Failure::Silent, Instant::now());
                Error::Silent(*home)
            }
            RequestError::Refused => {
                self.manners().failed(*home, Failure::Silent, Instant::now());
                Error::Unreachable(*home)
            }
            _ => Error::Unreachable(*home),
        })?;
        match Told::read(&answer) {
            Ok(told) => Ok(told),
            Err(error) => {
                tracing::debug!(%home, %error, "an answer that is none");
                self.refuse(Lane::Direct, home, Reason::from(&error)).await;
                Err(self.dishonest(home))
            }
        }
    }

    /// What homes are told of an agent.
    pub(super) async fn introduction(&self, agent: AgentId) -> Result<Introduction, Error> {
        let known = self.handle.look(move |view| Introduction::of(view, &agent));
        known.await?.ok_or(Error::NoWarrant)
    }

    /// An agent's act with what a home wants to know of the agent.
    async fn visit_of(
        &self,
        (agent, introduction): (AgentId, Introduction),
        act: Act,
        own: Own,
    ) -> Result<Visit, Error> {
        let Introduction { name, skills, delegation, entry } = introduction;
        let warrant = match (own, delegation) {
            (Some((at, signature)), _) => Warrant::Own { at, signature },
            (None, None) => return Err(Error::NoWarrant),
            (None, Some(delegation)) => {
                let (challenge, signature) = self.enrollment(agent, entry).await?;
                Warrant::Delegated { challenge, until: delegation.until, signature }
            }
        };
        Ok(Visit { agent, name, skills, warrant, act })
    }

    /// What an agent signed when it enrolled here, which stands at this place in the journal.
    async fn enrollment(&self, agent: AgentId, entry: u64) -> Result<(String, Signature), Error> {
        if let Some((known, challenge, signature)) = self.wills().get(&agent)
            && *known == entry
        {
            return Ok((challenge.clone(), *signature));
        }
        let reader = self.reader.get();
        let stored = tokio::task::spawn_blocking(move || reader.entry(entry)).await;
        let stored = stored.map_err(|_| Unavailable::Stopping)??;
        let Ok(Entry { fact: Fact::Enrolled(enrolled), .. }) = Entry::decode(&stored.body) else {
            return Err(Error::NoWarrant);
        };
        let mut wills = self.wills();
        if wills.len() >= WILLS_MAX {
            wills.clear();
        }
        wills.insert(agent, (entry, enrolled.challenge.clone(), enrolled.signature));
        Ok((enrolled.challenge, enrolled.signature))
    }

    /// Dials homes at all addresses that are known of them, whenever it is their turn otherwise.
    pub(super) async fn dial(&self, homes: &BTreeSet<NodeId>) {
        let known = self.mesh.known().await.unwrap_or_default();
        for address in known.into_iter().filter(|(node, _)| homes.contains(node)).flat_map(|(_, at)| at) {
            // The mesh may have ended; then nobody comes up.
            let _ = self.mesh.dial(address).await;
        }
    }

    /// Sees to it that a home is connected.
    pub(super) async fn reach(&self, home: &NodeId) -> Result<(), Error> {
        if self.up().contains(home) {
            return Ok(());
        }
        let mut changes = self.up_changes.subscribe();
        self.dial(&BTreeSet::from([*home])).await;
        let came = tokio::time::timeout(REACH_WAIT, async {
            while !self.up().contains(home) {
                if changes.changed().await.is_err() {
                    return false;
                }
            }
            true
        });
        if came.await.unwrap_or(false) {
            return Ok(());
        }
        self.manners().failed(*home, Failure::Away, Instant::now());
        Err(Error::Unreachable(*home))
    }
}

/// The most enrollments that are kept at hand; then all are read again. About a kilobyte each.
const WILLS_MAX: usize = 4_096;
