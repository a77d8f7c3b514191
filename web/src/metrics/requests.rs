//! Requests by route and status class, how long they took, and refusals by code. A request costs one look-up of its path and four
//! atomic additions.

use super::{Histogram, Kind, TIMES_US, Text};
use crate::problem::Code;
use crate::routes::ROUTES;
use crate::ui::PAGES;
use axum::http::{Method, StatusCode};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Classes of statuses, by their first digit less one.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The rows: the API's routes, then the pages.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROUTES.iter().chain(PAGES).copied()
}

/// A row by its number; none behind the last.
fn row(number: usize) -> Option<(&'static str, &'static str)> {
    ROUTES.get(number).or_else(|| PAGES.get(number.checked_sub(ROUTES.len())?)).copied()
}

/// What was asked of the server since its start.
pub(crate) struct Requests {
    /// Rows of the table of routes by path.
    paths: matchit::Router<Vec<(Method, usize)>>,
    /// By row; the last is for what no row takes.
    rows: Vec<Row>,
    refused: [AtomicU64; Code::ALL.len()],
}

struct Row {
    classes: [AtomicU64; CLASSES.len()],
    times: Histogram,
}

impl Requests {
    pub fn new() -> Self {
        let mut by_path = std::collections::BTreeMap::<&str, Vec<(Method, usize)>>::new();
        for (row, (method, path)) in rows().enumerate() {
            let method = method.to_uppercase().parse().expect("the table holds methods");
            by_path.entry(path).or_default().push((method, row));
        }
        let mut paths = matchit::Router::new();
        for (path, rows) in by_path {
            paths.insert(path, rows).expect("the router has taken the same paths");
        }
        let row = || Row { classes: Default::default(), times: Histogram::new(&TIMES_US) };
        let rows = (0..=ROUTES.len() + PAGES.len()).map(|_| row()).collect();
        Requests { paths, rows, refused: [const { AtomicU64::new(0) }; Code::ALL.len()] }
    }

    /// The row that a request belongs to. `HEAD` is its `GET`'s.
    pub fn row(&self, method: &Method, path: &str) -> usize {
        let path = path.strip_prefix("/api").filter(|rest| rest.starts_with("/v1/")).unwrap_or(path);
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let rows = self.paths.at(path).map(|matched| matched.value);
        let row = rows.ok().and_then(|rows| rows.iter().find(|(m, _)| m == method));
        row.map_or(ROUTES.len() + PAGES.len(), |(_, row)| *row)
    }

    /// Its template.
    pub fn route(&self, row: usize) -> &'static str {
        self::row(row).map_or("other", |(_, path)| path)
    }

    /// Counts an answer.
    pub fn answered(&self, row: usize, status: StatusCode, took: Duration) {
        let row = &self.rows[row];
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        row.classes[class].fetch_add(1, Relaxed);
        row.times.add_time(took);
    }

    /// Counts a refusal.
    pub fn refused(&self, code: Code) {
        self.refused[code as usize].fetch_add(1, Relaxed);
    }

    /// Writes all of it.
    pub fn write(&self, text: &mut Text) {
        let mut family = text.family(
            "artel_http_requests_total",
            Kind::Counter,
            "Requests over HTTP that were answered, by route and class of status; other is what no route takes.",
        );
        for (labels, row) in self.labelled() {
            for (class, count) in CLASSES.iter().zip(&row.classes) {
                let labels = [labels[0], labels[1], ("class", class)];
                family.sample(&labels, count.load(Relaxed));
            }
        }
        let mut family = text.family(
            "artel_http_request_seconds",
            Kind::Histogram,
            "From a request's head to its answer's head, with what the caller asked to wait.",
        );
        for (labels, row) in self.labelled() {
            family.histogram(&labels, &row.times, 1_000_000);
        }
        let mut family =
            text.family("artel_http_refusals_total", Kind::Counter, "Refusals over HTTP by code.");
        for code in Code::ALL {
            family.sample(&[("code", code.as_str())], self.refused[*code as usize].load(Relaxed));
        }
    }

    fn labelled(&self) -> impl Iterator<Item = ([(&'static str, &'static str); 2], &Row)> {
        let known = rows().map(|(method, path)| [("method", method), ("route", path)]);
        known.chain([[("method", "other"), ("route", "other")]]).zip(&self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_belongs_to_its_rows_template() {
        let requests = Requests::new();
        let route = |method: Method, path: &str| row(requests.row(&method, path));
        assert_eq!(route(Method::GET, "/v1/tasks"), Some(("get", "/v1/tasks")));
        assert_eq!(route(Method::POST, "/api/v1/tasks"), Some(("post", "/v1/tasks")));
        assert_eq!(route(Method::GET, "/v1/tasks/x"), Some(("get", "/v1/tasks/{id}")));
        assert_eq!(route(Method::POST, "/v1/tasks/claim"), Some(("post", "/v1/tasks/claim")));
        assert_eq!(route(Method::HEAD, "/v1/agents/me"), Some(("get", "/v1/agents/me")));
        assert_eq!(route(Method::GET, "/log/tile/0/x001/067"), Some(("get", "/log/tile/{*tile}")));
        assert_eq!(route(Method::GET, "/ui/runs/x/steps/y"), Some(("get", "/ui/runs/{id}/steps/{step_id}")));
        assert_eq!(route(Method::POST, "/ui/tasks"), Some(("post", "/ui/tasks")));
        assert_eq!(route(Method::GET, "/ui/of/no/page"), Some(("get", "/ui/{*rest}")));
        assert_eq!(requests.route(requests.row(&Method::GET, "/ui")), "/ui");
        for (method, path) in
            [(Method::PUT, "/v1/tasks"), (Method::GET, "/nothing"), (Method::GET, "/api/healthz")]
        {
            assert_eq!(route(method, path), None, "{path}");
        }
    }
}
