//! Data keys: the ring in `data.key`, and the sealing of bodies and states under one of its keys.
//!
//! A sealed thing names its key, so that taking a key off the ring erases what only it opens, in backups too. A key never
//! appears in an error, a log or a journal.

use crate::error::Error;
use crate::files::{self, Files};
use artel_protocol::id::Digest;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use chacha20::{R20, hchacha};
use rand::Rng;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// The file with the data keys.
pub const DATA_KEY_FILE: &str = "data.key";

/// The first line of that file: its name and its version.
const HEAD: &str = "artel data keys 1";

/// The most keys in a ring. It is read into memory and searched by id; a key an erased subject is far below this.
pub const KEYS_MAX: usize = 100_000;

/// The most bytes of `data.key`: a line has about 110 bytes.
const FILE_BYTES_MAX: u64 = 128 * KEYS_MAX as u64;

/// The bytes of a nonce: random, and long enough that two never meet.
pub const NONCE_BYTES: usize = 24;

/// The bytes that sealing adds behind the text.
pub const TAG_BYTES: usize = 16;

/// Names a data key. 0 stands for "in the clear" and is never a key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// Why a ring cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The first line is another one.
    #[error("does not begin with \"{HEAD}\"")]
    Head,
    /// A line is not what was written.
    #[error("line {0} is damaged")]
    Line(usize),
    /// No key is active, or more than one.
    #[error("{0} keys are active, it must be one")]
    Active(usize),
    /// More than [`KEYS_MAX`] keys.
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
}

struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// XChaCha20-Poly1305 under a nonce, as draft-irtf-cfrg-xchacha-03 makes it: ChaCha20-Poly1305 (RFC 8439) under the key
    /// that HChaCha20 makes of the nonce's first 16 bytes, with four zeros and the other eight as its nonce.
    fn cipher(&self, nonce: &[u8; NONCE_BYTES]) -> (LessSafeKey, Nonce) {
        let (first, last) = nonce.split_first_chunk::<16>().expect("16 of 24 bytes");
        let subkey = Zeroizing::new(<[u8; 32]>::from(hchacha::<R20>((&*self.0).into(), first.into())));
        let key = UnboundKey::new(&CHACHA20_POLY1305, &*subkey).expect("a key of 32 bytes");
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(last);
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
    }
}

/// The data keys that this node holds, one of them active: new things are sealed under it.
pub struct KeyRing {
    keys: BTreeMap<KeyId, DataKey>,
    active: KeyId,
}

impl KeyRing {
    /// A ring of one new key.
    pub fn generate(entropy: &mut dyn Rng) -> Self {
        let mut ring = KeyRing::empty();
        ring.rotate(entropy);
        ring
    }

    /// A ring that opens nothing, for reading what is public.
    pub(crate) fn empty() -> Self {
        KeyRing { keys: BTreeMap::new(), active: KeyId(0) }
    }

    /// Adds a new key, makes it the active one and names it.
    ///
    /// # Panics
    /// After 2^32 rotations.
    pub fn rotate(&mut self, entropy: &mut dyn Rng) -> KeyId {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill_bytes(&mut *bytes);
        let last = self.keys.keys().next_back().map_or(0, |id| id.0);
        self.active = KeyId(last.checked_add(1).expect("nobody rotates keys 2^32 times"));
        self.keys.insert(self.active, DataKey(bytes));
        self.active
    }

    /// Takes a key off the ring: what is sealed under it can never be opened again. False for the active key, which must
    /// be rotated first, and for one that is not there.
    pub fn erase(&mut self, id: KeyId) -> bool {
        id != self.active && self.keys.remove(&id).is_some()
    }

    /// The key under which new things are sealed.
    pub fn active(&self) -> KeyId {
        self.active
    }

    /// Whether the ring holds this key.
    pub fn holds(&self, id: KeyId) -> bool {
        self.keys.contains_key(&id)
    }

