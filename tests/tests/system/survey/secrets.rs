//! The rules of the survey for strings that look like leaked secrets, a second time: keys with a known head, private key files,
//! and values of secret-sounding names that are too random to be words. A finding never shows the value.

/// The most findings in one file; a file of test vectors would drown the others.
pub const FINDINGS_PER_FILE_MAX: usize = 20;
/// The longest line that is looked at, in bytes; minified code is one line of everything.
const LINE_BYTES_MAX: usize = 4_096;
/// How many characters of a value are shown.
const SHOWN_CHARS: usize = 4;
/// The least bits per character of a value of letters and digits that counts as random: English words have about 3.5.
const BITS_MIN: f64 = 4.0;
/// The same for hexadecimal values, which cannot have more than 4.
const HEX_BITS_MIN: f64 = 3.2;
/// The least length of a random value.
const VALUE_CHARS_MIN: usize = 20;

/// One finding.
#[derive(Debug)]
pub struct Secret {
    /// The line, counted from 1.
    pub line: u32,
    /// What it looks like.
    pub kind: String,
    /// The value with all but its first characters hidden.
    pub masked: String,
}

/// A token with a known head: what it is, how it begins, which bytes follow, and how many at least.
struct Head {
    kind: &'static str,
    head: &'static str,
    body: fn(u8) -> bool,
    len_min: usize,
}

const fn head(kind: &'static str, head: &'static str, body: fn(u8) -> bool, len_min: usize) -> Head {
    Head { kind, head, body, len_min }
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

const HEADS: &[Head] = &[
    head("AWS access key", "AKIA", upper, 16),
    head("AWS temporary access key", "ASIA", upper, 16),
    head("GitHub token", "ghp_", word, 36),
    head("GitHub token", "gho_", word, 36),
    head("GitHub token", "ghu_", word, 36),
    head("GitHub token", "ghs_", word, 36),
    head("GitHub token", "github_pat_", word, 40),
    head("GitLab token", "glpat-", token, 20),
    head("Slack token", "xoxb-", token, 20),
    head("Slack token", "xoxp-", token, 20),
    head("Google API key", "AIza", token, 35),
    head("Stripe key", "sk_live_", word, 20),
    head("Stripe key", "rk_live_", word, 20),
    head("npm token", "npm_", word, 36),
    head("PyPI token", "pypi-", token, 40),
    head("JSON web token", "eyJ", |b| token(b) || b == b'.', 60),
];

/// Names whose values should not stand in a file.
const NAMES: &[&str] = &[
    "secret",
    "token",
    "passwd",
    "password",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "auth_key",
    "credential",
];

/// Looks through a file's content.
pub fn find(content: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(content.lines()) {
        if line.len() > LINE_BYTES_MAX {
            continue;
        }
        for (kind, value) in in_line(line) {
            if found.len() == FINDINGS_PER_FILE_MAX {
                return found;
            }
            found.push(Secret { line: number, kind: kind.to_owned(), masked: mask(value) });
        }
    }
    found
}

fn in_line(line: &str) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    if let Some(header) = private_key_header(line) {
        found.push(("private key", header));
    }
    for known in HEADS {
        found.extend(with_head(line, known).map(|value| (known.kind, value)));
    }
    if found.is_empty()
        && let Some(value) = random_value(line)
    {
        found.push(("random value of a secret name", value));
    }
    found
}

/// `-----BEGIN … PRIVATE KEY-----` (RFC 7468), and PGP's block.
fn private_key_header(line: &str) -> Option<&str> {
    let start = line.find("-----BEGIN ")?;
    let label = &line[start + "-----BEGIN ".len()..];
    let label = &label[..label.find("-----")?];
    let plain = label.bytes().all(|b| b.is_ascii_uppercase() || b == b' ');
    let is_private = label.ends_with("PRIVATE KEY") || label == "PGP PRIVATE KEY BLOCK";
    (plain && is_private).then_some(label)
}

fn with_head<'a>(line: &'a str, known: &'static Head) -> impl Iterator<Item = &'a str> {
    line.match_indices(known.head).filter_map(move |(start, _)| {
        // In the middle of a longer word it is part of something else.
        let begins = start == 0 || !token(line.as_bytes()[start - 1]);
        let body = &line.as_bytes()[start + known.head.len()..];
        let len = body.iter().take_while(|b| (known.body)(**b)).count();
        let ends = body.get(len).is_none_or(|b| !b.is_ascii_alphanumeric());
        let fits = begins
            && ends
            && len >= known.len_min
            && (known.kind != "JSON web token" || dots(&body[..len]) == 2);
        fits.then(|| &line[start..start + known.head.len() + len])
    })
}

fn dots(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b == b'.').count()
}

/// The value in `name = "value"` or `name: value`, where the name sounds secret and the value is random.
fn random_value(line: &str) -> Option<&str> {
    let at = line.find(['=', ':'])?;
    let name = line[..at].to_ascii_lowercase();
    if !NAMES.iter().any(|n| name.contains(n)) {
        return None;
    }
    let rest = line[at + 1..].trim_start_matches(['=', ':', '>', ' ', '\t']);
    let quoted = rest.trim_start_matches(['"', '\'', '`']);
    let is_value = |b: u8| b.is_ascii_alphanumeric() || b"+/_-=".contains(&b);
    let len = quoted.bytes().take_while(|b| is_value(*b)).count();
    let (value, after) = quoted.split_at(len);
    // A call, a path or a name of another value is code, not a secret.
    if after.starts_with(['(', '.', ':', '[', '<', '{']) {
        return None;
    }
    is_random(value).then_some(value)
}

fn is_random(value: &str) -> bool {
    let bytes = value.as_bytes();
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    if bytes.len() < VALUE_CHARS_MIN || digits < 3 || digits == bytes.len() {
        return false;
    }
    if bytes.iter().all(u8::is_ascii_hexdigit) {
        return bytes.len() >= 32 && bits_per_char(bytes) >= HEX_BITS_MIN;
    }
    let mixed = bytes.iter().any(u8::is_ascii_uppercase) && bytes.iter().any(u8::is_ascii_lowercase);
    mixed && bits_per_char(bytes) >= BITS_MIN
}

/// Shannon's entropy of the characters, in bits.
fn bits_per_char(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let len = bytes.len() as f64;
    let bits = |count: &u32| {
        let part = f64::from(*count) / len;
        -part * part.log2()
    };
    counts.iter().filter(|c| **c > 0).map(bits).sum()
}

/// A value's first characters and its length; of a short value, or of a header, that is all that is said anyway.
fn mask(value: &str) -> String {
    if value.ends_with("PRIVATE KEY") || value.ends_with("KEY BLOCK") {
        return value.to_owned();
    }
    let shown: String = value.chars().take(SHOWN_CHARS).collect();
    format!("{shown}… ({} characters)", value.chars().count())
}
