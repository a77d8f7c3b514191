//! The proof that a node may speak for an agent: the challenge by which the agent delegated to it, or the agent's own
//! signature over the act. Nothing here is believed that the agent's key has not signed.

use super::message::{Act, Visit, Warrant};
use crate::effect::{Code, Refusal};
use crate::fact::Delegation;
use crate::member::{Identity, delegates_line, enrollment_head};
use crate::options::{CHALLENGE_MS, CLOCK_SKEW_MS};
use artel_protocol::id::Digest;
use artel_protocol::key::{AgentId, NodeId};
use artel_protocol::skill::Skill;
use artel_protocol::time::Wall;

/// How many lines a challenge with a delegation has.
const CHALLENGE_LINES: usize = 9;

/// What a warrant says, once its signature is known to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    /// The text that the agent signed.
    pub text: String,
    /// What it delegated, if anything.
    pub delegation: Option<Delegation>,
}

/// The text that an agent signs to act at a home itself, a line for each thing.
///
/// ```text
/// artel statement
/// act: claim | claim next | renew | release | submit
/// federation: HEX
/// node: DID of the home
/// agent: DID
/// task: UUID                    (not for claim next)
/// epoch: N                      (renew, release, submit)
/// capabilities: NAME@V,…        (claim, claim next; sorted; @V only above 0)
/// output: sha256:HEX            (submit: of the output's bytes)
/// artifacts: sha256:HEX,…       (submit; empty where there are none)
/// at: 2026-01-01T00:00:00.000Z
/// ```
pub fn act_text(home: &Identity, agent: &AgentId, skills: &[Skill], act: &Act, at: Wall) -> String {
    let name = match act {
        Act::Claim(_) => "claim",
        Act::ClaimNext { .. } => "claim next",
        Act::Renew { .. } => "renew",
        Act::Release { .. } => "release",
        Act::Submit(_) => "submit",
    };
    let (federation, node) = (home.federation, home.node);
    let mut text =
        format!("artel statement\nact: {name}\nfederation: {federation}\nnode: {node}\nagent: {agent}\n");
    let task = match act {
        Act::Claim(step) => Some((*step, None)),
        Act::ClaimNext { .. } => None,
        Act::Renew { step, epoch } | Act::Release { step, epoch } => Some((*step, Some(*epoch))),
        Act::Submit(handing) => Some((handing.step, Some(handing.epoch))),
    };
    if let Some((step, epoch)) = task {
        text.push_str(&format!("task: {step}\n"));
        if let Some(epoch) = epoch {
            text.push_str(&format!("epoch: {}\n", epoch.0));
        }
    }
    match act {
        Act::Claim(_) | Act::ClaimNext { .. } => {
            let names: Vec<String> = skills.iter().map(ToString::to_string).collect();
            text.push_str(&format!("capabilities: {}\n", names.join(",")));
        }
        Act::Submit(handing) => {
            let named: Vec<String> = handing.artifacts.iter().map(ToString::to_string).collect();
            text.push_str(&format!("output: {}\nartifacts: {}\n", handing.output.digest(), named.join(",")));
        }
        Act::Renew { .. } | Act::Release { .. } => {}
    }
    text.push_str(&format!("at: {}\n", at.iso8601()));
    text
}

/// What identifies a warrant that stands for more than one act, so that its signature is checked once.
pub(crate) fn standing_digest(warrant: &Warrant) -> Option<Digest> {
    match warrant {
        Warrant::Delegated { challenge, signature, .. } => {
            Some(Digest::of(&[challenge.as_bytes(), &signature.0].concat()))
        }
        Warrant::Own { .. } => None,
    }
}

/// What a warrant says was delegated. The digest does not cover it, so a warrant that was checked once is the same only where
/// this is the same, too: a node must not make its delegation longer.
pub(crate) fn delegation(warrant: &Warrant) -> Option<Delegation> {
    match warrant {
        Warrant::Delegated { until, .. } => Some(Delegation { until: *until }),
        Warrant::Own { .. } => None,
    }
}

