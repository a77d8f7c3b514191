//! An invitation: what an operator hands to somebody whose node is to join. It carries the genesis record, so that the
//! newcomer knows whom it joins before it dials anybody, and where the node that invites can be reached.
//!
//! The secret in it lets in whoever holds it; nothing here prints it but the text form, which is the invitation itself.

use crate::codec::{self, Decode, Encode};
use crate::id::{Digest, FederationId};
use crate::key::{NodeId, SecretKey, Signature, signed_bytes};
use crate::time::Wall;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// What an invitation's text begins with; another form would have another number.
pub const PREFIX: &str = "artel-invitation-1:";

/// The most bytes of a genesis record (4 KiB): a name and 64 founders. Larger, and an invitation is no line to paste.
pub const GENESIS_BYTES_MAX: usize = 4 << 10;

/// The most addresses that a node names for itself, here and in its hello. More would only be tried in vain.
pub const ADDRESSES_MAX: usize = 16;

/// The most bytes of one address (a multiaddr as text): a DNS name, a port, a transport and a peer id, twice over a relay.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// The most bytes of an encoded invitation: the record, the addresses with their lengths, and 256 for the rest.
pub const INVITATION_BYTES_MAX: usize = GENESIS_BYTES_MAX + ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 8) + 256;

/// The most characters of an invitation's text; a longer one is not decoded.
pub const INVITATION_CHARS_MAX: usize = PREFIX.len() + INVITATION_BYTES_MAX.div_ceil(3) * 4;

/// What an invitation's signature is for.
const DOMAIN: &str = "invitation";

/// Why something is not an invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not begin as an invitation does.
    #[error("not an invitation: it begins with {PREFIX}")]
    Prefix,
    /// What follows is not base64url without padding.
    #[error("not an invitation: some of it is missing or was changed (it is one word without spaces)")]
    Base64,
    /// Too long, or more in it than its bounds allow.
    #[error("an invitation with {0}")]
    Bound(&'static str),
    /// The bytes are not in the one encoding.
    #[error("not an invitation: {0}")]
    Codec(#[from] codec::Error),
    /// The issuer did not sign this.
    #[error("the invitation's signature is not its issuer's: it was changed on its way")]
    Signature,
}

/// The sixteen random bytes that let a node in. Shown by nothing but the invitation's text.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct InvitationSecret(pub [u8; 16]);

impl InvitationSecret {
    /// What stands in the journal for it, and names the invitation.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for InvitationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationSecret(..)")
    }
}

/// What the signature covers, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Content {
    genesis: Vec<u8>,
    issuer: NodeId,
    addresses: Vec<String>,
    secret: Option<InvitationSecret>,
    until: Wall,
}

/// A checked invitation: within its bounds, and signed by the node that it names as its issuer. Whether it is still good is
/// the issuer's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    content: Content,
    signature: Signature,
}

impl Invitation {
    /// Makes an invitation in the name of the node whose key this is. `genesis` is the encoded genesis record.
    ///
    /// # Errors
    /// [`Error::Bound`].
    pub fn sign(
        genesis: Vec<u8>,
        addresses: Vec<String>,
        secret: Option<InvitationSecret>,
        until: Wall,
        key: &SecretKey,
    ) -> Result<Self, Error> {
        let content = Content { genesis, issuer: NodeId(key.public()), addresses, secret, until };
        content.check()?;
        let signature = key.sign(&content.signed_bytes());
        Ok(Invitation { content, signature })
    }

    /// Reads an invitation's text: exactly the one form that [`Invitation`] prints.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let encoded = text.strip_prefix(PREFIX).ok_or(Error::Prefix)?;
        if text.len() > INVITATION_CHARS_MAX {
            return Err(Error::Bound("more characters than any has"));
        }
        Self::decode(&URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Error::Base64)?)
    }

    /// Reads an invitation's bytes.
    ///
    /// # Errors
    /// [`Error`], each case as it says.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > INVITATION_BYTES_MAX {
            return Err(Error::Bound("more bytes than any has"));
        }
        let (content, signature) = codec::decode::<(Content, Signature)>(bytes)?;
        content.check()?;
        let signed = content.issuer.key().verify(&content.signed_bytes(), &signature);
        signed.map_err(|_| Error::Signature)?;
        Ok(Invitation { content, signature })
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&(&self.content, &self.signature))
    }

    /// The encoded genesis record; what it says is the rules' to read.
    pub fn genesis(&self) -> &[u8] {
        &self.content.genesis
    }

    /// The federation that it leads into.
    pub fn federation(&self) -> FederationId {
        FederationId::of_genesis(&self.content.genesis)
    }

    /// The node that invites.
    pub fn issuer(&self) -> NodeId {
        self.content.issuer
    }

    /// Where that node can be reached, as multiaddrs.
    pub fn addresses(&self) -> &[String] {
        &self.content.addresses
    }

    /// What lets the newcomer in; none where the federation is open.
    pub fn secret(&self) -> Option<InvitationSecret> {
        self.content.secret
    }

    /// Until when the issuer takes it, by the issuer's clock.
    pub fn until(&self) -> Wall {
        self.content.until
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.encode()))
    }
}

