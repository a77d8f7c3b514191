//! What the world itself knows, whatever a node says: what each has synced and shown, what it cosigned and counted as kept,
//! and who lies. It outlives every crash.

use super::heard::Heard;
use super::market::Known;
use super::packet::Slot;
use artel_federation::{Entry, Fact, Genesis};
use artel_protocol::id::{Digest, FederationId};
use artel_protocol::key::NodeId;
use artel_protocol::log::{Class, CompactRange, Hash, Leaf, Origin};
use std::collections::{BTreeMap, BTreeSet};

/// The journal of one running node, or of a forger, entry by entry.
#[derive(Debug, Clone)]
pub struct Book {
    /// Whose it is.
    pub origin: Origin,
    /// The root of each size, from 0 on.
    pub roots: Vec<Hash>,
    /// Number and digest of each public entry's body, by index.
    pub public: BTreeMap<u64, (u64, Digest)>,
    /// What it says of membership.
    pub words: Heard,
    /// The largest size that was shown to anybody, as a checkpoint.
    pub shown: u64,
    /// Invitations by digest: how many nodes each lets in, and has.
    pub invited: BTreeMap<Digest, (u32, u32)>,
    tree: CompactRange,
}

impl Book {
    /// An empty one.
    pub fn new(origin: Origin) -> Book {
        let tree = CompactRange::new();
        Book {
            origin,
            roots: vec![tree.root()],
            public: BTreeMap::new(),
            words: Heard::default(),
            shown: 0,
            invited: BTreeMap::new(),
            tree,
        }
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// How many of them are public.
    pub fn public_seq(&self) -> u64 {
        self.public.len() as u64
    }

    /// Takes in the next entry. A body that does not decode is of a later version.
    pub fn take(&mut self, leaf: &Leaf, body: &[u8]) {
        let index = self.size();
        if leaf.class() == Class::Public {
            self.public.insert(index, (leaf.public_seq(), Digest::of(body)));
        }
        if let Ok(entry) = Entry::decode(body) {
            self.words.take(self.origin.node(), index, &entry.fact);
            if let Fact::Invited(invited) = &entry.fact {
                self.invited.insert(invited.invitation, (invited.uses, 0));
            }
        }
        self.tree.append(leaf.hash());
        self.roots.push(self.tree.root());
    }

    /// Whether its first entries have this root.
    pub fn has_root(&self, size: u64, root: &Hash) -> bool {
        self.roots.get(size as usize) == Some(root)
    }
}

/// Everything that the world knows.
pub struct Truth {
    /// The record that founded the federation.
    pub genesis: Genesis,
    /// Its id.
    pub federation: FederationId,
    /// Every journal that there is, by who writes it.
    pub books: BTreeMap<Slot, Book>,
    /// Who writes a journal first, by its name.
    pub writers: BTreeMap<Origin, Slot>,
    /// Forged journals.
    pub forged: Vec<Book>,
    /// Whose journals contradict themselves, or who says what no honest node says.
    pub liars: BTreeSet<NodeId>,
    /// Nodes that were started twice from one disk.
    pub cloned: BTreeSet<NodeId>,
    /// What each node has cosigned, in order.
    pub cosigned: BTreeMap<(Slot, Origin), Vec<(u64, Hash)>>,
    /// Up to where each node has counted another's records as kept.
    pub kept: BTreeMap<(Slot, Origin), u64>,
    /// Whom operators admitted by name, by slot.
    pub named: BTreeSet<(Slot, NodeId)>,
    /// The node that is down for good.
    pub gone: Option<Slot>,
    /// What is known of the market.
    pub market: Known,
}

impl Truth {
    /// Nothing has happened yet.
    pub fn new(genesis: Genesis) -> Truth {
        Truth {
            federation: genesis.id(),
            genesis,
            books: BTreeMap::new(),
            writers: BTreeMap::new(),
            forged: Vec::new(),
            liars: BTreeSet::new(),
            cloned: BTreeSet::new(),
            cosigned: BTreeMap::new(),
            kept: BTreeMap::new(),
            named: BTreeSet::new(),
            gone: None,
            market: Known::default(),
        }
    }

    /// The journal of an honest node that nobody has cloned.
    pub fn honest_book(&self, origin: &Origin) -> Option<&Book> {
        if self.liars.contains(&origin.node()) {
            return None;
        }
        self.books.get(self.writers.get(origin)?)
    }

    /// Puts down a node's journal as it is found at a start.
    pub fn put(&mut self, slot: Slot, book: Book) {
        self.writers.entry(book.origin).or_insert(slot);
        self.books.insert(slot, book);
    }

    /// Whether there is a history of a journal in which both heads stand.
    pub fn agree(&self, origin: &Origin, one: &(u64, Hash), other: &(u64, Hash)) -> bool {
        let books = self.books.values().chain(&self.forged).filter(|book| book.origin == *origin);
        books.into_iter().any(|book| book.has_root(one.0, &one.1) && book.has_root(other.0, &other.1))
    }

    /// The journals of which two running nodes have shown two histories, neither of which continues the other.
    pub fn forks(&self) -> BTreeSet<Origin> {
        let shown = |book: &Book| (book.shown, book.roots[book.shown as usize]);
        let of = |node: &NodeId| self.books.values().filter(|book| book.origin.node() == *node).collect();
        let contradicts = |books: Vec<&Book>| {
            let (one, other) = (books.first()?, books.get(1)?);
            let ((size, root), (other_size, other_root)) = (shown(one), shown(other));
            let continues = other.has_root(size, &root) || one.has_root(other_size, &other_root);
            (!continues).then_some(one.origin)
        };
        self.cloned.iter().filter_map(|node| contradicts(of(node))).collect()
    }

    /// What all journals together say of membership.
    pub fn all_words(&self) -> Heard {
        let mut all = Heard::default();
        self.books.values().chain(&self.forged).for_each(|book| all.merge(&book.words));
        all
    }
}
