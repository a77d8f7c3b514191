//! The document as a page to browse: rendered once on the server, without a script and without anything from elsewhere.

use askama::Template;
use serde_json::Value;

#[derive(Template)]
#[template(path = "openapi.html")]
pub(crate) struct Page {
    title: String,
    about: String,
    version: String,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

struct Group {
    name: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    callers: String,
    parameters: Vec<Parameter>,
    body: Option<Content>,
    answers: Vec<Answer>,
}

struct Parameter {
    name: String,
    place: String,
    required: bool,
    form: String,
    description: String,
}

struct Content {
    kind: String,
    reference: Option<String>,
    example: Option<String>,
}

struct Answer {
    status: String,
    refused: bool,
    lines: Vec<String>,
    content: Option<Content>,
}

struct Schema {
    name: String,
    description: String,
    text: String,
}

/// The page of a document.
pub(super) fn render(document: &Value) -> String {
    let paths = document["paths"].as_object();
    let mut groups: Vec<Group> = Vec::new();
    for tag in document["tags"].as_array().into_iter().flatten() {
        groups.push(Group { name: text(&tag["name"]), operations: Vec::new() });
    }
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let group = groups.iter_mut().find(|group| operation["tags"][0] == *group.name);
            if let Some(group) = group {
                group.operations.push(of_operation(
                    path,
                    method,
                    operation,
                    &document["components"]["responses"],
                ));
            }
        }
    }
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let page = Page {
        title: text(&document["info"]["title"]),
        about: text(&document["info"]["description"]),
        version: text(&document["info"]["version"]),
        groups,
        schemas: schemas
            .map(|(name, schema)| Schema {
                name: name.clone(),
                description: text(&schema["description"]),
                text: pretty(schema),
            })
            .collect(),
    };
    page.render().expect("the page's template takes every document")
}

fn of_operation(path: &str, method: &str, operation: &Value, refusals: &Value) -> Operation {
    let callers: Vec<&str> = operation["security"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_object()?.keys().next().map(String::as_str))
        .collect();
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        callers: if callers.is_empty() { "anyone".into() } else { callers.join(" or ") },
        parameters: parameters
            .map(|parameter| Parameter {
                name: text(&parameter["name"]),
                place: text(&parameter["in"]),
                required: parameter["required"] == true,
                form: form(&parameter["schema"]),
                description: text(&parameter["description"]),
            })
            .collect(),
        body: content(&operation["requestBody"]["content"]),
        answers: operation["responses"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(status, answer)| {
                (status, answer["$ref"].as_str().map_or(answer, |at| &refusals[name_in(at)]))
            })
            .map(|(status, answer)| Answer {
                status: status.clone(),
                refused: answer.get("x-codes").is_some(),
                lines: text(&answer["description"]).split("\n\n").map(str::to_owned).collect(),
                content: content(&answer["content"]),
            })
            .collect(),
    }
}

fn content(content: &Value) -> Option<Content> {
    let (kind, of) = content.as_object()?.iter().next()?;
    let schema = &of["schema"];
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    Some(Content {
        kind: kind.clone(),
        reference: reference.map(|at| name_in(at).to_owned()),
        example: of.get("example").map(pretty),
    })
}

/// A schema in a few words.
fn form(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(text).collect::<Vec<_>>().join(", ");
    }
    let kind = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        kind => text(kind),
    };
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some(format), _) => format!("{kind}, {format}"),
        (None, Some(pattern)) => format!("{kind}, {pattern}"),
        (None, None) => kind,
    }
}

/// The last part of a reference.
fn name_in(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
