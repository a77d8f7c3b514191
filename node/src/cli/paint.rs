//! Colour, where a person looks at a terminal and has not said no (`NO_COLOR`, https://no-color.org). One colour means
//! one thing everywhere: green is well, yellow will cost something, red does not work, dim is beside the point.

use std::io::IsTerminal as _;

/// What a word means, and so its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Well, done, accepted.
    Good,
    /// It will cost something; it is not over.
    Care,
    /// It does not work; refused, failed.
    Bad,
    /// Beside the point.
    Dim,
}

/// Whether colour is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// No colour.
    pub const PLAIN: Paint = Paint(false);

    /// As fits standard output.
    pub fn of_stdout() -> Self {
        Paint(is_wanted(std::io::stdout().is_terminal(), |name| std::env::var_os(name)))
    }

    /// As fits standard error.
    pub fn of_stderr() -> Self {
        Paint(is_wanted(std::io::stderr().is_terminal(), |name| std::env::var_os(name)))
    }

    /// Whether colour is written at all.
    pub fn is_on(self) -> bool {
        self.0
    }

    /// A text in the colour of what it means.
    pub fn say(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if !self.0 || text.is_empty() => return text.to_owned(),
            Tone::Good => 32,
            Tone::Care => 33,
            Tone::Bad => 31,
            Tone::Dim => 2,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// What the status of a task, a run, a node or a finding means; nothing where it is none of these.
pub fn tone_of(status: &str) -> Option<Tone> {
    Some(match status {
        "ok" | "accepted" | "completed" | "admitted" | "member" | "live" => Tone::Good,
        "warn" | "claimed" | "running" | "submitted" | "connecting" | "degraded" => Tone::Care,
        "fail" | "failed" | "refused" | "quarantined" | "expelled" | "revoked" => Tone::Bad,
        "unknown" | "created" | "cancelled" | "skipped" | "spent" | "expired" => Tone::Dim,
        _ => return None,
    })
}

/// Whether a person looks who wants colour. An empty `NO_COLOR` counts as none, as its convention has it.
fn is_wanted(is_terminal: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    let says_no = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = variable("TERM").is_none_or(|value| value == "dumb");
    !says_no && !is_dumb && is_terminal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_whose_owner_has_not_said_no() {
        for (terminal, no_color, term, wanted) in [
            (true, None, Some("xterm"), true),
            (true, Some(""), Some("xterm"), true),
            (true, Some("1"), Some("xterm"), false),
            (true, None, Some("dumb"), false),
            (true, None, None, false),
            (false, None, Some("xterm"), false),
        ] {
            let variable = |name: &str| match name {
                "NO_COLOR" => no_color.map(Into::into),
                _ => term.map(Into::into),
            };
            assert_eq!(is_wanted(terminal, variable), wanted, "{terminal} {no_color:?} {term:?}");
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(Paint::PLAIN.say(Tone::Bad, "no"), "no");
        assert_eq!(Paint(true).say(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Paint(true).say(Tone::Good, ""), "");
    }
}
