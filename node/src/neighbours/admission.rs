//! What lets this node in: the records of its admission and of those above it, up to a founder. They are others' records, got
//! with a welcome, and stand in a file of their own: without them a neighbour that does not know this node would refuse it.
//!
//! A chain is replaced when it does not hold any more: whoever was let in by a node that was expelled since is let in by
//! another one. While an invitation is held that the chain was not got by, its issuer's admission alone is taken: else
//! whoever welcomes a newcomer first, unasked, would have it hang on itself.

use crate::data;
use artel_federation::chain::Link;
use artel_federation::exchange::Exchange;
use artel_federation::fact::AdmittedBy;
use artel_federation::{Entry, Fact};
use artel_protocol::codec;
use artel_protocol::id::FederationId;
use artel_protocol::invitation::InvitationSecret;
use artel_protocol::key::NodeId;
use artel_protocol::log::Origin;
use artel_protocol::record::Records;
use artel_protocol::time::Wall;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The file in the data directory.
const FILE: &str = "admission";

/// What a node is told that shows a chain which somebody does not take.
const CHAIN_CODES: [&str; 3] = ["node_expelled", "chain_broken", "chain_too_long"];

/// What a node is told whose invitation is of no use any more.
const INVITATION_CODES: [&str; 3] = ["invitation_unknown", "invitation_spent", "invitation_expired"];

/// An invitation that this node holds.
#[derive(Debug, Clone, Copy)]
pub struct Invited {
    /// Who made it.
    pub issuer: NodeId,
    /// What it shows.
    pub secret: InvitationSecret,
    /// Until when it is good.
    pub until: Wall,
}

/// The chain that this node shows, and the invitation that it has where it needs another one.
pub struct Admission {
    dir: PathBuf,
    invited: Option<Invited>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chain: Vec<Vec<u8>>,
    /// Whether somebody did not let this node in for its chain's sake.
    is_doubted: bool,
    /// Whether the invitation's issuer does not take it.
    is_spent: bool,
}

impl Admission {
    /// What the data directory holds. A damaged file counts as none: the node asks to be let in once more.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(dir: &Path, invited: Option<Invited>) -> std::io::Result<Self> {
        let chain = match std::fs::read(dir.join(FILE)) {
            Ok(bytes) => codec::decode(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let state = Mutex::new(State { chain, ..State::default() });
        Ok(Admission { dir: dir.into(), invited, state })
    }

    /// The frames, this node's own admission first; none for a founder, and while it is not let in.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.lock().chain.clone()
    }

    /// The secret of the invitation, while this node has no chain that is known to hold and to be taken.
    pub fn secret(&self, me: &Origin, exchange: &Exchange) -> Option<InvitationSecret> {
        let links = links(&self.chain(), &me.federation());
        let is_wanted = self.lock().is_doubted || !holds(links.as_deref(), me, exchange);
        self.unused(links.as_deref()).filter(|_| is_wanted).map(|invited| invited.secret)
    }

    /// Whether a chain that was judged good is to be taken in place of what there is, given what is known and the moment.
    pub fn takes(&self, new: &[Link], (me, exchange): (&Origin, &Exchange), now: Wall) -> bool {
        let links = links(&self.chain(), &me.federation());
        let (is_doubted, is_spent) = {
            let state = self.lock();
            (state.is_doubted, state.is_spent)
        };
        let holds = holds(links.as_deref(), me, exchange);
        match self.unused(links.as_deref()).filter(|invited| !is_spent && now <= invited.until) {
            Some(Invited { issuer, .. }) => {
                (!holds || is_doubted) && new.first().is_some_and(|link| link.author == issuer)
            }
            // That somebody doubts a chain which holds is no reason to hang on whoever comes next.
            None => !holds,
        }
    }

