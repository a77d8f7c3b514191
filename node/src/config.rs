//! The node's configuration: a TOML file, then the environment (`ARTEL_<KEY>`), then flags; the later wins. Every key
//! stands once in the table below. An unknown key is an error that names the nearest known one.

use crate::rules;
use artel_federation::Options;
use artel_federation::interest::Interest;
use artel_protocol::amount::Credits;
use artel_protocol::id::Digest;
use artel_protocol::limits::NAME_BYTES_MAX;
use artel_protocol::text::is_plain;
use artel_runner::{Policy, Rule};
use artel_web::Audience;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a setting stands that came as a flag.
const FLAGS: &str = "the command line";

/// Environment variables of the command line that are no configuration keys.
const NOT_KEYS: &[&str] =
    &["ARTEL_DATA", "ARTEL_NODE", "ARTEL_TOKEN", "ARTEL_TOKEN_FILE", "ARTEL_KEY", "ARTEL_LOG"];

/// What may be logged.
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

/// The longest prefix of event names, in bytes: with what follows it a name stays far below the 128 that a filter takes.
const EVENT_PREFIX_BYTES_MAX: usize = 32;

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The file is not TOML.
    #[error("{0} is not TOML: {1}")]
    NotToml(PathBuf, String),
    /// Nobody knows the key.
    #[error("unknown configuration key {key:?} in {origin}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        origin: String,
        /// The nearest known one.
        nearest: &'static str,
    },
    /// The value is not of the key's kind.
    #[error("{key} in {origin}: {reason} (got {value:?})")]
    BadValue {
        /// The key.
        key: &'static str,
        /// Where it stands.
        origin: String,
        /// What is wanted.
        reason: String,
        /// What stands there.
        value: String,
    },
}

impl Error {
    /// Whether a flag of the command line is at fault, and so its use.
    pub fn is_of_flags(&self) -> bool {
        match self {
            Error::UnknownKey { origin, .. } | Error::BadValue { origin, .. } => origin == FLAGS,
            Error::Unreadable(..) | Error::NotToml(..) => false,
        }
    }
}

macro_rules! keys {
    ($($key:ident: $kind:ty = $default:expr, $doc:literal;)*) => {
        /// The effective configuration.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config { $(#[doc = $doc] pub $key: $kind,)* }

        impl Default for Config {
            fn default() -> Self { Config { $($key: $default,)* } }
        }

        /// Every key with what it means and its default, for the operator's documents.
        pub fn table() -> Vec<(&'static str, &'static str, String)> {
            let config = Config::default();
            vec![$((stringify!($key), $doc, config.$key.show())),*]
        }

        impl Config {
            /// Sets one key from text.
            fn set(&mut self, key: &str, value: &str, origin: &str) -> Result<(), Error> {
                $(if key == stringify!($key) {
                    self.$key = Value::read(value).map_err(|reason| Error::BadValue {
                        key: stringify!($key), origin: origin.into(), reason, value: value.into(),
                    })?;
                    return Ok(());
                })*
                let known = [$(stringify!($key)),*];
                let nearest = known.into_iter().min_by_key(|k| strsim::damerau_levenshtein(k, key));
                let nearest = nearest.expect("there are keys");
                Err(Error::UnknownKey { key: key.into(), origin: origin.into(), nearest })
            }

            /// What is set otherwise than by default, as `key = value`.
            pub fn differences(&self) -> Vec<String> {
                let usual = Config::default();
                let mut set = Vec::new();
                $(if self.$key != usual.$key {
                    set.push(format!("{} = {}", stringify!($key), self.$key.show()));
                })*
                set
            }

            /// The effective configuration as text, one key a line; its digest stands in the journal at each start.
            pub fn text(&self) -> String {
                let mut text = String::new();
                $(let _ = writeln!(text, "{} = {}", stringify!($key), self.$key.show());)*
                text
            }
        }
    };
}

