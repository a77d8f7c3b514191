//! Whether a peer is a member, judged from the admissions that it shows and the expulsions that are known. Pure: whether a
//! record stands in its author's journal was checked before.
//!
//! A chain begins with the peer's own admission; each link's author is the node that the next link admits, and the last
//! author is a founder. An expulsion counts when a founder said it, when whoever admitted the node said it, or when it is
//! the judge's own.

use crate::fact::{Admission, Admitted, AdmittedBy};
use crate::words::Words;
use artel_protocol::hello::CHAIN_LINKS_MAX;
use artel_protocol::key::NodeId;
use std::collections::BTreeSet;

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

/// Judges whether `peer` is a member of the federation. `chain` has the admissions in the order in which they are shown, `words`
/// what was heard of expulsions.
///
/// # Errors
/// [`Error`]: the first thing that does not hold, from the peer on.
pub fn membership(peer: &NodeId, chain: &[Link], words: &Words) -> Result<(), Error> {
    let genesis = words.genesis();
    if genesis.is_founder(peer) {
        return Ok(());
    }
    if words.is_barred(peer, chain.first()) {
        return Err(Error::Expelled(*peer));
    }
    if chain.is_empty() {
        return Err(Error::NotAMember);
    }
    if chain.len() > CHAIN_LINKS_MAX {
        return Err(Error::TooLong(chain.len()));
    }
    let (mut node, mut seen) = (peer, BTreeSet::new());
    for (at, link) in chain.iter().enumerate() {
        let Link { author, index, admitted } = link;
        let holds = |holds: bool, reason| if holds { Ok(()) } else { Err(Error::Broken { at, reason }) };
        holds(admitted.node == *node, "it admits another node")?;
        holds(!genesis.is_founder(node), "a founder needs none")?;
        holds(seen.insert(*node), "its node stands in the chain twice")?;
        if genesis.admission == Admission::Open {
            holds(genesis.is_founder(author), "in an open federation founders alone admit")?;
        } else {
            holds(admitted.by != AdmittedBy::Open, "this federation admits by invitation")?;
        }
        let taken_back = words.stands(author, node).is_some_and(|expelled| expelled > *index);
        if taken_back || words.is_barred(node, Some(link)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Expelled, Fact, Genesis};
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

    /// What node 9 has heard.
    fn known(admission: Admission, facts: &[(u8, u64, Fact)]) -> Words {
        let mut known = Words::new(node(9), genesis(admission));
        for (author, index, fact) in facts {
            known.learn(node(*author), *index, fact);
        }
        known
    }

    /// What node 9 judges of node 5, in a word.
    fn judged(admission: Admission, chain: &[Link], facts: &[(u8, u64, Fact)]) -> &'static str {
        match membership(&node(5), chain, &known(admission, facts)) {
            Ok(()) => "ok",
            Err(error) => error.code(),
        }
    }

    #[test]
    fn a_founder_needs_no_chain_and_nobody_else_does_without() {
        for admission in [Admission::Open, Admission::Invitation] {
            let known = known(admission, &[expelled(0, 1, 1), expelled(9, 1, 1)]);
            let judge = |peer| membership(&node(peer), &[], &known);
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
        // What is shown by a founder, or the judge, may be its later word, and is nobody else's.
        for (by, at, judged_as) in [(0, 9, "ok"), (0, 11, "node_expelled"), (1, 9, "node_expelled")] {
            let shown = [link(0, 5, AdmittedBy::Operator)];
            let found = super::tests::judged(Admission::Invitation, &shown, &[expelled(by, 5, at)]);
            assert_eq!(found, judged_as, "expelled by {by} at {at}");
        }
        let bare = |facts: &[(u8, u64, Fact)]| super::tests::judged(Admission::Invitation, &[], facts);
        assert_eq!(bare(&[expelled(1, 5, 3)]), "node_expelled", "showing no chain hides nothing");
        assert_eq!(bare(&[expelled(6, 5, 3)]), "not_a_member", "a member's word is on its own admissions");
    }
}
