//! Coming in: enrollment by challenge, and what follows for tokens: who bears one, what it is good for, how an agent
//! changes or ends its own.

use super::agents::own_of;
use super::inner::{NodeService, now};
use super::refusal::{self, bug};
use super::{agents, convert};
use artel_federation::input::{Profile, Signed};
use artel_federation::{Reply, Request};
use artel_protocol::id::{Digest, EnrollmentId};
use artel_protocol::key::{AgentId, Signature};
use artel_protocol::time::Wall;
use artel_web::types::auth::{Role, SignedStatement, Verified};
use artel_web::types::enroll::{Challenge, EnrollRequest, RespondRequest, Token, TokenType};
use artel_web::{Call, Code, Principal, Problem};
use std::sync::PoisonError;

/// How many bearers are known without a signature check. At the limit all are forgotten and checked again.
const BEARERS_MAX: usize = 16_384;

/// What stands for an answer that is no signature: bytes that verify under no key (their point has a small order), so
/// that the rules take it for what it is, a wrong answer, and the challenge is spent.
const NO_SIGNATURE: Signature = Signature([0; 64]);

/// What is said of such an answer.
const NOT_ONE: &str =
    "signature is not 64 bytes in base64url, so it is a wrong answer. The challenge is spent: enroll again";

/// Who bears a token that was checked before.
pub(super) fn recognise(service: &NodeService, bearer: &str) -> Option<Principal> {
    let digest = Digest::of(bearer.as_bytes());
    let known = service.0.checked_bearers.read().unwrap_or_else(PoisonError::into_inner).contains(&digest);
    if known { service.parts().tokens.check(bearer, now()).ok().map(principal) } else { None }
}

/// Who bears a token.
pub(super) fn authenticate(service: &NodeService, bearer: &str) -> Result<Principal, Problem> {
    let checked = service.parts().tokens.check(bearer, now()).map_err(refusal::of_token)?;
    let mut known = service.0.checked_bearers.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= BEARERS_MAX {
        known.clear();
    }
    known.insert(Digest::of(bearer.as_bytes()));
    Ok(principal(checked))
}

fn principal(principal: artel_federation::Principal) -> Principal {
    match principal {
        // No token names a node: nodes come over the mesh.
        artel_federation::Principal::Stranger | artel_federation::Principal::Node(_) => Principal::Anonymous,
        artel_federation::Principal::Operator => Principal::Operator,
        artel_federation::Principal::Agent { id, serial } => Principal::Agent { id, serial },
    }
}

/// `POST /v1/enroll`.
pub(super) async fn enroll(
    service: &NodeService,
    call: &Call,
    request: EnrollRequest,
) -> Result<Challenge, Problem> {
    let EnrollRequest { agent_name, public_key, metadata, delegate } = request;
    let profile = Profile {
        name: agent_name,
        skills: metadata.capabilities,
        capacity: metadata.capacity,
        metadata: convert::rules_json(&metadata.json),
    };
    match service.ask(call, Request::Enroll { agent: public_key, profile, delegate }).await? {
        Reply::Challenge { enrollment, text, expires } => {
            Ok(Challenge { enrollment_id: enrollment, challenge: text, expires_at: expires })
        }
        _ => Err(bug("an enrollment got another reply")),
    }
}

/// `POST /v1/enroll/{id}/respond`.
pub(super) async fn respond(
    service: &NodeService,
    call: &Call,
    enrollment: EnrollmentId,
    request: RespondRequest,
) -> Result<Token, Problem> {
    let signature = request.signature.unwrap_or(NO_SIGNATURE);
    let reply = service.ask(call, Request::Respond { enrollment, signature }).await;
    let reply = reply.map_err(|problem| match problem.code {
        Code::BadSignature if request.signature.is_none() => Problem::new(problem.code, NOT_ONE),
        _ => problem,
    });
    token(service, reply?).await
}

/// `POST /v1/auth/rotate`.
pub(super) async fn rotate(
    service: &NodeService,
    call: &Call,
    statement: SignedStatement,
) -> Result<Token, Problem> {
    let reply = service.ask(call, Request::Rotate(signed(statement))).await?;
    token(service, reply).await
}

/// `POST /v1/auth/revoke`.
pub(super) async fn revoke(
    service: &NodeService,
    call: &Call,
    statement: SignedStatement,
) -> Result<(), Problem> {
    service.ask(call, Request::RevokeOwn(signed(statement))).await.map(drop)
}

fn signed(statement: SignedStatement) -> Signed {
    Signed { statement: statement.statement, signature: statement.signature }
}

/// The token that the rules granted, signed here.
async fn token(service: &NodeService, reply: Reply) -> Result<Token, Problem> {
    let Reply::Token { agent, serial, expires } = reply else {
        return Err(bug("a new token got another reply"));
    };
    let id = agent.id;
    let own = service.parts().handle.look(move |view| view.agent(&id).map(|agent| own_of(view, agent))).await;
    let own =
        own.map_err(refusal::of_driver)?.ok_or_else(|| bug("an agent with a new token is not enrolled"))?;
    let token = service.parts().tokens.issue(&id, serial, now(), expires).map_err(|error| {
        tracing::error!(%error, "a token cannot be signed");
        Problem::of(Code::Internal)
    })?;
    Ok(Token { token, token_type: TokenType::Bearer, expires_at: expires, agent: own })
}

/// `GET /v1/auth/verify`.
pub(super) async fn verify(service: &NodeService, call: &Call) -> Result<Verified, Problem> {
    let verified = |principal, agent: Option<(AgentId, u32, Wall)>| Verified {
        valid: true,
        principal,
        agent_id: agent.map(|(id, ..)| id),
        serial: agent.map(|(_, serial, _)| serial),
        expires_at: agent.map(|(.., expires)| expires),
        node_id: service.parts().identity.node,
        federation_id: service.parts().identity.federation,
    };
    match call.principal {
        Principal::Operator => Ok(verified(Role::Operator, None)),
        Principal::Agent { id, serial } => {
            let own = agents::own(service, call, id).await?;
            Ok(verified(Role::Agent, Some((id, serial, own.token_expires_at))))
        }
        Principal::Anonymous => Err(Problem::of(Code::Unauthenticated)),
    }
}