keys! {
    name: String = "artel".into(), "The federation's name; only the first start uses it.";
    open: bool = false, "Whether whoever asks may join the federation (else by invitation); only the first start uses it.";
    http: SocketAddr = "127.0.0.1:7433".parse().expect("an address"), "Where the HTTP API listens; port 0 takes a free one.";
    public_hosts: Vec<String> = vec![], "Host names beside loopback under which the API may be called.";
    listen: Vec<String> = vec![], "Where the mesh listens, as multiaddrs such as /ip4/0.0.0.0/tcp/7434; none: this node only dials.";
    mdns: bool = true, "Whether nodes of the local network are looked for; never where the mesh listens on loopback alone.";
    interest: Vec<String> = vec!["all".into()], "Which offers of others are followed by gossip: all; own, those that agents enrolled here could work on; or skills, for these beside their own.";
    tls_cert: String = String::new(), "PEM file with the certificate chain; wanted when not listening on loopback.";
    tls_key: String = String::new(), "PEM file with the certificate's private key.";
    plain_http: bool = false, "Allow HTTP without TLS beyond loopback (behind a proxy that ends TLS).";
    connections_max: u32 = 4096, "The most open HTTP connections; more wait to be accepted.";
    sockets_per_agent: u32 = 16, "The most WebSockets of one agent at once.";
    socket_ping_s: u32 = 30, "After how many seconds without a word a WebSocket is pinged: less than whatever stands before the node lets a quiet connection live; 5 to 3600.";
    session_hours: u32 = 12, "For how many hours somebody stays signed in to the pages without coming back, at most 8760.";
    pages_live_max: u32 = 256, "The most pages that are kept up to date at once, a few of them the operator's alone; a page beyond it shows what it showed last, and says so.";
    requests_per_second: u32 = 50_000, "Requests of one agent per second; beyond it 429.";
    enrollments_per_minute: u32 = 600, "Enrollments of one address per minute; beyond it 429.";
    otlp: String = String::new(), "Where traces go: the base address of an OTLP/HTTP collector such as http://127.0.0.1:4318; none: nowhere.";
    metrics: Readers = Readers(Audience::Operator), "Who may read /metrics: operator (with its token), loopback (also whoever connects from this machine, a proxy on it too) or anyone.";
    lease_ms: u32 = 60_000, "A lease's term in milliseconds.";
    lease_total_ms: u64 = 3_600_000, "For how long a lease may be renewed in all, in milliseconds.";
    attempts_max: u8 = 3, "How many rejected submissions fail a step.";
    lapses_max: u8 = 3, "How many lapsed leases fail a step.";
    window_ms: Option<u32> = None, "For how long an offer is open to its best candidates alone, in milliseconds; auto: 2000 while neighbours are connected, 0 while none is.";
    top: u8 = 8, "How many candidates those are.";
    verdict_within_ms: u32 = 600_000, "Within which time home judges a submission, in milliseconds.";
    leases_max: u32 = 64, "The most leases that one agent may hold at once.";
    credit_line: Credits = Credits(1_000_000 * 1_000_000), "How many credits the operator may have in circulation.";
    token_days: u32 = 90, "How long a token lives, in days, at most 90.";
    artifact_quota_mb: u64 = 20_000, "How many megabytes (10^6 bytes) of artifacts the node keeps.";
    redo: bool = true, "Whether steps run again in a sandbox of this node before their verdict: its own, and those that members ask for.";
    redo_allow: Vec<String> = vec!["any".into()], "Which steps of members run again here: rules as of artel work --allow, their parts with spaces between them; none lets none run.";
    redo_deny: Vec<String> = vec![], "Which of them do not, whatever is allowed: rules as of artel work --deny.";
    redo_enrolled: bool = true, "Whether results of agents that are enrolled here are drawn for a redo, too; false where all of them are your own.";
    event_prefix: String = "xyn.".into(), "What the names of the node's own events begin with; at most 32 letters, digits or ._-.";
    log: String = "info".into(), "What is logged: error, warn, info, debug or trace, also by target (artel_node=debug).";
}

/// A kind of value that stands in a configuration.
trait Value: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn show(&self) -> String;
}

macro_rules! plain_values {
    ($($kind:ty: $wanted:literal,)*) => {
        $(impl Value for $kind {
            fn read(text: &str) -> Result<Self, String> { text.parse().map_err(|_| $wanted.to_owned()) }
            fn show(&self) -> String { self.to_string() }
        })*
    };
}

