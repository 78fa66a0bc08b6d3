//! The OpenAPI 3.1 document, made from the table of operations and the schemas of its types.
//!
//! Inputs are flat: here their properties are split into path, query and body. What every operation shares (headers,
//! security, the problems that the face itself answers) is added to each row; nothing is written by hand for one row.

use docket_contract::error::Problem;
use docket_contract::operations::{ATTACHMENT_TYPE, COMMON_ERRORS, Header, Method, Operation, Resource, Visitor, walk};
use docket_contract::text::{ID_PATTERN, MAX_ID_CHARS};
use docket_contract::{Code, Error, FieldError, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The whole document. It is built once: the table does not change while the program runs.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(build);
    &DOCUMENT
}

fn build() -> Value {
    let mut rows = Rows::default();
    rows.schema::<Problem>();
    walk(&mut rows);
    rows.probes();
    let tag = |name: &str, description: &str| json!({"name": name, "description": description});
    let mut tags: Vec<_> = Resource::ALL.iter().map(|resource| tag(resource.title(), resource.description())).collect();
    tags.push(tag("Server", "Whether the server itself is well."));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Docket Jobs Management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Starts jobs, watches them, keeps every record's result, and pages through them. Unknown \
                fields and parameters are ignored and named in the header Docket-Ignored-Fields. Arrays in the query are \
                repeated (`a=1&a=2`) or separated by commas (`a=1,2`). Integers may be quoted.",
            "license": {"name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [
            {"url": "/", "description": "This server"},
            {"url": "/v2", "description": "The same, under the vendor's version prefix"},
        ],
        "tags": tags,
        "security": [{"apiKey": []}, {"bearer": []}, {}],
        "paths": rows.paths,
        "components": {
            "schemas": rows.schemas,
            "headers": headers(),
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY",
                    "description": "A key of an organization. A server that listens on loopback only and has no keys asks for none."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
            },
        },
    })
}

fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "X-Request-Id": text("The id of the request, as sent or made by the server; it stands in the server's log."),
        "Docket-Ignored-Fields": text("The fields and parameters that the server does not know and has ignored."),
        "Idempotency-Replayed": {
            "description": "`true` if this is the answer to an earlier request with the same Idempotency-Key.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Retry-After": {
            "description": "Seconds after which to try again.",
            "schema": {"type": "integer", "format": "int32", "minimum": 0},
        },
        "Docket-Count": {
            "description": "How many results the file holds, where that is known before; behind its end, how many it held.",
            "schema": {"type": "integer", "format": "int64", "minimum": 0},
        },
        "Docket-Snapshot": text("The moment of the export: the `snapshot` of another one of the same results at the same moment."),
        "Trailer": text("What comes behind the end, for clients that send `TE: trailers`."),
        "Content-Disposition": text("Says that the answer is a file to be saved, and its name (RFC 6266)."),
        "Allow": text("The methods that the path has."),
        "WWW-Authenticate": text("How to authenticate."),
    })
}

fn header_refs(names: &[&str]) -> Value {
    let reference = |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    Value::Object(names.iter().map(reference).collect())
}

#[derive(Default)]
struct Rows {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Rows {
    fn schema<T: ToSchema>(&mut self) {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        self.add(found);
    }

    fn add(&mut self, found: Vec<(String, RefOr<Schema>)>) {
        for (name, schema) in found {
            self.schemas.entry(name).or_insert_with(|| value(&schema));
        }
    }

    fn put(&mut self, path: &str, method: &str, operation: Value) {
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
    }