    /// The ring as text: the head line, then a line a key, `<id> <active|old> <64 hex digits> <check>`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("{HEAD}\n"));
        for (id, key) in &self.keys {
            let state = if *id == self.active { "active" } else { "old" };
            let hex = Zeroizing::new(hex::encode(*key.0));
            let line = Zeroizing::new(format!("{} {state} {}", id.0, *hex));
            text.push_str(&line);
            text.push(' ');
            text.push_str(&check(&line));
            text.push('\n');
        }
        text
    }

    /// Reads a ring's text.
    ///
    /// # Errors
    /// [`RingError`], each case as it says; one changed character is always found.
    pub fn from_text(text: &str) -> Result<Self, RingError> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) || !text.ends_with('\n') {
            return Err(RingError::Head);
        }
        let mut keys = BTreeMap::new();
        let mut active = Vec::new();
        for (at, line) in lines.enumerate() {
            let bad = || RingError::Line(at + 2);
            let (line, found) = line.rsplit_once(' ').ok_or_else(bad)?;
            let parts: Vec<&str> = line.split(' ').collect();
            let [id, state, hex] = parts[..] else {
                return Err(bad());
            };
            let id = KeyId(id.parse().map_err(|_| bad())?);
            let mut bytes = Zeroizing::new([0; 32]);
            hex::decode_to_slice(hex, &mut *bytes).map_err(|_| bad())?;
            let known_state = state == "active" || state == "old";
            if check(line) != found || id.0 == 0 || !known_state {
                return Err(bad());
            }
            if state == "active" {
                active.push(id);
            }
            if keys.insert(id, DataKey(bytes)).is_some() {
                return Err(bad());
            }
            if keys.len() > KEYS_MAX {
                return Err(RingError::TooMany);
            }
        }
        match active[..] {
            [active] => Ok(KeyRing { keys, active }),
            _ => Err(RingError::Active(active.len())),
        }
    }

    /// Reads `data.key`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Damaged`] when others may read it or it is not what was written.
    pub fn load(files: &dyn Files) -> Result<Self, Error> {
        let mode = files.mode(DATA_KEY_FILE).map_err(Error::io(DATA_KEY_FILE, "look at"))?;
        if mode & 0o077 != 0 {
            return Err(Error::Damaged {
                file: DATA_KEY_FILE.into(),
                what: format!("its mode is {mode:03o}, so others can read the data keys"),
                help: "set it to 600, and rotate the data key if somebody else may have read it",
            });
        }
        let bytes = files::read_whole(files, DATA_KEY_FILE, FILE_BYTES_MAX)
            .map_err(Error::io(DATA_KEY_FILE, "read"))?;
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).map_err(|_| Error::damaged(DATA_KEY_FILE, "not text"))?;
        Self::from_text(text).map_err(|e| Error::damaged(DATA_KEY_FILE, e.to_string()))
    }

    /// Writes `data.key`, whole and durable or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn store(&self, files: &dyn Files) -> Result<(), Error> {
        files::replace(files, DATA_KEY_FILE, self.to_text().as_bytes())
            .map_err(Error::io(DATA_KEY_FILE, "write"))
    }

    /// Seals a value that stands by itself: `key id u32 ‖ nonce ‖ sealed value`. The context says what it is and where it
    /// stands; it opens nowhere else.
    pub fn seal_value(&self, entropy: &mut dyn Rng, context: &[u8], value: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill_bytes(&mut nonce);
        let mut out = Vec::with_capacity(4 + NONCE_BYTES + value.len() + TAG_BYTES);
        out.extend_from_slice(&self.active.0.to_le_bytes());
        out.extend_from_slice(&nonce);
        let from = out.len();
        out.extend_from_slice(value);
        self.seal(&nonce, context, &mut out, from);
        out
    }

    /// Opens what [`KeyRing::seal_value`] made. `None` without the key or when anything was changed.
    pub fn open_value(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = sealed.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        self.open(KeyId(u32::from_le_bytes(*id)), nonce, context, sealed)
    }

    /// Seals `out[from..]` in place under the active key and appends the tag.
    pub(crate) fn seal(&self, nonce: &[u8; NONCE_BYTES], context: &[u8], out: &mut Vec<u8>, from: usize) {
        let (key, nonce) = self.keys[&self.active].cipher(nonce);
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(context), &mut out[from..])
            .expect("frames and states are far below the cipher's limit of 256 GiB");
        out.extend_from_slice(tag.as_ref());
    }

    /// Opens what [`KeyRing::seal`] made. `None` without the key or when anything was changed.
    pub(crate) fn open(
        &self,
        id: KeyId,
        nonce: &[u8; NONCE_BYTES],
        context: &[u8],
        sealed: &[u8],
    ) -> Option<Vec<u8>> {
        let mut text = sealed.to_vec();
        self.open_in_place(id, nonce, context, &mut text)?;
        Some(text)
    }

    /// The same in the place of what is sealed, which says nothing any more where the answer is `None`.
    pub(crate) fn open_in_place(
        &self,
        id: KeyId,
        nonce: &[u8; NONCE_BYTES],
        context: &[u8],
        text: &mut Vec<u8>,
    ) -> Option<()> {
        let (key, nonce) = self.keys.get(&id)?.cipher(nonce);
        let bytes = key.open_in_place(nonce, Aad::from(context), text).ok()?.len();
        text.truncate(bytes);
        Some(())
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, {} is active)", self.keys.len(), self.active.0)
    }
}