plain_values! {
    bool: "want true or false",
    u8: "want a whole number up to 255",
    u32: "want a whole number up to 4294967295",
    u64: "want a whole number up to 18446744073709551615",
    SocketAddr: "want an address and port such as 127.0.0.1:7433",
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

/// A number that follows from something else where it is not set: `auto`.
impl Value for Option<u32> {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(None),
            text => {
                text.parse().map(Some).map_err(|_| "want auto or a whole number up to 4294967295".to_owned())
            }
        }
    }
    fn show(&self) -> String {
        self.map_or_else(|| "auto".to_owned(), |number| number.to_string())
    }
}

impl Value for Credits {
    fn read(text: &str) -> Result<Self, String> {
        Credits::parse(text).map_err(|e| e.to_string())
    }
    fn show(&self) -> String {
        self.decimal()
    }
}

/// Who may read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readers(pub Audience);

/// Their names.
const READERS: [(&str, Audience); 3] =
    [("operator", Audience::Operator), ("loopback", Audience::Loopback), ("anyone", Audience::Anyone)];

impl Value for Readers {
    fn read(text: &str) -> Result<Self, String> {
        let found = READERS.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, readers)| Readers(*readers))
            .ok_or_else(|| "want operator, loopback or anyone".to_owned())
    }
    fn show(&self) -> String {
        let found = READERS.iter().find(|(_, readers)| *readers == self.0);
        found.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
    }
}

/// A list: a TOML array in the file, words with commas in the environment.
impl Value for Vec<String> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(str::to_owned).collect())
    }
    fn show(&self) -> String {
        self.join(",")
    }
}

impl Config {
    /// Reads `file` (missing is fine unless it was asked for by name), then the environment, then `flags`.
    ///
    /// # Errors
    /// [`Error`] for what cannot be read, an unknown key and a bad value.
    pub fn load(
        (file, asked_for): (&Path, bool),
        environment: impl Iterator<Item = (String, String)>,
        flags: &BTreeMap<String, String>,
    ) -> Result<Config, Error> {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        let mut config = Config::default();
        match std::fs::read_to_string(file) {
            Ok(text) => config.merge_file(file, &text)?,
            // What is wrong with the directory itself is said when it is opened.
            Err(e) if matches!(e.kind(), NotFound | NotADirectory) && !asked_for => {}
            Err(e) => return Err(Error::Unreadable(file.into(), e)),
        }
        for (name, value) in environment {
            let Some(key) = name.strip_prefix("ARTEL_").filter(|_| !NOT_KEYS.contains(&name.as_str())) else {
                continue;
            };
            config.set(&key.to_ascii_lowercase(), &value, &format!("the environment ({name})"))?;
        }
        for (key, value) in flags {
            config.set(key, value, FLAGS)?;
        }
        config.check()?;
        Ok(config)
    }

