//! What is true of every operation and every schema is said here once, and not at each of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Where references lead.
const SCHEMAS: &str = "#/components/schemas/";

/// Completes the document that was gathered from the handlers.
pub(in crate::api) fn complete(document: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for (_method, operation) in item.as_object_mut().into_iter().flatten() {
            name(path, operation);
            add_headers(operation);
        }
    }
    allow_parts(&mut document);
    let mut reached = BTreeSet::new();
    let bodies = operations(&document).filter_map(|operation| operation.get("requestBody"));
    bodies.for_each(|body| follow(body, &document, &mut reached));
    for (schema, content) in schemas(&mut document).into_iter().flatten() {
        join(content);
        if reached.contains(schema) {
            close(content);
        }
    }
    // What a replacement cannot do without, a creation makes up.
    if let Some(Value::Object(replacement)) = schemas(&mut document).and_then(|all| all.get_mut("DeviceReplace")) {
        replacement.insert("required".to_owned(), json!(["name", "type", "organization_id", "is_active"]));
    }
    bound(&mut document);
    if let Some(all) = schemas(&mut document) {
        all.insert("Invalid".to_owned(), invalid());
    }
    document
}

/// A change needs no field of what it changes, whatever a creation needs.
fn allow_parts(document: &mut Value) {
    let Some(all) = schemas(document) else { return };
    let mut changes = BTreeMap::new();
    for (name, schema) in &*all {
        if let Some(mut change) = schema.as_object().filter(|schema| schema.contains_key("required")).cloned() {
            change.remove("required");
            let stem = name.trim_end_matches("Create").trim_end_matches("Fields");
            changes.insert(name.clone(), (format!("{stem}Change"), change));
        }
    }
    let mut used = Vec::new();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for item in paths.into_iter().flat_map(Map::values_mut) {
        let body = item.pointer_mut("/patch/requestBody/content/application~1json/schema/$ref");
        if let Some(Value::String(reference)) = body
            && let Some((name, change)) = reference.strip_prefix(SCHEMAS).and_then(|name| changes.remove(name))
        {
            *reference = format!("{SCHEMAS}{name}");
            used.push((name, Value::Object(change)));
        }
    }
    if let Some(all) = schemas(document) {
        all.extend(used);
    }
}

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let items = document.get("paths").and_then(Value::as_object).into_iter().flat_map(Map::values);
    items.filter_map(Value::as_object).flat_map(Map::values)
}

fn schemas(document: &mut Value) -> Option<&mut Map<String, Value>> {
    document.pointer_mut("/components/schemas")?.as_object_mut()
}

/// Gives an operation a name that no other has: handlers of different resources share theirs.
fn name(path: &str, operation: &mut Value) {
    let Some(Value::String(id)) = operation.get_mut("operationId") else { return };
    let segments = path.trim_start_matches("/api/v1").split('/');
    let named: Vec<&str> = segments.filter(|part| !part.is_empty() && !part.starts_with('{')).collect();
    let joined = named.join("_");
    *id = if named.last() == Some(&id.as_str()) { joined } else { format!("{joined}_{id}") };
}

/// Adds the headers that every answer of a status has.
fn add_headers(operation: &mut Value) {
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        let Some(response) = response.as_object_mut() else { continue };
        let headers = response.entry("headers").or_insert_with(|| json!({}));
        let Some(headers) = headers.as_object_mut() else { continue };
        let mut add = |name: &str, header: Value| headers.insert(name.to_owned(), header);
        add(
            "X-Request-Id",
            json!({
                "description": "The id that the request came with, else one that was made up; as in the log and the audit trail",
                "required": true,
                "schema": {"type": "string", "minLength": 1, "maxLength": 128}
            }),
        );
        match status.as_str() {
            "401" => {
                add(
                    "WWW-Authenticate",
                    json!({
                        "description": "How to authenticate", "required": true,
                        "schema": {"type": "string", "enum": ["Bearer"]}
                    }),
                );
            }
            "429" | "503" => {
                add(
                    "Retry-After",
                    json!({
                        "description": "Seconds after which to come again", "required": true,
                        "schema": {"type": "integer", "minimum": 1}
                    }),
                );
            }
            _ => {}
        }
    }
}

/// Notes each schema that is reached from here.
fn follow(part: &Value, document: &Value, reached: &mut BTreeSet<String>) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref")
                && let Some(schema) = reference.strip_prefix(SCHEMAS)
                && reached.insert(schema.to_owned())
                && let Some(content) = document.pointer(reference.trim_start_matches('#'))
            {
                follow(content, document, reached);
            }
            fields.values().for_each(|value| follow(value, document, reached));
        }
        Value::Array(items) => items.iter().for_each(|value| follow(value, document, reached)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Makes one object of fields that come from several structs.
fn join(schema: &mut Value) {
    let Some(parts) = schema.get("allOf").and_then(Value::as_array) else { return };
    let is_object = |part: &Value| part.get("properties").is_some() && part.get("$ref").is_none();
    if !parts.iter().all(is_object) {
        return;
    }
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.remove("allOf");
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in parts {
        properties.extend(part.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
        required.extend(part.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
        if let Some(example) = part.get("example") {
            whole.insert("example".to_owned(), example.clone());
        }
    }
    whole.insert("type".to_owned(), "object".into());
    whole.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        whole.insert("required".to_owned(), required.into());
    }
    *schema = whole.into();
}

/// What a body names and no field has is refused.
fn close(schema: &mut Value) {
    if let Some(schema) = schema.as_object_mut().filter(|schema| schema.contains_key("properties")) {
        schema.entry("additionalProperties").or_insert(Value::Bool(false));
    }
}

/// Numbers have the ranges that they are read with: 32 bits without a sign are no `int32`.
fn bound(part: &mut Value) {
    match part {
        Value::Object(fields) => {
            let is_unsigned = fields.get("minimum").and_then(Value::as_u64).is_some();
            match fields.get("format").and_then(Value::as_str) {
                Some("int32") if is_unsigned => {
                    fields.insert("format".to_owned(), "int64".into());
                    fields.entry("maximum").or_insert_with(|| u32::MAX.into());
                }
                // 64 bits without a sign.
                Some("int64") if is_unsigned && !fields.contains_key("maximum") => {
                    fields.remove("format");
                    fields.insert("maximum".to_owned(), u64::MAX.into());
                }
                // Any number does, and what is too large is clamped.
                Some("int64") if !is_unsigned => {
                    fields.remove("format");
                }
                _ => {}
            }
            fields.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Reasons by field have the shape of the body.
fn invalid() -> Value {
    json!({
        "type": "object",
        "description": "What is wrong, by field or parameter: a list of reasons; of an object such a map, of a list of objects one \
            per element. Of a body that is no JSON object there is only `detail`.",
        "properties": {"detail": {"type": "string", "description": "For people."}},
        "additionalProperties": {"oneOf": [
            {"type": "object"},
            {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "object"}]}}
        ]},
        "example": {"name": ["This field is required."]}
    })
}
