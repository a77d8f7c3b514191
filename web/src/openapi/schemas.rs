//! The schemas of the document: one set for what comes in, one for what goes out, merged under one roof of names. A type that
//! differs by direction (fields that may be left out are always there in an answer) bears `Given` where it comes in.

use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// Where the document keeps its schemas.
const PLACE: &str = "#/components/schemas/";

/// The correlation id of all examples.
pub(super) const CORRELATION_EXAMPLE: &str = "019c7aeb-ce00-7000-8000-00000000002a";

/// Both sets as they grow.
pub(crate) struct Schemas {
    coming_in: SchemaGenerator,
    going_out: SchemaGenerator,
    /// What goes out with a correlation id, by name.
    answers: Map<String, Value>,
    /// Refusals that operations share, by name.
    refusals: Map<String, Value>,
}

impl Schemas {
    pub fn new() -> Self {
        let generator = |contract| {
            SchemaSettings::draft2020_12()
                .with(|settings| {
                    settings.definitions_path = "/components/schemas".into();
                    settings.meta_schema = None;
                    settings.contract = contract;
                })
                .into_generator()
        };
        Schemas {
            coming_in: generator(Contract::Deserialize),
            going_out: generator(Contract::Serialize),
            answers: Map::new(),
            refusals: Map::new(),
        }
    }

    /// A reference to the schema of what comes in as a `T`; [`Schemas::finish`] may rename it.
    pub fn coming_in<T: JsonSchema>(&mut self) -> Value {
        let schema = self.coming_in.subschema_for::<T>().to_value();
        json!({"x-coming-in": schema})
    }

    /// A reference to the schema of what goes out as a `T`.
    pub fn going_out<T: JsonSchema>(&mut self) -> Value {
        self.going_out.subschema_for::<T>().to_value()
    }

    /// A reference to what goes out by that schema, with the request's correlation id in it.
    pub fn correlated(&mut self, schema: Value) -> Value {
        let name = schema["$ref"]
            .as_str()
            .and_then(|at| at.strip_prefix(PLACE))
            .expect("every answer's schema has a name");
        let name = format!("{name}Answer");
        let correlated = json!({"$ref": format!("{PLACE}Correlated")});
        let reference = json!({"$ref": format!("{PLACE}{name}")});
        self.answers.insert(name, json!({"allOf": [schema, correlated]}));
        reference
    }

    /// A reference to the refusals of one status; operations that may give the same ones share it.
    pub fn refusal(&mut self, status: u16, refusal: Value) -> Value {
        let of_status =
            self.refusals.iter().filter(|(name, _)| name.starts_with(&format!("Refused{status}")));
        let (mut count, mut known) = (1, None);
        for (name, other) in of_status {
            count += 1;
            known = known.or((*other == refusal).then(|| name.clone()));
        }
        let name = known.unwrap_or_else(|| {
            let name = format!("Refused{status}Kind{count}");
            self.refusals.insert(name.clone(), refusal);
            name
        });
        json!({"$ref": format!("#/components/responses/{name}")})
    }

    /// All refusals by name.
    pub fn refusals(&mut self) -> Value {
        Value::Object(std::mem::take(&mut self.refusals))
    }

    /// The schema of a query string's parameters.
    pub fn inline<T: JsonSchema>(&mut self) -> Value {
        let mut schema: Value = T::json_schema(&mut self.coming_in).to_value();
        let definitions = self.coming_in.definitions().clone();
        inline_references(&mut schema, &definitions);
        tidy(&mut schema);
        schema
    }

    /// All schemas by name; the references of `paths` are settled.
    pub fn finish(mut self, paths: &mut Value, responses: &Value) -> Value {
        let out = self.going_out.take_definitions(false);
        let given = self.coming_in.take_definitions(false);
        let renamed: Vec<String> = given
            .iter()
            .filter(|(name, schema)| out.get(*name).is_some_and(|o| o != *schema))
            .map(|(n, _)| n.clone())
            .collect();
        let mut all = out;
        for (name, mut schema) in given {
            rename(&mut schema, &renamed);
            let name = if renamed.contains(&name) { given_name(&name) } else { name };
            all.insert(name, schema);
        }
        settle(paths, &renamed);
        all.append(&mut self.answers);
        all.insert("Correlated".into(), correlated());
        all.insert("Problem".into(), problem());
        let mut all = Value::Object(all);
        tidy(&mut all);
        drop_unused(&mut all, &json!([paths, responses]));
        all
    }
}

fn correlated() -> Value {
    json!({
        "description": "What every JSON answer ends with.",
        "type": "object",
        "properties": {"correlation_id": {"type": "string", "description": "The request's correlation id, which the journal keeps."}},
        "required": ["correlation_id"],
    })
}

