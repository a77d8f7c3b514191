//! A list that goes on: where it stands, where it goes on, and what has its first page drawn anew. Links keep the filter.

use super::visitor::escaped;

/// A list's own place, and the links below it.
pub(super) struct Pager {
    /// The first page.
    pub here: String,
    /// The first page, where this is not it.
    pub first: Option<String>,
    /// The next page, where there is one.
    pub next: Option<String>,
}

impl Pager {
    /// Links of a list at a path with a filter, of which what is empty says nothing, from this page's cursor and the next one's.
    pub fn new(path: &str, filter: &[(&str, &str)], cursor: &Option<String>, next: &Option<String>) -> Self {
        let kept: Vec<String> = filter
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let with = |more: Option<String>| {
            let all: Vec<String> = kept.iter().cloned().chain(more).collect();
            if all.is_empty() { path.to_owned() } else { format!("{path}?{}", all.join("&")) }
        };
        Pager {
            here: with(None),
            first: cursor.as_ref().map(|_| with(None)),
            next: next.as_ref().map(|next| with(Some(format!("cursor={}", escaped(next))))),
        }
    }

    /// What has the list drawn anew: what is named here, on the first page; a page further back stays as it is.
    pub fn live<'a>(&self, trigger: &'a str) -> &'a str {
        if self.first.is_none() { trigger } else { "never" }
    }

    /// Whether nothing was found among what was looked at, and the list goes on: a look is bounded.
    pub fn goes_on(&self, found: usize) -> bool {
        found == 0 && self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filter_and_escape_it() {
        let filter = [("status", "any"), ("capability", "a&b=\"c\""), ("run_id", "")];
        let text = |text: &str| Some(text.to_owned());
        let pager = Pager::new("/ui/tasks", &filter, &text("o1"), &text("c 2"));
        assert_eq!(pager.live("live:tasks from:body"), "never");
        assert!(pager.goes_on(0) && !pager.goes_on(1));
        assert_eq!(pager.first.as_ref(), Some(&pager.here));
        assert_eq!(pager.here, "/ui/tasks?status=any&capability=a%26b%3D%22c%22");
        assert_eq!(pager.next.as_deref(), Some("/ui/tasks?status=any&capability=a%26b%3D%22c%22&cursor=c+2"));
        let pager = Pager::new("/ui/runs", &[], &None, &None);
        assert!(pager.first.is_none() && pager.next.is_none() && pager.here == "/ui/runs");
        assert_eq!(pager.live("live:runs from:body"), "live:runs from:body");
    }
}
