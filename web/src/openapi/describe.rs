//! What a handler's signature says of its route: each argument and each answer adds its part to the operation. The types are
//! the ones that do the work, so the document cannot say something else than the handler does.

use super::schemas::Schemas;
use crate::answer::{Answer, Maybe, Own};
use crate::app::App;
use crate::body::{Body, Input, Keyed};
use crate::caller::{Anyone, AsAgent, AsOperator, Known};
use crate::problem::{Code, Problem};
use crate::query::{Id, Ids, InPath, Query};
use crate::types::example::Example;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The header that carries a key for repeats.
const IDEMPOTENCY_KEY: &str =
    "A key under which the same post may be sent again without effect; 1 to 128 visible ASCII characters.";

/// One operation as it is put together.
pub(crate) struct Operation<'a> {
    schemas: &'a mut Schemas,
    /// Names of the path's parameters that no argument has taken yet, the next one last.
    in_path: Vec<&'a str>,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    callers: &'static [&'static str],
    codes: BTreeSet<Code>,
}

impl<'a> Operation<'a> {
    /// The operation at a path, with the codes that its row names.
    pub fn new(schemas: &'a mut Schemas, path: &'a str, codes: &[Code]) -> Self {
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut in_path: Vec<&str> = names.map(|name| name.trim_start_matches('*')).collect();
        in_path.reverse();
        Operation {
            schemas,
            in_path,
            parameters: Vec::new(),
            body: None,
            answers: Map::new(),
            callers: &[],
            codes: codes.iter().copied().chain(EVERYWHERE.iter().copied()).collect(),
        }
    }

    /// Adds a parameter.
    pub fn parameter(&mut self, place: &str, name: &str, required: bool, mut schema: Value) {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({"in": place, "name": name, "required": required, "schema": schema});
        if let Some(description) = description {
            parameter["description"] = description;
        }
        self.parameters.push(parameter);
    }

    /// Adds an answer.
    pub fn answer(&mut self, status: u16, description: &str, content: Value) {
        let mut answer = json!({"description": description, "headers": headers()});
        if !content.is_null() {
            answer["content"] = content;
        }
        self.answers.insert(status.to_string(), answer);
    }

    /// Sets the body.
    pub fn body(&mut self, body: Value) {
        self.body = Some(body);
    }

    /// Adds codes that may be answered.
    pub fn codes(&mut self, codes: &[Code]) {
        self.codes.extend(codes);
    }

    /// The schema of what goes out as a `T`.
    pub fn going_out<T: JsonSchema>(&mut self) -> Value {
        self.schemas.going_out::<T>()
    }

    fn in_path<T: InPath>(&mut self) {
        let name = self.in_path.pop().expect("a handler takes as many ids as its path has");
        self.parameter("path", name, true, T::schema());
        self.codes(&[Code::BadId, Code::RouteUnknown]);
    }

