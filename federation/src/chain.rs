//! Whether a peer is a member, judged from the admissions that it shows and the expulsions that are known. Pure: whether a
//! record stands in its author's journal was checked before.
//!
//! A chain begins with the peer's own admission; each link's author is the node that the next link admits, and the last
//! author is a founder. An expulsion counts when a founder said it, when whoever admitted the node said it, or when it is
//! the judge's own.

use crate::fact::{Admission, Admitted, AdmittedBy, Fact, Genesis};
use artel_protocol::hello::CHAIN_LINKS_MAX;
use artel_protocol::key::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The most expulsions of others that are remembered. Half of them is the founders' alone: a member that expels the whole
/// world cannot make a founder's word unheard.
pub const EXPULSIONS_MAX: usize = 65_536;

/// Why a peer is not taken for a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It shows no admission, and is no founder.
    #[error("it is no founder and shows no admission; it must be admitted first")]
    NotAMember,
    /// More links than a chain may have.
    #[error(
        "its chain has {0} admissions, more than {CHAIN_LINKS_MAX}; it must be admitted nearer to a founder"
    )]
    TooLong(usize),
    /// A link does not join.
    #[error("admission {at} of its chain does not hold: {reason}")]
    Broken {
        /// The link's place, from 0.
        at: usize,
        /// What does not hold.
        reason: &'static str,
    },
    /// Somebody in the chain was expelled.
    #[error("{0} was expelled")]
    Expelled(NodeId),
}

impl Error {
    /// The stable code that a welcome answers with.
    pub fn code(&self) -> &'static str {
        match self {
            Error::NotAMember => "not_a_member",
            Error::TooLong(_) => "chain_too_long",
            Error::Broken { .. } => "chain_broken",
            Error::Expelled(_) => "node_expelled",
        }
    }
}

/// One admission of a chain: a public entry whose record was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whose journal it stands in.
    pub author: NodeId,
    /// Where.
    pub index: u64,
    /// What it says.
    pub admitted: Admitted,
}

/// Judges whether `peer` is a member of the federation that `genesis` founds. `judge` is the node that judges, `chain` the
/// admissions in the order in which they are shown.
///
/// # Errors
/// [`Error`]: the first thing that does not hold, from the peer on.
pub fn membership(
    genesis: &Genesis,
    judge: &NodeId,
    peer: &NodeId,
    chain: &[Link],
    expulsions: &Expulsions,
) -> Result<(), Error> {
    if genesis.is_founder(peer) {
        return Ok(());
    }
    if is_barred(genesis, judge, peer, expulsions) {
        return Err(Error::Expelled(*peer));
    }
    if chain.is_empty() {
        return Err(Error::NotAMember);
    }
    if chain.len() > CHAIN_LINKS_MAX {
        return Err(Error::TooLong(chain.len()));
    }
    let (mut node, mut seen) = (peer, BTreeSet::new());
    for (at, Link { author, index, admitted }) in chain.iter().enumerate() {
        let holds = |holds: bool, reason| if holds { Ok(()) } else { Err(Error::Broken { at, reason }) };
        holds(admitted.node == *node, "it admits another node")?;
        holds(!genesis.is_founder(node), "a founder needs none")?;
        holds(seen.insert(*node), "its node stands in the chain twice")?;
        if genesis.admission == Admission::Open {
            holds(genesis.is_founder(author), "in an open federation founders alone admit")?;
        } else {
            holds(admitted.by != AdmittedBy::Open, "this federation admits by invitation")?;
        }
        let taken_back = expulsions.stands(author, node).is_some_and(|expelled| expelled > *index);
        if taken_back || is_barred(genesis, judge, node, expulsions) {
            return Err(Error::Expelled(*node));
        }
        node = author;
    }
    let at = chain.len() - 1;
    if genesis.is_founder(node) {
        Ok(())
    } else {
        Err(Error::Broken { at, reason: "its author is no founder" })
    }
}

/// Whether no admission by whomever lets a node in: a founder's last word on it, or the judge's own, is that it is expelled.
pub fn is_barred(genesis: &Genesis, judge: &NodeId, node: &NodeId, expulsions: &Expulsions) -> bool {
    genesis.founders.iter().chain([judge]).any(|by| expulsions.stands(by, node).is_some())
}

/// What is known of who expelled whom, from every journal that was read: the last word of each author on each node.
#[derive(Debug, Clone, Default)]
pub struct Expulsions {
    /// By author and node: the journal index of the author's last word, and whether it was an expulsion. Begun by an
    /// expulsion; kept after a later admission, so that the old entry, read again, does not come back to life.
    last: BTreeMap<(NodeId, NodeId), (u64, bool)>,
    by_others: usize,
}

