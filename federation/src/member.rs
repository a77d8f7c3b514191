//! Membership of agents: what an enrolled agent is, the challenge that it signs, the statements by which it rotates or
//! revokes its own token. Open challenges are never journalled and do not survive a restart.

use crate::effect::{Code, Refusal};
use crate::fact::{Delegation, Enrolled, Introduced, Revoker};
use crate::input::{Now, Profile, Signed};
use crate::json::Json;
use crate::options::{AGENT_FIXED_BYTES, CHALLENGE_MS, CHALLENGES_MAX, Options};
use crate::run::skill_bytes;
use crate::timer::{Timer, Timers};
use artel_protocol::codec::{Decode, Encode};
use artel_protocol::id::{Digest, EnrollmentId, FederationId};
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::limits::{METADATA_BYTES_MAX, NAME_BYTES_MAX, SKILLS_MAX};
use artel_protocol::skill::Skill;
use artel_protocol::text::is_plain;
use artel_protocol::time::Wall;
use artel_reputation::Standing;
use std::collections::BTreeMap;

/// An enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Agent {
    /// Its key.
    pub id: AgentId,
    /// Its name for people.
    pub name: String,
    /// What it can do, sorted, each once.
    pub skills: Vec<Skill>,
    /// Its metadata, a JSON object as sent.
    pub metadata: Json,
    /// How many leases it may hold at once.
    pub capacity: u32,
    /// What it lets this node do in its name.
    pub delegation: Option<Delegation>,
    /// The serial number of its one good token.
    pub serial: u32,
    /// When that token expires.
    pub expires: Wall,
    /// Who let it go, if it was.
    pub revoked: Option<Revoker>,
    /// When it first enrolled.
    pub enrolled: Wall,
    /// When it last changed.
    pub updated: Wall,
    /// Its record, from which its score follows.
    pub standing: Standing,
    /// Accepted submissions.
    pub accepted: u64,
    /// Rejected submissions.
    pub rejected: u64,
    /// Lapsed leases.
    pub lapsed: u64,
    /// Results of a module accepted here since a redo last found one false; by it a redo is drawn (`redo`).
    pub unrefuted: u64,
    /// Accepted results that were found to be others later.
    pub refuted: u64,
    /// Units earned in all, less what was taken back.
    pub earned_units: u64,
    /// The journal index of the entry in which it came in, last time: there stands what it signed.
    pub entry: u64,
    /// What is known of it where it is not enrolled here and another node speaks for it.
    pub guest: Option<Guest>,
    /// When it last ended its token and delegation here itself; what it delegated before is over for good.
    pub revoked_itself: Option<Wall>,
    /// Until when anything lasts that it let this node do and that was not said to be over.
    pub lets_until: Option<Wall>,
    /// No challenge by which it lets this node act that it has answered, or that was said to be over, was made later.
    pub let_at: Wall,
}

/// An agent of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Guest {
    /// The node that speaks for it.
    pub node: NodeId,
    /// What identifies the delegation by which it does; none where the agent signs each act itself.
    pub warrant: Option<Digest>,
}

impl Agent {
    /// Nobody yet: what an agent's first entry changes.
    pub(crate) fn new(id: AgentId, at: Wall) -> Self {
        Agent {
            id,
            name: String::new(),
            skills: Vec::new(),
            metadata: Json::new(*b"{}"),
            capacity: 0,
            delegation: None,
            serial: 0,
            expires: at,
            revoked: None,
            enrolled: at,
            updated: at,
            standing: Standing::default(),
            accepted: 0,
            rejected: 0,
            lapsed: 0,
            unrefuted: 0,
            refuted: 0,
            earned_units: 0,
            entry: 0,
            guest: None,
            revoked_itself: None,
            lets_until: None,
            let_at: Wall(0),
        }
    }

    /// What another node says of it holds from now on; `index` is the entry's.
    pub(crate) fn introduce(&mut self, f: &Introduced, at: Wall, index: u64) {
        self.name.clone_from(&f.name);
        self.skills.clone_from(&f.skills);
        self.delegation = f.delegation;
        self.revoked = None;
        self.updated = at;
        self.entry = index;
        self.guest = Some(Guest { node: f.node, warrant: f.warrant });
    }

