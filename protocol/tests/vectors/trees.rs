//! Vectors of leaves, trees, their proofs, and tiles. Leaf number i of the trees is the eight big-endian bytes of i.

use super::{bytes, file, number, rows, text};
use artel_protocol::log::tile::{self, Content};
use artel_protocol::log::tree::{self, leaf_hash};
use artel_protocol::log::{Class, CompactRange, Hash, Leaf, Subtree, Tile};
use artel_protocol::log::{consistency, inclusion, range, subset};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SIZES: [u64; 11] = [32, 63, 64, 65, 255, 256, 257, 1_000, 4_095, 65_536, 70_000];

pub fn hashes(size: u64) -> Vec<Hash> {
    (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

pub fn root(leaves: &[Hash]) -> Hash {
    tree::root_of(leaves)
}

/// Reads complete subtrees of the trees here.
pub fn reader(leaves: &[Hash]) -> impl Fn(Subtree) -> Result<Hash, tree::Error> {
    |at| {
        let start = (at.index << at.level) as usize;
        Ok(tree::root_of(&leaves[start..start + (1 << at.level)]))
    }
}

fn base64(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}

fn hash(row: &Value, key: &str) -> Hash {
    Hash::from_base64(text(row, key)).expect("a hash in base64")
}

fn proof(row: &Value) -> Vec<Hash> {
    let lines = row["proof"].as_array().expect("a list of hashes");
    lines.iter().map(|l| Hash::from_base64(l.as_str().expect("text")).expect("a hash")).collect()
}

pub fn leaf() -> Value {
    let row = |class: Class, public_seq: u64, salt: u8, body: &[u8]| {
        let leaf = Leaf::commit(class, public_seq, &[salt; 16], body);
        json!({
            "class": class as u8,
            "public_seq": public_seq.to_string(),
            "salt": hex::encode([salt; 16]),
            "body": hex::encode(body),
            "leaf": hex::encode(leaf.to_bytes()),
            "hash": leaf.hash().to_string(),
        })
    };
    let good = Leaf::commit(Class::Public, 0, &[0; 16], b"").to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bad = good;
        bad[at] = byte;
        hex::encode(bad)
    };
    json!({
        "leaves": [
            row(Class::Private, 0, 0, b""),
            row(Class::Public, 0, 0, b""),
            row(Class::Public, 1, 1, b"body"),
            row(Class::Private, 0x0102_0304_0506_0708, 2, b"body"),
            row(Class::Public, u64::MAX, 255, &[0xff; 100]),
        ],
        "refused": [
            "", with(0, 0), with(0, 2), with(1, 2), with(1, 255), hex::encode(&good[..41]),
            format!("{}00", hex::encode(good)),
        ],
    })
}

pub fn tree() -> Value {
    let mut all = CompactRange::new();
    let mut roots = Vec::new();
    for i in 0..=70_000u64 {
        if i <= 20 || SIZES.contains(&i) {
            roots.push(json!({"size": i, "root": all.root().to_string(), "peaks": base64(all.peaks())}));
        }
        all.append(leaf_hash(&i.to_be_bytes()));
    }
    json!({
        "about": "leaf number i of every tree is the eight big-endian bytes of i; peaks are the largest first",
        "roots": roots,
    })
}

pub fn inclusion() -> Value {
    let mut proofs = Vec::new();
    for (index, size) in
        [(0, 1), (0, 2), (1, 2), (2, 3), (0, 7), (6, 7), (5, 8), (10, 11), (0, 20), (16, 20), (999, 1_000)]
    {
        let leaves = hashes(size);
        let proof = inclusion::prove(index, size, reader(&leaves)).expect("within the tree");
        proofs.push(json!({
            "index": index, "size": size, "leaf": leaves[index as usize].to_string(),
            "proof": base64(&proof), "root": root(&leaves).to_string(),
        }));
    }
    json!({"about": "the leaf's sibling first; leaves as in tree.json", "proofs": proofs})
}

pub fn consistency() -> Value {
    let mut proofs = Vec::new();
    for (old, new) in
        [(0, 5), (1, 1), (1, 2), (2, 3), (3, 7), (4, 7), (6, 7), (6, 8), (8, 20), (13, 20), (257, 1_000)]
    {
        let leaves = hashes(new);
        let proof = consistency::prove(old, new, reader(&leaves)).expect("not shrunk");
        proofs.push(json!({
            "old": old, "old_root": root(&leaves[..old as usize]).to_string(),
            "new": new, "new_root": root(&leaves).to_string(), "proof": base64(&proof),
        }));
    }
    json!({"about": "leaves as in tree.json", "proofs": proofs})
}

pub fn range() -> Value {
    let mut proofs = Vec::new();
    for (start, end, size) in
        [(0, 1, 1), (0, 7, 7), (1, 3, 7), (2, 4, 8), (5, 6, 11), (3, 19, 20), (100, 300, 1_000)]
    {
        let leaves = hashes(size);
        let proof = range::prove(start, end, size, reader(&leaves)).expect("within the tree");
        proofs.push(json!({
            "start": start, "end": end, "size": size,
            "proof": base64(&proof), "root": root(&leaves).to_string(),
        }));
    }
    json!({"about": "hashes from left to right; leaves as in tree.json", "proofs": proofs})
}

/// Sets of positions in a tree of this size: the first, the outermost, every second, every third and one without the rest.
fn sets(size: u64) -> BTreeSet<Vec<u64>> {
    let each = |step: usize, from: u64| (from..size).step_by(step).collect::<Vec<u64>>();
    let mut outermost = vec![0, size - 1];
    outermost.dedup();
    let scattered = (0..size).filter(|at| at.is_power_of_two()).collect::<Vec<u64>>();
    let sets = [outermost, each(2, 0), each(3, 1), scattered];
    sets.into_iter().filter(|set| !set.is_empty()).collect()
}

pub fn subset() -> Value {
    let row = |positions: &[u64], size: u64| {
        let leaves = hashes(size);
        let proof = subset::prove(positions, size, reader(&leaves)).expect("within the tree");
        json!({
            "size": size, "positions": positions, "proof": base64(&proof), "root": root(&leaves).to_string(),
        })
    };
    let mut proofs = Vec::new();
    for size in 1..=20 {
        proofs.extend(sets(size).iter().map(|set| row(set, size)));
    }
    let thirties: Vec<u64> = (100..130).chain([999]).collect();
    for (positions, size) in [
        (vec![0, 63], 64),
        (vec![5, 6, 7, 8, 200], 255),
        (vec![0, 256], 257),
        (vec![255, 256], 257),
        ((0..1_000).step_by(100).collect(), 1_000),
        (thirties, 1_000),
        (vec![0, 65_535, 65_536, 69_999], 70_000),
    ] {
        proofs.push(row(&positions, size));
    }

    let leaves = hashes(13);
    let (whole, good) =
        (root(&leaves), subset::prove(&[1, 5, 6], 13, reader(&leaves)).expect("within the tree"));
    let refused = |about: &str, placed: &[(u64, u64)], size: u64, proof: &[Hash], root: Hash| {
        let (positions, held): (Vec<u64>, Vec<String>) =
            placed.iter().map(|(at, leaf)| (*at, leaves[*leaf as usize].to_string())).unzip();
        json!({
            "about": about, "size": size, "positions": positions, "leaves": held, "proof": base64(proof),
            "root": root.to_string(),
        })
    };
    let placed = [(1, 1), (5, 5), (6, 6)];
    let mut exchanged = good.clone();
    exchanged.swap(0, 1);
    json!({
        "about": "positions ascend, each once; hashes from left to right; leaves as in tree.json, and where a row is refused \
            those that are claimed",
        "proofs": proofs,
        "refused": [
            refused("no position", &[], 13, &[whole], whole),
            refused("descending", &[(6, 6), (5, 5), (1, 1)], 13, &good, whole),
            refused("one twice", &[(1, 1), (5, 5), (5, 5), (6, 6)], 13, &good, whole),
            refused("outside", &[(1, 1), (5, 5), (13, 6)], 13, &good, whole),
            refused("in the empty tree", &[(0, 0)], 0, &[], Hash::EMPTY_ROOT),
            refused("a tree larger than any", &[(0, 0)], (1 << 62) + 1, &[whole; 63], whole),
            refused("a hash too few", &placed, 13, &good[..good.len() - 1], whole),
            refused("a hash too many", &placed, 13, &[&good[..], &[whole]].concat(), whole),
            refused("two hashes exchanged", &placed, 13, &exchanged, whole),
            refused("another leaf", &[(1, 1), (5, 5), (6, 7)], 13, &good, whole),
            refused("one leaf moved", &[(1, 1), (4, 5), (6, 6)], 13, &good, whole),
            refused("two leaves exchanged", &[(1, 5), (5, 1), (6, 6)], 13, &good, whole),
            refused("a tree of half the height", &placed, 8, &good, whole),
            refused("another root", &placed, 13, &good, root(&leaves[..12])),
        ],
    })
}

pub fn tile() -> Value {
    let path = |tile: Tile| {
        let level = match tile.content() {
            Content::Entries => json!("entries"),
            Content::Hashes { level } => json!(level),
        };
        json!({"path": tile.to_string(), "level": level, "index": tile.index(), "width": tile.width()})
    };
    let tile = |content, index, width| Tile::new(content, index, width).expect("a tile");
    let hashes_at = |level| Content::Hashes { level };
    let paths: Vec<Value> = [
        tile(hashes_at(0), 0, 256),
        tile(hashes_at(0), 5, 1),
        tile(hashes_at(1), 999, 255),
        tile(hashes_at(0), 1_000, 256),
        tile(hashes_at(2), 1_234_067, 112),
        tile(Content::Entries, 1_234_067, 256),
        tile(Content::Entries, 0, 3),
    ]
    .map(path)
    .into();
    let mut bundle = Vec::new();
    for entry in [&b"one"[..], b"", b"three"] {
        tile::append_entry(entry, &mut bundle).expect("short");
    }
    json!({
        "paths": paths,
        "refused_paths": [
            "tile/0/0", "tile/0/x000/001", "tile/00/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
            "tile/0/001/000", "tile/data/000", "/tile/0/000", "tile/entries/", "tile/0/x001/", "tile/64/000",
        ],
        "bundles": [{
            "width": 3,
            "entries": [hex::encode("one"), "".to_owned(), hex::encode("three")],
            "bytes": hex::encode(&bundle),
        }],
        "refused_bundles_of_3": [
            "", hex::encode(&bundle[..bundle.len() - 1]), hex::encode(&bundle[..7]),
            format!("{}00", hex::encode(&bundle)), format!("{}0000", hex::encode(&bundle)),
        ],
    })
}

#[test]
fn leaves_read_and_open() {
    let file = file("leaf");
    for row in rows(&file, "leaves") {
        let leaf = Leaf::parse(&bytes(row, "leaf")).expect("a leaf");
        let salt = bytes(row, "salt").try_into().expect("16 bytes");
        assert!(leaf.opens_with(&salt, &bytes(row, "body")));
        assert_eq!(leaf.public_seq().to_string(), text(row, "public_seq"));
        assert_eq!(u64::from(leaf.class() as u8), number(row, "class"));
        assert_eq!(leaf.hash(), hash(row, "hash"));
    }
    for row in rows(&file, "refused") {
        let bytes = hex::decode(row.as_str().expect("text")).expect("hex");
        assert!(Leaf::parse(&bytes).is_err(), "{row}");
    }
}

#[test]
fn proofs_verify() {
    for row in rows(&file("inclusion"), "proofs") {
        let (index, size) = (number(row, "index"), number(row, "size"));
        let held = inclusion::verify(&hash(row, "leaf"), index, size, &proof(row), &hash(row, "root"));
        assert_eq!(held, Ok(()), "{row}");
    }
    for row in rows(&file("consistency"), "proofs") {
        let (old, new) = (number(row, "old"), number(row, "new"));
        let held = consistency::verify(old, &hash(row, "old_root"), new, &hash(row, "new_root"), &proof(row));
        assert_eq!(held, Ok(()), "{row}");
    }
    for row in rows(&file("range"), "proofs") {
        let (start, end, size) = (number(row, "start"), number(row, "end"), number(row, "size"));
        let leaves = &hashes(end)[start as usize..];
        let held = range::verify(start, leaves, size, &proof(row), &hash(row, "root"));
        assert_eq!(held, Ok(()), "{row}");
    }
}

#[test]
fn proofs_of_subsets_verify_and_hold_those_of_each_leaf() {
    let positions = |row: &Value| -> Vec<u64> {
        let list = row["positions"].as_array().expect("a list of numbers");
        list.iter().map(|at| at.as_u64().expect("a number")).collect()
    };
    let file = file("subset");
    for row in rows(&file, "proofs") {
        let (size, whole) = (number(row, "size"), hash(row, "root"));
        let placed: Vec<(u64, Hash)> =
            positions(row).into_iter().map(|at| (at, leaf_hash(&at.to_be_bytes()))).collect();
        assert_eq!(subset::verify(&placed, size, &proof(row), &whole), Ok(()), "{row}");
        for (at, leaf) in &placed {
            let path = subset::inclusion_of(*at, &placed, size, &proof(row)).expect("it is one of them");
            assert_eq!(inclusion::verify(leaf, *at, size, &path, &whole), Ok(()), "{at} of {row}");
        }
    }
    for row in rows(&file, "refused") {
        let leaves = row["leaves"].as_array().expect("a list of hashes").iter();
        let leaves = leaves.map(|l| Hash::from_base64(l.as_str().expect("text")).expect("a hash"));
        let placed: Vec<(u64, Hash)> = positions(row).into_iter().zip(leaves).collect();
        let held = subset::verify(&placed, number(row, "size"), &proof(row), &hash(row, "root"));
        assert!(held.is_err(), "{row}");
    }
}

#[test]
fn a_tree_goes_on_from_every_row_of_peaks() {
    let file = file("tree");
    let rows = rows(&file, "roots");
    for (row, next) in rows.iter().zip(&rows[1..]) {
        let peaks: Vec<Hash> = row["peaks"]
            .as_array()
            .expect("a list of hashes")
            .iter()
            .map(|p| Hash::from_base64(p.as_str().expect("text")).expect("a hash"))
            .collect();
        let mut range = CompactRange::from_peaks(number(row, "size"), &peaks).expect("a peak for each bit");
        assert_eq!(range.root(), hash(row, "root"));
        for i in range.size()..number(next, "size") {
            range.append(leaf_hash(&i.to_be_bytes()));
        }
        assert_eq!(range.root(), hash(next, "root"));
    }
}

#[test]
fn tiles_read() {
    let file = file("tile");
    for row in rows(&file, "paths") {
        let tile = Tile::parse(text(row, "path")).expect("a path");
        assert_eq!((tile.index(), u64::from(tile.width())), (number(row, "index"), number(row, "width")));
    }
    for path in rows(&file, "refused_paths") {
        assert!(Tile::parse(path.as_str().expect("text")).is_err(), "{path}");
    }
    let bundle = Tile::new(Content::Entries, 0, 3).expect("a tile");
    for row in rows(&file, "bundles") {
        let held = bytes(row, "bytes");
        let entries = bundle.read_entries(&held).expect("a bundle");
        let expected: Vec<String> = entries.iter().map(hex::encode).collect();
        assert_eq!(json!(expected), row["entries"]);
    }
    for row in rows(&file, "refused_bundles_of_3") {
        let bytes = hex::decode(row.as_str().expect("text")).expect("hex");
        assert!(bundle.read_entries(&bytes).is_err(), "{row}");
    }
}