fn problem() -> Value {
    json!({
        "description": "Why a request was not done. The codes are stable; the sentence says what to do.",
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"type": "string", "description": "A stable code."},
                    "message": {"type": "string", "description": "A sentence for people that says what to do."},
                    "details": {"type": ["object", "null"], "description": "More for programs."},
                },
                "required": ["code", "message", "details"],
            },
            "correlation_id": {"type": "string", "description": "The request's correlation id."},
        },
        "required": ["error", "correlation_id"],
    })
}

fn given_name(name: &str) -> String {
    format!("{name}Given")
}

fn rename(schema: &mut Value, names: &[String]) {
    visit(schema, &mut |object| {
        let Some(Value::String(reference)) = object.get_mut("$ref") else { return };
        if let Some(name) = reference.strip_prefix(PLACE)
            && names.iter().any(|n| n == name)
        {
            *reference = format!("{PLACE}{}", given_name(name));
        }
    });
}

/// Takes the marks off what comes in.
fn settle(paths: &mut Value, names: &[String]) {
    visit(paths, &mut |object| {
        for value in object.values_mut() {
            if let Some(mut schema) = value.as_object_mut().and_then(|v| v.remove("x-coming-in")) {
                rename(&mut schema, names);
                *value = schema;
            }
        }
    });
}

fn inline_references(schema: &mut Value, definitions: &Map<String, Value>) {
    visit(schema, &mut |object| {
        let name = object.get("$ref").and_then(|r| r.as_str()?.strip_prefix(PLACE)).map(str::to_owned);
        if let Some(Value::Object(of)) = name.and_then(|name| definitions.get(&name)) {
            object.remove("$ref");
            for (key, value) in of {
                object.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    });
}

/// What a query parameter may not say: a parameter that is null is one that is left out.
pub(super) fn without_null(mut schema: Value) -> Value {
    let Some(object) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|t| t != "null");
        if types.len() == 1 {
            object["type"] = types[0].clone();
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|of| of["type"] != "null");
        if any.len() == 1 {
            let only = any.remove(0);
            object.remove("anyOf");
            for (key, value) in only.as_object().into_iter().flatten() {
                object.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    schema
}

/// Closed sets of words as one list, and whole numbers with the bounds that their width gives them.
fn tidy(schema: &mut Value) {
    visit(schema, &mut |object| {
        words(object);
        bounds(object);
    });
}

fn words(object: &mut Map<String, Value>) {
    let Some(Value::Array(of)) = object.get("oneOf") else { return };
    let word = |one: &Value| match (&one["const"], &one["enum"]) {
        (Value::String(word), _) => {
            Some(vec![(word.clone(), one["description"].as_str().map(str::to_owned))])
        }
        (_, Value::Array(words)) => {
            words.iter().map(|word| Some((word.as_str()?.to_owned(), None))).collect()
        }
        _ => None,
    };
    let Some(words) = of.iter().map(word).collect::<Option<Vec<_>>>() else { return };
    let words: Vec<_> = words.into_iter().flatten().collect();
    let mut lines: Vec<String> =
        object.get("description").and_then(|d| d.as_str()).map(str::to_owned).into_iter().collect();
    lines.extend(words.iter().filter_map(|(word, said)| Some(format!("`{word}`: {}", said.as_ref()?))));
    object.remove("oneOf");
    object.insert("type".into(), "string".into());
    object.insert("enum".into(), words.into_iter().map(|(word, _)| Value::from(word)).collect());
    object.insert("description".into(), lines.join("\n\n").into());
}

fn bounds(object: &mut Map<String, Value>) {
    let (least, most) = match object.get("format").and_then(|format| format.as_str()) {
        Some("uint8") => (0, u64::from(u8::MAX)),
        Some("uint32") => (0, u64::from(u32::MAX)),
        Some("uint64") => (0, u64::MAX),
        Some("int32") => (i64::from(i32::MIN), i32::MAX as u64),
        _ => return,
    };
    // What OpenAPI knows of formats of numbers is int32 and int64; others are said by their bounds.
    if object["format"] != "int32" {
        object.remove("format");
    }
    object.entry("minimum").or_insert(least.into());
    object.entry("maximum").or_insert(most.into());
}

fn drop_unused(all: &mut Value, paths: &Value) {
    loop {
        let text = format!("{paths}{all}");
        let Some(all) = all.as_object_mut() else { return };
        let before = all.len();
        all.retain(|name, _| text.contains(&format!("\"{PLACE}{name}\"")));
        if all.len() == before {
            return;
        }
    }
}

/// Calls `each` for every object, the outer ones first.
fn visit(value: &mut Value, each: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            each(object);
            object.values_mut().for_each(|value| visit(value, each));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, each)),
        _ => {}
    }
}