    /// Hears why a node does not let this one in; says whether something else is to be shown from now on.
    pub fn refused(&self, by: &NodeId, code: &str) -> bool {
        let mut state = self.lock();
        state.is_spent |=
            self.invited.is_some_and(|invited| invited.issuer == *by) && INVITATION_CODES.contains(&code);
        let is_new = !state.chain.is_empty() && !state.is_doubted && CHAIN_CODES.contains(&code);
        state.is_doubted |= is_new;
        is_new
    }

    /// Takes a chain that was judged good, on disk first.
    ///
    /// # Errors
    /// What the disk says; the chain is not shown then.
    pub fn set(&self, chain: Vec<Vec<u8>>) -> Result<(), data::Error> {
        data::replace(&self.dir, FILE, &codec::encode(&chain))?;
        let mut state = self.lock();
        (state.chain, state.is_doubted) = (chain, false);
        Ok(())
    }

    /// The invitation, unless the chain was got by it.
    fn unused(&self, links: Option<&[Link]>) -> Option<Invited> {
        let by = links.and_then(<[Link]>::first).map(|link| link.admitted.by);
        self.invited.filter(|invited| by != Some(AdmittedBy::Invitation(invited.secret.digest())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is a chain, and it holds by what is known.
fn holds(links: Option<&[Link]>, me: &Origin, exchange: &Exchange) -> bool {
    links.is_some_and(|links| exchange.judge_chain(&me.node(), links).is_ok())
}

/// What a chain's frames say; nothing where there are none, or one that proves nothing.
pub(super) fn links(frames: &[Vec<u8>], federation: &FederationId) -> Option<Vec<Link>> {
    let link = |frame: &Vec<u8>| {
        let (author, index, fact) = record_in(frame, federation)?;
        let Fact::Admitted(admitted) = fact else { return None };
        Some(Link { author, index, admitted })
    };
    if frames.is_empty() { None } else { frames.iter().map(link).collect() }
}

/// The one record of a chain's frame: whose journal it stands in, where, and what it says.
pub(super) fn record_in(frame: &[u8], federation: &FederationId) -> Option<(NodeId, u64, Fact)> {
    let records = Records::check(frame, federation).ok()?;
    let [record] = records.records() else { return None };
    let fact = Entry::decode(&record.body).ok()?.fact;
    Some((records.origin().node(), record.index, fact))
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_federation::Genesis;
    use artel_federation::fact::{self, Admitted, Expelled};
    use artel_protocol::id::Digest;
    use artel_protocol::key::SecretKey;
    use artel_protocol::log::tree::root_of;
    use artel_protocol::log::{Checkpoint, Class, Leaf, SignedCheckpoint};
    use artel_protocol::record::Record;
    use tempfile::TempDir;

    const HOME: FederationId = FederationId([3; 32]);
    const SECRET: InvitationSecret = InvitationSecret([7; 16]);

    /// Node 0 is the founder, nodes 1 and 2 were invited by it, and node 9 is this one.
    fn key(n: u8) -> SecretKey {
        SecretKey::from_seed(&[n; 32])
    }

    fn node(n: u8) -> NodeId {
        NodeId(key(n).public())
    }

    fn me() -> Origin {
        Origin::new(HOME, node(9), 0)
    }

    fn exchange() -> Exchange {
        let genesis = Genesis {
            name: "f".into(),
            founders: vec![node(0)],
            admission: fact::Admission::Invitation,
            recovery: Digest::of(b""),
            created: Wall(0),
        };
        Exchange::new(node(9), genesis)
    }

    /// The record by which one node let another one in.
    fn frame(by: u8, admits: u8, with: InvitationSecret) -> Vec<u8> {
        let admitted = Admitted { node: node(admits), by: AdmittedBy::Invitation(with.digest()) };
        let body = Entry { at: Wall(5), correlation: None, fact: Fact::Admitted(admitted) }.encode();
        let leaf = Leaf::commit(Class::Public, 0, &[0; 16], &body);
        let plain = Checkpoint::new(Origin::new(HOME, node(by), 0), 1, root_of(&[leaf.hash()]));
        let signed = SignedCheckpoint::sign(plain.expect("plain"), &key(by)).expect("its own key");
        let record = Record { index: 0, public_seq: 0, salt: [0; 16], body };
        Records::new(&signed, vec![record], vec![]).expect("sound").bytes().to_vec()
    }

    /// The chain of this node where it was let in by one of the first three.
    fn chain(by: u8, with: InvitationSecret) -> Vec<Vec<u8>> {
        let own = frame(by, 9, with);
        if by == 0 { vec![own] } else { vec![own, frame(0, by, InvitationSecret([1; 16]))] }
    }

    fn admission(dir: &TempDir, invited: Option<u8>) -> Admission {
        let invited = invited.map(|by| Invited { issuer: node(by), secret: SECRET, until: Wall(1_000) });
        Admission::read(dir.path(), invited).expect("a good disk")
    }

    fn takes(admission: &Admission, by: u8, exchange: &Exchange, at: u64) -> bool {
        let links = links(&chain(by, SECRET), &HOME).expect("records");
        assert_eq!(exchange.judge_chain(&node(9), &links), Ok(()));
        admission.takes(&links, (&me(), exchange), Wall(at))
    }

    #[test]
    fn a_newcomer_takes_the_chain_of_who_invited_it_alone() {
        let (dir, exchange) = (TempDir::new().expect("a directory"), exchange());
        let invited = admission(&dir, Some(1));
        assert_eq!(invited.secret(&me(), &exchange), Some(SECRET));
        let taken = |admission: &Admission, at| [0, 1, 2].map(|by| takes(admission, by, &exchange, at));
        assert_eq!(taken(&invited, 1_000), [false, true, false]);
        assert_eq!(taken(&invited, 1_001), [true; 3], "when the invitation is over it counts no more");
        assert!(!invited.refused(&node(2), "invitation_spent"));
        assert_eq!(taken(&invited, 5), [false, true, false], "that is not this one's to say");
        assert!(!invited.refused(&node(1), "invitation_spent"));
        assert_eq!(taken(&invited, 5), [true; 3]);
        assert_eq!(taken(&admission(&dir, None), 5), [true; 3], "an operator admits by name");
        invited.set(chain(1, SECRET)).expect("a good disk");
        assert_eq!(taken(&admission(&dir, Some(1)), 5), [false; 3], "it has one");
        assert_eq!(admission(&dir, Some(1)).secret(&me(), &exchange), None);
    }

    #[test]
    fn a_chain_that_does_not_hold_any_more_is_replaced() {
        let dir = TempDir::new().expect("a directory");
        admission(&dir, None).set(chain(2, InvitationSecret([2; 16]))).expect("a good disk");
        // By what is known here.
        let mut known = exchange();
        let fact = Fact::Expelled(Expelled { node: node(2), reason: "x".into() });
        known.hear(node(0), [(7, &fact)]);
        let later = admission(&dir, Some(1));
        assert_eq!(later.secret(&me(), &known), Some(SECRET));
        assert_eq!([0, 1].map(|by| takes(&later, by, &known, 5)), [false, true]);
        assert_eq!([0, 1].map(|by| takes(&admission(&dir, None), by, &known, 5)), [true, true]);
        // By what others say, who know more; they may lie, so nobody else's is taken for that alone.
        let unknown = exchange();
        assert_eq!(later.secret(&me(), &unknown), None);
        assert!(later.refused(&node(0), "node_expelled"));
        assert!(!later.refused(&node(0), "node_expelled"), "it is shown already");
        assert_eq!(later.secret(&me(), &unknown), Some(SECRET));
        assert_eq!([0, 1].map(|by| takes(&later, by, &unknown, 5)), [false, true]);
        let without = admission(&dir, None);
        assert!(without.refused(&node(0), "node_expelled"));
        assert_eq!([0, 1].map(|by| takes(&without, by, &unknown, 5)), [false, false]);
        later.set(chain(1, SECRET)).expect("a good disk");
        assert_eq!(later.secret(&me(), &known), None);
    }
}
