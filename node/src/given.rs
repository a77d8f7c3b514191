//! The files that a step is given: what a worker hands to its sandbox, and whoever runs the step again to theirs. Both must give
//! the same, or an honest result would be found to be another.

use artel_protocol::id::Digest;
use artel_protocol::limits::STEP_ARTIFACTS_MAX;
use artel_runner::{Given, Limits};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is still to be fetched for a step, and what is here already.
pub struct Files {
    missing: BTreeMap<Digest, Vec<String>>,
    room: u64,
    here: Vec<Given>,
}

impl Files {
    /// The files by their names: the artifacts of the steps that it needs, each under its digest's hex digits, and those that its
    /// input names. What a name may be is the runner's to say.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the artifacts that the input names.
    pub fn of(of_needs: &[Digest], input: &[u8]) -> Result<Self, String> {
        let mut files: BTreeMap<String, Digest> =
            of_needs.iter().map(|digest| (digest.hex(), *digest)).collect();
        for (name, text) in named_in(input) {
            let digest = Digest::parse(&text).map_err(|e| format!("an artifact: {e}"))?;
            if files.insert(name, digest).is_some_and(|other| other != digest) {
                return Err("its input names an artifact as another one is named already".to_owned());
            }
        }
        if files.len() > STEP_ARTIFACTS_MAX {
            return Err(format!("more than {STEP_ARTIFACTS_MAX} artifacts are handed to it"));
        }
        let mut missing: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        files.into_iter().for_each(|(name, digest)| missing.entry(digest).or_default().push(name));
        Ok(Files { missing, room: Limits::default().artifact_bytes, here: Vec::new() })
    }

    /// What is missing, each digest once.
    pub fn missing(&self) -> impl Iterator<Item = Digest> {
        self.missing.keys().copied()
    }

    /// What is to be fetched next, and the most bytes that it may have.
    pub fn next(&self) -> Option<(Digest, u64)> {
        self.missing().next().map(|digest| (digest, self.room))
    }

    /// Takes the bytes of what was to be fetched next.
    ///
    /// # Errors
    /// A sentence: all of them together are too large.
    pub fn take(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        let Some((_, names)) = self.missing.pop_first() else { return Ok(()) };
        let bytes: Arc<[u8]> = bytes.into();
        for name in names {
            let left = self.room.checked_sub(bytes.len() as u64);
            self.room = left.ok_or("the artifacts that are handed to it are too large")?;
            self.here.push(Given { name, bytes: bytes.clone() });
        }
        Ok(())
    }

    /// What was fetched.
    pub fn here(self) -> Vec<Given> {
        self.here
    }
}

/// The artifacts that an input names: its field `artifacts`, where that is an object of digests and nothing else.
fn named_in(input: &[u8]) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Named {
        artifacts: BTreeMap<String, String>,
    }
    // What is of another form is the task's own affair.
    serde_json::from_slice::<Named>(input)
        .map(|named| named.artifacts)
        .ok()
        .filter(|named| named.values().all(|text| text.starts_with("sha256:")))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of_needs: &[Digest], input: &str) -> Result<Vec<String>, String> {
        let mut files = Files::of(of_needs, input.as_bytes())?;
        while files.next().is_some() {
            files.take(Vec::new())?;
        }
        Ok(files.here().into_iter().map(|file| file.name).collect())
    }

    #[test]
    fn an_input_names_artifacts_as_an_object_of_digests() {
        let digest = Digest::of(b"x");
        let input = format!(r#"{{"artifacts":{{"a.txt":"{digest}"}},"n":1}}"#);
        assert_eq!(names(&[], &input), Ok(vec!["a.txt".to_owned()]));
        assert!(Files::of(&[], input.as_bytes()).is_ok_and(|files| files.missing().eq([digest])));
        for text in [
            "{}".to_owned(),
            "7".into(),
            format!(r#"{{"artifacts":["{digest}"]}}"#),
            format!(r#"{{"artifacts":{{"a":"{digest}","b":"other"}}}}"#),
            format!(r#"{{"artifacts":{{"a":"{digest}","b":7}}}}"#),
        ] {
            assert_eq!(names(&[], &text), Ok(Vec::new()), "{text}");
        }
    }

    #[test]
    fn one_name_is_one_file_and_there_are_not_too_many() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let input = |name: &str, digest: &Digest| format!(r#"{{"artifacts":{{"{name}":"{digest}"}}}}"#);
        assert_eq!(names(&[a], &input(&a.hex(), &a)), Ok(vec![a.hex()]));
        assert!(names(&[a], &input(&a.hex(), &b)).is_err());
        assert!(names(&[a], r#"{"artifacts":{"a":"sha256:7"}}"#).is_err());
        let many: Vec<Digest> = (0..STEP_ARTIFACTS_MAX).map(|n| Digest::of(&n.to_le_bytes())).collect();
        assert_eq!(names(&many, "7").map(|files| files.len()), Ok(STEP_ARTIFACTS_MAX));
        assert!(names(&many, &input("a", &a)).is_err());
    }

    #[test]
    fn a_digest_is_fetched_once_and_all_files_fit() {
        let digest = Digest::of(b"abc");
        let input = format!(r#"{{"artifacts":{{"a":"{digest}","b":"{digest}"}}}}"#);
        let files = || Files::of(&[], input.as_bytes()).expect("files");
        let max = Limits::default().artifact_bytes;
        let mut small = files();
        assert_eq!(small.next(), Some((digest, max)));
        assert_eq!(small.take(b"abc".to_vec()), Ok(()));
        assert_eq!((small.next(), small.here().len()), (None, 2));
        assert!(files().take(vec![0; max as usize / 2 + 1]).is_err());
    }
}
