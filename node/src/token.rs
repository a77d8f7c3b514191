//! Bearer tokens: agents' JWTs (EdDSA, by a key of their own that is not the node's) and the operator's opaque token.
//! A token's signature is checked once and remembered; whether it was revoked is the rules' question each time.

use artel_federation::Principal;
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::{AgentId, NodeId, SecretKey};
use artel_protocol::time::Wall;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// How many checked tokens are remembered. At the limit all are forgotten and checked again (about 50 µs each).
const REMEMBERED_MAX: usize = 16_384;

/// The most bytes of a token; ours have about 500. A longer one is refused unread.
const TOKEN_BYTES_MAX: usize = 2_048;

/// How far wall clocks may differ, in seconds (decision 20).
const LEEWAY_S: u64 = 300;

/// What an agent's token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    exp: u64,
    /// The token's serial number.
    jti: String,
}

/// Why a bearer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Not a token of ours: forged, changed, or another node's.
    Invalid,
    /// It was good once.
    Expired,
}

/// Makes and checks tokens.
pub struct Tokens {
    node: NodeId,
    federation: FederationId,
    key_id: String,
    public: [u8; 32],
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    operator: Digest,
    remembered: Mutex<HashMap<Digest, (Principal, u64)>>,
}

impl Tokens {
    /// Tokens of a node in a federation, signed with `key`; `operator` is the operator's own token.
    pub fn new(node: NodeId, federation: FederationId, key: &SecretKey, operator: &str) -> Self {
        let public = *key.public().bytes();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[node.to_string()]);
        validation.set_audience(&[federation.to_string()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY_S;
        Tokens {
            node,
            federation,
            key_id: URL_SAFE_NO_PAD.encode(&Digest::of(&public).0[..12]),
            public,
            signing: EncodingKey::from_ed_der(&key.to_pkcs8_der()),
            checking: DecodingKey::from_ed_der(&public),
            validation,
            operator: Digest::of(operator.as_bytes()),
            remembered: Mutex::new(HashMap::new()),
        }
    }

    /// A token for an agent.
    ///
    /// # Errors
    /// What the signing library says, which for a good key is nothing.
    pub fn issue(
        &self,
        agent: &AgentId,
        serial: u32,
        now: Wall,
        expires: Wall,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let claims = Claims {
            iss: self.node.to_string(),
            sub: agent.to_string(),
            aud: self.federation.to_string(),
            iat: now.0 / 1_000,
            exp: expires.0 / 1_000,
            jti: serial.to_string(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, &claims, &self.signing)
    }

    /// Who bears this token.
    ///
    /// # Errors
    /// [`Rejected`] when it is not a good token of this node.
    pub fn check(&self, bearer: &str, now: Wall) -> Result<Principal, Rejected> {
        if bearer.len() > TOKEN_BYTES_MAX {
            return Err(Rejected::Invalid);
        }
        let digest = Digest::of(bearer.as_bytes());
        if bool::from(digest.0.ct_eq(&self.operator.0)) {
            return Ok(Principal::Operator);
        }
        let now_s = now.0 / 1_000;
        if let Some((principal, exp)) = self.lock().get(&digest) {
            return if now_s <= exp + LEEWAY_S { Ok(*principal) } else { Err(Rejected::Expired) };
        }
        let token =
            jsonwebtoken::decode::<Claims>(bearer, &self.checking, &self.validation).map_err(|e| match e
                .kind()
            {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => Rejected::Expired,
                _ => Rejected::Invalid,
            })?;
        let id = AgentId::from_did(&token.claims.sub).map_err(|_| Rejected::Invalid)?;
        let serial = token.claims.jti.parse().map_err(|_| Rejected::Invalid)?;
        let principal = Principal::Agent { id, serial };
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(digest, (principal, token.claims.exp));
        Ok(principal)
    }

    /// The public key as a JSON Web Key Set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> serde_json::Value {
        let x = URL_SAFE_NO_PAD.encode(self.public);
        serde_json::json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.key_id, "x": x}]})
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, (Principal, u64)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_800_000_000_000);

    fn tokens(node: u8, federation: u8) -> Tokens {
        let key = |n| SecretKey::from_seed(&[n; 32]);
        Tokens::new(
            NodeId(key(node).public()),
            FederationId([federation; 32]),
            &key(node + 100),
            "operator-secret",
        )
    }

    fn agent() -> AgentId {
        AgentId(SecretKey::from_seed(&[9; 32]).public())
    }

    #[test]
    fn a_token_names_its_agent_and_serial() {
        let t = tokens(1, 1);
        let now = crate::clock::wall();
        let token = t.issue(&agent(), 7, now, now.plus_ms(60_000)).expect("signs");
        let good = Ok(Principal::Agent { id: agent(), serial: 7 });
        assert_eq!(t.check(&token, now), good);
        assert_eq!(t.check(&token, now), good, "remembered");
        assert_eq!(t.check(&token, now.plus_ms(10 * 60_000)), Err(Rejected::Expired), "also when remembered");
    }

    #[test]
    fn foreign_forged_and_stale_tokens_are_refused() {
        let (t, now) = (tokens(1, 1), crate::clock::wall());
        let token = |from: &Tokens, expires| from.issue(&agent(), 1, Wall(0), expires).expect("signs");
        assert_eq!(
            t.check(&token(&tokens(2, 1), now.plus_ms(9_000)), now),
            Err(Rejected::Invalid),
            "another node's"
        );
        let mut other = tokens(1, 2);
        other.node = t.node;
        assert_eq!(
            t.check(&token(&other, now.plus_ms(9_000)), now),
            Err(Rejected::Invalid),
            "another federation's"
        );
        assert_eq!(t.check(&token(&t, Wall(now.0 - 600_000)), now), Err(Rejected::Expired));
        let good = token(&t, now.plus_ms(9_000));
        for (i, _) in good.char_indices().step_by(7) {
            let mut bad = good.clone().into_bytes();
            bad[i] = if bad[i] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).expect("still ASCII");
            assert!(bad == good || t.check(&bad, now).is_err(), "byte {i}");
        }
        for bad in ["", "a.b.c", &good[..good.len() - 2], &format!("{good}x"), &"x".repeat(3_000)] {
            assert_eq!(t.check(bad, now), Err(Rejected::Invalid));
        }
    }

    #[test]
    fn the_operator_token_is_opaque() {
        assert_eq!(tokens(1, 1).check("operator-secret", NOW), Ok(Principal::Operator));
        assert!(tokens(1, 1).check("operator-secret2", NOW).is_err());
    }
}
