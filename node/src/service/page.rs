//! Cursors: where a list goes on. A list of runs or tasks goes first through the open ones, oldest first, then through
//! the closed ones, newest first; other lists go on behind a key.

use artel_web::types::Page;
use artel_web::{Code, Problem};
use std::fmt::Display;

/// How many runs one look at the state walks over at most, so that no list holds the driver up for long.
pub(super) const WALK_RUNS: usize = 1_024;

/// How many such walks one page makes at most. A page that then is not full says where to go on.
pub(super) const WALKS_MAX: usize = 16;

/// Where a list of runs or tasks goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<T> {
    /// Among the open ones, behind this one.
    Open(Option<T>),
    /// Among the closed ones, behind this one.
    Closed(Option<T>),
    /// At the end.
    End,
}

impl<T: Display> Place<T> {
    /// Reads a page's cursor; without one it is the beginning.
    pub fn of<E>(page: &Page, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Self, Problem> {
        let Some(cursor) = &page.cursor else { return Ok(Place::Open(None)) };
        let place = match cursor.split_at_checked(1) {
            Some(("o", id)) => parse(id).map(|id| Place::Open(Some(id))).ok(),
            Some(("c", "")) => Some(Place::Closed(None)),
            Some(("c", id)) => parse(id).map(|id| Place::Closed(Some(id))).ok(),
            _ => None,
        };
        place.ok_or_else(bad_cursor)
    }

    /// The cursor that leads here; none at the end.
    pub fn cursor(&self) -> Option<String> {
        match self {
            Place::Open(id) => id.as_ref().map(|id| format!("o{id}")),
            Place::Closed(None) => Some("c".into()),
            Place::Closed(Some(id)) => Some(format!("c{id}")),
            Place::End => None,
        }
    }
}

/// Reads a cursor that is a key.
pub(super) fn key<T, E>(page: &Page, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, Problem> {
    page.cursor.as_deref().map(|cursor| parse(cursor).map_err(|_| bad_cursor())).transpose()
}

pub(super) fn bad_cursor() -> Problem {
    Problem::new(Code::BadQuery, "the cursor is not one of this list; use next_cursor as it came")
}

#[cfg(test)]
mod tests {
    use super::*;
    use artel_protocol::id::RunId;
    use artel_protocol::time::Wall;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let run = RunId::new(Wall(1), [3; 9]);
        for place in [Place::Open(Some(run)), Place::Closed(None), Place::Closed(Some(run))] {
            let page = Page { cursor: place.cursor(), ..Page::default() };
            assert_eq!(Place::of(&page, RunId::parse).expect("reads"), place);
        }
        assert_eq!(Place::of(&Page::default(), RunId::parse).expect("reads"), Place::Open(None));
        assert_eq!(Place::<RunId>::End.cursor(), None);
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        for cursor in ["", "x", "o", "onext", "cnext", "\u{e9}", "1"] {
            let page = Page { cursor: Some(cursor.into()), ..Page::default() };
            let problem = Place::of(&page, RunId::parse).expect_err(cursor);
            assert_eq!(problem.code, Code::BadQuery, "{cursor}");
            assert!(key(&page, RunId::parse).is_err(), "{cursor}");
        }
    }
}