    /// The two paths that ask about the server itself.
    fn probes(&mut self) {
        let schema = json!({"type": "object", "required": ["status"], "properties": {
            "status": {"type": "string"}, "reason": {"type": "string", "description": "Why the server is not ready."},
        }});
        let response = |description: &str, example: Value| {
            json!({"description": description, "headers": header_refs(&["X-Request-Id"]),
                "content": {"application/json": {"schema": schema, "example": example}}})
        };
        let probe = |name: &str, title: &str, responses: Value| {
            let mut refused = problems(LISTENER.into_iter().chain([Code::MethodNotAllowed]), "/");
            let mut operation = json!({"operationId": name, "summary": title, "description": title, "tags": ["Server"],
                "security": [], "responses": responses});
            if let (Some(responses), Some(refused)) = (operation["responses"].as_object_mut(), refused.as_object_mut())
            {
                responses.append(refused);
            }
            operation
        };
        let health = probe(
            "readHealth",
            "Whether the process serves",
            json!({"200": response("It does.", json!({"status": "ok"}))}),
        );
        let ready = probe(
            "readReadiness",
            "Whether the server can do its work",
            json!({
                "200": response("It can.", json!({"status": "ready"})),
                "503": response("It can't.", json!({"status": "not ready", "reason": "the store is opening"})),
            }),
        );
        self.put("/healthz", "get", health);
        self.put("/readyz", "get", ready);
    }
}

/// A schema as it stands in the document.
pub(crate) fn value(schema: &RefOr<Schema>) -> Value {
    // Schemas are plain data: they always become JSON.
    let mut value = serde_json::to_value(schema).unwrap_or_default();
    drop_absent_defaults(&mut value);
    mark_ids(&mut value);
    value
}

/// Ids are the texts of 1 to 255 characters; what else they may not hold is one rule for all (api.md section 1).
fn mark_ids(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let bound = |name: &str| members.get(name).and_then(Value::as_u64);
            let id = bound("minLength") == Some(1) && bound("maxLength") == Some(MAX_ID_CHARS as u64);
            if id && !members.contains_key("pattern") {
                members.insert("pattern".to_owned(), json!(ID_PATTERN));
            }
            members.values_mut().for_each(mark_ids);
        }
        Value::Array(items) => items.iter_mut().for_each(mark_ids),
        _ => {}
    }
}

