//! Where a list goes on: links that keep the filter.

use super::visitor::escaped;

/// The links below a list.
pub(super) struct Pager {
    /// The first page, where this is not it.
    pub first: Option<String>,
    /// The next page, where there is one.
    pub next: Option<String>,
}

impl Pager {
    /// Links of a list at a path with a filter, from this page's cursor and the next one's.
    pub fn new(
        path: &str,
        filter: &[(&str, Option<&str>)],
        cursor: Option<&str>,
        next: Option<&str>,
    ) -> Self {
        let kept: Vec<String> = filter
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", escaped((*value)?))))
            .collect();
        let with = |more: Option<String>| {
            let all: Vec<String> = kept.iter().cloned().chain(more).collect();
            if all.is_empty() { path.to_owned() } else { format!("{path}?{}", all.join("&")) }
        };
        Pager {
            first: cursor.map(|_| with(None)),
            next: next.map(|next| with(Some(format!("cursor={}", escaped(next))))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filter_and_escape_it() {
        let filter = [("status", Some("any")), ("capability", Some("a&b=\"c\"")), ("run_id", None)];
        let pager = Pager::new("/ui/tasks", &filter, Some("o1"), Some("c 2"));
        assert_eq!(pager.first.as_deref(), Some("/ui/tasks?status=any&capability=a%26b%3D%22c%22"));
        assert_eq!(pager.next.as_deref(), Some("/ui/tasks?status=any&capability=a%26b%3D%22c%22&cursor=c+2"));
        let pager = Pager::new("/ui/runs", &[], None, None);
        assert!(pager.first.is_none() && pager.next.is_none());
    }
}
