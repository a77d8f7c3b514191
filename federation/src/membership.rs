//! Requests of strangers and agents about membership, and the one place where a request finds its rule.

use crate::effect::{Code, Refusal, Reply};
use crate::fact::{Configured, DelegationEnded, Enrolled, Fact, Poster, Revoked, Revoker, Rotated};
use crate::federation::Federation;
use crate::input::{Principal, Profile, ReplyTo, Request};
use crate::member::{OwnAct, check_profile, check_statement, text_bytes};
use crate::options::{AGENT_FIXED_BYTES, AGENTS_BYTES_MAX, AGENTS_MAX};
use crate::turn::Turn;
use artel_protocol::id::EnrollmentId;
use artel_protocol::key::{AgentId, NodeId, Signature};
use artel_protocol::time::Wall;

impl Federation {
    /// Serves a request whose principal's credential stands; `None` when the answer comes later.
    pub(crate) fn serve(
        &mut self,
        turn: &mut Turn,
        to: ReplyTo,
        principal: Principal,
        request: Request,
    ) -> Result<Option<Reply>, Refusal> {
        let agent = || match principal {
            Principal::Agent { id, .. } => Ok(id),
            _ => Err(Refusal::new(Code::Forbidden, "only an agent may do this; use an agent's token")),
        };
        let operator = || match principal {
            Principal::Operator => Ok(()),
            _ => {
                Err(Refusal::new(Code::Forbidden, "only the operator may do this; use the operator's token"))
            }
        };
        let poster =
            || principal.poster().ok_or_else(|| Refusal::new(Code::Unauthenticated, "send a bearer token"));
        match request {
            Request::Enroll { agent, profile, delegate } => self.enroll(turn, agent, profile, delegate),
            Request::Respond { enrollment, signature } => self.respond(turn, &enrollment, signature),
            Request::Configure(profile) => self.configure(turn, agent()?, profile),
            Request::Rotate(signed) => {
                let id = agent()?;
                let old = self.state.agents[&id].serial;
                check_statement(&self.identity, &id, OwnAct::Rotate, old, &signed)?;
                let (serial, expires) = (old + 1, turn.now.wall.plus_ms(self.options.token_ms));
                turn.record(
                    &mut self.state,
                    Fact::Rotated(Rotated { agent: id, serial, expires, signature: signed.signature }),
                );
                Ok(self.token(id))
            }
            Request::RevokeOwn(signed) => {
                let id = agent()?;
                check_statement(&self.identity, &id, OwnAct::Revoke, self.state.agents[&id].serial, &signed)?;
                self.revoke(turn, id, (Revoker::Agent, Some(signed.signature)))
            }
            Request::RevokeAgent(id) => {
                operator()?;
                if !self.state.agents.contains_key(&id) {
                    return Err(Refusal::new(Code::NotFound, "no such agent is enrolled here"));
                }
                self.revoke(turn, id, (Revoker::Operator, None))
            }
            Request::Post(post) => self.post(turn, poster()?, post).map(Some),
            Request::Claim(step) => self.claim(turn, agent()?, step).map(Some),
            Request::ClaimNext(claim) => self.claim_next(turn, to, agent()?, claim),
            Request::Renew { step, epoch } => self.renew(turn, agent()?, step, epoch).map(Some),
            Request::Release { step, epoch } => self.release(turn, agent()?, step, epoch).map(Some),
            Request::Submit(submission) => self.submit(turn, to, agent()?, submission),
            Request::Cancel { run, step } => self.cancel(turn, poster()?, run, step).map(Some),
            Request::Store(put) => self.store(turn, poster()?, put).map(Some),
            Request::Emit { name, data, run } => {
                operator()?;
                self.emit(turn, Poster::Operator, (name, data, run)).map(Some)
            }
            Request::Invite { for_ms, uses } => {
                operator()?;
                self.invite(turn, for_ms, uses).map(Some)
            }
            Request::Uninvite(invitation) => {
                operator()?;
                self.uninvite(turn, invitation).map(Some)
            }
            Request::Admit { node, secret } => {
                if !matches!(principal, Principal::Node(_)) {
                    operator()?;
                }
                self.admit_node(turn, &principal, (node, secret)).map(Some)
            }
            Request::Visit(visit) => {
                let node = node_of(&principal)?;
                self.visit(turn, to, node, (*visit, None))
            }
            Request::Bring { visit, came } => {
                let node = node_of(&principal)?;
                self.visit(turn, to, node, (*visit, Some(came)))
            }
            Request::KeepForResult { agent, step, epoch } => {
                let node = node_of(&principal)?;
                self.keep_for_result(turn, node, (agent, step, epoch)).map(Some)
            }
            Request::Undertake(won) => self.undertake(turn, agent()?, *won).map(Some),
            Request::HandIn(work) => self.hand_in(turn, agent()?, work).map(Some),
            Request::Hear { lease, word } => self.hear_of(turn, lease, word).map(Some),
            Request::Redo(redoing) => match principal {
                Principal::Node(_) => Ok(Some(self.redo_for(turn, redoing))),
                _ => Err(Refusal::new(Code::Forbidden, "only a home has its steps run again")),
            },
            Request::Refute(late) => {
                operator()?;
                self.refute(turn, *late).map(Some)
            }
            Request::Expel { node, reason } => {
                operator()?;
                self.expel(turn, node, reason).map(Some)
            }
        }
    }

