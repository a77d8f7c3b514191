//! How far something that takes long is, on stderr: a bar where the end is known, a count where it is not, redrawn in
//! place on a terminal. Where no terminal is there nothing is drawn; who asked for lines gets one now and then instead.

use super::show;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How many characters the bar has.
const BAR_CHARS: usize = 32;

/// How often it is drawn anew at the most.
const REDRAW: Duration = Duration::from_millis(100);

/// Tells how far something is. It takes itself away when it is dropped.
pub struct Progress {
    what: &'static str,
    total: Option<u64>,
    terminal: bool,
    lines: bool,
    told_tenths: Option<u64>,
    drawn: Option<Instant>,
}

impl Progress {
    /// Of `total` things, where that is known; `what` they are, such as `tasks`. Bytes are told in their own unit.
    pub fn new(what: &'static str, total: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Progress { what, total, terminal, lines: false, told_tenths: None, drawn: None }
    }

    /// The same, with lines where there is no terminal.
    #[must_use]
    pub fn or_lines(self, lines: bool) -> Self {
        Progress { lines, ..self }
    }

    /// Tells that `done` are done, and what else there is to say.
    pub fn update(&mut self, done: u64, beside: &str) {
        if self.terminal {
            let is_end = self.total == Some(done);
            if is_end || self.drawn.is_none_or(|at| at.elapsed() >= REDRAW) {
                self.drawn = Some(Instant::now());
                let _ = write!(std::io::stderr(), "\r\x1b[K{}", drawn(done, self.total, self.what, beside));
            }
            return;
        }
        let Some(total) = self.total.filter(|_| self.lines) else { return };
        let tenths = (done * 10).checked_div(total).unwrap_or(10);
        if self.told_tenths != Some(tenths) {
            self.told_tenths = Some(tenths);
            show::note(&format!(
                "{} of {} {} done",
                amount(done, self.what),
                amount(total, self.what),
                self.what
            ));
        }
    }

    /// Takes it away until it is told of again.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    /// Says something beside it.
    pub fn note(&self, text: &str) {
        if self.terminal {
            let _ = writeln!(std::io::stderr(), "\r\x1b[K{text}");
        } else if self.lines {
            show::note(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn drawn(done: u64, total: Option<u64>, what: &str, beside: &str) -> String {
    let beside = if beside.is_empty() { String::new() } else { format!(", {beside}") };
    let Some(total) = total else { return format!("{} {what}{beside}", amount(done, what)) };
    let part = u128::from(done) * BAR_CHARS as u128;
    let filled = part.checked_div(total.into()).unwrap_or(BAR_CHARS as u128).min(BAR_CHARS as u128) as usize;
    let (full, empty) = ("█".repeat(filled), "░".repeat(BAR_CHARS - filled));
    format!("{full}{empty} {}/{} {what}{beside}", amount(done, what), amount(total, what))
}

/// A number; of bytes the millions, with one place.
fn amount(count: u64, what: &str) -> String {
    if what == MEGABYTES { format!("{:.1}", count as f64 / 1e6) } else { count.to_string() }
}

/// What bytes are told in: megabytes, 10^6 bytes.
pub const MEGABYTES: &str = "MB";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_one_width() {
        for (done, total) in [(0, 65), (1, 65), (65, 65), (99, 65), (0, 0), (u64::MAX, u64::MAX)] {
            let filled =
                drawn(done, Some(total), "tasks", "").chars().take_while(|c| "█░".contains(*c)).count();
            assert_eq!(filled, BAR_CHARS, "{done}/{total}");
        }
    }

    #[test]
    fn bytes_are_told_in_megabytes_and_what_has_no_end_as_a_count() {
        assert!(drawn(1_500_000, Some(3_000_000), MEGABYTES, "").ends_with(" 1.5/3.0 MB"));
        assert_eq!(drawn(70_000, None, "entries read", ""), "70000 entries read");
        assert!(drawn(1, Some(2), "tasks", "1 in work").ends_with(" 1/2 tasks, 1 in work"));
    }

    #[test]
    fn nothing_is_drawn_without_a_terminal() {
        let mut progress = Progress { terminal: false, ..Progress::new("tasks", Some(2)) };
        progress.update(1, "");
        assert!(progress.drawn.is_none() && progress.told_tenths.is_none());
        let mut lines = Progress { terminal: false, ..Progress::new("tasks", Some(2)) }.or_lines(true);
        lines.update(1, "");
        assert_eq!(lines.told_tenths, Some(5));
    }
}