impl Expulsions {
    /// Learns an entry of a journal; those that neither admit nor expel, and older words than the last, change nothing. An
    /// author's entries are to come in the journal's order: an admission counts only behind the expulsion that it ends.
    /// Says whether the table could hold it.
    pub fn learn(&mut self, genesis: &Genesis, author: NodeId, index: u64, fact: &Fact) -> bool {
        let (node, expels) = match fact {
            Fact::Admitted(f) => (f.node, false),
            Fact::Expelled(f) => (f.node, true),
            _ => return true,
        };
        let key = (author, node);
        if let Some(last) = self.last.get_mut(&key) {
            if index > last.0 {
                *last = (index, expels);
            }
            return true;
        }
        if !expels {
            return true;
        }
        let is_founder = genesis.is_founder(&author);
        if self.last.len() >= EXPULSIONS_MAX || !is_founder && self.by_others >= EXPULSIONS_MAX / 2 {
            return false;
        }
        self.by_others += usize::from(!is_founder);
        self.last.insert(key, (index, true));
        true
    }

    /// Where in an author's journal its last word on a node stands, if that is an expulsion.
    pub fn stands(&self, author: &NodeId, node: &NodeId) -> Option<u64> {
        self.last.get(&(*author, *node)).filter(|(_, expelled)| *expelled).map(|(index, _)| *index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Expelled, Started};
    use artel_protocol::id::Digest;
    use artel_protocol::key::SecretKey;
    use artel_protocol::time::Wall;

    /// Nodes 0 and 1 are the founders.
    fn node(n: u8) -> NodeId {
        NodeId(SecretKey::from_seed(&[n; 32]).public())
    }

    fn genesis(admission: Admission) -> Genesis {
        let founders = vec![node(0), node(1)];
        Genesis { name: "f".into(), founders, admission, recovery: Digest::of(b""), created: Wall(0) }
    }

    const INVITED: AdmittedBy = AdmittedBy::Invitation(Digest([7; 32]));

    fn link(author: u8, admits: u8, by: AdmittedBy) -> Link {
        Link { author: node(author), index: 10, admitted: Admitted { node: node(admits), by } }
    }

    /// The chain by which each node was invited by the one after it.
    fn chain(nodes: &[u8]) -> Vec<Link> {
        nodes.windows(2).map(|pair| link(pair[1], pair[0], INVITED)).collect()
    }

    fn expelled(by: u8, whom: u8, index: u64) -> (u8, u64, Fact) {
        (by, index, Fact::Expelled(Expelled { node: node(whom), reason: "x".into() }))
    }

    fn admitted(by: u8, whom: u8, index: u64) -> (u8, u64, Fact) {
        (by, index, Fact::Admitted(Admitted { node: node(whom), by: AdmittedBy::Operator }))
    }

    fn known(facts: &[(u8, u64, Fact)]) -> Expulsions {
        let mut known = Expulsions::default();
        for (author, index, fact) in facts {
            assert!(known.learn(&genesis(Admission::Open), node(*author), *index, fact));
        }
        known
    }

    /// What node 9 judges of node 5, in a word.
    fn judged(admission: Admission, chain: &[Link], facts: &[(u8, u64, Fact)]) -> &'static str {
        match membership(&genesis(admission), &node(9), &node(5), chain, &known(facts)) {
            Ok(()) => "ok",
            Err(error) => error.code(),
        }
    }

    #[test]
    fn a_founder_needs_no_chain_and_nobody_else_does_without() {
        for admission in [Admission::Open, Admission::Invitation] {
            let genesis = genesis(admission);
            let known = known(&[expelled(0, 1, 1), expelled(9, 1, 1)]);
            let judge = |peer| membership(&genesis, &node(9), &node(peer), &[], &known);
            assert_eq!((judge(0), judge(1), judge(5)), (Ok(()), Ok(()), Err(Error::NotAMember)));
        }
    }

    #[test]
    fn a_chain_leads_from_the_peer_to_a_founder() {
        let chain_of = |len: usize| -> Vec<Link> {
            let nodes: Vec<u8> = (0..len as u8).map(|n| 5 + n).chain([0]).collect();
            chain(&nodes)
        };
        let broken_by = |change: &dyn Fn(&mut Vec<Link>)| {
            let mut changed = chain(&[5, 6, 7, 1]);
            change(&mut changed);
            judged(Admission::Invitation, &changed, &[])
        };
        for len in 1..=CHAIN_LINKS_MAX {
            assert_eq!(judged(Admission::Invitation, &chain_of(len), &[]), "ok", "{len}");
        }
        assert_eq!(judged(Admission::Invitation, &chain_of(CHAIN_LINKS_MAX + 1), &[]), "chain_too_long");
        assert_eq!(broken_by(&|_| {}), "ok");
        for (at, change) in [
            (|links: &mut Vec<Link>| links.retain(|link| link.admitted.node != node(5)))
                as fn(&mut Vec<Link>),
            |links| links.retain(|link| link.admitted.node != node(6)),
            |links| links.truncate(2),
            |links| links.reverse(),
            |links| links.swap(1, 2),
            |links| links[0].admitted.node = node(8),
            |links| links[1].admitted.node = node(5),
            |links| links[1].author = node(8),
            |links| links[2].author = node(8),
            |links| links[0].admitted.by = AdmittedBy::Open,
            |links| links[2].admitted.by = AdmittedBy::Open,
            // The peer vouches for itself, at the front and for its own inviter.
            |links| links.insert(0, link(5, 5, INVITED)),
            |links| links[2].author = node(5),
            |links| links.extend([link(5, 1, INVITED), link(0, 5, INVITED)]),
            // A founder in the middle, as if it needed an admission.
            |links| links.push(link(0, 1, INVITED)),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(broken_by(&change), "chain_broken", "change {at}");
        }
    }

