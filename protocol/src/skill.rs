//! Skills: what an agent can do, with a version. Over HTTP the seed's field name is `capabilities`.

use crate::codec::{Decode, Encode};
use bincode::de::Decoder;
use bincode::error::DecodeError;

/// The most characters in a skill's name. Longer names buy nothing and fill the matching index.
pub const SKILL_NAME_CHARS_MAX: usize = 64;

/// A skill, written `name` or `name@version`: a name of letters, digits, `-`, `_`, `.`, `/`, `+` and a whole version.
/// Version 0 means "any" in a requirement and "unversioned" in an agent's list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct Skill {
    name: String,
    version: u32,
}

/// Why text is not a skill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a skill: {0:?} (write name or name@version: letters, digits and -_./+, at most {SKILL_NAME_CHARS_MAX})"
)]
pub struct Error(String);

impl Skill {
    /// Reads `name` or `name@version`; the name is folded to lower case.
    ///
    /// # Errors
    /// [`Error`] when the name or the version is not of that form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = || Error(text.chars().take(80).collect());
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, version.parse::<u32>().map_err(|_| bad())?),
            None => (text, 0),
        };
        if !is_name(name) {
            return Err(bad());
        }
        Ok(Skill { name: name.to_ascii_lowercase(), version })
    }

    /// The name alone.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version, 0 where none is named.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether an agent that has this skill meets `requirement`: the same name, and a version at least as high.
    pub fn meets(&self, requirement: &Skill) -> bool {
        self.name == requirement.name && self.version >= requirement.version
    }
}

impl<C> Decode<C> for Skill {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let (name, version) = <(String, u32)>::decode(decoder)?;
        if !is_name(&name) || name.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(DecodeError::Other("not the name of a skill"));
        }
        Ok(Skill { name, version })
    }
}

bincode::impl_borrow_decode!(Skill);

/// Whether text can be a skill's name, in either case.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./+".contains(&b);
    (1..=SKILL_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain)
}

impl std::fmt::Display for Skill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version {
            0 => f.write_str(&self.name),
            v => write!(f, "{}@{v}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skills_read_and_print() {
        for (text, printed) in
            [("coding", "coding"), ("Coding@2", "coding@2"), ("c++", "c++"), ("a/b.c-d_e", "a/b.c-d_e")]
        {
            assert_eq!(Skill::parse(text).expect(text).to_string(), printed);
        }
        for text in ["", "@1", "a b", "a@", "a@x", "a@-1", "é", &"x".repeat(65)] {
            assert!(Skill::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_higher_version_meets_a_lower_requirement() {
        let skill = |s| Skill::parse(s).expect("test skill");
        assert!(skill("a@2").meets(&skill("a")));
        assert!(skill("a@2").meets(&skill("a@2")));
        assert!(!skill("a@1").meets(&skill("a@2")));
        assert!(!skill("a").meets(&skill("a@1")));
        assert!(!skill("b@9").meets(&skill("a")));
    }
}