/// Eight hex digits that find a damaged line. They say nothing of the key to whoever does not hold it already.
fn check(line: &str) -> String {
    let digest = Digest::of(format!("artel/1/data-key-line {line}").as_bytes());
    digest.hex()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryDisk;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn ring() -> KeyRing {
        let mut entropy = StdRng::seed_from_u64(1);
        let mut ring = KeyRing::generate(&mut entropy);
        ring.rotate(&mut entropy);
        ring
    }

    #[test]
    fn a_ring_reads_back() {
        let disk = MemoryDisk::new();
        ring().store(&disk).expect("stored");
        let read = KeyRing::load(&disk).expect("loaded");
        assert_eq!(read.to_text(), ring().to_text());
        assert_eq!((read.active(), read.holds(KeyId(1))), (KeyId(2), true));
    }

    #[test]
    fn every_changed_character_is_found() {
        let text = ring().to_text();
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut changed = text.as_bytes().to_vec();
                changed[at] ^= 1 << bit;
                let changed = String::from_utf8(changed).expect("still ASCII");
                let same = KeyRing::from_text(&changed).is_ok_and(|r| r.to_text() == text);
                assert!(KeyRing::from_text(&changed).is_err() || same, "byte {at}, bit {bit}");
            }
        }
    }

    /// The example of draft-irtf-cfrg-xchacha-03, A.3.1.
    #[test]
    fn sealing_is_xchacha20_poly1305() {
        let key = DataKey(Zeroizing::new(std::array::from_fn(|i| 0x80 + i as u8)));
        let keys = KeyRing { keys: BTreeMap::from([(KeyId(1), key)]), active: KeyId(1) };
        let nonce: [u8; NONCE_BYTES] = std::array::from_fn(|i| 0x40 + i as u8);
        let context = hex::decode("50515253c0c1c2c3c4c5c6c7").expect("hex");
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let mut sealed = text.to_vec();
        keys.seal(&nonce, &context, &mut sealed, 0);
        let wanted = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
            ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c\
            97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49";
        assert_eq!(hex::encode(&sealed), wanted);
        assert_eq!(keys.open(KeyId(1), &nonce, &context, &sealed), Some(text.to_vec()));
        assert_eq!(keys.open(KeyId(1), &nonce, &context, &sealed[..TAG_BYTES - 1]), None);
    }

    #[test]
    fn nothing_opens_without_its_key_context_and_every_byte() {
        let mut keys = ring();
        let mut sealed = b"head".to_vec();
        sealed.extend_from_slice(b"body");
        keys.seal(&[3; 24], b"context", &mut sealed, 4);
        let sealed = &sealed[4..];
        assert_eq!(keys.open(KeyId(2), &[3; 24], b"context", sealed), Some(b"body".to_vec()));
        assert_eq!(keys.open(KeyId(1), &[3; 24], b"context", sealed), None);
        assert_eq!(keys.open(KeyId(2), &[4; 24], b"context", sealed), None);
        assert_eq!(keys.open(KeyId(2), &[3; 24], b"contexT", sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.open(KeyId(2), &[3; 24], b"context", &changed), None, "bit {bit}");
        }
        assert!(!keys.erase(KeyId(2)), "the active key stays");
        assert!(keys.erase(KeyId(1)) && !keys.holds(KeyId(1)));
    }

    #[test]
    fn keys_are_not_printed() {
        let text = ring().to_text();
        let key = text.lines().nth(1).and_then(|l| l.split(' ').nth(2)).expect("a key line");
        assert!(!format!("{:?}", ring()).contains(&key[..8]));
    }
}