    fn enroll(
        &mut self,
        turn: &Turn,
        agent: AgentId,
        profile: Profile,
        delegate: bool,
    ) -> Result<Option<Reply>, Refusal> {
        let profile = check_profile(profile)?;
        self.may_enroll(&agent, &profile)?;
        let by = (&self.identity, &self.options);
        let made = if delegate { self.lets_next(&agent, turn.now.wall) } else { turn.now.wall };
        let (enrollment, text, expires) =
            self.live.challenges.open((agent, profile, delegate), made, by, &mut self.live.timers, &turn.now);
        Ok(Some(Reply::Challenge { enrollment, text, expires }))
    }

    fn respond(
        &mut self,
        turn: &mut Turn,
        id: &EnrollmentId,
        signature: Signature,
    ) -> Result<Option<Reply>, Refusal> {
        let Some(challenge) = self.live.challenges.spend(id) else {
            let message = "no such challenge is open: it was answered, has expired, or the node restarted; enroll again";
            return Err(Refusal::new(Code::ChallengeUnknown, message));
        };
        self.live.timers.cancel(crate::timer::Timer::Challenge(*id));
        if turn.now.wall > challenge.expires {
            return Err(Refusal::new(
                Code::ChallengeExpired,
                "the challenge has expired; enroll again and answer within a minute",
            ));
        }
        if challenge.delegation.is_some() && challenge.made > self.lets_next(&challenge.agent, turn.now.wall)
        {
            return Err(Refusal::new(
                Code::ChallengeExpired,
                "the node's clock was set back since the challenge was made; enroll again",
            ));
        }
        if challenge.agent.key().verify(challenge.text.as_bytes(), &signature).is_err() {
            let message = "the signature is not this key's over the challenge; sign its exact bytes. The challenge is spent: enroll again";
            return Err(Refusal::new(Code::BadSignature, message));
        }
        self.may_enroll(&challenge.agent, &challenge.profile)?;
        let known = self.state.agents.get(&challenge.agent);
        let serial = known.map_or(1, |agent| agent.serial + 1);
        let profile = challenge.profile;
        let enrolled = Enrolled {
            agent: challenge.agent,
            capacity: self.capacity(profile.capacity),
            name: profile.name,
            skills: profile.skills,
            metadata: profile.metadata,
            delegation: challenge.delegation,
            serial,
            expires: turn.now.wall.plus_ms(self.options.token_ms),
            challenge: challenge.text,
            signature,
        };
        let agent = challenge.agent;
        let lets = enrolled.delegation.is_some();
        let let_before = self.has_delegated(&agent, turn.now.wall);
        turn.record(&mut self.state, Fact::Enrolled(enrolled));
        if let_before && !lets {
            self.announce_end(turn, agent);
        }
        Ok(self.token(agent))
    }

    /// Whether this agent may come in, or come back. Asked at both ends of a challenge, for things change in a minute.
    fn may_enroll(&self, agent: &AgentId, profile: &Profile) -> Result<(), Refusal> {
        match self.state.agents.get(agent) {
            Some(known) if known.revoked == Some(Revoker::Operator) => {
                Err(Refusal::new(Code::AgentRevoked, "the operator has let this agent go; ask the operator"))
            }
            None if self.state.agents.len() >= AGENTS_MAX => {
                let message = format!("this node enrolls at most {AGENTS_MAX} agents; try another node");
                Err(Refusal::new(Code::TooMany, message))
            }
            _ => self.check_agents_room(agent, profile),
        }
    }