    /// Says who may call, `""` being anybody, and adds what a caller may be refused with.
    pub fn callers(&mut self, callers: &'static [&'static str], codes: &[Code]) {
        self.callers = callers;
        self.codes(&[Code::Unauthenticated, Code::BadToken, Code::TokenExpired, Code::TokenRevoked]);
        self.codes(&[Code::AgentRevoked, Code::RateLimited]);
        self.codes(codes);
    }

    /// The codes that it may answer with.
    pub fn refusals(&self) -> &BTreeSet<Code> {
        &self.codes
    }

    /// The operation's object.
    pub fn finish(mut self, id: &str, tag: &str, summary: &str) -> Value {
        let mut by_status = std::collections::BTreeMap::<u16, Vec<Code>>::new();
        for code in &self.codes {
            by_status.entry(code.status().as_u16()).or_default().push(*code);
        }
        for (status, codes) in by_status {
            let refusal = refusal(&codes);
            self.answers.insert(status.to_string(), self.schemas.refusal(status, refusal));
        }
        let scheme = |caller: &&str| if caller.is_empty() { json!({}) } else { json!({*caller: []}) };
        let security: Vec<Value> = self.callers.iter().map(scheme).collect();
        let mut operation = json!({
            "operationId": id,
            "tags": [tag],
            "summary": summary,
            "security": security,
            "responses": self.answers,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

/// What any request may get, whatever its route.
const EVERYWHERE: &[Code] = &[
    Code::HostNotAllowed,
    Code::OriginNotAllowed,
    Code::Internal,
    Code::Timeout,
    Code::NotReady,
    Code::IndexOpening,
    Code::JournalUnavailable,
    Code::Overloaded,
    Code::ShuttingDown,
];

/// What a body of JSON may get.
const OF_BODIES: &[Code] = &[
    Code::BadRequest,
    Code::NotJson,
    Code::NotUtf8,
    Code::JsonTooDeep,
    Code::DuplicateKey,
    Code::BodyIncomplete,
    Code::UnknownField,
    Code::Invalid,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::RequestTimeout,
    Code::BadIdempotencyKey,
    Code::OutcomeUnknown,
];

/// The refusals of one status: the one shape, and which codes may stand in it.
fn refusal(codes: &[Code]) -> Value {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.sentence())).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let example = json!({
        "error": {"code": names[0], "message": codes[0].sentence(), "details": null},
        "correlation_id": super::schemas::CORRELATION_EXAMPLE,
    });
    json!({
        "description": lines.join("\n\n"),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
        "headers": headers(),
        "x-codes": names,
    })
}

/// What every answer bears.
fn headers() -> Value {
    json!({"X-Correlation-Id": {"$ref": "#/components/headers/CorrelationId"}})
}

/// A handler, as far as its signature describes it.
pub(crate) trait Handler<Arguments> {
    /// Adds all that the signature says.
    fn describe(operation: &mut Operation<'_>);
}

/// One argument of a handler.
pub(crate) trait Argument {
    /// Adds what it says.
    fn describe(operation: &mut Operation<'_>);
}

/// What a handler gives back.
pub(crate) trait Answers {
    /// Adds what it says.
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! handlers {
    ($(($($argument:ident)*))*) => {
        $(impl<F, Future, $($argument,)*> Handler<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Future,
            Future: std::future::Future<Output: Answers>,
            $($argument: Argument,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($argument::describe(operation);)*
                Future::Output::describe(operation);
            }
        })*
    };
}

handlers! { (A) (A B) (A B C) (A B C D) (A B C D E) }

/// Describes `handler`'s operation.
pub(crate) fn of<Arguments, H: Handler<Arguments>>(_: &H, operation: &mut Operation<'_>) {
    H::describe(operation);
}

impl<S> Argument for State<App<S>> {
    fn describe(_: &mut Operation<'_>) {}
}

impl Argument for Anyone {
    fn describe(_: &mut Operation<'_>) {}
}

impl Argument for Known {
    fn describe(operation: &mut Operation<'_>) {
        operation.callers(&["operator", "agent"], &[]);
    }
}

impl Argument for AsAgent {
    fn describe(operation: &mut Operation<'_>) {
        operation.callers(&["agent"], &[Code::AgentsOnly]);
    }
}

impl Argument for AsOperator {
    fn describe(operation: &mut Operation<'_>) {
        operation.callers(&["operator"], &[Code::OperatorOnly]);
    }
}

impl<T: InPath> Argument for Id<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.in_path::<T>();
    }
}

impl<T: InPath, U: InPath> Argument for Ids<T, U> {
    fn describe(operation: &mut Operation<'_>) {
        operation.in_path::<T>();
        operation.in_path::<U>();
    }
}

impl<T: JsonSchema> Argument for Query<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.inline::<T>();
        let required =
            |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
        for (name, of) in schema["properties"].as_object().into_iter().flatten() {
            operation.parameter("query", name, required(name), super::schemas::without_null(of.clone()));
        }
        operation.codes(&[Code::BadQuery]);
    }
}

impl<T: Body + JsonSchema> Argument for Input<T> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.coming_in::<T>();
        let example: Value = serde_json::from_str(T::EXAMPLE).expect("the examples of bodies are JSON");
        operation.body(json!({
            "required": !T::MAY_BE_EMPTY,
            "content": {"application/json": {"schema": schema, "example": example}},
        }));
        operation.codes(OF_BODIES);
    }
}

impl<T: Body + JsonSchema> Argument for Keyed<T> {
    fn describe(operation: &mut Operation<'_>) {
        Input::<T>::describe(operation);
        let schema = json!({
            "type": "string", "minLength": 1, "maxLength": crate::IDEMPOTENCY_KEY_CHARS_MAX, "pattern": "^[!-~]+$",
            "description": IDEMPOTENCY_KEY,
        });
        operation.parameter("header", "Idempotency-Key", false, schema);
        operation.codes(&[Code::IdempotencyConflict]);
    }
}

impl<T: Answers> Answers for Result<T, Problem> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

impl<T: Serialize + JsonSchema + Example, const STATUS: u16> Answers for Answer<T, STATUS> {
    fn describe(operation: &mut Operation<'_>) {
        let content = correlated::<T>(operation);
        operation.answer(STATUS, said(STATUS), content);
    }
}

impl<T: Serialize + JsonSchema + Example, const STATUS: u16> Answers for Own<T, STATUS> {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.going_out::<T>();
        operation.answer(
            STATUS,
            said(STATUS),
            json!({"application/json": {"schema": schema, "example": example::<T>()}}),
        );
    }
}

impl<T: Serialize + JsonSchema + Example> Answers for Maybe<T> {
    fn describe(operation: &mut Operation<'_>) {
        Answer::<T>::describe(operation);
        operation.answer(204, "There is none.", Value::Null);
    }
}

/// A `T` with the request's correlation id in it, as JSON.
pub(crate) fn correlated<T: Serialize + JsonSchema + Example>(operation: &mut Operation<'_>) -> Value {
    let schema = operation.going_out::<T>();
    let mut example = example::<T>();
    example["correlation_id"] = super::schemas::CORRELATION_EXAMPLE.into();
    let schema = operation.schemas.correlated(schema);
    json!({"application/json": {"schema": schema, "example": example}})
}

fn example<T: Serialize + Example>() -> Value {
    serde_json::to_value(T::example()).expect("the examples of answers are JSON")
}

fn said(status: u16) -> &'static str {
    if status == 201 { "It is made." } else { "It is so." }
}
