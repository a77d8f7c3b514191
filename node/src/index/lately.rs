//! What the start has folded behind its snapshot, kept for the index, which would read it from the journal and fold it once more. An
//! index that is farther behind than the snapshot, as after a power loss, does that all the same.

use super::{QUEUE_BYTES_MAX, bytes_of};
use crate::news::News;

/// The frames of one start, while they take no more than what may wait for the index; beyond that none, and the index reads
/// the journal.
pub struct Lately {
    /// The first entry that it has.
    begin: u64,
    frames: Vec<News>,
    bytes: usize,
}

impl Lately {
    /// What begins at this position.
    pub fn since(begin: u64) -> Self {
        Lately { begin, frames: Vec::new(), bytes: 0 }
    }

    /// Takes the next frame.
    pub fn take(&mut self, news: News) {
        self.bytes += bytes_of(std::slice::from_ref(&news));
        if self.bytes <= QUEUE_BYTES_MAX {
            self.frames.push(news);
        } else {
            (self.begin, self.frames) = (u64::MAX, Vec::new());
        }
    }

    /// Its frames from a position on; none where it does not reach back to there.
    pub(super) fn from(self, position: u64) -> Option<impl Iterator<Item = News>> {
        let follow = move |frame: &News| frame.first_index >= position;
        (self.begin <= position).then(|| self.frames.into_iter().filter(follow))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::run;
    use super::*;
    use artel_federation::ClosedRun;
    use std::sync::Arc;

    fn frame(first_index: u64, bytes: usize) -> News {
        let closed = vec![Arc::new(ClosedRun::new(run(first_index, 1, bytes)))];
        News { first_index, entries: Arc::default(), bytes: 64, closed }
    }

    fn lately(begin: u64, frames: impl IntoIterator<Item = News>) -> Lately {
        let mut lately = Lately::since(begin);
        frames.into_iter().for_each(|frame| lately.take(frame));
        lately
    }

    fn firsts(lately: Lately, position: u64) -> Option<Vec<u64>> {
        lately.from(position).map(|frames| frames.map(|frame| frame.first_index).collect())
    }

    #[test]
    fn it_answers_from_where_it_begins_and_with_nothing_before() {
        let three = || lately(7, [frame(7, 0), frame(9, 0), frame(12, 0)]);
        assert_eq!(firsts(three(), 6), None, "there is an entry that it lacks");
        assert_eq!(firsts(three(), 7), Some(vec![7, 9, 12]));
        assert_eq!(firsts(three(), 9), Some(vec![9, 12]));
        assert_eq!(firsts(three(), 14), Some(vec![]));
        assert_eq!(firsts(lately(7, []), 7), Some(vec![]));
        assert_eq!(firsts(lately(7, []), 6), None);
    }

    #[test]
    fn what_is_too_much_is_left_to_the_journal() {
        let much = [frame(1, QUEUE_BYTES_MAX), frame(2, 0), frame(3, 0)];
        assert_eq!(firsts(lately(1, much), 3), None);
    }
}