    /// Whether what all agents say of themselves leaves room for this profile; one that does not grow always fits.
    fn check_agents_room(&self, agent: &AgentId, profile: &Profile) -> Result<(), Refusal> {
        let texts = text_bytes(&profile.name, &profile.skills, &profile.metadata);
        let old = self.state.agents.get(agent).map_or(0, |known| known.bytes());
        let new = texts + AGENT_FIXED_BYTES as u64;
        if new > old && self.state.agent_bytes - old + new > AGENTS_BYTES_MAX {
            let message = "this node's memory of agents is full; send less metadata or fewer capabilities, or try another node";
            return Err(Refusal::new(Code::TooMany, message));
        }
        Ok(())
    }

    fn configure(
        &mut self,
        turn: &mut Turn,
        agent: AgentId,
        profile: Profile,
    ) -> Result<Option<Reply>, Refusal> {
        let profile = check_profile(profile)?;
        self.check_agents_room(&agent, &profile)?;
        let capacity = self.capacity(profile.capacity);
        let Profile { name, skills, metadata, .. } = profile;
        turn.record(
            &mut self.state,
            Fact::Configured(Configured { agent, name, skills, metadata, capacity }),
        );
        self.live.waiters.reskill(&self.state.agents[&agent]);
        self.serve_waits(turn, agent);
        Ok(Some(Reply::Agent(self.state.agents[&agent].clone())))
    }

    /// Ends an agent's token and delegation; its live leases lapse at once, for it can no longer hand anything in.
    fn revoke(
        &mut self,
        turn: &mut Turn,
        agent: AgentId,
        (by, signature): (Revoker, Option<Signature>),
    ) -> Result<Option<Reply>, Refusal> {
        let serial = self.state.agents[&agent].serial + 1;
        let let_before = self.has_delegated(&agent, turn.now.wall);
        turn.record(&mut self.state, Fact::Revoked(Revoked { agent, by, serial, signature }));
        if let_before {
            self.announce_end(turn, agent);
        }
        let held: Vec<_> = self.state.leases.get(&agent).into_iter().flatten().copied().collect();
        for step in held {
            let epoch = self.state.step(&step).expect("a lease has its step").1.epoch;
            self.lapse(turn, step, epoch, agent);
        }
        Ok(Some(Reply::Agent(self.state.agents[&agent].clone())))
    }

    /// Whether anything that an agent ever let this node do in its name lasts.
    fn has_delegated(&self, agent: &AgentId, now: Wall) -> bool {
        let known = self.state.agents.get(agent);
        known.and_then(|agent| agent.lets_until).is_some_and(|until| until > now)
    }

    /// When a challenge by which an agent lets this node act is made at the latest.
    fn lets_next(&self, agent: &AgentId, now: Wall) -> Wall {
        self.state.agents.get(agent).map_or(now, |known| known.lets_next(now))
    }

    /// Tells all homes that this node may not act in an agent's name any more, by nothing that was made so far: not by what was made
    /// before the clock was set back, nor by what is not answered yet.
    fn announce_end(&mut self, turn: &mut Turn, agent: AgentId) {
        let before = turn.now.wall.max(self.state.agents[&agent].let_at);
        self.live.challenges.drop_delegating(&agent, &mut self.live.timers);
        turn.record(&mut self.state, Fact::DelegationEnded(DelegationEnded { agent, before }));
    }

    fn capacity(&self, wanted: Option<u32>) -> u32 {
        wanted.unwrap_or(self.options.leases_max).min(self.options.leases_max)
    }

    fn token(&self, id: AgentId) -> Option<Reply> {
        let agent = self.state.agents[&id].clone();
        Some(Reply::Token { serial: agent.serial, expires: agent.expires, agent })
    }
}

/// The node that asks.
fn node_of(principal: &Principal) -> Result<NodeId, Refusal> {
    match principal {
        Principal::Node(node) => Ok(*node),
        _ => Err(Refusal::new(Code::Forbidden, "only a node brings another node's agents and their results")),
    }
}