    fn merge_file(&mut self, file: &Path, text: &str) -> Result<(), Error> {
        let table: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| Error::NotToml(file.into(), e.to_string().trim_end().to_owned()))?;
        for (key, value) in table {
            let value = match value {
                toml::Value::String(s) => s,
                toml::Value::Array(items) => {
                    let words =
                        items.iter().map(|i| i.as_str().map(str::to_owned).unwrap_or_else(|| i.to_string()));
                    words.collect::<Vec<_>>().join(",")
                }
                other => other.to_string(),
            };
            self.set(&key, &value, &file.display().to_string())?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        let bad = |key, reason: &str, value: String| {
            Err(Error::BadValue { key, origin: "the configuration".into(), reason: reason.into(), value })
        };
        if !(1..=90).contains(&self.token_days) {
            return bad("token_days", "want 1 to 90", self.token_days.to_string());
        }
        if !(100..=3_600_000).contains(&self.lease_ms) {
            return bad("lease_ms", "want 100 to 3600000", self.lease_ms.to_string());
        }
        for (key, value) in [
            ("attempts_max", u64::from(self.attempts_max)),
            ("lapses_max", self.lapses_max.into()),
            ("top", self.top.into()),
            ("leases_max", self.leases_max.into()),
            ("connections_max", self.connections_max.into()),
            ("sockets_per_agent", self.sockets_per_agent.into()),
            ("pages_live_max", self.pages_live_max.into()),
            ("requests_per_second", self.requests_per_second.into()),
            ("enrollments_per_minute", self.enrollments_per_minute.into()),
            ("artifact_quota_mb", self.artifact_quota_mb),
        ] {
            if value == 0 {
                return bad(key, "want at least 1", value.to_string());
            }
        }
        if !(5..=3_600).contains(&self.socket_ping_s) {
            return bad("socket_ping_s", "want 5 to 3600", self.socket_ping_s.to_string());
        }
        if !(1..=8_760).contains(&self.session_hours) {
            return bad("session_hours", "want 1 to 8760", self.session_hours.to_string());
        }
        if !is_plain(&self.name, NAME_BYTES_MAX, false) {
            let wanted = format!("want 1 to {NAME_BYTES_MAX} bytes of text on one line");
            return bad("name", &wanted, self.name.clone());
        }
        // A word that is no level would be read as a target's name, and everything else would be silent.
        let mut words = self.log.split(',').map(str::trim).filter(|word| !word.contains('='));
        if words.any(|word| !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))) {
            let wanted =
                "want error, warn, info, debug, trace or off, and targets as artel_node=debug, with commas";
            return bad("log", wanted, self.log.clone());
        }
        let prefix = self.event_prefix.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        // What follows it begins with a letter, so that an empty one makes good names too.
        if prefix.len() > EVENT_PREFIX_BYTES_MAX
            || !prefix.bytes().all(plain)
            || prefix.starts_with(|first: char| !first.is_ascii_alphabetic())
        {
            let wanted = "want at most 32 letters, digits or ._-, a letter first";
            return bad("event_prefix", wanted, prefix.to_owned());
        }
        for (key, rules) in [("redo_allow", &self.redo_allow), ("redo_deny", &self.redo_deny)] {
            if let Err(reason) = read_rules(rules) {
                return bad(key, &format!("want rules: {reason}"), rules.join(","));
            }
        }
        if let Err(reason) = Interest::read(&self.interest) {
            return bad("interest", &format!("want all, own, or skills: {reason}"), self.interest.join(","));
        }
        if !self.otlp.is_empty()
            && !["http://", "https://"].iter().any(|scheme| self.otlp.starts_with(scheme))
        {
            return bad("otlp", "want a URL such as http://127.0.0.1:4318", self.otlp.clone());
        }
        if self.tls_cert.is_empty() != self.tls_key.is_empty() {
            return bad("tls_cert", "want tls_cert and tls_key together", self.tls_cert.clone());
        }
        Ok(())
    }

    /// What is followed of others' offers.
    pub fn interest(&self) -> Interest {
        Interest::read(&self.interest).expect("checked when it was loaded")
    }

    /// The numbers that the rules go by.
    pub fn options(&self) -> Options {
        let auto = Options::default();
        Options {
            lease_ms: self.lease_ms,
            lease_total_ms: self.lease_total_ms,
            attempts_max: self.attempts_max,
            lapses_max: self.lapses_max,
            window_ms: self.window_ms.unwrap_or(auto.window_ms),
            window_meshed_ms: self.window_ms.unwrap_or(auto.window_meshed_ms),
            top: self.top,
            verdict_within_ms: self.verdict_within_ms,
            leases_max: self.leases_max,
            credit_line_units: self.credit_line.0,
            token_ms: u64::from(self.token_days) * 24 * 3_600_000,
            artifact_quota_bytes: self.artifact_quota_mb.saturating_mul(1_000_000),
            redo_enrolled: self.redo_enrolled,
        }
    }

    /// Which steps of members run again here: none where a rule is none, which [`Config::load`] refuses.
    pub fn redo_policy(&self) -> Policy {
        match (read_rules(&self.redo_allow), read_rules(&self.redo_deny)) {
            (Ok(allow), Ok(deny)) => Policy { allow, deny },
            _ => Policy::default(),
        }
    }

    /// The digest that stands in the journal at each start.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }
}

/// What a start in this directory would take without flags: its own file, then the environment.
///
/// # Errors
/// As [`Config::load`].
pub fn of_directory(
    dir: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Error> {
    Config::load((&dir.join(crate::data::CONFIG), false), environment, &BTreeMap::new())
}

/// The environment, as far as it is text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
}

