//! The API's document (OpenAPI 3.1): made once from the table of routes and from what the handlers' types say, served as
//! bytes. A row without a summary is a page for people and is not in it.

pub(crate) mod describe;
mod page;
pub(crate) mod schemas;

pub(crate) use describe::Operation;

use crate::problem::Code;
use artel_protocol::id::Digest;
use bytes::Bytes;
use schemas::Schemas;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What each operation, by method and path, may be refused with.
type Refusals = BTreeMap<(&'static str, &'static str), BTreeSet<Code>>;

/// What stands at the head of the document.
const ABOUT: &str = "The API of an Artel node. Every path under /v1 is reached under /api/v1 too. Every answer bears \
X-Correlation-Id, the caller's or a fresh one; JSON answers end with it, but for things that have one of their own. Whatever is \
refused has the one shape of Problem; x-codes lists the stable codes of each status.";

/// One row of the table, as the document sees it.
pub(crate) struct Row {
    pub method: &'static str,
    pub path: &'static str,
    pub module: &'static str,
    pub handler: &'static str,
    pub summary: &'static str,
    pub codes: &'static [Code],
    /// Adds what the handler's signature says.
    pub describe: fn(&mut Operation<'_>),
}

/// The document and its page, ready to be sent.
pub(crate) struct Document {
    pub json: Bytes,
    pub html: Bytes,
    /// For `ETag`, of the document; the page's begins with `p`.
    pub tag: String,
    refusals: Refusals,
}

impl Document {
    /// Makes the document of these rows.
    pub fn of(rows: &[Row]) -> Self {
        let (value, refusals) = value(rows);
        let json = Bytes::from(value.to_string());
        let html = Bytes::from(page::render(&value));
        let tag = Digest::of(&json).hex()[..32].to_owned();
        Document { json, html, tag, refusals }
    }

    /// Whether an operation may be refused with this code. What is no operation may be with any.
    pub fn has(&self, operation: (&'static str, &'static str), code: Code) -> bool {
        self.refusals.get(&operation).is_none_or(|codes| codes.contains(&code))
    }
}

fn value(rows: &[Row]) -> (Value, Refusals) {
    let mut refusals = Refusals::new();
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    let mut ids = BTreeSet::new();
    for row in rows {
        let mut operation = Operation::new(&mut schemas, row.path, row.codes);
        (row.describe)(&mut operation);
        let mut id = format!("{}_{}", row.module, row.handler);
        if !ids.insert(id.clone()) {
            // A second path to one handler is named by the path.
            id = row
                .path
                .trim_matches(|c: char| !c.is_ascii_alphanumeric())
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            assert!(ids.insert(id.clone()), "{id} stands twice");
        }
        refusals.insert((row.method, row.path), operation.refusals().clone());
        let operation = operation.finish(&id, row.module, row.summary);
        // What OpenAPI knows as a parameter is one part of a path; a tile's name has several, whose slashes stay as they are.
        let path = row.path.replace("{*", "{");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[row.method] = operation;
    }
    let mut paths = Value::Object(paths);
    let responses = schemas.refusals();
    let schemas = schemas.finish(&mut paths, &responses);
    let value = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Artel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags(rows),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "headers": {
                "CorrelationId": {
                    "description": "The request's correlation id: the caller's own X-Correlation-Id where it sent one, else a fresh one.",
                    "required": true,
                    "schema": {"type": "string", "minLength": 1, "maxLength": artel_protocol::text::CORRELATION_BYTES_MAX},
                },
            },
            "securitySchemes": {
                "operator": {"type": "http", "scheme": "bearer", "description": "The operator's token, from the node's data directory."},
                "agent": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An agent's token, from POST /v1/enroll/{id}/respond.",
                },
            },
        },
    });
    (value, refusals)
}

fn tags(rows: &[Row]) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.module) {
            names.push(row.module);
        }
    }
    names.into_iter().map(|name| json!({"name": name})).collect()
}
