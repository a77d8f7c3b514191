//! The few messages of OTLP that are sent, in Protocol Buffers' encoding (opentelemetry-proto 1.x, `trace.proto`): fields by number,
//! varints, lengths. The suite `openapi` has OpenTelemetry's own library read them.

use super::{Span, Value};

/// `ExportTraceServiceRequest` with the spans of one node.
pub(super) fn request(node: &str, version: &str, spans: &[Span]) -> Vec<u8> {
    let mut resource = Vec::new();
    for (key, value) in
        [("service.name", "artel"), ("service.version", version), ("service.instance.id", node)]
    {
        message(&mut resource, 1, &attribute(key, &Value::Text(value.to_owned())));
    }
    let mut scope = Vec::new();
    text(&mut scope, 1, "artel");
    let mut of_scope = Vec::new();
    message(&mut of_scope, 1, &scope);
    for span in spans {
        message(&mut of_scope, 2, &of_span(span));
    }
    let mut of_resource = Vec::new();
    message(&mut of_resource, 1, &resource);
    message(&mut of_resource, 2, &of_scope);
    let mut request = Vec::new();
    message(&mut request, 1, &of_resource);
    request
}

fn of_span(span: &Span) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, 1, &span.trace);
    message(&mut out, 2, &span.id);
    if let Some(parent) = &span.parent {
        message(&mut out, 4, parent);
    }
    text(&mut out, 5, span.name);
    number(&mut out, 6, span.kind as u64);
    fixed(&mut out, 7, span.start);
    fixed(&mut out, 8, span.end);
    for (key, value) in &span.attributes {
        message(&mut out, 9, &attribute(key, value));
    }
    if let Some((trace, id)) = &span.link {
        let mut link = Vec::new();
        message(&mut link, 1, trace);
        message(&mut link, 2, id);
        message(&mut out, 13, &link);
    }
    if let Some(went_well) = span.went_well {
        let mut status = Vec::new();
        // STATUS_CODE_OK and STATUS_CODE_ERROR.
        number(&mut status, 3, if went_well { 1 } else { 2 });
        message(&mut out, 15, &status);
    }
    out
}

/// `KeyValue`.
fn attribute(key: &str, value: &Value) -> Vec<u8> {
    let mut any = Vec::new();
    match value {
        Value::Text(value) => text(&mut any, 1, value),
        Value::Number(value) => number(&mut any, 3, *value as u64),
    }
    let mut out = Vec::new();
    text(&mut out, 1, key);
    message(&mut out, 2, &any);
    out
}

fn text(out: &mut Vec<u8>, field: u8, text: &str) {
    message(out, field, text.as_bytes());
}

/// A field with a length: bytes, text or a message.
fn message(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    varint(out, u64::from(field) << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    varint(out, u64::from(field) << 3);
    varint(out, value);
}

fn fixed(out: &mut Vec<u8>, field: u8, value: u64) {
    varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