    /// It came in by a challenge.
    pub(crate) fn enroll(&mut self, f: &Enrolled, at: Wall, index: u64) {
        self.name.clone_from(&f.name);
        self.skills.clone_from(&f.skills);
        self.metadata = f.metadata.clone();
        self.capacity = f.capacity;
        self.delegation = f.delegation;
        self.serial = f.serial;
        self.expires = f.expires;
        self.revoked = None;
        self.updated = at;
        self.entry = index;
        self.guest = None;
        if let Some(delegation) = f.delegation {
            self.lets_until = self.lets_until.max(Some(delegation.until));
            self.let_at = self.lets_next(at);
        }
    }

    /// What it let this node do is over, as far as it was made up to a moment.
    pub(crate) fn let_no_more(&mut self, before: Wall) {
        self.lets_until = None;
        self.let_at = self.let_at.max(before);
    }

    /// When a challenge by which it lets this node act is made at the latest: after all that was said to be over, though the clock was
    /// set back since.
    pub(crate) fn lets_next(&self, now: Wall) -> Wall {
        now.max(self.let_at.plus_ms(1))
    }

    /// Whether nothing is lost where it is forgotten, but for a lease or a result that it has open: it was never enrolled
    /// here, nobody let it go, and no work of its counts.
    pub(crate) fn may_be_forgotten(&self) -> bool {
        let unknown = self.serial == 0 && self.revoked.is_none();
        self.guest.is_some() && unknown && self.is_newcomer()
    }

    /// Whether no work of its counts yet.
    pub(crate) fn is_newcomer(&self) -> bool {
        self.accepted + self.rejected + self.lapsed == 0
    }

    /// The bytes that the agent counts: no fewer than it and its account take in a snapshot.
    pub fn bytes(&self) -> u64 {
        text_bytes(&self.name, &self.skills, &self.metadata) + AGENT_FIXED_BYTES as u64
    }
}

/// The bytes of what an agent says of itself.
pub(crate) fn text_bytes(name: &str, skills: &[Skill], metadata: &Json) -> u64 {
    (name.len() + skill_bytes(skills) + metadata.len()) as u64
}

/// This node in its federation, and this start of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// The federation.
    pub federation: FederationId,
}

/// A challenge that waits for its answer.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    pub agent: AgentId,
    pub profile: Profile,
    pub delegation: Option<Delegation>,
    pub text: String,
    pub expires: Wall,
    /// When it was made, as what it delegates has it.
    pub made: Wall,
    opened: u64,
}

/// The challenges that wait, bounded by [`CHALLENGES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    open: BTreeMap<EnrollmentId, Challenge>,
    count: u64,
}

impl Challenges {
    /// Opens a challenge and says its id and text; drops the oldest one where too many are open.
    pub fn open(
        &mut self,
        (agent, profile, delegate): (AgentId, Profile, bool),
        made: Wall,
        (identity, options): (&Identity, &Options),
        timers: &mut Timers,
        now: &Now,
    ) -> (EnrollmentId, String, Wall) {
        if self.open.len() >= CHALLENGES_MAX {
            let oldest =
                self.open.iter().min_by_key(|(_, c)| c.opened).map(|(id, _)| *id).expect("not empty");
            self.open.remove(&oldest);
            timers.cancel(Timer::Challenge(oldest));
        }
        let id = EnrollmentId::new(now.wall, now.entropy[..9].try_into().expect("nine of 32 bytes"));
        let expires = made.plus_ms(CHALLENGE_MS);
        let delegation = delegate.then(|| Delegation { until: now.wall.plus_ms(options.token_ms) });
        let text = challenge_text(identity, &agent, &profile.name, delegation, &now.entropy[9..], expires);
        // Kept for as long again, so that a late answer hears that it is late.
        timers.set(Timer::Challenge(id), now.mono.plus_ms(2 * CHALLENGE_MS));
        self.count += 1;
        let challenge =
            Challenge { agent, profile, delegation, text: text.clone(), expires, made, opened: self.count };
        self.open.insert(id, challenge);
        (id, text, expires)
    }

    /// Takes a challenge out: it is spent by the first answer, right or wrong.
    pub fn spend(&mut self, id: &EnrollmentId) -> Option<Challenge> {
        self.open.remove(id)
    }

