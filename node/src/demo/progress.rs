//! How far the demo is, on stderr: a bar where a terminal is there, a line now and then otherwise.

use crate::cli::show;
use std::io::{IsTerminal as _, Write as _};

/// How many characters the bar has.
const BAR_CHARS: usize = 32;

/// Tells how far something is.
pub struct Progress {
    total: usize,
    terminal: bool,
    quiet: bool,
    told_tenths: Option<usize>,
}

impl Progress {
    /// Of `total` tasks. With `quiet` only a terminal is told.
    pub fn new(total: usize, quiet: bool) -> Self {
        Progress { total, terminal: std::io::stderr().is_terminal(), quiet, told_tenths: None }
    }

    /// Tells that `done` are done.
    pub fn update(&mut self, done: usize, working: usize) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", bar(done, self.total, working));
            return;
        }
        let tenths = (done * 10).checked_div(self.total).unwrap_or(10);
        if !self.quiet && self.told_tenths != Some(tenths) {
            self.told_tenths = Some(tenths);
            show::note(&format!("{done} of {} tasks done", self.total));
        }
    }

    /// Says something beside the bar.
    pub fn note(&self, text: &str) {
        if self.terminal {
            let _ = writeln!(std::io::stderr(), "\r\x1b[K{text}");
        } else if !self.quiet {
            show::note(text);
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(done: usize, total: usize, working: usize) -> String {
    let filled = (done * BAR_CHARS).checked_div(total).unwrap_or(BAR_CHARS).min(BAR_CHARS);
    format!(
        "{}{} {done}/{total} tasks, {working} in work",
        "█".repeat(filled),
        "░".repeat(BAR_CHARS - filled)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_one_width() {
        for (done, total) in [(0, 65), (1, 65), (65, 65), (0, 0)] {
            let filled = bar(done, total, 2).chars().take_while(|c| "█░".contains(*c)).count();
            assert_eq!(filled, BAR_CHARS, "{done}/{total}");
        }
    }
}
