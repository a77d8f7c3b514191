//! The API's document: it has every route of the router, its examples are what its schemas say, and it is served once made.

mod support;

use artel_web::{Options, ROUTES};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use support::client::{Client, connect};
use support::start;

/// Pages for people, and what these need: no operations of the API.
const PAGES: &[&str] = &["/", "/style.css", "/openapi", "/openapi.css"];

async fn document(client: &mut Client) -> Value {
    client.ask("GET", "/openapi.json", "", b"").await.json()
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .expect("a path's item")
            .iter()
            .map(move |(method, operation)| (path, method, operation))
    })
}

/// An answer, or what its reference leads to.
fn settled<'a>(document: &'a Value, answer: &'a Value) -> &'a Value {
    answer["$ref"]
        .as_str()
        .map_or(answer, |at| document.pointer(&at[1..]).expect("a reference leads somewhere"))
}

/// What the router takes at each path, as its own answers say, against what the document has.
#[tokio::test]
async fn the_document_has_every_method_that_the_router_takes() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let document = document(&mut client).await;
    let mut documented = BTreeMap::<String, BTreeSet<String>>::new();
    for (path, method, _) in operations(&document) {
        documented.entry(path.clone()).or_default().insert(method.to_uppercase());
    }
    let paths: BTreeSet<&str> = ROUTES.iter().map(|(_, path)| *path).collect();
    for path in paths {
        let concrete: Vec<&str> =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let refused = client.ask("QUERY", &concrete.join("/"), "", b"").await;
        assert_eq!(refused.status, 405, "{path}");
        let allowed: BTreeSet<String> = refused
            .header("allow")
            .expect("Allow")
            .split(',')
            .map(|method| method.trim().to_owned())
            .filter(|m| m != "HEAD")
            .collect();
        let said = documented.remove(&path.replace("{*", "{")).unwrap_or_default();
        if PAGES.contains(&path) {
            assert_eq!(said, BTreeSet::new(), "{path} is a page");
        } else {
            assert_eq!(said, allowed, "{path}: give its row in routes/mod.rs a sentence and its codes");
        }
    }
    assert_eq!(documented, BTreeMap::new(), "the router has no such paths");
}

#[tokio::test]
async fn every_operation_says_what_a_client_needs() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let document = document(&mut client).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().expect(&at)), "{at}: its name stands twice");
        assert!(operation["summary"].as_str().is_some_and(|s| s.len() > 5), "{at}");
        let in_path: Vec<&str> =
            path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named: Vec<&str> =
            parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(in_path, named, "{at}");
        let mut succeeds = false;
        for (status, answer) in operation["responses"].as_object().expect(&at) {
            let answer = settled(&document, answer);
            succeeds |= status.starts_with(['1', '2']);
            for code in answer["x-codes"].as_array().into_iter().flatten() {
                let code = artel_web::Code::parse(code.as_str().expect(&at)).expect("a code of the table");
                assert_eq!(code.status().as_u16().to_string(), *status, "{at}");
            }
        }
        assert!(succeeds, "{at} never succeeds");
    }
    let secured = |path: &str, method: &str| document["paths"][path][method]["security"].clone();
    assert_eq!(secured("/v1/health", "get"), json!([]));
    assert_eq!(secured("/v1/tasks", "post"), json!([{"operator": []}, {"agent": []}]));
    assert_eq!(secured("/v1/tasks/claim", "post"), json!([{"agent": []}]));
    assert_eq!(secured("/v1/peers", "get"), json!([{"operator": []}]));
}

/// Examples of answers are made from the types themselves; those of bodies are read by their readers in a test beside these.
#[tokio::test]
async fn every_example_is_what_its_schema_says() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let document = document(&mut client).await;
    let (mut bodies, mut answers) = (0, 0);
    let mut seen = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let responses = operation["responses"].as_object().expect("answers").values();
        // What operations share is looked at once.
        let unseen: Vec<&Value> = responses
            .filter(|answer| answer["$ref"].as_str().is_none_or(|at| seen.insert(at.to_owned())))
            .collect();
        let contents = unseen.into_iter().map(|answer| &settled(&document, answer)["content"]);
        for content in contents.chain([&operation["requestBody"]["content"]]) {
            let Some(of) = content.get("application/json") else { continue };
            let Some(example) = of.get("example") else {
                assert_eq!(path, "/openapi.json", "{method} has JSON without an example");
                continue;
            };
            // The schema, with the document's others where its references look for them.
            let mut schema = of["schema"].clone();
            schema["components"] = document["components"].clone();
            let schema =
                jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
            let wrong: Vec<String> = schema.iter_errors(example).map(|error| error.to_string()).collect();
            assert_eq!(wrong, Vec::<String>::new(), "{method} {path}: {example}");
            assert!(!schema.is_valid(&json!([])), "{method} {path} takes anything");
            if *content == operation["requestBody"]["content"] { bodies += 1 } else { answers += 1 }
        }
    }
    assert!(bodies > 15 && answers > 70, "{bodies} bodies, {answers} answers");
}

#[tokio::test]
async fn the_document_is_not_sent_twice() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    for path in ["/openapi.json", "/openapi"] {
        let first = client.ask("GET", path, "", b"").await;
        let tag = first.header("etag").expect("a tag").to_owned();
        let again = client.ask("GET", path, &format!("If-None-Match: {tag}\r\n"), b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let other = client.ask("GET", path, "If-None-Match: \"x\"\r\n", b"").await;
        assert_eq!((other.status, other.body), (200, first.body), "{path}");
    }
}

#[tokio::test]
async fn the_page_has_every_operation_and_nothing_from_elsewhere() {
    let server = start(Options::default()).await;
    let mut client = connect(server.address).await;
    let document = document(&mut client).await;
    let answer = client.ask("GET", "/openapi", "", b"").await;
    assert!(
        answer
            .header("content-security-policy")
            .expect("a policy")
            .starts_with("default-src 'none'; style-src 'self'")
    );
    let page = answer.text();
    for (_, _, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("a name");
        assert!(page.contains(&format!("data-testid=\"operation-{id}\"")), "{id}");
    }
    for foreign in ["<script", "style=", "http://", "https://", "javascript:", "<iframe"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(client.ask("GET", "/openapi.css", "", b"").await.status, 200);
}
