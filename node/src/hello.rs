//! The seam between the mesh, which carries bytes, and the rules: what this node says first to a peer, what a peer's first
//! words mean, and what it is answered. It decides nothing: who is a member is `artel_federation::chain`'s to judge, who is
//! let in the rules'.

use artel_federation::chain::{self, Link};
use artel_federation::effect::Refusal;
use artel_federation::words::Words;
use artel_federation::{Fact, Principal, Reply, Request};
use artel_protocol::hello::{CheckedHello, Error, Hello, Welcome};
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::{NodeId, SecretKey};
use artel_protocol::log::Origin;
use artel_protocol::time::Wall;

/// This node's own hello, as a frame. `chain` holds the record frames of its admission and of those above it, none for a
/// founder; `secret` is an invitation's, while the node is not admitted.
///
/// # Errors
/// [`Error::Bound`] when there are more addresses or records than a hello may have.
pub fn say(
    (origin, key): (&Origin, &SecretKey),
    at: Wall,
    addresses: Vec<String>,
    chain: Vec<Vec<u8>>,
    secret: Option<InvitationSecret>,
) -> Result<Vec<u8>, Error> {
    let signed = Hello::sign(origin.federation(), origin.incarnation(), at, key);
    Hello { addresses, chain, secret, ..signed }.to_frame()
}

/// A record of a chain whose proof was checked: whose journal it stands in, where, and what it says.
pub struct ChainRecord {
    /// The author.
    pub author: NodeId,
    /// The journal index.
    pub index: u64,
    /// What the entry says.
    pub fact: Fact,
}

/// What a peer's hello means.
#[derive(Debug)]
pub enum Judged {
    /// The peer is a member: it may be welcomed.
    Member,
    /// The rules are to be asked ([`Newcomer::request`]); [`welcome`] makes their answer the peer's.
    Ask(Newcomer),
    /// A founder or this node has expelled the peer; the rules are not asked, for they know this node's own word alone.
    Refused(chain::Error),
}

/// A peer that is not known to be a member.
#[derive(Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// The node whose key the transport proved.
    pub node: NodeId,
    /// The secret of the invitation that it has.
    pub secret: Option<InvitationSecret>,
    /// Why its chain was not taken, where it showed one: that says more than that it lacks an invitation.
    pub instead: Option<chain::Error>,
}

impl Newcomer {
    /// Who asks the rules, and what.
    pub fn request(&self) -> (Principal, Request) {
        (Principal::Node(self.node), Request::Admit { node: self.node, secret: self.secret })
    }
}

/// Judges a hello whose form and signature were checked. `read` checks one record frame and says what it holds, or nothing
/// where the frame proves nothing. Nothing is learnt of it: whoever shows it may be anybody.
pub fn judge(hello: &CheckedHello, words: &Words, read: impl FnMut(&[u8]) -> Option<ChainRecord>) -> Judged {
    let peer = hello.node;
    let (links, broken) = links(hello, read);
    let membership = || chain::membership(&peer, &links, words);
    match broken.map_or_else(membership, Err) {
        Ok(()) => Judged::Member,
        Err(_) if words.is_barred(&peer, links.first()) => Judged::Refused(chain::Error::Expelled(peer)),
        Err(error) => Judged::Ask(Newcomer {
            node: peer,
            secret: hello.secret,
            instead: Some(error).filter(|error| *error != chain::Error::NotAMember),
        }),
    }
}

/// The admissions of a hello's chain, up to the first record that is none, and what is wrong with that one.
fn links(
    hello: &CheckedHello,
    mut read: impl FnMut(&[u8]) -> Option<ChainRecord>,
) -> (Vec<Link>, Option<chain::Error>) {
    let mut links = Vec::new();
    for (at, frame) in hello.chain.iter().enumerate() {
        let reason = match read(frame) {
            Some(ChainRecord { author, index, fact: Fact::Admitted(admitted) }) => {
                links.push(Link { author, index, admitted });
                continue;
            }
            Some(_) => "it is another kind of entry",
            None => "its proof does not hold",
        };
        return (links, Some(chain::Error::Broken { at, reason }));
    }
    (links, None)
}

/// What a peer is answered, once the rules have spoken. `admission` holds the record frames that it shows from now on:
/// its own admission and this node's chain above it.
pub fn welcome(
    answer: Result<&Reply, &Refusal>,
    instead: Option<&chain::Error>,
    admission: Vec<Vec<u8>>,
) -> Welcome {
    use artel_federation::Code;
    match (answer, instead) {
        (Ok(_), _) => Welcome::accepted(admission),
        (Err(refusal), Some(error)) if refusal.code == Code::InvitationNeeded => {
            Welcome::refused(error.code(), &error.to_string())
        }
        (Err(refusal), _) => Welcome::refused(refusal.code.as_str(), &refusal.message),
    }
}

/// What a peer is answered whose hello is no good in itself.
pub fn unwelcome(error: &Error) -> Welcome {
    Welcome::refused(error.code(), &error.to_string())
}

