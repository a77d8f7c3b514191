//! Cursor pagination: a page is asked for by limit and cursor, answered by items and the next cursor.

use schemars::JsonSchema;
use serde::Serialize;

/// How many items a page has when the caller does not say.
pub const PAGE_ITEMS_DEFAULT: u32 = 50;

/// The most items of a page. More, and one answer could hold the memory of many; a larger limit is refused.
pub const PAGE_ITEMS_MAX: u32 = 200;

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many items at most, 1 to [`PAGE_ITEMS_MAX`].
    pub limit: u32,
    /// Where to go on, as an earlier answer said; its form is the service's own business.
    pub cursor: Option<String>,
}

impl Default for Page {
    fn default() -> Self {
        Page { limit: PAGE_ITEMS_DEFAULT, cursor: None }
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    pub next_cursor: Option<String>,
}