    /// Drops those of an agent by which it would let this node act: what was made so far is over.
    pub fn drop_delegating(&mut self, agent: &AgentId, timers: &mut Timers) {
        self.open.retain(|id, challenge| {
            let is_kept = challenge.agent != *agent || challenge.delegation.is_none();
            if !is_kept {
                timers.cancel(Timer::Challenge(*id));
            }
            is_kept
        });
    }
}

/// The text that an agent signs to enroll: a line for each thing, readable by a person.
fn challenge_text(
    identity: &Identity,
    agent: &AgentId,
    name: &str,
    delegation: Option<Delegation>,
    nonce: &[u8],
    expires: Wall,
) -> String {
    let nonce: String = nonce.iter().map(|b| format!("{b:02x}")).collect();
    let mut text = enrollment_head(identity, agent);
    text.push_str(&format!("name: {name}\nnonce: {nonce}\nexpires: {}\n", expires.iso8601()));
    if let Some(delegation) = delegation {
        text.push_str(&delegates_line(delegation.until));
    }
    text
}

/// The lines of a challenge that say what it is for, where and for whom.
pub(crate) fn enrollment_head(identity: &Identity, agent: &AgentId) -> String {
    let (federation, node) = (identity.federation, identity.node);
    format!(
        "artel enrollment\npurpose: enroll this key as an agent\nfederation: {federation}\nnode: {node}\nagent: {agent}\n"
    )
}

/// A challenge's last line, where the agent delegates.
pub(crate) fn delegates_line(until: Wall) -> String {
    format!(
        "delegates: this node may claim, renew and submit in the agent's name until {}\n",
        until.iso8601()
    )
}

/// An act that an agent signs itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnAct {
    /// A new token for the old one.
    Rotate,
    /// The end of the token and the delegation.
    Revoke,
}

/// The text that an agent signs to rotate or revoke its token. The serial number of the token that ends makes it
/// good for one use.
pub fn statement_text(identity: &Identity, agent: &AgentId, act: OwnAct, serial: u32) -> String {
    let act = match act {
        OwnAct::Rotate => "rotate token",
        OwnAct::Revoke => "revoke token and delegation",
    };
    let (federation, node) = (identity.federation, identity.node);
    format!(
        "artel statement\nact: {act}\nfederation: {federation}\nnode: {node}\nagent: {agent}\nserial: {serial}\n"
    )
}

/// Checks that an agent signed exactly the statement for this act.
///
/// # Errors
/// A refusal that says which text is wanted.
pub(crate) fn check_statement(
    identity: &Identity,
    agent: &AgentId,
    act: OwnAct,
    serial: u32,
    signed: &Signed,
) -> Result<(), Refusal> {
    let wanted = statement_text(identity, agent, act, serial);
    if signed.statement != wanted.as_bytes() {
        let message = format!("the signed statement must be exactly this text: {wanted:?}");
        return Err(Refusal::new(Code::BadStatement, message));
    }
    agent.key().verify(&signed.statement, &signed.signature).map_err(|_| {
        Refusal::new(
            Code::BadSignature,
            "the signature is not this agent's over the statement; sign its exact bytes",
        )
    })
}

/// Puts a profile into its one form and checks its bounds.
///
/// # Errors
/// A refusal that names the bound.
pub(crate) fn check_profile(mut profile: Profile) -> Result<Profile, Refusal> {
    if !is_plain(&profile.name, NAME_BYTES_MAX, false) {
        let message = format!("agent_name must be 1 to {NAME_BYTES_MAX} bytes of text on one line");
        return Err(Refusal::new(Code::Invalid, message));
    }
    if profile.skills.len() > SKILLS_MAX {
        return Err(Refusal::new(Code::TooMany, format!("an agent has at most {SKILLS_MAX} capabilities")));
    }
    if profile.metadata.len() > METADATA_BYTES_MAX {
        return Err(Refusal::new(Code::TooMany, format!("metadata has at most {METADATA_BYTES_MAX} bytes")));
    }
    if profile.capacity == Some(0) {
        return Err(Refusal::new(Code::Invalid, "capacity must be at least 1"));
    }
    profile.skills.sort();
    profile.skills.dedup();
    Ok(profile)
}