/// What a peer is answered whom nobody is asked about.
pub fn refused(error: &chain::Error) -> Welcome {
    Welcome::refused(error.code(), &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::Code;
    use artel_federation::Genesis;
    use artel_federation::fact::{Admission, Admitted, AdmittedBy, Expelled, Started};
    use artel_protocol::hello::Expected;
    use artel_protocol::id::Digest;

    const AT: Wall = Wall(1_000_000);
    const SECRET: InvitationSecret = InvitationSecret([7; 16]);

    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 32])
    }

    fn node(n: u8) -> NodeId {
        NodeId(key(n).public())
    }

    /// Node 0 founded it; node 9 judges, node 5 asks.
    fn genesis() -> Genesis {
        let (name, recovery) = ("f".to_owned(), Digest::of(b""));
        Genesis { name, founders: vec![node(0)], admission: Admission::Invitation, recovery, created: AT }
    }

    fn hello(chain: &[u8], secret: Option<InvitationSecret>) -> CheckedHello {
        let origin = Origin::new(genesis().id(), node(5), 3);
        let chain = chain.iter().map(|record| vec![*record]).collect();
        let frame = say((&origin, &key(5)), AT, vec!["/dns/a".into()], chain, secret).expect("within bounds");
        let expected = Expected { federation: genesis().id(), peer: node(5), now: AT };
        let hello = Hello::check(&frame, &expected).expect("our own");
        assert_eq!((hello.incarnation, hello.addresses.len()), (3, 1));
        hello
    }

    /// Frame 1 holds the founder's admission of the peer, frame 2 another kind of entry; others prove nothing.
    fn read(frame: &[u8]) -> Option<ChainRecord> {
        let fact = match frame {
            [1] => Fact::Admitted(Admitted { node: node(5), by: AdmittedBy::Operator }),
            [2] => Fact::Started(Started { boot: 1, version: String::new(), configuration: Digest::of(b"") }),
            _ => return None,
        };
        Some(ChainRecord { author: node(0), index: 4, fact })
    }

    /// What node 9 has heard.
    fn known(facts: &[(u64, Fact)]) -> Words {
        let mut words = Words::new(node(9), genesis());
        for (index, fact) in facts {
            words.learn(node(0), *index, fact);
        }
        words
    }

    fn judged(chain: &[u8], secret: Option<InvitationSecret>, words: &Words) -> Judged {
        judge(&hello(chain, secret), words, read)
    }

    #[test]
    fn whoever_shows_a_chain_that_holds_is_a_member_and_the_rules_are_asked_of_all_others() {
        let none = known(&[]);
        assert!(matches!(judged(&[1], None, &none), Judged::Member));
        let fact = Fact::Expelled(Expelled { node: node(5), reason: "x".into() });
        let expelled = known(&[(5, fact.clone())]);
        for (chain, secret, expulsions, code) in [
            (&[][..], Some(SECRET), &none, None),
            (&[], None, &none, None),
            (&[2], None, &none, Some("chain_broken")),
            (&[3], Some(SECRET), &none, Some("chain_broken")),
            (&[1, 1], None, &none, Some("chain_broken")),
        ] {
            let Judged::Ask(newcomer) = judged(chain, secret, expulsions) else {
                panic!("{chain:?} is no chain")
            };
            let (principal, request) = newcomer.request();
            assert_eq!(principal, Principal::Node(node(5)));
            assert!(
                matches!(request, Request::Admit { node: who, secret: with } if who == node(5) && with == secret)
            );
            assert_eq!(newcomer.instead.as_ref().map(chain::Error::code), code, "{chain:?}");
        }
        let let_in_again = known(&[(3, fact)]);
        assert!(
            matches!(judged(&[1], None, &let_in_again), Judged::Member),
            "what it shows is the later word"
        );
        for (chain, secret) in [(&[1][..], None), (&[], Some(SECRET)), (&[3], Some(SECRET))] {
            let judged = judged(chain, secret, &expelled);
            assert!(
                matches!(&judged, Judged::Refused(error) if error.code() != "not_a_member"),
                "{judged:?}"
            );
        }
    }

    #[test]
    fn a_peer_hears_what_helps_it_most() {
        let reply = Reply::Admitted { node: node(5), index: Some(4) };
        let yes = welcome(Ok(&reply), None, vec![vec![1]]);
        assert!(yes.accept && yes.admission == [[1]] && yes.to_frame().is_ok());
        let broken = chain::Error::Broken { at: 0, reason: "its proof does not hold" };
        let needed = Refusal::new(Code::InvitationNeeded, "get an invitation");
        let spent = Refusal::new(Code::InvitationSpent, "get another one");
        for (refusal, instead, code) in [
            (&needed, None, "invitation_needed"),
            (&needed, Some(&broken), "chain_broken"),
            (&spent, Some(&broken), "invitation_spent"),
        ] {
            let no = welcome(Err(refusal), instead, vec![]);
            assert!(!no.accept && no.to_frame().is_ok());
            assert_eq!(no.code, code);
        }
        let no = unwelcome(&Error::OtherNode(node(1)));
        assert_eq!(no.code, "other_node");
        assert!(no.to_frame().is_ok());
    }
}