impl Content {
    fn check(&self) -> Result<(), Error> {
        if self.genesis.is_empty() || self.genesis.len() > GENESIS_BYTES_MAX {
            return Err(Error::Bound("no genesis record, or too large a one"));
        }
        check_addresses(&self.addresses).map_err(Error::Bound)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        signed_bytes(DOMAIN, &FederationId::of_genesis(&self.genesis), &codec::encode(self))
    }
}

/// Whether text can be an address here: short, and of visible ASCII alone.
pub fn is_address(text: &str) -> bool {
    (1..=ADDRESS_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether addresses are few, short and made of visible ASCII; their meaning is the transport's to judge.
pub(crate) fn check_addresses(addresses: &[String]) -> Result<(), &'static str> {
    if addresses.len() > ADDRESSES_MAX {
        return Err("more addresses than allowed");
    }
    if addresses.iter().all(|address| is_address(address)) {
        Ok(())
    } else {
        Err("an address that is empty, too long or not plain")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: InvitationSecret = InvitationSecret([0xd7; 16]);

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn invitation(addresses: Vec<String>) -> Result<Invitation, Error> {
        Invitation::sign(b"a genesis".to_vec(), addresses, Some(SECRET), Wall(9), &key())
    }

    #[test]
    fn an_invitation_reads_back_from_its_text() {
        let made = invitation(vec!["/ip4/127.0.0.1/tcp/1".into()]).expect("within bounds");
        let text = made.to_string();
        assert_eq!(Invitation::parse(&text), Ok(made.clone()));
        assert_eq!((made.issuer(), made.secret()), (NodeId(key().public()), Some(SECRET)));
        assert_eq!(made.federation(), FederationId::of_genesis(b"a genesis"));
        for (bad, error) in [
            ("", Error::Prefix),
            (&text[1..], Error::Prefix),
            (&text.replace(PREFIX, "artel-invitation-2:"), Error::Prefix),
            (&format!("{text} "), Error::Base64),
            (&format!("{text}="), Error::Base64),
            (&format!(" {text}"), Error::Prefix),
        ] {
            assert_eq!(Invitation::parse(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn nothing_but_its_text_shows_the_secret() {
        let made = invitation(vec![]).expect("within bounds");
        let shown = format!("{made:?} {:?}", made.secret());
        for trace in ["d7d7", "D7D7", "215, 215", "19fX"] {
            assert!(!shown.contains(trace), "{trace} in {shown}");
        }
        assert_eq!(SECRET.digest(), Digest::of(&[0xd7; 16]));
    }

    #[test]
    fn another_nodes_signature_and_any_change_are_refused() {
        let made = invitation(vec![]).expect("within bounds");
        let other = SecretKey::from_seed(&[8; 32]);
        let forged = codec::encode(&(&made.content, other.sign(&made.content.signed_bytes())));
        assert_eq!(Invitation::decode(&forged), Err(Error::Signature));
        let mut longer = made.clone();
        longer.content.until = Wall(10);
        assert_eq!(Invitation::decode(&longer.encode()), Err(Error::Signature));
    }

    #[test]
    fn an_invitation_has_bounds() {
        let address = |len: usize| "a".repeat(len);
        assert!(invitation(vec![address(ADDRESS_BYTES_MAX); ADDRESSES_MAX]).is_ok());
        for bad in [
            vec![address(1); ADDRESSES_MAX + 1],
            vec![address(ADDRESS_BYTES_MAX + 1)],
            vec![String::new()],
            vec!["/dns/a b".into()],
            vec!["/dns/é".into()],
            vec!["/dns/a\n".into()],
        ] {
            assert!(matches!(invitation(bad), Err(Error::Bound(_))));
        }
        let sized = |len: usize| {
            Invitation::sign(vec![1; len], vec![], None, Wall(0), &key()).map(|made| made.secret())
        };
        assert_eq!(sized(GENESIS_BYTES_MAX), Ok(None));
        assert!(sized(0).is_err() && sized(GENESIS_BYTES_MAX + 1).is_err());
        let fullest = Invitation::sign(
            vec![1; GENESIS_BYTES_MAX],
            vec![address(ADDRESS_BYTES_MAX); ADDRESSES_MAX],
            Some(SECRET),
            Wall(u64::MAX),
            &key(),
        );
        let text = fullest.expect("within bounds").to_string();
        assert!(text.len() <= INVITATION_CHARS_MAX && Invitation::parse(&text).is_ok(), "{}", text.len());
        let long = format!("{PREFIX}{}", "A".repeat(INVITATION_CHARS_MAX));
        assert!(matches!(Invitation::parse(&long), Err(Error::Bound(_))));
    }
}