    #[test]
    fn in_an_open_federation_founders_alone_admit() {
        for by in [AdmittedBy::Open, INVITED, AdmittedBy::Operator] {
            assert_eq!(judged(Admission::Open, &[link(1, 5, by)], &[]), "ok", "{by:?}");
        }
        assert_eq!(judged(Admission::Open, &chain(&[5, 6, 0]), &[]), "chain_broken");
        assert_eq!(judged(Admission::Open, &[link(6, 5, AdmittedBy::Open)], &[]), "chain_broken");
        let by_name = [link(6, 5, AdmittedBy::Operator), link(0, 6, AdmittedBy::Operator)];
        assert_eq!(judged(Admission::Invitation, &by_name, &[]), "ok");
    }

    #[test]
    fn whoever_is_expelled_by_one_who_has_a_say_is_out_with_all_whom_it_let_in() {
        let three = chain(&[5, 6, 0]);
        let judged = |facts: &[(u8, u64, Fact)]| judged(Admission::Invitation, &three, facts);
        for by in [0, 1, 6, 9] {
            assert_eq!(judged(&[expelled(by, 5, 11)]), "node_expelled", "the peer, by {by}");
        }
        for by in [0, 1, 9] {
            assert_eq!(judged(&[expelled(by, 6, 11)]), "node_expelled", "its inviter, by {by}");
        }
        // Another member's word, the peer's own on its inviter, and a word on somebody else.
        for fact in [expelled(7, 5, 11), expelled(7, 6, 11), expelled(5, 6, 11), expelled(0, 7, 11)] {
            assert_eq!(judged(&[fact]), "ok");
        }
    }

    #[test]
    fn the_last_word_of_each_author_counts() {
        let three = chain(&[5, 6, 0]);
        let judged = |facts: &[(u8, u64, Fact)]| judged(Admission::Invitation, &three, facts);
        assert_eq!(judged(&[expelled(1, 5, 3), admitted(1, 5, 4)]), "ok");
        assert_eq!(judged(&[expelled(1, 5, 3), admitted(1, 5, 4), expelled(1, 5, 5)]), "node_expelled");
        assert_eq!(judged(&[expelled(1, 5, 3), admitted(0, 5, 4)]), "node_expelled", "each for itself");
        let read_again = [expelled(1, 5, 3), admitted(1, 5, 4), expelled(1, 5, 3), expelled(1, 5, 2)];
        assert_eq!(judged(&read_again), "ok", "an old entry does not come back to life");
        // The admission that is shown stands at index 10 of its author's journal.
        assert_eq!(judged(&[expelled(6, 5, 9)]), "ok", "let in again after it");
        assert_eq!(judged(&[expelled(6, 5, 11)]), "node_expelled", "an old admission");
        let bare = |facts: &[(u8, u64, Fact)]| super::tests::judged(Admission::Invitation, &[], facts);
        assert_eq!(bare(&[expelled(1, 5, 3)]), "node_expelled", "showing no chain hides nothing");
        assert_eq!(bare(&[expelled(6, 5, 3)]), "not_a_member", "a member's word is on its own admissions");
    }

    #[test]
    fn others_fill_half_of_the_table_and_founders_the_rest() {
        let nth = |n: u32| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_le_bytes());
            NodeId(artel_protocol::key::PublicKey::from_bytes(key))
        };
        let genesis = genesis(Admission::Invitation);
        let expel = |n| Fact::Expelled(Expelled { node: nth(n), reason: String::new() });
        let mut known = Expulsions::default();
        let half = EXPULSIONS_MAX as u32 / 2;
        for n in 0..half {
            assert!(known.learn(&genesis, node(7), n.into(), &expel(n)));
        }
        assert!(!known.learn(&genesis, node(7), 1 << 40, &expel(half)), "a member's half is full");
        assert!(!known.learn(&genesis, node(8), 0, &expel(half)), "also another's");
        for n in 0..half {
            assert!(known.learn(&genesis, node(0), n.into(), &expel(n)), "a founder is heard");
        }
        assert!(!known.learn(&genesis, node(0), 1 << 40, &expel(half)));
        assert!(known.learn(&genesis, node(7), 1 << 41, &expel(3)), "what is known already costs nothing");
        let started = Started { boot: 1, version: String::new(), configuration: Digest::of(b"") };
        assert!(known.learn(&genesis, node(3), 1, &Fact::Started(started)));
        assert_eq!((known.stands(&node(0), &nth(1)), known.stands(&node(0), &nth(half))), (Some(1), None));
    }
}
