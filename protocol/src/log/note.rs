//! Signed notes (C2SP signed-note): text, and lines that each carry one key's signature over it.
//!
//! A note's text means nothing until a signature by a key that the reader already trusts was checked.

use crate::key::{PublicKey, SecretKey, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The most bytes of a note (128 KiB). The specification wants room for 16 signatures of nearly 5 KiB each; more than that
/// and a peer could have us hold it for nothing. A larger note is refused.
pub const NOTE_BYTES_MAX: usize = 128 << 10;

/// The most signatures of a note. The specification wants at least 16; each one that names a known key costs a check of
/// 50 µs. A note with more is refused.
pub const SIGNATURES_MAX: usize = 64;

/// The mark before each signature line: em dash, space.
const MARK: &str = "— ";

/// Why text is not a note, or not one by a known key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`NOTE_BYTES_MAX`] bytes.
    #[error("a note of {0} bytes, more than {NOTE_BYTES_MAX}")]
    TooLarge(usize),
    /// Not UTF-8, a control character other than a line feed, no line feed at the end, or no blank line before the signatures.
    #[error("malformed note: {0}")]
    Malformed(&'static str),
    /// A line after the blank one that is no signature line.
    #[error("malformed signature line (want em dash, key name and base64)")]
    SignatureLine,
    /// More than [`SIGNATURES_MAX`] signatures.
    #[error("more than {SIGNATURES_MAX} signatures on a note")]
    TooManySignatures,
    /// Empty, or with a space, a plus or a control character.
    #[error("not a key name (want text without spaces and plus signs)")]
    KeyName,
    /// Not a verifier key of a kind that we know, or its id is not its key's.
    #[error("not a verifier key (want name+id+key)")]
    VerifierKey,
    /// No line names this key.
    #[error("not signed by {0}")]
    NotSigned(String),
    /// A line names this key, but the signature is not its.
    #[error("the signature in the name of {0} does not verify")]
    BadSignature(String),
}

/// A key's name: not empty, no Unicode space, no plus sign, no control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::KeyName`].
    pub fn parse(name: &str) -> Result<Self, Error> {
        let plain = |c: char| !c.is_whitespace() && c != '+' && c >= ' ';
        if name.is_empty() || name.len() > NOTE_BYTES_MAX || !name.chars().all(plain) {
            return Err(Error::KeyName);
        }
        Ok(KeyName(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key's signatures cover and how they are written; the number is the specification's signature type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The note's text, 64 bytes.
    Ed25519 = 0x01,
    /// A time and the note's text, 8 + 64 bytes (C2SP tlog-cosignature, version 1).
    Cosignature = 0x04,
}

/// A key that may have signed a note: name, kind and Ed25519 key, and the id that follows from them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteKey {
    name: KeyName,
    kind: Kind,
    key: PublicKey,
    id: [u8; 4],
}

impl NoteKey {
    /// The key of this name and kind. Its id is the first four bytes of `SHA-256(name ‖ 0A ‖ kind ‖ key)`.
    pub fn new(name: KeyName, kind: Kind, key: PublicKey) -> Self {
        let digest = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', kind as u8])
            .chain_update(key.bytes())
            .finalize();
        let id = *digest.first_chunk().expect("a digest has 32 bytes");
        NoteKey { name, kind, key, id }
    }

    /// The name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What its signatures cover.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The Ed25519 key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The id in its signature lines.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The verifier key, `name+id+key`, which other tools take.
    pub fn vkey(&self) -> String {
        let mut material = vec![self.kind as u8];
        material.extend_from_slice(self.key.bytes());
        format!("{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(material))
    }

    /// Reads a verifier key of an Ed25519 key or cosigner.
    ///
    /// # Errors
    /// [`Error::VerifierKey`].
    pub fn from_vkey(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(Error::VerifierKey);
        let (name, id, material) = (part()?, part()?, part()?);
        let name = KeyName::parse(name).map_err(|_| Error::VerifierKey)?;
        let material = STANDARD.decode(material).map_err(|_| Error::VerifierKey)?;
        let (kind, key) = material.split_first().ok_or(Error::VerifierKey)?;
        let kind = match kind {
            0x01 => Kind::Ed25519,
            0x04 => Kind::Cosignature,
            _ => return Err(Error::VerifierKey),
        };
        let key = key.try_into().map_err(|_| Error::VerifierKey)?;
        let key = PublicKey::checked(key).map_err(|_| Error::VerifierKey)?;
        let parsed = NoteKey::new(name, kind, key);
        if hex::encode(parsed.id) == id { Ok(parsed) } else { Err(Error::VerifierKey) }
    }
}

/// One signature line: whose it says it is, and the bytes, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: KeyName,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl SignatureLine {
    /// The line for a signature that the caller made with `key`.
    pub(super) fn new(key: &NoteKey, bytes: Vec<u8>) -> Self {
        SignatureLine { name: key.name.clone(), id: key.id, bytes }
    }

    /// Reads one line, without its line feed.
    ///
    /// # Errors
    /// [`Error::SignatureLine`] or [`Error::TooLarge`].
    pub fn parse(line: &str) -> Result<Self, Error> {
        if line.len() > NOTE_BYTES_MAX {
            return Err(Error::TooLarge(line.len()));
        }
        let rest = line.strip_prefix(MARK).ok_or(Error::SignatureLine)?;
        let (name, encoded) = rest.split_once(' ').ok_or(Error::SignatureLine)?;
        let name = KeyName::parse(name).map_err(|_| Error::SignatureLine)?;
        let decoded = STANDARD.decode(encoded).map_err(|_| Error::SignatureLine)?;
        match decoded.split_first_chunk() {
            Some((id, bytes)) if !bytes.is_empty() => {
                Ok(SignatureLine { name, id: *id, bytes: bytes.to_vec() })
            }
            _ => Err(Error::SignatureLine),
        }
    }

    /// The name of the key that is said to have signed.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The id of the key that is said to have signed.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The signature's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the line is in the name of `key`.
    pub fn names(&self, key: &NoteKey) -> bool {
        self.id == key.id && self.name == key.name
    }
}

impl fmt::Display for SignatureLine {
    /// Writes the line without its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut signature = self.id.to_vec();
        signature.extend_from_slice(&self.bytes);
        write!(f, "{MARK}{} {}", self.name, STANDARD.encode(signature))
    }
}

/// A note as it was read or made: well-formed, with at least one signature line, none of them checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Signs a text with an Ed25519 key under a name.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Malformed`].
    pub fn sign(text: &str, name: &KeyName, secret: &SecretKey) -> Result<Self, Error> {
        let key = NoteKey::new(name.clone(), Kind::Ed25519, secret.public());
        let signature = secret.sign(text.as_bytes());
        Note::from_parts(text, SignatureLine::new(&key, signature.0.to_vec()))
    }

    /// A note of one signature line.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Malformed`].
    pub(super) fn from_parts(text: &str, line: SignatureLine) -> Result<Self, Error> {
        check_text(text)?;
        if !text.ends_with('\n') {
            return Err(Error::Malformed("no line feed at the end of the text"));
        }
        Note { text: text.to_owned(), signatures: Vec::new() }.with(line)
    }

    /// Reads a note: the text up to the last blank line, then one signature a line.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`], [`Error::SignatureLine`] or [`Error::TooManySignatures`].
    pub fn parse(note: &str) -> Result<Self, Error> {
        check_text(note)?;
        let blank = note.rfind("\n\n").ok_or(Error::Malformed("no blank line before the signatures"))?;
        let (text, lines) = (&note[..=blank], &note[blank + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(Error::Malformed("no line feed at the end"))?;
        if lines.bytes().filter(|b| *b == b'\n').count() >= SIGNATURES_MAX {
            return Err(Error::TooManySignatures);
        }
        Ok(Note {
            text: text.to_owned(),
            signatures: lines.split('\n').map(SignatureLine::parse).collect::<Result<_, _>>()?,
        })
    }

    /// Reads a note from bytes of unknown origin.
    ///
    /// # Errors
    /// As [`Note::parse`].
    pub fn parse_bytes(note: &[u8]) -> Result<Self, Error> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(Error::TooLarge(note.len()));
        }
        Note::parse(str::from_utf8(note).map_err(|_| Error::Malformed("not UTF-8"))?)
    }

    /// The note with one more signature line at its end.
    ///
    /// # Errors
    /// [`Error::TooManySignatures`] or [`Error::TooLarge`].
    pub fn with(mut self, line: SignatureLine) -> Result<Self, Error> {
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(Error::TooManySignatures);
        }
        self.signatures.push(line);
        match self.to_string().len() {
            len if len > NOTE_BYTES_MAX => Err(Error::TooLarge(len)),
            _ => Ok(self),
        }
    }

    /// The text with its last line feed. It means nothing before [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, unchecked.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Checks that `key`, of kind Ed25519, signed the text. Lines by other keys are ignored.
    ///
    /// # Errors
    /// [`Error::NotSigned`] when no line names the key, [`Error::BadSignature`] when one does and does not verify.
    pub fn verify(&self, key: &NoteKey) -> Result<Signature, Error> {
        let bad = || Error::BadSignature(key.name.to_string());
        let mut found = None;
        for line in self.signatures.iter().filter(|line| line.names(key)) {
            if key.kind != Kind::Ed25519 {
                return Err(bad());
            }
            let signature = Signature(line.bytes().try_into().map_err(|_| bad())?);
            key.key.verify(self.text.as_bytes(), &signature).map_err(|_| bad())?;
            found = Some(signature);
        }
        found.ok_or_else(|| Error::NotSigned(key.name.to_string()))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Checks size and characters of a note or of its text.
fn check_text(text: &str) -> Result<(), Error> {
    if text.len() > NOTE_BYTES_MAX {
        return Err(Error::TooLarge(text.len()));
    }
    if text.bytes().any(|b| b < b' ' && b != b'\n') {
        return Err(Error::Malformed("a control character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example.
    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    fn key() -> NoteKey {
        NoteKey::from_vkey(VKEY).expect("the specification's key")
    }

    fn name() -> KeyName {
        KeyName::parse("artel/test").expect("a plain name")
    }

    #[test]
    fn the_specifications_example_verifies() {
        let note = Note::parse(NOTE).expect("the specification's note");
        assert_eq!(note.text(), "This is an example message.\n");
        assert!(note.verify(&key()).is_ok());
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(key().vkey(), VKEY);
    }

    #[test]
    fn malformed_notes_are_refused() {
        let line = NOTE.lines().last().expect("the signature");
        for bad in [
            "",
            "\n",
            "\n\n",
            "text\n",
            "text\n\n",
            &format!("text\n{line}\n"),
            &format!("text\n\n{line}"),
            &format!("text\n\n{line}\n\n"),
            &format!("text\n\n{line} \n"),
            &format!("te\txt\n\n{line}\n"),
            &format!("text\r\n\n{line}\n"),
            &format!("text\n\n{line}\nmore\n"),
            "text\n\n- a AAAAAAA=\n",
            "text\n\n—  AAAAAAA=\n",
            "text\n\n— a AAAAAA==\n",
            "text\n\n— a AAAAAAB=\n",
            "text\n\n— a AAAAAAA\n",
            "text\n\n— a+b AAAAAAA=\n",
            "text\n\n— a\u{a0}b AAAAAAA=\n",
        ] {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Note::parse("text\n\n— a AAAAAAA=\n").is_ok());
        assert!(Note::parse_bytes(b"t\xff\n\n\xe2\x80\x94 a AAAAAAA=\n").is_err());
    }

    #[test]
    fn the_text_ends_at_the_last_blank_line() {
        let secret = SecretKey::from_seed(&[1; 32]);
        for text in ["\n", "a\n", "a\n\nb\n", "a\n\n", "— a AAAAAAA=\n\nx\n"] {
            let note = Note::sign(text, &name(), &secret).expect("well-formed");
            let read = Note::parse(&note.to_string()).expect("we wrote it");
            assert_eq!((read.text(), &read), (text, &note));
        }
        for text in ["", "a", "a\n\u{7}\n"] {
            assert!(Note::sign(text, &name(), &secret).is_err(), "{text:?}");
        }
    }

    #[test]
    fn unknown_signatures_are_ignored_and_known_wrong_ones_are_not() {
        let (ours, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let key = NoteKey::new(name(), Kind::Ed25519, ours.public());
        let by_other = Note::sign("text\n", &name(), &other).expect("well-formed");
        assert_eq!(by_other.verify(&key), Err(Error::NotSigned("artel/test".into())));

        let line = SignatureLine::new(&key, ours.sign(b"text\n").0.to_vec());
        let both = by_other.clone().with(line).expect("two signatures");
        assert!(both.verify(&key).is_ok());

        for bytes in [ours.sign(b"other\n").0.to_vec(), vec![0; 63]] {
            let wrong = both.clone().with(SignatureLine::new(&key, bytes)).expect("three");
            assert_eq!(wrong.verify(&key), Err(Error::BadSignature("artel/test".into())));
        }
    }

    #[test]
    fn size_and_signatures_are_bounded() {
        let line = "— a AAAAAAA=\n";
        assert!(Note::parse(&format!("t\n\n{}", line.repeat(SIGNATURES_MAX))).is_ok());
        assert_eq!(
            Note::parse(&format!("t\n\n{}", line.repeat(SIGNATURES_MAX + 1))),
            Err(Error::TooManySignatures)
        );
        let long = format!("{}\n\n{line}", "t".repeat(NOTE_BYTES_MAX));
        assert!(matches!(Note::parse(&long), Err(Error::TooLarge(_))));
    }

    #[test]
    fn a_verifier_key_must_bear_its_own_id() {
        for bad in [
            "",
            "a+b",
            &VKEY.replace("530d903a", "530d903b"),
            &VKEY.replace("530d903a", "530D903A"),
            &VKEY.replace("AekyeR", "AukyeR"),
            &VKEY[..VKEY.len() - 4],
        ] {
            assert_eq!(NoteKey::from_vkey(bad), Err(Error::VerifierKey), "{bad}");
        }
    }
}