fn read_rules(texts: &[String]) -> Result<Vec<Rule>, String> {
    texts.iter().map(|text| rules::read(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, Error> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, file).expect("a file");
        let environment = environment.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        let flags = flags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Config::load((&path, true), environment, &flags)
    }

    #[test]
    fn flags_beat_the_environment_which_beats_the_file() {
        let config = load("lease_ms = 1000\ntop = 3\nname = \"x\"\npublic_hosts = [\"a\", \"b\"]", &[], &[])
            .expect("good");
        assert_eq!((config.lease_ms, config.top, config.name.as_str()), (1000, 3, "x"));
        assert_eq!(config.public_hosts, ["a", "b"]);
        let config = load(
            "lease_ms = 1000\ntop = 3",
            &[("ARTEL_LEASE_MS", "2000"), ("ARTEL_TOP", "4")],
            &[("top", "5")],
        );
        let config = config.expect("good");
        assert_eq!((config.lease_ms, config.top), (2000, 5));
    }

    #[test]
    fn a_window_that_is_set_holds_with_and_without_neighbours() {
        for (set, alone, meshed) in
            [(None, 0, 2_000), (Some("auto"), 0, 2_000), (Some("0"), 0, 0), (Some("7"), 7, 7)]
        {
            let flags: Vec<_> = set.into_iter().map(|value| ("window_ms", value)).collect();
            let options = load("", &[], &flags).expect("good").options();
            assert_eq!((options.window_ms, options.window_meshed_ms), (alone, meshed), "{set:?}");
        }
        assert_eq!(load("window_ms = 5", &[], &[]).expect("good").window_ms, Some(5));
        assert!(load("window_ms = \"soon\"", &[], &[]).is_err());
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        for (file, environment, flag) in [
            ("lease_m = 1", vec![], vec![]),
            ("", vec![("ARTEL_LEASEMS", "1")], vec![]),
            ("", vec![], vec![("lease-ms", "1")]),
        ] {
            let error = load(file, &environment, &flag).expect_err("unknown");
            assert!(error.to_string().contains("did you mean \"lease_ms\""), "{error}");
        }
    }

    #[test]
    fn bad_values_say_what_is_wanted() {
        for file in [
            "lease_ms = 5",
            "top = 0",
            "token_days = 91",
            "http = \"nowhere\"",
            "open = 1",
            "top = 300",
            "tls_cert = \"x\"",
            "credit_line = -1",
            "leases_max = 0",
            "log = \"nonsense\"",
            "log = \"info,artel_node\"",
            "log = \"\"",
            "connections_max = 0",
            "sockets_per_agent = 0",
            "pages_live_max = 0",
            "socket_ping_s = 4",
            "socket_ping_s = 3601",
            "session_hours = 0",
            "session_hours = 8761",
            "requests_per_second = 0",
            "enrollments_per_minute = 0",
            "artifact_quota_mb = 0",
            "name = \"\"",
            "name = \"a\\nb\"",
            "event_prefix = \"a b\"",
            "redo_allow = \"all\"",
            "redo_deny = [\"kind=wasm\", \"module=7\"]",
            "event_prefix = \".a\"",
            "event_prefix = \"1\"",
            "event_prefix = \"é.\"",
            "event_prefix = \"abcdefghijklmnopqrstuvwxyz0123456\"",
        ] {
            assert!(matches!(load(file, &[], &[]), Err(Error::BadValue { .. })), "{file}");
        }
        assert!(matches!(load("= 1", &[], &[]), Err(Error::NotToml(..))));
        for good in ["info", "DEBUG", "warn,artel_node=debug", "artel_node=trace, error"] {
            assert!(load(&format!("log = \"{good}\""), &[], &[]).is_ok(), "{good}");
        }
        for good in ["", "acme.", "a_b-c.2.", "abcdefghijklmnopqrstuvwxyz012345"] {
            assert!(load(&format!("event_prefix = \"{good}\""), &[], &[]).is_ok(), "{good}");
        }
    }

    #[test]
    fn variables_of_the_command_line_are_no_keys() {
        assert!(load("", &[("ARTEL_DATA", "x"), ("PATH", "y")], &[]).is_ok());
    }

    #[test]
    fn every_key_is_documented() {
        let operations = include_str!("../OPERATIONS.md");
        for (key, meaning, _) in table() {
            assert!(operations.contains(&format!("| `{key}` |")) && operations.contains(meaning), "{key}");
        }
    }
}