/// Whether a warrant's moment is good; asked for each act. A result may have waited for its home for days, and whoever brings
/// it again changes nothing.
///
/// # Errors
/// A refusal that says what to do.
pub(crate) fn check_moment(visit: &Visit, now: Wall) -> Result<(), Refusal> {
    let waits = matches!(visit.act, Act::Submit(_));
    match &visit.warrant {
        Warrant::Delegated { until, .. } if now >= until.plus_ms(CLOCK_SKEW_MS) => Err(Refusal::new(
            Code::BadStatement,
            "the agent's delegation to its node is over; enroll again there, or sign the act itself",
        )),
        Warrant::Own { at, .. }
            if at.since_ms(now) > CLOCK_SKEW_MS || !waits && now.since_ms(*at) > CLOCK_SKEW_MS =>
        {
            Err(Refusal::new(
                Code::BadStatement,
                "the statement's time is more than five minutes off; sign a new one",
            ))
        }
        _ => Ok(()),
    }
}

/// Whether what the agent signed is newer than its revocation here; asked of an agent that once ended its token and delegation
/// itself. Else whoever still has an old challenge of its would undo that. A result that it signed itself may be older: its
/// lease ended with the revocation, and the same result again changes nothing.
///
/// # Errors
/// A refusal that says what to do.
pub(crate) fn check_newer(visit: &Visit, revoked: Wall) -> Result<(), Refusal> {
    let newer = match &visit.warrant {
        Warrant::Delegated { challenge, .. } => {
            let expires = challenge.lines().find_map(|line| line.strip_prefix("expires: "));
            // Moments in their one form have their order as texts. A challenge expires so long after it is made.
            let first = revoked.plus_ms(CHALLENGE_MS).iso8601();
            expires.is_some_and(|expires| expires.len() == first.len() && expires > first.as_str())
        }
        Warrant::Own { at, .. } => matches!(visit.act, Act::Submit(_)) || *at > revoked,
    };
    if newer {
        return Ok(());
    }
    Err(Refusal::new(
        Code::BadStatement,
        "the agent's delegation was ended after it signed this; enroll again at your node, or sign the act itself",
    ))
}

/// Whether a visit rests on a delegation that its node has not said to be over. An act that the agent signed itself does not rest
/// on any.
///
/// # Errors
/// A refusal that says what to do.
pub fn check_not_ended(visit: &Visit, ended: Option<Wall>) -> Result<(), Refusal> {
    match (&visit.warrant, ended) {
        (Warrant::Delegated { .. }, Some(before)) => check_newer(visit, before),
        _ => Ok(()),
    }
}

/// Checks what the agent signed.
///
/// # Errors
/// A refusal that says which text is wanted.
pub(crate) fn check(home: &Identity, node: &NodeId, visit: &Visit) -> Result<Will, Refusal> {
    let (text, delegation, signature) = match &visit.warrant {
        Warrant::Delegated { challenge, until, signature } => {
            let from = Identity { node: *node, federation: home.federation };
            let head = enrollment_head(&from, &visit.agent);
            let tail = delegates_line(*until);
            let whole = challenge.starts_with(&head) && challenge.ends_with(&tail);
            if !whole || challenge.lines().count() != CHALLENGE_LINES {
                let message =
                    "this is no challenge by which the agent delegated to this node of this federation";
                return Err(Refusal::new(Code::BadStatement, message));
            }
            (challenge.clone(), Some(Delegation { until: *until }), signature)
        }
        Warrant::Own { at, signature } => {
            (act_text(home, &visit.agent, &visit.skills, &visit.act, *at), None, signature)
        }
    };
    match visit.agent.key().verify(text.as_bytes(), signature) {
        Ok(()) => Ok(Will { text, delegation }),
        Err(_) => {
            let message = format!("the signature is not this agent's over the exact bytes of: {text:?}");
            Err(Refusal::new(Code::BadSignature, message))
        }
    }
}
