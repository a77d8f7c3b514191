//! What an agent's receipts say one after the other: the mean quality and the part that was accepted, up to each receipt. It
//! is drawn from the receipts on the page and is no score; the score is the service's.

use crate::types::agent::{Work, WorkOutcome};
use std::fmt::Write as _;

/// The drawing's width and height in its own units.
const WIDTH: u32 = 1_000;
const HEIGHT: u32 = 100;

/// Two lines for a picture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trend {
    /// How many receipts they rest on.
    pub receipts: usize,
    /// Points of the mean quality, as SVG has them.
    pub quality: String,
    /// Points of the part accepted.
    pub success: String,
    /// Where both ended, in hundredths; nothing without a receipt.
    pub quality_last: Option<u32>,
    pub success_last: Option<u32>,
}

/// The lines of a page of work, newest first as the service gives it.
pub(super) fn trend(work: &[Work]) -> Trend {
    let judged: Vec<&Work> = work.iter().rev().filter(|work| counts(work.outcome)).collect();
    let (mut accepted, mut quality_sum, mut rated) = (0, 0, 0);
    let mut trend = Trend {
        receipts: judged.len(),
        quality: String::new(),
        success: String::new(),
        quality_last: None,
        success_last: None,
    };
    let last = u32::try_from(judged.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
    for (number, work) in (0_u32..).zip(&judged) {
        let x = number * WIDTH / last;
        accepted += u32::from(work.outcome == WorkOutcome::Accepted);
        let success = accepted * 100 / (number + 1);
        point(&mut trend.success, x, success);
        trend.success_last = Some(success);
        if let Some(quality) = work.quality_score {
            quality_sum += u32::from(quality);
            rated += 1;
            point(&mut trend.quality, x, quality_sum / rated);
            trend.quality_last = Some(quality_sum / rated);
        }
    }
    trend
}

fn counts(outcome: WorkOutcome) -> bool {
    matches!(outcome, WorkOutcome::Accepted | WorkOutcome::Rejected | WorkOutcome::Lapsed)
}

fn point(line: &mut String, x: u32, percent: u32) {
    let space = if line.is_empty() { "" } else { " " };
    // Text grows without an error.
    let _ = write!(line, "{space}{x},{}", HEIGHT - percent.min(100));
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::amount::Credits;
    use artel_protocol::id::{Epoch, RunId};
    use artel_protocol::time::Wall;

    fn work(outcome: WorkOutcome, quality_score: Option<u8>) -> Work {
        let run_id = RunId::new(Wall(1), [1; 9]);
        Work {
            task_id: run_id.step(0),
            run_id,
            epoch: Epoch(1),
            title: None,
            outcome,
            quality_score,
            feedback: None,
            paid: Credits::ZERO,
            at: Wall(1),
            entry: 1,
        }
    }

    #[test]
    fn lines_run_from_the_oldest_receipt_to_the_newest() {
        let newest_first = [
            work(WorkOutcome::Held, None),
            work(WorkOutcome::Rejected, None),
            work(WorkOutcome::Accepted, Some(80)),
        ];
        let drawn = trend(&newest_first);
        assert_eq!((drawn.success.as_str(), drawn.quality.as_str()), ("0,0 1000,50", "0,20"));
        assert_eq!((drawn.receipts, drawn.success_last, drawn.quality_last), (2, Some(50), Some(80)));
        assert_eq!(trend(&[]).success_last, None);
    }
}