/// The derived schemas give `default` for whatever may be absent: `null`, an empty text or array, an object, the epoch.
/// Those say nothing, and some contradict the limits beside them.
fn drop_absent_defaults(schema: &mut Value) {
    let empty = |value: &Value| {
        value.is_object() || [json!(null), json!(""), json!([]), json!(Timestamp::default())].contains(value)
    };
    match schema {
        Value::Object(members) => {
            members.retain(|key, value| key != "default" || !empty(value));
            members.values_mut().for_each(drop_absent_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_absent_defaults),
        _ => {}
    }
}

impl Visitor for Rows {
    fn visit<O: Operation>(&mut self) {
        let mut found = Vec::new();
        O::Input::schemas(&mut found);
        O::Output::schemas(&mut found);
        self.add(found);

        let input = serde_json::to_value(O::example().0).unwrap_or_default();
        let mut output_schema = value(&O::Output::schema());
        if output_schema["type"] != "string" {
            let name = O::Output::name();
            self.schemas.insert(name.clone().into_owned(), output_schema);
            output_schema = json!({"$ref": format!("#/components/schemas/{name}")});
        }

        let Split { parameters, body } = split::<O>(&input);
        let posts = O::METHOD == Method::Post;
        let mut ok_headers = vec!["X-Request-Id", "Docket-Ignored-Fields"];
        if O::GIVES_FILE {
            ok_headers.push("Content-Disposition");
        }
        ok_headers.extend(O::ANSWER_HEADERS);
        if posts {
            ok_headers.push("Idempotency-Replayed");
        }
        let mut responses = problems(codes::<O>(), O::PATH);
        responses["200"] = json!({
            "description": "OK",
            "headers": header_refs(&ok_headers),
            "content": {O::MEDIA_TYPE: {"schema": output_schema, "examples": examples::<O>()}},
        });
        for other in O::OTHER_MEDIA_TYPES {
            responses["200"]["content"][other] = json!({"schema": {"type": "string"}});
        }
        let mut operation = json!({
            "operationId": O::NAME,
            "summary": O::TITLE,
            "description": O::DESCRIPTION,
            "tags": [O::RESOURCE.title()],
            "parameters": parameters,
            "responses": responses,
            "x-docket-role": O::ROLE.name(),
        });
        if O::STREAMS {
            // Nobody should wait for the end of the answer.
            operation["x-docket-streams"] = Value::Bool(true);
        }
        if O::DEPRECATED {
            operation["deprecated"] = Value::Bool(true);
        }
        if O::TAKES_FILE {
            let schema = json!({"type": "string", "format": "binary"});
            operation["requestBody"] = json!({
                "description": "The file, of any media type, which is kept; it may be empty.",
                "required": false,
                "content": {ATTACHMENT_TYPE: {"schema": schema, "example": FILE_EXAMPLE}},
            });
        } else if let Some(body) = body {
            let name = format!("{}Request", capitalized(O::NAME));
            let reference = json!({"$ref": format!("#/components/schemas/{name}")});
            operation["requestBody"] = json!({
                "required": body.required,
                "content": {"application/json": {"schema": reference, "example": body.example}},
            });
            self.schemas.insert(name, body.schema);
        }
        self.put(O::PATH, &O::METHOD.name().to_ascii_lowercase(), operation);
    }
}

/// A file as the documents show it.
pub(crate) const FILE_EXAMPLE: &str = r#"{"records":30000}"#;

/// The named outputs of an operation.
fn examples<O: Operation>() -> Value {
    let named = |(name, output): (&'static str, O::Output)| {
        (name.to_owned(), json!({"value": serde_json::to_value(output).unwrap_or_default()}))
    };
    Value::Object(O::examples().into_iter().map(named).collect())
}

struct Split {
    parameters: Vec<Value>,
    body: Option<BodyPart>,
}

struct BodyPart {
    schema: Value,
    required: bool,
    example: Value,
}

/// Splits the input's properties into parameters and body.
fn split<O: Operation>(example: &Value) -> Split {
    let mut schema = value(&O::Input::schema());
    let required: Vec<String> = serde_json::from_value(schema["required"].take()).unwrap_or_default();
    let properties = schema["properties"].take();
    let has_body = matches!(O::METHOD, Method::Post | Method::Put);
    let mut parameters = Vec::new();
    let (mut members, mut body_example) = (Map::new(), Map::new());
    for (name, property) in properties.as_object().cloned().unwrap_or_default() {
        let in_path = O::PATH.split('/').any(|part| part == format!("{{{name}}}"));
        if in_path || !has_body || O::QUERY.contains(&name.as_str()) {
            let place = if in_path { "path" } else { "query" };
            let required = in_path || required.contains(&name);
            parameters.push(parameter(&name, place, required, property, example.get(&name)));
        } else {
            if let Some(value) = example.get(&name) {
                body_example.insert(name.clone(), value.clone());
            }
            members.insert(name, property);
        }
    }
    parameters.sort_by_key(|parameter| (parameter["in"] != "path", parameter["required"] != true));
    parameters.push(json!({"name": "X-Request-Id", "in": "header", "required": false, "schema": {"type": "string"},
        "description": "An id for this request; 1 to 128 visible ASCII characters, anything else is replaced."}));
    if O::METHOD == Method::Post {
        parameters.push(json!({"name": "Idempotency-Key", "in": "header", "required": false,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "description": "The same key with the same request is done once and answered alike; kept for 24 hours."}));
    }
    for header in O::HEADERS {
        // Of `Accept` the document tells by the media types of the answers.
        let Header::Value { header, field } = header else { continue };
        let known = parameters.iter().find(|parameter| parameter["name"] == *field).cloned().unwrap_or_default();
        parameters.push(json!({"name": header, "in": "header", "required": false, "schema": known["schema"],
            "description": format!("Goes before the parameter {field}.")}));
    }
    let required: Vec<_> = required.into_iter().filter(|name| members.contains_key(name)).collect();
    let body = (!members.is_empty()).then(|| {
        let mut body = json!({"type": "object", "properties": members});
        if let Some(description) = schema.get("description") {
            body["description"] = description.clone();
        }
        if !required.is_empty() {
            body["required"] = json!(required);
        }
        BodyPart { schema: body, required: !required.is_empty(), example: Value::Object(body_example) }
    });
    Split { parameters, body }
}

/// A parameter. In a query there is no `null`: what is not given is absent.
fn parameter(name: &str, place: &str, required: bool, mut schema: Value, example: Option<&Value>) -> Value {
    if let Some(choice) = schema.get("oneOf").and_then(Value::as_array) {
        schema = choice.iter().find(|one| one["type"] != "null").cloned().unwrap_or_default();
    }
    if let Some(kinds) = schema["type"].as_array() {
        schema["type"] = kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
    }
    let mut parameter = json!({"name": name, "in": place, "required": required});
    if let Some(members) = schema.as_object_mut() {
        // An empty value of an optional parameter counts as absent.
        if place == "query" && !required {
            members.remove("minLength");
            if let Some(pattern) = members.get_mut("pattern").filter(|pattern| **pattern != ID_PATTERN) {
                *pattern = json!(format!("^$|{}", pattern.as_str().unwrap_or_default()));
            }
            if let Some(items) = members.get_mut("items") {
                // Empty items are dropped on the way in.
                *items = json!({"anyOf": [items.take(), {"type": "string", "maxLength": 0}]});
            }
        }
        members.retain(|key, value| key != "type" || !value.is_null());
        if let Some(description) = members.remove("description") {
            parameter["description"] = description;
        }
        if let Some(example) = example.cloned().or_else(|| members.get("example").cloned()) {
            parameter["example"] = example;
        }
        members.remove("example");
    }
    if place == "query" {
        parameter["style"] = json!("form");
        parameter["explode"] = json!(true);
    }
    parameter["schema"] = schema;
    parameter
}

/// What the listener refuses before there is a request.
const LISTENER: [Code; 3] = [Code::MalformedRequest, Code::UriTooLong, Code::HeadersTooLarge];

/// Every code that the operation can answer with, those of the face included.
pub(crate) fn codes<O: Operation>() -> Vec<Code> {
    let mut codes: Vec<Code> = COMMON_ERRORS.iter().chain(O::ERRORS).copied().collect();
    codes.push(Code::MethodNotAllowed);
    codes.extend(LISTENER);
    if matches!(O::METHOD, Method::Post | Method::Put) {
        codes.extend([Code::MalformedBody, Code::RequestTimeout, Code::BodyTooLarge, Code::UnsupportedMediaType]);
    }
    if O::METHOD == Method::Post {
        codes.extend([Code::IdempotencyInFlight, Code::IdempotencyKeyReused]);
    }
    let mut seen = BTreeSet::new();
    codes.retain(|code| seen.insert(*code));
    codes
}

/// The responses for codes, grouped by status.
fn problems(codes: impl IntoIterator<Item = Code>, instance: &str) -> Value {
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let group = statuses.entry(code.status()).or_default();
        if !group.contains(&code) {
            group.push(code);
        }
    }
    let mut responses = Map::new();
    for (status, codes) in statuses {
        let mut headers = vec!["X-Request-Id"];
        let (mut lines, mut examples) = (Vec::new(), Map::new());
        for code in codes {
            let error = example(code);
            if error.retry_after_seconds().is_some() && !headers.contains(&"Retry-After") {
                headers.push("Retry-After");
            }
            lines.push(format!("- `{code}`: {}", code.description()));
            examples.insert(code.name().to_owned(), json!({"value": Problem::new(&error, instance)}));
        }
        match status {
            401 => headers.push("WWW-Authenticate"),
            405 => headers.push("Allow"),
            _ => {}
        }
        let content = json!({"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples});
        let response = json!({
            "description": lines.join("\n"),
            "headers": header_refs(&headers),
            "content": {"application/problem+json": content},
        });
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}

/// An error as it stands in the documents.
pub(crate) fn example(code: Code) -> Error {
    match code {
        Code::NotFound => Error::not_found(),
        Code::InvalidRequest => {
            let detail = "storageId must have at most 255 characters, has 256".to_owned();
            let field = FieldError { pointer: "/storageId".into(), code: "too_long".into(), detail: detail.clone() };
            Error { errors: vec![field], ..Error::new(code, detail) }
        }
        _ => Error::new(code, format!("{}.", code.title())),
    }
}

fn capitalized(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

#[cfg(test)]
mod tests;
